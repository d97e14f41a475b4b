//! Package URLs: one name for a package, whoever speaks of it.

use crate::evidence::secrets;

/// `pkg:npm/%40scope/name@1.0.0`; the name may have parts with slashes between.
pub(super) fn purl(kind: &str, name: &str, version: &str) -> String {
    let name: Vec<String> = name.split('/').map(escaped).collect();
    format!("pkg:{kind}/{}@{}", name.join("/"), escaped(version))
}

/// The same with where it comes from, when that isn't where everybody would look.
pub(super) fn purl_from(kind: &str, name: &str, version: &str, qualifier: &str, place: &str) -> String {
    format!("{}?{qualifier}={}", purl(kind, name, version), escaped(&harmless(place)))
}

/// A text in which addresses keep neither the user before their host nor what is asked behind a `?`: tokens stand there. A text that
/// holds the form of a token elsewhere is dropped as a whole.
pub(super) fn harmless(text: &str) -> String {
    let word = |word: &str| {
        let Some((scheme, rest)) = word.split_once("://") else { return word.to_string() };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(end);
        let host = host.rsplit('@').next().unwrap_or(host);
        let fragment = path.find('#').map_or("", |at| &path[at..]);
        let path = path.find('?').map_or(path.to_string(), |at| format!("{}{fragment}", &path[..at]));
        format!("{scheme}://{host}{path}")
    };
    let text = text.split(' ').map(word).collect::<Vec<_>>().join(" ");
    if secrets::scan(text.as_bytes()).is_empty() { text } else { "what may be a secret".to_string() }
}

/// An address as somebody wrote it, harmless, and with what no address may have escaped.
pub(super) fn address(text: &str) -> String {
    let text = harmless(text);
    let mut out = String::new();
    let mut has_fragment = false;
    for (at, byte) in text.bytes().enumerate() {
        let is_escape = || text.as_bytes().get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let is_fine = match byte {
            b'%' => is_escape(),
            b'#' => !std::mem::replace(&mut has_fragment, true),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => true,
            _ => b"-._~:/?@!$&'()*+,;=".contains(&byte),
        };
        if is_fine { out.push(char::from(byte)) } else { out.push_str(&format!("%{byte:02X}")) }
    }
    out
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_meaning_in_an_address_is_escaped() {
        assert_eq!(purl("npm", "@babel/core", "7.0.0"), "pkg:npm/%40babel/core@7.0.0");
        assert_eq!(purl("cargo", "a", "1.0.0+b"), "pkg:cargo/a@1.0.0%2Bb");
        assert_eq!(address("https://x/a%2b%#c#d e"), "https://x/a%2b%25#c%23d%20e");
        assert_eq!(purl_from("cargo", "a", "1", "vcs_url", "git+https://x/y#z"), "pkg:cargo/a@1?vcs_url=git%2Bhttps:%2F%2Fx%2Fy%23z");
    }

    #[test]
    fn what_opens_a_private_registry_is_not_told() {
        for (text, told) in [
            ("https://me:hunter2@example.org/simple", "https://example.org/simple"),
            ("git+https://token@example.org/x?ref=main&key=1#abc", "git+https://example.org/x#abc"),
            ("`a @ https://me:hunter2@example.org/a.whl` isn't pinned", "`a @ https://example.org/a.whl` isn't pinned"),
            ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "what may be a secret"),
            ("https://example.org/@scope/a", "https://example.org/@scope/a"),
        ] {
            assert_eq!(harmless(text), told);
        }
    }
}
