//! What the real cosign (v2.6.5) has signed with a key of its own is verified here; `e2e/attest/against-cosign.sh` asks it again, and the
//! other way round.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use base::Digest;
use gate::attest::{Expected, PROVENANCE, PublicKey, Signed, verify};

fn file(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/attest/cosign").join(name)).unwrap()
}

fn holds(content: &[u8], signed: &str, expected: &Expected) -> bool {
    let key = PublicKey::from_pem(&String::from_utf8(file("cosign.pub")).unwrap()).unwrap();
    verify(&Digest::of(content), &Signed::read(&file(signed)).unwrap(), &key, expected).holds()
}

#[test]
fn what_cosign_signed_is_verified_in_every_form_in_which_it_writes_it() {
    let expected = Expected {
        predicate_type: PROVENANCE.to_string(),
        builder_id: "b".to_string(),
        build_type: "t".to_string(),
        known: Vec::new(),
        parameters: BTreeMap::from([("a".to_string(), Some("b".to_string()))]),
    };
    for signed in ["hello.sig", "hello.sigstore.json", "provenance.dsse.json", "provenance.sigstore.json"] {
        assert!(holds(&file("hello.txt"), signed, &expected), "{signed}");
        assert!(!holds(b"jello\n", signed, &expected), "{signed}");
    }
    for signed in ["provenance.dsse.json", "provenance.sigstore.json"] {
        let unexpected = Expected { parameters: BTreeMap::new(), ..expected.clone() };
        assert!(!holds(&file("hello.txt"), signed, &unexpected), "{signed}");
    }
}
