#!/usr/bin/env bash
# A job's cost beside bare bash and act: builds the runner and the binary and measures; see measure.py.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --release --quiet --workspace --bins --examples
target="${CARGO_TARGET_DIR:-target}/release"
exec python3 bench/run/measure.py "$target/examples/run_workflow" "$target/plimsoll"
