//! Where things are on this machine.
//!
//! ```text
//! STATE/                     $PLIMSOLL_STATE_DIR, else $XDG_STATE_HOME/plimsoll, else ~/.local/state/plimsoll
//!   record.sqlite            what happened
//!   server.key               what the server signs with: see [`crate::keys`]
//!   server.issuer            who issues tokens to jobs, with a key of its own: see [`crate::identity`]
//!   server.secrets           of projects, with the key that opens them: see [`crate::secrets`]
//!   blobs/sha256/ab/cdef…    content-addressed bytes
//!   jobs/RUN/KEY-ATTEMPT/    one job: claim, events, logs, workspace, outcome
//!   uploads/RELEASE/NAME/    what jobs of a release hand to one another
//!   releases/RELEASE/jobs/   which jobs those are
//!   caches/PROJECT/          what jobs of a project keep from run to run
//!   tools/                   what `setup-*` actions find
//!   actions/                 actions of other repositories, by commit
//!   runs/PROJECT/NUMBER/     runs without a server: see [`crate::runs`]
//!   instances/SCOPE/REV/     files, and one folder per instance
//!   ports/                   which instance has which port
//! ```

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base::Digest;
use workflow::job::JobId;

use crate::supervise::durable;

/// What Plimsoll makes in its state directory, besides files whose names begin with one of [`OWN_PREFIXES`].
const OWN: [&str; 11] = ["actions", "blobs", "caches", "instances", "jobs", "ports", "releases", "routes.json", "runs", "tools", "uploads"];
const OWN_PREFIXES: [&str; 4] = ["record.sqlite", "server.", "proxy.", ".probe."];

/// The state directory and the places in it. Made for the owner alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dirs {
    state: PathBuf,
    runtime: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("it isn't known where to keep state: neither `PLIMSOLL_STATE_DIR` nor `XDG_STATE_HOME` nor `HOME` is set")]
    Homeless,
    #[error("`{}` is not an absolute path", .0.display())]
    Relative(PathBuf),
    #[error("the state directory `{}` can't be written", .0.display())]
    NotWritable(PathBuf),
    #[error("no space is left for the state directory `{}`", .0.display())]
    Full(PathBuf),
    #[error("`{}` is there and is not a directory", .0.display())]
    NotADirectory(PathBuf),
    #[error("`{}` belongs to somebody else", .0.display())]
    Foreign(PathBuf),
    #[error("the state directory `{}` can't be used: {source}", path.display())]
    Other { path: PathBuf, source: io::Error },
}

impl Error {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Error::Full(_) => "free some space, or name a folder elsewhere with `PLIMSOLL_STATE_DIR`",
            _ => "`PLIMSOLL_STATE_DIR=/some/folder` names another one",
        }
    }
}

/// What an address of a Unix socket may hold on Linux, with its final zero.
const SOCKET_PATH_MAX: usize = 108;
/// The longest name of a socket below the runtime directory.
const SOCKET_NAME_MAX: usize = "/server.sock".len();

impl Dirs {
    /// The state directory that the environment names, made if it isn't there.
    pub fn open() -> Result<Dirs, Error> {
        Dirs::at(&locate(|name| std::env::var_os(name).filter(|value| !value.is_empty()))?)
    }

    /// The state directory that the environment names, for those who only look or remove: it need not be writable, nor have space.
    pub fn open_to_read() -> Result<Dirs, Error> {
        let state = locate(|name| std::env::var_os(name).filter(|value| !value.is_empty()))?;
        match Dirs::at(&state) {
            Err(Error::Full(_) | Error::NotWritable(_)) if state.is_dir() => Ok(Dirs { runtime: runtime_of(&state), state }),
            done => done,
        }
    }

    /// The same, as it is: whoever asks for paths alone has opened it before.
    pub fn named() -> Result<Dirs, Error> {
        let state = locate(|name| std::env::var_os(name).filter(|value| !value.is_empty()))?;
        Ok(Dirs { runtime: runtime_of(&state), state })
    }

    /// This state directory, made if it isn't there, tried whether it can be written.
    pub fn at(state: &Path) -> Result<Dirs, Error> {
        if !state.is_absolute() {
            return Err(Error::Relative(state.to_path_buf()));
        }
        create(state)?;
        fs::set_permissions(state, fs::Permissions::from_mode(0o700)).map_err(|error| explain(state, error))?;
        let probe = state.join(format!(".probe.{}", std::process::id()));
        fs::write(&probe, [0; 4096]).map_err(|error| explain(state, error))?;
        let _ = fs::remove_file(&probe);
        let dirs = Dirs { runtime: runtime_of(state), state: state.to_path_buf() };
        create(&dirs.runtime)?;
        // Below /tmp somebody else may have made it before us.
        let owner = fs::metadata(&dirs.runtime).map_err(|error| explain(&dirs.runtime, error))?.uid();
        if owner != nix::unistd::geteuid().as_raw() {
            return Err(Error::Foreign(dirs.runtime));
        }
        Ok(dirs)
    }

    /// The state directory in which this is a job's directory.
    pub(crate) fn around_job(job: &Path) -> Option<Dirs> {
        let state = job.ancestors().nth(3)?;
        Some(Dirs { runtime: runtime_of(state), state: state.to_path_buf() })
    }

    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Short enough for sockets: the state directory itself, or a place below `/tmp` when that is too deep.
    pub fn runtime(&self) -> &Path {
        &self.runtime
    }

    pub fn socket(&self) -> PathBuf {
        self.runtime.join("server.sock")
    }

    /// Entries of the state directory that Plimsoll didn't make, sorted.
    ///
    /// # Errors
    /// When it can't be listed.
    pub fn foreign(&self) -> io::Result<Vec<String>> {
        Ok(entries(&self.state)?.into_iter().filter(|name| !is_own(name)).collect())
    }

    /// Removes everything that Plimsoll has made here, and the directory where nothing else is in it. Says what else is.
    ///
    /// # Errors
    /// When something can't be removed: a process may still write there.
    pub fn remove(&self) -> io::Result<Vec<String>> {
        if !self.state.exists() {
            return Ok(Vec::new());
        }
        if self.runtime != self.state && self.runtime.exists() {
            fs::remove_dir_all(&self.runtime)?;
        }
        for name in entries(&self.state)?.into_iter().filter(|name| is_own(name)) {
            let path = self.state.join(name);
            let removed = if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            // A server that is about to end removes its own socket.
            removed.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
        }
        let rest = entries(&self.state)?;
        if rest.is_empty() {
            // A folder that is a file system of its own stays, empty.
            fs::remove_dir(&self.state).or_else(|error| if error.kind() == ErrorKind::ResourceBusy { Ok(()) } else { Err(error) })?;
        }
        Ok(rest)
    }

    /// Removes what can be made or fetched again, so that on a full disk there is space to end the rest in order.
    pub fn make_room(&self) {
        for name in ["runs", "caches", "tools", "actions", "uploads"] {
            let _ = fs::remove_dir_all(self.state.join(name));
        }
    }

    /// What happened; there is none before a server ran.
    pub fn record(&self) -> PathBuf {
        self.state.join("record.sqlite")
    }

    pub fn blobs(&self) -> PathBuf {
        self.state.join("blobs")
    }

    pub fn job(&self, id: &JobId) -> PathBuf {
        self.state.join("jobs").join(id.run.to_string()).join(format!("{}-{}", file_name(&id.key), id.attempt))
    }

    pub fn workspace(&self, id: &JobId) -> PathBuf {
        self.job(id).join("workspace")
    }

    /// One folder per upload, shared by the jobs of a release.
    pub fn uploads(&self, artifacts: &str) -> PathBuf {
        self.state.join("uploads").join(file_name(artifacts))
    }

    /// Where one upload's files lie. Names with a slash are refused where uploads are made.
    pub fn upload(&self, artifacts: &str, name: &str) -> PathBuf {
        self.uploads(artifacts).join(name.replace('/', "~2f"))
    }

    /// What was uploaded so far, sorted.
    pub fn upload_names(&self, artifacts: &str) -> io::Result<Vec<String>> {
        names(&self.uploads(artifacts))
    }

    /// Notes that a job belongs to a release, so that what it left can be found.
    pub fn note_job(&self, artifacts: &str, id: &JobId) -> io::Result<()> {
        let folder = self.jobs_folder(artifacts);
        durable::create_dir(&folder)?;
        durable::create(&folder.join(file_name(&id.to_string())), &serde_json::to_vec(id)?).map(drop)
    }

    /// The jobs of all releases, those that have ended too.
    ///
    /// # Errors
    /// When a folder or a note can't be read.
    pub fn all_jobs(&self) -> io::Result<Vec<JobId>> {
        let mut jobs = Vec::new();
        for artifacts in names(&self.state.join("releases"))? {
            jobs.extend(self.jobs_of(&artifacts)?);
        }
        Ok(jobs)
    }

    /// The jobs that were started for a release, in order.
    pub fn jobs_of(&self, artifacts: &str) -> io::Result<Vec<JobId>> {
        let folder = self.jobs_folder(artifacts);
        let mut jobs = Vec::new();
        for name in names(&folder)? {
            if let Some(bytes) = durable::read(&folder.join(name))? {
                jobs.push(serde_json::from_slice(&bytes)?);
            }
        }
        jobs.sort();
        Ok(jobs)
    }

    fn jobs_folder(&self, artifacts: &str) -> PathBuf {
        self.state.join("releases").join(file_name(artifacts)).join("jobs")
    }

    /// Shared by all jobs: tools that `setup-*` finds or keeps.
    pub fn tools(&self) -> PathBuf {
        self.state.join("tools")
    }

    /// Shared by all projects: actions of other repositories.
    pub fn actions(&self) -> PathBuf {
        self.state.join("actions")
    }

    pub fn caches(&self, project: &str) -> PathBuf {
        self.state.join("caches").join(file_name(project))
    }

    pub fn instances(&self) -> PathBuf {
        self.state.join("instances")
    }

    pub fn scope(&self, scope: &str) -> PathBuf {
        self.instances().join(file_name(scope))
    }

    pub fn ports(&self) -> PathBuf {
        self.state.join("ports")
    }
}

fn locate(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, Error> {
    let given = variable("PLIMSOLL_STATE_DIR").map(PathBuf::from);
    let xdg = || variable("XDG_STATE_HOME").map(|home| PathBuf::from(home).join("plimsoll"));
    let home = || variable("HOME").map(|home| PathBuf::from(home).join(".local/state/plimsoll"));
    given.or_else(xdg).or_else(home).ok_or(Error::Homeless)
}

/// Any text as the name of one file: odd characters are written as `~` and two digits, and long names end in a digest.
pub(crate) fn file_name(text: &str) -> String {
    let mut name = String::new();
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => name.push(char::from(byte)),
            b'.' if index > 0 => name.push('.'),
            _ => name.push_str(&format!("~{byte:02x}")),
        }
    }
    if name.len() > 120 {
        name.truncate(100);
        name.push_str(&format!("~~{}", Digest::of(text.as_bytes()).short()));
    }
    name
}

/// Everything that lies in a folder, sorted, as people read it.
fn entries(folder: &Path) -> io::Result<Vec<String>> {
    let mut names: Vec<String> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect::<io::Result<_>>()?;
    names.sort();
    Ok(names)
}

/// What lies in a folder, sorted, without what is still being made; nothing when it isn't there.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.file_name().into_string().ok().filter(|name| !name.starts_with('.')));
    }
    names.sort();
    Ok(names)
}

fn runtime_of(state: &Path) -> PathBuf {
    if state.as_os_str().len() + SOCKET_NAME_MAX < SOCKET_PATH_MAX {
        return state.to_path_buf();
    }
    let name = Digest::of(state.as_os_str().as_encoded_bytes()).short();
    PathBuf::from(format!("/tmp/plimsoll-{}-{name}", nix::unistd::geteuid()))
}

fn create(path: &Path) -> Result<(), Error> {
    durable::create_dir(path).map_err(|error| explain(path, error))
}

fn explain(path: &Path, source: io::Error) -> Error {
    let path = path.to_path_buf();
    match source.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Error::NotWritable(path),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Error::Full(path),
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => Error::NotADirectory(path),
        _ => Error::Other { path, source },
    }
}

fn is_own(name: &str) -> bool {
    OWN.contains(&name) || OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_variable_decides() {
        let variables = [("PLIMSOLL_STATE_DIR", "/p"), ("XDG_STATE_HOME", "/x"), ("HOME", "/h")];
        let expected = [Some("/p"), Some("/x/plimsoll"), Some("/h/.local/state/plimsoll"), None];
        for (unset, expected) in expected.into_iter().enumerate() {
            let set = &variables[unset..];
            let located = locate(|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value)));
            assert_eq!(located.ok(), expected.map(PathBuf::from));
        }
    }

    #[test]
    fn a_directory_that_cannot_be_used_is_named_with_what_to_do() {
        let temporary = tempfile::tempdir().unwrap();
        let file = temporary.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(Dirs::at(&file), Err(Error::NotADirectory(_))));
        assert!(matches!(Dirs::at(&file.join("below")), Err(Error::NotADirectory(_))));
        assert!(matches!(Dirs::at(Path::new("here")), Err(Error::Relative(_))));
        let unwritable = Dirs::at(Path::new("/proc/plimsoll")).unwrap_err();
        assert!(unwritable.to_string().contains("/proc/plimsoll"), "{unwritable}");
        let full = explain(Path::new("/state"), io::Error::from(ErrorKind::StorageFull));
        assert_eq!(full.to_string(), "no space is left for the state directory `/state`");
    }

    #[test]
    fn it_is_the_owners_alone_and_its_socket_can_be_bound_however_deep_it_lies() {
        let temporary = tempfile::tempdir().unwrap();
        let deep = temporary.path().join("d".repeat(100));
        for state in [temporary.path().join("state"), deep] {
            let dirs = Dirs::at(&state).unwrap();
            assert_eq!(fs::metadata(dirs.state()).unwrap().mode() & 0o777, 0o700);
            drop(std::os::unix::net::UnixListener::bind(dirs.socket()).unwrap());
            fs::remove_file(dirs.socket()).unwrap();
            if dirs.runtime() != dirs.state() {
                fs::remove_dir(dirs.runtime()).unwrap();
            }
        }
    }

    #[test]
    fn names_of_files_are_harmless_and_differ_when_texts_differ() {
        for (text, expected) in [("test.0", "test.0"), ("../x", "~2e.~2fx"), ("", ""), ("a b", "a~20b"), ("..", "~2e.")] {
            assert_eq!(file_name(text), expected);
        }
        let (long, longer) = ("x".repeat(300), "x".repeat(301));
        assert!(file_name(&long).len() < 130 && file_name(&long) != file_name(&longer));
    }

    #[test]
    fn what_somebody_else_keeps_there_stays() {
        let temporary = tempfile::tempdir().unwrap();
        let dirs = Dirs::at(&temporary.path().join("state")).unwrap();
        fs::create_dir_all(dirs.state().join("blobs/sha256")).unwrap();
        for name in ["record.sqlite-wal", "server.log", "letter", ".hidden"] {
            fs::write(dirs.state().join(name), "x").unwrap();
        }
        assert_eq!(dirs.foreign().unwrap(), [".hidden", "letter"]);
        assert_eq!(dirs.remove().unwrap(), [".hidden", "letter"]);
        assert_eq!(entries(dirs.state()).unwrap(), [".hidden", "letter"]);
        fs::remove_file(dirs.state().join("letter")).unwrap();
        fs::remove_file(dirs.state().join(".hidden")).unwrap();
        assert_eq!(dirs.remove().unwrap(), [""; 0]);
        assert!(!dirs.state().exists());
    }
}
