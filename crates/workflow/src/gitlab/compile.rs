//! A file becomes a workflow for one pipeline, as GitLab creates pipelines.

use std::collections::{BTreeMap, BTreeSet};

use base::{Diagnostic, Source, Span};
use serde_json::Map;

use super::child::{DEPTH_MAX, Family, forwarded};
use super::file::{AllowFailure, Environment, File, Job, Parallel, Retry, Trigger, When};
use super::image;
use super::needs::{Graph, held_back, waits};
use super::pipeline::{Images, Pipeline, slug};
use super::rules::{self, Added};
use super::steps::{Making, job_condition};
use super::template::TOOL;
use super::tree::{Place, Problem, error};
use super::variables::{NUMBER, Variable, Variables, expand_known, finish_empty as closed, keeping, references, secret, template};
use super::{Includes, Report, parse_child, reports};
use crate::model::{self, CallSecrets, Defaults, RetryOn, Template, Work, Workflow};

/// A pipeline, ready to be planned.
#[derive(Debug, Clone)]
pub struct Compiled {
    pub workflow: Workflow,
    /// Each stage that has jobs, with their names, in order.
    pub stages: Vec<(String, Vec<String>)>,
    /// From a job's name to its id in the workflow.
    pub ids: BTreeMap<String, String>,
    /// Jobs of the file that don't run in this pipeline, in its order.
    pub not_added: Vec<NotAdded>,
    /// Manual jobs that hold up what comes after them.
    pub blocking: Vec<String>,
    /// Tools that built-in templates will call.
    pub tools: Vec<Tool>,
    /// Where the jobs that run need a container engine, and for what.
    pub contained: Vec<(Source, Span, String)>,
    pub reports: Vec<Report>,
}

/// A job that isn't in the pipeline, or waits for a person, and why: a sentence without a full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAdded {
    pub job: String,
    pub reason: String,
    pub manual: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    pub job: String,
    pub tool: String,
}

#[derive(Debug, Clone)]
pub enum Refused {
    /// GitLab wouldn't create a pipeline; a sentence without a full stop.
    NoPipeline(String),
    Wrong(Vec<Report>),
}

/// A job, or a leg of one, that is in the pipeline.
pub(super) struct Entry<'a> {
    pub job: &'a Job,
    /// `test 1/3`, `deploy: [aws, eu]`.
    pub name: String,
    pub id: String,
    pub stage: usize,
    /// The leg's own variables.
    pub leg: Vec<(String, String)>,
    pub variables: Variables,
    pub added: Added,
    /// Manual, and asked for.
    pub played: bool,
}

impl Job {
    /// Whether it takes this variable of the file; its own it has anyway.
    pub(super) fn inherits(&self, name: &str) -> bool {
        let own = self.variables.iter().any(|variable| variable.name == name);
        own || self.inherited.as_ref().is_none_or(|names| names.iter().any(|it| it == name))
    }
}

impl Entry<'_> {
    /// Whether it is what `environment` is about: bringing something there, or taking it away.
    pub(super) fn delivers(&self) -> bool {
        self.job.environment.as_ref().is_some_and(delivers)
    }
}

fn delivers(environment: &Environment) -> bool {
    matches!(environment.action.as_str(), "start" | "stop")
}

/// GitLab's hour.
const TIMEOUT_MS: u64 = 3_600_000;

/// The jobs of this pipeline.
///
/// # Errors
/// When there is no pipeline for the event, or something in it can't be.
pub fn compile(file: &File, pipeline: &Pipeline, includes: &dyn Includes) -> Result<Compiled, Refused> {
    let first = file.sources.iter().take(1).map(|source| source.name.to_string()).collect();
    compile_within(file, pipeline, includes, &mut Family::new(first))
}

fn compile_within(file: &File, pipeline: &Pipeline, includes: &dyn Includes, family: &mut Family) -> Result<Compiled, Refused> {
    let mut compiler = Compiler {
        file,
        pipeline,
        includes,
        family,
        problems: Vec::new(),
        base: Variables::default(),
        children: Vec::new(),
        child_reports: Vec::new(),
    };
    compiler.base = compiler.base_variables()?;
    let (entries, mut not_added) = compiler.entries();
    if compiler.family.is_full() {
        return Err(Refused::Wrong(reports(&file.sources, compiler.problems)));
    }
    if entries.is_empty() {
        return Err(Refused::NoPipeline(nothing_left(&not_added)));
    }
    let mut missing: BTreeMap<String, String> = not_added.iter().map(|it| (it.job.clone(), it.reason.clone())).collect();
    let waits = waits(&entries, &missing, &mut compiler.problems);
    missing.clear();
    let only_edges = entries.iter().all(|entry| entry.stage == 0 || entry.stage + 1 == file.stages.len());
    if only_edges {
        return Err(Refused::NoPipeline("only jobs of `.pre` and `.post` are left, and those alone make no pipeline".to_string()));
    }
    let (held, blocking) = held_back(&entries, &waits, &mut |index| compiler.child_of(&entries[index]));
    not_added.extend(held.values().cloned());
    let kept: Vec<usize> = (0..entries.len()).filter(|index| !held.contains_key(index)).collect();
    let graph = Graph::new(&entries, &waits, &held);
    let jobs: Vec<model::Job> = kept.iter().map(|index| compiler.job(&graph, *index)).collect();
    let mut reports = reports(&file.sources, std::mem::take(&mut compiler.problems));
    reports.append(&mut compiler.child_reports);
    if reports.iter().any(Report::has_errors) {
        return Err(Refused::Wrong(reports));
    }
    if jobs.is_empty() {
        return Err(Refused::NoPipeline(nothing_left(&not_added)));
    }
    let order: Vec<&str> = file.jobs.iter().map(|job| job.name.as_str()).collect();
    not_added.sort_by_key(|it| order.iter().position(|name| it.job.starts_with(name)));
    let in_stage =
        |stage: usize| kept.iter().filter(|index| entries[**index].stage == stage).map(|index| entries[*index].name.clone()).collect();
    let stages: Vec<(String, Vec<String>)> = file
        .stages
        .iter()
        .enumerate()
        .map(|(stage, name)| (name.clone(), in_stage(stage)))
        .filter(|(_, jobs): &(_, Vec<String>)| !jobs.is_empty())
        .collect();
    let tool = |index: &usize| {
        let entry = &entries[*index];
        let tool = entry.variables.iter().find(|variable| variable.name == TOOL)?;
        Some(Tool { job: entry.name.clone(), tool: tool.value.clone() })
    };
    let mut compiled = Compiled {
        workflow: compiler.workflow(jobs),
        stages,
        ids: kept.iter().map(|index| (entries[*index].name.clone(), entries[*index].id.clone())).collect(),
        tools: kept.iter().filter_map(tool).collect(),
        contained: kept.iter().filter_map(|index| compiler.contained(entries[*index].job)).collect(),
        not_added,
        blocking,
        reports,
    };
    compiler.children.into_iter().for_each(|child| compiled.take(child));
    Ok(compiled)
}

/// A pipeline that a job is.
struct Child {
    /// By which the job calls it.
    uses: String,
    /// The job's name.
    name: String,
    /// Whether the job is what becomes of it.
    depend: bool,
    compiled: Compiled,
}

impl Compiled {
    fn take(&mut self, Child { uses, name, depend, compiled }: Child) {
        let Compiled { mut workflow, not_added, blocking, tools, contained, .. } = compiled;
        self.workflow.called.append(&mut workflow.called);
        workflow.interface = Some(model::Interface::default());
        self.workflow.called.insert(uses, workflow);
        let within = |job: String| format!("{name} / {job}");
        self.not_added.extend(not_added.into_iter().map(|it| NotAdded { job: within(it.job), ..it }));
        // Nobody waits for a child that nothing depends on.
        self.blocking.extend(blocking.into_iter().filter(|_| depend).map(within));
        self.tools.extend(tools.into_iter().map(|it| Tool { job: within(it.job), ..it }));
        self.contained.extend(contained);
    }
}

fn nothing_left(not_added: &[NotAdded]) -> String {
    match not_added {
        [] => "it has no job".to_string(),
        [only] => format!("`{}` isn't in it: {}", only.job, only.reason),
        [first, ..] => format!("none of its {} jobs is in it; `{}`: {}", not_added.len(), first.job, first.reason),
    }
}

struct Compiler<'a> {
    file: &'a File,
    pipeline: &'a Pipeline,
    includes: &'a dyn Includes,
    family: &'a mut Family,
    problems: Vec<Problem>,
    children: Vec<Child>,
    child_reports: Vec<Report>,
    /// What every job starts from: predefined ones and the file's.
    base: Variables,
}

impl<'a> Compiler<'a> {
    fn base_variables(&self) -> Result<Variables, Refused> {
        let mut variables = Variables::default();
        variables.extend(self.pipeline.predefined());
        let mut seen = variables.clone();
        seen.extend(self.file.variables.clone());
        seen.extend(self.project_variables());
        let of_rule = rules::pipeline(self.file.rules.as_deref(), self.pipeline, &seen.expanded()).map_err(Refused::NoPipeline)?;
        if let Some((name, _)) = &self.file.name {
            seen.extend(of_rule.clone());
            variables.put(Variable { raw: true, ..Variable::new("CI_PIPELINE_NAME", closed(&expand_known(name, &seen.expanded()))) });
        }
        variables.extend(of_rule.into_iter().map(|variable| Variable { name: format!("{OF_RULE}{}", variable.name), ..variable }));
        Ok(variables)
    }

    /// They win over everything in the file.
    fn project_variables(&self) -> Vec<Variable> {
        let given = self.pipeline.variables.iter().map(|(name, value)| Variable::new(name, value));
        let given = self.pipeline.forwarded.iter().cloned().chain(given);
        let secrets = self.pipeline.secrets.iter().enumerate();
        let secrets = secrets.filter_map(|(index, name)| Some(Variable { raw: true, ..Variable::new(name, secret(index)?.to_string()) }));
        given.chain(secrets).collect()
    }

    fn entries(&mut self) -> (Vec<Entry<'a>>, Vec<NotAdded>) {
        let file: &'a File = self.file;
        let mut entries: Vec<Entry<'a>> = Vec::new();
        let mut not_added = Vec::new();
        let mut ids = BTreeSet::new();
        for job in &file.jobs {
            let legs = legs(job);
            let total = legs.len();
            for (index, (name, leg)) in legs.into_iter().enumerate() {
                if let Some(complaint) = self.family.job() {
                    self.problems.push(error("gitlab/too-large", job.place, complaint));
                    return (entries, not_added);
                }
                let mut variables = self.variables_of(job, &name, &leg);
                if job.parallel != Parallel::No {
                    variables.put(Variable::new("CI_NODE_INDEX", (index + 1).to_string()));
                }
                variables.put(Variable::new("CI_NODE_TOTAL", total.to_string()));
                let seen = variables.expanded();
                let added = match rules::job(job, self.pipeline, &seen) {
                    Ok(added) => added,
                    Err(reason) => {
                        not_added.push(NotAdded { job: name, reason, manual: false });
                        continue;
                    }
                };
                let played = self.pipeline.play.contains(&name) || self.pipeline.play.contains(&job.name);
                let stage = file.stages.iter().position(|stage| *stage == job.stage).expect("a job's stage is one of the file's");
                let id = unique_id(&name, &mut ids);
                variables.extend(added.variables.clone());
                variables.extend(self.project_variables());
                let number = format!("{NUMBER}{:04}", entries.len() + 1);
                let url = format!("{}/{}/-/jobs/{number}", self.pipeline.server_url, self.pipeline.project);
                variables.put(Variable::new("CI_JOB_ID", number));
                variables.put(Variable { raw: true, ..Variable::new("CI_JOB_URL", url) });
                if added.when == When::Manual {
                    variables.put(Variable::new("CI_JOB_MANUAL", "true"));
                }
                entries.push(Entry { job, name, id, stage, leg, variables, added, played });
            }
        }
        entries.sort_by_key(|entry| entry.stage);
        (entries, not_added)
    }

    fn of_workflow_rule(&self) -> Vec<Variable> {
        let stripped = |variable: &Variable| Some(Variable { name: variable.name.strip_prefix(OF_RULE)?.to_string(), ..variable.clone() });
        self.base.iter().filter_map(stripped).collect()
    }

    /// Without those of the rule, which aren't known yet.
    fn variables_of(&self, job: &Job, name: &str, leg: &[(String, String)]) -> Variables {
        let mut variables = Variables::default();
        let of_rule = |variable: &&Variable| variable.name.starts_with(OF_RULE);
        variables.extend(self.base.iter().filter(|variable| !of_rule(variable)).cloned());
        let raw = |name: &str, value: &str| Variable { raw: true, ..Variable::new(name, value) };
        variables.put(raw("CI_JOB_NAME", name));
        variables.put(raw("CI_JOB_NAME_SLUG", &slug(name)));
        variables.put(raw("CI_JOB_GROUP_NAME", &job.name));
        variables.put(raw("CI_JOB_STAGE", &job.stage));
        variables.put(raw("CI_JOB_STATUS", "running"));
        variables.put(raw("CI_JOB_TIMEOUT", &(job.timeout_ms.unwrap_or(TIMEOUT_MS) / 1_000).to_string()));
        if let Some(image) = &job.image {
            variables.put(Variable::new("CI_JOB_IMAGE", &image.name));
        }
        variables.extend(self.file.variables.iter().filter(|variable| job.inherits(&variable.name)).cloned());
        variables.extend(self.of_workflow_rule());
        variables.extend(job.variables.clone());
        variables.extend(leg.iter().map(|(name, value)| Variable::new(name, value)));
        variables.extend(self.project_variables());
        if let Some(environment) = &job.environment {
            let name = expand_known(&environment.name, &variables.expanded());
            variables.put(raw("CI_ENVIRONMENT_NAME", &name));
            variables.put(raw("CI_ENVIRONMENT_SLUG", slug(&name).get(..24).unwrap_or(&slug(&name)).trim_end_matches('-')));
            variables.put(raw("CI_ENVIRONMENT_ACTION", &environment.action));
            variables.put(raw("CI_ENVIRONMENT_TIER", environment.tier.as_deref().unwrap_or_else(|| tier(&name))));
            if let Some(url) = &environment.url {
                variables.put(Variable::new("CI_ENVIRONMENT_URL", url));
            }
        }
        variables
    }

    fn job(&mut self, graph: &Graph<'_, 'a>, index: usize) -> model::Job {
        let entry = &graph.entries[index];
        let Entry { job, .. } = entry;
        self.refuse_unsupported(entry);
        let expanded = entry.variables.expanded();
        let value = |text: &str| closed(&keeping(text, &expanded));
        let named = graph.waits[index].named;
        let needs: Vec<String> = graph.before(index).into_iter().map(|need| graph.entries[need].id.clone()).collect();
        let sources = self.artifact_sources(graph, index);
        let dotenv = sources.iter().any(|(_, dotenv)| !dotenv.is_empty());
        let mut open = Vec::new();
        let mut env = Vec::new();
        for variable in entry.variables.iter() {
            let full = &expanded[&variable.name];
            if dotenv && !variable.raw && !references(full).is_empty() {
                open.push((variable.name.clone(), full.clone()));
            }
            let shown = if variable.raw { full.clone() } else { closed(full) };
            env.push((Template::String(variable.name.clone()), template(&shown, &self.pipeline.secrets)));
        }
        let tokens = job.id_tokens.iter().map(|(name, audiences)| (name.clone(), audiences.iter().map(|it| value(it)).collect()));
        let id_tokens = model::IdTokens { audiences: tokens.collect(), source: self.pipeline.source.clone() };
        for (name, _) in &id_tokens.audiences {
            let source = format!("secrets['{}{}']", model::IdTokens::SECRET, name.replace('\'', "''"));
            env.push((Template::String(name.clone()), Template::Expr { source, span: job.place.span }));
        }
        let id_tokens = Some(id_tokens).filter(|tokens| !tokens.audiences.is_empty());
        let mut caches = job.caches.clone();
        for cache in &mut caches {
            if let Some(policy) = cache.policy.as_ref().map(|policy| value(policy)) {
                cache.set_policy(&policy);
            }
        }
        let strategy = expanded.get("GIT_STRATEGY").map(String::as_str);
        let delay_ms = entry.added.start_in_ms.filter(|_| entry.added.when == When::Delayed);
        let making = Making {
            id: &format!("{}{}", self.pipeline.prefix, entry.id),
            span: job.place.span,
            value: &value,
            secrets: &self.pipeline.secrets,
            before_sources: &job.before_sources,
            before_script: &job.before_script,
            script: &job.script,
            after_script: &job.after_script,
            caches: &caches,
            artifacts: job.artifacts.as_ref(),
            sources,
            kept: self.project_variables().into_iter().map(|variable| variable.name).collect(),
            open,
            allow_failure: &entry.added.allow_failure,
            delay_ms,
            without_sources: matches!(strategy, Some("none" | "empty")),
        };
        let concurrency = job.resource_group.as_ref().map(|group| model::Concurrency {
            group: template(&value(group), &self.pipeline.secrets),
            cancel_in_progress: None,
            queue: Some("max".to_string()),
        });
        if let Some(trigger) = &job.trigger {
            let work = Work::Call { uses: self.uses(entry), with: None, secrets: CallSecrets::Inherit };
            let may_fail = !trigger.depend || entry.added.allow_failure == AllowFailure::Always(true);
            return model::Job {
                name: Some(Template::String(entry.name.clone())),
                condition: job_condition(entry.added.when, &needs, named),
                needs,
                continue_on_error: may_fail.then_some(Template::Bool(true)),
                // Without it GitLab has the group free again once the child has begun.
                concurrency: concurrency.filter(|_| trigger.depend),
                // A call can't give what it hasn't; each of its jobs has to ask all the same.
                permissions: Some(may_show_identity()),
                ..model::Job::new(&entry.id, job.place.span, work)
            };
        }
        let environment = job.environment.as_ref().filter(|environment| delivers(environment)).map(|environment| model::Environment {
            name: template(&value(&environment.name), &self.pipeline.secrets),
            url: environment.url.as_ref().map(|url| template(&value(url), &self.pipeline.secrets)),
            deployment: None,
        });
        let minutes = |ms: u64| Template::Number(std::time::Duration::from_millis(ms).as_secs_f64() / 60.0);
        let containers = image::Making { value: &value, secrets: &self.pipeline.secrets };
        let env = Template::Mapping(env);
        let image = job.image.as_ref().filter(|_| self.pipeline.images == Images::Container);
        let work = Work::Steps {
            runs_on: Template::String("self-hosted".to_string()),
            container: image.map(|image| containers.job(image)),
            services: image.and_then(|_| containers.services(&job.services, &env)),
            snapshot: None,
            defaults: Defaults { shell: image.map(image::Making::shell), ..Defaults::default() },
            steps: making.steps(),
        };
        model::Job {
            name: Some(Template::String(entry.name.clone())),
            condition: job_condition(entry.added.when, &needs, named),
            needs,
            environment,
            concurrency,
            env: Some(env),
            timeout_minutes: Some(minutes(job.timeout_ms.unwrap_or(TIMEOUT_MS) + delay_ms.unwrap_or(0))),
            continue_on_error: (entry.added.allow_failure == AllowFailure::Always(true)).then_some(Template::Bool(true)),
            permissions: id_tokens.as_ref().map(|_| may_show_identity()),
            id_tokens,
            outputs: making.outputs(),
            allowed_exit_codes: entry.added.allow_failure.exit_codes().to_vec(),
            coverage: job.coverage.as_ref().map(|(pattern, _)| pattern.clone()),
            retry: job.retry.as_ref().filter(|retry| retry.max > 0).map(retry_of),
            ..model::Job::new(&entry.id, job.place.span, work)
        }
    }

    /// What the names of its child's things begin with. No id has a `.`, so that none of them is another job's.
    fn prefix(&self, entry: &Entry<'_>) -> String {
        format!("{}{}.", self.pipeline.prefix, entry.id)
    }

    /// By what the job calls its child.
    fn uses(&self, entry: &Entry<'_>) -> String {
        format!("./{}", self.prefix(entry).trim_end_matches('.'))
    }

    /// Reads and compiles the pipeline that the job is, if it is one; a blocking job in it that the job itself waits for.
    fn child_of(&mut self, entry: &Entry<'_>) -> Option<String> {
        let trigger = entry.job.trigger.as_ref()?;
        if self.family.is_full() {
            return None;
        }
        let (name, uses) = (entry.name.clone(), self.uses(entry));
        match self.child(entry, trigger) {
            Ok(mut compiled) => {
                self.child_reports.append(&mut compiled.reports);
                let blocking = compiled.blocking.first().filter(|_| trigger.depend).map(|job| format!("{name} / {job}"));
                self.children.push(Child { uses, name, depend: trigger.depend, compiled });
                blocking
            }
            Err(Refused::NoPipeline(why)) => {
                self.problems.push(error("gitlab/trigger", trigger.place, why));
                None
            }
            Err(Refused::Wrong(reports)) => {
                self.child_reports.extend(reports);
                None
            }
        }
    }

    fn child(&mut self, entry: &Entry<'_>, trigger: &Trigger) -> Result<Compiled, Refused> {
        if self.pipeline.depth == DEPTH_MAX {
            let message = format!("child pipelines are {DEPTH_MAX} deep at most, and this would be one more");
            return Err(Refused::NoPipeline(message));
        }
        if let Some(complaint) = self.family.child() {
            return Err(Refused::NoPipeline(complaint));
        }
        let pipeline = Pipeline {
            source: "parent_pipeline".to_string(),
            inputs: BTreeMap::new(),
            forwarded: forwarded(trigger, entry, self.file, self.of_workflow_rule(), self.pipeline),
            depth: self.pipeline.depth + 1,
            prefix: self.prefix(entry),
            ..self.pipeline.clone()
        };
        let callers = self.family.callers_of(entry);
        let read = parse_child(trigger, &self.file.sources, callers, &pipeline, self.includes);
        self.family.read(read.files, read.values);
        self.child_reports.extend(read.reports);
        let Some(file) = read.file else { return Err(Refused::Wrong(Vec::new())) };
        self.family.callers.push(read.roots);
        let compiled = compile_within(&file, &pipeline, self.includes, self.family);
        self.family.callers.pop();
        compiled.map_err(|refused| match refused {
            Refused::NoPipeline(why) => Refused::NoPipeline(format!("the child pipeline of `{}` would have no job: {why}", entry.name)),
            wrong => wrong,
        })
    }

    /// Jobs whose artifacts this one finds, with the paths of their dotenv reports.
    fn artifact_sources(&mut self, graph: &Graph<'_, 'a>, index: usize) -> Vec<(String, Vec<String>)> {
        let Graph { entries, waits, held, .. } = graph;
        let entry = &entries[index];
        let mut sources: Vec<usize> = match waits[index].named {
            true => waits[index].on.iter().filter(|(_, artifacts)| *artifacts).map(|(need, _)| *need).collect(),
            false => (0..entries.len()).filter(|other| entries[*other].stage < entry.stage && !held.contains_key(other)).collect(),
        };
        if let Some(dependencies) = &entry.job.dependencies {
            let named = |other: &Entry<'_>| dependencies.iter().any(|(name, _)| other.job.name == *name || other.name == *name);
            sources.retain(|other| named(&entries[*other]));
        }
        let passed_on = |other: &usize| {
            let artifacts = entries[*other].job.artifacts.as_ref().filter(|artifacts| artifacts.is_passed_on())?;
            let expanded = entries[*other].variables.expanded();
            let dotenv = artifacts.dotenv().map(|path| closed(&keeping(path, &expanded))).collect();
            Some((format!("{}{}", self.pipeline.prefix, entries[*other].id), dotenv))
        };
        sources.iter().filter_map(passed_on).collect()
    }

    fn refuse_unsupported(&mut self, entry: &Entry<'_>) {
        let job = entry.job;
        let mut refuse = |place: Place, what: &str, hint: Option<&str>| {
            let (file, problem) = error("gitlab/unsupported", place, format!("{what} can't be run here yet"));
            self.problems.push((file, if let Some(hint) = hint { problem.hint(hint) } else { problem }));
        };
        if let Some(trigger) = job.trigger.as_ref().filter(|_| entry.added.when == When::Delayed) {
            refuse(trigger.place, "a delayed job with `trigger`", None);
        }
        for (place, what) in &job.unsupported {
            refuse(*place, what, None);
        }
        let submodules = entry.variables.iter().find(|variable| variable.name == "GIT_SUBMODULE_STRATEGY").map(|it| it.value.as_str());
        if matches!(submodules, Some("normal" | "recursive")) {
            refuse(job.place, "`GIT_SUBMODULE_STRATEGY`, which fetches other repositories,", None);
        }
        const HINT: &str = "`gitlab: { images: container }` in `plimsoll.yaml`, or `--gitlab-images container`, runs it in one; `host` runs the \
                            jobs on this machine with the tools it has";
        match self.pipeline.images {
            Images::Container if job.image.is_none() => {
                const IMAGE: &str = "give the job an `image:`: what runs on this machine itself has no name for a service";
                for service in &job.services {
                    refuse(service.place, &format!("the service `{}` of a job without an image", service.name), Some(IMAGE));
                }
            }
            Images::Container => {}
            Images::Refuse => {
                let image = job.image.iter().map(|image| (image, "a job in the container image"));
                for (image, what) in image.chain(job.services.iter().map(|service| (service, "a job with the service"))) {
                    let message = format!("{what} `{}` isn't run, as `images: refuse` says", image.name);
                    let (file, problem) = error("gitlab/images", image.place, message);
                    self.problems.push((file, problem.hint(HINT)));
                }
            }
            Images::Host => {
                for service in &job.services {
                    let message =
                        format!("the service `{}` isn't started: with `images: host` jobs find what this machine has", service.name);
                    self.problems.push((service.place.file, Diagnostic::warning("gitlab/service", service.place.span, message)));
                }
            }
        }
    }

    fn contained(&self, job: &Job) -> Option<(Source, Span, String)> {
        let image = job.image.as_ref().filter(|_| self.pipeline.images == Images::Container)?;
        Some((self.file.sources[image.place.file].clone(), image.place.span, format!("the image `{}`", image.name)))
    }

    fn workflow(&self, jobs: Vec<model::Job>) -> Workflow {
        let source: &Source = &self.file.sources[0];
        let name = self.base.iter().find(|variable| variable.name == "CI_PIPELINE_NAME").map(|variable| variable.value.clone());
        Workflow {
            name,
            // Whether it runs at all is decided by now.
            on: vec![model::Trigger { event: self.pipeline.event.name.clone(), config: Map::new(), span: Span::default() }],
            jobs,
            ..Workflow::new(&*source.name)
        }
    }
}

fn may_show_identity() -> model::Permissions {
    model::Permissions::Scopes(Map::from_iter([("id-token".to_string(), "write".into())]))
}

/// Without `when` everything is tried again.
fn retry_of(retry: &Retry) -> model::Retry {
    let asks = |words: &[&str]| retry.when.is_empty() || retry.when.iter().any(|when| when == "always" || words.contains(&when.as_str()));
    let kinds = [
        (RetryOn::Failure, asks(&["script_failure"])),
        (RetryOn::Lost, asks(&["runner_system_failure", "unknown_failure", "api_failure", "scheduler_failure"])),
        (RetryOn::Timeout, asks(&["job_execution_timeout", "stuck_or_timeout_failure"])),
    ];
    let on = kinds.into_iter().filter(|(_, asked)| *asked).map(|(kind, _)| kind).collect();
    model::Retry { max: retry.max, on, backoff_ms: 0 }
}

/// Before the name of a variable that `workflow:rules` set; no variable's name has it.
const OF_RULE: &str = "\u{E0FF}";

pub(super) fn legs(job: &Job) -> Vec<(String, Vec<(String, String)>)> {
    match &job.parallel {
        Parallel::No => vec![(job.name.clone(), Vec::new())],
        Parallel::Times(times) => (1..=*times).map(|index| (format!("{} {index}/{times}", job.name), Vec::new())).collect(),
        Parallel::Matrix(legs) => legs
            .iter()
            .map(|leg| {
                let values: Vec<&str> = leg.iter().map(|(_, value)| value.as_str()).collect();
                (format!("{}: [{}]", job.name, values.join(", ")), leg.clone())
            })
            .collect(),
    }
}

/// Letters, digits, `-` and `_`; ids that differ by case alone would be the same one.
fn unique_id(name: &str, taken: &mut BTreeSet<String>) -> String {
    const LENGTH_MAX: usize = 80;
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).take(LENGTH_MAX).collect();
    let mut collapsed = String::new();
    for letter in plain.chars() {
        if letter != '-' || !collapsed.ends_with('-') {
            collapsed.push(letter);
        }
    }
    let plain = collapsed.trim_matches('-');
    let plain = if plain.is_empty() { "job" } else { plain };
    let mut id = plain.to_string();
    let mut number = 2;
    while !taken.insert(id.to_ascii_lowercase()) {
        id = format!("{plain}-{number}");
        number += 1;
    }
    id
}

/// GitLab's guess by the environment's name.
fn tier(name: &str) -> &'static str {
    let name = name.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    match () {
        () if has(&["dev", "review", "trunk"]) => "development",
        () if has(&["test", "tst", "int", "ac", "qa", "qc", "control"]) && !has(&["prod"]) => "testing",
        () if has(&["st", "model", "pre", "demo", "non"]) && !has(&["prod"]) => "staging",
        () if has(&["pr", "live"]) => "production",
        () => "other",
    }
}
