//! From a process's bytes to masked log chunks, with the workflow commands taken out on the way.

use std::collections::BTreeMap;

use base::mask::{Mask, MaskStream};
use workflow::job::command::{Annotation, Level, LogCommand};
use workflow::job::log::{LogReader, Piece};

use super::JobSink;

/// Remarks of one kind that are kept of one step, as at GitHub; all of them stay in the log.
const ANNOTATIONS_MAX: usize = 10;
/// Characters of a remark that are kept.
const MESSAGE_CHARS_MAX: usize = 4096;

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
    annotations: BTreeMap<Level, usize>,
    pub(super) said: Said,
}

/// What the commands in an output ask for.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) outputs: Vec<(String, String)>,
    pub(super) state: Vec<(String, String)>,
    pub(super) masks: Vec<String>,
    pub(super) refused: Option<String>,
}

impl Output {
    pub(super) fn new(step: u32, mask: &Mask, debug: bool) -> Output {
        let (reader, masked, mask) = (LogReader::default(), mask.stream(), mask.clone());
        Output { step, reader, masked, mask, buffer: Vec::new(), debug, annotations: BTreeMap::new(), said: Said::default() }
    }

    pub(super) fn push(&mut self, bytes: &[u8], sink: &mut dyn JobSink) {
        let mut reader = std::mem::take(&mut self.reader);
        reader.push(bytes, &mut |piece| self.take(piece, sink));
        self.reader = reader;
        self.flush(sink);
    }

    /// A line of our own, after everything that came before.
    pub(super) fn line(&mut self, text: &str, sink: &mut dyn JobSink) {
        self.masked.push(text.as_bytes(), &mut self.buffer);
        self.masked.push(b"\n", &mut self.buffer);
        self.flush(sink);
    }

    pub(super) fn finish(&mut self, sink: &mut dyn JobSink) {
        let mut reader = std::mem::take(&mut self.reader);
        reader.finish(&mut |piece| self.take(piece, sink));
        self.masked.finish(&mut self.buffer);
        self.flush(sink);
    }

    /// For what comes after the end of the step itself.
    pub(super) fn another(&self) -> Output {
        Output::new(self.step, &self.mask, self.debug)
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

    fn take(&mut self, piece: Piece<'_>, sink: &mut dyn JobSink) {
        let (command, line) = match piece {
            Piece::Text(text) => return self.masked.push(text, &mut self.buffer),
            Piece::Command(command, line) => (command, line),
        };
        let mut write = |text: &str| {
            self.masked.push(text.as_bytes(), &mut self.buffer);
            self.masked.push(b"\n", &mut self.buffer);
        };
        match command {
            LogCommand::Mask(secret) => {
                self.mask(&secret);
                self.said.masks.push(secret);
            }
            LogCommand::Annotation(annotation) => {
                write(&format!("##[{}]{}", annotation.level.word(), annotation.message));
                self.annotate(annotation, sink);
            }
            LogCommand::Debug(text) if self.debug => write(&format!("##[debug]{text}")),
            LogCommand::Debug(_) => {}
            LogCommand::Group(name) => write(&format!("##[group]{name}")),
            LogCommand::EndGroup => write("##[endgroup]"),
            LogCommand::Output { name, value } => self.said.outputs.push((name, value)),
            LogCommand::State { name, value } => self.said.state.push((name, value)),
            LogCommand::Stop { .. } | LogCommand::Resume => {
                self.masked.push(line, &mut self.buffer);
                self.masked.push(b"\n", &mut self.buffer);
            }
            LogCommand::Nothing { warning } => warning.iter().for_each(|warning| write(&format!("##[warning]{warning}"))),
            LogCommand::Refused { line, why } => {
                write(&format!("##[error]Unable to process command '{line}' successfully."));
                write(&format!("##[error]{why}"));
                self.said.refused.get_or_insert(why);
            }
        }
    }

    fn annotate(&mut self, mut annotation: Annotation, sink: &mut dyn JobSink) {
        let count = self.annotations.entry(annotation.level).or_default();
        *count += 1;
        if *count > ANNOTATIONS_MAX {
            return;
        }
        if let Some((end, _)) = annotation.message.char_indices().nth(MESSAGE_CHARS_MAX) {
            annotation.message.truncate(end);
        }
        let mask = |text: &mut String| *text = self.mask.apply(text);
        mask(&mut annotation.message);
        annotation.title.iter_mut().for_each(mask);
        annotation.file.iter_mut().for_each(mask);
        sink.annotation(self.step, &annotation);
    }
}

/// How a mistake of ours or of a file is shown in a log.
pub(super) fn error_line(text: &str) -> String {
    format!("##[{}]{text}", Level::Error.word())
}
