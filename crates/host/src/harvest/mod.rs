//! What jobs left on this machine becomes an artifact and evidence.

pub mod archive;
mod evidence;

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use engine::world::{CodeSource, Harvest, Packaged, Ships, WorldError};
use gate::evidence::secrets;
use workflow::job::JobId;

use crate::blobs::FileBlobs;
use crate::blocking::blocking;
use crate::dirs::Dirs;
use crate::git;
use crate::job::EVIDENCE;
use crate::supervise::durable;
use archive::{Archive, Content};

/// What the look at the artifact found, in SARIF.
const SECRETS: &str = "artifact-secrets.sarif";

/// Packs and reads what the jobs of a release left in their uploads and workspaces.
#[derive(Debug, Clone)]
pub struct HostHarvest {
    dirs: Dirs,
    blobs: FileBlobs,
}

impl HostHarvest {
    pub fn new(dirs: Dirs) -> HostHarvest {
        HostHarvest { blobs: FileBlobs::new(&dirs), dirs }
    }

    fn package_now(&self, artifacts: &str, source: &CodeSource, what: &Ships) -> Result<Packaged, WorldError> {
        let packed = match what {
            Ships::Left(name) => self.left(artifacts, name),
            Ships::Source => self.source(source)?,
        };
        let archive = match packed {
            Ok(archive) => archive,
            Err(why) => return Ok(Packaged::Missing(why)),
        };
        self.tell_secrets(artifacts, &archive).map_err(|error| WorldError::new("tell of the artifact's secrets", error))?;
        let files = archive.files();
        let bytes = archive.finish().map_err(|error| WorldError::new("pack the artifact", error))?;
        let digest = self.blobs.put_now(&bytes)?;
        Ok(Packaged::Artifact { digest, bytes: bytes.len() as u64, files })
    }

    /// What is found becomes evidence beside what the jobs left, before the artifact is anywhere: the gate hears of it first.
    fn tell_secrets(&self, artifacts: &str, archive: &Archive) -> std::io::Result<()> {
        let folder = self.dirs.uploads(artifacts).join(EVIDENCE);
        let path = folder.join(SECRETS);
        match secrets::report(archive.secrets()) {
            Some(report) => {
                durable::create_dir(&folder)?;
                durable::replace(&path, report.to_string().as_bytes())
            }
            None => match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        }
    }

    /// A sentence instead of an archive where a person has to change something.
    fn source(&self, source: &CodeSource) -> Result<Result<Archive, String>, WorldError> {
        let mut archive = Archive::default();
        if let Some(snapshot) = &source.snapshot {
            let bytes = self
                .blobs
                .get_now(snapshot)?
                .ok_or_else(|| WorldError::new("pack the artifact", format!("snapshot {snapshot} is not there")))?;
            let unpacked = tempfile::tempdir_in(self.dirs.state()).map_err(|error| WorldError::new("unpack the snapshot", error))?;
            tar::Archive::new(bytes.as_slice()).unpack(unpacked.path()).map_err(|error| WorldError::new("unpack the snapshot", error))?;
            return Ok(archive.add_folder(unpacked.path()).map(|()| archive).map_err(|error| unshippable(&error)));
        }
        let files = git::tree(Path::new(&source.repository), &source.sha, &source.subtree);
        for file in files.map_err(|error| WorldError::new("read the commit's files", error))? {
            let path = file.path.clone();
            if let Err(error) = archive.add(&path, Content::from(file)) {
                return Ok(Err(unshippable(&error)));
            }
        }
        Ok(Ok(archive))
    }

    /// An upload of that name, else what lies at that path in the workspace of the last job that has it.
    fn left(&self, artifacts: &str, name: &str) -> Result<Archive, String> {
        let upload = self.dirs.upload(artifacts, name);
        let path = if upload.is_dir() {
            upload
        } else {
            self.left_in_workspace(artifacts, name).ok_or_else(|| self.nothing_left(artifacts, name))?
        };
        let mut archive = Archive::default();
        let added = match path.is_dir() {
            true => archive.add_folder(&path),
            false => {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("artifact").to_string();
                Content::of(&path).and_then(|content| archive.add(&name, content))
            }
        };
        match added {
            Ok(()) if archive.files() == 0 => Err(format!("`{name}` was left, and it is empty")),
            Ok(()) => Ok(archive),
            Err(error) => Err(unshippable(&error)),
        }
    }

    fn left_in_workspace(&self, artifacts: &str, name: &str) -> Option<PathBuf> {
        let relative = Path::new(name.trim_end_matches('/'));
        let plain = relative.components().all(|part| matches!(part, std::path::Component::Normal(_) | std::path::Component::CurDir));
        let jobs = self.dirs.jobs_of(artifacts).ok()?;
        let places = jobs.iter().rev().map(|job| self.dirs.workspace(job).join(relative));
        places.into_iter().find(|path| plain && path.symlink_metadata().is_ok())
    }

    fn nothing_left(&self, artifacts: &str, name: &str) -> String {
        let uploads = self.dirs.upload_names(artifacts).unwrap_or_default();
        let instead = match uploads.as_slice() {
            [] => "nothing was uploaded".to_string(),
            names => format!("uploaded were: `{}`", names.join("`, `")),
        };
        format!("no job uploaded or left `{name}`; {instead}")
    }
}

#[async_trait]
impl Harvest for HostHarvest {
    async fn package(&self, artifacts: &str, source: &CodeSource, what: &Ships) -> Result<Packaged, WorldError> {
        let (harvest, artifacts, source, what) = (self.clone(), artifacts.to_string(), source.clone(), what.clone());
        blocking("pack the artifact", move || harvest.package_now(&artifacts, &source, &what)).await
    }

    async fn evidence(&self, artifacts: &str, source: &CodeSource, jobs: &[JobId]) -> Result<gate::evidence::Evidence, WorldError> {
        let (dirs, artifacts, source, jobs) = (self.dirs.clone(), artifacts.to_string(), source.clone(), jobs.to_vec());
        blocking("read the evidence", move || {
            evidence::read(&dirs, &artifacts, &source, &jobs, crate::job::now())
                .map_err(|error| WorldError::new("read the evidence", error))
        })
        .await
    }
}

fn unshippable(error: &archive::Error) -> String {
    format!("what ships can't be packed: {error}")
}
