//! `plimsoll secret …`: what jobs of a project get as `secrets.NAME`, and nobody is shown.

use std::io::{IsTerminal as _, Read as _};
use std::path::Path;

use host::secrets::{Kept, Scope, SecretStore, SecretsError, VALUE_MAX, complaint};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use super::{actor, dirs, or_above, project_of};
use crate::cli::{OfDir, Secret, SecretName};
use crate::compose::project_above;
use crate::exit;
use crate::failure::{Doing, Failure, Result};
use crate::terminal::Terminal;
use crate::world;

pub fn secret(command: Secret, terminal: &Terminal) -> Result<u8> {
    match command {
        Secret::Set(args) => set(&args, terminal),
        Secret::List(args) => list(&args, terminal),
        Secret::Rm(args) => remove(&args, terminal),
    }
}

fn set(args: &SecretName, terminal: &Terminal) -> Result<u8> {
    let (name, scope) = named(args)?;
    let value = value(&name, terminal)?;
    let kept = Kept { name, scope, by: actor(), at: world::now() };
    store()?.set(kept.clone(), value).map_err(|error| failed(&error))?;
    match terminal.json {
        true => terminal.json(&kept),
        false => terminal.say(&format!("`{}` is set for {}", kept.name, of(&kept.scope))),
    }
    Ok(exit::OK)
}

fn list(args: &OfDir, terminal: &Terminal) -> Result<u8> {
    let all = store()?.list(&project_of(&args.dir)?.to_string()).map_err(|error| failed(&error))?;
    if terminal.json {
        terminal.json(&all);
        return Ok(exit::OK);
    }
    if all.is_empty() {
        terminal.say(&or_above(&args.dir, "secret list", "this project has no secret; `plimsoll secret set NAME` gives it one"));
    }
    let width = all.iter().map(|kept| kept.name.len()).max().unwrap_or(0);
    for kept in &all {
        let (name, at) = (&kept.name, kept.at.date_and_clock());
        terminal.data(&format!("{name:<width$}  for {}, set by {} at {at}", of(&kept.scope), kept.by));
    }
    Ok(exit::OK)
}

fn remove(args: &SecretName, terminal: &Terminal) -> Result<u8> {
    let (name, scope) = named(args)?;
    if !store()?.remove(&scope, &name).map_err(|error| failed(&error))? {
        return Err(Failure::not_found(format!("there is no secret `{name}` for {}", of(&scope)))
            .hint("`plimsoll secret list` shows which there are"));
    }
    match terminal.json {
        true => terminal.json(&serde_json::json!({ "removed": name })),
        false => terminal.say(&format!("`{name}` is no longer set for {}", of(&scope))),
    }
    Ok(exit::OK)
}

/// Names are the same whatever their case, as at GitHub.
fn named(args: &SecretName) -> Result<(String, Scope)> {
    if let Some(complaint) = complaint(&args.name) {
        return Err(Failure::usage(format!("`{}` can't be a secret's name: {complaint}", args.name)));
    }
    let folder = &args.of.dir;
    let project = project_of(folder)?.to_string();
    if project_above(folder).is_some() {
        return Err(Failure::usage("this folder is no project of its own, and no job would have the secret"));
    }
    Ok((args.name.to_ascii_uppercase(), Scope { project, environment: args.environment.clone() }))
}

fn of(scope: &Scope) -> String {
    scope.environment.as_ref().map_or("all jobs".to_string(), |environment| format!("jobs that deliver to {environment}"))
}

/// From standard input, whole but for the end of its last line; asked for where that is a terminal, and not shown there.
fn value(name: &str, terminal: &Terminal) -> Result<String> {
    let mut input = std::io::stdin();
    let mut bytes = Vec::new();
    if input.is_terminal() {
        terminal.say(&format!("the value of `{name}`, which is not shown, and Enter:"));
        bytes = unseen()?;
    } else {
        let mut limited = (&mut input).take(VALUE_MAX as u64 + 2);
        limited.read_to_end(&mut bytes).doing("read standard input")?;
    }
    let text = String::from_utf8(bytes).map_err(|_| Failure::usage("a secret is text in UTF-8; anything else can be encoded as base64"))?;
    let value = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    match value.len() {
        0 => Err(Failure::usage("the secret is empty").hint(format!("`printf %s \"$VALUE\" | plimsoll secret set {name}`"))),
        length if length > VALUE_MAX => Err(Failure::usage("a secret is at most 48 KiB long")),
        _ => Ok(value.to_string()),
    }
}

/// From the terminal, which doesn't echo it: up to Enter, and where lines come at once, as a key is pasted, up to the last of them.
fn unseen() -> Result<Vec<u8>> {
    let input = std::io::stdin();
    let before = tcgetattr(&input).doing("ask the terminal")?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
    tcsetattr(&input, OptionalActions::Now, &silent).doing("silence the terminal")?;
    let typed = keys(&input);
    tcsetattr(&input, OptionalActions::Now, &before).doing("give the terminal its voice back")?;
    typed.doing("read from the terminal")?.ok_or_else(|| Failure::usage("no secret was set"))
}

/// Nothing after Ctrl-C.
fn keys(input: &std::io::Stdin) -> std::io::Result<Option<Vec<u8>>> {
    const INTERRUPT: u8 = 3;
    const END: u8 = 4;
    const BACKSPACE: [u8; 2] = [8, 127];
    /// What was pasted is there by then.
    const PASTED: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
    let mut typed = Vec::new();
    let mut key = [0];
    loop {
        if rustix::io::read(input, &mut key)? == 0 {
            return Ok(Some(typed));
        }
        match key[0] {
            INTERRUPT => return Ok(None),
            END => return Ok(Some(typed)),
            key if BACKSPACE.contains(&key) => drop(typed.pop()),
            key => typed.push(key),
        }
        let more = || poll(&mut [PollFd::new(input, PollFlags::IN)], Some(&PASTED)).map(|ready| ready > 0);
        if typed.last() == Some(&b'\n') && !more()? {
            return Ok(Some(typed));
        }
    }
}

fn store() -> Result<SecretStore> {
    Ok(SecretStore::new(&dirs()?))
}

fn failed(error: &SecretsError) -> Failure {
    Failure::from_error("open the project's secrets", error).hint(error.hint())
}

/// The project's secret, for whoever names it on this machine; nothing where there is none.
pub(super) fn kept(folder: &Path, name: &str) -> Result<Option<String>> {
    let Ok(project) = project_of(folder) else { return Ok(None) };
    let mut all = store()?.of_job(&project.to_string(), None).map_err(|error| failed(&error))?;
    Ok(all.remove(&name.to_ascii_uppercase()))
}
