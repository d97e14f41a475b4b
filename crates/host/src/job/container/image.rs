//! Images: taken as they are here, else pulled, or built.

use std::fs;
use std::path::{Path, PathBuf};

use base::Digest;
use workflow::container::{Container, Credentials, Pull};
use workflow::job::Image;

use super::super::action::desk::{Desk, Undone};
use super::Tool;
use crate::container::{Engine, Kind, is_local, qualified};

const PULLS: u32 = 3;

/// The image of an action, here and ready to run; by which name.
pub(super) fn ready(engine: &Engine, image: &Image, temp: &Path, desk: &mut Desk<'_>) -> Result<String, Undone> {
    match image {
        Image::Named(wanted) => {
            pull(engine, &Container { image: wanted.clone(), ..Container::default() }, temp, desk)?;
            Ok(name(engine, wanted))
        }
        Image::Built { file, context } => build(engine, Path::new(file), Path::new(context), desk),
    }
}

/// Makes sure that the container's image is here, in the first of the ways it names that does it.
pub(super) fn pull(engine: &Engine, container: &Container, temp: &Path, desk: &mut Desk<'_>) -> Result<(), Undone> {
    let (image, who) = (container.image.as_str(), container.credentials.as_ref());
    let given = container.gitlab.iter().flat_map(|gitlab| gitlab.pull.iter().copied());
    let mut ways: Vec<Pull> = given.collect();
    if ways.is_empty() {
        ways.push(Pull::default());
    }
    let mut outcome = Ok(());
    for (index, way) in ways.iter().enumerate() {
        outcome = match way {
            Pull::Missing | Pull::Never if is_here(engine, image) => {
                desk.say(&format!("The image `{image}` is on this machine."));
                return Ok(());
            }
            Pull::Never => Err(Undone::Failed(format!("the image `{image}` is not on this machine, and `pull_policy` is `never`"))),
            Pull::Missing | Pull::Always => get(engine, image, who, temp, desk),
        };
        match &outcome {
            Err(Undone::Failed(why)) if index + 1 < ways.len() => desk.say(&format!("##[warning]{why}")),
            _ => break,
        }
    }
    outcome
}

fn get(engine: &Engine, image: &str, who: Option<&Credentials>, temp: &Path, desk: &mut Desk<'_>) -> Result<(), Undone> {
    let wanted = qualified(engine, image);
    let folder = temp.join("_registry");
    let mut manners: Vec<String> = Vec::new();
    if engine.kind == Kind::Podman && is_local(&wanted) {
        manners.push("--tls-verify=false".to_string());
    }
    let tool = |words: Vec<String>| {
        let own = (engine.kind == Kind::Docker && who.is_some()).then(|| format!("--config={}", folder.display()));
        let words = engine.arguments().iter().cloned().chain(own).chain(words);
        Tool::new(engine.program.clone(), &Engine::env(), "/".as_ref()).args(words)
    };
    if let Some(who) = who {
        fs::create_dir_all(&folder).map_err(|error| format!("`{}` can't be made: {error}", folder.display()))?;
        if engine.kind == Kind::Podman {
            manners.push(format!("--authfile={}", folder.join("auth.json").display()));
        }
        let registry = wanted.split('/').next().filter(|host| host.contains(['.', ':']) || *host == "localhost").unwrap_or("docker.io");
        let mut words = vec!["login".to_string(), "--username".to_string(), who.username.clone(), "--password-stdin".to_string()];
        words.extend(manners.iter().cloned());
        words.push(registry.to_string());
        let mut login = tool(words);
        login.input = Some(who.password.clone());
        if desk.run(&login)? != 0 {
            return Err(Undone::Failed(format!("the registry `{registry}` doesn't take the `credentials` for `{image}`")));
        }
    }
    let mut words = vec!["pull".to_string()];
    words.extend(manners);
    words.push(wanted);
    let pull = tool(words);
    // Nobody is pulled from this machine's own store, so that a second try brings nothing.
    let tries = if image.starts_with("localhost/") { 1 } else { PULLS };
    let mut code = 0;
    for attempt in 1..=tries {
        code = desk.run(&pull)?;
        if code == 0 {
            break;
        }
        if attempt < tries {
            desk.say(&format!("##[warning]the pull has failed with exit code {code}; trying again"));
            desk.pause(std::time::Duration::from_millis(500 * u64::from(attempt)))?;
        }
    }
    let _ = fs::remove_dir_all(&folder);
    if code == 0 {
        return Ok(());
    }
    Err(Undone::Failed(format!("the image `{image}` is not on this machine, and `{} pull` can't get it (exit code {code})", engine.name())))
}

/// What the engine knows an image by that is here.
pub(super) fn name(engine: &Engine, image: &str) -> String {
    if is_known(engine, image) { image.to_string() } else { qualified(engine, image) }
}

fn build(engine: &Engine, file: &Path, context: &Path, desk: &mut Desk<'_>) -> Result<String, Undone> {
    if !file.is_file() {
        return Err(Undone::Failed(format!("the action's `{}` isn't there", file.display())));
    }
    let tag = format!("localhost/plimsoll-action:{}", tree(file, context)?.short());
    if is_known(engine, &tag) {
        desk.say(&format!("The image of the action was built before, from the same files: {tag}"));
        return Ok(tag);
    }
    desk.say("##[group]Building docker image");
    let mut words = engine.arguments().to_vec();
    words.push("build".to_string());
    words.extend(engine.limits().iter().cloned());
    words.extend(["-t", &tag, "-f"].map(str::to_string));
    words.extend([file, context].map(|path| path.to_string_lossy().into_owned()));
    let code = desk.run(&Tool::new(engine.program.clone(), &Engine::env(), context).args(words))?;
    desk.say("##[endgroup]");
    if code == 0 {
        return Ok(tag);
    }
    Err(Undone::Failed(format!("`{}` can't be built: `{} build` ended with exit code {code}", file.display(), engine.name())))
}

/// Over the names, the modes and the bytes of everything the image is built from.
fn tree(file: &Path, context: &Path) -> Result<Digest, String> {
    let mut text = file.strip_prefix(context).unwrap_or(file).to_string_lossy().into_owned();
    let mut files = Vec::new();
    below(context, &mut files);
    for path in files {
        use std::os::unix::fs::PermissionsExt as _;
        let failed = |error: std::io::Error| format!("`{}` can't be read: {error}", path.display());
        let metadata = fs::symlink_metadata(&path).map_err(failed)?;
        let bytes = if metadata.is_symlink() {
            fs::read_link(&path).map_err(failed)?.into_os_string().into_encoded_bytes()
        } else {
            fs::read(&path).map_err(failed)?
        };
        let name = path.strip_prefix(context).unwrap_or(&path).display().to_string();
        text.push_str(&format!("\n{name} {:o} {}", metadata.permissions().mode(), Digest::of(&bytes).hex()));
    }
    Ok(Digest::of(text.as_bytes()))
}

fn below(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut names: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    names.sort();
    for path in names {
        match fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir()) {
            true => below(&path, found),
            false => found.push(path),
        }
    }
}

fn is_here(engine: &Engine, image: &str) -> bool {
    is_known(engine, image) || is_known(engine, &qualified(engine, image))
}

fn is_known(engine: &Engine, image: &str) -> bool {
    engine.ask(["image", "inspect", "--format", "{{.Id}}", image]).is_ok()
}
