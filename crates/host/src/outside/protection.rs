//! Whether the branch of a commit is protected, asked of its forge.

use std::time::Duration;

use engine::world::Occasion;
use gate::protection::{Branch, Page, Protection, Ran, Requires, Reviews, Told, branch, brings_more, reviews, rules, runs, statuses};

use super::Shown;
use super::curl::{Answer, Proof, ask};

/// A release waits for the answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Of a hundred reports each at GitHub, of fifty at Gitea.
const PAGES_MAX: usize = 20;

/// # Errors
/// Why nobody knows, as a fragment.
pub(super) async fn seen(protection: &Protection, occasion: &Occasion, shown: &Shown) -> Result<Branch, String> {
    let Some(name) = occasion.git_ref.strip_prefix("refs/heads/") else {
        return Err(format!("what ships is {}, and only branches are protected", occasion.git_ref));
    };
    let found = match tokio::time::timeout(PATIENCE, asked(protection, name, occasion, shown)).await {
        Ok(found) => found,
        Err(_) => Err(format!("no answer from {} within {} s", protection.url, PATIENCE.as_secs())),
    };
    found.map_err(|why| shown.said(&why))
}

async fn asked(protection: &Protection, name: &str, occasion: &Occasion, shown: &Shown) -> Result<Branch, String> {
    let token = protection.token.as_deref().map(|name| shown.secret(name)).transpose()?;
    let forge = Forge {
        url: protection.url.trim_end_matches('/'),
        proof: token.map(|token| Proof::Header(format!("authorization: Bearer {token}"))),
        occasion,
        shown,
    };
    let path = format!("branches/{}", encoded(name));
    let text = forge.get(&path).await?.ok_or_else(|| {
        format!("{}/{path} answers 404: the forge has no such branch, or shows it to nobody without a token that may read it", forge.url)
    })?;
    let mut told = branch(&text).map_err(|why| forge.of(&path, &why))?;
    if told.is_github {
        let path = format!("rules/branches/{}?per_page=100", encoded(name));
        // Older servers have none.
        if let Some(text) = forge.get(&path).await? {
            rules(&text, &mut told).map_err(|why| forge.of(&path, &why))?;
        }
    }
    told.requires.extend(protection.checks.iter().map(|check| Requires::plain(check)));
    let absent = match occasion.dirty {
        true => Some("it is a working tree, with what nobody has committed".to_string()),
        false => forge.lacks(name, &told.head).await?,
    };
    let ran = if absent.is_some() || told.requires.is_empty() { Vec::new() } else { forge.ran(told.is_github).await? };
    let reviews = match protection.reviews {
        Some(asked) => Some(Reviews { required: forge.reviews(&told, asked, &path).await?, asked }),
        None => None,
    };
    Ok(Branch { reviews, ..Branch::of(name, told.protected, absent, &told.requires, &ran) })
}

struct Forge<'a> {
    url: &'a str,
    proof: Option<Proof>,
    occasion: &'a Occasion,
    shown: &'a Shown,
}

impl Forge<'_> {
    /// Nothing where there is no such thing.
    async fn get(&self, path: &str) -> Result<Option<String>, String> {
        let url = format!("{}/{path}", self.url);
        let Answer { status, body } = ask(&url, None, self.proof.as_ref(), PATIENCE, self.occasion).await?;
        match status {
            200 => self.shown.covered(&body).map(Some),
            // GitHub's word for a commit that it doesn't know.
            404 | 422 => Ok(None),
            _ => Err(format!("{url} answers {status}")),
        }
    }

    fn of(&self, path: &str, why: &str) -> String {
        format!("{why} ({}/{path})", self.url)
    }

    /// Why the commit is not on the branch.
    async fn lacks(&self, name: &str, head: &str) -> Result<Option<String>, String> {
        let sha = &self.occasion.commit;
        if sha == head {
            return Ok(None);
        }
        let path = format!("compare/{}...{sha}?per_page=1", encoded(name));
        let short = sha.get(..7).unwrap_or(sha);
        Ok(match self.get(&path).await? {
            None => Some(format!("the forge has no commit {short}, so it was never pushed")),
            Some(text) if brings_more(&text).map_err(|why| self.of(&path, &why))? => {
                Some(format!("the forge has commit {short} elsewhere, and it was not merged"))
            }
            Some(_) => None,
        })
    }

    /// How many the branch requires, asked for only where what is known is not enough.
    async fn reviews(&self, told: &Told, asked: u64, branch: &str) -> Result<u64, String> {
        if told.tells_reviews || told.reviews >= asked {
            return Ok(told.reviews);
        }
        let path = format!("{branch}/protection");
        let hint = "how many reviews the branch requires is shown to a token that may read the repository's administration";
        match self.get(&path).await.map_err(|why| format!("{why}: {hint}"))? {
            Some(text) => Ok(reviews(&text).map_err(|why| self.of(&path, &why))?.max(told.reviews)),
            None => Err(format!("{}/{path} answers 404: {hint}", self.url)),
        }
    }

    /// All that was reported of the commit.
    async fn ran(&self, is_github: bool) -> Result<Vec<Ran>, String> {
        let mut ran = self.pages("status", is_github, statuses).await?;
        if is_github {
            ran.extend(self.pages("check-runs", true, runs).await?);
        }
        Ok(ran)
    }

    /// GitHub says how many there are; Gitea how many are on the page, and of pages beyond the last that they are empty.
    async fn pages(&self, what: &str, has_total: bool, read: fn(&str) -> Result<Page, String>) -> Result<Vec<Ran>, String> {
        let mut found: Vec<Ran> = Vec::new();
        for page in 1..=PAGES_MAX {
            let path = format!("commits/{}/{what}?per_page=100&limit=50&page={page}", self.occasion.commit);
            let text = self.get(&path).await?.ok_or_else(|| format!("{}/{path} has no such commit", self.url))?;
            let Page { ran, total } = read(&text).map_err(|why| self.of(&path, &why))?;
            let is_last = ran.is_empty();
            found.extend(ran);
            match (has_total, is_last) {
                (true, _) if found.len() >= total => return Ok(found),
                (true, true) => return Err(format!("{}/{path} says that there are more, and gives none", self.url)),
                (false, true) => return Ok(found),
                _ => {}
            }
        }
        Err(format!("{} has more reports of the commit than can be read", self.url))
    }
}

/// As one part of a path.
fn encoded(name: &str) -> String {
    let one = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    name.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::encoded;

    #[test]
    fn a_branch_is_one_part_of_a_path() {
        assert_eq!((encoded("main").as_str(), encoded("release/2 ü?").as_str()), ("main", "release%2F2%20%C3%BC%3F"));
    }
}
