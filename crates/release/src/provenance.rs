//! Where a release's artifact comes from, in the terms of SLSA: the record goes in, a statement comes out.
//!
//! Nothing here asks the world, so what is stated is what is on record; nothing that may be a secret is stated.

use std::collections::{BTreeMap, BTreeSet};

use base::{Digest, Timestamp};
use gate::attest::{PROVENANCE, Statement};
use gate::evidence::secrets;
use serde_json::{Map, Value, json};
use workflow::model::{Pinned, Work, Workflow};

use crate::event::Event;
use crate::plan::{Kind, Plan, Workflows};
use crate::source::Ships;

/// How the parameters are to be read, for ever: another meaning is another type.
pub const BUILD_TYPE: &str = "https://github.com/plimsoll/plimsoll/blob/main/docs/provenance.md#release-v1";
/// Who builds; how far that is believed is [`believed`].
pub const BUILDER: &str = "https://github.com/plimsoll/plimsoll/blob/main/docs/provenance.md#builder-v1";

/// What every release has; a working tree that was not committed, inputs and variables are for whoever verifies to expect.
pub const PARAMETERS: &[&str] = &["event", "ships", "source.folder", "source.ref", "source.repository", "workflows"];

/// Stands for what may be a secret.
const WITHHELD: &str = "***";

/// A sentence without a full stop: why nothing is stated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoProvenance(pub String);

/// What was packaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Built {
    pub artifact: Digest,
    pub bytes: u64,
    pub at: Timestamp,
}

/// # Errors
/// When the release has built nothing, or not yet.
pub fn built<'a>(plan: &Plan, events: impl IntoIterator<Item = &'a Event>) -> Result<Built, NoProvenance> {
    let number = plan.number;
    if let Kind::Rollback { revision, .. } = &plan.kind {
        let message =
            format!("release-{number} built nothing: it went back to revision {}, which an earlier release built", revision.revision);
        return Err(NoProvenance(message));
    }
    let mut ended = false;
    for event in events {
        match event {
            Event::Packaged { artifact, bytes, at, .. } => return Ok(Built { artifact: *artifact, bytes: *bytes, at: *at }),
            Event::Finished { .. } => ended = true,
            _ => {}
        }
    }
    let when = if ended { "has ended without" } else { "does not have" };
    Err(NoProvenance(format!("release-{number} {when} an artifact{}", if ended { "" } else { " yet" })))
}

/// # Errors
/// As [`built`].
pub fn statement<'a>(plan: &Plan, events: impl IntoIterator<Item = &'a Event>, version: &str) -> Result<Statement, NoProvenance> {
    let built = built(plan, events)?;
    let workflows = plan.workflows().expect("what was built is a change");
    if let Some(proved) = &workflows.proved {
        return Err(NoProvenance(format!("release-{} built nothing: it ships what release-{} built", plan.number, proved.number)));
    }
    let predicate = json!({
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": external(plan, workflows),
            "internalParameters": {
                "project": plan.project.name,
                "environment": plan.environment,
                "release": plan.number,
                "jobs": jobs(workflows),
            },
            "resolvedDependencies": dependencies(plan, workflows),
        },
        "runDetails": {
            "builder": { "id": BUILDER, "version": { "plimsoll": version } },
            "metadata": { "invocationId": plan.id, "startedOn": plan.created, "finishedOn": built.at },
        },
    });
    Ok(Statement::of(&subject(&plan.project.name), &built.artifact, PROVENANCE, predicate))
}

/// What the artifact of a project is called.
pub fn subject(project: &str) -> String {
    format!("{project}.tar")
}

/// Everything that somebody outside of the repository chose.
fn external(plan: &Plan, workflows: &Workflows) -> Value {
    let mut source = json!({
        "repository": address(&plan.project.repository),
        "ref": workflows.commit.git_ref,
        "folder": workflows.source.subtree,
    });
    if workflows.commit.dirty {
        source["dirty"] = true.into();
    }
    let paths: Vec<&str> = workflows.runs.iter().map(|run| run.workflow.path.as_str()).collect();
    let mut parameters = json!({ "source": source, "workflows": paths, "ships": ships(&workflows.ships) });
    // One event made them all.
    if let Some(run) = workflows.runs.first() {
        parameters["event"] = run.event.name.as_str().into();
    }
    for (name, given) in [("inputs", |run: &workflow::plan::Plan| &run.inputs), ("vars", |run| &run.vars)] as [(&str, fn(&_) -> &Value); 2]
    {
        let all = workflows.runs.iter().filter_map(|run| given(run).as_object()).flatten();
        let all: Map<String, Value> = all.map(|(name, value)| (name.clone(), stated(name, value))).collect();
        if !all.is_empty() {
            parameters[name] = all.into();
        }
    }
    parameters
}

fn ships(ships: &Ships) -> Value {
    match ships {
        Ships::Left(name) => name.as_str().into(),
        Ships::Source => "source".into(),
    }
}

/// Where each job of the files was to run. A step in a container reaches less than one on the machine itself.
fn jobs(workflows: &Workflows) -> BTreeMap<String, &'static str> {
    let mut jobs = BTreeMap::new();
    let all = workflows.runs.iter().flat_map(|run| std::iter::once(&run.workflow).chain(run.workflow.called.values()));
    for workflow in all {
        for job in &workflow.jobs {
            let place = match &job.work {
                Work::Steps { container: Some(_), .. } => "container",
                Work::Steps { .. } => "host",
                Work::Call { .. } => "called",
            };
            jobs.insert(format!("{}/{}", workflow.path, job.id), place);
        }
    }
    jobs
}

/// How far all that can be believed, as SLSA's build track has it: 2 asks for a machine that only builds. 3 would ask that no step of
/// any job reaches the key or another build, and that isn't kept yet: a job on the machine runs as the server does, and one in a
/// container is given the tools that all builds share and, where there is one, the engine's socket.
pub fn believed(workflows: &Workflows) -> gate::Provenance {
    let shared = "somebody may work at this machine (`builder: hosted` in the server's own configuration says that nobody does)";
    let reached = "the steps of a job, in a container too, are not kept from all that the server and other builds have";
    let (level, because) = if workflows.hosted { (2, vec![reached]) } else { (1, vec![shared]) };
    gate::Provenance { level, builder: BUILDER.to_string(), because: because.into_iter().map(str::to_string).collect() }
}

fn dependencies(plan: &Plan, workflows: &Workflows) -> Vec<Value> {
    let uri = format!("git+{}@{}", address(&plan.project.repository), workflows.commit.git_ref);
    let mut res = vec![json!({ "name": "source", "uri": uri, "digest": { "gitCommit": workflows.commit.sha } })];
    if let Some(snapshot) = &workflows.source.snapshot {
        res.push(json!({ "name": "working tree", "digest": { "sha256": snapshot.hex() } }));
    }
    let all = workflows.runs.iter().flat_map(|run| std::iter::once(&run.workflow).chain(run.workflow.called.values()));
    let actions: BTreeSet<(&String, &str, Digest)> =
        all.flat_map(|workflow: &Workflow| &workflow.actions).map(|(key, Pinned { commit, tree })| (key, commit.as_str(), *tree)).collect();
    let action = |(key, commit, tree): (&String, &str, Digest)| {
        json!({
            "name": format!("action {key}"),
            "uri": format!("pkg:github/{key}"),
            "digest": { "gitCommit": commit },
            "annotations": { "tree": tree },
        })
    };
    res.extend(actions.into_iter().map(action));
    res
}

/// `file:///home/ada/app`.
fn address(path: &str) -> String {
    let mut res = "file://".to_string();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => res.push(char::from(byte)),
            _ => res.push_str(&format!("%{byte:02X}")),
        }
    }
    res
}

/// A value as it was given, or that it was withheld.
fn stated(name: &str, value: &Value) -> Value {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_string);
    if is_telling(name) || is_secret(&text) { WITHHELD.into() } else { value.clone() }
}

/// A name that says that a secret is behind it.
fn is_telling(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let words = [
        "auth",
        "cookie",
        "cred",
        "dsn",
        "key",
        "passphrase",
        "passwd",
        "password",
        "private",
        "pwd",
        "secret",
        "session",
        "token",
        "webhook",
    ];
    words.iter().any(|word| name.contains(word)) || name.split(['_', '-']).any(|word| word == "pass" || word == "pat")
}

/// A form that says so: a known kind of token, an address with a user in it, or a long word that nobody would make up.
fn is_secret(text: &str) -> bool {
    let has_user = text.split_once("://").is_some_and(|(_, rest)| rest.split(['/', '?']).next().is_some_and(|host| host.contains('@')));
    let is_part = |c: char| c.is_ascii_alphanumeric() || "+/=_-".contains(c);
    let is_random =
        |word: &str| word.len() >= 16 && word.contains(|c: char| c.is_ascii_digit()) && word.contains(|c: char| c.is_ascii_alphabetic());
    has_user || !secrets::scan(text.as_bytes()).is_empty() || text.contains("PRIVATE KEY") || text.split(|c| !is_part(c)).any(is_random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_withheld_by_its_name_or_by_its_form() {
        for (name, value) in [
            ("DEPLOY_TOKEN", "x"),
            ("dbPassword", "x"),
            ("SSH_PASS", "x"),
            ("WHERE", "https://me:hunter2@example.org/x"),
            ("A", "prefix ghp_abcdefghijklmnopqrstuvwxyz0123456789 suffix"),
            ("A", "1f0c6d5b8a7e4f3c9d2b"),
            ("A", "dGhpcyBpcyBhIHNlY3JldCAxMjM="),
            ("A", "-----BEGIN PRIVATE KEY-----"),
        ] {
            assert_eq!(stated(name, &value.into()), WITHHELD, "{name}={value}");
        }
        for (name, value) in [("REGION", "eu-west-1"), ("WHERE", "https://example.org/x@y"), ("TARGET", "x86-64"), ("COMPASS", "north")] {
            assert_eq!(stated(name, &value.into()), value, "{name}={value}");
        }
        assert_eq!(stated("DEBUG", &true.into()), true);
    }

    #[test]
    fn a_path_with_spaces_is_an_address_all_the_same() {
        assert_eq!(address("/home/ada/my app#1"), "file:///home/ada/my%20app%231");
    }
}
