//! What programs write, as a terminal may have it: colours stay, whatever moves the cursor, clears the screen or renames the window goes.
//!
//! Sequences are those of ECMA-48: CSI (`ESC [ … final`), strings (OSC, DCS, APC, PM, SOS, up to BEL or ST) and two-byte escapes.

/// Where in a sequence a stream stands; it may be cut anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Text,
    Escape,
    /// Of an escape with intermediate bytes, as `ESC ( B`.
    Intermediate,
    Csi,
    /// A string, until BEL or ST.
    Words,
    /// `ESC` within a string.
    Ending,
}

/// Passes a stream on, cut into pieces anyhow.
#[derive(Debug, Default)]
pub struct Harmless {
    state: State,
    /// Of a control sequence that isn't whole yet.
    begun: Vec<u8>,
    /// A colour was begun and not ended; it ends with its line.
    coloured: bool,
}

const RESET: &[u8] = b"\x1b[0m";

/// A colour needs a few bytes; what is longer is none.
const SEQUENCE_MAX: usize = 128;

impl Harmless {
    pub fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut passed = Vec::with_capacity(bytes.len());
        for byte in bytes {
            self.take(*byte, &mut passed);
        }
        passed
    }

    fn close(&mut self, passed: &mut Vec<u8>) {
        if std::mem::take(&mut self.coloured) {
            passed.extend_from_slice(RESET);
        }
    }

    fn take(&mut self, byte: u8, passed: &mut Vec<u8>) {
        self.state = match (self.state, byte) {
            (State::Words, 0x07) => State::Text,
            (State::Words | State::Ending, 0x1b) => State::Ending,
            (State::Ending, b'\\') => State::Text,
            (State::Words | State::Ending, _) => State::Words,
            (_, 0x1b) => State::Escape,
            (State::Escape, b'[') => {
                self.begun.clear();
                State::Csi
            }
            (State::Escape, b']' | b'P' | b'X' | b'^' | b'_') => State::Words,
            (State::Escape | State::Intermediate, 0x20..=0x2f) => State::Intermediate,
            (State::Escape | State::Intermediate, _) => State::Text,
            (State::Csi, 0x20..=0x3f) if self.begun.len() < SEQUENCE_MAX => {
                self.begun.push(byte);
                State::Csi
            }
            (State::Csi, _) => {
                let is_colour = byte == b'm' && self.begun.iter().all(|it| it.is_ascii_digit() || matches!(it, b';' | b':'));
                if is_colour {
                    self.coloured = !matches!(self.begun.as_slice(), b"" | b"0") && !self.begun.ends_with(b";0");
                    passed.extend_from_slice(b"\x1b[");
                    passed.append(&mut self.begun);
                    passed.push(b'm');
                } else if byte == b'\n' {
                    passed.push(byte);
                }
                State::Text
            }
            (State::Text, 0x20.. | b'\n' | b'\t' | b'\r') if byte != 0x7f => {
                if byte == b'\n' {
                    self.close(passed);
                }
                passed.push(byte);
                State::Text
            }
            (State::Text, _) => State::Text,
        };
    }
}

/// A text of our own with what others wrote in it: a commit's title, the last words of an application. Without any escape where
/// nothing is coloured.
pub fn text(text: &str, coloured: bool) -> String {
    let mut harmless = Harmless::default();
    let mut passed = harmless.pass(text.as_bytes());
    harmless.close(&mut passed);
    let passed = String::from_utf8_lossy(&passed).replace('\r', "");
    if coloured || !passed.contains('\x1b') { passed } else { anstream::adapter::strip_str(&passed).to_string() }
}

/// Whole lines; of one that was written over again and again, what stood there last.
pub fn lines(bytes: &[u8]) -> Vec<u8> {
    let harmless = Harmless::default().pass(bytes);
    let mut shown = Vec::with_capacity(harmless.len());
    for line in harmless.split_inclusive(|byte| *byte == b'\n') {
        let end = if line.ends_with(b"\n") { &line[line.len() - 1..] } else { &[] };
        let text = line[..line.len() - end.len()].trim_ascii_end();
        let last = text.rsplit(|byte| *byte == b'\r').next().unwrap_or_default();
        shown.extend_from_slice(last);
        shown.extend_from_slice(end);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_stay_and_what_moves_the_cursor_goes() {
        for (written, shown) in [
            ("\x1b[1;31mred\x1b[0m\n", "\x1b[1;31mred\x1b[0m\n"),
            ("\x1b[38:5:9mred\x1b[m", "\x1b[38:5:9mred\x1b[m"),
            ("a\x1b[2J\x1b[Hb\x1b[3Ac\x1b[?1049hd\x1b[?25le", "abcde"),
            ("\x1b]0;a title\x07x\x1b]8;;http://a\x1b\\link\x1b]8;;\x1b\\", "xlink"),
            ("\x1bcreset\x1b(Bset\x1b7\x1b8\x08\x07\x7f", "resetset"),
            ("\x1bPq#0\x1b[31m\x1b\\after", "after"),
            ("grün → 完了\n", "grün → 完了\n"),
            ("an end\x1b[3\nof a line", "an end\nof a line"),
            ("\x1b[31mred and on\nplain", "\x1b[31mred and on\x1b[0m\nplain"),
        ] {
            assert_eq!(String::from_utf8_lossy(&Harmless::default().pass(written.as_bytes())), shown, "{written:?}");
            let mut one_by_one = Harmless::default();
            let passed: Vec<u8> = written.bytes().flat_map(|byte| one_by_one.pass(&[byte])).collect();
            assert_eq!(String::from_utf8_lossy(&passed), shown, "{written:?}, cut everywhere");
        }
    }

    #[test]
    fn what_others_wrote_in_a_sentence_of_ours_does_nothing() {
        let title = "\x1b[2J\x1b]0;x\x07a \x1b[31mtitle\rof";
        assert_eq!(text(title, true), "a \x1b[31mtitleof\x1b[0m");
        assert_eq!(text(title, false), "a titleof");
    }

    #[test]
    fn of_a_line_that_is_written_over_its_last_state_is_shown() {
        let shown = lines(b"one\r\n 10 %\r 50 %\r\x1b[2K100 %\r\ntwo\rthree");
        assert_eq!(String::from_utf8_lossy(&shown), "one\n100 %\nthree");
    }
}
