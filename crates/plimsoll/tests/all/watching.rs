//! What was promoted is watched for a while, and goes back by itself where that helps.

#![allow(clippy::unwrap_used)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{Signal, kill};

use crate::common::{DEADLINE, Place, SMALL, until};

/// Takes its time for each answer, and fails where a file of its version lies in the home.
const APP: &str = r#"
import http.server, os, time
version = open("version").read().strip()
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(0.01)
        broken = self.path == "/" and os.path.exists(f"{os.environ['FLAGS']}/broken-{version}")
        self.send_response(500 if broken else 200); self.send_header("content-length", "3"); self.end_headers(); self.wfile.write(b"ok\n")
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
"#;

fn place(rules: &str) -> Place {
    let place = Place::with(&[("app.py", APP)]);
    let flags = place.path("home").display().to_string();
    let watch = format!("watch: {{for: 10m, rules: [{rules}]}}\nenv: {{FLAGS: '{flags}'}}\nstrategy: immediate\n");
    place.write("plimsoll.yaml", &format!("{SMALL}start: exec python3 app.py\n{watch}"));
    place
}

fn bring_up(place: &Place, version: &str) {
    place.write("version", version);
    place.commit(&format!("version {version}"));
    let said = place.up(&[]);
    assert_eq!(said.code, 0, "{said:?}");
}

fn breaks(place: &Place, version: &str) {
    std::fs::write(place.path("home").join(format!("broken-{version}")), "").unwrap();
}

/// More than one, so that twenty answers in six seconds are sure on a busy machine, too.
const USERS: u64 = 4;

/// Each asks again when it was answered, as long as something is done.
fn with_users<T>(place: &Place, act: impl FnOnce() -> T) -> T {
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _over = Over(&over);
        let user = || {
            while !over.load(Ordering::SeqCst) {
                let Ok(mut connection) = TcpStream::connect(("127.0.0.1", place.port)) else { continue };
                let request = "GET / HTTP/1.1\r\nhost: app.localhost\r\nconnection: close\r\n\r\n";
                let _ = connection.write_all(request.as_bytes()).and_then(|()| connection.read_to_string(&mut String::new()));
            }
        };
        for _ in 0..USERS {
            scope.spawn(user);
        }
        act()
    })
}

/// As many answers as a share is taken of, for as long as the rule asks.
fn is_used_for(place: &Place, requests: u64) {
    let seen = || -> u64 {
        let views: serde_json::Value = serde_json::from_str(&place.say(&["status", "--json"]).raw).unwrap();
        let counts = views[0]["route"]["counts"].as_object().cloned().unwrap_or_default();
        counts.values().filter_map(|counts| counts["users"]["requests"].as_u64()).sum()
    };
    let from = seen();
    until(DEADLINE, || seen() >= from + requests).unwrap();
}

#[test]
fn a_version_that_breaks_after_its_promotion_goes_back_by_itself() {
    let place = place("{errors: 20%, during: 6s}");
    bring_up(&place, "1");
    with_users(&place, || {
        // At the ten milliseconds that each answer takes, no less than seven seconds.
        is_used_for(&place, 700 * USERS);
        bring_up(&place, "2");
        breaks(&place, "2");
        until(DEADLINE, || place.say(&["release", "list"]).out.contains("release-3")).unwrap();
        until(DEADLINE, || place.say(&["release", "view", "3", "--json"]).raw.contains("\"promoted\"")).unwrap();
    });
    let view = place.say(&["release", "view", "3"]);
    assert!(view.out.contains("by plimsoll") && view.out.contains("  back to "), "{view:?}");
    assert!(view.out.contains("of the answers failed") && view.out.contains("more than 20 % in TIME"), "{view:?}");
    let explained = place.say(&["release", "explain"]);
    assert!(explained.out.contains("release-3: promoted") && explained.out.contains("It goes back to "), "the last one: {explained:?}");
    let revision = |release: &str| {
        let view: serde_json::Value = serde_json::from_str(&place.say(&["release", "view", release, "--json"]).raw).unwrap();
        view["revision"].clone()
    };
    assert!(revision("3") == revision("1") && revision("3") != revision("2"));
    // It went back once, and stays there whatever it does.
    breaks(&place, "1");
    with_users(&place, || is_used_for(&place, 700 * USERS));
    assert!(!place.say(&["release", "list"]).out.contains("release-4"));
    assert_eq!(place.say(&["doctor", "--verify"]).code, 0);
}

#[test]
fn what_would_not_help_is_said_and_not_done() {
    let place = place("{errors: 20%, during: 6s}");
    bring_up(&place, "1");
    bring_up(&place, "2");
    kill(place.server(), Signal::SIGKILL).unwrap();
    breaks(&place, "2");
    let unknown = "whether the version before was better is not known, so nothing goes back by itself";
    with_users(&place, || until(DEADLINE, || place.say(&["status"]).out.contains(unknown)).unwrap());
    let list = place.say(&["release", "list"]);
    assert!(list.out.contains("release-2") && !list.out.contains("release-3"), "{list:?}");
}
