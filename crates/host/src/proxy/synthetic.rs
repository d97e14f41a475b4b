//! Requests the proxy makes itself, so that each revision is seen even when no user asks. They are counted apart.

use std::rc::{Rc, Weak};
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Uri};
use http_body_util::BodyExt;

use super::answer::Blame;
use super::answer::Body;
use super::control::Synthetic;
use super::counters::Kind;
use super::forward::{Exchange, Head};
use super::head;
use super::passing::{Passing, Ticket};
use super::upstream::Upload;
use super::worker::{LocalRoute, LocalService, Worker};

/// A stalled instance must not gather probes without end; those that wait will be counted when their time is up.
const WAITING_MAX: usize = 64;

/// Probes every interval until the service is gone or the task is aborted.
pub(super) async fn probe(worker: Rc<Worker>, service: Weak<LocalService>, synthetic: Synthetic) {
    let mut interval = tokio::time::interval(Duration::from_millis(synthetic.interval_ms));
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let waiting = Rc::new(());
    for round in 0_usize.. {
        interval.tick().await;
        let Some(service) = service.upgrade() else { return };
        let path = match synthetic.paths.len() {
            0 => "/",
            count => &synthetic.paths[round % count],
        };
        let route = Rc::clone(&service.route.borrow());
        for (index, revision) in route.table.revisions.iter().enumerate() {
            let wanted = revision.weight > 0 || synthetic.revisions.contains(&revision.name);
            if wanted && Rc::strong_count(&waiting) <= WAITING_MAX {
                let (worker, route, waiting) = (Rc::clone(&worker), Rc::clone(&route), Rc::clone(&waiting));
                let head = head(path, route.table.port);
                tokio::task::spawn_local(async move {
                    one(&worker, &route, index, head).await;
                    drop(waiting);
                });
            }
        }
    }
}

async fn one(worker: &Worker, route: &LocalRoute, revision: usize, head: Head) {
    let mut ticket = Ticket::new(&route.table.revisions[revision].tally, worker.index, Kind::Synthetic, None);
    let exchange = Exchange { worker, route, revision, upgrades: false, progress: None };
    match exchange.run(head, Upload::Nothing, &mut ticket).await {
        Ok((response, connection, pool)) => {
            let bad = response.status().is_server_error();
            let body = Passing::new(response.into_body(), bad, ticket, Some((connection, pool)));
            let mut body = Body::Passing(body);
            let reading = async { while let Some(Ok(_)) = body.frame().await {} };
            // Ending an endless answer early is the prober's doing, so it counts as aborted, not as bad.
            let _ = tokio::time::timeout(worker.limits.first_byte_timeout, reading).await;
        }
        Err(failure) if failure.blame == Blame::Backend => ticket.failed(),
        Err(_) => {}
    }
}

fn head(path: &str, port: u16) -> Head {
    let mut headers = HeaderMap::new();
    if let Ok(host) = HeaderValue::from_str(&format!("127.0.0.1:{port}")) {
        headers.insert(header::HOST, host);
    }
    headers.insert(header::USER_AGENT, HeaderValue::from_static("plimsoll-probe"));
    headers.insert(head::SYNTHETIC, HeaderValue::from_static("1"));
    let uri: Uri = path.parse().unwrap_or_else(|_| Uri::from_static("/"));
    Head { method: Method::GET, uri, headers }
}
