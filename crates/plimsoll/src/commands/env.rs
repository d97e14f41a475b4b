//! `plimsoll env`: an environment is frozen, and not any more.

use base::time::parse_duration_ms;
use release::{EnvironmentEvent, environment};

use super::{actor, project_of, running};
use crate::cli::{Env, Freeze, OfEnvironment};
use crate::compose::{LOCAL, environment_named, project_above};
use crate::exit;
use crate::failure::{Failure, Result};
use crate::server::{Demand, EnvironmentAsk, EnvironmentView};
use crate::terminal::Terminal;
use crate::world;

pub async fn env(command: Env, terminal: &Terminal) -> Result<u8> {
    match command {
        Env::Freeze(args) => freeze(&args, terminal).await,
        Env::Unfreeze(at) => ask(&at, Demand::Unfreeze, terminal).await,
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
    ask(&args.at, Demand::Freeze { reason: args.reason.clone(), until }, terminal).await
}

/// Puts it on record, and says what that means.
pub(super) async fn ask(at: &OfEnvironment, demand: Demand, terminal: &Terminal) -> Result<u8> {
    let client = running().await?;
    let of = &at.of;
    let project = project_of(&of.dir)?;
    let known: Vec<EnvironmentView> = client.get(&format!("/api/v1/environments?project={project}")).await?;
    if project_above(&of.dir).is_some() && known.is_empty() {
        return Err(Failure::not_found("this folder is no project of its own"));
    }
    let name = meant(at, &known)?;
    let ask = EnvironmentAsk { project, environment: name.clone(), by: actor(), demand };
    let event: EnvironmentEvent = client.post("/api/v1/environments/ask", &ask).await?;
    if terminal.json {
        terminal.json(&event);
        return Ok(exit::OK);
    }
    terminal.say(&match event {
        EnvironmentEvent::Frozen { reason, until: None, .. } => {
            let at = environment::flag(&name);
            format!("`{name}` is frozen: {reason}; nothing moves forward until `plimsoll env unfreeze{at}`, the way back stays free")
        }
        EnvironmentEvent::Frozen { reason, until: Some(until), .. } => {
            format!("`{name}` is frozen until {}: {reason}; the way back stays free", until.date_and_clock())
        }
        EnvironmentEvent::Unfrozen { .. } => format!("`{name}` is not frozen any more"),
        EnvironmentEvent::Overridden { by, .. } => {
            format!("the gate of `{name}` is OVERRIDDEN {by}; every release that uses it says so for ever")
        }
        EnvironmentEvent::Confirmed { by, .. } => format!("{by} answers for the override of `{name}` too; it is on record"),
        other => other.kind().to_string(),
    });
    Ok(exit::OK)
}

/// The environment that is asked for, else the only one there is.
///
/// # Errors
/// When there are several, or none of that name.
pub(super) fn meant(at: &OfEnvironment, known: &[EnvironmentView]) -> Result<String> {
    match (&at.environment, known) {
        (Some(asked), _) => {
            let is_asked = |view: &&EnvironmentView| view.environment.eq_ignore_ascii_case(asked);
            known.iter().find(is_asked).map_or_else(|| environment_named(&at.of.dir, asked), |view| Ok(view.environment.clone()))
        }
        (None, []) => Ok(LOCAL.to_string()),
        (None, [only]) => Ok(only.environment.clone()),
        (None, several) => Err(several_environments(several)),
    }
}

pub(super) fn several_environments(of: &[EnvironmentView]) -> Failure {
    let names: Vec<String> = of.iter().map(|view| format!("`{}`", view.environment)).collect();
    Failure::usage(format!("this project has several environments: {}", names.join(", "))).hint("`--environment NAME` says which")
}

pub(super) fn duration(flag: &str, text: &str) -> Result<u64> {
    parse_duration_ms(text)
        .filter(|ms| *ms > 0)
        .ok_or_else(|| Failure::usage(format!("`{text}` of `{flag}` is no length of time")).hint("`30m`, `2h`, `1d`"))
}
