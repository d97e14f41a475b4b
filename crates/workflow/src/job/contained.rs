//! Jobs and actions in containers: which path means what there, what is to be started, and what came of it.
//!
//! The names of paths are those of GitHub's runner: `/__w`, `/__t`, `/github/workspace`.

use std::collections::BTreeMap;

use super::call::{Post, PostWork, Wrote};
use super::facts::{FilePaths, JobFacts};
use super::machine::Job;
use crate::container::Container;
use crate::expr::{Object, Value};

/// Where a process runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum On {
    #[default]
    Machine,
    /// In the job's container, with the paths that are known there.
    JobContainer,
    /// In a container of its own that ends with it.
    Image(Box<ImageRun>),
}

/// A container for one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRun {
    pub image: Image,
    /// In place of the image's own.
    pub entrypoint: Option<String>,
    pub arguments: Vec<String>,
    pub mounts: Mounts,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Image {
    /// `alpine:3`; fetched if it isn't here.
    Named(String),
    /// Built from a file in a directory of this machine.
    Built { file: String, context: String },
}

/// What a job wants of the machine's container engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerCall {
    /// The step's place, whose log it belongs to.
    pub step: u32,
    pub work: ContainerWork,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerWork {
    Start(Box<Asked>),
    Stop,
}

/// The containers of a job, before they are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// What the steps run in; nothing when that is the machine itself.
    pub job: Option<Container>,
    /// In the order of the file.
    pub services: Vec<(String, Container)>,
    /// What the job's container sees of the machine.
    pub mounts: Mounts,
    /// Where its steps begin.
    pub directory: String,
}

/// The containers of a job, once they run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Started {
    pub network: String,
    pub job: Option<JobContainer>,
    pub services: Vec<Service>,
    /// Whether the machine's services for jobs are reached from the job's container, by the address that they have on the machine.
    pub serves: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobContainer {
    pub id: String,
    /// The image's `PATH`.
    pub path: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Service {
    pub name: String,
    pub id: String,
    /// The container's port, and where it is on this machine.
    pub ports: BTreeMap<String, String>,
}

/// Which directories of the machine are seen in a container, and under which names; the narrower before the wider.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mounts(Vec<Mount>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    pub outside: String,
    pub inside: String,
}

impl Mounts {
    /// Of a job's container.
    pub(super) fn of_job(facts: &JobFacts, name: &str) -> Mounts {
        let temp = |name: &str| format!("{}/{name}", facts.temp);
        Mounts::new([
            (temp("_actions"), "/__w/_actions".to_string()),
            (temp("_github_home"), HOME.to_string()),
            (temp("_github_workflow"), WORKFLOW.to_string()),
            (facts.temp.clone(), "/__w/_temp".to_string()),
            (facts.workspace.clone(), format!("/__w/{name}/{name}")),
            (facts.tool_cache.clone(), "/__t".to_string()),
        ])
    }

    /// Of an action's own container.
    pub(super) fn of_action(facts: &JobFacts) -> Mounts {
        let temp = |name: &str| format!("{}/{name}", facts.temp);
        Mounts::new([
            (temp("_github_home"), HOME.to_string()),
            (temp("_github_workflow"), WORKFLOW.to_string()),
            (temp("_runner_file_commands"), "/github/file_commands".to_string()),
            (facts.temp.clone(), "/github/runner_temp".to_string()),
            (facts.workspace.clone(), ACTION_WORKSPACE.to_string()),
        ])
    }

    fn new<const N: usize>(pairs: [(String, String); N]) -> Mounts {
        Mounts(pairs.into_iter().map(|(outside, inside)| Mount { outside, inside }).collect())
    }

    pub fn all(&self) -> &[Mount] {
        &self.0
    }

    /// What a path of the machine is called inside; anything else stays as it is.
    pub fn inside(&self, path: &str) -> String {
        self.0.iter().find_map(|mount| moved(path, &mount.outside, &mount.inside)).unwrap_or_else(|| path.to_string())
    }

    /// The text with every path of the machine in it as it is called inside.
    pub(super) fn within(&self, text: &str) -> String {
        let narrowest = |text: &str| self.0.iter().find(|mount| !mount.outside.is_empty() && moved_path(text, &mount.outside));
        let (mut out, mut rest) = (String::new(), text);
        while let Some(letter) = rest.chars().next() {
            match narrowest(rest) {
                Some(mount) => {
                    out.push_str(&mount.inside);
                    rest = &rest[mount.outside.len()..];
                }
                None => {
                    out.push(letter);
                    rest = &rest[letter.len_utf8()..];
                }
            }
        }
        out
    }

    /// What a path inside is called on the machine.
    pub fn outside(&self, path: &str) -> String {
        self.0.iter().find_map(|mount| moved(path, &mount.inside, &mount.outside)).unwrap_or_else(|| path.to_string())
    }

    /// Line by line: the inputs of actions hold lists of paths, some of them with a `!` before them.
    pub(super) fn lines_outside(&self, text: &str) -> String {
        let line = |line: &str| {
            let start = line.len() - line.trim_start_matches([' ', '\t', '!']).len();
            format!("{}{}", &line[..start], self.outside(&line[start..]))
        };
        text.split('\n').map(line).collect::<Vec<_>>().join("\n")
    }

    pub(super) fn files(&self, paths: &FilePaths) -> FilePaths {
        let inside = |path: &String| self.inside(path);
        FilePaths {
            env: inside(&paths.env),
            output: inside(&paths.output),
            state: inside(&paths.state),
            path: inside(&paths.path),
            step_summary: inside(&paths.step_summary),
        }
    }

    /// The machine's facts as they are seen inside.
    pub(super) fn facts(&self, facts: &JobFacts) -> JobFacts {
        JobFacts {
            workspace: self.inside(&facts.workspace),
            temp: self.inside(&facts.temp),
            tool_cache: self.inside(&facts.tool_cache),
            event_path: self.inside(&facts.event_path),
            ..facts.clone()
        }
    }
}

/// The home of all that runs in containers.
pub(super) const HOME: &str = "/github/home";
const WORKFLOW: &str = "/github/workflow";
pub(super) const ACTION_WORKSPACE: &str = "/github/workspace";

/// Whether the text begins with this directory, or something in it.
fn moved_path(text: &str, directory: &str) -> bool {
    let behind = text.strip_prefix(directory).map(|rest| rest.chars().next());
    behind.is_some_and(|next| next.is_none_or(|next| !next.is_alphanumeric() && !matches!(next, '_' | '-' | '.')))
}

/// The path below another directory, if it lies in this one.
fn moved(path: &str, from: &str, to: &str) -> Option<String> {
    let rest = path.strip_prefix(from).filter(|_| !from.is_empty())?;
    (rest.is_empty() || rest.starts_with('/')).then(|| format!("{to}{rest}"))
}

impl Started {
    /// What the `job` context says of them.
    pub(super) fn context(&self) -> [(&'static str, Value); 2] {
        let text = |text: &str| Value::from(text);
        let mut container: Object = [("network", text(&self.network))].into_iter().collect();
        if let Some(job) = &self.job {
            container.insert("id", text(&job.id));
        }
        let mut services = Object::new();
        for service in &self.services {
            let ports: Object = service.ports.iter().map(|(port, here)| (port.as_str(), text(here))).collect();
            let about = [("id", text(&service.id)), ("network", text(&self.network)), ("ports", Value::object(ports))];
            services.insert(service.name.as_str(), Value::object(about.into_iter().collect()));
        }
        [("container", Value::object(container)), ("services", Value::object(services))]
    }
}

impl Job {
    /// What the job's container sees of the machine, where the steps run in one.
    pub fn mounts(&self) -> Option<&Mounts> {
        self.asked.as_ref().filter(|asked| asked.job.is_some()).map(|asked| &asked.mounts)
    }

    /// What a built-in action has set, which ran on the machine, as the steps know it.
    pub fn known_inside(&self, mut wrote: Wrote) -> Wrote {
        let pairs = [&mut wrote.env, &mut wrote.outputs];
        pairs.into_iter().flatten().for_each(|(_, value)| *value = self.inside(value));
        wrote
    }

    /// Whether the machine's services for jobs are reached from where the job's own steps run.
    pub(super) fn reaches_services(&self) -> bool {
        self.mounts().is_none() || self.started.as_ref().is_some_and(|started| started.serves)
    }

    /// A path as the steps know it, on the machine.
    pub(super) fn outside(&self, path: &str) -> String {
        self.mounts().map_or_else(|| path.to_string(), |mounts| mounts.outside(path))
    }

    /// A path of the machine as the steps know it.
    pub(super) fn inside(&self, path: &str) -> String {
        self.mounts().map_or_else(|| path.to_string(), |mounts| mounts.inside(path))
    }
}

impl Post {
    /// What was found out on the machine, as the job's container has it.
    pub(super) fn move_into(&mut self, mounts: &Mounts) {
        let file = match &mut self.what {
            PostWork::Node { file, .. } => Some(file),
            _ => None,
        };
        let paths = self.inputs.values_mut().chain(self.env.values_mut()).chain(&mut self.action_path).chain(file);
        paths.for_each(|path| *path = mounts.inside(path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_known_by_the_narrowest_mount() {
        let facts = JobFacts { workspace: "/j/w".into(), temp: "/j/t".into(), tool_cache: "/tools".into(), ..JobFacts::default() };
        let mounts = Mounts::of_job(&facts, "shop");
        let cases = [
            ("/j/w", "/__w/shop/shop"),
            ("/j/w/a b", "/__w/shop/shop/a b"),
            ("/j/t/_github_home/.npmrc", "/github/home/.npmrc"),
            ("/j/t/1.sh", "/__w/_temp/1.sh"),
            ("/tools/node", "/__t/node"),
            ("/j/workshop", "/j/workshop"),
            ("v1", "v1"),
        ];
        for (outside, inside) in cases {
            assert_eq!(mounts.inside(outside), inside);
            assert_eq!(mounts.outside(inside), outside);
        }
        assert_eq!(
            mounts.within("-I/j/w/include:/j/workshop;/j/w ünd /j/t"),
            "-I/__w/shop/shop/include:/j/workshop;/__w/shop/shop ünd /__w/_temp"
        );
        assert_eq!(mounts.lines_outside("a\n  !/__w/shop/shop/b\n/__t"), "a\n  !/j/w/b\n/tools");
    }
}
