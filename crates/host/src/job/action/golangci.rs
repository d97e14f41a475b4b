//! `golangci/golangci-lint-action`: the installed `golangci-lint run`.
//!
//! | input | becomes |
//! |---|---|
//! | `args` | words behind `run` |
//! | `working-directory` | where it runs |
//! | `only-new-issues` | `--new-from-rev` of the commit before the push or under the pull request |
//! | `install-only` | nothing is linted |
//! | `version` | compared with what is installed; another one is said in a warning, nothing is downloaded |
//! | the rest (`install-mode`, `skip-cache`, `github-token`, …) | has nothing to do here |

use serde_json::Value as Json;
use workflow::job::Wrote;

use super::desk::{Desk, Undone};
use super::inputs::Inputs;
use super::place::Place;
use super::version::satisfies;
use super::{tool_version, words};

pub(super) const TOOL: &[&str] = &["golangci-lint"];

pub(super) fn perform(place: Place<'_>, desk: &mut Desk<'_>) -> Result<Wrote, Undone> {
    let inputs = place.inputs();
    let tool = place.tool(TOOL, &place.folder("working-directory")?)?;
    let version = tool_version(&tool.program, &["--version"], place.env()).unwrap_or_default();
    desk.say(&format!("Using golangci-lint {version} at {}", tool.program.display()));
    if let Some(wanted) = inputs.get("version").filter(|wanted| *wanted != "latest" && !satisfies(&version, wanted)) {
        desk.say(&format!("##[warning]golangci-lint {wanted} is asked for; {version} is installed, and nothing is downloaded."));
    }
    if inputs.flag("install-only")? {
        return Ok(Wrote::default());
    }
    desk.must(&tool.args(arguments(inputs, place.github())?))?;
    Ok(Wrote::default())
}

fn arguments(inputs: Inputs<'_>, github: &Json) -> Result<Vec<String>, String> {
    let mut arguments = vec!["run".to_string()];
    if inputs.flag("only-new-issues")? {
        let event = &github["event"];
        let base = event["pull_request"]["base"]["sha"].as_str().or(event["before"].as_str());
        let base = base.filter(|base| workflow::job::remote::is_commit(base) && base.bytes().any(|byte| byte != b'0'));
        arguments.extend(base.map(|base| format!("--new-from-rev={base}")));
    }
    arguments.extend(words::split(inputs.get("args").unwrap_or_default()));
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    #[test]
    fn inputs_become_words() {
        let given = BTreeMap::from(
            [("args", "--timeout 5m"), ("only-new-issues", "true")].map(|(name, value)| (name.to_string(), value.to_string())),
        );
        let base = "a".repeat(40);
        let words = arguments(Inputs(&given), &json!({"event": {"before": base}})).unwrap();
        assert_eq!(words, ["run", &format!("--new-from-rev={base}"), "--timeout", "5m"]);
    }
}
