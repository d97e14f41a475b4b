//! The steps of one job, in the order of GitLab's runner: sources, caches, artifacts, script, `after_script`, caches, artifacts.

use base::Span;

use super::file::{AllowFailure, Artifacts, ArtifactsWhen, Cache, CacheKey, When};
use super::script::{EXIT_CODE, script};
use super::variables::template;
use crate::model::{self, Step, StepAction, Template};

/// What the steps are made of, everything expanded.
pub(super) struct Making<'a> {
    pub id: &'a str,
    pub span: Span,
    pub value: &'a dyn Fn(&str) -> String,
    pub secrets: &'a [String],
    pub before_sources: &'a [String],
    pub before_script: &'a [String],
    pub script: &'a [String],
    pub after_script: &'a [String],
    pub caches: &'a [Cache],
    pub artifacts: Option<&'a Artifacts>,
    /// Jobs whose artifacts are laid out, in order: id and the paths of their dotenv reports.
    pub sources: Vec<(String, Vec<String>)>,
    /// Variables that dotenv reports don't replace.
    pub kept: Vec<String>,
    /// Variables whose values refer to something that only a dotenv report can tell.
    pub open: Vec<(String, String)>,
    pub allow_failure: &'a AllowFailure,
    pub delay_ms: Option<u64>,
    /// `GIT_STRATEGY: none`, or `empty`.
    pub without_sources: bool,
}

/// After GitLab's five minutes an `after_script` is ended.
const AFTER_SCRIPT_MINUTES: f64 = 5.0;

/// How a job ended, in GitLab's words.
const STATUS: &str = "job.status == 'failure' && 'failed' || job.status == 'cancelled' && 'canceled' || 'success'";

impl Making<'_> {
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        if let Some(delay_ms) = self.delay_ms {
            let seconds = delay_ms.div_ceil(1_000);
            steps.push(self.step("delay", "Delay", "success()", run(format!("sleep {seconds}"))));
        }
        if !self.before_sources.is_empty() {
            steps.push(self.step("before_sources", "Before the sources", "success()", run(script(self.before_sources, false))));
        }
        if !self.without_sources {
            steps.push(self.step("sources", "Get the sources", "success()", uses("actions/checkout@v4", &[])));
        }
        let caches: Vec<(usize, &Cache)> = self.caches.iter().enumerate().filter(|(_, cache)| !cache.paths.is_empty()).collect();
        for (index, cache) in caches.iter().filter(|(_, cache)| cache.pull) {
            let inputs = self.cache_inputs(cache);
            let action = uses("plimsoll/gitlab-cache-restore@v1", &inputs);
            steps.push(self.step(&format!("cache_{index}"), "Restore the cache", "success()", action));
        }
        if !self.sources.is_empty() {
            steps.push(self.step("artifacts", "Download artifacts", "success()", uses("plimsoll/gitlab-load@v1", &self.load_inputs())));
        }
        steps.push(self.script_step());
        if !self.after_script.is_empty() {
            steps.push(self.after_script_step());
        }
        for (index, cache) in caches.iter().filter(|(_, cache)| cache.push) {
            let action = uses("plimsoll/gitlab-cache-save@v1", &self.cache_inputs(cache));
            steps.push(self.step(&format!("save_cache_{index}"), "Save the cache", condition(cache.when), action));
        }
        self.save_artifacts(&mut steps);
        steps
    }

    fn script_step(&self) -> Step {
        let commands: Vec<String> = self.before_script.iter().chain(self.script).cloned().collect();
        let tells_exit_code = !self.allow_failure.exit_codes().is_empty();
        self.step("script", "Script", "success()", run(script(&commands, tells_exit_code)))
    }

    /// What the run wants to know of the script.
    pub fn outputs(&self) -> Vec<(String, Template)> {
        let source = format!("env.{EXIT_CODE}");
        let exit_code = (model::EXIT_CODE.to_string(), Template::Expr { source, span: self.span });
        if self.allow_failure.exit_codes().is_empty() { Vec::new() } else { vec![exit_code] }
    }

    /// In a shell of its own; whatever comes of it, the job stays as it is.
    fn after_script_step(&self) -> Step {
        let status = Template::Expr { source: STATUS.to_string(), span: self.span };
        let mut step = self.step("after_script", "After script", "always()", run(script(self.after_script, false)));
        step.env = Some(Template::Mapping(vec![(Template::String("CI_JOB_STATUS".to_string()), status)]));
        step.continue_on_error = Some(Template::Bool(true));
        step.timeout_minutes = Some(Template::Number(AFTER_SCRIPT_MINUTES));
        step
    }

    fn save_artifacts(&self, steps: &mut Vec<Step>) {
        let Some(artifacts) = self.artifacts else { return };
        if !artifacts.paths.is_empty() || artifacts.untracked {
            let inputs = [
                ("name", Template::String(self.id.to_string())),
                ("paths", self.lines(&artifacts.paths)),
                ("exclude", self.lines(&artifacts.exclude)),
                ("untracked", Template::Bool(artifacts.untracked)),
            ];
            let action = uses("plimsoll/gitlab-save@v1", &inputs);
            steps.push(self.step("save_artifacts", "Upload artifacts", condition(artifacts.when), action));
        }
        let paths: Vec<String> = artifacts.reports.iter().flat_map(|(_, paths)| paths.clone()).collect();
        if !paths.is_empty() {
            let dotenv: Vec<String> = artifacts.dotenv().cloned().collect();
            let inputs = [
                ("name", Template::String(format!("{}.reports", self.id))),
                ("paths", self.lines(&paths)),
                ("dotenv", self.lines(&dotenv)),
            ];
            let action = uses("plimsoll/gitlab-save@v1", &inputs);
            steps.push(self.step("save_reports", "Upload reports", "always()", action));
        }
    }

    fn load_inputs(&self) -> Vec<(&'static str, Template)> {
        let mut lines = Vec::new();
        for (id, dotenv) in &self.sources {
            lines.push(format!("job {id}"));
            lines.extend(dotenv.iter().map(|path| format!("dotenv {}", (self.value)(path))));
        }
        let open: Vec<String> = self.open.iter().map(|(name, value)| format!("{name}={}", value.replace('\n', " "))).collect();
        vec![
            ("jobs", Template::String(lines.join("\n"))),
            ("kept", Template::String(self.kept.join("\n"))),
            ("open", self.template(&open.join("\n"))),
        ]
    }

    fn cache_inputs(&self, cache: &Cache) -> Vec<(&'static str, Template)> {
        let key = match &cache.key {
            CacheKey::Text(key) => self.template(&(self.value)(key)),
            CacheKey::Files { files, prefix } => {
                let files: Vec<String> = files.iter().map(|file| format!("'{}'", (self.value)(file).replace('\'', "''"))).collect();
                let hash = format!("hashFiles({}) || 'default'", files.join(", "));
                let prefix = prefix.as_ref().map(|prefix| format!("{}-", (self.value)(prefix))).unwrap_or_default();
                let source = format!("format('{}{{0}}', {hash})", prefix.replace('\'', "''").replace('{', "{{").replace('}', "}}"));
                Template::Expr { source, span: self.span }
            }
        };
        vec![("key", key), ("path", self.lines(&cache.paths)), ("fallback", self.lines(&cache.fallback_keys))]
    }

    fn lines(&self, texts: &[String]) -> Template {
        let lines: Vec<String> = texts.iter().map(|text| (self.value)(text)).collect();
        self.template(&lines.join("\n"))
    }

    fn template(&self, text: &str) -> Template {
        template(text, self.secrets)
    }

    fn step(&self, id: &str, name: &str, condition: &str, action: StepAction) -> Step {
        Step { name: Some(Template::String(name.to_string())), condition: condition.to_string(), ..Step::new(id, self.span, action) }
    }
}

impl AllowFailure {
    /// Those with which alone the job may fail.
    pub(super) fn exit_codes(&self) -> &[i32] {
        match self {
            AllowFailure::ExitCodes(codes) => codes,
            AllowFailure::Always(_) => &[],
        }
    }
}

impl Artifacts {
    pub(super) fn dotenv(&self) -> impl Iterator<Item = &String> {
        self.reports.iter().filter(|(kind, _)| kind == "dotenv").flat_map(|(_, paths)| paths)
    }

    /// Whether a later job has anything to take from here.
    pub(super) fn is_passed_on(&self) -> bool {
        !self.paths.is_empty() || self.untracked || self.dotenv().next().is_some()
    }
}

fn run(script: String) -> StepAction {
    StepAction::Run { script: Template::String(script), shell: None, working_directory: None }
}

fn uses(action: &str, inputs: &[(&'static str, Template)]) -> StepAction {
    let with = inputs.iter().map(|(name, value)| (Template::String((*name).to_string()), value.clone())).collect();
    StepAction::Uses { uses: action.to_string(), with: Some(Template::Mapping(with)) }
}

fn condition(when: ArtifactsWhen) -> &'static str {
    match when {
        ArtifactsWhen::OnSuccess => "success()",
        ArtifactsWhen::OnFailure => "failure()",
        ArtifactsWhen::Always => "always()",
    }
}

/// The condition of a job: by what it names in `needs`, or by whether anything before it failed.
pub(super) fn job_condition(when: When, needs: &[String], named: bool) -> String {
    let names = || needs.iter().map(|need| format!("'{need}'")).collect::<Vec<_>>().join(", ");
    match (when, named) {
        (When::Always, _) => "!cancelled()".to_string(),
        (When::OnFailure, false) => "!cancelled() && failure()".to_string(),
        (When::OnFailure, true) => format!("!cancelled() && failure({}) && !contains(needs.*.result, 'skipped')", names()),
        // A job that was skipped holds up those that name it, and no later stage.
        (_, false) if !needs.is_empty() => "!cancelled() && !failure()".to_string(),
        (_, _) => format!("success({})", names()),
    }
}
