//! What only a file can suffer: restarts, other processes, damage, a full disk.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use record::{AppendError, OpenError, SqliteStore, Store, Verified, VerifyError, verify};
use rusqlite::Connection;

use crate::suite::append;

#[tokio::test]
async fn everything_is_there_after_opening_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("record.db");
    let store = SqliteStore::open(&path).unwrap();
    let written = store.append(vec![append("a", 0, &["one", "two"])]).await.unwrap();
    drop(store);
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(*store.head().borrow(), 2);
    assert_eq!(store.load("a", 0).await.unwrap(), written);
    assert!(matches!(store.append(vec![append("a", 0, &["x"])]).await, Err(AppendError::Conflict { actual: 2, .. })));
    store.append(vec![append("a", 2, &["three"])]).await.unwrap();
    assert_eq!(verify(&store).await.unwrap(), Verified { facts: 3 });
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o077, 0, "nobody but its owner reads a record");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stores_on_one_file_do_not_overwrite_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("record.db");
    let mut tasks = Vec::new();
    for _ in 0..2 {
        let store = SqliteStore::open(&path).unwrap();
        tasks.push(tokio::spawn(async move {
            let (mut seen, mut written) = (0, 0);
            while written < 100 {
                match store.append(vec![append("shared", seen, &["mine"])]).await {
                    Ok(facts) => (seen, written) = (facts[0].seq, written + 1),
                    Err(AppendError::Conflict { actual, .. }) => seen = actual,
                    Err(other) => panic!("{other:?}"),
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(verify(&store).await.unwrap(), Verified { facts: 200 });
    assert_eq!(store.streams("").await.unwrap(), [("shared".to_string(), 200)]);
}

const CHILD_PATH: &str = "RECORD_TEST_CHILD_PATH";

/// Another process appends and says what was accepted; it is killed in the middle of it, again and again.
#[tokio::test]
async fn what_was_accepted_survives_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("record.db");
    let mut accepted = 0;
    for round in 0..5 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sqlite::child_that_appends_until_killed", "--nocapture"])
            .env(CHILD_PATH, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut positions = lines.filter_map(|line| line.strip_prefix("accepted ")?.parse::<u64>().ok());
        accepted = positions.by_ref().nth(20 + 13 * round).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        accepted = positions.last().unwrap_or(accepted);
        let store = SqliteStore::open(&path).unwrap();
        let Verified { facts } = verify(&store).await.unwrap();
        assert!(facts >= accepted, "{facts} of {accepted} accepted facts are left");
    }
    assert!(accepted > 100);
}

/// Does nothing unless it is the child of the test above.
#[tokio::test]
async fn child_that_appends_until_killed() {
    let Ok(path) = std::env::var(CHILD_PATH) else { return };
    let store = SqliteStore::open(path).unwrap();
    let mut seq = store.load("s", 0).await.unwrap().len() as u64;
    loop {
        let written = store.append(vec![append("s", seq, &["one", "two"])]).await.unwrap();
        seq = written[1].seq;
        use std::io::Write;
        writeln!(std::io::stdout(), "accepted {}", written[1].position).unwrap();
    }
}

/// Damages a sound record of six facts with SQL and says where verification finds it.
async fn check_damage(sql: &str, expected: &str) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("record.db");
    let store = SqliteStore::open(&path).unwrap();
    for seq in 0..3 {
        store.append(vec![append("a", seq, &["x"]), append("b", seq, &["y"])]).await.unwrap();
    }
    assert_eq!(verify(&store).await.unwrap(), Verified { facts: 6 });
    drop(store);
    let connection = Connection::open(&path).unwrap();
    let refused = connection.execute_batch(sql).unwrap_err().to_string();
    assert!(refused.contains("a fact is never"), "{sql}: {refused}");
    connection.execute_batch("DROP TRIGGER facts_stay; DROP TRIGGER facts_hold;").unwrap();
    connection.execute_batch(sql).unwrap();
    drop(connection);
    let store = SqliteStore::open(&path).unwrap();
    match verify(&store).await {
        Err(VerifyError::Broken { position, why }) => assert_eq!(format!("{position}: {why}"), expected, "{sql}"),
        other => panic!("{sql}: {other:?}"),
    }
}

#[tokio::test]
async fn changed_removed_and_moved_facts_are_found() {
    let changed = |place: &str| format!("{place}: its content or the fact before it was changed");
    let swap = "UPDATE facts SET position = -3 WHERE position = 3; UPDATE facts SET position = 3 WHERE position = 4; UPDATE facts SET position = 4 WHERE position = -3;";
    for (sql, expected) in [
        ("UPDATE facts SET payload = '{\"kind\":\"z\"}' WHERE position = 3", changed("3") + " (`x`, a 2)"),
        ("UPDATE facts SET payload = '{\"kind\": \"x\"}' WHERE position = 3", changed("3") + " (`x`, a 2)"),
        ("UPDATE facts SET at = at + 1 WHERE position = 1", changed("1") + " (`x`, a 1)"),
        ("UPDATE facts SET kind = 'z' WHERE position = 6", changed("6") + " (`z`, b 3)"),
        ("UPDATE facts SET v = 2 WHERE position = 2", changed("2") + " (`y`, b 1)"),
        ("UPDATE facts SET stream = 'c' WHERE position = 2", changed("2") + " (`y`, c 1)"),
        ("UPDATE facts SET seq = 9 WHERE position = 5", changed("5") + " (`x`, a 9)"),
        ("UPDATE facts SET hash = zeroblob(32) WHERE position = 4", changed("4") + " (`y`, b 2)"),
        ("DELETE FROM facts WHERE position = 1", "1: it is missing; the next one there is 2".to_string()),
        ("DELETE FROM facts WHERE position = 4", "4: it is missing; the next one there is 5".to_string()),
        ("DELETE FROM facts WHERE position >= 5", "5: this fact and all behind it are missing; 6 facts were written".to_string()),
        ("DELETE FROM facts", "1: this fact and all behind it are missing; 6 facts were written".to_string()),
        ("DELETE FROM facts WHERE position = 4; UPDATE facts SET position = position - 1 WHERE position > 4", changed("4") + " (`x`, a 3)"),
        (swap, changed("3") + " (`y`, b 2)"),
    ] {
        check_damage(sql, &expected).await;
    }
}

#[tokio::test]
async fn a_payload_that_is_no_json_is_told_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("record.db");
    let store = SqliteStore::open(&path).unwrap();
    store.append(vec![append("a", 0, &["x", "y"])]).await.unwrap();
    Connection::open(&path).unwrap().execute_batch("DROP TRIGGER facts_hold; UPDATE facts SET payload = '{' WHERE position = 2").unwrap();
    let error = store.load("a", 0).await.unwrap_err();
    assert_eq!(error.to_string(), "fact 2 cannot be read; `plimsoll doctor --verify` says how far the record is sound");
    assert_eq!(store.read(0, 1).await.unwrap().len(), 1, "what is before it can be read");
}

#[tokio::test]
async fn a_full_disk_refuses_the_append_and_harms_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("record.db");
    let store = SqliteStore::open_limited(&path, 200_000).unwrap();
    let large = |seq| {
        let mut append = append("a", seq, &["large"]);
        append.facts[0].payload = record::Payload::of(&"x".repeat(10_000));
        vec![append]
    };
    let mut written = 0;
    let refused = loop {
        match store.append(large(written)).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, AppendError::Full), "{refused:?}");
    assert!(written > 5);
    assert_eq!(verify(&store).await.unwrap(), Verified { facts: written });
    drop(store);
    let store = SqliteStore::open(&path).unwrap();
    store.append(large(written)).await.unwrap();
    assert_eq!(verify(&store).await.unwrap(), Verified { facts: written + 1 });
}

#[test]
fn what_cannot_be_opened_says_what_where_and_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("notes.txt");
    std::fs::write(&text, "dear diary, this is a file of mine, and longer than a database's header is, by far and away.".repeat(9))
        .unwrap();
    let foreign = directory.path().join("foreign.db");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    let newer = directory.path().join("newer.db");
    drop(SqliteStore::open(&newer).unwrap());
    Connection::open(&newer).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    let damaged = directory.path().join("damaged.db");
    drop(SqliteStore::open(&damaged).unwrap());
    let mut bytes = std::fs::read(&damaged).unwrap();
    bytes[100..].fill(0xA5);
    std::fs::write(&damaged, &bytes).unwrap();

    type Is = fn(&OpenError) -> bool;
    let cases: [(&Path, Is, &str); 7] = [
        (
            &directory.path().join("no/such/place.db"),
            |error| matches!(error, OpenError::NotWritable { .. }),
            "its directory must exist and be writable",
        ),
        (Path::new("/proc/self/record.db"), |error| matches!(error, OpenError::NotWritable { .. }), "choose another state directory"),
        (&text.join("under-a-file.db"), |error| matches!(error, OpenError::NotWritable { .. }), "its directory must exist and be writable"),
        (&text, |error| matches!(error, OpenError::NotARecord { .. }), "is not a record of Plimsoll; nothing in it was changed"),
        (&foreign, |error| matches!(error, OpenError::NotARecord { .. }), "is not a record of Plimsoll; nothing in it was changed"),
        (
            &newer,
            |error| matches!(error, OpenError::Newer { found: 99, .. }),
            "was written by a newer Plimsoll (layout 99; this one knows 1)",
        ),
        (&damaged, |error| matches!(error, OpenError::Damaged { .. }), "is damaged; nothing in it was changed"),
    ];
    for (path, is_kind, says) in cases {
        let before = std::fs::read(path).ok();
        let error = SqliteStore::open(path).unwrap_err();
        assert!(is_kind(&error), "{}: {error:?}", path.display());
        let text = error.to_string();
        assert!(text.contains(says) && text.contains(&*path.to_string_lossy()), "{text}");
        assert!(std::fs::read(path).ok() == before, "{} was changed", path.display());
    }
}
