//! Keys of a federation root, for whoever runs one: they sign memberships and nothing else.
//!
//! They belong to no gateway and lie in no home; whoever runs a federation root need not run a bridge.

use std::path::{Path, PathBuf};

use data_encoding::BASE64URL_NOPAD;
use landbridge_proto::trust::key::SecretKey;
use landbridge_proto::trust::signer::KeySigner;
use landbridge_proto::wire::kind::SignedBy;
use zeroize::Zeroizing;

use crate::clock::Entropy;
use crate::net::file::{self, ReadError};

const PREFIX: &str = "landbridge-key-v1 federation-root ";

/// Why a key cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or made.
    #[error("{} cannot be used", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        fault: std::io::Error,
    },
    /// Others may read the file.
    #[error("{} may be read by others (mode {mode:o})", path.display())]
    Exposed {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file holds something else.
    #[error("{} is no key of a federation root", path.display())]
    NotTheKey {
        /// Which.
        path: PathBuf,
    },
}

/// Makes a key and writes it to a new file that only its owner may read.
///
/// # Errors
///
/// [`KeyError::File`], also where the file exists.
pub fn make_key(path: &Path, entropy: &dyn Entropy) -> Result<KeySigner, KeyError> {
    let mut seed = Zeroizing::new([0_u8; 32]);
    entropy.fill(&mut *seed);
    let encoded = Zeroizing::new(BASE64URL_NOPAD.encode(&*seed));
    let line = Zeroizing::new(format!("{PREFIX}{}\n", *encoded));
    let fault = |fault| KeyError::File { path: path.to_path_buf(), fault };
    if path.try_exists().map_err(fault)? {
        return Err(fault(std::io::ErrorKind::AlreadyExists.into()));
    }
    file::write_private(path, line.as_bytes()).map_err(fault)?;
    Ok(KeySigner::new(SecretKey::from_seed(&seed), SignedBy::FederationRoot))
}

/// Reads a key.
///
/// # Errors
///
/// Refuses a file that others may read, and a key for anything else.
pub fn load_key(path: &Path) -> Result<KeySigner, KeyError> {
    let path_buf = || path.to_path_buf();
    let text = Zeroizing::new(match file::read_private(path) {
        Ok(text) => text,
        Err(ReadError::Exposed { mode }) => {
            return Err(KeyError::Exposed { path: path_buf(), mode });
        }
        Err(error) => return Err(KeyError::File { path: path_buf(), fault: error.into() }),
    });
    let not_the_key = || KeyError::NotTheKey { path: path_buf() };
    let encoded = text.strip_suffix('\n').and_then(|line| line.strip_prefix(PREFIX));
    let bytes = BASE64URL_NOPAD.decode(encoded.ok_or_else(not_the_key)?.as_bytes());
    let bytes = Zeroizing::new(bytes.map_err(|_| not_the_key())?);
    let mut seed = Zeroizing::new([0_u8; 32]);
    if bytes.len() != seed.len() {
        return Err(not_the_key());
    }
    seed.copy_from_slice(&bytes);
    Ok(KeySigner::new(SecretKey::from_seed(&seed), SignedBy::FederationRoot))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::os::unix::fs::PermissionsExt as _;

    use landbridge_proto::trust::signer::Signer as _;
    use landbridge_proto::wire::kind::Kind;

    use super::*;
    use crate::clock::SeededEntropy;

    #[test]
    fn a_key_is_its_owners_signs_memberships_only_and_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("guild.key");
        let made = make_key(&path, &SeededEntropy::new(7)).unwrap();
        let read = load_key(&path).unwrap();
        assert_eq!(made.kid(), read.kid());
        assert!(read.sign(Kind::Membership, b"{}").is_ok());
        assert!(read.sign(Kind::Federation, b"{}").is_err());
        assert!(matches!(make_key(&path, &SeededEntropy::new(8)), Err(KeyError::File { .. })));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(load_key(&path), Err(KeyError::Exposed { .. })));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "landbridge-key-v1 policy AAAA\n").unwrap();
        assert!(matches!(load_key(&path), Err(KeyError::NotTheKey { .. })));
    }
}
