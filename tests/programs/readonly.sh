#!/bin/sh
# Makes everything read-only but one folder: readonly.sh FOLDER COMMAND...
# Needs mounts of its own.
set -e
folder=$1
shift
mount --make-rprivate /
mount --bind "$folder" "$folder"
# The fifth field is where something is mounted.
while read -r _ _ _ _ place _; do
    case $place in
    "$folder" | "$folder"/*) ;;
    # What a container cannot have changed in this way stays as it is.
    *) mount -o remount,bind,ro "$place" 2>/dev/null || true ;;
    esac
done </proc/self/mountinfo
if touch "$folder/../written" 2>/dev/null; then
    echo "readonly.sh: $folder/.. can still be written" >&2
    exit 1
fi
exec "$@"
