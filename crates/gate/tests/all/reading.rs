//! How files are read, whatever is in them.

use std::io::{self, Read};

use base::Digest;
use gate::Evidence;
use gate::evidence::{Reading, read, read_from};

#[test]
fn of_a_file_that_is_no_evidence_only_the_start_is_read() {
    let mut source = Repeating { pattern: b"{\"version\":1}\n", until: u64::MAX, read: 0, fails: false };
    assert_eq!(read_from("big.json", &mut source).expect("it reads"), Reading::NotEvidence);
    assert!(source.read <= 4096, "{} bytes were read", source.read);
}

#[test]
fn a_disk_that_fails_is_an_error_and_not_a_broken_report() {
    let source = Repeating { pattern: b"<testcase/>", until: 50_000, read: 0, fails: true };
    let error = read_from("junit.xml", b"<testsuite>".chain(source)).expect_err("the disk failed");
    assert_eq!(error.to_string(), "the disk is gone");
}

#[test]
fn a_claim_is_bound_to_all_bytes_of_its_file() {
    let text = format!("\u{feff}<testsuite><testcase name='a'/></testsuite>{}<!-- more -->", " ".repeat(10_000));
    let Reading::Claims(claims) = read("a.xml", text.as_bytes()) else { panic!("it is a report") };
    assert_eq!(claims[0].source.digest, Digest::of(text.as_bytes()));
}

#[test]
fn a_broken_file_left_in_two_places_is_broken_once() {
    let mut evidence = Evidence::default();
    for (path, text) in [("a.xml", "<testsuite><testcase"), ("upload/a.xml", "<testsuite><testcase"), ("b.xml", "<testsuite><test")] {
        evidence.add(read(path, text.as_bytes()));
    }
    let paths: Vec<&str> = evidence.broken.iter().map(|broken| broken.path.as_str()).collect();
    assert_eq!(paths, ["a.xml", "b.xml"]);
}

#[test]
fn no_text_in_a_report_can_fill_the_memory() {
    let start: &[u8] = b"<testsuite><testcase name='a'><system-out>";
    let endless = start.chain(io::repeat(b'x'));
    let Reading::Broken(broken) = read_from("a.xml", endless).expect("it reads") else { panic!("it is no report") };
    assert!(broken.reason.contains("longer than 64 MiB"), "{}", broken.reason);
}

#[test]
fn a_report_with_too_many_findings_is_refused_and_not_cut() {
    let result = r#"{"ruleId":"A","message":{"text":"m"}},"#.repeat(200_000);
    let text = format!(r#"{{"version":"2.1.0","runs":[{{"results":[{result}{{"ruleId":"B","level":"error"}}]}}]}}"#);
    let Reading::Broken(broken) = read("a.sarif", text.as_bytes()) else { panic!("it was read") };
    assert!(broken.reason.contains("more than 200000 results"), "{}", broken.reason);
}

#[test]
fn a_scan_with_too_many_findings_is_refused_and_not_cut() {
    let found = r#"{"code":"DL1","level":"info","line":1,"file":"a"},"#.repeat(200_000);
    let text = format!(r#"[{found}{{"code":"DL2","level":"error","line":2,"file":"a"}}]"#);
    let Reading::Broken(broken) = read("a", text.as_bytes()) else { panic!("it was read") };
    assert!(broken.reason.contains("more than 200000 findings"), "{}", broken.reason);
}

#[test]
fn a_report_with_too_many_benchmarks_is_refused_and_not_cut() {
    let times = "BenchmarkA-8 \t 100\t 12.5 ns/op\n".repeat(200_001);
    let Reading::Broken(broken) = read("a", times.as_bytes()) else { panic!("it was read") };
    assert_eq!((broken.reason.as_str(), broken.line), ("has more than 200000 benchmarks", Some(200_001)));
    let result = r#"{"command":"a","mean":1,"median":1},"#.repeat(200_000);
    let text = format!(r#"{{"results":[{result}{{"command":"b","mean":1,"median":1}}]}}"#);
    let Reading::Broken(broken) = read("a", text.as_bytes()) else { panic!("it was read") };
    assert_eq!(broken.reason, "has more than 200000 benchmarks");
}

/// What one weakness affects may be named by hundreds of thousands of lines.
#[test]
fn a_bill_with_too_many_findings_is_refused_and_not_cut() {
    let affects = r#"{"ref":"a"},"#.repeat(40_000);
    let weakness = format!(r#"{{"id":"CVE-1","affects":[{affects}{{"ref":"b"}}]}}"#);
    let text = format!(
        r#"{{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{{"name":"a"}}],"vulnerabilities":[{}]}}"#,
        [weakness.as_str(); 5].join(",")
    );
    let Reading::Broken(broken) = read("a", text.as_bytes()) else { panic!("it was read") };
    assert!(broken.reason.contains("more than 200000 findings"), "{}", broken.reason);
}

#[test]
fn no_single_finding_can_fill_the_memory() {
    let references = r#""https://example.org/a","#.repeat(150_000);
    let text = format!(r#"{{"SchemaVersion":2,"ArtifactName":"a","Results":[{{"Vulnerabilities":[{{"References":[{references}""]}}]}}]}}"#);
    let Reading::Broken(broken) = read("a", text.as_bytes()) else { panic!("it was read") };
    assert!(broken.reason.contains("one record of it is larger than 8 MiB"), "{}", broken.reason);
}

/// The longest document that is read in one piece has 32 MiB; beyond it, what is read passes a guard.
#[test]
fn no_depth_in_json_can_fill_the_memory() {
    let start = format!(r#"{{"version":"2.1.0","runs":[{{"tool":{{}},"results":[]}}],"x":{}["#, " ".repeat(32 << 20));
    let endless = start.as_bytes().chain(io::repeat(b'['));
    let Reading::Broken(broken) = read_from("a.sarif", endless).expect("it reads") else { panic!("it is no report") };
    assert!(broken.reason.contains("deeper than 1000"), "{}", broken.reason);
}

#[test]
fn what_go_says_of_tests_that_never_end_is_bounded() {
    let event = |test: usize| format!("{{\"Action\":\"run\",\"Package\":\"a\",\"Test\":\"{}{test}\"}}\n", "T".repeat(200_000));
    let text: String = (0..400).map(event).collect();
    let Reading::Broken(broken) = read("a", text.as_bytes()) else { panic!("it was read") };
    assert!(broken.reason.contains("more than 64 MiB of tests"), "{}", broken.reason);
}

/// A source that repeats itself until it ends or fails.
struct Repeating {
    pattern: &'static [u8],
    until: u64,
    read: u64,
    fails: bool,
}

impl Read for Repeating {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read >= self.until {
            return if self.fails { Err(io::Error::other("the disk is gone")) } else { Ok(0) };
        }
        let rotated = self.pattern.iter().cycle().skip(self.read as usize % self.pattern.len());
        buffer.iter_mut().zip(rotated).for_each(|(to, from)| *to = *from);
        self.read += buffer.len() as u64;
        Ok(buffer.len())
    }
}
