//! Instances on this machine: what shall run is written down per instance, and a supervisor sees to it.

mod artifact;
mod images;
mod scope;
mod smoke;

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use engine::world::{Prepared, Target, WorldError};
use rollout::{Container, InstancePhase, InstancePlan, InstanceSeen, RevisionId, SmokeCheck, SmokeSeen, TargetSeen};

use crate::blobs::FileBlobs;
use crate::blocking::blocking;
use crate::container::{ANSWER_MAX, CHOICE, Engine, Kind};
use crate::dirs::Dirs;
use crate::executor::chain;
use crate::instance::lines::{self, Lines};
use crate::instance::log::{self, Part};
use crate::instance::{Status, Wanted, container, supervisor};
use crate::supervise::{Launcher, job::now, process};
use images::Images;
use scope::{Instance, Scope};

/// Starts a supervisor per instance and reads what it leaves. Any number of them may share a state directory.
#[derive(Debug, Clone)]
pub struct HostTarget {
    dirs: Dirs,
    blobs: FileBlobs,
    launcher: Launcher,
    images: Images,
    /// Which container engine is taken.
    choice: Option<String>,
}

/// What one look at a log returns at most.
const LOG_READ_MAX: u64 = 4 << 20;

impl HostTarget {
    pub fn new(dirs: Dirs) -> HostTarget {
        let choice = std::env::var(CHOICE).ok();
        HostTarget { blobs: FileBlobs::new(&dirs), launcher: Launcher::own(["supervise"]), dirs, images: Images::default(), choice }
    }

    /// Another container engine than the one that the environment names.
    #[must_use]
    pub fn with_engine(self, choice: &str) -> HostTarget {
        HostTarget { choice: Some(choice.to_string()), ..self }
    }

    /// Starts supervisors by another program than this one.
    #[must_use]
    pub fn with_launcher(self, launcher: Launcher) -> HostTarget {
        HostTarget { launcher, ..self }
    }

    /// What an instance said from an offset on, as far as it is kept. Empty at the end; to follow, ask again.
    pub fn log(&self, scope: &str, revision: &RevisionId, index: u32, offset: u64) -> io::Result<Vec<u8>> {
        self.log_part(scope, revision, index, offset).map(|part| part.bytes)
    }

    /// The same with the offset at which it really begins: the oldest part of a log is not kept for ever.
    pub fn log_part(&self, scope: &str, revision: &RevisionId, index: u32, offset: u64) -> io::Result<Part> {
        let dir = self.scope(scope).instance(revision, index).dir;
        if !dir.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "there is no such instance on this machine"));
        }
        log::read(&dir, offset, LOG_READ_MAX)
    }

    /// The same line by line, each with its time; half a line at the end only when it is asked for.
    pub fn log_lines(&self, scope: &str, revision: &RevisionId, index: u32, offset: u64, unfinished: bool) -> io::Result<Lines> {
        let dir = self.scope(scope).instance(revision, index).dir;
        if !dir.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "there is no such instance on this machine"));
        }
        lines::lines(&dir, offset, LOG_READ_MAX, unfinished)
    }

    /// The names of all scopes that ever ran something here.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn scopes(&self) -> io::Result<Vec<String>> {
        Scope::names(&self.dirs.instances())
    }

    /// Ends what is left of a scope and removes its files. Waits until its processes are gone.
    pub async fn purge(&self, scope: &str) -> Result<(), WorldError> {
        let (target, scope) = (self.clone(), scope.to_string());
        blocking("purge", move || target.purge_now(&scope).map_err(|error| WorldError::new(format!("purge {scope}"), error))).await
    }

    fn run_now(&self, name: &str, generation: u64, plan: &InstancePlan, replicas: u32) -> Result<(), WorldError> {
        let failed = |why: &dyn std::fmt::Display| WorldError::new(format!("run revision {} of {name}", plan.revision), why);
        let engine = plan.container.as_ref().map(|_| self.engine()).transpose().map_err(|why| failed(&why))?;
        let scope = self.scope(name);
        let Some(_lock) = scope.accept(generation).map_err(|error| failed(&error))? else { return Ok(()) };
        let files = scope.files(&plan.revision);
        if plan.container.as_ref().is_none_or(|container| container.files) {
            self.lay_out(&scope, plan, &files).map_err(|why| failed(&why))?;
        }
        for index in 0..replicas {
            let instance = scope.instance(&plan.revision, index);
            let wanted = Wanted {
                wanted: true,
                name: format!("{name}/{}/{index}", plan.revision),
                plan: plan.clone(),
                files: files.clone(),
                ports: self.dirs.ports(),
                engine: engine.clone(),
            };
            instance.want(&wanted).map_err(|error| failed(&error))?;
            self.ensure_supervised(&instance)?;
        }
        for instance in scope.instances_of(&plan.revision).map_err(|error| failed(&error))? {
            if instance.index >= replicas {
                instance.end().map_err(|error| failed(&error))?;
            }
        }
        Ok(())
    }

    /// The artifact's files, whole before anything starts. While something runs on them they are left to it.
    fn lay_out(&self, scope: &Scope, plan: &InstancePlan, files: &Path) -> Result<(), String> {
        let failed = |error: &dyn std::error::Error| format!("unpack artifact {}: {}", plan.artifact, chain(error));
        let runs = |instance: &Instance| supervisor(&instance.dir).is_ok_and(|claimed| claimed.is_some_and(|it| it.lives()));
        let there = files.is_dir();
        if there && scope.instances_of(&plan.revision).map_err(|error| failed(&error))?.iter().any(runs) {
            return Ok(());
        }
        match self.blobs.get_now(&plan.artifact).map_err(|error| failed(&error))? {
            Some(bytes) if there => {
                let restored = artifact::restore(&bytes, files).map_err(|error| failed(&error))?;
                if restored.files > 0 {
                    tracing::warn!(revision = %plan.revision, count = restored.files, "files of the artifact were gone and are there again");
                }
                restored
                    .failed
                    .iter()
                    .for_each(|why| tracing::warn!(revision = %plan.revision, "a file of the artifact stays gone: {why}"));
                Ok(())
            }
            Some(bytes) => artifact::unpack(&bytes, files).map_err(|error| failed(&error)),
            None if there => Ok(()),
            None => Err(format!("artifact {} is not there", plan.artifact)),
        }
    }

    fn stop_now(&self, name: &str, generation: u64, revision: &RevisionId) -> io::Result<()> {
        let scope = self.scope(name);
        let Some(_lock) = scope.accept(generation)? else { return Ok(()) };
        scope.instances_of(revision)?.iter().try_for_each(Instance::end)
    }

    fn observe_now(&self, name: &str) -> io::Result<TargetSeen> {
        // Before the instances are: whoever was accepted has changed what it could, or is seen to.
        let generation = self.scope(name).accepted()?;
        let mut instances = Vec::new();
        for instance in self.scope(name).instances()? {
            let Some(wanted) = Wanted::read(&instance.dir)? else { continue };
            instances.push(self.see(&instance, &wanted)?);
        }
        Ok(TargetSeen { generation, instances })
    }

    fn see(&self, instance: &Instance, wanted: &Wanted) -> io::Result<InstanceSeen> {
        let claimed = supervisor(&instance.dir)?;
        let lives = claimed.as_ref().is_some_and(process::Process::lives);
        let status = Status::read(&instance.dir)?;
        // One that was stopped and is wanted again begins anew: how often it crashed before is no word on this time.
        let anew = |phase| phase == InstancePhase::Starting && status.as_ref().is_some_and(|it| it.phase == InstancePhase::Stopped);
        let told = |phase, message: Option<&str>| Status {
            phase,
            address: None,
            restarts: status.as_ref().filter(|_| !anew(phase)).map_or(0, |it| it.restarts),
            message: message.map(str::to_string),
            since: status.as_ref().map_or_else(now, |it| it.since),
        };
        // What a dead supervisor said last is what was, not what is; and one that ended on purpose said "stopped" last.
        let said = status.clone().filter(|_| claimed.is_some());
        let has_ended = said.as_ref().is_none_or(|status| status.phase == InstancePhase::Stopped);
        let status = match (wanted.wanted, lives, said) {
            (_, true, Some(status)) if !(wanted.wanted && has_ended) => status,
            (true, true, _) => told(InstancePhase::Starting, None),
            // Launched, and about to claim.
            (true, false, _) if has_ended && is_asked_for_just_now(&instance.dir) => told(InstancePhase::Starting, None),
            // Killed, or the machine was restarted: it doesn't run, and whoever wants it asks for it again.
            (true, false, _) => told(InstancePhase::Stopped, Some("its supervisor is gone; it is about to be started again")),
            (false, true, _) => told(InstancePhase::NotReady, Some("stopping")),
            (false, false, Some(status)) if has_ended => status,
            (false, false, _) => told(InstancePhase::Stopped, None),
        };
        Ok(InstanceSeen {
            revision: wanted.plan.revision.clone(),
            index: instance.index,
            address: status.address,
            phase: status.phase,
            restarts: status.restarts,
            message: status.message,
            since: status.since,
        })
    }

    /// One more supervisor than needed does no harm: it waits for the lock and ends.
    fn ensure_supervised(&self, instance: &Instance) -> Result<(), WorldError> {
        let failed =
            |error: &dyn std::error::Error| WorldError::new(format!("start a supervisor for `{}`", instance.dir.display()), chain(error));
        if supervisor(&instance.dir).map_err(|error| failed(&error))?.is_some_and(|claimed| claimed.lives()) {
            return Ok(());
        }
        self.launcher.launch("instance", &instance.dir, b"").map_err(|error| failed(&error))
    }

    fn purge_now(&self, name: &str) -> io::Result<()> {
        let scope = self.scope(name);
        let _lock = scope.lock()?;
        let instances = scope.instances()?;
        instances.iter().try_for_each(Instance::end)?;
        // They are nobody's children, so that nothing tells of their end; a grace period may be long, but none is for ever.
        let deadline = Instant::now() + PURGE_MAX;
        for instance in &instances {
            while supervisor(&instance.dir)?.is_some_and(|claimed| claimed.lives()) {
                if Instant::now() > deadline {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, format!("`{}` does not end", instance.dir.display())));
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            // What its engine could not remove then; without its note nobody would know of it.
            container::remove(&instance.dir)?;
        }
        match scope.remove() {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.remove_as_in_containers(&scope.dir);
                scope.remove()
            }
            removed => removed,
        }
    }

    /// What a container without the superuser's rights has written belongs to users that only podman can act for.
    fn remove_as_in_containers(&self, dir: &Path) {
        let Ok(engine) = self.engine().map(|engine| (engine.kind == Kind::Podman).then_some(engine)) else { return };
        let Some(engine) = engine else { return };
        if let Err(why) = engine.ask_within(ANSWER_MAX, ["unshare", "rm", "-rf", &dir.display().to_string()]) {
            tracing::warn!(%why, dir = %dir.display(), "what containers have written can't be removed");
        }
    }

    fn engine(&self) -> Result<Engine, String> {
        Engine::find(self.choice.as_deref(), &std::env::var("PATH").unwrap_or_default())
    }

    fn scope(&self, name: &str) -> Scope {
        Scope { dir: self.dirs.scope(name) }
    }
}

/// Longer than anybody waits for an application to end by itself.
const PURGE_MAX: Duration = Duration::from_secs(120);

/// Whether that it shall run was written down so lately that whoever runs it may not have said anything yet.
fn is_asked_for_just_now(dir: &Path) -> bool {
    const LAUNCH_MAX: Duration = Duration::from_secs(10);
    let written = std::fs::metadata(dir.join("wanted.json")).and_then(|metadata| metadata.modified());
    written.is_ok_and(|written| written.elapsed().is_ok_and(|age| age < LAUNCH_MAX))
}

#[async_trait]
impl Target for HostTarget {
    async fn observe(&self, scope: &str) -> Option<TargetSeen> {
        let (target, scope) = (self.clone(), scope.to_string());
        let seen =
            blocking("observe instances", move || target.observe_now(&scope).map_err(|error| WorldError::new("observe", error))).await;
        seen.inspect_err(|error| tracing::warn!(%error, "instances can't be observed")).ok()
    }

    async fn prepare(&self, container: &Container) -> Prepared {
        let target = self.clone();
        self.images.ask(container, move || target.engine())
    }

    async fn run(&self, scope: &str, generation: u64, instance: &InstancePlan, replicas: u32) -> Result<(), WorldError> {
        let (target, scope, plan) = (self.clone(), scope.to_string(), instance.clone());
        blocking("run instances", move || target.run_now(&scope, generation, &plan, replicas)).await
    }

    async fn stop(&self, scope: &str, generation: u64, revision: &RevisionId) -> Result<(), WorldError> {
        let (target, scope, revision) = (self.clone(), scope.to_string(), revision.clone());
        let stop = move || {
            let stopped = target.stop_now(&scope, generation, &revision);
            stopped.map_err(|error| WorldError::new(format!("stop revision {revision} of {scope}"), error))
        };
        blocking("stop instances", stop).await
    }

    async fn smoke(&self, addresses: &[String], checks: &[SmokeCheck]) -> SmokeSeen {
        smoke::smoke(addresses, checks).await
    }
}
