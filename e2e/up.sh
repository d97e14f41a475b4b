#!/usr/bin/env bash
# The main job as a newcomer has it: a first version, a good change under traffic, a slow and a broken one that go back by themselves,
# a way back by hand, and nothing left at the end. PLIMSOLL names another binary than target/release/plimsoll.
set -euo pipefail
. "$(dirname "$0")/common.sh"

# up NAME CODE: `plimsoll up` ends with the code; what it said is in NAME.out.
up() {
    local code=0
    "$plimsoll" up --port "$port" . > "$work/$1.out" 2>&1 || code=$?
    is "$code" "$2" || { sed 's/^/       | /' "$work/$1.out" && return 1; }
}

change() { git apply "changes/$1.patch" && git add --all && git commit --quiet --message "A $1 change"; }

take_back() { git reset --quiet --hard HEAD~1; }

ask() { curl --silent --fail --max-time 5 "http://127.0.0.1:$port$1" > /dev/null; }

# Requests that failed and that anybody but this revision answered, or nobody.
failed_elsewhere() { grep '^failed' "$work/users.out" | grep -vc " $1\$" || true; }

revision_of() { sed -nE 's/.*revision +([0-9a-f]{12}) starts.*/\1/p' "$work/$1.out" | head -1; }

port=$(free_port)
shop

ok "the first version is up" up first 0
ok "it prints its address" says "$work/first.out" "^http://shop\.localhost:$port$"
ok "the shop answers there" ask /products/assam

users_start "$port"
change good
ok "a good change takes over" up good 0
ok "it was judged as a canary" says "$work/good.out" "10 ?%"
ok "the new page answers" ask /kinds/green
users_stop
ok "no request failed meanwhile" is "$(tail -1 "$work/users.out" | cut -d' ' -f3-)" "failed 0"

sentence='.*canary [0-9,]+/[0-9,]+ vs stable [0-9,]+/[0-9,]+ '
users_start "$port"
change slow
ok "a slow change goes back by itself" up slow 6
ok "one sentence says why, with four numbers" says "$work/slow.out" "going back $sentence"
ok "the version before answers" ask /kinds/green
users_stop
ok "no request failed meanwhile" is "$(tail -1 "$work/users.out" | cut -d' ' -f3-)" "failed 0"
take_back

users_start "$port"
change broken
ok "a broken change goes back by itself" up broken 6
ok "one sentence says why, with four numbers" says "$work/broken.out" "going back $sentence"
users_stop
ok "only the canary's own answers failed" is "$(failed_elsewhere "$(revision_of broken)")" 0
take_back

"$plimsoll" release list > "$work/list.out"
ok "the list has the four releases" is "$(grep -c 'release-' "$work/list.out")" 4
"$plimsoll" release view 4 > "$work/view.out"
ok "a release can be looked at" says "$work/view.out" "ended +rolled back: "
"$plimsoll" release explain 4 > "$work/explain.out"
ok "a release is explained" says "$work/explain.out" "rolled back: "
"$plimsoll" release history > "$work/history.out"
ok "the history has what was live" is "$(grep -c 'live from' "$work/history.out")" 2

code=0
"$plimsoll" release rollback > "$work/rollback.out" 2>&1 || code=$?
ok "a rollback by hand ends well" is "$code" 0
ok "the first version is back" is "$(curl --silent --output /dev/null --write-out '%{http_code}' "http://127.0.0.1:$port/kinds/green")" 404

kill -9 "$(python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])' < <(curl --silent --unix-socket "$PLIMSOLL_STATE_DIR/server.sock" http://plimsoll/api/v1/health))"
"$plimsoll" status > "$work/status.out"
ok "what runs is told after the server was killed" says "$work/status.out" "revision [0-9a-f]{12} since .*http://shop\.localhost:$port"

ok "the promises hold on the record" "$plimsoll" doctor --verify
ok "everything goes down" "$plimsoll" down --purge
ok "nothing is left of it on the disk" [ ! -e "$PLIMSOLL_STATE_DIR" ]
ok "and no process is" is "$(left)" ""
ok "and nobody listens" is "$(ask / && echo somebody)" ""

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
