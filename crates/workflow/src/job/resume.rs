//! A job that goes on where an earlier attempt stood before one of its steps.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::mask::Mask;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::machine::{Job, Phase};
use super::spec::{Conclusion, StepSeen};
use crate::expr::Value;

/// Where a job stands before one of its own steps. Secrets are in none of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// The step that comes next, by its place in the file.
    pub next: usize,
    /// What steps wrote to `GITHUB_ENV`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// What they wrote to `GITHUB_PATH`, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// The `steps` context.
    pub results: Json,
    /// The steps before it, as they were seen.
    pub steps: Vec<StepSeen>,
    /// Why nobody can go on from here, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obstacle: Option<String>,
}

/// The marks that a job passes, noted as it goes: cheap, because nearly every job ends well and then nobody wants them.
#[derive(Debug, Clone, Default)]
pub struct Trail {
    begun: Arc<BTreeMap<String, String>>,
    passed: Vec<Passed>,
}

#[derive(Debug, Clone)]
struct Passed {
    next: usize,
    env: Arc<BTreeMap<String, String>>,
    paths: Vec<String>,
    results: Value,
    seen: usize,
    obstacle: Option<String>,
}

impl Trail {
    /// Asked after every event of the job, the first of which must be that it has begun.
    pub fn note(&mut self, job: &Job) {
        let lane = &job.lanes[0];
        let between = job.phase == Phase::Main && lane.frames.len() == 1 && lane.running.is_none();
        let next = lane.frames[0].next;
        let last = self.passed.last();
        if !between || last.is_some_and(|last| last.next == next) {
            return;
        }
        let env = match last.filter(|last| *last.env == job.env) {
            Some(last) => last.env.clone(),
            None => Arc::new(job.env.clone()),
        };
        if last.is_none() {
            self.begun = env.clone();
        }
        let passed = Passed {
            next,
            env,
            paths: job.paths.clone(),
            results: lane.frames[0].results.clone(),
            seen: job.seen.len(),
            obstacle: job.obstacle(),
        };
        self.passed.push(passed);
    }

    /// All of them; what the mask would change is left out, and is an obstacle.
    pub fn marks(&self, job: &Job) -> Vec<Mark> {
        self.passed.iter().map(|passed| self.mark(passed, job)).collect()
    }

    fn mark(&self, passed: &Passed, job: &Job) -> Mark {
        let mask = job.mask();
        let set = passed.env.iter().filter(|(name, value)| self.begun.get(*name) != Some(*value));
        let (hidden, env): (BTreeMap<String, String>, BTreeMap<String, String>) =
            set.map(|(name, value)| (name.clone(), value.clone())).partition(|(_, value)| mask.contains(value.as_bytes()));
        let mut results = passed.results.to_json();
        let output = withhold(&mut results, mask);
        let withheld = hidden.keys().next().map(|name| format!("the variable `{name}`")).or(output);
        let why = |what: String| format!("{what}, which a step before it set, holds a secret, and those aren't kept");
        Mark {
            next: passed.next,
            env,
            paths: passed.paths.clone(),
            results,
            steps: job.seen[..passed.seen].iter().map(|step| step.masked(mask)).collect(),
            // It may name a step whose name has one.
            obstacle: passed.obstacle.as_ref().map(|obstacle| mask.apply(obstacle)).or(withheld.map(why)),
        }
    }
}

/// Takes the outputs that hold a secret out, and names the first.
fn withhold(results: &mut Json, mask: &Mask) -> Option<String> {
    let mut first = None;
    for (id, result) in results.as_object_mut().into_iter().flatten() {
        let Some(outputs) = result.get_mut("outputs").and_then(Json::as_object_mut) else { continue };
        outputs.retain(|name, value| {
            let holds = value.as_str().is_some_and(|value| mask.contains(value.as_bytes()));
            if holds {
                first.get_or_insert_with(|| format!("the output `{name}` of `{id}`"));
            }
            !holds
        });
    }
    first
}

impl Job {
    fn obstacle(&self) -> Option<String> {
        let running = self.lanes.iter().filter_map(|lane| lane.behind.as_ref()).find(|behind| !behind.settled);
        if let Some(behind) = running {
            return Some(format!("step \"{}\" is in the background there, and nobody has waited for it", behind.name));
        }
        if self.status != Conclusion::Success {
            return Some(self.reason.clone().unwrap_or_else(|| "a step before it failed".to_string()));
        }
        self.hid.then(|| "a step before it hid a value with `::add-mask::`, and such values aren't kept".to_string())
    }

    /// Whether the first step comes next; what is resumed goes on from there.
    pub fn is_before_steps(&self) -> bool {
        let lane = &self.lanes[0];
        self.phase == Phase::Main && lane.frames.len() == 1 && lane.frames[0].next == 0 && lane.running.is_none()
    }

    /// What came before the first step has come anew; the steps before the mark are as they were.
    pub(super) fn resume(&mut self, from: &Mark) {
        assert!(self.is_before_steps(), "a job goes on from somewhere before its first step");
        let own = &mut self.lanes[0].frames[0];
        own.next = from.next.min(own.steps.len());
        own.results = Value::from_json(&from.results);
        self.env.extend(from.env.clone());
        self.paths.clone_from(&from.paths);
        self.seen.extend(from.steps.iter().skip(self.seen.len()).cloned());
    }
}

#[cfg(test)]
mod tests {
    use super::super::call::{Ended, Event, Exit};
    use super::super::facts::{FilePaths, Files, JobFacts, Node};
    use super::super::spec::{Contexts, JobSpec, StepState};
    use super::super::{Next, Wrote};
    use super::*;
    use crate::model::{Action, Pinned};
    use base::{Source, Timestamp};

    struct NoFiles;

    impl Files for NoFiles {
        fn hash(&self, _: &[String], _: bool) -> Result<String, String> {
            Ok(String::new())
        }
        fn action(&self, _: &str) -> Result<Action, String> {
            Err("none".into())
        }
        fn fetched(&self, _: &str, _: &Pinned) -> Result<String, String> {
            Err("none".into())
        }
        fn paths(&self, _: usize) -> FilePaths {
            FilePaths::default()
        }
        fn node(&self, _: &str, _: &str) -> Result<Node, String> {
            Err("none".into())
        }
        fn own(&self) -> Result<String, String> {
            Err("none".into())
        }
        fn node_inside(&self, _: &str) -> Result<Node, String> {
            Err("none".into())
        }
    }

    const FILE: &str = "
on: push
jobs:
  it:
    runs-on: x
    env: {OWN: 1}
    outputs: {all: '${{ steps.a.outputs.x }}-${{ steps.b.outputs.y }}'}
    steps:
      - {id: a, run: a}
      - {id: b, run: \"b ${{ steps.a.outputs.x }} ${{ env.SET }}\"}
      - {id: c, run: c}
";

    fn job(secret: &str) -> Job {
        let (workflow, wrong) = crate::github::parse(&Source::new("w.yml", FILE));
        let job = workflow.unwrap_or_else(|| panic!("{wrong:?}")).jobs.remove(0);
        let secrets = BTreeMap::from([("S".to_string(), secret.to_string())]);
        Job::new(JobSpec::new("it", job, Contexts::default(), 60_000), JobFacts { secrets, ..JobFacts::default() })
    }

    /// Runs the job with what each command leaves; the scripts that ran, and where it ended.
    fn play(job: &mut Job, trail: &mut Trail, mut from: Option<&Mark>, leaves: &dyn Fn(&str) -> (i32, Wrote)) -> (Vec<String>, Conclusion) {
        let mut ran = Vec::new();
        let now = Timestamp::from_ms(0);
        loop {
            let advance = job.advance(&NoFiles, now);
            if let Some(event) = &advance.event {
                job.apply(event);
                trail.note(job);
                if let Some(from) = from.take_if(|_| job.is_before_steps()) {
                    job.apply(&Event::Resumed { from: Box::new(from.clone()) });
                    trail.note(job);
                }
            }
            match advance.next {
                Next::Run(command) => {
                    let script = command.script.expect("every step is a script").text.trim().to_string();
                    let (code, wrote) = leaves(&script);
                    ran.push(script);
                    let ended = Ended { wrote, ..Ended::with(Exit::Code(code)) };
                    job.apply(&Event::Ended { at: now, lane: command.lane, ended });
                }
                Next::Finish { outcome, .. } => return (ran, outcome.conclusion),
                _ => {}
            }
        }
    }

    fn set(env: &[(&str, &str)], outputs: &[(&str, &str)]) -> Wrote {
        let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Wrote { env: pairs(env), outputs: pairs(outputs), ..Wrote::default() }
    }

    #[test]
    fn a_job_goes_on_with_what_the_steps_before_left() {
        let (mut first, mut trail) = (job("hunter2"), Trail::default());
        let leaves = |script: &str| match script {
            "a" => (0, set(&[("SET", "by a")], &[("x", "1")])),
            _ => (1, Wrote::default()),
        };
        let (ran, conclusion) = play(&mut first, &mut trail, None, &leaves);
        assert_eq!((ran.join("; "), conclusion), ("a; b 1 by a".into(), Conclusion::Failure));
        let marks = trail.marks(&first);
        let text = serde_json::to_string(&marks).unwrap();
        let marks: Vec<Mark> = serde_json::from_str(&text).unwrap();
        assert_eq!(marks.iter().map(|mark| mark.next).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(marks[1].env, BTreeMap::from([("SET".to_string(), "by a".to_string())]));
        assert_eq!(marks[1].obstacle, None);
        assert_eq!(marks[2].obstacle.as_deref(), Some("step \"Run b 1 by a\" exited with 1"));

        let (mut second, mut trail) = (job("hunter2"), Trail::default());
        let leaves = |script: &str| (0, if script.starts_with('b') { set(&[], &[("y", "2")]) } else { Wrote::default() });
        let (ran, conclusion) = play(&mut second, &mut trail, Some(&marks[1]), &leaves);
        assert_eq!((ran.join("; "), conclusion), ("b 1 by a; c".into(), Conclusion::Success));
        assert_eq!(trail.marks(&second)[1], marks[1], "and from there it can go on once more");
        let seen: Vec<(u32, &str)> = second.steps().iter().map(|step| (step.number, step.name.as_str())).collect();
        assert_eq!(seen, [(0, "Run a"), (1, "Run b 1 by a"), (2, "Run c")]);
        assert!(second.steps().iter().all(|step| matches!(step.state, StepState::Finished { conclusion: Conclusion::Success, .. })));
    }

    #[test]
    fn a_secret_is_not_kept_and_stands_in_the_way() {
        for (wrote, what) in
            [(set(&[("TOKEN", "x hunter2 y")], &[]), "the variable `TOKEN`"), (set(&[], &[("t", "hunter2")]), "the output `t` of `a`")]
        {
            let (mut first, mut trail) = (job("hunter2"), Trail::default());
            let leaves = |script: &str| if script == "a" { (0, wrote.clone()) } else { (1, Wrote::default()) };
            play(&mut first, &mut trail, None, &leaves);
            let marks = trail.marks(&first);
            assert!(!serde_json::to_string(&marks).unwrap().contains("hunter2"));
            assert_eq!(marks[0].obstacle, None);
            let why = format!("{what}, which a step before it set, holds a secret, and those aren't kept");
            assert_eq!(marks[1].obstacle.as_deref(), Some(why.as_str()));
        }
    }
}
