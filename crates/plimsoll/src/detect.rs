//! What a repository without a `plimsoll.yaml` most likely is: how it is built, started and reached, and why we think so.

use serde_json::Value as Json;

/// Files of the project, by their paths relative to it.
pub trait Files {
    fn list(&self) -> &[String];
    fn read(&self, path: &str) -> Option<String>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detected {
    pub start: String,
    /// One clause: `Procfile has a web process`.
    pub why: String,
    /// Makes `artifact` where the commit alone doesn't start.
    pub build: Option<Build>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    pub command: String,
    /// Relative to the project.
    pub artifact: String,
}

/// The first that fits, from the most to the least explicit.
pub fn detect(files: &dyn Files) -> Option<Detected> {
    [procfile, dockerfile, package_json, cargo, go, python, static_files].iter().find_map(|kind| kind(files))
}

fn plain(start: impl Into<String>, why: impl Into<String>) -> Option<Detected> {
    Some(Detected { start: start.into(), why: why.into(), build: None })
}

fn has(files: &dyn Files, path: &str) -> bool {
    files.list().iter().any(|file| file == path)
}

fn procfile(files: &dyn Files) -> Option<Detected> {
    let text = files.read("Procfile")?;
    let web = text.lines().find_map(|line| line.strip_prefix("web:"))?.trim();
    plain(web, "`Procfile` has a web process")
}

/// Only what starts a process of the host: a `CMD` whose program comes from the image alone won't be found, and that is said then.
fn dockerfile(files: &dyn Files) -> Option<Detected> {
    let text = files.read("Dockerfile")?;
    let last = |word: &str| text.lines().rev().find_map(|line| line.trim().strip_prefix(word).map(str::trim));
    let command = [last("ENTRYPOINT "), last("CMD ")].into_iter().flatten().map(words).collect::<Vec<_>>().join(" ");
    if command.is_empty() {
        return None;
    }
    // `EXPOSE` says nothing of whether it heeds `PORT`; where it listens is seen when it runs.
    plain(command, "`Dockerfile` says so (run as a process here, not in a container)")
}

/// `["a", "b c"]` or a shell line.
fn words(text: &str) -> String {
    match serde_json::from_str::<Vec<String>>(text) {
        Ok(words) => words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" "),
        Err(_) => text.to_string(),
    }
}

fn quote(word: &str) -> String {
    let plain = !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:=@%+,$".contains(c));
    if plain { word.to_string() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

fn package_json(files: &dyn Files) -> Option<Detected> {
    let package: Json = serde_json::from_str(&files.read("package.json")?).ok()?;
    if let Some(script) = package["scripts"]["start"].as_str() {
        return plain(script, "`package.json` has a start script");
    }
    let main = package["main"].as_str().map(str::to_string);
    let main = main.or_else(|| ["server.js", "index.js", "app.js"].iter().find(|file| has(files, file)).map(|file| (*file).to_string()))?;
    plain(format!("node {}", quote(&main)), format!("`package.json` and `{main}`"))
}

fn cargo(files: &dyn Files) -> Option<Detected> {
    let text = files.read("Cargo.toml")?;
    if !has(files, "src/main.rs") {
        return None;
    }
    let package = text.split("[package]").nth(1)?;
    let name = package.lines().take_while(|line| !line.starts_with('[')).find_map(|line| toml_string(line, "name"))?;
    let build = Build { command: "cargo build --release".into(), artifact: format!("target/release/{name}") };
    Some(Detected { start: format!("./{name}"), why: "`Cargo.toml` has a binary".into(), build: Some(build) })
}

fn toml_string(line: &str, key: &str) -> Option<String> {
    let value = line.trim().strip_prefix(key)?.trim_start().strip_prefix('=')?.trim();
    Some(value.trim_matches('"').to_string())
}

fn go(files: &dyn Files) -> Option<Detected> {
    if !has(files, "go.mod") || !has(files, "main.go") {
        return None;
    }
    let build = Build { command: "go build -o plimsoll-app .".into(), artifact: "plimsoll-app".into() };
    Some(Detected { start: "./plimsoll-app".into(), why: "`go.mod` and `main.go`".into(), build: Some(build) })
}

fn python(files: &dyn Files) -> Option<Detected> {
    let is_python = ["pyproject.toml", "requirements.txt", "setup.py"].iter().any(|file| has(files, file));
    if let Some(module) = files.list().iter().find_map(|file| file.strip_suffix("/__main__.py")).filter(|module| !module.contains('/')) {
        return plain(format!("python3 -m {module}"), format!("`{module}` is a Python package that can be run"));
    }
    let main = ["app.py", "main.py", "server.py", "wsgi.py"].iter().find(|file| has(files, file))?;
    let why = if is_python { format!("a Python project with `{main}`") } else { format!("`{main}`") };
    plain(format!("python3 {main}"), why)
}

fn static_files(files: &dyn Files) -> Option<Detected> {
    has(files, "index.html").then_some(())?;
    plain("python3 -m http.server \"$PORT\" --bind 127.0.0.1", "`index.html`: static files")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fake(Vec<(&'static str, &'static str)>, Vec<String>);

    impl Files for Fake {
        fn list(&self) -> &[String] {
            &self.1
        }

        fn read(&self, path: &str) -> Option<String> {
            self.0.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_string())
        }
    }

    fn check(files: &[(&'static str, &'static str)], expected: &str) {
        let fake = Fake(files.to_vec(), files.iter().map(|(name, _)| (*name).to_string()).collect());
        let found = match detect(&fake) {
            None => "nothing".to_string(),
            Some(detected) => {
                let build = detected.build.map(|build| format!(" [{} -> {}]", build.command, build.artifact)).unwrap_or_default();
                format!("{}{build}", detected.start)
            }
        };
        assert_eq!(found, expected, "{files:?}");
    }

    #[test]
    fn each_kind_of_project_is_recognised_and_the_explicit_wins() {
        check(&[("Procfile", "release: x\nweb: gunicorn app:app\n"), ("app.py", "")], "gunicorn app:app");
        check(&[("Dockerfile", "FROM x\nEXPOSE 3000/tcp\nCMD [\"node\", \"my server.js\"]\n")], "node 'my server.js'");
        check(&[("Dockerfile", "FROM x\nCMD exec ./serve\n")], "exec ./serve");
        check(&[("package.json", "{\"scripts\":{\"start\":\"node srv.js\"}}")], "node srv.js");
        check(&[("package.json", "{}"), ("index.js", "")], "node index.js");
        check(&[("Cargo.toml", "[package]\nname = \"api\"\n"), ("src/main.rs", "")], "./api [cargo build --release -> target/release/api]");
        check(&[("go.mod", "module x"), ("main.go", "")], "./plimsoll-app [go build -o plimsoll-app . -> plimsoll-app]");
        check(&[("shop/__main__.py", ""), ("pyproject.toml", "")], "python3 -m shop");
        check(&[("requirements.txt", ""), ("main.py", "")], "python3 main.py");
        check(&[("index.html", "")], "python3 -m http.server \"$PORT\" --bind 127.0.0.1");
        check(&[("README.md", "")], "nothing");
    }
}
