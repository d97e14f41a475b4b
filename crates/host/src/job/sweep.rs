//! Leaves no process behind.
//!
//! The process that runs a job is its children's reaper (`PR_SET_CHILD_SUBREAPER`), so whatever a step started, however it tried
//! to get away, is below us in the tree: double forks and new sessions come back to us when their parents end.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, waitid, waitpid};
use nix::unistd::Pid as NixPid;
use rustix::process::{Pid, Signal};

use crate::supervise::process::{self, sweep};

/// How long we try; what can't be killed in this time waits inside the kernel and can't be helped.
const PATIENCE: Duration = Duration::from_secs(5);

/// Names the job in the environment of all that it starts.
pub(super) const MARK: &str = "RUNNER_TRACKING_ID";

/// How many jobs run in this process. What got away without a trace can't be told to be of one or the other: the last one to
/// end takes it along, and none begins meanwhile.
static RUNNING: Mutex<usize> = Mutex::new(0);

/// Which of the processes below us belong to a job.
#[derive(Debug)]
pub(super) struct Owner {
    /// In the environment of all that a job starts, unless it takes care to drop it.
    mark: String,
    /// The process groups of the job's steps.
    groups: BTreeSet<i32>,
    /// Whether all that is below us is this job's: true in a job's own supervisor.
    alone: bool,
    ended: bool,
    /// What keeps the job's containers, and isn't of any step: these processes, and these with all below them.
    kept: (BTreeSet<i32>, BTreeSet<i32>),
}

impl Owner {
    pub(super) fn new(mark: &str, alone: bool) -> Owner {
        *running() += 1;
        // Without it only double forks that keep the mark are found; nothing else to be done where the kernel refuses.
        let _ = nix::sys::prctl::set_child_subreaper(true);
        Owner { mark: format!("{MARK}={mark}"), groups: BTreeSet::new(), alone, ended: false, kept: Default::default() }
    }

    pub(super) fn keep(&mut self, single: BTreeSet<i32>, trees: BTreeSet<i32>) {
        self.kept = (single, trees);
    }

    pub(super) fn started(&mut self, group: i32) {
        self.groups.insert(group);
    }

    /// The job is over: kills all of its processes, and what no job is known to own if no other runs; says whether that worked.
    pub(super) fn end(&mut self) -> bool {
        // Its own are its own whoever else runs; other jobs need not wait for that.
        let gone = self.kill_all_but(&BTreeSet::new(), &[]);
        let mut running = running();
        *running -= 1;
        self.ended = true;
        gone && (*running > 0 || kill_until_none(strays))
    }

    /// The job's living processes; cheap when there is no child at all.
    pub(super) fn living(&self) -> BTreeSet<i32> {
        if !has_children() {
            return BTreeSet::new();
        }
        let below = Tree::below(own_pid());
        let mut owned = BTreeSet::new();
        // Parents come before children, so that belonging is inherited.
        for (pid, parent) in &below.parents_first {
            let stat = &below.stats[pid];
            if self.alone || owned.contains(parent) || self.groups.contains(&stat.group) || self.marked(*pid) {
                owned.insert(*pid);
            }
        }
        let (single, trees) = &self.kept;
        let mut kept: BTreeSet<i32> = trees.clone();
        for (pid, parent) in below.parents_first.iter().filter(|_| !trees.is_empty()) {
            if kept.contains(parent) {
                kept.insert(*pid);
            }
        }
        owned.retain(|pid| below.stats[pid].lives && !kept.contains(pid) && !single.contains(pid) && !is_helper(*pid));
        owned
    }

    /// Kills the job's processes but for those spared and what belongs to these steps, again and again until there are none; says
    /// whether that worked.
    pub(super) fn kill_all_but(&self, spared: &BTreeSet<i32>, steps: &[(i32, usize)]) -> bool {
        kill_until_none(|| {
            let living = self.living();
            // Looked at after the living, so that what the steps have started meanwhile is among theirs.
            let theirs = self.living_of(steps);
            living.into_iter().filter(|pid| !spared.contains(pid) && !theirs.contains(pid)).collect()
        })
    }

    /// What stands in the environment of a step in the background, so that it can be told from the others.
    pub(super) fn mark_of(&self, lane: usize) -> String {
        let mark = self.mark.split_once('=').map_or("", |(_, mark)| mark);
        format!("{mark}#{lane}")
    }

    /// The living processes of these steps, by their process group and their lane.
    fn living_of(&self, steps: &[(i32, usize)]) -> BTreeSet<i32> {
        if steps.is_empty() || !has_children() {
            return BTreeSet::new();
        }
        let marks: Vec<String> =
            steps.iter().filter(|(_, lane)| *lane > 0).map(|(_, lane)| format!("{MARK}={}", self.mark_of(*lane))).collect();
        let below = Tree::below(own_pid());
        let mut owned = BTreeSet::new();
        for (pid, parent) in &below.parents_first {
            let of_group = steps.iter().any(|(group, _)| *group == below.stats[pid].group);
            if of_group || owned.contains(parent) || variable_of(*pid).is_some_and(|variable| marks.contains(&variable)) {
                owned.insert(*pid);
            }
        }
        owned
    }

    fn marked(&self, pid: i32) -> bool {
        variable_of(pid)
            .is_some_and(|variable| variable.strip_prefix(&self.mark).is_some_and(|rest| rest.is_empty() || rest.starts_with('#')))
    }
}

/// The mark in a process's environment, with its name.
fn variable_of(pid: i32) -> Option<String> {
    let environment = process::environment(pid);
    let prefix = format!("{MARK}=");
    let found = environment.split(|byte| *byte == 0).find(|variable| variable.starts_with(prefix.as_bytes()))?;
    Some(String::from_utf8_lossy(found).into_owned())
}

impl Drop for Owner {
    fn drop(&mut self) {
        if !self.ended {
            *running() -= 1;
        }
    }
}

fn running() -> std::sync::MutexGuard<'static, usize> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is below us and not in our own process group: steps are put into groups of their own, other children of ours aren't.
fn strays() -> Vec<i32> {
    if !has_children() {
        return Vec::new();
    }
    let below = Tree::below(own_pid());
    let own_group = Stat::of(own_pid()).map(|stat| stat.group);
    let stray = |stat: &Stat| stat.lives && Some(stat.group) != own_group;
    let found = below.stats.iter().filter(|(pid, stat)| stray(stat) && below.contains(**pid) && !is_helper(**pid));
    found.map(|(pid, _)| *pid).collect()
}

fn kill_until_none(left: impl Fn() -> Vec<i32>) -> bool {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = left();
        if left.is_empty() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        left.iter().for_each(|pid| kill(*pid));
        left.iter().for_each(|pid| reap(*pid, deadline));
    }
}

/// The name server and the like that an engine runs once for all of its containers, other jobs' among them.
fn is_helper(pid: i32) -> bool {
    const HELPERS: [&str; 3] = ["aardvark-dns", "catatonit", "rootlessport"];
    let Ok(program) = fs::read_link(format!("/proc/{pid}/exe")) else { return false };
    let named = program.file_name().is_some_and(|name| HELPERS.iter().any(|helper| name == *helper));
    named && program.starts_with("/usr")
}

/// What carries a mark in its environment and lives, whoever's child it is: the processes, and the groups of those that none of the
/// others has started.
#[derive(Debug, Default)]
pub(super) struct Marked {
    pub(super) pids: BTreeSet<i32>,
    pub(super) groups: BTreeSet<i32>,
}

pub(super) fn marked_with(mark: &str) -> Marked {
    let wanted = format!("{MARK}={mark}");
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let marked = pids.filter(|pid| variable_of(*pid).is_some_and(|variable| variable == wanted));
    let found: BTreeMap<i32, Stat> = marked.filter_map(|pid| Some((pid, Stat::of(pid).filter(|stat| stat.lives)?))).collect();
    let first = found.values().filter(|stat| !found.contains_key(&stat.parent));
    Marked { groups: first.map(|stat| stat.group).collect(), pids: found.keys().copied().collect() }
}

/// Ends what steps started that work below a folder and that nobody looks after any more: of a run that was killed they live on. Says
/// whether that worked.
pub fn end_all_below(folder: &Path) -> bool {
    let below = format!("{MARK}={}/", folder.display());
    let works_there = |pid: &i32| variable_of(*pid).is_some_and(|variable| variable.starts_with(&below));
    sweep(|all| {
        all.iter().filter(|(pid, stat)| works_there(pid) && stat.lives() && !is_looked_after(**pid, all)).map(|(pid, _)| *pid).collect()
    })
}

/// Whether it is one of ours, or below one that lives.
fn is_looked_after(pid: i32, all: &BTreeMap<i32, process::Stat>) -> bool {
    let program = |pid: i32| fs::read_link(format!("/proc/{pid}/exe")).ok();
    let own = program(own_pid());
    let mut above = std::iter::successors(Some(pid), |pid| all.get(pid).map(|stat| stat.parent).filter(|parent| *parent > 0));
    own.is_some() && above.any(|pid| program(pid) == own)
}

/// Reaps what ended in a process group; its living members may go on.
pub(super) fn reap_group(group: i32) {
    while matches!(waitpid(NixPid::from_raw(-group), Some(WaitPidFlag::WNOHANG)), Ok(status) if status.pid().is_some()) {}
}

fn own_pid() -> i32 {
    std::process::id().cast_signed()
}

fn has_children() -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    waitid(Id::All, flags) != Err(Errno::ECHILD)
}

fn kill(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}

/// Waits until a killed process is gone. If it isn't our child its parent, which was killed too, leaves it to us; nothing tells when,
/// so it is looked at again, soon at first.
fn reap(pid: i32, deadline: Instant) {
    let mut pause = Duration::from_micros(200);
    while Instant::now() < deadline {
        match waitpid(NixPid::from_raw(pid), Some(WaitPidFlag::WNOHANG)) {
            Ok(status) if status.pid().is_some() => return,
            Err(Errno::ECHILD) if !Stat::of(pid).is_some_and(|stat| stat.lives) => return,
            _ => std::thread::sleep(pause),
        }
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

struct Tree {
    /// Each with its parent.
    parents_first: Vec<(i32, i32)>,
    stats: BTreeMap<i32, Stat>,
}

struct Stat {
    lives: bool,
    parent: i32,
    group: i32,
}

impl Tree {
    fn below(root: i32) -> Tree {
        let pids = fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let stats: BTreeMap<i32, Stat> = pids.filter_map(|pid| Some((pid, Stat::of(pid)?))).collect();
        let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for (pid, stat) in &stats {
            children.entry(stat.parent).or_default().push(*pid);
        }
        let mut parents_first = Vec::new();
        let mut open = vec![root];
        while let Some(parent) = open.pop() {
            for child in children.get(&parent).into_iter().flatten() {
                parents_first.push((*child, parent));
                open.push(*child);
            }
        }
        Tree { parents_first, stats }
    }

    fn contains(&self, pid: i32) -> bool {
        self.parents_first.iter().any(|(below, _)| *below == pid)
    }
}

impl Stat {
    fn of(pid: i32) -> Option<Stat> {
        // All of it comes with one read, whatever its length is said to be; many processes are looked at where many jobs end.
        let mut buffer = [0; 1024];
        let count = File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut buffer).ok()?;
        Stat::read(&buffer[..count])
    }

    /// The name in parentheses may hold any bytes, so fields are counted from its end.
    fn read(stat: &[u8]) -> Option<Stat> {
        let end = stat.iter().rposition(|byte| *byte == b')')?;
        let mut fields = std::str::from_utf8(&stat[end + 1..]).ok()?.split_whitespace();
        let lives = !matches!(fields.next()?, "Z" | "X" | "x");
        Some(Stat { lives, parent: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name_is() {
        for name in [&b"sh"[..], b"a) S 1 1", b"\xff\xfe", b""] {
            let stat = Stat::read(&[b"7 (", name, b") R 3 4 5 0 -1"].concat()).unwrap();
            assert_eq!((stat.lives, stat.parent, stat.group), (true, 3, 4));
        }
        assert!(!Stat::read(b"7 (sh) Z 3 4").unwrap().lives);
        assert!(Stat::of(own_pid()).is_some_and(|stat| stat.lives));
    }
}
