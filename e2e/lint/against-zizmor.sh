#!/usr/bin/env bash
# Compares `plimsoll lint` with zizmor over the cases of the audits: what both find, what only one does, an audit a line.
# zizmor comes from PyPI by name.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
plimsoll=${PLIMSOLL:-$root/target/release/plimsoll}
[ -x "$plimsoll" ] || { echo "there is no $plimsoll: cargo build --release, or PLIMSOLL=…" >&2; exit 8; }

zizmor=$(command -v zizmor || true)
if [ -z "$zizmor" ]; then
    venv=${CARGO_TARGET_DIR:-$root/target}/zizmor
    if [ ! -x "$venv/bin/zizmor" ]; then
        if ! { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check zizmor==1.32.0; } >/dev/null 2>&1; then
            echo 'zizmor cannot be had: pip install zizmor==1.32.0 in a venv failed' >&2
            exit 8
        fi
    fi
    zizmor=$venv/bin/zizmor
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for case in "$root"/crates/workflow/testdata/lint/*/*.yml; do
    audit=$(basename "$(dirname "$case")") name=$(basename "$case" .yml)
    folder=$work/$audit/$name
    # Each kind of file is known by its name.
    case $name in
        action*) target=$folder/action.yml ;;
        dependabot*) target=$folder/.github/dependabot.yml ;;
        precommit*) target=$folder/.pre-commit-config.yaml ;;
        *) target=$folder/.github/workflows/case.yml ;;
    esac
    mkdir -p "$(dirname "$target")"
    cp "$case" "$target"
done
python3 "$root/e2e/lint/compare.py" "$plimsoll" "$zizmor" "$work" "${1:-regular}"
