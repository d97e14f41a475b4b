#!/bin/sh
# The proxy beside HAProxy on one core each, in one run; see crates/host/examples/proxy_bench.rs.
set -eu
cd "$(dirname "$0")/../.."
for tool in haproxy wrk taskset; do
    command -v "$tool" >/dev/null || { echo "bench/proxy needs $tool; on Debian: apt install haproxy wrk util-linux" >&2; exit 2; }
done
cargo build --release --quiet --workspace --bins --examples
exec "${CARGO_TARGET_DIR:-target}/release/examples/proxy_bench" "$@"
