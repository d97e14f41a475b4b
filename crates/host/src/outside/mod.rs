//! What a release depends on besides itself: error budgets by Prometheus, incidents by whoever knows them, branches by their forge,
//! checks of the project's own.
//!
//! Finding it out may take minutes and blocks nobody: it goes on in the background, and is ended where nobody asks for it any more.

mod checks;
pub(crate) mod curl;
mod incidents;
mod process;
mod protection;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use base::mask::Mask;
use engine::world::{Occasion, Outside};
use gate::check::Checked;
use gate::slo::Access;
use gate::{Answers, GatePlan, Signature};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::curl::Proof;
use crate::dirs::Dirs;
use crate::keys;
use crate::metrics;
use crate::secrets::SecretStore;

/// Most answers come within this, and the look that asks has them at once.
const PATIENCE: Duration = Duration::from_secs(1);

/// That nobody knows is believed for so long, for a release that waits is looked at many times a second. What is known is asked for
/// every time: somebody is about to act on it.
const UNKNOWN_KEPT: Duration = Duration::from_secs(5);

/// As long as something else is unknown, checks are not made every few seconds.
const CHECKS_KEPT: Duration = Duration::from_secs(60);

/// Who asks looks again within a second or so; for whoever stays away longer than this nothing is found out any more.
const FORGOTTEN: Duration = Duration::from_secs(10);

/// Asks on this machine.
#[derive(Debug)]
pub struct HostOutside {
    dirs: Dirs,
    /// By project and release.
    asked: Mutex<BTreeMap<(String, Option<String>), Asked>>,
}

#[derive(Debug)]
struct Asked {
    looked: Instant,
    wanted: watch::Sender<()>,
    under_way: Option<Task>,
    /// What nobody knew a moment ago.
    unknown: Option<(Instant, Answers)>,
    checks: Option<(Instant, Vec<Checked>)>,
}

/// Ends with its owner, and all that it started with it.
#[derive(Debug)]
struct Task(JoinHandle<Option<Found>>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Debug)]
struct Found {
    answers: Answers,
    /// Whether the checks were made now, and not a moment ago.
    checked: bool,
    at: Instant,
}

#[async_trait]
impl Outside for HostOutside {
    async fn ask(&self, occasion: &Occasion, gate: &GatePlan) -> Option<Answers> {
        let key = (occasion.project.clone(), occasion.release.clone());
        let mut task = match self.begin(&key, occasion, gate) {
            Begun::Known(answers) => return Some(*answers),
            Begun::UnderWay(task) => task,
        };
        let ended = tokio::time::timeout(PATIENCE, &mut task.0).await;
        let mut asked = self.asked.lock().expect("no holder panics");
        let asked = asked.get_mut(&key)?;
        match ended {
            // What was found out while nobody looked is found out anew.
            Ok(Ok(found)) => {
                let Found { answers, checked, at } = found.filter(|found| found.at.elapsed() < UNKNOWN_KEPT)?;
                if checked {
                    asked.checks = Some((at, answers.checks.clone()));
                }
                asked.unknown = gate.waits(&gate.assess(&answers)).then(|| (at, answers.clone()));
                Some(answers)
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "what a release depends on can't be found out");
                None
            }
            Err(_) => {
                asked.under_way = Some(task);
                None
            }
        }
    }
}

enum Begun {
    Known(Box<Answers>),
    UnderWay(Task),
}

impl HostOutside {
    pub fn new(dirs: &Dirs) -> HostOutside {
        HostOutside { dirs: dirs.clone(), asked: Mutex::default() }
    }

    /// All of it, however long it takes.
    pub async fn find_out(&self, occasion: &Occasion, gate: &GatePlan) -> Answers {
        find_out(self.dirs.clone(), Arc::new((occasion.clone(), gate.clone())), None).await.answers
    }

    fn begin(&self, key: &(String, Option<String>), occasion: &Occasion, gate: &GatePlan) -> Begun {
        let now = Instant::now();
        let mut all = self.asked.lock().expect("no holder panics");
        all.retain(|_, it| it.looked.elapsed() < FORGOTTEN);
        let new = || Asked { looked: now, wanted: watch::Sender::default(), under_way: None, unknown: None, checks: None };
        let asked = all.entry(key.clone()).or_insert_with(new);
        asked.looked = now;
        asked.wanted.send_replace(());
        if let Some((_, answers)) = asked.unknown.as_ref().filter(|(since, _)| since.elapsed() < UNKNOWN_KEPT) {
            return Begun::Known(Box::new(answers.clone()));
        }
        let checks = asked.unknown.take().and_then(|_| asked.checks.clone());
        let checks = checks.filter(|(since, _)| since.elapsed() < CHECKS_KEPT).map(|(_, checks)| checks);
        let about = Arc::new((occasion.clone(), gate.clone()));
        let begin = || {
            let (find_out, mut wanted) = (find_out(self.dirs.clone(), about, checks), asked.wanted.subscribe());
            Task(tokio::spawn(async move {
                tokio::select! {
                    found = find_out => Some(found),
                    () = forgotten(&mut wanted) => None,
                }
            }))
        };
        Begun::UnderWay(asked.under_way.take().unwrap_or_else(begin))
    }
}

/// Returns when nobody has asked for a while.
async fn forgotten(wanted: &mut watch::Receiver<()>) {
    while let Ok(Ok(())) = tokio::time::timeout(FORGOTTEN, wanted.changed()).await {}
}

/// `made` are checks that were made a moment ago, and are good enough as long as something else is unknown.
async fn find_out(dirs: Dirs, about: Arc<(Occasion, GatePlan)>, made: Option<Vec<Checked>>) -> Found {
    let (occasion, gate) = &*about;
    let shown = Shown::of(SecretStore::new(&dirs), occasion).await;
    let proof = gate.slos.access.as_ref().map(|access| shown.proof(access)).transpose();
    let known = || async {
        let objectives = async {
            let mut measured = metrics::objectives(&gate.slos, &proof, occasion).await;
            for it in &mut measured {
                it.counts = std::mem::replace(&mut it.counts, Err(String::new())).map_err(|why| shown.said(&why));
            }
            measured
        };
        let incidents = async {
            match &gate.incidents {
                Some(incidents) => incidents::open(incidents, occasion, &shown).await,
                None => Ok(Vec::new()),
            }
        };
        let protection = async {
            match &gate.protection {
                Some(protection) => protection::seen(protection, occasion, &shown).await,
                None => Answers::default().protection,
            }
        };
        tokio::join!(objectives, incidents, protection)
    };
    let signature = signature(dirs, gate.signed).await;
    let found = |(objectives, incidents, protection), checks, checked| {
        let answers = Answers { objectives, incidents, checks, signature: signature.clone(), protection };
        Found { answers, checked, at: Instant::now() }
    };
    if let Some(made) = made {
        let found = found(known().await, made, false);
        if gate.waits(&gate.assess(&found.answers)) {
            return found;
        }
    }
    // Checks may take minutes, and what others know is to be of the moment of acting.
    let checks = checks::make(&gate.checks, occasion, &shown).await;
    found(known().await, checks, true)
}

/// Whether the server can sign what ships: its key is there, or can be made, and nobody else has had it.
async fn signature(dirs: Dirs, asked: bool) -> Result<Signature, String> {
    if !asked {
        return Err("nobody has asked".to_string());
    }
    let key = tokio::task::spawn_blocking(move || keys::signing_key(&dirs).map_err(|error| error.to_string()));
    let key = key.await.unwrap_or_else(|error| Err(error.to_string()))?;
    Ok(Signature { key: key.public().fingerprint() })
}

/// The project's secrets: one of them is shown to who asks for it, and none to anybody else.
struct Shown {
    secrets: Result<BTreeMap<String, String>, String>,
    mask: Mask,
}

impl Shown {
    async fn of(store: SecretStore, occasion: &Occasion) -> Shown {
        let (project, environment) = (occasion.project.clone(), occasion.environment.clone());
        let read =
            move || store.of_job(&project, Some(&environment)).map_err(|error| format!("the project's secrets can't be read: {error}"));
        let secrets = tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| Err(error.to_string()));
        let mut mask = Mask::new();
        secrets.iter().flat_map(BTreeMap::values).for_each(|secret| mask.add(secret));
        Shown { secrets, mask }
    }

    fn secret(&self, name: &str) -> Result<&str, String> {
        let secrets = self.secrets.as_ref().map_err(String::clone)?;
        let secret = secrets
            .get(&name.to_ascii_uppercase())
            .ok_or_else(|| format!("there is no secret `{name}`; `plimsoll secret set {name}` makes it"))?;
        if secret.contains(char::is_control) { Err(format!("the secret `{name}` is more than one line")) } else { Ok(secret) }
    }

    fn proof(&self, access: &Access) -> Result<Proof, String> {
        let secret = self.secret(access.secret())?;
        Ok(match access {
            Access::Token(_) => Proof::Header(format!("authorization: Bearer {secret}")),
            Access::Basic { user, .. } => Proof::Basic { user: user.clone(), password: secret.to_string() },
        })
    }

    /// The same, to be read by a program.
    fn covered(&self, text: &str) -> Result<String, String> {
        self.secrets.as_ref().map(|_| self.mask.apply(text)).map_err(String::clone)
    }

    /// What others said, as everybody may see it; where it isn't known what has to be covered, nobody does.
    fn said(&self, text: &str) -> String {
        match &self.secrets {
            Ok(_) => gate::incident::plain(&self.mask.apply(text)),
            Err(why) => format!("what it said is not shown, for {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use gate::check::{Check, How};
    use gate::incident::{Incidents, PRIORITIES, Source};
    use gate::slo::WhenUnknown;

    use super::*;

    fn occasion() -> Occasion {
        let (project, name, environment) = ("p".to_string(), "shop".to_string(), "local".to_string());
        Occasion {
            project,
            name,
            environment,
            release: Some("release-7".to_string()),
            artifact: None,
            commit: "abc".to_string(),
            git_ref: "refs/heads/main".to_string(),
            dirty: false,
        }
    }

    /// Whoever knows the incidents, and a check that leaves a word for each time it is made.
    fn plan(incidents: &str, made: &std::path::Path) -> GatePlan {
        let source = Source::Command(incidents.to_string());
        let priorities = PRIORITIES.map(str::to_string).into();
        let how = How::Run(format!("echo made >> {}", made.display()));
        GatePlan {
            incidents: Some(Incidents { source, token: None, unknown: WhenUnknown::Hold, priorities }),
            checks: vec![Check { name: "capacity".to_string(), how, timeout_ms: 60_000 }],
            ..GatePlan::default()
        }
    }

    fn found(incidents: &str, made: Option<Vec<Checked>>, log: &std::path::Path) -> Found {
        let temporary = tempfile::tempdir().unwrap();
        let dirs = Dirs::at(&temporary.path().join("state")).unwrap();
        let about = Arc::new((occasion(), plan(incidents, log)));
        tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(find_out(dirs, about, made))
    }

    #[test]
    fn checks_of_a_moment_ago_do_while_something_else_is_unknown_and_never_when_it_goes() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let before = || Some(vec![Checked::failed("capacity", "a moment ago")]);
        let waits = found("exit 1", before(), &log);
        assert!(!waits.checked && waits.answers.incidents.is_err() && Some(waits.answers.checks) == before() && !log.exists());
        let goes = found("echo []", before(), &log);
        assert!(goes.checked && goes.answers.incidents == Ok(Vec::new()) && goes.answers.checks == [Checked::passed("capacity")]);
        assert_eq!(fs::read_to_string(&log).unwrap(), "made\n");
        assert!(found("exit 1", None, &log).checked, "once they are made in any case: somebody reads the first answer");
    }

    #[test]
    fn what_others_know_is_asked_for_when_the_checks_have_ended() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let opened = format!(r#"printf '[{{"id": 7, "title": "%s", "priority": "P1"}}]' "$(cat {})""#, log.display());
        let incidents = found(&opened, None, &log).answers.incidents;
        assert_eq!(incidents.map(|open| open[0].title.clone()).as_deref(), Ok("made"));
    }

    #[test]
    fn what_was_found_out_while_nobody_looked_is_found_out_anew() {
        let folder = tempfile::tempdir().unwrap();
        let outside = HostOutside::new(&Dirs::at(&folder.path().join("state")).unwrap());
        let plan = plan("echo []", &folder.path().join("log"));
        let ask = async || {
            let mut answers = None;
            while answers.is_none() {
                answers = outside.ask(&occasion(), &plan).await;
            }
            answers.unwrap_or_default()
        };
        let stale = |ago: Duration| {
            let then = Instant::now().checked_sub(ago).unwrap();
            let found = Found { answers: Answers { incidents: Ok(Vec::new()), ..Answers::default() }, checked: true, at: then };
            let under_way = Some(Task(tokio::spawn(async { Some(found) })));
            let asked = Asked { looked: then, wanted: watch::Sender::default(), under_way, unknown: None, checks: None };
            outside.asked.lock().unwrap().insert(("p".to_string(), Some("release-7".to_string())), asked);
        };
        tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
            for ago in [UNKNOWN_KEPT, FORGOTTEN, 2 * FORGOTTEN] {
                stale(ago);
                assert_eq!(ask().await.checks, [Checked::passed("capacity")], "{ago:?}");
            }
            stale(Duration::ZERO);
            assert_eq!(ask().await.checks, [], "of just now it is taken");
        });
    }

    #[test]
    fn what_can_not_be_heard_out_is_unknown() {
        let folder = tempfile::tempdir().unwrap();
        let unknown = |command: &str| found(command, None, &folder.path().join("log")).answers.incidents.unwrap_err();
        assert_eq!(unknown("yes '[]' | head -c 9000000"), "the command that knows them printed too much");
        assert_eq!(unknown("echo nothing"), "the list of incidents is no JSON: expected ident at line 1 column 2");
        assert_eq!(unknown("kill -9 $$"), "the command that knows them failed: it was killed by a signal");
        assert_eq!(unknown("echo '{\"incidents\": [], \"more\": true}'"), "there are more incidents than the list tells (`more`)");
        assert_eq!(unknown("printf '\\033[1mno\\033[0m\\007 way\\n\\n' >&2; exit 3"), "the command that knows them failed: no  way");
    }

    #[test]
    fn a_file_that_never_ends_or_never_begins_is_unknown() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for path in [pipe.as_path(), std::path::Path::new("/dev/zero")] {
            let mut plan = plan("", &folder.path().join("log"));
            plan.incidents.as_mut().unwrap().source = Source::File(path.display().to_string());
            let dirs = Dirs::at(&folder.path().join("state")).unwrap();
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            let found = runtime.block_on(find_out(dirs, Arc::new((occasion(), plan)), None));
            assert_eq!(found.answers.incidents.unwrap_err(), format!("`{}` is no file", path.display()));
        }
    }

    /// The end of its words is not waited for where somebody else holds the pipe open.
    #[test]
    fn what_it_leaves_behind_is_ended_too() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join("left");
        let command = format!("setsid sh -c 'echo $$ > {0}; exec sleep 600' & until test -s {0}; do :; done; echo []", left.display());
        assert_eq!(found(&command, None, &folder.path().join("log")).answers.incidents, Ok(Vec::new()));
        let pid = fs::read_to_string(left).unwrap();
        assert!(
            fs::read(format!("/proc/{}/cmdline", pid.trim())).is_ok_and(|words| words.is_empty())
                || !std::path::Path::new(&format!("/proc/{}", pid.trim())).exists()
        );
    }
}
