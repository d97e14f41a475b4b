#!/usr/bin/env bash
# run.sh [MB]: how fast evidence is read, and how long a decision over ten thousand findings by five policies takes, with `opa eval` over
# the same policies and the same document beside it. opa is taken from OPA or PATH; where there is none the row says so.
set -euo pipefail
cd "$(dirname "$0")/../.."
megabytes=${1:-100}
target=$(cargo metadata --format-version 1 --no-deps | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
cargo build --release --quiet -p gate --example throughput
opa=${OPA:-$(command -v opa || true)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "$opa" ]; then
    "$target/release/examples/throughput" "$megabytes"
    echo "opa eval beside it: there is no opa here; \`GOBIN=… go install github.com/open-policy-agent/opa@v1.22.2\` builds one, OPA names it"
    exit 0
fi
"$target/release/examples/throughput" "$megabytes" "$work"
python3 - "$opa" "$work" <<'PY'
import json, subprocess, sys, time
opa, work = sys.argv[1:]
query = "data.plimsoll"
def once():
    start = time.perf_counter()
    out = subprocess.run([opa, "eval", "--metrics", "--format", "json", "--data", work + "/policy", "--input", work + "/input.json", query],
                         check=True, capture_output=True).stdout
    wall = (time.perf_counter() - start) * 1000
    metrics = json.loads(out)["metrics"]
    return wall, metrics["timer_rego_query_eval_ns"] / 1e6, metrics.get("timer_rego_input_parse_ns", 0) / 1e6
wall, evaluating, parsing = min(once() for _ in range(5))
ours = float(open(work + "/ours_ms").read())
print(f"opa eval beside it: {wall:.0f} ms with its start, of which it evaluates {evaluating:.0f} ms and reads the document {parsing:.0f} ms; ours takes {ours / (evaluating + parsing):.2f} of those two")
PY
