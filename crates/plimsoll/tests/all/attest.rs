//! What is stated of a release, who can verify it, and what is refused.

#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value as Json;

use crate::common::{Place, Said};

const CI: &str = "on: push\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo ${{ vars.REGION }}\n";

const LOCK: &str = "version = 4\n\n[[package]]\nname = \"itoa\"\nversion = \"1.0.15\"\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"4a5f13b858c8d314ee3e8f639011f7ccefe71f97f96e50151fb991f267928e2c\"\n";

fn up(place: &Place, more: &[&str]) {
    let args = [&["--quiet", "--strategy", "immediate"], more].concat();
    let said = place.up(&args);
    assert_eq!(said.code, 0, "{said:?}");
}

fn json(said: &Said) -> Json {
    assert_eq!(said.code, 0, "{said:?}");
    serde_json::from_str(&said.raw).unwrap()
}

/// The artifact, the envelope about it and the public key, as files beside the project.
fn fetch(place: &Place) {
    let keep = |name: &str, said: &Said| std::fs::write(place.path(name), &said.raw).unwrap();
    keep("key.pub", &place.say(&["attest", "key"]));
    keep("envelope.json", &place.say(&["release", "provenance"]));
    assert_eq!(place.say(&["release", "artifact", "--output", "../app.tar"]).code, 0);
}

fn verify(place: &Place, more: &[&str]) -> Said {
    place.say(&[&["attest", "verify", "--key", "../key.pub", "../app.tar", "../envelope.json"], more].concat())
}

/// Names of the files below a folder that hold these bytes.
fn holders(folder: &std::path::Path, bytes: &[u8], holding: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            holders(&entry.path(), bytes, holding);
        } else if kind.is_file() && std::fs::read(entry.path()).unwrap().windows(bytes.len()).any(|window| window == bytes) {
            holding.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
}

#[test]
fn provenance_says_what_was_built_from_what_and_whoever_has_the_key_can_tell() {
    let place = Place::with(&[(".github/workflows/ci.yml", CI)]);
    up(&place, &["--var", "REGION=north", "--var", "DEPLOY_TOKEN=hunter2"]);
    fetch(&place);
    let statement = json(&place.say(&["release", "provenance", "--statement"]));
    let view = json(&place.say(&["release", "view", "--json"]));
    let artifact = view["artifact"].as_str().unwrap();
    assert_eq!(statement["subject"][0]["digest"]["sha256"], artifact.trim_start_matches("sha256:"));
    assert_eq!(
        (&statement["_type"], &statement["predicateType"]),
        (&"https://in-toto.io/Statement/v1".into(), &"https://slsa.dev/provenance/v1".into())
    );
    let definition = &statement["predicate"]["buildDefinition"];
    assert_eq!(
        definition["externalParameters"],
        serde_json::json!({
            "source": { "repository": format!("file://{}", place.project().display()), "ref": "refs/heads/main", "folder": "" },
            "workflows": [".github/workflows/ci.yml"],
            "ships": "source",
            "event": "push",
            "vars": { "DEPLOY_TOKEN": "***", "REGION": "north" },
        })
    );
    assert_eq!(definition["resolvedDependencies"][0]["digest"]["gitCommit"], view["commit"]["sha"]);
    assert_eq!(definition["internalParameters"]["jobs"][".github/workflows/ci.yml/test"], "host");
    let details = &statement["predicate"]["runDetails"];
    assert_eq!((&details["metadata"]["invocationId"], &details["metadata"]["startedOn"]), (&view["id"], &view["created"]));
    assert!(!std::fs::read_to_string(place.path("envelope.json")).unwrap().contains("hunter2"));

    // Nothing that a step, a reader of the record or of a log can come to by itself holds the key.
    let secret = std::fs::read_to_string(place.state().join("server.key")).unwrap();
    let secret = secret.lines().nth(1).unwrap();
    let mut holding = Vec::new();
    holders(&place.state(), secret.as_bytes(), &mut holding);
    assert_eq!(holding, ["server.key"]);

    // Who built with other variables built something else.
    let said = verify(&place, &[]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("✖ nobody expects the external parameter `vars.REGION`, which is `north`"), "{said:?}");
    let expected = ["--param", "vars.REGION=north", "--param", "vars.DEPLOY_TOKEN", "--param", "source.ref=refs/heads/main"];
    let said = verify(&place, &expected);
    assert_eq!((said.code, said.out.matches("✔").count(), said.out.contains("✖")), (0, 6, false), "{said:?}");
    let report: Json = serde_json::from_str(&verify(&place, &[&expected[..], &["--json"]].concat()).raw).unwrap();
    assert_eq!((&report["verified"], &report["checks"][0]["step"]), (&true.into(), &"signature".into()));
    let said = verify(&place, &["--param", "source.ref=refs/heads/release"]);
    assert!(said.out.contains("`source.ref` is `refs/heads/main`, and `refs/heads/release` is expected"), "{said:?}");

    // Another file, and another statement.
    std::fs::write(place.path("app.tar"), "something else").unwrap();
    let said = verify(&place, &expected);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("✖ this is sha256:HASH, and the statement is about sha256:HASH"), "{said:?}");
    let mut envelope: Json = serde_json::from_str(&std::fs::read_to_string(place.path("envelope.json")).unwrap()).unwrap();
    envelope["payload"] = "e30=".into();
    std::fs::write(place.path("envelope.json"), envelope.to_string()).unwrap();
    let said = verify(&place, &expected);
    assert_eq!((said.code, said.out.trim()), (1, "✖ none of the envelope's signatures is this key's"), "{said:?}");
}

#[test]
fn the_servers_key_is_its_owners_alone_and_signs_any_file() {
    let place = Place::with_app();
    let key = place.say(&["attest", "key"]);
    assert!(key.raw.starts_with("-----BEGIN PUBLIC KEY-----\n") && key.raw.ends_with("-----END PUBLIC KEY-----\n"), "{key:?}");
    assert_eq!(place.say(&["attest", "key"]).raw, key.raw);
    let secret = place.state().join("server.key");
    assert_eq!(std::fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::write(place.path("key.pub"), &key.raw).unwrap();
    let signature = place.say(&["attest", "sign", "app.py"]);
    std::fs::write(place.path("app.sig"), &signature.raw).unwrap();
    let ask = |file: &str| place.say(&["attest", "verify", "--key", "../key.pub", file, "../app.sig"]);
    let said = ask("app.py");
    assert_eq!((said.code, said.out.trim()), (0, "✔ the key has signed sha256:HASH"), "{said:?}");
    assert_eq!(ask("plimsoll.yaml").code, 1);
    // Whose signature would be that of an envelope nobody looked into.
    place.write("trap", "DSSEv1 28 application/vnd.in-toto+json 2 {}");
    let said = place.say(&["attest", "sign", "trap"]);
    assert!(said.code == 2 && said.raw.is_empty() && said.err.contains("`trap` is what an envelope signs"), "{said:?}");

    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o644)).unwrap();
    let said = place.say(&["attest", "key"]);
    assert!(said.code == 8 && said.err.contains("others than its owner can read or change the key `DIR/state/server.key`"), "{said:?}");
    std::fs::remove_dir_all(place.state()).unwrap();
}

#[test]
fn a_bill_of_materials_is_of_the_commit_that_was_shipped() {
    let place = Place::with(&[("Cargo.lock", LOCK), ("Gemfile.lock", "GEM\n")]);
    up(&place, &[]);
    place.write("Cargo.lock", &LOCK.replace("itoa", "other"));
    let said = place.say(&["release", "sbom"]);
    assert_eq!(said.err.trim(), "warning: not in it: Gemfile.lock: this kind of lock file isn't read");
    let document = json(&said);
    let artifact = json(&place.say(&["release", "view", "--json"]))["artifact"].clone();
    assert_eq!(document["metadata"]["component"]["hashes"][0]["content"], artifact.as_str().unwrap().trim_start_matches("sha256:"));
    let purls = |document: &Json| {
        document["components"].as_array().unwrap().iter().map(|it| it["purl"].as_str().unwrap().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(purls(&document), ["pkg:cargo/itoa@1.0.15"]);
    // The working tree as it was when it went out, and not as it is.
    up(&place, &["--dirty"]);
    place.write("Cargo.lock", LOCK);
    assert_eq!(purls(&json(&place.say(&["release", "sbom"]))), ["pkg:cargo/other@1.0.15"]);
    assert_eq!(json(&place.say(&["release", "sbom", "1"])), document, "asked again it is the same");
    let envelope = place.say(&["release", "sbom", "1", "--signed"]);
    std::fs::write(place.path("sbom.json"), &envelope.raw).unwrap();
    assert_eq!(json(&place.say(&["attest", "show", "../sbom.json"]))["predicate"], document);
    let statement = json(&place.say(&["release", "provenance", "--statement"]));
    assert_eq!(statement["predicate"]["buildDefinition"]["resolvedDependencies"][1]["name"], "working tree");
    fetch(&place);
    let said = verify(&place, &[]);
    assert!(said.code == 1 && said.out.contains("nobody expects the external parameter `source.dirty`, which is `true`"), "{said:?}");
    assert_eq!(place.say(&["release", "artifact", "1", "--output", "../first.tar"]).code, 0);
    let of_type = ["attest", "verify", "--key", "../key.pub", "--type", "cyclonedx"];
    let said = place.say(&[&of_type[..], &["../first.tar", "../sbom.json"]].concat());
    assert_eq!((said.code, said.out.matches("✔").count()), (0, 3), "{said:?}");
    assert_eq!(place.say(&[&of_type[..], &["../app.tar", "../sbom.json"]].concat()).code, 1, "it is about another artifact");

    assert_eq!(place.say(&["release", "rollback"]).code, 0);
    for what in ["provenance", "sbom"] {
        place
            .say(&["release", what])
            .ends(9, &["error: release-3 built nothing: it went back to revision HASH, which an earlier release built"]);
    }
}

#[test]
fn what_cannot_be_verified_says_why_all_at_once() {
    let place = Place::with_app();
    place.say(&["release", "provenance"]).is(9, "error: nothing has been brought up here\nhint: `plimsoll up` does");
    place
        .say(&["attest", "verify", "--key", "no.pub", "no.tar", "no.json"])
        .is(9, "error: there is no `no.tar`\nthere is no `no.pub`\nthere is no `no.json`");
    place.write("hello", "hello\n");
    let said = place.say(&["attest", "verify", "--key", "hello", "--type", "vulns", "--param", "=x", "hello", "hello"]);
    said.is(
        2,
        "
error: `hello` is no public key that is read here: it is no PEM: `-----BEGIN PUBLIC KEY-----` is missing
`hello` holds no signature: it is neither a DSSE envelope, a sigstore bundle nor a signature in base64
`--param =x` names no parameter
hint: `plimsoll attest key` prints the server's, `cosign public-key --key cosign.key` that of cosign's
hint: `plimsoll release provenance` prints an envelope, `plimsoll attest sign` a signature
hint: `--param source.ref=refs/heads/main`",
    );
    assert_eq!(place.say(&["attest", "sign", "nothing"]).code, 9);
}

#[test]
fn an_artifact_is_written_over_nothing() {
    let place = Place::with_app();
    up(&place, &[]);
    place.write("taken", "mine");
    place.say(&["release", "artifact", "--output", "taken"]).is(2, "error: `taken` is there already\nhint: name a file that isn't there");
    assert_eq!(std::fs::read_to_string(place.project().join("taken")).unwrap(), "mine");
    let said = place.say(&["release", "artifact", "--output", "../app.tar"]);
    said.is(0, "../app.tar holds sha256:HASH");
}
