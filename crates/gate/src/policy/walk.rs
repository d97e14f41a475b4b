//! Every part of a rule, the outer one first.

use regorus::unstable::{Expr, Literal, Query, Rule, RuleAssign, RuleHead};

#[derive(Debug, Clone, Copy)]
pub(super) enum Part<'a> {
    Expr(&'a Expr),
    /// `some name in collection`, or `every`.
    Each {
        name: &'a str,
        collection: &'a Expr,
    },
    /// What `with … as` puts in another's place.
    Replacement(&'a Expr),
}

pub(super) fn rule<'a>(rule: &'a Rule, visit: &mut dyn FnMut(Part<'a>)) {
    match rule {
        Rule::Default { value, .. } => expression(value, visit),
        Rule::Spec { head, bodies, .. } => {
            match head {
                RuleHead::Compr { refr, assign: value, .. } => {
                    expression(refr, visit);
                    assigned(value, visit);
                }
                RuleHead::Set { key, .. } => key.iter().for_each(|key| expression(key, visit)),
                RuleHead::Func { args, assign: value, .. } => {
                    args.iter().for_each(|it| expression(it, visit));
                    assigned(value, visit);
                }
            }
            for body in bodies {
                assigned(&body.assign, visit);
                self::body(&body.query, visit);
            }
        }
    }
}

fn assigned<'a>(assign: &'a Option<RuleAssign>, visit: &mut dyn FnMut(Part<'a>)) {
    assign.iter().for_each(|assign| expression(&assign.value, visit));
}

fn body<'a>(query: &'a Query, visit: &mut dyn FnMut(Part<'a>)) {
    for statement in &query.stmts {
        for with in &statement.with_mods {
            expression(&with.r#as, visit);
            visit(Part::Replacement(&with.r#as));
        }
        match &statement.literal {
            Literal::SomeVars { .. } => {}
            Literal::SomeIn { key, value, collection, .. } => {
                if let Expr::Var { span, .. } = value.as_ref() {
                    visit(Part::Each { name: span.text(), collection });
                }
                key.iter().chain([value, collection]).for_each(|it| expression(it, visit));
            }
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => expression(expr, visit),
            Literal::Every { value, domain, query, .. } => {
                visit(Part::Each { name: value.text(), collection: domain });
                expression(domain, visit);
                body(query, visit);
            }
        }
    }
}

fn expression<'a>(expr: &'a Expr, visit: &mut dyn FnMut(Part<'a>)) {
    visit(Part::Expr(expr));
    match expr {
        Expr::String { .. } | Expr::RawString { .. } | Expr::Number { .. } | Expr::Bool { .. } | Expr::Null { .. } | Expr::Var { .. } => {}
        Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().for_each(|it| expression(it, visit)),
        Expr::Object { fields, .. } => fields.iter().for_each(|(_, key, value)| {
            expression(key, visit);
            expression(value, visit);
        }),
        Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
            expression(term, visit);
            body(query, visit);
        }
        Expr::ObjectCompr { key, value, query, .. } => {
            expression(key, visit);
            expression(value, visit);
            body(query, visit);
        }
        Expr::Call { params, .. } => {
            params.iter().for_each(|it| expression(it, visit));
        }
        Expr::UnaryExpr { expr, .. } => expression(expr, visit),
        Expr::RefDot { refr, .. } => expression(refr, visit),
        Expr::RefBrack { refr, index, .. } => {
            expression(refr, visit);
            expression(index, visit);
        }
        Expr::BinExpr { lhs, rhs, .. }
        | Expr::BoolExpr { lhs, rhs, .. }
        | Expr::ArithExpr { lhs, rhs, .. }
        | Expr::AssignExpr { lhs, rhs, .. } => {
            expression(lhs, visit);
            expression(rhs, visit);
        }
        Expr::Membership { key, value, collection, .. } => {
            key.iter().chain([value, collection]).for_each(|it| expression(it, visit));
        }
    }
}
