//! `plimsoll replay FILE`: a release's record, or a rollout's script as the tests run it; both are decided again by the same machines.

use std::sync::Arc;

use base::{Source, diagnostic};
use record::{Fact, ledger};
use release::{Event, Plan, Release};

use crate::cli::Replay;
use crate::exit;
use crate::failure::{Doing, Failure, Result};
use crate::terminal::Terminal;
use crate::view::Narrator;

pub fn replay(args: &Replay, terminal: &Terminal) -> Result<u8> {
    let name = args.file.display().to_string();
    if name != "-" && (!args.file.exists() || args.file.is_dir()) {
        return Err(Failure::not_found(format!("there is no file `{name}`"))
            .hint("`plimsoll release view --record` writes one; docs/rollout.md says what a script looks like"));
    }
    let text = match name.as_str() {
        "-" => std::io::read_to_string(std::io::stdin()),
        _ => std::fs::read_to_string(&args.file),
    };
    let text = text.doing(&format!("read {name}"))?;
    if text.starts_with('{') {
        return replay_record(&name, &text, terminal);
    }
    match rollout::script::run(&text) {
        Ok(transcript) if terminal.json => terminal.json(&serde_json::json!({ "transcript": transcript.lines().collect::<Vec<_>>() })),
        Ok(transcript) => terminal.data(transcript.trim_end()),
        // Of a script with a mistake most lines have none.
        Err(diagnostics) if diagnostics.len() * 2 > text.lines().filter(|line| !line.trim().is_empty()).count() => {
            return Err(Failure::usage(format!("`{name}` is neither a release's record nor a rollout's script"))
                .hint("`plimsoll release view --record` writes a record; docs/rollout.md says what a script looks like"));
        }
        Err(diagnostics) => {
            let source = Source::new(name.as_str(), text);
            return Err(Failure::usage(format!("`{name}` can't be replayed\n\n{}", diagnostic::render(&source, &diagnostics, false))));
        }
    }
    Ok(exit::OK)
}

/// Tells the release again, event by event, each with its time; ends with the code the release ended with.
fn replay_record(name: &str, text: &str, terminal: &Terminal) -> Result<u8> {
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let mut fact = || -> Result<Option<Fact>> {
        let Some((index, line)) = lines.next() else { return Ok(None) };
        let unreadable = |error| Failure::usage(format!("{name}:{}: this is no fact: {error}", index + 1));
        serde_json::from_str(line).map(Some).map_err(unreadable)
    };
    let first = fact()?.ok_or_else(|| Failure::usage(format!("`{name}` is empty")))?;
    let plan: Plan = ledger::read(&first).doing("read the plan")?;
    let mut release = Release::new(Arc::new(plan));
    let mut narrator = Narrator::new(terminal);
    let mut told = Vec::new();
    while let Some(fact) = fact()? {
        let event: Event = ledger::read(&fact).doing("read an event")?;
        release.apply(&event);
        if terminal.json {
            told.push(serde_json::json!({ "at": fact.at, "kind": event.kind(), "event": event }));
        } else {
            narrator.event(&release, &event);
        }
    }
    if terminal.json {
        terminal.json(&serde_json::json!({ "events": told, "release": release.status() }));
    }
    Ok(release.outcome().map_or(exit::WAITING, release::Outcome::exit_code))
}
