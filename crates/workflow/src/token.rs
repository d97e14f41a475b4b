//! The token of a job: what it may do, whether its lines name it, and which of its steps would show it to a forge.

use std::collections::BTreeMap;

use base::Span;
use serde::Serialize;
use serde_json::Value as Json;

use crate::container;
use crate::expr;
use crate::job::{Builtin, JobSpec};
use crate::lint::shell;
use crate::model::{Job, Step, StepAction, Template, Work, Workflow};
use crate::permissions::{self, Granted, Level, Policy};
use crate::schema::permissions::SCOPES;
use crate::schema::uses::is_local;
use crate::trust::{self, Trust};

/// The secret that it is known as, beside `github.token`.
pub const NAME: &str = "GITHUB_TOKEN";

/// What the token may do: what the files say, else the defaults. In a run that a stranger can cause it reads and no more, and a scope
/// that knows no reading is none.
#[must_use]
pub fn rights(asked: Option<&Granted>, github: &Json) -> Granted {
    let granted = asked.cloned().unwrap_or_else(|| Policy::LimitedRead.granted());
    match trust::of(github) {
        Trust::Trusted => granted,
        Trust::Untrusted { .. } => {
            granted.into_iter().filter(|(scope, _)| can_be_read(scope)).map(|(scope, _)| (scope, Level::Read)).collect()
        }
    }
}

fn can_be_read(scope: &str) -> bool {
    SCOPES.iter().any(|(known, levels)| *known == scope && levels.contains(&"read"))
}

/// The scopes that an App at GitHub can have, in the order of [`SCOPES`].
///
/// Source: `app-permissions` in GitHub's description of its API (`github/rest-api-description`).
const OF_APPS: [&str; 15] = [
    "actions",
    "artifact-metadata",
    "attestations",
    "checks",
    "contents",
    "deployments",
    "discussions",
    "issues",
    "packages",
    "pages",
    "pull-requests",
    "repository-projects",
    "security-events",
    "statuses",
    "vulnerability-alerts",
];

/// The same in the words of an App. Never empty: an App that is asked for nothing in particular gives all it has.
#[must_use]
pub fn of_app(granted: &Granted) -> BTreeMap<String, Level> {
    let known = granted.iter().filter(|(scope, _)| OF_APPS.contains(&scope.as_str()));
    let metadata = ("metadata".to_owned(), Level::Read);
    known.map(|(scope, level)| (scope.replace('-', "_"), *level)).chain([metadata]).collect()
}

/// Whether lines of the job name its token, or something that it is a part of.
#[must_use]
pub fn is_named(spec: &JobSpec) -> bool {
    names(&spec.job) || names(&spec.workflow_env) || names(&spec.secrets)
}

/// Whether the job uses actions whose files, which say what they take of it, aren't a part of the workflow.
#[must_use]
pub fn may_be_taken(spec: &JobSpec) -> bool {
    let Work::Steps { steps, .. } = &spec.job.work else { return false };
    steps.iter().any(|step| matches!(&step.action, StepAction::Uses { uses, .. } if Builtin::of(uses).is_none()))
}

/// Whether its scripts push with what a checkout leaves them.
#[must_use]
pub fn pushes(spec: &JobSpec) -> bool {
    let Work::Steps { steps, .. } = &spec.job.work else { return false };
    let may = spec.permissions.as_ref().is_some_and(may_push);
    may && steps.iter().any(|step| shown_by(step, false, true).is_some_and(|by| by == PUSH))
}

/// A checkout leaves the token for that.
fn may_push(granted: &Granted) -> bool {
    permissions::of(granted, "contents") == Level::Write
}

/// What [`Shown`] says of a push.
pub const PUSH: &str = "`git push`";

fn names(lines: &impl Serialize) -> bool {
    serde_json::to_value(lines).is_ok_and(|lines| names_in(&lines))
}

/// Expressions are where `source` and `condition` are, and all other texts mean what they are.
fn names_in(value: &Json) -> bool {
    match value {
        Json::Array(items) => items.iter().any(names_in),
        Json::Object(entries) => entries.iter().any(|(key, value)| match value {
            Json::String(source) if key == "source" || key == "condition" => {
                expr::parse(source).is_ok_and(|read| read.paths().iter().any(|(path, _)| is_token(path)))
            }
            other => names_in(other),
        }),
        _ => false,
    }
}

fn is_token(path: &[String]) -> bool {
    let is = |at: usize, name: &str| path.get(at).is_some_and(|part| part.eq_ignore_ascii_case(name));
    let of = |context: &str, name: &str| is(0, context) && (path.len() == 1 || is(1, name));
    of("github", "token") || of("secrets", NAME)
}

/// A step that shows its job's token to a forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    pub span: Span,
    /// `` `gh pr` ``, `` `git push` ``, `` `owner/action@v1` ``.
    pub by: String,
}

/// The steps of a job that its file shows to speak with a forge in the job's name: a guess from the words of its scripts.
#[must_use]
pub fn shown_to_forge(workflow: &Workflow, job: &Job) -> Vec<Shown> {
    let Work::Steps { steps, .. } = &job.work else { return Vec::new() };
    let asked = job.permissions.as_ref().or(workflow.permissions.as_ref()).map(permissions::asked).unwrap_or_default();
    let found = |step: &Step| {
        let named = names(&step.env) || names(&job.env) || names(&workflow.env);
        Some(Shown { span: step.span, by: shown_by(step, named, may_push(&asked))? })
    };
    steps.iter().filter_map(found).collect()
}

fn shown_by(step: &Step, named: bool, pushes: bool) -> Option<String> {
    match &step.action {
        StepAction::Run { script: Template::String(script) | Template::Expr { source: script, .. }, .. } => {
            shell::commands(script).iter().find_map(|command| {
                let first = command.arguments().next().unwrap_or_default();
                match command.program() {
                    "gh" if named && !first.starts_with('-') => Some(format!("`{}`", format!("gh {first}").trim_end())),
                    "git" if pushes && first == "push" => Some(PUSH.to_owned()),
                    _ => None,
                }
            })
        }
        StepAction::Uses { uses, with } => {
            let foreign = Builtin::of(uses).is_none() && !is_local(uses) && !uses.starts_with("$/") && container::image_of(uses).is_none();
            let given = uses.starts_with("actions/github-script@") || names(with) || names(&step.env);
            (foreign && given).then(|| format!("`{uses}`"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use base::Source;
    use serde_json::json;

    use super::*;
    use crate::job::Contexts;

    fn granted(scopes: &[(&str, Level)]) -> Granted {
        scopes.iter().map(|(scope, level)| ((*scope).to_owned(), *level)).collect()
    }

    fn job(steps: &str) -> Job {
        let text = format!("on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n{steps}");
        let (workflow, wrong) = crate::github::parse(&Source::new("ci.yml", text));
        workflow.unwrap_or_else(|| panic!("{wrong:?}")).jobs.remove(0)
    }

    #[test]
    fn a_stranger_s_token_reads_and_no_more() {
        let github = json!({ "event_name": "fork", "repository": "octo/app" });
        let asked =
            granted(&[("contents", Level::Write), ("id-token", Level::Write), ("copilot-requests", Level::Write), ("models", Level::Read)]);
        assert_eq!(rights(Some(&asked), &github), granted(&[("contents", Level::Read), ("models", Level::Read)]));
        assert_eq!(rights(Some(&asked), &json!({ "event_name": "push" })), asked);
        assert_eq!(rights(None, &github), granted(&[("contents", Level::Read), ("packages", Level::Read)]));
    }

    #[test]
    fn an_app_is_asked_in_its_own_words_and_never_for_everything() {
        assert_eq!(of_app(&Granted::new()), granted(&[("metadata", Level::Read)]));
        let asked = granted(&[("pull-requests", Level::Write), ("id-token", Level::Write), ("models", Level::Read)]);
        assert_eq!(of_app(&asked), granted(&[("metadata", Level::Read), ("pull_requests", Level::Write)]));
        assert!(OF_APPS.iter().all(|scope| SCOPES.iter().any(|(known, _)| known == scope)));
    }

    #[test]
    fn it_is_named_where_it_could_be_seen() {
        for (step, expected) in [
            ("run: echo ${{ github.token }}", true),
            ("run: echo ${{ secrets.github_token }}", true),
            ("{run: echo, env: {X: \"${{ toJSON(github) }}\"}}", true),
            ("{run: echo, env: {X: \"${{ github['token'] }}\"}}", true),
            ("{run: echo, if: \"github.token != ''\"}", true),
            ("run: echo github.token ${{ github.ref }} ${{ secrets.OTHER }}", false),
        ] {
            let spec = JobSpec::new("a", job(&format!("      - {step}\n")), Contexts::default(), 1);
            assert_eq!(is_named(&spec), expected, "{step}");
        }
        let mut spec = JobSpec::new("a", job("      - run: git push\n"), Contexts::default(), 1);
        assert!(!pushes(&spec), "what it may isn't said");
        spec.permissions = Some(granted(&[("contents", Level::Write)]));
        assert!(pushes(&spec));
    }

    #[test]
    fn whoever_shows_it_to_a_forge_is_found() {
        let text = "on: push
permissions: { contents: write }
jobs:
  a:
    runs-on: x
    steps:
      - env: { GH_TOKEN: '${{ github.token }}' }
        run: |
          # gh in a comment
          echo gh pr
          if ! gh pr comment 1 -b x; then exit 1; fi
      - run: git status; git push origin HEAD
      - { run: gh --version, env: { GH_TOKEN: '${{ github.token }}' } }
      - { run: gh pr list, env: { GH_TOKEN: '${{ secrets.MINE }}' } }
      - uses: actions/github-script@v7
      - uses: actions/checkout@v4
        with: { token: '${{ github.token }}' }
      - uses: owner/release@v1
        with: { token: '${{ secrets.GITHUB_TOKEN }}' }
      - uses: owner/other@v1
      - uses: ./own
        env: { T: '${{ github.token }}' }
  reads:
    permissions: { contents: read }
    runs-on: x
    steps: [{ run: git push }]
";
        let (workflow, wrong) = crate::github::parse(&Source::new("ci.yml", text));
        let workflow = workflow.unwrap_or_else(|| panic!("{wrong:?}"));
        let found = |job: &Job| shown_to_forge(&workflow, job).into_iter().map(|shown| shown.by).collect::<Vec<_>>();
        assert_eq!(found(&workflow.jobs[0]), ["`gh pr`", "`git push`", "`actions/github-script@v7`", "`owner/release@v1`"]);
        assert_eq!(found(&workflow.jobs[1]), [""; 0]);
    }
}
