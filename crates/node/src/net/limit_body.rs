//! Bodies with an end: so many bytes, by such a time, and only as they are.
//!
//! A compressed body is refused instead of inflated: what unpacks can be a bomb, and a signature covers
//! bytes, not what they unpack to.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, Request};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use landbridge_planted::planted;

/// Why a body was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// More bytes than allowed: HTTP 413.
    #[error("the body has more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// Not complete in time: HTTP 408.
    #[error("the body was not complete in time")]
    TooSlow,
    /// A content encoding other than `identity`: HTTP 415.
    #[error("the body is encoded, and only identity is read")]
    Encoded,
    /// The connection or the framing broke.
    #[error("the body broke off")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The body of a request as the server hands it out: never encoded, and over by its deadline.
#[derive(Debug)]
pub struct RequestBody {
    inner: Inner,
    encoded: bool,
    deadline: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug)]
enum Inner {
    Incoming(Incoming),
    Full(Full<Bytes>),
}

impl RequestBody {
    /// A body that is already here; for tests and for connections without a socket.
    #[must_use]
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self {
            inner: Inner::Full(Full::new(bytes.into())),
            encoded: false,
            deadline: None,
            timer: None,
        }
    }

    pub(super) fn incoming(body: Incoming, headers: &HeaderMap, allowed: Duration) -> Self {
        let deadline = Some(Instant::now() + allowed);
        Self { inner: Inner::Incoming(body), encoded: is_encoded(headers), deadline, timer: None }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if this.encoded {
            return Poll::Ready(Some(Err(BodyError::Encoded)));
        }
        // The clock is asked first: a body that always has one more byte ready is late as well.
        if let Some(deadline) = this.deadline.filter(|_| !planted!("slow_body_waited_for")) {
            let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            if Instant::now() >= deadline || timer.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Some(Err(BodyError::TooSlow)));
            }
        }
        let frame = match &mut this.inner {
            Inner::Incoming(body) => {
                ready!(Pin::new(body).poll_frame(cx)).map(|frame| frame.map_err(broken))
            }
            Inner::Full(body) => ready!(Pin::new(body).poll_frame(cx))
                .map(|frame| frame.map_err(|never| match never {})),
        };
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        !self.encoded
            && match &self.inner {
                Inner::Incoming(body) => body.is_end_stream(),
                Inner::Full(body) => body.is_end_stream(),
            }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Incoming(body) => body.size_hint(),
            Inner::Full(body) => body.size_hint(),
        }
    }
}

/// Takes a whole request: its head, and its body of at most `limit` bytes.
///
/// # Errors
///
/// When the body is encoded, too large, too slow or broken.
pub async fn collect(
    request: Request<RequestBody>,
    limit: usize,
) -> Result<(http::request::Parts, Bytes), BodyError> {
    let (head, body) = request.into_parts();
    if is_encoded(&head.headers) {
        return Err(BodyError::Encoded);
    }
    let bytes = collect_body(body, &head.headers, limit).await?;
    Ok((head, bytes))
}

/// Takes a body of at most `limit` bytes. A declared length above the limit is refused before a byte of
/// it is read, and memory grows with what arrives, never with what was announced.
pub(super) async fn collect_body<B>(
    body: B,
    headers: &HeaderMap,
    limit: usize,
) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BodyError>,
{
    let declared =
        headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let limit = if planted!("body_size_unchecked") { usize::MAX } else { limit };
    if declared.is_some_and(|declared| declared > limit as u64) {
        return Err(BodyError::TooLarge { limit });
    }
    let mut body = std::pin::pin!(body);
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(Into::into)?.into_data() {
            if data.len() > limit - whole.len() {
                return Err(BodyError::TooLarge { limit });
            }
            whole.extend_from_slice(&data);
        }
    }
    Ok(whole.freeze())
}

/// Says whether the headers name any encoding but `identity`.
pub(super) fn is_encoded(headers: &HeaderMap) -> bool {
    let mut named = headers.get_all(CONTENT_ENCODING).iter();
    named.any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
        && !planted!("encoding_unchecked")
}

pub(super) fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> BodyError {
    BodyError::Broken(error.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn request(encoding: Option<&str>, body: &'static str) -> Request<RequestBody> {
        let mut builder = Request::post("/");
        if let Some(encoding) = encoding {
            builder = builder.header(CONTENT_ENCODING, encoding);
        }
        builder.body(RequestBody::full(body)).unwrap()
    }

    #[tokio::test]
    async fn the_limit_is_exact() {
        assert_eq!(collect(request(None, "12345"), 5).await.unwrap().1, "12345");
        assert!(matches!(
            collect(request(None, "123456"), 5).await,
            Err(BodyError::TooLarge { limit: 5 })
        ));
        assert_eq!(collect(request(None, ""), 0).await.unwrap().1, "");
    }

    #[tokio::test]
    async fn only_identity_is_read() {
        assert!(collect(request(Some("Identity"), "x"), 5).await.is_ok());
        for encoding in ["gzip", "br", "identity, gzip", ""] {
            assert!(
                matches!(collect(request(Some(encoding), "x"), 5).await, Err(BodyError::Encoded)),
                "{encoding}"
            );
        }
    }

    #[tokio::test]
    async fn an_encoded_body_is_refused_to_every_reader() {
        let mut body = RequestBody::full("x");
        body.encoded = true;
        assert!(matches!(body.frame().await, Some(Err(BodyError::Encoded))));
    }

    #[tokio::test]
    async fn a_late_body_is_too_slow_even_when_its_bytes_are_here() {
        let mut late = RequestBody::full("x");
        late.deadline = Some(Instant::now());
        let request = Request::post("/").body(late).unwrap();
        assert!(matches!(collect(request, 5).await, Err(BodyError::TooSlow)));
    }
}
