#!/usr/bin/env bash
# A job's cost beside bare bash: builds the runner and measures; see measure.py.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --release --quiet -p host --example run_workflow
exec python3 bench/run/measure.py "${CARGO_TARGET_DIR:-target}/release/examples/run_workflow"
