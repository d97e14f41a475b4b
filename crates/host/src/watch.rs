//! Waits until the files of a project change: those that git tracks or would, and no others.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

use crate::git::{self, Place};

/// Editors write a file in several steps, and `git checkout` writes many files: quiet for so long means done.
const QUIET: Duration = Duration::from_millis(150);

/// What a file is known by: nothing is read.
type Stamp = (u64, Option<SystemTime>);

#[derive(Debug)]
pub struct Watch {
    place: Place,
    events: OwnedFd,
    folders: BTreeSet<PathBuf>,
    files: BTreeMap<String, Stamp>,
}

/// What ended the waiting.
#[derive(Debug, PartialEq, Eq)]
pub enum Woken {
    /// These differ, sorted.
    Changed(Vec<String>),
    /// The descriptor given became readable.
    Asked,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Git(#[from] git::Error),
    #[error("the files can't be watched")]
    Io(#[from] io::Error),
}

impl Watch {
    /// What changes from here on is told.
    pub fn new(place: Place) -> Result<Watch, Error> {
        let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(io::Error::from)?;
        let mut watch = Watch { place, events, folders: BTreeSet::new(), files: BTreeMap::new() };
        watch.files = watch.look()?;
        Ok(watch)
    }

    pub fn folders(&self) -> usize {
        self.folders.len()
    }

    /// Until a file has changed and nothing has for a moment, or until somebody asks to stop.
    pub fn wait(&mut self, asked: BorrowedFd<'_>) -> Result<Woken, Error> {
        loop {
            if self.poll(Some(asked), None)? {
                return Ok(Woken::Asked);
            }
            while self.drain()? {
                self.poll(None, Some(QUIET))?;
            }
            let files = self.look()?;
            let before = std::mem::replace(&mut self.files, files);
            let names: BTreeSet<&String> = before.keys().chain(self.files.keys()).collect();
            let changed: Vec<String> = names.into_iter().filter(|name| before.get(*name) != self.files.get(*name)).cloned().collect();
            if !changed.is_empty() {
                return Ok(Woken::Changed(changed));
            }
        }
    }

    /// Whether it was the other one that woke us.
    fn poll(&self, asked: Option<BorrowedFd<'_>>, timeout: Option<Duration>) -> io::Result<bool> {
        let mut fds = vec![PollFd::from_borrowed_fd(self.events.as_fd(), PollFlags::IN)];
        fds.extend(asked.map(|asked| PollFd::from_borrowed_fd(asked, PollFlags::IN)));
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(fds.get(1).is_some_and(|fd| !fd.revents().is_empty()))
    }

    /// Takes what has happened off the queue; the listing says what it was.
    fn drain(&mut self) -> io::Result<bool> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut any = false;
        let mut reader = inotify::Reader::new(&self.events, &mut buffer);
        loop {
            match reader.next() {
                Ok(event) => any |= !event.events().contains(ReadFlags::IGNORED),
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(any),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The files as they are, and every folder with one of them watched.
    fn look(&mut self) -> Result<BTreeMap<String, Stamp>, Error> {
        loop {
            let watched = self.folders.len();
            let files = self.look_once()?;
            // What came into a folder before it was watched is in the next look.
            if self.folders.len() == watched {
                return Ok(files);
            }
        }
    }

    fn look_once(&mut self) -> Result<BTreeMap<String, Stamp>, Error> {
        let root = self.place.root.join(&self.place.subtree);
        self.add(&root)?;
        for folder in git::new_folders(&self.place)? {
            self.add(&root.join(folder))?;
        }
        let mut files = BTreeMap::new();
        for path in git::working_files(&self.place)? {
            for folder in Path::new(&path).ancestors().skip(1) {
                self.add(&root.join(folder))?;
            }
            let metadata = root.join(&path).symlink_metadata();
            files.insert(path, metadata.map_or((0, None), |metadata| (metadata.len(), metadata.modified().ok())));
        }
        Ok(files)
    }

    fn add(&mut self, folder: &Path) -> io::Result<()> {
        let flags = WatchFlags::CREATE
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::MODIFY
            | WatchFlags::ATTRIB
            | WatchFlags::MOVE
            | WatchFlags::DELETE
            | WatchFlags::ONLYDIR;
        match inotify::add_watch(&self.events, folder, flags) {
            Ok(_) => drop(self.folders.insert(folder.to_path_buf())),
            // It went away while we looked.
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => drop(self.folders.remove(folder)),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}
