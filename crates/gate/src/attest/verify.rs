//! Whether a file is what somebody's signature says of it, in the order in which SLSA asks.
//!
//! ```text
//! signature → statement → subject → predicate type → builder → build type → external parameters
//! ```
//!
//! Without the signature nothing else means anything, so nothing else is asked; after it everything that is wrong is said at once.

use std::collections::BTreeMap;

use base::Digest;
use serde::Serialize;
use serde_json::Value;

use super::{PROVENANCE, PublicKey, Signed, Statement};

/// What whoever asks takes for right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    pub predicate_type: String,
    pub builder_id: String,
    pub build_type: String,
    /// External parameters that the build type always has, by their path: `source.ref`.
    pub known: Vec<String>,
    /// Others that are fine, and values that they and those must have.
    pub parameters: BTreeMap<String, Option<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    Signature,
    Statement,
    Subject,
    Annotations,
    PredicateType,
    BuilderId,
    BuildType,
    ExternalParameters,
}

/// One question, its answer and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    pub step: Step,
    pub holds: bool,
    pub sentence: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    pub checks: Vec<Check>,
    /// What was signed, once the signature holds; a bare signature says nothing more.
    pub statement: Option<Statement>,
}

impl Report {
    pub fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.holds)
    }

    pub(super) fn add(&mut self, step: Step, holds: bool, sentence: String) -> bool {
        self.checks.push(Check { step, holds, sentence });
        holds
    }
}

pub fn verify(file: &Digest, signed: &Signed, key: &PublicKey, expected: &Expected) -> Report {
    let mut report = Report { checks: Vec::new(), statement: None };
    let envelope = match signed {
        Signed::File { signature, .. } => {
            if signed.names_another(file) {
                report.add(Step::Signature, false, format!("the bundle is of another file: this one is {file}"));
            } else if key.verify(file, signature) {
                report.add(Step::Signature, true, format!("the key has signed {file}"));
            } else {
                report.add(Step::Signature, false, format!("the signature is not this key's over {file}: another key, or another file"));
            }
            return report;
        }
        Signed::Envelope(envelope) => envelope,
    };
    let is_signed = envelope.is_signed_by(key);
    let sentence = if is_signed { "the key has signed the envelope" } else { "none of the envelope's signatures is this key's" };
    if !report.add(Step::Signature, is_signed, sentence.to_string()) {
        return report;
    }
    match Statement::read(envelope) {
        Ok(statement) => {
            look(&mut report, file, &statement, expected);
            report.statement = Some(statement);
        }
        Err(why) => {
            report.add(Step::Statement, false, why);
        }
    }
    report
}

fn look(report: &mut Report, file: &Digest, statement: &Statement, expected: &Expected) {
    let is_about = statement.is_about(file);
    report.add(Step::Subject, is_about, subject(file, statement, is_about));
    let predicate_type = Value::from(statement.predicate_type.as_str());
    if !equal(report, Step::PredicateType, "the predicate's type", &predicate_type, &expected.predicate_type)
        || statement.predicate_type != PROVENANCE
    {
        return;
    }
    let definition = &statement.predicate["buildDefinition"];
    equal(report, Step::BuilderId, "the builder", &statement.predicate["runDetails"]["builder"]["id"], &expected.builder_id);
    // What a parameter means is the build type's to say.
    if equal(report, Step::BuildType, "the build type", &definition["buildType"], &expected.build_type) {
        parameters(report, &definition["externalParameters"], expected);
    }
}

fn subject(file: &Digest, statement: &Statement, is_about: bool) -> String {
    if is_about {
        return format!("the statement is about {file}");
    }
    let others: Vec<&str> = statement.subject.iter().filter_map(|subject| subject.digest.get("sha256")).map(String::as_str).collect();
    match others.as_slice() {
        [] => format!("this is {file}, and the statement names no subject by its SHA-256"),
        others => format!("this is {file}, and the statement is about sha256:{}", others.join(", sha256:")),
    }
}

fn equal(report: &mut Report, step: Step, what: &str, found: &Value, expected: &str) -> bool {
    match found.as_str() {
        Some(found) if found == expected => report.add(step, true, format!("{what} is `{found}`")),
        Some(found) => report.add(step, false, format!("{what} is `{found}`, and `{expected}` is expected")),
        None => report.add(step, false, format!("{what} is missing, and `{expected}` is expected")),
    }
}

/// Whoever sets a parameter that nobody expects may have changed the build with it.
fn parameters(report: &mut Report, found: &Value, expected: &Expected) {
    let Some(object) = found.as_object() else {
        report.add(Step::ExternalParameters, false, "`externalParameters` is missing".to_string());
        return;
    };
    let mut leaves = BTreeMap::new();
    for (name, value) in object {
        flatten(name, value, &mut leaves);
    }
    let before = report.checks.len();
    for (path, value) in &leaves {
        let wanted = expected.parameters.get(path);
        match wanted {
            Some(Some(wanted)) if wanted != value => {
                let sentence = format!("the external parameter `{path}` is `{value}`, and `{wanted}` is expected");
                report.add(Step::ExternalParameters, false, sentence);
            }
            None if !expected.known.contains(path) => {
                let sentence = format!("nobody expects the external parameter `{path}`, which is `{value}`");
                report.add(Step::ExternalParameters, false, sentence);
            }
            _ => {}
        }
    }
    for (path, wanted) in expected.parameters.iter().filter(|(path, _)| !leaves.contains_key(*path)) {
        if let Some(wanted) = wanted {
            let sentence = format!("the external parameter `{path}` is missing, and `{wanted}` is expected");
            report.add(Step::ExternalParameters, false, sentence);
        }
    }
    if report.checks.len() == before {
        report.add(Step::ExternalParameters, true, format!("all {} external parameters are expected", leaves.len()));
    }
}

/// Texts as they are, everything else as JSON; an object is what it holds.
fn flatten(path: &str, value: &Value, leaves: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(object) => object.iter().for_each(|(name, value)| flatten(&format!("{path}.{name}"), value, leaves)),
        Value::String(text) => drop(leaves.insert(path.to_string(), text.clone())),
        other => drop(leaves.insert(path.to_string(), other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::dsse::Envelope;
    use super::*;
    use crate::attest::SigningKey;
    use serde_json::json;

    const FILE: &[u8] = b"what ships";

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_random(&[seed; 32]).unwrap()
    }

    fn expected() -> Expected {
        Expected {
            predicate_type: PROVENANCE.to_string(),
            builder_id: "builder".to_string(),
            build_type: "type".to_string(),
            known: vec!["source.ref".to_string()],
            parameters: BTreeMap::new(),
        }
    }

    fn predicate() -> Value {
        json!({
            "buildDefinition": { "buildType": "type", "externalParameters": { "source": { "ref": "main" } } },
            "runDetails": { "builder": { "id": "builder" } },
        })
    }

    fn statement() -> Statement {
        Statement::of("app.tar", &Digest::of(FILE), PROVENANCE, predicate())
    }

    /// The steps in order, those that don't hold with their sentences.
    fn told(signed: &Signed, expected: &Expected) -> Vec<String> {
        let report = verify(&Digest::of(FILE), signed, &key(7).public(), expected);
        assert_eq!(report.holds(), report.checks.iter().all(|check| check.holds));
        let word = |step: Step| serde_json::to_value(step).unwrap().as_str().unwrap().to_string();
        let line = |check: &Check| if check.holds { word(check.step) } else { format!("{}: {}", word(check.step), check.sentence) };
        report.checks.iter().map(line).collect()
    }

    fn signed(statement: &Statement) -> Signed {
        Signed::Envelope(statement.sign(&key(7)))
    }

    #[test]
    fn what_is_right_is_asked_in_the_order_of_the_specification() {
        let all = ["signature", "subject", "predicate-type", "builder-id", "build-type", "external-parameters"];
        assert_eq!(told(&signed(&statement()), &expected()), all);
        assert_eq!(told(&signed(&Statement { kind: "https://in-toto.io/Statement/v0.1".to_string(), ..statement() }), &expected()), all);
    }

    #[test]
    fn without_the_signature_nothing_else_is_asked() {
        let other = Signed::Envelope(statement().sign(&key(8)));
        assert_eq!(told(&other, &expected()), ["signature: none of the envelope's signatures is this key's"]);
        let bare = |message: &[u8]| Signed::File { signature: key(7).sign(&Digest::of(message)), digest: None };
        assert_eq!(told(&bare(FILE), &expected()), ["signature"]);
        assert!(told(&bare(b"else"), &expected())[0].starts_with("signature: the signature is not this key's over sha256:"));
        let of_another = Signed::File { signature: key(7).sign(&Digest::of(FILE)), digest: Some(vec![1]) };
        assert!(told(&of_another, &expected())[0].starts_with("signature: the bundle is of another file"));
    }

    #[test]
    fn what_was_signed_and_is_no_statement_is_not_believed() {
        let envelope = |kind: &str, payload: &[u8]| Signed::Envelope(Envelope::sign(kind, payload.to_vec(), &key(7)));
        let last = |signed: &Signed| told(signed, &expected()).pop().unwrap();
        assert_eq!(last(&envelope("text/plain", b"x")), "statement: what was signed is `text/plain`, not `application/vnd.in-toto+json`");
        assert!(last(&envelope("application/vnd.in-toto+json", b"[]")).starts_with("statement: what was signed is no statement: "));
        let other = Statement { kind: "https://in-toto.io/Statement/v2".to_string(), ..statement() };
        assert!(last(&signed(&other)).starts_with("statement: what was signed is `https://in-toto.io/Statement/v2`"));
    }

    #[test]
    fn everything_that_is_wrong_behind_the_signature_is_said_at_once() {
        let mut wrong = Statement::of("app.tar", &Digest::of(b"else"), PROVENANCE, predicate());
        wrong.predicate["runDetails"]["builder"]["id"] = json!("a laptop");
        wrong.predicate["buildDefinition"]["externalParameters"] =
            json!({ "source": { "ref": "topic" }, "vars": { "DEBUG": "1" }, "n": [1] });
        let mut expected = expected();
        expected.parameters.insert("source.ref".to_string(), Some("main".to_string()));
        expected.parameters.insert("event".to_string(), Some("push".to_string()));
        assert_eq!(
            told(&signed(&wrong), &expected)[1..],
            [
                format!("subject: this is {}, and the statement is about {}", Digest::of(FILE), Digest::of(b"else")),
                "predicate-type".to_string(),
                "builder-id: the builder is `a laptop`, and `builder` is expected".to_string(),
                "build-type".to_string(),
                "external-parameters: nobody expects the external parameter `n`, which is `[1]`".to_string(),
                "external-parameters: the external parameter `source.ref` is `topic`, and `main` is expected".to_string(),
                "external-parameters: nobody expects the external parameter `vars.DEBUG`, which is `1`".to_string(),
                "external-parameters: the external parameter `event` is missing, and `push` is expected".to_string(),
            ]
        );
        expected.parameters =
            BTreeMap::from([("n", None), ("vars.DEBUG", Some("1"))].map(|(name, value)| (name.into(), value.map(String::from))));
        assert_eq!(told(&signed(&wrong), &expected).last().map(String::as_str), Some("external-parameters"));
    }

    #[test]
    fn a_statement_without_the_parts_of_provenance_is_refused() {
        let empty = Statement { predicate: json!({}), subject: Vec::new(), ..statement() };
        let told_of_empty = told(&signed(&empty), &expected());
        assert!(told_of_empty[1].ends_with("and the statement names no subject by its SHA-256"), "{told_of_empty:?}");
        assert_eq!(
            told_of_empty[3..],
            [
                "builder-id: the builder is missing, and `builder` is expected",
                "build-type: the build type is missing, and `type` is expected"
            ]
        );
        let mut without = statement();
        without.predicate["buildDefinition"]["externalParameters"] = Value::Null;
        assert_eq!(told(&signed(&without), &expected()).pop().unwrap(), "external-parameters: `externalParameters` is missing");
        let other = Statement { predicate_type: "https://cyclonedx.org/bom".to_string(), ..statement() };
        assert!(
            told(&signed(&other), &expected())
                .pop()
                .unwrap()
                .starts_with("predicate-type: the predicate's type is `https://cyclonedx.org/bom`")
        );
        let wanted = Expected { predicate_type: "https://cyclonedx.org/bom".to_string(), ..expected() };
        assert_eq!(told(&signed(&other), &wanted), ["signature", "subject", "predicate-type"]);
    }
}
