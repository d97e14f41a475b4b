//! Small promises that whole decisions don't show: what is on record, what counts, how it is said.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use base::{Digest, People, Source, Timestamp};
use gate::approval::{Approvals, Rule};
use gate::check::Checked;
use gate::incident::{Incidents, Source as Knows};
use gate::policy::Answer;
use gate::protection::Protection;
use gate::slo::WhenUnknown;
use gate::window::{Calendar, Days, Holiday, Period, Weekly, holidays};
use gate::{Answers, Circumstances, Decision, GatePlan, Level, Origin, Outcome, Override, Signature, Violation};
use serde_json::json;

fn by_ana(confirmed: &[&str]) -> Override {
    let confirmed_by = confirmed.iter().map(|name| (*name).to_string()).collect();
    Override { by: "ana".into(), reason: "it is down".into(), ticket: Some("INC-7".into()), until: Timestamp::from_ms(0), confirmed_by }
}

#[test]
fn an_override_needs_as_many_people_as_the_project_says_and_one_has_one_name() {
    let plan = |people| GatePlan { override_people: people, ..GatePlan::default() };
    assert!(by_ana(&[]).counts(&plan(1)));
    assert!(!by_ana(&[]).counts(&plan(2)), "nobody has confirmed it");
    assert!(!by_ana(&["ana"]).counts(&plan(2)), "nor has another person");
    assert!(by_ana(&["ana", "bo"]).counts(&plan(2)));
    let mut known = plan(2);
    known.approvals.people = People([("ana".to_string(), BTreeSet::from(["ana@example.org".to_string()]))].into());
    assert!(!by_ana(&["ana@example.org"]).counts(&known), "another name is nobody else");
    assert_eq!(by_ana(&["bo", "cy"]).to_string(), "by ana until 1970-01-01 00:00:00 UTC: it is down (INC-7), confirmed by bo and cy");
}

fn violation(message: &str) -> Violation {
    Violation { id: "a/b".into(), message: message.into(), evidence: vec![Origin::Text("a.xml".into())], rule: None }
}

fn decision(outcome: Outcome) -> Decision {
    let digest = Digest::of(b"");
    let circumstances = Circumstances::default();
    Decision { outcome, digest, policy_digest: digest, input_digest: digest, at: Timestamp::from_ms(0), circumstances, rollbacks_24h: 0 }
}

#[test]
fn a_decision_says_what_is_against_it_and_an_override_keeps_that() {
    let (no, warning) = (violation("a test failed"), violation("little is known"));
    let denied = decision(Outcome::Denied { violations: vec![no.clone()], warnings: vec![warning.clone()] });
    assert!(!denied.is_allowed() && denied.violations() == [no.clone()] && denied.warnings() == [warning.clone()]);
    assert_eq!(denied.strategy(), None);
    assert_eq!(denied.clone().denied(violation("more")), denied, "a no stays what it is");
    let overridden = denied.overridden(&by_ana(&[]));
    let Outcome::Allowed { overridden: Some(of), .. } = &overridden.outcome else { panic!("{overridden:?}") };
    assert!(overridden.is_allowed() && overridden.violations().is_empty() && of.violations == std::slice::from_ref(&no));
    assert_eq!(overridden.warnings(), std::slice::from_ref(&warning));

    let allowed = decision(Outcome::Allowed { warnings: vec![warning.clone()], strategy: Some("canary".into()), overridden: None });
    assert_eq!((allowed.strategy(), allowed.violations()), (Some("canary"), &[][..]));
    assert_eq!(allowed.clone().overridden(&by_ana(&[])), allowed, "a yes needs nobody to answer for it");
    let refused = allowed.denied(no.clone());
    assert!(!refused.is_allowed() && refused.violations() == [no] && refused.warnings() == [warning]);
}

#[test]
fn where_a_reason_comes_from_is_said_once() {
    assert_eq!(violation("a test failed").to_string(), "a test failed (a.xml)");
    assert_eq!(violation("a.xml can't be read").to_string(), "a.xml can't be read");
}

/// What nobody asked for is not on the record of every release.
#[test]
fn a_plan_keeps_what_was_asked_and_nothing_else() {
    let keys = |plan: &GatePlan| serde_json::to_value(plan).unwrap().as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let always = ["policies", "coverage_min_percent", "findings_max", "evidence_required", "previous_evidence", "policy_limit_ms"];
    assert_eq!(keys(&GatePlan::default()), always);
    let mut plan = GatePlan { override_people: 2, ..GatePlan::at(Some(Level::Staging)) };
    plan.approvals.people = People([("ana".to_string(), BTreeSet::new())].into());
    let kept = keys(&plan);
    for key in ["approvals", "level", "override_people", "provenance_min", "signed"] {
        assert!(kept.iter().any(|it| it == key), "{key} of {kept:?}");
    }
    assert_eq!(serde_json::from_value::<GatePlan>(serde_json::to_value(&plan).unwrap()).unwrap(), plan);
    let rule = Rule { name: "a".into(), people: BTreeSet::new(), count: 1, when: None };
    assert!(plan.approvals.is_empty() && !Approvals { rules: vec![rule], ..Approvals::default() }.is_empty());
}

#[test]
fn what_has_to_be_found_out_is_named_and_what_was_is_told() {
    let asked = |plan: &GatePlan| plan.asks();
    assert_eq!(asked(&GatePlan::default()), None);
    assert_eq!(asked(&GatePlan { signed: true, ..GatePlan::default() }).as_deref(), Some("who signs what ships"));
    let plan = GatePlan { signed: true, ..GatePlan::default() };
    let known = |signature| plan.assess(&Answers { signature, ..Answers::default() });
    let key = Digest::of(b"a key");
    let signed = known(Ok(Signature { key }));
    assert_eq!(signed.sentences(), [format!("Signed: by the server, whose key is {}.", key.short())]);
    assert_eq!((signed.signature.map(|it| it.key), signed.signature_unknown), (Some(key), None));
    let unsigned = known(Err("the key is lost".into()));
    assert_eq!(unsigned.sentences(), ["Signed: by nobody: the key is lost."]);
    assert_eq!(unsigned.signature, None);
    assert_eq!(GatePlan::default().assess(&Answers::default()), Circumstances::default(), "what nobody asks is not told");
    let circumstances =
        Circumstances { incidents: Some(Vec::new()), checks: vec![Checked::passed("capacity")], ..Circumstances::default() };
    assert_eq!(circumstances.sentences(), ["Incidents: none that counts is open.", "Checked: the check `capacity` passed."]);
}

#[test]
fn what_a_policy_requires_and_is_not_there_is_held_against_it() {
    let requires = |what: &str| {
        let text = format!("package plimsoll.gate\n\nimport rego.v1\n\nallow := true\n\nrequires contains \"{what}\"\n");
        gate::Policies::compile(vec![Source::new("policy/gate.rego", text)]).expect("it is read")
    };
    let held = |what: &str, present: &[&str]| -> Answer {
        let document = json!({ "evidence": { "present": present }, "findings": [] });
        requires(what).evaluate(&document).held_to(&document)
    };
    assert_eq!(held("tests", &["tests"]).violations, []);
    let lacking = held("tests", &["coverage"]).violations;
    assert_eq!(
        (lacking[0].id.as_str(), lacking[0].message.as_str()),
        ("policy/requires", "the policy requires evidence of tests, and there is none")
    );
    assert!(lacking[0].rule.as_deref().is_some_and(|rule| rule.starts_with("policy/gate.rego:")), "{lacking:?}");
    let unknown = held("luck", &["tests"]).violations;
    assert_eq!(
        (unknown[0].id.as_str(), unknown[0].message.as_str()),
        ("policy/requires", "the policy requires `luck`, which can't be given yet")
    );
}

#[test]
fn days_of_the_week_are_said_as_they_are_read() {
    let days = |text: &str| text.parse::<Days>().expect("days").to_string();
    assert_eq!(days("mon-thu"), "mon,tue,wed,thu");
    assert_eq!(days("saturday,sun"), "sat,sun");
    assert_eq!(days("fri-mon"), "mon,fri,sat,sun");
}

/// From the first of 2026 to the last of 2030.
fn read(event: &str) -> Result<Vec<String>, Vec<String>> {
    let text = format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\n{event}\nSUMMARY:x\nEND:VEVENT\nEND:VCALENDAR\n");
    holidays(&Source::new("a.ics", text), "2026-01-01".parse().unwrap(), "2030-12-31".parse().unwrap())
        .map(|days| days.iter().map(|day| day.date.to_string()).collect())
        .map_err(|wrong| wrong.iter().map(|it| it.message.clone()).collect())
}

#[test]
fn of_a_holiday_what_is_not_read_is_refused_and_the_rest_is_exact() {
    let wrong = |event: &str| read(event).unwrap_err();
    assert_eq!(wrong("DTSTART:20260101\nRDATE:20260202"), ["`RDATE` isn't read"]);
    assert_eq!(wrong("DTSTART:2026-1-1"), ["`2026-1-1` is no date like `20261225`"]);
    assert_eq!(wrong("DTSTART:2026010"), ["`2026010` is no date like `20261225`"]);
    assert_eq!(wrong("DTSTART:2026+1+1"), ["`2026+1+1` is no date like `20261225`"]);
    for (rule, why) in [
        ("FREQ=YEARLY;INTERVAL=0", "`INTERVAL=0` is no number of years"),
        ("FREQ=YEARLY;COUNT=x", "`COUNT=x` is no number"),
        ("FREQ=YEARLY;BYMONTH=1,2", "`BYMONTH=1,2` is no single month"),
        ("FREQ=YEARLY;BYMONTHDAY=x", "`BYMONTHDAY=x` is no single day"),
        ("FREQ=YEARLY;BYDAY=MO", "a rule with `BYDAY=MO` isn't read"),
        ("INTERVAL=1", "the rule `INTERVAL=1` isn't read"),
    ] {
        assert_eq!(wrong(&format!("DTSTART:20260101\nRRULE:{rule}")), [why]);
    }
    let other_day = "this event comes back on another day than the one it begins on, which isn't read";
    assert_eq!(wrong("DTSTART:20260101\nRRULE:FREQ=YEARLY;BYMONTH=2"), [other_day]);
    assert_eq!(wrong("DTSTART:20260101\nRRULE:FREQ=YEARLY;BYMONTHDAY=2"), [other_day]);
    assert_eq!(wrong("DTSTART:20260101\nDTEND:20270103"), ["this event is longer than a year"]);
    assert_eq!(read("DTSTART:20260101\nDTEND:20270102").unwrap().len(), 366);

    let yearly = |rule: &str| read(&format!("DTSTART:20260501\nRRULE:FREQ=YEARLY{rule}")).unwrap();
    let may = |years: &[i32]| years.iter().map(|year| format!("{year}-05-01")).collect::<Vec<_>>();
    assert_eq!(yearly(""), may(&[2026, 2027, 2028, 2029, 2030]));
    assert_eq!(yearly(";INTERVAL=2;WKST=MO"), may(&[2026, 2028, 2030]));
    assert_eq!(yearly(";COUNT=2"), may(&[2026, 2027]));
    assert_eq!(yearly(";UNTIL=20280501"), may(&[2026, 2027, 2028]));
    assert_eq!(yearly(";UNTIL=20280430T235959Z"), may(&[2026, 2027]));
    assert_eq!(read("DTSTART:20260501\nRRULE:FREQ=YEARLY;COUNT=3\nEXDATE:20270501").unwrap(), may(&[2026, 2028]));
    assert_eq!(read("DTSTART:20260501\nDTEND:20260501").unwrap(), may(&[2026]), "a day that ends where it begins is one");
}

/// One that a date in another event is wrong in is told beside what is missing.
#[test]
fn every_event_is_looked_at_for_itself() {
    let text = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:x\nEND:VEVENT\nBEGIN:VEVENT\nSUMMARY:no day\nEND:VEVENT\nBEGIN:VEVENT\nDTSTART:y\nEND:VEVENT\nEND:VCALENDAR\n";
    let wrong = holidays(&Source::new("a.ics", text), "2026-01-01".parse().unwrap(), "2030-12-31".parse().unwrap()).unwrap_err();
    let said: Vec<&str> = wrong.iter().map(|it| it.message.as_str()).collect();
    assert_eq!(said, ["`x` is no date like `20261225`", "this event has no `DTSTART`", "`y` is no date like `20261225`"]);
}

#[test]
fn an_address_of_an_incident_is_shown_whole_or_not_at_all() {
    let url = |url: &str| {
        let list = json!([{ "id": "1", "title": "t", "priority": "P1", "url": url }]).to_string();
        gate::incident::read(&list).unwrap().open[0].url.clone()
    };
    let fine = format!("https://example.org/{}", "x".repeat(100));
    assert_eq!(url(&fine), Some(fine));
    for bad in ["https://example.org/a b", "https://example.org/\u{7}", "https://example.org/\n"] {
        assert_eq!(url(bad), None, "{bad:?}");
    }
    assert_eq!(url(&format!("https://example.org/{}", "x".repeat(10_000))), None);
}

#[test]
fn a_release_waits_for_what_is_to_be_known_and_for_nothing_else() {
    let plan = |unknown| GatePlan {
        protection: Some(Protection { url: "https://f/repos/a/b".into(), token: None, unknown, checks: Vec::new(), reviews: None }),
        ..GatePlan::default()
    };
    let unknown = Circumstances { protection_unknown: Some("it is silent".into()), ..Circumstances::default() };
    assert_eq!(plan(WhenUnknown::Hold).waits_for_protection(&unknown).as_deref(), Some("it is silent"));
    assert!(plan(WhenUnknown::Hold).waits(&unknown));
    assert_eq!(plan(WhenUnknown::Hold).waits_for_protection(&Circumstances::default()), None);
    for other in [plan(WhenUnknown::Deny), plan(WhenUnknown::Allow), GatePlan::default()] {
        assert_eq!(other.waits_for_protection(&unknown), None);
        assert!(!other.waits(&unknown));
    }
}

#[test]
fn a_decision_keeps_how_often_traffic_went_back_where_it_did() {
    let text = |times| {
        let allowed = decision(Outcome::Allowed { warnings: Vec::new(), strategy: None, overridden: None });
        serde_json::to_value(Decision { rollbacks_24h: times, ..allowed }).unwrap()
    };
    assert_eq!((text(0).get("rollbacks_24h"), text(2)["rollbacks_24h"].as_u64()), (None, Some(2)));
    assert_eq!(serde_json::from_value::<Decision>(text(2)).unwrap().rollbacks_24h, 2);
}

#[test]
fn hours_are_on_record_where_any_are_said_and_a_day_ends_with_its_last_moment() {
    let holiday = Holiday { date: "2026-12-25".parse().unwrap(), name: "Christmas".into() };
    let freeze = Period { from: Timestamp::from_ms(0), to: None, reason: "the sale".into() };
    let weekly = Weekly { days: "mon".parse().unwrap(), from: 540, to: 960 };
    assert!(Calendar::default().is_empty());
    for said in [
        Calendar { weekly: vec![weekly], ..Calendar::default() },
        Calendar { holidays: vec![holiday.clone()], ..Calendar::default() },
        Calendar { freezes: vec![freeze], ..Calendar::default() },
    ] {
        assert!(!said.is_empty(), "{said:?}");
        let plan = GatePlan { calendar: said.clone(), ..GatePlan::default() };
        let kept: GatePlan = serde_json::from_value(serde_json::to_value(plan).unwrap()).unwrap();
        assert_eq!(kept.calendar, said);
    }
    let calendar = Calendar { holidays: vec![holiday], ..Calendar::default() };
    let is_open = |at: &str| calendar.state(&[], at.parse().unwrap()).is_open();
    assert!(is_open("2026-12-24T23:59:59.999Z") && !is_open("2026-12-25T00:00:00Z"));
    assert!(!is_open("2026-12-25T23:59:59.999Z") && is_open("2026-12-26T00:00:00Z"));
}

#[test]
fn which_incidents_count_is_said_and_how_many_were_told() {
    let of = |priorities: &[&str]| {
        let priorities = priorities.iter().map(|it| (*it).to_string()).collect();
        Incidents { source: Knows::File("/a".into()), token: None, unknown: WhenUnknown::Hold, priorities }.which()
    };
    assert_eq!((of(&[]), of(&["P1"]), of(&["P1", "P2", "P3"])), ("incident".into(), "P1".into(), "P1, P2 or P3".into()));
    let page = |more: bool| {
        let closed = json!({ "id": "2", "title": "t", "priority": "P1", "status": "resolved" });
        let list = json!({ "incidents": [{ "id": "1", "title": "t", "priority": "P1" }, closed], "more": more });
        let page = gate::incident::read(&list.to_string()).unwrap();
        (page.told, page.open.len(), page.more)
    };
    assert_eq!((page(false), page(true)), ((2, 1, false), (2, 1, true)));
}

fn said(rules: &str) -> Vec<String> {
    let text = format!("package plimsoll.team\n\nimport rego.v1\n\n{rules}\n");
    let policies = gate::Policies::compile(vec![Source::new("policy/team.rego", text)]).expect("it is read");
    let answer = policies.evaluate(&json!({ "findings": [] }));
    let of_team = answer.violations.iter().filter(|it| it.rule.as_deref().is_some_and(|rule| rule.starts_with("policy/team.rego")));
    of_team.map(|it| it.message.clone()).chain(answer.strategy.map(|it| format!("by {it}"))).collect()
}

#[test]
fn what_a_policy_says_that_makes_no_sense_is_held_against_it() {
    assert_eq!(said("strategy := \"canary\""), ["by canary"]);
    let none = "the policy `plimsoll.team` makes no sense: asks for the strategy `sideways`; there are `canary`, `blue-green`, `rolling`, `immediate`";
    assert_eq!(said("strategy := \"sideways\""), [none]);
    assert_eq!(
        said("strategy := \"canary\"\n\ndecision := {\"allow\": true, \"strategy\": \"canary\"}"),
        ["by canary"],
        "the same said twice is no contradiction"
    );
    assert_eq!(said("deny[msg] if msg := \"a message\""), ["a message"]);
    let object = said("deny := {\"a\": true, \"b\": \"c\"}");
    assert!(object.len() == 1 && object[0].contains("where a set of messages is expected"), "{object:?}");
}
