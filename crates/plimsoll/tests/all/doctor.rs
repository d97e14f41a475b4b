//! `doctor --verify` finds a record in which a promise was broken.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use crate::common::{DEADLINE, Place, until};
use nix::sys::signal::{Signal, kill};
use record::{Append, Fact, NewFact, SqliteStore, Store, ledger};
use release::{EnvironmentEvent, Event};
use rollout::Happened;

/// The record of a place whose server has ended, fact by fact through `change`, with a chain that verifies.
fn rewritten(place: &Place, mut change: impl FnMut(Fact) -> Vec<(String, NewFact)>) {
    let file = place.state().join("record.sqlite");
    let (old, new) = (place.path("old.sqlite"), place.path("new.sqlite"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let facts = SqliteStore::open(&file).unwrap().read(0, usize::MAX).await.unwrap();
        let store = SqliteStore::open(&new).unwrap();
        let mut versions: BTreeMap<String, u64> = BTreeMap::new();
        for (stream, fact) in facts.into_iter().flat_map(&mut change) {
            let version = versions.entry(stream.clone()).or_default();
            store.append(vec![Append { stream, expected: *version, facts: vec![fact] }]).await.unwrap();
            *version += 1;
        }
    });
    for end in ["", "-wal", "-shm"] {
        let named = |path: &std::path::Path| std::path::PathBuf::from(format!("{}{end}", path.display()));
        let _ = std::fs::rename(named(&file), named(&old));
        let _ = std::fs::rename(named(&new), named(&file));
    }
}

#[test]
fn traffic_that_moved_inside_a_freeze_is_found() {
    let place = Place::with_app();
    assert_eq!(place.up(&[]).code, 0);
    assert_eq!(place.say(&["doctor", "--verify"]).code, 0);
    assert_eq!(place.say(&["down"]).code, 0);
    let server = place.server();
    kill(server, Signal::SIGTERM).unwrap();
    until(DEADLINE, || place.find_server().is_none()).unwrap();

    let mut environment = String::new();
    rewritten(&place, |fact| {
        let Fact { stream, kind, v, at, payload, .. } = fact;
        if stream.starts_with("release/") && fact.seq == 1 {
            let plan: release::Plan = serde_json::from_str(payload.text()).unwrap();
            environment = ledger::environment_stream(plan.project.id, &plan.environment);
        }
        let routed = kind == "release.rollout" && {
            let event: Event = serde_json::from_str(payload.text()).unwrap();
            matches!(&event, Event::Rollout { event } if matches!(event.what, Happened::Routed { .. }))
        };
        let frozen = EnvironmentEvent::Frozen { by: "bo".into(), reason: "the sale".into(), until: None, at };
        let before = routed.then(|| (environment.clone(), ledger::environment_fact(&frozen, at)));
        before.into_iter().chain([(stream, NewFact { kind, v, at, payload })]).collect()
    });
    let said = place.say(&["doctor", "--verify"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("✖ I8") && said.out.contains("release-1 moves forward at position"), "{said:?}");
    assert!(said.out.contains("✔ I10") && said.out.contains("✔ I6"), "{said:?}");
}
