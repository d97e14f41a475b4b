//! Runs the jobs of a workflow text in a place of their own and writes down what was seen.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base::Source;
use engine::world::{CodeSource, JobStart};
use host::job::{Cancel, Home, JobDirs, JobOptions, JobSink, inherited, run};
use serde_json::{Map, Value as Json, json};
use workflow::job::command::Annotation;
use workflow::job::{Contexts, JobOutcome, JobSpec, StepSeen, StepState};
use workflow::model::{Job, Workflow};

/// A place for a workflow's jobs, with the repository they come from.
pub struct Place {
    pub directory: tempfile::TempDir,
    pub options: JobOptions,
    pub source: CodeSource,
    pub snapshot: Option<PathBuf>,
    pub contexts: Contexts,
    pub timeout_ms: u64,
}

/// What a sink heard.
#[derive(Default)]
pub struct Heard {
    pub logs: BTreeMap<u32, Vec<u8>>,
    pub steps: BTreeMap<u32, StepSeen>,
    pub others: Vec<String>,
}

impl JobSink for Heard {
    fn step(&mut self, step: &StepSeen) {
        self.steps.insert(step.number, step.clone());
    }

    fn log(&mut self, step: u32, bytes: &[u8]) {
        self.logs.entry(step).or_default().extend_from_slice(bytes);
    }

    fn summary(&mut self, step: u32, text: &str) {
        self.others.push(format!("summary by step {step}: {}", text.trim_end()));
    }

    fn warning(&mut self, text: &str) {
        self.others.push(format!("warning: {text}"));
    }
}

impl Place {
    pub fn new() -> Place {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().join("home");
        let env = inherited(std::env::vars(), Home::Fresh(&home));
        let options = JobOptions { env, ..JobOptions::default() };
        let source = CodeSource { repository: String::new(), sha: String::new(), subtree: String::new(), snapshot: None };
        Place { directory, options, source, snapshot: None, contexts: Contexts::default(), timeout_ms: 60_000 }
    }

    /// Makes the files below `files` a commit that is the same everywhere, with a branch and a tag.
    pub fn commit(&mut self, files: &Path) {
        let repository = self.directory.path().join("repository");
        copy(files, &repository);
        git(&repository, &["init", "--quiet", "--initial-branch=main"]);
        git(&repository, &["add", "--all"]);
        git(&repository, &["commit", "--quiet", "--message=first"]);
        git(&repository, &["tag", "v1"]);
        self.source.sha = git(&repository, &["rev-parse", "HEAD"]);
        self.source.repository = repository.to_string_lossy().into_owned();
    }

    pub fn dirs(&self, job: &str) -> JobDirs {
        let below = |name: &str| self.directory.path().join(name);
        JobDirs {
            workspace: below(&format!("{job}.workspace")),
            temp: below(&format!("{job}.temp")),
            tool_cache: below("tools"),
            artifacts: below("artifacts"),
            cache: below("cache"),
            actions: below("actions"),
            snapshot: self.snapshot.clone(),
        }
    }

    pub fn start(&self, workflow: &Workflow, job: &Job, needs: &Map<String, Json>) -> JobStart {
        let mut contexts = self.contexts.clone();
        contexts.needs = json!(needs.iter().filter(|(id, _)| job.needs.contains(id)).collect::<BTreeMap<_, _>>());
        if contexts.github.is_null() {
            contexts.github = json!({
                "job": job.id, "repository": "me/shop", "ref": "refs/heads/main", "ref_name": "main", "sha": self.source.sha,
                "event_name": "push", "event": { "after": self.source.sha },
            });
        }
        let spec = JobSpec {
            workflow_env: workflow.env.clone(),
            workflow_defaults: workflow.defaults.clone(),
            actions: workflow.actions.clone(),
            ..JobSpec::new(job.id.clone(), job.clone(), contexts, self.timeout_ms)
        };
        JobStart { spec, source: self.source.clone(), artifacts: "release".to_string(), project: "shop".to_string() }
    }

    /// The first job alone.
    pub fn run_one(&self, text: &str, cancel: &Cancel, heard: &mut dyn JobSink) -> JobOutcome {
        let workflow = parse(text);
        let start = self.start(&workflow, &workflow.jobs[0], &Map::new());
        run(&start, &self.dirs(&workflow.jobs[0].id), &self.options, heard, cancel)
    }

    /// All jobs in the order of the file, as a transcript in which paths and what differs from day to day have names.
    pub fn transcript(&self, text: &str) -> String {
        let workflow = parse(text);
        let mut needs = Map::new();
        let mut transcript = String::new();
        for job in &workflow.jobs {
            let mut heard = Heard::default();
            let start = self.start(&workflow, job, &needs);
            let outcome = run(&start, &self.dirs(&job.id), &self.options, &mut heard, &Cancel::new().unwrap());
            write_job(&mut transcript, &job.id, &heard, &outcome);
            needs.insert(job.id.clone(), json!({ "result": outcome.conclusion.word(), "outputs": outcome.outputs }));
        }
        let directory = self.directory.path().to_string_lossy().into_owned();
        let real = fs::canonicalize(self.directory.path()).unwrap().to_string_lossy().into_owned();
        let transcript = transcript.replace(&real, "$PLACE").replace(&directory, "$PLACE");
        if self.source.sha.is_empty() { transcript } else { transcript.replace(&self.source.sha, "$SHA") }
    }
}

pub fn parse(text: &str) -> Workflow {
    let source = Source::new("workflow.yml", text);
    let (workflow, diagnostics) = workflow::github::parse(&source);
    workflow.unwrap_or_else(|| panic!("{}", base::diagnostic::render(&source, &diagnostics, false)))
}

/// Gets away in every way there is (`KEEP` says whether with its environment, each time): a daemon by double fork, a new session, no signals heard, an empty environment.
pub const ESCAPES: &str = r#"
          import os, signal, subprocess, sys, time
          nap = os.environ["NAP"]
          for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP): signal.signal(sig, signal.SIG_IGN)
          subprocess.Popen(["setsid", "sleep", os.environ["NAP"]])
          for keep in eval(os.environ["KEEP"]):
              if os.fork() == 0:
                  os.setsid()
                  if os.fork() == 0:
                      if keep: time.sleep(1000)
                      os.execve("/bin/sleep", ["sleep", nap], {})
                  os._exit(0)
"#;

pub fn job(steps: &str) -> String {
    format!("on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n{steps}")
}

/// A time for `sleep` that no other test uses, in `NAP`: by it, or by the variable, a process is found whatever it did.
pub fn nap(place: &mut Place, number: u32) -> String {
    let nap = format!("1000.{}{number}", std::process::id());
    place.options.env.insert("NAP".to_string(), nap.clone());
    nap
}

/// The processes that took their nap with them, in their environment or as an argument.
pub fn napping(nap: &str) -> Vec<i32> {
    let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let holds = |file: String, text: &str| {
        let bytes = fs::read(file).unwrap_or_default();
        bytes.split(|byte| *byte == 0).any(|part| part == text.as_bytes())
    };
    pids.filter(|pid| holds(format!("/proc/{pid}/environ"), &format!("NAP={nap}")) || holds(format!("/proc/{pid}/cmdline"), nap)).collect()
}

fn write_job(out: &mut String, id: &str, heard: &Heard, outcome: &JobOutcome) {
    let _ = writeln!(out, "=== {id}");
    for (number, step) in &heard.steps {
        let _ = writeln!(out, "--- {}", step.name);
        let log = String::from_utf8_lossy(heard.logs.get(number).map_or(&[], Vec::as_slice)).into_owned();
        out.push_str(&log);
        if !log.is_empty() && !log.ends_with('\n') {
            out.push_str("⏎\n");
        }
        let state = match step.state {
            StepState::Running => "still running".to_string(),
            StepState::Finished { outcome, conclusion } if outcome == conclusion => outcome.word().to_string(),
            StepState::Finished { outcome, conclusion } => format!("{}, counted as {}", outcome.word(), conclusion.word()),
        };
        let reason = step.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let _ = writeln!(out, "  [{state}{reason}]");
        step.annotations.iter().for_each(|annotation| write_annotation(out, annotation));
    }
    for other in &heard.others {
        let _ = writeln!(out, "  * {other}");
    }
    let reason = outcome.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let _ = writeln!(out, "=== {}{reason}", outcome.conclusion.word());
    for (name, value) in &outcome.outputs {
        let _ = writeln!(out, "  {name} = {value:?}");
    }
    out.push('\n');
}

fn write_annotation(out: &mut String, annotation: &Annotation) {
    let file = annotation.file.iter().map(|file| format!(" {file}"));
    let place: String = file.chain([annotation.line, annotation.column].into_iter().flatten().map(|at| format!(":{at}"))).collect();
    let code = annotation.code.iter().map(|code| format!(" [{code}]")).collect::<String>();
    let _ = writeln!(out, "  {}{place}{code}: {}", annotation.level.word(), annotation.message);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

pub fn git(directory: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.current_dir(directory).args(arguments).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "A").env(format!("GIT_{role}_EMAIL"), "a@example.org");
        command.env(format!("GIT_{role}_DATE"), "2026-01-02T03:04:05Z");
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_string()
}
