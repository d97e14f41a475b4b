//! `plimsoll help TOPIC` and completions.

use clap::CommandFactory as _;

use crate::cli::{Cli, Completions, Help};
use crate::exit;
use crate::failure::{Failure, Result};
use crate::terminal::Terminal;

const TOPICS: &[&str] = &["exit-codes", "environment", "config", "output", "signals"];

pub fn help(args: &Help, terminal: &Terminal) -> Result<u8> {
    let topic = args.topic.join(" ");
    let text = match topic.as_str() {
        "exit-codes" => exit_codes(),
        "environment" => ENVIRONMENT.to_string(),
        "config" => CONFIG.to_string(),
        "output" => OUTPUT.to_string(),
        "signals" => SIGNALS.to_string(),
        _ => of_command(&args.topic).ok_or_else(|| {
            let topics = format!("topics: {}; and each command, as in `plimsoll help release rollback`", TOPICS.join(", "));
            Failure::usage(format!("there is no help on `{topic}`")).hint(topics)
        })?,
    };
    if !terminal.json {
        // Examples are to be copied, so that no line of them is broken.
        terminal.data_bytes(format!("{}\n", text.trim_end()).as_bytes());
    } else if topic == "exit-codes" {
        let codes: Vec<_> = exit::TABLE.iter().map(|(code, meaning)| serde_json::json!({ "code": code, "meaning": meaning })).collect();
        terminal.json(&codes);
    } else {
        terminal.json(&serde_json::json!({ "topic": topic, "text": text.trim_end() }));
    }
    Ok(exit::OK)
}

/// What `--help` says there; of the whole program without words.
fn of_command(words: &[String]) -> Option<String> {
    let mut cli = Cli::command();
    cli.build();
    let mut command = &mut cli;
    for word in words {
        command = command.find_subcommand_mut(word)?;
    }
    Some(command.render_long_help().to_string())
}

pub fn completions(args: &Completions, terminal: &Terminal) -> Result<u8> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "plimsoll", &mut text);
    if terminal.json {
        terminal.json(&serde_json::json!({ "shell": args.shell.to_string(), "script": String::from_utf8_lossy(&text) }));
    } else {
        terminal.data_bytes(&text);
    }
    Ok(exit::OK)
}

fn exit_codes() -> String {
    exit::TABLE.iter().map(|(code, meaning)| format!("{code:>3}  {meaning}\n")).collect()
}

pub const ENVIRONMENT: &str = "\
PLIMSOLL_STATE_DIR  where everything is kept (else $XDG_STATE_HOME/plimsoll, else ~/.local/state/plimsoll)
PLIMSOLL_ACTOR      who is asking, as the record has it (else $USER)
PLIMSOLL_ACTIONS_SOURCES  addresses that actions of other repositories are fetched from: https://git.example.org/{repo}
PLIMSOLL_CONTAINER_ENGINE  what containers run with, with its global arguments (else podman, else docker): podman --runtime runc
NO_COLOR            no colour; CLICOLOR_FORCE=1 forces it
RUST_LOG            what the server writes to its log (info when unset)
";

pub const OUTPUT: &str = "\
With --json every command answers with one JSON value on standard output, and with {\"error\": {\"kind\", \"message\", \"hints\"}}
when it fails; the exit code is the same. One JSON value a line, as they come: `run`, `logs`, `release view --record`.
`serve` has nothing to answer; its log goes to standard error.

Times that people read are UTC and say so: 2026-11-25 14:44:34 UTC, or 14:44:34 UTC on the day itself.
Times in JSON are RFC 3339 in UTC: 2026-11-25T14:44:34.123Z.
";

pub const SIGNALS_OF_UP: &str = "\
Signals:
  Ctrl-C once         The release ends: running steps get to end, or traffic goes back first
  Ctrl-C twice        Running steps are ended at once
  Ctrl-C three times  Watching ends (130), the release goes on ending
  SIGTERM             Watching ends (143), the release goes on
";

pub const SIGNALS: &str = "\
up, release rollback
    Ctrl-C once: the release ends (130); running steps hear SIGINT and get 10 s. In a canary traffic goes back first (6).
    Ctrl-C twice: running steps are ended at once.
    Ctrl-C three times: watching ends (130), the release goes on ending.
    SIGTERM: watching ends (143), the release goes on; `plimsoll release abort` ends it.
release watch
    Ctrl-C, SIGTERM: watching ends (130, 143), the release goes on.
run, run rerun
    Ctrl-C, SIGTERM: running steps hear SIGINT and get 10 s (130, 143); the second time they are ended at once.
serve
    Ctrl-C, SIGTERM: the server ends; jobs, instances and traffic go on, and the next one adopts them.
demo
    Ctrl-C, SIGTERM: everything is taken down (130, 143).
logs -f and the rest
    They end at once; they change nothing.
";

pub const CONFIG: &str = "\
plimsoll.yaml, at the project's root; everything but the first line is optional:

apiVersion: plimsoll/v1alpha1
name: shop                      # reached as http://shop.localhost:PORT
artifact: dist                  # what ships: an upload's name or a path the workflow leaves
start: python3 -m shop          # run in the unpacked artifact, with PORT given
port: 3000                      # only for an application that ignores PORT
replicas: 1
env: {LOG_LEVEL: info}
health: {startup: /health/startup, ready: /health/ready, live: /health/live}
smoke: [{path: /health, expect: 200}]
strategy: {canary: {steps: [{setWeight: 10}, {setWeight: 50}]}}
limits: {ready: 2m, stepMin: 15s, stepMax: 15m, onDeadline: hold, drain: 10s, verify: 10s}
judge: {alpha: 0.01, differenceMargin: 0.01}
synthetic: {paths: [/], interval: 50ms, belowRequestsPerMinute: 600}   # or false
gate: {coverage: 80, require: [tests]}                        # and hours, people, error budgets: docs/gate.md
workflows: {security: guarded, runners: {macos-*: skip}}        # docs/lint.md, docs/workflows.md
deliver: plimsoll               # or workflow: jobs with `environment:` run too
grace: 30s
actions: {sources: ['https://github.com/{repo}'], movedTags: refuse}

Each key is explained in docs/config.md, the schema is docs/schema/plimsoll.json.
";
