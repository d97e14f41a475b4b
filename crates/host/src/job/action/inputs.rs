//! The inputs of a built-in action.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// By lower-case name; an empty input is one not given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inputs<'a>(pub(super) &'a BTreeMap<String, String>);

impl<'a> Inputs<'a> {
    pub(super) fn get(self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    pub(super) fn required(self, name: &str) -> Result<&'a str, String> {
        self.get(name).ok_or_else(|| format!("the input `{name}` is required and not given"))
    }

    pub(super) fn flag(self, name: &str) -> Result<bool, String> {
        match self.get(name) {
            None | Some("false" | "False" | "FALSE") => Ok(false),
            Some("true" | "True" | "TRUE") => Ok(true),
            Some(other) => Err(format!("the input `{name}` is `{other}`; it can be `true` or `false`")),
        }
    }

    /// One entry a line.
    pub(super) fn lines(self, name: &str) -> Vec<&'a str> {
        self.get(name).into_iter().flat_map(str::lines).map(str::trim).filter(|line| !line.is_empty()).collect()
    }
}

/// A path below a directory; nothing when it leads out of it.
pub(super) fn inside(directory: &Path, path: &str) -> Option<PathBuf> {
    let mut parts: Vec<&std::ffi::OsStr> = Vec::new();
    let relative = Path::new(path).strip_prefix(directory).unwrap_or(Path::new(path));
    for component in relative.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(part) => parts.push(part),
            Component::ParentDir => drop(parts.pop()?),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.into_iter().fold(directory.to_path_buf(), |path, part| path.join(part)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        let inside = |path: &str| inside(Path::new("/w"), path).map(|path| path.to_string_lossy().into_owned());
        let cases =
            [("", Some("/w")), ("a/./b/../c", Some("/w/a/c")), ("/w/a", Some("/w/a")), ("..", None), ("a/../../b", None), ("/etc", None)];
        for (path, expected) in cases {
            assert_eq!(inside(path).as_deref().map(|path| path.trim_end_matches('/')), expected, "{path}");
        }
    }
}
