//! What a built-in action works at: the step's log, the word to stop, and the tools it starts.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, PipeReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal};
use workflow::job::Exit;

use super::super::Grace;
use super::super::watch::Watch;

/// How long a tool's output may stay open when it is gone.
const LINGER: Duration = Duration::from_millis(250);
/// What is copied between two looks at whether to go on.
const CHUNK_BYTES: usize = 4 << 20;
/// What fits into a pipe at once, so that nobody has to write while the tool runs.
const INPUT_BYTES_MAX: usize = 60_000;

/// Why an action didn't do its work.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::job) enum Undone {
    /// A sentence.
    Failed(String),
    /// It was stopped, or its tool said no.
    Ended(Exit),
}

impl Undone {
    pub(in crate::job) fn exit(self) -> Exit {
        match self {
            Undone::Failed(why) => Exit::Failed(why),
            Undone::Ended(exit) => exit,
        }
    }

    /// The sentence, for those who can't be stopped.
    pub(super) fn why(self) -> String {
        match self {
            Undone::Failed(why) => why,
            Undone::Ended(exit) => format!("it was ended: {exit:?}"),
        }
    }
}

impl From<String> for Undone {
    fn from(why: String) -> Undone {
        Undone::Failed(why)
    }
}

pub(in crate::job) struct Desk<'d> {
    say: &'d mut dyn FnMut(&str),
    watch: &'d mut dyn Watch,
    grace: Grace,
    deadline: Option<(Instant, u64)>,
    /// Once somebody wants it to stop, it stays so.
    stopped: Option<Exit>,
}

/// A tool to be started. Its environment is complete; there is no shell in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::job) struct Tool {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) directory: PathBuf,
    /// What it reads: a secret goes this way, never among the arguments.
    pub(in crate::job) input: Option<String>,
    /// Where its standard output goes instead of the log.
    pub(super) output: Option<PathBuf>,
}

impl Tool {
    pub(in crate::job) fn new(program: PathBuf, env: &BTreeMap<String, String>, directory: &Path) -> Tool {
        Tool { program, arguments: Vec::new(), env: env.clone(), directory: directory.to_path_buf(), input: None, output: None }
    }

    #[must_use]
    pub(in crate::job) fn args<S: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = S>) -> Tool {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    #[must_use]
    pub(super) fn env(mut self, name: &str, value: impl Into<String>) -> Tool {
        self.env.insert(name.to_string(), value.into());
        self
    }

    /// As it would be typed.
    fn shown(&self) -> String {
        let name = self.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let words = self.arguments.iter().map(|word| {
            let word = word.to_string_lossy();
            let plain = !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || "'\"$\\`|&;<>()*?".contains(c));
            if plain { word.into_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
        });
        std::iter::once(name).chain(words).collect::<Vec<_>>().join(" ")
    }
}

impl<'d> Desk<'d> {
    pub(in crate::job) fn new(say: &'d mut dyn FnMut(&str), watch: &'d mut dyn Watch, grace: Grace, timeout_ms: Option<u64>) -> Desk<'d> {
        let deadline = timeout_ms.map(|timeout| (Instant::now() + Duration::from_millis(timeout), timeout));
        Desk { say, watch, grace, deadline, stopped: None }
    }

    pub(in crate::job) fn say(&mut self, line: &str) {
        (self.say)(line);
    }

    /// Asked between any two pieces of work.
    pub(in crate::job) fn go_on(&mut self) -> Result<(), Undone> {
        if self.stopped.is_none() {
            if self.watch.at_once() || self.watch.interrupts() {
                self.stopped = Some(Exit::Cancelled);
            } else if let Some((deadline, after_ms)) = self.deadline
                && deadline <= Instant::now()
            {
                self.stopped = Some(Exit::TimedOut { after_ms });
            }
        }
        self.stopped.clone().map_or(Ok(()), |exit| Err(Undone::Ended(exit)))
    }

    /// Waits for that time, unless it is stopped.
    pub(in crate::job) fn pause(&mut self, pause: Duration) -> Result<(), Undone> {
        let until = Instant::now() + pause;
        loop {
            self.go_on()?;
            let now = Instant::now();
            if until <= now {
                return Ok(());
            }
            let deadline = self.deadline.map(|(deadline, _)| deadline);
            let wake = [Some(until), deadline, self.watch.wake()].into_iter().flatten().min().unwrap_or(until);
            let mut fds: Vec<PollFd<'_>> = self.watch.fd().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).into_iter().collect();
            let timeout = Timespec::try_from(wake.saturating_duration_since(now)).unwrap_or(FAR);
            let _ = poll(&mut fds, Some(&timeout));
        }
    }

    /// Like [`fs::copy`], and it can be stopped.
    pub(super) fn copy(&mut self, from: &Path, to: &Path) -> Result<(), Undone> {
        let failed = |error: io::Error| format!("`{}` can't be copied: {error}", from.display());
        let mut source = File::open(from).map_err(failed)?;
        let mut target = File::create(to).map_err(failed)?;
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            self.go_on()?;
            match source.read(&mut buffer).map_err(failed)? {
                0 => break,
                count => target.write_all(&buffer[..count]).map_err(failed)?,
            }
        }
        fs::set_permissions(to, source.metadata().map_err(failed)?.permissions()).map_err(failed)?;
        Ok(())
    }

    /// Runs a tool to its end; its exit code is for the caller to judge.
    pub(in crate::job) fn run(&mut self, tool: &Tool) -> Result<i32, Undone> {
        self.go_on()?;
        self.say(&format!("[command]{}", tool.shown()));
        let (child, pipe) = start(tool)?;
        let pidfd = rustix::process::pidfd_open(Pid::from_child(&child), PidfdFlags::empty())
            .map_err(|error| format!("`{}` can't be watched: {error}", tool.program.display()))?;
        let mut running = Running { child, pipe: Some(pipe), rest: Vec::new(), next: None };
        let mut ended: Option<Exit> = None;
        let mut linger: Option<Instant> = None;
        loop {
            if ended.is_none() && self.go_on().is_err() {
                running.climb(self.grace, self.watch.at_once());
            }
            if ended.is_some() && (running.pipe.is_none() || linger.is_some_and(|until| until <= Instant::now())) {
                break;
            }
            let mut fds = Vec::with_capacity(3);
            if ended.is_none() {
                fds.push(PollFd::new(&pidfd, PollFlags::IN));
            }
            if let Some(pipe) = &running.pipe {
                fds.push(PollFd::new(pipe, PollFlags::IN));
            }
            if ended.is_none()
                && self.stopped.is_none()
                && let Some(fd) = self.watch.fd()
            {
                fds.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
            }
            let deadline = self.deadline.map(|(deadline, _)| deadline).filter(|_| self.stopped.is_none() && ended.is_none());
            let own = self.watch.wake().filter(|_| self.stopped.is_none() && ended.is_none());
            let wake = [deadline, own, running.next.as_ref().map(|(_, at)| *at), linger].into_iter().flatten().min();
            let timeout = wake.map(|wake| Timespec::try_from(wake.saturating_duration_since(Instant::now())).unwrap_or(FAR));
            // An interrupted poll finds nothing and is asked again.
            let _ = poll(&mut fds, timeout.as_ref());
            let gone = ended.is_none() && fds.first().is_some_and(|fd| !fd.revents().is_empty());
            drop(fds);
            running.read(self.say);
            if gone {
                ended = Some(running.status());
                linger = Some(Instant::now() + LINGER);
            }
        }
        running.finish(self.say);
        if let Some(exit) = &self.stopped {
            // What it started is in its group, or is found when the job ends.
            running.signal(Signal::KILL);
            return Err(Undone::Ended(exit.clone()));
        }
        match ended {
            Some(Exit::Code(code)) => Ok(code),
            Some(other) => Err(Undone::Ended(other)),
            None => Err(Undone::Failed("a tool ended without a word".to_string())),
        }
    }

    /// Runs a tool that has to succeed.
    pub(super) fn must(&mut self, tool: &Tool) -> Result<(), Undone> {
        match self.run(tool)? {
            0 => Ok(()),
            code => Err(Undone::Ended(Exit::Code(code))),
        }
    }
}

const FAR: Timespec = Timespec { tv_sec: 3600, tv_nsec: 0 };

fn start(tool: &Tool) -> Result<(Child, PipeReader), Undone> {
    let failed = |error: io::Error| format!("`{}` can't be started: {error}", tool.program.display());
    let (reader, writer) = io::pipe().map_err(failed)?;
    fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(|error| failed(error.into()))?;
    let mut command = Command::new(&tool.program);
    command.args(&tool.arguments).env_clear().envs(&tool.env).current_dir(&tool.directory).process_group(0);
    command.stderr(writer.try_clone().map_err(failed)?);
    match &tool.output {
        Some(file) => command.stdout(File::create(file).map_err(failed)?),
        None => command.stdout(writer),
    };
    match &tool.input {
        None => command.stdin(Stdio::null()),
        Some(text) if text.len() > INPUT_BYTES_MAX => return Err(Undone::Failed("what the tool shall read is too long".to_string())),
        Some(text) => {
            let (read, mut write) = io::pipe().map_err(failed)?;
            write.write_all(text.as_bytes()).map_err(failed)?;
            command.stdin(read)
        }
    };
    Ok((command.spawn().map_err(failed)?, reader))
}

struct Running {
    child: Child,
    /// Nothing once it is closed.
    pipe: Option<PipeReader>,
    /// The line that isn't complete yet.
    rest: Vec<u8>,
    /// The next signal, and when.
    next: Option<(Signal, Instant)>,
}

impl Running {
    /// SIGINT, then SIGTERM, then SIGKILL, each when the time before is over.
    fn climb(&mut self, grace: Grace, at_once: bool) {
        let now = Instant::now();
        let forever = now + Duration::from_secs(3600);
        self.next = Some(match self.next {
            _ if at_once => (self.signal(Signal::KILL), forever),
            None => {
                self.signal(Signal::INT);
                (Signal::TERM, now + grace.after_int)
            }
            Some((Signal::TERM, at)) if at <= now => {
                self.signal(Signal::TERM);
                (Signal::KILL, now + grace.after_term)
            }
            Some((Signal::KILL, at)) if at <= now => (self.signal(Signal::KILL), forever),
            Some(waiting) => waiting,
        });
    }

    fn signal(&self, signal: Signal) -> Signal {
        let _ = rustix::process::kill_process_group(Pid::from_child(&self.child), signal);
        signal
    }

    fn read(&mut self, say: &mut dyn FnMut(&str)) {
        let Some(mut pipe) = self.pipe.as_ref() else { return };
        let mut buffer = [0; 64 * 1024];
        match pipe.read(&mut buffer) {
            Ok(0) => self.pipe = None,
            Ok(count) => {
                self.rest.extend_from_slice(&buffer[..count]);
                let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { return };
                let lines: Vec<u8> = self.rest.drain(..=end).collect();
                String::from_utf8_lossy(&lines).lines().for_each(say);
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => self.pipe = None,
        }
    }

    fn finish(&mut self, say: &mut dyn FnMut(&str)) {
        self.read(say);
        if !self.rest.is_empty() {
            say(&String::from_utf8_lossy(&std::mem::take(&mut self.rest)));
        }
    }

    fn status(&mut self) -> Exit {
        match self.child.wait() {
            Ok(status) => status.code().map_or_else(|| Exit::Signal(status.signal().unwrap_or_default()), Exit::Code),
            Err(error) => Exit::Failed(format!("the tool's end can't be read: {error}")),
        }
    }
}
