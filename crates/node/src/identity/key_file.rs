//! One secret key in one file of one line, readable or under a passphrase.
//!
//! ```text
//! landbridge-key-v1 ROLE SEED
//! landbridge-sealed-key-v1 ROLE KID COST SALT SEALED
//! ```
//!
//! In place of a role stands `operator` in the file of a person's own key.
//!
//! Reading and opening are two steps: a ceremony has to know whose key a file holds before it asks
//! anybody for a passphrase. What comes out of the second step is a signer that is bound to its role; the
//! 32 bytes themselves never leave this module.

use std::fmt;
use std::path::{Path, PathBuf};

use data_encoding::BASE64URL_NOPAD;
use landbridge_proto::trust::key::SecretKey;
use landbridge_proto::trust::signer::{KeySigner, Signer as _};
use landbridge_proto::wire::kind::{Role, SignedBy};
use landbridge_proto::wire::name::KeyId;
use zeroize::Zeroizing;

use super::sealed::{self, Cost, Passphrase, SealFault, Sealed, Seed};
use super::{IdentityError, file_fault};
use crate::clock::Entropy;
use crate::net::file::{self, ReadError};

/// A key file that was read and is what it should be. Its secret is in it and is never printed.
pub struct KeyFile {
    path: PathBuf,
    holder: SignedBy,
    kid: KeyId,
    held: Held,
}

enum Held {
    Readable(Seed),
    Sealed(Sealed),
}

impl KeyFile {
    /// Reads a key file.
    ///
    /// # Errors
    ///
    /// Refuses a file that others may read or change, that is no plain file, or that holds no key.
    pub fn read(path: &Path) -> Result<Self, IdentityError> {
        let named = path.to_path_buf();
        let text = file::read_private(path).map_err(|error| match error {
            ReadError::Io(fault) => IdentityError::File { path: named.clone(), fault },
            ReadError::Exposed { mode } => IdentityError::Exposed { path: named.clone(), mode },
            ReadError::NotOurs { owner, user } => {
                IdentityError::NotOurs { path: named.clone(), owner, user }
            }
            ReadError::NotAFile => IdentityError::NotAFile { path: named.clone() },
        })?;
        if text.starts_with(sealed::PREFIX) {
            let (sealed, holder, kid) = Sealed::parse(&text)
                .map_err(|fault| IdentityError::NotOpened { path: named.clone(), fault })?;
            return Ok(Self { path: named, holder, kid, held: Held::Sealed(sealed) });
        }
        match readable(&text) {
            Some((holder, seed)) => {
                let kid = SecretKey::from_seed(&seed).kid().clone();
                Ok(Self { path: named, holder, kid, held: Held::Readable(seed) })
            }
            None => Err(IdentityError::NotAKey { path: named }),
        }
    }

    /// Makes a new key for a role, or for an operator.
    ///
    /// # Errors
    ///
    /// Says what could not be written. A file that exists is never overwritten.
    pub fn create(
        path: &Path,
        holder: impl Into<SignedBy>,
        passphrase: Option<&Passphrase>,
        entropy: &dyn Entropy,
    ) -> Result<KeySigner, IdentityError> {
        Self::create_at(|_| path.to_path_buf(), holder, passphrase, entropy)
    }

    /// As [`KeyFile::create`], where the key's id says in which file.
    ///
    /// # Errors
    ///
    /// As [`KeyFile::create`].
    pub fn create_at(
        place: impl FnOnce(&KeyId) -> PathBuf,
        holder: impl Into<SignedBy>,
        passphrase: Option<&Passphrase>,
        entropy: &dyn Entropy,
    ) -> Result<KeySigner, IdentityError> {
        let holder = holder.into();
        let mut seed = Seed::default();
        entropy.fill(&mut *seed);
        let signer = signer(&seed, holder);
        let path = place(signer.kid());
        if path.symlink_metadata().is_ok() {
            return Err(IdentityError::Exists { path });
        }
        write(&path, holder, &seed, passphrase, entropy)?;
        Ok(signer)
    }

    /// The same file, if its key is for this role.
    ///
    /// # Errors
    ///
    /// [`IdentityError::NotTheKey`].
    pub fn of_role(self, role: Role) -> Result<Self, IdentityError> {
        if self.holder == SignedBy::Role(role) {
            Ok(self)
        } else {
            Err(IdentityError::NotTheKey { path: self.path, role })
        }
    }

    /// The same file, if its key is an operator's.
    ///
    /// # Errors
    ///
    /// [`IdentityError::NotAnOperators`].
    pub fn of_operator(self) -> Result<Self, IdentityError> {
        if self.holder == SignedBy::Operator {
            Ok(self)
        } else {
            Err(IdentityError::NotAnOperators { path: self.path })
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose key the file says it is. A sealed file's word is checked when it is opened.
    #[must_use]
    pub const fn holder(&self) -> SignedBy {
        self.holder
    }

    /// [`KeyFile::holder`] in one word: a role's name, or `operator`.
    #[must_use]
    pub const fn holder_word(&self) -> &'static str {
        sealed::holder_word(self.holder)
    }

    /// The id that the file says. A sealed file's word is checked when it is opened.
    #[must_use]
    pub const fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// A passphrase opens it.
    #[must_use]
    pub const fn is_sealed(&self) -> bool {
        matches!(self.held, Held::Sealed(_))
    }

    /// The key, to sign with. A readable file needs no passphrase and ignores one.
    ///
    /// # Errors
    ///
    /// Refuses a missing or wrong passphrase, and a file that holds another key than it says.
    pub fn open(&self, passphrase: Option<&Passphrase>) -> Result<KeySigner, IdentityError> {
        Ok(signer(&self.seed(passphrase)?, self.holder))
    }

    /// Writes the same key to the same place under another passphrase, or under none.
    ///
    /// The old file is replaced; a medium that remembers may still hold what it was.
    ///
    /// # Errors
    ///
    /// As [`KeyFile::open`], and says what could not be written; the old file is then as it was.
    pub fn rewrite(
        &self,
        passphrase: Option<&Passphrase>,
        new: Option<&Passphrase>,
        entropy: &dyn Entropy,
    ) -> Result<(), IdentityError> {
        write(&self.path, self.holder, &self.seed(passphrase)?, new, entropy)
    }

    fn seed(&self, passphrase: Option<&Passphrase>) -> Result<Seed, IdentityError> {
        let sealed = match &self.held {
            Held::Readable(seed) => return Ok(seed.clone()),
            Held::Sealed(sealed) => sealed,
        };
        let path = || self.path.clone();
        let passphrase =
            passphrase.ok_or_else(|| IdentityError::PassphraseMissing { path: path() })?;
        let not_opened = |fault| IdentityError::NotOpened { path: path(), fault };
        let seed = sealed.open(passphrase).map_err(not_opened)?;
        if *SecretKey::from_seed(&seed).kid() != self.kid {
            return Err(not_opened(SealFault::NotOpened));
        }
        Ok(seed)
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyFile")
            .field("path", &self.path)
            .field("holder", &self.holder_word())
            .field("kid", &self.kid)
            .field("sealed", &self.is_sealed())
            .finish_non_exhaustive()
    }
}

fn signer(seed: &Seed, holder: SignedBy) -> KeySigner {
    KeySigner::new(SecretKey::from_seed(seed), holder)
}

fn readable(text: &str) -> Option<(SignedBy, Seed)> {
    let mut words = text.strip_suffix('\n')?.strip_prefix(READABLE)?.split(' ');
    let holder = sealed::holder_called(words.next()?)?;
    let bytes = Zeroizing::new(BASE64URL_NOPAD.decode(words.next()?.as_bytes()).ok()?);
    let mut seed = Seed::default();
    if words.next().is_some() || bytes.len() != seed.len() {
        return None;
    }
    seed.copy_from_slice(&bytes);
    Some((holder, seed))
}

fn write(
    path: &Path,
    holder: SignedBy,
    seed: &Seed,
    passphrase: Option<&Passphrase>,
    entropy: &dyn Entropy,
) -> Result<(), IdentityError> {
    let line = match passphrase {
        Some(passphrase) => {
            let kid = SecretKey::from_seed(seed).kid().clone();
            Zeroizing::new(
                sealed::seal(seed, holder, &kid, passphrase, COST, entropy).map_err(|fault| {
                    IdentityError::NotOpened { path: path.to_path_buf(), fault }
                })?,
            )
        }
        None => {
            let encoded = Zeroizing::new(BASE64URL_NOPAD.encode(&**seed));
            let mut line = Zeroizing::new(String::with_capacity(128));
            for part in [READABLE, sealed::holder_word(holder), " ", encoded.as_str(), "\n"] {
                line.push_str(part);
            }
            line
        }
    };
    file::write_private(path, line.as_bytes()).map_err(file_fault(path))
}

/// What keys in files cost; those of unit tests guard nothing.
const COST: Cost = if cfg!(test) { Cost::LEAST } else { Cost::DEFAULT };
/// Begins every line of a readable key.
const READABLE: &str = "landbridge-key-v1 ";

#[cfg(test)]
mod tests;
