//! `plimsoll env`: an environment is frozen, and not any more.

use base::time::parse_duration_ms;
use release::EnvironmentEvent;

use super::{actor, project_of, running};
use crate::cli::{Env, Freeze, OfDir};
use crate::compose::{LOCAL, project_above};
use crate::exit;
use crate::failure::{Failure, Result};
use crate::server::{Demand, EnvironmentAsk, EnvironmentView};
use crate::terminal::Terminal;
use crate::world;

pub async fn env(command: Env, terminal: &Terminal) -> Result<u8> {
    match command {
        Env::Freeze(args) => freeze(&args, terminal).await,
        Env::Unfreeze(of) => ask(&of, Demand::Unfreeze, terminal).await,
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
    ask(&args.of, Demand::Freeze { reason: args.reason.clone(), until }, terminal).await
}

/// Puts it on record, and says what that means.
pub(super) async fn ask(of: &OfDir, demand: Demand, terminal: &Terminal) -> Result<u8> {
    let client = running().await?;
    let project = project_of(&of.dir)?;
    if project_above(&of.dir).is_some() {
        let known: Vec<EnvironmentView> = client.get(&format!("/api/v1/environments?project={project}")).await?;
        if known.is_empty() {
            return Err(Failure::not_found("this folder is no project of its own"));
        }
    }
    let ask = EnvironmentAsk { project, environment: LOCAL.to_string(), by: actor(), demand };
    let event: EnvironmentEvent = client.post("/api/v1/environments/ask", &ask).await?;
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
        EnvironmentEvent::Confirmed { by, .. } => format!("{by} answers for the override of `{LOCAL}` too; it is on record"),
        other => other.kind().to_string(),
    });
    Ok(exit::OK)
}

pub(super) fn duration(flag: &str, text: &str) -> Result<u64> {
    parse_duration_ms(text)
        .filter(|ms| *ms > 0)
        .ok_or_else(|| Failure::usage(format!("`{text}` of `{flag}` is no length of time")).hint("`30m`, `2h`, `1d`"))
}
