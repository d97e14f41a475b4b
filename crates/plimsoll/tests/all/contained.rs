//! Projects whose instances run in containers, with the engine of this machine and an image made of busybox alone.

#![allow(clippy::unwrap_used)]

use nix::sys::signal::{Signal, kill};

use crate::common::{DEADLINE, Place, Running, SMALL, open_gate, until};
use crate::containers::{ENGINE, IMAGE, image, podman};

const SERVES: &str = "start: exec httpd -f -p $PORT -h /app/www\nhealth: {ready: /ready.html}\n";
/// What the image's `httpd` does where there is no page.
const FAILS: &str = "#!/bin/sh\nprintf 'Status: 500 Oops\\r\\nContent-Length: 3\\r\\n\\r\\nno\\n'\n";

fn place(container: &str, rest: &str) -> Place {
    let config = format!("{SMALL}container: {}\n{rest}", container.replace("IMAGE", IMAGE));
    let place = Place::with(&[("plimsoll.yaml", &config), ("www/index.html", "one\n"), ("www/ready.html", "yes\n")]);
    image(&place);
    place
}

fn start_up<'a>(place: &'a Place, args: &[&str]) -> Running<'a> {
    start_up_by(place, ENGINE, args)
}

fn start_up_by<'a>(place: &'a Place, engine: &str, args: &[&str]) -> Running<'a> {
    let mut command = place.plimsoll(&["up", "--port", &place.port.to_string()]);
    command.args(args).env("PLIMSOLL_CONTAINER_ENGINE", engine);
    place.start(command)
}

/// What its instances have made and not removed.
fn left(place: &Place) -> Vec<String> {
    let listed = podman(place, &["ps", "--all", "--format", "{{.Names}} {{.Labels}}"]);
    let ours = format!("plimsoll.instance:{}/", place.state().display());
    listed.lines().filter(|line| line.contains(&ours)).map(str::to_string).collect()
}

fn page(place: &Place) -> String {
    let output = place.at_home("curl").args(["-s", &format!("http://127.0.0.1:{}/", place.port)]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The whole way: up, a canary while the server is killed, a version that goes back, a way back by hand, and nothing is left.
#[test]
fn versions_in_containers_go_the_whole_way() {
    let place = place("{image: IMAGE, memory: 64Mi, user: 1000}", SERVES);
    let said = start_up(&place, &[]).wait();
    said.ends(0, &[&format!("starts   exec httpd -f -p $PORT -h /app/www, in a container of {IMAGE} (`plimsoll.yaml`); it is HASH")]);
    assert_eq!((page(&place).as_str(), left(&place).len()), ("one\n", 1));

    place.write("www/index.html", "two\n");
    place.commit("version 2");
    let mut up = start_up(&place, &[]);
    up.until_it_says("traffic    10 % to");
    kill(place.server(), Signal::SIGKILL).unwrap();
    let said = up.wait();
    said.ends(0, &["◌ traffic    50 % to HASH", "◌ traffic    100 % to HASH"]);
    assert_eq!(page(&place), "two\n");
    until(DEADLINE, || left(&place).len() == 1).expect("the first version's container goes");

    std::fs::remove_file(place.project().join("www/index.html")).unwrap();
    place.write("www/cgi-bin/index.cgi", FAILS);
    let script = place.project().join("www/cgi-bin/index.cgi");
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    place.commit("version 3");
    let said = start_up(&place, &[]).wait();
    assert_eq!(said.code, 6, "{said:?}");
    assert!(said.err.contains("worse"), "{said:?}");
    assert_eq!(page(&place), "two\n");
    until(DEADLINE, || left(&place).len() == 1).expect("the bad version's container goes");

    let said = place.say(&["release", "rollback"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(page(&place), "one\n");

    let said = place.say(&["down", "--purge"]);
    assert_eq!((said.code, left(&place)), (0, vec![]), "{said:?}");
}

/// An image of its own, whose name is going to mean another one.
const MOVES: &str = "localhost/plimsoll-moves";

fn make(place: &Place, text: &str) {
    let file = format!(
        "FROM {IMAGE}\nRUN [\"sh\", \"-c\", \"mkdir /www; echo {text} > /www/index.html\"]\nEXPOSE 8099\nCMD [\"httpd\", \"-f\", \"-p\", \"8099\", \"-h\", \"/www\"]\n"
    );
    std::fs::write(place.path("image").join("Moves"), file).unwrap();
    podman(place, &["build", "--quiet", "--tag", MOVES, "--file", "Moves", "."]);
}

#[test]
fn an_image_alone_is_what_its_name_meant_also_on_the_way_back() {
    let place = place(MOVES, "replicas: 2\nstrategy: immediate\n");
    make(&place, "one");
    let said = start_up(&place, &[]).wait();
    said.ends(0, &[&format!("starts   the image {MOVES} as it is (`plimsoll.yaml`); it is HASH")]);
    assert_eq!(page(&place), "one\n", "where it says that it listens, and nothing of the commit lies over it");
    make(&place, "two");
    let said = start_up(&place, &[]).wait();
    assert_eq!((said.code, page(&place).as_str()), (0, "two\n"), "the same commit with another image is another version: {said:?}");
    let said = place.say(&["release", "rollback"]);
    assert_eq!((said.code, page(&place).as_str()), (0, "one\n"), "{said:?}");
}

#[test]
fn what_no_container_can_be_made_of_is_told_in_the_plan() {
    let place = place("localhost/plimsoll-no-such-image", SERVES);
    let said = start_up(&place, &["--dry-run"]).wait();
    assert_eq!(said.code, 2, "{said:?}");
    let why = "error: the image `localhost/plimsoll-no-such-image` can't be had, so nothing was started: it is not on this machine, where it would have been made";
    assert!(said.err.contains(why), "{said:?}");
    let said = start_up_by(&place, "no-such-engine", &[]).wait();
    assert_eq!(said.code, 2, "{said:?}");
    let why = "error: `container:` in plimsoll.yaml needs a container engine: `PLIMSOLL_CONTAINER_ENGINE` names `no-such-engine`";
    assert!(said.err.contains(why), "{said:?}");
}

/// Between the plan and the moment in which something would move.
#[test]
fn a_release_is_held_while_the_engine_hangs() {
    let place = place(IMAGE, SERVES);
    let (opened, hangs, engine) = (place.path("opened"), place.path("hangs"), place.path("podman"));
    let jobs = format!(
        "on: push\njobs:\n  test:\n    runs-on: self-hosted\n    steps:\n      - run: while [ ! -e {} ]; do sleep 0.05; done\n",
        opened.display()
    );
    place.write(".github/workflows/ci.yml", &jobs);
    place.commit("a job");
    let script = format!("#!/bin/sh\n[ -e {0} ] && exec tail -f {0}\nexec {ENGINE} \"$@\"\n", hangs.display());
    std::fs::write(&engine, script).unwrap();
    std::fs::set_permissions(&engine, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut up = start_up_by(&place, engine.to_str().unwrap(), &[]);
    up.until_it_says("test started");
    std::fs::write(&hangs, "").unwrap();
    open_gate(&opened);
    let held = format!("nothing moves before its image is here: the container engine was asked for `{IMAGE}` and has not answered yet");
    up.until_it_says(&held);
    assert!(place.say(&["status"]).out.contains(&held));
    std::fs::remove_file(&hangs).unwrap();
    place.kill_processes("tail -f ");
    assert_eq!((up.wait().code, page(&place).as_str()), (0, "one\n"));
}
