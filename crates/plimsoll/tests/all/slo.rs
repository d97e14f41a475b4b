//! Error budgets, asked of a real Prometheus with recorded series, and of one that dies.

#![allow(clippy::unwrap_used)]

use crate::common;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use crate::common::{DEADLINE, Place, certificate, free_port, until};

/// Where the judge isn't what is looked at.
const AT_ONCE: [&str; 2] = ["--strategy", "immediate"];

/// Every minute of three days: ten requests, of which so many are bad in the minutes of the last hours.
struct Prometheus {
    folder: PathBuf,
    port: u16,
    running: Option<Child>,
    /// By `web.yml`.
    protected: bool,
}

impl Prometheus {
    /// `bad` of the ten requests of a minute, by the minutes that have passed since.
    fn recorded(place: &Place, bad: impl Fn(u64) -> u64) -> Prometheus {
        let port = free_port();
        let folder = place.path(&format!("prometheus-{port}"));
        std::fs::create_dir(&folder).unwrap();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let mut series = String::from("# TYPE http_requests counter\n");
        for code in ["200", "500"] {
            let mut count = 0;
            for ago in (0..3 * 24 * 60).rev() {
                count += if code == "500" { bad(ago) } else { 10 - bad(ago) };
                writeln!(series, "http_requests_total{{code=\"{code}\"}} {count} {}", now - ago * 60).unwrap();
            }
        }
        series.push_str("# EOF\n");
        std::fs::write(folder.join("series"), series).unwrap();
        std::fs::write(folder.join("prometheus.yml"), "global: {scrape_interval: 15s}\n").unwrap();
        let imported = Command::new("promtool")
            .args(["tsdb", "create-blocks-from", "openmetrics", "--quiet", "series", "data"])
            .current_dir(&folder)
            .output()
            .unwrap();
        assert!(imported.status.success(), "{imported:?}");
        let mut prometheus = Prometheus { folder, port, running: None, protected: false };
        prometheus.start();
        prometheus
    }

    fn start(&mut self) {
        let child = Command::new("prometheus")
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .arg(format!("--web.listen-address=127.0.0.1:{}", self.port))
            .args(self.protected.then_some("--web.config.file=web.yml"))
            .current_dir(&self.folder)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.running = Some(child);
        let is_ready = || {
            let ask = || {
                let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
                if self.protected {
                    return Some(());
                }
                stream.write_all(b"GET /-/ready HTTP/1.0\r\n\r\n").ok()?;
                let mut said = String::new();
                stream.read_to_string(&mut said).ok()?;
                said.contains(" 200 OK").then_some(())
            };
            ask().is_some()
        };
        until(DEADLINE, is_ready).unwrap();
    }

    fn die(&mut self) {
        let mut child = self.running.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// 99 % of the requests are to be good, over a day.
    fn promise(&self, more: &str) -> String {
        format!(
            "gate:
  slo:
    prometheus: http://127.0.0.1:{}
    objectives:
      - name: availability
        target: 99
        window: 1d
        bad: sum(rate(http_requests_total{{code=\"500\"}}[$window]))
        total: sum(rate(http_requests_total[$window]))
{more}",
            self.port
        )
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        if self.running.is_some() {
            self.die();
        }
    }
}

fn configure(place: &Place, gate: &str) {
    place.write("plimsoll.yaml", &format!("{}start: exec python3 app.py\n{gate}", common::SMALL));
    place.commit("what is promised");
}

fn json(place: &Place, args: &[&str]) -> serde_json::Value {
    serde_json::from_str(&place.say(args).raw).unwrap()
}

#[test]
fn a_budget_that_lasts_lets_it_go_and_one_that_burns_does_not() {
    let place = Place::with_app();
    let nothing = place.say(&["slo", "status"]);
    assert!(nothing.code == 9 && nothing.err.contains("the project promises nothing"), "{nothing:?}");

    let calm = Prometheus::recorded(&place, |_| 0);
    configure(&place, &calm.promise(""));
    let status = place.say(&["slo", "status"]);
    assert!(status.code == 0 && status.out.contains("availability: 100 % of the error budget is left (99 % over 1d)"), "{status:?}");
    let up = place.up(&AT_ONCE);
    assert_eq!(up.code, 0, "{up:?}");
    let explained = place.say(&["gate", "explain"]);
    assert!(explained.out.contains("Promised: availability: 100 % of the error budget is left"), "{explained:?}");

    // Every other request of the last hours is bad.
    let burning = Prometheus::recorded(&place, |ago| if ago < 7 * 60 { 5 } else { 0 });
    configure(&place, &burning.promise(""));
    let status = place.say(&["slo", "status"]);
    assert!(status.code == 3 && status.out.contains("the error budget is overdrawn by "), "{status:?}");
    assert!(status.raw.contains("burns 50 over 1h, 50 over 5m; the rule of 14.4 fires, and denies"), "{status:?}");
    let burn = json(&place, &["slo", "burn", "--json"]);
    let fires: Vec<bool> = burn[0]["burn"].as_array().unwrap().iter().map(|rule| rule["fires"].as_bool().unwrap()).collect();
    assert_eq!(fires, [true, true, true, true], "{burn}");
    let budget = json(&place, &["slo", "budget", "--json"]);
    let about = |name: &str, expected: f64| (budget[0][name].as_f64().unwrap() / expected - 1.0).abs() < 0.02;
    assert!(about("events", 14_400.0) && about("errors", 2_100.0), "{budget}");

    let check = place.say(&["gate", "check"]);
    assert!(check.code == 3 && check.out.contains("promised   availability: the error budget is overdrawn"), "{check:?}");
    let denied = place.up(&AT_ONCE);
    assert!(
        denied.code == 3 && denied.err.contains("the error budget of availability burns 50 times as fast as it lasts, over 1h"),
        "{denied:?}"
    );
    let asked = json(&place, &["policy", "eval", "input.slo[0].burn[0].fires", "--json"]);
    assert_eq!(asked["result"][0]["expressions"][0]["value"], true, "{asked}");
    assert_eq!(place.say(&["doctor", "--verify"]).code, 0);
}

/// Of the password `test`, as cheaply as it can be: each of many questions is answered for.
const HASHED: &str = "$2b$04$1IsBgLe2WqzS4uYLwpXBmuki5S2mbX8cky1GcruLwRpHDEJo6HdgG";

#[test]
fn a_prometheus_behind_tls_and_a_password_is_shown_the_projects_secret() {
    let place = Place::with_app();
    let mut prometheus = Prometheus::recorded(&place, |_| 0);
    let folder = prometheus.folder.clone();
    certificate(&folder);
    let web = format!("tls_server_config: {{cert_file: cert.pem, key_file: key.pem}}\nbasic_auth_users: {{ana: {HASHED}}}\n");
    std::fs::write(folder.join("web.yml"), web).unwrap();
    prometheus.die();
    prometheus.protected = true;
    prometheus.start();
    let promised = prometheus.promise("").replace("http://127.0.0.1", "https://localhost");
    let promised = promised.replace("    objectives:\n", "    user: ana\n    password: PROM_PASSWORD\n    objectives:\n");
    configure(&place, &promised);
    let slo = || {
        let mut slo = place.plimsoll(&["slo", "status"]);
        slo.env("SSL_CERT_FILE", folder.join("cert.pem"));
        place.start(slo).wait()
    };
    let plan = place.up(&["--dry-run"]);
    let empty = "`gate.slo.password` is empty, so nobody will know the error budgets; `plimsoll secret set PROM_PASSWORD` gives it a value";
    assert!(plan.err.contains(empty), "{plan:?}");
    let without = slo();
    let why = "Prometheus can't be asked: there is no secret `PROM_PASSWORD`; `plimsoll secret set PROM_PASSWORD` makes it";
    assert!(without.code == 5 && without.out.contains(why), "{without:?}");
    let set = |value: &str| {
        let mut set = place.at_home("sh");
        set.args(["-c", &format!("printf '{value}' | {} secret set PROM_PASSWORD", env!("CARGO_BIN_EXE_plimsoll"))]);
        set.current_dir(place.project());
        assert_eq!(place.start(set).wait().code, 0);
    };
    set("not-it-at-all");
    let wrong = slo();
    assert!(wrong.code == 5 && wrong.out.contains("it answers 401, to who asked") && !wrong.out.contains("not-it-at-all"), "{wrong:?}");
    set("test");
    let known = slo();
    assert!(known.code == 0 && known.out.contains("availability: 100 % of the error budget is left"), "{known:?}");
    let unknown_authority = place.say(&["slo", "status"]);
    assert!(unknown_authority.code == 5 && unknown_authority.out.contains("SSL certificate problem"), "{unknown_authority:?}");
}

/// One bad minute an hour ago is over; five of ten in the last three minutes are too few to be sure of.
#[test]
fn what_is_over_and_what_has_only_begun_is_quiet() {
    let place = Place::with_app();
    let over = Prometheus::recorded(&place, |ago| if (40..50).contains(&ago) { 10 } else { 0 });
    configure(&place, &over.promise(""));
    let burn = json(&place, &["slo", "burn", "--json"]);
    let rule = &burn[0]["burn"][0];
    assert!(rule["long_rate"].as_f64().unwrap() > 14.4 && rule["short_rate"] == 0.0 && rule["fires"] == false, "{burn}");
    let few = Prometheus::recorded(&place, |ago| if ago < 3 { 5 } else { 0 });
    configure(&place, &few.promise("    eventsMin: 100000\n"));
    let few = place.say(&["slo", "status"]);
    assert!(few.code == 0 && few.out.contains("availability: too few events to judge the error budget, 14"), "{few:?}");
}

#[test]
fn while_nobody_knows_it_waits_and_goes_on_when_somebody_does() {
    let place = Place::with_app();
    let mut prometheus = Prometheus::recorded(&place, |_| 0);
    configure(&place, &prometheus.promise("  approvals:\n    rules:\n      - {from: bo}\n"));
    let mut up = place.start_up(&AT_ONCE);
    up.until_it_says("needs 1 approval of bo");
    prometheus.die();
    let status = place.say(&["slo", "status"]);
    assert!(
        status.code == 5
            && status.out.contains("nobody knows what is left of the error budget (99 % over 1d): Prometheus can't be reached"),
        "{status:?}"
    );
    let mut yes = place.plimsoll(&["approve"]);
    yes.env("PLIMSOLL_ACTOR", "bo");
    assert_eq!(place.start(yes).wait().code, 0);
    up.until_it_says("nobody knows what is left of the error budget of `availability`: Prometheus can't be reached");
    prometheus.start();
    up.wait().ends(0, &["✔ verified   the new revision carries all traffic and stayed ready"]);
    let explained = place.say(&["gate", "explain"]);
    assert!(
        explained.out.contains("Promised: availability: 100 % of the error budget is left"),
        "as it was in the moment of acting: {explained:?}"
    );
    assert_eq!(place.say(&["doctor", "--verify"]).code, 0);
}

#[test]
fn a_query_that_nothing_answers_is_unknown_and_what_then_is_configured() {
    let place = Place::with_app();
    let prometheus = Prometheus::recorded(&place, |_| 0);
    let nothing = prometheus.promise("").replace("http_requests_total{code", "htp_requests_total{code");
    configure(&place, &format!("{nothing}    unknown: deny\n"));
    let denied = place.up(&AT_ONCE);
    assert!(
        denied.code == 3
            && denied.err.contains("nobody knows what is left of the error budget of availability: no series answers the query"),
        "{denied:?}"
    );
    configure(&place, &format!("{nothing}    unknown: allow\n"));
    let warned = place.up(&AT_ONCE);
    assert!(warned.code == 0, "{warned:?}");
    configure(&place, &nothing);
    let mut up = place.start_up(&AT_ONCE);
    up.until_it_says("nobody knows what is left of the error budget of `availability`: no series answers the query");
    assert_eq!(place.say(&["gate", "override", "--reason", "the shop is down"]).code, 0);
    let up = up.wait();
    assert!(up.code == 0 && up.err.contains("past: nobody knows what is left of the error budget"), "{up:?}");
}

#[test]
fn objectives_of_openslo_files_are_measured_and_mistakes_in_them_refused() {
    let place = Place::with_app();
    let prometheus = Prometheus::recorded(&place, |ago| u64::from(ago % 100 == 0));
    let slo = |target: &str| {
        format!(
            "apiVersion: openslo/v1
kind: SLO
metadata: {{name: shop}}
spec:
  indicator:
    spec:
      ratioMetric:
        counter: true
        good: {{metricSource: {{type: Prometheus, spec: {{query: 'http_requests_total{{code!=\"500\"}}'}}}}}}
        total: {{metricSource: {{type: Prometheus, spec: {{query: sum(http_requests_total)}}}}}}
  timeWindow: [{{duration: 1d, isRolling: true}}]
  objectives: [{{target: {target}}}]
"
        )
    };
    place.write("slo/shop.yaml", &slo("0.99"));
    configure(&place, &format!("gate:\n  slo: {{prometheus: 'http://127.0.0.1:{}', files: [slo/shop.yaml]}}\n", prometheus.port));
    let status = json(&place, &["slo", "status", "--json"]);
    let left = status[0]["budget_left_percent"].as_f64().unwrap();
    assert!(status[0]["name"] == "shop" && (85.0..95.0).contains(&left), "{status}");
    place.write("slo/shop.yaml", &slo("1"));
    place.commit("no room for errors");
    let wrong = place.up(&AT_ONCE);
    assert!(wrong.code == 2 && wrong.err.contains("slo/shop.yaml:12:25") && wrong.err.contains("a number between 0 and 1"), "{wrong:?}");
    std::fs::remove_file(place.project().join("slo/shop.yaml")).unwrap();
    place.commit("gone");
    let gone = place.up(&AT_ONCE);
    assert!(gone.code == 2 && gone.err.contains("names `slo/shop.yaml`, which is not in the commit"), "{gone:?}");
}
