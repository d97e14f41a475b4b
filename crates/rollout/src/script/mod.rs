//! "When, what is seen" lines in; what was decided, done and waited for out. `docs/rollout.md` describes the format.
//!
//! A script plays a rollout in a small obedient world: instances become ready, the router follows, probes are answered, unless a
//! line says otherwise. Tests and `plimsoll replay FILE` run the same thing.

mod parse;
mod play;
mod show;
mod world;

use base::Diagnostic;

/// What follows this line is an earlier transcript; it is not read.
pub const TRANSCRIPT_MARK: &str = "----";

/// The transcript, or everything that is wrong with the script.
pub fn run(text: &str) -> Result<String, Vec<Diagnostic>> {
    let (script, diagnostics) = parse::parse(text);
    if diagnostics.is_empty() { Ok(play::play(script)) } else { Err(diagnostics) }
}
