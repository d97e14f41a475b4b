//! The secrets of projects: kept encrypted in the state directory, handed to jobs and shown to nobody.
//!
//! One file, XChaCha20-Poly1305 with a nonce of its own each time it is written, and the key in a file beside it: whoever gets hold of
//! the one file has nothing. Whoever can read the whole state directory as its owner has both.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use base::Timestamp;
use chacha20poly1305::aead::{Aead as _, KeyInit as _};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};

use crate::dirs::Dirs;
use crate::owned::{self, Unowned};
use crate::supervise::durable;

/// GitHub's limit, in bytes.
pub const VALUE_MAX: usize = 48 * 1024;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    #[error("`{}` can't be {doing}", path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("others than its owner can read `{}`, which opens the secrets", .0.display())]
    Exposed(PathBuf),
    #[error("`{}` can't be opened with the key beside it, or is damaged", .0.display())]
    Unopened(PathBuf),
}

impl SecretsError {
    /// What a person can do about it.
    pub fn hint(&self) -> String {
        match self {
            SecretsError::Exposed(path) => {
                format!("`chmod 600 {}` if nobody has read it; else remove it and set the secrets anew", path.display())
            }
            SecretsError::Unopened(path) => format!("put the key back, or remove `{}` and set the secrets anew", path.display()),
            SecretsError::Io { .. } => "`plimsoll doctor` looks at the state directory".to_string(),
        }
    }
}

/// Where a secret counts: in all jobs of a project, or in those that deliver to one environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Scope {
    pub project: String,
    pub environment: Option<String>,
}

/// What may be told of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub name: String,
    #[serde(flatten)]
    pub scope: Scope,
    pub by: String,
    pub at: Timestamp,
}

/// All that there are, in one state directory.
#[derive(Debug, Clone)]
pub struct SecretStore {
    file: PathBuf,
    key: PathBuf,
    lock: PathBuf,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    kept: Kept,
    value: String,
}

impl SecretStore {
    pub fn new(dirs: &Dirs) -> SecretStore {
        let at = |name: &str| dirs.state().join(name);
        SecretStore { file: at("server.secrets"), key: at("server.secrets.key"), lock: at("server.secrets.lock") }
    }

    /// What a job of a project gets, by name: its environment's own before the project's. Blocks.
    ///
    /// # Errors
    /// When they can't be read or opened.
    pub fn of_job(&self, project: &str, environment: Option<&str>) -> Result<BTreeMap<String, String>, SecretsError> {
        let mut entries = self.read()?;
        entries.retain(|entry| entry.kept.scope.project == project);
        let counts = |scope: &Scope| match (&scope.environment, environment) {
            (None, _) => true,
            (Some(own), Some(environment)) => base::people::same(own, environment),
            (Some(_), None) => false,
        };
        entries.retain(|entry| counts(&entry.kept.scope));
        entries.sort_by_key(|entry| entry.kept.scope.environment.is_some());
        Ok(entries.into_iter().map(|entry| (entry.kept.name, entry.value)).collect())
    }

    /// Those of a project, without what they hold, sorted. Blocks.
    ///
    /// # Errors
    /// As [`SecretStore::of_job`].
    pub fn list(&self, project: &str) -> Result<Vec<Kept>, SecretsError> {
        let kept = self.read()?.into_iter().map(|entry| entry.kept).filter(|kept| kept.scope.project == project);
        Ok(kept.collect())
    }

    /// Puts a secret in the place of the one with its name and scope, if there is one. Blocks.
    ///
    /// # Errors
    /// As [`SecretStore::of_job`], and when they can't be written.
    pub fn set(&self, kept: Kept, value: String) -> Result<(), SecretsError> {
        self.change(|entries| {
            entries.retain(|entry| !is(&entry.kept, &kept.scope, &kept.name));
            entries.push(Entry { kept, value });
        })
    }

    /// Whether there was one. Blocks.
    ///
    /// # Errors
    /// As [`SecretStore::set`].
    pub fn remove(&self, scope: &Scope, name: &str) -> Result<bool, SecretsError> {
        let mut found = false;
        let drop_it = |entries: &mut Vec<Entry>| {
            let before = entries.len();
            entries.retain(|entry| !is(&entry.kept, scope, name));
            found = entries.len() < before;
        };
        self.change(drop_it)?;
        Ok(found)
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Entry>)) -> Result<(), SecretsError> {
        let failed = |doing| move |source| SecretsError::Io { doing, path: self.lock.clone(), source };
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&self.lock).map_err(failed("opened"))?;
        lock.lock().map_err(failed("locked"))?;
        let mut entries = self.read()?;
        change(&mut entries);
        entries.sort_by(|left, right| (&left.kept.name, &left.kept.scope).cmp(&(&right.kept.name, &right.kept.scope)));
        self.write(&entries)
    }

    fn read(&self) -> Result<Vec<Entry>, SecretsError> {
        let failed = |source| SecretsError::Io { doing: "read", path: self.file.clone(), source };
        let Some(sealed) = durable::read(&self.file).map_err(failed)? else { return Ok(Vec::new()) };
        let opened = sealed.split_at_checked(NONCE_BYTES).and_then(|(nonce, sealed)| {
            let nonce: [u8; NONCE_BYTES] = nonce.try_into().ok()?;
            Some((XNonce::from(nonce), sealed))
        });
        let unopened = || SecretsError::Unopened(self.file.clone());
        let (nonce, sealed) = opened.ok_or_else(unopened)?;
        let plain = self.cipher()?.decrypt(&nonce, sealed).map_err(|_| unopened())?;
        serde_json::from_slice(&plain).map_err(|_| unopened())
    }

    fn write(&self, entries: &[Entry]) -> Result<(), SecretsError> {
        let failed = |source| SecretsError::Io { doing: "written", path: self.file.clone(), source };
        let plain = serde_json::to_vec(entries).map_err(|error| failed(error.into()))?;
        let nonce = owned::random::<NONCE_BYTES>().map_err(failed)?;
        let sealed = self.cipher()?.encrypt(&XNonce::from(nonce), plain.as_slice());
        let sealed = sealed.map_err(|_| failed(io::Error::other("it is too large")))?;
        durable::replace(&self.file, &[nonce.as_slice(), &sealed].concat()).map_err(failed)
    }

    fn cipher(&self) -> Result<XChaCha20Poly1305, SecretsError> {
        let failed = |source| SecretsError::Io { doing: "read or made", path: self.key.clone(), source };
        let key = owned::file(&self.key, || Ok(owned::random::<KEY_BYTES>()?.to_vec())).map_err(|error| match error {
            Unowned::Exposed => SecretsError::Exposed(self.key.clone()),
            Unowned::Io(source) => failed(source),
        })?;
        XChaCha20Poly1305::new_from_slice(&key).map_err(|_| failed(io::Error::other("it is no key")))
    }
}

fn is(kept: &Kept, scope: &Scope, name: &str) -> bool {
    let environment = match (&kept.scope.environment, &scope.environment) {
        (Some(one), Some(other)) => base::people::same(one, other),
        (one, other) => one.is_none() && other.is_none(),
    };
    environment && kept.scope.project == scope.project && kept.name == name
}

/// What is wrong with a name for a secret, as a sentence without a full stop; nothing where nothing is. GitHub's rules, but that
/// `GITHUB_TOKEN` may be given: no forge gives one here.
pub fn complaint(name: &str) -> Option<&'static str> {
    let first = name.chars().next().unwrap_or(' ');
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') || !(first.is_ascii_alphabetic() || first == '_') {
        return Some("letters without accents, digits and `_` make a name, and no digit is its first");
    }
    let reserved = name.to_ascii_uppercase().starts_with("GITHUB_") && !name.eq_ignore_ascii_case("GITHUB_TOKEN");
    reserved.then_some("names that begin with `GITHUB_` are GitHub's own, but for `GITHUB_TOKEN`")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn kept(project: &str, environment: Option<&str>, name: &str) -> Kept {
        let scope = Scope { project: project.to_string(), environment: environment.map(str::to_string) };
        Kept { name: name.to_string(), scope, by: "ada".to_string(), at: Timestamp::from_ms(0) }
    }

    #[test]
    fn a_job_gets_its_projects_secrets_and_those_of_its_environment_before_them() {
        let temporary = tempfile::tempdir().unwrap();
        let dirs = Dirs::at(&temporary.path().join("state")).unwrap();
        let store = SecretStore::new(&dirs);
        assert!(store.of_job("shop", None).unwrap().is_empty());
        for (kept, value) in [
            (kept("shop", None, "TOKEN"), "old"),
            (kept("shop", None, "TOKEN"), "everywhere"),
            (kept("shop", Some("production"), "TOKEN"), "there"),
            (kept("shop", Some("production"), "KEY"), "k"),
            (kept("other", None, "TOKEN"), "theirs"),
        ] {
            store.set(kept, value.to_string()).unwrap();
        }
        let of = |environment| store.of_job("shop", environment).unwrap();
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).to_string(), (*value).to_string())).collect();
        assert_eq!(of(None), map(&[("TOKEN", "everywhere")]));
        assert_eq!(of(Some("staging")), map(&[("TOKEN", "everywhere")]));
        assert_eq!(of(Some("Production")), map(&[("KEY", "k"), ("TOKEN", "there")]));
        assert_eq!(store.list("shop").unwrap().len(), 3);
        store.set(kept("shop", Some("PRODUCTION"), "KEY"), "new".to_string()).unwrap();
        assert_eq!((of(Some("production"))["KEY"].as_str(), store.list("shop").unwrap().len()), ("new", 3), "it is the same one");
        assert!(store.remove(&kept("shop", Some("production"), "TOKEN").scope, "TOKEN").unwrap());
        assert!(!store.remove(&kept("shop", None, "KEY").scope, "KEY").unwrap(), "it is the environment's alone");
        assert_eq!(of(Some("production")), map(&[("KEY", "new"), ("TOKEN", "everywhere")]));
        assert_eq!(dirs.foreign().unwrap(), Vec::<String>::new(), "they are the state directory's own, and go with it");
    }

    #[test]
    fn nothing_of_a_secret_can_be_read_and_what_is_damaged_says_so() {
        let temporary = tempfile::tempdir().unwrap();
        let dirs = Dirs::at(&temporary.path().join("state")).unwrap();
        let store = SecretStore::new(&dirs);
        store.set(kept("shop", None, "TOKEN"), "a-very-secret-value".to_string()).unwrap();
        for file in ["server.secrets", "server.secrets.key", "server.secrets.lock"] {
            let path = dirs.state().join(file);
            let bytes = fs::read(&path).unwrap();
            assert!(!bytes.windows(6).any(|part| part == b"secret"), "{file}");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
        }
        let first = fs::read(&store.file).unwrap();
        store.set(kept("shop", None, "TOKEN"), "a-very-secret-value".to_string()).unwrap();
        assert_ne!(fs::read(&store.file).unwrap()[..NONCE_BYTES], first[..NONCE_BYTES], "no nonce is used twice");
        for damaged in [&first[..10], &first[..first.len() - 1], b""] {
            fs::write(&store.file, damaged).unwrap();
            assert!(matches!(store.list("shop"), Err(SecretsError::Unopened(_))), "{damaged:?}");
        }
        fs::write(&store.file, first).unwrap();
        fs::set_permissions(&store.key, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(store.list("shop"), Err(SecretsError::Exposed(_))));
    }

    #[test]
    fn names_are_those_that_github_takes() {
        for good in ["TOKEN", "_x", "npm_token2", "github_token", "GITHUB_TOKEN"] {
            assert_eq!(complaint(good), None, "{good}");
        }
        for bad in ["", "2FA", "A-B", "GITHUB_SHA", "é", "a b"] {
            assert!(complaint(bad).is_some(), "{bad}");
        }
    }
}
