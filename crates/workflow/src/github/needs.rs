//! Whether the jobs can be put in an order.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base::{Diagnostic, Span};

use super::reader::Reader;
use crate::model::Job;

/// From this many on only that something is wrong is said, and no longer what is near or which way the circle goes:
/// a file made to be expensive shall not be.
const EXPLAINED_MAX: usize = 20;

/// `wanted` are the needs of each job with their places; `ids` all jobs of the file, also those that couldn't be read.
/// In the jobs themselves the needs are then written as the ids are, whatever their case was.
pub(super) fn check(reader: &mut Reader<'_>, ids: &[(&str, Span)], jobs: &mut [Job], wanted: &[Vec<(String, Span)>]) {
    // A file may name a job many times as often as it has jobs.
    let known: BTreeMap<Cow<'_, str>, usize> = ids.iter().enumerate().map(|(at, (id, _))| (lower(id), at)).collect();
    let mut unknown = 0;
    let mut graph = Graph { ids, needs: vec![Vec::new(); ids.len()] };
    for (job, wanted) in jobs.iter_mut().zip(wanted) {
        let needs = &mut graph.needs[known[&lower(&job.id)]];
        job.needs.clear();
        for (need, span) in wanted {
            match known.get(&lower(need)) {
                Some(at) => {
                    job.needs.push(ids[*at].0.to_owned());
                    needs.push((*at, *span));
                }
                None => {
                    unknown += 1;
                    report_unknown(reader, &job.id, need, *span, ids, unknown <= EXPLAINED_MAX);
                }
            }
        }
    }
    let nobody_starts = unknown == 0 && !jobs.is_empty() && wanted.iter().all(|wanted| !wanted.is_empty());
    let read: Vec<usize> = jobs.iter().map(|job| known[&lower(&job.id)]).collect();
    graph.report_cycles(reader, &read, nobody_starts.then(|| ids[0].1));
}

fn lower(id: &str) -> Cow<'_, str> {
    if id.chars().any(char::is_uppercase) { Cow::Owned(id.to_lowercase()) } else { Cow::Borrowed(id) }
}

fn report_unknown(reader: &mut Reader<'_>, job: &str, need: &str, span: Span, ids: &[(&str, Span)], explained: bool) {
    let diagnostic = Diagnostic::error("workflow/unknown-need", span, format!("job `{job}` needs `{need}`, which isn't a job"));
    let nearest = explained.then(|| base::name::nearest(need, ids.iter().map(|(id, _)| *id))).flatten();
    reader.report(match nearest {
        Some(nearest) => diagnostic.hint(format!("did you mean `{nearest}`?")),
        None => diagnostic,
    });
}

/// Jobs are their places among the ids of the file.
struct Graph<'a> {
    ids: &'a [(&'a str, Span)],
    needs: Vec<Vec<(usize, Span)>>,
}

impl Graph<'_> {
    /// At each need that closes a circle; `first` is the place of the first job when there is none that could start.
    fn report_cycles(&self, reader: &mut Reader<'_>, jobs: &[usize], first: Option<Span>) {
        let stuck = self.stuck();
        let mut explained = 0;
        for job in jobs {
            let closing = self.needs[*job].iter().filter(|(need, _)| stuck[*need] && stuck[*job]);
            for (need, span) in closing {
                explained += 1;
                if explained > EXPLAINED_MAX {
                    return;
                }
                let Some(path) = self.path(*need, *job) else { continue };
                let circle: Vec<String> = std::iter::once(job).chain(&path).map(|job| self.ids[*job].0.to_lowercase()).collect();
                let circle = circle.join(" → ");
                if let Some(first) = first {
                    reader.error("workflow/cycle", first, format!("no job can start, since each one needs another: {circle}"));
                    return;
                }
                reader.error("workflow/cycle", *span, format!("job `{}` would wait for itself: {circle}", self.ids[*job].0));
            }
        }
    }

    /// The jobs that never come to their turn when every job goes as soon as its needs have gone.
    fn stuck(&self) -> Vec<bool> {
        let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); self.needs.len()];
        let mut missing: Vec<usize> = self.needs.iter().map(Vec::len).collect();
        for (job, needs) in self.needs.iter().enumerate() {
            needs.iter().for_each(|(need, _)| needed_by[*need].push(job));
        }
        let mut ready: Vec<usize> = (0..missing.len()).filter(|job| missing[*job] == 0).collect();
        let mut stuck = vec![true; missing.len()];
        while let Some(job) = ready.pop() {
            stuck[job] = false;
            for waiting in &needed_by[job] {
                missing[*waiting] -= 1;
                if missing[*waiting] == 0 {
                    ready.push(*waiting);
                }
            }
        }
        stuck
    }

    /// A way along the needs, both ends included.
    fn path(&self, from: usize, to: usize) -> Option<Vec<usize>> {
        let mut came_from: BTreeMap<usize, usize> = BTreeMap::new();
        let mut waiting = vec![from];
        while let Some(job) = waiting.pop() {
            if job == to {
                let mut path = vec![to];
                let mut job = to;
                while job != from {
                    job = came_from[&job];
                    path.push(job);
                }
                path.reverse();
                return Some(path);
            }
            for (need, _) in &self.needs[job] {
                if *need != from && !came_from.contains_key(need) {
                    came_from.insert(*need, job);
                    waiting.push(*need);
                }
            }
        }
        None
    }
}
