//! `registry/repository:tag`, `registry/repository@sha256:…` and `oci:FOLDER:tag`: which image is meant.

use std::path::PathBuf;
use std::str::FromStr;

use base::Digest;

use super::RegistryError;

/// Which image is meant, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    Remote {
        /// Host and port.
        registry: String,
        repository: String,
        pin: Pin,
    },
    /// A folder with an OCI image layout.
    Layout { path: PathBuf, tag: Option<String> },
}

/// Which of the images of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pin {
    Tag(String),
    Digest(Digest),
}

impl FromStr for Reference {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Reference, RegistryError> {
        let read = match text.strip_prefix("oci:") {
            Some(rest) => layout(rest),
            None => remote(text),
        };
        read.map_err(|why| RegistryError::Reference { reference: text.to_string(), why })
    }
}

fn layout(text: &str) -> Result<Reference, String> {
    let (path, tag) = match text.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag.to_string())),
        _ => (text, None),
    };
    if path.is_empty() {
        return Err("no folder follows `oci:`".to_string());
    }
    Ok(Reference::Layout { path: path.into(), tag })
}

fn remote(text: &str) -> Result<Reference, String> {
    let (name, digest) = text.split_once('@').map_or((text, None), |(name, digest)| (name, Some(digest)));
    let digest = digest.map(|digest| digest.parse::<Digest>().map_err(|error| error.to_string())).transpose()?;
    let (name, tag) = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (name, None),
    };
    let (registry, repository) = name.split_once('/').unwrap_or((name, ""));
    if !(registry.contains(['.', ':']) || registry == "localhost") || repository.is_empty() {
        return Err(format!("it begins with no registry; Docker Hub's `{name}` would be `docker.io/{}`", hub(name)));
    }
    if !registry.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte)) {
        return Err(format!("`{registry}` is no host"));
    }
    if !repository.split('/').all(is_component) {
        return Err(format!("`{repository}` is no repository: small letters, digits, and `.`, `_` or `-` between them"));
    }
    if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
        return Err(format!("`{tag}` is no tag"));
    }
    let (registry, repository) = match registry {
        "docker.io" | "registry-1.docker.io" | "index.docker.io" => ("index.docker.io", hub(repository)),
        other => (other, repository.to_string()),
    };
    let pin = digest.map_or_else(|| Pin::Tag(tag.unwrap_or("latest").to_string()), Pin::Digest);
    Ok(Reference::Remote { registry: registry.to_string(), repository, pin })
}

/// Its own images are in a folder that nobody writes.
fn hub(repository: &str) -> String {
    if repository.contains('/') { repository.to_string() } else { format!("library/{repository}") }
}

fn is_component(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = text.bytes().next().zip(text.bytes().next_back());
    ends.is_some_and(|(first, last)| is_word(first) && is_word(last)) && text.bytes().all(|byte| is_word(byte) || b"._-".contains(&byte))
}

fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= 128 && text.bytes().next().is_some_and(is_word) && text.bytes().all(|byte| is_word(byte) || b".-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    #[test]
    fn which_image_is_meant() {
        let said = |text: &str| match text.parse().unwrap() {
            Reference::Remote { registry, repository, pin: Pin::Tag(tag) } => format!("{registry} {repository} {tag}"),
            Reference::Remote { registry, repository, pin: Pin::Digest(digest) } => format!("{registry} {repository} {digest}"),
            Reference::Layout { path, tag } => format!("{} {tag:?}", path.display()),
        };
        for (text, expected) in [
            ("localhost/app", "localhost app latest"),
            ("localhost:5000/team/app:1.2", "localhost:5000 team/app 1.2"),
            (&format!("example.org/app:1@sha256:{HEX}"), &format!("example.org app sha256:{HEX}")),
            ("docker.io/alpine:3", "index.docker.io library/alpine 3"),
            ("oci:image", "image None"),
            ("oci:/a:b/image:1", "/a:b/image Some(\"1\")"),
        ] {
            assert_eq!(said(text), expected, "{text}");
        }
    }

    #[test]
    fn what_names_no_image_says_why() {
        for (text, why) in [
            ("alpine:3", "it begins with no registry; Docker Hub's `alpine` would be `docker.io/library/alpine`"),
            ("me/app", "it begins with no registry; Docker Hub's `me/app` would be `docker.io/me/app`"),
            ("localhost:5000/App", "`App` is no repository: small letters, digits, and `.`, `_` or `-` between them"),
            ("localhost:5000/a/../b", "`a/../b` is no repository: small letters, digits, and `.`, `_` or `-` between them"),
            ("localhost:5000/app:-x", "`-x` is no tag"),
            ("user\"@host.org/app", "`host.org/app` is not `sha256:` and 64 hexadecimal digits"),
            ("ho st.org/app", "`ho st.org` is no host"),
            ("localhost/app@sha512:1", "`sha512:1` is not `sha256:` and 64 hexadecimal digits"),
            ("oci:", "no folder follows `oci:`"),
        ] {
            let error = text.parse::<Reference>().unwrap_err();
            assert_eq!(error.to_string(), format!("`{text}` names no image: {why}"));
        }
    }
}
