//! A tar that depends on its files alone: sorted, without times and owners, with two modes.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use gate::evidence::secrets::{self, Found};

use crate::git::{TreeFile, TreeFileKind};

/// What shall be in it, by path.
#[derive(Debug, Default)]
pub struct Archive {
    contents: BTreeMap<String, Content>,
    bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    File {
        bytes: Vec<u8>,
        executable: bool,
    },
    Link {
        target: PathBuf,
    },
    /// Only worth a member when it is empty.
    Directory,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{0}` leads outside")]
    Outside(String),
    #[error("`{path}` links to `{}`, which is not inside", target.display())]
    LinkOutside { path: String, target: PathBuf },
    #[error("`{0}` is neither a file nor a folder nor a link")]
    Strange(String),
    #[error("it is larger than {} MiB", BYTES_MAX >> 20)]
    TooLarge,
    #[error("`{}` can't be read: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the archive can't be written: {0}")]
    Write(io::Error),
}

/// An artifact is held in memory once; more than this is a mistake in what was named rather than an application.
const BYTES_MAX: u64 = 2 << 30;

impl Content {
    /// What lies at a place on disk.
    pub fn of(path: &Path) -> Result<Content, Error> {
        let failed = |source| Error::Read { path: path.to_path_buf(), source };
        let metadata = path.symlink_metadata().map_err(failed)?;
        let kind = metadata.file_type();
        if kind.is_symlink() {
            Ok(Content::Link { target: std::fs::read_link(path).map_err(failed)? })
        } else if kind.is_dir() {
            Ok(Content::Directory)
        } else if kind.is_file() {
            if metadata.len() > BYTES_MAX {
                return Err(Error::TooLarge);
            }
            let executable = metadata.permissions().mode() & 0o100 != 0;
            Ok(Content::File { bytes: std::fs::read(path).map_err(failed)?, executable })
        } else {
            Err(Error::Strange(path.display().to_string()))
        }
    }
}

impl From<TreeFile> for Content {
    fn from(file: TreeFile) -> Content {
        match file.kind {
            TreeFileKind::File { executable } => Content::File { bytes: file.bytes, executable },
            TreeFileKind::Link => Content::Link { target: PathBuf::from(String::from_utf8_lossy(&file.bytes).into_owned()) },
        }
    }
}

impl Archive {
    /// Adds a member; one that would lie or lead outside is refused.
    pub fn add(&mut self, path: &str, content: Content) -> Result<(), Error> {
        if !stays_inside(Path::new(""), Path::new(path)) || path.is_empty() {
            return Err(Error::Outside(path.to_string()));
        }
        match &content {
            Content::Link { target } if !stays_inside(Path::new(path).parent().unwrap_or(Path::new("")), target) => {
                return Err(Error::LinkOutside { path: path.to_string(), target: target.clone() });
            }
            Content::File { bytes, .. } => self.bytes += bytes.len() as u64,
            _ => {}
        }
        if self.bytes > BYTES_MAX {
            return Err(Error::TooLarge);
        }
        self.contents.insert(path.to_string(), content);
        Ok(())
    }

    /// Adds everything below a folder.
    pub fn add_folder(&mut self, folder: &Path) -> Result<(), Error> {
        let mut open = vec![(folder.to_path_buf(), String::new())];
        while let Some((dir, prefix)) = open.pop() {
            let failed = |source| Error::Read { path: dir.clone(), source };
            for entry in std::fs::read_dir(&dir).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                let Some(name) = entry.file_name().to_str().map(str::to_string) else {
                    return Err(Error::Strange(entry.path().display().to_string()));
                };
                let path = format!("{prefix}{name}");
                let content = Content::of(&entry.path())?;
                if content == Content::Directory {
                    open.push((entry.path(), format!("{path}/")));
                }
                self.add(&path, content)?;
            }
        }
        Ok(())
    }

    /// Secrets in its files, by path and line.
    pub fn secrets(&self) -> Vec<(&str, Vec<Found>)> {
        let look = |content: &Content| match content {
            Content::File { bytes, .. } => secrets::scan(bytes),
            Content::Link { .. } | Content::Directory => Vec::new(),
        };
        let found = self.contents.iter().map(|(path, content)| (path.as_str(), look(content)));
        found.filter(|(_, found)| !found.is_empty()).collect()
    }

    pub fn files(&self) -> u64 {
        self.contents.values().filter(|content| **content != Content::Directory).count() as u64
    }

    /// The same members give the same bytes.
    pub fn finish(self) -> Result<Vec<u8>, Error> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content) in &self.contents {
            append(&mut builder, path, content).map_err(Error::Write)?;
        }
        builder.into_inner().map_err(Error::Write)
    }
}

fn append(builder: &mut tar::Builder<Vec<u8>>, path: &str, content: &Content) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mode(0o755);
    match content {
        Content::File { bytes, executable } => {
            header.set_mode(if *executable { 0o755 } else { 0o644 });
            header.set_size(bytes.len() as u64);
            builder.append_data(&mut header, path, bytes.as_slice())
        }
        Content::Link { target } => {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            builder.append_link(&mut header, path, target)
        }
        Content::Directory => {
            header.set_entry_type(tar::EntryType::Directory);
            header.set_size(0);
            builder.append_data(&mut header, format!("{path}/"), io::empty())
        }
    }
}

/// Of links, each by its path, those that lead out of the folder.
pub fn leading_outside<'a>(links: impl Iterator<Item = (&'a str, &'a Path)>) -> Vec<String> {
    let leads_outside = |path: &str, target: &Path| !stays_inside(Path::new(path).parent().unwrap_or(Path::new("")), target);
    links.filter(|(path, target)| leads_outside(path, target)).map(|(path, target)| format!("`{path}` → `{}`", target.display())).collect()
}

/// Whether a path, taken from a place inside, stays inside all the way.
fn stays_inside(from: &Path, path: &Path) -> bool {
    let mut depth = from.components().count();
    for component in path.components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stay_inside() {
        let file = || Content::File { bytes: Vec::new(), executable: false };
        let link = |target: &str| Content::Link { target: target.into() };
        let cases = [
            ("a/b", file(), true),
            ("/a", file(), false),
            ("../a", file(), false),
            ("a/../../b", file(), false),
            ("", file(), false),
            ("bin/tool", link("../lib/tool"), true),
            ("tool", link("../lib/tool"), false),
            ("tool", link("/usr/bin/tool"), false),
        ];
        for (path, content, expected) in cases {
            assert_eq!(Archive::default().add(path, content).is_ok(), expected, "{path}");
        }
    }

    #[test]
    fn the_same_files_give_the_same_bytes_whenever_and_by_whomever_they_were_made() {
        let made = |names: &[&str]| {
            let dir = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(dir.path().join("sub/empty")).unwrap();
            for name in names {
                std::fs::write(dir.path().join(name), name).unwrap();
            }
            let written = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000 * u64::from(names[0].as_bytes()[0]));
            std::fs::File::options().write(true).open(dir.path().join("a")).unwrap().set_modified(written).unwrap();
            std::os::unix::fs::symlink("../a", dir.path().join("sub/link")).unwrap();
            std::fs::set_permissions(dir.path().join("a"), PermissionsExt::from_mode(0o740)).unwrap();
            let mut archive = Archive::default();
            archive.add_folder(dir.path()).unwrap();
            (archive.files(), archive.finish().unwrap())
        };
        let (files, one) = made(&["a", "sub/b", "c"]);
        assert_eq!((files, &one), (4, &made(&["c", "sub/b", "a"]).1));
        let mut archive = tar::Archive::new(one.as_slice());
        let members: Vec<(String, u32, u64)> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| {
                let header = entry.header();
                (entry.path().unwrap().display().to_string(), header.mode().unwrap(), header.mtime().unwrap())
            })
            .collect();
        let expected = [("a", 0o755), ("c", 0o644), ("sub/", 0o755), ("sub/b", 0o644), ("sub/empty/", 0o755), ("sub/link", 0o755)];
        assert_eq!(members, expected.map(|(path, mode)| (path.to_string(), mode, 0)));
    }
}
