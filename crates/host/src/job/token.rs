//! Which token a job gets: one that its project keeps, one of a GitHub App, or one that this machine alone takes.

use std::path::Path;

use engine::world::JobStart;
use workflow::job::JobFacts;
use workflow::token;

use crate::forge::{App, Token};

/// A token of the App for a job that may want one; it is among the facts' secrets. Blocks until the forge has answered.
///
/// # Errors
/// A sentence, when the job can't begin without it.
pub(super) fn of(start: &JobStart, app: Option<&App>, facts: &mut JobFacts, remarks: &mut Vec<String>) -> Result<Option<Token>, String> {
    if facts.secrets.keys().any(|name| name.eq_ignore_ascii_case(token::NAME)) {
        return Ok(None);
    }
    let spec = &start.spec;
    let may_be_taken = token::may_be_taken(spec);
    if !may_be_taken && !token::is_named(spec) && !token::pushes(spec) {
        return Ok(None);
    }
    if let Some(app) = app {
        match app.repository(Path::new(&start.source.repository)) {
            Ok(repository) => {
                let rights = token::rights(spec.permissions.as_ref(), &spec.contexts.github);
                let token = app.mint(&repository, &rights).map_err(|why| format!("the job's token can't be had: {why}"))?;
                facts.secrets.insert(token::NAME.to_string(), token.secret.clone());
                remarks.extend(token.lacks.clone());
                return Ok(Some(token));
            }
            Err(why) => remarks.push(format!("the job's token is one that this machine alone takes: {why}")),
        }
    }
    facts.own_token = true;
    Ok(None)
}
