//! Built-in actions with the real tools that the tests install: images by buildah, to a registry on this machine; and how an action
//! in the middle of its work is ended.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};

use engine::world::Stop;
use host::job::{Cancel, Grace};
use std::time::Duration;
use workflow::job::Conclusion;

use crate::harness::{Heard, Place, job, nap, napping};

/// A registry that lets `me` in, with this password.
struct Registry {
    process: Child,
    address: String,
    _folder: tempfile::TempDir,
}

const PASSWORD: &str = "pass-word-1";
/// `me` and the password, as htpasswd has them.
const HTPASSWD: &str = "me:$2b$04$8VY8XqVaIgx5boVnrFveReTYOVp19SJYXUJ7uE/DBI4BqRnYQqPUa\n";

impl Registry {
    fn start() -> Registry {
        let folder = tempfile::tempdir().unwrap();
        let address = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().to_string();
        fs::write(folder.path().join("htpasswd"), HTPASSWD).unwrap();
        let config = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {0}/data}}}}\nhttp: {{addr: '{address}'}}\n\
             auth: {{htpasswd: {{realm: test, path: {0}/htpasswd}}}}\n",
            folder.path().display()
        );
        let file = folder.path().join("config.yml");
        fs::write(&file, config).unwrap();
        let mut process =
            Command::new("docker-registry").arg("serve").arg(&file).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("listening on")), "the registry ended before it listened");
        // Read on, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Registry { process, address, _folder: folder }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(place: &Place, text: &str) -> (Conclusion, String) {
    let mut heard = Heard::default();
    let outcome = place.run_one(text, &Cancel::new().unwrap(), &mut heard);
    let logs = heard.logs.values().map(|log| String::from_utf8_lossy(log)).collect::<String>();
    (outcome.conclusion, logs)
}

#[test]
fn an_image_is_built_and_pushed_to_a_registry_that_asks_who_it_is() {
    let registry = Registry::start();
    let address = &registry.address;
    let mut place = Place::new();
    // Whatever is installed: a docker without a daemon is passed over for buildah.
    let bin = place.directory.path().join("bin");
    fs::create_dir(&bin).unwrap();
    fs::write(bin.join("docker"), "#!/bin/sh\nexit 1\n").unwrap();
    fs::set_permissions(bin.join("docker"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), place.options.env["PATH"]);
    place.options.env.insert("PATH".to_string(), path);
    place.options.secrets.insert("PASSWORD".to_string(), PASSWORD.to_string());
    let steps = format!(
        "      - run: |
          printf 'FROM scratch\\nARG NAME\\nCOPY hello /\\nLABEL name=$NAME\\n' > Dockerfile
          echo hi > hello
      - uses: docker/login-action@v3
        with: {{ registry: '{address}', username: me, password: '${{{{ secrets.PASSWORD }}}}' }}
      - uses: docker/build-push-action@v5
        id: build
        with:
          context: .
          push: true
          tags: {address}/app:1
          build-args: NAME=a b
          outputs: type=oci,dest=image.tar
      - run: |
          there=$(curl -sf -u me:{PASSWORD} -o manifest -D - -H 'accept: application/vnd.docker.distribution.manifest.v2+json' http://{address}/v2/app/manifests/1 | tr -d '\\r' | awk 'tolower($1) == \"docker-content-digest:\" {{print $2}}')
          test \"$there\" = '${{{{ steps.build.outputs.digest }}}}' && echo the same
          tar tf image.tar | grep -c oci-layout
"
    );
    let (conclusion, logs) = run(&place, &job(&steps));
    assert_eq!(conclusion, Conclusion::Success, "{logs}");
    assert!(logs.contains("the same\n1\n") && !logs.contains(PASSWORD), "{logs}");

    let wrong =
        format!("      - uses: docker/login-action@v3\n        with: {{ registry: '{address}', username: me, password: another-one }}\n");
    let (conclusion, logs) = run(&place, &job(&wrong));
    assert_eq!(conclusion, Conclusion::Failure, "{logs}");
}

#[test]
fn a_tool_of_an_action_is_asked_to_end_and_what_it_started_is_gone() {
    let mut place = Place::new();
    let nap = nap(&mut place, 71);
    let bin = place.directory.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let tool = "#!/bin/sh\ntrap 'echo asked to end; exit 1' INT\nsleep \"$NAP\" &\necho begun\nwait\nwait\n";
    fs::write(bin.join("trivy"), tool).unwrap();
    fs::set_permissions(bin.join("trivy"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), place.options.env["PATH"]);
    place.options.env.insert("PATH".to_string(), path);
    place.options.grace = Grace { after_int: Duration::from_secs(20), after_term: Duration::from_secs(20) };
    let cancel = Cancel::new().unwrap();
    let mut heard = Interrupting { heard: Heard::default(), cancel: cancel.clone() };
    let text = job(
        "      - uses: aquasecurity/trivy-action@master\n        with: { image-ref: x }\n      - run: echo always\n        if: always()\n",
    );
    let outcome = place.run_one(&text, &cancel, &mut heard);
    let logs = heard.heard.logs.values().map(|log| String::from_utf8_lossy(log)).collect::<String>();
    assert_eq!(outcome.conclusion, Conclusion::Cancelled, "{logs}");
    assert!(logs.contains("asked to end") && logs.contains("The operation was canceled.") && logs.contains("always"), "{logs}");
    assert_eq!(napping(&nap), [0; 0]);
}

/// Cancels the job when its tool says that it has begun.
struct Interrupting {
    heard: Heard,
    cancel: Cancel,
}

impl host::job::JobSink for Interrupting {
    fn step(&mut self, step: &workflow::job::StepSeen) {
        self.heard.step(step);
    }

    fn log(&mut self, step: u32, bytes: &[u8]) {
        if bytes.windows(5).any(|window| window == b"begun") {
            self.cancel.request(Stop::Gracefully);
        }
        self.heard.log(step, bytes);
    }
}

#[test]
fn a_timeout_ends_an_action_too() {
    let mut place = Place::new();
    let bin = place.directory.path().join("bin");
    fs::create_dir(&bin).unwrap();
    fs::write(bin.join("trivy"), "#!/bin/sh\nexec sleep 1000\n").unwrap();
    fs::set_permissions(bin.join("trivy"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), place.options.env["PATH"]);
    place.options.env.insert("PATH".to_string(), path);
    let text = job("      - uses: aquasecurity/trivy-action@master\n        timeout-minutes: 0.005\n        with: { image-ref: x }\n");
    let (conclusion, logs) = run(&place, &text);
    assert_eq!(conclusion, Conclusion::Failure);
    assert!(logs.contains("The step took longer than"), "{logs}");
}
