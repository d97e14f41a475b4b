//! This machine, wired: the engine's borders and the parts of the host behind them.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use base::Timestamp;
use engine::world::{Clock, JobStart};
use engine::{SmokeBoard, World};
use host::dirs::Dirs;
use host::executor::HostExecutor;
use host::instance::lines::Lines;
use host::instance::log::Part;
use host::router::ProxyRouter;
use host::secrets::{SecretStore, SecretsError};
use host::target::HostTarget;
use workflow::job::JobId;
use workflow::trust::{self, Trust};

use crate::failure::{Doing, Failure, Result};

/// A [`World`] on this machine, and what only this machine has.
#[derive(Clone)]
pub struct Host {
    world: World,
    executor: Arc<HostExecutor>,
    target: Arc<HostTarget>,
    /// Jobs that run at the same time.
    pub cores: u32,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("cores", &self.cores).finish_non_exhaustive()
    }
}

impl Deref for Host {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

#[derive(Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        now()
    }
}

/// The edge's clock; machines get it as an argument.
pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The edge's chance; machines get it as an argument.
pub fn random() -> u128 {
    u128::from(fastrand::u64(..)) << 64 | u128::from(fastrand::u64(..))
}

/// # Errors
/// When the record can't be opened.
pub async fn open(dirs: &Dirs) -> Result<Host> {
    let path = dirs.record();
    let store = record::SqliteStore::open(&path).doing("open the record")?;
    let secrets = SecretStore::new(dirs);
    let executor = Arc::new(HostExecutor::new(dirs.clone()).with_secrets(Arc::new(move |_, start| of_job(&secrets, start))));
    let target = Arc::new(HostTarget::new(dirs.clone()));
    let harvest = host::harvest::HostHarvest::new(dirs.clone());
    let world = World {
        clock: Arc::new(SystemClock),
        store: Arc::new(store),
        executor: executor.clone(),
        target: target.clone(),
        router: Arc::new(ProxyRouter::new(dirs.runtime())),
        harvest: Arc::new(harvest),
        outside: Arc::new(host::outside::HostOutside::new(dirs)),
        turns: Arc::new(host::turns::HostTurns::new(dirs)),
        smoke: Arc::new(SmokeBoard::new(Box::new(|checks| {
            tokio::spawn(checks);
        }))),
    };
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
    Ok(Host { world, executor, target, cores })
}

/// A run that a stranger can cause has none.
fn of_job(secrets: &SecretStore, start: &JobStart) -> std::result::Result<BTreeMap<String, String>, SecretsError> {
    match trust::of(&start.spec.contexts.github) {
        // A caller can't pass on those of an environment, which is its jobs' own; where all are passed on, they are the project's.
        Trust::Trusted => secrets.of_job(&start.project, start.spec.environment.as_deref().filter(|_| start.spec.secrets.is_all())),
        Trust::Untrusted { .. } => Ok(BTreeMap::new()),
    }
}

impl Host {
    pub fn random(&self) -> u128 {
        random()
    }

    /// Bytes of a job's log from an offset; masked when they were written.
    ///
    /// # Errors
    /// When there is no such job.
    pub fn job_log(&self, job: &str, step: Option<u32>, offset: u64) -> Result<Vec<u8>> {
        let mut parts = job.rsplitn(2, '/');
        let attempt = parts.next().and_then(|attempt| attempt.parse().ok());
        let (run, key) = parts.next().and_then(|rest| rest.split_once('/')).unwrap_or_default();
        let (Some(attempt), Ok(run)) = (attempt, run.parse()) else {
            return Err(Failure::usage(format!("`{job}` is not `RUN/KEY/ATTEMPT`")));
        };
        let id = JobId { run, key: key.to_string(), attempt };
        self.executor.log(&id, step, offset).map_err(|error| Failure::not_found(format!("there is no log of {id}: {error}")))
    }

    /// # Errors
    /// When there is no such instance.
    pub fn instance_log(&self, instance: &str, offset: u64) -> Result<Part> {
        let (scope, revision, index) = instance_name(instance)?;
        self.target.log_part(scope, &revision, index, offset).map_err(|error| no_log(instance, &error))
    }

    /// The same line by line.
    ///
    /// # Errors
    /// When there is no such instance.
    pub fn instance_lines(&self, instance: &str, offset: u64, unfinished: bool) -> Result<Lines> {
        let (scope, revision, index) = instance_name(instance)?;
        self.target.log_lines(scope, &revision, index, offset, unfinished).map_err(|error| no_log(instance, &error))
    }
}

fn instance_name(instance: &str) -> Result<(&str, rollout::RevisionId, u32)> {
    let parts: Vec<&str> = instance.split('/').collect();
    let &[scope, revision, index] = parts.as_slice() else {
        return Err(Failure::usage(format!("`{instance}` is not `SCOPE/REVISION/INDEX`")));
    };
    let index = index.parse().map_err(|_| Failure::usage(format!("`{index}` is not an instance's number")))?;
    Ok((scope, rollout::RevisionId(revision.to_string()), index))
}

fn no_log(of: &str, error: &std::io::Error) -> Failure {
    Failure::not_found(format!("there is no log of {of}: {error}"))
}

/// Differs between any two builds: the program's size and time of change.
pub fn build_id() -> String {
    let metadata = std::fs::metadata("/proc/self/exe").or_else(|_| std::env::current_exe().and_then(std::fs::metadata));
    match metadata {
        Ok(metadata) => {
            use std::os::unix::fs::MetadataExt as _;
            format!("{:x}-{:x}-{:x}", metadata.len(), metadata.mtime(), metadata.mtime_nsec())
        }
        Err(_) => "unknown".to_string(),
    }
}

/// The API's token on loopback: made once, readable by its owner alone.
///
/// # Errors
/// When it can't be kept.
pub fn token(dirs: &Dirs) -> Result<String> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let path = dirs.state().join("server.token");
    if let Ok(token) = std::fs::read_to_string(&path)
        && token.trim().len() == 64
    {
        return Ok(token.trim().to_string());
    }
    let bytes = host::owned::random::<32>().doing("make a token")?;
    let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&path)
        .doing(&format!("write {}", path.display()))?;
    file.write_all(token.as_bytes()).doing(&format!("write {}", path.display()))?;
    Ok(token)
}

/// The key that the server signs with; blocks.
///
/// # Errors
/// When it can't be made or isn't what it should be.
pub fn signing_key(dirs: &Dirs) -> Result<gate::attest::SigningKey> {
    host::keys::signing_key(dirs).map_err(|error| Failure::from_error("take the server's key", &error).hint(error.hint()))
}
