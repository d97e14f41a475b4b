//! The protocol as its clients speak it, byte by byte; the clients themselves are in `e2e/actions`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use serde_json::{Value as Json, json};

use workflow::permissions::Level;

use super::*;
use crate::dirs::Dirs;
use crate::identity::Issuer;

struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        World { folder: tempfile::tempdir().unwrap() }
    }

    fn job(&self, job: &str, domain: Domain) -> Client {
        self.job_as(job, domain, None, None)
    }

    fn job_as(&self, job: &str, domain: Domain, identity: Option<Identity>, rights: Option<Granted>) -> Client {
        let at = |name: &str| self.folder.path().join(name);
        let place = Place {
            run: "run1".to_string(),
            job: job.to_string(),
            artifacts: at("artifacts"),
            caches: at("caches"),
            domain,
            temp: at(&format!("temp-{job}")),
        };
        let mut mask = Mask::new();
        mask.add("hunter2hunter2");
        Client(Results::start(place, mask, identity, rights).unwrap())
    }
}

struct Client(Results);

impl Client {
    fn call(&self, method: &str, message: Json) -> (u16, Json) {
        self.call_with(&self.0.token, method, message)
    }

    fn call_with(&self, token: &str, method: &str, message: Json) -> (u16, Json) {
        let path = format!("/twirp/github.actions.results.api.v1.{method}");
        let headers = format!("authorization: Bearer {token}\r\ncontent-type: application/json\r\n");
        let (status, _, body) = self.request("POST", &path, &headers, message.to_string().as_bytes());
        (status, serde_json::from_slice(&body).unwrap())
    }

    fn ok(&self, method: &str, message: Json) -> Json {
        let (status, answer) = self.call(method, message);
        assert_eq!(status, 200, "{method}: {answer}");
        answer
    }

    fn request(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> (u16, String, Vec<u8>) {
        let mut stream = TcpStream::connect(self.0.address).unwrap();
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n").unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_lowercase(), answer[end + 4..].to_vec())
    }

    /// The path and query of a URL of ours, with more in the query.
    fn put(&self, url: &str, query: &str, body: &[u8]) -> u16 {
        self.request("PUT", &format!("{}{query}", path(url)), "x-ms-blob-type: BlockBlob\r\n", body).0
    }

    fn get(&self, url: &str, headers: &str) -> (u16, String, Vec<u8>) {
        self.request("GET", path(url), headers, b"")
    }

    fn upload_artifact(&self, name: &str, bytes: &[u8], mime: &str) -> (u16, Json) {
        let url = self.ok("ArtifactService/CreateArtifact", self.of(json!({ "name": name, "mime_type": mime, "version": 7 })));
        let url = url["signed_upload_url"].as_str().unwrap();
        let (first, second) = bytes.split_at(bytes.len() / 2);
        // Blocks may arrive in any order; the list has the last word.
        assert_eq!(self.put(url, "&comp=block&blockid=Yg%3D%3D", second), 201);
        assert_eq!(self.put(url, "&comp=block&blockid=YQ%3D%3D", first), 201);
        let list = "<?xml version=\"1.0\"?><BlockList><Latest>YQ==</Latest><Latest>Yg==</Latest></BlockList>";
        assert_eq!(self.put(url, "&comp=blocklist", list.as_bytes()), 201);
        let hash = format!("sha256:{}", base::Digest::of(bytes).hex());
        let message = self.of(json!({ "name": name, "size": bytes.len().to_string(), "hash": hash }));
        self.call("ArtifactService/FinalizeArtifact", message)
    }

    fn of(&self, mut message: Json) -> Json {
        message["workflow_run_backend_id"] = json!("run1");
        message["workflow_job_run_backend_id"] = json!("job");
        message
    }

    fn save(&self, key: &str, bytes: &[u8]) -> Json {
        let made = self.ok("CacheService/CreateCacheEntry", json!({ "key": key, "version": "v" }));
        let Some(url) = made["signed_upload_url"].as_str() else { return made };
        assert_eq!(self.put(url, "", bytes), 201);
        self.ok("CacheService/FinalizeCacheEntryUpload", json!({ "key": key, "version": "v", "size_bytes": bytes.len().to_string() }))
    }

    /// The matched key and the bytes.
    fn restore(&self, key: &str, restore: &[&str]) -> Option<(String, Vec<u8>)> {
        let message = json!({ "key": key, "version": "v", "restore_keys": restore });
        let found = self.ok("CacheService/GetCacheEntryDownloadURL", message);
        let url = found["signed_download_url"].as_str()?;
        Some((found["matched_key"].as_str().unwrap().to_string(), self.get(url, "").2))
    }
}

fn path(url: &str) -> &str {
    &url[url.match_indices('/').nth(2).unwrap().0..]
}

fn zip_of(entries: &[(&str, &str)], folder: &Path) -> Vec<u8> {
    let from = folder.join("zip-of");
    let names: Vec<String> = entries.iter().map(|(name, _)| name.to_string()).collect();
    for (name, text) in entries {
        std::fs::create_dir_all(from.join(name).parent().unwrap()).unwrap();
        std::fs::write(from.join(name), text).unwrap();
    }
    let file = folder.join("zip-of.zip");
    archive::pack(&from, &names, &file).unwrap();
    std::fs::read(file).unwrap()
}

#[test]
fn an_artifact_of_one_job_is_listed_and_had_by_the_next() {
    let world = World::new();
    let zip = zip_of(&[("a.txt", "one"), ("sub/b.txt", "two")], world.folder.path());
    let (status, answer) = world.job("one", Domain::Trusted).upload_artifact("result", &zip, "application/zip");
    assert_eq!((status, &answer["ok"]), (200, &json!(true)));

    let next = world.job("two", Domain::Trusted);
    let listed = next.ok("ArtifactService/ListArtifacts", next.of(json!({ "name_filter": "result" })));
    assert_eq!(listed["artifacts"][0]["database_id"], answer["artifact_id"]);
    let other = next.ok("ArtifactService/ListArtifacts", next.of(json!({ "id_filter": "1" })));
    assert_eq!(other["artifacts"], json!([]));
    let url = next.ok("ArtifactService/GetSignedArtifactURL", next.of(json!({ "name": "result" })));
    let (status, head, bytes) = next.get(url["signed_url"].as_str().unwrap(), "");
    assert_eq!((status, head.contains("content-type: application/zip")), (200, true));
    let (got, into) = (world.folder.path().join("got.zip"), world.folder.path().join("into"));
    std::fs::write(&got, bytes).unwrap();
    archive::unpack(&got, &into, 1024).unwrap();
    assert_eq!(std::fs::read_to_string(into.join("sub/b.txt")).unwrap(), "two");

    let again = next.call("ArtifactService/CreateArtifact", next.of(json!({ "name": "result" })));
    assert_eq!((again.0, again.1["code"].as_str()), (409, Some("already_exists")));
    next.ok("ArtifactService/DeleteArtifact", next.of(json!({ "name": "result" })));
    assert_eq!(next.ok("ArtifactService/ListArtifacts", next.of(json!({})))["artifacts"], json!([]));
}

#[test]
fn a_file_that_is_no_archive_is_kept_as_it_is() {
    let world = World::new();
    let job = world.job("one", Domain::Trusted);
    assert_eq!(job.upload_artifact("notes.txt", b"plain text", "text/plain").0, 200);
    assert_eq!(std::fs::read(world.folder.path().join("artifacts/notes.txt/notes.txt")).unwrap(), b"plain text");
}

#[test]
fn what_is_not_whole_leads_out_or_holds_a_secret_is_refused() {
    let world = World::new();
    let job = world.job("one", Domain::Trusted);
    let secret = zip_of(&[("log.txt", "password: hunter2hunter2")], world.folder.path());
    let (status, answer) = job.upload_artifact("secret", &secret, "application/zip");
    assert_eq!((status, answer["msg"].as_str().unwrap().contains("contains a secret")), (400, true));
    let (status, answer) = job.upload_artifact("nozip", b"this is no archive", "application/zip");
    assert_eq!((status, answer["msg"].as_str().unwrap().contains("no zip archive")), (400, true));
    for name in ["../up", ".hidden", "a/b", ""] {
        assert_eq!(job.call("ArtifactService/CreateArtifact", job.of(json!({ "name": name }))).0, 400, "{name}");
    }
    let url = job.ok("ArtifactService/CreateArtifact", job.of(json!({ "name": "cut" })));
    assert_eq!(job.put(url["signed_upload_url"].as_str().unwrap(), "&comp=block&blockid=YQ", b"half"), 201);
    let list = b"<BlockList><Latest>YQ</Latest><Latest>Yg</Latest></BlockList>";
    assert_eq!(job.put(url["signed_upload_url"].as_str().unwrap(), "&comp=blocklist", list), 400);
    assert_eq!(job.call("ArtifactService/FinalizeArtifact", job.of(json!({ "name": "cut", "size": "4" }))).0, 404);
    assert_eq!(std::fs::read_dir(world.folder.path().join("artifacts")).map(Iterator::count).unwrap_or(0), 1, "only the manifests' folder");
}

#[test]
fn nobody_else_is_served() {
    let world = World::new();
    let (job, other) = (world.job("one", Domain::Trusted), world.job("two", Domain::Trusted));
    let ask = |token: &str| job.call_with(token, "ArtifactService/ListArtifacts", job.of(json!({}))).0;
    assert_eq!((ask("x"), ask(&other.0.token), ask(&job.0.token)), (401, 401, 200));
    let foreign = json!({ "workflow_run_backend_id": "run2", "name": "a" });
    assert_eq!(job.call("ArtifactService/ListArtifacts", foreign).0, 403);
    let url = job.ok("CacheService/CreateCacheEntry", json!({ "key": "k", "version": "v" }));
    let url = url["signed_upload_url"].as_str().unwrap();
    let forged = url.replace("sig=", "sig=x");
    assert_eq!((job.put(&forged, "", b"x"), other.put(url, "", b"x"), job.put(url, "", b"x")), (403, 403, 201));
    assert_eq!(job.call("CacheService/Nothing", json!({})).0, 404);
    assert_eq!(job.request("GET", "/", "", b"").0, 401);
}

#[test]
fn caches_are_found_by_key_by_prefix_the_newest_first_and_never_change() {
    let world = World::new();
    let job = world.job("one", Domain::Trusted);
    assert_eq!(job.save("deps-1", b"first")["ok"], json!(true));
    assert_eq!(job.save("deps-1", b"other")["ok"], json!(false));
    assert_eq!(job.restore("deps-1", &[]), Some(("deps-1".to_string(), b"first".to_vec())));
    assert_eq!(job.restore("deps-2", &["none-", "deps-"]), Some(("deps-1".to_string(), b"first".to_vec())));
    assert_eq!(job.restore("else", &[]), None);
    let found = job.ok("CacheService/GetCacheEntryDownloadURL", json!({ "key": "deps-1", "version": "w" }));
    assert_eq!(found["ok"], json!(false), "another version is another cache");
    let url = job.ok("CacheService/GetCacheEntryDownloadURL", json!({ "key": "deps-1", "version": "v" }));
    let (status, head, bytes) = job.get(url["signed_download_url"].as_str().unwrap(), "range: bytes=1-2\r\n");
    assert_eq!((status, bytes.as_slice(), head.contains("content-range: bytes 1-2/5")), (206, b"ir".as_slice(), true));
}

#[test]
fn what_an_untrusted_run_saves_no_trusted_run_reads() {
    let world = World::new();
    let trusted = world.job("one", Domain::Trusted);
    let fork = |name: &str| Domain::Untrusted { name: name.to_string() };
    let (mine, theirs) = (world.job("two", fork("a/b#7")), world.job("three", fork("a/c#8")));
    trusted.save("shared", b"good");
    mine.save("poison", b"bad");
    assert_eq!(mine.save("shared", b"bad")["ok"], json!(true), "its own of that name");
    assert_eq!(mine.restore("shared", &[]).unwrap().1, b"bad");
    assert_eq!(theirs.restore("shared", &[]).unwrap().1, b"good", "the trusted ones may be read");
    assert_eq!((trusted.restore("poison", &[]), theirs.restore("poison", &[])), (None, None));
    assert_eq!(trusted.restore("shared", &[]).unwrap().1, b"good");
}

#[test]
fn the_same_bytes_lie_there_once() {
    let world = World::new();
    let job = world.job("one", Domain::Trusted);
    job.save("a", b"the same");
    job.save("b", b"the same");
    let blobs = crate::results::tests::files(&world.folder.path().join("caches/.service/blobs"));
    assert_eq!((blobs, job.restore("b", &[]).unwrap().1), (1, b"the same".to_vec()));
}

fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    entries.map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { 1 }).sum()
}

#[test]
fn a_job_that_may_is_told_who_it_is_and_nobody_else() {
    let world = World::new();
    let state = Dirs::at(&world.folder.path().join("state")).unwrap();
    let claims = json!({ "sub": "repo:acme/shop:ref:refs/heads/main" }).as_object().unwrap().clone();
    let identity = Identity { state: state.clone(), claims, audience: "https://github.com/acme".to_string() };
    let (job, other) = (world.job_as("one", Domain::Trusted, Some(identity), None), world.job("two", Domain::Trusted));
    assert!(other.0.step_env().is_empty());
    let env = job.0.step_env();
    let path = env["ACTIONS_ID_TOKEN_REQUEST_URL"].split_once(&job.0.address.to_string()).unwrap().1.to_string();
    let ask = |client: &Client, method: &str, secret: &str, more: &str| {
        let headers = format!("authorization: bearer {secret}\r\n");
        let (status, _, body) = client.request(method, &format!("{path}{more}"), &headers, b"");
        (status, serde_json::from_slice::<Json>(&body).unwrap())
    };
    let secret = env["ACTIONS_ID_TOKEN_REQUEST_TOKEN"].as_str();
    let unset = ask(&job, "GET", secret, "");
    assert!(unset.0 == 404 && unset.1["message"].as_str().unwrap().contains("`plimsoll identity issuer https://ADDRESS`"), "{unset:?}");
    Issuer::set(&state, "https://ci.example.org").unwrap();
    for (client, method, secret, more, status) in [
        (&job, "GET", "", "", 401),
        (&job, "GET", job.0.token.as_str(), "", 401),
        (&other, "GET", secret, "", 401),
        (&job, "POST", secret, "", 405),
        (&job, "GET", secret, &format!("&audience={}", "a".repeat(2000)), 400),
    ] {
        assert_eq!(ask(client, method, secret, more).0, status, "{method} {more}");
    }
    let parts = |more: &str| -> Vec<Json> {
        let token = ask(&job, "GET", secret, more).1["value"].as_str().unwrap().to_string();
        let decoded = |part: &str| base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, part).unwrap();
        token.split('.').take(2).map(|part| serde_json::from_slice(&decoded(part)).unwrap()).collect()
    };
    let (first, second) = (parts(""), parts("&audience=sts.example.com%2Fx"));
    let keys = Issuer::read(&state).unwrap().unwrap().keys();
    assert_eq!(first[0], json!({ "typ": "JWT", "alg": "ES256", "kid": keys["keys"][0]["kid"] }));
    let said = |claims: &Json| [claims["iss"].clone(), claims["aud"].clone(), claims["sub"].clone()];
    assert_eq!(said(&first[1]), ["https://ci.example.org", "https://github.com/acme", "repo:acme/shop:ref:refs/heads/main"]);
    assert_eq!(second[1]["aud"], "sts.example.com/x");
    assert_ne!(first[1]["jti"], second[1]["jti"]);
    let seconds = |name: &str| first[1][name].as_i64().unwrap();
    assert_eq!((seconds("exp") - seconds("iat"), seconds("iat") - seconds("nbf")), (300, 600));
}

#[test]
fn the_machine_s_own_token_does_what_the_job_s_permissions_say() {
    let world = World::new();
    let granted = |scopes: &[(&str, Level)]| scopes.iter().map(|(scope, level)| ((*scope).to_string(), *level)).collect::<Granted>();
    let job = |name: &str, scopes| world.job_as(name, Domain::Trusted, None, Some(granted(scopes)));
    let (none, reads, writes) = (job("a", &[]), job("b", &[("actions", Level::Read)]), job("c", &[("actions", Level::Write)]));
    let list = json!({ "workflow_run_backend_id": "run1", "workflow_job_run_backend_id": "x" });
    let save = json!({ "key": "k", "version": "v" });
    let status = |client: &Client, method: &str, message: &Json| client.call_with(client.0.own_token().unwrap(), method, message.clone()).0;
    let both =
        |client: &Client| (status(client, "ArtifactService/ListArtifacts", &list), status(client, "CacheService/CreateCacheEntry", &save));
    assert_eq!([both(&none), both(&reads), both(&writes)], [(403, 403), (200, 403), (200, 200)]);
    let (_, why) = none.call_with(none.0.own_token().unwrap(), "ArtifactService/ListArtifacts", list.clone());
    assert_eq!(why["msg"], "the job's token has `actions: none`; `permissions: {actions: read}` asks for more");
    // Of another job, or of nobody, it opens nothing.
    assert_eq!(reads.call_with(writes.0.own_token().unwrap(), "ArtifactService/ListArtifacts", list).0, 401);
    assert!(writes.0.step_env()["PLIMSOLL_SERVICES_URL"].starts_with("http://127.0.0.1:"));
}

#[test]
fn the_machine_s_own_token_says_who_the_job_is_where_that_is_permitted() {
    let world = World::new();
    let state = Dirs::at(&world.folder.path().join("state")).unwrap();
    Issuer::set(&state, "https://ci.example.org").unwrap();
    let identity = || Identity { state: state.clone(), claims: serde_json::Map::new(), audience: "a".to_string() };
    for (level, status) in [(Level::None, 403), (Level::Write, 200)] {
        let rights = [("id-token".to_string(), level)].into();
        let job = world.job_as("one", Domain::Trusted, Some(identity()), Some(rights));
        let headers = format!("authorization: bearer {}\r\n", job.0.own_token().unwrap());
        assert_eq!(job.request("GET", "/identity/token", &headers, b"").0, status);
    }
}
