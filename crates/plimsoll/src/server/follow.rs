//! The event stream: facts as they are appended, resumed by global position, and why a release stands still.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use base::name::ReleaseId;
use futures_util::Stream;
use record::{Fact, Store};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::driver::Driver;

/// Facts read at once.
const BATCH: usize = 256;

/// How often the waiting sentence is looked at; it is not on the record, so nothing announces it.
const WAITING_LOOK: Duration = Duration::from_millis(250);

pub fn follow(
    store: Arc<dyn Store>,
    driver: Arc<Driver>,
    stop: impl Future<Output = ()> + Send + 'static,
    after: u64,
    stream: String,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let (sender, receiver) = mpsc::channel(64);
    tokio::spawn(async move {
        tokio::select! {
            _ = send(store, driver, after, stream, sender) => {}
            () = stop => {}
        }
    });
    Sse::new(ReceiverStream::new(receiver)).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
}

/// Ends when the client is gone; it looks again by itself when the server was the first to go.
async fn send(
    store: Arc<dyn Store>,
    driver: Arc<Driver>,
    mut after: u64,
    prefix: String,
    sender: mpsc::Sender<Result<Event, Infallible>>,
) -> Result<(), mpsc::error::SendError<Result<Event, Infallible>>> {
    let release: Option<ReleaseId> = prefix.strip_prefix("release/").and_then(|id| id.parse().ok());
    let mut head = store.head();
    let mut said: Option<String> = None;
    loop {
        let facts = match store.read(after, BATCH).await {
            Ok(facts) => facts,
            Err(error) => {
                sender.send(Ok(Event::default().event("trouble").data(error.to_string()))).await?;
                return Ok(());
            }
        };
        let full = facts.len() == BATCH;
        for fact in facts {
            after = fact.position;
            if fact.stream.starts_with(&prefix) {
                sender.send(Ok(as_event(&fact))).await?;
            }
        }
        if full {
            continue;
        }
        let waiting = release.and_then(|id| driver.waiting(id));
        if waiting != said {
            sender.send(Ok(Event::default().event("waiting").data(waiting.clone().unwrap_or_default()))).await?;
            said = waiting;
        }
        tokio::select! {
            changed = head.changed() => if changed.is_err() { return Ok(()) },
            () = tokio::time::sleep(WAITING_LOOK), if release.is_some() => {}
            () = sender.closed() => return Ok(()),
        }
    }
}

fn as_event(fact: &Fact) -> Event {
    let data = serde_json::to_string(fact).expect("a fact is JSON");
    Event::default().event("fact").id(fact.position.to_string()).data(data)
}
