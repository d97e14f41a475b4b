//! `plimsoll slo`: what is left of the error budgets, as the gate would see it now.

use gate::GatePlan;
use gate::slo::{Severity, Slos, Status, WhenUnknown};

use crate::cli::{Check, Slo};
use crate::exit;
use crate::failure::{Failure, Result};
use crate::terminal::Terminal;
use crate::view::{Mark, marked};

pub async fn slo(command: Slo, terminal: &Terminal) -> Result<u8> {
    let (Slo::Status(args) | Slo::Burn(args) | Slo::Budget(args)) = &command;
    let mut proposal = super::gate::proposal(&args.of, args.environment.as_deref(), args.dirty)?;
    let slos = proposal.gate.slos.clone();
    if slos.is_empty() {
        return Err(promises_nothing(args));
    }
    // Nothing else is asked for here.
    proposal.gate = GatePlan { slos: slos.clone(), ..GatePlan::default() };
    let statuses = super::gate::circumstances(&proposal).await?.slo;
    let code = statuses.iter().map(|status| code(&slos, status)).max_by_key(|code| (*code == exit::DENIED, *code)).unwrap_or(exit::OK);
    if terminal.json {
        terminal.json(&statuses);
        return Ok(code);
    }
    for status in &statuses {
        terminal.data(&marked(terminal, mark(&slos, status), &status.sentence()));
        match &command {
            Slo::Status(_) => burns(status, false, terminal),
            Slo::Burn(_) => burns(status, true, terminal),
            Slo::Budget(_) => budget(status, terminal),
        }
    }
    Ok(code)
}

/// As the default policy has it.
pub(super) fn code(slos: &Slos, status: &Status) -> u8 {
    let used_up = status.budget_left_percent.is_some_and(|left| left <= slos.budget_min_percent);
    let pages = status.fires().any(|burn| burn.severity == Severity::Page);
    match (&status.unknown, slos.unknown) {
        (Some(_), WhenUnknown::Hold) => exit::WAITING,
        (Some(_), WhenUnknown::Deny) => exit::DENIED,
        (Some(_), WhenUnknown::Allow) => exit::OK,
        (None, _) if used_up || pages => exit::DENIED,
        (None, _) => exit::OK,
    }
}

pub(super) fn mark(slos: &Slos, status: &Status) -> Mark {
    match code(slos, status) {
        exit::DENIED => Mark::Bad,
        exit::WAITING => Mark::Warn,
        _ if status.unknown.is_some() || status.too_few_events || status.fires().next().is_some() => Mark::Warn,
        _ => Mark::Good,
    }
}

fn burns(status: &Status, all: bool, terminal: &Terminal) {
    for burn in status.burn.iter().filter(|burn| all || burn.fires) {
        let (long, short) = (format!("{} over {}", burn.long_rate, burn.long), format!("{} over {}", burn.short_rate, burn.short));
        let word = match (burn.fires, burn.severity) {
            (true, Severity::Page) => "fires, and denies",
            (true, Severity::Ticket) => "fires, and warns",
            (false, _) => "is quiet",
        };
        terminal.data(&format!("    burns {long}, {short}; the rule of {} {word}", burn.factor));
    }
}

fn budget(status: &Status, terminal: &Terminal) {
    let (Some(events), Some(errors)) = (status.events, status.errors) else { return };
    let allowed = events * (100.0 - status.target_percent) / 100.0;
    terminal.data(&format!("    {errors} of {events} events were bad, {} may be", (allowed * 10.0).round() / 10.0));
}

fn promises_nothing(args: &Check) -> Failure {
    let message = "the project promises nothing: `gate.slo` is not in `plimsoll.yaml`";
    let failure = Failure::not_found(message).hint("docs/gate.md shows how objectives are written");
    if args.dirty { failure } else { failure.hint("only what is committed counts; `--dirty` takes the working tree as it is") }
}
