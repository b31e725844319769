//! Keys of operators, of every kind, that can also sign wrongly. Other libraries make the signatures.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use landbridge_proto::trust::approval::webauthn::challenge;
use landbridge_proto::trust::key::PublicKey;
use landbridge_proto::wire::approval::operator_key::OperatorAlgorithm;
use landbridge_proto::wire::approval::{
    KeyMethod, OperatorKey, OperatorPublic, Proof, SSH_NAMESPACE, raw,
};
use landbridge_proto::wire::base64;
use landbridge_proto::wire::name::KeyId;
use p256::ecdsa::signature::Signer as _;
use sha2::{Digest as _, Sha256, Sha512};

/// A key, and how it signs.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) method: KeyMethod,
    /// A passkey with P-256.
    pub(crate) es256: bool,
    pub(crate) seed: u8,
    pub(crate) namespace: &'static str,
    pub(crate) sha256: bool,
    pub(crate) application: &'static str,
    pub(crate) touched: bool,
    pub(crate) client_type: &'static str,
    pub(crate) origin: &'static str,
    pub(crate) cross_origin: bool,
    pub(crate) rp_id: &'static str,
    pub(crate) flags: u8,
    pub(crate) other_challenge: bool,
    pub(crate) forged: bool,
}

pub(crate) const ORIGIN: &str = "https://ops.example.org";

impl Key {
    pub(crate) fn new(method: KeyMethod, seed: u8) -> Self {
        Self {
            method,
            es256: method == KeyMethod::Webauthn && seed.is_multiple_of(2),
            seed,
            namespace: SSH_NAMESPACE,
            sha256: false,
            application: "ssh:",
            touched: true,
            client_type: "webauthn.get",
            origin: ORIGIN,
            cross_origin: false,
            rp_id: "example.org",
            flags: 0x05,
            other_challenge: false,
            forged: false,
        }
    }

    fn pair(&self) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[self.seed; 32]).unwrap()
    }

    fn es256(&self) -> p256::ecdsa::SigningKey {
        p256::ecdsa::SigningKey::from_slice(&[self.seed; 32]).unwrap()
    }

    fn public(&self) -> PublicKey {
        PublicKey::admit(self.pair().public_key().as_ref().try_into().unwrap()).unwrap()
    }

    pub(crate) fn kid(&self) -> KeyId {
        self.listed().kid.clone()
    }

    /// The key as a credential lists it.
    pub(crate) fn listed(&self) -> OperatorKey {
        let passkey = self.method == KeyMethod::Webauthn;
        let application = (self.method == KeyMethod::SshSk).then(|| "ssh:".to_owned());
        let mut raw = OperatorKey::ed25519(self.method, &self.public(), application);
        if passkey {
            raw.origins = [ORIGIN.to_owned()].into();
            raw.rp_id = Some("example.org".to_owned());
        }
        if self.es256 {
            let point = self.es256().verifying_key().to_sec1_point(false);
            let point = <[u8; 65]>::try_from(point.as_bytes()).unwrap();
            let public = OperatorPublic::Es256(point);
            raw = raw::OperatorKey {
                alg: OperatorAlgorithm::Es256,
                kid: public.kid(),
                public: base64::encode_url(&point),
                ..raw
            };
        }
        raw.try_into().unwrap()
    }

    /// Signs the bytes as its kind does, with whatever is wrong with this key.
    pub(crate) fn prove(&self, signed: &[u8]) -> Proof {
        let kid = self.kid();
        match self.method {
            KeyMethod::File => Proof::File { kid, sig: base64::encode(&self.sign(signed)) },
            KeyMethod::Ssh => Proof::Ssh { kid, sig: base64::encode(&self.sshsig(signed)) },
            KeyMethod::SshSk => Proof::SshSk { kid, sig: base64::encode(&self.sshsig(signed)) },
            KeyMethod::Webauthn => self.assertion(kid, signed),
        }
    }

    /// Signs these very bytes; other ones when the signature is to be forged.
    fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        let bytes = if self.forged { b"something else" } else { bytes };
        if self.es256 {
            let sig: p256::ecdsa::DerSignature = self.es256().sign(bytes);
            return sig.as_bytes().to_vec();
        }
        self.pair().sign(bytes).as_ref().to_vec()
    }

    fn sshsig(&self, message: &[u8]) -> Vec<u8> {
        let (hash, digest) = if self.sha256 {
            ("sha256", Sha256::digest(message).to_vec())
        } else {
            ("sha512", Sha512::digest(message).to_vec())
        };
        let fields = [self.namespace.as_bytes(), b"", hash.as_bytes()];
        let mut signed = b"SSHSIG".to_vec();
        fields.iter().chain([&digest.as_slice()]).for_each(|field| put(&mut signed, field));
        let mut blob = Vec::new();
        let mut signature = Vec::new();
        if self.method == KeyMethod::SshSk {
            let kind = b"sk-ssh-ed25519@openssh.com";
            put(&mut blob, kind);
            put(&mut blob, self.public().as_bytes());
            put(&mut blob, self.application.as_bytes());
            let after = [&[u8::from(self.touched)][..], &9_u32.to_be_bytes()].concat();
            let mut whole = Sha256::digest(self.application.as_bytes()).to_vec();
            whole.extend_from_slice(&after);
            whole.extend_from_slice(&Sha256::digest(&signed));
            put(&mut signature, kind);
            put(&mut signature, &self.sign(&whole));
            signature.extend_from_slice(&after);
        } else {
            put(&mut blob, b"ssh-ed25519");
            put(&mut blob, self.public().as_bytes());
            put(&mut signature, b"ssh-ed25519");
            put(&mut signature, &self.sign(&signed));
        }
        let mut out = b"SSHSIG\0\0\0\x01".to_vec();
        put(&mut out, &blob);
        fields.iter().for_each(|field| put(&mut out, field));
        put(&mut out, &signature);
        out
    }

    fn assertion(&self, kid: KeyId, signed: &[u8]) -> Proof {
        let signed = if self.other_challenge { b"another approval" } else { signed };
        let challenge = challenge(signed);
        let client_data = format!(
            r#"{{"type":"{}","challenge":"{challenge}","origin":"{}","crossOrigin":{}}}"#,
            self.client_type, self.origin, self.cross_origin
        );
        let mut authenticator_data = Sha256::digest(self.rp_id.as_bytes()).to_vec();
        authenticator_data.push(self.flags);
        authenticator_data.extend_from_slice(&1_u32.to_be_bytes());
        let mut whole = authenticator_data.clone();
        whole.extend_from_slice(&Sha256::digest(client_data.as_bytes()));
        Proof::Webauthn {
            authenticator_data: base64::encode(&authenticator_data),
            client_data: base64::encode(client_data.as_bytes()),
            kid,
            sig: base64::encode(&self.sign(&whole)),
        }
    }
}

fn put(out: &mut Vec<u8>, field: &[u8]) {
    out.extend_from_slice(&u32::try_from(field.len()).unwrap().to_be_bytes());
    out.extend_from_slice(field);
}
