//! TLS 1.3 between bridges, with identities that need no authority.
//!
//! A bridge makes its own certificate, and its signed root document says which key that certificate
//! holds. So a client trusts exactly one SubjectPublicKeyInfo and nothing else: no authorities, no host
//! names, no dates, each of which would be a second and weaker way in. The handshake's signature is
//! still verified, because a pin without it proves only that somebody has seen the certificate.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use data_encoding::BASE64URL_NOPAD;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::file;

/// SHA-256 over the DER of a certificate's SubjectPublicKeyInfo: what a root document pins.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SpkiDigest([u8; 32]);

impl SpkiDigest {
    /// Takes the digest as bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads the text form: base64url of 32 bytes without padding.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }

    /// Computes the digest of a certificate's key.
    ///
    /// # Errors
    ///
    /// When the bytes are not an X.509 certificate.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, rustls::Error> {
        let parsed = webpki::EndEntityCert::try_from(certificate)
            .map_err(|_| rustls::Error::InvalidCertificate(CertificateError::BadEncoding))?;
        Ok(Self(Sha256::digest(parsed.subject_public_key_info()).into()))
    }

    /// The digest as bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for SpkiDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64URL_NOPAD.encode(&self.0))
    }
}

impl fmt::Debug for SpkiDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpkiDigest({self})")
    }
}

/// Whom a client accepts at the other end of a connection.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Trust(Accepts);

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Accepts {
    Pinned(SpkiDigest),
    Anybody,
}

impl Trust {
    /// Only the holder of this very key.
    #[must_use]
    pub const fn pinned(pin: SpkiDigest) -> Self {
        Self(Accepts::Pinned(pin))
    }

    /// Anybody at all: only for fetching documents whose own signatures are verified afterwards, as
    /// pairing does before any key is known. The answer says which key was seen
    /// ([`PeerKey`](super::client::PeerKey)).
    #[must_use]
    pub const fn danger_trust_nobody_yet() -> Self {
        Self(Accepts::Anybody)
    }
}

/// Why an identity could not be made, kept or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The file could not be read or written.
    #[error("cannot use the TLS identity at {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// Others may read the private key.
    #[error("{path} can be read by others (mode {mode:o}); run: chmod 600 {path}")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file does not hold one private key and its certificate.
    #[error("{path} does not hold a private key and its certificate in PEM form")]
    Unreadable {
        /// The file.
        path: PathBuf,
    },
    /// No key or certificate could be made.
    #[error("cannot make a certificate")]
    NotMade(#[source] rcgen::Error),
    /// The TLS library does not take key, certificate or settings.
    #[error("the TLS library refuses this identity")]
    Refused(#[source] rustls::Error),
}

/// A private key and the certificate made for it by its owner.
pub struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    spki: SpkiDigest,
}

impl Identity {
    /// Makes a new key (ECDSA P-256: every TLS 1.3 implementation has it) and a certificate for it.
    /// Its randomness is the TLS library's own, as all of TLS's is.
    ///
    /// # Errors
    ///
    /// When the key or the certificate cannot be made.
    pub fn generate() -> Result<Self, IdentityError> {
        Self::from_pem(&Self::make_pem()?, Path::new("a new identity"))
    }

    /// Reads the identity kept in `directory`, or makes one and keeps it there.
    ///
    /// Key and certificate share one file, so that there is never one without the other.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, written or understood, or when others may read it.
    pub fn load_or_create(directory: &Path) -> Result<Self, IdentityError> {
        let path = directory.join(IDENTITY_FILE);
        let failed = |source| IdentityError::File { path: path.clone(), source };
        let pem = match file::read_private(&path) {
            Ok(pem) => Zeroizing::new(pem),
            Err(file::ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                let pem = Self::make_pem()?;
                file::write_private(&path, pem.as_bytes()).map_err(failed)?;
                pem
            }
            Err(file::ReadError::Io(error)) => return Err(failed(error)),
            Err(file::ReadError::Exposed { mode }) => {
                return Err(IdentityError::Exposed { path, mode });
            }
        };
        Self::from_pem(&pem, &path)
    }

    /// Makes an identity in `directory` beside the one that is in use there; it is used once a root pins it.
    ///
    /// # Errors
    ///
    /// When it cannot be made or written.
    pub fn make_next(directory: &Path) -> Result<Self, IdentityError> {
        let pem = Self::make_pem()?;
        let made = Self::from_pem(&pem, Path::new("a new identity"))?;
        let path = directory.join(format!("{}.pem", made.spki));
        let failed = |source| IdentityError::File { path: path.clone(), source };
        file::write_private(&path, pem.as_bytes()).map_err(failed)?;
        Ok(made)
    }

    /// Reads the identity of `directory` that one of `pins` names, and the first one where none does.
    ///
    /// # Errors
    ///
    /// As [`Identity::load_or_create`].
    pub fn load_pinned(directory: &Path, pins: &[SpkiDigest]) -> Result<Self, IdentityError> {
        for pin in pins {
            let path = directory.join(format!("{pin}.pem"));
            match file::read_private(&path) {
                Ok(pem) => return Self::from_pem(&Zeroizing::new(pem), &path),
                Err(file::ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
                Err(file::ReadError::Io(source)) => {
                    return Err(IdentityError::File { path, source });
                }
                Err(file::ReadError::Exposed { mode }) => {
                    return Err(IdentityError::Exposed { path, mode });
                }
            }
        }
        Self::load_or_create(directory)
    }

    /// The digest that a root document publishes for this identity.
    #[must_use]
    pub const fn spki(&self) -> SpkiDigest {
        self.spki
    }

    /// The certificate's bytes.
    #[must_use]
    pub const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Settings for a listener: TLS 1.3 only, HTTP/2 or HTTP/1.1 by ALPN, no early data (it can be
    /// replayed) and no session tickets (a resumed session would skip the pin, and saves little).
    ///
    /// # Errors
    ///
    /// When key and certificate do not belong together.
    pub fn server_config(&self) -> Result<Arc<rustls::ServerConfig>, IdentityError> {
        Arc::new(Presented::new(self)?).server_config()
    }

    fn certified(&self) -> Result<Arc<CertifiedKey>, IdentityError> {
        let chain = vec![self.certificate.clone()];
        let certified = CertifiedKey::from_der(chain, self.key.clone_key(), &provider());
        certified.map(Arc::new).map_err(IdentityError::Refused)
    }

    fn make_pem() -> Result<Zeroizing<String>, IdentityError> {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)
            .map_err(IdentityError::NotMade)?;
        let mut parameters = rcgen::CertificateParams::default();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, "landbridge");
        let certificate = parameters.self_signed(&key).map_err(IdentityError::NotMade)?;
        let secret = Zeroizing::new(key.serialize_pem());
        Ok(Zeroizing::new(format!("{}{}", *secret, certificate.pem())))
    }

    fn from_pem(pem: &str, path: &Path) -> Result<Self, IdentityError> {
        let unreadable = || IdentityError::Unreadable { path: path.to_path_buf() };
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| unreadable())?;
        let certificate =
            CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| unreadable())?;
        let spki = SpkiDigest::of(&certificate).map_err(IdentityError::Refused)?;
        Ok(Self { certificate, key, spki })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("spki", &self.spki).finish_non_exhaustive()
    }
}

/// The identity that new connections are shown; it can be replaced while a listener works.
#[derive(Debug)]
pub struct Presented(RwLock<Arc<CertifiedKey>>);

impl Presented {
    /// Shows an identity.
    ///
    /// # Errors
    ///
    /// When key and certificate do not belong together.
    pub fn new(identity: &Identity) -> Result<Self, IdentityError> {
        Ok(Self(RwLock::new(identity.certified()?)))
    }

    /// Shows another identity from now on. Open connections stay.
    ///
    /// # Errors
    ///
    /// As [`Presented::new`]; then the former one is shown on.
    pub fn present(&self, identity: &Identity) -> Result<(), IdentityError> {
        let certified = identity.certified()?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = certified;
        Ok(())
    }

    /// Settings for a listener that shows whatever is presented at the time.
    ///
    /// # Errors
    ///
    /// When the TLS library refuses them.
    pub fn server_config(self: Arc<Self>) -> Result<Arc<rustls::ServerConfig>, IdentityError> {
        let mut config = rustls::ServerConfig::builder_with_provider(provider())
            //= ID-37
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(IdentityError::Refused)?
            .with_no_client_auth()
            .with_cert_resolver(self);
        config.alpn_protocols = alpn();
        config.max_early_data_size = 0;
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Presented {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Settings for one outgoing connection.
///
/// # Errors
///
/// When the TLS library cannot do TLS 1.3.
pub fn client_config(trust: Trust) -> Result<Arc<rustls::ClientConfig>, rustls::Error> {
    let provider = provider();
    let verifier =
        PinVerifier { accepts: trust.0, algorithms: provider.signature_verification_algorithms };
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = alpn();
    config.enable_early_data = false;
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

/// Accepts a certificate for its key alone, and checks that the other side holds that key.
#[derive(Debug)]
struct PinVerifier {
    accepts: Accepts,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let seen = SpkiDigest::of(end_entity)?;
        match self.accepts {
            Accepts::Pinned(pin) if !bool::from(pin.0.ct_eq(&seen.0)) => Err(
                rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure),
            ),
            Accepts::Pinned(_) | Accepts::Anybody => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::PeerIncompatible(
            rustls::PeerIncompatible::ServerDoesNotSupportTls12Or13,
        ))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn alpn() -> Vec<Vec<u8>> {
    vec![ALPN_H2.to_vec(), ALPN_HTTP1.to_vec()]
}

/// The one file of an identity: the private key, then its certificate.
pub const IDENTITY_FILE: &str = "tls-identity.pem";
/// ALPN name of HTTP/2.
pub(super) const ALPN_H2: &[u8] = b"h2";
/// ALPN name of HTTP/1.1.
const ALPN_HTTP1: &[u8] = b"http/1.1";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_identity_survives_a_restart_and_is_private() {
        let home = tempfile::tempdir().unwrap();
        let first = Identity::load_or_create(home.path()).unwrap();
        let again = Identity::load_or_create(home.path()).unwrap();
        assert_eq!(first.spki(), again.spki());
        assert_eq!(first.certificate(), again.certificate());
        let mode = std::fs::metadata(home.path().join(IDENTITY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            std::fs::read_dir(home.path()).unwrap().count(),
            1,
            "no temporary file is left behind"
        );
        again.server_config().unwrap();
    }

    #[test]
    fn an_identity_that_others_can_read_is_refused() {
        let home = tempfile::tempdir().unwrap();
        Identity::load_or_create(home.path()).unwrap();
        let path = home.path().join(IDENTITY_FILE);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            Identity::load_or_create(home.path()),
            Err(IdentityError::Exposed { mode: 0o640, .. })
        ));
    }

    #[test]
    fn a_damaged_identity_is_an_error_and_not_a_new_identity() {
        let home = tempfile::tempdir().unwrap();
        file::write_private(&home.path().join(IDENTITY_FILE), b"not pem").unwrap();
        assert!(matches!(
            Identity::load_or_create(home.path()),
            Err(IdentityError::Unreadable { .. })
        ));
    }

    #[test]
    fn digests_have_one_text_form() {
        let spki = Identity::generate().unwrap().spki();
        assert_eq!(SpkiDigest::parse(&spki.to_string()), Some(spki));
        assert_eq!(spki.to_string().len(), 43);
        for bad in ["", "AAAA", &format!("{spki}="), &format!("{spki}A")] {
            assert_eq!(SpkiDigest::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_key_is_not_printed() {
        let text = format!("{:?}", Identity::generate().unwrap());
        assert!(!text.contains("key"), "{text}");
    }
}
