//! `plimsoll replay FILE`: a rollout's script is run, as the tests run it.

use base::{Source, diagnostic};

use crate::cli::Replay;
use crate::exit;
use crate::failure::{Doing, Failure, Result};
use crate::terminal::Terminal;

pub fn replay(args: &Replay, terminal: &Terminal) -> Result<u8> {
    let name = args.file.display().to_string();
    if !args.file.exists() {
        return Err(Failure::not_found(format!("there is no file `{name}`")).hint("docs/rollout.md says what a script looks like"));
    }
    let text = std::fs::read_to_string(&args.file).doing(&format!("read {name}"))?;
    match rollout::script::run(&text) {
        Ok(transcript) if terminal.json => terminal.json(&serde_json::json!({ "transcript": transcript })),
        Ok(transcript) => terminal.data(transcript.trim_end()),
        Err(diagnostics) => {
            let source = Source::new(name.as_str(), text);
            return Err(Failure::usage(format!("`{name}` can't be replayed\n\n{}", diagnostic::render(&source, &diagnostics, false))));
        }
    }
    Ok(exit::OK)
}
