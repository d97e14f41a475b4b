//! What applications and jobs wrote, by bytes and by lines.

use axum::Json;
use axum::extract::{Query, State as Extract};
use axum::response::{IntoResponse, Response};
use host::instance::lines::Lines;
use host::instance::log::Part;
use serde::Deserialize;

use super::api::{Answer, ApiError, State};
use crate::failure::Failure;

/// The header that says where the next part of a log begins.
pub const NEXT_OFFSET: &str = "x-plimsoll-next-offset";

#[derive(Debug, Deserialize)]
pub(super) struct LogAsk {
    /// `RUN/KEY/ATTEMPT` of a job.
    job: Option<String>,
    step: Option<u32>,
    /// `SCOPE/REVISION/INDEX` of an instance.
    instance: Option<String>,
    #[serde(default)]
    offset: u64,
}

pub(super) async fn bytes(Extract(state): Extract<State>, Query(ask): Query<LogAsk>) -> std::result::Result<Response, ApiError> {
    let Part { offset, bytes } = match (&ask.job, &ask.instance) {
        (Some(job), None) => Part { offset: ask.offset, bytes: state.world().job_log(job, ask.step, ask.offset)? },
        (None, Some(instance)) => state.world().instance_log(instance, ask.offset)?,
        _ => return Err(Failure::usage("ask for the log of a `job` or of an `instance`").into()),
    };
    let next = offset + bytes.len() as u64;
    Ok(([(NEXT_OFFSET, next.to_string()), ("content-type", "text/plain; charset=utf-8".to_string())], bytes).into_response())
}

#[derive(Debug, Deserialize)]
pub(super) struct LinesAsk {
    /// `SCOPE/REVISION/INDEX`.
    instance: String,
    #[serde(default)]
    offset: u64,
    /// Half a line at the end too.
    #[serde(default)]
    unfinished: bool,
}

/// An instance's log line by line, with times and streams.
pub(super) async fn lines(Extract(state): Extract<State>, Query(ask): Query<LinesAsk>) -> Answer<Lines> {
    Ok(Json(state.world().instance_lines(&ask.instance, ask.offset, ask.unfinished)?))
}
