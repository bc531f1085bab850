# Runs an Apache Kafka broker until its own input ends: broker.sh JARS FOLDER PORT CONTROLLER_PORT
# The folder goes with it, unless there is a file "keep" in it.
set -eu
umask 077
jars=$1 folder=$2 port=$3 controller=$4
mkdir -p "$folder"
trap '[ -e "$folder/keep" ] || rm -rf "$folder"' EXIT
cat >"$folder/server.properties" <<END
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=$folder/data
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
END
# Replaces the shell it runs in, so that there is one process to end.
run() {
    exec java -Xms64m -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$jars/*" "$@"
}
(run kafka.tools.StorageTool format --standalone --ignore-formatted --cluster-id levada-tests-cluster00 \
    --config "$folder/server.properties" >"$folder/log" 2>&1) || {
    cat "$folder/log" >&2
    exit 1
}
run kafka.Kafka "$folder/server.properties" >>"$folder/log" 2>&1 &
server=$!
cat >/dev/null
kill -KILL "$server" 2>/dev/null || cat "$folder/log" >&2
wait "$server" 2>/dev/null || true
