//! Problem matchers: patterns by which lines of a log become remarks about the code (`::add-matcher::FILE`).
//!
//! As in GitHub's runner (`IssueMatcher.cs`, `OutputManager.cs`): one pattern a line, several patterns for lines that follow each
//! other, the last of them perhaps in a loop; what was added last is asked first, and a match makes all others begin anew.

mod ecmascript;

use std::sync::Arc;

use fancy_regex::{Captures, Regex, RegexBuilder};
use serde_json::Value as Json;

use super::command::{Annotation, Level};

/// How far a pattern may go back over one line before it is given up; the runner gives it three seconds.
const BACKTRACKS_MAX: usize = 1_000_000;

/// One matcher of a file.
#[derive(Debug)]
pub struct ProblemMatcher {
    pub owner: String,
    /// Where a pattern finds none.
    severity: String,
    from_path: String,
    patterns: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    regex: Regex,
    /// The numbers of the groups as .NET counts them: those with a name come last.
    order: Vec<usize>,
    /// For each of [`PROPERTIES`], the group it is read from.
    groups: [Option<usize>; 7],
    repeats: bool,
}

const PROPERTIES: [&str; 7] = ["file", "line", "column", "severity", "code", "message", "fromPath"];
const FILE: usize = 0;
const LINE: usize = 1;
const COLUMN: usize = 2;
const SEVERITY: usize = 3;
const CODE: usize = 4;
const MESSAGE: usize = 5;
const FROM_PATH: usize = 6;

/// The texts found so far, by property; an empty one was found too.
type Found = [Option<String>; 7];

/// The matchers of a file, all of them or a sentence.
pub fn parse(text: &str) -> Result<Vec<Arc<ProblemMatcher>>, String> {
    let json: Json = serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|error| format!("it is not JSON: {error}"))?;
    let given = match field(&json, "problemMatcher") {
        Json::Null => return Ok(Vec::new()),
        Json::Array(given) => given,
        _ => return Err("`problemMatcher` is not a list".to_string()),
    };
    let mut matchers: Vec<Arc<ProblemMatcher>> = Vec::new();
    for json in given {
        let matcher = ProblemMatcher::parse(json)?;
        if matchers.iter().any(|known| known.is_of(&matcher.owner)) {
            return Err(format!("two matchers have the owner `{}`", matcher.owner));
        }
        matchers.push(Arc::new(matcher));
    }
    Ok(matchers)
}

impl ProblemMatcher {
    fn parse(json: &Json) -> Result<ProblemMatcher, String> {
        let owner = text(json, "owner")?;
        if owner.is_empty() {
            return Err("a matcher has no `owner`".to_string());
        }
        let in_matcher = |why: String| format!("in the matcher `{owner}`: {why}");
        let severity = text(json, "severity").map_err(in_matcher)?;
        if !severity.is_empty() && level(&severity).is_none() {
            return Err(in_matcher(format!("the severity `{severity}` is neither error, warning nor notice")));
        }
        let from_path = text(json, "fromPath").map_err(in_matcher)?;
        let Json::Array(given) = field(json, "pattern") else { return Err(in_matcher("`pattern` is not a list".to_string())) };
        let patterns: Result<Vec<Pattern>, String> = given.iter().map(Pattern::parse).collect();
        let patterns = patterns.map_err(in_matcher)?;
        check(&patterns).map_err(in_matcher)?;
        Ok(ProblemMatcher { owner, severity, from_path, patterns })
    }

    fn is_of(&self, owner: &str) -> bool {
        self.owner.to_lowercase() == owner.to_lowercase()
    }
}

fn check(patterns: &[Pattern]) -> Result<(), String> {
    if patterns.is_empty() {
        return Err("there is no pattern".to_string());
    }
    let last = patterns.len() - 1;
    let mut given = [false; 7];
    for (index, pattern) in patterns.iter().enumerate() {
        if pattern.repeats && (index == 0 || index != last) {
            return Err("only the last of several patterns may `loop`".to_string());
        }
        if pattern.repeats && pattern.groups[MESSAGE].is_none() {
            return Err("a pattern that loops has to have the `message`".to_string());
        }
        for (property, group) in pattern.groups.iter().enumerate() {
            let Some(group) = group else { continue };
            if std::mem::replace(&mut given[property], true) {
                return Err(format!("`{}` is given twice", PROPERTIES[property]));
            }
            if *group >= pattern.order.len() {
                return Err(format!("`{}` is group {group}, and the pattern has no such group", PROPERTIES[property]));
            }
        }
    }
    if given[MESSAGE] { Ok(()) } else { Err("no pattern has a `message`".to_string()) }
}

impl Pattern {
    fn parse(json: &Json) -> Result<Pattern, String> {
        let source = text(json, "regexp")?;
        let regex = RegexBuilder::new(&ecmascript::translate(&source)).backtrack_limit(BACKTRACKS_MAX).build();
        let regex = regex.map_err(|error| format!("the pattern `{source}` can't be read: {error}"))?;
        let mut groups = [None; 7];
        for (property, group) in PROPERTIES.iter().zip(&mut groups) {
            *group = number(json, property)?;
        }
        let named: Vec<bool> = regex.capture_names().map(|name| name.is_some()).collect();
        let with = |wanted: bool| named.iter().enumerate().filter(move |(_, named)| **named == wanted).map(|(index, _)| index);
        let order = with(false).chain(with(true)).collect();
        let repeats = match field(json, "loop") {
            Json::Null => false,
            Json::Bool(repeats) => *repeats,
            _ => return Err("`loop` is neither true nor false".to_string()),
        };
        Ok(Pattern { regex, order, groups, repeats })
    }

    /// What is known already stays; the rest is read from the match.
    fn read(&self, known: Option<&Found>, captures: &Captures<'_, str>) -> Found {
        std::array::from_fn(|property| {
            let before = known.and_then(|known| known[property].clone());
            let group = self.groups[property].map(|group| captures.get(self.order[group]));
            before.or_else(|| group.map(|group| group.map(|group| group.as_str().to_string()).unwrap_or_default()))
        })
    }
}

/// What a matcher found in a line, or in several that ended with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `file` is as it was found, below the directory of `fromPath` where there is one; whether there is such a file is to be seen.
    pub annotation: Annotation,
    /// The line without its colours, as it is shown.
    pub line: String,
}

/// What reading a line came to.
#[derive(Debug, Default)]
pub struct Reading {
    pub problem: Option<Problem>,
    /// Owners whose patterns took too long; they are asked no more.
    pub given_up: Vec<String>,
}

/// The matchers of one step's output, and how far each has come.
#[derive(Debug, Default)]
pub struct Matchers {
    active: Vec<Active>,
}

#[derive(Debug)]
struct Active {
    matcher: Arc<ProblemMatcher>,
    /// For each pattern but the last, what it found in the line before.
    found: Vec<Option<Found>>,
}

impl Matchers {
    pub fn new(matchers: &[Arc<ProblemMatcher>]) -> Matchers {
        Matchers { active: matchers.iter().map(Active::new).collect() }
    }

    pub fn is_empty(&self) -> bool {
        self.active.is_empty()
    }

    /// Each comes first, so the last of a file is asked first; one of the same owner is replaced.
    pub fn add(&mut self, matchers: &[Arc<ProblemMatcher>]) {
        for matcher in matchers {
            self.remove(&matcher.owner);
            self.active.insert(0, Active::new(matcher));
        }
    }

    pub fn remove(&mut self, owner: &str) {
        self.active.retain(|active| !active.matcher.is_of(owner));
    }

    /// A line without its newline.
    pub fn read(&mut self, line: &str) -> Reading {
        let mut reading = Reading::default();
        let line = without_colours(line);
        for index in 0..self.active.len() {
            match self.active[index].advance(&line) {
                Err(_) => reading.given_up.push(self.active[index].matcher.owner.clone()),
                Ok(None) => {}
                Ok(Some(found)) => {
                    let others = self.active.iter_mut().enumerate().filter(|(other, _)| *other != index);
                    others.for_each(|(_, other)| other.reset());
                    if let Some(annotation) = annotation(found) {
                        reading.problem = Some(Problem { annotation, line });
                        break;
                    }
                }
            }
        }
        reading.given_up.iter().for_each(|owner| self.remove(owner));
        reading
    }
}

/// The list as later steps begin with it, after one step added some and removed some.
pub fn added(known: &[Arc<ProblemMatcher>], added: &[Arc<ProblemMatcher>]) -> Vec<Arc<ProblemMatcher>> {
    let others = known.iter().filter(|known| !added.iter().any(|added| added.is_of(&known.owner)));
    added.iter().chain(others).cloned().collect()
}

pub fn removed(known: &[Arc<ProblemMatcher>], owner: &str) -> Vec<Arc<ProblemMatcher>> {
    known.iter().filter(|known| !known.is_of(owner)).cloned().collect()
}

impl Active {
    fn new(matcher: &Arc<ProblemMatcher>) -> Active {
        Active { matcher: matcher.clone(), found: vec![None; matcher.patterns.len() - 1] }
    }

    fn reset(&mut self) {
        self.found.fill(None);
    }

    /// The last pattern first, so that no line counts for two patterns in a row.
    fn advance(&mut self, line: &str) -> Result<Option<Found>, fancy_regex::Error> {
        let matcher = self.matcher.clone();
        let last = matcher.patterns.len() - 1;
        for (index, pattern) in matcher.patterns.iter().enumerate().rev() {
            let before = if index == 0 { None } else { self.found[index - 1].clone() };
            if index > 0 && before.is_none() {
                continue;
            }
            let found = pattern.regex.captures(line)?.map(|captures| pattern.read(before.as_ref(), &captures));
            if index < last {
                self.found[index] = found;
                continue;
            }
            match found {
                Some(found) => {
                    self.reset();
                    if pattern.repeats {
                        self.found[last - 1] = before;
                    }
                    return Ok(Some(matcher.with_defaults(found)));
                }
                None if last > 0 => self.found[last - 1] = None,
                None => {}
            }
        }
        Ok(None)
    }
}

impl ProblemMatcher {
    fn with_defaults(&self, mut found: Found) -> Found {
        for (property, default) in [(SEVERITY, &self.severity), (FROM_PATH, &self.from_path)] {
            if !default.is_empty() && found[property].as_ref().is_none_or(String::is_empty) {
                found[property] = Some(default.clone());
            }
        }
        found
    }
}

/// Nothing when there is no message, or a severity nobody knows.
fn annotation(found: Found) -> Option<Annotation> {
    let text = |property: usize| found[property].as_deref().filter(|text| !text.trim().is_empty());
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    Some(Annotation {
        level: level(found[SEVERITY].as_deref().filter(|severity| !severity.is_empty()).unwrap_or("error"))?,
        message: text(MESSAGE)?.to_string(),
        title: None,
        code: text(CODE).map(|code| code.trim().to_string()),
        file: text(FILE).map(|file| below_project(file, text(FROM_PATH))),
        line: text(LINE).and_then(digits),
        end_line: None,
        column: text(COLUMN).and_then(digits),
        end_column: None,
    })
}

/// `src/a.cs` found beside `app/app.proj` is `app/src/a.cs`.
fn below_project(file: &str, from_path: Option<&str>) -> String {
    let directory = from_path.and_then(|path| path.rsplit_once('/')).map_or("", |(directory, _)| directory);
    if file.starts_with('/') || directory.is_empty() { file.to_string() } else { format!("{directory}/{file}") }
}

fn level(word: &str) -> Option<Level> {
    [Level::Error, Level::Warning, Level::Notice].into_iter().find(|level| level.word().eq_ignore_ascii_case(word))
}

/// The runner means to take colours out too, but looks for another byte than terminals use.
fn without_colours(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let rest = part.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == ';');
        plain.push_str(rest.strip_prefix('m').unwrap_or(rest));
    }
    plain
}

/// Keys are found whatever their case, as the runner's JSON reader does.
fn field<'j>(json: &'j Json, name: &str) -> &'j Json {
    let found = json.as_object().and_then(|object| {
        object.get(name).or_else(|| object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
    });
    found.unwrap_or(&Json::Null)
}

fn text(json: &Json, name: &str) -> Result<String, String> {
    match field(json, name) {
        Json::Null => Ok(String::new()),
        Json::String(text) => Ok(text.clone()),
        _ => Err(format!("`{name}` is not a text")),
    }
}

fn number(json: &Json, name: &str) -> Result<Option<usize>, String> {
    let wrong = || format!("`{name}` is not the number of a group");
    let whole = match field(json, name) {
        Json::Null => return Ok(None),
        Json::Number(number) => number.as_u64(),
        Json::String(text) => text.parse().ok(),
        _ => None,
    };
    whole.and_then(|number| usize::try_from(number).ok()).map(Some).ok_or_else(wrong)
}

#[cfg(test)]
mod tests;
