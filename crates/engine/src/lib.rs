//! Looks at the world and drives the machines; says what it needs of a world.
//!
//! Remembers first, then acts.

pub mod world;
