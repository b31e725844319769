//! Inviting a peer, and joining one.

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use landbridge_proto::machine::contract::{InviteRow, PairingRow, Write};
use landbridge_proto::machine::operation::Operation;
use landbridge_proto::machine::step::Step;
use landbridge_proto::trust::pairing::{Invite, InviteSecret};
use landbridge_proto::trust::peer::PeerView;
use landbridge_proto::trust::root::TrustedRoot;
use landbridge_proto::trust::signer::sign_typed;
use landbridge_proto::wire::document::{FormVersion, PairingRequest, raw};
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::GatewayId;
use landbridge_proto::wire::problem::{Code, Problem};
use landbridge_proto::wire::request::{Answer, PairingResult};
use zeroize::Zeroizing;

use super::Bridge;
use super::admin::expiry;
use super::views::instant;
use crate::core::{bug, unreadable};
use crate::federation::pairing::{PATH, documents};
use crate::local::api::{InviteView, Join, NewInvite, PairingView};
use crate::net::client;
use crate::net::client::Target;
use crate::peers::{PeerError, target};
use crate::trust::stored_view;

/// How long a pairing request is good, in milliseconds.
const PAIRING_LIFE_MS: i64 = 60_000;

impl Bridge {
    /// Makes an invite: one line of text that is good once.
    ///
    /// # Errors
    ///
    /// A problem when this bridge tells no endpoint in its root: nobody could follow the invite.
    pub async fn invite(&self, new: NewInvite) -> Result<InviteView, Problem> {
        let core = &self.core;
        let now = core.now();
        let longest = now.plus_ms(limit::INVITE_LIFE_MS);
        let expires = expiry(now, new.expires_in.as_deref())?.unwrap_or(longest);
        let root = core.identity.root();
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
        };
        let audit = core.audit("admin", "invite_created", row.alias.as_str(), []);
        let step = Step::new(Vec::new(), vec![Write::CreateInvite(row), audit], ());
        core.commit(step).await?;
        Ok(InviteView { invite: text.to_string(), expires: instant(expires) })
    }

    /// Follows an invite: verifies the inviter, proves the secret, and waits for two people.
    ///
    /// # Errors
    ///
    /// A problem that says what is wrong with the invite or the inviter.
    pub async fn join(&self, join: Join) -> Result<PairingView, Problem> {
        let bridge = self.clone();
        self.finish(async move { bridge.join_durably(join).await }).await
    }

    async fn join_durably(&self, join: Join) -> Result<PairingView, Problem> {
        let core = &self.core;
        self.check_may_ask()?;
        let refuse =
            |code, what: &dyn std::fmt::Display| Problem::new(code).with_detail(format!("{what}"));
        let invite = Invite::parse(&join.invite)
            .map_err(|error| refuse(Code::Malformed, &format!("the invite: {error}")))?;
        if invite.inviter() == *core.own() {
            return Err(refuse(
                Code::Malformed,
                &"this invite is our own; the other side follows it",
            ));
        }
        let target = target(&invite.endpoint).map_err(|error| error.problem())?;
        let now = core.now();
        let chain = self.inviters_chain(&invite, &target).await?;
        let view = PeerView::new(chain);
        invite
            .check_inviter(view.chain(), now)
            .map_err(|error| refuse(Code::VerificationFailed, &error))?;
        let status = core.fetch(&target, "/federation/v1/status").await;
        let status = status.map_err(|error| error.problem())?;
        let status = status.ok_or_else(|| PeerError::NoStatus.problem())?;
        let view = view
            .with_status(&status, now)
            .map_err(|error| refuse(Code::VerificationFailed, &error))?;
        self.prove(&invite, &target, &view).await?;
        let words = invite.words(&core.identity.root().genesis_digest()).join(" ");
        let row = PairingRow {
            peer: view.gateway().clone(),
            alias: join.alias,
            words,
            genesis: view.chain().genesis_digest(),
            joined: true,
            at: now,
        };
        let mut writes = documents(core, &view, now)?;
        writes.push(core.audit("admin", "pairing_joined", row.peer.as_str(), []));
        writes.push(Write::PutPairing(row.clone()));
        core.commit(Step::new(Vec::new(), writes, ())).await?;
        self.pairing_view(row)
    }

    /// The inviter's roots from the first on, each verified.
    async fn inviters_chain(
        &self,
        invite: &Invite,
        target: &Target,
    ) -> Result<TrustedRoot, Problem> {
        let mut roots = Vec::new();
        loop {
            let path = format!("/federation/v1/root/{}", roots.len() + 1);
            let root = self.core.fetch(target, &path).await.map_err(|error| error.problem())?;
            match root {
                Some(root) if roots.len() < 1_000 => roots.push(root),
                _ => break,
            }
        }
        TrustedRoot::restore(&roots, &invite.inviter()).map_err(|error| {
            Problem::new(Code::VerificationFailed)
                .with_detail(format!("the inviter's roots are not those of the invite: {error}"))
        })
    }

    /// Shows the inviter that we were given its secret; it then keeps our documents.
    async fn prove(
        &self,
        invite: &Invite,
        target: &Target,
        inviter: &PeerView,
    ) -> Result<(), Problem> {
        let core = &self.core;
        let now = core.now();
        let request = PairingRequest::try_from(raw::PairingRequest {
            aud: inviter.gateway().clone(),
            exp: now.plus_ms(PAIRING_LIFE_MS),
            genesis: core.identity.root().genesis_digest(),
            iat: now,
            invite: invite.id(),
            iss: core.own().clone(),
            jti: core.new_jti().map_err(|error| bug("no request id", &error))?,
            proof: invite.secret.proof(inviter.gateway(), core.own()),
            v: FormVersion,
        });
        let request = request.map_err(|error| bug("a pairing request of ours is wrong", &error))?;
        let request = sign_typed(core.identity.request(), &request)
            .map_err(|error| bug("a pairing request was not signed", &error))?;
        let digest = request.digest();
        let status = core.trust.state().status.clone();
        let operation = Operation {
            roots: Some(core.identity.chain().to_vec()),
            status: status.ok_or_else(|| PeerError::NoStatus.problem())?,
            request,
            held: None,
        };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        let body = Bytes::from(operation.to_bytes());
        let reached = |error| PeerError::Client(error).problem();
        let response = core.client.post(target, PATH, headers, body).await.map_err(reached)?;
        let status = response.status().as_u16();
        let (_, body) =
            client::collect(response, limit::ENVELOPE_BYTES_MAX).await.map_err(reached)?;
        if status != 200 {
            let told = serde_json::from_slice::<Problem>(&body);
            return Err(Problem::new(Code::VerificationFailed).with_detail(format!(
                "the inviter refused ({}): the invite was used, expired, or is not its own; ask for a new one",
                told.map_or_else(|_| status.to_string(), |problem| problem.to_string())
            )));
        }
        let refuse = |what: String| Problem::new(Code::VerificationFailed).with_detail(what);
        let envelope = Envelope::parse(&body).map_err(|error| refuse(error.to_string()))?;
        let answer =
            inviter.verify::<Answer>(&envelope, now).map_err(|error| refuse(error.to_string()))?;
        let said = answer.value();
        let ours = said.request == digest && said.aud == *core.own();
        let kept =
            matches!(said.result.pairing, Some(PairingResult::Pending | PairingResult::Accepted));
        if ours && kept {
            Ok(())
        } else {
            Err(refuse("the inviter's answer is not to us".to_owned()))
        }
    }

    /// Pairings that wait for a person on this side.
    ///
    /// # Errors
    ///
    /// A problem when the store cannot be read.
    pub async fn pairings(&self) -> Result<Vec<PairingView>, Problem> {
        let rows = self.core.store.reads().pairings().map_err(|fault| unreadable(&fault))?;
        rows.into_iter().map(|row| self.pairing_view(row)).collect()
    }

    /// Forgets a pairing that a person does not want.
    ///
    /// # Errors
    ///
    /// `not_found`.
    pub async fn decline_pairing(&self, peer: &GatewayId) -> Result<(), Problem> {
        let rows = self.core.store.reads().pairings().map_err(|fault| unreadable(&fault))?;
        if !rows.iter().any(|row| row.peer == *peer) {
            return Err(Problem::new(Code::NotFound).with_detail("no such pairing is waiting"));
        }
        let drop = Write::DropPairing { peer: peer.clone() };
        let audit = self.core.audit("admin", "pairing_declined", peer.as_str(), []);
        Ok(self.core.commit(Step::new(Vec::new(), vec![drop, audit], ())).await?)
    }

    fn pairing_view(&self, row: PairingRow) -> Result<PairingView, Problem> {
        let view = stored_view(&self.core.store, &row.peer)
            .map_err(|error| bug("a newcomer's documents cannot be read", &error))?;
        let view = view.ok_or_else(|| bug("a pairing without documents", &row.peer))?;
        let root = view.chain().root();
        Ok(PairingView {
            gateway: row.peer,
            alias: row.alias,
            words: row.words,
            genesis: row.genesis.to_string(),
            endpoints: root.endpoints.iter().map(|known| known.url.to_string()).collect(),
            root_version: view.chain().version(),
        })
    }
}
