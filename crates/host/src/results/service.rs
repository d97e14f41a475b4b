//! Requests in, answers out: who asks is checked here, once.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use base::mask::Mask;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited, combinators::BoxBody};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};
use tokio::net::TcpListener;

use super::blob::Blobs;
use super::identity::{self, Asked};
use super::own::Own;
use super::{Place, artifacts, caches};

pub(super) type Answer = Response<BoxBody<Bytes, std::io::Error>>;

/// A call's message is a few fields.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

#[derive(Debug)]
pub(super) struct Service {
    pub place: Place,
    pub mask: Mask,
    address: SocketAddr,
    pub tokens: Tokens,
    blobs: Mutex<Blobs>,
    artifacts: Mutex<BTreeMap<String, artifacts::Begun>>,
    /// Uploads of caches under way, by key and version.
    caches: Mutex<BTreeMap<(String, String), String>>,
}

/// By which a request is known to come from the job.
#[derive(Debug)]
pub(super) struct Tokens {
    /// Of actions.
    pub runtime: String,
    pub own: Option<Own>,
    pub identity: Option<Asked>,
}

impl Tokens {
    pub fn own(&self, shown: &str) -> Option<&Own> {
        self.own.as_ref().filter(|own| same(shown.as_bytes(), own.token.as_bytes()))
    }
}

/// What a call is answered when it can't be done, in twirp's words (<https://twitchtv.github.io/twirp/docs/spec_v7.html>).
#[derive(Debug)]
pub(super) struct Refusal {
    pub code: &'static str,
    pub message: String,
}

impl Refusal {
    pub fn new(code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { code, message: message.into() }
    }

    /// The disk or the like.
    pub fn internal(doing: &str, error: &std::io::Error) -> Refusal {
        Refusal::new("internal", format!("{doing}: {error}"))
    }

    fn status(&self) -> StatusCode {
        match self.code {
            "unauthenticated" => StatusCode::UNAUTHORIZED,
            "permission_denied" => StatusCode::FORBIDDEN,
            "not_found" | "bad_route" => StatusCode::NOT_FOUND,
            "already_exists" => StatusCode::CONFLICT,
            "invalid_argument" | "malformed" => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

pub(super) async fn serve(listener: TcpListener, service: Arc<Service>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let service = service.clone();
        tokio::spawn(async move {
            let answer = hyper::service::service_fn(move |request| {
                let service = service.clone();
                async move { Ok::<_, Infallible>(service.answer(request).await) }
            });
            // A client that goes away is its own affair.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

impl Service {
    pub fn new(place: Place, mask: Mask, address: SocketAddr, tokens: Tokens) -> Service {
        let blobs = Mutex::new(Blobs::new(place.temp.join("uploads")));
        Service { place, mask, address, tokens, blobs, artifacts: Mutex::default(), caches: Mutex::default() }
    }

    pub fn blobs(&self) -> MutexGuard<'_, Blobs> {
        self.blobs.lock().expect("nothing panics while it holds the uploads")
    }

    pub fn artifacts(&self) -> MutexGuard<'_, BTreeMap<String, artifacts::Begun>> {
        self.artifacts.lock().expect("nothing panics while it holds the artifacts")
    }

    pub fn caches(&self) -> MutexGuard<'_, BTreeMap<(String, String), String>> {
        self.caches.lock().expect("nothing panics while it holds the caches")
    }

    /// A blob's address with the right to it.
    pub fn url(&self, path: &str, signature: &str) -> String {
        format!("http://{}/{path}?sig={signature}", self.address)
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().to_string();
        if let Some(rest) = path.strip_prefix("/blob/") {
            return self.blob(rest, request).await;
        }
        if path == identity::PATH {
            return self.token_for(&request);
        }
        match self.call(&path, request).await {
            Ok(message) => json_answer(StatusCode::OK, &message),
            Err(refusal) => json_answer(refusal.status(), &json!({ "code": refusal.code, "msg": refusal.message })),
        }
    }

    async fn call(&self, path: &str, request: Request<Incoming>) -> Result<Json, Refusal> {
        let shown = bearer(&request);
        let own = self.tokens.own(shown);
        if own.is_none() && !same(shown.as_bytes(), self.tokens.runtime.as_bytes()) {
            return Err(Refusal::new("unauthenticated", "the token is not this job's"));
        }
        let method = path.strip_prefix("/twirp/github.actions.results.api.v1.").filter(|_| request.method() == Method::POST);
        own.zip(method).map_or(Ok(()), |(own, method)| own.may(method))?;
        let method = method.ok_or_else(|| Refusal::new("bad_route", format!("there is no `{path}` here")))?.to_string();
        let body = Limited::new(request.into_body(), MESSAGE_BYTES_MAX).collect().await;
        let body = body.map_err(|error| Refusal::new("malformed", format!("the message can't be read: {error}")))?.to_bytes();
        match method.as_str() {
            "ArtifactService/CreateArtifact" => artifacts::create(self, message(&body)?),
            "ArtifactService/FinalizeArtifact" => artifacts::finalize(self, message(&body)?),
            "ArtifactService/ListArtifacts" => artifacts::list(self, message(&body)?),
            "ArtifactService/GetSignedArtifactURL" => artifacts::signed_url(self, message(&body)?),
            "ArtifactService/DeleteArtifact" => artifacts::delete(self, message(&body)?),
            "CacheService/CreateCacheEntry" => caches::create(self, message(&body)?),
            "CacheService/FinalizeCacheEntryUpload" => caches::finalize(self, message(&body)?),
            "CacheService/GetCacheEntryDownloadURL" => caches::download_url(self, &message(&body)?),
            _ => Err(Refusal::new("bad_route", format!("there is no `{method}` here"))),
        }
    }
}

/// What a request shows that it may; empty where it shows nothing.
pub(super) fn bearer(request: &Request<Incoming>) -> &str {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    given.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map_or("", |(_, token)| token)
}

fn message<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::new("malformed", format!("the message can't be read: {error}")))
}

pub(super) fn json_answer(status: StatusCode, json: &Json) -> Answer {
    let response = Response::builder().status(status).header(header::CONTENT_TYPE, "application/json");
    response.body(full(json.to_string())).expect("the parts are valid")
}

pub(super) fn full(bytes: impl Into<Bytes>) -> BoxBody<Bytes, std::io::Error> {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

/// Without telling by the time it takes how much of it was right.
pub(super) fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |sum, (left, right)| sum | (left ^ right)) == 0
}
