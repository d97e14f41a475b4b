//! `coverage`: what a job's log says of the coverage of its tests.

use regex::Regex;

use super::expression;

/// The pattern of one job, and what it has found so far.
#[derive(Debug, Clone)]
pub struct Coverage {
    pattern: Regex,
    found: Option<String>,
}

/// Longer lines are a program's data.
const LINE_BYTES_MAX: usize = 64 * 1024;

impl Coverage {
    /// # Errors
    /// When it isn't a pattern between slashes.
    pub fn parse(pattern: &str) -> Result<Coverage, String> {
        Ok(Coverage { pattern: expression::regex(pattern)?, found: None })
    }

    /// The next line of the log. As at GitLab the last match counts, its last group, and in that the first number.
    pub fn read(&mut self, line: &str) {
        if line.len() > LINE_BYTES_MAX {
            return;
        }
        let Some(groups) = self.pattern.captures_iter(line).last() else { return };
        let text = groups.iter().skip(1).last().unwrap_or(groups.get(0)).map_or("", |group| group.as_str());
        self.found = number(text).map(str::to_string).or(self.found.take());
    }

    /// In percent, as the log had it.
    pub fn found(&self) -> Option<&str> {
        self.found.as_deref()
    }
}

fn number(text: &str) -> Option<&str> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let digits = |from: usize| text[from..].find(|c: char| !c.is_ascii_digit()).map_or(text.len(), |length| from + length);
    let whole = digits(start);
    let fraction = text[whole..].strip_prefix('.').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    Some(&text[start..fraction.map_or(whole, |_| digits(whole + 1))])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// docs.gitlab.com/ci/testing/code_coverage/#coverage-regex-patterns
    #[test]
    fn the_last_match_of_the_log_counts() {
        let cases = [
            (r"/TOTAL.*? (100(?:\.0+)?\%|[1-9]?\d(?:\.\d+)?\%)$/", "a\nTOTAL 10 2 81.5%\nTOTAL 3 1 66%\nend", "66"),
            (r"/coverage: \d+.\d+% of statements/", "ok\tshop\t0.1s\tcoverage: 81.5% of statements", "81.5"),
            (r"/Lines\s*:\s*(\d+\.?\d*)%/", "Lines : 7. %\nLines : 90%", "90"),
            (r"/(\d+) of (\d+)/", "1 of 2, 3 of 4", "4"),
            (r"/nothing/", "nothing", ""),
            (r"/x/", "y", ""),
        ];
        for (pattern, log, expected) in cases {
            let mut coverage = Coverage::parse(pattern).unwrap();
            log.lines().for_each(|line| coverage.read(line));
            assert_eq!(coverage.found().unwrap_or_default(), expected, "{pattern}");
        }
        assert!(Coverage::parse("TOTAL").is_err());
    }
}
