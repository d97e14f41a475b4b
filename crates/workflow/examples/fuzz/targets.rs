//! What is fuzzed, each with the golden files that its inputs are made of.

use std::path::Path;

use base::mask::Mask;
use base::{Source, yaml};
use workflow::expr::{self, Scope, Value};
use workflow::gitlab::{self, Images, NoIncludes, Pipeline};
use workflow::job::command::Commands;
use workflow::job::glob::Globs;
use workflow::job::{files, matcher};
use workflow::trigger::Event;
use workflow::{github, glob, lint, schedule};

pub struct Target {
    pub name: &'static str,
    pub seeds: fn() -> Vec<String>,
    pub run: fn(&str),
}

pub const TARGETS: &[Target] = &[
    Target { name: "yaml", seeds: workflows, run: yaml },
    Target { name: "parser", seeds: workflows, run: parser },
    Target { name: "lints", seeds: workflows, run: lints },
    Target { name: "expressions", seeds: expressions, run: expression },
    Target { name: "commands", seeds: commands, run: command },
    Target { name: "env-files", seeds: env_files, run: env_file },
    Target { name: "globs", seeds: globs, run: globbed },
    Target { name: "masker", seeds: commands, run: mask },
    Target { name: "gitlab", seeds: pipelines, run: pipeline },
];

/// Keeps what was computed from being left out.
fn used<T>(value: T) {
    std::hint::black_box(value);
}

fn golden(folder: &str, extension: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(folder);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
    // The folder's order is the file system's, and a number has to mean the same everywhere.
    paths.sort();
    paths.iter().filter_map(|path| std::fs::read_to_string(path).ok()).collect()
}

fn workflows() -> Vec<String> {
    ["github", "called", "job"].into_iter().flat_map(|folder| golden(folder, "yml")).collect()
}

fn pipelines() -> Vec<String> {
    golden("gitlab", "yml")
}

fn expressions() -> Vec<String> {
    let lines = golden("expressions", "txt").join("\n");
    lines.lines().filter_map(|line| Some(line.split("  →  ").next()?.to_owned())).filter(|line| !line.is_empty()).collect()
}

fn commands() -> Vec<String> {
    let mut logs: Vec<String> = [
        "::error file=a.py,line=3,endLine=4,col=1,title=A%2C b::broken%0Aand more\n::warning::x\n##[error]y\n##[group]z\n::endgroup::",
        "::add-mask::secret-value-1\n::stop-commands::token-1\n::error::no\n::token-1::\n::set-output name=a::b%25\n::echo::on",
        "::add-matcher::m.json\n::remove-matcher owner=x::\n::notice\n::debug::c3VwZXItc2VjcmV0\nsrc/a.rs:3:5: error[E1]: broken",
        r#"{"problemMatcher":[{"owner":"a","pattern":[{"regexp":"^(.+):(\\d+):(\\d+): (.*)$","file":1,"line":2,"column":3,"message":4,"loop":true}]}]}"#,
        "super-secret-1 73757065722d7365637265742d31 c3VwZXItc2VjcmV0LTE= \u{1b}[31msuper\u{1b}[0m-secret-1 s\\uper\\x2dsecret%2D1",
    ]
    .map(str::to_owned)
    .into();
    logs.extend(golden("job", "txt"));
    logs
}

fn env_files() -> Vec<String> {
    [
        "A=b\nB<<EOF\none\ntwo\nEOF\nC=",
        "A<<<<\n<<\n",
        "\u{feff}A=1\r\nB<<E\r\nx\r\nE\r\n",
        "A<<\nB=c<<d\n=x\nNODE_OPTIONS=1\n",
        "/usr/bin\n\n/opt/a b\n",
    ]
    .map(str::to_owned)
    .into()
}

fn globs() -> Vec<String> {
    let mut patterns: Vec<String> = [
        "**/*.rs\n!**/target/**\nsrc/{a,b}?[c-e]\nreleases/**-[0-9]+\n",
        "main\nreleases/*\n!releases/old*\nv[12].[0-9]+.[0-9]+\n**\n",
        "~/.cache\n./a/../b\n/abs/**/x\n[!a]*\n\\*literal\n# comment\n",
        "+x\n*?+[]\n[a-\n[]]\n[z-a]\n***\n?(a)\n",
    ]
    .map(str::to_owned)
    .into();
    patterns.extend(golden("trigger", "txt"));
    patterns
}

fn yaml(input: &str) {
    let source = Source::new("x.yml", input);
    for merge_keys in [false, true] {
        let options = yaml::Options { merge_keys, list_tags: &["!reference"], ..yaml::Options::default() };
        let (_, diagnostics) = yaml::parse_with(&source, &options);
        used(base::diagnostic::render(&source, &diagnostics, false));
    }
    for comment in yaml::comments(&source) {
        assert_eq!(&input[comment.span.start..comment.span.end], comment.text, "a comment is where it says");
    }
}

fn parser(input: &str) {
    let source = Source::new(".github/workflows/x.yml", input);
    let (workflow, diagnostics) = github::parse(&source);
    used(base::diagnostic::render(&source, &diagnostics, false));
    let (_, diagnostics) = github::parse_action(&source);
    used(base::diagnostic::render(&source, &diagnostics, false));
    let Some(workflow) = workflow else { return };
    used(github::load(&source, &|_| Ok(input.to_owned())));
    for entry in schedule::entries(&workflow) {
        let now = base::Timestamp::from_ms(1_795_000_000_000);
        used(schedule::next(&entry.cron, &jiff::tz::TimeZone::UTC, now));
    }
}

fn lints(input: &str) {
    let source = Source::new(".github/workflows/x.yml", input);
    let findings = lint::lint(&source, lint::Kind::Workflow, &lint::Options::default());
    let fixes: Vec<lint::Fix> = findings.into_iter().filter_map(|finding| finding.fix).collect();
    used(lint::apply(input, &fixes));
}

struct Everything;

impl Scope for Everything {
    fn context(&self, name: &str) -> Option<Value> {
        let json = serde_json::json!({"ref": "refs/heads/main", "event": {"commits": [{"id": "one", "n": 1.5, "tags": ["v1"]}, null]}});
        matches!(name.to_ascii_lowercase().as_str(), "github" | "env" | "matrix" | "needs" | "steps").then(|| Value::from_json(&json))
    }

    fn call(&self, name: &str, _: &[Value]) -> Option<Result<Value, String>> {
        matches!(name, "success" | "failure" | "always" | "cancelled").then(|| Ok(Value::Bool(true)))
    }
}

fn expression(input: &str) {
    if let Ok(value) = expr::evaluate_source(input, &Everything) {
        used((value.text(), value.to_json(), value.number()));
    }
    if let Ok(template) = expr::template(input, base::Span::default()) {
        used(expr::evaluate_template(&template, &Everything));
    }
}

fn command(input: &str) {
    let mut commands = Commands::default();
    let matchers = matcher::parse(input).unwrap_or_default();
    let mut reading = matcher::Matchers::new(&matchers);
    for line in input.split('\n') {
        used(commands.read(line));
        used(reading.read(line));
    }
}

fn env_file(input: &str) {
    used(files::pairs(input));
    assert!(files::paths(input).all(|path| !path.is_empty()), "an empty line is no path");
}

fn globbed(input: &str) {
    let lines: Vec<&str> = input.lines().collect();
    let names = ["main", "releases/10-beta", "src/a/b.rs", "", "v1.20.3", "ä/ß", "a-b+c"];
    if let Ok(filter) = glob::Filter::parse(lines.iter().take(8).copied()) {
        names.iter().for_each(|name| used(filter.matches(name)));
    }
    // Of many lines every pair would only be the same again, and reading a pattern takes longer than all else here.
    for line in lines.iter().take(2) {
        [names[2], lines[0]].iter().for_each(|name| used(gitlab::path_matches(line, name)));
    }
    if let Ok(globs) = Globs::parse(input, "/w", Some("/home/a")) {
        for root in globs.roots() {
            used(globs.matched(&root));
        }
        for name in names {
            let path = format!("/w/{name}");
            used((globs.matched(&path), globs.may_match_below(&path)));
        }
    }
}

/// What is covered doesn't depend on where the chunks end.
fn mask(input: &str) {
    let mut mask = Mask::new();
    let middle = (0..=input.len() / 2).rev().find(|at| input.is_char_boundary(*at)).unwrap_or(0);
    mask.add("super-secret-1");
    mask.add(input[middle..].lines().next().unwrap_or_default());
    let whole = mask.apply(input);
    assert!(!whole.contains("super-secret-1"), "a secret is left");
    let mut stream = mask.stream();
    let mut out = Vec::new();
    for chunk in input.as_bytes().chunks(1 + input.len() % 61) {
        stream.push(chunk, &mut out);
    }
    stream.finish(&mut out);
    assert_eq!(String::from_utf8_lossy(&out), whole, "chunks change what is covered");
}

fn pipeline(input: &str) {
    let source = Source::new(".gitlab-ci.yml", input);
    let event = Event {
        name: "push".to_owned(),
        payload: serde_json::json!({}),
        git_ref: "refs/heads/main".to_owned(),
        sha: "0".repeat(40),
        changed_paths: Some(vec!["a/b.rs".to_owned()]),
    };
    let mut pipeline = Pipeline::new(event);
    (pipeline.images, pipeline.files) = (Images::Host, vec!["a/b.rs".to_owned()]);
    let (file, reports) = gitlab::parse(&source, &pipeline, &NoIncludes);
    for report in &reports {
        used(base::diagnostic::render(&report.source, &report.diagnostics, false));
    }
    if let Some(file) = file {
        used(gitlab::compile(&file, &pipeline, &NoIncludes));
    }
}
