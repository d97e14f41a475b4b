//! Ports: where users come to a project, and where its application listens whatever `PORT` says.

use std::io::ErrorKind;
use std::net::TcpListener;

use base::name::ProjectId;
use record::{Index, ProjectEntry};
use release::{Live, environment};

use crate::failure::{Failure, Result};
use crate::proposal::Proposal;

/// Where the first project's port is looked for; the next projects take the ones above. No framework listens here by itself:
/// an application that ignores `PORT` finds its own port free.
const FIRST_PORT: u16 = 8420;

/// Ports that are tried for a new project.
const PORTS: u16 = 1000;

/// The environment's own port, remembered; the lowest free one for a new environment, and never the one at which its application
/// listens.
pub(super) fn choose(index: &Index, entry: Option<&ProjectEntry>, listens: bool, proposal: &Proposal) -> Result<u16> {
    own_is_free(index, proposal)?;
    let (asked, own) = (proposal.delivery.port, proposal.delivery.fixed_port);
    let here = (proposal.project.id, proposal.environment.clone());
    let environment = index.environments.get(&here);
    let live_here = environment.and_then(|environment| environment.live()).map(|live| live.delivery.port);
    // One at which nobody was ever reached is no better than another.
    let was_reached = environment.is_some_and(|environment| environment.generation() > 0);
    let is_good = |port: &u16| Some(*port) != own && (was_reached || is_free(*port));
    let of_record = entry.and_then(|entry| entry.ports.get(&here.1)).copied();
    let kept = if asked != 0 { Some(asked) } else { of_record.filter(is_good) };
    let taken_by = |port: u16| comers(index).find(|(other, theirs)| *other != here && *theirs == port).map(|(other, _)| other);
    if let Some(port) = kept {
        if let Some(other) = taken_by(port) {
            let message = format!("port {port} belongs to {}", named(index, &other, here.0));
            return Err(Failure::usage(message).hint("`--port` chooses another"));
        }
        // A release that is under way may have moved the proxy to it.
        let is_ours = listens && live_here == Some(port) || is_moving(index, &here) && of_record == Some(port);
        if is_ours || is_free(port) {
            return Ok(port);
        }
        let message = format!("port {port} is taken by another process");
        return Err(Failure::usage(message).hint(format!("end that process ({}), or choose another port with `--port`", names_it(port))));
    }
    (FIRST_PORT..FIRST_PORT + PORTS)
        .find(|port| Some(*port) != own && taken_by(*port).is_none() && is_free(*port))
        .ok_or_else(|| Failure::infrastructure(format!("no free port from {FIRST_PORT} on")).hint("`--port` chooses one"))
}

/// An environment of a project.
type Place = (ProjectId, String);

/// Where users come to each.
fn comers(index: &Index) -> impl Iterator<Item = (Place, u16)> + '_ {
    let of = |entry: &ProjectEntry| -> Vec<(Place, u16)> {
        entry.ports.iter().map(|(environment, port)| ((entry.project.id, environment.clone()), *port)).collect()
    };
    index.projects.values().flat_map(of)
}

/// As seen from a project: its own environments by their names alone.
fn named(index: &Index, (project, environment): &Place, from: ProjectId) -> String {
    if *project == from {
        return format!("environment `{environment}` of this project");
    }
    let name = index.projects.get(project).map_or("another", |other| other.project.name.as_str());
    if environment == environment::FIRST { format!("project `{name}`") } else { format!("project `{name}` in environment `{environment}`") }
}

/// Where the application listens whatever `PORT` says has to be free for it.
fn own_is_free(index: &Index, proposal: &Proposal) -> Result<()> {
    let Some(own) = proposal.delivery.fixed_port else { return Ok(()) };
    let here = (proposal.project.id, proposal.environment.clone());
    let let_it = "let this application listen on $PORT and leave `port` out, or give it another port";
    let is_live = |of: &Place| index.environments.get(of).is_some_and(|it| it.live().is_some());
    let comes_there = |(other, port): &(Place, u16)| *other != here && *port == own && (is_moving(index, other) || is_live(other));
    if let Some((other, _)) = comers(index).find(comes_there) {
        let name = named(index, &other, here.0);
        let message = format!("`port: {own}` is where this application listens, and where users of {name} come");
        return Err(Failure::usage(message).hint("`plimsoll up --port OTHER` there moves it").hint(let_it));
    }
    let listens_there = |live: &Live| live.delivery.fixed_port == Some(own);
    let mut elsewhere =
        index.environments.iter().filter(|(key, environment)| **key != here && environment.live().is_some_and(listens_there));
    if let Some((other, _)) = elsewhere.next() {
        let message = format!("`port: {own}` is where the application of {} listens too", named(index, other, here.0));
        return Err(Failure::usage(message).hint(let_it));
    }
    let is_ours = index.environments.get(&here).is_some_and(|environment| environment.live().is_some_and(listens_there));
    if is_ours || is_moving(index, &here) || !is_taken(own) {
        return Ok(());
    }
    let message = format!("port {own}, where the application listens by `port: {own}`, is taken by another process");
    Err(Failure::usage(message).hint(format!("end that process: {}", names_it(own))).hint(let_it))
}

fn is_moving(index: &Index, (project, environment): &Place) -> bool {
    index.releases.values().any(|it| it.project == *project && it.environment == *environment && it.outcome.is_none())
}

fn names_it(port: u16) -> String {
    format!("`ss -ltnp 'sport = :{port}'` names it")
}

/// By somebody; a port that we may not have ourselves may be the application's.
fn is_taken(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}
