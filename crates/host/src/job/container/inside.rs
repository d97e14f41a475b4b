//! How a step's processes in a container are reached: the engine's own client passes no signals on to what it has started there.

use rustix::process::{Pid, Signal};

use super::super::sweep;
use super::remove;
use crate::container::Engine;

#[derive(Debug, Clone)]
pub(in crate::job) struct Inside {
    engine: Engine,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    /// A process in the job's container, by what stands in its environment.
    Exec { id: String, mark: String },
    /// A container of its own.
    Run { name: String },
}

impl Inside {
    pub(super) fn exec(engine: Engine, id: String, mark: String) -> Inside {
        Inside { engine, what: What::Exec { id, mark } }
    }

    pub(super) fn run(engine: Engine, name: String) -> Inside {
        Inside { engine, what: What::Run { name } }
    }

    pub(super) fn own(&self) -> Option<&str> {
        match &self.what {
            What::Exec { .. } => None,
            What::Run { name } => Some(name),
        }
    }

    /// Sends the signal; says whether the engine's client shall get it too.
    pub(in crate::job) fn signal(&self, signal: Signal) -> bool {
        match &self.what {
            // The client of a container passes on what it gets, but for what can't be caught.
            What::Run { name } => {
                if signal == Signal::KILL {
                    let _ = remove(&self.engine, name);
                }
                true
            }
            What::Exec { id, mark } => {
                let marked = sweep::marked_with(mark);
                if marked.pids.is_empty() {
                    self.ask_inside(id, mark, signal);
                }
                for group in marked.groups.into_iter().filter_map(Pid::from_raw) {
                    let _ = rustix::process::kill_process_group(group, signal);
                }
                if signal == Signal::KILL {
                    marked.pids.into_iter().for_each(kill);
                }
                signal == Signal::KILL
            }
        }
    }

    /// Whether anything of it still runs.
    pub(in crate::job) fn lives(&self) -> bool {
        match &self.what {
            What::Exec { mark, .. } => !sweep::marked_with(mark).pids.is_empty(),
            What::Run { .. } => false,
        }
    }

    /// Where the processes belong to somebody else, as with docker, they are asked from within, if the image has what that takes.
    fn ask_inside(&self, id: &str, mark: &str, signal: Signal) {
        let script =
            "for p in /proc/[0-9]*; do tr '\\000' '\\n' < $p/environ 2>/dev/null | grep -qxF \"$1\" && kill -\"$2\" \"${p#/proc/}\"; done";
        let number = signal.as_raw().to_string();
        let line = format!("{}={mark}", sweep::MARK);
        let _ = self.engine.ask(["exec", id, "sh", "-c", script, "sh", &line, &number]);
    }
}

fn kill(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}
