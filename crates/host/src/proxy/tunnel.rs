//! A connection that stops speaking HTTP, a WebSocket most of the time: bytes both ways until both sides are done.

use std::rc::Rc;

use http::{HeaderValue, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::answer::{Body, own};
use super::downstream::Downstream;
use super::head;
use super::passing::Ticket;

/// Passes on the instance's agreement and connects both sides once the client has it.
pub(super) fn open(
    downstream: Rc<Downstream>,
    mut response: Response<Incoming>,
    client_side: OnUpgrade,
    mut ticket: Ticket,
) -> Response<Body> {
    let backend_side = hyper::upgrade::on(&mut response);
    let (mut parts, _) = response.into_parts();
    let Some(protocol) = parts.headers.get(header::UPGRADE).cloned() else {
        ticket.failed();
        return own(StatusCode::BAD_GATEWAY, "the instance changed to a protocol it did not name");
    };
    ticket.count_answer(false);
    tokio::task::spawn_local(async move {
        let sides = async { Ok::<_, hyper::Error>((client_side.await?, backend_side.await?)) };
        if let Ok((client, backend)) = sides.await {
            let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(backend)).await;
        }
        // Both say that something is still in flight, and now nothing is.
        drop((ticket, downstream));
    });
    head::strip_hop_by_hop(&mut parts.headers);
    parts.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    parts.headers.insert(header::UPGRADE, protocol);
    parts.extensions.clear();
    Response::from_parts(parts, Body::Own(None))
}
