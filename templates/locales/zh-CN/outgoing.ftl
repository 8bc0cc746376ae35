# 修改通知渠道；没有送达的原因；消息编号

## 修改
outgoing-edit = 修改
outgoing-edit-title = 修改通知渠道
outgoing-edit-lead = 渠道类型和所属机构不能修改，发送记录会保留。正在发送的消息从下一次尝试起使用新的设置。
outgoing-kept-url = 目前是 { $now }，不显示完整网址；不填则保持不变
outgoing-kept-secret = 已设置，不显示；不填则保持不变
outgoing-kept-headers = 已保存：{ $names }。填写后将全部替换，不填则保持不变
outgoing-kept-body = 已保存，不显示；不填则保持不变
outgoing-forget-secret = 清除已保存的加签密钥
outgoing-forget-headers = 清除已保存的请求头
outgoing-error-other-host = 网址换到了另一台服务器，请重新填写：已保存的内容不会发给别的服务器
outgoing-switch-off = 停用
outgoing-switch-on = 启用
outgoing-switch-off-confirm = 确定停用这个渠道吗？停用后，升级规则不再使用它，正在发送的消息会失败。
outgoing-off = 这个渠道已停用，升级规则不会使用它。
outgoing-secret-new = 更换签名密钥
outgoing-secret-confirm = 确定更换签名密钥吗？原密钥立即失效，请同时更新接收方。
outgoing-secret-shown = 新的签名密钥已经显示过，不再显示。如果没有记下，请再更换一次。
outgoing-error-no-secret = 只有签名 Webhook 的密钥由本系统生成

## 没有送达的原因
outgoing-why-doubt = 没有收到对方的答复，可能已送达，将重发一次
outgoing-why-doubt-twice = 已发送两次，都没有收到对方的答复，可能已送达；不再自动重发
outgoing-why-off = 渠道已删除或停用
outgoing-why-no-mail-server = 配置文件的 [mail] 中没有填写邮件服务器
outgoing-why-authority = 对方的证书不是受信任的机构签发的。邮件服务器使用自建证书时，请在配置文件 [mail] 的 ca_file 中指定签发机构的证书
outgoing-why-name = 对方的证书与服务器名称不符
outgoing-why-expired = 对方的证书已过期
outgoing-why-no-encryption = 对方不支持加密连接，消息没有发出
outgoing-why-password = 邮件服务器不接受用户名或密码
outgoing-why-redirect = 对方要求转到另一个网址。请填写最终的网址
outgoing-why-slow = 对方没有在限定时间内答复
outgoing-why-nobody-there = 对方拒绝连接，服务可能没有运行
outgoing-why-cut = 对方中断了连接，没有答复
outgoing-why-unknown-host = 找不到这个网址的服务器，请检查网址和网络
incidents-delivery-doubt = 可能已送达，重发一次
incidents-delivery-doubtful = 可能已送达

## 消息编号
outgoing-number = 〔编号 { $number }〕
outgoing-number-again = 〔编号 { $number }，重发〕
outgoing-number-label = 编号 { $number }
