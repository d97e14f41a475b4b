//! Prometheus, asked over plain HTTP, or by `curl` where it wants TLS or to know who asks. Whatever goes wrong is a reason why nothing is known, never a number.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::world::Occasion;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use gate::slo::{Counts, Measured, Objective, Slos, answer};
use http::{HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::outside::curl::{self, Answer, Proof};

/// A query that takes longer than this is no way to decide, and a release waits for the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Questions asked at the same time.
const AT_ONCE: usize = 8;

/// The answer is one number.
const ANSWER_MAX: usize = 256 * 1024;

/// Of every objective what was counted, or why nothing was. The proof is what Prometheus is shown, or why it can't be.
pub(crate) async fn objectives(slos: &Slos, proof: &Result<Option<Proof>, String>, occasion: &Occasion) -> Vec<Measured> {
    let mut res = Vec::new();
    let mut unreachable: Option<String> = proof.as_ref().err().map(|why| format!("Prometheus can't be asked: {why}"));
    let server = Server { url: slos.prometheus.trim_end_matches('/'), proof: proof.as_ref().ok().and_then(Option::as_ref), occasion };
    for objective in &slos.objectives {
        // One that can't be reached is not waited for again and again.
        let counts = match &unreachable {
            Some(why) => Err(why.clone()),
            None => counted(server, objective).await.map_err(|trouble| match trouble {
                Trouble::Unreachable(why) => unreachable.insert(format!("Prometheus can't be reached{why}")).clone(),
                Trouble::NoNumber(why) => why,
            }),
        };
        res.push(Measured { objective: objective.name.clone(), counts });
    }
    res
}

#[derive(Clone, Copy)]
struct Server<'a> {
    url: &'a str,
    proof: Option<&'a Proof>,
    occasion: &'a Occasion,
}

/// Why nothing is known.
enum Trouble {
    /// Nobody answers: ` at http://…: …`.
    Unreachable(String),
    /// Somebody answers, and not with a number.
    NoNumber(String),
}

async fn counted(server: Server<'_>, objective: &Objective) -> Result<BTreeMap<u64, Counts>, Trouble> {
    let asked = objective.questions().into_iter().map(|question| async move {
        let (part, total) = tokio::join!(ask(server, &question.part), ask(server, &question.total));
        Ok::<_, Trouble>((question.window_ms, Counts { part: part? * question.part_scale, total: total? * question.total_scale }))
    });
    // In order, so that of several reasons the same one is told every time.
    stream::iter(asked).buffered(AT_ONCE / 2).try_collect().await
}

/// The one number that answers a query now.
async fn ask(server: Server<'_>, query: &str) -> Result<f64, Trouble> {
    // In the body a query may be as long as it likes.
    let form = format!("query={}", encoded(query));
    let body = if server.proof.is_some() || server.url.starts_with("https://") {
        exchange_by_curl(server, &form).await?
    } else {
        let late = |_| Trouble::Unreachable(format!(": no answer from {} within {} s", server.url, PATIENCE.as_secs()));
        tokio::time::timeout(PATIENCE, exchange(server.url, form)).await.map_err(late)??
    };
    answer(&body).map_err(|why| Trouble::NoNumber(format!("{why} (`{query}`)")))
}

async fn exchange_by_curl(Server { url, proof, occasion }: Server<'_>, form: &str) -> Result<Bytes, Trouble> {
    let asked = curl::ask(&format!("{url}/api/v1/query"), Some(form), proof, PATIENCE, occasion).await;
    let Answer { status, body } = asked.map_err(|why| Trouble::Unreachable(format!(": {why}")))?;
    match status {
        401 | 403 => Err(Trouble::Unreachable(format!(" at {url}: it answers {status}, to who asked"))),
        _ => Ok(body.into()),
    }
}

async fn exchange(url: &str, form: String) -> Result<Bytes, Trouble> {
    let failed = |error: &dyn std::fmt::Display| Trouble::Unreachable(format!(" at {url}: {error}"));
    let uri: Uri = format!("{url}/api/v1/query").parse().map_err(|error| failed(&error))?;
    let authority = uri.authority().ok_or_else(|| failed(&"it has no host"))?;
    let (host, port) = (authority.host().trim_matches(['[', ']']), authority.port_u16().unwrap_or(80));
    let stream = TcpStream::connect((host, port)).await.map_err(|error| failed(&error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    let connection = tokio::spawn(connection);
    let mut request = Request::new(Full::new(Bytes::from(form)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri.path().parse().map_err(|error| failed(&error))?;
    let host = HeaderValue::from_str(authority.as_str()).map_err(|error| failed(&error))?;
    request.headers_mut().insert(header::HOST, host);
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    let answered = async {
        let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
        let collected = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
        collected.map(http_body_util::Collected::to_bytes).map_err(|error| failed(&error))
    };
    let body = answered.await;
    connection.abort();
    body
}

/// As forms are sent.
fn encoded(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use gate::slo::Part;

    use super::*;

    /// A server that says one thing to everybody.
    fn saying(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = [0; 4096];
                let _ = stream.read(&mut head);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        url
    }

    fn occasion() -> Occasion {
        let [project, name, environment, commit] = ["p", "shop", "local", "abc"].map(str::to_string);
        Occasion { project, name, environment, release: None, artifact: None, commit, git_ref: "refs/heads/main".to_string(), dirty: false }
    }

    fn measured(url: &str) -> Result<BTreeMap<u64, Counts>, String> {
        let (part, total) = (Part::Bad("sum(bad_total)".into()), "sum(all_total)".into());
        let objective = Objective { name: "a".into(), target_percent: 99.0, window_ms: 86_400_000, part, total };
        let mut second = objective.clone();
        second.name = "b".into();
        let slos = Slos { prometheus: url.into(), objectives: vec![objective, second], ..Slos::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut measured = runtime.block_on(objectives(&slos, &Ok(None), &occasion()));
        assert_eq!(measured.iter().map(|it| it.objective.as_str()).collect::<Vec<_>>(), ["a", "b"], "every objective is answered for");
        assert_eq!(measured[0].counts, measured[1].counts);
        measured.remove(0).counts
    }

    #[test]
    fn an_answer_is_counted_in_every_window() {
        let body = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"7"]}]}}"#;
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let counts = measured(&saying(answer.leak())).unwrap();
        assert_eq!(counts.len(), 7);
        assert!(counts.values().all(|counts| *counts == Counts { part: 7.0, total: 7.0 }));
    }

    #[test]
    fn whatever_else_happens_is_unknown() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for (url, why) in [
            (format!("http://{closed}"), "Prometheus can't be reached at http://127.0.0.1:"),
            (saying(""), "Prometheus can't be reached at"),
            (saying("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nno"), "Prometheus can't be reached at"),
            (saying("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\nno"), "what answers is no Prometheus"),
            (
                saying("HTTP/1.1 400 Bad Request\r\ncontent-length: 34\r\n\r\n{\"status\":\"error\",\"error\":\"parse\"}"),
                "Prometheus refuses: parse",
            ),
            (saying("SSH-2.0-OpenSSH_9.2\r\n"), "Prometheus can't be reached at"),
            ("http://[::".to_string(), "Prometheus can't be reached at"),
        ] {
            let said = measured(&url).unwrap_err();
            assert!(said.starts_with(why), "{url}: {said}");
        }
    }

    #[test]
    fn queries_are_sent_as_forms() {
        assert_eq!(encoded("a{b=~\"5..\"}[5m] + ü"), "a%7Bb%3D~%225..%22%7D%5B5m%5D%20%2B%20%C3%BC");
    }
}
