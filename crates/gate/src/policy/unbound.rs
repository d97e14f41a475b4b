//! Variables that nobody binds, which the engine only finds when it comes to them.
//!
//! Too careful never: a name counts as bound where anything in its rule could bind it, in whatever order.
//! <https://www.openpolicyagent.org/docs/policy-language#variables>

use std::collections::BTreeSet;

use base::Diagnostic;
use regorus::unstable::{AssignOp, Expr, Literal, Module, Query, Ref, Rule, RuleHead, Span};

use super::load::{head_of, leftmost, package_name, span_of};

/// Of one file; `modules` are all that there are.
pub(super) fn check(module: &Module, modules: &[Ref<Module>]) -> Vec<Diagnostic> {
    let package = package_name(module).0;
    let mut known: BTreeSet<&str> = ["input", "data", "_"].into();
    for other in modules.iter().filter(|other| package_name(other).0 == package) {
        known.extend(other.policy.iter().filter_map(|rule| name_of(rule)));
    }
    for import in &module.imports {
        known.insert(
            import
                .r#as
                .as_ref()
                .map_or_else(|| import.refr.span().text().rsplit(['.', '"']).next().unwrap_or_default(), |name| name.text()),
        );
    }
    module.policy.iter().flat_map(|rule| of_rule(rule, &known)).collect()
}

fn of_rule(rule: &Rule, known: &BTreeSet<&str>) -> Vec<Diagnostic> {
    let mut vars = Vars::default();
    vars.rule(rule);
    let mut said = BTreeSet::new();
    let unbound = vars.used.iter().filter(|span| !known.contains(span.text()) && !vars.bound.contains(span.text()));
    let first = unbound.filter(|span| said.insert(span.text()));
    first
        .map(|span| {
            let message = format!("nobody binds the variable `{}`", span.text());
            let near =
                base::name::nearest(span.text(), vars.bound.iter().copied().chain(known.iter().copied().filter(|name| *name != "_")));
            let diagnostic = Diagnostic::error("policy/unbound", span_of(span), message);
            match near {
                Some(near) => diagnostic.hint(format!("did you mean `{near}`?")),
                None => diagnostic,
            }
        })
        .collect()
}

fn name_of(rule: &Rule) -> Option<&str> {
    let refr = match rule {
        Rule::Default { refr, .. } | Rule::Spec { head: RuleHead::Func { refr, .. }, .. } => refr,
        Rule::Spec { .. } => head_of(rule)?.0,
    };
    Some(leftmost(refr)?.text())
}

#[derive(Default)]
struct Vars<'a> {
    used: Vec<&'a Span>,
    bound: BTreeSet<&'a str>,
}

impl<'a> Vars<'a> {
    fn rule(&mut self, rule: &'a Rule) {
        match rule {
            Rule::Default { args, value, .. } => {
                args.iter().for_each(|it| self.binds(it));
                self.uses(value);
            }
            Rule::Spec { head, bodies, .. } => {
                match head {
                    RuleHead::Compr { refr, assign, .. } => {
                        self.in_head(refr);
                        assign.iter().for_each(|assign| self.uses(&assign.value));
                    }
                    RuleHead::Set { refr, key, .. } => {
                        self.in_head(refr);
                        key.iter().for_each(|key| self.uses(key));
                    }
                    RuleHead::Func { args, assign, .. } => {
                        args.iter().for_each(|it| self.binds(it));
                        assign.iter().for_each(|assign| self.uses(&assign.value));
                    }
                }
                for body in bodies {
                    body.assign.iter().for_each(|assign| self.uses(&assign.value));
                    self.query(&body.query);
                }
            }
        }
    }

    /// What stands in brackets behind a rule's name.
    fn in_head(&mut self, refr: &'a Expr) {
        match refr {
            Expr::RefBrack { refr, index, .. } => {
                self.in_head(refr);
                self.uses(index);
            }
            Expr::RefDot { refr, .. } => self.in_head(refr),
            _ => {}
        }
    }

    /// What stands behind `with` may be a function's name.
    fn query(&mut self, query: &'a Query) {
        for statement in &query.stmts {
            match &statement.literal {
                Literal::SomeVars { vars, .. } => self.bound.extend(vars.iter().map(Span::text)),
                Literal::SomeIn { key, value, collection, .. } => {
                    key.iter().chain([value]).for_each(|it| self.binds(it));
                    self.uses(collection);
                }
                Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.uses(expr),
                Literal::Every { key, value, domain, query, .. } => {
                    self.bound.extend(key.iter().chain([value]).map(Span::text));
                    self.uses(domain);
                    self.query(query);
                }
            }
        }
    }

    /// A pattern: each variable in it gets a value.
    fn binds(&mut self, pattern: &'a Expr) {
        let before = self.used.len();
        self.uses(pattern);
        let names: Vec<&str> = self.used[before..].iter().map(|span| span.text()).collect();
        self.bound.extend(names);
    }

    fn uses(&mut self, expr: &'a Expr) {
        match expr {
            Expr::String { .. } | Expr::RawString { .. } | Expr::Number { .. } | Expr::Bool { .. } | Expr::Null { .. } => {}
            Expr::Var { span, .. } => self.used.push(span),
            Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().for_each(|it| self.uses(it)),
            Expr::Object { fields, .. } => fields.iter().for_each(|(_, key, value)| {
                self.uses(key);
                self.uses(value);
            }),
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                self.uses(term);
                self.query(query);
            }
            Expr::ObjectCompr { key, value, query, .. } => {
                self.uses(key);
                self.uses(value);
                self.query(query);
            }
            // A last argument may take the result.
            Expr::Call { params, .. } => {
                params.iter().for_each(|it| self.uses(it));
                params.last().into_iter().for_each(|it| self.binds(it));
            }
            Expr::UnaryExpr { expr, .. } => self.uses(expr),
            Expr::RefDot { refr, .. } => self.uses(refr),
            Expr::RefBrack { refr, index, .. } => {
                self.uses(refr);
                self.binds(index);
            }
            Expr::AssignExpr { lhs, rhs, op, .. } => {
                self.binds(lhs);
                match op {
                    AssignOp::Eq => self.binds(rhs),
                    AssignOp::ColEq => self.uses(rhs),
                }
            }
            Expr::BinExpr { lhs, rhs, .. } | Expr::BoolExpr { lhs, rhs, .. } | Expr::ArithExpr { lhs, rhs, .. } => {
                self.uses(lhs);
                self.uses(rhs);
            }
            Expr::Membership { key, value, collection, .. } => {
                key.iter().chain([value, collection]).for_each(|it| self.uses(it));
            }
        }
    }
}
