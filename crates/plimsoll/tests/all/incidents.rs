//! Open incidents and a project's own checks: what keeps a release from going on that is not the release's own doing.

#![allow(clippy::unwrap_used)]

use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::common::{DEADLINE, Place, SMALL, Said, certificate, free_port, until};

/// Where the judge isn't what is looked at.
const AT_ONCE: [&str; 2] = ["--strategy", "immediate"];

const DOWN: &str = r#"[{"id": "INC-7", "title": "the shop is down", "priority": "P1", "url": "https://example.org/7"}]"#;

fn configure(place: &Place, gate: &str) {
    place.write("plimsoll.yaml", &format!("{SMALL}start: exec python3 app.py\ngate:\n{gate}"));
    place.commit("what the gate asks");
}

fn json(place: &Place, args: &[&str]) -> serde_json::Value {
    serde_json::from_str(&place.say(args).raw).unwrap()
}

fn replace(path: &PathBuf, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

/// Whether a process that wrote its number there is alive; one that has ended has no words left.
fn lives(file: &PathBuf) -> bool {
    let pid = std::fs::read_to_string(file).unwrap();
    std::fs::read(format!("/proc/{}/cmdline", pid.trim())).is_ok_and(|words| !words.is_empty())
}

fn with_secret(place: &Place, name: &str, value: &str) -> Said {
    let mut command = place.plimsoll(&["secret", "set", name]);
    std::fs::write(place.path("value"), value).unwrap();
    command.stdin(std::fs::File::open(place.path("value")).unwrap());
    place.start(command).wait()
}

#[test]
fn an_open_incident_denies_and_a_resolved_one_lets_it_go() {
    let place = Place::with_app();
    let file = place.path("incidents.json");
    configure(&place, &format!("  incidents: {{file: {}}}\n", file.display()));
    replace(&file, DOWN);
    let check = place.say(&["gate", "check"]);
    assert!(check.code == 3 && check.out.contains("✖ incidents  P1 incident INC-7 is open: the shop is down"), "{check:?}");
    let denied = place.up(&AT_ONCE);
    assert!(denied.code == 3 && denied.err.contains("P1 incident INC-7 is open: the shop is down (https://example.org/7)"), "{denied:?}");
    assert!(denied.err.contains("; no open P1 or P2"), "the plan says it: {denied:?}");
    let explained = place.say(&["gate", "explain"]);
    assert!(explained.out.contains("Incidents: P1 incident INC-7 is open: the shop is down."), "{explained:?}");
    let asked = json(&place, &["policy", "eval", "input.incidents[0].id", "--json"]);
    assert_eq!(asked["result"][0]["expressions"][0]["value"], "INC-7", "the record tells it: {asked}");

    replace(
        &file,
        &DOWN
            .replace("\"priority\"", "\"status\": \"resolved\", \"priority\"")
            .replace("]", ", {\"id\": \"INC-8\", \"title\": \"a typo\", \"priority\": \"P4\"}]"),
    );
    let check = place.say(&["gate", "check"]);
    assert!(check.code == 0 && check.out.contains("✔ incidents  no P1 or P2 is open"), "{check:?}");
    place.commit("again");
    let up = place.up(&AT_ONCE);
    assert_eq!(up.code, 0, "{up:?}");
    assert!(place.say(&["gate", "explain"]).out.contains("Incidents: none that counts is open."));
    assert_eq!(place.say(&["doctor", "--verify"]).code, 0);
}

#[test]
fn while_nobody_knows_it_waits_and_goes_on_when_somebody_does() {
    let place = Place::with_app();
    let file = place.path("incidents.json");
    let command = format!("test -f {0} || {{ echo \"the duty book is closed\" >&2; exit 7; }}; cat {0}", file.display());
    configure(&place, &format!("  incidents: {{command: '{command}'}}\n"));
    let mut up = place.start_up(&AT_ONCE);
    up.until_it_says("nobody knows which incidents are open: the command that knows them failed: the duty book is closed; it is asked again until somebody does");
    let status = place.say(&["status"]);
    assert!(
        status.out.contains("release-1 waits: nobody knows which incidents are open: the command that knows them failed"),
        "{status:?}"
    );
    let check = place.say(&["gate", "check"]);
    assert!(check.code == 5 && check.out.contains("incidents  nobody knows which are open: the command"), "{check:?}");
    replace(&file, "[]");
    up.wait().ends(0, &["✔ verified   the new revision carries all traffic and stayed ready"]);
    assert!(place.say(&["gate", "explain"]).out.contains("Incidents: none that counts is open."), "as it was in the moment of acting");
    assert_eq!(place.say(&["doctor", "--verify"]).code, 0);
}

#[test]
fn what_nobody_knows_is_as_configured_and_an_emergency_goes_past_it() {
    let place = Place::with_app();
    configure(&place, "  incidents: {file: ops/incidents.json, unknown: deny}\n");
    let denied = place.up(&AT_ONCE);
    assert!(
        denied.code == 3 && denied.err.contains("nobody knows which incidents are open: `DIR/app/ops/incidents.json` can't be read"),
        "{denied:?}"
    );
    configure(&place, "  incidents: {command: 'echo {}', unknown: allow}\n");
    let warned = place.up(&AT_ONCE);
    assert_eq!(warned.code, 0, "{warned:?}");
    configure(&place, "  incidents: {command: 'echo nothing'}\n  checks: [{name: capacity, run: 'exit 1'}]\n");
    place.write("version", "3");
    place.commit("another");
    // With a check that fails it is a no at once, whatever else nobody knows.
    let denied = place.up(&AT_ONCE);
    assert!(denied.code == 3 && denied.err.contains("the check `capacity` failed: it ended with 1"), "{denied:?}");
    assert_eq!(place.say(&["gate", "override", "--reason", "the shop is down"]).code, 0);
    place.write("version", "4");
    place.commit("the repair");
    let up = place.up(&AT_ONCE);
    assert!(up.code == 0 && up.err.contains("past: nobody knows which incidents are open: the list of incidents is no JSON"), "{up:?}");
    let explained = place.say(&["gate", "explain"]);
    assert!(explained.out.contains("and was overridden") && explained.out.contains("Denied: the check `capacity` failed"), "{explained:?}");
}

#[test]
fn a_check_that_fails_denies_in_its_own_words() {
    let place = Place::with_app();
    let ready = free_port();
    configure(
        &place,
        &format!(
            "  checks:
    - {{name: capacity, run: 'ls; echo counting; printf \"\\033[31m2 nodes of 3 for %s %s %s\\033[0m\" $PLIMSOLL_PROJECT $PLIMSOLL_ENVIRONMENT $PLIMSOLL_RELEASE; exit 4'}}
    - {{name: login, run: 'echo \"the password is $(printf hunter2hunter2)\" >&2; false'}}
    - {{name: monitoring, url: 'http://127.0.0.1:{ready}/ready'}}
    - {{name: nothing, run: 'test -n \"$PLIMSOLL_COMMIT\" && test \"$(ls -A | wc -l)\" = 0'}}
"
        ),
    );
    assert_eq!(with_secret(&place, "PASSWORD", "hunter2hunter2").code, 0);
    let denied = place.up(&AT_ONCE);
    assert_eq!(denied.code, 3, "{denied:?}");
    for said in [
        "the check `capacity` failed: 2 nodes of 3 for app local release-1\n",
        "the check `login` failed: the password is ***\n",
        "the check `monitoring` failed: no answer from http://127.0.0.1:",
        "/ready: Couldn't connect to server\n",
        "; 4 checks",
    ] {
        assert!(denied.err.contains(said), "{said}: {denied:?}");
    }
    assert!(!denied.err.contains("`nothing` failed"), "an empty folder, and what it is about: {denied:?}");
    let check = place.say(&["gate", "check"]);
    assert!(check.code == 3 && check.out.contains("✔ checked    the check `nothing` passed"), "{check:?}");
    let asked = json(&place, &["policy", "eval", "input.checks", "--json"]);
    assert_eq!(asked["result"][0]["expressions"][0]["value"][3], serde_json::json!({"name": "nothing", "passed": true}), "{asked}");
}

#[test]
fn a_check_that_hangs_is_ended_with_all_that_it_started() {
    let place = Place::with_app();
    let (child, away) = (place.path("child"), place.path("away"));
    let hangs = format!("sleep 600 & echo $! > {}; setsid sh -c 'echo $$ > {}; exec sleep 600' & wait", child.display(), away.display());
    place.write("hangs.sh", &hangs);
    configure(&place, &format!("  checks: [{{name: capacity, run: 'sh {}', timeout: 2s}}]\n", place.project().join("hangs.sh").display()));
    let denied = place.up(&AT_ONCE);
    assert!(denied.code == 3 && denied.err.contains("the check `capacity` failed: it took longer than TIME and was ended"), "{denied:?}");
    assert!(!lives(&child) && !lives(&away));

    // Whoever ends the release doesn't wait for its checks, and they end too.
    configure(&place, &format!("  checks: [{{name: capacity, run: 'sh {}', timeout: 5m}}]\n", place.project().join("hangs.sh").display()));
    std::fs::remove_file(&away).unwrap();
    let mut up = place.start_up(&AT_ONCE);
    up.until_it_says("it is being found out how the check `capacity` ends");
    until(DEADLINE, || away.exists()).unwrap();
    assert_eq!(place.say(&["release", "abort"]).code, 0);
    assert_eq!(up.wait().code, 1);
    until(DEADLINE, || !lives(&away)).unwrap();

    // Nor does a server that goes; whatever is left fails this test.
    std::fs::remove_file(&away).unwrap();
    let up = place.start_up(&AT_ONCE);
    until(DEADLINE, || away.exists()).unwrap();
    assert_eq!(place.say(&["down", "--purge"]).code, 0);
    up.wait();
}

#[test]
fn who_stops_asking_ends_what_was_asked() {
    let place = Place::with_app();
    let away = place.path("away");
    let hangs = format!("echo $$ > {}.new; mv {0}.new {0}; exec sleep 600", away.display());
    configure(&place, &format!("  checks: [{{name: capacity, run: '{hangs}', timeout: 5m}}]\n"));
    let asking = place.start(place.plimsoll(&["gate", "check"]));
    until(DEADLINE, || away.exists()).unwrap();
    asking.interrupt();
    asking.wait().ends(130, &["error: stopped while it was being found out how the check `capacity` ends"]);
    until(DEADLINE, || !lives(&away)).unwrap();
}

/// Two pages of a hundred and one incidents, to those who show the token.
const PAGERDUTY: &str = r#"
import http.server, json, sys, urllib.parse
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        known = self.headers["authorization"] == "Token token=a-rather-secret-token"
        offset, limit = int(query["offset"][0]), int(query["limit"][0])
        one = lambda at: {"id": f"Q{at}", "title": "slow", "status": "triggered", "urgency": "low", "priority": {"summary": "P4"},
                          "html_url": f"https://p/Q{at}", "created_at": "2026-11-26T10:00:00Z"}
        all = [one(at) for at in range(100)] + [dict(one(100), priority={"summary": "P2"}, title="pay is down")]
        body = {"incidents": all[offset:offset + limit], "limit": limit, "offset": offset, "more": offset + limit < len(all)}
        if query["statuses[]"] != ["triggered", "acknowledged"]: body = {"error": query}
        body = json.dumps(body).encode()
        self.send_response(200 if known else 401); self.send_header("content-length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *args): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer)
if len(sys.argv) > 2:
    import ssl
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2] + "/cert.pem", sys.argv[2] + "/key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"#;

struct Server(Child);

impl Server {
    /// Over TLS with the certificate of a folder, where one is given.
    fn start(place: &Place, port: u16, certificate: Option<&Path>) -> Server {
        let file = place.path("pagerduty.py");
        std::fs::File::create(&file).unwrap().write_all(PAGERDUTY.as_bytes()).unwrap();
        let child = Command::new("python3").arg(file).arg(port.to_string()).args(certificate).stdin(Stdio::null()).spawn().unwrap();
        until(DEADLINE, || TcpStream::connect(("127.0.0.1", port)).is_ok()).unwrap();
        Server(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn all_pages_of_a_server_are_read_and_its_token_is_shown_to_nobody_else() {
    let place = Place::with_app();
    let port = free_port();
    configure(&place, &format!("  incidents: {{url: 'http://127.0.0.1:{port}/incidents', token: pagerduty, priorities: [P1, P2]}}\n"));
    let mut up = place.start_up(&AT_ONCE);
    up.until_it_says(
        "`gate.incidents.token` is empty, so nobody will know the incidents; `plimsoll secret set PAGERDUTY` gives it a value",
    );
    up.until_it_says("nobody knows which incidents are open: there is no secret `pagerduty`; `plimsoll secret set pagerduty` makes it");
    assert_eq!(with_secret(&place, "PAGERDUTY", "a-rather-wrong-token").code, 0);
    up.until_it_says(&format!("nobody knows which incidents are open: no answer from http://127.0.0.1:{port}/incidents"));
    let server = Server::start(&place, port, None);
    up.until_it_says(&format!("nobody knows which incidents are open: http://127.0.0.1:{port}/incidents answers 401"));
    assert_eq!(with_secret(&place, "PAGERDUTY", "a-rather-secret-token").code, 0);
    let denied = up.wait();
    assert!(denied.code == 3 && denied.err.contains("P2 incident Q100 is open: pay is down (https://p/Q100)"), "{denied:?}");
    configure(&place, &format!("  incidents: {{url: 'http://127.0.0.1:{port}/incidents', token: PAGERDUTY, priorities: [P1]}}\n"));
    assert_eq!(place.up(&AT_ONCE).code, 0);
    drop(server);
}

#[test]
fn incidents_behind_tls_are_known_where_the_authority_is_trusted() {
    let place = Place::with_app();
    let (port, folder) = (free_port(), place.path("home"));
    certificate(&folder);
    let server = Server::start(&place, port, Some(&folder));
    configure(&place, &format!("  incidents: {{url: 'https://localhost:{port}/incidents', token: PAGERDUTY, priorities: [P1, P2]}}\n"));
    assert_eq!(with_secret(&place, "PAGERDUTY", "a-rather-secret-token").code, 0);
    let unknown = place.say(&["gate", "check"]);
    assert!(unknown.code == 5 && unknown.out.contains("SSL certificate problem"), "{unknown:?}");
    let mut check = place.plimsoll(&["gate", "check"]);
    check.env("SSL_CERT_FILE", folder.join("cert.pem"));
    let known = place.start(check).wait();
    assert!(known.code == 3 && known.out.contains("P2 incident Q100 is open: pay is down"), "{known:?}");
    drop(server);
}

#[test]
fn whatever_is_wrong_with_it_is_said_at_once() {
    let place = Place::with_app();
    configure(
        &place,
        "  incidents: {file: ../a.json, url: http://a, unknown: perhaps}\n  checks: [{name: a}, {name: b, run: x, timeout: 1h}]\n",
    );
    let wrong = place.up(&AT_ONCE);
    assert_eq!(wrong.code, 2, "{wrong:?}");
    for said in ["one of `command`, `file` and `url`", "`hold`, `deny` or `allow`", "one of `run` and `url`", "five minutes at most"] {
        assert!(wrong.err.contains(said), "{said}: {wrong:?}");
    }
}
