//! A repository of a registry, by the OCI distribution specification.

use std::cell::RefCell;

use base::Digest;
use gate::attest::oci::{self, Descriptor, INDEX, MANIFEST, Written};
use serde_json::Value;

use super::challenge::Challenge;
use super::credentials::{self, Login};
use super::http::{Request, Response, send};
use super::{Held, Keeper, Kind, MANIFEST_MAX_BYTES, Pin, Purpose, RegistryError};

/// A list of referrers that has more parts is no list.
const PAGES_MAX: usize = 50;

#[derive(Debug)]
pub(super) struct Remote {
    registry: String,
    repository: String,
    pin: Pin,
    purpose: Purpose,
    /// With its scheme, without a path.
    origin: String,
    login: Option<Login>,
    /// The header that the registry took last.
    shown: RefCell<Option<String>>,
}

impl Remote {
    pub fn open(registry: String, repository: String, pin: Pin, purpose: Purpose) -> Result<Remote, RegistryError> {
        let login = credentials::find(&registry, &repository)?;
        let origin = format!("https://{registry}");
        let mut remote = Remote { registry, repository, pin, purpose, origin, login, shown: RefCell::new(None) };
        // Registries on this machine are often without TLS; as docker does, only there and only when there is none.
        if is_local(&remote.registry) {
            let url = format!("{}/v2/", remote.origin);
            let asked = send(&Request { method: "GET", url: &url, limit: MANIFEST_MAX_BYTES, plain: true, ..Request::default() });
            if asked.is_err_and(|unanswered| unanswered.is_plain) {
                remote.origin = format!("http://{}", remote.registry);
            }
        }
        Ok(remote)
    }

    fn url(&self, rest: &str) -> String {
        format!("{}/v2/{}/{rest}", self.origin, self.repository)
    }

    fn not_authorised(&self, why: String) -> RegistryError {
        let doing = match self.purpose {
            Purpose::Read => format!("to show `{}`", self.repository),
            Purpose::Write => format!("to take anything for `{}`", self.repository),
        };
        RegistryError::NotAuthorised { registry: self.registry.clone(), doing, why }
    }

    /// Answered, and shown who we are where the registry asks.
    fn ask(&self, mut request: Request<'_>) -> Result<Response, RegistryError> {
        let unreachable = |why| RegistryError::Unreachable { registry: self.registry.clone(), why };
        request.plain = self.origin.starts_with("http://");
        let headers = request.headers.clone();
        // Somebody else is never shown what this registry is.
        let is_its = request.url.strip_prefix(&self.origin).is_some_and(|rest| rest.starts_with('/'));
        let once = |request: &mut Request<'_>| {
            request.headers = headers.iter().cloned().chain(self.shown.borrow().clone().filter(|_| is_its)).collect();
            send(request).map_err(|unanswered| unreachable(unanswered.why))
        };
        let first = once(&mut request)?;
        if first.status != 401 || !is_its {
            return Ok(first);
        }
        let shown = self.proof(&first)?;
        self.shown.replace(Some(shown));
        let second = once(&mut request)?;
        match second.status {
            401 => Err(self.not_authorised(self.refused())),
            _ => Ok(second),
        }
    }

    fn refused(&self) -> String {
        match &self.login {
            Some(login) => format!("it doesn't take the login of {} for that", login.user()),
            None => "nobody is logged in there".to_string(),
        }
    }

    /// What the registry wants to be shown.
    fn proof(&self, refusal: &Response) -> Result<String, RegistryError> {
        match Challenge::of(refusal.headers("www-authenticate")) {
            None => Err(self.not_authorised("it doesn't say how to log in".to_string())),
            Some(Challenge::Basic) => {
                let login = self.login.as_ref().ok_or_else(|| self.not_authorised(self.refused()))?;
                login.basic().ok_or_else(|| self.not_authorised("it wants a password, and an identity token is kept".to_string()))
            }
            Some(Challenge::Bearer { realm, parameters }) => {
                let service = parameters.get("service").map_or("", String::as_str);
                self.token(&realm, service)
            }
        }
    }

    fn token(&self, realm: &str, service: &str) -> Result<String, RegistryError> {
        let plain = self.origin.starts_with("http://");
        if !(realm.starts_with("https://") || plain && realm.starts_with("http://")) {
            return Err(self.wrong(format!("it sends its users to `{realm}` to log in, which is not `https`")));
        }
        let actions = match self.purpose {
            Purpose::Read => "pull",
            Purpose::Write => "pull,push",
        };
        let query = [("service", service.to_string()), ("scope", format!("repository:{}:{actions}", self.repository))];
        let mut query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        let (url, form);
        let mut request = Request { limit: MANIFEST_MAX_BYTES, plain, ..Request::default() };
        if let Some(Login::Identity(token)) = &self.login {
            query.extend([
                "grant_type=refresh_token".to_string(),
                "client_id=plimsoll".to_string(),
                format!("refresh_token={}", escaped(token)),
            ]);
            form = query.join("&");
            (request.method, request.url, request.form) = ("POST", realm, Some(form.as_str()));
            request.headers.push("content-type: application/x-www-form-urlencoded".to_string());
        } else {
            url = format!("{realm}{}{}", if realm.contains('?') { '&' } else { '?' }, query.join("&"));
            (request.method, request.url) = ("GET", &url);
            request.headers.extend(self.login.as_ref().and_then(Login::basic));
        }
        let unreachable =
            |why| RegistryError::Unreachable { registry: self.registry.clone(), why: format!("{why}, where its tokens are from") };
        let answer = send(&request).map_err(|unanswered| unreachable(unanswered.why))?;
        match answer.status {
            200 => {}
            400..=403 => return Err(self.not_authorised(self.refused())),
            status => return Err(self.wrong(format!("`{realm}` answers with {status} instead of a token"))),
        }
        let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let token = said["token"].as_str().or_else(|| said["access_token"].as_str());
        let token = token.ok_or_else(|| self.wrong(format!("`{realm}` answers with no token")))?;
        Ok(format!("authorization: Bearer {token}"))
    }

    /// Nothing where it isn't there.
    fn get(&self, what: &str, url: &str, accept: &[&str], limit: u64) -> Result<Option<Response>, RegistryError> {
        let headers = if accept.is_empty() { Vec::new() } else { vec![format!("accept: {}", accept.join(", "))] };
        let response = self.ask(Request { method: "GET", url, headers, limit, ..Request::default() })?;
        match response.status {
            200 => Ok(Some(response)),
            404 => Ok(None),
            _ => Err(self.unexpected(what, &response)),
        }
    }

    fn unexpected(&self, what: &str, response: &Response) -> RegistryError {
        let said: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let said = said["errors"][0]["message"].as_str().map(|said| format!(": {}", gate::incident::plain(said))).unwrap_or_default();
        match response.status {
            403 => self.not_authorised(format!("{}{said}", self.refused())),
            429 => RegistryError::Unreachable { registry: self.registry.clone(), why: format!("it was asked too often{said}") },
            status if status >= 500 => {
                RegistryError::Unreachable { registry: self.registry.clone(), why: format!("it answers {what} with {status}{said}") }
            }
            status => self.wrong(format!("it answers {what} with {status}{said}")),
        }
    }

    /// A manifest by its tag or digest, with the digest that its own bytes have.
    fn tagged(&self, name: &str, accept: &[&str]) -> Result<Option<(Digest, Vec<u8>)>, RegistryError> {
        let url = self.url(&format!("manifests/{name}"));
        let Some(response) = self.get(&format!("a request for the manifest `{name}`"), &url, accept, MANIFEST_MAX_BYTES)? else {
            return Ok(None);
        };
        if response.is_cut {
            return Err(self.wrong(format!("the manifest `{name}` has more than {MANIFEST_MAX_BYTES} bytes")));
        }
        let found = Digest::of(&response.body);
        match response.header("docker-content-digest").filter(|said| said.starts_with("sha256:")) {
            Some(said) if said != found.to_string() => {
                Err(self.wrong(format!("it says that the manifest `{name}` is {said}, and what it sends is {found}")))
            }
            _ => Ok(Some((found, response.body))),
        }
    }

    fn upload(&self, content: &[u8], media_type: &str) -> Result<(), RegistryError> {
        let digest = Digest::of(content);
        let url = self.url(&format!("blobs/{digest}"));
        if self.ask(Request { method: "HEAD", url: &url, limit: MANIFEST_MAX_BYTES, ..Request::default() })?.status == 200 {
            return Ok(());
        }
        let url = self.url("blobs/uploads/");
        let begun = self.ask(Request { method: "POST", url: &url, body: Some(b""), limit: MANIFEST_MAX_BYTES, ..Request::default() })?;
        if begun.status != 202 {
            return Err(self.unexpected(&format!("the upload of a {media_type}"), &begun));
        }
        let location = begun.header("location").ok_or_else(|| self.wrong("it takes an upload and doesn't say where".to_string()))?;
        let location = self.absolute(location);
        let url = format!("{location}{}digest={}", if location.contains('?') { '&' } else { '?' }, escaped(&digest.to_string()));
        let headers = vec!["content-type: application/octet-stream".to_string()];
        let request = Request { method: "PUT", url: &url, headers, body: Some(content), limit: MANIFEST_MAX_BYTES, ..Request::default() };
        let put = self.ask(request)?;
        if put.status == 201 { Ok(()) } else { Err(self.unexpected(&format!("the upload of a {media_type}"), &put)) }
    }

    fn absolute(&self, location: &str) -> String {
        if location.starts_with('/') { format!("{}{location}", self.origin) } else { location.to_string() }
    }
}

impl Keeper for Remote {
    fn image(&self) -> Result<Digest, RegistryError> {
        let name = match &self.pin {
            Pin::Tag(tag) => tag.clone(),
            Pin::Digest(digest) => digest.to_string(),
        };
        let Some((found, _)) = self.tagged(&name, oci::IMAGES)? else {
            let separator = if matches!(self.pin, Pin::Tag(_)) { ':' } else { '@' };
            return Err(RegistryError::NotFound(format!("the registry has no image `{}{separator}{name}`", self.name())));
        };
        match self.pin {
            Pin::Digest(wanted) if wanted != found => {
                Err(self.wrong(format!("it was asked for the image {wanted}, and what it sends is {found}")))
            }
            _ => Ok(found),
        }
    }

    fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    fn kept(&self, image: &Digest, kind: Kind) -> Result<Option<(String, Vec<u8>)>, RegistryError> {
        let tag = kind.tag(image);
        Ok(self.tagged(&tag, oci::IMAGES)?.map(|(_, manifest)| (format!("{}:{tag}", self.name()), manifest)))
    }

    /// By the list that registries keep, else by the tag that others keep in their stead.
    fn referrers(&self, image: &Digest) -> Result<Vec<Result<Descriptor, String>>, RegistryError> {
        let mut all = Vec::new();
        let mut next = Some(self.url(&format!("referrers/{image}")));
        for _ in 0..PAGES_MAX {
            let Some(url) = next.take() else { return Ok(all) };
            let headers = vec![format!("accept: {INDEX}")];
            let answer = self.ask(Request { method: "GET", url: &url, headers, limit: MANIFEST_MAX_BYTES, ..Request::default() })?;
            let is_list = answer.header("content-type").is_some_and(|kind| kind.starts_with(INDEX));
            let list = match answer.status {
                200 if is_list && answer.is_cut => return Err(self.wrong(format!("its list of what refers to {image} is too long"))),
                200 if is_list => answer.body.clone(),
                200 | 400..=499 => match self.tagged(&format!("sha256-{}", image.hex()), &[INDEX])? {
                    Some((_, list)) => list,
                    None => return Ok(all),
                },
                _ => return Err(self.unexpected("a request for what refers to the image", &answer)),
            };
            all.extend(
                oci::manifests(&list).map_err(|why| self.wrong(format!("its list of what refers to {image} can't be read: {why}")))?,
            );
            next = answer.header("link").filter(|_| is_list).and_then(following).map(|rest| self.absolute(rest));
        }
        Err(self.wrong(format!("its list of what refers to {image} never ends")))
    }

    fn manifest(&self, descriptor: &Descriptor) -> Result<Held, RegistryError> {
        let name = descriptor.digest.to_string();
        let found = self.tagged(&name, &[MANIFEST, &descriptor.media_type])?;
        Ok(found.map(|(_, manifest)| manifest).ok_or_else(|| "the registry names it and doesn't have it".to_string()))
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Held, RegistryError> {
        let Descriptor { digest, size, .. } = descriptor;
        let found = self.get(&format!("a request for {digest}"), &self.url(&format!("blobs/{digest}")), &[], *size)?;
        Ok(match found {
            None => Err(format!("the registry has no {digest}")),
            Some(response) if response.is_cut => Err(format!("{digest} has more bytes than the {size} that the manifest says")),
            Some(response) => Ok(response.body),
        })
    }

    fn wrong(&self, why: String) -> RegistryError {
        RegistryError::Wrong { registry: self.registry.clone(), why }
    }

    fn keep(&self, image: &Digest, kind: Kind, layer: &[u8], written: &Written) -> Result<String, RegistryError> {
        self.upload(layer, "layer")?;
        self.upload(&written.config, "configuration")?;
        let tag = kind.tag(image);
        let url = self.url(&format!("manifests/{tag}"));
        let manifest = &written.manifest;
        let kind: Value = serde_json::from_slice(manifest).unwrap_or_default();
        let headers = vec![format!("content-type: {}", kind["mediaType"].as_str().unwrap_or(MANIFEST))];
        let request = Request { method: "PUT", url: &url, headers, body: Some(manifest), limit: MANIFEST_MAX_BYTES, ..Request::default() };
        let put = self.ask(request)?;
        if put.status != 201 {
            return Err(self.unexpected(&format!("the manifest `{tag}`"), &put));
        }
        Ok(format!("{}:{tag}", self.name()))
    }
}

/// As docker does: what never leaves the machine needs no TLS.
fn is_local(registry: &str) -> bool {
    let host = match registry.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => registry,
    };
    let is_loopback = |host: &str| host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    host == "localhost" || is_loopback(host.trim_matches(['[', ']']))
}

/// `<address>; rel="next"`.
fn following(link: &str) -> Option<&str> {
    let (address, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
    rest.contains("rel=\"next\"").then_some(address)
}

fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stays_on_this_machine_goes_without_tls() {
        for local in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.8.9.1", "[::1]:5000"] {
            assert!(is_local(local), "{local}");
        }
        for other in ["example.org", "localhost.example.org:5000", "127.0.0.1.example.org", "10.0.0.1:5000", "local"] {
            assert!(!is_local(other), "{other}");
        }
    }

    #[test]
    fn a_list_goes_on_where_its_link_says() {
        assert_eq!(following(r#"</v2/a/referrers/x?n=2>; rel="next""#), Some("/v2/a/referrers/x?n=2"));
        assert_eq!(following(r#"<x>; rel="prev""#), None);
        assert_eq!(escaped("repository:a/b:pull,push"), "repository%3Aa%2Fb%3Apull%2Cpush");
    }
}
