//! How jobs are ended, and that nothing of them is left.

use std::time::Duration;

use engine::world::Stop;
use host::job::{Cancel, Grace, JobSink};
use workflow::job::{Conclusion, StepSeen, StepState};

use crate::harness::{ESCAPES, Heard, Place, job, nap, napping};

/// Cancels as soon as a log holds a text.
struct CancelAt<'a> {
    heard: Heard,
    text: &'a str,
    how: Stop,
    cancel: &'a Cancel,
}

impl JobSink for CancelAt<'_> {
    fn step(&mut self, step: &StepSeen) {
        self.heard.step(step);
    }

    fn log(&mut self, step: u32, bytes: &[u8]) {
        self.heard.log(step, bytes);
        if String::from_utf8_lossy(&self.heard.logs[&step]).contains(self.text) {
            self.cancel.request(self.how);
        }
    }
}

fn place(after_int_ms: u64, after_term_ms: u64) -> Place {
    let mut place = Place::new();
    place.options.grace = Grace { after_int: Duration::from_millis(after_int_ms), after_term: Duration::from_millis(after_term_ms) };
    place
}

/// Runs, cancelling gracefully when `at` is logged; conclusions of the steps, the logs, the job's conclusion.
fn cancelled(place: &Place, how: Stop, at: &str, steps: &str) -> (Vec<Conclusion>, String, Conclusion) {
    let cancel = Cancel::new().unwrap();
    let mut sink = CancelAt { heard: Heard::default(), text: at, how, cancel: &cancel };
    let outcome = place.run_one(&job(steps), &cancel, &mut sink);
    let (conclusions, text) = told(&sink.heard);
    (conclusions, text, outcome.conclusion)
}

fn told(heard: &Heard) -> (Vec<Conclusion>, String) {
    let conclusion = |step: &StepSeen| match step.state {
        StepState::Finished { conclusion, .. } => conclusion,
        StepState::Running => panic!("step {} has no end", step.number),
    };
    let text = heard.logs.values().map(|log| String::from_utf8_lossy(log).into_owned()).collect();
    (heard.steps.values().map(conclusion).collect(), text)
}

#[test]
fn a_deaf_step_is_killed_with_all_it_started_and_what_was_there_before_stays() {
    let mut place = place(50, 50);
    let nap = nap(&mut place, 2);
    // Without its environment it couldn't be told from what the other tests' jobs have running.
    place.options.env.insert("KEEP".to_string(), "[True]".to_string());
    let steps = format!(
        "      - run: sleep 1000 & echo $! > pid\n      - shell: python\n        timeout-minutes: 0.02\n        run: |{ESCAPES}          time.sleep(1000)\n      - if: failure()\n        run: kill -0 $(cat pid) && echo it lives\n"
    );
    let mut heard = Heard::default();
    let outcome = place.run_one(&job(&steps), &Cancel::new().unwrap(), &mut heard);
    let (conclusions, text) = told(&heard);
    assert_eq!(conclusions, [Conclusion::Success, Conclusion::Failure, Conclusion::Success], "{text}");
    assert!(text.contains("took longer than 1.2s") && text.contains("it lives"), "{text}");
    assert_eq!(outcome.reason.as_deref().map(|reason| reason.ends_with("took longer than 1.2s")), Some(true), "{outcome:?}");
    assert_eq!(napping(&nap), [0; 0]);
}

#[test]
fn a_cancelled_step_hears_sigint_first_and_always_steps_still_run() {
    let steps = "      - run: |\n          trap 'echo heard INT; exit 3' INT\n          echo ready\n          while :; do sleep 0.01; done\n      - run: echo never\n      - if: failure()\n        run: echo never\n      - if: always()\n        run: echo always ${{ job.status }}\n      - if: cancelled()\n        run: echo cancelled\n";
    let (conclusions, text, outcome) = cancelled(&place(60_000, 60_000), Stop::Gracefully, "ready", steps);
    use Conclusion::{Cancelled, Skipped, Success};
    assert_eq!(conclusions, [Cancelled, Skipped, Skipped, Success, Success], "{text}");
    assert!(text.contains("heard INT") && text.contains("always cancelled") && !text.contains("never"), "{text}");
    assert_eq!(outcome, Cancelled);
}

#[test]
fn sigterm_comes_after_sigint() {
    let steps = "      - run: |\n          trap '' INT\n          trap 'echo heard TERM; exit 0' TERM\n          echo ready\n          while :; do sleep 0.01; done\n";
    let (conclusions, text, outcome) = cancelled(&place(30, 60_000), Stop::Gracefully, "ready", steps);
    assert!(text.contains("heard TERM"), "{text}");
    assert_eq!((conclusions, outcome), (vec![Conclusion::Cancelled], Conclusion::Cancelled));
}

#[test]
fn a_step_that_runs_always_is_not_interrupted_by_a_cancellation() {
    let steps = "      - if: always()\n        run: echo ready; sleep 0.1; echo to the end\n      - run: echo never\n";
    let (conclusions, text, outcome) = cancelled(&place(0, 0), Stop::Gracefully, "ready", steps);
    assert_eq!(conclusions, [Conclusion::Success, Conclusion::Skipped]);
    assert!(text.contains("to the end"), "{text}");
    assert_eq!(outcome, Conclusion::Cancelled);
}

#[test]
fn at_once_means_not_even_always() {
    let steps = "      - if: always()\n        run: trap '' INT TERM; echo ready; while :; do sleep 0.01; done\n      - if: always()\n        run: echo never\n";
    let (conclusions, text, outcome) = cancelled(&place(60_000, 60_000), Stop::AtOnce, "ready", steps);
    assert_eq!(conclusions, [Conclusion::Cancelled], "{text}");
    assert_eq!(outcome, Conclusion::Cancelled);
}

#[test]
fn a_job_that_takes_too_long_fails_and_says_so() {
    let mut place = place(0, 0);
    place.timeout_ms = 1_000;
    let mut heard = Heard::default();
    let steps = "      - run: sleep 1000\n      - if: always()\n        run: echo ${{ job.status }}\n";
    let outcome = place.run_one(&job(steps), &Cancel::new().unwrap(), &mut heard);
    let (conclusions, text) = told(&heard);
    assert_eq!(conclusions, [Conclusion::Cancelled, Conclusion::Success]);
    assert!(text.ends_with("cancelled\n"), "{text}");
    assert_eq!((outcome.conclusion, outcome.reason.as_deref()), (Conclusion::Failure, Some("the job took longer than 1s")));
}

#[test]
fn what_a_step_left_running_is_heard_until_the_job_ends() {
    let steps = "      - run: (while [ ! -e go ]; do sleep 0.01; done; echo from behind; touch done; exec sleep 1000) &\n      - run: touch go; while [ ! -e done ]; do sleep 0.01; done; echo second\n";
    let mut heard = Heard::default();
    place(0, 0).run_one(&job(steps), &Cancel::new().unwrap(), &mut heard);
    let log = |step: u32| String::from_utf8_lossy(&heard.logs[&step]).into_owned();
    assert_eq!((log(0).as_str(), log(1).as_str()), ("from behind\n", "second\n"));
}

#[test]
fn the_temporary_files_are_gone_at_the_end() {
    let place = place(0, 0);
    place.run_one(&job("      - run: touch $RUNNER_TEMP/x\n"), &Cancel::new().unwrap(), &mut Heard::default());
    assert!(!place.dirs("a").temp.exists() && place.dirs("a").workspace.exists());
}

#[test]
fn a_composite_action_out_of_time_is_ended_in_the_middle() {
    let mut place = place(0, 0);
    let sources = place.directory.path().join("sources/slow");
    std::fs::create_dir_all(&sources).unwrap();
    let steps = "    - { shell: sh, run: sleep 1000 }\n    - { shell: sh, run: echo never, if: always() }\n";
    let action = format!("name: slow\ndescription: slow\nruns:\n  using: composite\n  steps:\n{steps}");
    std::fs::write(sources.join("action.yml"), action).unwrap();
    place.commit(&place.directory.path().join("sources"));
    let mut heard = Heard::default();
    let steps = "      - uses: actions/checkout@v4\n      - uses: ./slow\n        timeout-minutes: 0.003\n";
    let outcome = place.run_one(&job(steps), &Cancel::new().unwrap(), &mut heard);
    assert!(!told(&heard).1.contains("never"), "{:?}", heard.logs);
    assert_eq!(outcome.reason.as_deref(), Some("step \"Run ./slow\" took longer than its `timeout-minutes`"));
}
