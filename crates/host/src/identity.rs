//! The issuer of tokens that tell others who a job is (OpenID Connect): its address, its key, and what the address must answer.
//!
//! ```text
//! job ── asks with its own secret ──> service of the job ── signs ──> token ──> somebody who trusts the issuer
//!                                                                                  │ once
//!                              ISSUER/.well-known/openid-configuration, …/jwks <───┘
//! ```
//!
//! The address is a person's to choose, because others have to reach it; the two files below it are public and change only with the key.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base::Digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gate::attest::SigningKey;
use serde_json::{Map, Value as Json, json};

use crate::dirs::Dirs;
use crate::keys::{self, KeyError};
use crate::supervise::durable;

/// Of a token that a job asks for when it needs it; as GitHub has it.
pub(crate) const LIFETIME_SECONDS: i64 = 5 * 60;

/// Clocks that are this much behind take a token all the same; as GitHub has it.
const BEFORE_SECONDS: i64 = 10 * 60;

/// Below the issuer's address, without an extension: so OpenID Connect Discovery 1.0, section 4, has it.
pub const DISCOVERY: &str = ".well-known/openid-configuration";
pub const KEYS: &str = ".well-known/jwks";

#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("`{}` can't be {doing}", path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Who signs, and with what.
#[derive(Debug, Clone)]
pub struct Issuer {
    pub address: String,
    key: SigningKey,
}

/// For whom a token is, and when it is made, in seconds since 1970.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// One, or a list of them.
    pub audience: &'a Json,
    /// Never the same twice.
    pub id: &'a str,
    pub now: i64,
    pub lifetime_seconds: i64,
}

impl Issuer {
    /// That of this state directory; nothing where nobody has said which address it has. Blocks.
    ///
    /// # Errors
    /// When its file or its key can't be read or made.
    pub fn read(dirs: &Dirs) -> Result<Option<Issuer>, IssuerError> {
        let path = file(dirs);
        let address = durable::read(&path).map_err(|source| IssuerError::Io { doing: "read", path, source })?;
        let Some(address) = address.and_then(|bytes| String::from_utf8(bytes).ok()) else { return Ok(None) };
        Ok(Some(Issuer { address: address.trim().to_string(), key: keys::identity_key(dirs)? }))
    }

    /// Gives the issuer of this state directory its address. Blocks.
    ///
    /// # Errors
    /// When it can't be written, or the key can't be made.
    pub fn set(dirs: &Dirs, address: &str) -> Result<Issuer, IssuerError> {
        let key = keys::identity_key(dirs)?;
        let path = file(dirs);
        durable::replace(&path, address.as_bytes()).map_err(|source| IssuerError::Io { doing: "written", path, source })?;
        Ok(Issuer { address: address.to_string(), key })
    }

    /// A JSON Web Token, signed with ES256 (RFC 7515, RFC 7518).
    pub fn token(&self, claims: &Map<String, Json>, wanted: Wanted<'_>) -> String {
        let mut claims = claims.clone();
        let own = [
            ("iss", json!(self.address)),
            ("aud", json!(wanted.audience)),
            ("jti", json!(wanted.id)),
            ("iat", json!(wanted.now)),
            ("nbf", json!(wanted.now - BEFORE_SECONDS)),
            ("exp", json!(wanted.now + wanted.lifetime_seconds)),
        ];
        claims.extend(own.map(|(name, value)| (name.to_string(), value)));
        let header = json!({ "typ": "JWT", "alg": "ES256", "kid": self.key_id() });
        let encoded = |json: &Json| URL_SAFE_NO_PAD.encode(json.to_string());
        let message = format!("{}.{}", encoded(&header), encoded(&Json::Object(claims)));
        let signature = self.key.sign_fixed(&Digest::of(message.as_bytes()));
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// What `ISSUER/.well-known/openid-configuration` answers.
    pub fn discovery(&self) -> Json {
        json!({
            "issuer": self.address,
            "jwks_uri": format!("{}/{KEYS}", self.address),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "scopes_supported": ["openid"],
            "claims_supported": ["sub", "aud", "exp", "iat", "iss", "jti", "nbf", "ref", "sha", "repository", "repository_owner", "actor",
                "environment", "event_name", "job_workflow_ref", "run_id", "run_number", "run_attempt", "runner_environment", "workflow",
                "workflow_ref", "workflow_sha", "head_ref", "base_ref", "ref_type"],
        })
    }

    /// What `ISSUER/.well-known/jwks` answers (RFC 7517).
    pub fn keys(&self) -> Json {
        let mut key = self.thumbed();
        key["kid"] = self.key_id().into();
        key["use"] = "sig".into();
        key["alg"] = "ES256".into();
        json!({ "keys": [key] })
    }

    /// The key's thumbprint (RFC 7638).
    fn key_id(&self) -> String {
        URL_SAFE_NO_PAD.encode(Digest::of(self.thumbed().to_string().as_bytes()).as_bytes())
    }

    /// The members of which the thumbprint is made; in order, since a map has them sorted.
    fn thumbed(&self) -> Json {
        let (x, y) = self.key.public().coordinates();
        json!({ "crv": "P-256", "kty": "EC", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y) })
    }
}

/// What is wrong with an address for an issuer, as a sentence without a full stop; nothing where nothing is.
pub fn complaint(address: &str) -> Option<&'static str> {
    let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"));
    let host = rest.unwrap_or_default().split('/').next().unwrap_or_default();
    let local = ["localhost", "127.0.0.1"].iter().any(|name| host.split(':').next() == Some(*name));
    match rest {
        None => Some("an address that begins with `https://` is wanted"),
        Some(_) if host.is_empty() || address.contains(char::is_whitespace) => Some("there is no host in it"),
        Some(_) if host.contains('@') => Some("it has a user in it"),
        Some(_) if address.contains(['?', '#']) => Some("an issuer's address has no `?` and no `#`"),
        Some(_) if address.ends_with('/') => Some("it ends with `/`, and others compare it letter by letter: leave that out"),
        Some(_) if address.starts_with("http://") && !local => Some("others trust only what they reach by `https://`"),
        Some(_) => None,
    }
}

/// Writes the two public files below a folder, for any server of files behind the issuer's address.
///
/// # Errors
/// When they can't be written.
pub fn publish(issuer: &Issuer, folder: &Path) -> Result<Vec<PathBuf>, IssuerError> {
    let write = |(name, content): (&str, Json)| {
        let path = folder.join(name);
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, format!("{content:#}\n")));
        written.map(|()| path.clone()).map_err(|source| IssuerError::Io { doing: "written", path, source })
    };
    [(DISCOVERY, issuer.discovery()), (KEYS, issuer.keys())].into_iter().map(write).collect()
}

fn file(dirs: &Dirs) -> PathBuf {
    dirs.state().join("server.issuer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_that_others_can_trust() {
        for good in ["https://ci.example.org", "https://example.org/plimsoll", "http://localhost:8080", "http://127.0.0.1:1/x"] {
            assert_eq!(complaint(good), None, "{good}");
        }
        for bad in ["", "ci.example.org", "https://", "https:///x", "https://a b", "https://me@x", "https://x/", "https://x?y", "http://x"]
        {
            assert!(complaint(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn nobody_issues_before_somebody_says_where_and_the_key_stays() {
        let temporary = tempfile::tempdir().unwrap();
        let dirs = Dirs::at(&temporary.path().join("state")).unwrap();
        assert!(Issuer::read(&dirs).unwrap().is_none());
        let keys = Issuer::set(&dirs, "https://one.example").unwrap().keys();
        Issuer::set(&dirs, "https://two.example").unwrap();
        let issuer = Issuer::read(&dirs).unwrap().unwrap();
        assert_eq!((issuer.address.as_str(), issuer.keys()), ("https://two.example", keys));
        assert_eq!(issuer.discovery()["jwks_uri"], "https://two.example/.well-known/jwks");
        assert_eq!(dirs.foreign().unwrap(), Vec::<String>::new(), "both files are the state directory's own, and go with it");
        let files = publish(&issuer, &temporary.path().join("www")).unwrap();
        let read: Vec<Json> = files.iter().map(|file| serde_json::from_slice(&fs::read(file).unwrap()).unwrap()).collect();
        assert_eq!(read, [issuer.discovery(), issuer.keys()]);
    }
}
