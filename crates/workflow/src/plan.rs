//! Every choice about one run, made before its first job.

use std::collections::{BTreeMap, BTreeSet};

use base::name::{RunId, nearest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use crate::expr::{self, Scope, Value, evaluate_template};
use crate::model::{Job, Workflow};
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
    #[error("{path} has no job `{job}`{}", suggestion.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    NoSuchJob { path: String, job: String, suggestion: Option<String> },
    #[error("the job `{job}` needs `{need}`, and there is no such job")]
    UnknownNeed { job: String, need: String },
    #[error("the jobs {0} wait for each other, so none of them could ever start")]
    Cycle(String),
    #[error("{}", .0.join("; "))]
    Inputs(Vec<String>),
    #[error("run-name can't be evaluated: {0}")]
    RunName(String),
}

impl Plan {
    /// The plan, and the jobs of the file that it doesn't run.
    ///
    /// # Errors
    /// When the jobs can't be put in order, the inputs are wrong, or the one job asked for isn't there.
    pub fn new(request: Request) -> Result<(Plan, Vec<LeftOut>), PlanError> {
        check_order(&request.workflow)?;
        if let Some(job) = &request.only_job {
            check_exists(&request.workflow, job)?;
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
        };
        plan.title = plan.evaluate_title()?;
        let left_out = plan.left_out();
        Ok((plan, left_out))
    }

    /// Jobs of the file that don't run, in its order.
    pub fn left_out(&self) -> Vec<LeftOut> {
        let asked_for = self.asked_for();
        let reason = |job: &Job| match &self.only_job {
            Some(only) if !asked_for.contains(job.id.as_str()) => Some(format!("only `{only}` and what it needs was asked for")),
            _ => self.belongs_to_delivery(job),
        };
        let left_out = |job: &Job| reason(job).map(|reason| LeftOut { job: job.id.clone(), reason });
        self.workflow.jobs.iter().filter_map(left_out).collect()
    }

    /// Jobs the run knows, in the order of the file: those asked for, whether they will run or be skipped.
    pub(crate) fn jobs(&self) -> impl Iterator<Item = &Job> {
        let asked_for = self.asked_for();
        self.workflow.jobs.iter().filter(move |job| asked_for.contains(job.id.as_str()))
    }

    /// Why this job is skipped whatever its condition says.
    pub(crate) fn belongs_to_delivery(&self, job: &Job) -> Option<String> {
        if self.deliver_by_workflow || job.environment.is_none() {
            return None;
        }
        Some("it has an `environment`, and delivering is the release's own work; `deliver: workflow` lets the workflow do it".to_string())
    }

    fn asked_for(&self) -> BTreeSet<&str> {
        match &self.only_job {
            None => self.workflow.jobs.iter().map(|job| job.id.as_str()).collect(),
            Some(only) => {
                let mut asked_for = ancestors(&self.workflow, only);
                asked_for.extend(job(&self.workflow, only).map(|job| job.id.as_str()));
                asked_for
            }
        }
    }

    fn evaluate_title(&self) -> Result<Option<String>, PlanError> {
        let Some(template) = &self.workflow.run_name else { return Ok(None) };
        let title = evaluate_template(template, &TitleScope(self)).map_err(|error: expr::Error| PlanError::RunName(error.message))?;
        Some(title.text().trim().to_string()).filter(|title| !title.is_empty()).map_or(Ok(None), |title| Ok(Some(title)))
    }
}

/// A job by its id, in whatever case it is written.
pub(crate) fn job<'a>(workflow: &'a Workflow, id: &str) -> Option<&'a Job> {
    workflow.jobs.iter().find(|job| job.id.eq_ignore_ascii_case(id))
}

/// Everything a job needs, directly or not.
pub(crate) fn ancestors<'a>(workflow: &'a Workflow, id: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = vec![id];
    while let Some(id) = open.pop() {
        let needs = job(workflow, id).into_iter().flat_map(|job| &job.needs);
        for need in needs.filter_map(|need| job(workflow, need)) {
            if found.insert(need.id.as_str()) {
                open.push(&need.id);
            }
        }
    }
    found
}

fn check_exists(workflow: &Workflow, id: &str) -> Result<(), PlanError> {
    if job(workflow, id).is_some() {
        return Ok(());
    }
    let suggestion = nearest(id, workflow.jobs.iter().map(|job| job.id.as_str())).map(String::from);
    Err(PlanError::NoSuchJob { path: workflow.path.clone(), job: id.to_string(), suggestion })
}

fn check_order(workflow: &Workflow) -> Result<(), PlanError> {
    for it in &workflow.jobs {
        if let Some(need) = it.needs.iter().find(|need| job(workflow, need).is_none()) {
            return Err(PlanError::UnknownNeed { job: it.id.clone(), need: need.clone() });
        }
    }
    let in_cycle = |id: &&str| ancestors(workflow, id).contains(id);
    let cycle: Vec<String> = workflow.jobs.iter().map(|job| job.id.as_str()).filter(in_cycle).map(|id| format!("`{id}`")).collect();
    if cycle.is_empty() { Ok(()) } else { Err(PlanError::Cycle(cycle.join(", "))) }
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
    json!({
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
        "run_id": run.to_string(),
        "run_number": number.to_string(),
        "secret_source": "Actions",
        "server_url": server_url,
        "sha": event.sha,
        "workflow": workflow.name.as_ref().unwrap_or(&workflow.path),
        "workflow_ref": format!("{name}/{}@{}", workflow.path, event.git_ref),
        "workflow_sha": event.sha,
    })
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
