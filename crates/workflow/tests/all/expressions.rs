//! What expressions yield: each line of `testdata/expressions` is an expression and, behind the arrow, its value or why it
//! has none. `UPDATE_EXPECT=1` writes what they yield now.

use std::fs;
use std::path::Path;

use serde_json::json;
use workflow::expr::{self, Object, Scope, Value};
use workflow::model::Template;

#[test]
fn every_line_yields_what_stands_behind_it() {
    for file in ["values.txt", "errors.txt"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/expressions").join(file);
        let text = fs::read_to_string(&path).expect("testdata is readable");
        let lines = text.lines().map(|line| line.split_once("  →  ").map_or(line, |(source, _)| source));
        let now: String = lines.map(|source| format!("{source}  →  {}\n", outcome(source))).collect();
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&path, &now).expect("testdata is writable");
        }
        assert_eq!(now, fs::read_to_string(&path).expect("testdata is readable"), "{file}");
    }
}

fn outcome(source: &str) -> String {
    match expr::evaluate_source(source, &Here) {
        Ok(Value::Number(number)) => Value::Number(number).text(),
        Ok(value) => value.to_json().to_string(),
        Err(error) => format!("{:?} error at {}..{}: {}", error.kind, error.span.start, error.span.end, error.message),
    }
}

#[test]
fn texts_and_templates() {
    let text = |text: &str| expr::interpolate(text, &Here).map_err(|error| error.message);
    assert_eq!(text("no expression, {braces} 'and' all"), Ok("no expression, {braces} 'and' all".to_owned()));
    assert_eq!(text("on ${{ github.ref }}, '{${{ 1 + 1 }}}'"), Err("unexpected `+`".to_owned()));
    assert_eq!(text("it's {${{ github.ref }}} at ${{ '}}' }}"), Ok("it's {refs/heads/main} at }}".to_owned()));
    assert_eq!(text("${{ github.event.commits }}"), Ok("Array".to_owned()));
    assert_eq!(text("${{ github.ref"), Err("this `${{` has no `}}` that closes it".to_owned()));
    assert_eq!(text("a ${{ }}"), Err("an expression was expected between `${{` and `}}`".to_owned()));

    let expr = |source: &str| Template::Expr { source: source.to_owned(), span: base::Span::default() };
    let template = Template::Mapping(vec![
        (Template::String("first".to_owned()), Template::Sequence(vec![Template::Number(1.0), expr("true")])),
        (expr("insert"), expr("fromJSON('{\"x\": 1, \"y\": null}')")),
        (expr("format('k{0}', 1)"), expr("github.ref")),
    ]);
    let value = expr::evaluate_template(&template, &Here).expect("it has a value");
    assert_eq!(value.to_json(), json!({"first": [1, true], "x": 1, "y": null, "k1": "refs/heads/main"}));
    let twice = Template::Mapping(vec![(Template::String("a".to_owned()), Template::Null), (expr("'A'"), Template::Null)]);
    assert_eq!(expr::evaluate_template(&twice, &Here).map_err(|error| error.message), Err("the key `A` is given twice".to_owned()));
}

#[test]
fn what_an_expression_uses() {
    let expr = expr::parse("Github.ref == env.X && (SUCCESS() || contains(needs.*.result, 'failure'))").expect("it is one");
    let sorted = |set: std::collections::BTreeSet<String>| set.into_iter().collect::<Vec<String>>();
    assert_eq!(sorted(expr.contexts()), ["env", "github", "needs"]);
    assert_eq!(sorted(expr.functions()), ["contains", "success"]);
    assert!(expr.uses_status_function());
    assert!(!expr::parse("contains(github.success, 'success()')").expect("it is one").uses_status_function());
}

/// What differs between GitHub's two implementations, as its runner has it: each case with the file of the runner, or of
/// the library that it reads JSON with, that says so.
#[test]
fn where_implementations_differ_the_runner_is_followed() {
    let cases = [
        ("github == GitHub", "true", "Expressions/ExpressionParser.cs"),
        ("GITHUB.event >= github.Event", "true", "Expressions/ExpressionParser.cs"),
        ("contains(github, fromJSON('no'))", "false", "Functions/Contains.cs"),
        ("contains(fromJSON('[]'), fromJSON('no'))", "false", "Functions/Contains.cs"),
        ("startsWith(github, fromJSON('no'))", "false", "Functions/StartsWith.cs"),
        ("endsWith(github, fromJSON('no'))", "false", "Functions/EndsWith.cs"),
        ("join('a', fromJSON('no'))", "a", "Functions/Join.cs"),
        ("join(github, fromJSON('no'))", "", "Functions/Join.cs"),
        ("join(fromJSON('[1]'), fromJSON('no'))", "1", "Functions/Join.cs"),
        ("join(fromJSON('[1, 2]'), fromJSON('no'))", "an error", "Functions/Join.cs"),
        ("format('{0:}', 'a')", "a", "Functions/Format.cs"),
        ("format('{0:}}}', 'a')", "an error", "Functions/Format.cs"),
        ("format('{0:x}', 'a')", "an error", "Functions/Format.cs"),
        ("format('{0 }', 'a')", "an error", "Functions/Format.cs"),
        ("github['ref'][fromJSON('no')]", "", "Operators/Index.cs"),
        ("github[* == 'x']", "", "Tokens/LexicalAnalyzer.cs"),
        ("join('a',)", "an error", "Tokens/LexicalAnalyzer.cs"),
        ("'a''b''c'", "a'b'c", "Tokens/LexicalAnalyzer.cs"),
        ("'ß' > 'true'", "true", "Expressions/EvaluationResult.cs"),
        ("fromJSON('010')", "8", "JsonTextReader.cs"),
        ("fromJSON('08')", "an error", "JsonTextReader.cs"),
        ("fromJSON('0XFFFFFFFF')", "4294967295", "JsonTextReader.cs"),
        ("fromJSON('0xFFFFFFFFFFFFFFFF')", "-1", "JsonTextReader.cs"),
        ("fromJSON('0o17')", "an error", "JsonTextReader.cs"),
        ("fromJSON('-010')", "-10", "JsonTextReader.cs"),
        ("fromJSON('.5')", "0.5", "JsonTextReader.cs"),
        ("fromJSON('1,2')", "1", "JsonTextReader.cs"),
        ("fromJSON('1 apple')", "1", "JsonTextReader.cs"),
        ("fromJSON('1\"apple\"')", "an error", "JsonTextReader.cs"),
        ("fromJSON('true/**/')", "true", "JsonTextReader.cs"),
        ("fromJSON('true)')", "an error", "JsonTextReader.cs"),
        ("fromJSON('-Infinity')", "-Infinity", "JsonTextReader.cs"),
        ("fromJSON('infinity')", "an error", "JsonTextReader.cs"),
        ("toJSON(fromJSON('undefined'))", "\"\"", "Data/JTokenExtensions.cs"),
        ("join(fromJSON('[1,,2]'), '-')", "1--2", "JsonTextReader.cs"),
        ("join(fromJSON('{\"a\": 1, \"A\": 2, \"a\": 3}').*)", "2", "Data/JTokenExtensions.cs"),
    ];
    for (source, expected, says) in cases {
        let outcome = expr::evaluate_source(source, &Here).map_or_else(|_| "an error".to_owned(), |value| value.text());
        assert_eq!(outcome, expected, "{source}, by {says}");
    }
}

/// However it is written, an expression costs little.
#[test]
fn expressions_are_bounded() {
    let doubled = |source: &str| format!("format('{{0}}{{0}}{{0}}{{0}}{{0}}{{0}}{{0}}{{0}}{{0}}{{0}}', {source})");
    let mut source = "'xxxxxxxxxx'".to_owned();
    for _ in 0..12 {
        source = doubled(&source);
    }
    let error = expr::evaluate_source(&source, &Here).expect_err("it would be ten million megabytes");
    assert_eq!(error.message, "the expression needs more than 1024 KiB of memory");
    let parentheses = format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000));
    assert_eq!(expr::evaluate_source(&parentheses, &Here), Ok(Value::Number(1.0)));
    let chain = vec!["1"; 5_000].join(" < ");
    assert_eq!(expr::parse(&chain).expect_err("it is deep").message, "an expression is at most 50 levels deep");
    let long = format!("'{}'", "x".repeat(21_000));
    assert_eq!(expr::parse(&long).expect_err("it is long").message, "an expression has at most 21000 characters");
    let nested = format!("fromJSON('{}')", "[".repeat(20_000));
    assert_eq!(expr::evaluate_source(&nested, &Here).expect_err("it is deep").kind, expr::ErrorKind::Evaluation);
}

struct Here;

impl Scope for Here {
    fn context(&self, name: &str) -> Option<Value> {
        match name.to_lowercase().as_str() {
            "github" => Some(Value::from_json(&json!({
                "ref": "refs/heads/main",
                "id": 7,
                "event": {
                    "commits": [{"id": "one", "tags": ["v1", "v2"]}, {"id": "two", "tags": []}, "three"],
                    "pusher": {"name": "ada"},
                    "repository": {"name": "shop", "id": 1},
                },
            }))),
            "env" => {
                let mut env = Object::case_sensitive();
                env.insert("Path", Value::from("mixed"));
                env.insert("PATH", Value::from("upper"));
                Some(Value::object(env))
            }
            _ => None,
        }
    }

    fn call(&self, function: &str, _: &[Value]) -> Option<Result<Value, String>> {
        match function {
            "success" | "always" => Some(Ok(Value::Bool(true))),
            "hashFiles" => Some(Err("there is no workspace".to_owned())),
            _ => None,
        }
    }
}
