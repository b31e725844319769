//! The first look at every request: is this a program of this machine, and meant for this plane?
//!
//! A browser on this machine can reach loopback too. So nothing with an `Origin` is served (a page of
//! some site asks), and on TCP the `Host` must name this very listener (a site's name can be rebound to
//! loopback). CORS headers would only tell a browser to hide the answer, after the work was done.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, HOST, ORIGIN, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Uri};
use landbridge_planted::planted;
use landbridge_proto::wire::problem::{Code, Problem};

use super::auth::{Credential, LocalPeer};
use super::problem::{LocalCode, LocalProblem, Misdirected};
use crate::observe;
use crate::tally::Tally;

/// What the gate must know of its listener.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    /// The user that runs the bridge.
    pub(super) owner: u32,
    /// The address that loopback TCP is bound to.
    pub(super) tcp: Option<SocketAddr>,
    /// Where what came to the wrong plane is counted.
    pub(super) tally: Arc<Tally>,
}

/// Lets a request through to its handler, with its [`Credential`], or answers with a problem.
pub(super) async fn gate(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str);
    let route = route.to_owned();
    let mut response = match gate.check(&mut request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    if response.extensions_mut().remove::<Misdirected>().is_some() {
        gate.tally.misdirected();
    }
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    observe::local_request(&route, response.status());
    response
}

impl Gate {
    fn check(&self, request: &mut Request) -> Result<(), LocalProblem> {
        let Some(peer) = LocalPeer::of(request.extensions()) else {
            tracing::error!("a request reached the local API without its connection's peer");
            return Err(Problem::new(Code::Internal).into());
        };
        if request.headers().contains_key(ORIGIN) && !planted!("origin_served") {
            let detail = "requests with an Origin header are refused";
            return Err(LocalProblem::new(LocalCode::CrossOrigin, detail));
        }
        if let LocalPeer::Tcp(remote) = peer {
            self.check_host(remote, request.uri(), request.headers())?;
        }
        check_encoding(request.headers())?;
        let path = request.uri().path();
        if path.starts_with("/federation/") || path == "/.well-known/gateway-federation" {
            return Err(LocalProblem::misdirected());
        }
        if planted!("nothing_local_is_answered") {
            return Err(LocalProblem::misdirected());
        }
        let credential = Credential::shown(peer, self.owner, request.headers())?;
        // No handler, log or error below ever meets the secret.
        request.headers_mut().remove(AUTHORIZATION);
        if let Some(credential) = credential {
            request.extensions_mut().insert(credential);
        }
        Ok(())
    }

    fn check_host(
        &self,
        remote: SocketAddr,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(), LocalProblem> {
        let ours = self.tcp.ok_or_else(|| Problem::new(Code::Internal))?;
        if !remote.ip().to_canonical().is_loopback() {
            let detail = "only programs of this machine are served";
            return Err(LocalProblem::new(LocalCode::Forbidden, detail));
        }
        let mut hosts: Vec<&str> = Vec::new();
        for value in headers.get_all(HOST) {
            hosts.push(value.to_str().unwrap_or_default());
        }
        // HTTP/2 and absolute-form requests name the host in the target.
        hosts.extend(uri.authority().map(http::uri::Authority::as_str));
        let named = !hosts.is_empty() && hosts.iter().all(|host| names_us(host, ours.port()));
        if named && headers.get_all(HOST).iter().count() <= 1 {
            return Ok(());
        }
        let detail =
            format!("Host must be localhost:{0} or 127.0.0.1:{0} or [::1]:{0}", ours.port());
        Err(LocalProblem::new(LocalCode::WrongHost, detail))
    }
}

fn check_encoding(headers: &HeaderMap) -> Result<(), LocalProblem> {
    let identity = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if headers.get_all(CONTENT_ENCODING).iter().all(identity) {
        return Ok(());
    }
    let detail = "send the body without Content-Encoding";
    Err(Problem::new(Code::UnsupportedEncoding).with_detail(detail).into())
}

/// Whether a `Host` value names loopback and our port.
fn names_us(host: &str, port: u16) -> bool {
    let (name, given) = match host.rsplit_once(':') {
        // A bare IPv6 literal's last group is not a port.
        Some((name, digits)) if !digits.ends_with(']') => (name, digits.parse().ok()),
        _ => (host, Some(80)),
    };
    if given != Some(port) {
        return false;
    }
    let literal = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match literal {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok_and(|ip| ip.is_loopback()),
        None => {
            name.eq_ignore_ascii_case("localhost")
                || name.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| IpAddr::V4(ip).is_loopback())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use http::StatusCode;
    use tower::ServiceExt as _;

    use super::*;

    const OWNER: u32 = 1000;
    const UNIX: LocalPeer = LocalPeer::Unix { uid: OWNER, pid: Some(7) };

    fn tcp(from: &str) -> LocalPeer {
        LocalPeer::Tcp(from.parse().unwrap())
    }

    /// Answers what the gate let through: whether a credential came along, and no secret header.
    async fn seen(request: Request) -> String {
        let shown = request.extensions().get::<Credential>();
        format!("{shown:?} {}", request.headers().contains_key(AUTHORIZATION))
    }

    async fn ask(
        peer: Option<LocalPeer>,
        path: &str,
        headers: &[(&str, &str)],
    ) -> (StatusCode, String) {
        let tcp = Some("127.0.0.1:4100".parse().unwrap());
        let gate_of = Gate { owner: OWNER, tcp, tally: Arc::default() };
        let app = Router::new()
            .route("/thing", get(seen))
            .layer(axum::middleware::from_fn_with_state(gate_of, gate));
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        let response = app.oneshot(request).await.unwrap();
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_owner_passes_and_the_secret_header_stays_behind() {
        let (status, text) = ask(Some(UNIX), "/thing", &[]).await;
        assert_eq!((status.as_u16(), text.as_str()), (200, "Some(Owner) false"));
        let shown = [("host", "localhost:4100"), ("authorization", "Bearer lbt_secret")];
        let (status, text) = ask(Some(tcp("127.0.0.1:9")), "/thing", &shown).await;
        assert_eq!((status.as_u16(), text.as_str()), (200, "Some(Bearer(..)) false"));
    }

    #[tokio::test]
    async fn a_rebound_name_is_refused() {
        for host in [
            "evil.example:4100",
            "localhost.evil.example:4100",
            "localhost:4101",
            "localhost",
            "127.0.0.1.evil:4100",
            "[::2]:4100",
            "::1:4100",
            "0.0.0.0:4100",
            "",
            "localhost:4100:4100",
        ] {
            let (status, text) = ask(Some(tcp("127.0.0.1:9")), "/thing", &[("host", host)]).await;
            assert_eq!(status, 421, "{host}: {text}");
        }
        assert_eq!(ask(Some(tcp("127.0.0.1:9")), "/thing", &[]).await.0, 421);
        let two = [("host", "localhost:4100"), ("host", "localhost:4100")];
        assert_eq!(ask(Some(tcp("127.0.0.1:9")), "/thing", &two).await.0, 421);
        for host in
            ["localhost:4100", "LOCALHOST:4100", "127.0.0.1:4100", "127.9.9.9:4100", "[::1]:4100"]
        {
            let (status, _) = ask(Some(tcp("127.0.0.1:9")), "/thing", &[("host", host)]).await;
            assert_eq!(status, 200, "{host}");
        }
    }

    #[tokio::test]
    async fn a_web_page_is_refused_even_from_our_own_origin() {
        for origin in ["https://evil.example", "null", "http://localhost:4100"] {
            let headers = [("host", "localhost:4100"), ("origin", origin)];
            let (status, text) = ask(Some(tcp("127.0.0.1:9")), "/thing", &headers).await;
            assert_eq!(status, 403, "{origin}");
            assert!(text.contains("cross_origin"));
        }
        assert_eq!(ask(Some(UNIX), "/thing", &[("origin", "null")]).await.0, 403);
    }

    #[tokio::test]
    async fn strangers_remote_addresses_and_unknown_connections_are_refused() {
        let stranger = LocalPeer::Unix { uid: OWNER + 1, pid: None };
        assert_eq!(ask(Some(stranger), "/thing", &[]).await.0, 403);
        let host = [("host", "localhost:4100")];
        assert_eq!(ask(Some(tcp("192.0.2.1:9")), "/thing", &host).await.0, 403);
        assert_eq!(ask(Some(tcp("[::ffff:127.0.0.1]:9")), "/thing", &host).await.0, 200);
        assert_eq!(ask(None, "/thing", &[]).await.0, 500);
    }

    #[tokio::test]
    async fn packed_bodies_are_refused() {
        for (encoding, status) in
            [("gzip", 415), ("br", 415), ("identity, gzip", 415), ("identity", 200)]
        {
            let headers = [("content-encoding", encoding)];
            assert_eq!(ask(Some(UNIX), "/thing", &headers).await.0, status, "{encoding}");
        }
    }

    #[tokio::test]
    async fn the_federation_plane_is_not_here() {
        for path in
            ["/federation/v1/runs", "/federation/v1/root", "/.well-known/gateway-federation"]
        {
            let (status, text) = ask(Some(UNIX), path, &[]).await;
            assert_eq!(status, 404, "{path}");
            assert!(text.contains("federation requests are not answered"), "{text}");
        }
    }
}
