//! Is the canary worse than the stable that runs beside it? Worse, not worse, or not enough evidence: `docs/judge.md`.
//!
//! Everything here is a fold of the integers in `Measured` events, so that any verdict can be computed again from the record.

mod bound;
mod evidence;
mod excess;
mod interval;
mod not_worse;
mod worse;

use std::collections::{BTreeMap, VecDeque};

use base::Timestamp;
use serde::{Deserialize, Serialize};

pub use bound::latency_bound_us;
pub use evidence::{Evidence, Proof};
pub use worse::RATIOS;

use crate::plan::JudgePlan;
use excess::Excess;
use interval::Looks;
use not_worse::{DifferenceProof, RatioProof};
use worse::Worse;

/// Whose requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    Users,
    Synthetic,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    Errors,
    /// Slower than the bound fixed at the start.
    Slow,
}

/// One thing that is judged, with its share of the false-alarm rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Question {
    pub stream: Stream,
    pub metric: Metric,
}

/// Requests and how many of them were bad (or slow); exact integers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub requests: u64,
    pub bad: u64,
}

impl Tally {
    fn plus(self, other: Tally) -> Tally {
        Tally { requests: self.requests + other.requests, bad: self.bad + other.bad }
    }

    pub(crate) fn share(self) -> f64 {
        if self.requests == 0 { 0.0 } else { self.bad as f64 / self.requests as f64 }
    }
}

/// What both versions did between two looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    pub canary: Tally,
    pub stable: Tally,
}

impl Look {
    fn plus(&self, other: &Look) -> Look {
        Look { canary: self.canary.plus(other.canary), stable: self.stable.plus(other.stable) }
    }

    pub fn is_empty(&self) -> bool {
        self.canary.requests + self.stable.requests == 0
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    Worse(Question),
    /// Proved for every metric.
    NotWorse,
    /// What isn't proved yet.
    NotEnough(Vec<Question>),
}

/// The odds at which "not worse" counts as proved: 99 %.
///
/// Promotion needs the proof of every metric, so this error needs no splitting: were the canary too bad in one of them, that one proof
/// would have to be false.
pub const PROOF_ODDS: f64 = 100.0;

/// While the evidence of "worse" exceeds these odds, no proof of "not worse" counts.
///
/// A canary twice as bad as a stable with 0.5 % errors is within one percentage point and may be proved so before it is found out; the
/// suspicion gives the slower of the two time. A good release is ever under it one time in ten, for a while.
pub const SUSPICION_ODDS: f64 = 10.0;

/// Whether so many bad answers are proof that their share is above a fixed bound.
pub(crate) fn proves_more(tally: Tally, bound: f64) -> bool {
    let mut excess = Excess::default();
    excess.add(tally, bound);
    excess.log_evidence() >= PROOF_ODDS.ln()
}

/// Shares of the last minute are what the absolute guard sees.
const RECENT_MS: u64 = 60_000;

/// Fewer requests than this in the last minute say nothing about a share.
const RECENT_REQUESTS_MIN: u64 = 20;

const USERS_ERRORS: Question = Question { stream: Stream::Users, metric: Metric::Errors };

/// The evidence of one rollout so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Judge {
    plan: JudgePlan,
    comparisons: BTreeMap<Question, Comparison>,
    /// Users' errors since the new revision has all the traffic.
    alone: Excess,
}

/// One question's evidence.
#[derive(Debug, Clone, PartialEq)]
struct Comparison {
    metric: Metric,
    total: Look,
    last: Look,
    recent: VecDeque<(Timestamp, Look)>,
    worse: Worse,
    ratio: RatioProof,
    difference: DifferenceProof,
    looks: Looks,
    /// Logarithms of the better proof at the last looks, for the forecast.
    trail: VecDeque<(Timestamp, f64)>,
}

impl Judge {
    /// What is asked is fixed here, before the first request; probes are only asked about when the plan has them.
    pub fn new(plan: &JudgePlan, synthetic: bool) -> Judge {
        let streams = [Stream::Users, Stream::Synthetic].into_iter().filter(|stream| synthetic || *stream == Stream::Users);
        let questions = streams.flat_map(|stream| [Metric::Errors, Metric::Slow].map(|metric| Question { stream, metric }));
        let comparisons = questions.map(|question| (question, Comparison::new(question.metric))).collect();
        Judge { plan: plan.clone(), comparisons, alone: Excess::default() }
    }

    /// Of the time when the new revision has all the traffic.
    pub fn add_alone(&mut self, question: Question, look: &Look) {
        if question == USERS_ERRORS {
            self.alone.add(look.canary, self.plan.absolute_bad_share);
        }
    }

    /// What the new revision did with all the traffic, where that is proved to be worse than the absolute bound.
    pub fn over_the_bound(&self) -> Option<Tally> {
        (self.alone.log_evidence() >= PROOF_ODDS.ln()).then(|| self.alone.total())
    }

    /// What the stable did in the last minute that it was compared, if it was inside the absolute bound: then what follows is not its
    /// fault, nor that of what both need.
    pub fn baseline(&self) -> Option<Tally> {
        let stable = self.comparisons.get(&USERS_ERRORS)?.recent_sum().stable;
        (stable.requests >= RECENT_REQUESTS_MIN && stable.share() <= self.plan.absolute_bad_share).then_some(stable)
    }

    pub fn add(&mut self, question: Question, at: Timestamp, look: &Look) {
        if let Some(comparison) = self.comparisons.get_mut(&question) {
            comparison.add(at, look, &self.plan);
        }
    }

    /// The odds at which one metric ends the rollout: 1/α times the number of questions (Bonferroni on e-values).
    pub fn stops_at(&self) -> f64 {
        self.comparisons.len() as f64 / self.plan.alpha
    }

    /// `thin`: users' requests are so few that probes count as evidence.
    pub fn verdict(&self, thin: bool) -> Verdict {
        if let Some((question, _)) = self.comparisons.iter().find(|(_, it)| it.worse.log_evidence() >= self.stops_at().ln()) {
            return Verdict::Worse(*question);
        }
        let open: Vec<Question> = self.open(thin).collect();
        if open.is_empty() { Verdict::NotWorse } else { Verdict::NotEnough(open) }
    }

    /// Questions without a proof that are needed; a metric is answered by users or, when they are few, by probes.
    fn open(&self, thin: bool) -> impl Iterator<Item = Question> {
        let suspected = self.comparisons.iter().filter(|(_, it)| it.is_suspect()).map(|(question, _)| *question);
        let unproved = [Metric::Errors, Metric::Slow].into_iter().filter_map(move |metric| {
            let users = Question { stream: Stream::Users, metric };
            let probes = Question { stream: Stream::Synthetic, metric };
            let by_probes = thin && self.comparisons.contains_key(&probes);
            let answered = self.is_proved(users) || by_probes && self.is_proved(probes);
            (!answered).then_some(if by_probes { probes } else { users })
        });
        suspected.chain(unproved)
    }

    fn is_proved(&self, question: Question) -> bool {
        self.comparisons.get(&question).is_some_and(|it| it.proof_log() >= PROOF_ODDS.ln())
    }

    /// Both versions fail more than the plan allows: nobody can be blamed. A canary that visibly stays inside may go on.
    pub fn both_bad(&self) -> Option<(f64, f64)> {
        let errors = |stream| self.comparisons.get(&Question { stream, metric: Metric::Errors }).map(Comparison::recent_sum);
        let users = errors(Stream::Users).filter(|sum| sum.stable.requests >= RECENT_REQUESTS_MIN);
        let sum = users.or_else(|| errors(Stream::Synthetic)).filter(|sum| sum.stable.requests >= RECENT_REQUESTS_MIN)?;
        let inside = sum.canary.requests >= RECENT_REQUESTS_MIN && sum.canary.share() <= self.plan.absolute_bad_share;
        let bad = sum.stable.share() > self.plan.absolute_bad_share && !inside;
        bad.then(|| (sum.canary.share(), sum.stable.share()))
    }

    /// The same where the canary gets no traffic: only what was seen of it speaks against it, or nobody could replace a bad stable.
    pub fn both_seen_bad(&self) -> Option<(f64, f64)> {
        let is_bad = |tally: Tally| tally.requests >= RECENT_REQUESTS_MIN && tally.share() > self.plan.absolute_bad_share;
        let errors = self.comparisons.iter().filter(|(question, _)| question.metric == Metric::Errors);
        let mut sums = errors.map(|(_, comparison)| comparison.recent_sum());
        sums.find(|sum| is_bad(sum.canary) && is_bad(sum.stable)).map(|sum| (sum.canary.share(), sum.stable.share()))
    }

    /// When everything needed will be proved at the traffic of the last looks; nothing while it doesn't come nearer.
    pub fn forecast_ms(&self, thin: bool) -> Option<u64> {
        self.open(thin).map(|question| self.comparisons.get(&question)?.forecast_ms()).collect::<Option<Vec<u64>>>()?.into_iter().max()
    }

    pub fn evidence(&self, bounds: &BTreeMap<Stream, u64>) -> Vec<Evidence> {
        self.comparisons.iter().map(|(question, it)| self.evidence_of(*question, it, bounds.get(&question.stream).copied())).collect()
    }
}

impl Comparison {
    fn new(metric: Metric) -> Comparison {
        Comparison {
            metric,
            total: Look::default(),
            last: Look::default(),
            recent: VecDeque::new(),
            worse: Worse::default(),
            ratio: RatioProof::default(),
            difference: DifferenceProof::default(),
            looks: Looks::default(),
            trail: VecDeque::new(),
        }
    }

    fn add(&mut self, at: Timestamp, look: &Look, plan: &JudgePlan) {
        self.total = self.total.plus(look);
        self.last = *look;
        self.worse.add(look, self.metric);
        self.ratio.add(look, plan.ratio_margin);
        self.difference.add(look, plan.difference_margin);
        self.looks.add(look);
        push_bounded(&mut self.recent, (at, *look));
        let proof = self.proof_log();
        push_bounded(&mut self.trail, (at, proof));
        while self.recent.front().is_some_and(|(then, _)| at.since_ms(*then) >= RECENT_MS) {
            self.recent.pop_front();
        }
    }

    fn proof_log(&self) -> f64 {
        self.ratio.log_evidence().max(self.difference.log_evidence())
    }

    fn is_suspect(&self) -> bool {
        self.worse.log_evidence() > SUSPICION_ODDS.ln()
    }

    fn recent_sum(&self) -> Look {
        self.recent.iter().fold(Look::default(), |sum, (_, look)| sum.plus(look))
    }

    fn forecast_ms(&self) -> Option<u64> {
        let ((first_at, first), (last_at, last)) = (self.trail.front()?, self.trail.back()?);
        let grown = last - first;
        let missing = PROOF_ODDS.ln() - last;
        let looked_ms = last_at.since_ms(*first_at);
        let wanted = (grown > 0.0 && missing > 0.0).then(|| (missing / grown * looked_ms as f64) as u64);
        wanted.filter(|ms| *ms <= looked_ms * FORESEEN)
    }
}

/// So many times what was looked at; what lies further ahead than that is a guess.
const FORESEEN: u64 = 10;

/// Five minutes of looks at the default pace.
const KEPT_MAX: usize = 60;

fn push_bounded<T>(queue: &mut VecDeque<T>, item: T) {
    if queue.len() == KEPT_MAX {
        queue.pop_front();
    }
    queue.push_back(item);
}
