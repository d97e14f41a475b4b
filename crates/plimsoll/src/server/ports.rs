//! Ports: where users come to a project, and where its application listens whatever `PORT` says.

use std::io::ErrorKind;
use std::net::TcpListener;

use base::name::ProjectId;
use record::{Index, ProjectEntry};
use release::Live;

use crate::failure::{Failure, Result};
use crate::proposal::Proposal;

/// Where the first project's port is looked for; the next projects take the ones above. No framework listens here by itself:
/// an application that ignores `PORT` finds its own port free.
const FIRST_PORT: u16 = 8420;

/// Ports that are tried for a new project.
const PORTS: u16 = 1000;

/// The project's own port, remembered; the lowest free one for a new project, and never the one at which its application listens.
pub(super) fn choose(index: &Index, entry: Option<&ProjectEntry>, listens: bool, proposal: &Proposal) -> Result<u16> {
    own_is_free(index, proposal)?;
    let (project, asked, own) = (&proposal.project, proposal.delivery.port, proposal.delivery.fixed_port);
    let live_here = index
        .environments
        .get(&(project.id, proposal.environment.clone()))
        .and_then(|environment| environment.live())
        .map(|live| live.delivery.port);
    // One at which nobody was ever reached is no better than another.
    let was_reached = index.environments.iter().any(|((of, _), environment)| *of == project.id && environment.generation() > 0);
    let is_good = |port: &u16| Some(*port) != own && (was_reached || is_free(*port));
    let remembered = entry.map(|entry| entry.port).filter(is_good);
    let kept = if asked != 0 { Some(asked) } else { remembered };
    let taken_by = |port: u16| index.projects.values().find(|other| other.project.id != project.id && other.port == port);
    if let Some(port) = kept {
        if let Some(other) = taken_by(port) {
            let message = format!("port {port} belongs to project `{}`", other.project.name);
            return Err(Failure::usage(message).hint("`--port` chooses another"));
        }
        // A release that is under way may have moved the proxy to it.
        let is_ours = listens && live_here == Some(port) || is_moving(index, project.id) && entry.is_some_and(|entry| entry.port == port);
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

/// Where the application listens whatever `PORT` says has to be free for it.
fn own_is_free(index: &Index, proposal: &Proposal) -> Result<()> {
    let Some(own) = proposal.delivery.fixed_port else { return Ok(()) };
    let project = proposal.project.id;
    let let_it = "let this application listen on $PORT and leave `port` out, or give it another port";
    let is_in_use =
        |of: ProjectId| is_moving(index, of) || index.environments.iter().any(|((it, _), it_is)| *it == of && it_is.live().is_some());
    let comes_there = |other: &&ProjectEntry| other.project.id != project && other.port == own && is_in_use(other.project.id);
    if let Some(other) = index.projects.values().find(comes_there) {
        let message = format!("`port: {own}` is where this application listens, and where users of project `{}` come", other.project.name);
        return Err(Failure::usage(message).hint("`plimsoll up --port OTHER` there moves that project").hint(let_it));
    }
    let here = (project, proposal.environment.clone());
    let listens_there = |live: &Live| live.delivery.fixed_port == Some(own);
    let mut elsewhere =
        index.environments.iter().filter(|(key, environment)| **key != here && environment.live().is_some_and(listens_there));
    if let Some(((other, environment), _)) = elsewhere.next() {
        let name = index.projects.get(other).map_or("another", |other| other.project.name.as_str());
        let message = format!("`port: {own}` is where the application of project `{name}` in environment `{environment}` listens too");
        return Err(Failure::usage(message).hint(let_it));
    }
    let is_ours = index.environments.get(&here).is_some_and(|environment| environment.live().is_some_and(listens_there));
    if is_ours || is_moving(index, project) || !is_taken(own) {
        return Ok(());
    }
    let message = format!("port {own}, where the application listens by `port: {own}`, is taken by another process");
    Err(Failure::usage(message).hint(format!("end that process: {}", names_it(own))).hint(let_it))
}

fn is_moving(index: &Index, project: ProjectId) -> bool {
    index.releases.values().any(|release| release.project == project && release.outcome.is_none())
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
