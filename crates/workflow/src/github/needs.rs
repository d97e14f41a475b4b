//! Whether the jobs can be put in an order.

use std::collections::{BTreeMap, BTreeSet};

use base::{Diagnostic, Span};

use super::reader::Reader;
use crate::model::Job;

/// `wanted` are the needs of each job with their places; `ids` all jobs of the file, also those that couldn't be read.
pub(super) fn check(reader: &mut Reader<'_>, ids: &[(&str, Span)], jobs: &[Job], wanted: &[Vec<(String, Span)>]) {
    let known: BTreeSet<String> = ids.iter().map(|(id, _)| id.to_lowercase()).collect();
    let mut needs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (job, wanted) in jobs.iter().zip(wanted) {
        for (need, span) in wanted {
            if !known.contains(&need.to_lowercase()) {
                let diagnostic =
                    Diagnostic::error("workflow/unknown-need", *span, format!("job `{}` needs `{need}`, which isn't a job", job.id));
                let nearest = base::name::nearest(need, ids.iter().map(|(id, _)| *id));
                reader.report(match nearest {
                    Some(nearest) => diagnostic.hint(format!("did you mean `{nearest}`?")),
                    None => diagnostic,
                });
            }
        }
        let existing = wanted.iter().map(|(need, _)| need.to_lowercase()).filter(|need| known.contains(need));
        needs.insert(job.id.to_lowercase(), existing.collect());
    }
    report_cycles(reader, ids, jobs, wanted, &needs);
}

fn report_cycles(
    reader: &mut Reader<'_>,
    ids: &[(&str, Span)],
    jobs: &[Job],
    wanted: &[Vec<(String, Span)>],
    needs: &BTreeMap<String, Vec<String>>,
) {
    let nobody_starts = !jobs.is_empty() && jobs.len() == ids.len() && wanted.iter().all(|wanted| !wanted.is_empty());
    let unknown = wanted.iter().flatten().any(|(need, _)| !needs.contains_key(&need.to_lowercase()));
    if nobody_starts && !unknown {
        let cycle = jobs.iter().find_map(|job| path_to(needs, &job.id.to_lowercase(), &job.id.to_lowercase())).unwrap_or_default();
        let message = format!("no job can start, since each one needs another: {}", cycle.join(" → "));
        reader.error("workflow/cycle", ids[0].1, message);
        return;
    }
    for (job, wanted) in jobs.iter().zip(wanted) {
        for (need, span) in wanted {
            let (need, own) = (need.to_lowercase(), job.id.to_lowercase());
            let path = if need == own { Some(vec![own.clone()]) } else { path_to(needs, &need, &own) };
            let Some(mut path) = path else { continue };
            path.insert(0, own);
            let message = format!("job `{}` would wait for itself: {}", job.id, path.join(" → "));
            reader.error("workflow/cycle", *span, message);
        }
    }
}

/// A way along the needs from one job to another, both ends included.
fn path_to(needs: &BTreeMap<String, Vec<String>>, from: &str, to: &str) -> Option<Vec<String>> {
    let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut waiting = vec![from];
    let mut first = true;
    while let Some(job) = waiting.pop() {
        if job == to && (from != to || !first) {
            return Some(walked(&came_from, from, to));
        }
        first = false;
        for need in needs.get(job).into_iter().flatten() {
            if need == to && from == to {
                let mut path = walked(&came_from, from, job);
                path.push(to.to_owned());
                return Some(path);
            }
            if need != from && !came_from.contains_key(need.as_str()) {
                came_from.insert(need, job);
                waiting.push(need);
            }
        }
    }
    None
}

fn walked(came_from: &BTreeMap<&str, &str>, from: &str, to: &str) -> Vec<String> {
    let mut path = vec![to.to_owned()];
    let mut job = to;
    while job != from {
        job = came_from[job];
        path.push(job.to_owned());
    }
    path.reverse();
    path
}
