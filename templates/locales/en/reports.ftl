# Response reports and false-alarm rates

## Menu and pages
reports-menu = Response report
reports-response = How calls were answered
reports-false-alarm-rates = False-alarm rates
reports-print = Print
reports-show = Show
reports-month = Month
reports-facility = Facility
reports-shift = Shift
reports-no-shift = Nobody on the roster
reports-as-of = Counted up to
reports-settled = settled, figures no longer change
reports-settling = what happens within 72 hours after the month still counts
reports-running = the month is not over
reports-see-list = See the list
reports-changed-later = { $n ->
    [one] Something happened to { $n } incident after the month was settled. It is not counted here.
   *[other] Something happened to { $n } incidents after the month was settled. It is not counted here.
}
reports-back = Back to the report
reports-total = Total (high and medium)
reports-total-caption = All calls of high and medium priority
reports-by-kind = By kind and priority
reports-by-shift = By shift (high and medium)
reports-by-facility = By facility (high and medium)

## Columns
reports-calls = Calls
reports-calls-unit = counted
reports-answer = Time to answer
reports-within-answer = Answered in time
reports-within-last = Answered at last
reports-arrival = Time to arrive
reports-within-on-site = On site in time
reports-closing = Time to close
reports-open = Still open
reports-unanswered = Unanswered
reports-nobody = Nobody told
reports-undelivered = Failed messages
reports-delayed = Late
reports-p90 = 90% { $p90 }
reports-times-name = Median and 90%
reports-share-note = { $met } / { $of }
reports-share-target = { $met } / { $of }, target { $target }

## What the total is made of
reports-made-raised = { $n } raised
reports-made-tests = { $n } tests
reports-made-duplicates = { $n } duplicates
reports-made-delayed = { $n } late
reports-made-calls = { $n } calls by which people are measured
reports-made-no-arrival = { $n } closed without a recorded arrival

## Definitions
reports-definitions = What is counted
reports-def-month = A civil month in the facility's time zone; an incident belongs to the month in which it was raised. 72 hours after its end a month is settled: answers, arrivals and closings up to then count, later ones do not and are told at the top of the page.
reports-def-calls = Incidents of the month without those that turned out to be a test or a duplicate, and without late ones. A false alarm is a call: somebody has to answer it. A press of a device test raises no incident.
reports-def-answer = From the call's arrival at the server to the first person who pressed “I am going” or arrived. In whole seconds, rounded down.
reports-def-within = Of calls that were answered, and unanswered ones that have waited longer than the limit; for limits see “Targets”. Per cent are rounded down to 0.1, never up to 100%.
reports-def-arrival = From the call to the first arrival (pressed, or the room's tag scanned). In time is judged of calls with a recorded arrival; those closed without one are counted apart in the total.
reports-def-closing = From the call to its closing with an outcome.
reports-def-times = Each is the time of a real call: half of the calls took no longer than the median, nine of ten no longer than the 90% figure.
reports-def-nobody = The whole ladder was climbed and no step reached anybody.
reports-def-undelivered = At least one message was given up, even if others arrived.
reports-def-delayed = Arrived at the server more than 60 seconds after it happened (device or network down). Its times say nothing of how fast people were, so it is counted apart.
reports-def-shift = The shift that ran when the call was raised, the latest begun if several did; by the roster as it is now.
reports-def-targets = A month is judged by the targets in force at its end; later changes leave it as it is.
reports-def-rate = False alarms ÷ (real + false alarms), by the month in which they were raised. Tests, duplicates and what is still open are counted apart. With fewer than { $enough } decided there is no percentage.

## Targets
reports-targets = Targets
reports-target-words = at least { $answer_share }% answered within { $answer } s, { $last_share }% within { $last } s; on site within { $on_site } min
reports-set-target = Change the targets
reports-set-target-lead = In force from now on; months that are over are still judged by what was in force then.
reports-target-answer = Answered in time: seconds
reports-target-answer-share = Answered in time: share (%)
reports-target-last = Answered at last: seconds
reports-target-last-share = Answered at last: share (%)
reports-target-on-site = On site: minutes
reports-error-range = Give a number from { $min } to { $max } (shares in thousandths, times in seconds).
reports-error-month = Write the month like 2026-11.

## False alarms
reports-by = Grouped by
reports-by-kind-tab = By kind
reports-by-device-tab = By device
reports-by-rule-tab = By rule
reports-rate = False-alarm rate
reports-false-alarms = False alarms
reports-decided = Real or false alarm
reports-undecided = Not closed yet
reports-tests-aside = Tests
reports-duplicates-aside = Duplicates
reports-too-few = Too few
reports-false-alarms-caption = With fewer than { $enough } decided there is no percentage
reports-cut = { $n } more rows: download the CSV file.
reports-empty = Nothing in this month
reports-empty-text = Try another month or facility.

## The list behind a figure
reports-list-count = { $n ->
    [one] { $n } incident
   *[other] { $n } incidents
}
reports-list-caption = The incidents that this figure counts
reports-figure-raised = Incidents raised
reports-figure-tests = Tests
reports-figure-duplicates = Duplicates
reports-figure-answered = Calls that were answered
reports-figure-within-answer = Calls answered in time
reports-figure-judged-answer = Calls judged for an answer in time
reports-figure-within-last = Calls answered within the last limit
reports-figure-judged-last = Calls judged for the last limit
reports-figure-arrived = Calls with a recorded arrival
reports-figure-within-on-site = Calls with somebody on site in time
reports-figure-no-arrival = Calls closed without a recorded arrival
reports-figure-closed = Calls that were closed
reports-figure-changed-later = Incidents changed after the month was settled
reports-figure-real = Real

## CSV
reports-csv-row = Row
reports-csv-raised = Raised
reports-csv-tests = Tests
reports-csv-duplicates = Duplicates
reports-csv-answer-n = Answered
reports-csv-answer-median = Answer, median (s)
reports-csv-answer-p90 = Answer, 90% (s)
reports-csv-answer-met = Answered in time
reports-csv-answer-of = Judged for an answer in time
reports-csv-last-met = Answered within the last limit
reports-csv-last-of = Judged for the last limit
reports-csv-arrival-n = Arrivals recorded
reports-csv-arrival-median = Arrival, median (s)
reports-csv-arrival-p90 = Arrival, 90% (s)
reports-csv-on-site-met = On site in time
reports-csv-closing-n = Closed
reports-csv-closing-median = Closing, median (s)
reports-csv-closing-p90 = Closing, 90% (s)
reports-csv-as-of = Counted up to
reports-csv-id = Id
