//! The containers of a job: `image:` and `services:`, and what they are in the model.

use std::collections::BTreeSet;

use super::read::variables;
use super::reader::Reader;
use super::tree::{Place, Tree};
use super::variables::{Variable, template};
use crate::model::Template;

/// `image:`, or an entry of `services:`.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub name: String,
    pub place: Place,
    /// In place of the image's own; one empty word stands for none.
    pub entrypoint: Vec<String>,
    pub command: Vec<String>,
    pub aliases: Vec<String>,
    /// A service has the job's, and these over them.
    pub variables: Vec<Variable>,
    pub user: Option<String>,
    pub platform: Option<String>,
    /// Tried one after the other.
    pub pull: Vec<String>,
}

/// A name, or a mapping with one.
pub(super) fn read(reader: &mut Reader, key: &str, tree: &Tree) -> Option<Image> {
    const IMAGE: &[&str] = &["name", "entrypoint", "docker", "kubernetes", "pull_policy"];
    const SERVICE: &[&str] = &["name", "entrypoint", "docker", "kubernetes", "pull_policy", "alias", "command", "variables"];
    const PULL: &[&str] = &["always", "if-not-present", "never"];
    let mut image = Image {
        name: String::new(),
        place: tree.place,
        entrypoint: Vec::new(),
        command: Vec::new(),
        aliases: Vec::new(),
        variables: Vec::new(),
        user: None,
        platform: None,
        pull: Vec::new(),
    };
    if tree.map().is_none() {
        image.name = reader.text(key, tree)?;
        return Some(image);
    }
    for (known, value) in reader.closed(key, tree, if key == "image" { IMAGE } else { SERVICE }) {
        let name = known.text.as_str();
        match name {
            "name" => image.name = reader.text(name, value).unwrap_or_default(),
            "entrypoint" => image.entrypoint = reader.plain_texts(name, value),
            "command" => image.command = reader.plain_texts(name, value),
            "alias" => {
                let names = reader.text(name, value).unwrap_or_default();
                image.aliases = names.split([' ', ',']).filter(|name| !name.is_empty()).map(str::to_string).collect();
            }
            "variables" => image.variables = variables(reader, name, value, false),
            "pull_policy" => {
                let policies = super::include::entries(value);
                image.pull = policies.into_iter().filter_map(|item| reader.choice(name, item, PULL)).collect();
            }
            "docker" => {
                for (known, value) in reader.closed(name, value, &["platform", "user"]) {
                    let text = reader.text(&known.text, value);
                    if known.text == "user" { image.user = text } else { image.platform = text }
                }
            }
            // Of another executor: GitLab's runner doesn't look at it either.
            _ => drop(reader.closed(name, value, &["user"])),
        }
    }
    if image.name.is_empty() {
        reader.error("gitlab/missing-key", tree.place, format!("`{key}` needs `name`"));
        return None;
    }
    Some(image)
}

/// What containers are made of: values expanded, and the names of secrets.
pub(super) struct Making<'a> {
    pub value: &'a dyn Fn(&str) -> String,
    pub secrets: &'a [String],
}

impl Making<'_> {
    pub fn job(&self, image: &Image) -> Template {
        self.mapping(image, Vec::new(), Vec::new())
    }

    /// By names that nobody else has; those under which GitLab has them are their aliases.
    pub fn services(&self, services: &[Image], env: &Template) -> Option<Template> {
        let mut taken = BTreeSet::new();
        let named = services.iter().map(|service| {
            let name = (self.value)(&service.name);
            let aliases: Vec<String> = service.aliases.iter().map(|alias| (self.value)(alias)).chain(hosts(&name)).collect();
            let plain = hosts(&name).pop().unwrap_or_default();
            let plain: String = plain.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
            let plain = if plain.is_empty() { "service".to_string() } else { plain };
            let mut id = plain.clone();
            let mut number = 2;
            while !taken.insert(id.clone()) {
                id = format!("{plain}-{number}");
                number += 1;
            }
            // As they are: variables in them are the service's own.
            let mut words = service.entrypoint.iter().filter(|word| !word.is_empty());
            let first = words.next();
            let command: Vec<String> = words.chain(&service.command).map(|word| quoted(word)).collect();
            let mut own = vec![("env", self.env(service, env))];
            own.extend(first.map(|word| ("entrypoint", text(word))));
            if !command.is_empty() {
                own.push(("command", text(&command.join(" "))));
            }
            (text(&id), self.mapping(service, own, aliases))
        });
        let services: Vec<(Template, Template)> = named.collect();
        (!services.is_empty()).then_some(Template::Mapping(services))
    }

    fn env(&self, service: &Image, of_job: &Template) -> Template {
        let mut pairs = match of_job {
            Template::Mapping(pairs) => pairs.clone(),
            _ => Vec::new(),
        };
        for variable in &service.variables {
            let name = text(&variable.name);
            pairs.retain(|(known, _)| *known != name);
            let value = if variable.raw { variable.value.clone() } else { (self.value)(&variable.value) };
            pairs.push((name, template(&value, self.secrets)));
        }
        Template::Mapping(pairs)
    }

    fn mapping(&self, image: &Image, own: Vec<(&str, Template)>, aliases: Vec<String>) -> Template {
        let list = |texts: &[String]| Template::Sequence(texts.iter().map(|it| template(it, self.secrets)).collect());
        let options = [("--user", &image.user), ("--platform", &image.platform)];
        let options =
            options.into_iter().filter_map(|(option, value)| Some(format!("{option} {}", quoted(&(self.value)(value.as_ref()?)))));
        let options: Vec<String> = options.collect();
        let mut pairs = vec![("image", self.template(&image.name)), ("options", template(&options.join(" "), self.secrets))];
        pairs.extend(own);
        let gitlab = [("aliases", list(&aliases)), ("pull", list(&image.pull))];
        pairs.push(("gitlab", Template::Mapping(gitlab.map(|(key, value)| (text(key), value)).to_vec())));
        Template::Mapping(pairs.into_iter().map(|(key, value)| (text(key), value)).collect())
    }

    /// The shell of the job's steps: bash where the image has one. An entrypoint that is given has it as its command, as GitLab's runner
    /// starts it; where that is a shell itself, it changes nothing.
    pub fn shell(image: &Image) -> Template {
        const SHELL: &str = "sh -c \"exec $(command -v bash || echo sh) -e \\\"$0\\\"\" {0}";
        let program = image.entrypoint.first().map_or("", |word| word.rsplit('/').next().unwrap_or_default());
        if matches!(program, "" | "sh" | "bash" | "ash" | "dash") {
            return text(SHELL);
        }
        let words: Vec<String> = image.entrypoint.iter().map(|word| quoted(word)).collect();
        text(&format!("env {} {SHELL}", words.join(" ")))
    }

    fn template(&self, text: &str) -> Template {
        template(&(self.value)(text), self.secrets)
    }
}

fn text(text: &str) -> Template {
    Template::String(text.to_string())
}

/// One word, as [`words`](crate::job::shell::words) reads it.
fn quoted(word: &str) -> String {
    format!("\"{}\"", word.replace('"', "\\\""))
}

/// The names a service has by its image: without port, tag and digest; the slashes as two underscores, and as dashes.
fn hosts(image: &str) -> Vec<String> {
    let image = image.split('@').next().unwrap_or_default();
    let (registry, path) = match image.split_once('/') {
        Some((host, path)) if host.contains([':', '.']) || host == "localhost" => (host.split(':').next(), path),
        _ => (None, image),
    };
    let path = path.split(':').next().unwrap_or_default();
    let name = registry.map_or(path.to_string(), |registry| format!("{registry}/{path}"));
    let mut names = vec![name.replace('/', "__"), name.replace('/', "-")];
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GitLab, "Accessing the services".
    #[test]
    fn a_service_is_named_by_its_image() {
        for (image, expected) in [
            ("postgres", "postgres"),
            ("mysql:8.0", "mysql"),
            ("tutum/wordpress:latest", "tutum__wordpress tutum-wordpress"),
            ("registry.example.com:5000/group/db:1@sha256:00", "registry.example.com__group__db registry.example.com-group-db"),
            ("localhost/tiny", "localhost__tiny localhost-tiny"),
        ] {
            assert_eq!(hosts(image).join(" "), expected, "{image}");
        }
    }
}
