//! Files that take no part in a decision, and would be taken for a gate.

use base::{Diagnostic, Source};
use regorus::unstable::{Module, Ref, Rule, Span};

use super::load::{ASKED, MAIN_PACKAGE, Package, PolicyDiagnostic, head_of, is_ours, is_test, leftmost, package_name, span_of};

/// A file that takes no part in a decision: nobody asks its package, and no file of another package names it.
#[derive(Debug, Clone)]
pub struct Idle {
    pub path: String,
    pub package: String,
    /// Where it is meant to decide: it has a rule that is asked elsewhere, or its package would be asked.
    pub meant: Option<PolicyDiagnostic>,
}

/// `plimsoll.gate` is looked at where files are loaded: it takes the default's place.
pub(super) fn idle(modules: &[Ref<Module>], loaded: &[(Source, bool)], packages: &[Package]) -> Vec<Idle> {
    let names: Vec<String> = modules.iter().map(|module| package_name(module).1).collect();
    let texts: Vec<String> = loaded.iter().map(|(source, _)| without_comments(&source.text)).collect();
    let is_named = |name: &str| (0..texts.len()).any(|other| names[other] != name && names_package(&texts[other], name));
    let mut all = Vec::new();
    for ((module, (source, _)), name) in modules.iter().zip(loaded).zip(&names) {
        let is_asked = name == MAIN_PACKAGE || packages.iter().any(|package| package.name == *name);
        if !is_asked && !is_test(source) && !is_named(name) {
            let meant = unheard(module, source, name);
            all.push(Idle { path: source.name.to_string(), package: name.clone(), meant });
        }
    }
    all
}

fn without_comments(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n")
}

/// `data.lib.words`, or all of `data.lib`.
fn names_package(text: &str, package: &str) -> bool {
    let path = format!("data.{package}");
    let ends: Vec<usize> = path.match_indices('.').map(|(at, _)| at).skip(1).chain([path.len()]).collect();
    let goes_on = |c: char| c.is_alphanumeric() || c == '_';
    ends.iter().any(|end| {
        let is_whole = *end == path.len();
        text.match_indices(&path[..*end]).any(|(at, found)| {
            let next = text[at + found.len()..].chars().next().unwrap_or(' ');
            !goes_on(next) && (is_whole || next != '.')
        })
    })
}

fn unheard(module: &Module, source: &Source, package: &str) -> Option<PolicyDiagnostic> {
    let heads = module.policy.iter().filter_map(|rule| match rule.as_ref() {
        Rule::Default { refr, .. } => leftmost(refr),
        Rule::Spec { .. } => leftmost(head_of(rule)?.0),
    });
    let heads: Vec<&Span> = heads.collect();
    let asked = heads.iter().find(|head| ASKED.contains(&head.text()));
    let near = heads.iter().find_map(|head| Some((head, base::name::nearest(head.text(), ASKED)?)));
    let (head, hint) = match (asked, near) {
        (Some(head), _) => (head, "a package under `plimsoll` is asked, as `package plimsoll.team`, and one with `deny`, `violations` or `decision`; what is for another tool lies better outside `policy/`".to_string()),
        (None, _) if !is_ours(package) => return None,
        (None, Some((head, near))) => (head, format!("did you mean `{near}`?")),
        (None, None) => (heads.first()?, format!("asked are {}", ASKED.map(|name| format!("`{name}`")).join(", "))),
    };
    let message = format!("nobody asks `{}` of `package {package}`, so it decides nothing", head.text());
    let diagnostic = Diagnostic::error("policy/unheard", span_of(head), message).hint(hint);
    Some(PolicyDiagnostic { source: source.clone(), diagnostic })
}
