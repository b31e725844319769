//! A server, a client, and bytes by hand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Full;
use landbridge_node::net::accept::{Server, Settings, TransportSecurity};
use landbridge_node::net::client::{Client, ClientSettings, Target};
use landbridge_node::net::connect::TcpConnector;
use landbridge_node::net::endpoint::{AddressPolicy, Endpoint};
use landbridge_node::net::limit_body::{BodyError, RequestBody, collect};
use landbridge_node::net::listen::TcpListener;
use landbridge_node::net::tls::{Identity, SpkiDigest, Trust, client_config};
use landbridge_node::net::{App, Connection};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) type TlsStream = tokio_rustls::client::TlsStream<TcpStream>;

/// A server that runs.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) pin: SpkiDigest,
    pub(crate) shutdown: CancellationToken,
    pub(crate) task: JoinHandle<()>,
}

impl Running {
    pub(crate) fn target(&self) -> Target {
        self.trusting(Trust::pinned(self.pin))
    }

    pub(crate) fn trusting(&self, trust: Trust) -> Target {
        Target { endpoint: Endpoint::at(self.address.ip(), self.address.port()), trust }
    }

    /// A TLS connection by hand.
    pub(crate) async fn tls(&self, alpn: &[u8]) -> TlsStream {
        let mut config = (*client_config(Trust::pinned(self.pin)).unwrap()).clone();
        config.alpn_protocols = vec![alpn.to_vec()];
        let plain = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::from(self.address.ip());
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, plain).await.unwrap()
    }

    /// An HTTP/2 connection by hand: preface and settings are sent.
    pub(crate) async fn http2(&self) -> TlsStream {
        let mut stream = self.tls(b"h2").await;
        stream.write_all(PREFACE).await.unwrap();
        stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        stream
    }
}

pub(crate) async fn start(settings: Settings, app: App) -> Running {
    start_with(Identity::generate().unwrap(), "127.0.0.1:0".parse().unwrap(), settings, app).await
}

pub(crate) async fn start_with(
    identity: Identity,
    address: SocketAddr,
    settings: Settings,
    app: App,
) -> Running {
    let pin = identity.spki();
    start_tls(pin, identity.server_config().unwrap(), address, settings, app).await
}

pub(crate) async fn start_tls(
    pin: SpkiDigest,
    config: Arc<rustls::ServerConfig>,
    address: SocketAddr,
    settings: Settings,
    app: App,
) -> Running {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let server = Server::new(settings, TransportSecurity::Tls(config), app);
    let task = tokio::spawn(server.run(listener, shutdown.clone()));
    Running { address, pin, shutdown, task }
}

pub(crate) fn client() -> Client {
    client_with(ClientSettings::default())
}

pub(crate) fn client_with(settings: ClientSettings) -> Client {
    let policy = AddressPolicy::public_only().danger_allow_loopback();
    Client::new(settings, Arc::new(TcpConnector::new(policy)))
}

pub(crate) async fn post(
    client: &Client,
    target: &Target,
    path: &str,
    body: impl Into<Bytes>,
) -> (StatusCode, Bytes) {
    let response = client.post(target, path, HeaderMap::new(), body.into()).await.unwrap();
    let (head, body) = landbridge_node::net::client::collect(response, 1 << 20).await.unwrap();
    (head.status, body)
}

/// Answers with the body it got, of at most 1000 bytes; `/who` says how the request came in.
pub(crate) fn echo() -> App {
    App::new(echo_request)
}

pub(crate) async fn echo_request(request: Request<RequestBody>) -> Response<Full<Bytes>> {
    if request.uri().path() == "/who" {
        let connection = *request.extensions().get::<Connection>().unwrap();
        return Response::new(Full::new(format!("{connection:?}").into()));
    }
    let (status, body) = match collect(request, 1000).await {
        Ok((_, body)) => (StatusCode::OK, body),
        Err(BodyError::TooLarge { .. }) => (StatusCode::PAYLOAD_TOO_LARGE, Bytes::new()),
        Err(BodyError::TooSlow) => (StatusCode::REQUEST_TIMEOUT, Bytes::new()),
        Err(BodyError::Encoded) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, Bytes::new()),
        Err(_) => (StatusCode::BAD_REQUEST, Bytes::new()),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response
}

/// Deadlines so long that no test reaches one by accident.
pub(crate) fn patient() -> Settings {
    let long = Duration::from_secs(600);
    Settings {
        first_request: long,
        request_body: long,
        idle: long,
        write_stall: long,
        ping_every: long,
        ping_timeout: long,
        ..Settings::default()
    }
}

/// Reads until the other side closes, and returns what came. Fails when it does not close at all.
pub(crate) async fn read_to_close(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut seen = Vec::new();
    within(async {
        let mut part = [0; 4096];
        while let Ok(n @ 1..) = stream.read(&mut part).await {
            seen.extend_from_slice(&part[..n]);
        }
    })
    .await;
    seen
}

/// A test that would hang fails instead.
pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), what)
        .await
        .expect("this should have happened long ago")
}

/// Writes a request by hand, and returns all that comes back until the other side closes.
pub(crate) async fn exchange(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    request: &[u8],
) -> String {
    stream.write_all(request).await.unwrap();
    String::from_utf8_lossy(&read_to_close(stream).await).into_owned()
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A request's header block: POST https /, authority `a`.
pub(crate) const POST_ROOT: &[u8] = &[0x83, 0x87, 0x84, 0x41, 0x01, b'a'];
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
