//! `plimsoll serve`: one long-lived process that owns the record and drives what is on it.

mod api;
mod book;
mod driver;
mod follow;
mod history;
mod journal;
mod logs;
mod ports;
mod promotion;
mod schedules;
mod watching;

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use host::dirs::Dirs;
use host::forge::App;
use nix::fcntl::{Flock, FlockArg};
use tokio::net::{TcpListener, UnixListener};

use crate::failure::{Doing, Failure, Result};
use crate::fetching;
use crate::world;

pub use api::{
    Again, Asked, DecidedAgain, Demand, DownRequest, EnvironmentAsk, EnvironmentDown, EnvironmentView, Health, InboxEntry, ReleaseView,
    Stored, Verified,
};
pub use book::RollbackRequest;
pub use history::{HistoryEntry, Span};
pub use logs::NEXT_OFFSET;

/// Where a server is reached and what it keeps.
#[derive(Debug)]
pub struct Serving {
    pub socket: PathBuf,
    /// Loopback only; 0 lets the system choose.
    pub tcp_port: u16,
    /// Only where there is a record.
    pub existing: bool,
}

/// # Errors
/// Where there is none.
pub fn needs_record(dirs: &Dirs) -> Result<()> {
    match dirs.record().exists() {
        true => Ok(()),
        false => Err(Failure::not_found(format!("there is no record in {}", dirs.state().display()))),
    }
}

/// Serves until it is told to stop; what runs and what is routed goes on without it.
///
/// # Errors
/// When the state directory can't be used or another server has it.
pub fn serve(dirs: &Dirs, serving: &Serving) -> Result<()> {
    let _claim = Claim::take(dirs)?;
    if serving.existing {
        needs_record(dirs)?;
    }
    match fetching::user() {
        Ok(user) => App::keep(user.github_app.as_ref(), dirs).doing("keep which GitHub App gives jobs their tokens")?,
        Err(failure) => tracing::warn!(message = failure.message, "the user's own file is left alone"),
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().doing("start the server's threads")?;
    runtime.block_on(async {
        let world = world::open(dirs).await?;
        let journal = Arc::new(journal::Journal::open(world.store.clone()).await?);
        let driver = driver::Driver::start((*world).clone(), journal.clone());
        schedules::start(dirs.clone());
        let state = api::State::new(world, journal, driver, dirs.clone())?;
        watching::start(state.clone());
        listen(dirs, serving, api::router(state.clone()), &state).await
    })
}

async fn listen(dirs: &Dirs, serving: &Serving, router: axum::Router, state: &api::State) -> Result<()> {
    let _ = std::fs::remove_file(&serving.socket);
    let unix = UnixListener::bind(&serving.socket).doing(&format!("listen on {}", serving.socket.display()))?;
    restrict(&serving.socket)?;
    let tcp = TcpListener::bind(("127.0.0.1", serving.tcp_port)).await.doing("listen on loopback")?;
    let port = tcp.local_addr().doing("read the loopback port")?.port();
    std::fs::write(dirs.state().join("server.port"), port.to_string()).doing("write the server's port")?;
    let by_token = router.clone().layer(axum::middleware::from_fn_with_state(state.clone(), api::require_token));
    let stop = state.stopped();
    tokio::spawn(async move {
        if let Err(error) = axum::serve(tcp, by_token).await {
            tracing::error!(%error, "loopback listener ended");
        }
    });
    tracing::info!(socket = %serving.socket.display(), port, "serving");
    axum::serve(unix, router).with_graceful_shutdown(stop).await.doing("serve")?;
    let _ = std::fs::remove_file(&serving.socket);
    Ok(())
}

fn restrict(socket: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600)).doing("restrict the socket to its owner")
}

/// One server a state directory: an advisory lock that the kernel drops with the process.
#[derive(Debug)]
pub struct Claim {
    _file: Flock<File>,
}

impl Claim {
    /// Whether another server has it.
    pub fn is_taken(dirs: &Dirs) -> bool {
        Claim::take(dirs).is_err_and(|failure| failure.kind == crate::failure::FailureKind::Conflict)
    }

    /// # Errors
    /// When another server has it.
    pub fn take(dirs: &Dirs) -> Result<Claim> {
        let path = Claim::path(dirs);
        match Flock::lock(Claim::open(&path)?, FlockArg::LockExclusiveNonblock) {
            Ok(file) => Ok(Claim { _file: file }),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
                Err(Failure::new(crate::failure::FailureKind::Conflict, format!("another server has {}", dirs.state().display()))
                    .hint("`plimsoll status` talks to it"))
            }
            Err((_, error)) => Err(Claim::unlocked(&path, error)),
        }
    }

    /// The one after whoever has it: who stands in line before that one goes has it before anybody who comes then.
    ///
    /// # Errors
    /// When there can be none.
    pub fn next(dirs: &Dirs) -> Result<impl Future<Output = Result<Claim>> + use<>> {
        let path = Claim::path(dirs);
        let file = Claim::open(&path)?;
        let (tell, told) = tokio::sync::oneshot::channel();
        // The runtime would wait for one of its own threads.
        std::thread::spawn(move || tell.send(Flock::lock(file, FlockArg::LockExclusive)));
        Ok(async move {
            match told.await {
                Ok(Ok(file)) => Ok(Claim { _file: file }),
                Ok(Err((_, error))) => Err(Claim::unlocked(&path, error)),
                Err(error) => Err(Claim::unlocked(&path, error)),
            }
        })
    }

    fn path(dirs: &Dirs) -> PathBuf {
        dirs.state().join("server.lock")
    }

    fn open(path: &Path) -> Result<File> {
        OpenOptions::new().create(true).truncate(false).write(true).open(path).doing(&format!("open {}", path.display()))
    }

    fn unlocked(path: &Path, error: impl std::fmt::Display) -> Failure {
        Failure::infrastructure(format!("failed to lock {}: {error}", path.display()))
    }
}
