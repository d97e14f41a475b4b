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

/// One line of `events.jsonl`. Readers skip what they don't know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// The state of one step now; the last one of a step counts.
    Step(StepSeen),
    /// From here on it is this step that speaks; steps in the background take turns.
    Log(Turn),
}

/// Who speaks, from where in its own log, and how far the one before came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Turn {
    step: Option<u32>,
    from: u64,
    before: u64,
}

/// The writing end; one per job, in its supervisor.
#[derive(Debug)]
pub struct Spool {
    dir: PathBuf,
    events: File,
    logs: BTreeMap<Option<u32>, File>,
    /// Who spoke last.
    speaking: Option<Option<u32>>,
}

impl Spool {
    pub fn open(dir: &Path) -> io::Result<Spool> {
        super::durable::create_dir(&dir.join("logs"))?;
        Ok(Spool { dir: dir.to_path_buf(), events: append_to(&events_path(dir))?, logs: BTreeMap::new(), speaking: None })
    }

    pub fn step(&mut self, step: &StepSeen) -> io::Result<()> {
        self.line(&Line::Step(step.clone()))
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
        if self.speaking != Some(step) {
            let before = self.speaking.map_or(0, |last| log_length(&self.dir, last));
            let from = log_length(&self.dir, step);
            self.line(&Line::Log(Turn { step, from, before }))?;
            self.speaking = Some(step);
        }
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
}

impl Tail {
    /// Reads what was added. Half a line at the end waits for its rest.
    pub fn read_on(&mut self, dir: &Path) -> io::Result<()> {
        let added = read_from(&events_path(dir), self.offset, u64::MAX)?;
        let whole = added.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        for line in added[..whole].split(|byte| *byte == b'\n') {
            match serde_json::from_slice(line) {
                Ok(Line::Step(step)) => drop(self.steps.insert(step.number, step)),
                Ok(Line::Log(_)) | Err(_) => {}
            }
        }
        self.offset += whole as u64;
        Ok(())
    }

    pub fn steps(&self) -> Vec<StepSeen> {
        self.steps.values().cloned().collect()
    }
}

/// At most `length` bytes of what a step said, from an offset on; empty at the end.
pub fn log(dir: &Path, step: Option<u32>, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    read_from(&log_path(dir, step), offset, length)
}

/// The same of the whole job, in the order in which it was said: what was read once stays where it was.
pub fn whole_log(dir: &Path, mut offset: u64, mut length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for (step, from, to) in turns(dir)? {
        let skipped = offset.min(to - from);
        let added = log(dir, step, from + skipped, length.min(to - from - skipped))?;
        offset -= skipped;
        length -= added.len() as u64;
        bytes.extend(added);
    }
    Ok(bytes)
}

/// Who said what, from where to where in its own log.
fn turns(dir: &Path) -> io::Result<Vec<(Option<u32>, u64, u64)>> {
    let names = std::fs::read_dir(dir.join("logs"))?.flatten().map(|entry| entry.file_name());
    let mut steps: Vec<u32> = names.filter_map(|name| name.to_str()?.strip_suffix(".log")?.parse().ok()).collect();
    steps.sort_unstable();
    // The lengths before the turns: then no byte is taken to be of a turn that ended before it was said.
    let lengths: Vec<(Option<u32>, u64)> = steps.into_iter().map(Some).chain([None]).map(|step| (step, log_length(dir, step))).collect();
    let events = read_from(&events_path(dir), 0, u64::MAX)?;
    let turns = events.split(|byte| *byte == b'\n').filter_map(|line| match serde_json::from_slice(line) {
        Ok(Line::Log(turn)) => Some(turn),
        _ => None,
    });
    let turns: Vec<Turn> = turns.collect();
    if turns.is_empty() {
        // Of a supervisor that didn't write turns yet: its steps ran one after another.
        return Ok(lengths.into_iter().map(|(step, length)| (step, 0, length)).collect());
    }
    let length = |step| lengths.iter().find(|(known, _)| *known == step).map_or(0, |(_, length)| *length);
    let ends = turns[1..].iter().map(|next| next.before).chain(turns.last().map(|last| length(last.step)));
    Ok(turns.iter().zip(ends).map(|(turn, end)| (turn.step, turn.from, end.max(turn.from))).collect())
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
    use super::*;

    fn step(number: u32, reason: &str) -> StepSeen {
        StepSeen { reason: Some(reason.into()), ..StepSeen::new(number, "Run make") }
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
        assert_eq!(whole_log(dir.path(), 0, 99).unwrap(), b"hello world\njob\nten\n");
        assert_eq!(whole_log(dir.path(), 6, 8).unwrap(), b"world\njo");
        assert_eq!(whole_log(dir.path(), 17, 9).unwrap(), b"en\n");
        assert_eq!(whole_log(dir.path(), 20, 9).unwrap(), b"");
    }

    #[test]
    fn steps_that_speak_in_turns_keep_their_order_and_nothing_moves() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(dir.path()).unwrap();
        let mut whole = String::new();
        let mut read = Vec::new();
        for (step, text) in [(0, "a1 "), (1, "b1 "), (0, "a2 "), (0, "a3 "), (2, "c1 "), (1, "b2 "), (0, "a4 ")] {
            spool.log(Some(step), text.as_bytes()).unwrap();
            whole.push_str(text);
            read.extend(whole_log(dir.path(), read.len() as u64, 99).unwrap());
            assert_eq!(String::from_utf8_lossy(&read), whole);
        }
        assert_eq!(whole_log(dir.path(), 4, 6).unwrap(), &whole.as_bytes()[4..10]);
        assert_eq!(log(dir.path(), Some(0), 0, 99).unwrap(), b"a1 a2 a3 a4 ");
    }
}
