//! Every choice made before the first action; a change of mind is a new plan.

use std::fmt;

use base::Digest;
use serde::{Deserialize, Serialize};

use crate::rolling::Amount;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub revision: Revision,
    /// What carries the traffic now; nothing on the first release into an environment.
    pub stable: Option<Revision>,
    pub strategy: Strategy,
    /// Instances of the new revision.
    pub replicas: u32,
    /// Instances of the stable, where a rolling update replaces another number of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable_replicas: Option<u32>,
    /// Every generation of this rollout is larger; the environment hands it out, growing.
    pub generation_base: u64,
    pub limits: Limits,
    pub judge: JudgePlan,
    pub smoke: Vec<SmokeCheck>,
    pub synthetic: Option<SyntheticPlan>,
}

/// An artifact plus its configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    pub id: RevisionId,
    pub artifact: Digest,
}

/// Short, unique in its environment, fit for a path and a header: 12 hexadecimal digits over artifact and configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RevisionId(pub String);

impl fmt::Display for RevisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Start, be ready, take all traffic at once: the first release, a rollback, `local` when asked.
    Immediate,
    /// Traffic in steps, judged at each; 100 % follows the last step.
    Canary { steps: Vec<Step> },
    /// Beside the old revision without traffic, for those who ask for it; checked there, then all traffic at once.
    BlueGreen {
        /// So long after it is ready and checked; nothing: when somebody promotes.
        auto_promotion_ms: Option<u64>,
    },
    /// Instances are replaced in steps, and traffic goes to what is ready; the amounts are those of a Deployment.
    RollingUpdate { max_surge: Amount, max_unavailable: Amount },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// In 0.01 %, 1 to 10,000.
    SetWeight(u32),
    /// For so long, or until somebody resumes.
    Pause { duration_ms: Option<u64> },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// All instances ready within this, or the rollout fails.
    pub ready_ms: u64,
    /// A step lasts at least this long, whatever the evidence.
    pub step_min_ms: u64,
    /// A step without a proof by then goes as `deadline` says.
    pub step_max_ms: u64,
    pub deadline: Deadline,
    /// A router that answers and has not followed within this refuses: the rollout goes back.
    #[serde(default = "crate::defaults::route_ms")]
    pub route_ms: u64,
    /// The time in-flight requests of the revision that leaves get.
    pub drain_ms: u64,
    /// Once the new revision is verified, the old one is kept running so long, and traffic goes back to it if the new one fails after all.
    #[serde(default, skip_serializing_if = "crate::defaults::is_zero")]
    pub warm_ms: u64,
    /// The new revision must stay ready so long after it has all traffic, and its smoke checks pass.
    pub verify_ms: u64,
    /// Crashes of one instance during the rollout that count as failure.
    pub restarts_max: u32,
}

/// What happens when a step's evidence is not enough at its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deadline {
    /// Stay at the weight reached and say so, until somebody promotes or aborts.
    Hold,
    Rollback,
}

/// Fixed before the first canary request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JudgePlan {
    /// The chance of a false "worse" over the whole release, all looks and metrics together.
    pub alpha: f64,
    /// "Not worse" is proved when the ratio of rates is below 1 + `ratio_margin` …
    pub ratio_margin: f64,
    /// … or their difference below this share (0.01 is one percentage point).
    pub difference_margin: f64,
    /// Latency is judged as the share of requests slower than stable's own quantile (0.95), times `latency_factor`.
    pub latency_quantile: f64,
    pub latency_factor: f64,
    /// … and by this much longer at least, in microseconds. Plans from before it had none.
    #[serde(default)]
    pub latency_slack_us: u64,
    /// When stable's own bad share exceeds this, both are bad: hold, blame nobody.
    pub absolute_bad_share: f64,
    /// Time between two looks.
    pub look_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmokeCheck {
    pub path: String,
    /// Status codes that pass.
    pub expect: Vec<u16>,
    pub timeout_ms: u64,
}

/// Requests made by Plimsoll itself where users' are too few; always labelled, judged in a stream of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyntheticPlan {
    pub paths: Vec<String>,
    /// One request to each revision per interval.
    pub interval_ms: u64,
    /// Below so many users' requests a minute to the canary, probes count as evidence.
    pub below_requests_per_minute: u64,
}
