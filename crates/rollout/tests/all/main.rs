//! Scripts, promises and figures of the rollout and its judge, and the machines of others, in one program.

mod analysis;
mod conditions;
mod flagger;
mod judge;
mod manifests;
mod promises;
mod record;
mod replicas;
mod scripts;
mod transcripts;
mod worlds;
