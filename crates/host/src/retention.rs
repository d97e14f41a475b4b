//! How long things stay that jobs leave for later: caches by size, uploads by days. The one place that removes them.
//!
//! ```text
//! CACHES/PROJECT/VERSION/ENTRY/entry.json   changed whenever the entry is used
//! UPLOADS/RELEASE/.manifests/NAME.json      `until`: when the upload may go
//! ```

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use base::Timestamp;
use serde_json::Value as Json;

/// Of one project, as at GitHub.
pub(crate) const CACHES_BYTES_MAX: u64 = 10 << 30;
/// Of an upload that names none, as at GitHub.
const UPLOAD_DAYS: u32 = 90;
const DAY_MS: u64 = 86_400_000;

/// In the folder of a cache's entry.
pub(crate) const ENTRY: &str = "entry.json";
/// In the folder of a release's uploads.
const MANIFESTS: &str = ".manifests";

/// An entry was used now. What can't be noted only makes it look older.
pub(crate) fn used(entry: &Path) {
    let _ = File::options().append(true).open(entry).and_then(|file| file.set_modified(SystemTime::now()));
}

/// Removes entries, those used longest ago first, until what is left is small enough; says which. The newest always stays.
pub(crate) fn bound_caches(project: &Path, bytes_max: u64) -> Vec<String> {
    let mut entries: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    for version in folders(project) {
        for entry in folders(&version) {
            let Ok(used) = fs::metadata(entry.join(ENTRY)).and_then(|metadata| metadata.modified()) else { continue };
            let bytes = bytes(&entry);
            entries.push((used, bytes, entry));
        }
    }
    entries.sort();
    let mut total: u64 = entries.iter().map(|(_, bytes, _)| bytes).sum();
    let mut removed = Vec::new();
    let candidates = entries.len().saturating_sub(1);
    for (_, bytes, entry) in entries.into_iter().take(candidates) {
        if total <= bytes_max {
            break;
        }
        let key = key(&entry);
        if remove(&entry).is_ok() {
            total -= bytes;
            removed.push(key);
        }
    }
    removed
}

/// Notes on an upload's list when it may go; without days the default.
pub(crate) fn keep_until(manifest: &Path, days: Option<u32>, now: Timestamp) {
    let Some(mut list) = fs::read(manifest).ok().and_then(|text| serde_json::from_slice::<Json>(&text).ok()) else { return };
    list["until"] = serde_json::json!(now.plus_ms(DAY_MS * u64::from(days.unwrap_or(UPLOAD_DAYS))));
    let _ = fs::write(manifest, list.to_string());
}

/// Removes uploads of any release whose time is over; says which.
pub(crate) fn expire_uploads(uploads: Option<&Path>, now: Timestamp) -> Vec<String> {
    let mut removed = Vec::new();
    for release in uploads.map(folders).unwrap_or_default() {
        for manifest in fs::read_dir(release.join(MANIFESTS)).into_iter().flatten().flatten().map(|entry| entry.path()) {
            let over = until(&manifest).is_some_and(|until| until < now);
            let Some(name) = manifest.file_name().and_then(|name| name.to_str()?.strip_suffix(".json")).map(str::to_string) else {
                continue;
            };
            // The list goes first: what has none is not there.
            if over && fs::remove_file(&manifest).is_ok() {
                let _ = fs::remove_dir_all(release.join(&name));
                removed.push(name);
            }
        }
    }
    removed
}

/// As noted; of an upload that was made before that was done, by its age.
fn until(manifest: &Path) -> Option<Timestamp> {
    let list: Json = serde_json::from_slice(&fs::read(manifest).ok()?).ok()?;
    if let Ok(until) = serde_json::from_value(list["until"].clone()) {
        return Some(until);
    }
    let made = fs::metadata(manifest).and_then(|metadata| metadata.modified()).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(Timestamp::from_ms(i64::try_from(made.as_millis()).ok()?).plus_ms(DAY_MS * u64::from(UPLOAD_DAYS)))
}

/// Moved away first, so that nobody finds half of it.
fn remove(entry: &Path) -> io::Result<()> {
    let away = entry.with_file_name(format!(".gone-{}", entry.file_name().unwrap_or_default().to_string_lossy()));
    fs::rename(entry, &away)?;
    fs::remove_dir_all(away)
}

fn key(entry: &Path) -> String {
    let text = fs::read_to_string(entry.join(ENTRY)).unwrap_or_default();
    let entry: Json = serde_json::from_str(&text).unwrap_or_default();
    entry["key"].as_str().unwrap_or("an entry that can't be read").to_string()
}

fn bytes(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let visible = |path: &PathBuf| !path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).filter(visible).collect();
    folders.sort();
    folders
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn entry(project: &Path, key: &str, bytes: usize, used: u64) {
        let folder = project.join("v").join(key);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(ENTRY), format!("{{\"key\": \"{key}\"}}")).unwrap();
        fs::write(folder.join("workspace.tar"), vec![0; bytes]).unwrap();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(used);
        File::options().append(true).open(folder.join(ENTRY)).unwrap().set_modified(at).unwrap();
    }

    #[test]
    fn what_was_used_longest_ago_goes_first_and_the_newest_stays() {
        let project = tempfile::tempdir().unwrap();
        for (key, used) in [("old", 1), ("older", 0), ("new", 9)] {
            entry(project.path(), key, 1000, used);
        }
        assert_eq!(bound_caches(project.path(), 10_000), [""; 0]);
        used(&project.path().join("v/older").join(ENTRY));
        assert_eq!(bound_caches(project.path(), 2_500), ["old"]);
        assert_eq!(bound_caches(project.path(), 0), ["new"]);
        assert!(project.path().join("v/older").is_dir());
    }

    #[test]
    fn an_upload_goes_when_its_days_are_over() {
        let uploads = tempfile::tempdir().unwrap();
        let release = uploads.path().join("release");
        fs::create_dir_all(release.join(MANIFESTS)).unwrap();
        let day = |days: i64| Timestamp::from_ms(1_000_000_000_000 + days * 86_400_000);
        for (name, days) in [("short", Some(1)), ("usual", None)] {
            fs::create_dir(release.join(name)).unwrap();
            let manifest = release.join(MANIFESTS).join(format!("{name}.json"));
            fs::write(&manifest, "{}").unwrap();
            keep_until(&manifest, days, day(0));
        }
        // Nobody noted anything of this one, which is made now.
        fs::write(release.join(MANIFESTS).join("older.json"), "{}").unwrap();
        assert_eq!(expire_uploads(Some(uploads.path()), day(0)), [""; 0]);
        assert_eq!(expire_uploads(Some(uploads.path()), day(2)), ["short"]);
        assert!(!release.join("short").exists() && release.join("usual").is_dir());
        assert_eq!(expire_uploads(Some(uploads.path()), day(91)), ["usual"]);
        assert_eq!(expire_uploads(Some(uploads.path()), Timestamp::from_ms(99_000_000_000_000)), ["older"]);
    }
}
