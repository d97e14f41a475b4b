//! Statements about what ships, under a signature that others can check: keys, envelopes, and what is believed of them.
//!
//! The forms are those of in-toto, SLSA and cosign, so that neither side needs the other's program.

pub mod claim;
pub mod dsse;
mod image;
mod key;
pub mod oci;
mod signed;
mod statement;
mod verify;

pub use image::{Beside, COSIGN_SIGN, Content, ENVELOPE, SIGNATURE, Verdict, attestations, signatures};
pub use key::{InvalidKey, PublicKey, SigningKey};
pub use signed::{Signed, Unreadable};
pub use statement::{CYCLONEDX, PROVENANCE, STATEMENT, Statement, Subject};
pub use verify::{Check, Expected, Report, Step, verify};
