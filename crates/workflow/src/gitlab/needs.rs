//! What a job waits for: what it names in `needs`, or else all earlier stages; and which jobs wait for a person.

use std::collections::{BTreeMap, BTreeSet};

use super::compile::{Entry, NotAdded};
use super::file::{AllowFailure, Need, When};
use super::tree::{Problem, error};

/// What each job waits for, as indices, with whether it takes artifacts from there.
#[derive(Debug, Clone, Default)]
pub(super) struct Waits {
    pub on: Vec<(usize, bool)>,
    /// By `needs`; else by stages.
    pub named: bool,
}

/// `missing` holds the jobs of the file that aren't in this pipeline, with the reason.
pub(super) fn waits(entries: &[Entry<'_>], missing: &BTreeMap<String, String>, problems: &mut Vec<Problem>) -> Vec<Waits> {
    let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, entry) in entries.iter().enumerate() {
        by_name.entry(&entry.job.name).or_default().push(index);
        if entry.name != entry.job.name {
            by_name.entry(&entry.name).or_default().push(index);
        }
    }
    let mut all = Vec::new();
    for entry in entries {
        let Some(needs) = entry.added.needs.as_ref().or(entry.job.needs.as_ref()) else {
            all.push(Waits::default());
            continue;
        };
        let mut on: Vec<(usize, bool)> = Vec::new();
        for need in needs {
            let Some(found) = by_name.get(need.job.as_str()) else {
                if !need.optional {
                    problems.push(not_there(entry, need, missing));
                }
                continue;
            };
            for index in found.iter().filter(|index| leg_wanted(&entries[**index], need)) {
                if !on.iter().any(|(known, _)| known == index) {
                    on.push((*index, need.artifacts));
                }
            }
        }
        all.push(Waits { on, named: true });
    }
    all
}

/// The job is in the file, which was looked at before; a job with legs is missing by their names.
fn not_there(entry: &Entry<'_>, need: &Need, missing: &BTreeMap<String, String>) -> Problem {
    let is_leg = |name: &str| name.strip_prefix(&need.job).is_some_and(|rest| rest.starts_with([' ', ':']));
    let why = missing.get(&need.job).or_else(|| missing.iter().find(|(name, _)| is_leg(name)).map(|(_, why)| why));
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    let message = format!("`{}` needs `{}`, which is not in this pipeline{why}", entry.job.name, need.job);
    let (file, problem) = error("gitlab/needs", need.place, message);
    (file, problem.hint("`optional: true` allows that"))
}

fn leg_wanted(entry: &Entry<'_>, need: &Need) -> bool {
    let Some(matrix) = &need.matrix else { return true };
    matrix.iter().any(|combination| {
        combination.iter().all(|(name, values)| entry.leg.iter().any(|(known, value)| known == name && values.contains(value)))
    })
}

/// Jobs that don't run now, because a person has to start them or one before them; the blocking ones among them by name.
pub(super) fn held_back(entries: &[Entry<'_>], waits: &[Waits]) -> (BTreeMap<usize, NotAdded>, Vec<String>) {
    let mut held: BTreeMap<usize, NotAdded> = BTreeMap::new();
    let mut blocking = Vec::new();
    let mut blocked_from: Option<(usize, String)> = None;
    for (index, entry) in entries.iter().enumerate() {
        if entry.added.when != When::Manual || entry.played {
            continue;
        }
        let optional = matches!(entry.added.allow_failure, AllowFailure::Always(true));
        let reason = format!("it is manual; `plimsoll run --manual '{}'` starts it", entry.name);
        held.insert(index, NotAdded { job: entry.name.clone(), reason, manual: true });
        // What delivers is the release's own work and holds nobody up.
        if !optional && !entry.delivers() {
            blocking.push(entry.name.clone());
            if blocked_from.as_ref().is_none_or(|(stage, _)| entry.stage < *stage) {
                blocked_from = Some((entry.stage, entry.name.clone()));
            }
        }
    }
    loop {
        let before = held.len();
        for (index, entry) in entries.iter().enumerate() {
            if held.contains_key(&index) {
                continue;
            }
            let waits = &waits[index];
            let by_need = waits.on.iter().find(|(need, _)| held.contains_key(need)).map(|(need, _)| entries[*need].name.clone());
            let by_stage = blocked_from.as_ref().filter(|(stage, _)| !waits.named && entry.stage > *stage).map(|(_, name)| name.clone());
            if let Some(name) = by_need.or(by_stage) {
                let reason = format!("it waits for `{name}`, which is not run");
                held.insert(index, NotAdded { job: entry.name.clone(), reason, manual: false });
            }
        }
        if held.len() == before {
            return (held, blocking);
        }
    }
}

/// The jobs of earlier stages that a job by stages has to name, so that it waits for all of them: those of the last stage, and of
/// the one before as long as nobody in between waits for stages.
pub(super) fn earlier(entries: &[Entry<'_>], waits: &[Waits], held: &BTreeMap<usize, NotAdded>, stage: usize) -> Vec<usize> {
    let kept = |index: &usize| !held.contains_key(index);
    let stages: BTreeSet<usize> =
        (0..entries.len()).filter(kept).map(|index| entries[index].stage).filter(|other| *other < stage).collect();
    let mut found = Vec::new();
    for stage in stages.into_iter().rev() {
        let here: Vec<usize> = (0..entries.len()).filter(kept).filter(|index| entries[*index].stage == stage).collect();
        let complete = here.iter().any(|index| !waits[*index].named);
        found.splice(0..0, here);
        if complete {
            break;
        }
    }
    found
}
