#!/usr/bin/env bash
# kill.sh N: kills the server at a random moment of `up`, N times, under users' requests. Each time the release must go on and end well,
# its steps must have run once, and no user may notice. PLIMSOLL names another binary than target/release/plimsoll; SEED repeats a run.
set -euo pipefail
. "$(dirname "$0")/common.sh"

rounds=${1:-5}
seed=${SEED:-$(date +%s)}
RANDOM=$seed
echo "seed $seed"
marks=$work/marks resume_longest=0 kills=0 late=0
export marks

milliseconds() { date +%s%3N; }

server() { python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])' < <(curl --silent --max-time 2 --unix-socket "$PLIMSOLL_STATE_DIR/server.sock" http://plimsoll/api/v1/health) 2>/dev/null; }

# A small project, so that a round lasts seconds: one job whose step leaves a mark outside, and an application with a version.
project() {
    mkdir -p "$work/app/.github/workflows" && cd "$work/app"
    cat > app.py <<'PY'
import http.server, os, signal, sys, threading
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200); self.send_header("content-length", "3"); self.end_headers(); self.wfile.write(b"ok\n")
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer.daemon_threads = True
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
PY
    cat > plimsoll.yaml <<YAML
apiVersion: plimsoll/v1alpha1
name: killed
start: exec python3 app.py
limits: {stepMin: 1s, stepMax: 2m, drain: 1s, verify: 1s}
judge: {look: 250ms}
synthetic: {interval: 10ms, belowRequestsPerMinute: 100000}
grace: 3s
YAML
    cat > .github/workflows/ci.yml <<YAML
on: push
jobs:
  mark:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - name: Mark
        run: |
          cat version >> $marks
          sleep 1
YAML
    git init --quiet --initial-branch main
    commit 0
}

commit() { echo "$1" > version && git add --all && git commit --quiet --message "version $1"; }

# From the kill until a server answers again. The client that waits for the release starts it; one that had its answer already and
# was about to end starts nothing, and the next command does.
resumed() {
    local began=$1 client=$2 pid=
    until pid=$(server) && [ -n "$pid" ]; do
        [ $(($(milliseconds) - began)) -lt 30000 ] || return 1
        kill -0 "$client" 2>/dev/null || { late=$((late + 1)) && "$plimsoll" status > /dev/null || return 1; }
        sleep 0.02
    done
    local took=$(($(milliseconds) - began))
    [ "$took" -le "$resume_longest" ] || resume_longest=$took
    [ "$took" -le 10000 ]
}

# The whole life of an `up`, and a kill somewhere in it.
round() {
    local number=$1 life=$2 code=0 pid began client
    commit "$number"
    "$plimsoll" up --port "$port" . > "$work/up.out" 2>&1 & client=$!
    sleep "$(awk -v r="$RANDOM" -v life="$life" 'BEGIN { printf "%.3f", r / 32768 * life / 1000 }')"
    if kill -0 "$client" 2>/dev/null && pid=$(server) && kill -9 "$pid"; then
        kills=$((kills + 1))
        began=$(milliseconds)
        resumed "$began" "$client" || {
            echo "       round $number: not resumed in time, $(($(milliseconds) - began)) ms after the kill; what the client said:"
            sed 's/^/       | /' "$work/up.out"
            return 1
        }
    fi
    wait "$client" || code=$?
    is "$code" 0 || { sed 's/^/       | /' "$work/up.out" && return 1; }
    is "$(grep -cx "$number" "$marks")" 1
}

promotions() { "$plimsoll" release list | grep -c 'promoted: revision' || true; }

port=$(free_port)
project
ok "the first version is up" "$plimsoll" up --port "$port" --quiet .
users_start "$port"
commit first
began=$(milliseconds)
ok "an undisturbed change takes over" "$plimsoll" up --port "$port" --quiet .
life=$(($(milliseconds) - began))
echo "       an undisturbed change takes $life ms"
for number in $(seq "$rounds"); do
    ok "round $number: resumed, ended, its step ran once" round "$number" "$life"
done
users_stop
ok "no user's request failed" is "$(tail -1 "$work/users.out" | cut -d' ' -f3-)" "failed 0"
grep '^failed' "$work/users.out" | head -5 || true
ok "every release was promoted once" is "$(promotions)" $((rounds + 2))
ok "no event was lost" "$plimsoll" doctor --verify
ok "everything goes down" "$plimsoll" down --purge
ok "no process is left" is "$(left)" ""

echo "$kills kills of $rounds rounds ($late when the client had its answer already), longest resume $resume_longest ms, $(tail -1 "$work/users.out")"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
