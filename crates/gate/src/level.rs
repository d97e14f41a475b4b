//! How much is asked where: the limits that ship with each level of security, and with each tier of a service.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::plan::{FindingsMax, GatePlan};

/// How secure an environment is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Development,
    Staging,
    Production,
}

impl Level {
    pub const ALL: [Level; 3] = [Level::Development, Level::Staging, Level::Production];

    pub fn as_str(self) -> &'static str {
        match self {
            Level::Development => "development",
            Level::Staging => "staging",
            Level::Production => "production",
        }
    }

    pub fn named(name: &str) -> Option<Level> {
        Level::ALL.into_iter().find(|level| level.as_str() == name)
    }

    pub fn findings_max(self) -> FindingsMax {
        let high = match self {
            Level::Development => 10,
            Level::Staging => 5,
            Level::Production => 0,
        };
        FindingsMax { high: Some(high), ..FindingsMax::default() }
    }

    /// The least build level of SLSA.
    pub fn provenance_min(self) -> u8 {
        match self {
            Level::Development => 1,
            Level::Staging => 2,
            Level::Production => 3,
        }
    }

    /// Whether what ships must be signed.
    pub fn signed(self) -> bool {
        self != Level::Development
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How much of its lines the tests of a service of a tier must cover, in percent; 1 is what matters most.
pub fn coverage_min_percent(tier: u8) -> f64 {
    match tier {
        0 | 1 => 80.0,
        2 => 70.0,
        _ => 60.0,
    }
}

impl GatePlan {
    /// What is asked at a level, where nobody says otherwise.
    #[must_use]
    pub fn at(level: Option<Level>) -> GatePlan {
        let Some(level) = level else { return GatePlan::default() };
        GatePlan {
            level: Some(level),
            findings_max: level.findings_max(),
            provenance_min: level.provenance_min(),
            signed: level.signed(),
            ..GatePlan::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shipped defaults, as the five pipelines have them.
    #[test]
    fn the_nearer_to_users_the_more_is_asked() {
        let asked = Level::ALL.map(|level| {
            let GatePlan { findings_max, provenance_min, signed, coverage_min_percent, .. } = GatePlan::at(Some(level));
            (findings_max.critical, findings_max.high, findings_max.secrets, provenance_min, signed, coverage_min_percent)
        });
        let of = |high, provenance, signed| (Some(0), Some(high), Some(0), provenance, signed, 80.0);
        assert_eq!(asked, [of(10, 1, false), of(5, 2, true), of(0, 3, true)]);
        assert_eq!([1, 2, 3].map(coverage_min_percent), [80.0, 70.0, 60.0]);
        assert_eq!(GatePlan::at(None), GatePlan::default());
        let named = ["development", "staging", "production"].map(Level::named);
        assert_eq!((named, Level::named("local")), (Level::ALL.map(Some), None));
        assert_eq!(Level::ALL.map(|level| level.to_string()), ["development", "staging", "production"]);
        assert_eq!(GatePlan::at(Some(Level::Staging)).level, Some(Level::Staging));
    }
}
