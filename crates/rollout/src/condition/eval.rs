//! The answer of a condition whose types fit.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::builtin;
use super::pattern::Pattern;
use super::syntax::{Binary, Kind, Node, Pointer, Unary};
use super::{Value, Wrong};

/// A condition over a thousand series takes ten thousand; this is a fraction of a second.
const STEPS_MAX: usize = 1_000_000;
/// What a pattern costs that is only known now: so many are the same fraction of a second.
const PATTERN_STEPS: usize = 20_000;
/// A text costs so much per byte that is held against a pattern: there are slow ones.
const MATCH_STEPS: usize = 4;
/// Values that are nested deeper could not be walked; what a server answers in JSON is at most half as deep.
const DEPTH_MAX: usize = 256;

pub(super) fn eval(root: &Node, result: &Value) -> Result<Value, Wrong> {
    Evaluator { result, names: Vec::new(), items: Vec::new(), patterns: BTreeMap::new(), steps_left: STEPS_MAX }.node(root)
}

pub(super) struct Evaluator<'a> {
    result: &'a Value,
    names: Vec<(String, Value)>,
    items: Vec<Item>,
    /// Those that were made of what is only known now.
    patterns: BTreeMap<String, Rc<Pattern>>,
    steps_left: usize,
}

struct Item {
    item: Value,
    index: usize,
    accumulator: Value,
}

impl Evaluator<'_> {
    /// What is made costs as much as it is large.
    pub(super) fn spend(&mut self, steps: usize, at: usize) -> Result<(), Wrong> {
        self.steps_left =
            self.steps_left.checked_sub(steps).ok_or_else(|| Wrong::new(at, format!("the condition takes more than {STEPS_MAX} steps")))?;
        Ok(())
    }

    fn node(&mut self, node: &Node) -> Result<Value, Wrong> {
        self.spend(1, node.at)?;
        match &node.kind {
            Kind::Literal(value) => {
                self.spend(size(value) / 4, node.at)?;
                Ok(value.clone())
            }
            Kind::Name(name) => self.copied(self.name(name), node.at),
            Kind::Pointer(pointer) => self.copied(self.pointer(*pointer), node.at),
            Kind::List(items) => {
                let items = items.iter().map(|item| self.node(item)).collect::<Result<_, _>>()?;
                self.made(Value::List(items), node.at)
            }
            Kind::Map(entries) => {
                let mut map = BTreeMap::new();
                for (key, value) in entries {
                    map.insert(self.node(key)?.text(), self.node(value)?);
                }
                self.made(Value::Map(map), node.at)
            }
            Kind::Unary(operator, of) => self.unary(*operator, of, node.at),
            Kind::Binary(operator, left, right) => self.binary(*operator, left, right, node.at),
            Kind::Matches(of, pattern) => {
                let of = self.node(of)?;
                self.matches(&of, pattern, node.at)
            }
            Kind::Order(first, others) => {
                let mut before = self.node(first)?;
                for (at, operator, other) in others {
                    let other = self.node(other)?;
                    if compute(*operator, &before, &other, *at)? == Value::Bool(false) {
                        return Ok(Value::Bool(false));
                    }
                    before = other;
                }
                Ok(Value::Bool(true))
            }
            Kind::Member { .. } => self.member(node).map(Option::unwrap_or_default),
            Kind::Slice { of, from, to } => self.slice(of, from.as_deref(), to.as_deref()),
            Kind::Chain(of) => self.member(of).map(Option::unwrap_or_default),
            Kind::Call { name, args } => {
                let values = args.iter().map(|arg| self.node(arg)).collect::<Result<Vec<_>, _>>()?;
                let value = self.call(name, values, node.at)?;
                self.made(value, node.at)
            }
            Kind::Over { name, list, each, more } => {
                self.over(name, list, each.as_deref(), more, node.at).and_then(|value| self.made(value, node.at))
            }
            Kind::Conditional(condition, then, otherwise) => match (self.node(condition)?, then) {
                (Value::Bool(true), Some(then)) => self.node(then),
                (Value::Bool(true), None) => Ok(Value::Bool(true)),
                (Value::Bool(false), _) => self.node(otherwise),
                (other, _) => Err(Wrong::new(condition.at, format!("true or false is expected, this is {}", other.kind()))),
            },
            Kind::Let { name, value, body } => {
                let value = self.node(value)?;
                self.names.push((name.clone(), value));
                let body = self.node(body);
                self.names.pop();
                body
            }
            Kind::Sequence(nodes) => {
                let mut last = Value::Nil;
                for node in nodes {
                    last = self.node(node)?;
                }
                Ok(last)
            }
        }
    }

    /// A list that is named again and again would grow for nothing.
    fn copied(&mut self, value: Value, at: usize) -> Result<Value, Wrong> {
        self.spend(size(&value) / 4, at)?;
        Ok(value)
    }

    /// What something was made into; nothing that is made may be so deep that it can't be walked.
    fn made(&mut self, value: Value, at: usize) -> Result<Value, Wrong> {
        self.spend(size(&value) / 4, at)?;
        if is_deeper(&value, DEPTH_MAX) {
            return Err(Wrong::new(at, format!("this is nested more than {DEPTH_MAX} deep")));
        }
        Ok(value)
    }

    fn matches(&mut self, of: &Value, pattern: &Pattern, at: usize) -> Result<Value, Wrong> {
        let Value::Text(text) = of else { return Err(Wrong::new(at, format!("a text is expected here, this is {}", of.kind()))) };
        self.spend(text.len().saturating_mul(MATCH_STEPS), at)?;
        Ok(Value::Bool(pattern.is_match(text)))
    }

    /// Of a text that was computed, or measured.
    fn pattern(&mut self, text: &str, at: usize) -> Result<Rc<Pattern>, Wrong> {
        if let Some(pattern) = self.patterns.get(text) {
            return Ok(Rc::clone(pattern));
        }
        self.spend(PATTERN_STEPS + text.len(), at)?;
        let pattern = Rc::new(Pattern::new(text, at)?);
        self.patterns.insert(text.to_string(), Rc::clone(&pattern));
        Ok(pattern)
    }

    fn name(&self, name: &str) -> Value {
        match self.names.iter().rev().find(|(known, _)| known == name) {
            Some((_, value)) => value.clone(),
            None if name == "$env" => Value::Map(BTreeMap::from([("result".to_string(), self.result.clone())])),
            None => self.result.clone(),
        }
    }

    fn pointer(&self, pointer: Pointer) -> Value {
        let item = self.items.last().expect("the types say that there is one");
        match pointer {
            Pointer::Item => item.item.clone(),
            Pointer::Index => Value::Int(item.index as i64),
            Pointer::Accumulator => item.accumulator.clone(),
        }
    }

    fn unary(&mut self, operator: Unary, of: &Node, at: usize) -> Result<Value, Wrong> {
        match (operator, self.node(of)?) {
            (Unary::Not, Value::Bool(bool)) => Ok(Value::Bool(!bool)),
            (Unary::Minus, Value::Int(int)) => Ok(Value::Int(int.wrapping_neg())),
            (Unary::Minus, Value::Float(float)) => Ok(Value::Float(-float)),
            (Unary::Plus, number @ (Value::Int(_) | Value::Float(_))) => Ok(number),
            (_, other) => Err(Wrong::new(at, format!("this can't be done with {}", other.kind()))),
        }
    }

    fn binary(&mut self, operator: Binary, left: &Node, right: &Node, at: usize) -> Result<Value, Wrong> {
        let first = self.node(left)?;
        match (operator, &first) {
            (Binary::Or, Value::Bool(true)) | (Binary::And, Value::Bool(false)) => return Ok(first),
            (Binary::Coalesce, first_value) if *first_value != Value::Nil => return Ok(first),
            (Binary::Coalesce, _) => return self.node(right),
            _ => {}
        }
        let second = self.node(right)?;
        if let (Binary::Range, Value::Int(from), Value::Int(to)) = (operator, &first, &second) {
            let count = usize::try_from(to.saturating_sub(*from).saturating_add(1)).unwrap_or(0);
            self.spend(count, at)?;
            return Ok(Value::List((*from..=*to).map(Value::Int).collect()));
        }
        self.spend((size(&first) + size(&second)) / 4, at)?;
        if let (Binary::Matches, Value::Text(_), Value::Text(text)) = (operator, &first, &second) {
            let pattern = self.pattern(text, at)?;
            return self.matches(&first, &pattern, at);
        }
        compute(operator, &first, &second, at)
    }

    /// Nothing where a `?.` before it found nothing.
    fn member(&mut self, node: &Node) -> Result<Option<Value>, Wrong> {
        let Kind::Member { of, key, optional } = &node.kind else { return self.node(node).map(Some) };
        self.spend(1, node.at)?;
        let Some(container) = self.member(of)? else { return Ok(None) };
        if container == Value::Nil && *optional {
            return Ok(None);
        }
        let index = self.node(key)?;
        fetch(&container, &index, key.at).map(Some)
    }

    fn slice(&mut self, of: &Node, from: Option<&Node>, to: Option<&Node>) -> Result<Value, Wrong> {
        let container = self.node(of)?;
        let length = size(&container) as i64;
        self.spend(size(&container) / 4, of.at)?;
        let mut end = |end: Option<&Node>, otherwise: i64| -> Result<usize, Wrong> {
            let index = match end {
                Some(end) => match self.node(end)? {
                    Value::Int(index) => index,
                    other => return Err(Wrong::new(end.at, format!("a whole number is expected, this is {}", other.kind()))),
                },
                None => otherwise,
            };
            Ok(if index < 0 { length + index } else { index }.clamp(0, length) as usize)
        };
        let (from, to) = (end(from, 0)?, end(to, length)?);
        let from = from.min(to);
        match container {
            Value::Text(text) => Ok(Value::Text(String::from_utf8_lossy(&text.as_bytes()[from..to]).into_owned())),
            container => match container.items() {
                Some(items) => Ok(Value::List(items[from..to].to_vec())),
                None => Err(Wrong::new(of.at, format!("{} has no parts", container.kind()))),
            },
        }
    }

    fn call(&mut self, name: &str, args: Vec<Value>, at: usize) -> Result<Value, Wrong> {
        let wrong = |of: &Value| Wrong::new(at, format!("`{name}` can't be made of {}", of.kind()));
        match (name, args.as_slice()) {
            // Whatever they are asked, they speak of what was measured.
            ("isNil", _) => Ok(Value::Bool(*self.result == Value::Nil)),
            ("default", [_, default]) => Ok(if *self.result == Value::Nil { default.clone() } else { self.result.clone() }),
            ("isNaN" | "isInf", [of]) => match of.number() {
                Some(number) => Ok(Value::Bool(if name == "isNaN" { number.is_nan() } else { number.is_infinite() })),
                None => Err(wrong(of)),
            },
            ("asInt", [Value::Int(int)]) => Ok(Value::Int(*int)),
            ("asInt", [Value::Float(float)]) => Ok(Value::Int(*float as i64)),
            ("asInt", [of @ Value::Text(text)]) => text.parse().map(Value::Int).map_err(|_| wrong(of)),
            ("asFloat", [Value::Int(int)]) => Ok(Value::Float(*int as f64)),
            ("asFloat", [Value::Float(float)]) => Ok(Value::Float(*float)),
            ("asFloat", [of @ Value::Text(text)]) => builtin::float(text).map(Value::Float).ok_or_else(|| wrong(of)),
            ("asInt" | "asFloat", [of]) => Err(wrong(of)),
            _ => {
                let cost: usize = args.iter().map(size).sum();
                self.spend(cost, at)?;
                builtin::call(self, name, &args, at)
            }
        }
    }

    fn over(&mut self, name: &str, list: &Node, each: Option<&Node>, more: &[Node], at: usize) -> Result<Value, Wrong> {
        let list_value = self.node(list)?;
        self.spend(size(&list_value) / 4, at)?;
        let items =
            list_value.items().ok_or_else(|| Wrong::new(list.at, format!("`{name}` takes a list, this is {}", list_value.kind())))?;
        let more = more.iter().map(|node| self.node(node)).collect::<Result<Vec<_>, _>>()?;
        if name == "reduce" {
            return self.reduce(items, each.expect("the parser asks for it"), more.into_iter().next(), at);
        }
        let mut answers = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let answer = match each {
                Some(each) => self.each(each, item.clone(), index, Value::Nil)?,
                None => item.clone(),
            };
            if builtin::asks_yes_or_no(name) && !matches!(answer, Value::Bool(_)) {
                let at = each.map_or(at, |each| each.at);
                return Err(Wrong::new(at, format!("`{name}` asks each item something that is true or false, this is {}", answer.kind())));
            }
            let is_decided = match (name, &answer) {
                ("all", Value::Bool(yes)) => !yes,
                ("any" | "none", Value::Bool(yes)) => *yes,
                _ => false,
            };
            answers.push(answer);
            if is_decided {
                break;
            }
        }
        builtin::over(name, &items, &answers, &more, at)
    }

    fn each(&mut self, each: &Node, item: Value, index: usize, accumulator: Value) -> Result<Value, Wrong> {
        self.items.push(Item { item, index, accumulator });
        let answer = self.node(each);
        self.items.pop();
        answer
    }

    fn reduce(&mut self, items: Vec<Value>, each: &Node, first: Option<Value>, at: usize) -> Result<Value, Wrong> {
        let mut items = items.into_iter().enumerate();
        let mut accumulator = match first {
            Some(first) => first,
            None => items.next().map(|(_, item)| item).ok_or_else(|| Wrong::new(at, "there is nothing in the list to begin with"))?,
        };
        for (index, item) in items {
            accumulator = self.each(each, item, index, accumulator)?;
        }
        Ok(accumulator)
    }
}

/// Characters, items or entries.
pub(super) fn size(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::Vector(numbers) => numbers.len(),
        Value::List(items) => items.iter().map(|item| 1 + size(item)).sum(),
        Value::Map(map) => map.iter().map(|(key, value)| 1 + key.len() + size(value)).sum(),
        Value::Nil | Value::Bool(_) | Value::Int(_) | Value::Float(_) => 0,
    }
}

fn is_deeper(value: &Value, most: usize) -> bool {
    match value {
        Value::List(_) | Value::Map(_) if most == 0 => true,
        Value::List(items) => items.iter().any(|item| is_deeper(item, most - 1)),
        Value::Map(map) => map.values().any(|value| is_deeper(value, most - 1)),
        _ => false,
    }
}

fn fetch(container: &Value, index: &Value, at: usize) -> Result<Value, Wrong> {
    match (container, index) {
        (Value::Map(map), Value::Text(key)) => Ok(map.get(key).cloned().unwrap_or_default()),
        (Value::List(_) | Value::Vector(_), Value::Int(_) | Value::Float(_)) => {
            let items = container.items().unwrap_or_default();
            let index = index.number().unwrap_or(f64::NAN) as i64;
            let from_end = if index < 0 { items.len() as i64 + index } else { index };
            let found = usize::try_from(from_end).ok().and_then(|index| items.get(index).cloned());
            found.ok_or_else(|| Wrong::new(at, format!("there is no item {index}: the list has {}", items.len())))
        }
        _ => Err(Wrong::new(at, format!("{} has no {} inside it", container.kind(), index.text()))),
    }
}

fn compute(operator: Binary, left: &Value, right: &Value, at: usize) -> Result<Value, Wrong> {
    use Value::{Bool, Float, Int, Text};
    let numbers = left.number().zip(right.number());
    let wrong = || Wrong::new(at, format!("{} and {} don't go together here", left.kind(), right.kind()));
    Ok(match (operator, left, right) {
        (Binary::Equal, ..) => Bool(left.equals(right)),
        (Binary::NotEqual, ..) => Bool(!left.equals(right)),
        (Binary::Or | Binary::And, Bool(_), Bool(second)) => Bool(*second),
        (Binary::Less, Text(left), Text(right)) => Bool(left < right),
        (Binary::LessOrEqual, Text(left), Text(right)) => Bool(left <= right),
        (Binary::Greater, Text(left), Text(right)) => Bool(left > right),
        (Binary::GreaterOrEqual, Text(left), Text(right)) => Bool(left >= right),
        (Binary::Add, Text(left), Text(right)) => Text(format!("{left}{right}")),
        (Binary::Contains, Text(left), Text(right)) => Bool(left.contains(right)),
        (Binary::StartsWith, Text(left), Text(right)) => Bool(left.starts_with(right)),
        (Binary::EndsWith, Text(left), Text(right)) => Bool(left.ends_with(right)),
        (Binary::In, _, Value::Map(map)) => Bool(matches!(left, Text(key) if map.contains_key(key))),
        (Binary::In, ..) => {
            let items = right.items().ok_or_else(wrong)?;
            Bool(items.iter().any(|item| item.equals(left)))
        }
        (Binary::Add, Int(left), Int(right)) => Int(left.wrapping_add(*right)),
        (Binary::Subtract, Int(left), Int(right)) => Int(left.wrapping_sub(*right)),
        (Binary::Multiply, Int(left), Int(right)) => Int(left.wrapping_mul(*right)),
        (Binary::Modulo, Int(_), Int(0)) => return Err(Wrong::new(at, "nothing is left of a division by 0")),
        (Binary::Modulo, Int(left), Int(right)) => Int(left.wrapping_rem(*right)),
        (Binary::Modulo, ..) => return Err(Wrong::new(at, "`%` takes whole numbers: `int(result)` is one")),
        _ => {
            let (left, right) = numbers.ok_or_else(wrong)?;
            match operator {
                Binary::Less => Bool(left < right),
                Binary::LessOrEqual => Bool(left <= right),
                Binary::Greater => Bool(left > right),
                Binary::GreaterOrEqual => Bool(left >= right),
                Binary::Add => Float(left + right),
                Binary::Subtract => Float(left - right),
                Binary::Multiply => Float(left * right),
                Binary::Divide => Float(left / right),
                Binary::Power => Float(left.powf(right)),
                _ => return Err(wrong()),
            }
        }
    })
}
