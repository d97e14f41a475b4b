//! The functions of the language.

use std::collections::BTreeMap;

use super::eval::{Evaluator, size};
use super::types::Type;
use super::{Value, Wrong};

/// Those that ask something of each item of a list.
const OVER: &[&str] = &[
    "all",
    "any",
    "none",
    "one",
    "filter",
    "map",
    "count",
    "sum",
    "find",
    "findIndex",
    "findLast",
    "findLastIndex",
    "groupBy",
    "sortBy",
    "reduce",
];

/// What each function takes, and what it gives.
const FUNCTIONS: &[(&str, &str, &str)] = &[
    ("len", "c", "i"),
    ("abs", "n", "n"),
    ("ceil", "n", "f"),
    ("floor", "n", "f"),
    ("round", "n", "f"),
    ("int", "a", "i"),
    ("float", "a", "f"),
    ("string", "a", "t"),
    ("type", "a", "t"),
    ("max", "a*", "a"),
    ("min", "a*", "a"),
    ("mean", "a*", "f"),
    ("median", "a*", "f"),
    ("first", "l", "a"),
    ("last", "l", "a"),
    ("get", "aa", "a"),
    ("take", "li", "l"),
    ("reverse", "l", "l"),
    ("sort", "lt?", "l"),
    ("uniq", "l", "l"),
    ("flatten", "l", "l"),
    ("concat", "l*", "l"),
    ("keys", "m", "l"),
    ("values", "m", "l"),
    ("toPairs", "m", "l"),
    ("fromPairs", "l", "m"),
    ("join", "lt?", "t"),
    ("upper", "t", "t"),
    ("lower", "t", "t"),
    ("trim", "tt?", "t"),
    ("trimPrefix", "tt?", "t"),
    ("trimSuffix", "tt?", "t"),
    ("split", "tti?", "l"),
    ("splitAfter", "tti?", "l"),
    ("replace", "ttti?", "t"),
    ("repeat", "ti", "t"),
    ("indexOf", "tt", "i"),
    ("lastIndexOf", "tt", "i"),
    ("hasPrefix", "tt", "b"),
    ("hasSuffix", "tt", "b"),
    ("toJSON", "a", "t"),
    ("fromJSON", "t", "a"),
    ("bitand", "ii", "i"),
    ("bitor", "ii", "i"),
    ("bitxor", "ii", "i"),
    ("bitnand", "ii", "i"),
    ("bitshl", "ii", "i"),
    ("bitshr", "ii", "i"),
    ("bitushr", "ii", "i"),
    ("bitnot", "i", "i"),
];

/// Known to the language, and refused here.
const REFUSED: &[(&str, &str)] = &[
    ("now", "a condition has no clock: ask for what is measured over a time"),
    ("date", "times aren't evaluated in a condition"),
    ("duration", "times aren't evaluated in a condition"),
    ("timezone", "times aren't evaluated in a condition"),
    ("toBase64", "bytes aren't evaluated in a condition"),
    ("fromBase64", "bytes aren't evaluated in a condition"),
];

pub(super) fn is_over(name: &str) -> bool {
    OVER.contains(&name)
}

pub(super) fn asks_yes_or_no(name: &str) -> bool {
    !matches!(name, "map" | "sum" | "groupBy" | "sortBy" | "reduce")
}

/// The signature, and the letters of what it takes: `n` a number, `t` a text, `l` a list, `c` what has a length, `?` what may be missing.
pub(super) fn check(name: &str, types: &[Type], at: usize) -> Result<Type, Wrong> {
    let Some((_, takes, gives)) = FUNCTIONS.iter().find(|(known, ..)| *known == name) else {
        if let Some((_, why)) = REFUSED.iter().find(|(known, _)| *known == name) {
            return Err(Wrong::new(at, format!("`{name}` isn't evaluated here: {why}")));
        }
        let known = FUNCTIONS.iter().map(|(known, ..)| *known).chain(OVER.iter().copied());
        let known = known.chain(["asInt", "asFloat", "isNaN", "isInf", "isNil", "default"]);
        let hint = base::name::nearest(name, known).map(|near| format!("did you mean `{near}`?"));
        return Err(Wrong { hint, ..Wrong::new(at, format!("there is no function `{name}`")) });
    };
    let letters: Vec<char> = takes.chars().filter(|letter| letter.is_alphabetic()).collect();
    let repeats = takes.ends_with('*');
    let least = letters.len() - takes.matches('?').count();
    if types.len() < least || (types.len() > letters.len() && !repeats) {
        return Err(Wrong::new(at, format!("`{name}` takes {least} values, here are {}", types.len())));
    }
    for (index, of) in types.iter().enumerate() {
        let letter = letters[index.min(letters.len() - 1)];
        if !fits(letter, of) {
            let wanted = match letter {
                'n' => "a number",
                'i' => "a whole number",
                't' => "a text",
                'l' => "a list",
                'm' => "a map",
                _ => "a text, a list or a map",
            };
            return Err(Wrong::new(at, format!("`{name}` takes {wanted} here")));
        }
    }
    Ok(match *gives {
        "i" => Type::Int,
        "f" => Type::Float,
        "t" => Type::Text,
        "b" => Type::Bool,
        "m" => Type::Map,
        "l" => Type::List(Box::new(Type::Any)),
        "n" => types[0].clone(),
        _ => Type::Any,
    })
}

fn fits(letter: char, of: &Type) -> bool {
    matches!(
        (letter, of),
        ('a', _)
            | (_, Type::Any)
            | ('n', Type::Int | Type::Float)
            | ('i', Type::Int)
            | ('t', Type::Text)
            | ('l', Type::List(_))
            | ('m', Type::Map)
            | ('c', Type::Text | Type::List(_) | Type::Map)
    )
}

/// As Go reads it: no space around, `inf` and `nan` in any case.
pub(super) fn float(text: &str) -> Option<f64> {
    text.replace('_', "x").parse().ok()
}

pub(super) fn over(name: &str, items: &[Value], answers: &[Value], more: &[Value], at: usize) -> Result<Value, Wrong> {
    let is_yes = |answer: &Value| *answer == Value::Bool(true);
    let first = || answers.iter().position(is_yes);
    let last = || answers.iter().rposition(is_yes);
    let place = |index: Option<usize>| index.map_or(Value::Nil, |index| Value::Int(index as i64));
    let item = |index: Option<usize>| index.map_or(Value::Nil, |index| items[index].clone());
    let chosen = items.iter().zip(answers).filter(|(_, answer)| is_yes(answer)).map(|(item, _)| item);
    Ok(match name {
        "all" => Value::Bool(answers.iter().all(is_yes)),
        "any" => Value::Bool(answers.iter().any(is_yes)),
        "none" => Value::Bool(!answers.iter().any(is_yes)),
        "one" => Value::Bool(chosen.count() == 1),
        "count" => Value::Int(chosen.count() as i64),
        "filter" => Value::List(chosen.cloned().collect()),
        "map" => Value::List(answers.to_vec()),
        "sum" => total(answers, at)?,
        "find" => item(first()),
        "findLast" => item(last()),
        "findIndex" => place(first()),
        "findLastIndex" => place(last()),
        "groupBy" => {
            let mut groups: BTreeMap<String, Vec<Value>> = BTreeMap::new();
            for (item, answer) in items.iter().zip(answers) {
                groups.entry(answer.text()).or_default().push(item.clone());
            }
            Value::Map(groups.into_iter().map(|(key, items)| (key, Value::List(items))).collect())
        }
        "sortBy" => sorted(answers.iter().cloned().zip(items.iter().cloned()).collect(), more.first(), at)?,
        _ => unreachable!("`reduce` goes its own way"),
    })
}

fn total(values: &[Value], at: usize) -> Result<Value, Wrong> {
    let mut total = Value::Int(0);
    for value in values {
        total = match (&total, value) {
            (Value::Int(total), Value::Int(value)) => Value::Int(total.wrapping_add(*value)),
            (total, value) => match total.number().zip(value.number()) {
                Some((total, value)) => Value::Float(total + value),
                None => return Err(Wrong::new(at, format!("{} can't be added up", value.kind()))),
            },
        };
    }
    Ok(total)
}

fn sorted(mut keyed: Vec<(Value, Value)>, order: Option<&Value>, at: usize) -> Result<Value, Wrong> {
    let descends = match order.map(Value::text).as_deref() {
        None | Some("asc") => false,
        Some("desc") => true,
        Some(_) => return Err(Wrong::new(at, "lists are sorted `asc` or `desc`")),
    };
    let all_numbers = keyed.iter().all(|(key, _)| key.number().is_some());
    let all_texts = keyed.iter().all(|(key, _)| matches!(key, Value::Text(_)));
    if !all_numbers && !all_texts {
        return Err(Wrong::new(at, "only numbers, or only texts, can be sorted"));
    }
    keyed.sort_by(|(left, _), (right, _)| {
        let ordering = match left.number().zip(right.number()) {
            Some((left, right)) => left.total_cmp(&right),
            None => left.text().cmp(&right.text()),
        };
        if descends { ordering.reverse() } else { ordering }
    });
    Ok(Value::List(keyed.into_iter().map(|(_, item)| item).collect()))
}

pub(super) fn call(evaluator: &mut Evaluator<'_>, name: &str, args: &[Value], at: usize) -> Result<Value, Wrong> {
    use Value::{Float, Int, List, Map, Text};
    let wrong = || {
        let kinds: Vec<&str> = args.iter().map(Value::kind).collect();
        Wrong::new(at, format!("`{name}` can't be done with {}", kinds.join(" and ")))
    };
    let numbers = || numbers(args).ok_or_else(wrong);
    Ok(match (name, args) {
        ("len", [Text(text)]) => Int(text.chars().count() as i64),
        ("len", [Map(map)]) => Int(map.len() as i64),
        ("len", [list]) => Int(list.items().ok_or_else(wrong)?.len() as i64),
        ("abs", [Int(int)]) => Int(int.wrapping_abs()),
        ("abs", [Float(float)]) => Float(float.abs()),
        ("ceil", [of]) => Float(of.number().ok_or_else(wrong)?.ceil()),
        ("floor", [of]) => Float(of.number().ok_or_else(wrong)?.floor()),
        ("round", [of]) => Float(of.number().ok_or_else(wrong)?.round()),
        ("int", [Int(int)]) => Int(*int),
        ("int", [Float(float)]) => Int(*float as i64),
        ("int", [Text(text)]) => Int(text.parse().map_err(|_| wrong())?),
        ("float", [Text(text)]) => Float(float(text).ok_or_else(wrong)?),
        ("float", [of]) => Float(of.number().ok_or_else(wrong)?),
        ("string", [of]) => Text(of.text()),
        ("type", [of]) => Text(type_name(of).to_string()),
        ("max", _) => extreme(args, at, |left, right| left > right)?,
        ("min", _) => extreme(args, at, |left, right| left < right)?,
        ("mean", _) => {
            let numbers = numbers()?;
            Float(if numbers.is_empty() { 0.0 } else { numbers.iter().sum::<f64>() / numbers.len() as f64 })
        }
        ("median", _) => Float(median(numbers()?)),
        ("get", [Map(map), Text(key)]) => map.get(key).cloned().unwrap_or_default(),
        ("get", [list, Int(index)]) => {
            let items = list.items().ok_or_else(wrong)?;
            let index = if *index < 0 { items.len() as i64 + index } else { *index };
            usize::try_from(index).ok().and_then(|index| items.get(index).cloned()).unwrap_or_default()
        }
        ("get", _) => Value::Nil,
        ("keys", [Map(map)]) => List(map.keys().cloned().map(Text).collect()),
        ("values", [Map(map)]) => List(map.values().cloned().collect()),
        ("toPairs", [Map(map)]) => List(map.iter().map(|(key, value)| List(vec![Text(key.clone()), value.clone()])).collect()),
        ("fromPairs", [pairs]) => Map(from_pairs(pairs).ok_or_else(wrong)?),
        ("trim", [Text(text), Text(set)]) => {
            evaluator.spend(text.len().saturating_mul(set.len()) / 16, at)?;
            self::text(name, args).ok_or_else(wrong)?
        }
        // Each line of it is moved in as far as it is nested.
        ("toJSON", [of]) => {
            evaluator.spend(size(of).saturating_mul(8), at)?;
            Text(serde_json::to_string_pretty(&json(of).ok_or_else(wrong)?).map_err(|_| wrong())?)
        }
        ("fromJSON", [Text(text)]) => Value::of_json(&serde_json::from_str(text).map_err(|_| Wrong::new(at, "this is no JSON"))?),
        ("repeat", [Text(text), Int(count)]) => {
            let count = usize::try_from(*count).map_err(|_| wrong())?;
            evaluator.spend(text.len().saturating_mul(count), at)?;
            Text(text.repeat(count))
        }
        ("replace", [Text(text), Text(_), Text(to), ..]) => {
            evaluator.spend((text.len() + 1).saturating_mul(to.len()) / 4, at)?;
            self::text(name, args).ok_or_else(wrong)?
        }
        ("join", [List(items), Text(glue)]) => {
            evaluator.spend(items.len().saturating_mul(glue.len()) / 4, at)?;
            of_list(name, items.clone(), &args[1..], at)?.ok_or_else(wrong)?
        }
        ("uniq", [list]) => {
            let items = list.items().ok_or_else(wrong)?;
            evaluator.spend(items.len().saturating_mul(items.len()) / 4, at)?;
            of_list(name, items, &[], at)?.ok_or_else(wrong)?
        }
        ("concat", lists) => {
            let lists = lists.iter().map(Value::items).collect::<Option<Vec<_>>>().ok_or_else(wrong)?;
            List(lists.concat())
        }
        (_, [Int(_), ..]) => bits(name, args).ok_or_else(wrong)?,
        (_, [Text(_), ..]) => self::text(name, args).ok_or_else(wrong)?,
        (_, [list, more @ ..]) => of_list(name, list.items().ok_or_else(wrong)?, more, at)?.ok_or_else(wrong)?,
        _ => return Err(wrong()),
    })
}

fn type_name(of: &Value) -> &'static str {
    match of {
        Value::Nil => "nil",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Float(_) => "float",
        Value::Text(_) => "string",
        Value::Vector(_) | Value::List(_) => "array",
        Value::Map(_) => "map",
    }
}

/// All numbers of all values, and of the lists among them.
fn numbers(args: &[Value]) -> Option<Vec<f64>> {
    let mut numbers = Vec::new();
    for arg in args {
        match (arg.number(), arg.items()) {
            (Some(number), _) => numbers.push(number),
            (None, Some(items)) => numbers.extend(self::numbers(&items)?),
            (None, None) => return None,
        }
    }
    Some(numbers)
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let half = numbers.len() / 2;
    match numbers.len() {
        0 => 0.0,
        count if count % 2 == 1 => numbers[half],
        _ => f64::midpoint(numbers[half - 1], numbers[half]),
    }
}

fn extreme(args: &[Value], at: usize, is_better: fn(f64, f64) -> bool) -> Result<Value, Wrong> {
    let mut best: Option<Value> = None;
    let mut left: Vec<Value> = args.iter().rev().cloned().collect();
    while let Some(value) = left.pop() {
        if let Some(items) = value.items() {
            left.extend(items.into_iter().rev());
            continue;
        }
        let Some(number) = value.number() else { return Err(Wrong::new(at, format!("numbers are compared, this is {}", value.kind()))) };
        if best.as_ref().and_then(Value::number).is_none_or(|best| is_better(number, best)) {
            best = Some(value);
        }
    }
    Ok(best.unwrap_or_default())
}

fn from_pairs(pairs: &Value) -> Option<BTreeMap<String, Value>> {
    let pairs = pairs.items()?;
    let pairs = pairs.iter().map(|pair| match pair.items()?.as_slice() {
        [key, value] => Some((key.text(), value.clone())),
        _ => None,
    });
    pairs.collect()
}

fn json(value: &Value) -> Option<serde_json::Value> {
    Some(match value {
        Value::Nil => serde_json::Value::Null,
        Value::Bool(bool) => (*bool).into(),
        Value::Int(int) => (*int).into(),
        // Go writes whole ones without a point.
        Value::Float(float) if float.fract() == 0.0 && float.abs() < 1e15 => (*float as i64).into(),
        Value::Float(float) => serde_json::Number::from_f64(*float)?.into(),
        Value::Text(text) => text.clone().into(),
        Value::Vector(_) | Value::List(_) => value.items()?.iter().map(json).collect::<Option<Vec<_>>>()?.into(),
        Value::Map(map) => {
            serde_json::Value::Object(map.iter().map(|(key, value)| Some((key.clone(), json(value)?))).collect::<Option<_>>()?)
        }
    })
}

fn bits(name: &str, args: &[Value]) -> Option<Value> {
    let ints: Vec<i64> = args.iter().filter_map(|arg| if let Value::Int(int) = arg { Some(*int) } else { None }).collect();
    let shift = |by: i64| u32::try_from(by).ok();
    Some(Value::Int(match (name, ints.as_slice()) {
        ("bitand", [left, right]) => left & right,
        ("bitor", [left, right]) => left | right,
        ("bitxor", [left, right]) => left ^ right,
        ("bitnand", [left, right]) => left & !right,
        ("bitnot", [of]) => !of,
        ("bitshl", [of, by]) => of.checked_shl(shift(*by)?).unwrap_or(0),
        ("bitshr", [of, by]) => of.checked_shr(shift(*by)?).unwrap_or(if *of < 0 { -1 } else { 0 }),
        ("bitushr", [of, by]) => (*of as u64).checked_shr(shift(*by)?).unwrap_or(0) as i64,
        _ => return None,
    }))
}

fn text(name: &str, args: &[Value]) -> Option<Value> {
    use Value::{Bool, Int, List, Text};
    let place = |found: Option<usize>| Int(found.map_or(-1, |found| found as i64));
    let texts = |parts: Vec<&str>| List(parts.into_iter().map(|part| Text(part.to_string())).collect());
    Some(match (name, args) {
        ("upper", [Text(text)]) => Text(text.to_uppercase()),
        ("lower", [Text(text)]) => Text(text.to_lowercase()),
        ("trim", [Text(text)]) => Text(text.trim().to_string()),
        ("trim", [Text(text), Text(set)]) => Text(text.trim_matches(|c| set.contains(c)).to_string()),
        ("trimPrefix", [Text(text), rest @ ..]) => {
            let prefix = rest.first().map_or(" ".to_string(), Value::text);
            Text(text.strip_prefix(&prefix).unwrap_or(text).to_string())
        }
        ("trimSuffix", [Text(text), rest @ ..]) => {
            let suffix = rest.first().map_or(" ".to_string(), Value::text);
            Text(text.strip_suffix(&suffix).unwrap_or(text).to_string())
        }
        ("split" | "splitAfter", [_, Text(by), ..]) if by.is_empty() => return None,
        ("split", [Text(text), Text(by)]) => texts(text.split(by.as_str()).collect()),
        ("split", [Text(text), Text(by), Int(count)]) => texts(text.splitn(usize::try_from(*count).ok()?, by.as_str()).collect()),
        ("splitAfter", [Text(text), Text(by)]) => {
            let mut parts: Vec<&str> = text.split_inclusive(by.as_str()).collect();
            if text.ends_with(by.as_str()) || text.is_empty() {
                parts.push("");
            }
            texts(parts)
        }
        ("replace", [Text(text), Text(from), Text(to)]) => Text(text.replace(from.as_str(), to)),
        ("replace", [Text(text), Text(from), Text(to), Int(count)]) => match usize::try_from(*count) {
            Ok(count) => Text(text.replacen(from.as_str(), to, count)),
            Err(_) => Text(text.replace(from.as_str(), to)),
        },
        ("indexOf", [Text(text), Text(of)]) => place(text.find(of.as_str())),
        ("lastIndexOf", [Text(text), Text(of)]) => place(text.rfind(of.as_str())),
        ("hasPrefix", [Text(text), Text(of)]) => Bool(text.starts_with(of.as_str())),
        ("hasSuffix", [Text(text), Text(of)]) => Bool(text.ends_with(of.as_str())),
        _ => return None,
    })
}

fn of_list(name: &str, mut items: Vec<Value>, more: &[Value], at: usize) -> Result<Option<Value>, Wrong> {
    Ok(Some(match (name, more) {
        ("first", []) => items.first().cloned().unwrap_or_default(),
        ("last", []) => items.last().cloned().unwrap_or_default(),
        ("take", [Value::Int(count)]) => {
            items.truncate(usize::try_from(*count).map_err(|_| Wrong::new(at, "fewer than none can't be taken"))?);
            Value::List(items)
        }
        ("reverse", []) => {
            items.reverse();
            Value::List(items)
        }
        ("sort", _) => sorted(items.iter().cloned().zip(items.clone()).collect(), more.first(), at)?,
        ("uniq", []) => {
            let mut unique: Vec<Value> = Vec::new();
            for item in items {
                if !unique.iter().any(|known| known.equals(&item)) {
                    unique.push(item);
                }
            }
            Value::List(unique)
        }
        ("flatten", []) => {
            let mut flat = Vec::with_capacity(size(&Value::List(items.clone())));
            let mut left: Vec<Value> = items.into_iter().rev().collect();
            while let Some(item) = left.pop() {
                match item.items() {
                    Some(items) => left.extend(items.into_iter().rev()),
                    None => flat.push(item),
                }
            }
            Value::List(flat)
        }
        ("join", _) => {
            let glue = more.first().map(Value::text).unwrap_or_default();
            let texts: Option<Vec<String>> =
                items.iter().map(|item| if let Value::Text(text) = item { Some(text.clone()) } else { None }).collect();
            match texts {
                Some(texts) => Value::Text(texts.join(&glue)),
                None => return Err(Wrong::new(at, "only texts are joined")),
            }
        }
        _ => return Ok(None),
    }))
}
