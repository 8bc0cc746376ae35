# Alarms and their handling

## Names and menu
incidents-menu-board = Alarms
incidents-menu-list = Alarm history
incidents-menu-ladders = Escalation
incidents-menu-endpoints = Outside channels
incidents-board = Alarms
incidents-incident = Alarm

## Kinds
incidents-kind-sos = Emergency call
incidents-kind-fall = Fall
incidents-kind-smoke = Smoke
incidents-kind-gas = Gas leak
incidents-kind-co = Carbon monoxide
incidents-kind-leak = Water leak
incidents-kind-door_open = Door left open
incidents-kind-bed_exit = Out of bed
incidents-kind-tamper = Tampering
incidents-kind-low_battery = Low battery
incidents-kind-threshold = Reading out of range
incidents-kind-device_offline = Device offline
incidents-kind-system = System alarm

## Priorities
incidents-priority = Priority
incidents-priority-high = Urgent
incidents-priority-medium = Attention
incidents-priority-low = Notice
incidents-priority-info = Information

## Statuses
incidents-status = Status
incidents-status-raised = Raised
incidents-status-notified = Notified
incidents-status-acknowledged = Acknowledged
incidents-status-on_site = On site
incidents-status-resolved = Resolved
incidents-status-reviewed = Reviewed

## Outcomes
incidents-outcome = Outcome
incidents-outcome-real = Real
incidents-outcome-false_alarm = False alarm
incidents-outcome-test = Test
incidents-outcome-duplicate = Duplicate
incidents-outcome-real-hint = It happened and was dealt with
incidents-outcome-false_alarm-hint = Nothing had happened; a device or an accidental press
incidents-outcome-test-hint = A planned test or drill
incidents-outcome-duplicate-hint = The same event as another alarm

## Actions
incidents-acknowledge = I'm going
incidents-arrive = I'm there
incidents-resolve = Resolve
incidents-review = Review
incidents-details = Details
incidents-see-resident = Resident
incidents-sending = Sending…
incidents-you = You

## Targets and channels
incidents-target-on_call = Carers on duty
incidents-target-nurse_lead = Nurse lead
incidents-target-contact = Family contact
incidents-target-manager = Manager
incidents-target-street_centre = Street centre
incidents-channel-board = Alarm board
incidents-channel-webhook = Outside channel (any)
incidents-passed-nobody = Nobody to tell at this time; passed over
incidents-passed-no_channel = No channel configured; passed over
incidents-passed-channel_failed = Channel failed; passed over
incidents-passed-no_live_board = No alarm board with sound on; passed over
incidents-rung-waiting = Waiting
incidents-rung-sending = being told
incidents-rung-passed = passed over
incidents-rung-told = told
incidents-rung-next-before = to be told
incidents-rung-next-after = {""}
incidents-rung-stopped = no longer needed
incidents-ladder-progress = Who has been told
incidents-exhausted = The list is at its end and nobody answered. Go now.
incidents-exhausted-calm = The list is at its end and nobody has taken it yet.

## Alarm board
incidents-open = Waiting
incidents-open-suffix = waiting
incidents-none-open = No alarms are waiting
incidents-none-open-text = A new call appears here at once, with sound.
incidents-place-unknown = Place unknown
incidents-no-resident = No resident linked
incidents-late = Late by
incidents-late-seconds = Late by { $n } s: check at once
incidents-late-verify = : check at once
incidents-presses = Pressed { $n } times
incidents-acknowledged-by = { $name } is on it
incidents-acknowledged-by-me = You are on it
incidents-arrived-by = { $name } is there,
incidents-arrived-by-me = you are there,
incidents-answered-in = answered in
incidents-this-shift = This shift
incidents-since = since
incidents-stat-resolved = Resolved
incidents-stat-mean = Mean answer
incidents-stat-within = Within 60 s
incidents-stat-false = False alarms
incidents-just-resolved = Just resolved
incidents-none-resolved = Nothing resolved in this shift yet
incidents-stream-connecting = Connecting
incidents-stream-live = Connected
incidents-stream-stale = Connection lost
incidents-sound-off = Sound is off
incidents-sound-on = Sound is on
incidents-sound-other-tab = Sound in another window
incidents-sound-paused = Sound paused
incidents-sound-start = Turn sound on
incidents-sound-pause = Pause sound
incidents-sound-resume = Resume sound
incidents-sound-panel-title = Start of shift: turn the sound on
incidents-sound-panel-text = Without sound a call can be missed. You will hear a test tone.
incidents-sound-heard-question = Did you hear the test tone?
incidents-sound-help = Turn up the volume, check the mute switch, then press “I did not” to try again.
incidents-sound-yes = Yes, I heard it
incidents-sound-no = I did not; try again
incidents-board-needs-script = The alarm board needs JavaScript for live updates and sound. Please use another browser.
incidents-error-no-stream = The live stream of this board is not open, so it does not count as heard. Connect to the stream first.
incidents-error-network = The network is down and this did not arrive. Press again, or go there directly.
incidents-error-session = Your session has ended and this did not arrive. Go there directly, then sign in again.
incidents-error-refused = You may not do this
incidents-error-conflict = This has changed meanwhile and was refreshed
incidents-error-server = The server failed and this did not arrive. Press again, or go there directly.
incidents-unit-minutes = min
incidents-unit-hours = h
incidents-unit-days = d
incidents-in-seconds = in { $n } s
incidents-in-minutes = in { $n } min
incidents-unit-now = now

## One alarm
incidents-story = The whole story
incidents-story-empty = No entries yet
incidents-facts = Facts
incidents-raised-at = Raised
incidents-observed-at = Device time
incidents-received-at = Received
incidents-place = Place
incidents-resident = Resident
incidents-device = Device
incidents-rule = Rule
incidents-cause = What caused it
incidents-cause-none = No observation is linked
incidents-raw-message = Raw message
incidents-people = People
incidents-contacts = Family contacts
incidents-contact-rank = Contact { $n }
incidents-response-times = Response times
incidents-time-to-notified = To notification
incidents-time-to-acknowledged = To acknowledgement
incidents-time-to-on_site = To arrival
incidents-time-to-resolved = To resolution
incidents-not-yet = Not yet
incidents-deliveries = Deliveries
incidents-deliveries-none = Nothing was sent yet
incidents-delivery-to = To
incidents-delivery-channel = Channel
incidents-delivery-state = State
incidents-delivery-attempts = Tries
incidents-delivery-waiting = Waiting
incidents-delivery-sent = Delivered
incidents-delivery-failed = Failed
incidents-delivery-retrying = Retrying
incidents-delivery-expired = Expired
incidents-delivery-passed = Passed over
incidents-delivery-seen = Shown
incidents-resolution = Resolution
incidents-resolved-by = Resolved by
incidents-follow-up = Follow-up
incidents-follow-up-none = None needed
incidents-follow-up-needed = Needed
incidents-follow-up-text = What is to be done
incidents-follow-up-due = Due
incidents-follow-up-by = by
incidents-resolve-title = Resolve
incidents-resolve-lead = An alarm closes only with its outcome and follow-up.
incidents-what-done = What was done
incidents-what-done-hint = For example: helped to the toilet, no injury, daughter informed
incidents-duplicate-of = Duplicate of
incidents-resolve-not-yet = Acknowledge first, then fill in the resolution.
incidents-review-title = Review
incidents-review-note = Review note
incidents-reviewed-by = Reviewed by
incidents-add-note = Add a note
incidents-note = Note

## Timeline entries
incidents-entry-raised = Alarm raised
incidents-entry-signal = Triggered again; joined
incidents-entry-cleared = The device reports clear; a person must still confirm
incidents-entry-told = Told: { $who }
incidents-entry-passed = Passed over: { $who }
incidents-entry-sending = Telling { $who }
incidents-entry-delivery_delayed = Notification delayed; trying again
incidents-entry-delivery_failed = Notification failed
incidents-entry-repeated = Still no answer; everyone is told again
incidents-entry-exhausted = Nobody answered on the last rung
incidents-entry-acknowledged = Acknowledged by { $who }
incidents-entry-arrived = { $who } arrived
incidents-entry-resolved = Resolved by { $who }
incidents-entry-reviewed = Reviewed by { $who }
incidents-entry-note = Note by { $who }
incidents-entry-plan = Planned: tell { $who }

## History
incidents-list = Alarm history
incidents-list-caption = Alarms, newest first
incidents-list-empty = No alarms yet
incidents-list-empty-text = The first call from a device will appear here.
incidents-list-no-match = No alarm matches
incidents-list-no-match-text = Please widen the filter.
incidents-filter-status = Status
incidents-filter-status-open = Open
incidents-filter-status-closed = Closed
incidents-filter-kind = Kind
incidents-filter-priority = Priority
incidents-filter-from = From
incidents-filter-to = To
incidents-response = Answered
incidents-what = Alarm
incidents-where = Place and resident

## Escalation
incidents-ladders = Escalation ladders
incidents-ladders-lead = When nobody answers, the next people are told, step by step: one ladder per facility and scenario.
incidents-ladders-empty = No ladders yet
incidents-ladders-empty-text = Without one, alarms only appear on the board. Please create one.
incidents-ladder-new = New ladder
incidents-ladder-edit = Edit ladder
incidents-ladder-name = Name
incidents-ladder-facility = Facility
incidents-ladder-scenario = Scenario
incidents-ladder-scenario-any = Any scenario
incidents-ladder-priority = For priority
incidents-ladder-repeat = Repeat until answered
incidents-ladder-repeat-every = Every (seconds)
incidents-ladder-rungs = Rungs
incidents-ladder-rungs-hint = Times go from early to late; the first rung is at 0 seconds. A rung that tells nobody (“None”) is not kept. The contact rank is for family contacts only.
incidents-ladder-delete-confirm = Delete this escalation ladder?
incidents-rung = Rung { $n }
incidents-rung-after = Seconds after raising
incidents-rung-target = Whom
incidents-rung-rank = Contact rank
incidents-rung-channel = Channel
incidents-rung-remove = Remove rung { $n }
incidents-rung-add = Add a rung
incidents-rung-at-once = at once
incidents-rung-after-n = after { $n } s
incidents-ladder-warnings = There are hours in the coming week with nobody to tell
incidents-ladder-warning-hours = { $from } to { $to }: nobody can be reached
incidents-ladder-warning-rung = Rung { $n }: { $reason }
incidents-ladder-covered = Somebody can be reached in every hour of the coming week
incidents-ladder-saved-anyway = Saved, but please arrange shifts or channels soon.

## Webhooks
incidents-endpoints = Outside channels
incidents-endpoints-lead = Calls that climb the ladder leave the house by webhook, e-mail, group robot, text message or voice call.
incidents-endpoints-empty = No channels yet
incidents-endpoints-empty-text = Once one is added, ladders can use it. “Outside channel (any)” takes the first one that works.
incidents-endpoint-add = Add a channel
incidents-endpoint-url = Address
incidents-endpoint-for = Used for
incidents-endpoint-secret = Signing secret
incidents-endpoint-secret-once = This secret is shown only once. Copy it to the other system now.
incidents-endpoint-secret-shown = This endpoint was added just now; its secret is not shown again. If you did not keep it, delete the endpoint and add it anew.
incidents-endpoint-last-ok = Last success
incidents-endpoint-last-error = Last failure
incidents-endpoint-never = Never
incidents-endpoint-test = Send a test
incidents-endpoint-delete = Delete this channel
incidents-endpoint-delete-confirm = Delete this channel?

## Room tag
incidents-tag-title = At { $place }
incidents-tag-open = Alarms waiting here
incidents-tag-none = No alarms are waiting here
incidents-tag-none-text = If you were called, look at the alarm board.
incidents-tag-arrived = Your arrival is recorded · { $time }
incidents-tag-arrive-all = I'm there ({ $n } alarms)

## Errors
incidents-error-not-open = This alarm is already closed
incidents-error-not-acknowledged = Acknowledge it first, then resolve it
incidents-error-outcome-required = Choose the outcome
incidents-error-action-required = Say what was done
incidents-error-follow-up-required = Say whether a follow-up is needed
incidents-error-follow-up-text-required = Say what is to be done
incidents-error-follow-up-due-required = Give the date it is due
incidents-error-duplicate-required = Say which alarm it duplicates
incidents-error-rungs-empty = At least one rung is needed
incidents-error-rungs-order = Rungs must be in order of time
incidents-error-rank-required = Give the contact's rank
incidents-error-already-acknowledged = { $name } has already acknowledged
incidents-error-tag-unknown = This tag is not registered. Please ask your administrator.
incidents-error-still-open = The alarm is still open and cannot be reviewed
incidents-error-contact-board = Family contacts do not see the board; use the webhook channel
incidents-error-first-rung = The first rung must be told at once (0 seconds)
incidents-error-too-many-rungs = At most { $max } rungs
incidents-entry-joined = Triggered again; joined
incidents-entry-notified = Told: { $who }
incidents-entry-escalated = Escalated to { $who }
incidents-entry-delivery_sent = Notification delivered
incidents-entry-priority_changed = Priority changed
incidents-csv-response = Answered (s)
incidents-error-period = The period is at most { $max } days
incidents-error-follow-up-due = The date due must not be past, and at most { $months } months ahead
incidents-error-url-https = The address must begin with https:// (http:// only to this machine itself)
incidents-error-url-user = The address must not contain a user name or password
incidents-error-url-characters = The address must not contain spaces or control characters
incidents-error-url-host = Link-local addresses cannot be used
incidents-gaps-detail = { $n ->
    [one] { $n } period of the coming week has nobody to tell
   *[other] { $n } periods of the coming week have nobody to tell
}
incidents-system-long-transaction = A database transaction has been open for { $n } seconds and holds all later events back. The system administrator has to find and end it.
incidents-system-parked-work = { $n ->
    [one] One piece of background work
   *[other] { $n } pieces of background work
 } failed again and again and was set aside. The system administrator has to look at it under “System”.
incidents-resident-ability = Ability level { $level }
incidents-resident-alone = Lives alone
incidents-resident-fall-risk = High fall risk
incidents-target-any = Everything

## Said by the server
incidents-title = Incidents
incidents-day = { $year }-{ $month }-{ $day }
incidents-note-late = { $seconds } s late
incidents-note-times = time { $n }
incidents-note-by-tag = by the room's tag
incidents-entry-called_again = Called again: notification starts anew
incidents-ladder-built-in = Built-in ladder
incidents-ladder-warning-more = { $n ->
    [one] { $n } more stretch
   *[other] { $n } more stretches
}
