//! The public half of a person's key, from the files in which people have them.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;

use landbridge_node::clock::SystemEntropy;
use landbridge_node::identity::{self, KeyFile};
use landbridge_proto::trust::signer::Signer as _;
use landbridge_proto::wire::approval::operator_key::OperatorAlgorithm;
use landbridge_proto::wire::approval::{KeyMethod, OperatorKey, OperatorPublic, raw};
use landbridge_proto::wire::base64;
use landbridge_proto::wire::key::PublicKey;
use landbridge_proto::wire::kind::SignedBy;
use landbridge_proto::wire::name::KeyId;
use serde::Deserialize;

use crate::approval::ssh::SshPublic;
use crate::cli::OperatorKeyNewArgs;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::offline::identity_failure;
use crate::offline::passphrase::{Passphrases, ask_new};
use crate::out::{Look, Out};

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
    } else if let Some(ssh) = SshPublic::of_file(path)? {
        OperatorKey::ed25519(ssh.method(), &ssh.key, ssh.application.clone())
    } else {
        let public = PublicKey::try_from(text).map_err(|error| bad(error.to_string()))?;
        OperatorKey::ed25519(KeyMethod::File, &public, None)
    };
    OperatorKey::try_from(raw).map_err(|error| bad(error.to_string()))
}

/// Makes a key for an operator.
pub(super) fn make(args: &OperatorKeyNewArgs, out: &Out) -> Result<Exit, Failure> {
    let parent = args.file.parent().filter(|parent| !parent.as_os_str().is_empty());
    identity::check_closed(parent.unwrap_or(Path::new(".")))
        .map_err(|error| identity_failure(&error))?;
    let given = Passphrases::given(&args.passphrase, out)?;
    let passphrase = match given.into_first() {
        None if out.interactive() && !out.json() => ask_new("the operator's key", out)?,
        given => given,
    };
    let signer =
        KeyFile::create(&args.file, SignedBy::Operator, passphrase.as_ref(), &SystemEntropy)
            .map_err(|error| identity_failure(&error))?;
    let made = serde_json::json!({
        "file": args.file, "kid": signer.kid(), "public": signer.public().to_string(),
        "encrypted": passphrase.is_some(),
    });
    out.data(&made, |_| signer.public().to_string())?;
    if passphrase.is_none() {
        out.say(Look::Yellow, "the key is not encrypted: whoever has the file has the key");
    }
    out.say(Look::Dim, format!("its id is {}", signer.kid()));
    Ok(Exit::Success)
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

/// Longer than any public key.
const BYTES_MAX: u64 = 16 * 1024;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use data_encoding::BASE64;

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
            let exit = written(bad).unwrap_err().exit();
            assert!(matches!(exit, Exit::Usage | Exit::Failed), "{bad}");
        }
    }
}
