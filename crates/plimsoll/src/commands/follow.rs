//! Following a release: its events as they come from the server, why it waits, and what Ctrl-C means meanwhile.

use std::sync::Arc;
use std::time::Duration;

use base::name::ReleaseId;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use record::Fact;
use release::{Event, Outcome, Plan, Release};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::actor;
use crate::client::Client;
use crate::exit;
use crate::failure::{Doing, Failure, FailureKind, Result};
use crate::terminal::harmless;
use crate::terminal::{Terminal, Tone};
use crate::view::{Narrator, folder_flag, name_of, typed};
use crate::world;
use host::dirs::Dirs;

/// Between two drawings of the live part.
const FRAME: Duration = Duration::from_millis(120);

/// A reason to wait that is gone sooner is not worth a line.
const TELL_AFTER: Duration = Duration::from_secs(3);

/// Lines of a failed step's log that are shown at once.
const TAIL_LINES: usize = 20;

/// A release that has ended.
#[derive(Debug)]
pub struct Ended {
    pub release: Release,
    pub outcome: Outcome,
    /// By a signal that was heard here.
    pub interrupted: bool,
    /// What it waited for last, or what was in its way.
    pub waited_for: Option<String>,
}

impl Ended {
    /// In the table of `plimsoll help exit-codes`. What somebody else ended was not interrupted here.
    pub fn exit_code(&self) -> u8 {
        match self.outcome {
            Outcome::Cancelled { .. } if !self.interrupted => exit::FAILED,
            _ => self.outcome.exit_code(),
        }
    }
}

/// What came of following a release.
#[derive(Debug)]
pub enum Watched {
    Ended(Box<Ended>),
    /// Somebody stopped watching; the release goes on. With this exit code.
    Left(u8),
}

/// What Ctrl-C means to somebody who follows a release. SIGTERM always ends the watching and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnInterrupt {
    /// The release is ours: once asks it to end and says what it waits for, twice ends its steps at once, three times stops watching.
    Abort,
    /// It is somebody else's.
    StopWatching,
    /// Another one listens.
    Ignore,
}

/// Follows a release until it ends or nobody wants to watch any more.
///
/// # Errors
/// When the server can't be reached any more; the release goes on without us.
pub async fn follow(client: &Client, id: ReleaseId, on_interrupt: OnInterrupt, terminal: &Terminal) -> Result<Watched> {
    let mut follower = Follower {
        client,
        id,
        terminal,
        release: None,
        position: 0,
        waiting: None,
        waited_for: None,
        waiting_since: tokio::time::Instant::now(),
        told: None,
        narrator: Narrator::new(terminal),
        signals: Signals::listen()?,
        on_interrupt,
        interrupts: 0,
    };
    loop {
        let body = match client.stream(&format!("/api/v1/events?stream=release/{id}&after={}", follower.position)).await {
            Ok(body) => body,
            Err(failure) => match follower.reconnect(failure).await? {
                Some(watched) => return Ok(watched),
                None => continue,
            },
        };
        if let Some(watched) = follower.read(body).await? {
            return Ok(watched);
        }
    }
}

/// Heard from the moment it is made, also while nobody waits for them.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Interrupt,
    Terminate,
}

impl Signals {
    fn listen() -> Result<Signals> {
        let interrupt = signal(SignalKind::interrupt()).doing("listen for signals")?;
        Ok(Signals { interrupt, terminate: signal(SignalKind::terminate()).doing("listen for signals")? })
    }

    async fn next(&mut self) -> Heard {
        tokio::select! {
            _ = self.interrupt.recv() => Heard::Interrupt,
            _ = self.terminate.recv() => Heard::Terminate,
        }
    }
}

struct Follower<'a> {
    client: &'a Client,
    id: ReleaseId,
    terminal: &'a Terminal,
    release: Option<Release>,
    position: u64,
    waiting: Option<String>,
    /// The last that there was.
    waited_for: Option<String>,
    waiting_since: tokio::time::Instant,
    /// The gist of what was told last.
    told: Option<String>,
    narrator: Narrator<'a>,
    signals: Signals,
    on_interrupt: OnInterrupt,
    interrupts: u32,
}

impl Follower<'_> {
    /// Until the release ends, the stream does, or somebody stops watching.
    async fn read(&mut self, mut body: Incoming) -> Result<Option<Watched>> {
        let mut buffer = Vec::new();
        let mut frames = tokio::time::interval(FRAME);
        loop {
            tokio::select! {
                frame = body.frame() => {
                    let Some(Ok(frame)) = frame else { return Ok(None) };
                    if let Some(data) = frame.data_ref() {
                        buffer.extend_from_slice(data);
                    }
                    while let Some(message) = next_message(&mut buffer) {
                        if let Some(ended) = self.message(&message).await? {
                            return Ok(Some(Watched::Ended(Box::new(ended))));
                        }
                    }
                }
                _ = frames.tick() => self.draw(),
                heard = self.signals.next() => if let Some(watched) = self.heard(heard).await {
                    return Ok(Some(watched));
                },
            }
        }
    }

    async fn message(&mut self, message: &Message) -> Result<Option<Ended>> {
        match message.event.as_str() {
            "waiting" => {
                let sentence = (!message.data.is_empty()).then(|| message.data.clone());
                if sentence.as_deref().map(gist) != self.waiting.as_deref().map(gist) {
                    self.waiting_since = tokio::time::Instant::now();
                }
                self.waited_for = sentence.clone().or(self.waited_for.take());
                self.waiting = sentence;
                Ok(None)
            }
            "fact" => {
                let fact: Fact = serde_json::from_str(&message.data).doing("read the event stream")?;
                self.fact(&fact).await
            }
            "trouble" => Err(Failure::infrastructure(format!("the server can't read its record: {}", message.data))),
            _ => Ok(None),
        }
    }

    async fn fact(&mut self, fact: &Fact) -> Result<Option<Ended>> {
        self.position = fact.position;
        let Some(release) = &mut self.release else {
            let plan: Plan = record::ledger::read(fact).doing("read the plan")?;
            self.release = Some(Release::new(Arc::new(plan)));
            return Ok(None);
        };
        let event: Event = record::ledger::read(fact).doing("read an event")?;
        release.apply(&event);
        self.narrator.event(release, &event);
        if let Some(failed) = failed_job(&event) {
            self.show_log(&failed).await;
        }
        let Some(release) = &self.release else { return Ok(None) };
        Ok(release.outcome().map(|outcome| Ended {
            release: release.clone(),
            outcome: outcome.clone(),
            interrupted: self.interrupts > 0,
            waited_for: self.waited_for.clone(),
        }))
    }

    /// Without a live part a sentence is told once, when it has held for a while.
    fn tell_waiting(&mut self) {
        let Some(sentence) = self.waiting.as_deref().filter(|_| !self.terminal.is_live()) else { return };
        let is_news = self.told.as_deref() != Some(gist(sentence));
        if is_news && self.waiting_since.elapsed() > TELL_AFTER {
            self.terminal.say(&self.terminal.paint(&format!("  {sentence}"), Tone::Faint));
            self.told = Some(gist(sentence).to_string());
        }
    }

    fn draw(&mut self) {
        self.tell_waiting();
        if let Some(release) = &self.release {
            self.narrator.draw(release, self.waiting.as_deref(), world::now());
        }
    }

    async fn heard(&mut self, heard: Heard) -> Option<Watched> {
        match (heard, self.on_interrupt) {
            (Heard::Terminate, _) => Some(self.left(exit::TERMINATED)),
            (Heard::Interrupt, OnInterrupt::StopWatching) => Some(self.left(exit::INTERRUPTED)),
            (Heard::Interrupt, OnInterrupt::Ignore) => None,
            (Heard::Interrupt, OnInterrupt::Abort) if self.interrupts == 2 => Some(self.left(exit::INTERRUPTED)),
            (Heard::Interrupt, OnInterrupt::Abort) => {
                self.interrupts += 1;
                self.abort().await;
                None
            }
        }
    }

    async fn abort(&self) {
        let body = serde_json::json!({ "by": actor() });
        let asked: Result<serde_json::Value> = self.client.post(&format!("/api/v1/releases/{}/abort", self.id), &body).await;
        match (asked, self.interrupts) {
            (Err(failure), _) => self.terminal.warn(&failure.message),
            (Ok(_), 1) => self.terminal.say(
                "interrupted: running steps are told to stop and get 10 s, traffic that moved goes back; once more ends steps at once",
            ),
            (Ok(_), _) => self.terminal.say("interrupted again: steps are ended at once; once more stops watching"),
        }
    }

    fn left(&self, code: u8) -> Watched {
        let name = self.release.as_ref().map_or("the release".to_string(), |release| format!("release-{}", release.plan().number));
        // Without a number another release may be meant, the one that moves.
        let number = self.release.as_ref().map(|release| format!(" {}", release.plan().number)).unwrap_or_default();
        let of = format!("{number}{}", self.folder());
        self.terminal.say(&format!(
            "stopped watching; {name} goes on: `plimsoll release watch{of}` looks again, `plimsoll release abort{of}` ends it"
        ));
        if let Some(release) = self.release.as_ref().filter(|_| self.terminal.json) {
            self.terminal.json(&release.status());
        }
        Watched::Left(code)
    }

    /// Behind a command that is to be typed.
    fn folder(&self) -> String {
        self.release.as_ref().map(|release| folder_flag(&release.plan().project)).unwrap_or_default()
    }

    /// The server may be restarting (a new build, a crash): what runs goes on, and so do we.
    async fn reconnect(&mut self, failure: Failure) -> Result<Option<Watched>> {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while tokio::time::Instant::now() < deadline {
            // Where there is no record nothing is begun anew: it was removed, and the release with it.
            let found = match Dirs::named() {
                Ok(dirs) if self.client.health().await.is_err() => Client::existing(&dirs).await,
                _ => Ok(Some(self.client.clone())),
            };
            let release: Option<Result<serde_json::Value>> = match found {
                Ok(Some(client)) => Some(client.get(&format!("/api/v1/releases/{}", self.id)).await),
                Ok(None) => Some(Err(Failure::not_found("there is no record"))),
                Err(_) => None,
            };
            match release {
                Some(Ok(_)) => return Ok(None),
                Some(Err(failure)) if failure.kind == FailureKind::NotFound => {
                    return Err(Failure::not_found(
                        "the release is on no record any more: `plimsoll down --purge` removes all that is kept",
                    ));
                }
                Some(Err(_)) | None => {}
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(200)) => {}
                heard = self.signals.next() => {
                    let code = if heard == Heard::Terminate { exit::TERMINATED } else { exit::INTERRUPTED };
                    return Ok(Some(self.left(code)));
                }
            }
        }
        Err(failure)
    }

    /// The server answers in pieces.
    async fn whole_log(&self, job: &str) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        loop {
            let (piece, _) = self.client.log(&format!("job={job}"), bytes.len() as u64).await?;
            if piece.is_empty() {
                return Ok(bytes);
            }
            bytes.extend_from_slice(&piece);
        }
    }

    async fn show_log(&self, job: &str) {
        if let Ok(bytes) = self.whole_log(job).await {
            let bytes = harmless::lines(&bytes);
            let text = String::from_utf8_lossy(&bytes);
            let lines: Vec<&str> = text.lines().collect();
            let from = lines.len().saturating_sub(TAIL_LINES);
            for line in &lines[from..] {
                self.terminal.say(&format!("    {} {line}", self.terminal.paint("│", Tone::Faint)));
            }
            if from > 0 {
                let key = job.split('/').nth(1).unwrap_or_default();
                let run = self
                    .release
                    .as_ref()
                    .and_then(|release| release.runs().find(|(_, run)| run.jobs().iter().any(|id| id.to_string() == job)));
                let name = run.map_or_else(|| key.to_string(), |(_, run)| name_of(run, key));
                let command = format!("plimsoll logs{} --job {}", self.folder(), typed(&name));
                self.terminal.say(&self.terminal.paint(&format!("    {from} lines before these: `{command}`"), Tone::Faint));
            }
        }
    }
}

/// The first clause, up to what it is about: times, forecasts and open questions move on while the reason stays.
fn gist(sentence: &str) -> &str {
    let clause = sentence.split("; ").next().unwrap_or_default();
    clause.split(" proof on ").next().unwrap_or_default()
}

fn failed_job(event: &Event) -> Option<String> {
    match event {
        Event::Run { event: workflow::run::Event::JobFinished { id, outcome, .. }, .. }
            if outcome.conclusion == workflow::job::Conclusion::Failure =>
        {
            Some(id.to_string())
        }
        _ => None,
    }
}

/// One server-sent event.
#[derive(Debug, Default, PartialEq)]
struct Message {
    event: String,
    data: String,
}

/// Takes the first complete event off the buffer.
fn next_message(buffer: &mut Vec<u8>) -> Option<Message> {
    let end = buffer.windows(2).position(|pair| pair == b"\n\n")?;
    let text = String::from_utf8_lossy(&buffer[..end]).into_owned();
    buffer.drain(..end + 2);
    let mut message = Message::default();
    for line in text.lines() {
        match line.split_once(':') {
            Some(("event", value)) => message.event = value.trim_start().to_string(),
            Some(("data", value)) => {
                if !message.data.is_empty() {
                    message.data.push('\n');
                }
                message.data.push_str(value.strip_prefix(' ').unwrap_or(value));
            }
            _ => {}
        }
    }
    Some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_sent_events_are_read_however_they_are_cut() {
        let mut buffer = b"event: fact\nid: 7\ndata: {\"a\":1}\n\nevent: waiting\nda".to_vec();
        assert_eq!(next_message(&mut buffer), Some(Message { event: "fact".into(), data: "{\"a\":1}".into() }));
        assert_eq!(next_message(&mut buffer), None);
        buffer.extend_from_slice(b"ta: still\n\n:\n\n");
        assert_eq!(next_message(&mut buffer), Some(Message { event: "waiting".into(), data: "still".into() }));
        assert_eq!(next_message(&mut buffer), Some(Message::default()));
    }

    #[test]
    fn the_gist_of_a_sentence_stays_while_its_times_move_on() {
        assert_eq!(
            gist("step 1 of 2, 10 %: needs proof on errors; about 50s more, held from 10:00:01 UTC on without it"),
            "step 1 of 2, 10 %: needs"
        );
        assert_eq!(gist("paused by ann"), "paused by ann");
    }
}
