//! `snyk/actions/*`: the installed `snyk`; what the originals put into containers is this machine's own.
//!
//! | input | becomes |
//! |---|---|
//! | `command` (`test`) | the first words |
//! | `args` | words, quotes taken apart |
//! | `image` (of `snyk/actions/docker`) | `--docker IMAGE` |
//! | `file` (of `snyk/actions/iac`) | the last word |
//! | `json`, `sarif` | `--json-file-output=snyk.json`, `--sarif-file-output=snyk.sarif`, with `test` |
//!
//! `snyk/actions/setup` checks that it is there and sets `version`. `SNYK_TOKEN` is read by snyk itself.

use workflow::job::Wrote;
use workflow::job::builtin::Snyk;

use super::desk::{Desk, Undone};
use super::inputs::Inputs;
use super::place::{Place, outputs};
use super::{tool_version, words};

pub(super) const TOOL: &[&str] = &["snyk"];

pub(super) fn perform(place: Place<'_>, which: Snyk, desk: &mut Desk<'_>) -> Result<Wrote, Undone> {
    let tool = place.tool(TOOL, &place.dirs.workspace)?;
    if which == Snyk::Setup {
        let version = tool_version(&tool.program, &["--version"], place.env()).unwrap_or_default();
        desk.say(&format!("Using snyk {version} at {}", tool.program.display()));
        return Ok(outputs([("version", version)]));
    }
    let code = desk.run(&tool.args(arguments(which, place.inputs())))?;
    let sarif = place.dirs.workspace.join("snyk.sarif");
    if sarif.is_file() {
        place.keep(desk, "snyk.sarif", &sarif)?;
    }
    match code {
        0 => Ok(Wrote::default()),
        code => Err(Undone::Ended(workflow::job::Exit::Code(code))),
    }
}

fn arguments(which: Snyk, inputs: Inputs<'_>) -> Vec<String> {
    let command = inputs.get("command").unwrap_or("test");
    let mut arguments = if which == Snyk::Iac { vec!["iac".to_string()] } else { Vec::new() };
    arguments.extend(words::split(command));
    arguments.extend(words::split(inputs.get("args").unwrap_or_default()));
    let is_test = command == "test";
    let wants = |name: &str| is_test && inputs.get(name).is_some_and(|value| value != "false");
    if wants("json") {
        arguments.push("--json-file-output=snyk.json".to_string());
    }
    if wants("sarif") || (which == Snyk::Iac && is_test && inputs.get("sarif").is_none()) {
        arguments.push("--sarif-file-output=snyk.sarif".to_string());
    }
    match which {
        Snyk::Docker => arguments.extend(inputs.get("image").into_iter().flat_map(|image| ["--docker".to_string(), image.to_string()])),
        Snyk::Iac => arguments.extend(inputs.get("file").into_iter().flat_map(words::split)),
        Snyk::Setup | Snyk::Other => {}
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn inputs_become_words() {
        let check = |which: Snyk, given: &[(&str, &str)], expected: &str| {
            let given: BTreeMap<String, String> = given.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            assert_eq!(arguments(which, Inputs(&given)).join("|"), expected);
        };
        check(
            Snyk::Docker,
            &[("image", "app:1"), ("args", "--file=Dockerfile --severity-threshold=high")],
            "test|--file=Dockerfile|--severity-threshold=high|--docker|app:1",
        );
        check(Snyk::Other, &[("command", "monitor"), ("json", "true")], "monitor");
        check(Snyk::Other, &[("json", "true"), ("args", "--org='a b'")], "test|--org=a b|--json-file-output=snyk.json");
        check(Snyk::Iac, &[("file", "a.tf")], "iac|test|--sarif-file-output=snyk.sarif|a.tf");
    }
}
