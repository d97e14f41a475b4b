//! `sigstore/cosign-installer` and `anchore/sbom-action` (`/download-syft`): the installed `cosign` and `syft`.
//!
//! | action | inputs honoured |
//! |---|---|
//! | cosign-installer | `cosign-release` is compared with what is installed; another one is said in a warning, nothing is downloaded |
//! | sbom-action | `path` (`.`), `file`, `image`, `format` (`spdx-json`), `output-file`, `artifact-name`, `upload-artifact` (`true`), `config`, `registry-username`, `registry-password` |
//!
//! Not honoured: `upload-release-assets`, `dependency-snapshot` (nothing is sent to a forge), `syft-version`.

use std::collections::BTreeMap;
use std::path::Path;

use workflow::job::{ActionCall, Wrote};

use super::desk::{Desk, Undone};
use super::inputs::Inputs;
use super::place::{Place, outputs};
use super::version::satisfies;
use super::{artifact, tool_version};

pub(super) const COSIGN: &[&str] = &["cosign"];
pub(super) const SYFT: &[&str] = &["syft"];

pub(super) fn cosign(place: Place<'_>, desk: &mut Desk<'_>) -> Result<Wrote, Undone> {
    let tool = place.tool(COSIGN, &place.dirs.workspace)?;
    let version = tool_version(&tool.program, &["version"], place.env()).unwrap_or_default();
    desk.say(&format!("Using cosign {version} at {}", tool.program.display()));
    let wanted = place.inputs().get("cosign-release").filter(|wanted| *wanted != "latest" && *wanted != "main");
    if let Some(wanted) = wanted.filter(|wanted| !satisfies(&version, wanted)) {
        desk.say(&format!("##[warning]cosign {wanted} is asked for; {version} is installed, and nothing is downloaded."));
    }
    let folder = tool.program.parent().unwrap_or(Path::new("/")).to_string_lossy().into_owned();
    Ok(Wrote { paths: vec![folder], ..Wrote::default() })
}

pub(super) fn syft(place: Place<'_>, desk: &mut Desk<'_>) -> Result<Wrote, Undone> {
    let tool = place.tool(SYFT, &place.dirs.workspace)?;
    desk.say(&format!("Using {}", tool.program.display()));
    Ok(outputs([("cmd", tool.program.to_string_lossy().into_owned())]))
}

pub(super) fn sbom(place: Place<'_>, desk: &mut Desk<'_>) -> Result<Wrote, Undone> {
    let inputs = place.inputs();
    let format = inputs.get("format").unwrap_or("spdx-json");
    let job = place.github()["job"].as_str().unwrap_or("job");
    let name = inputs.get("artifact-name").map_or_else(|| format!("{job}.{}", suffix(format)), str::to_string);
    let file = match inputs.get("output-file") {
        Some(file) => place.path("output-file", file)?,
        None => place.dirs.temp.join(&name),
    };
    let mut tool = place.tool(SYFT, &place.dirs.workspace)?.args(arguments(inputs));
    tool = tool.args(["-o".to_string(), format!("{format}={}", file.display())]);
    for (input, variable) in [("registry-username", "SYFT_REGISTRY_AUTH_USERNAME"), ("registry-password", "SYFT_REGISTRY_AUTH_PASSWORD")] {
        if let Some(value) = inputs.get(input) {
            tool = tool.env(variable, value);
        }
    }
    desk.must(&tool.env("SYFT_CHECK_FOR_APP_UPDATE", "false"))?;
    place.keep(desk, &name, &file)?;
    if inputs.get("upload-artifact") != Some("false") {
        let given = [("name", name.as_str()), ("path", &*file.to_string_lossy()), ("overwrite", "true")];
        let given: BTreeMap<String, String> = given.map(|(name, value)| (name.to_string(), value.to_string())).into();
        artifact::upload(place.dirs, &ActionCall { inputs: given, ..place.call.clone() }, 4, place.mask, desk)?;
    }
    Ok(Wrote::default())
}

/// How files of a format end.
fn suffix(format: &str) -> &str {
    match format {
        "spdx-json" => "spdx.json",
        "cyclonedx-json" => "cyclonedx.json",
        "spdx" | "spdx-tag-value" => "spdx",
        "cyclonedx" | "cyclonedx-xml" => "cyclonedx.xml",
        other => other,
    }
}

fn arguments(inputs: Inputs<'_>) -> Vec<String> {
    let target = match (inputs.get("image"), inputs.get("file")) {
        (Some(image), _) => image.to_string(),
        (None, Some(file)) => format!("file:{file}"),
        (None, None) => format!("dir:{}", inputs.get("path").unwrap_or(".")),
    };
    let config = inputs.get("config").into_iter().flat_map(|config| ["--config".to_string(), config.to_string()]);
    ["scan".to_string(), "-v".to_string()].into_iter().chain(config).chain([target]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_become_words() {
        let check = |given: &[(&str, &str)], expected: &str| {
            let given: BTreeMap<String, String> = given.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            assert_eq!(arguments(Inputs(&given)).join(" "), expected);
        };
        check(&[], "scan -v dir:.");
        check(&[("image", "app:1"), ("path", "x")], "scan -v app:1");
        check(&[("file", "go.sum"), ("config", "c.yaml")], "scan -v --config c.yaml file:go.sum");
        assert_eq!(suffix("cyclonedx-json"), "cyclonedx.json");
    }
}
