//! One look: in the order in which Flagger asks its questions, and the first answer ends it.

use super::{Event, Phase, Readiness, Seen, State, TOTAL, Way};

impl State {
    /// What follows from a look; nothing where all stays as it is.
    pub fn advance(&self, seen: &Seen) -> Vec<Event> {
        use Phase::{Finalising, Progressing, Promoting, Waiting, WaitingPromotion};
        let is_under_way = matches!(self.phase, Waiting | Progressing | WaitingPromotion | Promoting | Finalising);
        if !is_under_way && !seen.is_new {
            return Vec::new();
        }
        if !self.plan.skip_analysis && seen.primary != Readiness::Ready {
            return match (seen.primary, self.phase) {
                (Readiness::NotYet, _) => Vec::new(),
                // The canary is the only one that works then.
                (_, Promoting | Finalising) => vec![Event::PromotionFailed],
                _ => vec![Event::RolledBack],
            };
        }
        if !matches!(self.phase, Progressing | WaitingPromotion | Promoting | Finalising) {
            return match (seen.rollout_is_confirmed, self.phase) {
                (true, _) => vec![Event::Began],
                (false, Waiting) => Vec::new(),
                (false, _) => vec![Event::ApprovalAwaited],
            };
        }
        let looks_for_another = matches!(self.phase, Progressing | WaitingPromotion);
        if looks_for_another && seen.is_new {
            return vec![Event::Restarted];
        }
        match seen.canary {
            Readiness::Ready => {}
            Readiness::NotYet => return Vec::new(),
            Readiness::Never => return vec![Event::RolledBack],
        }
        if self.plan.skip_analysis {
            return vec![Event::Weighed { canary: 0, mirrored: false }, Event::Promoted, Event::Succeeded];
        }
        if looks_for_another && seen.rollback_is_asked {
            return vec![Event::RolledBack];
        }
        match self.phase {
            Promoting => self.give_back(),
            Finalising => vec![Event::Succeeded],
            _ if self.failed_checks >= self.plan.failures_max() => vec![Event::RolledBack],
            _ => self.analyse(seen),
        }
    }

    fn analyse(&self, seen: &Seen) -> Vec<Event> {
        let has_no_traffic = self.weight == 0 && self.iterations == 0 && !(self.plan.mirror && self.mirrored);
        let is_good = if has_no_traffic { seen.pre_rollout_passes } else { seen.checks_pass };
        if !is_good {
            return vec![Event::CheckFailed];
        }
        match self.plan.way {
            Way::Weights { .. } => self.more_traffic(seen),
            Way::BlueGreen { .. } => self.blue_green(seen),
            Way::ByHeader { .. } => self.by_header(seen),
        }
    }

    fn more_traffic(&self, seen: &Seen) -> Vec<Event> {
        let step = self.plan.next_step(self.weight);
        let asks = !self.mirrored && self.phase != Phase::WaitingPromotion;
        if step <= 0 || (asks && !seen.increase_is_confirmed) {
            return Vec::new();
        }
        if self.weight >= self.plan.max_weight() {
            return self.promote_if_confirmed(seen);
        }
        let more = u32::try_from(step).unwrap_or(TOTAL);
        let begins_to_mirror = self.plan.mirror && self.weight == 0 && !self.mirrored;
        vec![match begins_to_mirror {
            true => Event::Weighed { canary: 0, mirrored: true },
            // Mirroring ends with the first weight; later on nothing is mirrored any more.
            false => Event::Weighed { canary: (self.weight + more).min(TOTAL), mirrored: false },
        }]
    }

    fn blue_green(&self, seen: &Seen) -> Vec<Event> {
        let wanted = self.plan.iterations();
        if wanted > self.iterations {
            let mirrored = self.mirrored || (self.plan.splits_traffic && self.plan.mirror);
            return vec![Event::Iterated { canary: self.weight, mirrored }];
        }
        if !seen.promotion_is_confirmed {
            return vec![Event::PromotionAwaited];
        }
        if wanted == self.iterations {
            let canary = if self.plan.splits_traffic { TOTAL } else { self.weight };
            return vec![Event::Iterated { canary, mirrored: false }];
        }
        vec![Event::Promoted]
    }

    fn by_header(&self, seen: &Seen) -> Vec<Event> {
        if self.plan.iterations() > self.iterations {
            return vec![Event::Iterated { canary: TOTAL, mirrored: false }];
        }
        self.promote_if_confirmed(seen)
    }

    fn promote_if_confirmed(&self, seen: &Seen) -> Vec<Event> {
        if seen.promotion_is_confirmed { vec![Event::Promoted] } else { vec![Event::PromotionAwaited] }
    }

    /// The traffic goes to the primary, which is the new version by now.
    fn give_back(&self) -> Vec<Event> {
        let step = self.plan.step_weight_promotion;
        if !self.plan.splits_traffic {
            return vec![Event::Finalised];
        }
        if step == 0 {
            return vec![Event::Weighed { canary: 0, mirrored: false }, Event::Finalised];
        }
        if self.weight == 0 {
            return Vec::new();
        }
        let canary = self.weight.saturating_sub(step);
        let mut events = vec![Event::Weighed { canary, mirrored: false }];
        if canary == 0 {
            events.push(Event::Finalised);
        }
        events
    }
}
