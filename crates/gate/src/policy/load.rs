//! From files to packages that can be asked.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use base::{Diagnostic, Digest, Source, Span};
use regorus::unstable::{Expr, Lexer, Module, Ref, Rule, RuleHead, Token, TokenKind};
use regorus::{Engine, Value};

use super::fired::Copies;
use super::{DEFAULT_POLICY, DEFAULT_POLICY_NAME, Policies, idle, refuse, unbound, unseen};
use crate::plan::GatePlan;

/// The package that decides; a repository that defines it replaces the default.
pub(super) const MAIN_PACKAGE: &str = "plimsoll.gate";
/// The rules by which a package takes part in the decision.
pub(super) const ASKED: [&str; 8] = ["allow", "deny", "violations", "warn", "warnings", "requires", "strategy", "decision"];
/// A list as long as this is a mistake; one as long as the number allows ends the process.
const RANGE_MAX: u64 = 1_000_000;
/// As regorus counts them.
const TAB_COLUMNS: usize = 4;

/// Something wrong in one policy file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyDiagnostic {
    pub source: Source,
    pub diagnostic: Diagnostic,
}

impl PolicyDiagnostic {
    /// `policy/gate.rego:3:7`.
    pub fn place(&self) -> String {
        let (line, column) = self.source.line_column(self.diagnostic.span.start);
        format!("{}:{line}:{column}", self.source.name)
    }

    pub fn render(&self, color: bool) -> String {
        base::diagnostic::render(&self.source, std::slice::from_ref(&self.diagnostic), color)
    }
}

impl fmt::Display for PolicyDiagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place(), self.diagnostic.message)
    }
}

/// A package whose rules are asked.
#[derive(Clone)]
pub(super) struct Package {
    /// `plimsoll.gate`
    pub name: String,
    /// `data.plimsoll.gate`, as a query.
    pub path: String,
    /// The asked rules it declares, each with the place of its first definition.
    pub declared: BTreeMap<&'static str, String>,
    pub files: Vec<File>,
    /// What tells which of its rules said something, once somebody has asked; `None` when nobody can tell.
    pub copies: OnceLock<Option<Copies>>,
}

impl Package {
    fn new(name: String, path: String) -> Package {
        Package { name, path, declared: BTreeMap::new(), files: Vec::new(), copies: OnceLock::new() }
    }
}

#[derive(Clone)]
pub(super) struct File {
    pub source: Source,
    pub v0: bool,
    pub rules: Vec<Definition>,
}

/// One definition of an asked rule, by its place in the text.
#[derive(Clone)]
pub(super) struct Definition {
    pub name: &'static str,
    pub place: String,
    pub whole: Span,
    /// Where its name stands.
    pub head: Span,
    /// It adds to a set, so that what it adds can be told from what others add.
    pub is_partial: bool,
}

pub(super) fn compile(mut sources: Vec<Source>) -> Result<Policies, Vec<PolicyDiagnostic>> {
    sources.retain(|source| !is_test(source));
    let Loaded { engine, modules, files } = load(sources)?;
    let packages = packages(&modules, &files);
    let idle = idle::idle(&modules, &files, &packages);
    let unseen = unseen::check(&modules, &files);
    Ok(Policies { engine, packages, idle, unseen, digest: digest(&files), limit_ms: GatePlan::default().policy_limit_ms })
}

/// Files that were read, the default policy among them unless it is replaced, and found to be in order.
pub(super) struct Loaded {
    pub engine: Engine,
    pub modules: Vec<Ref<Module>>,
    /// Each with whether it is Rego v0; in the order of the modules.
    pub files: Vec<(Source, bool)>,
}

/// Kept apart from what decides.
pub(super) fn is_test(source: &Source) -> bool {
    source.name.ends_with("_test.rego")
}

pub(super) fn load(mut sources: Vec<Source>) -> Result<Loaded, Vec<PolicyDiagnostic>> {
    sources.sort_by(|left, right| left.name.cmp(&right.name));
    let mut engine = new_engine();
    let mut diagnostics = Vec::new();
    let mut loaded = Vec::new();
    for source in sources {
        match add(&mut engine, &source) {
            Ok(v0) => loaded.push((source, v0)),
            Err(diagnostic) => diagnostics.push(PolicyDiagnostic { source, diagnostic }),
        }
    }
    let replaces = |(module, (source, _)): (&Ref<Module>, &(Source, bool))| !is_test(source) && package_name(module).1 == MAIN_PACKAGE;
    let replaced = engine.get_modules().iter().zip(&loaded).any(replaces);
    if !replaced {
        let source = Source::new(DEFAULT_POLICY_NAME, DEFAULT_POLICY);
        let v0 = add(&mut engine, &source).expect("a test reads the default policy");
        loaded.push((source, v0));
    }
    let modules: Vec<_> = engine.get_modules().clone();
    diagnostics.extend(refuse::check(&modules, &loaded));
    for (module, (source, _)) in modules.iter().zip(&loaded) {
        let unbound = unbound::check(module, &modules).into_iter();
        diagnostics.extend(unbound.map(|diagnostic| PolicyDiagnostic { source: source.clone(), diagnostic }));
    }
    let packages = packages(&modules, &loaded);
    diagnostics.extend(silent(&modules, &loaded, &packages));
    // Some mistakes (a variable nobody binds) only show when the rules are put in order.
    if diagnostics.is_empty()
        && let Err(error) = engine.eval_query("1".to_string(), false)
    {
        diagnostics.push(located(&error.to_string(), &loaded));
    }
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    Ok(Loaded { engine, modules, files: loaded })
}

/// Strict: a function that fails is an error, because elsewhere it would be "undefined", and an undefined `deny` allows.
pub(super) fn new_engine() -> Engine {
    let mut engine = Engine::new();
    engine.set_strict_builtin_errors(true);
    engine.set_gather_prints(true);
    engine.add_extension("numbers.range".to_string(), 2, Box::new(|arguments| Ok(range(&arguments)?))).expect("the engine is new");
    engine
}

/// Rego v1 first, then v0 (`deny[msg] { … }`); says which it was. What is wrong is said of v1, which new files should be.
pub(super) fn add(engine: &mut Engine, source: &Source) -> Result<bool, Diagnostic> {
    let mut add = |v0: bool| {
        engine.set_rego_v0(v0);
        engine.add_policy(source.name.to_string(), source.text.to_string())
    };
    let Err(error) = add(false) else { return Ok(false) };
    if may_be_v0(source) && add(true).is_ok() {
        return Ok(true);
    }
    Err(diagnostic("policy/syntax", source, &error.to_string()))
}

/// The v0 parser grumbles on standard error over an `if` that was never imported, so it only gets files that can be meant for it.
fn may_be_v0(source: &Source) -> bool {
    if source.text.contains("import rego.v1") {
        return false;
    }
    if source.text.contains("import future.keywords") {
        return true;
    }
    let Ok(parsed) = regorus::Source::from_contents(source.name.to_string(), source.text.to_string()) else { return false };
    let mut lexer = Lexer::new(&parsed);
    loop {
        match lexer.next_token() {
            Ok(Token(TokenKind::Eof, _)) => return true,
            Ok(Token(TokenKind::Ident, span)) if span.text() == "if" => return false,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}

/// The error text of regorus is `--> file:line:column`, the line, a caret, `error: message`.
pub(super) fn place_and_message(error: &str) -> (Option<(String, usize, usize)>, String) {
    let message = error.split("\n").find_map(|line| line.trim().strip_prefix("error: ")).unwrap_or(error).trim();
    // What regorus adds for its own developers.
    let message = message.split(" (path [").next().unwrap_or(message).trim_end_matches(':').to_string();
    let place = error.split_once("--> ").and_then(|(_, rest)| {
        let mut parts = rest.lines().next()?.rsplitn(3, ':');
        let column = parts.next()?.trim().parse().ok()?;
        let line = parts.next()?.parse().ok()?;
        Some((parts.next()?.to_string(), line, column))
    });
    (place, message)
}

fn diagnostic(code: &'static str, source: &Source, error: &str) -> Diagnostic {
    let (place, message) = place_and_message(error);
    let span = place.map_or(Span::default(), |(_, line, column)| span_at(source, line, column));
    Diagnostic::error(code, span, message)
}

fn located(error: &str, loaded: &[(Source, bool)]) -> PolicyDiagnostic {
    let (place, _) = place_and_message(error);
    let named = place.and_then(|(name, ..)| loaded.iter().find(|(source, _)| *source.name == *name));
    let (source, _) = named.or(loaded.first()).expect("the default policy is there when no other is");
    PolicyDiagnostic { source: source.clone(), diagnostic: diagnostic("policy/invalid", source, error) }
}

fn span_at(source: &Source, line: usize, column: usize) -> Span {
    let line_start: usize = source.text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let rest = &source.text[line_start.min(source.text.len())..];
    let (mut start, mut column_here) = (line_start, 1);
    for character in rest.chars().take_while(|character| *character != '\n') {
        if column_here >= column {
            break;
        }
        column_here += if character == '\t' { TAB_COLUMNS } else { 1 };
        start += character.len_utf8();
    }
    let word = source.text[start.min(source.text.len())..]
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .map(char::len_utf8)
        .sum::<usize>();
    Span::new(start, start + word.max(1))
}

/// Packages under `plimsoll` are asked; another one when it says what it denies. The rest are libraries.
fn packages(modules: &[Ref<Module>], loaded: &[(Source, bool)]) -> Vec<Package> {
    let mut res: BTreeMap<String, Package> = BTreeMap::new();
    for (module, (source, v0)) in modules.iter().zip(loaded) {
        let (path, name) = package_name(module);
        let rules = definitions(module, source);
        let package = res.entry(path.clone()).or_insert_with(|| Package::new(name, path));
        for (name, place) in rules.iter().map(|rule| (rule.name, rule.place.clone())).chain(defaults(module)) {
            package.declared.entry(name).or_insert(place);
        }
        package.files.push(File { source: source.clone(), v0: *v0, rules });
    }
    let mut res: Vec<Package> = res.into_values().filter(is_asked).collect();
    res.sort_by_key(|package| package.name != MAIN_PACKAGE);
    res
}

fn is_asked(package: &Package) -> bool {
    let denies = ["deny", "violations", "decision"].iter().any(|name| package.declared.contains_key(name));
    !package.declared.is_empty() && (denies || is_ours(&package.name))
}

pub(super) fn is_ours(name: &str) -> bool {
    name == "plimsoll" || name.starts_with("plimsoll.")
}

/// `package plimsoll.gate` takes the default's place: when it decides nothing, nothing would be decided.
fn silent(modules: &[Ref<Module>], loaded: &[(Source, bool)], packages: &[Package]) -> Option<PolicyDiagnostic> {
    let decides = ["allow", "deny", "violations", "decision"];
    if packages.iter().any(|package| package.name == MAIN_PACKAGE && decides.iter().any(|name| package.declared.contains_key(name))) {
        return None;
    }
    let (module, (source, _)) = modules.iter().zip(loaded).find(|(module, _)| package_name(module).1 == MAIN_PACKAGE)?;
    let span = span_of(module.package.refr.span());
    let names: Vec<&str> = module.policy.iter().filter_map(|rule| Some(leftmost(head_of(rule)?.0)?.text())).collect();
    let near = names.iter().find_map(|name| base::name::nearest(name, ASKED).map(|near| (name, near)));
    let diagnostic = Diagnostic::error(
        "policy/silent",
        span,
        "`package plimsoll.gate` replaces the default policy, but has none of `deny`, `violations`, `allow`, `decision`",
    );
    let diagnostic = match near {
        Some((name, near)) => diagnostic.hint(format!("did you mean `{near}` instead of `{name}`?")),
        None => diagnostic.hint("to add rules to the default policy, use another package, as `package plimsoll.team`"),
    };
    Some(PolicyDiagnostic { source: source.clone(), diagnostic })
}

fn definitions(module: &Module, source: &Source) -> Vec<Definition> {
    let mut res = Vec::new();
    for (index, rule) in module.policy.iter().enumerate() {
        let Some((refr, is_partial)) = head_of(rule) else { continue };
        let Some(head) = leftmost(refr) else { continue };
        let Some(name) = ASKED.into_iter().find(|asked| *asked == head.text()) else { continue };
        // The parser's own span ends before a closing quote; up to the next rule there is nothing else but comments.
        let end = module.policy.get(index + 1).map_or(source.text.len(), |next| next.span().start as usize);
        let whole = Span::new(head.start as usize, end);
        res.push(Definition { name, place: format!("{}:{}", source.name, head.line), whole, head: span_of(head), is_partial });
    }
    res
}

fn defaults(module: &Module) -> Vec<(&'static str, String)> {
    let head = |rule: &Rule| match rule {
        Rule::Default { refr, .. } => leftmost(refr).cloned(),
        Rule::Spec { .. } => None,
    };
    let heads = module.policy.iter().filter_map(|rule| head(rule));
    heads
        .filter_map(|head| {
            Some((ASKED.into_iter().find(|asked| *asked == head.text())?, format!("{}:{}", head.source.get_path(), head.line)))
        })
        .collect()
}

pub(super) fn head_of(rule: &Rule) -> Option<(&Expr, bool)> {
    match rule {
        Rule::Spec { head: RuleHead::Set { refr, .. }, .. } => Some((refr, true)),
        Rule::Spec { head: RuleHead::Compr { refr, .. }, .. } => Some((refr, matches!(refr.as_ref(), Expr::RefBrack { .. }))),
        Rule::Spec { head: RuleHead::Func { .. }, .. } | Rule::Default { .. } => None,
    }
}

pub(super) fn leftmost(expr: &Expr) -> Option<&regorus::unstable::Span> {
    match expr {
        Expr::Var { span, .. } => Some(span),
        Expr::RefDot { refr, .. } | Expr::RefBrack { refr, .. } => leftmost(refr),
        _ => None,
    }
}

/// `data.plimsoll.gate` for asking, `plimsoll.gate` for people.
pub(super) fn package_name(module: &Module) -> (String, String) {
    fn parts(expr: &Expr, path: &mut String, name: &mut Vec<String>) {
        match expr {
            Expr::Var { span, .. } => {
                path.push_str(&format!(".{}", span.text()));
                name.push(span.text().to_string());
            }
            Expr::RefDot { refr, field, .. } => {
                parts(refr, path, name);
                path.push_str(&format!(".{}", field.0.text()));
                name.push(field.0.text().to_string());
            }
            Expr::RefBrack { refr, index, .. } => {
                parts(refr, path, name);
                path.push_str(&format!("[{}]", index.span().text()));
                name.push(index.span().text().trim_matches(['"', '`']).to_string());
            }
            _ => {}
        }
    }
    let (mut path, mut name) = ("data".to_string(), Vec::new());
    parts(&module.package.refr, &mut path, &mut name);
    (path, name.join("."))
}

pub(super) fn span_of(span: &regorus::unstable::Span) -> Span {
    Span::new(span.start as usize, span.end as usize)
}

fn digest(loaded: &[(Source, bool)]) -> Digest {
    let files: Vec<(&str, &str)> = loaded.iter().map(|(source, _)| (&*source.name, &*source.text)).collect();
    Digest::of(&serde_json::to_vec(&files).expect("texts are JSON"))
}

fn range(arguments: &[Value]) -> Result<Value, RangeRefused> {
    let [Ok(from), Ok(to)] = [arguments[0].as_i64(), arguments[1].as_i64()] else { return Err(RangeRefused) };
    if from.abs_diff(to) >= RANGE_MAX {
        return Err(RangeRefused);
    }
    let up: Vec<Value> = (from.min(to)..=from.max(to)).map(Value::from).collect();
    Ok(Value::from(if from <= to { up } else { up.into_iter().rev().collect::<Vec<_>>() }))
}

#[derive(Debug)]
struct RangeRefused;

impl fmt::Display for RangeRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "numbers.range takes two whole numbers and makes at most {RANGE_MAX} elements")
    }
}

impl std::error::Error for RangeRefused {}
