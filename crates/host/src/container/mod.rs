//! Containers on this machine, by podman or docker: which engine there is, how it is asked, and what of ours it holds.

mod engine;
mod image;
mod left;

pub use engine::{CHOICE, Engine, Kind};
pub use image::{Image, bring, find, short};
pub use left::{Left, remove_left};

pub(crate) use engine::{ANSWER_MAX, carried};
pub(crate) use image::{is_local, qualified, restore};
pub(crate) use left::{Holder, INSTANCE, STATE, SUPERVISOR, note, remove_of_lost};
