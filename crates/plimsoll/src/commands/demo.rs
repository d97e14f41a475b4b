//! `plimsoll demo`: the example shop, a good change, a slow one and a broken one, with traffic, on a copy that is removed afterwards.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use host::dirs::Dirs;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use include_dir::{Dir, include_dir};
use release::Outcome;
use tokio::signal::unix::{SignalKind, signal};

use super::{OnInterrupt, Watched, actor, follow, propose};
use crate::cli::{self, Demo};
use crate::client::Client;
use crate::compose::{Choices, compose};
use crate::exit;
use crate::failure::{Doing, Failure, Result};
use crate::terminal::{Terminal, Tone};
use crate::world;

static SHOP: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../examples/shop");

/// Sizes that end within a minute; the code is the same.
const SMALL: &str = "\n# The demo's own sizes: a release ends within a minute.\nlimits: {stepMin: 3s, stepMax: 2m, drain: 2s, verify: 3s}\njudge: {look: 1s}\nsynthetic: false\n";

/// Users, each asking again as soon as the pause is over.
const USERS: usize = 12;

/// Between two requests of one user.
const PAUSE: Duration = Duration::from_millis(60);

/// What users look at.
const PAGES: &[&str] = &["/", "/products/assam", "/api/v1/status", "/products/mint", "/products/sencha", "/api/v1/status"];

/// A change, and how its release has to end.
struct Act {
    title: &'static str,
    patch: Option<&'static str>,
    subject: &'static str,
    good: bool,
}

const ACTS: &[Act] = &[
    Act { title: "The first version", patch: None, subject: "The shop", good: true },
    Act {
        title: "A good change: it is judged beside the old version and takes over",
        patch: Some("good"),
        subject: "A good change",
        good: true,
    },
    Act {
        title: "A slow change: its tests pass, its users wait; it goes back by itself",
        patch: Some("slow"),
        subject: "A slow change",
        good: false,
    },
    Act {
        title: "A broken change: every fifth request for the status fails; it goes back by itself",
        patch: Some("broken"),
        subject: "A broken change",
        good: false,
    },
];

pub async fn demo(args: &Demo, terminal: &Terminal) -> Result<u8> {
    let folder = tempfile::Builder::new().prefix("plimsoll-demo-").tempdir().doing("make a folder for the demo")?;
    let stage = Stage::set(folder.path())?;
    let mut terminate = signal(SignalKind::terminate()).doing("listen for signals")?;
    let played = tokio::select! {
        played = stage.play(terminal) => played,
        _ = tokio::signal::ctrl_c() => {
            terminal.say("interrupted: everything is taken down");
            Ok(exit::INTERRUPTED)
        }
        _ = terminate.recv() => {
            terminal.say("terminated: everything is taken down");
            Ok(exit::TERMINATED)
        }
    };
    if args.keep {
        let kept = folder.keep();
        terminal.say(&format!(
            "kept in {}; `PLIMSOLL_STATE_DIR={} plimsoll down --purge` ends it",
            kept.display(),
            kept.join("state").display()
        ));
    } else {
        stage.strike(terminal).await?;
    }
    played
}

struct Stage {
    shop: PathBuf,
    dirs: Dirs,
}

impl Stage {
    fn set(folder: &Path) -> Result<Stage> {
        let shop = folder.join("shop");
        std::fs::create_dir_all(&shop).doing("copy the shop")?;
        SHOP.extract(&shop).doing("copy the shop")?;
        let config = shop.join("plimsoll.yaml");
        let text = std::fs::read_to_string(&config).doing("read the shop's plimsoll.yaml")?;
        let own: Vec<&str> =
            text.lines().filter(|line| !["limits:", "judge:", "synthetic:"].iter().any(|key| line.starts_with(key))).collect();
        std::fs::write(&config, own.join("\n") + SMALL).doing("write the demo's plimsoll.yaml")?;
        let dirs = Dirs::at(&folder.join("state")).doing("make the demo's state directory")?;
        let stage = Stage { shop, dirs };
        stage.git(&["init", "--quiet", "--initial-branch", "main"])?;
        Ok(stage)
    }

    async fn play(&self, terminal: &Terminal) -> Result<u8> {
        let mut traffic = None;
        for act in ACTS {
            terminal.say(&format!("\n{}", terminal.paint(act.title, Tone::Strong)));
            if let Some(patch) = act.patch {
                self.git(&["apply", &format!("changes/{patch}.patch")])?;
            }
            self.git(&["add", "--all"])?;
            self.git(&["commit", "--quiet", "--message", act.subject])?;
            let port = self.release(act, terminal).await?;
            if !act.good {
                self.git(&["reset", "--quiet", "--hard", "HEAD~1"])?;
            }
            if traffic.is_none() {
                terminal.say(&format!("  {USERS} users begin to look around at http://shop.localhost:{port}"));
                traffic = Some(Traffic::start(port));
            }
        }
        let traffic = traffic.map(|traffic| traffic.stop()).unwrap_or_default();
        if terminal.json {
            terminal.json(&serde_json::json!({ "requests": traffic.0, "failed": traffic.1 }));
        }
        terminal.say(&format!(
            "\n{} requests were made meanwhile, {} failed: what the broken change's canary answered before it was taken back",
            traffic.0, traffic.1
        ));
        terminal.say("That was `plimsoll demo`. In a repository of your own: `plimsoll up`");
        Ok(exit::OK)
    }

    async fn release(&self, act: &Act, terminal: &Terminal) -> Result<u16> {
        let choices = Choices { actor: actor(), ..Choices::default() };
        let composed = compose(&self.shop, &choices, world::now(), world::random())?;
        let client = Client::connect(&self.dirs).await?;
        let accepted = propose(&client, &composed.proposal).await?;
        let Watched::Ended(ended) = follow(&client, accepted.id, OnInterrupt::Ignore, terminal).await? else {
            return Ok(accepted.port);
        };
        let as_told = matches!((&ended.outcome, act.good), (Outcome::Promoted { .. }, true) | (Outcome::RolledBack { .. }, false));
        if as_told {
            return Ok(accepted.port);
        }
        Err(Failure::new(crate::failure::FailureKind::Failed, format!("the demo did not go as it should: {}", ended.outcome.sentence())))
    }

    /// Everything goes: what runs, what listens, what was written.
    async fn strike(&self, terminal: &Terminal) -> Result<()> {
        let quiet = Terminal::new(&cli::Global { json: false, color: cli::ColorChoice::Never, quiet: true, verbose: false });
        let struck = super::down::purge_all(&self.dirs, &quiet).await;
        if struck.is_ok() {
            terminal.say("Nothing is left of it: the copy, its server, its proxy and its processes are gone.");
        }
        struck
    }

    fn git(&self, args: &[&str]) -> Result<()> {
        let identity = ["-c", "user.name=Plimsoll demo", "-c", "user.email=demo@localhost", "-c", "commit.gpgsign=false"];
        let output = Command::new("git")
            .args(identity)
            .args(args)
            .current_dir(&self.shop)
            .env_remove("GIT_DIR")
            .env_remove("GIT_WORK_TREE")
            .output()
            .doing("run git")?;
        if output.status.success() {
            return Ok(());
        }
        Err(Failure::infrastructure(format!("`git {}` failed: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim())))
    }
}

/// Users on connections of their own.
struct Traffic {
    counts: Arc<(AtomicU64, AtomicU64)>,
    users: Vec<tokio::task::JoinHandle<()>>,
}

impl Traffic {
    fn start(port: u16) -> Traffic {
        let counts = Arc::new((AtomicU64::new(0), AtomicU64::new(0)));
        let users = (0..USERS).map(|user| tokio::spawn(use_shop(port, user, counts.clone()))).collect();
        Traffic { counts, users }
    }

    /// Requests made, and those that failed.
    fn stop(self) -> (u64, u64) {
        self.users.iter().for_each(tokio::task::JoinHandle::abort);
        (self.counts.0.load(Ordering::Relaxed), self.counts.1.load(Ordering::Relaxed))
    }
}

async fn use_shop(port: u16, user: usize, counts: Arc<(AtomicU64, AtomicU64)>) {
    let mut page = user;
    loop {
        let answered = get(port, PAGES[page % PAGES.len()]).await;
        counts.0.fetch_add(1, Ordering::Relaxed);
        if answered.is_none_or(|status| status >= 500) {
            counts.1.fetch_add(1, Ordering::Relaxed);
        }
        page += 1;
        tokio::time::sleep(PAUSE).await;
    }
}

async fn get(port: u16, path: &str) -> Option<u16> {
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    let driver = tokio::spawn(connection);
    let request = Request::get(path).header("host", "shop.localhost").body(Empty::<Bytes>::new()).ok()?;
    let response = sender.send_request(request).await.ok()?;
    let status = response.status().as_u16();
    response.into_body().collect().await.ok()?;
    driver.abort();
    Some(status)
}
