//! Gateways made of fixed seeds.

use std::collections::BTreeMap;

use landbridge_proto::trust::key::SecretKey;
use landbridge_proto::trust::peer::PeerView;
use landbridge_proto::trust::root::TrustedRoot;
use landbridge_proto::trust::signer::{KeySigner, Signer as _, sign_typed};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::root::RoleHolders;
use landbridge_proto::wire::document::{
    AuditHead, FormVersion, Incarnation, Revocation, Root, RootKey, Status, raw,
};
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::kind::{Kind, Role, SignedBy};
use landbridge_proto::wire::name::{GatewayId, KeyId, Timestamp};
use serde::Serialize;
use zeroize::Zeroizing;

pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000_000);
pub(crate) const HOUR_MS: i64 = 3_600_000;
pub(crate) const DAY_MS: i64 = 24 * HOUR_MS;

/// A gateway whose keys grow from `base`.
#[derive(Clone)]
pub(crate) struct Gateway {
    base: u8,
    /// Its roots, oldest first.
    pub(crate) roots: Vec<Envelope>,
    pub(crate) chain: TrustedRoot,
    /// The seed of each role's key.
    seeds: BTreeMap<Role, u8>,
}

const ROLES: [Role; 5] = [Role::Root, Role::Stream, Role::Request, Role::Status, Role::Policy];

impl Gateway {
    pub(crate) fn new(base: u8) -> Self {
        Self::with(base, ROLES.into_iter().zip(base..).collect())
    }

    /// A gateway that also has operators.
    pub(crate) fn deciding(base: u8) -> Self {
        let roles = ROLES.into_iter().chain([Role::Catalog, Role::OperatorCa]);
        Self::with(base, roles.zip(base..).collect())
    }

    fn with(base: u8, seeds: BTreeMap<Role, u8>) -> Self {
        let root = sign_root(&[seeds[&Role::Root]], raw_root(&seeds, 1, None, NOW));
        let chain = TrustedRoot::introduced(&root).unwrap();
        Self { base, roots: vec![root], chain, seeds }
    }

    /// The gateway after a root in which `role` has a new key.
    pub(crate) fn rotated(&self, role: Role, issued: Timestamp) -> Self {
        let version = self.chain.version() + 1;
        let mut seeds = self.seeds.clone();
        seeds.insert(role, self.base + 100 + u8::try_from(version).unwrap());
        let signers = match role {
            Role::Root => vec![self.seeds[&role], seeds[&role]],
            _ => vec![self.seeds[&Role::Root]],
        };
        let raw = raw_root(&seeds, version, Some(self.chain.digest()), issued);
        let root = sign_root(&signers, raw);
        let chain = self.chain.advance(std::slice::from_ref(&root), issued).unwrap();
        let roots = self.roots.iter().cloned().chain([root]).collect();
        Self { base: self.base, roots, chain, seeds }
    }

    pub(crate) fn id(&self) -> GatewayId {
        self.chain.gateway().clone()
    }

    pub(crate) fn kid(&self, role: Role) -> KeyId {
        secret(self.seeds[&role]).kid().clone()
    }

    pub(crate) fn signer(&self, role: Role) -> KeySigner {
        KeySigner::new(secret(self.seeds[&role]), SignedBy::Role(role))
    }

    /// Signs whatever serialises, right or wrong, with the key of `role`, as one of `kind`.
    pub(crate) fn sign(&self, kind: Kind, role: Role, value: &impl Serialize) -> Envelope {
        let key = KeySigner::new(secret(self.seeds[&role]), kind.signed_by());
        let payload = landbridge_proto::wire::json::canonical::to_vec(value).unwrap();
        key.sign(kind, &payload).unwrap()
    }

    pub(crate) fn raw_status(&self, issued: Timestamp) -> raw::Status {
        raw::Status {
            audit: AuditHead { head: Digest::of(b"audit", &[]), size: 1 },
            expires: issued.plus_ms(HOUR_MS),
            incarnation: Incarnation { n: 1, since: NOW.plus_ms(-DAY_MS) },
            iss: self.id(),
            issued,
            refresh_ms: HOUR_MS / 2,
            revoked: Vec::new(),
            root: self.chain.digest(),
            root_version: self.chain.version(),
            seq: issued.0,
            v: FormVersion,
        }
    }

    pub(crate) fn status(&self, issued: Timestamp) -> Envelope {
        self.status_revoking(issued, Vec::new())
    }

    pub(crate) fn status_revoking(&self, issued: Timestamp, revoked: Vec<Revocation>) -> Envelope {
        let raw = raw::Status { revoked, ..self.raw_status(issued) };
        sign_typed(&self.signer(Role::Status), &Status::try_from(raw).unwrap()).unwrap()
    }

    /// How others see it at `NOW`: its chain and a status of that moment.
    pub(crate) fn view(&self) -> PeerView {
        PeerView::new(self.chain.clone()).with_status(&self.status(NOW), NOW).unwrap()
    }
}

fn secret(seed: u8) -> SecretKey {
    SecretKey::from_seed(&Zeroizing::new([seed; 32]))
}

fn raw_root(
    seeds: &BTreeMap<Role, u8>,
    version: u64,
    prev: Option<Digest>,
    issued: Timestamp,
) -> raw::Root {
    let expires = issued.plus_ms(300 * DAY_MS);
    let key = |&seed: &u8| {
        let key = RootKey::new(secret(seed).public(), NOW.plus_ms(-DAY_MS), expires);
        (secret(seed).kid().clone(), key)
    };
    let role = |(&role, &seed): (&Role, &u8)| {
        (role, RoleHolders { keyids: [secret(seed).kid().clone()].into(), threshold: 1 })
    };
    raw::Root {
        endpoints: Vec::new(),
        expires,
        issued,
        keys: seeds.values().map(key).collect(),
        min_proto: 1,
        prev,
        roles: seeds.iter().map(role).collect(),
        v: FormVersion,
        version,
    }
}

fn sign_root(signers: &[u8], raw: raw::Root) -> Envelope {
    let root = Root::try_from(raw).unwrap();
    let one = |&seed: &u8| {
        sign_typed(&KeySigner::new(secret(seed), SignedBy::Role(Role::Root)), &root).unwrap()
    };
    signers.iter().map(one).reduce(|one, other| one.join(other).unwrap()).unwrap()
}
