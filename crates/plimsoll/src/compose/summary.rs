//! The six lines that say what will happen.

use std::collections::BTreeMap;

use base::counted;
use base::time::format_duration_ms;
use release::{Commit, Delivery, Ships};
use rollout::rolling::resolve;
use rollout::{Step, Strategy};
use workflow::model::{Job, Workflow};
use workflow::runners::Rule;

use super::{Contained, short};

pub(super) fn runs(workflows: &[Workflow], git_ref: &str, deliver_by_workflow: bool) -> String {
    match workflows {
        [] => format!("no workflow file runs on a push to {}", git_ref.trim_start_matches("refs/heads/")),
        _ => workflows
            .iter()
            .map(|workflow| {
                let left_out = left_out(workflow, deliver_by_workflow);
                format!("{} ({}{left_out})", workflow.path, counted(workflow.jobs.len(), "job"))
            })
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// Jobs that don't run here, or whose work is the release's own; what needs one of them is skipped with it, unless its condition says
/// otherwise.
fn left_out(workflow: &Workflow, deliver_by_workflow: bool) -> String {
    let delivers = |job: &Job| !deliver_by_workflow && job.environment.is_some();
    let is_out = |job: &&Job| delivers(job) || workflow.runners.skips(job);
    let out: Vec<&Job> = workflow.jobs.iter().filter(is_out).collect();
    let names: Vec<String> = out.iter().map(|job| format!("`{}`", job.id)).collect();
    let is_needed = workflow.jobs.iter().any(|job| job.needs.iter().any(|need| out.iter().any(|out| out.id == *need)));
    let and_rest = if is_needed { " and what needs it" } else { "" };
    let without = if out.is_empty() { String::new() } else { format!(", without {}{and_rest}", names.join(", ")) };
    format!("{without}{}", by_label(workflow))
}

/// What `workflows.runners` does with the labels of jobs that run.
fn by_label(workflow: &Workflow) -> String {
    let jobs = workflow.jobs.iter().filter(|job| !workflow.runners.skips(job));
    let told: BTreeMap<String, &Rule> = jobs.flat_map(|job| workflow.runners.told(job)).collect();
    let said = told.iter().filter_map(|(label, rule)| match rule {
        Rule::Host => None,
        Rule::Skip => Some(format!(", without those on `{label}`")),
        Rule::Image(image) => Some(format!(", those on `{label}` in a container of {image}")),
    });
    said.collect()
}

/// A working tree that is taken as it is may be what the commit is.
pub(super) fn commit(commit: &Commit, differs: bool) -> String {
    let changes = if commit.dirty && differs { " with the changes that are not committed" } else { "" };
    format!("{} {}{changes} ({})", short(&commit.sha), commit.subject, commit.git_ref.trim_start_matches("refs/heads/"))
}

pub(super) fn ships(ships: &Ships, build: Option<&str>, configured: bool, dirty: bool) -> String {
    let files = if dirty { "the files as they lie here" } else { "the commit's files" };
    match (ships, build) {
        (_, Some(build)) => format!("what `{build}` makes (detected)"),
        (Ships::Left(what), None) => format!("`{what}`, which the workflow leaves"),
        (Ships::Source, None) if configured => format!("{files} (`plimsoll.yaml` names no artifact)"),
        (Ships::Source, None) => format!("{files} (no `plimsoll.yaml` names an artifact)"),
    }
}

pub(super) fn starts(start: &str, why: &str, container: Option<&Contained>) -> String {
    match container {
        None => format!("{start} ({why})"),
        Some(Contained { asked, .. }) if start.is_empty() => format!("the image {} as it is ({why})", asked.image),
        Some(Contained { asked, .. }) => format!("{start}, in a container of {} ({why})", asked.image),
    }
}

pub(super) fn gate(gate: &gate::GatePlan) -> String {
    let own = match gate.policies.as_slice() {
        [] => None,
        [policy] => Some(policy.path.clone()),
        policies => Some(format!("{} policy files", policies.len())),
    };
    let replaces = |policy: &gate::PolicyFile| policy.text.lines().any(|line| line.trim() == "package plimsoll.gate");
    let is_replaced = gate.policies.iter().any(replaces);
    let asked: Vec<String> = gate.approvals.rules.iter().map(gate::approval::Rule::sentence).collect();
    let approvals = if asked.is_empty() { String::new() } else { format!("; approved by {}", asked.join(", ")) };
    let hours = if gate.calendar.is_empty() { "" } else { "; in the hours of `gate.window`" };
    if let Some(own) = own.as_ref().filter(|_| is_replaced) {
        return format!("{own} alone, in place of the default policy{approvals}{hours}");
    }
    let besides = own.map(|own| format!(" and {own}")).unwrap_or_default();
    let promised = match gate.slos.objectives.len() {
        0 => String::new(),
        1 => format!("; the error budget of {} lasts", gate.slos.objectives[0].name),
        count => format!("; {count} error budgets last"),
    };
    let incidents = gate.incidents.as_ref().map(|incidents| format!("; no open {}", incidents.which())).unwrap_or_default();
    let checks = match gate.checks.len() {
        0 => String::new(),
        count => format!("; {}", counted(count, "check")),
    };
    let branch = if gate.protection.is_some() { "; a protected branch" } else { "" };
    let commits = if gate.commits.is_some() { "; conventional commits" } else { "" };
    let coverage = gate.coverage_min_percent;
    let level = gate.level.map(|level| format!(" for {level}")).unwrap_or_default();
    let asked = format!("tests passed, coverage at least {coverage} %, {}", may_ship(gate));
    let required: Vec<&str> = gate.evidence_required.iter().map(|kind| kind.as_str()).collect();
    let required = if required.is_empty() { String::new() } else { format!("; evidence of {} must be there", required.join(", ")) };
    let slower = gate.regression_threshold_percent.map(|most| format!("; benchmarks at most {most} % slower")).unwrap_or_default();
    format!("the default policy{level}{besides}: {asked}{required}{slower}{promised}{incidents}{checks}{branch}{commits}{approvals}{hours}")
}

/// `nothing critical, at most 5 high, no secret, level 2 of SLSA, signed`.
fn may_ship(gate: &gate::GatePlan) -> String {
    let most = gate.findings_max;
    let of = |name: &str, most: Option<u64>| match most? {
        0 => Some(format!("nothing {name}")),
        most => Some(format!("at most {most} {name}")),
    };
    let secrets = most.secrets.map(|most| if most == 0 { "no secret".to_string() } else { format!("at most {most} secrets") });
    let provenance = (gate.provenance_min > 0).then(|| format!("level {} of SLSA", gate.provenance_min));
    let signed = gate.signed.then(|| "signed".to_string());
    let findings = [of("critical", most.critical), of("high", most.high), of("medium", most.medium), of("low", most.low)];
    findings.into_iter().chain([secrets, provenance, signed]).flatten().collect::<Vec<_>>().join(", ")
}

pub(super) fn traffic(delivery: &Delivery) -> String {
    match &delivery.strategy {
        Strategy::Immediate => "all at once".to_string(),
        Strategy::BlueGreen { auto_promotion_ms } => {
            let by = if auto_promotion_ms.is_some() { "" } else { " when somebody says `plimsoll release promote` or `resume`" };
            format!("blue-green: without traffic beside the version that runs, then all at once{by}")
        }
        Strategy::RollingUpdate { max_surge, max_unavailable } => {
            let (surge, unavailable) = resolve(*max_surge, *max_unavailable, delivery.replicas);
            let (most, least) = (delivery.replicas.saturating_add(surge), delivery.replicas.saturating_sub(unavailable));
            let most = counted(most as usize, "instance");
            match least {
                0 if surge == 0 && delivery.replicas == 1 => {
                    "rolling: the instance is replaced in its place: nobody answers in between".to_string()
                }
                0 => format!("rolling: instances replaced in steps, never more than {most}; none may be ready in between"),
                least => format!("rolling: instances replaced in steps, never more than {most} and never fewer than {least} ready"),
            }
        }
        Strategy::Canary { steps } => {
            let mut parts: Vec<String> = Vec::new();
            for step in steps {
                match (step, parts.last_mut()) {
                    (Step::SetWeight(weight), _) => parts.push(format!("{} %", f64::from(*weight) / 100.0)),
                    (Step::Pause { duration_ms }, Some(last)) => *last = format!("{last} {}", pause(*duration_ms)),
                    (Step::Pause { duration_ms }, None) => parts.push(format!("no traffic {}", pause(*duration_ms))),
                }
            }
            parts.push("100 %".to_string());
            format!("canary {}, judged against the version that runs beside it", parts.join(" → "))
        }
    }
}

fn pause(duration_ms: Option<u64>) -> String {
    duration_ms.map_or("(until somebody resumes)".to_string(), |ms| format!("(at least {})", format_duration_ms(ms)))
}

/// Of a first version, which has nothing to be compared with.
pub fn traffic_of_the_first(delivery: &Delivery) -> String {
    match &delivery.strategy {
        Strategy::Immediate => traffic(delivery),
        Strategy::BlueGreen { .. } | Strategy::RollingUpdate { .. } | Strategy::Canary { .. } => {
            format!("all at once, as it is the first here; from the next on {}", traffic(delivery))
        }
    }
}
