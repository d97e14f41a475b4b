//! `gitleaks/gitleaks-action`: the installed `gitleaks` over the commits of the event.
//!
//! | variable | meaning |
//! |---|---|
//! | `GITLEAKS_CONFIG` | read by gitleaks itself |
//! | `GITLEAKS_ENABLE_UPLOAD_ARTIFACT` | unless `false`, the report is uploaded as `gitleaks-results.sarif` |
//! | `GITLEAKS_ENABLE_SUMMARY` | unless `false`, a table of what was found in the step's summary |
//! | `GITLEAKS_LICENSE`, `GITLEAKS_VERSION`, `GITLEAKS_ENABLE_COMMENTS`, `GITLEAKS_NOTIFY_USER_LIST`, `GITHUB_TOKEN` | nothing is licensed, installed or commented |
//!
//! Output: `exit-code` (0 nothing found, 2 something).

use std::collections::BTreeMap;
use std::io::Write as _;

use serde_json::Value as Json;
use workflow::job::{ActionCall, Exit, Wrote};

use super::artifact;
use super::desk::{Desk, Undone};
use super::place::{Place, outputs};

pub(super) const TOOL: &[&str] = &["gitleaks"];

const REPORT: &str = "results.sarif";
const FOUND: i32 = 2;

pub(super) fn perform(place: Place<'_>, desk: &mut Desk<'_>) -> Result<Wrote, Undone> {
    let workspace = &place.dirs.workspace;
    let tool = place.tool(TOOL, workspace)?.args(arguments(place.github()));
    let code = desk.run(&tool)?;
    let report = workspace.join(REPORT);
    let wanted = |name: &str| place.env().get(name).is_none_or(|value| value != "false" && value != "0");
    if report.is_file() {
        place.keep(desk, REPORT, &report)?;
        if wanted("GITLEAKS_ENABLE_UPLOAD_ARTIFACT") {
            let inputs = [("name", "gitleaks-results.sarif"), ("path", REPORT), ("overwrite", "true")];
            let inputs: BTreeMap<String, String> = inputs.map(|(name, value)| (name.to_string(), value.to_string())).into();
            let call = ActionCall { inputs, ..place.call.clone() };
            artifact::upload(place.dirs, &call, 4, place.mask, desk)?;
        }
        if wanted("GITLEAKS_ENABLE_SUMMARY") {
            summarize(place, &std::fs::read_to_string(&report).unwrap_or_default());
        }
    }
    match code {
        0 => Ok(outputs([("exit-code", code.to_string())])),
        FOUND => Err(Undone::Failed("gitleaks found secrets in the commits; see its report".to_string())),
        code => Err(Undone::Ended(Exit::Code(code))),
    }
}

fn arguments(github: &Json) -> Vec<String> {
    let plain = ["detect", "--redact", "-v", "--exit-code=2", "--report-format=sarif", "--report-path=results.sarif", "--log-level=debug"];
    plain.into_iter().map(str::to_string).chain(range(github)).collect()
}

/// Which commits: those pushed, those of the pull request, else all.
fn range(github: &Json) -> Option<String> {
    let event = &github["event"];
    let (base, head) = match github["event_name"].as_str()? {
        "push" => (event["before"].as_str()?, event["after"].as_str()?),
        "pull_request" => (event["pull_request"]["base"]["sha"].as_str()?, event["pull_request"]["head"]["sha"].as_str()?),
        _ => return None,
    };
    let is_commit = workflow::job::remote::is_commit;
    if !is_commit(base) || !is_commit(head) || base.bytes().all(|byte| byte == b'0') {
        return None;
    }
    Some(if base == head { "--log-opts=-1".to_string() } else { format!("--log-opts=--no-merges --first-parent {base}..{head}") })
}

/// A line for each finding; a summary that can't be written costs nothing else.
fn summarize(place: Place<'_>, report: &str) {
    let report: Json = serde_json::from_str(report).unwrap_or_default();
    let results = report["runs"].as_array().into_iter().flatten().flat_map(|run| run["results"].as_array().into_iter().flatten());
    let mut text = String::new();
    for result in results {
        let place = &result["locations"][0]["physicalLocation"];
        let (file, line) = (place["artifactLocation"]["uri"].as_str().unwrap_or_default(), &place["region"]["startLine"]);
        text.push_str(&format!("| {} | {file}:{line} |\n", result["ruleId"].as_str().unwrap_or_default()));
    }
    let text = if text.is_empty() { "No leaks detected ✅\n".to_string() } else { format!("| rule | place |\n|---|---|\n{text}") };
    if let Some(summary) = place.env().get("GITHUB_STEP_SUMMARY") {
        let _ = std::fs::OpenOptions::new().append(true).open(summary).and_then(|mut file| file.write_all(text.as_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_commits_are_those_of_the_event() {
        let (a, b, none) = ("a".repeat(40), "b".repeat(40), "0".repeat(40));
        let push = |before: &str, after: &str| range(&json!({"event_name": "push", "event": {"before": before, "after": after}}));
        assert_eq!(push(&a, &b), Some(format!("--log-opts=--no-merges --first-parent {a}..{b}")));
        assert_eq!(push(&a, &a).as_deref(), Some("--log-opts=-1"));
        assert_eq!((push(&none, &a), push("--output=x", &a), range(&json!({"event_name": "schedule", "event": {}}))), (None, None, None));
    }
}
