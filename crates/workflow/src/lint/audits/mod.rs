//! One file an audit: what it finds, why that matters, where the rule comes from, an example of both.

mod adhoc_packages;
mod anonymous_definition;
mod archived_uses;
mod artipacked;
mod bot_conditions;
mod cache_poisoning;
mod concurrency_limits;
mod constant_condition;
mod dangerous_triggers;
mod dependabot_cooldown;
mod dependabot_execution;
mod deprecated_commands;
mod duplicate_matrix_values;
mod excessive_permissions;
mod forbidden_uses;
mod frequent_schedule;
mod github_app;
mod github_env;
mod hardcoded_container_credentials;
mod hardcoded_secrets;
mod insecure_commands;
mod insecure_url_scheme;
mod known_vulnerable_actions;
mod misfeature;
mod obfuscation;
mod overprovisioned_secrets;
mod ref_version_mismatch;
mod secrets_inherit;
mod secrets_outside_env;
mod self_hosted_runner;
mod self_repository;
mod shell_name;
mod superfluous_actions;
mod template_injection;
mod typosquat_uses;
mod undocumented_permissions;
mod unpinned_images;
mod unpinned_tools;
mod unpinned_uses;
mod unredacted_secrets;
mod unsound_condition;
mod unsound_contains;
mod unsound_ternary;
mod use_trusted_publishing;

use base::yaml::Node;

use super::document::{Document, Step};
use super::edit;
use super::fenced::{self, Context};
use super::inputs::{self, Does, Rule, Unsaid, When};
use super::shell;
use super::taint;
use super::uses::{self, Action, Image, Uses};
use super::{Audit, Confidence, Edit, Finding, Fix, Forbidden, Persona, Report, Severity};

pub(super) const AUDITS: &[Audit] = &[
    adhoc_packages::AUDIT,
    anonymous_definition::AUDIT,
    archived_uses::AUDIT,
    artipacked::AUDIT,
    bot_conditions::AUDIT,
    cache_poisoning::AUDIT,
    concurrency_limits::AUDIT,
    constant_condition::AUDIT,
    dangerous_triggers::AUDIT,
    dependabot_cooldown::AUDIT,
    dependabot_execution::AUDIT,
    deprecated_commands::AUDIT,
    duplicate_matrix_values::AUDIT,
    excessive_permissions::AUDIT,
    forbidden_uses::AUDIT,
    frequent_schedule::AUDIT,
    github_app::AUDIT,
    github_env::AUDIT,
    hardcoded_container_credentials::AUDIT,
    hardcoded_secrets::AUDIT,
    insecure_commands::AUDIT,
    insecure_url_scheme::AUDIT,
    known_vulnerable_actions::AUDIT,
    misfeature::AUDIT,
    obfuscation::AUDIT,
    overprovisioned_secrets::AUDIT,
    ref_version_mismatch::AUDIT,
    secrets_inherit::AUDIT,
    secrets_outside_env::AUDIT,
    self_hosted_runner::AUDIT,
    self_repository::AUDIT,
    shell_name::AUDIT,
    superfluous_actions::AUDIT,
    template_injection::AUDIT,
    typosquat_uses::AUDIT,
    undocumented_permissions::AUDIT,
    unpinned_images::AUDIT,
    unpinned_tools::AUDIT,
    unpinned_uses::AUDIT,
    unredacted_secrets::AUDIT,
    unsound_condition::AUDIT,
    unsound_contains::AUDIT,
    unsound_ternary::AUDIT,
    use_trusted_publishing::AUDIT,
];

/// Every action and called workflow of a file, its `uses:`, and the place of the step or job it stands in.
fn actions<'a>(document: &Document<'a>) -> Vec<(Action<'a>, &'a Node, base::Span)> {
    let jobs = document.jobs().into_iter().filter_map(|job| Some((job.uses()?, job.node.span)));
    let steps = document.steps().into_iter().filter_map(|step| Some((step.uses()?, step.span())));
    let of_action = |((uses, node), span): ((Uses<'a>, &'a Node), base::Span)| match uses {
        Uses::Action(action) => Some((action, node, span)),
        Uses::Local(_) | Uses::Image(_) => None,
    };
    jobs.chain(steps).filter_map(of_action).collect()
}

/// A step's calls of programs, where its shell is one that is read here, each with its place in the file.
fn commands(document: &Document<'_>, step: &Step<'_>) -> Vec<(shell::Command, base::Span)> {
    let Some(located) = step.run().and_then(|run| document.located(run)) else { return Vec::new() };
    if !step.is_shell_script(document) && !step.is_powershell(document) {
        return Vec::new();
    }
    // PowerShell goes on with a line after a backtick.
    let script = if step.is_powershell(document) { located.text.replace("`\n", "  ") } else { located.text.clone() };
    shell::commands(&script)
        .into_iter()
        .map(|command| (located.place(command.span), command))
        .map(|(span, command)| (command, span))
        .collect()
}
