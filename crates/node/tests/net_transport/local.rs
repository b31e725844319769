//! The local plane: unix socket and loopback.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use landbridge_node::net::accept::{Server, TransportSecurity};
use landbridge_node::net::listen::{TcpListener, UnixListener};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

use super::support::{echo, exchange, patient, within};

const WHO: &[u8] = b"GET /who HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn a_unix_socket_says_whose_process_asks() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("landbridge.sock");
    let listener = UnixListener::bind(&path).await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let shutdown = CancellationToken::new();
    let server = Server::new(patient(), TransportSecurity::LocalPlaintext, echo());
    let task = tokio::spawn(server.run(listener, shutdown.clone()));

    let answer = exchange(&mut UnixStream::connect(&path).await.unwrap(), WHO).await;
    let (uid, pid) = (std::fs::metadata(home.path()).unwrap().uid(), std::process::id());
    assert!(
        answer.contains(&format!("uid: {uid},")) && answer.contains(&format!("pid: Some({pid})")),
        "{answer}"
    );

    assert!(UnixListener::bind(&path).await.is_err(), "a living socket is not taken over");
    shutdown.cancel();
    within(task).await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn a_dead_socket_is_replaced_and_another_file_is_not() {
    let home = tempfile::tempdir().unwrap();
    let (dead, file) = (home.path().join("dead.sock"), home.path().join("file"));
    drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
    assert!(dead.exists());
    UnixListener::bind(&dead).await.unwrap();
    std::fs::write(&file, "precious").unwrap();
    assert!(UnixListener::bind(&file).await.is_err());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
}

#[tokio::test]
async fn plaintext_tcp_is_for_loopback_only() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        assert!(TcpListener::bind_loopback(address.parse().unwrap()).await.is_err(), "{address}");
    }
    let listener = TcpListener::bind_loopback("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::new(patient(), TransportSecurity::LocalPlaintext, echo());
    tokio::spawn(server.run(listener, CancellationToken::new()));
    let answer = exchange(&mut tokio::net::TcpStream::connect(address).await.unwrap(), WHO).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("Http1"), "{answer}");
}
