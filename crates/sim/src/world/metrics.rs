use std::collections::BTreeMap;

use async_trait::async_trait;
use engine::world::Metrics;
use gate::slo::{Counts, Measured, Slos};

use super::Border;
use crate::faults::Fault;

/// Counts what is true of the service: all well, or every second answer bad.
pub(crate) struct SimMetrics {
    pub border: Border,
}

#[async_trait]
impl Metrics for SimMetrics {
    async fn objectives(&self, slos: &Slos) -> Vec<Measured> {
        if self.border.sim.strikes(Fault::MetricsUnknown, 3) {
            let unknown =
                |objective: &gate::slo::Objective| Measured { objective: objective.name.clone(), counts: Err("simulated".into()) };
            return slos.objectives.iter().map(unknown).collect();
        }
        let burning = self.border.look(|sim| sim.truth().burning_since.is_some()).await;
        let counts = Counts { part: if burning { 500.0 } else { 0.0 }, total: 1_000.0 };
        let measured = |objective: &gate::slo::Objective| {
            let windows: BTreeMap<u64, Counts> = objective.questions().iter().map(|it| (it.window_ms, counts)).collect();
            Measured { objective: objective.name.clone(), counts: Ok(windows) }
        };
        slos.objectives.iter().map(measured).collect()
    }
}
