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

use super::container::Inside;
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
    under_way: Vec<Running>,
    buffer: Vec<u8>,
    scripts: PathBuf,
    script: u32,
    grace: Grace,
}

/// A process that has come to its end.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) lane: usize,
    pub(super) exit: Exit,
    pub(super) output: Output,
    pub(super) inside: Option<Inside>,
}

impl Processes {
    pub(super) fn new(owner: Owner, temp: &Path, grace: Grace) -> Processes {
        let (stragglers, under_way, buffer) = (Vec::new(), Vec::new(), vec![0; 256 * 1024]);
        Processes { owner, stragglers, under_way, buffer, scripts: temp.to_path_buf(), script: 0, grace }
    }

    pub(super) fn grace(&self) -> Grace {
        self.grace
    }

    /// Starts the command; what can't be started has ended at once.
    pub(super) fn start(&mut self, command: &Command, inside: Option<Inside>, output: Output) -> Option<Done> {
        let own = inside.clone();
        let failed = move |why: String, output| Some(Done { lane: command.lane, exit: Exit::Failed(why), output, inside: own });
        let before = if self.stragglers.is_empty() { BTreeSet::new() } else { self.owner.living() };
        let (child, pipe) = match self.spawn(command) {
            Ok(started) => started,
            Err(why) => return failed(why, output),
        };
        self.owner.started(child.id().cast_signed());
        let pidfd = match watched(child) {
            Ok(watched) => watched,
            Err(error) => return failed(format!("the process can't be watched: {error}"), output),
        };
        let (child, pidfd) = pidfd;
        self.under_way.push(Running {
            lane: command.lane,
            inside,
            child,
            pidfd,
            pipe: Some(pipe),
            output,
            before,
            deadline: command.timeout_ms.map(|timeout| Instant::now() + Duration::from_millis(timeout)),
            timeout_ms: command.timeout_ms.unwrap_or_default(),
            ladder: None,
            exit: None,
            linger: None,
            grace: self.grace,
        });
        None
    }

    /// Whether nothing runs.
    pub(super) fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Asks what runs in these lanes to end, as a cancellation does.
    pub(super) fn interrupt(&mut self, lanes: &[usize]) {
        self.under_way
            .iter_mut()
            .filter(|running| lanes.contains(&running.lane))
            .for_each(|running| running.interrupt(Interrupt::Cancelled));
    }

    /// For texts that are to be hidden from now on, whoever says them.
    pub(super) fn mask(&mut self, secrets: &[String]) {
        let running = self.under_way.iter_mut().map(|running| &mut running.output);
        for output in running.chain(self.stragglers.iter_mut().map(|straggler| &mut straggler.output)) {
            secrets.iter().for_each(|secret| output.mask(secret));
        }
    }

    /// Reads, waits, climbs the ladder; until a process is gone and its output closed or lingering too long, the job is told to end,
    /// or that time has come. What a process leaves running is left until the job ends, unless it was interrupted.
    pub(super) fn wait(&mut self, until: Option<Instant>, watch: &mut dyn Watch, sink: &mut dyn JobSink) -> Vec<Done> {
        loop {
            let news = watch.news();
            for running in self.under_way.iter_mut().filter(|running| running.exit.is_none() && running.ladder.is_none()) {
                if news && !watch.wanted(running.lane) {
                    running.interrupt(Interrupt::Cancelled);
                } else if running.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                    running.interrupt(Interrupt::TimedOut);
                }
            }
            let at_once = watch.at_once();
            for running in &mut self.under_way {
                if at_once {
                    running.kill();
                }
                running.climb();
            }
            let over = (0..self.under_way.len()).rev().filter(|index| self.under_way[*index].is_over()).collect::<Vec<_>>();
            let done: Vec<Done> = over.into_iter().map(|index| self.finish(index, sink)).collect();
            if !done.is_empty() || news || until.is_some_and(|until| until <= Instant::now()) || (at_once && self.is_idle()) {
                return done;
            }
            self.poll(until, watch, sink);
        }
    }

    fn finish(&mut self, index: usize, sink: &mut dyn JobSink) -> Done {
        let mut running = self.under_way.remove(index);
        let exit = running.exit.take().expect("only what has ended is finished");
        let exit = match running.ladder.as_ref().map(|ladder| ladder.why) {
            Some(Interrupt::TimedOut) => Exit::TimedOut { after_ms: running.timeout_ms },
            Some(Interrupt::Cancelled) => Exit::Cancelled,
            None => exit,
        };
        if running.ladder.is_some() {
            let others: Vec<(i32, usize)> = self.under_way.iter().map(|other| (other.child.id().cast_signed(), other.lane)).collect();
            self.owner.kill_all_but(&running.before, &others);
        }
        if let Some(pipe) = &running.pipe {
            drain(pipe, &mut self.buffer, &mut running.output, sink);
        }
        running.output.finish(sink);
        if let Some(pipe) = running.pipe.take().filter(|_| running.ladder.is_none()) {
            self.stragglers.push(Straggler { pipe, output: running.output.another() });
        }
        Done { lane: running.lane, exit, output: running.output, inside: running.inside }
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
            write_script(&file, &script.text).map_err(|error| format!("the script can't be written to `{}`: {error}", file.display()))?;
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
        if command.lane > 0 {
            process.env(sweep::MARK, self.owner.mark_of(command.lane));
        }
        let child = process.spawn().map_err(|error| why_not_started(&program, command, &error))?;
        Ok((child, reader))
    }

    /// Waits for the next thing to happen and takes in what was said.
    fn poll(&mut self, until: Option<Instant>, watch: &dyn Watch, sink: &mut dyn JobSink) {
        let asked = self.is_idle() || self.under_way.iter().any(|running| running.ladder.is_none() && running.exit.is_none());
        let wakes = self.under_way.iter().filter_map(Running::wake);
        let wake = wakes.chain(until).chain(watch.wake().filter(|_| asked)).min();
        let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(1 + 2 * self.under_way.len() + self.stragglers.len());
        let mut add = |fd| {
            fds.push(fd);
            Some(fds.len() - 1)
        };
        let mut places = Vec::with_capacity(self.under_way.len());
        for running in &self.under_way {
            let output = running.pipe.as_ref().and_then(|pipe| add(PollFd::new(pipe, PollFlags::IN)));
            let ended = if running.exit.is_none() { add(PollFd::new(&running.pidfd, PollFlags::IN)) } else { None };
            places.push((output, ended));
        }
        if let Some(fd) = watch.fd() {
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
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(fds);
        let is_ready = |place: Option<usize>| place.is_some_and(|place| ready[place]);
        for index in (0..self.stragglers.len()).rev().filter(|index| ready[first + index]) {
            let straggler = &mut self.stragglers[index];
            if !pump(&straggler.pipe, &mut self.buffer, &mut straggler.output, sink) {
                let mut straggler = self.stragglers.remove(index);
                straggler.output.finish(sink);
            }
        }
        for (running, (output, ended)) in self.under_way.iter_mut().zip(places) {
            if is_ready(output)
                && let Some(pipe) = &running.pipe
                && !pump(pipe, &mut self.buffer, &mut running.output, sink)
            {
                running.pipe = None;
            }
            if is_ready(ended) {
                running.exit = Some(running.status());
                running.linger = Some(Instant::now() + LINGER);
            }
        }
    }
}

/// A process under way.
#[derive(Debug)]
struct Running {
    lane: usize,
    /// Where the process is the client of an engine.
    inside: Option<Inside>,
    child: Child,
    pidfd: OwnedFd,
    /// Nothing once it is closed.
    pipe: Option<PipeReader>,
    output: Output,
    /// What ran before it began and isn't its own.
    before: BTreeSet<i32>,
    deadline: Option<Instant>,
    timeout_ms: u64,
    ladder: Option<Ladder>,
    /// Once the process itself is gone.
    exit: Option<Exit>,
    linger: Option<Instant>,
    grace: Grace,
}

/// How far we have gone in ending it.
#[derive(Debug)]
struct Ladder {
    why: Interrupt,
    /// What comes at that time.
    next: Option<Signal>,
    until: Option<Instant>,
}

impl Running {
    fn is_over(&self) -> bool {
        self.exit.is_some()
            && match &self.ladder {
                // What an interrupted step left gets the same time to end by itself.
                Some(_) => !self.group_lives(),
                None => self.pipe.is_none() || self.linger.is_some_and(|until| until <= Instant::now()),
            }
    }

    /// When it has to be looked at again though nothing happens.
    fn wake(&self) -> Option<Instant> {
        match (&self.ladder, &self.exit) {
            (Some(ladder), None) => ladder.until,
            (Some(ladder), Some(_)) => Some(ladder.until.unwrap_or_else(Instant::now).min(Instant::now() + LOOK_AGAIN)),
            (None, None) => self.deadline,
            (None, Some(_)) => self.linger,
        }
    }

    fn interrupt(&mut self, why: Interrupt) {
        if self.ladder.is_some() || self.exit.is_some() {
            return;
        }
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
        if self.inside.as_ref().is_none_or(|inside| inside.signal(signal)) {
            let _ = rustix::process::kill_process_group(Pid::from_child(&self.child), signal);
        }
    }

    fn group_lives(&self) -> bool {
        sweep::reap_group(self.child.id().cast_signed());
        rustix::process::test_kill_process_group(Pid::from_child(&self.child)).is_ok() || self.inside.as_ref().is_some_and(Inside::lives)
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

/// A descriptor that is ready when the process ends; a process that can't be watched is not kept.
fn watched(mut child: Child) -> io::Result<(Child, OwnedFd)> {
    match rustix::process::pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
        Ok(pidfd) => Ok((child, pidfd)),
        Err(error) => {
            let _ = child.kill();
            let _ = child.wait();
            Err(error.into())
        }
    }
}

/// A step may have cleared the directory for temporary files away.
fn write_script(file: &Path, text: &str) -> io::Result<()> {
    match fs::write(file, text) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(file.parent().unwrap_or(file))?;
            fs::write(file, text)
        }
        written => written,
    }
}

/// The kernel says little about why; what a step has set is the usual reason.
fn why_not_started(program: &Path, command: &Command, error: &io::Error) -> String {
    if !fs::metadata(&command.directory).is_ok_and(|metadata| metadata.is_dir()) {
        return format!("there is no directory `{}`", command.directory);
    }
    let zero = command.env.iter().find(|(name, value)| name.contains('\0') || value.contains('\0'));
    if let Some((name, _)) = zero {
        return format!("the environment variable `{}` has a zero byte, which no process can be given", name.replace('\0', ""));
    }
    if error.kind() == io::ErrorKind::ArgumentListTooLong
        && let Some((name, value)) = command.env.iter().max_by_key(|(_, value)| value.len())
    {
        let all: usize = command.env.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
        return format!(
            "its environment is too large for a process: {} KiB in all, of which `{name}` has {} KiB; hand over a file instead",
            all / 1024,
            value.len() / 1024
        );
    }
    if error.raw_os_error() == Some(nix::errno::Errno::EAGAIN as i32) {
        return format!(
            "`{}` can't be started: no more processes are allowed; an earlier step has left too many running",
            program.display()
        );
    }
    format!("`{}` can't be started: {error}", program.display())
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
