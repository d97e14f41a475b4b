//! A proxy, backends and clients, all on the loopback interface.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use host::proxy::{self, Backend, Client, Config, Counts, Limits, Route, RouteAnswer, ServiceStats};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub const PATIENCE: Duration = Duration::from_secs(20);

/// A proxy on a thread of its own, with one service `web`.
pub struct Proxy {
    pub dir: tempfile::TempDir,
    pub client: Client,
    pub port: u16,
    thread: Option<std::thread::JoinHandle<Result<(), proxy::Error>>>,
}

impl Proxy {
    pub async fn start() -> Proxy {
        Proxy::start_with(Limits::default()).await
    }

    pub async fn start_with(limits: Limits) -> Proxy {
        let dir = tempfile::tempdir().expect("a directory");
        let (thread, client) = run(dir.path(), limits).await;
        Proxy { dir, client, port: free_port(), thread: Some(thread) }
    }

    pub async fn restart(&mut self) {
        self.stop().await;
        let (thread, client) = run(self.dir.path(), Limits::default()).await;
        (self.thread, self.client) = (Some(thread), client);
    }

    pub async fn stop(&mut self) {
        self.client.shutdown().await.expect("the proxy agrees to stop");
        let thread = self.thread.take().expect("it runs");
        tokio::task::spawn_blocking(|| thread.join()).await.expect("a thread").expect("no panic").expect("a clean end");
    }

    pub async fn put(&self, generation: u64, backends: &[(&str, u32, &[SocketAddr])]) {
        let answer = self.client.put_route("web", &self.route(generation, backends)).await;
        assert_eq!(answer.expect("an answer"), RouteAnswer::Applied);
    }

    pub fn route(&self, generation: u64, backends: &[(&str, u32, &[SocketAddr])]) -> Route {
        let backend = |(name, weight, endpoints): &(&str, u32, &[SocketAddr])| {
            let endpoints = endpoints.iter().map(SocketAddr::to_string).collect();
            ((*name).to_owned(), Backend { weight: *weight, endpoints })
        };
        Route { generation, port: self.port, backends: backends.iter().map(backend).collect(), synthetic: None }
    }

    pub async fn stats(&self) -> ServiceStats {
        self.client.stats().await.expect("stats").services.remove("web").expect("the service")
    }

    pub async fn users(&self, revision: &str) -> Counts {
        self.stats().await.counts.remove(revision).expect("the revision").users
    }

    pub async fn connect(&self) -> Connection {
        Connection::open(self.port).await
    }

    pub async fn get(&self, path: &str) -> (StatusCode, String) {
        self.connect().await.get(path).await
    }

    /// Sends these bytes and returns everything until the proxy closes.
    pub async fn raw(&self, request: &[u8]) -> String {
        let mut stream = self.raw_stream().await;
        stream.write_all(request).await.expect("written");
        let mut answer = Vec::new();
        // A reset after the answer is the proxy not reading what it refused.
        let _ = within(stream.read_to_end(&mut answer)).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub async fn raw_stream(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).await.expect("the proxy listens")
    }
}

async fn run(dir: &Path, limits: Limits) -> (std::thread::JoinHandle<Result<(), proxy::Error>>, Client) {
    let config = Config { dir: dir.to_owned(), threads: 2, limits };
    let thread = std::thread::spawn(|| proxy::run(config));
    (thread, connected(dir).await)
}

/// A client of the proxy of this directory, as soon as it answers.
pub async fn connected(dir: &Path) -> Client {
    let socket = proxy::socket_path(dir);
    eventually(async || Client::connect(&socket).await.ok()).await
}

/// A client's connection, kept alive.
pub struct Connection {
    sender: hyper::client::conn::http1::SendRequest<BoxBody<Bytes, Infallible>>,
}

impl Connection {
    pub async fn open(port: u16) -> Connection {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("somebody listens");
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a connection");
        tokio::spawn(connection);
        Connection { sender }
    }

    pub async fn get(&mut self, path: &str) -> (StatusCode, String) {
        self.send(request("GET", path, &[])).await
    }

    pub async fn send(&mut self, request: Request<BoxBody<Bytes, Infallible>>) -> (StatusCode, String) {
        let (parts, body) = self.begin(request).await.into_parts();
        let body = within(body.collect()).await.expect("a whole body").to_bytes();
        (parts.status, String::from_utf8_lossy(&body).into_owned())
    }

    /// The head of the answer, its body still to come.
    pub async fn begin(&mut self, request: Request<BoxBody<Bytes, Infallible>>) -> Response<Incoming> {
        within(self.sender.ready()).await.expect("the connection lives");
        within(self.sender.send_request(request)).await.expect("an answer")
    }
}

pub fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Request<BoxBody<Bytes, Infallible>> {
    with_body(method, path, headers, Empty::new())
}

pub fn with_body(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Body<Data = Bytes, Error = Infallible> + Send + Sync + 'static,
) -> Request<BoxBody<Bytes, Infallible>> {
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", "app.test");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(BoxBody::new(body)).expect("a request")
}

/// An instance, served on tasks of the test's runtime.
pub struct Instance {
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
    pub requests: Arc<AtomicUsize>,
}

pub type Reply = Response<BoxBody<Bytes, Infallible>>;

impl Instance {
    /// Answers everything with its name.
    pub async fn named(name: &'static str) -> Instance {
        Instance::start(move |_| async move { text(StatusCode::OK, name) }).await
    }

    pub async fn start<F, A>(answer: F) -> Instance
    where
        F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Reply> + Send + 'static,
    {
        let (requests, counted) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&requests);
        let mut instance = Instance::raw(move |stream| {
            let (answer, count) = (answer.clone(), Arc::clone(&count));
            async move {
                let service = service_fn(move |request| {
                    count.fetch_add(1, SeqCst);
                    let reply = answer(request);
                    async move { Ok::<_, Infallible>(reply.await) }
                });
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            }
        })
        .await;
        drop(counted);
        instance.requests = requests;
        instance
    }

    /// Does with each connection what it likes.
    pub async fn raw<F, A>(serve: F) -> Instance
    where
        F: Fn(TcpStream) -> A + Send + Sync + 'static,
        A: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, SeqCst);
                tokio::spawn(serve(stream));
            }
        });
        Instance { address, connections, requests: Arc::default() }
    }
}

pub fn text(status: StatusCode, text: impl Into<String>) -> Reply {
    let mut reply = Response::new(BoxBody::new(Full::new(Bytes::from(text.into()))));
    *reply.status_mut() = status;
    reply
}

/// Reads from a raw stream until the text has come, and returns everything read.
pub async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(end) {
        let mut more = [0; 4096];
        let count = within(stream.read(&mut more)).await.expect("readable");
        assert!(count > 0, "closed before {end:?}: {}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&more[..count]);
    }
    String::from_utf8_lossy(&seen).into_owned()
}

/// An address nobody listens at.
pub fn nobody() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

pub async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it happens in time")
}

/// Asks again until there is something, and fails when the deadline is over.
pub async fn eventually<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = tokio::time::interval(Duration::from_millis(2));
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(Instant::now() < deadline, "it did not happen in time");
        pause.tick().await;
    }
}

pub fn tallied(names: impl IntoIterator<Item = String>) -> BTreeMap<String, usize> {
    let mut tally = BTreeMap::new();
    names.into_iter().for_each(|it| *tally.entry(it).or_default() += 1);
    tally
}
