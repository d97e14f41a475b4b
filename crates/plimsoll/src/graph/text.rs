//! A drawing for the terminal: one row a job, a line down from each job to all that need it.
//!
//! ```text
//! ●      lint
//! │ ●    build
//! │ ├─●  test    3 legs: 3.11, 3.12, 3.13
//! ╰─┴─●  deploy  if github.ref == 'refs/heads/main'
//! ```

use super::{Graph, Node};

/// Further to the right a new line goes only when nothing is free.
const LANES_WANTED: usize = 8;
/// Legs that are named.
const LEGS_NAMED: usize = 6;

pub fn lines(graph: &Graph) -> Vec<String> {
    let name = graph.name.as_ref().filter(|name| **name != graph.path).map(|name| format!(" ({name})")).unwrap_or_default();
    let on = if graph.on.is_empty() { String::new() } else { format!(" on {}", graph.on.join(", ")) };
    let mut lines = vec![format!("{}{name}{on}", graph.path)];
    lines.extend(graph.stages.iter().map(|(stage, jobs)| format!("stage {stage}: {}", jobs.join(", "))));
    lines.extend(draw(&graph.jobs));
    lines
}

/// A row: its part of the drawing, and the part that goes on below it.
struct Row {
    job: usize,
    drawn: String,
    below: String,
}

fn draw(jobs: &[Node]) -> Vec<String> {
    let rows = rows(jobs);
    let width = rows.iter().map(|row| row.drawn.chars().count()).max().unwrap_or(0);
    let names = jobs.iter().map(|job| job.id.chars().count()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for Row { job, drawn, below } in rows {
        let job = &jobs[job];
        let line = format!("{}  {}  {}", padded(&drawn, width), padded(&job.id, names), about(job));
        lines.push(line.trim_end().to_string());
        let nested = draw(&job.jobs);
        lines.extend(nested.into_iter().map(|line| format!("{}    {line}", padded(&below, width))));
    }
    lines
}

fn rows(jobs: &[Node]) -> Vec<Row> {
    let place = |id: &String| jobs.iter().position(|job| job.id.eq_ignore_ascii_case(id));
    let needs: Vec<Vec<usize>> = jobs.iter().map(|job| job.needs.iter().filter_map(place).collect()).collect();
    let mut open: Vec<usize> = (0..jobs.len()).map(|job| needs.iter().filter(|needs| needs.contains(&job)).count()).collect();
    let mut lanes: Vec<Option<usize>> = Vec::new();
    let mut rows = Vec::new();
    for job in in_order(&needs) {
        let joined: Vec<usize> = (0..lanes.len()).filter(|lane| lanes[*lane].is_some_and(|it| needs[job].contains(&it))).collect();
        needs[job].iter().for_each(|need| open[*need] -= 1);
        let own = free_lane(&lanes, joined.last().copied());
        if own == lanes.len() {
            lanes.push(None);
        }
        let drawn = row(&lanes, &joined, own, &|lane| lanes[lane].is_some_and(|it| open[it] == 0));
        for lane in joined {
            lanes[lane] = lanes[lane].filter(|it| open[*it] > 0);
        }
        lanes[own] = (open[job] > 0).then_some(job);
        while lanes.last() == Some(&None) {
            lanes.pop();
        }
        let below: Vec<&str> = lanes.iter().map(|lane| if lane.is_some() { "│" } else { " " }).collect();
        rows.push(Row { job, drawn, below: below.join(" ") });
    }
    rows
}

/// As in the file, but each after all that it needs.
fn in_order(needs: &[Vec<usize>]) -> Vec<usize> {
    let mut order = Vec::new();
    let mut done = vec![false; needs.len()];
    while let Some(next) = (0..needs.len()).find(|job| !done[*job] && needs[*job].iter().all(|need| done[*need])) {
        done[next] = true;
        order.push(next);
    }
    order
}

/// To the right of all that it joins, as long as the drawing stays narrow.
fn free_lane(lanes: &[Option<usize>], rightmost: Option<usize>) -> usize {
    let free = |from: usize| (from..lanes.len()).find(|lane| lanes[*lane].is_none()).unwrap_or(lanes.len());
    let right = free(rightmost.map_or(0, |lane| lane + 1));
    if right < LANES_WANTED { right } else { free(0) }
}

fn row(lanes: &[Option<usize>], joined: &[usize], own: usize, ends: &dyn Fn(usize) -> bool) -> String {
    let first = joined.iter().copied().chain([own]).min().unwrap_or(own);
    let last = joined.iter().copied().chain([own]).max().unwrap_or(own);
    let mut text = String::new();
    for (lane, holder) in lanes.iter().enumerate() {
        let within = (first..=last).contains(&lane);
        text.push_str(match (lane == own, joined.contains(&lane), holder) {
            (true, ..) => "●",
            (_, true, _) => match (lane == first, lane == last, ends(lane)) {
                (true, _, true) => "╰",
                (true, _, false) => "├",
                (_, true, true) => "╯",
                (_, true, false) => "┤",
                (_, _, true) => "┴",
                (_, _, false) => "┼",
            },
            (_, false, Some(_)) => "│",
            (_, false, None) => {
                if within {
                    "─"
                } else {
                    " "
                }
            }
        });
        text.push_str(if within && lane < last { "─" } else { " " });
    }
    text.trim_end().to_string()
}

fn about(job: &Node) -> String {
    let mut about = Vec::new();
    if let Some(matrix) = &job.matrix {
        about.push(format!("legs from {matrix}"));
    } else if !job.legs.is_empty() {
        let named: Vec<&str> = job.legs.iter().take(LEGS_NAMED).map(String::as_str).collect();
        let more = if job.legs.len() > LEGS_NAMED { ", …" } else { "" };
        let legs = if job.legs.len() == 1 { "leg" } else { "legs" };
        about.push(format!("{} {legs}: {}{more}", job.legs.len(), named.join(" · ")));
    }
    about.extend(job.calls.as_ref().map(|calls| format!("calls {calls}")));
    about.extend(job.condition.as_ref().map(|condition| format!("if {condition}")));
    about.extend(job.environment.as_ref().map(|environment| format!("environment {environment}")));
    about.join("; ")
}

fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.chars().count())))
}

#[cfg(test)]
mod tests {
    use base::Source;

    use super::*;

    fn check(jobs: &[(&str, &str)], expected: &str) {
        let mut text = "on: push\njobs:\n".to_string();
        for (job, needs) in jobs {
            text.push_str(&format!("  {job}: {{runs-on: x, needs: [{needs}], steps: [{{run: a}}]}}\n"));
        }
        let (workflow, diagnostics) = workflow::github::parse(&Source::new("w.yml", text));
        let drawn = draw(&Graph::of(&workflow.unwrap_or_else(|| panic!("{diagnostics:?}"))).jobs).join("\n");
        assert_eq!(drawn, expected.trim_matches('\n').trim_end(), "\n{drawn}\n");
    }

    #[test]
    fn each_job_is_joined_with_all_that_it_needs() {
        check(&[("a", "")], "●  a");
        check(
            &[("a", ""), ("b", "a"), ("c", "b")],
            "
●      a
╰─●    b
  ╰─●  c",
        );
        check(
            &[("lint", ""), ("build", ""), ("test", "build"), ("deploy", "lint, build, test")],
            "
●        lint
│ ●      build
│ ├─●    test
╰─┴─┴─●  deploy",
        );
        check(
            &[("a", ""), ("b", ""), ("x", "a"), ("y", "b"), ("z", "x")],
            "
●        a
│ ●      b
╰─│─●    x
  ╰─│─●  y
    ╰─●  z",
        );
    }

    #[test]
    fn what_a_job_needs_may_stand_below_it() {
        check(
            &[("last", "first"), ("first", "")],
            "
●    first
╰─●  last",
        );
    }

    #[test]
    fn a_long_chain_stays_narrow() {
        let jobs: Vec<(String, String)> =
            (0..40).map(|job| (format!("j{job}"), if job == 0 { String::new() } else { format!("j{}", job - 1) })).collect();
        let nodes: Vec<Node> = jobs
            .iter()
            .map(|(id, need)| Node {
                id: id.clone(),
                name: None,
                needs: Some(need.clone()).filter(|need| !need.is_empty()).into_iter().collect(),
                condition: None,
                environment: None,
                legs: Vec::new(),
                matrix: None,
                steps: 1,
                calls: None,
                jobs: Vec::new(),
            })
            .collect();
        let drawn = draw(&nodes);
        assert_eq!(drawn.len(), 40);
        assert!(drawn.iter().all(|line| line.chars().count() < 24), "{}", drawn.join("\n"));
        // Back at the left, joined from the right.
        assert!(drawn.iter().any(|line| line.starts_with("●─")), "{}", drawn.join("\n"));
    }
}
