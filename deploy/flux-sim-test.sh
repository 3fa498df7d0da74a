#!/usr/bin/env bash
# Looks at a running container as its users do, and prints pass or fail for each look:
#
#   deploy/flux-sim-test.sh CONTAINER
#
# Where several containers share a domain, NODES says how many nodes there are in all.
# Exit code 0 when everything passed. Needs docker and nothing else here; in the container
# it uses the curl of the image.
set -uo pipefail

container=${1:?usage: deploy/flux-sim-test.sh CONTAINER}
failed=0

inside() { docker exec "$container" "$@"; }
# What the container was given as NAME, else the default.
setting() { inside printenv "$1" || echo "$2"; }
ask() { inside curl --silent --show-error --fail --max-time 5 "$@"; }

# check NAME COMMAND...: the command says why it failed.
check() {
    local name=$1 said
    shift
    if said=$("$@" 2>&1); then
        echo "pass  $name${said:+: $said}"
    else
        echo "FAIL  $name${said:+: $said}"
        failed=1
    fi
}

base=$(setting BASE_PORT 8081)
range=$(setting MAX_PORTS 10)
logs=$(setting LOG_DIR /tmp)

# The ports of the range on which a node answers.
scan() {
    local port found=()
    for ((port = base; port < base + range; port++)); do
        ask --output /dev/null "http://localhost:$port/health" 2>/dev/null && found+=("$port")
    done
    echo "${found[*]}"
}

wait_for_fleet() {
    local _
    for _ in $(seq 60); do
        inside supervisor health >/dev/null 2>&1 && inside supervisor health && return
        sleep 0.5
    done
    inside supervisor health
}

healthy() {
    local answer
    answer=$(ask "http://localhost:$1/health") || return
    case $answer in
    *'"status":"healthy"'*) ;;
    *) echo "$answer" && return 1 ;;
    esac
}

knows_peers() {
    local answer _
    for _ in $(seq 60); do
        answer=$(ask "http://localhost:$1/health") || return
        case $answer in
        *"\"active_peers\":$2"[,\}]*) return ;;
        esac
        sleep 0.5
    done
    echo "$answer"
    return 1
}

replicates() {
    local port key=flux-sim-$$-$RANDOM value
    value="written at $(date +%s)"
    ask --output /dev/null --request PUT --data-binary "$value" "http://localhost:$1/data/$key?ttl=300" || return
    shift
    for port; do
        [ "$(ask "http://localhost:$port/data/$key")" = "$value" ] || { echo "not on $port" && return 1; }
    done
}

has_log() { inside grep --max-count=1 --only-matching 'flux-node-[0-9]* starts' "$logs/$1.log"; }
shows_logs() {
    local logs
    logs=$(docker logs "$container" 2>&1) || return
    grep --max-count=1 --only-matching 'all [0-9]* nodes ready\|the node is ready' <<<"$logs"
}

check "the fleet is healthy" wait_for_fleet
read -ra ports <<<"$(scan)"
nodes=${#ports[@]}
all=${NODES:-$nodes}
check "scan of $base to $((base + range - 1)) finds nodes" test "$nodes" -gt 0
for port in "${ports[@]}"; do
    check "$port is healthy" healthy "$port"
    check "$port knows $((all - 1)) peers" knows_peers "$port" $((all - 1))
done
if [ "$nodes" -gt 0 ]; then
    check "a value written to ${ports[0]} is read from every node" replicates "${ports[0]}" "${ports[@]}"
    check "a value written to ${ports[-1]} is read from every node" replicates "${ports[-1]}" "${ports[@]}"
fi
for ((number = 1; number <= nodes; number++)); do
    check "flux-node-$number has a log in $logs" has_log "flux-node-$number"
done
check "docker logs shows the start" shows_logs
exit "$failed"
