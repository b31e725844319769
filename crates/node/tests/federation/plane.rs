//! A's local plane, served on a real unix socket and on loopback TCP, with a real peer behind it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use landbridge_node::core::Settings as Core;
use landbridge_node::local::{Options, router};
use landbridge_node::net::App;
use landbridge_node::net::accept::{Server, Settings, TransportSecurity};
use landbridge_node::net::listen::{TcpListener, UnixListener};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpStream, UnixStream};
use tokio_util::sync::CancellationToken;

use crate::support::World;

/// A's local plane, served; B can be reached; the clock runs.
pub(crate) struct Plane {
    pub(crate) world: World,
    _place: TempDir,
    pub(crate) socket: PathBuf,
    pub(crate) tcp: SocketAddr,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{:?}", self.body))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    /// The code of a problem, whose form is checked.
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        assert!(problem["retryable"].is_boolean() && problem["sideEffects"] == "none");
        let code = problem["code"].as_str().unwrap().to_owned();
        assert!(problem["type"].as_str().unwrap().ends_with(&code), "{problem}");
        code
    }
}

impl Plane {
    pub(crate) async fn new() -> Self {
        Self::of(World::new().await).await
    }

    /// With settings for A.
    pub(crate) async fn with(settings: Core) -> Self {
        Self::of(World::of(settings, Core::default()).await).await
    }

    /// With settings for both.
    pub(crate) async fn both(a: Core, b: Core) -> Self {
        Self::of(World::of(a, b).await).await
    }

    async fn of(world: World) -> Self {
        let plane = world.b.plane.clone();
        world.serve_app(App::new(move |request| {
            let plane = plane.clone();
            async move { plane.answer(request).await }
        }));
        Self::unreachable(world).await
    }

    /// B does not listen.
    pub(crate) async fn unreachable(world: World) -> Self {
        let clock = world.clock.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(2)).await;
                clock.advance_ms(20);
            }
        });
        let place = tempfile::tempdir().unwrap();
        let socket = place.path().join("landbridge.sock");
        let unix = UnixListener::bind(&socket).await.unwrap();
        let listener = TcpListener::bind_loopback("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let tcp = listener.local_addr().unwrap();
        let app =
            App::router(router(world.a.bridge.clone(), Options::new(Some(tcp), 1 << 16, None)));
        let server =
            || Server::new(Settings::default(), TransportSecurity::LocalPlaintext, app.clone());
        tokio::spawn(server().run(unix, CancellationToken::new()));
        tokio::spawn(server().run(listener, CancellationToken::new()));
        Self { world, _place: place, socket, tcp }
    }

    /// Asks as the owner, through the socket.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        whole(self.open(method, path, &[], body).await).await
    }

    pub(crate) async fn open(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Response<Incoming> {
        let stream = UnixStream::connect(&self.socket).await.unwrap();
        send(stream, request(method, path, headers, body)).await
    }

    /// Asks through loopback TCP, with this token.
    pub(crate) async fn ask_as(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let (host, bearer) = (self.tcp.to_string(), format!("Bearer {token}"));
        let mut headers = vec![("host", host.as_str())];
        if !token.is_empty() {
            headers.push(("authorization", bearer.as_str()));
        }
        let stream = TcpStream::connect(self.tcp).await.unwrap();
        whole(send(stream, request(method, path, &headers, body)).await).await
    }

    pub(crate) async fn token(&self, body: Value) -> (String, String) {
        let made = self.ask(Method::POST, "/v1/admin/tokens", Some(body)).await;
        assert_eq!(made.status, 201, "{}", made.text());
        let text = |name: &str| made.json()[name].as_str().unwrap().to_owned();
        (text("id"), text("secret"))
    }

    /// Starts a run as the owner, and waits for its end.
    pub(crate) async fn ended(&self, name: &str, prompt: &str) -> Value {
        let made = self.ask(Method::POST, "/v1/runs", Some(start(name, prompt))).await;
        assert_eq!(made.status, 201, "{}", made.text());
        let path = format!("/v1/runs/{}", made.json()["run"].as_str().unwrap());
        loop {
            let shown = self.ask(Method::GET, &path, None).await.json();
            if shown["phase"] == "settled" {
                return shown;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

pub(crate) fn request(
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<Value>,
) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = body.map(|body| body.to_string());
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    request.body(Full::new(body.unwrap_or_default().into())).unwrap()
}

pub(crate) async fn send<S>(stream: S, request: Request<Full<Bytes>>) -> Response<Incoming>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender.send_request(request).await.unwrap()
}

pub(crate) async fn whole(response: Response<Incoming>) -> Answer {
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: head.status.as_u16(), headers: head.headers, body }
}

pub(crate) fn start(name: &str, prompt: &str) -> Value {
    json!({"gateway": "eu", "prompt": prompt, "idempotencyKey": format!("{name:-<16}")})
}
