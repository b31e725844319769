//! Rows of what people decide here (tokens, invites, pairings), and of evidence.

use serde::{Deserialize, Serialize};

use crate::wire::digest::Digest;
use crate::wire::evidence::Contradiction;
use crate::wire::name::{Alias, GatewayId, RunId, TenantId, Timestamp};

/// A local token: what a workflow engine shows to the local API.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct TokenRow {
    /// Its public id.
    pub id: String,
    /// SHA-256 of the secret.
    pub hash: Digest,
    /// What people call it.
    pub name: String,
    /// Routes (logical gateway ids) that it may use; empty: all.
    pub routes: Vec<Alias>,
    /// Our tenants whose routes it may use; empty: all.
    pub tenants: Vec<TenantId>,
    /// Which runs exist for it.
    pub sees: Sees,
    /// Verbs that it may use: `read`, `run`, `cancel`.
    pub verbs: Vec<String>,
    /// How many runs it may have open at once; `None`: what the configuration says.
    pub runs_open_max: Option<u64>,
    /// How many runs it may start in a minute; `None`: what the configuration says.
    pub starts_per_minute_max: Option<u32>,
    /// When it was made.
    pub created: Timestamp,
    /// When it stops working.
    pub expires: Option<Timestamp>,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
}

/// Which runs exist for a token.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sees {
    /// Those that it started itself.
    #[default]
    Own,
    /// All of its tenants, whoever started them.
    Tenants,
}

/// An invite that this bridge gave out.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct InviteRow {
    /// The digest of its secret: the secret itself is shown once and not kept readable.
    pub id: Digest,
    /// The secret, needed to check a newcomer's proof; removed by the store when the invite is used or
    /// withdrawn.
    pub secret: String,
    /// What the inviter calls the newcomer.
    pub alias: Alias,
    /// When it was made.
    pub created: Timestamp,
    /// Until when it is good.
    pub expires: Timestamp,
    /// When it was used.
    pub used: Option<Timestamp>,
    /// Who used it.
    pub used_by: Option<GatewayId>,
    /// When a person withdrew it.
    pub withdrawn: Option<Timestamp>,
}

impl InviteRow {
    /// Nobody used it and nobody withdrew it; it may have expired.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.used.is_none() && self.withdrawn.is_none()
    }
}

/// A pairing that waits for a person's acceptance, on this side or on the other.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct PairingRow {
    /// The other gateway.
    pub peer: GatewayId,
    /// What it will be called.
    pub alias: Alias,
    /// The words that both sides must see.
    pub words: String,
    /// The digest of its first root.
    pub genesis: Digest,
    /// We were invited (`true`), or we invited.
    pub joined: bool,
    /// When the proof was verified.
    pub at: Timestamp,
    /// The invite's public id: by it either side asks how the pairing stands at the other.
    pub invite: Digest,
    /// The joiner's proof, which either side shows when it asks.
    pub proof: Digest,
}

impl PairingRow {
    /// What stands in place of invite and proof where a membership introduced the gateway: no invite has
    /// this id, so the other side cannot be asked.
    pub const NO_INVITE: Digest = Digest::from_bytes([0; 32]);

    /// Whether either side can ask the other how the pairing stands.
    #[must_use]
    pub fn has_invite(&self) -> bool {
        self.invite != Self::NO_INVITE
    }
}

/// The newest membership that a gateway showed.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct MembershipRow {
    /// The gateway.
    pub member: GatewayId,
    /// The federation root that vouches for it.
    pub federation: Alias,
    /// The membership's envelope, canonical bytes.
    pub envelope: String,
    /// When it was issued: an older one never replaces it.
    pub issued: Timestamp,
    /// When it was verified.
    pub at: Timestamp,
}

/// Evidence that a peer contradicted itself.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct EvidenceRow {
    /// Its id, taken from the digest of `file`.
    pub id: String,
    /// The peer.
    pub peer: GatewayId,
    /// What it contradicted itself about.
    pub kind: Contradiction,
    /// When it was found.
    pub at: Timestamp,
    /// The journal's run in which it was found.
    pub run: Option<RunId>,
    /// The portable proof, as it was proven then.
    pub file: String,
    /// The frames of both sides that differ, for people ([`Sides`], JSON).
    pub sides: String,
}

/// What both histories say where they differ; empty where frames have no part in it.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Sides {
    /// The number of the first line of each.
    pub first: u64,
    /// What the journal holds.
    pub kept: Vec<String>,
    /// What came later.
    pub other: Vec<String>,
}
