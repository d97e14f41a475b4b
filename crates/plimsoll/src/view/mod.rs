//! What a person sees of a release: lines that stay, and a live part that is drawn over.

mod rollout;
mod run;

use std::path::Path;

use base::people::same;
use base::time::format_duration_ms;
use base::{Timestamp, counted};
use gate::approval::Vote;
use release::{Event, Outcome, Project, Release};

use crate::terminal::{Terminal, Tone};

pub use rollout::{evidence_lines, line as rollout_line, percent};
pub use run::event as run_event;
pub use run::{finished_line, job_lines, job_reasons, name_of, review_line};

/// Tells a release's events as they come; the live part is a reading of its state.
#[derive(Debug)]
pub struct Narrator<'a> {
    terminal: &'a Terminal,
    /// How many ticks the live part has been drawn.
    beat: usize,
    warned: bool,
    /// Of the traffic, as it was told last, in 0.01 %.
    share: Option<u32>,
}

/// A project's folder as it would be typed from here.
fn typed_folder(project: &Project) -> String {
    from_here(&Path::new(&project.repository).join(&project.subtree))
}

/// A folder as it would be typed: below here or above by few names, else whole.
pub fn from_here(folder: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let folder = match (folder.strip_prefix(&here), here.strip_prefix(folder)) {
        (Ok(rest), _) if rest.as_os_str().is_empty() => ".".to_string(),
        (Ok(rest), _) => rest.display().to_string(),
        (Err(_), Ok(rest)) => vec![".."; rest.components().count()].join("/"),
        (Err(_), Err(_)) => folder.display().to_string(),
    };
    typed(&folder)
}

/// ` FOLDER` behind a command that takes one, nothing in the folder itself.
pub fn folder_argument(project: &Project) -> String {
    match typed_folder(project).as_str() {
        "." => String::new(),
        folder => format!(" {folder}"),
    }
}

/// A word as a shell takes it for one.
pub fn typed(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:,@%+=~".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_string() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// ` -C FOLDER` behind a command that is to be typed, nothing in the folder itself.
pub fn folder_flag(project: &Project) -> String {
    match typed_folder(project).as_str() {
        "." => String::new(),
        folder => format!(" -C {folder}"),
    }
}

/// ✔ ✖ ◌ and so on: the meaning is in the word beside it too.
#[derive(Debug, Clone, Copy)]
pub enum Mark {
    Good,
    Bad,
    Warn,
    Skipped,
    Going,
}

impl Mark {
    fn glyph(self) -> (&'static str, Tone) {
        match self {
            Mark::Good => ("✔", Tone::Good),
            Mark::Bad => ("✖", Tone::Bad),
            Mark::Warn => ("⚠", Tone::Warn),
            Mark::Skipped => ("–", Tone::Faint),
            Mark::Going => ("◌", Tone::Plain),
        }
    }
}

pub fn marked(terminal: &Terminal, mark: Mark, text: &str) -> String {
    let (glyph, tone) = mark.glyph();
    format!("{} {text}", terminal.paint(glyph, tone))
}

impl<'a> Narrator<'a> {
    pub fn new(terminal: &'a Terminal) -> Narrator<'a> {
        Narrator { terminal, beat: 0, warned: false, share: None }
    }

    /// One event; `release` has it applied already.
    pub fn event(&mut self, release: &Release, event: &Event) {
        match event {
            Event::Run { run: index, event } => {
                if let Some((_, run)) = release.runs().nth(*index) {
                    run::event(self.terminal, run, event);
                }
            }
            Event::Packaged { artifact, bytes, files, .. } => {
                let text = format!(
                    "artifact   {} ({files} {}, {})",
                    artifact.short(),
                    if *files == 1 { "file" } else { "files" },
                    format_bytes(*bytes)
                );
                self.line(Mark::Good, &text);
            }
            Event::NothingToShip { .. } | Event::Unchanged { .. } => {}
            Event::EvidenceRead { evidence, .. } => self.line(Mark::Good, &format!("evidence   {}", evidence_line(&evidence.summary()))),
            Event::Decided { decision } => self.decision(release, decision),
            Event::Voted { vote } => {
                let comment = if vote.comment.is_empty() { String::new() } else { format!(": {}", vote.comment) };
                let (mark, word, again) = match vote.agrees {
                    true if agreed_before(release.votes(), &vote.by) => (Mark::Skipped, "approved", " again, which counts once"),
                    true => (Mark::Good, "approved", ""),
                    false => (Mark::Bad, "refused", ""),
                };
                self.line(mark, &format!("{word:<10} by {}{again}{comment}", vote.by));
            }
            Event::Overridden { by, past, .. } => {
                self.line(Mark::Warn, &format!("OVERRIDDEN {by}"));
                self.line(Mark::Warn, &format!("           past: {}", without_ways(past)));
            }
            Event::Admitted { instance, rollout, .. } => {
                let text = match &rollout.stable {
                    Some(stable) if stable.id == instance.revision => {
                        format!("revision   {} is live already; its port, or how many instances it has, changes", instance.revision)
                    }
                    Some(stable) if release.plan().delivery.strategy.is_in_place(release.plan().delivery.replicas) => {
                        format!("revision   {} starts in the place of {}", instance.revision, stable.id)
                    }
                    Some(stable) => format!("revision   {} starts beside {}", instance.revision, stable.id),
                    None => format!("revision   {} starts, with none before it that is live", instance.revision),
                };
                self.line(Mark::Going, &text);
            }
            Event::Rollout { event } => rollout::event(self.terminal, release, event, &mut self.share),
            Event::CancelRequested { by, .. } => self.line(Mark::Warn, &format!("cancelled by {by}; running steps are being ended")),
            Event::Finished { outcome, .. } => self.finished(release, outcome),
        }
    }

    /// Draws the live part: what goes on now and, when nothing moves, why.
    pub fn draw(&mut self, release: &Release, waiting: Option<&str>, now: Timestamp) {
        if !self.terminal.is_live() || release.outcome().is_some() {
            return;
        }
        self.beat += 1;
        let mut lines = run::live(self.terminal, release, now, self.beat);
        if let Some(rollout) = release.rollout() {
            lines.push(rollout::rail(self.terminal, rollout, self.beat));
        }
        if let Some(waiting) = waiting.filter(|_| lines.len() < 2) {
            lines.extend(self.terminal.wrapped(waiting).iter().map(|line| self.terminal.paint(&format!("  {line}"), Tone::Faint)));
        }
        self.terminal.draw(&lines);
    }

    fn line(&self, mark: Mark, text: &str) {
        self.terminal.say(&marked(self.terminal, mark, text));
    }

    fn decision(&mut self, release: &Release, decision: &gate::Decision) {
        // The second yes, in the moment of admission, is on the record; once is enough to read.
        if std::mem::replace(&mut self.warned, true) && decision.is_allowed() {
            return;
        }
        match &decision.outcome {
            gate::Outcome::Allowed { warnings, overridden: Some(overridden), .. } => {
                self.line(Mark::Warn, &format!("gate       denied for {}, and OVERRIDDEN {}", release.plan().environment, overridden.by));
                overridden.violations.iter().for_each(|violation| self.line(Mark::Bad, &format!("           {violation}")));
                self.warnings(release, warnings);
            }
            gate::Outcome::Allowed { warnings, .. } => {
                let by = decision.strategy().map(|name| format!(", by the strategy {name} that the policy asks for")).unwrap_or_default();
                self.line(Mark::Good, &format!("gate       allowed for {}{by}", release.plan().environment));
                self.warnings(release, warnings);
            }
            gate::Outcome::Denied { violations, warnings } => {
                self.line(Mark::Bad, &format!("gate       denied for {}", release.plan().environment));
                for violation in violations {
                    // Where no evidence is to blame, the policy's own line is.
                    let rule = violation.rule.as_ref().filter(|rule| violation.evidence.is_empty() && !rule.starts_with("built-in/"));
                    let rule = rule.map(|rule| format!(" ({rule})")).unwrap_or_default();
                    self.line(Mark::Bad, &format!("           {violation}{rule}"));
                }
                self.warnings(release, warnings);
            }
        }
    }

    /// All of them in one line, unless asked for more: they are the same at every release, and `release explain` has them too.
    fn warnings(&self, release: &Release, warnings: &[gate::Violation]) {
        if self.terminal.is_verbose() {
            warnings.iter().for_each(|warning| self.line(Mark::Warn, &format!("           {warning}")));
        } else if let Some(line) = warnings_line(warnings, &folder_flag(&release.plan().project)) {
            self.line(Mark::Warn, &format!("           {line}"));
        }
    }

    fn finished(&self, release: &Release, outcome: &Outcome) {
        let took = release.finished().map_or(0, |at| at.since_ms(release.plan().created));
        let mark = match outcome {
            Outcome::Promoted { .. } | Outcome::Unchanged { .. } => Mark::Good,
            Outcome::RolledBack { .. } | Outcome::Cancelled { .. } | Outcome::Superseded { .. } => Mark::Warn,
            _ => Mark::Bad,
        };
        let number = release.plan().number;
        let sentence = match outcome {
            // Why has just been said, with its numbers.
            Outcome::RolledBack { .. } => "rolled back, the version before has all traffic".to_string(),
            _ => outcome.sentence(),
        };
        self.line(mark, &format!("release-{number}  {sentence} ({})", format_duration_ms(took)));
    }
}

/// Whoever approves twice has approved; the last of the votes is the one that is asked about.
pub fn agreed_before(votes: &[Vote], by: &str) -> bool {
    votes.split_last().is_some_and(|(_, earlier)| earlier.iter().rfind(|vote| same(&vote.by, by)).is_some_and(|vote| vote.agrees))
}

/// What held a release back, without the ways past it that were open then.
fn without_ways(past: &str) -> &str {
    let ways = ["; in an emergency ", "; it is asked again ", "; `plimsoll approve "];
    let end = ways.iter().filter_map(|way| past.find(way)).min().unwrap_or(past.len());
    &past[..end]
}

/// What is said of each kind of evidence that isn't there begins so.
const ABSENT: &str = "there is no evidence of ";

/// Evidence that isn't there, then the first of the others, then how many more there are.
fn warnings_line(warnings: &[gate::Violation], folder: &str) -> Option<String> {
    let absent: Vec<&str> = warnings.iter().filter_map(|warning| warning.message.strip_prefix(ABSENT)).collect();
    let others: Vec<String> = warnings.iter().filter(|warning| !warning.message.starts_with(ABSENT)).map(ToString::to_string).collect();
    let absent = Some(absent.join(", ")).filter(|kinds| !kinds.is_empty()).map(|kinds| format!("{ABSENT}{kinds}"));
    let more = match others.len() {
        0 | 1 => None,
        count => Some(format!("{} more, told by `plimsoll release explain{folder}`", count - 1)),
    };
    let parts: Vec<String> = others.into_iter().take(1).chain(absent).chain(more).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

pub fn evidence_line(summary: &gate::evidence::Summary) -> String {
    let mut parts = Vec::new();
    if let Some(tests) = &summary.tests {
        let failed = tests.failed + tests.errors;
        parts.push(if failed == 0 {
            format!("{} passed", counted(usize::try_from(tests.passed).unwrap_or(usize::MAX), "test"))
        } else {
            format!("{failed} of {} tests failed", tests.passed + failed)
        });
    }
    if let Some(coverage) = &summary.coverage {
        parts.push(format!("coverage {:.1} %", coverage.percent));
    }
    if let Some(findings) = &summary.findings {
        let counts = [
            ("critical", findings.critical),
            ("high", findings.high),
            ("medium", findings.medium),
            ("low", findings.low),
            ("secrets", findings.secrets),
        ];
        let found: Vec<String> = counts.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{count} {name}")).collect();
        parts.push(if found.is_empty() { "no findings".to_string() } else { found.join(", ") });
    }
    if summary.signed > 0 {
        parts.push(counted(usize::try_from(summary.signed).unwrap_or(usize::MAX), "signed statement"));
    }
    match summary.benchmarks.len() {
        0 => {}
        count => parts.push(counted(count, "benchmark")),
    }
    match summary.sbom.len() {
        0 => {}
        1 => parts.push("a bill of materials".to_string()),
        count => parts.push(format!("{count} bills of materials")),
    }
    if !summary.broken.is_empty() {
        parts.push(format!("{} can't be read", counted(summary.broken.len(), "file")));
    }
    if parts.is_empty() { "none was left".to_string() } else { parts.join(", ") }
}

pub fn format_bytes(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1_024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// A turning mark for what goes on.
pub fn spinner(beat: usize) -> &'static str {
    const FRAMES: [&str; 8] = ["⠋", "⠙", "⠸", "⠴", "⠦", "⠇", "⠏", "⠋"];
    FRAMES[beat % FRAMES.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_that_are_the_same_at_every_release_are_one_line() {
        let warning = |message: &str| gate::Violation { id: "a/b".into(), message: message.into(), evidence: Vec::new(), rule: None };
        let line =
            |messages: &[&str]| warnings_line(&messages.iter().map(|it| warning(it)).collect::<Vec<_>>(), " -C shop").unwrap_or_default();
        assert_eq!(line(&[]), "");
        assert_eq!(line(&["a finding is accepted"]), "a finding is accepted");
        assert_eq!(
            line(&["there is no evidence of tests", "no workflow ran", "there is no evidence of coverage"]),
            "no workflow ran; there is no evidence of tests, coverage"
        );
        assert_eq!(line(&["one", "two", "three"]), "one; 2 more, told by `plimsoll release explain -C shop`");
    }
}
