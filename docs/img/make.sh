#!/usr/bin/env bash
# make.sh: plays the README's two scenes in a clone, with users, and makes the pictures of what was printed, word for word.
# PLIMSOLL names another binary than target/release/plimsoll.
set -euo pipefail
. "$(dirname "$0")/../../e2e/common.sh"

# The shop as a folder of a repository, as in the README.
mkdir -p "$work/plimsoll/examples/shop" && cd "$work/plimsoll"
(cd "$root/examples/shop" && tar -cf - --exclude=dist --exclude=reports --exclude=__pycache__ .) | tar -xf - -C examples/shop
git init --quiet --initial-branch main && git add --all && git commit --quiet --message "The shop"

up() { # what stands behind the command, and the exit code
    local code=0
    printf '\033[32m$\033[0m \033[1mplimsoll up examples/shop%s\033[0m\n' "$1"
    "$plimsoll" up --color always examples/shop 2>&1 || code=$?
    is "$code" "$2" >&2
}

change() { git apply --directory=examples/shop "examples/shop/changes/$1.patch" && git add --all && git commit --quiet --message "$2"; }

up "" 0 > "$work/first"
port=$(sed -nE 's|.*http://127\.0\.0\.1:([0-9]+).*|\1|p' "$work/first" | head -1)
users_start "$port"
change good "shop: kinds of tea"
up "          # after a good change" 0 > "$work/good"
change broken "shop: latency in the status"
up "          # after a broken one" 6 > "$work/broken"
users_stop

img=$root/docs/img
title="The first release: plan, jobs, evidence, gate, instances, traffic, smoke checks, a URL"
python3 "$img/picture.py" "$title" < "$work/first" > "$img/first.svg"
title="A good change is proved not worse and takes over; a broken one is taken back"
{ cat "$work/good" && echo && cat "$work/broken"; } | python3 "$img/picture.py" "$title" > "$img/canary.svg"
