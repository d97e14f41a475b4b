//! From a process's bytes to masked log chunks, with the workflow commands taken out on the way.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use base::mask::{Mask, MaskStream};
use workflow::gitlab::Coverage;
use workflow::job::command::{Annotation, Level, LogCommand};
use workflow::job::log::{LogReader, Piece};
use workflow::job::matcher::{self, Matchers, ProblemMatcher};

use super::JobSink;

/// Remarks of one kind that are kept of one output, as at GitHub; all of them stay in the log.
const ANNOTATIONS_MAX: usize = 10;
/// Characters of a remark that are kept.
const MESSAGE_CHARS_MAX: usize = 4096;
/// From this length on a token is hidden, so that a log can't be used to learn it.
const TOKEN_HIDDEN: usize = 7;
/// A file of problem matchers is a page, not a book.
const MATCHER_BYTES_MAX: u64 = 1024 * 1024;

/// What all outputs of a job have in common.
#[derive(Debug, Clone)]
pub(super) struct Around {
    /// Whether `::debug::` lines, and the commands themselves, are shown.
    pub(super) debug: bool,
    pub(super) workspace: Arc<Path>,
    /// Those that steps have added so far.
    pub(super) matchers: Vec<Arc<ProblemMatcher>>,
    /// What the log tells of coverage, where somebody wants to know.
    pub(super) coverage: Option<Coverage>,
}

/// The output of one process.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) step: u32,
    reader: LogReader,
    masked: MaskStream,
    mask: Mask,
    /// Reused, so that a chunk costs no allocation.
    buffer: Vec<u8>,
    debug: bool,
    echo: bool,
    workspace: Arc<Path>,
    matchers: Matchers,
    counts: BTreeMap<Level, usize>,
    pub(super) coverage: Option<Coverage>,
    pub(super) said: Said,
}

/// What the commands in an output ask for.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) outputs: Vec<(String, String)>,
    pub(super) state: Vec<(String, String)>,
    pub(super) masks: Vec<String>,
    pub(super) refused: Option<String>,
    pub(super) annotations: Vec<Annotation>,
    pub(super) matchers: Vec<MatcherChange>,
}

/// For the outputs after this one.
#[derive(Debug)]
pub(super) enum MatcherChange {
    Added(Vec<Arc<ProblemMatcher>>),
    Removed(String),
}

impl Around {
    pub(super) fn change(&mut self, changes: Vec<MatcherChange>) {
        for change in changes {
            self.matchers = match change {
                MatcherChange::Added(added) => matcher::added(&self.matchers, &added),
                MatcherChange::Removed(owner) => matcher::removed(&self.matchers, &owner),
            };
        }
    }
}

impl Output {
    pub(super) fn new(step: u32, mask: &Mask, around: &Around) -> Output {
        let coverage = around.coverage.clone();
        Output { matchers: Matchers::new(&around.matchers), coverage, ..Output::plain(step, mask, around.debug, around.workspace.clone()) }
    }

    fn plain(step: u32, mask: &Mask, debug: bool, workspace: Arc<Path>) -> Output {
        let (reader, masked, mask) = (LogReader::default(), mask.stream(), mask.clone());
        let (buffer, matchers, counts, said) = Default::default();
        Output { step, reader, masked, mask, buffer, debug, echo: debug, workspace, matchers, counts, coverage: None, said }
    }

    pub(super) fn push(&mut self, bytes: &[u8], sink: &mut dyn JobSink) {
        let mut reader = std::mem::take(&mut self.reader);
        reader.push(bytes, &mut |piece| self.take(piece));
        self.reader = reader;
        self.flush(sink);
    }

    /// A line of our own, after everything that came before.
    pub(super) fn line(&mut self, text: &str, sink: &mut dyn JobSink) {
        self.write(text);
        self.flush(sink);
    }

    pub(super) fn finish(&mut self, sink: &mut dyn JobSink) {
        let mut reader = std::mem::take(&mut self.reader);
        reader.finish(&mut |piece| self.take(piece));
        self.masked.finish(&mut self.buffer);
        self.flush(sink);
    }

    /// For what comes after the end of the step itself.
    pub(super) fn another(&self) -> Output {
        Output::plain(self.step, &self.mask, self.debug, self.workspace.clone())
    }

    /// Hides one more text from here on.
    pub(super) fn mask(&mut self, secret: &str) {
        self.masked.add(secret);
        self.mask.add(secret);
    }

    fn flush(&mut self, sink: &mut dyn JobSink) {
        if !self.buffer.is_empty() {
            sink.log(self.step, &self.buffer);
            self.buffer.clear();
        }
    }

    fn write(&mut self, text: &str) {
        self.masked.push(text.as_bytes(), &mut self.buffer);
        self.masked.push(b"\n", &mut self.buffer);
    }

    fn take(&mut self, piece: Piece<'_>) {
        if let (Some(coverage), Piece::Text(text)) = (&mut self.coverage, &piece) {
            String::from_utf8_lossy(text).lines().for_each(|line| coverage.read(line));
        }
        match piece {
            Piece::Text(text) if self.matchers.is_empty() => self.masked.push(text, &mut self.buffer),
            Piece::Text(text) => text.split_inclusive(|byte| *byte == b'\n').for_each(|line| self.match_line(line)),
            Piece::Flow(text) => self.masked.push(text, &mut self.buffer),
            Piece::Command(command, line) => self.command(command, line),
        }
    }

    fn command(&mut self, command: LogCommand, line: &[u8]) {
        if self.echo && !command.omits_echo() {
            self.masked.push(line, &mut self.buffer);
            self.masked.push(b"\n", &mut self.buffer);
        }
        match command {
            LogCommand::Mask(secret) => {
                if self.echo {
                    self.write("::add-mask::***");
                }
                self.mask(&secret);
                self.said.masks.push(secret);
            }
            LogCommand::Annotation(mut annotation) => {
                self.write(&format!("##[{}]{}", annotation.level.word(), annotation.message));
                if let Some(file) = annotation.file.as_deref().and_then(|file| Path::new(file).strip_prefix(&self.workspace).ok()) {
                    annotation.file = Some(file.to_string_lossy().into_owned());
                }
                self.annotate(annotation);
            }
            LogCommand::Debug(text) if self.debug => self.write(&format!("##[debug]{text}")),
            LogCommand::Debug(_) => {}
            LogCommand::Group(name) => self.write(&format!("##[group]{name}")),
            LogCommand::EndGroup => self.write("##[endgroup]"),
            LogCommand::Output { name, value } => self.said.outputs.push((name, value)),
            LogCommand::State { name, value } => self.said.state.push((name, value)),
            LogCommand::Stop { token } => {
                if token.len() >= TOKEN_HIDDEN {
                    self.mask(&token);
                    self.said.masks.push(token);
                }
                self.write(&String::from_utf8_lossy(line));
            }
            LogCommand::Resume => self.write(&String::from_utf8_lossy(line)),
            LogCommand::Echo(echo) => self.echo = echo,
            LogCommand::AddMatchers(file) => match self.read_matchers(&file) {
                Ok(added) => {
                    self.matchers.add(&added);
                    self.said.matchers.push(MatcherChange::Added(added));
                }
                Err(why) => self.refuse(&String::from_utf8_lossy(line), why),
            },
            LogCommand::RemoveMatcher { owner } => self.remove_matcher(owner),
            LogCommand::RemoveMatchersOf(file) => match self.read_matchers(&file) {
                Ok(removed) => removed.iter().for_each(|matcher| self.remove_matcher(matcher.owner.clone())),
                Err(why) => self.refuse(&String::from_utf8_lossy(line), why),
            },
            LogCommand::Nothing { warning } => warning.iter().for_each(|warning| self.write(&format!("##[warning]{warning}"))),
            LogCommand::Refused { line, why } => self.refuse(&line, why),
        }
    }

    fn refuse(&mut self, line: &str, why: String) {
        self.write(&format!("##[error]Unable to process command '{}' successfully.", line.trim()));
        self.write(&format!("##[error]{why}"));
        self.said.refused.get_or_insert(why);
    }

    fn read_matchers(&self, file: &str) -> Result<Vec<Arc<ProblemMatcher>>, String> {
        let path = self.workspace.join(file);
        let wrong = |why: String| format!("The problem matchers in `{file}` can't be used: {why}.");
        let metadata = fs::metadata(&path).map_err(|error| wrong(error.to_string()))?;
        if !metadata.is_file() || metadata.len() > MATCHER_BYTES_MAX {
            return Err(wrong(format!("it is no file of at most {} KiB", MATCHER_BYTES_MAX / 1024)));
        }
        let text = fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
        matcher::parse(&text).map_err(wrong)
    }

    fn remove_matcher(&mut self, owner: String) {
        self.matchers.remove(&owner);
        self.said.matchers.push(MatcherChange::Removed(owner));
    }

    /// A line that is no command, perhaps a remark all the same.
    fn match_line(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(line));
        let reading = self.matchers.read(text.trim_end_matches('\r'));
        for owner in reading.given_up {
            self.write(&format!("##[warning]The problem matcher `{owner}` takes too long over a line and is not asked any more."));
            self.said.matchers.push(MatcherChange::Removed(owner));
        }
        match reading.problem {
            None => self.masked.push(line, &mut self.buffer),
            Some(problem) => {
                self.write(&format!("##[{}]{}", problem.annotation.level.word(), problem.line));
                let file = problem.annotation.file.as_deref().and_then(|file| self.located(file));
                self.annotate(Annotation { file, ..problem.annotation });
            }
        }
    }

    /// The file's path in the repository it lies in, which may be a folder of the workspace; nothing when there is no such file.
    fn located(&self, file: &str) -> Option<String> {
        let mut path = PathBuf::new();
        for component in self.workspace.join(file).components() {
            match component {
                Component::CurDir => {}
                Component::ParentDir => drop(path.pop()),
                other => path.push(other),
            }
        }
        if !path.starts_with(&self.workspace) || !path.is_file() {
            return None;
        }
        let folders = path.ancestors().skip(1).take_while(|folder| folder.starts_with(&self.workspace));
        let root = folders.into_iter().find(|folder| folder.join(".git").exists()).unwrap_or(&self.workspace);
        Some(path.strip_prefix(root).ok()?.to_string_lossy().into_owned())
    }

    fn annotate(&mut self, mut annotation: Annotation) {
        let count = self.counts.entry(annotation.level).or_default();
        *count += 1;
        if *count > ANNOTATIONS_MAX {
            return;
        }
        let mask = |text: &mut String| *text = self.mask.apply(text);
        mask(&mut annotation.message);
        if let Some((end, _)) = annotation.message.char_indices().nth(MESSAGE_CHARS_MAX) {
            annotation.message.truncate(end);
        }
        annotation.title.iter_mut().for_each(mask);
        annotation.code.iter_mut().for_each(mask);
        annotation.file.iter_mut().for_each(mask);
        self.said.annotations.push(annotation);
    }
}

/// How a mistake of ours or of a file is shown in a log.
pub(super) fn error_line(text: &str) -> String {
    format!("##[{}]{text}", Level::Error.word())
}
