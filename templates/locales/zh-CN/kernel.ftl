# 内核：框架、登录、系统状态、错误

## 框架
kernel-brand = 松鹤
kernel-brand-line = 智慧健康养老
kernel-motto = 有人按下求助，就有人马上知道；每一步都记得清楚。
kernel-skip = 跳到正文
kernel-close = 关闭
kernel-more = 更多
kernel-back = 返回
kernel-nav-main = 主导航
kernel-nav-quick = 快捷导航
kernel-breadcrumb = 所在位置
kernel-section-work = 工作
kernel-section-scenes = 场景
kernel-section-manage = 管理
kernel-theme-day = 日间
kernel-theme-night = 夜间
kernel-sign-out = 退出
kernel-live-stale = 实时连接已中断，页面内容可能不是最新的。正在重新连接……
kernel-watch-waiting = 有 { $n } 个告警等待应答
kernel-home = 工作台
kernel-system = 系统状态
kernel-api-docs = 接口文档

## 登录
kernel-sign-in = 登录
kernel-username = 用户名
kernel-password = 密码
kernel-sign-in-wrong = 用户名或密码不正确，请重新输入
kernel-sign-in-locked = 尝试次数过多，请 { $s } 秒后再试
kernel-sign-in-expired = 登录已过期，请重新登录
kernel-sign-in-disabled = 此账号已停用，请联系管理员
kernel-demo-accounts = 演示账号
kernel-role = 角色
kernel-role-system_admin = 系统管理员
kernel-role-facility_admin = 机构管理员
kernel-role-nurse = 护士
kernel-role-carer = 护理员
kernel-role-cashier = 收银员
kernel-role-pharmacist = 药师
kernel-role-therapist = 康复治疗师
kernel-role-supervisor = 监管人员
kernel-role-family = 家属

## 通用操作
kernel-save = 保存
kernel-cancel = 取消
kernel-edit = 编辑
kernel-delete = 删除
kernel-add = 添加
kernel-remove = 移除
kernel-search = 搜索
kernel-filter = 筛选
kernel-filter-clear = 清除筛选
kernel-all = 全部
kernel-yes = 是
kernel-no = 否
kernel-none = 无
kernel-actions = 操作
kernel-next-page = 下一页
kernel-first-page = 回到第一页
kernel-shown = 本页 { $n } 条
kernel-required = （必填）
kernel-optional = 选填
kernel-download-csv = 导出 CSV
kernel-print = 打印
kernel-time = 时间
kernel-state = 状态
kernel-name = 名称
kernel-kind = 类型
kernel-detail = 详情
kernel-enabled = 启用
kernel-disabled = 停用
kernel-data-as-of = 数据截至
kernel-saved = 已保存
kernel-dash = —
kernel-list-separator = 、
kernel-semicolon = ；
kernel-colon = ：

## 工作台
kernel-home-hello = { $name }，您好
kernel-home-today = 今天要做的事
kernel-home-quiet = 现在没有待处理的告警
kernel-home-waiting = { $n } 个告警待处理
kernel-home-open-board = 打开告警板
kernel-home-follow-ups = 待跟进
kernel-home-no-follow-ups = 没有待跟进事项
kernel-home-due = 期限
kernel-home-overdue = 已逾期
kernel-home-my-shifts = 我的班次
kernel-home-no-shifts = 未来一周没有您的班次
kernel-home-nothing = 您的账号暂时没有可用的页面
kernel-home-nothing-text = 当前版本还没有为您的角色提供功能。如需帮助，请联系机构管理员。

## 错误页
kernel-error-title-400 = 这个请求无法理解
kernel-error-title-401 = 请先登录
kernel-error-title-403 = 您没有权限查看此页
kernel-error-title-404 = 没有找到此页
kernel-error-title-405 = 不支持这种操作
kernel-error-title-409 = 内容已被他人更改
kernel-error-title-413 = 提交的内容过大
kernel-error-title-422 = 有内容需要修改
kernel-error-title-429 = 操作过于频繁
kernel-error-title-500 = 系统出错了
kernel-error-title-503 = 暂时无法提供服务
kernel-problem-title-400 = 请求无法识别
kernel-problem-title-401 = 未登录
kernel-problem-title-403 = 没有权限
kernel-problem-title-404 = 不存在
kernel-problem-title-405 = 不支持此方法
kernel-problem-title-409 = 与当前状态冲突
kernel-problem-title-413 = 请求内容过大
kernel-problem-title-422 = 有字段需要修改
kernel-problem-title-429 = 请求过于频繁
kernel-problem-title-500 = 服务器内部错误
kernel-problem-title-503 = 暂时无法提供服务
kernel-error-request-id = 请求编号
kernel-error-report-hint = 如需帮助，请把请求编号告诉管理员。
kernel-error-emergency-hint = 如果正在处理告警，请直接前往现场，并用其他方式通知同事。
kernel-error-go-home = 回到工作台
kernel-error-go-board = 打开告警板
kernel-error-try-again = 再试一次

## 错误信息
error-invalid = 有内容需要修改
error-bad-request = 请求格式不正确
error-unauthenticated = 请先登录
error-forbidden = 您没有此操作的权限。如工作需要，请联系机构管理员开通。
error-not-found = 没有找到，或不在您的管理范围内
error-method-not-allowed = 此地址不支持这种操作
error-conflict = 内容已被更改，请刷新后再试
error-idempotency-conflict = 同一个幂等键已用于不同的内容
error-too-large = 内容过大，上限为 { $limit } 字节
error-too-many = 操作过于频繁，请 { $seconds } 秒后再试
error-unavailable = 服务暂时不可用，请稍后再试
error-database = 数据库暂时不可用，请稍后再试
error-internal = 系统内部错误，已记录
error-csrf = 页面已过期，请刷新后再提交
error-unsupported-media-type = 不支持这种内容格式
error-bad-cursor = 翻页位置已失效，请从第一页开始

## 校验
kernel-errors-title = 请修改以下 { $n } 处
error-required = 请填写
error-choose = 请选择一项
error-too-long = 最多 { $max } 个字
error-too-short = 至少 { $min } 个字
error-invalid-number = 请输入数字
error-out-of-range = 请输入 { $min } 到 { $max } 之间的数
error-invalid-date = 请输入正确的日期，例如 2026-11-22
error-invalid-time = 请输入正确的时间，例如 14:30
error-in-future = 时间不能晚于现在
error-in-past = 时间不能早于现在
error-end-before-start = 结束必须晚于开始
error-invalid-phone = 请输入正确的电话号码
error-invalid-url = 请输入以 https:// 开头的网址
error-unknown-choice = 没有找到所选的项目
error-invalid-choice = 不是可选的值：{ $value }
error-already-exists = 已经存在
error-unseen-character = 含有看不见的字符（{ $code }），请删去，或重新输入一遍
error-password-weak = 密码太短或太常见，请换一个

## 系统状态
kernel-system-lead = 队列、定时器、外发任务和连接此刻的情况。
kernel-system-ok = 一切正常
kernel-system-attention = { $n } 项需要注意
kernel-system-version = 版本
kernel-system-database = 数据库
kernel-system-uptime = 已运行
kernel-system-started = 启动于
kernel-system-queues = 队列
kernel-system-queue = 队列
kernel-system-depth = 等待
kernel-system-oldest = 最早等待
kernel-system-capacity = 容量
kernel-system-processed = 已处理
kernel-system-dropped = 已丢弃
kernel-system-no-queues = 没有队列
kernel-system-timers = 定时器
kernel-system-timers-pending = 待触发
kernel-system-timers-overdue = 已过期未触发
kernel-system-next-due = 下一个
kernel-system-effects = 外发任务
kernel-system-effect = 任务
kernel-system-attempts = 尝试
kernel-system-next-attempt = 下次尝试
kernel-system-last-error = 最近错误
kernel-system-no-effects = 没有等待或失败的外发任务
kernel-system-retries = 事件重试
kernel-system-subscriber = 模块
kernel-system-event = 事件
kernel-system-parked = 已搁置
kernel-system-no-retries = 没有等待重试的事件
kernel-system-subscriptions = 事件订阅
kernel-system-behind = 落后
kernel-system-no-subscriptions = 没有事件订阅
kernel-system-adapters = 设备适配器
kernel-system-adapter = 适配器
kernel-system-messages = 消息
kernel-system-rejected = 拒收
kernel-system-last-message = 最近消息
kernel-system-no-adapters = 没有启用任何设备适配器
kernel-system-broker = 消息代理
kernel-system-broker-kind = 方式
kernel-system-broker-embedded = 内置
kernel-system-broker-external = 外部
kernel-system-broker-address = 地址
kernel-system-connections = 连接数
kernel-system-streams = 实时页面
kernel-system-streams-sound = 开启声音的告警板
kernel-system-modules = 模块
kernel-system-status-ok = 正常
kernel-system-status-warn = 注意
kernel-system-status-fail = 故障
kernel-system-status-off = 未启用
kernel-effect-waiting = 等待
kernel-effect-running = 进行中
kernel-effect-done = 已送达
kernel-effect-failed = 失败
kernel-effect-expired = 已过期
kernel-effect-cancelled = 已取消

## 接口文档
kernel-api-lead = 页面能做的一切都可以通过接口完成。使用登录得到的令牌，或浏览器会话。
kernel-api-download = OpenAPI 描述文件
kernel-api-operations = { $n } 个操作
kernel-api-find = 在页面内查找：按 Ctrl+F
kernel-api-permission = 所需权限
kernel-api-public = 无需登录
kernel-api-parameters = 参数
kernel-api-parameter = 参数
kernel-api-in = 位置
kernel-api-type = 类型
kernel-api-required = 必填
kernel-api-description = 说明
kernel-api-body = 请求内容
kernel-api-responses = 应答
kernel-api-status = 状态码
kernel-api-schemas = 数据结构
kernel-api-field = 字段
kernel-api-no-parameters = 没有参数
error-busy = 系统繁忙，请稍后再试
error-database-unreachable = 无法连接数据库，请稍后再试
error-password-long = 密码过长，最多 { $max } 个字节
error-password-short = 密码过短，至少 { $min } 个字
error-stopping = 系统正在停止，请稍后再试
error-username-form = 用户名为 2 到 { $max } 个字符，不能有空格
error-username-taken = 这个用户名已经有人使用

## 时长
duration-days = { $second ->
    [0] { $first } 天
   *[other] { $first } 天 { $second } 小时
}
duration-hours = { $second ->
    [0] { $first } 小时
   *[other] { $first } 小时 { $second } 分
}
duration-minutes = { $second ->
    [0] { $first } 分钟
   *[other] { $first } 分 { $second } 秒
}
duration-seconds = { $first } 秒
