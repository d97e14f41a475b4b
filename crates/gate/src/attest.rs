//! Statements about what ships, under a signature that others can check: keys, envelopes, and what is believed of them.
//!
//! The forms are those of in-toto, SLSA and cosign, so that neither side needs the other's program.

pub mod dsse;
mod key;
mod signed;
mod statement;
mod verify;

pub use key::{InvalidKey, PublicKey, SigningKey};
pub use signed::{Signed, Unreadable};
pub use statement::{CYCLONEDX, PROVENANCE, SIGNATURE, STATEMENT, Statement, Subject};
pub use verify::{Check, Expected, Report, Step, verify};
