# 告警与处置

## 名称与菜单
incidents-menu-board = 呼叫与告警
incidents-menu-list = 告警记录
incidents-menu-ladders = 升级规则
incidents-menu-endpoints = 外部通知
incidents-board = 呼叫与告警
incidents-incident = 告警

## 告警种类
incidents-kind-sos = 一键呼叫
incidents-kind-fall = 跌倒
incidents-kind-smoke = 烟雾
incidents-kind-gas = 燃气泄漏
incidents-kind-co = 一氧化碳
incidents-kind-leak = 漏水
incidents-kind-door_open = 门未关
incidents-kind-bed_exit = 离床超时
incidents-kind-tamper = 设备被拆动
incidents-kind-low_battery = 电量低
incidents-kind-threshold = 数值异常
incidents-kind-device_offline = 设备离线
incidents-kind-system = 系统告警

## 级别
incidents-priority = 级别
incidents-priority-high = 紧急
incidents-priority-medium = 注意
incidents-priority-low = 提示
incidents-priority-info = 信息

## 状态
incidents-status = 状态
incidents-status-raised = 已发生
incidents-status-notified = 已通知
incidents-status-acknowledged = 已接手
incidents-status-on_site = 已到达
incidents-status-resolved = 已处理
incidents-status-reviewed = 已复核

## 结果
incidents-outcome = 结果
incidents-outcome-real = 真实
incidents-outcome-false_alarm = 误报
incidents-outcome-test = 测试
incidents-outcome-duplicate = 重复
incidents-outcome-real-hint = 确有其事，已经处置
incidents-outcome-false_alarm-hint = 没有事，设备或误按引起
incidents-outcome-test-hint = 有计划的测试或演练
incidents-outcome-duplicate-hint = 与另一个告警是同一件事

## 动作
incidents-acknowledge = 我去处理
incidents-arrive = 已到达
incidents-resolve = 处理完成
incidents-review = 复核
incidents-details = 详情
incidents-see-resident = 查看老人
incidents-sending = 正在送达……
incidents-you = 你

## 升级对象与渠道
incidents-target-on_call = 当班护理员
incidents-target-nurse_lead = 护士长
incidents-target-contact = 家属联系人
incidents-target-manager = 负责人
incidents-target-street_centre = 街道中心
incidents-channel-board = 告警板
incidents-channel-webhook = 外部通知
incidents-passed-nobody = 此时无人可通知，已跳过
incidents-passed-no_channel = 未配置渠道，已跳过
incidents-passed-channel_failed = 渠道失败，已跳过
incidents-passed-no_live_board = 没有开启声音的告警板，已跳过
incidents-rung-waiting = 等待
incidents-rung-sending = 正在通知
incidents-rung-passed = 已跳过
incidents-rung-told = 已通知
incidents-rung-next-before = {""}
incidents-rung-next-after = 通知
incidents-rung-stopped = 不再通知
incidents-ladder-progress = 通知进度
incidents-exhausted = 通知名单已走完，仍无人应答，请立即前往
incidents-exhausted-calm = 通知名单已走完，还没有人接手

## 告警板
incidents-open = 待处理
incidents-open-suffix = 个待处理
incidents-none-open = 没有待处理的告警
incidents-none-open-text = 新的呼叫会立即出现在这里，并发出声音。
incidents-place-unknown = 位置不明
incidents-no-resident = 未关联老人
incidents-late = 延迟
incidents-late-seconds = 延迟 { $n } 秒，请立即核实
incidents-late-verify = ，请立即核实
incidents-presses = 已按 { $n } 次
incidents-acknowledged-by = { $name } 已接手
incidents-acknowledged-by-me = 你已接手
incidents-arrived-by = { $name } 已到达
incidents-arrived-by-me = 你已到达
incidents-answered-in = 应答用时
incidents-this-shift = 本班
incidents-since = 自
incidents-stat-resolved = 已处理
incidents-stat-mean = 平均应答
incidents-stat-within = 60 秒内应答
incidents-stat-false = 误报
incidents-just-resolved = 刚刚处理
incidents-none-resolved = 本班还没有处理过告警
incidents-stream-connecting = 正在连接
incidents-stream-live = 已连接
incidents-stream-stale = 连接中断
incidents-sound-off = 声音未开启
incidents-sound-on = 声音已开启
incidents-sound-other-tab = 声音在另一个窗口
incidents-sound-paused = 声音已暂停
incidents-sound-start = 开启声音
incidents-sound-pause = 暂停声音
incidents-sound-resume = 恢复声音
incidents-sound-panel-title = 开始值班：请先开启声音
incidents-sound-panel-text = 没有声音，就可能错过呼叫。开启后会播放一段提示音。
incidents-sound-heard-question = 听到提示音了吗？
incidents-sound-help = 请调高设备音量，检查静音开关，再点“没听到”重试。
incidents-sound-yes = 听到了
incidents-sound-no = 没听到，再试一次
incidents-board-needs-script = 告警板需要 JavaScript 才能实时更新和发出声音，请换用其他浏览器。
incidents-error-no-stream = 实时连接没有打开，这块告警板暂不计入“有人能听到”。请先连接实时事件流。
incidents-error-network = 网络已断开，操作未送达，请再按一次或直接前往
incidents-error-session = 登录已过期，操作未送达，请直接前往并重新登录
incidents-error-refused = 您没有此操作的权限
incidents-error-conflict = 状态已变化，已为您刷新
incidents-error-server = 服务器出错，操作未送达，请再按一次或直接前往
incidents-unit-minutes = 分
incidents-unit-hours = 小时
incidents-unit-days = 天
incidents-in-seconds = { $n } 秒后
incidents-in-minutes = { $n } 分钟后
incidents-unit-now = 即将

## 告警详情
incidents-story = 全部经过
incidents-story-empty = 还没有记录
incidents-facts = 基本情况
incidents-raised-at = 发生
incidents-observed-at = 设备时间
incidents-received-at = 收到时间
incidents-place = 位置
incidents-resident = 老人
incidents-device = 设备
incidents-rule = 规则
incidents-cause = 触发的观测
incidents-cause-none = 没有关联的观测
incidents-raw-message = 原始消息
incidents-people = 相关人员
incidents-contacts = 家属联系人
incidents-contact-rank = 第 { $n } 联系人
incidents-response-times = 响应用时
incidents-time-to-notified = 到通知
incidents-time-to-acknowledged = 到接手
incidents-time-to-on_site = 到现场
incidents-time-to-resolved = 到完成
incidents-not-yet = 尚未
incidents-deliveries = 通知送达
incidents-deliveries-none = 还没有发出通知
incidents-delivery-to = 对象
incidents-delivery-channel = 渠道
incidents-delivery-state = 状态
incidents-delivery-attempts = 尝试
incidents-delivery-waiting = 等待发送
incidents-delivery-sent = 已送达
incidents-delivery-failed = 失败
incidents-delivery-retrying = 重试中
incidents-delivery-expired = 已过期
incidents-delivery-passed = 已跳过
incidents-delivery-seen = 已显示
incidents-resolution = 处理结果
incidents-resolved-by = 处理人
incidents-follow-up = 后续跟进
incidents-follow-up-none = 不需要跟进
incidents-follow-up-needed = 需要跟进
incidents-follow-up-text = 跟进内容
incidents-follow-up-due = 期限
incidents-follow-up-by = 最迟
incidents-resolve-title = 处理完成
incidents-resolve-lead = 填写结果和后续跟进后才能结束。
incidents-what-done = 做了什么
incidents-what-done-hint = 例如：协助如厕，无受伤，已通知女儿
incidents-duplicate-of = 与哪个告警重复
incidents-resolve-not-yet = 请先接手，再填写处理结果。
incidents-review-title = 复核
incidents-review-note = 复核意见
incidents-reviewed-by = 复核人
incidents-add-note = 添加记录
incidents-note = 记录

## 经过
incidents-entry-raised = 发生告警
incidents-entry-signal = 再次触发，已并入
incidents-entry-cleared = 设备报告已恢复，仍需人工确认
incidents-entry-told = 已通知 { $who }
incidents-entry-passed = 跳过 { $who }
incidents-entry-sending = 正在通知 { $who }
incidents-entry-delivery_delayed = 通知暂未送达，正在重试
incidents-entry-delivery_failed = 通知发送失败
incidents-entry-repeated = 仍无人应答，重新通知
incidents-entry-exhausted = 通知到最后一级，无人应答
incidents-entry-acknowledged = { $who } 接手
incidents-entry-arrived = { $who } 到达现场
incidents-entry-resolved = { $who } 处理完成
incidents-entry-reviewed = { $who } 已复核
incidents-entry-note = { $who } 添加记录
incidents-entry-plan = 计划通知 { $who }

## 记录列表
incidents-list = 告警记录
incidents-list-caption = 告警，最新的在前
incidents-list-empty = 还没有告警记录
incidents-list-empty-text = 设备发来的第一个呼叫会出现在这里。
incidents-list-no-match = 没有符合条件的告警
incidents-list-no-match-text = 请放宽筛选条件。
incidents-filter-status = 状态
incidents-filter-status-open = 待处理
incidents-filter-status-closed = 已结束
incidents-filter-kind = 种类
incidents-filter-priority = 级别
incidents-filter-from = 从
incidents-filter-to = 到
incidents-response = 应答
incidents-what = 告警
incidents-where = 位置与老人

## 升级规则
incidents-ladders = 升级规则
incidents-ladders-lead = 告警无人应答时，按时间逐级通知。每个机构、每种场景一套规则。
incidents-ladders-empty = 还没有升级规则
incidents-ladders-empty-text = 没有规则时，告警只显示在告警板上。请先建立一套。
incidents-ladder-new = 新建规则
incidents-ladder-edit = 编辑升级规则
incidents-ladder-name = 规则名称
incidents-ladder-facility = 机构
incidents-ladder-scenario = 场景
incidents-ladder-scenario-any = 所有场景
incidents-ladder-priority = 适用级别
incidents-ladder-repeat = 无人应答时重复通知
incidents-ladder-repeat-every = 每隔（秒）
incidents-ladder-rungs = 通知步骤
incidents-ladder-rungs-hint = 各步时间从早到晚填写，第一步为 0 秒。“通知谁”选“无”的步骤不会保存。联系人顺位只在通知家属联系人时填写。
incidents-ladder-delete-confirm = 确定删除这套升级规则吗？
incidents-rung = 第 { $n } 步
incidents-rung-after = 告警后（秒）
incidents-rung-target = 通知谁
incidents-rung-rank = 联系人顺位
incidents-rung-channel = 渠道
incidents-rung-remove = 移除第 { $n } 步
incidents-rung-add = 再加一步
incidents-rung-at-once = 立即
incidents-rung-after-n = { $n } 秒后
incidents-ladder-warnings = 未来一周有无人可通知的时段
incidents-ladder-warning-hours = { $from } 至 { $to }：没有人能收到通知
incidents-ladder-warning-rung = 第 { $n } 步：{ $reason }
incidents-ladder-covered = 未来一周每个时段都有人可通知
incidents-ladder-saved-anyway = 已保存，但请尽快安排排班或渠道。

## 外部通知
incidents-endpoints = 外部通知
incidents-endpoints-lead = 告警升级时，通过 Webhook、邮件、群机器人、短信或语音电话通知机构以外的人和系统。
incidents-endpoints-empty = 还没有外部通知渠道
incidents-endpoints-empty-text = 添加一个渠道后，升级规则就可以使用它。“外部通知”会选用第一个可用的渠道。
incidents-endpoint-add = 添加渠道
incidents-endpoint-url = 网址
incidents-endpoint-for = 通知对象
incidents-endpoint-secret = 签名密钥
incidents-endpoint-secret-once = 密钥只显示这一次，请立即保存到对方系统。
incidents-endpoint-secret-shown = 这个地址刚才已经添加，密钥不会再次显示。如果没有记下密钥，请删除该地址后重新添加。
incidents-endpoint-last-ok = 最近成功
incidents-endpoint-last-error = 最近失败
incidents-endpoint-never = 从未
incidents-endpoint-test = 发送测试
incidents-endpoint-delete = 删除此渠道
incidents-endpoint-delete-confirm = 确定删除这个通知渠道吗？

## 房间标签
incidents-tag-title = 到达 { $place }
incidents-tag-open = 此处待处理的告警
incidents-tag-none = 此处没有待处理的告警
incidents-tag-none-text = 如果您是被叫来的，请查看告警板。
incidents-tag-arrived = 已记录您到达 · { $time }
incidents-tag-arrive-all = 已到达（{ $n } 个告警）

## 错误
incidents-error-not-open = 此告警已经结束
incidents-error-not-acknowledged = 请先接手，再填写处理结果
incidents-error-outcome-required = 请选择结果
incidents-error-action-required = 请写明做了什么
incidents-error-follow-up-required = 请选择是否需要跟进
incidents-error-follow-up-text-required = 请写明跟进内容
incidents-error-follow-up-due-required = 请填写跟进期限
incidents-error-duplicate-required = 请选择与哪个告警重复
incidents-error-rungs-empty = 至少需要一步
incidents-error-rungs-order = 各步时间必须从早到晚
incidents-error-rank-required = 请填写联系人顺位
incidents-error-already-acknowledged = { $name } 已经接手
incidents-error-tag-unknown = 这个标签没有登记，请联系管理员
incidents-error-still-open = 告警还没有处理完成，不能复核
incidents-error-contact-board = 家属联系人看不到告警板，请改用外部通知
incidents-error-first-rung = 第一步必须立即通知（0 秒）
incidents-error-too-many-rungs = 最多 { $max } 步
incidents-entry-joined = 再次触发，已并入
incidents-entry-notified = 已通知 { $who }
incidents-entry-escalated = 升级到 { $who }
incidents-entry-delivery_sent = 通知已送达
incidents-entry-priority_changed = 级别已调整
incidents-csv-response = 应答（秒）
incidents-error-period = 时间范围最多 { $max } 天
incidents-error-follow-up-due = 跟进期限不能早于今天，最多在 { $months } 个月以内
incidents-error-url-https = 地址必须以 https:// 开头（只有本机可以用 http://）
incidents-error-url-user = 地址中不能有用户名或密码
incidents-error-url-characters = 地址中不能有空格或控制字符
incidents-error-url-host = 不能使用链路本地地址
incidents-gaps-detail = 未来一周有 { $n } 个时段无人可通知
incidents-system-long-transaction = 数据库里有一个事务已开了 { $n } 秒，所有后续事件都在等它。请系统管理员找到并结束它。
incidents-system-parked-work = { $n } 项后台工作多次失败，已搁置。请系统管理员在“系统状态”里查看并处理。
incidents-resident-ability = 能力等级 { $level }
incidents-resident-alone = 独居
incidents-resident-fall-risk = 跌倒高风险
incidents-target-any = 所有通知

## 服务器用语
incidents-title = 告警处置
incidents-day = { $month }月{ $day }日
incidents-note-late = 迟到 { $seconds } 秒
incidents-note-times = 第 { $n } 次
incidents-note-by-tag = 扫描房间标签
incidents-entry-called_again = 再次呼叫，重新开始通知
incidents-ladder-built-in = 内置规则
incidents-ladder-warning-more = 另有 { $n } 段时间
