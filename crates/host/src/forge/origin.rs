//! Which repository of a forge one on this machine is a copy of, as its own `origin` says: no commit can change that.

use std::path::Path;

use crate::git::command::{text, try_git};

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// With its port.
    pub host: String,
    /// `owner/name`.
    pub repository: String,
}

/// # Errors
/// One sentence, without a full stop.
pub(super) fn of(folder: &Path) -> Result<Origin, String> {
    let asked = try_git(folder, "read the address of `origin`", &["config", "--get", "remote.origin.url"]);
    let url = asked.map_err(|error| error.to_string())?.map(text);
    let url = url.ok_or("the repository has no `origin`, so that nobody knows which one of the forge it is")?;
    parse(url.trim()).ok_or_else(|| "the repository's `origin` is no address of a forge".to_string())
}

/// Host and port of an address.
pub(super) fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or_default();
    host.rsplit_once('@').map_or(host, |(_, host)| host)
}

/// `https://host/owner/name.git`, `ssh://git@host/owner/name`, `git@host:owner/name`.
fn parse(url: &str) -> Option<Origin> {
    let (host, path) = match url.split_once("://") {
        Some(("https" | "http" | "ssh" | "git", rest)) => {
            let (_, path) = rest.split_once('/')?;
            let host = host(url);
            // The port of another protocol says nothing.
            (if url.starts_with("http") { host } else { host.split(':').next()? }, path)
        }
        Some(_) => return None,
        None => {
            let (host, path) = url.split_once(':')?;
            (host.rsplit_once('@').map_or(host, |(_, host)| host), path)
        }
    };
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let (owner, name) = path.split_once('/')?;
    let plain = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    (plain(owner) && plain(name) && !host.is_empty() && !host.contains('/'))
        .then(|| Origin { host: host.to_string(), repository: path.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_host_owner_and_repository() {
        for (url, expected) in [
            ("https://github.com/acme/shop.git", "github.com acme/shop"),
            ("https://x:token@github.com/acme/shop/", "github.com acme/shop"),
            ("http://127.0.0.1:8080/acme/shop", "127.0.0.1:8080 acme/shop"),
            ("git@github.com:acme/shop.git", "github.com acme/shop"),
            ("ssh://git@github.com:22/acme/shop.git", "github.com acme/shop"),
            ("/srv/git/shop.git", ""),
            ("../shop", ""),
            ("file:///srv/acme/shop", ""),
            ("https://gitlab.com/group/sub/shop", ""),
            ("https://github.com/acme/sh op", ""),
        ] {
            let found = parse(url).map(|origin| format!("{} {}", origin.host, origin.repository));
            assert_eq!(found.unwrap_or_default(), expected, "{url}");
        }
    }
}
