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
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _};

use failure::{Failure, FailureKind};

fn main() -> ExitCode {
    let parsed = cli::Cli::command().try_get_matches().and_then(|matches| Ok((cli::Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return misused(&advised(error)),
    };
    let terminal = terminal::Terminal::new(&cli.global);
    match commands::dispatch(cli, &terminal) {
        Ok(code) => ExitCode::from(with_all_written(code, &terminal)),
        Err(failure) => {
            let failure = pointing_up(failure, &matches);
            terminal.failure(&failure);
            ExitCode::from(failure.kind.exit_code())
        }
    }
}

/// What a script was to read is part of what was to be done.
fn with_all_written(code: u8, terminal: &terminal::Terminal) -> u8 {
    match terminal::unwritten() {
        Some(failure) => {
            terminal.failure(&failure);
            if code == exit::OK { failure.kind.exit_code() } else { code }
        }
        None => code,
    }
}

/// What isn't found in a folder that is no project of its own may be meant of the one above.
fn pointing_up(failure: Failure, matches: &ArgMatches) -> Failure {
    let (mut command, mut leaf, mut path) = (cli::Cli::command(), matches, "plimsoll".to_string());
    while let Some((word, next)) = leaf.subcommand() {
        path = format!("{path} {word}");
        command = command.find_subcommand(word).expect("it was parsed").clone();
        leaf = next;
    }
    let is_about_it = matches!(failure.kind, FailureKind::NotFound | FailureKind::Usage);
    let is_said = failure.hints.iter().any(|hint| hint.contains("folder above"));
    let folder = leaf.try_get_one::<std::path::PathBuf>("dir").ok().flatten().filter(|_| is_about_it && !is_said);
    match folder.and_then(|folder| compose::project_above(folder)) {
        Some(above) => {
            failure.hint(format!("the folder above is a project: `{path} {}{above}`", if takes_flag(&command) { "-C " } else { "" }))
        }
        None => failure,
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
    let tip = if path == "plimsoll up" && argument == "--secret" {
        "its jobs have the project's own secrets: `plimsoll secret set NAME`".to_string()
    } else if takes_folder && matches!(argument.as_str(), "-C" | "--dir") {
        let folder = typed.iter().skip_while(|word| **word != argument).nth(1).map_or("FOLDER", String::as_str);
        format!("the folder stands alone here: `{path} {}`", view::typed(folder))
    } else if takes_flag(&command) && std::path::Path::new(&argument).is_dir() {
        format!("the project's folder is named by `-C {}`", view::typed(&argument))
    } else {
        return error;
    };
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    error
}

/// The project's folder is named by a flag.
fn takes_flag(command: &clap::Command) -> bool {
    command.get_arguments().any(|it| it.get_short() == Some('C'))
}

/// A command line that is no command, or one that asks for help or the version; in JSON where that is asked for.
fn misused(error: &clap::Error) -> ExitCode {
    let code = u8::try_from(error.exit_code()).unwrap_or(exit::USAGE);
    // What follows `--` is no option.
    let json =
        std::env::args_os().skip(1).map(|it| it.to_string_lossy().into_owned()).take_while(|arg| arg != "--").any(|arg| arg == "--json");
    let text = error.render().to_string();
    let terminal = terminal::Terminal::new(&cli::Global { json, color: cli::ColorChoice::Auto, quiet: false, verbose: false });
    match error.kind() {
        _ if !json => {
            let printed = error.print();
            // What is wrong is told on standard error, where nobody could be told of it.
            if !error.use_stderr() {
                terminal::written(printed);
            }
        }
        ErrorKind::DisplayHelp => terminal.json(&serde_json::json!({ "help": text.trim_end() })),
        ErrorKind::DisplayVersion => terminal.json(&serde_json::json!({ "version": env!("CARGO_PKG_VERSION") })),
        _ => terminal.failure(&Failure::usage(text.trim_start_matches("error: ").trim_end())),
    }
    ExitCode::from(with_all_written(code, &terminal))
}
