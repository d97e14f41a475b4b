//! One process of a step: started in a group of its own, its output read, its end awaited or brought about.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal};
use workflow::job::{Command, Exit};

use super::output::Output;
use super::sweep::{self, Owner};
use super::watch::{Interrupt, Watch};
use super::{Grace, JobSink};

/// How long the output may stay open when the process is gone: enough for a `tee` behind it, short for a server left running.
const LINGER: Duration = Duration::from_millis(250);
/// Fewer and larger reads; the most that Linux gives without privileges.
const PIPE_BYTES: i32 = 1024 * 1024;
/// How often we look whether what is left of an interrupted step has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The output of a step that is over, held open by something the step left running.
#[derive(Debug)]
pub(super) struct Straggler {
    pipe: PipeReader,
    pub(super) output: Output,
}

/// What the processes of one job share.
#[derive(Debug)]
pub(super) struct Processes {
    pub(super) owner: Owner,
    pub(super) stragglers: Vec<Straggler>,
    buffer: Vec<u8>,
    scripts: PathBuf,
    script: u32,
    grace: Grace,
}

impl Processes {
    pub(super) fn new(owner: Owner, temp: &Path, grace: Grace) -> Processes {
        Processes { owner, stragglers: Vec::new(), buffer: vec![0; 256 * 1024], scripts: temp.to_path_buf(), script: 0, grace }
    }

    pub(super) fn grace(&self) -> Grace {
        self.grace
    }

    /// Runs the command to its end. What it leaves running is left until the job ends, unless it was interrupted.
    pub(super) fn run(&mut self, command: &Command, mut output: Output, watch: &mut dyn Watch, sink: &mut dyn JobSink) -> (Exit, Output) {
        let before = if self.stragglers.is_empty() { BTreeSet::new() } else { self.owner.living() };
        let (child, pipe) = match self.spawn(command) {
            Ok(started) => started,
            Err(why) => return (Exit::Failed(why), output),
        };
        let group = child.id().cast_signed();
        self.owner.started(group);
        let mut running = match Running::new(child, pipe, self.grace) {
            Ok(running) => running,
            Err(error) => return (Exit::Failed(format!("the process can't be watched: {error}")), output),
        };
        let deadline = command.timeout_ms.map(|timeout| Instant::now() + Duration::from_millis(timeout));
        let exit = self.attend(&mut running, deadline, &mut output, watch, sink);
        let exit = match running.ladder.as_ref().map(|ladder| ladder.why) {
            Some(Interrupt::TimedOut) => Exit::TimedOut { after_ms: command.timeout_ms.unwrap_or_default() },
            Some(Interrupt::Cancelled) => Exit::Cancelled,
            None => exit,
        };
        if running.ladder.is_some() {
            self.owner.kill_all_but(&before);
        }
        if let Some(pipe) = &running.pipe {
            drain(pipe, &mut self.buffer, &mut output, sink);
        }
        output.finish(sink);
        if let Some(pipe) = running.pipe.take().filter(|_| running.ladder.is_none()) {
            self.stragglers.push(Straggler { pipe, output: output.another() });
        }
        (exit, output)
    }

    /// The job is over: nothing survives, and what the last of it said is in the log.
    pub(super) fn end(&mut self, sink: &mut dyn JobSink) -> bool {
        let gone = self.owner.end();
        for mut straggler in std::mem::take(&mut self.stragglers) {
            drain(&straggler.pipe, &mut self.buffer, &mut straggler.output, sink);
            straggler.output.finish(sink);
        }
        gone
    }

    fn spawn(&mut self, command: &Command) -> Result<(Child, PipeReader), String> {
        let path = command.env.get("PATH").map_or("", String::as_str);
        let program = command.programs.iter().find_map(|name| find(name, path, &command.directory));
        let program = program.ok_or_else(|| format!("`{}` is not on the PATH", command.programs.join("` or `")))?;
        let mut arguments = command.arguments.clone();
        if let Some(script) = &command.script {
            self.script += 1;
            let file = self.scripts.join(format!("{}{}", self.script, script.extension));
            fs::write(&file, &script.text).map_err(|error| format!("the script can't be written to `{}`: {error}", file.display()))?;
            arguments.iter_mut().for_each(|argument| *argument = argument.replace("{0}", &file.to_string_lossy()));
        }
        let (reader, writer) = io::pipe().map_err(|error| format!("no pipe for the output: {error}"))?;
        // A smaller pipe only costs time.
        let _ = fcntl(&reader, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES));
        let nonblocking = fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map(|_| ());
        nonblocking.map_err(|error| format!("no pipe for the output: {error}"))?;
        let errors = writer.try_clone().map_err(|error| format!("no pipe for the output: {error}"))?;
        let mut process = std::process::Command::new(&program);
        process.args(arguments).env_clear().envs(&command.env).current_dir(&command.directory);
        process.stdin(Stdio::null()).stdout(writer).stderr(errors).process_group(0);
        let child = process.spawn().map_err(|error| match fs::metadata(&command.directory) {
            Ok(metadata) if metadata.is_dir() => format!("`{}` can't be started: {error}", program.display()),
            _ => format!("there is no directory `{}`", command.directory),
        })?;
        Ok((child, reader))
    }

    /// Reads, waits, climbs the ladder; until the process is gone and its output closed or lingering too long.
    fn attend(
        &mut self,
        running: &mut Running,
        deadline: Option<Instant>,
        output: &mut Output,
        watch: &mut dyn Watch,
        sink: &mut dyn JobSink,
    ) -> Exit {
        let mut exit: Option<Exit> = None;
        let mut linger: Option<Instant> = None;
        loop {
            let cancelled = exit.is_none() && watch.interrupts();
            if running.ladder.is_none() && exit.is_none() {
                if cancelled {
                    running.interrupt(Interrupt::Cancelled);
                } else if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                    running.interrupt(Interrupt::TimedOut);
                }
            }
            if watch.at_once() {
                running.kill();
            }
            if let Some(exit) = &exit {
                let over = match &running.ladder {
                    // What an interrupted step left gets the same time to end by itself.
                    Some(_) => !running.group_lives(),
                    None => running.pipe.is_none() || linger.is_some_and(|until| until <= Instant::now()),
                };
                if over {
                    return exit.clone();
                }
            }
            running.climb();
            let wake = [
                deadline.filter(|_| running.ladder.is_none() && exit.is_none()),
                watch.wake().filter(|_| running.ladder.is_none() && exit.is_none()),
                running.ladder.as_ref().and_then(|ladder| ladder.until),
                linger.filter(|_| running.ladder.is_none()),
                exit.as_ref().filter(|_| running.ladder.is_some()).map(|_| Instant::now() + LOOK_AGAIN),
            ];
            let ready = self.wait(running, exit.is_none(), watch, wake.into_iter().flatten().min());
            for index in ready.stragglers.iter().rev() {
                let straggler = &mut self.stragglers[*index];
                if !pump(&straggler.pipe, &mut self.buffer, &mut straggler.output, sink) {
                    let mut straggler = self.stragglers.remove(*index);
                    straggler.output.finish(sink);
                }
            }
            if ready.output
                && let Some(pipe) = &running.pipe
                && !pump(pipe, &mut self.buffer, output, sink)
            {
                running.pipe = None;
            }
            if ready.ended && exit.is_none() {
                exit = Some(running.status());
                linger = Some(Instant::now() + LINGER);
            }
        }
    }

    fn wait(&self, running: &Running, alive: bool, watch: &dyn Watch, wake: Option<Instant>) -> Ready {
        let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(4 + self.stragglers.len());
        let mut add = |fd| {
            fds.push(fd);
            fds.len() - 1
        };
        let output = running.pipe.as_ref().map(|pipe| add(PollFd::new(pipe, PollFlags::IN)));
        let ended = alive.then(|| add(PollFd::new(&running.pidfd, PollFlags::IN)));
        if let Some(fd) = watch.fd().filter(|_| alive) {
            add(PollFd::from_borrowed_fd(fd, PollFlags::IN));
        }
        let first = fds.len();
        fds.extend(self.stragglers.iter().map(|straggler| PollFd::new(&straggler.pipe, PollFlags::IN)));
        let timeout = wake.map(|wake| {
            let left = wake.saturating_duration_since(Instant::now());
            Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 3600, tv_nsec: 0 })
        });
        // An interrupted poll finds nothing and is asked again.
        let _ = poll(&mut fds, timeout.as_ref());
        let ready = |index: usize| !fds[index].revents().is_empty();
        let stragglers = (0..self.stragglers.len()).filter(|index| ready(first + index)).collect();
        Ready { output: output.is_some_and(ready), ended: ended.is_some_and(ready), stragglers }
    }
}

struct Ready {
    output: bool,
    ended: bool,
    stragglers: Vec<usize>,
}

/// A process under way.
struct Running {
    child: Child,
    pidfd: OwnedFd,
    /// Nothing once it is closed.
    pipe: Option<PipeReader>,
    ladder: Option<Ladder>,
    grace: Grace,
}

/// How far we have gone in ending it.
struct Ladder {
    why: Interrupt,
    /// What comes at that time.
    next: Option<Signal>,
    until: Option<Instant>,
}

impl Running {
    fn new(mut child: Child, pipe: PipeReader, grace: Grace) -> io::Result<Running> {
        let pid = Pid::from_child(&child);
        match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Running { child, pidfd, pipe: Some(pipe), ladder: None, grace }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error.into())
            }
        }
    }

    fn interrupt(&mut self, why: Interrupt) {
        self.signal(Signal::INT);
        self.ladder = Some(Ladder { why, next: Some(Signal::TERM), until: Some(Instant::now() + self.grace.after_int) });
    }

    fn climb(&mut self) {
        let Some(ladder) = &self.ladder else { return };
        if ladder.until.is_none_or(|until| until > Instant::now()) {
            return;
        }
        let (why, signal) = (ladder.why, ladder.next);
        if let Some(signal) = signal {
            self.signal(signal);
        }
        self.ladder = Some(match signal {
            Some(Signal::TERM) => Ladder { why, next: Some(Signal::KILL), until: Some(Instant::now() + self.grace.after_term) },
            _ => Ladder { why, next: None, until: None },
        });
    }

    fn kill(&mut self) {
        if self.ladder.as_ref().is_some_and(|ladder| ladder.next.is_none()) {
            return;
        }
        self.signal(Signal::KILL);
        let why = self.ladder.as_ref().map_or(Interrupt::Cancelled, |ladder| ladder.why);
        self.ladder = Some(Ladder { why, next: None, until: None });
    }

    fn signal(&self, signal: Signal) {
        let _ = rustix::process::kill_process_group(Pid::from_child(&self.child), signal);
    }

    fn group_lives(&self) -> bool {
        sweep::reap_group(self.child.id().cast_signed());
        rustix::process::test_kill_process_group(Pid::from_child(&self.child)).is_ok()
    }

    fn status(&mut self) -> Exit {
        match self.child.wait() {
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => Exit::Code(code),
                (None, signal) => Exit::Signal(signal.unwrap_or_default()),
            },
            Err(error) => Exit::Failed(format!("the process's end can't be read: {error}")),
        }
    }
}

/// Reads what is there now; false at the end of the output.
fn pump(pipe: &PipeReader, buffer: &mut [u8], output: &mut Output, sink: &mut dyn JobSink) -> bool {
    let mut reader = pipe;
    match reader.read(buffer) {
        Ok(0) => false,
        Ok(count) => {
            output.push(&buffer[..count], sink);
            true
        }
        Err(error) => matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
    }
}

/// Reads all that is there now.
fn drain(pipe: &PipeReader, buffer: &mut [u8], output: &mut Output, sink: &mut dyn JobSink) {
    let mut fds = [PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    while poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0) && pump(pipe, buffer, output, sink) {}
}

/// The program's file: a path as it is, a name as the first executable on `path`.
pub(super) fn find(name: &str, path: &str, directory: &str) -> Option<PathBuf> {
    let runs = |file: &Path| fs::metadata(file).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0);
    if name.contains('/') {
        return Some(Path::new(directory).join(name)).filter(|file| runs(file));
    }
    std::env::split_paths(OsStr::new(path)).map(|entry| Path::new(directory).join(entry).join(name)).find(|file| runs(file))
}
