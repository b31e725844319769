//! Counting what was kept: every decision on a question is judged again, at the present, whenever one more
//! is counted. What was revoked or suspended meanwhile counts no more.

use landbridge_proto::machine::contract::{ApprovalRow, AskedRow};
use landbridge_proto::trust::approval::{Judged, Question, Tally, Uncounted, judge};
use landbridge_proto::trust::peer::PeerView;
use landbridge_proto::trust::recorded::{Stated, verify_stated};
use landbridge_proto::trust::root::TrustedRoot;
use landbridge_proto::wire::approval::{ApprovalRequest, Decision, Projection};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::name::{GatewayId, Timestamp};
use landbridge_store::Fault;

use super::projected::{Kept, kept};
use crate::core::Core;

/// One gateway that was asked, and all that its answers are judged by.
#[derive(Debug)]
pub(super) struct Asked {
    pub request: ApprovalRequest,
    pub kept: Option<Kept>,
    digest: Digest,
    view: PeerView,
    projections: Vec<Projection>,
    now: Timestamp,
}

/// Why a question cannot be judged now.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotJudged {
    /// The store failed.
    #[error("the store cannot be read")]
    Store(#[from] Fault),
    /// Whoever decided was not asked, or is no active peer.
    #[error("the gateway was not asked, or is no active peer now")]
    NotAsked,
    /// What we asked cannot be read back.
    #[error("what was asked cannot be read back")]
    Unreadable,
}

/// The request of a row, as it was verified or signed when it was kept.
pub(super) fn request_of(chain: &TrustedRoot, asked: &AskedRow) -> Option<ApprovalRequest> {
    let envelope = Envelope::parse(asked.request.as_bytes()).ok()?;
    let stated = |request: &ApprovalRequest| Stated { root_version: None, at: request.issued };
    let verified = verify_stated::<ApprovalRequest>(chain, &envelope, stated).ok()?;
    (verified.digest() == asked.digest).then(|| verified.into_value())
}

impl Asked {
    /// What a gateway's answers to a question of ours are judged by.
    pub(super) fn of(
        core: &Core,
        row: &ApprovalRow,
        gateway: &GatewayId,
    ) -> Result<Self, NotJudged> {
        let asked = row.asked.iter().find(|asked| asked.peer == *gateway);
        let asked = asked.ok_or(NotJudged::NotAsked)?;
        let state = core.trust.state();
        let peer = state.federation.as_ref().and_then(|known| known.active_peer(gateway));
        let active = peer.filter(|_| state.active(gateway)).zip(state.peers.get(gateway));
        let (peer, view) = active.ok_or(NotJudged::NotAsked)?;
        let request = request_of(core.identity.present().root(), asked);
        let request = request.ok_or(NotJudged::Unreadable)?;
        let kept = kept(core, gateway, &request.tenant.deciding)?;
        let (view, projections) = (view.clone(), peer.projections.clone());
        let digest = asked.digest;
        Ok(Self { request, kept, digest, view, projections, now: core.now() })
    }

    /// Judges one decision.
    pub(super) fn judge(&self, decision: &Decision) -> Result<Judged, Uncounted> {
        let kept = self.kept.as_ref().map(Kept::place);
        self.judge_beside(decision, kept)
    }

    fn judge_beside(
        &self,
        decision: &Decision,
        kept: Option<(u64, Digest)>,
    ) -> Result<Judged, Uncounted> {
        let question = Question {
            request: &self.request,
            digest: self.digest,
            deciding: &self.view,
            projections: &self.projections,
            kept,
            now: self.now,
        };
        judge(&question, decision)
    }
}

/// The decisions of a row as they count now. `new` is one that comes after them, whose catalog may be newer
/// than what is kept.
pub(super) fn tally(core: &Core, row: &ApprovalRow, new: &Judged) -> Result<Tally, NotJudged> {
    let asked = Asked::of(core, row, new.gateway())?;
    let mut tally = Tally::new(&asked.request);
    for counted in &row.decisions {
        let Ok(mut decision) = serde_json::from_str::<Decision>(&counted.decision) else {
            continue;
        };
        let asked = match Asked::of(core, row, &counted.gateway) {
            Ok(asked) => asked,
            Err(NotJudged::Store(fault)) => return Err(fault.into()),
            // It is no peer any more: what its operators said counts no more either.
            Err(_) => continue,
        };
        let newest = match (counted.gateway == *new.gateway(), &asked.kept) {
            (true, _) => Some(new.catalog().envelope()),
            (false, Some(kept)) => Some(&kept.envelope),
            (false, None) => None,
        };
        if let Some(newest) = newest {
            decision.catalog = newest.clone();
        }
        if let Ok(judged) = asked.judge_beside(&decision, None) {
            tally.count(&judged);
        }
    }
    Ok(tally)
}
