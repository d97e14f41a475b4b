//! `github.actions.results.api.v1.ArtifactService`, over the store that the built-in upload and download use too.

use std::fs;

use base::Timestamp;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::archive::{self, UNPACKED_BYTES_MAX};
use super::blob::whole;
use super::service::{Refusal, Service};
use crate::job::artifacts::{self, Store, Stored};

/// The fields of all calls; each has its own few.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Call {
    #[serde(alias = "workflowRunBackendId")]
    workflow_run_backend_id: String,
    name: String,
    #[serde(alias = "mimeType")]
    mime_type: Option<String>,
    hash: Option<String>,
    #[serde(alias = "nameFilter")]
    name_filter: Option<String>,
    /// 64 bits, and so a text in JSON.
    #[serde(alias = "idFilter")]
    id_filter: Option<Json>,
}

/// What was begun and not finished, by the artifact's name.
#[derive(Debug, Clone)]
pub(super) struct Begun {
    upload: String,
    zipped: bool,
}

pub(super) fn create(service: &Service, call: Call) -> Result<Json, Refusal> {
    own(service, &call)?;
    artifacts::check_name(&call.name).map_err(|why| Refusal::new("invalid_argument", why))?;
    let store = store(service);
    if store.has(&call.name) {
        let message = format!("an artifact with this name already exists on the workflow run: {}", call.name);
        return Err(Refusal::new("already_exists", message));
    }
    let made = service.blobs().upload();
    let (id, signature) = made.map_err(|error| Refusal::internal("the upload can't be begun", &error))?;
    let url = service.url(&format!("blob/upload/{id}"), &signature);
    let zipped = call.mime_type.as_deref().is_none_or(|kind| kind.contains("zip"));
    service.artifacts().insert(call.name, Begun { upload: id, zipped });
    Ok(json!({ "ok": true, "signed_upload_url": url }))
}

pub(super) fn finalize(service: &Service, call: Call) -> Result<Json, Refusal> {
    own(service, &call)?;
    let begun = service.artifacts().remove(&call.name);
    let file = whole(service, begun.as_ref().map(|begun| &begun.upload))?;
    let folder = file.parent().expect("a file lies in a folder").join("unpacked");
    let failed = |error: std::io::Error| Refusal::internal("the artifact can't be stored", &error);
    if let Some(hash) = &call.hash {
        let found = format!("sha256:{}", crate::job::digest(&file).map_err(failed)?.hex());
        if *hash != found {
            return Err(Refusal::new("invalid_argument", format!("{hash} was sent, and {found} has arrived")));
        }
    }
    fs::create_dir_all(&folder).map_err(failed)?;
    if begun.is_some_and(|begun| begun.zipped) {
        archive::unpack(&file, &folder, UNPACKED_BYTES_MAX)
            .map_err(|why| Refusal::new("invalid_argument", format!("the artifact `{}` is refused: {why}", call.name)))?;
    } else {
        fs::rename(&file, folder.join(&call.name)).map_err(failed)?;
    }
    let stored = store(service).put_folder(&call.name, &folder, &service.mask).map_err(|why| Refusal::new("invalid_argument", why));
    let _ = fs::remove_dir_all(folder.parent().expect("it was made in one"));
    Ok(json!({ "ok": true, "artifact_id": stored?.id.to_string() }))
}

pub(super) fn list(service: &Service, call: Call) -> Result<Json, Refusal> {
    own(service, &call)?;
    let id = call.id_filter.as_ref().map(|id| id.as_str().map_or_else(|| id.to_string(), String::from));
    let stored = all(service)?.into_iter();
    let named = stored.filter(|it| call.name_filter.as_ref().is_none_or(|name| *name == it.name));
    let found = named.filter(|it| id.as_ref().is_none_or(|id| *id == it.id.to_string()));
    let shown = |it: Stored| {
        json!({
            "workflow_run_backend_id": service.place.run,
            "workflow_job_run_backend_id": service.place.job,
            "database_id": it.id.to_string(),
            "name": it.name,
            "size": it.bytes.to_string(),
            "created_at": it.created.unwrap_or(Timestamp::from_ms(0)).to_string(),
        })
    };
    Ok(json!({ "artifacts": found.map(shown).collect::<Vec<_>>() }))
}

/// The archive is made when it is asked for: what lies in the store are the files themselves, each checked on the way.
pub(super) fn signed_url(service: &Service, call: Call) -> Result<Json, Refusal> {
    own(service, &call)?;
    let failed = |error: std::io::Error| Refusal::internal("the artifact can't be packed", &error);
    let folder = service.blobs().scratch().map_err(failed)?;
    let store = store(service);
    if !store.has(&call.name) {
        return Err(Refusal::new("not_found", format!("there is no artifact `{}` in this run", call.name)));
    }
    let files = store.copy(&call.name, &folder).map_err(|why| Refusal::new("internal", why))?;
    let archive = folder.with_extension("zip");
    archive::pack(&folder, &files, &archive).map_err(failed)?;
    fs::remove_dir_all(&folder).map_err(failed)?;
    let made = service.blobs().download(archive, "application/zip", &format!("{}.zip", call.name));
    let (id, signature) = made.map_err(failed)?;
    Ok(json!({ "signed_url": service.url(&format!("blob/download/{id}/artifact.zip"), &signature) }))
}

pub(super) fn delete(service: &Service, call: Call) -> Result<Json, Refusal> {
    own(service, &call)?;
    let found = all(service)?.into_iter().find(|it| it.name == call.name);
    let found = found.ok_or_else(|| Refusal::new("not_found", format!("there is no artifact `{}` in this run", call.name)))?;
    store(service).remove(&call.name).map_err(|why| Refusal::new("internal", why))?;
    Ok(json!({ "ok": true, "artifact_id": found.id.to_string() }))
}

fn store(service: &Service) -> Store<'_> {
    Store { artifacts: &service.place.artifacts }
}

fn all(service: &Service) -> Result<Vec<Stored>, Refusal> {
    store(service).list().map_err(|why| Refusal::new("internal", why))
}

/// A job sees its own run's artifacts.
fn own(service: &Service, call: &Call) -> Result<(), Refusal> {
    match call.workflow_run_backend_id == service.place.run {
        true => Ok(()),
        false => Err(Refusal::new("permission_denied", "the artifacts of another run are not to be had with this token")),
    }
}
