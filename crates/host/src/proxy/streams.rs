//! The requests of one HTTP/2 connection, and when enough is enough.
//!
//! HTTP/1 has one request at a time, so a silent client is seen by the clock of the next head and by the socket. Over HTTP/2 a
//! client can answer pings for ever and ask for nothing, ask and never make room for the answer, or ask and take it back at once.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;

#[derive(Debug, Default)]
pub(super) struct Streams {
    active: Cell<usize>,
    /// Those of the active ones whose client has yet to take what was given last.
    stalled: Cell<usize>,
    begun: Cell<u64>,
    cut: Cell<u64>,
    /// Rises with everything that happens.
    moved: Cell<u64>,
    overdrawn: Notify,
}

/// Each request that is taken back costs an instance a connection. Someone who leaves a page may take back hundreds, but has
/// seen others through before.
const CUT_MAX: u64 = 256;

/// One request, for as long as it lives.
#[derive(Debug)]
pub(super) struct Stream {
    streams: Rc<Streams>,
    stalled: Cell<bool>,
}

impl Streams {
    pub(super) fn begin(self: &Rc<Streams>) -> Stream {
        self.begun.set(self.begun.get() + 1);
        self.active.set(self.active.get() + 1);
        self.step();
        Stream { streams: Rc::clone(self), stalled: Cell::new(false) }
    }

    /// Returns when nothing was asked for so long, or up to twice so long.
    pub(super) async fn idle(&self, limit: Duration) {
        while self.moved_within(limit).await || self.active.get() > 0 {}
    }

    /// Returns when the connection is to be cut: its client takes its requests back, takes nothing of what it asked for, or,
    /// having been told to go, stays.
    pub(super) async fn hopeless(&self, limit: Duration) {
        let stuck = async {
            let mut told = false;
            loop {
                let moved = self.moved_within(limit).await;
                let nothing_left = self.active.get() == 0;
                if !moved && self.active.get() == self.stalled.get() && (told || !nothing_left) {
                    return;
                }
                told = !moved && nothing_left;
            }
        };
        tokio::select! {
            () = stuck => {}
            () = self.overdrawn.notified() => {}
        }
    }

    async fn moved_within(&self, limit: Duration) -> bool {
        let before = self.moved.get();
        tokio::time::sleep(limit).await;
        self.moved.get() != before
    }

    fn step(&self) {
        self.moved.set(self.moved.get() + 1);
    }
}

impl Stream {
    /// The client wants more.
    pub(super) fn asked(&self) {
        self.streams.step();
        if self.stalled.replace(false) {
            self.streams.stalled.set(self.streams.stalled.get() - 1);
        }
    }

    /// It was given something, and until it asks again it is its turn.
    pub(super) fn given(&self) {
        if !self.stalled.replace(true) {
            self.streams.stalled.set(self.streams.stalled.get() + 1);
        }
    }

    /// The client took its request back.
    pub(super) fn cut(&self) {
        let streams = &self.streams;
        streams.cut.set(streams.cut.get() + 1);
        if streams.cut.get() >= CUT_MAX && streams.cut.get() * 2 > streams.begun.get() {
            streams.overdrawn.notify_one();
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.asked();
        self.streams.active.set(self.streams.active.get() - 1);
    }
}
