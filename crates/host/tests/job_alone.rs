//! A job that has its process to itself: there everything below it is the job's, and nothing gets away.
//!
//! Apart from the other tests, because it ends whatever their jobs have running.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

#[path = "job/harness.rs"]
#[expect(dead_code, reason = "one harness for several tests")]
mod harness;

use harness::{ESCAPES, Heard, Place, job, nap, napping};
use host::job::Cancel;
use workflow::job::Conclusion;

#[test]
fn nothing_survives_a_job_whatever_it_tried() {
    let ends = [("", Conclusion::Success), ("          sys.exit(1)\n", Conclusion::Failure)];
    for (alone, (end, expected)) in [true, false].into_iter().flat_map(|alone| ends.map(|end| (alone, end))) {
        let mut place = Place::new();
        place.options.alone = alone;
        place.options.env.insert("KEEP".to_string(), "[True, False]".to_string());
        let nap = nap(&mut place, 1);
        let steps = format!("      - shell: python\n        run: |{ESCAPES}{end}");
        let mut heard = Heard::default();
        let outcome = place.run_one(&job(&steps), &Cancel::new().unwrap(), &mut heard);
        assert_eq!(outcome.conclusion, expected, "{:?}", heard.logs);
        assert_eq!(napping(&nap), [0; 0]);
    }
}
