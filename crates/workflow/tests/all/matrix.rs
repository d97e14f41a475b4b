//! Matrices in, legs out: `testdata/matrix/*.json` beside `*.expected`; `UPDATE_EXPECT=1` rewrites the latter.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::fs;
use std::path::Path;

use serde_json::{Value as Json, json};
use workflow::expr::Value;
use workflow::matrix::{expand, leg_name, strategy_context};

#[test]
fn every_matrix() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/matrix");
    let mut cases: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    cases.sort();
    assert!(cases.len() >= 12);
    for case in cases {
        let matrix: Json = serde_json::from_str(&fs::read_to_string(&case).unwrap()).unwrap();
        let legs = legs(&matrix);
        let expected = case.with_extension("expected");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&expected, &legs).unwrap();
        }
        assert_eq!(legs, fs::read_to_string(&expected).unwrap_or_default(), "{}", case.display());
    }
}

fn legs(matrix: &Json) -> String {
    match expand(&Value::from_json(matrix)) {
        Err(error) => format!("error: {error}\n"),
        Ok(legs) => {
            legs.iter().map(|leg| format!("{}: {}\n", leg_name("job", &leg.shown), Value::from(leg.values.clone()).to_json())).collect()
        }
    }
}

#[test]
fn names_are_cut_at_a_hundred_characters() {
    assert_eq!(leg_name("build", &[]), "build");
    assert_eq!(leg_name("j", &["x".repeat(96)]), format!("j ({})", "x".repeat(96)), "exactly a hundred");
    assert_eq!(leg_name("j", &["x".repeat(97)]), format!("j ({}...", "x".repeat(94)));
    assert_eq!(leg_name("j", &["\u{1f680}".repeat(60)]), format!("j ({}...", "\u{1f680}".repeat(47)), "no half characters");
}

#[test]
fn the_strategy_of_a_leg() {
    assert_eq!(strategy_context(true, 2, 6, None), json!({"fail-fast": true, "job-index": 2, "job-total": 6, "max-parallel": 6}));
    assert_eq!(strategy_context(false, 0, 1, Some(3))["max-parallel"], json!(3));
}

#[test]
fn at_most_256_legs() {
    let numbers = |count: usize| Json::from((0..count).collect::<Vec<_>>());
    let many = |a, b| expand(&Value::from_json(&json!({"a": numbers(a), "b": numbers(b)})));
    assert_eq!(many(16, 16).unwrap().len(), 256);
    assert_eq!(many(257, 1).unwrap_err().to_string(), "the matrix makes 257 jobs, and 256 are allowed");
    assert!(many(100_000, 100_000).is_err(), "refused before it is multiplied out");
}
