//! What people are told about their files: every case in `testdata/github` is a file and, beside it, everything that is
//! said about it. `UPDATE_EXPECT=1` writes what is said now.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base::{Diagnostic, Severity, Source};
use workflow::github;

#[test]
fn every_file_gets_the_diagnostics_beside_it() {
    for path in files(&testdata("github")) {
        let text = fs::read_to_string(&path).expect("testdata is readable");
        let name = path.file_name().expect("a file has a name").display().to_string();
        let source = Source::new(name.clone(), text);
        let diagnostics = if name.starts_with("action") {
            github::parse_action(&source).1
        } else {
            let (workflow, mut diagnostics) = github::parse(&source);
            diagnostics.extend(workflow.iter().flat_map(github::unsupported));
            diagnostics
        };
        let said = format!("{}\n", base::diagnostic::render(&source, &diagnostics, false));
        let beside = path.with_extension("txt");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&beside, &said).expect("testdata is writable");
        }
        let expected = fs::read_to_string(&beside).unwrap_or_default();
        assert_eq!(said, expected, "{name}");
    }
}

/// In `testdata/called` a case is a file and, behind `---- name` lines, those that it may call.
#[test]
fn what_is_called_is_read_and_fits() {
    for path in files(&testdata("called")) {
        let text = fs::read_to_string(&path).expect("testdata is readable");
        let mut parts = text.split("\n---- ");
        let name = path.file_name().expect("a file has a name").display().to_string();
        let source = Source::new(name.clone(), parts.next().expect("there is always a first part"));
        let called: Vec<(&str, &str)> = parts.map(|part| part.split_once('\n').expect("a name has a line of its own")).collect();
        let read = |key: &str| {
            let found = called.iter().find(|(name, _)| *name == key).map(|(_, text)| (*text).to_owned());
            found.ok_or_else(|| format!("there is no `{key}` in the sources"))
        };
        let loaded = github::load(&source, &read);
        let said: Vec<String> = loaded
            .files
            .iter()
            .map(|file| base::diagnostic::render(&file.source, &file.diagnostics, false))
            .filter(|said| !said.is_empty())
            .collect();
        let keys = loaded.workflow.map(|workflow| workflow.called.into_keys().collect::<Vec<_>>().join(" "));
        let said = format!("{}\n", keys.map_or_else(|| said.join("\n\n"), |keys| format!("calls {keys}\n{}", said.join("\n\n"))));
        let beside = path.with_extension("txt");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&beside, &said).expect("testdata is writable");
        }
        assert_eq!(said, fs::read_to_string(&beside).unwrap_or_default(), "{name}");
    }
}

#[test]
fn ten_mistakes_are_ten_errors() {
    let text = fs::read_to_string(testdata("github/ten-mistakes.yml")).expect("testdata is readable");
    let (workflow, diagnostics) = github::parse(&Source::new("ten-mistakes.yml", text));
    assert!(workflow.is_none());
    let errors: Vec<&Diagnostic> = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).collect();
    assert_eq!(errors.len(), 10, "{errors:#?}");
}

#[test]
fn a_bomb_is_one_error_at_once() {
    let mut text = "on: push\na0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..40 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    text.push_str("jobs: *a39\n");
    let begun = Instant::now();
    let (workflow, diagnostics) = github::parse(&Source::new("bomb.yml", text));
    assert!(workflow.is_none());
    let messages: Vec<&str> = diagnostics.iter().map(|diagnostic| diagnostic.message.as_str()).collect();
    assert_eq!(messages, ["the aliases make this file larger than 200000 values"]);
    // A copy of what it stands for would take longer than the sun has.
    assert!(begun.elapsed() < Duration::from_secs(5));
}

/// Files within every limit that are made to be expensive: what they cost must grow with their size alone.
#[test]
fn hostile_files_cost_little() {
    let job = |id: usize, needs: &str| format!("  j{id}: {{ needs: [{needs}], runs-on: x, steps: [{{ run: a }}] }}\n");
    let all: Vec<String> = (0..400).map(|id| format!("j{id}")).collect();
    let everybody_needs_everybody: String = (0..400).map(|id| job(id, &all.join(", "))).collect();
    let nobody_exists: String = (0..6_000).map(|id| job(id, &format!("x{id}, y{id}"))).collect();
    let steps = format!("  a:\n    runs-on: x\n    steps:\n{}", "      - run: a\n".repeat(50_000));
    let expressions = format!("  a:\n    runs-on: x\n    steps:\n      - run: \"{}\"\n", "${{ a }}".repeat(100_000));
    for (jobs, errors) in [(everybody_needs_everybody, 1), (nobody_exists, 101), (steps, 0), (expressions, 1)] {
        let source = Source::new("hostile.yml", format!("on: push\njobs:\n{jobs}"));
        let begun = Instant::now();
        let (_, diagnostics) = github::parse(&source);
        assert_eq!(diagnostics.len(), errors, "{}", base::diagnostic::render(&source, &diagnostics, false));
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}

/// Changed at random from the cases we have, nothing panics and nothing takes for ever. The seed is fixed.
#[test]
fn no_text_makes_it_panic() {
    let corpora = std::env::var_os("PLIMSOLL_CORPORA").map(|root| Path::new(&root).join("workflow-parser/reader"));
    let mut texts: Vec<Vec<char>> = Vec::new();
    for directory in [Some(testdata("github")), corpora.filter(|corpora| corpora.is_dir())].into_iter().flatten() {
        for path in files(&directory) {
            let text = fs::read_to_string(&path).expect("the cases are readable");
            texts.extend((text.len() < 10_000).then(|| text.chars().collect()));
        }
    }
    let mut random = Random(0x5eed);
    for _ in 0..4_000 {
        let mut text = texts[random.below(texts.len())].clone();
        for _ in 0..=random.below(4) {
            mutate(&mut text, &mut random);
        }
        let source = Source::new("mutant.yml", text.into_iter().collect::<String>());
        let (workflow, diagnostics) = github::parse(&source);
        assert!(workflow.is_some() || diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error));
        base::diagnostic::render(&source, &diagnostics, false);
        base::diagnostic::render(&source, &github::parse_action(&source).1, false);
    }
}

fn mutate(text: &mut Vec<char>, random: &mut Random) {
    const PIECES: [&str; 24] = [
        "${{",
        "}}",
        "'",
        "\"",
        ": ",
        "- ",
        "\n",
        "\t",
        "&a ",
        "*a",
        "<<",
        "!!int ",
        "|",
        ">",
        "#",
        "{",
        "[",
        "]",
        "}",
        "\u{feff}",
        "é",
        "😊",
        "null",
        "if: ${{ success() }} x",
    ];
    let at = random.below(text.len() + 1);
    match random.below(4) {
        0 => drop(text.splice(at..at, PIECES[random.below(PIECES.len())].chars())),
        1 => drop(text.drain(at..(at + random.below(20)).min(text.len()))),
        2 => {
            let end = (at + random.below(200)).min(text.len());
            let copy: Vec<char> = text[at..end].to_vec();
            let to = random.below(text.len() + 1);
            text.splice(to..to, copy);
        }
        _ => text.truncate(at),
    }
}

/// xorshift: the same numbers everywhere, for ever.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit.max(1) as u64).expect("it is below a usize")
    }
}

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("the directory is readable");
    let paths = entries.map(|entry| entry.expect("the directory is readable").path());
    let mut files: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|extension| extension == "yml")).collect();
    files.sort();
    files
}
