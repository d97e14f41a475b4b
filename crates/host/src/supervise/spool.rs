//! What a job leaves while it runs: the states of its steps, one a line, and what the steps said.
//!
//! A supervisor appends, any number of others read; a line counts once its end is there.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use workflow::job::StepSeen;
use workflow::job::command::Annotation;

/// One line of `events.jsonl`. Readers skip what they don't know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// The state of one step now; the last one of a step counts.
    Step(StepSeen),
    Annotation {
        step: u32,
        annotation: Annotation,
    },
}

/// The writing end; one per job, in its supervisor.
#[derive(Debug)]
pub struct Spool {
    dir: PathBuf,
    events: File,
    logs: BTreeMap<Option<u32>, File>,
}

impl Spool {
    pub fn open(dir: &Path) -> io::Result<Spool> {
        super::durable::create_dir(&dir.join("logs"))?;
        Ok(Spool { dir: dir.to_path_buf(), events: append_to(&events_path(dir))?, logs: BTreeMap::new() })
    }

    pub fn step(&mut self, step: &StepSeen) -> io::Result<()> {
        self.line(&Line::Step(step.clone()))
    }

    pub fn annotation(&mut self, step: u32, annotation: &Annotation) -> io::Result<()> {
        self.line(&Line::Annotation { step, annotation: annotation.clone() })
    }

    /// What a step summed up, in Markdown; beside the logs as `NUMBER.md`.
    pub fn summary(&mut self, step: u32, text: &str) -> io::Result<()> {
        append_to(&self.dir.join(format!("logs/{step}.md")))?.write_all(text.as_bytes())
    }

    fn line(&mut self, line: &Line) -> io::Result<()> {
        let mut line = serde_json::to_vec(line).expect("a line is plain data and becomes JSON");
        line.push(b'\n');
        self.events.write_all(&line)
    }

    /// Appends to what a step said, or without a number to what the job said outside its steps. Masked by the caller.
    pub fn log(&mut self, step: Option<u32>, bytes: &[u8]) -> io::Result<()> {
        match self.logs.entry(step) {
            Entry::Occupied(file) => file.into_mut(),
            Entry::Vacant(place) => place.insert(append_to(&log_path(&self.dir, step))?),
        }
        .write_all(bytes)
    }

    /// Everything written so far is on the disk when this returns. Called where a job begins and ends.
    pub fn sync(&mut self) -> io::Result<()> {
        self.logs.values().try_for_each(File::sync_data)?;
        self.events.sync_data()
    }
}

/// A reader that remembers how far it came, so that looking again costs only what is new.
#[derive(Debug, Default)]
pub struct Tail {
    offset: u64,
    steps: BTreeMap<u32, StepSeen>,
    annotations: Vec<(u32, Annotation)>,
}

impl Tail {
    /// Reads what was added. Half a line at the end waits for its rest.
    pub fn read_on(&mut self, dir: &Path) -> io::Result<()> {
        let added = read_from(&events_path(dir), self.offset, u64::MAX)?;
        let whole = added.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        for line in added[..whole].split(|byte| *byte == b'\n') {
            match serde_json::from_slice(line) {
                Ok(Line::Step(step)) => drop(self.steps.insert(step.number, step)),
                Ok(Line::Annotation { step, annotation }) => self.annotations.push((step, annotation)),
                Err(_) => {}
            }
        }
        self.offset += whole as u64;
        Ok(())
    }

    /// Each with its step, in order.
    pub fn annotations(&self) -> &[(u32, Annotation)] {
        &self.annotations
    }

    pub fn steps(&self) -> Vec<StepSeen> {
        self.steps.values().cloned().collect()
    }
}

/// At most `length` bytes of what a step said, from an offset on; empty at the end.
pub fn log(dir: &Path, step: Option<u32>, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    read_from(&log_path(dir, step), offset, length)
}

/// The same of the whole job: what its steps said in their order, then what it said outside them. Steps run one after another, so what
/// was read once stays where it was.
pub fn whole_log(dir: &Path, mut offset: u64, mut length: u64) -> io::Result<Vec<u8>> {
    let names = std::fs::read_dir(dir.join("logs"))?.flatten().map(|entry| entry.file_name());
    let mut steps: Vec<u32> = names.filter_map(|name| name.to_str()?.strip_suffix(".log")?.parse().ok()).collect();
    steps.sort_unstable();
    let mut bytes = Vec::new();
    for step in steps.into_iter().map(Some).chain([None]) {
        let added = log(dir, step, offset, length)?;
        offset = offset.saturating_sub(log_length(dir, step));
        length -= added.len() as u64;
        bytes.extend(added);
    }
    Ok(bytes)
}

/// How many bytes a step said so far.
pub fn log_length(dir: &Path, step: Option<u32>) -> u64 {
    std::fs::metadata(log_path(dir, step)).map_or(0, |it| it.len())
}

fn read_from(path: &Path, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

fn events_path(dir: &Path) -> PathBuf {
    dir.join("events.jsonl")
}

fn log_path(dir: &Path, step: Option<u32>) -> PathBuf {
    match step {
        Some(number) => dir.join(format!("logs/{number}.log")),
        None => dir.join("logs/job.log"),
    }
}

#[cfg(test)]
mod tests {
    use workflow::job::StepState;

    use super::*;

    fn step(number: u32, reason: &str) -> StepSeen {
        StepSeen { number, name: "Run make".into(), state: StepState::Running, started: None, finished: None, reason: Some(reason.into()) }
    }

    #[test]
    fn a_reader_sees_whole_lines_and_the_last_word_on_each_step() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(dir.path()).unwrap();
        let mut tail = Tail::default();
        spool.step(&step(1, "a")).unwrap();
        spool.step(&step(0, "b")).unwrap();
        spool.events.write_all(br#"{"unknown":1}"#).unwrap();
        tail.read_on(dir.path()).unwrap();
        assert_eq!(tail.steps(), [step(0, "b"), step(1, "a")]);
        spool.events.write_all(b"\n").unwrap();
        spool.step(&step(1, "c")).unwrap();
        tail.read_on(dir.path()).unwrap();
        assert_eq!(tail.steps(), [step(0, "b"), step(1, "c")]);
    }

    #[test]
    fn logs_are_read_from_any_place() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(dir.path()).unwrap();
        spool.log(Some(3), b"hello ").unwrap();
        spool.log(Some(3), b"world\n").unwrap();
        spool.log(None, b"job\n").unwrap();
        assert_eq!(log(dir.path(), Some(3), 4, 5).unwrap(), b"o wor");
        assert_eq!(log(dir.path(), None, 0, 99).unwrap(), b"job\n");
        assert_eq!(log(dir.path(), Some(4), 0, 99).unwrap(), b"");
        assert_eq!(log_length(dir.path(), Some(3)), 12);
        spool.log(Some(10), b"ten\n").unwrap();
        assert_eq!(whole_log(dir.path(), 0, 99).unwrap(), b"hello world\nten\njob\n");
        assert_eq!(whole_log(dir.path(), 6, 8).unwrap(), b"world\nte");
        assert_eq!(whole_log(dir.path(), 17, 9).unwrap(), b"ob\n");
        assert_eq!(whole_log(dir.path(), 20, 9).unwrap(), b"");
    }
}
