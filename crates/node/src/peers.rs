//! Requests to peers: where they are, what they say of themselves, and operations signed for them.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Response};
use landbridge_planted::planted;
use landbridge_proto::machine::admission::PROTO;
use landbridge_proto::machine::history::{Present, Recall, judge};
use landbridge_proto::machine::operation::Operation;
use landbridge_proto::trust::peer::PeerView;
use landbridge_proto::trust::signer::SignError;
use landbridge_proto::trust::verified::{Verified, VerifyError};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document;
use landbridge_proto::wire::envelope::{Envelope, InvalidEnvelope};
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{GatewayId, InvalidName, TenantPair};
use landbridge_proto::wire::problem::{Code, Problem};
use landbridge_proto::wire::request::{Body, Refusal, Request};
use landbridge_store::Fault;

use crate::core::Core;
use crate::federation::ENVELOPE;
use crate::net::client::{self, ClientError, ResponseStream, Target};
use crate::net::endpoint::{Endpoint, InvalidEndpoint};
use crate::net::tls::{SpkiDigest, Trust};

/// The envelope of a document: base64 of the longest, and its signatures.
const DOCUMENT_ENVELOPE_BYTES_MAX: usize = limit::DOCUMENT_BYTES_MAX / 3 * 4 + 8 * 1024;
/// How long a request of ours is good, in milliseconds.
const REQUEST_LIFE_MS: i64 = 60_000;

/// Why a peer could not be asked, or did not give a usable answer. Never a verdict.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The peer is not pinned, not active or quarantined.
    #[error("the peer is unknown, suspended or quarantined")]
    NotActive,
    /// Our operator halted this bridge.
    #[error("this bridge is halted by its operator; it goes on after: landbridge resume")]
    Halted,
    /// Neither its root nor the federation document names an endpoint that can be used.
    #[error("no usable endpoint of the peer is known")]
    NoEndpoint,
    /// An endpoint that is not an address.
    #[error("an endpoint of the peer cannot be used")]
    BadEndpoint(#[from] InvalidEndpoint),
    /// No usable response.
    #[error("the peer cannot be reached")]
    Client(#[from] ClientError),
    /// An answer that is not an envelope.
    #[error("the peer's answer is not an envelope")]
    Envelope(#[from] InvalidEnvelope),
    /// An answer that does not verify.
    #[error("the peer's answer does not verify")]
    Unverified(#[from] VerifyError),
    /// An answer to something else.
    #[error("the peer's answer belongs to another request")]
    ForeignAnswer,
    /// An answer without a signature.
    #[error("the peer answered {status} without a signature: {what}")]
    Unsigned {
        /// The HTTP status.
        status: u16,
        /// What the answer says.
        what: String,
        /// The newest root of ours that the peer has, if it says so.
        have: Option<u64>,
    },
    /// Our key did not sign.
    #[error("our request was not signed")]
    Sign(#[from] SignError),
    /// Our own name is wrong: a bug.
    #[error("a name of ours is wrong")]
    Name(#[from] InvalidName),
    /// It took longer than we wait for all that it says of itself.
    #[error("its roots and its status did not arrive in time")]
    Slow,
    /// We failed while we asked.
    #[error("asking it was broken off by a fault of ours")]
    BrokenOff,
    /// It says something of itself that is refused.
    #[error("what it says of itself is refused: {0}")]
    Refused(String),
    /// We have no status to staple.
    #[error("we have no status of our own yet")]
    NoStatus,
    /// What we learned was not kept.
    #[error("what the peer said of itself was refused or not kept")]
    Trust(#[from] crate::trust::TrustError),
}

/// What a signed request was answered with.
#[derive(Debug)]
pub enum Reply {
    /// A stream, or one envelope: not read yet.
    Open(Box<Response<ResponseStream>>),
    /// A refusal that the peer signed, bound to the request.
    Refused(Box<Verified<Refusal>>),
}

/// A request of ours, signed.
#[derive(Clone, Debug)]
pub struct Signed {
    /// Its envelope.
    pub envelope: Envelope,
    /// Its identity.
    pub digest: Digest,
}

impl Core {
    /// What we know of a peer that may be talked to.
    ///
    /// # Errors
    ///
    /// [`PeerError::NotActive`].
    pub fn peer_view(&self, peer: &GatewayId) -> Result<PeerView, PeerError> {
        let state = self.trust.state();
        if !state.active(peer) {
            return Err(PeerError::NotActive);
        }
        state.peers.get(peer).cloned().ok_or(PeerError::NotActive)
    }

    /// Where a peer is reached: what its root says, and what our federation document says. Whoever spoke
    /// last is tried first: an address in the document holds against the root that the person knew who
    /// signed it, and not against a later one.
    ///
    /// # Errors
    ///
    /// [`PeerError::NoEndpoint`].
    //= ID-38
    pub fn targets(&self, peer: &GatewayId) -> Result<Vec<Target>, PeerError> {
        let state = self.trust.state();
        let told = state.peers.get(peer).map(|view| match planted!("moved_peer_not_followed") {
            true => view.chain().roots().next().map(|root| root.value().endpoints.clone()),
            false => Some(view.chain().root().endpoints.clone()),
        });
        let pinned = state.federation.as_ref().and_then(|document| document.peer(peer));
        let told = told.flatten().unwrap_or_default();
        let named = pinned.map(|peer| peer.endpoints.clone()).unwrap_or_default();
        let version = state.peers.get(peer).map_or(0, |view| view.chain().version());
        let root_is_newer = pinned.is_some_and(|peer| version > peer.min_root_version);
        //= ID-77
        let endpoints = if root_is_newer { [told, named] } else { [named, told] }.concat();
        let mut targets: Vec<Target> = Vec::new();
        for target in endpoints.iter().filter_map(|endpoint| target(endpoint).ok()) {
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
        if targets.is_empty() { Err(PeerError::NoEndpoint) } else { Ok(targets) }
    }

    /// Judges what a peer holds under our signature.
    ///
    /// # Errors
    ///
    /// Returns the store's fault.
    pub fn judge_held(&self, peer: &GatewayId, held: &Envelope) -> Result<Recall, Fault> {
        let identity = self.identity.present();
        let present = Present {
            chain: identity.root(),
            incarnation: self.trust.state().incarnation,
            kept_ms: self.settings.frames_ms.max(self.settings.key_window_ms),
            now: self.now(),
        };
        judge(self.store.reads(), &present, peer, held)
    }

    /// Fetches one document; `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`PeerError`] when there is no usable answer. What it returns proves itself or nothing.
    pub async fn fetch(&self, target: &Target, path: &str) -> Result<Option<Envelope>, PeerError> {
        Ok(self.fetch_seeing(target, path).await?.0)
    }

    /// As [`Core::fetch`], and which TLS key answered.
    ///
    /// # Errors
    ///
    /// As [`Core::fetch`].
    pub(crate) async fn fetch_seeing(
        &self,
        target: &Target,
        path: &str,
    ) -> Result<(Option<Envelope>, SpkiDigest), PeerError> {
        self.check_halt()?;
        let response = self.client.get(target, path, HeaderMap::new()).await?;
        let status = response.status().as_u16();
        let key = response.extensions().get::<client::PeerKey>().map(|key| key.0);
        let key = key.ok_or(PeerError::NoEndpoint)?;
        let (_, body) = client::collect(response, DOCUMENT_ENVELOPE_BYTES_MAX).await?;
        match status {
            200 => Ok((Some(Envelope::parse(&body)?), key)),
            404 => Ok((None, key)),
            _ => Err(unsigned(status, &body)),
        }
    }

    /// Signs a request for a peer; `traceparent` is the trace context of the client that it is for.
    ///
    /// # Errors
    ///
    /// [`PeerError`].
    pub fn sign_request(
        &self,
        peer: &GatewayId,
        tenant: &TenantPair,
        body: Body,
        traceparent: Option<String>,
    ) -> Result<Signed, PeerError> {
        let now = self.now();
        let request = Request {
            aud: peer.clone(),
            body,
            exp: now.plus_ms(REQUEST_LIFE_MS),
            iat: now,
            iss: self.own().clone(),
            jti: self.new_jti()?,
            proto: vec![PROTO],
            //= ID-24
            seen: self.trust.state().seen(peer),
            tenant: tenant.clone(),
            traceparent,
        };
        let envelope = self.identity.present().sign(&request, now)?;
        let digest = envelope.digest();
        Ok(Signed { envelope, digest })
    }

    /// Sends a signed request, with our fresh status, the roots that the peer lacks, and what we hold
    /// under its own signature.
    ///
    /// # Errors
    ///
    /// [`PeerError`] for everything that is not an answer of the peer under its own signature.
    pub async fn send(
        &self,
        peer: &GatewayId,
        path: &str,
        signed: &Signed,
        roots_from: Option<u64>,
        held: Vec<Envelope>,
    ) -> Result<Reply, PeerError> {
        let sent = self.send_once(peer, path, signed, roots_from, held).await;
        // An open answer is not verified yet: its reader says what comes of it.
        self.observe(peer, sent.as_ref().map(|reply| matches!(reply, Reply::Refused(_))));
        sent
    }

    /// Nothing leaves a halted bridge.
    //= ID-64
    pub(crate) fn check_halt(&self) -> Result<(), PeerError> {
        match self.halt.is_on() && !planted!("halt_ignored_by_caller") {
            true => Err(PeerError::Halted),
            false => Ok(()),
        }
    }

    /// Remembers how an attempt to talk to a peer went.
    pub(crate) fn observe(&self, peer: &GatewayId, went: Result<bool, &PeerError>) {
        match went {
            Ok(true) => self.contacts.reached(peer, self.now()),
            // Our own decision not to ask, or our own fault, says nothing of the peer.
            Ok(false)
            | Err(
                PeerError::NotActive
                | PeerError::Halted
                | PeerError::NoStatus
                | PeerError::BrokenOff
                | PeerError::Sign(_)
                | PeerError::Name(_),
            ) => {}
            Err(error) => {
                let stranger = matches!(error, PeerError::Client(ClientError::WrongKey));
                self.contacts.failed(peer, self.now(), error.chain(), stranger);
            }
        }
    }

    async fn send_once(
        &self,
        peer: &GatewayId,
        path: &str,
        signed: &Signed,
        roots_from: Option<u64>,
        held: Vec<Envelope>,
    ) -> Result<Reply, PeerError> {
        self.check_halt()?;
        let status = self.trust.state().status.clone().ok_or(PeerError::NoStatus)?;
        let roots = roots_from.map(|have| {
            let have = usize::try_from(have).unwrap_or(usize::MAX);
            let identity = self.identity.present();
            let newer = identity.chain().get(have..).unwrap_or_default();
            newer.iter().take(limit::ROOT_STEPS_MAX).cloned().collect::<Vec<_>>()
        });
        let operation = Operation {
            roots: roots.filter(|roots| !roots.is_empty()),
            status,
            request: signed.envelope.clone(),
            held: (!held.is_empty()).then_some(held),
        };
        let body = Bytes::from(operation.to_bytes());
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut last = PeerError::NoEndpoint;
        for target in self.targets(peer)? {
            match self.client.post(&target, path, headers.clone(), body.clone()).await {
                Ok(response) => return self.read_reply(peer, signed, response).await,
                // The same bytes may go to another endpoint only when nobody can have seen them.
                Err(error) if error.may_have_arrived() => return Err(error.into()),
                Err(error) => last = error.into(),
            }
        }
        Err(last)
    }

    async fn read_reply(
        &self,
        peer: &GatewayId,
        signed: &Signed,
        response: Response<ResponseStream>,
    ) -> Result<Reply, PeerError> {
        let status = response.status().as_u16();
        if status == 200 {
            return Ok(Reply::Open(Box::new(response)));
        }
        let media = response.headers().get(CONTENT_TYPE).cloned();
        let (_, body) = client::collect(response, limit::ENVELOPE_BYTES_MAX).await?;
        if media.is_none_or(|media| media.as_bytes() != ENVELOPE.as_bytes()) {
            return Err(unsigned(status, &body));
        }
        //= PRB-5
        let envelope = Envelope::parse(&body)?;
        let refusal = self.peer_view(peer)?.verify::<Refusal>(&envelope, self.now())?;
        let said = refusal.value();
        if said.request != signed.digest || said.iss != *peer || said.aud != *self.own() {
            return Err(PeerError::ForeignAnswer);
        }
        Ok(Reply::Refused(Box::new(refusal)))
    }

    /// Reads an answer that is one envelope, and checks that it answers this very request.
    ///
    /// # Errors
    ///
    /// [`PeerError`].
    pub async fn read_answer(
        &self,
        peer: &GatewayId,
        signed: &Signed,
        response: Response<ResponseStream>,
    ) -> Result<Verified<landbridge_proto::wire::request::Answer>, PeerError> {
        let (_, body) = client::collect(response, limit::ENVELOPE_BYTES_MAX).await?;
        let envelope = Envelope::parse(&body)?;
        let view = self.peer_view(peer)?;
        let answer =
            view.verify::<landbridge_proto::wire::request::Answer>(&envelope, self.now())?;
        //= REQ-31
        let said = answer.value();
        if said.request != signed.digest || said.iss != *peer || said.aud != *self.own() {
            return Err(PeerError::ForeignAnswer);
        }
        self.contacts.reached(peer, self.now());
        Ok(answer)
    }
}

/// Whether a root of the signer that we do not have may explain it.
#[must_use]
pub const fn is_renewed(fault: &VerifyError) -> bool {
    matches!(
        fault,
        VerifyError::SignedWithForeignKey { .. }
            | VerifyError::SignedWithExpiredKey { .. }
            | VerifyError::StatusMissing
            | VerifyError::RootExpired { .. }
            | VerifyError::RootTooOld { .. }
    )
}

impl PeerError {
    /// Whether a root of the peer that we do not have may explain it.
    #[must_use]
    pub const fn is_renewed(&self) -> bool {
        match self {
            Self::Unverified(fault) => is_renewed(fault),
            Self::Client(ClientError::WrongKey) => true,
            _ => false,
        }
    }

    /// The problem that a client of ours is told.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match self {
            Self::Halted | Self::Sign(SignError::Revoked { .. }) => {
                Problem::new(Code::Halted).with_detail(self.chain())
            }
            _ => Problem::new(Code::PeerUnreachable).with_detail(self.chain()),
        }
    }

    /// What happened, with its causes.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        text
    }
}

/// A documented endpoint as the client dials it.
///
/// # Errors
///
/// [`PeerError::BadEndpoint`], or [`PeerError::NoEndpoint`] for one without a pinned certificate.
pub fn target(endpoint: &document::Endpoint) -> Result<Target, PeerError> {
    let url = &endpoint.url;
    let parsed = Endpoint::parse(&format!("https://{}:{}", url.host(), url.port()))?;
    let pin = endpoint.tls_spki.ok_or(PeerError::NoEndpoint)?;
    let trust = Trust::pinned(SpkiDigest::from_bytes(*pin.as_bytes()));
    Ok(Target { endpoint: parsed, trust })
}

fn unsigned(status: u16, body: &[u8]) -> PeerError {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => {
            PeerError::Unsigned { status, what: problem.to_string(), have: problem.have }
        }
        Err(_) => PeerError::Unsigned { status, what: "no problem object".to_owned(), have: None },
    }
}
