//! What happened: facts, the stores that keep them, and readings of them.
//!
//! A fact is never rewritten.
