/// The scopes of a token and the levels each may be given.
pub const SCOPES: [(&str, &[&str]); 20] = [
    ("actions", ANY),
    ("artifact-metadata", ANY),
    ("attestations", ANY),
    ("checks", ANY),
    ("code-quality", ANY),
    ("contents", ANY),
    ("copilot-requests", WRITE),
    ("deployments", ANY),
    ("discussions", ANY),
    ("drives", ANY),
    ("id-token", WRITE),
    ("issues", ANY),
    ("models", READ),
    ("packages", ANY),
    ("pages", ANY),
    ("pull-requests", ANY),
    ("repository-projects", ANY),
    ("security-events", ANY),
    ("statuses", ANY),
    ("vulnerability-alerts", READ),
];

const ANY: &[&str] = &["read", "write", "none"];
const READ: &[&str] = &["read", "none"];
const WRITE: &[&str] = &["write", "none"];
