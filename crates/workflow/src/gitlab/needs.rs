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
///
/// `child` is asked of each job that runs, after all that it waits for: the name of a blocking job below it, if that holds it up.
pub(super) fn held_back(
    entries: &[Entry<'_>],
    waits: &[Waits],
    child: &mut dyn FnMut(usize) -> Option<String>,
) -> (BTreeMap<usize, NotAdded>, Vec<String>) {
    let mut held: BTreeMap<usize, NotAdded> = BTreeMap::new();
    let mut blocking = Vec::new();
    let mut blocked_from: Option<(usize, String)> = None;
    let block = |stage: usize, name: &str, blocked_from: &mut Option<(usize, String)>| {
        if blocked_from.as_ref().is_none_or(|(first, _)| stage < *first) {
            *blocked_from = Some((stage, name.to_string()));
        }
    };
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
            block(entry.stage, &entry.name, &mut blocked_from);
        }
    }
    // Jobs that run and wait for one of their child, with its name.
    let mut unfinished: BTreeMap<usize, String> = BTreeMap::new();
    for index in in_order(entries, waits) {
        if held.contains_key(&index) {
            continue;
        }
        let (entry, waits) = (&entries[index], &waits[index]);
        let open = |need: &usize| held.get(need).map(|it| it.job.clone()).or_else(|| unfinished.get(need).cloned());
        let by_need = waits.on.iter().find_map(|(need, _)| open(need));
        let by_stage = blocked_from.as_ref().filter(|(stage, _)| !waits.named && entry.stage > *stage).map(|(_, name)| name.clone());
        if let Some(name) = by_need.or(by_stage) {
            let reason = format!("it waits for `{name}`, which is not run");
            held.insert(index, NotAdded { job: entry.name.clone(), reason, manual: false });
        } else if let Some(name) = child(index) {
            block(entry.stage, &name, &mut blocked_from);
            unfinished.insert(index, name);
        }
    }
    (held, blocking)
}

/// Stage by stage, and each behind what it needs. What is in a circle is told elsewhere, and comes last.
fn in_order(entries: &[Entry<'_>], waits: &[Waits]) -> Vec<usize> {
    let mut open: Vec<usize> = vec![0; entries.len()];
    let mut waiting: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, waits) in waits.iter().enumerate() {
        for (need, _) in waits.on.iter().filter(|(need, _)| entries[*need].stage == entries[index].stage) {
            open[index] += 1;
            waiting.entry(*need).or_default().push(index);
        }
    }
    let mut ready: BTreeSet<(usize, usize)> =
        (0..entries.len()).filter(|index| open[*index] == 0).map(|index| (entries[index].stage, index)).collect();
    let mut order = Vec::new();
    while let Some((_, index)) = ready.pop_first() {
        order.push(index);
        for next in waiting.remove(&index).unwrap_or_default() {
            open[next] -= 1;
            if open[next] == 0 {
                ready.insert((entries[next].stage, next));
            }
        }
    }
    order.extend((0..entries.len()).filter(|index| open[*index] > 0));
    order
}

/// The jobs of a pipeline and what they wait for, settled.
pub(super) struct Graph<'g, 'a> {
    pub entries: &'g [Entry<'a>],
    pub waits: &'g [Waits],
    pub held: &'g BTreeMap<usize, NotAdded>,
    /// By stage, for those where a job waits by stages.
    earlier: BTreeMap<usize, Vec<usize>>,
}

impl<'g, 'a> Graph<'g, 'a> {
    pub fn new(entries: &'g [Entry<'a>], waits: &'g [Waits], held: &'g BTreeMap<usize, NotAdded>) -> Graph<'g, 'a> {
        let by_stages = (0..entries.len()).filter(|index| !held.contains_key(index) && !waits[*index].named);
        let stages: BTreeSet<usize> = by_stages.map(|index| entries[index].stage).collect();
        let earlier = stages.into_iter().map(|stage| (stage, earlier(entries, waits, held, stage))).collect();
        Graph { entries, waits, held, earlier }
    }

    /// What has to be over before a job begins. A child that nothing depends on is over when it begins: what that waits for counts.
    pub fn before(&self, index: usize) -> Vec<usize> {
        let mut before = Vec::new();
        let mut seen = BTreeSet::new();
        let mut stages = BTreeSet::new();
        let mut next = self.direct(index, &mut stages);
        next.reverse();
        while let Some(need) = next.pop() {
            if !seen.insert(need) {
                continue;
            }
            let begins_only = self.entries[need].job.trigger.as_ref().is_some_and(|trigger| !trigger.depend);
            if begins_only {
                next.extend(self.direct(need, &mut stages).into_iter().rev());
            } else {
                before.push(need);
            }
        }
        before
    }

    /// By stages the same for all of one, and so only once.
    fn direct(&self, index: usize, stages: &mut BTreeSet<usize>) -> Vec<usize> {
        let (stage, waits) = (self.entries[index].stage, &self.waits[index]);
        match waits.named {
            true => waits.on.iter().map(|(need, _)| *need).collect(),
            false if stages.insert(stage) => self.earlier.get(&stage).cloned().unwrap_or_default(),
            false => Vec::new(),
        }
    }
}

/// The jobs of earlier stages that a job by stages has to name, so that it waits for all of them: those of the last stage, and of
/// the one before as long as nobody in between waits for stages.
fn earlier(entries: &[Entry<'_>], waits: &[Waits], held: &BTreeMap<usize, NotAdded>, stage: usize) -> Vec<usize> {
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
