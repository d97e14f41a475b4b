//! The line of all runs, kept by nobody who can die.

use std::collections::BTreeMap;

use async_trait::async_trait;
use engine::world::{Turns, WorldError};
use workflow::concurrency::{Line, Seat, Standing};
use workflow::job::JobId;

use super::Border;

pub(crate) struct SimTurns {
    pub border: Border,
}

/// Places by the holder who has them.
#[derive(Default)]
pub(crate) struct TurnsTruth {
    line: Line,
    holders: BTreeMap<String, String>,
}

#[async_trait]
impl Turns for SimTurns {
    async fn stand(&self, _project: &str, holder: &str, seats: &[Seat], _jobs: &[JobId]) -> Result<BTreeMap<String, Standing>, WorldError> {
        let stand = |truth: &mut TurnsTruth| {
            let TurnsTruth { line, holders } = truth;
            line.retain(|member| holders.get(&member.id).is_none_or(|it| it != holder) || seats.iter().any(|seat| seat.id == member.id));
            for seat in seats {
                line.arrive(&seat.id, &seat.name, &seat.groups);
                holders.insert(seat.id.clone(), holder.to_string());
            }
            seats.iter().filter_map(|seat| Some((seat.id.clone(), line.standing(&seat.id)?))).collect()
        };
        Ok(self.border.look(|sim| stand(&mut sim.truth().turns)).await)
    }
}
