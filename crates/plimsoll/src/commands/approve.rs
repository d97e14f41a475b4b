//! `plimsoll approve`, `reject` and `inbox`: what people say to a release that waits for them, or to a job of one.

use record::ReleaseEntry;

use super::actor;
use super::release::steer_with;
use crate::cli::{Approve, OneRelease, Reject};
use crate::client::Client;
use crate::exit;
use crate::failure::Result;
use crate::server::InboxEntry;
use crate::terminal::Terminal;

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
    for InboxEntry { release, project_name, waiting, .. } in &entries {
        let ReleaseEntry { number, environment, .. } = release;
        let what = super::release::what(release);
        terminal.data(&format!("{project_name} → {environment}  release-{number} {what}\n    {waiting}"));
    }
    if entries.is_empty() {
        terminal.data("nothing waits for anybody");
    }
    Ok(exit::OK)
}
