//! What the actions of one command's workflows are pinned to; each is looked up once.

use std::collections::{BTreeMap, BTreeSet};

use workflow::job::Remote;

use super::{Fetched, Lock, Sources, Store};

/// Looks actions up in the lock, in what is here, and at the sources.
pub struct Resolver<'a> {
    /// Asked when the first action has to be looked up: a project without any needs no state directory.
    open: Box<dyn Fn() -> Result<Store, String> + 'a>,
    sources: Sources,
    lock: Lock,
    found: BTreeMap<String, Result<Fetched, String>>,
    /// Taken from the sources as they are today, by name.
    unlocked: BTreeSet<String>,
}

impl std::fmt::Debug for Resolver<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").field("sources", &self.sources).field("found", &self.found).finish_non_exhaustive()
    }
}

impl<'a> Resolver<'a> {
    pub fn new(sources: Sources, lock: Lock, open: impl Fn() -> Result<Store, String> + 'a) -> Resolver<'a> {
        Resolver { open: Box::new(open), sources, lock, found: BTreeMap::new(), unlocked: BTreeSet::new() }
    }

    /// Nothing is ever fetched: what is asked for is refused.
    pub fn offline() -> Resolver<'static> {
        Resolver::new(Sources::default(), Lock::default(), || Err("nothing is fetched here".to_string()))
    }

    /// The repository that an action, or a workflow, of another repository lies in.
    ///
    /// # Errors
    /// A sentence: it can't be had, or isn't what it was.
    pub fn find(&mut self, remote: &Remote, workflow: &str) -> Result<Fetched, String> {
        let key = remote.key();
        let locked = self.lock.dependencies.get(&key);
        if locked.is_none() && self.lock.workflows.contains_key(workflow) {
            return Err(format!(
                "`{remote}` is not in `{}`, which locks this workflow; `plimsoll actions lock` adds it",
                super::lock::PATH
            ));
        }
        if let Some(found) = self.found.get(&key) {
            return found.clone();
        }
        if locked.is_none() && remote.commit().is_none() {
            self.unlocked.insert(remote.to_string());
        }
        let fetched = (self.open)().and_then(|store| store.fetch(remote, &self.sources, locked).map_err(|error| error.to_string()));
        self.found.insert(key, fetched.clone());
        fetched
    }

    /// What a person should know of what was found, in sentences.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks: Vec<String> = self.found.values().flatten().filter_map(|fetched| fetched.remark.clone()).collect();
        if !self.unlocked.is_empty() {
            let names: Vec<String> = self.unlocked.iter().map(|name| format!("`{name}`")).collect();
            let (is, whom) = if names.len() == 1 { ("is", "its name") } else { ("are", "their names") };
            remarks.push(format!(
                "{} {is} not locked, so the next run may run something else under {whom}; `plimsoll actions lock` pins what ran",
                names.join(", ")
            ));
        }
        remarks
    }
}
