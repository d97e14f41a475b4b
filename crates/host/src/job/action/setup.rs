//! `actions/setup-*`, `pnpm/action-setup`, `dtolnay/rust-toolchain`: the tool that is installed, if it is the one wanted.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::Value as Json;
use workflow::job::{ActionCall, Builtin, Wrote};

use super::Say;
use super::inputs::Inputs;
use super::tool::{Installed, Tool};
use super::version::found_in;

/// The tool an action sets up.
pub(super) fn tool(builtin: Builtin) -> Option<Tool> {
    Some(match builtin {
        Builtin::SetupPython => Tool::Python,
        Builtin::SetupNode => Tool::Node,
        Builtin::SetupGo => Tool::Go,
        Builtin::SetupJava => Tool::Java,
        Builtin::SetupPnpm => Tool::Pnpm,
        Builtin::RustToolchain => Tool::Rust,
        _ => return None,
    })
}

/// The installation that the inputs ask for. `read` gives a file of the project, for `python-version-file` and the like.
pub(super) fn wanted(
    tool: Tool,
    reference: &str,
    inputs: &BTreeMap<String, String>,
    env: &BTreeMap<String, String>,
    read: &dyn Fn(&str) -> Option<String>,
) -> Result<Installed, String> {
    let inputs = Inputs(inputs);
    let ranges = ranges(tool, reference, inputs, read)?;
    let mut last = Err(String::new());
    for range in &ranges {
        last = tool.find(range, env);
        if last.is_err() {
            break;
        }
    }
    if tool == Tool::Rust {
        rust_parts(inputs, env)?;
    }
    last
}

pub(super) fn perform(
    tool: Tool,
    call: &ActionCall,
    temp: &Path,
    read: &dyn Fn(&str) -> Option<String>,
    say: Say<'_>,
) -> Result<Wrote, String> {
    let found = wanted(tool, &call.reference, &call.inputs, &call.env, read)?;
    let inputs = Inputs(&call.inputs);
    say(&format!("Using {} {} at {}", tool.name(), found.version, found.program.display()));
    if inputs.get("cache").is_some_and(|cache| cache != "false") {
        say("##[notice]`cache` is not needed here: what package managers keep stays on this machine.");
    }
    let bin = found.program.parent().unwrap_or(Path::new("/")).to_string_lossy().into_owned();
    let root = found.program.parent().and_then(Path::parent).unwrap_or(Path::new("/")).to_string_lossy().into_owned();
    let program = found.program.to_string_lossy().into_owned();
    let mut wrote = Wrote { paths: vec![bin.clone()], ..Wrote::default() };
    let mut env = |name: &str, value: &str| wrote.env.push((name.to_string(), value.to_string()));
    let outputs: Vec<(&str, String)> = match tool {
        Tool::Python => {
            env("pythonLocation", &root);
            env("Python_ROOT_DIR", &root);
            env("Python3_ROOT_DIR", &root);
            wrote.paths.extend(python_alias(&found, temp)?);
            vec![("python-version", found.version.clone()), ("python-path", program), ("cache-hit", String::new())]
        }
        Tool::Node => vec![("node-version", format!("v{}", found.version)), ("cache-hit", String::new())],
        Tool::Go => vec![("go-version", found.version.clone()), ("cache-hit", String::new())],
        Tool::Java => {
            env("JAVA_HOME", &root);
            let distribution = inputs.get("distribution").unwrap_or_default().to_string();
            vec![("version", found.version.clone()), ("path", root), ("distribution", distribution), ("cache-hit", String::new())]
        }
        Tool::Pnpm => vec![("dest", bin.clone()), ("bin_dest", bin)],
        Tool::Rust => {
            let toolchain = rust_toolchain(&call.reference, inputs);
            let key: String = found.version.chars().filter(char::is_ascii_alphanumeric).collect();
            vec![("cachekey", key), ("name", toolchain)]
        }
    };
    wrote.outputs = outputs.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
    Ok(wrote)
}

/// Every one of these has to be there; the last is the one that comes first on the `PATH`.
fn ranges(tool: Tool, reference: &str, inputs: Inputs<'_>, read: &dyn Fn(&str) -> Option<String>) -> Result<Vec<String>, String> {
    let (given, file) = match tool {
        Tool::Python => ("python-version", Some("python-version-file")),
        Tool::Node => ("node-version", Some("node-version-file")),
        Tool::Go => ("go-version", Some("go-version-file")),
        Tool::Java => ("java-version", Some("java-version-file")),
        Tool::Pnpm => ("version", None),
        Tool::Rust => return Ok(vec![rust_range(&rust_toolchain(reference, inputs))]),
    };
    let lines: Vec<String> = inputs.lines(given).into_iter().map(str::to_string).collect();
    if !lines.is_empty() {
        return Ok(lines);
    }
    if let Some(path) = file.and_then(|file| inputs.get(file)) {
        let text = read(path).ok_or_else(|| format!("there is no `{path}` to read the version of {} from", tool.name()))?;
        let range = from_file(path, &text).ok_or_else(|| format!("`{path}` names no version of {}", tool.name()))?;
        return Ok(vec![range]);
    }
    if tool == Tool::Pnpm {
        let manager = read("package.json").and_then(|text| serde_json::from_str::<Json>(&text).ok());
        let pinned = manager.as_ref().and_then(|package| package["packageManager"].as_str()?.strip_prefix("pnpm@"));
        return Ok(vec![pinned.and_then(|version| version.split('+').next()).unwrap_or_default().to_string()]);
    }
    Ok(vec![String::new()])
}

/// `.python-version`, `.nvmrc`, `.tool-versions`, `package.json`, `go.mod`, `go.work`, `pyproject.toml`.
fn from_file(path: &str, text: &str) -> Option<String> {
    let name = Path::new(path).file_name()?.to_str()?;
    match name {
        "package.json" => {
            let package: Json = serde_json::from_str(text).ok()?;
            let volta = package["volta"]["node"].as_str();
            volta.or(package["engines"]["node"].as_str()).map(str::to_string)
        }
        "go.mod" | "go.work" => text.lines().find_map(|line| Some(line.strip_prefix("go ")?.trim().to_string())),
        "pyproject.toml" => {
            let line = text.lines().find_map(|line| line.trim().strip_prefix("requires-python"))?;
            Some(line.trim_start_matches([' ', '=']).trim().trim_matches(['"', '\'']).replace(',', " "))
        }
        ".tool-versions" => {
            let known = ["python", "nodejs", "node", "golang", "java"];
            text.lines()
                .find_map(|line| line.split_once(' ').filter(|(tool, _)| known.contains(tool)))
                .map(|(_, version)| version.trim().to_string())
        }
        _ => text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_string),
    }
}

fn rust_toolchain(reference: &str, inputs: Inputs<'_>) -> String {
    // `@master` and commits leave it to the input.
    let named = (reference != "master" && reference.len() != 40).then_some(reference);
    inputs.get("toolchain").or(named).unwrap_or("stable").to_string()
}

fn rust_range(toolchain: &str) -> String {
    toolchain.split('-').next().unwrap_or(toolchain).to_string()
}

/// Components and targets that are asked for beside the compiler.
fn rust_parts(inputs: Inputs<'_>, env: &BTreeMap<String, String>) -> Result<(), String> {
    let path = env.get("PATH").map_or("", String::as_str);
    for component in inputs.get("components").unwrap_or_default().split([',', ' ']).filter(|name| !name.is_empty()) {
        let program = match component {
            "clippy" => "cargo-clippy",
            "rustfmt" => "rustfmt",
            _ => continue,
        };
        if super::super::process::find(program, path, "/").is_none() {
            return Err(format!("the Rust component `{component}` is wanted and not installed on this machine"));
        }
    }
    Ok(())
}

/// Where there is a `python3` and no `python` beside it, as on Debian: a folder with both names for the front of the `PATH`.
fn python_alias(found: &Installed, temp: &Path) -> Result<Option<String>, String> {
    let beside = found.program.with_file_name("python");
    if beside.exists() {
        return Ok(None);
    }
    let folder = temp.join(format!("python-{}", found_in(&found.version).unwrap_or_default()));
    let failed = |error: std::io::Error| format!("`{}` can't be made: {error}", folder.display());
    fs::create_dir_all(&folder).map_err(failed)?;
    for name in ["python", "python3"] {
        if !folder.join(name).exists() {
            symlink(&found.program, folder.join(name)).map_err(failed)?;
        }
    }
    Ok(Some(folder.to_string_lossy().into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_the_files_that_pin_them() {
        let cases = [
            (".python-version", "3.12\n", "3.12"),
            (".nvmrc", "# note\nv20\n", "v20"),
            ("package.json", "{\"engines\":{\"node\":\">=18\"}}", ">=18"),
            ("go.mod", "module x\n\ngo 1.22\n", "1.22"),
            ("pyproject.toml", "[project]\nrequires-python = \">=3.9,<4\"\n", ">=3.9 <4"),
            (".tool-versions", "ruby 3.3\nnodejs 20.1.0\n", "20.1.0"),
        ];
        for (path, text, expected) in cases {
            assert_eq!(from_file(path, text).as_deref(), Some(expected), "{path}");
        }
    }

    #[test]
    fn the_rust_toolchain_comes_from_the_reference_or_the_input() {
        let given = BTreeMap::from([("toolchain".to_string(), "1.75.0".to_string())]);
        let none = BTreeMap::new();
        assert_eq!(rust_toolchain("stable", Inputs(&none)), "stable");
        assert_eq!(rust_toolchain("1.80", Inputs(&none)), "1.80");
        assert_eq!(rust_toolchain("master", Inputs(&given)), "1.75.0");
    }
}
