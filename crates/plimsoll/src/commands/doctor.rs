//! `plimsoll doctor`: is this machine fit, and do the promises hold on the record.

use std::process::Command;

use host::container::{Engine, Left, remove_left};

use super::{dirs, running};
use crate::cli::Doctor;
use crate::doctor::Report;
use crate::exit;
use crate::failure::Result;
use crate::terminal::Terminal;
use crate::view::{Mark, marked};

/// Tools, and what they are for.
const TOOLS: &[(&str, &str, bool)] = &[
    ("git", "reads repositories", true),
    ("bash", "runs steps (without it `sh` does)", false),
    ("python3", "the example shop, and steps with `shell: python`", false),
    ("node", "JavaScript actions", false),
];

pub async fn doctor(args: &Doctor, terminal: &Terminal) -> Result<u8> {
    if args.verify {
        return verify(terminal).await;
    }
    let mut fit = true;
    let mut found = Vec::new();
    for (tool, purpose, needed) in TOOLS {
        let version = version_of(tool);
        fit &= version.is_some() || !needed;
        let (mark, text) = match &version {
            Some(version) => (Mark::Good, version.clone()),
            None if *needed => (Mark::Bad, format!("missing; {purpose}")),
            None => (Mark::Warn, format!("missing; {purpose}")),
        };
        if !terminal.json {
            terminal.data(&marked(terminal, mark, &format!("{tool:<8} {text}")));
        }
        found.push(serde_json::json!({ "tool": tool, "version": version, "needed": needed }));
    }
    let chosen = std::env::var(host::container::CHOICE).ok();
    let engine = Engine::find(chosen.as_deref(), &std::env::var("PATH").unwrap_or_default());
    let (mark, said) = match &engine {
        Ok(engine) => match remove_left(engine) {
            Ok(left) if left == Left::default() => (Mark::Good, format!("{} for jobs and actions in containers", engine.name())),
            Ok(Left { containers, networks }) => {
                let left = format!("removed {containers} containers and {networks} networks of jobs and instances that are gone");
                (Mark::Good, format!("{}; {left}", engine.name()))
            }
            Err(why) => (Mark::Warn, format!("{} doesn't answer: {why}", engine.name())),
        },
        Err(why) => (Mark::Warn, format!("{why}; jobs and actions in containers")),
    };
    if !terminal.json {
        terminal.data(&marked(terminal, mark, &format!("{:<8} {said}", "engine")));
    }
    found.push(serde_json::json!({ "tool": "engine", "version": engine.ok().map(|engine| engine.name()), "needed": false }));
    let state = dirs();
    fit &= state.is_ok();
    let (mark, state) = match &state {
        Ok(dirs) => (Mark::Good, dirs.state().display().to_string()),
        Err(failure) => (Mark::Bad, failure.message.clone()),
    };
    if terminal.json {
        terminal.json(&serde_json::json!({ "tools": found, "state": state, "fit": fit }));
    } else {
        terminal.data(&marked(terminal, mark, &format!("state    {state}")));
    }
    Ok(if fit { exit::OK } else { exit::FAILED })
}

fn version_of(tool: &str) -> Option<String> {
    let output = Command::new(tool).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then(|| text.lines().next().unwrap_or_default().to_string())
}

async fn verify(terminal: &Terminal) -> Result<u8> {
    let report: Report = running().await?.post("/api/v1/verify", &()).await?;
    if terminal.json {
        terminal.json(&report);
    } else {
        for check in &report.checks {
            let mark = if check.violations.is_empty() { Mark::Good } else { Mark::Bad };
            terminal.data(&marked(terminal, mark, &format!("{:<4} {}", check.promise, check.what)));
            for violation in &check.violations {
                terminal.data(&format!("       {violation}"));
            }
        }
        terminal.data(&format!("{} facts, {} releases", report.facts, report.releases));
    }
    Ok(if report.holds() { exit::OK } else { exit::FAILED })
}
