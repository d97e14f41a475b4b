//! `hashFiles(…)`: the SHA-256 of the SHA-256 of each file, as GitHub's runner computes it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use workflow::job::glob::Globs;

use super::walk::Walk;

/// Empty when no file below the workspace is named.
pub(super) fn files(workspace: &Path, home: Option<&Path>, patterns: &[String], follow_links: bool) -> Result<String, String> {
    let (root, home) = (workspace.to_string_lossy(), home.map(Path::to_string_lossy));
    let globs = Globs::parse(&patterns.join("\n"), &root, home.as_deref()).map_err(|why| format!("hashFiles: {why}"))?;
    let mut all = Sha256::new();
    let mut any = false;
    for file in (Walk { follow_links, hidden: true }).files(&globs) {
        if !file.starts_with(workspace) || file.is_dir() {
            continue;
        }
        all.update(digest(&file).map_err(|error| format!("hashFiles: `{}` can't be read: {error}", file.display()))?);
        any = true;
    }
    Ok(if any { base::Digest::from_bytes(all.finalize().into()).hex() } else { String::new() })
}

/// Of one file, without holding it in memory.
pub(super) fn digest(file: &Path) -> io::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    let mut file = File::open(file)?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().into()),
            count => hasher.update(&buffer[..count]),
        }
    }
}

/// As [`digest`], as a digest.
pub(crate) fn file(path: &Path) -> io::Result<base::Digest> {
    digest(path).map(base::Digest::from_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// The expected value is `sha256` over the two binary digests, made with coreutils.
    #[test]
    fn files_below_the_workspace_count_in_order_and_others_do_not() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("w");
        fs::create_dir_all(root.join("b")).unwrap();
        fs::write(root.join("a.txt"), "a").unwrap();
        fs::write(root.join("b/b.txt"), "b").unwrap();
        fs::write(directory.path().join("out.txt"), "c").unwrap();
        let hash = |patterns: &[&str]| files(&root, None, &patterns.iter().map(ToString::to_string).collect::<Vec<_>>(), false).unwrap();
        let expected = "e5a01fee14e0ed5c48714f22180f25ad8365b53f9779f79dc4a3d7e93963f94a";
        assert_eq!(hash(&["**/*.txt"]), expected);
        assert_eq!(hash(&["b", "a.txt", "../out.txt"]).len(), 64);
        assert_eq!(hash(&["**/*.txt", "!b/**"]), hash(&["a.txt"]));
        assert_eq!(hash(&["*.lock"]), "");
    }
}
