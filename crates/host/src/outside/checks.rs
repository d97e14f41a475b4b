//! The project's own checks, all at the same time.

use std::time::Duration;

use engine::world::Occasion;
use futures_util::future::join_all;
use gate::check::{Check, Checked, How};

use super::Shown;
use super::curl::{Answer, ask};
use super::process::{Program, run};

pub(super) async fn make(checks: &[Check], occasion: &Occasion, shown: &Shown) -> Vec<Checked> {
    join_all(checks.iter().map(|check| one(check, occasion, shown))).await
}

async fn one(check: &Check, occasion: &Occasion, shown: &Shown) -> Checked {
    let limit = Duration::from_millis(check.timeout_ms);
    let ended = match &check.how {
        How::Run(line) => ends_well(line, limit, occasion).await,
        How::Url(url) => answers_well(url, limit, occasion).await,
    };
    match ended {
        Ok(()) => Checked::passed(&check.name),
        Err(why) => Checked::failed(&check.name, shown.said(&why)),
    }
}

async fn ends_well(line: &str, limit: Duration, occasion: &Occasion) -> Result<(), String> {
    let heard = run(Program::line(line, false, limit), occasion).await?;
    if heard.status.success() { Ok(()) } else { Err(heard.last_words()) }
}

async fn answers_well(url: &str, limit: Duration, occasion: &Occasion) -> Result<(), String> {
    let Answer { status, .. } = ask(url, None, None, limit, occasion).await?;
    if (200..400).contains(&status) { Ok(()) } else { Err(format!("{url} answers {status}")) }
}
