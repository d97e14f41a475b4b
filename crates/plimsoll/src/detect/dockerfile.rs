//! What a Dockerfile says of how a project starts: read, and not built.

use std::collections::BTreeMap;

use super::{Detected, Files, has, node_build, package, plain, words};

/// Only what starts a process of the host: a `CMD` whose program comes from the image alone won't be found, and that is said then.
pub(super) fn detect(files: &dyn Files) -> Option<Detected> {
    let text = files.read("Dockerfile")?;
    let last = |word: &str| text.lines().rev().find_map(|line| line.trim().strip_prefix(word).map(str::trim));
    let command = [last("ENTRYPOINT "), last("CMD ")].into_iter().flatten().map(words).collect::<Vec<_>>().join(" ");
    if command.is_empty() {
        return None;
    }
    let command = last("WORKDIR ").map_or(command.clone(), |folder| out_of_the_image(&command, folder, files));
    // What an image would be made of isn't made here.
    let why = match text.lines().filter(|line| line.trim_start().starts_with("RUN ")).count() {
        0 => "`Dockerfile`, run as a process here and not in a container".to_string(),
        lines => format!("`Dockerfile`, run as a process here and not in a container; its {lines} `RUN` left out"),
    };
    let why = match command.split_whitespace().find(|word| is_script(word) && !has(files, word.trim_start_matches("./"))) {
        Some(script) => {
            format!("{why}, and where its `COPY` puts `{script}` is not known: `start:` in plimsoll.yaml says how it starts here")
        }
        None => why,
    };
    // `EXPOSE` says nothing of whether it heeds `PORT`; where it listens is seen when it runs.
    let detected = plain(command, why)?;
    // What an image would have installed is installed here.
    let build = package(files).and_then(|package| node_build(files, &package));
    Some(Detected { build, health: last("HEALTHCHECK ").and_then(path_of_url), env: image_environment(&text), ..detected })
}

/// What `ENV` gives in the last stage of an image, and in those that it is made from.
/// <https://docs.docker.com/reference/dockerfile/#env>
fn image_environment(dockerfile: &str) -> BTreeMap<String, String> {
    let mut stages: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let (mut name, mut given) = (None, BTreeMap::new());
    // What a build is given unless somebody says otherwise, which nobody does here.
    let mut arguments: BTreeMap<String, String> = BTreeMap::new();
    for line in logical_lines(dockerfile) {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((&line, ""));
        if word.eq_ignore_ascii_case("FROM") {
            let words: Vec<&str> = rest.split_whitespace().filter(|word| !word.starts_with("--")).collect();
            let before = std::mem::take(&mut given);
            name.take().map(|name| stages.insert(name, before));
            given = words.first().and_then(|from| stages.get(&from.to_lowercase())).cloned().unwrap_or_default();
            name = words.get(2).map(|name| name.to_lowercase());
        } else if word.eq_ignore_ascii_case("ENV") {
            // Of one line, each value is what it was before the line.
            let known = arguments.iter().chain(&given).map(|(name, value)| (name.clone(), value.clone())).collect();
            given.extend(env_pairs(rest.trim(), &known));
        } else if word.eq_ignore_ascii_case("ARG") {
            let own = rest
                .split_whitespace()
                .filter_map(|word| word.split_once('='))
                .map(|(name, value)| (name.to_string(), value.trim_matches('"').to_string()));
            arguments.extend(own);
        }
    }
    // These are of the machine, and where it listens is not an image's to say.
    given.retain(|name, _| !["PATH", "PORT", "HOST", "HOME", "PWD", "USER"].contains(&name.as_str()) && !name.starts_with("LD_"));
    given
}

/// Without comments; lines that end with `\` go on in the next.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let (part, more) = line.strip_suffix('\\').map_or((line, false), |part| (part, true));
        match lines.last_mut().filter(|_| goes_on) {
            Some(last) => last.push_str(&format!(" {part}")),
            None => lines.push(part.to_string()),
        }
        goes_on = more;
    }
    lines
}

/// `A=1 B="two words" C=x\ y`, or the old form `A all the rest`.
fn env_pairs(text: &str, given: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let end = text.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(text.len());
    if !text[end..].starts_with('=') {
        let value = Words { rest: text[end..].trim().chars().peekable(), given }.value(|_| false);
        return if end == 0 { Vec::new() } else { vec![(text[..end].to_string(), value)] };
    }
    let mut words = Words { rest: text.chars().peekable(), given };
    let mut pairs = Vec::new();
    loop {
        while words.rest.next_if(|c| c.is_whitespace()).is_some() {}
        let mut name = String::new();
        while let Some(c) = words.rest.next_if(|c| *c != '=' && !c.is_whitespace()) {
            name.push(c);
        }
        if name.is_empty() || words.rest.next_if_eq(&'=').is_none() {
            return pairs;
        }
        pairs.push((name, words.value(char::is_whitespace)));
    }
}

struct Words<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    given: &'a BTreeMap<String, String>,
}

impl Words<'_> {
    /// Up to what ends it outside of quotes.
    fn value(&mut self, ends: fn(char) -> bool) -> String {
        let (mut value, mut quote) = (String::new(), None);
        while let Some(c) = self.rest.next_if(|c| quote.is_some() || !ends(*c)) {
            match (quote, c) {
                (None, '"' | '\'') => quote = Some(c),
                (Some(open), c) if open == c => quote = None,
                (None | Some('"'), '\\') => value.extend(self.rest.next()),
                (None | Some('"'), '$') => value.push_str(&self.variable()),
                _ => value.push(c),
            }
        }
        value
    }

    /// Behind a `$`: `NAME`, `{NAME}`, `{NAME:-otherwise}`, `{NAME:+instead}`.
    fn variable(&mut self) -> String {
        let is_braced = self.rest.next_if_eq(&'{').is_some();
        let mut name = String::new();
        while let Some(c) = self.rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
            name.push(c);
        }
        let known = self.given.get(&name).cloned().unwrap_or_default();
        if !is_braced {
            return if name.is_empty() { "$".to_string() } else { known };
        }
        let mut rest = String::new();
        while let Some(c) = self.rest.next().filter(|c| *c != '}') {
            rest.push(c);
        }
        match rest.split_at_checked(2) {
            Some((":-", otherwise)) if known.is_empty() => otherwise.to_string(),
            Some((":+", instead)) => {
                if known.is_empty() {
                    String::new()
                } else {
                    instead.to_string()
                }
            }
            _ => known,
        }
    }
}

fn is_script(word: &str) -> bool {
    [".py", ".js", ".mjs", ".cjs", ".ts", ".rb", ".sh"].iter().any(|end| word.ends_with(end))
}

/// `/app/server.py` of an image whose folder is `/app` is `server.py` here, where the project has it.
fn out_of_the_image(command: &str, folder: &str, files: &dyn Files) -> String {
    let prefix = format!("{}/", folder.trim_matches('"').trim_end_matches('/'));
    let here = |word: &str| word.strip_prefix(&prefix).filter(|path| has(files, path)).map(str::to_string);
    command.split(' ').map(|word| here(word).unwrap_or_else(|| word.to_string())).collect::<Vec<_>>().join(" ")
}

/// `CMD curl -f http://localhost:5000/healthz || exit 1` asks `/healthz`.
fn path_of_url(check: &str) -> Option<String> {
    let address = &check[check.find("://")? + 3..];
    let path = &address[address.find('/')?..];
    let end = path.find(|c: char| c.is_whitespace() || "\"'|;,]".contains(c)).unwrap_or(path.len());
    Some(path[..end].to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_image_gives_to_what_it_starts_is_read_as_docker_reads_it() {
        let given = |text: &str| image_environment(text).into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
        let of_line = |line: &str| given(&format!("FROM x\nENV A=old\n{line}\n"));
        for (line, expected) in [
            ("ENV B=1 C=\"two words\" D='a $A'", vec!["A=old", "B=1", "C=two words", "D=a $A"]),
            ("ENV A=new B=$A", vec!["A=new", "B=old"]),
            ("ENV B=Rex\\ The\\ Dog C=\\$A", vec!["A=old", "B=Rex The Dog", "C=$A"]),
            ("ENV B=\"say \\\"x\\\"\" C=${A}s D=${NONE:-else} E=${A:+set}", vec!["A=old", "B=say \"x\"", "C=olds", "D=else", "E=set"]),
            ("ENV B the rest `is` $A one", vec!["A=old", "B=the rest `is` old one"]),
            ("ENV B=1 \\\r\n  # note x=1\r\n  spring.profiles.active=prod\r", vec!["A=old", "B=1", "spring.profiles.active=prod"]),
            ("env HOST=0.0.0.0 PATH=/x:$PATH LD_PRELOAD=x B=2", vec!["A=old", "B=2"]),
            ("ARG V=1.2\nENV VER=$V", vec!["A=old", "VER=1.2"]),
            ("ENV", vec!["A=old"]),
        ] {
            assert_eq!(of_line(line), expected, "{line}");
        }
        let stages = "FROM node AS base\nENV A=1\nFROM base AS Build\nENV MODE=development\nFROM --platform=x base\nENV B=2\nCMD x\n";
        assert_eq!(given(stages), ["A=1", "B=2"]);
        assert_eq!(given("FROM a AS b\nENV A=1\nFROM other\n"), [""; 0]);
    }
}
