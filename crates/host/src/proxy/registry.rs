//! What the proxy was told: routes by service, their ports and counters. Lives on the control thread alone.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::{Mutex, Notify, oneshot};

use super::control::{self, Bound, EndpointStats, Health, RemoveAnswer, Route, RouteAnswer, RouteError, ServiceStats, Stats};
use super::counters::Tally;
use super::listen::{Listening, listen, sentence};
use super::routes::{self, Routes};
use super::table::{Endpoint, Table, now_ms};
use super::worker::{Handle, Order, Service};
use super::{Config, Limits};

pub(super) struct Registry {
    dir: PathBuf,
    limits: Limits,
    epoch: String,
    workers: Rc<Vec<Handle>>,
    services: RefCell<BTreeMap<String, Entry>>,
    /// Services that are gone, and with which generation they went. Kept for good: a late hand has no deadline, and names are few.
    removed: RefCell<BTreeMap<String, u64>>,
    next_service: Cell<u64>,
    /// Held while a change is written and put into force, so that changes happen one after the other.
    changing: Mutex<()>,
    draining: Cell<bool>,
    shutdown: Notify,
}

struct Entry {
    route: Route,
    table: Arc<Table>,
    service: Arc<Service>,
    listening: Result<Listening, String>,
    tallies: BTreeMap<String, Arc<Tally>>,
    /// Revisions that are no longer in the route, the latest last.
    unlisted: VecDeque<String>,
}

/// Counters of revisions that left the route are kept for a while, since somebody may still be reading what they did.
const UNLISTED_MAX: usize = 16;

/// What keeps a change from being made, or from having its full effect.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChangeError {
    #[error(transparent)]
    Invalid(#[from] RouteError),
    #[error("the proxy is shutting down")]
    Draining,
    #[error("the routes could not be written to {}: {source}", dir.display())]
    Write { dir: PathBuf, source: std::io::Error },
    /// The route is in force, and the port will be tried again.
    #[error("{0}")]
    Port(String),
}

impl Registry {
    pub(super) fn new(config: &Config, epoch: String, workers: Vec<Handle>) -> Registry {
        Registry {
            dir: config.dir.clone(),
            limits: config.limits.clone(),
            epoch,
            workers: Rc::new(workers),
            services: RefCell::default(),
            removed: RefCell::default(),
            next_service: Cell::new(0),
            changing: Mutex::new(()),
            draining: Cell::new(false),
            shutdown: Notify::new(),
        }
    }

    /// Puts the routes of the process before into force, each port as far as it is free.
    pub(super) async fn restore(&self, routes: Routes) {
        self.removed.replace(routes.removed);
        for (name, route) in routes.services {
            self.put_into_force(&name, route).await;
        }
    }

    pub(super) async fn put(&self, name: &str, route: Route) -> Result<RouteAnswer, ChangeError> {
        route.check(name)?;
        let _changing = self.changing.lock().await;
        if self.draining.get() {
            return Err(ChangeError::Draining);
        }
        let current = self.services.borrow().get(name).map(|it| (it.route.generation, it.route == route));
        let removed = self.removed.borrow().get(name).map(|it| (*it, false));
        match current.or(removed) {
            Some((generation, false)) if generation >= route.generation => return Ok(RouteAnswer::Stale { generation }),
            Some((_, true)) => self.listen_again(name),
            _ => {
                let change = |routes: &mut Routes| {
                    routes.services.insert(name.to_owned(), route.clone());
                    routes.removed.remove(name);
                };
                self.write(change).await?;
                self.removed.borrow_mut().remove(name);
                self.put_into_force(name, route).await;
            }
        }
        match self.services.borrow().get(name).map(|it| &it.listening) {
            Some(Err(reason)) => Err(ChangeError::Port(reason.clone())),
            _ => Ok(RouteAnswer::Applied),
        }
    }

    /// Looks and removes in one turn, so that no route comes in between; the generation stays behind.
    pub(super) async fn remove(&self, name: &str, generation: u64) -> Result<RemoveAnswer, ChangeError> {
        control::check_name(name)?;
        let _changing = self.changing.lock().await;
        let current = self.services.borrow().get(name).map(|it| it.route.generation);
        if let Some(newer) = current.filter(|it| *it > generation) {
            return Ok(RemoveAnswer::Stale { generation: newer });
        }
        if current.is_none() && self.removed.borrow().get(name).is_some_and(|it| *it >= generation) {
            return Ok(RemoveAnswer::Removed);
        }
        let change = |routes: &mut Routes| {
            routes.services.remove(name);
            routes.removed.insert(name.to_owned(), generation);
        };
        self.write(change).await?;
        self.removed.borrow_mut().insert(name.to_owned(), generation);
        let entry = self.services.borrow_mut().remove(name);
        if let Some(service) = entry.map(|it| it.service.id) {
            self.ask_all(|done| Order::Remove { service, done }).await;
        }
        Ok(RemoveAnswer::Removed)
    }

    pub(super) fn stats(&self) -> Stats {
        let services = self.services.borrow();
        Stats { epoch: self.epoch.clone(), services: services.iter().map(|(name, it)| (name.clone(), it.stats())).collect() }
    }

    pub(super) fn health(&self) -> Health {
        Health { epoch: self.epoch.clone(), draining: self.draining.get() }
    }

    pub(super) fn ask_shutdown(&self) {
        self.draining.set(true);
        self.shutdown.notify_one();
    }

    pub(super) async fn shutdown_asked(&self) {
        self.shutdown.notified().await;
    }

    /// Lets go of the ports and waits until what is in flight has ended.
    pub(super) async fn drain(&self) {
        self.draining.set(true);
        let _changing = self.changing.lock().await;
        for entry in self.services.borrow_mut().values_mut() {
            entry.listening = Err("the proxy is shutting down".to_owned());
        }
        let timeout = self.limits.drain_timeout;
        let cut: usize = self.ask_all(|done| Order::Drain { timeout, done }).await.into_iter().sum();
        if cut > 0 {
            tracing::warn!(cut, "connections were still open when the time for draining was up");
        }
    }

    /// On disk first: what was answered with `applied` survives a crash of the machine.
    async fn write(&self, change: impl FnOnce(&mut Routes)) -> Result<(), ChangeError> {
        let services = self.services.borrow().iter().map(|(name, it)| (name.clone(), it.route.clone())).collect();
        let mut routes = Routes { services, removed: self.removed.borrow().clone() };
        change(&mut routes);
        let dir = self.dir.clone();
        let written = tokio::task::spawn_blocking(move || routes::save(&dir, routes)).await;
        let written = written.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        written.map_err(|source| ChangeError::Write { dir: self.dir.clone(), source })
    }

    /// Returns when every worker follows the route.
    async fn put_into_force(&self, name: &str, route: Route) {
        let next = {
            let services = self.services.borrow();
            Next::new(route, services.get(name), self.workers.len())
        };
        let service = self.services.borrow().get(name).map(|it| Arc::clone(&it.service));
        let service = service.unwrap_or_else(|| self.service());
        self.ask_all(|done| Order::Route { service: Arc::clone(&service), table: Arc::clone(&next.table), done }).await;
        let mut services = self.services.borrow_mut();
        let before = services.remove(name);
        let listening = match before {
            Some(it) if it.route.port == next.route.port && it.listening.is_ok() => it.listening,
            // The new port is there before the old one is let go.
            before => {
                let listening = self.listen(next.route.port, service.id);
                drop(before);
                listening
            }
        };
        let Next { route, table, tallies, unlisted } = next;
        services.insert(name.to_owned(), Entry { route, table, service, listening, tallies, unlisted });
    }

    fn service(&self) -> Arc<Service> {
        let id = self.next_service.get();
        self.next_service.set(id + 1);
        Arc::new(Service { id, open_connections: AtomicU64::new(0), unrouted: AtomicU64::new(0) })
    }

    fn listen(&self, port: u16, service: u64) -> Result<Listening, String> {
        listen(port, service, &self.workers, &self.limits).map_err(|error| sentence(port, &error))
    }

    fn listen_again(&self, name: &str) {
        if let Some(entry) = self.services.borrow_mut().get_mut(name)
            && entry.listening.is_err()
        {
            entry.listening = self.listen(entry.route.port, entry.service.id);
        }
    }

    async fn ask_all<T>(&self, order: impl Fn(oneshot::Sender<T>) -> Order) -> Vec<T> {
        let mut answers = Vec::new();
        for worker in self.workers.iter() {
            let (done, answer) = oneshot::channel();
            worker.send(order(done));
            answers.push(answer);
        }
        let mut all = Vec::new();
        for answer in answers {
            all.extend(answer.await.ok());
        }
        all
    }
}

/// What an entry becomes by a new route: endpoints and counters that stay are the same ones as before.
struct Next {
    route: Route,
    table: Arc<Table>,
    tallies: BTreeMap<String, Arc<Tally>>,
    unlisted: VecDeque<String>,
}

impl Next {
    fn new(route: Route, before: Option<&Entry>, threads: usize) -> Next {
        let mut known = before.map(|it| it.table.endpoints()).unwrap_or_default();
        let mut tallies = before.map(|it| it.tallies.clone()).unwrap_or_default();
        let mut unlisted = before.map(|it| it.unlisted.clone()).unwrap_or_default();
        let table = Table::new(
            &route,
            |address| Arc::clone(known.entry(address).or_insert_with(|| Arc::new(Endpoint::new(address)))),
            |revision| Arc::clone(tallies.entry(revision.to_owned()).or_insert_with(|| Arc::new(Tally::new(threads)))),
        );
        unlisted.retain(|it| !route.backends.contains_key(it));
        let gone = |it: &&String| !route.backends.contains_key(*it) && !unlisted.contains(*it);
        let gone: Vec<String> = tallies.keys().filter(gone).cloned().collect();
        unlisted.extend(gone);
        while unlisted.len() > UNLISTED_MAX {
            unlisted.pop_front().and_then(|it| tallies.remove(&it));
        }
        Next { route, table: Arc::new(table), tallies, unlisted }
    }
}

impl Entry {
    fn stats(&self) -> ServiceStats {
        let now_ms = now_ms();
        let endpoint = |it: &Arc<Endpoint>| EndpointStats {
            address: it.address.to_string(),
            in_flight: it.in_flight.load(Relaxed),
            skipped: it.skipped(now_ms),
        };
        let revisions = &self.table.revisions;
        ServiceStats {
            generation: self.table.generation,
            port: self.table.port,
            bound: match &self.listening {
                Ok(_) => Bound::Listening,
                Err(reason) => Bound::Failed { reason: reason.clone() },
            },
            weights: revisions.iter().map(|it| (it.name.clone(), it.weight)).collect(),
            endpoints: revisions.iter().map(|it| (it.name.clone(), it.endpoints.iter().map(endpoint).collect())).collect(),
            counts: self.tallies.iter().map(|(name, it)| (name.clone(), it.read())).collect(),
            open_connections: self.service.open_connections.load(Relaxed),
            unrouted: self.service.unrouted.load(Relaxed),
        }
    }
}

/// A port that was taken may become free; then the service is there without anybody asking again.
pub(super) async fn rebind_failed(registry: Rc<Registry>) {
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    loop {
        interval.tick().await;
        let _changing = registry.changing.lock().await;
        let names: Vec<String> = registry.services.borrow().keys().cloned().collect();
        names.iter().for_each(|it| registry.listen_again(it));
    }
}
