//! How many instances of each revision follow from how many there are.

/// Of both revisions together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Never more at once.
    pub most: u32,
    /// Never fewer ready by our own doing.
    pub least: u32,
}

/// One revision's instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Side {
    pub wanted: u32,
    /// So many in the end.
    pub target: u32,
    /// No longer wanted, and not gone yet.
    pub ending: u32,
    /// By index, of those that are wanted.
    pub ready: Vec<bool>,
}

impl Side {
    fn ready_below(&self, count: u32) -> u32 {
        self.ready.iter().take(count as usize).filter(|ready| **ready).count() as u32
    }

    pub fn all_ready(&self) -> u32 {
        self.ready_below(self.wanted)
    }

    fn takes(&self) -> u32 {
        self.wanted.saturating_add(self.ending)
    }
}

/// How many there shall be of the revision that comes, and how many of the one that leaves go on getting requests.
///
/// As a Deployment has it: whatever room there is is used to start more, and of those that leave as many go as are not needed for the
/// least number ready. What isn't ready may go too, as long as those that stay would be enough.
pub(super) fn next_scale(bounds: Bounds, coming: &Side, leaving: &Side) -> (u32, u32) {
    let room = bounds.most.saturating_sub(coming.takes().saturating_add(leaving.takes()));
    let grown = coming.wanted + room.min(coming.target.saturating_sub(coming.wanted));
    let mut fewer = leaving.target..leaving.wanted;
    (grown, fewer.find(|kept| may_keep(bounds, coming, leaving, *kept)).unwrap_or(leaving.wanted))
}

fn may_keep(bounds: Bounds, coming: &Side, leaving: &Side, kept: u32) -> bool {
    let (come, stay) = (coming.all_ready(), leaving.ready_below(kept));
    let only_unready_go = stay == leaving.all_ready() && come + kept >= bounds.least;
    come + stay >= bounds.least || only_unready_go
}

/// The same where instances of the revision that leaves died by themselves, and are in the way of those that could go: what nobody took
/// away is not missed, or a dead version would hold the one that mends it. `alive` are those that would be ready without us.
pub(super) fn next_scale_among(alive: u32, bounds: Bounds, coming: &Side, leaving: &Side) -> (u32, u32) {
    let next = next_scale(bounds, coming, leaving);
    let least = if is_stuck(next, coming, leaving) { bounds.least.min(alive) } else { bounds.least };
    next_scale(Bounds { least, ..bounds }, coming, leaving)
}

/// The same on the way back, which must not be held up: where an instance that isn't ready is in the way of the only one that could go,
/// one more may run.
pub(super) fn next_scale_back(bounds: Bounds, coming: &Side, leaving: &Side) -> (u32, u32) {
    let next = next_scale(bounds, coming, leaving);
    if is_stuck(next, coming, leaving) { (coming.wanted + 1, leaving.wanted) } else { next }
}

/// Nothing is under way that could change it.
fn is_stuck(next: (u32, u32), coming: &Side, leaving: &Side) -> bool {
    let stands = next == (coming.wanted, leaving.wanted) && coming.ending + leaving.ending == 0;
    stands && coming.wanted < coming.target && coming.all_ready() == coming.wanted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::super::{Amount, resolve};
    use super::*;

    /// Instances by index, as they are.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Instance {
        Starting,
        Ready,
        Ending,
    }

    #[derive(Debug)]
    struct World {
        bounds: Bounds,
        coming: Vec<Instance>,
        leaving: Vec<Instance>,
        wanted: (u32, u32),
        target: u32,
    }

    impl World {
        fn new(replicas: u32, before: u32, surge: Amount, unavailable: Amount) -> World {
            let (surge, unavailable) = resolve(surge, unavailable, replicas);
            World {
                bounds: Bounds { most: replicas + surge, least: replicas.saturating_sub(unavailable) },
                coming: Vec::new(),
                leaving: vec![Instance::Ready; before as usize],
                wanted: (0, before),
                target: replicas,
            }
        }

        fn ready(&self) -> u32 {
            let count = |all: &[Instance], wanted: u32| all.iter().take(wanted as usize).filter(|it| **it == Instance::Ready).count();
            (count(&self.coming, self.wanted.0) + count(&self.leaving, self.wanted.1)) as u32
        }

        fn live(&self) -> u32 {
            (self.coming.len() + self.leaving.len()) as u32
        }

        fn sides(&self) -> (Side, Side) {
            let side = |all: &[Instance], wanted: u32, target| Side {
                wanted,
                target,
                ending: all.iter().filter(|it| **it == Instance::Ending).count() as u32,
                ready: all.iter().take(wanted as usize).map(|it| *it == Instance::Ready).collect(),
            };
            (side(&self.coming, self.wanted.0, self.target), side(&self.leaving, self.wanted.1, 0))
        }

        /// True when something followed.
        fn step(&mut self, next: fn(Bounds, &Side, &Side) -> (u32, u32)) -> bool {
            let (coming, leaving) = self.sides();
            let (grown, kept) = next(self.bounds, &coming, &leaving);
            assert!(grown >= self.wanted.0 && kept <= self.wanted.1, "one comes and one leaves");
            let ready_before = self.ready();
            let moved = (grown, kept) != self.wanted;
            self.wanted = (grown, kept);
            self.coming.resize(grown as usize, Instance::Starting);
            self.leaving.iter_mut().skip(kept as usize).for_each(|it| *it = Instance::Ending);
            assert!(self.ready() >= ready_before.min(self.bounds.least), "at least {} stay ready: {self:?}", self.bounds.least);
            moved
        }

        fn all_gone(&mut self) {
            self.leaving.retain(|it| *it != Instance::Ending);
        }
    }

    fn amount() -> impl proptest::strategy::Strategy<Value = Amount> {
        prop_oneof![(0..6_u32).prop_map(Amount::Count), (0..=100_u32).prop_map(Amount::Percent)]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_048, failure_persistence: None, rng_seed: RngSeed::Fixed(2611), ..ProptestConfig::default() })]

        /// Whatever becomes ready, fails and ends when: the bounds hold; and when everything becomes ready it ends.
        #[test]
        fn the_bounds_hold_and_it_ends(
            replicas in 1..=20_u32,
            surge in amount(),
            unavailable in amount(),
            chances in prop::collection::vec((0..40_usize, 0..4_u8), 0..120),
        ) {
            let mut world = World::new(replicas, replicas, surge, unavailable);
            for (which, what) in chances {
                let all = world.coming.len();
                let it = if which < all { world.coming.get_mut(which) } else { world.leaving.get_mut(which - all) };
                match (it, what) {
                    (Some(it), 0 | 1) if *it == Instance::Starting => *it = Instance::Ready,
                    (Some(it), 2) if *it == Instance::Ready => *it = Instance::Starting,
                    (_, 3) => world.all_gone(),
                    _ => {}
                }
                world.step(next_scale);
                prop_assert!(world.live() <= world.bounds.most, "{} instances: {world:?}", world.live());
            }
            for _ in 0..4 * replicas {
                world.all_gone();
                let (coming, leaving) = (&mut world.coming, &mut world.leaving);
                coming.iter_mut().chain(leaving).filter(|it| **it == Instance::Starting).for_each(|it| *it = Instance::Ready);
                world.step(next_scale);
                prop_assert!(world.live() <= world.bounds.most);
            }
            prop_assert_eq!(world.wanted, (replicas, 0), "it ends: {:?}", world);
        }

        /// The way back ends whatever the revision that leaves does.
        #[test]
        fn the_way_back_is_not_held_up(
            replicas in 1..=20_u32,
            surge in amount(),
            unavailable in amount(),
            left in 0..=20_u32,
            dead in prop::collection::vec(any::<bool>(), 20),
        ) {
            let mut world = World::new(replicas, left.min(replicas), surge, unavailable);
            let still = replicas - left.min(replicas);
            (world.coming, world.wanted.0) = (vec![Instance::Ready; still as usize], still);
            let in_the_way = world.leaving.iter().zip(&dead).filter(|(_, dead)| **dead).count() as u32;
            for (it, dead) in world.leaving.iter_mut().zip(dead) {
                *it = if dead { Instance::Starting } else { Instance::Ready };
            }
            for _ in 0..4 * replicas {
                world.all_gone();
                world.coming.iter_mut().for_each(|it| *it = Instance::Ready);
                world.step(next_scale_back);
                prop_assert!(world.live() <= world.bounds.most + in_the_way, "{} more: {:?}", in_the_way, world);
            }
            prop_assert_eq!(world.wanted, (replicas, 0), "it ends: {:?}", world);
        }
    }

    /// Every number of instances, every pair of limits; everything becomes ready at once.
    #[test]
    fn every_small_update_ends_within_its_bounds() {
        for replicas in 1..=20_u32 {
            for (surge, unavailable) in (0..=replicas).flat_map(|surge| (0..=replicas).map(move |unavailable| (surge, unavailable))) {
                let mut world = World::new(replicas, replicas, Amount::Count(surge), Amount::Count(unavailable));
                let mut looks = 0;
                while world.wanted != (replicas, 0) {
                    world.all_gone();
                    world.coming.iter_mut().for_each(|it| *it = Instance::Ready);
                    assert!(world.step(next_scale) || looks == 0, "{replicas} with {surge} and {unavailable} stands still: {world:?}");
                    assert!(world.live() <= world.bounds.most && world.ready() >= world.bounds.least, "{world:?}");
                    looks += 1;
                }
            }
        }
    }

    #[test]
    fn the_dead_hold_nobody_and_nothing_else_is_taken() {
        for (replicas, dead) in (1..=20_u32).flat_map(|replicas| (0..replicas).map(move |dead| (replicas, dead))) {
            let mut world = World::new(replicas, replicas, Amount::DEFAULT, Amount::DEFAULT);
            world.leaving.iter_mut().take(dead as usize).for_each(|it| *it = Instance::Starting);
            let least = (replicas - dead).min(world.bounds.least);
            for _ in 0..8 * replicas {
                world.all_gone();
                world.coming.iter_mut().for_each(|it| *it = Instance::Ready);
                let (coming, leaving) = world.sides();
                let alive = replicas - dead.min(leaving.wanted);
                let (grown, kept) = next_scale_among(alive, world.bounds, &coming, &leaving);
                world.wanted = (grown, kept);
                world.coming.resize(grown as usize, Instance::Starting);
                world.leaving.iter_mut().skip(kept as usize).for_each(|it| *it = Instance::Ending);
                assert!(world.ready() >= least && world.live() <= world.bounds.most, "{dead} of {replicas}: {world:?}");
            }
            assert_eq!(world.wanted, (replicas, 0), "{dead} of {replicas} were dead");
        }
    }

    /// From two to one, and the first of the two is dead: the other is the only one that answers.
    #[test]
    fn the_last_one_alive_stays() {
        let leaving = Side { wanted: 2, target: 0, ending: 0, ready: vec![false, true] };
        let coming = Side { wanted: 0, target: 1, ending: 0, ready: Vec::new() };
        assert_eq!(next_scale_among(1, Bounds { most: 2, least: 1 }, &coming, &leaving), (0, 2));
    }

    #[test]
    fn more_or_fewer_replicas_than_before_are_reached_too() {
        for (before, replicas) in [(1, 4), (2, 3), (5, 2), (20, 1), (1, 20)] {
            let mut world = World::new(replicas, before, Amount::DEFAULT, Amount::DEFAULT);
            for _ in 0..100 {
                world.all_gone();
                world.coming.iter_mut().for_each(|it| *it = Instance::Ready);
                world.step(next_scale);
                assert!(world.live() <= world.bounds.most.max(before), "{world:?}");
            }
            assert_eq!(world.wanted, (replicas, 0), "from {before} to {replicas}");
        }
    }
}
