//! What both planes offer, in OpenAPI, for programs that read it: the files of `spec/openapi/`, as they are.
//!
//! They are made from the types that the handlers read and write, by the tests below this module, and
//! `cargo xtask ci --only openapi` drives bridges by them. Nothing in them is secret, so no credential is needed.

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::header::CONTENT_TYPE;

use super::problem::{LocalCode, LocalProblem};
use super::server::Local;

pub(super) fn routes() -> Router<Local> {
    Router::new().route("/v1/openapi/{document}", get(document))
}

async fn document(Path(name): Path<String>) -> Result<Response, LocalProblem> {
    match DOCUMENTS.iter().find(|(known, _)| *known == name) {
        Some((_, text)) => {
            Ok(([(CONTENT_TYPE, "application/vnd.oai.openapi+json")], *text).into_response())
        }
        None => {
            let known = DOCUMENTS.map(|(known, _)| known).join(", ");
            let detail = format!("the descriptions are {known}");
            Err(LocalProblem::new(LocalCode::NotFound, detail))
        }
    }
}

macro_rules! documents {
    ($($name:literal),*) => {
        [$(($name, include_str!(concat!("../../../../spec/openapi/", $name)))),*]
    };
}

/// The descriptions, by plane and by version of OpenAPI. 3.1 says of streams only that they are text.
const DOCUMENTS: [(&str, &str); 4] =
    documents!("federation-3.1.json", "federation-3.2.json", "local-3.1.json", "local-3.2.json");

#[cfg(test)]
mod description;
#[cfg(test)]
mod federation_plane;
#[cfg(test)]
mod local_plane;
