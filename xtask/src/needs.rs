//! Tools that the tests need: installed by name where that is possible, named where it isn't, never skipped in silence.

use std::process::{Command, Stdio};

/// Program and the Debian package that has it.
const NEEDS: &[(&str, &str)] = &[
    ("git", "git"),
    ("bash", "bash"),
    ("python3", "python3"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("curl", "curl"),
    ("openssl", "openssl"),
    ("ss", "iproute2"),
    ("haproxy", "haproxy"),
    ("wrk", "wrk"),
    ("taskset", "util-linux"),
    ("pgrep", "procps"),
    ("buildah", "buildah"),
    ("podman", "podman"),
    ("runc", "runc"),
    ("netavark", "netavark"),
    ("iptables", "iptables"),
    ("aardvark-dns", "aardvark-dns"),
    ("busybox", "busybox-static"),
    ("docker-registry", "docker-registry"),
    ("prometheus", "prometheus"),
];

pub fn install() -> Result<(), String> {
    let missing: Vec<&str> = NEEDS.iter().filter(|(program, _)| !is_there(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let by_hand = format!("the tests need {}; install them: `apt-get install {}`", missing.join(", "), missing.join(" "));
    if !is_there("apt-get") || !is_root() {
        return Err(by_hand);
    }
    apt(&["update", "-qq"]).map_err(|_| by_hand.clone())?;
    let mut arguments = vec!["install", "-y", "-qq", "--no-install-recommends"];
    arguments.extend(&missing);
    apt(&arguments).map_err(|_| by_hand)
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into(), "/usr/lib/podman".into()])
        .any(|folder| folder.join(program).is_file())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn apt(arguments: &[&str]) -> Result<(), String> {
    let status = Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("apt-get ended with {status}")),
        Err(error) => Err(format!("apt-get: {error}")),
    }
}
