//! A GitHub App that gives the jobs of this machine their tokens: each minted for one job, narrowed to what it may, and ended with it.
//!
//! ```text
//! job ── RS256 with the App's key ──> POST app/installations/ID/access_tokens ──> token ── the steps
//!  └── when it ends ────────────────> DELETE installation/token
//! ```
//!
//! Rules: <https://docs.github.com/en/rest/apps/apps#create-an-installation-access-token-for-an-app>.

mod key;
mod origin;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use workflow::permissions::{Granted, Level};
use workflow::token;

use crate::dirs::Dirs;
use crate::outside::curl::{Answer, Proof, ask_now};
use crate::supervise::durable;

/// A job waits for its token.
const PATIENCE: Duration = Duration::from_secs(20);
/// Nobody waits for the end of one, which comes by itself within the hour.
const PATIENCE_AT_THE_END: Duration = Duration::from_secs(10);

/// As the user's own file has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// Where people see the repositories: `https://github.com`.
    pub server: String,
    /// Its id, or its client id.
    pub id: String,
    pub installation: u64,
    /// The file with its private key, as the forge gave it.
    pub key: PathBuf,
}

/// A job's token; it ends with this.
#[derive(Debug)]
pub struct Token {
    app: App,
    pub secret: String,
    /// What the App couldn't give of what the job may, as a sentence.
    pub lacks: Option<String>,
    repository: String,
    may_write: bool,
    ended: bool,
}

/// How git gets at the repository at the forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    pub url: String,
    /// For git's own configuration: it shows the token.
    pub config: String,
}

#[derive(Debug, Deserialize)]
struct Minted {
    token: String,
    #[serde(default)]
    repositories: Vec<Repository>,
}

#[derive(Debug, Deserialize)]
struct Repository {
    full_name: String,
}

impl App {
    /// What the server of a state directory gives its jobs tokens with.
    pub fn of(dirs: &Dirs) -> Option<App> {
        serde_json::from_slice(&durable::read(&file(dirs)).ok()??).ok()
    }

    /// Blocks.
    ///
    /// # Errors
    /// When it can't be written, or removed.
    pub fn keep(app: Option<&App>, dirs: &Dirs) -> io::Result<()> {
        match app {
            Some(app) => durable::replace(&file(dirs), &serde_json::to_vec(app)?),
            None => {
                std::fs::remove_file(file(dirs)).or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
            }
        }
    }

    /// `owner/name` of a repository on this machine, as it is called at the App's server.
    ///
    /// # Errors
    /// One sentence: it isn't there, as far as its `origin` tells.
    pub fn repository(&self, folder: &Path) -> Result<String, String> {
        let host = origin::host(&self.server);
        let found = origin::of(folder)?;
        if found.host.eq_ignore_ascii_case(host) {
            return Ok(found.repository);
        }
        Err(format!("the repository's `origin` is at {}, and the GitHub App at {host}", found.host))
    }

    /// A token for one repository and these rights. Blocks, half a minute at most.
    ///
    /// # Errors
    /// One sentence, without a full stop: why there is none.
    pub fn mint(&self, repository: &str, rights: &Granted) -> Result<Token, String> {
        self.mint_within(repository, rights, PATIENCE)
    }

    fn mint_within(&self, repository: &str, rights: &Granted, patience: Duration) -> Result<Token, String> {
        let wanted = token::of_app(rights);
        let (answer, given, lacks) = match self.asked_for(repository, &wanted, patience)? {
            Answer { status: 422, body } => {
                let has = self.given()?;
                let given: BTreeMap<String, Level> = wanted.iter().filter_map(|(scope, level)| less(scope, *level, &has)).collect();
                if given == wanted {
                    let why = format!("is `{repository}` among the repositories of the installation?");
                    return Err(format!("{} answers 422: {}; {why}", self.minting(), said(&body)));
                }
                let lacks = lacking(&wanted, &given);
                (self.asked_for(repository, &given, patience)?, given, Some(lacks))
            }
            answer => (answer, wanted, None),
        };
        let minted = match answer.status {
            201 => serde_json::from_str::<Minted>(&answer.body)
                .map_err(|error| format!("{} answers what is no token: {error}", self.minting()))?,
            status => return Err(self.refused(status, &answer.body)),
        };
        let may_write = given.get("contents") == Some(&Level::Write);
        let repository = repository.to_string();
        let token = Token { app: self.clone(), secret: minted.token, lacks, repository, may_write, ended: false };
        // The name alone was asked for, and the installation may be another owner's.
        match minted.repositories.first() {
            Some(found) if !found.full_name.eq_ignore_ascii_case(&token.repository) => {
                Err(format!("the installation {} is of `{}`, and not of `{}`", self.installation, found.full_name, token.repository))
            }
            Some(_) => Ok(token),
            None => Err(format!("{} answers with a token, and not with the repository it is for", self.minting())),
        }
    }

    fn api(&self) -> String {
        match self.server.trim_end_matches('/') {
            "https://github.com" => "https://api.github.com".to_string(),
            server => format!("{server}/api/v3"),
        }
    }

    fn minting(&self) -> String {
        format!("{}/app/installations/{}/access_tokens", self.api(), self.installation)
    }

    fn asked_for(&self, repository: &str, permissions: &BTreeMap<String, Level>, patience: Duration) -> Result<Answer, String> {
        let name = repository.rsplit('/').next().unwrap_or(repository);
        let body = json!({ "repositories": [name], "permissions": permissions }).to_string();
        let ask = || ask_now("POST", &self.minting(), Some(&body), &bearer(&self.shown()?), patience);
        match ask()? {
            // Once more, as their documents ask of whoever meets this.
            Answer { status: 500.., .. } => ask(),
            answer => Ok(answer),
        }
    }

    /// What the installation was given by its owner.
    fn given(&self) -> Result<BTreeMap<String, Level>, String> {
        let url = format!("{}/app/installations/{}", self.api(), self.installation);
        let answer = ask_now("GET", &url, None, &bearer(&self.shown()?), PATIENCE)?;
        if answer.status != 200 {
            return Err(self.refused(answer.status, &answer.body));
        }
        let installation: Json = serde_json::from_str(&answer.body).map_err(|error| format!("{url} answers no JSON: {error}"))?;
        let level = |level: &Json| match level.as_str() {
            Some("write" | "admin") => Level::Write,
            Some("read") => Level::Read,
            _ => Level::None,
        };
        Ok(installation["permissions"].as_object().into_iter().flatten().map(|(scope, given)| (scope.clone(), level(given))).collect())
    }

    /// By which the App says who it is.
    fn shown(&self) -> Result<String, String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| "the clock stands before 1970")?.as_secs();
        key::signed(&self.key, &self.id, now)
    }

    fn refused(&self, status: u16, body: &str) -> String {
        let why = match status {
            401 => "; is `id` the App's, and `key` a key of it? A clock that is minutes off is refused, too",
            403 => "; is the installation suspended?",
            404 => "; is `installation` the number in the address of the App's installation?",
            _ => "",
        };
        format!("{} answers {status}: {}{why}", self.minting(), said(body))
    }
}

impl Token {
    /// For those that may write there.
    pub(crate) fn way(&self) -> Option<Way> {
        let server = self.app.server.trim_end_matches('/');
        let shown = STANDARD.encode(format!("x-access-token:{}", self.secret));
        let config = format!("[http \"{server}/\"]\n\textraheader = AUTHORIZATION: basic {shown}\n");
        self.may_write.then(|| Way { url: format!("{server}/{}.git", self.repository), config })
    }

    /// It opens nothing from here on. Blocks, some seconds at most.
    ///
    /// # Errors
    /// Why it goes on until it ends by itself.
    pub fn end(mut self) -> Result<(), String> {
        self.revoke()
    }

    fn revoke(&mut self) -> Result<(), String> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        let url = format!("{}/installation/token", self.app.api());
        match ask_now("DELETE", &url, None, &bearer(&self.secret), PATIENCE_AT_THE_END)?.status {
            // One that has come to its end is not known any more.
            204 | 401 => Ok(()),
            status => Err(format!("{url} answers {status}")),
        }
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        // A job that never began has nobody to tell.
        let _ = self.revoke();
    }
}

fn less(scope: &str, wanted: Level, given: &BTreeMap<String, Level>) -> Option<(String, Level)> {
    // Everybody has that, whether it is listed or not.
    let given = if scope == "metadata" { Level::Read } else { given.get(scope).copied().unwrap_or(Level::None) };
    Some((scope.to_string(), wanted.min(given))).filter(|(_, level)| *level > Level::None)
}

fn lacking(wanted: &BTreeMap<String, Level>, less: &BTreeMap<String, Level>) -> String {
    let missing = wanted.iter().filter(|(scope, level)| less.get(*scope) != Some(level));
    let missing: Vec<String> = missing.map(|(scope, level)| format!("`{}: {}`", scope.replace('_', "-"), level.word())).collect();
    format!("the job's token is without {}: the GitHub App's installation hasn't got it", missing.join(", "))
}

fn bearer(token: &str) -> Proof {
    Proof::Header(format!("authorization: Bearer {token}"))
}

/// The forge's own words.
fn said(body: &str) -> String {
    let message = serde_json::from_str::<Json>(body).ok().and_then(|json| Some(json["message"].as_str()?.to_string()));
    message.unwrap_or_else(|| "nothing that is understood here".to_string())
}

fn file(dirs: &Dirs) -> PathBuf {
    dirs.state().join("server.github-app")
}

#[cfg(test)]
mod tests;
