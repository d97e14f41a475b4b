//! The last accepted routes on disk, so that a restarted proxy serves what its predecessor served.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::control::Route;

#[derive(Debug, thiserror::Error)]
#[error("read the routes in {}: {reason}", path.display())]
struct Unreadable {
    path: PathBuf,
    reason: String,
}

const FILE: &str = "routes.json";

#[derive(Serialize, Deserialize)]
struct Stored {
    v: u32,
    services: BTreeMap<String, Route>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    removed: BTreeMap<String, u64>,
}

/// What a proxy has to know to go on where its predecessor stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Routes {
    pub(super) services: BTreeMap<String, Route>,
    /// The generations that removed services went with: nothing up to there brings one back.
    pub(super) removed: BTreeMap<String, u64>,
}

/// The routes of the process before. A file that can't be read is set aside and named, not obeyed in part and not lost:
/// serving nothing until the server says what to serve beats not running at all.
pub(super) fn load_or_set_aside(dir: &Path) -> Routes {
    load(dir).unwrap_or_else(|error| {
        let aside = dir.join("routes.json.damaged");
        tracing::error!(error = %error, aside = %aside.display(), "starting without routes; the file is set aside");
        let _ = fs::rename(dir.join(FILE), aside);
        Routes::default()
    })
}

fn load(dir: &Path) -> Result<Routes, Unreadable> {
    let path = dir.join(FILE);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Routes::default()),
        Err(error) => return Err(Unreadable { path, reason: error.to_string() }),
    };
    let refuse = |reason: String| Unreadable { path: path.clone(), reason };
    let stored: Stored = serde_json::from_slice(&text).map_err(|error| refuse(error.to_string()))?;
    if stored.v != 1 {
        return Err(refuse(format!("version {} is not known to this proxy", stored.v)));
    }
    for (name, route) in &stored.services {
        route.check(name).map_err(|error| refuse(error.to_string()))?;
    }
    Ok(Routes { services: stored.services, removed: stored.removed })
}

/// On disk for good when it returns: written beside, flushed, put in place, and the directory flushed.
pub(super) fn save(dir: &Path, routes: Routes) -> io::Result<()> {
    let stored = Stored { v: 1, services: routes.services, removed: routes.removed };
    let text = serde_json::to_vec_pretty(&stored).map_err(io::Error::other)?;
    let beside = dir.join("routes.json.new");
    let mut file = File::create(&beside)?;
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&beside, dir.join(FILE))?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_named_not_forgotten() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(load(dir.path()).expect("nothing yet"), Routes::default());
        for (text, reason) in [
            ("{", "EOF while parsing an object at line 1 column 1"),
            (r#"{"v":2,"services":{}}"#, "version 2 is not known to this proxy"),
            (
                r#"{"v":1,"services":{"web":{"generation":1,"port":0,"backends":{}}}}"#,
                "port 0 can't be listened on; choose one from 1 to 65535",
            ),
        ] {
            fs::write(dir.path().join(FILE), text).expect("a file");
            match load(dir.path()) {
                Err(Unreadable { reason: found, .. }) => assert_eq!(found, reason),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(load_or_set_aside(dir.path()), Routes::default());
        assert!(dir.path().join("routes.json.damaged").exists() && !dir.path().join(FILE).exists());
    }
}
