//! Images as an engine has them: known by what they are, whatever they are called, and brought where they are missing.

use std::collections::BTreeMap;
use std::time::Duration;

use rollout::Container;
use serde::Deserialize;

use super::engine::ANSWER_MAX;
use super::{Engine, Kind};

/// An image that is on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// `sha256:…` over its configuration, which names its layers.
    pub id: String,
    /// Where the registry that it came from has the same: `registry/name@sha256:…`.
    pub source: Option<String>,
    /// Where it says that it listens.
    pub ports: Vec<u16>,
    pub has_command: bool,
}

/// Layers may be large and lines slow; longer than this nobody waits without a word.
const PULL_MAX: Duration = Duration::from_secs(15 * 60);

/// The image of this name, if it is here.
///
/// # Errors
/// The engine's own words, or that it says nothing.
pub fn find(engine: &Engine, image: &str) -> Result<Option<Image>, String> {
    let qualified = qualified(engine, image);
    let names = if qualified == image { vec![image] } else { vec![image, &qualified] };
    for name in names {
        match engine.ask_within(ANSWER_MAX, ["image", "inspect", name]) {
            Ok(told) => return read(&told, &qualified).map(Some),
            Err(why) if is_absent(&why) => {}
            Err(why) => return Err(why),
        }
    }
    Ok(None)
}

/// The same, pulled where it isn't here.
///
/// # Errors
/// Why it can't be had.
pub fn bring(engine: &Engine, image: &str) -> Result<Image, String> {
    if let Some(image) = find(engine, image)? {
        return Ok(image);
    }
    let wanted = qualified(engine, image);
    if wanted.starts_with("localhost/") {
        return Err("it is not on this machine, where it would have been made".to_string());
    }
    let mut words = vec!["pull", "--quiet"];
    if engine.kind == Kind::Podman && is_local(&wanted) {
        words.push("--tls-verify=false");
    }
    words.push(&wanted);
    let unpulled = |why| format!("it is not on this machine, and `{} pull` can't get it: {why}", engine.name());
    engine.ask_within(PULL_MAX, words).map_err(unpulled)?;
    find(engine, image)?.ok_or_else(|| unpulled("it isn't there afterwards".to_string()))
}

/// The very image of a container, pulled where it isn't here any more; whether it was.
///
/// # Errors
/// Why it can't be had.
pub(crate) fn restore(engine: &Engine, container: &Container) -> Result<bool, String> {
    let named = format!("`{}` ({})", container.image, short(&container.id));
    let missing = match (find(engine, &container.id), &container.source) {
        (Ok(Some(_)), _) => return Ok(false),
        (Err(why), _) => why,
        (Ok(None), None) => format!("{named} is gone from this machine, where it was made; `plimsoll up` ships what is there now"),
        (Ok(None), Some(source)) => match bring(engine, source) {
            Ok(image) if image.id == container.id => return Ok(true),
            Ok(image) => format!("what `{source}` brings is {} and not {named}", short(&image.id)),
            Err(why) => format!("{named}: {why}"),
        },
    };
    Err(format!("{missing}; it is asked again until it is here"))
}

/// Of an identity as much as people compare.
pub fn short(id: &str) -> &str {
    let hex = id.trim_start_matches("sha256:");
    hex.get(..12).unwrap_or(hex)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: String,
    #[serde(default)]
    repo_digests: Option<Vec<String>>,
    #[serde(default)]
    config: Option<Config>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    #[serde(default)]
    exposed_ports: Option<BTreeMap<String, serde_json::Value>>,
    #[serde(default)]
    cmd: Option<Vec<String>>,
    #[serde(default)]
    entrypoint: Option<Vec<String>>,
}

fn read(told: &str, qualified: &str) -> Result<Image, String> {
    let all: Vec<Inspected> =
        serde_json::from_str(told).map_err(|error| format!("what it says of `{qualified}` can't be read: {error}"))?;
    let inspected = all.into_iter().next().ok_or_else(|| format!("it says nothing of `{qualified}`"))?;
    let repository = repository(qualified);
    let is_from_there = |digest: &&String| digest.split('@').next() == Some(repository) && !repository.starts_with("localhost/");
    let (mut ports, mut has_command) = (Vec::new(), false);
    if let Some(config) = inspected.config {
        let exposed = config.exposed_ports.unwrap_or_default();
        ports = exposed.keys().filter_map(|port| port.strip_suffix("/tcp").unwrap_or(port).parse().ok()).collect();
        has_command = [config.cmd, config.entrypoint].into_iter().flatten().any(|words| !words.is_empty());
    }
    Ok(Image {
        id: format!("sha256:{}", inspected.id.trim_start_matches("sha256:")),
        source: inspected.repo_digests.unwrap_or_default().iter().find(is_from_there).cloned(),
        ports,
        has_command,
    })
}

/// `registry:5000/name:tag@sha256:…` without what follows the name.
fn repository(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or(image);
    match name.rsplit_once(':') {
        Some((before, tag)) if !tag.contains('/') => before,
        _ => name,
    }
}

fn is_absent(why: &str) -> bool {
    let why = why.to_lowercase();
    ["no such image", "image not known", "no such object"].iter().any(|words| why.contains(words))
}

/// A name without a registry means Docker's, as docker itself has it; podman would ask which.
pub(crate) fn qualified(engine: &Engine, image: &str) -> String {
    if engine.kind == Kind::Docker || image.starts_with("sha256:") {
        return image.to_string();
    }
    match image.split_once('/') {
        None => format!("docker.io/library/{image}"),
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => image.to_string(),
        Some(_) => format!("docker.io/{image}"),
    }
}

/// `localhost` and the like speak without TLS, as docker takes them.
pub(crate) fn is_local(image: &str) -> bool {
    let host = image.split('/').next().unwrap_or_default().split(':').next().unwrap_or_default();
    host == "localhost" || host.starts_with("127.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_what_both_engines_say_of_it() {
        let podman = r#"[{"Id":"ab12","RepoDigests":["localhost/shop@sha256:01","127.0.0.1:5000/shop@sha256:02"],
            "Config":{"Cmd":["/serve"],"ExposedPorts":{"8080/tcp":{},"53/udp":{}}}}]"#;
        let image = |told: &str, name: &str| read(told, name).unwrap();
        let expected = Image {
            id: "sha256:ab12".to_string(),
            source: Some("127.0.0.1:5000/shop@sha256:02".to_string()),
            ports: vec![8080],
            has_command: true,
        };
        assert_eq!(image(podman, "127.0.0.1:5000/shop:2"), expected);
        assert_eq!(image(podman, "localhost/shop").source, None, "nobody else has what was made here");
        let docker = r#"[{"Id":"sha256:ab12","RepoDigests":null,"Config":{"Cmd":null,"Entrypoint":null}}]"#;
        assert_eq!(image(docker, "shop"), Image { id: "sha256:ab12".to_string(), source: None, ports: vec![], has_command: false });
        assert!(read("[]", "shop").is_err());
    }
}
