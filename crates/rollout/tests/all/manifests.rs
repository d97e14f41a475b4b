//! Files of Argo Rollouts and Flagger: each `testdata/manifests/*.yaml` with what was understood of it beside it, and each file of
//! `testdata/manifests/wrong/` with all that is wrong in it; `UPDATE_EXPECT=1` writes them.

use std::fmt::Write as _;
use std::path::PathBuf;

use base::{Source, diagnostic};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rollout::manifest::{Document, Intent, read};

#[test]
fn files_are_understood() {
    let count = golden("manifests", |source| {
        let (documents, diagnostics) = read(source);
        assert!(diagnostics.is_empty(), "{}", diagnostic::render(source, &diagnostics, false));
        documents.iter().map(|document| told(source, document)).collect()
    });
    assert!(count >= 8, "{count} files");
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let count = golden("manifests/wrong", |source| diagnostic::render(source, &read(source).1, false) + "\n");
    assert!(count >= 6, "{count} files");
}

fn told(source: &Source, document: &Document) -> String {
    let mut said = format!("{} {}\n", document.kind, document.name);
    for line in document.intent.iter().flat_map(Intent::lines).chain(document.asks.clone()) {
        let _ = writeln!(said, "  {line}");
    }
    for analysis in &document.analyses {
        let _ = writeln!(said, "  {}: {}", analysis.name, analysis.lines.join("; "));
        if let Some(metric) = &analysis.metric {
            let _ = writeln!(said, "    {metric:?}");
        }
    }
    for left_out in &document.left_out {
        let (line, column) = source.line_column(left_out.span.start);
        let sign = if left_out.of_a_cluster { '~' } else { '-' };
        let _ = writeln!(said, "  {sign} {line}:{column} {}: {}", left_out.what, left_out.instead);
    }
    said
}

fn golden(folder: &str, say: impl Fn(&Source) -> String) -> usize {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata").join(folder);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).expect("there are files").map(|it| it.expect("listed").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    let mut changed = Vec::new();
    for path in &paths {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        let said = say(&Source::new(name, std::fs::read_to_string(path).expect("it can be read")));
        let beside = path.with_extension("txt");
        let expected = std::fs::read_to_string(&beside).unwrap_or_default();
        if said == expected {
            continue;
        }
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&beside, said).expect("it can be written");
        } else {
            changed.push(format!("== {}\n-- expected\n{expected}-- said\n{said}", path.display()));
        }
    }
    assert!(changed.is_empty(), "what is said changed (UPDATE_EXPECT=1 writes it):\n{}", changed.join("\n"));
    paths.len()
}

/// Every field of every kind, one at a time, as something it can't be: an error with a place, never silence and never a panic.
#[test]
fn a_field_of_a_wrong_type_is_found_wherever_it_is() {
    let text =
        std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/manifests/canary.yaml")).expect("it is there");
    let source = Source::new("canary.yaml", text.as_str());
    assert!(read(&source).1.is_empty());
    let mut count = 0;
    for (index, line) in text.lines().enumerate() {
        let key = line.trim_start().trim_start_matches("- ");
        let Some((key, value)) = key.split_once(": ").filter(|(key, value)| !key.starts_with('#') && !value.is_empty()) else { continue };
        if value.starts_with('{') || value.starts_with('[') || matches!(key, "name" | "apiVersion" | "kind") {
            continue;
        }
        for wrong in ["{a: 1}", "[1, 2]", "&x [*x]"] {
            let changed: Vec<String> = text
                .lines()
                .enumerate()
                .map(
                    |(at, line)| {
                        if at == index { line.replacen(&format!(": {value}"), &format!(": {wrong}"), 1) } else { line.to_string() }
                    },
                )
                .collect();
            let changed = Source::new("canary.yaml", changed.join("\n"));
            let (_, diagnostics) = read(&changed);
            let lines: Vec<usize> = diagnostics.iter().map(|it| changed.line_column(it.span.start).0).collect();
            assert!(lines.contains(&(index + 1)), "`{key}: {wrong}` in line {} is only found at {lines:?}", index + 1);
        }
        count += 1;
    }
    assert!(count > 20, "{count} fields were spoiled");
}

#[test]
fn bombs_and_garbage_are_named() {
    let mut bomb =
        "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nspec: {template: {spec: {containers: [{name: a, args: &a0 [x, x]}]}}}\n"
            .to_string();
    for level in 1..40 {
        bomb += &format!("x{level}: &a{level} [*a{0}, *a{0}, *a{0}]\n", level - 1);
    }
    let deep = format!("apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nspec: {}{}", "{strategy: ".repeat(500), "}".repeat(500));
    let lists = format!("{}a: 1", "{kind: List, items: [".repeat(45)) + &"]}".repeat(45);
    let large = format!("# {}\n", "x".repeat(2 * 1024 * 1024));
    for text in [bomb.as_str(), &deep, &lists, &large, "\0\u{1}", "%YAML 9.9\n---\n", "a: [", "kind: Rollout\n\tapiVersion: x", "&a *a"] {
        let (documents, diagnostics) = read(&Source::new("x.yaml", text));
        assert!(!diagnostics.is_empty(), "{:?}", &text[..text.len().min(80)]);
        assert!(documents.iter().all(|document| document.intent.is_none()));
    }
    let (documents, diagnostics) = read(&Source::new("x.yaml", "# nothing\n---\n---\n"));
    assert!(documents.is_empty() && diagnostics.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, rng_seed: RngSeed::Fixed(2611), ..ProptestConfig::default() })]

    /// A file with a piece cut out of it, or put in twice, is read or refused, and every place that is named is in it.
    #[test]
    fn whatever_is_left_of_a_file_is_read_or_refused(name in proptest::sample::select(vec!["canary", "blue-green", "flagger", "experiment"]), from in 0.0..1.0_f64, length in 0..200_usize, doubles: bool) {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("testdata/manifests/{name}.yaml"));
        let text: Vec<char> = std::fs::read_to_string(path).expect("it is there").chars().collect();
        let from = (from * text.len() as f64) as usize;
        let to = (from + length).min(text.len());
        let middle = if doubles { [&text[from..to], &text[from..to]].concat() } else { Vec::new() };
        let text: String = text[..from].iter().chain(&middle).chain(&text[to..]).collect();
        let source = Source::new("x.yaml", text.as_str());
        let (documents, diagnostics) = read(&source);
        for document in &documents {
            prop_assert!(document.intent.is_none() || document.is_read);
            let _ = told(&source, document);
        }
        for diagnostic in &diagnostics {
            prop_assert!(diagnostic.span.start <= text.len() && diagnostic.span.end <= text.len());
        }
    }
}

#[test]
fn what_a_small_file_makes_large_is_refused_at_its_place() {
    let of = |spec: &str| {
        let text = format!("apiVersion: argoproj.io/v1alpha1\nkind: AnalysisTemplate\nmetadata: {{name: a}}\nspec:\n{spec}");
        let diagnostics = read(&Source::new("a.yaml", text)).1;
        diagnostics.into_iter().map(|it| it.message).collect::<Vec<_>>()
    };
    let metric = |condition: &str| {
        format!("  metrics:\n  - {{name: m, successCondition: '{condition}', provider: {{prometheus: {{query: q, address: a}}}}}}\n")
    };
    let grown = format!("  args: [{{name: a, value: {}}}]\n{}", "x".repeat(100_000), metric(&"{{args.a}}".repeat(40_000)));
    assert_eq!(of(&grown), ["with the values of its arguments this has more than 16384 bytes"]);
    let unknown = format!("  args: [{{name: a}}]\n{}", metric(&"{{args.b}} > {{args.c}} ".repeat(1_000)));
    assert_eq!(of(&unknown), ["there is no argument `b` in `args`", "there is no argument `c` in `args`"]);
    let pattern =
        |count: usize, pattern: &str| format!("{}  dryRun:\n{}", metric("true"), format!("  - metricName: '{pattern}'\n").repeat(count));
    assert_eq!(of(&pattern(1, r"\w{300}N")), [r"`\w{300}N` is too large a regular expression"]);
    assert_eq!(of(&pattern(3_000, "m")), ["`dryRun` has 256 rules at most, here are 3000"]);
}
