//! What goes wrong, what is tried again, and whose fault it is counted as.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use host::proxy::{Counts, Limits};
use http::StatusCode;
use http_body_util::Full;
use hyper::body::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::world::{Connection, Instance, Proxy, eventually, nobody, read_until, request, text, with_body, within};

/// Requests, bad ones and aborted ones, as soon as that many are in the books.
async fn counted(proxy: &Proxy, sum: u64) -> (u64, u64, u64) {
    let counts = |it: &Counts| (it.requests, it.bad, it.aborted);
    eventually(async || {
        let users = proxy.users("a").await;
        (users.requests + users.aborted == sum).then(|| counts(&users))
    })
    .await
}

#[tokio::test]
async fn a_dead_instance_is_passed_over() {
    let proxy = Proxy::start().await;
    let (alive, dead) = (Instance::named("alive").await, nobody());
    proxy.put(1, &[("a", 10_000, &[dead, alive.address])]).await;
    for _ in 0..20 {
        let posted = with_body("POST", "/", &[], Full::new(Bytes::from("text")));
        assert_eq!(proxy.connect().await.send(posted).await, (StatusCode::OK, "alive".to_owned()));
    }
    assert_eq!(counted(&proxy, 20).await, (20, 0, 0));
    let endpoints = proxy.stats().await.endpoints.remove("a").expect("the revision");
    let skipped: Vec<_> = endpoints.iter().filter(|it| it.skipped).map(|it| it.address.clone()).collect();
    assert_eq!(skipped, [dead.to_string()]);
}

#[tokio::test]
async fn with_all_instances_dead_the_revision_is_to_blame() {
    let proxy = Proxy::start().await;
    let dead = nobody();
    proxy.put(1, &[("a", 10_000, &[dead])]).await;
    let (status, body) = proxy.get("/").await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    assert!(body.starts_with(&format!("plimsoll: the instance at {dead} can't be reached: ")), "{body}");
    assert_eq!(counted(&proxy, 1).await, (1, 1, 0));
}

#[tokio::test]
async fn answers_are_judged_by_their_status() {
    let proxy = Proxy::start().await;
    let instance = Instance::start(|request| {
        let status = request.uri().path()[1..].parse().expect("a status");
        async move { text(StatusCode::from_u16(status).expect("a status"), "") }
    })
    .await;
    proxy.put(1, &[("a", 10_000, &[instance.address])]).await;
    let mut bad = 0;
    for (sum, (status, counts_bad)) in
        [(200, false), (204, false), (304, false), (404, false), (429, false), (500, true), (503, true)].into_iter().enumerate()
    {
        assert_eq!(proxy.get(&format!("/{status}")).await.0.as_u16(), status);
        bad += u64::from(counts_bad);
        let sum = sum as u64 + 1;
        assert_eq!(counted(&proxy, sum).await, (sum, bad, 0), "after {status}");
    }
}

#[tokio::test]
async fn a_client_that_goes_away_is_nobodys_fault() {
    let proxy = Proxy::start().await;
    let arrived = Arc::new(Notify::new());
    let told = Arc::clone(&arrived);
    let instance = Instance::start(move |_| {
        told.notify_one();
        std::future::pending()
    })
    .await;
    proxy.put(1, &[("a", 10_000, &[instance.address])]).await;
    let mut stream = proxy.raw_stream().await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("written");
    within(arrived.notified()).await;
    assert_eq!(proxy.stats().await.counts["a"].in_flight, 1);
    drop(stream);
    assert_eq!(counted(&proxy, 1).await, (0, 0, 1));
    assert_eq!(proxy.stats().await.counts["a"].in_flight, 0);
}

#[tokio::test]
async fn an_instance_that_does_not_answer_in_time_is_bad() {
    let limits = Limits { first_byte_timeout: Duration::from_millis(50), ..Limits::default() };
    let proxy = Proxy::start_with(limits).await;
    let instance = Instance::start(|_| std::future::pending()).await;
    proxy.put(1, &[("a", 10_000, &[instance.address])]).await;
    let (status, body) = proxy.get("/").await;
    assert_eq!((status.as_u16(), body.as_str()), (504, "plimsoll: the instance did not begin to answer within 0.05 s\n"));
    assert_eq!(counted(&proxy, 1).await, (1, 1, 0));
}

#[tokio::test]
async fn a_client_that_stops_in_the_middle_of_its_request_is_to_blame_itself() {
    let limits = Limits { first_byte_timeout: Duration::from_millis(50), ..Limits::default() };
    let proxy = Proxy::start_with(limits).await;
    let instance = Instance::start(|request| async move {
        use http_body_util::BodyExt;
        let whole = request.into_body().collect().await;
        text(StatusCode::OK, format!("{}", whole.is_ok()))
    })
    .await;
    proxy.put(1, &[("a", 10_000, &[instance.address])]).await;
    let mut stream = proxy.raw_stream().await;
    stream.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345").await.expect("written");
    let answer = read_until(&mut stream, "did not come").await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_eq!(counted(&proxy, 1).await, (0, 0, 1));
    let malformed = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\n";
    let answer = proxy.raw(malformed).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(counted(&proxy, 2).await, (0, 0, 2));
}

/// Answers one request on each connection, and closes it without a word when a second one comes.
async fn closing(heads: Arc<AtomicUsize>) -> Instance {
    Instance::raw(move |mut stream: TcpStream| {
        let heads = Arc::clone(&heads);
        async move {
            let mut answered = false;
            let mut seen = Vec::new();
            loop {
                let mut more = [0; 1024];
                match stream.read(&mut more).await {
                    Ok(0) | Err(_) => return,
                    Ok(count) => seen.extend_from_slice(&more[..count]),
                }
                if !seen.windows(4).any(|it| it == b"\r\n\r\n") {
                    continue;
                }
                heads.fetch_add(1, SeqCst);
                if answered {
                    return;
                }
                answered = true;
                seen.clear();
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn only_what_may_be_repeated_is_repeated() {
    // One thread would do; with two, a connection's requests still stay on one.
    let proxy = Proxy::start().await;
    let heads = Arc::new(AtomicUsize::new(0));
    let instance = closing(Arc::clone(&heads)).await;
    proxy.put(1, &[("a", 10_000, &[instance.address])]).await;
    let mut connection = proxy.connect().await;
    assert_eq!(connection.get("/").await.0, StatusCode::OK);
    assert_eq!(heads.load(SeqCst), 1);
    assert_eq!(connection.get("/").await.0, StatusCode::OK);
    assert_eq!(heads.load(SeqCst), 3, "the second was sent again on a fresh connection");
    let posted = with_body("POST", "/", &[], Full::new(Bytes::from("pay")));
    assert_eq!(connection.send(posted).await.0, StatusCode::BAD_GATEWAY);
    assert_eq!(heads.load(SeqCst), 4, "the instance may have acted on it, so it is not sent twice");
    assert_eq!(connection.get("/").await.0, StatusCode::OK);
    assert_eq!(connection.send(request("POST", "/", &[])).await.0, StatusCode::BAD_GATEWAY);
    assert_eq!(heads.load(SeqCst), 6);
    assert_eq!(counted(&proxy, 5).await, (5, 2, 0));
}

#[tokio::test]
async fn a_fresh_connection_that_closes_is_not_tried_again() {
    let proxy = Proxy::start().await;
    let instance = Instance::raw(|mut stream| async move {
        let mut some = [0; 1024];
        let _ = stream.read(&mut some).await;
    })
    .await;
    proxy.put(1, &[("a", 10_000, &[instance.address])]).await;
    assert_eq!(proxy.get("/").await.0, StatusCode::BAD_GATEWAY);
    assert_eq!(instance.connections.load(SeqCst), 1);
    assert_eq!(counted(&proxy, 1).await, (1, 1, 0));
}

#[tokio::test]
async fn an_answer_cut_short_is_bad() {
    let proxy = Proxy::start().await;
    let instance = Instance::raw(|mut stream| async move {
        let mut some = [0; 1024];
        let _ = stream.read(&mut some).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345").await;
    })
    .await;
    proxy.put(1, &[("a", 10_000, &[instance.address])]).await;
    let answer = proxy.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(counted(&proxy, 1).await, (1, 1, 0));
}

#[tokio::test]
async fn what_is_no_http_answer_is_bad() {
    let proxy = Proxy::start().await;
    let instance = Instance::raw(|mut stream| async move {
        let mut some = [0; 1024];
        let _ = stream.read(&mut some).await;
        let _ = stream.write_all(b"SSH-2.0-OpenSSH\r\n\r\n").await;
    })
    .await;
    proxy.put(1, &[("a", 10_000, &[instance.address])]).await;
    assert_eq!(proxy.get("/").await.0, StatusCode::BAD_GATEWAY);
    assert_eq!(counted(&proxy, 1).await, (1, 1, 0));
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_their_turn() {
    let proxy = Proxy::start_with(Limits { connections_max: 1, ..Limits::default() }).await;
    let instance = Instance::named("a").await;
    proxy.put(1, &[("a", 10_000, &[instance.address])]).await;
    let mut first = proxy.connect().await;
    first.get("/").await;
    let port = proxy.port;
    let second = tokio::spawn(async move { Connection::open(port).await.get("/").await.0 });
    for _ in 0..20 {
        first.get("/").await;
    }
    assert_eq!((proxy.stats().await.open_connections, second.is_finished()), (1, false));
    drop(first);
    assert_eq!(within(second).await.expect("no panic"), StatusCode::OK);
}
