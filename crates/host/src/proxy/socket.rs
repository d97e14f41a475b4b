//! Sockets in directories of any depth: the kernel takes about a hundred bytes of path, and state directories may be deeper.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// A name for a socket that is short enough, good for as long as this lives.
#[derive(Debug)]
pub(super) struct Reachable {
    path: PathBuf,
    _dir: Option<File>,
}

/// `sun_path` has 108 bytes on Linux and 104 elsewhere, one of them for the end.
const PATH_BYTES_MAX: usize = 100;

impl Reachable {
    pub(super) fn new(path: &Path) -> io::Result<Reachable> {
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        };
        if path.as_os_str().len() <= PATH_BYTES_MAX {
            return Ok(Reachable { path: path.to_owned(), _dir: None });
        }
        use std::os::fd::AsRawFd;
        let dir = File::open(dir)?;
        let path = Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string()).join(name);
        Ok(Reachable { path, _dir: Some(dir) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}
