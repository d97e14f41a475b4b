//! What crosses the control socket.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use base::Histogram;
use serde::{Deserialize, Serialize};

/// Where the requests of one service go. A route replaces the one before it as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Rises with every change; an older one is refused.
    pub generation: u64,
    pub port: u16,
    pub backends: BTreeMap<String, Backend>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synthetic: Option<Synthetic>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backend {
    /// In 0.01 %. The weights of a route sum to 10,000, or are all 0: then every request is answered with 503.
    pub weight: u32,
    /// Like `127.0.0.1:41001`.
    pub endpoints: Vec<String>,
}

/// Probes the proxy sends itself, so that both revisions are seen even when no user asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Synthetic {
    /// Asked in turn.
    pub paths: Vec<String>,
    /// One request to each revision per interval.
    pub interval_ms: u64,
    /// Probed beside those that have weight.
    #[serde(default)]
    pub revisions: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case", deny_unknown_fields)]
pub enum RouteAnswer {
    /// Every request that arrives from now on follows this route.
    Applied,
    /// A newer route, or another one of the same generation, is in force, or the service was removed with this generation.
    Stale { generation: u64 },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case", deny_unknown_fields)]
pub enum RemoveAnswer {
    /// Nothing listens for the service any more, and no route up to this generation brings it back.
    Removed,
    /// A newer route is in force and stays.
    Stale { generation: u64 },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    pub epoch: String,
    pub draining: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// This proxy process; counters restart when it changes.
    pub epoch: String,
    pub services: BTreeMap<String, ServiceStats>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStats {
    pub generation: u64,
    pub port: u16,
    pub bound: Bound,
    pub weights: BTreeMap<String, u32>,
    pub endpoints: BTreeMap<String, Vec<EndpointStats>>,
    pub counts: BTreeMap<String, RevisionCounts>,
    pub open_connections: u64,
    /// Requests the proxy answered itself, before any revision was chosen: no weight anywhere, an unknown revision, bad requests.
    pub unrouted: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    Listening,
    Failed { reason: String },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointStats {
    pub address: String,
    pub in_flight: u64,
    /// It refused a connection a moment ago and is left out while another one answers.
    pub skipped: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionCounts {
    pub users: Counts,
    pub synthetic: Counts,
    pub in_flight: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Those that ended, well or badly; aborted ones are not among them.
    pub requests: u64,
    /// 5xx, connect error, timeout, answer cut short.
    pub bad: u64,
    /// The client went away, or did not finish its own request.
    pub aborted: u64,
    /// From the request's head to the answer's last byte, of requests a backend answered; event streams and tunnels count
    /// to the answer's head.
    pub latency: Histogram,
}

/// Why a route makes no sense.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    #[error("the service name `{0}` is not 1 to 100 letters, digits, `-`, `_` or `.`")]
    Name(String),
    #[error("port 0 can't be listened on; choose one from 1 to 65535")]
    Port,
    #[error("the weights sum to {0}, not to 10000 (or all 0)")]
    Weights(u64),
    #[error("`{0}` can't name a revision in a header")]
    Revision(String),
    #[error("revision `{0}` has weight but no endpoints")]
    NoEndpoints(String),
    #[error("revision `{revision}` has the endpoint `{endpoint}`, which is not an address like `127.0.0.1:41001`")]
    Endpoint { revision: String, endpoint: String },
    #[error("the synthetic interval is {0} ms; the shortest is 10")]
    Interval(u64),
    #[error("the synthetic path `{0}` does not begin with `/` or can't be sent")]
    Path(String),
    #[error("the synthetic revision `{0}` is not among the backends")]
    SyntheticRevision(String),
}

pub(super) fn check_name(name: &str) -> Result<(), RouteError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match name.is_empty() || name.len() > 100 || !name.chars().all(plain) {
        true => Err(RouteError::Name(name.to_owned())),
        false => Ok(()),
    }
}

impl Route {
    pub fn check(&self, name: &str) -> Result<(), RouteError> {
        check_name(name)?;
        if self.port == 0 {
            return Err(RouteError::Port);
        }
        let sum: u64 = self.backends.values().map(|it| u64::from(it.weight)).sum();
        if sum != 0 && sum != 10_000 {
            return Err(RouteError::Weights(sum));
        }
        for (revision, backend) in &self.backends {
            backend.check(revision)?;
        }
        self.synthetic.iter().try_for_each(|it| it.check(&self.backends.keys().map(String::as_str).collect()))
    }
}

impl Backend {
    fn check(&self, revision: &str) -> Result<(), RouteError> {
        if revision.is_empty() || revision == "?" || !revision.chars().all(|c| c.is_ascii_graphic()) {
            return Err(RouteError::Revision(revision.to_owned()));
        }
        if self.weight > 0 && self.endpoints.is_empty() {
            return Err(RouteError::NoEndpoints(revision.to_owned()));
        }
        match self.endpoints.iter().find(|it| it.parse::<SocketAddr>().is_err()) {
            Some(wrong) => Err(RouteError::Endpoint { revision: revision.to_owned(), endpoint: wrong.clone() }),
            None => Ok(()),
        }
    }
}

impl Synthetic {
    fn check(&self, listed: &BTreeSet<&str>) -> Result<(), RouteError> {
        if self.interval_ms < 10 {
            return Err(RouteError::Interval(self.interval_ms));
        }
        if let Some(wrong) = self.paths.iter().find(|it| !it.starts_with('/') || it.parse::<http::Uri>().is_err()) {
            return Err(RouteError::Path(wrong.clone()));
        }
        match self.revisions.iter().find(|it| !listed.contains(it.as_str())) {
            Some(wrong) => Err(RouteError::SyntheticRevision(wrong.clone())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_that_make_no_sense_are_refused_with_a_sentence() {
        let route = |port, backends: &[(&str, u32, &[&str])]| Route {
            generation: 1,
            port,
            backends: backends
                .iter()
                .map(|(name, weight, endpoints)| {
                    let endpoints = endpoints.iter().map(|it| (*it).to_owned()).collect();
                    ((*name).to_owned(), Backend { weight: *weight, endpoints })
                })
                .collect(),
            synthetic: None,
        };
        let here: &[&str] = &["127.0.0.1:1"];
        let table = [
            ("web", route(80, &[("a", 10_000, here)]), "fine"),
            ("web", route(80, &[("a", 0, &[])]), "fine"),
            ("web", route(80, &[]), "fine"),
            ("", route(80, &[]), "the service name `` is not 1 to 100 letters, digits, `-`, `_` or `.`"),
            ("a/b", route(80, &[]), "the service name `a/b` is not 1 to 100 letters, digits, `-`, `_` or `.`"),
            ("web", route(0, &[]), "port 0 can't be listened on; choose one from 1 to 65535"),
            ("web", route(80, &[("a", 9_000, here)]), "the weights sum to 9000, not to 10000 (or all 0)"),
            ("web", route(80, &[("a", 10_000, &[])]), "revision `a` has weight but no endpoints"),
            ("web", route(80, &[("a b", 10_000, here)]), "`a b` can't name a revision in a header"),
            (
                "web",
                route(80, &[("a", 10_000, &["localhost"])]),
                "revision `a` has the endpoint `localhost`, which is not an address like `127.0.0.1:41001`",
            ),
        ];
        for (name, route, expected) in table {
            let found = route.check(name).map_or_else(|error| error.to_string(), |()| "fine".to_owned());
            assert_eq!(found, expected);
        }
    }
}
