//! What `uses:` points at.

/// A `uses:` taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Uses<'a> {
    Local(&'a str),
    Image(Image<'a>),
    Action(Action<'a>),
}

/// An action or a workflow of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Action<'a> {
    pub owner: &'a str,
    pub name: &'a str,
    /// Below the repository, without the first slash.
    pub path: Option<&'a str>,
    pub reference: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Image<'a> {
    pub name: &'a str,
    pub tag: Option<&'a str>,
    pub digest: Option<&'a str>,
}

impl<'a> Uses<'a> {
    pub fn parse(text: &'a str) -> Option<Uses<'a>> {
        if let Some(image) = text.strip_prefix("docker://") {
            return Some(Uses::Image(Image::parse(image)));
        }
        if text.starts_with('.') || text.starts_with("$/") {
            return Some(Uses::Local(text));
        }
        let (path, reference) = text.rsplit_once('@')?;
        let mut parts = path.splitn(3, '/');
        let (owner, name) = (parts.next()?, parts.next()?);
        let whole = !owner.is_empty() && !name.is_empty() && !reference.is_empty();
        whole.then_some(Uses::Action(Action { owner, name, path: parts.next(), reference }))
    }
}

impl<'a> Image<'a> {
    /// `registry:5000/name:tag@sha256:…`.
    pub fn parse(text: &'a str) -> Image<'a> {
        let (name, digest) = text.split_once('@').map_or((text, None), |(name, digest)| (name, Some(digest)));
        let (name, tag) = match name.rsplit_once(':') {
            // A colon before a slash is a registry's port.
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (name, None),
        };
        Image { name, tag, digest }
    }
}

impl Action<'_> {
    /// `owner/name`, in lower case.
    pub fn slug(&self) -> String {
        format!("{}/{}", self.owner, self.name).to_lowercase()
    }

    /// Whether it is the action `owner/name` or `owner/name/path`.
    pub fn is(&self, action: &str) -> bool {
        let own = match self.path {
            Some(path) => format!("{}/{}/{path}", self.owner, self.name),
            None => format!("{}/{}", self.owner, self.name),
        };
        own.eq_ignore_ascii_case(action)
    }

    pub fn is_pinned(&self) -> bool {
        self.reference.len() == 40 && self.reference.bytes().all(|letter| letter.is_ascii_hexdigit())
    }
}

/// Major, minor and patch of a tag like `v1.2.3`, with or without the `v`; what isn't said is 0.
pub(super) fn version(reference: &str) -> Option<(u64, u64, u64)> {
    let bare = reference.strip_prefix('v').unwrap_or(reference);
    let mut numbers = [0; 3];
    let parts: Vec<&str> = bare.split('.').collect();
    if parts.len() > 3 {
        return None;
    }
    for (at, part) in parts.iter().enumerate() {
        let digits = !part.is_empty() && part.bytes().all(|letter| letter.is_ascii_digit());
        numbers[at] = digits.then(|| part.parse().ok()).flatten()?;
    }
    Some((numbers[0], numbers[1], numbers[2]))
}

/// Actions by name: `owner/*`, `owner/repo`, `owner/repo/*`, `owner/repo/path`, `*`; with `@ref` only that reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    path: String,
    reference: Option<String>,
}

impl Pattern {
    /// Nothing when it isn't written like one.
    pub fn parse(text: &str) -> Option<Pattern> {
        let (path, reference) = text.split_once('@').map_or((text, None), |(path, reference)| (path, Some(reference.to_owned())));
        let parts: Vec<&str> = path.split('/').collect();
        let star_last = parts.iter().rev().skip(1).all(|part| !part.contains('*'))
            && parts.last().is_some_and(|last| !last.contains('*') || *last == "*");
        let legal = parts.iter().all(|part| !part.is_empty() && !part.contains(char::is_whitespace))
            && star_last
            && (parts.len() > 1 || path == "*");
        let referenced = reference.as_ref().is_none_or(|reference| !reference.is_empty() && parts.len() > 1 && !path.contains('*'));
        (legal && referenced).then(|| Pattern { path: path.to_lowercase(), reference })
    }

    pub(super) fn matches(&self, action: &Action<'_>) -> bool {
        let whole = match action.path {
            Some(path) => format!("{}/{path}", action.slug()).to_lowercase(),
            None => action.slug(),
        };
        let by_path = match self.path.strip_suffix('*') {
            Some("") => true,
            // `owner/repo/*` is everything in the repository, its root too.
            Some(folder) => whole.starts_with(folder) || (folder.matches('/').count() == 2 && format!("{whole}/") == folder),
            None => whole == self.path,
        };
        by_path && self.reference.as_ref().is_none_or(|reference| reference == action.reference)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_are_taken_apart() {
        let action = |text| match Uses::parse(text) {
            Some(Uses::Action(action)) => action,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(action("a/b@v1"), Action { owner: "a", name: "b", path: None, reference: "v1" });
        assert_eq!(action("a/b/c/d@v1").path, Some("c/d"));
        assert_eq!(Uses::parse("./x"), Some(Uses::Local("./x")));
        assert_eq!(Uses::parse("$/x"), Some(Uses::Local("$/x")));
        assert_eq!(Uses::parse("a/b"), None);
        assert_eq!(Image::parse("r:5000/a/b"), Image { name: "r:5000/a/b", tag: None, digest: None });
        assert_eq!(Image::parse("a:1@sha256:0"), Image { name: "a", tag: Some("1"), digest: Some("sha256:0") });
    }

    #[test]
    fn versions_are_numbers() {
        assert_eq!(version("v4"), Some((4, 0, 0)));
        assert_eq!(version("1.2.3"), Some((1, 2, 3)));
        assert!(["main", "v1.2.3.4", "v1.x", "v"].iter().all(|text| version(text).is_none()));
    }

    #[test]
    fn patterns_match_by_path() {
        let matches = |pattern: &str, uses: &str| {
            let Some(Uses::Action(action)) = Uses::parse(uses) else { panic!("{uses} is an action") };
            Pattern::parse(pattern).is_some_and(|pattern| pattern.matches(&action))
        };
        let table = [
            ("*", "a/b@v1", true),
            ("a/*", "A/b@v1", true),
            ("a/*", "ab/b@v1", false),
            ("a/b", "a/b@v1", true),
            ("a/b", "a/b/c@v1", false),
            ("a/b/*", "a/b/c@v1", true),
            ("a/b/*", "a/b@v1", true),
            ("a/b/*", "a/bc@v1", false),
            ("a/b@v1", "a/b@v1", true),
            ("a/b@v1", "a/b@v2", false),
        ];
        for (pattern, uses, expected) in table {
            assert_eq!(matches(pattern, uses), expected, "{pattern} {uses}");
        }
        assert!(["", "a", "a/*/b", "a b/c", "*/a", "a/b@"].iter().all(|text| Pattern::parse(text).is_none()));
    }
}
