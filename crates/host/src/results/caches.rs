//! `github.actions.results.api.v1.CacheService`: archives kept from run to run of a project, never changed once saved.
//!
//! ```text
//! CACHES/.service/DOMAIN/VERSION/KEY.json   key, digest, size, when it was saved (names are digests of what they stand for)
//! CACHES/.service/blobs/ab/cdef…            the archives, by digest: what two keys or domains have in common lies there once
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base::{Digest, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::Domain;
use super::blob::whole;
use super::service::{Refusal, Service};
use crate::supervise::durable;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Call {
    key: String,
    version: String,
    #[serde(alias = "restoreKeys")]
    restore_keys: Vec<String>,
    #[serde(alias = "sizeBytes")]
    size_bytes: Option<Json>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    key: String,
    digest: Digest,
    bytes: u64,
    saved: Timestamp,
}

/// As at GitHub.
const KEY_CHARS_MAX: usize = 512;

pub(super) fn create(service: &Service, call: Call) -> Result<Json, Refusal> {
    if call.key.is_empty() || call.key.chars().count() > KEY_CHARS_MAX || call.key.contains(',') {
        let message = format!("a cache's key has 1 to {KEY_CHARS_MAX} characters and no comma");
        return Err(Refusal::new("invalid_argument", message));
    }
    let caches = Caches::of(service);
    let under_way = service.caches().contains_key(&(call.key.clone(), call.version.clone()));
    if under_way || caches.own(&call.version).any(|entry| entry.key == call.key) {
        return Ok(json!({ "ok": false, "message": "cache entry with the same key, version, and scope already exists" }));
    }
    let made = service.blobs().upload();
    let (id, signature) = made.map_err(|error| Refusal::internal("the upload can't be begun", &error))?;
    let url = service.url(&format!("blob/upload/{id}"), &signature);
    service.caches().insert((call.key, call.version), id);
    Ok(json!({ "ok": true, "signed_upload_url": url }))
}

pub(super) fn finalize(service: &Service, call: Call) -> Result<Json, Refusal> {
    let failed = |error: io::Error| Refusal::internal("the cache can't be stored", &error);
    let upload = service.caches().remove(&(call.key.clone(), call.version.clone()));
    let file = whole(service, upload.as_ref())?;
    let bytes = fs::metadata(&file).map_err(failed)?.len();
    let said = call.size_bytes.as_ref().and_then(|size| size.as_str().map_or_else(|| size.as_u64(), |text| text.parse().ok()));
    if said.is_some_and(|said| said != bytes) {
        return Err(Refusal::new(
            "invalid_argument",
            format!("{} bytes were said to be sent, and {bytes} have arrived", said.unwrap_or(0)),
        ));
    }
    let digest = crate::job::digest(&file).map_err(failed)?;
    let entry = Entry { key: call.key, digest, bytes, saved: crate::job::now() };
    Caches::of(service).save(&call.version, &entry, &file).map_err(failed)?;
    // The first eight bytes are as good a number as any.
    let id = u64::from_str_radix(&digest.hex()[..12], 16).unwrap_or_default();
    Ok(json!({ "ok": true, "entry_id": id.to_string() }))
}

pub(super) fn download_url(service: &Service, call: &Call) -> Result<Json, Refusal> {
    let Some((entry, file)) = Caches::of(service).find(call) else { return Ok(json!({ "ok": false })) };
    let made = service.blobs().download(file, "application/octet-stream", "cache");
    let (id, signature) = made.map_err(|error| Refusal::internal("the cache can't be handed out", &error))?;
    let url = service.url(&format!("blob/download/{id}"), &signature);
    Ok(json!({ "ok": true, "signed_download_url": url, "matched_key": entry.key }))
}

/// The caches of a project as one job may see them.
#[derive(Debug)]
struct Caches {
    root: PathBuf,
    /// Where it writes, and reads first.
    own: String,
    /// Where it reads besides.
    also: Option<&'static str>,
}

const TRUSTED: &str = "trusted";

impl Caches {
    fn of(service: &Service) -> Caches {
        let root = service.place.caches.join(".service");
        match &service.place.domain {
            Domain::Trusted => Caches { root, own: TRUSTED.to_string(), also: None },
            Domain::Untrusted { name } => Caches { root, own: format!("untrusted-{}", hashed(name)), also: Some(TRUSTED) },
        }
    }

    /// The whole key first, then what begins with it, then with each of the others; of several the newest.
    fn find(&self, call: &Call) -> Option<(Entry, PathBuf)> {
        let domains = || std::iter::once(self.own.as_str()).chain(self.also);
        let entries: Vec<Vec<Entry>> = domains().map(|domain| self.entries(domain, &call.version).collect()).collect();
        let present = |entry: &&Entry| self.blob(&entry.digest).is_file();
        let exact = entries.iter().find_map(|of| of.iter().filter(present).find(|entry| entry.key == call.key));
        let prefixes = || std::iter::once(&call.key).chain(&call.restore_keys);
        let newest = |prefix: &String| {
            entries.iter().find_map(|of| {
                let fitting = of.iter().filter(present).filter(|entry| entry.key.starts_with(prefix.as_str()));
                fitting.max_by_key(|entry| entry.saved)
            })
        };
        let found = exact.or_else(|| prefixes().find_map(newest))?;
        Some((found.clone(), self.blob(&found.digest)))
    }

    fn own(&self, version: &str) -> impl Iterator<Item = Entry> {
        self.entries(&self.own, version)
    }

    /// What can't be read is no entry.
    fn entries(&self, domain: &str, version: &str) -> impl Iterator<Item = Entry> + use<> {
        let folder = self.root.join(domain).join(hashed(version));
        let files = fs::read_dir(folder).into_iter().flatten().flatten();
        files.filter_map(|file| serde_json::from_slice(&fs::read(file.path()).ok()?).ok())
    }

    /// The archive before its entry; of two jobs that save the same key one wins.
    fn save(&self, version: &str, entry: &Entry, file: &Path) -> io::Result<()> {
        let blob = self.blob(&entry.digest);
        durable::create_dir(blob.parent().expect("a blob lies in a folder"))?;
        if !blob.is_file() {
            move_file(file, &blob)?;
        }
        let folder = self.root.join(&self.own).join(hashed(version));
        durable::create_dir(&folder)?;
        let text = serde_json::to_vec(entry).expect("an entry is plain data");
        durable::create(&folder.join(format!("{}.json", hashed(&entry.key))), &text).map(drop)
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.root.join("blobs").join(&hex[..2]).join(&hex[2..])
    }
}

/// Whole or not there, also from another file system.
fn move_file(from: &Path, to: &Path) -> io::Result<()> {
    if fs::rename(from, to).is_ok() {
        return Ok(());
    }
    let beside = to.with_extension(format!("new-{}", std::process::id()));
    fs::copy(from, &beside)?;
    fs::rename(&beside, to)
}

fn hashed(text: &str) -> String {
    Digest::of(text.as_bytes()).hex()
}
