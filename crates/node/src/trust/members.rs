//! Peers that a federation root brought: admitted by a membership, and talked to while one counts.
//!
//! A membership is shown, verified, made durable, and only then counts. That it lapsed is found at two
//! places: the gate compares the time for each request, and a round every few seconds ends what is open
//! and writes down that it happened.

use std::collections::BTreeSet;

use landbridge_proto::machine::contract::{MembershipRow, PairingRow, Write};
use landbridge_proto::machine::step::Step;
use landbridge_proto::trust::federation::TrustedFederation;
use landbridge_proto::trust::membership::{MembershipError, TrustedMembership, has_room};
use landbridge_proto::wire::document::PeerStatus;
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::name::{GatewayId, Timestamp};
use landbridge_store::{Fault, Handle};

use super::{State, Trust, TrustError};
use crate::core::Core;

/// What became of a membership that was shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shown {
    /// Its gateway is a member here: the membership counts from now on.
    Counts,
    /// Its gateway waits for a person.
    Waits,
}

/// Why a membership was not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotAdmitted {
    /// It does not count here.
    #[error("the membership does not count here")]
    Membership(#[from] MembershipError),
    /// It names another gateway than the one that showed it.
    #[error("the membership is of {member}, and {shown_by} showed it")]
    Foreign {
        /// The member.
        member: GatewayId,
        /// The gateway that showed it.
        shown_by: GatewayId,
    },
    /// The gateway is revoked here, or people paired it: it needs no membership.
    #[error("{gateway} is revoked here, or was paired by people")]
    NotAMember {
        /// The gateway.
        gateway: GatewayId,
    },
    /// An older one than one that was shown before.
    #[error("a membership that was issued later was shown before")]
    Older,
    /// It was not made durable.
    #[error("the membership was not kept")]
    Trust(#[from] TrustError),
}

impl State {
    /// Peers that no membership vouches for at the moment.
    fn unvouched(&self, now: Timestamp) -> BTreeSet<GatewayId> {
        let Some(known) = &self.federation else { return BTreeSet::new() };
        let members = known.document().roots.iter().flat_map(|root| &root.members);
        members.filter(|member| !known.is_vouched_for(member, now)).cloned().collect()
    }
}

/// The document with the kept memberships that count for it.
pub(super) fn with_kept(
    store: &Handle,
    federation: TrustedFederation,
    now: Timestamp,
) -> Result<TrustedFederation, Fault> {
    let rows = store.reads().memberships()?;
    // A row that was edited is no membership: its member is not vouched for.
    let kept: Vec<_> =
        rows.iter().filter_map(|row| Envelope::parse(row.envelope.as_bytes()).ok()).collect();
    Ok(federation.with_memberships(&kept, now))
}

/// The end of kept memberships of gateways that are neither peers of a document nor wait to be.
pub(super) fn needless(store: &Handle, next: &TrustedFederation) -> Result<Vec<Write>, Fault> {
    let waiting = store.reads().pairings()?;
    let rows = store.reads().memberships()?.into_iter().map(|row| row.member);
    let needless = rows.filter(|member| {
        next.admitting_root(member).is_none() && !waiting.iter().any(|one| one.peer == *member)
    });
    Ok(needless.map(|member| Write::DropMembership { member }).collect())
}

impl Trust {
    /// Takes a membership that its gateway showed: it counts at once for a member, and makes anybody
    /// else wait for a person. `documents` are what is to be kept of a newcomer.
    ///
    /// # Errors
    ///
    /// [`NotAdmitted`]; then nothing changed.
    //= ID-69
    pub async fn shown(
        &self,
        core: &Core,
        membership: &Envelope,
        newcomer: PairingRow,
        documents: Vec<Write>,
    ) -> Result<Shown, NotAdmitted> {
        let _changing = self.changing.lock().await;
        let state = self.state();
        let now = core.now();
        let gateway = newcomer.peer.clone();
        let refused = || NotAdmitted::NotAMember { gateway: gateway.clone() };
        let federation = state.federation.as_ref().ok_or_else(refused)?;
        let opened = TrustedMembership::open(membership, federation, now)?;
        let said = opened.value();
        if said.member != gateway {
            let member = said.member.clone();
            return Err(NotAdmitted::Foreign { member, shown_by: gateway });
        }
        let pinned = federation.peer(&gateway);
        let root = federation.admitting_root(&gateway);
        let is_member = match (pinned, root) {
            (Some(peer), Some(root)) => {
                peer.status != PeerStatus::Revoked && root.name == said.federation
            }
            (Some(_), None) => false,
            (None, _) => true,
        };
        if !is_member {
            return Err(refused());
        }
        let rows = core.store.reads().memberships().map_err(TrustError::from)?;
        //= ID-72
        if rows.iter().any(|row| row.member == gateway && row.issued > said.issued) {
            return Err(NotAdmitted::Older);
        }
        let waiting = core.store.reads().pairings().map_err(TrustError::from)?;
        // Shown again it changes nothing, and writes nothing: a member must not fill the log either.
        let text = String::from_utf8_lossy(&membership.to_bytes()).into_owned();
        let is_known = rows.iter().any(|row| row.member == gateway && row.envelope == text);
        let is_waiting = waiting.iter().any(|pairing| pairing.peer == gateway);
        if is_known && (pinned.is_some() || is_waiting) {
            return Ok(if pinned.is_some() { Shown::Counts } else { Shown::Waits });
        }
        let row = MembershipRow {
            member: gateway.clone(),
            federation: said.federation.clone(),
            envelope: text,
            issued: said.issued,
            at: now,
        };
        let detail = [("federation", said.federation.as_str())];
        let mut writes = vec![Write::PutMembership(row)];
        let shown = if pinned.is_some() {
            writes.push(core.audit(
                gateway.as_str(),
                "membership_shown",
                core.own().as_str(),
                detail,
            ));
            Shown::Counts
        } else {
            let is_other = |row: &&MembershipRow| {
                row.federation == said.federation
                    && row.member != gateway
                    && federation.peer(&row.member).is_none()
                    && waiting.iter().any(|pairing| pairing.peer == row.member)
            };
            let others = rows.iter().filter(is_other).count();
            has_room(federation, &said.federation, &gateway, others)?;
            writes.extend(documents);
            writes.push(Write::PutPairing(newcomer));
            writes.push(core.audit(
                gateway.as_str(),
                "admission_received",
                core.own().as_str(),
                detail,
            ));
            Shown::Waits
        };
        core.commit(Step::new(Vec::new(), writes, ())).await.map_err(TrustError::from)?;
        if shown == Shown::Counts {
            let next = with_kept(&core.store, federation.clone(), now).map_err(TrustError::from)?;
            self.take_memberships(State { federation: Some(next), ..State::clone(&state) }, now);
            core.wakes.wake_all();
        }
        Ok(shown)
    }

    /// Finds memberships that lapsed: what is open with their gateways ends, and the audit log says so.
    ///
    /// # Errors
    ///
    /// [`TrustError`] when that cannot be written down; they have lapsed all the same.
    //= ID-70
    pub async fn tend_memberships(&self, core: &Core) -> Result<(), TrustError> {
        let now = core.now();
        if self.state().unvouched(now) == self.state().unvouched {
            return Ok(());
        }
        let _changing = self.changing.lock().await;
        let state = State::clone(&self.state());
        let before = state.unvouched.clone();
        self.take_memberships(state, now);
        core.wakes.wake_all();
        let state = self.state();
        let lapsed = state.unvouched.difference(&before);
        let records = lapsed.map(|member| {
            tracing::warn!(peer = %member, "its membership lapsed; nothing is done with it");
            core.audit("bridge", "membership_lapsed", member.as_str(), [])
        });
        let records: Vec<_> = records.collect();
        if !records.is_empty() {
            core.commit(Step::new(Vec::new(), records, ())).await?;
        }
        Ok(())
    }

    /// Puts a state in force with who is vouched for in it.
    pub(super) fn take_memberships(&self, mut state: State, now: Timestamp) {
        state.unvouched = state.unvouched(now);
        self.replace(state);
    }
}

/// For a state that is being made.
pub(super) fn find_unvouched(state: &mut State, now: Timestamp) {
    state.unvouched = state.unvouched(now);
}
