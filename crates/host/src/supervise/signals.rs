//! How a supervisor hears that it shall stop: SIGTERM and SIGINT politely, SIGUSR1 at once.

use std::io;

use engine::world::Stop;
use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// What was asked for so far; changes from nothing to gracefully to at once, never back.
pub type Cancel = watch::Receiver<Option<Stop>>;

/// The signal that asks a supervisor for it.
pub fn signal_for(how: Stop) -> Signal {
    match how {
        Stop::Gracefully => Signal::TERM,
        Stop::AtOnce => Signal::USR1,
    }
}

/// Listens from the moment it returns. Has to come before the claim: a claimed process that a signal kills by default is a lost job.
pub fn listen() -> io::Result<Cancel> {
    let (asked, cancel) = watch::channel(None);
    let (ready, listening) = std::sync::mpsc::channel();
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(ready.send(Err(error))),
        };
        runtime.block_on(forward(&asked, &ready));
    })?;
    listening.recv().map_err(|_| io::Error::other("the listening thread ended at once"))??;
    Ok(cancel)
}

/// Tells somebody else, from a thread of its own, for as long as this process lives.
pub fn forward_to(mut cancel: Cancel, tell: impl Fn(Stop) + Send + 'static) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    std::thread::Builder::new().name("cancel".into()).spawn(move || {
        runtime.block_on(async {
            loop {
                let asked = *cancel.borrow_and_update();
                if let Some(how) = asked {
                    tell(how);
                }
                if cancel.changed().await.is_err() {
                    return;
                }
            }
        });
    })?;
    Ok(())
}

async fn forward(asked: &watch::Sender<Option<Stop>>, ready: &std::sync::mpsc::Sender<io::Result<()>>) {
    let listeners = || Ok((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::user_defined1())?));
    let (mut terminate, mut interrupt, mut user) = match listeners() {
        Ok(listeners) => listeners,
        Err(error) => return drop(ready.send(Err(error))),
    };
    let _ = ready.send(Ok(()));
    loop {
        let how = tokio::select! {
            _ = terminate.recv() => Stop::Gracefully,
            _ = interrupt.recv() => Stop::Gracefully,
            _ = user.recv() => Stop::AtOnce,
        };
        asked.send_if_modified(|current| {
            let changes = *current != Some(Stop::AtOnce) && *current != Some(how);
            if changes {
                *current = Some(how);
            }
            changes
        });
    }
}
