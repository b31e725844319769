//! Evidence against a peer, as this bridge finds and keeps it.
//!
//! What contradicts itself under valid signatures is written down in the form that a stranger can judge
//! ([`landbridge_proto::machine::evidence`]), in the batch that quarantines the peer. The frames that
//! differ are kept beside it for people: the proof itself does not need them, and whoever hands it on
//! does not hand them on.

use landbridge_proto::machine::contract::{EvidenceRow, Sides};
use landbridge_proto::machine::evidence::{NotEvidence, Proof, evidence};
use landbridge_proto::trust::peer::PeerView;
use landbridge_proto::trust::verified::Verified;
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::name::{RunId, Timestamp};
use sha2::{Digest as _, Sha256};

/// Two statements of one peer that contradict each other.
#[derive(Clone, Debug)]
pub struct Found {
    /// The statements.
    pub proof: Proof,
    /// The journal's run in which they were found.
    pub run: Option<RunId>,
    /// What the frames of both sides say, where they differ.
    pub sides: Sides,
}

impl Found {
    /// The statements alone.
    #[must_use]
    pub fn new(proof: Proof, run: Option<RunId>) -> Self {
        Self { proof, run, sides: Sides::default() }
    }

    /// What happened, in a sentence for people.
    #[must_use]
    pub const fn story(&self) -> &'static str {
        match self.proof {
            Proof::Seals { .. } => "two sealed histories of one run",
            Proof::Accepts { .. } => "two accepts for one key",
            Proof::Statuses { .. } => "two statuses with one number",
        }
    }

    /// The row to be kept, proven as a stranger would prove it.
    ///
    /// # Errors
    ///
    /// [`NotEvidence`] when a stranger would not be convinced.
    pub fn row(&self, peer: &PeerView, now: Timestamp) -> Result<EvidenceRow, NotEvidence> {
        let roots: Vec<Envelope> = peer.chain().roots().map(Verified::envelope).cloned().collect();
        let newest = peer.status().map(|status| status.newest().envelope().clone());
        let statuses: Vec<Envelope> = newest.into_iter().collect();
        let file = evidence(&roots, &statuses, self.proof.clone())?;
        Ok(EvidenceRow {
            id: id_of(&file),
            peer: peer.gateway().clone(),
            kind: self.proof.kind(),
            at: now,
            run: self.run.clone(),
            file,
            sides: serde_json::to_string(&self.sides).unwrap_or_else(|_| "{}".to_owned()),
        })
    }
}

/// What evidence is called here: `ev-` and the first 16 bytes of its digest.
fn id_of(file: &str) -> String {
    let digest = Sha256::digest(file.as_bytes());
    let short = digest.get(..16).unwrap_or_default();
    format!("ev-{}", data_encoding::BASE32_NOPAD.encode(short).to_ascii_lowercase())
}
