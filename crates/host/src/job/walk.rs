//! Finds the files that patterns name, in the order `@actions/glob` finds them.

use std::fs;
use std::path::{Path, PathBuf};

use workflow::job::glob::{Globs, Matched};

/// What is looked at on the way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk {
    pub(super) follow_links: bool,
    pub(super) hidden: bool,
}

impl Walk {
    /// Files (and links that aren't followed), depth first, names in the order of their bytes.
    pub(super) fn files(self, globs: &Globs) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for root in globs.roots() {
            self.visit(globs, Path::new(&root), &mut Vec::new(), true, &mut found);
        }
        found
    }

    fn visit(self, globs: &Globs, path: &Path, around: &mut Vec<PathBuf>, is_root: bool, found: &mut Vec<PathBuf>) {
        let text = path.to_string_lossy();
        let matched = globs.matched(&text);
        let below = globs.may_match_below(&text);
        if matched == Matched::No && !below {
            return;
        }
        // A broken link, or gone meanwhile: as if it weren't there.
        let Ok(metadata) = (if self.follow_links { fs::metadata(path) } else { fs::symlink_metadata(path) }) else { return };
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if hidden && !self.hidden && !is_root {
            return;
        }
        if !metadata.is_dir() {
            if matched == Matched::Yes {
                found.push(path.to_path_buf());
            }
            return;
        }
        let Ok(real) = fs::canonicalize(path) else { return };
        if !below || around.contains(&real) {
            return;
        }
        around.push(real);
        let mut names: Vec<_> = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        for name in names {
            self.visit(globs, &path.join(name), around, false, found);
        }
        around.pop();
    }
}
