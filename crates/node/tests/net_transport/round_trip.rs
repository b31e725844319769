//! What works: both protocols, shared connections, streams that end when they are dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, LOCATION};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use landbridge_node::net::accept::Settings;
use landbridge_node::net::client::{Client, ClientError, ClientSettings, PeerKey, Target};
use landbridge_node::net::endpoint::Endpoint;
use landbridge_node::net::limit_body::BodyError;
use landbridge_node::net::listen::MemoryNetwork;
use landbridge_node::net::stream::{StreamSettings, channel};
use landbridge_node::net::tls::{Identity, Trust};
use landbridge_node::net::{App, Protocol};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::support::{Running, client, client_with, echo, patient, post, start, start_tls, within};

async fn http1_only(app: App) -> Running {
    let identity = Identity::generate().unwrap();
    let mut config = (*identity.server_config().unwrap()).clone();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    start_tls(identity.spki(), Arc::new(config), "127.0.0.1:0".parse().unwrap(), patient(), app)
        .await
}

#[tokio::test]
async fn http2_requests_share_one_connection_and_see_who_answers() {
    let server = start(Settings::default(), echo()).await;
    let client = client();
    let target = server.target();
    let response = client.post(&target, "/", HeaderMap::new(), "hello".into()).await.unwrap();
    assert_eq!(response.extensions().get::<PeerKey>(), Some(&PeerKey(server.pin)));
    assert_eq!(response.extensions().get::<Protocol>(), Some(&Protocol::Http2));
    drop(response);
    let (a, b) =
        tokio::join!(post(&client, &target, "/who", ""), post(&client, &target, "/who", ""));
    assert_eq!(a, b);
    assert!(String::from_utf8_lossy(&a.1).contains("Http2"));
    client.forget_connections();
    assert_ne!(post(&client, &target, "/who", "").await, a);
}

#[tokio::test]
async fn a_crowd_opens_more_connections_but_not_one_each() {
    let server = start(Settings::default(), echo()).await;
    let settings = ClientSettings {
        streams_per_connection: 2,
        connections_per_endpoint: 3,
        ..ClientSettings::default()
    };
    let client = client_with(settings);
    let mut held = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..12 {
        let mut response = client.get(&server.target(), "/who", HeaderMap::new()).await.unwrap();
        seen.insert(response.body_mut().chunk().await.unwrap().unwrap());
        held.push(response);
    }
    assert_eq!(seen.len(), 3);
}

#[tokio::test]
async fn a_peer_with_http1_only_is_served_one_request_a_connection() {
    let server = http1_only(echo()).await;
    let client = client();
    let target = server.target();
    assert_eq!(post(&client, &target, "/", "hello").await, (StatusCode::OK, "hello".into()));
    let response = client.get(&target, "/who", HeaderMap::new()).await.unwrap();
    assert_eq!(response.extensions().get::<Protocol>(), Some(&Protocol::Http1));
    assert_ne!(post(&client, &target, "/who", "").await, post(&client, &target, "/who", "").await);
}

#[tokio::test]
async fn a_closed_kept_connection_is_replaced() {
    let identity = Identity::generate().unwrap();
    let (pin, config) = (identity.spki(), identity.server_config().unwrap());
    let first =
        start_tls(pin, config.clone(), "127.0.0.1:0".parse().unwrap(), patient(), echo()).await;
    let client = client();
    let target = first.target();
    assert_eq!(post(&client, &target, "/", "1").await.1, "1");
    first.shutdown.cancel();
    within(first.task).await.unwrap();
    let _second = start_tls(pin, config, first.address, patient(), echo()).await;
    assert_eq!(post(&client, &target, "/", "2").await.1, "2");
}

#[tokio::test]
async fn the_same_client_works_without_sockets() {
    let network = MemoryNetwork::new();
    let endpoint = Endpoint::parse("https://b.example:8443").unwrap();
    let identity = Identity::generate().unwrap();
    let security =
        landbridge_node::net::accept::TransportSecurity::Tls(identity.server_config().unwrap());
    let server = landbridge_node::net::accept::Server::new(patient(), security, echo());
    tokio::spawn(server.run(network.listen(endpoint.clone()), CancellationToken::new()));
    let client = Client::new(ClientSettings::default(), Arc::new(network));
    let target = Target { endpoint, trust: Trust::pinned(identity.spki()) };
    assert_eq!(post(&client, &target, "/", "hello").await.1, "hello");
    let nobody = Target { endpoint: Endpoint::parse("https://c.example:8443").unwrap(), ..target };
    let error = client.get(&nobody, "/", HeaderMap::new()).await.unwrap_err();
    assert!(matches!(error, ClientError::Connect(_)) && !error.may_have_arrived(), "{error:?}");
}

/// A stream that is fed once, and whose writer reports when its reader has gone.
fn watched_stream() -> (App, mpsc::UnboundedReceiver<()>) {
    let (report, reports) = mpsc::unbounded_channel();
    let app = App::new(move |_request| {
        let report = report.clone();
        let (mut writer, body) = channel(StreamSettings::default());
        tokio::spawn(async move {
            writer.send("first".into()).await.unwrap();
            writer.gone().await;
            let _reader_of_reports_may_be_gone = report.send(());
        });
        async { Response::new(body) }
    });
    (app, reports)
}

#[tokio::test]
async fn dropping_a_response_ends_the_stream_on_both_protocols() {
    let (app, mut gone) = watched_stream();
    let both = start(patient(), app.clone()).await;
    let old = http1_only(app).await;
    let client = client();
    for server in [both, old] {
        let mut response =
            client.post(&server.target(), "/", HeaderMap::new(), Bytes::new()).await.unwrap();
        assert_eq!(response.body_mut().chunk().await.unwrap().unwrap(), "first");
        assert!(gone.try_recv().is_err());
        drop(response);
        within(gone.recv()).await.unwrap();
    }
}

#[tokio::test]
async fn a_broken_off_stream_is_an_error_to_its_reader_and_a_finished_one_is_not() {
    let app = App::new(|request: http::Request<_>| {
        let (mut writer, body) = channel(StreamSettings::default());
        let break_off = request.uri().path() == "/broken";
        tokio::spawn(async move {
            writer.send("piece".into()).await.unwrap();
            if break_off {
                // The piece is on its way once there is room for a second one of full size.
                writer.send(vec![0; 256 * 1024].into()).await.unwrap();
                writer.break_off();
            }
        });
        async { Response::new(body) }
    });
    let client = client();
    for server in [start(patient(), app.clone()).await, http1_only(app).await] {
        for (path, expected) in [("/", true), ("/broken", false)] {
            let mut response = client.get(&server.target(), path, HeaderMap::new()).await.unwrap();
            let orderly = loop {
                match within(response.body_mut().chunk()).await {
                    Some(Ok(_)) => {}
                    Some(Err(_)) => break false,
                    None => break true,
                }
            };
            assert_eq!(orderly, expected, "{path}");
        }
    }
}

#[tokio::test]
async fn a_router_is_an_app() {
    let router = axum::Router::new().route(
        "/federation/v1/runs",
        axum::routing::post(|connection: axum::Extension<landbridge_node::net::Connection>, body: Bytes| async move {
            format!("{:?} {}", connection.protocol, body.len())
        }),
    );
    let server = start(patient(), App::router(router)).await;
    let client = client();
    let target = server.target();
    let asked = |path| post(&client, &target, path, "12345");
    assert_eq!(asked("/federation/v1/runs").await, (StatusCode::OK, "Http2 5".into()));
    for other in
        ["/federation/../federation/v1/runs", "/federation/v1/runs/", "/federation//v1/runs"]
    {
        assert_eq!(asked(other).await.0, StatusCode::NOT_FOUND, "{other}");
    }
}

//= ID-39
//= ID-39
#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let server = start(
        patient(),
        App::new(move |_request| {
            counter.fetch_add(1, Ordering::Relaxed);
            let mut response = Response::new(Full::new(Bytes::new()));
            *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
            // The second request would be answered.
            if counter.load(Ordering::Relaxed) > 1 {
                *response.status_mut() = StatusCode::OK;
            }
            response.headers_mut().insert(LOCATION, HeaderValue::from_static("/elsewhere"));
            async { response }
        }),
    )
    .await;
    assert_eq!(post(&client(), &server.target(), "/", "x").await.0, StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_response_that_comes_too_slowly_is_left() {
    let settings = ClientSettings {
        response_body: std::time::Duration::from_millis(100),
        ..ClientSettings::default()
    };
    let (app, _reports) = watched_stream();
    let server = start(patient(), app).await;
    let client = client_with(settings);
    let response = client.get(&server.target(), "/", HeaderMap::new()).await.unwrap();
    let taken = within(landbridge_node::net::client::collect(response, 1000)).await;
    assert!(matches!(taken, Err(ClientError::Body(BodyError::TooSlow))), "{taken:?}");
    // In time, the same client takes what it is given.
    let honest = start(patient(), echo()).await;
    assert_eq!(post(&client, &honest.target(), "/", "x").await.1, "x");
}

#[tokio::test]
async fn an_encoded_response_is_refused() {
    let server = start(
        patient(),
        App::new(|_request| {
            let mut response = Response::new(Full::new(Bytes::from_static(b"?")));
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            async { response }
        }),
    )
    .await;
    let error = client().get(&server.target(), "/", HeaderMap::new()).await.unwrap_err();
    assert!(matches!(error, ClientError::Body(BodyError::Encoded)), "{error:?}");
}

#[tokio::test]
async fn a_response_above_the_limit_is_refused() {
    let server = start(patient(), echo()).await;
    let client = client();
    for (limit, fits) in [(5, true), (4, false)] {
        let response =
            client.post(&server.target(), "/", HeaderMap::new(), "12345".into()).await.unwrap();
        let taken = landbridge_node::net::client::collect(response, limit).await;
        assert_eq!(taken.is_ok(), fits, "{limit}");
    }
}

#[tokio::test]
async fn a_silent_peer_does_not_hold_the_caller() {
    let server =
        start(patient(), App::new(|_request| std::future::pending::<Response<Full<Bytes>>>()))
            .await;
    let settings = ClientSettings {
        response_head: std::time::Duration::from_millis(300),
        ..ClientSettings::default()
    };
    let client = client_with(settings);
    let error = within(client.get(&server.target(), "/", HeaderMap::new())).await.unwrap_err();
    assert!(
        matches!(error, ClientError::Late { sent: true }) && error.may_have_arrived(),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_crowd_before_a_silent_peer_waits_for_one_attempt() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let client = client_with(ClientSettings {
        connect: std::time::Duration::from_millis(300),
        ..ClientSettings::default()
    });
    let pin = Identity::generate().unwrap().spki();
    let target =
        Target { endpoint: Endpoint::at(address.ip(), address.port()), trust: Trust::pinned(pin) };
    let crowd = (0..50).map(|_| client.get(&target, "/", HeaderMap::new()));
    for result in within(futures_util::future::join_all(crowd)).await {
        let error = result.unwrap_err();
        assert!(matches!(error, ClientError::Connect(_)) && !error.may_have_arrived(), "{error:?}");
    }
    let waiting_connections =
        std::iter::repeat_with(|| futures_util::FutureExt::now_or_never(silent.accept()));
    assert_eq!(waiting_connections.take_while(Option::is_some).count(), 1);
}

#[tokio::test]
async fn requests_that_the_client_does_not_send() {
    let server = start(patient(), echo()).await;
    let client = client();
    for path in ["", "x", "//other.example/", "/ space", "http://other.example/"] {
        let error = client.get(&server.target(), path, HeaderMap::new()).await.unwrap_err();
        assert!(matches!(error, ClientError::Unsendable { .. }), "{path:?}: {error:?}");
    }
    for name in ["content-encoding", "expect", "host", "transfer-encoding"] {
        let headers =
            HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static("x"))]);
        let error = client.get(&server.target(), "/", headers).await.unwrap_err();
        assert!(matches!(error, ClientError::Unsendable { .. }), "{name}: {error:?}");
    }
}
