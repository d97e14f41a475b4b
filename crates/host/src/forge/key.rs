//! Who an App is, signed with its key: a JSON Web Token with RS256 (RFC 7515, RFC 7518), by the installed `openssl`.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value as Json, json};

/// The forge takes ten minutes at most, and its clock may be behind ours.
const LIFETIME_SECONDS: u64 = 9 * 60;
const BEFORE_SECONDS: u64 = 60;

/// `now` is in seconds since 1970.
///
/// # Errors
/// One sentence, without a full stop.
pub(super) fn signed(key: &Path, id: &str, now: u64) -> Result<String, String> {
    let shown = key.display();
    let about = fs::metadata(key).map_err(|error| format!("the GitHub App's key `{shown}` can't be read: {error}"))?;
    if about.permissions().mode() & 0o077 != 0 {
        return Err(format!(
            "others than its owner can read the GitHub App's key `{shown}`: `chmod 600 {shown}`, and a new key if somebody has"
        ));
    }
    let encoded = |json: &Json| URL_SAFE_NO_PAD.encode(json.to_string());
    let claims = json!({ "iat": now.saturating_sub(BEFORE_SECONDS), "exp": now + LIFETIME_SECONDS, "iss": id });
    let message = format!("{}.{}", encoded(&json!({ "alg": "RS256", "typ": "JWT" })), encoded(&claims));
    let signature = sign(key, message.as_bytes())?;
    Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

fn sign(key: &Path, message: &[u8]) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => {
            "`openssl` is not on the PATH, and signs for the GitHub App; the system's package `openssl` has it".to_string()
        }
        _ => format!("`openssl` can't be asked to sign for the GitHub App: {error}"),
    };
    let mut command = Command::new("openssl");
    command.args(["dgst", "-sha256", "-binary", "-sign"]).arg(key).arg("-passin").arg("pass:");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    // One that can't read the key says so by how it ends.
    let _ = child.stdin.take().expect("its standard input is a pipe").write_all(message);
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let shown = key.display();
    Err(format!(
        "`{shown}` is no private key that `openssl` can sign with; the GitHub App's settings make one, a file that ends with `.pem`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_others_can_read_or_that_is_none_signs_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("app.pem");
        assert!(signed(&key, "1", 0).unwrap_err().contains("can't be read"));
        fs::write(&key, "no key").unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(signed(&key, "1", 0).unwrap_err().contains("others than its owner can read"));
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(signed(&key, "1", 0).unwrap_err().contains("is no private key"));
    }
}
