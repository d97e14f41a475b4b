//! The actions that are built in: no node, no network, the same inputs and outputs as the originals.

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
}

/// Owner and repository (and folder) of each, with the number of their newest version.
const ALL: [(&str, Builtin); 16] = [
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
];

impl Builtin {
    /// What `uses:` names, if it is built in.
    pub fn of(uses: &str) -> Option<Builtin> {
        let (name, reference) = uses.split_once('@')?;
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

    /// When it has something to do at the job's end: on which condition.
    pub fn post_condition(self) -> Option<&'static str> {
        (self == Builtin::Cache).then_some("success()")
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
        assert_eq!(Builtin::of("actions/checkout"), None);
        assert_eq!(Builtin::of("someone/checkout@v4"), None);
        assert_eq!(Builtin::DownloadArtifact { version: 3 }.name(), "actions/download-artifact");
    }
}
