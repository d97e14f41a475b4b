//! Whether the jobs can be put in an order.

use std::collections::{BTreeMap, BTreeSet};

use base::{Diagnostic, Span};

use super::reader::Reader;
use crate::model::Job;

/// From this many on only that something is wrong is said, and no longer what is near or which way the circle goes:
/// a file made to be expensive shall not be.
const EXPLAINED_MAX: usize = 20;

/// `wanted` are the needs of each job with their places; `ids` all jobs of the file, also those that couldn't be read.
/// In the jobs themselves the needs are then written as the ids are, whatever their case was.
pub(super) fn check(reader: &mut Reader<'_>, ids: &[(&str, Span)], jobs: &mut [Job], wanted: &[Vec<(String, Span)>]) {
    let known: BTreeMap<String, &str> = ids.iter().map(|(id, _)| (id.to_lowercase(), *id)).collect();
    let mut unknown = 0;
    let mut graph = Graph::default();
    for (job, wanted) in jobs.iter_mut().zip(wanted) {
        let own = job.id.to_lowercase();
        graph.needs.entry(own.clone()).or_default();
        job.needs.clear();
        for (need, span) in wanted {
            match known.get(&need.to_lowercase()) {
                Some(id) => {
                    job.needs.push((*id).to_owned());
                    graph.needs.entry(own.clone()).or_default().push((need.to_lowercase(), *span));
                }
                None => {
                    unknown += 1;
                    report_unknown(reader, &job.id, need, *span, ids, unknown <= EXPLAINED_MAX);
                }
            }
        }
    }
    let nobody_starts = unknown == 0 && !jobs.is_empty() && wanted.iter().all(|wanted| !wanted.is_empty());
    graph.report_cycles(reader, jobs, nobody_starts.then(|| ids[0].1));
}

fn report_unknown(reader: &mut Reader<'_>, job: &str, need: &str, span: Span, ids: &[(&str, Span)], explained: bool) {
    let diagnostic = Diagnostic::error("workflow/unknown-need", span, format!("job `{job}` needs `{need}`, which isn't a job"));
    let nearest = explained.then(|| base::name::nearest(need, ids.iter().map(|(id, _)| *id))).flatten();
    reader.report(match nearest {
        Some(nearest) => diagnostic.hint(format!("did you mean `{nearest}`?")),
        None => diagnostic,
    });
}

/// Ids in lower case.
#[derive(Default)]
struct Graph {
    needs: BTreeMap<String, Vec<(String, Span)>>,
}

impl Graph {
    /// At each need that closes a circle; `first` is the place of the first job when there is none that could start.
    fn report_cycles(&self, reader: &mut Reader<'_>, jobs: &[Job], first: Option<Span>) {
        let stuck = self.stuck();
        let mut explained = 0;
        for job in jobs {
            let own = job.id.to_lowercase();
            let closing = self.needs.get(&own).into_iter().flatten().filter(|(need, _)| stuck.contains(need) && stuck.contains(&own));
            for (need, span) in closing {
                explained += 1;
                if explained > EXPLAINED_MAX {
                    return;
                }
                let Some(path) = self.path(need, &own) else { continue };
                let circle = format!("{own} → {}", path.join(" → "));
                if let Some(first) = first {
                    reader.error("workflow/cycle", first, format!("no job can start, since each one needs another: {circle}"));
                    return;
                }
                reader.error("workflow/cycle", *span, format!("job `{}` would wait for itself: {circle}", job.id));
            }
        }
    }

    /// The jobs that never come to their turn when every job goes as soon as its needs have gone.
    fn stuck(&self) -> BTreeSet<String> {
        let mut needed_by: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut missing: BTreeMap<&str, usize> = BTreeMap::new();
        for (job, needs) in &self.needs {
            missing.insert(job, needs.len());
            needs.iter().for_each(|(need, _)| needed_by.entry(need).or_default().push(job));
        }
        let mut ready: Vec<&str> = missing.iter().filter(|(_, count)| **count == 0).map(|(job, _)| *job).collect();
        while let Some(job) = ready.pop() {
            missing.remove(job);
            for waiting in needed_by.get(job).into_iter().flatten() {
                if let Some(count) = missing.get_mut(waiting) {
                    *count -= 1;
                    if *count == 0 {
                        ready.push(waiting);
                    }
                }
            }
        }
        missing.into_keys().map(str::to_owned).collect()
    }

    /// A way along the needs, both ends included.
    fn path(&self, from: &str, to: &str) -> Option<Vec<String>> {
        let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
        let mut waiting = vec![from];
        while let Some(job) = waiting.pop() {
            if job == to {
                let mut path = vec![to.to_owned()];
                let mut job = to;
                while job != from {
                    job = came_from[job];
                    path.push(job.to_owned());
                }
                path.reverse();
                return Some(path);
            }
            for (need, _) in self.needs.get(job).into_iter().flatten() {
                if need != from && !came_from.contains_key(need.as_str()) {
                    came_from.insert(need, job);
                    waiting.push(need);
                }
            }
        }
        None
    }
}
