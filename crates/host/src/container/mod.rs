//! Containers on this machine, by podman or docker: which engine there is, how it is asked, and what of ours it holds.

mod engine;
mod left;

pub use engine::{CHOICE, Engine, Kind};
pub use left::{Left, remove_left};

pub(crate) use engine::carried;
pub(crate) use left::{Holder, note, remove_of_lost};
