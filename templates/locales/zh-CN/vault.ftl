# 敏感信息的加密、遮挡与查看
vault-erased = 已删除
vault-error-erased = 此人的个人信息已按要求删除，不能再写入
vault-damaged = 无法解密
vault-error-reason = 请写明查看原因，至少 2 个字
