//! What benchmarks took before, and what is slower now.

use crate::common::Place;

const AT_ONCE: [&str; 2] = ["--strategy", "immediate"];

/// The report isn't of the commit: it is made by the job, of so many milliseconds.
const CI: &str = r#"on: push
jobs:
  bench:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: |
          time="0.$(cat milliseconds)"
          echo "{\"results\": [{\"command\": \"shop import\", \"mean\": $time, \"stddev\": 0.001, \"median\": $time}]}" > report.json
"#;

fn place(gate: &str) -> Place {
    let place = Place::with(&[(".github/workflows/ci.yml", CI), ("milliseconds", "100")]);
    let config = std::fs::read_to_string(place.project().join("plimsoll.yaml")).expect("it is there");
    place.write("plimsoll.yaml", &format!("{config}{gate}"));
    place.commit("what the gate asks");
    place
}

fn take(place: &Place, milliseconds: &str) {
    place.write("milliseconds", milliseconds);
    place.commit(milliseconds);
}

#[test]
fn a_slower_benchmark_is_denied_by_what_was_live_before() {
    let place = place("gate: {benchmarks: {regressionThreshold: 10%}}\n");
    place.up(&AT_ONCE).ends(0, &["✔ verified   the new revision carries all traffic and stayed ready"]);
    let denied = |now: &str, percent: &str, before: &str| {
        take(&place, now);
        let why = format!(
            "✖            benchmark `shop import` is {percent} % slower than in the last release: {now} ms, {before} ms before; 10 % may ship (bench/report.json)"
        );
        place.up(&AT_ONCE).ends(3, &["✖ gate       denied for local", &why]);
    };
    denied("200", "100", "100");
    // What was denied is no baseline.
    denied("201", "101", "100");

    take(&place, "105");
    assert_eq!(place.up(&AT_ONCE).code, 0);
    assert_eq!(place.say(&["release", "rollback"]).code, 0);
    // Nor is what traffic went back from.
    denied("112", "12", "100");
}

#[test]
fn a_slower_benchmark_is_told_where_no_threshold_is_set() {
    let place = place("");
    let first = place.up(&AT_ONCE);
    assert!(first.code == 0 && first.err.contains("evidence   1 benchmark"), "{first:?}");
    take(&place, "200");
    let second = place.up(&AT_ONCE);
    let told = "benchmark `shop import` is 100 % slower than in the last release: 200 ms, 100 ms before";
    assert!(second.code == 0 && second.err.contains(told), "{second:?}");
}
