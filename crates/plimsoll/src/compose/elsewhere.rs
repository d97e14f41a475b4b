//! What is live in another environment and moves on from there.

use std::path::Path;

use base::name::{ProjectId, ReleaseId};
use host::git;
use release::Commit;

use super::{Choices, Tree, environments, git_failure, project_id, read_config};
use crate::config::Config;
use crate::failure::{Failure, Result};

/// What is live in another environment, and the release that brought it there.
#[derive(Debug, Clone)]
pub struct Elsewhere {
    pub release: ReleaseId,
    pub number: u64,
    pub environment: String,
    pub commit: Commit,
}

/// The project, and the environment from which something is to move on; nothing where the commit goes the whole way.
///
/// # Errors
/// When what is asked is against what the file says. Whatever is wrong in the file is told when it is read as a whole.
pub fn moves_on(folder: &Path, choices: &Choices, from: Option<&str>) -> Result<Option<(ProjectId, String)>> {
    let repository = git::open(folder).map_err(git_failure)?;
    // As it is committed: what lies here unsaid takes no rule away.
    let config = read_config(&Tree::open(&repository, false)?, &mut Vec::new()).map(|(config, _)| config).unwrap_or_default();
    let environment = environments::of_release(choices.environment.as_deref(), &config);
    let place = environment.as_ref().ok().and_then(|environment| config.places.get(environment));
    let after = place.and_then(|place| place.after.clone());
    let Some(from) = from.map(str::to_lowercase).or(after) else { return Ok(None) };
    let (from, environment) = (environments::of_release(Some(&from), &config)?, environment?);
    may_come(&from, &environment, &config)?;
    let does = |what: &str| Err(Failure::usage(format!("what moves on from `{from}` {what}")));
    if from == environment {
        return Err(Failure::usage(format!("what is live in `{from}` can't move on to `{from}`")).hint("`--environment` says where to"));
    }
    if choices.dirty {
        return does("is what was proved there, and never the working tree: leave out `--dirty`");
    }
    if !choices.workflows.is_empty() {
        return does("runs no workflow again: leave out `--workflow`");
    }
    if config.deliver_by_workflow {
        return does("is delivered by Plimsoll, and `deliver: workflow` leaves that to jobs");
    }
    Ok(Some((project_id(&repository.root, &repository.subtree), from)))
}

/// # Errors
/// When only what is live in another environment ships to this one.
pub(super) fn may_come(from: &str, environment: &str, config: &Config) -> Result<()> {
    match config.places.get(environment).and_then(|place| place.after.as_deref()).filter(|after| *after != from) {
        Some(after) => {
            let message = format!("only what is live in `{after}` ships to `{environment}`, and not what is in `{from}`");
            Err(Failure::usage(message).hint(format!("`environments.{environment}.after` in plimsoll.yaml says so")))
        }
        None => Ok(()),
    }
}
