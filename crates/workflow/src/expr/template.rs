//! Texts with `${{ }}` in them, and whole values that contain such texts.

use base::Span;

use super::{Error, Object, Scope, Value, evaluate_source, parse};
use crate::model::Template;

/// A text as a leaf of a template: itself if there is no `${{` in it, its expression if it is nothing else, and otherwise
/// `format('…', …)`, as the official reader makes of it. Errors carry offsets into `text`; `span` is where `text` stands
/// in its file, and the expression's own place is worked out from it where the text stands there letter for letter.
pub fn template(text: &str, span: Span) -> Result<Template, Error> {
    let pieces = pieces(text)?;
    let literal_for_literal = span.end.checked_sub(span.start) == Some(text.len());
    let place = |at: Span| if literal_for_literal { Span::new(span.start + at.start, span.start + at.end) } else { span };
    match pieces.as_slice() {
        [] => Ok(Template::String(String::new())),
        [Piece::Text(text)] => Ok(Template::String((*text).to_owned())),
        [Piece::Expression(source, at)] => {
            check(source, *at)?;
            Ok(Template::Expr { source: (*source).to_owned(), span: place(*at) })
        }
        _ => {
            let source = as_format(&pieces)?;
            parse(&source).map_err(|error| Error { span: Span::new(0, text.len()), ..error })?;
            Ok(Template::Expr { source, span: place(Span::new(0, text.len())) })
        }
    }
}

/// The value: mappings become objects, keys may be expressions, and `${{ insert }}` puts a whole mapping in its place.
pub fn evaluate_template(template: &Template, scope: &dyn Scope) -> Result<Value, Error> {
    Ok(match template {
        Template::Null => Value::Null,
        Template::Bool(bool) => Value::Bool(*bool),
        Template::Number(number) => Value::Number(*number),
        Template::String(text) => Value::from(text.as_str()),
        Template::Expr { source, .. } => evaluate_source(source, scope).map_err(|error| in_expression(error, source))?,
        Template::Sequence(items) => {
            let mut values = Vec::new();
            for item in items {
                values.push(evaluate_template(item, scope)?);
            }
            Value::array(values)
        }
        Template::Mapping(entries) => Value::object(mapping(entries, scope)?),
    })
}

/// A text with its expressions replaced by what they yield.
pub fn interpolate(text: &str, scope: &dyn Scope) -> Result<String, Error> {
    let template = template(text, Span::new(0, text.len()))?;
    Ok(evaluate_template(&template, scope)?.text())
}

fn mapping(entries: &[(Template, Template)], scope: &dyn Scope) -> Result<Object, Error> {
    let mut object = Object::new();
    for (key, value) in entries {
        if let Template::Expr { source, span } = key
            && source == "insert"
        {
            let Value::Object(inserted) = evaluate_template(value, scope)? else {
                let span = Span::new(0, span.end.saturating_sub(span.start));
                return Err(Error::evaluation(span, "what `${{ insert }}` inserts must be a mapping"));
            };
            for (key, value) in inserted.iter() {
                insert_new(&mut object, key, value.clone())?;
            }
            continue;
        }
        let key = evaluate_template(key, scope)?.text();
        insert_new(&mut object, &key, evaluate_template(value, scope)?)?;
    }
    Ok(object)
}

fn insert_new(object: &mut Object, key: &str, value: Value) -> Result<(), Error> {
    if object.get(key).is_some() {
        return Err(Error::evaluation(Span::default(), format!("the key `{key}` is given twice")));
    }
    object.insert(key, value);
    Ok(())
}

/// A stretch of a text with expressions in it.
#[derive(Debug)]
pub(crate) enum Piece<'a> {
    Text(&'a str),
    /// Without the braces and the blanks around it, and its place in the text.
    Expression(&'a str, Span),
}

pub(crate) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, Error> {
    let mut pieces = Vec::new();
    let mut offset = 0;
    while let Some(opening) = text[offset..].find("${{") {
        let opening = offset + opening;
        if opening > offset {
            pieces.push(Piece::Text(&text[offset..opening]));
        }
        let start = opening + "${{".len();
        let Some(length) = expression_length(&text[start..]) else {
            return Err(Error::lexing(Span::new(opening, text.len()), "this `${{` has no `}}` that closes it"));
        };
        let inner = &text[start..start + length];
        let leading = inner.len() - inner.trim_start().len();
        let source = inner.trim();
        offset = start + length + "}}".len();
        if source.is_empty() {
            return Err(Error::parsing(Span::new(opening, offset), "an expression was expected between `${{` and `}}`"));
        }
        let at = start + leading;
        pieces.push(Piece::Expression(source, Span::new(at, at + source.len())));
    }
    if offset < text.len() {
        pieces.push(Piece::Text(&text[offset..]));
    }
    Ok(pieces)
}

/// Up to the first `}}` that isn't inside a quoted text.
fn expression_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut quoted = false;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'\'' => quoted = !quoted,
            b'}' if !quoted && bytes.get(at + 1) == Some(&b'}') => return Some(at),
            _ => {}
        }
    }
    None
}

fn as_format(pieces: &[Piece<'_>]) -> Result<String, Error> {
    let mut format = String::new();
    let mut arguments = String::new();
    let mut count = 0;
    for piece in pieces {
        match piece {
            Piece::Text(text) => format.push_str(&text.replace('\'', "''").replace('{', "{{").replace('}', "}}")),
            Piece::Expression(source, at) => {
                check(source, *at)?;
                format.push_str(&format!("{{{count}}}"));
                arguments.push_str(&format!(", {source}"));
                count += 1;
            }
        }
    }
    Ok(format!("format('{format}'{arguments})"))
}

fn check(source: &str, at: Span) -> Result<(), Error> {
    let shifted = |error: Error| Error { span: Span::new(at.start + error.span.start, at.start + error.span.end), ..error };
    parse(source).map(drop).map_err(shifted)
}

fn in_expression(error: Error, source: &str) -> Error {
    Error { message: format!("{} (in `${{{{ {source} }}}}`)", error.message), ..error }
}
