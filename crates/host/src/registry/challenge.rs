//! What a registry wants to be shown before it answers: `WWW-Authenticate` of RFC 7235, in its two forms that registries use.

use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    /// A token that somebody else gives out.
    Bearer {
        realm: String,
        parameters: BTreeMap<String, String>,
    },
}

impl Challenge {
    /// Of several the token, since a registry that knows tokens prefers them.
    pub fn of<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Challenge> {
        let mut all: Vec<Challenge> = headers.filter_map(read).collect();
        let at = all.iter().position(|challenge| matches!(challenge, Challenge::Bearer { .. })).unwrap_or(0);
        (!all.is_empty()).then(|| all.swap_remove(at))
    }
}

fn read(header: &str) -> Option<Challenge> {
    let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let mut parameters = parameters(rest);
    let realm = parameters.remove("realm")?;
    Some(Challenge::Bearer { realm, parameters })
}

/// `name="value"` or `name=value`, with commas between them and maybe within quotes.
fn parameters(mut rest: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([',', ' ']).to_ascii_lowercase();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        found.insert(name, value.to_string());
        rest = next;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_nothing_is_made_of_others() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io", scope="repository:a/b:pull,push""#;
        let parameters = [("scope", "repository:a/b:pull,push"), ("service", "registry.docker.io")];
        let parameters = parameters.map(|(name, value)| (name.to_string(), value.to_string())).into();
        let bearer = Challenge::Bearer { realm: "https://auth.docker.io/token".to_string(), parameters };
        assert_eq!(Challenge::of([r#"Basic realm="x""#, hub].into_iter()), Some(bearer));
        assert_eq!(Challenge::of(["basic"].into_iter()), Some(Challenge::Basic));
        for other in ["", "Negotiate", "Bearer", "Bearer realm", "Digest realm=\"x\""] {
            assert_eq!(Challenge::of([other].into_iter()), None, "{other}");
        }
    }
}
