//! Keys and tokens written into the file.
//!
//! Only what by its form can be nothing else: tokens of GitHub, GitLab, npm, PyPI, Slack, Stripe and Google, keys of
//! AWS, private keys. Everybody who can read the repository has them. gitleaks' rules for the same; actionlint: credentials.
//!
//! Bad: `env: {NPM_TOKEN: npm_AbC…}`. Good: `env: {NPM_TOKEN: "${{ secrets.NPM_TOKEN }}"}`.

use base::Span;

use super::*;

pub(super) const AUDIT: Audit = Audit { id: "hardcoded-secrets", summary: "keys and tokens written into the file", run };

/// What one begins with, which letters follow, and at least how many.
const FORMS: &[(&str, &str, usize)] = &[
    ("ghp_", "a token of GitHub", 36),
    ("gho_", "a token of GitHub", 36),
    ("ghs_", "a token of GitHub", 36),
    ("github_pat_", "a token of GitHub", 60),
    ("glpat-", "a token of GitLab", 20),
    ("npm_", "a token of npm", 36),
    ("pypi-AgEIcHlwaS5vcmc", "a token of PyPI", 50),
    ("xoxb-", "a token of Slack", 20),
    ("xoxp-", "a token of Slack", 20),
    ("sk_live_", "a key of Stripe", 20),
    ("AKIA", "a key of AWS", 16),
    ("AIza", "a key of Google", 35),
];

fn run(document: &Document, report: &mut Report) {
    let text = &document.source.text;
    let mut found: Vec<(Span, &str)> = Vec::new();
    for (beginning, what, length) in FORMS {
        for (at, _) in text.match_indices(beginning) {
            let is_part = |letter: u8| letter.is_ascii_alphanumeric() || letter == b'_' || letter == b'-';
            let stands_alone = at == 0 || !is_part(text.as_bytes()[at - 1]);
            let rest = text[at + beginning.len()..].bytes().take_while(|letter| is_part(*letter)).count();
            let body = &text[at + beginning.len()..at + beginning.len() + rest];
            if stands_alone && rest >= *length && is_random(body) && (*beginning != "AKIA" || rest == 16) {
                found.push((Span::new(at, at + beginning.len() + rest), what));
            }
        }
    }
    for (at, header) in
        text.match_indices("-----BEGIN ").filter(|(at, _)| text[*at..].lines().next().is_some_and(|line| line.contains("PRIVATE KEY-----")))
    {
        found.push((Span::new(at, at + header.len() + text[at + header.len()..].find("-----").map_or(0, |end| end + 5)), "a private key"));
    }
    for (span, what) in found {
        let message = format!("this is {what}, written into the file for everybody who reads it");
        report.add(
            Finding::new(&AUDIT, Severity::High, Confidence::High, span, message)
                .hint("keep it as a secret and name it here; and change it, it is known"),
        );
    }
}

/// Not `AKIA0000000000000000`: an example has few different letters.
fn is_random(body: &str) -> bool {
    let different: std::collections::BTreeSet<u8> = body.bytes().collect();
    different.len() >= 8
}
