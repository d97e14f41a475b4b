//! Made-up traffic for the judge: what happens to a canary at a tenth of the traffic for half an hour.

use base::Timestamp;
use rollout::JudgePlan;
use rollout::judge::{Judge, Look, Metric, Question, Stream, Tally, Verdict};

/// What goes on around the release.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum World {
    Calm,
    /// Both versions fail six times as often for three minutes.
    SharedIncident,
    /// Slow answers come in stretches of a minute, the same for both.
    SharedLatency,
    /// Slow answers come in stretches of a minute, each version's own: beyond what the method promises.
    OwnLatency,
    /// Some instance of the stable restarts: half of its requests in one look fail.
    StableRestart,
    /// The same happens to the canary.
    CanaryRestart,
    /// The canary's weight climbs from 5 to 50 % while the common rate wanders and triples.
    Ramp,
}

/// A cell of the table.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    pub world: World,
    /// Canary requests a minute.
    pub rate: f64,
    /// Share of bad answers; slow ones are three in a thousand when it is not zero.
    pub base: f64,
    /// How many times as bad the canary is.
    pub times: f64,
    pub metric: Metric,
}

/// Minutes until each answer, if it came.
#[derive(Debug, Clone, Copy, Default)]
pub struct Answer {
    pub worse: Option<f64>,
    pub not_worse: Option<f64>,
}

/// Looks go on after "not worse", so that a false alarm has the whole half hour to happen.
pub fn run(cell: Cell, seed: u64) -> Answer {
    let mut noise = Noise::new(seed);
    let plan = JudgePlan::default();
    let mut judge = Judge::new(&plan, false);
    let mut answer = Answer::default();
    let (mut shared, mut canary_own, mut stable_own) = (Stretches::new(&mut noise), Stretches::new(&mut noise), Stretches::new(&mut noise));
    let restart_at = (noise.uniform() * LOOKS as f64) as u32;
    for number in 0..LOOKS {
        let minute = f64::from(number + 1) / LOOKS_A_MINUTE;
        let (shared, canary_own, stable_own) = (shared.next(&mut noise), canary_own.next(&mut noise), stable_own.next(&mut noise));
        let weight = if cell.world == World::Ramp { 0.05 + 0.45 * minute / 30.0 } else { 0.1 };
        let total = cell.rate * 10.0 / LOOKS_A_MINUTE;
        let (canary, stable) = (noise.poisson(total * weight), noise.poisson(total * (1.0 - weight)));
        for metric in [Metric::Errors, Metric::Slow] {
            let rate = if metric == Metric::Errors || cell.base == 0.0 { cell.base } else { 0.003 };
            let common = match (cell.world, metric) {
                (World::SharedIncident, _) if (10.0..13.0).contains(&minute) => 6.0,
                (World::SharedLatency, Metric::Slow) => shared.exp(),
                (World::Ramp, _) => (0.7 * shared).exp() * (1.0 + minute / 15.0),
                _ => 1.0,
            };
            let own =
                |wander: f64| if cell.world == World::OwnLatency && metric == Metric::Slow { (0.5 * wander - 0.125).exp() } else { 1.0 };
            let times = if metric == cell.metric { cell.times } else { 1.0 };
            let restart = |world, requests: u64| {
                if cell.world == world && metric == Metric::Errors && number == restart_at { requests / 2 } else { 0 }
            };
            let canary_bad = noise.poisson(canary as f64 * rate * common * times * own(canary_own)) + restart(World::CanaryRestart, canary);
            let stable_bad = noise.poisson(stable as f64 * rate * common * own(stable_own)) + restart(World::StableRestart, stable);
            let tally = |requests: u64, bad: u64| Tally { requests, bad: bad.min(requests) };
            let look = Look { canary: tally(canary, canary_bad), stable: tally(stable, stable_bad) };
            judge.add(Question { stream: Stream::Users, metric }, Timestamp::from_ms(i64::from(number) * 5_000), &look);
        }
        match judge.verdict(false) {
            Verdict::Worse(_) => return Answer { worse: Some(minute), ..answer },
            Verdict::NotWorse => answer.not_worse = answer.not_worse.or(Some(minute)),
            Verdict::NotEnough(_) => {}
        }
    }
    answer
}

const LOOKS_A_MINUTE: f64 = 12.0;
const LOOKS: u32 = 360;

/// Splitmix64: tiny, seeded, the same everywhere.
struct Noise(u64);

impl Noise {
    fn new(seed: u64) -> Noise {
        Noise(seed.wrapping_mul(0x2545_F491_4F6C_DD1D) ^ 0x5DEE_CE66)
    }

    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((word ^ (word >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.uniform()).ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }

    fn poisson(&mut self, mean: f64) -> u64 {
        if mean > 30.0 {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0) as u64;
        }
        let limit = (-mean).exp();
        let (mut count, mut product) = (0, self.uniform());
        while product > limit {
            count += 1;
            product *= self.uniform();
        }
        count
    }
}

/// A level that wanders with a memory of one minute, standard deviation 1.
struct Stretches(f64);

impl Stretches {
    fn new(noise: &mut Noise) -> Stretches {
        Stretches(noise.normal())
    }

    fn next(&mut self, noise: &mut Noise) -> f64 {
        const KEPT: f64 = 0.92;
        self.0 = KEPT * self.0 + (1.0 - KEPT * KEPT).sqrt() * noise.normal();
        self.0
    }
}
