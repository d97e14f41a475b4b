//! What the audits find: every case in `testdata/lint/<audit>` is a file and, beside it, what that audit says about it.
//! `UPDATE_EXPECT=1` writes what is said now.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use base::{Severity, Source, Span};
use workflow::lint::{Finding, Fix, Forbidden, Kind, Options, Pattern, Persona, Security, apply, audits, diff, lint, lint_with_calls};

#[test]
fn every_case_gets_the_findings_beside_it() {
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut wrong = Vec::new();
    for (audit, path) in cases() {
        let source = read(&path);
        let said = said(&source, kind(&path), &audit);
        let beside = path.with_extension("txt");
        if update {
            fs::write(&beside, &said).expect("testdata is writable");
        }
        let expected = fs::read_to_string(&beside).unwrap_or_default();
        if said != expected {
            wrong.push(format!("{}:\n{said}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_audit_has_a_case_it_speaks_of_and_one_it_is_silent_about() {
    for (audit, _) in audits() {
        let counts: Vec<usize> =
            cases().iter().filter(|(of, _)| of == audit).map(|(_, path)| of_audit(&read(path), kind(path), audit).len()).collect();
        assert!(counts.iter().any(|count| *count > 0) && counts.contains(&0), "{audit}: {counts:?}");
    }
    assert!(audits().count() >= 40);
}

/// What a fix leaves is read as before, but for the finding, and no fix waits for ever.
#[test]
fn fixes_end_their_findings() {
    let mut fixed = 0;
    for (audit, path) in cases() {
        let (mut source, kind) = (read(&path), kind(&path));
        for _ in 0..100 {
            let fixes: Vec<Fix> = of_audit(&source, kind, &audit).into_iter().filter_map(|finding| finding.fix).collect();
            if fixes.is_empty() {
                break;
            }
            let before = of_audit(&source, kind, &audit).len();
            source = Source::new(source.name.clone(), apply(&source.text, &fixes));
            let (_, diagnostics) = base::yaml::parse(&source);
            assert!(diagnostics.is_empty(), "{}: {diagnostics:?}\n{}", path.display(), source.text);
            assert!(of_audit(&source, kind, &audit).len() <= before, "{}:\n{}", path.display(), source.text);
            fixed += 1;
        }
        let left = of_audit(&source, kind, &audit).into_iter().filter(|finding| finding.fix.is_some()).count();
        assert_eq!(left, 0, "{}:\n{}", path.display(), source.text);
    }
    assert!(fixed > 10, "{fixed}");
}

#[test]
fn what_an_outsider_wrote_is_held_where_an_outsider_starts_it() {
    let text = "on: [push, pull_request]\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n      - run: echo \"${{ github.event.pull_request.title }}\"\n";
    let source = Source::new("a.yml", text);
    let refused = |security: Security, event: Option<&str>| {
        let options = Options { event: event.map(str::to_owned), ..Options::default() };
        lint(&source, Kind::Workflow, &options)
            .iter()
            .filter(|finding| finding.audit == "template-injection" && security.refuses(finding))
            .count()
    };
    assert_eq!(refused(Security::Compat, Some("pull_request")), 0);
    assert_eq!(refused(Security::Guarded, Some("pull_request")), 1);
    assert_eq!(refused(Security::Guarded, Some("push")), 0);
    assert_eq!(refused(Security::Guarded, None), 1);
    assert_eq!(refused(Security::Strict, Some("push")), 1);
}

#[test]
fn what_an_outsider_wrote_is_followed_into_what_is_called() {
    let caller = "on: pull_request\njobs:\n  a:\n    uses: ./.github/workflows/b.yml\n    with:\n      title: ${{ github.event.pull_request.title }}\n      other: fixed\n";
    let called = "on:\n  workflow_call:\n    inputs:\n      title: {type: string}\n      other: {type: string}\njobs:\n  b:\n    runs-on: ubuntu-24.04\n    steps:\n      - uses: ./act\n        with:\n          words: x ${{ inputs.Title }}\n      - run: echo \"${{ inputs.other }}\"\n";
    let action = "name: a\nruns:\n  using: composite\n  steps:\n    - run: echo \"${{ inputs.words }}\"\n      shell: bash\n    - uses: ./act\n      with: {words: \"${{ inputs.words }}\"}\n";
    let read = |path: &str| match path {
        ".github/workflows/b.yml" => Some(called.to_owned()),
        "act/action.yml" => Some(action.to_owned()),
        _ => None,
    };
    let held = |event: Option<&str>| -> Vec<String> {
        let options = Options { event: event.map(str::to_owned), ..Options::default() };
        let found = lint_with_calls(&Source::new("a.yml", caller), Kind::Workflow, &options, &read);
        let places = |(source, findings): (Source, Vec<Finding>)| {
            let held = findings.into_iter().filter(|finding| finding.holds);
            held.map(|finding| format!("{}:{}", source.name, source.line_column(finding.span.start).0)).collect::<Vec<String>>()
        };
        found.into_iter().flat_map(places).collect()
    };
    assert_eq!(held(None), ["act/action.yml:5"]);
    assert_eq!(held(Some("pull_request")), ["act/action.yml:5"]);
    assert_eq!(held(Some("push")), [""; 0]);
}

/// Changed at random from the cases we have, nothing panics and every place is in the file. The seed is fixed.
#[test]
fn no_text_makes_it_panic() {
    let texts: Vec<(Kind, Vec<char>)> = cases().iter().map(|(_, path)| (kind(path), read(path).text.chars().collect())).collect();
    let options = options();
    let mut random = Random(0x5eed);
    for _ in 0..3_000 {
        let (kind, mut text) = texts[random.below(texts.len())].clone();
        for _ in 0..=random.below(4) {
            mutate(&mut text, &mut random);
        }
        let source = Source::new("mutant.yml", text.into_iter().collect::<String>());
        for finding in lint(&source, kind, &options) {
            let fixed = apply(&source.text, finding.fix.as_slice());
            assert!(source.text.get(finding.span.start..finding.span.end).is_some(), "{finding:?}\n{}", source.text);
            diff("mutant.yml", &source.text, &fixed);
        }
    }
}

fn said(source: &Source, kind: Kind, audit: &str) -> String {
    let mut text = String::new();
    for finding in of_audit(source, kind, audit) {
        let holds = if finding.holds { ", holds" } else { "" };
        let words = [format!("{:?}", finding.severity), format!("{:?}", finding.confidence), format!("{:?}", finding.persona)]
            .map(|word| word.to_lowercase());
        let _ = writeln!(text, "{} severity, {} confidence, {}{holds}", words[0], words[1], words[2]);
        let _ = writeln!(text, "{}\n", base::diagnostic::render(source, &[finding.diagnostic(Severity::Warning)], false));
        if let Some(fix) = &finding.fix {
            let shown = diff(&source.name, &source.text, &apply(&source.text, std::slice::from_ref(fix)));
            let _ = writeln!(text, "{shown}");
        }
    }
    text
}

fn of_audit(source: &Source, kind: Kind, audit: &str) -> Vec<Finding> {
    lint(source, kind, &options()).into_iter().filter(|finding| finding.audit == audit).collect()
}

fn options() -> Options {
    let forbidden = Pattern::parse("evil/*").map(|pattern| Forbidden::These(vec![pattern]));
    Options { persona: Persona::Auditor, forbidden, ..Options::default() }
}

fn kind(path: &Path) -> Kind {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match name.split(['-', '.']).next() {
        Some("action") => Kind::Action,
        Some("dependabot") => Kind::Dependabot,
        Some("precommit") => Kind::PreCommit,
        _ => Kind::Workflow,
    }
}

fn read(path: &Path) -> Source {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Source::new(name, fs::read_to_string(path).expect("testdata is readable"))
}

/// The audit a case is of, and its file.
fn cases() -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/lint");
    let list = |folder: &Path| -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> =
            fs::read_dir(folder).expect("testdata is readable").map(|entry| entry.expect("it is an entry").path()).collect();
        paths.sort();
        paths
    };
    let mut cases = Vec::new();
    for folder in list(&root) {
        let audit = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let files = list(&folder).into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "yml"));
        cases.extend(files.map(|path| (audit.clone(), path)));
    }
    cases
}

fn mutate(text: &mut Vec<char>, random: &mut Random) {
    const PIECES: [&str; 20] = [
        "${{",
        "}}",
        "'",
        "\"",
        ": ",
        "- ",
        "\n",
        "&a ",
        "*a",
        "|",
        ">",
        "#",
        "{",
        "}",
        "é",
        "😊",
        "$(",
        "`",
        "<<E\n",
        "# zizmor: ignore[artipacked]",
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

#[test]
fn an_edit_at_the_end_is_an_edit() {
    let fix = Fix { title: "end".to_owned(), edits: vec![workflow::lint::Edit { span: Span::new(1, 1), text: "b".to_owned() }] };
    assert_eq!(apply("a", &[fix]), "ab");
}
