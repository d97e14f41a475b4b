//! Waits until services say that they are healthy.

use std::time::{Duration, Instant};

use workflow::job::contained::Service;

use super::super::action::desk::{Desk, Undone};
use super::Tool;
use crate::container::{Engine, Kind};

/// At first; it doubles up to the longest.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(8);

/// As long as the service is starting. What has no health check is ready at once.
pub(super) fn wait(engine: &Engine, service: &Service, desk: &mut Desk<'_>) -> Result<(), Undone> {
    let (mut pause, mut checked) = (PAUSE, None::<Instant>);
    loop {
        let Some(health) = health(engine, &service.id)? else { return Ok(()) };
        match health.status.as_str() {
            "starting" => {}
            "healthy" => {
                desk.say(&format!("{} service is healthy.", service.name));
                return Ok(());
            }
            other => {
                logs(engine, &service.id, desk)?;
                return Err(Undone::Failed(format!("Failed to initialize, {} service is {other}.", service.name)));
            }
        }
        // Without systemd nobody but us asks a container of podman how it is.
        if engine.kind == Kind::Podman && checked.is_none_or(|at| at.elapsed() >= health.interval) {
            checked = Some(Instant::now());
            let _ = engine.ask(["healthcheck", "run", &service.id]);
            desk.go_on()?;
            continue;
        }
        desk.say(&format!("{} service is starting, waiting {} ms before checking again.", service.name, pause.as_millis()));
        desk.pause(pause.min(health.interval.max(PAUSE)))?;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

pub(super) fn logs(engine: &Engine, id: &str, desk: &mut Desk<'_>) -> Result<(), Undone> {
    let words = engine.arguments().iter().cloned().chain(["logs".to_string(), id.to_string()]);
    desk.run(&Tool::new(engine.program.clone(), &Engine::env(), "/".as_ref()).args(words)).map(drop)
}

struct Health {
    status: String,
    interval: Duration,
}

/// Nothing where the container has no health check.
fn health(engine: &Engine, id: &str) -> Result<Option<Health>, String> {
    let format = "{{if .Config.Healthcheck}}{{.Config.Healthcheck.Interval}} {{.State.Health.Status}}{{end}}";
    let said = engine.ask(["inspect", "--format", format, id])?;
    let Some((interval, status)) = said.rsplit_once(' ') else { return Ok(None) };
    let status = status.trim().to_string();
    if status.is_empty() || status == "none" {
        return Ok(None);
    }
    let interval = base::time::parse_duration_ms(interval).map_or(DEFAULT_INTERVAL, Duration::from_millis);
    Ok(Some(Health { status, interval }))
}

const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);
