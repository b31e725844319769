//! Bodies and queries, read strictly: an unknown member is an error that names it and the allowed ones.
//!
//! A tolerant API makes typing mistakes silent (`deadlin` would start a run without a deadline), so
//! nothing is ignored here.

use std::time::Duration;

use axum::extract::{FromRequest, MatchedPath, Path, Query, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Uri};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::InvalidName;
use landbridge_proto::wire::problem::{Code, Problem};
use serde::de::DeserializeOwned;

use super::problem::{LocalCode, LocalProblem};

/// A JSON body of a known form.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = LocalProblem;

    async fn from_request(request: Request, _: &S) -> Result<Self, LocalProblem> {
        check_media_type(request.headers())?;
        let bytes = read(request).await?;
        parse(&bytes).map(Self)
    }
}

/// No body, or the empty object.
pub(super) struct Nothing;

impl<S: Send + Sync> FromRequest<S> for Nothing {
    type Rejection = LocalProblem;

    async fn from_request(request: Request, _: &S) -> Result<Self, LocalProblem> {
        let typed = request.headers().contains_key(CONTENT_TYPE);
        let media_type = check_media_type(request.headers());
        let bytes = read(request).await?;
        if bytes.is_empty() {
            return Ok(Self);
        }
        if typed {
            media_type?;
        }
        match parse::<serde_json::Map<String, serde_json::Value>>(&bytes)?.keys().next() {
            None => Ok(Self),
            Some(name) => Err(LocalProblem::malformed(format!(
                "unknown field `{name}`; this takes no members"
            ))),
        }
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, LocalProblem> {
    serde_json::from_slice(bytes).map_err(|error| {
        if is_federation_operation(bytes) {
            return LocalProblem::misdirected();
        }
        LocalProblem::malformed(error.to_string())
    })
}

/// Whether a body that did not parse is an operation of the federation plane.
fn is_federation_operation(bytes: &[u8]) -> bool {
    let members = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(bytes);
    members.is_ok_and(|members| {
        members.contains_key("request")
            && (members.contains_key("status") || members.contains_key("roots"))
    })
}

fn check_media_type(headers: &HeaderMap) -> Result<(), LocalProblem> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let detail = "send Content-Type: application/json";
    Err(LocalProblem::new(LocalCode::UnsupportedMediaType, detail))
}

async fn read(request: Request) -> Result<Bytes, LocalProblem> {
    let too_large = || {
        let detail = format!("a body has at most {BODY_BYTES_MAX} bytes");
        LocalProblem::from(Problem::new(Code::TooLarge).with_detail(detail))
    };
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if announced.and_then(|text| text.parse::<usize>().ok()).is_some_and(|len| len > BODY_BYTES_MAX)
    {
        return Err(too_large());
    }
    let collecting = Limited::new(request.into_body(), BODY_BYTES_MAX).collect();
    match tokio::time::timeout(BODY_TIME_MAX, collecting).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(LocalProblem::malformed("the body ended early")),
        Err(_) => Err(LocalProblem::malformed("the body did not arrive in time")),
    }
}

/// A query's members, each at most once and each of a known name.
pub(super) fn query<const N: usize>(
    uri: &Uri,
    allowed: [&'static str; N],
) -> Result<[Option<String>; N], LocalProblem> {
    pairs(uri, allowed, None).map(|(values, _)| values)
}

/// A query's members, each of a known name: `allowed` at most once, `repeated` any number of times.
pub(super) fn pairs<const N: usize>(
    uri: &Uri,
    allowed: [&'static str; N],
    repeated: Option<&'static str>,
) -> Result<([Option<String>; N], Vec<String>), LocalProblem> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map_err(|_| LocalProblem::malformed("the query is not name=value pairs"))?;
    let (mut values, mut many) = ([const { None }; N], Vec::new());
    for (name, value) in pairs {
        if repeated == Some(name.as_str()) {
            many.push(value);
            continue;
        }
        let Some(at) = allowed.iter().position(|&known| known == name) else {
            let allowed: Vec<&str> = allowed.into_iter().chain(repeated).collect();
            let allowed = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
            let detail = format!("unknown query parameter `{name}`; allowed: {allowed}");
            return Err(LocalProblem::malformed(detail));
        };
        if values[at].replace(value).is_some() {
            let detail = format!("the query parameter `{name}` is given twice");
            return Err(LocalProblem::malformed(detail));
        }
    }
    Ok((values, many))
}

/// Refuses every query parameter, on paths of the API that take none.
///
/// Which paths take some stands here and not in each handler, so that a new handler refuses them until
/// it says otherwise. Health and metrics are for monitors, which add parameters of their own.
pub(super) async fn no_stray_query(request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    if path.starts_with("/v1/")
        && !WITH_QUERY.contains(&path)
        && let Err(problem) = query(request.uri(), [])
    {
        return problem.into_response();
    }
    next.run(request).await
}

/// Paths whose handlers read a query themselves.
const WITH_QUERY: [&str; 8] = [
    "/v1/runs",
    "/v1/runs/{run}/frames",
    "/v1/gateways/{gateway}",
    "/v1/admin/audit",
    "/v1/admin/audit/heads",
    "/v1/scopes/{gateway}",
    "/v1/operators/{name}/credential",
    "/v1/approvals",
];

/// Reads a query parameter's or header's value, naming it when it is wrong.
pub(super) fn value<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, LocalProblem>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error| LocalProblem::malformed(format!("`{name}`: {error}")))
}

/// Reads a name of the path. What cannot be a name cannot exist either.
pub(super) fn named<T>(Path(text): &Path<String>) -> Result<T, LocalProblem>
where
    T: std::str::FromStr<Err = InvalidName>,
{
    text.parse().map_err(|error: InvalidName| {
        LocalProblem::new(LocalCode::NotFound, format!("in the path: {error}"))
    })
}

/// A request's payload on the wire, and a little for what only the local API has.
pub(super) const BODY_BYTES_MAX: usize = limit::REQUEST_BYTES_MAX + 64 * 1024;
/// From a request's head to the end of its body.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use axum::body::Body;

    use super::super::api::{NewInvite, StartRun};
    use super::*;

    const START: &str = r#"{"gateway":"eu","prompt":"hello","idempotencyKey":"0123456789abcdef"}"#;

    async fn json<T: DeserializeOwned>(
        body: impl Into<Body>,
        media: &str,
    ) -> Result<T, LocalProblem> {
        let request = Request::builder().header(CONTENT_TYPE, media).body(body.into()).unwrap();
        Json::from_request(request, &()).await.map(|Json(value)| value)
    }

    #[tokio::test]
    async fn a_start_is_read() {
        let start: StartRun = json(START, "application/json; charset=utf-8").await.unwrap();
        assert_eq!(start.gateway.as_str(), "eu");
    }

    #[tokio::test]
    async fn an_unknown_member_is_named_with_the_allowed_ones() {
        let body = START.replace("prompt", "promt");
        let problem = json::<StartRun>(body, "application/json").await.err().unwrap();
        let detail = problem.view().detail.clone().unwrap();
        assert!(detail.contains("`promt`") && detail.contains("`idempotencyKey`"), "{detail}");
        assert_eq!((problem.view().status, problem.view().code.as_str()), (400, "malformed"));
    }

    #[tokio::test]
    async fn a_federation_operation_is_sent_away() {
        let body = r#"{"request":{"payload":""},"status":{"payload":""}}"#;
        let problem = json::<StartRun>(body, "application/json").await.err().unwrap();
        assert_eq!((problem.view().status, problem.view().code.as_str()), (404, "not_found"));
    }

    #[tokio::test]
    async fn only_json_is_read() {
        for media in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""] {
            let problem = json::<StartRun>(START, media).await.err().unwrap();
            assert_eq!(problem.view().status, 415, "{media}");
        }
    }

    #[tokio::test]
    async fn the_body_limit_is_exact_with_and_without_a_length() {
        let frame = r#"{"alias":"eu"}"#.len();
        for (size, ok) in [(BODY_BYTES_MAX, true), (BODY_BYTES_MAX + 1, false)] {
            let text = format!("{}{}", r#"{"alias":"eu"}"#, " ".repeat(size - frame));
            let read = json::<NewInvite>(text.clone(), "application/json").await;
            assert_eq!(read.is_ok(), ok, "{size}");
            let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from(text))]);
            let read = json::<NewInvite>(Body::from_stream(chunks), "application/json").await;
            assert_eq!(read.is_ok(), ok, "{size} in chunks");
            if let Err(problem) = read {
                assert_eq!(problem.view().status, 413);
            }
        }
    }

    #[tokio::test]
    async fn a_post_without_members_takes_nothing_or_the_empty_object() {
        let nothing = async |body: &'static str, media: Option<&str>| {
            let mut request = Request::builder();
            if let Some(media) = media {
                request = request.header(CONTENT_TYPE, media);
            }
            Nothing::from_request(request.body(Body::from(body)).unwrap(), &()).await.is_ok()
        };
        assert!(nothing("", None).await);
        assert!(nothing("{}", Some("application/json")).await);
        assert!(!nothing(r#"{"force":true}"#, Some("application/json")).await);
        assert!(!nothing("{}", Some("text/plain")).await);
    }

    #[test]
    fn a_query_is_read_once_and_strictly() {
        let read = |text: &str| query(&text.parse().unwrap(), ["after", "limit"]);
        assert_eq!(read("/x?limit=5").unwrap(), [None, Some("5".to_owned())]);
        assert_eq!(read("/x").unwrap(), [None, None]);
        let detail = read("/x?afer=5").unwrap_err().view().detail.clone().unwrap();
        assert!(detail.contains("`afer`") && detail.contains("after, limit"), "{detail}");
        assert!(read("/x?after=1&after=2").is_err());
    }
}
