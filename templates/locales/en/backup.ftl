# `songhe backup`, `songhe restore`, backups by the clock, and a restored copy that is held
backup-no-key = Give the key: --key-file FILE, or --passphrase, or backup.key_file in the configuration. `songhe backup key FILE` makes one.
backup-passphrase-prompt = Passphrase (it will be shown as you type):{" "}
backup-short-passphrase = The passphrase is too short: at least { $n } characters.
backup-key-made = A new key is in { $file }. Keep a copy of it outside this machine and away from the archives: without it no archive can be opened, with it every one.
backup-key-is-there = { $file } is there already. A key that is lost locks its archives for ever: choose another name.
backup-key-unread = The key { $file } cannot be read: { $why }.
backup-no-key-in-file = { $file } holds no key: 64 digits of 0-9 and a-f, as `songhe backup key FILE` writes them.
backup-key-beside = The key { $key } lies in the archive's folder: whoever took the archives would have their key as well. Keep it elsewhere.
backup-wants-passphrase = This archive was locked with a passphrase: give --passphrase.
backup-wants-key-file = This archive was locked with a key file: give --key-file.
backup-wrong-key = This is not the archive's key: it was locked with key { $wanted }, and this is { $given }. Nothing was written.
backup-no-directory = Where to? Give --to, or backup.directory in the configuration.
backup-file-is-there = { $file } is there already. Choose another name.
backup-unwritten = { $file } cannot be written: { $why }.
backup-unread = { $file } cannot be read: { $why }.
backup-no-database = There is no database { $file }.
backup-database = The database does not do it: { $why }.
backup-no-space = { $folder } has { $free } MiB free, and { $wanted } MiB are needed so that the running system keeps room to write. No backup or copy was made.
backup-another-runs = Another backup or comparison of this database is under way. Wait for it.
backup-no-tool = { $tool } is not installed, and PostgreSQL is backed up and restored by its own tools (Debian and Ubuntu: apt-get install postgresql-client). If it is elsewhere, name its folder in backup.postgres_tools.
backup-tool-does-not-run = { $tool } cannot be run: { $why }.
backup-tool-failed = { $tool } ended with a mistake: { $why }
backup-interrupted = The archive could not be passed on: { $why }.
backup-no-passing-database = No database could be made for the comparison: { $why }. Give the account the right to (CREATEDB), or another PostgreSQL with --on.
backup-defect = This should not happen: { $why }.
backup-no-archive = { $file } is no archive of `songhe backup`, or its beginning is damaged. Nothing was written.
backup-odd-header = The archive's beginning is damaged. Nothing was written.
backup-newer-format = { $file } was made by Songhe { $version } in a form that this version does not know. Install that version.
backup-newer-schema = The archive was made by Songhe { $version } and has tables that this version ({ $mine }) does not know. Install that version. Nothing was written.
backup-damaged = { $file } is damaged or not complete. Nothing of it was restored; take another archive.
backup-unsound = The database in the archive is not sound: { $why }.
backup-orphans = In the database of the archive { $n } rows refer to rows that are not there.
backup-other-kind = The archive is of { $archived } and can only be restored to { $archived }, not to { $wanted }. Nothing was written.
backup-verify-elsewhere = The archive is of { $archived }, and the configured database is { $wanted }: say where to restore it for the comparison, with --on.
backup-target-is-there = { $file } is there already: an archive is restored to a place where nothing is. Nothing was written.
backup-target-is-full = The database is not empty ({ $n } tables, views and sequences): an archive is restored to an empty one. Nothing was written.
backup-not-equal = The restored table { $table } is not what was backed up. Do not use the copy; take another archive.
backup-made = { $file }: { $tables } tables, { $rows } rows, { $size }, read back and whole, in { $seconds } s.
backup-not-remembered = The archive is good; the database could not take note of it: { $why }.
backup-none = There are no archives in { $folder }.
backup-key-of = key
backup-head-archive = archive
backup-head-found = restored
backup-equal = equal
backup-unequal = NOT EQUAL
backup-empty-tables = { $n ->
    [0] Every table has rows.
    [one] One more table is empty in both.
   *[other] { $n } more tables are empty in both.
 }
backup-verified = { $file } can be restored: every table is equal.
backup-differs = { $file } does not give back what was backed up: { $n } tables differ.
backup-restored = Restored as of { $at }: { $rows } rows, every table equal. Name it in database.url and start the server. What happened after that time is not in it.
backup-restored-held = What leaves the system is held back. Calls reach boards; webhooks, messages and commands wait until an administrator releases them on the page “System state”.

# Page “System state” and what an operator is told
system-backup = Backup
system-backup-off = No backups are made by the clock. Set backup.directory in the configuration.
system-backup-last = Last good one
system-backup-never = None yet
system-backup-size = Size
system-backup-took = Took
system-backup-file = File
system-backup-next = Next one
system-backup-failed = Last attempt
system-attention-backup = The last good backup is { $n } hours old, or there never was one. Look at “Backup” below for the reason.
system-attention-backup-failed = The last backup failed: { $why }
system-attention-held = This is a restored copy, and nothing leaves it: { $n } messages and commands wait. Release them only when the original does not run any more.
system-held = A restored copy
system-held-lead = Webhooks, messages and commands are held back since the restore. What has lost its meaning by then is reported, not sent.
system-held-since = Held since
system-held-waiting = Waiting
system-held-release = Release: this is now the system in use
incidents-system-backup = No backup has succeeded for { $n } hours. The system administrator has to look at it under “System state”.
error-not-held = Nothing is held back any more.
