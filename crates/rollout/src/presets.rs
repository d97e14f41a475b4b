//! Progressions of canaries that teams have, by name.

use crate::plan::Step;

/// A weight in percent, and so many minutes at it; the judge has to be content besides.
type Progression = &'static [(u32, u32)];

/// By name; all traffic follows the last step.
const PRESETS: &[(&str, Progression)] = &[
    ("five-minutes", &[(10, 5), (50, 5)]),
    ("quarters", &[(10, 0), (25, 0), (50, 0), (75, 0)]),
    // Begun at 0, 1, 6 and 16 minutes, all at 31.
    ("tier-1", &[(1, 1), (10, 5), (25, 10), (50, 15)]),
    // Begun at 0 and 2 minutes, all at 5.
    ("tier-2", &[(10, 2), (50, 3)]),
    ("tens", &[(10, 1), (20, 1), (30, 1), (40, 1), (50, 1)]),
];

pub fn names() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|(name, _)| *name)
}

/// The steps of a preset; nothing where none has the name.
pub fn steps(name: &str) -> Option<Vec<Step>> {
    let (_, progression) = PRESETS.iter().find(|(known, _)| *known == name)?;
    let step = |(percent, minutes): &(u32, u32)| {
        let pause = (*minutes > 0).then(|| Step::Pause { duration_ms: Some(u64::from(*minutes) * 60_000) });
        [Some(Step::SetWeight(percent * 100)), pause].into_iter().flatten()
    };
    Some(progression.iter().flat_map(step).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_begin_when_they_are_said_to() {
        let begins = |name: &str| {
            let mut minute = 0;
            let mut begins = Vec::new();
            for step in steps(name).expect("it is one") {
                match step {
                    Step::SetWeight(weight) => begins.push((minute, weight / 100)),
                    Step::Pause { duration_ms } => minute += duration_ms.expect("it ends by itself") / 60_000,
                }
            }
            begins.push((minute, 100));
            begins
        };
        assert_eq!(begins("tier-1"), [(0, 1), (1, 10), (6, 25), (16, 50), (31, 100)]);
        assert_eq!(begins("tier-2"), [(0, 10), (2, 50), (5, 100)]);
        assert_eq!(begins("five-minutes"), [(0, 10), (5, 50), (10, 100)]);
        assert_eq!(begins("quarters"), [(0, 10), (0, 25), (0, 50), (0, 75), (0, 100)]);
        assert_eq!(begins("tens").len(), 6);
        assert_eq!(steps("tier-3"), None);
    }
}
