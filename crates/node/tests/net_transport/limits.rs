//! Counts and sizes: exact, and told from each other.

use std::io;

use async_trait::async_trait;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use landbridge_node::net::accept::{Server, Settings, TransportSecurity};
use landbridge_node::net::connect::BoxStream;
use landbridge_node::net::listen::{Listener, RemoteAddr, TcpListener};
use tokio::net::{TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;

use super::support::{client, echo, exchange, patient, post, read_to_close, start};

#[tokio::test]
async fn connections_above_the_total_are_closed_at_once_and_places_come_back() {
    let server = start(Settings { connections_max: 2, ..patient() }, echo()).await;
    let first = server.tls(b"h2").await;
    let second = server.tls(b"h2").await;
    assert!(read_to_close(&mut TcpStream::connect(server.address).await.unwrap()).await.is_empty());
    drop((first, second));
    // The server notices the closed ones in its own time.
    while client().get(&server.target(), "/", HeaderMap::new()).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn one_source_cannot_take_the_places_of_others() {
    let server = start(Settings { connections_per_source_max: 1, ..patient() }, echo()).await;
    let _greedy = TcpStream::connect(server.address).await.unwrap();
    assert!(read_to_close(&mut TcpStream::connect(server.address).await.unwrap()).await.is_empty());
    let other = TcpSocket::new_v4().unwrap();
    other.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let plain = other.connect(server.address).await.unwrap();
    let config = landbridge_node::net::tls::client_config(server.target().trust).unwrap();
    let name = rustls_pki_types::ServerName::from(server.address.ip());
    tokio_rustls::TlsConnector::from(config).connect(name, plain).await.unwrap();
}

#[tokio::test]
async fn handshakes_in_progress_have_their_own_count() {
    let server = start(Settings { handshakes_max: 1, ..patient() }, echo()).await;
    let done = server.tls(b"h2").await;
    let _stalled = TcpStream::connect(server.address).await.unwrap();
    assert!(read_to_close(&mut TcpStream::connect(server.address).await.unwrap()).await.is_empty());
    drop(done);
}

#[tokio::test]
async fn bodies_up_to_the_limit_are_taken_and_no_byte_more() {
    let server = start(patient(), echo()).await;
    let (client, target) = (client(), server.target());
    for (bytes, status) in [(999, 200), (1000, 200), (1001, 413), (900_000, 413)] {
        assert_eq!(
            post(&client, &target, "/", vec![b'x'; bytes]).await.0.as_u16(),
            status,
            "{bytes}"
        );
    }
    // A declared length is believed when it is too large: nothing is read.
    let mut raw = server.tls(b"http/1.1").await;
    let answer =
        exchange(&mut raw, b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1001\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn encoded_bodies_are_refused() {
    let server = start(patient(), echo()).await;
    let mut raw = server.tls(b"http/1.1").await;
    let request = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\
        connection: close\r\n\r\nx";
    let answer = exchange(&mut raw, request).await;
    assert!(answer.starts_with("HTTP/1.1 415"), "{answer}");
}

#[tokio::test]
async fn header_sections_that_are_too_large_are_refused_on_both_protocols() {
    let server = start(patient(), echo()).await;
    let mut raw = server.tls(b"http/1.1").await;
    let long = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(20_000));
    let answer = exchange(&mut raw, long.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");

    let mut raw = server.tls(b"http/1.1").await;
    let many = format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(70));
    let answer = exchange(&mut raw, many.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");

    let client = client();
    let long = HeaderMap::from_iter([(
        HeaderName::from_static("x"),
        HeaderValue::from_str(&"x".repeat(20_000)).unwrap(),
    )]);
    let many = (0..70)
        .map(|n| (format!("x-{n}").parse().unwrap(), HeaderValue::from_static("y")))
        .collect::<HeaderMap>();
    for headers in [long, many] {
        let response = client.get(&server.target(), "/", headers).await.unwrap();
        assert_eq!(response.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    let path = format!("/{}", "p".repeat(3000));
    assert_eq!(
        client.get(&server.target(), &path, HeaderMap::new()).await.unwrap().status(),
        StatusCode::URI_TOO_LONG
    );
}

#[tokio::test]
async fn forwarded_headers_change_nothing() {
    let server = start(patient(), echo()).await;
    let mut raw = server.tls(b"http/1.1").await;
    let request =
        b"GET /who HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 9.9.9.9\r\nforwarded: for=9.9.9.9\r\n\
        x-real-ip: 9.9.9.9\r\nx-forwarded-client-cert: Hash=9.9.9.9\r\nx-ssl-client-verify: SUCCESS\r\n\
        x-ssl-cert: 9.9.9.9\r\nconnection: close\r\n\r\n";
    let answer = exchange(&mut raw, request).await;
    assert!(answer.contains("127.0.0.1") && !answer.contains("9.9.9.9"), "{answer}");
}

/// A listener of a process that has run out of descriptors, and soon gets them back.
struct Exhausted {
    failures_left: u32,
    inner: TcpListener,
}

#[async_trait]
impl Listener for Exhausted {
    async fn accept(&mut self) -> io::Result<(BoxStream, RemoteAddr)> {
        const EMFILE: i32 = 24;
        match self.failures_left.checked_sub(1) {
            Some(left) => {
                self.failures_left = left;
                Err(io::Error::from_raw_os_error(EMFILE))
            }
            None => self.inner.accept().await,
        }
    }
}

#[tokio::test]
async fn a_listener_that_fails_for_a_while_serves_again() {
    let inner = TcpListener::bind_loopback("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = inner.local_addr().unwrap();
    let server = Server::new(patient(), TransportSecurity::LocalPlaintext, echo());
    tokio::spawn(server.run(Exhausted { failures_left: 4, inner }, CancellationToken::new()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let answer =
        exchange(&mut stream, b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
