//! `plimsoll graph`: the plan's jobs and what each waits for, drawn.

use std::path::Path;

use base::Source;
use workflow::model::{Work, Workflow};
use workflow::plan::{CALLED_MAX, called_key};

use super::run;
use crate::cli::{Graph as GraphArgs, GraphFormat};
use crate::compose::refuse;
use crate::exit;
use crate::failure::{Failure, Result};
use crate::graph::{Graph, dot, lines, mermaid};
use crate::terminal::Terminal;

pub fn graph(args: &GraphArgs, terminal: &Terminal) -> Result<u8> {
    let graphs = match run::gitlab_graph(args.file.as_deref(), terminal)? {
        Some(graph) => vec![graph],
        None => github(args.file.as_deref())?,
    };
    if terminal.json || args.format == GraphFormat::Json {
        terminal.json(&graphs);
        return Ok(exit::OK);
    }
    let text = match args.format {
        GraphFormat::Mermaid => mermaid(&graphs),
        GraphFormat::Dot => dot(&graphs),
        GraphFormat::Text | GraphFormat::Json => graphs.iter().map(|graph| lines(graph).join("\n")).collect::<Vec<_>>().join("\n\n"),
    };
    terminal.data(&text);
    Ok(exit::OK)
}

/// The file named, else all below `.github/workflows`, whatever their triggers say; nothing is fetched.
fn github(file: Option<&Path>) -> Result<Vec<Graph>> {
    let root = run::root_of(file)?;
    let files = match file.filter(|file| !file.is_dir()) {
        Some(file) => vec![file.to_path_buf()],
        None => run::workflow_files(&root).map_err(|failure| run::or_workflows_above(failure, &root, "graph"))?,
    };
    if files.is_empty() {
        return Err(Failure::not_found(format!("there is no workflow below `{}`", root.join(".github/workflows").display())));
    }
    files.iter().map(|file| read(&root, file).map(|workflow| Graph::of(&workflow))).collect()
}

fn read(root: &Path, file: &Path) -> Result<Workflow> {
    let text = std::fs::read_to_string(file).map_err(|error| super::run::unread(file, &error))?;
    let name = file.strip_prefix(root).unwrap_or(file).display().to_string();
    let mut workflow = parsed(&name, text)?;
    let mut open: Vec<String> = calls(&workflow, None);
    while let Some(key) = open.pop() {
        // What another repository has is named and not drawn.
        let Some(path) = key.strip_prefix("./").filter(|_| !workflow.called.contains_key(&key)) else { continue };
        if workflow.called.len() >= CALLED_MAX {
            break;
        }
        let text = std::fs::read_to_string(root.join(path))
            .map_err(|error| Failure::usage(format!("`{name}` calls `{path}`, which can't be read: {error}")))?;
        let called = parsed(path, text)?;
        open.extend(calls(&called, Some(&key)));
        workflow.called.insert(key, called);
    }
    Ok(workflow)
}

fn parsed(name: &str, text: String) -> Result<Workflow> {
    let source = Source::new(name, text);
    let (workflow, diagnostics) = workflow::github::parse(&source);
    refuse(&source, &diagnostics)?;
    workflow.ok_or_else(|| Failure::usage(format!("`{name}` can't be read")))
}

fn calls(workflow: &Workflow, key: Option<&str>) -> Vec<String> {
    let called = workflow.jobs.iter().filter_map(|job| match &job.work {
        Work::Call { uses, .. } => Some(called_key(key, uses)),
        Work::Steps { .. } => None,
    });
    called.collect()
}
