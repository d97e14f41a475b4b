//! A newcomer's machine: an empty home, a state directory of its own, a repository with a tiny application, and `plimsoll`.
//!
//! Whatever a test starts is ended when its [`Place`] goes, also when the test fails, and the test fails if anything is left.

#![allow(clippy::unwrap_used, clippy::print_stderr, dead_code, reason = "each file of tests uses a part of it")]

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// Nothing here takes so long on a machine that does anything at all.
pub const DEADLINE: Duration = Duration::from_secs(90);

const LOOK: Duration = Duration::from_millis(10);

/// Answers 200 to everything, on `PORT`.
pub const APP: &str = r#"
import http.server, os
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("content-length", "3"); self.end_headers(); self.wfile.write(b"ok\n")
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
"#;

/// Sizes that end within seconds, and nothing is held because the machine is busy with other tests; the code is the same.
pub const SMALL: &str = "apiVersion: plimsoll/v1alpha1
name: app
limits: {ready: 30s, stepMin: 1s, stepMax: 30s, drain: 1s, verify: 1s}
judge: {look: 200ms, latencySlack: 2s}
synthetic: {interval: 10ms}
grace: 1s
";

pub struct Place {
    folder: TempDir,
    pub port: u16,
}

impl Place {
    /// An empty home and an empty project folder.
    pub fn empty() -> Place {
        let folder = tempfile::Builder::new().prefix("plimsoll-test-").tempdir().unwrap();
        for name in ["home", "app"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        Place { folder, port: free_port() }
    }

    /// A repository with the tiny application and small sizes, committed.
    pub fn with_app() -> Place {
        Place::with(&[])
    }

    /// The same with these files instead of or beside those.
    pub fn with(files: &[(&str, &str)]) -> Place {
        let place = Place::empty();
        place.git(&["init", "--quiet", "--initial-branch", "main"]);
        place.write("app.py", APP);
        place.write("plimsoll.yaml", &format!("{SMALL}start: exec python3 app.py\n"));
        files.iter().for_each(|(path, text)| place.write(path, text));
        place.commit("first");
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn project(&self) -> PathBuf {
        self.path("app")
    }

    pub fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// In the project.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.project().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn commit(&self, subject: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", subject]);
    }

    pub fn git(&self, args: &[&str]) {
        let output = self.at_home("git").args(args).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// A program with nothing but this home in its environment, in the project's folder.
    pub fn at_home(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path("home"))
            .env("PLIMSOLL_STATE_DIR", self.state())
            .env("PLIMSOLL_ACTOR", "ada")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .envs([("GIT_AUTHOR_NAME", "Ada"), ("GIT_AUTHOR_EMAIL", "ada@example.org")])
            .envs([("GIT_COMMITTER_NAME", "Ada"), ("GIT_COMMITTER_EMAIL", "ada@example.org")])
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .current_dir(self.project())
            .stdin(Stdio::null());
        command
    }

    pub fn plimsoll(&self, args: &[&str]) -> Command {
        let mut command = self.at_home(env!("CARGO_BIN_EXE_plimsoll"));
        command.args(args);
        command
    }

    /// `plimsoll up` on this place's port.
    pub fn up(&self, args: &[&str]) -> Said {
        self.start_up(args).wait()
    }

    pub fn start_up(&self, args: &[&str]) -> Running<'_> {
        let mut command = self.plimsoll(&["up", "--port", &self.port.to_string()]);
        command.args(args);
        self.start(command)
    }

    pub fn say(&self, args: &[&str]) -> Said {
        self.start(self.plimsoll(args)).wait()
    }

    pub fn start(&self, mut command: Command) -> Running<'_> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let output = Lines::of(child.stdout.take().unwrap());
        let errors = Lines::of(child.stderr.take().unwrap());
        Running { place: self, child, output, errors }
    }

    /// What differs between any two runs is replaced: folders, ports, hashes, lengths of time.
    fn normalised(&self, text: &str) -> String {
        let text = text.replace(&self.folder.path().display().to_string(), "DIR").replace(&self.port.to_string(), "PORT");
        let mut out = String::new();
        let mut word = String::new();
        for c in text.chars().chain([' ']) {
            if c.is_ascii_alphanumeric() || c == '.' && word.ends_with(|c: char| c.is_ascii_digit()) {
                word.push(c);
                continue;
            }
            out.push_str(&without_chance(&std::mem::take(&mut word)));
            out.push(c);
        }
        out.pop();
        out
    }

    pub fn server(&self) -> Pid {
        self.find_server().unwrap()
    }

    /// The server of this place, where one runs.
    pub fn find_server(&self) -> Option<Pid> {
        let is_server = |process: &String| process.trim_end().trim_end_matches(" --existing").ends_with("plimsoll serve");
        let process = self.left().into_iter().find(is_server)?;
        process.split(' ').next().and_then(|pid| pid.parse().ok()).map(Pid::from_raw)
    }

    /// Processes that were started from here and still are.
    fn left(&self) -> Vec<String> {
        let needle = self.folder.path().as_os_str().as_encoded_bytes();
        let names = |file: PathBuf| std::fs::read(file).is_ok_and(|text| text.windows(needle.len()).any(|window| window == needle));
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let processes = entries.filter(|entry| entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()));
        let ours = processes.map(|entry| entry.path()).filter(|process| names(process.join("cmdline")) || names(process.join("environ")));
        ours.map(|process| {
            let command = std::fs::read(process.join("cmdline")).unwrap_or_default();
            format!("{} {}", process.file_name().unwrap().to_string_lossy(), String::from_utf8_lossy(&command).replace('\0', " "))
        })
        // The one name server of all containers of this machine belongs to whoever came first, and goes with the last of them.
        .filter(|process| !process.contains("/aardvark-dns "))
        .collect()
    }

    /// What a machine does that loses its power, or runs out of memory.
    pub fn kill_everything(&self) {
        for left in self.left() {
            let pid = left.split(' ').next().and_then(|pid| pid.parse().ok()).unwrap();
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }

    /// The application's processes alone.
    pub fn kill_application(&self) {
        self.kill_processes("python3 app.py ");
    }

    /// Those of this place whose command line has this in it.
    pub fn kill_processes(&self, command: &str) {
        for left in self.left().iter().filter(|process| process.contains(command)) {
            let pid = left.split(' ').next().and_then(|pid| pid.parse().ok()).unwrap();
            kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        }
    }

    /// Takes everything down as a user would, and says what is left.
    fn end(&self) -> Result<(), String> {
        if self.state().join("server.lock").exists() {
            let said = self.say(&["down", "--purge"]);
            if said.code != 0 || self.state().exists() {
                return Err(format!("`down --purge` left {}: {said:?}", self.state().display()));
            }
        }
        until(Duration::from_secs(10), || self.left().is_empty()).map_err(|()| format!("these still run: {:#?}", self.left()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let ended = self.end();
        for left in self.left() {
            if let Some(pid) = left.split(' ').next().and_then(|pid| pid.parse().ok()) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        match ended {
            Err(why) if std::thread::panicking() => eprintln!("{why}"),
            Err(why) => panic!("{why}"),
            Ok(()) => {}
        }
    }
}

/// A command under way.
pub struct Running<'a> {
    place: &'a Place,
    child: Child,
    output: Lines,
    errors: Lines,
}

impl Running<'_> {
    /// Returns when it has said this on standard error.
    pub fn until_it_says(&mut self, text: &str) {
        self.until_it_says_so_often(text, 1);
    }

    /// Returns when it has said this so many times on standard error.
    pub fn until_it_says_so_often(&mut self, text: &str, times: usize) {
        let seen = until(DEADLINE, || self.errors.text().matches(text).count() >= times || self.child.try_wait().unwrap().is_some());
        let all = self.errors.text();
        assert!(seen.is_ok() && all.matches(text).count() >= times, "it never said {text:?} {times} times, only\n{all}");
    }

    /// Ctrl-C.
    pub fn interrupt(&self) {
        self.signal(Signal::SIGINT);
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    pub fn wait(mut self) -> Said {
        let mut status: Option<ExitStatus> = None;
        let ended = until(DEADLINE, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        if ended.is_err() {
            let _ = self.child.kill();
            panic!("it does not end; it said\n{}", self.errors.text());
        }
        self.output.join();
        self.errors.join();
        Said {
            code: status.unwrap().code().unwrap_or(-1),
            out: self.place.normalised(&self.output.text()),
            raw: self.output.text(),
            err: self.place.normalised(&self.errors.text()),
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    /// Standard output as it was, with what differs between any two runs.
    pub raw: String,
    pub err: String,
}

impl Said {
    /// It ended with this code and said exactly this on standard error.
    #[track_caller]
    pub fn is(&self, code: i32, err: &str) {
        assert_eq!((self.code, self.err.trim_end()), (code, err.trim_matches('\n')), "all of it:\n{}", self.err);
    }

    /// It ended with this code and said these lines on standard error in this order, others apart.
    #[track_caller]
    pub fn ends(&self, code: i32, lines: &[&str]) {
        assert_eq!(self.code, code, "it said\n{}{}", self.out, self.err);
        in_order(&self.err, lines);
    }

    /// Its result, on standard output, has these lines in this order, others apart.
    #[track_caller]
    pub fn shows(&self, code: i32, lines: &[&str]) {
        assert_eq!(self.code, code, "it said\n{}{}", self.out, self.err);
        in_order(&self.out, lines);
    }
}

#[track_caller]
fn in_order(text: &str, lines: &[&str]) {
    let mut rest = text.lines();
    for line in lines {
        assert!(rest.any(|it| it.trim() == *line), "`{line}` is missing (or comes earlier) in\n{text}");
    }
}

/// The lines of a pipe as they come.
struct Lines {
    text: Arc<Mutex<String>>,
    reader: Option<std::thread::JoinHandle<()>>,
}

impl Lines {
    fn of(pipe: impl std::io::Read + Send + 'static) -> Lines {
        let text = Arc::new(Mutex::new(String::new()));
        let written = text.clone();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                let mut text = written.lock().unwrap();
                text.push_str(&line);
                text.push('\n');
            }
        });
        Lines { text, reader: Some(reader) }
    }

    fn text(&self) -> String {
        self.text.lock().unwrap().clone()
    }

    fn join(&mut self) {
        self.reader.take().unwrap().join().unwrap();
    }
}

/// Looks until it is so.
pub fn until(at_most: Duration, mut is_so: impl FnMut() -> bool) -> Result<(), ()> {
    let deadline = Instant::now() + at_most;
    while !is_so() {
        if Instant::now() > deadline {
            return Err(());
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// Given out once, and below those that the kernel gives to outgoing connections: those of other tests would be in the way.
/// `cert.pem` and `key.pem` of `localhost`, which no machine trusts by itself.
pub fn certificate(folder: &Path) {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]);
    openssl.args(["-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"]).current_dir(folder);
    assert!(openssl.output().unwrap().status.success());
}

pub fn free_port() -> u16 {
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 8_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Two programs of tests begin at different places.
    let start = (std::process::id() % 800) as u16 * 10;
    loop {
        let port = FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Makes the file, so that what waits for it goes on.
pub fn open_gate(gate: &Path) {
    std::fs::write(gate, "").unwrap();
}

fn without_chance(word: &str) -> String {
    let is_hex = word.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
    let is_ulid = word.len() == 26 && word.chars().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase());
    let length = ["ms", "s", "m"].iter().find_map(|unit| word.strip_suffix(unit)).is_some_and(|number| number.parse::<f64>().is_ok());
    match word {
        _ if is_ulid => "ULID".to_string(),
        // One in a thousand has no digit.
        _ if is_hex && matches!(word.len(), 7 | 12 | 40 | 64) => "HASH".to_string(),
        _ if length => "TIME".to_string(),
        _ => word.to_string(),
    }
}
