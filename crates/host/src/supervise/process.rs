//! Processes by a name that is never given twice: their number, when they began, and since which boot.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use rustix::process::{Pid, PidfdFlags, Signal};
use serde::{Deserialize, Serialize};

/// One process and no other: numbers are used again, so a number alone names nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub pid: i32,
    /// In clock ticks since boot, field 22 of `/proc/PID/stat`.
    pub started: u64,
    pub boot: String,
    /// Its session; all that a supervisor starts is in it, unless it leaves on purpose.
    pub session: i32,
}

impl Process {
    pub fn own() -> io::Result<Process> {
        Process::of(std::process::id().cast_signed()).ok_or_else(|| io::Error::other("/proc doesn't show this process"))
    }

    /// The living process of that number.
    pub fn of(pid: i32) -> Option<Process> {
        let stat = Stat::of(pid).filter(Stat::lives)?;
        Some(Process { pid, started: stat.started, boot: boot().to_string(), session: stat.session })
    }

    /// Whether this very process still runs; a zombie doesn't.
    pub fn lives(&self) -> bool {
        self.boot == boot() && Stat::of(self.pid).is_some_and(|stat| stat.lives() && stat.started == self.started)
    }

    /// Sends a signal to this very process; `false` when it is gone.
    ///
    /// The descriptor is taken first and the start time compared after, so that no other process can take the number in between.
    pub fn signal(&self, signal: Signal) -> io::Result<bool> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(false) };
        let descriptor = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(descriptor) => descriptor,
            Err(rustix::io::Errno::SRCH) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        if !self.lives() {
            return Ok(false);
        }
        match rustix::process::pidfd_send_signal(descriptor, signal) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// What `/proc/PID/stat` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stat {
    state: char,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    pub(crate) session: i32,
    started: u64,
    /// Not so the kernel's own, and those that end.
    has_memory: bool,
}

impl Stat {
    pub(crate) fn of(pid: i32) -> Option<Stat> {
        Stat::parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The command in parentheses may hold spaces and parentheses itself, so fields are counted from its end.
    fn parse(text: &str) -> Option<Stat> {
        let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_whitespace().collect();
        Some(Stat {
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
            has_memory: *fields.get(20)? != "0",
        })
    }

    pub(crate) fn lives(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// Changes with every start of the machine.
pub fn boot() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|it| it.trim().to_string()).unwrap_or_default())
}

/// Every process there is, zombies too.
pub(crate) fn all() -> BTreeMap<i32, Stat> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, Stat::of(pid)?))).collect()
}

/// `root`'s children, their children and so on, without `root`.
pub(crate) fn descendants(root: i32, all: &BTreeMap<i32, Stat>) -> Vec<i32> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for (pid, stat) in all {
        children.entry(stat.parent).or_default().push(*pid);
    }
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(pid) = open.pop() {
        for child in children.get(&pid).into_iter().flatten() {
            found.push(*child);
            open.push(*child);
        }
    }
    found
}

/// How long what was killed may take to be gone; a process that hangs in the kernel is then left to it.
const SWEEP_MAX: Duration = Duration::from_secs(10);

/// Kills and reaps everything below this process, which has to be a subreaper: then whoever lost its parent is below it too.
pub fn sweep_descendants() {
    let own = std::process::id().cast_signed();
    let until = Instant::now() + SWEEP_MAX;
    while reap() && Instant::now() < until {
        for pid in descendants(own, &all()) {
            kill(pid);
        }
        reap();
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Kills what a supervisor left behind that died without sweeping: its session, and whatever carries its mark.
pub fn sweep_abandoned(supervisor: &Process, mark: &str) {
    let same_boot = supervisor.boot == boot();
    let own = std::process::id().cast_signed();
    sweep(|all| {
        // A session's number stays taken while it has members, so a process of that number that is alive leads a newer session.
        let session_is_ours = same_boot && all.get(&supervisor.session).is_none_or(|leader| leader.started <= supervisor.started);
        let is_left = |pid: i32, stat: &Stat| (session_is_ours && stat.session == supervisor.session) || marked(pid, mark);
        all.iter().filter(|(pid, stat)| **pid != own && stat.lives() && is_left(**pid, stat)).map(|(pid, _)| *pid).collect()
    });
}

/// Kills whatever was started with this line in its environment, until nothing of it is left.
pub(crate) fn sweep_marked(mark: &str) {
    sweep(|all| all.iter().filter(|(pid, stat)| stat.lives() && marked(**pid, mark)).map(|(pid, _)| *pid).collect());
}

/// Kills what is left among all processes, whoever's children they are, again and again until nothing is; says whether that worked.
pub(crate) fn sweep(left: impl Fn(&BTreeMap<i32, Stat>) -> Vec<i32>) -> bool {
    let until = Instant::now() + SWEEP_MAX;
    loop {
        let left = left(&all());
        if left.is_empty() || Instant::now() > until {
            return left.is_empty();
        }
        left.into_iter().for_each(kill);
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether the process was started with this line in its environment.
fn marked(pid: i32, mark: &str) -> bool {
    environment(pid).split(|byte| *byte == 0).any(|line| line == mark.as_bytes())
}

/// How long a process may take to become another program.
const EXEC_MAX: Duration = Duration::from_secs(1);

/// What a process was started with, as `environ` of proc(5). It is empty for the moment in which the process becomes another program, and
/// so is its command line (`mm->env_end` isn't set yet): that moment is waited for, or whoever is in it would be overlooked.
pub(crate) fn environment(pid: i32) -> Vec<u8> {
    let read = |file: &str| read_at_once(&format!("/proc/{pid}/{file}")).unwrap_or_default();
    let until = Instant::now() + EXEC_MAX;
    let mut bare = 0;
    loop {
        let environment = read("environ");
        // One that has a command line each time has none.
        if !environment.is_empty() || bare == 3 || Instant::now() > until {
            return environment;
        }
        if read("cmdline").is_empty() {
            if !Stat::of(pid).is_some_and(|stat| stat.lives() && stat.has_memory) {
                return environment;
            }
            std::thread::sleep(Duration::from_micros(200));
        } else {
            bare += 1;
        }
    }
}

fn kill(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}

/// In one call, for between two the file ends where the process became another program.
fn read_at_once(path: &str) -> io::Result<Vec<u8>> {
    let file = std::fs::File::open(path)?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = file.read_at(&mut buffer, 0)?;
        if read < buffer.len() {
            buffer.truncate(read);
            return Ok(buffer);
        }
        buffer.resize(4 * buffer.len(), 0);
    }
}

/// Takes away children that ended, all but one that somebody else waits for.
pub(crate) fn reap_children_except(kept: i32) {
    let own = std::process::id().cast_signed();
    for (pid, stat) in all() {
        if stat.parent == own && pid != kept && !stat.lives() {
            let _ = waitpid(nix::unistd::Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
        }
    }
}

/// Takes every ended child away; `false` when there is no child at all.
pub(crate) fn reap() -> bool {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => return true,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_parentheses_does_not_hide_the_fields() {
        let text = "42 (a) b (c)) S 1 42 40 0 -1 4194560 100 0 0 0 0 0 0 0 20 0 1 0 123456 1000 10 18446744073709551615";
        assert_eq!(Stat::parse(text), Some(Stat { state: 'S', parent: 1, group: 42, session: 40, started: 123_456, has_memory: true }));
        assert_eq!(Stat::parse("42 (half) S 1"), None);
    }

    #[test]
    fn a_process_is_alive_under_its_own_start_time_and_boot_only() {
        let own = Process::own().unwrap();
        assert!(own.lives());
        assert!(!Process { started: own.started + 1, ..own.clone() }.lives());
        assert!(!Process { boot: "another".into(), ..own.clone() }.lives());
        assert!(!Process { started: own.started + 1, ..own }.signal(Signal::KILL).unwrap());
    }

    /// Of what becomes another program all the time every thirtieth look found an empty environment.
    #[test]
    fn whoever_is_becoming_another_program_is_not_overlooked() {
        let again = "exec sh -c \"$0\" \"$0\"";
        let mut child = std::process::Command::new("sh").args(["-c", again, again]).env("MARKED", "so").spawn().unwrap();
        let pid = child.id().cast_signed();
        let overlooked = (0..10_000).filter(|_| !marked(pid, "MARKED=so")).count();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(overlooked, 0);
        assert!(!marked(pid, "MARKED=so"));
    }

    #[test]
    fn who_was_started_with_nothing_has_nothing() {
        let mut child = std::process::Command::new("sleep").arg("600").env_clear().spawn().unwrap();
        assert_eq!(environment(child.id().cast_signed()), b"");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
