# Family care beds
care-beds-menu = Family care beds
care-beds-title = Family care beds
care-beds-caption = { $n ->
    [one] { $n } bed
   *[other] { $n } beds
}
care-beds-resident = Resident
care-beds-address = Address
care-beds-now = Now
care-beds-now-quiet = Quiet
care-beds-last-call = Last call
care-beds-calls-month = Calls in 30 days
care-beds-devices = Devices on line
care-beds-status = Status
care-beds-status-active = In service
care-beds-status-closed = Closed
care-beds-status-suspended = Suspended
care-beds-search-label = Name or address
care-beds-figure-active = In service
care-beds-figure-active-note = { $n } suspended
care-beds-figure-open = Calls waiting
care-beds-figure-open-note = { $n ->
    [one] { $n } call in 30 days
   *[other] { $n } calls in 30 days
}
care-beds-figure-within-60 = Answered within 60 s
care-beds-figure-within-180 = Answered within 180 s
care-beds-figure-within-note = Last 30 days, target { $target }
care-beds-figure-on-site = Time to be there
care-beds-figure-on-site-note = Median; { $met } of { $of } within 30 min
care-beds-minutes = { $n } min
care-beds-empty = No care beds yet
care-beds-empty-text = Beds that are opened for residents appear here.
care-beds-no-match = No bed matches
care-beds-no-match-text = Check the name or widen the filter.
care-beds-evidence-emergency-call = Emergency calls from family care beds in the last 30 days: how many were answered within 60 s and 180 s, and after how many minutes somebody was there.
care-beds-error-not-at-home = This resident does not live in a private home
care-beds-error-has-bed = This resident has a care bed already
care-beds-error-closed = This care bed is closed
