//! Which engine there is, and how it is called.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};

/// The environment variable that says which engine is taken, with its global arguments: `podman --runtime runc`.
pub const CHOICE: &str = "PLIMSOLL_CONTAINER_ENGINE";

/// An engine, as it is called on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engine {
    pub kind: Kind,
    pub program: PathBuf,
    /// Before every command.
    arguments: Vec<String>,
    /// With whatever makes a container.
    limits: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Podman,
    Docker,
}

/// A question about what is on this machine is answered by then, also on one that is busy.
pub(crate) const ANSWER_MAX: Duration = Duration::from_secs(30);

/// What an engine needs of our environment: where it keeps its things, and how it reaches others.
const KEPT: [&str; 22] = [
    "PATH",
    "HOME",
    "USER",
    "TMPDIR",
    "LANG",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "DBUS_SESSION_BUS_ADDRESS",
    "DOCKER_HOST",
    "DOCKER_CONFIG",
    "DOCKER_CONTEXT",
    "DOCKER_CERT_PATH",
    "DOCKER_TLS_VERIFY",
    "CONTAINER_HOST",
    "CONTAINERS_CONF",
    "CONTAINERS_STORAGE_CONF",
    "CONTAINERS_REGISTRIES_CONF",
    "REGISTRY_AUTH_FILE",
    "STORAGE_DRIVER",
    "https_proxy",
    "HTTPS_PROXY",
];

impl Engine {
    /// The engine that was chosen, else podman, else a docker whose daemon answers.
    ///
    /// # Errors
    /// A sentence: what is missing, and how to get it.
    pub fn find(chosen: Option<&str>, path: &str) -> Result<Engine, String> {
        if let Some(chosen) = chosen.map(str::trim).filter(|chosen| !chosen.is_empty()) {
            let mut words = chosen.split_whitespace().map(str::to_string);
            let name = words.next().unwrap_or_default();
            let program = on_path(&name, path).ok_or_else(|| format!("`{CHOICE}` names `{name}`, which is not on the PATH"))?;
            let kind = if program.to_string_lossy().contains("docker") { Kind::Docker } else { Kind::Podman };
            return Ok(Engine::new(kind, program, words.collect()));
        }
        if let Some(program) = on_path("podman", path) {
            return Ok(Engine::new(Kind::Podman, program, Vec::new()));
        }
        let get = "install the system's package `podman`, which needs no daemon";
        let Some(program) = on_path("docker", path) else {
            return Err(format!("neither `podman` nor `docker` is on the PATH; {get}"));
        };
        let engine = Engine::new(Kind::Docker, program, Vec::new());
        match engine.ask_within(ANSWER_MAX, ["version", "--format", "{{.Server.Version}}"]) {
            Ok(_) => Ok(engine),
            Err(why) => Err(format!("`docker` has no daemon that answers ({why}), and there is no `podman`; start it, or {get}")),
        }
    }

    fn new(kind: Kind, program: PathBuf, arguments: Vec<String>) -> Engine {
        let limits = if kind == Kind::Podman && !may_raise_limits() { own_limits() } else { Vec::new() };
        Engine { kind, program, arguments, limits }
    }

    /// `podman` or `docker`.
    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::Podman => "podman",
            Kind::Docker => "docker",
        }
    }

    pub(crate) fn arguments(&self) -> &[String] {
        &self.arguments
    }

    pub(crate) fn limits(&self) -> &[String] {
        &self.limits
    }

    /// What the engine inherits of us, and nothing of a job.
    pub(crate) fn env() -> BTreeMap<String, String> {
        let kept = |name: &str| KEPT.contains(&name);
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| kept(name))
            .collect()
    }

    /// Asks a question that is answered at once.
    ///
    /// # Errors
    /// The engine's own words.
    pub(crate) fn ask<S: AsRef<str>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<String, String> {
        self.ask_with(arguments, &BTreeMap::new())
    }

    pub(crate) fn ask_with<S: AsRef<str>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
        env: &BTreeMap<String, String>,
    ) -> Result<String, String> {
        let mut command = self.command(arguments);
        self.answer(command.envs(env).output().map_err(|error| self.unstarted(&error))?)
    }

    /// Asks what has to be answered within a time: an engine that hangs must not hang whoever asks it.
    pub(crate) fn ask_within<S: AsRef<str>>(&self, most: Duration, arguments: impl IntoIterator<Item = S>) -> Result<String, String> {
        let mut command = self.command(arguments);
        let child =
            command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|error| self.unstarted(&error))?;
        let group = Pid::from_raw(child.id().cast_signed());
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || tell.send(child.wait_with_output()));
        if let Ok(output) = told.recv_timeout(most) {
            return self.answer(output.map_err(|error| self.unstarted(&error))?);
        }
        let _ = group.map(|group| rustix::process::kill_process_group(group, Signal::KILL));
        Err(format!("`{}` has not answered for {} s", self.name(), most.as_secs()))
    }

    /// To be run with nothing but what the engine needs of our environment.
    pub(crate) fn command<S: AsRef<str>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).current_dir("/").env_clear().envs(Engine::env()).stdin(Stdio::null());
        for argument in arguments {
            command.arg(argument.as_ref());
        }
        command
    }

    fn unstarted(&self, error: &std::io::Error) -> String {
        format!("`{}` can't be started: {error}", self.program.display())
    }

    fn answer(&self, output: Output) -> Result<String, String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_string();
        if output.status.success() {
            return Ok(text(&output.stdout));
        }
        Err(words_of(&text(&output.stderr)).unwrap_or_else(|| format!("`{}` ended with {}", self.name(), output.status)))
    }
}

/// How variables get into a container: by name where their value can go through the engine's own environment, so that no list of
/// processes shows it; with their value where the engine needs a variable of that name for itself.
pub(crate) fn carried(env: &BTreeMap<String, String>) -> (Vec<String>, BTreeMap<String, String>) {
    let mut arguments = Vec::new();
    let mut through = BTreeMap::new();
    for (name, value) in env {
        arguments.push("-e".to_string());
        if KEPT.contains(&name.as_str()) || name.contains('=') {
            arguments.push(format!("{name}={value}"));
        } else {
            arguments.push(name.clone());
            through.insert(name.clone(), value.clone());
        }
    }
    (arguments, through)
}

/// Of what an engine says when it fails, the line that says why.
fn words_of(text: &str) -> Option<String> {
    let said: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("time=")).collect();
    let error = said.iter().rev().find(|line| line.starts_with("Error")).or(said.last())?;
    Some((*error).to_string())
}

fn on_path(name: &str, path: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|program| program.is_file());
    }
    std::env::split_paths(path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// Podman gives root's containers higher limits than ours, which only `CAP_SYS_RESOURCE` may do.
fn may_raise_limits() -> bool {
    const SYS_RESOURCE: u32 = 24;
    if !nix::unistd::geteuid().is_root() {
        return true;
    }
    let status = std::fs::read_to_string(Path::new("/proc/self/status")).unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
    effective.is_none_or(|effective| effective & (1 << SYS_RESOURCE) != 0)
}

fn own_limits() -> Vec<String> {
    // Podman has already lowered its own number of processes to its default.
    let own = [("nofile", Resource::RLIMIT_NOFILE, u64::MAX), ("nproc", Resource::RLIMIT_NPROC, 32_768)];
    let limit = |(name, resource, most)| {
        let hard = getrlimit(resource).ok()?.1.min(most);
        (hard != RLIM_INFINITY).then(|| format!("--ulimit={name}={hard}:{hard}"))
    };
    own.into_iter().filter_map(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_with_how_to_get_it() {
        assert!(Engine::find(None, "/nowhere").unwrap_err().ends_with("install the system's package `podman`, which needs no daemon"));
        let wrong = Engine::find(Some("nerdctl --debug"), "/nowhere").unwrap_err();
        assert_eq!(wrong, "`PLIMSOLL_CONTAINER_ENGINE` names `nerdctl`, which is not on the PATH");
    }

    #[test]
    fn values_go_by_name_but_for_those_that_the_engine_reads_itself() {
        let env = [("PATH", "/bin"), ("TOKEN", "geheim")].map(|(name, value)| (name.to_string(), value.to_string()));
        let (arguments, through) = carried(&BTreeMap::from(env));
        assert_eq!(arguments, ["-e", "PATH=/bin", "-e", "TOKEN"]);
        assert_eq!(through.into_iter().collect::<Vec<_>>(), [("TOKEN".to_string(), "geheim".to_string())]);
    }

    #[test]
    fn the_engine_s_reason_is_its_last_error() {
        let text = "time=\"x\" level=error msg=\"y\"\nTrying to pull a...\nError: initializing source: no such host\n";
        assert_eq!(words_of(text).unwrap(), "Error: initializing source: no such host");
    }
}
