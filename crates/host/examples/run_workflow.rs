//! Runs the jobs of one workflow file one after the other in this process, for measuring and for trying things out.
//!
//! `run_workflow FILE [--secret NAME=VALUE …]`: the workspace is a fresh directory, the log goes to stdout. No matrix, no `if` on
//! jobs: what decides which jobs run is `workflow::Run`, which is not measured here.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use base::Source;
use engine::world::{CodeSource, JobStart};
use host::job::{Cancel, Home, JobDirs, JobOptions, JobSink, inherited, run};
use serde_json::{Map, Value as Json, json};
use workflow::job::{Conclusion, Contexts, JobSpec, StepSeen};
use workflow::model::{Job, Workflow};

struct Stdout(io::Stdout);

impl JobSink for Stdout {
    fn step(&mut self, _step: &StepSeen) {}

    fn log(&mut self, _step: u32, bytes: &[u8]) {
        // Nobody reads on: then there is nobody to tell either.
        let _ = self.0.lock().write_all(bytes);
    }

    fn warning(&mut self, text: &str) {
        let _ = writeln!(self.0.lock(), "##[warning]{text}");
    }
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("which workflow file?")?;
    let mut options = JobOptions { env: inherited(std::env::vars(), Home::Users), ..JobOptions::default() };
    while let Some(argument) = arguments.next() {
        let given = arguments.next().filter(|_| argument == "--secret").ok_or("only --secret NAME=VALUE is known")?;
        let (name, value) = given.split_once('=').ok_or("--secret NAME=VALUE")?;
        options.secrets.insert(name.to_string(), value.to_string());
    }
    let source = Source::new(file.as_str(), std::fs::read_to_string(&file)?);
    let (workflow, diagnostics) = workflow::github::parse(&source);
    let Some(workflow) = workflow else { return Err(base::diagnostic::render(&source, &diagnostics, false).into()) };
    let mut needs = Map::new();
    let mut failed = false;
    for job in &workflow.jobs {
        let outcome = run_job(&workflow, job, &needs, &options)?;
        if let Some(reason) = &outcome.reason {
            writeln!(io::stderr(), "{}: {reason}", job.id)?;
        }
        failed |= outcome.conclusion != Conclusion::Success;
        needs.insert(job.id.clone(), json!({ "result": outcome.conclusion.word(), "outputs": outcome.outputs }));
    }
    Ok(ExitCode::from(u8::from(failed)))
}

fn run_job(
    workflow: &Workflow,
    job: &Job,
    needs: &Map<String, Json>,
    options: &JobOptions,
) -> Result<workflow::job::JobOutcome, Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let below = |name: &str| directory.path().join(name);
    let dirs = JobDirs {
        workspace: below("workspace"),
        temp: below("temp"),
        tool_cache: below("tools"),
        artifacts: below("artifacts"),
        cache: below("cache"),
        actions: below("actions"),
        snapshot: None,
    };
    let needs: BTreeMap<&String, &Json> = needs.iter().filter(|(id, _)| job.needs.contains(id)).collect();
    let contexts = Contexts {
        github: json!({ "job": job.id, "workflow": workflow.name, "event_name": "push", "event": {}, "repository": "local/example" }),
        needs: json!(needs),
        ..Contexts::default()
    };
    let spec = JobSpec {
        workflow_env: workflow.env.clone(),
        workflow_defaults: workflow.defaults.clone(),
        ..JobSpec::new(job.id.clone(), job.clone(), contexts, 6 * 3_600_000)
    };
    let repository = std::env::current_dir()?.to_string_lossy().into_owned();
    let source = CodeSource { repository, sha: "HEAD".to_string(), subtree: String::new(), snapshot: None };
    let start = JobStart { spec, source, artifacts: "example".to_string(), project: "example".to_string() };
    Ok(run(&start, &dirs, options, &mut Stdout(io::stdout()), &Cancel::new()?))
}
