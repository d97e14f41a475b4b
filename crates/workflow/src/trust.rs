//! Whether what runs, or who started it, may be somebody without write access to the repository.
//!
//! Such a run saves nothing that another run reads. GitHub's rule is coarser (a pull request's caches belong to its merge ref)
//! and, since June 2026, the same: tokens of untrusted triggers only read caches.

use serde_json::Value as Json;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    Trusted,
    Untrusted {
        /// Whom what it saves belongs to: `octo/fork#7`.
        origin: String,
        /// One sentence without a full stop.
        why: String,
    },
}

/// Events that anybody with an account can cause; their payload is in the stranger's words.
const ANYBODY: [&str; 8] =
    ["issue_comment", "issues", "discussion", "discussion_comment", "pull_request_review", "pull_request_review_comment", "fork", "watch"];

/// By the `github` context of a run.
pub fn of(github: &Json) -> Trust {
    let event = github["event_name"].as_str().unwrap_or_default();
    let repository = github["repository"].as_str().unwrap_or_default();
    let payload = &github["event"];
    match event {
        "pull_request" | "pull_request_target" => {
            let request = &payload["pull_request"];
            foreign(repository, &request["head"]["repo"], &format!("pull request #{}", number(&payload["number"], request)))
        }
        "workflow_run" => foreign(repository, &payload["workflow_run"]["head_repository"], "the run before"),
        event if ANYBODY.contains(&event) => {
            let origin = payload["sender"]["login"].as_str().unwrap_or("somebody").to_string();
            Trust::Untrusted { origin, why: format!("anybody can cause `{event}`") }
        }
        _ => Trust::Trusted,
    }
}

fn foreign(repository: &str, head: &Json, what: &str) -> Trust {
    match head["full_name"].as_str() {
        Some(head) if head.eq_ignore_ascii_case(repository) => Trust::Trusted,
        Some(head) => Trust::Untrusted {
            origin: format!("{head}{}", what.find('#').map_or("", |at| &what[at..])),
            why: format!("{what} comes from `{head}`"),
        },
        None => Trust::Untrusted { origin: what.to_string(), why: format!("nobody says which repository {what} comes from") },
    }
}

fn number(number: &Json, request: &Json) -> String {
    let found = number.as_u64().or_else(|| request["number"].as_u64());
    found.map_or("?".to_string(), |number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn strangers_are_known_by_where_their_code_or_words_come_from() {
        let pull = |head: Json| json!({ "number": 7, "pull_request": { "head": { "repo": head } } });
        let cases = [
            ("push", json!({}), ""),
            ("workflow_dispatch", json!({}), ""),
            ("schedule", json!({}), ""),
            ("pull_request", pull(json!({ "full_name": "Octo/App" })), ""),
            ("pull_request", pull(json!({ "full_name": "eve/app" })), "eve/app#7"),
            ("pull_request_target", pull(json!({ "full_name": "eve/app" })), "eve/app#7"),
            ("pull_request", pull(Json::Null), "pull request #7"),
            ("workflow_run", json!({ "workflow_run": { "head_repository": { "full_name": "octo/app" } } }), ""),
            ("workflow_run", json!({ "workflow_run": { "head_repository": { "full_name": "eve/app" } } }), "eve/app"),
            ("issue_comment", json!({ "sender": { "login": "eve" } }), "eve"),
        ];
        for (event, payload, expected) in cases {
            let github = json!({ "event_name": event, "repository": "octo/app", "event": payload });
            let origin = match of(&github) {
                Trust::Trusted => String::new(),
                Trust::Untrusted { origin, .. } => origin,
            };
            assert_eq!(origin, expected, "{event} {payload}");
        }
    }
}
