//! `actions/checkout`: lays the project's sources out, from the repository on this machine.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use engine::world::{CodeSource, JobStart};
use workflow::job::{ActionCall, Wrote};

use super::super::JobDirs;
use super::Say;
use super::inputs::{Inputs, inside};
use crate::forge::Way;

pub(super) fn perform(start: &JobStart, dirs: &JobDirs, way: Option<&Way>, call: &ActionCall, say: Say<'_>) -> Result<Wrote, String> {
    let inputs = Inputs(&call.inputs);
    let github = &start.spec.contexts.github;
    refuse_foreign(inputs, github["repository"].as_str().unwrap_or_default())?;
    let path = inputs.get("path").unwrap_or_default();
    let target = inside(&dirs.workspace, path).ok_or_else(|| format!("`path: {path}` leads out of the workspace"))?;
    let checkout = Checkout { source: &start.source, dirs, target: &target, env: &call.env };
    let asked = inputs.get("ref");
    let of_event = asked.is_none_or(|asked| asked == start.source.sha || Some(asked) == github["ref"].as_str());
    if checkout.is_in_place() {
        say("The workspace is the working tree itself: it stays as it is.");
        return Ok(outputs(github["ref"].as_str().unwrap_or_default(), &start.source.sha));
    }
    let commit = if of_event { checkout.commit(&start.source.sha)? } else { checkout.commit(asked.unwrap_or_default())? };
    checkout.make_room()?;
    match &dirs.snapshot {
        Some(snapshot) if of_event => {
            checkout.unpack(snapshot)?;
            say("Laid out the working tree with its uncommitted changes; there is no `.git`.");
        }
        _ if start.source.subtree.is_empty() => {
            let branch = asked.or(github["ref"].as_str()).and_then(|name| name.strip_prefix("refs/heads/"));
            checkout.clone(&commit, branch)?;
            say(&format!("Checked out {commit}."));
            if let Some(way) = way.filter(|_| inputs.get("persist-credentials").is_none_or(|keep| !keep.eq_ignore_ascii_case("false"))) {
                checkout.lead(way)?;
                say(&format!("`origin` is {}, and takes the job's token.", way.url));
            }
        }
        _ => {
            checkout.lay_out(&commit)?;
            let subtree = &start.source.subtree;
            say(&format!("Laid out `{subtree}` of {commit}; there is no `.git`, because the folder is a project of its own."));
        }
    }
    Ok(outputs(asked.or(github["ref"].as_str()).unwrap_or_default(), &commit))
}

/// The sources as the event names them, in a folder of their own; the workspace itself where the job works in the sources.
pub(in super::super) fn own(source: &CodeSource, dirs: &JobDirs, env: &BTreeMap<String, String>, target: &Path) -> Result<(), String> {
    let checkout = Checkout { source, dirs, target, env };
    checkout.make_room()?;
    match &dirs.snapshot {
        Some(snapshot) => checkout.unpack(snapshot),
        None => checkout.lay_out(&checkout.commit(&source.sha)?),
    }
}

/// What can't be had without a network.
pub(super) fn refuse_foreign(inputs: Inputs<'_>, own: &str) -> Result<(), String> {
    if let Some(other) = inputs.get("repository").filter(|other| !own.is_empty() && !other.eq_ignore_ascii_case(own)) {
        return Err(format!("`repository: {other}` is another repository than `{own}`; fetching one is not there yet"));
    }
    let wanted = |name: &&str| inputs.get(name).filter(|value| !value.eq_ignore_ascii_case("false"));
    let foreign: Vec<String> = ["submodules", "lfs"].iter().filter_map(|name| Some(format!("`{name}: {}`", wanted(name)?))).collect();
    if foreign.is_empty() {
        return Ok(());
    }
    let verb = if foreign.len() > 1 { "need the network, and are" } else { "needs the network, and is" };
    Err(format!("{} {verb} not there yet", foreign.join(" and ")))
}

struct Checkout<'a> {
    source: &'a CodeSource,
    dirs: &'a JobDirs,
    target: &'a Path,
    env: &'a BTreeMap<String, String>,
}

impl Checkout<'_> {
    /// Whether the job works in the very folder the sources come from; then nothing may be touched.
    fn is_in_place(&self) -> bool {
        let real = |path: &Path| fs::canonicalize(path).ok();
        let sources = real(&Path::new(&self.source.repository).join(&self.source.subtree));
        sources.is_some() && sources == real(&self.dirs.workspace)
    }

    /// The commit that a name stands for in the local repository.
    fn commit(&self, name: &str) -> Result<String, String> {
        if name.is_empty() {
            return Err(format!("`{}` is in no git repository, so there is no commit to check out", self.source.repository));
        }
        let candidates = [name.to_string(), format!("origin/{name}")];
        let resolve = |name: &String| {
            let revision = format!("{name}^{{commit}}");
            self.git(&["rev-parse", "--verify", "--quiet", "--end-of-options", &revision], &[]).ok()
        };
        let found = candidates.iter().find_map(resolve);
        found.ok_or_else(|| format!("`{name}` is not in `{}`, and nothing is fetched from elsewhere", self.source.repository))
    }

    /// An empty target, as the original makes it; the workspace itself stays, what is in it goes.
    fn make_room(&self) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("`{}` can't be emptied: {error}", self.target.display());
        fs::create_dir_all(self.target).map_err(failed)?;
        for entry in fs::read_dir(self.target).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let is_directory = path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
            if is_directory { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.map_err(failed)?;
        }
        Ok(())
    }

    fn unpack(&self, snapshot: &Path) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("the snapshot of the working tree can't be unpacked: {error}");
        let file = fs::File::open(snapshot).map_err(failed)?;
        tar::Archive::new(std::io::BufReader::new(file)).unpack(self.target).map_err(failed)
    }

    /// A repository that borrows the objects of the one it comes from: all of the history at the cost of none.
    fn clone(&self, commit: &str, branch: Option<&str>) -> Result<(), String> {
        let target = self.target.to_string_lossy();
        self.git(&["clone", "--quiet", "--shared", "--no-checkout", "--", &self.source.repository, &target], &[])?;
        let mut arguments = vec!["-C", &*target, "checkout", "--quiet", "--force"];
        match branch {
            Some(branch) => arguments.extend(["-B", branch]),
            None => arguments.push("--detach"),
        }
        arguments.push(commit);
        self.git(&arguments, &[]).map(drop)
    }

    /// What is pushed goes to the forge.
    fn lead(&self, way: &Way) -> Result<(), String> {
        self.git(&["-C", &self.target.to_string_lossy(), "remote", "set-url", "origin", &way.url], &[])?;
        let file = self.target.join(".git/config");
        // Past git's own command, whose arguments a list of processes would show.
        let config = fs::File::options().append(true).open(&file).and_then(|mut config| config.write_all(way.config.as_bytes()));
        config.map_err(|error| format!("`{}` can't be written: {error}", file.display()))
    }

    /// The folder's files alone, through an index of our own, so that attributes and filters apply as in a checkout.
    fn lay_out(&self, commit: &str) -> Result<(), String> {
        let index = self.dirs.temp.join("checkout.index");
        let index = [("GIT_INDEX_FILE", &*index.to_string_lossy())];
        self.git(&["read-tree", &format!("{commit}:{}", self.source.subtree)], &index)?;
        let prefix = format!("--prefix={}/", self.target.display());
        self.git(&["checkout-index", "--all", "--force", &prefix], &index).map(drop)
    }

    fn git(&self, arguments: &[&str], env: &[(&str, &str)]) -> Result<String, String> {
        let mut command = Command::new("git");
        command.current_dir(&self.source.repository).args(arguments);
        command.env_clear().envs(self.env).env("GIT_TERMINAL_PROMPT", "0").env("GIT_OPTIONAL_LOCKS", "0");
        command.env_remove("GIT_DIR").env_remove("GIT_WORK_TREE").envs(env.iter().copied());
        let output = command.output().map_err(|error| format!("`git` can't be started: {error}"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_string();
        if output.status.success() {
            return Ok(text(&output.stdout));
        }
        Err(format!("`git {}` failed: {}", arguments.first().unwrap_or(&""), text(&output.stderr)))
    }
}

fn outputs(reference: &str, commit: &str) -> Wrote {
    let outputs = vec![("ref".to_string(), reference.to_string()), ("commit".to_string(), commit.to_string())];
    Wrote { outputs, ..Wrote::default() }
}
