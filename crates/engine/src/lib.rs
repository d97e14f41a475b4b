//! Looks at the world and drives the machines; says what it needs of a world.
//!
//! Remembers first, then acts.

pub mod smoke;
pub mod tick;
pub mod world;

pub use smoke::SmokeBoard;
pub use tick::{Cache, LoadedEnvironment, LoadedRelease, TickError, Ticked, World, tick_environment, tick_release};
