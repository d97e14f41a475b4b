//! A job that has its process to itself: there everything below it is the job's, and nothing gets away.
//!
//! Apart from the other tests, because it ends whatever their jobs have running.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

#[path = "job/harness.rs"]
#[expect(dead_code, reason = "one harness for several tests")]
mod harness;

use harness::{ESCAPES, Heard, Place, job, living_with};
use host::job::Cancel;
use workflow::job::Conclusion;

#[test]
fn nothing_survives_a_job_whatever_it_tried() {
    for (end, expected) in [("", Conclusion::Success), ("          sys.exit(1)\n", Conclusion::Failure)] {
        let mut place = Place::new();
        place.options.alone = true;
        place.options.env.insert("MARK".to_string(), format!("escapes-{}", std::process::id()));
        let steps = format!("      - shell: python\n        run: |{ESCAPES}{end}");
        let mut heard = Heard::default();
        let outcome = place.run_one(&job(&steps), &Cancel::new().unwrap(), &mut heard);
        assert_eq!(outcome.conclusion, expected, "{:?}", heard.logs);
        assert_eq!(living_with(&format!("MARK={}", place.options.env["MARK"])), [0; 0]);
        assert_eq!(sleeping_without_environment(), 0);
    }
}

/// Our own children that dropped the mark with the rest of their environment.
fn sleeping_without_environment() -> usize {
    let pids = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let own = std::process::id().cast_signed();
    let parent = |pid: i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat[stat.rfind(')')? + 1..].split_whitespace().nth(1)?.parse::<i32>().ok()
    };
    let ours = pids.filter(|pid| parent(*pid) == Some(own));
    ours.filter(|pid| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"sleep\x001000"))).count()
}
