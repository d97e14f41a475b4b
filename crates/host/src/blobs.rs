//! Content-addressed files: `sha256/ab/cdef…`, whole or not there.

use std::path::PathBuf;

use async_trait::async_trait;
use base::Digest;
use engine::world::{Blobs, WorldError};

use crate::dirs::Dirs;
use crate::supervise::durable;

/// Blobs as files of the state directory; any number of processes may read and write them.
#[derive(Debug, Clone)]
pub struct FileBlobs {
    root: PathBuf,
}

impl FileBlobs {
    pub fn new(dirs: &Dirs) -> FileBlobs {
        FileBlobs { root: dirs.blobs() }
    }

    /// Blocks.
    pub fn put_now(&self, bytes: &[u8]) -> Result<Digest, WorldError> {
        let digest = Digest::of(bytes);
        let path = self.path(&digest);
        let parent = path.parent().expect("a blob's path has a folder");
        // One that is broken on disk is written again.
        if self.get_now(&digest).is_ok_and(|present| present.is_some()) {
            return Ok(digest);
        }
        let written = durable::create_dir(parent).and_then(|()| durable::replace(&path, bytes));
        written.map_err(|error| WorldError::new(format!("write blob {digest}"), error)).map(|()| digest)
    }

    /// Blocks.
    pub fn get_now(&self, digest: &Digest) -> Result<Option<Vec<u8>>, WorldError> {
        let doing = || format!("read blob {digest}");
        let Some(bytes) = durable::read(&self.path(digest)).map_err(|error| WorldError::new(doing(), error))? else { return Ok(None) };
        match Digest::of(&bytes) {
            found if found == *digest => Ok(Some(bytes)),
            found => Err(WorldError::new(doing(), format!("the file holds {found} instead; the disk or somebody changed it"))),
        }
    }

    /// Where a blob's file lies, whether it is there or not.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.root.join("sha256").join(&hex[..2]).join(&hex[2..])
    }
}

#[async_trait]
impl Blobs for FileBlobs {
    async fn put(&self, bytes: Vec<u8>) -> Result<Digest, WorldError> {
        let blobs = self.clone();
        crate::blocking::blocking("write a blob", move || blobs.put_now(&bytes)).await
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, WorldError> {
        let (blobs, digest) = (self.clone(), *digest);
        crate::blocking::blocking("read a blob", move || blobs.get_now(&digest)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_got_and_what_was_changed_is_not() {
        let temporary = tempfile::tempdir().unwrap();
        let blobs = FileBlobs::new(&Dirs::at(&temporary.path().join("state")).unwrap());
        let digest = blobs.put_now(b"hello").unwrap();
        assert_eq!((digest, blobs.get_now(&digest).unwrap()), (Digest::of(b"hello"), Some(b"hello".to_vec())));
        assert_eq!(blobs.get_now(&Digest::of(b"other")).unwrap(), None);
        std::fs::write(blobs.path(&digest), "jello").unwrap();
        assert!(blobs.get_now(&digest).unwrap_err().why.contains("holds sha256:"));
        blobs.put_now(b"hello").unwrap();
        assert_eq!(blobs.get_now(&digest).unwrap(), Some(b"hello".to_vec()));
    }
}
