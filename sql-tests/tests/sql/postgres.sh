# Runs a PostgreSQL server until its own input ends: postgres.sh BINARIES PORT
set -eu
cd /
umask 077
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$1/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$folder/log" 2>&1 || {
    cat "$folder/log" >&2
    exit 1
}
"$1/postgres" -D "$folder/data" -p "$2" -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
    -c fsync=off -c full_page_writes=off -c timezone=UTC -c lc_messages=C -c shared_buffers=32MB \
    >"$folder/log" 2>&1 &
server=$!
cat >/dev/null
kill -INT "$server" 2>/dev/null || cat "$folder/log" >&2
wait "$server" || true
