# 设备数据的趋势图

devices-charts = 趋势
devices-range = 时间范围
devices-range-day = 今天
devices-range-week = 近 7 天
devices-range-month = 近 30 天
devices-range-year = 近一年
devices-chart-from = 开始日期
devices-chart-until = 结束日期
devices-chart-show = 查看
devices-chart-none = 这段时间没有数据
devices-chart-finding = 平均 { $avg }，最低 { $min }，最高 { $max } { $unit }
devices-chart-no-good = 这段时间没有有效读数
devices-chart-events = 共 { $n } 次
devices-chart-table = { $name }数据表
devices-chart-time = 时间
devices-chart-avg = 平均
devices-chart-min = 最低
devices-chart-max = 最高
devices-chart-count = 读数个数
devices-chart-other = 无效读数
devices-chart-times = 次数
devices-resolution-raw = 逐条数据，最新的在前
devices-resolution-minutes = 按分钟汇总，最新的在前
devices-resolution-hour = 按小时汇总，最新的在前
devices-resolution-day = 按天汇总，最新的在前

devices-error-two-days = 请填写开始日期和结束日期，例如 2026-11-22。
devices-error-days-order = 结束日期不能早于开始日期。
devices-error-range-long = 时间范围不能超过 { $days } 天。
devices-error-until = 结束时间必须晚于开始时间。
devices-error-kind = 没有这种观测，请填写例如 heart_rate 或 sos。
