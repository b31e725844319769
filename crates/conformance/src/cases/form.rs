//! The form of an operation's body, before anything is verified.

use anyhow::Result;

use super::{Case, refused_as, unheard};
use crate::caller::Caller;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "body-no-json",
        clauses: &["REQ-1"],
        about: "a body that is no JSON is malformed",
        run: |caller| {
            for body in ["", "{", "[]", "null", "{}", "\u{feff}{}"] {
                refused_as(caller, body, None, ("malformed", false))?;
            }
            Ok(())
        },
    },
    Case {
        id: "body-white-space",
        clauses: &["REQ-1"],
        about: "a body with white space is malformed",
        run: |caller| {
            shaped(caller, |status, request| {
                format!(r#"{{"status":{status}, "request":{request}}}"#)
            })?;
            shaped(caller, |status, request| {
                format!("{{\"status\":{status},\"request\":{request}}}\n")
            })
        },
    },
    Case {
        id: "body-order",
        clauses: &["REQ-1"],
        about: "a body with its members in another order is malformed",
        run: |caller| {
            shaped(caller, |status, request| {
                format!(r#"{{"request":{request},"status":{status}}}"#)
            })
        },
    },
    Case {
        id: "body-unknown-member",
        clauses: &["REQ-1"],
        about: "a body with a member that is not defined is malformed",
        run: |caller| {
            shaped(caller, |status, request| {
                format!(r#"{{"status":{status},"request":{request},"token":"t"}}"#)
            })
        },
    },
    Case {
        id: "body-member-twice",
        clauses: &["REQ-1"],
        about: "a body with a member twice is malformed",
        run: |caller| {
            shaped(caller, |status, request| {
                format!(r#"{{"status":{status},"status":{status},"request":{request}}}"#)
            })?;
            shaped(caller, |status, request| {
                format!(r#"{{"status":{status},"request":{request},"request":{request}}}"#)
            })
        },
    },
    Case {
        id: "body-member-missing",
        clauses: &["REQ-1"],
        about: "a body without its status is malformed",
        run: |caller| shaped(caller, |_, request| format!(r#"{{"request":{request}}}"#)),
    },
    Case {
        id: "body-empty-lists",
        clauses: &["REQ-1"],
        about: "empty roots, or an empty held, are malformed",
        run: |caller| {
            shaped(caller, |status, request| {
                format!(r#"{{"roots":[],"status":{status},"request":{request}}}"#)
            })?;
            shaped(caller, |status, request| {
                format!(r#"{{"status":{status},"request":{request},"held":[]}}"#)
            })
        },
    },
    Case {
        id: "body-too-large",
        clauses: &["REQ-2"],
        about: "a body one byte beyond OPERATION_BYTES_MAX is too_large",
        run: |caller| {
            let body = " ".repeat(4_194_305);
            refused_as(caller, &body, None, ("too_large", false)).map(drop)
        },
    },
    Case {
        id: "payload-too-large",
        clauses: &["ENV-7"],
        about: "a request's payload beyond REQUEST_BYTES_MAX is too_large",
        run: |caller| {
            let start = caller.start_of(&"x".repeat(1_048_576))?;
            let body = caller.operation(&caller.sign(&start)?);
            unheard(caller, &start, &body, "too_large")
        },
    },
];

/// The status and the request of a good start, put together in another way.
fn shaped(caller: &Caller, shape: impl FnOnce(&str, &str) -> String) -> Result<()> {
    let start = caller.start()?;
    let request = caller.sign(&start)?;
    let body = shape(&caller.status().text(), &request.text());
    unheard(caller, &start, &body, "malformed")
}
