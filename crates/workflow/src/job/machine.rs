//! The life of a job: what has happened so far, and how each event changes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::Timestamp;
use base::mask::Mask;

use super::call::{Ended, Event, Exit, Post, Wrote};
use super::command::Annotation;
use super::contained::{Asked, Started};
use super::facts::JobFacts;
use super::lane::{Behind, Frame, Lane, Left, Running, Verdict};
use super::scope::Fixed;
use super::spec::{Conclusion, JobSpec, StepSeen, StepState};
use crate::expr::{Object, Value};
use crate::model::{Step, Work};

/// Remarks of one kind that are kept of one step, as at GitHub; all of them stay in the log.
const ANNOTATIONS_MAX: usize = 10;
/// What the record keeps of a summary; the whole text lies beside the log.
const SUMMARY_KEPT: usize = 64 * 1024;

/// One job while it runs. `apply` alone changes it, [`Job::advance`] alone decides.
#[derive(Debug, Clone)]
pub struct Job {
    pub(super) spec: Arc<JobSpec>,
    /// As the steps know them: inside the job's container, where there is one.
    pub(super) facts: Arc<JobFacts>,
    pub(super) machine: Arc<JobFacts>,
    pub(super) fixed: Arc<Fixed>,
    pub(super) github_env: Arc<BTreeMap<String, String>>,
    pub(super) phase: Phase,
    /// Of workflow and job, and what steps wrote to `GITHUB_ENV`.
    pub(super) env: BTreeMap<String, String>,
    pub(super) shell: Option<String>,
    pub(super) directory: Option<String>,
    /// What steps wrote to `GITHUB_PATH`, oldest first.
    pub(super) paths: Vec<String>,
    /// The job's own, then those of the steps in the background, in the order they came.
    pub(super) lanes: Vec<Lane>,
    /// What actions do before the first step, the last first.
    pub(super) pres: Vec<Post>,
    /// What those saved for what their actions do later, by the key of the step; there is an entry for each of them.
    pub(super) saved: BTreeMap<String, BTreeMap<String, String>>,
    pub(super) posts: Vec<Post>,
    pub(super) status: Conclusion,
    /// The first thing that failed.
    pub(super) reason: Option<String>,
    pub(super) mask: Mask,
    pub(super) seen: Vec<StepSeen>,
    /// Whether all that ran in the background has been counted.
    pub(super) settled: bool,
    pub(super) begun: Option<Timestamp>,
    /// Why the secrets that were passed to it have no value.
    pub(super) unseen: Option<String>,
    /// The containers it wants, if any.
    pub(super) asked: Option<Arc<Asked>>,
    /// Once they run.
    pub(super) started: Option<Started>,
    /// Whether a step has asked to hide something.
    pub(super) hid: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    New,
    /// Its containers are being started.
    Preparing,
    /// What actions do before the first step.
    Early,
    Main,
    /// Posts, last registered first.
    Cleaning,
    /// Nothing runs any more, whatever its condition says.
    Spoiled,
}

impl Job {
    /// A job about to begin. The mask starts with the secrets of the facts.
    pub fn new(spec: JobSpec, mut facts: JobFacts) -> Job {
        let mut mask = Mask::new();
        for secret in facts.secrets.values().chain(&facts.masks) {
            mask.add(secret);
        }
        // What the job doesn't see is hidden all the same.
        let (secrets, unseen) = match spec.secrets.visible(&facts.secrets) {
            Ok(secrets) => (secrets, None),
            Err(why) => (BTreeMap::new(), Some(why)),
        };
        secrets.values().for_each(|secret| mask.add(secret));
        facts.secrets = secrets;
        let facts = Arc::new(facts);
        let fixed = Fixed::new(&spec.contexts, &facts);
        let steps: Arc<[Step]> = match &spec.job.work {
            Work::Steps { steps, .. } => steps.as_slice().into(),
            Work::Call { .. } => Arc::from([]),
        };
        Job {
            github_env: Arc::new(fixed.github_env()),
            fixed: Arc::new(fixed),
            spec: Arc::new(spec),
            facts: Arc::clone(&facts),
            machine: facts,
            phase: Phase::New,
            env: BTreeMap::new(),
            shell: None,
            directory: None,
            paths: Vec::new(),
            lanes: vec![Lane { frames: vec![Frame::new(steps)], running: None, place: 0, behind: None }],
            pres: Vec::new(),
            saved: BTreeMap::new(),
            posts: Vec::new(),
            status: Conclusion::Success,
            reason: None,
            mask,
            seen: Vec::new(),
            settled: false,
            begun: None,
            unseen,
            asked: None,
            started: None,
            hid: false,
        }
    }

    /// The steps so far, by number.
    pub fn steps(&self) -> &[StepSeen] {
        &self.seen
    }

    /// How many lanes there are so far.
    pub fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// Why what has ended in a lane failed, before its verdict.
    pub fn failure(&self, lane: usize) -> Option<String> {
        self.lanes[lane].running.as_ref().filter(|running| running.is_over())?.outcome().1
    }

    /// The number of the step that is shown for what a lane does.
    pub fn place_of(&self, lane: usize) -> u32 {
        self.lanes[lane].place
    }

    /// What must not be shown: the secrets, and what steps asked to hide.
    pub fn mask(&self) -> &Mask {
        &self.mask
    }

    /// Success until something fails or somebody cancels.
    pub fn status(&self) -> Conclusion {
        self.status
    }

    /// What every process of the job inherits on the machine.
    pub fn inherited(&self) -> &BTreeMap<String, String> {
        &self.machine.env
    }

    pub fn spec(&self) -> &JobSpec {
        &self.spec
    }

    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Begun { at, env, shell, directory, containers, pres } => {
                assert!(self.phase == Phase::New, "a job begins once");
                self.begun = Some(*at);
                self.pres.clone_from(pres);
                self.saved = pres.iter().map(|pre| (pre.key.clone(), BTreeMap::new())).collect();
                self.phase = if containers.is_some() { Phase::Preparing } else { self.before_main() };
                self.ask(containers.as_deref());
                self.env.extend(env.iter().cloned());
                self.shell.clone_from(shell);
                self.directory.clone_from(directory);
            }
            Event::Spoiled { at, reason } => {
                self.begun.get_or_insert(*at);
                self.phase = Phase::Spoiled;
                self.fail(Conclusion::Failure, reason);
            }
            Event::Resumed { from } => self.resume(from),
            Event::Skipped { at, lane, name, reason, clauses } => {
                self.show(*lane, *at, name);
                if self.is_shown(*lane) {
                    self.seen[self.lanes[*lane].place as usize].condition.clone_from(clauses);
                }
                self.conclude(*lane, *at, &Verdict::new(Conclusion::Skipped, Some(reason.clone())));
            }
            Event::Broken { at, lane, name, reason } => {
                self.show(*lane, *at, name);
                self.lanes[*lane].running = Some(Running::new(self.phase != Phase::Main, None));
                self.set_ended(*lane, Ended::with(Exit::Failed(reason.clone())));
            }
            Event::Started { at, lane, name, post } => {
                self.show(*lane, *at, name);
                let post = post.as_ref().map(|post| self.register(*lane, post));
                self.lanes[*lane].running = Some(Running::new(self.phase != Phase::Main, post));
            }
            Event::Contained { started } => self.started = Some(started.clone()),
            Event::Entered { at, lane, name, into } => {
                self.show(*lane, *at, name);
                self.lanes[*lane].enter(into);
            }
            Event::Backgrounded { name, .. } => self.put_behind(name),
            Event::Waiting { at, name, lanes, cancels, .. } => {
                self.show(0, *at, name);
                self.lanes[0].running = Some(Running { waits: Some(lanes.clone()), ..Running::new(false, None) });
                for lane in lanes.iter().filter(|_| *cancels) {
                    self.behind_mut(*lane).cancelled = true;
                }
            }
            Event::Waited { lanes, status, reason, .. } => {
                lanes.iter().for_each(|lane| self.settle(*lane));
                let running = self.lanes[0].running.as_mut().expect("only what waits has waited");
                running.left = Some(Left { status: *status, reason: reason.clone(), timed_out: false });
            }
            Event::Ended { lane, ended, .. } => self.set_ended(*lane, ended.clone()),
            Event::Retrying { lane, until, .. } => {
                let running = self.lanes[*lane].running.as_mut().expect("only what ended is tried again");
                running.again_at = Some(*until);
            }
            Event::Again { lane } => self.begin_again(*lane),
            Event::Left { lane, outputs, reason, timed_out, .. } => {
                self.lanes[*lane].leave(reason.as_ref(), *timed_out);
                self.set_outputs(*lane, outputs);
            }
            Event::Concluded { at, lane, conclusion } => {
                let running = self.lanes[*lane].running.take().expect("only what was started can be concluded");
                let (outcome, reason) = running.outcome();
                self.conclude(*lane, *at, &Verdict { outcome, conclusion: *conclusion, reason });
            }
            Event::Dropped { at, lane, reason } => {
                let name = self.behind_mut(*lane).name.clone();
                self.show(*lane, *at, &name);
                self.conclude(*lane, *at, &Verdict::new(Conclusion::Cancelled, Some(reason.clone())));
            }
            Event::Settled { .. } => {
                self.settled = true;
                (1..self.lanes.len()).for_each(|lane| self.settle(lane));
                for lane in 1..self.lanes.len() {
                    self.count(lane);
                }
            }
            Event::Cleaning => self.phase = Phase::Cleaning,
            Event::Cancelled { reason, .. } => {
                self.status = Conclusion::Cancelled;
                if let Some(reason) = reason {
                    self.reason = Some(reason.clone());
                }
            }
            Event::Abandoned { at } => {
                for seen in self.seen.iter_mut().filter(|seen| seen.state == StepState::Running) {
                    seen.state = StepState::Finished { outcome: Conclusion::Cancelled, conclusion: Conclusion::Cancelled };
                    seen.finished = Some(*at);
                }
            }
        }
    }

    /// The step at hand goes into a lane of its own, and the job on to the next.
    fn put_behind(&mut self, name: &str) {
        let own = &mut self.lanes[0].frames[0];
        let step = own.steps[own.next].clone();
        own.next += 1;
        let frame = Frame { results: own.results.clone(), ..Frame::new(Arc::from([step.clone()])) };
        let (id, name) = (step.id, name.to_string());
        let behind = Behind { id, name, begun: false, cancelled: false, wrote: Wrote::default(), verdict: None, settled: false };
        self.lanes.push(Lane { frames: vec![frame], running: None, place: 0, behind: Some(behind) });
    }

    /// What a step in the background set is there for all from now on.
    fn settle(&mut self, lane: usize) {
        let behind = self.behind_mut(lane);
        let (id, wrote) = (behind.id.clone(), std::mem::take(&mut behind.wrote));
        let verdict = behind.verdict.clone();
        if std::mem::replace(&mut behind.settled, true) {
            return;
        }
        self.env.extend(wrote.env);
        add_paths(&mut self.paths, &wrote.paths);
        if let Some(verdict) = verdict.filter(|_| is_named(&id)) {
            let own = &mut self.lanes[0].frames[0];
            own.add_outputs(&id, &wrote.outputs);
            own.set_verdict(&id, &verdict);
        }
    }

    /// A step in the background that failed fails the job, unless it was ended on purpose.
    fn count(&mut self, lane: usize) {
        let behind = self.behind_mut(lane);
        let Some(verdict) = behind.verdict.clone() else { return };
        let (name, cancelled) = (behind.name.clone(), behind.cancelled);
        match verdict.conclusion {
            Conclusion::Failure => self.fail_step(&name, &verdict),
            Conclusion::Cancelled if !cancelled => self.fail_step(&name, &verdict),
            _ => {}
        }
    }

    fn behind_mut(&mut self, lane: usize) -> &mut Behind {
        self.lanes[lane].behind.as_mut().expect("every lane but the first is of a step in the background")
    }

    /// The steps see the machine as their container does, if they run in one.
    fn ask(&mut self, asked: Option<&Asked>) {
        self.asked = asked.map(|asked| Arc::new(asked.clone()));
        let Some(mounts) = self.mounts() else { return };
        self.facts = Arc::new(mounts.facts(&self.machine));
        let fixed = Fixed::new(&self.spec.contexts, &self.facts);
        self.github_env = Arc::new(fixed.github_env());
        self.fixed = Arc::new(fixed);
    }

    /// What a step leaves for the end of the job; a further attempt at it takes the place of the one before.
    fn register(&mut self, lane: usize, post: &Post) -> usize {
        if self.phase == Phase::Preparing {
            self.posts.push(post.clone());
            return self.posts.len() - 1;
        }
        let frame = self.lanes[lane].frames.last_mut().expect("a lane's own frame is never left");
        let place = *frame.post.get_or_insert(self.posts.len());
        if place == self.posts.len() {
            self.posts.push(post.clone());
        } else {
            self.posts[place] = post.clone();
        }
        place
    }

    fn begin_again(&mut self, lane: usize) {
        let top = self.lanes[lane].frames.len() == 1;
        self.lanes[lane].running = None;
        let id = self.current_id(lane);
        let lane = &mut self.lanes[lane];
        if let Some(behind) = lane.behind.as_mut().filter(|_| top) {
            behind.wrote.outputs.clear();
        }
        let frame = lane.frames.last_mut().expect("a lane's own frame is never left");
        frame.attempt += 1;
        if let Some(id) = id {
            frame.set_result(&id, [("outputs", Value::object(Object::new()))]);
        }
        if top {
            self.seen[lane.place as usize].attempts = frame.attempt;
        }
    }

    /// Takes over what the step left; its verdict follows.
    fn set_ended(&mut self, lane: usize, mut ended: Ended) {
        match &mut self.lanes[lane].behind {
            Some(behind) => {
                behind.wrote.env.extend(ended.wrote.env.iter().cloned());
                add_paths(&mut behind.wrote.paths, &ended.wrote.paths);
            }
            None => {
                self.env.extend(ended.wrote.env.iter().cloned());
                add_paths(&mut self.paths, &ended.wrote.paths);
            }
        }
        for mask in &ended.masks {
            self.mask.add(mask);
        }
        self.hid |= !ended.masks.is_empty();
        let place = self.lanes[lane].place as usize;
        if let Some(seen) = self.seen.get_mut(place) {
            std::mem::take(&mut ended.annotations).into_iter().for_each(|annotation| annotate(seen, annotation));
            seen.summary.get_or_insert_default().push_str(&ended.summary);
            keep_summary(seen);
        }
        let running = self.lanes[lane].running.as_mut().expect("only what was started can end");
        if let Some(post) = running.post {
            self.posts[post].state.extend(ended.wrote.state.iter().cloned());
        }
        if let Some(pre) = self.pres.last().filter(|_| self.phase == Phase::Early) {
            self.saved.entry(pre.key.clone()).or_default().extend(ended.wrote.state.iter().cloned());
        }
        let is_post = running.is_post;
        let outputs = std::mem::take(&mut ended.wrote.outputs);
        running.ended = Some(ended);
        if !is_post {
            self.set_outputs(lane, &outputs);
        }
    }

    /// Writes `steps.<id>.outputs` of the step at hand.
    fn set_outputs(&mut self, lane: usize, outputs: &[(String, String)]) {
        let id = self.current_id(lane);
        let lane = &mut self.lanes[lane];
        if let Some(behind) = lane.behind.as_mut().filter(|_| lane.frames.len() == 1) {
            behind.wrote.outputs.extend(outputs.iter().cloned());
        }
        let frame = lane.frames.last_mut().expect("a lane's own frame is never left");
        if let Some(id) = id {
            frame.add_outputs(&id, outputs);
        }
    }

    fn conclude(&mut self, lane: usize, at: Timestamp, verdict: &Verdict) {
        let shown = self.is_shown(lane);
        if self.phase == Phase::Cleaning {
            self.posts.pop();
        } else if self.phase == Phase::Preparing {
            self.phase = self.before_main();
        } else if self.phase == Phase::Early {
            self.pres.pop();
            self.phase = self.before_main();
        } else {
            let id = self.current_id(lane);
            let frame = self.lanes[lane].frames.last_mut().expect("a lane's own frame is never left");
            if let Some(id) = id {
                frame.set_verdict(&id, verdict);
            }
            frame.next += 1;
            frame.attempt = 1;
            frame.post = None;
        }
        let name = if shown { self.finish_shown(lane, at, verdict) } else { String::new() };
        let lane = &mut self.lanes[lane];
        if shown && let Some(behind) = &mut lane.behind {
            behind.verdict = Some(verdict.clone());
            return;
        }
        if !matches!(verdict.conclusion, Conclusion::Failure | Conclusion::Cancelled) {
            return;
        }
        let frame = lane.frames.last_mut().expect("a lane's own frame is never left");
        match &mut frame.inside {
            Some(inside) => {
                frame.status = worse(frame.status, verdict.conclusion);
                if inside.reason.is_none() {
                    inside.reason.clone_from(&verdict.reason);
                }
            }
            None => self.fail_step(&name, verdict),
        }
    }

    fn fail_step(&mut self, name: &str, verdict: &Verdict) {
        let why = verdict.reason.as_deref().unwrap_or("failed");
        self.fail(verdict.conclusion, &format!("step \"{name}\" {why}"));
    }

    fn fail(&mut self, conclusion: Conclusion, reason: &str) {
        self.status = worse(self.status, conclusion);
        self.reason.get_or_insert_with(|| reason.to_string());
    }

    /// The step at hand gets a line of its own, if it has none from an earlier attempt and isn't inside an action.
    fn show(&mut self, lane: usize, at: Timestamp, name: &str) {
        let again = !self.is_beside() && self.lanes[lane].frames[0].attempt > 1;
        if let Some(behind) = &mut self.lanes[lane].behind {
            behind.begun = true;
        }
        if again || !self.is_shown(lane) {
            return;
        }
        let number = u32::try_from(self.seen.len()).expect("a job has fewer steps than numbers");
        self.lanes[lane].place = number;
        self.seen.push(StepSeen { started: Some(at), ..StepSeen::new(number, name) });
    }

    fn finish_shown(&mut self, lane: usize, at: Timestamp, verdict: &Verdict) -> String {
        let seen = &mut self.seen[self.lanes[lane].place as usize];
        seen.state = StepState::Finished { outcome: verdict.outcome, conclusion: verdict.conclusion };
        seen.finished = Some(at);
        if verdict.outcome == Conclusion::Skipped {
            (seen.started, seen.finished) = (None, None);
        }
        seen.reason.clone_from(&verdict.reason);
        seen.name.clone()
    }

    /// Whether the step at hand has a line of its own: the job's steps and posts do, a composite action's don't.
    fn is_shown(&self, lane: usize) -> bool {
        self.lanes[lane].frames.len() == 1
    }

    /// Whether what runs isn't a step, but what comes before the first or after the last.
    pub(super) fn is_beside(&self) -> bool {
        matches!(self.phase, Phase::Preparing | Phase::Early | Phase::Cleaning)
    }

    fn before_main(&self) -> Phase {
        if self.pres.is_empty() { Phase::Main } else { Phase::Early }
    }

    /// The id under which the step at hand appears in `steps`; generated ones don't.
    fn current_id(&self, lane: usize) -> Option<String> {
        let frame = self.lanes[lane].frames.last().filter(|_| !self.is_beside())?;
        let step = frame.steps.get(frame.next)?;
        is_named(&step.id).then(|| step.id.clone())
    }
}

fn annotate(seen: &mut StepSeen, annotation: Annotation) {
    let of_its_kind = seen.annotations.iter().filter(|known| known.level == annotation.level).count();
    if of_its_kind < ANNOTATIONS_MAX {
        seen.annotations.push(annotation);
    }
}

/// Cuts what is too long for the record, at the end of a line.
fn keep_summary(seen: &mut StepSeen) {
    let Some(summary) = seen.summary.take().filter(|summary| !summary.is_empty()) else { return };
    let mut kept = summary;
    if kept.len() > SUMMARY_KEPT {
        let end = (0..=SUMMARY_KEPT).rev().find(|at| kept.is_char_boundary(*at)).unwrap_or_default();
        let end = kept[..end].rfind('\n').map_or(end, |newline| newline + 1);
        kept.truncate(end);
        kept.push_str("\n*The rest of this summary lies beside the step's log.*\n");
    }
    seen.summary = Some(kept);
}

/// The last added comes last, and none twice.
fn add_paths(paths: &mut Vec<String>, added: &[String]) {
    for path in added {
        paths.retain(|known| known != path);
        paths.push(path.clone());
    }
}

/// Whether an id was written by somebody; generated ones don't appear in `steps`.
fn is_named(id: &str) -> bool {
    !id.is_empty() && !id.starts_with("__")
}

/// Cancelled outweighs failed, failed outweighs all else.
pub(super) fn worse(left: Conclusion, right: Conclusion) -> Conclusion {
    [Conclusion::Cancelled, Conclusion::Failure].into_iter().find(|bad| left == *bad || right == *bad).unwrap_or(left)
}
