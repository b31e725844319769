//! Gateways made of fixed seeds, for tests.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::collections::BTreeMap;

use serde::Serialize;
use zeroize::Zeroizing;

use super::key::SecretKey;
use super::peer::PeerView;
use super::root::TrustedRoot;
use super::signer::{KeySigner, Signer, sign_typed};
use crate::wire::digest::Digest;
use crate::wire::document::root::RoleHolders;
use crate::wire::document::{
    AuditHead, FormVersion, Incarnation, Root, RootKey, Status, gateway_id, raw,
};
use crate::wire::envelope::Envelope;
use crate::wire::json::canonical;
use crate::wire::kind::{Kind, Role, SignedBy};
use crate::wire::name::{GatewayId, KeyId, Timestamp};

pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000_000);
pub(crate) const HOUR_MS: i64 = 3_600_000;
pub(crate) const DAY_MS: i64 = 24 * HOUR_MS;

pub(crate) fn secret(seed: u8) -> SecretKey {
    SecretKey::from_seed(&Zeroizing::new([seed; 32]))
}

pub(crate) fn kid(seed: u8) -> KeyId {
    secret(seed).kid().clone()
}

pub(crate) fn signer(seed: u8, role: Role) -> KeySigner {
    KeySigner::new(secret(seed), SignedBy::Role(role))
}

/// Signs whatever serialises, right or wrong, with each seed.
pub(crate) fn sign_any(kind: Kind, value: &impl Serialize, seeds: &[u8]) -> Envelope {
    sign_bytes(kind, &canonical::to_vec(value).unwrap(), seeds)
}

pub(crate) fn sign_bytes(kind: Kind, payload: &[u8], seeds: &[u8]) -> Envelope {
    let sign =
        |seed: &u8| KeySigner::new(secret(*seed), kind.signed_by()).sign(kind, payload).unwrap();
    seeds.iter().map(sign).reduce(|one, two| one.join(two).unwrap()).unwrap()
}

/// Which seeds have which role.
#[derive(Clone)]
pub(crate) struct Holders {
    pub(crate) root: Vec<u8>,
    pub(crate) threshold: u64,
    pub(crate) online: BTreeMap<Role, u8>,
}

impl Holders {
    /// One root key `base`, and one key for each other role behind it.
    pub(crate) fn new(base: u8) -> Self {
        let online =
            Role::ALL[1..].iter().zip(1..).map(|(&role, step)| (role, base + step)).collect();
        Self { root: vec![base], threshold: 1, online }
    }

    pub(crate) fn with_root(mut self, root: &[u8], threshold: u64) -> Self {
        self.root = root.to_vec();
        self.threshold = threshold;
        self
    }

    pub(crate) fn with(mut self, role: Role, seed: u8) -> Self {
        self.online.insert(role, seed);
        self
    }

    pub(crate) fn raw(&self, version: u64, prev: Option<Digest>, issued: Timestamp) -> raw::Root {
        let expires = issued.plus_ms(300 * DAY_MS);
        let all = self.root.iter().chain(self.online.values());
        let keys = all
            .map(|&seed| {
                (kid(seed), RootKey::new(secret(seed).public(), issued.plus_ms(-DAY_MS), expires))
            })
            .collect();
        let root = RoleHolders {
            keyids: self.root.iter().map(|&seed| kid(seed)).collect(),
            threshold: self.threshold,
        };
        let mut roles: BTreeMap<Role, RoleHolders> = self
            .online
            .iter()
            .map(|(&role, &seed)| (role, RoleHolders { keyids: [kid(seed)].into(), threshold: 1 }))
            .collect();
        roles.insert(Role::Root, root);
        raw::Root {
            endpoints: Vec::new(),
            expires,
            issued,
            keys,
            min_proto: 1,
            prev,
            roles,
            v: FormVersion,
            version,
        }
    }

    pub(crate) fn first(&self) -> Envelope {
        sign_any(Kind::Root, &self.raw(1, None, NOW), &self.root)
    }

    /// The root after `prev`, signed by `seeds`.
    pub(crate) fn next(&self, version: u64, prev: &Envelope, seeds: &[u8]) -> Envelope {
        let raw =
            self.raw(version, Some(prev.digest()), NOW.plus_ms(i64::try_from(version).unwrap()));
        sign_any(Kind::Root, &Root::try_from(raw).unwrap(), seeds)
    }
}

pub(crate) fn id_of(first: &Envelope) -> GatewayId {
    gateway_id(&first.digest())
}

pub(crate) fn chain_of(first: &Envelope) -> TrustedRoot {
    TrustedRoot::genesis(first, &id_of(first)).unwrap()
}

pub(crate) fn raw_status(chain: &TrustedRoot, issued: Timestamp) -> raw::Status {
    raw::Status {
        audit: AuditHead { head: Digest::of(b"audit", &[]), size: 1 },
        expires: issued.plus_ms(HOUR_MS),
        incarnation: Incarnation { n: 1, since: NOW.plus_ms(-DAY_MS) },
        iss: chain.gateway().clone(),
        issued,
        refresh_ms: HOUR_MS / 2,
        revoked: Vec::new(),
        root: chain.digest(),
        root_version: chain.version(),
        seq: issued.0,
        v: FormVersion,
    }
}

pub(crate) fn sign_status(raw: raw::Status, seed: u8) -> Envelope {
    sign_typed(&signer(seed, Role::Status), &Status::try_from(raw).unwrap()).unwrap()
}

/// A gateway with one root and a fresh status.
pub(crate) fn peer(base: u8) -> PeerView {
    let holders = Holders::new(base);
    let chain = chain_of(&holders.first());
    let status = sign_status(raw_status(&chain, NOW), holders.online[&Role::Status]);
    PeerView::new(chain).with_status(&status, NOW).unwrap()
}
