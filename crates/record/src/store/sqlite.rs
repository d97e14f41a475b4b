//! The record in one SQLite file: write-ahead log, every append synced, one writer, readers beside it.

mod open;
mod writer;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use base::{Digest, Timestamp};
use rusqlite::{Connection, Row, params};
use tokio::sync::watch;

use super::{AppendError, Store, StoreError};
use crate::fact::{Append, Fact, StoredFact};

pub use open::OpenError;
use writer::Writer;

/// A record in a file. Several processes may have the same file open.
pub struct SqliteStore {
    readers: Arc<Readers>,
    writer: Writer,
    head: watch::Receiver<u64>,
}

impl SqliteStore {
    /// Opens the record at `path`, creates it when there is none, and brings an older one up to date.
    pub fn open(path: impl AsRef<Path>) -> Result<SqliteStore, OpenError> {
        SqliteStore::open_limited(path, u64::MAX)
    }

    /// As [`SqliteStore::open`], with a file that never outgrows `bytes_max`: behind that the disk counts as full.
    pub fn open_limited(path: impl AsRef<Path>, bytes_max: u64) -> Result<SqliteStore, OpenError> {
        let path = path.as_ref();
        let connection = open::writer(path, bytes_max)?;
        let position = writer::tip(&connection).map_err(|source| OpenError::of(path, source))?.position;
        let (sender, head) = watch::channel(position);
        let writer = Writer::start(connection, sender).map_err(|source| OpenError::Thread { source })?;
        Ok(SqliteStore { readers: Arc::new(Readers { path: path.to_path_buf(), idle: Mutex::default() }), writer, head })
    }

    async fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let readers = self.readers.clone();
        let answer = tokio::task::spawn_blocking(move || readers.with(query)).await;
        answer.unwrap_or_else(|cause| Err(StoreError::Failed { source: Arc::new(cause) }))
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn load(&self, stream: &str, after_seq: u64) -> Result<Vec<Fact>, StoreError> {
        let stream = stream.to_string();
        self.query(move |connection| {
            let sql = "SELECT position, stream, seq, kind, v, at, payload, hash FROM facts WHERE stream = ?1 AND seq > ?2 ORDER BY seq";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map(params![stream, signed(after_seq)], stored_fact)?;
            rows.map(|row| readable(row?)).collect()
        })
        .await
    }

    async fn append(&self, appends: Vec<Append>) -> Result<Vec<Fact>, AppendError> {
        self.writer.append(appends).await
    }

    async fn read(&self, after_position: u64, limit: usize) -> Result<Vec<Fact>, StoreError> {
        self.query(move |connection| stored_facts(connection, after_position, limit)?.into_iter().map(readable).collect()).await
    }

    async fn read_stored(&self, after_position: u64, limit: usize) -> Result<Vec<StoredFact>, StoreError> {
        self.query(move |connection| stored_facts(connection, after_position, limit)).await
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<(String, u64)>, StoreError> {
        // From one name to the next by the index, so that the cost is that of the streams found, not of their facts.
        const SQL: &str = "
            WITH RECURSIVE found (stream) AS (
                SELECT min(stream) FROM facts WHERE stream >= ?1
                UNION ALL
                SELECT (SELECT min(stream) FROM facts WHERE facts.stream > found.stream)
                FROM found WHERE substr(found.stream, 1, length(?1)) = ?1
            )
            SELECT stream, (SELECT max(seq) FROM facts WHERE facts.stream = found.stream)
            FROM found WHERE substr(stream, 1, length(?1)) = ?1";
        let prefix = prefix.to_string();
        self.query(move |connection| {
            let mut statement = connection.prepare_cached(SQL)?;
            let rows = statement.query_map([prefix], |row| Ok((row.get(0)?, unsigned(row.get(1)?))))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    fn head(&self) -> watch::Receiver<u64> {
        self.head.clone()
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SqliteStore({}, head {})", self.readers.path.display(), *self.head.borrow())
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(source: rusqlite::Error) -> StoreError {
        StoreError::Failed { source: Arc::new(source) }
    }
}

/// Connections that only read; as many as there were reads at the same time.
struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    fn with<T>(&self, query: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        // A statement apart, so that the lock is not held while a connection is opened.
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open::reader(&self.path)?,
        };
        let answer = query(&connection);
        self.idle().push(connection);
        answer
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stored_facts(connection: &Connection, after_position: u64, limit: usize) -> Result<Vec<StoredFact>, StoreError> {
    let sql = "SELECT position, stream, seq, kind, v, at, payload, hash FROM facts WHERE position > ?1 ORDER BY position LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![signed(after_position), signed(limit as u64)], stored_fact)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn stored_fact(row: &Row<'_>) -> rusqlite::Result<StoredFact> {
    Ok(StoredFact {
        position: unsigned(row.get(0)?),
        stream: row.get(1)?,
        seq: unsigned(row.get(2)?),
        kind: row.get(3)?,
        v: row.get(4)?,
        at: Timestamp::from_ms(row.get(5)?),
        payload: row.get_ref(6)?.as_bytes()?.to_vec(),
        hash: Digest::from_bytes(row.get(7)?),
    })
}

fn readable(stored: StoredFact) -> Result<Fact, StoreError> {
    let position = stored.position;
    stored.into_fact().map_err(|cause| StoreError::Corrupt { position, source: Arc::new(cause) })
}

/// SQLite's integers are signed; a number beyond them stands for "more than there will ever be".
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Every number of ours that is stored counts from one; a negative one can only come from a damaged file, and then nothing fits it.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
