//! `aquasecurity/trivy-action`: the installed `trivy`, told by variables as the original tells it.
//!
//! | input | becomes |
//! |---|---|
//! | `scan-type` (`image`), `image-ref`, `scan-ref` (`.`), `input` | the command and what it looks at |
//! | `format`, `output`, `template`, `severity`, `exit-code`, `ignore-unfixed`, `vuln-type`, `skip-dirs`, `skip-files`, `timeout`, `ignore-policy`, `hide-progress`, `list-all-pkgs`, `scanners` (`security-checks`), `trivy-config`, `tf-vars`, `docker-host` | `TRIVY_…`, where it isn't the original's default |
//! | `cache-dir` | `TRIVY_CACHE_DIR`; without it a folder that outlives the job, so that the database is fetched once |
//! | `trivyignores` | their lines together, as `TRIVY_IGNOREFILE` |
//! | `limit-severities-for-sarif` | unless `true`, a SARIF report names every severity |
//! | `version`, `cache`, `skip-setup-trivy`, `token-setup-trivy` | nothing is installed |
//! | `github-pat` | nothing is sent to GitHub's dependency graph |

use std::collections::BTreeMap;

use workflow::job::Wrote;

use super::desk::{Desk, Undone};
use super::inputs::Inputs;
use super::place::Place;

pub(super) const TOOL: &[&str] = &["trivy"];

/// Input, variable, and the default that is not passed on.
const VARIABLES: [(&str, &str, &str); 19] = [
    ("input", "TRIVY_INPUT", ""),
    ("exit-code", "TRIVY_EXIT_CODE", ""),
    ("ignore-unfixed", "TRIVY_IGNORE_UNFIXED", "false"),
    ("vuln-type", "TRIVY_PKG_TYPES", "os,library"),
    ("severity", "TRIVY_SEVERITY", "UNKNOWN,LOW,MEDIUM,HIGH,CRITICAL"),
    ("format", "TRIVY_FORMAT", "table"),
    ("template", "TRIVY_TEMPLATE", ""),
    ("output", "TRIVY_OUTPUT", ""),
    ("skip-dirs", "TRIVY_SKIP_DIRS", ""),
    ("skip-files", "TRIVY_SKIP_FILES", ""),
    ("timeout", "TRIVY_TIMEOUT", ""),
    ("ignore-policy", "TRIVY_IGNORE_POLICY", ""),
    ("hide-progress", "TRIVY_QUIET", ""),
    ("list-all-pkgs", "TRIVY_LIST_ALL_PKGS", "false"),
    ("security-checks", "TRIVY_SCANNERS", ""),
    ("scanners", "TRIVY_SCANNERS", ""),
    ("trivy-config", "TRIVY_CONFIG", ""),
    ("tf-vars", "TRIVY_TF_VARS", ""),
    ("docker-host", "TRIVY_DOCKER_HOST", ""),
];

pub(super) fn perform(place: Place<'_>, desk: &mut Desk<'_>) -> Result<Wrote, Undone> {
    let inputs = place.inputs();
    let workspace = &place.dirs.workspace;
    let mut tool = place.tool(TOOL, workspace)?.args(arguments(inputs));
    tool.env.extend(variables(inputs));
    let cache = place.dirs.tool_cache.join("trivy").to_string_lossy().into_owned();
    tool = tool.env("TRIVY_CACHE_DIR", inputs.get("cache-dir").map_or(cache, str::to_string));
    if let Some(list) = inputs.get("trivyignores") {
        let mut lines = String::new();
        for name in super::words::commas(list) {
            let file = place.path("trivyignores", name)?;
            lines.push_str(&std::fs::read_to_string(&file).map_err(|error| format!("the list `{name}` can't be read: {error}"))?);
            lines.push('\n');
        }
        let file = place.private("trivyignores", &lines)?;
        tool = tool.env("TRIVY_IGNOREFILE", file.to_string_lossy());
    }
    if inputs.get("github-pat").is_some() {
        desk.say("##[warning]`github-pat`: nothing is sent to GitHub's dependency graph from here.");
    }
    let code = desk.run(&tool)?;
    if let (Some("sarif"), Some(output)) = (inputs.get("format"), inputs.get("output")) {
        let file = place.path("output", output)?;
        if file.is_file() {
            place.keep(desk, output, &file)?;
        }
    }
    match code {
        0 => Ok(Wrote::default()),
        code => Err(Undone::Ended(workflow::job::Exit::Code(code))),
    }
}

fn arguments(inputs: Inputs<'_>) -> Vec<String> {
    let kind = inputs.get("scan-type").unwrap_or("image");
    let mut arguments = vec![kind.to_string()];
    if inputs.get("input").is_none() {
        let files = ["repo", "fs", "filesystem", "config", "rootfs", "sbom"].contains(&kind);
        let target = if files { Some(inputs.get("scan-ref").unwrap_or(".")) } else { inputs.get("image-ref") };
        arguments.extend(target.map(str::to_string));
    }
    arguments
}

fn variables(inputs: Inputs<'_>) -> BTreeMap<String, String> {
    let given = VARIABLES.iter().filter_map(|(input, variable, default)| {
        let value = inputs.get(input).filter(|value| value != default)?;
        Some((variable.to_string(), value.to_string()))
    });
    let mut variables: BTreeMap<String, String> = given.collect();
    if inputs.get("format") == Some("sarif") && inputs.get("limit-severities-for-sarif") != Some("true") {
        variables.remove("TRIVY_SEVERITY");
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_become_a_command_and_variables() {
        let check = |given: &[(&str, &str)], expected: &str| {
            let given: BTreeMap<String, String> = given.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            let variables: Vec<String> = variables(Inputs(&given)).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
            assert_eq!(format!("{} {}", variables.join(" "), arguments(Inputs(&given)).join(" ")).trim(), expected);
        };
        check(
            &[("image-ref", "app:1"), ("exit-code", "1"), ("severity", "HIGH,CRITICAL")],
            "TRIVY_EXIT_CODE=1 TRIVY_SEVERITY=HIGH,CRITICAL image app:1",
        );
        check(
            &[("scan-type", "fs"), ("format", "sarif"), ("output", "t.sarif"), ("severity", "HIGH")],
            "TRIVY_FORMAT=sarif TRIVY_OUTPUT=t.sarif fs .",
        );
        check(&[("input", "app.tar"), ("format", "table"), ("ignore-unfixed", "false")], "TRIVY_INPUT=app.tar image");
        check(&[("scan-type", "config"), ("scan-ref", "deploy; rm -rf /")], "config deploy; rm -rf /");
    }
}
