//! `codecov/codecov-action` and `github/codeql-action/upload-sarif`: reports become evidence here; what goes elsewhere is said.
//!
//! | action | inputs honoured |
//! |---|---|
//! | codecov | `files` (`file`), `directory`, `working-directory`, `disable_search`, `exclude`, `handle_no_reports_found`, `fail_ci_if_error`, `flags`, `name`, `slug`, `dry_run`, `verbose`; `report_type`; `token` with `url` uploads with the installed `codecovcli`, which the other inputs are options of |
//! | upload-sarif | `sarif_file` (a file or a folder), `checkout_path`, `category`; output `sarif-id` |
//!
//! What of codecov's inputs is passed over, `heed` says before the run; upload-sarif's `token`, `ref`, `sha`, `wait-for-processing` a forge that isn't asked.

use std::path::PathBuf;

use serde_json::Value as Json;
use workflow::job::Wrote;
use workflow::job::glob::Globs;

use super::super::walk::Walk;
use super::desk::{Desk, Undone};
use super::inputs::Inputs;
use super::place::{Place, outputs};
use super::words::commas;

pub(super) const UPLOADER: &[&str] = &["codecovcli", "codecov"];

/// Names that coverage tools give their reports.
const REPORTS: [&str; 14] = [
    "coverage*.xml",
    "*coverage.xml",
    "cobertura*.xml",
    "jacoco*.xml",
    "clover.xml",
    "lcov*.info",
    "*.lcov",
    "lcov.dat",
    "coverage-final.json",
    "coverage*.json",
    "coverage.out",
    "coverage*.txt",
    "*.coverprofile",
    "cover.out",
];
/// The same of reports of tests.
const TEST_REPORTS: [&str; 2] = ["*junit*.xml", "*test*.xml"];
/// Inputs that are options of the uploader.
const UPLOAD: [(&str, &str); 20] = [
    ("name", "--name"),
    ("slug", "--slug"),
    ("commit_parent", "--parent-sha"),
    ("git_service", "--git-service"),
    ("job_code", "--job-code"),
    ("network_filter", "--network-filter"),
    ("network_prefix", "--network-prefix"),
    ("root_dir", "--network-root-folder"),
    ("override_branch", "--branch"),
    ("override_build", "--build-code"),
    ("override_build_url", "--build-url"),
    ("override_commit", "--sha"),
    ("override_pr", "--pr"),
    ("report_code", "--report-code"),
    ("report_type", "--report-type"),
    ("gcov_args", "--gcov-args"),
    ("gcov_executable", "--gcov-executable"),
    ("gcov_ignore", "--gcov-ignore"),
    ("gcov_include", "--gcov-include"),
    ("swift_project", "--swift-project"),
];
/// Folders that hold other people's files.
const SKIPPED: [&str; 6] = ["node_modules", ".git", ".venv", "venv", "vendor", "site-packages"];

/// Whether an upload that is asked for can be made.
pub(super) fn codecov_ready(inputs: Inputs<'_>, env: &std::collections::BTreeMap<String, String>) -> Result<(), String> {
    if uploads(inputs) { super::need::need(UPLOADER, env).map(drop) } else { Ok(()) }
}

/// Only where the workflow says to whom: a report never leaves this machine by a default.
fn uploads(inputs: Inputs<'_>) -> bool {
    inputs.get("token").is_some() && inputs.get("url").is_some() && inputs.get("dry_run") != Some("true")
}

pub(super) fn codecov(place: Place<'_>, desk: &mut Desk<'_>) -> Result<Wrote, Undone> {
    let inputs = place.inputs();
    let strict = inputs.flag("fail_ci_if_error")?;
    let reports = found(place, desk)?;
    if reports.is_empty() {
        let text = "No coverage reports found";
        if strict && !inputs.flag("handle_no_reports_found")? {
            return Err(Undone::Failed(format!("{text}; `fail_ci_if_error` makes that a failure")));
        }
        desk.say(&format!("##[warning]{text}"));
        return Ok(Wrote::default());
    }
    let root = &place.dirs.workspace;
    for report in &reports {
        let name = report.strip_prefix(root).unwrap_or(report).to_string_lossy().into_owned();
        place.keep(desk, &name, report)?;
    }
    if !uploads(inputs) {
        let why = if inputs.get("dry_run") == Some("true") { "`dry_run`" } else { "an upload needs both `token` and `url`" };
        desk.say(&format!("Nothing is uploaded: {why}."));
        return Ok(Wrote::default());
    }
    let mut tool = place.tool(UPLOADER, &place.folder("working-directory")?)?;
    tool = tool.env("CODECOV_TOKEN", inputs.required("token")?).args(["--enterprise-url", inputs.required("url")?]);
    tool = tool.args(inputs.flag("verbose")?.then_some("--verbose"));
    tool = tool.args(inputs.get("codecov_yml_path").into_iter().flat_map(|path| ["--codecov-yml-path", path]));
    tool = tool.args(["upload-process"]);
    tool = tool.args(["--disable-search".to_string()]);
    tool = tool.args(reports.iter().flat_map(|report| ["--file".into(), report.clone().into_os_string()]));
    tool = tool.args(inputs.get("flags").into_iter().flat_map(commas).flat_map(|flag| ["--flag", flag]));
    for (input, option) in UPLOAD {
        tool = tool.args(inputs.get(input).into_iter().flat_map(|value| [option, value]));
    }
    for (input, option) in [("env_vars", "--env"), ("plugins", "--plugin")] {
        tool = tool.args(inputs.get(input).into_iter().flat_map(commas).flat_map(|value| [option, value]));
    }
    for (input, option) in [("disable_file_fixes", "--disable-file-fixes"), ("use_legacy_upload_endpoint", "--legacy")] {
        tool = tool.args(inputs.flag(input)?.then_some(option));
    }
    tool = tool.args(strict.then_some("--fail-on-error"));
    match desk.run(&tool)? {
        0 => {}
        code if strict => return Err(Undone::Ended(workflow::job::Exit::Code(code))),
        code => desk.say(&format!("##[warning]The upload failed with exit code {code}; the reports are kept here all the same.")),
    }
    Ok(Wrote::default())
}

/// Those named, and those that look like reports unless searching is off.
fn found(place: Place<'_>, desk: &mut Desk<'_>) -> Result<Vec<PathBuf>, Undone> {
    let inputs = place.inputs();
    let folder = place.folder("working-directory")?;
    let mut reports = Vec::new();
    for name in commas(inputs.get("files").or(inputs.get("file")).unwrap_or_default()) {
        let globs = Globs::parse(name, &folder.to_string_lossy(), None)?;
        let files = Walk { follow_links: false, hidden: true }.files(&globs);
        if files.is_empty() {
            desk.say(&format!("##[warning]`{name}` is named and not there."));
        }
        reports.extend(files);
    }
    // As the original: what is named is searched for no further.
    let search = reports.is_empty() && inputs.get("files").or(inputs.get("file")).is_none() && !inputs.flag("disable_search")?;
    if search {
        let below = place
            .path("directory", inputs.get("directory").unwrap_or_default())
            .map(|path| if path == place.dirs.workspace { folder } else { path })?;
        let excluded: Vec<&str> = commas(inputs.get("exclude").unwrap_or_default()).collect();
        let is_of_tests = matches!(inputs.get("report_type"), Some("test_results" | "testing"));
        let names: &[&str] = if is_of_tests { &TEST_REPORTS } else { &REPORTS };
        let patterns: Vec<String> = names.iter().map(|name| format!("**/{name}")).collect();
        let globs = Globs::parse(&patterns.join("\n"), &below.to_string_lossy(), None)?;
        let foreign = |path: &PathBuf| {
            let names = path.strip_prefix(&below).unwrap_or(path).iter().filter_map(|name| name.to_str());
            names.into_iter().any(|name| SKIPPED.contains(&name) || excluded.contains(&name))
        };
        reports.extend(Walk { follow_links: false, hidden: false }.files(&globs).into_iter().filter(|path| !foreign(path)));
    }
    reports.sort();
    reports.dedup();
    Ok(reports)
}

pub(super) fn sarif(place: Place<'_>, desk: &mut Desk<'_>) -> Result<Wrote, Undone> {
    let inputs = place.inputs();
    let root = place.folder("checkout_path")?;
    let named = inputs.get("sarif_file").unwrap_or("../results");
    let path = if named == "../results" { place.dirs.workspace.with_file_name("results") } else { place.path("sarif_file", named)? };
    let files = if path.is_dir() {
        let globs = Globs::parse("**/*.sarif", &path.to_string_lossy(), None)?;
        Walk { follow_links: false, hidden: true }.files(&globs)
    } else {
        vec![path.clone()]
    };
    if files.is_empty() || !path.exists() {
        return Err(Undone::Failed(format!("Path does not exist or holds no SARIF file: {}", path.display())));
    }
    let mut digests = String::new();
    for file in &files {
        desk.go_on()?;
        let bytes = std::fs::read(file).map_err(|error| format!("`{}` can't be read: {error}", file.display()))?;
        check(&bytes).map_err(|why| format!("`{}` is no SARIF report: {why}", file.display()))?;
        digests.push_str(&base::Digest::of(&bytes).hex());
        let name = file.strip_prefix(&root).unwrap_or(file).to_string_lossy().into_owned();
        let name = inputs.get("category").map_or(name.clone(), |category| format!("{category}-{name}"));
        // What evidence is read from is told by its name.
        let name = if name.ends_with(".sarif") { name } else { format!("{name}.sarif") };
        place.keep(desk, &name, file)?;
    }
    Ok(outputs([("sarif-id", base::Digest::of(digests.as_bytes()).short())]))
}

fn check(bytes: &[u8]) -> Result<(), String> {
    let report: Json = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let runs = report["runs"].as_array().ok_or("it has no `runs`")?;
    if !report["version"].is_string() {
        return Err("it has no `version`".to_string());
    }
    match runs.iter().all(|run| run["tool"]["driver"]["name"].is_string()) {
        true => Ok(()),
        false => Err("a run names no `tool.driver.name`".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_report_is_looked_at_before_it_counts() {
        assert_eq!(check(br#"{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x"}}, "results": []}]}"#), Ok(()));
        for bad in ["{", "{}", r#"{"version": "2.1.0", "runs": {}}"#, r#"{"runs": []}"#, r#"{"version": "2.1.0", "runs": [{}]}"#] {
            assert!(check(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_is_uploaded_by_a_default() {
        let given = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
        };
        let (token, both) = (given(&[("token", "t")]), given(&[("token", "t"), ("url", "https://c")]));
        let dry = given(&[("token", "t"), ("url", "https://c"), ("dry_run", "true")]);
        assert_eq!((uploads(Inputs(&token)), uploads(Inputs(&both)), uploads(Inputs(&dry))), (false, true, false));
    }
}
