//! A `.gitlab-ci.yml` of a project becomes a workflow: its includes are read from the project and from mirrors, its pipeline is created
//! for the event at hand.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use base::{Diagnostic, Source, diagnostic};
use host::container::{CHOICE, Engine};
use host::git::{self, Repository};
use workflow::gitlab::{self, Commit, Compiled, Images, Include, Includes, Pipeline, Refused, Report};
use workflow::trigger::Event;

use crate::cli::ImagesChoice;
use crate::config;
use crate::detect::Files;
use crate::wrong;

/// Where GitLab looks by itself.
pub const FILE: &str = ".gitlab-ci.yml";

/// Whether a file is GitLab's by its name: `.gitlab-ci.yml`, `ci/deploy.gitlab-ci.yml`.
pub fn is_file(path: &str) -> bool {
    path.ends_with(".gitlab-ci.yml") || path.ends_with(".gitlab-ci.yaml")
}

impl From<ImagesChoice> for Images {
    fn from(choice: ImagesChoice) -> Images {
        match choice {
            ImagesChoice::Container => Images::Container,
            ImagesChoice::Host => Images::Host,
            ImagesChoice::Refuse => Images::Refuse,
        }
    }
}

/// What a pipeline is created from, besides the file.
#[derive(Debug)]
pub struct Request<'a> {
    pub event: &'a Event,
    pub repository: Option<&'a Repository>,
    pub project: &'a str,
    pub actor: &'a str,
    pub config: &'a config::Gitlab,
    /// Over the configuration.
    pub images: Option<ImagesChoice>,
    /// Whether what needs a container engine is refused where there is none.
    pub engine: bool,
    pub vars: &'a BTreeMap<String, String>,
    pub secrets: Vec<String>,
    pub inputs: BTreeMap<String, String>,
    pub play: BTreeSet<String>,
    pub changed: Option<Vec<String>>,
    /// The folder that mirrors are relative to.
    pub root: PathBuf,
}

/// How a file couldn't become a workflow.
#[derive(Debug)]
pub enum Problem {
    /// GitLab wouldn't create a pipeline: a sentence.
    NoPipeline(String),
    /// Rendered, with its places.
    Wrong(String),
}

/// The workflow, and what is to be said about it.
///
/// # Errors
/// When the file is wrong, or there is no pipeline for the event.
pub fn compile(source: &Source, files: &dyn Files, request: &Request<'_>) -> Result<(Compiled, Vec<String>), Problem> {
    let pipeline = pipeline(files, request);
    let includes = FromProject { files, mirrors: &request.config.mirrors, root: &request.root };
    let (file, mut reports) = gitlab::parse(source, &pipeline, &includes);
    let Some(file) = file else { return Err(Problem::Wrong(rendered(&reports))) };
    match gitlab::compile(&file, &pipeline, &includes) {
        Ok(compiled) => {
            if request.engine
                && let Some(missing) = missing_engine(&compiled)
            {
                return Err(Problem::Wrong(missing));
            }
            reports.extend(compiled.reports.clone());
            let mut warnings: Vec<String> =
                reports.iter().map(|report| diagnostic::render(&report.source, &report.diagnostics, false)).collect();
            warnings.extend(missing_tools(&compiled));
            Ok((compiled, warnings))
        }
        Err(Refused::NoPipeline(why)) => Err(Problem::NoPipeline(why)),
        Err(Refused::Wrong(more)) => {
            reports.extend(more);
            Err(Problem::Wrong(rendered(&reports)))
        }
    }
}

fn rendered(reports: &[Report]) -> String {
    let rendered: Vec<String> = reports.iter().map(|report| diagnostic::render(&report.source, &report.diagnostics, false)).collect();
    rendered.join("\n\n")
}

fn pipeline(files: &dyn Files, request: &Request<'_>) -> Pipeline {
    let mut pipeline = Pipeline::new(request.event.clone());
    if let Some(repository) = request.repository {
        let zeros = "0".repeat(40);
        pipeline.before = repository.parent.clone().unwrap_or(zeros);
        pipeline.commit = Commit {
            message: repository.message.clone(),
            author: repository.author.clone(),
            author_email: repository.author_email.clone(),
            timestamp: repository.date.clone(),
        };
        pipeline.default_branch = git::default_branch(repository);
        if let Some((server, project)) = repository.remote.as_deref().and_then(server_and_project) {
            (pipeline.server_url, pipeline.project) = (server, project);
        } else {
            pipeline.project = request.project.to_string();
        }
    }
    pipeline.actor = request.actor.to_string();
    // To the second, as GitLab writes it.
    pipeline.created = crate::world::now().to_string().split('.').next().map(|time| format!("{time}Z")).unwrap_or_default();
    pipeline.changed = request.changed.clone();
    pipeline.files = files.list().to_vec();
    pipeline.variables = request.vars.clone();
    pipeline.secrets = request.secrets.clone();
    pipeline.inputs = request.inputs.clone();
    pipeline.play = request.play.clone();
    pipeline.images = request.images.map(Images::from).or(request.config.images).unwrap_or_default();
    pipeline
}

/// `git@host:group/name.git` and `https://host/group/name.git`.
fn server_and_project(remote: &str) -> Option<(String, String)> {
    let (server, path) = match remote.split_once("://") {
        Some(("http" | "https", rest)) => {
            let (host, path) = rest.split_once('/')?;
            (remote[..remote.len() - rest.len()].to_string() + host, path)
        }
        Some(("ssh", rest)) => {
            let (host, path) = rest.split_once('/')?;
            let host = host.rsplit('@').next()?.split(':').next()?;
            (format!("https://{host}"), path)
        }
        Some(_) => return None,
        None => {
            let (host, path) = remote.split_once(':')?;
            (format!("https://{}", host.rsplit('@').next()?), path)
        }
    };
    let path = path.trim_matches('/').trim_end_matches(".git");
    (path.contains('/')).then(|| (server, path.to_string()))
}

/// The places that need a container engine, where this machine has none that can be used.
fn missing_engine(compiled: &Compiled) -> Option<String> {
    let first = compiled.contained.first()?;
    let path = std::env::var("PATH").unwrap_or_default();
    let why = Engine::find(std::env::var(CHOICE).ok().as_deref(), &path).err()?;
    let hint = "`--gitlab-images host` runs the jobs on this machine with the tools it has";
    let mut places = compiled.contained.clone();
    places.dedup();
    let all = places.iter().filter(|(source, ..)| source.name == first.0.name);
    let wrong: Vec<Diagnostic> = all
        .map(|(_, span, what)| Diagnostic::error("gitlab/no-engine", *span, format!("{what} needs a container engine: {why}")).hint(hint))
        .collect();
    Some(diagnostic::render(&first.0, &wrong, false))
}

/// The scanners that built-in templates call and that aren't there.
fn missing_tools(compiled: &Compiled) -> Vec<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |tool: &str| std::env::split_paths(&path).any(|folder| folder.join(tool).is_file());
    let missing = compiled.tools.iter().filter(|tool| !is_there(&tool.tool));
    missing
        .map(|tool| format!("the job `{}` needs `{}`, which is not on the PATH: it will fail, as it is allowed to", tool.job, tool.tool))
        .collect()
}

struct FromProject<'a> {
    files: &'a dyn Files,
    mirrors: &'a BTreeMap<String, String>,
    root: &'a Path,
}

impl Includes for FromProject<'_> {
    fn read(&self, include: &Include) -> Result<Vec<Source>, String> {
        match include {
            Include::Local(path) => self.local(path),
            Include::Template(_) => {
                let names: Vec<String> = gitlab::template_names().map(|name| format!("`{name}`")).collect();
                Err(format!("built in are {}", names.join(", ")))
            }
            Include::Remote(address) => {
                let mirror = self.mirrors.iter().filter(|(from, _)| address.starts_with(from.as_str())).max_by_key(|(from, _)| from.len());
                let Some((from, place)) = mirror else {
                    return Err(format!(
                        "`{address}` isn't fetched; `gitlab: {{ mirrors: {{ {address}: PATH }} }}` in `plimsoll.yaml` says where it is"
                    ));
                };
                self.mirrored(place, None, &address[from.len()..]).map(|text| vec![Source::new(address.as_str(), text)])
            }
            Include::Project { project, git_ref, file } => {
                let Some(place) = self.mirrors.get(project) else {
                    return Err(format!(
                        "the project `{project}` isn't fetched; `gitlab: {{ mirrors: {{ {project}: PATH }} }}` in `plimsoll.yaml` says where a clone of it is"
                    ));
                };
                let text = self.mirrored(place, git_ref.as_deref(), file)?;
                Ok(vec![Source::new(format!("{project}/{file}"), text)])
            }
            Include::Component(address) => {
                Err(format!("the component `{address}` can't be had here yet; `include:project` with a mirror can"))
            }
        }
    }
}

impl FromProject<'_> {
    fn local(&self, path: &str) -> Result<Vec<Source>, String> {
        if path.split('/').any(|part| part == "..") {
            return Err(format!("`{path}` leads out of this project"));
        }
        if !path.contains('*') {
            let bytes = self.files.bytes(path).ok_or_else(|| format!("there is no file `{path}` in this project"))?;
            return Ok(vec![Source::new(path, wrong::text_or_sentence(path, &bytes)?)]);
        }
        let mut sources = Vec::new();
        for file in self.files.list().iter().filter(|file| gitlab::path_matches(path, file)) {
            let Some(bytes) = self.files.bytes(file) else { continue };
            sources.push(Source::new(file.as_str(), wrong::text_or_sentence(file, &bytes)?));
        }
        if sources.is_empty() { Err(format!("no file of this project matches `{path}`")) } else { Ok(sources) }
    }

    /// A file of a folder, or of a commit where the folder is a repository.
    fn mirrored(&self, place: &str, git_ref: Option<&str>, file: &str) -> Result<String, String> {
        let folder = self.root.join(place);
        let file = file.trim_start_matches('/');
        if file.split('/').any(|part| part == "..") {
            return Err(format!("`{file}` leads out of the mirror"));
        }
        if file.is_empty() {
            return std::fs::read_to_string(&folder).map_err(|error| format!("the mirror `{place}` can't be read: {error}"));
        }
        if git_ref.is_none()
            && let Ok(text) = std::fs::read_to_string(folder.join(file))
        {
            return Ok(text);
        }
        let wanted = git_ref.unwrap_or("HEAD");
        git::show(&folder, wanted, file).ok_or_else(|| format!("the mirror `{place}` has no `{file}` at `{wanted}`"))
    }
}

/// The files of a folder as they lie there.
#[derive(Debug)]
pub struct InFolder {
    root: PathBuf,
    paths: Vec<String>,
}

impl InFolder {
    pub fn new(root: &Path, repository: Option<&Repository>) -> InFolder {
        let paths = repository.and_then(|repository| git::working_files(&repository.place()).ok()).unwrap_or_default();
        InFolder { root: root.to_path_buf(), paths }
    }
}

impl Files for InFolder {
    fn list(&self) -> &[String] {
        &self.paths
    }

    fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        std::fs::read(self.root.join(path)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_and_project_are_read_from_the_remote() {
        let shown = |remote: &str| server_and_project(remote).map(|(server, project)| format!("{server} {project}")).unwrap_or_default();
        let cases = [
            ("git@gitlab.com:group/sub/name.git", "https://gitlab.com group/sub/name"),
            ("https://git.example.com:8443/group/name.git", "https://git.example.com:8443 group/name"),
            ("ssh://git@git.example.com:22/group/name", "https://git.example.com group/name"),
            ("/srv/git/name.git", ""),
            ("https://host/name", ""),
        ];
        for (remote, expected) in cases {
            assert_eq!(shown(remote), expected, "{remote}");
        }
    }
}
