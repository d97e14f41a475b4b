//! Calls git so that it answers the same to everybody.

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::Error;

/// What it prints; anything but success is an error that carries its own words.
pub(crate) fn git(folder: &Path, doing: &str, arguments: &[&str]) -> Result<Vec<u8>, Error> {
    let output = run(folder, arguments, None)?;
    if output.status.success() { Ok(output.stdout) } else { Err(failed(doing, &output)) }
}

/// The same, with nothing for exit code 1 without a word: git's way to say "there is none".
pub(crate) fn try_git(folder: &Path, doing: &str, arguments: &[&str]) -> Result<Option<Vec<u8>>, Error> {
    let output = run(folder, arguments, None)?;
    match output.status.code() {
        Some(0) => Ok(Some(output.stdout)),
        Some(1) if output.stderr.is_empty() => Ok(None),
        _ => Err(failed(doing, &output)),
    }
}

/// The same with something to read.
pub(crate) fn git_with(folder: &Path, doing: &str, arguments: &[&str], input: Vec<u8>) -> Result<Vec<u8>, Error> {
    let output = run(folder, arguments, Some(input))?;
    if output.status.success() { Ok(output.stdout) } else { Err(failed(doing, &output)) }
}

pub(crate) fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn run(folder: &Path, arguments: &[&str], input: Option<Vec<u8>>) -> Result<Output, Error> {
    let mut command = Command::new("git");
    command.current_dir(folder).args(["-c", "core.quotepath=false"]).args(arguments);
    // Its messages are read, and nobody sits there to be asked.
    command.env("LC_ALL", "C").env("GIT_TERMINAL_PROMPT", "0").env("GIT_OPTIONAL_LOCKS", "0");
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"] {
        command.env_remove(name);
    }
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() }).stdout(Stdio::piped()).stderr(Stdio::piped());
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => Error::NoGit,
        _ => Error::Failed { doing: "start".into(), why: error.to_string() },
    };
    let mut child = command.spawn().map_err(failed)?;
    // In a thread, because git answers while it still reads.
    let writer = child.stdin.take().zip(input).map(|(mut stdin, input)| std::thread::spawn(move || stdin.write_all(&input)));
    let output = child.wait_with_output().map_err(failed)?;
    if let Some(writer) = writer {
        // What git didn't read shows in what it answers.
        let _ = writer.join();
    }
    Ok(output)
}

fn failed(doing: &str, output: &Output) -> Error {
    let said = String::from_utf8_lossy(&output.stderr);
    let why = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing").trim();
    Error::Failed { doing: doing.to_string(), why: why.trim_start_matches("fatal: ").to_string() }
}
