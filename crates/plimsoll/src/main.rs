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
mod exit;
mod failure;
mod fetching;
mod gitlab;
mod graph;
mod proposal;
#[cfg(test)]
mod reference;
mod security;
mod server;
mod terminal;
mod view;
mod world;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let terminal = terminal::Terminal::new(&cli.global);
    match commands::dispatch(cli, &terminal) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            terminal.failure(&failure);
            ExitCode::from(failure.kind.exit_code())
        }
    }
}
