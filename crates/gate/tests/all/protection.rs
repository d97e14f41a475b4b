//! What forges say of a branch and of a commit, and what is made of it.

use gate::protection::{Branch, Protection, Ran, Requires, Reviews, State, branch, brings_more, reviews, rules, runs, statuses};
use gate::slo::WhenUnknown;
use gate::{Answers, GatePlan};

/// `head protected by GitHub, requires build (app 7)`; or why it is no branch.
fn check(text: &str, expected: &str) {
    let said = match branch(text) {
        Ok(told) => {
            let one = |it: &Requires| {
                format!("{}{}{}", it.check, it.app.map_or(String::new(), |app| format!("@{app}")), if it.is_pattern { "~" } else { "" })
            };
            let requires: Vec<String> = told.requires.iter().map(one).collect();
            format!("{} {} {} [{}]", told.head, told.protected, if told.is_github { "github" } else { "gitea" }, requires.join(" "))
        }
        Err(why) => why,
    };
    assert_eq!(said, expected, "{text}");
}

#[test]
fn a_branch_of_github() {
    let answer = |required: &str| {
        format!(
            r#"{{"name": "main", "commit": {{"sha": "abc"}}, "protected": true, "protection": {{"enabled": true, "required_status_checks": {required}}}, "protection_url": "u"}}"#
        )
    };
    let required = r#"{"enforcement_level": "non_admins", "contexts": ["build", "test", "old"], "checks": [{"context": "build", "app_id": 7}, {"context": "test", "app_id": null}]}"#;
    check(&answer(required), "abc true github [build@7 test old]");
    check(&answer(&required.replace("non_admins", "off")), "abc true github []");
    check(
        &answer(r#"{"enforcement_level": "everyone", "contexts": [], "checks": [{"context": "any", "app_id": -1}]}"#),
        "abc true github [any]",
    );
    check(r#"{"commit": {"sha": "abc"}, "protected": false, "protection": {"enabled": false}}"#, "abc false github []");
}

#[test]
fn a_branch_of_gitea() {
    let answer = |protected: bool, enabled: bool, contexts: &str| {
        format!(
            r#"{{"name": "main", "commit": {{"id": "abc"}}, "protected": {protected}, "enable_status_check": {enabled}, "status_check_contexts": {contexts}}}"#
        )
    };
    check(&answer(true, true, r#"["ci/*", "lint"]"#), "abc true gitea [ci/*~ lint~]");
    check(&answer(true, true, "[]"), "abc true gitea [*~]");
    check(&answer(true, false, r#"["ci/*"]"#), "abc true gitea []");
    check(&answer(false, false, "null"), "abc false gitea []");
}

#[test]
fn what_is_no_branch_is_unknown() {
    check("", "what answers is no JSON: EOF while parsing a value at line 1 column 0");
    check("[]", "what answers is no branch: it has no `commit`, or does not say whether it is `protected`");
    check(
        r#"{"commit": {"sha": "a"}, "protected": "yes"}"#,
        "what answers is no branch: it has no `commit`, or does not say whether it is `protected`",
    );
    let silent = "what answers does not say which checks the branch requires";
    check(r#"{"commit": {"sha": "a"}, "protected": true, "protection": {"enabled": true}}"#, silent);
    check(r#"{"commit": {"sha": "a"}, "protected": true, "protection_url": "u"}"#, silent);
    let required =
        |it: &str| format!(r#"{{"commit": {{"sha": "a"}}, "protected": true, "protection": {{"required_status_checks": {it}}}}}"#);
    check(&required(r#"{"contexts": ["build"]}"#), "a true github [build]");
    check(&required(r#"{"contexts": [7]}"#), silent);
    check(&required(r#"{"contexts": [], "checks": [{}]}"#), silent);
    check(&required(r#"{"contexts": [], "checks": [{"context": "build", "app_id": "7"}]}"#), silent);
    check(r#"{"commit": {"id": "a"}, "protected": true, "enable_status_check": true, "status_check_contexts": [7]}"#, silent);

    check(r#"{"commit": {"id": "a"}, "protected": true}"#, "what answers is no branch of GitHub, Gitea or Forgejo");
}

#[test]
fn rules_of_github_protect_too() {
    let list = r#"[{"type": "deletion"}, {"type": "required_status_checks", "parameters": {"required_status_checks": [{"context": "build", "integration_id": 7}, {"context": "test"}]}}]"#;
    let none = || branch(r#"{"commit": {"sha": "abc"}, "protected": false, "protection": {"enabled": false}}"#).expect("a branch");
    let with = |list: &str| {
        let mut told = none();
        rules(list, &mut told).map(|()| told)
    };
    let told = with(list).expect("they are rules");
    assert!(
        told.protected && told.requires.iter().map(|it| (it.check.as_str(), it.app)).eq([("build", Some(7)), ("test", None)]),
        "{told:?}"
    );
    assert_eq!(with(r#"[{"type": "deletion"}]"#), Ok(none()));
    assert_eq!(with("[]"), Ok(none()));
    assert_eq!(with("{}"), Err("what answers is no list of rules".to_string()));
    assert!(with(r#"[{"type": "required_status_checks"}]"#).is_err(), "it does not say which");
    assert!(with(&format!("[{}]", vec!["{}"; 100].join(","))).is_err(), "there may be more on the next page");
    let asks = |count: u64| format!(r#"{{"type": "pull_request", "parameters": {{"required_approving_review_count": {count}}}}}"#);
    assert_eq!(with(&format!("[{}, {}]", asks(2), asks(1))).map(|told| (told.reviews, told.tells_reviews)), Ok((2, true)));
}

#[test]
fn reviews_that_are_required() {
    assert_eq!(reviews(r#"{"required_pull_request_reviews": {"required_approving_review_count": 2}}"#), Ok(2));
    assert_eq!(reviews(r#"{"url": "u"}"#), Ok(0));
    for not in ["[]", r#"{"required_pull_request_reviews": {}}"#, "{"] {
        assert!(reviews(not).is_err(), "{not}");
    }
    let branch = Branch { reviews: Some(Reviews { required: 0, asked: 1 }), ..Branch::of("main", true, None, &[], &[]) };
    assert_eq!(branch.against(), ["branch main requires 0 reviews, at least 1 is asked"]);
}

fn said(ran: &[Ran]) -> String {
    ran.iter().map(|ran| format!("{} {:?}", ran.check, ran.state)).collect::<Vec<_>>().join(", ")
}

#[test]
fn reports_of_a_commit() {
    let run = |name: &str, status: &str, conclusion: &str| {
        format!(r#"{{"name": "{name}", "status": "{status}", "conclusion": {conclusion}, "app": {{"id": 7}}}}"#)
    };
    let all = [
        run("a", "completed", "\"success\""),
        run("b", "completed", "\"skipped\""),
        run("c", "completed", "\"cancelled\""),
        run("d", "in_progress", "null"),
        run("e", "completed", "null"),
    ];
    let page = runs(&format!(r#"{{"total_count": 9, "check_runs": [{}]}}"#, all.join(","))).expect("a page");
    assert_eq!((said(&page.ran).as_str(), page.total, page.ran[0].app), ("a Passed, b Passed, c Failed, d Pending, e Failed", 9, Some(7)));
    for (key, word) in [("state", "github"), ("status", "gitea")] {
        let one = |at: &str, state: &str| format!(r#"{{"context": "{at}", "{key}": "{state}"}}"#);
        let all = [one("a", "success"), one("b", "pending"), one("c", "error"), one("d", "warning")].join(",");
        let page = statuses(&format!(r#"{{"state": "failure", "total_count": 4, "statuses": [{all}]}}"#)).expect("a page");
        assert_eq!(said(&page.ran), "a Passed, b Pending, c Failed, d Failed", "{word}");
    }
    assert_eq!(statuses("").expect("nobody reported"), statuses(r#"{"total_count": 0, "statuses": null}"#).expect("nobody reported"));
    for not in ["{}", "[]", r#"{"statuses": [{}], "total_count": 1}"#, r#"{"statuses": []}"#] {
        assert!(statuses(not).is_err() && runs(&not.replace("statuses", "check_runs")).is_err(), "{not}");
    }
    assert_eq!((brings_more(r#"{"total_commits": 0}"#), brings_more(r#"{"total_commits": 2}"#)), (Ok(false), Ok(true)));
    assert!(brings_more("{}").is_err());
}

#[test]
fn a_check_is_as_bad_as_its_worst_report() {
    let ran = |check: &str, app, state| Ran { check: check.to_string(), app, state };
    let reports = [
        ran("build", Some(7), State::Passed),
        ran("build", None, State::Failed),
        ran("ci/a", None, State::Passed),
        ran("ci/b", None, State::Pending),
    ];
    let state = |requires: Requires| Branch::of("main", true, None, &[requires], &reports).required_checks[0].state;
    let pattern = |check: &str| Requires { is_pattern: true, ..Requires::plain(check) };
    assert_eq!(state(Requires::plain("build")), State::Failed);
    assert_eq!(state(Requires { app: Some(7), ..Requires::plain("build") }), State::Passed, "whoever else uses its name");
    assert_eq!(state(Requires { app: Some(8), ..Requires::plain("build") }), State::Absent);
    assert_eq!(
        (state(Requires::plain("ci/*")), state(pattern("ci/*")), state(pattern("*/a"))),
        (State::Absent, State::Pending, State::Passed)
    );
    assert_eq!((state(pattern("c*i")), state(pattern("build*")), state(pattern("*u*l*"))), (State::Absent, State::Failed, State::Failed));
    let twice = [Requires { app: Some(7), ..Requires::plain("build") }, Requires::plain("build")];
    let branch = Branch::of("main", false, None, &twice, &reports);
    assert_eq!(branch.against(), ["branch main is not protected", "the required check `build` has failed"]);
}

#[test]
fn what_nobody_looked_at_is_unknown() {
    let protection =
        |unknown| Protection { url: "https://forge/repos/a/b".to_string(), token: None, unknown, checks: Vec::new(), reviews: None };
    for (unknown, waits) in [(WhenUnknown::Hold, true), (WhenUnknown::Deny, false), (WhenUnknown::Allow, false)] {
        let plan = GatePlan { protection: Some(protection(unknown)), ..GatePlan::default() };
        let known = plan.assess(&Answers::default());
        assert_eq!((known.protection_unknown.as_deref(), known.protection.is_none()), (Some("nobody has looked yet"), true));
        assert_eq!(plan.waits(&known), waits);
        assert_eq!(plan.asks().as_deref(), Some("how the branch is protected"));
    }
    let asks_nobody = GatePlan::default().assess(&Answers::default());
    assert!(asks_nobody.protection.is_none() && asks_nobody.protection_unknown.is_none());
}
