//! The port of an instance: handed out once, kept for as long as the instance's folder is there.

use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use base::Digest;

use crate::supervise::durable;

/// Below the range from which Linux takes ports for outgoing connections (32768), so that none of those is in the way.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

/// The instance's port: the one it had, unless somebody else listens there now.
pub(super) fn choose(ports: &Path, dir: &Path) -> io::Result<u16> {
    let kept = dir.join("port.json");
    let before: Option<u16> = durable::read(&kept)?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if let Some(port) = before.filter(|port| is_free(*port)) {
        return Ok(port);
    }
    durable::create_dir(ports)?;
    let digest = Digest::of(dir.as_os_str().as_encoded_bytes());
    let start = u16::from_be_bytes([digest.as_bytes()[0], digest.as_bytes()[1]]) % COUNT;
    for step in 0..COUNT {
        let port = FIRST + (start + step) % COUNT;
        if Some(port) != before && is_free(port) && reserve(ports, port, dir)? {
            durable::replace(&kept, &serde_json::to_vec(&port)?)?;
            if let Some(before) = before {
                let _ = std::fs::remove_file(ports.join(before.to_string()));
            }
            return Ok(port);
        }
    }
    Err(io::Error::other(format!("no port from {FIRST} to {} is free", FIRST + COUNT - 1)))
}

/// Another instance may choose at the same moment; the file makes one of them win. An owner whose folder is gone owns nothing.
fn reserve(ports: &Path, port: u16, dir: &Path) -> io::Result<bool> {
    let path = ports.join(port.to_string());
    let owner = dir.as_os_str().as_encoded_bytes();
    if durable::create(&path, owner)? {
        return Ok(true);
    }
    let found = durable::read(&path)?.unwrap_or_default();
    if found != owner && !PathBuf::from(String::from_utf8_lossy(&found).into_owned()).exists() {
        let _ = std::fs::remove_file(&path);
        return durable::create(&path, owner);
    }
    Ok(found == owner)
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_kept_until_somebody_else_listens_there_and_given_to_nobody_else() {
        let temporary = tempfile::tempdir().unwrap();
        let (ports, one, two) = (temporary.path().join("ports"), temporary.path().join("one"), temporary.path().join("two"));
        durable::create_dir(&one).unwrap();
        durable::create_dir(&two).unwrap();
        let port = choose(&ports, &one).unwrap();
        assert_eq!(choose(&ports, &one).unwrap(), port);
        assert_ne!(choose(&ports, &two).unwrap(), port);
        assert!(!reserve(&ports, port, &two).unwrap());
        let occupied = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let other = choose(&ports, &one).unwrap();
        assert_ne!(other, port);
        drop(occupied);
        assert_eq!(choose(&ports, &one).unwrap(), other);
        std::fs::remove_dir_all(&one).unwrap();
        assert!(reserve(&ports, other, &two).unwrap(), "an owner that is gone gives its port back");
    }
}
