//! `actions/upload-artifact` and `download-artifact`: files that jobs of one release hand to each other.
//!
//! ```text
//! ARTIFACTS/NAME/…                  the files, as they were below their common folder
//! ARTIFACTS/.manifests/NAME.json    what they were when they were uploaded: paths, sizes, digests
//! ARTIFACTS/.earlier/NAME           it is an earlier attempt's
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base::mask::Mask;
use base::{Digest, Timestamp, counted};
use serde::{Deserialize, Serialize};
use workflow::job::glob::{Globs, Matched};
use workflow::job::{ActionCall, Wrote};

use super::super::hash;
use super::super::walk::Walk;
use super::super::{JobDirs, timestamp};
use super::desk::{Desk, Undone};
use super::inputs::{Inputs, inside};
use crate::retention;

/// What GitHub doesn't allow in names, so that a workflow works there too.
const FORBIDDEN: [char; 10] = ['"', ':', '<', '>', '|', '*', '?', '\\', '/', '\n'];

/// Begins with a dot, as no artifact's name may.
const MANIFESTS: &str = ".manifests";
/// Names that were taken in an earlier attempt of the run, and may be taken once more.
const EARLIER: &str = ".earlier";

/// What was uploaded under a name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Manifest {
    name: String,
    /// Over all lines `sha256  path` in order.
    digest: Option<Digest>,
    pub(super) files: Vec<Entry>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Entry {
    path: String,
    bytes: u64,
    digest: Digest,
}

/// Copies one file; where somebody waits for it, so that it can be stopped.
type Copy<'c> = &'c mut dyn FnMut(&Path, &Path) -> Result<(), Undone>;

/// To the end, whatever happens.
fn plainly(from: &Path, to: &Path) -> Result<(), Undone> {
    fs::copy(from, to).map(drop).map_err(|error| Undone::Failed(format!("`{}` can't be copied: {error}", from.display())))
}

pub(super) fn upload(dirs: &JobDirs, call: &ActionCall, version: u32, mask: &Mask, desk: &mut Desk<'_>) -> Result<Wrote, Undone> {
    let inputs = Inputs(&call.inputs);
    let name = inputs.get("name").unwrap_or("artifact");
    check_name(name)?;
    let hidden = version < 4 || inputs.flag("include-hidden-files")?;
    let root = dirs.workspace.to_string_lossy();
    let globs = Globs::parse(inputs.required("path")?, &root, call.env.get("HOME").map(String::as_str))?;
    let files = Walk { follow_links: true, hidden }.files(&globs);
    if files.is_empty() {
        let text = format!("No files were found with the provided path: {}. No artifacts will be uploaded.", inputs.required("path")?);
        return match inputs.get("if-no-files-found").unwrap_or("warn") {
            "error" => Err(Undone::Failed(text)),
            "ignore" => Ok(Wrote::default()),
            "warn" => {
                desk.say(&format!("##[warning]{text}"));
                Ok(Wrote::default())
            }
            other => Err(Undone::Failed(format!("`if-no-files-found: {other}` can be `warn`, `error` or `ignore`"))),
        };
    }
    let common = common_folder(&globs, &files);
    let store = Store { artifacts: &dirs.artifacts };
    let days = inputs.get("retention-days").map(str::parse::<u32>).transpose();
    let days = days.map_err(|_| "`retention-days` is a whole number".to_string())?.filter(|days| *days > 0);
    retention::expire_uploads(dirs.artifacts.parent(), super::super::now());
    let copy: Copy<'_> = &mut |from, to| desk.copy(from, to);
    let manifest = store.put(name, &common, &files, version < 4, inputs.flag("overwrite")?, mask, copy)?;
    retention::keep_until(&store.manifest(name), days, super::super::now());
    let digest = manifest.digest.expect("a stored artifact has a digest");
    desk.say(&format!("Uploaded {} as `{name}`, {digest}", counted(manifest.files.len(), "file")));
    let id = number(&digest).to_string();
    let outputs =
        [("artifact-id", id), ("artifact-url", format!("file://{}", store.folder(name).display())), ("artifact-digest", digest.hex())];
    Ok(Wrote { outputs: outputs.map(|(name, value)| (name.to_string(), value)).to_vec(), ..Wrote::default() })
}

pub(super) fn download(dirs: &JobDirs, call: &ActionCall, version: u32, desk: &mut Desk<'_>) -> Result<Wrote, Undone> {
    let inputs = Inputs(&call.inputs);
    if inputs.get("run-id").is_some() || inputs.get("github-token").is_some() || inputs.get("repository").is_some() {
        return Err(Undone::Failed("downloading artifacts of other runs comes with the next release".to_string()));
    }
    let store = Store { artifacts: &dirs.artifacts };
    let path = inputs.get("path").unwrap_or_default();
    let home = call.env.get("HOME").map_or("", String::as_str);
    let path = path.strip_prefix("~/").map_or_else(|| path.to_string(), |rest| format!("{home}/{rest}"));
    let target = if Path::new(&path).is_absolute() {
        PathBuf::from(&path)
    } else {
        inside(&dirs.workspace, &path).ok_or_else(|| format!("`path: {path}` leads out of the workspace"))?
    };
    let names = match inputs.get("name") {
        Some(name) => vec![name.to_string()],
        None => store.names(inputs.get("pattern").filter(|_| version >= 4))?,
    };
    let merge = inputs.get("name").is_some() || (version >= 4 && inputs.flag("merge-multiple")?);
    for name in &names {
        let into = if merge { target.clone() } else { target.join(name) };
        let count = store.get(name, &into, &mut |from, to| desk.copy(from, to))?;
        desk.say(&format!("Downloaded {} of `{name}` to {}", counted(count, "file"), into.display()));
    }
    if names.is_empty() {
        desk.say("##[warning]There is no artifact to download.");
    }
    let outputs = vec![("download-path".to_string(), target.to_string_lossy().into_owned())];
    Ok(Wrote { outputs, ..Wrote::default() })
}

/// Whether an artifact may be called so.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    if let Some(wrong) = name.chars().find(|letter| FORBIDDEN.contains(letter)) {
        return Err(format!("the artifact's name `{name}` holds `{}`, which isn't allowed", wrong.escape_default()));
    }
    match name.chars().next() {
        None => Err("the artifact has no name".to_string()),
        Some('.') => Err(format!("the artifact's name `{name}` begins with a dot, which isn't allowed")),
        Some(_) => Ok(()),
    }
}

/// The number by which an artifact is asked for.
fn number(digest: &Digest) -> u64 {
    u64::from_str_radix(&digest.hex()[..12], 16).unwrap_or_default()
}

/// Paths in an artifact are relative to this: the one folder searched, the one file's folder, or what several have in common.
fn common_folder(globs: &Globs, files: &[PathBuf]) -> PathBuf {
    let roots: Vec<PathBuf> = globs.roots().into_iter().map(PathBuf::from).collect();
    let parent = |path: &Path| path.parent().unwrap_or(Path::new("/")).to_path_buf();
    match roots.as_slice() {
        [root] if files == [root.clone()] => parent(root),
        [root] => root.clone(),
        several => {
            let mut common = several.first().cloned().unwrap_or_else(|| PathBuf::from("/"));
            for root in several {
                while !root.starts_with(&common) {
                    common = parent(&common);
                }
            }
            // A file searched for by its name stays a file.
            if common.is_dir() { common } else { parent(&common) }
        }
    }
}

/// The artifacts of one release or run.
#[derive(Debug)]
pub(crate) struct Store<'a> {
    pub artifacts: &'a Path,
}

/// An artifact that is there.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub id: u64,
    pub name: String,
    pub bytes: u64,
    pub created: Option<Timestamp>,
}

impl Store<'_> {
    /// Stores all files of a folder; a name is taken once.
    pub fn put_folder(&self, name: &str, folder: &Path, mask: &Mask) -> Result<Stored, String> {
        let globs = Globs::parse(".", &folder.to_string_lossy(), None)?;
        let files = Walk { follow_links: false, hidden: true }.files(&globs);
        self.put(name, folder, &files, false, false, mask, &mut plainly).map(|manifest| self.stored(&manifest)).map_err(Undone::why)
    }

    /// Copies the files of an artifact, checked, and says which.
    pub fn copy(&self, name: &str, into: &Path) -> Result<Vec<String>, String> {
        self.get(name, into, &mut plainly).map_err(Undone::why)?;
        Ok(self.read(name)?.files.into_iter().map(|file| file.path).collect())
    }

    /// Whether the name is taken, in this attempt.
    pub fn has(&self, name: &str) -> bool {
        self.manifest(name).is_file() && !self.earlier(name).exists()
    }

    /// Another attempt begins: it may upload again what is there, and reads what it doesn't.
    pub fn begin_again(&self) -> io::Result<()> {
        fs::create_dir_all(self.artifacts.join(EARLIER))?;
        for name in self.names(None).map_err(io::Error::other)? {
            fs::write(self.earlier(&name), "")?;
        }
        Ok(())
    }

    pub fn list(&self) -> Result<Vec<Stored>, String> {
        self.names(None)?.iter().map(|name| self.read(name).map(|manifest| self.stored(&manifest))).collect()
    }

    pub fn remove(&self, name: &str) -> Result<(), String> {
        check_name(name)?;
        let removed = fs::remove_file(self.manifest(name)).and_then(|()| fs::remove_dir_all(self.folder(name)));
        removed.map_err(|error| format!("the artifact `{name}` can't be removed: {error}"))
    }

    fn read(&self, name: &str) -> Result<Manifest, String> {
        let text = fs::read(self.manifest(name)).map_err(|error| format!("the list of `{name}` can't be read: {error}"))?;
        serde_json::from_slice(&text).map_err(|error| format!("the list of `{name}` can't be read: {error}"))
    }

    fn stored(&self, manifest: &Manifest) -> Stored {
        let written = fs::metadata(self.manifest(&manifest.name)).and_then(|metadata| metadata.modified());
        Stored {
            id: manifest.digest.as_ref().map(number).unwrap_or_default(),
            name: manifest.name.clone(),
            bytes: manifest.files.iter().map(|file| file.bytes).sum(),
            created: written.ok().map(timestamp),
        }
    }

    pub(super) fn folder(&self, name: &str) -> PathBuf {
        self.artifacts.join(name)
    }

    fn earlier(&self, name: &str) -> PathBuf {
        self.artifacts.join(EARLIER).join(name)
    }

    fn manifest(&self, name: &str) -> PathBuf {
        self.artifacts.join(MANIFESTS).join(format!("{name}.json"))
    }

    /// All or nothing: the files are gathered beside and moved into place at once.
    #[expect(clippy::too_many_arguments, reason = "each says something else of one upload")]
    pub(super) fn put(
        &self,
        name: &str,
        common: &Path,
        files: &[PathBuf],
        merge: bool,
        overwrite: bool,
        mask: &Mask,
        copy: Copy<'_>,
    ) -> Result<Manifest, Undone> {
        let failed = |error: io::Error| format!("the artifact `{name}` can't be stored: {error}");
        fs::create_dir_all(self.artifacts.join(MANIFESTS)).map_err(failed)?;
        let gathered = tempfile::Builder::new().prefix(".new-").tempdir_in(self.artifacts).map_err(failed)?;
        let folder = self.folder(name);
        let before = folder.is_dir();
        let earlier = self.earlier(name).exists();
        if before && merge && !earlier {
            copy_all(&folder, gathered.path()).map_err(failed)?;
        } else if before && !overwrite && !earlier {
            let why = format!("an artifact named `{name}` was uploaded before; choose another name or set `overwrite: true`");
            return Err(Undone::Failed(why));
        }
        for file in files {
            let relative = file.strip_prefix(common).expect("what was found lies below where it was searched");
            let bytes = fs::read(file).map_err(|error| format!("`{}` can't be read: {error}", file.display()))?;
            if mask.contains(&bytes) || mask.contains(relative.as_os_str().as_encoded_bytes()) {
                let relative = relative.display();
                return Err(Undone::Failed(format!("`{relative}` contains a secret of this job, and artifacts with secrets are refused")));
            }
            let to = gathered.path().join(relative);
            fs::create_dir_all(to.parent().unwrap_or(gathered.path())).map_err(failed)?;
            copy(file, &to)?;
        }
        let manifest = Manifest::of(name, gathered.path()).map_err(failed)?;
        if before {
            fs::remove_dir_all(&folder).map_err(failed)?;
        }
        let text = serde_json::to_vec_pretty(&manifest).expect("a manifest is plain data");
        fs::write(self.manifest(name), text).map_err(failed)?;
        fs::rename(gathered.keep(), &folder).map_err(failed)?;
        if earlier {
            fs::remove_file(self.earlier(name)).map_err(failed)?;
        }
        Ok(manifest)
    }

    /// Copies an artifact's files, checking each against what it was when it was uploaded; says how many.
    pub(super) fn get(&self, name: &str, into: &Path, copy: Copy<'_>) -> Result<usize, Undone> {
        if name.starts_with('.') || name.contains('/') {
            return Err(Undone::Failed(format!("`{name}` can't be an artifact's name")));
        }
        let names = || self.names(None).map(|names| names.join("`, `")).unwrap_or_default();
        let text = fs::read(self.manifest(name)).map_err(|_| match names() {
            names if names.is_empty() => format!("Artifact not found for name: {name}; none was uploaded"),
            names => format!("Artifact not found for name: {name}; uploaded were: `{names}`"),
        })?;
        let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| format!("the list of `{name}` can't be read: {error}"))?;
        for entry in &manifest.files {
            let failed = |error: io::Error| format!("`{}` of `{name}` can't be copied: {error}", entry.path);
            let from = self.folder(name).join(&entry.path);
            let to = into.join(&entry.path);
            fs::create_dir_all(to.parent().unwrap_or(into)).map_err(failed)?;
            copy(&from, &to)?;
            if Digest::from_bytes(hash::digest(&to).map_err(failed)?) != entry.digest {
                return Err(Undone::Failed(format!("`{}` of `{name}` is not what was uploaded: its digest differs", entry.path)));
            }
        }
        Ok(manifest.files.len())
    }

    /// In order; those that a pattern names, where there is one.
    fn names(&self, pattern: Option<&str>) -> Result<Vec<String>, String> {
        let globs = pattern.map(|pattern| Globs::parse(pattern, "/", None)).transpose()?;
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(self.artifacts.join(MANIFESTS)).into_iter().flatten().flatten() {
            if let Ok(text) = fs::read(entry.path())
                && let Ok(manifest) = serde_json::from_slice::<Manifest>(&text)
            {
                names.insert(manifest.name);
            }
        }
        names.retain(|name| globs.as_ref().is_none_or(|globs| globs.matched(&format!("/{name}")) == Matched::Yes));
        Ok(names.into_iter().collect())
    }
}

impl Manifest {
    fn of(name: &str, folder: &Path) -> io::Result<Manifest> {
        let globs = Globs::parse(".", &folder.to_string_lossy(), None).map_err(io::Error::other)?;
        let mut manifest = Manifest { name: name.to_string(), ..Manifest::default() };
        let mut lines = String::new();
        for file in (Walk { follow_links: false, hidden: true }).files(&globs) {
            let path = file.strip_prefix(folder).unwrap_or(&file).to_string_lossy().into_owned();
            let digest = Digest::from_bytes(hash::digest(&file)?);
            lines.push_str(&format!("{}  {path}\n", digest.hex()));
            manifest.files.push(Entry { path, bytes: fs::metadata(&file)?.len(), digest });
        }
        manifest.digest = Some(Digest::of(lines.as_bytes()));
        Ok(manifest)
    }
}

fn copy_all(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir_all(&to)?;
            copy_all(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
