//! Containers for these tests: an image of the tests' own program and busybox, made here and of nothing else.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use host::container::{Engine, find};
use rollout::Container;

/// Whatever other runtimes are there, and without systemd.
pub const ENGINE: &str = "podman --runtime runc --cgroup-manager cgroupfs";
const IMAGE: &str = "localhost/plimsoll-host-tests";

/// Made once for all tests of this program.
static ID: LazyLock<String> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join("root/bin");
    std::fs::create_dir_all(&bin).unwrap();
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].iter().find(|path| Path::new(path).is_file());
    std::fs::copy(busybox.expect("the package `busybox-static` is needed"), bin.join("busybox")).unwrap();
    for name in ["sh", "cat", "echo", "env", "grep", "id", "setsid", "sleep", "touch", "true"] {
        std::os::unix::fs::symlink("busybox", bin.join(name)).unwrap();
    }
    let program = env!("CARGO_BIN_EXE_host-supervised");
    std::fs::copy(program, bin.join("supervised")).unwrap();
    for library in libraries(program) {
        let copy = folder.path().join("root").join(library.strip_prefix("/").unwrap());
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        std::fs::copy(&library, copy).unwrap();
    }
    let file = folder.path().join("Containerfile");
    std::fs::write(&file, "FROM scratch\nCOPY root /\nENV PATH=/bin\n").unwrap();
    podman(&["build", "--quiet", "--tag", IMAGE, "--file", file.to_str().unwrap(), folder.path().to_str().unwrap()]);
    find(&engine(), IMAGE).unwrap().unwrap().id
});

/// With the artifact in it.
pub fn container() -> Container {
    Container {
        image: IMAGE.to_string(),
        id: ID.clone(),
        source: None,
        files: true,
        port: None,
        user: None,
        writable: false,
        memory_bytes: None,
        cpu_millis: None,
        processes_max: None,
    }
}

pub fn engine() -> Engine {
    Engine::find(Some(ENGINE), &std::env::var("PATH").unwrap()).unwrap()
}

pub fn podman(arguments: &[&str]) -> String {
    let mut words = ENGINE.split(' ');
    let mut command = Command::new(words.next().unwrap());
    let output = command.args(words).args(arguments).output().expect("the package `podman` is needed");
    assert!(output.status.success(), "podman {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_string()
}

/// The containers of the instances below a folder, whatever state they are in.
pub fn of(folder: &Path) -> Vec<String> {
    let listed = podman(&["ps", "--all", "--format", "{{.ID}} {{.Labels}}"]);
    let ours = format!("plimsoll.instance:{}/", folder.display());
    listed.lines().filter(|line| line.contains(&ours)).map(|line| line.split(' ').next().unwrap().to_string()).collect()
}

/// What the program is linked with, as the loader finds it.
fn libraries(program: &str) -> Vec<PathBuf> {
    let told = Command::new("ldd").arg(program).output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    told.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}
