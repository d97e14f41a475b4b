#!/usr/bin/env bash
# Whether the real opa says the same of every policy that ships, and runs the same tests: against-opa.sh [--write]
# opa is taken from PATH or OPA, else built by Go, which takes minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
version=v1.22.2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
opa=${OPA:-$(command -v opa || true)}
if [ -z "$opa" ]; then
    GOBIN="$work" GOFLAGS=-modcacherw go install "github.com/open-policy-agent/opa@$version"
    opa="$work/opa"
fi
release="$(cargo metadata --format-version 1 --no-deps | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')/${PROFILE:-release}"
"$release/examples/against_opa" "$opa" "$@"

# The default policy and its tests lie in one folder, as in a repository.
mkdir "$work/policy"
cp crates/gate/src/policy/default.rego "$work/policy/gate.rego"
cp crates/gate/src/policy/default_test.rego "$work/policy/gate_test.rego"
for folder in "$work/policy" examples/policies; do
    theirs=$("$opa" test --format json "$folder" | python3 -c 'import json, sys
print("\n".join(sorted(it["package"] + "." + it["name"] + " " + str(not it.get("fail")) for it in json.load(sys.stdin))))')
    ours=$("$release/plimsoll" policy test --json "$folder" | python3 -c 'import json, sys
print("\n".join(sorted(it["name"] + " " + str(it["outcome"] == "passed") for it in json.load(sys.stdin)["tests"])))')
    diff <(echo "$theirs") <(echo "$ours")
    echo "$folder: $(wc -l <<<"$ours") tests end alike"
done
