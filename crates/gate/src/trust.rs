//! Whose signatures count: what the runs left under one is looked at with the keys that the project trusts.

use base::Timestamp;
use serde::{Deserialize, Serialize};

use crate::attest::{PROVENANCE, PublicKey};
use crate::evidence::{About, Attestation, SourceRef};

/// A key that is trusted, and how far: the root of trust of SLSA's verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedKey {
    /// As people know it.
    pub name: String,
    /// In PEM.
    pub key: String,
    /// Only of what says to be built there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builder: Option<String>,
    /// The build level of SLSA that is believed of it at most.
    pub level: u8,
    /// What is looked at later is not believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// What somebody says of files, and whether it is believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looked {
    /// The path of the report that holds it.
    pub source: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub subjects: Vec<About>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub builder: Option<String>,
    /// The name of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
    /// The build level of SLSA, of provenance that is believed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<u8>,
    pub trusted: bool,
    /// Why it is not, without a full stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

/// So many are looked at: each of their signatures is tried with each key.
const LOOKED_AT_MAX: usize = 200;

/// As of a moment, for a commit that ships.
pub fn look(keys: &[TrustedKey], left: &[(SourceRef, Attestation)], commit: &str, now: Timestamp) -> Vec<Looked> {
    let keys: Vec<(&TrustedKey, PublicKey)> = keys.iter().filter_map(|key| Some((key, PublicKey::from_pem(&key.key).ok()?))).collect();
    let one = |(at, (source, attestation)): (usize, &(SourceRef, Attestation))| {
        let looked = unlooked(source, attestation);
        if at < LOOKED_AT_MAX {
            return judged(looked, &keys, attestation, commit, now);
        }
        let because = Some(format!("it is one of more than {LOOKED_AT_MAX}, and no more are looked at"));
        Looked { because, ..looked }
    };
    left.iter().enumerate().map(one).collect()
}

fn unlooked(source: &SourceRef, attestation: &Attestation) -> Looked {
    Looked {
        source: source.path.clone(),
        kind: attestation.kind.clone(),
        subjects: attestation.subjects.clone(),
        builder: attestation.builder.clone(),
        signed_by: None,
        level: None,
        trusted: false,
        because: None,
    }
}

fn judged(mut looked: Looked, keys: &[(&TrustedKey, PublicKey)], attestation: &Attestation, commit: &str, now: Timestamp) -> Looked {
    // One of several keys may be fine where another is not.
    let mut signers: Vec<(&TrustedKey, Option<String>)> = keys
        .iter()
        .filter(|(_, public)| attestation.is_signed_by(public))
        .map(|(key, _)| (*key, complaint(key, attestation, commit, now)))
        .collect();
    signers.sort_by_key(|(_, complaint)| complaint.is_some());
    match signers.into_iter().next() {
        None => looked.because = Some("none of the keys that are trusted has signed it".to_string()),
        Some((key, because)) => {
            looked.signed_by = Some(key.name.clone());
            looked.trusted = because.is_none();
            looked.level = (looked.trusted && attestation.builder.is_some()).then_some(key.level);
            looked.because = because;
        }
    }
    looked
}

fn complaint(key: &TrustedKey, attestation: &Attestation, commit: &str, now: Timestamp) -> Option<String> {
    if let Some(expires) = key.expires.filter(|expires| *expires <= now) {
        return Some(format!("the key `{}` has expired at {}", key.name, expires.date_and_clock()));
    }
    if !attestation.kind.starts_with(PROVENANCES) {
        return None;
    }
    if attestation.kind != PROVENANCE {
        return Some(format!("provenance of the kind {} isn't read, {PROVENANCE} is", attestation.kind));
    }
    match (&key.builder, &attestation.builder) {
        (Some(wanted), Some(builder)) if wanted != builder => {
            return Some(format!("it says to be built by {builder}, and the key `{}` is that of {wanted}", key.name));
        }
        (_, None) => return Some("it does not say who has built it".to_string()),
        _ => {}
    }
    if attestation.commits.is_empty() {
        return Some("it does not say from which commit it was built".to_string());
    }
    // A statement about an older build proves nothing of this one.
    let is_other = !attestation.commits.iter().any(|it| it.eq_ignore_ascii_case(commit));
    is_other.then(|| format!("it is about commit {}, and {} ships", attestation.commits[0], short(commit)))
}

/// However old.
const PROVENANCES: &str = "https://slsa.dev/provenance/";

fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use serde_json::json;

    use super::*;
    use crate::attest::{SigningKey, Statement};
    use crate::evidence::{ClaimKind, Reading, read};
    use base::Digest;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_random(&[seed; 32]).unwrap()
    }

    fn trusted(name: &str, seed: u8) -> TrustedKey {
        TrustedKey { name: name.to_string(), key: key(seed).public().to_pem(), builder: None, level: 2, expires: None }
    }

    fn left(text: &str) -> Vec<(SourceRef, Attestation)> {
        let Reading::Claims(claims) = read("build.intoto.jsonl", text.as_bytes()) else { panic!("{text}") };
        let of = |claim: crate::evidence::Claim| match claim.kind {
            ClaimKind::Attestation(attestation) => (claim.source, *attestation),
            other => panic!("{other:?}"),
        };
        claims.into_iter().map(of).collect()
    }

    fn provenance(commit: &str, seed: u8) -> String {
        let predicate = json!({
            "buildDefinition": { "resolvedDependencies": [{ "digest": { "gitCommit": commit } }] },
            "runDetails": { "builder": { "id": "https://example.org/builder" } },
        });
        Statement::of("app.bin", &Digest::of(b"app"), PROVENANCE, predicate).sign(&key(seed)).to_json().to_string()
    }

    fn looked(keys: &[TrustedKey], text: &str) -> Looked {
        look(keys, &left(text), COMMIT, Timestamp::from_ms(1_000)).remove(0)
    }

    #[test]
    fn what_a_trusted_key_has_signed_about_this_commit_is_believed() {
        let found = looked(&[trusted("other", 8), trusted("ci", 7)], &provenance(COMMIT, 7));
        assert_eq!((found.signed_by.as_deref(), found.level, found.trusted, found.because), (Some("ci"), Some(2), true, None));
        assert_eq!(found.subjects, [About { name: "app.bin".to_string(), digest: Some(Digest::of(b"app").to_string()) }]);
        let of_there = TrustedKey { builder: Some("https://example.org/builder".to_string()), ..trusted("ci", 7) };
        assert!(looked(&[of_there], &provenance(COMMIT, 7)).trusted);
        let sbom = Statement::of("app.bin", &Digest::of(b"app"), crate::attest::CYCLONEDX, json!({})).sign(&key(7)).to_json().to_string();
        let found = looked(&[trusted("ci", 7)], &sbom);
        assert!(found.trusted && found.level.is_none(), "only provenance has a level");
    }

    #[test]
    fn what_is_not_believed_says_why() {
        let not = |keys: &[TrustedKey], text: &str, why: &str| {
            let found = looked(keys, text);
            assert_eq!((found.trusted, found.level, found.because.as_deref()), (false, None, Some(why)));
        };
        let ci = || trusted("ci", 7);
        not(&[], &provenance(COMMIT, 7), "none of the keys that are trusted has signed it");
        not(&[ci()], &provenance(COMMIT, 9), "none of the keys that are trusted has signed it");
        not(&[TrustedKey { key: "no key".to_string(), ..ci() }], &provenance(COMMIT, 7), "none of the keys that are trusted has signed it");
        let expired = TrustedKey { expires: Some(Timestamp::from_ms(1_000)), ..ci() };
        not(std::slice::from_ref(&expired), &provenance(COMMIT, 7), "the key `ci` has expired at 1970-01-01 00:00:01 UTC");
        assert!(looked(&[expired, TrustedKey { name: "new".to_string(), ..ci() }], &provenance(COMMIT, 7)).trusted);
        let elsewhere = TrustedKey { builder: Some("https://example.org/other".to_string()), ..ci() };
        let why = "it says to be built by https://example.org/builder, and the key `ci` is that of https://example.org/other";
        not(&[elsewhere], &provenance(COMMIT, 7), why);
        let of = |kind: &str, predicate: serde_json::Value| {
            Statement::of("app.bin", &Digest::of(b"app"), kind, predicate).sign(&key(7)).to_json().to_string()
        };
        let before = "provenance of the kind https://slsa.dev/provenance/v0.2 isn't read, https://slsa.dev/provenance/v1 is";
        not(&[ci()], &of("https://slsa.dev/provenance/v0.2", json!({})), before);
        not(&[ci()], &of(PROVENANCE, json!({})), "it does not say who has built it");
        let builder = json!({ "runDetails": { "builder": { "id": "https://example.org/builder" } } });
        not(&[ci()], &of(PROVENANCE, builder), "it does not say from which commit it was built");
        let old = "f".repeat(40);
        not(&[ci()], &provenance(&old, 7), &format!("it is about commit {old}, and 0123456789ab ships"));
    }

    #[test]
    fn of_more_than_anybody_leaves_the_rest_is_not_believed() {
        let many = vec![left(&provenance(COMMIT, 7)).remove(0); LOOKED_AT_MAX + 1];
        let looked = look(&[trusted("ci", 7)], &many, COMMIT, Timestamp::from_ms(1_000));
        assert!(looked[..LOOKED_AT_MAX].iter().all(|it| it.trusted));
        let last = &looked[LOOKED_AT_MAX];
        assert_eq!((last.trusted, last.because.as_deref()), (false, Some("it is one of more than 200, and no more are looked at")));
    }

    #[test]
    fn a_statement_over_other_bytes_is_signed_by_nobody() {
        let mut envelope: serde_json::Value = serde_json::from_str(&provenance(COMMIT, 7)).unwrap();
        let other: serde_json::Value = serde_json::from_str(&provenance(&"f".repeat(40), 7)).unwrap();
        envelope["payload"] = other["payload"].clone();
        assert_eq!(looked(&[trusted("ci", 7)], &envelope.to_string()).signed_by, None);
    }

    #[test]
    fn a_file_holds_one_or_one_in_each_line_and_what_is_none_is_broken() {
        let two = format!("{}\n\n{}\n", provenance(COMMIT, 7), provenance(COMMIT, 8));
        assert_eq!(left(&two).iter().map(|(source, _)| source.line).collect::<Vec<_>>(), [Some(1), Some(3)]);
        let signature = json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "messageSignature": {
                "messageDigest": { "algorithm": "SHA2_256", "digest": base64::engine::general_purpose::STANDARD.encode(Digest::of(b"app").as_bytes()) },
                "signature": base64::engine::general_purpose::STANDARD.encode(key(7).sign(&Digest::of(b"app"))),
            },
        });
        assert!(looked(&[trusted("ci", 7)], &signature.to_string()).trusted);
        for (text, why, line) in [
            (
                format!("{}\n{{}}\n", provenance(COMMIT, 7)),
                "is no signed statement: it is JSON, but neither a DSSE envelope (`payloadType`) nor a sigstore bundle (`mediaType`)",
                Some(2),
            ),
            (
                r#"{"payloadType": "application/vnd.in-toto+json", "payload": "e30=", "signatures": []}"#.to_string(),
                "is no signed statement: `signatures` is empty",
                None,
            ),
            (
                r#"{"payloadType": "text/plain", "payload": "e30=", "signatures": [{"sig": "MA=="}]}"#.to_string(),
                "what was signed is `text/plain`, not `application/vnd.in-toto+json`",
                Some(1),
            ),
        ] {
            let Reading::Broken(broken) = read("a.intoto.jsonl", text.as_bytes()) else { panic!("{text}") };
            assert_eq!((broken.reason.as_str(), broken.line), (why, line));
        }
    }
}
