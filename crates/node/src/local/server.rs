//! The local API as one router: routes, the gate before them, health, and answers where no route is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::CONTENT_TYPE;

use super::auth::{May, Read};
use super::body::no_stray_query;
use super::gate::{Gate, gate};
use super::problem::{LocalCode, LocalProblem};
use super::{admin, evidence, openapi, runs, standing};
use crate::bridge::Bridge;
use crate::observe::Exporter;

/// What the local API must know besides the bridge.
#[derive(Clone, Debug)]
pub struct Options {
    /// The user whose processes own the bridge: our effective user.
    pub owner: u32,
    /// The address that the loopback listener is bound to, port included; `None`: there is none.
    pub tcp: Option<SocketAddr>,
    /// A silent stream of events gets a comment this often.
    pub heartbeat: Duration,
    /// The largest prompt, in bytes.
    pub prompt_bytes_max: usize,
    /// Renders `/metrics`; `None`: the path does not exist.
    pub exporter: Option<Exporter>,
}

impl Options {
    /// The usual options, for the process as it runs now.
    #[must_use]
    pub fn new(
        tcp: Option<SocketAddr>,
        prompt_bytes_max: usize,
        exporter: Option<Exporter>,
    ) -> Self {
        let owner = rustix::process::geteuid().as_raw();
        Self { owner, tcp, heartbeat: HEARTBEAT, prompt_bytes_max, exporter }
    }
}

/// What every handler has.
#[derive(Clone)]
pub(super) struct Local {
    pub(super) bridge: Bridge,
    pub(super) options: Arc<Options>,
}

/// The local API, to be served on both of its listeners with `App::router` of [`crate::net`].
///
/// Every request must carry its connection's peer: the accept loop's extension, or a
/// [`super::auth::LocalPeer`].
pub fn router(bridge: Bridge, options: Options) -> Router {
    let at_gate = Gate { owner: options.owner, tcp: options.tcp, tally: bridge.tally() };
    routes()
        .layer(axum::middleware::from_fn(no_stray_query))
        .layer(axum::middleware::from_fn_with_state(at_gate, gate))
        .with_state(Local { bridge, options: Arc::new(options) })
}

fn routes() -> Router<Local> {
    Router::new()
        .merge(runs::routes())
        .merge(admin::routes())
        .merge(evidence::routes())
        .merge(super::scopes::routes())
        .merge(super::trust::routes())
        .merge(standing::routes())
        .merge(super::approvals::routes())
        .merge(openapi::routes())
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(render_metrics))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
}

/// The process answers. Says nothing else, so it needs no credential.
async fn live() -> &'static str {
    "ok\n"
}

/// The bridge takes new work. The reason is one of ours and names no peer, run or person.
async fn ready(State(local): State<Local>) -> Result<&'static str, LocalProblem> {
    match local.bridge.ready() {
        Ok(()) => Ok("ok\n"),
        Err(reason) => {
            Err(LocalProblem::new(LocalCode::NotReady, reason).with_retry_after_ms(READY_AGAIN_MS))
        }
    }
}

async fn render_metrics(
    State(local): State<Local>,
    _: May<Read>,
) -> Result<Response, LocalProblem> {
    let Some(exporter) = &local.options.exporter else {
        return Err(LocalProblem::new(LocalCode::NotFound, "this bridge keeps no metrics"));
    };
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], exporter.render())
        .into_response())
}

async fn no_route() -> LocalProblem {
    LocalProblem::new(LocalCode::NotFound, "there is no such path; docs/local-api.md lists them")
}

async fn no_method() -> LocalProblem {
    LocalProblem::new(
        LocalCode::MethodNotAllowed,
        "the Allow header lists the methods of this path",
    )
}

/// A silent stream of events gets a comment this often.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// When to look again whether the bridge is ready.
const READY_AGAIN_MS: u64 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_routes_overlap() {
        // Building the router panics when they do.
        let _router: Router<Local> = routes();
    }
}
