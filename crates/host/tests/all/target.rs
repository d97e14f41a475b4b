//! Instances as real processes: started, probed, restarted, stopped, and found again.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use crate::common::{processes_of, until_async};
use engine::world::{Blobs, Target};
use host::blobs::FileBlobs;
use host::dirs::Dirs;
use host::supervise::Launcher;
use host::target::HostTarget;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rollout::{InstancePhase, InstancePlan, InstanceSeen, Probe, Probes, RevisionId, SmokeCheck, TargetSeen};

const BINARY: &str = env!("CARGO_BIN_EXE_host-supervised");
const SCOPE: &str = "project.local";

/// A state directory with one artifact, and what is asked of its target. Ends everything when dropped.
struct Place {
    temporary: tempfile::TempDir,
    dirs: Dirs,
    target: HostTarget,
    plan: InstancePlan,
}

impl Place {
    async fn new(command: &str) -> Place {
        let temporary = tempfile::tempdir().unwrap();
        let dirs = Dirs::at(&temporary.path().join("state")).unwrap();
        let artifact = FileBlobs::new(&dirs).put(archive()).await.unwrap();
        let probe =
            |path: Option<&str>| Probe { path: path.map(str::to_string), delay_ms: 0, period_ms: 50, timeout_ms: 1000, failures_max: 3 };
        let plan = InstancePlan {
            revision: RevisionId("abcdef123456".into()),
            artifact,
            command: command.replace("APP", &format!("{BINARY} app {}", temporary.path().display())),
            env: BTreeMap::from([("GREETING".into(), "hello".into())]),
            fixed_port: None,
            probes: Probes {
                startup: Probe { failures_max: 400, ..probe(None) },
                readiness: probe(Some("/health")),
                liveness: probe(None),
            },
            grace_ms: 5000,
            log_max_bytes: 100_000,
        };
        let target = HostTarget::new(dirs.clone()).with_launcher(Launcher::new(BINARY, ["supervise"]));
        Place { temporary, dirs, target, plan }
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
        assert!(until_async(none).await.is_some(), "{:?} run on", processes_of(self.temporary.path()));
    }

    fn health(&self, status: &str) {
        std::fs::write(self.temporary.path().join("health"), status).unwrap();
    }

    fn log(&self) -> String {
        String::from_utf8(self.target.log(SCOPE, &self.plan.revision, 0, 0).unwrap_or_default()).unwrap()
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
    }
}

fn archive() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(5);
    header.set_mode(0o644);
    builder.append_data(&mut header, "data/word.txt", &b"hello"[..]).unwrap();
    builder.into_inner().unwrap()
}

#[tokio::test]
async fn an_application_comes_up_in_its_files_with_its_port_and_environment() {
    let place = Place::new("cat data/word.txt; echo; echo $GREETING $HOST $PLIMSOLL_REVISION; exec APP").await;
    place.run(1, 1).await;
    let seen = place.ready().await;
    assert_eq!((seen.index, seen.restarts, seen.revision.0.as_str()), (0, 0, "abcdef123456"));
    let port = seen.address.unwrap().strip_prefix("127.0.0.1:").unwrap().to_string();
    assert_eq!(place.log(), format!("hello\nhello 127.0.0.1 abcdef123456\nlistening on {port}\n"));
    place.stop(2).await;
    let stopped = place.once("the stop", |seen| seen.phase == InstancePhase::Stopped).await;
    assert_eq!(stopped.restarts, 0);
    place.gone().await;
    // Back again, on the same port.
    place.run(3, 1).await;
    assert!(place.ready().await.address.unwrap().ends_with(&port));
}

#[tokio::test]
async fn replicas_come_and_go_and_a_repeat_starts_nothing() {
    let place = Place::new("exec APP").await;
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

#[tokio::test]
async fn an_order_older_than_the_last_accepted_does_nothing() {
    let place = Place::new("exec APP").await;
    place.run(5, 1).await;
    place.ready().await;
    place.stop(4).await;
    assert_eq!(place.seen().await[0].phase, InstancePhase::Ready);
    place.stop(6).await;
    place.once("the stop", |seen| seen.phase == InstancePhase::Stopped).await;
    place.run(5, 1).await;
    assert_eq!(place.seen().await[0].phase, InstancePhase::Stopped);
}

#[tokio::test]
async fn a_crash_loop_is_seen_as_such_with_the_last_word() {
    let place = Place::new("echo starting; echo 'KeyError: DATABASE' >&2; exit 7").await;
    place.run(1, 1).await;
    let seen = place.once("a second restart", |seen| seen.restarts >= 1 && seen.phase == InstancePhase::BackingOff).await;
    assert_eq!(seen.message.as_deref(), Some("exited with 7: KeyError: DATABASE"));
}

#[tokio::test]
async fn an_application_that_is_killed_is_started_again_on_the_same_port() {
    let place = Place::new("APP; true").await;
    place.run(1, 1).await;
    let before = place.ready().await;
    for pid in processes_of(place.temporary.path()).into_iter().filter(|pid| !place.supervisors().contains(pid)) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    let after = place.once("its return", |seen| seen.restarts == 1 && seen.phase == InstancePhase::Ready).await;
    assert_eq!(after.address, before.address);
    let told = after.message.unwrap();
    assert!(
        told.starts_with("last restart: was killed by signal 9") && told.ends_with("no health path is given, so `GET /` is asked"),
        "{told}"
    );
}

#[tokio::test]
async fn readiness_comes_and_goes_and_says_why() {
    let place = Place::new("exec APP").await;
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

#[tokio::test]
async fn a_failed_liveness_probe_restarts() {
    let mut place = Place::new("exec APP").await;
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

#[tokio::test]
async fn an_application_that_never_gets_up_is_told_from_one_that_is_slow() {
    let mut place = Place::new("sleep 600").await;
    place.plan.probes.startup.failures_max = 4;
    place.run(1, 1).await;
    let seen = place.once("giving up", |seen| seen.phase == InstancePhase::BackingOff).await;
    let message = seen.message.unwrap();
    assert!(message.starts_with("not up after 0.2 s: nothing listens on port "), "{message}");
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

#[tokio::test]
async fn a_stubborn_application_is_killed_after_the_grace_period_with_all_it_started() {
    let mut place = Place::new("trap '' TERM; setsid sleep 600 & APP & sleep 600; sleep 600").await;
    place.plan.grace_ms = 100;
    place.run(1, 1).await;
    place.ready().await;
    place.stop(2).await;
    place.once("the stop", |seen| seen.phase == InstancePhase::Stopped).await;
    place.gone().await;
}

#[tokio::test]
async fn another_server_finds_what_runs_and_goes_on_with_it() {
    let place = Place::new("exec APP").await;
    place.run(1, 1).await;
    let before = place.ready().await;
    let processes = processes_of(place.temporary.path());
    let other = HostTarget::new(place.dirs.clone()).with_launcher(Launcher::new(BINARY, ["supervise"]));
    assert_eq!(other.observe(SCOPE).await, Some(TargetSeen { generation: 1, instances: vec![before] }));
    other.run(SCOPE, 1, &place.plan, 1).await.unwrap();
    assert_eq!(processes_of(place.temporary.path()), processes);
}

#[tokio::test]
async fn a_supervisor_that_was_killed_is_replaced_and_leaves_no_second_application() {
    let place = Place::new("exec APP").await;
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
    assert_eq!(processes_of(place.temporary.path()).len(), 2, "one supervisor, one application");
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

#[tokio::test]
async fn smoke_checks_say_what_failed() {
    let place = Place::new("exec APP").await;
    place.run(1, 1).await;
    let address = place.ready().await.address.unwrap();
    place.health("500");
    let check = |path: &str| SmokeCheck { path: path.into(), expect: vec![200, 204], timeout_ms: 2000 };
    let seen = place.target.smoke(std::slice::from_ref(&address), &[check("/"), check("/health")]).await;
    assert_eq!((seen.checks, seen.failures), (2, vec![format!("GET /health answered 500 at {address}, expected 200 or 204")]));
}

#[tokio::test]
async fn purging_leaves_neither_files_nor_processes() {
    let place = Place::new("exec APP").await;
    place.run(1, 2).await;
    place.ready().await;
    place.target.purge(SCOPE).await.unwrap();
    assert!(!Path::new(&place.dirs.scope(SCOPE)).exists());
    place.gone().await;
}

#[tokio::test]
async fn an_artifact_that_is_not_there_is_named() {
    let mut place = Place::new("exec APP").await;
    place.plan.artifact = base::Digest::of(b"never stored");
    let error = place.target.run(SCOPE, 1, &place.plan, 1).await.unwrap_err();
    assert_eq!(error.to_string(), format!("run revision abcdef123456 of project.local: artifact {} is not there", place.plan.artifact));
}
