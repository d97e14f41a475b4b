use std::collections::BTreeMap;

use async_trait::async_trait;
use base::Digest;
use engine::world::{Occasion, Outside};
use gate::check::Checked;
use gate::incident::Incident;
use gate::slo::{Counts, Measured, Slos};
use gate::{Answers, GatePlan, Signature};

use super::Border;
use crate::faults::Fault;

/// Knows what is true of the service: all well, or every second answer bad and an incident open. Checks fail now and then.
pub(crate) struct SimOutside {
    pub border: Border,
}

#[async_trait]
impl Outside for SimOutside {
    async fn ask(&self, _occasion: &Occasion, gate: &GatePlan) -> Option<Answers> {
        let sim = &self.border.sim;
        if sim.strikes(Fault::AnswerLater, 3) {
            sim.sleep(sim.range(1..5_000)).await;
            return None;
        }
        let (metrics_unknown, incidents_unknown) = (sim.strikes(Fault::MetricsUnknown, 3), sim.strikes(Fault::IncidentsUnknown, 3));
        let burning = self.border.look(|sim| sim.truth().burning_since.is_some()).await;
        let incident = Incident { id: "INC-7".into(), title: "the shop is slow".into(), priority: "P2".into(), url: None, opened: None };
        let checked =
            |name: &str| if sim.strikes(Fault::CheckFails, 5) { Checked::failed(name, "simulated") } else { Checked::passed(name) };
        Some(Answers {
            objectives: if metrics_unknown { unknown(&gate.slos) } else { measured(&gate.slos, burning) },
            incidents: if incidents_unknown { Err("simulated".into()) } else { Ok(burning.then_some(incident).into_iter().collect()) },
            protection: Err("simulated".into()),
            checks: gate.checks.iter().map(|check| checked(&check.name)).collect(),
            signature: Ok(Signature { key: Digest::of(b"the server's") }),
        })
    }
}

fn unknown(slos: &Slos) -> Vec<Measured> {
    let unknown = |objective: &gate::slo::Objective| Measured { objective: objective.name.clone(), counts: Err("simulated".into()) };
    slos.objectives.iter().map(unknown).collect()
}

fn measured(slos: &Slos, burning: bool) -> Vec<Measured> {
    let counts = Counts { part: if burning { 500.0 } else { 0.0 }, total: 1_000.0 };
    let measured = |objective: &gate::slo::Objective| {
        let windows: BTreeMap<u64, Counts> = objective.questions().iter().map(|it| (it.window_ms, counts)).collect();
        Measured { objective: objective.name.clone(), counts: Ok(windows) }
    };
    slos.objectives.iter().map(measured).collect()
}
