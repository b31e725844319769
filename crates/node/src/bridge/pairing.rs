//! Joining a peer by its invite, and the pairings that wait for somebody.

use std::time::Duration;

use landbridge_proto::machine::contract::{PairingRow, Write};
use landbridge_proto::machine::step::Step;
use landbridge_proto::trust::pairing::{Invite, PairingRefusal};
use landbridge_proto::trust::peer::PeerView;
use landbridge_proto::trust::root::TrustedRoot;
use landbridge_proto::wire::document::PeerStatus;
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::name::GatewayId;
use landbridge_proto::wire::problem::{Code, Problem};

use super::Bridge;
use super::views::instant;
use crate::core::{bug, unreadable};
use crate::fail;
use crate::federation::pairing::documents;
use crate::local::api::{Join, PairingStanding, PairingView, PeerView as PeerRow};
use crate::local::problem::{LocalCode, LocalProblem};
use crate::net::client::Target;
use crate::news::NotWalked;
use crate::pairing::{PairingFault, There};
use crate::peers::{PeerError, target};
use crate::trust::stored_view;

/// How long a stranger may let us wait for all that we fetch from it.
pub(super) const STRANGER_WITHIN: Duration = Duration::from_secs(60);

impl Bridge {
    /// Follows an invite: verifies the inviter, proves the secret, and waits for two people. The same
    /// invite again gives the same pairing, until it is decided.
    ///
    /// # Errors
    ///
    /// A problem that says what is wrong with the invite, the name or the inviter.
    pub async fn join(&self, join: Join) -> Result<PairingView, LocalProblem> {
        let bridge = self.clone();
        self.finish_local(async move { bridge.join_durably(join).await }).await
    }

    async fn join_durably(&self, join: Join) -> Result<PairingView, LocalProblem> {
        let core = &self.core;
        self.check_may_ask()?;
        let invite = Invite::parse(&join.invite)
            .map_err(|error| LocalProblem::new(LocalCode::InviteDamaged, error.to_string()))?;
        let inviter = invite.inviter();
        if inviter == *core.own() {
            let detail = "this invite was made here; the other side follows it";
            return Err(LocalProblem::new(LocalCode::InviteOwn, detail));
        }
        //= ID-73
        if let Err(refusal) = invite.check_time(core.now()) {
            return Err(refused(&refusal));
        }
        self.check_alias(&join.alias, Some(&inviter))?;
        let alias = self.name_for(&inviter, &join)?;
        //= ID-76
        let met = tokio::time::timeout(STRANGER_WITHIN, self.meet(&invite)).await;
        let view = met.map_err(|_| {
            let detail = "the inviter's documents did not arrive in a minute";
            Problem::new(Code::PeerUnreachable).with_detail(detail)
        })??;
        fail::point("pairing.proven");
        let words = invite.words(&core.identity.present().root().genesis_digest()).join(" ");
        let row = PairingRow {
            peer: view.gateway().clone(),
            alias,
            words,
            genesis: view.chain().genesis_digest(),
            joined: true,
            at: core.now(),
            invite: invite.id(),
            proof: invite.secret.proof(view.gateway(), core.own()),
        };
        let mut writes = documents(core, &view, row.at)?;
        writes.push(core.audit("admin", "pairing_joined", row.peer.as_str(), []));
        writes.push(Write::PutPairing(row.clone()));
        core.commit(Step::new(Vec::new(), writes, ())).await.map_err(Problem::from)?;
        fail::point("pairing.joined");
        Ok(self.pairing_view(row)?)
    }

    /// What the inviter is called here: as before, where it is a peer that lost this bridge.
    fn name_for(
        &self,
        inviter: &GatewayId,
        join: &Join,
    ) -> Result<landbridge_proto::wire::name::Alias, LocalProblem> {
        let known = |what: String| Err(LocalProblem::new(LocalCode::AlreadyPaired, what));
        let state = self.core.trust.state();
        let Some(peer) = state.federation.as_ref().and_then(|document| document.peer(inviter))
        else {
            return Ok(join.alias.clone());
        };
        match peer.status {
            // A person follows a new invite of a peer that was revoked: it is paired anew.
            //= ID-63
            PeerStatus::Revoked => Ok(peer.alias.clone()),
            PeerStatus::Suspended => {
                known(format!("the inviter is the peer {}, which is suspended here", peer.alias))
            }
            PeerStatus::Active => {
                let waits = self.core.unfinished_pairing(inviter)?.is_some();
                if waits || join.again {
                    return Ok(peer.alias.clone());
                }
                known(format!("the inviter is a peer already, called {}", peer.alias))
            }
        }
    }

    /// Fetches what the inviter says of itself, checks that it is who the invite says, and shows it that
    /// we were given its secret; it then keeps our documents.
    async fn meet(&self, invite: &Invite) -> Result<PeerView, LocalProblem> {
        let core = &self.core;
        let reached = |error: PeerError| error.problem();
        let target = target(&invite.endpoint).map_err(reached)?;
        let chain = self.inviters_chain(invite, &target).await?;
        let now = core.now();
        let view = PeerView::new(chain);
        invite.check_inviter(view.chain(), now).map_err(|refusal| refused(&refusal))?;
        let status = core.fetch(&target, "/federation/v1/status").await.map_err(reached)?;
        let status = status.ok_or_else(|| PeerError::NoStatus.problem())?;
        let view = view.with_status(&status, now).map_err(|fault| {
            let detail = format!("the inviter's status is refused: {fault}");
            Problem::new(Code::VerificationFailed).with_detail(detail)
        })?;
        let proof = invite.secret.proof(view.gateway(), core.own());
        match core.send_pairing(&target, &view, invite.id(), proof).await {
            Ok(_) => Ok(view),
            Err(PairingFault::Ours(problem)) => Err(problem.into()),
            Err(PairingFault::Peer(error)) => Err(error.problem().into()),
            Err(PairingFault::Refused(problem)) => {
                let told =
                    problem.detail.unwrap_or_else(|| "it does not know the invite".to_owned());
                let detail = format!("the inviter refused: {told}");
                Err(LocalProblem::new(LocalCode::InviteRefused, detail))
            }
        }
    }

    /// The inviter's roots, from the one that the invite names on.
    async fn inviters_chain(
        &self,
        invite: &Invite,
        target: &Target,
    ) -> Result<TrustedRoot, LocalProblem> {
        let chain = self.core.walk_chain(target, |root, _| first_root(invite, root)).await;
        chain.map_err(|fault| match fault {
            NotWalked::Fetch(error) => error.problem().into(),
            NotWalked::TooMany => {
                Problem::new(Code::TooLarge).with_detail(format!("the inviter: {fault}")).into()
            }
            NotWalked::Root(_) | NotWalked::None => {
                let what = crate::core::chained(&fault);
                let detail = format!("the inviter's roots are not those of the invite: {what}");
                LocalProblem::new(LocalCode::InviteRefused, detail)
            }
        })
    }

    /// Pairings that wait for a person on this side.
    ///
    /// # Errors
    ///
    /// A problem when the store cannot be read.
    pub async fn pairings(&self) -> Result<Vec<PairingView>, Problem> {
        let state = self.core.trust.state();
        let rows = self.core.store.reads().pairings().map_err(|fault| unreadable(&fault))?;
        let waiting = rows.into_iter().filter(|row| !state.active(&row.peer));
        waiting.map(|row| self.pairing_view(row)).collect()
    }

    /// Pairings that wait for anybody, as peers; the other sides are asked how they stand there.
    pub(super) async fn unfinished(&self, peers: &mut Vec<PeerRow>) -> Result<(), Problem> {
        let rows = self.core.store.reads().pairings().map_err(|fault| unreadable(&fault))?;
        for (row, there) in self.core.settle_pairings(rows).await {
            let here = self.core.trust.state().active(&row.peer);
            if here && there == There::Accepted {
                continue;
            }
            let (accepted_there, detail) = match there {
                There::Accepted => (Some(true), None),
                There::Pending => (Some(false), None),
                There::Gone(why) => {
                    (Some(false), Some(format!("it does not know the pairing: {why}")))
                }
                There::Unknown(why) => (None, Some(format!("it could not be asked: {why}"))),
            };
            let standing =
                PairingStanding { accepted_here: here, accepted_there, joined: row.joined, detail };
            match peers.iter_mut().find(|peer| peer.gateway == row.peer) {
                Some(peer) => {
                    peer.words = Some(row.words);
                    if peer.state == "active" {
                        peer.state = "awaitingPeer".to_owned();
                    }
                    peer.pairing = Some(standing);
                }
                None => {
                    let view = self.pairing_view(row)?;
                    peers.push(PeerRow {
                        alias: view.alias,
                        gateway: view.gateway,
                        state: "awaitingAccept".to_owned(),
                        words: Some(view.words),
                        pairing: Some(standing),
                        trouble: None,
                        alarms: Vec::new(),
                        endpoints: view.endpoints,
                        root_version: Some(view.root_version),
                        status_issued: None,
                        evidence: Vec::new(),
                        tenants: Vec::new(),
                        grants: Vec::new(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Forgets a pairing that a person does not want.
    ///
    /// # Errors
    ///
    /// `not_found`.
    pub async fn decline_pairing(&self, peer: &GatewayId) -> Result<(), Problem> {
        let waits = self.pairings().await?.iter().any(|pairing| pairing.gateway == *peer);
        if !waits {
            return Err(Problem::new(Code::NotFound).with_detail("no such pairing is waiting"));
        }
        let drop = Write::DropPairing { peer: peer.clone() };
        let audit = self.core.audit("admin", "pairing_declined", peer.as_str(), []);
        let mut writes = vec![drop, audit];
        if self
            .core
            .trust
            .state()
            .federation
            .as_ref()
            .is_none_or(|known| known.peer(peer).is_none())
        {
            writes.push(Write::DropMembership { member: peer.clone() });
        }
        Ok(self.core.commit(Step::new(Vec::new(), writes, ())).await?)
    }

    fn pairing_view(&self, row: PairingRow) -> Result<PairingView, Problem> {
        let view = stored_view(&self.core.store, &row.peer)
            .map_err(|error| bug("a newcomer's documents cannot be read", &error))?;
        let view = view.ok_or_else(|| bug("a pairing without documents", &row.peer))?;
        let root = view.chain().root();
        Ok(PairingView {
            accepted_here: self.core.trust.state().active(&row.peer),
            gateway: row.peer,
            alias: row.alias,
            words: row.words,
            genesis: row.genesis.to_string(),
            endpoints: root.endpoints.iter().map(|known| known.url.to_string()).collect(),
            root_version: view.chain().version(),
        })
    }
}

/// The first root, which the invite names by its digest.
//= ID-33
fn first_root(
    invite: &Invite,
    root: &Envelope,
) -> Result<TrustedRoot, landbridge_proto::trust::root::RootError> {
    TrustedRoot::restore(std::slice::from_ref(root), &invite.inviter())
}

fn refused(refusal: &PairingRefusal) -> LocalProblem {
    match refusal {
        PairingRefusal::InviteExpired { expires } => LocalProblem::new(
            LocalCode::InviteExpired,
            format!("the invite expired at {}", instant(*expires)),
        ),
        other => LocalProblem::new(LocalCode::InviteRefused, other.to_string()),
    }
}
