//! TLS towards a gateway on another host.
//!
//! The system's certificate bundle is trusted, or one file instead of it: a gateway in a private network
//! has a private certificate, and then nobody else's may stand for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::fault::Fault;

/// Speaks TLS on a connection, with a peer that proves to be `host`.
///
/// # Errors
///
/// Returns what is wrong with the trusted certificates, or with the peer's.
pub(crate) async fn secure(
    stream: TcpStream,
    host: &str,
    ca_file: Option<&Path>,
) -> Result<TlsStream<TcpStream>, Fault> {
    let unreachable = |error: &dyn std::fmt::Display| Fault::Unreachable(error.to_string());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unreachable(&error))?
        .with_root_certificates(roots(ca_file)?)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(|error| unreachable(&error))?;
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .map_err(|error| unreachable(&error))
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, Fault> {
    let system = || BUNDLES.iter().map(PathBuf::from).find(|bundle| bundle.exists());
    let path = ca_file.map(Path::to_owned).or_else(system).ok_or(Fault::NoTrust)?;
    let bad = |why: String| Fault::BadTrust { path: path.clone(), why };
    let mut roots = RootCertStore::empty();
    for certificate in
        CertificateDer::pem_file_iter(&path).map_err(|error| bad(error.to_string()))?
    {
        let certificate = certificate.map_err(|error| bad(error.to_string()))?;
        // A system's bundle may hold a root that is too strange to be parsed; one's own file may not.
        match roots.add(certificate) {
            Err(error) if ca_file.is_some() => return Err(bad(error.to_string())),
            _ => {}
        }
    }
    if roots.is_empty() { Err(bad("no certificate in it".to_owned())) } else { Ok(roots) }
}

/// Where systems keep their certificates.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use rustls::pki_types::PrivateKeyDer;
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    #[tokio::test]
    async fn only_the_trusted_certificate_for_the_right_name_will_do() {
        let made = rcgen::generate_simple_self_signed(vec!["gateway.test".to_owned()]).unwrap();
        let home = tempfile::tempdir().unwrap();
        let ca = home.path().join("ca.pem");
        std::fs::write(&ca, made.cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                drop(acceptor.accept(stream).await);
            }
        });
        let connect = async |host: &str, ca: Option<&Path>| {
            secure(TcpStream::connect(address).await.unwrap(), host, ca).await
        };
        assert!(connect("gateway.test", Some(&ca)).await.is_ok());
        assert!(connect("other.test", Some(&ca)).await.is_err());
        assert!(connect("gateway.test", None).await.is_err());
        let empty = home.path().join("empty.pem");
        std::fs::write(&empty, "").unwrap();
        let refused = connect("gateway.test", Some(&empty)).await;
        assert!(matches!(refused, Err(Fault::BadTrust { .. })));
    }
}
