//! What criterion leaves of one benchmark in a folder below `target/criterion`: `estimates.json` has its figures, `benchmark.json` its
//! name.

use std::io::BufRead;

use serde_json::Value;

use super::{CRITERION, benchmark};
use crate::evidence::claim::{Average, ClaimKind, Parsed, Problem};
use crate::evidence::finding::NAME_MAX_CHARS;
use crate::evidence::json::{Seen, text, walk};

/// In nanoseconds, unless the project measures something else with a `Measurement` of its own: the file doesn't say.
pub(super) fn parse(input: &mut impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let (mut mean, mut spread) = (None, None);
    let paths = ["mean/point_estimate", "std_dev/point_estimate"];
    walk(input, "the estimates of criterion", &paths, &mut |index, seen, _| {
        if let Seen::Value(value) = seen {
            *[&mut mean, &mut spread][index] = value.as_f64();
        }
        Ok(())
    })?;
    let mean = mean.ok_or_else(|| Problem::new("has no `mean`"))?;
    Ok(parsed(ClaimKind::Benchmarks(vec![benchmark("", mean, Average::Mean, spread)?])))
}

pub(super) fn parse_name(input: &mut impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut name = None;
    walk(input, "the name of a benchmark of criterion", &["full_id"], &mut |_, seen, _| {
        if let Seen::Value(value @ Value::String(_)) = seen {
            name = text(&value, "", NAME_MAX_CHARS);
        }
        Ok(())
    })?;
    let name = name.ok_or_else(|| Problem::new("has no `full_id`"))?;
    Ok(parsed(ClaimKind::BenchmarkName(name)))
}

fn parsed(kind: ClaimKind) -> Vec<Parsed> {
    vec![Parsed { kind, tool: Some(CRITERION.to_string()), tool_version: None, line: None }]
}
