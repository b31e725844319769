//! SSH keys and their signatures over files (OpenSSH, `PROTOCOL.sshsig` and `PROTOCOL.u2f`).
//!
//! A reader of our own, because little of the format is wanted: one algorithm, one namespace, one hash, and no
//! certificates. A library for SSH reads all of it, and brings the choice of algorithm by message with it.

use landbridge_planted::planted;
use sha2::{Digest as _, Sha256, Sha512};

use crate::wire::approval::{KeyMethod, OperatorKey, SSH_NAMESPACE, raw};
use crate::wire::base64;
use crate::wire::key::PublicKey;
use crate::wire::limit;

/// Why bytes are no SSH key or signature that counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadSsh {
    /// Not the form: cut short, too long, or of another version.
    #[error("not the form of an SSH {what}")]
    Form {
        /// What was read.
        what: &'static str,
    },
    /// A key or a signature of another algorithm.
    #[error("an algorithm other than the key's")]
    Algorithm,
    /// No Ed25519 key that is admitted.
    #[error("the key is no admitted Ed25519 key")]
    Key,
    /// Another key than the credential's.
    #[error("signed with another key")]
    OtherKey,
    /// Made for something else.
    #[error("made in another namespace than {SSH_NAMESPACE}")]
    Namespace,
    /// The message was hashed with something else.
    #[error("the message is not hashed with sha512")]
    Hash,
    /// Made for another application than the credential's.
    #[error("made for another application")]
    Application,
    /// Nobody touched the security key.
    #[error("nobody was present at the security key")]
    NobodyPresent,
    /// The signature does not hold.
    #[error("the signature does not hold")]
    Forged,
}

/// What the blob of an SSH public key says.
struct Blob<'a> {
    public: &'a [u8],
    /// Of a security key.
    application: Option<&'a [u8]>,
}

/// Checks the bytes of an SSHSIG over `message`.
//= APR-20
pub(super) fn check(
    message: &[u8],
    key: &OperatorKey,
    public: &PublicKey,
    sshsig: &[u8],
) -> Result<(), BadSsh> {
    let mut rest = Reader { bytes: sshsig, what: "signature" };
    if rest.take(MAGIC.len())? != MAGIC || rest.number()? != VERSION {
        return Err(rest.bad());
    }
    let blob = Blob::read(rest.string()?)?;
    let (namespace, reserved, hash) = (rest.string()?, rest.string()?, rest.string()?);
    let signature = rest.string()?;
    rest.end()?;
    if blob.application.is_some() != (key.kind == KeyMethod::SshSk) {
        return Err(BadSsh::Algorithm);
    }
    if blob.public != public.as_bytes() && !planted!("ssh_key_unchecked") {
        return Err(BadSsh::OtherKey);
    }
    if namespace != SSH_NAMESPACE.as_bytes() && !planted!("ssh_namespace_unchecked") {
        return Err(BadSsh::Namespace);
    }
    if !reserved.is_empty() {
        return Err(BadSsh::Form { what: "signature" });
    }
    let digest = match hash {
        b"sha512" => Sha512::digest(message).to_vec(),
        b"sha256" if planted!("ssh_hash_unchecked") => Sha256::digest(message).to_vec(),
        _ => return Err(BadSsh::Hash),
    };
    let mut signed = MAGIC.to_vec();
    for part in [namespace, reserved, hash, &digest] {
        put_string(&mut signed, part);
    }
    match blob.application {
        None => plain(public, &signed, signature),
        Some(application) => {
            let expected = key.application.as_deref().unwrap_or_default();
            if application != expected.as_bytes() && !planted!("ssh_application_unchecked") {
                return Err(BadSsh::Application);
            }
            by_security_key(public, application, &signed, signature)
        }
    }
}

fn plain(public: &PublicKey, signed: &[u8], signature: &[u8]) -> Result<(), BadSsh> {
    let mut rest = Reader { bytes: signature, what: "signature" };
    if rest.string()? != PLAIN {
        return Err(BadSsh::Algorithm);
    }
    let sig = rest.fixed()?;
    rest.end()?;
    public.check(signed, &sig).map_err(|_| BadSsh::Forged)
}

/// A security key signs the application, its flags and its counter together with the message.
fn by_security_key(
    public: &PublicKey,
    application: &[u8],
    signed: &[u8],
    signature: &[u8],
) -> Result<(), BadSsh> {
    let mut rest = Reader { bytes: signature, what: "signature" };
    if rest.string()? != SECURITY_KEY {
        return Err(BadSsh::Algorithm);
    }
    let sig = rest.fixed()?;
    let flags = rest.take(1)?;
    let counter = rest.take(4)?;
    rest.end()?;
    if flags[0] & USER_PRESENT == 0 && !planted!("ssh_presence_unchecked") {
        return Err(BadSsh::NobodyPresent);
    }
    let mut whole = Sha256::digest(application).to_vec();
    whole.extend_from_slice(flags);
    whole.extend_from_slice(counter);
    whole.extend_from_slice(&Sha256::digest(signed));
    public.check(&whole, &sig).map_err(|_| BadSsh::Forged)
}

/// The key of a line as `ssh-keygen` writes it: `ssh-ed25519 AAAA… comment`, or one of a security key.
///
/// # Errors
///
/// [`BadSsh`]; keys of other algorithms are none that operators use here.
pub fn public_key(line: &str) -> Result<raw::OperatorKey, BadSsh> {
    let form = BadSsh::Form { what: "public key" };
    let mut words = line.split_ascii_whitespace();
    let (kind, blob) = words.next().zip(words.next()).ok_or(form)?;
    let bytes = base64::decode(blob).map_err(|_| form)?;
    let blob = Blob::read(&bytes)?;
    let named = if blob.application.is_some() { SECURITY_KEY } else { PLAIN };
    if kind.as_bytes() != named {
        return Err(BadSsh::Algorithm);
    }
    let public = <&[u8; 32]>::try_from(blob.public).map_err(|_| BadSsh::Key)?;
    let public = PublicKey::admit(public).map_err(|_| BadSsh::Key)?;
    let Some(application) = blob.application else {
        return Ok(OperatorKey::ed25519(KeyMethod::Ssh, &public, None));
    };
    let application = String::from_utf8(application.to_vec()).map_err(|_| form)?;
    Ok(OperatorKey::ed25519(KeyMethod::SshSk, &public, Some(application)))
}

/// The bytes of an SSHSIG in the armour that `ssh-keygen -Y sign` puts around them.
///
/// # Errors
///
/// [`BadSsh::Form`].
pub fn without_armour(text: &str) -> Result<Vec<u8>, BadSsh> {
    let form = BadSsh::Form { what: "signature" };
    let mut lines = text.trim_ascii().lines().map(str::trim_ascii_end);
    if lines.next() != Some(BEGIN) || text.len() > 2 * limit::PROOF_BYTES_MAX {
        return Err(form);
    }
    let mut body = String::new();
    for line in lines.by_ref() {
        if line == END {
            return match lines.next() {
                None => base64::decode(&body).map_err(|_| form),
                Some(_) => Err(form),
            };
        }
        body.push_str(line);
    }
    Err(form)
}

impl<'a> Blob<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, BadSsh> {
        let mut rest = Reader { bytes, what: "public key" };
        let application = match rest.string()? {
            PLAIN => false,
            SECURITY_KEY => true,
            _ => return Err(BadSsh::Algorithm),
        };
        let public = rest.string()?;
        let application = if application { Some(rest.string()?) } else { None };
        rest.end()?;
        Ok(Self { public, application })
    }
}

/// Reads SSH's length-prefixed fields (RFC 4251, section 5).
struct Reader<'a> {
    bytes: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], BadSsh> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or_else(|| self.bad())?;
        self.bytes = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u32, BadSsh> {
        let bytes = <[u8; 4]>::try_from(self.take(4)?).map_err(|_| self.bad())?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn string(&mut self) -> Result<&'a [u8], BadSsh> {
        let length = usize::try_from(self.number()?).map_err(|_| self.bad())?;
        self.take(length)
    }

    /// An Ed25519 signature.
    fn fixed(&mut self) -> Result<[u8; 64], BadSsh> {
        <[u8; 64]>::try_from(self.string()?).map_err(|_| self.bad())
    }

    fn end(&self) -> Result<(), BadSsh> {
        if self.bytes.is_empty() { Ok(()) } else { Err(self.bad()) }
    }

    const fn bad(&self) -> BadSsh {
        BadSsh::Form { what: self.what }
    }
}

fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}

const MAGIC: &[u8] = b"SSHSIG";
const VERSION: u32 = 1;
const PLAIN: &[u8] = b"ssh-ed25519";
const SECURITY_KEY: &[u8] = b"sk-ssh-ed25519@openssh.com";
const USER_PRESENT: u8 = 1;
const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const END: &str = "-----END SSH SIGNATURE-----";

#[cfg(test)]
mod tests;
