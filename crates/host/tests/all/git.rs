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

/// Subjects, newest first, and why they are not all.
fn brought(root: &std::path::Path, subtree: &str, since: Option<&str>, sha: &str) -> (String, Option<String>) {
    let brought = git::brought(root, subtree, since, sha).unwrap();
    (brought.commits.iter().map(|told| told.subject.as_str()).collect::<Vec<_>>().join(", "), brought.unread)
}

#[test]
fn what_a_release_brings_is_what_the_live_one_has_not() {
    let temporary = tempfile::tempdir().unwrap();
    let root = temporary.path();
    let repository = Git::init(root);
    repository.write("shop/a", "1");
    let first = repository.commit("feat: one\n\nBREAKING CHANGE: ü");
    repository.run(&["switch", "--quiet", "--create", "side"]);
    repository.write("mail/a", "1");
    let side = repository.commit("fix: beside");
    repository.run(&["switch", "--quiet", "main"]);
    repository.write("shop/a", "2");
    repository.commit("wip");
    repository.run(&["merge", "--quiet", "--no-ff", "--message", "Merge branch 'side'", "side"]);
    repository.run(&["config", "log.showSignature", "true"]);
    repository.write("shop/a", "3");
    let last = repository.commit("docs: three\n\nof\n\nparagraphs");

    assert_eq!(brought(root, "", None, &first), ("feat: one".to_string(), None));
    let told = &git::brought(root, "", None, &first).unwrap().commits[0];
    assert!(told.breaking && told.author == "Ada" && told.sha == first, "{told:?}");
    let all = git::brought(root, "", Some(&first), &last).unwrap();
    let mut subjects: Vec<(&str, bool, bool)> =
        all.commits.iter().map(|told| (told.subject.as_str(), told.wrong.is_some(), told.by_git.is_some())).collect();
    subjects.sort_unstable();
    let expected =
        [("Merge branch 'side'", false, true), ("docs: three", false, false), ("fix: beside", false, false), ("wip", true, false)];
    assert_eq!((subjects.as_slice(), all.since.as_deref()), (expected.as_slice(), Some(first.as_str())));
    assert_eq!(brought(root, "mail", Some(&first), &last).0, "Merge branch 'side', fix: beside", "what changes other folders is left out");
    assert_eq!(brought(root, "", Some(&last), &last), (String::new(), None));
    let back = brought(root, "", Some(&last), &side);
    assert!(
        back.0 == "fix: beside" && back.1.is_some_and(|why| why.starts_with("what ships does not come after ")),
        "what is taken back is not told"
    );
}

#[test]
fn history_that_is_not_there_is_said() {
    let temporary = tempfile::tempdir().unwrap();
    let (whole, cut) = (temporary.path().join("whole"), temporary.path().join("cut"));
    std::fs::create_dir_all(&whole).unwrap();
    let repository = Git::init(&whole);
    let commits: Vec<String> = ["fix: one", "wip", "fix: three", "fix: four"]
        .map(|message| {
            repository.write("a", message);
            repository.commit(message)
        })
        .into();
    repository.run(&["clone", "--quiet", "--depth", "2", &format!("file://{}", whole.display()), &cut.display().to_string()]);
    let said = "the history here is cut off, and `git fetch --unshallow` gets the rest".to_string();
    assert_eq!(brought(&cut, "", Some(&commits[0]), &commits[3]), ("fix: four".to_string(), Some(said)));
    assert_eq!(brought(&cut, "", Some(&commits[2]), &commits[3]), ("fix: four".to_string(), None), "what lies between is all there");

    let gone = "0123456789abcdef0123456789abcdef01234567";
    let said = "0123456, which is live, is not in this repository".to_string();
    assert_eq!(brought(&whole, "", Some(gone), &commits[3]), ("fix: four".to_string(), Some(said)));
    repository.run(&["switch", "--quiet", "--orphan", "other"]);
    repository.write("b", "1");
    let other = repository.commit("feat: other");
    let said = format!("what ships does not come after {}, which is live", &commits[3][..7]);
    assert_eq!(brought(&whole, "", Some(&commits[3]), &other), ("feat: other".to_string(), Some(said)));
}

#[test]
fn of_a_thousand_commits_and_more_the_newest_are_read() {
    let temporary = tempfile::tempdir().unwrap();
    let repository = Git::init(temporary.path());
    repository.write("a", "1");
    let first = repository.commit("fix: first");
    let mut stream = String::new();
    for at in 1..=1_001 {
        let from = if at == 1 { format!("from {first}\n") } else { String::new() };
        let message = format!("fix: {at}");
        stream +=
            &format!("commit refs/heads/main\ncommitter Ada <ada@example.org> {at} +0000\ndata {}\n{message}\n{from}\n", message.len());
    }
    let file = temporary.path().join("stream");
    std::fs::write(&file, stream).unwrap();
    let mut import = std::process::Command::new("git");
    import.current_dir(temporary.path()).args(["fast-import", "--quiet"]).stdin(std::fs::File::open(file).unwrap());
    assert!(import.status().unwrap().success());
    let last = repository.run(&["rev-parse", "main"]);
    let brought = git::brought(temporary.path(), "", Some(&first), &last).unwrap();
    assert_eq!((brought.commits.len(), brought.commits[0].subject.as_str()), (1_000, "fix: 1001"));
    assert_eq!(brought.unread.as_deref(), Some("there are more than 1000, and the newest are read"));
}
