//! Whole jobs through the executor: supervisors with the real body, real git, real files.

#![allow(clippy::unwrap_used)]

use crate::common::{Git, job, processes_of, until_async};
use base::Timestamp;
use base::name::RunId;
use engine::world::{Executor, Harvest, JobStart, Packaged, Ships, Stop};
use host::dirs::Dirs;
use host::executor::HostExecutor;
use host::harvest::HostHarvest;
use host::supervise::Launcher;
use workflow::job::{Conclusion, JobId, JobSeen};

const BINARY: &str = env!("CARGO_BIN_EXE_host-supervised");

struct Place {
    temporary: tempfile::TempDir,
    dirs: Dirs,
    sha: String,
}

impl Place {
    fn new() -> Place {
        let temporary = tempfile::tempdir().unwrap();
        let repository = Git::init(&temporary.path().join("repository"));
        repository.write("app/main.txt", "hello");
        repository.write("app/testdata/junit.xml", JUNIT);
        repository.write("app/policy/suppressions.yaml", SUPPRESSIONS);
        let sha = repository.commit("one");
        let dirs = Dirs::at(&temporary.path().join("state")).unwrap();
        Place { temporary, dirs, sha }
    }

    fn executor(&self) -> HostExecutor {
        HostExecutor::new(self.dirs.clone()).with_launcher(Launcher::new(BINARY, ["real"]))
    }

    fn job(&self, scripts: &[&str]) -> JobStart {
        let mut start = job(scripts);
        start.source.repository = self.temporary.path().join("repository").display().to_string();
        (start.source.sha, start.source.subtree) = (self.sha.clone(), "app".into());
        start
    }

    async fn end(&self, executor: &HostExecutor, id: &JobId) -> JobSeen {
        let ended = async || match executor.observe(id).await {
            JobSeen::Running { .. } => None,
            seen => Some(seen),
        };
        until_async(ended).await.unwrap()
    }

    async fn gone(&self) {
        until_async(async || processes_of(self.temporary.path()).is_empty().then_some(())).await.unwrap();
    }
}

impl Drop for Place {
    /// A test that fails leaves nothing running either.
    fn drop(&mut self) {
        for pid in processes_of(self.temporary.path()) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
    }
}

const JUNIT: &str = r#"<testsuite name="s" tests="2" failures="0"><testcase name="a"/><testcase name="b"/></testsuite>"#;

fn id(number: u128) -> JobId {
    JobId { run: RunId::new(Timestamp::from_ms(1), number), key: "build".into(), attempt: 1 }
}

#[tokio::test]
async fn a_job_runs_once_and_another_server_reads_its_end_and_its_logs() {
    let place = Place::new();
    let executor = place.executor();
    assert_eq!(executor.observe(&id(1)).await, JobSeen::Absent);
    let start = place.job(&["echo hello; echo once >> \"$HOME/../count\"", "exit 3"]);
    for _ in 0..3 {
        executor.start(&id(1), &start).await.unwrap();
    }
    let JobSeen::Finished { outcome, steps } = place.end(&executor, &id(1)).await else { panic!("not finished") };
    assert_eq!((outcome.conclusion, steps.len()), (Conclusion::Failure, 2));
    assert_eq!(std::fs::read_to_string(place.dirs.job(&id(1)).join("count")).unwrap(), "once\n");
    let log = String::from_utf8(executor.log(&id(1), Some(0), 0).unwrap()).unwrap();
    assert!(log.contains("hello\n"), "{log}");
    assert_eq!(executor.log(&id(1), Some(0), log.len() as u64).unwrap(), b"");
    assert_eq!(place.executor().observe(&id(1)).await, JobSeen::Finished { outcome, steps });
    place.gone().await;
}

#[tokio::test]
async fn a_job_whose_supervisor_was_killed_is_lost_and_nothing_of_it_runs_on() {
    let place = Place::new();
    let executor = place.executor();
    executor.start(&id(2), &place.job(&["touch \"$HOME/../begun\"; setsid sleep 600 & sleep 600"])).await.unwrap();
    until_async(async || place.dirs.job(&id(2)).join("begun").exists().then_some(())).await.unwrap();
    for pid in processes_of(&place.dirs.job(&id(2))) {
        if std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("\0real\0")) {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
        }
    }
    let JobSeen::Lost { reason, steps } = place.end(&executor, &id(2)).await else { panic!("not lost") };
    assert_eq!((reason.as_str(), steps.len()), ("its supervisor was killed while it ran", 1));
    place.gone().await;
    executor.start(&id(2), &place.job(&["true"])).await.unwrap();
    assert!(matches!(executor.observe(&id(2)).await, JobSeen::Lost { .. }), "what was lost is not run again under its id");
}

#[tokio::test]
async fn stopping_ends_what_runs_and_forbids_what_has_not_begun() {
    let place = Place::new();
    let executor = place.executor();
    executor.stop(&id(3), Stop::Gracefully).await.unwrap();
    executor.start(&id(3), &place.job(&["true"])).await.unwrap();
    let JobSeen::Finished { outcome, .. } = executor.observe(&id(3)).await else { panic!("not finished") };
    assert_eq!((outcome.conclusion, outcome.reason.as_deref()), (Conclusion::Cancelled, Some("stopped before it began")));
    executor.start(&id(4), &place.job(&["sleep 600"])).await.unwrap();
    let begun = async || match executor.observe(&id(4)).await {
        JobSeen::Running { steps } if !steps.is_empty() => Some(()),
        _ => None,
    };
    until_async(begun).await.unwrap();
    executor.stop(&id(4), Stop::AtOnce).await.unwrap();
    let JobSeen::Finished { outcome, .. } = place.end(&executor, &id(4)).await else { panic!("not finished") };
    assert_eq!(outcome.conclusion, Conclusion::Cancelled);
    place.gone().await;
}

#[tokio::test]
async fn what_a_job_leaves_becomes_artifact_and_evidence() {
    let place = Place::new();
    let (executor, harvest) = (place.executor(), HostHarvest::new(place.dirs.clone()));
    let mut start = place.job(&["true"]);
    let script = format!(
        "mkdir -p dist reports testdata; echo built > dist/app; echo '{JUNIT}' > reports/junit.xml; echo '{JUNIT}' > testdata/junit.xml; \
         echo '{AUDIT}' > reports/audit.json; mkdir policy; echo nonsense > policy/suppressions.yaml"
    );
    start.spec.job = place.job(&[script.as_str()]).spec.job;
    executor.start(&id(5), &start).await.unwrap();
    let JobSeen::Finished { outcome, .. } = place.end(&executor, &id(5)).await else { panic!("not finished") };
    assert_eq!(outcome.conclusion, Conclusion::Success, "{outcome:?}");

    let left = |name: &str| Ships::Left(name.into());
    let Packaged::Artifact { digest, files, .. } = harvest.package("release", &start.source, &left("dist")).await.unwrap() else {
        panic!()
    };
    assert_eq!(files, 1);
    let again = harvest.package("release", &start.source, &left("dist/")).await.unwrap();
    assert!(matches!(again, Packaged::Artifact { digest: same, .. } if same == digest));
    let source = harvest.package("release", &start.source, &Ships::Source).await.unwrap();
    assert!(matches!(source, Packaged::Artifact { files: 3, .. }), "{source:?}");
    let missing = harvest.package("release", &start.source, &left("build")).await.unwrap();
    assert_eq!(missing, Packaged::Missing("no job uploaded or left `build`; nothing was uploaded".into()));

    let evidence = harvest.evidence("release", &start.source, &[id(5)]).await.unwrap();
    let paths: Vec<&str> = evidence.claims.iter().map(|claim| claim.source.path.as_str()).collect();
    assert_eq!(paths, ["build/reports/audit.json", "build/reports/junit.xml"], "what came with the commit proves nothing");
    let accepted: Vec<_> = evidence.findings().into_iter().map(|finding| finding.suppressed).collect();
    assert_eq!(accepted, [Some("it parses nothing (until 9999-12-30)".to_string()), None], "as committed, not as a job has it now");
    assert_eq!(evidence.broken, []);

    let upload = place.dirs.upload("release", "reports");
    std::fs::create_dir_all(&upload).unwrap();
    std::fs::copy(place.dirs.workspace(&id(5)).join("reports/junit.xml"), upload.join("junit.xml")).unwrap();
    let evidence = harvest.evidence("release", &start.source, &[id(5)]).await.unwrap();
    let paths: Vec<&str> = evidence.claims.iter().map(|claim| claim.source.path.as_str()).collect();
    assert_eq!(paths, ["reports/junit.xml", "build/reports/audit.json"], "the same bytes count once");
}

const SUPPRESSIONS: &str = "apiVersion: plimsoll/v1alpha1
suppressions:
  - {rule: CVE-1, reason: it parses nothing, expires: 9999-12-30}
  - {rule: CVE-2, reason: it parsed nothing, expires: 2020-01-31}
";
const AUDIT: &str = r#"{"dependencies":[{"name":"flask","version":"1","vulns":[{"id":"CVE-1"},{"id":"CVE-2"}]}],"fixes":[]}"#;

/// Forks until it may not any more, or 400 times; says how often it could, and leaves all of them running.
const BOMB: &str = r#"python3 -c '
import os, signal, sys
count = 0
try:
    while count < 400:
        if os.fork() == 0:
            os.setsid()
            signal.pause()
        count += 1
except OSError as error:
    print("stopped:", error.strerror)
print("forked", count, flush=True)
sys.exit(1)
'"#;

#[tokio::test]
async fn a_step_that_forks_without_end_is_stopped_and_nothing_of_it_is_left() {
    let place = Place::new();
    let executor = place.executor();
    let start = place.job(&[BOMB, "echo never"]);
    executor.start(&id(21), &start).await.unwrap();
    let seen = place.end(&executor, &id(21)).await;
    let JobSeen::Finished { outcome, .. } = seen else { panic!("{seen:?}") };
    assert_eq!(outcome.conclusion, Conclusion::Failure);
    place.gone().await;
    let log = String::from_utf8(executor.log(&id(21), None, 0).unwrap()).unwrap();
    let dir = place.dirs.job(&id(21));
    // Where this machine lets a job have a group with a bound, or its user has one, the bound held.
    let groups = std::fs::read_to_string(dir.join("cgroup")).unwrap_or_default();
    if groups.contains("/pids/") || !nix::unistd::geteuid().is_root() {
        assert!(log.contains("stopped: Resource temporarily unavailable"), "{log}");
    }
    assert!(log.contains("forked "), "{log}");
    assert!(groups.lines().all(|group| !std::path::Path::new(group).exists()), "{groups}");
}
