//! Sees a request's head as it came, for the one thing the HTTP library does not tell: whether it gave its body's length twice.
//!
//! The library takes `Transfer-Encoding`, forgets `Content-Length` and closes the connection afterwards, so that nothing can
//! be smuggled. We refuse such requests, since no honest client sends them. That works for heads whose beginning is known: the
//! first of a connection, and those after requests without a body. For others the library's way remains.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use http::{HeaderMap, StatusCode, header};
use hyper::body::{Body as _, Incoming};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::answer::Failure;

/// What came since the last head ended; nothing once that is no longer known.
pub(super) struct Tap(Arc<Mutex<Seen>>);

struct Seen {
    bytes: Option<Vec<u8>>,
    bytes_max: usize,
}

pub(super) struct Tapped {
    stream: TcpStream,
    seen: Arc<Mutex<Seen>>,
}

impl Tapped {
    pub(super) fn new(stream: TcpStream, bytes_max: usize) -> (Tapped, Tap) {
        let seen = Arc::new(Mutex::new(Seen { bytes: Some(Vec::new()), bytes_max }));
        (Tapped { stream, seen: Arc::clone(&seen) }, Tap(seen))
    }
}

impl Tap {
    /// Called once for each request, when its head has been read.
    pub(super) fn check(&self, headers: &HeaderMap, body: &Incoming) -> Result<(), Failure> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let chunked = headers.contains_key(header::TRANSFER_ENCODING);
        let twice = chunked && seen.bytes.as_deref().is_some_and(gives_content_length);
        match &mut seen.bytes {
            Some(bytes) if body.is_end_stream() && bytes.ends_with(b"\r\n\r\n") => bytes.clear(),
            bytes => *bytes = None,
        }
        match twice {
            true => Err(Failure::client(StatusCode::BAD_REQUEST, "the request has both Transfer-Encoding and Content-Length")),
            false => Ok(()),
        }
    }
}

fn gives_content_length(seen: &[u8]) -> bool {
    const NAME: &[u8] = b"content-length";
    let lines = seen.split(|it| *it == b'\n').map(<[u8]>::trim_ascii_end);
    let mut head = lines.skip_while(|it| it.is_empty()).take_while(|it| !it.is_empty());
    head.any(|it| it.len() > NAME.len() && it[..NAME.len()].eq_ignore_ascii_case(NAME) && it[NAME.len()] == b':')
}

impl Seen {
    fn add(&mut self, more: &[u8]) {
        match &mut self.bytes {
            Some(bytes) if bytes.len() + more.len() <= self.bytes_max => bytes.extend_from_slice(more),
            bytes => *bytes = None,
        }
    }
}

impl AsyncRead for Tapped {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).add(&buffer.filled()[before..]);
        }
        result
    }
}

impl AsyncWrite for Tapped {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
