//! The public half of a person's key, from the files in which people have them.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;

use data_encoding::BASE64;
use landbridge_proto::wire::approval::operator_key::OperatorAlgorithm;
use landbridge_proto::wire::approval::{KeyMethod, OperatorKey, OperatorPublic, raw};
use landbridge_proto::wire::base64;
use landbridge_proto::wire::key::PublicKey;
use landbridge_proto::wire::name::KeyId;
use serde::Deserialize;

use crate::exit::{Exit, Failure, OrFail as _};

/// Reads a public key: of SSH, of `operator key new`, or as the federation document has it.
pub(super) fn read(path: &Path) -> Result<OperatorKey, Failure> {
    let text = text(path)?;
    let bad = |what: String| {
        Failure::new(Exit::Usage, format!("{} is no public key of an operator", path.display()))
            .why(what)
            .next("an SSH public key (ed25519), or what landbridge operator key new printed")
    };
    if text.contains("PRIVATE KEY") || text.contains("key-v1 ") {
        return Err(bad("it is a secret key; hand over its public half".to_owned()));
    }
    let raw = if text.starts_with('{') {
        serde_json::from_str::<raw::OperatorKey>(&text).map_err(|error| bad(error.to_string()))?
    } else if text.contains(' ') {
        ssh(&text).map_err(bad)?
    } else {
        let public = PublicKey::try_from(text).map_err(|error| bad(error.to_string()))?;
        OperatorKey::ed25519(KeyMethod::File, &public, None)
    };
    OperatorKey::try_from(raw).map_err(|error| bad(error.to_string()))
}

/// A passkey as it was registered.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Registered {
    alg: OperatorAlgorithm,
    #[serde(default)]
    kid: Option<KeyId>,
    #[serde(default)]
    kind: Option<KeyMethod>,
    origins: BTreeSet<String>,
    #[serde(rename = "pub")]
    public: String,
    rp_id: String,
}

/// Reads a passkey: its algorithm, its public bytes, whom it was made for and where it may be used.
pub(super) fn passkey(path: &Path) -> Result<OperatorKey, Failure> {
    let text = text(path)?;
    let bad = |what: String| {
        Failure::new(Exit::Usage, format!("{} is no passkey", path.display())).why(what).next(
            r#"{"alg":"es256","origins":["https://…"],"pub":"<base64url of the point>","rp_id":"…"}"#,
        )
    };
    let said: Registered = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
    if said.kind.is_some_and(|kind| kind != KeyMethod::Webauthn) {
        return Err(bad("it is another kind of key: --key reads those".to_owned()));
    }
    let kid = said.kid.or_else(|| kid_of(said.alg, &said.public));
    let raw = raw::OperatorKey {
        alg: said.alg,
        application: None,
        kid: kid.ok_or_else(|| bad("its public bytes are none of its algorithm".to_owned()))?,
        kind: KeyMethod::Webauthn,
        origins: said.origins,
        public: said.public,
        rp_id: Some(said.rp_id),
    };
    OperatorKey::try_from(raw).map_err(|error| bad(error.to_string()))
}

fn kid_of(alg: OperatorAlgorithm, public: &str) -> Option<KeyId> {
    match alg {
        OperatorAlgorithm::Ed25519 => Some(PublicKey::try_from(public.to_owned()).ok()?.kid()),
        OperatorAlgorithm::Es256 => {
            let point = <[u8; 65]>::try_from(base64::decode_url(public).ok()?).ok()?;
            Some(OperatorPublic::Es256(point).kid())
        }
    }
}

fn text(path: &Path) -> Result<String, Failure> {
    let cannot = || format!("cannot read {}", path.display());
    let file = std::fs::File::open(path).or_fail(Exit::Usage, cannot)?;
    let mut text = String::new();
    file.take(BYTES_MAX).read_to_string(&mut text).or_fail(Exit::Usage, cannot)?;
    Ok(text.trim().to_owned())
}

/// A line of an SSH public key file (RFC 4253 6.6, and OpenSSH's `PROTOCOL.u2f` for security keys).
fn ssh(line: &str) -> Result<raw::OperatorKey, String> {
    let mut words = line.split_whitespace();
    let (kind, body) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if line.lines().count() != 1 {
        return Err("it has several lines".to_owned());
    }
    let blob =
        BASE64.decode(body.as_bytes()).map_err(|_| "it is no line of an SSH key".to_owned())?;
    let mut rest = blob.as_slice();
    if take(&mut rest) != Some(kind.as_bytes()) {
        return Err("its two words for its kind differ".to_owned());
    }
    let method = match kind {
        "ssh-ed25519" => KeyMethod::Ssh,
        "sk-ssh-ed25519@openssh.com" => KeyMethod::SshSk,
        other => {
            return Err(format!("{other} is not admitted: ssh-keygen -t ed25519, or ed25519-sk"));
        }
    };
    let bytes = take(&mut rest).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let bytes = bytes.ok_or_else(|| "it holds no Ed25519 key".to_owned())?;
    let public = PublicKey::admit(&bytes).map_err(|error| error.to_string())?;
    let application = match method {
        KeyMethod::SshSk => {
            let text = take(&mut rest).and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
            Some(text.ok_or_else(|| "it names no application".to_owned())?)
        }
        _ => None,
    };
    if !rest.is_empty() {
        return Err("more follows its key".to_owned());
    }
    Ok(OperatorKey::ed25519(method, &public, application))
}

/// The next string of SSH's encoding: its length, then its bytes.
fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (text, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(text)
}

/// Longer than any public key.
const BYTES_MAX: u64 = 16 * 1024;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn string(bytes: &[u8]) -> Vec<u8> {
        [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
    }

    fn line(kind: &str, parts: &[&[u8]]) -> String {
        let parts = parts.iter().flat_map(|part| string(part)).collect::<Vec<_>>();
        let blob = [string(kind.as_bytes()), parts].concat();
        format!("{kind} {} alice@eu", BASE64.encode(&blob))
    }

    /// The public key of the first example of RFC 8032.
    const PUBLIC: &[u8] = b"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

    fn public() -> Vec<u8> {
        data_encoding::HEXLOWER.decode(PUBLIC).unwrap()
    }

    fn written(text: &str) -> Result<OperatorKey, Failure> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        if text.contains("rp_id") { passkey(file.path()) } else { read(file.path()) }
    }

    #[test]
    fn every_kind_of_public_key_is_read_and_nothing_else() {
        let ssh = written(&line("ssh-ed25519", &[&public()])).unwrap();
        assert_eq!((ssh.kind, ssh.application.as_deref()), (KeyMethod::Ssh, None));
        let sk = written(&line("sk-ssh-ed25519@openssh.com", &[&public(), b"ssh:"])).unwrap();
        assert_eq!((sk.kind, sk.application.as_deref()), (KeyMethod::SshSk, Some("ssh:")));
        let file = written(&format!("{}\n", base64::encode_url(&public()))).unwrap();
        assert_eq!((file.kind, &file.kid), (KeyMethod::File, &ssh.kid));
        let again = written(&serde_json::to_string(&sk).unwrap()).unwrap();
        assert_eq!(again, sk, "as the federation document has it");
        let point = base64::encode_url(&[&[4][..], &[9; 64]].concat());
        let passkey = format!(
            r#"{{"alg":"es256","origins":["https://a.example"],"pub":"{point}","rp_id":"a.example"}}"#
        );
        assert_eq!(written(&passkey).unwrap().kind, KeyMethod::Webauthn);
        for bad in [
            "",
            "ssh-ed25519",
            &line("ssh-rsa", &[&[1, 0, 1], &[7; 256]]),
            &line("ssh-ed25519", &[&[0; 32]]),
            &line("ssh-ed25519", &[&public(), b"more"]),
            &line("sk-ssh-ed25519@openssh.com", &[&public()]),
            &line("ssh-ed25519", &[&public()]).replacen("ssh-ed25519", "ssh-ed25518", 1),
            "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n",
            "landbridge-key-v1 operator AAAA",
            &passkey.replace("es256", "rs256"),
            &passkey.replace("\"https://a.example\"", ""),
            &passkey.replace("\"pub\"", "\"kid\":\"x\",\"pub\""),
        ] {
            assert_eq!(written(bad).unwrap_err().exit(), Exit::Usage, "{bad}");
        }
    }
}
