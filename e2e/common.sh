# What both scripts need: a place of their own, the shop as a repository of its own, users, and counting.
# Sourced, with bash.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
plimsoll=${PLIMSOLL:-$root/target/release/plimsoll}
[ -x "$plimsoll" ] || { echo "there is no $plimsoll: cargo build --release, or PLIMSOLL=…" >&2; exit 8; }

work=$(mktemp -d)
export HOME=$work/home PLIMSOLL_STATE_DIR=$work/state PLIMSOLL_ACTOR=e2e GIT_CONFIG_NOSYSTEM=1 NO_COLOR=1
export GIT_AUTHOR_NAME=E2E GIT_AUTHOR_EMAIL=e2e@localhost GIT_COMMITTER_NAME=E2E GIT_COMMITTER_EMAIL=e2e@localhost
unset XDG_STATE_HOME XDG_RUNTIME_DIR GIT_DIR GIT_WORK_TREE
mkdir -p "$HOME"
passed=0 failed=0 users=

ok() { # what, and a command that must succeed
    local what=$1
    shift
    if "$@"; then
        passed=$((passed + 1)) && echo "ok     $what"
    else
        failed=$((failed + 1)) && echo "FAILED $what"
    fi
}

is() { [ "$1" = "$2" ] || { echo "       expected $2, got $1"; return 1; }; }

says() { grep -Eq -- "$2" "$1" || { echo "       no line of $1 matches: $2" && sed 's/^/       | /' "$1" && return 1; }; }

# The processes that were started from here and still are.
left() { grep -slFf <(printf %s "$work") /proc/[0-9]*/cmdline 2>/dev/null | cut -d/ -f3 | grep -vx "$$" || true; }

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# A copy of the shop as its own repository, with sizes that end within a minute.
shop() {
    mkdir -p "$work/shop"
    (cd "$root/examples/shop" && tar -cf - --exclude=dist --exclude=reports --exclude=__pycache__ .) | tar -xf - -C "$work/shop"
    cd "$work/shop"
    cat "$root/e2e/small.yaml" >> plimsoll.yaml
    git init --quiet --initial-branch main && git add --all && git commit --quiet --message "The shop"
}

# Users until the file `stop` is there; what failed is in `users.out`, one line each, and the counts at its end.
users_start() { # port
    rm -f "$work/stop" && python3 "$root/e2e/users.py" "$1" "$work/stop" > "$work/users.out" & users=$!
}

users_stop() { touch "$work/stop" && wait "$users"; users=; }

finish() {
    status=$?
    [ -z "$users" ] || { touch "$work/stop"; wait "$users" || true; }
    if [ -d "$PLIMSOLL_STATE_DIR" ]; then "$plimsoll" down --purge > /dev/null 2>&1 || true; fi
    for pid in $(left); do kill -9 "$pid" 2>/dev/null || true; done
    cd / && rm -rf "$work"
    exit $status
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
