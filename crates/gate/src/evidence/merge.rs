//! One finding out of what several scanners say about the same thing.
//!
//! A weakness of a package is one by any of its public names. At one place of one file, scanners that mean the same class of
//! weakness mean one thing; a scanner's own findings there stay apart, so that there are never fewer than it says alone.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{CREDENTIALS_CWE, common_name};
use super::{DistinctFinding, Finding, FindingKind, SourceRef};

/// Findings on one line of one file; where there are more, no one has written that line, and they stay apart.
const PLACE_MAX: usize = 200;

/// `reports` in a fixed order; the first report of a finding gives it its name and its words.
pub(super) fn merge<'a>(reports: impl Iterator<Item = (&'a SourceRef, &'a [Finding])>) -> Vec<DistinctFinding> {
    let items = by_fingerprint(reports);
    let mut same = Same((0..items.len()).collect());
    by_package(&items, &mut same);
    by_file(&items, &mut same);
    by_place(&items, &mut same);
    let mut res: Vec<Option<DistinctFinding>> = items.into_iter().map(|item| Some(item.finding)).collect();
    for item in 0..res.len() {
        let first = same.first(item);
        if first != item {
            let (before, after) = res.split_at_mut(item);
            if let (Some(first), Some(other)) = (&mut before[first], after[0].take()) {
                first.join(other);
            }
        }
    }
    res.into_iter().flatten().collect()
}

struct Item {
    finding: DistinctFinding,
    /// Who reported it.
    tools: BTreeSet<String>,
}

impl Item {
    /// Every name the weakness has.
    fn ids(&self) -> impl Iterator<Item = String> {
        std::iter::once(&self.finding.rule).chain(&self.finding.aliases).map(|id| id.to_ascii_uppercase())
    }
}

/// Which items are the same: each leads to an earlier one, or to itself.
struct Same(Vec<usize>);

impl Same {
    fn first(&mut self, item: usize) -> usize {
        let mut first = item;
        while self.0[first] != first {
            self.0[first] = self.0[self.0[first]];
            first = self.0[first];
        }
        first
    }

    fn unite(&mut self, one: usize, other: usize) {
        let (one, other) = (self.first(one), self.first(other));
        self.0[one.max(other)] = one.min(other);
    }

    fn unite_by<K: Ord>(&mut self, keys: impl Iterator<Item = (K, usize)>) {
        let mut known = BTreeMap::new();
        for (key, item) in keys {
            let first = *known.entry(key).or_insert(item);
            self.unite(first, item);
        }
    }
}

fn by_fingerprint<'a>(reports: impl Iterator<Item = (&'a SourceRef, &'a [Finding])>) -> Vec<Item> {
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    let mut items: Vec<Item> = Vec::new();
    for (source, findings) in reports {
        for finding in findings {
            let place = *known.entry(&finding.fingerprint).or_insert(items.len());
            let found = DistinctFinding::new(finding, &source.path);
            match items.get_mut(place) {
                Some(item) => {
                    item.finding.join(found);
                    item.tools.insert(tool(source));
                }
                None => items.push(Item { finding: found, tools: BTreeSet::from([tool(source)]) }),
            }
        }
    }
    items
}

/// `Semgrep OSS` is `semgrep`.
fn tool(source: &SourceRef) -> String {
    let name = source.tool.as_deref().unwrap_or_default().to_ascii_lowercase();
    name.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default().to_string()
}

/// The same package under one of the same names.
fn by_package(items: &[Item], same: &mut Same) {
    let vulnerabilities = items.iter().enumerate().filter(|(_, item)| item.finding.kind == FindingKind::Vulnerability);
    same.unite_by(vulnerabilities.flat_map(|(index, item)| {
        let package = item.finding.package.as_ref().map(common_name);
        item.ids().filter_map(move |id| Some(((package.clone()?, id), index)))
    }));
}

/// Who names no package means what another one has found in the same file under the same name: the first, where these are several.
fn by_file(items: &[Item], same: &mut Same) {
    let mut vulnerabilities: Vec<usize> = (0..items.len()).filter(|item| items[*item].finding.kind == FindingKind::Vulnerability).collect();
    vulnerabilities.sort_by_key(|item| (items[*item].finding.package.is_none(), *item));
    let mut known: BTreeMap<(String, String), usize> = BTreeMap::new();
    for item in vulnerabilities {
        let finding = &items[item].finding;
        let Some(file) = &finding.file else { continue };
        for id in items[item].ids() {
            let first = *known.entry((file.clone(), id)).or_insert(item);
            if finding.package.is_none() {
                same.unite(first, item);
            }
        }
    }
}

/// What scanners mean at one place.
struct Thing<'a> {
    classes: BTreeSet<u32>,
    tools: BTreeSet<&'a str>,
    first: usize,
}

/// Different scanners, one line of one file, one class of weakness.
fn by_place(items: &[Item], same: &mut Same) {
    let mut places: BTreeMap<(&str, u64), Vec<Thing<'_>>> = BTreeMap::new();
    for (first, Item { finding, tools }) in items.iter().enumerate() {
        let classes = classes(finding);
        if let Some(place) = finding.file.as_deref().zip(finding.line)
            && !classes.is_empty()
        {
            places.entry(place).or_default().push(Thing { classes, tools: tools.iter().map(String::as_str).collect(), first });
        }
    }
    for mut place in places.into_values().filter(|place| place.len() <= PLACE_MAX) {
        // Who is most certain comes first: a scanner that names many classes must not make one of what others tell apart.
        place.sort_by_key(|thing| (thing.classes.len(), thing.first));
        let mut things: Vec<Thing<'_>> = Vec::new();
        for found in place {
            let is_same = |thing: &&mut Thing<'_>| !thing.classes.is_disjoint(&found.classes) && thing.tools.is_disjoint(&found.tools);
            match things.iter_mut().find(is_same) {
                Some(thing) => {
                    thing.tools.extend(&found.tools);
                    same.unite(thing.first, found.first);
                }
                None => things.push(found),
            }
        }
    }
}

/// Numbers of the Common Weakness Enumeration; credentials in the code are one class, whatever they are called.
fn classes(finding: &DistinctFinding) -> BTreeSet<u32> {
    let credentials = CREDENTIALS_CWE[0];
    let cwe = finding.cwe.iter().map(|number| if CREDENTIALS_CWE.contains(number) { credentials } else { *number });
    match finding.kind {
        FindingKind::Vulnerability => BTreeSet::new(),
        FindingKind::Secret => BTreeSet::from([credentials]),
        FindingKind::Code => cwe.collect(),
    }
}
