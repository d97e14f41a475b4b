//! One request by the installed `curl`. What is secret goes through its standard input, never onto its command line.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

/// Nothing beside an image is so large that an honest answer takes longer.
const LIMIT_SECONDS: &str = "300";
const CONNECT_SECONDS: &str = "20";
/// Answers slower than this for half a minute have stopped.
const SLOW: &str = "speed-limit = 1\nspeed-time = 30\n";

#[derive(Debug, Default)]
pub(super) struct Request<'a> {
    pub method: &'a str,
    pub url: &'a str,
    pub headers: Vec<String>,
    pub body: Option<&'a [u8]>,
    /// In place of a body, and in no file.
    pub form: Option<&'a str>,
    /// Of an answer with more nothing is believed.
    pub limit: u64,
    /// Whether it may go without TLS, which it may on this machine alone.
    pub plain: bool,
}

#[derive(Debug)]
pub(super) struct Response {
    pub status: u16,
    /// Names in small letters.
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// It went on, and was ended.
    pub is_cut: bool,
}

impl Response {
    pub fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(it, _)| it == name).map(|(_, value)| value.as_str())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
    }
}

/// Why there is no answer; a fragment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unanswered {
    pub why: String,
    /// Whether the other side speaks no TLS.
    pub is_plain: bool,
}

impl From<String> for Unanswered {
    fn from(why: String) -> Unanswered {
        Unanswered { why, is_plain: false }
    }
}

pub(super) fn send(request: &Request<'_>) -> Result<Response, Unanswered> {
    if request.headers.iter().map(String::as_str).chain([request.url]).any(|text| text.contains(char::is_control)) {
        return Err(format!("`{}` is no address", request.url.escape_default()).into());
    }
    let failed = |error: std::io::Error| Unanswered::from(format!("`curl` can't be run: {error}"));
    let folder = tempfile::Builder::new().prefix("plimsoll-registry-").tempdir().map_err(failed)?;
    let (heads, body) = (folder.path().join("heads"), folder.path().join("body"));
    let mut config = format!("url = {}\nrequest = {}\n{SLOW}", quoted(request.url), quoted(request.method));
    request.headers.iter().for_each(|header| config.push_str(&format!("header = {}\n", quoted(header))));
    config.push_str(if request.plain { "proto = \"=http,https\"\nnoproxy = \"*\"\n" } else { "proto = \"=https\"\n" });
    // What a registry keeps is often somewhere else. Nobody else is shown what the registry is.
    config.push_str(match (request.method, request.plain) {
        ("GET", true) => "location\nmax-redirs = 5\nproto-redir = \"=http,https\"\n",
        ("GET", false) => "location\nmax-redirs = 5\nproto-redir = \"=https\"\n",
        ("HEAD", _) => "head\n",
        _ => "",
    });
    // Through the same input as the headers: it is what somebody proves himself with.
    if let Some(form) = request.form {
        config.push_str(&format!("data-raw = {}\n", quoted(form)));
    }
    if let Some(content) = request.body {
        std::fs::write(&body, content).map_err(failed)?;
        config.push_str(&format!("data-binary = {}\n", quoted(&format!("@{}", body.display()))));
    }
    let mut command = Command::new("curl");
    command.args(["--disable", "--silent", "--show-error", "--globoff", "--max-time", LIMIT_SECONDS, "--connect-timeout", CONNECT_SECONDS]);
    command.arg("--dump-header").arg(&heads).args(["--config", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    // Whoever ends before he has read it says why by how he ends.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(config.as_bytes()));
    let mut content = Vec::new();
    let heard = child.stdout.take().map(|out| out.take(request.limit + 1).read_to_end(&mut content));
    let is_cut = content.len() as u64 > request.limit;
    if is_cut {
        let _ = child.kill();
    }
    heard.transpose().map_err(failed)?;
    let ended = child.wait_with_output().map_err(failed)?;
    if !ended.status.success() && !is_cut {
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        let line = said.lines().find(|line| line.starts_with("curl: (")).unwrap_or(said.trim());
        let why = crate::outside::curl::why(line).to_string();
        // `CURLE_SSL_CONNECT_ERROR`.
        return Err(Unanswered { why, is_plain: ended.status.code() == Some(35) });
    }
    let heads = std::fs::read(&heads).map_err(failed)?;
    let answer = answer(&String::from_utf8_lossy(&heads), content);
    answer.map(|answer| Response { is_cut, ..answer }).ok_or_else(|| format!("what answers at {} is no HTTP server", request.url).into())
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Of several heads, of redirections and proxies, the last is the answer's.
fn answer(heads: &str, body: Vec<u8>) -> Option<Response> {
    let last = heads.lines().collect::<Vec<_>>();
    let begin = last.iter().rposition(|line| line.starts_with("HTTP/"))?;
    let status = last[begin].split_whitespace().nth(1)?.parse().ok()?;
    let header = |line: &&str| line.split_once(':').map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_string()));
    Some(Response { status, headers: last[begin..].iter().filter_map(header).collect(), body, is_cut: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_several_heads_is_the_answers() {
        let heads = "HTTP/1.1 307 Temporary Redirect\r\nLocation: https://a\r\n\r\nHTTP/2 200 \r\nContent-Type: text/plain\r\n\r\n";
        let response = answer(heads, Vec::new()).unwrap();
        assert_eq!((response.status, response.header("content-type"), response.header("location")), (200, Some("text/plain"), None));
        assert!(answer("", Vec::new()).is_none());
    }

    #[test]
    fn an_address_that_is_more_than_one_line_is_never_asked() {
        let request = Request { method: "GET", url: "http://127.0.0.1:9/\noutput = \"x\"", limit: 1, plain: true, ..Request::default() };
        assert!(send(&request).unwrap_err().why.ends_with("is no address"));
    }
}
