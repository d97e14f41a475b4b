//! Traffic moves to a new revision, and back if it fails.
//!
//! No I/O, no clock, no randomness: what was seen and the time are arguments.
