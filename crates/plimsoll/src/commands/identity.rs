//! `plimsoll identity …`: who issues the tokens by which jobs show others who they are.

use host::identity::{Issuer, IssuerError, complaint, publish as write};
use serde_json::json;

use super::dirs;
use crate::cli::{Identity, IdentityIssuer, IdentityPublish};
use crate::exit;
use crate::failure::{Failure, Result};
use crate::terminal::Terminal;

const UNSET: &str = "nobody has said under which address others know this machine's issuer";

pub fn identity(command: Identity, terminal: &Terminal) -> Result<u8> {
    match command {
        Identity::Issuer(args) => issuer(&args, terminal),
        Identity::Publish(args) => publish(&args, terminal),
    }
}

fn issuer(args: &IdentityIssuer, terminal: &Terminal) -> Result<u8> {
    let dirs = dirs()?;
    let issuer = match &args.address {
        None => Issuer::read(&dirs).map_err(|error| failed(&error))?,
        Some(address) => {
            if let Some(complaint) = complaint(address) {
                return Err(Failure::usage(format!("`{address}` can't be an issuer's address: {complaint}")));
            }
            Some(Issuer::set(&dirs, address).map_err(|error| failed(&error))?)
        }
    };
    match &issuer {
        _ if terminal.json => terminal.json(&json!({
            "issuer": issuer.as_ref().map(|issuer| &issuer.address),
            "openidConfiguration": issuer.as_ref().map(Issuer::discovery),
            "jwks": issuer.as_ref().map(Issuer::keys),
        })),
        Some(issuer) => terminal.data(&issuer.address),
        None => terminal.say(&format!("{UNSET}; `plimsoll identity issuer https://ADDRESS` does")),
    }
    if args.address.is_some() {
        terminal.say("`plimsoll identity publish FOLDER` writes what this address has to answer");
    }
    Ok(exit::OK)
}

fn publish(args: &IdentityPublish, terminal: &Terminal) -> Result<u8> {
    let Some(issuer) = Issuer::read(&dirs()?).map_err(|error| failed(&error))? else {
        return Err(Failure::usage(UNSET).hint("`plimsoll identity issuer https://ADDRESS` says it"));
    };
    let files = write(&issuer, &args.folder).map_err(|error| failed(&error))?;
    if terminal.json {
        terminal.json(&files);
        return Ok(exit::OK);
    }
    files.iter().for_each(|file| terminal.data(&file.display().to_string()));
    terminal.say(&format!("serve `{}` at {}, as JSON and to everybody", args.folder.display(), issuer.address));
    Ok(exit::OK)
}

fn failed(error: &IssuerError) -> Failure {
    let failure = Failure::from_error("use this machine's issuer", error);
    match error {
        IssuerError::Key(error) => failure.hint(error.hint()),
        IssuerError::Io { .. } => failure,
    }
}
