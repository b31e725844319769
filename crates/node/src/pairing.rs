//! Asking the other side of a pairing how it stands there.
//!
//! Each side's person decides alone, so neither side knows when both have. The request that made the
//! pairing also serves to ask: it is bound to both gateways and to the one invite, it tells the other side
//! nothing new, and whoever answers signs the answer. So a joiner that was killed before it kept the
//! answer asks the same again, and both sides can tell a person what is still waited for.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use landbridge_proto::machine::contract::{PairingRow, Write};
use landbridge_proto::machine::operation::Operation;
use landbridge_proto::machine::step::Step;
use landbridge_proto::trust::peer::PeerView;
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::{FormVersion, PairingRequest, raw};
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::GatewayId;
use landbridge_proto::wire::problem::Problem;
use landbridge_proto::wire::request::{Answer, PairingResult};

use crate::core::{Core, bug, unreadable};
use crate::federation::pairing::PATH;
use crate::net::client::{self, Target};
use crate::peers::{PeerError, target};
use crate::trust::stored_view;

/// How long a pairing request is good, in milliseconds.
const PAIRING_LIFE_MS: i64 = 60_000;
/// How long a person who looks at a pairing waits for the other side's word.
const ASK_WITHIN: Duration = Duration::from_secs(3);

/// What the other side says of a pairing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum There {
    /// Its person accepted.
    Accepted,
    /// It waits for its person.
    Pending,
    /// It does not know the pairing, or not any more: its person declined it, or it lost it.
    Gone(String),
    /// It could not be asked.
    Unknown(String),
}

/// Why the other side of a pairing gave no answer that counts.
#[derive(Debug, thiserror::Error)]
pub enum PairingFault {
    /// It refused.
    #[error("the other side refused: {0}")]
    Refused(Problem),
    /// It could not be asked, or what it said does not verify.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// A fault of ours.
    #[error("{0}")]
    Ours(Problem),
}

impl Core {
    /// The pairing with a gateway, while somebody's acceptance is waited for.
    ///
    /// # Errors
    ///
    /// A problem when the store cannot be read.
    pub fn unfinished_pairing(&self, peer: &GatewayId) -> Result<Option<PairingRow>, Problem> {
        let rows = self.store.reads().pairings().map_err(|fault| unreadable(&fault))?;
        Ok(rows.into_iter().find(|row| row.peer == *peer))
    }

    /// Asks the other sides of all these pairings at once, and forgets those that both sides accepted.
    pub async fn settle_pairings(&self, rows: Vec<PairingRow>) -> Vec<(PairingRow, There)> {
        let asked = rows.into_iter().map(|row| async move {
            let there = self.settle_pairing(&row).await;
            (row, there)
        });
        join_all(asked).await
    }

    /// Asks the other side of a pairing, and forgets the pairing when both sides accepted.
    pub async fn settle_pairing(&self, row: &PairingRow) -> There {
        if !row.has_invite() {
            return There::Unknown("a membership introduced it; ask its operators".to_owned());
        }
        let there = match tokio::time::timeout(ASK_WITHIN, self.ask_there(row)).await {
            Ok(Ok(PairingResult::Accepted)) => There::Accepted,
            Ok(Ok(PairingResult::Pending)) => There::Pending,
            Ok(Err(PairingFault::Refused(problem))) => There::Gone(problem.to_string()),
            Ok(Err(error)) => There::Unknown(told(&error)),
            Err(_) => There::Unknown("it does not answer".to_owned()),
        };
        if there == There::Accepted && self.trust.state().active(&row.peer) {
            let drop = Write::DropPairing { peer: row.peer.clone() };
            let audit = self.audit("bridge", "pairing_finished", row.peer.as_str(), []);
            if let Err(error) = self.commit(Step::new(Vec::new(), vec![drop, audit], ())).await {
                tracing::warn!(peer = %row.peer, %error, "a finished pairing is not forgotten yet");
            }
        }
        there
    }

    async fn ask_there(&self, row: &PairingRow) -> Result<PairingResult, PairingFault> {
        let known = match self.trust.state().peers.get(&row.peer) {
            Some(view) => Some(view.clone()),
            None => stored_view(&self.store, &row.peer).map_err(PeerError::from)?,
        };
        let view = known.ok_or(PeerError::NoEndpoint)?;
        let mut last = PairingFault::Peer(PeerError::NoEndpoint);
        for endpoint in &view.chain().root().endpoints {
            let asked = match target(endpoint) {
                Ok(target) => self.ask_at(&target, &view, row).await,
                Err(error) => Err(error.into()),
            };
            match asked {
                Ok(result) => return Ok(result),
                Err(refused @ PairingFault::Refused(_)) => return Err(refused),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn ask_at(
        &self,
        target: &Target,
        view: &PeerView,
        row: &PairingRow,
    ) -> Result<PairingResult, PairingFault> {
        let now = self.now();
        let (roots, status) = self.fetch_news(target, view).await?;
        let refused =
            |what: &dyn std::fmt::Display| PairingFault::Peer(PeerError::Refused(what.to_string()));
        let view = view.with_chain(&roots, now).map_err(|fault| refused(&fault))?;
        let view = view.with_status(&status, now).map_err(|fault| refused(&fault))?;
        self.send_pairing(target, &view, row.invite, row.proof).await
    }

    /// Sends a pairing, and verifies the answer: the same for the joiner that shows an invite's secret
    /// and for either side that asks afterwards.
    ///
    /// # Errors
    ///
    /// [`PairingFault`].
    //= ID-74
    pub async fn send_pairing(
        &self,
        target: &Target,
        other: &PeerView,
        invite: Digest,
        proof: Digest,
    ) -> Result<PairingResult, PairingFault> {
        let now = self.now();
        let ours = |what: &str, error: &dyn std::fmt::Display| PairingFault::Ours(bug(what, error));
        let request = PairingRequest::try_from(raw::PairingRequest {
            aud: other.gateway().clone(),
            exp: now.plus_ms(PAIRING_LIFE_MS),
            genesis: self.identity.present().root().genesis_digest(),
            iat: now,
            invite,
            iss: self.own().clone(),
            jti: self.new_jti().map_err(|error| ours("no request id", &error))?,
            proof,
            v: FormVersion,
        });
        let request =
            request.map_err(|error| ours("a pairing request of ours is wrong", &error))?;
        let request = self
            .identity
            .present()
            .sign(&request, now)
            .map_err(|error| ours("a pairing request was not signed", &error))?;
        let digest = request.digest();
        let status = self.trust.state().status.clone();
        let operation = Operation {
            roots: Some(self.identity.present().chain().to_vec()),
            status: status.ok_or(PeerError::NoStatus)?,
            request,
            held: None,
        };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = Bytes::from(operation.to_bytes());
        self.check_halt()?;
        let response =
            self.client.post(target, PATH, headers, body).await.map_err(PeerError::from)?;
        let status = response.status().as_u16();
        let (_, body) =
            client::collect(response, limit::ENVELOPE_BYTES_MAX).await.map_err(PeerError::from)?;
        if status != 200 {
            let told = serde_json::from_slice::<Problem>(&body);
            return Err(told.map_or_else(
                |_| PeerError::Refused(format!("it answered {status}")).into(),
                PairingFault::Refused,
            ));
        }
        let envelope = Envelope::parse(&body).map_err(PeerError::from)?;
        let answer = other.verify::<Answer>(&envelope, self.now()).map_err(PeerError::from)?;
        let said = answer.value();
        let to_us = said.request == digest && said.aud == *self.own();
        match said.result.pairing {
            Some(result) if to_us && said.iss == *other.gateway() => Ok(result),
            _ => Err(PeerError::ForeignAnswer.into()),
        }
    }
}

/// What happened, with its causes.
fn told(error: &PairingFault) -> String {
    match error {
        PairingFault::Peer(error) => error.chain(),
        other => other.to_string(),
    }
}
