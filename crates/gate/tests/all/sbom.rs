//! What the lock files of every kind say, and that the document is CycloneDX as its own schema has it.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use base::{Digest, Timestamp};
use gate::sbom::{About, LockFile, document, is_wanted, unread};
use serde_json::{Value, json};

fn testdata(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(path)
}

fn about() -> About {
    About {
        name: "app".to_string(),
        version: "0123456789abcdef0123456789abcdef01234567".to_string(),
        artifact: Digest::of(b"what ships"),
        at: Timestamp::from_ms(1_764_000_000_000),
        tool_version: "0.1.0".to_string(),
    }
}

#[test]
fn every_kind_of_lock_file_is_read_as_expected() {
    let mut cases: Vec<PathBuf> = fs::read_dir(testdata("sbom")).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() > 10, "{cases:?}");
    let schema = schema();
    for case in cases {
        let mut files = Vec::new();
        collect(&case, &case, &mut files);
        files.sort_by(|left, right| left.path.cmp(&right.path));
        let document = document(&about(), &files);
        assert_valid(&schema, &document);
        let mut seen: Vec<String> = document["components"].as_array().unwrap().iter().map(line).collect();
        seen.extend(unread(&document).into_iter().map(|why| format!("not in it: {why}")));
        let seen = seen.join("\n") + "\n";
        let path = case.join("expected.txt");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&path, &seen).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap_or_default(), seen, "UPDATE_EXPECT=1 rewrites {}", path.display());
    }
}

/// `pkg:npm/ms@2.1.3 excluded SHA-512:e8… [package-lock.json]`.
fn line(component: &Value) -> String {
    let hashes = |of: &Value| {
        let hashes = of["hashes"].as_array().into_iter().flatten();
        hashes.map(|hash| format!(" {}:{:.8}…", hash["alg"].as_str().unwrap(), hash["content"].as_str().unwrap())).collect::<String>()
    };
    let files = component["externalReferences"].as_array().into_iter().flatten();
    let files: String = files.map(|file| format!("\n    {}{}", file["url"].as_str().unwrap(), hashes(file))).collect();
    let properties = component["properties"].as_array().unwrap().iter();
    let properties: Vec<&str> = properties.map(|property| property["value"].as_str().unwrap()).collect();
    let scope = component["scope"].as_str().map(|scope| format!(" {scope}")).unwrap_or_default();
    format!("{}{scope}{} {properties:?}{files}", component["purl"].as_str().unwrap(), hashes(component))
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<LockFile>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_string();
        match path.is_dir() {
            true => collect(root, &path, files),
            false if is_wanted(&name) => files.push(LockFile { path: name, bytes: fs::read(&path).unwrap() }),
            false => assert_eq!(name, "expected.txt"),
        }
    }
}

/// What it refers to, names of licences and the form of signatures, is in no document of ours.
fn schema() -> jsonschema::Validator {
    let text = fs::read_to_string(testdata("schema/cyclonedx-1.6.json")).unwrap();
    let mut schema: Value = serde_json::from_str(&text).unwrap();
    without_references(&mut schema);
    jsonschema::validator_for(&schema).unwrap()
}

fn without_references(value: &mut Value) {
    match value {
        Value::Object(object) if object.get("$ref").and_then(Value::as_str).is_some_and(|to| !to.starts_with('#')) => *value = json!({}),
        Value::Object(object) => object.values_mut().for_each(without_references),
        Value::Array(array) => array.iter_mut().for_each(without_references),
        _ => {}
    }
}

#[track_caller]
fn assert_valid(schema: &jsonschema::Validator, document: &Value) {
    let errors: Vec<String> = schema.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert_eq!(errors, Vec::<String>::new());
}

#[test]
fn a_document_names_the_artifact_and_is_the_same_for_the_same_files() {
    let file = LockFile { path: "Cargo.lock".to_string(), bytes: fs::read(testdata("sbom/cargo/Cargo.lock")).unwrap() };
    let one = document(&about(), std::slice::from_ref(&file));
    assert_eq!(one, document(&about(), &[file]));
    let component = &one["metadata"]["component"];
    assert_eq!((&component["name"], &component["hashes"][0]["content"]), (&"app".into(), &Digest::of(b"what ships").hex().into()));
    assert_eq!(one["compositions"][0]["aggregate"], "unknown");
    let wrong = json!({ "bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{ "name": "no type" }] });
    assert!(!schema().is_valid(&wrong), "the schema refuses what is no CycloneDX");
}

#[test]
fn a_commit_without_any_lock_file_says_so() {
    let empty = document(&about(), &[]);
    assert_valid(&schema(), &empty);
    assert_eq!(unread(&empty), ["no lock file says what this is made of"]);
    assert_eq!(empty["compositions"][0]["aggregate"], "incomplete");
}

/// Whatever a stranger commits, a document comes out, and what was not understood is said.
#[test]
fn cut_and_turned_lock_files_end_in_a_document() {
    let schema = schema();
    for case in [
        "cargo/Cargo.lock",
        "npm/package-lock.json",
        "pnpm/pnpm-lock.yaml",
        "yarn-1/yarn.lock",
        "yarn-later/yarn.lock",
        "uv/uv.lock",
        "poetry/poetry.lock",
        "requirements/requirements.txt",
        "go/go.mod",
        "go/go.sum",
    ] {
        let whole = fs::read(testdata("sbom").join(case)).unwrap();
        let path = case.rsplit('/').next().unwrap().to_string();
        for at in (0..whole.len()).step_by(37) {
            let cut = LockFile { path: path.clone(), bytes: whole[..at].to_vec() };
            let mut turned = whole.clone();
            turned[at] ^= 0x15;
            assert_valid(&schema, &document(&about(), &[cut]));
            assert_valid(&schema, &document(&about(), &[LockFile { path: path.clone(), bytes: turned }]));
        }
    }
    let deep = (0..200).fold("{}".to_string(), |inner, _| format!(r#"{{"version":"1","dependencies":{{"a":{inner}}}}}"#));
    let file = |path: &str, bytes: Vec<u8>| LockFile { path: path.to_string(), bytes };
    for odd in [file("package-lock.json", deep.into_bytes()), file("Cargo.lock", vec![0xff; 10]), file("go.mod", vec![b'('; 100_000])] {
        assert_valid(&schema, &document(&about(), &[odd]));
    }
}

/// Counted another way: of our own.
#[test]
fn every_package_of_a_large_lock_file_is_listed_once_with_its_checksum() {
    let bytes = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock")).unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let lines = |begin: &str| text.lines().filter(|line| line.starts_with(begin)).count();
    let (sources, checksums) = (lines("source = "), lines("checksum = "));
    let document = document(&about(), &[LockFile { path: "Cargo.lock".to_string(), bytes }]);
    let components = document["components"].as_array().unwrap();
    assert!(sources > 200 && components.len() == sources, "{} of {sources}", components.len());
    assert_eq!(components.iter().filter(|component| component["hashes"][0]["alg"] == "SHA-256").count(), checksums);
}

/// Twenty thousand packages are read in the time in which somebody waits for an answer, however the format nests them.
#[test]
fn a_very_large_lock_file_takes_no_longer_than_its_size() {
    let package = |at: usize| format!("  a{at}@1.0.{at}:\n    resolution: {{integrity: sha1-qvTGHdzF6KLavt4PO0gs2a6pQ00=}}\n");
    let snapshot = |at: usize| format!("  a{at}@1.0.{at}:\n    optional: true\n");
    let all = |of: &dyn Fn(usize) -> String| (0..20_000).map(of).collect::<String>();
    let text = format!("lockfileVersion: '9.0'\npackages:\n{}snapshots:\n{}", all(&package), all(&snapshot));
    let begun = std::time::Instant::now();
    let document = document(&about(), &[LockFile { path: "pnpm-lock.yaml".to_string(), bytes: text.into_bytes() }]);
    assert_eq!(document["components"].as_array().unwrap().iter().filter(|it| it["scope"] == "optional").count(), 20_000);
    assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
}
