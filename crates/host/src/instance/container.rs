//! The container of an instance: noted before it is there, under a name that only one can have, and gone before the note is.
//!
//! ```text
//! container.json   the engine and the name; nobody may know of a container that isn't in here
//! pid              the first process in it, as the engine wrote it down
//! environment      its variables, for the engine to read and the owner alone
//! scratch/         the instance's own, `/scratch` in there
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use base::Digest;
use rollout::Container;
use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};

use super::status::Wanted;
use crate::container::{ANSWER_MAX, Engine, Holder, INSTANCE, Kind, STATE, SUPERVISOR};
use crate::supervise::durable;
use crate::supervise::process::{Process, Stat, all, descendants, sweep};

/// Where an artifact lies in its container.
const FILES: &str = "/app";
const SCRATCH: &str = "/scratch";
const NOTE: &str = "container.json";
const PID: &str = "pid";
const ENVIRONMENT: &str = "environment";
/// Both engines read their files of variables line by line, and no line that is longer.
const LINE_MAX: usize = 60 * 1024;
/// A machine that is busy with other containers may take long; an engine that takes longer hangs.
const START_MAX: Duration = Duration::from_secs(60);
/// What an engine does after a container's end takes less.
const END_MAX: Duration = Duration::from_secs(10);
/// One whose container was removed ends by itself within this.
const KEEPER_MAX: Duration = Duration::from_secs(3);
/// Past it it is worth a word.
const SLOW: Duration = Duration::from_secs(5);

/// What was made, or is about to be.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Note {
    engine: Engine,
    name: String,
    /// Once it runs.
    main: Option<Process>,
}

/// The container as its supervisor holds it.
#[derive(Debug)]
pub(super) struct Inside {
    dir: std::path::PathBuf,
    note: Note,
    begun: Instant,
    /// Since when nothing runs in it.
    over: Option<Instant>,
}

impl Inside {
    /// Notes it; the command makes and starts it, and ends when it does.
    pub(super) fn new(wanted: &Wanted, container: &Container, dir: &Path, port: u16) -> io::Result<(Inside, Command)> {
        let engine = wanted.engine.clone().ok_or_else(|| io::Error::other("it isn't known which engine makes its container"))?;
        if [dir, &wanted.files].iter().any(|path| path.as_os_str().as_encoded_bytes().contains(&b',')) {
            return Err(io::Error::other(format!("no engine can mount `{}`, because of the comma in it", dir.display())));
        }
        let note = Note { name: name(dir), engine, main: None };
        let scratch = dir.join("scratch");
        durable::create_dir(&scratch)?;
        // Whoever the image says to be; the folder above is the owner's alone.
        fs::set_permissions(&scratch, fs::Permissions::from_mode(0o777))?;
        let _ = fs::remove_file(dir.join(PID));
        durable::replace(&dir.join(ENVIRONMENT), lines(&variables(wanted, container, port))?.as_bytes())?;
        write(dir, &note)?;
        let command = command(&note, wanted, container, dir, port, &Holder::own()?.name());
        Ok((Inside { dir: dir.to_path_buf(), note, begun: Instant::now(), over: None }, command))
    }

    /// Whether the engine has started it, as far as it tells.
    pub(super) fn is_started(&mut self) -> bool {
        if self.note.main.is_none() && self.tells_process() {
            let pid = fs::read_to_string(self.dir.join(PID)).ok().and_then(|pid| pid.trim().parse().ok());
            self.note.main = pid.and_then(Process::of);
            if self.note.main.is_some()
                && let Err(error) = write(&self.dir, &self.note)
            {
                tracing::warn!(%error, "the container's process can't be noted");
            }
        }
        self.note.main.is_some() || !self.tells_process()
    }

    /// Whether anything ever ran in it, as far as its engine tells that; it may be gone by now.
    pub(super) fn was_begun(&self) -> bool {
        self.note.main.is_some() || (self.tells_process() && self.dir.join(PID).exists())
    }

    /// Docker's containers are another process's, of which nobody here has the right to end any.
    pub(super) fn tells_process(&self) -> bool {
        self.note.engine.kind == Kind::Podman
    }

    /// What to say of one that isn't started yet, where that takes longer than it should.
    pub(super) fn slow(&self) -> Option<String> {
        let since = self.begun.elapsed();
        (since > SLOW)
            .then(|| format!("`{}` was asked to start the container {} s ago and has not", self.note.engine.name(), since.as_secs()))
    }

    pub(super) fn hangs(&self) -> bool {
        self.begun.elapsed() > START_MAX
    }

    /// Whether nothing runs in it any more and its engine has not told so yet; one that doesn't is waited for so long and no longer.
    pub(super) fn is_ending(&mut self) -> bool {
        let is_over = self.note.main.as_ref().is_some_and(|main| !main.lives());
        is_over && self.over.get_or_insert_with(Instant::now).elapsed() < END_MAX
    }

    /// SIGTERM to all that runs in it: the first process of a container gets no signal that it doesn't listen for.
    pub(super) async fn ask_to_end(&self) {
        let Some(main) = &self.note.main else {
            let (engine, name) = (self.note.engine.clone(), self.note.name.clone());
            let asked = move || engine.ask_within(ANSWER_MAX, ["kill", "--signal", "TERM", &name]).map(drop);
            let _ = tokio::task::spawn_blocking(asked).await;
            return;
        };
        for pid in descendants(main.pid, &all()).into_iter().filter_map(Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, Signal::TERM);
        }
        let _ = main.signal(Signal::TERM);
    }

    /// Whether nobody is left in it who could heed that: a process of the machine would have been ended by the signal.
    pub(super) fn is_deaf(&self) -> bool {
        let Some(main) = &self.note.main else { return false };
        let all = all();
        let others = descendants(main.pid, &all).into_iter().any(|pid| all.get(&pid).is_some_and(Stat::lives));
        !others && !heeds(main.pid)
    }

    pub(super) fn kill(&self) {
        if let Some(main) = &self.note.main {
            let _ = main.signal(Signal::KILL);
        }
    }

    pub(super) async fn remove(&self) -> io::Result<()> {
        removed(&self.dir).await
    }
}

/// As [`remove`], for whoever has others to listen to meanwhile.
pub(super) async fn removed(dir: &Path) -> io::Result<()> {
    let dir = dir.to_path_buf();
    tokio::task::spawn_blocking(move || remove(&dir)).await.map_err(io::Error::other)?
}

/// Ends and removes the container that is noted, whoever made it; without a note there is none.
///
/// # Errors
/// When the engine can't, or doesn't answer; its processes are ended then, and the note stays.
pub(crate) fn remove(dir: &Path) -> io::Result<()> {
    let Some(bytes) = durable::read(&dir.join(NOTE))? else { return Ok(()) };
    let note: Note = serde_json::from_slice(&bytes)?;
    if let Some(main) = &note.main {
        let _ = main.signal(Signal::KILL);
    }
    let mut words = vec!["rm", "--force", "--volumes"];
    if note.engine.kind == Kind::Podman {
        words.extend(["--time", "0", "--ignore"]);
    }
    words.push(&note.name);
    match note.engine.ask_within(ANSWER_MAX, words) {
        Err(why) if !why.to_lowercase().contains("no such container") => {
            return Err(io::Error::other(format!("the container `{}` can't be removed: {why}", note.name)));
        }
        _ => {}
    }
    end_keepers(dir);
    let _ = fs::remove_file(dir.join(PID));
    let _ = fs::remove_file(dir.join(ENVIRONMENT));
    match fs::remove_file(dir.join(NOTE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A podman that was killed while it made a container leaves what waits for it to go on, and knows nothing of that any more.
fn end_keepers(dir: &Path) {
    let pid = dir.join(PID);
    let keeps = |process: i32| {
        let line = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        words.windows(2).any(|pair| pair == [b"-p", pid.as_os_str().as_encoded_bytes()])
    };
    let keepers = |all: &BTreeMap<i32, Stat>| -> Vec<i32> {
        all.iter().filter(|(pid, stat)| stat.lives() && keeps(**pid)).map(|(pid, _)| *pid).collect()
    };
    let until = Instant::now() + KEEPER_MAX;
    while !keepers(&all()).is_empty() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(10));
    }
    sweep(|all| keepers(all).into_iter().flat_map(|keeper| descendants(keeper, all).into_iter().chain([keeper])).collect());
}

pub(super) fn is_noted(dir: &Path) -> bool {
    dir.join(NOTE).exists()
}

fn write(dir: &Path, note: &Note) -> io::Result<()> {
    durable::replace(&dir.join(NOTE), &serde_json::to_vec(note)?)
}

/// The same at every start, so that an engine refuses a second one.
fn name(dir: &Path) -> String {
    let digest = Digest::of(dir.as_os_str().as_encoded_bytes()).hex();
    format!("plimsoll-instance-{}", &digest[..16])
}

fn variables(wanted: &Wanted, container: &Container, port: u16) -> BTreeMap<String, String> {
    let mut env = wanted.plan.env.clone();
    env.extend([
        ("PORT".to_string(), container.port.unwrap_or(port).to_string()),
        ("HOST".to_string(), "0.0.0.0".to_string()),
        ("PLIMSOLL_REVISION".to_string(), wanted.plan.revision.0.clone()),
        ("PLIMSOLL_INSTANCE".to_string(), wanted.name.clone()),
    ]);
    env
}

/// As engines read them: neither through their own environment, which steers them, nor on their command line, which everybody sees.
fn lines(env: &BTreeMap<String, String>) -> io::Result<String> {
    let mut lines = String::new();
    for (name, value) in env {
        let is_name = !name.is_empty() && !name.starts_with('#') && !name.chars().any(|char| char.is_whitespace() || "=*\0".contains(char));
        let complaint = if !is_name {
            "that is no name of a variable".to_string()
        } else if value.contains(['\n', '\r', '\0']) {
            "its value has several lines, which no engine reads; write it on one, or put it into a file of the artifact".to_string()
        } else if name.len() + value.len() > LINE_MAX {
            format!("its value has {} bytes and engines read {} KiB; put it into a file of the artifact", value.len(), LINE_MAX / 1024)
        } else {
            lines.extend([name.as_str(), "=", value.as_str(), "\n"]);
            continue;
        };
        return Err(io::Error::other(format!("`{}` in `env` can't be given to a container: {complaint}", name.escape_debug())));
    }
    Ok(lines)
}

fn command(note: &Note, wanted: &Wanted, container: &Container, dir: &Path, port: u16, supervisor: &str) -> Command {
    let plan = &wanted.plan;
    let inside = container.port.unwrap_or(port);
    let bind = |from: &Path, to: &str, how: &str| format!("--mount=type=bind,source={},target={to}{how}", from.display());
    let mut words: Vec<String> = ["run", "--rm", "--pull=never", "--log-driver=none"].map(str::to_string).to_vec();
    words.push(format!("--name={}", note.name));
    words.extend([format!("--label={INSTANCE}={}", dir.display()), format!("--label={SUPERVISOR}={supervisor}")]);
    words.extend(wanted.ports.parent().map(|state| format!("--label={STATE}={}", state.display())));
    words.extend(note.engine.limits().iter().cloned());
    words.extend(["--security-opt=no-new-privileges".to_string(), format!("--publish=127.0.0.1:{port}:{inside}")]);
    words.push(bind(&dir.join("scratch"), SCRATCH, ""));
    if !container.writable {
        words.extend(["--read-only", "--tmpfs=/tmp", "--tmpfs=/run"].map(str::to_string));
    }
    if container.files {
        words.extend([bind(&wanted.files, FILES, ",readonly"), format!("--workdir={FILES}")]);
    }
    words.extend(container.user.iter().map(|user| format!("--user={user}")));
    words.extend(container.memory_bytes.iter().map(|bytes| format!("--memory={bytes}b")));
    words.extend(container.cpu_millis.iter().map(|millis| format!("--cpus={}.{:03}", millis / 1000, millis % 1000)));
    words.extend(container.processes_max.iter().map(|processes| format!("--pids-limit={processes}")));
    if note.engine.kind == Kind::Podman {
        words.push(format!("--pidfile={}", dir.join(PID).display()));
        // The machine's own, perhaps with a password.
        words.push("--http-proxy=false".to_string());
    }
    words.push(format!("--env-file={}", dir.join(ENVIRONMENT).display()));
    match plan.command.as_str() {
        "" => words.push(container.id.clone()),
        command => words.extend(["--entrypoint=sh", &container.id, "-c", command].map(str::to_string)),
    }
    note.engine.command(words)
}

/// Whether SIGTERM does anything to the first process of a container: it listens for it, or has put it off.
fn heeds(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let has = |line: &str| {
        let mask = ["SigCgt:", "SigBlk:", "SigIgn:"].iter().find_map(|name| line.strip_prefix(name));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & (1 << (Signal::TERM.as_raw() - 1)) != 0)
    };
    status.lines().any(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_lines_and_what_can_t_be_one_is_refused_by_name() {
        let told =
            |name: &str, value: &str| lines(&BTreeMap::from([(name.to_string(), value.to_string())])).map_err(|error| error.to_string());
        assert_eq!(told("QUERY", " a=b #c \"d\" $E ").as_deref(), Ok("QUERY= a=b #c \"d\" $E \n"));
        let several = told("KEY", "-----BEGIN\n-----END").unwrap_err();
        assert!(several.starts_with("`KEY` in `env` can't be given to a container: its value has several lines"), "{several}");
        assert!(!several.contains("BEGIN"), "no value is shown");
        assert!(told("KEY", &"x".repeat(LINE_MAX)).unwrap_err().contains("60 KiB"));
        // An engine would take its own of such a name, or all that begin so.
        for name in ["", "A*", "#A", "A B", "A=B", "A\nB"] {
            assert!(told(name, "1").unwrap_err().ends_with("that is no name of a variable"), "{name:?}");
        }
    }
}
