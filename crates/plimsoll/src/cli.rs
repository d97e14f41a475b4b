//! The command tree. A command's doc comment is its help text and its page in the reference.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands::help::SIGNALS_OF_UP;

/// From commit to verified production.
#[derive(Debug, Parser)]
#[command(name = "plimsoll", version, about, disable_help_subcommand = true, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes stands apart from its own.
const EVERYWHERE: &str = "Everywhere";

#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Answer in JSON on standard output
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub json: bool,
    /// When to use colour
    #[arg(long, global = true, help_heading = EVERYWHERE, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    pub color: ColorChoice,
    /// Say only what went wrong; of jobs what failed steps wrote
    #[arg(short, long, global = true, help_heading = EVERYWHERE)]
    pub quiet: bool,
    /// Say every warning in a line of its own
    #[arg(short, long, global = true, help_heading = EVERYWHERE, conflicts_with = "quiet")]
    pub verbose: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Take a repository from its last commit to a running, judged, verified version with a URL
    Up(Up),
    /// Run workflows here, in this process, without a server
    Run(Box<Run>),
    /// Draw the jobs of workflows and what each waits for
    Graph(Graph),
    /// Look for what is wrong or dangerous in workflows, actions and their settings
    Lint(Lint),
    /// Show what runs where, since when and why
    Status(Here),
    /// Look at releases and steer them
    #[command(subcommand)]
    Release(Release),
    /// Agree to a release that waits for it, or to jobs that wait for a review of their environment
    Approve(Approve),
    /// Refuse a release that waits for your approval, or jobs that wait for your review; ends it, or them
    Reject(Reject),
    /// Show what waits for somebody's approval
    Inbox,
    /// Freeze an environment, so that nothing moves forward, and end that
    #[command(subcommand)]
    Env(Env),
    /// Ask the gate what it says, said and would have said, and go past it in an emergency
    #[command(subcommand)]
    Gate(Gate),
    /// Ask what is left of the error budgets
    #[command(subcommand)]
    Slo(Slo),
    /// Test the repository's policies, and ask them
    #[command(subcommand)]
    Policy(Policy),
    /// Sign files with the server's key, and verify what others have signed
    #[command(subcommand)]
    Attest(Attest),
    /// Keep what the project's jobs get as `secrets.NAME` in `up`
    #[command(subcommand)]
    Secret(Secret),
    /// Start the project's workflows by their schedules
    #[command(subcommand)]
    Schedule(Schedule),
    /// Let jobs with `id-token: write` show others who they are
    #[command(subcommand)]
    Identity(Identity),
    /// Show what the application or a job wrote
    Logs(Logs),
    /// Lock the actions of other repositories, check the lock, list what is used
    #[command(subcommand)]
    Actions(Actions),
    /// Take the project's environment down
    Down(Down),
    /// Walk through a good, a slow and a broken change on a copy of the example shop
    Demo(Demo),
    /// Check this machine, and with --verify the promises on the record
    Doctor(Doctor),
    /// Replay a release's record, or a script of a rollout, and print what was decided and why
    Replay(Replay),
    /// Run the server in the foreground; `up` starts one by itself
    Serve(Serve),
    /// Explain a topic: exit-codes, environment, config, output, signals
    Help(Help),
    /// Print completions for a shell
    Completions(Completions),
    /// Run the proxy (started by the server)
    #[command(hide = true)]
    Proxy(ProxyArgs),
    /// Supervise one job or instance (started by the server)
    #[command(hide = true)]
    Supervise(Supervise),
}

#[derive(Debug, Clone, Args)]
#[command(after_long_help = SIGNALS_OF_UP)]
pub struct Up {
    /// The project's folder
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// Take the working tree as it is, not the commit
    #[arg(long)]
    pub dirty: bool,
    /// The branch this counts as a push to; needed when HEAD is detached
    #[arg(long = "ref", value_name = "BRANCH", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub git_ref: Option<String>,
    /// Where it goes, with what `environments` says of it; `local` when absent
    #[arg(long, alias = "env", value_name = "NAME")]
    pub environment: Option<String>,
    /// Ship what is live in this environment, byte for byte, instead of the commit
    #[arg(long, value_name = "NAME")]
    pub from: Option<String>,
    /// Run only this workflow file; may be repeated
    #[arg(long, value_name = "FILE")]
    pub workflow: Vec<String>,
    /// The port users reach the application at; remembered
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// How traffic moves to the new version
    #[arg(long, value_enum)]
    pub strategy: Option<StrategyChoice>,
    /// A configuration variable for `vars`; in GitLab's files a variable
    #[arg(long = "var", value_name = "K=V")]
    pub vars: Vec<String>,
    /// What becomes of `image:` in GitLab's files
    #[arg(long, value_enum, value_name = "WHERE")]
    pub gitlab_images: Option<ImagesChoice>,
    /// How strictly the workflows are held to the security lints
    #[arg(long, value_enum, value_name = "MODE")]
    pub security: Option<SecurityChoice>,
    /// Print the plan and start nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Return as soon as the release is on record
    #[arg(long)]
    pub detach: bool,
    /// Stop watching after so long (the release goes on); exit code 5
    #[arg(long, value_name = "DURATION")]
    pub wait: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StrategyChoice {
    /// In steps, judged at each
    Canary,
    /// Beside the old version without traffic, checked there, then all at once
    BlueGreen,
    /// Instances are replaced in steps, as a Deployment of Kubernetes does it
    Rolling,
    /// All at once
    Immediate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ImagesChoice {
    /// Jobs run in the containers they ask for
    Container,
    /// Jobs run on this machine, whatever image they ask for
    Host,
    /// A job that asks for an image isn't run
    Refuse,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SecurityChoice {
    /// Nothing is refused
    Compat,
    /// What an outsider wrote must not become code
    Guarded,
    /// Findings of medium severity or more refuse
    Strict,
}

#[derive(Debug, Clone, Args)]
pub struct Lint {
    /// Files, or folders of projects; all that this project has when absent
    pub files: Vec<PathBuf>,
    /// How findings are written
    #[arg(long, value_enum, default_value_t = LintFormat::Text)]
    pub format: LintFormat,
    /// Make the changes that are certain to be right, and show them
    #[arg(long)]
    pub fix: bool,
    /// Who wants to hear of it
    #[arg(long, value_enum, default_value_t = PersonaChoice::Regular)]
    pub persona: PersonaChoice,
    /// Which findings are errors, because they would refuse a run
    #[arg(long, value_enum, value_name = "MODE")]
    pub security: Option<SecurityChoice>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LintFormat {
    /// With the lines themselves
    Text,
    Json,
    /// SARIF 2.1.0
    Sarif,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PersonaChoice {
    /// What is worth doing something about
    Regular,
    /// Also what only may be wrong
    Pedantic,
    /// Also what is of interest to somebody who looks for holes
    Auditor,
}

#[derive(Debug, Clone, Args)]
pub struct Graph {
    /// A workflow file, or a `.gitlab-ci.yml`; all that this project has when absent, or the one whose folder is named
    pub file: Option<PathBuf>,
    /// How it is written
    #[arg(long, value_enum, default_value_t = GraphFormat::Text)]
    pub format: GraphFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// Drawn with lines
    Text,
    /// For Markdown
    Mermaid,
    /// For Graphviz
    Dot,
    Json,
}

#[derive(Debug, Clone, Default, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Run {
    #[command(subcommand)]
    pub command: Option<RunCommand>,
    /// A workflow file, or a `.gitlab-ci.yml`; all that the event triggers when absent, or where a project's folder is named
    pub file: Option<PathBuf>,
    /// The event that happened
    #[arg(long, default_value = "push", value_name = "NAME")]
    pub event: String,
    /// A file with the event's payload in JSON
    #[arg(long, value_name = "FILE")]
    pub event_file: Option<PathBuf>,
    /// Only this job and what it needs
    #[arg(short, long)]
    pub job: Option<String>,
    /// Of that job only this step, by its number, id or name, after the `uses:` steps before it
    #[arg(long, requires = "job")]
    pub step: Option<String>,
    /// Run again whenever a file changes, with the working tree as it is; what git ignores doesn't count
    #[arg(long)]
    pub watch: bool,
    /// An environment variable for every step
    #[arg(long = "env", value_name = "K=V")]
    pub env: Vec<String>,
    /// A secret; without a value it is read from the environment, else it is what `secret set` keeps
    #[arg(long = "secret", value_name = "K[=V]")]
    pub secrets: Vec<String>,
    /// A configuration variable for `vars`; in GitLab's files a variable
    #[arg(long = "var", value_name = "K=V")]
    pub vars: Vec<String>,
    /// Start this manual job of a GitLab file when its turn comes; may be repeated
    #[arg(long = "manual", value_name = "JOB")]
    pub manual: Vec<String>,
    /// What becomes of `image:` in GitLab's files
    #[arg(long, value_enum, value_name = "WHERE")]
    pub gitlab_images: Option<ImagesChoice>,
    /// An input of `workflow_dispatch`, or of a GitLab file's `spec:inputs`
    #[arg(long = "input", value_name = "K=V")]
    pub inputs: Vec<String>,
    /// Run jobs that deliver to this environment, whatever protects it; they are left out otherwise; may be repeated
    #[arg(long = "allow-environment", value_name = "NAME")]
    pub allow_environments: Vec<String>,
    /// Take the working tree as it is, not the commit
    #[arg(long)]
    pub dirty: bool,
    /// Hold a job where a step has failed: a shell in the step's place on a terminal, else how to open one
    #[arg(long)]
    pub pause_on_failure: bool,
    /// Let jobs with `id-token: write` show others who they are
    #[arg(long)]
    pub identity: bool,
    /// Give jobs tokens of the GitHub App that your own configuration names
    #[arg(long)]
    pub token: bool,
    /// How strictly the workflows are held to the security lints
    #[arg(long, value_enum, value_name = "MODE")]
    pub security: Option<SecurityChoice>,
    /// Print the plan and run nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// What was run is kept: each run has a number, and each time it was gone through is an attempt.
#[derive(Debug, Clone, Subcommand)]
pub enum RunCommand {
    /// List what was run here, newest first
    List(RunList),
    /// Show one run: its jobs, how long each took, what was reused
    View(RunView),
    /// Go through a run again, with what the jobs that needn't run again have left
    Rerun(Rerun),
    /// Say why a job or a step was skipped, or failed: conditions with their values, needs, the end of the log
    Explain(RunExplain),
    /// Compare a run with the last one before it that succeeded
    Diff(OneRun),
}

#[derive(Debug, Clone, Args)]
pub struct RunList {
    /// At most so many
    #[arg(short = 'n', long, default_value_t = 20)]
    pub limit: usize,
    #[command(flatten)]
    pub of: OfDir,
}

#[derive(Debug, Clone, Args)]
pub struct OneRun {
    /// `run-7` or `7`; the last one when absent
    pub run: Option<String>,
    #[command(flatten)]
    pub of: OfDir,
}

#[derive(Debug, Clone, Args)]
pub struct Rerun {
    #[command(flatten)]
    pub one: OneRun,
    /// Only what did not succeed, and all that needs it
    #[arg(long, conflicts_with_all = ["job", "from_step"])]
    pub failed: bool,
    /// Only this job, and all that needs it
    #[arg(short, long)]
    pub job: Option<String>,
    /// From this step on, in the workspace as the job left it: the step's number, id or name
    #[arg(long, value_name = "STEP")]
    pub from_step: Option<String>,
    /// A secret that the run was given; without a value it is read from the environment
    #[arg(long = "secret", value_name = "K[=V]")]
    pub secrets: Vec<String>,
    /// Hold a job where a step has failed: a shell in the step's place on a terminal, else how to open one
    #[arg(long)]
    pub pause_on_failure: bool,
    /// Let jobs with `id-token: write` show others who they are
    #[arg(long)]
    pub identity: bool,
    /// Give jobs tokens of the GitHub App that your own configuration names
    #[arg(long)]
    pub token: bool,
}

#[derive(Debug, Clone, Args)]
pub struct RunExplain {
    /// `run-7` or `7`; the last one when absent
    pub run: Option<String>,
    /// This job alone: its id, or its name
    pub job: Option<String>,
    #[command(flatten)]
    pub of: OfDir,
    /// This attempt; the last one when absent
    #[arg(long, value_name = "N")]
    pub attempt: Option<u32>,
}

#[derive(Debug, Clone, Args)]
pub struct RunView {
    #[command(flatten)]
    pub one: OneRun,
    /// This attempt; the last one when absent
    #[arg(long, value_name = "N")]
    pub attempt: Option<u32>,
    /// Print its facts, one in JSON per line
    #[arg(long)]
    pub record: bool,
}

/// Which project: the one the folder belongs to.
#[derive(Debug, Clone, Args)]
pub struct Here {
    /// The project's folder
    #[arg(default_value = ".")]
    pub dir: PathBuf,
}

#[derive(Debug, Subcommand)]
pub enum Release {
    /// List releases, newest first
    List(OfDir),
    /// Show one release: its runs, evidence, decision and traffic
    View(View),
    /// Follow a release until it ends
    Watch(OneRelease),
    /// Go on to the next step, or with --full to all traffic
    Promote(Promote),
    /// Hold the rollout where it is
    Pause(OneRelease),
    /// Let a paused rollout go on; one that waits for somebody's promotion moves all its traffic
    Resume(OneRelease),
    /// Cancel before traffic moved, or take it back to the version before
    Abort(OneRelease),
    /// Go back to what was live before, or to a revision named
    Rollback(Rollback),
    /// Say why a release stands where it does
    Explain(OneRelease),
    /// Show how each release ended, and what was live when
    History(OfDir),
    /// Print where the artifact comes from, as SLSA provenance that the server has signed
    Provenance(Provenance),
    /// Print what the artifact is made of, in CycloneDX 1.6
    Sbom(Sbom),
    /// Write the artifact itself into a file: the bytes that were tested, signed and shipped
    Artifact(Artifact),
    /// Show what a file of Argo Rollouts or Flagger asks for, and what of it is not done here; exit code 1 when something isn't
    Lint(ReleaseLint),
}

#[derive(Debug, Clone, Args)]
pub struct ReleaseLint {
    /// Files with `Rollout`, `AnalysisTemplate`, `Experiment`, `Canary`, `MetricTemplate` and the like
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Actions {
    /// Write `.github/workflows/actions.lock`: the commit of every action of another repository, however deep
    Lock(ActionsLock),
    /// Ask whether what is locked is all that is used, and still what its sources have; exit code 10 when not
    Verify(ActionsVerify),
    /// Show every action that the workflows use, and how it is run
    List(OfDir),
}

#[derive(Debug, Clone, Args)]
pub struct ActionsLock {
    /// Take the newest commit of this repository (`owner/name`) instead of the one locked; of all when none is named
    #[arg(long, value_name = "REPOSITORY", num_args = 0..=1, default_missing_value = "")]
    pub update: Option<String>,
    /// Lock the built-in ones too, as GitHub itself wants it
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub of: OfDir,
}

#[derive(Debug, Clone, Args)]
pub struct ActionsVerify {
    /// Ask nobody: only compare the lock with the workflows
    #[arg(long)]
    pub offline: bool,
    #[command(flatten)]
    pub of: OfDir,
}

#[derive(Debug, Clone, Args)]
pub struct OfDir {
    /// The project's folder
    #[arg(short = 'C', long = "dir", default_value = ".", value_name = "DIR")]
    pub dir: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub struct OfEnvironment {
    /// Which of the project's environments; needed where it has several
    #[arg(long, alias = "env", value_name = "NAME")]
    pub environment: Option<String>,
    #[command(flatten)]
    pub of: OfDir,
}

#[derive(Debug, Clone, Args)]
pub struct OneRelease {
    /// `release-7`, `7` or an id; when absent the last one, and where one is steered the one that moves
    pub release: Option<String>,
    #[command(flatten)]
    pub of: OfDir,
}

#[derive(Debug, Clone, Args)]
pub struct Provenance {
    #[command(flatten)]
    pub one: OneRelease,
    /// What the envelope says, without its signature: for people
    #[arg(long)]
    pub statement: bool,
}

#[derive(Debug, Clone, Args)]
pub struct Sbom {
    #[command(flatten)]
    pub one: OneRelease,
    /// In an envelope that the server has signed: what cosign calls an attestation of type `cyclonedx`
    #[arg(long)]
    pub signed: bool,
}

#[derive(Debug, Clone, Args)]
pub struct Artifact {
    #[command(flatten)]
    pub one: OneRelease,
    /// Where to write it; nothing that is there is written over
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
}

#[derive(Debug, Clone, Subcommand)]
pub enum Secret {
    /// Keep a secret, in the place of the one of that name; its value is read from standard input
    Set(SecretName),
    /// List the project's secrets, and nothing of what they hold
    List(OfDir),
    /// Remove a secret
    Rm(SecretName),
}

#[derive(Debug, Clone, Args)]
pub struct SecretName {
    /// `NPM_TOKEN`
    pub name: String,
    /// Only for jobs that deliver to this environment
    #[arg(long, value_name = "NAME")]
    pub environment: Option<String>,
    #[command(flatten)]
    pub of: OfDir,
}

#[derive(Debug, Clone, Subcommand)]
pub enum Schedule {
    /// Let this machine's server start what is due; starts the server where none runs
    On(OfDir),
    /// Let nothing of the project start by the clock any more
    Off(OfDir),
    /// List the schedules of the project's workflows, when they come due next, and whether they are started
    List(OfDir),
}

#[derive(Debug, Clone, Subcommand)]
pub enum Identity {
    /// Print the address under which others know this machine's issuer of tokens, or give it one
    Issuer(IdentityIssuer),
    /// Write what the issuer's address has to answer: `.well-known/openid-configuration` and `.well-known/jwks`
    Publish(IdentityPublish),
}

#[derive(Debug, Clone, Args)]
pub struct IdentityIssuer {
    /// The address: `https://ci.example.org`
    pub address: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub struct IdentityPublish {
    /// The folder that is served at the issuer's address
    pub folder: PathBuf,
}

#[derive(Debug, Clone, Subcommand)]
pub enum Attest {
    /// Print the public key that belongs to the server's signatures
    Key,
    /// Print the server's signature of a file, as `cosign sign-blob` does, or lay one beside an image, as `cosign sign` does
    Sign(AttestSign),
    /// Sign a statement about an image and lay it beside the image, as `cosign attest` does
    #[command(name = "attest")]
    Statement(AttestStatement),
    /// Print what an envelope says, without asking whether it is true
    Show(AttestShow),
    /// Ask whether a file or an image is what a signature says of it, in the order of SLSA; exit code 1 when not
    Verify(AttestVerify),
}

#[derive(Debug, Clone, Args)]
pub struct AttestSign {
    /// The file
    #[arg(required_unless_present = "image", conflicts_with = "image")]
    pub file: Option<PathBuf>,
    /// An image instead: `registry.example.org/team/app@sha256:…`, a tag of it, or `oci:FOLDER[:TAG]` for an image layout on disk
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// What else is signed with an image; may be repeated
    #[arg(long = "annotation", value_name = "NAME=VALUE", requires = "image")]
    pub annotations: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub struct AttestStatement {
    /// `registry.example.org/team/app@sha256:…`, a tag of it, or `oci:FOLDER[:TAG]` for an image layout on disk
    #[arg(long, value_name = "IMAGE")]
    pub image: String,
    /// What is stated, in JSON: a bill of materials, say
    #[arg(long, value_name = "FILE")]
    pub predicate: PathBuf,
    /// What kind of thing it is: `cyclonedx`, `spdx`, or the address of any type
    #[arg(long = "type", value_name = "TYPE")]
    pub predicate_type: String,
}

#[derive(Debug, Clone, Args)]
pub struct AttestShow {
    /// A DSSE envelope, or a sigstore bundle with one
    pub signed: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub struct AttestVerify {
    /// The file
    #[arg(required_unless_present = "image", conflicts_with = "image")]
    pub file: Option<PathBuf>,
    /// A DSSE envelope, a sigstore bundle, or a signature in base64
    #[arg(required_unless_present = "image", conflicts_with = "image")]
    pub signed: Option<PathBuf>,
    /// An image instead, with what lies beside it: `registry.example.org/team/app@sha256:…`, a tag of it, or `oci:FOLDER[:TAG]`
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// What an image's signature must have been made with; may be repeated
    #[arg(long = "annotation", value_name = "NAME=VALUE", requires = "image", conflicts_with = "predicate_type")]
    pub annotations: Vec<String>,
    /// The public key in PEM, as `attest key` and cosign write it
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// What an envelope must say: `slsaprovenance1`, `cyclonedx`, `spdx`, or the address of any type. When absent, `slsaprovenance1` of a
    /// file, and of an image its signatures are asked and no statement
    #[arg(long = "type", value_name = "TYPE")]
    pub predicate_type: Option<String>,
    /// Who must have built it; Plimsoll when absent
    #[arg(long, value_name = "URI")]
    pub builder_id: Option<String>,
    /// How its parameters must be meant; as Plimsoll means them when absent
    #[arg(long, value_name = "URI")]
    pub build_type: Option<String>,
    /// An external parameter that is expected, and the value it must have: `source.ref=refs/heads/main`; may be repeated
    #[arg(long = "param", value_name = "NAME[=VALUE]")]
    pub params: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub struct Approve {
    #[command(flatten)]
    pub one: OneRelease,
    /// The environment that its jobs wait for; needed where they wait for several
    #[arg(long, value_name = "NAME")]
    pub environment: Option<String>,
    /// Kept on the record
    #[arg(short = 'm', long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    pub comment: String,
}

#[derive(Debug, Clone, Args)]
pub struct Reject {
    #[command(flatten)]
    pub one: OneRelease,
    /// The environment that its jobs wait for; needed where they wait for several
    #[arg(long, value_name = "NAME")]
    pub environment: Option<String>,
    /// Why; everybody who waits is told
    #[arg(short = 'm', long, value_name = "TEXT")]
    pub comment: String,
}

#[derive(Debug, Clone, Subcommand)]
pub enum Env {
    /// Nothing moves forward from now on; the way back stays free
    Freeze(Freeze),
    /// End every freeze that somebody called
    Unfreeze(OfEnvironment),
}

#[derive(Debug, Clone, Args)]
pub struct Freeze {
    /// Why; everybody who waits is told
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// How long: `2h`; until `env unfreeze` when absent
    #[arg(long = "for", value_name = "DURATION", conflicts_with = "until", allow_hyphen_values = true)]
    pub lasts: Option<String>,
    /// Until when: `2026-12-24T18:00:00Z`
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    #[command(flatten)]
    pub at: OfEnvironment,
}

#[derive(Debug, Clone, Subcommand)]
pub enum Gate {
    /// Say what the gate would answer now: policy, promises, incidents, branch, checks, hours, people
    Check(Check),
    /// Say of a release what the gate answered, by which rule and line, and what it knew
    Explain(OneRelease),
    /// Say of past releases what the rules of now would have answered
    Simulate(Simulate),
    /// Let releases go past the gate's no, missing approvals and closed hours for a while; on record, and loud in every output
    Override(Override),
}

#[derive(Debug, Clone, Args)]
pub struct Check {
    /// As this environment asks; `local` when absent
    #[arg(long, alias = "env", value_name = "NAME")]
    pub environment: Option<String>,
    /// The rules of the working tree, not of the commit
    #[arg(long)]
    pub dirty: bool,
    #[command(flatten)]
    pub of: OfDir,
}

#[derive(Debug, Clone, Args)]
pub struct Simulate {
    /// Only releases to this environment; of all of them, each by the rules of its own, when absent
    #[arg(long, alias = "env", value_name = "NAME")]
    pub environment: Option<String>,
    /// How far back
    #[arg(long, default_value = "90d", value_name = "DURATION")]
    pub since: String,
    /// The rules of the working tree, not of the commit
    #[arg(long)]
    pub dirty: bool,
    #[command(flatten)]
    pub of: OfDir,
}

#[derive(Debug, Clone, Args)]
pub struct Override {
    /// Why; stays on record
    #[arg(long, value_name = "TEXT", required_unless_present = "confirm")]
    pub reason: Option<String>,
    /// As the second person: answer for the override that somebody has asked for
    #[arg(long, conflicts_with_all = ["reason", "ticket", "lasts"])]
    pub confirm: bool,
    /// Of the incident
    #[arg(long, value_name = "ID")]
    pub ticket: Option<String>,
    /// How long, 24h at most
    #[arg(long = "for", default_value = "1h", value_name = "DURATION")]
    pub lasts: String,
    #[command(flatten)]
    pub at: OfEnvironment,
}

#[derive(Debug, Clone, Subcommand)]
pub enum Slo {
    /// Say how every objective stands; exit code 3 when the gate would say no, 5 when it would wait
    Status(Check),
    /// Say how fast every budget burns, rule by rule
    Burn(Check),
    /// Say what is left of every budget, in events
    Budget(Check),
}

#[derive(Debug, Clone, Subcommand)]
pub enum Policy {
    /// Run the policies' own tests, rules named `test_…`, as `opa test` does; exit code 1 when one fails
    Test(PolicyTest),
    /// Say what the policies of the working tree answer about an input, or answer any query; exit code 3 when they deny
    Eval(PolicyEval),
    /// Format policies: not there yet, `opa fmt` does it
    Fmt(PolicyFmt),
}

#[derive(Debug, Clone, Args)]
pub struct PolicyTest {
    /// A file, or a folder with policies and their tests
    #[arg(default_value = "policy")]
    pub path: PathBuf,
    #[command(flatten)]
    pub of: OfDir,
}

#[derive(Debug, Clone, Args)]
pub struct PolicyEval {
    /// In Rego: `data.plimsoll.gate.violations`; what the gate would say when absent
    pub query: Option<String>,
    /// A file with the input document; `-` is standard input
    #[arg(short, long, value_name = "FILE", conflicts_with = "release")]
    pub input: Option<PathBuf>,
    /// What the gate was shown of this release; of the last one when neither is given
    #[arg(long, value_name = "RELEASE")]
    pub release: Option<String>,
    #[command(flatten)]
    pub of: OfDir,
}

#[derive(Debug, Clone, Args)]
pub struct PolicyFmt {
    /// A file, or a folder with policies
    #[arg(default_value = "policy")]
    pub path: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub struct View {
    #[command(flatten)]
    pub one: OneRelease,
    /// Print its facts, one in JSON per line: what `plimsoll replay` reads
    #[arg(long)]
    pub record: bool,
}

#[derive(Debug, Clone, Args)]
pub struct Promote {
    #[command(flatten)]
    pub one: OneRelease,
    /// Skip the remaining steps
    #[arg(long)]
    pub full: bool,
}

#[derive(Debug, Clone, Args)]
pub struct Rollback {
    /// A revision that was live before, or the beginning of one
    pub revision: Option<String>,
    #[command(flatten)]
    pub at: OfEnvironment,
}

#[derive(Debug, Clone, Args)]
pub struct Logs {
    #[command(flatten)]
    pub at: OfEnvironment,
    /// Keep printing what is written
    #[arg(short, long)]
    pub follow: bool,
    /// A job of a release instead of the application, by its id or name: `test`, `ci.yml/test`, `test (3.x)`
    #[arg(short, long)]
    pub job: Option<String>,
    /// The release the job is of, the last one when absent; without --job what this release brought
    #[arg(long)]
    pub release: Option<String>,
    /// Only instances of this revision
    #[arg(long)]
    pub revision: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub struct Down {
    #[command(flatten)]
    pub here: Here,
    /// Which of the project's environments; needed where it has several
    #[arg(long, alias = "env", value_name = "NAME")]
    pub environment: Option<String>,
    /// Stop the server too and remove everything Plimsoll keeps, of every project
    #[arg(long)]
    pub purge: bool,
    /// With --purge, also where several projects are in use
    #[arg(long, requires = "purge")]
    pub all: bool,
}

#[derive(Debug, Clone, Args)]
pub struct Demo {
    /// Keep the copy and what runs
    #[arg(long)]
    pub keep: bool,
}

#[derive(Debug, Clone, Args)]
pub struct Doctor {
    /// Check the promises on the whole record
    #[arg(long)]
    pub verify: bool,
}

#[derive(Debug, Clone, Args)]
pub struct Replay {
    /// What `release view --record` printed, or a script as docs/rollout.md describes it
    pub file: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub struct Serve {
    /// The port of the API on loopback; 0 lets the system choose
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// End where there is no record: whoever asks only looks at what there is
    #[arg(long, hide = true)]
    pub existing: bool,
}

#[derive(Debug, Clone, Args)]
pub struct Help {
    /// exit-codes, environment, config, output, signals, or a command
    pub topic: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub struct Completions {
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

#[derive(Debug, Clone, Args)]
pub struct ProxyArgs {
    #[arg(long)]
    pub dir: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub struct Supervise {
    /// `job` or `instance`
    pub kind: String,
    pub dir: PathBuf,
}
