//! CycloneDX in JSON: components, and what is known against them.

use std::io::BufRead;

use serde_json::Value;

use super::{Kept, Tool, from_purl, list, name, parsed, sha256, sha256_in};
use crate::evidence::claim::{FindingKind, Package, Parsed, Problem, SbomFormat, SbomSubject, Severity};
use crate::evidence::finding::{Draft, FINDINGS_MAX, NAMES_MAX};
use crate::evidence::json::{Seen, walk};
use crate::evidence::scanner::{Scan, about, told};
use crate::evidence::severity::{from_score, from_word};

/// All that were ever written in JSON: each has what the one before has.
const VERSIONS: [&str; 6] = ["1.2", "1.3", "1.4", "1.5", "1.6", "1.7"];

const PATHS: [&str; 6] = ["bomFormat", "specVersion", "metadata/tools", "metadata/component", "components/[]", "vulnerabilities/[]"];

#[derive(Debug, Default)]
struct Document {
    is_cyclonedx: bool,
    version: Option<String>,
    tool: Tool,
    subject: Option<SbomSubject>,
    components: u64,
    packages: Kept<Package>,
    /// With the names of what each is about.
    vulnerabilities: Vec<(Draft, Vec<String>)>,
    findings: usize,
}

pub(super) fn parse(input: &mut impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut document = Document::default();
    walk(input, "a CycloneDX document", &PATHS, &mut |index, seen, _| {
        let Seen::Value(value) = seen else { return Ok(()) };
        match PATHS[index] {
            "bomFormat" => document.is_cyclonedx = value.as_str() == Some("CycloneDX"),
            "specVersion" => document.version = name(&value, ""),
            "metadata/tools" => document.tool = tool(&value),
            "metadata/component" => document.describes(&value),
            "components/[]" => document.component(&value),
            _ => return document.vulnerability(&value),
        }
        Ok(())
    })?;
    document.finish()
}

impl Document {
    fn describes(&mut self, component: &Value) {
        let sha256 = sha256(component, "hashes", "alg", "content")
            .or_else(|| sha256_in(component["version"].as_str()?))
            .or_else(|| sha256_in(component["purl"].as_str()?));
        self.subject = name(component, "/name").map(|called| SbomSubject { name: called, version: name(component, "/version"), sha256 });
        self.packages.insert(name(component, "/bom-ref"), || package(component));
        list(component, "components").for_each(|part| self.component(part));
    }

    /// With what it is made of itself.
    fn component(&mut self, component: &Value) {
        self.components += 1;
        self.packages.insert(name(component, "/bom-ref"), || package(component));
        list(component, "components").for_each(|part| self.component(part));
    }

    fn vulnerability(&mut self, value: &Value) -> Result<(), Problem> {
        let affected: Vec<String> = list(value, "affects").filter_map(|affected| name(affected, "/ref")).collect();
        self.findings += affected.len().max(1);
        if self.findings > FINDINGS_MAX {
            return Err(Problem::new(format!("has more than {FINDINGS_MAX} findings")));
        }
        let draft = Draft {
            rule: name(value, "/id").unwrap_or_default(),
            kind: Some(FindingKind::Vulnerability),
            severity: severity(value),
            message: told(value, "/description"),
            aliases: list(value, "references").filter_map(|reference| name(reference, "/id")).take(NAMES_MAX).collect(),
            cwe: list(value, "cwes").filter_map(|number| u32::try_from(number.as_u64()?).ok()).take(NAMES_MAX).collect(),
            suppressed: accepted(&value["analysis"]),
            ..Draft::default()
        };
        self.vulnerabilities.push((draft, affected));
        Ok(())
    }

    fn finish(self) -> Result<Vec<Parsed>, Problem> {
        if !self.is_cyclonedx {
            return Err(Problem::new("does not say that it is a CycloneDX document"));
        }
        let version = self.version.ok_or_else(|| Problem::new("has no `specVersion`"))?;
        if !VERSIONS.contains(&version.as_str()) {
            let (first, last) = (VERSIONS[0], VERSIONS[VERSIONS.len() - 1]);
            return Err(Problem::new(format!("is CycloneDX {version}; {first} to {last} are read")));
        }
        // A document about weaknesses alone looked for none: what it settles proves no scan.
        let is_bill = self.components > 0;
        let mut scan = Scan::default();
        for (draft, refs) in self.vulnerabilities.into_iter().filter(|(draft, _)| is_bill || draft.suppressed.is_none()) {
            let named = refs.iter().map(|reference| of_this_document(reference));
            let affected: Vec<Option<Package>> =
                named.map(|reference| self.packages.get(reference).cloned().or_else(|| from_purl(reference))).collect();
            for package in if affected.is_empty() { vec![None] } else { affected } {
                let message = about(package.as_ref(), &draft.message, &[]);
                scan.add(Draft { message, package, ..draft.clone() })?;
            }
        }
        let (tool, tool_version) = (self.tool.name.clone(), self.tool.version.clone());
        let mut res = vec![parsed(SbomFormat::CycloneDx, version, self.components, self.subject, self.tool)];
        // Tools that look for none write an empty list: it doesn't say that anything was looked for.
        scan.done = !scan.findings.is_empty();
        if scan.done {
            scan.version = tool_version;
            res.extend(scan.finish(tool.as_deref().unwrap_or("CycloneDX"), "vulnerabilities")?);
        }
        Ok(res)
    }
}

/// A list of tools until 1.4, an object with a list of components since.
fn tool(tools: &Value) -> Tool {
    let first = tools.get("components").unwrap_or(tools).get(0);
    first.map(|tool| Tool { name: name(tool, "/name"), version: name(tool, "/version") }).unwrap_or_default()
}

fn package(component: &Value) -> Option<Package> {
    // The purl has the group in the way the ecosystem writes it.
    let named = || Some(Package { name: name(component, "/name")?, version: name(component, "/version") });
    component["purl"].as_str().and_then(from_purl).or_else(named)
}

/// `urn:cdx:SERIAL/1#ref` names a component of another document, or of this one.
fn of_this_document(reference: &str) -> &str {
    match reference.strip_prefix("urn:cdx:").and_then(|rest| rest.split_once('#')) {
        Some((_, reference)) => reference,
        None => reference,
    }
}

/// The worst of what several say; who doesn't know says nothing.
fn severity(value: &Value) -> Option<Severity> {
    let word = |rating: &Value| rating["severity"].as_str().filter(|word| *word != "unknown").and_then(from_word);
    let words = list(value, "ratings").filter_map(word).max();
    words.or_else(|| list(value, "ratings").filter_map(|rating| from_score(rating.get("score"))).max())
}

/// What somebody found out about it, where that settles it.
fn accepted(analysis: &Value) -> Option<String> {
    let state = analysis["state"].as_str()?;
    if !["not_affected", "false_positive", "resolved", "resolved_with_pedigree"].contains(&state) {
        return None;
    }
    let parts = [state.to_string(), told(analysis, "/justification"), told(analysis, "/detail")].map(|part| part.replace('_', " "));
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    Some(parts.join(": "))
}
