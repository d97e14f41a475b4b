//! Scripts of one kind, and what they said.

use std::path::PathBuf;

const MARK: &str = "----\n";

/// Plays every `testdata/foreign/*.KIND` and compares, or with `UPDATE_EXPECT=1` writes; says how many there are.
pub fn check(kind: &str, play: fn(&str) -> String) -> usize {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/foreign");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).expect("there are scripts").map(|it| it.expect("listed").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == kind));
    paths.sort();
    let mut changed = Vec::new();
    for path in &paths {
        let text = std::fs::read_to_string(path).expect("it can be read");
        let (script, expected) = text.split_once(MARK).unwrap_or((&text, ""));
        let said = play(script);
        if said == expected {
            continue;
        }
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(path, format!("{script}{MARK}{said}")).expect("it can be written");
        } else {
            changed.push(format!("== {}\n-- expected\n{expected}-- said\n{said}", path.display()));
        }
    }
    assert!(changed.is_empty(), "transcripts changed (UPDATE_EXPECT=1 writes them):\n{}", changed.join("\n"));
    paths.len()
}
