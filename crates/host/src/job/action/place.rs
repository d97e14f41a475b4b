//! What a built-in action finds around it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base::mask::Mask;
use engine::world::JobStart;
use serde_json::Value as Json;
use workflow::job::{ActionCall, Wrote};

use super::super::JobDirs;
use super::desk::{Desk, Tool, Undone};
use super::inputs::{Inputs, inside};
use super::need::need;

/// One call of one action, in its job.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) start: &'a JobStart,
    pub(super) dirs: &'a JobDirs,
    pub(super) call: &'a ActionCall,
    pub(super) mask: &'a Mask,
}

/// Below the uploads of a release; begins with a dot, as no upload's name may.
pub(crate) const EVIDENCE: &str = ".evidence";

impl<'a> Place<'a> {
    pub(super) fn inputs(&self) -> Inputs<'a> {
        Inputs(&self.call.inputs)
    }

    pub(super) fn env(&self) -> &'a BTreeMap<String, String> {
        &self.call.env
    }

    pub(super) fn github(&self) -> &'a Json {
        &self.start.spec.contexts.github
    }

    /// A tool that is on the job's `PATH`, started in a folder of the workspace.
    pub(super) fn tool(&self, names: &[&str], directory: &Path) -> Result<Tool, Undone> {
        Ok(Tool::new(need(names, self.env())?, self.env(), directory))
    }

    /// A path that an input names: absolute, or below the workspace and not out of it.
    pub(super) fn path(&self, input: &str, path: &str) -> Result<PathBuf, String> {
        if Path::new(path).is_absolute() {
            return Ok(PathBuf::from(path));
        }
        inside(&self.dirs.workspace, path).ok_or_else(|| format!("`{input}: {path}` leads out of the workspace"))
    }

    /// The folder that an input like `working-directory` names, else the workspace.
    pub(super) fn folder(&self, input: &str) -> Result<PathBuf, String> {
        self.path(input, self.inputs().get(input).unwrap_or_default())
    }

    /// Keeps a report for the gate, whatever later steps do to the file; one with a secret is refused.
    pub(super) fn keep(&self, desk: &mut Desk<'_>, name: &str, file: &Path) -> Result<(), Undone> {
        let failed = |error: std::io::Error| format!("`{}` can't be kept as evidence: {error}", file.display());
        let bytes = std::fs::read(file).map_err(failed)?;
        if self.mask.contains(&bytes) {
            return Err(Undone::Failed(format!(
                "`{}` contains a secret of this job, and reports with secrets are refused",
                file.display()
            )));
        }
        let folder = self.dirs.artifacts.join(EVIDENCE).join(crate::dirs::file_name(&self.start.spec.name));
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let digest = base::Digest::of(&bytes).short();
        let kept = format!("{digest}-{}", crate::dirs::file_name(name));
        std::fs::write(folder.join(kept), &bytes).map_err(failed)?;
        desk.say(&format!("Kept `{name}` as evidence ({} bytes).", bytes.len()));
        Ok(())
    }

    /// A file of the action's own in `RUNNER_TEMP`, for its owner alone.
    pub(super) fn private(&self, name: &str, text: &str) -> Result<PathBuf, String> {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        let file = self.dirs.temp.join(name);
        let failed = |error: std::io::Error| format!("`{}` can't be written: {error}", file.display());
        std::fs::create_dir_all(file.parent().unwrap_or(&self.dirs.temp)).map_err(failed)?;
        let mut options = std::fs::OpenOptions::new();
        options.create(true).truncate(true).write(true).mode(0o600);
        options.open(&file).and_then(|mut opened| opened.write_all(text.as_bytes())).map_err(failed)?;
        Ok(file)
    }
}

/// What an action sets, by pairs.
pub(super) fn outputs<const N: usize>(pairs: [(&str, String); N]) -> Wrote {
    Wrote { outputs: pairs.into_iter().map(|(name, value)| (name.to_string(), value)).collect(), ..Wrote::default() }
}
