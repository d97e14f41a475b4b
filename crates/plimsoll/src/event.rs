//! What GitHub would tell of an event, as far as the repository here knows it.

use host::git::{self, Repository};
use serde_json::{Value, json};

const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

pub fn push_payload(repository: &Repository, name: &str, git_ref: &str, actor: &str) -> Value {
    json!({
        "ref": git_ref,
        "before": repository.parent.as_deref().unwrap_or(NO_COMMIT),
        "after": repository.sha,
        "forced": false,
        "head_commit": {
            "id": repository.sha,
            "message": repository.message,
            "author": { "name": repository.author, "email": repository.author_email },
        },
        "pusher": { "name": actor },
        "sender": { "login": actor },
        "repository": { "name": name, "full_name": full_name(name), "default_branch": "main" },
    })
}

/// `github.repository`: no forge has said who owns it.
pub fn full_name(project: &str) -> String {
    format!("local/{project}")
}

/// The ref that the payload names.
pub fn ref_of(event: &str, payload: &Value) -> Option<String> {
    if event == "pull_request" {
        let number = payload.get("number").or_else(|| payload.pointer("/pull_request/number"))?.as_u64()?;
        return Some(format!("refs/pull/{number}/merge"));
    }
    payload.get("ref")?.as_str().filter(|name| event == "push" && name.starts_with("refs/")).map(str::to_owned)
}

/// What differs between the commits that the payload names; nothing where it names none that are here.
pub fn changed_paths(repository: &Repository, event: &str, payload: &Value) -> Option<Vec<String>> {
    let (from, to) = if event == "push" { ("/before", "/after") } else { ("/pull_request/base/sha", "/pull_request/head/sha") };
    let sha = |pointer: &str| payload.pointer(pointer).and_then(Value::as_str).filter(|text| is_sha(text));
    git::changed_paths(repository, sha(from)?, sha(to)?).ok()
}

fn is_sha(text: &str) -> bool {
    text.len() == NO_COMMIT.len() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
