use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

/// Why a record could not be opened, where, and what helps.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot write the record `{}`: its directory must exist and be writable; mend that, or choose another state directory", path.display())]
    NotWritable { path: PathBuf, source: rusqlite::Error },
    #[error("cannot open the record `{}`: the disk is full; free some space and try again", path.display())]
    Full { path: PathBuf, source: rusqlite::Error },
    #[error("`{}` is not a record of Plimsoll; nothing in it was changed; move it away, or choose another state directory", path.display())]
    NotARecord { path: PathBuf },
    #[error("the record `{}` is damaged; nothing in it was changed; restore the last copy of it", path.display())]
    Damaged { path: PathBuf, source: rusqlite::Error },
    #[error("the record `{}` was written by a newer Plimsoll (layout {found}; this one knows {known}): use that one", path.display())]
    Newer { path: PathBuf, found: i64, known: i64 },
    #[error("another process has held the record `{}` locked for {} s; end it and try again", path.display(), BUSY_MAX.as_secs())]
    Locked { path: PathBuf, source: rusqlite::Error },
    #[error("failed to open the record `{}`", path.display())]
    Failed { path: PathBuf, source: rusqlite::Error },
    #[error("failed to start the thread that writes the record")]
    Thread { source: io::Error },
}

impl OpenError {
    pub(super) fn of(path: &Path, source: rusqlite::Error) -> OpenError {
        let path = path.to_path_buf();
        match source.sqlite_error_code() {
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => OpenError::NotWritable { path, source },
            Some(ErrorCode::DiskFull) => OpenError::Full { path, source },
            Some(ErrorCode::NotADatabase) => OpenError::NotARecord { path },
            Some(ErrorCode::DatabaseCorrupt) => OpenError::Damaged { path, source },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::Locked { path, source },
            _ => OpenError::Failed { path, source },
        }
    }
}

/// `Plim`: tells a record from other people's SQLite files.
const APPLICATION_ID: i64 = 0x506C_696D;

/// How long one process waits for another one's transaction, which takes milliseconds unless something hangs.
const BUSY_MAX: Duration = Duration::from_secs(10);

/// What each layout adds to the one before. A step that was once released is never changed.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE facts (
        position INTEGER PRIMARY KEY,
        stream TEXT NOT NULL,
        seq INTEGER NOT NULL,
        kind TEXT NOT NULL,
        v INTEGER NOT NULL,
        at INTEGER NOT NULL,
        payload TEXT NOT NULL,
        hash BLOB NOT NULL,
        UNIQUE (stream, seq)
    ) STRICT;
    CREATE TRIGGER facts_stay BEFORE DELETE ON facts BEGIN SELECT raise(ABORT, 'a fact is never removed'); END;
    CREATE TRIGGER facts_hold BEFORE UPDATE ON facts BEGIN SELECT raise(ABORT, 'a fact is never changed'); END;
    CREATE TABLE tip (only INTEGER PRIMARY KEY CHECK (only = 1), position INTEGER NOT NULL, hash BLOB NOT NULL) STRICT;
    INSERT INTO tip VALUES (1, 0, zeroblob(32));
"];

pub(super) fn writer(path: &Path, bytes_max: u64) -> Result<Connection, OpenError> {
    let failed = |source| OpenError::of(path, source);
    keep_private(path);
    let mut connection = Connection::open(path).map_err(failed)?;
    connection.busy_timeout(BUSY_MAX).map_err(failed)?;
    refuse_what_is_not_ours(&connection, path)?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(32);
    if bytes_max < u64::MAX {
        let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0)).map_err(failed)?;
        let pages_max = super::signed(bytes_max) / page;
        connection.pragma_update_and_check(None, "max_page_count", pages_max, |_| Ok(())).map_err(failed)?;
    }
    migrate(&mut connection).map_err(failed)?;
    Ok(connection)
}

pub(super) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_MAX)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Runs every migration the file has not seen; two processes that open a new file at the same time take turns.
fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for (from, migration) in MIGRATIONS.iter().enumerate().skip(usize::try_from(version).unwrap_or(usize::MAX)) {
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", from as i64 + 1)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    transaction.commit()
}

fn refuse_what_is_not_ours(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::of(path, source);
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0)).map_err(failed);
    let known = MIGRATIONS.len() as i64;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    match (number("application_id")?, number("user_version")?) {
        (APPLICATION_ID, found) if found > known => Err(OpenError::Newer { path: path.to_path_buf(), found, known }),
        (APPLICATION_ID, _) => Ok(()),
        _ if tables == 0 => Ok(()),
        _ => Err(OpenError::NotARecord { path: path.to_path_buf() }),
    }
}

/// A new file is its owner's alone: facts name people, hosts and branches. Opening reports what goes wrong here.
fn keep_private(path: &Path) {
    use std::os::unix::fs::OpenOptionsExt;
    let _ = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
}
