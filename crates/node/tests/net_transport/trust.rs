//! Whom the client believes, and which TLS the server speaks.

use std::sync::Arc;

use http::HeaderMap;
use landbridge_node::net::client::{Client, ClientError, ClientSettings, PeerKey};
use landbridge_node::net::connect::TcpConnector;
use landbridge_node::net::endpoint::AddressPolicy;
use landbridge_node::net::tls::{IDENTITY_FILE, Identity, Trust};
use rustls::sign::CertifiedKey;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;

use super::skip;
use super::support::{client, echo, patient, start, start_tls, within};

//= ID-38
#[tokio::test]
async fn another_key_than_the_pinned_one_is_refused() {
    let server = start(patient(), echo()).await;
    let other = Identity::generate().unwrap().spki();
    let error = client()
        .get(&server.trusting(Trust::pinned(other)), "/", HeaderMap::new())
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::WrongKey) && !error.may_have_arrived(), "{error:?}");
}

#[tokio::test]
async fn before_pairing_any_key_is_accepted_and_reported() {
    let server = start(patient(), echo()).await;
    let client = client();
    let target = server.trusting(Trust::danger_trust_nobody_yet());
    let response = client.get(&target, "/", HeaderMap::new()).await.unwrap();
    assert_eq!(response.extensions().get::<PeerKey>(), Some(&PeerKey(server.pin)));
    // What was opened without trust is never reused for a request that asks for it.
    let other = server.trusting(Trust::pinned(Identity::generate().unwrap().spki()));
    assert!(matches!(client.get(&other, "/", HeaderMap::new()).await, Err(ClientError::WrongKey)));
}

#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl rustls::server::ResolvesServerCert for Always {
    fn resolve(&self, _hello: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

#[tokio::test]
async fn the_pinned_certificate_without_its_key_is_refused() {
    let (home, honest) = (tempfile::tempdir().unwrap(), Identity::generate().unwrap());
    Identity::load_or_create(home.path()).unwrap();
    let pem = std::fs::read(home.path().join(IDENTITY_FILE)).unwrap();
    let wrong_key = PrivateKeyDer::from_pem_slice(&pem).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = provider.key_provider.load_private_key(wrong_key).unwrap();
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Always(Arc::new(CertifiedKey::new(
            vec![honest.certificate().clone()],
            key,
        )))));
    config.alpn_protocols = vec![b"h2".to_vec()];
    let address = "127.0.0.1:0".parse().unwrap();
    let thief = start_tls(honest.spki(), Arc::new(config), address, patient(), echo()).await;
    for trust in [Trust::pinned(honest.spki()), Trust::danger_trust_nobody_yet()] {
        let error = client().get(&thief.trusting(trust), "/", HeaderMap::new()).await.unwrap_err();
        assert!(matches!(error, ClientError::Handshake(_)), "{error:?}");
    }
}

#[tokio::test]
async fn loopback_is_not_dialled_unless_allowed() {
    let server = start(patient(), echo()).await;
    let strict = Client::new(
        ClientSettings::default(),
        Arc::new(TcpConnector::new(AddressPolicy::public_only())),
    );
    let error = strict.get(&server.target(), "/", HeaderMap::new()).await.unwrap_err();
    assert!(matches!(error, ClientError::Forbidden(_)) && !error.may_have_arrived(), "{error:?}");
}

//= ID-37
#[tokio::test]
async fn only_tls_1_3_is_spoken() {
    let server = start(patient(), echo()).await;
    let address = server.address.to_string();
    let handshake = |version: &'static str| {
        let mut command = tokio::process::Command::new("openssl");
        command
            .args(["s_client", "-brief", version, "-connect", &address])
            .stdin(std::process::Stdio::null());
        async move { within(command.output()).await }
    };
    let Ok(modern) = handshake("-tls1_3").await else {
        skip::skipped("TLS 1.2 was not offered: there is no openssl", false);
        return;
    };
    assert!(modern.status.success(), "{modern:?}");
    let old = handshake("-tls1_2").await.unwrap();
    assert!(!old.status.success(), "{old:?}");
    assert!(String::from_utf8_lossy(&old.stderr).contains("alert"), "{old:?}");
}
