//! Probes in Kubernetes' sense: startup until it succeeds once, then readiness and liveness beside each other.

use std::time::Duration;

use rollout::{Probe, Probes};
use tokio::time::Instant;

use super::app::App;
use super::listening;
use super::probe::{self, Answer};

/// Watches one application from its start to its end.
#[derive(Debug)]
pub(super) struct Watch {
    probes: Probes,
    address: String,
    /// The port it was given, as long as it may turn out to listen elsewhere.
    given: Option<u16>,
    /// The port, as long as somebody else may be who answers there: somebody did before it was started.
    foreign: Option<u16>,
    begun: Instant,
    up: bool,
    ready: bool,
    readiness: Turn,
    liveness: Turn,
    fallback: Option<Fallback>,
    elsewhere: Elsewhere,
    /// What is worth telling though nothing is wrong.
    notes: Vec<String>,
    /// The port in its container.
    inside: Option<u16>,
}

/// What came of a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    Starting(String),
    Ready(Option<String>),
    NotReady(String),
    /// To be restarted.
    Unhealthy(String),
    Unchanged,
}

#[derive(Debug)]
struct Turn {
    due: Instant,
    failures: u32,
}

/// How an application without a health path is asked; decided by its first answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fallback {
    Root,
    Connect,
}

/// Where it listens instead of its port, and how often that was seen.
#[derive(Debug, Default)]
struct Elsewhere {
    port: Option<u16>,
    looks: u32,
    next: Option<Instant>,
}

/// Looking more often than asked for, until something is well, costs nothing and saves waiting.
const EAGER: Duration = Duration::from_millis(100);
/// Looks that must agree before another port is believed, and the pause between them.
const LOOKS: u32 = 3;
const LOOK_PAUSE: Duration = Duration::from_millis(300);

impl Watch {
    /// `taken`: somebody listened on the port before the application was started.
    pub(super) fn new(probes: Probes, port: u16, fixed: bool, taken: bool) -> Watch {
        let now = Instant::now();
        Watch {
            probes,
            address: format!("127.0.0.1:{port}"),
            given: (!fixed).then_some(port),
            foreign: taken.then_some(port),
            begun: now,
            up: false,
            ready: false,
            readiness: Turn { due: now, failures: 0 },
            liveness: Turn { due: now, failures: 0 },
            fallback: None,
            elsewhere: Elsewhere::default(),
            notes: Vec::new(),
            inside: None,
        }
    }

    /// Nobody else answers there, and where it listens in its container is not seen from here.
    pub(super) fn of_container(probes: Probes, port: u16, inside: u16) -> Watch {
        Watch { inside: Some(inside), ..Watch::new(probes, port, true, false) }
    }

    /// The time that it gets begins now.
    pub(super) fn begin_anew(&mut self) {
        self.begun = Instant::now();
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Sleeps until the next probe is due and makes it.
    pub(super) async fn next(&mut self) -> Seen {
        if !self.up {
            return self.start_up().await;
        }
        if self.liveness.due < self.readiness.due {
            tokio::time::sleep_until(self.liveness.due).await;
            self.live().await
        } else {
            tokio::time::sleep_until(self.readiness.due).await;
            self.be_ready().await
        }
    }

    /// Fails when it has not succeeded within delay + period × failures, as with Kubernetes, but asks more often.
    async fn start_up(&mut self) -> Seen {
        let probe = self.probes.startup.clone();
        tokio::time::sleep_until(self.readiness.due.max(self.begun + delay(&probe))).await;
        self.readiness.due = Instant::now() + period(&probe).min(EAGER);
        let Err(why) = self.ask(&probe).await else {
            let now = Instant::now();
            self.up = true;
            self.readiness.due = (self.begun + delay(&self.probes.readiness)).max(now);
            self.liveness.due = (self.begun + delay(&self.probes.liveness)).max(now + period(&self.probes.liveness));
            return Seen::Unchanged;
        };
        let budget = delay(&probe) + period(&probe) * probe.failures_max.max(1);
        if self.begun.elapsed() < budget {
            return Seen::Starting(why);
        }
        Seen::Unhealthy(format!("not up after {} s: {why}", budget.as_secs_f32()))
    }

    async fn be_ready(&mut self) -> Seen {
        let probe = self.probes.readiness.clone();
        let asked = self.ask(&probe).await;
        let pause = if asked.is_ok() { period(&probe) } else { period(&probe).min(EAGER) };
        match asked {
            Ok(()) => {
                self.readiness = Turn { due: Instant::now() + pause, failures: 0 };
                self.ready = true;
                Seen::Ready(self.note())
            }
            Err(why) if self.ready => {
                self.readiness = Turn { due: Instant::now() + period(&probe), failures: self.readiness.failures + 1 };
                if self.readiness.failures < probe.failures_max {
                    return Seen::Unchanged;
                }
                self.ready = false;
                Seen::NotReady(why)
            }
            Err(why) => {
                self.readiness.due = Instant::now() + pause;
                Seen::NotReady(why)
            }
        }
    }

    /// Without a path it is enough that somebody listens: a start page that fails is no reason to restart.
    async fn live(&mut self) -> Seen {
        let probe = self.probes.liveness.clone();
        self.liveness.due = Instant::now() + period(&probe);
        let asked = match &probe.path {
            Some(_) => self.ask(&probe).await,
            None => match probe::connect(&self.address, timeout(&probe)).await {
                Answer::NotHttp => Ok(()),
                Answer::TimedOut => Err(format!("{} took no connection within {} ms", self.address, probe.timeout_ms)),
                _ => Err(format!("nothing listens on {}", self.address)),
            },
        };
        let Err(why) = asked else {
            self.liveness.failures = 0;
            return Seen::Unchanged;
        };
        self.liveness.failures += 1;
        if self.liveness.failures < probe.failures_max.max(1) {
            return Seen::Unchanged;
        }
        Seen::Unhealthy(format!("not alive, {} failures in a row: {why}", self.liveness.failures))
    }

    async fn ask(&mut self, probe: &Probe) -> Result<(), String> {
        let timeout = timeout(probe);
        let (path, answer) = match (&probe.path, self.fallback) {
            (Some(path), _) => (path.as_str(), probe::get(&self.address, path, timeout).await),
            (None, Some(Fallback::Connect)) => ("/", probe::connect(&self.address, timeout).await),
            (None, _) => ("/", probe::get(&self.address, "/", timeout).await),
        };
        let well = match (&probe.path, &answer) {
            (Some(_), Answer::Status(status)) => (200..400).contains(status),
            (None, Answer::Status(status)) => (200..400).contains(status) || *status == 404,
            (None, Answer::NotHttp) => self.fallback != Some(Fallback::Root),
            _ => false,
        };
        if well && let Some(port) = self.foreign {
            if !listening::ports(&App::processes()).contains(&port) {
                return Err(taken(port));
            }
            self.foreign = None;
        }
        if well {
            if probe.path.is_none() {
                self.decide(&answer);
            }
            return Ok(());
        }
        if answer == Answer::Refused
            && let Some(port) = self.given
        {
            return Err(self.look_elsewhere(port).unwrap_or_else(|| format!("nothing listens on port {port}")));
        }
        // The engine may take connections on its behalf and close them.
        if let (Some(inside), Answer::Refused | Answer::Broken(_), false) = (self.inside, &answer, self.ready) {
            return Err(format!("nothing answers on port {inside} in its container, where it has to listen on 0.0.0.0 ($HOST)"));
        }
        Err(answer.sentence(path, timeout))
    }

    fn decide(&mut self, answer: &Answer) {
        if self.fallback.is_some() {
            return;
        }
        let (fallback, note) = match answer {
            Answer::Status(_) => (Fallback::Root, "no health path is given, so `GET /` is asked"),
            _ => (Fallback::Connect, "no health path is given and it doesn't speak HTTP, so a connection is all that is tried"),
        };
        self.fallback = Some(fallback);
        self.notes.push(note.to_string());
    }

    /// An application may ignore `PORT`: then it is reached where it listens, once that is sure.
    fn look_elsewhere(&mut self, given: u16) -> Option<String> {
        let now = Instant::now();
        if self.elsewhere.next.is_none_or(|next| next <= now) {
            self.elsewhere.next = Some(now + LOOK_PAUSE);
            let ports = listening::ports(&App::processes());
            let found = if ports.contains(&given) { None } else { ports.first().copied() };
            self.elsewhere.looks = if found.is_some() && found == self.elsewhere.port { self.elsewhere.looks + 1 } else { 1 };
            self.elsewhere.port = found;
        }
        let port = self.elsewhere.port?;
        let sentence = format!("it ignores PORT={given} and listens on {port}");
        if self.elsewhere.looks >= LOOKS {
            self.address = format!("127.0.0.1:{port}");
            self.given = None;
            self.notes.push(format!("{sentence}, where it is reached; two instances can't run beside each other like that, and `port: {port}` in plimsoll.yaml puts one in the place of the other"));
        }
        Some(sentence)
    }

    fn note(&self) -> Option<String> {
        (!self.notes.is_empty()).then(|| self.notes.join("; "))
    }
}

/// Why an application that is asked on a port of somebody else's is not ready.
pub(super) fn taken(port: u16) -> String {
    format!("port {port} is held by another process, which answers there; let it listen on $PORT")
}

fn delay(probe: &Probe) -> Duration {
    Duration::from_millis(probe.delay_ms)
}

fn period(probe: &Probe) -> Duration {
    Duration::from_millis(probe.period_ms.max(10))
}

fn timeout(probe: &Probe) -> Duration {
    Duration::from_millis(probe.timeout_ms.max(1))
}
