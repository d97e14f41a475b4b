//! What git says of real repositories, and what is said when there is none.

#![allow(clippy::unwrap_used)]

use crate::common::Git;
use host::git::{self, Error, TreeFileKind};

#[test]
fn a_folder_in_a_repository_is_a_project_of_its_own() {
    let temporary = tempfile::tempdir().unwrap();
    let repository = Git::init(temporary.path());
    repository.write("README", "root");
    repository.write("shop/app.py", "1");
    repository.write("shop/sub/ü ber.txt", "2");
    let first = repository.commit("first");
    repository.write("shop/app.py", "changed");
    repository.write("README", "changed");
    repository.run(&["mv", "shop/sub/ü ber.txt", "shop/new name"]);
    repository.run(&["remote", "add", "origin", "https://me:secret@example.org/shop.git"]);
    let second = repository.commit("second\n\nbody");
    repository.write("shop/untracked", "3");
    repository.write("outside", "4");
    let opened = git::open(&temporary.path().join("shop")).unwrap();
    assert_eq!((opened.root.canonicalize().unwrap(), opened.subtree.as_str()), (temporary.path().canonicalize().unwrap(), "shop"));
    assert_eq!(
        (opened.sha.as_str(), opened.parent.as_deref(), opened.branch.as_deref()),
        (second.as_str(), Some(first.as_str()), Some("main"))
    );
    assert_eq!((opened.subject.as_str(), opened.message.as_str()), ("second", "second\n\nbody"));
    assert_eq!((opened.author.as_str(), opened.author_email.as_str()), ("Ada", "ada@example.org"));
    assert_eq!(opened.remote.as_deref(), Some("https://example.org/shop.git"));
    assert_eq!(opened.dirty, ["untracked"]);
    assert_eq!(git::files(&opened, &first).unwrap(), ["app.py", "sub/ü ber.txt"]);
    assert_eq!(git::changed_paths(&opened, &first, &second).unwrap(), ["app.py", "new name", "sub/ü ber.txt"]);
    assert_eq!(git::read(&opened, &first, "app.py").unwrap(), Some(b"1".to_vec()));
    assert_eq!(git::read(&opened, &first, "README").unwrap(), None);
    assert_eq!(git::working_files(&opened.place()).unwrap(), ["app.py", "new name", "untracked"]);
}

#[test]
fn a_commits_files_are_read_without_a_checkout() {
    let temporary = tempfile::tempdir().unwrap();
    let repository = Git::init(temporary.path());
    repository.write("binary", "\0\n\0");
    repository.write("empty", "");
    repository.write("run.sh", "#!/bin/sh\n");
    std::os::unix::fs::symlink("run.sh", temporary.path().join("start")).unwrap();
    repository.run(&["add", "--all"]);
    repository.run(&["update-index", "--chmod=+x", "run.sh"]);
    repository.run(&["commit", "--quiet", "--message", "one"]);
    std::fs::remove_file(temporary.path().join("binary")).unwrap();
    let files = git::tree(temporary.path(), "HEAD", "").unwrap();
    let seen: Vec<(&str, TreeFileKind, &[u8])> = files.iter().map(|file| (file.path.as_str(), file.kind, file.bytes.as_slice())).collect();
    let plain = TreeFileKind::File { executable: false };
    let expected: [(&str, TreeFileKind, &[u8]); 4] = [
        ("binary", plain, b"\0\n\0"),
        ("empty", plain, b""),
        ("run.sh", TreeFileKind::File { executable: true }, b"#!/bin/sh\n"),
        ("start", TreeFileKind::Link, b"run.sh"),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_snapshot_holds_what_lies_there_and_nothing_ignored() {
    let temporary = tempfile::tempdir().unwrap();
    let repository = Git::init(temporary.path());
    repository.write("kept", "old");
    repository.write("removed", "x");
    repository.write(".gitignore", "secret\n");
    repository.commit("one");
    repository.write("kept", "new");
    repository.write("secret", "x");
    repository.write("added", "x");
    std::fs::remove_file(temporary.path().join("removed")).unwrap();
    let opened = git::open(temporary.path()).unwrap();
    assert_eq!(opened.dirty, ["added", "kept", "removed"]);
    let snapshot = git::snapshot(&opened.place()).unwrap();
    assert_eq!(snapshot, git::snapshot(&opened.place()).unwrap());
    let mut archive = tar::Archive::new(snapshot.as_slice());
    let names: Vec<String> = archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect();
    assert_eq!(names, [".gitignore", "added", "kept"]);
}

#[test]
fn what_is_missing_is_named_with_what_to_do() {
    let temporary = tempfile::tempdir().unwrap();
    let here = temporary.path();
    let plain = git::open(here).unwrap_err();
    assert!(matches!(plain, Error::NotARepository(_)) && plain.hint().unwrap().contains("git init"), "{plain}");
    assert!(matches!(git::open(&here.join("nowhere")), Err(Error::NoFolder(_))));
    let repository = Git::init(here);
    let empty = git::open(here).unwrap_err();
    assert!(matches!(empty, Error::NoCommits(_)) && empty.to_string().ends_with("has no commit yet"), "{empty}");
    repository.write("a", "1");
    let sha = repository.commit("one");
    repository.run(&["checkout", "--quiet", "--detach"]);
    assert_eq!(git::open(here).unwrap().branch, None);
    assert!(matches!(git::tree(here, &sha, "later"), Err(Error::NotInCommit { is_empty: false, .. })));
    std::fs::create_dir(here.join("later")).unwrap();
    assert!(matches!(git::tree(here, &sha, "later"), Err(Error::NotInCommit { is_empty: true, .. })));
    let bare = here.join("bare.git");
    repository.run(&["clone", "--quiet", "--bare", ".", bare.to_str().unwrap()]);
    assert!(matches!(git::open(&bare), Err(Error::Bare(_))));
}

#[test]
fn what_is_checked_out_is_read_without_git_as_git_says_it() {
    let temporary = tempfile::tempdir().unwrap();
    let root = temporary.path().join("repository");
    let repository = Git::init(&root);
    repository.write("shop/app.py", "1");
    repository.commit("one");
    let check = |folder: &std::path::Path| {
        let opened = git::open(folder).unwrap();
        let expected = git::Head { place: opened.place(), sha: opened.sha, branch: opened.branch };
        assert_eq!(git::head(folder).unwrap(), expected, "{}", folder.display());
    };
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new("git").arg("-C").arg(&root).args(arguments).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    check(&root);
    check(&root.join("shop"));
    for tag in 0..20 {
        run(&["tag", &format!("v{tag}")]);
    }
    run(&["pack-refs", "--all"]);
    check(&root.join("shop"));
    run(&["worktree", "add", "--quiet", "-b", "other/branch", "../beside"]);
    check(&temporary.path().join("beside/shop"));
    run(&["checkout", "--quiet", "--detach"]);
    check(&root);
    run(&["symbolic-ref", "HEAD", "refs/heads/unborn"]);
    assert!(matches!(git::head(&root), Err(git::Error::NoCommits(_))));
    assert!(matches!(git::head(temporary.path()), Err(git::Error::NotARepository(_))));
    assert!(matches!(git::head(&root.join("nowhere")), Err(git::Error::NoFolder(_))));
}
