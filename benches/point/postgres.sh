# Runs a PostgreSQL server until its own input ends: postgres.sh BINARIES PORT
set -eu
cd /
umask 077
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$1/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C >"$folder/log" 2>&1 || {
    cat "$folder/log" >&2
    exit 1
}
"$1/postgres" -D "$folder/data" -p "$2" -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
    -c shared_buffers=1GB >"$folder/log" 2>&1 &
server=$!
cat >/dev/null
kill -INT "$server" 2>/dev/null || cat "$folder/log" >&2
wait "$server" || true
