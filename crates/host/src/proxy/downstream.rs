//! A client's connection: which HTTP it speaks, and serving it until one of the two sides is done.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::net::{SocketAddr, TcpStream};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};

use super::forward::forward;
use super::head::Forwarded;
use super::streams::Streams;
use super::tap::{Tap, Tapped};
use super::worker::OpenConnection;

/// What a client's requests have in common.
pub(super) struct Downstream {
    pub(super) open: OpenConnection,
    pub(super) forwarded: RefCell<Forwarded>,
    /// HTTP/2 says in one way only where a body ends.
    pub(super) tap: Option<Tap>,
    /// HTTP/2 has several requests at a time.
    pub(super) streams: Option<Rc<Streams>>,
}

/// When the service ends, a new connection may have a request on its way that nobody has looked at yet.
const LAST_CHANCE: Duration = Duration::from_millis(50);

pub(super) async fn serve(open: OpenConnection, stream: TcpStream, client: SocketAddr) {
    if let Err(error) = serve_stream(open, stream, client).await {
        tracing::debug!(%error, "connection from a client ended");
    }
}

async fn serve_stream(open: OpenConnection, stream: TcpStream, client: SocketAddr) -> Result<(), Box<dyn std::error::Error>> {
    let stream = tokio::net::TcpStream::from_std(stream)?;
    let head_timeout = open.worker.limits.head_timeout;
    let speaks_http2 = match ended_by(&open, tokio::time::timeout(head_timeout, speaks_http2(&stream))).await {
        Some(answer) => answer,
        None => tokio::time::timeout(LAST_CHANCE, speaks_http2(&stream)).await,
    };
    let Ok(speaks_http2) = speaks_http2 else { return Ok(()) };
    let speaks_http2 = speaks_http2?;
    let header_bytes_max = open.worker.limits.header_bytes_max;
    let (stream, tap) = Tapped::new(stream, header_bytes_max);
    let tap = (!speaks_http2).then_some(tap);
    let streams = speaks_http2.then(Rc::<Streams>::default);
    let send_timeout = open.worker.limits.send_timeout;
    let forwarded = RefCell::new(Forwarded::new(client.ip()));
    let downstream = Rc::new(Downstream { open, forwarded, tap, streams: streams.clone() });
    let service = {
        let downstream = Rc::clone(&downstream);
        service_fn(move |request| forward(Rc::clone(&downstream), request))
    };
    let io = TokioIo::new(stream);
    if let Some(streams) = streams {
        let connection = http2::Builder::new(LocalExecutor)
            .timer(TokioTimer::new())
            .max_concurrent_streams(256)
            .max_header_list_size(u32::try_from(header_bytes_max).unwrap_or(u32::MAX))
            .keep_alive_interval(head_timeout)
            .serve_connection(io, service);
        let served = until_closing(&downstream, connection, streams.idle(head_timeout), |it| it.graceful_shutdown());
        tokio::select! {
            served = served => served?,
            () = streams.hopeless(head_timeout.max(send_timeout)) => {}
        }
    } else {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(head_timeout)
            .max_header_size(header_bytes_max)
            .max_buf_size(header_bytes_max)
            .serve_connection(io, service)
            .with_upgrades();
        until_closing(&downstream, connection, std::future::pending(), |it| it.graceful_shutdown()).await?;
    }
    Ok(())
}

/// Looks at the first bytes without taking them. No method begins like HTTP/2's preface.
async fn speaks_http2(stream: &tokio::net::TcpStream) -> std::io::Result<bool> {
    const PREFACE: &[u8] = b"PRI";
    let mut first = [0; PREFACE.len()];
    loop {
        let count = stream.peek(&mut first).await?;
        if count == 0 || first[..count] != PREFACE[..count] {
            return Ok(false);
        }
        if count == PREFACE.len() {
            return Ok(true);
        }
        // Bytes that are not taken keep the socket readable, so there is nothing to wait for but time.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The future's output, or nothing when the service ends first.
async fn ended_by<F: Future>(open: &OpenConnection, future: F) -> Option<F::Output> {
    let closing = &open.service.closing;
    let mut future = pin!(future);
    let mut key = None;
    let output = poll_fn(|context| {
        key.get_or_insert_with(|| closing.watch(context.waker().clone()));
        if closing.begun() { Poll::Ready(None) } else { future.as_mut().poll(context).map(Some) }
    })
    .await;
    key.into_iter().for_each(|it| closing.forget(it));
    output
}

async fn until_closing<C>(
    downstream: &Downstream,
    connection: C,
    idle: impl Future<Output = ()>,
    close: impl Fn(Pin<&mut C>),
) -> hyper::Result<()>
where
    C: Future<Output = hyper::Result<()>>,
{
    let closing = &downstream.open.service.closing;
    let (mut connection, mut idle) = (pin!(connection), pin!(idle));
    let (mut key, mut told) = (None, false);
    let output = poll_fn(|context: &mut Context<'_>| {
        key.get_or_insert_with(|| closing.watch(context.waker().clone()));
        // A request that has already come is taken up before the connection is told to end.
        let polled = connection.as_mut().poll(context);
        if polled.is_pending() && !told && (closing.begun() || idle.as_mut().poll(context).is_ready()) {
            told = true;
            close(connection.as_mut());
            return connection.as_mut().poll(context);
        }
        polled
    })
    .await;
    key.into_iter().for_each(|it| closing.forget(it));
    output
}

/// Runs the streams of an HTTP/2 connection on the connection's own thread.
#[derive(Clone, Copy)]
struct LocalExecutor;

impl<F: Future + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move { drop(future.await) });
    }
}
