//! What every scanner's finding goes through: one identity, one kind, and no secret quoted.

use base::Digest;

use super::claim::{Finding, FindingKind, Package, Severity, shorten};

/// More than any person will ever look at; beyond it the report is refused rather than the memory filled.
pub(crate) const FINDINGS_MAX: usize = 200_000;
pub(crate) const MESSAGE_MAX_CHARS: usize = 300;
pub(crate) const NAME_MAX_CHARS: usize = 500;
/// Other names, and classes, of one finding; an advisory has three or four.
pub(crate) const NAMES_MAX: usize = 50;
/// A password, a cryptographic key and a credential in the code.
pub(crate) const CREDENTIALS_CWE: [u32; 3] = [259, 321, 798];

/// A finding as a scanner puts it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Draft {
    pub rule: String,
    /// What the rule calls itself beside its id.
    pub rule_name: Option<String>,
    pub kind: Option<FindingKind>,
    /// Nothing given is what SARIF calls a warning.
    pub severity: Option<Severity>,
    pub message: String,
    /// What the rule says in general: all that is kept of a secret, for its message may quote it.
    pub title: String,
    pub file: Option<String>,
    pub line: Option<u64>,
    pub column: Option<u64>,
    pub suppressed: Option<String>,
    pub aliases: Vec<String>,
    pub package: Option<Package>,
    pub cwe: Vec<u32>,
}

impl Draft {
    pub fn finish(self) -> Finding {
        let rule = if self.rule.is_empty() { "unnamed".to_string() } else { shorten(&self.rule, NAME_MAX_CHARS) };
        let kind = self.kind.unwrap_or(if is_vulnerability(&rule) { FindingKind::Vulnerability } else { FindingKind::Code });
        let file = self.file.map(|file| normal_path(&shorten(&file, NAME_MAX_CHARS)));
        let quotes = kind != FindingKind::Secret
            && (is_about_credentials(&rule)
                || self.rule_name.as_deref().is_some_and(is_about_credentials)
                || self.cwe.iter().any(|number| CREDENTIALS_CWE.contains(number)));
        let told = shorten(if quotes { unquoted(&self.message) } else { &self.message }, MESSAGE_MAX_CHARS);
        let fingerprint = match (kind, &self.package) {
            (FindingKind::Vulnerability, Some(package)) => hash(&format!("p\n{}\n{}", rule.to_ascii_uppercase(), common_name(package))),
            _ => fingerprint(&rule, kind, file.as_deref(), self.line, self.column, &told),
        };
        let message = match kind {
            FindingKind::Code | FindingKind::Vulnerability if !told.is_empty() => told,
            _ => shorten(&self.title, MESSAGE_MAX_CHARS),
        };
        let severity = self.severity.unwrap_or(Severity::Medium);
        let Draft { line, suppressed, mut aliases, package, mut cwe, .. } = self;
        aliases.retain(|alias| *alias != rule);
        aliases.sort_unstable();
        aliases.dedup();
        aliases.truncate(NAMES_MAX);
        cwe.sort_unstable();
        cwe.dedup();
        cwe.truncate(NAMES_MAX);
        let package = package.map(Box::new);
        Finding { rule, severity, kind, message, file, line, fingerprint, aliases, package, cwe, suppressed }
    }
}

/// A vulnerability is the same in one file whoever found it and however they put it; anything else is the same at the same place.
/// Without a place only the same words are the same finding.
fn fingerprint(rule: &str, kind: FindingKind, file: Option<&str>, line: Option<u64>, column: Option<u64>, message: &str) -> String {
    let identity = match (kind, file, line) {
        (FindingKind::Vulnerability, Some(file), _) => format!("v\n{}\n{file}", rule.to_ascii_uppercase()),
        (_, Some(file), Some(line)) => format!("l\n{rule}\n{file}\n{line}\n{}", column.unwrap_or(0)),
        _ => format!("m\n{rule}\n{}\n{message}", file.unwrap_or_default()),
    };
    hash(&identity)
}

fn hash(identity: &str) -> String {
    Digest::of(identity.as_bytes()).hex()[..32].to_string()
}

/// One name for what scanners write in several ways: `PyYAML`, `pyyaml`; `ruamel_yaml`, `ruamel.yaml`; `group:artifact`, `artifact`.
pub(crate) fn common_name(package: &Package) -> String {
    let name = package.name.rsplit(':').next().unwrap_or(&package.name);
    name.chars().map(|character| if matches!(character, '_' | '.') { '-' } else { character.to_ascii_lowercase() }).collect()
}

fn normal_path(uri: &str) -> String {
    let path = uri.strip_prefix("file://").unwrap_or(uri).replace('\\', "/");
    path.strip_prefix("./").map(str::to_string).unwrap_or(path)
}

pub(crate) fn is_vulnerability(id: &str) -> bool {
    let id = id.to_ascii_uppercase();
    ["CVE-", "GHSA-", "RUSTSEC-", "PYSEC-", "GO-20", "OSV-", "SNYK-"].iter().any(|prefix| id.starts_with(prefix))
}

/// Scanners that look for nothing but secrets.
pub(crate) fn is_secret_tool(name: &str) -> bool {
    let name: String = name.to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    let tools = [
        "gitleaks",
        "betterleaks",
        "trufflehog",
        "detectsecrets",
        "secretlint",
        "ggshield",
        "gitguardian",
        "gitsecrets",
        "noseyparker",
        "kingfisher",
        "talisman",
    ];
    tools.iter().any(|tool| name.contains(tool))
}

/// `generic.secrets.security.detected-aws-key`, `secrets/generic`, `hardcoded-secret`: a word about secrets in general is not enough.
pub(crate) fn is_secret_rule(id: &str) -> bool {
    let id = id.to_ascii_lowercase();
    let words: Vec<&str> = words(&id).collect();
    let leaked = |word: &&str| matches!(*word, "secret" | "password" | "credential" | "credentials" | "token");
    words.contains(&"secrets") || (words.iter().any(|word| matches!(*word, "hardcoded" | "leaked")) && words.iter().any(leaked))
}

/// Rules whose words quote what they take for a password, and are wrong too often to be counted as secrets.
fn is_about_credentials(rule: &str) -> bool {
    let rule = rule.to_ascii_lowercase();
    // Of Bandit and gosec, which name the value they have seen.
    let numbered = words(&rule).any(|word| matches!(word, "b105" | "b106" | "b107" | "g101"));
    let named =
        ["password", "passwd", "secret", "credential", "token", "apikey", "api-key", "api_key"].iter().any(|word| rule.contains(word));
    numbered || (named && ["hardcoded", "hard-coded", "hard_coded", "leaked", "exposed"].iter().any(|word| rule.contains(word)))
}

/// The words until the first quotation.
fn unquoted(message: &str) -> &str {
    let end = message.find(['\'', '"', '`', '‘', '“']).unwrap_or(message.len());
    message[..end].trim_end_matches([':', ' '])
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric())
}
