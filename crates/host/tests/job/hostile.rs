//! Steps that do the machine harm.

use std::process::Command;
use std::time::Duration;

use host::job::{Cancel, Grace};
use workflow::job::{Conclusion, StepState};

use crate::harness::{Heard, Place, job, nap, napping};

fn conclusions(heard: &Heard) -> Vec<Conclusion> {
    let conclusion = |state: StepState| match state {
        StepState::Finished { outcome, .. } => outcome,
        StepState::Running => panic!("a step has no end"),
    };
    heard.steps.values().map(|step| conclusion(step.state)).collect()
}

fn log(heard: &Heard, step: u32) -> String {
    heard.logs.get(&step).map(|log| String::from_utf8_lossy(log).into_owned()).unwrap_or_default()
}

#[test]
fn a_line_of_many_megabytes_without_an_end_comes_through_and_costs_no_memory() {
    let steps = "      - run: head -c 20000000 /dev/zero | tr '\\000' x; printf '::debug::no command\\n::group::one\\n'\n";
    let mut heard = Heard::default();
    Place::new().run_one(&job(steps), &Cancel::new().unwrap(), &mut heard);
    let log = log(&heard, 0);
    assert!(log.starts_with("xxx") && log.ends_with("x::debug::no command\n##[group]one\n"), "{}", &log[log.len() - 60..]);
    assert_eq!(log.len(), 20_000_000 + "::debug::no command\n##[group]one\n".len());
}

#[test]
fn a_full_disk_ends_the_step_and_not_the_job() {
    let place = Place::new();
    let disk = place.dirs("a").workspace;
    std::fs::create_dir_all(&disk).unwrap();
    let mount = |arguments: &[&str]| Command::new("mount").args(arguments).arg(&disk).output().is_ok_and(|output| output.status.success());
    let mounted = mount(&["-t", "tmpfs", "-o", "size=64k", "none"]);
    // Where nobody lets us mount, a limit on the size of a file takes the disk's place.
    let limit = if mounted { "" } else { "ulimit -f 64; " };
    let steps = format!("      - run: {limit}head -c 1000000 /dev/zero > large\n      - if: always()\n        run: rm large; echo on\n");
    let mut heard = Heard::default();
    let outcome = place.run_one(&job(&steps), &Cancel::new().unwrap(), &mut heard);
    if mounted {
        assert!(Command::new("umount").arg(&disk).status().unwrap().success());
        assert!(log(&heard, 0).contains("No space left on device"), "{:?}", heard.logs);
    }
    assert_eq!(conclusions(&heard), [Conclusion::Failure, Conclusion::Success], "{:?}", heard.logs);
    assert_eq!(outcome.conclusion, Conclusion::Failure);
}

#[test]
fn temporary_files_on_a_full_disk_are_said_to_be_missing() {
    let place = Place::new();
    let disk = place.dirs("a").temp;
    std::fs::create_dir_all(&disk).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "none"]).arg(&disk).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        // Without a disk of our own to fill, a directory that takes no files stands for it.
        std::fs::remove_dir(&disk).unwrap();
        std::os::unix::fs::symlink("/proc/self", &disk).unwrap();
        let outcome = place.run_one(&job("      - run: echo never\n"), &Cancel::new().unwrap(), &mut Heard::default());
        assert_eq!(outcome.conclusion, Conclusion::Failure);
        return;
    }
    let steps = "      - run: head -c 1000000 /dev/zero > \"$RUNNER_TEMP/large\"\n      - if: always()\n        run: rm \"$RUNNER_TEMP/large\"; echo on\n";
    let mut heard = Heard::default();
    place.run_one(&job(steps), &Cancel::new().unwrap(), &mut heard);
    assert!(Command::new("umount").arg(&disk).status().unwrap().success());
    assert_eq!(conclusions(&heard), [Conclusion::Failure, Conclusion::Failure]);
    assert!(log(&heard, 1).contains("the script can't be written to") && log(&heard, 1).contains("No space left"), "{:?}", heard.logs);
}

#[test]
fn a_step_in_the_background_is_killed_with_all_it_started_and_the_others_stay() {
    let mut place = Place::new();
    place.options.grace = Grace { after_int: Duration::from_millis(30), after_term: Duration::from_millis(30) };
    let nap = nap(&mut place, 7);
    let deaf = "trap '' INT TERM; setsid sleep $NAP & sleep $NAP & touch one; while :; do sleep 0.01; done";
    let steps = format!(
        "      - id: kept\n        background: true\n        run: setsid sleep 1000 & echo $! > pid; while [ ! -e end ]; do sleep 0.01; done; kill -0 $(cat pid) && echo it lives\n      - id: deaf\n        background: true\n        run: {deaf}\n      - run: while [ ! -e one ] || [ ! -e pid ]; do sleep 0.01; done\n      - cancel: deaf\n      - run: touch end\n      - wait: kept\n"
    );
    let mut heard = Heard::default();
    let outcome = place.run_one(&job(&steps), &Cancel::new().unwrap(), &mut heard);
    assert_eq!(log(&heard, 0), "it lives\n", "{:?}", heard.logs);
    assert_eq!(outcome.conclusion, Conclusion::Success, "{outcome:?}");
    assert_eq!(conclusions(&heard)[1], Conclusion::Cancelled);
    assert_eq!(napping(&nap), [0; 0]);
}
