//! What a job finds around it: the facts of this machine, and the environment its processes inherit.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use engine::world::JobStart;
use workflow::job::JobFacts;

use super::sweep::MARK;
use super::{JobDirs, JobOptions};

/// Whose home directory the job's processes see.
#[derive(Debug, Clone, Copy)]
pub enum Home<'a> {
    /// The user's, with their whole environment: for `plimsoll run`.
    Users,
    /// An empty one, with the few variables that a tool needs to be found: for jobs of `up`.
    Fresh(&'a Path),
}

/// Kept with a fresh home: where things are and how to speak, nothing that grants anything.
const KEPT: [&str; 17] = [
    "PATH",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "USER",
    "LOGNAME",
    "SHELL",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "XDG_RUNTIME_DIR",
];

/// Tools that are installed below the user's home and look for themselves there.
const TOOLS: [(&str, &str); 5] =
    [("RUSTUP_HOME", ".rustup"), ("CARGO_HOME", ".cargo"), ("PYENV_ROOT", ".pyenv"), ("NVM_DIR", ".nvm"), ("GOPATH", "go")];

/// What the processes of a job inherit of `ours`, this process's environment.
pub fn inherited(ours: impl IntoIterator<Item = (String, String)>, home: Home<'_>) -> BTreeMap<String, String> {
    let ours: BTreeMap<String, String> = ours.into_iter().collect();
    let Home::Fresh(fresh) = home else { return ours };
    let kept = |name: &str| KEPT.contains(&name) || name.starts_with("LC_");
    let mut env: BTreeMap<String, String> =
        ours.iter().filter(|(name, _)| kept(name)).map(|(name, value)| (name.clone(), value.clone())).collect();
    for (name, below) in TOOLS {
        let given = ours.get(name).cloned();
        let usual = ours.get("HOME").map(|home| format!("{home}/{below}")).filter(|path| Path::new(path).is_dir());
        env.extend(given.or(usual).map(|path| (name.to_string(), path)));
    }
    env.insert("HOME".to_string(), fresh.to_string_lossy().into_owned());
    env
}

/// Makes the job's directories and writes the event's payload.
pub(super) fn facts(start: &JobStart, dirs: &JobDirs, options: &JobOptions) -> Result<JobFacts, String> {
    let about = dirs.temp.join("_github_workflow");
    for directory in [&dirs.workspace, &dirs.temp, &dirs.tool_cache, &about] {
        fs::create_dir_all(directory).map_err(|error| format!("`{}` can't be made: {error}", directory.display()))?;
    }
    if let Some(home) = options.env.get("HOME") {
        fs::create_dir_all(home).map_err(|error| format!("`{home}` can't be made: {error}"))?;
    }
    let event = about.join("event.json");
    fs::write(&event, start.spec.contexts.github["event"].to_string())
        .map_err(|error| format!("`{}` can't be written: {error}", event.display()))?;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let mut env = options.env.clone();
    env.insert(MARK.to_string(), text(&dirs.temp));
    Ok(JobFacts {
        workspace: text(&dirs.workspace),
        temp: text(&dirs.temp),
        tool_cache: text(&dirs.tool_cache),
        os: os().to_string(),
        arch: arch().to_string(),
        runner_name: fs::read_to_string("/proc/sys/kernel/hostname")
            .map_or_else(|_| "localhost".to_string(), |name| name.trim().to_string()),
        secrets: options.secrets.clone(),
        own_token: false,
        action_env: BTreeMap::new(),
        step_env: BTreeMap::new(),
        masks: Vec::new(),
        env,
        event_path: text(&event),
        debug: options.debug,
    })
}

fn os() -> &'static str {
    match std::env::consts::OS {
        "macos" => "macOS",
        "windows" => "Windows",
        _ => "Linux",
    }
}

fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "ARM64",
        "arm" => "ARM",
        "x86" => "X86",
        _ => "X64",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_home_keeps_paths_and_drops_what_grants_anything() {
        let ours = [("PATH", "/bin"), ("HOME", "/nowhere"), ("LC_ALL", "C"), ("AWS_SECRET_ACCESS_KEY", "x"), ("GOPATH", "/go")];
        let ours = ours.map(|(name, value)| (name.to_string(), value.to_string()));
        let env = inherited(ours.clone(), Home::Fresh(Path::new("/fresh")));
        let seen: Vec<String> = env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(seen, ["GOPATH=/go", "HOME=/fresh", "LC_ALL=C", "PATH=/bin"]);
        assert_eq!(inherited(ours.clone(), Home::Users), BTreeMap::from(ours));
    }
}
