//! GET by the installed `curl`: it speaks TLS and knows the machine's proxies. What is secret goes through its standard input.

use std::time::Duration;

use engine::world::Occasion;

use super::process::{Program, run};

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
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let mut config = format!("url = {}\nheader = \"accept: application/json\"\n", quoted(url));
    config.extend(form.map(|form| format!("data-raw = {}\n", quoted(form))));
    config.extend(proof.map(|proof| match proof {
        Proof::Header(header) => format!("header = {}\n", quoted(header)),
        Proof::Basic { user, password } => format!("user = {}\n", quoted(&format!("{user}:{password}"))),
    }));
    let arguments =
        ["--disable", "--silent", "--show-error", "--globoff", "--proto", "=http,https", "--write-out", "\n%{http_code}", "--config", "-"];
    let program = Program { name: "curl", arguments: arguments.into(), input: Some(config), apart: true, limit, may_scatter: false };
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
    let said = String::from_utf8_lossy(&heard.out);
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
