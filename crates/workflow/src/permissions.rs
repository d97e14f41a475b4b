//! What a job's token may do: from the defaults, the workflow and the job, and ever narrower from caller to callee.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::model::Permissions;
use crate::schema::permissions::SCOPES;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    None,
    Read,
    Write,
}

impl Level {
    pub fn word(self) -> &'static str {
        match self {
            Level::None => "none",
            Level::Read => "read",
            Level::Write => "write",
        }
    }
}

/// The scope of tokens that say who a job is.
pub const IDENTITY: &str = "id-token";

/// Scope to level; a scope that isn't there has none.
pub type Granted = BTreeMap<String, Level>;

/// What a token may do where no file says anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Policy {
    /// Everything, but saying who the job is: a file that is called speaks for nobody who didn't say so.
    #[default]
    Write,
    /// Contents and packages can be read, and that is all.
    LimitedRead,
}

impl Policy {
    pub fn granted(self) -> Granted {
        match self {
            Policy::Write => all(Level::Write).into_iter().filter(|(scope, _)| scope != IDENTITY).collect(),
            Policy::LimitedRead => ["contents", "packages"].into_iter().map(|scope| (scope.to_owned(), Level::Read)).collect(),
        }
    }
}

/// What these lines of a file ask for. Scopes that a mapping doesn't name are taken away.
pub fn asked(permissions: &Permissions) -> Granted {
    match permissions {
        Permissions::ReadAll => all(Level::Read),
        Permissions::WriteAll => all(Level::Write),
        Permissions::Scopes(scopes) => {
            let level = |level: &Json| match level.as_str() {
                Some("write") => Level::Write,
                Some("read") => Level::Read,
                _ => Level::None,
            };
            let asked = scopes.iter().map(|(scope, asked)| (scope.clone(), level(asked)));
            asked.filter(|(_, level)| *level > Level::None).collect()
        }
    }
}

/// What a job has: what it asks for, else what its workflow asks for, else what the caller has; never more than the caller has.
/// Nothing where nobody says anything: then it is the default's.
pub fn effective(job: Option<&Permissions>, workflow: Option<&Permissions>, caller: Option<&Granted>) -> Option<Granted> {
    match (job.or(workflow).map(asked), caller) {
        (None, caller) => caller.cloned(),
        (Some(asked), None) => Some(asked),
        (Some(asked), Some(caller)) => Some(narrowed(asked, caller)),
    }
}

/// The scopes of which more is asked than the caller has.
pub fn beyond(asked: &Granted, caller: &Granted) -> Granted {
    asked.iter().filter(|(scope, level)| **level > of(caller, scope)).map(|(scope, level)| (scope.clone(), *level)).collect()
}

pub fn of(granted: &Granted, scope: &str) -> Level {
    granted.get(scope).copied().unwrap_or(Level::None)
}

fn narrowed(asked: Granted, caller: &Granted) -> Granted {
    let least = asked.into_iter().map(|(scope, level)| (level.min(of(caller, &scope)), scope));
    least.filter(|(level, _)| *level > Level::None).map(|(level, scope)| (scope, level)).collect()
}

/// Of a scope that has no such level the next lower one.
fn all(level: Level) -> Granted {
    let has = |levels: &[&str], level: Level| levels.contains(&level.word());
    let best = |levels: &[&str]| match level {
        Level::Write if has(levels, Level::Write) => Level::Write,
        // `read-all` gives `id-token` what it has to give, as the official parser does.
        _ => Level::Read,
    };
    SCOPES.iter().map(|(scope, levels)| ((*scope).to_owned(), best(levels))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scopes(json: &Json) -> Permissions {
        Permissions::Scopes(json.as_object().cloned().unwrap_or_default())
    }

    fn shown(granted: Option<Granted>) -> String {
        let Some(granted) = granted else { return "default".to_owned() };
        granted.iter().map(|(scope, level)| format!("{scope}:{}", level.word())).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_a_job_has() {
        let job = scopes(&json!({"contents": "write", "issues": "none"}));
        let workflow = scopes(&json!({"contents": "read", "packages": "read"}));
        let caller: Granted = [("contents".to_owned(), Level::Read)].into();
        for (job, workflow, caller, expected) in [
            (None, None, None, "default"),
            (None, Some(&workflow), None, "contents:read packages:read"),
            (Some(&job), Some(&workflow), None, "contents:write"),
            (None, None, Some(&caller), "contents:read"),
            (Some(&job), None, Some(&caller), "contents:read"),
            (None, Some(&workflow), Some(&caller), "contents:read"),
        ] {
            assert_eq!(shown(effective(job, workflow, caller)), expected);
        }
        assert_eq!(asked(&Permissions::WriteAll)["models"], Level::Read);
        assert_eq!(shown(Some(beyond(&asked(&job), &caller))), "contents:write");
    }
}
