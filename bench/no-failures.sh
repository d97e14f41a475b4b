#!/usr/bin/env bash
# 2,000 requests a second for a minute while a version is promoted, rolled back, and the server is killed and comes back: how many fail.
# The load is open loop on kept connections; one answer that isn't 200, or one connection that is cut, fails the run.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(realpath "${CARGO_TARGET_DIR:-target}")
cargo build --release --quiet --workspace --bins --examples
plimsoll=$target/release/plimsoll load=$target/release/examples/proxy_bench
work=$(mktemp -d)
export HOME=$work PLIMSOLL_STATE_DIR=$work/state
export GIT_AUTHOR_NAME=bench GIT_AUTHOR_EMAIL=bench@localhost GIT_COMMITTER_NAME=bench GIT_COMMITTER_EMAIL=bench@localhost
trap '"$plimsoll" down --purge >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
mkdir "$work/app" && cd "$work/app"
cat > plimsoll.yaml <<CONFIG
apiVersion: plimsoll/v1alpha1
name: app
start: exec $load backend \$PORT
limits: {stepMin: 3s, stepMax: 1m, verify: 2s, drain: 2s}
judge: {look: 1s}
synthetic: false
CONFIG
git init --quiet --initial-branch main
version() { echo "$1" > version && git add . && git commit --quiet --message "version $1"; }
version 1
address=$("$plimsoll" up --quiet .)
port=${address##*:}
"$load" load 60 "$port" > "$work/load.out" 2> "$work/load.err" &
users=$!
version 2
"$plimsoll" up --quiet . > /dev/null && echo "promoted"
"$plimsoll" release rollback > /dev/null 2>&1 && echo "rolled back"
server=$(pgrep -f "plimsoll serve" | while read -r process; do
    tr '\0' '\n' < "/proc/$process/environ" 2>/dev/null | grep -qx "PLIMSOLL_STATE_DIR=$PLIMSOLL_STATE_DIR" && echo "$process" || true
done | head -1)
kill -9 "$server" && echo "server killed"
version 3
"$plimsoll" up --quiet . > /dev/null && echo "server back, promoted again"
if wait "$users"; then
    read -r _ p50 p99 < "$work/load.out"
    echo "120000 requests at 2,000/s: 0 failed; p50 $p50 µs, p99 $p99 µs"
else
    echo "a request failed: $(cat "$work/load.err")"
    exit 1
fi
