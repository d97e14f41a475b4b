//! SPDX 2.2 and 2.3 in JSON.

use std::collections::BTreeSet;
use std::io::BufRead;

use serde_json::Value;

use super::{Kept, Tool, list, name, parsed, sha256, sha256_in};
use crate::evidence::claim::{Parsed, Problem, SbomFormat, SbomSubject};
use crate::evidence::json::{Seen, walk};

const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const PATHS: [&str; 5] = ["spdxVersion", "creationInfo/creators", "documentDescribes", "packages/[]", "relationships/[]"];

#[derive(Debug, Default)]
struct Document {
    version: Option<String>,
    tool: Tool,
    describes: BTreeSet<String>,
    components: u64,
    packages: Kept<SbomSubject>,
}

/// A bill is of one thing, or of a few.
const DESCRIBED_MAX: usize = 1_000;

pub(super) fn parse(input: &mut impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut document = Document::default();
    walk(input, "an SPDX document", &PATHS, &mut |index, seen, _| {
        let Seen::Value(value) = seen else { return Ok(()) };
        match PATHS[index] {
            "spdxVersion" => document.version = name(&value, ""),
            "creationInfo/creators" => document.tool = tool(&value),
            "documentDescribes" => {
                document.describes.extend(value.as_array().into_iter().flatten().take(DESCRIBED_MAX).filter_map(|id| name(id, "")))
            }
            "packages/[]" => {
                document.components += 1;
                document.packages.insert(name(&value, "/SPDXID"), || subject(&value));
            }
            _ if document.describes.len() < DESCRIBED_MAX => document.describes.extend(described(&value)),
            _ => {}
        }
        Ok(())
    })?;
    document.finish()
}

impl Document {
    fn finish(self) -> Result<Vec<Parsed>, Problem> {
        let version = self.version.ok_or_else(|| Problem::new("has no `spdxVersion`"))?;
        let version = match version.strip_prefix("SPDX-") {
            Some(version @ ("2.2" | "2.3")) => version.to_string(),
            _ => return Err(Problem::new(format!("is {version}; SPDX 2.2, 2.3 and 3.0 are read"))),
        };
        let described: Vec<&SbomSubject> = self.describes.iter().filter_map(|id| self.packages.get(id)).collect();
        let components = self.components - described.len() as u64;
        let subject = described.first().map(|subject| (*subject).clone());
        Ok(vec![parsed(SbomFormat::Spdx, version, components, subject, self.tool)])
    }
}

fn subject(package: &Value) -> Option<SbomSubject> {
    let version = name(package, "/versionInfo");
    let purls = || list(package, "externalRefs").filter_map(|of| of["referenceLocator"].as_str()).find_map(sha256_in);
    let sha256 = sha256(package, "checksums", "algorithm", "checksumValue").or_else(|| sha256_in(version.as_deref()?)).or_else(purls);
    Some(SbomSubject { name: name(package, "/name")?, version, sha256 })
}

/// Either way round.
fn described(relationship: &Value) -> Option<String> {
    let is_document = |key: &str| relationship[key].as_str() == Some(DOCUMENT);
    match relationship["relationshipType"].as_str()? {
        "DESCRIBES" if is_document("spdxElementId") => name(relationship, "/relatedSpdxElement"),
        "DESCRIBED_BY" if is_document("relatedSpdxElement") => name(relationship, "/spdxElementId"),
        _ => None,
    }
}

/// `Tool: syft-1.20.0`.
fn tool(creators: &Value) -> Tool {
    let tool = creators.as_array().into_iter().flatten().filter_map(Value::as_str).find_map(|creator| creator.strip_prefix("Tool: "));
    let Some(tool) = tool else { return Tool::default() };
    match tool.rsplit_once('-') {
        Some((name, version)) if version.contains(|c: char| c.is_ascii_digit()) => {
            Tool { name: Some(name.to_string()), version: Some(version.trim_start_matches('v').to_string()) }
        }
        _ => Tool { name: Some(tool.to_string()), version: None },
    }
}
