//! How fast the record is: appends one after another, appends that wait together, and the verification of all of it.
//!
//! `append_speed [FACTS] [DIRECTORY]`: how many facts to verify (1,000,000), and where the file is put.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::Timestamp;
use record::{Append, NewFact, Payload, SqliteStore, Store, verify};
use serde_json::json;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let facts_to_verify: u64 = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let directory = PathBuf::from(arguments.next().unwrap_or_else(|| ".".to_string()));
    let path = directory.join(format!("append-speed-{}.db", std::process::id()));
    let measured = measure(&path, facts_to_verify).await;
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.clone().into_os_string();
        name.push(suffix);
        let _ = std::fs::remove_file(name);
    }
    measured
}

async fn measure(path: &PathBuf, facts_to_verify: u64) -> Outcome<()> {
    let store = Arc::new(SqliteStore::open(path)?);
    let mut out = std::io::stdout();

    let (started, mut single) = (Instant::now(), 0);
    while started.elapsed() < Duration::from_secs(2) {
        store.append(vec![facts("single", single, 1)]).await?;
        single += 1;
    }
    let single_rate = single as f64 / started.elapsed().as_secs_f64();
    writeln!(out, "one writer, one fact an append:    {single_rate:>9.0} facts/s, each synced")?;

    let writers = 256;
    let (started, until) = (Instant::now(), Instant::now() + Duration::from_secs(2));
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut seq = 0;
                while Instant::now() < until {
                    store.append(vec![facts(&format!("run-{writer}"), seq, 1)]).await?;
                    seq += 1;
                }
                Ok::<u64, record::AppendError>(seq)
            })
        })
        .collect();
    let mut grouped = 0;
    for task in tasks {
        grouped += task.await??;
    }
    let grouped_rate = grouped as f64 / started.elapsed().as_secs_f64();
    writeln!(
        out,
        "{writers} writers, one fact an append: {grouped_rate:>9.0} facts/s, syncs shared ({:.1} x)",
        grouped_rate / single_rate
    )?;

    let (started, mut seq, mut total) = (Instant::now(), 0, *store.head().borrow());
    while total < facts_to_verify {
        let count = 1_000.min(facts_to_verify - total);
        store.append(vec![facts("bulk", seq, count)]).await?;
        (seq, total) = (seq + count, total + count);
    }
    writeln!(out, "one writer, 1,000 facts an append: {:>9.0} facts/s", seq as f64 / started.elapsed().as_secs_f64())?;

    let started = Instant::now();
    let verified = verify(&*store).await?;
    let size = std::fs::metadata(path)?.len();
    writeln!(out, "verify: {} facts, {} MB, in {:.2} s", verified.facts, size / 1_000_000, started.elapsed().as_secs_f64())?;
    Ok(())
}

fn facts(stream: &str, expected: u64, count: u64) -> Append {
    let payload =
        json!({ "job": "build", "step": 3, "attempt": 1, "conclusion": "success", "digest": "sha256:ba7816bf8f01cfea414140de5dae2223" });
    let fact = |index| NewFact {
        kind: "run.step-finished".to_string(),
        v: 1,
        at: Timestamp::from_ms(1_795_227_177_123 + index as i64),
        payload: Payload::of(&payload),
    };
    Append { stream: stream.to_string(), expected, facts: (0..count).map(fact).collect() }
}
