use async_trait::async_trait;
use engine::world::{CodeSource, Harvest, Packaged, Ships, WorldError};
use gate::evidence::Evidence;
use workflow::job::JobId;

use super::Border;
use crate::faults::Fault;

/// Packs what the release's proposal says it makes.
pub(crate) struct SimHarvest {
    pub border: Border,
}

#[async_trait]
impl Harvest for SimHarvest {
    async fn package(&self, artifacts: &str, _: &CodeSource, _: &Ships) -> Result<Packaged, WorldError> {
        if self.border.sim.strikes(Fault::HarvestFails, 4) {
            return Err(WorldError::new("package", "simulated"));
        }
        let release = artifacts.parse().expect("artifacts are shared under the release's id");
        let packaged = self.border.look(|sim| sim.truth().proposals.get(&release).map(|proposal| proposal.makes)).await;
        Ok(match packaged.flatten() {
            Some(digest) => Packaged::Artifact { digest, bytes: 1_000, files: 3 },
            None => Packaged::Missing("no job left `dist`".to_string()),
        })
    }

    async fn evidence(&self, _: &str, _: &CodeSource, _: &[JobId]) -> Result<Evidence, WorldError> {
        if self.border.sim.strikes(Fault::HarvestFails, 4) {
            return Err(WorldError::new("read evidence", "simulated"));
        }
        self.border.look(|_| ()).await;
        Ok(Evidence::default())
    }
}
