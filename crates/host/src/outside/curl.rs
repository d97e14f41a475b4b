//! HTTP by the installed `curl`: it speaks TLS and knows the machine's proxies. What is secret goes through its standard input.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use engine::world::Occasion;

use super::process::{Program, run};
use crate::job::{Home, inherited};

/// What a server is shown, and nobody else.
pub(crate) enum Proof {
    Header(String),
    Basic { user: String, password: String },
}

pub(crate) struct Answer {
    pub status: u16,
    pub body: String,
}

/// A form is posted, else it is a GET. A redirection is an answer: nobody else is shown what this one is.
///
/// # Errors
/// Why there is no answer, as a fragment.
pub(crate) async fn ask(
    url: &str,
    form: Option<&str>,
    proof: Option<&Proof>,
    limit: Duration,
    occasion: &Occasion,
) -> Result<Answer, String> {
    let mut config = asking(url, proof);
    config.extend(form.map(|form| format!("data-raw = {}\n", quoted(form))));
    let program = Program { name: "curl", arguments: ARGUMENTS.into(), input: Some(config), apart: true, limit, may_scatter: false };
    let heard = run(program, occasion).await?;
    if !heard.status.success() {
        // A paragraph may follow.
        let said = String::from_utf8_lossy(&heard.errors);
        let first = said.lines().find(|line| line.starts_with("curl: (")).map_or_else(|| heard.last_words(), str::to_string);
        return Err(format!("no answer from {url}: {}", why(&first)));
    }
    if heard.is_cut {
        return Err(format!("the answer of {url} is too long"));
    }
    answer(url, &heard.out)
}

/// By any method, with JSON where there is a body; for a thread that does nothing else meanwhile.
///
/// # Errors
/// Why there is no answer, as a fragment.
pub(crate) fn ask_now(method: &str, url: &str, body: Option<&str>, proof: &Proof, limit: Duration) -> Result<Answer, String> {
    let mut config = asking(url, Some(proof));
    config.push_str(&format!("request = {method}\nmax-time = {}\nmax-filesize = {ANSWER_BYTES_MAX}\n", limit.as_secs().max(1)));
    config.extend(body.map(|body| format!("header = \"content-type: application/json\"\ndata-raw = {}\n", quoted(body))));
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "`curl` is not on the PATH; the system's package `curl` has it".to_string(),
        _ => format!("`curl` can't be started: {error}"),
    };
    let ours = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut command = Command::new("curl");
    // An interrupt from the terminal is not meant for it.
    command.args(ARGUMENTS).env_clear().envs(inherited(ours, Home::Fresh(Path::new("/")))).current_dir("/").process_group(0);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    // Whoever ends before he has read it says why by how he ends.
    let _ = child.stdin.take().expect("its standard input is a pipe").write_all(config.as_bytes());
    let output = child.wait_with_output().map_err(failed)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let first = said.lines().find(|line| line.starts_with("curl: (")).unwrap_or("`curl` was ended");
        return Err(format!("no answer from {url}: {}", why(first)));
    }
    answer(url, &output.stdout)
}

/// As much as any answer has that is waited for at once.
const ANSWER_BYTES_MAX: u32 = 4 * 1024 * 1024;

const ARGUMENTS: [&str; 10] =
    ["--disable", "--silent", "--show-error", "--globoff", "--proto", "=http,https", "--write-out", "\n%{http_code}", "--config", "-"];

/// For curl's standard input, since lists of processes show arguments.
fn asking(url: &str, proof: Option<&Proof>) -> String {
    let mut config = format!("url = {}\nheader = \"accept: application/json\"\n", quoted(url));
    config.extend(proof.map(|proof| match proof {
        Proof::Header(header) => format!("header = {}\n", quoted(header)),
        Proof::Basic { user, password } => format!("user = {}\n", quoted(&format!("{user}:{password}"))),
    }));
    config
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn answer(url: &str, said: &[u8]) -> Result<Answer, String> {
    let said = String::from_utf8_lossy(said);
    let (body, status) = said.rsplit_once('\n').unwrap_or_default();
    let status = status.parse().map_err(|_| format!("what answers at {url} is no HTTP server"))?;
    Ok(Answer { status, body: body.to_string() })
}

/// `curl: (7) Failed to connect to example.org port 80 after 3 ms: Couldn't connect to server`, without what differs every time.
pub(crate) fn why(words: &str) -> &str {
    let why = words.strip_prefix("curl: (").and_then(|rest| rest.split_once(") ")).map_or(words, |(_, why)| why);
    why.split_once(" ms: ").map_or(why, |(_, why)| why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_trouble_has_the_same_words() {
        for (said, expected) in [
            ("curl: (7) Failed to connect to 127.0.0.1 port 9 after 0 ms: Couldn't connect to server", "Couldn't connect to server"),
            ("curl: (6) Could not resolve host: nowhere", "Could not resolve host: nowhere"),
            ("curl: (60) SSL certificate problem: self-signed certificate", "SSL certificate problem: self-signed certificate"),
            ("killed", "killed"),
        ] {
            assert_eq!(why(said), expected);
        }
    }
}
