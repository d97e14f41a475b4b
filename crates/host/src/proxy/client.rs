//! The other end of the control socket.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::api::Refusal;
use super::control::{Health, RemoveAnswer, Route, RouteAnswer, Stats};
use super::socket::Reachable;

/// Speaks with the proxy of one state directory. Each call is a connection of its own, so a restarted proxy is simply met again.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

/// Long enough for a slow disk to flush a route.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there: the proxy is not running.
    #[error("reach the proxy at {}", socket.display())]
    Unreachable { socket: PathBuf, source: std::io::Error },
    #[error("speak with the proxy")]
    Broken(#[from] hyper::Error),
    #[error("get an answer from the proxy within {} s", PATIENCE.as_secs())]
    Silent,
    #[error("understand the proxy's answer")]
    NotUnderstood(#[from] serde_json::Error),
    /// The proxy said no; the sentence is for people.
    #[error("{sentence}")]
    Refused { status: StatusCode, sentence: String },
}

impl Client {
    /// Finds out that a proxy answers at this socket, which `proxy::socket_path` names.
    pub async fn connect(socket: impl AsRef<Path>) -> Result<Client, ClientError> {
        let client = Client { socket: socket.as_ref().to_owned() };
        client.health().await?;
        Ok(client)
    }

    pub async fn health(&self) -> Result<Health, ClientError> {
        understood(self.call(Method::GET, "/health", Vec::new()).await?)
    }

    /// When it says `Applied`, every request that arrives afterwards follows the route. A port that is taken is an error with
    /// status 424; the route is in force all the same and the port is tried again.
    pub async fn put_route(&self, service: &str, route: &Route) -> Result<RouteAnswer, ClientError> {
        let (status, body) = self.call(Method::PUT, &format!("/services/{service}/route"), serde_json::to_vec(route)?).await?;
        match status {
            StatusCode::CONFLICT => Ok(serde_json::from_slice(&body)?),
            _ => understood((status, body)),
        }
    }

    /// Removes the service unless a newer route is in force, whether or not there is such a service: a route that is late
    /// must not bring it back.
    pub async fn remove(&self, service: &str, generation: u64) -> Result<RemoveAnswer, ClientError> {
        let path = format!("/services/{service}?generation={generation}");
        let (status, body) = self.call(Method::DELETE, &path, Vec::new()).await?;
        match status {
            StatusCode::CONFLICT => Ok(serde_json::from_slice(&body)?),
            _ => understood((status, body)),
        }
    }

    pub async fn stats(&self) -> Result<Stats, ClientError> {
        understood(self.call(Method::GET, "/stats", Vec::new()).await?)
    }

    /// Returns when the proxy has agreed; it ends once what is in flight has ended.
    pub async fn shutdown(&self) -> Result<(), ClientError> {
        understood::<Health>(self.call(Method::POST, "/shutdown", Vec::new()).await?).map(drop)
    }

    async fn call(&self, method: Method, path: &str, body: Vec<u8>) -> Result<(StatusCode, Bytes), ClientError> {
        let stream = async { UnixStream::connect(Reachable::new(&self.socket)?.path()).await };
        let stream = stream.await.map_err(|source| ClientError::Unreachable { socket: self.socket.clone(), source })?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap_or_else(|_| http::Uri::from_static("/"));
        request.headers_mut().insert(header::HOST, HeaderValue::from_static("proxy"));
        let exchange = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            Ok::<_, hyper::Error>((status, response.into_body().collect().await?.to_bytes()))
        };
        // The connection moves only while it is polled, and may end before its answer has been looked at.
        let mut exchange = pin!(exchange);
        let answered = async {
            tokio::select! {
                answered = &mut exchange => answered,
                _ = connection => exchange.await,
            }
        };
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(answered) => Ok(answered?),
            Err(_) => Err(ClientError::Silent),
        }
    }
}

fn understood<T: DeserializeOwned>((status, body): (StatusCode, Bytes)) -> Result<T, ClientError> {
    if status.is_success() {
        return Ok(serde_json::from_slice(&body)?);
    }
    let sentence = serde_json::from_slice::<Refusal>(&body).map(|it| it.error);
    Err(ClientError::Refused { status, sentence: sentence.unwrap_or_else(|_| String::from_utf8_lossy(&body).into_owned()) })
}
