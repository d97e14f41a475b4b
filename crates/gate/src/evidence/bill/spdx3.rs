//! SPDX 3.0 in JSON-LD: a graph of elements that refer to each other by their ids.

use std::collections::BTreeMap;
use std::io::BufRead;

use serde_json::Value;

use super::{Kept, Tool, list, name, parsed, sha256, sha256_in};
use crate::evidence::claim::{Parsed, Problem, SbomFormat, SbomSubject};
use crate::evidence::json::{Seen, walk};

/// A document names a bill, which names a package.
const ROOTS_MAX: usize = 1_000;

#[derive(Debug, Default)]
struct Graph {
    version: Option<String>,
    components: u64,
    packages: Kept<SbomSubject>,
    /// What documents and bills are about.
    roots: BTreeMap<String, Vec<String>>,
    document: Option<String>,
    tools: BTreeMap<String, String>,
    made_with: Option<String>,
}

pub(super) fn parse(input: &mut impl BufRead) -> Result<Vec<Parsed>, Problem> {
    let mut graph = Graph::default();
    walk(input, "an SPDX document", &["@graph/[]"], &mut |_, seen, _| {
        if let Seen::Value(element) = seen {
            graph.element(&element);
        }
        Ok(())
    })?;
    graph.finish()
}

impl Graph {
    fn element(&mut self, element: &Value) {
        let id = name(element, "/spdxId").or_else(|| name(element, "/@id"));
        let kind = element["type"].as_str().or_else(|| element["@type"].as_str()).unwrap_or_default();
        match kind {
            "CreationInfo" => {
                self.version = self.version.take().or_else(|| name(element, "/specVersion"));
                self.made_with = self.made_with.take().or_else(|| name(element, "/createdUsing/0"));
            }
            "Tool" if self.tools.len() < ROOTS_MAX => self.tools.extend(id.zip(name(element, "/name"))),
            "SpdxDocument" | "software_Sbom" | "Bom" | "Bundle" => {
                if kind == "SpdxDocument" {
                    self.document = self.document.take().or_else(|| id.clone());
                }
                let roots = list(element, "rootElement").take(ROOTS_MAX).filter_map(|root| name(root, "")).collect();
                if self.roots.len() < ROOTS_MAX {
                    self.roots.extend(id.map(|id| (id, roots)));
                }
            }
            "software_Package" => {
                self.components += 1;
                self.packages.insert(id, || subject(element));
            }
            _ => {}
        }
    }

    fn finish(self) -> Result<Vec<Parsed>, Problem> {
        let version = self.version.clone().ok_or_else(|| Problem::new("has no `CreationInfo` with a `specVersion`"))?;
        if !version.starts_with("3.0") {
            return Err(Problem::new(format!("is SPDX {version}; SPDX 2.2, 2.3 and 3.0 are read")));
        }
        let subject = self.subject();
        let components = self.components - u64::from(subject.is_some());
        let tool = Tool { name: self.made_with.as_ref().and_then(|id| self.tools.get(id)).cloned(), version: None };
        Ok(vec![parsed(SbomFormat::Spdx, version, components, subject.cloned(), tool)])
    }

    /// The package that the document leads to, over a bill or at once.
    fn subject(&self) -> Option<&SbomSubject> {
        let mut ids = vec![self.document.as_ref()?];
        for _ in 0..4 {
            if let Some(subject) = ids.iter().find_map(|id| self.packages.get(id)) {
                return Some(subject);
            }
            ids = ids.iter().filter_map(|id| self.roots.get(*id)).flatten().take(ROOTS_MAX).collect();
        }
        None
    }
}

fn subject(package: &Value) -> Option<SbomSubject> {
    let version = name(package, "/software_packageVersion");
    let sha256 = sha256(package, "verifiedUsing", "algorithm", "hashValue")
        .or_else(|| sha256_in(version.as_deref()?))
        .or_else(|| sha256_in(package["software_packageUrl"].as_str()?));
    Some(SbomSubject { name: name(package, "/name")?, version, sha256 })
}
