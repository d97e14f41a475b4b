use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use base::Span;

use super::functions::{self, Function, Piece};
use super::lexer::Operator;
use super::parser::{Node, NodeKind};
use super::{Error, Expr, MEMORY_MAX, Value, json, parse};

/// What an expression can see: the contexts, and the functions that only the run can answer.
pub trait Scope {
    /// A context by its name, in whatever case it was written; nothing when there is none of that name here.
    fn context(&self, name: &str) -> Option<Value>;

    /// `success`, `failure`, `always`, `cancelled`, `hashFiles`, by these names; nothing when the function isn't there here.
    fn call(&self, function: &str, args: &[Value]) -> Option<Result<Value, String>>;
}

/// The value in a scope. A context or a function that isn't there is an error even where it would never be reached.
pub fn evaluate(expr: &Expr, scope: &dyn Scope) -> Result<Value, Error> {
    let mut contexts = BTreeMap::new();
    for (name, span) in expr.named() {
        // Asked for once, so that `github == GitHub` compares one thing with itself.
        if let Entry::Vacant(vacant) = contexts.entry(name.to_ascii_lowercase()) {
            let missing = || Error::parsing(span, format!("there is no context `{name}` here"));
            vacant.insert(scope.context(&name).ok_or_else(missing)?);
        }
    }
    let mut evaluator = Evaluator { contexts, scope, memory: Memory::default() };
    evaluator.node(&expr.root, 0).map(|result| result.value)
}

pub fn evaluate_source(source: &str, scope: &dyn Scope) -> Result<Value, Error> {
    evaluate(&parse(source)?, scope)
}

struct Evaluator<'a> {
    /// By their names in lower case.
    contexts: BTreeMap<String, Value>,
    scope: &'a dyn Scope,
    memory: Memory,
}

/// A value, and whether it came out of a `*`: the next index then goes to each of its items.
struct Found {
    value: Value,
    filtered: bool,
    /// Its size where that isn't the one of its kind.
    bytes: Option<usize>,
}

impl Evaluator<'_> {
    fn node(&mut self, node: &Node, level: usize) -> Result<Found, Error> {
        let found = self.compute(node, level)?;
        let bytes = found.bytes.unwrap_or_else(|| size(&found.value));
        self.memory.add(level, bytes, found.value.is_primitive()).map_err(|why| Error::evaluation(node.span, why))?;
        Ok(found)
    }

    fn value(&mut self, node: &Node, level: usize) -> Result<Value, Error> {
        self.node(node, level).map(|found| found.value)
    }

    fn compute(&mut self, node: &Node, level: usize) -> Result<Found, Error> {
        let below = level + 1;
        let value = match &node.kind {
            NodeKind::Literal(value) => value.clone(),
            NodeKind::Named(name) => {
                self.contexts.get(&name.to_ascii_lowercase()).cloned().expect("every named context was fetched before")
            }
            NodeKind::Wildcard => Value::from("*"),
            NodeKind::Index(pair) => return self.index(&pair.0, &pair.1, below),
            NodeKind::Not(operand) => Value::Bool(!self.value(operand, below)?.truthy()),
            NodeKind::Compare(operator, pair) => {
                let left = self.value(&pair.0, below)?;
                let right = self.value(&pair.1, below)?;
                Value::Bool(compares(*operator, &left, &right))
            }
            NodeKind::And(operands) => return self.first(operands, below, false),
            NodeKind::Or(operands) => return self.first(operands, below, true),
            NodeKind::Call(Function::Case, arguments) => return self.case(arguments, below),
            NodeKind::Call(Function::Format, arguments) => self.format(arguments, below)?,
            NodeKind::Call(function, arguments) => self.call(*function, arguments, node.span, below)?,
        };
        Ok(Found::plain(value))
    }

    /// The first operand whose truth is `wanted`, else the last one; those after it are never looked at.
    fn first(&mut self, operands: &[Node], level: usize, wanted: bool) -> Result<Found, Error> {
        let mut last = Found::plain(Value::Null);
        for operand in operands {
            last = self.node(operand, level)?;
            last.bytes = None;
            if last.value.truthy() == wanted {
                break;
            }
        }
        Ok(last)
    }

    fn index(&mut self, collection: &Node, index: &Node, level: usize) -> Result<Found, Error> {
        let found = self.node(collection, level)?;
        let wildcard = matches!(index.kind, NodeKind::Wildcard);
        if found.value.is_primitive() {
            return Ok(if wildcard { Found::filtered(Vec::new()) } else { Found::plain(Value::Null) });
        }
        let index = self.value(index, level)?;
        Ok(match &found.value {
            Value::Array(items) if found.filtered => {
                Found::filtered(items.iter().flat_map(|item| picked(item, &index, wildcard)).collect())
            }
            value if wildcard => Found::filtered(picked(value, &index, true)),
            value => Found::plain(picked(value, &index, false).pop().unwrap_or(Value::Null)),
        })
    }

    fn case(&mut self, arguments: &[Node], level: usize) -> Result<Found, Error> {
        let (default, pairs) = arguments.split_last().expect("`case` has at least three arguments");
        let mut chosen = default;
        for pair in pairs.chunks_exact(2) {
            match self.value(&pair[0], level)? {
                Value::Bool(false) => {}
                Value::Bool(true) => {
                    chosen = &pair[1];
                    break;
                }
                _ => return Err(Error::evaluation(pair[0].span, "a condition of `case` must be `true` or `false`")),
            }
        }
        self.node(chosen, level).map(|found| Found { bytes: None, ..found })
    }

    /// Only the arguments that the format asks for are looked at.
    fn format(&mut self, arguments: &[Node], level: usize) -> Result<Value, Error> {
        let (format, arguments) = arguments.split_first().expect("`format` has at least one argument");
        let span = format.span;
        let format = self.value(format, level)?.text();
        let pieces = functions::format_pieces(&format, arguments.len()).map_err(|why| Error::evaluation(span, why))?;
        let mut values: Vec<Option<String>> = vec![None; arguments.len()];
        let mut result = Growing::default();
        for piece in &pieces {
            let text = match piece {
                Piece::Text(text) => text,
                Piece::Argument(number) => {
                    if values[*number].is_none() {
                        values[*number] = Some(self.value(&arguments[*number], level)?.text());
                    }
                    values[*number].as_ref().expect("it was set just above")
                }
            };
            result.push(text).map_err(|why| Error::evaluation(span, why))?;
        }
        Ok(Value::from(result.text))
    }

    fn call(&mut self, function: Function, arguments: &[Node], span: Span, level: usize) -> Result<Value, Error> {
        let values = self.arguments(function, arguments, level)?;
        let failed = |why: String| Error::evaluation(span, why);
        let test = |test: fn(&Value, &Value) -> bool| Value::Bool(values.get(1).is_some_and(|second| test(&values[0], second)));
        Ok(match function {
            Function::Contains => test(functions::contains),
            Function::StartsWith => test(functions::starts_with),
            Function::EndsWith => test(functions::ends_with),
            Function::FromJson => functions::from_json(&values[0].text()).map_err(failed)?,
            Function::ToJson => {
                let mut result = Growing::default();
                json::write(&values[0], &mut |piece| result.push(piece)).map_err(failed)?;
                Value::from(result.text)
            }
            Function::Join => {
                let mut result = Growing::default();
                for piece in functions::join(&values[0], values.get(1)) {
                    result.push(&piece).map_err(failed)?;
                }
                Value::from(result.text)
            }
            Function::Hosted(name) => match self.scope.call(name, &values) {
                Some(answer) => answer.map_err(failed)?,
                None => return Err(Error::parsing(span, format!("there is no function `{name}` here"))),
            },
            Function::Case | Function::Format => unreachable!("these look at their arguments one by one, elsewhere"),
        })
    }

    /// Without the second one where the first leaves nothing to ask it for, which may well be an error.
    fn arguments(&mut self, function: Function, arguments: &[Node], level: usize) -> Result<Vec<Value>, Error> {
        let mut values = Vec::new();
        for argument in arguments {
            if values.first().is_some_and(|first| !function.needs_second(first)) {
                break;
            }
            values.push(self.value(argument, level)?);
        }
        Ok(values)
    }
}

impl Found {
    fn plain(value: Value) -> Found {
        Found { value, filtered: false, bytes: None }
    }

    fn filtered(items: Vec<Value>) -> Found {
        // A pointer for each item, as the official engine counts.
        let bytes = Some(OBJECT_BYTES + items.len() * 8);
        Found { value: Value::array(items), filtered: true, bytes }
    }
}

fn compares(operator: Operator, left: &Value, right: &Value) -> bool {
    let ordering = || left.loosely_compares(right);
    match operator {
        Operator::Equal => left.loosely_equals(right),
        Operator::NotEqual => !left.loosely_equals(right),
        Operator::Less => ordering() == Some(Ordering::Less),
        Operator::LessOrEqual => left.loosely_equals(right) || ordering() == Some(Ordering::Less),
        Operator::Greater => ordering() == Some(Ordering::Greater),
        Operator::GreaterOrEqual => left.loosely_equals(right) || ordering() == Some(Ordering::Greater),
        Operator::Not | Operator::And | Operator::Or => unreachable!("these are nodes of their own"),
    }
}

/// What `[index]` finds in one value: everything for a `*`, one or nothing else.
fn picked(value: &Value, index: &Value, wildcard: bool) -> Vec<Value> {
    match value {
        Value::Array(items) if wildcard => items.to_vec(),
        Value::Object(object) if wildcard => object.iter().map(|(_, value)| value.clone()).collect(),
        Value::Array(items) => array_index(index).and_then(|index| items.get(index)).cloned().into_iter().collect(),
        Value::Object(object) if index.is_primitive() => object.get(&index.text()).cloned().into_iter().collect(),
        _ => Vec::new(),
    }
}

fn array_index(index: &Value) -> Option<usize> {
    let number = index.number().floor();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be within 0 and i32::MAX")]
    (0.0..=f64::from(i32::MAX)).contains(&number).then_some(number as usize)
}

const OBJECT_BYTES: usize = 24;
const STRING_BYTES: usize = 26;

fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text_size(text),
        _ => OBJECT_BYTES,
    }
}

fn text_size(text: &str) -> usize {
    STRING_BYTES + text.encode_utf16().count() * 2
}

/// Bytes held by level of the tree: what a finished operand used is given back when its parent has its value.
#[derive(Default)]
struct Memory {
    levels: Vec<usize>,
    total: usize,
}

impl Memory {
    fn add(&mut self, level: usize, bytes: usize, trim: bool) -> Result<(), String> {
        if trim && self.levels.len() > level + 1 {
            self.total -= self.levels.drain(level + 1..).sum::<usize>();
        }
        if self.levels.len() <= level {
            self.levels.resize(level + 1, 0);
        }
        self.levels[level] += bytes;
        self.total += bytes;
        within_memory(self.total)
    }
}

/// A text that is being put together, refused when it grows over the limit rather than afterwards.
#[derive(Default)]
struct Growing {
    text: String,
    bytes: usize,
}

impl Growing {
    fn push(&mut self, piece: &str) -> Result<(), String> {
        self.bytes += text_size(piece);
        within_memory(self.bytes)?;
        self.text.push_str(piece);
        Ok(())
    }
}

fn within_memory(bytes: usize) -> Result<(), String> {
    if bytes > MEMORY_MAX {
        return Err(format!("the expression needs more than {} KiB of memory", MEMORY_MAX / 1024));
    }
    Ok(())
}
