//! `GET identity/token?audience=…`: who the job is, signed for those outside; `packages/core/src/oidc-utils.ts` of `actions/toolkit` asks.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use serde_json::{Map, Value as Json, json};

use super::blob::query;
use super::own::Own;
use super::service::{Answer, Service, bearer, json_answer, same};
use super::{base64url, secret};
use crate::dirs::Dirs;
use crate::identity::{Issuer, LIFETIME_SECONDS, Wanted};

pub(super) const PATH: &str = "/identity/token";

/// Longer than any name of somebody who is to be convinced.
const AUDIENCE_BYTES_MAX: usize = 1024;

/// A job that may ask who it is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Where the issuer and its key are.
    pub state: Dirs,
    pub claims: Map<String, Json>,
    /// For whom a token is where the job names nobody.
    pub audience: String,
}

/// An identity, and with what its job asks for it.
#[derive(Debug)]
pub(super) struct Asked {
    pub identity: Identity,
    pub secret: String,
}

impl Asked {
    pub fn new(identity: Identity) -> std::io::Result<Asked> {
        Ok(Asked { identity, secret: base64url(&secret()?) })
    }

    /// What every step of the job gets (runner: `Handlers/ScriptHandler.cs` and its neighbours).
    pub fn env(&self, service: &str) -> BTreeMap<String, String> {
        let url = format!("{service}{}?api-version=2.0", &PATH[1..]);
        [("ACTIONS_ID_TOKEN_REQUEST_URL", url), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", self.secret.clone())]
            .map(|(name, value)| (name.to_string(), value))
            .into()
    }
}

impl Service {
    pub fn token_for(&self, request: &Request<Incoming>) -> Answer {
        let refused = |status, why: &str| json_answer(status, &json!({ "message": why }));
        let shown = bearer(request);
        if let Some(Err(refusal)) = self.tokens.own(shown).map(Own::may_ask_who_it_is) {
            return refused(StatusCode::FORBIDDEN, &refusal.message);
        }
        let asked = self.tokens.identity.as_ref();
        let Some(asked) = asked.filter(|asked| same(shown.as_bytes(), asked.secret.as_bytes()) || self.tokens.own(shown).is_some()) else {
            return refused(StatusCode::UNAUTHORIZED, "this is not the secret of a job with `id-token: write`");
        };
        if request.method() != Method::GET {
            return refused(StatusCode::METHOD_NOT_ALLOWED, "a token is asked for with GET");
        }
        let query = query(request.uri().query().unwrap_or_default());
        let audience = query.get("audience").filter(|audience| !audience.is_empty()).unwrap_or(&asked.identity.audience);
        if audience.len() > AUDIENCE_BYTES_MAX {
            return refused(StatusCode::BAD_REQUEST, "the audience is longer than 1,024 bytes");
        }
        match signed(&asked.identity, &json!(audience), LIFETIME_SECONDS) {
            Ok(Some(token)) => json_answer(StatusCode::OK, &json!({ "value": token })),
            Ok(None) => refused(
                StatusCode::NOT_FOUND,
                "nobody has said who issues tokens here: `plimsoll identity issuer https://ADDRESS` does, once; see docs/identity.md",
            ),
            Err(why) => refused(StatusCode::INTERNAL_SERVER_ERROR, &why),
        }
    }
}

pub(crate) fn signed(identity: &Identity, audience: &Json, lifetime_seconds: i64) -> Result<Option<String>, String> {
    let Some(issuer) = Issuer::read(&identity.state).map_err(|error| error.to_string())? else { return Ok(None) };
    let id = base64url(&secret().map_err(|error| format!("there is no random number to be had: {error}"))?);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| "the clock stands before 1970")?;
    let now = i64::try_from(now.as_secs()).map_err(|_| "the clock is far from now")?;
    Ok(Some(issuer.token(&identity.claims, Wanted { audience, id: &id, now, lifetime_seconds })))
}
