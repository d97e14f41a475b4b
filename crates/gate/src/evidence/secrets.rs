//! Secrets in what ships: tokens whose form gives them away, and private keys. Never what they say, only where they are.
//!
//! Forms that somebody chose so that they can be found: a prefix of their own, a fixed alphabet and length. Passwords have no form.

use std::sync::LazyLock;

use regex::bytes::Regex;
use serde_json::{Value, json};

/// What names itself as the scanner, so that nobody takes this for the scan of a scanner.
pub(super) const TOOL: &str = "Plimsoll";

/// Of one file; a file with more is a list of them, and one is enough to deny.
const FOUND_MAX: usize = 100;

/// A secret, by its kind and its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    pub rule: &'static str,
    pub line: u64,
}

/// How one kind of token is told: how it begins, and what must follow.
struct Rule {
    name: &'static str,
    begins: &'static [&'static str],
    follows: &'static str,
    means: &'static str,
}

const fn rule(name: &'static str, begins: &'static [&'static str], follows: &'static str, means: &'static str) -> Rule {
    Rule { name, begins, follows, means }
}

/// What follows is matched at once and must end where the token's alphabet ends.
const RULES: &[Rule] = &[
    rule("aws-access-key", &["AKIA", "ASIA"], "[A-Z2-7]{16}", "an access key of AWS"),
    rule("github-token", &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], "[A-Za-z0-9]{36}", "a token of GitHub"),
    rule("github-fine-grained-token", &["github_pat_"], "[A-Za-z0-9]{22}_[A-Za-z0-9]{59}", "a token of GitHub"),
    rule("gitlab-token", &["glpat-", "gldt-", "glrt-", "glptt-", "glsoat-", "glcbt-"], "[A-Za-z0-9_-]{20,64}", "a token of GitLab"),
    rule("slack-token", &["xoxa-", "xoxb-", "xoxe-", "xoxo-", "xoxp-", "xoxr-", "xoxs-"], "[0-9A-Za-z-]{20,250}", "a token of Slack"),
    rule("slack-app-token", &["xapp-"], "[0-9]-[A-Z0-9]{8,14}-[0-9]{10,15}-[a-f0-9]{64}", "a token of a Slack application"),
    rule(
        "slack-webhook",
        &["https://hooks.slack.com/services/"],
        "T[A-Z0-9]{8,12}/B[A-Z0-9]{8,12}/[A-Za-z0-9]{20,28}",
        "an address that posts to Slack",
    ),
    rule("stripe-key", &["sk_live_", "rk_live_"], "[A-Za-z0-9]{24,247}", "a live key of Stripe"),
    rule("google-api-key", &["AIza"], "[A-Za-z0-9_-]{35}", "an API key of Google"),
    rule("sendgrid-key", &["SG."], "[A-Za-z0-9_-]{22}\\.[A-Za-z0-9_-]{43}", "a key of SendGrid"),
    rule("npm-token", &["npm_"], "[A-Za-z0-9]{36}", "a token of npm"),
    rule("pypi-token", &["pypi-AgEIcHlwaS5vcmc"], "[A-Za-z0-9_-]{50,1000}", "a token of PyPI"),
    rule("docker-token", &["dckr_pat_"], "[A-Za-z0-9_-]{27}", "a token of Docker Hub"),
    rule("vault-token", &["hvs.", "hvb."], "[A-Za-z0-9_-]{90,300}", "a token of Vault"),
    rule("digitalocean-token", &["dop_v1_", "doo_v1_", "dor_v1_"], "[a-f0-9]{64}", "a token of DigitalOcean"),
    rule("shopify-token", &["shpat_", "shpca_", "shppa_", "shpss_"], "[a-fA-F0-9]{32}", "a token of Shopify"),
    rule("anthropic-key", &["sk-ant-api", "sk-ant-admin"], "[0-9]{2}-[A-Za-z0-9_-]{80,120}", "a key of Anthropic"),
    rule("openai-key", &["sk-proj-", "sk-svcacct-", "sk-admin-"], "[A-Za-z0-9_-]{40,200}", "a key of OpenAI"),
    rule("hugging-face-token", &["hf_"], "[A-Za-z]{34}", "a token of Hugging Face"),
    rule("grafana-token", &["glsa_"], "[A-Za-z0-9]{32}_[a-f0-9]{8}", "a token of Grafana"),
    rule("age-key", &["AGE-SECRET-KEY-1"], "[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}", "a key of age"),
    rule(PRIVATE_KEY, &["-----BEGIN "], "(?:[A-Z0-9]{2,12} ){0,2}PRIVATE KEY(?: BLOCK)?-----", "a private key"),
];

const PRIVATE_KEY: &str = "private-key";

/// Of a private key so many characters must follow its head, or it is somebody who looks for keys.
const KEY_BODY_MIN: usize = 64;

/// `xxxxxxxx` and `00000000` are no secrets.
const DISTINCT_MIN: usize = 8;

struct Compiled {
    /// All beginnings at once: nearly all bytes of nearly all files are none, and are passed quickly.
    begins: Regex,
    /// Of every rule, in order.
    follows: Vec<Regex>,
}

static COMPILED: LazyLock<Compiled> = LazyLock::new(|| {
    let compile = |pattern: String| Regex::new(&format!("(?-u){pattern}")).expect("a test compiles every rule");
    let begins: Vec<String> = RULES.iter().flat_map(|rule| rule.begins).map(|begin| regex::escape(begin)).collect();
    let follows = RULES.iter().map(|rule| compile(format!("^(?:{})", rule.follows))).collect();
    Compiled { begins: compile(begins.join("|")), follows }
});

/// Looks through the bytes of one file, whatever it is; what is compressed stays unread.
pub fn scan(bytes: &[u8]) -> Vec<Found> {
    let mut found = Vec::new();
    let (mut line, mut counted, mut from) = (1, 0, 0);
    while let Some(begin) = COMPILED.begins.find_at(bytes, from) {
        from = begin.start() + 1;
        let Some((rule, end)) = token_at(bytes, begin.start(), begin.end()) else { continue };
        line += bytes[counted..begin.start()].iter().filter(|byte| **byte == b'\n').count() as u64;
        (counted, from) = (begin.start(), end);
        found.push(Found { rule: rule.name, line });
        if found.len() == FOUND_MAX {
            break;
        }
    }
    found
}

/// The rule that holds here, and where its token ends.
fn token_at(bytes: &[u8], at: usize, begun: usize) -> Option<(&'static Rule, usize)> {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    if at > 0 && is_word(&bytes[at - 1]) && bytes[at] != b'-' {
        return None;
    }
    let is_begun = |rule: &&Rule| rule.begins.iter().any(|begin| begin.as_bytes() == &bytes[at..begun]);
    let (rule, follows) = RULES.iter().zip(&COMPILED.follows).find(|(rule, _)| is_begun(rule))?;
    let end = begun + follows.find(&bytes[begun..])?.end();
    let holds = match rule.name {
        PRIVATE_KEY => key_body(&bytes[end..]) >= KEY_BODY_MIN,
        _ => !bytes.get(end).is_some_and(is_word) && is_random(&bytes[at..end]),
    };
    holds.then_some((rule, end))
}

/// What documents show has few different characters, or says what it is.
fn is_random(token: &[u8]) -> bool {
    let mut seen = [false; 256];
    token.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    seen.iter().filter(|seen| **seen).count() >= DISTINCT_MIN && !token.ends_with(b"EXAMPLE")
}

/// Characters of base64 that follow, line ends between them, written out or as `\n`; what heads of old keys say besides is passed.
fn key_body(bytes: &[u8]) -> usize {
    let near = &bytes[..bytes.len().min(1024)];
    let text: Vec<u8> = String::from_utf8_lossy(near).replace("\\n", "\n").replace("\\r", "").into_bytes();
    let lines = text.split(|byte| *byte == b'\n' || *byte == b'\r').map(<[u8]>::trim_ascii);
    let is_header = |line: &&[u8]| line.is_empty() || line.contains(&b':');
    let is_body = |line: &[u8]| line.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte)).count();
    let mut count = 0;
    for line in lines.skip_while(is_header) {
        let here = is_body(line);
        count += here;
        if here == 0 || here < line.len() {
            break;
        }
    }
    count
}

/// A report of the files with secrets, as SARIF; nothing where there is none.
pub fn report<'a>(found: impl IntoIterator<Item = (&'a str, Vec<Found>)>) -> Option<Value> {
    let result = |path: &str, found: Found| {
        let location = json!({ "artifactLocation": { "uri": path }, "region": { "startLine": found.line } });
        json!({ "ruleId": found.rule, "level": "error", "message": { "text": "a secret" }, "locations": [{ "physicalLocation": location }] })
    };
    let results: Vec<Value> = found.into_iter().flat_map(|(path, found)| found.into_iter().map(move |it| result(path, it))).collect();
    let rule = |rule: &Rule| json!({ "id": rule.name, "shortDescription": { "text": rule.means }, "properties": { "tags": ["secret"] } });
    let driver = json!({ "name": TOOL, "rules": RULES.iter().map(rule).collect::<Vec<_>>() });
    (!results.is_empty()).then(|| json!({ "version": "2.1.0", "runs": [{ "tool": { "driver": driver }, "results": results }] }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<String> {
        scan(text.as_bytes()).iter().map(|found| format!("{}:{}", found.rule, found.line)).collect()
    }

    /// Put together here, so that nobody finds one in this file.
    fn token(begin: &str, alphabet: &str, length: usize) -> String {
        begin.chars().chain(alphabet.chars().cycle().take(length)).collect()
    }

    const ALNUM: &str = "a1B2c3D4e5F6g7H8i9J0kLmNoPqRsT";
    const HEX: &str = "0123456789abcdef";

    fn tokens() -> Vec<(&'static str, String)> {
        let joined = |parts: &[String]| parts.concat();
        vec![
            ("aws-access-key", token("AKIA", "QWERTY234567ZXCV", 16)),
            ("github-token", token("ghp_", ALNUM, 36)),
            ("github-fine-grained-token", joined(&[token("github_pat_", ALNUM, 22), token("_", ALNUM, 59)])),
            ("gitlab-token", token("glpat-", ALNUM, 20)),
            ("slack-token", token("xoxb-", "1234567890-abcdefGHIJ", 50)),
            ("slack-app-token", joined(&[token("xapp-1-A", "0B1C2D3E", 8), token("-", "1234567890", 12), token("-", HEX, 64)])),
            (
                "slack-webhook",
                joined(&[token("https://hooks.slack.com/services/T", "0A1B2C3D", 9), token("/B", "0A1B2C3D", 9), token("/", ALNUM, 24)]),
            ),
            ("stripe-key", token("sk_live_", ALNUM, 24)),
            ("google-api-key", token("AIza", ALNUM, 35)),
            ("sendgrid-key", joined(&[token("SG.", ALNUM, 22), token(".", ALNUM, 43)])),
            ("npm-token", token("npm_", ALNUM, 36)),
            ("pypi-token", token("pypi-AgEIcHlwaS5vcmc", ALNUM, 120)),
            ("docker-token", token("dckr_pat_", ALNUM, 27)),
            ("vault-token", token("hvs.", ALNUM, 95)),
            ("digitalocean-token", token("dop_v1_", HEX, 64)),
            ("shopify-token", token("shpat_", HEX, 32)),
            ("anthropic-key", token("sk-ant-api03-", ALNUM, 95)),
            ("openai-key", token("sk-proj-", ALNUM, 48)),
            ("hugging-face-token", token("hf_", "aBcDeFgHiJkL", 34)),
            ("grafana-token", joined(&[token("glsa_", ALNUM, 32), token("_", HEX, 8)])),
            ("age-key", token("AGE-SECRET-KEY-1", "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58)),
            ("private-key", format!("-----BEGIN {}PRIVATE KEY-----\n{}\n", "RSA ", token("", ALNUM, 64))),
        ]
    }

    #[test]
    fn every_kind_of_token_is_found_wherever_it_stands() {
        let tokens = tokens();
        assert_eq!(tokens.iter().map(|it| it.0).collect::<Vec<_>>(), RULES.iter().map(|it| it.name).collect::<Vec<_>>());
        for (rule, token) in tokens {
            for (before, after) in
                [("", ""), ("a\n\nkey = \"", "\"\n"), ("\n\nX=", "\n"), ("\u{0}\u{ff}\n\n", "\u{0}"), ("\n\n{\"k\":\"", "\",")]
            {
                let line = 1 + before.matches('\n').count();
                assert_eq!(
                    rules(&format!("{before}{token}{after}")),
                    [format!("{rule}:{line}")],
                    "{rule} between {before:?} and {after:?}"
                );
            }
            if rule != PRIVATE_KEY {
                assert_eq!(rules(&format!("x{token}")), Vec::<String>::new(), "{rule} within a word");
                // A token without a fixed length may end anywhere but near its beginning.
                let is_fixed = RULES.iter().any(|it| it.name == rule && !it.follows.contains(','));
                let cut = if is_fixed { token.len() - 10 } else { 12 };
                assert_eq!(rules(&token[..cut]), Vec::<String>::new(), "{rule} cut off");
            }
        }
    }

    #[test]
    fn what_only_looks_like_a_secret_is_none() {
        let short_key = format!("-----BEGIN {}PRIVATE KEY-----", "");
        for text in [
            "AKIAIOSFODNN7EXAMPLE",
            &token("ghp_", "x", 36),
            &token("ghp_", "0", 36),
            &token("ghp_", ALNUM, 37),
            &format!("if text.contains(\"{short_key}\") {{ return Err(\"a private key\") }}"),
            &format!("{short_key}\n...\n"),
            "sk_test_a1B2c3D4e5F6g7H8i9J0kLmN",
            "ascii npm_config_registry gh_ hf_ SG. AIza",
        ] {
            assert_eq!(rules(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn a_private_key_is_found_as_it_is_kept() {
        let body = token("", ALNUM, 64);
        let (begin, end) = (format!("-----BEGIN {}PRIVATE KEY-----", "EC "), format!("-----END {}PRIVATE KEY-----", "EC "));
        for text in [
            format!("{begin}\n{body}\n{end}"),
            format!("{begin}\r\n{body}\r\n{end}"),
            format!("{begin}\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n{body}\n{end}"),
            format!("{{\"private_key\": \"{begin}\\n{body}\\n{end}\\n\"}}"),
            format!("  key: |\n    {begin}\n    {}\n    {}\n", &body[..32], &body[32..]),
        ] {
            assert_eq!(rules(&text).len(), 1, "{text}");
        }
    }

    #[test]
    fn several_are_told_each_with_its_line_and_none_is_quoted() {
        let tokens = tokens();
        let text: String = tokens.iter().map(|(_, token)| format!("{token}\n\n")).collect();
        let found = scan(text.as_bytes());
        assert_eq!(found.len(), RULES.len());
        assert!(found.windows(2).all(|pair| pair[0].line < pair[1].line));
        let report = report([("app.env", found), ("other", Vec::new())]).unwrap().to_string();
        assert!(tokens.iter().all(|(_, token)| !report.contains(token.trim())), "{report}");
        let super::super::Reading::Claims(claims) = super::super::read("evidence/secrets.sarif", report.as_bytes()) else {
            panic!("{report}")
        };
        let evidence = super::super::Evidence { claims, ..Default::default() };
        let findings = evidence.findings();
        assert_eq!(findings.len(), RULES.len());
        assert!(findings.iter().all(|it| it.kind == super::super::FindingKind::Secret && it.file.as_deref() == Some("app.env")));
        assert!(evidence.summary().present.is_empty(), "it is no scan of a scanner");
        assert_eq!(super::report([("app.env", Vec::new())]), None);
        let many = token("ghp_", ALNUM, 36) + "\n";
        assert_eq!(scan(many.repeat(1_000).as_bytes()).len(), FOUND_MAX);
    }
}
