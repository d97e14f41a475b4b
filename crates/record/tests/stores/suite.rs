//! What every store must do; run over each of them.

use std::future::Future;
use std::sync::Arc;

use base::Timestamp;
use record::{Append, AppendError, Fact, NewFact, Payload, Store, Verified, verify};
use serde_json::{Value, json};

/// Runs the whole suite; `make` gives an empty store each time.
pub async fn conformance<F, Made>(make: F)
where
    F: Fn() -> Made,
    Made: Future<Output = Arc<dyn Store>>,
{
    starts_empty(&*make().await).await;
    keeps_what_it_is_given(&*make().await).await;
    counts_by_stream_and_over_all(&*make().await).await;
    refuses_a_writer_who_has_not_seen_everything(&*make().await).await;
    writes_all_of_a_call_or_nothing(&*make().await).await;
    reads_in_pages(&*make().await).await;
    finds_streams_by_prefix(&*make().await).await;
    tells_followers(&*make().await).await;
    lets_one_of_many_writers_win(make().await).await;
    chains_the_same_facts_to_the_same_hash(&*make().await).await;
}

pub fn fact(kind: &str, payload: Value) -> NewFact {
    NewFact { kind: kind.to_string(), v: 1, at: Timestamp::from_ms(1_795_227_177_123), payload: Payload::of(&payload) }
}

pub fn append(stream: &str, expected: u64, kinds: &[&str]) -> Append {
    let facts = kinds.iter().map(|kind| fact(kind, json!({ "kind": kind }))).collect();
    Append { stream: stream.to_string(), expected, facts }
}

fn brief(facts: &[Fact]) -> Vec<String> {
    facts.iter().map(|fact| format!("{} {}/{} {}", fact.position, fact.stream, fact.seq, fact.kind)).collect()
}

async fn starts_empty(store: &dyn Store) {
    assert_eq!(*store.head().borrow(), 0);
    assert_eq!(store.load("release-1", 0).await.unwrap(), []);
    assert_eq!(store.read(0, 10).await.unwrap(), []);
    assert_eq!(store.streams("").await.unwrap(), []);
    assert_eq!(verify(store).await.unwrap(), Verified { facts: 0 });
}

async fn keeps_what_it_is_given(store: &dyn Store) {
    let payloads = [
        json!({ "z": 1, "a": { "deep": [1, -2, 0.1, 1e-7, 123_456_789.123_456_79, 5e-324, 1.797_693_134_862_315_7e308], "b": null } }),
        json!([u64::MAX, i64::MIN, -0.0, true, "", "ä≠🦀 \u{0} \u{2028} \" \\ /"]),
        json!("just text"),
        json!(null),
        json!({}),
    ];
    let facts: Vec<NewFact> = payloads.iter().map(|payload| fact("test.given", payload.clone())).collect();
    let edge = NewFact { v: u32::MAX, at: Timestamp::from_ms(-1), ..fact("test.edge", json!({ "size": "x".repeat(1 << 20) })) };
    let facts = [facts, vec![edge]].concat();
    let given = Append { stream: "Straße 'x' \"y\"".to_string(), expected: 0, facts: facts.clone() };
    let written = store.append(vec![given]).await.unwrap();
    let loaded = store.load("Straße 'x' \"y\"", 0).await.unwrap();
    assert_eq!(loaded, written);
    assert_eq!(store.read(0, 100).await.unwrap(), written);
    for (fact, given) in loaded.into_iter().zip(facts) {
        let read: Value = fact.payload.read().unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), given.payload.text(), "the text too: order of keys, every digit");
        assert_eq!(NewFact { kind: fact.kind, v: fact.v, at: fact.at, payload: fact.payload }, given);
    }
    assert_eq!(verify(store).await.unwrap(), Verified { facts: 6 });
}

async fn counts_by_stream_and_over_all(store: &dyn Store) {
    let first = store.append(vec![append("run-1", 0, &["a", "b"])]).await.unwrap();
    assert_eq!(brief(&first), ["1 run-1/1 a", "2 run-1/2 b"]);
    let both = store.append(vec![append("run-2", 0, &["c"]), append("run-1", 2, &["d"]), append("run-2", 1, &["e"])]).await.unwrap();
    assert_eq!(brief(&both), ["3 run-2/1 c", "4 run-1/3 d", "5 run-2/2 e"]);
    assert_eq!(brief(&store.load("run-1", 0).await.unwrap()), ["1 run-1/1 a", "2 run-1/2 b", "4 run-1/3 d"]);
    assert_eq!(brief(&store.load("run-1", 2).await.unwrap()), ["4 run-1/3 d"]);
    assert_eq!(store.load("run-1", 3).await.unwrap(), []);
    assert_eq!(store.load("run-1", u64::MAX).await.unwrap(), []);
    assert_eq!(*store.head().borrow(), 5);
}

async fn refuses_a_writer_who_has_not_seen_everything(store: &dyn Store) {
    store.append(vec![append("run-1", 0, &["a", "b"])]).await.unwrap();
    for expected in [0, 1, 3, u64::MAX] {
        match store.append(vec![append("run-1", expected, &["late"])]).await {
            Err(AppendError::Conflict { stream, expected: said, actual }) => assert_eq!((&*stream, said, actual), ("run-1", expected, 2)),
            other => panic!("expected {expected}: {other:?}"),
        }
    }
    assert!(matches!(store.append(vec![append("new", 1, &["a"])]).await, Err(AppendError::Conflict { actual: 0, .. })));
    assert_eq!(store.append(vec![append("run-1", 2, &[])]).await.unwrap(), [], "an empty append insists and writes nothing");
    assert!(matches!(store.append(vec![append("run-1", 1, &[])]).await, Err(AppendError::Conflict { actual: 2, .. })));
    assert_eq!(store.append(vec![]).await.unwrap(), []);
    assert_eq!(*store.head().borrow(), 2);
    assert_eq!(store.streams("").await.unwrap(), [("run-1".to_string(), 2)]);
}

async fn writes_all_of_a_call_or_nothing(store: &dyn Store) {
    store.append(vec![append("a", 0, &["one"])]).await.unwrap();
    let calls = [
        vec![append("b", 0, &["x"]), append("a", 0, &["y"])],
        vec![append("a", 1, &["x"]), append("b", 7, &["y"])],
        vec![append("b", 0, &["x"]), append("b", 0, &["y"])],
    ];
    for call in calls {
        assert!(matches!(store.append(call).await, Err(AppendError::Conflict { .. })));
    }
    assert_eq!(brief(&store.read(0, 100).await.unwrap()), ["1 a/1 one"]);
    let next = store.append(vec![append("b", 0, &["x"]), append("a", 1, &["y"])]).await.unwrap();
    assert_eq!(brief(&next), ["2 b/1 x", "3 a/2 y"], "a refused call leaves no gap");
    assert_eq!(verify(store).await.unwrap(), Verified { facts: 3 });
}

async fn reads_in_pages(store: &dyn Store) {
    for seq in 0..7 {
        store.append(vec![append(if seq % 2 == 0 { "even" } else { "odd" }, seq / 2, &["tick"])]).await.unwrap();
    }
    let positions = async |after, limit| store.read(after, limit).await.unwrap().iter().map(|fact| fact.position).collect::<Vec<_>>();
    assert_eq!(positions(0, 3).await, [1, 2, 3]);
    assert_eq!(positions(3, 3).await, [4, 5, 6]);
    assert_eq!(positions(6, 3).await, [7]);
    assert_eq!(positions(7, 3).await, [0u64; 0]);
    assert_eq!(positions(u64::MAX, 3).await, [0u64; 0]);
    assert_eq!(positions(0, 0).await, [0u64; 0]);
    assert_eq!(positions(5, usize::MAX).await, [6, 7]);
    let stored = store.read_stored(2, 2).await.unwrap();
    let facts: Vec<Fact> = stored.into_iter().map(|stored| stored.into_fact().unwrap()).collect();
    assert_eq!(facts, store.read(2, 2).await.unwrap());
}

async fn finds_streams_by_prefix(store: &dyn Store) {
    for stream in ["run-1", "run-10", "run-2", "rum", "RUN-3", "release-1", "run%", "run_x", "räu", ""] {
        store.append(vec![append(stream, 0, &["a"])]).await.unwrap();
    }
    store.append(vec![append("run-10", 1, &["b", "c"])]).await.unwrap();
    let names =
        async |prefix| store.streams(prefix).await.unwrap().into_iter().map(|(name, seq)| format!("{name}={seq}")).collect::<Vec<_>>();
    assert_eq!(names("run-").await, ["run-1=1", "run-10=3", "run-2=1"]);
    assert_eq!(names("run-10").await, ["run-10=3"]);
    assert_eq!(names("run%").await, ["run%=1"]);
    assert_eq!(names("run_").await, ["run_x=1"]);
    assert_eq!(names("rä").await, ["räu=1"]);
    assert_eq!(names("zzz").await, [""; 0]);
    assert_eq!(names("").await, ["=1", "RUN-3=1", "release-1=1", "rum=1", "run%=1", "run-1=1", "run-10=3", "run-2=1", "run_x=1", "räu=1"]);
}

async fn tells_followers(store: &dyn Store) {
    let mut head = store.head();
    let follower = async {
        let mut seen = Vec::new();
        let mut after = 0;
        while after < 3 {
            head.wait_for(|position| *position > after).await.unwrap();
            for fact in store.read(after, 100).await.unwrap() {
                after = fact.position;
                seen.push(fact.kind);
            }
        }
        seen
    };
    let writer = async {
        store.append(vec![append("s", 0, &["one"])]).await.unwrap();
        store.append(vec![append("s", 1, &["two", "three"])]).await.unwrap();
    };
    let (seen, ()) = tokio::join!(follower, writer);
    assert_eq!(seen, ["one", "two", "three"]);
}

/// Eight tasks write to one stream, each trying again when another was first, and each to a stream of its own.
async fn lets_one_of_many_writers_win(store: Arc<dyn Store>) {
    const WRITERS: u64 = 8;
    const EACH: u64 = 25;
    let mut tasks = Vec::new();
    for writer in 0..WRITERS {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            let mut seen = 0;
            for count in 0..EACH {
                loop {
                    let call = vec![append("shared", seen, &["mine"]), append(&format!("own-{writer}"), count, &["own"])];
                    match store.append(call).await {
                        Ok(written) => break seen = written[0].seq,
                        Err(AppendError::Conflict { stream, actual, .. }) if stream == "shared" => seen = actual,
                        Err(other) => panic!("{other:?}"),
                    }
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let total = WRITERS * EACH;
    let seqs: Vec<u64> = store.load("shared", 0).await.unwrap().iter().map(|fact| fact.seq).collect();
    assert_eq!(seqs, (1..=total).collect::<Vec<_>>());
    assert!(store.streams("own-").await.unwrap().iter().all(|(_, seq)| *seq == EACH));
    assert_eq!(*store.head().borrow(), 2 * total);
    assert_eq!(verify(&*store).await.unwrap(), Verified { facts: 2 * total });
}

/// The value is written down: a chain that comes out differently would call every record of yesterday broken.
async fn chains_the_same_facts_to_the_same_hash(store: &dyn Store) {
    store.append(vec![append("release-7", 0, &["release.opened"]), append("run-42", 0, &["run.started"])]).await.unwrap();
    let last = store.append(vec![append("release-7", 1, &["release.run-started"])]).await.unwrap();
    assert_eq!(last[0].hash.to_string(), "sha256:7756ff6f1ab567cf1c558b568ea2ca61f05334dc6aeeb2a3e88f168a0d4daaf8");
}
