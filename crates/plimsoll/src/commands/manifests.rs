//! `plimsoll release lint`: what Plimsoll would do with the files of Argo Rollouts and Flagger.

use std::io::Read as _;
use std::path::Path;

use base::{Diagnostic, Source, Span, counted, diagnostic};
use rollout::manifest::{self, Document, LeftOut};
use serde_json::{Value as Json, json};

use super::run::unread;
use crate::cli::ReleaseLint;
use crate::exit;
use crate::failure::{Failure, Result};
use crate::terminal::{Terminal, Tone};
use crate::wrong;

/// A little more than is parsed, so that a file beyond it is told to be too large.
const BYTES_MAX: u64 = 2 * 1024 * 1024;

pub fn lint(args: &ReleaseLint, terminal: &Terminal) -> Result<u8> {
    let mut checked = Vec::new();
    for file in &args.files {
        checked.push(Checked::of(file)?);
    }
    // Of a folder of them most are of something else.
    let nothing = |file: &Checked| file.wrong.is_empty() && !file.documents.iter().any(|document| document.is_read);
    if let (Some(first), true) = (checked.first(), checked.iter().all(nothing)) {
        return Err(Failure::usage(format!("there is nothing of Argo Rollouts or Flagger in `{}`", first.source.name))
            .hint("a document has `kind: Rollout`, `AnalysisTemplate`, `Canary` or another that docs/foreign-rollouts.md names"));
    }
    checked.retain(|file| {
        if nothing(file) {
            terminal.say(&format!("{}: nothing of Argo Rollouts or Flagger", file.source.name));
        }
        !nothing(file)
    });
    if terminal.json {
        let documents: Vec<Json> = checked.iter().flat_map(Checked::documents_json).collect();
        let errors: Vec<Json> = checked.iter().flat_map(Checked::errors_json).collect();
        terminal.json(&json!({ "documents": documents, "errors": errors }));
    } else {
        checked.iter().for_each(|file| file.tell(terminal));
    }
    let is_wrong = checked.iter().any(|file| !file.wrong.is_empty());
    if !is_wrong && !terminal.json {
        terminal.say(&summary(&checked));
    }
    let left_out = checked.iter().flat_map(Checked::left_out).any(|left_out| !left_out.of_a_cluster);
    Ok(match (is_wrong, left_out) {
        (true, _) => exit::USAGE,
        (false, true) => exit::FAILED,
        (false, false) => exit::OK,
    })
}

/// One file and what was understood of it.
struct Checked {
    source: Source,
    documents: Vec<Document>,
    wrong: Vec<Diagnostic>,
}

impl Checked {
    fn of(path: &Path) -> Result<Checked> {
        let mut bytes = Vec::new();
        let opened = std::fs::File::open(path).and_then(|file| file.take(BYTES_MAX).read_to_end(&mut bytes));
        opened.map_err(|error| unread(path, &error))?;
        let (source, undecoded) = Source::decode(path.display().to_string(), &bytes);
        let (documents, wrong) = match undecoded {
            Some(diagnostic) => (Vec::new(), vec![diagnostic]),
            None => manifest::read(&source),
        };
        Ok(Checked { source, documents, wrong })
    }

    fn left_out(&self) -> impl Iterator<Item = &LeftOut> {
        self.documents.iter().flat_map(|document| &document.left_out)
    }

    fn tell(&self, terminal: &Terminal) {
        if !self.wrong.is_empty() {
            terminal.data(&format!("{}\n", diagnostic::render(&self.source, &self.wrong, terminal.is_coloured())));
            return;
        }
        for document in &self.documents {
            terminal.data(&self.lines(document, terminal).join("\n"));
        }
    }

    fn lines(&self, document: &Document, terminal: &Terminal) -> Vec<String> {
        let title = format!("{} {}", document.kind, document.name);
        let place = terminal.paint(&format!("{}:{}", self.source.name, self.at(document.span)), Tone::Faint);
        let mut lines = vec![format!("{}  {place}", terminal.paint(title.trim_end(), Tone::Strong))];
        let indented = |text: &String| format!("  {text}");
        lines.extend(document.intent.iter().flat_map(manifest::Intent::lines).map(|line| indented(&line)));
        lines.extend(document.asks.iter().map(indented));
        for analysis in &document.analyses {
            let mut said = analysis.lines.iter();
            let first = said.next().map_or(String::new(), |line| format!(": {line}"));
            lines.push(format!("  {}{first}", analysis.name));
            lines.extend(said.map(|line| format!("    {line}")));
        }
        for (title, of_a_cluster) in [("not supported:", false), ("only of a cluster:", true)] {
            let left_out: Vec<&LeftOut> = document.left_out.iter().filter(|left_out| left_out.of_a_cluster == of_a_cluster).collect();
            if !left_out.is_empty() {
                let tone = if of_a_cluster { Tone::Faint } else { Tone::Warn };
                lines.push(format!("  {}", terminal.paint(title, tone)));
                lines.extend(left_out.iter().map(|it| format!("    {:<6} {}: {}", self.at(it.span), it.what, it.instead)));
            }
        }
        lines.push(String::new());
        lines
    }

    /// `31:11`.
    fn at(&self, span: Span) -> String {
        let (line, column) = self.source.line_column(span.start);
        format!("{line}:{column}")
    }

    fn documents_json(&self) -> Vec<Json> {
        if !self.wrong.is_empty() {
            return Vec::new();
        }
        self.documents.iter().map(|document| self.document_json(document)).collect()
    }

    fn document_json(&self, document: &Document) -> Json {
        let left_out = |of_a_cluster: bool| {
            let left_out = document.left_out.iter().filter(move |left_out| left_out.of_a_cluster == of_a_cluster);
            let left_out =
                left_out.map(|it| json!({ "what": it.what, "place": wrong::place(&self.source, it.span), "instead": it.instead }));
            left_out.collect::<Vec<Json>>()
        };
        let analyses = document.analyses.iter().map(|analysis| {
            json!({
                "name": analysis.name,
                "place": wrong::place(&self.source, analysis.span),
                "provider": analysis.provider,
                "lines": analysis.lines,
            })
        });
        json!({
            "file": &*self.source.name,
            "kind": document.kind,
            "name": document.name,
            "place": wrong::place(&self.source, document.span),
            "plan": document.intent.as_ref().map(|intent| {
                json!({
                    "strategy": intent.strategy,
                    "replicas": intent.replicas,
                    "readyMs": intent.ready_ms,
                    "stepMinMs": intent.step_min_ms,
                    "warmMs": intent.warm_ms,
                    "lines": intent.lines(),
                })
            }),
            "asks": document.asks,
            "analyses": analyses.collect::<Vec<Json>>(),
            "notSupported": left_out(false),
            "onlyOfACluster": left_out(true),
        })
    }

    fn errors_json(&self) -> Vec<Json> {
        let errors = self.wrong.iter().map(|diagnostic| wrong::json(&self.source, diagnostic));
        errors.collect()
    }
}

fn summary(checked: &[Checked]) -> String {
    let documents: usize = checked.iter().map(|file| file.documents.len()).sum();
    let left_out = || checked.iter().flat_map(Checked::left_out);
    let documents = counted(documents, "document");
    match left_out().filter(|left_out| !left_out.of_a_cluster).count() {
        0 => format!("all that {documents} ask of a rollout is done").replace("1 document ask ", "1 document asks "),
        count => {
            let (things, is) = if count == 1 { ("1 thing".to_string(), "is") } else { (format!("{count} things"), "are") };
            format!("{things} in {documents} {is} not supported, and told above with what happens instead")
        }
    }
}
