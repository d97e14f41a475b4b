//! `plimsoll run --watch`: again whenever a file has changed.

use std::io::Write as _;
use std::os::fd::AsFd as _;

use host::watch::{Watch, Woken};

use super::begin;
use super::project::Project;
use super::stage::Interrupts;
use crate::cli::Run as RunArgs;
use crate::exit;
use crate::failure::{Doing, Failure, Result};
use crate::terminal::{Terminal, Tone};

/// Files that are named.
const NAMED: usize = 3;

pub(super) fn watch(args: &RunArgs, terminal: &Terminal) -> Result<u8> {
    // What is being edited is meant, not the commit.
    let args = RunArgs { dirty: true, ..args.clone() };
    let project = Project::around(args.file.as_deref(), true)?;
    let place = project.repository.map(|repository| repository.place).ok_or_else(|| Failure::usage("`--watch` needs a repository"))?;
    let failed = |error: &host::watch::Error| Failure::from_error("watch the project", error);
    let mut watch = Watch::new(place).map_err(|error| failed(&error))?;
    let interrupts = Interrupts::listen();
    let (asked, ask) = std::io::pipe().doing("watch the project")?;
    loop {
        let code = match begin(&args, &interrupts, terminal) {
            Ok(code) => code,
            // A file that is wrong at the moment is put right and saved again.
            Err(failure) => {
                terminal.failure(&failure);
                failure.kind.exit_code()
            }
        };
        if code == exit::INTERRUPTED || code == exit::TERMINATED {
            return Ok(code);
        }
        let ask = ask.try_clone().doing("watch the project")?;
        interrupts.tell(move || drop((&ask).write_all(b"x")));
        let text = format!("watching {} folders; Ctrl-C ends", watch.folders());
        terminal.say(&terminal.paint(&text, Tone::Faint));
        match watch.wait(asked.as_fd()).map_err(|error| failed(&error))? {
            Woken::Asked => return Ok(code),
            Woken::Changed(files) => {
                let named: Vec<&str> = files.iter().take(NAMED).map(String::as_str).collect();
                let more = if files.len() > NAMED { format!(" and {} more", files.len() - NAMED) } else { String::new() };
                let have = if files.len() == 1 { "has" } else { "have" };
                terminal.say(&format!("{}{more} {have} changed", named.join(", ")));
            }
        }
    }
}
