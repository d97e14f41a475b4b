use std::collections::BTreeSet;

use serde_json::Value as Json;

use rollout::Step;

use super::*;

const SCHEMA: &str = include_str!("../../../../docs/schema/plimsoll.json");

fn check(text: &str, expected: &[&str]) -> Config {
    let source = Source::new("plimsoll.yaml", text);
    let (config, diagnostics) = parse(&source);
    let found: Vec<String> = diagnostics
        .iter()
        .map(|it| {
            let (line, column) = source.line_column(it.span.start);
            format!("{line}:{column} {}", it.message)
        })
        .collect();
    assert_eq!(found, expected, "{text}");
    config
}

#[test]
fn a_whole_file_is_read() {
    let text = include_str!("testdata/whole.yaml");
    let config = check(text, &[]);
    assert_eq!(config.name.as_deref(), Some("shop"));
    assert_eq!(config.env.get("LOG_LEVEL").map(String::as_str), Some("info"));
    assert_eq!(config.limits.step_min_ms, Some(15_000));
    assert_eq!(
        config.strategy,
        Some(Strategy::Canary { steps: vec![Step::SetWeight(100), Step::Pause { duration_ms: Some(60_000) }, Step::SetWeight(5_000)] })
    );
    assert_eq!(config.smoke.as_ref().map(Vec::len), Some(2));
    assert_eq!(config.health.live.as_ref().and_then(|probe| probe.period_ms), Some(30_000));
}

#[test]
fn blue_green_moves_by_itself_as_argo_has_it() {
    let strategy = |text: &str| check(&format!("apiVersion: plimsoll/v1alpha1\nstrategy: {text}\n"), &[]).strategy;
    for (text, auto_promotion_ms) in [
        ("blueGreen", Some(0)),
        ("{blueGreen: {}}", Some(0)),
        ("{blueGreen: {autoPromotionSeconds: 30}}", Some(30_000)),
        ("{blueGreen: {autoPromotionEnabled: false}}", None),
        ("{blueGreen: {autoPromotionEnabled: false, autoPromotionSeconds: 30}}", None),
    ] {
        assert_eq!(strategy(text), Some(Strategy::BlueGreen { auto_promotion_ms }), "{text}");
    }
}

#[test]
fn a_watch_is_a_time_or_rules_or_nothing() {
    use rollout::watch::{Measure, Then, WatchPlan, WatchRule};
    let watch = |text: &str, expected: &[&str]| check(&format!("apiVersion: plimsoll/v1alpha1\nwatch: {text}\n"), expected).watch;
    assert_eq!(watch("false", &[]), Some(None));
    assert_eq!(watch("1h", &[]), Some(Some(WatchPlan { for_ms: 3_600_000, ..WatchPlan::default() })));
    let rule = WatchRule { measure: Measure::Errors { above: 0.025 }, during_ms: 60_000, then: Then::Warn };
    let own = Some(Some(WatchPlan { for_ms: 1_800_000, rules: vec![rule] }));
    assert_eq!(watch("{rules: [{errors: 2.5%, during: 1m, then: warn}]}", &[]), own);
    watch(
        "{rules: [{p99: 1s, p95: 1s, during: 5m}, {errors: 100, during: 1s}, {restarts: 3}, {notReady: false, during: 1m, then: page}]}",
        &[
            "2:17 a rule has one of `errors`, `p95`, `p99`, `restarts` and `notReady`",
            "2:58 no more than all answers can fail",
            "2:71 from `2s` to `24h` is expected here",
            "2:76 `during` is missing",
            "2:102 `true` is expected here",
            "2:127 `rollback` or `warn` is expected here",
        ],
    );
    let everywhere = check("apiVersion: plimsoll/v1alpha1\nwatch: 1h\nenvironments: {a: {watch: false}}\n", &[]);
    assert_eq!(everywhere.at("a").watch, Some(None));
}

#[test]
fn a_canary_has_the_steps_of_a_preset_or_its_own() {
    let strategy = |text: &str, expected: &[&str]| check(&format!("apiVersion: plimsoll/v1alpha1\nstrategy: {text}\n"), expected).strategy;
    let steps = rollout::presets::steps("tier-2").unwrap();
    assert_eq!(strategy("{canary: {preset: tier-2}}", &[]), Some(Strategy::Canary { steps }));
    strategy("{canary: {preset: tier2}}", &["2:29 there is no preset `tier2`"]);
    strategy("{canary: {preset: tens, steps: [setWeight: 5]}}", &["2:29 a canary has the steps of a preset or its own"]);
}

#[test]
fn what_argo_has_beside_it_is_told_with_what_happens_instead() {
    let text = "apiVersion: plimsoll/v1alpha1
strategy:
  canary:
    canaryService: shop-canary
    maxSurge: 1
    trafficRouting: {nginx: {}}
    stps: []
    steps:
      - setWeight: 10
      - analysis: {templates: [{templateName: errors}]}
      - {setCanaryScale: {replicas: 1}}
      - setweight: 20
environments:
  staging:
    strategy: {blueGreen: {activeService: shop, prePromotionAnalysis: {}, autoPromotionSeconds: 30}}
";
    let config = check(
        text,
        &[
            "4:5 `canaryService` of Argo Rollouts isn't acted on: users reach the port of the project",
            "5:5 `maxSurge` of Argo Rollouts isn't acted on: both versions have all their instances while a canary has steps; \
             `rollingUpdate` has `maxSurge`",
            "6:5 `trafficRouting` of Argo Rollouts isn't acted on: traffic moves by Plimsoll's own proxy",
            "7:5 unknown key `stps`",
            "10:9 `analysis` of Argo Rollouts isn't acted on: it is left out: no metric is asked, the judge compares errors and slow \
             answers at every weight",
            "11:10 `setCanaryScale` of Argo Rollouts isn't acted on: it is left out: the new version has all its instances at every \
             weight",
            "12:9 unknown key `setweight`",
            "15:28 `activeService` of Argo Rollouts isn't acted on: users reach the port of the project",
            "15:49 `prePromotionAnalysis` of Argo Rollouts isn't acted on: no metric is asked: smoke checks and probes decide before traffic \
             moves",
        ],
    );
    assert_eq!(config.strategy, Some(Strategy::Canary { steps: vec![Step::SetWeight(1_000)] }));
}

#[test]
fn a_rolling_update_takes_what_a_deployment_does() {
    use rollout::Amount::{Count, Percent};
    let strategy = |text: &str, expected: &[&str]| check(&format!("apiVersion: plimsoll/v1alpha1\nstrategy: {text}\n"), expected).strategy;
    for (text, max_surge, max_unavailable) in [
        ("rolling", Percent(25), Percent(25)),
        ("rollingUpdate", Percent(25), Percent(25)),
        ("{rollingUpdate: }", Percent(25), Percent(25)),
        ("{rollingUpdate: {maxSurge: 2}}", Count(2), Percent(25)),
        ("{rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}", Count(0), Count(1)),
        ("{rollingUpdate: {maxSurge: 150%, maxUnavailable: 0%}}", Percent(150), Percent(0)),
        ("{rollingUpdate: {maxSurge: '10', maxUnavailable: \"30%\"}}", Percent(10), Percent(30)),
    ] {
        assert_eq!(strategy(text, &[]), Some(Strategy::RollingUpdate { max_surge, max_unavailable }), "{text}");
    }
    for (text, mistake) in [
        (
            "{rollingUpdate: {maxSurge: 0, maxUnavailable: 0%}}",
            "2:27 with `maxSurge` and `maxUnavailable` both 0 no instance could ever be replaced",
        ),
        ("{rollingUpdate: {maxSurge: -1}}", "2:38 a whole number from 0 to 1000 is expected here"),
        ("{rollingUpdate: {maxSurge: 1.5}}", "2:38 a whole number from 0 to 1000 is expected here"),
        ("{rollingUpdate: {maxUnavailable: 101%}}", "2:44 `101%` is neither a number of instances nor a whole percentage up to 100%"),
        ("{rollingUpdate: {maxSurge: some}}", "2:38 `some` is neither a number of instances nor a whole percentage up to 1000%"),
        ("{rollingUpdate: {maxsurge: 1}}", "2:28 unknown key `maxsurge`"),
        ("{rollingUpdate: {}, immediate: }", "2:11 a strategy is one of `canary`, `blueGreen`, `rollingUpdate` and `immediate`"),
    ] {
        strategy(text, &[mistake]);
    }
}

#[test]
fn a_container_is_the_name_of_an_image_or_says_more() {
    let text = |container: &str| format!("apiVersion: plimsoll/v1alpha1\ncontainer: {container}\n");
    assert_eq!(check(&text("docker.io/nginx"), &[]).container.map(|it| it.image), Some("docker.io/nginx".to_string()));
    let all = "{image: shop, user: 1000:1000, readOnly: false, memory: 1Gi, cpus: 1.5, processes: 200}";
    let expected = Container {
        image: "shop".to_string(),
        user: Some("1000:1000".to_string()),
        read_only: Some(false),
        memory_bytes: Some(1 << 30),
        cpu_millis: Some(1500),
        processes: Some(200),
    };
    assert_eq!(check(&text(all), &[]).container, Some(expected));
    let mistakes = [
        ("{image: '--privileged shop'}", "2:20 `--privileged shop` can't be the name of an image"),
        ("{image: shop, user: root me}", "2:32 a user of the image is expected here"),
        ("{image: shop, memory: 512MB}", "2:34 an amount of memory is expected here"),
        ("{image: shop, memory: 1Mi}", "2:34 no container runs with less than 6Mi"),
        ("{image: shop, cpus: 0}", "2:32 a number from 0.01 to 1024 is expected here"),
        ("{image: shop, volumes: []}", "2:26 unknown key `volumes`"),
        ("{user: app}", "2:12 a container needs an `image`"),
        ("[shop]", "2:12 the name of an image, or a mapping with `image`, is expected here, this is a list"),
    ];
    for (container, mistake) in mistakes {
        check(&text(container), &[mistake]);
    }
}

#[test]
fn every_mistake_is_reported_at_once() {
    let text = include_str!("testdata/ten-mistakes.yaml");
    check(
        text,
        &[
            "3:1 unknown key `replica`",
            "1:13 this `apiVersion` is not known",
            "2:7 `Shop!` can't be a host name, and the project is reached as `NAME.localhost`",
            "4:7 a whole number from 1 to 65535 is expected here",
            "6:10 a path of a request begins with `/`",
            "7:75 a number from 0.01 to 100 is expected here",
            "7:11 the weights of a canary rise from step to step",
            "12:15 `hold` or `rollback` is expected here",
            "11:10 `soon` is not a length of time",
            "14:13 evidence is one of tests, coverage, findings, benchmarks, sbom",
            "15:10 `workflow` or `plimsoll` is expected here",
        ],
    );
}

#[test]
fn an_environment_is_protected_by_people_and_teams_of_the_gate() {
    let gate = "gate:\n  teams: {ops: [bo, cy], none: []}\n  people: {ana: [ana@example.org]}\n";
    let text = |environments: &str| format!("apiVersion: plimsoll/v1alpha1\n{gate}environments:\n{environments}");
    let config = check(
        &text("  production: {reviewers: [ana, ops], preventSelfReview: true, waitTimer: 30, branches: [main]}\n  staging: {}\n"),
        &[],
    );
    let production = config.environments.protection("PRODUCTION").expect("it is there, in whatever case");
    assert_eq!(production.who(&config.environments.people, "ana@example.org").as_deref(), Some("the team ops"));
    assert_eq!(production.wait_timer_ms, 30 * 60_000);
    assert!(production.refuses("production", "refs/heads/main").is_none() && production.refuses("production", "refs/tags/main").is_some());
    assert!(config.environments.protection("staging").is_some_and(|staging| !staging.holds()));
    check(
        &text(
            "  a: {reviewers: [none], waitTimer: 30m, branches: protected}\n  A: {}\n  b: {reviewer: [ana], tags: ['v[0-9', refs/tags/v1]}\n",
        ),
        &[
            "6:52 which branches are protected is the forge's to say, and no forge is asked yet",
            "6:37 a whole number is expected here, this is a text",
            "6:19 nobody is in the team `none`, so it could never review anything",
            "7:3 `A` is the same environment as `a`",
            "8:7 unknown key `reviewer`",
            "8:31 `v[0-9` has a `[` that nothing closes, so it fits nothing",
            "8:40 branches and tags are named without what stands before them: `refs/tags/v1` fits none",
        ],
    );
}

#[test]
fn what_may_be_a_path_alone_says_so() {
    check(
        "apiVersion: plimsoll/v1alpha1\nhealth: {ready: 7}\nsmoke: [[]]\n",
        &[
            "2:17 a path like `/healthz`, or a mapping with a `path`, is expected here, this is a number",
            "3:9 a path like `/healthz`, or a mapping with a `path`, is expected here, this is a list",
        ],
    );
}

#[test]
fn all_that_is_wrong_with_incidents_and_checks_is_said() {
    check(
        "apiVersion: plimsoll/v1alpha1
gate:
  incidents: {command: ./incidents, file: incidents.json, token: PAGERDUTY, unknown: wait, priorities: []}
  checks:
    - {name: capacity, run: ./capacity, timeout: 10m}
    - {name: capacity, url: example.org}
    - {name: monitoring}
    - {run: ./ready, command: x}
    - {name: capacity, url: https://example.org}
",
        &[
            "3:14 one of `command`, `file` and `url` is expected here: who knows the incidents",
            "3:66 a `token` is shown to a `url`, and to nobody else",
            "3:104 without priorities no incident counts",
            "3:86 `hold`, `deny` or `allow` is expected here",
            "5:50 a check takes a tenth of a second at least, and five minutes at most",
            "6:29 an address begins with `https://` or `http://`, and has no password in it",
            "7:7 one of `run` and `url` is expected here: what is looked at",
            "8:22 unknown key `command`",
            "8:7 `name` is missing",
            "5:5 two checks are named `capacity`",
        ],
    );
}

#[test]
fn rules_for_commits_are_a_word_or_a_mapping() {
    let rules =
        |text: &str, wrong: &[&str]| check(&format!("apiVersion: plimsoll/v1alpha1\ngate: {{commits: {text}}}\n"), wrong).gate.commits;
    assert_eq!(rules("conventional", &[]), Some(Default::default()));
    let all = rules("{types: [feat, fix], scopes: [cart], subjectMax: 72}", &[]).expect("they are right");
    assert_eq!((all.types.len(), all.scopes.len(), all.subject_max), (2, 1, Some(72)));
    rules("angular", &["2:17 `conventional`, or a mapping with `types`, `scopes` or `subjectMax`, is expected here, this is a text"]);
    rules(
        "{type: [feat], types: [], scopes: [], subjectMax: 300}",
        &[
            "2:18 unknown key `type`",
            "2:39 without types no message keeps the rules; without the key every type does",
            "2:51 without scopes no message with one keeps the rules; without the key every scope does",
            "2:67 a whole number from 10 to 200 is expected here",
        ],
    );
}

/// The schema and the parser know the same keys at the same places.
#[test]
fn the_schema_and_the_parser_are_in_step() {
    let schema: Json = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    for (place, keys) in KEYS {
        let mut nodes = vec![&schema];
        for part in place.split('.').filter(|part| !part.is_empty()) {
            nodes = nodes.into_iter().flat_map(alternatives).flat_map(|node| children(node, part)).collect();
        }
        let found: BTreeSet<&str> = nodes
            .into_iter()
            .flat_map(alternatives)
            .filter_map(|node| node["properties"].as_object())
            .flat_map(|properties| properties.keys().map(String::as_str))
            .collect();
        assert_eq!(found, keys.iter().copied().collect(), "at `{place}`");
    }
}

fn alternatives(node: &Json) -> Vec<&Json> {
    match node["oneOf"].as_array() {
        Some(all) => all.iter().collect(),
        None => vec![node],
    }
}

fn children<'a>(node: &'a Json, part: &str) -> Vec<&'a Json> {
    match (part, node["items"].is_object(), node["properties"].as_object()) {
        ("*", true, _) => vec![&node["items"]],
        ("*", false, None) if node["additionalProperties"].is_object() => vec![&node["additionalProperties"]],
        ("*", false, Some(properties)) => properties.values().collect(),
        (name, _, Some(properties)) => properties.get(name).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// Whatever the parser takes, the schema takes, and the other way round.
#[test]
fn the_schema_judges_as_the_parser_does() {
    let schema: Json = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    let validator = jsonschema::validator_for(&schema).expect("the schema is one");
    let cases = [
        ("{\"apiVersion\":\"plimsoll/v1alpha1\"}", true),
        ("{}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"smoke\":[\"/a\",{\"path\":\"/b\",\"expect\":[200,204]}]}", true),
        (
            "{\"apiVersion\":\"plimsoll/v1alpha1\",\"strategy\":{\"canary\":{\"steps\":[{\"setWeight\":10},{\"pause\":{\"duration\":\"5m\"}}]}}}",
            true,
        ),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"strategy\":{\"canary\":{\"steps\":[{\"setWeight\":101}]}}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"container\":\"registry.example.org:5000/shop:2@sha256:ab\"}", true),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"container\":\"--privileged\"}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"container\":{\"image\":\"shop\",\"memory\":\"512Mi\",\"cpus\":0.5,\"user\":1000}}", true),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"container\":{\"image\":\"shop\",\"memory\":\"512 MB\"}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"container\":{\"image\":\"shop\",\"user\":\"a:b:c\"}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"container\":{\"memory\":\"512Mi\"}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"strategy\":\"blueGreen\"}", true),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"strategy\":\"blue-green\"}", true),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"env\":{\"PORT\":\"3\"}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"strategy\":\"sideways\"}", false),
        (
            "{\"apiVersion\":\"plimsoll/v1alpha1\",\"strategy\":{\"blueGreen\":{\"autoPromotionSeconds\":30,\"scaleDownDelaySeconds\":\"5m\"}}}",
            true,
        ),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"strategy\":{\"blueGreen\":{\"autoPromotionEnabled\":\"no\"}}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"strategy\":{\"blueGreen\":{\"activeService\":\"shop\"}}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"strategy\":\"rolling\"}", true),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"strategy\":{\"rollingUpdate\":{\"maxSurge\":1,\"maxUnavailable\":\"25%\"}}}", true),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"strategy\":{\"rollingUpdate\":{\"maxSurge\":\"some\"}}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"strategy\":{\"rollingUpdate\":{\"maxUnavailable\":\"101%\"}}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"synthetic\":false}", true),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"synthetic\":true}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"require\":[\"luck\"]}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"name\":\"Über\"}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"slo\":{\"prometheus\":\"http://p:9090/x\",\"files\":[\"slo.yaml\"]}}}", true),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"slo\":{\"prometheus\":\"https://p\",\"files\":[\"slo.yaml\"]}}}", true),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"slo\":{\"prometheus\":\"http://a:b@p\",\"files\":[\"slo.yaml\"]}}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"slo\":{\"files\":[\"slo.yaml\"]}}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"slo\":{\"prometheus\":\"http://p\"}}}", false),
        (
            "{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"slo\":{\"prometheus\":\"https://p\",\"token\":\"T\",\"files\":[\"a\"]}}}",
            true,
        ),
        (
            "{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"slo\":{\"prometheus\":\"https://p\",\"user\":\"ana\",\"password\":\"P\",\"files\":[\"a\"]}}}",
            true,
        ),
        (
            "{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"slo\":{\"prometheus\":\"https://p\",\"token\":\"1\",\"files\":[\"a\"]}}}",
            false,
        ),
        (
            "{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"slo\":{\"prometheus\":\"http://p\",\"unknown\":\"deny\",\"budgetMin\":10,\"eventsMin\":1,\"objectives\":[{\"name\":\"a\",\"target\":99.5,\"window\":\"30d\",\"bad\":\"b\",\"total\":\"t\"}]}}}",
            true,
        ),
        (
            "{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"slo\":{\"prometheus\":\"http://p\",\"unknown\":\"perhaps\",\"files\":[]}}}",
            false,
        ),
        (
            "{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"slo\":{\"prometheus\":\"http://p\",\"objectives\":[{\"name\":\"a\",\"target\":100,\"window\":\"30d\",\"bad\":\"b\",\"total\":\"t\"}]}}}",
            false,
        ),
        (
            "{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"slo\":{\"prometheus\":\"http://p\",\"objectives\":[{\"name\":\"a\",\"target\":99,\"window\":\"30d\",\"total\":\"t\"}]}}}",
            false,
        ),
        (
            "{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"slo\":{\"prometheus\":\"http://p\",\"objectives\":[{\"name\":\"a\",\"target\":99,\"window\":\"30d\",\"good\":\"g\",\"bad\":\"b\",\"total\":\"t\"}]}}}",
            false,
        ),
        (
            "{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"incidents\":{\"command\":\"./incidents\",\"unknown\":\"allow\",\"priorities\":[\"P1\"]}}}",
            true,
        ),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"incidents\":{\"file\":\"ops/incidents.json\"}}}", true),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"incidents\":{\"file\":\"../incidents.json\"}}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"incidents\":{\"url\":\"https://p/incidents?a=b\",\"token\":\"PD\"}}}", true),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"incidents\":{\"url\":\"https://me:pw@p\"}}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"incidents\":{\"url\":\"p/incidents\"}}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"incidents\":{\"url\":\"http://p\",\"token\":\"2FA\"}}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"incidents\":{\"command\":\"a\",\"token\":\"PD\"}}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"incidents\":{\"command\":\"a\",\"file\":\"b\"}}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"incidents\":{}}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"incidents\":{\"command\":\"a\",\"priorities\":[]}}}", false),
        (
            "{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"checks\":[{\"name\":\"a\",\"run\":\"true\",\"timeout\":\"5m\"},{\"name\":\"b\",\"url\":\"http://p/ready\"}]}}",
            true,
        ),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"checks\":[{\"name\":\"a\"}]}}", false),
        (
            "{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"protection\":{\"url\":\"https://f/api/v1/repos/a/b\",\"token\":\"T\",\"unknown\":\"deny\",\"require\":{\"checks\":[\"build\"],\"reviews\":2}}}}",
            true,
        ),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"protection\":{\"token\":\"T\"}}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"protection\":{\"url\":\"https://f/repos/a/b?c\"}}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"protection\":{\"url\":\"https://f\",\"require\":{\"check\":[]}}}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"commits\":\"conventional\"}}", true),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"commits\":\"angular\"}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"commits\":{\"types\":[\"fix\"],\"scopes\":[\"a\"],\"subjectMax\":72}}}", true),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"commits\":{\"types\":[]}}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"commits\":{\"subjectMax\":9}}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"approvals\":{\"rules\":[{\"from\":\"bo\",\"when\":\"breaking\"}]}}}", true),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"approvals\":{\"rules\":[{\"from\":\"bo\",\"when\":\"major\"}]}}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"checks\":[{\"run\":\"true\"}]}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"checks\":[{\"name\":\"a\",\"run\":\"true\",\"url\":\"http://p\"}]}}", false),
        (
            "{\"apiVersion\":\"plimsoll/v1alpha1\",\"environments\":{\"production\":{\"reviewers\":[\"ana\",\"ops\"],\"preventSelfReview\":true,\"waitTimer\":43200,\"branches\":[\"main\"],\"tags\":[\"v*\"]}}}",
            true,
        ),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"environments\":{\"production\":{}}}", true),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"environments\":{\"production\":[]}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"environments\":{\"production\":{\"waitTimer\":43201}}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"environments\":{\"production\":{\"waitTimer\":1.5}}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"environments\":{\"production\":{\"reviewer\":[\"ana\"]}}}", false),
        (
            "{\"apiVersion\":\"plimsoll/v1alpha1\",\"environments\":{\"production\":{\"reviewers\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\"]}}}",
            false,
        ),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"environments\":{\"production\":{\"branches\":\"protected\"}}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"environments\":{\"production\":{\"branches\":[\"refs/heads/main\"]}}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"environments\":{\"production\":{\"branches\":[\"refs/pull/*/merge\"]}}}", true),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gitlab\":{\"images\":\"host\",\"mirrors\":{\"a/b\":\"../b\"}}}", true),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gitlab\":{\"images\":\"docker\"}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"benchmarks\":{\"regressionThreshold\":\"12.5%\"}}}", true),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"benchmarks\":{\"regressionThreshold\":0}}}", true),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"benchmarks\":{}}}", true),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"benchmarks\":{\"regressionThreshold\":\"10\"}}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"benchmarks\":{\"regressionThreshold\":\"inf%\"}}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"benchmarks\":{\"regressionThreshold\":-1}}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"benchmarks\":{\"slower\":10}}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"gate\":{\"require\":[\"benchmarks\",\"sbom\"]}}", true),
        (
            "{\"apiVersion\":\"plimsoll/v1alpha1\",\"workflows\":{\"security\":\"strict\",\"forbiddenUses\":{\"deny\":[\"a/*\",\"a/b@v1\",\"*\"]}}}",
            true,
        ),
        (
            "{\"apiVersion\":\"plimsoll/v1alpha1\",\"workflows\":{\"runners\":{\"macos-*\":\"skip\",\"gpu\":\"host\",\"a\":\"docker://b:1\"}}}",
            true,
        ),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"workflows\":{\"runners\":{\"a\":\"docker://\"}}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"workflows\":{\"runners\":{\"a\":\"elsewhere\"}}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"workflows\":{\"security\":\"loose\"}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"workflows\":{\"forbiddenUses\":{}}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"workflows\":{\"forbiddenUses\":{\"allow\":[],\"deny\":[]}}}", false),
        ("{\"apiVersion\":\"plimsoll/v1alpha1\",\"workflows\":{\"forbiddenUses\":{\"allow\":[\"a\"]}}}", false),
    ];
    for (text, expected) in cases {
        let json: Json = serde_json::from_str(text).expect("the case is JSON");
        let (_, diagnostics) = parse(&Source::new("x", text));
        assert_eq!(validator.is_valid(&json), expected, "schema: {text}");
        assert_eq!(diagnostics.is_empty(), expected, "parser: {text}: {diagnostics:?}");
    }
}

/// What isn't said of a place is as everywhere, key by key also in the hours.
#[test]
fn a_place_has_the_projects_gate_but_for_what_it_says() {
    let text = "apiVersion: plimsoll/v1alpha1
replicas: 2
env: {A: a, B: b}
limits: {ready: 1m, drain: 5s}
gate:
  coverage: 70
  teams: {leads: [ana]}
  approvals: {rules: [{from: leads}]}
  findings: {high: 3}
  window: {timezone: Europe/Berlin, weekly: [mon-fri 09:00-16:00], holidays: [2026-12-25 Christmas]}
environments:
  Live:
    level: production
    env: {B: c}
    limits: {drain: 7s}
    gate: {findings: {medium: 9}, window: {freezes: [{from: 2026-12-20, to: 2027-01-03, reason: the sale}]}}
  small: {replicas: 1, gate: {tier: 3}}
";
    let config = check(text, &[]);
    let live = config.at("live");
    assert_eq!((live.replicas, live.env["A"].as_str(), live.env["B"].as_str()), (Some(2), "a", "c"));
    assert_eq!((live.limits.ready_ms, live.limits.drain_ms), (Some(60_000), Some(7_000)));
    let calendar = &live.gate.calendar;
    assert_eq!(
        (calendar.timezone.as_str(), calendar.weekly.len(), calendar.holidays.len(), calendar.freezes.len()),
        ("Europe/Berlin", 1, 1, 1)
    );
    let plan = live.gate.plan(config.level("live"));
    assert_eq!((plan.findings_max.high, plan.findings_max.medium, plan.findings_max.critical), (Some(3), Some(9), Some(0)));
    assert_eq!((plan.coverage_min_percent, plan.provenance_min, plan.signed), (70.0, 3, true));
    assert_eq!(plan.approvals.rules.len(), 1);
    let small = config.at("small");
    assert_eq!((small.replicas, config.level("small"), small.gate.plan(None).coverage_min_percent), (Some(1), None, 60.0));
    assert_eq!(config.at("elsewhere"), config, "of what isn't listed nothing is different");
    check(
        "apiVersion: plimsoll/v1alpha1\nenvironments: {a: {gate: {teams: {x: [y]}, people: {}}, level: secure}}\n",
        &[
            "2:64 a level is one of `development`, `staging`, `production`",
            "2:34 `teams` are the project's, in every environment",
            "2:52 `people` are the project's, in every environment",
        ],
    );
}
