//! A control group for all that one supervisor starts, where this machine lets us have one.
//!
//! The supervisor enters it itself before it starts anything, so that no child is ever outside; at the end it leaves, and what is
//! still inside is killed at once, however fast it forks. Where there is no such group everything else goes on without it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rustix::process::{Pid, Signal, kill_process};

use super::process;

/// What a job may use of the machine.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Processes and threads at the same time. Builds need hundreds; a step that forks without end is stopped here.
    pub processes: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { processes: 4096 }
    }
}

/// Where a group's directories are written down, so that others find them when the supervisor is gone.
const NOTE: &str = "cgroup";
/// How long what was killed may take to be gone.
const EMPTY_MAX: Duration = Duration::from_secs(5);

/// The groups this process has entered; one in each hierarchy that is of use.
#[derive(Debug, Default)]
pub struct Group {
    entered: Vec<Entered>,
    bounded: bool,
}

#[derive(Debug)]
struct Entered {
    directory: PathBuf,
    /// Where this process was before.
    home: PathBuf,
}

impl Group {
    /// Enters a group of that name with the whole process; whatever isn't allowed here is left out.
    pub fn enter(name: &str, limits: Limits) -> Group {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mut group = Group::default();
        for home in homes(&mounts, &own) {
            let directory = home.join(name);
            if fs::create_dir(&directory).is_err() {
                continue;
            }
            let bounded = fs::write(directory.join("pids.max"), limits.processes.to_string()).is_ok();
            if fs::write(directory.join("cgroup.procs"), std::process::id().to_string()).is_ok() {
                group.bounded |= bounded;
                group.entered.push(Entered { directory, home });
            } else {
                let _ = fs::remove_dir(&directory);
            }
        }
        if !group.bounded {
            group.bounded = bound_user(limits);
        }
        group
    }

    /// Whether the number of processes has a limit.
    pub fn is_bounded(&self) -> bool {
        self.bounded
    }

    /// Leaves, kills what is inside, and takes the groups away.
    pub fn end(&mut self) {
        for Entered { directory, home } in std::mem::take(&mut self.entered) {
            if fs::write(home.join("cgroup.procs"), std::process::id().to_string()).is_ok() {
                end(&directory, &process::reap);
            }
        }
    }

    /// Notes the groups in the supervisor's own directory.
    pub fn note(&self, dir: &Path) -> io::Result<()> {
        if self.entered.is_empty() {
            return Ok(());
        }
        let lines: Vec<String> = self.entered.iter().map(|entered| entered.directory.to_string_lossy().into_owned()).collect();
        fs::write(dir.join(NOTE), lines.join("\n"))
    }
}

/// Ends the groups of a supervisor that died without doing so.
pub fn end_abandoned(dir: &Path) {
    let note = fs::read_to_string(dir.join(NOTE)).unwrap_or_default();
    // Only ever a group of ours, whoever wrote the note.
    let ours = |path: &&Path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"plimsoll-"));
    // What is inside is nobody's child here, and other children of this process have others that wait for them.
    let groups = note.lines().map(Path::new).filter(ours).filter(|path| path.join("cgroup.procs").exists());
    groups.for_each(|group| end(group, &|| false));
}

/// A name for a group that nobody else has.
pub fn name(dir: &Path) -> String {
    let digest = base::Digest::of(dir.as_os_str().as_encoded_bytes()).hex();
    format!("plimsoll-{}", &digest[..16])
}

/// Kills all that is in the group, again and again until there is nothing, and removes it. What was killed stays in the group until it
/// is reaped.
fn end(directory: &Path, reap: &dyn Fn() -> bool) {
    let until = Instant::now() + EMPTY_MAX;
    while fs::remove_dir(directory).is_err() && directory.exists() && Instant::now() < until {
        if fs::write(directory.join("cgroup.kill"), "1").is_err() {
            let inside = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
            for pid in inside.lines().filter_map(|line| line.parse().ok()).filter_map(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        reap();
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// This process's directory in the unified hierarchy, and in that of `pids` where that is one of its own.
fn homes(mounts: &str, own: &str) -> Vec<PathBuf> {
    let path_of = |controller: &str| {
        own.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            controllers.split(',').any(|known| known == controller).then(|| path.to_string())
        })
    };
    let mut homes = Vec::new();
    for line in mounts.lines() {
        let Some((place, kind)) = line.split_once(" - ") else { continue };
        let mut kind = kind.split(' ');
        let (filesystem, options) = (kind.next().unwrap_or_default(), kind.nth(1).unwrap_or_default());
        let controller = match filesystem {
            "cgroup2" => "",
            "cgroup" if options.split(',').any(|option| option == "pids") => "pids",
            _ => continue,
        };
        let mut place = place.split(' ').skip(3);
        let (Some(root), Some(mount)) = (place.next(), place.next()) else { continue };
        let Some(path) = path_of(controller) else { continue };
        let below = if root == "/" { Some(path.as_str()) } else { path.strip_prefix(root) };
        homes.extend(below.map(|below| PathBuf::from(format!("{mount}/{}", below.trim_start_matches('/')))));
    }
    homes
}

/// The bound that is left without a group: so many more processes than the user has now, for this process and all it starts. Says
/// whether it holds; the superuser has no such bound.
pub fn bound_user(limits: Limits) -> bool {
    if nix::unistd::geteuid().is_root() {
        return false;
    }
    let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NPROC) else { return false };
    let bound = (threads_of_user() + u64::from(limits.processes)).min(hard);
    setrlimit(Resource::RLIMIT_NPROC, bound, hard).is_ok()
}

fn threads_of_user() -> u64 {
    use std::os::unix::fs::MetadataExt;
    let user = nix::unistd::geteuid().as_raw();
    let own = |entry: &fs::DirEntry| entry.metadata().is_ok_and(|metadata| metadata.uid() == user);
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten().filter(own);
    processes.map(|process| fs::read_dir(process.path().join("task")).map_or(0, |threads| threads.count() as u64)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_found_in_every_layout() {
        let both =
            "30 29 0:26 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n31 29 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let found = |mounts: &str, own: &str| {
            homes(mounts, own).iter().map(|home| home.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(found(both, "8:pids:/a\n4:memory:/b\n0::/c/d\n"), "/sys/fs/cgroup/pids/a /sys/fs/cgroup/unified/c/d");
        assert_eq!(
            found("31 29 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate", "0::/user.slice\n"),
            "/sys/fs/cgroup/user.slice"
        );
        assert_eq!(found("31 29 0:27 /docker/x /sys/fs/cgroup rw - cgroup2 cgroup2 rw", "0::/docker/x/y\n"), "/sys/fs/cgroup/y");
        assert_eq!(found("31 29 0:27 /other /sys/fs/cgroup rw - cgroup2 cgroup2 rw", "0::/docker/x\n"), "");
        assert_eq!(found("", "0::/\n"), "");
    }
}
