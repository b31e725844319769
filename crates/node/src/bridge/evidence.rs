//! Evidence against peers, as administrators see it, and the end of a quarantine.

use landbridge_proto::machine::contract::{DocumentKind, EvidenceRow, Sides};
use landbridge_proto::machine::evidence::{evidence_with, verify};
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::name::GatewayId;
use landbridge_proto::wire::problem::{Code, Problem};

use super::Bridge;
use super::views::instant;
use crate::core::{bug, unreadable};
use crate::local::api::{EvidenceDetail, EvidenceView, Resumed};
use crate::trust::TrustError;

impl Bridge {
    /// All evidence, oldest first.
    ///
    /// # Errors
    ///
    /// A problem when the store cannot be read.
    pub async fn all_evidence(&self) -> Result<Vec<EvidenceView>, Problem> {
        let rows = self.core.store.reads().all_evidence().map_err(|fault| unreadable(&fault))?;
        Ok(rows.iter().map(|row| self.view_of_evidence(row)).collect())
    }

    /// One piece of evidence, with the frames that differ.
    ///
    /// # Errors
    ///
    /// `not_found`, or a problem when the store cannot be read.
    pub async fn evidence(&self, id: &str) -> Result<EvidenceDetail, Problem> {
        let row = self.evidence_row(id)?;
        let summary = verify(row.file.as_bytes(), &row.peer).summary;
        let sides: Sides = serde_json::from_str(&row.sides).unwrap_or_default();
        Ok(EvidenceDetail {
            evidence: self.view_of_evidence(&row),
            summary: serde_json::to_value(summary).unwrap_or_default(),
            first_frame: sides.first,
            kept: sides.kept,
            other: sides.other,
        })
    }

    /// The portable proof, with what the peer has said since of the keys that signed.
    ///
    /// # Errors
    ///
    /// `not_found`, or a problem when the store cannot be read.
    pub async fn evidence_file(&self, id: &str) -> Result<String, Problem> {
        let row = self.evidence_row(id)?;
        //= STR-52
        match self.with_later_word(&row)? {
            Some(file) => Ok(file),
            None => Ok(row.file),
        }
    }

    /// Ends a peer's quarantine, because a person says so.
    ///
    /// # Errors
    ///
    /// `not_found` where the peer is not quarantined.
    pub async fn resume_peer(&self, peer: &GatewayId, because: String) -> Result<Resumed, Problem> {
        let (bridge, peer) = (self.clone(), peer.clone());
        self.finish(async move {
            match bridge.core.trust.lift(&bridge.core, &peer, &because).await {
                Ok(true) => Ok(Resumed { gateway: peer, because }),
                Ok(false) => {
                    Err(Problem::new(Code::NotFound).with_detail("the peer is not quarantined"))
                }
                Err(TrustError::Step(error)) => Err(error.into()),
                Err(error) => Err(bug("a quarantine was not lifted", &error)),
            }
        })
        .await
    }

    /// The ids of the evidence against a peer.
    pub(super) fn evidence_against(&self, peer: &GatewayId) -> Result<Vec<String>, Problem> {
        let rows = self.core.store.reads().all_evidence().map_err(|fault| unreadable(&fault))?;
        Ok(rows.into_iter().filter(|row| row.peer == *peer).map(|row| row.id).collect())
    }

    fn evidence_row(&self, id: &str) -> Result<EvidenceRow, Problem> {
        let row = self.core.store.reads().evidence(id).map_err(|fault| unreadable(&fault))?;
        row.ok_or_else(|| Problem::new(Code::NotFound).with_detail("no such evidence"))
    }

    /// The file with the peer's newer roots and revocations; `None` when it cannot be made.
    fn with_later_word(&self, row: &EvidenceRow) -> Result<Option<String>, Problem> {
        let kept = |kind| -> Result<Vec<Envelope>, Problem> {
            let rows = self.core.store.reads().documents(&row.peer, kind);
            let rows = rows.map_err(|fault| unreadable(&fault))?;
            Ok(rows
                .iter()
                .filter_map(|row| Envelope::parse(row.envelope.as_bytes()).ok())
                .collect())
        };
        let (roots, statuses) = (kept(DocumentKind::Root)?, kept(DocumentKind::Status)?);
        let file = evidence_with(&row.file, &roots, &statuses);
        Ok(file.map_err(|error| tracing::warn!(id = row.id, %error, "exported as found")).ok())
    }

    fn view_of_evidence(&self, row: &EvidenceRow) -> EvidenceView {
        let state = self.core.trust.state();
        let known = state.federation.as_ref().and_then(|document| document.peer(&row.peer));
        EvidenceView {
            id: row.id.clone(),
            peer: known.map(|peer| peer.alias.clone()),
            gateway: row.peer.clone(),
            kind: row.kind.as_str().to_owned(),
            found: instant(row.at),
            run: row.run.clone(),
            quarantined: state.quarantined.contains(&row.peer),
        }
    }
}
