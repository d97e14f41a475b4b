//! What is decided at one look of a rolling update, forward and on its way back.

use base::Timestamp;

use super::scale::{Side, next_scale_among, next_scale_back};
use super::{Rolling, Scale};
use crate::decide::UNREADY_MS;
use crate::event::Happened;
use crate::outcome::Reason;
use crate::plan::RevisionId;
use crate::rollout::{Promote, Rollout, WHOLE};
use crate::seen::{Fleet, RouteState, is_idle};
use crate::{InstancePhase, InstanceSeen, Observed};

impl Rollout {
    /// No verdict is asked for: readiness decides, and crash loops, and what users see only when it is beyond the absolute bound.
    pub(crate) fn decide_rolling(&self, seen: &Observed, now: Timestamp) -> Option<Happened> {
        let instances = || self.replacement_failed(seen, now);
        let reason = self.aborted().or_else(instances).or_else(|| self.refused(seen, now)).or_else(|| self.over_the_bound());
        if let Some(reason) = reason {
            return Some(Happened::RollbackStarted { reason });
        }
        let route_state = self.route_state(seen);
        if matches!(route_state, RouteState::Superseded { .. }) {
            return None;
        }
        let share = self.share_by_ready(seen);
        let share = if self.is_held(seen) { share.min(self.weight()) } else { share };
        self.decide_hours(seen)
            .or_else(|| self.decide_share(seen, share))
            .or_else(|| self.decide_taken(route_state, now))
            .or_else(|| self.decide_look(seen, now))
            .or_else(|| self.decide_proved(seen))
            .or_else(|| if self.is_held(seen) { None } else { self.decide_replacement(seen, now) })
    }

    /// Back in the same way, the other way round, as long as the old revision is not whole enough to have all the traffic. Nothing when
    /// it is, or its time is over: then the traffic goes back to what there is of it.
    pub(crate) fn is_returning(&self, seen: &Observed, now: Timestamp) -> bool {
        let Some(rolling) = self.rolling.as_ref().filter(|rolling| rolling.lowered) else { return false };
        let enough = rolling.bounds_back().least.max(1);
        let is_whole = rolling.scale.old >= rolling.old_replicas && self.stable_fleet(seen).is_some_and(|fleet| fleet.ready() >= enough);
        !is_whole && now.since_ms(rolling.grown_at) < self.plan.limits.ready_ms
    }

    pub(crate) fn decide_return(&self, seen: &Observed, now: Timestamp) -> Option<Happened> {
        if let Some(scale) = self.still_there(seen) {
            return Some(Happened::Scaled { generation: self.generation + 1, scale });
        }
        let share = self.share_by_ready(seen).min(self.weight());
        self.decide_share(seen, share).or_else(|| self.decide_taken(self.route_state(seen), now)).or_else(|| {
            let rolling = self.rolling.as_ref()?;
            let coming = side(self.stable_fleet(seen)?, rolling.scale.old, rolling.old_replicas);
            let leaving = side(self.new_fleet(seen)?, rolling.scale.new, 0);
            let (old, new) = next_scale_back(rolling.bounds_back(), &coming, &leaving);
            self.decide_scale(Scale { new, old }, seen, now)
        })
    }

    /// Old instances that are ready although fewer are wanted: the order that ends them was on its way, and the way back needs them.
    fn still_there(&self, seen: &Observed) -> Option<Scale> {
        let rolling = self.rolling.as_ref()?;
        let ready = self.stable_fleet(seen)?.all().filter(|it| it.phase == InstancePhase::Ready && it.index < rolling.old_replicas);
        let old = ready.map(|it| it.index + 1).max()?;
        (old > rolling.scale.old).then_some(Scale { old, ..rolling.scale })
    }

    /// So many instances of a revision get requests, from index 0 on.
    pub(crate) fn serving(&self, revision: &RevisionId) -> u32 {
        match &self.rolling {
            None => u32::MAX,
            Some(rolling) if *revision == self.plan.revision.id => rolling.serving.new,
            Some(rolling) => rolling.serving.old,
        }
    }

    /// Instances of the new revision that are wanted now.
    pub(crate) fn wanted(&self) -> u32 {
        self.rolling.as_ref().map_or(self.plan.replicas, |rolling| rolling.scale.new)
    }

    /// Nobody moves it forward, or nobody may.
    pub(crate) fn is_held(&self, seen: &Observed) -> bool {
        self.paused_by.is_some() || seen.closed.is_some()
    }

    /// Each ready instance gets the same part of the requests; as it was while nothing is ready, or nothing known.
    fn share_by_ready(&self, seen: &Observed) -> u32 {
        let (Some(new), Some(old), Some(rolling)) = (self.new_fleet(seen), self.stable_fleet(seen), &self.rolling) else {
            return self.weight();
        };
        let (new, old) = (new.ready_below(rolling.serving.new), old.ready_below(rolling.serving.old));
        match new + old {
            0 => self.weight(),
            all => (WHOLE * new + all / 2) / all,
        }
    }

    /// Nothing needs to be routed before some instance leaves, or one has come.
    fn decide_share(&self, seen: &Observed, share: u32) -> Option<Happened> {
        let untouched = self.route.is_none() && share == 0 && self.rolling.as_ref().is_some_and(|it| it.serving.old >= it.old_replicas);
        if untouched { None } else { self.decide_route(seen, self.canary_weights(share), None) }
    }

    /// As many as were seen ready at once are lost when they are not ready any more; the others have the time to become so.
    fn decide_proved(&self, seen: &Observed) -> Option<Happened> {
        let rolling = self.rolling.as_ref()?;
        let wanted = rolling.scale.new;
        let all_ready = self.new_fleet(seen)?.ready_below(wanted) == wanted;
        (wanted > rolling.proved && all_ready).then_some(Happened::InstancesReady)
    }

    fn decide_replacement(&self, seen: &Observed, now: Timestamp) -> Option<Happened> {
        seen.route.as_ref()?;
        let rolling = self.rolling.as_ref()?;
        // Whether it comes back or is lost is known in a moment; until then nothing more is taken from the old revision, and what was
        // about to leave it is needed.
        let fails = self.new_fleet(seen)?.ready_below(rolling.proved) < rolling.proved;
        if fails && !self.stable_is_gone(seen) {
            let serving = Scale { old: rolling.scale.old, ..rolling.serving };
            return (serving != rolling.serving && self.follows(seen)).then_some(Happened::ServingDecided { serving });
        }
        let at_once = self.promote == Some(Promote::Full);
        let left = if rolling.scale.new == 0 { self.left_over(rolling, at_once, seen)? } else { 0 };
        if left > 0 {
            return Some(Happened::Scaled { generation: self.generation + 1, scale: Scale { new: left, ..rolling.scale } });
        }
        let coming = side(self.new_fleet(seen)?, rolling.scale.new, rolling.replicas);
        let leaving = side(self.stable_fleet(seen)?, rolling.scale.old, 0);
        if coming.all_ready() >= rolling.replicas {
            // What it does with all the traffic is held against what the old one did before, so that one was looked at.
            let looked = at_once || now.since_ms(self.phase_since) >= self.plan.judge.look_ms;
            return (looked && self.follows(seen)).then_some(Happened::StepsDone);
        }
        let alive = rolling.old_replicas.saturating_sub(self.lost(self.stable_fleet(seen)?, rolling.scale.old, now));
        let (new, old) = next_scale_among(alive, rolling.bounds_forward(at_once), &coming, &leaving);
        let old = if at_once { rolling.scale.old } else { old };
        self.decide_scale(Scale { new, old }, seen, now)
    }

    /// How many instances that an earlier attempt left are taken over, as far as there is room for them: they may have traffic of a
    /// router that refused, so that nobody ends them.
    fn left_over(&self, rolling: &Rolling, at_once: bool, seen: &Observed) -> Option<u32> {
        let old = side(self.stable_fleet(seen)?, rolling.scale.old, 0);
        let room = rolling.bounds_forward(at_once).most.saturating_sub(old.wanted + old.ending);
        Some(self.new_fleet(seen)?.last_live().map_or(0, |last| (last + 1).min(rolling.replicas).min(room)))
    }

    /// Instances of the old revision that are dead: they crash again and again, or have not been ready for a while.
    fn lost(&self, fleet: Fleet<'_>, wanted: u32, now: Timestamp) -> u32 {
        let is_lost = |it: &&InstanceSeen| {
            let unready = it.phase != InstancePhase::Ready;
            unready && (self.is_looping(it) || now.since_ms(it.since) >= UNREADY_MS)
        };
        fleet.all().filter(|it| it.index < wanted).filter(is_lost).count() as u32
    }

    /// More are started at once. Fewer: first they get no more requests, then they finish what they have, then they stop.
    fn decide_scale(&self, next: Scale, seen: &Observed, now: Timestamp) -> Option<Happened> {
        let rolling = self.rolling.as_ref()?;
        let (scale, serving) = (rolling.scale, rolling.serving);
        let generation = self.generation + 1;
        let more = Scale { new: scale.new.max(next.new), old: scale.old.max(next.old) };
        if more != scale {
            return self.is_accepted(seen).then_some(Happened::Scaled { generation, scale: more });
        }
        if !self.follows(seen) {
            return None;
        }
        if serving == scale {
            let fewer = Scale { new: scale.new.min(next.new), old: scale.old.min(next.old) };
            return (fewer != scale).then_some(Happened::ServingDecided { serving: fewer });
        }
        if next.new > serving.new || next.old > serving.old {
            // Others were lost meanwhile, and those that were about to leave are needed.
            return Some(Happened::ServingDecided { serving: scale });
        }
        self.have_finished(seen, now).then_some(Happened::Scaled { generation, scale: serving })
    }

    /// The router has what was decided last, if anything was.
    fn follows(&self, seen: &Observed) -> bool {
        matches!(self.route_state(seen), RouteState::Taken | RouteState::NotAsked)
    }

    /// Those that get no more requests have answered the last ones, or had their time. Requests are counted by revision, so that those
    /// that stay seldom let this be known before that time is over.
    fn have_finished(&self, seen: &Observed, now: Timestamp) -> bool {
        let leaving = self.leaving_revision().is_some_and(|revision| is_idle(seen, revision));
        leaving || now >= self.finished_by()
    }

    /// When instances that get no more requests are stopped at the latest.
    pub(super) fn finished_by(&self) -> Timestamp {
        let decided = self.rolling.as_ref().map_or(self.phase_since, |rolling| rolling.serving_since);
        let taken = self.route.as_ref().and_then(|route| route.taken).unwrap_or(decided);
        decided.max(taken).plus_ms(self.plan.limits.drain_ms)
    }

    pub(super) fn leaving_revision(&self) -> Option<&RevisionId> {
        let rolling = self.rolling.as_ref()?;
        if rolling.serving.new < rolling.scale.new {
            return Some(&self.plan.revision.id);
        }
        self.stable().map(|stable| &stable.id).filter(|_| rolling.serving.old < rolling.scale.old)
    }

    /// New instances that don't come in time, or were there and are lost. As long as the old revision should run and nothing of it is
    /// ready, nobody is to blame for what is lost.
    fn replacement_failed(&self, seen: &Observed, now: Timestamp) -> Option<Reason> {
        let rolling = self.rolling.as_ref()?;
        let fleet = self.new_fleet(seen)?;
        let (wanted, ready) = (rolling.scale.new, fleet.ready_below(rolling.scale.new));
        let waited_ms = now.since_ms(rolling.grown_at);
        if wanted > rolling.proved && ready < wanted && waited_ms >= self.plan.limits.ready_ms {
            return Some(Reason::NeverReady { ready, wanted, waited_ms, message: fleet.message() });
        }
        if self.stable_is_gone(seen) {
            return None;
        }
        self.crash_loop(seen).or_else(|| {
            let proved = rolling.proved;
            let none_left = proved > 0 && ready == 0 && self.weight() > 0;
            let unready_ms = fleet.unready_since(proved).map_or(0, |since| now.since_ms(since));
            let lost = Reason::InstancesLost { ready: fleet.ready_below(proved), wanted: proved, message: fleet.message() };
            (none_left || unready_ms >= UNREADY_MS).then_some(lost)
        })
    }
}

pub(super) fn side(fleet: Fleet<'_>, wanted: u32, target: u32) -> Side {
    let is_ready = |index| fleet.all().any(|it| it.index == index && it.phase == InstancePhase::Ready);
    Side { wanted, target, ending: fleet.live_from(wanted), ready: (0..wanted).map(is_ready).collect() }
}
