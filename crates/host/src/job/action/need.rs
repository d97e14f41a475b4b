//! Tools that actions and scripts of many pipelines call, and how to get each where it is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::super::process::find;

/// Name and where it comes from.
const TOOLS: [(&str, &str); 24] = [
    ("argocd", "https://argo-cd.readthedocs.io/en/stable/cli_installation"),
    ("buildah", "the system's package `buildah`"),
    ("codecovcli", "`pip install codecov-cli`"),
    ("compose", "the system's package `docker-compose`"),
    ("cosign", "`go install github.com/sigstore/cosign/v2/cmd/cosign@latest`"),
    ("curl", "the system's package `curl`"),
    ("dependency-check", "https://owasp.org/www-project-dependency-check, its command-line program"),
    ("docker", "the system's package `docker.io`, with its daemon running"),
    ("docker-compose", "the system's package `docker-compose`"),
    ("gh", "the system's package `gh`"),
    ("gitleaks", "`go install github.com/zricethezav/gitleaks/v8@latest`"),
    ("golangci-lint", "https://golangci-lint.run/welcome/install"),
    ("grype", "`go install github.com/anchore/grype/cmd/grype@latest`"),
    ("helm", "https://helm.sh/docs/intro/install"),
    ("jq", "the system's package `jq`"),
    ("kubectl", "https://kubernetes.io/docs/tasks/tools"),
    ("kustomize", "https://kubectl.docs.kubernetes.io/installation/kustomize"),
    ("opa", "`go install github.com/open-policy-agent/opa@latest`"),
    ("podman", "the system's package `podman`"),
    ("semgrep", "`pip install semgrep`"),
    ("snyk", "`npm install -g snyk`"),
    ("syft", "`go install github.com/anchore/syft/cmd/syft@latest`"),
    ("terraform", "https://developer.hashicorp.com/terraform/install"),
    ("trivy", "https://trivy.dev/latest/getting-started/installation"),
];

/// The first of these programs that is on the `PATH`; a sentence when none is.
pub(super) fn need(names: &[&str], env: &BTreeMap<String, String>) -> Result<PathBuf, String> {
    let path = env.get("PATH").map_or("", String::as_str);
    names.iter().find_map(|name| find(name, path, "/")).ok_or_else(|| missing(names))
}

pub(in crate::job) fn missing(names: &[&str]) -> String {
    let one = names.len() == 1;
    let known = names.iter().filter_map(|name| Some((name, how(name)?)));
    let how: Vec<String> = known.map(|(name, how)| if one { how.to_string() } else { format!("`{name}`: {how}") }).collect();
    let is = if one { "is not on the PATH" } else { "are not on the PATH, and one of them is needed" };
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    if how.is_empty() { format!("{} {is}", names.join(", ")) } else { format!("{} {is}; to get it: {}", names.join(", "), how.join(", ")) }
}

fn how(name: &str) -> Option<&'static str> {
    TOOLS.iter().find(|(known, _)| *known == name).map(|(_, how)| *how)
}

/// The known tools that a script calls and that are not on the `PATH`, each with how to get it. A guess from the words that commands
/// begin with: a step before may bring one, and a word may be something else's argument.
pub(in crate::job) fn missing_in(script: &str, path: &str) -> BTreeSet<String> {
    let called = commands(script).filter(|word| how(word).is_some() && find(word, path, "/").is_none());
    called.map(|word| missing(&[word])).collect()
}

/// The first word of each simple command.
fn commands(script: &str) -> impl Iterator<Item = &str> {
    let lines = script.lines().map(|line| line.trim_start()).filter(|line| !line.starts_with('#'));
    let parts = lines.flat_map(|line| line.split(['|', ';', '&', '(', ')', '`', '{']));
    parts.filter_map(|part| {
        let mut words = part.split_whitespace();
        words.find(|word| !PREFIXES.contains(word) && !is_assignment(word)).map(|word| word.trim_start_matches(['"', '\'']))
    })
}

/// Words that a command may stand behind.
const PREFIXES: [&str; 16] =
    ["if", "then", "else", "elif", "do", "while", "until", "!", "sudo", "time", "exec", "command", "env", "nohup", "-", "@"];

fn is_assignment(word: &str) -> bool {
    let name = word.split_once('=').map(|(name, _)| name);
    name.is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_where_they_stand() {
        let script = "# helm in a comment\nA=1 B=2 kubectl get pods | jq .\nif ! opa eval x; then echo trivy; fi\nfoo && \\\n  cosign verify $(syft x)\nfor i in $(docker images); do grype $i; done\n";
        let found: Vec<String> = commands(script).filter(|word| how(word).is_some()).map(str::to_string).collect();
        assert_eq!(found, ["kubectl", "jq", "opa", "cosign", "syft", "docker", "grype"]);
    }

    #[test]
    fn what_is_missing_is_named_with_how_to_get_it() {
        let found = missing_in("helm upgrade x\necho ok\n", "/nowhere");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["`helm` is not on the PATH; to get it: https://helm.sh/docs/intro/install"]);
        assert!(
            need(&["buildah", "podman"], &BTreeMap::new()).unwrap_err().starts_with("`buildah`, `podman` are not on the PATH, and one")
        );
    }
}
