//! Invites: made, listed and withdrawn.

use landbridge_proto::machine::contract::{InviteRow, Write};
use landbridge_proto::machine::step::Step;
use landbridge_proto::trust::pairing::{Invite, InviteSecret};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::{FormVersion, Peer, PeerStatus};
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{Alias, GatewayId, Timestamp};
use landbridge_proto::wire::problem::{Code, Problem};
use zeroize::Zeroizing;

use super::Bridge;
use super::admin::expiry;
use super::views::instant;
use crate::core::{bug, unreadable};
use crate::fail;
use crate::local::api::{InviteView, NewInvite, OpenInvite};
use crate::local::problem::{LocalCode, LocalProblem};

impl Bridge {
    /// Makes an invite: one line of text that is good once. An open invite for the same name is
    /// withdrawn by it, because its text was shown once and may be lost.
    ///
    /// # Errors
    ///
    /// `alias_taken`; a problem when this bridge tells no endpoint in its root: nobody could follow
    /// the invite.
    pub async fn invite(&self, new: NewInvite) -> Result<InviteView, LocalProblem> {
        let bridge = self.clone();
        self.finish_local(async move { bridge.invite_durably(new).await }).await
    }

    async fn invite_durably(&self, new: NewInvite) -> Result<InviteView, LocalProblem> {
        let core = &self.core;
        let now = core.now();
        self.check_alias(&new.alias, None)?;
        let longest = now.plus_ms(limit::INVITE_LIFE_MS);
        let expires = expiry(now, new.expires_in.as_deref())?.unwrap_or(longest);
        if expires > longest {
            let detail = "an invite works for at most 24 hours";
            return Err(LocalProblem::malformed(detail));
        }
        let identity = core.identity.present();
        let root = identity.root();
        let endpoint = root.root().endpoints.first().cloned().ok_or_else(|| {
            Problem::new(Code::NotSupported).with_detail(
                "this bridge's root names no endpoint, so nobody can reach it; let the peer invite",
            )
        })?;
        let mut secret = Zeroizing::new([0_u8; 32]);
        core.entropy.fill(&mut *secret);
        let invite = Invite {
            endpoint,
            expires,
            genesis: root.genesis_digest(),
            root: root.digest(),
            root_version: root.version(),
            secret: InviteSecret::from_entropy(&secret),
            v: FormVersion,
        };
        let text = invite.to_text().map_err(|error| bug("an invite has no text", &error))?;
        let row = InviteRow {
            id: invite.id(),
            secret: text.to_string(),
            alias: new.alias,
            created: now,
            expires,
            used: None,
            used_by: None,
            withdrawn: None,
        };
        let mut writes = Vec::new();
        for open in self.invite_rows()?.into_iter().filter(InviteRow::is_open) {
            if open.alias == row.alias {
                writes.push(Write::WithdrawInvite { id: open.id, at: now });
            }
        }
        let replaced = !writes.is_empty();
        let audit = core.audit("admin", "invite_created", row.alias.as_str(), []);
        writes.extend([Write::CreateInvite(row), audit]);
        fail::point("pairing.invite_made");
        core.commit(Step::new(Vec::new(), writes, ())).await.map_err(Problem::from)?;
        fail::point("pairing.invite_durable");
        let id = invite.id().to_string();
        Ok(InviteView { id, invite: text.to_string(), expires: instant(expires), replaced })
    }

    /// The invites that were made here, oldest first, without their secrets.
    ///
    /// # Errors
    ///
    /// A problem when the store cannot be read.
    pub async fn invites(&self) -> Result<Vec<OpenInvite>, Problem> {
        let now = self.core.now();
        let view = |row: InviteRow| OpenInvite {
            id: row.id.to_string(),
            state: state(&row, now).to_owned(),
            alias: row.alias,
            created: instant(row.created),
            expires: instant(row.expires),
            used_by: row.used_by,
        };
        Ok(self.invite_rows()?.into_iter().map(view).collect())
    }

    /// Withdraws an open invite: whoever holds its text can do nothing with it any more.
    ///
    /// # Errors
    ///
    /// `not_found` for one that is not open.
    pub async fn withdraw_invite(&self, id: &Digest) -> Result<(), Problem> {
        let row = self.core.store.reads().invite(id).map_err(|fault| unreadable(&fault))?;
        let row = row.ok_or_else(|| Problem::new(Code::NotFound).with_detail("no such invite"))?;
        if !row.is_open() {
            let state = state(&row, self.core.now());
            return Err(Problem::new(Code::NotFound)
                .with_detail(format!("this invite is not open: it is {state}")));
        }
        let withdraw = Write::WithdrawInvite { id: *id, at: self.core.now() };
        let audit = self.core.audit("admin", "invite_withdrawn", row.alias.as_str(), []);
        let guard = landbridge_proto::machine::contract::Guard::InviteUnused { id: *id };
        let bridge = self.clone();
        let step = Step::new(vec![guard], vec![withdraw, audit], ());
        self.finish(async move { Ok(bridge.core.commit(step).await?) }).await
    }

    /// Refuses a name that means another gateway here, or will.
    pub(super) fn check_alias(
        &self,
        alias: &Alias,
        gateway: Option<&GatewayId>,
    ) -> Result<(), LocalProblem> {
        let taken = |what: String| Err(LocalProblem::new(LocalCode::AliasTaken, what));
        let state = self.core.trust.state();
        let pinned = state.federation.as_ref().and_then(|known| known.peer_called(alias));
        // A peer that was revoked may be invited anew, under its name.
        let may_come_back = |peer: &Peer| gateway.is_none() && peer.status == PeerStatus::Revoked;
        let pinned = pinned.filter(|peer| Some(&peer.gid) != gateway && !may_come_back(peer));
        if let Some(peer) = pinned {
            return taken(format!("{alias} is what this bridge calls the peer {}", peer.gid));
        }
        let rows = self.core.store.reads().pairings().map_err(|fault| unreadable(&fault))?;
        let waits = rows.iter().find(|row| row.alias == *alias && Some(&row.peer) != gateway);
        if let Some(row) = waits {
            return taken(format!("a pairing called {alias} waits here, with {}", row.peer));
        }
        Ok(())
    }

    fn invite_rows(&self) -> Result<Vec<InviteRow>, Problem> {
        self.core.store.reads().invites().map_err(|fault| unreadable(&fault))
    }
}

fn state(row: &InviteRow, now: Timestamp) -> &'static str {
    match row {
        InviteRow { used: Some(_), .. } => "used",
        InviteRow { withdrawn: Some(_), .. } => "withdrawn",
        _ if now >= row.expires => "expired",
        _ => "open",
    }
}
