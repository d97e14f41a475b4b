//! What a pipeline is created for, and the predefined variables that follow from it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::variables::{NUMBER, Variable, WORKSPACE, finish_empty};
use crate::trigger::Event;

/// Everything that decides which jobs a pipeline has.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// `CI_PIPELINE_SOURCE`: `push`, `merge_request_event`, `schedule`, `web` …
    pub source: String,
    /// Whether it is about a merge request; of a child the source doesn't tell.
    pub of_merge_request: bool,
    pub event: Event,
    /// The commit before; zeros when there is none.
    pub before: String,
    pub default_branch: String,
    /// `group/name`.
    pub project: String,
    pub server_url: String,
    pub actor: String,
    pub commit: Commit,
    /// Nothing when it isn't known; `changes` then holds, as in GitLab.
    pub changed: Option<Vec<String>>,
    /// Every file of the commit, for `exists`.
    pub files: Vec<String>,
    /// Set for the project or given on the command line: they win over the file's.
    pub variables: BTreeMap<String, String>,
    /// Of a child: what the job that it is hands on, under those that were given.
    pub(crate) forwarded: Vec<Variable>,
    /// Names of variables whose values only the job's machine knows.
    pub secrets: Vec<String>,
    /// For `spec:inputs`.
    pub inputs: BTreeMap<String, String>,
    /// Manual jobs that are asked for, by name.
    pub play: BTreeSet<String>,
    pub images: Images,
    /// Of a child: how many are around it, and what its artifacts' names begin with.
    pub depth: usize,
    pub prefix: String,
    /// `2026-11-25T07:26:59Z`; empty when it isn't known.
    pub created: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commit {
    pub message: String,
    pub author: String,
    pub author_email: String,
    /// `2026-11-25T07:26:59+00:00`; empty when it isn't known.
    pub timestamp: String,
}

/// What becomes of `image:` and `services:`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Images {
    /// Jobs run in the containers they ask for.
    #[default]
    Container,
    /// A job that asks for a container isn't run.
    Refuse,
    /// Jobs run on this machine whatever image they ask for.
    Host,
}

impl Pipeline {
    /// A pipeline for something that happened, with nothing more known.
    pub fn new(event: Event) -> Pipeline {
        let text = |key: &str| event.payload.get(key).and_then(serde_json::Value::as_str).map(str::to_string);
        let before = text("before").unwrap_or_else(|| "0".repeat(40));
        Pipeline {
            source: source(&event.name).to_string(),
            of_merge_request: source(&event.name) == MERGE_REQUEST,
            before,
            default_branch: "main".to_string(),
            project: "local/project".to_string(),
            server_url: "https://gitlab.com".to_string(),
            actor: "local".to_string(),
            commit: Commit::default(),
            changed: event.changed_paths.clone(),
            files: Vec::new(),
            variables: BTreeMap::new(),
            forwarded: Vec::new(),
            secrets: Vec::new(),
            inputs: BTreeMap::new(),
            play: BTreeSet::new(),
            images: Images::default(),
            depth: 0,
            prefix: String::new(),
            created: String::new(),
            event,
        }
    }

    pub(crate) fn is_merge_request(&self) -> bool {
        self.of_merge_request
    }

    /// What it is for, to be shown: a child's parent is no reason.
    pub(crate) fn kind(&self) -> &str {
        if self.of_merge_request { MERGE_REQUEST } else { &self.source }
    }

    /// Nothing for tags and merge requests.
    pub(crate) fn branch(&self) -> Option<&str> {
        self.event.branch().filter(|_| !self.is_merge_request())
    }

    /// `CI_COMMIT_REF_NAME`.
    pub(crate) fn ref_name(&self) -> String {
        if self.is_merge_request()
            && let Some(source) = self.merge_request("source_branch")
        {
            return source;
        }
        let git_ref = &self.event.git_ref;
        ["refs/heads/", "refs/tags/"].iter().find_map(|prefix| git_ref.strip_prefix(prefix)).unwrap_or(git_ref).to_string()
    }

    /// What a rule of an include may look at: all that isn't any job's.
    pub(crate) fn variables_for_includes(&self) -> BTreeMap<String, String> {
        let mut all: BTreeMap<String, String> = self.predefined().into_iter().map(|variable| (variable.name, variable.value)).collect();
        let shown = |it: &Variable| if it.raw { it.value.clone() } else { finish_empty(&it.value) };
        all.extend(self.forwarded.iter().map(|variable| (variable.name.clone(), shown(variable))));
        all.extend(self.variables.clone());
        all
    }

    /// `CI_*` and its like, as far as they can be known before a job runs.
    pub(crate) fn predefined(&self) -> Vec<Variable> {
        let mut out = Vec::new();
        let mut put = |name: &str, value: &str| out.push(Variable { raw: true, ..Variable::new(name, value) });
        let sha = &self.event.sha;
        let ref_name = self.ref_name();
        let protected = self.branch() == Some(&self.default_branch);
        let Commit { message, author, author_email, timestamp } = &self.commit;
        let (title, description) = message.split_once('\n').unwrap_or((message, ""));
        put("CI", "true");
        put("GITLAB_CI", "true");
        put("CI_SERVER", "yes");
        put("CI_PIPELINE_SOURCE", &self.source);
        put("CI_PIPELINE_ID", &NUMBER.to_string());
        put("CI_PIPELINE_IID", &NUMBER.to_string());
        put("CI_PIPELINE_URL", &format!("{}/{}/-/pipelines/{NUMBER}", self.server_url, self.project));
        if !self.created.is_empty() {
            put("CI_PIPELINE_CREATED_AT", &self.created);
        }
        if self.source == "trigger" {
            put("CI_PIPELINE_TRIGGERED", "true");
        }
        put("CI_COMMIT_SHA", sha);
        put("CI_COMMIT_SHORT_SHA", sha.get(..8).unwrap_or(sha));
        put("CI_COMMIT_BEFORE_SHA", &self.before);
        put("CI_COMMIT_REF_NAME", &ref_name);
        put("CI_COMMIT_REF_SLUG", &slug(&ref_name));
        put("CI_COMMIT_REF_PROTECTED", if protected { "true" } else { "false" });
        put("CI_COMMIT_MESSAGE", message);
        put("CI_COMMIT_TITLE", title);
        put("CI_COMMIT_DESCRIPTION", description.trim_start_matches('\n'));
        if !author.is_empty() {
            put("CI_COMMIT_AUTHOR", &format!("{author} <{author_email}>"));
        }
        if !timestamp.is_empty() {
            put("CI_COMMIT_TIMESTAMP", timestamp);
        }
        if let Some(branch) = self.branch() {
            put("CI_COMMIT_BRANCH", branch);
        }
        if let Some(tag) = self.event.tag() {
            put("CI_COMMIT_TAG", tag);
        }
        put("CI_DEFAULT_BRANCH", &self.default_branch);
        put("CI_DEFAULT_BRANCH_SLUG", &slug(&self.default_branch));
        put("CI_CONFIG_PATH", ".gitlab-ci.yml");
        self.put_project(&mut put);
        self.put_server(&mut put);
        self.put_merge_request(&mut put);
        put("GITLAB_USER_ID", "1");
        put("GITLAB_USER_LOGIN", &self.actor);
        put("GITLAB_USER_NAME", if author.is_empty() { &self.actor } else { author });
        put("GITLAB_USER_EMAIL", author_email);
        put("CI_BUILDS_DIR", &WORKSPACE.to_string());
        put("CI_PROJECT_DIR", &WORKSPACE.to_string());
        put("CI_CONCURRENT_ID", "0");
        put("CI_CONCURRENT_PROJECT_ID", "0");
        put("CI_RUNNER_ID", "1");
        put("CI_RUNNER_DESCRIPTION", "plimsoll");
        put("CI_RUNNER_TAGS", "[]");
        put("CI_RUNNER_VERSION", GITLAB_VERSION);
        put("GITLAB_FEATURES", "");
        put("CI_SHARED_ENVIRONMENT", "true");
        out
    }

    fn put_project(&self, put: &mut dyn FnMut(&str, &str)) {
        let (namespace, name) = self.project.rsplit_once('/').unwrap_or(("", &self.project));
        put("CI_PROJECT_ID", "1");
        put("CI_PROJECT_NAME", name);
        put("CI_PROJECT_TITLE", name);
        put("CI_PROJECT_DESCRIPTION", "");
        put("CI_PROJECT_NAMESPACE", namespace);
        put("CI_PROJECT_NAMESPACE_ID", "1");
        put("CI_PROJECT_NAMESPACE_SLUG", &slug(namespace));
        put("CI_PROJECT_ROOT_NAMESPACE", namespace.split('/').next().unwrap_or_default());
        put("CI_PROJECT_PATH", &self.project);
        put("CI_PROJECT_PATH_SLUG", &slug(&self.project));
        put("CI_PROJECT_URL", &format!("{}/{}", self.server_url, self.project));
        put("CI_PROJECT_VISIBILITY", "private");
        put("CI_REPOSITORY_URL", &format!("{}/{}.git", self.server_url, self.project));
        // Where the registry of another server is, only that server knows.
        if self.server_url == "https://gitlab.com" {
            put("CI_REGISTRY", "registry.gitlab.com");
            put("CI_REGISTRY_IMAGE", &format!("registry.gitlab.com/{}", self.project.to_lowercase()));
            put("CI_TEMPLATE_REGISTRY_HOST", "registry.gitlab.com");
        }
    }

    fn put_server(&self, put: &mut dyn FnMut(&str, &str)) {
        let (protocol, host) = self.server_url.split_once("://").unwrap_or(("https", &self.server_url));
        let (name, port) = host.split_once(':').unwrap_or((host, if protocol == "http" { "80" } else { "443" }));
        put("CI_SERVER_URL", &self.server_url);
        put("CI_SERVER_HOST", name);
        put("CI_SERVER_FQDN", host);
        put("CI_SERVER_PORT", port);
        put("CI_SERVER_PROTOCOL", protocol);
        put("CI_SERVER_NAME", "Plimsoll");
        put("CI_SERVER_SHELL_SSH_HOST", name);
        put("CI_SERVER_SHELL_SSH_PORT", "22");
        put("CI_SERVER_REVISION", "");
        put("CI_SERVER_VERSION", GITLAB_VERSION);
        put("CI_SERVER_VERSION_MAJOR", "18");
        put("CI_SERVER_VERSION_MINOR", "0");
        put("CI_SERVER_VERSION_PATCH", "0");
        put("CI_API_V4_URL", &format!("{}/api/v4", self.server_url));
        put("CI_API_GRAPHQL_URL", &format!("{}/api/graphql", self.server_url));
    }

    fn put_merge_request(&self, put: &mut dyn FnMut(&str, &str)) {
        if !self.is_merge_request() {
            return;
        }
        put("CI_MERGE_REQUEST_EVENT_TYPE", "detached");
        for (name, key) in [
            ("CI_MERGE_REQUEST_IID", "iid"),
            ("CI_MERGE_REQUEST_TITLE", "title"),
            ("CI_MERGE_REQUEST_DESCRIPTION", "description"),
            ("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "source_branch"),
            ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "target_branch"),
        ] {
            if let Some(value) = self.merge_request(key) {
                put(name, &value);
            }
        }
        if let Some(iid) = self.merge_request("iid") {
            put("CI_MERGE_REQUEST_ID", &iid);
            put("CI_MERGE_REQUEST_REF_PATH", &format!("refs/merge-requests/{iid}/head"));
        }
        let project_url = format!("{}/{}", self.server_url, self.project);
        for whose in ["", "SOURCE_"] {
            put(&format!("CI_MERGE_REQUEST_{whose}PROJECT_ID"), "1");
            put(&format!("CI_MERGE_REQUEST_{whose}PROJECT_PATH"), &self.project);
            put(&format!("CI_MERGE_REQUEST_{whose}PROJECT_URL"), &project_url);
        }
        // Filled at GitLab for pipelines of merged results alone.
        put("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", "");
        put("CI_MERGE_REQUEST_TARGET_BRANCH_SHA", "");
        put("CI_MERGE_REQUEST_DESCRIPTION_IS_TRUNCATED", "false");
        let protected = self.merge_request("target_branch").as_ref() == Some(&self.default_branch);
        put("CI_MERGE_REQUEST_TARGET_BRANCH_PROTECTED", if protected { "true" } else { "false" });
        let payload = |pointers: [&str; 2]| pointers.iter().find_map(|pointer| self.event.payload.pointer(pointer));
        if let Some(draft) = payload(["/object_attributes/work_in_progress", "/pull_request/draft"]).and_then(Json::as_bool) {
            put("CI_MERGE_REQUEST_DRAFT", if draft { "true" } else { "false" });
        }
        if let Some(sha) = payload(["/object_attributes/oldrev", "/pull_request/base/sha"]).and_then(Json::as_str) {
            put("CI_MERGE_REQUEST_DIFF_BASE_SHA", sha);
        }
        let names = |list: &Json, key: &str| {
            let names = list.as_array().into_iter().flatten().filter_map(|item| item.get(key)?.as_str());
            names.collect::<Vec<_>>().join(",")
        };
        for (name, pointers, keys) in [
            ("CI_MERGE_REQUEST_LABELS", ["/labels", "/pull_request/labels"], ["title", "name"]),
            ("CI_MERGE_REQUEST_ASSIGNEES", ["/assignees", "/pull_request/assignees"], ["username", "login"]),
        ] {
            let found = pointers.iter().zip(keys).find_map(|(pointer, key)| Some(names(self.event.payload.pointer(pointer)?, key)));
            if let Some(found) = found.filter(|found| !found.is_empty()) {
                put(name, &found);
            }
        }
    }

    /// From GitLab's payload, or from GitHub's for a pull request.
    fn merge_request(&self, key: &str) -> Option<String> {
        let text = |path: &[&str]| {
            let value = path.iter().try_fold(&self.event.payload, |json, key| json.get(key))?;
            value.as_str().map(str::to_string).or_else(|| value.as_u64().map(|number| number.to_string()))
        };
        text(&["object_attributes", key]).or_else(|| match key {
            "iid" => text(&["pull_request", "number"]),
            "source_branch" => text(&["pull_request", "head", "ref"]),
            "target_branch" => text(&["pull_request", "base", "ref"]),
            "description" => text(&["pull_request", "body"]),
            other => text(&["pull_request", other]),
        })
    }
}

/// The version whose language is spoken here.
const GITLAB_VERSION: &str = "18.0.0";

const MERGE_REQUEST: &str = "merge_request_event";

/// GitLab's word for an event of GitHub's; its own words stay.
fn source(event: &str) -> &str {
    match event {
        "pull_request" | "pull_request_target" => MERGE_REQUEST,
        "workflow_dispatch" => "web",
        "repository_dispatch" => "trigger",
        "workflow_run" | "workflow_call" => "pipeline",
        other => other,
    }
}

/// Lower case, everything but letters and digits a `-`, at most 63 letters, none of the dashes at an end.
pub(crate) fn slug(text: &str) -> String {
    let slug: String = text.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(63).collect();
    slug.trim_matches('-').to_string()
}
