//! `plimsoll attest … --image`: signatures and statements that lie beside an image, where cosign lays and looks for them.

use std::collections::BTreeMap;
use std::path::Path;

use base::Digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gate::attest::claim::{Claim, SIMPLE_SIGNING};
use gate::attest::oci::Descriptor;
use gate::attest::{ENVELOPE, PROVENANCE, SIGNATURE, Statement, Verdict, attestations, signatures};
use host::registry::{CONTENT_MAX_BYTES, Kind, Pin, Purpose, Reference, RegistryError, Store};
use serde_json::{Value, json};

use super::{content, dirs, expected, kept, predicate_type, public_key, tell, together};
use crate::cli::{AttestStatement, AttestVerify};
use crate::exit;
use crate::failure::{Failure, FailureKind, Result};
use crate::terminal::Terminal;
use crate::view::{Mark, marked};
use crate::world;

/// So many that don't hold are told one by one.
const TOLD_MAX: usize = 20;

pub fn sign(image: &str, given: &[String], terminal: &Terminal) -> Result<u8> {
    let mut wrong = Vec::new();
    let annotations = kept(&mut wrong, annotations(given));
    let reference = kept(&mut wrong, reference(image));
    let (Some(annotations), Some(reference)) = (annotations, reference) else { return Err(together(wrong)) };
    let key = world::signing_key(&dirs()?)?;
    let (store, digest) = found(reference, Purpose::Write, image, terminal)?;
    let payload = Claim::of(digest, &store.name(), &annotations).to_bytes();
    let signature = STANDARD.encode(key.sign(&Digest::of(&payload)));
    let layer = Descriptor::of(SIMPLE_SIGNING, &payload).annotated(SIGNATURE, &signature);
    let (place, before) = store.lay(&digest, Kind::Signatures, &layer, &payload).map_err(failure)?;
    laid("signature", (&store, digest), &place, before, terminal);
    Ok(exit::OK)
}

pub fn attest(args: &AttestStatement, terminal: &Terminal) -> Result<u8> {
    let mut wrong = Vec::new();
    let kind = kept(&mut wrong, stated(&args.predicate_type));
    let predicate = kept(&mut wrong, predicate(&args.predicate));
    let reference = kept(&mut wrong, reference(&args.image));
    let (Some(kind), Some(predicate), Some(reference)) = (kind, predicate, reference) else { return Err(together(wrong)) };
    let key = world::signing_key(&dirs()?)?;
    let (store, digest) = found(reference, Purpose::Write, &args.image, terminal)?;
    let envelope = Statement::of(&store.name(), &digest, &kind, predicate).sign(&key).to_json().to_string().into_bytes();
    if envelope.len() as u64 > CONTENT_MAX_BYTES {
        return Err(Failure::usage(format!(
            "`{}` is too large: nobody reads statements beside an image of its size",
            args.predicate.display()
        )));
    }
    // cosign tells statements apart by this before it reads them, and wants the other to be there.
    let layer = Descriptor::of(ENVELOPE, &envelope).annotated("predicateType", &kind).annotated(SIGNATURE, "");
    let (place, before) = store.lay(&digest, Kind::Attestations, &layer, &envelope).map_err(failure)?;
    laid("statement", (&store, digest), &place, before, terminal);
    Ok(exit::OK)
}

/// Who built something is nobody's to state but the server's, of what it has on record.
fn stated(name: &str) -> Result<String> {
    let kind = predicate_type(name)?;
    if kind == PROVENANCE || kind.starts_with("https://slsa.dev/") {
        let message = "provenance is stated by the server alone, of what it has built and not of what somebody says";
        return Err(Failure::usage(message).hint("`plimsoll release provenance` prints that of a release"));
    }
    Ok(kind)
}

fn predicate(path: &Path) -> Result<Value> {
    serde_json::from_slice(&content(path)?).map_err(|error| Failure::usage(format!("`{}` is no JSON: {error}", path.display())))
}

fn laid(what: &str, (store, digest): (&Store, Digest), place: &str, before: bool, terminal: &Terminal) {
    let image = format!("{}@{digest}", store.name());
    if terminal.json {
        return terminal.json(&json!({ "image": image, "digest": digest, "place": place, "already": before }));
    }
    terminal.say(&format!("the {what} {} {place}", if before { "was there already:" } else { "lies at" }));
    terminal.data(&image);
}

/// What is wrong with the command line and its files is said before anybody is asked.
pub fn ask(image: &str, args: &AttestVerify, terminal: &Terminal) -> Result<u8> {
    let mut wrong = Vec::new();
    let key = kept(&mut wrong, public_key(&args.key));
    let expected = kept(&mut wrong, expected(args));
    let annotations = kept(&mut wrong, annotations(&args.annotations));
    let reference = kept(&mut wrong, reference(image));
    if args.predicate_type.is_none() && (args.builder_id.is_some() || args.build_type.is_some() || !args.params.is_empty()) {
        let message = "`--builder-id`, `--build-type` and `--param` are asked of provenance, and of an image its signatures are asked";
        wrong.push(Failure::usage(message).hint("`--type slsaprovenance1` asks for its provenance"));
    }
    let (Some(key), Some(expected), Some(annotations), Some(reference), true) = (key, expected, annotations, reference, wrong.is_empty())
    else {
        return Err(together(wrong));
    };
    let (store, digest) = found(reference, Purpose::Read, image, terminal)?;
    let beside = store.beside(&digest).map_err(failure)?;
    let (what, (verdicts, others)) = match &args.predicate_type {
        None => ("signature".to_string(), (signatures(&digest, &annotations, &beside, &key), Vec::new())),
        Some(_) => (format!("statement of type `{}`", expected.predicate_type), attestations(&digest, &beside, &key, &expected)),
    };
    let holds = verdicts.iter().any(Verdict::holds);
    let name = format!("{}@{digest}", store.name());
    match terminal.json {
        true => terminal.json(&json!({
            "verified": holds, "image": name, "digest": digest, "found": verdicts.iter().map(view).collect::<Vec<_>>(), "otherTypes": others,
        })),
        false => say(&what, &name, &verdicts, &others, terminal),
    }
    Ok(if holds { exit::OK } else { exit::FAILED })
}

/// Those that hold; where none does, why.
fn say(what: &str, name: &str, verdicts: &[Verdict], others: &[String], terminal: &Terminal) {
    let (good, bad): (Vec<_>, Vec<_>) = verdicts.iter().partition(|verdict| verdict.holds());
    let shown = if good.is_empty() { &bad } else { &good };
    for verdict in shown.iter().take(TOLD_MAX) {
        terminal.data(&format!("{}:", verdict.place));
        tell(&verdict.report.checks, terminal);
    }
    if verdicts.is_empty() {
        let others = if others.is_empty() { String::new() } else { format!("; what there is, is of type `{}`", others.join("`, `")) };
        terminal.data(&marked(terminal, Mark::Bad, &format!("{name} has no {what}{others}")));
    }
    if good.is_empty() && bad.len() > TOLD_MAX {
        terminal.data(&format!("… and {} more that don't hold", bad.len() - TOLD_MAX));
    }
    if !good.is_empty() && !bad.is_empty() {
        terminal.say(&format!("{} beside it that {} hold", bad.len(), if bad.len() == 1 { "doesn't" } else { "don't" }));
    }
}

fn view(verdict: &Verdict) -> Value {
    let mut view = json!({ "place": verdict.place, "verified": verdict.holds(), "checks": verdict.report.checks });
    if let Some(claim) = &verdict.claim {
        view["reference"] = json!(claim.reference);
        view["annotations"] = json!(claim.annotations);
    }
    if let Some(statement) = &verdict.report.statement {
        view["statement"] = json!(statement);
    }
    view
}

fn annotations(given: &[String]) -> Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    for pair in given {
        let Some((name, value)) = pair.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(Failure::usage(format!("`--annotation {pair}` is no name with a value")).hint("`--annotation env=production`"));
        };
        if all.insert(name.to_string(), value.to_string()).is_some() {
            return Err(Failure::usage(format!("`--annotation {name}=…` is there twice")));
        }
    }
    Ok(all)
}

fn reference(text: &str) -> Result<Reference> {
    text.parse().map_err(failure)
}

/// The image, and of a tag which one it is now.
fn found(reference: Reference, purpose: Purpose, named: &str, terminal: &Terminal) -> Result<(Store, Digest)> {
    let is_pinned = matches!(reference, Reference::Remote { pin: Pin::Digest(_), .. });
    let store = Store::open(reference, purpose).map_err(failure)?;
    let digest = store.image().map_err(failure)?;
    if !is_pinned {
        terminal.say(&format!("{named} is {digest}"));
    }
    Ok((store, digest))
}

fn failure(error: RegistryError) -> Failure {
    let kind = match &error {
        RegistryError::Reference { .. } | RegistryError::File { .. } => FailureKind::Usage,
        RegistryError::NotAuthorised { .. } => FailureKind::NotAuthorised,
        RegistryError::NotFound(_) => FailureKind::NotFound,
        RegistryError::Unreachable { .. } | RegistryError::Wrong { .. } => FailureKind::Infrastructure,
    };
    let hint = error.hint();
    Failure { hints: hint.into_iter().collect(), ..Failure::new(kind, error.to_string()) }
}
