//! How fast evidence is read and a decision is taken: `cargo run --release -p gate --example throughput [MB [FOLDER]]`.
//!
//! In the folder the policies and the document of the last decision are left, and how many milliseconds it took, for others to be measured
//! by: `bench/gate/run.sh`.
//!
//! The reports are generated while they are read, so that what is measured in memory is the reader alone.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use base::{Digest, Timestamp};
use gate::evidence::{Reading, read_from};
use gate::policy::DEFAULT_POLICY;
use gate::{Artifact, Commit, Decision, Evidence, GatePlan, Input, PolicyFile, Previous, RunResult, decide};

fn main() -> io::Result<()> {
    let megabytes: u64 = std::env::args().nth(1).and_then(|argument| argument.parse().ok()).unwrap_or(100);
    let folder = std::env::args().nth(2).map(PathBuf::from);
    let mut out = io::stdout().lock();
    for (name, megabytes, report) in [
        ("big.xml", megabytes, Report::junit(megabytes << 20)),
        ("usual.sarif", 20, Report::sarif(20 << 20)),
        ("big.sarif", megabytes, Report::sarif(megabytes << 20)),
        ("big.cdx.json", megabytes, Report::cyclonedx(megabytes << 20)),
    ] {
        let generating = time(|| io::copy(&mut report.clone(), &mut io::sink()))?;
        let mut evidence = Evidence::default();
        let reading = time(|| {
            let reading = read_from(name, report.clone())?;
            assert!(matches!(reading, Reading::Claims(_)), "{reading:?}");
            evidence.add(reading);
            Ok(0)
        })?;
        let seconds = reading - generating;
        writeln!(
            out,
            "{name}: {megabytes} MiB in {seconds:.2} s, {:.0} MB/s; peak memory {} MB so far",
            megabytes as f64 * 1.048_576 / seconds,
            peak_mb()
        )?;
    }
    for findings in [10, 10_000] {
        let mut report = Report::sarif(u64::MAX);
        report.records = findings;
        let mut evidence = Evidence::default();
        evidence.add(read_from("scan.sarif", report)?);
        let input = input().with_evidence(&evidence);
        let plan = GatePlan { policies: policies(), ..GatePlan::default() };
        let mut best = f64::MAX;
        let mut decision = None;
        for _ in 0..20 {
            best = best.min(time(|| {
                decision = Some(decide(&plan, &input));
                Ok(0)
            })?);
        }
        if let Some(folder) = &folder {
            leave(folder, &plan, &input, best)?;
        }
        let violations = decision.as_ref().map_or(0, |decision: &Decision| decision.violations().len());
        writeln!(out, "decision over {} findings, 5 policies: {:.2} ms, {violations} violations", input.findings.len(), best * 1000.0)?;
    }
    Ok(())
}

fn leave(folder: &Path, plan: &GatePlan, input: &Input, seconds: f64) -> io::Result<()> {
    let policies = folder.join("policy");
    fs::create_dir_all(&policies)?;
    fs::write(policies.join("gate.rego"), DEFAULT_POLICY)?;
    for file in &plan.policies {
        fs::write(folder.join(&file.path), &file.text)?;
    }
    fs::write(folder.join("input.json"), input.document(plan).json().to_string())?;
    fs::write(folder.join("ours_ms"), format!("{:.3}", seconds * 1000.0))
}

fn time(run: impl FnOnce() -> io::Result<u64>) -> io::Result<f64> {
    let start = Instant::now();
    run()?;
    Ok(start.elapsed().as_secs_f64())
}

/// The highest this process ever stood, where the system says it.
fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) >> 10
}

/// A report that makes itself up as it is read.
#[derive(Clone)]
struct Report {
    record: fn(u64) -> String,
    tail: &'static str,
    bytes_left: u64,
    records: u64,
    made: u64,
    chunk: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Report {
    fn new(head: &'static str, record: fn(u64) -> String, tail: &'static str, bytes: u64) -> Report {
        Report { record, tail, bytes_left: bytes, records: u64::MAX, made: 0, chunk: head.as_bytes().to_vec(), at: 0, ended: false }
    }

    fn junit(bytes: u64) -> Report {
        let record = |number| match number % 1000 {
            0 => format!(
                "<testcase classname=\"shop.cart.Test{number}\" name=\"fails\" time=\"0.01\"><failure message=\"expected {number}\">Traceback\nAssertionError</failure></testcase>\n"
            ),
            _ => format!(
                "<testcase classname=\"shop.cart.Test{number}\" name=\"adds_up\" time=\"0.01\"><system-out>one line &amp; another</system-out></testcase>\n"
            ),
        };
        Report::new("<testsuites><testsuite name=\"pytest\">\n", record, "</testsuite></testsuites>\n", bytes)
    }

    /// About half a kilobyte each.
    fn cyclonedx(bytes: u64) -> Report {
        let record = |number: u64| {
            let comma = if number == 0 { "" } else { "," };
            let purl = format!("pkg:npm/%40scope/package-{number}@1.{}.0", number % 97);
            format!(
                "{comma}{{\"bom-ref\":\"{purl}?package-id={number:016x}\",\"type\":\"library\",\"name\":\"package-{number}\",\"version\":\"1.{}.0\",\"hashes\":[{{\"alg\":\"SHA-256\",\"content\":\"{number:064x}\"}}],\"licenses\":[{{\"license\":{{\"id\":\"MIT\"}}}}],\"purl\":\"{purl}\",\"properties\":[{{\"name\":\"syft:location:0:path\",\"value\":\"/app/node_modules/package-{number}/package.json\"}}]}}\n",
                number % 97,
            )
        };
        Report::new("{\"bomFormat\":\"CycloneDX\",\"specVersion\":\"1.6\",\"components\":[", record, "]}", bytes)
    }

    /// About a kilobyte each, as Trivy and CodeQL write them; none is critical or the decision would be one long list.
    fn sarif(bytes: u64) -> Report {
        let record = |number: u64| {
            let filler = "The value flows from the request to the query without being checked on its way. ".repeat(4);
            let comma = if number == 0 { "" } else { "," };
            format!(
                "{comma}{{\"ruleId\":\"rule-{}\",\"level\":\"warning\",\"message\":{{\"text\":\"finding {number}: {filler}\"}},\"locations\":[{{\"physicalLocation\":{{\"artifactLocation\":{{\"uri\":\"src/module_{}/file_{number}.py\",\"uriBaseId\":\"ROOTPATH\"}},\"region\":{{\"startLine\":{},\"startColumn\":1,\"endLine\":9,\"endColumn\":20,\"snippet\":{{\"text\":\"{filler}\"}}}}}}}}],\"partialFingerprints\":{{\"primaryLocationLineHash\":\"{number:016x}:1\"}},\"properties\":{{\"security-severity\":\"5.0\"}}}}\n",
                number % 50,
                number % 97,
                number % 1000 + 1,
            )
        };
        Report::new(
            "{\"version\":\"2.1.0\",\"runs\":[{\"tool\":{\"driver\":{\"name\":\"Scanner\"}},\"results\":[\n",
            record,
            "]}]}\n",
            bytes,
        )
    }

    fn refill(&mut self) {
        self.chunk.clear();
        self.at = 0;
        while self.chunk.len() < 64 << 10 && self.bytes_left > 0 && self.made < self.records {
            let record = (self.record)(self.made);
            self.made += 1;
            self.bytes_left = self.bytes_left.saturating_sub(record.len() as u64);
            self.chunk.extend_from_slice(record.as_bytes());
        }
        if self.chunk.is_empty() && !self.ended {
            self.ended = true;
            self.chunk.extend_from_slice(self.tail.as_bytes());
        }
    }
}

impl Read for Report {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.chunk.len() {
            self.refill();
        }
        let count = buffer.len().min(self.chunk.len() - self.at);
        buffer[..count].copy_from_slice(&self.chunk[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// Four of a repository's own beside the default one, each looking at every finding.
fn policies() -> Vec<PolicyFile> {
    (1..=4)
        .map(|number| PolicyFile {
            path: format!("policy/team{number}.rego"),
            text: format!(
                "package plimsoll.team{number}\n\ndeny contains msg if {{\n\tsome finding in input.findings\n\tfinding.severity == \"high\"\n\tfinding.rule == \"rule-{number}\"\n\tmsg := finding.message\n}}\n"
            ),
        })
        .collect()
}

fn input() -> Input {
    Input {
        release: "release-1".into(),
        project: "example.org/shop".into(),
        environment: "local".into(),
        artifact: Artifact { digest: Digest::of(b"artifact"), size: 8 },
        commit: Commit { sha: "0".repeat(40), message: "m".into(), author: "a".into() },
        brings: None,
        runs: vec![RunResult { workflow: "ci.yml".into(), conclusion: "success".into() }],
        evidence: Default::default(),
        findings: Vec::new(),
        previous: Previous::default(),
        provenance: None,
        attestations: Vec::new(),
        circumstances: gate::Circumstances::default(),
        rollbacks_24h: 0,
        time: Timestamp::from_ms(0),
        actor: "ada".into(),
    }
}
