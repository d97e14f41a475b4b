//! The container of a job and those of its services: what their lines in the file come to.
//!
//! The file may give each as a text, as a mapping, or as an expression that yields either, so that what is typed is the
//! value and not the lines. An empty image means no container at all.

use std::collections::BTreeMap;

use crate::expr::{Object, Scope, Value, evaluate_template};
use crate::model::Template;

/// A container to be started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Container {
    /// `node:20`, `ghcr.io/acme/tools@sha256:…`; without `docker://`.
    pub image: String,
    pub credentials: Option<Credentials>,
    pub env: BTreeMap<String, String>,
    /// `8080:80`, `6379/tcp`.
    pub ports: Vec<String>,
    /// `/data`, `name:/data`, `/here:/there:ro`.
    pub volumes: Vec<String>,
    /// Arguments for the engine, as one would type them.
    pub options: String,
    /// In place of the image's own; only services have one.
    pub entrypoint: Option<String>,
    pub command: Option<String>,
    pub gitlab: Option<OfGitlab>,
}

/// What GitLab's files say of a container beyond that; its home is the image's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OfGitlab {
    /// Further names by which others reach a service.
    pub aliases: Vec<String>,
    /// One after the other; nothing for [`Pull::Missing`].
    pub pull: Vec<Pull>,
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pull {
    Always,
    /// Where it isn't on this machine.
    #[default]
    Missing,
    Never,
}

/// Who pulls the image; never written anywhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub username: String,
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// The container that a job's steps run in; nothing where its image is empty.
///
/// # Errors
/// One sentence: what has no value, or isn't what it must be.
pub fn job(template: &Template, scope: &dyn Scope) -> Result<Option<Container>, String> {
    let value = evaluate("container", template, scope)?;
    read("`container`", &value, false)
}

/// The services by their names, in the order of the file; those whose image is empty are left out.
///
/// # Errors
/// As [`job`].
pub fn services(template: &Template, scope: &dyn Scope) -> Result<Vec<(String, Container)>, String> {
    let services = match evaluate("services", template, scope)? {
        Value::Null => return Ok(Vec::new()),
        Value::Object(services) => services,
        other => return Err(format!("`services` must be a mapping, not `{}`", other.text())),
    };
    let mut found = Vec::new();
    for (name, value) in services.iter() {
        found.extend(read(&format!("the service `{name}`"), value, true)?.map(|container| (name.to_owned(), container)));
    }
    Ok(found)
}

fn evaluate(key: &str, template: &Template, scope: &dyn Scope) -> Result<Value, String> {
    evaluate_template(template, scope).map_err(|error| format!("`{key}` has no value: {error}"))
}

fn read(what: &str, value: &Value, is_service: bool) -> Result<Option<Container>, String> {
    let mut container = Container::default();
    let fields = match value {
        Value::Object(fields) => fields,
        other => {
            container.image = image(&text(what, "image", other)?);
            return Ok(Some(container).filter(|container| !container.image.is_empty()));
        }
    };
    for (key, value) in fields.iter() {
        match key.to_ascii_lowercase().as_str() {
            "image" => container.image = image(&text(what, key, value)?),
            "credentials" => container.credentials = credentials(what, value)?,
            "env" => container.env = pairs(what, key, value)?,
            "ports" => container.ports = list(what, key, value)?,
            "volumes" => container.volumes = list(what, key, value)?,
            "options" => container.options = text(what, key, value)?,
            "entrypoint" if is_service => container.entrypoint = Some(text(what, key, value)?).filter(|text| !text.is_empty()),
            "command" if is_service => container.command = Some(text(what, key, value)?).filter(|text| !text.is_empty()),
            "gitlab" => container.gitlab = of_gitlab(what, value)?,
            _ => return Err(format!("{what} has no `{key}`")),
        }
    }
    Ok(Some(container).filter(|container| !container.image.is_empty()))
}

fn of_gitlab(what: &str, value: &Value) -> Result<Option<OfGitlab>, String> {
    let Value::Object(fields) = value else { return Ok(None) };
    let texts = |key: &str| fields.get(key).map_or(Ok(Vec::new()), |value| list(what, key, value));
    let policy = |word: &String| match word.as_str() {
        "always" => Pull::Always,
        "never" => Pull::Never,
        _ => Pull::Missing,
    };
    Ok(Some(OfGitlab { aliases: texts("aliases")?, pull: texts("pull")?.iter().map(policy).collect() }))
}

/// The official runner takes `docker://` before an image as well.
fn image(written: &str) -> String {
    let written = written.trim();
    image_of(written).unwrap_or(written).to_owned()
}

/// What stands behind `docker://`, where that is what it begins with.
pub fn image_of(written: &str) -> Option<&str> {
    let scheme = written.get(.."docker://".len())?;
    scheme.eq_ignore_ascii_case("docker://").then(|| &written["docker://".len()..])
}

fn credentials(what: &str, value: &Value) -> Result<Option<Credentials>, String> {
    let fields: &Object = match value {
        Value::Null => return Ok(None),
        Value::Object(fields) => fields,
        other => return Err(format!("the `credentials` of {what} must be a mapping, not `{}`", other.text())),
    };
    let field = |name: &str| fields.get(name).map_or(Ok(String::new()), |value| text(what, name, value));
    let (username, password) = (field("username")?, field("password")?);
    match (username.is_empty(), password.is_empty()) {
        (true, true) => Ok(None),
        (false, false) => Ok(Some(Credentials { username, password })),
        (true, false) => Err(format!("the `credentials` of {what} have no `username`")),
        (false, true) => Err(format!("the `credentials` of {what} have no `password`: is the secret set?")),
    }
}

fn pairs(what: &str, key: &str, value: &Value) -> Result<BTreeMap<String, String>, String> {
    match value {
        Value::Null => Ok(BTreeMap::new()),
        Value::Object(entries) => entries.iter().map(|(name, value)| Ok((name.to_owned(), text(what, name, value)?))).collect(),
        other => Err(format!("`{key}` of {what} must be a mapping, not `{}`", other.text())),
    }
}

fn list(what: &str, key: &str, value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(items) => items.iter().map(|item| text(what, key, item)).collect(),
        other => Err(format!("`{key}` of {what} must be a list, not `{}`", other.text())),
    }
}

fn text(what: &str, key: &str, value: &Value) -> Result<String, String> {
    match value {
        Value::Array(_) | Value::Object(_) => Err(format!("`{key}` of {what} must be a text")),
        other => Ok(other.text()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::github;
    use crate::model::Work;

    struct Fixed;

    impl Scope for Fixed {
        fn context(&self, name: &str) -> Option<Value> {
            let json = match name {
                "matrix" => serde_json::json!({"image": "", "whole": {"image": "docker://node:20", "ports": [80]}}),
                "secrets" => serde_json::json!({"USER": "ada", "PASSWORD": "geheim"}),
                _ => return None,
            };
            Some(Value::from_json(&json))
        }

        fn call(&self, _: &str, _: &[Value]) -> Option<Result<Value, String>> {
            None
        }
    }

    /// `(container, services)` of a job with these lines.
    fn check(lines: &str, expected: &str) {
        let file = format!("on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{{ run: a }}]\n{lines}");
        let (workflow, wrong) = github::parse(&base::Source::new("a.yml", file));
        let workflow = workflow.unwrap_or_else(|| panic!("{wrong:?}"));
        let Work::Steps { container, services: template, .. } = &workflow.jobs[0].work else { panic!("it has steps") };
        let mut said = Vec::new();
        if let Some(container) = container {
            said.push(job(container, &Fixed).map_or_else(|error| error, |container| shown(container.as_ref())));
        }
        match template.as_ref().map(|template| services(template, &Fixed)) {
            Some(Ok(services)) => said.extend(services.iter().map(|(name, container)| format!("{name}: {}", shown(Some(container))))),
            Some(Err(error)) => said.push(error),
            None => {}
        }
        assert_eq!(said.join("\n"), expected, "{lines}");
    }

    fn shown(container: Option<&Container>) -> String {
        let Some(it) = container else { return "none".to_owned() };
        let who = it.credentials.as_ref().map(|who| format!(" by {}:{}", who.username, who.password)).unwrap_or_default();
        let command = [&it.entrypoint, &it.command].into_iter().flatten().map(|text| format!(" `{text}`")).collect::<String>();
        format!("{}{who} {:?} {:?} {:?} {:?}{command}", it.image, it.env, it.ports, it.volumes, it.options)
    }

    #[test]
    fn what_the_lines_come_to() {
        check("    container: node:20\n", "node:20 {} [] [] \"\"");
        // Legs of a matrix without an image run on the machine itself.
        check("    container: ${{ matrix.image }}\n", "none");
        check("    container: ${{ matrix.whole }}\n", "node:20 {} [\"80\"] [] \"\"");
        check(
            "    container:\n      image: a\n      env: { N: 1 }\n      volumes: [a:/b]\n      options: --cpus 1\n      credentials: { username: '${{ secrets.USER }}', password: '${{ secrets.PASSWORD }}' }\n",
            "a by ada:geheim {\"N\": \"1\"} [] [\"a:/b\"] \"--cpus 1\"",
        );
        check(
            "    services:\n      db: { image: postgres, entrypoint: /bin/sh, command: -c true, ports: ['5432:5432'] }\n      gone: { image: '${{ matrix.image }}' }\n      cache: redis\n",
            "db: postgres {} [\"5432:5432\"] [] \"\" `/bin/sh` `-c true`\ncache: redis {} [] [] \"\"",
        );
        check(
            "    container:\n      image: a\n      credentials: { username: ada, password: '${{ secrets.NONE }}' }\n",
            "the `credentials` of `container` have no `password`: is the secret set?",
        );
    }
}
