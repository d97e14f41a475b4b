//! Random expressions, and whether ours and GitHub's other implementation agree about them; `e2e/expressions/run.sh` drives it.
//!
//! `expressions write COUNT SEED` writes contexts and expressions, one JSON a line, to standard output.
//! `expressions compare EXPRESSIONS OUTCOMES` evaluates each, prints those that come out otherwise than they should, and fails
//! if there are any: as the other implementation has it, once the points where that one differs from the runner are put right.

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
            source = spoilt(&mut random, &source);
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
    let (mut count, mut different, mut explained, mut errors) = (0, 0, 0, 0);
    let mut points: BTreeMap<String, usize> = BTreeMap::new();
    for (expression, outcomes) in expressions.zip(lines(outcomes)?) {
        let (source, context): (String, usize) = serde_json::from_str(&expression?)?;
        let (theirs, right, by): (Outcome, Outcome, Vec<String>) = serde_json::from_str(&outcomes?)?;
        let ours = outcome(&source, &contexts[context]);
        count += 1;
        errors += usize::from(right.0 == "error");
        explained += usize::from(!by.is_empty());
        by.into_iter().for_each(|point| *points.entry(point).or_insert(0) += 1);
        if ours != right {
            different += 1;
            if different <= SHOWN_MAX {
                writeln!(out, "{source}\n  in context {context}\n  ours:   {ours:?}\n  theirs: {theirs:?}\n  right:  {right:?}")?;
            }
        }
    }
    for (point, count) in points {
        writeln!(out, "{count:>8} by {point}")?;
    }
    writeln!(out, "{explained:>8} where the reference differs from the runner, for one or more of these points")?;
    writeln!(out, "{count} expressions, {errors} of them without a value, {different} come out otherwise than they should")?;
    Ok(if different == 0 && count > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A kind and a value, or what kind of error it is.
type Outcome = (String, String);

fn outcome(source: &str, contexts: &Json) -> Outcome {
    let scope = Here(contexts);
    let (kind, text) = match expr::evaluate_source(source, &scope) {
        Ok(Value::Null) => ("null", String::new()),
        Ok(value @ Value::Bool(_)) => ("boolean", value.text()),
        Ok(value @ Value::Number(_)) => ("number", value.text()),
        Ok(value @ Value::String(_)) => ("string", value.text()),
        Ok(Value::Array(_)) => ("array", written(source, &scope)),
        Ok(Value::Object(_)) => ("object", written(source, &scope)),
        // The runner doesn't tell what isn't made of tokens from tokens that make no expression.
        Err(error) if error.kind == ErrorKind::Evaluation => ("error", "no value".to_owned()),
        Err(_) => ("error", "no expression".to_owned()),
    };
    (kind.to_owned(), text)
}

fn written(source: &str, scope: &dyn Scope) -> String {
    expr::evaluate_source(&format!("toJSON({source})"), scope).map_or_else(|error| error.message, |value| value.text())
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
            let gap = if random.below(200) == 0 { random.of(&["\n", "\u{a0}", "\u{85}", "\u{feff}"]) } else { random.of(&["", " ", "  "]) };
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
    let mut arguments = |random: &mut Random, count: usize| {
        let arguments = (0..count).map(|_| inner(random)).collect::<Vec<_>>().join(", ");
        if random.below(200) == 0 { arguments + "," } else { arguments }
    };
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
                "'{0:}'",
                "'{0:}}}'",
                "'{0:x}'",
                "'{0 }'",
                "'{256}'",
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
                "010",
                "08",
                "0xffffffff",
                "0X1F",
                "-010",
                "undefined",
                "[1,,2]",
                "1 2",
                "1]",
                "true}",
                "trueish",
                "\"\\u0001\\u007f\\u0085\\u2028\\/\\b\"",
                "\u{a0}1\u{85}",
                "\u{feff}1",
                "{a:''b'',\"c\" :-Infinity,}",
                "{\"a\":1,\"A\":2,\"a\":3}",
            ];
            format!("fromJSON('{}')", random.of(&texts))
        }
        "fromJSON" if random.below(2) == 0 => format!("fromJSON(toJSON({}))", arguments(random, 1)),
        "fromJSON" => format!("fromJSON({})", arguments(random, 1)),
        "case" => {
            let mut pairs = String::new();
            for _ in 0..=random.below(2) {
                let predicate = arguments(random, 1);
                let compared = if random.below(4) > 0 { format!(" == {}", arguments(random, 1)) } else { String::new() };
                pairs += &format!("{predicate}{compared}, {}, ", arguments(random, 1));
            }
            format!("case({pairs}{})", arguments(random, 1))
        }
        name => format!("{name}({})", arguments(random, 2)),
    }
}

fn literal(random: &mut Random) -> String {
    if random.below(100) == 0 {
        return random.of(&["True", "NULL", "0XFF", "-0x1", "0b1", "1_000", "0x1ffffffff"]).to_owned();
    }
    let literals = [
        "null",
        "true",
        "false",
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
        "0o17",
        "NaN",
        "Infinity",
        "-Infinity",
        "+1",
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
        "'infinity'",
        "'+INFINITY'",
        "'0XFF'",
        "0xffffffff",
        "0o37777777777",
        "1e-5",
        "0.0001",
        "999999999999999.9",
        "'''a'''",
        "'SS'",
        "'ǆ'",
        "'ǅ'",
        "'ﬁ'",
        "'\u{a0}7\u{85}'",
        "'\u{feff}7'",
        "'ſ'",
        "'Σ'",
        "'ς'",
        "'i̇'",
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
        if random.below(500) == 0 {
            path += random.of(&["[* == 'name']", "[*.x]", "[*[0]]"]);
        }
        path += random.of(&[
            ".ref", ".run_id", ".actor", ".event", ".labels", ".name", ".id", ".*", "[*]", "[0]", "[1]", "[-1]", "[1.9]", "['name']",
            "['NAME']", ".list", ".os", ".node", ".x", ".y", ".A", ".a", ".hex", ".space", ".text", "['2']", "[true]", "[null]", ".number",
            ".draft", "[ 'y' ]", ".*.name", ".*.*", "[99]", "['1']", "[4]",
        ]);
    }
    path
}

/// With a character put in, taken out or doubled; nothing at all is no expression that anybody evaluates.
fn spoilt(random: &mut Random, source: &str) -> String {
    const PUT_IN: [&str; 22] =
        ["'", "(", ")", "[", "]", ",", ".", "*", "!", "=", "&", "|", " ", "-", "+", "#", "$", "0", "e", "_", "\t", "\""];
    let places: Vec<(usize, char)> = source.char_indices().collect();
    let (at, letter) = places[random.below(places.len())];
    let mut spoilt = source.to_owned();
    match random.below(3) {
        0 if places.len() > 1 => drop(spoilt.remove(at)),
        1 => spoilt.insert_str(at, random.of(&PUT_IN)),
        _ => spoilt.insert(at, letter),
    }
    spoilt
}
