//! What is changed in the heads of requests and answers on their way through.

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::{PathAndQuery, Uri};
use http::{Method, StatusCode, Version};

use super::answer::Failure;

/// Names the revision a request wants, or with `?` asks which one answered; in answers it names the one that did.
pub(super) const REVISION: HeaderName = HeaderName::from_static("x-plimsoll-revision");
/// Marks the proxy's own probes, so that an application can tell them from users.
pub(super) const SYNTHETIC: HeaderName = HeaderName::from_static("x-plimsoll-synthetic");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// What is said of a client in every request of its connection, written once.
#[derive(Debug)]
pub(super) struct Forwarded {
    address: HeaderValue,
    node: String,
    last: Option<(HeaderValue, HeaderValue)>,
}

impl Forwarded {
    pub(super) fn new(client: IpAddr) -> Forwarded {
        let node = match client {
            IpAddr::V4(it) => it.to_string(),
            IpAddr::V6(it) => format!("\"[{it}]\""),
        };
        let address = HeaderValue::from_str(&client.to_string()).expect("an address is visible characters");
        Forwarded { address, node, last: None }
    }

    fn element(&mut self, host: &HeaderValue) -> HeaderValue {
        if let Some((seen, element)) = &self.last
            && seen == host
        {
            return element.clone();
        }
        let quoted = String::from_utf8_lossy(host.as_bytes()).replace(['"', '\\'], "");
        let element = HeaderValue::from_str(&format!("for={};host=\"{quoted}\";proto=http", self.node));
        let element = element.unwrap_or_else(|_| HeaderValue::from_static("proto=http"));
        self.last = Some((host.clone(), element.clone()));
        element
    }
}

/// Refuses what can't be understood in one way only.
pub(super) fn check(parts: &Parts) -> Result<(), Failure> {
    let refuse = |sentence: &str| Err(Failure::client(StatusCode::BAD_REQUEST, sentence));
    if parts.method == Method::CONNECT {
        return Err(Failure::client(StatusCode::METHOD_NOT_ALLOWED, "this is a gateway, not a tunnel: CONNECT is not served"));
    }
    if parts.headers.contains_key(header::TRANSFER_ENCODING) && !only_chunked(&parts.headers) {
        return Err(Failure::client(StatusCode::NOT_IMPLEMENTED, "only `chunked` is understood as a transfer coding"));
    }
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (_, Some(_)) => refuse("the request has more than one Host"),
        (None, _) if parts.version == Version::HTTP_11 => refuse("the request has no Host"),
        (None, _) if parts.version == Version::HTTP_2 && parts.uri.authority().is_none() => refuse("the request has no authority"),
        (Some(host), _) if host.as_bytes().iter().any(|it| matches!(it, b'/' | b'@' | b' ' | b'\\' | b'"' | b'?' | b'#')) => {
            refuse("the request's Host is not a name and port")
        }
        _ => Ok(()),
    }
}

/// The protocol a request wants its connection turned into, if it is one we tunnel.
pub(super) fn upgrade(parts: &Parts) -> Option<HeaderValue> {
    if parts.version != Version::HTTP_11 || !parts.headers.contains_key(header::UPGRADE) {
        return None;
    }
    let asked = parts.headers.get_all(header::CONNECTION).iter().any(|it| has_token(it, "upgrade"));
    // A client on cleartext may offer HTTP/2 this way; not taking it up is the ordinary answer.
    let protocol = parts.headers.get(header::UPGRADE).filter(|it| asked && !has_token(it, "h2c"))?;
    Some(protocol.clone())
}

/// Whether the body is in pieces and nothing else. Another coding would be taken away with the field, and nobody could read the
/// body any more.
fn only_chunked(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter().flat_map(tokens);
    codings.next().is_some_and(|it| it.eq_ignore_ascii_case(b"chunked")) && codings.next().is_none()
}

/// Refuses what a client could not read or would read in two ways.
pub(super) fn check_answer(headers: &HeaderMap) -> Result<(), &'static str> {
    match headers.contains_key(header::TRANSFER_ENCODING) && !only_chunked(headers) {
        true => Err("the instance's answer has a transfer coding that is not `chunked`"),
        false => Ok(()),
    }
}

/// Turns an instance's answer's head into the one the client gets.
pub(super) fn to_client(headers: &mut HeaderMap) {
    // Of the two the HTTP library has followed this one.
    if headers.contains_key(header::TRANSFER_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
    }
    // The library has made sure that they are all the same; one says it better.
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let (first, more) = (lengths.next(), lengths.next().is_some());
    let again = first.filter(|it| more || it.as_bytes().contains(&b','));
    let once = again.and_then(|it| HeaderValue::from_bytes(tokens(it).next()?).ok());
    if let Some(once) = once {
        headers.insert(header::CONTENT_LENGTH, once);
    }
    strip_hop_by_hop(headers);
    headers.remove(REVISION);
}

/// Turns a client's request head into the one its backend gets.
pub(super) fn to_backend(parts: &mut Parts, forwarded: &mut Forwarded, upgrade: Option<HeaderValue>, port: u16) {
    name_host(parts, port);
    let headers = &mut parts.headers;
    strip_hop_by_hop(headers);
    headers.remove(HTTP2_SETTINGS);
    headers.remove(header::EXPECT);
    headers.remove(header::PROXY_AUTHORIZATION);
    headers.remove(SYNTHETIC);
    join_cookies(parts.version, headers);
    if let Some(protocol) = upgrade {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, protocol);
    }
    append(headers, FORWARDED_FOR, &forwarded.address);
    if let Some(host) = headers.get(header::HOST).cloned() {
        append(headers, header::FORWARDED, &forwarded.element(&host));
        headers.entry(FORWARDED_HOST).or_insert(host);
    }
    headers.entry(FORWARDED_PROTO).or_insert(HeaderValue::from_static("http"));
    parts.version = Version::HTTP_11;
}

pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
        let listed: Vec<HeaderName> = headers
            .get_all(header::CONNECTION)
            .iter()
            .flat_map(tokens)
            .filter_map(|it| HeaderName::from_bytes(it).ok())
            .filter(|it| !end_to_end(it))
            .collect();
        for name in listed {
            headers.remove(name);
        }
        headers.remove(header::CONNECTION);
    }
    for name in [KEEP_ALIVE, PROXY_CONNECTION, header::TE, header::TRANSFER_ENCODING, header::UPGRADE] {
        headers.remove(name);
    }
}

/// A client must not be able to take these away by listing them as belonging to the connection.
fn end_to_end(name: &HeaderName) -> bool {
    [header::HOST, header::CONTENT_LENGTH, header::CONTENT_TYPE, header::AUTHORIZATION, header::COOKIE].contains(name)
        || [FORWARDED_FOR, FORWARDED_PROTO, FORWARDED_HOST, header::FORWARDED].contains(name)
}

/// HTTP/2 and absolute targets carry the host in the target; HTTP/1.1 to the backend wants it in `Host`. A client of HTTP/1.0
/// need not say one, but whoever speaks HTTP/1.1 must.
fn name_host(parts: &mut Parts, port: u16) {
    let Some(authority) = parts.uri.authority() else {
        if !parts.headers.contains_key(header::HOST)
            && let Ok(own) = HeaderValue::from_str(&format!("127.0.0.1:{port}"))
        {
            parts.headers.insert(header::HOST, own);
        }
        return;
    };
    if let Ok(host) = HeaderValue::from_str(authority.as_str().rsplit('@').next().unwrap_or_default()) {
        parts.headers.insert(header::HOST, host);
    }
    let path = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    parts.uri = Uri::from(path);
}

/// HTTP/2 may split cookies into several fields; HTTP/1.1 may not.
fn join_cookies(version: Version, headers: &mut HeaderMap) {
    if version != Version::HTTP_2 || headers.get_all(header::COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(header::COOKIE, joined);
    }
}

fn append(headers: &mut HeaderMap, name: HeaderName, value: &HeaderValue) {
    if !headers.contains_key(&name) {
        headers.insert(name, value.clone());
        return;
    }
    let mut all: Vec<&[u8]> = headers.get_all(&name).iter().map(HeaderValue::as_bytes).collect();
    all.push(value.as_bytes());
    if let Ok(joined) = HeaderValue::from_bytes(&all.join(&b", "[..])) {
        headers.insert(name, joined);
    }
}

fn has_token(value: &HeaderValue, token: &str) -> bool {
    tokens(value).any(|it| it.eq_ignore_ascii_case(token.as_bytes()))
}

fn tokens(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value.as_bytes().split(|it| *it == b',').map(<[u8]>::trim_ascii).filter(|it| !it.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(head: &[(&str, &str)], expected: &[&str]) {
        let mut request = http::Request::builder().uri("/a?b");
        for (name, value) in head {
            request = request.header(*name, *value);
        }
        let mut parts = request.body(()).expect("a request").into_parts().0;
        let upgrade = upgrade(&parts);
        to_backend(&mut parts, &mut Forwarded::new("127.0.0.1".parse().expect("an address")), upgrade, 80);
        let mut found: Vec<String> =
            parts.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("text"))).collect();
        found.sort();
        assert_eq!(found, expected);
    }

    #[test]
    fn heads_lose_what_is_of_the_connection_and_gain_where_they_come_from() {
        check(
            &[("host", "a.test:80"), ("connection", "close, x-private, host"), ("x-private", "1"), ("te", "trailers"), ("accept", "*/*")],
            &[
                "accept: */*",
                "forwarded: for=127.0.0.1;host=\"a.test:80\";proto=http",
                "host: a.test:80",
                "x-forwarded-for: 127.0.0.1",
                "x-forwarded-host: a.test:80",
                "x-forwarded-proto: http",
            ],
        );
        check(
            &[
                ("host", "a.test"),
                ("x-forwarded-for", "10.0.0.1"),
                ("x-forwarded-proto", "https"),
                ("forwarded", "for=10.0.0.1"),
                ("x-plimsoll-synthetic", "1"),
                ("expect", "100-continue"),
                ("upgrade", "h2c"),
                ("connection", "upgrade, http2-settings"),
                ("http2-settings", "AAA"),
            ],
            &[
                "forwarded: for=10.0.0.1, for=127.0.0.1;host=\"a.test\";proto=http",
                "host: a.test",
                "x-forwarded-for: 10.0.0.1, 127.0.0.1",
                "x-forwarded-host: a.test",
                "x-forwarded-proto: https",
            ],
        );
        check(
            &[("host", "a"), ("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")],
            &[
                "connection: upgrade",
                "forwarded: for=127.0.0.1;host=\"a\";proto=http",
                "host: a",
                "upgrade: websocket",
                "x-forwarded-for: 127.0.0.1",
                "x-forwarded-host: a",
                "x-forwarded-proto: http",
            ],
        );
    }
}
