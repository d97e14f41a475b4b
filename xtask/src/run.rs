//! Runs a command, says which, and how long it took.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

pub fn cargo(arguments: &[&str]) -> Result<(), String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_string());
    command(&cargo, arguments)
}

/// All programs, of the whole workspace and for release like everything here: a choice of packages or another profile has other features
/// of the dependencies, and each would be built again, for minutes.
pub fn build() -> Result<(), String> {
    cargo(&["build", "--release", "--workspace", "--bins", "--examples"])
}

/// A program that [`build`] has built; examples are `examples/NAME`.
pub fn built(name: &str, arguments: &[&str]) -> Result<(), String> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    command(&target.join("release").join(name).to_string_lossy(), arguments)
}

/// A script of the repository, by `bash`.
pub fn script(path: &str, arguments: &[&str]) -> Result<(), String> {
    let mut all = vec![path];
    all.extend(arguments);
    command("bash", &all)
}

pub fn command(program: &str, arguments: &[&str]) -> Result<(), String> {
    let shown = format!("{} {}", Path::new(program).file_name().unwrap_or_default().to_string_lossy(), arguments.join(" "));
    eprintln!("\n=== {shown}");
    let begin = Instant::now();
    let status = Command::new(program).args(arguments).current_dir(root()).status().map_err(|error| format!("{shown}: {error}"))?;
    eprintln!("=== {shown}: {status}, {} s", begin.elapsed().as_secs());
    if status.success() { Ok(()) } else { Err(format!("`{shown}` failed")) }
}

/// The repository's root.
pub fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map(Path::to_path_buf).unwrap_or(here)
}
