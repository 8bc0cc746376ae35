# Accounts, roles and permissions

## Accounts
people-people = Accounts
people-lead = Who may sign in, and in which role where. You see and manage the accounts of your own facilities.
people-search = Name or user name
people-add = New account
people-add-lead = A one-time password is made. Its owner signs in with it and has to choose a password of their own first.
people-name = Name
people-grants = Roles
people-no-grants = No role
people-at = Where
people-at-hint = A region includes all facilities below it, also those that are added later.
people-everywhere = The whole system
people-locale = Language
people-locale-browser = As the browser wishes
people-username-hint = For signing in, in any case; it cannot be changed later
people-signed-in = Last sign-in
people-never = Never
people-open = Open
people-closed = Closed
people-must-change = Has to choose a password
people-me = You
people-none = No accounts yet
people-none-text = There is no account within your facilities yet.
people-no-match = Nothing found
people-no-match-text = No account has this in its name or user name.
people-data = Details
people-grant = Give role
people-withdraw = Withdraw
people-withdraw-confirm = Withdraw this role? It counts at once.
people-access = Signing in
people-access-hint = A closed account is signed out everywhere and its tokens end; what it did stays. A new password signs the account out everywhere.
people-reset = Reset password
people-reset-confirm = Reset the password? The account is signed out everywhere.
people-disable = Close account
people-disable-confirm = Close this account? It is signed out everywhere at once.
people-enable = Open again
people-not-manageable = This account has roles outside your facilities, or more rights than you. You may change its roles here only.
people-one-time = One-time password
people-one-time-text = Tell it to its owner. It is good for seven days; they choose their own password with it.
people-linked = Account
people-link = Link account
people-shown-once = Shown this once
people-noted = I have noted it

## Sessions
people-sessions = Signed in on
people-my-sessions = Where I am signed in
people-no-sessions = Not signed in anywhere
people-device = Device
people-device-unknown = Unknown device
people-program = A program (by the API)
people-address = Network address
people-since = Signed in
people-last-seen = Last used
people-this-session = This device
people-end = Sign out there
people-end-others = Sign out everywhere else
people-end-all = Sign out everywhere
people-end-all-confirm = Sign this account out everywhere?

## My account
people-account = My account
people-password-change = Change password
people-password-current = Present password
people-password-new = New password
people-password-again = New password again
people-password-hint = At least { $min } characters. A sentence will do, without digits or signs; no common password and not your own name.
people-tokens = Tokens for programs
people-tokens-lead = For programs that use the API. A token never may more than you may, also when your rights change; it ends when the account is closed.
people-token-add = New token
people-token-name = Purpose
people-token-name-hint = For example: reporting, wall screen
people-token-days = Good for
people-n-days = { $days } days
people-facility = Only at
people-token-everywhere = Wherever you may
people-token-ends = Ends
people-token-ended = Ended
people-token-used = Last used
people-token-revoke = Revoke
people-token-revoke-confirm = Revoke this token? Programs that use it are shut out at once.
people-token-once = Token
people-token-once-text = Store it in the program now. Only a digest is kept here; it cannot be read again.

## Roles
people-roles = Roles and permissions
people-roles-lead = What each role may do. A change counts at once, for everybody and at every server, and is written to the audit log.
people-roles-caption = Permissions by role; choose a role's name to see or change it
people-permissions = Permissions
people-permissions-kernel = Accounts and rights
people-role-changed = Changed
people-role-holders = { $n ->
    [one] 1 account
   *[other] { $n } accounts
}
people-role-lead = Tick what this role may do.
people-role-add = New role
people-role-title = Name of the role
people-role-like = Begin like
people-role-like-hint = With the permissions of another role, to be changed afterwards
people-role-like-none = With none
people-role-reset = Back to default
people-role-reset-hint = The permissions that Songhe comes with.
people-role-reset-confirm = Give this role its default permissions back?
people-role-delete-hint = Only while nobody holds it.
people-role-delete-confirm = Delete this role?

## Names of permissions
permission-people-read = See accounts and roles
permission-people-write = Manage accounts, give roles
permission-audit-read = See the audit log
permission-residents-unmask = See full numbers of residents and contacts (with a reason)
permission-staff-unmask = See full numbers of staff (with a reason)
permission-roles-write = Change what roles may do (held over the whole system)
permission-residents-read = See residents
permission-residents-write = Add and change residents
permission-places-read = See places
permission-places-write = Add and change places
permission-rosters-read = See rosters
permission-rosters-write = Plan shifts
permission-staff-read = See staff
permission-staff-write = Add and change staff
permission-incidents-read = See alarms and the alarm board
permission-incidents-act = Answer and resolve alarms
permission-incidents-review = Review how alarms were handled
permission-reports-read = See reports
permission-reports-write = Set response targets
permission-ladders-read = See escalation ladders and channels
permission-ladders-write = Change escalation ladders and channels
permission-devices-read = See devices
permission-devices-write = Register, bind and maintain devices
permission-devices-test = Test emergency devices
permission-devices-command = Send commands to devices
permission-observations-read = See what devices measure
permission-quarantine-read = See messages that nobody understood
permission-rules-read = See threshold rules
permission-rules-write = Change threshold rules
permission-care-beds-read = See family care beds
permission-care-beds-write = Open and change family care beds
permission-care-beds-indicators = See figures of family care beds
permission-system-read = See the state of the system
permission-system-operate = Try failed work again

## Errors
error-choose-password-first = Please choose a password of your own first.
error-password-common = This password is too common and easily guessed; please choose another one
error-password-name = This password is mostly your name or that of the system; please choose another one
error-password-wrong = This is not your present password
error-password-same = The new password must differ from the present one
error-password-again = The new passwords differ
error-not-yours = You do not have this permission, or not at that facility: { $name }
error-too-many-tokens = There can be { $n } tokens at a time; please revoke one
error-too-many-roles = At most { $n } roles can be added
error-role-held = { $n } accounts hold this role; withdraw it first
error-role-above = This role may do more than you may; you cannot give it
error-system-admin-rights = System administrators must keep the rights over accounts and roles, or nobody could change them back
error-disable-self = You cannot close your own account
error-reset-self = Change your own password under “My account”
error-last-keeper = This is the last system administrator who can sign in; give the role to somebody else first
error-shown-once = It is shown only once, and was shown before. If nobody noted it, make a new one.
