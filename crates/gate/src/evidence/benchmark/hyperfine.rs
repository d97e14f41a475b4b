//! `hyperfine --export-json`: how long commands take, in seconds.

use std::io::BufRead;

use serde_json::Value;

use super::{Report, in_ns};
use crate::evidence::claim::{Average, Parsed, Problem};
use crate::evidence::finding::NAME_MAX_CHARS;
use crate::evidence::json::{Seen, text, walk};

pub(super) fn parse(input: &mut impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut report = Report::default();
    walk(input, "a report of hyperfine", &["results/[]"], &mut |_, seen, _| match seen {
        Seen::Value(result) => add(&mut report, &result),
        _ => Ok(()),
    })?;
    report.finish("hyperfine")
}

fn add(report: &mut Report, result: &Value) -> Result<(), Problem> {
    let command = text(result, "/command", NAME_MAX_CHARS).ok_or_else(|| Problem::new("has a result without `command`"))?;
    let mean = seconds(result, "mean").ok_or_else(|| Problem::new(format!("has no `mean` of {command}")))?;
    // Of a single run there is no deviation.
    report.add(&name(&command, result), mean, Average::Mean, seconds(result, "stddev"))
}

fn seconds(result: &Value, key: &str) -> Option<f64> {
    in_ns(result[key].as_f64()?, "s")
}

/// A parameter that the command doesn't show tells its runs apart.
fn name(command: &str, result: &Value) -> String {
    let parameters = result["parameters"].as_object().into_iter().flatten();
    let hidden = parameters.filter_map(|(name, value)| {
        let value = text(value, "", NAME_MAX_CHARS)?;
        (!command.contains(&value)).then(|| format!("{name}={value}"))
    });
    let hidden: Vec<String> = hidden.collect();
    if hidden.is_empty() { command.to_string() } else { format!("{command} ({})", hidden.join(", ")) }
}
