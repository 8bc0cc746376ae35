# 响应报告与误报率

## 菜单与页面
reports-menu = 响应报告
reports-response = 呼叫响应报告
reports-false-alarm-rates = 误报率
reports-print = 打印
reports-show = 查看
reports-month = 月份
reports-facility = 机构
reports-shift = 班次
reports-no-shift = 无人排班
reports-as-of = 统计截至
reports-settled = 已结算，数字不再变化
reports-settling = 月末后 72 小时内的处理仍会计入
reports-running = 本月尚未结束
reports-see-list = 查看明细
reports-changed-later = 结算以后又有 { $n } 起警情有新的处理，未计入本报告
reports-back = 返回报告
reports-total = 合计（高、中级）
reports-total-caption = 高、中级警情合计
reports-by-kind = 按类型与级别
reports-by-shift = 按班次（高、中级）
reports-by-facility = 按机构（高、中级）

## 列
reports-calls = 呼叫
reports-calls-unit = 起
reports-answer = 应答用时
reports-within-answer = 及时应答
reports-within-last = 最迟应答
reports-arrival = 到场用时
reports-within-on-site = 及时到场
reports-closing = 处置用时
reports-open = 未结束
reports-unanswered = 无人应答
reports-nobody = 无人可达
reports-undelivered = 通知失败
reports-delayed = 迟到
reports-p90 = 90% { $p90 }
reports-times-name = 中位数与 90%
reports-share-note = { $met } / { $of }
reports-share-target = { $met } / { $of }，目标 { $target }

## 合计的构成
reports-made-raised = 共发生 { $n } 起
reports-made-tests = 测试 { $n } 起
reports-made-duplicates = 重复 { $n } 起
reports-made-delayed = 迟到 { $n } 起
reports-made-calls = 计入用时的呼叫 { $n } 起
reports-made-no-arrival = 结束但没有到场记录 { $n } 起

## 口径
reports-definitions = 统计口径
reports-def-month = 按机构所在时区的自然月，以警情发生的时间归月。月末后 72 小时结算：此前的应答、到场和处置都计入，此后的变化不再计入，只在页面上方提示。
reports-def-calls = 当月发生的警情，扣除结果为“测试”“重复”的和迟到的。误报也是呼叫：同样需要有人应答。设备测试中的按键不产生警情，不在其内。
reports-def-answer = 从服务器收到呼叫，到第一位工作人员点“我去处理”或到场。以整秒计，不足一秒舍去。
reports-def-within = 分母是已应答的呼叫，加上等待时间已超过时限的未应答呼叫；时限见“目标”。百分比向下取整到 0.1，不会进位成 100%。
reports-def-arrival = 从收到呼叫到第一次到场（按“已到达”或扫房间标签）。及时到场只统计有到场记录的呼叫；结束但没有到场记录的，在合计中另列。
reports-def-closing = 从收到呼叫到填写结果并结束。
reports-def-times = 两者都是某一起真实呼叫的用时：一半的呼叫不超过中位数，九成的呼叫不超过 90% 的数值。
reports-def-nobody = 升级步骤走完一遍，没有一步通知到人。
reports-def-undelivered = 至少有一条通知最终没有送达，即使别的通知送到了。
reports-def-delayed = 到达服务器时已晚于发生时间 60 秒以上（设备离线、网络中断），用时不反映人员快慢，单独计数。
reports-def-shift = 发生时正在进行的班次，同时有几个时取最晚开始的一个；按目前的排班表。
reports-def-targets = 按月末时生效的目标评价，之后修改不影响以前的月份。
reports-def-rate = 误报 ÷（真实 + 误报），按警情发生的月份。测试、重复和尚未结束的不计入，另列。真实与误报合计不足 { $enough } 起时不给出百分比。

## 目标
reports-targets = 目标
reports-target-words = { $answer } 秒内应答不低于 { $answer_share }%，{ $last } 秒内不低于 { $last_share }%，{ $on_site } 分钟内到场
reports-set-target = 修改目标
reports-set-target-lead = 从现在起生效；已经结束的月份仍按当时的目标评价。
reports-target-answer = 及时应答时限（秒）
reports-target-answer-share = 及时应答比例（%）
reports-target-last = 最迟应答时限（秒）
reports-target-last-share = 最迟应答比例（%）
reports-target-on-site = 到场时限（分钟）
reports-error-range = 请填写 { $min } 到 { $max } 之间的数（比例以千分之一计，时间以秒计）。
reports-error-month = 月份应写成 2026-11 的形式。

## 误报率
reports-by = 分类
reports-by-kind-tab = 按类型
reports-by-device-tab = 按设备
reports-by-rule-tab = 按规则
reports-rate = 误报率
reports-false-alarms = 误报
reports-decided = 真实与误报合计
reports-undecided = 尚未结束
reports-tests-aside = 测试
reports-duplicates-aside = 重复
reports-too-few = 样本太少
reports-false-alarms-caption = 真实与误报合计不足 { $enough } 起的不给出百分比
reports-cut = 还有 { $n } 行未显示，请下载 CSV 查看。
reports-empty = 这个月没有记录
reports-empty-text = 换一个月份或机构看看。

## 明细
reports-list-count = 共 { $n } 起
reports-list-caption = 这个数字所统计的警情
reports-figure-raised = 发生的警情
reports-figure-tests = 测试
reports-figure-duplicates = 重复
reports-figure-answered = 已应答的呼叫
reports-figure-within-answer = 及时应答的呼叫
reports-figure-judged-answer = 可评价及时应答的呼叫
reports-figure-within-last = 在最迟时限内应答的呼叫
reports-figure-judged-last = 可评价最迟应答的呼叫
reports-figure-arrived = 有到场记录的呼叫
reports-figure-within-on-site = 及时到场的呼叫
reports-figure-no-arrival = 结束但没有到场记录的呼叫
reports-figure-closed = 已结束的呼叫
reports-figure-changed-later = 结算后有变化的警情
reports-figure-real = 真实

## CSV
reports-csv-row = 项目
reports-csv-raised = 发生
reports-csv-tests = 测试
reports-csv-duplicates = 重复
reports-csv-answer-n = 已应答
reports-csv-answer-median = 应答中位数（秒）
reports-csv-answer-p90 = 应答 90%（秒）
reports-csv-answer-met = 及时应答
reports-csv-answer-of = 及时应答的分母
reports-csv-last-met = 最迟时限内应答
reports-csv-last-of = 最迟应答的分母
reports-csv-arrival-n = 有到场记录
reports-csv-arrival-median = 到场中位数（秒）
reports-csv-arrival-p90 = 到场 90%（秒）
reports-csv-on-site-met = 及时到场
reports-csv-closing-n = 已结束
reports-csv-closing-median = 处置中位数（秒）
reports-csv-closing-p90 = 处置 90%（秒）
reports-csv-as-of = 统计截至
reports-csv-id = 编号
