//! `environment`: a job waits for what protects it, before anybody hears of it who could run it.
//!
//! ```text
//! queued ── held ── reviewed ── cleared ── started
//!    │        └────────┴── refused: somebody said no, or nobody anything for thirty days
//!    └── refused: its branch may not deliver there
//! ```

use std::collections::BTreeMap;

use base::Timestamp;

use super::JobSeen;
use super::event::Event;
use super::state::{LegPhase, LegState};
use super::waiting::{ReviewWanted, Waiting, for_review, for_timer};
use super::{Closed, Conclusion, Observed, Refusal, Run};
use crate::environment::{Protection, REVIEW_DEADLINE_MS, Review};
use crate::model::Template;
use crate::runners::Runner;

/// Whether a leg that is queued may start.
enum Door {
    Open,
    /// It waits for what its environment asks.
    Held,
    /// It never will.
    Shut {
        conclusion: Conclusion,
        reason: String,
    },
}

impl Run {
    /// What somebody says of the jobs that wait for a review; of the only environment that waits where none is named.
    ///
    /// # Errors
    /// When nothing waits for it, or this person is not asked.
    pub fn review(&self, environment: Option<&str>, agrees: bool, comment: &str, by: &str, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        let number = self.plan.number;
        let wanted = self.reviews_wanted(now);
        let wanted = match (environment, wanted.as_slice()) {
            (Some(name), all) => {
                let found = all.iter().find(|it| base::people::same(&it.environment, name));
                found.ok_or_else(|| Refusal::Untimely(self.why_not_reviewed(name)))?
            }
            (None, [only]) => only,
            (None, []) => return Err(Refusal::Untimely(format!("no job of run-{number} waits for a review"))),
            (None, several) => {
                let names: Vec<String> = several.iter().map(|it| format!("`--environment {}`", it.environment)).collect();
                return Err(Refusal::Untimely(format!(
                    "run-{number} waits for reviews of several environments; say {}",
                    names.join(" or ")
                )));
            }
        };
        let environment = &wanted.environment;
        let (people, protection) = (&self.plan.environments.people, self.plan.environments.protection(environment));
        let protection = protection.expect("only what is protected waits for a review");
        if !protection.asks(people, by) {
            let asked = protection.who(people, "").unwrap_or_default();
            return Err(Refusal::NotTheirs(format!("{by}'s word on {environment} does not count: only {asked} may review it")));
        }
        if agrees && protection.prevent_self_review && people.are_one(by, self.plan.asked_by()) {
            return Err(Refusal::NotTheirs(format!(
                "{by}'s word on {environment} does not count: nobody reviews a run that they asked for"
            )));
        }
        let review = Review {
            environment: environment.clone(),
            run: self.plan.run,
            sha: self.plan.event.sha.clone(),
            jobs: wanted.keys.clone(),
            by: by.to_string(),
            agrees,
            comment: comment.to_string(),
            at: now,
        };
        Ok(vec![Event::EnvironmentReviewed { review }])
    }

    /// What waits for somebody's review, by environment; what has waited too long no longer does.
    pub fn reviews_wanted(&self, now: Timestamp) -> Vec<ReviewWanted> {
        let mut wanted: BTreeMap<String, ReviewWanted> = BTreeMap::new();
        for (_, leg) in self.legs() {
            let (Some(environment), Some(protection), Some(since)) = (&leg.leg.environment, self.protection(leg), leg.waits_for_review())
            else {
                continue;
            };
            let until = since.plus_ms(REVIEW_DEADLINE_MS);
            if protection.reviewers.is_empty() || now >= until {
                continue;
            }
            let who = protection.who(&self.plan.environments.people, self.plan.asked_by());
            let first = || ReviewWanted { environment: environment.clone(), who, jobs: Vec::new(), keys: Vec::new(), until };
            let entry = wanted.entry(environment.to_lowercase()).or_insert_with(first);
            entry.jobs.push(leg.leg.name.clone());
            entry.keys.push(leg.leg.key.clone());
            entry.until = entry.until.min(until);
        }
        wanted.into_values().collect()
    }

    /// Reviews in the order in which they were given.
    pub fn reviews(&self) -> &[Review] {
        &self.reviews
    }

    fn why_not_reviewed(&self, environment: &str) -> String {
        let number = self.plan.number;
        match self.reviews.iter().rfind(|review| base::people::same(&review.environment, environment)) {
            Some(Review { by, agrees, at, .. }) => {
                let word = if *agrees { "approved" } else { "rejected" };
                format!("{environment} of run-{number} was {word} by {by} already, at {}", at.date_and_clock())
            }
            None => format!("no job of run-{number} waits for a review of {environment}"),
        }
    }

    /// What follows for a leg that is queued from where it runs and from what protects its environment.
    pub(super) fn protect(&self, leg: &LegState, seen: &Observed, now: Timestamp) -> Option<Event> {
        let is_closed = seen.closed.is_some();
        let (key, name) = (|| leg.leg.key.clone(), || leg.leg.name.clone());
        let refused = |conclusion, reason| Some(Event::JobRefused { key: key(), name: name(), conclusion, reason, at: now });
        let door = self.door(leg);
        if let Door::Shut { conclusion, reason } = door {
            return refused(conclusion, reason);
        }
        let environment = leg.leg.environment.clone()?;
        if let Some(why) = &seen.overtaken {
            return refused(Conclusion::Cancelled, format!("{environment} has something later: {why}"));
        }
        if matches!(door, Door::Open) && (!is_closed || leg.held.is_some()) {
            return None;
        }
        let Some(since) = leg.held else {
            return Some(Event::JobHeld { key: key(), name: name(), environment, at: now });
        };
        match &leg.review {
            Some(Review { agrees: false, by, comment, .. }) => {
                let comment = if comment.is_empty() { String::new() } else { format!(": {comment}") };
                refused(Conclusion::Failure, format!("{environment} was rejected by {by}{comment}"))
            }
            _ if self.is_satisfied(leg, now) && is_closed => None,
            _ if self.is_satisfied(leg, now) => Some(Event::JobCleared { key: key(), at: now }),
            None if leg.waits_for_review().is_some() && self.has_reviewers(leg) && now >= since.plus_ms(REVIEW_DEADLINE_MS) => {
                refused(Conclusion::Failure, format!("nobody reviewed {environment} within thirty days"))
            }
            _ => None,
        }
    }

    /// Whether the leg may start as far as its environment is concerned: not while nothing is delivered.
    pub(super) fn may_start(&self, leg: &LegState, seen: &Observed) -> bool {
        self.is_open(leg) && (seen.closed.is_none() || leg.leg.environment.is_none())
    }

    /// Whether nothing protects the leg, or all of it has said yes.
    pub(super) fn is_open(&self, leg: &LegState) -> bool {
        matches!(self.door(leg), Door::Open)
    }

    /// Whether the timer is over and a review, where one is asked, is a yes.
    pub(super) fn is_satisfied(&self, leg: &LegState, now: Timestamp) -> bool {
        let Some(since) = leg.held else { return false };
        let Some(protection) = self.protection(leg) else { return true };
        let reviewed = protection.reviewers.is_empty() || leg.review.as_ref().is_some_and(|review| review.agrees);
        reviewed && now >= since.plus_ms(protection.wait_timer_ms)
    }

    /// Why a leg is held, as people read it; nothing for one that isn't.
    pub(super) fn why_held(&self, leg: &LegState) -> Option<String> {
        let (environment, since) = (leg.leg.environment.as_ref()?, leg.held?);
        if leg.phase != LegPhase::Queued || leg.cleared {
            return None;
        }
        match self.protection(leg) {
            Some(protection) if !protection.reviewers.is_empty() && leg.review.is_none() => {
                let who = protection.who(&self.plan.environments.people, self.plan.asked_by());
                Some(format!("waits {}", for_review(environment, who.as_deref())))
            }
            Some(protection) if protection.wait_timer_ms > 0 => {
                Some(format!("waits {}", for_timer(environment, since.plus_ms(protection.wait_timer_ms))))
            }
            _ => Some(format!("waits until something may be delivered to {environment} again")),
        }
    }

    /// For what people the run waits; nothing where nobody is asked.
    pub(super) fn waits_for_people(&self, now: Timestamp) -> Option<Waiting> {
        let reviews = self.reviews_wanted(now);
        (!reviews.is_empty()).then_some(Waiting::Review { reviews })
    }

    /// For which timer it waits: the first that runs out.
    pub(super) fn waits_for_timer(&self, now: Timestamp) -> Option<Waiting> {
        let (leg, at) = self.timers(now).min_by_key(|(_, at)| *at)?;
        let environment = leg.leg.environment.clone()?;
        let same = |other: &&LegState| other.leg.environment.as_ref() == Some(&environment);
        let jobs = self.timers(now).map(|(leg, _)| leg).filter(same).map(|leg| leg.leg.name.clone()).collect();
        Some(Waiting::Timer { environment, jobs, at })
    }

    /// For the end of what closes, where nothing else is missing.
    pub fn waits_for_hours(&self, seen: &Observed, now: Timestamp) -> Option<Waiting> {
        let Closed { why, until } = seen.closed.clone()?;
        let is_due = |leg: &LegState| leg.not_before.is_none_or(|at| now >= at);
        let ready = |leg: &&LegState| is_due(leg) && (self.is_open(leg) || self.is_satisfied(leg, now));
        let has_not_begun = |leg: &LegState| match &leg.phase {
            LegPhase::Queued => true,
            LegPhase::Started { id, .. } => matches!(seen.jobs.get(id), None | Some(JobSeen::Absent)),
            LegPhase::Called { .. } | LegPhase::Ended { .. } => false,
        };
        let queued = self.legs().map(|(_, leg)| leg).filter(|leg| has_not_begun(leg) && leg.leg.environment.is_some());
        let jobs: Vec<String> = queued.filter(ready).map(|leg| leg.leg.name.clone()).collect();
        (!jobs.is_empty()).then_some(Waiting::Closed { jobs, why, until })
    }

    /// When the next timer or deadline runs out, or what closes opens.
    pub(super) fn environments_wake(&self, seen: &Observed, now: Timestamp) -> Option<Timestamp> {
        let opens =
            seen.closed.as_ref().and_then(|closed| closed.until).filter(|at| *at > now && self.waits_for_hours(seen, now).is_some());
        let deadlines = self.reviews_wanted(now).into_iter().map(|wanted| wanted.until);
        deadlines.chain(self.timers(now).map(|(_, at)| at)).chain(opens).min()
    }

    fn timers(&self, now: Timestamp) -> impl Iterator<Item = (&LegState, Timestamp)> {
        let held = self.legs().map(|(_, leg)| leg).filter(|leg| leg.phase == LegPhase::Queued && !leg.cleared);
        held.filter_map(|leg| Some((leg, leg.held?.plus_ms(self.protection(leg)?.wait_timer_ms)))).filter(move |(_, at)| *at > now)
    }

    fn has_reviewers(&self, leg: &LegState) -> bool {
        self.protection(leg).is_some_and(|protection| !protection.reviewers.is_empty())
    }

    fn protection(&self, leg: &LegState) -> Option<&Protection> {
        self.plan.environments.protection(leg.leg.environment.as_ref()?)
    }

    fn door(&self, leg: &LegState) -> Door {
        if let Runner::Skip(reason) = &leg.leg.runner {
            return Door::Shut { conclusion: Conclusion::Skipped, reason: reason.clone() };
        }
        let Some(environment) = &leg.leg.environment else { return Door::Open };
        match self.plan.environments.runs_here(environment) {
            Some(true) => return Door::Open,
            Some(false) => {
                return Door::Shut { conclusion: Conclusion::Skipped, reason: self.plan.not_here(environment) };
            }
            None => {}
        }
        let protection = self.protection(leg);
        if let Some(reason) = protection.and_then(|protection| protection.refuses(environment, &self.plan.event.git_ref)) {
            return Door::Shut { conclusion: Conclusion::Failure, reason };
        }
        let holds = protection.is_some_and(Protection::holds) || leg.held.is_some();
        if !holds || leg.cleared { Door::Open } else { Door::Held }
    }
}

impl crate::plan::Plan {
    /// Whoever asked for this attempt of the run.
    fn asked_by(&self) -> &str {
        self.github["triggering_actor"].as_str().unwrap_or_default()
    }

    /// Why a job is not run on somebody's own machine.
    pub(crate) fn not_here(&self, environment: &str) -> String {
        let all_the_same = format!("`--allow-environment {environment}` lets it run here");
        let protection = self.environments.protection(environment);
        match protection.and_then(|protection| protection.sentence(&self.environments.people, self.asked_by())) {
            Some(asked) => format!(
                "it delivers to {environment}, which is protected ({asked}); `plimsoll up` with `deliver: workflow` asks for that, {all_the_same} without"
            ),
            None => format!("it delivers to {environment}; {all_the_same}"),
        }
    }

    /// Whether a job that delivers somewhere is not run on somebody's own machine, as far as its lines alone tell.
    pub(crate) fn stays_away(&self, job: &crate::model::Job) -> Option<String> {
        let (only, environment) = (self.environments.only.as_ref()?, job.environment.as_ref()?);
        match &environment.name {
            Template::String(name) => (self.environments.runs_here(name) != Some(true)).then(|| self.not_here(name)),
            _ if only.is_empty() => Some("it delivers to an environment; `--allow-environment NAME` lets it run here".to_string()),
            _ => None,
        }
    }
}

impl LegState {
    /// Since when it waits for a review that nobody gave; its timer may run beside it.
    fn waits_for_review(&self) -> Option<Timestamp> {
        self.held.filter(|_| self.phase == LegPhase::Queued && !self.cleared && self.review.is_none())
    }

    /// Whether a review can be about it.
    pub(super) fn may_be_reviewed(&self, environment: &str) -> bool {
        self.waits_for_review().is_some() && self.leg.environment.as_ref().is_some_and(|own| base::people::same(own, environment))
    }
}
