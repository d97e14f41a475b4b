//! The actions that are built in: no node, the same inputs and outputs as the originals; a tool is the one that is installed.

/// A built-in action; the tag it is asked for by (`@v4`, a commit) makes a difference only where the originals differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Builtin {
    Checkout,
    /// From version 4 on an upload's name is taken once and hidden files stay out.
    UploadArtifact {
        version: u32,
    },
    DownloadArtifact {
        version: u32,
    },
    Cache,
    CacheRestore,
    CacheSave,
    SetupPython,
    SetupNode,
    SetupGo,
    SetupJava,
    SetupPnpm,
    RustToolchain,
    /// Of GitLab's files: artifacts of earlier jobs, and the variables in their dotenv reports.
    GitlabLoad,
    GitlabSave,
    GitlabCacheRestore,
    GitlabCacheSave,
    DockerLogin,
    SetupBuildx,
    SetupQemu,
    DockerMetadata,
    BuildPush,
    Codecov,
    UploadSarif,
    Trivy,
    Gitleaks,
    Snyk(Snyk),
    GolangciLint,
    DependencyCheck,
    CosignInstaller,
    Sbom,
    DownloadSyft,
    Slack,
    SetContext,
}

/// Which folder of `snyk/actions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Snyk {
    Docker,
    Iac,
    Setup,
    /// A language: the originals differ by what is in their containers.
    Other,
}

/// Owner and repository (and folder) of each, with the number of their newest version.
const ALL: [(&str, Builtin); 33] = [
    ("actions/checkout", Builtin::Checkout),
    ("actions/upload-artifact", Builtin::UploadArtifact { version: 4 }),
    ("actions/download-artifact", Builtin::DownloadArtifact { version: 4 }),
    ("actions/cache", Builtin::Cache),
    ("actions/cache/restore", Builtin::CacheRestore),
    ("actions/cache/save", Builtin::CacheSave),
    ("actions/setup-python", Builtin::SetupPython),
    ("actions/setup-node", Builtin::SetupNode),
    ("actions/setup-go", Builtin::SetupGo),
    ("actions/setup-java", Builtin::SetupJava),
    ("pnpm/action-setup", Builtin::SetupPnpm),
    ("dtolnay/rust-toolchain", Builtin::RustToolchain),
    ("plimsoll/gitlab-load", Builtin::GitlabLoad),
    ("plimsoll/gitlab-save", Builtin::GitlabSave),
    ("plimsoll/gitlab-cache-restore", Builtin::GitlabCacheRestore),
    ("plimsoll/gitlab-cache-save", Builtin::GitlabCacheSave),
    ("docker/login-action", Builtin::DockerLogin),
    ("docker/setup-buildx-action", Builtin::SetupBuildx),
    ("docker/setup-qemu-action", Builtin::SetupQemu),
    ("docker/metadata-action", Builtin::DockerMetadata),
    ("docker/build-push-action", Builtin::BuildPush),
    ("codecov/codecov-action", Builtin::Codecov),
    ("github/codeql-action/upload-sarif", Builtin::UploadSarif),
    ("aquasecurity/trivy-action", Builtin::Trivy),
    ("gitleaks/gitleaks-action", Builtin::Gitleaks),
    (SNYK, Builtin::Snyk(Snyk::Other)),
    ("golangci/golangci-lint-action", Builtin::GolangciLint),
    ("dependency-check/Dependency-Check_Action", Builtin::DependencyCheck),
    ("sigstore/cosign-installer", Builtin::CosignInstaller),
    ("anchore/sbom-action", Builtin::Sbom),
    ("anchore/sbom-action/download-syft", Builtin::DownloadSyft),
    ("slackapi/slack-github-action", Builtin::Slack),
    ("azure/k8s-set-context", Builtin::SetContext),
];

const SNYK: &str = "snyk/actions";

impl Builtin {
    /// What `uses:` names, if it is built in.
    pub fn of(uses: &str) -> Option<Builtin> {
        let (name, reference) = uses.split_once('@')?;
        if let Some(folder) = name.to_ascii_lowercase().strip_prefix(SNYK).and_then(|rest| rest.strip_prefix('/')) {
            return Some(Builtin::Snyk(match folder {
                "docker" => Snyk::Docker,
                "iac" => Snyk::Iac,
                "setup" => Snyk::Setup,
                _ => Snyk::Other,
            }));
        }
        let (_, builtin) = ALL.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        let version = reference.trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok()).unwrap_or(4);
        Some(match builtin {
            Builtin::UploadArtifact { .. } => Builtin::UploadArtifact { version },
            Builtin::DownloadArtifact { .. } => Builtin::DownloadArtifact { version },
            other => *other,
        })
    }

    /// `actions/checkout`.
    pub fn name(self) -> &'static str {
        let same = |other: Builtin| std::mem::discriminant(&other) == std::mem::discriminant(&self);
        ALL.iter().find(|(_, builtin)| same(*builtin)).map(|(name, _)| *name).expect("every built-in action is in the list")
    }

    /// Those that a file of GitHub's may use.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ALL.iter().map(|(name, _)| *name).filter(|name| !name.starts_with("plimsoll/"))
    }

    /// Whether all it does is to make programs of this machine known to later steps.
    pub fn brings_tools(self) -> bool {
        use Builtin::{CosignInstaller, DownloadSyft, RustToolchain, SetupGo, SetupJava, SetupNode, SetupPnpm, SetupPython};
        matches!(self, SetupPython | SetupNode | SetupGo | SetupJava | SetupPnpm | RustToolchain | CosignInstaller | DownloadSyft)
    }

    /// When it has something to do at the job's end: on which condition.
    pub fn post_condition(self) -> Option<&'static str> {
        match self {
            Builtin::Cache => Some("success()"),
            Builtin::DockerLogin => Some("always()"),
            _ => None,
        }
    }
}

/// Why an action can't be run that nobody looked up before the run: one in a composite action that an earlier step made.
pub fn unforeseen(uses: &str) -> String {
    format!("`{uses}` would have to be fetched, and what isn't known before the run begins is not fetched in the middle of it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_may_be_a_tag_a_branch_or_a_commit() {
        assert_eq!(Builtin::of("actions/checkout@v4"), Some(Builtin::Checkout));
        assert_eq!(Builtin::of("Actions/Cache/Restore@0123abc"), Some(Builtin::CacheRestore));
        assert_eq!(Builtin::of("actions/upload-artifact@v3.1.2"), Some(Builtin::UploadArtifact { version: 3 }));
        assert_eq!(Builtin::of("dtolnay/rust-toolchain@stable"), Some(Builtin::RustToolchain));
        assert_eq!(Builtin::of("Azure/k8s-set-context@v3"), Some(Builtin::SetContext));
        assert_eq!(Builtin::of("snyk/actions/docker@master"), Some(Builtin::Snyk(Snyk::Docker)));
        assert_eq!(Builtin::of("snyk/actions/python-3.10@master"), Some(Builtin::Snyk(Snyk::Other)));
        assert_eq!(Builtin::of("actions/checkout"), None);
        assert_eq!(Builtin::of("someone/checkout@v4"), None);
        assert_eq!(Builtin::of("github/codeql-action/init@v3"), None);
        assert_eq!(Builtin::DownloadArtifact { version: 3 }.name(), "actions/download-artifact");
    }
}
