//! A matrix becomes the combinations that a job runs with, in GitHub's order and by its rules.
//!
//! The cross product comes in the order of the file with the first key slowest. `exclude` takes combinations out,
//! `include` adds values to those it matches and appends a combination of its own where it matches none.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use crate::expr::{Object, Value, equals_ignore_case};

/// More legs than any runner serves in a sensible time; GitHub's limit.
pub const LEGS_MAX: usize = 256;
/// Longest generated name of a leg; GitHub's limit.
const NAME_MAX: usize = 100;

/// The values one leg runs with.
#[derive(Debug, Clone, PartialEq)]
pub struct Combination {
    /// The `matrix` context.
    pub values: Object,
    /// What its name shows: the values of the cross product, not what a matching `include` added.
    pub shown: Vec<String>,
}

/// What is wrong with a matrix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatrixError {
    #[error("the matrix must be a mapping, not {0}")]
    NotAMapping(&'static str),
    #[error("the matrix must define at least one vector")]
    Empty,
    #[error("the matrix vector `{vector}` must be a list, not {found}")]
    NotAList { vector: String, found: &'static str },
    #[error("the matrix vector `{0}` has no values")]
    EmptyVector(String),
    #[error("an entry of the matrix's `{list}` must be a mapping with values, not {found}")]
    Entry { list: &'static str, found: &'static str },
    #[error("the matrix has no vector `{0}`, which `exclude` names")]
    UnknownExclude(String),
    #[error("the matrix makes {0} jobs, and {LEGS_MAX} are allowed")]
    TooLarge(usize),
}

/// The combinations of an evaluated matrix. None at all when `exclude` took every one out: the job then runs once, without a matrix.
///
/// # Errors
/// When the matrix breaks a rule; the first that is found.
pub fn expand(matrix: &Value) -> Result<Vec<Combination>, MatrixError> {
    let Value::Object(matrix) = matrix else { return Err(MatrixError::NotAMapping(kind(matrix))) };
    let mut vectors = Vectors::default();
    let mut includes = Vec::new();
    let mut excludes = Vec::new();
    for (key, value) in matrix.iter() {
        match key {
            _ if equals_ignore_case(key, "include") => includes = entries("include", value)?,
            _ if equals_ignore_case(key, "exclude") => excludes = entries("exclude", value)?,
            _ => vectors.add(key, value)?,
        }
    }
    if vectors.0.is_empty() && includes.is_empty() {
        return Err(MatrixError::Empty);
    }
    for exclude in &excludes {
        if let Some((unknown, _)) = exclude.iter().find(|(key, _)| !vectors.has(key)) {
            return Err(MatrixError::UnknownExclude(unknown.to_string()));
        }
    }
    combine(&vectors, &excludes, &includes)
}

/// `id (v1, v2)`, cut where it grows too long.
pub fn leg_name(job: &str, shown: &[String]) -> String {
    let name = if shown.is_empty() { job.to_string() } else { format!("{job} ({})", shown.join(", ")) };
    let units: Vec<u16> = name.encode_utf16().collect();
    if units.len() <= NAME_MAX {
        return name;
    }
    // Counted in UTF-16 as GitHub does, and never through the middle of a character.
    let cut = char::decode_utf16(units[..NAME_MAX - 3].iter().copied()).map_while(Result::ok).collect::<String>();
    cut + "..."
}

/// The `strategy` context of one leg; without a limit of its own, all legs may run at once.
pub fn strategy_context(fail_fast: bool, index: usize, total: usize, max_parallel: Option<u32>) -> Json {
    let max_parallel = max_parallel.map_or(total, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    json!({ "fail-fast": fail_fast, "job-index": index, "job-total": total, "max-parallel": max_parallel })
}

#[derive(Default)]
struct Vectors(Vec<(String, Arc<Vec<Value>>)>);

impl Vectors {
    fn add(&mut self, name: &str, values: &Value) -> Result<(), MatrixError> {
        match values {
            Value::Array(values) if values.is_empty() => Err(MatrixError::EmptyVector(name.to_string())),
            Value::Array(values) => {
                self.0.push((name.to_string(), values.clone()));
                Ok(())
            }
            other => Err(MatrixError::NotAList { vector: name.to_string(), found: kind(other) }),
        }
    }

    fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(name, _)| equals_ignore_case(name, key))
    }

    /// Nothing when the number doesn't even fit.
    fn product_size(&self) -> Option<usize> {
        self.0.iter().try_fold(usize::from(!self.0.is_empty()), |size, (_, values)| size.checked_mul(values.len()))
    }

    /// The combination with this number; the first vector changes slowest.
    fn at(&self, number: usize) -> Object {
        let mut block: usize = self.0.iter().map(|(_, values)| values.len()).product();
        let mut combination = Object::new();
        for (name, values) in &self.0 {
            block /= values.len();
            combination.insert(name.as_str(), values[number / block % values.len()].clone());
        }
        combination
    }
}

/// One entry of `include`: what it asks for of the vectors, what it brings, whether it found its like.
struct Include {
    filter: Object,
    extra: Object,
    matched: bool,
}

fn combine(vectors: &Vectors, excludes: &[Arc<Object>], includes: &[Arc<Object>]) -> Result<Vec<Combination>, MatrixError> {
    // Even before `exclude`, so that nobody can make us look at a million combinations.
    const PRODUCT_MAX: usize = 100_000;
    let size = vectors.product_size().filter(|size| *size <= PRODUCT_MAX).ok_or(MatrixError::TooLarge(PRODUCT_MAX))?;
    let mut includes: Vec<Include> = includes.iter().map(|include| split(vectors, include)).collect();
    let mut combinations = Vec::new();
    for number in 0..size {
        let mut values = vectors.at(number);
        if excludes.iter().any(|exclude| matches(exclude, &values)) {
            continue;
        }
        let shown = leaves(&values);
        let mut extra = Object::new();
        for include in includes.iter_mut().filter(|include| matches(&include.filter, &values)) {
            include.matched = true;
            include.extra.iter().for_each(|(key, value)| extra.insert(key, value.clone()));
        }
        extra.iter().for_each(|(key, value)| values.insert(key, value.clone()));
        combinations.push(Combination { values, shown });
    }
    for include in includes.into_iter().filter(|include| !include.matched) {
        let mut values = include.filter;
        include.extra.iter().for_each(|(key, value)| values.insert(key, value.clone()));
        combinations.push(Combination { shown: leaves(&values), values });
    }
    if combinations.len() > LEGS_MAX { Err(MatrixError::TooLarge(combinations.len())) } else { Ok(combinations) }
}

fn split(vectors: &Vectors, include: &Object) -> Include {
    let mut parts = Include { filter: Object::new(), extra: Object::new(), matched: false };
    for (key, value) in include.iter() {
        let part = if vectors.has(key) { &mut parts.filter } else { &mut parts.extra };
        part.insert(key, value.clone());
    }
    parts
}

/// Every leaf that the filter names equals, as `==` of expressions has it; what it doesn't name may be anything.
fn matches(filter: &Object, values: &Object) -> bool {
    filter.iter().all(|(key, wanted)| leaf_matches(wanted, &values.get(key).cloned().unwrap_or(Value::Null)))
}

fn leaf_matches(wanted: &Value, value: &Value) -> bool {
    match wanted {
        Value::Object(wanted) => wanted.iter().all(|(key, wanted)| leaf_matches(wanted, &value.get(key))),
        Value::Array(wanted) => wanted.iter().enumerate().all(|(place, wanted)| leaf_matches(wanted, &item(value, place))),
        wanted => value.loosely_equals(wanted),
    }
}

fn item(value: &Value, place: usize) -> Value {
    match value {
        Value::Array(items) => items.get(place).cloned().unwrap_or(Value::Null),
        _ => Value::Null,
    }
}

/// The texts in a combination, at whatever depth, in order; what is empty isn't shown.
fn leaves(values: &Object) -> Vec<String> {
    let mut shown = Vec::new();
    values.iter().for_each(|(_, value)| collect_leaves(value, &mut shown));
    shown
}

fn collect_leaves(value: &Value, shown: &mut Vec<String>) {
    match value {
        Value::Object(object) => object.iter().for_each(|(_, value)| collect_leaves(value, shown)),
        Value::Array(items) => items.iter().for_each(|item| collect_leaves(item, shown)),
        leaf => shown.extend(Some(leaf.text()).filter(|text| !text.is_empty())),
    }
}

fn entries(list: &'static str, value: &Value) -> Result<Vec<Arc<Object>>, MatrixError> {
    let Value::Array(items) = value else { return Err(MatrixError::NotAList { vector: list.to_string(), found: kind(value) }) };
    let entry = |item: &Value| match item {
        Value::Object(object) if !object.is_empty() => Ok(object.clone()),
        other => Err(MatrixError::Entry { list, found: kind(other) }),
    };
    items.iter().map(entry).collect()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(object) if object.is_empty() => "an empty one",
        Value::Object(_) => "a mapping",
    }
}
