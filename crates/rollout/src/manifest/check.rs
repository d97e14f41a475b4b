//! Is a file what its tables say, field by field, and what in it is not acted on?

use base::yaml::{Entry, Mapping, Node, Value};
use base::{Diagnostic, Span};

use super::fields::{Field, Kind, Mark, Rule, Table};
use super::{LeftOut, MISSING, TYPE, UNKNOWN, VALUE, duration};

/// Numbers beyond it are no whole numbers any more where they are read.
const INT_MAX: i64 = 1 << 53;

/// Everything that is wrong, all of it at once, and everything that is left out.
#[derive(Debug, Default)]
pub(super) struct Checker {
    pub diagnostics: Vec<Diagnostic>,
    pub left_out: Vec<LeftOut>,
}

impl Checker {
    pub fn document(&mut self, node: &Node, kind: &str) {
        let field = Table::get().kind(kind);
        if let Some(mapping) = self.mapping(node) {
            self.fields(mapping, node.span, &field.fields, "", true);
        }
    }

    /// `tells` where nothing around it has been left out already.
    fn fields(&mut self, mapping: &Mapping, place: Span, fields: &[Field], path: &str, tells: bool) {
        let known: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        self.diagnostics.extend(mapping.unknown_keys(UNKNOWN, &known));
        let unknown = mapping.entries.iter().map(|entry| entry.key.text.as_str()).filter(|key| !known.contains(key));
        // One slip of the pen is one mistake.
        let meant: Vec<&str> = unknown.filter_map(|key| base::name::nearest(key, known.iter().copied())).collect();
        for field in fields {
            // `null` is what is not there, as a cluster reads it.
            let Some(entry) = mapping.entry(&field.name).filter(|entry| !entry.value.is_null()) else {
                if field.required && !meant.contains(&field.name.as_str()) {
                    let at = mapping.entry(&field.name).map_or(place_of_first(mapping, place), |entry| entry.key.span);
                    self.diagnostics.push(Diagnostic::error(MISSING, at, format!("`{}` is missing here", field.name)));
                }
                continue;
            };
            let path = if path.is_empty() { field.name.clone() } else { format!("{path}.{}", field.name) };
            let tells_below = tells && self.mark(entry, field, &path);
            self.value(&entry.value, &field.kind, field, &path, tells_below);
        }
    }

    /// Whether what is below it still has to be told.
    fn mark(&mut self, entry: &Entry, field: &Field, path: &str) -> bool {
        let (why, of_a_cluster) = match &field.mark {
            Mark::ActedOn => return true,
            Mark::NotSupported(why) | Mark::EachNotSupported(why) => (why, false),
            Mark::OfACluster(why) => (why, true),
        };
        if says_nothing(&entry.value, field) {
            return false;
        }
        let each = matches!(field.mark, Mark::EachNotSupported(_));
        match entry.value.as_sequence().filter(|_| each) {
            Some(items) => {
                for (index, item) in items.iter().enumerate() {
                    let name = item.get("name").and_then(Node::as_str).map_or(String::new(), |name| format!(" ({name})"));
                    self.leave_out(&format!("{path}[{index}]{name}"), first_line(item), why, of_a_cluster);
                }
            }
            None => self.leave_out(path, entry.key.span, why, of_a_cluster),
        }
        false
    }

    pub fn leave_out(&mut self, what: &str, span: Span, why: &str, of_a_cluster: bool) {
        self.left_out.push(LeftOut { what: what.to_string(), span, instead: why.to_string(), of_a_cluster });
    }

    fn value(&mut self, node: &Node, kind: &Kind, field: &Field, path: &str, tells: bool) {
        match kind {
            Kind::Any => {}
            Kind::Text => self.text(node, field),
            Kind::Duration => self.duration(node),
            Kind::Int => self.int(node, field),
            Kind::IntOrText => self.int_or_text(node, field),
            Kind::Number => match node.as_number() {
                Some(number) if number.is_finite() => {}
                Some(_) => self.wrong(VALUE, node, "a finite number is expected here"),
                None => self.expected(node, "a number"),
            },
            Kind::Bool => {
                if node.as_bool().is_none() {
                    self.expected(node, "`true` or `false`");
                }
            }
            Kind::Object | Kind::Named(_) => {
                if let Some(mapping) = self.mapping(node) {
                    self.fields(mapping, node.span, Table::get().fields_of(field), path, tells);
                }
            }
            Kind::List(of) => match node.as_sequence() {
                Some(items) => {
                    for (index, item) in items.iter().enumerate() {
                        self.item(item, of, field, &format!("{path}[{index}]"), tells);
                    }
                }
                None => self.expected(node, "a list"),
            },
            Kind::Map(of) => {
                for (key, value) in self.mapping(node).into_iter().flat_map(Mapping::iter) {
                    self.item(value, of, field, &format!("{path}.{}", key.text), tells);
                }
            }
        }
    }

    fn item(&mut self, node: &Node, kind: &Kind, field: &Field, path: &str, tells: bool) {
        if node.is_null() {
            self.diagnostics.push(Diagnostic::error(VALUE, node.span, "nothing stands here").hint("remove it, or say what is meant"));
            return;
        }
        self.value(node, kind, field, path, tells);
    }

    fn text(&mut self, node: &Node, field: &Field) {
        let Some(text) = node.as_str() else {
            let message = format!("a text is expected here, this is {}", node.kind());
            let diagnostic = Diagnostic::error(TYPE, node.span, message);
            let plain = matches!(node.value(), Value::Bool(_) | Value::Number(_));
            self.diagnostics.push(if plain { diagnostic.hint("put it in quotes") } else { diagnostic });
            return;
        };
        let Some(Rule::OneOf(known)) = &field.rule else { return };
        // An empty text is what a cluster takes for nothing.
        if text.is_empty() || known.iter().any(|known| known == text) {
            return;
        }
        let quoted: Vec<String> = known.iter().map(|known| format!("`{known}`")).collect();
        let nearest = base::name::nearest(text, known.iter().map(String::as_str));
        let hint = nearest.map_or(format!("one of {}", quoted.join(", ")), |near| format!("did you mean `{near}`?"));
        self.diagnostics.push(Diagnostic::error(VALUE, node.span, format!("`{text}` is none of what can stand here")).hint(hint));
    }

    fn duration(&mut self, node: &Node) {
        match node.value() {
            // The value may come from an argument.
            Value::String(text) if text.contains("{{") || text.is_empty() => {}
            Value::String(text) => {
                if duration::parse_ms(text).is_none() {
                    let message = format!("`{text}` is no length of time");
                    self.diagnostics.push(Diagnostic::error(VALUE, node.span, message).hint("`30s`, `5m`, `1h30m`"));
                }
            }
            Value::Number(number) => {
                let message = "a length of time with its unit is expected here, this is a number";
                self.diagnostics.push(Diagnostic::error(TYPE, node.span, message).hint(format!("`{number}s`, if seconds are meant")));
            }
            _ => self.expected(node, "a length of time such as `30s`"),
        }
    }

    fn int(&mut self, node: &Node, field: &Field) {
        let Some(number) = node.as_number() else {
            let is_number_in_quotes = node.as_str().is_some_and(|text| text.parse::<i64>().is_ok());
            let diagnostic = Diagnostic::error(TYPE, node.span, format!("a whole number is expected here, this is {}", node.kind()));
            self.diagnostics.push(if is_number_in_quotes { diagnostic.hint("remove the quotes") } else { diagnostic });
            return;
        };
        self.range(node, number, field);
    }

    fn int_or_text(&mut self, node: &Node, field: &Field) {
        match node.value() {
            Value::Number(number) => self.range(node, *number, field),
            Value::String(_) => {}
            _ => self.expected(node, "a whole number or a text"),
        }
    }

    fn range(&mut self, node: &Node, number: f64, field: &Field) {
        let (least, most) = match field.rule {
            Some(Rule::Range(least, most)) => (least.unwrap_or(-INT_MAX), most.unwrap_or(i64::from(i32::MAX))),
            _ => (-INT_MAX, INT_MAX),
        };
        if number.fract() == 0.0 && number >= least as f64 && number <= most as f64 {
            return;
        }
        let message = match (least == -INT_MAX, most == INT_MAX) {
            (true, true) => "a whole number is expected here".to_string(),
            _ if most == i64::from(i32::MAX) => format!("a whole number of {least} or more is expected here"),
            _ => format!("a whole number from {least} to {most} is expected here"),
        };
        self.wrong(VALUE, node, &message);
    }

    fn mapping<'a>(&mut self, node: &'a Node) -> Option<&'a Mapping> {
        if node.as_mapping().is_none() {
            self.expected(node, "a mapping");
        }
        node.as_mapping()
    }

    fn expected(&mut self, node: &Node, what: &str) {
        self.wrong(TYPE, node, &format!("{what} is expected here, this is {}", node.kind()));
    }

    fn wrong(&mut self, code: &'static str, node: &Node, message: &str) {
        self.diagnostics.push(Diagnostic::error(code, node.span, message));
    }
}

/// Where the first key stands: the whole mapping would underline a page.
fn place_of_first(mapping: &Mapping, whole: Span) -> Span {
    mapping.entries.first().map_or(whole, |entry| entry.key.span)
}

/// Of an item of a list, what names it.
fn first_line(item: &Node) -> Span {
    item.as_mapping().map_or(item.span, |mapping| place_of_first(mapping, item.span))
}

/// Empty, or the value that is so anyway.
fn says_nothing(node: &Node, field: &Field) -> bool {
    let written = match node.value() {
        Value::Bool(bool) => bool.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Null => return true,
        Value::Sequence(items) => return items.is_empty(),
        Value::Mapping(mapping) => return mapping.is_empty(),
    };
    written.is_empty() || field.says_nothing.as_ref() == Some(&written)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use base::{Source, yaml};

    use super::super::fields::innermost;
    use super::*;

    /// A document with every field there is, each with a value that it can have and that says something.
    fn all_of(field: &Field, indent: usize, text: &mut String) {
        for field in Table::get().fields_of(field) {
            let _ = write!(text, "{}{}:", "  ".repeat(indent), field.name);
            value_of(&field.kind, field, indent + 1, text);
        }
    }

    fn value_of(kind: &Kind, field: &Field, indent: usize, text: &mut String) {
        let pad = "  ".repeat(indent);
        let scalar = match (kind, &field.rule) {
            (_, Some(Rule::OneOf(known))) if matches!(kind, Kind::Text) => known[0].clone(),
            (Kind::Int | Kind::Number, Some(Rule::Range(least, _))) => (least.unwrap_or(0) + 1).to_string(),
            (Kind::Text, _) => "some".to_string(),
            (Kind::Duration, _) => "30s".to_string(),
            (Kind::Int | Kind::IntOrText | Kind::Number, _) => "3".to_string(),
            (Kind::Bool, _) => "true".to_string(),
            (Kind::Any, _) => "{some: thing}".to_string(),
            (Kind::Object | Kind::Named(_), _) => {
                text.push('\n');
                return all_of(field, indent, text);
            }
            (Kind::List(of), _) => {
                if matches!(innermost(of), Kind::Object | Kind::Named(_)) {
                    text.push_str(&format!("\n{pad}-\n"));
                    return all_of(field, indent + 1, text);
                }
                text.push_str(&format!("\n{pad}-"));
                return value_of(of, field, indent + 1, text);
            }
            (Kind::Map(of), _) => {
                text.push_str(&format!("\n{pad}key:"));
                return value_of(of, field, indent + 1, text);
            }
        };
        let _ = writeln!(text, " {scalar}");
    }

    /// The paths below which nothing is left out, and those that are.
    fn sorted_out(field: &Field, path: &str, acted_on: &mut Vec<String>, left_out: &mut Vec<String>) {
        for field in Table::get().fields_of(field) {
            let path = if path.is_empty() { field.name.clone() } else { format!("{path}.{}", field.name) };
            let item = if matches!(field.kind, Kind::List(_)) { "[0]" } else { "" };
            match &field.mark {
                Mark::ActedOn if Table::get().fields_of(field).is_empty() => acted_on.push(path),
                Mark::ActedOn => sorted_out(field, &format!("{path}{item}"), acted_on, left_out),
                Mark::EachNotSupported(_) => left_out.push(format!("{path}[0]")),
                Mark::NotSupported(_) | Mark::OfACluster(_) => left_out.push(path),
            }
        }
    }

    /// Every field is taken as the tables have it, and each that isn't acted on is told of; what is acted on is this and no more.
    #[test]
    fn every_field_is_either_acted_on_or_told() {
        let acted_on_of = |kind: &str| {
            let mut text = String::new();
            all_of(Table::get().kind(kind), 0, &mut text);
            let (node, wrong) = yaml::parse(&Source::new("all.yaml", text.as_str()));
            assert_eq!(wrong, [], "{text}");
            let mut checker = Checker::default();
            checker.document(&node.expect("it is a document"), kind);
            assert_eq!(checker.diagnostics, [], "{text}");
            let (mut acted_on, mut left_out) = (Vec::new(), Vec::new());
            sorted_out(Table::get().kind(kind), "", &mut acted_on, &mut left_out);
            let told: Vec<String> = checker.left_out.iter().map(|it| it.what.split(' ').next().unwrap_or_default().to_string()).collect();
            assert_eq!(told, left_out, "{kind}");
            acted_on.join(" ").replace("apiVersion kind metadata.name ", "")
        };
        assert_eq!(
            acted_on_of("Rollout"),
            "spec.progressDeadlineAbort spec.progressDeadlineSeconds spec.replicas spec.strategy.blueGreen.autoPromotionEnabled \
             spec.strategy.blueGreen.autoPromotionSeconds spec.strategy.blueGreen.scaleDownDelaySeconds spec.strategy.canary.maxSurge \
             spec.strategy.canary.maxUnavailable spec.strategy.canary.minPodsPerReplicaSet spec.strategy.canary.scaleDownDelaySeconds \
             spec.strategy.canary.steps[0].pause.duration spec.strategy.canary.steps[0].setWeight \
             spec.strategy.canary.trafficRouting.maxTrafficWeight"
        );
        assert_eq!(
            acted_on_of("Canary"),
            "spec.progressDeadlineSeconds spec.skipAnalysis spec.analysis.interval spec.analysis.iterations spec.analysis.maxWeight \
             spec.analysis.stepWeight spec.analysis.stepWeights"
        );
        for kind in ["AnalysisTemplate", "Experiment", "MetricTemplate", "AlertProvider"] {
            assert_eq!(acted_on_of(kind), "apiVersion kind metadata.name", "{kind}");
        }
    }
}
