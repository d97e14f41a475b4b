//! What an action is given and doesn't do as asked: said before anything runs, so that nothing given is swallowed.
//!
//! Every input of the originals' `action.yml` stands in a table here, those of all versions together; those done are described in the
//! action's own file.

use base::name::nearest;
use workflow::job::Builtin;
use workflow::job::builtin::Snyk;
use workflow::model::Template;

/// What is to be said of one input.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::job) struct Unheeded {
    /// After the action's name: "passes over …".
    pub says: String,
    /// The action would do something else than is asked.
    pub is_wrong: bool,
}

/// What becomes of an input.
#[derive(Debug, Clone, Copy)]
enum Heed {
    Done,
    /// Nothing that matters here; why.
    Passed(&'static str),
    /// What it asks for can't be had, and without it the action would do something else.
    Refused(&'static str),
}

use Heed::{Done, Passed, Refused};

/// A name, the value that asks for nothing, and what becomes of any other.
type Inputs = [(&'static str, &'static str, Heed)];

const INSTALLED: Heed = Passed("the tool that is installed here is used, and nothing is downloaded");
const UPLOADER: Heed = Passed("it was an option of an older uploader, which nobody has any more");

const CODECOV: &Inputs = &[
    ("token", "", Done),
    ("url", "", Done),
    ("files", "", Done),
    ("file", "", Done),
    ("directory", "", Done),
    ("working-directory", "", Done),
    ("disable_search", "", Done),
    ("exclude", "", Done),
    ("handle_no_reports_found", "", Done),
    ("fail_ci_if_error", "", Done),
    ("flags", "", Done),
    ("name", "", Done),
    ("slug", "", Done),
    ("dry_run", "", Done),
    ("verbose", "", Done),
    ("commit_parent", "", Done),
    ("env_vars", "", Done),
    ("git_service", "", Done),
    ("job_code", "", Done),
    ("network_filter", "", Done),
    ("network_prefix", "", Done),
    ("root_dir", "", Done),
    ("override_branch", "", Done),
    ("override_build", "", Done),
    ("override_build_url", "", Done),
    ("override_commit", "", Done),
    ("override_pr", "", Done),
    ("plugins", "", Done),
    ("report_code", "", Done),
    ("report_type", "", Done),
    ("disable_file_fixes", "", Done),
    ("use_legacy_upload_endpoint", "", Done),
    ("gcov_args", "", Done),
    ("gcov_executable", "", Done),
    ("gcov_ignore", "", Done),
    ("gcov_include", "", Done),
    ("swift_project", "", Done),
    ("codecov_yml_path", "", Done),
    ("use_oidc", "false", Passed("an upload needs `token` and `url` here; the reports are evidence without one")),
    ("binary", "", INSTALLED),
    ("version", "latest", INSTALLED),
    ("skip_validation", "false", INSTALLED),
    ("use_pypi", "false", INSTALLED),
    ("os", "", INSTALLED),
    ("disable_safe_directory", "false", Passed("no setting of git is changed here")),
    ("disable_telem", "false", Passed("nothing is told to anybody here")),
    ("recurse_submodules", "false", Passed("submodules are not checked out here")),
    ("base_sha", "", Passed("nothing is compared by the uploader here")),
    ("force", "false", Passed("an upload is made as often as it is asked for")),
    ("run_command", "upload-coverage", Refused("reports are uploaded here, and nothing else is asked of Codecov")),
    ("functionalities", "", UPLOADER),
    ("full_report", "", UPLOADER),
    ("move_coverage_to_trash", "false", UPLOADER),
    ("xcode", "", UPLOADER),
    ("xcode_archive_path", "", UPLOADER),
    ("swift", "", UPLOADER),
    ("gcov", "", UPLOADER),
    ("xtra_args", "", UPLOADER),
    ("upstream_proxy", "", Passed("`HTTPS_PROXY` in `env` names a proxy")),
];

const TEMPLATED: Heed = Refused("what stands in the payload is sent as it is, so that Slack would get the names and not the values");

const SLACK: &Inputs = &[
    ("channel-id", "", Done),
    ("slack-message", "", Done),
    ("payload", "", Done),
    ("payload-file-path", "", Done),
    ("update-ts", "", Done),
    ("webhook", "", Done),
    ("webhook-type", "", Done),
    ("token", "", Done),
    ("method", "", Done),
    ("errors", "", Done),
    ("api", "", Done),
    ("proxy", "", Done),
    ("retries", "", Done),
    ("payload-templated", "false", TEMPLATED),
    ("payload-file-path-parsed", "false", Passed("what stands in the file is sent as it is")),
    ("payload-delimiter", "", Refused("nested values are sent as they are, so that Slack would get another payload")),
    ("command", "", Refused("a command of Slack's own tool isn't run here")),
    ("version", "", Refused("a command of Slack's own tool isn't run here")),
];

const SNYK: &Inputs =
    &[("command", "", Done), ("args", "", Done), ("json", "", Done), ("sarif", "", Done), ("version", "latest", INSTALLED)];
const SNYK_DOCKER: &Inputs = &[
    ("command", "", Done),
    ("args", "", Done),
    ("image", "", Done),
    ("json", "", Done),
    ("sarif", "", Done),
    ("version", "latest", INSTALLED),
];
const SNYK_IAC: &Inputs = &[
    ("command", "", Done),
    ("args", "", Done),
    ("file", "", Done),
    ("json", "", Done),
    ("sarif", "", Done),
    ("version", "latest", INSTALLED),
];
const SNYK_SETUP: &Inputs = &[("snyk-version", "latest", INSTALLED), ("os", "", INSTALLED)];

const NO_FORGE: &str = "nothing is sent to a forge from here";

const SBOM: &Inputs = &[
    ("path", "", Done),
    ("file", "", Done),
    ("image", "", Done),
    ("format", "", Done),
    ("output-file", "", Done),
    ("artifact-name", "", Done),
    ("upload-artifact", "", Done),
    ("config", "", Done),
    ("registry-username", "", Done),
    ("registry-password", "", Done),
    ("upload-artifact-retention", "0", Passed("artifacts are kept as long as their run is")),
    ("upload-release-assets", "false", Passed(NO_FORGE)),
    ("dependency-snapshot", "false", Passed(NO_FORGE)),
    ("dependency-snapshot-correlator", "", Passed(NO_FORGE)),
    ("sbom-artifact-match", "", Passed(NO_FORGE)),
    // Nobody is asked anything with it.
    ("github-token", "", Done),
    ("syft-version", "", INSTALLED),
];

const DOWNLOAD_SYFT: &Inputs = &[("syft-version", "", INSTALLED)];

const DEPENDENCY_CHECK: &Inputs = &[("project", "", Done), ("path", "", Done), ("format", "", Done), ("out", "", Done), ("args", "", Done)];

/// It is told by variables alone.
const GITLEAKS: &Inputs = &[];
const GITLEAKS_ENV: &Inputs = &[
    ("GITLEAKS_VERSION", "latest", INSTALLED),
    ("GITLEAKS_ENABLE_COMMENTS", "false", Passed(NO_FORGE)),
    ("GITLEAKS_NOTIFY_USER_LIST", "", Passed(NO_FORGE)),
];

fn table(builtin: Builtin) -> Option<&'static Inputs> {
    Some(match builtin {
        Builtin::Codecov => CODECOV,
        Builtin::Slack => SLACK,
        Builtin::Snyk(Snyk::Docker) => SNYK_DOCKER,
        Builtin::Snyk(Snyk::Iac) => SNYK_IAC,
        Builtin::Snyk(Snyk::Setup) => SNYK_SETUP,
        Builtin::Snyk(Snyk::Other) => SNYK,
        Builtin::Sbom => SBOM,
        Builtin::DownloadSyft => DOWNLOAD_SYFT,
        Builtin::DependencyCheck => DEPENDENCY_CHECK,
        Builtin::Gitleaks => GITLEAKS,
        _ => return None,
    })
}

/// What the step gives the action in `with` and `env` that isn't done, in the order of the file.
pub(in crate::job) fn unheeded(builtin: Builtin, with: Option<&Template>, env: Option<&Template>) -> Vec<Unheeded> {
    let Some(inputs) = table(builtin) else { return Vec::new() };
    let mut found: Vec<Unheeded> = given(with).filter_map(|(name, value)| of_input(inputs, name, value)).collect();
    if builtin == Builtin::Gitleaks {
        let known = given(env).filter(|(name, _)| GITLEAKS_ENV.iter().any(|(known, ..)| known == name));
        found.extend(known.filter_map(|(name, value)| of_input(GITLEAKS_ENV, name, value)));
    }
    found
}

fn given(template: Option<&Template>) -> impl Iterator<Item = (&str, &Template)> {
    let pairs = match template {
        Some(Template::Mapping(pairs)) => pairs.as_slice(),
        _ => &[],
    };
    pairs.iter().filter_map(|(name, value)| match name {
        Template::String(name) => Some((name.as_str(), value)),
        _ => None,
    })
}

fn of_input(inputs: &Inputs, name: &str, value: &Template) -> Option<Unheeded> {
    let known = |(known, ..): &&(&str, &str, Heed)| known.eq_ignore_ascii_case(name);
    let Some((_, nothing, heed)) = inputs.iter().find(known) else {
        let near = nearest(name, inputs.iter().map(|(name, ..)| *name));
        let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        return Some(Unheeded { says: format!("has no input `{name}`{hint}"), is_wrong: false });
    };
    let asks_for_nothing = match value {
        Template::String(text) => text.trim().is_empty() || text.trim().eq_ignore_ascii_case(nothing),
        Template::Bool(value) => value.to_string() == *nothing,
        Template::Number(value) => value.to_string() == *nothing,
        Template::Null => true,
        _ => false,
    };
    match heed {
        _ if asks_for_nothing => None,
        Done => None,
        Passed(why) => Some(Unheeded { says: format!("passes over `{name}`: {why}"), is_wrong: false }),
        Refused(why) => Some(Unheeded { says: format!("can't do `{name}`: {why}"), is_wrong: true }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of the action with these inputs, one a line; `!` where it isn't run.
    fn check(uses: &str, given: &[(&str, &str)], expected: &[&str]) {
        let pairs = given.iter().map(|(name, value)| (Template::String(name.to_string()), Template::String(value.to_string())));
        let given = Template::Mapping(pairs.collect());
        let said = unheeded(Builtin::of(uses).unwrap(), Some(&given), Some(&given));
        let said: Vec<String> = said.into_iter().map(|it| format!("{}{}", if it.is_wrong { "! " } else { "" }, it.says)).collect();
        assert_eq!(said, expected, "{uses}");
    }

    #[test]
    fn nothing_given_is_swallowed() {
        check("codecov/codecov-action@v3", &[("file", "./coverage.xml"), ("flags", "unit"), ("move_coverage_to_trash", "false")], &[]);
        check(
            "codecov/codecov-action@v5",
            &[("files", "a"), ("use_oidc", "true"), ("version", "v0.7"), ("flgs", "b"), ("run_command", "empty-upload")],
            &[
                "passes over `use_oidc`: an upload needs `token` and `url` here; the reports are evidence without one",
                "passes over `version`: the tool that is installed here is used, and nothing is downloaded",
                "has no input `flgs`; did you mean `flags`?",
                "! can't do `run_command`: reports are uploaded here, and nothing else is asked of Codecov",
            ],
        );
        check(
            "slackapi/slack-github-action@v2",
            &[("webhook", "x"), ("payload-templated", "true"), ("retries", "10")],
            &[
                "! can't do `payload-templated`: what stands in the payload is sent as it is, so that Slack would get the names and not the values",
            ],
        );
        check("snyk/actions/docker@master", &[("image", "a"), ("args", "b")], &[]);
        check("snyk/actions/node@master", &[("image", "a")], &["has no input `image`"]);
        check(
            "anchore/sbom-action@v0",
            &[("path", "."), ("Dependency-Snapshot", "true"), ("upload-release-assets", "false"), ("github-token", "x")],
            &["passes over `Dependency-Snapshot`: nothing is sent to a forge from here"],
        );
        check("dependency-check/Dependency-Check_Action@main", &[("project", "a"), ("others", "b")], &["has no input `others`"]);
        check("actions/checkout@v4", &[("anything", "else")], &[]);
        let said = ["has no input `config`", "has no input `GITLEAKS_VERSION`"];
        let of_env = "passes over `GITLEAKS_VERSION`: the tool that is installed here is used, and nothing is downloaded";
        check("gitleaks/gitleaks-action@v2", &[("config", "x"), ("GITLEAKS_VERSION", "8")], &[said[0], said[1], of_env]);
    }
}
