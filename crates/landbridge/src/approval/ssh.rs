//! SSH keys as operators have them: read from the files that OpenSSH writes, used through `ssh-keygen`.
//!
//! The secret half is never read here. `ssh-keygen` asks for a passphrase, speaks with the agent and waits for the
//! touch of a security key; what comes back is a signature. The public half is read from the `.pub` file, or from
//! the readable part of the private file, so that nobody is asked for a passphrase before they saw what about.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use data_encoding::BASE64;
use landbridge_proto::wire::approval::{KeyMethod, SSH_NAMESPACE};
use landbridge_proto::wire::base64;
use landbridge_proto::wire::key::PublicKey;

use crate::exit::{Exit, Failure, OrFail as _};

/// The public half of an SSH key that can sign approvals.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct SshPublic {
    /// The Ed25519 key.
    pub(crate) key: PublicKey,
    /// What a security key signs for; `None` for a key without one.
    pub(crate) application: Option<String>,
}

impl SshPublic {
    /// What kind of operator's key it is.
    pub(crate) const fn method(&self) -> KeyMethod {
        if self.application.is_some() { KeyMethod::SshSk } else { KeyMethod::Ssh }
    }

    /// The public half of a private or public key's file; `None`: the file is no SSH key.
    pub(crate) fn of_file(path: &Path) -> Result<Option<Self>, Failure> {
        let cannot = || format!("cannot read the key {}", path.display());
        let bytes = std::fs::read(path).or_fail(Exit::Usage, cannot)?;
        let Ok(text) = std::str::from_utf8(&bytes) else { return Ok(None) };
        match Self::of_text(text) {
            Read::Key(key) => Ok(Some(key)),
            Read::NoSshKey => Ok(None),
            Read::OtherKind(kind) => Err(Failure::new(
                Exit::Failed,
                format!("{} is a key of the kind {kind}", path.display()),
            )
            .why("approvals are signed with Ed25519 keys")
            .next("ssh-keygen -t ed25519, or -t ed25519-sk for a security key")),
        }
    }

    fn of_text(text: &str) -> Read {
        let text = text.trim();
        if let Some(body) = text.strip_prefix(PRIVATE_BEGIN) {
            let body = body.split(PRIVATE_END).next().unwrap_or_default();
            let body: String = body.split_whitespace().collect();
            let bytes = BASE64.decode(body.as_bytes()).unwrap_or_default();
            return public_part(&bytes).map_or(Read::NoSshKey, Self::of_blob);
        }
        let mut words = text.split_whitespace();
        let (Some(kind), Some(body), 1) = (words.next(), words.next(), text.lines().count()) else {
            return Read::NoSshKey;
        };
        let blob = BASE64.decode(body.as_bytes()).unwrap_or_default();
        match take(&mut blob.as_slice()) {
            Some(named) if named == kind.as_bytes() => Self::of_blob(&blob),
            _ => Read::NoSshKey,
        }
    }

    /// Reads a public key as SSH writes it.
    fn of_blob(blob: &[u8]) -> Read {
        let mut rest = blob;
        let Some(kind) = take(&mut rest) else { return Read::NoSshKey };
        let kind = String::from_utf8_lossy(kind).into_owned();
        let security_key = match kind.as_str() {
            "ssh-ed25519" => false,
            "sk-ssh-ed25519@openssh.com" => true,
            _ => return Read::OtherKind(kind),
        };
        let key = take(&mut rest).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let Some(key) = key.and_then(|bytes| PublicKey::admit(&bytes).ok()) else {
            return Read::OtherKind(format!("{kind}, not one that is admitted"));
        };
        let application = match security_key {
            true => take(&mut rest).and_then(|text| String::from_utf8(text.to_vec()).ok()),
            false => None,
        };
        if !rest.is_empty() || application.is_some() != security_key {
            return Read::NoSshKey;
        }
        Read::Key(Self { key, application })
    }
}

/// What a text turned out to be.
#[derive(Debug, Eq, PartialEq)]
enum Read {
    Key(SshPublic),
    NoSshKey,
    OtherKind(String),
}

/// The first public key in the readable part of a private file (OpenSSH, `PROTOCOL.key`).
fn public_part(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes.strip_prefix(b"openssh-key-v1\0")?;
    // The cipher, how its key is derived, and from what: none of it is needed for the public half.
    for _ in 0..3 {
        take(&mut rest)?;
    }
    let (count, after) = rest.split_first_chunk::<4>()?;
    rest = after;
    (u32::from_be_bytes(*count) == 1).then_some(())?;
    take(&mut rest)
}

/// The next string of SSH's encoding: its length, then its bytes.
fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (text, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(text)
}

/// Has `ssh-keygen` sign, with the key of a private file or with the agent's key of a public one.
///
/// The answer is the bytes of the SSHSIG in base64, without armour.
pub(crate) fn sign(key: &Path, message: &[u8]) -> Result<String, Failure> {
    let mut command = Command::new(KEYGEN);
    command.args(["-q", "-Y", "sign", "-n", SSH_NAMESPACE, "-O", "hashalg=sha512", "-f"]);
    // A name that begins with a dash stays a name.
    command.arg(if key.is_relative() { PathBuf::from(".").join(key) } else { key.to_owned() });
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let cannot = || "cannot run ssh-keygen";
    let mut child = command.spawn().map_err(|error| {
        Failure::new(Exit::Failed, cannot()).because(error).next("install OpenSSH's client")
    })?;
    // Dropped at once, so that the message ends; one that was not read is told by the exit code.
    let fed = child.stdin.take().map(|mut input| input.write_all(message));
    let output = child.wait_with_output().or_fail(Exit::Failed, cannot)?;
    if !output.status.success() || fed.is_none_or(|fed| fed.is_err()) {
        let what = format!("ssh-keygen did not sign with {}", key.display());
        let failure = Failure::new(Exit::Failed, what).why("nothing was decided");
        return Err(failure.next(
            "ssh-add -l shows the agent's keys; a public key's file needs its private half there",
        ));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let bytes = unarmoured(&text)
        .ok_or_else(|| Failure::new(Exit::Failed, "ssh-keygen wrote no signature"))?;
    Ok(base64::encode(&bytes))
}

/// The bytes of a signature without the lines around them.
fn unarmoured(text: &str) -> Option<Vec<u8>> {
    let body = text.trim().strip_prefix(SIGNATURE_BEGIN)?.strip_suffix(SIGNATURE_END)?;
    let body: String = body.split_whitespace().collect();
    let bytes = BASE64.decode(body.as_bytes()).ok()?;
    bytes.starts_with(b"SSHSIG").then_some(bytes)
}

const KEYGEN: &str = "ssh-keygen";
const PRIVATE_BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const PRIVATE_END: &str = "-----END OPENSSH PRIVATE KEY-----";
const SIGNATURE_BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const SIGNATURE_END: &str = "-----END SSH SIGNATURE-----";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    fn string(bytes: &[u8]) -> Vec<u8> {
        [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
    }

    fn line(kind: &str, parts: &[&[u8]]) -> String {
        let parts = parts.iter().map(|part| string(part)).collect::<Vec<_>>().concat();
        let blob = [string(kind.as_bytes()), parts].concat();
        format!("{kind} {} alice@eu\n", BASE64.encode(&blob))
    }

    /// The public key of the first example of RFC 8032.
    fn public() -> [u8; 32] {
        let hex = b"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        data_encoding::HEXLOWER.decode(hex).unwrap().try_into().unwrap()
    }

    #[test]
    fn public_keys_are_read_with_what_a_security_key_signs_for() {
        let Read::Key(key) = SshPublic::of_text(&line("ssh-ed25519", &[&public()])) else {
            panic!()
        };
        assert_eq!((key.key.as_bytes(), key.method()), (&public(), KeyMethod::Ssh));
        let sk = line("sk-ssh-ed25519@openssh.com", &[&public(), b"ssh:"]);
        let Read::Key(key) = SshPublic::of_text(&sk) else { panic!() };
        assert_eq!((key.application.as_deref(), key.method()), (Some("ssh:"), KeyMethod::SshSk));
    }

    #[test]
    fn what_is_no_key_for_approvals_is_not_read_as_one() {
        let rsa = SshPublic::of_text(&line("ssh-rsa", &[&[1, 0, 1], &[7; 256]]));
        assert_eq!(rsa, Read::OtherKind("ssh-rsa".into()));
        let zero = SshPublic::of_text(&line("ssh-ed25519", &[&[0; 32]]));
        assert!(matches!(zero, Read::OtherKind(_)), "{zero:?}");
        let good = line("ssh-ed25519", &[&public()]);
        let two_lines = format!("{good}{good}");
        let renamed = good.replacen("ssh-ed25519", "ssh-ed25519x", 1);
        let longer = line("ssh-ed25519", &[&public(), b"more"]);
        let shorter = line("sk-ssh-ed25519@openssh.com", &[&public()]);
        for text in ["", "landbridge-key-v1 operator x", &two_lines, &renamed, &longer, &shorter] {
            assert_eq!(SshPublic::of_text(text), Read::NoSshKey, "{text}");
        }
    }

    #[test]
    fn a_private_file_tells_its_public_half() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("id");
        let made = Command::new(KEYGEN)
            .args(["-q", "-t", "ed25519", "-N", "a passphrase", "-C", "", "-f"])
            .arg(&file)
            .status();
        // Without OpenSSH there is nothing to read.
        if !made.is_ok_and(|status| status.success()) {
            return;
        }
        let private = SshPublic::of_file(&file).unwrap().unwrap();
        let public = SshPublic::of_file(&dir.path().join("id.pub")).unwrap().unwrap();
        assert_eq!(private, public);
    }

    #[test]
    fn armour_is_taken_off_whole() {
        let body = BASE64.encode(b"SSHSIG\0and more than one line of it, as ssh-keygen writes");
        let (one, two) = body.split_at(40);
        let text = format!("{SIGNATURE_BEGIN}\n{one}\n{two}\n{SIGNATURE_END}\n");
        assert!(unarmoured(&text).unwrap().starts_with(b"SSHSIG\0and"));
        assert_eq!(unarmoured(&text.replace("END", "AND")), None);
        assert_eq!(unarmoured(&text.replace(one, "!")), None);
        assert_eq!(unarmoured(""), None);
    }
}
