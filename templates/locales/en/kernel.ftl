# Kernel: frame, sign-in, system state, errors

## Frame
kernel-brand = Songhe
kernel-brand-line = Smart eldercare
kernel-motto = When someone calls for help, somebody knows at once, and every step is kept.
kernel-skip = Skip to content
kernel-close = Close
kernel-more = More
kernel-back = Back
kernel-nav-main = Main navigation
kernel-nav-quick = Quick navigation
kernel-breadcrumb = You are here
kernel-section-work = Work
kernel-section-scenes = Scenarios
kernel-section-manage = Administration
kernel-theme-day = Day
kernel-theme-night = Night
kernel-sign-out = Sign out
kernel-live-stale = The live connection is lost; what you see may be out of date. Reconnecting…
kernel-watch-waiting = Alarms waiting for an answer: { $n }
kernel-home = Home
kernel-system = System state
kernel-api-docs = API reference

## Sign-in
kernel-sign-in = Sign in
kernel-username = User name
kernel-password = Password
kernel-sign-in-wrong = Wrong user name or password. Please try again.
kernel-sign-in-locked = Too many attempts. Please try again in { $s } seconds.
kernel-sign-in-expired = Your session has ended. Please sign in again.
kernel-sign-in-disabled = This account is disabled. Please ask your administrator.
kernel-demo-accounts = Demo accounts
kernel-role = Role
kernel-role-system_admin = System administrator
kernel-role-facility_admin = Facility administrator
kernel-role-nurse = Nurse
kernel-role-carer = Carer
kernel-role-cashier = Cashier
kernel-role-pharmacist = Pharmacist
kernel-role-therapist = Therapist
kernel-role-supervisor = Supervisor
kernel-role-family = Family

## Common actions
kernel-save = Save
kernel-cancel = Cancel
kernel-edit = Edit
kernel-delete = Delete
kernel-add = Add
kernel-remove = Remove
kernel-search = Search
kernel-filter = Filter
kernel-filter-clear = Clear filter
kernel-all = All
kernel-yes = Yes
kernel-no = No
kernel-none = None
kernel-actions = Actions
kernel-next-page = Next page
kernel-first-page = First page
kernel-shown = { $n } on this page
kernel-required = (required)
kernel-optional = optional
kernel-download-csv = Export CSV
kernel-print = Print
kernel-time = Time
kernel-state = State
kernel-name = Name
kernel-kind = Kind
kernel-detail = Details
kernel-enabled = Enabled
kernel-disabled = Disabled
kernel-data-as-of = As of
kernel-saved = Saved
kernel-dash = —
kernel-list-separator = {", "}
kernel-semicolon = {"; "}
kernel-colon = {": "}

## Home
kernel-home-hello = Hello, { $name }
kernel-home-today = What needs you now
kernel-home-quiet = No alarms are waiting
kernel-home-waiting = { $n ->
    [one] { $n } alarm is waiting
   *[other] { $n } alarms are waiting
}
kernel-home-open-board = Open the alarm board
kernel-home-follow-ups = Follow-ups due
kernel-home-no-follow-ups = No follow-ups are due
kernel-home-due = Due
kernel-home-overdue = Overdue
kernel-home-my-shifts = My shifts
kernel-home-no-shifts = You have no shifts in the coming week
kernel-home-nothing = There is nothing for your account yet
kernel-home-nothing-text = This version has no pages for your role. If you need help, please ask the facility.

## Error pages
kernel-error-title-400 = This request makes no sense to us
kernel-error-title-401 = Please sign in first
kernel-error-title-403 = You may not see this page
kernel-error-title-404 = Page not found
kernel-error-title-405 = This action is not possible here
kernel-error-title-409 = Somebody else changed this
kernel-error-title-413 = Too much was sent
kernel-error-title-422 = Something needs to be corrected
kernel-error-title-429 = Too many requests
kernel-error-title-500 = Something went wrong on our side
kernel-error-title-503 = Temporarily unavailable
kernel-problem-title-400 = Bad request
kernel-problem-title-401 = Not signed in
kernel-problem-title-403 = Not permitted
kernel-problem-title-404 = Not found
kernel-problem-title-405 = Method not allowed
kernel-problem-title-409 = Conflict
kernel-problem-title-413 = Body too large
kernel-problem-title-422 = Fields to be corrected
kernel-problem-title-429 = Too many requests
kernel-problem-title-500 = Internal server error
kernel-problem-title-503 = Unavailable
kernel-error-request-id = Request number
kernel-error-report-hint = If you need help, tell your administrator the request number.
kernel-error-emergency-hint = If you are answering an alarm, go there now and tell your colleagues by other means.
kernel-error-go-home = Back to home
kernel-error-go-board = Open the alarm board
kernel-error-try-again = Try again

## Error messages
error-invalid = Something needs to be corrected
error-bad-request = The request is malformed
error-unauthenticated = Please sign in first
error-forbidden = You may not do this. If your work needs it, ask the facility's administrator.
error-not-found = Not found, or outside your area
error-method-not-allowed = This address does not support that method
error-conflict = This has changed meanwhile. Refresh and try again.
error-idempotency-conflict = This idempotency key was already used for a different request
error-too-large = Too large: the limit is { $limit } bytes
error-too-many = Too many requests. Try again in { $seconds } seconds.
error-unavailable = Temporarily unavailable. Please try again shortly.
error-database = The database is unavailable. Please try again shortly.
error-internal = Internal error; it has been logged
error-csrf = This page has expired. Refresh it and submit again.
error-unsupported-media-type = This content type is not supported
error-bad-cursor = The page position is no longer valid. Start from the first page.

## Validation
kernel-errors-title = { $n ->
    [one] Please correct { $n } field
   *[other] Please correct { $n } fields
}
error-required = Please fill this in
error-choose = Please choose one
error-too-long = At most { $max } characters
error-too-short = At least { $min } characters
error-invalid-number = Please enter a number
error-out-of-range = Please enter a number from { $min } to { $max }
error-invalid-date = Please enter a date such as 2026-11-22
error-invalid-time = Please enter a time such as 14:30
error-in-future = The time may not be in the future
error-in-past = The time may not be in the past
error-end-before-start = The end must be after the start
error-invalid-phone = Please enter a valid phone number
error-invalid-url = Please enter an address that begins with https://
error-unknown-choice = The chosen item was not found
error-invalid-choice = Not a possible value: { $value }
error-already-exists = This already exists
error-unseen-character = There is an invisible character ({ $code }) in it. Remove it, or type the words again.
error-password-weak = This password is too short or too common

## System state
kernel-system-lead = Queues, timers, effects and connections as they are now.
kernel-system-ok = All is well
kernel-system-attention = { $n ->
    [one] { $n } needs attention
   *[other] { $n } need attention
}
kernel-system-version = Version
kernel-system-database = Database
kernel-system-uptime = Running for
kernel-system-started = Started at
kernel-system-queues = Queues
kernel-system-queue = Queue
kernel-system-depth = Waiting
kernel-system-oldest = Oldest waiting
kernel-system-capacity = Capacity
kernel-system-processed = Processed
kernel-system-dropped = Dropped
kernel-system-no-queues = No queues
kernel-system-timers = Timers
kernel-system-timers-pending = Pending
kernel-system-timers-overdue = Overdue
kernel-system-next-due = Next due
kernel-system-effects = Effects
kernel-system-effect = Effect
kernel-system-attempts = Attempts
kernel-system-next-attempt = Next attempt
kernel-system-last-error = Last error
kernel-system-no-effects = No effects are waiting or failed
kernel-system-retries = Event retries
kernel-system-subscriber = Module
kernel-system-event = Event
kernel-system-parked = Parked
kernel-system-no-retries = No events are waiting for a retry
kernel-system-subscriptions = Event subscriptions
kernel-system-behind = Behind
kernel-system-no-subscriptions = No event subscriptions
kernel-system-adapters = Device adapters
kernel-system-adapter = Adapter
kernel-system-messages = Messages
kernel-system-rejected = Rejected
kernel-system-last-message = Last message
kernel-system-no-adapters = No device adapter is enabled
kernel-system-broker = Message broker
kernel-system-broker-kind = Kind
kernel-system-broker-embedded = Embedded
kernel-system-broker-external = External
kernel-system-broker-address = Address
kernel-system-connections = Connections
kernel-system-streams = Live pages
kernel-system-streams-sound = Alarm boards with sound
kernel-system-modules = Modules
kernel-system-status-ok = OK
kernel-system-status-warn = Attention
kernel-system-status-fail = Failed
kernel-system-status-off = Off
kernel-effect-waiting = Waiting
kernel-effect-running = Running
kernel-effect-done = Delivered
kernel-effect-failed = Failed
kernel-effect-expired = Expired
kernel-effect-cancelled = Cancelled

## API reference
kernel-api-lead = Everything a page does can be done here, with a bearer token from sign-in or the browser's session.
kernel-api-download = OpenAPI description
kernel-api-operations = { $n } operations
kernel-api-find = Find on this page with Ctrl+F
kernel-api-permission = Permission
kernel-api-public = Public
kernel-api-parameters = Parameters
kernel-api-parameter = Parameter
kernel-api-in = In
kernel-api-type = Type
kernel-api-required = Required
kernel-api-description = Description
kernel-api-body = Request body
kernel-api-responses = Responses
kernel-api-status = Status
kernel-api-schemas = Schemas
kernel-api-field = Field
kernel-api-no-parameters = No parameters
error-busy = The system is busy. Please try again shortly.
error-database-unreachable = The database cannot be reached. Please try again shortly.
error-password-long = The password is too long: at most { $max } bytes
error-password-short = The password is too short: at least { $min } characters
error-stopping = The system is stopping. Please try again shortly.
error-username-form = A user name has 2 to { $max } characters and no spaces
error-username-taken = This user name is taken

## Lengths of time
duration-days = { $second ->
    [0] { $first } d
   *[other] { $first } d { $second } h
}
duration-hours = { $second ->
    [0] { $first } h
   *[other] { $first } h { $second } min
}
duration-minutes = { $second ->
    [0] { $first } min
   *[other] { $first } min { $second } s
}
duration-seconds = { $first } s
