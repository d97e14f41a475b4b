//! What HTTP asks of something in the middle.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll};

use http::{Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Frame};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::world::{Instance, Proxy, eventually, read_until, request, text, with_body, within};

/// A body that is as long as somebody goes on sending.
pub struct Pieces(pub mpsc::UnboundedReceiver<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|it| it.map(|it| Ok(Frame::data(it))))
    }
}

/// Says what it got.
async fn mirror() -> Instance {
    Instance::start(|request| async move {
        let (parts, body) = request.into_parts();
        let mut lines: Vec<String> =
            parts.headers.iter().map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))).collect();
        lines.sort();
        let body = body.collect().await.map_or(usize::MAX, |it| it.to_bytes().len());
        text(StatusCode::OK, format!("{} {} {:?}\n{}\nbody {body}", parts.method, parts.uri, parts.version, lines.join("\n")))
    })
    .await
}

async fn in_front_of(instance: &Instance) -> Proxy {
    let proxy = Proxy::start().await;
    proxy.put(1, &[("a", 10_000, &[instance.address])]).await;
    proxy
}

#[tokio::test]
async fn ambiguous_and_broken_requests_are_refused_and_go_nowhere() {
    let instance = mirror().await;
    let proxy = in_front_of(&instance).await;
    let table = [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nbad header: 1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX-A : 1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n folded\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\0\r\n\r\n", 400),
        ("GE(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\nabc", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\nabc", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\rX-B: 2\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
        ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/3.1\r\nHost: a\r\n\r\n", 400),
        ("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ];
    for (raw, status) in table {
        let raw = raw.replacen("\r\n", "\r\nConnection: close\r\n", 1);
        let answer = proxy.raw(raw.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{raw:?}: {answer:?}");
    }
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-A: {}\r\n\r\n", "x".repeat(70_000));
    assert!(proxy.raw(large.as_bytes()).await.starts_with("HTTP/1.1 431 "));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{}\r\n", "X-A: 1\r\n".repeat(200));
    assert!(proxy.raw(many.as_bytes()).await.starts_with("HTTP/1.1 431 "));
    assert_eq!(instance.requests.load(SeqCst), 0);
    assert_eq!(proxy.users("a").await, host::proxy::Counts::default());
}

#[tokio::test]
async fn a_smuggled_request_behind_an_honest_one_is_refused_too() {
    let instance = mirror().await;
    let proxy = in_front_of(&instance).await;
    let mut stream = proxy.raw_stream().await;
    stream.write_all(b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("written");
    read_until(&mut stream, "body 0").await;
    let both =
        "POST /second HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /third HTTP/1.1\r\n\r\n";
    stream.write_all(both.as_bytes()).await.expect("written");
    let mut rest = String::new();
    let _ = within(stream.read_to_string(&mut rest)).await;
    assert!(rest.starts_with("HTTP/1.1 400 ") && rest.matches("HTTP/1.1").count() == 1, "{rest}");
    assert_eq!(instance.requests.load(SeqCst), 1);
}

#[tokio::test]
async fn nothing_hides_behind_a_body_in_malformed_pieces() {
    let instance = mirror().await;
    let proxy = in_front_of(&instance).await;
    let sizes = ["-1", "+3", "0x3", " 3", "g", "", "10000000000000003", "3\n", "3\r", "3;a=\n1"];
    for size in sizes {
        let raw = format!(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{size}\r\nabc\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"
        );
        let answer = proxy.raw(raw.as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{size:?}: {answer}");
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{size:?}: {answer}");
    }
    let sum = sizes.len() as u64;
    let users = eventually(async || Some(proxy.users("a").await).filter(|it| it.requests + it.aborted == sum)).await;
    assert_eq!((users.requests, users.bad), (0, 0), "the clients are to blame, each for one request");
}

#[tokio::test]
async fn answers_that_can_be_read_in_two_ways_are_made_plain_or_refused() {
    let table = [
        ("Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", 200, "\r\ncontent-length: 2\r\n", "ok"),
        ("Content-Length: 2, 2\r\n\r\nok", 200, "\r\ncontent-length: 2\r\n", "ok"),
        (
            "Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            200,
            "\r\ntransfer-encoding: chunked\r\n",
            "0\r\n\r\n",
        ),
        ("Content-Length: 2\r\nContent-Length: 3\r\n\r\nok!", 502, "", "\n"),
        ("Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 502, "", "`chunked`\n"),
        ("Transfer-Encoding: gzip\r\n\r\nok", 502, "", "`chunked`\n"),
        ("X-A: 1\r\n folded\r\nContent-Length: 2\r\n\r\nok", 502, "", "\n"),
    ];
    for (rest, status, part, end) in table {
        let instance = Instance::raw(move |mut stream| async move {
            read_until(&mut stream, "\r\n\r\n").await;
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n{rest}").as_bytes()).await;
        })
        .await;
        let proxy = in_front_of(&instance).await;
        let answer = proxy.raw(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.ends_with(end), "{rest:?}: {answer}");
        assert!(answer.contains(part) && answer.matches("\r\ncontent-length").count() <= 1, "{rest:?}: {answer}");
        assert!(!answer.contains("content-length: 9"), "{rest:?}: {answer}");
    }
}

#[tokio::test]
async fn heads_arrive_as_they_should() {
    let instance = mirror().await;
    let proxy = in_front_of(&instance).await;
    let raw = "GET http://real.test/p?q=1 HTTP/1.1\r\nHost: other.test\r\nX-Private: 1\r\nConnection: close, x-private\r\n\r\n";
    let answer = proxy.raw(raw.as_bytes()).await;
    let expected = "GET /p?q=1 HTTP/1.1\nforwarded: for=127.0.0.1;host=\"real.test\";proto=http\nhost: real.test\n\
                    x-forwarded-for: 127.0.0.1\nx-forwarded-host: real.test\nx-forwarded-proto: http\nbody 0";
    assert!(answer.ends_with(expected), "{answer}");
    let old = proxy.raw(b"GET /old HTTP/1.0\r\n\r\n").await;
    assert!(old.contains("GET /old HTTP/1.1\n") && old.contains(&format!("\nhost: 127.0.0.1:{}\n", proxy.port)), "{old}");
    assert!(proxy.raw(b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.contains("OPTIONS * HTTP/1.1\n"));
}

#[tokio::test]
async fn answers_without_a_body_have_none() {
    let instance = Instance::start(|request| async move {
        let mut reply = match request.uri().path() {
            "/204" => text(StatusCode::NO_CONTENT, ""),
            "/304" => text(StatusCode::NOT_MODIFIED, ""),
            _ => text(StatusCode::OK, "12345"),
        };
        reply.headers_mut().insert("connection", "x-private".parse().expect("a value"));
        reply.headers_mut().insert("x-private", "1".parse().expect("a value"));
        reply
    })
    .await;
    let proxy = in_front_of(&instance).await;
    let mut stream = proxy.raw_stream().await;
    for (asked, status, length) in
        [("HEAD /", 200, Some("content-length: 5")), ("GET /204", 204, None), ("GET /304", 304, None), ("GET /", 200, None)]
    {
        stream.write_all(format!("{asked} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await.expect("written");
        let end = if asked == "GET /" { "12345" } else { "\r\n\r\n" };
        let answer = read_until(&mut stream, end).await.to_lowercase();
        assert!(answer.starts_with(&format!("http/1.1 {status} ")) && answer.ends_with(end), "{asked}: {answer}");
        assert!(length.is_none_or(|it| answer.contains(it)) && !answer.contains("x-private"), "{asked}: {answer}");
    }
    // The connection to the instance was good for all of them.
    assert_eq!(instance.connections.load(SeqCst), 1);
    assert_eq!(proxy.users("a").await.requests, 4);
}

#[tokio::test]
async fn connections_are_kept_on_both_sides() {
    let instance = Instance::named("a").await;
    let proxy = in_front_of(&instance).await;
    let mut connection = proxy.connect().await;
    for _ in 0..50 {
        assert_eq!(connection.get("/").await.0, StatusCode::OK);
    }
    assert_eq!(instance.connections.load(SeqCst), 1);
    assert_eq!(proxy.stats().await.open_connections, 1);
    drop(connection);
    eventually(async || (proxy.stats().await.open_connections == 0).then_some(())).await;
}

#[tokio::test]
async fn a_client_that_waits_for_leave_to_send_gets_it() {
    let instance = mirror().await;
    let proxy = in_front_of(&instance).await;
    let mut stream = proxy.raw_stream().await;
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head).await.expect("written");
    assert_eq!(read_until(&mut stream, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"12345").await.expect("written");
    let answer = read_until(&mut stream, "body 5").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && !answer.contains("expect:"), "{answer}");
}

#[tokio::test]
async fn large_bodies_stream_both_ways() {
    let instance = Instance::start(|request| async move { Response::new(BoxBody::new(Echo(request.into_body()))) }).await;
    let proxy = in_front_of(&instance).await;
    let (sender, pieces) = mpsc::unbounded_channel();
    let mut connection = proxy.connect().await;
    let mut answer = connection.begin(with_body("POST", "/", &[], Pieces(pieces))).await.into_body();
    let piece = Bytes::from(vec![7; 64 * 1024]);
    for _ in 0..160 {
        sender.send(piece.clone()).expect("it is being read");
        let mut back = 0;
        while back < piece.len() {
            let frame = within(answer.frame()).await.expect("more").expect("unbroken").into_data().expect("data");
            assert!(frame.iter().all(|it| *it == 7));
            back += frame.len();
        }
    }
    drop(sender);
    assert!(within(answer.frame()).await.is_none());
    let users = eventually(async || Some(proxy.users("a").await).filter(|it| it.requests == 1)).await;
    assert_eq!((users.bad, users.aborted), (0, 0));
}

/// What comes in goes out.
struct Echo(hyper::body::Incoming);

impl Body for Echo {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.0).poll_frame(context).map(|it| it.and_then(Result::ok).map(Ok))
    }
}

#[tokio::test]
async fn events_arrive_as_they_happen() {
    let (sender, pieces) = mpsc::unbounded_channel();
    let pieces = std::sync::Arc::new(std::sync::Mutex::new(Some(pieces)));
    let instance = Instance::start(move |_| {
        let pieces = pieces.lock().expect("a lock").take().expect("one request");
        let mut reply = Response::new(BoxBody::new(Pieces(pieces)));
        reply.headers_mut().insert("content-type", "text/event-stream".parse().expect("a value"));
        async { reply }
    })
    .await;
    let proxy = in_front_of(&instance).await;
    let mut connection = proxy.connect().await;
    let mut events = connection.begin(request("GET", "/", &[])).await.into_body();
    for event in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
        sender.send(Bytes::from(event)).expect("it is being read");
        let frame = within(events.frame()).await.expect("more").expect("unbroken").into_data().expect("data");
        assert_eq!(frame, event);
    }
    let stats = proxy.stats().await.counts.remove("a").expect("the revision");
    assert_eq!((stats.users.requests, stats.in_flight), (1, 1), "an event stream counts when it begins");
    drop((events, connection));
    let stats = eventually(async || {
        let stats = proxy.stats().await.counts.remove("a").expect("the revision");
        (stats.in_flight == 0).then_some(stats)
    })
    .await;
    assert_eq!((stats.users.requests, stats.users.bad, stats.users.aborted), (1, 0, 0));
}

#[tokio::test]
async fn websockets_are_tunnelled() {
    let instance = Instance::raw(|mut stream: TcpStream| async move {
        let head = read_until(&mut stream, "\r\n\r\n").await.to_lowercase();
        assert!(head.contains("upgrade: websocket\r\n") && head.contains("connection: upgrade\r\n"), "{head}");
        assert!(head.contains("sec-websocket-key: abc\r\n"), "{head}");
        let agreed =
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: xyz\r\n\r\nhello";
        stream.write_all(agreed).await.expect("written");
        let (mut read, mut write) = stream.split();
        let _ = tokio::io::copy(&mut read, &mut write).await;
    })
    .await;
    let proxy = in_front_of(&instance).await;
    let mut stream = proxy.raw_stream().await;
    let head =
        b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: abc\r\n\r\nearly";
    stream.write_all(head).await.expect("written");
    let answer = read_until(&mut stream, "early").await;
    let lower = answer.to_lowercase();
    assert!(lower.starts_with("http/1.1 101 ") && lower.contains("upgrade: websocket\r\n"), "{answer}");
    assert!(lower.contains("sec-websocket-accept: xyz\r\n") && answer.ends_with("helloearly"), "{answer}");
    // A change of route leaves the tunnel alone.
    proxy.put(2, &[("b", 0, &[])]).await;
    stream.write_all(b"after the change").await.expect("written");
    read_until(&mut stream, "after the change").await;
    let stats = proxy.stats().await;
    assert_eq!((stats.counts["a"].in_flight, stats.counts["a"].users.requests, stats.open_connections), (1, 1, 1));
    stream.shutdown().await.expect("closed");
    assert_eq!(within(stream.read(&mut [0; 16])).await.expect("the end"), 0);
    let ended = async || {
        let stats = proxy.stats().await;
        (stats.counts["a"].in_flight == 0 && stats.open_connections == 0).then_some(())
    };
    eventually(ended).await;
}

#[tokio::test]
async fn http2_is_spoken_in_the_clear() {
    let instance = mirror().await;
    let proxy = in_front_of(&instance).await;
    let stream = proxy.raw_stream().await;
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("a connection");
    tokio::spawn(connection);
    let send = |request: Request<Full<Bytes>>| {
        let mut sender = sender.clone();
        async move {
            let answer = within(sender.send_request(request)).await.expect("an answer");
            let status = answer.status();
            let body = within(answer.into_body().collect()).await.expect("a body").to_bytes();
            (status, String::from_utf8_lossy(&body).into_owned())
        }
    };
    let get = Request::get("http://app.test/p?q").header("cookie", "a=1").header("cookie", "b=2").body(Full::default());
    let post = Request::post("http://app.test/up").body(Full::new(Bytes::from("12345")));
    let (get, post) = tokio::join!(send(get.expect("a request")), send(post.expect("a request")));
    let expected = "GET /p?q HTTP/1.1\ncookie: a=1; b=2\nforwarded: for=127.0.0.1;host=\"app.test\";proto=http\nhost: app.test\n\
                    x-forwarded-for: 127.0.0.1\nx-forwarded-host: app.test\nx-forwarded-proto: http\nbody 0";
    assert_eq!(get, (StatusCode::OK, expected.to_owned()));
    assert!(post.0 == StatusCode::OK && post.1.starts_with("POST /up HTTP/1.1\n") && post.1.ends_with("body 5"), "{}", post.1);
    let users = eventually(async || Some(proxy.users("a").await).filter(|it| it.requests == 2)).await;
    assert_eq!((users.bad, users.aborted), (0, 0));
}

#[tokio::test]
async fn requests_sent_ahead_are_answered_in_order() {
    let instance = mirror().await;
    let proxy = in_front_of(&instance).await;
    let raw = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = proxy.raw(raw.as_bytes()).await;
    let paths: Vec<_> = answer.lines().filter_map(|it| it.split_once("GET /")?.1.split_once(' ')).map(|it| it.0).collect();
    assert_eq!(paths, ["1", "2", "3"], "{answer}");
}

/// What HTTP/2 could say and HTTP/1.1 to the instance could not, sent as frames.
#[tokio::test]
async fn requests_over_http2_are_no_looser() {
    let instance = mirror().await;
    let proxy = in_front_of(&instance).await;
    // Fields of the static table by their number, others in full: `:method POST`, `:scheme http`, `:path /`.
    let begin = [0x83, 0x86, 0x84].to_vec();
    let field = |name: &str, value: &str| {
        let mut field = vec![0x00, name.len() as u8];
        field.extend_from_slice(name.as_bytes());
        field.push(value.len() as u8);
        field.extend_from_slice(value.as_bytes());
        field
    };
    let host = field(":authority", "a.test");
    let table: [(&str, Vec<Vec<u8>>); 6] = [
        ("no authority", vec![]),
        ("a length that is not that of the body", vec![host.clone(), field("content-length", "5")]),
        ("two lengths", vec![host.clone(), field("content-length", "0"), field("content-length", "5")]),
        ("a transfer coding", vec![host.clone(), field("transfer-encoding", "chunked")]),
        ("a field of the connection", vec![host.clone(), field("connection", "close")]),
        ("a line break in a value", vec![host, field("x-a", "1\r\nx-b: 2")]),
    ];
    for (what, fields) in table {
        let block = [begin.clone(), fields.concat()].concat();
        let mut stream = proxy.raw_stream().await;
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00".to_vec();
        bytes.extend_from_slice(&[0, 0, block.len() as u8, 0x1, 0x5, 0, 0, 0, 1]);
        bytes.extend_from_slice(&block);
        stream.write_all(&bytes).await.expect("written");
        let refused = async {
            loop {
                let mut head = [0; 9];
                if stream.read_exact(&mut head).await.is_err() {
                    return "closed".to_owned();
                }
                let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
                stream.read_exact(&mut payload).await.expect("a whole frame");
                match head[3] {
                    // 0x8d is `:status 404` and 0x8c is `:status 400` in the static table.
                    0x1 => return format!("answered {:#x}", payload[0]),
                    0x3 | 0x7 => return "refused".to_owned(),
                    _ => {}
                }
            }
        };
        let refused = within(refused).await;
        assert!(["refused", "answered 0x8c"].contains(&refused.as_str()), "{what}: {refused}");
    }
    assert_eq!(instance.requests.load(SeqCst), 0);
}
