//! What the tests of this crate share: jobs of literal scripts, and waiting for what must come.

#![allow(dead_code, clippy::unwrap_used)]

use std::path::Path;
use std::time::{Duration, Instant};

use engine::world::{CodeSource, JobStart};
use workflow::job::{Contexts, JobSpec};
use workflow::model::{Defaults, Job, Step, StepAction, Template, Work};

/// A job whose steps are these scripts.
pub fn job(scripts: &[&str]) -> JobStart {
    let span = base::Span { start: 0, end: 0 };
    let run = |script: &str| StepAction::Run { script: Template::String(script.into()), shell: None, working_directory: None };
    let steps = scripts.iter().enumerate().map(|(index, script)| Step::new(format!("step{index}"), span, run(script)));
    let work = Work::Steps {
        runs_on: Template::String("ubuntu-latest".into()),
        container: None,
        services: None,
        snapshot: None,
        defaults: Defaults::default(),
        steps: steps.collect(),
    };
    let job = Job::new("build", span, work);
    let spec = JobSpec::new("build", job, Contexts::default(), 60_000);
    let source = CodeSource { repository: "/nowhere".into(), sha: "0".repeat(40), subtree: String::new(), snapshot: None };
    JobStart { spec, source, artifacts: "release".into(), project: "project".into() }
}

/// Asks again and again until there is an answer; a minute is for ever.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The numbers of living processes that mention the path in their command line or environment.
pub fn processes_of(path: &Path) -> Vec<i32> {
    let needle = path.to_str().unwrap().as_bytes();
    let mentions = |pid: i32, file: &str| {
        std::fs::read(format!("/proc/{pid}/{file}")).is_ok_and(|bytes| bytes.windows(needle.len()).any(|window| window == needle))
    };
    let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| *pid != std::process::id().cast_signed() && (mentions(*pid, "cmdline") || mentions(*pid, "environ"))).collect()
}

/// The same for what is asked of the asynchronous; nothing when it was in vain.
pub async fn until_async<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        if let Some(answer) = ask().await {
            return Some(answer);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    None
}

/// A repository in a folder, made by the real git, with nobody's own settings.
#[derive(Debug)]
pub struct Git(pub std::path::PathBuf);

impl Git {
    pub fn init(folder: &Path) -> Git {
        std::fs::create_dir_all(folder).unwrap();
        let git = Git(folder.to_path_buf());
        git.run(&["init", "--quiet", "--initial-branch=main"]);
        git
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn commit(&self, message: &str) -> String {
        self.run(&["add", "--all"]);
        self.run(&["commit", "--quiet", "--message", message]);
        self.run(&["rev-parse", "HEAD"])
    }

    pub fn run(&self, arguments: &[&str]) -> String {
        let mut command = std::process::Command::new("git");
        command.current_dir(&self.0).args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]).args(arguments);
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
        let output = command.output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_string()
    }
}
