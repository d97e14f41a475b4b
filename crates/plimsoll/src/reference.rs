//! Documents in step with the code: `docs/cli.md` is written from the command tree, the rest is read and compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use base::Source;
use base::time::format_duration_ms;
use clap::{Arg, Command, CommandFactory as _, Parser as _};
use rollout::{Deadline, Step, Strategy};

use crate::cli::Cli;
use crate::commands::help::{CONFIG, ENVIRONMENT, OUTPUT, SIGNALS};
use crate::compose::{Choices, delivery};
use crate::config::{self, Config, KEYS};
use crate::exit;

/// `UPDATE_EXPECT=1` writes the page anew.
#[test]
fn the_commands_page_is_in_step() {
    let path = root().join("docs/cli.md");
    let wanted = commands_page();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "docs/cli.md is out of step with the commands: `UPDATE_EXPECT=1 cargo test -p plimsoll reference`");
}

#[test]
fn the_configuration_page_names_every_key_and_the_defaults_are_true() {
    let page = std::fs::read_to_string(root().join("docs/config.md")).unwrap();
    let rows: BTreeMap<&str, &str> = page.lines().filter_map(table_row).collect();
    let keys: BTreeSet<String> = KEYS.iter().flat_map(|(place, keys)| keys.iter().map(|key| shown_key(place, key))).collect();
    let documented: BTreeSet<String> = rows.keys().map(|key| (*key).to_string()).collect();
    assert_eq!(documented, keys);
    for (key, default) in defaults() {
        assert_eq!(rows.get(key), Some(&default.as_str()), "the default of `{key}` in docs/config.md");
    }
}

#[test]
fn configurations_in_documents_can_be_read() {
    let (_, in_help) = CONFIG.split_once("\n\n").unwrap();
    let mut configurations = vec![("help config".to_string(), in_help.split("\n\n").next().unwrap().to_string())];
    for (name, text) in documents() {
        let own = blocks(&text, &["yaml"]).into_iter().filter(|block| block.starts_with("apiVersion: plimsoll/"));
        configurations.extend(own.map(|block| (name.clone(), block)));
    }
    assert!(configurations.len() > 2, "README.md and docs/config.md have examples");
    let (accepted, configurations): (Vec<_>, Vec<_>) = configurations.into_iter().partition(|(_, text)| text.contains("\nsuppressions:\n"));
    assert!(!accepted.is_empty(), "docs/evidence.md shows how findings are accepted");
    for (name, text) in accepted {
        let mut evidence = gate::Evidence::default();
        evidence.suppress(&text, base::Timestamp::from_ms(0));
        assert!(evidence.broken.is_empty() && !evidence.suppressions.is_empty(), "{name}: {:?}\n{text}", evidence.broken);
    }
    for (name, text) in configurations {
        let (_, diagnostics) = config::parse(&Source::new(name.as_str(), text.as_str()));
        assert!(diagnostics.is_empty(), "{name}: {diagnostics:?}\n{text}");
    }
}

#[test]
fn commands_in_documents_can_be_typed() {
    let mut count = 0;
    for (name, text) in documents() {
        let typed = blocks(&text, &["sh"]).join("\n");
        for line in typed.lines().filter(|line| line.starts_with("plimsoll ")) {
            let words = typed_words(line.split('#').next().unwrap());
            let parsed = Cli::try_parse_from(&words);
            assert!(parsed.is_ok(), "{name}: `{line}`: {}", parsed.unwrap_err());
            count += 1;
        }
    }
    assert!(count > 5, "the documents show commands");
}

/// As a shell splits it; the documents use double quotes only.
fn typed_words(line: &str) -> Vec<String> {
    let quoted = line.split('"').enumerate();
    let parts = quoted.map(|(index, part)| if index % 2 == 1 { part.replace(' ', "\u{1}") } else { part.to_string() });
    parts.collect::<String>().split_whitespace().map(|word| word.replace('\u{1}', " ")).collect()
}

#[test]
fn the_page_on_lints_names_every_audit() {
    let page = std::fs::read_to_string(root().join("docs/lint.md")).unwrap();
    let rows: BTreeMap<String, String> =
        workflow::lint::audits().map(|(id, summary)| (id.to_string(), format!("| `{id}` | {summary} |"))).collect();
    for row in rows.values() {
        assert!(page.lines().any(|line| line == row), "docs/lint.md lacks `{row}`");
    }
    let listed = page.split("| audit | finds |").nth(1).unwrap_or_default().lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(listed, rows.len(), "docs/lint.md lists an audit that isn't there");
    assert!(workflow::lint::LEFT_TO_THE_FETCHER.iter().all(|id| page.contains(&format!("`{id}`")) && !rows.contains_key(*id)));
}

fn commands_page() -> String {
    let mut cli = Cli::command();
    cli.build();
    let mut page = String::from(
        "# Commands\n\n\
         Written from the command tree by `UPDATE_EXPECT=1 cargo test -p plimsoll reference`.\n\
         Data goes to standard output, everything else to standard error; [exit codes](#exit-codes) tell a script how it ended, and `--json` [what it says](#output).\n\n\
         ## Everywhere\n",
    );
    options(&mut page, cli.get_arguments().filter(|arg| arg.get_id() != "help"));
    for command in cli.get_subcommands().filter(|command| !command.is_hide_set()) {
        describe(&mut page, command);
    }
    page.push_str("\n## Exit codes\n\n| | |\n|---|---|\n");
    for (code, meaning) in exit::TABLE {
        writeln!(page, "| {code} | {meaning} |").unwrap();
    }
    write!(page, "\n## Output\n\n```text\n{OUTPUT}```\n\n## Signals\n\n```text\n{SIGNALS}```\n").unwrap();
    write!(page, "\n## Environment\n\n```text\n{ENVIRONMENT}```\n").unwrap();
    page
}

fn describe(page: &mut String, command: &Command) {
    let mut command = command.clone();
    let below: Vec<Command> = command.get_subcommands().filter(|it| it.get_name() != "help").cloned().collect();
    // What has commands below it can be typed without one, too, if it takes something itself.
    let own = command.get_positionals().next().is_some();
    if below.is_empty() || own {
        let usage = command.render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ").split("\n       plimsoll").next().unwrap_or_default();
        let name = usage.split([' ', '\n']).take_while(|word| !word.starts_with(['[', '<'])).collect::<Vec<_>>().join(" ");
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        write!(page, "\n## {name}\n\n{about}.\n\n```text\n{usage}\n```\n").unwrap();
        options(page, command.get_arguments().filter(|arg| !arg.is_global_set() && arg.get_id() != "help"));
    }
    below.iter().for_each(|command| describe(page, command));
}

fn options<'a>(page: &mut String, arguments: impl Iterator<Item = &'a Arg>) {
    let rows: Vec<String> =
        arguments.filter(|arg| !arg.is_hide_set()).map(|arg| format!("| `{}` | {} |\n", spelled(arg), meaning(arg))).collect();
    if !rows.is_empty() {
        write!(page, "\n| | |\n|---|---|\n{}", rows.concat()).unwrap();
    }
}

fn spelled(arg: &Arg) -> String {
    let value = arg.get_value_names().and_then(|names| names.first()).map(ToString::to_string).unwrap_or_default();
    let takes = arg.get_action().takes_values();
    match (arg.get_short(), arg.get_long()) {
        (None, None) => value,
        (Some(short), None) => format!("-{short}"),
        (short, Some(long)) => {
            let short = short.map(|short| format!("-{short}, ")).unwrap_or_default();
            if takes { format!("{short}--{long} {value}") } else { format!("{short}--{long}") }
        }
    }
}

fn meaning(arg: &Arg) -> String {
    let mut text = arg.get_help().map(|help| help.to_string().replace('|', "\\|")).unwrap_or_default();
    if arg.get_action().takes_values() {
        let values: Vec<String> = arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
        let defaults: Vec<String> = arg.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy())).collect();
        if !values.is_empty() {
            let colon = if text.is_empty() { "" } else { ": " };
            text = format!("{text}{colon}{}", values.join(", "));
        }
        if !defaults.is_empty() {
            text = format!("{text}; {} unless said", defaults.join(", "));
        }
    }
    text
}

/// What a project gets that says nothing, as the page spells it.
fn defaults() -> BTreeMap<&'static str, String> {
    let nothing = delivery(&Config::default(), String::new(), &Choices::default());
    let (asked, _) = config::parse(&Source::new("smoke", "apiVersion: plimsoll/v1alpha1\nsmoke: [/]"));
    let smoke = &asked.smoke.unwrap()[0];
    let code = |text: String| format!("`{text}`");
    let time = |ms: u64| code(format_duration_ms(ms));
    let probes = [("startup", &nothing.probes.startup), ("ready", &nothing.probes.readiness), ("live", &nothing.probes.liveness)];
    let each = |of: &dyn Fn(&rollout::Probe) -> String| {
        let all: Vec<String> = probes.iter().map(|(name, probe)| format!("{} ({name})", of(probe))).collect();
        all.join(", ")
    };
    let Strategy::Canary { steps } = &nothing.strategy else { panic!("the default is a canary") };
    let (config, _) = config::parse(&Source::new("blueGreen", "apiVersion: plimsoll/v1alpha1\nstrategy: {blueGreen: {}}"));
    let blue_green = delivery(&config, String::new(), &Choices::default());
    let Strategy::BlueGreen { auto_promotion_ms } = blue_green.strategy else { panic!("as asked for") };
    let (config, _) = config::parse(&Source::new("rolling", "apiVersion: plimsoll/v1alpha1\nstrategy: {rollingUpdate: {}}"));
    let Some(Strategy::RollingUpdate { max_surge, max_unavailable }) = config.strategy else { panic!("as asked for") };
    let weights: Vec<String> = steps
        .iter()
        .map(|step| match step {
            Step::SetWeight(weight) => code(format!("setWeight: {}", f64::from(*weight) / 100.0)),
            Step::Pause { .. } => "`pause`".to_string(),
        })
        .collect();
    let slos = gate::slo::Slos::default();
    let (limits, judge, synthetic) = (&nothing.limits, &nothing.judge, nothing.synthetic.as_ref().unwrap());
    BTreeMap::from([
        ("replicas", code(nothing.replicas.to_string())),
        ("grace", time(nothing.grace_ms)),
        ("health.*.delay", each(&|probe| time(probe.delay_ms))),
        ("health.*.period", each(&|probe| time(probe.period_ms))),
        ("health.*.timeout", each(&|probe| time(probe.timeout_ms))),
        ("health.*.failures", each(&|probe| code(probe.failures_max.to_string()))),
        ("smoke[].expect", code(smoke.expect[0].to_string())),
        ("smoke[].timeout", time(smoke.timeout_ms)),
        ("strategy.canary.steps", weights.join(", ")),
        ("strategy.canary.scaleDownDelaySeconds", time(limits.warm_ms)),
        ("strategy.blueGreen.autoPromotionEnabled", code("true".to_string())),
        ("strategy.blueGreen.autoPromotionSeconds", time(auto_promotion_ms.unwrap())),
        ("strategy.blueGreen.scaleDownDelaySeconds", time(blue_green.limits.warm_ms)),
        ("strategy.rollingUpdate.maxSurge", code(max_surge.to_string())),
        ("strategy.rollingUpdate.maxUnavailable", code(max_unavailable.to_string())),
        ("limits.ready", time(limits.ready_ms)),
        ("limits.stepMin", time(limits.step_min_ms)),
        ("limits.stepMax", time(limits.step_max_ms)),
        ("limits.onDeadline", code(if limits.deadline == Deadline::Hold { "hold" } else { "rollback" }.to_string())),
        ("limits.drain", time(limits.drain_ms)),
        ("limits.verify", time(limits.verify_ms)),
        ("limits.restarts", code(limits.restarts_max.to_string())),
        ("judge.alpha", code(judge.alpha.to_string())),
        ("judge.ratioMargin", code(judge.ratio_margin.to_string())),
        ("judge.differenceMargin", code(judge.difference_margin.to_string())),
        ("judge.latencyQuantile", code(judge.latency_quantile.to_string())),
        ("judge.latencyFactor", code(judge.latency_factor.to_string())),
        ("judge.latencySlack", time(judge.latency_slack_us / 1000)),
        ("judge.absoluteBadShare", code(judge.absolute_bad_share.to_string())),
        ("judge.look", time(judge.look_ms)),
        ("synthetic.interval", time(synthetic.interval_ms)),
        ("synthetic.belowRequestsPerMinute", code(synthetic.below_requests_per_minute.to_string())),
        ("gate.coverage", code(gate::GatePlan::default().coverage_min_percent.to_string())),
        ("gate.slo.unknown", code(serde_json::to_value(slos.unknown).unwrap().as_str().unwrap().to_string())),
        ("gate.slo.budgetMin", code(slos.budget_min_percent.to_string())),
        ("gate.slo.eventsMin", code(slos.events_min.to_string())),
        ("gate.incidents.unknown", code(serde_json::to_value(gate::slo::WhenUnknown::default()).unwrap().as_str().unwrap().to_string())),
        ("gate.incidents.priorities", gate::incident::PRIORITIES.map(|it| code(it.to_string())).join(", ")),
        ("gate.protection.unknown", code(serde_json::to_value(gate::slo::WhenUnknown::default()).unwrap().as_str().unwrap().to_string())),
        ("gate.checks[].timeout", time(gate::check::TIMEOUT_MS)),
        ("deliver", code(if Config::default().deliver_by_workflow { "workflow" } else { "plimsoll" }.to_string())),
    ])
}

/// `strategy.canary.steps.*` and `pause` is `strategy.canary.steps[].pause`.
fn shown_key(place: &str, key: &str) -> String {
    let place = if place == "health.*" { place.to_string() } else { place.replace(".*", "[]") };
    if place.is_empty() { key.to_string() } else { format!("{place}.{key}") }
}

/// The key and the default of "| `key` | default | …".
fn table_row(line: &str) -> Option<(&str, &str)> {
    let mut cells = line.strip_prefix("| `")?.split(" | ");
    Some((cells.next()?.strip_suffix('`')?, cells.next()?.trim()))
}

/// README.md and all pages below `docs/`.
fn documents() -> Vec<(String, String)> {
    let mut files = vec![root().join("README.md")];
    for folder in ["docs", "docs/adr"] {
        let entries = std::fs::read_dir(root().join(folder)).unwrap();
        files.extend(entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|it| it == "md")));
    }
    files.sort();
    files.iter().map(|path| (path.display().to_string(), std::fs::read_to_string(path).unwrap())).collect()
}

/// What stands in the fenced blocks of these languages.
fn blocks(text: &str, languages: &[&str]) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        match (&mut open, line.trim_end().strip_prefix("```")) {
            (None, Some(language)) => open = Some((language.to_string(), String::new())),
            (Some((language, block)), Some("")) => {
                if languages.contains(&language.as_str()) {
                    blocks.push(std::mem::take(block));
                }
                open = None;
            }
            (Some((_, block)), _) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
