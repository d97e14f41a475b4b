//! Why a job stands as it does: its condition with the values that it saw, and what it needs.

use serde::{Deserialize, Serialize};

use super::condition::JobScope;
use super::state::Node;
use super::status::{JobStatus, State};
use super::{Conclusion, Run};
use crate::expr::{Clause, trace};

/// A job and what decided about it. It follows from the record alone, however long ago that was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explained {
    pub job: JobStatus,
    /// With the `success() && (…)` put around it where no status function is named.
    pub condition: String,
    /// The condition part by part; empty as long as something that the job needs hasn't ended.
    pub clauses: Vec<Clause>,
    /// What it names below `needs`, as far as it is a job of the run.
    pub needs: Vec<Need>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Need {
    pub key: String,
    pub state: State,
    pub result: Option<Conclusion>,
}

impl Run {
    /// Every job of the run, in the order of the file.
    pub fn explain(&self) -> Vec<Explained> {
        let status = self.status();
        let of = |key: &str| status.jobs.iter().find(|job| job.key == key).cloned();
        self.in_order().filter_map(|node| Some(self.explain_job(node, of(&node.state.key)?, &of))).collect()
    }

    fn explain_job(&self, node: Node<'_>, job: JobStatus, of: &dyn Fn(&str) -> Option<JobStatus>) -> Explained {
        let needs: Vec<Need> = self
            .needs(node.state)
            .map(|need| {
                let result = need.result();
                let state = of(&need.key).map_or(result.map_or(State::Running, State::Finished), |job| job.state);
                Need { key: need.key.clone(), state, result }
            })
            .collect();
        let ended = needs.iter().all(|need| need.result.is_some());
        let scope = JobScope { run: self, node, cancelled: self.cancel.is_some(), leg: None };
        let clauses = if ended { trace(&node.job.condition, &scope).unwrap_or_default() } else { Vec::new() };
        Explained { job, condition: node.job.condition.clone(), clauses, needs }
    }
}
