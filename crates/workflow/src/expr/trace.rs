//! An expression with its values put in, part by part: why it holds, or doesn't.

use serde::{Deserialize, Serialize};

use super::functions::Function;
use super::lexer::Operator;
use super::parser::{Node, NodeKind};
use super::{Error, Expr, Scope, Value, evaluate, parse};

/// One part of an expression.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clause {
    /// 0 for the whole; a part of a part is one deeper.
    pub depth: u32,
    /// As written: `needs.build.result == 'success'`.
    pub source: String,
    /// With the values put in: `'failure' == 'success'`; as written where there is nothing to put in.
    pub values: String,
    /// What it yields, as it would be written; nothing when it was never looked at, or has no value.
    pub result: Option<String>,
}

/// Longest text of a value that is shown.
const TEXT_MAX: usize = 80;

/// The whole and those parts that decide it: what `&&`, `||` and `!` join, down to comparisons and calls.
///
/// # Errors
/// When the expression can't be read; one that has no value has a trace all the same.
pub fn trace(source: &str, scope: &dyn Scope) -> Result<Vec<Clause>, Error> {
    let expr = parse(source)?;
    let mut clauses = Vec::new();
    add(&mut clauses, &Part { expr: &expr, scope }, &expr.root, 0, true);
    Ok(clauses)
}

struct Part<'a> {
    expr: &'a Expr,
    scope: &'a dyn Scope,
}

impl Part<'_> {
    /// As it stands in the source; parentheses around it are no part of a node, those inside it are.
    fn written(&self, node: &Node) -> String {
        if node.span == self.expr.root.span {
            return self.expr.source.trim().to_string();
        }
        balanced(self.expr.source.get(node.span.start..node.span.end).unwrap_or_default().trim())
    }

    fn value(&self, node: &Node) -> Option<Value> {
        let expr = Expr { source: self.expr.source.clone(), root: node.clone() };
        evaluate(&expr, self.scope).ok()
    }

    fn shown(&self, node: &Node) -> String {
        self.value(node).map_or_else(|| self.written(node), |value| literal(&value))
    }

    /// The node with the values of what it is made of.
    fn with_values(&self, node: &Node) -> String {
        match &node.kind {
            NodeKind::Literal(_) | NodeKind::Wildcard | NodeKind::Call(Function::Hosted(_), _) => self.written(node),
            NodeKind::Named(_) | NodeKind::Index(_) => self.shown(node),
            NodeKind::Not(operand) => format!("!{}", self.shown(operand)),
            NodeKind::Compare(operator, pair) => format!("{} {} {}", self.shown(&pair.0), sign(*operator), self.shown(&pair.1)),
            NodeKind::And(operands) => self.joined(operands, " && "),
            NodeKind::Or(operands) => self.joined(operands, " || "),
            NodeKind::Call(function, arguments) => format!("{}({})", function.name(), self.joined(arguments, ", ")),
        }
    }

    fn joined(&self, nodes: &[Node], between: &str) -> String {
        nodes.iter().map(|node| self.shown(node)).collect::<Vec<_>>().join(between)
    }
}

fn add(clauses: &mut Vec<Clause>, part: &Part<'_>, node: &Node, depth: u32, looked_at: bool) {
    let result = part.value(node).filter(|_| looked_at);
    let source = part.written(node);
    let values = if looked_at { part.with_values(node) } else { source.clone() };
    clauses.push(Clause { depth, source, values, result: result.as_ref().map(literal) });
    match &node.kind {
        NodeKind::And(operands) => add_each(clauses, part, operands, depth, looked_at, false),
        NodeKind::Or(operands) => add_each(clauses, part, operands, depth, looked_at, true),
        NodeKind::Not(operand) if !operand.children().is_empty() => add(clauses, part, operand, depth + 1, looked_at),
        _ => {}
    }
}

/// Those behind the one that decides were never looked at.
fn add_each(clauses: &mut Vec<Clause>, part: &Part<'_>, operands: &[Node], depth: u32, looked_at: bool, wanted: bool) {
    let mut open = looked_at;
    for operand in operands {
        add(clauses, part, operand, depth + 1, open);
        open = open && part.value(operand).is_some_and(|value| value.truthy() != wanted);
    }
}

/// A node that begins or ends with a group lacks that group's outer parenthesis.
fn balanced(text: &str) -> String {
    let (mut open, mut missing, mut quoted) = (0_usize, 0_usize, false);
    for c in text.chars() {
        match c {
            '\'' => quoted = !quoted,
            '(' if !quoted => open += 1,
            ')' if !quoted && open == 0 => missing += 1,
            ')' if !quoted => open -= 1,
            _ => {}
        }
    }
    format!("{}{text}{}", "(".repeat(missing), ")".repeat(open))
}

/// As it would be written in an expression; what has no such form is named.
fn literal(value: &Value) -> String {
    match value {
        Value::Null => "null".to_string(),
        Value::String(text) => {
            let mut shown: String = text.chars().take(TEXT_MAX).collect();
            if shown.len() < text.len() {
                shown.push('…');
            }
            format!("'{}'", shown.replace('\'', "''"))
        }
        Value::Array(items) => format!("[{} items]", items.len()),
        Value::Object(object) => format!("{{{} entries}}", object.len()),
        other => other.text(),
    }
}

fn sign(operator: Operator) -> &'static str {
    match operator {
        Operator::Equal => "==",
        Operator::NotEqual => "!=",
        Operator::Less => "<",
        Operator::LessOrEqual => "<=",
        Operator::Greater => ">",
        Operator::GreaterOrEqual => ">=",
        Operator::Not => "!",
        Operator::And => "&&",
        Operator::Or => "||",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Needs;

    impl Scope for Needs {
        fn context(&self, name: &str) -> Option<Value> {
            let json = match name {
                "needs" => serde_json::json!({ "build": { "result": "failure", "outputs": {} } }),
                "github" => serde_json::json!({ "ref": "refs/heads/it's", "event": {} }),
                _ => return None,
            };
            Some(Value::from_json(&json))
        }

        fn call(&self, function: &str, _: &[Value]) -> Option<Result<Value, String>> {
            Some(Ok(Value::Bool(function == "always")))
        }
    }

    fn check(source: &str, expected: &[&str]) {
        let clauses = trace(source, &Needs).unwrap();
        let shown: Vec<String> = clauses
            .iter()
            .map(|it| {
                let result = it.result.as_deref().unwrap_or("-");
                format!("{}{} → {} → {result}", "  ".repeat(it.depth as usize), it.source, it.values)
            })
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn values_are_put_in_part_by_part() {
        check("needs.build.result == 'success'", &["needs.build.result == 'success' → 'failure' == 'success' → false"]);
        check(
            "success() && (github.ref == 'refs/heads/main' || always())",
            &[
                "success() && (github.ref == 'refs/heads/main' || always()) → false && true → false",
                "  success() → success() → false",
                "  github.ref == 'refs/heads/main' || always() → github.ref == 'refs/heads/main' || always() → -",
                "    github.ref == 'refs/heads/main' → github.ref == 'refs/heads/main' → -",
                "    always() → always() → -",
            ],
        );
        check(
            "!contains(github.ref, 'it''s')",
            &[
                "!contains(github.ref, 'it''s') → !true → false",
                "  contains(github.ref, 'it''s') → contains('refs/heads/it''s', 'it''s') → true",
            ],
        );
        check(
            "false || (github.ref && (always() || false))",
            &[
                "false || (github.ref && (always() || false)) → false || true → true",
                "  false → false → false",
                "  github.ref && (always() || false) → 'refs/heads/it''s' && true → true",
                "    github.ref → 'refs/heads/it''s' → 'refs/heads/it''s'",
                "    always() || false → true || false → true",
                "      always() → always() → true",
                "      false → false → -",
            ],
        );
        check("github.event.number", &["github.event.number → null → null"]);
    }

    #[test]
    fn what_has_no_value_has_a_trace_all_the_same() {
        check("fromJSON(github.ref)", &["fromJSON(github.ref) → fromJSON('refs/heads/it''s') → -"]);
        assert!(trace("a ==", &Needs).is_err());
    }
}
