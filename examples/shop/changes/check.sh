#!/bin/sh
# Applies each change to a copy of the shop, and shows that it passes every check there and still does what it is for.
set -eu
shop=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

check() { # name, what changes/effect.py has to say
    clone="$work/$1" copy="$work/$1/examples/shop"
    mkdir -p "$copy"
    (cd "$shop" && tar -cf - --exclude=dist --exclude=reports --exclude=__pycache__ .) | tar -xf - -C "$copy"
    cd "$copy"
    if [ "$1" != none ]; then
        git init -q . && git apply --check "changes/$1.patch" && rm -rf .git # the shop as a repository of its own
        git init -q "$clone" && git apply --directory=examples/shop "changes/$1.patch" # the shop within a clone
    fi
    {
        python3 tools/lint.py shop tests tools &&
            python3 tools/test.py --coverage-min 80 &&
            python3 tools/scan.py shop &&
            python3 tools/build.py
    } > log 2>&1 || { cat log; echo "$1: its own checks fail"; exit 1; }
    effect=$(python3 changes/effect.py)
    if [ "$effect" != "$2" ]; then echo "$1: $effect"; exit 1; fi
    echo "$1: ok ($effect)"
}

check none "round trips for a product page: 1, failed status requests: 0 %, /kinds/green: 404"
check good "round trips for a product page: 1, failed status requests: 0 %, /kinds/green: 200"
check slow "round trips for a product page: 3, failed status requests: 0 %, /kinds/green: 404"
check broken "round trips for a product page: 1, failed status requests: 20 %, /kinds/green: 404"
