#!/usr/bin/env bash
# Whether our expressions and those of GitHub's other implementation come out alike: run.sh [COUNT] [SEED]
set -euo pipefail
cd "$(dirname "$0")"
count=${1:-1000000} seed=${2:-1}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
[ -d node_modules/@actions/expressions ] || npm ci --silent --no-audit --no-fund
cargo build --quiet --release -p workflow --example expressions
differ="$(cd ../.. && cargo metadata --format-version 1 --no-deps | node -pe 'JSON.parse(require("fs").readFileSync(0)).target_directory')/release/examples/expressions"
"$differ" write "$count" "$seed" >"$work/expressions"
node evaluate.mjs <"$work/expressions" >"$work/outcomes"
"$differ" compare "$work/expressions" "$work/outcomes"
