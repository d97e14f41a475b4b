//! Changes to a file's text that leave everything else as it was written.

use std::fmt::Write as _;

use base::Span;
use base::yaml::Node;

use super::document::{Document, Step};
use super::{Edit, Fix};

/// The text with the fixes' edits made. A fix that touches what another has touched waits: lint again and apply again.
pub fn apply(text: &str, fixes: &[Fix]) -> String {
    let mut made: Vec<&Edit> = Vec::new();
    for fix in fixes {
        let free = |edit: &Edit| made.iter().all(|other| edit.span.end < other.span.start || other.span.end < edit.span.start);
        if fix.edits.iter().all(free) {
            made.extend(&fix.edits);
        }
    }
    made.sort_by_key(|edit| edit.span);
    let mut changed = String::with_capacity(text.len());
    let mut from = 0;
    for edit in made {
        changed.push_str(&text[from..edit.span.start]);
        changed.push_str(&edit.text);
        from = edit.span.end;
    }
    changed.push_str(&text[from..]);
    changed
}

/// Sets a key of a step's mapping (`with:`, `env:`), which is made where it isn't there. Nothing where the way the step
/// is written leaves doubt about where that would be.
pub(super) fn set(document: &Document<'_>, step: &Step<'_>, key: &str, name: &str, value: &str) -> Option<Edit> {
    let source = &document.source.text;
    if !document.may_edit() || [": ", " #", "\n"].iter().any(|meaning| value.contains(meaning)) {
        return None;
    }
    let mapping = step.node.as_mapping()?;
    let inside = |span: Span| step.span().start <= span.start && span.end <= step.span().end;
    if !mapping.entries.iter().all(|entry| inside(entry.key.span) && inside(entry.value.span)) {
        return None;
    }
    if let Some(entry) = mapping.entry(key) {
        return set_in(document, &entry.value, name, value);
    }
    let is_flow = source[step.span().start..].starts_with('{');
    let last = mapping.entry("uses").or_else(|| mapping.entry("run"))?;
    let at = last.value.span.end;
    if is_flow {
        let value = in_braces(value)?;
        return Some(Edit { span: Span::new(at, at), text: format!(", {key}: {{{name}: {value}}}") });
    }
    let column = column_of(source, mapping.entries.first()?.key.span.start);
    let blank = " ".repeat(column);
    // Before the key whose value may be of many lines, in front of its own line or behind the dash.
    let before = last.key.span.start;
    if key == "env" {
        return Some(Edit { span: Span::new(before, before), text: format!("{key}:\n{blank}  {name}: {value}\n{blank}") });
    }
    let one_line = !source[last.key.span.start..at].contains('\n');
    let end = document.line_end(at);
    one_line.then(|| Edit { span: Span::new(end, end), text: format!("\n{blank}{key}:\n{blank}  {name}: {value}") })
}

fn set_in(document: &Document<'_>, node: &Node, name: &str, value: &str) -> Option<Edit> {
    let source = &document.source.text;
    let mapping = node.as_mapping()?;
    let is_alias = source[node.span.start..].starts_with(['*', '&', '!']);
    if is_alias {
        return None;
    }
    if let Some(entry) = mapping.entry(name) {
        let old = &source[entry.value.span.start..entry.value.span.end];
        let plain = !old.is_empty() && !old.contains('\n') && !old.starts_with(['*', '&', '!']);
        return plain.then(|| Edit { span: entry.value.span, text: value.to_owned() });
    }
    let first = mapping.entries.first()?.key.span.start;
    let text = if source[node.span.start..].starts_with('{') {
        format!("{name}: {}, ", in_braces(value)?)
    } else {
        format!("{name}: {value}\n{}", " ".repeat(column_of(source, first)))
    };
    Some(Edit { span: Span::new(first, first), text })
}

/// A value as it can stand within braces, where its own would end them.
fn in_braces(value: &str) -> Option<String> {
    match value.contains(['{', '}', '[', ']', ',']) {
        true => (!value.contains(['"', '\\'])).then(|| format!("\"{value}\"")),
        false => Some(value.to_owned()),
    }
}

/// A whole entry with its line, for a mapping of which others stay.
pub(super) fn remove(document: &Document<'_>, node: &Node, name: &str) -> Option<Edit> {
    let source = &document.source.text;
    let mapping = node.as_mapping()?;
    let entry = mapping.entry(name)?;
    let line = document.indentation(entry.key.span.start);
    let start = source[..entry.key.span.start].rfind('\n').map_or(0, |newline| newline + 1);
    let alone = start + line.len() == entry.key.span.start && !source[node.span.start..].starts_with('{') && mapping.len() > 1;
    let end = (document.line_end(entry.value.span.end) + 1).min(source.len());
    alone.then(|| Edit { span: Span::new(start, end), text: String::new() })
}

fn column_of(source: &str, at: usize) -> usize {
    let start = source[..at].rfind('\n').map_or(0, |newline| newline + 1);
    source[start..at].chars().count()
}

/// The lines that differ, as `diff -u` shows them.
pub fn diff(name: &str, old: &str, new: &str) -> String {
    let before: Vec<&str> = old.split_inclusive('\n').collect();
    let after: Vec<&str> = new.split_inclusive('\n').collect();
    let lines = compare(&before, &after);
    let mut text = format!("--- a/{name}\n+++ b/{name}\n");
    for (from, to) in hunks(&lines) {
        let count = |sign: char, range: &[Line<'_>]| range.iter().filter(|line| line.sign == sign || line.sign == ' ').count();
        let (old_start, new_start) = (count('-', &lines[..from]) + 1, count('+', &lines[..from]) + 1);
        let (old_count, new_count) = (count('-', &lines[from..to]), count('+', &lines[from..to]));
        let _ = writeln!(text, "@@ -{old_start},{old_count} +{new_start},{new_count} @@");
        for line in &lines[from..to] {
            text.push(line.sign);
            text.push_str(line.text);
            if !line.text.ends_with('\n') {
                text.push_str("\n\\ No newline at end of file\n");
            }
        }
    }
    text
}

struct Line<'a> {
    sign: char,
    text: &'a str,
}

/// What stays at both ends, and between them the longest common run of lines; where that would take long, all of it changes.
fn compare<'a>(before: &[&'a str], after: &[&'a str]) -> Vec<Line<'a>> {
    let common = before.iter().zip(after).take_while(|(old, new)| old == new).count();
    let rest = before.len().min(after.len()) - common;
    let tail = before.iter().rev().zip(after.iter().rev()).take(rest).take_while(|(old, new)| old == new).count();
    let line = |sign| move |text: &&'a str| Line { sign, text };
    let (old, new) = (&before[common..before.len() - tail], &after[common..after.len() - tail]);
    let middle = if old.len() * new.len() > CELLS_MAX {
        old.iter().map(line('-')).chain(new.iter().map(line('+'))).collect()
    } else {
        longest_common(old, new)
    };
    let head = before[..common].iter().map(line(' '));
    head.chain(middle).chain(before[before.len() - tail..].iter().map(line(' '))).collect()
}

const CELLS_MAX: usize = 4_000_000;

fn longest_common<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Line<'a>> {
    let width = new.len() + 1;
    let mut lengths = vec![0_u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            lengths[i * width + j] = match old[i] == new[j] {
                true => lengths[(i + 1) * width + j + 1] + 1,
                false => lengths[(i + 1) * width + j].max(lengths[i * width + j + 1]),
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        let (sign, text) = if i < old.len() && j < new.len() && old[i] == new[j] {
            (' ', old[i])
        } else if j >= new.len() || (i < old.len() && lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]) {
            ('-', old[i])
        } else {
            ('+', new[j])
        };
        i += usize::from(sign != '+');
        j += usize::from(sign != '-');
        lines.push(Line { sign, text });
    }
    lines
}

/// Ranges around what changes, with three lines on each side.
fn hunks(lines: &[Line<'_>]) -> Vec<(usize, usize)> {
    const AROUND: usize = 3;
    let mut hunks: Vec<(usize, usize)> = Vec::new();
    for (at, _) in lines.iter().enumerate().filter(|(_, line)| line.sign != ' ') {
        let (from, to) = (at.saturating_sub(AROUND), (at + AROUND + 1).min(lines.len()));
        match hunks.last_mut() {
            Some((_, end)) if from <= *end => *end = to,
            _ => hunks.push((from, to)),
        }
    }
    hunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_shown_with_what_is_around_them() {
        let old = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n";
        let new = "a\nB\nc\nd\ne\nf\ng\nh\ni\nj\nk";
        let expected =
            "--- a/x\n+++ b/x\n@@ -1,5 +1,5 @@\n a\n-b\n+B\n c\n d\n e\n@@ -8,3 +8,4 @@\n h\n i\n j\n+k\n\\ No newline at end of file\n";
        assert_eq!(diff("x", old, new), expected);
        assert_eq!(diff("x", old, old), "--- a/x\n+++ b/x\n");
    }

    #[test]
    fn fixes_that_touch_wait_for_each_other() {
        let fix =
            |start, end, text: &str| Fix { title: String::new(), edits: vec![Edit { span: Span::new(start, end), text: text.to_owned() }] };
        assert_eq!(apply("abcdef", &[fix(4, 5, "E"), fix(1, 2, "B"), fix(5, 5, "!")]), "aBcdEf");
    }
}
