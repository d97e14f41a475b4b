//! What people and servers write about incidents, and what is made of it; what becomes of what nobody looked at.

use gate::check::{Check, Checked, How};
use gate::incident::{Incidents, Source, read};
use gate::slo::WhenUnknown;
use gate::{Answers, Circumstances, GatePlan};

/// Of each that is open `PRIORITY ID title`; or why nobody knows.
fn check(text: &str, expected: &str) {
    let said = match read(text) {
        Ok(page) => {
            let open: Vec<String> = page.open.iter().map(|it| format!("{} {} {}", it.priority, it.id, it.title)).collect();
            format!("{}{}", open.join("; "), if page.more { " and more" } else { "" })
        }
        Err(why) => why,
    };
    assert_eq!(said, expected, "{text}");
}

#[test]
fn lists_and_answers_of_pagerduty_are_read() {
    check("[]", "");
    check(
        r#"[{"id": "INC-7", "title": "the shop is down", "priority": "P1"}, {"id": 8, "title": "mail", "priority": "P3"}]"#,
        "P1 INC-7 the shop is down; P3 8 mail",
    );
    check(r#"{"incidents": [], "more": false}"#, "");
    check(
        r#"{"incidents": [
            {"id": "Q1", "title": "a", "status": "triggered", "urgency": "high", "priority": {"summary": "P2"}, "html_url": "https://p/Q1"},
            {"id": "Q2", "title": "b", "status": "acknowledged", "urgency": "high", "priority": null},
            {"id": "Q3", "title": "c", "status": "resolved", "urgency": "high", "priority": {"summary": "P1"}}
        ], "limit": 3, "offset": 0, "more": true}"#,
        "P2 Q1 a; high Q2 b and more",
    );
    check(r#"[{"id": "a", "title": "t", "status": "Closed"}]"#, "");
}

#[test]
fn what_steers_a_terminal_or_never_ends_is_left_out() {
    check("[{\"id\": \"a\", \"title\": \"\\u001b[2J two\\nlines\\u0007\", \"priority\": \"P1\"}]", "P1 a [2J two lines");
    let long = "x".repeat(300);
    check(&format!(r#"[{{"id": "a", "title": "{long}", "priority": "P1"}}]"#), &format!("P1 a {}…", &long[..200]));
}

#[test]
fn what_can_not_be_read_is_no_empty_list() {
    check("{}", "what answers is no list of incidents, and has none as `incidents`");
    check("", "the list of incidents is no JSON: EOF while parsing a value at line 1 column 0");
    check(r#"[{"title": "t", "priority": "P1"}]"#, "the incident at place 1 of the list has no `id`");
    check(
        r#"[{"id": "a", "title": "t", "priority": "P1"}, {"id": "b", "title": "t"}]"#,
        "the incident at place 2 of the list has no `priority`, and no `urgency`",
    );
    check(r#"[7]"#, "the incident at place 1 of the list has no `id`");
    check(r#"{"error": {"message": "no"}}"#, "what answers is no list of incidents, and has none as `incidents`");
}

fn plan(unknown: WhenUnknown) -> GatePlan {
    let priorities = vec!["P1".to_string(), "high".to_string()];
    let check = |name: &str| Check { name: name.to_string(), how: How::Run("true".to_string()), timeout_ms: 1_000 };
    GatePlan {
        incidents: Some(Incidents { source: Source::Command("true".to_string()), token: None, unknown, priorities }),
        checks: vec![check("a"), check("b")],
        ..GatePlan::default()
    }
}

#[test]
fn a_priority_of_another_kind_is_not_passed_over() {
    let counts = |counting: &str, open: &str| {
        let mut plan = plan(WhenUnknown::Hold);
        plan.incidents.as_mut().unwrap().priorities = counting.split(' ').map(str::to_string).collect();
        let list = format!(r#"[{{"id": 7, "title": "t", "priority": {open}}}]"#);
        let known = plan.assess(&Answers { incidents: read(&list).map(|page| page.open), ..Answers::default() });
        known.incidents.map(|counted| counted.len()).ok_or_else(|| known.incidents_unknown.unwrap())
    };
    assert_eq!((counts("P1 P2", r#""P3""#), counts("P1 P2", r#""p2""#), counts("P1 high", r#""low""#)), (Ok(0), Ok(1), Ok(0)));
    for open in [r#""high""#, "1", r#""SEV1""#] {
        let why = counts("P1 P2", open).unwrap_err();
        assert!(
            why.starts_with("incident 7 has the priority ") && why.ends_with("`gate.incidents.priorities` names none of that kind"),
            "{why}"
        );
    }
}

#[test]
fn only_the_priorities_that_are_asked_for_count() {
    let open = r#"[{"id": "1", "title": "t", "priority": "p1"}, {"id": "2", "title": "t", "priority": "P2"}, {"id": "3", "title": "t", "urgency": "high"}]"#;
    let incidents = read(open).map(|page| page.open);
    let known = plan(WhenUnknown::Hold).assess(&Answers { incidents, ..Answers::default() });
    let ids: Vec<&str> = known.incidents.iter().flatten().map(|it| it.id.as_str()).collect();
    assert_eq!(ids, ["1", "3"]);
    let many: Vec<String> = (0..10_000).map(|at| format!(r#"{{"id": {at}, "title": "t", "priority": "P1"}}"#)).collect();
    let incidents = read(&format!("[{}]", many.join(","))).map(|page| page.open);
    let known = plan(WhenUnknown::Hold).assess(&Answers { incidents, ..Answers::default() });
    assert_eq!(known.incidents.map(|open| open.len()), Some(100), "a hundred are as good a no as all");
}

#[test]
fn what_nobody_looked_at_is_never_good() {
    let nothing = Answers { checks: vec![Checked::passed("b")], ..Answers::default() };
    let known = plan(WhenUnknown::Hold).assess(&nothing);
    assert_eq!((known.incidents.as_ref(), known.incidents_unknown.as_deref()), (None, Some("nobody has looked yet")));
    assert_eq!(known.checks, [Checked::failed("a", "it was not made"), Checked::passed("b")]);
    for (unknown, waits) in [(WhenUnknown::Hold, true), (WhenUnknown::Deny, false), (WhenUnknown::Allow, false)] {
        assert_eq!(plan(unknown).waits(&known), waits, "{unknown:?}");
    }
    assert_eq!(GatePlan::default().assess(&nothing), Circumstances::default(), "nobody asked");
    assert_eq!(GatePlan::default().asks(), None);
    assert_eq!(plan(WhenUnknown::Hold).asks().as_deref(), Some("which incidents are open, how 2 checks end"));
}

/// Plans and decisions of before say nothing of it, and are written as they were.
#[test]
fn older_plans_and_decisions_are_read_as_they_were_written() {
    let written = serde_json::to_value(GatePlan::default()).expect("JSON");
    assert!(written.get("incidents").is_none() && written.get("checks").is_none(), "{written}");
    let plan: GatePlan = serde_json::from_value(written).expect("it is one");
    assert_eq!(plan, GatePlan::default());
    let old = serde_json::json!({
        "outcome": {"allowed": {"warnings": [], "strategy": null}},
        "digest": format!("sha256:{}", "ab".repeat(32)),
        "policy_digest": format!("sha256:{}", "cd".repeat(32)),
        "input_digest": format!("sha256:{}", "ef".repeat(32)),
        "at": "2026-11-20T10:00:00.000Z",
        "slo": [{"name": "a", "target_percent": 99.5, "window": "30d", "unknown": "it is down"}],
    });
    let decision: gate::Decision = serde_json::from_value(old.clone()).expect("it is one");
    assert_eq!(decision.circumstances.slo.len(), 1);
    assert_eq!(serde_json::to_value(&decision).expect("JSON"), old);
}
