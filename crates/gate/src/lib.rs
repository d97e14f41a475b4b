//! Evidence goes in, a decision comes out.
//!
//! No I/O, no clock, no network: a policy sees its input document and nothing else.
