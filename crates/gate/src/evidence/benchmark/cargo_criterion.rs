//! `cargo criterion --message-format=json`: a message a line, one for each benchmark.

use std::io::BufRead;

use serde::Deserialize;

use super::{Report, in_ns};
use crate::evidence::claim::{Average, Parsed, Problem};
use crate::evidence::lines::each_line;

/// A message carries every measurement.
const LINE_MAX_BYTES: u64 = 16 << 20;

#[derive(Deserialize)]
struct Message {
    reason: String,
    id: Option<String>,
    mean: Option<Estimate>,
    /// Scaled by criterion so that it is a standard deviation where measurements spread as usual.
    median_abs_dev: Option<Estimate>,
}

#[derive(Deserialize)]
struct Estimate {
    estimate: f64,
    unit: String,
}

impl Estimate {
    fn ns(&self) -> Option<f64> {
        in_ns(self.estimate, &self.unit)
    }
}

pub(super) fn parse(input: &mut impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut report = Report::default();
    each_line(input, LINE_MAX_BYTES, |text, line| {
        if text.trim().is_empty() {
            return Ok(());
        }
        let message: Message =
            serde_json::from_str(text).map_err(|_| Problem::at(line, "has a line that is no message of cargo-criterion"))?;
        if message.reason != "benchmark-complete" {
            return Ok(());
        }
        let (Some(id), Some(mean)) = (message.id, message.mean) else {
            return Err(Problem::at(line, "has a benchmark without `id` or `mean`"));
        };
        // Projects can measure other things than time.
        let Some(ns) = mean.ns() else { return Ok(()) };
        let spread = message.median_abs_dev.as_ref().and_then(Estimate::ns);
        report.add(&id, ns, Average::Mean, spread).map_err(|problem| Problem::at(line, problem.reason))
    })?;
    report.finish("cargo-criterion")
}
