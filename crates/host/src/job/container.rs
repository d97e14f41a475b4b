//! The containers of a job: started before its steps, entered by them, gone after them.

mod health;
mod image;
mod inside;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use workflow::container::Container;
use workflow::job::contained::{JobContainer, Service};
use workflow::job::shell::words;
use workflow::job::{Asked, Command, Exit, Mounts, Node, On, Started};

use super::action::desk::{Desk, Tool, Undone};
use super::sweep;
use crate::container::{Engine, Holder, Kind, carried, note, remove_left};
use crate::results::Results;

pub(super) use inside::Inside;

/// What the engine does for one job.
#[derive(Debug)]
pub(super) struct Containers {
    /// As `JobOptions` say it.
    choice: Option<String>,
    path: String,
    temp: PathBuf,
    mark: String,
    engine: Option<Engine>,
    up: Option<Up>,
    /// Every container that was made and may still be there.
    made: Vec<String>,
    network: Option<String>,
    commands: u32,
}

/// What a job's steps need to know of it.
#[derive(Debug)]
struct Up {
    job: Option<String>,
    mounts: Mounts,
    network: String,
    /// The services' names and addresses: name servers aren't everywhere.
    hosts: Vec<String>,
}

impl Containers {
    pub(super) fn new(choice: Option<String>, path: &str, temp: &Path) -> Containers {
        Containers {
            choice,
            path: path.to_string(),
            temp: temp.to_path_buf(),
            mark: temp.to_string_lossy().into_owned(),
            engine: None,
            up: None,
            made: Vec::new(),
            network: None,
            commands: 0,
        }
    }

    /// Pulls, makes and starts what the job asks for; the services are healthy then.
    pub(super) fn start(&mut self, asked: &Asked, service: Option<&Results>, desk: &mut Desk<'_>) -> Result<Started, Undone> {
        let engine = self.engine()?;
        match remove_left(&engine) {
            Ok(left) if left.containers + left.networks > 0 => {
                desk.say(&format!("Removed {} containers and {} networks of jobs that are gone.", left.containers, left.networks));
            }
            Ok(_) => {}
            Err(why) => desk.say(&format!("##[warning]what jobs that are gone have left can't be removed: {why}")),
        }
        let base = Holder::own().map_err(|error| format!("the containers can't be named: {error}"))?.name();
        desk.say("##[group]Create local container network");
        engine.ask(["network", "create", "--label", &format!("plimsoll.job={}", self.mark), &base])?;
        self.network = Some(base.clone());
        desk.say(&base);
        desk.say("##[endgroup]");
        let mut started = Started { network: base.clone(), ..Started::default() };
        let mut hosts = Vec::new();
        // Before the job's container, which is told where they are.
        for (name, service) in &asked.services {
            desk.say(&format!("##[group]Starting {name} service container"));
            let id = self.service(&engine, &base, name, service, &hosts, desk)?;
            if let Some(address) = self.address(&engine, &id, &base) {
                let aliases = service.gitlab.iter().flat_map(|gitlab| &gitlab.aliases);
                hosts.extend(std::iter::once(name).chain(aliases).map(|name| format!("{name}:{address}")));
            }
            let ports = engine.ask(["port", &id]).map(|listed| ports(&listed)).unwrap_or_default();
            started.services.push(Service { name: name.clone(), id, ports });
            desk.say("##[endgroup]");
        }
        if let Some(container) = &asked.job {
            desk.say("##[group]Starting job container");
            let id = self.job(&engine, &base, asked, container, &hosts, desk)?;
            let path = engine.ask(["inspect", "--format", "{{range .Config.Env}}{{println .}}{{end}}", &id])?;
            let path = path.lines().rev().find_map(|line| line.strip_prefix("PATH=")).unwrap_or(PATH).to_string();
            started.serves = service.is_some_and(|service| serves(&engine, &id, service, desk));
            started.job = Some(JobContainer { id, path });
            desk.say("##[endgroup]");
        }
        desk.say("##[group]Waiting for all services to be ready");
        for service in &started.services {
            health::wait(&engine, service, desk)?;
        }
        desk.say("##[endgroup]");
        let job = started.job.as_ref().map(|job| job.id.clone());
        self.up = Some(Up { job, mounts: asked.mounts.clone(), network: base, hosts });
        Ok(started)
    }

    /// Removes everything; says what can't be removed.
    pub(super) fn stop(&mut self, say: &mut dyn FnMut(&str)) {
        self.up = None;
        let Some(engine) = self.engine.clone() else { return };
        for name in std::mem::take(&mut self.made) {
            say(&format!("Stop and remove container: {name}"));
            if let Err(why) = remove(&engine, &name) {
                say(&format!("##[warning]the container `{name}` can't be removed: {why}"));
            }
        }
        if let Some(network) = self.network.take() {
            say(&format!("Remove container network: {network}"));
            if let Err(why) = engine.ask(["network", "rm", &network]) {
                say(&format!("##[warning]the network `{network}` can't be removed: {why}"));
            }
        }
    }

    /// A command as this machine's process that goes into a container, and how what it starts there is reached.
    pub(super) fn wrap(
        &mut self,
        command: &Command,
        service: Option<&Results>,
        desk: &mut Desk<'_>,
    ) -> Result<(Command, Option<Inside>), Undone> {
        match &command.on {
            On::Machine => Ok((command.clone(), None)),
            On::JobContainer => Ok(self.exec(command)?),
            On::Image(run) => {
                let engine = self.engine()?;
                let image = image::ready(&engine, &run.image, &self.temp, desk)?;
                self.run(&engine, command, run, &image, service, desk)
            }
        }
    }

    fn exec(&mut self, command: &Command) -> Result<(Command, Option<Inside>), String> {
        let engine = self.engine()?;
        let up = self.up.as_ref().ok_or("the job's container isn't there")?;
        let id = up.job.clone().ok_or("the job's container isn't there")?;
        self.commands += 1;
        let mut words = command.arguments.clone();
        if let Some(script) = &command.script {
            let file = self.temp.join(format!("c{}{}", self.commands, script.extension));
            fs::create_dir_all(&self.temp)
                .and_then(|()| fs::write(&file, &script.text))
                .map_err(|error| format!("the script can't be written: {error}"))?;
            let file = up.mounts.inside(&file.to_string_lossy());
            words.iter_mut().for_each(|word| *word = word.replace("{0}", &file));
        }
        let mark = format!("{}#c{}", self.mark, self.commands);
        let (mut variables, through) = carried(&command.env);
        // Not through the client's own environment: it would be taken for what it has started.
        variables.extend(["-e".to_string(), format!("{}={mark}", sweep::MARK)]);
        let mut arguments = engine.arguments().to_vec();
        arguments.extend(["exec".to_string(), "--workdir".to_string(), command.directory.clone()]);
        arguments.extend(variables);
        arguments.push(id.clone());
        arguments.extend(command.programs.first().cloned());
        arguments.extend(words);
        Ok((outside(command, &engine, arguments, through), Some(Inside::exec(engine, id, mark))))
    }

    fn run(
        &mut self,
        engine: &Engine,
        command: &Command,
        run: &workflow::job::ImageRun,
        image: &str,
        service: Option<&Results>,
        desk: &mut Desk<'_>,
    ) -> Result<(Command, Option<Inside>), Undone> {
        // Only podman makes a container's network before what runs in it.
        let early = service.filter(|_| engine.kind == Kind::Podman);
        let name = Holder::own().map_err(|error| format!("the container can't be named: {error}"))?.name();
        let mut arguments = engine.arguments().to_vec();
        let how = if early.is_some() { "create" } else { "run" };
        arguments.extend([how.to_string(), "--name".to_string(), name.clone()]);
        arguments.extend(["--rm".to_string(), "--workdir".to_string(), command.directory.clone()]);
        arguments.push(format!("--label=plimsoll.job={}", self.mark));
        arguments.extend(engine.limits().iter().cloned());
        let mut env = command.env.clone();
        if let Some(service) = service.filter(|_| early.is_none()) {
            env.retain(|name, _| !service.env().contains_key(name) && !service.step_env().contains_key(name));
        }
        let (variables, mut through) = carried(&env);
        arguments.extend(variables);
        if let Some(entrypoint) = &run.entrypoint {
            arguments.extend(["--entrypoint".to_string(), entrypoint.clone()]);
        }
        if let Some(up) = &self.up {
            arguments.extend(["--network".to_string(), up.network.clone()]);
            arguments.extend(up.hosts.iter().map(|host| format!("--add-host={host}")));
        }
        arguments.extend(mounted(&run.mounts)?);
        arguments.extend(socket());
        arguments.push(image.to_string());
        arguments.extend(run.arguments.iter().cloned());
        self.made.push(name.clone());
        if let Some(service) = early {
            engine.ask_with(&arguments[engine.arguments().len()..], &through)?;
            engine.ask(["init", &name])?;
            serves(engine, &name, service, desk);
            arguments = engine.arguments().iter().cloned().chain(["start", "--attach", &name].map(str::to_string)).collect();
            through.clear();
        }
        Ok((outside(command, engine, arguments, through), Some(Inside::run(engine.clone(), name))))
    }

    /// The step that ran in a container of its own is over, and the container with it.
    pub(super) fn ended(&mut self, inside: &Inside, exit: &Exit) {
        let (Some(name), Some(engine)) = (inside.own(), &self.engine) else { return };
        // A client that was ended may have left it.
        if matches!(exit, Exit::Code(_)) || remove(engine, name).is_ok() {
            self.made.retain(|made| made != name);
        }
    }

    /// The `node` of the image.
    pub(super) fn node(&self, using: &str) -> Result<Node, String> {
        let none = || {
            format!(
                "the action is made for {using}, and the image of the job's container has no `node`; use an image that has it, or run \
                 the job on the machine itself"
            )
        };
        let (Some(engine), Some(id)) = (&self.engine, self.up.as_ref().and_then(|up| up.job.as_ref())) else {
            return Err("the job's container isn't there".to_string());
        };
        let version = engine.ask(["exec", id, "node", "--version"]).map_err(|_| none())?;
        let major = |text: &str| text.trim_start_matches(|c: char| !c.is_ascii_digit()).split('.').next()?.parse::<u32>().ok();
        let old = matches!((major(&version), major(using)), (Some(here), Some(wanted)) if here < wanted);
        let warning = old.then(|| format!("the action is made for {using}, and the image has node {version}"));
        Ok(Node { program: "node".to_string(), warning })
    }

    /// The processes of the engine itself that keep the job's containers, and those of its services: no step has left them.
    pub(super) fn kept(&self) -> (BTreeSet<i32>, BTreeSet<i32>) {
        let Some(engine) = self.engine.as_ref().filter(|engine| engine.kind == Kind::Podman) else { return Default::default() };
        let job = self.up.as_ref().and_then(|up| up.job.as_ref());
        let (mut single, mut trees) = (BTreeSet::new(), BTreeSet::new());
        for made in &self.made {
            let format = "{{.Id}} {{.State.Pid}} {{.State.ConmonPid}}";
            let Ok(said) = engine.ask(["inspect", "--format", format, made]) else { continue };
            let mut fields = said.split_whitespace();
            let is_job = fields.next().is_some_and(|id| job.is_some_and(|job| job == id));
            let pids = fields.filter_map(|pid| pid.parse::<i32>().ok()).filter(|pid| *pid > 0);
            if is_job { single.extend(pids) } else { trees.extend(pids) }
        }
        (single, trees)
    }

    fn job(
        &mut self,
        engine: &Engine,
        base: &str,
        asked: &Asked,
        container: &Container,
        hosts: &[String],
        desk: &mut Desk<'_>,
    ) -> Result<String, Undone> {
        image::pull(engine, container, &self.temp, desk)?;
        let mut arguments = vec!["--workdir".to_string(), asked.directory.clone()];
        arguments.extend(mounted(&asked.mounts)?);
        arguments.extend(socket());
        let mut env = container.env.clone();
        if container.gitlab.is_none() {
            env.insert("HOME".to_string(), asked.mounts.inside(&self.temp.join("_github_home").to_string_lossy()));
        }
        let image = image::name(engine, &container.image);
        arguments.extend(hosts.iter().map(|host| format!("--add-host={host}")));
        let run = ["--entrypoint", "tail", &image, "-f", "/dev/null"].map(str::to_string);
        let name = format!("{base}-job");
        self.create(engine, &name, base, container, env, arguments, run.to_vec(), desk)
    }

    fn service(
        &mut self,
        engine: &Engine,
        base: &str,
        name: &str,
        service: &Container,
        hosts: &[String],
        desk: &mut Desk<'_>,
    ) -> Result<String, Undone> {
        image::pull(engine, service, &self.temp, desk)?;
        let aliases = service.gitlab.iter().flat_map(|gitlab| gitlab.aliases.iter().map(String::as_str));
        let aliases = std::iter::once(name).chain(aliases);
        let mut arguments: Vec<String> = aliases.flat_map(|alias| ["--network-alias".to_string(), alias.to_string()]).collect();
        arguments.extend(hosts.iter().map(|host| format!("--add-host={host}")));
        let mut run = Vec::new();
        if let Some(entrypoint) = &service.entrypoint {
            run.extend(["--entrypoint".to_string(), entrypoint.clone()]);
        }
        run.push(image::name(engine, &service.image));
        run.extend(service.command.as_deref().map(words).unwrap_or_default());
        self.create(engine, &format!("{base}-{name}"), base, service, service.env.clone(), arguments, run, desk)
    }

    #[expect(clippy::too_many_arguments, reason = "what job and services have in common")]
    fn create(
        &mut self,
        engine: &Engine,
        name: &str,
        network: &str,
        container: &Container,
        mut env: BTreeMap<String, String>,
        own: Vec<String>,
        run: Vec<String>,
        desk: &mut Desk<'_>,
    ) -> Result<String, Undone> {
        if container.gitlab.is_none() {
            env.insert("GITHUB_ACTIONS".to_string(), "true".to_string());
        }
        env.entry("CI".to_string()).or_insert_with(|| "true".to_string());
        let mut arguments: Vec<String> = ["create", "--name", name, "--network", network].map(str::to_string).to_vec();
        arguments.push(format!("--label=plimsoll.job={}", self.mark));
        arguments.extend(engine.limits().iter().cloned());
        arguments.extend(own);
        for port in &container.ports {
            arguments.extend(["-p".to_string(), port.clone()]);
        }
        arguments.extend(words(&container.options));
        let (variables, through) = carried(&env);
        arguments.extend(variables);
        for volume in &container.volumes {
            make_source(volume)?;
            arguments.extend(["-v".to_string(), volume.clone()]);
        }
        arguments.extend(run);
        desk.go_on()?;
        desk.say(&format!("[command]{} {}", engine.name(), arguments.join(" ")));
        self.made.push(name.to_string());
        let id = engine.ask_with(&arguments, &through)?;
        let id = id.lines().last().unwrap_or(name).to_string();
        engine.ask(["start", &id])?;
        if engine.ask(["inspect", "--format", "{{.State.Running}}", &id]).as_deref() == Ok("false") {
            health::logs(engine, &id, desk)?;
            desk.say(&format!("##[warning]the container `{name}` is not running any more"));
        }
        Ok(id)
    }

    fn address(&self, engine: &Engine, id: &str, network: &str) -> Option<String> {
        let format = format!("{{{{(index .NetworkSettings.Networks \"{network}\").IPAddress}}}}");
        engine.ask(["inspect", "--format", &format, id]).ok().filter(|address| !address.is_empty())
    }

    fn engine(&mut self) -> Result<Engine, String> {
        if let Some(engine) = &self.engine {
            return Ok(engine.clone());
        }
        let engine = Engine::find(self.choice.as_deref(), &self.path)?;
        // So that whoever finds this job lost can remove what it made.
        note(&self.temp, &engine).map_err(|error| format!("the engine can't be noted: {error}"))?;
        self.engine = Some(engine.clone());
        Ok(engine)
    }
}

/// Whether the job's service is reached from a container from here on.
fn serves(engine: &Engine, id: &str, service: &Results, desk: &mut Desk<'_>) -> bool {
    let pid = engine.ask(["inspect", "--format", "{{.State.Pid}}", id]);
    let pid = pid.and_then(|pid| pid.parse().map_err(|_| format!("`{}` doesn't say which process it is", engine.name())));
    let answers = pid.and_then(|pid| service.answer_in_network_of(pid));
    if let Err(why) = &answers {
        desk.say(&format!("##[warning]artifacts, caches and identities can't be asked for from the container: {why}"));
    }
    answers.is_ok()
}

/// What images without a `PATH` have.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn outside(command: &Command, engine: &Engine, arguments: Vec<String>, through: BTreeMap<String, String>) -> Command {
    let mut env = Engine::env();
    env.extend(through);
    Command {
        on: On::Machine,
        programs: vec![engine.program.to_string_lossy().into_owned()],
        arguments,
        script: None,
        env,
        directory: "/".to_string(),
        ..command.clone()
    }
}

pub(super) fn remove(engine: &Engine, name: &str) -> Result<String, String> {
    let mut arguments = vec!["rm", "--force", "--volumes"];
    if engine.kind == Kind::Podman {
        arguments.extend(["--time", "0", "--ignore"]);
    }
    arguments.push(name);
    engine.ask(arguments)
}

/// Sources of volumes are made where they are missing, as docker does it.
fn make_source(volume: &str) -> Result<(), String> {
    let Some((source, _)) = volume.split_once(':').filter(|(source, _)| source.starts_with('/')) else { return Ok(()) };
    if Path::new(source).exists() {
        return Ok(());
    }
    fs::create_dir_all(source).map_err(|error| format!("the volume `{volume}` has no source: {error}"))
}

fn mounted(mounts: &Mounts) -> Result<Vec<String>, String> {
    let mut arguments = Vec::new();
    for mount in mounts.all() {
        fs::create_dir_all(&mount.outside).map_err(|error| format!("`{}` can't be made: {error}", mount.outside))?;
        arguments.extend(["-v".to_string(), format!("{}:{}", mount.outside, mount.inside)]);
    }
    Ok(arguments)
}

/// As at GitHub, containers of a job speak with the daemon that runs them, where there is one.
fn socket() -> Vec<String> {
    const SOCKET: &str = "/var/run/docker.sock";
    let there = Path::new(SOCKET).exists();
    if there { vec!["-v".to_string(), format!("{SOCKET}:{SOCKET}")] } else { Vec::new() }
}

/// `6379/tcp -> 0.0.0.0:49153`, line by line: the port inside, and where it is here.
fn ports(listed: &str) -> BTreeMap<String, String> {
    let port = |line: &str| {
        let (inside, here) = line.split_once(" -> ")?;
        let (inside, here) = (inside.split('/').next()?, here.rsplit(':').next()?);
        Some((inside.trim().to_string(), here.trim().to_string()))
    };
    listed.lines().filter_map(port).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_told_line_by_line() {
        let ports = ports("6379/tcp -> 0.0.0.0:49153\n6379/tcp -> [::]:49153\n53/udp -> 127.0.0.1:5300\n");
        assert_eq!(ports.into_iter().collect::<Vec<_>>(), [("53".into(), "5300".into()), ("6379".into(), "49153".into())]);
    }
}
