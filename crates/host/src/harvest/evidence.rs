//! Reads every file that jobs left and takes what it proves.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use base::{Digest, Timestamp};
use engine::world::{CodeSource, JobStart};
use gate::evidence::{Evidence, Reading, SUPPRESSIONS_PATH, read_from};
use workflow::job::JobId;

use crate::dirs::Dirs;
use crate::git;
use crate::job::EVIDENCE;
use crate::supervise::Claim;

/// So many files are looked at in one release, uploads first. More is a build's cache, not its reports.
const FILES_MAX: usize = 50_000;
const DEPTH_MAX: usize = 16;
/// Folders that hold other people's files.
const SKIPPED: [&str; 6] = [".git", "node_modules", ".venv", "venv", "site-packages", "vendor"];

/// Uploads say it on purpose. What lies in a workspace counts where no upload says the same, and unless it came with the commit: a
/// report kept as somebody's test data proves nothing.
pub(super) fn read(dirs: &Dirs, artifacts: &str, source: &CodeSource, jobs: &[JobId], now: Timestamp) -> io::Result<Evidence> {
    let mut reader = Reader { evidence: Evidence::default(), known: BTreeSet::new(), left: FILES_MAX };
    reader.folder(&dirs.uploads(artifacts).join(EVIDENCE), "evidence", &BTreeSet::new())?;
    for name in dirs.upload_names(artifacts)? {
        reader.folder(&dirs.upload(artifacts, &name), &name, &BTreeSet::new())?;
    }
    let mut jobs = jobs.to_vec();
    jobs.sort();
    for job in &jobs {
        reader.folder(&dirs.workspace(job), &job.key, &committed(dirs, job))?;
    }
    let mut evidence = reader.evidence;
    // As committed: a job can't accept what it has found itself.
    if let Some(accepted) = suppressions(source) {
        evidence.suppress(&accepted, now);
    }
    Ok(evidence)
}

struct Reader {
    evidence: Evidence,
    /// Of files that were read: the same bytes say nothing new.
    known: BTreeSet<Digest>,
    left: usize,
}

impl Reader {
    fn folder(&mut self, folder: &Path, label: &str, without: &BTreeSet<String>) -> io::Result<()> {
        for path in files(folder, &mut self.left)? {
            let name = path.to_string_lossy();
            if without.contains(name.as_ref()) {
                continue;
            }
            let Ok(file) = File::open(folder.join(&path)) else { continue };
            match read_from(&format!("{label}/{name}"), file) {
                Ok(reading) => self.take(reading),
                Err(error) => tracing::debug!(%error, path = %path.display(), "a file can't be read for evidence"),
            }
        }
        Ok(())
    }

    fn take(&mut self, reading: Reading) {
        let digest = match &reading {
            Reading::Claims(claims) => claims.first().map(|claim| claim.source.digest),
            _ => None,
        };
        if digest.is_none_or(|digest| self.known.insert(digest)) {
            self.evidence.add(reading);
        }
    }
}

fn started(dirs: &Dirs, job: &JobId) -> Option<JobStart> {
    serde_json::from_slice(&Claim::at(dirs.job(job)).spec().ok()?).ok()
}

fn suppressions(source: &CodeSource) -> Option<String> {
    let path = Path::new(&source.subtree).join(SUPPRESSIONS_PATH);
    git::show(Path::new(&source.repository), &source.sha, &path.to_string_lossy())
}

/// The files of the commit that the job was started with; none when that isn't known any more.
fn committed(dirs: &Dirs, job: &JobId) -> BTreeSet<String> {
    let Some(JobStart { source, .. }) = started(dirs, job) else { return BTreeSet::new() };
    git::tree_paths(Path::new(&source.repository), &source.sha, &source.subtree).unwrap_or_default().into_iter().collect()
}

/// Files below a folder, sorted, relative to it, as far as the bounds allow; links are not followed.
fn files(folder: &Path, left: &mut usize) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![(PathBuf::new(), 0)];
    while let Some((below, depth)) = open.pop() {
        let entries = match std::fs::read_dir(folder.join(&below)) {
            Ok(entries) => entries,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) || depth > 0 => continue,
            Err(error) => return Err(error),
        };
        let mut entries = entries.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let (name, kind) = (entry.file_name(), entry.file_type()?);
            let path = below.join(&name);
            if kind.is_dir() && depth < DEPTH_MAX && !SKIPPED.iter().any(|skipped| name == *skipped) {
                open.push((path, depth + 1));
            } else if kind.is_file() && *left > 0 {
                *left -= 1;
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
