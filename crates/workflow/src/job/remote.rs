//! `uses: owner/repository[/path]@ref`: an action, or a workflow, of another repository.

use std::fmt;

/// What `uses:` names in another repository. Every part is safe in a path and in an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remote {
    pub owner: String,
    pub repository: String,
    /// Below the repository's root, without slashes around it; empty for the root.
    pub path: String,
    /// A tag, a branch, or a whole commit.
    pub reference: String,
}

/// Longer than any that git hosts allow.
const SEGMENT_CHARS_MAX: usize = 100;

impl Remote {
    /// # Errors
    /// A sentence where a part isn't one that a repository can have.
    pub fn parse(uses: &str) -> Result<Remote, String> {
        let wrong = |why: &str| format!("`{uses}` {why}; an action of another repository is `<owner>/<repository>[/<path>]@<ref>`");
        let (place, reference) = uses.split_once('@').ok_or_else(|| wrong("names no version"))?;
        let mut segments = place.split('/').filter(|segment| !segment.is_empty());
        let (Some(owner), Some(repository)) = (segments.next(), segments.next()) else { return Err(wrong("names no repository")) };
        let path: Vec<&str> = segments.collect();
        if let Some(segment) = [owner, repository].iter().chain(&path).find(|segment| !is_segment(segment)) {
            return Err(wrong(&format!("can't be fetched: `{segment}` is neither an owner, a repository nor a folder")));
        }
        if !is_reference(reference) {
            return Err(wrong(&format!("can't be fetched: `{reference}` is neither a tag, a branch nor a commit")));
        }
        let text = |text: &str| text.to_string();
        Ok(Remote { owner: text(owner), repository: text(repository), path: path.join("/"), reference: text(reference) })
    }

    /// What `$/path` is in a file of this repository: another path of the same version.
    pub fn beside(&self, path: &str) -> Remote {
        let path: Vec<&str> = path.split('/').filter(|segment| !matches!(*segment, "" | ".")).collect();
        Remote { path: path.join("/"), ..self.clone() }
    }

    /// `owner/repository`, as written.
    pub fn slug(&self) -> String {
        format!("{}/{}", self.owner, self.repository)
    }

    /// `owner/repository/path@ref`, as it would be written.
    pub fn uses(&self) -> String {
        let slash = if self.path.is_empty() { "" } else { "/" };
        format!("{}{slash}{}@{}", self.slug(), self.path, self.reference)
    }

    /// What it is pinned under: `owner/repository@ref`, in small letters where git hosts don't tell them apart. The path isn't part
    /// of it, since a repository is fetched as a whole.
    pub fn key(&self) -> String {
        format!("{}@{}", self.slug().to_ascii_lowercase(), self.reference)
    }

    /// The commit that the reference is, where it is one.
    pub fn commit(&self) -> Option<&str> {
        Some(self.reference.as_str()).filter(|reference| is_commit(reference))
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { String::new() } else { format!("/{}", self.path) };
        write!(f, "{}{path}@{}", self.slug(), self.reference)
    }
}

/// 40 hexadecimal digits: anything shorter is a name, and a name can move.
pub fn is_commit(reference: &str) -> bool {
    reference.len() == 40 && reference.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn is_segment(segment: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    segment.len() <= SEGMENT_CHARS_MAX && segment.chars().all(plain) && !matches!(segment, "." | "..") && !segment.starts_with('-')
}

/// As git allows names, and `@` beside (a branch may be called `release@2026`).
fn is_reference(reference: &str) -> bool {
    let strange = |c: char| c.is_whitespace() || c.is_control() || matches!(c, ':' | '?' | '*' | '[' | '\\' | '^' | '~' | '\'' | '"');
    !reference.is_empty() && !reference.starts_with(['-', '/']) && !reference.contains("..") && !reference.contains(strange)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_fetched_and_under_which_key_it_is_pinned() {
        let cases = [
            ("Acme/Tool@v1", Ok("acme/tool@v1 ''")),
            ("acme/tool/sub/dir@Main", Ok("acme/tool@Main 'sub/dir'")),
            ("acme/tool/@release@2026", Ok("acme/tool@release@2026 ''")),
            ("acme@v1", Err("names no repository")),
            ("acme/tool", Err("names no version")),
            ("acme/../tool@v1", Err("`..` is neither")),
            ("acme/-u@v1", Err("`-u` is neither")),
            ("acme/to ol@v1", Err("`to ol` is neither")),
            ("acme/tool@--upload-pack=x", Err("`--upload-pack=x` is neither a tag")),
            ("acme/tool@a..b", Err("`a..b` is neither a tag")),
        ];
        for (uses, expected) in cases {
            let parsed = Remote::parse(uses).map(|remote| format!("{} '{}'", remote.key(), remote.path));
            match expected {
                Ok(expected) => assert_eq!(parsed.as_deref(), Ok(expected), "{uses}"),
                Err(part) => assert!(parsed.as_ref().is_err_and(|why| why.contains(part)), "{uses}: {parsed:?}"),
            }
        }
        let commit = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(Remote::parse(&format!("a/b@{commit}")).unwrap().commit(), Some(commit));
        assert_eq!(Remote::parse("a/b@0123456").unwrap().commit(), None);
    }
}
