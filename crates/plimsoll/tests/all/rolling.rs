//! Instances are replaced in steps while users ask without a pause, and none of them notices.

#![allow(clippy::unwrap_used)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::common::{APP, DEADLINE, Place, SMALL, until};

const ROLLING: &str = "start: exec python3 app.py\nreplicas: 3\nstrategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}\n";

/// Users who ask again and again, until nobody holds the other end.
struct Users {
    enough: Vec<Sender<()>>,
    asking: Vec<JoinHandle<Asked>>,
}

/// Between two questions of a user: what else is tested at the same time wants to be answered too.
const PAUSE: Duration = Duration::from_millis(10);

/// How often each answer came, and what was none.
#[derive(Debug, Default)]
struct Asked {
    ok: u64,
    up: u64,
    failed: Vec<String>,
}

impl Users {
    fn of(place: &Place) -> Users {
        let port = place.port;
        let user = |_| {
            let (enough, told) = channel();
            (enough, std::thread::spawn(move || Users::ask(port, &told)))
        };
        let (enough, asking) = (0..2).map(user).unzip();
        Users { enough, asking }
    }

    fn ask(port: u16, told: &Receiver<()>) -> Asked {
        let mut asked = Asked::default();
        while told.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
            match ask(port) {
                Ok(answer) if answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok\n") => asked.ok += 1,
                Ok(answer) if answer.starts_with("HTTP/1.1 200") && answer.ends_with("up\n") => asked.up += 1,
                other => asked.failed.push(format!("{other:?}")),
            }
        }
        asked
    }

    fn stop(self) -> Asked {
        drop(self.enough);
        self.asking.into_iter().map(|user| user.join().unwrap()).fold(Asked::default(), |all, user| Asked {
            ok: all.ok + user.ok,
            up: all.up + user.up,
            failed: [all.failed, user.failed].concat(),
        })
    }
}

fn ask(port: u16) -> std::io::Result<String> {
    let mut connection = TcpStream::connect(("127.0.0.1", port))?;
    connection.set_read_timeout(Some(DEADLINE))?;
    connection.write_all(b"GET / HTTP/1.1\r\nhost: app.localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Three instances of the first version are live, and the second is committed.
fn with_two_versions(second: &str) -> Place {
    let place = Place::with(&[("plimsoll.yaml", &format!("{}{ROLLING}", SMALL.replace("ready: 30s", "ready: 80s")))]);
    let said = place.up(&[]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.err.contains("all at once, as it is the first here; from the next on rolling: instances replaced in steps"), "{said:?}");
    place.write("app.py", second);
    place.commit("version 2");
    place
}

fn ready(place: &Place) -> usize {
    place.say(&["status"]).out.matches("ready").count()
}

#[test]
fn instances_are_replaced_one_by_one_and_no_request_fails() {
    let place = with_two_versions(&APP.replace(r#"b"ok\n""#, r#"b"up\n""#));
    let users = Users::of(&place);
    let said = place.up(&[]);
    let asked = users.stop();
    assert!(asked.failed.is_empty() && asked.ok > 20 && asked.up > 20, "{asked:?}\n{said:?}");
    said.ends(
        0,
        &[
            "traffic  rolling: instances replaced in steps, never more than 4 instances and never fewer than 3 ready",
            "◌ instances  1 of HASH, 3 of HASH",
            "◌ instances  1 of HASH, 2 of HASH",
            "◌ instances  2 of HASH, 2 of HASH",
            "◌ traffic    66.67 % to HASH",
            "◌ instances  2 of HASH, 1 of HASH",
            "◌ instances  3 of HASH, 1 of HASH",
            "◌ traffic    100 % to HASH",
        ],
    );
    assert!(place.say(&["release", "history"]).out.lines().next().unwrap().contains(" · rolling · promoted"));
    assert_eq!(place.say(&["status"]).out.matches("✔ HASH/").count(), 3, "three of the new version, and none of the old");
}

#[test]
fn an_abort_in_the_middle_starts_the_old_instances_again_and_no_request_fails() {
    let place = with_two_versions(&APP.replace(r#"b"ok\n""#, r#"b"up\n""#));
    let users = Users::of(&place);
    let mut up = place.start_up(&[]);
    up.until_it_says("instances  2 of");
    assert_eq!(place.say(&["release", "abort"]).code, 0);
    let said = up.wait();
    let asked = users.stop();
    assert!(asked.failed.is_empty() && asked.ok > 20, "{asked:?}\n{said:?}");
    assert_eq!(said.code, 6, "{said:?}");
    until(DEADLINE, || ready(&place) == 3).expect("the old version has its three instances again");
    assert!(ask(place.port).unwrap().ends_with("ok\n"));
}

#[test]
fn a_version_that_ends_at_once_takes_nothing_from_the_old_one() {
    let place = with_two_versions("raise SystemExit('no')\n");
    let users = Users::of(&place);
    let said = place.up(&[]);
    let asked = users.stop();
    assert!(asked.failed.is_empty() && asked.up == 0, "{asked:?}\n{said:?}");
    assert_eq!(said.code, 6, "{said:?}");
    assert!(said.err.contains("going back instance 0 crashed 3 times: exited with 1: no"), "{said:?}");
    assert_eq!(ready(&place), 3);
}

/// An application that ignores `PORT` has its port to itself: one leaves before the other comes.
#[test]
fn an_application_with_a_port_of_its_own_is_replaced_in_its_place() {
    let port = crate::common::free_port();
    let rest = format!(
        "start: exec env PORT={port} python3 app.py\nport: {port}\nstrategy: {{rollingUpdate: {{maxSurge: 0, maxUnavailable: 1}}}}\n"
    );
    let place = Place::with(&[("plimsoll.yaml", &format!("{SMALL}{rest}"))]);
    assert_eq!(place.up(&[]).code, 0);
    place.write("app.py", &APP.replace(r#"b"ok\n""#, r#"b"up\n""#));
    place.commit("version 2");
    let said = place.up(&[]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(ask(place.port).unwrap().ends_with("up\n"));
    let back = place.say(&["release", "rollback"]);
    assert_eq!(back.code, 0, "{back:?}");
    assert!(back.err.contains("instances  0 of HASH, 0 of HASH"), "{back:?}");
    assert!(ask(place.port).unwrap().ends_with("ok\n"));
}

#[test]
fn one_instance_that_is_replaced_in_its_place_is_told_so() {
    let config = "start: exec python3 app.py\nstrategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}\n";
    let place = Place::with(&[("plimsoll.yaml", &format!("{SMALL}{config}"))]);
    let plan = place.up(&["--dry-run"]);
    assert!(plan.out.contains("rolling: the instance is replaced in its place: nobody answers in between"), "{plan:?}");
    place.write("plimsoll.yaml", &format!("{SMALL}{}", config.replace("maxSurge: 0", "maxSurge: 1")));
    place.commit("one more");
    let plan = place.up(&["--dry-run"]);
    assert!(plan.out.contains("never more than 2 instances; none may be ready in between"), "{plan:?}");
}
