//! A job that is held where a step has failed.

use std::io::Write;
use std::process::{Command, Stdio};

use host::job::{Cancel, JobSink, Paused};
use workflow::job::{Conclusion, StepSeen};

use crate::harness::{Heard, Place, job};

/// Looks around in a shell each time, and lets the job go on: at once, or by the file.
#[derive(Default)]
struct Looking {
    heard: Heard,
    found: Vec<String>,
    told: Vec<bool>,
    scripts: Vec<std::path::PathBuf>,
}

impl JobSink for Looking {
    fn step(&mut self, step: &StepSeen) {
        self.told.push(step.paused);
        self.heard.step(step);
    }

    fn log(&mut self, step: u32, bytes: &[u8]) {
        self.heard.log(step, bytes);
    }

    fn paused(&mut self, paused: &Paused) -> bool {
        let mut shell = Command::new("sh");
        shell.arg(&paused.script).env("SHELL", "/bin/sh").env("OUTSIDE", "x").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = shell.spawn().unwrap();
        shell.stdin.take().unwrap().write_all(b"echo \"$X|$(basename \"$PWD\")|$GITHUB_JOB|$OUTSIDE|$QUOTED\"\n").unwrap();
        let output = shell.wait_with_output().unwrap();
        self.found.push(format!("{} {}: {}", paused.name, paused.reason, String::from_utf8_lossy(&output.stdout).trim()));
        self.scripts.push(paused.script.clone());
        if self.found.len() == 1 {
            return true;
        }
        std::fs::write(&paused.go_on, []).unwrap();
        false
    }
}

#[test]
fn a_shell_finds_the_place_of_the_step_and_then_the_job_goes_on() {
    let mut place = Place::new();
    place.options.pause_on_failure = true;
    let steps = "      - run: mkdir sub; echo X=1 >> \"$GITHUB_ENV\"\n      - name: first\n        working-directory: sub\n        env: { QUOTED: \"it's \\\"this\\\"\" }\n        run: exit 3\n      - run: exit 1\n        continue-on-error: true\n        if: always()\n      - name: second\n        if: always()\n        run: exit 4\n      - if: always()\n        run: echo on\n";
    let mut looking = Looking::default();
    let outcome = place.run_one(&job(steps), &Cancel::new().unwrap(), &mut looking);
    assert_eq!(looking.found, ["first exited with 3: 1|sub|a||it's \"this\"", "second exited with 4: 1|a.workspace|a||"]);
    assert_eq!(looking.told.iter().filter(|paused| **paused).count(), 2);
    assert!(looking.heard.steps.values().all(|step| !step.paused));
    assert_eq!(looking.heard.logs[&4], b"on\n");
    assert_eq!(outcome.conclusion, Conclusion::Failure);
    assert!(looking.scripts.iter().all(|script| !script.exists()));
}
