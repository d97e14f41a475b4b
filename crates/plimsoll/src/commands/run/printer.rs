//! What the jobs of `plimsoll run` say, on standard output; and the shell that is opened where a step has failed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::process::Command;
use std::sync::mpsc::Sender;
use std::sync::{Mutex, MutexGuard, PoisonError};

use host::job::{JobSink, Paused};
use host::runs::{Happened, StepLog, Tool};
use workflow::job::{Conclusion, JobId, Mark, StepSeen, StepState};

use super::stage::Heard;
use crate::terminal::harmless::{self, Harmless};
use crate::terminal::written;
use crate::world;

/// Of a step that doesn't succeed, so much of its log's end is kept.
const TAIL_MAX: usize = 64 * 1024;

/// What all jobs share: standard output, and whether a shell has it at the moment.
#[derive(Debug, Default)]
pub(super) struct Screen {
    failed: bool,
    /// Every line as an object, beside the facts.
    json: bool,
    /// Only what failed, once it has.
    quiet: bool,
}

impl Screen {
    pub(super) fn new(json: bool, quiet: bool) -> Screen {
        Screen { failed: false, json, quiet: quiet && !json }
    }

    /// A reader that has gone away ends the output, not the run.
    fn write(&mut self, bytes: &[u8]) {
        if !self.failed {
            let mut out = std::io::stdout().lock();
            self.failed = !written(out.write_all(bytes).and_then(|()| out.flush()));
        }
    }
}

/// Passes a job's log to standard output, whole lines at a time where several speak.
pub(super) struct Printer<'a> {
    pub(super) id: JobId,
    /// As people read it: `test (3.12)` for `test.0`.
    name: String,
    pub(super) sender: Sender<Heard>,
    pub(super) screen: &'a Mutex<Screen>,
    /// Before each line, where there are several jobs.
    prefix: String,
    json: bool,
    quiet: bool,
    /// The steps under way, with their names.
    running: BTreeMap<u32, String>,
    /// Lines whose ends haven't come.
    rest: BTreeMap<u32, Vec<u8>>,
    /// The ends of the logs of the steps under way.
    tails: BTreeMap<u32, Vec<u8>>,
    /// Between each step and a terminal.
    harmless: Option<BTreeMap<u32, Harmless>>,
}

impl Printer<'_> {
    /// The job's name stands before each line, where there are several.
    pub(super) fn new(id: JobId, name: String, sender: Sender<Heard>, screen: &Mutex<Screen>, many: bool) -> Printer<'_> {
        let prefix = if many { format!("{name} | ") } else { String::new() };
        let (json, quiet) = {
            let screen = screen.lock().unwrap_or_else(PoisonError::into_inner);
            (screen.json, screen.quiet)
        };
        let harmless = (!json && std::io::stdout().is_terminal()).then(BTreeMap::new);
        Printer {
            id,
            name,
            sender,
            screen,
            prefix,
            json,
            quiet,
            running: BTreeMap::new(),
            rest: BTreeMap::new(),
            tails: BTreeMap::new(),
            harmless,
        }
    }

    pub(super) fn flush(&mut self) {
        let open: Vec<u32> = self.rest.keys().copied().collect();
        open.into_iter().for_each(|step| self.flush_step(step));
    }

    fn flush_step(&mut self, step: u32) {
        if let Some(mut line) = self.rest.remove(&step).filter(|line| !line.is_empty()) {
            line.push(b'\n');
            self.write_lines(step, &line);
        }
    }

    /// Whole lines.
    fn write_lines(&self, step: u32, lines: &[u8]) {
        if !self.json {
            let prefix = self.prefix_of(step);
            let shown = if self.harmless.is_some() { Cow::Owned(harmless::lines(lines)) } else { Cow::Borrowed(lines) };
            return self.screen().write(&prefixed(&prefix, &shown));
        }
        let mut text = String::new();
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let said = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(line));
            let payload = serde_json::json!({ "id": self.id, "step": step, "text": said });
            let line = serde_json::json!({ "kind": "step.line", "v": 1, "at": world::now(), "payload": payload });
            text.push_str(&format!("{line}\n"));
        }
        self.screen().write(text.as_bytes());
    }

    fn keep_tail(&mut self, step: u32, bytes: &[u8]) {
        let tail = self.tails.entry(step).or_default();
        tail.extend_from_slice(&bytes[bytes.len().saturating_sub(TAIL_MAX)..]);
        if tail.len() > 2 * TAIL_MAX {
            tail.drain(..tail.len() - TAIL_MAX);
        }
    }

    /// What is kept of the log of a step that has ended.
    fn note_tail(&mut self, step: &StepSeen) {
        let Some(tail) = self.tails.remove(&step.number) else { return };
        if matches!(step.state, StepState::Finished { outcome: Conclusion::Success | Conclusion::Skipped, .. }) {
            return;
        }
        let mut tail = &tail[tail.len().saturating_sub(TAIL_MAX)..];
        if tail.len() == TAIL_MAX {
            let line = tail.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            tail = &tail[line..];
        }
        if self.quiet && matches!(step.state, StepState::Finished { conclusion: Conclusion::Failure, .. }) {
            self.write_lines(step.number, tail);
            if !tail.ends_with(b"\n") && !tail.is_empty() {
                self.screen().write(b"\n");
            }
        }
        let text = String::from_utf8_lossy(tail).into_owned();
        let log = StepLog { at: world::now(), id: self.id.clone(), step: step.number, text };
        let _ = self.sender.send(Heard::Note(Happened::Log(log)));
    }

    /// Steps side by side are told apart by their names.
    fn prefix_of(&self, step: u32) -> String {
        match self.running.get(&step).filter(|_| self.running.len() > 1) {
            Some(name) => format!("{}{name} | ", self.prefix),
            None => self.prefix.clone(),
        }
    }

    fn screen(&self) -> MutexGuard<'_, Screen> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl JobSink for Printer<'_> {
    fn step(&mut self, step: &StepSeen) {
        if step.state == StepState::Running {
            self.running.insert(step.number, step.name.clone());
        } else {
            self.flush_step(step.number);
            self.running.remove(&step.number);
            self.note_tail(step);
        }
        let _ = self.sender.send(Heard::Step(self.id.clone(), step.clone()));
    }

    fn log(&mut self, step: u32, bytes: &[u8]) {
        self.keep_tail(step, bytes);
        if self.quiet {
            return;
        }
        let harmless = self.harmless.as_mut().map(|all| all.entry(step).or_default().pass(bytes));
        let bytes = harmless.as_deref().unwrap_or(bytes);
        let alone = self.prefix.is_empty() && self.running.len() <= 1 && !self.json;
        if alone && !self.rest.contains_key(&step) {
            return self.screen().write(bytes);
        }
        let rest = self.rest.entry(step).or_default();
        rest.extend_from_slice(bytes);
        let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') else { return };
        let open = rest.split_off(end + 1);
        let lines = std::mem::replace(rest, open);
        if alone && self.rest.get(&step).is_some_and(Vec::is_empty) {
            self.rest.remove(&step);
        }
        self.write_lines(step, &lines);
    }

    fn summary(&mut self, step: u32, text: &str) {
        let name = self.running.get(&step).cloned().unwrap_or_default();
        let _ = self.sender.send(Heard::Summary { job: self.name.clone(), step: name, text: text.to_string() });
    }

    fn tool(&mut self, name: &str, version: &str) {
        let tool = Tool { at: world::now(), id: self.id.clone(), name: name.to_string(), version: version.to_string() };
        let _ = self.sender.send(Heard::Note(Happened::Tool(tool)));
    }

    fn marks(&mut self, marks: &[Mark]) {
        let _ = self.sender.send(Heard::Marks(self.id.clone(), marks.to_vec()));
    }

    fn notice(&mut self, text: &str) {
        if self.json {
            return self.write_lines(0, text.as_bytes());
        }
        if !self.quiet {
            self.screen().write(format!("{}{text}\n", self.prefix).as_bytes());
        }
    }

    fn warning(&mut self, text: &str) {
        if self.json {
            return self.write_lines(0, format!("warning: {text}").as_bytes());
        }
        self.screen().write(format!("{}warning: {text}\n", self.prefix).as_bytes());
    }

    /// On a terminal the shell is opened at once; elsewhere it is said how, and how the job goes on.
    fn paused(&mut self, paused: &Paused) -> bool {
        self.flush();
        let screen = self.screen();
        let (job, name, reason) = (&self.name, &paused.name, &paused.reason);
        let mut errors = std::io::stderr().lock();
        let _ = writeln!(errors, "step \"{name}\" of {job} {reason}, and the job is held");
        if !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
            let _ = writeln!(errors, "`sh {}` opens a shell in its place", paused.script.display());
            let _ = writeln!(errors, "`touch {}` lets the job go on, Ctrl-C ends it", paused.go_on.display());
            return false;
        }
        let shell = std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".to_string());
        let _ =
            writeln!(errors, "this is `{shell}` with the step's environment, in {}; `exit` lets the job go on", paused.directory.display());
        drop(errors);
        let mut command = Command::new(&shell);
        command.env_clear().envs(&paused.env).current_dir(&paused.directory);
        if let Some(terminal) = std::env::var_os("TERM") {
            command.env("TERM", terminal);
        }
        let _ = self.sender.send(Heard::Shell { open: true });
        if let Err(error) = command.status() {
            let _ = writeln!(std::io::stderr(), "`{shell}` can't be started: {error}");
        }
        let _ = self.sender.send(Heard::Shell { open: false });
        drop(screen);
        true
    }
}

fn prefixed(prefix: &str, lines: &[u8]) -> Vec<u8> {
    if prefix.is_empty() {
        return lines.to_vec();
    }
    let mut text = Vec::with_capacity(lines.len() + 64);
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        text.extend_from_slice(prefix.as_bytes());
        text.extend_from_slice(line);
    }
    text
}
