//! Includes: other files' texts are put under the file's own, in their order.

use std::collections::BTreeMap;

use base::Source;
use base::name::nearest;

use super::expression::Expression;
use super::extend::VALUES_MAX;
use super::glob::Pattern;
use super::inputs;
use super::pipeline::Pipeline;
use super::template;
use super::tree::{Place, Problem, Tree, Value, documents, error};
use super::variables::expand_known;

/// Another file that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Include {
    /// A path below the project, without its leading slash; may have `*` in it.
    Local(String),
    /// A template that isn't built in.
    Template(String),
    Remote(String),
    Project {
        project: String,
        git_ref: Option<String>,
        file: String,
    },
    Component(String),
}

/// Yields the texts of included files; several where a path has `*` in it. An error is a sentence without a full stop.
pub trait Includes {
    /// # Errors
    /// Why the file can't be had.
    fn read(&self, include: &Include) -> Result<Vec<Source>, String>;
}

/// Nothing can be included.
#[derive(Debug, Clone, Copy)]
pub struct NoIncludes;

impl Includes for NoIncludes {
    fn read(&self, _: &Include) -> Result<Vec<Source>, String> {
        Err("files can't be included here".to_string())
    }
}

/// As many files as GitLab reads for one pipeline.
const FILES_MAX: usize = 150;

pub(super) struct Loader<'a> {
    pub pipeline: &'a Pipeline,
    pub includes: &'a dyn Includes,
    pub sources: Vec<Source>,
    pub problems: Vec<Problem>,
    /// The files that were asked for themselves, and not by another one.
    pub roots: Vec<String>,
    /// Files that may not be among them.
    pub callers: Vec<String>,
    pub values: usize,
}

/// Whose local files `include: local` means.
type Origin = Option<(String, Option<String>)>;

impl<'a> Loader<'a> {
    pub fn new(pipeline: &'a Pipeline, includes: &'a dyn Includes) -> Loader<'a> {
        Loader { pipeline, includes, sources: Vec::new(), problems: Vec::new(), roots: Vec::new(), callers: Vec::new(), values: 0 }
    }

    /// The whole configuration as one tree; nothing when the file isn't even YAML.
    pub fn load(&mut self, source: &Source) -> Option<Tree> {
        let given = self.pipeline.inputs.iter().map(|(name, value)| (name.clone(), Tree::plain(value))).collect();
        let tree = self.file(source.clone(), &given, Place::default(), &None, &mut Vec::new());
        if self.is_too_large(Place::default()) { None } else { tree }
    }

    fn is_too_large(&mut self, place: Place) -> bool {
        if self.values > VALUES_MAX {
            let message = format!("the included files make this one larger than {VALUES_MAX} values");
            self.problems.push(error("gitlab/too-large", place, message));
        }
        self.values > VALUES_MAX
    }

    /// A configuration that only includes others; `sources` are those in which the entries stand.
    pub fn load_entries(&mut self, entries: &[Tree], place: Place, sources: &[Source]) -> Tree {
        self.sources = sources.to_vec();
        let mut tree = Tree { place, value: Value::Map(Vec::new()) };
        for entry in entries {
            for included in self.entry(entry, &None, &mut Vec::new()) {
                tree.merge(&included);
            }
        }
        self.is_too_large(place);
        tree
    }

    fn file(
        &mut self,
        source: Source,
        given: &BTreeMap<String, Tree>,
        from: Place,
        origin: &Origin,
        around: &mut Vec<String>,
    ) -> Option<Tree> {
        let file = self.sources.len();
        self.sources.push(source);
        let (trees, problems) = documents(file, &self.sources[file]);
        let broken = !problems.is_empty();
        self.problems.extend(problems);
        let mut trees = trees.into_iter();
        let first = trees.next();
        let is_header = |tree: &Tree| tree.map().is_some_and(|entries| entries.iter().any(|(key, _)| key.text == "spec"));
        let (header, content) = match first {
            Some(tree) if is_header(&tree) => (Some(tree), trees.next()),
            first => (None, first),
        };
        if let Some(more) = trees.next() {
            self.problems.push(error("yaml/second-document", more.place, "only one document is expected here, behind a `spec:` at most"));
        }
        let Some(mut content) = content else {
            if !broken {
                self.problems.push(error("gitlab/empty", Place { file, ..Place::default() }, "the file is empty"));
            }
            return None;
        };
        match header {
            Some(header) => inputs::interpolate(&header, &mut content, given, from, &mut self.problems),
            None if !given.is_empty() && file > 0 => {
                self.problems.push(error("gitlab/inputs", from, "the included file takes no inputs: it has no `spec:inputs`"));
            }
            None => {}
        }
        if content.map().is_none() {
            self.problems.push(error("gitlab/wrong-type", content.place, format!("a configuration can't be {}", content.kind())));
            return None;
        }
        self.values += content.size();
        let include = content.remove("include");
        let mut tree = Tree { place: content.place, value: Value::Map(Vec::new()) };
        if let Some(include) = include {
            for entry in entries(&include) {
                for included in self.entry(entry, origin, around) {
                    tree.merge(&included);
                }
            }
        }
        tree.merge(&content);
        Some(tree)
    }

    fn entry(&mut self, entry: &Tree, origin: &Origin, around: &mut Vec<String>) -> Vec<Tree> {
        if self.values > VALUES_MAX {
            return Vec::new();
        }
        match self.applies(entry) {
            Ok(true) => {}
            Ok(false) => return Vec::new(),
            Err(problem) => {
                self.problems.push(problem);
                return Vec::new();
            }
        }
        let inputs = entry.get("inputs").and_then(Tree::map).unwrap_or_default();
        let inputs: BTreeMap<String, Tree> = inputs.iter().map(|(key, value)| (key.text.clone(), value.clone())).collect();
        let wanted = match self.wanted(entry, origin) {
            Ok(wanted) => wanted,
            Err(problem) => {
                self.problems.push(problem);
                return Vec::new();
            }
        };
        let mut trees = Vec::new();
        for (include, place) in wanted {
            let sources = match self.read(&include) {
                Ok(sources) => sources,
                Err(why) => {
                    self.problems.push(error("gitlab/include", place, why));
                    continue;
                }
            };
            let origin = match &include {
                Include::Project { project, git_ref, .. } => Some((project.clone(), git_ref.clone())),
                _ => origin.clone(),
            };
            for source in sources {
                let name = source.name.to_string();
                if around.contains(&name) {
                    self.problems.push(error("gitlab/include", place, format!("`{name}` includes itself")));
                    continue;
                }
                if around.is_empty() {
                    if self.callers.contains(&name) {
                        let message = format!("`{name}` triggers itself, without end: the job has no `rules` that could end it");
                        self.problems.push(error("gitlab/trigger", place, message));
                        continue;
                    }
                    self.roots.push(name.clone());
                }
                if self.sources.len() >= FILES_MAX {
                    self.problems.push(error("gitlab/include", place, format!("more than {FILES_MAX} files are included")));
                    return trees;
                }
                around.push(name);
                trees.extend(self.file(source, &inputs, place, &origin, around));
                around.pop();
            }
        }
        trees
    }

    fn read(&self, include: &Include) -> Result<Vec<Source>, String> {
        let Include::Template(name) = include else { return self.includes.read(include) };
        if let Some(text) = template::text(name) {
            return Ok(vec![Source::new(format!("template {name}"), text)]);
        }
        self.includes.read(include).map_err(|why| match nearest(name, template::names()) {
            Some(near) => format!("the template `{name}` isn't known here ({why}); did you mean `{near}`?"),
            None => format!("the template `{name}` isn't known here ({why})"),
        })
    }

    /// What an entry names. A text is a local file or an address.
    fn wanted(&self, entry: &Tree, origin: &Origin) -> Result<Vec<(Include, Place)>, Problem> {
        const KEYS: &[&str] =
            &["local", "template", "remote", "project", "component", "ref", "file", "rules", "inputs", "integrity", "cache"];
        if let Some(text) = entry.as_text() {
            let text = self.expand(text);
            let include =
                if text.starts_with("http://") || text.starts_with("https://") { Include::Remote(text) } else { local(&text, origin) };
            return Ok(vec![(include, entry.place)]);
        }
        let Some(map) = entry.map() else {
            return Err(error("gitlab/wrong-type", entry.place, format!("an entry of `include` can't be {}", entry.kind())));
        };
        if let Some((key, _)) = map.iter().find(|(key, _)| !KEYS.contains(&key.text.as_str())) {
            let key = base::yaml::Key { text: key.text.clone(), span: key.place.span };
            return Err((entry.place.file, base::yaml::unknown_key("gitlab/unknown-key", &key, KEYS)));
        }
        let text = |key: &str| entry.get(key).and_then(|tree| Some((self.expand(&tree.text()?), tree.place)));
        if let Some((path, place)) = text("local") {
            return Ok(vec![(local(&path, origin), place)]);
        }
        for key in ["template", "remote", "component"] {
            if let Some((value, place)) = text(key) {
                let include = match key {
                    "template" => Include::Template(value),
                    "remote" => Include::Remote(value),
                    _ => Include::Component(value),
                };
                return Ok(vec![(include, place)]);
            }
        }
        let Some((project, _)) = text("project") else {
            let message = "an entry of `include` needs `local`, `template`, `remote`, `project` or `component`";
            return Err(error("gitlab/missing-key", entry.place, message));
        };
        let Some(files) = entry.get("file") else {
            return Err(error("gitlab/missing-key", entry.place, "`include:project` needs `file`"));
        };
        let git_ref = text("ref").map(|(git_ref, _)| git_ref);
        let file = |tree: &Tree| {
            let file = self.expand(&tree.text()?).trim_start_matches('/').to_string();
            Some((Include::Project { project: project.clone(), git_ref: git_ref.clone(), file }, tree.place))
        };
        Ok(entries(files).into_iter().filter_map(file).collect())
    }

    /// `include:rules`: `if`, `exists` and `changes`; without `when` a rule that matches says yes.
    fn applies(&self, entry: &Tree) -> Result<bool, Problem> {
        let Some(rules) = entry.get("rules") else { return Ok(true) };
        let variables = self.pipeline.variables_for_includes();
        for rule in entries(rules) {
            let condition = match rule.get("if") {
                Some(tree) => {
                    let text = tree.text().unwrap_or_default();
                    Expression::parse(&text).map_err(|wrong| error("gitlab/expression", tree.place, wrong.message))?.holds(&variables)
                }
                None => true,
            };
            let paths = |key: &str| {
                let tree = rule.get(key)?;
                let tree = tree.get("paths").unwrap_or(tree);
                Some(entries(tree).into_iter().filter_map(Tree::text).collect::<Vec<String>>())
            };
            let exists = paths("exists").is_none_or(|patterns| Pattern::any(&patterns, &self.pipeline.files));
            let changed = paths("changes")
                .is_none_or(|patterns| self.pipeline.changed.as_ref().is_none_or(|changed| Pattern::any(&patterns, changed)));
            if condition && exists && changed {
                return Ok(rule.get("when").and_then(Tree::as_text) != Some("never"));
            }
        }
        Ok(false)
    }

    fn expand(&self, text: &str) -> String {
        expand_known(text, &self.pipeline.variables_for_includes())
    }
}

fn local(path: &str, origin: &Origin) -> Include {
    let path = path.trim_start_matches("./").trim_start_matches('/').to_string();
    match origin {
        Some((project, git_ref)) => Include::Project { project: project.clone(), git_ref: git_ref.clone(), file: path },
        None => Include::Local(path),
    }
}

/// A list's items, lists in it laid flat, or the one thing that stands in its place.
pub(super) fn entries(tree: &Tree) -> Vec<&Tree> {
    match &tree.value {
        Value::List(items) => items.iter().flat_map(entries).collect(),
        Value::Null => Vec::new(),
        _ => vec![tree],
    }
}
