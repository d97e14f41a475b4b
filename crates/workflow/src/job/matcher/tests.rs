//! The cases of `IssueMatcherL0.cs` and `OutputManagerL0.cs` of GitHub's runner, as tables.

use super::*;

fn file(matchers: &str) -> String {
    format!(r#"{{ "problemMatcher": [{matchers}] }}"#)
}

/// A matcher `m` with these patterns, and what else stands beside them.
fn matcher(rest: &str, patterns: &str) -> String {
    file(&format!(r#"{{ "owner": "m", {rest} "pattern": [{patterns}] }}"#))
}

#[test]
fn what_is_wrong_with_a_file_is_said() {
    let message = r#"{ "regexp": "^error: (.+)$", "message": 1 }"#;
    let repeating = r#"{ "regexp": "^error: (.+)$", "message": 1, "loop": true }"#;
    let cases = [
        // Config_Validate_Loop_MayNotBeSetOnSinglePattern
        (matcher("", repeating), "in the matcher `m`: only the last of several patterns may `loop`"),
        (matcher("", &format!(r#"{{ "regexp": "^file: (.+)$", "file": 1 }}, {repeating}"#)), ""),
        // Config_Validate_Loop_OnlyAllowedOnLastPattern
        (
            matcher(
                "",
                &format!(r#"{{ "regexp": "^(error)$", "severity": 1 }}, {{ "regexp": "^f(.+)$", "file": 1, "loop": true }}, {message}"#),
            ),
            "in the matcher `m`: only the last of several patterns may `loop`",
        ),
        (matcher("", &format!(r#"{{ "regexp": "^(error)$", "severity": 1 }}, {{ "regexp": "^f(.+)$", "file": 1 }}, {repeating}"#)), ""),
        // Config_Validate_Loop_MustSetMessage
        (
            matcher("", &format!(r#"{message}, {{ "regexp": "^file: (.+)$", "file": 1, "loop": true }}"#)),
            "in the matcher `m`: a pattern that loops has to have the `message`",
        ),
        // Config_Validate_Message_AllowedInFirstPattern
        (matcher("", &format!(r#"{message}, {{ "regexp": "^error: (.+)$", "file": 1 }}"#)), ""),
        // Config_Validate_Message_Required
        (matcher("", r#"{ "regexp": "^error: (.+)$", "file": 1 }"#), "in the matcher `m`: no pattern has a `message`"),
        // Config_Validate_Owner_Distinct
        (
            file(&format!(r#"{{ "owner": "myMatcher", "pattern": [{message}] }}, {{ "owner": "MYmatcher", "pattern": [{message}] }}"#)),
            "two matchers have the owner `MYmatcher`",
        ),
        // Config_Validate_Owner_Required
        (file(&format!(r#"{{ "owner": "", "pattern": [{message}] }}"#)), "a matcher has no `owner`"),
        // Config_Validate_Pattern_Required
        (matcher("", ""), "in the matcher `m`: there is no pattern"),
        // Config_Validate_PropertyMayNotBeSetTwice
        (
            matcher("", &format!(r#"{{ "regexp": "^s(.+)$", "file": 1 }}, {{ "regexp": "^f(.+)$", "file": 1 }}, {message}"#)),
            "in the matcher `m`: `file` is given twice",
        ),
        // Config_Validate_PropertyOutOfRange
        (
            matcher("", r#"{ "regexp": "^(.+)$", "message": 2 }"#),
            "in the matcher `m`: `message` is group 2, and the pattern has no such group",
        ),
        // Config_Validate_PropertyOutOfRange_LessThanZero
        (matcher("", r#"{ "regexp": "^(.+)$", "message": -1 }"#), "in the matcher `m`: `message` is not the number of a group"),
        // Beyond the runner's own cases.
        (matcher(r#""severity": "fatal","#, message), "in the matcher `m`: the severity `fatal` is neither error, warning nor notice"),
        (matcher(r#""Severity": "NOTICE","#, message), ""),
        ("{}".to_string(), ""),
        ("[".to_string(), "it is not JSON: EOF while parsing a list at line 1 column 1"),
    ];
    for (text, expected) in cases {
        assert_eq!(parse(&text).err().unwrap_or_default(), expected, "{text}");
    }
    let unreadable = parse(&matcher("", r#"{ "regexp": "(", "message": 0 }"#)).unwrap_err();
    assert!(unreadable.starts_with("in the matcher `m`: the pattern `(` can't be read"), "{unreadable}");
}

/// Each line with what it came to: `severity file(line,column) code [fromPath] message`, or `-`.
fn check(text: &str, cases: &[(&str, &str)]) {
    let mut active = Active::new(&parse(text).unwrap()[0]);
    for (line, expected) in cases {
        let seen = match active.advance(line).unwrap() {
            None => "-".to_string(),
            Some(found) => {
                let part = |property: usize| found[property].clone().unwrap_or_else(|| "_".to_string());
                let [file, line, column, severity, code, message, from] = std::array::from_fn(part);
                format!("{severity} {file}({line},{column}) {code} [{from}] {message}")
            }
        };
        assert_eq!(seen, *expected, "{line}");
    }
}

#[test]
fn one_pattern() {
    // Matcher_SinglePattern_DefaultSeverity
    check(
        &matcher(r#""severity": "warning","#, r#"{ "regexp": "^(ERROR)?(?: )?(.+): (.+)$", "severity": 1, "code": 2, "message": 3 }"#),
        &[("ABC: not-working", "warning _(_,_) ABC [_] not-working"), ("ERROR ABC: not-working", "ERROR _(_,_) ABC [_] not-working")],
    );
    // Matcher_MultiplePatterns_DefaultSeverityNotice
    check(
        &matcher(r#""severity": "notice","#, r#"{ "regexp": "^(.+)$", "message": 1 }"#),
        &[("just-a-notice", "notice _(_,_) _ [_] just-a-notice")],
    );
    // Matcher_SinglePattern_ExtractsProperties, Matcher_SinglePattern_DefaultFromPath
    let all = r#""file": 1, "line": 2, "column": 3, "severity": 4, "code": 5, "message": 6"#;
    let regexp = "^file:(.+) line:(.+) column:(.+) severity:(.+) code:(.+) message:(.+)";
    let line = "file:my-file.cs line:123 column:45 severity:real-bad code:uh-oh message:not-working";
    let with = &format!("{line} fromPath:my-project.proj");
    let own = format!(r#"{{ "regexp": "{regexp} fromPath:(.+)$", {all}, "fromPath": 7 }}"#);
    let default = r#""fromPath": "subdir/default-project.csproj","#;
    let expected = "real-bad my-file.cs(123,45) uh-oh [my-project.proj] not-working";
    check(&matcher("", &own), &[(with, expected)]);
    check(&matcher(default, &own), &[(with, expected)]);
    check(
        &matcher(default, &format!(r#"{{ "regexp": "{regexp}$", {all} }}"#)),
        &[(line, "real-bad my-file.cs(123,45) uh-oh [subdir/default-project.csproj] not-working")],
    );
}

#[test]
fn several_patterns() {
    // Matcher_MultiplePatterns_DefaultSeverity
    check(
        &matcher(
            r#""severity": "warning","#,
            r#"{ "regexp": "^(ERROR)?(?: )?(.+):$", "severity": 1, "code": 2 }, { "regexp": "^(.+)$", "message": 1 }"#,
        ),
        &[
            ("ABC:", "-"),
            ("not-working", "warning _(_,_) ABC [_] not-working"),
            ("ERROR ABC:", "-"),
            ("not-working", "ERROR _(_,_) ABC [_] not-working"),
        ],
    );
    let stages = |last: &str| {
        matcher(
            "",
            &format!(
                r#"{{ "regexp": "^(.+)$", "file": 1 }}, {{ "regexp": "^(.+)$", "code": 1 }}, {{ "regexp": "^message:(.+)$", "message": 1 {last} }}"#
            ),
        )
    };
    let accumulating = [("file1", "-"), ("code1", "-"), ("message:message1", "_ file1(_,_) code1 [_] message1")];
    let later = [
        ("abc", "-"),
        ("file2", "-"),
        ("code2", "-"),
        ("message:message2", "_ file2(_,_) code2 [_] message2"),
        ("abc", "-"),
        ("abc", "-"),
        ("file3", "-"),
        ("code3", "-"),
        ("message:message3", "_ file3(_,_) code3 [_] message3"),
    ];
    // Matcher_MultiplePatterns_Loop_AccumulatesStatePerLine
    let again = [("message:message1-2", "_ file1(_,_) code1 [_] message1-2")];
    check(&stages(r#", "loop": true"#), &[&accumulating[..], &again, &later].concat());
    // Matcher_MultiplePatterns_NonLoop_AccumulatesStatePerLine
    check(&stages(""), &[&accumulating[..], &later, &[("message:message3", "-")]].concat());
    // Matcher_MultiplePatterns_Loop_BrokenMatchClearsState
    check(
        &stages(r#", "loop": true"#),
        &[
            ("my-file.cs", "-"),
            ("real-bad", "-"),
            ("message:not-working", "_ my-file.cs(_,_) real-bad [_] not-working"),
            ("message:problem", "_ my-file.cs(_,_) real-bad [_] problem"),
            ("other-file.cs", "-"),
            ("message:not-good", "-"),
            ("message:broken", "_ other-file.cs(_,_) message:not-good [_] broken"),
        ],
    );
    // Matcher_MultiplePatterns_NonLoop_DoesNotLoop
    check(
        &matcher("", r#"{ "regexp": "^file:(.+)$", "file": 1 }, { "regexp": "^message:(.+)$", "message": 1 }"#),
        &[("file:my-file.cs", "-"), ("message:not-working", "_ my-file.cs(_,_) _ [_] not-working"), ("message:not-working", "-")],
    );
    // Matcher_MultiplePatterns_NonLoop_MatchClearsState
    check(
        &matcher("", r#"{ "regexp": "^(.+)$", "file": 1 }, { "regexp": "^(.+)$", "severity": 1 }, { "regexp": "^(.+)$", "message": 1 }"#),
        &[
            ("my-file.cs", "-"),
            ("real-bad", "-"),
            ("not-working", "real-bad my-file.cs(_,_) _ [_] not-working"),
            ("other-file.cs", "-"),
            ("not-good", "-"),
            ("broken", "not-good other-file.cs(_,_) _ [_] broken"),
        ],
    );
}

#[test]
fn several_patterns_with_every_property() {
    let last = |repeats: &str| {
        format!(
            r#"{{ "regexp": "^severity:(.+)$", "severity": 1 }}, {{ "regexp": "^line:(.+) column:(.+) code:(.+) message:(.+)$", "line": 1, "column": 2, "code": 3, "message": 4 {repeats} }}"#
        )
    };
    let from = r#"{ "regexp": "^file:(.+) fromPath:(.+)$", "file": 1, "fromPath": 2 },"#;
    let default = r#""fromPath": "subdir/default-project.csproj","#;
    let lines = |first: &'static str, expected: &'static str| {
        [(first, "-"), ("severity:real-bad", "-"), ("line:123 column:45 code:uh-oh message:not-working", expected)]
    };
    let (first, expected) = ("file:my-file.cs fromPath:my-project.proj", "real-bad my-file.cs(123,45) uh-oh [my-project.proj] not-working");
    // Matcher_MultiplePatterns_Loop_ExtractsProperties
    let again =
        [("line:345 column:67 code:failed message:cant-do-that", "real-bad my-file.cs(345,67) failed [my-project.proj] cant-do-that")];
    check(&matcher("", &format!("{from}{}", last(r#", "loop": true"#))), &[&lines(first, expected)[..], &again].concat());
    // Matcher_MultiplePatterns_NonLoop_ExtractsProperties
    let once = [("line:123 column:45 code:uh-oh message:not-working", "-")];
    check(&matcher("", &format!("{from}{}", last(""))), &[&lines(first, expected)[..], &once].concat());
    // Matcher_MultiplePatterns_DefaultFromPath
    let plain = r#"{ "regexp": "^file:(.+)$", "file": 1 },"#;
    let expected_default = "real-bad my-file.cs(123,45) uh-oh [subdir/default-project.csproj] not-working";
    check(&matcher(default, &format!("{plain}{}", last(""))), &lines("file:my-file.cs", expected_default));
    check(&matcher(default, &format!("{from}{}", last(""))), &lines(first, expected));
}

/// Each line with the message it became, or as it is shown.
fn read(matchers: &mut Matchers, lines: &[(&str, &str)]) {
    for (line, expected) in lines {
        let reading = matchers.read(line);
        let seen = reading.problem.map_or_else(|| format!("= {line}"), |problem| problem.annotation.message);
        assert_eq!(seen, *expected, "{line}");
    }
}

fn one(owner: &str, regexp: &str) -> Vec<Arc<ProblemMatcher>> {
    parse(&file(&format!(r#"{{ "owner": "{owner}", "pattern": [{{ "regexp": "{regexp}", "message": 1 }}] }}"#))).unwrap()
}

#[test]
fn several_matchers() {
    // InitialMatchers, AddMatcher_Prepend, AddMatcher_Clobber, RemoveMatcher
    let known = [one("my-matcher-1", "ERROR: (.+)"), one("my-matcher-2", "NOT GOOD: (.+)")].concat();
    let mut matchers = Matchers::new(&known);
    read(&mut matchers, &[("ERROR: message 1", "message 1"), ("NOT GOOD: message 2", "message 2")]);
    matchers.add(&one("new-matcher", "ERROR: (.+) END MESSAGE"));
    read(&mut matchers, &[("ERROR: message 3 END MESSAGE", "message 3"), ("ERROR: message 4", "message 4"), ("NOT GOOD: m", "m")]);
    matchers.add(&one("MY-matcher-1", "ERR: (.+)"));
    read(&mut matchers, &[("ERROR: message 4", "= ERROR: message 4"), ("ERR: message 5", "message 5")]);
    matchers.remove("My-Matcher-2");
    read(&mut matchers, &[("NOT GOOD: message", "= NOT GOOD: message")]);
    let later = removed(&added(&known, &one("MY-MATCHER-2", "(x)")), "my-matcher-1");
    assert_eq!(later.iter().map(|matcher| matcher.owner.as_str()).collect::<Vec<_>>(), ["MY-MATCHER-2"]);
    // ResetsOtherMatchers
    let both = r#"{ "owner": "1", "pattern": [{ "regexp": "Matches both line 1: .+" }, { "regexp": "Matches 1 only line 2: (.+)", "message": 1 }] },
        { "owner": "2", "pattern": [{ "regexp": "Matches both line 1: (.+)" }, { "regexp": "(.+)", "message": 1 }] }"#;
    let mut matchers = Matchers::new(&parse(&file(both)).unwrap());
    read(
        &mut matchers,
        &[
            ("Matches both line 1: hello", "= Matches both line 1: hello"),
            ("Matches 1 only line 2: it broke", "it broke"),
            ("regular message 1", "= regular message 1"),
            ("regular message 2", "= regular message 2"),
            ("Matches both line 1: hello again", "= Matches both line 1: hello again"),
            ("oh no, another error", "oh no, another error"),
        ],
    );
    // DoesNotResetMatchingMatcher
    let looping = matcher("", r#"{ "regexp": "Start: .+" }, { "regexp": "Error: (.+)", "message": 1, "loop": true }"#);
    read(
        &mut Matchers::new(&parse(&looping).unwrap()),
        &[
            ("Start: hello", "= Start: hello"),
            ("Error: it broke", "it broke"),
            ("Error: oh no", "oh no"),
            ("regular message 1", "= regular message 1"),
            ("Error: not good", "= Error: not good"),
            ("Start: hello again", "= Start: hello again"),
            ("Error: it broke again", "it broke again"),
        ],
    );
}

#[test]
fn what_is_found_becomes_a_remark() {
    let remark = |text: &str, line: &str| Matchers::new(&parse(text).unwrap()).read(line).problem.map(|problem| problem.annotation);
    // MatcherCode
    let code = matcher("", r#"{ "regexp": "(.*): (.+)", "code": 1, "message": 2 }"#);
    assert_eq!(remark(&code, "BAD: real bad").unwrap().code.as_deref(), Some("BAD"));
    assert_eq!(remark(&code, ": not working").unwrap().code, None);
    // MatcherLineColumn
    let places = matcher("", r#"{ "regexp": "\\((.+),(.+)\\): (.+)", "line": 1, "column": 2, "message": 3 }"#);
    let place = |line: &str| remark(&places, line).map(|remark| (remark.line, remark.column)).unwrap();
    assert_eq!(place("(12,34): real bad"), (Some(12), Some(34)));
    assert_eq!(place("(12,thirty-four): it is broken"), (Some(12), None));
    assert_eq!(place("(twelve,34): not working"), (None, Some(34)));
    // MatcherSeverity
    let severities = matcher("", r#"{ "regexp": "(.*): (.+)", "severity": 1, "message": 2 }"#);
    let level = |line: &str| remark(&severities, line).map(|remark| remark.level.word());
    let cases = [
        (": m", Some("error")),
        ("Error: m", Some("error")),
        ("WARNING: m", Some("warning")),
        ("notice: m", Some("notice")),
        ("jane.doe: m", None),
    ];
    for (line, expected) in cases {
        assert_eq!(level(line), expected, "{line}");
    }
    // MatcherFromPath, MatcherDefaultFromPath
    let from = matcher("", r#"{ "regexp": "(.+): (.+) \\[(.+)\\]", "file": 1, "message": 2, "fromPath": 3 }"#);
    let file = |line: &str| remark(&from, line).and_then(|remark| remark.file).unwrap();
    assert_eq!(file("dir/a.txt: e [app/app.proj]"), "app/dir/a.txt");
    assert_eq!(file("/abs/a.txt: e [app/app.proj]"), "/abs/a.txt");
    assert_eq!(file("a.txt: e [app.proj]"), "a.txt");
    // MatcherRemoveColorCodes
    let coloured = matcher("", r#"{ "regexp": "^the error: (.+)$", "message": 1 }"#);
    let problem =
        Matchers::new(&parse(&coloured).unwrap()).read("the error: \u{1b}[31mred, \u{1b}[1;31mbright red, \u{1b}[mreset").problem.unwrap();
    assert_eq!(
        (problem.annotation.message.as_str(), problem.line.as_str()),
        ("red, bright red, reset", "the error: red, bright red, reset")
    );
    assert_eq!(remark(&matcher("", r#"{ "regexp": "^x( *)$", "message": 1 }"#), "x  "), None);
}

#[test]
fn the_matchers_that_setup_actions_bring_along() {
    let cases = [
        // tsc
        (
            r#"{ "regexp": "^(?:\\s+\\d+\\>)?([^\\s].*)\\((\\d+|\\d+,\\d+|\\d+,\\d+,\\d+,\\d+)\\)\\s*:\\s+(error|warning|info)\\s+(\\w{1,2}\\d+)\\s*:\\s*(.*)$", "file": 1, "severity": 3, "code": 4, "message": 5 }"#,
            "  3>src/a.ts(4,5): error TS2304: Cannot find name 'x'.",
            "error src/a.ts TS2304 Cannot find name 'x'.",
        ),
        // go
        (
            r#"{ "regexp": "^\\s*(.+\\.go):(?:(\\d+):(\\d+):)? (.*)", "file": 1, "line": 2, "column": 3, "message": 4 }"#,
            "./main.go:3:9: undefined: x",
            "error ./main.go _ undefined: x",
        ),
        // A pattern that looks back and ahead, which the linear engine alone can't do.
        (r#"{ "regexp": "^(?!skip)(\\w+) \\1: (.*)$", "code": 1, "message": 2 }"#, "oh oh: twice", "error _ oh twice"),
    ];
    for (pattern, line, expected) in cases {
        let remark = Matchers::new(&parse(&matcher("", pattern)).unwrap()).read(line).problem.unwrap().annotation;
        let seen = [remark.level.word(), remark.file.as_deref().unwrap_or("_"), remark.code.as_deref().unwrap_or("_"), &remark.message];
        assert_eq!(seen.join(" "), expected);
    }
}

#[test]
fn a_pattern_that_never_ends_is_given_up() {
    let backtracking = matcher("", r#"{ "regexp": "^(?:(a)|a)*?(?:\\1|b)*(?<!x)c(.*)$", "message": 2 }"#);
    let mut matchers = Matchers::new(&parse(&backtracking).unwrap());
    let reading = matchers.read(&"a".repeat(20_000));
    assert_eq!((reading.given_up.as_slice(), matchers.is_empty()), (&["m".to_string()][..], true));
}
