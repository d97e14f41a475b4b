//! The run of one analysis.

use base::Timestamp;

use super::Phase;
use super::metric::{Metric, RETRY_MS};

/// What has happened, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    Started {
        at: Timestamp,
    },
    /// Somebody was asked.
    Asked {
        metric: usize,
        at: Timestamp,
    },
    Answered {
        metric: usize,
        at: Timestamp,
        phase: Phase,
    },
    /// A metric is decided, for ever.
    Assessed {
        metric: usize,
        phase: Phase,
    },
    /// Somebody ended the run.
    Terminated,
    Ended {
        phase: Phase,
    },
}

/// What a metric that was asked has answered by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    pub metric: usize,
    pub phase: Phase,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Advance {
    pub events: Vec<Event>,
    /// Metrics to ask now, all at once.
    pub ask: Vec<usize>,
    /// Metrics whose answer is of no use any more.
    pub stop: Vec<usize>,
    pub wake: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// All but errors.
    pub count: u32,
    pub successful: u32,
    pub failed: u32,
    pub inconclusive: u32,
    pub error: u32,
    pub consecutive_error: u32,
    pub consecutive_success: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measurement {
    pub asked: Timestamp,
    /// Nothing while the answer is awaited.
    pub finished: Option<Timestamp>,
    pub phase: Phase,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Result {
    counters: Counters,
    /// The last ones.
    measurements: Vec<Measurement>,
    /// Once it is decided.
    phase: Option<Phase>,
}

impl Result {
    fn last(&self) -> Option<&Measurement> {
        self.measurements.last()
    }

    fn awaits_answer(&self) -> bool {
        self.last().is_some_and(|last| last.finished.is_none())
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    metrics: Vec<Metric>,
    results: Vec<Result>,
    started: Option<Timestamp>,
    terminated: bool,
    ended: Option<Phase>,
}

impl Run {
    pub fn replay(metrics: Vec<Metric>, events: &[Event]) -> Run {
        let results = vec![Result::default(); metrics.len()];
        let mut run = Run { metrics, results, started: None, terminated: false, ended: None };
        events.iter().for_each(|event| run.apply(event));
        run
    }

    /// How it stands.
    pub fn phase(&self) -> Phase {
        self.ended.unwrap_or(if self.started.is_some() { Phase::Running } else { Phase::Pending })
    }

    pub fn counters(&self, metric: usize) -> Counters {
        self.results[metric].counters
    }

    /// The last measurements of a metric, no more than it keeps.
    pub fn measurements(&self, metric: usize) -> &[Measurement] {
        &self.results[metric].measurements
    }

    /// How a metric was decided; nothing while it isn't.
    pub fn assessed(&self, metric: usize) -> Option<Phase> {
        self.results[metric].phase
    }

    pub fn apply(&mut self, event: &Event) {
        assert!(self.ended.is_none(), "finished is finished");
        match *event {
            Event::Started { at } => self.started = Some(at),
            Event::Terminated => self.terminated = true,
            Event::Ended { phase } => self.ended = Some(phase),
            Event::Assessed { metric, phase } => self.results[metric].phase = Some(phase),
            Event::Asked { metric, at } => {
                let result = &mut self.results[metric];
                assert!(!result.awaits_answer(), "a metric is asked one question at a time");
                result.measurements.push(Measurement { asked: at, finished: None, phase: Phase::Running });
            }
            Event::Answered { metric, at, phase } => self.answered(metric, at, phase),
        }
    }

    fn answered(&mut self, metric: usize, at: Timestamp, phase: Phase) {
        let retained = self.metrics[metric].retained;
        let result = &mut self.results[metric];
        let last = result.measurements.last_mut().filter(|last| last.finished.is_none()).expect("only what was asked is answered");
        (last.finished, last.phase) = (Some(at), phase);
        result.counters.add(phase);
        let beyond = result.measurements.len().saturating_sub(retained);
        result.measurements.drain(..beyond);
    }

    /// Answers of metrics that weren't asked, or have been answered, are passed over: they come from an earlier look.
    pub fn advance(&self, answers: &[Answer], now: Timestamp) -> Advance {
        let mut next = self.clone();
        let mut advance = Advance::default();
        if self.ended.is_some() {
            return advance;
        }
        if self.started.is_none() {
            next.take(Event::Started { at: now }, &mut advance);
        }
        for answer in answers {
            if answer.phase.is_over() && next.results.get(answer.metric).is_some_and(Result::awaits_answer) {
                next.take(Event::Answered { metric: answer.metric, at: now, phase: answer.phase }, &mut advance);
            }
        }
        // What one metric decides may end the others, so it is looked at until nothing changes.
        while next.assess(&mut advance) {}
        match next.verdict() {
            Some(phase) => {
                advance.stop = (0..next.results.len()).filter(|metric| next.results[*metric].awaits_answer()).collect();
                next.take(Event::Ended { phase }, &mut advance);
            }
            None => {
                advance.ask = (0..next.metrics.len()).filter(|metric| next.due(*metric).is_some_and(|due| due <= now)).collect();
                for metric in advance.ask.clone() {
                    next.take(Event::Asked { metric, at: now }, &mut advance);
                }
                advance.wake = (0..next.metrics.len()).filter_map(|metric| next.due(metric)).min();
            }
        }
        advance
    }

    fn take(&mut self, event: Event, advance: &mut Advance) {
        self.apply(&event);
        advance.events.push(event);
    }

    /// Somebody asked for the end, or a metric that counts has ended badly.
    fn is_terminating(&self) -> bool {
        let is_bad = |(metric, result): (&Metric, &Result)| !metric.dry_run && result.phase.is_some_and(Phase::is_bad);
        self.terminated || self.metrics.iter().zip(&self.results).any(is_bad)
    }

    /// Whether a metric was decided.
    fn assess(&mut self, advance: &mut Advance) -> bool {
        let is_terminating = self.is_terminating();
        let decided: Vec<(usize, Phase)> = (0..self.metrics.len())
            .filter(|metric| self.results[*metric].phase.is_none() && self.results[*metric].last().is_some())
            .map(|metric| (metric, assessed(&self.metrics[metric], &self.results[metric], is_terminating)))
            .filter(|(_, phase)| phase.is_over())
            .collect();
        for (metric, phase) in &decided {
            self.take(Event::Assessed { metric: *metric, phase: *phase }, advance);
        }
        !decided.is_empty()
    }

    /// The worst of the metrics that count, once all of them are decided or the run is to end.
    fn verdict(&self) -> Option<Phase> {
        let counting = self.metrics.iter().zip(&self.results).filter(|(metric, _)| !metric.dry_run);
        let worst = counting.filter_map(|(_, result)| result.phase).max();
        if self.is_terminating() {
            return Some(worst.unwrap_or(Phase::Successful));
        }
        // Nothing that is asked for can't prove anything.
        if self.results.is_empty() {
            return Some(Phase::Error);
        }
        self.results.iter().all(|result| result.phase.is_some()).then(|| worst.unwrap_or(Phase::Successful))
    }

    /// When a metric is to be asked; nothing where it isn't any more, or its answer is awaited.
    fn due(&self, metric: usize) -> Option<Timestamp> {
        let (plan, result) = (&self.metrics[metric], &self.results[metric]);
        if result.phase.is_some() || result.awaits_answer() {
            return None;
        }
        let Some(last) = result.last() else { return self.started.map(|started| started.plus_ms(plan.initial_delay_ms)) };
        if plan.effective_count().is_some_and(|count| result.counters.count >= count) {
            return None;
        }
        let interval = if last.phase == Phase::Error { RETRY_MS } else { plan.interval_ms.unwrap_or(RETRY_MS) };
        Some(last.finished?.plus_ms(interval))
    }
}

impl Counters {
    fn add(&mut self, phase: Phase) {
        match phase {
            Phase::Successful => self.successful += 1,
            Phase::Failed => self.failed += 1,
            Phase::Inconclusive => self.inconclusive += 1,
            Phase::Error => self.error += 1,
            Phase::Running | Phase::Pending => unreachable!("an answer is none of these"),
        }
        let is_error = phase == Phase::Error;
        self.count += u32::from(!is_error);
        self.consecutive_error = if is_error { self.consecutive_error + 1 } else { 0 };
        self.consecutive_success = if phase == Phase::Successful { self.consecutive_success + 1 } else { 0 };
    }
}

/// A later check takes the place of an earlier one: more errors than are borne are an error, however many failures there were.
fn assessed(metric: &Metric, result: &Result, is_terminating: bool) -> Phase {
    if result.awaits_answer() {
        return Phase::Running;
    }
    let counters = result.counters;
    let checks = [
        (metric.failure_limit.is_some_and(|limit| counters.failed > limit), Phase::Failed),
        (counters.inconclusive > metric.inconclusive_limit, Phase::Inconclusive),
        (counters.consecutive_error > metric.consecutive_error_limit, Phase::Error),
    ];
    if let Some((_, phase)) = checks.iter().rev().find(|(is_so, _)| *is_so) {
        return *phase;
    }
    let wants_successes = metric.consecutive_success_limit > 0;
    if wants_successes && counters.consecutive_success >= metric.consecutive_success_limit {
        return Phase::Successful;
    }
    if metric.effective_count().is_some_and(|count| counters.count >= count) {
        return match (wants_successes, metric.failure_limit) {
            (true, Some(_)) => Phase::Inconclusive,
            (true, None) => Phase::Failed,
            (false, _) => Phase::Successful,
        };
    }
    if is_terminating { Phase::Successful } else { Phase::Running }
}
