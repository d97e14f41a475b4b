//! Who this machine is to a registry: what `podman login` and `docker login` keep.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::RegistryError;

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Login {
    Basic {
        user: String,
        password: String,
    },
    /// What a registry gave instead of taking the password again.
    Identity(String),
}

/// A secret is never shown, by whatever path it comes into a message.
impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.user())
    }
}

impl Login {
    pub fn user(&self) -> &str {
        match self {
            Login::Basic { user, .. } => user,
            Login::Identity(_) => "whoever the identity token is of",
        }
    }

    pub fn basic(&self) -> Option<String> {
        match self {
            Login::Basic { user, password } => Some(format!("authorization: Basic {}", STANDARD.encode(format!("{user}:{password}")))),
            Login::Identity(_) => None,
        }
    }
}

/// The most particular login that is kept for this repository, from the first file that has one.
///
/// # Errors
/// When a file that is there can't be read: somebody is logged in and would be nobody.
pub(super) fn find(registry: &str, repository: &str) -> Result<Option<Login>, RegistryError> {
    let env = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    for path in places(env) {
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(RegistryError::File { path, why: error.to_string() }),
        };
        let login = of_file(&text, registry, repository).map_err(|why| RegistryError::File { path, why })?;
        if login.is_some() {
            return Ok(login);
        }
    }
    Ok(None)
}

/// podman's files before docker's, as podman reads them; one that is named is the only one.
fn places(env: impl Fn(&str) -> Option<PathBuf>) -> Vec<PathBuf> {
    if let Some(named) = env("REGISTRY_AUTH_FILE") {
        return vec![named];
    }
    let home = env("HOME");
    let under = |folder: Option<PathBuf>, rest: &str| folder.map(|folder| folder.join(rest));
    let all = [
        under(env("XDG_RUNTIME_DIR"), "containers/auth.json"),
        under(env("XDG_CONFIG_HOME").or_else(|| under(home.clone(), ".config")), "containers/auth.json"),
        under(env("DOCKER_CONFIG").or_else(|| under(home, ".docker")), "config.json"),
    ];
    all.into_iter().flatten().collect()
}

fn of_file(text: &str, registry: &str, repository: &str) -> Result<Option<Login>, String> {
    let file: Value = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
    let helper = file["credHelpers"][registry].as_str().or_else(|| file["credsStore"].as_str());
    for name in names(registry, repository) {
        let entry = file["auths"].as_object().into_iter().flatten().find(|(key, _)| bare(key) == name);
        if let Some(login) = entry.map(|(_, entry)| of_entry(entry)).transpose()?.flatten() {
            return Ok(Some(login));
        }
    }
    match helper.filter(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')) {
        Some(helper) => of_helper(helper, registry),
        None => Ok(None),
    }
}

/// `registry/team/app`, `registry/team`, `registry`.
fn names(registry: &str, repository: &str) -> Vec<String> {
    let mut all = vec![format!("{registry}/{repository}")];
    while let Some((folder, _)) = all[all.len() - 1].clone().rsplit_once('/') {
        all.push(folder.to_string());
    }
    // What podman calls Docker Hub.
    all.extend((registry == "index.docker.io").then(|| "docker.io".to_string()));
    all
}

/// docker writes whole addresses.
fn bare(key: &str) -> &str {
    let host = key.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    host.strip_suffix("/v1").or_else(|| host.strip_suffix("/v2")).unwrap_or(host)
}

fn of_entry(entry: &Value) -> Result<Option<Login>, String> {
    let text = |name: &str| entry[name].as_str().filter(|text| !text.is_empty()).map(str::to_string);
    if let Some(token) = text("identitytoken") {
        return Ok(Some(Login::Identity(token)));
    }
    if let (Some(user), Some(password)) = (text("username"), text("password")) {
        return Ok(Some(Login::Basic { user, password }));
    }
    let Some(auth) = text("auth") else { return Ok(None) };
    let pair = STANDARD.decode(auth).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = pair.as_deref().and_then(|pair| pair.split_once(':'));
    let (user, password) = pair.ok_or("an `auth` in it is not a name and a password in base64")?;
    Ok(Some(Login::Basic { user: user.to_string(), password: password.trim_end_matches('\0').to_string() }))
}

/// `docker-credential-NAME get`: the registry on its standard input, the login on its output. Whoever has none ends with an error.
fn of_helper(name: &str, registry: &str) -> Result<Option<Login>, String> {
    let program = format!("docker-credential-{name}");
    let failed = |error: std::io::Error| format!("the `{program}` it names can't be run: {error}");
    let server = if registry == "index.docker.io" { "https://index.docker.io/v1/" } else { registry };
    let mut command = Command::new(Path::new(&program));
    let mut child = command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(failed)?;
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(server.as_bytes()));
    let ended = child.wait_with_output().map_err(failed)?;
    if !ended.status.success() {
        return Ok(None);
    }
    let said: Value = serde_json::from_slice(&ended.stdout).map_err(|error| format!("`{program}` answers with no JSON: {error}"))?;
    let text = |name: &str| said[name].as_str().unwrap_or_default().to_string();
    Ok(Some(match text("Username").as_str() {
        "<token>" => Login::Identity(text("Secret")),
        user => Login::Basic { user: user.to_string(), password: text("Secret") },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(user: &str, password: &str) -> Option<Login> {
        Some(Login::Basic { user: user.to_string(), password: password.to_string() })
    }

    #[test]
    fn the_most_particular_login_is_taken() {
        let auth = |pair: &str| STANDARD.encode(pair);
        let file = format!(
            r#"{{"auths": {{
                "localhost:5000": {{"auth": "{}"}}, "localhost:5000/team": {{"auth": "{}"}},
                "https://index.docker.io/v1/": {{"username": "hub", "password": "p"}},
                "example.org": {{"identitytoken": "t", "auth": "{}"}}, "empty.org": {{}}
            }}}}"#,
            auth("me:a:b"),
            auth("team:x"),
            auth("<token>:")
        );
        let find = |registry: &str, repository: &str| of_file(&file, registry, repository).unwrap();
        assert_eq!(find("localhost:5000", "app"), basic("me", "a:b"));
        assert_eq!(find("localhost:5000", "team/app"), basic("team", "x"));
        assert_eq!(find("index.docker.io", "library/alpine"), basic("hub", "p"));
        assert_eq!(find("example.org", "app"), Some(Login::Identity("t".to_string())));
        assert_eq!((find("empty.org", "app"), find("localhost", "app")), (None, None));
        assert_eq!(format!("{:?}", find("localhost:5000", "app")), "Some(me)");
    }

    #[test]
    fn a_file_that_is_broken_is_told() {
        assert!(of_file("{", "localhost", "app").unwrap_err().starts_with("it is no JSON"));
        let wrong = of_file(r#"{"auths": {"localhost": {"auth": "%"}}}"#, "localhost", "app").unwrap_err();
        assert_eq!(wrong, "an `auth` in it is not a name and a password in base64");
        let helper = of_file(r#"{"credsStore": "nobody-has-this"}"#, "localhost", "app").unwrap_err();
        assert!(helper.starts_with("the `docker-credential-nobody-has-this` it names can't be run"), "{helper}");
    }

    #[test]
    fn a_file_that_is_named_is_the_only_one() {
        let env = |set: &'static [(&str, &str)]| places(move |name| set.iter().find(|(it, _)| *it == name).map(|(_, value)| value.into()));
        assert_eq!(env(&[("REGISTRY_AUTH_FILE", "/f"), ("HOME", "/h")]), [PathBuf::from("/f")]);
        let expected = ["/r/containers/auth.json", "/h/.config/containers/auth.json", "/h/.docker/config.json"].map(PathBuf::from);
        assert_eq!(env(&[("XDG_RUNTIME_DIR", "/r"), ("HOME", "/h")]), expected);
    }
}
