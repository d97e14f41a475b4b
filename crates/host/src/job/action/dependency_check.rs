//! `dependency-check/Dependency-Check_Action`: the installed `dependency-check`.
//!
//! | input | becomes |
//! |---|---|
//! | `project`, `path`, `format`, `out` (`reports`) | `--project`, `--scan`, `--format`, `--out` |
//! | `args` | words behind them |
//!
//! Its SARIF and JUnit reports are evidence; HTML alone proves nothing to the gate, and the log says so.

use workflow::job::{Exit, Wrote};

use super::desk::{Desk, Undone};
use super::inputs::Inputs;
use super::place::Place;
use super::words;

pub(super) const TOOL: &[&str] = &["dependency-check", "dependency-check.sh"];

pub(super) fn perform(place: Place<'_>, desk: &mut Desk<'_>) -> Result<Wrote, Undone> {
    let inputs = place.inputs();
    let tool = place.tool(TOOL, &place.dirs.workspace)?.args(arguments(inputs)?);
    let out = place.path("out", inputs.get("out").unwrap_or("reports"))?;
    std::fs::create_dir_all(&out).map_err(|error| format!("`{}` can't be made: {error}", out.display()))?;
    let code = desk.run(&tool)?;
    let sarif = out.join("dependency-check-report.sarif");
    if sarif.is_file() {
        place.keep(desk, "dependency-check-report.sarif", &sarif)?;
    } else if inputs.get("format").is_some_and(|format| format.eq_ignore_ascii_case("HTML")) {
        desk.say("##[notice]An HTML report is for people; `format: SARIF` or `ALL` lets the gate read it too.");
    }
    match code {
        0 => Ok(Wrote::default()),
        code => Err(Undone::Ended(Exit::Code(code))),
    }
}

fn arguments(inputs: Inputs<'_>) -> Result<Vec<String>, String> {
    let pairs = [
        ("--project", inputs.required("project")?),
        ("--scan", inputs.required("path")?),
        ("--format", inputs.required("format")?),
        ("--out", inputs.get("out").unwrap_or("reports")),
    ];
    let plain = pairs.into_iter().flat_map(|(name, value)| [name.to_string(), value.to_string()]);
    Ok(plain.chain(words::split(inputs.get("args").unwrap_or_default())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn inputs_become_words() {
        let given = [("project", "syn os"), ("path", "."), ("format", "HTML"), ("args", "--failOnCVSS 7")];
        let given = BTreeMap::from(given.map(|(name, value)| (name.to_string(), value.to_string())));
        assert_eq!(arguments(Inputs(&given)).unwrap().join("|"), "--project|syn os|--scan|.|--format|HTML|--out|reports|--failOnCVSS|7");
        assert!(arguments(Inputs(&BTreeMap::new())).unwrap_err().contains("`project` is required"));
    }
}
