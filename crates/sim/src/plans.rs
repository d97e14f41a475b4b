//! Releases as users propose them: small plans, and revisions that behave in one way or another.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use base::name::{ProjectId, ReleaseId, RunId};
use base::{Digest, Source, Timestamp};
use fastrand::Rng;
use gate::approval::{Approvals, Rule};
use gate::check::{Check, How};
use gate::incident::{Incidents, Source as Knows};
use gate::slo::{Objective, Part, Slos, WhenUnknown};
use gate::window::{Calendar, Period};
use gate::{GatePlan, PolicyFile};
use release::{CodeSource, Commit, Delivery, Kind, Live, Plan, Project, Release, Ships, Workflows};
use rollout::{Amount, Deadline, JudgePlan, Limits, Probe, Probes, SmokeCheck, Step, Strategy, SyntheticPlan};
use workflow::environment::{Environments, Protection, Reviewer};
use workflow::model::Workflow;
use workflow::plan::{Repository, Request};

/// How a revision behaves once it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nature {
    Good,
    /// Every fifth answer is bad.
    Worse,
    Slow,
    NeverReady,
    CrashLoop,
    SmokeFails,
    DiesLater,
    /// Three answers in ten are bad once it has all the traffic.
    Overloads,
}

/// What a release is going to make of itself.
#[derive(Debug, Clone)]
pub(crate) struct Proposal {
    pub plan: Plan,
    /// Nothing when its jobs leave nothing to ship.
    pub makes: Option<Digest>,
}

pub(crate) const ENVIRONMENT: &str = "production";

pub(crate) fn project() -> ProjectId {
    ProjectId::new(Timestamp::from_ms(1), 7)
}

/// A commit that goes the whole way; some make the same artifact as the one before.
pub(crate) fn change(rng: &mut Rng, number: u64, now: Timestamp, before: Option<Digest>) -> (Proposal, Option<(Digest, Nature)>) {
    // What comes first is mostly sound: without something live there is no canary.
    let sound = number == 1 && rng.u32(0..8) > 0;
    let fresh = (Digest::of(&number.to_be_bytes()), if sound { Nature::Good } else { nature(rng) });
    let same = before.filter(|_| rng.u32(0..8) == 0);
    let makes = (sound || rng.u32(0..15) > 0).then_some(same.unwrap_or(fresh.0));
    let author = if !sound && rng.u32(0..15) == 0 { "mallory" } else { "ana" };
    let workflows = Workflows {
        commit: Commit {
            sha: format!("{number:040x}"),
            git_ref: "refs/heads/main".to_string(),
            subject: format!("change {number}"),
            author: author.to_string(),
            dirty: false,
        },
        source: CodeSource { repository: "/srv/shop".to_string(), sha: format!("{number:040x}"), subtree: String::new(), snapshot: None },
        runs: vec![Arc::new(run(rng, number, now))],
        ships: Ships::Left("dist".to_string()),
        brings: None,
        gate: GatePlan {
            policies: vec![policy()],
            policy_limit_ms: 600_000,
            calendar: calendar(rng, now),
            override_people: 1 + u32::from(number.is_multiple_of(3)),
            approvals: asked(rng),
            slos: promised(rng),
            incidents: watched(rng),
            checks: checked(rng),
            signed: number.is_multiple_of(4),
            ..GatePlan::default()
        },
        hosted: false,
        proved: None,
    };
    let delivery = delivery(rng);
    let plan = plan(rng, number, now, Kind::Change(Box::new(workflows)), delivery);
    (Proposal { plan, makes }, same.is_none().then_some(fresh))
}

/// Most ship at any time; some not for a while, in the middle of their way or from the start.
fn calendar(rng: &mut Rng, now: Timestamp) -> Calendar {
    if rng.u32(0..5) > 0 {
        return Calendar::default();
    }
    let from = now.plus_ms(rng.u64(0..60_000));
    let freezes = vec![Period { from, to: Some(from.plus_ms(rng.u64(1_000..60_000))), reason: "the sale".to_string() }];
    Calendar { freezes, ..Calendar::default() }
}

/// Most need nobody.
fn asked(rng: &mut Rng) -> Approvals {
    if rng.u32(0..5) > 0 {
        return Approvals::default();
    }
    let people = ["ana", "bo", "cy"].map(str::to_string).into();
    let rules = vec![Rule { name: "leads".to_string(), people, count: rng.u32(1..3), when: None }];
    Approvals { rules, expires_ms: rng.bool().then_some(60_000), ..Approvals::default() }
}

/// Most promise nothing.
fn promised(rng: &mut Rng) -> Slos {
    if rng.u32(0..4) > 0 {
        return Slos::default();
    }
    let objective = Objective {
        name: "availability".to_string(),
        target_percent: 99.0,
        window_ms: 30 * 24 * 3_600_000,
        part: Part::Bad("bad_total".to_string()),
        total: "all_total".to_string(),
    };
    let unknown = if rng.u32(0..4) == 0 { WhenUnknown::Allow } else { WhenUnknown::Hold };
    Slos { prometheus: "http://prometheus:9090".to_string(), objectives: vec![objective], unknown, ..Slos::default() }
}

/// Most ask for no incidents.
fn watched(rng: &mut Rng) -> Option<Incidents> {
    if rng.u32(0..4) > 0 {
        return None;
    }
    let unknown = if rng.u32(0..4) == 0 { WhenUnknown::Allow } else { WhenUnknown::Hold };
    let priorities = gate::incident::PRIORITIES.map(str::to_string).into();
    Some(Incidents { source: Knows::File("/incidents.json".to_string()), token: None, unknown, priorities })
}

/// Most check nothing.
fn checked(rng: &mut Rng) -> Vec<Check> {
    let names = ["capacity", "monitoring"].into_iter().filter(|_| rng.u32(0..8) == 0);
    let check = |name: &str| Check { name: name.to_string(), how: How::Run("true".to_string()), timeout_ms: gate::check::TIMEOUT_MS };
    names.map(check).collect()
}

/// Whose agreement a release needs, where it needs any.
pub(crate) fn approvals(release: &Release) -> Option<&Approvals> {
    release.plan().workflows().map(|workflows| &workflows.gate.approvals).filter(|approvals| !approvals.is_empty())
}

/// Back to what was live before.
pub(crate) fn rollback(rng: &mut Rng, number: u64, now: Timestamp, to: &Live) -> Proposal {
    let kind = Kind::Rollback { revision: Box::new(to.instance.clone()), reason: "asked for by ana".to_string(), undoes: None };
    Proposal { plan: plan(rng, number, now, kind, to.delivery.clone()), makes: None }
}

fn plan(rng: &mut Rng, number: u64, now: Timestamp, kind: Kind, delivery: Delivery) -> Plan {
    let project = Project { id: project(), name: "shop".to_string(), repository: "/srv/shop".to_string(), subtree: String::new() };
    Plan {
        id: ReleaseId::new(now, rng.u128(..)),
        number,
        project,
        environment: ENVIRONMENT.to_string(),
        kind,
        delivery,
        actor: "ana".to_string(),
        created: now,
    }
}

fn nature(rng: &mut Rng) -> Nature {
    match rng.u32(0..17) {
        0..=8 => Nature::Good,
        9 | 10 => Nature::Worse,
        11 => Nature::Slow,
        12 => Nature::NeverReady,
        13 => Nature::CrashLoop,
        14 => Nature::SmokeFails,
        15 => Nature::Overloads,
        _ => Nature::DiesLater,
    }
}

fn run(rng: &mut Rng, number: u64, now: Timestamp) -> workflow::plan::Plan {
    let request = Request {
        run: RunId::new(now, rng.u128(..)),
        number,
        workflow: workflow_file(rng.bool(), delivers(number)),
        event: workflow::trigger::Event {
            name: "push".to_string(),
            payload: serde_json::json!({}),
            git_ref: "refs/heads/main".to_string(),
            sha: format!("{number:040x}"),
            changed_paths: None,
        },
        repository: Repository { name: "ana/shop".to_string(), server_url: "https://github.com".to_string() },
        actor: "ana".to_string(),
        inputs: serde_json::Map::new(),
        vars: BTreeMap::new(),
        only_job: None,
        max_parallel: 2,
        deliver_by_workflow: delivers(number),
        environments: environments(),
    };
    workflow::plan::Plan::new(request).expect("the workflow below can be planned").0
}

/// Some commits bring something to an environment by a job of their own.
fn delivers(number: u64) -> bool {
    number % 3 == 2
}

/// What a job that delivers waits for.
pub(crate) const WAIT_TIMER_MS: u64 = 20_000;

/// Ana asks for everything, and so it is bo or cy.
fn environments() -> Environments {
    let team = Some(["ana", "cy"].map(str::to_string).into());
    let reviewers = vec![Reviewer { name: "bo".to_string(), team: None }, Reviewer { name: "leads".to_string(), team }];
    let production = Protection { reviewers, prevent_self_review: true, wait_timer_ms: WAIT_TIMER_MS, ..Protection::default() };
    Environments { protections: [(ENVIRONMENT.to_string(), production)].into(), ..Environments::default() }
}

/// Read once: a schedule is about what happens afterwards.
fn workflow_file(with_test: bool, delivers: bool) -> Workflow {
    const BUILD: &str = "on: push\njobs:\n  build:\n    runs-on: ubuntu-latest\n    timeout-minutes: 1\n    steps:\n      - run: make\n";
    const TEST: &str =
        "  test:\n    needs: build\n    runs-on: ubuntu-latest\n    timeout-minutes: 1\n    steps:\n      - run: make test\n";
    const DELIVER: &str = "  deploy:\n    needs: build\n    environment: production\n    runs-on: ubuntu-latest\n    timeout-minutes: 1\n    steps:\n      - run: make deploy\n";
    static READ: OnceLock<[Workflow; 4]> = OnceLock::new();
    let files = READ.get_or_init(|| {
        [BUILD.to_string(), format!("{BUILD}{TEST}"), format!("{BUILD}{DELIVER}"), format!("{BUILD}{TEST}{DELIVER}")].map(|text| {
            let (workflow, problems) = workflow::github::parse(&Source::new(".github/workflows/ci.yml", text));
            workflow.unwrap_or_else(|| panic!("the simulation's own workflow is right: {problems:?}"))
        })
    });
    files[usize::from(with_test) + 2 * usize::from(delivers)].clone()
}

/// A few rules: the default policy is tested where it is written, and reading it takes longer than a whole schedule.
fn policy() -> PolicyFile {
    let text = "package plimsoll.gate\n\nimport rego.v1\n\nviolations contains {\"id\": \"author/unknown\", \"message\": \"nobody knows the author\"} if input.commit.author == \"mallory\"\n\nviolations contains \"the budget is used up\" if {\n\tsome objective in input.slo\n\tobjective.budget_left_percent <= 0\n}\n\nviolations contains \"an incident is open\" if count(input.incidents) > 0\n\nviolations contains \"a check failed\" if {\n\tsome check in input.checks\n\tnot check.passed\n}\n";
    PolicyFile { path: "policy/gate.rego".to_string(), text: text.to_string() }
}

fn delivery(rng: &mut Rng) -> Delivery {
    let probe = || Probe { path: None, delay_ms: 0, period_ms: 500, timeout_ms: 500, failures_max: 3 };
    let synthetic = SyntheticPlan { paths: vec!["/".to_string()], interval_ms: 100, below_requests_per_minute: 600 };
    let smoke = SmokeCheck { path: "/".to_string(), expect: vec![200], timeout_ms: 1_000 };
    let strategy = strategy(rng);
    // Only a rolling update has more to do with more of them.
    let replicas_max = if matches!(strategy, Strategy::RollingUpdate { .. }) { 4 } else { 2 };
    Delivery {
        port: 8080,
        command: "./serve".to_string(),
        env: BTreeMap::new(),
        fixed_port: None,
        replicas: rng.u32(1..=replicas_max),
        probes: Probes { startup: probe(), readiness: probe(), liveness: probe() },
        grace_ms: 1_000,
        log_max_bytes: 1_000,
        container: None,
        strategy,
        limits: Limits {
            warm_ms: if rng.u32(0..4) == 0 { 10_000 } else { 0 },
            ready_ms: 20_000,
            step_min_ms: 2_000,
            step_max_ms: 30_000,
            deadline: if rng.bool() { Deadline::Hold } else { Deadline::Rollback },
            route_ms: 20_000,
            drain_ms: 2_000,
            verify_ms: 3_000,
            restarts_max: 3,
        },
        judge: JudgePlan { difference_margin: 0.05, ..JudgePlan::default() },
        smoke: if rng.bool() { vec![smoke] } else { Vec::new() },
        synthetic: (rng.u32(0..3) == 0).then_some(synthetic),
        watch: None,
    }
}

fn strategy(rng: &mut Rng) -> Strategy {
    let (low, half) = (Step::SetWeight(1_000), Step::SetWeight(5_000));
    let steps = match rng.u32(0..11) {
        0 => return Strategy::Immediate,
        6 => return Strategy::BlueGreen { auto_promotion_ms: None },
        7 => return Strategy::BlueGreen { auto_promotion_ms: Some(5_000) },
        8 => return Strategy::default_rolling_update(),
        9 => return Strategy::RollingUpdate { max_surge: Amount::Count(0), max_unavailable: Amount::Count(1) },
        10 => return Strategy::RollingUpdate { max_surge: Amount::Percent(50), max_unavailable: Amount::Percent(50) },
        1 => vec![low, Step::Pause { duration_ms: Some(3_000) }, half],
        2 => vec![low, Step::Pause { duration_ms: None }],
        3 => vec![half],
        _ => vec![low, half],
    };
    Strategy::Canary { steps }
}
