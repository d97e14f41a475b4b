//! Every `testdata/*.script` is played and its transcript compared; `UPDATE_EXPECT=1` writes what was said into the file.

use std::path::PathBuf;

use base::Source;
use rollout::script::{TRANSCRIPT_MARK, run};

#[test]
fn scripts_say_what_they_said() {
    let mut changed = Vec::new();
    for path in scripts() {
        let text = std::fs::read_to_string(&path).expect("a script can be read");
        let (script, expected) = text.split_once(&format!("{TRANSCRIPT_MARK}\n")).unwrap_or((&text, ""));
        let transcript = run(script).unwrap_or_else(|diagnostics| {
            panic!("{}", base::diagnostic::render(&Source::new(path.display().to_string(), script), &diagnostics, false))
        });
        if transcript == expected {
            continue;
        }
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&path, format!("{script}{TRANSCRIPT_MARK}\n{transcript}")).expect("a script can be written");
        } else {
            changed.push(format!("== {}\n{}", path.display(), first_difference(expected, &transcript)));
        }
    }
    assert!(changed.is_empty(), "transcripts changed (UPDATE_EXPECT=1 writes them):\n{}", changed.join("\n"));
}

#[test]
fn every_line_that_cannot_be_read_is_named() {
    let script = "set replicaz 2\n5s traffic 100/min\n5s new/0 redy\n3s end\n";
    let diagnostics = run(script).expect_err("three lines are wrong");
    let rendered = base::diagnostic::render(&Source::new("wrong.script", script), &diagnostics, false);
    assert_eq!(diagnostics.len(), 3, "{rendered}");
    assert!(rendered.contains("did you mean `replicas`?"), "{rendered}");
    assert!(rendered.contains("wrong.script:4:1"), "{rendered}");
}

fn scripts() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("there are scripts").map(|entry| entry.expect("listed").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "script"));
    paths.sort();
    assert!(paths.len() >= 20, "the stories are there");
    paths
}

fn first_difference(expected: &str, actual: &str) -> String {
    let mut pairs = expected.lines().chain(std::iter::repeat("")).zip(actual.lines());
    let (expected, actual) = pairs.find(|(expected, actual)| expected != actual).unwrap_or(("(more lines)", "(no more lines)"));
    format!("- {expected}\n+ {actual}")
}
