//! Whatever is seen in whatever order, the promises hold, and once the world calms down the run ends.

use std::collections::{BTreeMap, BTreeSet};

use workflow::environment::Review;
use workflow::job::{Conclusion, JobId, JobOutcome, JobSeen, StepSeen, StepState};
use workflow::run::{Action, Closed, Command, Event, Run};

use super::script::{Script, Stage};

const WORKFLOW: &str = "#! deliver production.reviewers=bo,ada production.self=no production.timer=5m
on: push
jobs:
  lint: {runs-on: x, steps: [{run: a}]}
  test:
    strategy: {max-parallel: 2, matrix: {v: [1, 2, 3]}}
    continue-on-error: ${{ matrix.v == 3 }}
    timeout-minutes: 1
    runs-on: x
    outputs: {v: x}
    steps: [{run: a}]
  build: {needs: [lint, test], runs-on: x, steps: [{run: a}]}
  notify: {needs: [build], if: always(), runs-on: x, steps: [{run: a}]}
  repair: {needs: [test], if: failure(), runs-on: x, steps: [{run: a}]}
  undo: {needs: [lint], if: cancelled(), runs-on: x, steps: [{run: a}]}
  many:
    needs: test
    if: needs.test.outputs.v != ''
    strategy: {fail-fast: false, matrix: {v: '${{ fromJSON(needs.test.outputs.v) }}'}}
    runs-on: x
    steps: [{run: a}]
  flaky: {retry: {max: 2, on: [failure, lost, timeout], backoff: 30s}, timeout-minutes: 1, runs-on: x, steps: [{run: a}]}
  calls: {needs: lint, strategy: {matrix: {n: [1, 2]}}, uses: ./.github/workflows/x.yml}
  ship: {needs: lint, environment: production, strategy: {matrix: {n: [1, 2]}}, runs-on: x, steps: [{run: a}]}
  stage: {environment: staging, retry: {max: 1}, runs-on: x, steps: [{run: a}]}
  alone: {concurrency: {group: g, cancel-in-progress: true}, runs-on: x, steps: [{run: a}]}
---- ./.github/workflows/x.yml
on: workflow_call
jobs:
  one: {concurrency: {group: g, queue: max}, runs-on: x, steps: [{run: a}]}
  two: {needs: one, if: always(), runs-on: x, steps: [{run: a}]}
====
";

/// An executor that keeps its promise and nothing else: it forgets answers, dies, dawdles, and ends jobs as it likes.
#[derive(Default)]
struct World {
    jobs: BTreeMap<JobId, JobSeen>,
}

#[test]
fn whatever_is_seen_the_promises_hold_and_calm_ends_it() {
    let script = Script::read(WORKFLOW);
    let mut endings: BTreeMap<Conclusion, u32> = BTreeMap::new();
    for seed in 0..150 {
        let conclusion = one(&script, seed);
        *endings.entry(conclusion).or_default() += 1;
    }
    assert!(endings.len() >= 3, "the schedules reach every ending but skipped: {endings:?}");
}

fn one(script: &Script, seed: u64) -> Conclusion {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut stage = Stage::new(script);
    let mut world = World::default();
    for round in 0..400 {
        let calm = round > 60;
        stage.now = stage.now.plus_ms(dice.below(90_000));
        if !calm && dice.below(120) == 0 {
            let command = Command::Cancel { force: dice.below(2) == 0 };
            record(&mut stage, |run, now| run.command(command, "ada", now).unwrap_or_default());
        }
        if dice.below(if calm { 3 } else { 30 }) == 0 {
            let (by, agrees) = (["ada", "bo", "eve"][usize::try_from(dice.below(3)).unwrap()], dice.below(10) > 0);
            record(&mut stage, |run, now| run.review(None, agrees, "", by, now).unwrap_or_default());
        }
        if dice.below(20) == 0 || calm {
            let closed = Closed { why: "environment `local` is frozen".into(), until: None };
            stage.seen.closed = Some(closed).filter(|_| !calm && dice.below(2) == 0);
        }
        world.observe(&mut stage, &mut dice, calm);
        let seen = stage.seen.clone();
        let actions = stage.run.advance(&seen, stage.now).actions;
        let running_before = running(&stage.run);
        let known = stage.events.len();
        record(&mut stage, |run, now| run.advance(&seen, now).events);
        let delivers = |event: &Event| matches!(event, Event::JobStarted { id, .. } if id.key.starts_with("ship") || id.key == "stage");
        assert!(
            seen.closed.is_none() || !stage.events[known..].iter().any(delivers),
            "seed {seed}: nothing is delivered while it is closed"
        );
        check(&stage, &running_before);
        for action in actions {
            // Hands may be late or not there at all.
            if calm || dice.below(4) > 0 {
                world.perform(&action, &mut dice, stage.now);
            }
        }
        if let Some(conclusion) = stage.run.conclusion() {
            let replayed = Run::replay(stage.run.plan().clone(), &stage.events);
            assert_eq!(replayed, stage.run, "seed {seed}");
            return conclusion;
        }
        assert!(stage.run.advance(&seen, stage.now).waiting.is_some(), "seed {seed} waits and doesn't say for what");
    }
    panic!("seed {seed} never ended: {:#?}", stage.run.status());
}

fn record(stage: &mut Stage, decide: impl Fn(&Run, base::Timestamp) -> Vec<Event>) {
    for event in decide(&stage.run, stage.now) {
        stage.run.apply(&event);
        stage.events.push(event);
    }
}

fn running(run: &Run) -> BTreeSet<JobId> {
    let legs = run.status().jobs.into_iter().flat_map(|job| job.legs);
    legs.filter(|leg| leg.finished.is_none()).filter_map(|leg| leg.id).collect()
}

fn check(stage: &Stage, before: &BTreeSet<JobId>) {
    let started: Vec<&JobId> =
        stage.events.iter().filter_map(|event| if let Event::JobStarted { id, .. } = event { Some(id) } else { None }).collect();
    let distinct: BTreeSet<&JobId> = started.iter().copied().collect();
    assert_eq!(started.len(), distinct.len(), "an attempt starts at most once");
    for (at, id) in stage.events.iter().enumerate().filter_map(|(at, event)| match event {
        Event::JobStarted { id, .. } if id.key.starts_with("ship") => Some((at, id)),
        _ => None,
    }) {
        let before = &stage.events[..at];
        let said: Vec<&Review> = before
            .iter()
            .filter_map(|event| match event {
                Event::EnvironmentReviewed { review } if review.jobs.contains(&id.key) => Some(review),
                _ => None,
            })
            .collect();
        assert!(matches!(said[..], [Review { agrees: true, .. }]) && said[0].by == "bo", "{id} started with {said:?}");
        let held = before.iter().find_map(|event| match event {
            Event::JobHeld { key, at, .. } if *key == id.key => Some(*at),
            _ => None,
        });
        assert!(held.is_some_and(|held| stage.events[at].at().since_ms(held) >= 5 * 60_000), "{id} started before its timer was over");
    }
    let tests = running(&stage.run).into_iter().filter(|id| id.key.starts_with("test.")).count();
    assert!(tests <= 2, "max-parallel");
    let status = stage.run.status();
    for job in &status.jobs {
        let Some(first) = job.legs.iter().filter_map(|leg| leg.started).min() else { continue };
        for need in job.needs.iter().filter_map(|need| status.jobs.iter().find(|job| job.key == *need)) {
            let ended = need.legs.iter().all(|leg| leg.finished.is_some_and(|at| at <= first));
            assert!(ended, "{} started before {} had ended", job.key, need.key);
        }
    }
    for id in before {
        assert!(stage.run.jobs().contains(id), "what was started stays known");
    }
    // The same moment again: nothing new to record, the same hands.
    let again = stage.run.advance(&stage.seen, stage.now);
    assert!(again.events.is_empty(), "{:?}", again.events);
}

impl World {
    fn observe(&mut self, stage: &mut Stage, dice: &mut Dice, calm: bool) {
        stage.seen.jobs.clear();
        for id in stage.run.jobs() {
            self.live(&id, dice, calm, stage.now);
            if !calm && dice.below(8) == 0 {
                stage.seen.jobs.insert(id, JobSeen::Unknown);
            } else if calm || dice.below(8) > 0 {
                stage.seen.jobs.insert(id.clone(), self.jobs.get(&id).cloned().unwrap_or(JobSeen::Absent));
            }
        }
    }

    /// A running job goes on by itself.
    fn live(&mut self, id: &JobId, dice: &mut Dice, calm: bool, now: base::Timestamp) {
        let Some(JobSeen::Running { steps }) = self.jobs.get_mut(id) else { return };
        let number = u32::try_from(steps.len()).unwrap();
        match dice.below(if calm { 4 } else { 20 }) {
            0 => {
                let conclusion = if dice.below(20) == 0 { Conclusion::Failure } else { Conclusion::Success };
                let outcome = outcome(conclusion, dice, now);
                let steps = std::mem::take(steps);
                self.jobs.insert(id.clone(), JobSeen::Finished { outcome, steps });
            }
            1 if dice.below(12) == 0 => {
                let steps = std::mem::take(steps);
                self.jobs.insert(id.clone(), JobSeen::Lost { steps, reason: "gone".into() });
            }
            2..=5 if number < 5 => {
                if let Some(step) = steps.last_mut() {
                    step.state = StepState::Finished { outcome: Conclusion::Success, conclusion: Conclusion::Success };
                }
                let name = format!("step {number}");
                steps.push(StepSeen { started: Some(now), ..StepSeen::new(number, name) });
            }
            _ => {}
        }
    }

    fn perform(&mut self, action: &Action, dice: &mut Dice, now: base::Timestamp) {
        match action {
            Action::Start { id, .. } => drop(self.jobs.entry(id.clone()).or_insert(JobSeen::Running { steps: Vec::new() })),
            Action::Stop { id, at_once } => match self.jobs.get(id) {
                Some(JobSeen::Finished { .. } | JobSeen::Lost { .. }) => {}
                Some(_) if !at_once && dice.below(2) == 0 => {}
                _ => {
                    let outcome = outcome(Conclusion::Cancelled, dice, now);
                    self.jobs.insert(id.clone(), JobSeen::Finished { outcome, steps: Vec::new() });
                }
            },
        }
    }
}

fn outcome(conclusion: Conclusion, dice: &mut Dice, now: base::Timestamp) -> JobOutcome {
    let outputs = [("v".to_string(), ["[1, 2]", "", "not json"][usize::try_from(dice.below(3)).unwrap()].to_string())];
    JobOutcome { conclusion, outputs: outputs.into(), reason: None, started: now, finished: now, annotations: Vec::new() }
}

/// xorshift: the same schedules on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
