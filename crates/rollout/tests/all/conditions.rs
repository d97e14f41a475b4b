//! Conditions, held against what the evaluator that Argo Rollouts uses says of the same: `testdata/foreign/conditions.tsv` has what was
//! measured, the condition, and Go's own answer (expr 1.17.7 with the functions that Argo adds).

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rollout::analysis::Phase;
use rollout::condition::{Condition, Value, measured};

/// What differs, and why it does.
const OTHERWISE: &[(&str, &str)] = &[
    ("now().Year() > 2000", "a condition has no clock"),
    ("duration(\"1h\").Hours() == 1", "a condition has no times"),
    ("date(\"2023-08-14\").Year() == 2023", "a condition has no times"),
    ("max(1, result) == 5", "there it is a panic: a whole number and another are compared as if they were of one type"),
    ("findIndex(result, # > 1) == -1", "there nothing is compared with a number as if it were one, and panics"),
    ("groupBy([1,2,3], # % 2 == 0)[true] == [2]", "the keys of a map are texts"),
];

#[test]
fn conditions_are_answered_as_there() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in include_str!("../../testdata/foreign/conditions.tsv").lines() {
        let [written, condition, expected] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("`{line}` has three columns") };
        let answer = Condition::parse(condition).and_then(|condition| condition.holds(&value(written)));
        let said = answer.as_ref().map_or("error".to_string(), bool::to_string);
        match OTHERWISE.iter().any(|(known, _)| *known == condition) {
            true => assert_ne!(said, expected, "`{condition}` no longer differs"),
            false if said != expected => wrong.push(format!("{line}\tsaid {answer:?}")),
            false => count += 1,
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count > 500, "{count} cases agree");
}

fn value(written: &str) -> Value {
    match written {
        "nothing" => Value::Nil,
        "NaN" => Value::Float(f64::NAN),
        "+Inf" => Value::Float(f64::INFINITY),
        "-Inf" => Value::Float(f64::NEG_INFINITY),
        _ => match written.strip_prefix("vector") {
            Some(numbers) => Value::Vector(numbers.split_whitespace().map(|it| it.parse().expect("it is a number")).collect()),
            None => Value::of_json(&serde_json::from_str(written).expect("it is JSON")),
        },
    }
}

#[test]
fn a_measurement_ends_as_its_conditions_say() {
    use Phase::{Error, Failed, Inconclusive, Successful};
    let table: &[(Option<&str>, Option<&str>, Value, Phase)] = &[
        (None, None, Value::Nil, Successful),
        (None, None, Value::Float(f64::NAN), Successful),
        (Some("result > 0.9"), None, Value::Float(0.95), Successful),
        (Some("result > 0.9"), None, Value::Float(0.5), Failed),
        (None, Some("result < 0.5"), Value::Float(0.95), Successful),
        (None, Some("result < 0.5"), Value::Float(0.4), Failed),
        (Some("result > 0.9"), Some("result < 0.5"), Value::Float(0.7), Inconclusive),
        (Some("result > 0.9"), Some("result < 0.5"), Value::Float(0.4), Failed),
        (Some("result > 0.9"), Some("result < 0.5"), Value::Float(0.95), Successful),
        (Some("result > 0.1"), Some("result > 0.2"), Value::Float(0.3), Failed),
        (Some("result[0] > 0.9"), None, Value::Vector(vec![]), Error),
        (Some("result > 0.9"), None, Value::Nil, Error),
        (Some("result > 0.9"), Some("result.x"), Value::Float(1.0), Error),
        (Some("result > 0.9"), None, Value::Float(f64::NAN), Failed),
        (None, Some("result > 0.9"), Value::Float(f64::NAN), Successful),
    ];
    for (success, failure, result, expected) in table {
        let parsed = |text: &Option<&str>| text.map(|text| Condition::parse(text).expect("it is a condition"));
        let (phase, message) = measured(parsed(success).as_ref(), parsed(failure).as_ref(), result);
        assert_eq!(phase, *expected, "{success:?} {failure:?} {result:?}");
        assert_eq!(message.is_some(), phase == Error, "an error says what is wrong");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let table = [
        ("result >= ", "the end is not expected, at character 11"),
        ("reslt > 1", "`reslt` isn't known, at character 1"),
        ("asfloat(result) > 1", "there is no function `asfloat`, at character 1"),
        ("result > 1 && 5", "true or false"),
        ("len(result) > '1'", "don't go together here, at character 13"),
        ("now() > 1", "a condition has no clock"),
        ("ä == 1", "`ä` isn't known"),
        ("'unended", "the text doesn't end with '"),
    ];
    for (condition, part) in table {
        let wrong = Condition::parse(condition).expect_err(condition).at(condition);
        assert!(wrong.contains(part) || wrong.contains("don't go together"), "`{condition}`: {wrong}");
    }
    assert_eq!(Condition::parse("reslt > 1").expect_err("it is wrong").hint.as_deref(), Some("did you mean `result`?"));
    assert_eq!(Condition::parse("asfloat(result) > 1").expect_err("it is wrong").hint.as_deref(), Some("did you mean `asFloat`?"));
}

/// Each of these would take minutes or gigabytes, or end the program, if it were followed.
#[test]
fn bombs_are_refused() {
    let nested = format!("{}result > 1{}", "(".repeat(5_000), ")".repeat(5_000));
    let signs = format!("{}true", "!".repeat(10_000));
    let chain = format!("true{}", " ? true : false".repeat(1_000));
    // A value in a value in a value has to be let go of again, too.
    let inside = "len(reduce(1..100000, [#acc], 1)) > 1";
    let doubling = format!("let x = [1, 1]; {} len(x) > 1", "let x = [x, x, x, x, x, x, x, x]; ".repeat(30));
    let copies = format!("len(map(1..50000, '{}')) > 1", "a".repeat(8_000));
    let patterns = format!("{}true", "'b' matches 'a' || ".repeat(65));
    let conditions = [
        r"string(result) matches `\w{300}`",
        &patterns,
        "any(1..100000, 'a' matches string(#))",
        &format!("let x = repeat('a', 1000); all(1..1000, x matches '{}')", "a*".repeat(100)),
        "trim(repeat('a', 400000), repeat('b', 400000)) == ''",
        &copies,
        "len(1..2000000000) > 1",
        "len(repeat('a', 1000000000)) > 1",
        "all(1..1000, all(1..1000, all(1..1000, # > 0)))",
        "len(reduce(1..1000, #acc + #acc, 'ab')) > 1",
        "len(replace(repeat('a', 100000), '', repeat('b', 100000))) > 1",
        "len(reduce(1..60, concat(#acc, #acc), [1])) > 1",
        "len(uniq(1..200000)) > 1",
        inside,
        &nested,
        &signs,
        &chain,
        &doubling,
        &"x".repeat(100_000),
    ];
    for condition in conditions {
        let answer = Condition::parse(condition).and_then(|condition| condition.holds(&Value::Float(2.0)));
        assert!(answer.is_err(), "`{}` is {answer:?}", &condition[..condition.len().min(60)]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, rng_seed: RngSeed::Fixed(2611), ..ProptestConfig::default() })]

    /// Whatever is written, there is an answer or a sentence.
    #[test]
    fn nothing_that_is_written_panics(condition in "[a-z0-9#.,;:!?|&<>=+*/%^'\"`(){}\\[\\] \\\\ä-]{0,40}", number in any::<f64>()) {
        if let Ok(condition) = Condition::parse(&condition) {
            let _ = condition.holds(&Value::Float(number));
            let _ = condition.holds(&Value::Nil);
            let _ = condition.holds(&Value::Vector(vec![number, 1.0]));
        }
    }

    #[test]
    fn words_of_the_language_in_any_order(words in proptest::collection::vec(proptest::sample::select(vec![
        "result", "#", "all(", "any(", "len(", "(", ")", "[", "]", "{", "}", ",", ".", "?.", "==", "<", "&&", "or", "not", "in", "1", "0.5", "'a'",
        "nil", "true", "let x =", ";", "x", "if", "else", "?", ":", "|", "??", "-", "..", "map(", "reduce(", "#acc", "slice",
    ]), 0..14)) {
        if let Ok(condition) = Condition::parse(&words.join(" ")) {
            for result in [Value::Nil, Value::Float(0.5), Value::Vector(vec![]), Value::Vector(vec![1.0]), Value::Text("a".to_string())] {
                let _ = condition.holds(&result);
            }
        }
    }
}

/// A test's thread has the 2 MiB that a server's have.
#[test]
fn a_condition_as_tall_as_can_be_is_walked_and_a_taller_one_refused() {
    let one = |text: &str| Condition::parse(text).and_then(|condition| condition.holds(&Value::Nil)).map_err(|wrong| wrong.message);
    let sum = |terms: usize| format!("{} > 0", vec!["1"; terms].join("+"));
    let nested = |terms: usize| format!("{}{}{} > 0", "[".repeat(50), vec!["1"; terms].join("+"), "][0]".repeat(50));
    assert_eq!((one(&sum(250)), one(&nested(140))), (Ok(true), Ok(true)));
    let refused = "a condition has 256 operators and names in a row at most";
    let many = 4_000;
    for text in [
        sum(many),
        nested(400),
        format!("result{}", ".a".repeat(many)),
        format!("result{}", "?.a".repeat(many)),
        format!("result{}", "[0]".repeat(many)),
        format!("1{}", "|abs()".repeat(2_500)),
        vec!["result"; 1_000].join(" not in "),
        format!("{}true", "result && ".repeat(1_500)),
    ] {
        assert_eq!(one(&text).unwrap_err(), refused, "{text:.60}");
    }
    // Beside each other is not in a row.
    assert_eq!(one(&format!("len([{}]) == 2000", "1+1,".repeat(2_000))), Ok(true));
}

#[test]
fn what_costs_too_much_is_said_in_words() {
    let said = |text: &str| Condition::parse(text).and_then(|condition| condition.holds(&Value::Nil)).unwrap_err();
    let large = said(r"result == nil && '' matches `\w{300}`");
    assert_eq!((large.message.as_str(), large.at), (r"`\w{300}` is too large a regular expression", 20));
    let many = vec!["'b' matches 'a'"; 65].join(" || ");
    assert_eq!(said(&many).message, "a condition has 64 regular expressions at most");
    let copies = format!("len(map(1..50000, '{}')) > 1", "a".repeat(8_000));
    assert_eq!(said(&copies).message, "the condition takes more than 1000000 steps");
    // A pattern that is computed is made once, however often it is asked.
    let once =
        Condition::parse("let p = string(result); all(1..1000, string(#) matches p)").and_then(|it| it.holds(&Value::Text(".".into())));
    assert_eq!(once, Ok(true));
    let long = format!("result == '{}' +", "x".repeat(5_000));
    assert!(said(&long).at(&long).len() < 600, "nobody reads all of it");
}
