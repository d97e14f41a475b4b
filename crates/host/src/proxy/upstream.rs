//! Connections to instances: opened, kept and taken up again, by one thread for itself.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::table::Endpoint;

/// Idle connections to one instance. Connections live and die on the thread that opened them, so nothing is locked.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) endpoint: Arc<Endpoint>,
    idle: RefCell<Vec<Idle>>,
    closed: Cell<bool>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

/// A connection in use. Dropped, it is closed; given back, it waits for the next request.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) sender: SendRequest<Upload>,
    received: Arc<AtomicBool>,
    pub(super) reused: bool,
}

/// Kept no longer than this without use.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// Many servers close after a few idle seconds. A request that can't be repeated must not meet that moment, so it takes only
/// connections that were busy just now.
const FRESH: Duration = Duration::from_secs(1);
const IDLE_COUNT_MAX: usize = 512;

impl Pool {
    pub(super) fn new(endpoint: Arc<Endpoint>) -> Pool {
        Pool { endpoint, idle: RefCell::default(), closed: Cell::new(false) }
    }

    /// The most recently used connection that is ready.
    pub(super) fn take(&self, repeatable: bool) -> Option<Connection> {
        let oldest = if repeatable { IDLE_MAX } else { FRESH };
        let mut idle = self.idle.borrow_mut();
        let mut index = idle.len();
        while index > 0 {
            index -= 1;
            let it = &idle[index];
            if it.connection.sender.is_closed() {
                idle.remove(index);
            } else if !repeatable && it.since.elapsed() > oldest {
                return None;
            } else if it.connection.sender.is_ready() {
                let mut connection = idle.remove(index).connection;
                connection.received.store(false, Relaxed);
                connection.reused = true;
                return Some(connection);
            }
        }
        None
    }

    pub(super) fn give_back(&self, connection: Connection) {
        let mut idle = self.idle.borrow_mut();
        if !self.closed.get() && !connection.sender.is_closed() && idle.len() < IDLE_COUNT_MAX {
            idle.push(Idle { connection, since: Instant::now() });
        }
    }

    pub(super) fn sweep(&self) {
        self.idle.borrow_mut().retain(|it| !it.connection.sender.is_closed() && it.since.elapsed() < IDLE_MAX);
    }

    /// The endpoint is gone from the route: idle connections close now, busy ones when their request has ended.
    pub(super) fn close(&self) {
        self.closed.set(true);
        self.idle.borrow_mut().clear();
    }

    pub(super) async fn connect(&self, timeout: Duration, header_bytes_max: usize) -> io::Result<Connection> {
        let stream = match tokio::time::timeout(timeout, TcpStream::connect(self.endpoint.address)).await {
            Ok(stream) => stream?,
            Err(_) => return Err(io::Error::from(io::ErrorKind::TimedOut)),
        };
        stream.set_nodelay(true)?;
        let received = Arc::new(AtomicBool::new(false));
        let io = TokioIo::new(Watched { stream, received: Arc::clone(&received) });
        let handshake = http1::Builder::new().max_header_size(header_bytes_max).max_buf_size(header_bytes_max).handshake(io).await;
        let (sender, connection) = handshake.map_err(io::Error::other)?;
        tokio::task::spawn_local(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "connection to an instance ended");
            }
        });
        Ok(Connection { sender, received, reused: false })
    }
}

impl Connection {
    /// Whether anything came since the request was sent; once it did, the request has been seen.
    pub(super) fn answered(&self) -> bool {
        self.received.load(Relaxed)
    }
}

/// Notes that bytes came, which the HTTP library does not tell.
struct Watched {
    stream: TcpStream,
    received: Arc<AtomicBool>,
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() != before {
            self.received.store(true, Relaxed);
        }
        result
    }
}

impl AsyncWrite for Watched {
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

/// A request's body on its way to an instance.
pub(super) enum Upload {
    Nothing,
    Streaming { incoming: Incoming, progress: Rc<Progress> },
}

/// Who is being waited for while a request's body is on its way.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) last: Cell<Instant>,
    pub(super) done: Cell<bool>,
    pub(super) awaits_client: Cell<bool>,
    pub(super) broken: Cell<bool>,
}

impl Upload {
    pub(super) fn new(incoming: Incoming) -> (Upload, Option<Rc<Progress>>) {
        if incoming.is_end_stream() {
            return (Upload::Nothing, None);
        }
        let progress =
            Progress { last: Cell::new(Instant::now()), done: Cell::new(false), awaits_client: Cell::new(false), broken: Cell::new(false) };
        let progress = Rc::new(progress);
        (Upload::Streaming { incoming, progress: Rc::clone(&progress) }, Some(progress))
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Upload::Streaming { incoming, progress } = self.get_mut() else { return Poll::Ready(None) };
        let polled = Pin::new(&mut *incoming).poll_frame(context);
        progress.awaits_client.set(polled.is_pending());
        if let Poll::Ready(frame) = &polled {
            progress.last.set(Instant::now());
            progress.done.set(frame.is_none() || incoming.is_end_stream());
            progress.broken.set(matches!(frame, Some(Err(_))));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Upload::Nothing => true,
            Upload::Streaming { incoming, .. } => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Upload::Nothing => SizeHint::with_exact(0),
            Upload::Streaming { incoming, .. } => incoming.size_hint(),
        }
    }
}
