//! The service that actions of others talk to: artifacts (v4), caches (v2) and who the job is, on the wire as at GitHub.
//!
//! ```text
//! action ── twirp, JSON ──> service ── names a blob's place and who may use it ──┐
//!    └───── PUT blocks, GET ranges ──> blob <────────────────────────────────────┘
//! ```
//!
//! One per job, on loopback, in the process that executes the job: it lives as long as the job does, whatever becomes of the server.
//! What the protocol's parts look like: `packages/artifact` and `packages/cache` of `actions/toolkit`.

mod archive;
mod artifacts;
mod blob;
mod caches;
mod identity;
mod own;
mod service;
pub mod within;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use base::mask::Mask;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use identity::Asked;
use own::Own;
use service::{Service, Tokens};
use workflow::permissions::Granted;

pub use identity::Identity;
pub(crate) use identity::signed;

/// Whose service it is and where its files lie.
#[derive(Debug, Clone)]
pub struct Place {
    /// The run's id; no `:` in it.
    pub run: String,
    /// The job's key and attempt; no `:` in it.
    pub job: String,
    /// What the jobs of one release leave for each other, shared with the built-in `upload-artifact`.
    pub artifacts: PathBuf,
    /// Of the project; see [`caches::Caches`].
    pub caches: PathBuf,
    pub domain: Domain,
    /// Where uploads grow; removed with the job.
    pub temp: PathBuf,
}

/// Who may read what is saved: what an untrusted run writes no trusted run ever reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Domain {
    Trusted,
    /// One's own namespace; a trusted cache may be read, never written.
    Untrusted {
        name: String,
    },
}

/// A running service; it ends when this is dropped.
#[derive(Debug)]
pub struct Results {
    address: SocketAddr,
    token: String,
    step_env: BTreeMap<String, String>,
    identity_secret: Option<String>,
    own_token: Option<String>,
    service: Arc<Service>,
    runtime: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Results {
    /// Returns when it listens.
    ///
    /// # Errors
    /// When there is no port or no thread to be had.
    pub fn start(place: Place, mask: Mask, identity: Option<Identity>, rights: Option<Granted>) -> io::Result<Results> {
        let token = token(&place.run, &place.job)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let identity = identity.map(Asked::new).transpose()?;
        let url = format!("http://{address}/");
        let mut step_env = identity.as_ref().map(|asked| asked.env(&url)).unwrap_or_default();
        let own = rights.map(Own::new).transpose()?;
        let own_token = own.as_ref().map(|own| own.token.clone());
        step_env.extend(own.is_some().then_some((own::URL.to_string(), url)));
        let identity_secret = identity.as_ref().map(|asked| asked.secret.clone());
        let service = Arc::new(Service::new(place, mask, address, Tokens { runtime: token.clone(), own, identity }));
        let (stop, stopped) = oneshot::channel();
        let (handle, serving) = (runtime.handle().clone(), service.clone());
        let serve = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = service::serve(listener, serving) => {}
                    _ = stopped => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("results".to_string()).spawn(serve)?;
        Ok(Results {
            address,
            token,
            step_env,
            identity_secret,
            own_token,
            service,
            runtime: handle,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Answers as well who is in the network that a process is in, at the same address there, and nobody else; see [`within`].
    ///
    /// # Errors
    /// A sentence, without a full stop: why it can't.
    pub fn answer_in_network_of(&self, pid: i32) -> Result<(), String> {
        let Some(listener) = within::listener(pid, self.address)? else { return Ok(()) };
        let service = self.service.clone();
        self.runtime.spawn(async move {
            if let Ok(listener) = TcpListener::from_std(listener) {
                service::serve(listener, service).await;
            }
        });
        Ok(())
    }

    /// What the processes of actions get, and no `run:` step (runner: `Handlers/NodeScriptActionHandler.cs`).
    pub fn env(&self) -> BTreeMap<String, String> {
        let url = format!("http://{}/", self.address);
        let env = [
            ("ACTIONS_RUNTIME_URL", url.clone()),
            ("ACTIONS_RUNTIME_TOKEN", self.token.clone()),
            ("ACTIONS_RESULTS_URL", url.clone()),
            ("ACTIONS_CACHE_URL", url),
            ("ACTIONS_CACHE_SERVICE_V2", "True".to_string()),
        ];
        env.map(|(name, value)| (name.to_string(), value)).into()
    }

    /// What every step gets; nothing where the job may not ask who it is, and its token is none of this machine.
    pub fn step_env(&self) -> &BTreeMap<String, String> {
        &self.step_env
    }

    /// The job's token, where that is this machine's own.
    pub fn own_token(&self) -> Option<&str> {
        self.own_token.as_deref()
    }

    /// To be masked wherever they are shown.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.token.as_str()).chain(self.identity_secret.as_deref())
    }
}

impl Drop for Results {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It has nothing to say but that it is over.
            let _ = thread.join();
        }
    }
}

/// A token in the form the clients read their run's and job's ids from; nobody checks its signature, it is compared whole.
fn token(run: &str, job: &str) -> io::Result<String> {
    let claims = serde_json::json!({ "scp": format!("Actions.Results:{run}:{job}"), "iss": "plimsoll" });
    let encoded = |json: &serde_json::Value| base64url(json.to_string().as_bytes());
    let header = serde_json::json!({ "alg": "HS256", "typ": "JWT" });
    Ok(format!("{}.{}.{}", encoded(&header), encoded(&claims), base64url(&secret()?)))
}

fn base64url(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

fn secret() -> io::Result<[u8; 32]> {
    crate::owned::random()
}

#[cfg(test)]
mod tests;
