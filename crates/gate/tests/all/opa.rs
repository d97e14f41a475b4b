//! We say of every policy that ships what the real `opa` says: its answers are kept, and asked for again by `e2e/policy/against-opa.sh`.

use crate::shipped;
use serde_json::Value;

#[test]
fn opa_says_the_same_of_every_policy_that_ships() {
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(shipped::kept()).expect("the answers")).expect("JSON");
    let documents = shipped::documents();
    let policies = shipped::policies();
    assert_eq!(kept.as_object().expect("an object").len(), policies.len(), "e2e/policy/against-opa.sh --write asks opa about a new one");
    for policy in policies {
        let ours = shipped::ours(&policy, &documents);
        let digests = shipped::digests(&ours);
        let differ = digests.as_array().into_iter().flatten().zip(kept[&policy.package].as_array().into_iter().flatten());
        let differ: Vec<usize> = differ.enumerate().filter(|(_, (ours, opa))| ours != opa).map(|(at, _)| at).collect();
        let first = differ.first().map(|at| format!("{}\n{}", documents[*at], ours[*at])).unwrap_or_default();
        assert!(differ.is_empty(), "{}: {} answers are not those of opa: {first}", policy.package, differ.len());
        assert_eq!(
            kept[&policy.package].as_array().expect("a list").len(),
            documents.len(),
            "{}: as many answers as questions",
            policy.package
        );
    }
}
