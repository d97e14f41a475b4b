//! `plimsoll`: from commit to verified production with one command.
//!
//! The only crate that knows argument parsing, HTTP routes, the terminal and the environment.

mod cli;
mod client;
mod commands;
mod compose;
mod config;
mod detect;
mod doctor;
mod event;
mod exit;
mod failure;
mod fetching;
mod gitlab;
mod graph;
mod proposal;
#[cfg(test)]
mod reference;
mod schedules;
mod security;
mod server;
mod terminal;
mod view;
mod world;
mod wrong;

use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misused(&error),
    };
    let terminal = terminal::Terminal::new(&cli.global);
    match commands::dispatch(cli, &terminal) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            terminal.failure(&failure);
            ExitCode::from(failure.kind.exit_code())
        }
    }
}

/// A command line that is no command, or one that asks for help or the version; in JSON where that is asked for.
fn misused(error: &clap::Error) -> ExitCode {
    let code = ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(exit::USAGE));
    // What follows `--` is no option.
    let json = std::env::args().skip(1).take_while(|arg| arg != "--").any(|arg| arg == "--json");
    if !json {
        let _ = error.print();
        return code;
    }
    let text = error.render().to_string();
    let terminal = terminal::Terminal::new(&cli::Global { json, color: cli::ColorChoice::Auto, quiet: false, verbose: false });
    match error.kind() {
        ErrorKind::DisplayHelp => terminal.json(&serde_json::json!({ "help": text.trim_end() })),
        ErrorKind::DisplayVersion => terminal.json(&serde_json::json!({ "version": env!("CARGO_PKG_VERSION") })),
        _ => terminal.failure(&failure::Failure::usage(text.trim_start_matches("error: ").trim_end())),
    }
    code
}
