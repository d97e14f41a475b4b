//! What can't fit is said before anything is evaluated, also behind an `||` that would never get there.

use super::builtin;
use super::syntax::{Binary, Kind, Node, Pointer, Unary};
use super::{Value, Wrong};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Type {
    /// Only known once it is evaluated.
    Any,
    Nil,
    Bool,
    Int,
    Float,
    Text,
    List(Box<Type>),
    Map,
}

/// What can be called beside the functions of the language.
const FUNCTIONS: &[(&str, usize)] = &[("asInt", 1), ("asFloat", 1), ("isNaN", 1), ("isInf", 1), ("isNil", 1), ("default", 2)];

impl Type {
    pub fn of(value: &Value) -> Type {
        match value {
            Value::Nil => Type::Nil,
            Value::Bool(_) => Type::Bool,
            Value::Int(_) => Type::Int,
            Value::Float(_) => Type::Float,
            Value::Text(_) => Type::Text,
            Value::Vector(_) => Type::List(Box::new(Type::Float)),
            Value::List(_) => Type::List(Box::new(Type::Any)),
            Value::Map(_) => Type::Map,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Type::Any => "something",
            Type::Nil => "nothing",
            Type::Bool => "true or false",
            Type::Int | Type::Float => "a number",
            Type::Text => "a text",
            Type::List(_) => "a list",
            Type::Map => "a map",
        }
    }

    fn is_number(&self) -> bool {
        matches!(self, Type::Any | Type::Int | Type::Float)
    }

    fn is(&self, other: &Type) -> bool {
        self == &Type::Any || self == other
    }
}

pub(super) fn check(root: &Node, result: &Type) -> Result<(), Wrong> {
    Checker { result, names: Vec::new(), items: Vec::new() }.node(root).map(|_| ())
}

struct Checker<'a> {
    result: &'a Type,
    names: Vec<(String, Type)>,
    /// What the functions over lists around this are at, and whether they add up.
    items: Vec<(Type, bool)>,
}

impl Checker<'_> {
    fn node(&mut self, node: &Node) -> Result<Type, Wrong> {
        match &node.kind {
            Kind::Literal(value) => Ok(Type::of(value)),
            Kind::Name(name) => self.name(name, node.at),
            Kind::Pointer(pointer) => self.pointer(*pointer, node.at),
            Kind::List(items) => {
                let types = self.all(items)?;
                let one = types.first().filter(|first| types.iter().all(|of| of == *first)).cloned();
                Ok(Type::List(Box::new(one.filter(|one| *one != Type::Nil).unwrap_or(Type::Any))))
            }
            Kind::Map(entries) => {
                for (key, value) in entries {
                    self.node(key)?;
                    self.node(value)?;
                }
                Ok(Type::Map)
            }
            Kind::Unary(operator, of) => self.unary(*operator, of, node.at),
            Kind::Binary(operator, left, right) => {
                let (left, right) = (self.node(left)?, self.node(right)?);
                binary(*operator, &left, &right, node.at)
            }
            Kind::Matches(of, _) => {
                let of = self.node(of)?;
                binary(Binary::Matches, &of, &Type::Text, node.at)
            }
            Kind::Order(first, others) => {
                let mut before = self.node(first)?;
                for (at, operator, other) in others {
                    let other = self.node(other)?;
                    binary(*operator, &before, &other, *at)?;
                    before = other;
                }
                Ok(Type::Bool)
            }
            // `?` is for what may be nothing, and not for what is known to be.
            Kind::Member { of, key, .. } => self.member(of, key),
            Kind::Slice { of, from, to } => self.slice(of, from.as_deref(), to.as_deref()),
            Kind::Chain(of) => self.node(of).map(|_| Type::Any),
            Kind::Call { name, args } => self.call(name, args, node.at),
            Kind::Over { name, list, each, more } => self.over(name, list, each.as_deref(), more),
            Kind::Conditional(condition, then, otherwise) => self.conditional(condition, then.as_deref(), otherwise),
            Kind::Let { name, value, body } => {
                let value = self.node(value)?;
                self.names.push((name.clone(), value));
                let body = self.node(body);
                self.names.pop();
                body
            }
            Kind::Sequence(nodes) => self.all(nodes).map(|types| types.into_iter().next_back().unwrap_or(Type::Nil)),
        }
    }

    fn all(&mut self, nodes: &[Node]) -> Result<Vec<Type>, Wrong> {
        nodes.iter().map(|node| self.node(node)).collect()
    }

    fn name(&self, name: &str, at: usize) -> Result<Type, Wrong> {
        if let Some((_, of)) = self.names.iter().rev().find(|(known, _)| known == name) {
            return Ok(of.clone());
        }
        match name {
            "result" => Ok(self.result.clone()),
            "$env" => Ok(Type::Map),
            _ => {
                let known = self.names.iter().map(|(name, _)| name.as_str()).chain(["result"]);
                let hint = match base::name::nearest(name, known) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "what was measured is `result`".to_string(),
                };
                Err(Wrong { hint: Some(hint), ..Wrong::new(at, format!("`{name}` isn't known")) })
            }
        }
    }

    fn pointer(&self, pointer: Pointer, at: usize) -> Result<Type, Wrong> {
        let Some((item, adds_up)) = self.items.last() else { return Err(Wrong::new(at, "there is no item here")) };
        match pointer {
            Pointer::Item => Ok(item.clone()),
            Pointer::Index => Ok(Type::Int),
            Pointer::Accumulator if *adds_up => Ok(Type::Any),
            Pointer::Accumulator => Err(Wrong::new(at, "only `reduce` has an `#acc`")),
        }
    }

    fn unary(&mut self, operator: Unary, of: &Node, at: usize) -> Result<Type, Wrong> {
        let of = self.node(of)?;
        let (fits, wanted) = match operator {
            Unary::Not => (of.is(&Type::Bool), "true or false"),
            Unary::Minus | Unary::Plus => (of.is_number(), "a number"),
        };
        if !fits {
            return Err(Wrong::new(at, format!("{wanted} is expected, this is {}", of.name())));
        }
        Ok(if operator == Unary::Not { Type::Bool } else { of })
    }

    fn member(&mut self, of: &Node, key: &Node) -> Result<Type, Wrong> {
        let (container, index) = (self.node(of)?, self.node(key)?);
        match container {
            Type::Any => Ok(Type::Any),
            Type::List(item) if index.is(&Type::Int) || index == Type::Any => Ok(*item),
            Type::List(_) => Err(Wrong::new(key.at, format!("an item of a list has a whole number, this is {}", index.name()))),
            Type::Map => Ok(if matches!(&of.kind, Kind::Name(name) if name == "$env") { self.result.clone() } else { Type::Any }),
            other => Err(Wrong::new(key.at, format!("{} has nothing inside it", other.name()))),
        }
    }

    fn slice(&mut self, of: &Node, from: Option<&Node>, to: Option<&Node>) -> Result<Type, Wrong> {
        let container = self.node(of)?;
        for end in from.into_iter().chain(to) {
            let index = self.node(end)?;
            if !index.is(&Type::Int) {
                return Err(Wrong::new(end.at, format!("a whole number is expected, this is {}", index.name())));
            }
        }
        match container {
            Type::Any | Type::List(_) | Type::Text => Ok(container),
            other => Err(Wrong::new(of.at, format!("{} has no parts", other.name()))),
        }
    }

    fn call(&mut self, name: &str, args: &[Node], at: usize) -> Result<Type, Wrong> {
        let types = self.all(args)?;
        if let Some((_, count)) = FUNCTIONS.iter().find(|(known, _)| *known == name) {
            if types.len() != *count {
                let s = if *count == 1 { "" } else { "s" };
                return Err(Wrong::new(at, format!("`{name}` takes {count} value{s}, here are {}", types.len())));
            }
            return match (name, &types[0]) {
                ("isNaN" | "isInf", of) if !of.is_number() => {
                    Err(Wrong::new(args[0].at, format!("`{name}` takes a number, this is {}", of.name())))
                }
                ("isNaN" | "isInf" | "isNil", _) => Ok(Type::Bool),
                ("asInt", _) => Ok(Type::Int),
                ("asFloat", _) => Ok(Type::Float),
                _ => Ok(Type::Any),
            };
        }
        builtin::check(name, &types, at)
    }

    fn over(&mut self, name: &str, list: &Node, each: Option<&Node>, more: &[Node]) -> Result<Type, Wrong> {
        let item = match self.node(list)? {
            Type::Any => Type::Any,
            Type::List(item) => *item,
            other => return Err(Wrong::new(list.at, format!("`{name}` takes a list, this is {}", other.name()))),
        };
        let answer = match each {
            Some(each) => {
                self.items.push((item.clone(), name == "reduce"));
                let answer = self.node(each);
                self.items.pop();
                answer?
            }
            None => item.clone(),
        };
        self.all(more)?;
        if builtin::asks_yes_or_no(name) && !answer.is(&Type::Bool) {
            let at = each.map_or(list.at, |each| each.at);
            return Err(Wrong::new(at, format!("`{name}` asks each item something that is true or false, this is {}", answer.name())));
        }
        Ok(match name {
            "all" | "any" | "none" | "one" => Type::Bool,
            "count" => Type::Int,
            "filter" => Type::List(Box::new(item)),
            "map" => Type::List(Box::new(answer)),
            "sortBy" => Type::List(Box::new(item)),
            "groupBy" => Type::Map,
            _ => Type::Any,
        })
    }

    fn conditional(&mut self, condition: &Node, then: Option<&Node>, otherwise: &Node) -> Result<Type, Wrong> {
        let of = self.node(condition)?;
        if !of.is(&Type::Bool) {
            return Err(Wrong::new(condition.at, format!("true or false is expected, this is {}", of.name())));
        }
        let then = then.map_or(Ok(of), |then| self.node(then))?;
        let otherwise = self.node(otherwise)?;
        Ok(if then == otherwise { then } else { Type::Any })
    }
}

fn binary(operator: Binary, left: &Type, right: &Type, at: usize) -> Result<Type, Wrong> {
    use Type::{Any, Bool, Float, Int, List, Map, Nil, Text};
    let numbers = left.is_number() && right.is_number();
    let texts = left.is(&Text) && right.is(&Text);
    let (fits, becomes) = match operator {
        Binary::Or | Binary::And => (left.is(&Bool) && right.is(&Bool), Bool),
        Binary::Equal | Binary::NotEqual => (is_comparable(left, right), Bool),
        Binary::Less | Binary::LessOrEqual | Binary::Greater | Binary::GreaterOrEqual => (numbers || texts, Bool),
        Binary::In => (is_in(left, right), Bool),
        Binary::Matches | Binary::Contains | Binary::StartsWith | Binary::EndsWith => (texts, Bool),
        Binary::Range => (left.is(&Int) && right.is(&Int), List(Box::new(Int))),
        Binary::Add => (
            numbers || texts,
            if left == &Any || right == &Any {
                Any
            } else if texts {
                Text
            } else {
                sum(left, right)
            },
        ),
        Binary::Subtract | Binary::Multiply => (numbers, sum(left, right)),
        Binary::Divide | Binary::Power => (numbers, Float),
        Binary::Modulo => (left.is(&Int) && right.is(&Int), Int),
        Binary::Coalesce => (
            true,
            if left == &Nil {
                right.clone()
            } else if left == right {
                left.clone()
            } else {
                Any
            },
        ),
    };
    if fits {
        return Ok(becomes);
    }
    let message = match (operator, right) {
        (Binary::In, Any | List(_) | Map) => format!("{} is never in such a list", left.name()),
        (Binary::In, _) => format!("a list or a map is expected behind `in`, this is {}", right.name()),
        (Binary::Modulo, _) => "`%` takes whole numbers: `int(result)` is one".to_string(),
        _ if left == right => format!("this can't be done with {}", left.name()),
        _ => format!("{} and {} don't go together here", left.name(), right.name()),
    };
    Err(Wrong::new(at, message))
}

fn sum(left: &Type, right: &Type) -> Type {
    match (left, right) {
        (Type::Int, Type::Int) => Type::Int,
        (Type::Any, _) | (_, Type::Any) => Type::Any,
        _ => Type::Float,
    }
}

fn is_comparable(left: &Type, right: &Type) -> bool {
    match (left, right) {
        (Type::Any | Type::Nil, _) | (_, Type::Any | Type::Nil) => true,
        (Type::List(_), Type::List(_)) => true,
        _ => left == right || (left.is_number() && right.is_number()),
    }
}

fn is_in(left: &Type, right: &Type) -> bool {
    match right {
        Type::Any => true,
        Type::List(item) => is_comparable(left, item),
        Type::Map => left.is(&Type::Text) || left == &Type::Nil,
        _ => false,
    }
}
