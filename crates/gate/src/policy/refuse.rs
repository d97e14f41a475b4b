//! What no policy may do: look at the world, the clock or a dice; call what isn't there; call itself.
//!
//! All of it is refused when the file is read, because at run time "not there" is "undefined", and an undefined `deny` allows.

use std::collections::{BTreeMap, BTreeSet};

use base::{Diagnostic, Source, Span};
use regorus::unstable::{BUILTINS, Expr, Module, Ref, Rule, RuleHead};

use super::load::{PolicyDiagnostic, span_of};
use super::walk::{self, Part};

const REFUSED: [(&str, &str); 10] = [
    ("http.send", "a policy has no network: what it needs must be in `input`"),
    ("net.lookup_ip_addr", "a policy has no network: what it needs must be in `input`"),
    ("opa.runtime", "a policy has no environment: what it needs must be in `input`"),
    ("time.now_ns", "a policy has no clock: use `time.parse_rfc3339_ns(input.time)`"),
    ("rand.intn", "a policy must decide the same twice"),
    ("uuid.rfc4122", "a policy must decide the same twice"),
    ("trace", "nobody would read it: put what there is to say into `warnings`"),
    ("walk", "it has no bound: name the fields, or use `some … in`"),
    ("numbers.range_step", "it has no bound: use `numbers.range`"),
    ("rego.parse_module", "a policy does not read policies"),
];

pub(super) fn check(modules: &[Ref<Module>], loaded: &[(Source, bool)]) -> Vec<PolicyDiagnostic> {
    let calls: Vec<FileCalls> = modules.iter().map(|module| FileCalls::of(module)).collect();
    let functions: BTreeSet<&str> = calls.iter().flat_map(|file| file.functions.keys().map(String::as_str)).collect();
    let recursive = recursive(&calls);
    let mut res = Vec::new();
    for (file, (source, _)) in calls.iter().zip(loaded) {
        let mut say = |diagnostic| res.push(PolicyDiagnostic { source: source.clone(), diagnostic });
        for call in file.functions.values().chain([&file.rules]).flatten() {
            if let Some((name, why)) = REFUSED.iter().find(|(name, _)| *name == call.name) {
                say(Diagnostic::error("policy/refused", call.span, format!("`{name}` is refused in a policy")).hint(*why));
            } else if !call.is_known(&functions, file) {
                say(unknown(call));
            }
        }
        for (name, calls) in &file.functions {
            if recursive.contains(name.as_str())
                && let Some(call) = calls.iter().find(|call| recursive.contains(call.name.rsplit('.').next().unwrap_or_default()))
            {
                say(Diagnostic::error("policy/recursion", call.span, format!("the function `{name}` calls itself")));
            }
        }
    }
    res
}

fn unknown(call: &Call) -> Diagnostic {
    let diagnostic = Diagnostic::error("policy/unknown-function", call.span, format!("there is no function `{}`", call.name));
    match base::name::nearest(&call.name, BUILTINS.keys().copied()) {
        Some(near) => diagnostic.hint(format!("did you mean `{near}`?")),
        None => diagnostic,
    }
}

/// Names of functions that come back to themselves, by bare name over all files: too careful rather than a stack that ends the process.
fn recursive(files: &[FileCalls]) -> BTreeSet<&str> {
    let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, calls) in files.iter().flat_map(|file| &file.functions) {
        let targets = calls.iter().filter(|call| !BUILTINS.contains_key(call.name.as_str()));
        edges.entry(name).or_default().extend(targets.map(|call| call.name.rsplit('.').next().unwrap_or_default()));
    }
    // What no cycle goes through loses its last outgoing edge sooner or later.
    loop {
        let open: BTreeSet<&str> = edges.keys().copied().collect();
        let before = edges.len();
        edges.retain(|_, targets| targets.iter().any(|target| open.contains(target)));
        if edges.len() == before {
            return reaching_themselves(&edges);
        }
    }
}

fn reaching_themselves<'a>(edges: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let reaches_itself = |start: &&'a str| {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&str> = vec![start];
        while let Some(name) = open.pop() {
            for target in edges.get(name).into_iter().flatten() {
                if target == start {
                    return true;
                }
                if seen.insert(*target) {
                    open.push(target);
                }
            }
        }
        false
    };
    edges.keys().copied().filter(reaches_itself).collect()
}

#[derive(Debug)]
struct Call {
    name: String,
    span: Span,
}

impl Call {
    fn is_known(&self, functions: &BTreeSet<&str>, file: &FileCalls) -> bool {
        match self.name.split_once('.') {
            _ if BUILTINS.contains_key(self.name.as_str()) || matches!(self.name.as_str(), "print" | "numbers.range") => true,
            // Of another package: by its full path or by the name it was imported under.
            Some((root, _)) => {
                (root == "data" || file.imports.contains(root)) && functions.contains(self.name.rsplit('.').next().unwrap_or_default())
            }
            None => functions.contains(self.name.as_str()) || file.imports.contains(&self.name),
        }
    }
}

/// Every call in a file: by the function that makes it, and those of plain rules.
#[derive(Debug, Default)]
struct FileCalls {
    functions: BTreeMap<String, Vec<Call>>,
    rules: Vec<Call>,
    imports: BTreeSet<String>,
}

impl FileCalls {
    fn of(module: &Module) -> FileCalls {
        let mut res = FileCalls::default();
        for import in &module.imports {
            let last = || import.refr.span().text().rsplit(['.', '"']).next().unwrap_or_default().to_string();
            res.imports.insert(import.r#as.as_ref().map_or_else(last, |name| name.text().to_string()));
        }
        for rule in &module.policy {
            let mut calls = Vec::new();
            walk::rule(rule, &mut |part| calls.extend(call_of(part)));
            match function_name(rule) {
                Some(name) => res.functions.entry(name).or_default().extend(calls),
                None => res.rules.extend(calls),
            }
        }
        res
    }
}

/// `with` can put one function in another's place: the replacement is named, not called.
fn call_of(part: Part<'_>) -> Option<Call> {
    match part {
        Part::Expr(Expr::Call { fcn, .. }) => {
            let name: String = fcn.span().text().chars().filter(|c| !c.is_whitespace()).collect();
            Some(Call { name, span: span_of(fcn.span()) })
        }
        Part::Replacement(expr) => {
            let name = expr.span().text();
            let is_refused = REFUSED.iter().any(|(refused, _)| *refused == name);
            is_refused.then(|| Call { name: name.to_string(), span: span_of(expr.span()) })
        }
        Part::Expr(_) | Part::Each { .. } => None,
    }
}

fn function_name(rule: &Rule) -> Option<String> {
    let refr = match rule {
        Rule::Spec { head: RuleHead::Func { refr, .. }, .. } => refr,
        Rule::Default { refr, args, .. } if !args.is_empty() => refr,
        _ => return None,
    };
    Some(refr.span().text().rsplit('.').next().unwrap_or_default().to_string())
}
