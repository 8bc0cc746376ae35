#!/bin/sh
# A private PostgreSQL in a temporary folder, on a free port of 127.0.0.1, without passwords.
# Prints its URL on one line, then lives until its standard input is closed: whoever holds the
# other end of that pipe may die in any way, the cluster goes with it. Used by tests/run and by
# the test kit. Writes are really flushed (fsync stays on), since durability is tested.
set -eu
trap '' HUP INT TERM

bin=""
for dir in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V -r) \
    $(pg_config --bindir 2>/dev/null) $(dirname "$(command -v postgres || echo /nowhere/postgres)"); do
  if [ -x "$dir/postgres" ] && [ -x "$dir/initdb" ]; then bin=$dir; break; fi
done
if [ -z "$bin" ]; then
  echo "PostgreSQL's server is not installed (Debian and Ubuntu: apt-get install postgresql)" >&2
  exit 1
fi

# PostgreSQL refuses to run as root.
user=""
if [ "$(id -u)" = 0 ]; then
  user=nobody
  if id postgres >/dev/null 2>&1; then user=postgres; fi
fi
as_user() {
  if [ -n "$user" ]; then
    setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups -- env HOME="$folder" "$@"
  else
    "$@"
  fi
}

folder=$(mktemp -d "${TMPDIR:-/tmp}/songhe-pg-XXXXXX")
stop() {
  as_user "$bin/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null 2>&1 || true
  rm -rf "$folder"
}
trap stop EXIT
chmod 755 "$folder"
if [ -n "$user" ]; then chown "$user" "$folder"; fi
cd "$folder"

as_user "$bin/initdb" -D "$folder/data" -U postgres --auth=trust -E UTF8 --locale=C.UTF-8 \
  --no-sync >"$folder/initdb.log" 2>&1 </dev/null || { cat "$folder/initdb.log" >&2; exit 1; }

started=""
for try in 1 2 3 4 5 6 7 8; do
  port=$(shuf -i 15000-31999 -n 1)
  if as_user "$bin/pg_ctl" -D "$folder/data" -l "$folder/log" -w -t 60 -s \
    -o "-p $port -k $folder -c listen_addresses=127.0.0.1 -c max_connections=200 -c timezone=UTC" \
    start >/dev/null 2>&1 </dev/null; then
    started=yes
    break
  fi
done
if [ -z "$started" ]; then cat "$folder/log" >&2; exit 1; fi

echo "postgres://postgres@127.0.0.1:$port/postgres"
cat >/dev/null
