#!/usr/bin/env bash
# Runs a Kafka broker for benchmarks until it is interrupted: benches/kafka.sh [PORT]
# The broker is that of the tests; its jars come from Maven, once. Its topics are gone when it ends.
set -euo pipefail
cd "$(dirname "$0")/.."
port=${1:-9192}
here=sql-tests/tests/sql/kafka
folder=${TMPDIR:-/tmp}/levada-bench-kafka-$port
jars=${CARGO_HOME:-$HOME/.cargo}/levada/tmp/kafka-4.1.0
if [ ! -d "$jars" ]; then
    mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -Dkafka.version=4.1.0 \
        "-DoutputDirectory=$jars.$$"
    mv -T "$jars.$$" "$jars"
fi
echo "a broker on 127.0.0.1:$port; Ctrl-C ends it"
# The broker stops when its input ends.
sleep infinity | sh "$here/broker.sh" "$jars" "$folder" "$port" $((port + 1))
