//! The templates that are built in. Ours, not GitLab's: jobs of the same names that run the scanner installed on this machine and leave
//! what it found as SARIF. A scanner that isn't there is named, and the job fails; it is allowed to, as GitLab's are.

/// The variable in which a template's job names the tool it runs.
pub(crate) const TOOL: &str = "PLIMSOLL_TOOL";

/// By the names without folder and ending.
const ALL: [(&str, &str); 8] = [
    ("SAST", include_str!("templates/sast.yml")),
    ("Secret-Detection", include_str!("templates/secret-detection.yml")),
    ("Dependency-Scanning", include_str!("templates/dependency-scanning.yml")),
    ("Container-Scanning", include_str!("templates/container-scanning.yml")),
    ("SAST-IaC", include_str!("templates/sast-iac.yml")),
    ("License-Scanning", include_str!("templates/license-scanning.yml")),
    ("Branch-Pipelines", include_str!("templates/branch-pipelines.yml")),
    ("MergeRequest-Pipelines", include_str!("templates/merge-request-pipelines.yml")),
];

const NAMES: [&str; 14] = [
    "Security/SAST.gitlab-ci.yml",
    "Jobs/SAST.gitlab-ci.yml",
    "Security/Secret-Detection.gitlab-ci.yml",
    "Jobs/Secret-Detection.gitlab-ci.yml",
    "Security/Dependency-Scanning.gitlab-ci.yml",
    "Jobs/Dependency-Scanning.gitlab-ci.yml",
    "Security/Container-Scanning.gitlab-ci.yml",
    "Jobs/Container-Scanning.gitlab-ci.yml",
    "Security/SAST-IaC.gitlab-ci.yml",
    "Jobs/SAST-IaC.gitlab-ci.yml",
    "Security/License-Scanning.gitlab-ci.yml",
    "Jobs/License-Scanning.gitlab-ci.yml",
    "Workflows/Branch-Pipelines.gitlab-ci.yml",
    "Workflows/MergeRequest-Pipelines.gitlab-ci.yml",
];

/// As GitLab knows them.
pub fn names() -> impl Iterator<Item = &'static str> {
    NAMES.into_iter()
}

/// A `.latest` template is the same one here.
pub(super) fn text(name: &str) -> Option<&'static str> {
    let plain = name.replace(".latest.gitlab-ci.yml", ".gitlab-ci.yml");
    let known = NAMES.iter().find(|known| **known == plain)?;
    let stem = known.rsplit('/').next()?.strip_suffix(".gitlab-ci.yml")?;
    ALL.iter().find(|(known, _)| *known == stem).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_text() {
        assert!(names().all(|name| text(name).is_some()));
        assert!(text("Security/SAST.latest.gitlab-ci.yml").is_some());
        assert!(text("Auto-DevOps.gitlab-ci.yml").is_none());
    }
}
