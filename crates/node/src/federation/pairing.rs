//! Pairing: a newcomer shows that it was given an invite; then a person on each side decides.
//!
//! What is kept here opens nothing: a peer is talked to only once the policy-signed federation
//! document names it.

use bytes::Bytes;
use http::{Request, Response};
use landbridge_proto::machine::contract::{DocumentKind, Guard, InviteRow, PairingRow, Write};
use landbridge_proto::machine::step::Step;
use landbridge_proto::trust::pairing::{Invite, PairingRefusal, is_timely};
use landbridge_proto::trust::peer::PeerView;
use landbridge_proto::trust::signer::SignError;
use landbridge_proto::trust::verified::Verified;
use landbridge_proto::wire::document::{PairingRequest, PeerStatus};
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{GatewayId, Timestamp};
use landbridge_proto::wire::problem::{Code, Problem};
use landbridge_proto::wire::request::{Answer, Findings, PairingResult};
use landbridge_proto::wire::stream::One;

use landbridge_planted::planted;

use super::introduction::{self, introduced};
use super::{Federation, keyless, one_envelope};
use crate::core::{Core, StepError, bug, unreadable};
use crate::fail;
use crate::halt::Halted;
use crate::net::ResponseBody;
use crate::net::limit_body::RequestBody;
use crate::trust::save;

/// The route of pairing.
pub const PATH: &str = "/federation/v1/pairing";

/// Somebody who proved to hold an invite, or to be the other side of a pairing.
struct Caller {
    view: PeerView,
    request: Verified<PairingRequest>,
    standing: Standing,
}

/// What is known of a caller's pairing.
enum Standing {
    /// It shows an open invite for the first time.
    New { invite: Box<InviteRow>, words: String },
    /// It was here before, or we joined by its invite.
    Known(PairingResult),
}

impl Federation {
    pub(super) async fn pairing(&self, request: Request<RequestBody>) -> Response<ResponseBody> {
        //= ID-64
        if self.core.halt.is_on() {
            return self.turn_away(&Halted::problem());
        }
        let body = match self.body(request).await {
            Ok(body) => body,
            Err(problem) => return self.turn_away(&problem),
        };
        let plane = self.clone();
        let paired = tokio::spawn(async move {
            let caller = plane.caller(&body)?;
            plane.keep(caller).await
        });
        let paired = paired.await.unwrap_or_else(|error| Err(bug("a pairing failed", &error)));
        paired.unwrap_or_else(|problem| self.turn_away(&problem))
    }

    /// Verifies what a caller says of itself, and that it was given an invite or is known by one.
    fn caller(&self, body: &Bytes) -> Result<Caller, Problem> {
        let operation = introduction::read(body)?;
        let is_right = |view: &PeerView, said: &PairingRequest, now: Timestamp| {
            if said.aud != *self.core.own() || said.iss != *view.gateway() {
                return Err(refuse(&"the request is of or for another gateway"));
            }
            if !is_timely(said.iat, said.exp, now) {
                //= REQ-14
                tracing::info!("a pairing was refused: it is out of time");
                return Err(Problem::new(Code::ClockSkew));
            }
            Ok(())
        };
        let (view, request) = introduced(&self.core, &operation, is_right)?;
        let standing = self.standing(&view, &request)?;
        Ok(Caller { view, request, standing })
    }

    fn standing(
        &self,
        view: &PeerView,
        request: &Verified<PairingRequest>,
    ) -> Result<Standing, Problem> {
        let core = &self.core;
        let said = request.value();
        let gateway = view.gateway();
        let pinned = {
            let state = core.trust.state();
            let known = state.federation.as_ref().and_then(|known| known.peer(gateway));
            known.map(|peer| peer.status)
        };
        if pinned == Some(PeerStatus::Suspended) {
            return Err(refuse(&"it is suspended here"));
        }
        // Who was revoked is a stranger, whom a person here may invite anew.
        //= ID-63
        let pinned = pinned.filter(|status| *status != PeerStatus::Revoked);
        let row = core.store.reads().invite(&said.invite);
        let row = row.map_err(|fault| unreadable(&fault))?;
        if let Some(row) = row.as_ref().filter(|row| row.is_open()) {
            let invite = Invite::parse(&row.secret)
                .map_err(|error| bug("a stored invite cannot be read", &error))?;
            invite.check_joiner(request, gateway, core.now()).map_err(|refusal| {
                let told = refuse(&refusal);
                match refusal {
                    PairingRefusal::InviteExpired { .. } => {
                        told.with_detail("the invite has expired")
                    }
                    _ => told,
                }
            })?;
            let words = invite.words(&view.chain().genesis_digest()).join(" ");
            return Ok(Standing::New { invite: Box::new(row.clone()), words });
        }
        let waiting = core.unfinished_pairing(gateway)?;
        let by_it = waiting.as_ref().filter(|row| row.invite == said.invite);
        //= ID-74
        let used_by_it = row.as_ref().is_some_and(|row| row.used_by.as_ref() == Some(gateway));
        match (pinned, by_it, &row) {
            (None, _, Some(_)) if planted!("invite_reused") => {
                Ok(Standing::Known(PairingResult::Pending))
            }
            (Some(_), _, None) => Ok(Standing::Known(PairingResult::Accepted)),
            (Some(_), ..) if used_by_it => Ok(Standing::Known(PairingResult::Accepted)),
            (None, Some(known), _) if known.proof.eq_secret(&said.proof) => {
                Ok(Standing::Known(PairingResult::Pending))
            }
            (_, _, Some(row)) => {
                Err(refuse(&"the invite is not open").with_detail(spent(row, gateway)))
            }
            _ => Err(refuse(&"the invite is unknown")),
        }
    }

    /// Uses up the invite and keeps the newcomer until a person decides, in one transaction; who is
    /// known is only told how it stands.
    //= ID-35
    //= ID-36
    async fn keep(&self, caller: Caller) -> Result<Response<ResponseBody>, Problem> {
        let core = &self.core;
        let Caller { view, request, standing } = caller;
        let now = core.now();
        let peer = view.gateway().clone();
        let said = request.value();
        //= REQ-17
        let seen = core.store.reads().jti_seen(&peer, &said.jti);
        if seen.map_err(|fault| unreadable(&fault))? {
            return Err(Problem::new(Code::Replayed));
        }
        let jti = (peer.clone(), said.jti.clone());
        let keep_until = said.exp.plus_ms(limit::CLOCK_SKEW_MS_MAX + 1);
        let mut guards = vec![Guard::JtiUnseen { issuer: jti.0.clone(), jti: jti.1.clone() }];
        let mut writes = vec![Write::Jti { issuer: jti.0, jti: jti.1, keep_until }];
        let result = match standing {
            Standing::Known(result) => result,
            Standing::New { invite, words } => {
                let state = core.trust.state();
                let pinned = state.federation.as_ref().and_then(|known| known.active_peer(&peer));
                guards.push(Guard::InviteUnused { id: invite.id });
                writes.push(Write::UseInvite { id: invite.id, at: now, by: peer.clone() });
                writes.extend(documents(core, &view, now)?);
                writes.push(Write::PutPairing(PairingRow {
                    peer: peer.clone(),
                    // Who is a peer already keeps its name; the words are compared again all the same.
                    alias: pinned.map_or(invite.alias, |known| known.alias.clone()),
                    words,
                    genesis: view.chain().genesis_digest(),
                    joined: false,
                    at: now,
                    invite: invite.id,
                    proof: said.proof,
                }));
                writes.push(core.audit(peer.as_str(), "pairing_received", core.own().as_str(), []));
                fail::point("pairing.received");
                if pinned.is_some() { PairingResult::Accepted } else { PairingResult::Pending }
            }
        };
        // Signed before anything is used up: without a key, the invite stays as it is.
        let identity = core.identity.present();
        let answer = Answer {
            aud: peer,
            iss: core.own().clone(),
            request: request.digest(),
            result: Findings { pairing: Some(result), ..Findings::default() },
            root_version: identity.root().version(),
            t: now,
            v: One,
        };
        let envelope = identity.sign(&answer, now).map_err(|error| match error {
            SignError::Revoked { .. } => keyless(),
            other => bug("an answer was not signed", &other),
        })?;
        match core.commit(Step::new(guards, writes, ())).await {
            Ok(()) => {}
            Err(StepError::Stale(_)) => return Err(Problem::new(Code::VerificationFailed)),
            Err(error) => return Err(error.into()),
        }
        fail::point("pairing.kept");
        Ok(one_envelope(200, &envelope))
    }
}

/// What a stranger is told, and what the log is told.
fn refuse(story: &dyn std::fmt::Display) -> Problem {
    tracing::info!(%story, "a pairing was refused");
    Problem::new(Code::VerificationFailed)
}

/// Why an invite does not serve any more. Only who was given the invite can name its id.
fn spent(row: &InviteRow, by: &GatewayId) -> &'static str {
    if row.withdrawn.is_some() {
        "the invite was withdrawn"
    } else if row.used_by.as_ref() == Some(by) {
        "the pairing was declined"
    } else {
        "the invite was used by another gateway"
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
