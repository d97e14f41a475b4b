//! An answer's body on its way to the client, and the account of its request, which ends with it.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint};

use super::counters::{Kind, Tally};
use super::streams::Stream;
use super::table::Endpoint;
use super::upstream::{Connection, Pool};

pub(super) struct Passing {
    incoming: Incoming,
    bad: bool,
    /// Gone once the request is accounted for.
    ticket: Option<Ticket>,
    connection: Option<(Connection, Rc<Pool>)>,
}

impl Passing {
    pub(super) fn new(incoming: Incoming, bad: bool, ticket: Ticket, connection: Option<(Connection, Rc<Pool>)>) -> Passing {
        // The head is the first thing given; a client without room for more never asks.
        ticket.stream.iter().for_each(Stream::given);
        let mut passing = Passing { incoming, bad, ticket: Some(ticket), connection };
        if passing.incoming.is_end_stream() {
            passing.finish();
        }
        passing
    }

    pub(super) fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let stream = self.ticket.as_ref().and_then(|it| it.stream.as_ref());
        stream.into_iter().for_each(Stream::asked);
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(context));
        stream.into_iter().for_each(Stream::given);
        match &frame {
            Some(Ok(_)) if !self.incoming.is_end_stream() => {}
            Some(Ok(_)) | None => self.finish(),
            Some(Err(_)) => self.break_off(),
        }
        Poll::Ready(frame)
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }

    fn finish(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            ticket.answered(self.bad);
        }
        if let Some((connection, pool)) = self.connection.take() {
            pool.give_back(connection);
        }
    }

    /// The backend stopped in the middle of its answer.
    fn break_off(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            ticket.failed();
        }
        self.connection = None;
    }
}

/// One request's entry in the books. Dropped without a word it says that the client went away.
#[derive(Debug)]
pub(super) struct Ticket {
    tally: Arc<Tally>,
    thread: usize,
    kind: Kind,
    begun: Instant,
    endpoint: Option<Arc<Endpoint>>,
    counted: bool,
    stream: Option<Stream>,
}

impl Ticket {
    pub(super) fn new(tally: &Arc<Tally>, thread: usize, kind: Kind, stream: Option<Stream>) -> Ticket {
        tally.begin(thread);
        Ticket { tally: Arc::clone(tally), thread, kind, begun: Instant::now(), endpoint: None, counted: false, stream }
    }

    /// The request is now with this instance, and no longer with the one before.
    pub(super) fn goes_to(&mut self, endpoint: &Arc<Endpoint>) {
        self.leave_endpoint();
        endpoint.in_flight.fetch_add(1, Relaxed);
        self.endpoint = Some(Arc::clone(endpoint));
    }

    pub(super) fn answered(mut self, bad: bool) {
        self.count_answer(bad);
    }

    /// Counts now, while the request stays in flight: for answers that have no end of their own.
    pub(super) fn count_answer(&mut self, bad: bool) {
        if !self.counted {
            self.tally.answered(self.thread, self.kind, bad, self.begun.elapsed());
            self.counted = true;
        }
    }

    pub(super) fn failed(mut self) {
        if !self.counted {
            self.tally.failed(self.thread, self.kind);
            self.counted = true;
        }
    }

    fn leave_endpoint(&mut self) {
        if let Some(endpoint) = self.endpoint.take() {
            endpoint.in_flight.fetch_sub(1, Relaxed);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.leave_endpoint();
        if !self.counted {
            self.tally.aborted(self.thread, self.kind);
            self.stream.iter().for_each(Stream::cut);
        }
        self.tally.leave(self.thread);
    }
}
