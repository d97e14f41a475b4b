//! XML as a stream of tokens, hardened: no entity is expanded, depth and size are bounded, the end must be there.

use std::io::BufRead;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::claim::Problem;
use super::source::Bounded;

/// Reports nest four or five deep.
const DEPTH_MAX: usize = 100;

#[derive(Debug)]
pub(crate) enum Token<'a> {
    Open(&'a BytesStart<'a>),
    Close(&'a str),
    Text(&'a str),
    Comment(&'a str),
}

/// Hands every token to `take` with its line; an empty element is an opening and a closing one.
pub(crate) fn walk(input: impl BufRead, mut take: impl FnMut(Token<'_>, u64) -> Result<(), Problem>) -> Result<(), Problem> {
    let mut reader = Reader::from_reader(Bounded::new(input));
    let mut buffer = Vec::new();
    let mut open: Vec<String> = Vec::new();
    let mut elements: u64 = 0;
    loop {
        buffer.clear();
        reader.get_mut().start_piece();
        let event = reader.read_event_into(&mut buffer);
        let line = reader.get_ref().line;
        match event.map_err(|error| not_well_formed(&error, line))? {
            Event::Start(start) => {
                check_open(&start, line)?;
                if open.len() == DEPTH_MAX {
                    return Err(Problem::at(line, format!("nests deeper than {DEPTH_MAX} elements")));
                }
                if open.is_empty() && elements > 0 {
                    return Err(Problem::at(line, "has more than one root element"));
                }
                elements += 1;
                open.push(start.name().0.to_string());
                take(Token::Open(&start), line)?;
            }
            Event::Empty(start) => {
                check_open(&start, line)?;
                elements += 1;
                take(Token::Open(&start), line)?;
                take(Token::Close(local(start.name().0)), line)?;
            }
            Event::End(end) => {
                open.pop();
                take(Token::Close(local(end.name().0)), line)?;
            }
            Event::Text(text) => take(Token::Text(&text.into_inner()), line)?,
            Event::CData(text) => take(Token::Text(&text.into_inner()), line)?,
            Event::Comment(text) => take(Token::Comment(&text.into_inner()), line)?,
            Event::GeneralRef(reference) => {
                if let Some(text) = predefined(&reference.into_inner()) {
                    take(Token::Text(text), line)?;
                }
            }
            Event::DocType(declaration) if declaration.xml10_content().contains("<!ENTITY") => {
                return Err(Problem::at(line, "declares entities, which are never expanded here"));
            }
            Event::DocType(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
    }
    match open.last() {
        Some(name) => Err(Problem::at(reader.get_ref().line, format!("ends in the middle of <{name}>"))),
        None if elements == 0 => Err(Problem::new("holds no element")),
        None => Ok(()),
    }
}

/// The value of an attribute with the predefined entities replaced; others stay as they are written.
pub(crate) fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = element.attributes().with_checks(false).flatten().find(|it| it.key.0 == name)?;
    Some(match quick_xml::escape::unescape(&found.value) {
        Ok(value) => value.into_owned(),
        Err(_) => found.value.into_owned(),
    })
}

/// A count in an attribute: absent is `None`, and what is no count is a problem.
pub(crate) fn count(element: &BytesStart<'_>, name: &str, line: u64) -> Result<Option<u64>, Problem> {
    let Some(text) = attribute(element, name) else { return Ok(None) };
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let parsed = text.parse().ok().or_else(|| text.strip_suffix(".0").and_then(|whole| whole.parse().ok()));
    parsed.map(Some).ok_or_else(|| Problem::at(line, format!("says {name}=\"{text}\", which is no count")))
}

pub(crate) fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

fn check_open(element: &BytesStart<'_>, line: u64) -> Result<(), Problem> {
    match element.attributes().with_checks(false).find_map(Result::err) {
        Some(error) => Err(Problem::at(line, format!("is not well-formed: {error}"))),
        None => Ok(()),
    }
}

fn not_well_formed(error: &quick_xml::Error, line: u64) -> Problem {
    match error {
        quick_xml::Error::Io(error) => Problem::at(line, format!("can't be read on: {error}")),
        quick_xml::Error::Encoding(_) => Problem::at(line, "is not encoded in UTF-8"),
        error => Problem::at(line, format!("is not well-formed: {error}")),
    }
}

fn predefined(reference: &str) -> Option<&'static str> {
    match reference {
        "lt" => Some("<"),
        "gt" => Some(">"),
        "amp" => Some("&"),
        "apos" => Some("'"),
        "quot" => Some("\""),
        "#10" | "#13" | "#9" => Some(" "),
        _ => None,
    }
}
