use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use base::Digest;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior, params};
use tokio::sync::{mpsc, oneshot, watch};

use super::{signed, unsigned};
use crate::chain;
use crate::fact::{Append, Fact, NewFact};
use crate::store::AppendError;

/// The one thread that writes. What waits while a commit is synced goes into the next commit together.
pub(super) struct Writer {
    requests: Option<mpsc::UnboundedSender<Request>>,
    thread: Option<JoinHandle<()>>,
}

struct Request {
    appends: Vec<Append>,
    reply: oneshot::Sender<Answer>,
}

type Answer = Result<Vec<Fact>, AppendError>;

impl Writer {
    pub(super) fn start(connection: Connection, head: watch::Sender<u64>) -> io::Result<Writer> {
        let (requests, receiver) = mpsc::unbounded_channel();
        let thread = thread::Builder::new().name("record".to_string()).spawn(move || write(connection, receiver, &head))?;
        Ok(Writer { requests: Some(requests), thread: Some(thread) })
    }

    pub(super) async fn append(&self, appends: Vec<Append>) -> Answer {
        let gone = || AppendError::Failed { source: Arc::new(io::Error::other("the thread that writes the record has died")) };
        let (reply, answer) = oneshot::channel();
        let requests = self.requests.as_ref().ok_or_else(gone)?;
        requests.send(Request { appends, reply }).map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }
}

/// Waits until what was asked for is written and the file is closed, so that it can be opened, moved or removed right after.
impl Drop for Writer {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn write(mut connection: Connection, mut requests: mpsc::UnboundedReceiver<Request>, head: &watch::Sender<u64>) {
    /// Enough to share a sync among all who wait; few enough that none of them waits long for the others' rows.
    const REQUESTS_PER_COMMIT: usize = 512;
    while let Some(first) = requests.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < REQUESTS_PER_COMMIT
            && let Ok(next) = requests.try_recv()
        {
            batch.push(next);
        }
        let (batch, replies): (Vec<_>, Vec<_>) = batch.into_iter().map(|request| (request.appends, request.reply)).unzip();
        let answers = match commit(&mut connection, batch) {
            Ok((answers, position)) => {
                head.send_if_modified(|last| {
                    position > *last && {
                        *last = position;
                        true
                    }
                });
                answers
            }
            Err(cause) => vec![Err(append_error(cause)); replies.len()],
        };
        for (reply, answer) in replies.into_iter().zip(answers) {
            // Whoever dropped the future does not want to know.
            let _ = reply.send(answer);
        }
    }
}

fn append_error(cause: rusqlite::Error) -> AppendError {
    match cause.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => AppendError::Full,
        _ => AppendError::Failed { source: Arc::new(cause) },
    }
}

/// One transaction for the whole batch. A request that finds its stream elsewhere is refused alone; the others are not touched by it.
fn commit(connection: &mut Connection, batch: Vec<Vec<Append>>) -> rusqlite::Result<(Vec<Answer>, u64)> {
    // Immediate: from here on no other process writes, so what is checked stays true until the commit.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut tip = tip(&transaction)?;
    let before = tip.position;
    let mut answers = Vec::with_capacity(batch.len());
    for appends in batch {
        let seqs = match check(&transaction, &appends)? {
            Ok(seqs) => seqs,
            Err(conflict) => {
                answers.push(Err(conflict));
                continue;
            }
        };
        answers.push(Ok(insert(&transaction, &mut tip, appends, seqs)?));
    }
    if tip.position > before {
        let mut statement = transaction.prepare_cached("UPDATE tip SET position = ?1, hash = ?2")?;
        statement.execute(params![signed(tip.position), tip.hash.as_bytes()])?;
        drop(statement);
        transaction.commit()?;
    }
    Ok((answers, tip.position))
}

/// The last fact of all.
pub(super) struct Tip {
    pub(super) position: u64,
    pub(super) hash: Digest,
}

pub(super) fn tip(connection: &Connection) -> rusqlite::Result<Tip> {
    let mut statement = connection.prepare_cached("SELECT position, hash FROM tip")?;
    statement.query_row([], |row| Ok(Tip { position: unsigned(row.get(0)?), hash: Digest::from_bytes(row.get(1)?) }))
}

/// Where each stream stands, if all stand where the writer believes.
fn check(transaction: &Transaction<'_>, appends: &[Append]) -> rusqlite::Result<Result<BTreeMap<String, u64>, AppendError>> {
    let mut statement = transaction.prepare_cached("SELECT coalesce(max(seq), 0) FROM facts WHERE stream = ?1")?;
    let mut starts = BTreeMap::new();
    let mut seqs: BTreeMap<&str, u64> = BTreeMap::new();
    for Append { stream, expected, facts } in appends {
        let seq = match seqs.get_mut(stream.as_str()) {
            Some(seq) => seq,
            None => {
                let seq = unsigned(statement.query_row([stream], |row| row.get(0))?);
                starts.insert(stream.clone(), seq);
                seqs.entry(stream).or_insert(seq)
            }
        };
        if *seq != *expected {
            return Ok(Err(AppendError::Conflict { stream: stream.clone(), expected: *expected, actual: *seq }));
        }
        *seq += facts.len() as u64;
    }
    Ok(Ok(starts))
}

fn insert(
    transaction: &Transaction<'_>,
    tip: &mut Tip,
    appends: Vec<Append>,
    mut seqs: BTreeMap<String, u64>,
) -> rusqlite::Result<Vec<Fact>> {
    let sql = "INSERT INTO facts (position, stream, seq, kind, v, at, payload, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let mut statement = transaction.prepare_cached(sql)?;
    let mut written = Vec::new();
    for Append { stream, facts, .. } in appends {
        let seq = seqs.get_mut(&stream).expect("the check has looked at every stream");
        for NewFact { kind, v, at, payload } in facts {
            *seq += 1;
            let (position, stream) = (tip.position + 1, stream.clone());
            let (text, at_ms) = (payload.text(), at.as_ms());
            let hash = chain::link_fields(tip.hash, (position, &stream, *seq), (&kind, v, at), text.as_bytes());
            statement.execute(params![signed(position), stream, signed(*seq), kind, v, at_ms, text, hash.as_bytes()])?;
            (tip.position, tip.hash) = (position, hash);
            written.push(Fact { position, stream, seq: *seq, kind, v, at, payload, hash });
        }
    }
    Ok(written)
}
