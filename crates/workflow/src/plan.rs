//! Every choice about one run, made before its first job.

mod graph;

use std::collections::BTreeMap;

use base::name::{RunId, nearest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

pub(crate) use graph::Graph;

use crate::environment::Environments;
use crate::expr::{self, Scope, Value, evaluate_template};
use crate::model::{Job, Work, Workflow};
use crate::run::Group;
use crate::trigger::{Event, dispatch_inputs, dispatch_inputs_as_text};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub run: RunId,
    /// As shown: `run-42`; counted per project.
    pub number: u64,
    pub workflow: Workflow,
    pub event: Event,
    /// What `run-name:` makes of it; nothing where the file has none.
    pub title: Option<String>,
    /// The `github` context without what differs by job (`job`) or is known only where it runs (`workspace`, `token`, `action` …).
    pub github: Json,
    pub inputs: Json,
    pub vars: Json,
    /// This job and what it needs, and no other.
    pub only_job: Option<String>,
    /// Jobs that run at the same time; 0 for as many as there are.
    pub max_parallel: u32,
    /// Jobs with `environment:` run too: the workflow itself delivers.
    pub deliver_by_workflow: bool,
    /// What protects the environments that its jobs name.
    #[serde(default, skip_serializing_if = "Environments::says_nothing")]
    pub environments: Environments,
    /// `concurrency` of the workflow: runs of one group don't run at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
}

/// What a plan is made of.
#[derive(Debug, Clone)]
pub struct Request {
    pub run: RunId,
    pub number: u64,
    pub workflow: Workflow,
    pub event: Event,
    pub repository: Repository,
    pub actor: String,
    /// Of `workflow_dispatch`, as typed; for every other event they stay empty.
    pub inputs: Map<String, Json>,
    pub vars: BTreeMap<String, String>,
    pub only_job: Option<String>,
    pub max_parallel: u32,
    pub deliver_by_workflow: bool,
    pub environments: Environments,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// `owner/name`.
    pub name: String,
    /// `https://github.com`; where the forge answers.
    pub server_url: String,
}

/// A job that isn't run, and why, as a sentence without a full stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    pub job: String,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("there is no job `{job}`{}; there are {}", suggestion.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default(), jobs.join(", "))]
    NoSuchJob { job: String, suggestion: Option<String>, jobs: Vec<String> },
    #[error("`{leg}` is one leg of the job `{job}`, which runs with all its legs or not at all: ask for `{job}`")]
    OneLeg { leg: String, job: String },
    #[error("the job `{job}` needs `{need}`, and there is no such job")]
    UnknownNeed { job: String, need: String },
    #[error("the jobs {0} wait for each other, so none of them could ever start")]
    Cycle(String),
    #[error("{}", .0.join("; "))]
    Inputs(Vec<String>),
    #[error("run-name can't be evaluated: {0}")]
    RunName(String),
    #[error("{0}")]
    Concurrency(String),
    #[error("the job `{job}` calls `{uses}`, and that file wasn't read")]
    NotRead { job: String, uses: String },
    #[error("workflows call each other more than {} levels deep, and so without end", CALLS_DEPTH_MAX)]
    TooDeep,
    #[error("the workflow has {0} jobs with those of the workflows it calls, and at most {JOBS_MAX} are run")]
    TooManyJobs(usize),
}

/// The file itself and nine that call each other; GitHub's limit.
pub const CALLS_DEPTH_MAX: usize = 10;
/// Different files that one calls, directly or not; GitHub's limit.
pub const CALLED_MAX: usize = 50;
/// More than any workflow has, and few enough to be gone through at every look.
pub const JOBS_MAX: usize = 10_000;

impl Plan {
    /// The plan, and the jobs of the file that it doesn't run.
    ///
    /// # Errors
    /// When the jobs can't be put in order, the inputs are wrong, or the one job asked for isn't there.
    pub fn new(request: Request) -> Result<(Plan, Vec<LeftOut>), PlanError> {
        let graph = Graph::new(&request.workflow);
        check_order(&request.workflow, &graph)?;
        for called in request.workflow.called.values() {
            check_order(called, &Graph::new(called))?;
        }
        check_size(&request.workflow)?;
        if let Some(job) = &request.only_job {
            check_exists(&request.workflow, &graph, job)?;
        }
        let mut event = request.event;
        let inputs = if event.name == "workflow_dispatch" {
            dispatch_inputs(&request.workflow, &given_inputs(&event, request.inputs)).map_err(PlanError::Inputs)?
        } else {
            Json::Object(Map::new())
        };
        if event.name == "workflow_dispatch" {
            set(&mut event.payload, "inputs", dispatch_inputs_as_text(&inputs));
        }
        let github = github_context(&request.workflow, &event, &request.repository, &request.actor, request.run, request.number);
        let mut plan = Plan {
            run: request.run,
            number: request.number,
            workflow: request.workflow,
            event,
            title: None,
            github,
            inputs,
            vars: request.vars.into_iter().map(|(name, value)| (name, Json::String(value))).collect::<Map<_, _>>().into(),
            only_job: request.only_job,
            max_parallel: request.max_parallel,
            deliver_by_workflow: request.deliver_by_workflow,
            environments: request.environments,
            group: None,
        };
        plan.title = plan.evaluate_title()?;
        plan.group = plan.evaluate_group()?;
        let left_out = plan.left_out();
        Ok((plan, left_out))
    }

    /// Jobs of the file that don't run, in its order, those of called workflows with the job that calls them.
    pub fn left_out(&self) -> Vec<LeftOut> {
        let asked_for = self.asked_for();
        let mut left_out = Vec::new();
        for (index, job) in self.workflow.jobs.iter().enumerate() {
            match &self.only_job {
                Some(only) if !asked_for[index] => {
                    let reason = format!("only `{only}` and what it needs was asked for");
                    left_out.push(LeftOut { job: job.id.clone(), reason });
                }
                _ => self.leave_out(job, &job.id, None, &mut left_out),
            }
        }
        left_out
    }

    fn leave_out(&self, job: &Job, name: &str, caller: Option<&str>, left_out: &mut Vec<LeftOut>) {
        if let Some(reason) = self.why_left_out(job) {
            left_out.push(LeftOut { job: name.to_string(), reason });
        } else if let Work::Call { uses, .. } = &job.work {
            let key = called_key(caller, uses);
            for job in self.workflow.called.get(&key).into_iter().flat_map(|called| &called.jobs) {
                self.leave_out(job, &format!("{name}/{}", job.id), Some(&key), left_out);
            }
        }
    }

    /// Which jobs of the file the run knows: those asked for, whether they will run or be skipped.
    pub(crate) fn asked_for(&self) -> Vec<bool> {
        match &self.only_job {
            None => vec![true; self.workflow.jobs.len()],
            Some(only) => asked_for(&self.workflow, only),
        }
    }

    /// Why this job is skipped whatever its condition says.
    pub(crate) fn why_left_out(&self, job: &Job) -> Option<String> {
        self.workflow.runners.why_skipped(job).or_else(|| self.belongs_to_delivery(job))
    }

    fn belongs_to_delivery(&self, job: &Job) -> Option<String> {
        if self.deliver_by_workflow || job.environment.is_none() {
            return None;
        }
        if self.environments.only.is_some() {
            return self.stays_away(job);
        }
        Some("it has an `environment`, and delivering is the release's own work; `deliver: workflow` lets the workflow do it".to_string())
    }

    /// How often the workflow's file has run, this run included; what the run is called may say so.
    ///
    /// # Errors
    /// When its name or its group has no value.
    pub fn count(&mut self, run_number: u64) -> Result<(), PlanError> {
        self.github["run_number"] = run_number.to_string().into();
        self.title = self.evaluate_title()?;
        self.group = self.evaluate_group()?;
        Ok(())
    }

    fn evaluate_group(&self) -> Result<Option<Group>, PlanError> {
        let Some(concurrency) = &self.workflow.concurrency else { return Ok(None) };
        Group::evaluate(concurrency, &TitleScope(self)).map(Some).map_err(PlanError::Concurrency)
    }

    fn evaluate_title(&self) -> Result<Option<String>, PlanError> {
        let Some(template) = &self.workflow.run_name else { return Ok(None) };
        let title = evaluate_template(template, &TitleScope(self)).map_err(|error: expr::Error| PlanError::RunName(error.message))?;
        Some(title.text().trim().to_string()).filter(|title| !title.is_empty()).map_or(Ok(None), |title| Ok(Some(title)))
    }
}

/// Under which name a called workflow is known: from another repository its own `./` is that repository's.
pub fn called_key(caller: Option<&str>, uses: &str) -> String {
    let local = uses.strip_prefix("./").or_else(|| uses.strip_prefix("$/"));
    match (local, caller) {
        (Some(path), Some(caller)) if !caller.starts_with("./") => {
            let (whole, reference) = caller.split_once('@').unwrap_or((caller, ""));
            let repository: Vec<&str> = whole.split('/').take(2).collect();
            format!("{}/{path}@{reference}", repository.join("/"))
        }
        (Some(path), _) => format!("./{path}"),
        (None, _) => uses.to_string(),
    }
}

/// Of the file's jobs, in its order, the one named and what it needs.
pub fn asked_for(workflow: &Workflow, only: &str) -> Vec<bool> {
    let graph = Graph::new(workflow);
    let mut asked_for = vec![false; workflow.jobs.len()];
    if let Some(job) = graph.job(only) {
        asked_for[job] = true;
        graph.ancestors(job).into_iter().for_each(|job| asked_for[job] = true);
    }
    asked_for
}

fn check_exists(workflow: &Workflow, graph: &Graph, id: &str) -> Result<(), PlanError> {
    if graph.job(id).is_some() {
        return Ok(());
    }
    let matrix = id.split_once(" (").map(|(job, _)| job).filter(|job| graph.job(job).is_some());
    if let Some(job) = matrix {
        return Err(PlanError::OneLeg { leg: id.to_string(), job: job.to_string() });
    }
    let suggestion = nearest(id, workflow.jobs.iter().map(|job| job.id.as_str())).map(String::from);
    // A file of thousands isn't told.
    const TOLD_MAX: usize = 20;
    let mut jobs: Vec<String> = workflow.jobs.iter().take(TOLD_MAX).map(|job| format!("`{}`", job.id)).collect();
    jobs.extend((workflow.jobs.len() > TOLD_MAX).then(|| "…".to_string()));
    Err(PlanError::NoSuchJob { job: id.to_string(), suggestion, jobs })
}

fn check_order(workflow: &Workflow, graph: &Graph) -> Result<(), PlanError> {
    for it in &workflow.jobs {
        if let Some(need) = it.needs.iter().find(|need| graph.job(need).is_none()) {
            return Err(PlanError::UnknownNeed { job: it.id.clone(), need: need.clone() });
        }
    }
    let cycle: Vec<String> = graph.cycle().into_iter().map(|job| format!("`{}`", workflow.jobs[job].id)).collect();
    if cycle.is_empty() { Ok(()) } else { Err(PlanError::Cycle(cycle.join(", "))) }
}

/// Every called file is there, and together they don't become too many. Each is counted once, however often it is called.
fn check_size(workflow: &Workflow) -> Result<(), PlanError> {
    let count = jobs_of(workflow, workflow, None, CALLS_DEPTH_MAX, &mut BTreeMap::new())?;
    if count > JOBS_MAX { Err(PlanError::TooManyJobs(count)) } else { Ok(()) }
}

fn jobs_of(
    root: &Workflow,
    workflow: &Workflow,
    key: Option<&str>,
    levels: usize,
    known: &mut BTreeMap<(String, usize), usize>,
) -> Result<usize, PlanError> {
    if levels == 0 {
        return Err(PlanError::TooDeep);
    }
    let mut count = 0_usize;
    for job in &workflow.jobs {
        let Work::Call { uses, .. } = &job.work else {
            count = count.saturating_add(1);
            continue;
        };
        let callee = called_key(key, uses);
        let at = (callee.clone(), levels);
        let more = match known.get(&at) {
            Some(more) => *more,
            None => {
                let missing = || PlanError::NotRead { job: job.id.clone(), uses: uses.clone() };
                let called = root.called.get(&callee).ok_or_else(missing)?;
                let more = jobs_of(root, called, Some(&callee), levels - 1, known)?;
                known.insert(at, more);
                more
            }
        };
        count = count.saturating_add(more);
    }
    Ok(count)
}

/// What was typed wins over what the event says.
fn given_inputs(event: &Event, typed: Map<String, Json>) -> Map<String, Json> {
    let mut given = event.payload.get("inputs").and_then(Json::as_object).cloned().unwrap_or_default();
    given.extend(typed);
    given
}

fn set(payload: &mut Json, key: &str, value: Json) {
    if !payload.is_object() {
        *payload = Json::Object(Map::new());
    }
    payload[key] = value;
}

fn github_context(workflow: &Workflow, event: &Event, repository: &Repository, actor: &str, run: RunId, number: u64) -> Json {
    let Repository { name, server_url } = repository;
    let owner = name.split('/').next().unwrap_or_default();
    let pull_request = matches!(event.name.as_str(), "pull_request" | "pull_request_target");
    let mut github = json!({
        "actor": actor,
        "triggering_actor": actor,
        "api_url": if server_url == "https://github.com" { "https://api.github.com".to_string() } else { format!("{server_url}/api/v3") },
        "base_ref": event.base_branch().filter(|_| pull_request).unwrap_or_default(),
        "event": event.payload,
        "event_name": event.name,
        "graphql_url": if server_url == "https://github.com" { "https://api.github.com/graphql".to_string() } else { format!("{server_url}/api/graphql") },
        "head_ref": event.head_branch().filter(|_| pull_request).unwrap_or_default(),
        "ref": event.git_ref,
        "ref_name": ref_name(&event.git_ref),
        "ref_protected": false,
        "ref_type": if event.tag().is_some() { "tag" } else { "branch" },
        "repository": name,
        "repository_owner": owner,
        "repositoryUrl": format!("git://{}/{name}.git", server_url.split("://").last().unwrap_or_default()),
        "retention_days": "90",
        "run_attempt": "1",
        "run_id": run.number().to_string(),
        "run_number": number.to_string(),
        "secret_source": "Actions",
        "server_url": server_url,
        "sha": event.sha,
        "workflow": workflow.name.as_ref().unwrap_or(&workflow.path),
        "workflow_ref": format!("{name}/{}@{}", workflow.path, event.git_ref),
        "workflow_sha": event.sha,
    });
    // Only a forge gives numbers to people and repositories.
    for (name, path) in [("actor_id", "/sender/id"), ("repository_id", "/repository/id"), ("repository_owner_id", "/repository/owner/id")] {
        if let Some(id) = event.payload.pointer(path).filter(|id| id.is_number() || id.is_string()) {
            github[name] = id.as_str().map_or_else(|| id.to_string(), str::to_string).into();
        }
    }
    github
}

/// `refs/heads/feature/x` is `feature/x`, `refs/pull/7/merge` is `7/merge`.
fn ref_name(git_ref: &str) -> &str {
    ["refs/heads/", "refs/tags/", "refs/pull/"].iter().find_map(|prefix| git_ref.strip_prefix(prefix)).unwrap_or(git_ref)
}

struct TitleScope<'a>(&'a Plan);

impl Scope for TitleScope<'_> {
    fn context(&self, name: &str) -> Option<Value> {
        match name.to_ascii_lowercase().as_str() {
            "github" => Some(Value::from_json(&self.0.github)),
            "inputs" => Some(Value::from_json(&self.0.inputs)),
            "vars" => Some(Value::from_json(&self.0.vars)),
            _ => None,
        }
    }

    fn call(&self, _: &str, _: &[Value]) -> Option<Result<Value, String>> {
        None
    }
}
