use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value as Json;

use super::{number, text};

/// What an expression yields. Cheap to clone: collections and texts are shared.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    #[default]
    Null,
    Bool(bool),
    Number(f64),
    String(Arc<str>),
    Array(Arc<Vec<Value>>),
    Object(Arc<Object>),
}

/// A mapping in the order of insertion. Keys are looked up without regard to case, as GitHub does everywhere but in `env`.
#[derive(Debug, Clone, Default)]
pub struct Object {
    entries: Vec<(Arc<str>, Value)>,
    places: HashMap<Box<str>, usize>,
    case_sensitive: bool,
}

impl Value {
    pub fn string(text: impl Into<Arc<str>>) -> Value {
        Value::String(text.into())
    }

    pub fn array(items: Vec<Value>) -> Value {
        Value::Array(Arc::new(items))
    }

    pub fn object(object: Object) -> Value {
        Value::Object(Arc::new(object))
    }

    pub fn from_json(json: &Json) -> Value {
        match json {
            Json::Null => Value::Null,
            Json::Bool(bool) => Value::Bool(*bool),
            Json::Number(number) => Value::Number(number.as_f64().unwrap_or(f64::NAN)),
            Json::String(text) => Value::string(text.as_str()),
            Json::Array(items) => Value::array(items.iter().map(Value::from_json).collect()),
            Json::Object(map) => Value::object(map.iter().map(|(key, value)| (key.as_str(), Value::from_json(value))).collect()),
        }
    }

    /// Whole numbers become JSON integers; NaN and the infinities, which JSON lacks, become `null`.
    pub fn to_json(&self) -> Json {
        match self {
            Value::Null => Json::Null,
            Value::Bool(bool) => Json::Bool(*bool),
            Value::Number(number) => json_number(*number),
            Value::String(text) => Json::String(text.to_string()),
            Value::Array(items) => Json::Array(items.iter().map(Value::to_json).collect()),
            Value::Object(object) => Json::Object(object.iter().map(|(key, value)| (key.to_owned(), value.to_json())).collect()),
        }
    }

    /// Everything but `null`, `false`, 0, NaN and `''`.
    pub fn truthy(&self) -> bool {
        match self {
            Value::Null => false,
            Value::Bool(bool) => *bool,
            Value::Number(number) => *number != 0.0 && !number.is_nan(),
            Value::String(text) => !text.is_empty(),
            Value::Array(_) | Value::Object(_) => true,
        }
    }

    /// As it appears in text; a collection is `Array` or `Object`.
    pub fn text(&self) -> String {
        match self {
            Value::Null => String::new(),
            Value::Bool(bool) => bool.to_string(),
            Value::Number(number) => number::format(*number),
            Value::String(text) => text.to_string(),
            Value::Array(_) => "Array".to_owned(),
            Value::Object(_) => "Object".to_owned(),
        }
    }

    pub fn number(&self) -> f64 {
        match self {
            Value::Null => 0.0,
            Value::Bool(bool) => f64::from(u8::from(*bool)),
            Value::Number(number) => *number,
            Value::String(text) => number::parse(text),
            Value::Array(_) | Value::Object(_) => f64::NAN,
        }
    }

    /// The `==` of expressions: texts without regard to case, unlike kinds as numbers, collections only by identity.
    pub fn loosely_equals(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(left), Value::Bool(right)) => left == right,
            (Value::String(left), Value::String(right)) => text::equals_ignore_case(left, right),
            (Value::Array(left), Value::Array(right)) => Arc::ptr_eq(left, right),
            (Value::Object(left), Value::Object(right)) => Arc::ptr_eq(left, right),
            _ => self.number() == other.number(),
        }
    }

    /// The `<` and `>` of expressions; nothing when the two have no order.
    pub(crate) fn loosely_compares(&self, other: &Value) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
            (Value::String(left), Value::String(right)) => Some(text::compare_ignore_case(left, right)),
            (Value::Null, Value::Null) => None,
            _ => self.number().partial_cmp(&other.number()),
        }
    }

    /// The property, or null when this is no object or has none of that name.
    pub fn get(&self, key: &str) -> Value {
        match self {
            Value::Object(object) => object.get(key).cloned().unwrap_or(Value::Null),
            _ => Value::Null,
        }
    }

    pub(crate) fn is_primitive(&self) -> bool {
        !matches!(self, Value::Array(_) | Value::Object(_))
    }
}

impl Object {
    pub fn new() -> Object {
        Object::default()
    }

    /// For `env`, whose names differ by case on every system but Windows.
    pub fn case_sensitive() -> Object {
        Object { case_sensitive: true, ..Object::default() }
    }

    /// Replaces the value of a key that is there, in its old place.
    pub fn insert(&mut self, key: impl Into<Arc<str>>, value: Value) {
        let key = key.into();
        match self.places.get(self.place_of(&key).as_str()) {
            Some(place) => self.entries[*place].1 = value,
            None => {
                self.places.insert(self.place_of(&key).into(), self.entries.len());
                self.entries.push((key, value));
            }
        }
    }

    pub fn get(&self, key: &str) -> Option<&Value> {
        let place = self.places.get(self.place_of(key).as_str())?;
        Some(&self.entries[*place].1)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(key, value)| (&**key, value))
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn place_of(&self, key: &str) -> String {
        if self.case_sensitive { key.to_owned() } else { text::fold(key) }
    }
}

impl PartialEq for Object {
    fn eq(&self, other: &Object) -> bool {
        self.case_sensitive == other.case_sensitive && self.entries == other.entries
    }
}

impl<K: Into<Arc<str>>> FromIterator<(K, Value)> for Object {
    fn from_iter<I: IntoIterator<Item = (K, Value)>>(entries: I) -> Object {
        let mut object = Object::new();
        for (key, value) in entries {
            object.insert(key, value);
        }
        object
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::string(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::string(text)
    }
}

impl From<bool> for Value {
    fn from(bool: bool) -> Value {
        Value::Bool(bool)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Value {
        Value::Number(number)
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Value {
        Value::object(object)
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Value {
        Value::array(items)
    }
}

fn json_number(number: f64) -> Json {
    // Up to 2^53 every whole number is exact.
    if number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0 {
        #[expect(clippy::cast_possible_truncation, reason = "a whole number within 2^53")]
        return Json::from(number as i64);
    }
    serde_json::Number::from_f64(number).map_or(Json::Null, Json::Number)
}
