//! `docs/schema/gate-input.json` and the document a policy gets say the same, in both directions.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use base::{Digest, Timestamp};
use gate::attest::{PROVENANCE, SigningKey, Statement};
use gate::check::{Check, Checked, How};
use gate::commits::{Brought, Rules, Told};
use gate::evidence::{DistinctFinding, FindingKind, Severity, read};
use gate::incident::{Incidents, Source};
use gate::protection::{Branch, Protection, Ran, Requires, Reviews, State};
use gate::slo::{Counts, Measured, Objective, Part, Question, Slos, WhenUnknown};
use gate::{
    Answers, Artifact, Commit, Evidence, EvidenceKind, Figure, GatePlan, Input, Level, Outcome, PolicyFile, Previous, Provenance,
    RunResult, Signature, TrustedKey, decide,
};
use serde_json::{Value, json};

#[test]
fn the_example_is_what_the_code_makes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/schema/example.json");
    let seen = serde_json::to_string_pretty(&example()).expect("JSON") + "\n";
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &seen).expect("the example is writable");
    }
    assert_eq!(fs::read_to_string(&path).unwrap_or_default(), seen, "UPDATE_EXPECT=1 rewrites {}", path.display());
}

#[test]
fn the_schema_takes_the_example_and_nothing_less_or_more() {
    let validator = jsonschema::validator_for(&schema()).expect("the schema is one");
    let example = example();
    let errors: Vec<String> = validator.iter_errors(&example).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert_eq!(errors, Vec::<String>::new());
    let optional = BTreeSet::from([
        "line",
        "tool",
        "tool_version",
        "file",
        "suppressed",
        "aliases",
        "package",
        "version",
        "cwe",
        "slo",
        "unknown",
        "too_few_events",
        "budget_left_percent",
        "events",
        "errors",
        "burn",
        "incidents",
        "incidents_unknown",
        "url",
        "opened",
        "checks",
        "reason",
        "provenance",
        "because",
        "signature",
        "signature_unknown",
        "level",
        "provenance_min",
        "signed",
        "keys",
        "attestations",
        "signed",
        "builder",
        "signed_by",
        "digest",
        "benchmarks",
        "sbom",
        "subject",
        "sha256",
        "spread_ns",
        "baseline_ns",
        "baseline_spread_ns",
        "change_percent",
        "commits",
        "change",
        "type",
        "scope",
        "breaking",
        "by_git",
        "wrong",
        "since",
        "unread",
        "protection",
        "protection_unknown",
        "absent",
        "reviews",
        "types",
        "scopes",
        "subject_max",
    ]);
    for pointer in objects(&example, String::new()) {
        let mut more = example.clone();
        more.pointer_mut(&pointer).expect("it is there")["surprise"] = json!(1);
        assert!(!validator.is_valid(&more), "{pointer} is open to unknown keys");
        let keys: Vec<String> = example.pointer(&pointer).and_then(Value::as_object).expect("an object").keys().cloned().collect();
        for key in keys.iter().filter(|key| !optional.contains(key.as_str())) {
            let mut less = example.clone();
            less.pointer_mut(&pointer).and_then(Value::as_object_mut).expect("an object").remove(key);
            assert!(!validator.is_valid(&less), "{pointer}/{key} is always there, and the schema does not say so");
        }
    }
}

#[test]
fn the_schema_takes_a_document_without_any_evidence() {
    let validator = jsonschema::validator_for(&schema()).expect("the schema is one");
    let document = input().document(&GatePlan::default()).json();
    assert!(validator.is_valid(&document), "{document}");
}

#[test]
fn every_property_of_the_schema_is_in_the_example() {
    let mut described = BTreeSet::new();
    properties(&schema(), &mut described);
    let mut shown = BTreeSet::new();
    keys(&example(), &mut shown);
    assert_eq!(described.difference(&shown).collect::<Vec<_>>(), Vec::<&String>::new());
}

/// JSON is YAML, so that one document can be asked of both.
#[test]
fn the_schema_of_suppressions_takes_what_the_reader_takes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema/suppressions.json");
    let schema: Value = serde_json::from_str(&fs::read_to_string(path).expect("the schema is there")).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("the schema is one");
    let check = |document: &Value, expected: bool| {
        let mut evidence = Evidence::default();
        evidence.suppress(&document.to_string(), Timestamp::from_ms(0));
        assert_eq!((validator.is_valid(document), evidence.broken.is_empty()), (expected, expected), "{document}: {:?}", evidence.broken);
    };
    let entry = json!({"rule": "CVE-1", "package": "a", "file": "a/", "reason": "known", "expires": "2027-01-31"});
    let whole = json!({"apiVersion": "plimsoll/v1alpha1", "suppressions": [entry]});
    check(&whole, true);
    check(&json!({"apiVersion": "plimsoll/v1alpha1", "suppressions": []}), true);
    for (key, required) in [("rule", true), ("package", false), ("file", false), ("reason", true), ("expires", true)] {
        let mut less = whole.clone();
        less["suppressions"][0].as_object_mut().expect("an object").remove(key);
        check(&less, !required);
        let mut empty = whole.clone();
        empty["suppressions"][0][key] = json!("");
        check(&empty, false);
    }
    for pointer in ["", "/suppressions/0"] {
        let mut more = whole.clone();
        more.pointer_mut(pointer).expect("it is there")["surprise"] = json!(1);
        check(&more, false);
    }
    for wrong in [
        json!({"suppressions": []}),
        json!({"apiVersion": "plimsoll/v1alpha1"}),
        json!([]),
        json!({"apiVersion": "plimsoll/v1alpha1", "suppressions": {}}),
    ] {
        check(&wrong, false);
    }
}

/// JSON has no NaN, and Rego sorts the `null` in its place below every number.
#[test]
fn a_minimum_that_is_no_number_asks_for_everything() {
    for percent in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let document = input().document(&GatePlan { coverage_min_percent: percent, ..GatePlan::default() }).json();
        assert_eq!(document["limits"]["coverage_min_percent"], json!(100.0));
    }
}

/// From a thousand on several threads share the work.
#[test]
fn of_many_findings_the_gate_says_what_it_says_of_few() {
    let policy = "package plimsoll.team\n\ndeny contains finding.file if {\n\tsome finding in input.findings\n\tfinding.rule == \"R\"\n}\n\ndeny contains \"never\" if input.actor == \"mallory\"\n";
    let plan = GatePlan { policies: vec![PolicyFile { path: "policy/team.rego".into(), text: policy.into() }], ..GatePlan::default() };
    let seen = |harmless: usize| {
        let mut input = input();
        let of = |rule: &str, at: usize| DistinctFinding {
            rule: rule.into(),
            severity: Severity::Low,
            kind: FindingKind::Code,
            message: "a message".into(),
            file: Some(format!("{at}.c")),
            line: at.is_multiple_of(2).then_some(7),
            fingerprint: format!("{rule}{at}"),
            aliases: Vec::new(),
            package: None,
            cwe: Vec::new(),
            suppressed: None,
            sources: vec!["scan.sarif".into()],
        };
        let wrong = DistinctFinding { severity: Severity::Critical, ..of("C", 1) };
        input.findings = (0..harmless).map(|at| of("H", at)).chain([of("R", 0), wrong]).collect();
        let decision = decide(&plan, &input);
        let text = input.document(&plan).json().to_string();
        assert_eq!(decision.input_digest, Digest::of(text.as_bytes()), "the digest is of the whole text");
        decision.outcome
    };
    let few = seen(2);
    assert_eq!(few, seen(1_500));
    let Outcome::Denied { violations, .. } = few else { panic!("a critical finding denies") };
    let said: Vec<(&str, Option<&str>)> = violations.iter().map(|it| (it.id.as_str(), it.rule.as_deref())).collect();
    assert!(said.contains(&("plimsoll.team", Some("policy/team.rego:3"))), "{said:?}");
    assert!(said.iter().any(|(id, _)| *id == "findings/critical"), "{said:?}");
}

/// Every field there is, from real reports.
fn example() -> Value {
    let mut evidence = Evidence::default();
    evidence.add(read("junit.xml", br#"<testsuite name="pytest"><testcase name="a"/><testcase name="b" file="b.py" line="7"><failure message="1 != 2"/></testcase></testsuite>"#));
    evidence.add(read("lcov.info", b"TN:\nSF:a.c\nLF:100\nLH:90\nend_of_record\n"));
    evidence.add(read("broken.xml", b"<testsuite>\n"));
    let result = |rule: &str| {
        json!({"ruleId": rule, "level": "error", "message": {"text": "a message"},
            "locations": [{"physicalLocation": {"artifactLocation": {"uri": "a.c"}, "region": {"startLine": 3}}}]})
    };
    let mut accepted = result("B");
    accepted["suppressions"] = json!([{"kind": "external", "justification": "test data"}]);
    let log = json!({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "Scanner", "version": "1.0"}}, "results": [result("A"), accepted]}]});
    evidence.add(read("scan.sarif", log.to_string().as_bytes()));
    evidence.add(read("audit.json", br#"{"advisories":{"1":{"module_name":"minimist","severity":"low","title":"a title","github_advisory_id":"GHSA-1","cves":["CVE-1"],"cwe":"CWE-1321","findings":[{"version":"1.2.0"}]}},"actions":[]}"#));
    let key = |seed: u8| SigningKey::from_random(&[seed; 32]).expect("a key");
    for (path, seed) in [("ours.intoto.jsonl", 7), ("theirs.intoto.jsonl", 8)] {
        let predicate = json!({"runDetails": {"builder": {"id": "https://example.org/builder"}}});
        let statement = Statement::of("app.bin", &Digest::of(b"app"), PROVENANCE, predicate);
        evidence.add(read(path, statement.sign(&key(seed)).to_json().to_string().as_bytes()));
    }
    let trusted = TrustedKey { name: "ci".into(), key: key(7).public().to_pem(), builder: None, level: 3, expires: None };
    evidence.add(read("bench.json", br#"{"results":[{"command":"total","mean":0.125,"stddev":0.002,"median":0.124,"times":[0.125]}]}"#));
    let bill = json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "metadata": {"tools": {"components": [{"name": "maker", "version": "1.0"}]},
        "component": {"name": "shop", "version": "7", "hashes": [{"alg": "SHA-256", "content": Digest::of(b"shop").hex()}]}},
        "components": [{"name": "lodash"}]});
    evidence.add(read("bom.json", bill.to_string().as_bytes()));
    let plan = GatePlan {
        keys: vec![trusted],
        previous_benchmarks: vec![Figure { name: "total".into(), ns: 100_000_000.0, spread_ns: Some(1_000_000.0) }],
        regression_threshold_percent: Some(10.0),
        previous_evidence: BTreeSet::from([EvidenceKind::Coverage]),
        evidence_required: BTreeSet::from([EvidenceKind::Tests]),
        slos: slos(),
        incidents: Some(incidents()),
        checks: ["capacity", "monitoring"].map(check).into(),
        protection: Some(Protection {
            url: "https://api.github.com/repos/a/b".into(),
            token: None,
            unknown: WhenUnknown::Hold,
            checks: Vec::new(),
            reviews: None,
        }),
        commits: Some(Rules { types: vec!["feat".into(), "fix".into()], scopes: vec!["cart".into()], subject_max: Some(100) }),
        ..GatePlan::at(Some(Level::Staging))
    };
    let mut input = input().with_evidence(&evidence);
    let counts = |total: f64| move |question: Question| (question.window_ms, Counts { part: total / 50.0, total });
    let measured = |objective: &str, counts| Measured { objective: objective.into(), counts };
    let questions = || slos().objectives[0].questions().into_iter();
    let objectives = vec![
        measured("availability", Ok(questions().map(counts(1000.0)).collect())),
        measured("search", Ok(questions().map(counts(3.0)).collect())),
        measured("mail", Err("Prometheus can't be reached".into())),
    ];
    let open = r#"[{"id": "INC-7", "title": "the shop is down", "priority": "P1", "url": "https://example.org/7", "opened": "2026-11-20T09:00:00Z"}]"#;
    let incidents = gate::incident::read(open).map(|page| page.open);
    let checks = vec![Checked::passed("monitoring"), Checked::failed("capacity", "2 nodes of 3")];
    let signature = Ok(Signature { key: Digest::of(b"a key") });
    input.brings = Some(brought());
    input.circumstances = plan.assess(&Answers { objectives, incidents, checks, signature, protection: Ok(branch()) });
    // Either is there: what is open, or why nobody knows.
    let unknown = plan.assess(&Answers::default());
    input.circumstances.incidents_unknown = unknown.incidents_unknown;
    input.circumstances.signature_unknown = unknown.signature_unknown;
    input.circumstances.protection_unknown = unknown.protection_unknown;
    assert_eq!(input.findings[0].severity, Severity::Low);
    let document = input.document(&plan);
    assert_eq!(document.digest(), Digest::of(document.json().to_string().as_bytes()), "whoever puts it together again finds it");
    document.json()
}

fn brought() -> Brought {
    let told = |(parents, message)| Told::of("0123456789abcdef0123456789abcdef01234567", "Ada", parents, message);
    Brought {
        since: Some("89abcdef0123456789abcdef0123456789abcdef".into()),
        commits: [(2, "Merge branch 'cart'"), (1, "feat(cart)!: free delivery"), (1, "wip")].map(told).into(),
        unread: Some("the history is cut off".into()),
    }
}

fn branch() -> Branch {
    let required = ["build", "scan"].map(Requires::plain);
    let ran = Ran { check: "build".into(), app: None, state: State::Passed };
    let reviews = Some(Reviews { required: 0, asked: 1 });
    Branch { reviews, ..Branch::of("main", true, Some("it was never pushed".into()), &required, &[ran]) }
}

fn slos() -> Slos {
    let objective = |name: &str| Objective {
        name: name.into(),
        target_percent: 99.5,
        window_ms: 30 * 86_400_000,
        part: Part::Bad("sum(errors_total)".into()),
        total: "sum(requests_total)".into(),
    };
    let objectives = ["availability", "search", "mail"].map(objective).into();
    Slos { prometheus: "http://127.0.0.1:9090".into(), objectives, ..Slos::default() }
}

fn incidents() -> Incidents {
    let priorities = gate::incident::PRIORITIES.map(str::to_string).into();
    Incidents { source: Source::File("/incidents.json".into()), token: None, unknown: WhenUnknown::Hold, priorities }
}

fn check(name: &str) -> Check {
    Check { name: name.into(), how: How::Run("exit 0".into()), timeout_ms: gate::check::TIMEOUT_MS }
}

pub(crate) fn input() -> Input {
    Input {
        release: "release-7".into(),
        project: "example.org/shop".into(),
        environment: "local".into(),
        artifact: Artifact { digest: Digest::of(b"the artifact"), size: 12 },
        commit: Commit {
            sha: "0123456789abcdef0123456789abcdef01234567".into(),
            message: "cart: free delivery".into(),
            author: "Ada <ada@example.org>".into(),
        },
        brings: None,
        runs: vec![RunResult { workflow: ".github/workflows/ci.yml".into(), conclusion: "success".into() }],
        evidence: Default::default(),
        findings: Vec::new(),
        previous: Previous { evidence: BTreeSet::from([EvidenceKind::Tests]), benchmarks: Vec::new() },
        provenance: Some(Provenance {
            level: 1,
            builder: "https://example.org/builder".into(),
            because: vec!["somebody may work at it".into()],
        }),
        attestations: Vec::new(),
        circumstances: gate::Circumstances::default(),
        rollbacks_24h: 0,
        time: Timestamp::from_ms(1_795_227_177_123),
        actor: "ada".into(),
    }
}

fn schema() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema/gate-input.json");
    serde_json::from_str(&fs::read_to_string(path).expect("the schema is there")).expect("JSON")
}

/// The pointers of every object in it.
fn objects(value: &Value, pointer: String) -> Vec<String> {
    let mut res = Vec::new();
    match value {
        Value::Object(entries) => {
            res.push(pointer.clone());
            entries.iter().for_each(|(key, value)| res.extend(objects(value, format!("{pointer}/{key}"))));
        }
        Value::Array(elements) => {
            elements.iter().enumerate().for_each(|(index, value)| res.extend(objects(value, format!("{pointer}/{index}"))))
        }
        _ => {}
    }
    res
}

fn keys(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(entries) => entries.iter().for_each(|(key, value)| {
            into.insert(key.clone());
            keys(value, into);
        }),
        Value::Array(elements) => elements.iter().for_each(|value| keys(value, into)),
        _ => {}
    }
}

fn properties(schema: &Value, into: &mut BTreeSet<String>) {
    match schema {
        Value::Object(entries) => entries.iter().for_each(|(key, value)| {
            if key == "properties" {
                into.extend(value.as_object().expect("an object").keys().cloned());
            }
            properties(value, into);
        }),
        Value::Array(elements) => elements.iter().for_each(|value| properties(value, into)),
        _ => {}
    }
}
