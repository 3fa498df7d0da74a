#!/bin/sh
# Runs for ever. flux-node-2 does not listen to SIGTERM.
if [ "$REPRAM_NODE_ID" = flux-node-2 ]; then
    trap '' TERM
fi
echo "running"
while :; do
    sleep 0.1
done
