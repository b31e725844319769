//! Showing our own membership at another gateway.

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use landbridge_planted::planted;
use landbridge_proto::machine::contract::{MembershipRow, PairingRow, Write};
use landbridge_proto::machine::operation::Operation;
use landbridge_proto::machine::step::Step;
use landbridge_proto::trust::membership::TrustedMembership;
use landbridge_proto::trust::pairing::words;
use landbridge_proto::trust::peer::PeerView;
use landbridge_proto::trust::root::TrustedRoot;
use landbridge_proto::wire::document::{Admission, Endpoint, FormVersion, PeerStatus, raw};
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{Alias, GatewayId};
use landbridge_proto::wire::problem::{Code, Problem};
use landbridge_proto::wire::request::{Answer, PairingResult};

use super::Bridge;
use super::pairing::STRANGER_WITHIN;
use super::views::instant;
use crate::core::{bug, chained, unreadable};
use crate::federation::admission::PATH;
use crate::federation::pairing::documents;
use crate::local::api::{MembershipShown, MembershipView, ShowMembership};
use crate::net::client;
use crate::net::client::Target;
use crate::news::NotWalked;
use crate::peers::{PeerError, target};
use crate::standing::Barred;

/// How long an admission of ours is good, in milliseconds.
const ADMISSION_LIFE_MS: i64 = 60_000;

impl Bridge {
    /// Shows a membership of ours at another gateway: the first time with an address and a name for it,
    /// and the pairing then waits for a person here as well; later to a peer, before the last one lapses.
    ///
    /// # Errors
    ///
    /// A problem that says what is wrong with the membership or the gateway.
    pub async fn show_membership(&self, show: ShowMembership) -> Result<MembershipShown, Problem> {
        let bridge = self.clone();
        self.finish(async move { bridge.show_durably(show).await }).await
    }

    /// The memberships that other gateways showed here, and whether they count now.
    ///
    /// # Errors
    ///
    /// A problem when the store cannot be read.
    pub async fn memberships(&self) -> Result<Vec<MembershipView>, Problem> {
        let rows = self.core.store.reads().memberships().map_err(|fault| unreadable(&fault))?;
        let state = self.core.trust.state();
        let now = self.core.now();
        let view = |row: MembershipRow| {
            let envelope =
                Envelope::parse(row.envelope.as_bytes()).map_err(|error| chained(&error));
            let opened = envelope.and_then(|envelope| {
                let known = state.federation.as_ref().ok_or("nobody is trusted here")?;
                TrustedMembership::open(&envelope, known, now).map_err(|error| chained(&error))
            });
            let counted = opened.as_ref().ok();
            MembershipView {
                gateway: row.member,
                federation: row.federation,
                issued: instant(row.issued),
                until: counted.map(|opened| instant(opened.until())),
                tenants: counted.iter().flat_map(|opened| opened.value().tenants.clone()).collect(),
                refused: opened.err(),
            }
        };
        Ok(rows.into_iter().map(view).collect())
    }

    async fn show_durably(&self, show: ShowMembership) -> Result<MembershipShown, Problem> {
        let core = &self.core;
        self.check_may_ask()?;
        let membership = Envelope::parse(show.membership.as_bytes())
            .map_err(|error| Problem::new(Code::Malformed).with_detail(error.to_string()))?;
        if show.gateway == *core.own() {
            return Err(Problem::new(Code::Malformed).with_detail("this gateway is our own"));
        }
        self.check_may_be_shown(&show.gateway)?;
        let known = core.trust.state().peers.get(&show.gateway).cloned();
        let (target, view, alias) = match (known, show.endpoint, show.alias) {
            (Some(view), None, None) => {
                let targets = core.targets(&show.gateway).map_err(|error| error.problem())?;
                let first = targets.into_iter().next();
                (first.ok_or_else(|| PeerError::NoEndpoint.problem())?, view, None)
            }
            (None, Some(endpoint), Some(alias)) => {
                let target = target(&endpoint).map_err(|error| error.problem())?;
                let view = self.introduce(&show.gateway, &endpoint, &target).await?;
                (target, view, Some(alias))
            }
            (Some(_), ..) => {
                let detail = "this gateway is a peer: name neither `endpoint` nor `alias`";
                return Err(Problem::new(Code::Malformed).with_detail(detail));
            }
            (None, ..) => {
                let detail = "this gateway is no peer yet: name `endpoint` and `alias`";
                return Err(Problem::new(Code::Malformed).with_detail(detail));
            }
        };
        let result = self.show_at(&membership, &target, &view).await?;
        let ours = core.identity.present().root().genesis_digest();
        let theirs = view.chain().genesis_digest();
        let words = words(&theirs, &ours, &membership.digest()).join(" ");
        let deed = core.audit("admin", "membership_sent", view.gateway().as_str(), []);
        let mut writes = vec![deed];
        if let Some(alias) = alias {
            writes.extend(documents(core, &view, core.now())?);
            writes.push(self.waiting(&view, alias, &words));
        }
        core.commit(Step::new(Vec::new(), writes, ())).await?;
        Ok(MembershipShown {
            gateway: show.gateway,
            waits: result == PairingResult::Pending,
            words,
        })
    }

    /// Nothing is sent to a peer that a person suspended or revoked here, or that contradicted itself.
    fn check_may_be_shown(&self, gateway: &GatewayId) -> Result<(), Problem> {
        let state = self.core.trust.state();
        let pinned = state.federation.as_ref().and_then(|document| document.peer(gateway));
        // Whose own membership lapsed here is shown ours all the same: else neither side could begin.
        let barred = match pinned.map(|peer| peer.status) {
            Some(PeerStatus::Revoked) => Some(Barred::Revoked),
            Some(PeerStatus::Suspended) => Some(Barred::Suspended),
            Some(PeerStatus::Active) if state.quarantined.contains(gateway) => {
                Some(Barred::Suspended)
            }
            Some(PeerStatus::Active) | None => None,
        };
        match barred.filter(|_| !planted!("membership_shown_to_revoked")) {
            Some(barred) => Err(barred.problem()),
            None => Ok(()),
        }
    }

    fn waiting(&self, view: &PeerView, alias: Alias, words: &str) -> Write {
        Write::PutPairing(PairingRow {
            peer: view.gateway().clone(),
            alias,
            words: words.to_owned(),
            genesis: view.chain().genesis_digest(),
            joined: true,
            at: self.core.now(),
            invite: PairingRow::NO_INVITE,
            proof: PairingRow::NO_INVITE,
        })
    }

    /// Roots and status of a gateway whose id a person named: a stranger, which is waited for no longer and
    /// asked for no more than an inviter.
    //= ID-76
    async fn introduce(
        &self,
        gateway: &GatewayId,
        endpoint: &Endpoint,
        target: &Target,
    ) -> Result<PeerView, Problem> {
        let met = tokio::time::timeout(STRANGER_WITHIN, self.meet_at(gateway, endpoint, target));
        met.await.unwrap_or_else(|_| {
            let detail = "the gateway's documents did not arrive in a minute";
            Err(Problem::new(Code::PeerUnreachable).with_detail(detail))
        })
    }

    async fn meet_at(
        &self,
        gateway: &GatewayId,
        endpoint: &Endpoint,
        target: &Target,
    ) -> Result<PeerView, Problem> {
        let core = &self.core;
        let first = |root: &Envelope, _| TrustedRoot::restore(std::slice::from_ref(root), gateway);
        let foreign = |what: String| {
            refused(&format!("who answers at {} is not {gateway}: {what}", endpoint.url))
        };
        let chain = core.walk_chain(target, first).await.map_err(|fault| match fault {
            NotWalked::Fetch(error) => error.problem(),
            NotWalked::TooMany => Problem::new(Code::TooLarge).with_detail(fault.to_string()),
            NotWalked::Root(_) | NotWalked::None => foreign(chained(&fault)),
        })?;
        let now = core.now();
        chain.check_current(now).map_err(|fault| foreign(chained(&fault)))?;
        let status = core.fetch(target, "/federation/v1/status").await;
        let status = status.map_err(|error| error.problem())?;
        let status = status.ok_or_else(|| PeerError::NoStatus.problem())?;
        PeerView::new(chain).with_status(&status, now).map_err(|fault| refused(&chained(&fault)))
    }

    async fn show_at(
        &self,
        membership: &Envelope,
        target: &Target,
        view: &PeerView,
    ) -> Result<PairingResult, Problem> {
        let core = &self.core;
        let now = core.now();
        let admission = Admission::try_from(raw::Admission {
            aud: view.gateway().clone(),
            exp: now.plus_ms(ADMISSION_LIFE_MS),
            iat: now,
            iss: core.own().clone(),
            membership: membership.digest(),
            v: FormVersion,
        });
        let admission = admission.map_err(|error| bug("an admission of ours is wrong", &error))?;
        let request = core
            .identity
            .present()
            .sign(&admission, now)
            .map_err(|error| bug("an admission was not signed", &error))?;
        let digest = request.digest();
        let status = core.trust.state().status.clone();
        let operation = Operation {
            roots: Some(core.identity.present().chain().to_vec()),
            status: status.ok_or_else(|| PeerError::NoStatus.problem())?,
            request,
            held: Some(vec![membership.clone()]),
        };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        let body = Bytes::from(operation.to_bytes());
        let reached = |error| PeerError::Client(error).problem();
        core.check_halt().map_err(|error| error.problem())?;
        let response = core.client.post(target, PATH, headers, body).await.map_err(reached)?;
        let status = response.status().as_u16();
        let (_, body) =
            client::collect(response, limit::ENVELOPE_BYTES_MAX).await.map_err(reached)?;
        if status != 200 {
            return Err(refused(&format!(
                "the gateway refused ({status}): the membership has expired, names another gateway \
                 or other tenants, or its federation root is not trusted there or has no place left"
            )));
        }
        let envelope = Envelope::parse(&body).map_err(|error| refused(&error.to_string()))?;
        let answer =
            view.verify::<Answer>(&envelope, now).map_err(|fault| refused(&chained(&fault)))?;
        let said = answer.value();
        match said.result.pairing {
            Some(result) if said.request == digest && said.aud == *core.own() => Ok(result),
            _ => Err(refused("the gateway's answer is not to us")),
        }
    }
}

fn refused(what: &str) -> Problem {
    Problem::new(Code::VerificationFailed).with_detail(what.to_owned())
}
