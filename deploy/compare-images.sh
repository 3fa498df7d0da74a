#!/usr/bin/env bash
# Compares the image with the one that it replaces: a shell script that starts the same
# nodes one after the other, sleeps between them, and says that the cluster is there.
#
#   deploy/compare-images.sh [IMAGE]            default: repram-fleet
#
# Prints size, and time until all nodes know each other, of both; and ours as a part of the
# other. RUNS=5 starts of each, of which the median counts. Needs docker and curl.
set -euo pipefail

image=${1:-repram-fleet}
runs=${RUNS:-5}
script_image=repram-script:compare
work=$(mktemp -d)
container=
cleanup() {
    [ -z "$container" ] || docker rm --force "$container" >/dev/null
    docker image rm "$script_image" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap cleanup EXIT

cat >"$work/launcher.sh" <<'SCRIPT'
#!/bin/bash
pids=()
stop() { kill "${pids[@]}" 2>/dev/null; exit 0; }
trap stop INT TERM
for ((n = 1; n <= ${NODE_COUNT:-3}; n++)); do
    REPRAM_NODE_ID=flux-node-$n USE_AUTO_DISCOVERY=true STATE_DIR=/tmp/state-$n \
        repram-node >"/tmp/flux-node-$n.log" 2>&1 &
    pids+=($!)
    echo $! >"/tmp/flux-node-$n.pid"
    sleep 2
done
sleep 5
echo "cluster started"
while :; do sleep 60 & wait $!; done
SCRIPT
cat >"$work/Dockerfile" <<DOCKERFILE
FROM $image AS nodes
FROM debian:bookworm-slim
RUN apt-get update && \\
    apt-get install --yes --no-install-recommends ca-certificates curl && \\
    rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/apt /var/log/dpkg.log
COPY --from=nodes /usr/local/bin/repram-node /usr/local/bin/
COPY launcher.sh /usr/local/bin/
ENV BIND_ADDRESS=:: REPRAM_CLUSTER_SECRET=for-this-comparison-only
USER 10001:10001
WORKDIR /tmp
CMD ["launcher.sh"]
DOCKERFILE
chmod 755 "$work/launcher.sh"
docker build --quiet --tag "$script_image" "$work" >/dev/null

size() { docker image inspect --format '{{.Size}}' "$1"; }
now_ms() { echo $(($(date +%s%N) / 1000000)); }

# start IMAGE: sets `elapsed` to the milliseconds until every one of three nodes answers and
# knows the two others.
start() {
    local began address port
    began=$(now_ms)
    container=$(docker run --detach "$1")
    address=$(docker inspect --format '{{.NetworkSettings.IPAddress}}' "$container")
    for port in 8081 8082 8083; do
        until [[ $(curl --silent --max-time 1 "http://$address:$port/health") == *'"active_peers":2'* ]]; do
            if [ $(($(now_ms) - began)) -gt 60000 ]; then
                docker logs "$container" >&2
                exit 1
            fi
            sleep 0.01
        done
    done
    elapsed=$(($(now_ms) - began))
    docker rm --force "$container" >/dev/null
    container=
}

# starts IMAGE: sets `elapsed` to the median of several starts.
starts() {
    : >"$work/times"
    for ((run = 0; run < runs; run++)); do
        start "$1"
        echo "$elapsed" >>"$work/times"
    done
    elapsed=$(sort -n "$work/times" | sed -n "$(((runs + 1) / 2))p")
}

ours_size=$(size "$image") script_size=$(size "$script_image")
starts "$image"
ours_ms=$elapsed
starts "$script_image"
script_ms=$elapsed
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }
printf '%-28s %12s %12s %8s\n' '' supervisor script ratio
printf '%-28s %9d MB %9d MB %8s\n' 'image' $((ours_size / 1000000)) $((script_size / 1000000)) "$(ratio "$ours_size" "$script_size")"
printf '%-28s %9d ms %9d ms %8s\n' 'until three nodes are one' "$ours_ms" "$script_ms" "$(ratio "$ours_ms" "$script_ms")"
