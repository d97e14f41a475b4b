//! `plimsoll policy`: the repository's policies are tested and asked, as they lie in the working tree.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use base::Source;
use gate::policy::{Answer, Policies, PolicyDiagnostic, Statement, TestOutcome, TestResult};
use serde_json::{Value, json};

use super::{project_of, running};
use crate::cli::{OneRelease, PolicyEval, PolicyFmt, PolicyTest};
use crate::compose;
use crate::exit;
use crate::failure::{Doing, Failure, FailureKind, Result};
use crate::server::Asked;
use crate::terminal::Terminal;
use crate::view::{Mark, marked};

pub fn test(args: &PolicyTest, terminal: &Terminal) -> Result<u8> {
    let sources = sources(&args.of.dir, &args.path)?;
    let results = gate::policy::test(sources, gate::GatePlan::default().policy_limit_ms).map_err(|problems| unreadable(&problems))?;
    if results.is_empty() {
        let message = format!("there is no test in `{}`: no rule whose name begins with `test_`", args.path.display());
        return Err(Failure::not_found(message).hint("docs/gate.md shows one; tests of `policy/x.rego` go to `policy/x_test.rego`"));
    }
    let count = |wanted: fn(&TestOutcome) -> bool| results.iter().filter(|result| wanted(&result.outcome)).count();
    let passed = count(|outcome| *outcome == TestOutcome::Passed);
    let failed = count(|outcome| *outcome == TestOutcome::Failed);
    let errors = count(|outcome| matches!(outcome, TestOutcome::Error(_)));
    let skipped = count(|outcome| *outcome == TestOutcome::Skipped);
    if terminal.json {
        terminal.json(&json!({ "passed": passed, "failed": failed, "errors": errors, "skipped": skipped, "tests": results }));
    } else {
        results.iter().for_each(|result| show(result, terminal));
        let mut counts = vec![format!("{passed} passed")];
        let others = [(failed, "failed"), (errors, "ended in an error"), (skipped, "skipped")];
        counts.extend(others.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")));
        terminal.data(&format!("of {} tests {}", results.len(), counts.join(", ")));
    }
    Ok(if failed + errors == 0 { exit::OK } else { exit::FAILED })
}

fn show(result: &TestResult, terminal: &Terminal) {
    let TestResult { name, file, line, outcome, printed } = result;
    let (mark, how) = match outcome {
        TestOutcome::Passed if terminal.is_verbose() => (Mark::Good, String::new()),
        TestOutcome::Passed => return,
        TestOutcome::Failed => (Mark::Bad, " does not hold".to_string()),
        TestOutcome::Error(message) => (Mark::Bad, format!(" ended in an error: {message}")),
        TestOutcome::Skipped => (Mark::Skipped, " is to be done".to_string()),
    };
    terminal.data(&marked(terminal, mark, &format!("{file}:{line}: {name}{how}")));
    printed.iter().for_each(|line| terminal.data(&format!("    {line}")));
}

pub async fn eval(args: &PolicyEval, terminal: &Terminal) -> Result<u8> {
    let sources = match args.of.dir.join("policy") {
        folder if folder.is_dir() => sources(&args.of.dir, Path::new("policy"))?,
        _ => Vec::new(),
    };
    let policies = Policies::compile(sources).map_err(|problems| unreadable(&problems))?;
    let unheard = policies.unheard();
    if !unheard.is_empty() {
        return Err(unreadable(&unheard));
    }
    policies.unseen().iter().for_each(|problem| terminal.warn(&compose::told(&problem.source, &problem.diagnostic)));
    let document = match &args.input {
        Some(path) => read_input(path)?,
        None => input_of_release(args, terminal).await?,
    };
    match &args.query {
        Some(query) => {
            let results = policies.query(query, &document).map_err(|why| Failure::usage(format!("`{query}` has no answer: {why}")))?;
            answer_query(&results, terminal);
            Ok(exit::OK)
        }
        None => {
            let answer = policies.evaluate(&document).held_to(&document);
            say(&answer, terminal);
            Ok(if answer.violations.is_empty() { exit::OK } else { exit::DENIED })
        }
    }
}

pub fn fmt(args: &PolicyFmt) -> Result<u8> {
    let message = "policies can't be formatted here: a formatter that might change what a rule says is worse than none";
    Err(Failure::usage(message).hint(format!("`opa fmt --write {}` does it", args.path.display())))
}

/// The policies in a file or below a folder, by the path from the project; tests among them.
fn sources(folder: &Path, path: &Path) -> Result<Vec<Source>> {
    let mut files = Vec::new();
    collect(&folder.join(path), &mut files)?;
    if files.is_empty() {
        return Err(Failure::not_found(format!("`{}` holds no policy: no file whose name ends in `.rego`", path.display())));
    }
    files.sort();
    let read = |file: &PathBuf| {
        let text = std::fs::read_to_string(file).doing(&format!("read {}", file.display()))?;
        Ok(Source::new(file.strip_prefix(folder).unwrap_or(file).display().to_string(), text))
    };
    files.iter().map(read).collect()
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if !path.exists() {
        return Err(Failure::not_found(format!("there is no `{}`", path.display())).hint("policies are looked for in `policy/`"));
    }
    if !path.is_dir() {
        files.push(path.to_path_buf());
        return Ok(());
    }
    let doing = || format!("read {}", path.display());
    for entry in std::fs::read_dir(path).doing(&doing())? {
        let entry = entry.doing(&doing())?.path();
        // Links to folders may lead in circles.
        let is_folder = entry.is_dir() && !entry.is_symlink();
        match is_folder {
            true => collect(&entry, files)?,
            false if entry.extension().is_some_and(|extension| extension == "rego") => files.push(entry),
            false => {}
        }
    }
    Ok(())
}

fn unreadable(problems: &[PolicyDiagnostic]) -> Failure {
    let rendered: Vec<String> = problems.iter().map(|problem| problem.render(false)).collect();
    Failure::usage(format!("a policy can't be read\n\n{}", rendered.join("\n\n")))
}

fn read_input(path: &Path) -> Result<Value> {
    let mut text = String::new();
    let doing = format!("read {}", path.display());
    let read = match path.to_str() {
        Some("-") => std::io::stdin().read_to_string(&mut text),
        _ => std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text)),
    };
    read.map_err(|error| Failure::usage(format!("failed to {doing}: {error}")))?;
    serde_json::from_str(&text).map_err(|error| Failure::usage(format!("`{}` is no JSON document: {error}", path.display())))
}

/// As the gate was shown it, put together from the record again.
async fn input_of_release(args: &PolicyEval, terminal: &Terminal) -> Result<Value> {
    let one = OneRelease { release: args.release.clone(), of: args.of.clone() };
    let asked: Result<Asked> = match running().await {
        Ok(client) => client.get(&super::release::path(&one, project_of(&one.of.dir)?, "/input")).await,
        Err(failure) => Err(failure),
    };
    let asked = asked.map_err(|failure| match failure.kind {
        FailureKind::NotFound => failure.hint("`--input FILE` asks about a document of yours"),
        _ => failure,
    })?;
    if !asked.is_same {
        terminal.warn(&format!("release-{} was decided by another version: this is its input as this version shows it", asked.number));
    }
    Ok(asked.document)
}

fn answer_query(results: &Value, terminal: &Terminal) {
    if terminal.json {
        return terminal.json(results);
    }
    let results = results["result"].as_array().map(Vec::as_slice).unwrap_or_default();
    let values = results.iter().flat_map(|result| result["expressions"].as_array().into_iter().flatten());
    let values: Vec<String> = values.map(|it| serde_json::to_string_pretty(&it["value"]).unwrap_or_default()).collect();
    match values.is_empty() {
        true => terminal.data("undefined"),
        false => values.iter().for_each(|value| terminal.data(value)),
    }
}

fn say(answer: &Answer, terminal: &Terminal) {
    let allow = answer.violations.is_empty();
    if terminal.json {
        let list = |statements: &[Statement]| -> Vec<Value> {
            let one = |it: &Statement| json!({ "id": it.id, "message": it.message, "evidence": it.evidence, "rule": it.rule });
            statements.iter().map(one).collect()
        };
        let (violations, warnings, requires) = (list(&answer.violations), list(&answer.warnings), list(&answer.requires));
        let strategy = &answer.strategy;
        return terminal.json(&json!({
            "allow": allow, "strategy": strategy, "violations": violations, "warnings": warnings, "requires": requires,
        }));
    }
    let strategy = answer.strategy.as_ref().map(|strategy| format!(", by the strategy {strategy}")).unwrap_or_default();
    let (mark, word) = if allow { (Mark::Good, "allow") } else { (Mark::Bad, "deny") };
    terminal.data(&marked(terminal, mark, &format!("the policies {word} it{strategy}")));
    for (kind, statements) in [("denied", &answer.violations), ("warning", &answer.warnings), ("requires", &answer.requires)] {
        for it in statements {
            let rule = it.rule.as_ref().map(|rule| format!("; says {rule}")).unwrap_or_default();
            terminal.data(&format!("    {kind}: {}{rule}", it.message));
        }
    }
}
