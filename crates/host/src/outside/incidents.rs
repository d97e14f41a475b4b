//! Which incidents are open, asked of whoever knows.

use std::time::Duration;

use engine::world::Occasion;
use gate::incident::{Incident, Incidents, Page, Source, read};
use tokio::io::AsyncReadExt as _;

use super::Shown;
use super::curl::{Answer, Proof, ask};
use super::process::{Program, run};

/// A release waits for the answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A list of them all; whoever has more open has other worries.
const FILE_MAX: u64 = 4 * 1024 * 1024;

/// PagerDuty's most for one page, and as many pages of it as it gives at all.
const PAGE: usize = 100;
const PAGES_MAX: usize = 100;

/// All that are open.
///
/// # Errors
/// Why nobody knows, as a fragment.
pub(super) async fn open(incidents: &Incidents, occasion: &Occasion, shown: &Shown) -> Result<Vec<Incident>, String> {
    let found = match &incidents.source {
        Source::Command(line) => whole(&shown.covered(&printed(line, occasion).await.map_err(|why| shown.said(&why))?)?),
        Source::File(path) => match tokio::time::timeout(PATIENCE, written(path)).await {
            Ok(text) => whole(&shown.covered(&text?)?),
            Err(_) => Err(format!("`{path}` can't be read within {} s", PATIENCE.as_secs())),
        },
        Source::Url(url) => match tokio::time::timeout(PATIENCE, served(url, incidents.token.as_deref(), occasion, shown)).await {
            Ok(found) => found,
            Err(_) => Err(format!("no answer from {url} within {} s", PATIENCE.as_secs())),
        },
    };
    found.map_err(|why| shown.said(&why))
}

fn whole(text: &str) -> Result<Vec<Incident>, String> {
    let page = read(text)?;
    if page.more { Err("there are more incidents than the list tells (`more`)".to_string()) } else { Ok(page.open) }
}

async fn printed(line: &str, occasion: &Occasion) -> Result<String, String> {
    let heard = run(Program::line(line, true, PATIENCE), occasion).await.map_err(|why| format!("of the command that knows them, {why}"))?;
    match heard.status.success() {
        false => Err(format!("the command that knows them failed: {}", heard.last_words())),
        true if heard.is_cut => Err("the command that knows them printed too much".to_string()),
        true => Ok(String::from_utf8_lossy(&heard.out).into_owned()),
    }
}

async fn written(path: &str) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("`{path}` can't be read: {error}");
    // Whoever waits for the other end of a pipe waits for ever.
    if !tokio::fs::metadata(path).await.map_err(failed)?.is_file() {
        return Err(format!("`{path}` is no file"));
    }
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let mut text = String::new();
    file.take(FILE_MAX + 1).read_to_string(&mut text).await.map_err(failed)?;
    match text.len() as u64 > FILE_MAX {
        true => Err(format!("`{path}` is too large for a list of incidents")),
        false => Ok(text),
    }
}

/// Page by page, as PagerDuty gives them; a plain list is one page.
async fn served(url: &str, token: Option<&str>, occasion: &Occasion, shown: &Shown) -> Result<Vec<Incident>, String> {
    let token = token.map(|name| shown.secret(name)).transpose()?;
    let authorization = token.map(|token| Proof::Header(format!("authorization: Token token={token}")));
    let mut found = Vec::new();
    let mut offset = 0;
    for _ in 0..PAGES_MAX {
        let Answer { status, body } = ask(&page_of(url, offset), None, authorization.as_ref(), PATIENCE, occasion).await?;
        if status != 200 {
            return Err(format!("{url} answers {status}"));
        }
        let Page { open, told, more } = read(&shown.covered(&body)?).map_err(|why| format!("{why} ({url})"))?;
        found.extend(open);
        match more {
            false => return Ok(found),
            true if told == 0 => return Err(format!("{url} says that there are more incidents, and gives none")),
            true => offset += told,
        }
    }
    Err(format!("{url} has more incidents than can be read"))
}

/// Only the open ones are asked for, unless the address says itself which.
fn page_of(url: &str, offset: usize) -> String {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let statuses = if query.contains("statuses") { "" } else { "&statuses%5B%5D=triggered&statuses%5B%5D=acknowledged" };
    let mark = if url.contains('?') { '&' } else { '?' };
    format!("{url}{mark}limit={PAGE}&offset={offset}{statuses}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_open_ones_are_asked_for() {
        assert_eq!(
            page_of("https://api.pagerduty.com/incidents", 0),
            "https://api.pagerduty.com/incidents?limit=100&offset=0&statuses%5B%5D=triggered&statuses%5B%5D=acknowledged"
        );
        assert_eq!(page_of("http://p/i?statuses[]=triggered", 200), "http://p/i?statuses[]=triggered&limit=100&offset=200");
    }
}
