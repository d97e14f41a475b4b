//! `plimsoll lint`: what is wrong or dangerous in the files that decide what runs.

use std::path::{Path, PathBuf};

use base::{Diagnostic, Severity as Level, Source, counted, diagnostic};
use host::git;
use serde_json::{Value as Json, json};
use workflow::lint::{self, Finding, Fix, Kind, Options, Persona, Security, Severity};

use crate::cli::{Lint, LintFormat, PersonaChoice};
use crate::commands::run::or_workflows_above;
use crate::config::{self, Config};
use crate::exit;
use crate::failure::{Doing, Failure, Result};
use crate::gitlab;
use crate::security;
use crate::terminal::Terminal;
use crate::wrong;

/// Each fix may make room for another; more rounds than this are a mistake of ours.
const ROUNDS_MAX: usize = 1_000;

pub fn lint(args: &Lint, terminal: &Terminal) -> Result<u8> {
    let root = root(args)?;
    let config = read_config(&root)?;
    let options = Options { persona: persona(args.persona), forbidden: config.workflows.forbidden.clone(), ..Options::default() };
    let mode = security::mode(args.security, &config);
    if let Some(file) = args.files.iter().find(|file| gitlab::is_file(&file.display().to_string())) {
        return Err(no_gitlab(&file.display().to_string()));
    }
    let files = if args.files.is_empty() { of_project(&root)? } else { named(&args.files)? };
    if files.is_empty() && root.join(gitlab::FILE).is_file() {
        return Err(no_gitlab(gitlab::FILE));
    }
    if files.is_empty() {
        let failure = Failure::not_found(format!("there is nothing to lint in `{}`", root.display()));
        let failure = failure.hint("workflows lie in `.github/workflows`; other files can be named: `plimsoll lint FILE`");
        return Err(or_workflows_above(failure, &root, "lint"));
    }
    let format = if terminal.json { LintFormat::Json } else { args.format };
    // Beside data for a program a change is told to the person.
    let tell = |diff: &str| if format == LintFormat::Text { terminal.data(diff) } else { terminal.say(diff) };
    let mut checked = Vec::new();
    for (path, kind) in files {
        checked.push(Checked::of(&path, kind, &options, args.fix.then_some(&tell as &dyn Fn(&str)))?);
    }
    match format {
        LintFormat::Text => text(&checked, mode, terminal),
        LintFormat::Json => terminal.json(&checked.iter().flat_map(|file| file.json(mode)).collect::<Vec<Json>>()),
        LintFormat::Sarif => terminal.json(&sarif(&checked, mode)),
    }
    let wrong = checked.iter().any(|file| file.wrong.iter().any(|diagnostic| diagnostic.severity == Level::Error));
    let found = checked.iter().any(|file| !file.findings.is_empty());
    Ok(match (wrong, found) {
        (true, _) => exit::USAGE,
        (false, true) => exit::DIFFERENCES,
        (false, false) => exit::OK,
    })
}

fn no_gitlab(file: &str) -> Failure {
    Failure::usage(format!("`{file}` is of GitLab, whose files have no lints here"))
        .hint("`plimsoll run --dry-run` says what is wrong in it and what it would run")
}

/// One file and all that is said of it.
struct Checked {
    source: Source,
    /// What would keep it from being read at all.
    wrong: Vec<Diagnostic>,
    findings: Vec<Finding>,
}

impl Checked {
    fn of(path: &Path, kind: Kind, options: &Options, fix: Option<&dyn Fn(&str)>) -> Result<Checked> {
        let name = typed(path);
        let text = std::fs::read_to_string(path).map_err(|error| super::run::unread(path, &error))?;
        let mut source = Source::new(name.as_str(), text);
        let mut findings = lint::lint(&source, kind, options);
        if let Some(tell) = fix {
            let fixed = fixed(&source, kind, options);
            if fixed != *source.text {
                tell(lint::diff(&name, &source.text, &fixed).trim_end());
                std::fs::write(path, &fixed).doing(&format!("write `{name}`"))?;
                source = Source::new(name.as_str(), fixed);
                findings = lint::lint(&source, kind, options);
            }
        }
        let read = match kind {
            Kind::Workflow => workflow::github::parse(&source).1,
            Kind::Action => workflow::github::parse_action(&source).1,
            Kind::Dependabot | Kind::PreCommit => base::yaml::parse(&source).1,
        };
        let wrong = read.into_iter().filter(|diagnostic| diagnostic.severity == Level::Error).collect();
        Ok(Checked { source, wrong, findings })
    }

    fn diagnostics(&self, mode: Security) -> Vec<Diagnostic> {
        let level = |finding: &Finding| if mode.refuses(finding) { Level::Error } else { Level::Warning };
        let found = self.findings.iter().map(|finding| finding.diagnostic(level(finding)));
        self.wrong.iter().cloned().chain(found).collect()
    }

    fn json(&self, mode: Security) -> Vec<Json> {
        let wrong = self.wrong.iter().map(|diagnostic| wrong::json(&self.source, diagnostic));
        let found = self.findings.iter().map(|finding| {
            let labels = finding.labels.iter().map(|label| json!({ "place": wrong::place(&self.source, label.span), "text": label.text }));
            json!({
                "file": &*self.source.name,
                "place": wrong::place(&self.source, finding.span),
                "code": finding.audit,
                "severity": finding.severity,
                "confidence": finding.confidence,
                "persona": finding.persona,
                "message": finding.message,
                "hint": finding.hint,
                "labels": labels.collect::<Vec<Json>>(),
                "fix": finding.fix.as_ref().map(|fix| &fix.title),
                "refuses": mode.refuses(finding),
            })
        });
        wrong.chain(found).collect()
    }

    fn region(&self, span: base::Span) -> Json {
        let (line, column) = self.source.line_column(span.start);
        let (end_line, end_column) = self.source.line_column(span.end);
        json!({ "startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column })
    }
}

/// With every fix made that is certain, one after the other.
fn fixed(source: &Source, kind: Kind, options: &Options) -> String {
    let mut text = source.text.to_string();
    for _ in 0..ROUNDS_MAX {
        let current = Source::new(source.name.clone(), text.as_str());
        let fixes: Vec<Fix> = lint::lint(&current, kind, options).into_iter().filter_map(|finding| finding.fix).collect();
        let next = lint::apply(&text, &fixes);
        if next == text {
            break;
        }
        text = next;
    }
    text
}

fn root(args: &Lint) -> Result<PathBuf> {
    let here = std::env::current_dir().doing("find the current folder")?;
    let folder = args.files.iter().find(|file| file.is_dir()).cloned().unwrap_or(here);
    Ok(match git::place(&folder) {
        Ok(place) => place.root.join(place.subtree),
        Err(_) => folder,
    })
}

fn read_config(root: &Path) -> Result<Config> {
    let Ok(text) = std::fs::read_to_string(root.join("plimsoll.yaml")) else { return Ok(Config::default()) };
    let source = Source::new("plimsoll.yaml", text);
    let (config, diagnostics) = config::parse(&source);
    crate::compose::refuse(&source, &diagnostics)?;
    Ok(config)
}

fn persona(choice: PersonaChoice) -> Persona {
    match choice {
        PersonaChoice::Regular => Persona::Regular,
        PersonaChoice::Pedantic => Persona::Pedantic,
        PersonaChoice::Auditor => Persona::Auditor,
    }
}

/// The files as named; of a folder what a project has.
fn named(files: &[PathBuf]) -> Result<Vec<(PathBuf, Kind)>> {
    let mut found = Vec::new();
    for file in files {
        if file.is_dir() {
            found.extend(of_project(file)?);
            continue;
        }
        match lint::kind(&file.to_string_lossy()) {
            Some(kind) => found.push((file.clone(), kind)),
            None => {
                return Err(Failure::usage(format!("`{}` is no file that is linted", file.display()))
                    .hint("workflows, `action.yml`, `dependabot.yml` and `.pre-commit-config.yaml` are"));
            }
        }
    }
    Ok(found)
}

/// Workflows, actions, and the settings of Dependabot and pre-commit.
fn of_project(root: &Path) -> Result<Vec<(PathBuf, Kind)>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).doing(&format!("read `{}`", folder.display()))?;
        for entry in entries.flatten() {
            let path = entry.path();
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() && !is_passed_over(&path) {
                folders.push(path);
            } else if kind.is_file() {
                found.extend(project_file(root, &path).map(|kind| (path, kind)));
            }
        }
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(found)
}

fn is_passed_over(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    matches!(&*name, ".git" | "node_modules" | "target" | "vendor" | ".venv" | "testdata")
}

fn project_file(root: &Path, path: &Path) -> Option<Kind> {
    let relative = path.strip_prefix(root).unwrap_or(path);
    let folder = relative.parent()?;
    let kind = lint::kind(&relative.to_string_lossy())?;
    let belongs = match kind {
        Kind::Workflow => folder == Path::new(".github/workflows"),
        Kind::Action => true,
        Kind::Dependabot => folder == Path::new(".github"),
        Kind::PreCommit => folder.as_os_str().is_empty(),
    };
    belongs.then_some(kind)
}

/// As it would be typed from here.
fn typed(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}

fn text(checked: &[Checked], mode: Security, terminal: &Terminal) {
    for file in checked {
        let diagnostics = file.diagnostics(mode);
        if !diagnostics.is_empty() {
            terminal.data(&format!("{}\n", diagnostic::render(&file.source, &diagnostics, terminal.is_coloured())));
        }
    }
    let findings: Vec<&Finding> = checked.iter().flat_map(|file| &file.findings).collect();
    // What can't be read has been said, and that nothing was found in it would be wrong.
    if checked.iter().all(|file| file.wrong.is_empty()) {
        terminal.say(&summary(checked.len(), &findings, mode));
    }
}

fn summary(files: usize, findings: &[&Finding], mode: Security) -> String {
    let files = counted(files, "file");
    if findings.is_empty() {
        return format!("nothing found in {files}");
    }
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let by_severity = format!(
        "{} high, {} medium, {} low, {} informational",
        count(Severity::High),
        count(Severity::Medium),
        count(Severity::Low),
        count(Severity::Informational)
    );
    let refusing = findings.iter().filter(|finding| mode.refuses(finding)).count();
    let fixable = findings.iter().filter(|finding| finding.fix.is_some()).count();
    let refuse = if refusing > 0 { format!("; {refusing} would refuse a run") } else { String::new() };
    let fix = if fixable > 0 { format!("; `--fix` mends {fixable}") } else { String::new() };
    format!("{} in {files}: {by_severity}{refuse}{fix}", counted(findings.len(), "finding"))
}

/// SARIF 2.1.0, as GitHub's code scanning and the gate read it.
fn sarif(checked: &[Checked], mode: Security) -> Json {
    let rules: Vec<Json> = lint::audits()
        .map(|(id, summary)| {
            json!({
                "id": id,
                "name": id,
                "shortDescription": { "text": summary },
                "helpUri": format!("https://plimsoll.dev/docs/lint#{id}"),
            })
        })
        .collect();
    let results: Vec<Json> = checked.iter().flat_map(|file| file.findings.iter().map(|finding| result(file, finding, mode))).collect();
    let notes: Vec<Json> = checked
        .iter()
        .flat_map(|file| {
            file.wrong.iter().map(|diagnostic| {
                json!({
                    "level": "error",
                    "message": { "text": format!("{}: {}", diagnostic.code, diagnostic.message) },
                    "locations": [location(file, diagnostic.span)],
                })
            })
        })
        .collect();
    json!({
        "version": "2.1.0",
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "runs": [{
            "tool": { "driver": { "name": "plimsoll lint", "version": env!("CARGO_PKG_VERSION"), "informationUri": "https://plimsoll.dev", "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "invocations": [{ "executionSuccessful": notes.is_empty(), "toolExecutionNotifications": notes }],
            "results": results,
        }],
    })
}

fn result(file: &Checked, finding: &Finding, mode: Security) -> Json {
    let level = match finding.severity {
        Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Informational => "note",
    };
    let score = match finding.severity {
        Severity::High => "8.0",
        Severity::Medium => "5.0",
        Severity::Low => "3.0",
        Severity::Informational => "0.1",
    };
    let index = lint::audits().position(|(id, _)| id == finding.audit);
    let message = match &finding.hint {
        Some(hint) => format!("{}. {hint}", finding.message),
        None => finding.message.clone(),
    };
    let related: Vec<Json> = finding
        .labels
        .iter()
        .map(|label| {
            let mut location = location(file, label.span);
            location["message"] = json!({ "text": label.text });
            location
        })
        .collect();
    let mut result = json!({
        "ruleId": finding.audit,
        "ruleIndex": index,
        "level": level,
        "message": { "text": message },
        "locations": [location(file, finding.span)],
        "partialFingerprints": { "plimsoll/v1": fingerprint(file, finding) },
        "properties": {
            "security-severity": score,
            "confidence": finding.confidence,
            "persona": finding.persona,
            "refuses": mode.refuses(finding),
        },
    });
    if !related.is_empty() {
        result["relatedLocations"] = Json::Array(related);
    }
    if let Some(fix) = &finding.fix {
        let replacements: Vec<Json> = fix
            .edits
            .iter()
            .map(|edit| json!({ "deletedRegion": file.region(edit.span), "insertedContent": { "text": edit.text } }))
            .collect();
        let changes = json!([{ "artifactLocation": { "uri": &*file.source.name }, "replacements": replacements }]);
        result["fixes"] = json!([{ "description": { "text": fix.title }, "artifactChanges": changes }]);
    }
    result
}

fn location(file: &Checked, span: base::Span) -> Json {
    json!({ "physicalLocation": { "artifactLocation": { "uri": &*file.source.name }, "region": file.region(span) } })
}

/// The same as long as the rule and what is written at the place are, wherever in the file that has moved to.
fn fingerprint(file: &Checked, finding: &Finding) -> String {
    let written = file.source.text.get(finding.span.start..finding.span.end).unwrap_or_default();
    let text = format!("{}\n{}\n{written}", finding.audit, file.source.name);
    base::Digest::of(text.as_bytes()).to_string()
}
