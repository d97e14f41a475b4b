//! What ends, what stays and what is told when things go down, or something is in the way.

#![allow(clippy::unwrap_used)]

use crate::common;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::{APP, DEADLINE, Place, SMALL, until};
use nix::sys::signal::{Signal, kill};

const CI: &str = ".github/workflows/ci.yml";

/// Listens on a port of its own whatever `PORT` says, and lives on when somebody else has it.
const STUBBORN: &str = r#"
import http.server, sys, time
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("content-length", "3"); self.end_headers(); self.wfile.write(b"ok\n")
    def log_message(self, *args): pass
try:
    http.server.ThreadingHTTPServer(("127.0.0.1", FIXED), Answer).serve_forever()
except OSError as error:
    print(error, flush=True)
    time.sleep(10000)
"#;

/// A commit whose job ends when the file is there.
fn waits_for(place: &Place, gate: &Path) {
    let step = format!("until [ -e {} ]; do sleep 0.05; done", gate.display());
    place.write(CI, &format!("on: push\npermissions: {{}}\njobs: {{it: {{runs-on: x, steps: [{{run: '{step}'}}]}}}}\n"));
    place.commit("first");
}

#[test]
fn a_version_that_another_one_answers_for_is_not_ready() {
    let place = Place::empty();
    let fixed = common::free_port().to_string();
    place.git(&["init", "--quiet", "--initial-branch", "main"]);
    place.write("app.py", &STUBBORN.replace("FIXED", &fixed));
    place.write("plimsoll.yaml", &format!("{}start: exec python3 app.py\nport: {fixed}\n", SMALL.replace("ready: 30s", "ready: 4s")));
    // It comes between the plan and the start.
    let gate = place.path("gate");
    waits_for(&place, &gate);
    let mut first = place.start_up(&[]);
    first.until_it_says("started");
    let port: u16 = fixed.parse().unwrap();
    let mut other = place.at_home("python3").arg(place.project().join("app.py")).spawn().unwrap();
    assert!(until(DEADLINE, || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()).is_ok());
    common::open_gate(&gate);
    let first = first.wait();
    assert_eq!(first.code, 1, "{first:?}");
    assert!(first.err.contains("is held by another process, which answers there; let it listen on $PORT"), "{first:?}");
    let planned = format!("error: port {fixed}, where the application listens by `port: {fixed}`, is taken by another process");
    let again = place.up(&[]);
    assert!(again.code == 2 && again.err.contains(&planned), "{again:?}");
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(place.up(&[]).code, 0);
    place.write("README", "changed\n");
    place.commit("second");
    let second = place.up(&[]);
    assert!(second.code == 0 && second.err.contains("rolling: the instance is replaced in its place"), "{second:?}");
}

#[test]
fn what_listens_at_one_port_is_not_planned_at_that_of_another_project() {
    let place = Place::with_app();
    let fixed = common::free_port();
    let config = std::fs::read_to_string(place.project().join("plimsoll.yaml")).unwrap();
    place.write("plimsoll.yaml", &format!("{config}port: {fixed}\n"));
    place.write("app.py", &APP.replace("int(os.environ[\"PORT\"])", &fixed.to_string()));
    place.commit("at its own port");
    assert_eq!(place.up(&[]).code, 0);
    let other = |port: u16| {
        place.write("other/plimsoll.yaml", &format!("{config}port: {port}\n"));
        place.commit("another");
        place.say(&["up", "other", "--port", &common::free_port().to_string()])
    };
    let listens = format!("error: `port: {fixed}` is where the application of project `app` listens too");
    let users = "error: `port: PORT` is where this application listens, and where users of project `app` come";
    other(fixed).ends(2, &[&listens]);
    other(place.port).ends(2, &[users, "hint: `plimsoll up --port OTHER` there moves it"]);
}

#[test]
fn one_port_has_room_for_one_instance_and_one_version() {
    let place = Place::with_app();
    let config = std::fs::read_to_string(place.project().join("plimsoll.yaml")).unwrap();
    let refused = |more: &str, why: &str| {
        place.write("plimsoll.yaml", &format!("{config}port: 9191\n{more}"));
        place.commit(more);
        place.up(&["--dry-run"]).ends(2, &[why]);
    };
    refused("replicas: 2\n", "error: `port: 9191` has room for one instance, and `replicas` asks for 2");
    refused("strategy: canary\n", "error: `port: 9191` has room for one version, and a canary starts the next one beside it");
    refused(
        "strategy: rolling\n",
        "error: `port: 9191` has room for one version, and a rolling update with `maxSurge` starts the next one beside it",
    );
    place.write("plimsoll.yaml", &format!("{config}port: 9191\n"));
    place.commit("by itself");
    let plan = place.up(&["--dry-run"]);
    assert!(plan.code == 0 && plan.out.contains("rolling: the instance is replaced in its place"), "{plan:?}");
    assert_eq!(place.up(&["--dry-run", "--strategy", "immediate"]).code, 2);
    place
        .say(&["up", "--dry-run", "--port", "9191"])
        .ends(2, &["error: `--port 9191` is where users come, and `port: 9191` is where the application listens itself"]);
}

/// Of one that has ended and was not waited for, nothing is left to read.
fn lives_as(pid: &str) -> bool {
    std::fs::read(format!("/proc/{}/cmdline", pid.trim())).is_ok_and(|line| !line.is_empty())
}

#[test]
fn who_watches_a_release_that_was_removed_is_told_and_begins_nothing_anew() {
    let place = Place::with_app();
    waits_for(&place, &place.path("gate"));
    let mut up = place.start_up(&[]);
    up.until_it_says("started");
    up.signal(Signal::SIGSTOP);
    kill(place.server(), Signal::SIGKILL).unwrap();
    let aside = place.path("aside");
    std::fs::rename(place.state(), &aside).unwrap();
    up.signal(Signal::SIGCONT);
    up.wait().ends(9, &["error: the release is on no record any more: `plimsoll down --purge` removes all that is kept"]);
    assert!(!place.state().exists(), "nothing is begun anew");
    std::fs::rename(&aside, place.state()).unwrap();
}

#[test]
fn a_purge_is_whole_also_where_somebody_watches() {
    let place = Place::with_app();
    waits_for(&place, &place.path("gate"));
    let mut up = place.start_up(&[]);
    up.until_it_says("started");
    let mut watching = place.start(place.plimsoll(&["release", "watch"]));
    watching.until_it_says("started");
    assert_eq!(place.say(&["down", "--purge"]).code, 0);
    assert_ne!(up.wait().code, 0);
    watching.wait();
    assert!(!place.state().exists() && place.find_server().is_none(), "nobody has begun it anew");
}

#[test]
fn who_looks_while_everything_is_removed_begins_nothing_on_it() {
    let place = Place::with_app();
    assert_eq!(place.up(&[]).code, 0);
    let done = AtomicBool::new(false);
    let purged = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                place.say(&["status"]);
            }
        });
        let purged = place.say(&["down", "--purge"]);
        done.store(true, Ordering::Relaxed);
        purged
    });
    assert_eq!(purged.code, 0, "{purged:?}");
    until(DEADLINE, || place.find_server().is_none()).expect("no server has begun anew");
    assert!(!place.state().join("record.sqlite").exists());
}

#[test]
fn a_purge_ends_what_a_killed_run_has_left() {
    let place = Place::empty();
    place.git(&["init", "--quiet", "--initial-branch", "main"]);
    let pid = place.path("pid");
    let step = format!("echo $$ > {}.new; mv {0}.new {0}; exec sleep 10000", pid.display());
    place.write(CI, &format!("on: push\npermissions: {{}}\njobs: {{it: {{runs-on: x, steps: [{{run: '{step}'}}]}}}}\n"));
    place.commit("first");
    let run = place.start(place.plimsoll(&["run"]));
    until(DEADLINE, || pid.exists()).expect("the step runs");
    assert_eq!(place.say(&["down", "--purge"]).code, 0);
    assert!(lives_as(&std::fs::read_to_string(&pid).unwrap()), "of a run that goes on nothing is ended");
    run.signal(Signal::SIGKILL);
    run.wait();
    let pid = std::fs::read_to_string(&pid).unwrap();
    let lives = || lives_as(&pid);
    assert!(lives(), "nobody has ended it");
    let purged = place.say(&["down", "--purge"]);
    assert!(purged.code == 0 && purged.err.contains("everything is down and removed"), "{purged:?}");
    assert!(!lives(), "and nothing of it runs any more");
}

#[test]
fn what_runs_is_taken_down_when_its_folder_is_gone() {
    let place = Place::with_app();
    assert_eq!(place.up(&[]).code, 0);
    let (folder, elsewhere) = (place.project(), place.path("home"));
    std::fs::rename(&folder, place.path("moved")).unwrap();
    let say = |args: &[&str]| {
        let mut command = place.plimsoll(args);
        command.current_dir(&elsewhere);
        place.start(command).wait()
    };
    let unknown = say(&["down", "other"]);
    assert!(unknown.code != 0 && unknown.err.contains("live are `app` ("), "{unknown:?}");
    let status = say(&["status"]);
    assert!(status.out.contains("⚠ its folder is gone, what runs goes on; `plimsoll down DIR/app` takes it down"), "{status:?}");
    let said = say(&["down", "app"]);
    assert!(said.code == 0 && said.err.contains("app → local is down; its folder DIR/app is gone, so nothing brings it back"), "{said:?}");
    std::fs::rename(place.path("moved"), folder).unwrap();
}

#[test]
fn a_damaged_record_does_not_keep_anything_running() {
    let place = Place::with_app();
    assert_eq!(place.up(&[]).code, 0);
    let began = place.path("began");
    let step = format!("touch {}; sleep 600", began.display());
    place.write(CI, &format!("on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: {step:?}\n"));
    place.commit("a slow step");
    assert_eq!(place.up(&["--detach"]).code, 0);
    until(DEADLINE, || began.exists()).unwrap();
    kill(place.server(), Signal::SIGKILL).unwrap();
    until(DEADLINE, || place.find_server().is_none()).unwrap();
    for name in ["record.sqlite", "record.sqlite-wal", "record.sqlite-shm"] {
        let file = place.state().join(name);
        if file.exists() {
            std::fs::write(file, "no record of anything, and long enough to be taken for one\n".repeat(100)).unwrap();
        }
    }
    let said = place.say(&["down", "--purge"]);
    said.ends(0, &["everything is down and removed"]);
    assert!(said.err.contains("what runs is ended without one"), "{said:?}");
}

#[test]
fn nothing_is_purged_behind_the_back_of_a_server_that_does_not_answer() {
    let place = Place::with_app();
    assert_eq!(place.up(&[]).code, 0);
    let server = place.server();
    kill(server, Signal::SIGSTOP).unwrap();
    std::fs::rename(place.state().join("server.sock"), place.state().join("server.sock.away")).unwrap();
    let said = place.say(&["down", "--purge"]);
    std::fs::rename(place.state().join("server.sock.away"), place.state().join("server.sock")).unwrap();
    kill(server, Signal::SIGCONT).unwrap();
    assert!(said.code != 0 && place.state().join("record.sqlite").exists(), "{said:?}");
    assert!(place.say(&["status"]).out.contains("revision"), "what runs goes on");
}

#[test]
fn purge_ends_a_step_and_what_somebody_else_keeps_stays() {
    let place = Place::with_app();
    let (began, ended) = (place.path("began"), place.path("ended"));
    let step = format!("touch {}; trap 'exit 1' TERM; sleep 5; touch {}", began.display(), ended.display());
    place.write(CI, &format!("on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: {step:?}\n"));
    place.commit("a slow step");
    assert_eq!(place.up(&["--detach"]).code, 0);
    until(DEADLINE, || began.exists()).unwrap();
    std::fs::write(place.state().join("letter"), "dear").unwrap();
    let said = place.say(&["down", "--purge"]);
    said.ends(0, &["everything is down and removed"]);
    assert!(said.err.contains("stays: it also holds `letter`"), "{said:?}");
    let step: Vec<PathBuf> = running(&began);
    assert!(step.is_empty() && !ended.exists(), "{step:?}");
    std::fs::remove_dir_all(place.state()).unwrap();
}

#[test]
fn a_folder_that_holds_something_else_is_no_state_directory() {
    let place = Place::with_app();
    std::fs::create_dir_all(place.state()).unwrap();
    std::fs::write(place.state().join("letter"), "dear").unwrap();
    place.up(&[]).ends(2, &["error: the state directory `DIR/state` holds something else: `letter`"]);
    place.say(&["down", "--purge"]).ends(0, &["everything is down and removed"]);
    assert_eq!(std::fs::read_to_string(place.state().join("letter")).unwrap(), "dear");
}

#[test]
fn what_is_under_way_is_told_and_does_not_come_up_behind_a_down() {
    let place = Place::with_app();
    let gate = place.path("gate");
    let step = format!("until [ -e {} ]; do sleep 0.05; done", gate.display());
    place.write(CI, &format!("on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: {step:?}\n"));
    place.commit("a step that waits");
    assert_eq!(place.up(&["--detach"]).code, 0);
    let status = || place.say(&["status"]).out;
    let waits = "◌ release-1 waits: .github/workflows/ci.yml: `a` is running";
    until(DEADLINE, || status().contains(waits)).unwrap_or_else(|()| panic!("{}", status()));
    assert!(status().contains("nothing is live"), "{}", status());
    let refused = place.say(&["down"]);
    assert!(refused.code != 0 && refused.err.contains("release-1 is under way and would bring it up again"), "{refused:?}");
    std::fs::write(&gate, "").unwrap();
    assert_eq!(place.say(&["release", "watch"]).code, 0);

    assert_eq!(place.say(&["down"]).code, 0);
    let down = place.say(&["status"]);
    assert!(down.out.contains("nothing is live") && !down.out.contains("revision"), "{down:?}");
}

#[test]
fn a_purge_does_not_take_along_what_others_run() {
    let place = Place::with_app();
    assert_eq!(place.up(&[]).code, 0);
    let other = place.path("app/other");
    place.write("other/app.py", APP);
    place.write("other/version", "1");
    let folder = other.display().to_string();
    place.write("other/plimsoll.yaml", &format!("{SMALL}start: exec python3 app.py\n").replace("name: app", "name: other"));
    place.commit("where it starts");
    assert_eq!(place.say(&["up", &folder]).code, 0);
    let refused = place.say(&["down", "--purge"]);
    assert!(refused.code == 2 && refused.err.contains("others are in use: `other` ("), "{refused:?}");
    let mut elsewhere = place.plimsoll(&["down", "--purge"]);
    elsewhere.current_dir(place.path("home"));
    let nobodys = place.start(elsewhere).wait();
    assert!(nobodys.code == 2 && nobodys.err.contains("hint: `plimsoll down --purge --all` means all of them"), "{nobodys:?}");
    // Not even where the own one is down already.
    assert_eq!(place.say(&["down"]).code, 0);
    assert_eq!(place.say(&["down", "--purge"]).code, 2);
    assert_eq!(place.say(&["down", &folder]).code, 0);
    place.say(&["down", "--purge"]).ends(0, &["everything is down and removed"]);
}

/// Processes that name the file.
fn running(file: &std::path::Path) -> Vec<PathBuf> {
    let output = Command::new("pgrep").args(["-f", &file.display().to_string()]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).lines().map(|pid| PathBuf::from("/proc").join(pid)).collect()
}
