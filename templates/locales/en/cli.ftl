# What the commands `songhe user` and `songhe facility` say
cli-account-made = { $name } can sign in as { $role }.
cli-account-not-made = The account { $name } was not made. { $why }.
cli-username-taken = {" Choose another name, or give the account that is there a new password:"} songhe user password { $name }
cli-correct-it = {" Nothing was changed; correct it and run the command again."}
cli-try-again = {" Nothing was changed; see that the database answers and run the command again."}
cli-unknown-role = There is no role { $role }. Choose one of { $all }.
cli-no-facility-id = { $at } is no facility's id: it looks like fac_ and 13 characters. `songhe facility add` tells that of each facility it makes, GET /api/v1/facilities lists them.
cli-no-such-node = there is no facility or region { $at }; `songhe facility add` tells the id of each facility it makes, GET /api/v1/facilities lists them
cli-no-account = There is no account { $name }. `songhe user add` makes one.
cli-password-prompt = New password (it will be shown as you type):{" "}
cli-password-refused = { $why }. Nothing was changed; run the command again with another one.
cli-password-set = { $name } has a new password and is signed out everywhere.
cli-facility-made = { $name } is { $id }; `songhe user add … --at { $id }` gives somebody a role there. Restart a running server: its daily schedules begin then.
cli-facility-not-made = The facility { $name } was not made. { $why }.
cli-unknown-zone = { $zone } is no IANA time zone; write for example Asia/Shanghai.
cli-database = The database cannot be used: { $why }. `songhe check` tells what is wrong.
