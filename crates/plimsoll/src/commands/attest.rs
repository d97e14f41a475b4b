//! `plimsoll attest …`, and what `plimsoll release` prints of it: statements about what ships, signed and verified.

mod image;

use std::collections::BTreeMap;
use std::io::{BufReader, ErrorKind, Read as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gate::attest::claim::may_be_claim;
use gate::attest::dsse::{Envelope, PREFIX};
use gate::attest::{CYCLONEDX, Check, Expected, PROVENANCE, PublicKey, Signed, Statement, verify};
use release::provenance::{BUILD_TYPE, BUILDER, PARAMETERS};
use serde_json::{Value, json};

use super::release::path;
use super::{dirs, project_of, running};
use crate::cli::{Artifact, Attest, AttestShow, AttestVerify, Provenance, Sbom};
use crate::exit;
use crate::failure::{Doing, Failure, Result};
use crate::server::Stored;
use crate::terminal::Terminal;
use crate::view::{Mark, marked};
use crate::world;

/// An envelope or a key larger than that is something else.
const SIGNED_MAX_BYTES: u64 = 64 << 20;

/// cosign reads no more of what is signed of an image.
const CLAIM_MAX_BYTES: u64 = 128 << 20;

pub fn attest(command: Attest, terminal: &Terminal) -> Result<u8> {
    match command {
        Attest::Key => key(terminal),
        Attest::Sign(args) => match (&args.image, &args.file) {
            (Some(image), _) => image::sign(image, &args.annotations, terminal),
            (None, Some(file)) => sign(file, terminal),
            (None, None) => unreachable!("the command line asks for one of them"),
        },
        Attest::Statement(args) => image::attest(&args, terminal),
        Attest::Show(args) => show(&args, terminal),
        Attest::Verify(args) => match (&args.image, &args.file, &args.signed) {
            (Some(image), ..) => image::ask(image, &args, terminal),
            (None, Some(file), Some(signed)) => ask(file, signed, &args, terminal),
            _ => unreachable!("the command line asks for both files"),
        },
    }
}

fn key(terminal: &Terminal) -> Result<u8> {
    let key = world::signing_key(&dirs()?)?.public();
    match terminal.json {
        true => terminal.json(&json!({ "publicKey": key.to_pem(), "fingerprint": key.fingerprint() })),
        false => terminal.data(key.to_pem().trim_end()),
    }
    Ok(exit::OK)
}

fn sign(file: &Path, terminal: &Terminal) -> Result<u8> {
    refuse_what_is_more_than_a_file(file)?;
    let digest = host::keys::digest_of(file).map_err(|error| unreadable(file, &error))?;
    let key = world::signing_key(&dirs()?)?;
    let signature = STANDARD.encode(key.sign(&digest));
    match terminal.json {
        true => terminal.json(&json!({ "digest": digest, "signature": signature, "fingerprint": key.public().fingerprint() })),
        false => terminal.data(&signature),
    }
    Ok(exit::OK)
}

/// A signature of what an envelope signs would be the envelope's, and one of words about an image the image's: whoever hands such a file
/// in wants something else to be ours.
fn refuse_what_is_more_than_a_file(path: &Path) -> Result<()> {
    let open = || std::fs::File::open(path).map(BufReader::new).map_err(|error| unreadable(path, &error));
    let mut begin = Vec::new();
    open()?.take(PREFIX.len() as u64).read_to_end(&mut begin).map_err(|error| unreadable(path, &error))?;
    if begin == PREFIX.as_bytes() {
        let message = format!("`{}` is what an envelope signs, and its signature would make a statement of ours out of it", path.display());
        return Err(Failure::usage(message).hint("statements are made by the server alone: `plimsoll release provenance`"));
    }
    // Whatever is no JSON object is told by its first byte, however large it is.
    let first = open()?.take(CLAIM_MAX_BYTES).bytes().map_while(std::io::Result::ok).find(|byte| !byte.is_ascii_whitespace());
    if first != Some(b'{') {
        return Ok(());
    }
    let mut all = Vec::new();
    open()?.take(CLAIM_MAX_BYTES).read_to_end(&mut all).map_err(|error| unreadable(path, &error))?;
    if may_be_claim(&all) {
        let message = format!("`{}` is what is signed of an image, and its signature would be the image's", path.display());
        return Err(Failure::usage(message).hint("`plimsoll attest sign --image IMAGE` looks at the image before it signs"));
    }
    Ok(())
}

fn show(args: &AttestShow, terminal: &Terminal) -> Result<u8> {
    let statement = match signed(&args.signed)? {
        Signed::Envelope(envelope) => Statement::read(&envelope),
        Signed::File { .. } => Err("it is a signature of a file, and says nothing more".to_string()),
    };
    let statement = statement.map_err(|why| Failure::usage(format!("`{}` holds no statement: {why}", args.signed.display())))?;
    terminal.json(&statement);
    Ok(exit::OK)
}

/// What is wrong with the command line and its files is said at once.
fn ask(file: &Path, beside: &Path, args: &AttestVerify, terminal: &Terminal) -> Result<u8> {
    let mut wrong = Vec::new();
    let digest = kept(&mut wrong, host::keys::digest_of(file).map_err(|error| unreadable(file, &error)));
    let key = kept(&mut wrong, public_key(&args.key));
    let signed = kept(&mut wrong, signed(beside));
    let expected = kept(&mut wrong, expected(args));
    let (Some(digest), Some(key), Some(signed), Some(expected)) = (digest, key, signed, expected) else { return Err(together(wrong)) };
    let report = verify(&digest, &signed, &key, &expected);
    if terminal.json {
        terminal.json(&json!({ "verified": report.holds(), "digest": digest, "checks": report.checks, "statement": report.statement }));
    } else {
        tell(&report.checks, terminal);
    }
    Ok(if report.holds() { exit::OK } else { exit::FAILED })
}

fn tell(checks: &[Check], terminal: &Terminal) {
    for Check { holds, sentence, .. } in checks {
        terminal.data(&marked(terminal, if *holds { Mark::Good } else { Mark::Bad }, sentence));
    }
}

fn kept<T>(wrong: &mut Vec<Failure>, result: Result<T>) -> Option<T> {
    result.map_err(|failure| wrong.push(failure)).ok()
}

fn together(wrong: Vec<Failure>) -> Failure {
    let mut failures = wrong.into_iter();
    let first = failures.next().expect("something is wrong");
    failures.fold(first, |mut all, next| {
        all.message = format!("{}\n{}", all.message, next.message);
        all.hints.extend(next.hints);
        all
    })
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    match error.kind() {
        ErrorKind::NotFound => Failure::not_found(format!("there is no `{}`", path.display())),
        _ => Failure::usage(format!("`{}` can't be read: {error}", path.display())),
    }
}

fn content(path: &Path) -> Result<Vec<u8>> {
    let size = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?.len();
    if size > SIGNED_MAX_BYTES {
        return Err(Failure::usage(format!(
            "`{}` has {size} bytes, and no key or signature has more than {SIGNED_MAX_BYTES}",
            path.display()
        )));
    }
    std::fs::read(path).map_err(|error| unreadable(path, &error))
}

fn public_key(path: &Path) -> Result<PublicKey> {
    let pem = String::from_utf8_lossy(&content(path)?).into_owned();
    PublicKey::from_pem(&pem).map_err(|why| {
        Failure::usage(format!("`{}` is no public key that is read here: {why}", path.display()))
            .hint("`plimsoll attest key` prints the server's, `cosign public-key --key cosign.key` that of cosign's")
    })
}

fn signed(path: &Path) -> Result<Signed> {
    Signed::read(&content(path)?).map_err(|why| {
        Failure::usage(format!("`{}` holds no signature: {}", path.display(), why.0))
            .hint("`plimsoll release provenance` prints an envelope, `plimsoll attest sign` a signature")
    })
}

fn expected(args: &AttestVerify) -> Result<Expected> {
    let mut parameters = BTreeMap::new();
    for param in &args.params {
        let (name, value) = param.split_once('=').map_or((param.as_str(), None), |(name, value)| (name, Some(value.to_string())));
        if name.is_empty() {
            return Err(Failure::usage(format!("`--param {param}` names no parameter")).hint("`--param source.ref=refs/heads/main`"));
        }
        parameters.insert(name.to_string(), value);
    }
    let build_type = args.build_type.clone().unwrap_or_else(|| BUILD_TYPE.to_string());
    // Of another type nothing is known but what is named.
    let known = if build_type == BUILD_TYPE { PARAMETERS } else { &[] };
    Ok(Expected {
        predicate_type: predicate_type(args.predicate_type.as_deref().unwrap_or("slsaprovenance1"))?,
        builder_id: args.builder_id.clone().unwrap_or_else(|| BUILDER.to_string()),
        build_type,
        known: known.iter().map(|name| (*name).to_string()).collect(),
        parameters,
    })
}

/// The short names are cosign's.
fn predicate_type(name: &str) -> Result<String> {
    let address = match name {
        "slsaprovenance1" => PROVENANCE,
        "cyclonedx" => CYCLONEDX,
        "spdx" | "spdxjson" => "https://spdx.dev/Document",
        address if address.contains("://") => address,
        other => {
            return Err(Failure::usage(format!("`--type {other}` is neither a name that is known nor an address"))
                .hint("`slsaprovenance1`, `cyclonedx`, `spdx`, or the address of any type of predicate"));
        }
    };
    Ok(address.to_string())
}

pub async fn provenance(args: &Provenance, terminal: &Terminal) -> Result<u8> {
    let envelope: Value = running().await?.get(&path(&args.one, project_of(&args.one.of.dir)?, "/provenance")).await?;
    match args.statement {
        true => terminal.json(&inside(&envelope)?),
        false => terminal.json(&envelope),
    }
    Ok(exit::OK)
}

/// What the server's envelope says.
fn inside(envelope: &Value) -> Result<Statement> {
    let statement = Envelope::from_json(envelope).and_then(|envelope| Statement::read(&envelope));
    statement.map_err(|why| Failure::infrastructure(format!("the server answered with no envelope: {why}")))
}

pub async fn sbom(args: &Sbom, terminal: &Terminal) -> Result<u8> {
    let asked = format!("{}&signed={}", path(&args.one, project_of(&args.one.of.dir)?, "/sbom"), args.signed);
    let answer: Value = running().await?.get(&asked).await?;
    let inside = if args.signed { inside(&answer)?.predicate } else { answer.clone() };
    for why in gate::sbom::unread(&inside) {
        terminal.warn(&format!("not in it: {why}"));
    }
    terminal.json(&answer);
    Ok(exit::OK)
}

pub async fn artifact(args: &Artifact, terminal: &Terminal) -> Result<u8> {
    let stored: Stored = running().await?.get(&path(&args.one, project_of(&args.one.of.dir)?, "/artifact")).await?;
    let to = &args.output;
    let doing = format!("write {}", to.display());
    let mut from = std::fs::File::open(&stored.path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::not_found(format!("the artifact {} is not kept any more", stored.digest)),
        _ => Failure::from_error("read the artifact", &error),
    })?;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(to).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::usage(format!("`{}` is there already", to.display())).hint("name a file that isn't there"),
        _ => Failure::from_error(&doing, &error),
    })?;
    std::io::copy(&mut from, &mut file).doing(&doing)?;
    let written = host::keys::digest_of(to).doing("read what was written")?;
    if written != stored.digest {
        return Err(Failure::infrastructure(format!(
            "`{}` holds {written}, and {} was shipped: the disk or somebody changed it",
            to.display(),
            stored.digest
        )));
    }
    match terminal.json {
        true => terminal.json(&json!({ "file": to, "digest": stored.digest, "bytes": stored.bytes })),
        false => terminal.say(&format!("{} holds {}", to.display(), stored.digest)),
    }
    Ok(exit::OK)
}
