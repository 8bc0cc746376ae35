# Devices, observations and quarantine

## Menu
devices-menu-devices = Devices
devices-menu-quarantine = Quarantine

## Devices
devices-devices = Devices
devices-caption = Devices
devices-register = Register a device
devices-search-label = Name, serial or place
devices-class = Class
devices-where = Place and resident
devices-unbound = Not bound
devices-never = Never
devices-last-seen = Last heard
devices-first-seen = First heard
devices-battery = Battery
devices-online = On line
devices-offline = Off line
devices-registered = Registered
devices-serial = Serial
devices-serial-hint = As printed on the device: letters, digits and hyphens
devices-name-hint = A name that carers understand, such as “bathroom pull cord”
devices-choose = Please choose
devices-empty = No devices yet
devices-empty-text = Registering a device gives you its credential.
devices-no-match = No device matches
devices-no-match-text = Check the name or serial.
devices-filter-online = On line
devices-filter-offline = Off line
devices-filter-low-battery = Low battery
devices-filter-unbound = Not bound
devices-figure-total = Devices
devices-figure-online = On line
devices-figure-low-battery = Low battery
devices-figure-quarantine = In quarantine
devices-quarantined-n = { $n ->
    [one] { $n } unregistered device is in quarantine
   *[other] { $n } unregistered devices are in quarantine
}

## Classes of the catalogue
devices-class-1-1 = Wearables
devices-class-1-2 = Health monitors
devices-class-1-3 = Family doctor's follow-up kit
devices-class-1-4 = Community health stations
devices-class-2 = Assistive aids
devices-class-4 = Instruments of traditional medicine
devices-class-5 = Home service robots
devices-class-6 = Age-friendly products

## State and observations
devices-state = Latest state
devices-state-none = Nothing received yet
devices-observations = Recent observations
devices-observations-none = No observations yet
devices-older = Older observations
devices-what = What
devices-value = Value
devices-quality = Quality
devices-quality-no_reading = No reading
devices-adapter = Adapter
devices-dedupe = Dedupe key
devices-by = By

## Measures
devices-measure-heart_rate = Heart rate
devices-measure-resting_heart_rate = Resting heart rate
devices-measure-respiratory_rate = Breathing rate
devices-measure-oxygen_saturation = Oxygen saturation
devices-measure-body_temperature = Body temperature
devices-measure-systolic_pressure = Systolic pressure
devices-measure-diastolic_pressure = Diastolic pressure
devices-measure-blood_glucose = Blood glucose
devices-measure-body_weight = Body weight
devices-measure-body_height = Body height
devices-measure-steps = Steps
devices-measure-room_temperature = Room temperature
devices-measure-humidity = Humidity
devices-measure-illuminance = Illuminance
devices-measure-co_ppm = Carbon monoxide level
devices-measure-methane_lel = Gas level
devices-measure-co2 = Carbon dioxide
devices-measure-pm25 = PM2.5
devices-measure-battery_percent = Battery
devices-measure-battery_voltage = Battery voltage
devices-measure-link_quality = Link quality
devices-measure-signal_dbm = Signal strength

## Units
devices-unit-per-minute = /min
devices-unit-percent = %
devices-unit-celsius = °C
devices-unit-mmhg = mmHg
devices-unit-mmol-l = mmol/L
devices-unit-kg = kg
devices-unit-cm = cm
devices-unit-steps = steps
devices-unit-lux = lx
devices-unit-ppm = ppm
devices-unit-lel = %LEL
devices-unit-ug-m3 = µg/m³
devices-unit-mv = mV
devices-unit-dbm = dBm

## Events
devices-event-sos = Emergency call
devices-event-fall = Fall
devices-event-smoke = Smoke
devices-event-gas = Gas leak
devices-event-co = Carbon monoxide
devices-event-leak = Water leak
devices-event-door_open = Door opened
devices-event-door_close = Door closed
devices-event-bed_exit = Left the bed
devices-event-bed_enter = Went to bed
devices-event-presence = Presence
devices-event-no_presence = No presence
devices-event-vibration = Vibration
devices-event-tamper = Tampering
devices-event-low_battery = Low battery
devices-event-test = Test
devices-event-cleared = Cleared
devices-event-raised = Alarm

## Binding
devices-bindings = Binding history
devices-bindings-none = Never bound
devices-binding-now = Now
devices-bind = Change binding
devices-bind-resident-hint = Worn devices belong to a resident; room devices need none

## Credential
devices-credential = Credential
devices-credential-of = Credential of { $name }
devices-credential-text = A credential is shown only once. If it is lost, make a new one.
devices-credential-none = None yet
devices-credential-new = Make a new credential
devices-credential-confirm = The old credential stops working at once and the device is disconnected. Make a new one?
devices-credential-once = This credential is shown only once
devices-credential-once-text = Write it to the device or copy it now. It cannot be seen again after you leave.
devices-credential-replaced = The old credential no longer works.
devices-credential-done = Saved; back to the device
devices-issued = Issued
devices-last-used = Last used
devices-connect = How to connect
devices-broker = Broker
devices-client-id = Client id
devices-topic = Topic

## Gateways
devices-gateway = Gateway
devices-gateway-name = Name at the gateway
devices-gateway-members = Devices behind it
devices-base-topic = Base topic
devices-model = Model
devices-call-actions = Button calls
devices-call-actions-text = Actions that are calls by their name (emergency, panic, sos) always call. For an ordinary button, name here which of its actions are calls.
devices-call-actions-label = Actions that are calls
devices-call-actions-hint = Separated by spaces, for example: single double hold
devices-error-actions = Separate the names of actions by spaces, each of letters, digits, underscores and hyphens, 20 at most
devices-error-member-credential = This device comes through a gateway and has no credential of its own

## Quarantine
devices-quarantine-lead = Messages of unknown devices and messages that cannot be read stay here; none is ever linked to a person by itself.
devices-quarantine-empty = Quarantine is empty
devices-quarantine-empty-text = Everything received came from registered devices.
devices-quarantine-emergency = Contains an emergency
devices-n-messages = { $n ->
    [one] { $n } message
   *[other] { $n } messages
}
devices-dismiss = Dismiss
devices-reason-unknown_device = Unknown device
devices-reason-registered_since = Registered since
devices-reason-no_adapter = No adapter for it
devices-reason-undecodable = Cannot be read
devices-reason-refused = Could not be stored

## Errors
devices-error-serial-taken = This serial is already registered
devices-error-no-limit = Give an upper or a lower limit at least
devices-error-limits-crossed = The upper limit must be above the lower one
devices-error-serial-reserved = Names that begin with { $prefix } are Songhe's own. Give the serial printed on the device.
devices-error-serial = Give the serial as printed: letters, digits, dots, underscores and hyphens
devices-error-class = No such class
devices-error-adapter = No such adapter
devices-error-place = No such place, or it belongs to another facility
devices-error-resident = No such resident, or at another facility
devices-error-measure = No such measure
devices-quality-ok = Valid
devices-quality-invalid = Implausible
devices-quality-late = Late
devices-class-3-1 = Safety monitors
devices-class-3-2 = Nursing devices
