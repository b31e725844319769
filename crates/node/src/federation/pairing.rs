//! Pairing: a newcomer shows that it was given an invite; then a person on each side decides.
//!
//! What is kept here opens nothing: a peer is talked to only once the policy-signed federation
//! document names it.

use bytes::Bytes;
use http::{Request, Response};
use landbridge_proto::machine::contract::{DocumentKind, Guard, InviteRow, PairingRow, Write};
use landbridge_proto::machine::operation::Operation;
use landbridge_proto::machine::step::Step;
use landbridge_proto::trust::pairing::Invite;
use landbridge_proto::trust::peer::PeerView;
use landbridge_proto::trust::root::TrustedRoot;
use landbridge_proto::trust::signer::sign_typed;
use landbridge_proto::trust::verified::Verified;
use landbridge_proto::wire::document::PairingRequest;
use landbridge_proto::wire::name::Timestamp;
use landbridge_proto::wire::problem::{Code, Problem};
use landbridge_proto::wire::request::{Answer, Findings, PairingResult};
use landbridge_proto::wire::stream::One;

use landbridge_planted::planted;

use super::{Federation, one_envelope, unsigned};
use crate::core::{Core, StepError, bug, unreadable};
use crate::halt::Halted;
use crate::net::ResponseBody;
use crate::net::limit_body::RequestBody;
use crate::trust::save;

/// The route of pairing.
pub const PATH: &str = "/federation/v1/pairing";

/// A newcomer that proved to hold an invite.
struct Newcomer {
    view: PeerView,
    request: Verified<PairingRequest>,
    invite: InviteRow,
    words: String,
}

impl Federation {
    pub(super) async fn pairing(&self, request: Request<RequestBody>) -> Response<ResponseBody> {
        //= ID-64
        if self.core.halt.is_on() {
            return unsigned(&Halted::problem());
        }
        let body = match self.body(request).await {
            Ok(body) => body,
            Err(problem) => {
                self.strangers.count(&problem);
                return unsigned(&problem);
            }
        };
        let plane = self.clone();
        let paired = tokio::spawn(async move {
            let newcomer = plane.newcomer(&body)?;
            plane.keep(newcomer).await
        });
        let paired = paired.await.unwrap_or_else(|error| Err(bug("a pairing failed", &error)));
        paired.unwrap_or_else(|problem| {
            self.strangers.count(&problem);
            unsigned(&problem)
        })
    }

    /// Verifies what a newcomer says of itself, and that it was given an open invite.
    fn newcomer(&self, body: &Bytes) -> Result<Newcomer, Problem> {
        let core = &self.core;
        let now = core.now();
        let refuse = |story: String| {
            tracing::info!(story, "a pairing was refused");
            Problem::new(Code::VerificationFailed)
        };
        let operation = Operation::parse(body)
            .map_err(|fault| Problem::new(Code::Malformed).with_detail(fault.to_string()))?;
        let roots = operation.roots.as_deref().unwrap_or_default();
        let Some((first, later)) = roots.split_first() else {
            return Err(Problem::new(Code::Malformed).with_detail("a newcomer brings its roots"));
        };
        let chain = TrustedRoot::introduced(first)
            .and_then(|chain| chain.advance(later, now))
            .map_err(|fault| refuse(fault.to_string()))?;
        let view = PeerView::new(chain)
            .with_status(&operation.status, now)
            .map_err(|fault| refuse(fault.to_string()))?;
        let request = view
            .verify::<PairingRequest>(&operation.request, now)
            .map_err(|fault| refuse(fault.to_string()))?;
        let row = core.store.reads().invite(&request.value().invite);
        let row = row.map_err(|fault| unreadable(&fault))?;
        let Some(row) = row.filter(|row| row.used.is_none() || planted!("invite_reused")) else {
            return Err(refuse("the invite is unknown or used".to_owned()));
        };
        let invite = Invite::parse(&row.secret)
            .map_err(|error| bug("a stored invite cannot be read", &error))?;
        invite
            .check_joiner(&request, view.gateway(), now)
            .map_err(|refusal| refuse(refusal.to_string()))?;
        let words = invite.words(&view.chain().genesis_digest()).join(" ");
        Ok(Newcomer { view, request, invite: row, words })
    }

    /// Uses up the invite and keeps the newcomer until a person decides, in one transaction.
    //= ID-35
    //= ID-36
    async fn keep(&self, newcomer: Newcomer) -> Result<Response<ResponseBody>, Problem> {
        let core = &self.core;
        let Newcomer { view, request, invite, words } = newcomer;
        let now = core.now();
        let peer = view.gateway().clone();
        let mut writes = vec![Write::UseInvite { id: invite.id, at: now }];
        writes.extend(documents(core, &view, now)?);
        writes.push(Write::PutPairing(PairingRow {
            peer: peer.clone(),
            alias: invite.alias,
            words,
            genesis: view.chain().genesis_digest(),
            joined: false,
            at: now,
        }));
        let audit = core.audit(peer.as_str(), "pairing_received", core.own().as_str(), []);
        writes.push(audit);
        let guard = Guard::InviteUnused { id: invite.id };
        let guards = if planted!("invite_reused") { Vec::new() } else { vec![guard] };
        match core.commit(Step::new(guards, writes, ())).await {
            Ok(()) => {}
            Err(StepError::Stale(_)) => return Err(Problem::new(Code::VerificationFailed)),
            Err(error) => return Err(error.into()),
        }
        let answer = Answer {
            aud: peer,
            iss: core.own().clone(),
            request: request.digest(),
            result: Findings { pairing: Some(PairingResult::Pending), ..Findings::default() },
            root_version: core.identity.root().version(),
            t: now,
            v: One,
        };
        let envelope = sign_typed(core.identity.stream(), &answer)
            .map_err(|error| bug("an answer was not signed", &error))?;
        Ok(one_envelope(200, &envelope))
    }
}

/// What of a newcomer's verified documents is not kept yet.
pub(crate) fn documents(
    core: &Core,
    view: &PeerView,
    now: Timestamp,
) -> Result<Vec<Write>, Problem> {
    let reads = core.store.reads();
    let gateway = view.gateway();
    let newest = |kind| {
        let found = reads.newest_document(gateway, kind);
        found.map(|row| row.map_or(0, |row| row.version)).map_err(|fault| unreadable(&fault))
    };
    let (root, status) = (newest(DocumentKind::Root)?, newest(DocumentKind::Status)?);
    let mut writes = Vec::new();
    for known in view.chain().roots().filter(|known| known.value().version > root) {
        let version = known.value().version;
        writes.push(save(gateway, DocumentKind::Root, version, known.envelope(), now));
    }
    if let Some(known) = view.status() {
        let seq = known.newest().value().seq.unsigned_abs();
        if seq > status {
            writes.push(save(gateway, DocumentKind::Status, seq, known.newest().envelope(), now));
        }
    }
    Ok(writes)
}
