use super::Tally;

/// Is the share of bad answers above a fixed bound? For one version alone, whatever the number of looks.
///
/// The likelihood of a share that is a multiple of the bound over that of the bound itself, averaged over some multiples, counted from the
/// last time that nothing spoke against the version: a good hour does not outweigh a bad minute. While the share is at the bound, a false
/// alarm at 100 : 1 takes a hundred looks on average (an e-detector); below it, practically for ever.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Excess {
    total: Tally,
    logs: [f64; MULTIPLES.len()],
}

/// From "a little more" to "hardly anything works".
const MULTIPLES: [f64; 4] = [1.5, 2.0, 4.0, 10.0];

/// A bound of nothing would make the first bad answer of a million a certainty.
const BOUND_MIN: f64 = 1e-6;

/// The share that the largest multiples stand for; 1 would be refuted by a single good answer.
const SHARE_MAX: f64 = 0.95;

impl Excess {
    pub fn add(&mut self, tally: Tally, bound: f64) {
        if self.log_evidence() <= 0.0 {
            *self = Excess::default();
        }
        self.total = self.total.plus(tally);
        let bound = bound.clamp(BOUND_MIN, SHARE_MAX);
        let (bad, good) = (tally.bad as f64, tally.requests.saturating_sub(tally.bad) as f64);
        for (log, multiple) in self.logs.iter_mut().zip(MULTIPLES) {
            let share = (bound * multiple).min(SHARE_MAX);
            *log += bad * (share / bound).ln() + good * ((1.0 - share) / (1.0 - bound)).ln();
        }
    }

    pub fn total(&self) -> Tally {
        self.total
    }

    pub fn log_evidence(&self) -> f64 {
        let largest = self.logs.iter().copied().fold(f64::MIN, f64::max);
        let sum: f64 = self.logs.iter().map(|log| (log - largest).exp()).sum();
        largest + (sum / self.logs.len() as f64).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bad answers of so many requests, and whether that is proof of more than 5 %.
    #[test]
    fn a_few_bad_answers_are_chance_and_many_are_proof() {
        let table = [
            (0, 0, false),
            (1, 1, false),
            (2, 20, false),
            (3, 3, true),
            (5, 100, false),
            (30, 500, false),
            (20, 100, true),
            (70, 700, true),
        ];
        for (bad, requests, proof) in table {
            let mut excess = Excess::default();
            excess.add(Tally { requests, bad }, 0.05);
            assert_eq!(excess.log_evidence() >= 100.0_f64.ln(), proof, "{bad} of {requests}: {}", excess.log_evidence().exp());
        }
    }

    #[test]
    fn what_is_at_the_bound_is_never_blamed() {
        let mut excess = Excess::default();
        for _ in 0..1_000 {
            excess.add(Tally { requests: 20, bad: 1 }, 0.05);
            assert!(excess.log_evidence() < 100.0_f64.ln());
        }
    }

    #[test]
    fn what_was_good_for_long_is_found_out_as_soon_as_what_was_not() {
        let mut excess = Excess::default();
        excess.add(Tally { requests: 100_000, bad: 20 }, 0.05);
        excess.add(Tally { requests: 100, bad: 25 }, 0.05);
        assert!(excess.log_evidence() >= 100.0_f64.ln());
        assert_eq!(excess.total(), Tally { requests: 100, bad: 25 }, "what is told is what convicts");
    }
}
