//! A key under a passphrase: one line of text that says how it was made.
//!
//! ```text
//! landbridge-sealed-key-v1 ROLE KID argon2id,m=65536,t=3,p=4 SALT SEALED
//! ```
//!
//! Argon2id (RFC 9106) makes a key and a nonce of passphrase and salt, and ChaCha20-Poly1305
//! (RFC 8439) seals the 32 bytes of the secret key with them. The salt is new with every sealing, so
//! the pair is used once. Everything before the sealed bytes is bound to them: a line whose role, key
//! id, cost or salt was changed does not open. The id of the key is readable, so that a ceremony can
//! say which keys it waits for without asking for a passphrase, and it is compared with the key that
//! comes out.
//!
//! The cost stands in the line and the line may be hostile (a stick that somebody handed over), so it
//! is bounded before any memory is taken. Nothing is read from a passphrase but its bytes: no case
//! folding and no normalisation.

use std::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use data_encoding::BASE64URL_NOPAD;
use landbridge_planted::planted;
use landbridge_proto::wire::kind::{Role, SignedBy};
use landbridge_proto::wire::name::KeyId;
use zeroize::{Zeroize as _, Zeroizing};

use crate::clock::Entropy;

/// The 32 bytes that a secret key grows from.
pub(super) type Seed = Zeroizing<[u8; 32]>;

/// What a person knows and a thief of the file does not. Zeroized when dropped, never printed.
pub struct Passphrase(Zeroizing<String>);

/// Why a text is no passphrase.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidPassphrase {
    /// Short enough to be guessed.
    #[error(
        "a passphrase has at least {min} characters; four words of a dictionary make a good one"
    )]
    TooShort {
        /// The fewest characters allowed.
        min: usize,
    },
    /// Longer than anybody types.
    #[error("a passphrase has at most {max} bytes")]
    TooLong {
        /// The most bytes allowed.
        max: usize,
    },
    /// With a line feed or another control character, which no terminal lets a person type.
    #[error("a passphrase is one line without control characters")]
    ControlCharacter,
}

impl Passphrase {
    /// A passphrase from what was typed or read, without its line end.
    ///
    /// # Errors
    ///
    /// Refuses one that is too short, too long or more than one line.
    pub fn new(text: Zeroizing<String>) -> Result<Self, InvalidPassphrase> {
        if text.chars().count() < PASSPHRASE_CHARS_MIN {
            return Err(InvalidPassphrase::TooShort { min: PASSPHRASE_CHARS_MIN });
        }
        if text.len() > PASSPHRASE_BYTES_MAX {
            return Err(InvalidPassphrase::TooLong { max: PASSPHRASE_BYTES_MAX });
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidPassphrase::ControlCharacter);
        }
        Ok(Self(text))
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(secret)")
    }
}

/// What deriving a key costs: memory in KiB, passes, lanes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    /// RFC 9106's second recommendation, for machines that do not have 2 GiB to spare.
    pub(super) const DEFAULT: Self = Self { memory_kib: 65_536, passes: 3, lanes: 4 };

    /// The least that is accepted.
    pub(super) const LEAST: Self = Self { memory_kib: 8192, passes: 1, lanes: 1 };

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix("argon2id,m=")?.split(',');
        let memory_kib = number(parts.next()?)?;
        let passes = number(parts.next()?.strip_prefix("t=")?)?;
        let lanes = number(parts.next()?.strip_prefix("p=")?)?;
        if parts.next().is_some() {
            return None;
        }
        Some(Self { memory_kib, passes, lanes })
    }

    /// Within what anybody may ask of this machine.
    fn is_bounded(self) -> bool {
        (Self::LEAST.memory_kib..=MEMORY_KIB_MAX).contains(&self.memory_kib)
            && (1..=PASSES_MAX).contains(&self.passes)
            && (1..=LANES_MAX).contains(&self.lanes)
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "argon2id,m={},t={},p={}", self.memory_kib, self.passes, self.lanes)
    }
}

/// A number in its one spelling.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number: &u32| number.to_string() == text)
}

/// A sealed key as it was read.
#[derive(Clone, Debug)]
pub(super) struct Sealed {
    /// The line up to the sealed bytes: what is bound to them.
    head: String,
    cost: Cost,
    salt: [u8; SALT_BYTES],
    sealed: Vec<u8>,
}

/// Why a sealed key stays shut.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SealFault {
    /// The line is not one of this form.
    #[error("the line is not a key under a passphrase")]
    Malformed,
    /// It asks for more than this machine gives to a file.
    #[error("the file asks for more memory or time than a key may cost")]
    CostUnbounded,
    /// Another passphrase, or a line that was changed.
    #[error("the passphrase is wrong, or the file was changed")]
    NotOpened,
    /// The library could not do it.
    #[error("the key could not be derived")]
    NotDerived,
}

/// Seals a seed; the result is the file's whole line.
pub(super) fn seal(
    seed: &Seed,
    holder: SignedBy,
    kid: &KeyId,
    passphrase: &Passphrase,
    cost: Cost,
    entropy: &dyn Entropy,
) -> Result<String, SealFault> {
    let mut salt = [0_u8; SALT_BYTES];
    entropy.fill(&mut salt);
    let salted = BASE64URL_NOPAD.encode(&salt);
    let head = format!("{PREFIX}{} {kid} {cost} {salted} ", holder_word(holder));
    let (key, nonce) = derive(passphrase, &salt, cost)?;
    // Room for the tag from the start: a vector that grows would leave a copy of the seed behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(SEALED_BYTES));
    bytes.extend_from_slice(&**seed);
    let tag = key
        .seal_in_place_separate_tag(nonce, Aad::from(bound(&head)), &mut bytes)
        .map_err(|_| SealFault::NotDerived)?;
    bytes.extend_from_slice(tag.as_ref());
    Ok(format!("{head}{}\n", BASE64URL_NOPAD.encode(&bytes)))
}

impl Sealed {
    /// Reads a line, and whose key it says it holds.
    pub(super) fn parse(text: &str) -> Result<(Self, SignedBy, KeyId), SealFault> {
        let (sealed, holder, kid) = Self::read(text).ok_or(SealFault::Malformed)?;
        if !sealed.cost.is_bounded() && !planted!("key_cost_unbounded") {
            return Err(SealFault::CostUnbounded);
        }
        Ok((sealed, holder, kid))
    }

    fn read(text: &str) -> Option<(Self, SignedBy, KeyId)> {
        let line = text.strip_suffix('\n')?;
        let (head, sealed) = line.split_at(line.rfind(' ')? + 1);
        let mut words = head.strip_prefix(PREFIX)?.strip_suffix(' ')?.split(' ');
        let holder = holder_called(words.next()?)?;
        let kid = KeyId::new(words.next()?).ok()?;
        let cost = Cost::parse(words.next()?)?;
        let salt = BASE64URL_NOPAD.decode(words.next()?.as_bytes()).ok()?;
        if words.next().is_some() {
            return None;
        }
        let sealed = BASE64URL_NOPAD.decode(sealed.as_bytes()).ok()?;
        if sealed.len() != SEALED_BYTES {
            return None;
        }
        let salt = <[u8; SALT_BYTES]>::try_from(salt).ok()?;
        Some((Self { head: head.to_owned(), cost, salt, sealed }, holder, kid))
    }

    /// Opens it.
    pub(super) fn open(&self, passphrase: &Passphrase) -> Result<Seed, SealFault> {
        let (key, nonce) = derive(passphrase, &self.salt, self.cost)?;
        let mut bytes = Zeroizing::new(self.sealed.clone());
        let seed = key
            .open_in_place(nonce, Aad::from(bound(&self.head)), &mut bytes)
            .map_err(|_| SealFault::NotOpened)?;
        if planted!("no_sealed_key_opens") {
            return Err(SealFault::NotOpened);
        }
        let mut opened = Seed::default();
        if seed.len() != opened.len() {
            return Err(SealFault::NotOpened);
        }
        opened.copy_from_slice(seed);
        Ok(opened)
    }
}

/// What the sealed bytes are bound to.
fn bound(head: &str) -> &[u8] {
    if planted!("sealed_head_unbound") { b"" } else { head.as_bytes() }
}

/// The key and the nonce that passphrase and salt make.
fn derive(
    passphrase: &Passphrase,
    salt: &[u8; SALT_BYTES],
    cost: Cost,
) -> Result<(LessSafeKey, Nonce), SealFault> {
    let mut made = Zeroizing::new([0_u8; KEY_BYTES + NONCE_BYTES]);
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(made.len()))
        .map_err(|_| SealFault::NotDerived)?;
    // Ours and not the library's, so that it is certain that it is wiped.
    let mut memory = vec![Block::new(); params.block_count()];
    let derived = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(passphrase.0.as_bytes(), salt, &mut *made, &mut memory);
    memory.zeroize();
    derived.map_err(|_| SealFault::NotDerived)?;
    let (key, nonce) = made.split_at(KEY_BYTES);
    let key = UnboundKey::new(&CHACHA20_POLY1305, key).map_err(|_| SealFault::NotDerived)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealFault::NotDerived)?;
    Ok((LessSafeKey::new(key), nonce))
}

/// The word for whose key a file holds.
pub(super) const fn holder_word(holder: SignedBy) -> &'static str {
    match holder {
        SignedBy::Role(role) => role.as_str(),
        SignedBy::FederationRoot => "federation-root",
        SignedBy::Operator => "operator",
    }
}

/// Whose key a file of this word holds. A federation root's key is in a file of its own form.
pub(super) fn holder_called(word: &str) -> Option<SignedBy> {
    let roles = Role::ALL.into_iter().map(SignedBy::Role);
    roles.chain([SignedBy::Operator]).find(|holder| holder_word(*holder) == word)
}

/// Begins every line of this form.
pub(super) const PREFIX: &str = "landbridge-sealed-key-v1 ";
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
const SALT_BYTES: usize = 16;
/// A seed and the tag.
const SEALED_BYTES: usize = 32 + 16;
/// 256 MiB: four times the default, so that a later default is still read here.
const MEMORY_KIB_MAX: u32 = 262_144;
const PASSES_MAX: u32 = 10;
const LANES_MAX: u32 = 16;
/// NIST SP 800-63B asks for 15 where nothing else protects; a passphrase here has the file beside it.
const PASSPHRASE_CHARS_MIN: usize = 12;
const PASSPHRASE_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests;
