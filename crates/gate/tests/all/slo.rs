//! Error budgets: the rules at their edges, what is asked of Prometheus, what it answers, and OpenSLO files.

use std::collections::BTreeMap;

use base::Source;
use base::time::parse_duration_ms;
use gate::slo::{Counts, Measured, Objective, Part, Slos, Status, WhenUnknown, answer, check_query, objectives};

const ALL: [&str; 8] = ["5m", "30m", "1h", "2h", "6h", "1d", "3d", "30d"];

fn ms(text: &str) -> u64 {
    parse_duration_ms(text).expect("a length of time")
}

/// 99 %, so that one bad event in a hundred is a burn rate of 1.
fn slos() -> Slos {
    let objective = Objective {
        name: "availability".into(),
        target_percent: 99.0,
        window_ms: ms("30d"),
        part: Part::Bad("bad_total".into()),
        total: "all_total".into(),
    };
    Slos { prometheus: "http://p".into(), objectives: vec![objective], ..Slos::default() }
}

/// `window=bad/total`, for the windows that differ from `0/1000`.
fn counts(text: &str) -> BTreeMap<u64, Counts> {
    let mut res: BTreeMap<u64, Counts> = ALL.map(|window| (ms(window), Counts { part: 0.0, total: 1000.0 })).into();
    for word in text.split_whitespace() {
        let (window, counts) = word.split_once('=').expect("window=counts");
        let (part, total) = counts.split_once('/').expect("part/total");
        res.insert(ms(window), Counts { part: part.parse().expect("a number"), total: total.parse().expect("a number") });
    }
    res
}

fn status(slos: &Slos, text: &str) -> Status {
    slos.assess(&[Measured { objective: "availability".into(), counts: Ok(counts(text)) }]).remove(0)
}

/// The rules that fire: by factor.
fn check(text: &str, expected: &[f64]) {
    let status = status(&slos(), text);
    assert_eq!(status.unknown, None, "{text}");
    assert_eq!(status.fires().map(|burn| burn.factor).collect::<Vec<_>>(), expected, "{text}");
}

#[test]
fn a_rule_fires_when_both_of_its_windows_burn_faster_than_its_factor() {
    check("", &[]);
    check("1h=145/1000 5m=145/1000", &[14.4]);
    check("1h=144/1000 5m=144/1000", &[]);
    check("1h=145/1000 5m=144/1000", &[]);
    check("1h=144/1000 5m=145/1000", &[]);
    check("6h=61/1000 30m=61/1000", &[6.0]);
    check("6h=60/1000 30m=61/1000", &[]);
    check("1d=31/1000 2h=31/1000", &[3.0]);
    check("1d=30/1000 2h=31/1000", &[]);
    check("3d=11/1000 6h=11/1000", &[1.0]);
    check("3d=10/1000 6h=11/1000", &[]);
    check("3d=200/1000 1d=200/1000 6h=200/1000 2h=200/1000 1h=200/1000 30m=200/1000 5m=200/1000", &[14.4, 6.0, 3.0, 1.0]);
}

#[test]
fn too_few_events_say_nothing() {
    check("1h=3/3 5m=3/3", &[]);
    check("1h=99/99 5m=1/1", &[]);
    check("1h=100/100 5m=1/1", &[14.4]);
    let few = status(&slos(), "30d=99/99");
    assert!(few.too_few_events && few.budget_left_percent.is_none(), "{few:?}");
    let nothing = status(&slos(), "30d=0/0 1h=0/0 5m=0/0");
    assert!(nothing.too_few_events && nothing.unknown.is_none() && nothing.fires().count() == 0, "{nothing:?}");
    let any = Slos { events_min: 0, ..slos() };
    assert_eq!(status(&any, "30d=0/0").budget_left_percent, Some(100.0));
}

#[test]
fn what_is_left_of_a_budget() {
    let left = |text: &str| status(&slos(), text).budget_left_percent.expect("it is known");
    assert_eq!(left("30d=0/1000"), 100.0);
    assert_eq!(left("30d=5/1000"), 50.0);
    assert_eq!(left("30d=10/1000"), 0.0);
    assert_eq!(left("30d=15/1000"), -50.0);
    // Never rounded up: 33.333… %.
    assert_eq!(left("30d=20/3000"), 33.33);
    assert_eq!(left("30d=9.9999/1000"), 0.0);
    let good = Slos { objectives: vec![Objective { part: Part::Good("good_total".into()), ..slos().objectives[0].clone() }], ..slos() };
    let all_good = ALL.map(|window| format!("{window}=1000/1000")).join(" ");
    assert_eq!(status(&good, &format!("{all_good} 30d=995/1000")).budget_left_percent, Some(50.0));
    // Extrapolated a little too far is no error; far too far is no count.
    assert_eq!(status(&good, &format!("{all_good} 30d=1009/1000")).budget_left_percent, Some(100.0));
    let more = status(&good, &format!("{all_good} 30d=1200/1000")).unknown.expect("it is unknown");
    assert_eq!(more, "of the last 30d there are more counted by one query (1200) than by `total` (1000)");
}

#[test]
fn how_many_events_there_were_is_told() {
    let of = |text: &str| {
        let status = status(&slos(), text);
        (status.events, status.errors, status.unknown)
    };
    assert_eq!(of("30d=12.4/2000.6"), (Some(2001.0), Some(12.0), None));
    // Each query is extrapolated by itself: a hundredth and one event more are no contradiction.
    assert_eq!(of("30d=1011/1000"), (Some(1000.0), Some(1000.0), None));
    let more = "of the last 30d there are more counted by one query (1012) than by `total` (1000)";
    assert_eq!(of("30d=1012/1000").2.as_deref(), Some(more));
    assert_eq!(of("30d=1/0").2, None);
    assert!(of("30d=1.1/0").2.is_some());
    assert_eq!(status(&slos(), "30d=10/1000").sentence(), "availability: 0 % of the error budget is left (99 % over 30d)");
}

#[test]
fn what_is_not_known_is_never_good() {
    let all = counts("");
    for missing in ALL {
        let mut counts = all.clone();
        counts.remove(&ms(missing));
        let status = slos().assess(&[Measured { objective: "availability".into(), counts: Ok(counts) }]).remove(0);
        assert!(status.unknown.is_some() && status.budget_left_percent.is_none() && status.burn.is_empty(), "{missing}: {status:?}");
    }
    for odd in ["NaN/1000", "1/NaN", "inf/1000", "1/inf", "-1/1000", "0/-1"] {
        for window in ALL {
            let status = status(&slos(), &format!("{window}={odd}"));
            assert!(status.unknown.is_some() && status.budget_left_percent.is_none(), "{window} {odd}: {status:?}");
        }
    }
    let nobody = slos().assess(&[]);
    assert_eq!(nobody[0].unknown.as_deref(), Some("nobody has looked yet"));
    let down = slos().assess(&[Measured { objective: "availability".into(), counts: Err("Prometheus is down".into()) }]);
    let holds = |unknown| Slos { unknown, ..slos() }.holds(&down);
    assert_eq!(holds(WhenUnknown::Hold).as_deref(), Some("`availability`: Prometheus is down"));
    assert_eq!((holds(WhenUnknown::Deny), holds(WhenUnknown::Allow)), (None, None));
    assert_eq!(slos().holds(&[status(&slos(), "")]), None);
}

#[test]
fn what_is_asked() {
    let asked = |query: &str| {
        let objective = Objective { total: query.into(), ..slos().objectives[0].clone() };
        let question = objective.questions().remove(0);
        (question.total, question.total_scale)
    };
    let table = [
        ("all_total", "sum(increase(all_total[300s]))", 1.0),
        ("sum(all_total)", "sum(increase(all_total[300s]))", 1.0),
        (r#" sum ( job:all_total{code=~"5..",path="/}"} ) "#, r#"sum(increase(job:all_total{code=~"5..",path="/}"}[300s]))"#, 1.0),
        ("sum(rate(all_total[$window]))", "sum(rate(all_total[300s]))", 300.0),
        ("sum(increase(all_total[{{.window}}]))", "sum(increase(all_total[300s]))", 1.0),
        ("sum(rate(all_total[{{ .window }}])) or vector(0)", "sum(rate(all_total[300s])) or vector(0)", 300.0),
    ];
    for (query, text, scale) in table {
        check_query(query).expect(query);
        assert_eq!(asked(query), (text.to_string(), scale), "{query}");
    }
    for wrong in [
        "",
        "sum(rate(all_total[5m]))",
        "sum by (code) (all_total)",
        "all_total / 2",
        "a{b=\"c\"} + d{}",
        "sum(a) + sum(b)",
        "a{b=\"c\"",
        "5",
    ] {
        assert!(check_query(wrong).is_err(), "{wrong}");
    }
    let windows: Vec<u64> = slos().objectives[0].questions().iter().map(|question| question.window_ms).collect();
    assert_eq!(windows, ALL.map(ms));
}

#[test]
fn what_is_answered() {
    let vector = |values: &str| format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{values}]}}}}"#);
    let one = |value: &str| vector(&format!(r#"{{"metric":{{}},"value":[1,"{value}"]}}"#));
    let table = [
        (one("12.5"), Ok(12.5)),
        (one("0"), Ok(0.0)),
        (r#"{"status":"success","data":{"resultType":"scalar","result":[1,"3"]}}"#.to_string(), Ok(3.0)),
        (one("NaN"), Err("the answer is NaN: nothing was counted")),
        (one("+Inf"), Err("the answer is inf, which is no number of events")),
        (one("-1"), Err("the answer is -1, which is no number of events")),
        (one("x"), Err("the answer is no number")),
        (vector(""), Err("no series answers the query")),
        (vector(r#"{"value":[1,"1"]},{"value":[1,"2"]}"#), Err("2 series answer where one is expected; `sum(…)` makes one")),
        (
            r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#.to_string(),
            Err("a matrix answers where a number is expected"),
        ),
        (r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#.to_string(), Err("Prometheus refuses: parse error")),
        ("<html>".to_string(), Err("what answers is no Prometheus")),
        ("{}".to_string(), Err("what answers is no Prometheus")),
        (String::new(), Err("what answers is no Prometheus")),
    ];
    for (body, expected) in table {
        assert_eq!(answer(body.as_bytes()), expected.map_err(str::to_string), "{body}");
    }
}

const OPENSLO: &str = r#"apiVersion: openslo/v1
kind: SLI
metadata: {name: answers}
spec:
  ratioMetric:
    counter: true
    good: {metricSource: {type: Prometheus, spec: {query: 'sum(http_requests_total{code!~"5.."})'}}}
    total: {metricSource: {type: Prometheus, spec: {query: sum(http_requests_total)}}}
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: shop}
spec:
  service: shop
  indicatorRef: answers
  timeWindow: [{duration: 4w, isRolling: true}]
  budgetingMethod: Occurrences
  objectives:
    - {displayName: gold, target: 0.999}
    - {targetPercent: 95}
---
apiVersion: openslo/v1
kind: Service
metadata: {name: shop}
spec: {description: "sells things"}
"#;

#[test]
fn openslo_files_are_read() {
    let found = objectives(&[Source::new("slo/shop.yaml", OPENSLO)]).expect("it is right");
    let told: Vec<_> = found.iter().map(|it| (it.name.as_str(), it.target_percent, it.window_ms)).collect();
    assert_eq!(told, [("shop/gold", 99.9, ms("28d")), ("shop/2", 95.0, ms("28d"))]);
    assert_eq!(found[0].part, Part::Good(r#"sum(http_requests_total{code!~"5.."})"#.into()));
    assert_eq!(found[0].total, "sum(http_requests_total)");
    // The indicator may stand in another file, whichever is read first.
    let (indicator, objective) = OPENSLO.split_once("---\n").expect("documents");
    assert_eq!(objectives(&[Source::new("b.yaml", objective), Source::new("a.yaml", indicator)]).expect("it is right"), found);
}

#[test]
fn what_can_not_be_measured_is_said_with_its_place() {
    let table = [
        ("openslo/v1", "openslo/v2", "1:13 an OpenSLO file has `apiVersion: openslo/v1`"),
        ("kind: SLO", "kind: Wish", "11:7 `kind` is none of OpenSLO's"),
        ("Occurrences", "Timeslices", "17:20 only the budgeting method `Occurrences` is read: what counts are events, not slices of time"),
        ("indicatorRef: answers", "indicatorRef: gone", "15:17 no file that is read has an indicator (`kind: SLI`) of this name"),
        ("duration: 4w", "duration: 1M", "16:27 a window of an hour at least is expected here, in hours, days or weeks: `30d`, `4w`"),
        ("isRolling: true", "isRolling: false", "16:16 only rolling windows are read: `isRolling: true`"),
        (
            "target: 0.999",
            "target: 1",
            "19:35 a number between 0 and 1 is expected here, both excluded: without room for errors there is no budget",
        ),
        ("targetPercent: 95", "goal: 95", "20:7 `target` is missing"),
    ];
    for (from, to, expected) in table {
        let text = OPENSLO.replacen(from, to, 1);
        let wrong = objectives(&[Source::new("slo.yaml", text)]).expect_err(to);
        let told: Vec<String> = wrong
            .iter()
            .map(|(source, it)| {
                let (line, column) = source.line_column(it.span.start);
                format!("{line}:{column} {}", it.message)
            })
            .collect();
        assert!(told.contains(&expected.to_string()), "{to}: {told:?}");
    }
    for (from, to) in [
        ("ratioMetric", "thresholdMetric"),
        ("counter: true", "counter: false"),
        ("type: Prometheus", "type: Datadog"),
        ("    good:", "    raw:"),
        ("    total:", "    tot:"),
        ("sum(http_requests_total)", "sum(rate(a[5m]))"),
    ] {
        assert!(objectives(&[Source::new("slo.yaml", OPENSLO.replacen(from, to, 1))]).is_err(), "{to}");
    }
}
