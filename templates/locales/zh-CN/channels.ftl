# 通知渠道、消息模板、送达情况

incidents-channel-email = 邮件
incidents-channel-chat = 群机器人
incidents-channel-sms = 短信
incidents-channel-voice = 语音电话
incidents-passed-no_address = 没有可用的电话号码，已跳过
incidents-entry-sent_again = { $who } 重新发送了通知

## 渠道类型
incidents-way-webhook = 签名 Webhook
incidents-way-voice = 语音电话
incidents-way-sms = 短信
incidents-way-wecom = 企业微信群机器人
incidents-way-dingtalk = 钉钉群机器人
incidents-way-feishu = 飞书群机器人
incidents-way-email = 邮件

## 发送时机
incidents-occasion-call = 呼叫
incidents-occasion-repeat = 无人应答，再次呼叫
incidents-occasion-acknowledged = 已接手
incidents-occasion-resolved = 已处理完成
incidents-occasion-test = 测试

## 添加渠道
channels-kind = 渠道类型
channels-name = 名称
channels-name-hint = 不填则使用网址中的主机名或第一个邮箱
channels-url-hint = 必须是 https://。短信和语音的网址中可以使用 {"{phone}"}、{"{text}"}、{"{id}"}。
channels-secret = 加签密钥
channels-secret-hint = 机器人安全设置选择“加签”（钉钉）或“签名校验”（飞书）时填写，保存后不再显示
channels-recipients = 收件邮箱或备用号码
channels-recipients-hint = 邮件：收件邮箱，最多 10 个。短信、语音：通知对象没有登记电话时拨打的号码，可以不填。每行一个。
channels-locale = 消息语言
channels-locale-zh = 中文
channels-locale-en = 英文（English）
channels-follow = 有人接手和处理完成后，也告知已呼叫的对象
channels-provider = 服务商接口
channels-provider-hint = 按服务商的接口文档填写。{"{phone}"} 为号码，{"{text}"} 为消息内容，{"{id}"} 为消息编号（重发时不变，可用于去重）。
channels-method = 请求方法
channels-format = 请求体格式
channels-format-json = JSON
channels-format-form = 表单（URL 编码）
channels-headers = 请求头
channels-headers-hint = 每行一个，例如 Authorization: Bearer ……；保存后不再显示
channels-body = 请求体模板
channels-ok-status = 成功状态码
channels-ok-status-hint = 不填则 200 到 299 都算成功
channels-ok-field = 成功判断字段
channels-ok-field-hint = 返回 JSON 中的字段，例如 Response.Code；不填则只看状态码
channels-ok-value = 成功时的值
channels-mail-hint = 邮件由配置文件 [mail] 中的服务器发出。

## 单个渠道
channels-details = 渠道信息
channels-test-phone = 测试号码
channels-test-phone-hint = 不填则拨打备用号码中的第一个
channels-test-lead = 发送一条无需处理的测试消息，最多等待 6 秒，显示对方的答复。
channels-test-sent = 测试消息已送达，对方已接收。
channels-test-waiting = 对方还没有答复，请稍后刷新。
channels-test-failed = 测试消息没有送达
channels-deliveries = 最近的消息
channels-deliveries-empty = 还没有发送过消息
channels-deliveries-empty-text = 告警升级到这个渠道，或发送测试后，会显示在这里。
channels-occasion = 内容
channels-incident = 告警
channels-created = 创建时间
channels-next = 下次尝试
channels-again = 重新发送
channels-yes = 是
channels-no = 否

## 消息模板
channels-menu-templates = 消息模板
channels-templates = 消息模板
channels-templates-lead = 邮件、群机器人、短信和语音使用的文字，每个机构可以分别设置。Webhook 发送的是数据，不使用模板。
channels-templates-empty = 没有可以设置的机构
channels-templates-empty-text = 请联系系统管理员为你的账号分配机构。
channels-template = 模板
channels-template-own = 已自定义
channels-template-built-in = 默认
channels-preview = 预览
channels-reset = 恢复默认
channels-show = 显示
channels-placeholders = 可以使用的占位符
channels-value-place = 地点
channels-value-resident = 老人姓名
channels-value-kind = 告警类型
channels-value-priority = 级别
channels-value-time = 呼叫时间
channels-value-facility = 机构名称
channels-value-source = 触发的设备
channels-value-who = 被通知的人；接手和完成时为处理人
channels-value-times = 重复次数
channels-value-late = 消息迟到时的提示，平时为空
channels-late = 消息延迟 { $seconds } 秒，请立即核实。
channels-default-call = { $kind }：{ $place }，{ $resident }，{ $time }。请立即前往。{ $late }（{ $facility }）
channels-default-repeat = 仍无人应答（第 { $times } 次重复）。{ $kind }：{ $place }，{ $resident }，{ $time }。请立即前往。（{ $facility }）
channels-default-acknowledged = { $who } 已接手：{ $kind }，{ $place }，{ $resident }，{ $time }。（{ $facility }）
channels-default-resolved = { $who } 已处理完成：{ $kind }，{ $place }，{ $resident }，{ $time }。（{ $facility }）
channels-default-test = 测试消息，无需处理。{ $time }（{ $facility }）
channels-example-place = 3 楼 305 室 1 床
channels-example-resident = 张秀英
channels-example-source = 卫生间拉绳
channels-example-person = 李护理

## 错误
channels-error-address = “{ $value }”不是有效的邮箱
channels-error-phone = “{ $value }”不是有效的电话号码
channels-error-too-many = 最多 { $max } 个
channels-error-no-recipients = 这种渠道不需要收件人
channels-error-placeholder = 没有名为“{ $name }”的占位符，可以使用：{ $known }
channels-error-placeholder-missing = 缺少 { $name }
channels-error-braces = 花括号只能用于占位符
channels-error-body-json = 填入内容后不是有效的 JSON，文字占位符应放在引号内
channels-error-headers = 请求头的名称或内容无效，最多 { $max } 个
channels-error-header-lines = 每行应为“名称: 内容”
channels-error-not-failed = 这条消息没有失败，不需要重新发送
channels-error-closed = 告警已经处理完成，不再重新呼叫
