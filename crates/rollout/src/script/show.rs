use std::collections::BTreeMap;
use std::fmt::Write as _;

use base::Timestamp;
use base::time::format_duration_ms;

use crate::judge::{Look, Question};
use crate::waiting::percent;
use crate::{Action, Advance, Command, Endpoint, Event, Happened, Measured, Refusal, RevisionId, Rollout, WaitingOn};

/// What a rollout said, one line each; looks without consequence are summed up, an action is shown when it is new.
pub(super) struct Transcript {
    begin: Timestamp,
    text: String,
    looks: u64,
    sums: BTreeMap<Question, Look>,
    asked: Vec<(Action, u64)>,
    waiting: Option<WaitingOn>,
}

impl Transcript {
    pub fn new(begin: Timestamp) -> Transcript {
        Transcript { begin, text: String::new(), looks: 0, sums: BTreeMap::new(), asked: Vec::new(), waiting: None }
    }

    pub fn advance(&mut self, advance: &Advance) {
        self.events(&advance.events);
        self.actions(&advance.actions);
        let Some(waiting) = &advance.waiting else { return };
        let same = self.waiting.as_ref().is_some_and(|before| std::mem::discriminant(before) == std::mem::discriminant(&waiting.on));
        if !same {
            self.looks_so_far();
            let next = waiting.next.clock(waiting.next);
            self.line_without_time("waits", &format!("{}; looked at again at {next}", waiting.sentence()));
            self.waiting = Some(waiting.on.clone());
        }
    }

    pub fn events(&mut self, events: &[Event]) {
        for event in events {
            if let Happened::Measured { looks } = &event.what {
                self.measured(looks);
                continue;
            }
            self.looks_so_far();
            self.line(event.at, "event", &describe(&event.what));
        }
    }

    pub fn refused(&mut self, command: Command, refusal: &Refusal, now: Timestamp) {
        self.looks_so_far();
        self.line(now, "refused", &format!("{command:?}: {refusal}"));
    }

    pub fn end(mut self, rollout: &Rollout, now: Timestamp) -> String {
        self.looks_so_far();
        for evidence in rollout.status_at(now).evidence.iter().filter(|evidence| evidence.canary.requests > 0) {
            self.line(now, "judge", &evidence.sentence());
        }
        let sentence = rollout.outcome().map_or_else(|| format!("not finished, {:?}", rollout.phase()), |outcome| outcome.sentence());
        self.line(now, "end", &sentence);
        self.text
    }

    fn actions(&mut self, actions: &[Action]) {
        let before = std::mem::take(&mut self.asked);
        for (action, times) in before.iter().filter(|(action, times)| *times > 1 && !actions.contains(action)) {
            self.line_without_time("", &format!("(asked {times} times: {})", name(action)));
        }
        for action in actions {
            let times = before.iter().find(|(it, _)| it == action).map_or(0, |(_, times)| *times);
            if times == 0 {
                self.looks_so_far();
                self.line_without_time("does", &describe_action(action));
            }
            self.asked.push((action.clone(), times + 1));
        }
    }

    fn measured(&mut self, looks: &[Measured]) {
        self.looks += 1;
        for measured in looks {
            let sum = self.sums.entry(measured.question).or_default();
            sum.canary.requests += measured.look.canary.requests;
            sum.canary.bad += measured.look.canary.bad;
            sum.stable.requests += measured.look.stable.requests;
            sum.stable.bad += measured.look.stable.bad;
        }
    }

    fn looks_so_far(&mut self) {
        if self.looks == 0 {
            return;
        }
        let mut text = format!("{} looks added:", self.looks);
        for (question, sum) in std::mem::take(&mut self.sums) {
            let (canary, stable) = (sum.canary, sum.stable);
            write!(text, " {} {}/{} vs {}/{},", question.words(), canary.bad, canary.requests, stable.bad, stable.requests)
                .expect("writing to a string works");
        }
        self.looks = 0;
        self.line_without_time("looks", text.trim_end_matches(','));
    }

    fn line(&mut self, at: Timestamp, kind: &str, text: &str) {
        let offset = format!("{:.2}s", at.since_ms(self.begin) as f64 / 1_000.0);
        writeln!(self.text, "{offset:>9} {kind:<7} {text}").expect("writing to a string works");
    }

    fn line_without_time(&mut self, kind: &str, text: &str) {
        writeln!(self.text, "{:>9} {kind:<7} {text}", "").expect("writing to a string works");
    }
}

fn describe(what: &Happened) -> String {
    match what {
        Happened::Started { generation } => format!("started, generation {generation}"),
        Happened::InstancesReady => "instances ready".to_string(),
        Happened::Scaled { generation, scale } => format!("{} new, {} old wanted, generation {generation}", scale.new, scale.old),
        Happened::ServingDecided { serving } => format!("{} new, {} old get requests", serving.new, serving.old),
        Happened::StepStarted { step } => format!("step {} started", step + 1),
        Happened::Routed { generation, weights, endpoints, synthetic } => {
            let probes = if synthetic.is_some() { ", probes on" } else { "" };
            format!("routed {} → {}{probes}, generation {generation}", shares(weights), addresses(endpoints))
        }
        Happened::RouteTaken { generation } => format!("route {generation} taken"),
        Happened::RouteMissed { generation } => format!("route {generation} not followed"),
        Happened::Baseline { epoch, .. } => format!("counting begins in epoch {epoch}"),
        Happened::BoundFixed { stream, bound_us, from_answers, .. } => {
            format!("slow is over {} for {stream:?}, from {from_answers} answers", format_duration_ms(bound_us / 1_000))
        }
        Happened::Measured { looks } => format!("{} measured", looks.len()),
        Happened::Closed { why } => why.clone(),
        Happened::Opened => "open again".to_string(),
        Happened::DeadlinePassed { step } => format!("time of step {} is over", step + 1),
        Happened::StepsDone => "steps done".to_string(),
        Happened::StableDead { revision, message } => {
            format!("stable {revision} is dead{}", message.as_ref().map_or(String::new(), |message| format!(": {message}")))
        }
        Happened::SmokeAsked { generation } => format!("smoke checks asked, generation {generation}"),
        Happened::SmokePassed { checks } => format!("{checks} smoke checks passed"),
        Happened::Verified => "verified".to_string(),
        Happened::StopDecided { generation, revision } => format!("stop of {revision} decided, generation {generation}"),
        Happened::RollbackStarted { reason } => format!("going back: {}", reason.sentence()),
        Happened::Finished { outcome } => format!("finished: {}", outcome.sentence()),
        Happened::PromoteAsked { by, full: false } => format!("{by} asks to promote"),
        Happened::PromoteAsked { by, full: true } => format!("{by} asks to promote fully"),
        Happened::PauseAsked { by } => format!("{by} pauses"),
        Happened::ResumeAsked { by } => format!("{by} resumes"),
        Happened::AbortAsked { by } => format!("{by} aborts"),
    }
}

fn describe_action(action: &Action) -> String {
    match action {
        Action::Run { revision, replicas, .. } => format!("{}: {replicas} of {revision}", name(action)),
        Action::Stop { revision, .. } | Action::Smoke { revision, .. } => format!("{}: {revision}", name(action)),
        Action::Route { weights, .. } => format!("{}: {}", name(action), shares(weights)),
    }
}

fn name(action: &Action) -> String {
    match action {
        Action::Run { generation, .. } => format!("run {generation}"),
        Action::Stop { generation, .. } => format!("stop {generation}"),
        Action::Route { generation, .. } => format!("route {generation}"),
        Action::Smoke { generation, .. } => format!("smoke {generation}"),
    }
}

fn shares(weights: &BTreeMap<RevisionId, u32>) -> String {
    let shares: Vec<String> = weights.iter().map(|(revision, weight)| format!("{revision} {}", percent(*weight))).collect();
    shares.join(", ")
}

fn addresses(endpoints: &[Endpoint]) -> String {
    let addresses: Vec<&str> = endpoints.iter().map(|endpoint| endpoint.address.as_str()).collect();
    addresses.join(" ")
}
