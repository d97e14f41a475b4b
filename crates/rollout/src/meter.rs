//! From cumulative counters to exact differences.

use std::collections::BTreeMap;

use base::Timestamp;

use crate::event::{Happened, Measured, Reading, Readings};
use crate::judge::{Look, Metric, Question, Stream, Tally, latency_bound_us};
use crate::plan::{JudgePlan, RevisionId};
use crate::{Counts, RevisionCounts, RouteSeen};

/// Where counting stands: the last reading in the current epoch of the counters.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Meter {
    epoch: Option<String>,
    readings: BTreeMap<Stream, Readings>,
    pub bounds: BTreeMap<Stream, u64>,
    pub looked_at: Timestamp,
}

/// Whose counters are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair<'a> {
    pub canary: &'a RevisionId,
    pub stable: &'a RevisionId,
}

impl Meter {
    /// What this look at the counters adds: a baseline when they began again, bounds that can be fixed now, else the exact differences.
    pub fn look(&self, route: &RouteSeen, pair: Pair<'_>, plan: &JudgePlan, now: Timestamp) -> Option<Happened> {
        if self.epoch.as_ref() != Some(&route.epoch) {
            let readings = [Stream::Users, Stream::Synthetic].map(|stream| (stream, self.read(route, pair, stream)));
            return Some(Happened::Baseline { epoch: route.epoch.clone(), readings: readings.into() });
        }
        let missing = [Stream::Users, Stream::Synthetic].into_iter().filter(|stream| !self.bounds.contains_key(stream));
        missing.filter_map(|stream| fix_bound(route, pair, stream, plan)).next().or_else(|| self.measure(route, pair, plan, now))
    }

    pub fn begin(&mut self, epoch: &str, readings: &BTreeMap<Stream, Readings>, at: Timestamp) {
        self.epoch = Some(epoch.to_string());
        self.readings.clone_from(readings);
        self.looked_at = at;
    }

    pub fn fix_bound(&mut self, stream: Stream, bound_us: u64, canary: Tally, stable: Tally) {
        self.bounds.insert(stream, bound_us);
        let readings = self.readings.entry(stream).or_default();
        (readings.canary.slow, readings.stable.slow) = (canary, stable);
    }

    pub fn add(&mut self, measured: &Measured) {
        let readings = self.readings.entry(measured.question.stream).or_default();
        add(tally_of(&mut readings.canary, measured.question.metric), measured.look.canary);
        add(tally_of(&mut readings.stable, measured.question.metric), measured.look.stable);
    }

    fn measure(&self, route: &RouteSeen, pair: Pair<'_>, plan: &JudgePlan, now: Timestamp) -> Option<Happened> {
        if now.since_ms(self.looked_at) < plan.look_ms {
            return None;
        }
        let mut looks = Vec::new();
        for stream in [Stream::Users, Stream::Synthetic] {
            let (before, after) = (self.readings.get(&stream).copied().unwrap_or_default(), self.read(route, pair, stream));
            for metric in [Metric::Errors, Metric::Slow] {
                // Counters that went backwards within an epoch are a stale reading: the next one has everything, counted once.
                let canary = difference(tally(&before.canary, metric), tally(&after.canary, metric))?;
                let stable = difference(tally(&before.stable, metric), tally(&after.stable, metric))?;
                looks.push(Measured { question: Question { stream, metric }, look: Look { canary, stable } });
            }
        }
        looks.retain(|measured| !measured.look.is_empty());
        (!looks.is_empty()).then_some(Happened::Measured { looks })
    }

    fn read(&self, route: &RouteSeen, pair: Pair<'_>, stream: Stream) -> Readings {
        let bound = self.bounds.get(&stream).copied();
        let read = |revision| read_one(counts_of(route, revision, stream), bound);
        Readings { canary: read(pair.canary), stable: read(pair.stable) }
    }
}

fn fix_bound(route: &RouteSeen, pair: Pair<'_>, stream: Stream, plan: &JudgePlan) -> Option<Happened> {
    let stable = counts_of(route, pair.stable, stream)?;
    let bound_us = latency_bound_us(&stable.latency, plan)?;
    let slow = |revision| read_one(counts_of(route, revision, stream), Some(bound_us)).slow;
    let (canary, stable_slow) = (slow(pair.canary), slow(pair.stable));
    Some(Happened::BoundFixed { stream, bound_us, from_answers: stable.latency.count(), canary, stable: stable_slow })
}

fn counts_of<'a>(route: &'a RouteSeen, revision: &RevisionId, stream: Stream) -> Option<&'a Counts> {
    let of_stream = |counts: &'a RevisionCounts| match stream {
        Stream::Users => &counts.users,
        Stream::Synthetic => &counts.synthetic,
    };
    route.counts.get(revision).map(of_stream)
}

fn read_one(counts: Option<&Counts>, bound_us: Option<u64>) -> Reading {
    let Some(counts) = counts else { return Reading::default() };
    let errors = Tally { requests: counts.requests, bad: counts.bad };
    let slow = bound_us.map(|bound| Tally { requests: counts.latency.count(), bad: counts.latency.count_above(bound) });
    Reading { errors, slow: slow.unwrap_or_default() }
}

/// Nothing when it went backwards, or says that more were bad than there were.
fn difference(before: Tally, after: Tally) -> Option<Tally> {
    let requests = after.requests.checked_sub(before.requests)?;
    let bad = after.bad.checked_sub(before.bad)?;
    (bad <= requests).then_some(Tally { requests, bad })
}

fn tally(reading: &Reading, metric: Metric) -> Tally {
    match metric {
        Metric::Errors => reading.errors,
        Metric::Slow => reading.slow,
    }
}

fn tally_of(reading: &mut Reading, metric: Metric) -> &mut Tally {
    match metric {
        Metric::Errors => &mut reading.errors,
        Metric::Slow => &mut reading.slow,
    }
}

fn add(tally: &mut Tally, added: Tally) {
    tally.requests += added.requests;
    tally.bad += added.bad;
}
