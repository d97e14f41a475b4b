//! A thread that carries traffic: connections, routes and pools of its own, and orders from the registry.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::Waker;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::AbortHandle;

use super::table::{Endpoint, Table, now_ms};
use super::upstream::Pool;
use super::{Error, Limits, downstream, synthetic};

/// What the registry asks of a worker. Orders are carried out in the order they come.
pub(super) enum Order {
    Route { service: Arc<Service>, table: Arc<Table>, done: oneshot::Sender<()> },
    Connection { service: u64, stream: TcpStream, client: SocketAddr },
    Remove { service: u64, done: oneshot::Sender<()> },
    Drain { timeout: Duration, done: oneshot::Sender<usize> },
}

/// What all threads know of a service.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) id: u64,
    pub(super) open_connections: AtomicU64,
    pub(super) unrouted: AtomicU64,
}

#[derive(Debug)]
pub(super) struct Handle {
    orders: mpsc::UnboundedSender<Order>,
    /// Connections this worker has or is about to get; whoever hands one over counts it.
    pub(super) open: Arc<AtomicUsize>,
}

impl Handle {
    /// A worker that is gone has nothing to do any more, so nobody waits for it.
    pub(super) fn send(&self, order: Order) {
        let _ = self.orders.send(order);
    }
}

pub(super) fn start(index: usize, limits: &Limits) -> Result<Handle, Error> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let open = Arc::new(AtomicUsize::new(0));
    let (ready, started) = std::sync::mpsc::channel();
    let (limits, count) = (limits.clone(), Arc::clone(&open));
    std::thread::Builder::new()
        .name(format!("proxy-{index}"))
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default());
            match runtime {
                Ok(runtime) => {
                    let _ = ready.send(Ok(()));
                    runtime.block_on(Rc::new(Worker::new(index, limits, count)).carry_out(receiver));
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        })
        .map_err(Error::Runtime)?;
    started.recv().map_err(|_| Error::Runtime(std::io::Error::other("the thread ended at once")))?.map_err(Error::Runtime)?;
    Ok(Handle { orders: sender, open })
}

pub(super) struct Worker {
    pub(super) index: usize,
    pub(super) limits: Limits,
    services: RefCell<HashMap<u64, Rc<LocalService>>>,
    open: Arc<AtomicUsize>,
    emptied: Notify,
}

/// A service as one thread sees it.
pub(super) struct LocalService {
    pub(super) shared: Arc<Service>,
    pub(super) route: RefCell<Rc<LocalRoute>>,
    pub(super) closing: Closing,
    probes: RefCell<Option<AbortHandle>>,
}

pub(super) struct LocalRoute {
    pub(super) table: Arc<Table>,
    /// By revision, then by endpoint, in the table's order.
    pub(super) pools: Vec<Vec<Rc<Pool>>>,
    pub(super) turn: Cell<usize>,
}

impl Worker {
    fn new(index: usize, limits: Limits, open: Arc<AtomicUsize>) -> Worker {
        Worker { index, limits, services: RefCell::default(), open, emptied: Notify::new() }
    }

    async fn carry_out(self: Rc<Worker>, mut orders: mpsc::UnboundedReceiver<Order>) {
        let sweeping = tokio::task::spawn_local(Rc::clone(&self).sweep_pools());
        while let Some(order) = orders.recv().await {
            match order {
                Order::Route { service, table, done } => {
                    self.route(&service, table);
                    let _ = done.send(());
                }
                Order::Connection { service, stream, client } => self.connection(service, stream, client),
                Order::Remove { service, done } => {
                    self.remove(service);
                    let _ = done.send(());
                }
                Order::Drain { timeout, done } => {
                    let _ = done.send(self.drain(timeout).await);
                    break;
                }
            }
        }
        sweeping.abort();
    }

    fn route(self: &Rc<Worker>, service: &Arc<Service>, table: Arc<Table>) {
        let existing = self.services.borrow().get(&service.id).map(Rc::clone);
        let local = existing.unwrap_or_else(|| {
            let local = Rc::new(LocalService::new(Arc::clone(service)));
            self.services.borrow_mut().insert(service.id, Rc::clone(&local));
            local
        });
        let probes_differ = local.route.borrow().table.synthetic != table.synthetic;
        local.change_route(table);
        // One thread probes for all.
        if probes_differ && self.index == 0 {
            let probes = local.route.borrow().table.synthetic.clone();
            let probes = probes.map(|it| tokio::task::spawn_local(synthetic::probe(Rc::clone(self), Rc::downgrade(&local), it)));
            local.replace_probes(probes.map(|it| it.abort_handle()));
        }
    }

    fn connection(self: &Rc<Worker>, service: u64, stream: TcpStream, client: SocketAddr) {
        let Some(service) = self.services.borrow().get(&service).map(Rc::clone) else {
            self.open.fetch_sub(1, Relaxed);
            return;
        };
        let open = OpenConnection::new(Rc::clone(self), Rc::clone(&service));
        tokio::task::spawn_local(downstream::serve(open, stream, client));
    }

    fn remove(&self, service: u64) {
        if let Some(service) = self.services.borrow_mut().remove(&service) {
            service.end();
        }
    }

    /// How many connections had to be cut when the time was up.
    async fn drain(&self, timeout: Duration) -> usize {
        self.services.borrow().values().for_each(|it| it.end());
        let emptied = async {
            while self.open.load(Relaxed) > 0 {
                self.emptied.notified().await;
            }
        };
        let _ = tokio::time::timeout(timeout, emptied).await;
        self.open.load(Relaxed)
    }

    async fn sweep_pools(self: Rc<Worker>) {
        let mut interval = tokio::time::interval(Duration::from_secs(5));
        loop {
            interval.tick().await;
            let services: Vec<_> = self.services.borrow().values().map(Rc::clone).collect();
            for service in services {
                service.route.borrow().pools.iter().flatten().for_each(|it| it.sweep());
            }
        }
    }
}

impl LocalRoute {
    /// The instance with the least to do that accepted connections lately; one that did not, when there is no other.
    pub(super) fn pick(&self, revision: usize, tried: &[usize]) -> Option<usize> {
        let pools = &self.pools[revision];
        if pools.len() == 1 {
            return tried.is_empty().then_some(0);
        }
        let now_ms = now_ms();
        let start = self.turn.get();
        self.turn.set(start.wrapping_add(1));
        let rotated = (0..pools.len()).map(|it| (it + start) % pools.len()).filter(|it| !tried.contains(it));
        rotated.min_by_key(|it| {
            let endpoint = &pools[*it].endpoint;
            (endpoint.skipped(now_ms), endpoint.in_flight.load(Relaxed))
        })
    }
}

impl LocalService {
    fn new(shared: Arc<Service>) -> LocalService {
        let nothing = super::control::Route { generation: 0, port: 0, backends: BTreeMap::new(), synthetic: None };
        let table = Table::new(&nothing, |_| unreachable!("no endpoints"), |_| unreachable!("no revisions"));
        let route = LocalRoute { table: Arc::new(table), pools: Vec::new(), turn: Cell::new(0) };
        LocalService { shared, route: RefCell::new(Rc::new(route)), closing: Closing::default(), probes: RefCell::default() }
    }

    /// Requests that have begun keep the route they began with; pools of endpoints that stay are kept.
    fn change_route(&self, table: Arc<Table>) {
        let before = self.route.borrow().clone();
        let mut known: BTreeMap<SocketAddr, Rc<Pool>> =
            before.pools.iter().flatten().map(|it| (it.endpoint.address, Rc::clone(it))).collect();
        let mut kept = BTreeMap::new();
        let mut pool = |endpoint: &Arc<Endpoint>| {
            let address = endpoint.address;
            let pool =
                kept.entry(address).or_insert_with(|| known.remove(&address).unwrap_or_else(|| Rc::new(Pool::new(Arc::clone(endpoint)))));
            Rc::clone(pool)
        };
        let pools = table.revisions.iter().map(|it| it.endpoints.iter().map(&mut pool).collect()).collect();
        *self.route.borrow_mut() = Rc::new(LocalRoute { table, pools, turn: Cell::new(0) });
        known.values().for_each(|it| it.close());
    }

    fn replace_probes(&self, probes: Option<AbortHandle>) {
        if let Some(before) = self.probes.replace(probes) {
            before.abort();
        }
    }

    fn end(&self) {
        self.replace_probes(None);
        self.closing.begin();
    }
}

/// Counts one connection, or the tunnel it became, for as long as it lives.
pub(super) struct OpenConnection {
    pub(super) worker: Rc<Worker>,
    pub(super) service: Rc<LocalService>,
}

impl OpenConnection {
    fn new(worker: Rc<Worker>, service: Rc<LocalService>) -> OpenConnection {
        service.shared.open_connections.fetch_add(1, Relaxed);
        OpenConnection { worker, service }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.service.shared.open_connections.fetch_sub(1, Relaxed);
        if self.worker.open.fetch_sub(1, Relaxed) == 1 {
            self.worker.emptied.notify_one();
        }
    }
}

/// Tells the connections of a service to end when idle. A flag and the tasks to wake, since looking at a channel on every
/// poll of every connection costs more.
#[derive(Default)]
pub(super) struct Closing {
    begun: Cell<bool>,
    tasks: RefCell<HashMap<u64, Waker>>,
    next: Cell<u64>,
}

impl Closing {
    pub(super) fn begun(&self) -> bool {
        self.begun.get()
    }

    pub(super) fn watch(&self, waker: Waker) -> u64 {
        let key = self.next.get();
        self.next.set(key + 1);
        self.tasks.borrow_mut().insert(key, waker);
        key
    }

    pub(super) fn forget(&self, key: u64) {
        self.tasks.borrow_mut().remove(&key);
    }

    fn begin(&self) {
        self.begun.set(true);
        self.tasks.borrow().values().for_each(Waker::wake_by_ref);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::control::{Backend, Route};
    use crate::proxy::counters::Tally;

    #[test]
    fn the_least_busy_instance_that_accepts_connections_is_picked() {
        let endpoints = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"].map(str::to_owned).to_vec();
        let backends = [("a".to_owned(), Backend { weight: 10_000, endpoints })].into();
        let route = Route { generation: 1, port: 1, backends, synthetic: None };
        let table = Table::new(&route, |address| Arc::new(Endpoint::new(address)), |_| Arc::new(Tally::new(1)));
        let endpoints = table.revisions[0].endpoints.clone();
        let pools = vec![endpoints.iter().map(|it| Rc::new(Pool::new(Arc::clone(it)))).collect()];
        let route = LocalRoute { table: Arc::new(table), pools, turn: Cell::new(0) };
        let six = || (0..6).filter_map(|_| route.pick(0, &[])).collect::<Vec<_>>();
        assert_eq!(six(), [0, 1, 2, 0, 1, 2], "all alike take turns");
        endpoints[0].in_flight.store(1, Relaxed);
        assert_eq!(six(), [1, 1, 2, 1, 1, 2], "the busy one waits");
        endpoints[2].refused();
        assert_eq!(six(), [1; 6], "the one that refused is left out");
        assert_eq!(route.pick(0, &[1]), Some(0));
        assert_eq!(route.pick(0, &[1, 0]), Some(2), "when there is no other, it is tried");
        assert_eq!(route.pick(0, &[0, 1, 2]), None);
        endpoints[2].connected();
        assert!(six().contains(&2), "once it accepts again it is back");
    }
}
