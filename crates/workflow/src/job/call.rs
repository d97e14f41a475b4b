//! What a job asks of the machine it runs on, and what comes back.

use std::collections::BTreeMap;

use base::Timestamp;

use super::Builtin;
use super::command::Annotation;
use super::contained::{Asked, ContainerCall, Image, On, Started};
use super::files::{self, FileError, StepFiles};
use super::remote::Remote;
use super::resume::Mark;
use super::spec::{Conclusion, JobOutcome};
use crate::expr::Clause;
use crate::model::{Action, Step};

/// The decision of one `advance`: remember the event, then do what is next.
#[derive(Debug, Clone, PartialEq)]
pub struct Advance {
    pub event: Option<Event>,
    pub next: Next,
}

/// What is to be done outside.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Nothing; ask again.
    Again,
    Run(Box<Command>),
    Action(Box<ActionCall>),
    Containers(Box<ContainerCall>),
    /// What runs in these lanes is to be ended, as by a cancellation.
    Interrupt(Vec<usize>),
    /// Nothing until something that runs has ended, or until that time.
    Wait {
        until: Option<Timestamp>,
    },
    /// The job is over; the warnings belong into its log.
    Finish {
        outcome: Box<JobOutcome>,
        warnings: Vec<String>,
    },
}

/// A process for a step. Its environment is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Which of the job's lanes it belongs to; its end is told with it.
    pub lane: usize,
    /// The step's place, whose log the output belongs to.
    pub step: u32,
    pub on: On,
    /// Looked for on `PATH` of `env`; the first that exists is taken.
    pub programs: Vec<String>,
    /// `{0}` stands for the script's file.
    pub arguments: Vec<String>,
    pub script: Option<Script>,
    pub env: BTreeMap<String, String>,
    pub directory: String,
    pub timeout_ms: Option<u64>,
    /// Sentences for the log, before anything the process says.
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    pub text: String,
    /// With its dot; empty for shells we don't know.
    pub extension: &'static str,
}

/// A built-in action to be performed, main or post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionCall {
    pub lane: usize,
    pub step: u32,
    pub builtin: Builtin,
    /// What stood behind the `@`; empty in post.
    pub reference: String,
    pub stage: Stage,
    /// As given, by lower-case name; what isn't given isn't here.
    pub inputs: BTreeMap<String, String>,
    pub env: BTreeMap<String, String>,
    /// What main saved for post.
    pub state: BTreeMap<String, String>,
    pub timeout_ms: Option<u64>,
    /// Sentences for the log, before anything the action says.
    pub warnings: Vec<String>,
}

/// A built-in action that will run, seen from before the first step.
#[derive(Debug, Clone, PartialEq)]
pub struct Foreseen {
    pub builtin: Builtin,
    pub reference: String,
    pub inputs: BTreeMap<String, String>,
    pub step: Step,
    /// Its failure is allowed.
    pub allowed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Main,
    Post,
}

/// What happened in a job, in the past tense; `apply` is the only thing that changes a job.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The job's environment and defaults have values.
    Begun {
        at: Timestamp,
        env: Vec<(String, String)>,
        shell: Option<String>,
        directory: Option<String>,
        containers: Option<Box<Asked>>,
        /// What actions do before the first step, the last first.
        pres: Vec<Post>,
    },
    /// The job's containers run; the end of what started them follows.
    Contained {
        started: Started,
    },
    /// The job can't begin, or a promise of its file can't be kept: no step runs any more.
    Spoiled {
        at: Timestamp,
        reason: String,
    },
    /// It goes on where an earlier attempt stood before one of its steps.
    Resumed {
        from: Box<Mark>,
    },
    Skipped {
        at: Timestamp,
        lane: usize,
        name: String,
        reason: String,
        /// Its condition part by part, where that says more than the reason.
        clauses: Vec<Clause>,
    },
    /// The step couldn't even be started.
    Broken {
        at: Timestamp,
        lane: usize,
        name: String,
        reason: String,
    },
    Started {
        at: Timestamp,
        lane: usize,
        name: String,
        post: Option<Box<Post>>,
    },
    /// A composite action began: its steps come next.
    Entered {
        at: Timestamp,
        lane: usize,
        name: String,
        into: Box<Entrance>,
    },
    /// The step at hand has a lane of its own from here on, and begins as soon as it gets a place.
    Backgrounded {
        at: Timestamp,
        name: String,
    },
    /// A step began that waits for others in the background, or ends them.
    Waiting {
        at: Timestamp,
        name: String,
        lanes: Vec<usize>,
        cancels: bool,
        /// For its log.
        says: String,
    },
    /// They have ended; what they set is there for all.
    Waited {
        at: Timestamp,
        lanes: Vec<usize>,
        status: Conclusion,
        reason: Option<String>,
        says: String,
    },
    /// What was started came to its end.
    Ended {
        at: Timestamp,
        lane: usize,
        ended: Ended,
    },
    /// It failed, and its `retry` gives it another attempt.
    Retrying {
        at: Timestamp,
        lane: usize,
        until: Timestamp,
        says: String,
    },
    /// The time for another attempt has come.
    Again {
        lane: usize,
    },
    /// The last step of a composite action is done.
    Left {
        at: Timestamp,
        lane: usize,
        outputs: Vec<(String, String)>,
        reason: Option<String>,
        timed_out: bool,
    },
    /// The verdict on the step that ended, after `continue-on-error`.
    Concluded {
        at: Timestamp,
        lane: usize,
        conclusion: Conclusion,
    },
    /// A step in the background was cancelled before it got a place.
    Dropped {
        at: Timestamp,
        lane: usize,
        reason: String,
    },
    /// All steps in the background have ended; what they set is there for all, and those that failed fail the job.
    Settled {
        at: Timestamp,
    },
    /// All main steps are done; what they left for the end comes next.
    Cleaning,
    /// Somebody cancelled the job, or its time is up.
    Cancelled {
        at: Timestamp,
        reason: Option<String>,
    },
    /// The job ends in the middle of these steps.
    Abandoned {
        at: Timestamp,
    },
}

/// What a composite action is entered with.
#[derive(Debug, Clone, PartialEq)]
pub struct Entrance {
    pub action: Action,
    pub directory: String,
    /// The repository it came from, where that is another one.
    pub remote: Option<Remote>,
    pub inputs: Vec<(String, String)>,
    /// The calling step's own environment, which the steps inside inherit.
    pub env: BTreeMap<String, String>,
    pub deadline: Option<Timestamp>,
    /// Sentences for the log.
    pub warnings: Vec<String>,
}

/// Something to be done when the main steps are over, last registered first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    pub name: String,
    /// The id of the step that left it, as `github.action`.
    pub id: String,
    /// Its id behind those of the composite actions around it: under which its state is kept.
    pub key: String,
    /// The repository of its action.
    pub from: Option<Remote>,
    pub condition: String,
    pub what: PostWork,
    pub inputs: BTreeMap<String, String>,
    pub env: BTreeMap<String, String>,
    pub action_path: Option<String>,
    /// Filled when main has ended.
    pub state: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostWork {
    /// The script's file, and what the action says of the `node` it needs.
    Node {
        file: String,
        using: String,
    },
    Builtin(Builtin),
    /// The action's own image once more, with another entrypoint.
    Image {
        image: Image,
        entrypoint: String,
        arguments: Vec<String>,
    },
    /// The containers of the job go.
    Containers,
}

/// How a process or a built-in action ended, and what it left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub exit: Exit,
    pub wrote: Wrote,
    /// Texts to hide from now on; the edge hides them already.
    pub masks: Vec<String>,
    /// A workflow command or an environment file was wrong: the step fails whatever its exit code.
    pub refused: Option<String>,
    /// Masked already.
    pub annotations: Vec<Annotation>,
    /// What it wrote to `GITHUB_STEP_SUMMARY`, masked already.
    pub summary: String,
}

impl Ended {
    /// It left nothing.
    pub fn with(exit: Exit) -> Ended {
        Ended { exit, wrote: Wrote::default(), masks: Vec::new(), refused: None, annotations: Vec::new(), summary: String::new() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Signal(i32),
    TimedOut {
        after_ms: u64,
    },
    Cancelled,
    /// It couldn't be started, or a built-in action couldn't do its work: the sentence says why.
    Failed(String),
}

/// What a step set for those after it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wrote {
    pub env: Vec<(String, String)>,
    pub outputs: Vec<(String, String)>,
    pub state: Vec<(String, String)>,
    /// In the order written; the last comes first on `PATH`.
    pub paths: Vec<String>,
}

/// What is wrong in an environment file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMistake {
    pub text: String,
    /// A name that may not be set is only left out.
    pub fails: bool,
}

impl Wrote {
    /// Takes over what stands in the files.
    pub fn read(&mut self, files: &StepFiles) -> Vec<FileMistake> {
        let mut mistakes = Vec::new();
        let mut take = |name: &str, text: &str, into: &mut Vec<(String, String)>| {
            let found = files::pairs(text);
            into.extend(found.pairs);
            let text = |error: FileError| format!("Unable to process file command '{name}' successfully. {error}");
            mistakes.extend(found.error.map(|error| FileMistake { text: text(error), fails: true }));
        };
        take("env", &files.env, &mut self.env);
        take("output", &files.output, &mut self.outputs);
        take("state", &files.state, &mut self.state);
        self.paths.extend(files::paths(&files.path).map(str::to_string));
        for (name, _) in self.env.iter().filter(|(name, _)| files::blocked(name)) {
            mistakes.push(FileMistake { text: format!("Can't store {name} output parameter using '$GITHUB_ENV' command."), fails: false });
        }
        self.env.retain(|(name, _)| !files::blocked(name));
        mistakes
    }
}
