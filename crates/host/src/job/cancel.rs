//! Telling a job, from any thread, that it shall stop.

use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use engine::world::Stop;

/// Asked for once, heard by every holder; never taken back. A graceful stop may become one at once.
#[derive(Debug, Clone)]
pub struct Cancel(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    asked: AtomicU8,
    gracefully: Bell,
    at_once: Bell,
}

/// A pipe that is rung by closing its far end, so that any number of polls hear it for ever.
#[derive(Debug)]
struct Bell {
    heard: PipeReader,
    rope: Mutex<Option<PipeWriter>>,
}

impl Cancel {
    pub fn new() -> io::Result<Cancel> {
        Ok(Cancel(Arc::new(Shared { asked: AtomicU8::new(0), gracefully: Bell::new()?, at_once: Bell::new()? })))
    }

    pub fn request(&self, how: Stop) {
        let level = match how {
            Stop::Gracefully => 1,
            Stop::AtOnce => 2,
        };
        self.0.asked.fetch_max(level, Ordering::SeqCst);
        self.0.gracefully.ring();
        if how == Stop::AtOnce {
            self.0.at_once.ring();
        }
    }

    pub fn requested(&self) -> Option<Stop> {
        match self.0.asked.load(Ordering::SeqCst) {
            0 => None,
            1 => Some(Stop::Gracefully),
            _ => Some(Stop::AtOnce),
        }
    }

    /// Readable once more is asked for than `known`.
    pub(super) fn more_than(&self, known: Option<Stop>) -> Option<BorrowedFd<'_>> {
        match known {
            None => Some(self.0.gracefully.heard.as_fd()),
            Some(Stop::Gracefully) => Some(self.0.at_once.heard.as_fd()),
            Some(Stop::AtOnce) => None,
        }
    }
}

impl Bell {
    fn new() -> io::Result<Bell> {
        let (heard, rope) = io::pipe()?;
        Ok(Bell { heard, rope: Mutex::new(Some(rope)) })
    }

    fn ring(&self) {
        if let Some(mut rope) = self.rope.lock().expect("nobody panics while ringing").take() {
            // A process spawned meanwhile may hold the far end open; a byte is heard all the same.
            let _ = rope.write_all(b"!");
        }
    }
}
