//! A bridge's keys, certificate and roots, as files in its home.
//!
//! Two directories, because two kinds of keys need two kinds of care. `keys/` holds what the daemon
//! signs with all day. `offline/` holds the keys that say who the gateway is and whom it trusts; the
//! daemon never opens that directory, and an operator may move it to another machine. What a thief
//! takes from a running bridge can then be revoked by somebody who still has the rest.
//!
//! ```text
//! keys/     stream.key request.key status.key catalog.key operator-ca.key, and ROLE.KID.key of later ones
//! tls/      the key and certificate of TLS connections, and those of later ones
//! offline/  root.key policy.key, and ROLE.KID.key of later ones, unless they are kept elsewhere
//! root/     1.json and later versions: public
//! ```
//!
//! The newest root says which of the files count. So a rotation has one moment: the next root's file
//! appears under its name, whole and on disk, or it does not.

pub mod current;
mod first;
pub mod key_file;
mod offline;
pub mod online;
mod sealed;

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use landbridge_planted::planted;
use landbridge_proto::trust::root::{RootError, TrustedRoot};
use landbridge_proto::trust::signer::{KeySigner, SignError, Signer as _, sign_typed};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::root::InvalidRoot;
use landbridge_proto::wire::document::{
    Endpoint, EndpointUrl, FormVersion, RoleHolders, Root, RootKey, gateway_id, raw,
};
use landbridge_proto::wire::envelope::{Envelope, InvalidEnvelope};
use landbridge_proto::wire::kind::{PayloadKind, Role, SignedBy};
use landbridge_proto::wire::name::{GatewayId, KeyId, Timestamp};
use serde::Serialize;

use self::online::{Online, OnlineKey};
use crate::clock::Entropy;
use crate::fail;
use crate::net::file;
use crate::net::tls;

pub use self::key_file::KeyFile;
pub use self::offline::{NewOffline, RootKeys, RootKeysError};
pub use self::sealed::{InvalidPassphrase, Passphrase, SealFault};

/// What the daemon is and signs with. The offline keys are not in it.
#[derive(Debug)]
pub struct Identity {
    root: TrustedRoot,
    chain: Vec<Envelope>,
    online: Online,
    tls: tls::Identity,
}

/// Why an identity could not be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// There is one already; keys are never overwritten.
    #[error("{path} exists already; keys are never overwritten")]
    Exists {
        /// What is there.
        path: PathBuf,
    },
    /// There is none.
    #[error("there is no identity in {home}")]
    Missing {
        /// Where it was looked for.
        home: PathBuf,
    },
    /// A file or directory could not be read or written.
    #[error("cannot use {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        fault: io::Error,
    },
    /// Others may read what is secret.
    #[error("{path} is open to others (mode {mode:o})")]
    Exposed {
        /// The file or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error("{path} belongs to user {owner}, and this is user {user}")]
    NotOurs {
        /// The file or directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who we are.
        user: u32,
    },
    /// A link, a directory, a pipe or a device where a key was to be read.
    #[error("{path} is not a plain file")]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// A file in which no key is.
    #[error("{path} does not hold a key")]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
    /// A key that is under a passphrase, and none was given.
    #[error("{path} is encrypted with a passphrase")]
    PassphraseMissing {
        /// The file.
        path: PathBuf,
    },
    /// A key under a passphrase that does not open.
    #[error("{path} cannot be opened")]
    NotOpened {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        fault: SealFault,
    },
    /// A file that does not hold the key that its place asks for.
    #[error("{path} does not hold the key of the {role} role")]
    NotTheKey {
        /// The file.
        path: PathBuf,
        /// The role that was wanted.
        role: Role,
    },
    /// A file that does not hold an operator's key.
    #[error("{path} does not hold an operator's key")]
    NotAnOperators {
        /// The file.
        path: PathBuf,
    },
    /// A key that the newest root does not name for its role.
    #[error("the newest root does not name key {kid} for the {role} role")]
    ForeignKey {
        /// The key.
        kid: KeyId,
        /// The role.
        role: Role,
    },
    /// A root's file that holds no envelope.
    #[error("{path} does not hold a root")]
    NotARoot {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        fault: InvalidEnvelope,
    },
    /// The roots are no chain.
    #[error("the roots in {path} do not hold together")]
    BadRoots {
        /// The directory.
        path: PathBuf,
        /// What is wrong with them.
        #[source]
        fault: Box<RootError>,
    },
    /// The first root's parts do not fit together.
    #[error("no root can be made")]
    RootNotMade(#[from] InvalidRoot),
    /// The first root was not signed.
    #[error("the root was not signed")]
    RootNotSigned(#[from] SignError),
    /// The signatures of the root are not one for each key.
    #[error("the signatures of the root do not go together")]
    RootNotJoined(#[source] InvalidEnvelope),
    /// The TLS key or certificate cannot be made or used.
    #[error("the TLS identity cannot be used")]
    Tls(#[from] tls::IdentityError),
}

/// What a new identity needs to know.
#[derive(Clone, Debug)]
pub struct NewIdentity {
    /// Where peers reach the gateway; empty for one that cannot be reached.
    pub endpoints: Vec<EndpointUrl>,
    /// Now.
    pub now: Timestamp,
}

/// A new identity.
#[derive(Clone, Debug)]
pub struct Made {
    /// The gateway.
    pub gateway: GatewayId,
    /// The files of the offline keys: the root keys, then the policy key.
    pub offline: Vec<PathBuf>,
    /// An interrupted making was finished as it was begun, whatever is asked for now.
    pub resumed: bool,
}

impl Identity {
    /// Makes keys, certificate and first root in `home`, and says which gateway that is.
    ///
    /// All is written beside its final place and moved there at the end, the online keys last: a home
    /// with `keys/` is complete. What a crash interrupted while it was moved is finished by the next call, as
    /// it was begun.
    ///
    /// # Errors
    ///
    /// Refuses a home that has any part of an identity, and says what could not be written.
    pub fn create(
        home: &Path,
        new: &NewIdentity,
        entropy: &dyn Entropy,
    ) -> Result<GatewayId, IdentityError> {
        Ok(Self::create_with(home, new, &NewOffline::default(), entropy)?.gateway)
    }

    /// As [`Identity::create`], with the offline keys kept as somebody chose.
    ///
    /// # Errors
    ///
    /// As [`Identity::create`], and refuses directories for the offline keys that others may open or that
    /// hold such keys already.
    pub fn create_with(
        home: &Path,
        new: &NewIdentity,
        offline: &NewOffline,
        entropy: &dyn Entropy,
    ) -> Result<Made, IdentityError> {
        private_directory(home)?;
        let made = home.join(MADE);
        let resumed = made.exists();
        if !resumed {
            first::write_draft(home, new, offline, entropy)?;
            fail::point("init.before_anything_is_in_place");
            let draft = home.join(DRAFT);
            fs::rename(&draft, &made).map_err(file_fault(&made))?;
        }
        let kept = offline::settle(&made)?;
        for part in PARTS {
            if part == KEYS {
                fail::point("init.before_the_online_keys");
            }
            let (from, to) = (made.join(part), home.join(part));
            if from.exists() {
                fs::rename(from, &to).map_err(file_fault(&to))?;
            }
        }
        fail::point("init.in_place");
        fs::remove_dir_all(&made).map_err(file_fault(&made))?;
        let sync = fs::File::open(home).and_then(|directory| directory.sync_all());
        sync.map_err(file_fault(home))?;
        Ok(Made { gateway: own_root(home)?.gateway().clone(), offline: kept, resumed })
    }

    /// Reads what the daemon needs. Never looks at the offline keys.
    ///
    /// # Errors
    ///
    /// Refuses keys that others may read, and keys that the newest root does not name.
    pub fn load(home: &Path) -> Result<Self, IdentityError> {
        if !home.join(KEYS).exists() {
            return Err(IdentityError::Missing { home: home.to_path_buf() });
        }
        let (root, chain) = roots(&home.join(ROOT))?;
        Self::with_roots(home, root, chain)
    }

    /// The identity that the files of `home` make under a chain of roots that may go on behind theirs.
    fn with_roots(
        home: &Path,
        root: TrustedRoot,
        chain: Vec<Envelope>,
    ) -> Result<Self, IdentityError> {
        let (keys, tls) = (home.join(KEYS), home.join(TLS));
        check_closed(&keys)?;
        check_closed(&tls)?;
        let online = Online::load(&keys, root.root())?;
        let pins = root.root().endpoints.iter().filter_map(|endpoint| endpoint.tls_spki);
        let pins: Vec<_> = pins.map(|pin| tls::SpkiDigest::from_bytes(*pin.as_bytes())).collect();
        let tls = tls::Identity::load_pinned(&tls, &pins)?;
        Ok(Self { online, tls, root, chain })
    }

    /// This identity after one more root, made of what the files of `home` hold now. Writes nothing.
    ///
    /// # Errors
    ///
    /// Refuses a root that does not follow the newest, or that is not signed as it must be, and keys as
    /// [`Identity::load`] does.
    pub fn advanced(
        &self,
        home: &Path,
        next: &Envelope,
        now: Timestamp,
    ) -> Result<Self, IdentityError> {
        let bad = |fault| IdentityError::BadRoots { path: home.join(ROOT), fault: Box::new(fault) };
        let root = self.root.advance(std::slice::from_ref(next), now).map_err(bad)?;
        root.check_current(now).map_err(bad)?;
        let mut chain = self.chain.clone();
        if root.version() > self.root.version() {
            chain.push(next.clone());
        }
        Self::with_roots(home, root, chain)
    }

    /// Puts the newest root where the next start finds it: whole and on disk when this returns, and not
    /// there at all before. This is the moment of a rotation.
    ///
    /// # Errors
    ///
    /// When it cannot be written; then nothing has changed.
    //= ID-49
    pub fn keep_root(&self, home: &Path) -> Result<(), IdentityError> {
        let path = home.join(ROOT).join(format!("{}.json", self.root.version()));
        let newest = self.chain.last().map(Envelope::to_bytes).unwrap_or_default();
        match fs::read(&path) {
            Ok(kept) if kept == newest => return Ok(()),
            // Another root of this version was kept: nothing goes on from here.
            Ok(_) => return Err(IdentityError::Exists { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(file_fault(&path)(error)),
        }
        if planted!("root_not_kept") {
            return Ok(());
        }
        file::write_private(&path, &newest).map_err(file_fault(&path))
    }

    /// The gateway.
    #[must_use]
    pub const fn gateway(&self) -> &GatewayId {
        self.root.gateway()
    }

    /// Its own roots as the home's files have them, verified.
    #[must_use]
    pub const fn root(&self) -> &TrustedRoot {
        &self.root
    }

    /// The envelopes of its own roots, from the first on.
    #[must_use]
    pub fn chain(&self) -> &[Envelope] {
        &self.chain
    }

    /// The key of a role that signs at `now`, with which everything of one moment is signed.
    ///
    /// # Errors
    ///
    /// [`SignError::Unavailable`] when no key of the role is valid then.
    pub fn signer(&self, role: Role, now: Timestamp) -> Result<&KeySigner, SignError> {
        self.online.signer(role, now)
    }

    /// Every key that this home holds for a role of the newest root, whatever its time.
    pub fn signers(&self) -> impl Iterator<Item = &KeySigner> {
        online::ONLINE.into_iter().flat_map(|role| self.keys(role)).map(|key| &key.signer)
    }

    /// Whether the key that would sign for a role at `now` was revoked by this gateway.
    #[must_use]
    pub fn is_withdrawn(&self, role: Role, now: Timestamp) -> bool {
        self.signer(role, now).is_ok_and(KeySigner::is_revoked)
    }

    /// Signs with the key, good at `now`, of the role that vouches for this kind.
    ///
    /// # Errors
    ///
    /// As [`Identity::signer`] and [`sign_typed`].
    pub fn sign<T: PayloadKind + Serialize>(
        &self,
        value: &T,
        now: Timestamp,
    ) -> Result<Envelope, SignError> {
        match T::KIND.signed_by() {
            SignedBy::Role(role) => sign_typed(self.signer(role, now)?, value),
            has => Err(SignError::KindOfAnotherRole { kind: T::KIND, has }),
        }
    }

    /// The keys of a role that the newest root lists and this home holds.
    #[must_use]
    pub fn keys(&self, role: Role) -> &[OnlineKey] {
        self.online.of(role)
    }

    /// What it shows on TLS connections.
    #[must_use]
    pub const fn tls(&self) -> &tls::Identity {
        &self.tls
    }
}

/// Reads the gateway's own roots without any key: for commands that verify what the daemon says.
///
/// # Errors
///
/// Says what is missing or does not hold together.
pub fn own_root(home: &Path) -> Result<TrustedRoot, IdentityError> {
    Ok(roots(&home.join(ROOT))?.0)
}

/// Where the key of an offline role is, unless the operator moved it.
#[must_use]
pub fn offline_key(home: &Path, role: Role) -> PathBuf {
    home.join(OFFLINE).join(key_file_name(role))
}

/// The key of an offline role that a root names, wherever it lies in `directory`; of several the latest.
///
/// # Errors
///
/// [`IdentityError::ForeignKey`] when the root names none of the directory's keys, and as [`load_key`].
pub fn named_key(
    directory: &Path,
    root: &Root,
    role: Role,
    now: Timestamp,
) -> Result<KeySigner, IdentityError> {
    let mut found: Option<(Timestamp, KeySigner)> = None;
    let mut foreign = None;
    for path in online::key_files(directory, role)? {
        let signer = load_key(&path, role)?;
        let holders = root.roles.get(&role);
        let named = holders.is_some_and(|holders| holders.keyids.contains(signer.kid()));
        match root.keys.get(signer.kid()).filter(|key| named && key.nbf <= now && now < key.exp) {
            Some(key) if found.as_ref().is_none_or(|(nbf, _)| *nbf < key.nbf) => {
                found = Some((key.nbf, signer));
            }
            Some(_) => {}
            None => foreign = Some(signer.kid().clone()),
        }
    }
    match (found, foreign) {
        (Some((_, signer)), _) => Ok(signer),
        (None, Some(kid)) => Err(IdentityError::ForeignKey { kid, role }),
        (None, None) => {
            Err(file_fault(&directory.join(key_file_name(role)))(io::ErrorKind::NotFound.into()))
        }
    }
}

/// Reads one key from its file, bound to its role. For keys without a passphrase, as the daemon's are.
///
/// # Errors
///
/// Refuses a file that others may read or change, and the key of another role.
pub fn load_key(path: &Path, role: Role) -> Result<KeySigner, IdentityError> {
    KeyFile::read(path)?.of_role(role)?.open(None)
}

/// Makes a later key of a role in `directory`, in a file named after it, readable by its owner only.
///
/// # Errors
///
/// When it cannot be written.
pub fn make_later_key(
    directory: &Path,
    role: Role,
    entropy: &dyn Entropy,
) -> Result<KeySigner, IdentityError> {
    make_later_key_under(directory, role, None, entropy)
}

/// As [`make_later_key`], under a passphrase where there is one.
///
/// # Errors
///
/// As [`make_later_key`].
pub fn make_later_key_under(
    directory: &Path,
    role: Role,
    passphrase: Option<&Passphrase>,
    entropy: &dyn Entropy,
) -> Result<KeySigner, IdentityError> {
    let place = |kid: &KeyId| online::later_key_file(directory, role, kid);
    KeyFile::create_at(place, role, passphrase, entropy)
}

/// A root with the signature of each of these keys; `None` where there is no key.
///
/// # Errors
///
/// Refuses a key of another role, and one key twice.
pub fn sign_root(root: &Root, signers: &[KeySigner]) -> Result<Option<Envelope>, IdentityError> {
    let mut signed: Option<Envelope> = None;
    for signer in signers {
        let one = sign_typed(signer, root)?;
        signed = Some(match signed {
            Some(others) => others.join(one).map_err(IdentityError::RootNotJoined)?,
            None => one,
        });
    }
    Ok(signed)
}

fn roots(directory: &Path) -> Result<(TrustedRoot, Vec<Envelope>), IdentityError> {
    let mut chain = Vec::new();
    loop {
        let path = directory.join(format!("{}.json", chain.len() + 1));
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !chain.is_empty() => break,
            Err(error) => return Err(file_fault(&path)(error)),
        };
        let root = Envelope::parse(&bytes)
            .map_err(|fault| IdentityError::NotARoot { path: path.clone(), fault })?;
        chain.push(root);
    }
    let bad =
        |fault| IdentityError::BadRoots { path: directory.to_path_buf(), fault: Box::new(fault) };
    let genesis = chain.first().ok_or(RootError::Empty).map_err(bad)?;
    let root = TrustedRoot::restore(&chain, &gateway_id(&genesis.digest())).map_err(bad)?;
    Ok((root, chain))
}

fn private_directory(path: &Path) -> Result<(), IdentityError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(file_fault(path))?;
    check_closed(path)
}

/// Checks that a directory is this user's and nobody else's.
///
/// # Errors
///
/// Says whose it is, or that others may open it.
pub fn check_closed(path: &Path) -> Result<(), IdentityError> {
    let found = fs::metadata(path).map_err(file_fault(path))?;
    let (owner, user) = (found.uid(), rustix::process::geteuid().as_raw());
    if owner != user {
        return Err(IdentityError::NotOurs { path: path.to_path_buf(), owner, user });
    }
    let mode = found.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 || planted!("key_directory_ignored") {
        Ok(())
    } else {
        Err(IdentityError::Exposed { path: path.to_path_buf(), mode })
    }
}

fn file_fault(path: &Path) -> impl Fn(io::Error) -> IdentityError {
    let path = path.to_path_buf();
    move |fault| IdentityError::File { path: path.clone(), fault }
}

fn key_file_name(role: Role) -> String {
    format!("{role}.key")
}

/// Where online keys are, inside a home.
pub const KEYS: &str = "keys";
/// Where offline keys are, inside a home, unless the operator moved them.
pub const OFFLINE: &str = "offline";
const ROOT: &str = "root";
/// Where the TLS identities are, inside a home.
pub const TLS: &str = "tls";
/// In the order in which they are put in place: a home with keys is complete.
const PARTS: [&str; 4] = [OFFLINE, ROOT, TLS, KEYS];
const DRAFT: &str = ".new-identity";
/// A whole identity that is being moved into its place.
const MADE: &str = ".whole-identity";
/// A year, so that renewal has a rhythm that people keep; the contract allows 400 days.
pub const ROOT_LIFE_MS: i64 = 365 * 24 * 3_600_000;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::clock::SeededEntropy;

    fn made() -> (tempfile::TempDir, GatewayId) {
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let endpoints = vec![EndpointUrl::new("https://127.0.0.1:7443").unwrap()];
        let new = NewIdentity { endpoints, now: Timestamp(1_700_000_000_000) };
        let id = Identity::create(home.path(), &new, &SeededEntropy::new(1)).unwrap();
        (home, id)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn what_was_made_is_read_back_and_pins_its_certificate() {
        let (home, id) = made();
        let identity = Identity::load(home.path()).unwrap();
        assert_eq!(*identity.gateway(), id);
        let endpoint = &identity.root().root().endpoints[0];
        assert_eq!(endpoint.tls_spki.unwrap().as_bytes(), identity.tls().spki().as_bytes());
        assert_eq!(identity.root().root().roles.len(), Role::ALL.len());
        assert!(!home.path().join(DRAFT).exists() && !home.path().join(MADE).exists());
    }

    #[test]
    fn secrets_are_closed_to_others() {
        let (home, _) = made();
        for place in [KEYS, OFFLINE, TLS] {
            assert_eq!(mode(&home.path().join(place)), 0o700);
            for entry in fs::read_dir(home.path().join(place)).unwrap() {
                assert_eq!(mode(&entry.unwrap().path()), 0o600);
            }
        }
    }

    #[test]
    fn an_open_key_or_directory_is_refused() {
        let (home, _) = made();
        let key = home.path().join("keys/stream.key");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            Identity::load(home.path()),
            Err(IdentityError::Exposed { mode: 0o640, .. })
        ));
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        fs::set_permissions(home.path().join(KEYS), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(
            Identity::load(home.path()),
            Err(IdentityError::Exposed { mode: 0o755, .. })
        ));
    }

    #[test]
    fn the_daemon_runs_without_the_offline_keys() {
        let (home, id) = made();
        fs::remove_dir_all(home.path().join(OFFLINE)).unwrap();
        assert_eq!(*Identity::load(home.path()).unwrap().gateway(), id);
    }

    #[test]
    fn keys_are_never_overwritten() {
        let (home, id) = made();
        let new = NewIdentity { endpoints: Vec::new(), now: Timestamp(1_700_000_000_001) };
        let again = || Identity::create(home.path(), &new, &SeededEntropy::new(2));
        assert!(matches!(again(), Err(IdentityError::Exists { .. })));
        assert_eq!(*Identity::load(home.path()).unwrap().gateway(), id);
        // Whatever is left of an identity is enough to refuse.
        for part in [KEYS, TLS, ROOT] {
            fs::remove_dir_all(home.path().join(part)).unwrap();
            assert!(matches!(again(), Err(IdentityError::Exists { .. })), "{part}");
        }
    }

    #[test]
    fn a_key_in_another_keys_place_is_refused() {
        let (home, _) = made();
        let keys = home.path().join(KEYS);
        fs::copy(keys.join("request.key"), keys.join("stream.key")).unwrap();
        let loaded = Identity::load(home.path());
        assert!(matches!(loaded, Err(IdentityError::NotTheKey { role: Role::Stream, .. })));
    }

    #[test]
    fn a_key_that_the_root_does_not_name_is_refused() {
        let (home, _) = made();
        let key = home.path().join("keys/stream.key");
        fs::remove_file(&key).unwrap();
        KeyFile::create(&key, Role::Stream, None, &SeededEntropy::new(9)).unwrap();
        let loaded = Identity::load(home.path());
        assert!(matches!(loaded, Err(IdentityError::ForeignKey { role: Role::Stream, .. })));
    }

    #[test]
    fn a_changed_root_is_refused() {
        let (home, _) = made();
        let path = home.path().join("root/1.json");
        let text = fs::read_to_string(&path).unwrap().replacen("\"sig\":\"", "\"sig\":\"A", 1);
        fs::write(&path, text).unwrap();
        assert!(Identity::load(home.path()).is_err());
    }

    #[test]
    fn offline_keys_are_read_only_by_name() {
        let (home, _) = made();
        let path = offline_key(home.path(), Role::Policy);
        assert!(load_key(&path, Role::Policy).is_ok());
        assert!(matches!(load_key(&path, Role::Root), Err(IdentityError::NotTheKey { .. })));
    }
}
