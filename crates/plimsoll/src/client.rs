//! The client of the local server: HTTP over its Unix socket, started when it isn't there.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use host::dirs::Dirs;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::failure::{Doing, Failure, Result};
use crate::server::{Claim, Health, NEXT_OFFSET};

/// How long a server may take until it answers; opening a large record is the longest part.
const START: Duration = Duration::from_secs(20);

/// Between two knocks at a server that is starting.
const KNOCK: Duration = Duration::from_millis(20);

#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// The server that runs, if one does and is of this build.
    pub async fn find(dirs: &Dirs) -> Option<Client> {
        let client = Client { socket: dirs.socket() };
        client.health().await.ok().map(|_| client)
    }

    /// The server of those who only look: one that runs, or one started where an earlier one has left a record, for what it had
    /// brought up still runs. Nothing where there never was one.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn existing(dirs: &Dirs) -> Result<Option<Client>> {
        match Client::find(dirs).await {
            Some(client) => Ok(Some(client)),
            None if dirs.record().exists() => match Client::connected(dirs, true).await {
                // It was removed meanwhile.
                Err(_) if !dirs.record().exists() => Ok(None),
                client => client.map(Some),
            },
            None => Ok(None),
        }
    }

    /// The server, started when none runs; one of another build is asked to step aside first, and what it runs is adopted.
    ///
    /// # Errors
    /// When it can't be started, with the end of its log.
    pub async fn connect(dirs: &Dirs) -> Result<Client> {
        Client::connected(dirs, false).await
    }

    async fn connected(dirs: &Dirs, existing: bool) -> Result<Client> {
        let client = Client { socket: dirs.socket() };
        match client.health().await {
            Ok(health) if health.build == Health::own().build => return Ok(client),
            Ok(health) => client.replace(&health).await?,
            Err(_) => {}
        }
        client.start(dirs, existing).await
    }

    pub async fn health(&self) -> Result<Health> {
        self.get("/api/v1/health").await
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let response = self.send(Method::GET, path, Bytes::new()).await?;
        read(response).await
    }

    pub async fn post<B: Serialize, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T> {
        let body = serde_json::to_vec(body).doing("write the request")?;
        let response = self.send(Method::POST, path, Bytes::from(body)).await?;
        read(response).await
    }

    /// The body as it comes.
    pub async fn stream(&self, path: &str) -> Result<Incoming> {
        let response = self.send(Method::GET, path, Bytes::new()).await?;
        if !response.status().is_success() {
            return Err(failure(response).await);
        }
        Ok(response.into_body())
    }

    /// Raw bytes from an offset, and the next offset.
    pub async fn log(&self, query: &str, offset: u64) -> Result<(Bytes, u64)> {
        let response = self.send(Method::GET, &format!("/api/v1/logs?{query}&offset={offset}"), Bytes::new()).await?;
        if !response.status().is_success() {
            return Err(failure(response).await);
        }
        // The oldest part isn't kept for ever, so the bytes may begin later than asked for.
        let told = response.headers().get(NEXT_OFFSET).and_then(|next| next.to_str().ok()).and_then(|next| next.parse().ok());
        let bytes = response.into_body().collect().await.doing("read the log")?.to_bytes();
        let next = told.unwrap_or(offset + bytes.len() as u64);
        Ok((bytes, next))
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Response<Incoming>> {
        let unreachable = |error: &dyn std::fmt::Display| {
            Failure::infrastructure(format!("the server does not answer at {}: {error}", self.socket.display()))
                .hint("`plimsoll up` starts one; its log is `server.log` in the state directory")
        };
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| unreachable(&error))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(&error))?;
        tokio::spawn(async move {
            let _ = connection.await;
        });
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "plimsoll")
            .header("content-type", "application/json")
            .body(Full::new(body))
            .doing("write the request")?;
        sender.send_request(request).await.map_err(|error| unreachable(&error))
    }

    async fn replace(&self, other: &Health) -> Result<()> {
        let _: Health = self.post("/api/v1/shutdown", &()).await?;
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            if self.health().await.is_err() && !is_alive(other.pid) {
                return Ok(());
            }
            tokio::time::sleep(KNOCK).await;
        }
        Err(Failure::infrastructure(format!("the server of another build (process {}) does not step aside", other.pid)))
    }

    async fn start(self, dirs: &Dirs, existing: bool) -> Result<Client> {
        if !dirs.record().exists() {
            let others = dirs.foreign().doing("look into the state directory")?;
            if let Some(first) = others.first() {
                let message = format!("the state directory `{}` holds something else: `{first}`", dirs.state().display());
                return Err(Failure::usage(message).hint("`PLIMSOLL_STATE_DIR` names a folder that Plimsoll has to itself"));
            }
        }
        let log = dirs.state().join("server.log");
        let mut server = spawn_server(dirs, existing, &log)?;
        let deadline = Instant::now() + START;
        loop {
            if self.health().await.is_ok() {
                return Ok(self);
            }
            // Another `up` may have started one at the same moment and won: that one is about to answer.
            let failed = server.try_wait().ok().flatten().is_some() && !Claim::is_taken(dirs);
            if failed || Instant::now() > deadline {
                return if self.health().await.is_ok() { Ok(self) } else { Err(did_not_start(&log)) };
            }
            tokio::time::sleep(KNOCK).await;
        }
    }
}

fn spawn_server(dirs: &Dirs, existing: bool, log: &std::path::Path) -> Result<std::process::Child> {
    let program = std::env::current_exe().doing("find this program")?;
    let log = std::fs::OpenOptions::new().create(true).append(true).open(log).doing(&format!("open {}", log.display()))?;
    let errors = log.try_clone().doing("share the server's log")?;
    std::process::Command::new(program)
        .arg("serve")
        .args(existing.then_some("--existing"))
        .env("PLIMSOLL_STATE_DIR", dirs.state())
        .stdin(std::process::Stdio::null())
        .stdout(log)
        .stderr(errors)
        .process_group(0)
        .spawn()
        .doing("start the server")
}

fn did_not_start(log: &std::path::Path) -> Failure {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let tail: Vec<&str> = text.lines().rev().take(5).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    Failure::infrastructure(format!("the server did not start:\n{}", tail.join("\n"))).hint(format!("its log is {}", log.display()))
}

/// One that has ended and whose parent (an `up` that still watches) has not noticed is not alive.
fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let is_zombie = stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'));
    !is_zombie && i32::try_from(pid).is_ok_and(|pid| nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None).is_ok())
}

async fn read<T: DeserializeOwned>(response: Response<Incoming>) -> Result<T> {
    if !response.status().is_success() {
        return Err(failure(response).await);
    }
    let bytes = response.into_body().collect().await.doing("read the server's answer")?.to_bytes();
    serde_json::from_slice(&bytes).doing("read the server's answer")
}

async fn failure(response: Response<Incoming>) -> Failure {
    let status = response.status();
    let bytes = response.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| Failure::infrastructure(format!("the server answered {status}: {}", String::from_utf8_lossy(&bytes))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_ended_is_not_alive_though_nobody_noticed() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        assert!(is_alive(child.id()));
        child.kill().unwrap();
        let deadline = Instant::now() + START;
        while is_alive(child.id()) {
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
        }
        child.wait().unwrap();
    }
}
