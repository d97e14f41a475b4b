use std::collections::BTreeMap;
use std::sync::Arc;

use base::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::{Event, Happened};
use crate::judge::{Judge, Metric, Question, Stream};
use crate::legality::{self, Refusal};
use crate::meter::Meter;
use crate::outcome::{Outcome, Reason};
use crate::plan::{Plan, Revision, RevisionId, Step, Strategy};
use crate::rolling::Rolling;
use crate::waiting::Waiting;
use crate::{Action, Endpoint, Synthetic};

/// One attempt to move an environment's traffic to a revision: a fold of its events.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollout {
    pub(crate) plan: Arc<Plan>,
    pub(crate) steps: Arc<[Step]>,
    pub(crate) phase: Phase,
    pub(crate) phase_since: Timestamp,
    /// The last one handed out.
    pub(crate) generation: u64,
    /// Of the last change of which instances are wanted.
    pub(crate) instances_generation: u64,
    pub(crate) route: Option<RouteWish>,
    /// Of the last route that the router was seen to have: one that tells of an older one tells of the past.
    pub(crate) generation_taken: u64,
    pub(crate) step: Option<usize>,
    pub(crate) step_since: Timestamp,
    pub(crate) deadline_passed: bool,
    /// Since when nothing may move forward.
    pub(crate) closed_since: Option<Timestamp>,
    /// For how long nothing could in this step, before it was open again.
    pub(crate) closed_ms: u64,
    pub(crate) paused_by: Option<String>,
    pub(crate) promote: Option<Promote>,
    pub(crate) resumed: bool,
    pub(crate) aborted_by: Option<String>,
    pub(crate) smoke: Option<Smoke>,
    /// Only with the strategy of that name, and something to replace.
    pub(crate) rolling: Option<Rolling>,
    pub(crate) meter: Meter,
    pub(crate) judge: Judge,
    /// Users' requests to the canary in this step, to know whether they are few.
    pub(crate) step_requests: u64,
    /// The stable was dead before there was any traffic to compare.
    pub(crate) skipped: bool,
    /// Users asked the new revision at some time.
    pub(crate) had_traffic: bool,
    pub(crate) reason: Option<Reason>,
    pub(crate) outcome: Option<Outcome>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing happened yet.
    Planned,
    /// Instances of the new revision start.
    Starting,
    /// Traffic moves in steps.
    Canary,
    /// Instances are replaced in steps, and traffic goes to what is ready.
    Rolling,
    /// The new revision has all traffic and must prove itself.
    Verifying,
    /// Verified; the old one finishes what is in flight.
    Draining,
    /// The old one stops.
    Retiring,
    /// Traffic goes back to the stable.
    RollingBack,
    /// The new one stops.
    Removing,
    Finished,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// To the next step, whatever the evidence; `full`: to all traffic.
    Promote {
        full: bool,
    },
    /// Nothing moves forward; a worse canary is still taken back.
    Pause,
    Resume,
    /// Back to the stable.
    Abort,
}

/// What one look at the world led to: remember the events first, then perform the actions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Advance {
    pub events: Vec<Event>,
    /// What the world lacks of the state's wishes; the same again until it is seen.
    pub actions: Vec<Action>,
    pub waiting: Option<Waiting>,
    /// Look again at the latest then; nothing when finished.
    pub wake: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RouteWish {
    pub generation: u64,
    pub weights: BTreeMap<RevisionId, u32>,
    pub endpoints: Vec<Endpoint>,
    pub synthetic: Option<Synthetic>,
    pub decided: Timestamp,
    /// When the router was seen to have it.
    pub taken: Option<Timestamp>,
    /// When it was seen not to follow, with half of its time over; nothing once it does.
    pub missed: Option<Timestamp>,
    /// When it was first seen to have these weights, whatever the endpoints.
    pub weights_taken: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Promote {
    OneStep,
    Full,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Smoke {
    pub generation: u64,
    pub passed: bool,
}

/// All of the traffic, in 0.01 %.
pub(crate) const WHOLE: u32 = 10_000;

impl Rollout {
    pub fn new(plan: impl Into<Arc<Plan>>) -> Rollout {
        let plan = plan.into();
        Rollout {
            steps: steps(&plan),
            phase: Phase::Planned,
            phase_since: Timestamp::default(),
            generation: plan.generation_base,
            instances_generation: plan.generation_base,
            route: None,
            generation_taken: plan.generation_base,
            step: None,
            step_since: Timestamp::default(),
            deadline_passed: false,
            closed_since: None,
            closed_ms: 0,
            paused_by: None,
            promote: None,
            resumed: false,
            aborted_by: None,
            smoke: None,
            rolling: Rolling::of(&plan),
            meter: Meter::default(),
            judge: Judge::new(&plan.judge, plan.synthetic.is_some()),
            step_requests: 0,
            skipped: false,
            had_traffic: false,
            reason: None,
            outcome: None,
            plan,
        }
    }

    pub fn replay(plan: impl Into<Arc<Plan>>, events: &[Event]) -> Rollout {
        let mut rollout = Rollout::new(plan);
        for event in events {
            rollout.apply(event);
        }
        rollout
    }

    /// The only function that changes a rollout. An event that may not happen now is our own mistake.
    pub fn apply(&mut self, event: &Event) {
        let Event { at, what } = event;
        assert!(legality::allows(self.phase, what), "{what:?} can't happen while {:?}", self.phase);
        match what {
            Happened::Started { generation } => {
                self.next_generation(*generation);
                self.instances_generation = *generation;
                self.enter(if self.rolling.is_some() { Phase::Rolling } else { Phase::Starting }, *at);
            }
            Happened::InstancesReady if self.phase == Phase::Rolling => {
                let rolling = self.rolling_mut();
                rolling.proved = rolling.scale.new;
            }
            Happened::Scaled { generation, scale } => {
                self.next_generation(*generation);
                self.instances_generation = *generation;
                self.rolling_mut().scaled(*scale, *at);
            }
            Happened::ServingDecided { serving } => self.rolling_mut().serve(*serving, *at),
            Happened::InstancesReady => self.enter(if self.steps().is_empty() { Phase::Verifying } else { Phase::Canary }, *at),
            Happened::StepStarted { step } => {
                self.step = Some(*step);
                self.step_since = *at;
                self.step_requests = 0;
                self.closed_ms = 0;
                (self.promote, self.resumed, self.deadline_passed) = (None, false, false);
            }
            Happened::Routed { generation, weights, endpoints, synthetic } => {
                assert_eq!(weights.values().sum::<u32>(), WHOLE, "weights sum to the whole");
                self.next_generation(*generation);
                self.had_traffic |= weights.get(&self.plan.revision.id).is_some_and(|weight| *weight > 0);
                let before = self.route.take().filter(|before| before.weights == *weights);
                self.route = Some(RouteWish {
                    generation: *generation,
                    weights: weights.clone(),
                    endpoints: endpoints.clone(),
                    synthetic: synthetic.clone(),
                    decided: *at,
                    taken: None,
                    missed: before.as_ref().and_then(|before| before.missed),
                    weights_taken: before.and_then(|before| before.weights_taken),
                });
            }
            Happened::RouteTaken { generation } => self.route_taken(*generation, *at),
            Happened::RouteMissed { generation } => self.wish_mut(*generation).missed = Some(*at),
            Happened::Baseline { epoch, readings } => self.meter.begin(epoch, readings, *at),
            Happened::BoundFixed { stream, bound_us, canary, stable, .. } => self.meter.fix_bound(*stream, *bound_us, *canary, *stable),
            Happened::Measured { looks } => {
                for measured in looks {
                    self.meter.add(measured);
                    if self.phase != Phase::Canary {
                        self.judge.add_alone(measured.question, &measured.look);
                    }
                    if !matches!(self.phase, Phase::Canary | Phase::Rolling) {
                        continue;
                    }
                    self.judge.add(measured.question, *at, &measured.look);
                    if measured.question == (Question { stream: Stream::Users, metric: Metric::Errors }) {
                        self.step_requests += measured.look.canary.requests;
                    }
                }
                self.meter.looked_at = *at;
            }
            Happened::DeadlinePassed { .. } => self.deadline_passed = true,
            Happened::Closed { .. } => self.closed_since = Some(*at),
            Happened::Opened => {
                let since = self.closed_since.take().expect("what opens was closed");
                self.closed_ms += at.since_ms(since);
            }
            Happened::StepsDone | Happened::StableDead { .. } => {
                self.skipped = matches!(what, Happened::StableDead { .. });
                // What was checked without traffic is checked again with it.
                self.smoke = None;
                self.enter(Phase::Verifying, *at);
            }
            Happened::SmokeAsked { generation } => {
                self.next_generation(*generation);
                self.smoke = Some(Smoke { generation: *generation, passed: false });
            }
            Happened::SmokePassed { .. } => {
                let smoke = self.smoke.as_mut().expect("checks pass after they were asked for");
                smoke.passed = true;
            }
            Happened::Verified => self.enter(Phase::Draining, *at),
            Happened::StopDecided { generation, revision } => {
                self.next_generation(*generation);
                self.instances_generation = *generation;
                let new = *revision == self.plan.revision.id;
                assert_eq!(new, self.phase == Phase::RollingBack, "going back stops the new revision, going forward the old one");
                if let Some(rolling) = &mut self.rolling {
                    rolling.stop(new);
                }
                self.enter(if new { Phase::Removing } else { Phase::Retiring }, *at);
            }
            Happened::RollbackStarted { reason } => {
                self.reason = Some(reason.clone());
                self.paused_by = None;
                if let Some(rolling) = &mut self.rolling {
                    rolling.turn_back(*at);
                }
                self.enter(Phase::RollingBack, *at);
            }
            Happened::Finished { outcome } => {
                self.outcome = Some(outcome.clone());
                self.enter(Phase::Finished, *at);
            }
            Happened::PromoteAsked { full, .. } => {
                self.promote = Some(if *full { Promote::Full } else { Promote::OneStep });
                self.paused_by = None;
            }
            Happened::PauseAsked { by } => self.paused_by = Some(by.clone()),
            Happened::ResumeAsked { .. } => {
                // Somebody who resumes a paused rollout means that, not the pause the plan has at the same step.
                self.resumed = self.paused_by.is_none();
                self.paused_by = None;
            }
            Happened::AbortAsked { by } => self.aborted_by = Some(by.clone()),
        }
    }

    /// What a person asks for, as events to record; the next look acts on them.
    pub fn command(&self, command: Command, by: &str, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        if self.aborted_by.is_some() && self.phase != Phase::Finished {
            return Err(Refusal::GoingBack);
        }
        legality::permits(self.phase, self.paused_by.is_some(), self.waits_for_person(), command)?;
        let by = by.to_string();
        let what = match command {
            Command::Promote { full } => Happened::PromoteAsked { by, full },
            Command::Pause => Happened::PauseAsked { by },
            Command::Resume => Happened::ResumeAsked { by },
            Command::Abort => Happened::AbortAsked { by },
        };
        Ok(vec![Event { at: now, what }])
    }

    pub fn phase(&self) -> Phase {
        self.phase
    }

    pub fn outcome(&self) -> Option<Outcome> {
        self.outcome.clone()
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The new revision's share of the traffic as decided, in 0.01 %.
    pub fn had_traffic(&self) -> bool {
        self.had_traffic
    }

    pub fn weight(&self) -> u32 {
        self.weight_of(&self.plan.revision.id)
    }

    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Of the last change of which instances are wanted. Whoever starts instances for this rollout uses it too: a newer one would make
    /// the target refuse what the rollout itself asks for.
    pub fn instances_generation(&self) -> u64 {
        self.instances_generation
    }

    /// It says itself how many instances of the stable shall run.
    pub fn scales_stable(&self) -> bool {
        self.rolling.is_some()
    }

    pub(crate) fn weight_of(&self, revision: &RevisionId) -> u32 {
        self.route.as_ref().and_then(|route| route.weights.get(revision)).copied().unwrap_or(0)
    }

    /// What there is to go back to and to compare with; the same revision again is neither.
    pub(crate) fn stable(&self) -> Option<&Revision> {
        stable(&self.plan)
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The new revision waits beside the old one, without traffic.
    pub(crate) fn is_preview(&self) -> bool {
        self.phase == Phase::Canary && matches!(self.plan.strategy, Strategy::BlueGreen { .. })
    }

    /// Its checks have passed, as often as they were to be made by now.
    pub(crate) fn is_checked(&self) -> bool {
        self.plan.smoke.is_empty() || self.smoke.is_some_and(|smoke| smoke.passed)
    }

    /// Too few users' requests in this step for a proof in reasonable time, and the plan has probes.
    pub(crate) fn is_thin(&self, now: Timestamp) -> bool {
        let Some(synthetic) = &self.plan.synthetic else { return false };
        self.step_requests * 60_000 < synthetic.below_requests_per_minute * now.since_ms(self.step_since).max(1)
    }

    /// Whether letting it go on moves traffic: it stands at a pause of the plan, and not at one that somebody made.
    pub fn resuming_moves(&self) -> bool {
        self.paused_by.is_none() && self.waits_for_person()
    }

    fn waits_for_person(&self) -> bool {
        let step = self.step.and_then(|step| self.steps().get(step));
        self.phase == Phase::Canary && !self.resumed && matches!(step, Some(Step::Pause { .. }))
    }

    fn rolling_mut(&mut self) -> &mut Rolling {
        self.rolling.as_mut().expect("only a rolling update replaces instances in steps")
    }

    fn enter(&mut self, phase: Phase, at: Timestamp) {
        self.phase = phase;
        self.phase_since = at;
    }

    fn next_generation(&mut self, generation: u64) {
        assert!(generation > self.generation, "generations only grow");
        self.generation = generation;
    }

    fn route_taken(&mut self, generation: u64, at: Timestamp) {
        let route = self.wish_mut(generation);
        (route.taken, route.missed) = (Some(at), None);
        route.weights_taken.get_or_insert(at);
        self.generation_taken = generation;
    }

    fn wish_mut(&mut self, generation: u64) -> &mut RouteWish {
        let route = self.route.as_mut().expect("a route is seen, or missed, after it was decided");
        assert_eq!(route.generation, generation, "the last route decided is the one that counts");
        route
    }
}

fn stable(plan: &Plan) -> Option<&Revision> {
    plan.stable.as_ref().filter(|stable| stable.id != plan.revision.id)
}

/// Steps are for moving away from something; the one of blue-green is a pause before any traffic.
fn steps(plan: &Plan) -> Arc<[Step]> {
    match &plan.strategy {
        Strategy::Canary { steps } if stable(plan).is_some() => steps.as_slice().into(),
        Strategy::BlueGreen { auto_promotion_ms } if stable(plan).is_some() => [Step::Pause { duration_ms: *auto_promotion_ms }].into(),
        Strategy::Canary { .. } | Strategy::BlueGreen { .. } | Strategy::RollingUpdate { .. } | Strategy::Immediate => [].into(),
    }
}
