//! Scripts, promises and figures of the rollout and its judge, in one program.

mod judge;
mod promises;
mod record;
mod scripts;
mod worlds;
