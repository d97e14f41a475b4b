//! What lies beside an image and speaks of it, in the forms of cosign 2 and 3, and whether the key stands for it.
//!
//! Anybody who may push to a registry may lay something there, so one that holds is enough, and one that doesn't takes nothing away.

use std::collections::BTreeMap;

use base::Digest;
use serde_json::{Map, Value};

use super::claim::{Claim, SIMPLE_SIGNING};
use super::dsse::{Envelope, bytes};
use super::oci::Descriptor;
use super::verify::{Expected, Report, Step, verify};
use super::{PublicKey, Signed, Statement};

/// What a statement is called that signs an image and says nothing more: cosign 3's form of a signature.
pub const COSIGN_SIGN: &str = "https://sigstore.dev/cosign/sign/v1";

/// Where cosign 2 keeps the signature of a layer.
pub const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

/// How a statement under a signature is marked there.
pub const ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle";

/// Where it was found, in words for people, and what it is or why it can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside {
    pub place: String,
    pub content: Result<Content, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Words about an image and their signature in ASN.1.
    Claim {
        payload: Vec<u8>,
        signature: Vec<u8>,
    },
    Envelope(Envelope),
}

impl Content {
    /// Whether a layer of this kind speaks of an image at all; other things lie beside images, too.
    pub fn is_one(layer: &Descriptor) -> bool {
        let kind = layer.media_type.as_str();
        kind == SIMPLE_SIGNING || kind == ENVELOPE || kind.starts_with(BUNDLE)
    }

    /// # Errors
    /// A sentence that says why the layer is not what it is marked as.
    pub fn read(layer: &Descriptor, content: &[u8]) -> Result<Content, String> {
        layer.check(content)?;
        if layer.media_type == SIMPLE_SIGNING {
            let text = layer.annotations.get(SIGNATURE).ok_or_else(|| format!("its annotation `{SIGNATURE}` is missing"))?;
            let signature = bytes(text).ok_or_else(|| format!("its annotation `{SIGNATURE}` is no base64"))?;
            return Ok(Content::Claim { payload: content.to_vec(), signature });
        }
        match Signed::read(content).map_err(|why| why.0)? {
            Signed::Envelope(envelope) => Ok(Content::Envelope(envelope)),
            Signed::File { .. } => Err("it is the signature of a file, and no statement about an image".to_string()),
        }
    }
}

/// What was asked of one of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub place: String,
    pub report: Report,
    /// What the image was called when it was signed, and with what; known once the signature holds.
    pub claim: Option<Claim>,
}

impl Verdict {
    fn new(place: &str) -> Verdict {
        Verdict { place: place.to_string(), report: Report { checks: Vec::new(), statement: None }, claim: None }
    }

    fn unreadable(place: &str, why: &str) -> Verdict {
        let mut verdict = Verdict::new(place);
        verdict.report.add(Step::Signature, false, format!("it can't be read: {why}"));
        verdict
    }

    /// Nothing that was not asked holds.
    pub fn holds(&self) -> bool {
        !self.report.checks.is_empty() && self.report.holds()
    }
}

/// Every signature beside an image, asked whether it is the key's, over this image, with these annotations.
pub fn signatures(image: &Digest, annotations: &BTreeMap<String, String>, beside: &[Beside], key: &PublicKey) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for Beside { place, content } in beside {
        match content {
            Err(why) => verdicts.push(Verdict::unreadable(place, why)),
            Ok(Content::Claim { payload, signature }) => verdicts.push(claim(place, image, annotations, payload, signature, key)),
            Ok(Content::Envelope(envelope)) if is_kind(envelope, |kind| kind == COSIGN_SIGN) => {
                verdicts.push(statement(place, image, annotations, envelope, key));
            }
            Ok(Content::Envelope(_)) => {}
        }
    }
    verdicts
}

/// Every statement of the kind that is asked for, asked in the order of SLSA; and the kinds of all others.
pub fn attestations(image: &Digest, beside: &[Beside], key: &PublicKey, expected: &Expected) -> (Vec<Verdict>, Vec<String>) {
    let (mut verdicts, mut others) = (Vec::new(), Vec::new());
    for Beside { place, content } in beside {
        match content {
            Err(why) => verdicts.push(Verdict::unreadable(place, why)),
            Ok(Content::Claim { .. }) => {}
            Ok(Content::Envelope(envelope)) if is_kind(envelope, |kind| kind == expected.predicate_type) => {
                let report = verify(image, &Signed::Envelope(envelope.clone()), key, expected);
                verdicts.push(Verdict { report, ..Verdict::new(place) });
            }
            Ok(Content::Envelope(envelope)) => {
                others.extend(
                    Statement::read(envelope)
                        .map(|statement| crate::incident::plain(&statement.predicate_type))
                        .ok()
                        .filter(|kind| kind != COSIGN_SIGN),
                );
            }
        }
    }
    others.sort();
    others.dedup();
    (verdicts, others)
}

/// What nobody has verified yet only chooses what is looked at. What can't be read is looked at, too: it will say why it doesn't hold.
fn is_kind(envelope: &Envelope, wanted: impl Fn(&str) -> bool) -> bool {
    Statement::read(envelope).map_or(true, |statement| wanted(&statement.predicate_type))
}

fn claim(
    place: &str,
    image: &Digest,
    annotations: &BTreeMap<String, String>,
    payload: &[u8],
    signature: &[u8],
    key: &PublicKey,
) -> Verdict {
    let mut verdict = Verdict::new(place);
    let report = &mut verdict.report;
    if !key.verify(&Digest::of(payload), signature) {
        report.add(Step::Signature, false, "it is not this key's: another key signed, or something else was signed".to_string());
        return verdict;
    }
    report.add(Step::Signature, true, "the key has signed it".to_string());
    match Claim::read(payload) {
        Err(why) => {
            report.add(Step::Statement, false, why);
        }
        Ok(claim) => {
            let is_about = claim.image == *image;
            let sentence = match is_about {
                true => format!("it is about {image}"),
                false => format!("it is about {}, and the image is {image}: it was copied from another image", claim.image),
            };
            report.add(Step::Subject, is_about, sentence);
            annotated(report, &claim.annotations, annotations);
            verdict.claim = Some(claim);
        }
    }
    verdict
}

fn statement(place: &str, image: &Digest, annotations: &BTreeMap<String, String>, envelope: &Envelope, key: &PublicKey) -> Verdict {
    // Of this kind of statement nothing but the signature, the subject and the kind is asked.
    let expected = Expected {
        predicate_type: COSIGN_SIGN.to_string(),
        builder_id: String::new(),
        build_type: String::new(),
        known: Vec::new(),
        parameters: BTreeMap::new(),
    };
    let report = verify(image, &Signed::Envelope(envelope.clone()), key, &expected);
    let mut verdict = Verdict { report, ..Verdict::new(place) };
    if let Some(statement) = &verdict.report.statement {
        let subject = statement.subject.iter().find(|subject| subject.is(image));
        let found = subject.and_then(|subject| subject.annotations.as_ref()).and_then(Value::as_object).cloned().unwrap_or_default();
        annotated(&mut verdict.report, &found, annotations);
        verdict.claim = Some(Claim { image: *image, reference: String::new(), annotations: found });
    }
    verdict
}

fn annotated(report: &mut Report, found: &Map<String, Value>, wanted: &BTreeMap<String, String>) {
    for (name, wanted) in wanted {
        let value = found.get(name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_string));
        let (holds, sentence) = match value {
            Some(value) if value == *wanted => (true, format!("its annotation `{name}` is `{value}`")),
            Some(value) => (false, format!("its annotation `{name}` is `{value}`, and `{wanted}` is expected")),
            None => (false, format!("it has no annotation `{name}`, and `{wanted}` is expected")),
        };
        report.add(Step::Annotations, holds, sentence);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attest::{PROVENANCE, SigningKey};
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_random(&[seed; 32]).unwrap()
    }

    fn image() -> Digest {
        Digest::of(b"image")
    }

    fn wanted(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_string(), (*value).to_string())).collect()
    }

    fn layer(payload: &[u8], signature: &[u8]) -> (Descriptor, Vec<u8>) {
        (Descriptor::of(SIMPLE_SIGNING, payload).annotated(SIGNATURE, &STANDARD.encode(signature)), payload.to_vec())
    }

    fn classic(payload: &[u8], key: &SigningKey) -> Beside {
        let (descriptor, bytes) = layer(payload, &key.sign(&Digest::of(payload)));
        Beside { place: "classic".to_string(), content: Content::read(&descriptor, &bytes) }
    }

    fn of(image: &Digest, annotations: &[(&str, &str)]) -> Vec<u8> {
        Claim::of(*image, "localhost:5000/app", &wanted(annotations)).to_bytes()
    }

    fn bundle(statement: &Statement, key: &SigningKey) -> Beside {
        let text = json!({ "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "dsseEnvelope": statement.sign(key).to_json() });
        let text = text.to_string().into_bytes();
        let descriptor = Descriptor::of("application/vnd.dev.sigstore.bundle.v0.3+json", &text);
        Beside { place: "bundle".to_string(), content: Content::read(&descriptor, &text) }
    }

    fn cosign_3(image: &Digest) -> Statement {
        Statement::of("", image, COSIGN_SIGN, json!({}))
    }

    /// What each says, shortest first: `ok`, or all that is wrong.
    fn told(beside: &[Beside], annotations: &[(&str, &str)]) -> Vec<String> {
        let verdicts = signatures(&image(), &wanted(annotations), beside, &key(7).public());
        verdicts.iter().map(said).collect()
    }

    fn said(verdict: &Verdict) -> String {
        let wrong: Vec<&str> = verdict.report.checks.iter().filter(|it| !it.holds).map(|it| it.sentence.as_str()).collect();
        assert_eq!(verdict.holds(), wrong.is_empty());
        if wrong.is_empty() { "ok".to_string() } else { wrong.join("; ") }
    }

    #[test]
    fn a_signature_of_either_form_is_the_keys_over_this_image_or_says_why_not() {
        let other = Digest::of(b"other");
        assert_eq!(told(&[classic(&of(&image(), &[]), &key(7)), bundle(&cosign_3(&image()), &key(7))], &[]), ["ok", "ok"]);
        for (beside, why) in [
            (classic(&of(&image(), &[]), &key(8)), "it is not this key's: another key signed, or something else was signed".to_string()),
            (
                classic(&of(&other, &[]), &key(7)),
                format!("it is about {other}, and the image is {}: it was copied from another image", image()),
            ),
            (classic(b"hello", &key(7)), "what was signed is no JSON: expected value at line 1 column 1".to_string()),
            (bundle(&cosign_3(&image()), &key(8)), "none of the envelope's signatures is this key's".to_string()),
            (bundle(&cosign_3(&other), &key(7)), format!("this is {}, and the statement is about {other}", image())),
        ] {
            assert_eq!(told(&[beside], &[]), [why]);
        }
        // A statement that says something else about the image is no signature of it.
        assert!(told(&[bundle(&Statement::of("", &image(), PROVENANCE, json!({})), &key(7))], &[]).is_empty());
        assert!(!Verdict::new("nothing was asked").holds());
    }

    #[test]
    fn annotations_are_of_the_signature_that_holds() {
        let mut statement = cosign_3(&image());
        statement.subject[0].annotations = Some(json!({ "env": "prod", "n": 1 }));
        let both = [classic(&of(&image(), &[("env", "prod")]), &key(7)), bundle(&statement, &key(7))];
        assert_eq!(told(&both, &[("env", "prod")]), ["ok", "ok"]);
        assert_eq!(told(&both, &[("env", "test")]), ["its annotation `env` is `prod`, and `test` is expected"; 2]);
        assert_eq!(told(&both, &[("n", "1")]), ["it has no annotation `n`, and `1` is expected", "ok"]);
        // Those of another image's subject don't count.
        let mut two = cosign_3(&image());
        two.subject.extend(Statement::of("", &Digest::of(b"other"), COSIGN_SIGN, json!({})).subject);
        two.subject[1].annotations = Some(json!({ "env": "prod" }));
        assert_eq!(told(&[bundle(&two, &key(7))], &[("env", "prod")]), ["it has no annotation `env`, and `prod` is expected"]);
    }

    #[test]
    fn a_layer_that_is_not_what_it_is_marked_as_is_told_and_never_believed() {
        let payload = of(&image(), &[]);
        let (mut descriptor, bytes) = layer(&payload, &key(7).sign(&Digest::of(&payload)));
        let read = |descriptor: &Descriptor, bytes: &[u8]| Content::read(descriptor, bytes).unwrap_err();
        assert!(read(&descriptor, b"other").contains("and the manifest says"));
        descriptor.annotations.insert(SIGNATURE.to_string(), "%".to_string());
        assert_eq!(read(&descriptor, &bytes), format!("its annotation `{SIGNATURE}` is no base64"));
        descriptor.annotations.clear();
        assert_eq!(read(&descriptor, &bytes), format!("its annotation `{SIGNATURE}` is missing"));
        let bare = STANDARD.encode(key(7).sign(&image()));
        let marked = Descriptor::of(ENVELOPE, bare.as_bytes());
        assert_eq!(read(&marked, bare.as_bytes()), "it is the signature of a file, and no statement about an image");
        let broken = [Beside { place: "broken".to_string(), content: Err("lies".to_string()) }];
        assert_eq!(told(&broken, &[]), ["it can't be read: lies"]);
        assert!(!Content::is_one(&Descriptor::of("application/vnd.oci.image.layer.v1.tar+gzip", b"")));
    }

    #[test]
    fn statements_are_asked_by_their_kind_and_the_others_are_named() {
        let expected = Expected {
            predicate_type: "https://spdx.dev/Document".to_string(),
            builder_id: String::new(),
            build_type: String::new(),
            known: Vec::new(),
            parameters: BTreeMap::new(),
        };
        let spdx = |image: &Digest, key: &SigningKey| bundle(&Statement::of("", image, "https://spdx.dev/Document", json!({})), key);
        let provenance = bundle(&Statement::of("", &image(), PROVENANCE, json!({})), &key(7));
        let beside = [
            provenance,
            bundle(&cosign_3(&image()), &key(7)),
            classic(&of(&image(), &[]), &key(7)),
            spdx(&image(), &key(8)),
            spdx(&image(), &key(7)),
            spdx(&Digest::of(b"other"), &key(7)),
        ];
        let (verdicts, others) = attestations(&image(), &beside, &key(7).public(), &expected);
        let told: Vec<String> = verdicts.iter().map(said).collect();
        assert_eq!(told[..2], ["none of the envelope's signatures is this key's", "ok"]);
        assert!(told[2].ends_with(&format!("and the statement is about {}", Digest::of(b"other"))), "{told:?}");
        assert_eq!((told.len(), others), (3, vec![PROVENANCE.to_string()]));
    }
}
