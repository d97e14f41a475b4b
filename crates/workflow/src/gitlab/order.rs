//! Whether the jobs of a file can be put in an order, whatever pipeline is created from it.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::compile::legs;
use super::file::{File, Job, Need};
use super::reader::Reader;
use super::tree::Place;

/// From this many on it is only said that something is wrong, and not what is near: a file made to be expensive shall not be.
const EXPLAINED_MAX: usize = 20;

struct Wanted<'a> {
    verb: &'static str,
    code: &'static str,
    name: &'a String,
    place: Place,
    optional: bool,
}

/// `names` are those of all jobs, also of those that couldn't be read.
pub(super) fn check(reader: &mut Reader, file: &File, names: &[&str]) {
    let mut known: BTreeMap<String, Option<usize>> = names.iter().map(|name| ((*name).to_string(), None)).collect();
    for (index, job) in file.jobs.iter().enumerate() {
        known.extend(legs(job).into_iter().map(|(name, _)| (name, Some(index))));
        known.insert(job.name.clone(), Some(index));
    }
    let stage = |job: &Job| file.stages.iter().position(|stage| *stage == job.stage);
    let mut unknown = 0;
    for job in &file.jobs {
        let of_rules = job.rules.iter().flatten().filter_map(|rule| rule.needs.as_ref());
        let needs = job.needs.iter().chain(of_rules).flatten().map(|need| Wanted {
            verb: "needs",
            code: "gitlab/needs",
            name: &need.job,
            place: need.place,
            optional: need.optional,
        });
        let dependencies = job.dependencies.iter().flatten();
        let taken = dependencies.map(|(name, place)| Wanted {
            verb: "depends on",
            code: "gitlab/dependencies",
            name,
            place: *place,
            optional: false,
        });
        for Wanted { verb, code, name, place, optional } in needs.chain(taken) {
            let Some(index) = known.get(name) else {
                if optional {
                    continue;
                }
                unknown += 1;
                let message = format!("`{}` {verb} `{name}`, and there is no such job", job.name);
                match (unknown <= EXPLAINED_MAX).then(|| base::name::nearest(name, names.iter().copied())).flatten() {
                    Some(near) => reader.hinted(code, place, message, format!("did you mean `{near}`?")),
                    None => reader.error(code, place, message),
                }
                continue;
            };
            let Some(other) = index.map(|index| &file.jobs[index]) else { continue };
            match (stage(other).cmp(&stage(job)), code) {
                (Ordering::Greater, "gitlab/needs") => {
                    reader.error(code, place, format!("`{}` needs `{name}`, which is in a later stage", job.name));
                }
                (Ordering::Greater | Ordering::Equal, "gitlab/dependencies") if job.needs.is_none() => {
                    reader.error(code, place, format!("`{}` depends on `{name}`, which is in no earlier stage", job.name));
                }
                _ => {}
            }
        }
    }
    let edges = |need: &Need| Some(((*known.get(&need.job)?)?, need.place));
    let graph: Vec<Vec<(usize, Place)>> = file.jobs.iter().map(|job| job.needs.iter().flatten().filter_map(edges).collect()).collect();
    for (place, circle) in circles(&graph) {
        let names: Vec<&str> = circle.iter().map(|job| file.jobs[*job].name.as_str()).collect();
        reader.error("gitlab/cycle", place, format!("`{}` would wait for itself: {}", names[0], names.join(" → ")));
    }
}

/// Each need that closes a circle, with the jobs along it; the first one is also the last.
fn circles(graph: &[Vec<(usize, Place)>]) -> Vec<(Place, Vec<usize>)> {
    let mut found = Vec::new();
    let mut ended = vec![false; graph.len()];
    // Where a job stands on the path, so that looking it up costs nothing.
    let mut place_on_path: Vec<Option<usize>> = vec![None; graph.len()];
    for start in 0..graph.len() {
        let mut path: Vec<(usize, usize)> = Vec::new();
        if !ended[start] {
            path.push((start, 0));
            place_on_path[start] = Some(0);
        }
        while let Some((job, next)) = path.last_mut() {
            let job = *job;
            let Some((need, place)) = graph[job].get(*next).copied() else {
                ended[job] = true;
                place_on_path[job] = None;
                path.pop();
                continue;
            };
            *next += 1;
            match place_on_path[need] {
                Some(from) if found.len() < EXPLAINED_MAX => {
                    let circle = path[from..].iter().map(|(job, _)| *job);
                    found.push((place, std::iter::once(job).chain(circle).collect()));
                }
                Some(_) => return found,
                None if !ended[need] => {
                    place_on_path[need] = Some(path.len());
                    path.push((need, 0));
                }
                None => {}
            }
        }
    }
    found
}
