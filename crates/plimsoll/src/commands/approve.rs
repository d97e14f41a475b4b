//! `plimsoll approve`, `reject` and `inbox`: what people say to a release that waits for them, or to a job of one.

use std::path::Path;

use record::ReleaseEntry;

use super::actor;
use super::release::steer_with;
use crate::cli::{Approve, OneRelease, Reject};
use crate::client::Client;
use crate::exit;
use crate::failure::Result;
use crate::server::InboxEntry;
use crate::terminal::Terminal;
use crate::view::from_here;

pub async fn approve(args: &Approve, terminal: &Terminal) -> Result<u8> {
    answer(&args.one, "approve", &args.comment, args.environment.as_deref(), terminal).await
}

pub async fn reject(args: &Reject, terminal: &Terminal) -> Result<u8> {
    answer(&args.one, "reject", &args.comment, args.environment.as_deref(), terminal).await
}

async fn answer(one: &OneRelease, verb: &str, comment: &str, environment: Option<&str>, terminal: &Terminal) -> Result<u8> {
    let body = serde_json::json!({ "by": actor(), "comment": comment, "environment": environment });
    steer_with(one, verb, body, terminal).await
}

pub async fn inbox(terminal: &Terminal) -> Result<u8> {
    let entries: Vec<InboxEntry> = match Client::existing(&super::dirs_to_read()?).await? {
        Some(client) => client.get("/api/v1/inbox").await?,
        None => Vec::new(),
    };
    if terminal.json {
        terminal.json(&entries);
        return Ok(exit::OK);
    }
    for InboxEntry { release, project_name, folder, waiting, .. } in &entries {
        let ReleaseEntry { number, environment, .. } = release;
        let what = super::release::what(release);
        let waiting = commands_in(waiting, &from_here(Path::new(folder)));
        terminal.data(&format!("{project_name} → {environment}  release-{number} {what}\n    {waiting}"));
    }
    if entries.is_empty() {
        terminal.data("nothing waits for anybody");
    }
    Ok(exit::OK)
}

/// A sentence whose commands name the folder: the list is of all projects.
fn commands_in(sentence: &str, folder: &str) -> String {
    let flag = if folder == "." { String::new() } else { format!(" -C {folder}") };
    let parts: Vec<String> = sentence
        .split('`')
        .map(|part| match part.strip_prefix("plimsoll ") {
            Some(_) => format!("{part}{flag}"),
            None => part.to_string(),
        })
        .collect();
    parts.join("`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_of_a_list_of_all_projects_say_which_one() {
        let sentence = "needs 1 approval of `leads`; `plimsoll approve release-7` gives it, `plimsoll reject release-7 --comment WHY` ends the release";
        assert_eq!(
            commands_in(sentence, "shop"),
            "needs 1 approval of `leads`; `plimsoll approve release-7 -C shop` gives it, `plimsoll reject release-7 --comment WHY -C shop` ends the release"
        );
        assert!(commands_in(sentence, ".").contains("`plimsoll reject release-7 --comment WHY`"));
    }
}
