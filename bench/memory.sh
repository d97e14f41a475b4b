#!/usr/bin/env bash
# Resident memory of server and proxy with one application up and nobody asking, beside the limit of 60 MB together.
set -euo pipefail
cd "$(dirname "$0")/.."
plimsoll=${PLIMSOLL:-${CARGO_TARGET_DIR:-target}/release/plimsoll}
plimsoll=$(realpath "$plimsoll")
work=$(mktemp -d)
export HOME=$work PLIMSOLL_STATE_DIR=$work/state
trap '"$plimsoll" down --purge >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
mkdir "$work/app" && cd "$work/app"
echo hello > index.html
git init --quiet --initial-branch main && git add . && git -c user.name=bench -c user.email=bench@localhost commit --quiet -m app
"$plimsoll" up --quiet --strategy immediate . >/dev/null
total=0
for name in serve proxy; do
    for process in $(pgrep -f "plimsoll $name" || true); do
        if tr '\0' '\n' < "/proc/$process/environ" 2>/dev/null | grep -qx "PLIMSOLL_STATE_DIR=$PLIMSOLL_STATE_DIR"; then
            kilobytes=$(awk '/^VmRSS/ {print $2}' "/proc/$process/status")
            echo "$name: $((kilobytes / 1024)) MB"
            total=$((total + kilobytes))
        fi
    done
done
echo "server and proxy together: $((total / 1024)) MB, $(awk -v t=$total 'BEGIN {printf "%.2f", t / 1024 / 60}') of the 60 MB allowed"
[ "$total" -gt 0 ]
