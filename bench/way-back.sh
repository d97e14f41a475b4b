#!/usr/bin/env bash
# way-back.sh [N]: how long a bad version keeps users after the verdict: from the fact that says "going back" to the last answer of the
# canary that a user got, in N rollouts of a version that fails every third request. Beside it, when the record says the route was taken.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -n "${PLIMSOLL:-}" ] || cargo build --release --quiet --workspace --bins --examples
. e2e/common.sh
rounds=${1:-3}

mkdir "$work/app" && cd "$work/app"
cat > app.py <<'PY'
import http.server, itertools, os, signal, threading
bad, count = open("version").read().startswith("bad"), itertools.count()
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(500 if bad and self.path != "/health" and next(count) % 3 == 0 else 200)
        self.send_header("content-length", "3"); self.end_headers(); self.wfile.write(b"ok\n")
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer.daemon_threads = True
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
PY
cat > plimsoll.yaml <<CONFIG
apiVersion: plimsoll/v1alpha1
name: app
start: exec python3 app.py
health: {ready: /health}
smoke: [/health]
limits: {stepMin: 1s, stepMax: 2m, verify: 1s, drain: 1s}
judge: {look: 250ms}
synthetic: false
CONFIG
cat > "$work/ask.py" <<'PY'
"""Eight users until the file is there: `millisecond revision` of every answer."""
import http.client, os, sys, threading, time
port, stop, lock = int(sys.argv[1]), sys.argv[2], threading.Lock()
def use():
    while not os.path.exists(stop):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", "/", headers={"x-plimsoll-revision": "?"})
            answer = connection.getresponse(); answer.read()
            with lock: print(int(time.time() * 1000), answer.getheader("x-plimsoll-revision"), flush=True)
        finally:
            connection.close()
        time.sleep(0.005)
threads = [threading.Thread(target=use) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
PY
git init --quiet --initial-branch main
version() { echo "$1" > version && git add --all && git commit --quiet --message "version $1"; }
version good
address=$("$plimsoll" up --quiet .)
port=${address##*:}
python3 "$work/ask.py" "$port" "$work/stop" > "$work/answers" & users=$!
for round in $(seq "$rounds"); do
    version "bad $round"
    code=0
    "$plimsoll" up --quiet . > "$work/up.out" 2>&1 || code=$?
    [ "$code" = 6 ] || { echo "round $round: the bad version was not taken back (exit $code): $(tail -1 "$work/up.out")"; exit 1; }
    "$plimsoll" release view --record > "$work/record-$round"
done
touch "$work/stop" && wait "$users"; users=
python3 - "$work" "$rounds" <<'PY'
import json, sys
from datetime import datetime
work, rounds = sys.argv[1], int(sys.argv[2])
answers = [line.split() for line in open(f"{work}/answers")]
def ms(text): return round(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)
def events(path):
    for line in open(path):
        fact = json.loads(line)
        payload = fact.get("payload", {})
        event = payload.get("rollout", payload).get("event", payload) if isinstance(payload, dict) else {}
        if isinstance(event, dict) and "event" in event: yield event
worst = taken_worst = 0
for number in range(1, rounds + 1):
    back, taken, canary = None, None, None
    for event in events(f"{work}/record-{number}"):
        if event["event"] == "rollback_started" and back is None: back = ms(event["at"])
        if event["event"] == "route_taken" and back is not None and taken is None: taken = ms(event["at"])
        if event["event"] == "routed" and canary is None and len(event["weights"]) > 1:
            canary = min(event["weights"], key=lambda name: event["weights"][name])
    last = max((int(at) for at, name in answers if canary and name and canary.startswith(name.split("/")[0])), default=back)
    worst, taken_worst = max(worst, last - back), max(taken_worst, taken - back)
print(f"from the verdict on record to the canary's last answer: {worst} ms at most of {rounds}; to the route taken on record: {taken_worst} ms (limit 1000 ms)")

PY
