//! `extends` and `!reference`, in GitLab's order: first every job gets what it extends, then references are replaced.

use std::collections::BTreeMap;

use base::name::nearest;

use super::tree::{Place, Problem, Tree, Value, error};

/// As deep as GitLab follows each.
const EXTENDS_MAX: usize = 10;
const REFERENCES_MAX: usize = 10;

/// So many values a configuration may grow to by being put together; a file of a megabyte has some forty thousand.
pub(super) const VALUES_MAX: usize = 1_000_000;

/// Replaces `extends` in every mapping at the top by what it names; a job's own keys win.
pub(super) fn extend(root: &mut Tree, problems: &mut Vec<Problem>) {
    let Value::Map(entries) = &root.value else { return };
    let known: BTreeMap<&str, &Tree> = entries.iter().map(|(key, value)| (key.text.as_str(), value)).collect();
    let mut extender = Extender { known, problems, done: BTreeMap::new(), values: 0, full: false };
    let names: Vec<String> = entries.iter().filter(|(_, value)| value.get("extends").is_some()).map(|(key, _)| key.text.clone()).collect();
    let done: BTreeMap<String, Tree> = names
        .into_iter()
        .map(|name| {
            let tree = extender.extended(&name, &mut Vec::new());
            (name, tree)
        })
        .collect();
    let Value::Map(entries) = &mut root.value else { return };
    for (key, value) in entries {
        if let Some(tree) = done.get(&key.text) {
            *value = tree.clone();
        }
    }
}

struct Extender<'a> {
    known: BTreeMap<&'a str, &'a Tree>,
    problems: &'a mut Vec<Problem>,
    done: BTreeMap<String, Tree>,
    values: usize,
    full: bool,
}

impl Extender<'_> {
    fn extended(&mut self, name: &str, around: &mut Vec<String>) -> Tree {
        if let Some(done) = self.done.get(name) {
            return done.clone();
        }
        let mut own = (*self.known.get(name).expect("only known entries are extended")).clone();
        let Some(extends) = own.remove("extends") else { return own };
        around.push(name.to_string());
        let mut base: Option<Tree> = None;
        for (wanted, place) in self.names(&extends) {
            if around.contains(&wanted) {
                let circle = format!("`{}` → `{wanted}`", around.join("` → `"));
                self.problems.push(error("gitlab/extends", place, format!("`extends` goes in a circle: {circle}")));
                continue;
            }
            if around.len() > EXTENDS_MAX {
                self.problems.push(error("gitlab/extends", place, format!("`extends` is nested deeper than {EXTENDS_MAX} levels")));
                continue;
            }
            match self.known.get(wanted.as_str()) {
                Some(tree) if tree.map().is_some() => {
                    let more = self.extended(&wanted, around);
                    match &mut base {
                        Some(base) => base.merge(&more),
                        None => base = Some(more),
                    }
                }
                _ => {
                    let near = nearest(&wanted, self.known.keys().copied()).map(str::to_string);
                    let (file, mut problem) = error("gitlab/extends", place, format!("there is no job `{wanted}` to extend"));
                    if let Some(near) = near {
                        problem = problem.hint(format!("did you mean `{near}`?"));
                    }
                    self.problems.push((file, problem));
                }
            }
        }
        around.pop();
        let place = own.place;
        let mut tree = match base {
            Some(mut base) => {
                base.merge(&own);
                base
            }
            None => own,
        };
        tree.place = place;
        self.values += tree.size();
        if self.values > VALUES_MAX && !self.full {
            self.full = true;
            self.problems.push(error(
                "gitlab/too-large",
                extends.place,
                format!("`extends` makes this file larger than {VALUES_MAX} values"),
            ));
        }
        if !self.full {
            self.done.insert(name.to_string(), tree.clone());
        }
        tree
    }

    fn names(&mut self, extends: &Tree) -> Vec<(String, Place)> {
        let items = match &extends.value {
            Value::Text(name) => return vec![(name.clone(), extends.place)],
            Value::List(items) => items,
            _ => {
                let message = format!("`extends` can't be {}", extends.kind());
                self.problems.push(error("gitlab/wrong-type", extends.place, message));
                return Vec::new();
            }
        };
        items.iter().filter_map(|item| Some((item.text()?, item.place))).collect()
    }
}

/// Replaces every `!reference` by what it names.
pub(super) fn resolve(root: &mut Tree, problems: &mut Vec<Problem>) {
    let before = root.clone();
    let mut resolver = Resolver { root: &before, problems, values: 0, full: false };
    resolver.visit(root, &mut Vec::new());
}

struct Resolver<'a> {
    root: &'a Tree,
    problems: &'a mut Vec<Problem>,
    values: usize,
    full: bool,
}

impl Resolver<'_> {
    fn visit(&mut self, tree: &mut Tree, around: &mut Vec<Vec<String>>) {
        let place = tree.place;
        match &mut tree.value {
            Value::List(items) => items.iter_mut().for_each(|item| self.visit(item, around)),
            Value::Map(entries) => entries.iter_mut().for_each(|(_, value)| self.visit(value, around)),
            Value::Reference(path) => {
                let path: Vec<String> = path.iter().filter_map(Tree::text).collect();
                tree.value = self.referenced(path, place, around).map_or(Value::Null, |found| found.value);
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
        }
    }

    fn referenced(&mut self, path: Vec<String>, place: Place, around: &mut Vec<Vec<String>>) -> Option<Tree> {
        let shown = format!("`!reference [{}]`", path.join(", "));
        let mut wrong = |message: String| self.problems.push(error("gitlab/reference", place, message));
        if around.contains(&path) {
            wrong(format!("{shown} refers to itself"));
            return None;
        }
        if around.len() >= REFERENCES_MAX {
            wrong(format!("references are nested deeper than {REFERENCES_MAX} levels here"));
            return None;
        }
        let mut found = self.root;
        for (depth, key) in path.iter().enumerate() {
            let Some(next) = found.get(key) else {
                let near = found.map().and_then(|entries| nearest(key, entries.iter().map(|(key, _)| key.text.as_str())));
                let inside = if depth == 0 { String::new() } else { format!(" in `{}`", path[..depth].join(".")) };
                let (file, mut problem) = error("gitlab/reference", place, format!("{shown}: there is no `{key}`{inside}"));
                if let Some(near) = near {
                    problem = problem.hint(format!("did you mean `{near}`?"));
                }
                self.problems.push((file, problem));
                return None;
            };
            found = next;
        }
        self.values += found.size();
        if self.values > VALUES_MAX {
            if !std::mem::replace(&mut self.full, true) {
                wrong(format!("references make this file larger than {VALUES_MAX} values"));
            }
            return None;
        }
        let mut tree = found.clone();
        around.push(path);
        self.visit(&mut tree, around);
        around.pop();
        Some(tree)
    }
}
