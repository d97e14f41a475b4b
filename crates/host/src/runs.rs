//! What runs without a server leave on this machine: their record for ever, their files for a while.
//!
//! ```text
//! STATE/runs/PROJECT/
//!   last                     the number of the newest
//!   counts/FILE              how often a workflow's file has run
//!   cache/ tools/            what jobs keep from run to run
//!   concurrency.json         who is in a concurrency group, and lives
//!   7/asked.json             the plan, the sources, who asked and when
//!   7/lock                   held while an attempt runs
//!   7/summary.json           as a list shows it
//!   7/attempts/1.jsonl       what happened in an attempt, a fact a line
//!   7/jobs/KEY-1/            workspace, temp and marks of a job that did not succeed
//!   7/artifacts/             what its jobs left for each other
//!   7/snapshot.tar           the working tree, where that was the source
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};

use base::Timestamp;
use base::name::RunId;
use engine::world::CodeSource;
use record::{NewFact, Payload};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use workflow::job::{Conclusion, JobId, Mark};
use workflow::plan::Plan;
use workflow::run::Event;

use crate::concurrency::Groups;
use crate::dirs::{Dirs, file_name};
use crate::rooms::Rooms;

/// So many runs of a project keep their files; what is older keeps its record alone.
pub const FILES_KEPT: u64 = 10;

/// The runs of one project.
#[derive(Debug, Clone)]
pub struct Runs {
    folder: PathBuf,
}

/// What was asked, and of what. Secrets are in none of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    pub v: u32,
    pub plan: Plan,
    pub source: CodeSource,
    /// The project's folder.
    pub folder: String,
    pub by: String,
    pub at: Timestamp,
    /// The variables for every step.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// The names of the secrets it was given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// Whether a variable, an input or the event held a secret, which isn't kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withheld: bool,
    /// Workflows that the same event did not run, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_run: Vec<NotRun>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotRun {
    pub path: String,
    pub reason: String,
}

/// One time that a run was gone through, from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub number: u32,
    pub by: String,
    pub at: Timestamp,
    pub again: Again,
    /// Legs whose outcome was taken from an earlier attempt, and from which.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reused: BTreeMap<String, u32>,
}

/// What an attempt goes through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Again {
    /// All jobs.
    All,
    /// Those that didn't succeed, and all that need them.
    Failed,
    /// One, and all that need it.
    Job { job: String },
    /// One from a step on, and all that need it.
    Step { job: String, step: String },
}

/// The last lines of a step that didn't succeed; masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepLog {
    pub at: Timestamp,
    pub id: JobId,
    pub step: u32,
    pub text: String,
}

/// A tool that a job was set up with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    pub at: Timestamp,
    pub id: JobId,
    pub name: String,
    pub version: String,
}

/// What happened in an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Happened {
    Begun(Attempt),
    Run(Event),
    Log(StepLog),
    Tool(Tool),
}

/// A run as a list shows it; a reading of its facts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub number: u64,
    pub run: RunId,
    pub workflow: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    pub event: String,
    pub git_ref: String,
    pub sha: String,
    /// The working tree as it was, not the commit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dirty: bool,
    /// How many there are.
    pub attempts: u32,
    /// Nothing while an attempt runs, and where one never came to its end.
    pub conclusion: Option<Conclusion>,
    pub started: Timestamp,
    pub finished: Option<Timestamp>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("run-{0} is under way")]
    UnderWay(u64),
    #[error("`{}` can't be {doing}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("`{}` can't be understood", path.display())]
    Unreadable { path: PathBuf, source: serde_json::Error },
    #[error("`{}` holds a fact of a kind that isn't known: {kind}", path.display())]
    Unknown { path: PathBuf, kind: String },
}

const GROUPS: &str = "concurrency.json";

impl Runs {
    pub fn of(dirs: &Dirs, project: &str) -> Runs {
        Runs { folder: dirs.state().join("runs").join(file_name(project)) }
    }

    /// In a folder of one's own, where there is no state directory.
    pub fn at(folder: &Path) -> Runs {
        Runs { folder: folder.to_path_buf() }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Who of the project's runs and releases waits for whom.
    pub fn groups(&self) -> Groups {
        Groups::at(&self.folder.join(GROUPS))
    }

    /// A number of its own for a new run, which is held from here on.
    pub fn begin(&self) -> Result<Held, Error> {
        fs::create_dir_all(&self.folder).map_err(failed("made", &self.folder))?;
        let mut number = self.last();
        let folder = loop {
            number += 1;
            let folder = self.folder.join(number.to_string());
            match fs::create_dir(&folder) {
                Ok(()) => break folder,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed("made", &folder)(error)),
            }
        };
        let last = self.folder.join("last");
        write_last(&last, number).map_err(failed("written", &last))?;
        if let Some(old) = number.checked_sub(FILES_KEPT) {
            self.clear(old);
        }
        Kept { number, folder }.hold()
    }

    /// How often a workflow's file has run here, with this time. Whoever asks at the same time gets another number.
    ///
    /// # Errors
    /// When it can't be kept.
    pub fn count(&self, workflow: &str) -> Result<u64, Error> {
        let folder = self.folder.join("counts");
        let path = folder.join(file_name(workflow));
        let counted = || {
            fs::create_dir_all(&folder)?;
            let mut file = File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
            file.lock()?;
            let mut text = String::new();
            file.read_to_string(&mut text)?;
            let number = text.trim().parse().unwrap_or_else(|_| self.counted_before(workflow)) + 1;
            file.rewind()?;
            write!(file, "{number}")?;
            Ok(number)
        };
        counted().map_err(failed("written", &path))
    }

    /// The number of its newest run from before files were counted.
    fn counted_before(&self, workflow: &str) -> u64 {
        let plans = self.all().into_iter().filter_map(|kept| Some(kept.asked().ok()?.plan));
        let newest = plans.into_iter().find(|plan| plan.workflow.path == workflow);
        newest.and_then(|plan| plan.github["run_number"].as_str()?.parse().ok()).unwrap_or(0)
    }

    pub fn get(&self, number: u64) -> Option<Kept> {
        let folder = self.folder.join(number.to_string());
        folder.join("asked.json").is_file().then_some(Kept { number, folder })
    }

    /// Newest first.
    pub fn all(&self) -> Vec<Kept> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut numbers: Vec<u64> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        numbers.sort_unstable_by(|left, right| right.cmp(left));
        numbers.into_iter().filter_map(|number| self.get(number)).collect()
    }

    /// Removes the files of a run that is older than those that keep theirs.
    pub fn clear(&self, number: u64) {
        if number + FILES_KEPT > self.last() {
            return;
        }
        if let Some(Ok(held)) = self.get(number).map(Kept::hold) {
            held.kept.clear();
        }
    }

    fn last(&self) -> u64 {
        fs::read_to_string(self.folder.join("last")).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }
}

/// A run that is on record.
#[derive(Debug, Clone)]
pub struct Kept {
    pub number: u64,
    folder: PathBuf,
}

/// A run that nobody else goes through at the same time.
#[derive(Debug)]
pub struct Held {
    pub kept: Kept,
    _lock: File,
    /// Shared by the runs of the project.
    rooms: Rooms,
}

impl Kept {
    pub fn hold(self) -> Result<Held, Error> {
        let path = self.folder.join("lock");
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed("opened", &path))?;
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                let rooms = Rooms::below(self.folder.with_file_name("rooms"));
                Ok(Held { kept: self, _lock: file, rooms })
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::UnderWay(self.number)),
            Err(error) => Err(failed("locked", &path)(error.into())),
        }
    }

    pub fn is_under_way(&self) -> bool {
        matches!(self.clone().hold(), Err(Error::UnderWay(_)))
    }

    pub fn asked(&self) -> Result<Asked, Error> {
        read(&self.folder.join("asked.json"))
    }

    pub fn summary(&self) -> Result<Summary, Error> {
        read(&self.folder.join("summary.json"))
    }

    /// How many attempts came to an end, or to a record.
    pub fn attempts(&self) -> u32 {
        let entries = fs::read_dir(self.folder.join("attempts")).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".jsonl")?.parse().ok()).max().unwrap_or(0)
    }

    pub fn happened(&self, attempt: u32) -> Result<Vec<Happened>, Error> {
        let path = self.attempt_file(attempt);
        let text = fs::read_to_string(&path).map_err(failed("read", &path))?;
        text.lines().map(|line| Happened::of(line, &path)).collect()
    }

    fn attempt_file(&self, attempt: u32) -> PathBuf {
        self.folder.join("attempts").join(format!("{attempt}.jsonl"))
    }

    /// A job's own place; the same in every attempt, so that paths which its steps wrote down stay true.
    pub fn job(&self, id: &JobId) -> PathBuf {
        self.folder.join("jobs").join(format!("{}-{}", file_name(&id.key), id.attempt))
    }

    /// The tries of a leg that have left something, in order.
    pub fn tries(&self, key: &str) -> Vec<u32> {
        let prefix = format!("{}-", file_name(key));
        let entries = fs::read_dir(self.folder.join("jobs")).into_iter().flatten().flatten();
        let mut tries: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.strip_prefix(&prefix)?.parse().ok()).collect();
        tries.sort_unstable();
        tries
    }

    pub fn workspace(&self, id: &JobId) -> PathBuf {
        self.job(id).join("workspace")
    }

    pub fn temp(&self, id: &JobId) -> PathBuf {
        self.job(id).join("temp")
    }

    pub fn artifacts(&self) -> PathBuf {
        self.folder.join("artifacts")
    }

    /// Shared by the runs of the project.
    pub fn cache(&self) -> PathBuf {
        self.folder.with_file_name("cache")
    }

    /// Shared by the runs of the project.
    pub fn tools(&self) -> PathBuf {
        self.folder.with_file_name("tools")
    }

    /// Who of the project's runs waits for whom.
    pub fn groups(&self) -> Groups {
        Groups::at(&self.folder.with_file_name(GROUPS))
    }

    pub fn snapshot(&self) -> PathBuf {
        self.folder.join("snapshot.tar")
    }

    /// Whether its files are gone, because enough newer runs have theirs.
    pub fn is_cleared(&self) -> bool {
        self.folder.join("cleared").exists()
    }

    /// Where the job stood before each of its steps; nothing when its workspace is gone.
    pub fn marks(&self, id: &JobId) -> Result<Option<Vec<Mark>>, Error> {
        let path = self.job(id).join("marks.json");
        if !path.is_file() || !self.workspace(id).is_dir() {
            return Ok(None);
        }
        read(&path).map(Some)
    }

    fn clear(&self) {
        let _ = fs::remove_dir_all(self.folder.join("artifacts"));
        // The folder itself is empty nearly always: it stays.
        for job in fs::read_dir(self.folder.join("jobs")).into_iter().flatten().flatten() {
            let _ = fs::remove_dir_all(job.path());
        }
        let _ = fs::remove_file(self.snapshot());
        let _ = fs::write(self.folder.join("cleared"), "");
    }
}

impl Held {
    /// Another attempt begins, with what the earlier ones left for their jobs.
    pub fn begin_again(&self) -> Result<(), Error> {
        let artifacts = self.kept.artifacts();
        crate::job::artifacts::Store { artifacts: &artifacts }.begin_again().map_err(failed("made ready", &artifacts))
    }

    pub fn write_asked(&self, asked: &Asked) -> Result<(), Error> {
        write(&self.kept.folder.join("asked.json"), asked)
    }

    pub fn write_summary(&self, summary: &Summary) -> Result<(), Error> {
        write(&self.kept.folder.join("summary.json"), summary)
    }

    /// All of an attempt, once and at its end.
    pub fn write_attempt(&self, attempt: u32, happened: &[Happened]) -> Result<(), Error> {
        let path = self.kept.attempt_file(attempt);
        let folder = self.kept.folder.join("attempts");
        fs::create_dir_all(&folder).map_err(failed("made", &folder))?;
        let mut text = String::new();
        for it in happened {
            text.push_str(&it.line());
            text.push('\n');
        }
        let new = path.with_extension("new");
        fs::write(&new, text).and_then(|()| fs::rename(&new, &path)).map_err(failed("written", &path))
    }

    pub fn write_marks(&self, id: &JobId, marks: &[Mark]) -> Result<(), Error> {
        write(&self.kept.job(id).join("marks.json"), &marks)
    }

    pub fn write_snapshot(&self, bytes: &[u8]) -> Result<(), Error> {
        let path = self.kept.snapshot();
        fs::write(&path, bytes).map_err(failed("written", &path))
    }

    /// A leg begins anew: whatever its tries left is removed.
    pub fn remove_leg(&self, id: &JobId) {
        for attempt in self.kept.tries(&id.key) {
            self.remove_job(&JobId { attempt, ..id.clone() });
        }
    }

    /// A folder for a job that begins, before it makes one itself.
    pub fn make_room(&self, id: &JobId) {
        self.rooms.enter(&self.kept.job(id));
    }

    /// Removes what a job left, because nobody will want it.
    pub fn remove_job(&self, id: &JobId) {
        let job = self.kept.job(id);
        let name = format!("{}-{}-{}", self.kept.number, file_name(&id.key), id.attempt);
        if job.exists() && !self.rooms.leave(&job, &name) {
            let _ = fs::remove_dir_all(job);
        }
    }
}

impl Happened {
    /// As a line of the record.
    pub fn line(&self) -> String {
        serde_json::to_string(&self.fact()).expect("facts have string keys and finite numbers")
    }

    fn fact(&self) -> NewFact {
        let (kind, at, payload) = match self {
            Happened::Begun(attempt) => ("attempt.begun".to_string(), attempt.at, Payload::of(attempt)),
            Happened::Run(event) => (format!("run.{}", event.kind().replace('_', "-")), event.at(), Payload::of(event)),
            Happened::Log(log) => ("step.log".to_string(), log.at, Payload::of(log)),
            Happened::Tool(tool) => ("job.tool".to_string(), tool.at, Payload::of(tool)),
        };
        NewFact { kind, v: 1, at, payload }
    }

    fn of(line: &str, path: &Path) -> Result<Happened, Error> {
        let unreadable = |source| Error::Unreadable { path: path.to_path_buf(), source };
        let fact: NewFact = serde_json::from_str(line).map_err(unreadable)?;
        let text = fact.payload.text();
        match fact.kind.as_str() {
            "attempt.begun" => serde_json::from_str(text).map(Happened::Begun).map_err(unreadable),
            "step.log" => serde_json::from_str(text).map(Happened::Log).map_err(unreadable),
            "job.tool" => serde_json::from_str(text).map(Happened::Tool).map_err(unreadable),
            kind if kind.starts_with("run.") => serde_json::from_str(text).map(Happened::Run).map_err(unreadable),
            kind => Err(Error::Unknown { path: path.to_path_buf(), kind: kind.to_string() }),
        }
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let bytes = fs::read(path).map_err(failed("read", path))?;
    serde_json::from_slice(&bytes).map_err(|source| Error::Unreadable { path: path.to_path_buf(), source })
}

/// Over the number before, which is as long: a file that is cut first costs more.
fn write_last(path: &Path, number: u64) -> io::Result<()> {
    const DIGITS_MAX: usize = 20;
    let mut file = File::options().create(true).truncate(false).write(true).open(path)?;
    file.write_all(format!("{number:<DIGITS_MAX$}").as_bytes())
}

/// Under another name first, so that nobody reads half of it.
fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), Error> {
    let bytes = serde_json::to_vec(value).expect("records have string keys and finite numbers");
    let new = path.with_extension("new");
    fs::write(&new, bytes).and_then(|()| fs::rename(&new, path)).map_err(failed("written", path))
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_path_buf();
    move |source| Error::Io { doing, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(state: &Path) -> Runs {
        Runs { folder: state.join("runs/p") }
    }

    #[test]
    fn numbers_go_up_and_a_run_is_held_by_one() {
        let state = tempfile::tempdir().unwrap();
        let runs = runs(state.path());
        let first = runs.begin().unwrap();
        assert_eq!((first.kept.number, runs.begin().unwrap().kept.number), (1, 2));
        assert!(runs.all().is_empty(), "nothing was asked of them");
        fs::write(first.kept.folder.join("asked.json"), "{}").unwrap();
        let kept = runs.get(1).unwrap();
        assert!(kept.is_under_way());
        assert!(matches!(kept.clone().hold(), Err(Error::UnderWay(1))));
        drop(first);
        assert!(!kept.is_under_way());
        // A number that somebody took without noting it is taken all the same.
        fs::create_dir(runs.folder.join("3")).unwrap();
        assert_eq!(runs.begin().unwrap().kept.number, 4);
    }

    #[test]
    fn files_of_old_runs_go_and_their_record_stays() {
        let state = tempfile::tempdir().unwrap();
        let runs = runs(state.path());
        for number in 1..=FILES_KEPT + 2 {
            let held = runs.begin().unwrap();
            assert_eq!(held.kept.number, number);
            fs::write(held.kept.folder.join("asked.json"), "{}").unwrap();
            fs::create_dir_all(held.kept.artifacts()).unwrap();
            held.write_attempt(1, &[]).unwrap();
        }
        let has_files: Vec<u64> = runs.all().iter().filter(|kept| kept.artifacts().is_dir()).map(|kept| kept.number).collect();
        assert_eq!(has_files, (3..=FILES_KEPT + 2).rev().collect::<Vec<_>>());
        let oldest = runs.get(1).unwrap();
        assert!(oldest.is_cleared() && oldest.attempts() == 1);
        runs.clear(FILES_KEPT);
        assert!(runs.get(FILES_KEPT).unwrap().artifacts().is_dir(), "it isn't old");
    }

    #[test]
    fn what_happened_is_read_as_it_was_written() {
        let state = tempfile::tempdir().unwrap();
        let held = runs(state.path()).begin().unwrap();
        let at = Timestamp::from_ms(5);
        let id = JobId { run: RunId::new(at, 1), key: "a/b".into(), attempt: 1 };
        let begun = Attempt { number: 2, by: "ada".into(), at, again: Again::Failed, reused: BTreeMap::from([("a".into(), 1)]) };
        let happened = vec![
            Happened::Begun(begun),
            Happened::Run(Event::RunStarted { at }),
            Happened::Log(StepLog { at, id: id.clone(), step: 3, text: "no\n".into() }),
            Happened::Tool(Tool { at, id: id.clone(), name: "node".into(), version: "20.1.0".into() }),
        ];
        held.write_attempt(2, &happened).unwrap();
        assert_eq!(held.kept.attempts(), 2);
        assert_eq!(held.kept.happened(2).unwrap(), happened);
        assert_eq!(held.kept.marks(&id).unwrap(), None);
        let unknown = NewFact { kind: "x".into(), v: 1, at, payload: Payload::of(&1) };
        fs::write(held.kept.attempt_file(3), serde_json::to_string(&unknown).unwrap()).unwrap();
        assert!(matches!(held.kept.happened(3), Err(Error::Unknown { .. })));
    }
}
