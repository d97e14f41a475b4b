//! The control socket: HTTP with JSON, for whoever may open a file that is the owner's alone.

use std::convert::Infallible;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::rc::Rc;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

use super::Error;
use super::control::{RemoveAnswer, Route, RouteAnswer};
use super::registry::{ChangeError, Registry};
use super::socket::Reachable;

/// What an answer that is no success says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Refusal {
    pub(super) error: String,
}

const ROUTE_BYTES_MAX: usize = 1 << 20;

pub(super) fn serve(dir: &Path, registry: Rc<Registry>) -> Result<JoinHandle<()>, Error> {
    let path = super::socket_path(dir);
    let listener = bind(&path).map_err(|source| Error::Prepare { path, source })?;
    Ok(tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let registry = Rc::clone(&registry);
            tokio::task::spawn_local(async move {
                let service = service_fn(|request| answer(Rc::clone(&registry), request));
                if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await {
                    tracing::debug!(%error, "control connection ended");
                }
            });
        }
    }))
}

/// Made beside and moved into place, so that nobody ever finds it open to others or not yet answering. The lock says that a
/// socket already there is a leftover.
fn bind(path: &Path) -> io::Result<UnixListener> {
    let beside = path.with_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(Reachable::new(&beside)?.path())?;
    fs::set_permissions(&beside, Permissions::from_mode(0o600))?;
    fs::rename(&beside, path)?;
    Ok(listener)
}

type Reply = Response<Full<Bytes>>;

async fn answer(registry: Rc<Registry>, request: Request<Incoming>) -> Result<Reply, Infallible> {
    let path = request.uri().path().to_owned();
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    Ok(match (request.method(), parts.as_slice()) {
        (&Method::GET, ["health"]) => json(StatusCode::OK, &registry.health()),
        (&Method::GET, ["stats"]) => json(StatusCode::OK, &registry.stats()),
        (&Method::PUT, ["services", name, "route"]) => put(&registry, name, request).await,
        (&Method::DELETE, ["services", name]) => remove(&registry, name, request.uri().query()).await,
        (&Method::POST, ["shutdown"]) => {
            registry.ask_shutdown();
            json(StatusCode::ACCEPTED, &registry.health())
        }
        _ => refuse(StatusCode::NOT_FOUND, format!("there is no {} {path} here", request.method())),
    })
}

async fn put(registry: &Registry, name: &str, request: Request<Incoming>) -> Reply {
    let body = match Limited::new(request.into_body(), ROUTE_BYTES_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return refuse(StatusCode::BAD_REQUEST, format!("the route could not be read: {error}")),
    };
    let route: Route = match serde_json::from_slice(&body) {
        Ok(route) => route,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, format!("the route could not be understood: {error}")),
    };
    match registry.put(name, route).await {
        Ok(answer @ RouteAnswer::Applied) => json(StatusCode::OK, &answer),
        Ok(answer @ RouteAnswer::Stale { .. }) => json(StatusCode::CONFLICT, &answer),
        Err(error) => refuse_change(&error),
    }
}

async fn remove(registry: &Registry, name: &str, query: Option<&str>) -> Reply {
    let generation = query.and_then(|it| it.strip_prefix("generation=")).and_then(|it| it.parse().ok());
    let Some(generation) = generation else {
        return refuse(StatusCode::BAD_REQUEST, format!("which generation removes `{name}`? say `?generation=NUMBER`"));
    };
    match registry.remove(name, generation).await {
        Ok(answer @ RemoveAnswer::Removed) => json(StatusCode::OK, &answer),
        Ok(answer @ RemoveAnswer::Stale { .. }) => json(StatusCode::CONFLICT, &answer),
        Err(error) => refuse_change(&error),
    }
}

fn refuse_change(error: &ChangeError) -> Reply {
    let status = match error {
        ChangeError::Invalid(_) => StatusCode::BAD_REQUEST,
        ChangeError::Draining => StatusCode::SERVICE_UNAVAILABLE,
        ChangeError::Write { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        ChangeError::Port(_) => StatusCode::FAILED_DEPENDENCY,
    };
    refuse(status, error.to_string())
}

fn refuse(status: StatusCode, error: String) -> Reply {
    json(status, &Refusal { error })
}

fn json(status: StatusCode, value: &impl Serialize) -> Reply {
    let text = serde_json::to_vec(value).expect("what we answer with has string keys and no failing serialisers");
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
