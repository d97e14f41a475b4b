//! One request: which revision, which instance, and what comes back.

use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::uri::Uri;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::answer::{Answer, Blame, Body, Failure, own};
use super::counters::Kind;
use super::downstream::Downstream;
use super::head;
use super::passing::{Passing, Ticket};
use super::streams::Streams;
use super::tunnel;
use super::upstream::{Connection, Pool, Progress, Upload};
use super::worker::{LocalRoute, Worker};

pub(super) async fn forward(downstream: Rc<Downstream>, mut request: Request<Incoming>) -> Answer {
    let service = &downstream.open.service;
    let worker = &downstream.open.worker;
    let route = Rc::clone(&service.route.borrow());
    let stream = downstream.streams.as_ref().map(Streams::begin);
    let client_side = request.headers().contains_key(header::UPGRADE).then(|| hyper::upgrade::on(&mut request));
    let unambiguous = downstream.tap.as_ref().map_or(Ok(()), |it| it.check(request.headers(), request.body()));
    let (mut parts, incoming) = request.into_parts();
    let choice = match unambiguous.and_then(|()| choose(&route, &parts)) {
        Ok(choice) => choice,
        Err(failure) => {
            service.shared.unrouted.fetch_add(1, Relaxed);
            return Ok(own(failure.status, &failure.sentence));
        }
    };
    let revision = &route.table.revisions[choice.revision];
    let mut ticket = Ticket::new(&revision.tally, worker.index, Kind::User, stream);
    let upgrade = head::upgrade(&parts);
    let upgrades = upgrade.is_some();
    head::to_backend(&mut parts, &mut downstream.forwarded.borrow_mut(), upgrade, route.table.port);
    let (upload, progress) = Upload::new(incoming);
    let head = Head { method: parts.method, uri: parts.uri, headers: parts.headers };
    let exchanged = Exchange { worker, route: &route, revision: choice.revision, upgrades, progress }.run(head, upload, &mut ticket).await;
    let mut response = match exchanged {
        Ok((response, connection, pool)) => {
            let client_side = client_side.filter(|_| upgrades);
            pass_on(&downstream, response, connection, pool, client_side, ticket)
        }
        Err(failure) => refuse(&failure, ticket),
    };
    if choice.asked {
        response.headers_mut().insert(head::REVISION, revision.name_value.clone());
    }
    Ok(response)
}

struct Choice {
    revision: usize,
    /// The client wants to be told.
    asked: bool,
}

fn choose(route: &LocalRoute, parts: &Parts) -> Result<Choice, Failure> {
    head::check(parts)?;
    let wish = parts.headers.get(head::REVISION);
    if let Some(wish) = wish.filter(|it| it.as_bytes() != b"?") {
        let revision = route.table.named(wish.as_bytes()).ok_or_else(|| not_served(wish.as_bytes()))?;
        return Ok(Choice { revision, asked: true });
    }
    if let Some(label) = first_label(parts) {
        let named = route.table.named(label);
        if let Some(revision) = named.filter(|_| route.table.revisions.len() > 1) {
            return Ok(Choice { revision, asked: true });
        }
        // Other names below the project's are the application's own.
        if named.is_none() && looks_like_a_revision(label) {
            return Err(not_served(label));
        }
    }
    let revision = route.table.next().ok_or_else(|| {
        Failure::backend(StatusCode::SERVICE_UNAVAILABLE, "no revision takes traffic here at the moment (all weights are 0)".to_owned())
    })?;
    Ok(Choice { revision, asked: wish.is_some() })
}

/// `http://REVISION.shop.localhost:8000/` is for a browser what the header is for a program. With one revision there is no choice.
fn first_label(parts: &Parts) -> Option<&[u8]> {
    let host = parts.uri.host().map(str::as_bytes).or_else(|| parts.headers.get(header::HOST).map(HeaderValue::as_bytes))?;
    let mut labels = host.split(|byte| *byte == b'.');
    labels.next().filter(|_| labels.next().is_some())
}

/// Twelve hexadecimal digits.
fn looks_like_a_revision(label: &[u8]) -> bool {
    label.len() == 12 && label.iter().all(u8::is_ascii_hexdigit)
}

fn not_served(wish: &[u8]) -> Failure {
    Failure::client(StatusCode::NOT_FOUND, format!("no revision `{}` is served here", String::from_utf8_lossy(wish)))
}

fn refuse(failure: &Failure, ticket: Ticket) -> Response<Body> {
    match failure.blame {
        Blame::Backend => ticket.failed(),
        Blame::Client => drop(ticket),
    }
    own(failure.status, &failure.sentence)
}

fn pass_on(
    downstream: &Rc<Downstream>,
    response: Response<Incoming>,
    connection: Connection,
    pool: Rc<Pool>,
    client_side: Option<OnUpgrade>,
    mut ticket: Ticket,
) -> Response<Body> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return match client_side {
            Some(client_side) => tunnel::open(Rc::clone(downstream), response, client_side, ticket),
            None => refuse(&Failure::backend(StatusCode::BAD_GATEWAY, "the instance changed protocols unasked".to_owned()), ticket),
        };
    }
    if let Err(sentence) = head::check_answer(response.headers()) {
        return refuse(&Failure::backend(StatusCode::BAD_GATEWAY, sentence.to_owned()), ticket);
    }
    let (mut parts, incoming) = response.into_parts();
    head::to_client(&mut parts.headers);
    parts.version = http::Version::HTTP_11;
    let bad = parts.status.is_server_error();
    if is_event_stream(&parts.headers) {
        ticket.count_answer(bad);
    }
    Response::from_parts(parts, Body::Passing(Passing::new(incoming, bad, ticket, Some((connection, pool)))))
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|it| it.as_bytes().starts_with(b"text/event-stream"))
}

#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
}

/// A request's dealings with the instances of its revision, until one answers or none can.
pub(super) struct Exchange<'a> {
    pub(super) worker: &'a Worker,
    pub(super) route: &'a LocalRoute,
    pub(super) revision: usize,
    pub(super) upgrades: bool,
    pub(super) progress: Option<Rc<Progress>>,
}

/// Connections that can be tried for one request, over all instances.
const ATTEMPTS_MAX: usize = 4;

type Answered = (Response<Incoming>, Connection, Rc<Pool>);

enum Sent {
    Answered(Answered),
    /// Nothing has happened to the request, so it may be sent once more.
    Again(Head, Upload),
}

impl Exchange<'_> {
    pub(super) async fn run(&self, mut head: Head, mut upload: Upload, ticket: &mut Ticket) -> Result<Answered, Failure> {
        // A request with a body whose length nobody said has to keep saying that there is one.
        if self.progress.is_some() && !head.headers.contains_key(header::CONTENT_LENGTH) {
            head.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        let repeatable = self.progress.is_none() && !self.upgrades && head.method.is_idempotent();
        let (mut refused, mut pooled) = (Vec::new(), true);
        let mut failure = Failure::backend(StatusCode::BAD_GATEWAY, "the revision has no instance".to_owned());
        for _ in 0..ATTEMPTS_MAX {
            let Some(endpoint) = self.route.pick(self.revision, &refused) else { break };
            let pool = &self.route.pools[self.revision][endpoint];
            ticket.goes_to(&pool.endpoint);
            let connection = match if pooled { pool.take(repeatable) } else { None } {
                Some(connection) => connection,
                None => match self.connect(pool).await {
                    Ok(connection) => connection,
                    Err(error) => {
                        failure = error;
                        refused.push(endpoint);
                        continue;
                    }
                },
            };
            match self.send(head, upload, repeatable, connection, pool).await? {
                Sent::Answered(answered) => return Ok(answered),
                Sent::Again(same_head, same_upload) => {
                    let address = pool.endpoint.address;
                    failure = Failure::backend(StatusCode::BAD_GATEWAY, format!("the instance at {address} closed the connection at once"));
                    (head, upload, pooled) = (same_head, same_upload, false);
                }
            }
        }
        Err(failure)
    }

    async fn connect(&self, pool: &Pool) -> Result<Connection, Failure> {
        let limits = &self.worker.limits;
        match pool.connect(limits.connect_timeout, limits.header_bytes_max).await {
            Ok(connection) => {
                pool.endpoint.connected();
                Ok(connection)
            }
            Err(error) => {
                pool.endpoint.refused();
                let status = match error.kind() {
                    std::io::ErrorKind::TimedOut => StatusCode::GATEWAY_TIMEOUT,
                    _ => StatusCode::BAD_GATEWAY,
                };
                Err(Failure::backend(status, format!("the instance at {} can't be reached: {error}", pool.endpoint.address)))
            }
        }
    }

    async fn send(
        &self,
        head: Head,
        upload: Upload,
        repeatable: bool,
        mut connection: Connection,
        pool: &Rc<Pool>,
    ) -> Result<Sent, Failure> {
        // Only a connection that was idle can turn out to have been closed meanwhile.
        let copy = (repeatable && connection.reused).then(|| head.clone());
        let mut request = Request::new(upload);
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (head.method, head.uri, head.headers);
        let sending = connection.sender.try_send_request(request);
        let mut error = match self.first_byte(sending).await? {
            Ok(response) => return Ok(Sent::Answered((response, connection, Rc::clone(pool)))),
            Err(error) => error,
        };
        if let Some(unsent) = error.take_message() {
            let (parts, upload) = unsent.into_parts();
            return Ok(Sent::Again(Head { method: parts.method, uri: parts.uri, headers: parts.headers }, upload));
        }
        match copy {
            Some(head) if !connection.answered() => Ok(Sent::Again(head, Upload::Nothing)),
            _ if self.progress.as_ref().is_some_and(|it| it.broken.get()) => {
                Err(Failure::client(StatusCode::BAD_REQUEST, "the request's body broke off or is malformed"))
            }
            _ => {
                let address = pool.endpoint.address;
                Err(Failure::backend(StatusCode::BAD_GATEWAY, format!("the instance at {address} gave no answer: {}", error.error())))
            }
        }
    }

    /// Waits for the answer's head; the time counts from the last progress of the request's body.
    async fn first_byte<T>(&self, sending: impl Future<Output = T>) -> Result<T, Failure> {
        let limit = self.worker.limits.first_byte_timeout;
        let mut sending = pin!(sending);
        let mut wait = limit;
        loop {
            if let Ok(output) = tokio::time::timeout(wait, sending.as_mut()).await {
                return Ok(output);
            }
            let Some(progress) = &self.progress else { return Err(no_answer(limit)) };
            wait = limit.saturating_sub(progress.last.get().elapsed());
            if wait.is_zero() {
                return Err(match progress.awaits_client.get() && !progress.done.get() {
                    true => Failure::client(StatusCode::REQUEST_TIMEOUT, "the rest of the request did not come"),
                    false => no_answer(limit),
                });
            }
        }
    }
}

fn no_answer(limit: Duration) -> Failure {
    Failure::backend(StatusCode::GATEWAY_TIMEOUT, format!("the instance did not begin to answer within {} s", limit.as_secs_f64()))
}
