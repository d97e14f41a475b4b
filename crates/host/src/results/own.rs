//! The job's token where no forge gives one: this machine's own, good for what its services do and what `permissions` say of that.

use std::io;

use workflow::permissions::{self, Granted, Level};

use super::service::Refusal;
use super::{base64url, secret};

/// Where its services are, for the scripts that have the token.
pub(super) const URL: &str = "PLIMSOLL_SERVICES_URL";

/// As at GitHub, artifacts and caches are a matter of this scope.
const SCOPE: &str = "actions";

#[derive(Debug)]
pub(super) struct Own {
    pub token: String,
    rights: Granted,
}

impl Own {
    pub fn new(rights: Granted) -> io::Result<Own> {
        Ok(Own { token: format!("plimsoll_{}", base64url(&secret()?)), rights })
    }

    /// Whether it may do this.
    pub fn may(&self, method: &str) -> Result<(), Refusal> {
        let reads = ["ArtifactService/ListArtifacts", "ArtifactService/GetSignedArtifactURL", "CacheService/GetCacheEntryDownloadURL"];
        self.has(SCOPE, if reads.contains(&method) { Level::Read } else { Level::Write })
    }

    pub fn may_ask_who_it_is(&self) -> Result<(), Refusal> {
        self.has(permissions::IDENTITY, Level::Write)
    }

    fn has(&self, scope: &str, wanted: Level) -> Result<(), Refusal> {
        let has = permissions::of(&self.rights, scope);
        if has >= wanted {
            return Ok(());
        }
        let message = format!("the job's token has `{scope}: {}`; `permissions: {{{scope}: {}}}` asks for more", has.word(), wanted.word());
        Err(Refusal::new("permission_denied", message))
    }
}
