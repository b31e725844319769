//! The bridge's own device at the gateway: an Ed25519 key and the token that pairing brought.
//!
//! Both are secrets in files of their own, readable by their owner alone. A file that others can read
//! is refused rather than repaired: its content must be taken as known to them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

/// Why the bridge's files are not usable.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FileFault {
    /// Others may read or write it.
    #[error(
        "{path} has mode {mode:o}; others could have read it: make a new one, or set 0600 (0700 for a directory) if you know they did not"
    )]
    TooOpen {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error("{path} belongs to another user")]
    Foreign {
        /// Which file.
        path: PathBuf,
    },
    /// Its content is not what it must be.
    #[error("{path} is damaged")]
    Damaged {
        /// Which file.
        path: PathBuf,
    },
    /// The operating system said no.
    #[error("{path}: {why}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What it said.
        why: String,
    },
}

/// What the bridge's device may do at the gateway. Never more than it was paired for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Authority {
    /// Start, watch and stop runs.
    #[default]
    Runs,
    /// And answer approvals that stop them.
    RunsAndApprovals,
}

impl Authority {
    /// The fewest scopes that give it: writing implies reading.
    #[must_use]
    pub const fn scopes(self) -> &'static [&'static str] {
        match self {
            Self::Runs => &["operator.write"],
            Self::RunsAndApprovals => &["operator.approvals", "operator.write"],
        }
    }

    /// These scopes, no fewer and no more, in whatever order.
    pub(crate) fn is(self, scopes: &[String]) -> bool {
        scopes.len() == self.scopes().len()
            && self.scopes().iter().all(|scope| scopes.iter().any(|given| given == scope))
    }
}

/// A credential. Never shown, and wiped when dropped.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a credential in.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The bridge's device.
pub(crate) struct Device {
    key: SigningKey,
    directory: PathBuf,
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Device").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl Device {
    /// Opens the device of a directory; makes directory and key when there are none.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with the files.
    pub(crate) fn open(directory: &Path) -> Result<Self, FileFault> {
        if let Err(error) = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory) {
            return Err(fault(directory, &error));
        }
        check(directory, &fs::metadata(directory).map_err(|error| fault(directory, &error))?)?;
        let path = directory.join(KEY_FILE);
        if let Some(text) = read(&path)? {
            let mut seed = [0_u8; 32];
            let decoded = BASE64URL_NOPAD.decode(text.trim().as_bytes()).map(Zeroizing::new);
            match decoded {
                Ok(bytes) if bytes.len() == seed.len() => seed.copy_from_slice(&bytes),
                _ => return Err(FileFault::Damaged { path }),
            }
            let key = SigningKey::from_bytes(&seed);
            seed.zeroize();
            return Ok(Self { key, directory: directory.to_owned() });
        }
        let mut seed = Zeroizing::new([0_u8; 32]);
        getrandom::fill(&mut *seed)
            .map_err(|_| FileFault::Io { path: path.clone(), why: "no randomness".to_owned() })?;
        write(&path, &Zeroizing::new(BASE64URL_NOPAD.encode(&*seed)))?;
        Ok(Self { key: SigningKey::from_bytes(&seed), directory: directory.to_owned() })
    }

    /// The device's id at the gateway: the digest of its public key.
    pub(crate) fn id(&self) -> String {
        HEXLOWER.encode(&Sha256::digest(self.key.verifying_key().as_bytes()))
    }

    /// The public key as the gateway reads it.
    pub(crate) fn public_key(&self) -> String {
        BASE64URL_NOPAD.encode(self.key.verifying_key().as_bytes())
    }

    /// Signs the gateway's challenge.
    pub(crate) fn sign(&self, text: &str) -> String {
        BASE64URL_NOPAD.encode(&self.key.sign(text.as_bytes()).to_bytes())
    }

    /// The token that pairing brought.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with its file.
    pub(crate) fn token(&self) -> Result<Option<Secret>, FileFault> {
        Ok(read(&self.directory.join(TOKEN_FILE))?.map(|text| Secret::new(text.trim().to_owned())))
    }

    /// Keeps the token that pairing brought.
    ///
    /// # Errors
    ///
    /// Returns why it could not be written.
    pub(crate) fn keep_token(&self, token: &Secret) -> Result<(), FileFault> {
        write(&self.directory.join(TOKEN_FILE), token.expose())
    }

    /// Forgets the token and which gateway it was for. The key stays: it alone opens nothing.
    ///
    /// # Errors
    ///
    /// Returns what could not be removed.
    pub(crate) fn forget_token(&self) -> Result<bool, FileFault> {
        let mut had_token = false;
        for name in [TOKEN_FILE, GATEWAY_FILE, SCOPES_FILE] {
            let path = self.directory.join(name);
            match fs::remove_file(&path) {
                Ok(()) => had_token |= name == TOKEN_FILE,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(fault(&path, &error)),
            }
        }
        Ok(had_token)
    }

    /// What the device was paired for.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with its file.
    pub(crate) fn authority(&self) -> Result<Authority, FileFault> {
        let path = self.directory.join(SCOPES_FILE);
        let Some(text) = read(&path)? else { return Ok(Authority::Runs) };
        let scopes: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        [Authority::Runs, Authority::RunsAndApprovals]
            .into_iter()
            .find(|authority| authority.is(&scopes))
            .ok_or(FileFault::Damaged { path })
    }

    /// Keeps what the device was paired for.
    ///
    /// # Errors
    ///
    /// Returns why it could not be written.
    pub(crate) fn keep_authority(&self, authority: Authority) -> Result<(), FileFault> {
        write(&self.directory.join(SCOPES_FILE), &authority.scopes().join(" "))
    }

    /// The gateway's identity as it was when the device was paired, if it is known.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with its file.
    pub(crate) fn gateway(&self) -> Result<Option<String>, FileFault> {
        Ok(read(&self.directory.join(GATEWAY_FILE))?.map(|text| text.trim().to_owned()))
    }

    /// Keeps the gateway's identity.
    ///
    /// # Errors
    ///
    /// Returns why it could not be written.
    pub(crate) fn keep_gateway(&self, identity: &str) -> Result<(), FileFault> {
        write(&self.directory.join(GATEWAY_FILE), identity)
    }
}

fn fault(path: &Path, error: &io::Error) -> FileFault {
    FileFault::Io { path: path.to_owned(), why: error.to_string() }
}

fn check(path: &Path, found: &fs::Metadata) -> Result<(), FileFault> {
    let mode = found.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(FileFault::TooOpen { path: path.to_owned(), mode });
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(FileFault::Foreign { path: path.to_owned() });
    }
    Ok(())
}

/// Reads a secret file; the checks are made on the opened file, so it cannot be swapped in between.
fn read(path: &Path) -> Result<Option<Zeroizing<String>>, FileFault> {
    let no_follow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(no_follow).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fault(path, &error)),
    };
    check(path, &file.metadata().map_err(|error| fault(path, &error))?)?;
    let mut text = Zeroizing::new(String::with_capacity(SECRET_BYTES_MAX));
    let limit = u64::try_from(SECRET_BYTES_MAX).unwrap_or(u64::MAX);
    file.take(limit).read_to_string(&mut text).map_err(|error| fault(path, &error))?;
    Ok(Some(text))
}

/// Writes a secret file whole or not at all.
fn write(path: &Path, text: &str) -> Result<(), FileFault> {
    let attempt = || -> io::Result<()> {
        let next = path.with_extension("new");
        let _ = fs::remove_file(&next);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&next)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&next, path)?;
        path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    };
    attempt().map_err(|error| fault(path, &error))
}

const KEY_FILE: &str = "device.key";
const TOKEN_FILE: &str = "device.token";
const GATEWAY_FILE: &str = "gateway.id";
const SCOPES_FILE: &str = "device.scopes";
const SECRET_BYTES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_device_is_the_same_after_a_restart_and_its_files_are_private() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("gateway");
        let device = Device::open(&directory).unwrap();
        device.keep_token(&Secret::new("t0ken".to_owned())).unwrap();
        let again = Device::open(&directory).unwrap();
        assert_eq!(device.id(), again.id());
        assert_eq!(again.token().unwrap().unwrap().expose(), "t0ken");
        for file in [KEY_FILE, TOKEN_FILE] {
            assert_eq!(fs::metadata(directory.join(file)).unwrap().mode() & 0o777, 0o600);
        }
        assert!(!format!("{again:?} {:?}", again.token()).contains("t0ken"));
    }

    #[test]
    fn files_that_others_can_read_are_refused() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("gateway");
        let device = Device::open(&directory).unwrap();
        device.keep_token(&Secret::new("t0ken".to_owned())).unwrap();
        let open = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap()
        };
        open(&directory.join(TOKEN_FILE), 0o640);
        assert!(matches!(device.token(), Err(FileFault::TooOpen { mode: 0o640, .. })));
        open(&directory.join(KEY_FILE), 0o604);
        assert!(matches!(Device::open(&directory), Err(FileFault::TooOpen { mode: 0o604, .. })));
        open(&directory.join(KEY_FILE), 0o600);
        open(&directory, 0o755);
        assert!(matches!(Device::open(&directory), Err(FileFault::TooOpen { mode: 0o755, .. })));
    }

    #[test]
    fn a_device_may_what_it_was_paired_for() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("gateway");
        let device = Device::open(&directory).unwrap();
        assert_eq!(device.authority(), Ok(Authority::Runs));
        device.keep_authority(Authority::RunsAndApprovals).unwrap();
        assert_eq!(device.authority(), Ok(Authority::RunsAndApprovals));
        write(&directory.join(SCOPES_FILE), "operator.write operator.admin").unwrap();
        assert!(matches!(device.authority(), Err(FileFault::Damaged { .. })));
        device.forget_token().unwrap();
        assert_eq!(device.authority(), Ok(Authority::Runs));
    }

    #[test]
    fn a_damaged_key_is_not_replaced() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("gateway");
        Device::open(&directory).unwrap();
        fs::write(directory.join(KEY_FILE), "short").unwrap();
        assert!(matches!(Device::open(&directory), Err(FileFault::Damaged { .. })));
    }
}
