//! One file a command.

mod actions;
mod approve;
mod attest;
mod demo;
mod doctor;
mod down;
mod env;
mod follow;
mod gate;
mod graph;
pub mod help;
mod history;
mod identity;
mod lint;
mod logs;
mod manifests;
mod policy;
mod release;
mod replay;
mod run;
mod schedule;
mod secret;
mod serve;
mod slo;
mod status;
mod up;

use std::path::Path;

use base::name::ProjectId;
use host::dirs::Dirs;

use crate::cli::{Cli, Command, Policy};
use crate::client::Client;
use crate::compose;
use crate::exit;
use crate::failure::{Doing, Failure, Result};
use crate::terminal::Terminal;

pub use follow::{Ended, OnInterrupt, Watched, follow};
pub use up::propose;

/// # Errors
/// What the command could not do; its kind picks the exit code.
pub fn dispatch(cli: Cli, terminal: &Terminal) -> Result<u8> {
    match cli.command {
        Command::Proxy(args) => serve::proxy(&args),
        Command::Supervise(args) => serve::supervise(&args),
        Command::Serve(args) => serve::serve(&args),
        Command::Run(args) => run::run(&args, terminal),
        Command::Actions(args) => actions::actions(args, terminal),
        Command::Graph(args) => graph::graph(&args, terminal),
        Command::Lint(args) => lint::lint(&args, terminal),
        Command::Help(args) => help::help(&args, terminal),
        Command::Completions(args) => help::completions(&args, terminal),
        Command::Replay(args) => replay::replay(&args, terminal),
        Command::Attest(args) => attest::attest(args, terminal),
        Command::Secret(args) => secret::secret(args, terminal),
        Command::Identity(args) => identity::identity(args, terminal),
        Command::Policy(Policy::Test(args)) => policy::test(&args, terminal),
        Command::Policy(Policy::Fmt(args)) => policy::fmt(&args),
        other => on_runtime(other, terminal),
    }
}

fn on_runtime(command: Command, terminal: &Terminal) -> Result<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().doing("start")?;
    let done = runtime.block_on(async {
        match command {
            Command::Up(args) => up::up(&args, terminal).await,
            Command::Status(args) => status::status(&args, terminal).await,
            Command::Release(args) => release::release(args, terminal).await,
            Command::Approve(args) => approve::approve(&args, terminal).await,
            Command::Reject(args) => approve::reject(&args, terminal).await,
            Command::Inbox => approve::inbox(terminal).await,
            Command::Env(args) => env::env(args, terminal).await,
            Command::Gate(args) => gate::gate(args, terminal).await,
            Command::Slo(args) => slo::slo(args, terminal).await,
            Command::Policy(Policy::Eval(args)) => policy::eval(&args, terminal).await,
            Command::Schedule(args) => schedule::schedule(args, terminal).await,
            Command::Logs(args) => logs::logs(&args, terminal).await,
            Command::Down(args) => down::down(&args, terminal).await,
            Command::Demo(args) => demo::demo(&args, terminal).await,
            Command::Doctor(args) => doctor::doctor(&args, terminal).await,
            _ => Ok(exit::OK),
        }
    });
    runtime.shutdown_background();
    done
}

fn dirs() -> Result<Dirs> {
    explained(Dirs::open())
}

/// For commands that only look, or make room.
fn dirs_to_read() -> Result<Dirs> {
    explained(Dirs::open_to_read())
}

fn explained(dirs: std::result::Result<Dirs, host::dirs::Error>) -> Result<Dirs> {
    dirs.map_err(|error| Failure::infrastructure(error.to_string()).hint(error.hint()))
}

/// The server, for commands that only look.
async fn running() -> Result<Client> {
    let dirs = dirs_to_read()?;
    Client::existing(&dirs).await?.ok_or_else(|| Failure::not_found("nothing has been brought up here").hint("`plimsoll up` does"))
}

/// What the server says of this folder's project; nothing where nothing was ever brought up.
async fn listed<T: serde::de::DeserializeOwned>(what: &str, folder: &Path) -> Result<Vec<T>> {
    let project = project_of(folder)?;
    match Client::existing(&dirs_to_read()?).await? {
        Some(client) => client.get(&format!("/api/v1/{what}?project={project}")).await,
        None => Ok(Vec::new()),
    }
}

/// What is said where a list is empty: the project above the folder, if it is none itself, and how that is asked.
fn or_above(folder: &Path, command: &str, otherwise: &str) -> String {
    match compose::project_above(folder) {
        Some(above) => format!("nothing here; the folder above is a project: `plimsoll {command} -C {above}`"),
        None => otherwise.to_string(),
    }
}

/// The project a folder belongs to.
fn project_of(folder: &Path) -> Result<ProjectId> {
    let place = host::git::place(folder).map_err(|error| match error {
        host::git::Error::NotARepository(_) => Failure::usage(error.to_string())
            .hint("`-C FOLDER` names the folder of a project; `plimsoll status` shows what runs, with its folder"),
        error => compose::git_failure(error),
    })?;
    Ok(compose::project_id(&place.root, &place.subtree))
}

/// Who asks, as the record will have it.
fn actor() -> String {
    ["PLIMSOLL_ACTOR", "USER", "LOGNAME"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|name| !name.is_empty())
        .unwrap_or_else(|| nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().map_or("somebody".into(), |user| user.name))
}

/// `K=V` pairs of an option.
fn pairs(option: &str, given: &[String]) -> Result<std::collections::BTreeMap<String, String>> {
    given
        .iter()
        .map(|pair| match pair.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_string(), value.to_string())),
            _ => Err(Failure::usage(format!("`--{option} {pair}` is not `K=V`"))),
        })
        .collect()
}
