//! Who a job is to those outside: the claims of the tokens that GitHub's OpenID Connect issuer gives to jobs.
//!
//! Source: <https://docs.github.com/en/actions/reference/security/oidc>, "OIDC token claims".

use serde_json::{Map, Value as Json};

use crate::permissions::{self, Granted, Level};
use crate::trust::{self, Trust};

/// Whether a job may ask who it is: its file says `id-token: write` in so many words, and no stranger caused the run.
#[must_use]
pub fn may_ask(permissions: Option<&Granted>, github: &Json) -> bool {
    let granted = permissions.is_some_and(|granted| permissions::of(granted, permissions::IDENTITY) == Level::Write);
    granted && trust::of(github) == Trust::Trusted
}

/// For whom a token is where the job names nobody.
#[must_use]
pub fn audience(github: &Json) -> String {
    format!("{}/{}", text(github, "server_url"), text(github, "repository_owner"))
}

/// Everything about a job that doesn't depend on who asks and when. `called` is the workflow that it is from, where another one
/// calls that, by its [key](crate::plan::called_key).
#[must_use]
pub fn claims(github: &Json, environment: Option<&str>, called: Option<&str>) -> Map<String, Json> {
    const SAME: [&str; 20] = [
        "actor",
        "actor_id",
        "base_ref",
        "event_name",
        "head_ref",
        "ref",
        "ref_protected",
        "ref_type",
        "repository",
        "repository_id",
        "repository_owner",
        "repository_owner_id",
        "run_attempt",
        "run_id",
        "run_number",
        "sha",
        "workflow",
        "workflow_ref",
        "workflow_sha",
        "repository_visibility",
    ];
    let mut claims: Map<String, Json> = Map::new();
    for name in SAME {
        // A forge alone knows some of them.
        let Some(value) = github.get(name).filter(|value| !value.is_null()) else { continue };
        // GitHub's own tokens say all of it as texts.
        claims.insert(name.to_owned(), value.as_str().map_or_else(|| value.to_string(), str::to_owned).into());
    }
    claims.insert("sub".to_owned(), subject(github, environment).into());
    claims.insert("runner_environment".to_owned(), "self-hosted".into());
    claims.insert("job_workflow_ref".to_owned(), job_workflow_ref(github, called).into());
    if let Some(environment) = environment {
        claims.insert("environment".to_owned(), environment.into());
    }
    claims
}

/// As [`claims`], in the words of GitLab's tokens. `source` is how the pipeline came about.
///
/// Source: <https://docs.gitlab.com/ci/secrets/id_token_authentication/>, "Token payload".
#[must_use]
pub fn gitlab_claims(github: &Json, environment: Option<&str>, source: &str) -> Map<String, Json> {
    let project = text(github, "repository");
    let (git_ref, kind) = (text(github, "ref"), text(github, "ref_type"));
    let name = ["refs/heads/", "refs/tags/"].iter().find_map(|prefix| git_ref.strip_prefix(prefix)).unwrap_or(git_ref);
    let mut claims: Map<String, Json> = Map::new();
    let mut put = |name: &str, value: &str| claims.insert(name.to_owned(), value.into());
    put("sub", &format!("project_path:{project}:ref_type:{kind}:ref:{name}"));
    put("project_path", project);
    put("namespace_path", project.rsplit_once('/').map_or("", |(namespace, _)| namespace));
    put("user_login", text(github, "actor"));
    put("pipeline_id", text(github, "run_id"));
    put("pipeline_source", source);
    put("ref", name);
    put("ref_type", kind);
    put("ref_path", git_ref);
    put("ref_protected", &github["ref_protected"].as_bool().unwrap_or_default().to_string());
    put("sha", text(github, "sha"));
    put("runner_environment", "self-hosted");
    if let Some(environment) = environment {
        put("environment", environment);
    }
    claims
}

/// Whom others let in: the first of environment, pull request and branch or tag that applies.
fn subject(github: &Json, environment: Option<&str>) -> String {
    let repository = text(github, "repository");
    match (environment, text(github, "event_name")) {
        // A colon would end the name.
        (Some(environment), _) => format!("repo:{repository}:environment:{}", environment.replace(':', "%3A")),
        (None, "pull_request") => format!("repo:{repository}:pull_request"),
        (None, _) => format!("repo:{repository}:ref:{}", text(github, "ref")),
    }
}

fn job_workflow_ref(github: &Json, called: Option<&str>) -> String {
    match called {
        None => text(github, "workflow_ref").to_owned(),
        Some(key) => match key.strip_prefix("./") {
            Some(path) => format!("{}/{path}@{}", text(github, "repository"), text(github, "ref")),
            None => key.to_owned(),
        },
    }
}

fn text<'a>(github: &'a Json, name: &str) -> &'a str {
    github[name].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn github() -> Json {
        json!({
            "repository": "acme/shop", "repository_owner": "acme", "ref": "refs/heads/main", "event_name": "push", "run_id": "17",
            "workflow_ref": "acme/shop/.github/workflows/ci.yml@refs/heads/main", "server_url": "https://github.com",
            "ref_protected": false, "event": {},
        })
    }

    #[test]
    fn the_subject_is_the_environment_else_the_pull_request_else_the_branch() {
        let subject = |github: &Json, environment| claims(github, environment, None)["sub"].as_str().unwrap_or_default().to_owned();
        assert_eq!(subject(&github(), None), "repo:acme/shop:ref:refs/heads/main");
        assert_eq!(subject(&github(), Some("prod:eu")), "repo:acme/shop:environment:prod%3Aeu");
        let mut request = github();
        request["event_name"] = "pull_request".into();
        assert_eq!(subject(&request, None), "repo:acme/shop:pull_request");
        assert_eq!(subject(&request, Some("test")), "repo:acme/shop:environment:test");
    }

    #[test]
    fn gitlab_s_tokens_have_its_own_words() {
        let mut github = github();
        github["ref_type"] = "branch".into();
        let claims = gitlab_claims(&github, Some("prod"), "push");
        let of = |name: &str| claims[name].as_str().unwrap_or_default().to_owned();
        assert_eq!(of("sub"), "project_path:acme/shop:ref_type:branch:ref:main");
        let some = ["project_path", "namespace_path", "pipeline_id", "pipeline_source", "ref", "ref_protected", "environment"].map(of);
        assert_eq!(some, ["acme/shop", "acme", "17", "push", "main", "false", "prod"]);
    }

    #[test]
    fn a_called_workflow_is_named_by_its_own_repository() {
        let of = |called| claims(&github(), None, called)["job_workflow_ref"].clone();
        assert_eq!(of(None), "acme/shop/.github/workflows/ci.yml@refs/heads/main");
        assert_eq!(of(Some("./.github/workflows/x.yml")), "acme/shop/.github/workflows/x.yml@refs/heads/main");
        assert_eq!(of(Some("acme/tools/.github/workflows/x.yml@v1")), "acme/tools/.github/workflows/x.yml@v1");
        let all = claims(&github(), None, None);
        assert_eq!((&all["ref_protected"], &all["run_id"], all.contains_key("actor_id")), (&json!("false"), &json!("17"), false));
    }

    #[test]
    fn nobody_may_ask_without_the_word_and_no_stranger_at_all() {
        let granted: Granted = [("id-token".to_owned(), Level::Write)].into();
        let read: Granted = [("id-token".to_owned(), Level::Read)].into();
        assert!(may_ask(Some(&granted), &github()));
        assert!(!may_ask(None, &github()) && !may_ask(Some(&read), &github()) && !may_ask(Some(&Granted::new()), &github()));
        let mut stranger = github();
        stranger["event_name"] = "pull_request".into();
        stranger["event"] = json!({"number": 3, "pull_request": {"head": {"repo": {"full_name": "mallory/shop"}}}});
        assert!(!may_ask(Some(&granted), &stranger));
    }
}
