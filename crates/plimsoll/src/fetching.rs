//! Where actions of other repositories come from, and what they are locked to: flag, environment, project, user, default, in this order.

use std::path::PathBuf;

use base::{Source, diagnostic};
use host::actions::{Lock, Resolver, Sources, Store, lock};
use host::dirs::Dirs;

use crate::config::{self, Actions, User};
use crate::failure::{Doing, Failure, Result};

/// Addresses, separated by white space.
pub const VARIABLE: &str = "PLIMSOLL_ACTIONS_SOURCES";

/// Of a project with this configuration, for its commit or its folder: `read` gives a file by its path.
///
/// # Errors
/// When the lock, the variable or the user's file is wrong.
pub fn resolver(project: &Actions, read: &dyn Fn(&str) -> Option<String>) -> Result<Resolver<'static>> {
    Ok(Resolver::new(sources(project)?, locked(read)?, || store().map_err(|failure| failure.message)))
}

/// # Errors
/// When there is no place for it.
pub fn store() -> Result<Store> {
    let dirs = Dirs::open().map_err(|error| Failure::infrastructure(format!("there is no place for fetched actions: {error}")))?;
    Ok(Store::new(dirs.actions()))
}

/// # Errors
/// When the file is there and can't be read.
pub fn locked(read: &dyn Fn(&str) -> Option<String>) -> Result<Lock> {
    let Some(text) = read(lock::PATH) else { return Ok(Lock::default()) };
    let source = Source::new(lock::PATH, text);
    Lock::parse(&source).map_err(|diagnostics| {
        let rendered = diagnostic::render(&source, &diagnostics, false);
        Failure::usage(format!("`{}` can't be read, so nothing was started\n\n{rendered}", lock::PATH))
            .hint("`plimsoll actions lock` writes it anew where it is missing; it is not written by hand")
    })
}

/// # Errors
/// When the variable or the user's file is wrong.
pub fn sources(project: &Actions) -> Result<Sources> {
    let user = user()?.actions;
    let variable = from_variable(&std::env::var(VARIABLE).unwrap_or_default())?;
    let templates = variable.or_else(|| project.sources.clone()).or(user.sources).unwrap_or_default();
    Ok(Sources::new(templates, project.moved.or(user.moved).unwrap_or_default()))
}

fn from_variable(text: &str) -> Result<Option<Vec<String>>> {
    let templates: Vec<String> = text.split_whitespace().map(str::to_string).collect();
    if let Some((template, complaint)) = templates.iter().find_map(|template| Some((template, Sources::complaint(template)?))) {
        return Err(Failure::usage(format!("`{VARIABLE}` names `{template}`: {complaint}")));
    }
    Ok(Some(templates).filter(|templates| !templates.is_empty()))
}

/// `$XDG_CONFIG_HOME/plimsoll/config.yaml`, else below `~/.config`.
///
/// # Errors
/// When it is there and wrong.
pub fn user() -> Result<User> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = variable("XDG_CONFIG_HOME").or_else(|| variable("HOME").map(|home| home.join(".config")));
    let Some(file) = folder.map(|folder| folder.join("plimsoll/config.yaml")) else { return Ok(User::default()) };
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(User::default()),
        Err(error) => return Err(error).doing(&format!("read {}", file.display())),
    };
    let source = Source::new(file.to_string_lossy(), text);
    let (user, diagnostics) = config::parse_user(&source);
    if diagnostics.is_empty() {
        return Ok(user);
    }
    Err(Failure::usage(format!("`{}` is wrong\n\n{}", file.display(), diagnostic::render(&source, &diagnostics, false))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_names_sources_or_is_refused() {
        let given = from_variable("https://git.example.org/{repo}\n file:///srv/{repo}.git").unwrap();
        assert_eq!(given.unwrap().len(), 2);
        assert_eq!(from_variable(" ").unwrap(), None);
        assert!(from_variable("https://example.org").unwrap_err().message.contains(VARIABLE));
    }
}
