//! The keys at the start of a JSON document, with their places: what it is can be told before it is read.
//!
//! Words inside of strings are no keys, so that a file which merely speaks of a format is not taken for it.

/// Reports name themselves in their first levels.
const DEPTH_MAX: usize = 8;

#[derive(Debug, Default)]
pub(crate) struct Outline {
    /// `a/b/*/c`, with the value as it is written where that is no object and no list.
    keys: Vec<(String, String)>,
}

impl Outline {
    pub fn of(start: &[u8]) -> Outline {
        let mut scan = Scan { rest: start, outline: Outline::default() };
        let _cut_off = scan.value(&mut String::new(), 0).is_none();
        scan.outline
    }

    pub fn has(&self, path: &str) -> bool {
        self.keys.iter().any(|(key, _)| key == path)
    }

    pub fn has_any(&self, paths: &[&str]) -> bool {
        paths.iter().any(|path| self.has(path))
    }

    pub fn value(&self, path: &str) -> Option<&str> {
        self.keys.iter().find(|(key, _)| key == path).map(|(_, value)| value.as_str())
    }
}

struct Scan<'a> {
    rest: &'a [u8],
    outline: Outline,
}

/// Everything returns `None` where the text ends or is no JSON; what was seen until there stays.
impl Scan<'_> {
    fn value(&mut self, path: &mut String, depth: usize) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        match self.peek()? {
            b'{' => self.items(path, depth, b'}', true),
            b'[' => self.items(path, depth, b']', false),
            b'"' => {
                let text = self.string()?;
                self.set(path, text);
                Some(())
            }
            _ => {
                let end = self.rest.iter().position(|byte| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace())?;
                let text = String::from_utf8_lossy(&self.rest[..end]).into_owned();
                self.rest = &self.rest[end..];
                self.set(path, text);
                Some(())
            }
        }
    }

    fn items(&mut self, path: &mut String, depth: usize, end: u8, keyed: bool) -> Option<()> {
        self.rest = &self.rest[1..];
        if self.peek()? == end {
            self.rest = &self.rest[1..];
            return Some(());
        }
        loop {
            let length = path.len();
            let key = if keyed { self.key()? } else { "*".to_string() };
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(&key);
            if !self.outline.has(path) {
                self.outline.keys.push((path.clone(), String::new()));
            }
            self.value(path, depth + 1)?;
            path.truncate(length);
            match self.peek()? {
                b',' => self.rest = &self.rest[1..],
                byte if byte == end => {
                    self.rest = &self.rest[1..];
                    return Some(());
                }
                _ => return None,
            }
        }
    }

    fn key(&mut self) -> Option<String> {
        if self.peek()? != b'"' {
            return None;
        }
        let key = self.string()?;
        if self.peek()? != b':' {
            return None;
        }
        self.rest = &self.rest[1..];
        Some(key)
    }

    fn peek(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_ascii_start();
        self.rest.first().copied()
    }

    fn string(&mut self) -> Option<String> {
        let text = &self.rest[1..];
        let mut escaped = false;
        for (place, byte) in text.iter().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    self.rest = &text[place + 1..];
                    return Some(String::from_utf8_lossy(&text[..place]).into_owned());
                }
                _ => {}
            }
        }
        None
    }

    fn set(&mut self, path: &str, text: String) {
        if let Some((_, value)) = self.outline.keys.iter_mut().find(|(key, value)| key == path && value.is_empty()) {
            *value = text;
        }
    }
}
