//! What fields there are, of which type, and which of them say something here: `fields/*.fields`, one field a line.
//!
//! ```text
//! steps [object]                                     a list of mappings, whose fields follow
//!   pause object
//!     duration int|text
//! replicas int 0..                                   a whole number, not below 0
//! type text required one-of Percentage|Pod
//! selector @Selector ~ instances have no labels      fields that stand elsewhere, below `type Selector`
//! paused bool =false - a rollout is paused by …      `=` is the value that says nothing
//! ```
//!
//! The mark at the end tells what becomes of a field that is given: none is acted on, as everything below it; `-` is not supported;
//! `*` is the same of each item of a list; `~` only names things of a cluster. After it comes what happens instead.

use std::collections::BTreeMap;
use std::sync::LazyLock;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub name: String,
    pub kind: Kind,
    pub required: bool,
    pub rule: Option<Rule>,
    /// As it would be written.
    pub says_nothing: Option<String>,
    pub mark: Mark,
    /// Of the mapping that the kind ends in.
    pub fields: Vec<Field>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Text,
    /// `1h30m`, as Go writes it.
    Duration,
    Int,
    IntOrText,
    Number,
    Bool,
    /// Whatever it is: the file of somebody else's plugin, or a part of Kubernetes that knows no closed list.
    Any,
    Object,
    /// An object whose fields stand below `type NAME`.
    Named(String),
    List(Box<Kind>),
    Map(Box<Kind>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Rule {
    Range(Option<i64>, Option<i64>),
    OneOf(Vec<String>),
}

/// What becomes of a field, and what happens instead.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Mark {
    ActedOn,
    NotSupported(String),
    EachNotSupported(String),
    OfACluster(String),
}

#[derive(Debug, Default)]
pub(super) struct Table {
    kinds: BTreeMap<String, Field>,
    types: BTreeMap<String, Field>,
}

impl Table {
    pub fn get() -> &'static Table {
        static TABLE: LazyLock<Table> = LazyLock::new(|| {
            let mut table = Table::default();
            for text in
                [include_str!("fields/kubernetes.fields"), include_str!("fields/argo.fields"), include_str!("fields/flagger.fields")]
            {
                table.add(text);
            }
            table
        });
        &TABLE
    }

    pub fn kind(&self, name: &str) -> &Field {
        &self.kinds[name]
    }

    /// The fields of the mapping that a kind ends in.
    pub fn fields_of<'a>(&'a self, field: &'a Field) -> &'a [Field] {
        match innermost(&field.kind) {
            Kind::Named(name) => &self.types[name].fields,
            _ => &field.fields,
        }
    }

    fn add(&mut self, text: &str) {
        let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        let mut lines = lines.map(|line| (line.len() - line.trim_start().len(), line.trim())).peekable();
        while let Some((_, line)) = lines.next() {
            let (line, is_type) = line.strip_prefix("type ").map_or((line.to_string(), false), |name| (format!("{name} object"), true));
            let mut field = Field::parse(&line);
            field.fields = below(&mut lines, 0);
            let place = if is_type { &mut self.types } else { &mut self.kinds };
            assert!(place.insert(field.name.clone(), field).is_none(), "`{line}` is there twice");
        }
    }
}

fn below<'a>(lines: &mut std::iter::Peekable<impl Iterator<Item = (usize, &'a str)>>, depth: usize) -> Vec<Field> {
    let mut fields = Vec::new();
    while let Some((indent, line)) = lines.next_if(|(indent, _)| *indent > depth) {
        let mut field = Field::parse(line);
        field.fields = below(lines, indent);
        fields.push(field);
    }
    fields
}

pub(super) fn innermost(kind: &Kind) -> &Kind {
    match kind {
        Kind::List(of) | Kind::Map(of) => innermost(of),
        kind => kind,
    }
}

impl Field {
    fn parse(line: &str) -> Field {
        let (facts, mark) = Mark::split(line);
        let mut words = facts.split_whitespace();
        let (name, kind) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut field = Field {
            name: name.to_string(),
            kind: Kind::parse(kind),
            required: false,
            rule: None,
            says_nothing: None,
            mark,
            fields: Vec::new(),
        };
        while let Some(word) = words.next() {
            match word {
                "required" => field.required = true,
                "one-of" => field.rule = Some(Rule::OneOf(words.next().unwrap_or_default().split('|').map(str::to_string).collect())),
                word if word.starts_with('=') => field.says_nothing = Some(word[1..].to_string()),
                word => {
                    let (least, most) = word.split_once("..").unwrap_or_else(|| panic!("`{word}` in `{line}` isn't known"));
                    field.rule = Some(Rule::Range(least.parse().ok(), most.parse().ok()));
                }
            }
        }
        field
    }
}

impl Mark {
    fn split(line: &str) -> (&str, Mark) {
        let first = [" - ", " * ", " ~ "].iter().filter_map(|sign| Some((line.find(sign)?, *sign))).min();
        let Some((at, sign)) = first else { return (line, Mark::ActedOn) };
        let instead = line[at + sign.len()..].to_string();
        let mark = match sign {
            " - " => Mark::NotSupported(instead),
            " * " => Mark::EachNotSupported(instead),
            _ => Mark::OfACluster(instead),
        };
        (&line[..at], mark)
    }
}

impl Kind {
    fn parse(word: &str) -> Kind {
        if let Some(of) = word.strip_prefix('[') {
            return Kind::List(Box::new(Kind::parse(of.trim_end_matches(']'))));
        }
        if let Some(of) = word.strip_prefix('{') {
            return Kind::Map(Box::new(Kind::parse(of.strip_suffix('}').unwrap_or(of))));
        }
        match word {
            "text" => Kind::Text,
            "duration" => Kind::Duration,
            "int" => Kind::Int,
            "int|text" => Kind::IntOrText,
            "number" => Kind::Number,
            "bool" => Kind::Bool,
            "any" => Kind::Any,
            "object" => Kind::Object,
            word => Kind::Named(word.strip_prefix('@').unwrap_or_else(|| panic!("`{word}` is no kind of a field")).to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every type that is named is there, and every field is reached: a slip in the tables is found here and not by a user.
    #[test]
    fn the_tables_are_whole() {
        let table = Table::get();
        let mut named = std::collections::BTreeSet::new();
        let mut count = 0;
        let mut left: Vec<&Field> = table.kinds.values().chain(table.types.values()).collect();
        while let Some(field) = left.pop() {
            count += 1;
            left.extend(&field.fields);
            if let Kind::Named(name) = innermost(&field.kind) {
                named.insert(name.as_str());
                assert!(field.fields.is_empty(), "`{}` has fields in two places", field.name);
            }
        }
        assert_eq!(named.into_iter().collect::<Vec<_>>(), table.types.keys().map(String::as_str).collect::<Vec<_>>());
        let kinds: Vec<&str> = table.kinds.keys().map(String::as_str).collect();
        assert_eq!(kinds, ["AlertProvider", "AnalysisTemplate", "Canary", "Experiment", "MetricTemplate", "Rollout"]);
        assert!(count > 1_000, "{count} fields are known");
    }

    #[test]
    fn a_line_says_it_all() {
        let field = Field::parse("type text required one-of Percentage|Pod - all - are ready");
        assert_eq!((field.kind, field.required), (Kind::Text, true));
        assert_eq!(field.rule, Some(Rule::OneOf(vec!["Percentage".to_string(), "Pod".to_string()])));
        assert_eq!(field.mark, Mark::NotSupported("all - are ready".to_string()));
        let field = Field::parse("headers {[text]}");
        assert_eq!(field.kind, Kind::Map(Box::new(Kind::List(Box::new(Kind::Text)))));
        let field = Field::parse("stepWeights [int] 0..100 =0");
        assert_eq!((field.rule, field.says_nothing.as_deref()), (Some(Rule::Range(Some(0), Some(100))), Some("0")));
    }
}
