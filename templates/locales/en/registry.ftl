# Residents, places, staff and rosters

## Menu
registry-menu-residents = Residents
registry-menu-places = Places
registry-menu-rosters = Rosters
registry-menu-staff = Staff

## Common
registry-sex = Sex
registry-sex-male = male
registry-sex-female = female
registry-sex-unknown = sex not given
registry-age = aged { $n }
registry-name = Name
registry-born = Date of birth
registry-id-number = ID number
registry-id-number-hint = Leave empty when editing to keep it
registry-id-tail = ID ends in
registry-phone = Phone
registry-place = Place
registry-facility = Facility
registry-facility-show = Change facility
registry-since = Since
registry-notes = Care notes
registry-notes-hint = Separate with 、. Shown on the alarm board, for example: lives alone、high fall risk
registry-health = Health remarks
registry-now = Now
registry-basics = Basics
registry-latest = Latest readings
registry-latest-none = No readings yet
registry-devices = Devices
registry-no-devices = No devices bound
registry-n-devices = { $n ->
    [one] { $n } device
   *[other] { $n } devices
}
registry-recent-incidents = Recent alarms
registry-no-incidents = No alarms recorded
registry-open-incidents = { $n ->
    [one] { $n } alarm
   *[other] { $n } alarms
}

## Residents
registry-residents = Residents
registry-residents-caption = Residents
registry-resident-new = Register a resident
registry-resident-edit = Edit resident
registry-residents-empty = No residents yet
registry-residents-empty-text = Register residents so that calls show who it is.
registry-residents-no-match = No resident matches
registry-residents-no-match-text = Check the name, its pinyin or initials, the last 4 or 6 of a document or phone number, or the card number.
registry-search-label = Name, pinyin, end of document or phone number, card
registry-resident-status-active = Present
registry-resident-status-away = Away
registry-resident-status-left = Left

## Contacts
registry-contacts = Family contacts
registry-contacts-hint = Told in this order: contact 1 first.
registry-no-contacts = No family contact: escalation cannot reach the family
registry-relation = Relation

## Places
registry-places = Places
registry-places-empty = No places yet
registry-places-empty-text = Start with a building, then rooms and beds.
registry-place-new = Add a place
registry-place-parent = Inside
registry-place-children = Places inside
registry-place-no-residents = No residents here
registry-place-kind-building = Building
registry-place-kind-floor = Floor
registry-place-kind-room = Room
registry-place-kind-bed = Bed
registry-place-kind-home = Home
registry-place-kind-area = Common area
registry-tag = Room tag
registry-tag-text = Print it and put it by the door, or write it to an NFC tag. Scanning it with a phone records the arrival.
registry-tag-qr = QR code of the room tag
registry-print-tag = Print the tag

## Rosters
registry-rosters = Rosters
registry-roster-caption = Shifts by person and day
registry-rosters-empty = This facility has no staff yet
registry-rosters-empty-text = Add staff first, then shifts.
registry-week-prev = Previous week
registry-week-next = Next week
registry-week-this = This week
registry-coverage = Gaps on call
registry-covered = Covered
registry-shift-add = Add a shift
registry-shift-on_call = On call
registry-shift-on_call-hint = Receives alarms
registry-shift-duty = On duty
registry-shift-duty-hint = Does not receive alarms
registry-date = Date
registry-from = From
registry-to = To
registry-to-hint = Earlier than the start means the next day

## Staff
registry-staff = Staff
registry-staff-caption = Staff
registry-staff-empty = No staff yet
registry-staff-empty-text = Add the first account with songhe user add.
registry-on-call-now = On call now
registry-off-duty = Off duty

## Errors
registry-error-shift-overlap = Overlaps the shift “{ $name }” ({ $start } to { $end })
registry-error-place-cycle = Cannot be put inside itself
registry-error-place-has-children = Move the places inside it first
registry-error-id-number = This is not a valid ID number
registry-error-contact-phone = The phone of contact { $n } is not valid
registry-error-bed-taken = Somebody has this bed already
registry-error-place-exists = A place of this name is there already
registry-error-place-not-dwelling = Choose a room, bed or home
registry-error-place-parent-kind = Such a place cannot lie in the one chosen
registry-error-place-parent-missing = Choose the place it lies in
registry-error-rank-taken = There is a contact of this rank already
registry-error-shift-elsewhere = This person has a shift at another facility then
registry-error-shift-length = A shift lasts at most { $max } hours
registry-error-staff-exists = This account is on the staff already
registry-error-staff-account = No account of this name has a role at this facility. Give it one first.

## Care notes
registry-ability = Level of ability
registry-ability-0 = Able
registry-ability-1 = Slightly dependent
registry-ability-2 = Moderately dependent
registry-ability-3 = Severely dependent
registry-ability-4 = Completely dependent
registry-living-alone = Lives alone
registry-fall-risk-high = High risk of falling

## Jobs and shifts
registry-job = Job
registry-job-carer = Carer
registry-job-nurse = Nurse
registry-job-nurse_lead = Nurse lead
registry-job-manager = Manager
registry-duty = On duty as
registry-duty-hint = Carers are told first; nurse lead and manager when it goes further
registry-shift-name = Name of the shift
registry-shift-name-hint = For example: early, late, night
registry-staff-username-hint = With an account, alarms reach them here while on duty
registry-contact-add = Add a contact
registry-move = Move to another place
registry-no-panels = Nothing more to show
registry-title = Registry
registry-facility-kind-nursing_home = Nursing home
registry-facility-kind-care_bed_station = Care bed station
registry-day-mon = Mon { $day }
registry-day-tue = Tue { $day }
registry-day-wed = Wed { $day }
registry-day-thu = Thu { $day }
registry-day-fri = Fri { $day }
registry-day-sat = Sat { $day }
registry-day-sun = Sun { $day }
registry-ability-none = Not assessed
registry-contact-rank = Contact { $n }
registry-staff-add = Add a member of staff
