//! Ports, and handing their connections to the workers.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::task::JoinHandle;

use super::Limits;
use super::worker::{Handle, Order};

/// A port that is being listened on; dropped, it is let go.
#[derive(Debug)]
pub(super) struct Listening {
    tasks: Vec<JoinHandle<()>>,
    /// The same ports once more, for what is still queued when the tasks have ended.
    queues: Vec<TcpListener>,
    workers: Rc<Vec<Handle>>,
    service: u64,
}

/// Binds without `SO_REUSEPORT`: with it, two proxies could share a port and nobody would notice. One thread accepts for all.
pub(super) fn listen(port: u16, service: u64, workers: &Rc<Vec<Handle>>, limits: &Limits) -> io::Result<Listening> {
    let mut listeners = vec![bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), limits)?];
    match bind(SocketAddr::from((Ipv6Addr::LOCALHOST, port)), limits) {
        Ok(listener) => listeners.push(listener),
        Err(error) => tracing::info!(port, %error, "listening on 127.0.0.1 only, not on [::1]"),
    }
    let queues = listeners.iter().map(TcpListener::try_clone).collect::<io::Result<Vec<_>>>()?;
    let listeners = listeners.into_iter().map(tokio::net::TcpListener::from_std).collect::<io::Result<Vec<_>>>()?;
    let accept = |it| tokio::task::spawn_local(accept(it, service, Rc::clone(workers), limits.connections_max));
    Ok(Listening { tasks: listeners.into_iter().map(accept).collect(), queues, workers: Rc::clone(workers), service })
}

/// What a person can do about it.
pub(super) fn sentence(port: u16, error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => {
            format!(
                "port {port} is taken by another process; stop it (`ss -ltnp 'sport = :{port}'` names it) or choose another port; an application that ignores PORT may have it itself"
            )
        }
        ErrorKind::PermissionDenied => {
            format!("port {port} may not be listened on by this user; ports below 1024 are usually kept for root, choose a higher one")
        }
        _ => format!("port {port} can't be listened on: {error}"),
    }
}

impl Drop for Listening {
    /// Connections the kernel has already accepted for us are taken over, since closing the port would cut them.
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        for queue in &self.queues {
            while let Ok((stream, client)) = queue.accept() {
                hand_over(stream, client, self.service, &self.workers);
            }
        }
    }
}

/// The kernel counts this in whole seconds.
const KEEPALIVE_MIN: Duration = Duration::from_secs(1);

/// What is set here holds for the connections too.
fn bind(address: SocketAddr, limits: &Limits) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A client that takes nothing, or is no longer there, would otherwise keep its connection and an instance's for ever.
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(limits.send_timeout))?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(limits.send_timeout.max(KEEPALIVE_MIN)))?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

async fn accept(listener: tokio::net::TcpListener, service: u64, workers: Rc<Vec<Handle>>, connections_max: usize) {
    loop {
        if workers.iter().map(|it| it.open.load(Relaxed)).sum::<usize>() >= connections_max {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        }
        match listener.accept().await.and_then(|(stream, client)| Ok((stream.into_std()?, client))) {
            Ok((stream, client)) => hand_over(stream, client, service, &workers),
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => {
                // Out of files, most likely. Trying again at once would only burn the processor.
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn hand_over(stream: TcpStream, client: SocketAddr, service: u64, workers: &[Handle]) {
    let prepared = stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true));
    let idlest = workers.iter().min_by_key(|it| it.open.load(Relaxed));
    if let (Ok(()), Some(worker)) = (prepared, idlest) {
        worker.open.fetch_add(1, Relaxed);
        worker.send(Order::Connection { service, stream, client });
    }
}
