//! One gateway as a file of signed lines shows it: its chain of roots, its statuses, what it revoked.
//!
//! Transcripts and evidence are judged by the same rules here, so that the two cannot read one gateway
//! in two ways. No clock has a say: each object is judged by the root and the time that it states.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::trust::recorded::{RecordedError, Stated, verify_stated};
use crate::trust::root::{RootError, TrustedRoot};
use crate::trust::verified::Verified;
use crate::wire::document::Status;
use crate::wire::envelope::Envelope;
use crate::wire::kind::PayloadKind;
use crate::wire::limit;
use crate::wire::name::{GatewayId, KeyId, Timestamp};

/// Why a signed line does not hold.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordedFault {
    #[error("the chain of roots does not hold")]
    Root(#[from] RootError),
    #[error("the {0} does not hold")]
    Recorded(&'static str, #[source] RecordedError),
    #[error("the {0}'s {1} is not that of the lines before it")]
    Member(&'static str, &'static str),
}

/// One gateway of a file.
#[derive(Debug)]
pub(super) struct Gateway {
    chain: TrustedRoot,
    status: Option<Verified<Status>>,
    revoked: BTreeMap<KeyId, Revoked>,
}

/// A key that a status of the file revokes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Revoked {
    /// When the first such status was issued.
    pub(super) issued: Timestamp,
    /// Since when the key is not good, in its owner's words.
    pub(super) since: Timestamp,
}

impl Gateway {
    pub(super) fn new(envelope: &Envelope) -> Result<Self, RecordedFault> {
        let chain = TrustedRoot::introduced(envelope)?;
        Ok(Self { chain, status: None, revoked: BTreeMap::new() })
    }

    pub(super) fn id(&self) -> GatewayId {
        self.chain.gateway().clone()
    }

    pub(super) const fn chain(&self) -> &TrustedRoot {
        &self.chain
    }

    pub(super) fn revoked(&self, kid: &KeyId) -> Option<&Revoked> {
        self.revoked.get(kid)
    }

    /// Takes the next root.
    pub(super) fn advance(&mut self, envelope: &Envelope) -> Result<(), RecordedFault> {
        let before = self.chain.version();
        let chain =
            self.chain.advance(std::slice::from_ref(envelope), Timestamp(limit::INTEGER_MAX))?;
        if chain.version() == before {
            return Err(RecordedFault::Member("root", "version"));
        }
        self.chain = chain;
        Ok(())
    }

    /// Takes the next status.
    pub(super) fn status(&mut self, envelope: &Envelope) -> Result<(), RecordedFault> {
        let status = self.verified_status(envelope)?;
        let said = status.value();
        if let Some(before) = self.status.as_ref().map(Verified::value) {
            same(said.seq > before.seq, "status", "seq")?;
            same(said.incarnation.n >= before.incarnation.n, "status", "incarnation")?;
            same(said.root_version >= before.root_version, "status", "root_version")?;
        }
        for one in &said.revoked {
            let revoked = Revoked { issued: said.issued, since: one.since };
            self.revoked.entry(one.kid.clone()).or_insert(revoked);
        }
        self.status = Some(status);
        Ok(())
    }

    /// Verifies a status of this gateway, wherever it stands.
    pub(super) fn verified_status(
        &self,
        envelope: &Envelope,
    ) -> Result<Verified<Status>, RecordedFault> {
        let stated =
            |said: &Status| Stated { root_version: Some(said.root_version), at: said.issued };
        let status = recorded::<Status>("status", self, envelope, stated)?;
        let said = status.value();
        same(said.iss == self.id(), "status", "iss")?;
        same(self.chain.digest_of(said.root_version) == Some(said.root), "status", "root")?;
        Ok(status)
    }
}

pub(super) fn same(
    holds: bool,
    what: &'static str,
    member: &'static str,
) -> Result<(), RecordedFault> {
    if holds { Ok(()) } else { Err(RecordedFault::Member(what, member)) }
}

pub(super) fn recorded<T>(
    what: &'static str,
    side: &Gateway,
    envelope: &Envelope,
    stated: impl Fn(&T) -> Stated,
) -> Result<Verified<T>, RecordedFault>
where
    T: PayloadKind + Serialize + DeserializeOwned,
{
    verify_stated(side.chain(), envelope, stated)
        .map_err(|fault| RecordedFault::Recorded(what, fault))
}
