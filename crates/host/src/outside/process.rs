//! Short programs: run in an empty folder, heard, and ended to the last of their processes at the end of their time.

use std::borrow::Cow;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use base::time::format_duration_ms;
use engine::world::Occasion;
use regex::Regex;
use rustix::process::{Pid, Signal};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio::process::Command;
use tokio::task::JoinHandle;

use crate::job::{Home, inherited};
use crate::supervise::process::sweep_marked;

/// Kept of what one writes, from its end.
const SAID_MAX: usize = 4 * 1024 * 1024;

/// What is written when nobody is left who could write.
const LINGER: Duration = Duration::from_secs(1);

/// In the environment of all that is started, so that what leaves its group is found.
const MARK: &str = "PLIMSOLL_CHECK";

/// What a program ended with, and what it said.
pub(super) struct Heard {
    pub status: ExitStatus,
    pub out: Vec<u8>,
    /// Together with `out` where nobody wants it alone.
    pub errors: Vec<u8>,
    /// It said more than is kept.
    pub is_cut: bool,
}

pub(super) struct Program<'a> {
    pub name: &'a str,
    pub arguments: Vec<&'a str>,
    pub input: Option<String>,
    /// Whether what is said as an error is kept apart.
    pub apart: bool,
    pub limit: Duration,
    /// Whether what it starts may leave its group; it is looked for among all processes, which takes a while.
    pub may_scatter: bool,
}

impl Program<'_> {
    /// A line of the project's.
    pub fn line(line: &str, apart: bool, limit: Duration) -> Program<'_> {
        Program { name: "sh", arguments: vec!["-c", line], input: None, apart, limit, may_scatter: true }
    }
}

/// # Errors
/// Why it could not be started, or that it took too long; as a fragment.
pub(super) async fn run(program: Program<'_>, occasion: &Occasion) -> Result<Heard, String> {
    let failed = |error: io::Error| format!("`{}` can't be started: {error}", program.name);
    let folder = tempfile::Builder::new().prefix("plimsoll-check-").tempdir().map_err(failed)?;
    let (out, out_end) = Listener::new().map_err(failed)?;
    let (errors, errors_end) =
        if program.apart { Listener::new().map_err(failed)? } else { (Listener::deaf(), out_end.try_clone().map_err(failed)?) };
    let mut command = Command::new(program.name);
    command.args(&program.arguments).current_dir(folder.path()).env_clear().envs(environment(occasion, folder.path()));
    command.stdin(if program.input.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(out_end).stderr(errors_end).process_group(0).kill_on_drop(true);
    let mut child = command.spawn().map_err(failed)?;
    // Ours are closed, so that what it says ends with it.
    drop(command);
    let group = Group { leader: child.id(), mark: program.may_scatter.then(|| format!("{MARK}={}", folder.path().display())) };
    let run = async {
        if let (Some(input), Some(mut stdin)) = (&program.input, child.stdin.take()) {
            // Whoever ends before he has read it says why by how he ends.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        child.wait().await
    };
    let ended = tokio::time::timeout(program.limit, run).await;
    group.end().await;
    let status = match ended {
        Ok(status) => status.map_err(|error| format!("how it ended can't be read: {error}"))?,
        Err(_) => return Err(format!("it took longer than {} and was ended", format_duration_ms(program.limit.as_millis() as u64))),
    };
    let ((out, out_cut), (errors, errors_cut)) = tokio::join!(out.heard(), errors.heard());
    Ok(Heard { status, out, errors, is_cut: out_cut || errors_cut })
}

/// As a job has it, with the home of whoever runs the server: what a check looks at is often known there.
fn environment(occasion: &Occasion, folder: &Path) -> Vec<(String, String)> {
    let ours = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let home = std::env::var_os("HOME").map(Into::into).unwrap_or_else(|| folder.to_path_buf());
    let mut env: Vec<(String, String)> = inherited(ours, Home::Fresh(&home)).into_iter().collect();
    let artifact = occasion.artifact.map(|digest| digest.to_string());
    for (name, value) in [
        ("PLIMSOLL_PROJECT", Some(occasion.name.clone())),
        ("PLIMSOLL_ENVIRONMENT", Some(occasion.environment.clone())),
        ("PLIMSOLL_RELEASE", occasion.release.clone()),
        ("PLIMSOLL_ARTIFACT", artifact),
        ("PLIMSOLL_COMMIT", Some(occasion.commit.clone())),
        (MARK, Some(folder.display().to_string())),
    ] {
        env.extend(value.map(|value| (name.to_string(), value)));
    }
    env
}

/// The processes of one program; they end with this.
struct Group {
    leader: Option<u32>,
    /// Nothing where nothing leaves the group, or what did has been looked for.
    mark: Option<String>,
}

impl Group {
    /// Where the look for what left the group blocks nobody.
    async fn end(mut self) {
        self.kill();
        // Its number may be somebody else's soon.
        self.leader = None;
        if let Some(mark) = self.mark.take() {
            let _ = tokio::task::spawn_blocking(move || sweep_marked(&mark)).await;
        }
    }

    fn kill(&self) {
        if let Some(group) = self.leader.and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
        if let Some(mark) = self.mark.take() {
            sweep_marked(&mark);
        }
    }
}

/// Hears one pipe out; whoever keeps it open is not waited for.
struct Listener {
    task: Option<JoinHandle<()>>,
    said: Arc<Mutex<Said>>,
}

#[derive(Default)]
struct Said {
    bytes: Vec<u8>,
    is_cut: bool,
}

impl Listener {
    fn deaf() -> Listener {
        Listener { task: None, said: Arc::default() }
    }

    fn new() -> io::Result<(Listener, OwnedFd)> {
        let (reader, writer) = io::pipe()?;
        let mut reader = pipe::Receiver::from_owned_fd(reader.into())?;
        let said: Arc<Mutex<Said>> = Arc::default();
        let kept = said.clone();
        let task = tokio::spawn(async move {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(count @ 1..) = reader.read(&mut buffer).await {
                kept.lock().unwrap_or_else(PoisonError::into_inner).keep(&buffer[..count]);
            }
        });
        Ok((Listener { task: Some(task), said }, writer.into()))
    }

    async fn heard(mut self) -> (Vec<u8>, bool) {
        if let Some(task) = &mut self.task {
            let _ = tokio::time::timeout(LINGER, task).await;
        }
        let said = std::mem::take(&mut *self.said.lock().unwrap_or_else(PoisonError::into_inner));
        (said.bytes, said.is_cut)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.as_ref().inspect(|task| task.abort());
    }
}

impl Said {
    fn keep(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > 2 * SAID_MAX {
            self.bytes.drain(..self.bytes.len() - SAID_MAX);
            self.is_cut = true;
        }
    }
}

impl Heard {
    /// The last line that says something, or how it ended.
    pub fn last_words(&self) -> String {
        let last = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(16 * 1024)..]).into_owned();
            text.lines().map(bare).rev().find(|line| !line.is_empty())
        };
        last(&self.errors).or_else(|| last(&self.out)).unwrap_or_else(|| match self.status.code() {
            Some(code) => format!("it ended with {code}"),
            None => "it was killed by a signal".to_string(),
        })
    }
}

/// A line without colours; whatever else steers a terminal goes where it is shown.
fn bare(line: &str) -> String {
    static SEQUENCE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("\\x1b\\[[0-?]*[ -/]*[@-~]").ok());
    let bare = SEQUENCE.as_ref().map_or(Cow::Borrowed(line), |sequence| sequence.replace_all(line, ""));
    bare.trim().to_string()
}
