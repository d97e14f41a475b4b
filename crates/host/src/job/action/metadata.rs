//! `docker/metadata-action`: tags and labels of an image from the event. Nobody is asked.
//!
//! | input | honoured |
//! |---|---|
//! | `images` | names, `name=…,enable=…` |
//! | `tags` | `type=schedule`, `semver`, `pep440`, `match`, `edge`, `ref`, `raw`, `sha` with `enable`, `priority`, `prefix`, `suffix`, `event`, `pattern`, `value`, `group`, `branch`, `format` |
//! | `flavor` | `latest`, `prefix`, `suffix` |
//! | `labels`, `annotations`, `sep-tags`, `sep-labels`, `sep-annotations` | |
//!
//! Expressions: `{{version}}`, `{{raw}}`, `{{major}}`, `{{minor}}`, `{{patch}}`, `{{branch}}`, `{{tag}}`, `{{sha}}`, `{{base_ref}}`, `{{is_default_branch}}`.
//! `{{date …}}` and the bake files are not made. Description and licence of a repository are not known here, so their labels are missing.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Value as Json, json};
use workflow::job::Wrote;

use super::desk::{Desk, Undone};
use super::inputs::Inputs;
use super::place::{Place, outputs};

pub(super) fn perform(place: Place<'_>, desk: &mut Desk<'_>) -> Result<Wrote, Undone> {
    let meta = Metadata::new(place.inputs(), place.github(), &super::super::now().to_string())?;
    let tags = meta.tags();
    desk.say(&format!("Docker image version: {}", meta.version()));
    tags.iter().for_each(|tag| desk.say(tag));
    if tags.is_empty() {
        desk.say("##[warning]No Docker tag has been generated. Check tags input.");
    }
    let inputs = place.inputs();
    let separated = |name: &str, list: &[String]| list.join(inputs.get(name).unwrap_or("\n"));
    let annotations: Vec<String> = meta.annotations().into_iter().map(|it| format!("manifest:{it}")).collect();
    let labels = meta.labels();
    let pairs = |list: &[String]| -> Json {
        list.iter()
            .filter_map(|it| it.split_once('='))
            .map(|(name, value)| (name.to_string(), json!(value)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let all = json!({ "tags": tags, "labels": pairs(&labels), "annotations": annotations });
    Ok(outputs([
        ("version", meta.version()),
        ("tags", separated("sep-tags", &tags)),
        ("labels", separated("sep-labels", &labels)),
        ("annotations", separated("sep-annotations", &annotations)),
        ("json", all.to_string()),
    ]))
}

struct Metadata {
    images: Vec<String>,
    /// The first is the version.
    versions: Vec<String>,
    latest: bool,
    labels: Vec<String>,
    own_labels: Vec<String>,
    own_annotations: Vec<String>,
}

/// `key=value` fields of one line, the first word of which may be a bare value.
fn fields(line: &str) -> BTreeMap<String, String> {
    let split = |(index, field): (usize, &str)| match field.split_once('=') {
        Some((key, value)) => (key.trim().to_string(), value.trim().to_string()),
        None if index == 0 => ("value".to_string(), field.trim().to_string()),
        None => (field.trim().to_string(), "true".to_string()),
    };
    line.split(',').enumerate().map(split).collect()
}

const DEFAULT: [&str; 4] = ["type=schedule", "type=ref,event=branch", "type=ref,event=tag", "type=ref,event=pr"];

impl Metadata {
    fn new(inputs: Inputs<'_>, github: &Json, created: &str) -> Result<Metadata, String> {
        let mut images = Vec::new();
        for line in
            inputs.lines("images").into_iter().flat_map(|line| if line.contains('=') { vec![line] } else { line.split(',').collect() })
        {
            let fields = fields(line);
            if fields.get("enable").is_none_or(|enable| enable == "true") {
                images.extend(fields.get("name").or(fields.get("value")).map(|name| name.to_lowercase()));
            }
        }
        let flavor: BTreeMap<String, String> = inputs.lines("flavor").into_iter().flat_map(fields).collect();
        let event = Event { github };
        let mut found: Vec<(i64, String, bool)> = Vec::new();
        let given = inputs.lines("tags");
        let lines = if given.is_empty() { DEFAULT.to_vec() } else { given };
        for line in lines {
            let fields = fields(line);
            let enabled = fields.get("enable").map(|enable| event.fill(enable)).transpose()?.is_none_or(|enable| enable == "true");
            let Some((value, may_be_latest)) = (if enabled { event.tag(&fields)? } else { None }) else { continue };
            let kind = fields.get("type").map_or("raw", String::as_str);
            let priority = fields.get("priority").and_then(|priority| priority.parse().ok()).unwrap_or(priority(kind));
            let around = |name: &str| fields.get(name).or(flavor.get(name)).cloned().unwrap_or_default();
            found.push((priority, tidy(&format!("{}{value}{}", around("prefix"), around("suffix"))), may_be_latest));
        }
        found.sort_by_key(|(priority, ..)| std::cmp::Reverse(*priority));
        let automatic = found.first().is_some_and(|(.., may_be_latest)| *may_be_latest);
        let latest = match flavor.get("latest").map(String::as_str) {
            Some("true") => true,
            Some("false") => false,
            _ => automatic,
        };
        let mut versions: Vec<String> = Vec::new();
        for (_, value, _) in found {
            if !versions.contains(&value) {
                versions.push(value);
            }
        }
        let repository =
            format!("{}/{}", github["server_url"].as_str().unwrap_or_default(), github["repository"].as_str().unwrap_or_default());
        let title = github["repository"].as_str().and_then(|name| name.rsplit('/').next()).unwrap_or_default();
        let labels = [
            ("created", created),
            ("revision", github["sha"].as_str().unwrap_or_default()),
            ("source", repository.as_str()),
            ("title", title),
            ("url", repository.as_str()),
            ("version", versions.first().map_or("", String::as_str)),
        ];
        let labels = labels.map(|(name, value)| format!("org.opencontainers.image.{name}={value}")).to_vec();
        let own = |name: &str| inputs.lines(name).into_iter().map(str::to_string).collect();
        Ok(Metadata { images, versions, latest, labels, own_labels: own("labels"), own_annotations: own("annotations") })
    }

    fn version(&self) -> String {
        self.versions.first().cloned().unwrap_or_default()
    }

    fn tags(&self) -> Vec<String> {
        let latest =
            (self.latest && !self.versions.is_empty() && !self.versions.contains(&"latest".to_string())).then(|| "latest".to_string());
        let versions: Vec<&String> = self.versions.iter().chain(&latest).collect();
        if self.images.is_empty() {
            return versions.into_iter().cloned().collect();
        }
        self.images.iter().flat_map(|image| versions.iter().map(move |version| format!("{image}:{version}"))).collect()
    }

    fn labels(&self) -> Vec<String> {
        with_own(&self.labels, &self.own_labels)
    }

    fn annotations(&self) -> Vec<String> {
        with_own(&self.labels, &self.own_annotations)
    }
}

/// What is given wins over what is made.
fn with_own(made: &[String], own: &[String]) -> Vec<String> {
    let name = |line: &String| line.split('=').next().unwrap_or_default().to_string();
    let mut all: Vec<String> = made.iter().filter(|line| !own.iter().any(|it| name(it) == name(line))).chain(own).cloned().collect();
    all.sort();
    all
}

fn priority(kind: &str) -> i64 {
    match kind {
        "schedule" => 1000,
        "semver" | "pep440" => 900,
        "match" => 800,
        "edge" => 700,
        "ref" => 600,
        "sha" => 100,
        _ => 200,
    }
}

/// What a tag may be made of.
fn tidy(tag: &str) -> String {
    tag.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' }).collect()
}

struct Event<'a> {
    github: &'a Json,
}

impl Event<'_> {
    fn text(&self, name: &str) -> &str {
        self.github[name].as_str().unwrap_or_default()
    }

    fn branch(&self) -> Option<&str> {
        self.text("ref").strip_prefix("refs/heads/")
    }

    fn git_tag(&self) -> Option<&str> {
        self.text("ref").strip_prefix("refs/tags/")
    }

    fn default_branch(&self) -> &str {
        self.github["event"]["repository"]["default_branch"].as_str().unwrap_or("main")
    }

    /// The value, and whether it alone makes `latest`.
    fn tag(&self, fields: &BTreeMap<String, String>) -> Result<Option<(String, bool)>, String> {
        let field = |name: &str| fields.get(name).map(String::as_str);
        match field("type").unwrap_or("raw") {
            "raw" => {
                let value = field("value").ok_or("a tag of `type=raw` has no `value`")?;
                Ok(Some((self.fill(value)?, false)))
            }
            "schedule" if self.text("event_name") == "schedule" => Ok(Some((self.fill(field("pattern").unwrap_or("nightly"))?, false))),
            "edge" => {
                let branch = field("branch").unwrap_or(self.default_branch());
                Ok(self.branch().filter(|it| *it == branch).map(|_| ("edge".to_string(), false)))
            }
            "ref" => Ok(match field("event") {
                Some("branch") => self.branch().map(|branch| (branch.to_string(), false)),
                Some("tag") => self.git_tag().map(|tag| (tag.to_string(), true)),
                Some("pr") => {
                    let number = self.text("ref").strip_prefix("refs/pull/").and_then(|rest| rest.split('/').next());
                    number.map(|number| (format!("{}{number}", if fields.contains_key("prefix") { "" } else { "pr-" }), false))
                }
                other => {
                    return Err(format!(
                        "a tag of `type=ref` has `event={}`; it can be `branch`, `tag` or `pr`",
                        other.unwrap_or_default()
                    ));
                }
            }),
            "sha" => {
                let length = if field("format") == Some("long") { 40 } else { 7 };
                let sha = self.text("sha").get(..length).unwrap_or(self.text("sha"));
                Ok(Some((format!("{}{sha}", if fields.contains_key("prefix") { "" } else { "sha-" }), false)))
            }
            "match" => {
                let pattern = field("pattern").ok_or("a tag of `type=match` has no `pattern`")?;
                let group = field("group").and_then(|group| group.parse().ok()).unwrap_or(0);
                let regex = Regex::new(pattern).map_err(|error| format!("the pattern `{pattern}` can't be read: {error}"))?;
                let value = field("value").or(self.git_tag()).unwrap_or_default();
                Ok(regex.captures(value).and_then(|found| found.get(group)).map(|found| (found.as_str().to_string(), true)))
            }
            "semver" | "pep440" => {
                let pattern = field("pattern").ok_or("a tag of `type=semver` has no `pattern`")?;
                Ok(field("value").or(self.git_tag()).and_then(|value| semver(value, pattern)))
            }
            "schedule" => Ok(None),
            other => Err(format!("`type={other}` makes no tag")),
        }
    }

    fn fill(&self, text: &str) -> Result<String, String> {
        let mut text = text.to_string();
        let short = self.text("sha").get(..7).unwrap_or_default();
        let is_default = (self.branch() == Some(self.default_branch())).to_string();
        let known = [
            ("{{branch}}", self.branch().unwrap_or_default()),
            ("{{tag}}", self.git_tag().unwrap_or_default()),
            ("{{sha}}", short),
            ("{{base_ref}}", self.text("base_ref")),
            ("{{is_default_branch}}", is_default.as_str()),
        ];
        for (name, value) in known {
            text = text.replace(name, value);
        }
        match text.find("{{") {
            None => Ok(text),
            Some(start) => Err(format!("`{}` can't be filled in here", &text[start..])),
        }
    }
}

/// Of `v1.2.3-rc.1`; a version before a release has one tag only, itself.
fn semver(value: &str, pattern: &str) -> Option<(String, bool)> {
    let plain = value.trim_start_matches('v');
    let (core, rest) = plain.split_at(plain.find(['-', '+']).unwrap_or(plain.len()));
    let numbers: Vec<&str> = core.split('.').collect();
    let &[major, minor, patch] = numbers.as_slice() else { return None };
    if [major, minor, patch].iter().any(|number| number.parse::<u64>().is_err()) {
        return None;
    }
    let before = rest.starts_with('-');
    let version = plain.split('+').next().unwrap_or(plain);
    if before && pattern != "{{raw}}" {
        return Some((version.to_string(), false));
    }
    let filled = [("{{version}}", version), ("{{raw}}", value), ("{{major}}", major), ("{{minor}}", minor), ("{{patch}}", patch)]
        .iter()
        .fold(pattern.to_string(), |text, (name, value)| text.replace(name, value));
    Some((filled, !before))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(given: &[(&str, &str)], github: Json, expected: &str) {
        let given: BTreeMap<String, String> = given.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let meta = Metadata::new(Inputs(&given), &github, "now").unwrap();
        assert_eq!(format!("{} | {}", meta.version(), meta.tags().join(" ")), expected);
    }

    #[test]
    fn tags_are_those_of_the_event() {
        let push = |git_ref: &str| json!({"event_name": "push", "ref": git_ref, "sha": "0123456789".repeat(4), "repository": "Me/App", "server_url": "https://f"});
        let image = ("images", "ghcr.io/Me/App");
        check(&[image], push("refs/heads/feature/x"), "feature-x | ghcr.io/me/app:feature-x");
        check(&[image], push("refs/tags/v1.2.3"), "v1.2.3 | ghcr.io/me/app:v1.2.3 ghcr.io/me/app:latest");
        let semver = ("tags", "type=semver,pattern={{version}}\ntype=semver,pattern={{major}}.{{minor}}\ntype=sha");
        check(
            &[image, semver],
            push("refs/tags/v1.2.3"),
            "1.2.3 | ghcr.io/me/app:1.2.3 ghcr.io/me/app:1.2 ghcr.io/me/app:sha-0123456 ghcr.io/me/app:latest",
        );
        check(&[image, semver], push("refs/tags/v2.0.0-rc.1"), "2.0.0-rc.1 | ghcr.io/me/app:2.0.0-rc.1 ghcr.io/me/app:sha-0123456");
        let raw = ("tags", "type=raw,value=latest,enable={{is_default_branch}}\ntype=raw,value={{branch}}-{{sha}}");
        check(&[("images", "a,b"), raw], push("refs/heads/main"), "latest | a:latest a:main-0123456 b:latest b:main-0123456");
        check(
            &[image, ("flavor", "latest=true\nsuffix=-x")],
            push("refs/heads/main"),
            "main-x | ghcr.io/me/app:main-x ghcr.io/me/app:latest",
        );
        check(&[image], json!({"event_name": "pull_request", "ref": "refs/pull/7/merge"}), "pr-7 | ghcr.io/me/app:pr-7");
    }

    #[test]
    fn what_is_given_wins_over_what_is_made() {
        let given = BTreeMap::from([("labels".to_string(), "org.opencontainers.image.title=Mine\na=b".to_string())]);
        let meta = Metadata::new(Inputs(&given), &json!({"repository": "me/app"}), "now").unwrap();
        let labels = meta.labels();
        assert!(labels.contains(&"org.opencontainers.image.title=Mine".to_string()) && labels.contains(&"a=b".to_string()));
        assert_eq!(labels.iter().filter(|it| it.contains("image.title")).count(), 1);
    }
}
