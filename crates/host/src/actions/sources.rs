//! Where repositories are fetched from: addresses with a place for the repository's name.

use workflow::job::Remote;

/// Where they come from when nothing is configured.
pub const DEFAULT: &str = "https://github.com/{repo}";

/// What begins an address. Others could run programs.
const SCHEMES: [&str; 5] = ["https://", "http://", "ssh://", "git://", "file:///"];

/// In order; the first that has a repository is the one it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    templates: Vec<String>,
    pub moved: Moved,
}

/// What is done when a tag no longer names the commit it was locked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Moved {
    #[default]
    Refuse,
    /// The locked commit is run on, as long as a branch or tag of the repository leads to it.
    Keep,
}

impl Default for Sources {
    fn default() -> Sources {
        Sources { templates: vec![DEFAULT.to_string()], moved: Moved::default() }
    }
}

impl Sources {
    pub fn new(templates: Vec<String>, moved: Moved) -> Sources {
        let templates = if templates.is_empty() { Sources::default().templates } else { templates };
        Sources { templates, moved }
    }

    /// Nobody is asked.
    pub fn none() -> Sources {
        Sources { templates: Vec::new(), moved: Moved::default() }
    }

    /// Why an address can't be one; nothing when it can.
    pub fn complaint(template: &str) -> Option<String> {
        let named = template.contains("{repo}") || (template.contains("{owner}") && template.contains("{name}"));
        if !named {
            return Some("it has no place for the repository: `{repo}`, or `{owner}` and `{name}`".to_string());
        }
        if !SCHEMES.iter().any(|scheme| template.starts_with(scheme)) {
            return Some(format!("it begins with none of {}", SCHEMES.join(", ")));
        }
        None
    }

    pub(super) fn addresses(&self, remote: &Remote) -> Vec<String> {
        let fill = |template: &String| {
            template.replace("{repo}", &remote.slug()).replace("{owner}", &remote.owner).replace("{name}", &remote.repository)
        };
        self.templates.iter().map(fill).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_become_addresses_in_their_order() {
        let remote = Remote::parse("acme/tool/sub@v1").unwrap();
        let templates = ["file:///srv/{repo}.git", "https://git.example.org/mirror/{owner}-{name}"];
        let sources = Sources::new(templates.map(str::to_string).to_vec(), Moved::Refuse);
        assert_eq!(sources.addresses(&remote), ["file:///srv/acme/tool.git", "https://git.example.org/mirror/acme-tool"]);
        assert_eq!(Sources::new(Vec::new(), Moved::Keep).addresses(&remote), ["https://github.com/acme/tool"]);
    }

    #[test]
    fn an_address_that_names_no_repository_or_runs_a_program_is_no_source() {
        for (template, part) in
            [("https://example.org/x", "no place"), ("ext::sh -c {repo}", "begins with none"), ("/srv/{repo}", "begins")]
        {
            assert!(Sources::complaint(template).is_some_and(|why| why.contains(part)), "{template}");
        }
        assert_eq!(Sources::complaint("ssh://git@example.org/{repo}.git"), None);
    }
}
