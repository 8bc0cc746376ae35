# 敏感信息的加密、遮挡与查看
vault-erased = 已删除
vault-error-erased = 此人的个人信息已按要求删除，不能再写入
vault-damaged = 无法解密
vault-error-reason = 请写明查看原因，至少 2 个字
vault-reason = 查看原因
vault-reason-hint = 查看人、时间和原因都会记录在案
vault-show-full = 查看完整号码
vault-show = 查看
vault-shown-once = 完整号码仅本次显示，查看记录已保存
vault-error-key-in-use = 此密钥仍在使用，不能移除
