//! Random expressions, and whether ours and GitHub's own implementation agree about them; `e2e/expressions/run.sh` drives it.
//!
//! `expressions write COUNT SEED` writes contexts and expressions, one JSON a line, to standard output.
//! `expressions compare EXPRESSIONS OUTCOMES` evaluates each, prints those that come out otherwise, and fails if there are any.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, BufWriter, Error, Write};
use std::process::ExitCode;

use serde_json::{Value as Json, json};
use workflow::expr::{self, ErrorKind, Scope, Value};

fn main() -> Result<ExitCode, Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u64>().map_err(Error::other);
    match args.as_slice() {
        ["write", count, seed] => write(number(count)?, number(seed)?),
        ["compare", expressions, outcomes] => compare(expressions, outcomes),
        _ => Err(Error::other("`write COUNT SEED` or `compare EXPRESSIONS OUTCOMES` was expected")),
    }
}

fn write(count: u64, seed: u64) -> Result<ExitCode, Error> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    writeln!(out, "{}", contexts())?;
    let contexts = contexts().as_array().map_or(0, Vec::len);
    let mut random = Random(seed);
    for _ in 0..count {
        let depth = 1 + random.below(4);
        let mut source = expression(&mut random, depth);
        if random.below(25) == 0 {
            spoil(&mut random, &mut source);
        }
        writeln!(out, "{}", json!([source, random.below(contexts)]))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn compare(expressions: &str, outcomes: &str) -> Result<ExitCode, Error> {
    const SHOWN_MAX: usize = 40;
    let lines = |path: &str| Ok::<_, Error>(BufReader::new(std::fs::File::open(path)?).lines());
    let mut expressions = lines(expressions)?;
    let contexts: Json = serde_json::from_str(&expressions.next().unwrap_or_else(|| Ok("[]".to_owned()))?)?;
    let mut out = std::io::stdout().lock();
    let (mut count, mut different, mut errors) = (0, 0, 0);
    let mut explained: BTreeMap<&str, usize> = BTreeMap::new();
    for (expression, theirs) in expressions.zip(lines(outcomes)?) {
        let (source, context): (String, usize) = serde_json::from_str(&expression?)?;
        let theirs: (String, String) = serde_json::from_str(&theirs?)?;
        let ours = outcome(&source, &contexts[context]);
        count += 1;
        errors += usize::from(theirs.0 == "error");
        let is_structure = matches!(theirs.0.as_str(), "array" | "object");
        let same = ours.0 == theirs.0 && if is_structure { same_json(&ours.1, &theirs.1) } else { ours.1 == theirs.1 };
        if let Some(reason) = (!same).then(|| known(&source, &contexts[context], &ours, &theirs)).flatten() {
            *explained.entry(reason).or_insert(0) += 1;
        } else if !same {
            different += 1;
            if different <= SHOWN_MAX {
                writeln!(out, "{source}\n  in {}\n  ours:   {ours:?}\n  theirs: {theirs:?}", contexts[context])?;
            }
        }
    }
    for (reason, count) in explained {
        writeln!(out, "{count:>8} explained: {reason}")?;
    }
    writeln!(out, "{count} expressions, {errors} of them wrong ones, {different} come out otherwise than GitHub's own")?;
    Ok(if different == 0 && count > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Why the outcomes differ, where that is one of the reference's own peculiarities listed in `docs/expressions.md`.
fn known(source: &str, contexts: &Json, ours: &(String, String), theirs: &(String, String)) -> Option<&'static str> {
    let both = |kind: &str| ours.0 == kind && theirs.0 == kind;
    let lower = source.to_lowercase();
    if source.contains("0X") || lower.contains("0b") {
        return Some("JavaScript's number prefixes");
    }
    if lower.contains("123456789012345")
        || lower.contains("1e-7")
        || lower.contains("1.5e-7")
        || lower.contains("1e21")
        || lower.contains("github") && lower.contains("run_id")
    {
        return Some("how very large and small numbers are written");
    }
    if lower.contains("tojson") && ["infinity", "nan", "1e400"].iter().any(|text| lower.contains(text)) {
        return Some("what JSON can't say");
    }
    if lower.contains(r#"{"a":1,"a":2}"#) {
        return Some("keys that differ in case");
    }
    if lower.contains(r#"{"2":1,"1":2}"#) {
        return Some("keys made of digits");
    }
    if theirs.1 == "evaluation" && has_unneeded_mistake(source, contexts) {
        return Some("arguments that aren't needed");
    }
    if both("error") {
        return Some("which kind of error comes first");
    }
    if theirs.0 == "error" && theirs.1 == "evaluation" {
        if source.contains(")[") {
            return Some("an index of what has no items");
        }
        if lower.contains("fromjson") {
            return Some("JSON as .NET reads it");
        }
    }
    None
}

/// Whether an argument of `format` or `case` by itself is an error.
fn has_unneeded_mistake(source: &str, contexts: &Json) -> bool {
    let lower = source.to_ascii_lowercase();
    let calls = ["format(", "case("].into_iter().flat_map(|call| lower.match_indices(call).map(|(at, call)| at + call.len()));
    calls.into_iter().any(|at| arguments_of(&source[at..]).iter().any(|argument| outcome(argument, contexts).0 == "error"))
}

/// The arguments of a call, from behind its `(`.
fn arguments_of(text: &str) -> Vec<&str> {
    let (mut arguments, mut start, mut depth, mut quoted) = (Vec::new(), 0, 0, false);
    for (at, letter) in text.char_indices() {
        match letter {
            '\'' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' => depth += 1,
            ')' | ']' if depth == 0 => {
                arguments.push(&text[start..at]);
                break;
            }
            ')' | ']' => depth -= 1,
            ',' if depth == 0 => {
                arguments.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    arguments
}

fn same_json(ours: &str, theirs: &str) -> bool {
    serde_json::from_str::<Json>(ours).ok() == serde_json::from_str::<Json>(theirs).ok()
}

fn outcome(source: &str, contexts: &Json) -> (String, String) {
    let (kind, text) = match expr::evaluate_source(source, &Here(contexts)) {
        Ok(value) => match &value {
            Value::Null => ("null", value.text()),
            Value::Bool(_) => ("boolean", value.text()),
            Value::Number(_) => ("number", value.text()),
            Value::String(_) => ("string", value.text()),
            Value::Array(_) => ("array", value.to_json().to_string()),
            Value::Object(_) => ("object", value.to_json().to_string()),
        },
        Err(error) => (
            "error",
            match error.kind {
                ErrorKind::Lexing => "lexing",
                ErrorKind::Parsing => "parsing",
                ErrorKind::Evaluation => "evaluation",
            }
            .to_owned(),
        ),
    };
    (kind.to_owned(), text)
}

struct Here<'a>(&'a Json);

impl Scope for Here<'_> {
    fn context(&self, name: &str) -> Option<Value> {
        let (_, value) = self.0.as_object()?.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(Value::from_json(value))
    }

    fn call(&self, _: &str, _: &[Value]) -> Option<Result<Value, String>> {
        None
    }
}

fn contexts() -> Json {
    json!([
        {
            "github": {"ref": "refs/heads/main", "run_id": 17, "actor": "Ada", "event": {"labels": [{"name": "Bug", "id": 1}, {"name": "help wanted", "id": 2}, "odd", null], "number": -0.5, "draft": false, "null": null}},
            "matrix": {"os": "ubuntu-latest", "node": 20, "list": [1, "1", true, null, [1, 2], {"a": 1}]},
            "env": {"A": "1", "b": "", "hex": "0xff", "space": "  7 ", "text": "Türkiye İI ß"},
        },
        {
            "github": {"ref": "", "run_id": 1e21, "actor": null, "event": {"labels": [], "number": 1234567.125, "draft": true}},
            "matrix": {"os": ["a", "A", "b"], "node": "20", "list": {"x": {"y": [1, {"z": "deep"}]}, "w": {"y": "plain"}}},
            "env": {"A": "true", "b": "NaN", "hex": "-0x1", "space": "\t", "text": "{0} {{1}} }"},
        },
    ])
}

/// A generator of our own, so that a seed means the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }
}

fn expression(random: &mut Random, depth: usize) -> String {
    if depth == 0 {
        return if random.below(3) == 0 { path(random) } else { literal(random) };
    }
    let mut inner = |random: &mut Random| expression(random, depth - 1);
    match random.below(12) {
        0..4 => {
            let operator = random.of(&["==", "!=", "<", "<=", ">", ">=", "&&", "||"]);
            let gap = random.of(&["", " ", "  "]);
            let (left, right) = (inner(random), inner(random));
            // A sign behind an operator is a number's, so something has to stand between.
            format!("{left}{gap}{operator} {right}")
        }
        4 => format!("!{}", inner(random)),
        5 => format!("({})", inner(random)),
        6 => path(random),
        7 => literal(random),
        8 => format!("({})[{}]", inner(random), inner(random)),
        _ => call(random, &mut inner),
    }
}

fn call(random: &mut Random, inner: &mut dyn FnMut(&mut Random) -> String) -> String {
    let mut arguments = |random: &mut Random, count: usize| (0..count).map(|_| inner(random)).collect::<Vec<_>>().join(", ");
    let name = random.of(&["contains", "startsWith", "endsWith", "format", "join", "toJSON", "fromJSON", "case", "TOJSON", "Contains"]);
    // Now and then as many as it doesn't take.
    let stray = random.below(40) == 0;
    match name {
        _ if stray => {
            let count = random.below(5);
            format!("{name}({})", arguments(random, count))
        }
        "format" => {
            let template = random.of(&[
                "'{0}'",
                "'{0}-{1}'",
                "'{{{0}}}'",
                "'{1}{0}{1}'",
                "'}}{{'",
                "'{'",
                "'{2}'",
                "'{0'",
                "'{ 0}'",
                "'{00}'",
                "'{-1}'",
            ]);
            let count = 1 + random.below(2);
            format!("format({template}, {})", arguments(random, count))
        }
        "join" => {
            let count = 1 + random.below(2);
            format!("join({})", arguments(random, count))
        }
        "toJSON" | "TOJSON" => format!("{name}({})", arguments(random, 1)),
        "fromJSON" if random.below(3) > 0 => {
            let texts = [
                "1",
                "-0",
                "1e3",
                "1E400",
                "0.1",
                "01",
                "\"x\"",
                "\"\\u00e9\\n\"",
                "true",
                "nul",
                "[1,\"2\",null]",
                "[1,]",
                "{\"a\":{\"B\":[1,2]},\"c\":\"d\"}",
                "{\"a\":1,\"A\":2}",
                "{\"a\":1,\"a\":2}",
                "",
                " [ ] ",
                "{}",
                "NaN",
                "[[1],[2,[3]]]",
                "123456789012345678901234567890",
                "1.0",
                "-1.5e-7",
                "{\"2\":1,\"1\":2}",
            ];
            format!("fromJSON('{}')", random.of(&texts))
        }
        "fromJSON" => format!("fromJSON({})", arguments(random, 1)),
        "case" => {
            let count = 3 + 2 * random.below(2);
            format!("case({})", arguments(random, count))
        }
        name => format!("{name}({})", arguments(random, 2)),
    }
}

fn literal(random: &mut Random) -> String {
    let literals = [
        "null",
        "true",
        "false",
        "True",
        "NULL",
        "0",
        "-0",
        "1",
        "-1",
        "20",
        "17",
        "0.5",
        "-0.5",
        ".5",
        "5.",
        "1e3",
        "1E-7",
        "1e21",
        "123456789012345680000",
        "0xff",
        "0XFF",
        "-0x1",
        "0o17",
        "0b1",
        "NaN",
        "Infinity",
        "-Infinity",
        "+1",
        "1_000",
        "''",
        "' '",
        "'0'",
        "'1'",
        "'20'",
        "'true'",
        "'TRUE'",
        "'null'",
        "'it''s'",
        "'Bug'",
        "'bug'",
        "'a'",
        "'A'",
        "'1e3'",
        "'0xff'",
        "' 7 '",
        "'Infinity'",
        "'-0'",
        "'ubuntu'",
        "'latest'",
        "'ß'",
        "'ẞ'",
        "'ı'",
        "'İ'",
        "'é'",
        "'\u{1f600}'",
        "'refs/heads/'",
        "'name'",
        "'.5'",
        "'5.'",
        "'0o17'",
        "'1,2'",
        "'Object'",
        "'Array'",
    ];
    random.of(&literals).to_owned()
}

fn path(random: &mut Random) -> String {
    let mut path = random
        .of(&["github", "GitHub", "matrix", "env", "github.event", "matrix.list", "github.event.labels", "env", "nothing"])
        .to_owned();
    if path == "nothing" && random.below(4) > 0 {
        path = "matrix".to_owned();
    }
    for _ in 0..random.below(4) {
        path += random.of(&[
            ".ref", ".run_id", ".actor", ".event", ".labels", ".name", ".id", ".*", "[*]", "[0]", "[1]", "[-1]", "[1.9]", "['name']",
            "['NAME']", ".list", ".os", ".node", ".x", ".y", ".A", ".a", ".hex", ".space", ".text", "['2']", "[true]", "[null]", ".number",
            ".draft", "[ 'y' ]", ".*.name", ".*.*", "[99]", "['1']", "[4]",
        ]);
    }
    path
}

/// Puts in, takes out or doubles a character.
fn spoil(random: &mut Random, source: &mut String) {
    let places: Vec<usize> = source.char_indices().map(|(at, _)| at).collect();
    let at = places[random.below(places.len())];
    match random.below(3) {
        0 => {
            source.remove(at);
        }
        1 => source.insert_str(
            at,
            random.of(&["'", "(", ")", "[", "]", ",", ".", "*", "!", "=", "&", "|", " ", "-", "+", "#", "$", "0", "e", "_", "\t", "\""]),
        ),
        _ => {
            let character = source[at..].chars().next().unwrap_or(' ');
            source.insert(at, character);
        }
    }
}
