//! Reports in JSON, by the keys near their start and where these stand.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::outline::Outline;
use super::{Format, after_end, contains};
use crate::attest::dsse::IN_TOTO;
use crate::evidence::benchmark::Bench;
use crate::evidence::bill::BillFormat;
use crate::evidence::scanner::Scanner;

pub(super) fn format(text: &[u8]) -> Option<Format> {
    if is_sarif(text) {
        return Some(Format::Sarif);
    }
    let outline = Outline::of(text);
    if is_attestation(&outline, text) {
        return Some(Format::Attestation);
    }
    tests(&outline)
        .or_else(|| coverage(&outline))
        .or_else(|| bench(&outline).map(Format::Bench))
        .or_else(|| sbom(&outline).map(Format::Sbom))
        .or_else(|| scan(&outline).map(Format::Scanner))
}

/// A DSSE envelope or a bundle of sigstore. The payload may stand first, and be longer than what is looked at.
fn is_attestation(outline: &Outline, text: &[u8]) -> bool {
    let is_bundle = outline.value("mediaType").is_some_and(|media| media.starts_with("application/vnd.dev.sigstore.bundle"));
    let is_envelope = outline.value("payloadType") == Some(IN_TOTO) && outline.has_any(&["payload", "signatures", "signatures/*/sig"]);
    is_bundle || is_envelope || begins_with_statement(text)
}

fn begins_with_statement(text: &[u8]) -> bool {
    let Some(payload) = after_end(text, b"\"payload\"").filter(|rest| text.len() - rest.len() < 20) else { return false };
    let Some(payload) = payload.trim_ascii_start().strip_prefix(b":").and_then(|rest| rest.trim_ascii_start().strip_prefix(b"\"")) else {
        return false;
    };
    let length = payload.iter().position(|byte| *byte == b'"').unwrap_or(payload.len()) / 4 * 4;
    STANDARD.decode(&payload[..length]).is_ok_and(|statement| contains(&statement, b"https://in-toto.io/Statement/"))
}

pub(super) fn tests(outline: &Outline) -> Option<Format> {
    let action = outline.value("Action").unwrap_or_default();
    let actions =
        ["start", "run", "pause", "cont", "pass", "bench", "fail", "output", "skip", "attr", "artifacts", "build-output", "build-fail"];
    if actions.contains(&action) && outline.has_any(&["Package", "ImportPath", "Test"]) {
        return Some(Format::GoTest);
    }
    let begins = matches!(outline.value("type"), Some("suite" | "test")) && outline.value("event") == Some("started");
    (begins && outline.has_any(&["test_count", "name"])).then_some(Format::Libtest)
}

fn coverage(outline: &Outline) -> Option<Format> {
    if outline.has("meta/version") && outline.has_any(&["meta/branch_coverage", "meta/show_contexts"]) {
        return Some(Format::CoveragePy);
    }
    let measured = ["data/*/files/*/branches", "data/*/files/*/segments", "data/*/files/*/expansions", "data/*/files/*/summary/lines"];
    (outline.has_any(&measured) || outline.value("type") == Some("llvm.coverage.json.export")).then_some(Format::LlvmCov)
}

fn bench(outline: &Outline) -> Option<Bench> {
    let all = |paths: &[&str]| paths.iter().all(|path| outline.has(path));
    Some(match () {
        () if all(&["results/*/command", "results/*/mean", "results/*/median"]) => Bench::Hyperfine,
        // Not of a folder `change`, which has a mean and a median only: of the change, in parts of one.
        () if all(&["mean/point_estimate", "median_abs_dev/point_estimate", "std_dev/point_estimate"]) => Bench::Criterion,
        () if all(&["group_id", "full_id", "directory_name"]) => Bench::CriterionName,
        () if outline.value("reason") == Some("benchmark-complete") && outline.has("id") => Bench::CargoCriterion,
        () => return None,
    })
}

/// What it is may be said at its end only, so that the shape of its components counts too.
fn sbom(outline: &Outline) -> Option<BillFormat> {
    let value = |path: &str| outline.value(path).unwrap_or_default();
    let context = |path: &str| value(path).contains("spdx.org/rdf/3");
    Some(match () {
        () if value("bomFormat") == "CycloneDX" || value("$schema").contains("cyclonedx.org/schema/bom") => BillFormat::CycloneDx,
        () if outline.has("components/*/bom-ref") || outline.has("metadata/component/bom-ref") => BillFormat::CycloneDx,
        () if value("spdxVersion").starts_with("SPDX-") => BillFormat::Spdx2,
        () if outline.has_any(&["packages/*/SPDXID", "files/*/SPDXID"]) || value("SPDXID") == "SPDXRef-DOCUMENT" => BillFormat::Spdx2,
        () if context("@context") || context("@context/*") => BillFormat::Spdx3,
        () if outline.has("@graph/*/spdxId") => BillFormat::Spdx3,
        () => return None,
    })
}

/// Empty lists leave little to be told by, so the keys around the findings count too.
fn scan(outline: &Outline) -> Option<Scanner> {
    let all = |paths: &[&str]| paths.iter().all(|path| outline.has(path));
    let any = |paths: &[&str]| outline.has_any(paths);
    let value = |path: &str| outline.value(path).unwrap_or_default();
    Some(match () {
        () if is_gitlab(outline) => Scanner::Gitlab,
        () if all(&["SchemaVersion"]) && any(&["ArtifactName", "ArtifactType", "Results"]) => Scanner::Trivy,
        () if all(&["matches/*/vulnerability", "matches/*/artifact"]) || all(&["matches/*/vulnerability/id"]) => Scanner::Grype,
        () if all(&["matches", "source/type", "source/target"]) || (all(&["matches"]) && value("descriptor/name") == "grype") => {
            Scanner::Grype
        }
        () if all(&["results/*/check_id"]) || (all(&["results", "errors"]) && any(&["paths/scanned", "interfile_languages_used"])) => {
            Scanner::Semgrep
        }
        () if all(&["version", "errors", "paths/scanned"]) => Scanner::Semgrep,
        () if all(&["errors", "generated_at", "metrics"]) || all(&["results/*/test_id", "results/*/issue_severity"]) => Scanner::Bandit,
        () if all(&["*/StartLine", "*/EndLine"]) && any(&["*/RuleID", "*/Description"]) => Scanner::Gitleaks,
        () if all(&["SourceMetadata", "SourceID"]) || value("logger") == "trufflehog" => Scanner::Trufflehog,
        () if any(&["dependencies/*/vulns", "dependencies/*/skip_reason"]) || all(&["dependencies", "fixes"]) => Scanner::PipAudit,
        () if all(&["*/name", "*/version", "*/vulns"]) => Scanner::PipAudit,
        () if all(&["auditReportVersion"]) || (all(&["actions"]) && any(&["advisories", "actions/*/resolves"])) => Scanner::Npm,
        () if all(&["error/summary"]) && (value("error/code").contains("AUDIT") || value("error/code") == "ENOLOCK") => Scanner::Npm,
        () if all(&["error/summary"]) && value("uri").contains("/npm/v1/security/") => Scanner::Npm,
        () if all(&["vulnerabilities/list", "vulnerabilities/found"]) || all(&["database/advisory-count", "lockfile"]) => {
            Scanner::CargoAudit
        }
        () if is_checkov(outline) => Scanner::Checkov,
        () if any(&["site/*/@name", "site/*/alerts", "site/@name"])
            || (all(&["@version", "site"]) && value("@programName").contains("ZAP")) =>
        {
            Scanner::Zap
        }
        () if all(&["Issues"]) && any(&["Issues/*/FromLinter", "Report"]) => Scanner::Golangci,
        () if all(&["*/code", "*/level", "*/line", "*/file"]) && ["DL", "SC"].iter().any(|prefix| value("*/code").starts_with(prefix)) => {
            Scanner::Hadolint
        }
        () => return None,
    })
}

/// The scan may stand far behind its findings, or before them.
fn is_gitlab(outline: &Outline) -> bool {
    let told = [
        "vulnerabilities/*/category",
        "vulnerabilities/*/identifiers",
        "vulnerabilities/*/location",
        "scan/scanner",
        "scan/type",
        "scan/analyzer",
    ];
    let schema = outline.value("schema").is_some_and(|schema| schema.contains("security-report"));
    schema || (outline.has("vulnerabilities") && outline.has("version") && outline.has_any(&told))
}

fn is_checkov(outline: &Outline) -> bool {
    let report = |kind: &str, results: [&str; 2]| outline.has(kind) && outline.has_any(&results);
    report("check_type", ["results/passed_checks", "results/failed_checks"])
        || report("*/check_type", ["*/results/passed_checks", "*/results/failed_checks"])
        || (outline.has("checkov_version") && outline.has("resource_count"))
}

/// SARIF by what it must have near its start: a list of `runs` and its schema or its version, or the list first of all.
fn is_sarif(text: &[u8]) -> bool {
    let schema = contains(text, b"sarif");
    let first = text[1..].trim_ascii_start().starts_with(b"\"runs\"");
    let runs = has_list(text, b"\"runs\"");
    (runs && (schema || first || contains(text, b"\"2.1.0\""))) || (schema && contains(text, b"\"$schema\""))
}

/// The key is there and opens a list of objects, as far as can be seen.
fn has_list(text: &[u8], key: &[u8]) -> bool {
    let Some(rest) = after_end(text, key) else { return false };
    let mut rest = rest.trim_ascii_start();
    for expected in [b":", b"[", b"{"] {
        match rest.strip_prefix(expected) {
            Some(after) => rest = after.trim_ascii_start(),
            None => return rest.is_empty() || (expected == b"{" && rest.starts_with(b"]")),
        }
    }
    true
}
