//! `plimsoll run list` and `run view`: what was run here.

use base::time::format_duration_ms;
use host::runs::{Again, Kept, Summary};
use workflow::job::Conclusion;

use super::kept::{self, Read, View, commit, minute};
use super::unkept;
use crate::cli::{RunList, RunView};
use crate::commands::or_above;
use crate::exit;
use crate::failure::Result;
use crate::terminal::{Terminal, Tone};
use crate::view;

pub(super) fn list(args: &RunList, terminal: &Terminal) -> Result<u8> {
    let runs = kept::runs_of(&args.of.dir)?;
    let all = runs.all().into_iter().filter_map(|kept| Some((kept.summary().ok()?, kept)));
    let all: Vec<(Summary, Kept)> = all.take(args.limit).collect();
    if terminal.json {
        terminal.json(&all.iter().map(|(summary, _)| summary).collect::<Vec<_>>());
        return Ok(exit::OK);
    }
    if all.is_empty() && args.limit > 0 {
        terminal.say(&or_above(&args.of.dir, "run list", "nothing was run here yet"));
    }
    let rows: Vec<[String; 7]> = all.iter().map(|(summary, kept)| row(summary, kept)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..7).map(width).collect();
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(widths.iter().copied()).map(|(cell, width)| format!("{cell:<width$}")).collect();
        terminal.data(cells.join("  ").trim_end());
    }
    Ok(exit::OK)
}

fn row(summary: &Summary, kept: &Kept) -> [String; 7] {
    let word = match summary.conclusion {
        Some(conclusion) => conclusion.word(),
        None if kept.is_under_way() => "running",
        None => "killed",
    };
    let took = summary.finished.map(|finished| format_duration_ms(finished.since_ms(summary.started))).unwrap_or_default();
    let attempts = if summary.attempts > 1 { format!(", attempt {}", summary.attempts) } else { String::new() };
    [
        format!("run-{}", summary.number),
        format!("{word}{attempts}"),
        summary.title.clone().unwrap_or_else(|| summary.name.clone()),
        summary.event.clone(),
        format!("{} {}", summary.git_ref.trim_start_matches("refs/heads/"), commit(&summary.sha, summary.dirty)),
        minute(summary.started),
        took,
    ]
}

pub(super) fn view(args: &RunView, terminal: &Terminal) -> Result<u8> {
    let kept = kept::find(&kept::runs_of(&args.one.of.dir)?, args.one.run.as_deref())?;
    if args.record {
        let attempt = args.attempt.unwrap_or_else(|| kept.attempts());
        kept.happened(attempt).map_err(unkept)?.iter().for_each(|happened| terminal.data(&happened.line()));
        return Ok(exit::OK);
    }
    let read = kept::read(kept, args.attempt)?;
    if terminal.json {
        terminal.json(&View::of(&read));
        return Ok(exit::OK);
    }
    lines(&read, terminal).iter().for_each(|line| terminal.data(line));
    Ok(exit::OK)
}

fn lines(read: &Read, terminal: &Terminal) -> Vec<String> {
    let status = read.run.status();
    let source = &read.asked.source;
    let word = read.conclusion().map_or("unfinished", Conclusion::word);
    let git_ref = read.asked.plan.event.git_ref.trim_start_matches("refs/heads/").to_string();
    let mut lines = vec![
        format!("run-{} {}: {word}", read.number(), status.title.as_ref().unwrap_or(&status.name)),
        format!("{} on {}, {git_ref} {}", read.asked.plan.workflow.path, status.event, commit(&source.sha, source.snapshot.is_some())),
        format!("attempt {}{}, by {}, {}", read.attempt.number, again(read), read.attempt.by, minute(read.attempt.at)),
    ];
    lines.extend(view::job_lines(&status, terminal));
    for (key, attempt) in &read.attempt.reused {
        let name = view::name_of(&read.run, key);
        lines.push(terminal.paint(&format!("{name} is taken from attempt {attempt}"), Tone::Faint));
    }
    for it in &read.asked.not_run {
        lines.push(terminal.paint(&format!("{} does not run: {}", it.path, it.reason), Tone::Faint));
    }
    if read.kept.is_cleared() {
        lines.push(terminal.paint("its artifacts and workspaces are gone: newer runs have theirs", Tone::Faint));
    }
    lines
}

fn again(read: &Read) -> String {
    let name = |job: &str| view::name_of(&read.run, job);
    match &read.attempt.again {
        Again::All => String::new(),
        Again::Failed => " of what failed".to_string(),
        Again::Job { job } => format!(" of `{}`", name(job)),
        Again::Step { job, step } => format!(" of `{}` from `{step}` on", name(job)),
    }
}
