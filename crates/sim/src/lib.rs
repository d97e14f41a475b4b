//! A simulated world in which two servers drive releases by the real engine, and oracles that know what was promised.
//!
//! One seed is one schedule, to the last byte: no threads, no clock, no randomness but the seed's.
//!
//! ```text
//! users ─▶ record ◀─ server a ─▶ executor · target · router ◀─ server b ─▶ record
//!             │      (crashes, stalls, lost and doubled messages between any two awaits)
//!             ▼
//!          oracles: after every fact, start and route
//! ```

mod breaks;
mod faults;
mod oracle;
mod plans;
mod schedule;
mod scheduler;
mod servers;
mod users;
mod world;

pub use breaks::Break;
pub use faults::Fault;
pub use schedule::{Found, Report, Settings, run};
