//! SARIF 2.1.0 of any tool, read as a stream: one result is in memory at a time, and what is kept of it is small.

use std::collections::HashMap;
use std::fmt;
use std::io::{BufRead, BufReader, Read};

use base::Digest;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::claim::{ClaimKind, Finding, FindingKind, Parsed, Problem, Severity, shorten};
use super::severity::{from_level, from_score, from_word};
use super::source::CHUNK_BYTES;

mod raw;

use raw::{Component, Invocation, Properties, RawResult, Rule, Tool};

/// More than any person will ever look at; beyond it the report is refused rather than the memory filled.
const FINDINGS_MAX: usize = 200_000;
const MESSAGE_MAX_CHARS: usize = 300;
const NAME_MAX_CHARS: usize = 500;

/// A report up to this size is read in one piece, which is several times faster than byte by byte.
const WHOLE_MAX_BYTES: u64 = 32 << 20;

pub(crate) fn parse(input: &mut impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut start = Vec::new();
    input.by_ref().take(WHOLE_MAX_BYTES).read_to_end(&mut start).map_err(|_| Problem::new("can't be read on"))?;
    let log = if (start.len() as u64) < WHOLE_MAX_BYTES {
        read(serde_json::de::SliceRead::new(&start))?
    } else {
        read(serde_json::de::IoRead::new(BufReader::with_capacity(CHUNK_BYTES, start.as_slice().chain(input))))?
    };
    match log.version.as_deref() {
        Some("2.1.0") => {}
        Some(other) => return Err(Problem::new(format!("is SARIF {}; only 2.1.0 is read", shorten(other, 20)))),
        None => return Err(Problem::new("has no `version`")),
    }
    let runs = log.runs.ok_or_else(|| Problem::new("has no `runs`"))?;
    runs.into_iter().enumerate().map(|(index, run)| run.finish(index + 1)).collect()
}

fn read<'de>(input: impl serde_json::de::Read<'de>) -> Result<Log, Problem> {
    let mut log = Log::default();
    let mut deserializer = serde_json::Deserializer::new(input);
    let read = LogSeed(&mut log).deserialize(&mut deserializer).and_then(|()| deserializer.end());
    read.map_err(|error| problem(&error)).map(|()| log)
}

fn problem(error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    let text = match error.classify() {
        serde_json::error::Category::Eof => "ends in the middle".to_string(),
        serde_json::error::Category::Syntax => format!("is not JSON: {}", shorten(text, MESSAGE_MAX_CHARS)),
        serde_json::error::Category::Data => format!("is not SARIF: {}", shorten(text, MESSAGE_MAX_CHARS)),
        serde_json::error::Category::Io => "can't be read on".to_string(),
    };
    Problem { reason: text, line: (error.line() > 0).then_some(error.line() as u64) }
}

#[derive(Debug, Default)]
struct Log {
    version: Option<String>,
    runs: Option<Vec<Run>>,
}

#[derive(Debug, Default)]
struct Run {
    tool: Tool,
    /// `None` is a run that did not scan, which is not the same as one that found nothing.
    results: Option<Vec<Kept>>,
    invocations: Vec<Invocation>,
}

/// What is kept of a result until its rule is known: writers may put the rules after the results.
#[derive(Debug)]
struct Kept {
    rule_id: Option<String>,
    rule_index: Option<usize>,
    component_index: Option<usize>,
    level: Option<String>,
    own: Option<Severity>,
    secret: bool,
    message: String,
    file: Option<String>,
    line: Option<u64>,
    column: Option<u64>,
    suppressed: Option<String>,
}

impl Run {
    fn finish(self, number: usize) -> Result<Parsed, Problem> {
        let Run { tool: Tool { driver, extensions }, results, invocations } = self;
        let name = driver.name.as_deref().map(|name| shorten(name, 100));
        let who = name.as_deref().unwrap_or("the scanner");
        if invocations.iter().any(|invocation| invocation.execution_successful == Some(false)) {
            return Err(Problem::new(format!("holds a scan that failed, as {who} says itself (run {number})")));
        }
        let results = results.ok_or_else(|| Problem::new(format!("has no results from {who} (run {number}): nothing was scanned")))?;
        let rules = Rules::new(&driver, &extensions);
        let secret_tool = name.as_deref().is_some_and(is_secret_tool);
        let findings = results.into_iter().map(|kept| kept.finish(&rules, secret_tool)).collect();
        let tool_version = driver.semantic_version.or(driver.version).map(|version| shorten(&version, 100));
        Ok(Parsed { kind: ClaimKind::Findings(findings), tool: name, tool_version, line: None })
    }
}

struct Rules<'a> {
    driver: &'a Component,
    extensions: &'a [Component],
    by_id: HashMap<&'a str, &'a Rule>,
}

impl<'a> Rules<'a> {
    fn new(driver: &'a Component, extensions: &'a [Component]) -> Rules<'a> {
        let all = extensions.iter().chain([driver]).flat_map(|component| component.rules.iter().flatten());
        let by_id = all.filter_map(|rule| Some((rule.id.as_deref()?, rule))).collect();
        Rules { driver, extensions, by_id }
    }

    fn of(&self, kept: &Kept) -> Option<&'a Rule> {
        let component = match kept.component_index {
            Some(index) => self.extensions.get(index)?,
            None => self.driver,
        };
        let by_index = kept.rule_index.and_then(|index| component.rules.as_ref()?.get(index));
        // A sub-rule is named `rule/part`.
        let by_id = || {
            let id = kept.rule_id.as_deref()?;
            self.by_id.get(id).or_else(|| self.by_id.get(id.rsplit_once('/')?.0)).copied()
        };
        by_index.or_else(by_id)
    }
}

impl Kept {
    /// `None` when the result says that all is well, or that the finding is gone.
    fn new(result: RawResult) -> Option<Kept> {
        if matches!(result.kind.as_deref(), Some("pass" | "notApplicable" | "informational"))
            || result.baseline_state.as_deref() == Some("absent")
        {
            return None;
        }
        let suppressed = result.suppression();
        let location = result.locations.into_iter().flatten().next().and_then(|location| location.physical_location).unwrap_or_default();
        let region = location.region.unwrap_or_default();
        let rule = result.rule.unwrap_or_default();
        let own = result.properties.as_ref().and_then(|properties| properties.score().or_else(|| properties.word()));
        Some(Kept {
            rule_id: result.rule_id.or(rule.id).map(|id| shorten(&id, NAME_MAX_CHARS)),
            rule_index: result.rule_index.or(rule.index).and_then(|index| usize::try_from(index).ok()),
            component_index: rule.tool_component.and_then(|component| component.index).and_then(|index| usize::try_from(index).ok()),
            level: result.level,
            own,
            secret: result.properties.as_ref().is_some_and(Properties::is_secret),
            message: result
                .message
                .and_then(|message| message.text.or(message.markdown))
                .map(|text| shorten(&text, MESSAGE_MAX_CHARS))
                .unwrap_or_default(),
            file: location.artifact_location.and_then(|artifact| artifact.uri).map(|uri| normal_path(&shorten(&uri, NAME_MAX_CHARS))),
            line: region.start_line,
            column: region.start_column,
            suppressed,
        })
    }

    fn finish(self, rules: &Rules<'_>, secret_tool: bool) -> Finding {
        let rule = rules.of(&self);
        let id = self.rule_id.clone().or_else(|| rule?.id.clone()).unwrap_or_else(|| "unnamed".to_string());
        let properties = rule.and_then(|rule| rule.properties.as_ref());
        let secret = secret_tool || self.secret || is_secret_rule(&id) || properties.is_some_and(Properties::is_secret);
        let kind = match () {
            () if secret => FindingKind::Secret,
            () if is_vulnerability(&id) => FindingKind::Vulnerability,
            () => FindingKind::Code,
        };
        let rule_level = || rule?.default_configuration.as_ref()?.level.as_deref();
        let severity = self
            .own
            .or_else(|| properties.and_then(|properties| properties.score().or_else(|| properties.word()).or_else(|| properties.tag())))
            .unwrap_or_else(|| from_level(self.level.as_deref().or_else(rule_level)));
        let description = rule.and_then(Rule::description).map(|text| shorten(&text, MESSAGE_MAX_CHARS));
        let fingerprint = fingerprint(&id, kind, &self);
        let message = match kind {
            FindingKind::Secret => description.unwrap_or_default(),
            _ if self.message.is_empty() => description.unwrap_or_default(),
            _ => self.message,
        };
        Finding { rule: id, severity, kind, message, file: self.file, line: self.line, fingerprint, suppressed: self.suppressed }
    }
}

/// A vulnerability is the same in one file whoever found it and however they put it; anything else is the same at the same place.
/// Without a place only the same words are the same finding.
fn fingerprint(rule: &str, kind: FindingKind, kept: &Kept) -> String {
    let file = kept.file.as_deref().unwrap_or_default();
    let identity = match (kind, &kept.file, kept.line) {
        (FindingKind::Vulnerability, Some(_), _) => format!("v\n{}\n{file}", rule.to_ascii_uppercase()),
        (_, Some(_), Some(line)) => format!("l\n{rule}\n{file}\n{line}\n{}", kept.column.unwrap_or(0)),
        _ => format!("m\n{rule}\n{file}\n{}", kept.message),
    };
    Digest::of(identity.as_bytes()).hex()[..32].to_string()
}

fn normal_path(uri: &str) -> String {
    let path = uri.strip_prefix("file://").unwrap_or(uri).replace('\\', "/");
    path.strip_prefix("./").map(str::to_string).unwrap_or(path)
}

fn is_vulnerability(id: &str) -> bool {
    let id = id.to_ascii_uppercase();
    ["CVE-", "GHSA-", "RUSTSEC-", "PYSEC-", "GO-20", "OSV-", "SNYK-"].iter().any(|prefix| id.starts_with(prefix))
}

/// Scanners that look for nothing but secrets.
fn is_secret_tool(name: &str) -> bool {
    let name: String = name.to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    [
        "gitleaks",
        "betterleaks",
        "trufflehog",
        "detectsecrets",
        "secretlint",
        "ggshield",
        "gitguardian",
        "gitsecrets",
        "noseyparker",
        "kingfisher",
        "talisman",
    ]
    .iter()
    .any(|tool| name.contains(tool))
}

/// `generic.secrets.security.detected-aws-key`, `secrets/generic`, `hardcoded-secret`: a word about secrets in general is not enough.
fn is_secret_rule(id: &str) -> bool {
    let id = id.to_ascii_lowercase();
    let words: Vec<&str> = id.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let leaked = |word: &&str| matches!(*word, "secret" | "password" | "credential" | "credentials" | "token");
    words.contains(&"secrets") || (words.iter().any(|word| matches!(*word, "hardcoded" | "leaked")) && words.iter().any(leaked))
}

impl Properties {
    fn score(&self) -> Option<Severity> {
        from_score(self.security_severity.as_ref())
    }

    fn word(&self) -> Option<Severity> {
        let words = [&self.severity, &self.issue_severity, &self.problem_severity];
        words.into_iter().flatten().find_map(|word| from_word(word.as_str()?))
    }

    /// Trivy and others name the severity among the tags.
    fn tag(&self) -> Option<Severity> {
        self.tags
            .iter()
            .flatten()
            .filter_map(|tag| match tag.as_str()? {
                "CRITICAL" => Some(Severity::Critical),
                "HIGH" => Some(Severity::High),
                "MEDIUM" => Some(Severity::Medium),
                "LOW" => Some(Severity::Low),
                _ => None,
            })
            .max()
    }

    fn is_secret(&self) -> bool {
        self.tags
            .iter()
            .flatten()
            .filter_map(|tag| tag.as_str())
            .any(|tag| matches!(tag.to_ascii_lowercase().as_str(), "secret" | "secrets"))
    }
}

struct LogSeed<'a>(&'a mut Log);

impl<'de> DeserializeSeed<'de> for LogSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for LogSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a SARIF log")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "version" => self.0.version = Some(map.next_value()?),
                "runs" => map.next_value_seed(ListSeed { of: "runs", take: RunsTake(self.0.runs.get_or_insert_default()) })?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// One element of a list at a time, so that no list is ever whole in memory.
trait Take<'de> {
    fn take<A: SeqAccess<'de>>(&mut self, list: &mut A) -> Result<bool, A::Error>;
}

struct ListSeed<T> {
    of: &'static str,
    take: T,
}

impl<'de, T: Take<'de>> DeserializeSeed<'de> for ListSeed<T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: Take<'de>> Visitor<'de> for ListSeed<T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of {}", self.of)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while self.take.take(&mut list)? {}
        Ok(())
    }
}

struct RunsTake<'a>(&'a mut Vec<Run>);

impl<'de> Take<'de> for RunsTake<'_> {
    fn take<A: SeqAccess<'de>>(&mut self, list: &mut A) -> Result<bool, A::Error> {
        let mut run = Run::default();
        let more = list.next_element_seed(RunSeed(&mut run))?.is_some();
        if more {
            self.0.push(run);
        }
        Ok(more)
    }
}

struct RunSeed<'a>(&'a mut Run);

impl<'de> DeserializeSeed<'de> for RunSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RunSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a run of a scanner")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "tool" => self.0.tool = map.next_value()?,
                "invocations" => self.0.invocations.extend(map.next_value::<Option<Vec<Invocation>>>()?.unwrap_or_default()),
                "results" => map.next_value_seed(ResultsSeed(&mut self.0.results))?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// `null` leaves the results unknown.
struct ResultsSeed<'a>(&'a mut Option<Vec<Kept>>);

impl<'de> DeserializeSeed<'de> for ResultsSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for ResultsSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of results")
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        ListSeed { of: "results", take: ResultsTake(self.0.get_or_insert_default()) }.deserialize(deserializer)
    }
}

struct ResultsTake<'a>(&'a mut Vec<Kept>);

impl<'de> Take<'de> for ResultsTake<'_> {
    fn take<A: SeqAccess<'de>>(&mut self, list: &mut A) -> Result<bool, A::Error> {
        let Some(result) = list.next_element::<RawResult>()? else { return Ok(false) };
        if let Some(kept) = Kept::new(result) {
            if self.0.len() == FINDINGS_MAX {
                return Err(serde::de::Error::custom(format!("more than {FINDINGS_MAX} results in one run")));
            }
            self.0.push(kept);
        }
        Ok(true)
    }
}
