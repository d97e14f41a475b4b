//! From one environment to the next: the same bytes, with what was proved of them.

use std::sync::Arc;

use base::name::{ProjectId, ReleaseId};
use record::{Index, ReleaseEntry, Store, ledger};
use release::input::results;
use release::{CodeSource, Delivery, Event, Live, Outcome, Plan, Proved, Release, Ships};
use rollout::Container;

use super::journal::Journal;
use crate::failure::{Doing, Failure, FailureKind, Result};
use crate::proposal::Proposal;

/// What a release takes from the one that built what it ships.
#[derive(Debug)]
pub(super) struct Promotion {
    pub source: CodeSource,
    pub ships: Ships,
    pub hosted: bool,
    pub proved: Proved,
    /// Its image is as proved as its files.
    container: Option<Container>,
}

impl Promotion {
    /// What was tried, wherever the image's name has moved since.
    pub fn settle(&self, delivery: &mut Delivery) {
        delivery.container.clone_from(&self.container);
    }
}

/// The release with the commit of what is live: not one that only went back to it.
pub(super) fn brought_by<'a>(index: &'a Index, live: &Live, environment: &(ProjectId, String)) -> Option<&'a ReleaseEntry> {
    let is_meant = |entry: &&ReleaseEntry| {
        // One that changed nothing is live as well: its bytes are.
        let brought = matches!(
            &entry.outcome,
            Some(Outcome::Promoted { revision } | Outcome::Unchanged { revision }) if *revision == live.instance.revision
        );
        (entry.project, &entry.environment) == (environment.0, &environment.1) && (entry.id == live.release || brought)
    };
    index.releases.values().rev().filter(is_meant).find(|entry| entry.commit.is_some())
}

/// # Errors
/// When it is not live where it was brought to, or the record does not tell what was proved of it.
pub(super) async fn of(journal: &Journal, store: &dyn Store, from: ReleaseId, proposal: &Proposal) -> Result<Promotion> {
    let (name, environment) = still_live(&journal.index(), from, proposal)?;
    let facts = store.load(&ledger::release_stream(from), 0).await.doing("read the release's record")?;
    let (first, rest) = facts.split_first().ok_or_else(|| Failure::infrastructure("the release has no record"))?;
    let plan: Arc<Plan> = ledger::read_shared(first).doing("read the release's plan")?;
    let events: std::result::Result<Vec<Arc<Event>>, _> = rest.iter().map(ledger::read_shared).collect();
    let events = events.doing("read the release's record")?;
    let release = Release::replay(plan.clone(), events.iter().map(|event| &**event));
    let packaged = events.iter().find_map(|event| match &**event {
        Event::Packaged { artifact, bytes, files, .. } => Some((*artifact, *bytes, *files)),
        _ => None,
    });
    let (Some(workflows), Some((artifact, bytes, files)), Some(_)) = (plan.workflows(), packaged, release.evidence()) else {
        return Err(Failure::usage(format!("the record does not tell what was proved of {name}")));
    };
    if workflows.commit != proposal.commit {
        return Err(Failure::usage(format!("{name} is of another commit than what is asked for")));
    }
    let proved = match &workflows.proved {
        // However often it moves on, it is what that one built.
        Some(proved) => Proved { environment, ..(**proved).clone() },
        None => Proved { release: from, number: plan.number, environment, artifact, bytes, files, runs: results(release.runs()).collect() },
    };
    Ok(Promotion {
        source: workflows.source.clone(),
        ships: workflows.ships.clone(),
        hosted: workflows.hosted,
        proved,
        container: plan.delivery.container.clone(),
    })
}

/// Its name, and where it is live.
fn still_live(index: &Index, from: ReleaseId, proposal: &Proposal) -> Result<(String, String)> {
    let entry = index.releases.get(&from).filter(|entry| entry.project == proposal.project.id);
    let entry = entry.ok_or_else(|| Failure::not_found("what is to move on is no release of this project"))?;
    let name = format!("release-{}", entry.number);
    if entry.environment == proposal.environment {
        return Err(Failure::usage(format!("{name} is in `{}` already", entry.environment)));
    }
    let place = (entry.project, entry.environment.clone());
    let live = index.environments.get(&place).and_then(|environment| environment.live());
    match live.and_then(|live| brought_by(index, live, &place)) {
        Some(brought) if brought.id == from => Ok((name, entry.environment.clone())),
        _ => Err(Failure::new(FailureKind::Conflict, format!("{name} is not live in `{}` any more", entry.environment))
            .hint("ask again: what is live there now is what moves on")),
    }
}
