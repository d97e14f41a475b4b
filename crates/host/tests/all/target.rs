//! Instances as real processes and in real containers: started, probed, restarted, stopped, and found again.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use crate::common::{processes_of, until_async};
use crate::contained;
use engine::world::{Blobs, Prepared, Target};
use host::blobs::FileBlobs;
use host::dirs::Dirs;
use host::supervise::Launcher;
use host::target::HostTarget;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rollout::{InstancePhase, InstancePlan, InstanceSeen, Probe, Probes, RevisionId, SmokeCheck, TargetSeen};

const BINARY: &str = env!("CARGO_BIN_EXE_host-supervised");
const SCOPE: &str = "project.local";

/// Where instances run. What a target promises holds for both.
#[derive(Debug, Clone, Copy, PartialEq)]
enum On {
    Processes,
    Containers,
}

macro_rules! conformance {
    ($($case:ident)*) => {
        mod over_processes {
            $(#[tokio::test] async fn $case() { super::$case(super::On::Processes).await })*
        }
        mod over_containers {
            $(#[tokio::test] async fn $case() { super::$case(super::On::Containers).await })*
        }
    };
}

conformance! {
    an_application_comes_up_in_its_files_with_its_port_and_environment
    replicas_come_and_go_and_a_repeat_starts_nothing
    an_order_older_than_the_last_accepted_does_nothing
    a_crash_loop_is_seen_as_such_with_the_last_word
    an_application_that_is_killed_is_started_again_on_the_same_port
    readiness_comes_and_goes_and_says_why
    a_failed_liveness_probe_restarts
    an_application_that_never_gets_up_is_told_from_one_that_is_slow
    a_stubborn_application_is_killed_after_the_grace_period_with_all_it_started
    another_server_finds_what_runs_and_goes_on_with_it
    a_supervisor_that_was_killed_is_replaced_and_leaves_no_second_application
    smoke_checks_say_what_failed
    purging_leaves_neither_files_nor_processes
    an_artifact_that_is_not_there_is_named
}

/// A state directory with one artifact, and what is asked of its target. Ends everything when dropped.
struct Place {
    temporary: tempfile::TempDir,
    dirs: Dirs,
    target: HostTarget,
    plan: InstancePlan,
    on: On,
}

impl Place {
    async fn new(command: &str) -> Place {
        Place::on(On::Processes, command).await
    }

    async fn on(on: On, command: &str) -> Place {
        let temporary = tempfile::tempdir().unwrap();
        let dirs = Dirs::at(&temporary.path().join("state")).unwrap();
        let artifact = FileBlobs::new(&dirs).put(archive()).await.unwrap();
        let probe =
            |path: Option<&str>| Probe { path: path.map(str::to_string), delay_ms: 0, period_ms: 50, timeout_ms: 1000, failures_max: 3 };
        let plan = InstancePlan {
            revision: RevisionId("abcdef123456".into()),
            artifact,
            command: match on {
                On::Processes => command.replace("APP", &format!("{BINARY} app {}", temporary.path().display())),
                On::Containers => command.replace("APP", "/bin/supervised app /scratch"),
            },
            env: BTreeMap::from([("GREETING".into(), "hello".into())]),
            fixed_port: None,
            probes: Probes {
                startup: Probe { failures_max: 400, ..probe(None) },
                readiness: probe(Some("/health")),
                liveness: probe(None),
            },
            grace_ms: 5000,
            log_max_bytes: 100_000,
            container: (on == On::Containers).then(contained::container),
        };
        let target = another(&dirs);
        Place { temporary, dirs, target, plan, on }
    }

    async fn run(&self, generation: u64, replicas: u32) {
        self.target.run(SCOPE, generation, &self.plan, replicas).await.unwrap();
    }

    async fn stop(&self, generation: u64) {
        self.target.stop(SCOPE, generation, &self.plan.revision).await.unwrap();
    }

    async fn seen(&self) -> Vec<InstanceSeen> {
        self.target.observe(SCOPE).await.unwrap().instances
    }

    /// The first instance, once it is as asked.
    async fn once(&self, what: &str, is: impl Fn(&InstanceSeen) -> bool) -> InstanceSeen {
        let first = async || self.seen().await.into_iter().next().filter(|seen| is(seen));
        match until_async(first).await {
            Some(seen) => seen,
            None => panic!("waited in vain for {what}: {:?}\n{}", self.seen().await, self.log()),
        }
    }

    async fn ready(&self) -> InstanceSeen {
        self.once("readiness", |seen| seen.phase == InstancePhase::Ready).await
    }

    async fn gone(&self) {
        let none = async || processes_of(self.temporary.path()).is_empty().then_some(());
        let told = |pid: i32| std::fs::read(format!("/proc/{pid}/cmdline")).map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
        assert!(
            until_async(none).await.is_some(),
            "{:?} run on",
            processes_of(self.temporary.path()).into_iter().map(told).collect::<Vec<_>>()
        );
        if self.on == On::Containers {
            assert_eq!(contained::of(self.temporary.path()), [""; 0]);
        }
    }

    fn health(&self, status: &str) {
        let control = match self.on {
            On::Processes => self.temporary.path().to_path_buf(),
            On::Containers => self.instance().join("scratch"),
        };
        std::fs::create_dir_all(&control).unwrap();
        std::fs::write(control.join("health"), status).unwrap();
    }

    /// As a machine does that runs out of memory.
    fn kill_application(&self) {
        match self.on {
            On::Processes => {
                let applications = processes_of(self.temporary.path()).into_iter().filter(|pid| !self.supervisors().contains(pid));
                applications.for_each(|pid| _ = kill(Pid::from_raw(pid), Signal::SIGKILL));
            }
            On::Containers => contained::of(self.temporary.path()).iter().for_each(|id| {
                let pid = contained::podman(&["inspect", "--format", "{{.State.Pid}}", id]);
                kill(Pid::from_raw(pid.parse().unwrap()), Signal::SIGKILL).unwrap();
            }),
        }
    }

    fn log(&self) -> String {
        String::from_utf8(self.target.log(SCOPE, &self.plan.revision, 0, 0).unwrap_or_default()).unwrap()
    }

    /// The log, once this was said: an engine passes on later what an application is heard by.
    async fn log_with(&self, word: &str) -> String {
        let log = async || Some(self.log()).filter(|log| log.contains(word));
        until_async(log).await.unwrap_or_else(|| panic!("it never said {word:?}, only {:?}", self.log()))
    }

    fn instance(&self) -> PathBuf {
        self.dirs.scope(SCOPE).join("abcdef123456/0")
    }

    fn supervisors(&self) -> Vec<i32> {
        let is = |pid: &i32| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("\0instance\0"));
        processes_of(self.temporary.path()).into_iter().filter(is).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Supervisors first, or they start again what is killed.
        for pid in self.supervisors().into_iter().chain(processes_of(self.temporary.path())) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        if self.on == On::Containers {
            contained::of(self.temporary.path())
                .iter()
                .for_each(|id| drop(contained::podman(&["rm", "--force", "--time", "0", "--ignore", id])));
        }
    }
}

fn another(dirs: &Dirs) -> HostTarget {
    HostTarget::new(dirs.clone()).with_launcher(Launcher::new(BINARY, ["supervise"])).with_engine(contained::ENGINE)
}

fn archive() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(5);
    header.set_mode(0o644);
    builder.append_data(&mut header, "data/word.txt", &b"hello"[..]).unwrap();
    builder.into_inner().unwrap()
}

async fn an_application_comes_up_in_its_files_with_its_port_and_environment(on: On) {
    let place = Place::on(on, "cat data/word.txt; echo; echo $GREETING $HOST $PLIMSOLL_REVISION; exec APP").await;
    place.run(1, 1).await;
    let seen = place.ready().await;
    assert_eq!((seen.index, seen.restarts, seen.revision.0.as_str()), (0, 0, "abcdef123456"));
    let port = seen.address.unwrap().strip_prefix("127.0.0.1:").unwrap().to_string();
    let host = if on == On::Containers { "0.0.0.0" } else { "127.0.0.1" };
    let said = place.log_with(&format!("listening on {port}\n")).await;
    assert_eq!(said, format!("hello\nhello {host} abcdef123456\nlistening on {port}\n"));
    place.stop(2).await;
    let stopped = place.once("the stop", |seen| seen.phase == InstancePhase::Stopped).await;
    assert_eq!(stopped.restarts, 0);
    place.gone().await;
    // Back again, on the same port.
    place.run(3, 1).await;
    assert!(place.ready().await.address.unwrap().ends_with(&port));
}

async fn replicas_come_and_go_and_a_repeat_starts_nothing(on: On) {
    let place = Place::on(on, "exec APP").await;
    place.run(1, 3).await;
    let ready = async || (place.seen().await.iter().filter(|seen| seen.phase == InstancePhase::Ready).count() == 3).then_some(());
    until_async(ready).await.unwrap();
    let before = processes_of(place.temporary.path());
    for _ in 0..3 {
        place.run(1, 3).await;
    }
    assert_eq!(processes_of(place.temporary.path()), before);
    place.run(2, 1).await;
    let phases = async || {
        let phases: Vec<InstancePhase> = place.seen().await.iter().map(|seen| seen.phase).collect();
        (phases == [InstancePhase::Ready, InstancePhase::Stopped, InstancePhase::Stopped]).then_some(())
    };
    until_async(phases).await.unwrap();
}

async fn an_order_older_than_the_last_accepted_does_nothing(on: On) {
    let place = Place::on(on, "exec APP").await;
    place.run(5, 1).await;
    place.ready().await;
    place.stop(4).await;
    assert_eq!(place.seen().await[0].phase, InstancePhase::Ready);
    place.stop(6).await;
    place.once("the stop", |seen| seen.phase == InstancePhase::Stopped).await;
    place.run(5, 1).await;
    assert_eq!(place.seen().await[0].phase, InstancePhase::Stopped);
}

async fn a_crash_loop_is_seen_as_such_with_the_last_word(on: On) {
    let place = Place::on(on, "echo starting; echo 'KeyError: DATABASE' >&2; exit 7").await;
    place.run(1, 1).await;
    let seen = place.once("a second restart", |seen| seen.restarts >= 1 && seen.phase == InstancePhase::BackingOff).await;
    assert_eq!(seen.message.as_deref(), Some("exited with 7: KeyError: DATABASE"));
}

async fn an_application_that_is_killed_is_started_again_on_the_same_port(on: On) {
    let place = Place::on(on, "APP; true").await;
    place.run(1, 1).await;
    let before = place.ready().await;
    place.kill_application();
    let after = place.once("its return", |seen| seen.restarts == 1 && seen.phase == InstancePhase::Ready).await;
    assert_eq!(after.address, before.address);
    let told = after.message.unwrap();
    assert!(
        told.starts_with("last restart: was killed by signal 9") && told.ends_with("no health path is given, so `GET /` is asked"),
        "{told}"
    );
}

async fn readiness_comes_and_goes_and_says_why(on: On) {
    let place = Place::on(on, "exec APP").await;
    place.health("503");
    place.run(1, 1).await;
    let seen = place.once("a reason", |seen| seen.phase == InstancePhase::NotReady).await;
    assert_eq!(seen.message.as_deref(), Some("GET /health answered 503"));
    place.health("200");
    place.ready().await;
    place.health("500");
    let seen = place.once("another reason", |seen| seen.phase == InstancePhase::NotReady).await;
    assert_eq!((seen.message.as_deref(), seen.restarts), (Some("GET /health answered 500"), 0));
}

async fn a_failed_liveness_probe_restarts(on: On) {
    let mut place = Place::on(on, "exec APP").await;
    place.plan.probes.readiness.path = None;
    place.plan.probes.liveness.path = Some("/health".into());
    place.run(1, 1).await;
    place.ready().await;
    place.health("500");
    let seen = place.once("the restart", |seen| seen.phase == InstancePhase::BackingOff).await;
    assert_eq!(seen.message.as_deref(), Some("not alive, 3 failures in a row: GET /health answered 500"));
    place.health("200");
    place.once("its return", |seen| seen.restarts >= 1 && seen.phase == InstancePhase::Ready).await;
}

async fn an_application_that_never_gets_up_is_told_from_one_that_is_slow(on: On) {
    let mut place = Place::on(on, "sleep 600").await;
    place.plan.probes.startup.failures_max = 4;
    place.run(1, 1).await;
    let seen = place.once("giving up", |seen| seen.phase == InstancePhase::BackingOff).await;
    let message = seen.message.unwrap();
    let nobody = if on == On::Containers { "nothing answers on port " } else { "nothing listens on port " };
    assert!(message.starts_with(&format!("not up after 0.2 s: {nobody}")), "{message}");
}

#[tokio::test]
async fn an_application_that_ignores_its_port_is_found_where_it_listens() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let place = Place::new(&format!("OTHER_PORT={free} exec APP")).await;
    place.run(1, 1).await;
    let seen = place.ready().await;
    assert_eq!(seen.address, Some(format!("127.0.0.1:{free}")));
    assert!(seen.message.as_ref().unwrap().contains(&format!("and listens on {free}, where it is reached")), "{seen:?}");
}

async fn a_stubborn_application_is_killed_after_the_grace_period_with_all_it_started(on: On) {
    let mut place = Place::on(on, "trap '' TERM; setsid sleep 600 & APP & sleep 600; sleep 600").await;
    place.plan.grace_ms = 100;
    place.run(1, 1).await;
    place.ready().await;
    place.stop(2).await;
    place.once("the stop", |seen| seen.phase == InstancePhase::Stopped).await;
    place.gone().await;
}

async fn another_server_finds_what_runs_and_goes_on_with_it(on: On) {
    let place = Place::on(on, "exec APP").await;
    place.run(1, 1).await;
    let before = place.ready().await;
    let processes = processes_of(place.temporary.path());
    let other = another(&place.dirs);
    assert_eq!(other.observe(SCOPE).await, Some(TargetSeen { generation: 1, instances: vec![before] }));
    other.run(SCOPE, 1, &place.plan, 1).await.unwrap();
    assert_eq!(processes_of(place.temporary.path()), processes);
}

async fn a_supervisor_that_was_killed_is_replaced_and_leaves_no_second_application(on: On) {
    let place = Place::on(on, "exec APP").await;
    place.run(1, 1).await;
    let before = place.ready().await;
    for pid in place.supervisors() {
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }
    // What shall run and does not is asked for again. A machine that was restarted looks the same: the claim is of another boot.
    place.once("being seen as gone", |seen| seen.phase == InstancePhase::Stopped).await;
    place.run(1, 1).await;
    let after = place.once("its return", |seen| seen.phase == InstancePhase::Ready).await;
    assert_eq!((after.address, after.restarts), (before.address, 1));
    let kept_by = if on == On::Containers { 1 } else { 0 };
    assert_eq!(processes_of(place.temporary.path()).len(), 2 + kept_by, "one supervisor, one application");
    if on == On::Containers {
        assert_eq!(contained::of(place.temporary.path()).len(), 1);
    }
}

#[tokio::test]
async fn files_that_were_deleted_under_an_application_come_back_when_it_is_started_anew() {
    let place = Place::new("exec APP").await;
    place.run(1, 1).await;
    place.ready().await;
    place.stop(2).await;
    place.gone().await;
    let data = place.instance().parent().unwrap().join("files/data");
    std::fs::write(data.join("own.txt"), "the application's own").unwrap();
    std::fs::remove_file(data.join("word.txt")).unwrap();
    place.run(3, 1).await;
    assert_eq!(std::fs::read_to_string(data.join("word.txt")).unwrap(), "hello");
    assert_eq!(std::fs::read_to_string(data.join("own.txt")).unwrap(), "the application's own");
    place.ready().await;

    // A link that the application put in place of a folder leads elsewhere, and nothing of ours goes there.
    place.stop(4).await;
    place.gone().await;
    let elsewhere = place.temporary.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::remove_dir_all(&data).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &data).unwrap();
    place.run(5, 1).await;
    place.ready().await;
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
}

#[tokio::test]
async fn a_claim_of_a_reused_process_number_is_nobodys() {
    let place = Place::new("exec APP").await;
    place.run(1, 1).await;
    place.ready().await;
    place.stop(2).await;
    place.once("the stop", |seen| seen.phase == InstancePhase::Stopped).await;
    place.gone().await;
    let own = std::process::id();
    let claim = format!(r#"{{"pid":{own},"started":1,"boot":"{}","session":{own}}}"#, host::supervise::process::boot());
    std::fs::write(place.instance().join("claim.json"), claim).unwrap();
    place.stop(3).await;
    place.run(4, 1).await;
    place.ready().await;
}

async fn smoke_checks_say_what_failed(on: On) {
    let place = Place::on(on, "exec APP").await;
    place.run(1, 1).await;
    let address = place.ready().await.address.unwrap();
    place.health("500");
    let check = |path: &str| SmokeCheck { path: path.into(), expect: vec![200, 204], timeout_ms: 2000 };
    let seen = place.target.smoke(std::slice::from_ref(&address), &[check("/"), check("/health")]).await;
    assert_eq!((seen.checks, seen.failures), (2, vec![format!("GET /health answered 500 at {address}, expected 200 or 204")]));
}

async fn purging_leaves_neither_files_nor_processes(on: On) {
    let place = Place::on(on, "exec APP").await;
    place.run(1, 2).await;
    place.ready().await;
    place.target.purge(SCOPE).await.unwrap();
    assert!(!Path::new(&place.dirs.scope(SCOPE)).exists());
    place.gone().await;
}

async fn an_artifact_that_is_not_there_is_named(on: On) {
    let mut place = Place::on(on, "exec APP").await;
    place.plan.artifact = base::Digest::of(b"never stored");
    let error = place.target.run(SCOPE, 1, &place.plan, 1).await.unwrap_err();
    assert_eq!(error.to_string(), format!("run revision abcdef123456 of project.local: artifact {} is not there", place.plan.artifact));
}

#[tokio::test]
async fn a_container_has_what_it_is_given_and_no_more() {
    let command = "id -u; for f in /app/x /bin/x /scratch/x /tmp/x; do touch $f && echo $f; done; grep NoNewPrivs /proc/self/status; \
        echo ${#TOKEN}; echo \"[$QUOTED]$PODMAN_USERNS\"; exec APP";
    let mut place = Place::on(On::Containers, command).await;
    let container = place.plan.container.as_mut().unwrap();
    (container.user, container.port, container.memory_bytes) = (Some("1000:1000".into()), Some(8099), Some(64 << 20));
    (container.cpu_millis, container.processes_max) = (Some(500), Some(100));
    for (name, value) in [
        ("TOKEN", "not-for-everybody"),
        ("https_proxy", "http://not-for-everybody"),
        ("QUOTED", " \"a\" '#b' $HOME "),
        // Of these podman would make something else, or nothing at all.
        ("PODMAN_USERNS", "nonsense"),
        ("CONTAINERS_CONF_OVERRIDE", "/nonsense"),
        ("CONTAINERS_STORAGE_CONF", "/nonsense"),
    ] {
        place.plan.env.insert(name.into(), value.into());
    }
    place.run(1, 2).await;
    let ready = async || (place.seen().await.iter().filter(|seen| seen.phase == InstancePhase::Ready).count() == 2).then_some(());
    assert!(until_async(ready).await.is_some(), "a port inside is each instance's own: {:?}", place.seen().await);
    let log = place.log_with("listening on 8099\n").await;
    let said: Vec<&str> = log.lines().filter(|line| !line.starts_with("touch: ")).collect();
    assert_eq!(said, ["1000", "/scratch/x", "/tmp/x", "NoNewPrivs:\t1", "17", "[ \"a\" '#b' $HOME ]nonsense", "listening on 8099"]);
    let ids = contained::of(place.temporary.path());
    for id in &ids {
        assert!(contained::podman(&["port", id]).starts_with("8099/tcp -> 127.0.0.1:2"), "nobody else's machine reaches it");
        let told =
            contained::podman(&["inspect", "--format", "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}}", id]);
        assert_eq!(told, "67108864 500000000 100");
    }
    let commands = processes_of(place.temporary.path()).into_iter().filter_map(|pid| std::fs::read(format!("/proc/{pid}/cmdline")).ok());
    for command in commands {
        assert!(!String::from_utf8_lossy(&command).contains("not-for-everybody"), "a list of processes tells it to everybody");
    }
    let file = std::fs::metadata(place.instance().join("environment")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&file.permissions()) & 0o777, 0o600);
}

#[tokio::test]
async fn a_container_whose_supervisor_was_killed_goes_when_it_is_not_wanted_any_more() {
    let place = Place::on(On::Containers, "exec APP").await;
    place.run(1, 1).await;
    place.ready().await;
    for pid in place.supervisors() {
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }
    place.once("being seen as gone", |seen| seen.phase == InstancePhase::Stopped).await;
    assert_eq!(contained::of(place.temporary.path()).len(), 1, "it runs on meanwhile");
    place.stop(2).await;
    place.gone().await;
}

/// All that kept it is gone at once, and its engine believes that it runs.
#[tokio::test]
async fn a_container_comes_back_after_its_machine_lost_its_power() {
    let place = Place::on(On::Containers, "exec APP").await;
    place.run(1, 1).await;
    let before = place.ready().await;
    let main = contained::podman(&["inspect", "--format", "{{.State.Pid}}", &contained::of(place.temporary.path())[0]]);
    let kept_by = processes_of(place.temporary.path()).into_iter().filter(|pid| !place.supervisors().contains(pid));
    for pid in place.supervisors().into_iter().chain(kept_by.collect::<Vec<_>>()).chain([main.parse().unwrap()]) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    place.once("being seen as gone", |seen| seen.phase == InstancePhase::Stopped).await;
    place.run(1, 1).await;
    assert_eq!(place.ready().await.address, before.address);
    assert_eq!(contained::of(place.temporary.path()).len(), 1);
    place.target.purge(SCOPE).await.unwrap();
    place.gone().await;
}

#[tokio::test]
async fn an_image_that_is_gone_is_told_and_one_that_is_here_is_not_asked_for_twice() {
    let place = Place::on(On::Containers, "exec APP").await;
    let mut container = place.plan.container.clone().unwrap();
    let here = async || (place.target.prepare(&container).await == Prepared::Here).then_some(());
    assert!(until_async(here).await.is_some(), "{:?}", place.target.prepare(&container).await);
    container.id = format!("sha256:{}", "0".repeat(64));
    let gone = "`localhost/plimsoll-host-tests` (000000000000) is gone from this machine, where it was made; `plimsoll up` ships what is \
                there now; it is asked again until it is here";
    let told = async || (place.target.prepare(&container).await == Prepared::NotYet { why: gone.to_string() }).then_some(());
    assert!(until_async(told).await.is_some(), "{:?}", place.target.prepare(&container).await);
}

/// Whoever asks a server meanwhile is answered, and it goes on when the engine does.
#[tokio::test]
async fn an_engine_that_hangs_is_told_and_holds_nobody_else() {
    let mut place = Place::on(On::Containers, "exec APP").await;
    let folder = place.temporary.path().join("engine");
    std::fs::create_dir(&folder).unwrap();
    let script = format!("#!/bin/sh\n[ -e {0}/hangs ] && exec tail -f {0}/hangs\nexec {1} \"$@\"\n", folder.display(), contained::ENGINE);
    let engine = folder.join("podman");
    std::fs::write(&engine, script).unwrap();
    std::fs::set_permissions(&engine, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    place.target = place.target.clone().with_engine(engine.to_str().unwrap());
    std::fs::write(folder.join("hangs"), "").unwrap();
    let container = place.plan.container.clone().unwrap();
    place.run(1, 1).await;
    let why = "the container engine was asked for `localhost/plimsoll-host-tests` and has not answered yet".to_string();
    let told = async || (place.target.prepare(&container).await == Prepared::NotYet { why: why.clone() }).then_some(());
    assert!(until_async(told).await.is_some(), "{:?}", place.target.prepare(&container).await);
    let seen = place.once("a word", |seen| seen.message.is_some()).await;
    let message = seen.message.unwrap();
    assert!(message.starts_with("`podman` was asked to start the container ") && message.ends_with(" s ago and has not"), "{message}");
    assert_eq!((seen.phase, seen.restarts), (InstancePhase::Starting, 0));
    let goes_on = || {
        std::fs::remove_file(folder.join("hangs")).unwrap();
        let hangs = |pid: &i32| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"tail"));
        processes_of(&folder).into_iter().filter(hangs).for_each(|pid| _ = kill(Pid::from_raw(pid), Signal::SIGKILL));
    };
    goes_on();
    place.ready().await;

    // What runs ends without it, and what it still has to remove is removed when it can.
    let main = contained::podman(&["inspect", "--format", "{{.State.Pid}}", &contained::of(place.temporary.path())[0]]);
    std::fs::write(folder.join("hangs"), "").unwrap();
    place.stop(2).await;
    let ended = async || (!Path::new("/proc").join(&main).exists()).then_some(());
    assert!(until_async(ended).await.is_some(), "{:?}", place.seen().await);
    goes_on();
    place.once("the stop", |seen| seen.phase == InstancePhase::Stopped).await;
    place.gone().await;
}

#[tokio::test]
async fn a_container_that_nobody_can_know_of_any_more_is_found_by_its_labels() {
    let place = Place::on(On::Containers, "exec APP").await;
    place.run(1, 1).await;
    place.ready().await;
    let image = place.plan.container.as_ref().unwrap().id.clone();
    let label = |name: &str| {
        let format = format!("{{{{index .Config.Labels \"plimsoll.{name}\"}}}}");
        contained::podman(&["inspect", "--format", &format, &contained::of(place.temporary.path())[0]])
    };
    let (living, state) = (label("supervisor"), label("state"));
    // Numbers of processes begin at 1, with the machine.
    let dead = living.rsplitn(4, '-').last().unwrap().to_string() + "-999999999-1-1";
    let elsewhere = "plimsoll-0123456789abcdef-999999999-1-1";
    let orphan = |supervisor: &str, state: &str| {
        let named = format!("--label=plimsoll.instance={state}/gone/0");
        let (supervisor, state) = (format!("--label=plimsoll.supervisor={supervisor}"), format!("--label=plimsoll.state={state}"));
        contained::podman(&["create", &named, &supervisor, &state, "--entrypoint=true", &image])
    };
    let unseen = place.temporary.path().join("unseen").display().to_string();
    let orphaned = orphan(&dead, &state);
    let others = [orphan(&living, &state), orphan(elsewhere, &state), orphan("somebody-else", &state), orphan(&dead, &unseen)];
    host::container::remove_left(&contained::engine()).unwrap();
    let left = contained::of(place.temporary.path());
    assert!(!left.iter().any(|id| orphaned.starts_with(id)), "{left:?}");
    assert!(others.iter().all(|other| left.iter().any(|id| other.starts_with(id))), "{left:?}");
    assert_eq!(left.len(), 5, "{left:?}");
}

#[tokio::test]
async fn a_supervisor_that_is_killed_while_its_container_is_made_leaves_one_at_most() {
    let is_at = |place: &Place, moment: &str| match moment {
        "noted" => place.instance().join("container.json").exists(),
        "made" => !contained::of(place.temporary.path()).is_empty(),
        _ => place.instance().join("pid").exists(),
    };
    for moment in ["noted", "made", "begun"] {
        let place = Place::on(On::Containers, "exec APP").await;
        place.run(1, 1).await;
        assert!(until_async(async || is_at(&place, moment).then_some(())).await.is_some(), "it was never {moment}");
        for pid in place.supervisors() {
            kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        }
        place.once("being seen as gone", |seen| seen.phase == InstancePhase::Stopped).await;
        place.run(1, 1).await;
        place.ready().await;
        assert_eq!((contained::of(place.temporary.path()).len(), place.supervisors().len()), (1, 1), "{moment}");
        place.stop(2).await;
        place.once("the stop", |seen| seen.phase == InstancePhase::Stopped).await;
        place.gone().await;
    }
}

#[tokio::test]
async fn a_container_that_can_t_be_made_is_no_crash_and_says_what_its_engine_says() {
    let mut place = Place::on(On::Containers, "exec APP").await;
    let missing = "0".repeat(64);
    place.plan.container.as_mut().unwrap().id = format!("sha256:{missing}");
    place.run(1, 1).await;
    let tries = async || (place.log().matches(&missing).count() >= 3).then_some(());
    assert!(until_async(tries).await.is_some(), "{}", place.log());
    let seen = place.once("its reason", |seen| seen.message.is_some()).await;
    assert_eq!((seen.phase, seen.restarts), (InstancePhase::Starting, 0));
    let message = seen.message.unwrap();
    assert!(message.starts_with("could not be started: Error: ") && message.contains(&missing), "{message}");
}

/// While nothing runs on it, as between a crash or a reboot and the next start, anybody may prune it.
#[tokio::test]
async fn an_image_that_was_removed_is_brought_again_before_the_next_start() {
    let mut place = Place::on(On::Containers, "exec APP").await;
    let folder = place.temporary.path().join("engine");
    std::fs::create_dir(&folder).unwrap();
    let container = place.plan.container.as_mut().unwrap();
    container.source = Some(format!("registry.example.org/app@sha256:{}", "1".repeat(64)));
    let script = format!(
        r#"#!/bin/sh
        cd {0}
        fails() {{ echo "Error: $1" >&2; exit $2; }}
        case $1 in
            image) [ -e pruned ] && fails "no such image" 1; exec {1} image inspect {2} ;;
            run) [ -e pruned ] && fails "image not known" 125 ;;
            pull) [ -e unreachable ] && fails "the registry is not reached" 125; exec rm pruned ;;
        esac
        exec {1} "$@"
        "#,
        folder.display(),
        contained::ENGINE,
        container.id
    );
    let engine = folder.join("podman");
    std::fs::write(&engine, script).unwrap();
    std::fs::set_permissions(&engine, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    place.target = place.target.clone().with_engine(engine.to_str().unwrap());
    place.run(1, 1).await;
    place.ready().await;
    for name in ["pruned", "unreachable"] {
        std::fs::write(folder.join(name), "").unwrap();
    }
    place.kill_application();
    let says = |seen: &InstanceSeen| seen.message.as_ref().is_some_and(|message| message.contains("the registry is not reached"));
    let seen = place.once("what is missing", says).await;
    assert_eq!((seen.phase, seen.restarts), (InstancePhase::Starting, 1), "the crash alone counts");
    std::fs::remove_file(folder.join("unreachable")).unwrap();
    assert_eq!(place.ready().await.restarts, 1);
}

#[tokio::test]
async fn an_application_that_ends_as_a_failing_engine_does_has_crashed() {
    let place = Place::on(On::Containers, "echo that was it; exit 125").await;
    place.run(1, 1).await;
    let seen = place.once("the crash", |seen| seen.phase == InstancePhase::BackingOff).await;
    assert_eq!(seen.message.as_deref(), Some("exited with 125: that was it"));
}
