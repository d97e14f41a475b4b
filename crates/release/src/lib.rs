//! The whole way of one change: runs, gate, rollout, verification, in order.
//!
//! The only place where the machines meet; no I/O, no clock, no randomness.
