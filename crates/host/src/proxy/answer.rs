//! Answers the proxy gives itself, and the body every answer has.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderValue, Response, StatusCode, header};
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};

use super::passing::Passing;

pub(super) enum Body {
    Own(Option<Bytes>),
    Passing(Passing),
}

/// Why no backend's answer is passed on.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    pub(super) sentence: String,
    pub(super) blame: Blame,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    Backend,
    Client,
}

impl Failure {
    pub(super) fn backend(status: StatusCode, sentence: String) -> Failure {
        Failure { status, sentence, blame: Blame::Backend }
    }

    pub(super) fn client(status: StatusCode, sentence: impl Into<String>) -> Failure {
        Failure { status, sentence: sentence.into(), blame: Blame::Client }
    }
}

pub(super) fn own(status: StatusCode, sentence: &str) -> Response<Body> {
    let text = Bytes::from(format!("plimsoll: {sentence}\n"));
    let mut response = Response::new(Body::Own(Some(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Body::Own(text) => Poll::Ready(text.take().map(|it| Ok(Frame::data(it)))),
            Body::Passing(passing) => passing.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Own(text) => text.is_none(),
            Body::Passing(passing) => passing.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Own(text) => SizeHint::with_exact(text.as_ref().map_or(0, |it| it.len() as u64)),
            Body::Passing(passing) => passing.size_hint(),
        }
    }
}

/// Handlers answer every failure; they have none of their own.
pub(super) type Answer = Result<Response<Body>, Infallible>;
