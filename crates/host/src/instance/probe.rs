//! Asking an application how it is: one request, one answer, within a time.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Status(u16),
    /// Somebody listens who doesn't speak HTTP.
    NotHttp,
    /// Nobody listens.
    Refused,
    TimedOut,
    /// The connection broke before there was an answer.
    Broken(String),
}

impl Answer {
    /// As a sentence about a request for this path.
    pub(crate) fn sentence(&self, path: &str, timeout: Duration) -> String {
        match self {
            Answer::Status(status) => format!("GET {path} answered {status}"),
            Answer::NotHttp => format!("GET {path} was not answered in HTTP"),
            Answer::Refused => format!("GET {path}: nothing listens there"),
            Answer::TimedOut => format!("GET {path} was not answered within {} ms", timeout.as_millis()),
            Answer::Broken(why) => format!("GET {path}: {why}"),
        }
    }
}

pub(crate) async fn get(address: &str, path: &str, timeout: Duration) -> Answer {
    within(timeout, async { request(address, path).await }).await
}

/// Whether somebody listens.
pub(crate) async fn connect(address: &str, timeout: Duration) -> Answer {
    within(timeout, async { TcpStream::connect(address).await.map(|_| Answer::NotHttp) }).await
}

async fn within(timeout: Duration, asking: impl Future<Output = std::io::Result<Answer>>) -> Answer {
    match tokio::time::timeout(timeout, asking).await {
        Err(_) => Answer::TimedOut,
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => Answer::Refused,
        Ok(Err(error)) => Answer::Broken(error.to_string()),
    }
}

/// The status line is all that counts, so no more than that is read.
async fn request(address: &str, path: &str) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address).await?;
    let path = path.replace(|c: char| c.is_whitespace() || c.is_control(), "%20");
    let slash = if path.starts_with('/') { "" } else { "/" };
    let head =
        format!("GET {slash}{path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: plimsoll-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut start = Vec::new();
    while start.len() < "HTTP/1.1 200".len() {
        let mut chunk = [0; 512];
        match stream.read(&mut chunk).await? {
            0 if start.is_empty() => return Ok(Answer::Broken("the connection was closed without an answer".into())),
            0 => break,
            count => start.extend_from_slice(&chunk[..count]),
        }
    }
    Ok(status(&start).map_or(Answer::NotHttp, Answer::Status))
}

fn status(start: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(start.get(..12)?).ok()?;
    let (version, code) = text.split_once(' ')?;
    if !version.starts_with("HTTP/1.") {
        return None;
    }
    code.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_line_is_read_and_nothing_else_taken_for_one() {
        let cases: &[(&[u8], Option<u16>)] =
            &[(b"HTTP/1.1 200 OK\r\n", Some(200)), (b"HTTP/1.0 503", Some(503)), (b"SSH-2.0-OpenSSH_9", None), (b"HTTP/1.1 2", None)];
        for (start, expected) in cases {
            assert_eq!(status(start), *expected);
        }
    }
}
