# Tests of devices
device-tests-error-none = Choose the devices to test.
device-tests-error-many = At most { $max } devices at a time: somebody has to press each of them within the time.
device-tests-error-disabled = “{ $name }” is switched off and cannot be tested.
device-tests-error-open = A call from “{ $name }” still waits. Deal with the call first, then test.
device-tests-error-range = Give a whole number from { $min } to { $max }.
device-tests-error-not-passed = No press was taken for this test, so it cannot become a call.

## Menu and page
device-tests-menu = Device tests
device-tests-title = Tests of emergency devices
device-tests-lead = At the device press “Start test”, then press the device within { $minutes } minutes: the time is measured and nobody is told. One press is taken for each test; a second one, or one of another device, is a real call.
device-tests-facility = Facility
device-tests-place = Place
device-tests-devices = Devices
device-tests-caption = { $name }: emergency devices by place
device-tests-standing-waiting = Waits for the press
device-tests-standing-overdue = Overdue
device-tests-standing-due = To be tested
device-tests-standing-passed = Passed
device-tests-figure-devices = Emergency devices
device-tests-figure-overdue = Tests overdue
device-tests-figure-due = To be tested
device-tests-figure-passed = Passed this time
device-tests-expects = How a first test is set off
device-tests-expects-hint = For devices that have reported no alarm yet: for a new smoke detector choose “Smoke”.
device-tests-unknown = No alarm reported yet
device-tests-start = Start test
device-tests-start-all = Start all that are due at this place ({ $n })
device-tests-start-all-confirm = Tests of { $n } devices start together. The first press of each of them within the time is taken for its test: go on only if you will press them right away.
device-tests-cancel = Cancel test
device-tests-real = This was a real call
device-tests-until = Until
device-tests-next = Next due
device-tests-last = Last passed
device-tests-never = Never
device-tests-by-itself = The device itself
device-tests-result-waiting = Waits for the press
device-tests-result-passed = Passed
device-tests-result-missed = Nothing came in time
device-tests-result-cancelled = Cancelled
device-tests-result-real = Made a real call
device-tests-ms = { $ms } ms
device-tests-stored-ms = Press to storage { $ms } ms
device-tests-shown-ms = Press to screen { $ms } ms
device-tests-no-match = No device like that
device-tests-no-match-text = Try another place or state.
device-tests-empty = No emergency devices yet
device-tests-empty-text = Once buttons, fall radars or smoke detectors are registered, their tests are listed here.
device-tests-history = Latest tests
device-tests-history-caption = The last 20 tests
device-tests-at = Time
device-tests-by = Tested by
device-tests-result = Result
device-tests-stored = Press to storage
device-tests-shown = Press to screen
device-tests-csv-stored = Press to storage (ms)
device-tests-csv-shown = Press to screen (ms)
device-tests-plan = Test plan
device-tests-interval = Days between tests
device-tests-interval-hint = Every 7 days unless you say otherwise.
device-tests-window = Minutes to wait for the press
device-tests-window-hint = As short as possible: the first press within it is taken for the test.
device-tests-exempt = Needs no test
device-tests-exempted = Devices that need no test
device-tests-include = Test again
device-tests-home-overdue = { $n ->
    [one] { $n } device test overdue
   *[other] { $n } device tests overdue
}
device-tests-home-fine = No test is overdue
device-tests-report-overdue = { $n ->
    [one] As of now the routine test of { $n } emergency device is overdue
   *[other] As of now the routine tests of { $n } emergency devices are overdue
}
device-tests-report-fine = As of now no routine test of an emergency device is overdue
device-tests-first-by = First test by { $day } at the latest
device-tests-due-today = Due today
device-tests-was-due = Was due on { $day }
device-tests-expects-alarm = A press or an alarm
device-tests-expects-any = Any message
device-tests-heard-state = Device state
device-tests-kind = Kind of test
device-tests-kind-weekly = Routine
device-tests-kind-commissioning = Commissioning
device-tests-unlisted = { $n ->
    [one] { $n } more safety monitor is not listed
   *[other] { $n } more safety monitors are not listed
}
device-tests-unlisted-text = So far these have told of climate, light, air or doors in their rooms only, and call nobody. If one of them can raise an alarm, commission it on its page by “A press or an alarm”: then it is listed.
