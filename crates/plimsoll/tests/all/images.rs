//! Signatures and statements beside images: in a real registry, in one that lies, and in a folder; and what is refused.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use base::Digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};

use crate::common::{Place, Said};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const SIMPLE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const PASSWORD: &str = "pass-word-1";
/// `me` and the password, as htpasswd has them.
const HTPASSWD: &str = "me:$2b$04$8VY8XqVaIgx5boVnrFveReTYOVp19SJYXUJ7uE/DBI4BqRnYQqPUa\n";

/// Debian's registry.
struct Registry {
    process: Child,
    address: String,
    is_closed: bool,
    _folder: tempfile::TempDir,
}

impl Registry {
    fn start(is_closed: bool) -> Registry {
        let folder = tempfile::tempdir().unwrap();
        let address = format!("127.0.0.1:{}", crate::common::free_port());
        let of_folder = |name: &str| folder.path().join(name).display().to_string();
        let mut config =
            format!("version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{address}'}}\n", of_folder("data"));
        if is_closed {
            std::fs::write(of_folder("htpasswd"), HTPASSWD).unwrap();
            config.push_str(&format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", of_folder("htpasswd")));
        }
        std::fs::write(of_folder("config.yml"), config).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(of_folder("config.yml")).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("listening on")), "the registry ended before it listened");
        // Read on, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Registry { process, address, is_closed, _folder: folder }
    }

    /// What it answers to somebody who may do everything, head and body.
    fn ask(&self, method: &str, url: &str, kind: &str, body: &[u8]) -> (String, Vec<u8>) {
        let url = if url.starts_with("http") { url.to_string() } else { format!("http://{}{url}", self.address) };
        let mut command = Command::new("curl");
        command.args([
            "-sS",
            "-i",
            "-X",
            method,
            "-H",
            &format!("content-type: {kind}"),
            "-H",
            &format!("accept: {MANIFEST}"),
            "-H",
            "expect:",
        ]);
        if self.is_closed {
            command.args(["-u", &format!("me:{PASSWORD}")]);
        }
        if method != "GET" {
            command.args(["--data-binary", "@-"]);
        }
        let mut child = command.arg(url).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(body).unwrap();
        let out = child.wait_with_output().unwrap().stdout;
        let end = out.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(out[..end].to_vec()).unwrap();
        assert!(head.starts_with("HTTP/1.1 2"), "{method} {head}");
        (head, out[end + 4..].to_vec())
    }

    /// Keeps bytes, and says what a manifest names them by.
    fn blob(&self, repository: &str, kind: &str, bytes: &[u8]) -> Json {
        let (head, _) = self.ask("POST", &format!("/v2/{repository}/blobs/uploads/"), kind, b"");
        let location = head.lines().find_map(|line| line.to_ascii_lowercase().starts_with("location:").then(|| line[9..].trim())).unwrap();
        let digest = Digest::of(bytes);
        self.ask("PUT", &format!("{location}&digest={digest}"), "application/octet-stream", bytes);
        json!({ "mediaType": kind, "size": bytes.len(), "digest": digest })
    }

    fn tag(&self, repository: &str, tag: &str, manifest: &Json) -> Digest {
        let text = manifest.to_string();
        self.ask("PUT", &format!("/v2/{repository}/manifests/{tag}"), MANIFEST, text.as_bytes());
        Digest::of(text.as_bytes())
    }

    fn manifest(&self, repository: &str, tag: &str) -> Json {
        serde_json::from_slice(&self.ask("GET", &format!("/v2/{repository}/manifests/{tag}"), "", b"").1).unwrap()
    }

    /// An image of nothing but a word.
    fn image(&self, repository: &str, tag: &str) -> Digest {
        let config = self.blob(repository, "application/vnd.oci.image.config.v1+json", format!("{{\"word\":\"{tag}\"}}").as_bytes());
        self.tag(repository, tag, &json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [] }))
    }

    fn named(&self, rest: &str) -> String {
        format!("{}/{rest}", self.address)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The server's public key, as a file; a folder that needs no server.
fn with_key() -> Place {
    let place = Place::empty();
    std::fs::write(place.path("key.pub"), place.say(&["attest", "key"]).raw).unwrap();
    place
}

fn sign(place: &Place, image: &str, more: &[&str]) -> Said {
    place.say(&[&["attest", "sign", "--image", image], more].concat())
}

fn verify(place: &Place, image: &str, more: &[&str]) -> Said {
    place.say(&[&["attest", "verify", "--key", "../key.pub", "--image", image], more].concat())
}

/// It doesn't hold, with this sentence.
#[track_caller]
fn refused(said: &Said, why: &str) {
    assert!(said.code == 1 && said.raw.contains(&format!("✖ {why}")), "{said:?}");
}

fn sig(digest: &Digest) -> String {
    format!("sha256-{}.sig", digest.hex())
}

#[test]
fn an_image_is_signed_where_cosign_looks_and_whoever_has_the_key_can_tell() {
    let (place, registry) = (with_key(), Registry::start(false));
    let image = registry.image("team/app", "1");
    let named = registry.named("team/app");
    refused(&verify(&place, &format!("{named}:1"), &[]), &format!("{named}@{image} has no signature"));
    let said = sign(&place, &format!("{named}:1"), &["--annotation", "env=prod"]);
    assert_eq!((said.code, said.raw.trim()), (0, format!("{named}@{image}").as_str()), "{said:?}");
    assert!(said.err.starts_with(&format!("{named}:1 is sha256:HASH\nthe signature lies at {named}:sha256-")), "{said:?}");
    let said = verify(&place, &format!("{named}@{image}"), &["--annotation", "env=prod"]);
    let expected = format!("{named}:{}:\n✔ the key has signed it\n✔ it is about {image}\n✔ its annotation `env` is `prod`\n", sig(&image));
    assert_eq!((said.code, said.raw), (0, expected));
    refused(
        &verify(&place, &format!("{named}:1"), &["--annotation", "env=test"]),
        "its annotation `env` is `prod`, and `test` is expected",
    );

    // What was said once is not said twice; what others say stays.
    let signed = registry.manifest("team/app", &sig(&image));
    assert!(sign(&place, &format!("{named}:1"), &["--annotation", "env=prod"]).err.contains("the signature was there already"));
    assert_eq!(registry.manifest("team/app", &sig(&image)), signed);
    assert_eq!(sign(&place, &format!("{named}:1"), &[]).code, 0);
    let both = registry.manifest("team/app", &sig(&image));
    assert_eq!((both["layers"].as_array().unwrap().len(), &both["layers"][0]), (2, &signed["layers"][0]));
    let report: Json = serde_json::from_str(&verify(&place, &format!("{named}:1"), &["--json", "--annotation", "env=prod"]).raw).unwrap();
    assert_eq!(
        (&report["verified"], &report["found"][0]["verified"], &report["found"][1]["verified"]),
        (&json!(true), &json!(true), &json!(false))
    );
    assert_eq!((&report["found"][0]["reference"], &report["digest"]), (&json!(named), &json!(image)));

    // Another key, and another image that somebody lays the signature beside.
    std::fs::rename(place.path("state"), place.path("other")).unwrap();
    std::fs::write(place.path("key.pub"), place.say(&["attest", "key"]).raw).unwrap();
    refused(&verify(&place, &format!("{named}:1"), &[]), "it is not this key's: another key signed, or something else was signed");
    std::fs::remove_dir_all(place.path("state")).unwrap();
    std::fs::rename(place.path("other"), place.path("state")).unwrap();
    std::fs::write(place.path("key.pub"), place.say(&["attest", "key"]).raw).unwrap();
    let other = registry.image("team/app", "2");
    registry.tag("team/app", &sig(&other), &both);
    refused(
        &verify(&place, &format!("{named}:2"), &[]),
        &format!("it is about {image}, and the image is {other}: it was copied from another image"),
    );
    let said = verify(&place, &format!("{named}:3"), &[]);
    assert!(said.code == 9 && said.err.contains(&format!("the registry has no image `{named}:3`")), "{said:?}");
    std::fs::remove_dir_all(place.state()).unwrap();
}

#[test]
fn what_somebody_laid_beside_an_image_is_never_believed_and_takes_nothing_away() {
    let (place, registry) = (with_key(), Registry::start(false));
    let image = registry.image("app", "1");
    let named = registry.named("app:1");
    let lay = |layers: &[Json]| {
        let config = registry.blob("app", "application/vnd.oci.image.config.v1+json", b"{}");
        registry.tag("app", &sig(&image), &json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers }));
    };
    // Signed by the key, and no words about an image.
    place.write("words", "hello");
    let signature = place.say(&["attest", "sign", "words"]).raw.trim().to_string();
    let mut words = registry.blob("app", SIMPLE, b"hello");
    words["annotations"] = json!({ "dev.cosignproject.cosign/signature": signature });
    let mut lies = words.clone();
    lies["size"] = json!(3);
    let mut longer = words.clone();
    longer["size"] = json!(6);
    let mut bare = words.clone();
    bare["annotations"] = json!({});
    for (layer, why) in [
        (&words, "what was signed is no JSON: expected value at line 1 column 1".to_string()),
        (&lies, format!("it can't be read: {} has more bytes than the 3 that the manifest says", Digest::of(b"hello"))),
        (&longer, format!("it can't be read: {} has 5 bytes, and the manifest says 6", Digest::of(b"hello"))),
        (&bare, "it can't be read: its annotation `dev.cosignproject.cosign/signature` is missing".to_string()),
    ] {
        lay(std::slice::from_ref(layer));
        refused(&verify(&place, &named, &[]), &why);
    }
    lay(&[words, lies, longer, bare]);
    assert_eq!(sign(&place, &named, &[]).code, 0);
    let said = verify(&place, &named, &[]);
    assert!(said.code == 0 && !said.raw.contains("✖") && said.err.contains("4 beside it that don't hold"), "{said:?}");
    // Whose signature would be an image's that nobody looked at.
    let claim = json!({ "critical": { "image": { "docker-manifest-digest": image }, "type": "cosign container image signature" } });
    place.write("trap", &claim.to_string());
    let said = place.say(&["attest", "sign", "trap"]);
    assert!(said.code == 2 && said.raw.is_empty() && said.err.contains("`trap` is what is signed of an image"), "{said:?}");
    std::fs::remove_dir_all(place.state()).unwrap();
}

#[test]
fn statements_about_an_image_are_asked_by_their_type_and_provenance_is_nobodys_to_state() {
    let (place, registry) = (with_key(), Registry::start(false));
    let image = registry.image("app", "1");
    let named = registry.named("app:1");
    place.write("sbom.json", r#"{"bomFormat": "CycloneDX"}"#);
    let attest = |kind: &str| place.say(&["attest", "attest", "--image", &named, "--predicate", "sbom.json", "--type", kind]);
    assert_eq!(attest("cyclonedx").code, 0);
    let said = verify(&place, &named, &["--type", "cyclonedx"]);
    assert!(said.code == 0 && said.raw.contains(&format!("✔ the statement is about {image}")), "{said:?}");
    let report: Json = serde_json::from_str(&verify(&place, &named, &["--type", "cyclonedx", "--json"]).raw).unwrap();
    assert_eq!(report["found"][0]["statement"]["predicate"], json!({ "bomFormat": "CycloneDX" }));
    let has = format!("{}@{image} has no", registry.named("app"));
    refused(
        &verify(&place, &named, &["--type", "spdx"]),
        &format!("{has} statement of type `https://spdx.dev/Document`; what there is, is of type `https://cyclonedx.org/bom`"),
    );
    refused(&verify(&place, &named, &[]), &format!("{has} signature"));
    let said = attest("slsaprovenance1");
    assert!(said.code == 2 && said.err.contains("provenance is stated by the server alone"), "{said:?}");
    let said = verify(&place, &named, &["--param", "vars.X"]);
    assert!(said.code == 2 && said.err.contains("`--type slsaprovenance1` asks for its provenance"), "{said:?}");
    std::fs::remove_dir_all(place.state()).unwrap();
}

#[test]
fn a_registry_is_shown_the_login_that_is_kept_for_it_and_says_who_may_not() {
    let (place, registry) = (with_key(), Registry::start(true));
    registry.image("app", "1");
    let named = registry.named("app:1");
    let at = |args: &[&str], password: Option<&str>| {
        let mut command = place.plimsoll(args);
        if let Some(password) = password {
            let auth = STANDARD.encode(format!("me:{password}"));
            std::fs::write(place.path("auth.json"), json!({ "auths": { registry.address.as_str(): { "auth": auth } } }).to_string())
                .unwrap();
            command.env("REGISTRY_AUTH_FILE", place.path("auth.json"));
        }
        place.start(command).wait()
    };
    let sign = ["attest", "sign", "--image", &named];
    let said = at(&sign, None);
    assert!(said.code == 4 && said.err.contains("to take anything for `app`: nobody is logged in there"), "{said:?}");
    assert!(said.err.contains(&format!("hint: `podman login {}`", registry.address)), "{said:?}");
    let said = at(&sign, Some("other-word"));
    assert!(
        said.code == 4 && said.err.contains("it doesn't take the login of me for that") && !said.err.contains("other-word"),
        "{said:?}"
    );
    let said = at(&sign, Some(PASSWORD));
    assert_eq!(said.code, 0, "{said:?}");
    let verify = ["attest", "verify", "--key", "../key.pub", "--image", &named];
    assert_eq!((at(&verify, Some(PASSWORD)).code, at(&verify, None).code), (0, 4));
    std::fs::write(place.path("auth.json"), "{").unwrap();
    let mut command = place.plimsoll(&verify);
    command.env("REGISTRY_AUTH_FILE", place.path("auth.json"));
    place
        .start(command)
        .wait()
        .is(2, "error: `DIR/auth.json` can't be used: it is no JSON: EOF while parsing an object at line 1 column 1");
    std::fs::remove_dir_all(place.state()).unwrap();
}

type Answer = (u16, Vec<String>, Vec<u8>);

/// A registry that answers as it likes, without TLS: what follows the address, the head of the request.
fn pretend(answer: impl Fn(&str, &str) -> Answer + Send + 'static) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || listener.incoming().for_each(|stream| serve(stream.unwrap(), &answer)));
    address
}

fn serve(mut stream: TcpStream, answer: &impl Fn(&str, &str) -> Answer) {
    let mut head = Vec::new();
    let mut byte = [0];
    // The first byte of TLS's hello is no letter.
    while !head.ends_with(b"\r\n\r\n") && head.first() != Some(&0x16) && stream.read(&mut byte).is_ok_and(|read| read == 1) {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    stream.read_exact(&mut vec![0; length.unwrap_or(0)]).unwrap();
    let (status, mut headers, body) = match head.split(' ').nth(1) {
        Some(path) if head.starts_with(char::is_alphabetic) => answer(path, &head),
        _ => (400, Vec::new(), Vec::new()),
    };
    headers.extend([format!("content-length: {}", body.len()), "connection: close".to_string()]);
    let _ = stream.write_all(format!("HTTP/1.1 {status} X\r\n{}\r\n\r\n", headers.join("\r\n")).as_bytes());
    let _ = stream.write_all(&body);
}

/// The manifest of an image, and what `plimsoll` would sign of it, signed.
fn pretended(place: &Place) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let image = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": {}, "layers": [] }).to_string().into_bytes();
    let folder = place.project().join("layout");
    std::fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
    std::fs::write(folder.join("blobs/sha256").join(Digest::of(&image).hex()), &image).unwrap();
    let entry = json!({ "mediaType": MANIFEST, "digest": Digest::of(&image), "size": image.len() });
    place.write("layout/index.json", &json!({ "schemaVersion": 2, "manifests": [entry] }).to_string());
    assert_eq!(sign(place, "oci:layout", &[]).code, 0);
    let index: Json = serde_json::from_slice(&std::fs::read(folder.join("index.json")).unwrap()).unwrap();
    let blob =
        |digest: &Json| std::fs::read(folder.join("blobs/sha256").join(digest.as_str().unwrap().trim_start_matches("sha256:"))).unwrap();
    let manifest = blob(&index["manifests"][1]["digest"]);
    let of: Json = serde_json::from_slice(&manifest).unwrap();
    (image, manifest, blob(&of["layers"][0]["digest"]))
}

#[test]
fn a_registry_that_gives_out_tokens_is_asked_for_one_and_referrers_are_read() {
    let place = with_key();
    let (image, manifest, payload) = pretended(&place);
    let (digest, referrer, blob) = (Digest::of(&image), Digest::of(&manifest), Digest::of(&payload));
    let size = manifest.len();
    let address = pretend(move |path, head| {
        let named = json!({ "mediaType": MANIFEST, "digest": referrer, "size": size });
        let list = json!({ "manifests": [{ "digest": "sha512:0" }, { "digest": Digest::of(b"gone"), "size": 4 }, named] });
        let host = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("host: ").map(str::to_string)).unwrap();
        if path.starts_with("/token?service=here&scope=repository%3Aapp%3Apull") {
            return (200, vec![], br#"{"token": "abc"}"#.to_vec());
        }
        if !head.to_ascii_lowercase().contains("authorization: bearer abc\r\n") {
            let challenge = format!("www-authenticate: Bearer realm=\"http://{host}/token\",service=\"here\"");
            return (401, vec![challenge], vec![]);
        }
        match path.strip_prefix("/v2/app/") {
            Some(path) if path == format!("manifests/{digest}") => (200, vec![], image.clone()),
            Some(path) if path == format!("referrers/{digest}") => {
                (200, vec![format!("content-type: {INDEX}")], list.to_string().into_bytes())
            }
            Some(path) if path == format!("manifests/{referrer}") => (200, vec![], manifest.clone()),
            Some(path) if path == format!("blobs/{blob}") => (200, vec![], payload.clone()),
            _ => (404, vec![], vec![]),
        }
    });
    let said = verify(&place, &format!("{address}/app@{digest}"), &[]);
    let expected = format!("the referrer {referrer}:\n✔ the key has signed it\n✔ it is about {digest}\n");
    assert_eq!((said.code, said.raw.as_str()), (0, expected.as_str()), "{said:?}");
    assert!(said.err.contains("2 beside it that don't hold"), "{said:?}");
    std::fs::remove_dir_all(place.state()).unwrap();
}

#[test]
fn who_we_are_is_shown_to_the_registry_and_to_nobody_it_sends_us_to() {
    let place = with_key();
    let (image, manifest, payload) = pretended(&place);
    let (digest, tag) = (Digest::of(&image), sig(&Digest::of(&image)));
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = heads.clone();
    let elsewhere = pretend(move |_, head| {
        seen.lock().unwrap().push(head.to_string());
        if head.starts_with("PUT") { (201, vec![], vec![]) } else { (200, vec![], payload.clone()) }
    });
    let address = pretend(move |path, head| {
        let there = vec![format!("location: http://{elsewhere}{path}")];
        let (method, path) = (head.split(' ').next().unwrap(), path.trim_start_matches("/v2/app/"));
        match (method, path) {
            _ if !head.to_ascii_lowercase().contains("authorization: basic ") => (401, vec!["www-authenticate: Basic".to_string()], vec![]),
            ("GET", path) if path == format!("manifests/{digest}") => (200, vec![], image.clone()),
            ("GET", path) if path == format!("manifests/{tag}") => (200, vec![], manifest.clone()),
            ("GET", path) if path.starts_with("blobs/") => (307, there, vec![]),
            ("POST", _) => (202, there, vec![]),
            ("PUT", path) if path == format!("manifests/{tag}") => (201, vec![], vec![]),
            _ => (404, vec![], vec![]),
        }
    });
    let auth = json!({ "auths": { address.as_str(): { "auth": STANDARD.encode("me:pass-word-1") } } });
    std::fs::write(place.path("auth.json"), auth.to_string()).unwrap();
    let named = format!("{address}/app@{digest}");
    for args in [&["verify", "--key", "../key.pub"][..], &["sign"]] {
        let mut command = place.plimsoll(&[&["attest"], args, &["--image", &named]].concat());
        command.env("REGISTRY_AUTH_FILE", place.path("auth.json"));
        let said = place.start(command).wait();
        assert_eq!(said.code, 0, "{said:?}");
    }
    let heads = heads.lock().unwrap();
    let methods: Vec<&str> = heads.iter().map(|head| head.split(' ').next().unwrap()).collect();
    assert_eq!(methods, ["GET", "PUT", "PUT"]);
    assert!(!heads.iter().any(|head| head.to_ascii_lowercase().contains("authorization")), "{heads:?}");
    std::fs::remove_dir_all(place.state()).unwrap();
}

#[test]
fn a_registry_that_lies_is_not_believed_and_one_that_is_not_there_is_no_answer() {
    let place = with_key();
    let (image, manifest, _) = pretended(&place);
    let digest = Digest::of(&image);
    // Another image than the one that was asked for, and other bytes than the signature's.
    let other = Digest::of(b"other");
    let (image_too, tag) = (image.clone(), sig(&digest));
    let address = pretend(move |path, _| match path.strip_prefix("/v2/app/") {
        Some(path) if path == format!("manifests/{tag}") => (200, vec![], manifest.clone()),
        Some("manifests/1") => (200, vec![format!("docker-content-digest: {other}")], image.clone()),
        Some(path) if path.starts_with("manifests/sha256:") => (200, vec![], image_too.clone()),
        Some(path) if path.starts_with("blobs/") => (200, vec![], vec![b'x'; 1000]),
        Some("manifests/down") => (503, vec![], br#"{"errors": [{"message": "later\u001b[2J"}]}"#.to_vec()),
        _ => (404, vec![], vec![]),
    });
    let ask = |rest: &str| verify(&place, &format!("{address}/app{rest}"), &[]);
    let said = ask(&format!("@{other}"));
    assert!(
        said.code == 8 && said.err.contains("can't be believed: it was asked for the image sha256:HASH, and what it sends is"),
        "{said:?}"
    );
    let said = ask(":1");
    assert!(
        said.code == 8 && said.err.contains("it says that the manifest `1` is sha256:HASH, and what it sends is sha256:HASH"),
        "{said:?}"
    );
    refused(&ask(&format!("@{digest}")), "it can't be read: sha256:");
    let said = ask(":down");
    assert!(said.code == 8 && said.err.contains("with 503: later") && !said.err.contains('\u{1b}'), "{said:?}");

    let nobody = format!("127.0.0.1:{}", crate::common::free_port());
    let said = verify(&place, &format!("{nobody}/app:1"), &[]);
    assert!(said.code == 8 && said.err.contains(&format!("the registry {nobody} can't be asked: Couldn't connect to server")), "{said:?}");
    let said = place.say(&["attest", "verify", "--key", "../no.pub", "--image", "alpine", "--annotation", "x"]);
    said.is(
        9,
        "
error: there is no `../no.pub`
`--annotation x` is no name with a value
`alpine` names no image: it begins with no registry; Docker Hub's `alpine` would be `docker.io/library/alpine`
hint: `--annotation env=production`
hint: `registry.example.org/team/app:1`, `localhost:5000/app@sha256:…`, or `oci:FOLDER` for an image layout on disk",
    );
    std::fs::remove_dir_all(place.state()).unwrap();
}

#[test]
fn an_image_on_disk_is_signed_beside_itself() {
    let place = with_key();
    let (image, ..) = pretended(&place);
    let said = verify(&place, "oci:layout", &[]);
    let expected = format!("the entry `dev.cosignproject.cosign/sigs`:\n✔ the key has signed it\n✔ it is about {}\n", Digest::of(&image));
    assert_eq!((said.code, said.raw), (0, expected));
    let again: Json = serde_json::from_str(&sign(&place, "oci:layout", &["--json"]).raw).unwrap();
    assert_eq!((&again["digest"], &again["already"]), (&json!(Digest::of(&image)), &json!(true)));
    // One more image, with tags; cosign has a place for the signatures of one.
    let index = || -> Json { serde_json::from_slice(&std::fs::read(place.project().join("layout/index.json")).unwrap()).unwrap() };
    let mut two = index();
    let other = json!({ "mediaType": INDEX, "manifests": [] }).to_string();
    place.write(&format!("layout/blobs/sha256/{}", Digest::of(other.as_bytes()).hex()), &other);
    let tagged = json!({ "org.opencontainers.image.ref.name": "two" });
    let entry = json!({ "mediaType": INDEX, "digest": Digest::of(other.as_bytes()), "size": other.len(), "annotations": tagged });
    two["manifests"].as_array_mut().unwrap().push(entry);
    place.write("layout/index.json", &two.to_string());
    assert_eq!(verify(&place, "oci:layout", &[]).code, 0, "the one that is signed is meant");
    let said = sign(&place, "oci:layout:two", &[]);
    assert!(said.code == 2 && said.err.contains("cosign knows one image a folder"), "{said:?}");
    assert_eq!(index(), two, "nothing was written");
    let said = verify(&place, "oci:layout:three", &[]);
    assert!(said.code == 9 && said.err.contains("`layout` has no image `three`; there are `two`"), "{said:?}");
    place.write(&format!("layout/blobs/sha256/{}", Digest::of(&image).hex()), "changed");
    let said = verify(&place, "oci:layout", &[]);
    assert!(said.code == 2 && said.err.contains("has 7 bytes, and the manifest says"), "{said:?}");
    let said = verify(&place, "oci:nowhere", &[]);
    assert!(said.code == 9 && said.err.contains("`nowhere` is no OCI image layout: it has no `index.json`"), "{said:?}");
    std::fs::remove_dir_all(place.state()).unwrap();
}
