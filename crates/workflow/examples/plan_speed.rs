//! How long it takes to plan a file of 2,000 jobs, in three shapes, and to drive one to its end. `cargo run --release -p workflow
//! --example plan_speed`; the limit for planning is 50 ms.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "it measures and says what it measured")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base::name::RunId;
use base::{Source, Timestamp};
use workflow::job::{Conclusion, JobOutcome, JobSeen};
use workflow::plan::{Plan, Repository, Request};
use workflow::run::{Action, Observed, Run};
use workflow::trigger::Event;

const JOBS: usize = 2_000;
const LIMIT: Duration = Duration::from_millis(50);

/// The `needs` of the job with this number.
type Needs = fn(usize) -> String;

fn main() {
    let shapes: [(&str, usize, Needs); 4] = [
        ("2,000 jobs beside each other", JOBS, |_| String::new()),
        ("2,000 jobs in a chain", JOBS, |job| if job == 0 { String::new() } else { format!("needs: j{}, ", job - 1) }),
        ("2,000 jobs in layers of 10, all on all", JOBS, |job| {
            let layer = job / 10;
            let needs: Vec<String> = (0..10).filter(|_| layer > 0).map(|need| format!("j{}", (layer - 1) * 10 + need)).collect();
            format!("needs: [{}], ", needs.join(", "))
        }),
        ("a chain of 50", 50, |job| if job == 0 { String::new() } else { format!("needs: j{}, ", job - 1) }),
    ];
    let mut slow = false;
    for (name, jobs, needs) in shapes {
        let text = file((0..jobs).map(|job| format!("  j{job}: {{ {}runs-on: x, steps: [{{ run: make }}] }}\n", needs(job))));
        let planned = best(|| drop(plan(&text)));
        let driven = time(|| drive(plan(&text)));
        println!("{name}: planned in {planned:.1?}, driven to its end in {driven:.1?}");
        slow |= planned > LIMIT;
    }
    let values = (0..10).map(|value| value.to_string()).collect::<Vec<_>>().join(", ");
    let text = file(std::iter::once(format!(
        "  m: {{ strategy: {{ matrix: {{ a: [{values}], b: [{values}] }} }}, runs-on: x, steps: [{{ run: make }}] }}\n"
    )));
    println!("a matrix of 100 legs: driven to its end in {:.1?}", time(|| drive(plan(&text))));
    if slow {
        println!("planning took longer than {LIMIT:?}");
        std::process::exit(1);
    }
}

fn file(jobs: impl Iterator<Item = String>) -> String {
    format!("on: push\njobs:\n{}", jobs.collect::<String>())
}

/// The least of a few times, because the machine does other things too.
fn best(work: impl Fn()) -> Duration {
    (0..7).map(|_| time(&work)).min().unwrap()
}

fn time(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

fn plan(text: &str) -> Plan {
    let (workflow, wrong) = workflow::github::parse(&Source::new(".github/workflows/ci.yml", text));
    let request = Request {
        run: RunId::new(Timestamp::from_ms(0), 7),
        number: 1,
        workflow: workflow.unwrap_or_else(|| panic!("{wrong:?}")),
        event: Event {
            name: "push".into(),
            payload: serde_json::json!({}),
            git_ref: "refs/heads/main".into(),
            sha: "0".repeat(40),
            changed_paths: None,
        },
        repository: Repository { name: "acme/shop".into(), server_url: "https://github.com".into() },
        actor: "ada".into(),
        inputs: serde_json::Map::new(),
        vars: BTreeMap::new(),
        only_job: None,
        max_parallel: 0,
        deliver_by_workflow: false,
        environments: Default::default(),
    };
    Plan::new(request).unwrap().0
}

/// Every job that starts has ended at the next look.
fn drive(plan: Plan) {
    let mut run = Run::new(plan);
    let mut seen = Observed::default();
    let now = Timestamp::from_ms(1);
    while run.conclusion().is_none() {
        let advance = run.advance(&seen, now);
        advance.events.iter().for_each(|event| run.apply(event));
        for action in advance.actions {
            let Action::Start { id, .. } = action else { continue };
            let outcome = JobOutcome {
                conclusion: Conclusion::Success,
                outputs: BTreeMap::new(),
                annotations: Vec::new(),
                reason: None,
                started: now,
                finished: now,
            };
            seen.jobs.insert(id, JobSeen::Finished { outcome, steps: Vec::new() });
        }
    }
}
