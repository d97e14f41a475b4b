//! GitLab's files: `testdata/gitlab/*.yml` becomes what stands beside it, for the pipeline its first lines name.
//! `UPDATE_EXPECT=1` rewrites it.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use base::{Source, diagnostic};
use workflow::gitlab::{self, Compiled, Images, Include, Includes, Pipeline, Refused, Report};
use workflow::model::{Job, Step, StepAction, Template, Work};
use workflow::trigger::Event;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/gitlab")
}

#[test]
fn cases() {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yml"));
    files.sort();
    assert!(files.len() > 20, "the cases are there");
    let mut differing = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let found = check(&text);
        let expected = file.with_extension("txt");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&expected, &found).unwrap();
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != found {
            differing.push(format!("{}\n{found}", file.display()));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n\n"));
}

/// Every case names the page of GitLab's documentation that it is about.
#[test]
fn every_case_has_a_source() {
    for entry in std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.extension().is_some_and(|extension| extension == "yml") {
            let text = std::fs::read_to_string(&entry).unwrap();
            assert!(text.starts_with("# docs.gitlab.com/"), "{}", entry.display());
        }
    }
}

/// What a file of some kilobytes could make of itself: more than anybody waits for, and here an answer.
#[test]
fn hostile_files_cost_little() {
    let with = |jobs: usize, job: &dyn Fn(usize) -> String| check((0..jobs).map(job).collect::<String>().as_str());
    let paths = with(100, &|job| {
        let before = job / 2 * 2;
        let needs = if before == 0 { String::new() } else { format!("x{}, x{}", before - 2, before - 1) };
        format!("x{job}: {{trigger: {{include: grandchild.yml}}, needs: [{needs}]}}\n")
    });
    assert!(paths.contains("\nx99 `x99`\n"), "{paths}");
    let circle = with(1_000, &|job| format!("x{job}: {{trigger: {{include: hostile-circle.yml}}}}\n"));
    assert!(circle.contains("`hostile-circle.yml` triggers itself, without end"), "{circle}");
    let children = with(1_100, &|job| format!("x{job}: {{trigger: {{include: other-leaf.yml}}}}\n"));
    assert!(children.contains("more than 1000 child pipelines, and this is one too many"), "{children}");
    let jobs = with(60, &|job| format!("x{job}: {{trigger: {{include: hostile-jobs.yml}}}}\n"));
    assert!(jobs.contains("more than 10000 jobs, and this is one too many"), "{jobs}");
}

/// A file that triggers itself with something that ends it is a pipeline.
#[test]
fn a_file_may_trigger_itself_where_its_rules_end_that() {
    let text = "again: {trigger: {include: .gitlab-ci.yml}, rules: [{if: '$CI_PIPELINE_SOURCE == \"push\"'}]}\nwork: {script: w}\n";
    struct Itself(Source);
    impl Includes for Itself {
        fn read(&self, _: &Include) -> Result<Vec<Source>, String> {
            Ok(vec![self.0.clone()])
        }
    }
    let compiled = |text: &str| {
        let (source, pipeline) = (Source::new(".gitlab-ci.yml", text), pipeline(text));
        let includes = Itself(source.clone());
        let file = gitlab::parse(&source, &pipeline, &includes).0.unwrap();
        gitlab::compile(&file, &pipeline, &includes)
    };
    let once = compiled(text).unwrap();
    assert_eq!(once.workflow.called.keys().collect::<Vec<_>>(), ["./again"]);
    let Err(Refused::Wrong(reports)) = compiled("again: {trigger: {include: .gitlab-ci.yml}}\nwork: {script: w}\n") else {
        panic!("it has no end");
    };
    assert!(rendered(&reports).contains("`.gitlab-ci.yml` triggers itself, without end"), "{}", rendered(&reports));
    let many = |rules: &str| -> String {
        let text: String = (0..1_000).map(|job| format!("x{job}: {{trigger: {{include: .gitlab-ci.yml}}{rules}}}\n")).collect();
        let Err(Refused::Wrong(reports)) = compiled(&text) else { panic!("it has no end") };
        rendered(&reports)
    };
    assert!(many("").contains("triggers itself, without end"));
    assert!(many(", rules: [{when: on_success}]").contains("more than 10000 jobs"));
}

fn check(text: &str) -> String {
    let source = Source::new(".gitlab-ci.yml", text);
    let pipeline = pipeline(text);
    let (file, mut reports) = gitlab::parse(&source, &pipeline, &InFolder);
    let Some(file) = file else { return rendered(&reports) };
    match gitlab::compile(&file, &pipeline, &InFolder) {
        Ok(compiled) => {
            reports.extend(compiled.reports.clone());
            let warnings = rendered(&reports);
            format!("{warnings}{}", shown(&compiled))
        }
        Err(Refused::NoPipeline(why)) => format!("no pipeline: {why}\n"),
        Err(Refused::Wrong(more)) => {
            reports.extend(more);
            rendered(&reports)
        }
    }
}

/// From lines such as `# ref: refs/tags/v1` at the top.
fn pipeline(text: &str) -> Pipeline {
    let lines = text.lines().map_while(|line| line.strip_prefix("# "));
    let settings: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(": ")).collect();
    let all = |name: &str| settings.iter().filter(|(known, _)| *known == name).map(|(_, value)| *value).collect::<Vec<_>>();
    let one = |name: &str, default: &'static str| all(name).first().map_or(default.to_string(), |value| (*value).to_string());
    let words = |name: &str| all(name).iter().flat_map(|value| value.split(' ')).map(str::to_string).collect::<Vec<_>>();
    let event = Event {
        name: one("event", "push"),
        payload: serde_json::from_str(&one("payload", "{}")).unwrap(),
        git_ref: one("ref", "refs/heads/main"),
        sha: "0123456789abcdef0123456789abcdef01234567".to_string(),
        changed_paths: settings.iter().any(|(name, _)| *name == "changed").then(|| words("changed")),
    };
    let mut pipeline = Pipeline::new(event);
    let pair = |text: &str| text.split_once('=').map(|(name, value)| (name.to_string(), value.to_string())).unwrap();
    pipeline.variables = all("var").into_iter().map(pair).collect();
    pipeline.inputs = all("input").into_iter().map(pair).collect();
    pipeline.secrets = words("secret");
    pipeline.files = words("files");
    pipeline.play = all("play").into_iter().map(str::to_string).collect();
    pipeline.commit.message = one("message", "first line\n\nand more");
    pipeline.images = match one("images", "container").as_str() {
        "host" => Images::Host,
        "refuse" => Images::Refuse,
        _ => Images::Container,
    };
    pipeline
}

struct InFolder;

impl Includes for InFolder {
    fn read(&self, include: &Include) -> Result<Vec<Source>, String> {
        let name = match include {
            Include::Local(path) => path.clone(),
            Include::Project { project, git_ref, file } => format!("{project}@{}/{file}", git_ref.as_deref().unwrap_or("HEAD")),
            Include::Remote(address) => address.trim_start_matches("https://").to_string(),
            Include::Template(_) | Include::Component(_) => return Err("there is none".to_string()),
        };
        let path = folder().join("includes").join(&name);
        let text = std::fs::read_to_string(path).map_err(|_| format!("there is no file `{name}`"))?;
        Ok(vec![Source::new(name, text)])
    }
}

fn rendered(reports: &[Report]) -> String {
    let of = |report: &Report| format!("{}\n\n", diagnostic::render(&report.source, &report.diagnostics, false));
    reports.iter().map(of).collect()
}

fn shown(compiled: &Compiled) -> String {
    let mut out = String::new();
    if let Some(name) = &compiled.workflow.name {
        writeln!(out, "name: {name}").unwrap();
    }
    for (stage, jobs) in &compiled.stages {
        writeln!(out, "stage {stage}: {}", jobs.join(" | ")).unwrap();
    }
    compiled.workflow.jobs.iter().for_each(|job| show_job(job, &mut out));
    for (name, called) in &compiled.workflow.called {
        writeln!(out, "\n== {name}").unwrap();
        called.jobs.iter().for_each(|job| show_job(job, &mut out));
    }
    for it in &compiled.not_added {
        writeln!(out, "not `{}`{}: {}", it.job, if it.manual { " (manual)" } else { "" }, it.reason).unwrap();
    }
    if !compiled.blocking.is_empty() {
        writeln!(out, "blocking: {}", compiled.blocking.join(", ")).unwrap();
    }
    for tool in &compiled.tools {
        writeln!(out, "tool of `{}`: {}", tool.job, tool.tool).unwrap();
    }
    out
}

fn show_job(job: &Job, out: &mut String) {
    let Some(Template::String(name)) = &job.name else { panic!("a job has a name") };
    writeln!(out, "\n{} `{name}`", job.id).unwrap();
    writeln!(out, "  if {}", job.condition).unwrap();
    if !job.needs.is_empty() {
        writeln!(out, "  after {}", job.needs.join(", ")).unwrap();
    }
    let mut put = |name: &str, template: Option<&Template>| {
        if let Some(template) = template {
            writeln!(out, "  {name} {}", text(template)).unwrap();
        }
    };
    put("environment", job.environment.as_ref().map(|environment| &environment.name));
    put("url", job.environment.as_ref().and_then(|environment| environment.url.as_ref()));
    put("group", job.concurrency.as_ref().map(|concurrency| &concurrency.group));
    put("minutes", job.timeout_minutes.as_ref().filter(|minutes| **minutes != Template::Number(60.0)));
    put("allowed to fail", job.continue_on_error.as_ref());
    if !job.allowed_exit_codes.is_empty() {
        let outputs: Vec<String> = job.outputs.iter().map(|(name, value)| format!("{name} {}", text(value))).collect();
        writeln!(out, "  allowed to fail with {:?} as {}", job.allowed_exit_codes, outputs.join(", ")).unwrap();
    }
    if let Some(coverage) = &job.coverage {
        writeln!(out, "  coverage {coverage}").unwrap();
    }
    if let Some(tokens) = &job.id_tokens {
        writeln!(out, "  tokens {:?} of a {}", tokens.audiences, tokens.source).unwrap();
    }
    if let Some(retry) = &job.retry {
        writeln!(out, "  again {} times on {:?}", retry.max, retry.on).unwrap();
    }
    if let Some(Template::Mapping(env)) = &job.env {
        let env: BTreeMap<String, String> = env.iter().map(|(name, value)| (text(name), text(value))).collect();
        let own = |name: &str| !name.starts_with("CI") && !name.starts_with("GITLAB_");
        for (name, value) in
            env.iter().filter(|(name, _)| own(name) || name.starts_with("CI_NODE_INDEX") || name.starts_with("CI_ENVIRONMENT"))
        {
            writeln!(out, "  {name}={value}").unwrap();
        }
    }
    let (steps, container, services, defaults) = match &job.work {
        Work::Steps { steps, container, services, defaults, .. } => (steps, container, services, defaults),
        Work::Call { uses, .. } => return writeln!(out, "  calls {uses}").unwrap(),
    };
    let mut put = |name: &str, template: &Template| writeln!(out, "  {name} {}", text(template)).unwrap();
    for (name, template) in [("container", container), ("shell", &defaults.shell)] {
        template.iter().for_each(|template| put(name, template));
    }
    if let Some(Template::Mapping(services)) = services {
        services.iter().for_each(|(name, service)| put(&format!("service {}", text(name)), &without_ci(service)));
    }
    steps.iter().for_each(|step| show_step(step, out));
}

/// What every job and service has is left out.
fn without_ci(service: &Template) -> Template {
    let Template::Mapping(pairs) = service else { return service.clone() };
    let own = |(name, _): &&(Template, Template)| !["CI", "GITLAB_"].iter().any(|common| text(name).starts_with(common));
    Template::Mapping(pairs.iter().filter(own).map(|(name, value)| (name.clone(), without_ci(value))).collect())
}

fn show_step(step: &Step, out: &mut String) {
    let condition = if step.condition == "success()" { String::new() } else { format!(" if {}", step.condition) };
    let allowed = step.continue_on_error.as_ref().map(|it| format!(" may fail: {}", text(it))).unwrap_or_default();
    match &step.action {
        StepAction::Run { script, .. } => {
            writeln!(out, "  - {}{condition}{allowed}", step.id).unwrap();
            let script = text(script);
            for line in script.lines().skip_while(|line| !line.starts_with("export CI_JOB_STARTED_AT")).skip(1) {
                writeln!(out, "      {line}").unwrap();
            }
        }
        StepAction::Uses { uses, with } => {
            let Some(Template::Mapping(with)) = with else { panic!("an action has inputs") };
            let with: Vec<String> = with.iter().map(|(name, value)| format!("{}={:?}", text(name), text(value))).collect();
            writeln!(out, "  - {}{condition} {uses} {}", step.id, with.join(" ")).unwrap();
        }
        other => panic!("no step of GitLab's does {other:?}"),
    }
}

fn text(template: &Template) -> String {
    match template {
        Template::String(text) => text.clone(),
        Template::Expr { source, .. } => format!("${{{{ {source} }}}}"),
        Template::Number(number) => number.to_string(),
        Template::Bool(bool) => bool.to_string(),
        Template::Sequence(items) => format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(", ")),
        Template::Mapping(pairs) => {
            let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{}: {}", text(name), text(value))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
        other => format!("{other:?}"),
    }
}
