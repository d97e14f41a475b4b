//! The functions: what each is called, how many arguments it takes, and those that need nothing but their arguments.

use super::{Value, json, text};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Case,
    Contains,
    EndsWith,
    Format,
    FromJson,
    Join,
    StartsWith,
    ToJson,
    /// What only the run can answer, by its documented name.
    Hosted(&'static str),
}

/// How many arguments a function takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arity {
    pub min: usize,
    pub max: usize,
    /// `case` takes pairs and a default.
    pub odd: bool,
}

/// The arguments' number of a function by its name, whatever its case.
pub fn arity(function: &str) -> Option<Arity> {
    Function::named(function).map(Function::arity)
}

/// All functions by their documented names.
pub fn known_functions() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.into_iter().map(|(function, _)| function.name())
}

const FUNCTIONS: [(Function, Arity); 13] = [
    (Function::Case, Arity { min: 3, max: 255, odd: true }),
    (Function::Contains, Arity { min: 2, max: 2, odd: false }),
    (Function::EndsWith, Arity { min: 2, max: 2, odd: false }),
    (Function::Format, Arity { min: 1, max: 255, odd: false }),
    (Function::FromJson, Arity { min: 1, max: 1, odd: false }),
    (Function::Join, Arity { min: 1, max: 2, odd: false }),
    (Function::StartsWith, Arity { min: 2, max: 2, odd: false }),
    (Function::ToJson, Arity { min: 1, max: 1, odd: false }),
    (Function::Hosted("success"), Arity { min: 0, max: 255, odd: false }),
    (Function::Hosted("failure"), Arity { min: 0, max: 255, odd: false }),
    (Function::Hosted("always"), Arity { min: 0, max: 0, odd: false }),
    (Function::Hosted("cancelled"), Arity { min: 0, max: 0, odd: false }),
    (Function::Hosted("hashFiles"), Arity { min: 1, max: 255, odd: false }),
];

impl Function {
    pub(super) fn named(name: &str) -> Option<Function> {
        FUNCTIONS.into_iter().map(|(function, _)| function).find(|function| function.name().eq_ignore_ascii_case(name))
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Function::Case => "case",
            Function::Contains => "contains",
            Function::EndsWith => "endsWith",
            Function::Format => "format",
            Function::FromJson => "fromJSON",
            Function::Join => "join",
            Function::StartsWith => "startsWith",
            Function::ToJson => "toJSON",
            Function::Hosted(name) => name,
        }
    }

    pub(super) fn needs_second(self, first: &Value) -> bool {
        match (self, first) {
            (Function::Join, Value::Array(items)) => items.len() > 1,
            (Function::Join, _) => false,
            (Function::Contains, Value::Array(items)) => !items.is_empty(),
            (Function::Contains | Function::StartsWith | Function::EndsWith, first) => first.is_primitive(),
            _ => true,
        }
    }

    pub(super) fn arity(self) -> Arity {
        let entry = FUNCTIONS.into_iter().find(|(function, _)| *function == self);
        entry.expect("every function is in the table it is taken from").1
    }
}

impl Arity {
    pub(super) fn complaint(self, name: &str, given: usize) -> Option<String> {
        let arguments = |count: usize| if count == 1 { "1 argument".to_owned() } else { format!("{count} arguments") };
        if given < self.min {
            return Some(format!("`{name}` takes at least {}, {given} given", arguments(self.min)));
        }
        if given > self.max {
            return Some(format!("`{name}` takes at most {}, {given} given", arguments(self.max)));
        }
        (self.odd && given.is_multiple_of(2))
            .then(|| format!("`{name}` takes pairs and a default, so an odd number of arguments; {given} given"))
    }
}

pub(super) fn contains(place: &Value, wanted: &Value) -> bool {
    match place {
        Value::Array(items) => items.iter().any(|item| wanted.loosely_equals(item)),
        _ => both_texts(place, wanted, text::contains_ignore_case),
    }
}

pub(super) fn starts_with(whole: &Value, part: &Value) -> bool {
    both_texts(whole, part, text::starts_with_ignore_case)
}

pub(super) fn ends_with(whole: &Value, part: &Value) -> bool {
    both_texts(whole, part, text::ends_with_ignore_case)
}

fn both_texts(left: &Value, right: &Value, test: fn(&str, &str) -> bool) -> bool {
    left.is_primitive() && right.is_primitive() && test(&left.text(), &right.text())
}

/// The pieces of what `join` makes, so that their size can be counted before they are put together.
pub(super) fn join(items: &Value, separator: Option<&Value>) -> Vec<String> {
    let Value::Array(items) = items else {
        return if items.is_primitive() { vec![items.text()] } else { Vec::new() };
    };
    let separator = separator.filter(|separator| separator.is_primitive()).map_or_else(|| ",".to_owned(), Value::text);
    let mut pieces = Vec::new();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            pieces.push(separator.clone());
        }
        pieces.push(item.text());
    }
    pieces
}

pub(super) fn from_json(text: &str) -> Result<Value, String> {
    json::read(text).map_err(|why| format!("`fromJSON` can't read this as JSON: {why}"))
}

/// A piece of a format: literal text, or the number of an argument.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Argument(usize),
}

/// `{0}` is an argument, `{{` and `}}` are braces, anything else with a brace is a mistake.
pub(super) fn format_pieces(format: &str, arguments: usize) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = format;
    while let Some(at) = rest.find(['{', '}']) {
        text.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        let after = &rest[at + 1..];
        if let Some(unescaped) = after.strip_prefix(brace) {
            text.push_str(brace);
            rest = unescaped;
            continue;
        }
        let argument = (brace == "{").then(|| after.split_once('}')).flatten();
        let argument = argument.and_then(|(inside, following)| Some((argument_number(inside, following)?, following)));
        let Some((argument, following)) = argument else {
            return Err(format!("the format `{format}` has a brace without its partner; write `{{{{` or `}}}}` for a brace itself"));
        };
        if argument >= arguments {
            return Err(format!(
                "the format `{format}` asks for `{{{argument}}}`, but only {arguments} can be asked for, counted from `{{0}}`"
            ));
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut text)));
        }
        pieces.push(Piece::Argument(argument));
        rest = following;
    }
    text.push_str(rest);
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

/// A byte's worth of digits. A `:` may follow them, but no format specifiers, which exist for no kind of value; and a second
/// brace behind the `:` would be one.
fn argument_number(inside: &str, following: &str) -> Option<usize> {
    let digits = inside.strip_suffix(':').filter(|_| !following.starts_with('}')).unwrap_or(inside);
    let only_digits = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    only_digits.then(|| digits.parse::<u8>().ok()).flatten().map(usize::from)
}
