//! Problems of the local API: the contract's, word for word, and a few that only this plane has.
//!
//! The contract's registry of codes is closed, because peers decide by it. What a local client can do
//! wrong (no token, a wrong path, a web page's `Origin`) is no peer's business, so those codes live
//! here, in an object of the same shape: a client reads one form.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use landbridge_proto::wire::problem::{Code, Problem, RetryMode};
use landbridge_proto::wire::stream::SideEffects;
use serde::{Deserialize, Serialize};

/// What a local client reads when something went wrong; `code` may be the contract's or local.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ProblemView {
    /// The code.
    pub code: String,
    /// What happened this time, one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The newest root version that the receiver has, with `root_unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub have: Option<u64>,
    /// Wait at least so long before trying again, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// How to try again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_mode: Option<RetryMode>,
    /// Whether trying again can help.
    pub retryable: bool,
    /// What may have happened in the world.
    pub side_effects: SideEffects,
    /// The HTTP status.
    pub status: u16,
    /// One sentence for people, with local codes; the registry explains the contract's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// `urn:gfp:problem:` or `urn:landbridge:problem:`, and the code.
    #[serde(rename = "type")]
    pub kind: String,
}

/// An answer that is a problem.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LocalProblem(Box<ProblemView>, Option<Misdirected>);

/// What was refused is a request of the federation plane. The response carries it to the gate, which counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Misdirected;

/// What only the local plane refuses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LocalCode {
    /// No credential, or none that is known.
    Unauthorized,
    /// A known credential without the verb, or a stranger on the socket.
    Forbidden,
    /// A web page of some site asks.
    CrossOrigin,
    /// The `Host` is not this listener: a name that was rebound to loopback.
    WrongHost,
    /// No such path, and nothing of the federation plane either.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// None of the media types that the client accepts.
    NotAcceptable,
    /// The body is not JSON.
    UnsupportedMediaType,
    /// The bridge takes no work now.
    NotReady,
    /// A text that is no whole, unchanged invite.
    InviteDamaged,
    /// An invite of this very bridge.
    InviteOwn,
    /// An invite whose time is over.
    InviteExpired,
    /// The inviter does not take the invite, or is not who the invite says.
    InviteRefused,
    /// A name that means another gateway here.
    AliasTaken,
    /// A gateway that is a peer already, or must not be one.
    AlreadyPaired,
    /// Another gateway than the peer answers at an address.
    AnotherGateway,
}

impl LocalCode {
    /// Every local code.
    pub const ALL: [Self; 16] = [
        Self::Unauthorized,
        Self::Forbidden,
        Self::CrossOrigin,
        Self::WrongHost,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::NotAcceptable,
        Self::UnsupportedMediaType,
        Self::NotReady,
        Self::InviteDamaged,
        Self::InviteOwn,
        Self::InviteExpired,
        Self::InviteRefused,
        Self::AliasTaken,
        Self::AlreadyPaired,
        Self::AnotherGateway,
    ];

    /// The code as clients read it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status that carries it.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.row().1
    }

    const fn row(self) -> (&'static str, u16, Option<RetryMode>, &'static str) {
        const CHANGE: Option<RetryMode> = Some(RetryMode::AfterChange);
        match self {
            Self::Unauthorized => ("unauthorized", 401, CHANGE, "A valid local token is needed."),
            Self::Forbidden => ("forbidden", 403, CHANGE, "The credential does not allow this."),
            Self::CrossOrigin => {
                ("cross_origin", 403, None, "Web pages may not use the local API.")
            }
            Self::WrongHost => {
                ("wrong_host", 421, None, "The Host header does not name this listener.")
            }
            Self::NotFound => ("not_found", 404, None, "There is no such thing on the local API."),
            Self::MethodNotAllowed => {
                ("method_not_allowed", 405, None, "The path does not take this method.")
            }
            Self::NotAcceptable => {
                ("not_acceptable", 406, None, "None of the accepted media types is offered.")
            }
            Self::UnsupportedMediaType => {
                ("unsupported_media_type", 415, None, "The body must be application/json.")
            }
            Self::NotReady => (
                "not_ready",
                503,
                Some(RetryMode::ResignSameKey),
                "The bridge takes no new work at the moment.",
            ),
            Self::InviteDamaged => {
                ("invite_damaged", 400, CHANGE, "The text is not a whole, unchanged invite.")
            }
            Self::InviteOwn => ("invite_own", 409, CHANGE, "The invite is this bridge's own."),
            Self::InviteExpired => ("invite_expired", 410, CHANGE, "The invite has expired."),
            Self::InviteRefused => {
                ("invite_refused", 409, CHANGE, "The inviter does not take this invite.")
            }
            Self::AliasTaken => ("alias_taken", 409, CHANGE, "The name is taken here."),
            Self::AlreadyPaired => ("already_paired", 409, CHANGE, "The gateway is known here."),
            Self::AnotherGateway => {
                ("another_gateway", 409, CHANGE, "Another gateway answers at that address.")
            }
        }
    }
}

impl LocalProblem {
    /// A problem that only this plane has.
    #[must_use]
    pub fn new(code: LocalCode, detail: impl Into<String>) -> Self {
        let (text, status, retry_mode, title) = code.row();
        let view = ProblemView {
            code: text.to_owned(),
            detail: Some(detail.into()),
            have: None,
            retry_after_ms: None,
            retry_mode,
            retryable: retry_mode.is_some(),
            side_effects: SideEffects::None,
            status,
            title: Some(title.to_owned()),
            kind: format!("urn:landbridge:problem:{text}"),
        };
        Self(Box::new(view), None)
    }

    /// A body, path or query that does not have the promised form.
    #[must_use]
    pub fn malformed(detail: impl Into<String>) -> Self {
        Problem::new(Code::Malformed).with_detail(detail).into()
    }

    /// The refusal of a federation request: a peer or a proxy is pointed at the wrong plane.
    pub(super) fn misdirected() -> Self {
        let detail = "federation requests are not answered on the local API";
        let Self(view, _) = Self::new(LocalCode::NotFound, detail);
        Self(view, Some(Misdirected))
    }

    /// The least time to wait before trying again.
    #[must_use]
    pub fn with_retry_after_ms(mut self, ms: u64) -> Self {
        self.0.retry_after_ms = Some(ms);
        self
    }

    /// What the client reads.
    #[must_use]
    pub fn view(&self) -> &ProblemView {
        &self.0
    }
}

impl From<Problem> for LocalProblem {
    fn from(problem: Problem) -> Self {
        let view = ProblemView {
            code: problem.code_text().to_owned(),
            kind: format!("urn:gfp:problem:{}", problem.code_text()),
            title: None,
            detail: problem.detail,
            have: problem.have,
            retry_after_ms: problem.retry_after_ms,
            retry_mode: problem.retry_mode,
            retryable: problem.retryable,
            side_effects: problem.side_effects,
            status: problem.status,
        };
        Self(Box::new(view), None)
    }
}

impl IntoResponse for LocalProblem {
    fn into_response(self) -> Response {
        let view = *self.0;
        // The status is data of a problem that may come from elsewhere, so it is checked here.
        let status = StatusCode::from_u16(view.status)
            .ok()
            .filter(|status| status.is_client_error() || status.is_server_error())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = Response::new(Body::from(serde_json::to_vec(&view).unwrap_or_default()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(ms) = view.retry_after_ms {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(ms.div_ceil(1000)));
        }
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"landbridge\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(misdirected) = self.1 {
            response.extensions_mut().insert(misdirected);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_contract_problem_reads_the_same_on_the_local_plane() {
        for &code in Code::ALL {
            let problem = Problem::new(code).with_detail("why").with_retry_after_ms(1500);
            let local = serde_json::to_value(LocalProblem::from(problem.clone()).view()).unwrap();
            let serde_json::Value::Object(wire) = serde_json::to_value(&problem).unwrap() else {
                unreachable!("a problem is an object")
            };
            for (name, value) in wire {
                assert_eq!(local[&name], value, "{name}");
            }
            assert_eq!(local["type"], format!("urn:gfp:problem:{code}"));
        }
    }

    #[test]
    fn local_codes_do_not_shadow_the_registry_with_another_status() {
        for local in LocalCode::ALL {
            let same = Code::ALL.iter().find(|code| code.as_str() == local.as_str());
            assert!(same.is_none_or(|code| code.status() == local.row().1), "{local:?}");
        }
    }

    #[test]
    fn waiting_is_told_in_whole_seconds_rounded_up() {
        let problem = Problem::new(Code::RateLimited).with_retry_after_ms(1001);
        let response = LocalProblem::from(problem).into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    }

    #[test]
    fn a_status_that_is_no_error_is_not_passed_on() {
        let mut problem = Problem::new(Code::Internal);
        problem.status = 200;
        assert_eq!(LocalProblem::from(problem).into_response().status(), 500);
    }
}
