//! `actions/cache`, `/restore` and `/save`: folders that live on from run to run of a project, never changed once saved.
//!
//! ```text
//! CACHE/VERSION/ENTRY/entry.json      key, when it was saved
//! CACHE/VERSION/ENTRY/workspace.tar   what lay below the workspace; home.tar and root.tar likewise
//! ```
//!
//! The version is made of the paths, as in the original: other paths, another cache.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter};
use std::path::{Path, PathBuf};

use base::mask::Mask;
use base::{Digest, Timestamp, counted};
use serde::{Deserialize, Serialize};
use workflow::job::glob::Globs;
use workflow::job::{ActionCall, Stage, Wrote};

use super::super::walk::Walk;
use super::super::{JobDirs, now};
use super::desk::{Desk, Undone};
use super::inputs::Inputs;
use crate::retention;

/// What an entry is, and by its time of change when it was used last.
const ENTRY: &str = retention::ENTRY;

/// As at GitHub.
const KEY_CHARS_MAX: usize = 512;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    key: String,
    saved: Timestamp,
}

pub(super) fn restore(dirs: &JobDirs, call: &ActionCall, desk: &mut Desk<'_>) -> Result<Wrote, Undone> {
    let inputs = Inputs(&call.inputs);
    let cache = Cache::new(dirs, call)?;
    let key = valid_key(inputs.required("key")?)?;
    let mut outputs = vec![("cache-primary-key".to_string(), key.to_string())];
    let mut state = vec![("key".to_string(), key.to_string())];
    let wanted: Vec<&str> = std::iter::once(key).chain(inputs.lines("restore-keys")).collect();
    match cache.find(&wanted) {
        Some((entry, folder)) => {
            if !inputs.flag("lookup-only")? {
                cache.unpack(&folder, desk)?;
                desk.say(&format!("Cache restored from key: {}", entry.key));
            }
            outputs.push(("cache-matched-key".to_string(), entry.key.clone()));
            outputs.push(("cache-hit".to_string(), (entry.key == key).to_string()));
            state.push(("matched".to_string(), entry.key));
        }
        None if inputs.flag("fail-on-cache-miss")? => {
            return Err(Undone::Failed(format!("Failed to restore cache entry. Exiting as fail-on-cache-miss is set. Input key: {key}")));
        }
        None => {
            desk.say(&format!("Cache not found for input keys: {}", wanted.join(", ")));
            outputs.push(("cache-hit".to_string(), String::new()));
        }
    }
    Ok(Wrote { outputs, state, ..Wrote::default() })
}

pub(super) fn save(dirs: &JobDirs, call: &ActionCall, mask: &Mask, desk: &mut Desk<'_>) -> Result<Wrote, Undone> {
    let cache = Cache::new(dirs, call)?;
    let key = match call.stage {
        Stage::Main => valid_key(Inputs(&call.inputs).required("key")?)?,
        // Whatever the key's expression would say now, it is the one looked for that is saved.
        Stage::Post => call.state.get("key").map_or("", String::as_str),
    };
    if call.state.get("matched").is_some_and(|matched| matched == key) {
        desk.say(&format!("Cache hit occurred on the primary key {key}, not saving cache."));
    } else if cache.find_exact(key).is_some() {
        desk.say(&format!("##[warning]A cache with the key {key} was saved meanwhile; it stays as it is."));
    } else {
        match cache.pack(key, mask, desk)? {
            0 => desk.say(
                "##[warning]Path Validation Error: Path(s) specified in the action for caching do(es) not exist, hence no cache is being saved.",
            ),
            count => {
                desk.say(&format!("Cache saved with key: {key} ({})", counted(count, "file")));
                for removed in retention::bound_caches(&dirs.cache, retention::CACHES_BYTES_MAX) {
                    desk.say(&format!("Removed the cache `{removed}`, used longest ago, to stay below {} GB.", retention::CACHES_BYTES_MAX >> 30));
                }
            }
        }
    }
    Ok(Wrote::default())
}

/// As GitLab has it: the exact key, else the first of the `fallback` keys that is there.
pub(super) fn restore_any(dirs: &JobDirs, call: &ActionCall, desk: &mut Desk<'_>) -> Result<Wrote, Undone> {
    let inputs = Inputs(&call.inputs);
    let cache = Cache::new(dirs, call)?;
    let key = inputs.get("key").unwrap_or("default");
    let mut wanted = std::iter::once(key).chain(inputs.lines("fallback"));
    match wanted.find_map(|key| cache.find_exact(key)) {
        Some((entry, folder)) => {
            cache.unpack(&folder, desk)?;
            desk.say(&format!("Restored the cache `{}`", entry.key));
        }
        None => desk.say(&format!("There is no cache `{key}` yet")),
    }
    Ok(Wrote::default())
}

/// As GitLab has it: what is saved takes the place of what was there.
pub(super) fn replace(dirs: &JobDirs, call: &ActionCall, mask: &Mask, desk: &mut Desk<'_>) -> Result<Wrote, Undone> {
    let cache = Cache::new(dirs, call)?;
    let key = Inputs(&call.inputs).get("key").unwrap_or("default");
    let before = cache.place(key);
    if before.is_dir() {
        // A reader that has it open goes on reading; whoever comes now finds none, and then the new one.
        fs::remove_dir_all(&before).map_err(|error| format!("the cache `{key}` can't be replaced: {error}"))?;
    }
    match cache.pack(key, mask, desk)? {
        0 => desk.say("##[warning]None of the cache's paths is there, so nothing is saved."),
        count => desk.say(&format!("Saved the cache `{key}` ({})", counted(count, "file"))),
    }
    Ok(Wrote::default())
}

fn valid_key(key: &str) -> Result<&str, String> {
    if key.chars().count() > KEY_CHARS_MAX {
        return Err(format!("Key Validation Error: {key} cannot be larger than {KEY_CHARS_MAX} characters."));
    }
    if key.contains(',') {
        return Err(format!("Key Validation Error: {key} cannot contain commas."));
    }
    Ok(key)
}

/// The entries for one list of paths.
struct Cache {
    folder: PathBuf,
    globs: Globs,
    /// Where paths are taken from and put back to, the most special first.
    bases: Vec<(&'static str, PathBuf)>,
}

impl Cache {
    fn new(dirs: &JobDirs, call: &ActionCall) -> Result<Cache, String> {
        let inputs = Inputs(&call.inputs);
        let paths = inputs.required("path")?;
        let home = call.env.get("HOME");
        let globs = Globs::parse(paths, &dirs.workspace.to_string_lossy(), home.map(String::as_str))?;
        let version = Digest::of(inputs.lines("path").join("|").as_bytes()).hex();
        let mut bases = vec![("workspace", dirs.workspace.clone())];
        bases.extend(home.map(|home| ("home", PathBuf::from(home))));
        bases.push(("root", PathBuf::from("/")));
        Ok(Cache { folder: dirs.cache.join(&version[..32]), globs, bases })
    }

    /// The exact key, else the newest whose key begins with one of the wanted, in their order.
    fn find(&self, wanted: &[&str]) -> Option<(Entry, PathBuf)> {
        if let Some(exact) = wanted.first().and_then(|key| self.find_exact(key)) {
            return Some(exact);
        }
        let entries: Vec<(Entry, PathBuf)> =
            fs::read_dir(&self.folder).into_iter().flatten().flatten().filter_map(|entry| read(&entry.path())).collect();
        wanted.iter().find_map(|prefix| {
            let matching = entries.iter().filter(|(entry, _)| entry.key.starts_with(prefix));
            matching.max_by(|(left, _), (right, _)| (left.saved, &left.key).cmp(&(right.saved, &right.key))).cloned()
        })
    }

    fn find_exact(&self, key: &str) -> Option<(Entry, PathBuf)> {
        read(&self.place(key))
    }

    fn place(&self, key: &str) -> PathBuf {
        self.folder.join(&Digest::of(key.as_bytes()).hex()[..32])
    }

    fn unpack(&self, folder: &Path, desk: &mut Desk<'_>) -> Result<(), Undone> {
        retention::used(&folder.join(ENTRY));
        for (name, base) in &self.bases {
            let archive = folder.join(format!("{name}.tar"));
            let Ok(file) = File::open(&archive) else { continue };
            let failed = |error: io::Error| format!("the cache can't be unpacked to `{}`: {error}", base.display());
            let mut archive = tar::Archive::new(BufReader::new(file));
            archive.set_preserve_permissions(true);
            fs::create_dir_all(base).map_err(failed)?;
            for entry in archive.entries().map_err(failed)? {
                desk.go_on()?;
                entry.map_err(failed)?.unpack_in(base).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// All or nothing; says how many files.
    fn pack(&self, key: &str, mask: &Mask, desk: &mut Desk<'_>) -> Result<usize, Undone> {
        let failed = |error: io::Error| format!("the cache can't be saved: {error}");
        let files = Walk { follow_links: false, hidden: true }.files(&self.globs);
        if files.is_empty() {
            return Ok(0);
        }
        fs::create_dir_all(&self.folder).map_err(failed)?;
        let gathered = tempfile::Builder::new().prefix(".new-").tempdir_in(&self.folder).map_err(failed)?;
        let mut rest = files.clone();
        for (name, base) in &self.bases {
            let (here, others): (Vec<PathBuf>, Vec<PathBuf>) = rest.into_iter().partition(|file| file.starts_with(base));
            rest = others;
            if !here.is_empty() {
                pack(&gathered.path().join(format!("{name}.tar")), base, &here, mask, desk)?;
            }
        }
        let entry = serde_json::to_vec(&Entry { key: key.to_string(), saved: now() }).expect("an entry is plain data");
        fs::write(gathered.path().join(ENTRY), entry).map_err(failed)?;
        // Somebody else may have saved the same key meanwhile: then theirs stays.
        let kept = gathered.keep();
        if fs::rename(&kept, self.place(key)).is_err() {
            let _ = fs::remove_dir_all(&kept);
        }
        Ok(files.len())
    }
}

fn read(folder: &Path) -> Option<(Entry, PathBuf)> {
    let entry = serde_json::from_slice(&fs::read(folder.join(ENTRY)).ok()?).ok()?;
    Some((entry, folder.to_path_buf()))
}

fn pack(to: &Path, base: &Path, files: &[PathBuf], mask: &Mask, desk: &mut Desk<'_>) -> Result<(), Undone> {
    let failed = |error: io::Error| format!("the cache can't be saved: {error}");
    let mut archive = tar::Builder::new(BufWriter::new(File::create(to).map_err(failed)?));
    archive.follow_symlinks(false);
    for file in files {
        desk.go_on()?;
        let name = file.strip_prefix(base).unwrap_or(file);
        if file.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) && mask.contains(&fs::read(file).map_err(failed)?) {
            let name = name.display();
            return Err(Undone::Failed(format!("`{name}` contains a secret of this job, and caches with secrets are refused")));
        }
        archive.append_path_with_name(file, name).map_err(failed)?;
    }
    let file = archive.into_inner().map_err(failed)?.into_inner().map_err(|error| failed(error.into_error()))?;
    Ok(file.sync_all().map_err(failed)?)
}
