//! What tests re-execute in place of the product's binary: supervisors with a body that is easy to foresee, and a starter to kill.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test's program; what goes wrong here shall be loud")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, ExitCode};
use std::time::Duration;

use base::Timestamp;
use engine::world::Stop;
use host::supervise::job::{Body, Work};
use host::supervise::{Claim, Launcher, Limits};
use workflow::job::{Conclusion, JobOutcome, StepSeen, StepState};
use workflow::model::{StepAction, Template, Work as JobWork};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["supervise", "job", dir] => host::supervise::job::main(Path::new(dir), &mut Scripts, Limits::default()),
        ["supervise", "instance", dir] => host::instance::main(Path::new(dir)),
        ["real", "job", dir] => ExitCode::from(host::executor::supervise(Path::new(dir), Limits { processes: 200 })),
        ["app", control] => serve(Path::new(control)),
        ["start", dir, spec] => start(Path::new(dir), Path::new(spec)),
        _ => panic!("don't know how to {arguments:?}"),
    }
}

/// Accepts and launches like a server does; the secrets are larger than a pipe, so that a kill can cut them.
fn start(dir: &Path, spec: &Path) -> ExitCode {
    let secrets = BTreeMap::from([("LARGE", "x".repeat(100_000))]);
    let secrets = serde_json::to_vec(&secrets).unwrap();
    let launcher = Launcher::own(["supervise"]);
    host::supervise::start(&launcher, "job", &Claim::at(dir), &std::fs::read(spec).unwrap(), &secrets).unwrap();
    ExitCode::SUCCESS
}

/// An application to be supervised: listens on `OTHER_PORT` or `PORT`, at `HOST`; every path is answered with 200, `/health` with what the
/// file `health` says.
fn serve(control: &Path) -> ExitCode {
    let port = std::env::var("OTHER_PORT").or_else(|_| std::env::var("PORT")).unwrap();
    let host = std::env::var("HOST").unwrap();
    let listener = TcpListener::bind((host.as_str(), port.parse().unwrap())).unwrap();
    println!("listening on {port}");
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut head = String::new();
        let _ = BufReader::new(&stream).read_line(&mut head);
        let health = std::fs::read_to_string(control.join("health")).unwrap_or("200".into());
        let status = if head.starts_with("GET /health ") { &health } else { "200" };
        let _ = write!(stream, "HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    ExitCode::SUCCESS
}

/// Runs literal scripts one after another with `sh -c` in the job's directory.
struct Scripts;

impl Body for Scripts {
    fn run(&mut self, work: Work<'_>) -> JobOutcome {
        let JobWork::Steps { steps, .. } = &work.start.spec.job.work else { panic!("a job of steps") };
        let mut outcome = outcome(Conclusion::Success);
        for (number, step) in (0..).zip(steps) {
            let StepAction::Run { script: Template::String(script), .. } = &step.action else { panic!("a literal script") };
            let mut seen = StepSeen::new(number, step.id.clone());
            work.spool.step(&seen).unwrap();
            let mut command = Command::new("sh");
            command.arg("-c").arg(script).current_dir(work.dir).envs(work.secrets.iter().filter(|(_, value)| value.len() < 100));
            let conclusion = wait(command.spawn().unwrap(), &work);
            work.spool.log(Some(number), format!("ended as {}\n", conclusion.word()).as_bytes()).unwrap();
            seen.state = StepState::Finished { outcome: conclusion, conclusion };
            work.spool.step(&seen).unwrap();
            outcome.conclusion = outcome.conclusion.max(conclusion);
        }
        outcome
    }
}

fn wait(mut child: Child, work: &Work<'_>) -> Conclusion {
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return if status.success() { Conclusion::Success } else { Conclusion::Failure };
        }
        match *work.cancel.borrow() {
            None => std::thread::sleep(Duration::from_millis(1)),
            Some(Stop::Gracefully | Stop::AtOnce) => {
                child.kill().unwrap();
                child.wait().unwrap();
                return Conclusion::Cancelled;
            }
        }
    }
}

fn outcome(conclusion: Conclusion) -> JobOutcome {
    let never = Timestamp::from_ms(0);
    JobOutcome { conclusion, outputs: BTreeMap::new(), reason: None, started: never, finished: never, annotations: Vec::new() }
}
