//! Clients that are slow on purpose, or ask for more than they take.

use std::sync::Arc;
use std::time::Duration;

use host::proxy::Limits;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Bytes, Frame};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use crate::protocols::Pieces;
use crate::world::{Instance, Proxy, eventually, within};

const SHORT: Duration = Duration::from_millis(50);

async fn impatient(instance: &Instance) -> Proxy {
    let limits = Limits { head_timeout: SHORT, send_timeout: SHORT, ..Limits::default() };
    let proxy = Proxy::start_with(limits).await;
    proxy.put(1, &[("a", 10_000, &[instance.address])]).await;
    proxy
}

async fn nobody_left(proxy: &Proxy) {
    eventually(async || {
        let stats = proxy.stats().await;
        (stats.open_connections == 0 && stats.counts["a"].in_flight == 0).then_some(())
    })
    .await;
}

type Sender = SendRequest<Empty<Bytes>>;

async fn http2(proxy: &Proxy) -> (Sender, tokio::task::JoinHandle<hyper::Result<()>>) {
    http2_with_room(proxy, 64 * 1024).await
}

/// A client that takes so many bytes of each answer before it is asked.
async fn http2_with_room(proxy: &Proxy, bytes: u32) -> (Sender, tokio::task::JoinHandle<hyper::Result<()>>) {
    let stream = TokioIo::new(proxy.raw_stream().await);
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (sender, connection) = builder.initial_stream_window_size(bytes).handshake(stream).await.expect("a connection");
    (sender, tokio::spawn(connection))
}

fn get() -> Request<Empty<Bytes>> {
    Request::get("http://app.test/").body(Empty::new()).expect("a request")
}

#[tokio::test]
async fn heads_that_do_not_come_are_not_waited_for() {
    let instance = Instance::named("a").await;
    let proxy = impatient(&instance).await;
    for begun in ["", "G", "GET / HTTP/1.1\r\nHost: a\r\nX-A: ", "PR", "PRI * HTTP/2.0\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut stream = proxy.raw_stream().await;
        stream.write_all(begun.as_bytes()).await.expect("written");
        let mut rest = Vec::new();
        let _ = within(stream.read_to_end(&mut rest)).await;
        assert!(!rest.starts_with(b"HTTP/1.1 200"), "{begun:?}");
    }
    let mut kept = proxy.connect().await;
    assert_eq!(kept.get("/").await.0, StatusCode::OK);
    nobody_left(&proxy).await;
}

/// One that answers pings would otherwise stay for ever.
#[tokio::test]
async fn http2_clients_that_ask_for_nothing_are_told_to_go() {
    let instance = Instance::named("a").await;
    let proxy = impatient(&instance).await;
    let (mut sender, connection) = http2(&proxy).await;
    assert_eq!(within(sender.send_request(get())).await.expect("an answer").status(), StatusCode::OK);
    within(connection).await.expect("no panic").expect("a clean end");
    nobody_left(&proxy).await;
}

/// An answer without end.
struct Endless;

impl Body for Endless {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[7; 64 * 1024])))))
    }
}

#[tokio::test]
async fn clients_that_take_nothing_of_their_answers_are_cut() {
    let instance = Instance::start(|_| async { Response::new(BoxBody::new(Endless)) }).await;
    let proxy = impatient(&instance).await;
    let mut stream = proxy.raw_stream().await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("written");
    let (mut none, _connection) = http2_with_room(&proxy, 0).await;
    let (mut some, _connection) = http2(&proxy).await;
    let _answers = (within(none.send_request(get())).await, within(some.send_request(get())).await);
    nobody_left(&proxy).await;
}

/// The instance is waiting, not the client.
#[tokio::test]
async fn clients_that_wait_for_an_event_are_left_alone() {
    let (sent, pieces) = tokio::sync::mpsc::unbounded_channel::<Bytes>();
    let pieces = Arc::new(std::sync::Mutex::new(Some(pieces)));
    let instance = Instance::start(move |_| {
        let pieces = pieces.lock().expect("a lock").take().expect("one request");
        async { Response::new(BoxBody::new(Pieces(pieces))) }
    })
    .await;
    let proxy = impatient(&instance).await;
    let (mut sender, _connection) = http2(&proxy).await;
    sent.send(Bytes::from("first")).expect("it is being read");
    let mut answer = within(sender.send_request(get())).await.expect("an answer").into_body();
    for event in ["first", "second"] {
        let frame = within(answer.frame()).await.expect("more").expect("unbroken").into_data().expect("data");
        assert_eq!(frame, event);
        // Longer than the patience that a client which takes nothing meets: others are told to go, one after the other.
        for _ in 0..4 {
            let (_idle, connection) = http2(&proxy).await;
            let _ = within(connection).await.expect("no panic");
        }
        let _ = sent.send(Bytes::from("second"));
    }
}

#[tokio::test]
async fn clients_that_take_back_what_they_ask_for_are_cut() {
    let arrived = Arc::new(Notify::new());
    let told = Arc::clone(&arrived);
    let instance = Instance::start(move |_| {
        told.notify_one();
        std::future::pending()
    })
    .await;
    let proxy = Proxy::start().await;
    proxy.put(1, &[("a", 10_000, &[instance.address])]).await;
    let (sender, connection) = http2(&proxy).await;
    let mut taken_back = 0;
    while !connection.is_finished() {
        let mut sender = sender.clone();
        let asking = tokio::spawn(async move { sender.send_request(get()).await.map(drop) });
        let cut = eventually(async || match asking.is_finished() {
            true => Some(true),
            false => tokio::time::timeout(Duration::from_millis(1), arrived.notified()).await.ok().map(|()| false),
        })
        .await;
        asking.abort();
        taken_back += usize::from(!cut);
        assert!(taken_back < 2_000, "it goes on and on");
    }
    nobody_left(&proxy).await;
}
