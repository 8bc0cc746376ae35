# Channels, message templates, deliveries

incidents-channel-email = E-mail
incidents-channel-chat = Group robot
incidents-channel-sms = Text message
incidents-channel-voice = Voice call
incidents-passed-no_address = No phone number to call; passed over
incidents-entry-sent_again = Sent again by { $who }

## Kinds
incidents-way-webhook = Signed webhook
incidents-way-voice = Voice call
incidents-way-sms = Text message
incidents-way-wecom = WeCom group robot
incidents-way-dingtalk = DingTalk group robot
incidents-way-feishu = Feishu group robot
incidents-way-email = E-mail

## Occasions
incidents-occasion-call = Call
incidents-occasion-repeat = No answer; called again
incidents-occasion-acknowledged = Acknowledged
incidents-occasion-resolved = Resolved
incidents-occasion-test = Test

## Adding one
channels-kind = Kind
channels-name = Name
channels-name-hint = If empty, the host of the URL or the first address
channels-url-hint = Must be https://. For text and voice it may hold {"{phone}"}, {"{text}"} and {"{id}"}.
channels-secret = Signing secret
channels-secret-hint = If the robot's security setting asks for a signature (DingTalk, Feishu); never shown again
channels-recipients = Addresses, or spare numbers
channels-recipients-hint = E-mail: up to 10 addresses. Text and voice: numbers to call when nobody has one of their own; may be empty. One a line.
channels-locale = Language of messages
channels-locale-zh = 中文 (Chinese)
channels-locale-en = English
channels-follow = Tell whom it called as well that somebody has answered, and that it is over
channels-provider = The provider's interface
channels-provider-hint = As the provider's documentation says. {"{phone}"} is the number, {"{text}"} the message, {"{id}"} its id (the same when it is sent again).
channels-method = Method
channels-format = Body format
channels-format-json = JSON
channels-format-form = Form (URL-encoded)
channels-headers = Headers
channels-headers-hint = One a line, for example Authorization: Bearer …; never shown again
channels-body = Body template
channels-ok-status = Status of success
channels-ok-status-hint = If empty, any of 200 to 299
channels-ok-field = Field that tells success
channels-ok-field-hint = A field of the JSON answer, for example Response.Code; if empty, the status alone
channels-ok-value = Its value on success
channels-mail-hint = E-mail leaves by the server of [mail] in the configuration.

## One endpoint
channels-details = Endpoint
channels-test-phone = Number for the test
channels-test-phone-hint = If empty, the first spare number
channels-test-lead = Sends a message that asks nobody for anything, waits up to 6 seconds, and shows what came back.
channels-test-sent = The test was delivered; the other side took it.
channels-test-waiting = No answer yet; load the page again in a moment.
channels-test-failed = The test was not delivered
channels-deliveries = Latest messages
channels-deliveries-empty = Nothing was sent yet
channels-deliveries-empty-text = Calls that go this way, and tests, are listed here.
channels-occasion = About
channels-incident = Alarm
channels-created = Created
channels-next = Next try
channels-again = Send again
channels-yes = Yes
channels-no = No

## Message templates
channels-menu-templates = Message templates
channels-templates = Message templates
channels-templates-lead = The words of e-mail, group robots, text messages and voice calls, by facility. Webhooks carry data and use none.
channels-templates-empty = No facility to set words for
channels-templates-empty-text = Ask the system administrator for a role at a facility.
channels-template = Template
channels-template-own = Own words
channels-template-built-in = Built in
channels-preview = Preview
channels-reset = Built-in words
channels-show = Show
channels-placeholders = Placeholders
channels-value-place = Place
channels-value-resident = Resident
channels-value-kind = Kind of alarm
channels-value-priority = Level
channels-value-time = Time of the call
channels-value-facility = Facility
channels-value-source = Device that raised it
channels-value-who = Whom it tells; once answered or resolved, by whom
channels-value-times = How often it was repeated
channels-value-late = A warning when the message came late, else nothing
channels-late = Came { $seconds } seconds late: check at once.
channels-default-call = { $kind }: { $place }, { $resident }, { $time }. Please go at once. { $late } ({ $facility })
channels-default-repeat = Still no answer (repeat { $times }). { $kind }: { $place }, { $resident }, { $time }. Please go at once. ({ $facility })
channels-default-acknowledged = { $who } is on it: { $kind }, { $place }, { $resident }, { $time }. ({ $facility })
channels-default-resolved = Resolved by { $who }: { $kind }, { $place }, { $resident }, { $time }. ({ $facility })
channels-default-test = Test message; nothing to do. { $time } ({ $facility })
channels-example-place = Floor 3, room 305, bed 1
channels-example-resident = 张秀英
channels-example-source = Bathroom cord
channels-example-person = 李护理

## Errors
channels-error-address = “{ $value }” is no e-mail address
channels-error-phone = “{ $value }” is no phone number
channels-error-too-many = At most { $max }
channels-error-no-recipients = This kind has no recipients
channels-error-placeholder = There is no placeholder “{ $name }”; known are { $known }
channels-error-placeholder-missing = { $name } is missing
channels-error-braces = Braces are for placeholders only
channels-error-body-json = No valid JSON once filled in; placeholders stand within quotes
channels-error-headers = A header's name or value is not valid; at most { $max }
channels-error-header-lines = Each line is “Name: value”
channels-error-not-failed = This message has not failed; there is nothing to send again
channels-error-closed = The alarm is resolved; nobody is called again
