//! SARIF 2.1.0 of any tool, read as a stream: one result is in memory at a time, and what is kept of it is small.

use std::collections::HashMap;
use std::fmt;
use std::io::BufRead;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::claim::{ClaimKind, Finding, FindingKind, Parsed, Problem, Severity, shorten};
use super::finding::{Draft, FINDINGS_MAX, MESSAGE_MAX_CHARS, NAME_MAX_CHARS, is_secret_rule, is_secret_tool};
use super::json;
use super::severity::{from_level, from_score, from_word};

mod raw;

use raw::{Component, Invocation, Properties, RawResult, Rule, Tool};

pub(crate) fn parse(input: &mut impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut log = Log::default();
    json::document(input, "SARIF", LogSeed(&mut log))?;
    match log.version.as_deref() {
        Some("2.1.0") => {}
        Some(other) => return Err(Problem::new(format!("is SARIF {}; only 2.1.0 is read", shorten(other, 20)))),
        None => return Err(Problem::new("has no `version`")),
    }
    let runs = log.runs.ok_or_else(|| Problem::new("has no `runs`"))?;
    runs.into_iter().enumerate().map(|(index, run)| run.finish(index + 1)).collect()
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
    cwe: Vec<u32>,
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
            cwe: result.properties.as_ref().map(Properties::cwe).unwrap_or_default(),
            message: result
                .message
                .and_then(|message| message.text.or(message.markdown))
                .map(|text| shorten(&text, MESSAGE_MAX_CHARS))
                .unwrap_or_default(),
            file: location.artifact_location.and_then(|artifact| artifact.uri).map(|uri| shorten(&uri, NAME_MAX_CHARS)),
            line: region.start_line,
            column: region.start_column,
            suppressed,
        })
    }

    fn finish(self, rules: &Rules<'_>, secret_tool: bool) -> Finding {
        let rule = rules.of(&self);
        let id = self.rule_id.or_else(|| rule?.id.clone()).unwrap_or_default();
        let properties = rule.and_then(|rule| rule.properties.as_ref());
        let secret = secret_tool || self.secret || is_secret_rule(&id) || properties.is_some_and(Properties::is_secret);
        let rule_level = || rule?.default_configuration.as_ref()?.level.as_deref();
        let severity = self
            .own
            .or_else(|| properties.and_then(|properties| properties.score().or_else(|| properties.word()).or_else(|| properties.tag())))
            .unwrap_or_else(|| from_level(self.level.as_deref().or_else(rule_level)));
        let draft = Draft {
            rule: id,
            rule_name: rule.and_then(|rule| rule.name.clone()),
            kind: secret.then_some(FindingKind::Secret),
            severity: Some(severity),
            message: self.message,
            title: rule.and_then(Rule::description).unwrap_or_default(),
            file: self.file,
            line: self.line,
            column: self.column,
            suppressed: self.suppressed,
            cwe: properties.map(Properties::cwe).into_iter().flatten().chain(self.cwe).collect(),
            ..Draft::default()
        };
        draft.finish()
    }
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

    /// `external/cwe/cwe-079` of CodeQL and Bandit, `CWE-79: …` of Semgrep.
    fn cwe(&self) -> Vec<u32> {
        let number = |tag: &str| {
            let tag = tag.to_ascii_lowercase();
            let digits: String = tag.rsplit('/').next()?.strip_prefix("cwe-")?.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        };
        self.tags.iter().flatten().filter_map(|tag| number(tag.as_str()?)).collect()
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
