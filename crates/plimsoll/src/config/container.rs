//! What instances run in: an image, and what they may use of the machine.

use base::Diagnostic;
use base::yaml::Node;

use super::{Reader, VALUE};

pub(super) const CONTAINER: &[&str] = &["image", "user", "readOnly", "memory", "cpus", "processes"];

/// As the file has it; which bytes the image is becomes known when something is to run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Container {
    pub image: String,
    pub user: Option<String>,
    pub read_only: Option<bool>,
    pub memory_bytes: Option<u64>,
    pub cpu_millis: Option<u64>,
    pub processes: Option<u32>,
}

/// What engines take as the least memory of a container.
const MEMORY_MIN: u64 = 6 << 20;

impl Reader {
    /// The name of an image, or a mapping that has one.
    pub(super) fn container(&mut self, node: &Node) -> Option<Container> {
        if node.as_str().is_some() {
            return Some(Container { image: self.image(node)?, ..Container::default() });
        }
        if node.as_mapping().is_none() {
            self.wrong(node, "the name of an image, or a mapping with `image`,");
            return None;
        }
        let mapping = self.closed(node, CONTAINER)?;
        let Some(image) = mapping.get("image") else {
            self.diagnostics.push(Diagnostic::error("config/missing-key", node.span, "a container needs an `image`"));
            return None;
        };
        Some(Container {
            image: self.image(image)?,
            user: self.at(mapping, "user", Self::user),
            read_only: self.at(mapping, "readOnly", Self::boolean),
            memory_bytes: self.at(mapping, "memory", Self::size),
            cpu_millis: self
                .at(mapping, "cpus", |reader, node| reader.number(node, 0.01, 1024.0))
                .map(|cpus| (cpus * 1000.0).round() as u64),
            processes: self.at(mapping, "processes", |reader, node| reader.whole(node, 1, 1_000_000)).map(|count| count as u32),
        })
    }

    /// Whatever an engine may know by name, and nothing that it would take for one of its own options.
    fn image(&mut self, node: &Node) -> Option<String> {
        let image = self.text(node)?;
        let is_name = image.starts_with(|c: char| c.is_ascii_alphanumeric())
            && image.chars().all(|c| c.is_ascii_alphanumeric() || "-._/:@".contains(c));
        if is_name {
            return Some(image);
        }
        let message = format!("`{image}` can't be the name of an image");
        self.diagnostics
            .push(Diagnostic::error(VALUE, node.span, message).hint("`registry.example.org/shop:2`, `docker.io/library/nginx@sha256:…`"));
        None
    }

    /// A name or a number, and perhaps a group.
    fn user(&mut self, node: &Node) -> Option<String> {
        let user = match (node.as_str(), node.as_number()) {
            (Some(text), _) => text.to_string(),
            (None, Some(number)) => number.to_string(),
            _ => String::new(),
        };
        let part = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if user.split(':').count() <= 2 && user.split(':').all(part) && !user.starts_with('-') {
            return Some(user);
        }
        let message = "a user of the image is expected here";
        self.diagnostics.push(Diagnostic::error(VALUE, node.span, message).hint("`app`, `1000` or `1000:1000`"));
        None
    }

    fn size(&mut self, node: &Node) -> Option<u64> {
        let text = match (node.as_str(), node.as_number()) {
            (Some(text), _) => text.to_string(),
            (None, Some(number)) => number.to_string(),
            _ => String::new(),
        };
        let Some(bytes) = bytes(&text) else {
            let message = "an amount of memory is expected here";
            self.diagnostics.push(Diagnostic::error(VALUE, node.span, message).hint("`512Mi`, `2Gi`, `500M`; a bare number is bytes"));
            return None;
        };
        if bytes < MEMORY_MIN {
            self.diagnostics.push(Diagnostic::error(VALUE, node.span, "no container runs with less than 6Mi"));
        }
        Some(bytes)
    }
}

/// As Kubernetes writes it.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit = match &text[digits..] {
        "" => 1,
        "k" => 1000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => return None,
    };
    text[..digits].parse::<u64>().ok()?.checked_mul(unit)
}
