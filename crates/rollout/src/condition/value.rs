use std::collections::BTreeMap;

/// What a metric answers, and what comes of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Value {
    /// Nobody has answered anything.
    #[default]
    Nil,
    Bool(bool),
    /// Written as one in a condition; what is measured is a [`Value::Float`].
    Int(i64),
    Float(f64),
    Text(String),
    /// What one query of Prometheus finds, all of them numbers.
    Vector(Vec<f64>),
    List(Vec<Value>),
    Map(BTreeMap<String, Value>),
}

impl Value {
    /// What a server answered in JSON, where every number is a floating one.
    pub fn of_json(json: &serde_json::Value) -> Value {
        match json {
            serde_json::Value::Null => Value::Nil,
            serde_json::Value::Bool(bool) => Value::Bool(*bool),
            serde_json::Value::Number(number) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(text) => Value::Text(text.clone()),
            serde_json::Value::Array(items) => Value::List(items.iter().map(Value::of_json).collect()),
            serde_json::Value::Object(entries) => {
                Value::Map(entries.iter().map(|(key, value)| (key.clone(), Value::of_json(value))).collect())
            }
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::Nil => "nothing",
            Value::Bool(_) => "true or false",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Text(_) => "a text",
            Value::Vector(_) | Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Value::Int(int) => Some(*int as f64),
            Value::Float(float) => Some(*float),
            _ => None,
        }
    }

    pub(super) fn items(&self) -> Option<Vec<Value>> {
        match self {
            Value::List(items) => Some(items.clone()),
            Value::Vector(numbers) => Some(numbers.iter().map(|number| Value::Float(*number)).collect()),
            _ => None,
        }
    }

    /// `==` of a condition: numbers of both kinds alike, lists item by item, maps to the type.
    pub(super) fn equals(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Int(left), Value::Int(right)) => left == right,
            (Value::Map(left), Value::Map(right)) => left == right,
            (Value::Text(left), Value::Text(right)) => left == right,
            (Value::Bool(left), Value::Bool(right)) => left == right,
            (Value::Nil, Value::Nil) => true,
            _ => match (self.number(), other.number()) {
                (Some(left), Some(right)) => left == right,
                (None, None) => match (self.items(), other.items()) {
                    (Some(left), Some(right)) => {
                        left.len() == right.len() && left.iter().zip(&right).all(|(left, right)| left.equals(right))
                    }
                    _ => false,
                },
                _ => false,
            },
        }
    }

    /// As Go prints it.
    pub(super) fn text(&self) -> String {
        match self {
            Value::Nil => "<nil>".to_string(),
            Value::Bool(bool) => bool.to_string(),
            Value::Int(int) => int.to_string(),
            Value::Float(float) => float_text(*float),
            Value::Text(text) => text.clone(),
            Value::Vector(_) | Value::List(_) => {
                let items: Vec<String> = self.items().unwrap_or_default().iter().map(Value::text).collect();
                format!("[{}]", items.join(" "))
            }
            Value::Map(entries) => {
                let entries: Vec<String> = entries.iter().map(|(key, value)| format!("{key}:{}", value.text())).collect();
                format!("map[{}]", entries.join(" "))
            }
        }
    }
}

/// `%v` of Go: the shortest digits, with an exponent where it is below -4 or not below 21.
fn float_text(float: f64) -> String {
    if float.is_nan() {
        return "NaN".to_string();
    }
    if float.is_infinite() {
        return if float > 0.0 { "+Inf" } else { "-Inf" }.to_string();
    }
    let scientific = format!("{float:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>().unwrap_or(0) {
        -4..21 => float.to_string(),
        exponent => format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs()),
    }
}
