//! The checks after a promotion: each path on each address, once.

use std::time::Duration;

use rollout::{SmokeCheck, SmokeSeen};

use crate::instance::probe::{self, Answer};

/// All at the same time, so that the slowest decides how long it takes.
pub(super) async fn smoke(addresses: &[String], checks: &[SmokeCheck]) -> SmokeSeen {
    let mut running = Vec::new();
    for address in addresses {
        for check in checks {
            let (address, check) = (address.clone(), check.clone());
            running.push(tokio::spawn(async move { one(&address, &check).await }));
        }
    }
    let mut seen = SmokeSeen { failures: Vec::new(), checks: u32::try_from(running.len()).unwrap_or(u32::MAX) };
    for check in running {
        match check.await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => seen.failures.push(failure),
            Err(error) => seen.failures.push(format!("a check broke: {error}")),
        }
    }
    if addresses.is_empty() {
        seen.failures.push("there is no instance to check".into());
    }
    seen
}

async fn one(address: &str, check: &SmokeCheck) -> Result<(), String> {
    let timeout = Duration::from_millis(check.timeout_ms);
    let answer = probe::get(address, &check.path, timeout).await;
    if let Answer::Status(status) = answer
        && check.expect.contains(&status)
    {
        return Ok(());
    }
    let expected: Vec<String> = check.expect.iter().map(u16::to_string).collect();
    Err(format!("{} at {address}, expected {}", answer.sentence(&check.path, timeout), expected.join(" or ")))
}
