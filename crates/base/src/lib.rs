//! What every other crate speaks: digests, times, names, places in files, diagnostics, and the mask over secrets.
//!
//! No I/O, no clock, no randomness: a time or a random number is always an argument.

pub mod diagnostic;
pub mod digest;
pub mod histogram;
pub mod mask;
pub mod name;
pub mod number;
pub mod people;
pub mod time;
pub mod yaml;

pub use diagnostic::{Diagnostic, Label, Severity, Source, Span};
pub use digest::{Digest, DigestWriter};
pub use histogram::Histogram;
pub use number::{counted, thousands};
pub use people::People;
pub use time::Timestamp;
