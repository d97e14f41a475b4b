//! JSON as a stream: only what a reader asks for by its path is ever in memory, one record at a time.

use std::fmt;
use std::io::{BufRead, BufReader, Read};

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::claim::{Problem, shorten};
use super::source::{CHUNK_BYTES, Guarded};

/// A document up to this size is read in one piece, which is several times faster than byte by byte.
const WHOLE_MAX_BYTES: u64 = 32 << 20;
/// What is kept of one record; the longest of real ones, an advisory with all its references, have some tens of KiB.
const RECORD_MAX_BYTES: usize = 8 << 20;
/// What a value costs beside its text.
const VALUE_BYTES: usize = 64;
const TEXT_MAX_CHARS: usize = 2_000;
/// What stands for the elements of a list in a path.
const ELEMENT: &str = "[]";

/// What stands at a path that was asked for.
#[derive(Debug)]
pub(crate) enum Seen {
    /// A longer path was asked for too, and the object or list it leads through begins.
    Map,
    List,
    Close,
    Value(Value),
}

/// Takes what stands at a path that was asked for: the index of the path, the thing, its place.
pub(crate) type Take<'a> = dyn FnMut(usize, Seen, &[String]) -> Result<(), Problem> + 'a;

/// Hands what stands at `paths` to `take`: in `files/*/lines` any key may stand for the star, in `results/[]` there is a list.
pub(crate) fn walk(input: &mut impl BufRead, what: &str, paths: &[&str], take: &mut Take<'_>) -> Result<(), Problem> {
    let paths = paths.iter().map(|path| if path.is_empty() { Vec::new() } else { path.split('/').collect() }).collect();
    let mut walker = Walker { paths, place: Vec::new(), take, problem: None };
    let read = document(input, what, NodeSeed(&mut walker));
    read.map_err(|problem| match walker.problem.take() {
        Some(own) => Problem { line: own.line.or(problem.line), ..own },
        None => problem,
    })
}

/// A document of one value, read by `seed`: nothing in it can fill the memory, and nothing may follow it.
pub(crate) fn document<S: for<'de> DeserializeSeed<'de, Value = ()>>(input: &mut impl BufRead, what: &str, seed: S) -> Result<(), Problem> {
    let mut start = Vec::new();
    input.by_ref().take(WHOLE_MAX_BYTES).read_to_end(&mut start).map_err(|_| Problem::new("can't be read on"))?;
    let read = if (start.len() as u64) < WHOLE_MAX_BYTES {
        whole(serde_json::de::SliceRead::new(&start), seed)
    } else {
        let all = BufReader::with_capacity(CHUNK_BYTES, Guarded::new(start.as_slice().chain(input)));
        whole(serde_json::de::IoRead::new(all), seed)
    };
    read.map_err(|error| problem(&error, what))
}

fn whole<'de>(input: impl serde_json::de::Read<'de>, seed: impl DeserializeSeed<'de, Value = ()>) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::new(input);
    seed.deserialize(&mut deserializer)?;
    deserializer.end()
}

/// The text at a place in a record, shortened; numbers are texts too.
pub(crate) fn text(value: &Value, pointer: &str, max: usize) -> Option<String> {
    match value.pointer(pointer)? {
        Value::String(text) if !text.is_empty() => Some(shorten(text, max)),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

pub(crate) fn number(value: &Value, pointer: &str) -> Option<u64> {
    let value = value.pointer(pointer)?;
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn problem(error: &serde_json::Error, what: &str) -> Problem {
    let text = error.to_string();
    let text = shorten(text.split(" at line ").next().unwrap_or_default(), 300);
    let reason = match error.classify() {
        serde_json::error::Category::Eof => "ends in the middle".to_string(),
        serde_json::error::Category::Syntax => format!("is not JSON: {text}"),
        serde_json::error::Category::Data => format!("is not {what}: {}", unquoted(&text)),
        serde_json::error::Category::Io => format!("can't be read on: {text}"),
    };
    Problem { reason, line: (error.line() > 0).then_some(error.line() as u64) }
}

/// A text that stands where something else belongs may be a secret.
fn unquoted(error: &str) -> String {
    match (error.strip_prefix("invalid type: string "), error.rsplit_once(", expected ")) {
        (Some(_), Some((_, expected))) => format!("invalid type: a text, expected {expected}"),
        _ => error.to_string(),
    }
}

struct Walker<'a> {
    paths: Vec<Vec<&'a str>>,
    place: Vec<String>,
    take: &'a mut Take<'a>,
    problem: Option<Problem>,
}

impl Walker<'_> {
    fn matches(&self, path: &[&str]) -> bool {
        path.len() >= self.place.len()
            && path.iter().zip(&self.place).all(|(asked, key)| *asked == key || (*asked == "*" && key != ELEMENT))
    }

    /// The index of the path that ends here, and whether one leads further.
    fn asked(&self) -> (Option<usize>, bool) {
        let here = |path: &Vec<&str>| path.len() == self.place.len() && self.matches(path);
        let further = self.paths.iter().any(|path| path.len() > self.place.len() && self.matches(path));
        (self.paths.iter().position(here), further)
    }

    /// An object where a list belongs would read as an empty list.
    fn expect<E: serde::de::Error>(&self, list: bool) -> Result<(), E> {
        let next = |path: &Vec<&str>| path.get(self.place.len()).is_some_and(|key| (*key == ELEMENT) == list);
        if self.paths.iter().any(|path| self.matches(path) && next(path)) {
            return Ok(());
        }
        let found = if list { "a list where an object belongs" } else { "an object where a list belongs" };
        let place = if self.place.is_empty() { "it".to_string() } else { format!("its `{}`", self.place.join("/")) };
        Err(E::custom(format!("{place} is {found}")))
    }

    fn give<E: serde::de::Error>(&mut self, index: Option<usize>, seen: Seen) -> Result<(), E> {
        let Some(index) = index else { return Ok(()) };
        (self.take)(index, seen, &self.place).map_err(|problem| {
            let error = E::custom(&problem.reason);
            self.problem = Some(problem);
            error
        })
    }
}

struct NodeSeed<'w, 'a>(&'w mut Walker<'a>);

impl<'de> DeserializeSeed<'de> for NodeSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.0.asked() {
            (index, true) => deserializer.deserialize_any(Through { walker: self.0, index }),
            (Some(index), false) => {
                let mut left = RECORD_MAX_BYTES;
                let value = RecordSeed(&mut left).deserialize(deserializer)?;
                if self.0.place.last().is_some_and(|key| key == ELEMENT) && !value.is_object() {
                    let list = &self.0.place[..self.0.place.len() - 1].join("/");
                    return Err(D::Error::custom(format!("its `{list}` holds something that is no object")));
                }
                self.0.give(Some(index), Seen::Value(value))
            }
            (None, false) => deserializer.deserialize_ignored_any(IgnoredAny).map(|_| ()),
        }
    }
}

/// Leads through an object or a list to what was asked for.
struct Through<'w, 'a> {
    walker: &'w mut Walker<'a>,
    index: Option<usize>,
}

impl<'de> Visitor<'de> for Through<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object or a list as its `{}`", self.walker.place.join("/"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.walker.expect(false)?;
        self.walker.give(self.index, Seen::Map)?;
        while let Some(key) = map.next_key::<String>()? {
            self.walker.place.push(key);
            map.next_value_seed(NodeSeed(self.walker))?;
            self.walker.place.pop();
        }
        self.walker.give(self.index, Seen::Close)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.walker.expect(true)?;
        self.walker.give(self.index, Seen::List)?;
        self.walker.place.push(ELEMENT.to_string());
        while list.next_element_seed(NodeSeed(self.walker))?.is_some() {}
        self.walker.place.pop();
        self.walker.give(self.index, Seen::Close)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.walker.give(self.index, Seen::Value(Value::Null))
    }
}

/// A value with its texts shortened, of a bounded size.
struct RecordSeed<'a>(&'a mut usize);

impl<'de> DeserializeSeed<'de> for RecordSeed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(mut self, deserializer: D) -> Result<Value, D::Error> {
        self.pay(VALUE_BYTES)?;
        deserializer.deserialize_any(self)
    }
}

impl RecordSeed<'_> {
    fn pay<E: serde::de::Error>(&mut self, bytes: usize) -> Result<(), E> {
        *self.0 = self
            .0
            .checked_sub(bytes)
            .ok_or_else(|| E::custom(format!("one record of it is larger than {} MiB", RECORD_MAX_BYTES >> 20)))?;
        Ok(())
    }
}

impl<'de> Visitor<'de> for RecordSeed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, it: bool) -> Result<Value, E> {
        Ok(Value::Bool(it))
    }

    fn visit_i64<E>(self, it: i64) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_u64<E>(self, it: u64) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_f64<E>(self, it: f64) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_str<E: serde::de::Error>(mut self, it: &str) -> Result<Value, E> {
        let end = it.char_indices().nth(TEXT_MAX_CHARS).map_or(it.len(), |(place, _)| place);
        self.pay(end)?;
        Ok(Value::String(it[..end].to_string()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut res = Vec::new();
        while let Some(element) = list.next_element_seed(RecordSeed(self.0))? {
            res.push(element);
        }
        Ok(Value::Array(res))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value, A::Error> {
        let mut res = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            self.pay(key.len())?;
            let value = map.next_value_seed(RecordSeed(self.0))?;
            res.insert(key, value);
        }
        Ok(Value::Object(res))
    }
}
