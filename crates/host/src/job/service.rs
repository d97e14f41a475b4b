//! Whether a job gets a service for actions of others, what its trust lets it touch, and whether it may ask who it is.

use base::Digest;
use base::mask::Mask;
use engine::world::JobStart;
use workflow::job::JobFacts;
use workflow::model::IdTokens;
use workflow::trust::{self, Trust};
use workflow::{identity, token};

use super::JobDirs;
use super::watch::JOB_MS_MAX;
use crate::dirs::Dirs;
use crate::results::{Domain, Identity, Place, Results, signed};

/// Below a project's caches; what an untrusted run saves lies here, by where it comes from.
const UNTRUSTED: &str = ".untrusted";

/// The directories with the caches that the built-in actions of this job may read and write: a stranger's are its own.
pub(super) fn confined(start: &JobStart, dirs: &JobDirs) -> JobDirs {
    match domain(start) {
        Domain::Trusted => dirs.clone(),
        Domain::Untrusted { name } => {
            let own = Digest::of(name.as_bytes()).hex();
            JobDirs { cache: dirs.cache.join(UNTRUSTED).join(own), ..dirs.clone() }
        }
    }
}

/// Only a job with an action that is not built in, that may ask who it is, or whose token is this machine's own needs it; for all others
/// it would cost time.
pub(super) fn start(start: &JobStart, dirs: &JobDirs, state: Option<&Dirs>, facts: &mut JobFacts) -> Result<Option<Results>, String> {
    let identity = state.and_then(|state| identity_of(start, state));
    sign_tokens(start, identity.as_ref(), facts)?;
    // Whose file names its audiences beforehand gets tokens for no others.
    let identity = identity.filter(|_| start.spec.job.id_tokens.is_none());
    if !token::may_be_taken(&start.spec) && identity.is_none() && !facts.own_token {
        return Ok(None);
    }
    let domain = domain(start);
    let caches = match &domain {
        Domain::Trusted => dirs.cache.clone(),
        // Past its own folder and the folder of all of them, back to the project's.
        Domain::Untrusted { .. } => dirs.cache.ancestors().nth(2).unwrap_or(&dirs.cache).to_path_buf(),
    };
    let plain =
        |text: &str| -> String { text.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect() };
    let job = start.spec.contexts.github["job"].as_str().unwrap_or("job");
    let place =
        Place { run: plain(&start.artifacts), job: plain(job), artifacts: dirs.artifacts.clone(), caches, domain, temp: dirs.temp.clone() };
    let mut mask = Mask::new();
    facts.secrets.values().for_each(|secret| mask.add(secret));
    let (permissions, github) = (start.spec.permissions.as_ref(), &start.spec.contexts.github);
    let rights = facts.own_token.then(|| token::rights(permissions, github));
    let results =
        Results::start(place, mask, identity, rights).map_err(|error| format!("the service for actions can't be started: {error}"))?;
    facts.masks.extend(results.secrets().map(str::to_string));
    facts.step_env = results.step_env().clone();
    facts.secrets.extend(results.own_token().map(|own| (token::NAME.to_string(), own.to_string())));
    facts.action_env = results.env();
    Ok(Some(results))
}

/// The tokens that a job of GitLab's files asks for beforehand become secrets of it, good for as long as it may take.
fn sign_tokens(start: &JobStart, identity: Option<&Identity>, facts: &mut JobFacts) -> Result<(), String> {
    let Some(tokens) = &start.spec.job.id_tokens else { return Ok(()) };
    let Some(identity) = identity else {
        return Err("it has `id_tokens`, and may not show who it is: `plimsoll run --identity` lets jobs of files that lie here, and no \
                    run that a stranger has caused ever does"
            .to_string());
    };
    let claims = identity::gitlab_claims(&start.spec.contexts.github, start.spec.environment.as_deref(), &tokens.source);
    let identity = Identity { claims, ..identity.clone() };
    let lifetime_seconds = i64::try_from(start.spec.timeout_ms.min(JOB_MS_MAX).div_ceil(1_000)).unwrap_or(i64::MAX);
    for (name, audiences) in &tokens.audiences {
        let audience = match audiences.as_slice() {
            [one] => serde_json::json!(one),
            all => serde_json::json!(all),
        };
        let token = signed(&identity, &audience, lifetime_seconds)?.ok_or(
            "it has `id_tokens`, and nobody has said who issues them here: `plimsoll identity issuer https://ADDRESS` does, once; see \
             docs/identity.md",
        )?;
        facts.secrets.insert(format!("{}{name}", IdTokens::SECRET), token);
    }
    Ok(())
}

fn identity_of(start: &JobStart, state: &Dirs) -> Option<Identity> {
    let (spec, github) = (&start.spec, &start.spec.contexts.github);
    identity::may_ask(spec.permissions.as_ref(), github).then(|| Identity {
        state: state.clone(),
        claims: identity::claims(github, spec.environment.as_deref(), spec.called.as_deref()),
        audience: identity::audience(github),
    })
}

fn domain(start: &JobStart) -> Domain {
    match trust::of(&start.spec.contexts.github) {
        Trust::Trusted => Domain::Trusted,
        Trust::Untrusted { origin, .. } => Domain::Untrusted { name: origin },
    }
}
