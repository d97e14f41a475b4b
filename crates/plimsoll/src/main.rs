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

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, Parser as _};

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misused(&advised(error)),
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

/// Where the folder of a project is named in the other of the two ways, the tip says in which it is.
fn advised(mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg).filter(|_| error.kind() == ErrorKind::UnknownArgument)
    else {
        return error;
    };
    let argument = argument.clone();
    let typed: Vec<String> = std::env::args_os().skip(1).map(|it| it.to_string_lossy().into_owned()).collect();
    let (mut command, mut path) = (cli::Cli::command(), "plimsoll".to_string());
    for word in &typed {
        if let Some(next) = command.find_subcommand(word).cloned() {
            path = format!("{path} {word}");
            command = next;
        }
    }
    let takes_folder = command.get_positionals().any(|it| it.get_id() == "dir");
    let takes_flag = command.get_arguments().any(|it| it.get_short() == Some('C'));
    let tip = if path == "plimsoll up" && argument == "--secret" {
        "its jobs have the project's own secrets: `plimsoll secret set NAME`".to_string()
    } else if takes_folder && matches!(argument.as_str(), "-C" | "--dir") {
        let folder = typed.iter().skip_while(|word| **word != argument).nth(1).map_or("FOLDER", String::as_str);
        format!("the folder stands alone here: `{path} {}`", view::typed(folder))
    } else if takes_flag && std::path::Path::new(&argument).is_dir() {
        format!("the project's folder is named by `-C {}`", view::typed(&argument))
    } else {
        return error;
    };
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    error
}

/// A command line that is no command, or one that asks for help or the version; in JSON where that is asked for.
fn misused(error: &clap::Error) -> ExitCode {
    let code = ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(exit::USAGE));
    // What follows `--` is no option.
    let json =
        std::env::args_os().skip(1).map(|it| it.to_string_lossy().into_owned()).take_while(|arg| arg != "--").any(|arg| arg == "--json");
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
