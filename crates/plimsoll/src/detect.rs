//! What a repository without a `plimsoll.yaml` most likely is: how it is built, started and reached, and why we think so.

mod dockerfile;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

/// Files of the project, by their paths relative to it.
pub trait Files {
    fn list(&self) -> &[String];
    fn bytes(&self, path: &str) -> Option<Vec<u8>>;

    /// What isn't UTF-8 is replaced.
    fn read(&self, path: &str) -> Option<String> {
        self.bytes(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detected {
    pub start: String,
    /// One clause: `Procfile has a web process`.
    pub why: String,
    /// Makes `artifact` where the commit alone doesn't start.
    pub build: Option<Build>,
    /// The path that a `HEALTHCHECK` asks.
    pub health: Option<String>,
    /// What the start is given besides, unless the configuration says otherwise.
    pub env: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    pub command: String,
    /// Relative to the project.
    pub artifact: Artifact,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Artifact {
    File(String),
    /// Everything, with what the build put beside the commit's files.
    Whole,
}

/// The first that fits, from the most to the least explicit.
pub fn detect(files: &dyn Files) -> Option<Detected> {
    [procfile, dockerfile::detect, package_json, cargo, go, python, static_files].iter().find_map(|kind| kind(files))
}

/// Files that often tell how a project starts, and why these don't; nothing for those that aren't there.
pub fn silent(files: &dyn Files) -> Vec<String> {
    let mut why = Vec::new();
    let mut say = |file: &str, sentence: String| why.push(format!("`{file}` {sentence}"));
    if has(files, "Procfile") {
        say("Procfile", "has no line that begins with `web:`".to_string());
    }
    if has(files, "Dockerfile") {
        say("Dockerfile", "has neither `CMD` nor `ENTRYPOINT`".to_string());
    }
    if has(files, "package.json") {
        match files.read("package.json").map(|text| serde_json::from_str::<Json>(&text)) {
            Some(Err(error)) => say("package.json", format!("can't be read: {error}")),
            Some(Ok(_)) if has_build(files) => say(
                "package.json",
                "has a `build` script and no `start`: with a script `start` that serves on $PORT what it makes, it would be built and started".to_string(),
            ),
            _ => say("package.json", "has neither a start script nor a `main`, and there is no server.js, index.js or app.js".to_string()),
        }
    }
    if has(files, "Cargo.toml") {
        say("Cargo.toml", "is not that of a package with `src/main.rs`".to_string());
    }
    if has(files, "go.mod") {
        say("go.mod", "has neither `main.go` nor one folder `cmd/NAME` with a `main.go` beside it".to_string());
    }
    for file in ["pyproject.toml", "requirements.txt", "setup.py"].into_iter().filter(|file| has(files, file)) {
        say(file, format!("has no {} beside it, nor a package with `__main__.py`", PYTHON_MAINS.join(", ")));
    }
    why
}

/// Folders of a repository of several projects that hold something a project could be told by, as far down as people put them.
pub fn nested(files: &dyn Files) -> Vec<String> {
    const TELLING: [&str; 12] = [
        "plimsoll.yaml",
        "Procfile",
        "Dockerfile",
        "package.json",
        "Cargo.toml",
        "go.mod",
        "pyproject.toml",
        "requirements.txt",
        "index.html",
        "app.py",
        "main.py",
        "server.py",
    ];
    const DEPTH_MAX: usize = 2;
    let folder = |path: &String| {
        let (folder, name) = path.rsplit_once('/')?;
        let is_near = folder.split('/').count() <= DEPTH_MAX && !folder.starts_with('.');
        (is_near && TELLING.contains(&name)).then(|| folder.to_string())
    };
    let folders: BTreeSet<String> = files.list().iter().filter_map(folder).collect();
    folders.into_iter().collect()
}

fn plain(start: impl Into<String>, why: impl Into<String>) -> Option<Detected> {
    Some(Detected { start: start.into(), why: why.into(), build: None, health: None, env: BTreeMap::new() })
}

fn has(files: &dyn Files, path: &str) -> bool {
    files.list().iter().any(|file| file == path)
}

fn procfile(files: &dyn Files) -> Option<Detected> {
    let text = files.read("Procfile")?;
    let web = text.lines().find_map(|line| line.strip_prefix("web:"))?.trim();
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    let named = text.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name).filter(|name| *name != "web" && is_name(name));
    let others: Vec<String> = named.map(|name| format!("`{name}`")).collect();
    let left_out = if others.is_empty() { String::new() } else { format!("; its {} left out", others.join(", ")) };
    plain(web, format!("`Procfile` has a web process{left_out}"))
}

/// `["a", "b c"]` or a shell line.
fn words(text: &str) -> String {
    match serde_json::from_str::<Vec<String>>(text) {
        Ok(words) => words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" "),
        Err(_) => text.to_string(),
    }
}

/// As a word of a shell.
pub fn quote(word: &str) -> String {
    let plain = !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:=@%+,$".contains(c));
    if plain { word.to_string() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

fn package(files: &dyn Files) -> Option<Json> {
    serde_json::from_str(&files.read("package.json")?).ok()
}

fn package_json(files: &dyn Files) -> Option<Detected> {
    let package = package(files)?;
    let build = node_build(files, &package);
    let detected = match package["scripts"]["start"].as_str() {
        Some(script) if build.is_some() => {
            plain(format!("PATH=\"$PWD/node_modules/.bin:$PATH\"; {script}"), "`package.json` has a start script")
        }
        Some(script) => plain(script, "`package.json` has a start script"),
        None => {
            let main = package["main"].as_str();
            let main = main.or_else(|| ["server.js", "index.js", "app.js"].into_iter().find(|file| has(files, file)))?;
            plain(format!("node {}", quote(main)), format!("`package.json` and `{main}`"))
        }
    };
    Some(Detected { build, ..detected? })
}

/// What it depends on, by the tool whose lock file is there, and its build script.
fn node_build(files: &dyn Files, package: &Json) -> Option<Build> {
    let has_build = package["scripts"]["build"].is_string();
    let names = |key: &str| package[key].as_object().is_some_and(|packages| !packages.is_empty());
    let (install, run) = match () {
        () if has(files, "pnpm-lock.yaml") => ("pnpm install --frozen-lockfile", "pnpm run build"),
        () if has(files, "yarn.lock") => ("yarn install --frozen-lockfile", "yarn run build"),
        () if has(files, "package-lock.json") => ("npm ci", "npm run build"),
        () => ("npm install --no-audit --no-fund", "npm run build"),
    };
    let install = (names("dependencies") || has_build && names("devDependencies")).then_some(install);
    let commands: Vec<&str> = install.into_iter().chain(has_build.then_some(run)).collect();
    (!commands.is_empty()).then(|| Build { command: commands.join(" && "), artifact: Artifact::Whole })
}

fn cargo(files: &dyn Files) -> Option<Detected> {
    let text = files.read("Cargo.toml")?;
    if !has(files, "src/main.rs") {
        return None;
    }
    let package = text.split("[package]").nth(1)?;
    let name = package.lines().take_while(|line| !line.starts_with('[')).find_map(|line| toml_string(line, "name"))?;
    let artifact = Artifact::File(format!("target/release/{name}"));
    let build = Build { command: "cargo build --release".into(), artifact };
    Some(Detected { build: Some(build), ..plain(format!("./{name}"), "`Cargo.toml` has a binary")? })
}

fn toml_string(line: &str, key: &str) -> Option<String> {
    let value = line.trim().strip_prefix(key)?.trim_start().strip_prefix('=')?.trim();
    Some(value.trim_matches('"').to_string())
}

fn go(files: &dyn Files) -> Option<Detected> {
    has(files, "go.mod").then_some(())?;
    let main = if has(files, "main.go") { "main.go" } else { only_command(files)? };
    let package = main.strip_suffix("/main.go").map_or(".".to_string(), |folder| format!("./{folder}"));
    let build = Build { command: format!("go build -o plimsoll-app {package}"), artifact: Artifact::File("plimsoll-app".into()) };
    Some(Detected { build: Some(build), ..plain("./plimsoll-app", format!("`go.mod` and `{main}`"))? })
}

/// `cmd/NAME/main.go`, where there is one.
fn only_command(files: &dyn Files) -> Option<&str> {
    let is_main =
        |file: &&String| file.strip_prefix("cmd/").and_then(|rest| rest.strip_suffix("/main.go")).is_some_and(|name| !name.contains('/'));
    let mut mains = files.list().iter().filter(is_main);
    mains.next().filter(|_| mains.next().is_none()).map(String::as_str)
}

fn python(files: &dyn Files) -> Option<Detected> {
    let is_python = ["pyproject.toml", "requirements.txt", "setup.py"].iter().any(|file| has(files, file));
    let module = |file: &str| {
        let folder = file.strip_suffix("/__main__.py")?;
        let module = folder.strip_prefix("src/").unwrap_or(folder);
        (!module.contains('/')).then(|| (module.to_string(), folder.len() > module.len()))
    };
    if let Some((module, in_src)) = files.list().iter().find_map(|file| module(file)) {
        let path = if in_src { SRC } else { "" };
        return plain(format!("{path}python3 -m {module}"), format!("`{module}` is a Python package that can be run"));
    }
    if let Some((name, start)) = files.read("pyproject.toml").as_deref().and_then(|text| only_script(text, files)) {
        return plain(start, format!("`pyproject.toml` has the script `{name}`"));
    }
    if has(files, "manage.py") {
        let start = "python3 manage.py runserver --noreload \"127.0.0.1:$PORT\"";
        return plain(start, "`manage.py`: Django, with its server for development");
    }
    let Some(main) = PYTHON_MAINS.iter().find(|file| has(files, file)) else {
        return files.list().iter().filter(|file| is_in_package(file)).find_map(|file| python_server(files, file));
    };
    if let Some(detected) = python_server(files, main) {
        return Some(detected);
    }
    let wanted = |file: &&str| has(files, file) && files.read(file).is_some_and(|text| !text.trim().is_empty());
    let packages = Some("requirements.txt").filter(wanted).map_or("", |_| "; what `requirements.txt` names must be installed here");
    let why = if is_python { format!("a Python project with `{main}`{packages}") } else { format!("`{main}`") };
    plain(format!("python3 {main}"), why)
}

/// Where packages lie below `src`, which installing them would find.
const SRC: &str = "PYTHONPATH=src${PYTHONPATH:+:$PYTHONPATH} ";

/// `svc/main.py`, `src/svc/__init__.py`.
fn is_in_package(file: &str) -> bool {
    let parts: Vec<&str> = file.strip_prefix("src/").unwrap_or(file).split('/').collect();
    matches!(parts.as_slice(), [package, name] if !["test", "tests", "docs", "examples"].contains(package)
        && (PYTHON_MAINS.contains(name) || ["asgi.py", "__init__.py"].contains(name)))
}

const PYTHON_MAINS: [&str; 4] = ["app.py", "main.py", "server.py", "wsgi.py"];

/// The one entry below `[project.scripts]`, which names a function.
fn only_script(pyproject: &str, files: &dyn Files) -> Option<(String, String)> {
    let section = pyproject.split("[project.scripts]").nth(1)?;
    let lines = section.lines().take_while(|line| !line.trim_start().starts_with('['));
    let mut entries = lines.filter_map(|line| line.split_once('=')).map(|(name, value)| (name.trim(), value.trim().trim_matches('"')));
    let (name, (module, function)) = entries.next().and_then(|(name, value)| Some((name, value.split_once(':')?)))?;
    let is_name = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.');
    let is_only = entries.next().is_none() && is_name(module) && is_name(function);
    let package = module.split('.').next().unwrap_or(module);
    let in_src = files.list().iter().any(|file| file.starts_with(&format!("src/{package}/")) || *file == format!("src/{package}.py"));
    let path = if in_src { SRC } else { "" };
    is_only.then(|| (name.to_string(), format!("{path}python3 -c 'import sys; from {module} import {function}; sys.exit({function}())'")))
}

/// A file that only makes the application is served by what the project names for that.
fn python_server(files: &dyn Files, main: &str) -> Option<Detected> {
    let text = files.read(main)?;
    let makes =
        |kind: &str| text.lines().find_map(|line| Some(line.split_once('=')?.0.trim()).filter(|_| line.contains(&format!("{kind}("))));
    let wanted = ["requirements.txt", "pyproject.toml", "setup.py"].iter().filter_map(|file| files.read(file)).collect::<String>();
    let in_src = main.starts_with("src/");
    let module = main.trim_start_matches("src/").trim_end_matches(".py").trim_end_matches("/__init__").replace('/', ".");
    // What a function makes has a name of its own there.
    let makes = |kind: &str| if text.contains("def create_app(") { makes(kind).map(|_| "create_app()") } else { makes(kind) };
    let (server, start) = match (makes("FastAPI").or_else(|| makes("Starlette")), makes("Flask")) {
        (Some("create_app()"), _) if wanted.contains("uvicorn") => {
            ("uvicorn", format!("python3 -m uvicorn --factory {module}:create_app --host 127.0.0.1 --port \"$PORT\""))
        }
        (Some(name), _) if wanted.contains("uvicorn") => {
            ("uvicorn", format!("python3 -m uvicorn {module}:{name} --host 127.0.0.1 --port \"$PORT\""))
        }
        (_, Some(name)) if wanted.contains("gunicorn") => {
            ("gunicorn", format!("python3 -m gunicorn --bind \"127.0.0.1:$PORT\" {}", quote(&format!("{module}:{name}"))))
        }
        (_, Some(_)) if !text.contains(".run(") => {
            ("Flask's own server", format!("python3 -m flask --app {module} run --host 127.0.0.1 --port \"$PORT\""))
        }
        _ => return None,
    };
    let start = if in_src { format!("{SRC}{start}") } else { start };
    plain(start, format!("`{main}` makes an application for {server}, which must be installed here"))
}

fn has_build(files: &dyn Files) -> bool {
    package(files).is_some_and(|package| package["scripts"]["build"].is_string())
}

fn static_files(files: &dyn Files) -> Option<Detected> {
    has(files, "index.html").then_some(())?;
    // Served as it lies there it would be the sources of a page.
    if has_build(files) {
        return None;
    }
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

        fn bytes(&self, path: &str) -> Option<Vec<u8>> {
            self.0.iter().find(|(name, _)| *name == path).map(|(_, text)| text.as_bytes().to_vec())
        }
    }

    fn check(files: &[(&'static str, &'static str)], expected: &str) {
        let fake = Fake(files.to_vec(), files.iter().map(|(name, _)| (*name).to_string()).collect());
        let found = match detect(&fake) {
            None => "nothing".to_string(),
            Some(detected) => {
                let made = |build: Build| match build.artifact {
                    Artifact::File(path) => format!(" [{} -> {path}]", build.command),
                    Artifact::Whole => format!(" [{}]", build.command),
                };
                let health = detected.health.map(|path| format!(" ? {path}")).unwrap_or_default();
                format!("{}{}{health}", detected.start, detected.build.map(made).unwrap_or_default())
            }
        };
        assert_eq!(found, expected, "{files:?}");
    }

    #[test]
    fn each_kind_of_project_is_recognised_and_the_explicit_wins() {
        check(&[("Procfile", "release: x\nweb: gunicorn app:app\n"), ("app.py", "")], "gunicorn app:app");
        check(&[("Dockerfile", "FROM x\nEXPOSE 3000/tcp\nCMD [\"node\", \"my server.js\"]\n")], "node 'my server.js'");
        check(&[("Dockerfile", "FROM x\nCMD exec ./serve\n")], "exec ./serve");
        let in_image = "FROM x\nWORKDIR /app\nCOPY . .\nCMD [\"python3\", \"/app/app.py\", \"/app/data\"]\n";
        check(&[("Dockerfile", in_image), ("app.py", "")], "python3 app.py /app/data");
        check(
            &[("Dockerfile", "FROM x\nHEALTHCHECK CMD curl -f http://localhost:5000/healthz || exit 1\nCMD ./serve\n")],
            "./serve ? /healthz",
        );
        check(
            &[
                ("package.json", "{\"scripts\":{\"start\":\"next start\",\"build\":\"next build\"},\"dependencies\":{\"next\":\"15\"}}"),
                ("package-lock.json", "{}"),
            ],
            "PATH=\"$PWD/node_modules/.bin:$PATH\"; next start [npm ci && npm run build]",
        );
        check(
            &[("package.json", "{\"dependencies\":{\"express\":\"5\"}}"), ("index.js", ""), ("yarn.lock", "")],
            "node index.js [yarn install --frozen-lockfile]",
        );
        check(
            &[
                ("Dockerfile", "FROM node\nRUN npm ci\nCMD [\"node\", \"srv.js\"]\n"),
                ("package.json", "{\"dependencies\":{\"express\":\"5\"}}"),
            ],
            "node srv.js [npm install --no-audit --no-fund]",
        );
        check(&[("go.mod", "module x"), ("cmd/srv/main.go", "")], "./plimsoll-app [go build -o plimsoll-app ./cmd/srv -> plimsoll-app]");
        check(&[("go.mod", "module x"), ("cmd/a/main.go", ""), ("cmd/b/main.go", "")], "nothing");
        check(
            &[("pyproject.toml", "[project]\nname = \"a\"\n[project.scripts]\nserve = \"a.main:main\"\n")],
            "python3 -c 'import sys; from a.main import main; sys.exit(main())'",
        );
        check(
            &[("requirements.txt", "flask\ngunicorn\n"), ("app.py", "from flask import Flask\napp = Flask(__name__)\n")],
            "python3 -m gunicorn --bind \"127.0.0.1:$PORT\" app:app",
        );
        check(
            &[
                ("pyproject.toml", "dependencies = [\"fastapi\", \"uvicorn\"]"),
                ("src/svc/main.py", "app = FastAPI()\n"),
                ("tests/main.py", "x = FastAPI()\n"),
            ],
            "PYTHONPATH=src${PYTHONPATH:+:$PYTHONPATH} python3 -m uvicorn svc.main:app --host 127.0.0.1 --port \"$PORT\"",
        );
        check(
            &[
                ("requirements.txt", "flask\ngunicorn\n"),
                ("site1/__init__.py", "def create_app():\n    app = Flask(__name__)\n    return app\n"),
            ],
            "python3 -m gunicorn --bind \"127.0.0.1:$PORT\" 'site1:create_app()'",
        );
        check(&[("requirements.txt", "flask\n"), ("app.py", "app = Flask(__name__)\napp.run(port=1)\n")], "python3 app.py");
        check(
            &[("pyproject.toml", "dependencies = [\"fastapi\", \"uvicorn\"]"), ("main.py", "api = FastAPI()\n")],
            "python3 -m uvicorn main:api --host 127.0.0.1 --port \"$PORT\"",
        );
        check(&[("requirements.txt", "django"), ("manage.py", "")], "python3 manage.py runserver --noreload \"127.0.0.1:$PORT\"");
        check(&[("package.json", "{\"scripts\":{\"start\":\"node srv.js\"}}")], "node srv.js");
        check(&[("package.json", "{}"), ("index.js", "")], "node index.js");
        check(&[("Cargo.toml", "[package]\nname = \"api\"\n"), ("src/main.rs", "")], "./api [cargo build --release -> target/release/api]");
        check(&[("go.mod", "module x"), ("main.go", "")], "./plimsoll-app [go build -o plimsoll-app . -> plimsoll-app]");
        check(&[("shop/__main__.py", ""), ("pyproject.toml", "")], "python3 -m shop");
        check(&[("src/shop/__main__.py", ""), ("pyproject.toml", "")], "PYTHONPATH=src${PYTHONPATH:+:$PYTHONPATH} python3 -m shop");
        check(
            &[("pyproject.toml", "[project.scripts]\nserve = \"a.main:main\"\n"), ("src/a/main.py", "")],
            "PYTHONPATH=src${PYTHONPATH:+:$PYTHONPATH} python3 -c 'import sys; from a.main import main; sys.exit(main())'",
        );
        check(&[("requirements.txt", ""), ("main.py", "")], "python3 main.py");
        check(&[("index.html", ""), ("package.json", "{\"scripts\":{\"build\":\"vite build\"}}")], "nothing");
        check(&[("index.html", "")], "python3 -m http.server \"$PORT\" --bind 127.0.0.1");
        check(&[("README.md", "")], "nothing");
    }

    #[test]
    fn what_a_procfile_has_besides_is_named() {
        let files = [("Procfile", "release: ./migrate\nweb: ./serve --url http://x:1\nworker: ./work\n# note: none\n")];
        let fake = Fake(files.to_vec(), vec!["Procfile".to_string()]);
        assert_eq!(detect(&fake).map(|it| it.why), Some("`Procfile` has a web process; its `release`, `worker` left out".to_string()));
    }

    #[test]
    fn a_file_that_tells_nothing_is_told_why() {
        let files = [("package.json", "{bad"), ("go.mod", "module x"), ("Procfile", "worker: x\n")];
        let fake = Fake(files.to_vec(), files.iter().map(|(name, _)| (*name).to_string()).collect());
        assert_eq!(
            silent(&fake),
            [
                "`Procfile` has no line that begins with `web:`",
                "`package.json` can't be read: key must be a string at line 1 column 2",
                "`go.mod` has neither `main.go` nor one folder `cmd/NAME` with a `main.go` beside it",
            ]
        );
    }
}
