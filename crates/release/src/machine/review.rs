//! What people say to jobs of a release that wait for their environment, as they would to the release itself.

use std::collections::BTreeSet;

use base::Timestamp;
use base::people::same;
use workflow::run::{ReviewWanted, Run};

use super::{Phase, Refusal, Release};
use crate::event::Event;
use crate::waiting::Waiting;

impl Release {
    /// Whose word it needs to go on, of its jobs or of itself; nothing where it needs nobody's.
    pub fn waits_for_people(&self, now: Timestamp) -> Option<Waiting> {
        let first = self.runs().find_map(|(workflow, run)| {
            let reviews = run.reviews_wanted(now);
            (!reviews.is_empty()).then(|| self.of_run(workflow, workflow::run::Waiting::Review { reviews }))
        });
        first.or_else(|| self.waits_for_approval(now))
    }

    /// Why a run stands, with what can be typed about it.
    pub(super) fn of_run(&self, workflow: &str, waiting: workflow::run::Waiting) -> Waiting {
        let workflow = workflow.to_string();
        match waiting {
            workflow::run::Waiting::Review { reviews } => Waiting::Review { release: self.plan.number, workflow, reviews },
            waiting => Waiting::Run { workflow, waiting },
        }
    }

    /// As long as jobs run it is about their environments, unless none of them waits for anybody.
    pub(super) fn answer(
        &self,
        agrees: bool,
        environment: Option<&str>,
        comment: &str,
        by: &str,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        let waits = self.runs.iter().any(|run| !run.reviews_wanted(now).is_empty());
        // Whoever answers once more means what was answered last, and is told by whom.
        let answered = || self.runs.iter().filter(|run| run.conclusion().is_none()).flat_map(|run| run.reviews()).next_back();
        match environment.or_else(|| answered().filter(|_| !waits).map(|review| review.environment.as_str())) {
            None if !waits => self.vote(agrees, comment, by, now),
            // Whoever names where it ships means the release.
            Some(environment) if !waits && same(environment, &self.plan.environment) => self.vote(agrees, comment, by, now),
            _ if self.phase() != Phase::Running => {
                Err(Refusal::Untimely(format!("no job of release-{} waits for a review: its runs have ended", self.plan.number)))
            }
            environment => self.review(agrees, environment, comment, by, now),
        }
    }

    /// Of every run in which a job waits for the environment.
    fn review(&self, agrees: bool, environment: Option<&str>, comment: &str, by: &str, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        let environment = match environment {
            Some(environment) => environment.to_string(),
            None => self.only_environment(now)?,
        };
        let wants = |run: &Run| run.reviews_wanted(now).iter().any(|wanted| same(&wanted.environment, &environment));
        let under_way = || self.runs.iter().enumerate().filter(|(_, run)| run.conclusion().is_none());
        let mut asked: Vec<usize> = under_way().filter(|(_, run)| wants(run)).map(|(index, _)| index).collect();
        if asked.is_empty() {
            // It says why not.
            asked.extend(under_way().map(|(index, _)| index).next());
        }
        let mut events = Vec::new();
        for index in asked {
            let reviewed = self.runs[index].review(Some(&environment), agrees, comment, by, now);
            let reviewed = reviewed.map_err(Refusal::from)?;
            events.extend(reviewed.into_iter().map(|event| Event::Run { run: index, event }));
        }
        Ok(events)
    }

    fn only_environment(&self, now: Timestamp) -> Result<String, Refusal> {
        let wanted: Vec<ReviewWanted> = self.runs.iter().flat_map(|run| run.reviews_wanted(now)).collect();
        let names: BTreeSet<String> = wanted.iter().map(|wanted| wanted.environment.to_lowercase()).collect();
        match wanted.first() {
            Some(first) if names.len() == 1 => Ok(first.environment.clone()),
            _ => {
                let named: Vec<String> = names.iter().map(|name| format!("`--environment {name}`")).collect();
                Err(Refusal::Untimely(format!(
                    "jobs of release-{} wait for reviews of several environments; say {}",
                    self.plan.number,
                    named.join(" or ")
                )))
            }
        }
    }
}
