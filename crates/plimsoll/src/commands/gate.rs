//! What people say to the gate: approvals and refusals, freezes, and emergencies.

use base::time::parse_duration_ms;
use record::ReleaseEntry;
use release::EnvironmentEvent;

use super::release::steer_with;
use super::{actor, project_of, running};
use crate::cli::{Approve, Env, Freeze, Gate, OfDir, Override, Reject};
use crate::client::Client;
use crate::compose::LOCAL;
use crate::exit;
use crate::failure::{Failure, Result};
use crate::server::{EnvironmentAsk, InboxEntry};
use crate::terminal::Terminal;
use crate::world;

pub async fn approve(args: &Approve, terminal: &Terminal) -> Result<u8> {
    steer_with(&args.one, "approve", serde_json::json!({ "by": actor(), "comment": args.comment }), terminal).await
}

pub async fn reject(args: &Reject, terminal: &Terminal) -> Result<u8> {
    steer_with(&args.one, "reject", serde_json::json!({ "by": actor(), "comment": args.comment }), terminal).await
}

pub async fn inbox(terminal: &Terminal) -> Result<u8> {
    let entries: Vec<InboxEntry> = match Client::existing(&super::dirs_to_read()?).await? {
        Some(client) => client.get("/api/v1/inbox").await?,
        None => Vec::new(),
    };
    if terminal.json {
        terminal.json(&entries);
        return Ok(exit::OK);
    }
    for InboxEntry { release, project_name, waiting, .. } in &entries {
        let ReleaseEntry { number, environment, .. } = release;
        let what = super::release::what(release);
        terminal.data(&format!("{project_name} → {environment}  release-{number} {what}\n    {waiting}"));
    }
    if entries.is_empty() {
        terminal.data("nothing waits for anybody");
    }
    Ok(exit::OK)
}

pub async fn env(command: Env, terminal: &Terminal) -> Result<u8> {
    match command {
        Env::Freeze(args) => freeze(&args, terminal).await,
        Env::Unfreeze(of) => ask(&of, &EnvironmentAsk::Unfreeze, terminal).await,
    }
}

async fn freeze(args: &Freeze, terminal: &Terminal) -> Result<u8> {
    let until = match (&args.lasts, &args.until) {
        (Some(lasts), _) => Some(world::now().plus_ms(duration("--for", lasts)?)),
        (None, Some(until)) => Some(
            until
                .parse()
                .map_err(|_| Failure::usage(format!("`{until}` is no moment")).hint("`--until 2026-12-24T18:00:00Z`, or `--for 2h`"))?,
        ),
        (None, None) => None,
    };
    ask(&args.of, &EnvironmentAsk::Freeze { reason: args.reason.clone(), until }, terminal).await
}

pub async fn gate(command: Gate, terminal: &Terminal) -> Result<u8> {
    let Gate::Override(Override { reason, ticket, lasts, of }) = command;
    let until = world::now().plus_ms(duration("--for", &lasts)?);
    ask(&of, &EnvironmentAsk::Override { reason, ticket, until }, terminal).await
}

fn duration(flag: &str, text: &str) -> Result<u64> {
    parse_duration_ms(text)
        .filter(|ms| *ms > 0)
        .ok_or_else(|| Failure::usage(format!("`{text}` of `{flag}` is no length of time")).hint("`30m`, `2h`, `1d`"))
}

async fn ask(of: &OfDir, ask: &EnvironmentAsk, terminal: &Terminal) -> Result<u8> {
    let client = running().await?;
    let project = project_of(&of.dir)?;
    let path = format!("/api/v1/environments/ask?project={project}&environment={LOCAL}&by={}", encoded(&actor()));
    let event: EnvironmentEvent = client.post(&path, ask).await?;
    if terminal.json {
        terminal.json(&event);
        return Ok(exit::OK);
    }
    terminal.say(&match event {
        EnvironmentEvent::Frozen { reason, until: None, .. } => {
            format!("`{LOCAL}` is frozen: {reason}; nothing moves forward until `plimsoll env unfreeze`, the way back stays free")
        }
        EnvironmentEvent::Frozen { reason, until: Some(until), .. } => {
            format!("`{LOCAL}` is frozen until {}: {reason}; the way back stays free", until.date_and_clock())
        }
        EnvironmentEvent::Unfrozen { .. } => format!("`{LOCAL}` is not frozen any more"),
        EnvironmentEvent::Overridden { by, .. } => {
            format!("the gate of `{LOCAL}` is OVERRIDDEN {by}; every release that uses it says so for ever")
        }
        other => other.kind().to_string(),
    });
    Ok(exit::OK)
}

/// For a query: letters, digits and what needs no escape stay.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
