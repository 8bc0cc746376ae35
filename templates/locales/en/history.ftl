# Charts of what devices tell

devices-charts = Trends
devices-range = Range
devices-range-day = Today
devices-range-week = 7 days
devices-range-month = 30 days
devices-range-year = One year
devices-chart-from = First day
devices-chart-until = Last day
devices-chart-show = Show
devices-chart-none = No data in this time
devices-chart-finding = Average { $avg }, lowest { $min }, highest { $max } { $unit }
devices-chart-no-good = No valid reading in this time
devices-chart-events = { $n ->
    [one] Once
   *[other] { $n } times
 }
devices-chart-table = Figures: { $name }
devices-chart-time = Time
devices-chart-avg = Average
devices-chart-min = Lowest
devices-chart-max = Highest
devices-chart-count = Readings
devices-chart-other = Invalid
devices-chart-times = Times
devices-resolution-raw = Each observation, the newest first
devices-resolution-minutes = By minutes, the newest first
devices-resolution-hour = By hours, the newest first
devices-resolution-day = By days, the newest first

devices-error-two-days = Give a first and a last day, for example 2026-11-22.
devices-error-days-order = The last day must not be before the first.
devices-error-range-long = A range must not be longer than { $days } days.
devices-error-until = The end must be after the beginning.
devices-error-kind = There is no such kind of observation; give for example heart_rate or sos.
