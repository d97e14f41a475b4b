//! Real processes under kill -9: what is started once runs once, and nothing stays behind.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{job, processes_of, until};
use engine::world::Stop;
use host::supervise::spool::{self, Tail};
use host::supervise::{Claim, Launcher, State};
use workflow::job::{Conclusion, JobOutcome, StepState};

const BINARY: &str = env!("CARGO_BIN_EXE_host-supervised");

struct Place {
    temporary: tempfile::TempDir,
    claim: Claim,
}

impl Place {
    fn new(scripts: &[&str]) -> Place {
        let temporary = tempfile::tempdir().unwrap();
        std::fs::write(temporary.path().join("job.json"), serde_json::to_vec(&job(scripts)).unwrap()).unwrap();
        let claim = Claim::at(temporary.path().join("jobs/build-1"));
        Place { temporary, claim }
    }

    fn starter(&self) -> Child {
        let mut command = Command::new(BINARY);
        command.arg("start").arg(self.claim.dir()).arg(self.temporary.path().join("job.json")).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    fn start(&self) {
        let spec = std::fs::read(self.temporary.path().join("job.json")).unwrap();
        host::supervise::start(&Launcher::new(BINARY, ["supervise"]), "job", &self.claim, &spec, br#"{"TOKEN":"s3cret"}"#).unwrap();
    }

    /// Does what a server does that comes back: starts again what nobody claimed, until the end.
    fn end(&self) -> State {
        let mut launched = Instant::now() - Duration::from_secs(9);
        until("the end of the job", || match self.claim.state().unwrap() {
            State::Absent | State::Accepted => {
                if launched.elapsed() > Duration::from_millis(50) {
                    self.start();
                    launched = Instant::now();
                }
                None
            }
            State::Running(_) => None,
            state => Some(state),
        })
    }

    fn lines(&self, file: &str) -> usize {
        std::fs::read_to_string(self.path(file)).unwrap_or_default().lines().count()
    }

    fn path(&self, file: &str) -> PathBuf {
        self.claim.dir().join(file)
    }

    fn outcome(&self) -> JobOutcome {
        serde_json::from_slice(&self.claim.exit().unwrap().unwrap()).unwrap()
    }

    fn assert_nothing_is_left(&self) {
        until("all processes of the job to be gone", || processes_of(self.temporary.path()).is_empty().then_some(()));
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

/// A pause of up to so many microseconds, foreseeable by its seed.
fn pause(seed: &mut u64, max_us: u64) {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let until = Instant::now() + Duration::from_micros((*seed >> 33) % max_us);
    while Instant::now() < until {
        std::hint::spin_loop();
    }
}

#[test]
fn a_starter_killed_anywhere_leaves_exactly_one_execution() {
    let mut seed = 42;
    let mut before_claim = 0;
    for round in 0..200 {
        let place = Place::new(&["echo once >> lines"]);
        let mut starters: Vec<Child> = (0..=round % 3).map(|_| place.starter()).collect();
        pause(&mut seed, 12_000);
        for starter in &mut starters {
            starter.kill().unwrap();
            starter.wait().unwrap();
        }
        before_claim += usize::from(matches!(place.claim.state().unwrap(), State::Absent | State::Accepted));
        assert_eq!(place.end(), State::Finished);
        assert_eq!(place.lines("lines"), 1, "round {round}");
    }
    assert!(before_claim > 10, "only {before_claim} of 200 kills came before the claim: the pauses are too long to prove anything");
}

#[test]
fn a_supervisor_killed_anywhere_executes_once_or_is_lost() {
    let mut seed = 7;
    for round in 0..60 {
        let place = Place::new(&["echo once >> lines", "echo second >> second"]);
        place.start();
        pause(&mut seed, 12_000);
        for pid in processes_of(place.claim.dir()) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
        match place.end() {
            State::Finished => assert_eq!((place.lines("lines"), place.lines("second")), (1, 1), "round {round}"),
            State::Lost(supervisor) => {
                host::supervise::job::sweep_lost(place.claim.dir(), &supervisor);
                assert!(place.lines("lines") <= 1 && place.lines("second") <= 1, "round {round}");
            }
            state => panic!("round {round}: {state:?}"),
        }
        place.assert_nothing_is_left();
    }
}

#[test]
fn servers_that_start_the_same_job_at_once_start_it_once() {
    let place = Place::new(&["echo once >> lines"]);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| place.start());
        }
    });
    assert_eq!(place.end(), State::Finished);
    assert_eq!(place.lines("lines"), 1);
    place.assert_nothing_is_left();
}

#[test]
fn nothing_of_a_finished_job_runs_on() {
    let place = Place::new(&[
        "sleep 600 & setsid sleep 600 & (setsid sh -c 'trap \"\" TERM INT; sleep 600; sleep 600' &) ; true",
        "echo \"$TOKEN\" | wc -c > length",
    ]);
    assert_eq!(place.end(), State::Finished);
    assert_eq!(place.outcome().conclusion, Conclusion::Success);
    assert_eq!(std::fs::read_to_string(place.path("length")).unwrap().trim(), "7", "the secret arrived");
    let zombies = processes_of(place.temporary.path());
    assert!(zombies.iter().all(|pid| is_supervisor(*pid, place.claim.dir())), "{zombies:?} run on after the outcome was there");
    place.assert_nothing_is_left();
}

/// Between its outcome and its end a supervisor itself is still there.
fn is_supervisor(pid: i32, dir: &Path) -> bool {
    let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    (line.contains("supervise") && line.contains(dir.to_str().unwrap())) || line.is_empty()
}

#[test]
fn the_secrets_are_nowhere_on_disk() {
    let place = Place::new(&["true"]);
    place.end();
    for entry in std::fs::read_dir(place.claim.dir()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap_or_default();
        assert!(!bytes.windows(6).any(|window| window == b"s3cret"));
    }
}

#[test]
fn steps_and_logs_can_be_read_by_others_while_the_job_runs() {
    let place = Place::new(&["true", "while ! test -e go; do sleep 0.01; done", "exit 3"]);
    place.start();
    let mut tail = Tail::default();
    until("the second step", || {
        tail.read_on(place.claim.dir()).unwrap();
        (tail.steps().len() == 2).then_some(())
    });
    assert!(matches!(place.claim.state().unwrap(), State::Running(_)));
    assert_eq!(spool::log(place.claim.dir(), Some(0), 0, 100).unwrap(), b"ended as success\n");
    std::fs::write(place.path("go"), "").unwrap();
    assert_eq!(place.end(), State::Finished);
    tail.read_on(place.claim.dir()).unwrap();
    let states: Vec<StepState> = tail.steps().iter().map(|step| step.state).collect();
    let finished = |conclusion| StepState::Finished { outcome: conclusion, conclusion };
    assert_eq!(states, [finished(Conclusion::Success), finished(Conclusion::Success), finished(Conclusion::Failure)]);
    assert_eq!(place.outcome().conclusion, Conclusion::Failure);
}

#[test]
fn a_running_job_stops_when_it_is_told_to() {
    for how in [Stop::Gracefully, Stop::AtOnce] {
        let place = Place::new(&["sleep 600"]);
        place.start();
        until("the job to run", || matches!(place.claim.state().unwrap(), State::Running(_)).then_some(()));
        host::supervise::stop(&place.claim, how).unwrap();
        assert_eq!(place.end(), State::Finished);
        assert_eq!(place.outcome().conclusion, Conclusion::Cancelled, "{how:?}");
        place.assert_nothing_is_left();
    }
}

#[test]
fn a_job_stopped_before_its_start_never_starts() {
    let place = Place::new(&["echo once >> lines"]);
    host::supervise::stop(&place.claim, Stop::Gracefully).unwrap();
    place.start();
    assert_eq!((place.end(), place.lines("lines")), (State::Forbidden, 0));
    place.assert_nothing_is_left();
}

#[test]
fn a_stop_that_races_with_the_start_leaves_nothing_running() {
    let mut seed = 3;
    for _ in 0..40 {
        let place = Place::new(&["sleep 600"]);
        let mut starter = place.starter();
        pause(&mut seed, 12_000);
        host::supervise::stop(&place.claim, Stop::AtOnce).unwrap();
        starter.wait().unwrap();
        match place.end() {
            State::Finished => assert_eq!(place.outcome().conclusion, Conclusion::Cancelled),
            state => assert_eq!(state, State::Forbidden),
        }
        place.assert_nothing_is_left();
    }
}
