//! The commits that a release brings.

use std::path::Path;

use gate::commits::{Brought, COMMITS_MAX, Told};

use super::command::{git, text, try_git};
use super::{Error, optional};

/// All that can be reached from the one that ships and not from the one that is live, newest first; of a folder in a repository those
/// that change it. The one that ships alone where nothing is live, or what lies between can't be told.
pub fn brought(root: &Path, subtree: &str, since: Option<&str>, sha: &str) -> Result<Brought, Error> {
    let Some(since) = since else { return Ok(Brought { commits: alone(root, sha)?, ..Brought::default() }) };
    let only = |why: String| -> Result<Brought, Error> {
        Ok(Brought { since: Some(since.to_string()), commits: alone(root, sha)?, unread: Some(why) })
    };
    let live = since.get(..7).unwrap_or(since);
    let cut = is_cut(root)?.then_some("the history here is cut off, and `git fetch --unshallow` gets the rest");
    if optional(root, &["cat-file", "-e", &format!("{since}^{{commit}}")]).is_err() {
        return only(cut.map_or_else(|| format!("{live}, which is live, is not in this repository"), str::to_string));
    }
    // Of what is taken back nothing is said by the commits that are left.
    let both = try_git(root, "compare two commits", &["merge-base", since, sha])?.map(text);
    if both.as_deref().map(str::trim) != Some(since) {
        return only(cut.map_or_else(|| format!("what ships does not come after {live}, which is live"), str::to_string));
    }
    let mut read = read(root, sha, &[&format!("^{since}")], subtree)?;
    // A commit that begins a history, among those that follow another, is where it was cut.
    if let Some(cut) = cut
        && read.iter().any(|commit| commit.parents == 0)
    {
        return only(cut.to_string());
    }
    let unread = (read.len() > COMMITS_MAX).then(|| format!("there are more than {COMMITS_MAX}, and the newest are read"));
    read.truncate(COMMITS_MAX);
    Ok(Brought { since: Some(since.to_string()), commits: read.into_iter().map(|commit| commit.told).collect(), unread })
}

struct Read {
    told: Told,
    parents: usize,
}

fn alone(root: &Path, sha: &str) -> Result<Vec<Told>, Error> {
    Ok(read(root, sha, &["--no-walk"], "")?.into_iter().map(|commit| commit.told).collect())
}

/// One more than are told, so that it is known when there are more.
fn read(root: &Path, sha: &str, which: &[&str], subtree: &str) -> Result<Vec<Read>, Error> {
    let most = format!("--max-count={}", COMMITS_MAX + 1);
    let form = ["log", "-z", "--no-show-signature", "--encoding=UTF-8", "--full-history", "--format=tformat:%H%x00%P%x00%an%x00%B", &most];
    let below = ["--", subtree];
    let below = if subtree.is_empty() { &below[..1] } else { &below[..] };
    let output = text(git(root, "list commits", &[&form[..], which, &[sha], below].concat())?);
    let fields: Vec<&str> = output.split('\0').collect();
    let (commits, _) = fields.as_chunks::<4>();
    let commit = |[sha, parents, author, message]: &[&str; 4]| {
        let parents = parents.split_whitespace().count();
        Read { told: Told::of(sha, author, parents, message.trim_start_matches('\n')), parents }
    };
    Ok(commits.iter().map(commit).collect())
}

fn is_cut(root: &Path) -> Result<bool, Error> {
    Ok(optional(root, &["rev-parse", "--is-shallow-repository"])?.as_deref() == Some("true"))
}
