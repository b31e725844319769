//! The order of checks for what a peer asks: stop at the first failure, and only then decide.
//!
//! [`Gate::open`] is steps 3 to 16 of `spec/request.md`: from bytes to a request whose signer, audience,
//! tenant pair and time are known to be right. What it returns cannot be made otherwise, so no handler
//! can act on a request that skipped a check. Steps 17 and 18 need the store's facts and are
//! [`judge_start`] and its commit's guards.

use std::collections::{BTreeMap, BTreeSet};

use landbridge_planted::planted;

use super::contract::KeyRecord;
use super::operation::{MalformedOperation, Operation};
use crate::trust::federation::TrustedFederation;
use crate::trust::pairing::is_timely;
use crate::trust::peer::PeerView;
use crate::trust::root::RootError;
use crate::trust::status::StatusError;
use crate::trust::verified::{Verified, VerifyError};
use crate::wire::digest::{Digest, tag};
use crate::wire::document::{Ask, Grant, PeerStatus, Status};
use crate::wire::envelope::Envelope;
use crate::wire::json::{InvalidJson, canonical};
use crate::wire::kind::Kind;
use crate::wire::limit;
use crate::wire::name::{GatewayId, Owner, Timestamp};
use crate::wire::problem::{Code, Problem};
use crate::wire::request::{Op, Request, Start};
use crate::wire::stream::Seen;

/// What a receiver knows when a request arrives.
pub struct Gate<'a> {
    /// Its own gateway.
    pub own: &'a GatewayId,
    /// The lowest protocol version of its own root.
    pub min_proto: u32,
    /// The newest of itself that it remembers to have issued.
    pub issued: Seen,
    /// Its verified federation document; `None`: no peer at all.
    pub federation: Option<&'a TrustedFederation>,
    /// What it knows of its pinned peers.
    pub peers: &'a BTreeMap<GatewayId, PeerView>,
    /// Peers that contradicted themselves under their own signatures.
    pub quarantined: &'a BTreeSet<GatewayId>,
    /// Whether it keeps keys of an owner: asked only where there is no grant.
    pub keeps_keys: &'a dyn Fn(&Owner) -> bool,
    /// The present.
    pub now: Timestamp,
}

/// A request that passed every check before the store's.
#[derive(Debug)]
pub struct Admitted {
    request: Verified<Request>,
    owner: Owner,
    grant: Option<Grant>,
    learned: Learned,
}

/// What an operation taught about its sender, to be made durable before anything depends on it.
#[derive(Clone, Debug, Default)]
pub struct Learned {
    /// The sender's view with newer roots and status, where anything is newer.
    pub view: Option<PeerView>,
    /// Roots that are new, oldest first.
    pub roots: Vec<Envelope>,
    /// The status, where it is new.
    pub status: Option<Envelope>,
}

/// A request that is refused.
#[derive(Debug)]
pub struct Refused {
    /// What the sender is told.
    pub problem: Problem,
    /// What the audit log is told.
    pub story: String,
    /// The peer and the request's digest, once both are authenticated: then the problem is signed.
    pub authenticated: Option<(GatewayId, Digest)>,
    /// What was learned before the refusal.
    pub learned: Learned,
}

impl Admitted {
    /// The request.
    #[must_use]
    pub const fn request(&self) -> &Verified<Request> {
        &self.request
    }

    /// To whom its keys and runs belong.
    #[must_use]
    pub const fn owner(&self) -> &Owner {
        &self.owner
    }

    /// The grant of its tenant pair.
    #[must_use]
    pub const fn grant(&self) -> Option<&Grant> {
        self.grant.as_ref()
    }

    /// What it taught about its sender.
    #[must_use]
    pub const fn learned(&self) -> &Learned {
        &self.learned
    }
}

impl Gate<'_> {
    /// Checks an operation's bytes against everything but the store.
    ///
    /// # Errors
    ///
    /// [`Refused`] at the first check that fails, in the contract's order.
    pub fn open(&self, route: Op, bytes: &[u8]) -> Result<Admitted, Box<Refused>> {
        //= REQ-9
        let operation = Operation::parse(bytes).map_err(|fault| malformed(&fault))?;
        check_envelopes(&operation).map_err(|fault| unverified(&fault))?;
        let (sender, view, learned) = self.sender(&operation)?;
        //= ID-22
        let request = view
            .verify::<Request>(&operation.request, self.now)
            .map_err(|fault| unverified(&fault).with_learned(&learned))?;
        //= REQ-11
        let said = request.value();
        let ours = said.aud == *self.own || planted!("audience_unchecked");
        let theirs = said.iss == sender || planted!("issuer_unchecked");
        if !ours || !theirs {
            let story = format!("iss {} and aud {} are not {sender} and us", said.iss, said.aud);
            return Err(refuse(Code::VerificationFailed, story).with_learned(&learned));
        }
        let checked = self.check_authenticated(route, said);
        let (owner, grant) = checked.map_err(|refused| {
            refused.authenticated_as(&sender, request.digest()).with_learned(&learned)
        })?;
        if planted!("no_request_is_admitted") {
            return Err(refuse(Code::VerificationFailed, "none is admitted".to_owned()));
        }
        Ok(Admitted { request, owner, grant, learned })
    }

    /// Steps 4 to 7: whose keys are to be used, and whether they are fresh.
    fn sender(
        &self,
        operation: &Operation,
    ) -> Result<(GatewayId, PeerView, Learned), Box<Refused>> {
        let unknown = |story: &str| refuse(Code::VerificationFailed, story.to_owned());
        let Some(sender) = operation.claimed_sender() else {
            return Err(unknown("the status names no gateway"));
        };
        let pinned = self.federation.and_then(|federation| federation.peer(&sender));
        let Some(pinned) = pinned else {
            return Err(unknown(&format!("{sender} is not a pinned peer")));
        };
        let Some(known) = self.peers.get(&sender) else {
            return Err(unknown(&format!("no root of {sender} is stored")));
        };
        //= REQ-10
        let mut learned = Learned::default();
        //= ID-31
        let mut view = known.clone().at_least(pinned.min_root_version);
        if let Some(roots) = &operation.roots {
            let fresh = newer_roots(&view, roots);
            if !fresh.is_empty() {
                view = view.with_roots(fresh, self.now).map_err(|fault| bad_root(&fault))?;
                learned.roots = fresh.to_vec();
                learned.view = Some(view.clone());
            }
        }
        let have = view.chain().version();
        let newer = view.with_status(&operation.status, self.now).map_err(|fault| {
            let ahead = operation.claimed_root_version().is_some_and(|told| told > have);
            //= ID-19
            let twice = matches!(fault, StatusError::Equivocated { .. })
                && !planted!("stapled_equivocation_unnoticed");
            if twice || planted!("refused_status_kept") {
                // Whoever keeps what was learned finds the two that speak against each other.
                learned.status = Some(operation.status.clone());
                learned.view = Some(view.clone());
            }
            bad_status(&fault, have, ahead).with_learned(&learned)
        })?;
        let newest = |view: &PeerView| view.status().map(|status| status.newest().digest());
        if newest(&newer) != newest(&view) {
            learned.status = Some(operation.status.clone());
            learned.view = Some(newer.clone());
        }
        Ok((sender, newer, learned))
    }

    /// Steps 11 to 16: what the request says is right for us, now.
    fn check_authenticated(
        &self,
        route: Op,
        said: &Request,
    ) -> Result<(Owner, Option<Grant>), Box<Refused>> {
        //= REQ-12
        if said.body.op() != route && !planted!("route_unchecked") {
            return Err(refuse(Code::Malformed, "op is not that of the route".to_owned()));
        }
        let federation = self.federation;
        let peer = federation.and_then(|federation| federation.peer(&said.iss));
        //= ID-61
        if peer.is_none_or(|peer| peer.status == PeerStatus::Revoked) {
            return Err(refuse(Code::PeerRevoked, "the peer is revoked".to_owned()));
        }
        let suspended = peer.is_some_and(|peer| peer.status != PeerStatus::Active);
        if suspended && !planted!("suspended_served") {
            return Err(refuse(Code::PeerSuspended, "the peer is suspended".to_owned()));
        }
        //= ID-70
        let vouched = federation.is_some_and(|known| known.is_vouched_for(&said.iss, self.now));
        if !vouched {
            let story = "no membership of the peer counts".to_owned();
            return Err(refuse(Code::PeerSuspended, story));
        }
        //= STR-25
        if self.quarantined.contains(&said.iss) {
            return Err(refuse(Code::PeerSuspended, "the peer is quarantined".to_owned()));
        }
        //= REQ-13
        let owner = Owner { caller: said.iss.clone(), tenant: said.tenant.clone() };
        let pair = &owner.tenant;
        let grant = federation.and_then(|federation| federation.grant(&said.iss, pair)).cloned();
        let keeps = (self.keeps_keys)(&owner) || planted!("tenant_unchecked");
        if grant.is_none() && !keeps {
            let story = format!("no tenant pair {} to {}", pair.src, pair.dst);
            return Err(refuse(Code::NotGranted, story));
        }
        self.check_time(said)?;
        //= REQ-16
        let speaks = |version: &u32| *version == PROTO && *version >= self.min_proto;
        if !said.proto.iter().any(speaks) && !planted!("version_unchecked") {
            let story = format!("versions {:?} are not spoken", said.proto);
            return Err(refuse(Code::ProtocolUnsupported, story));
        }
        //= ID-41
        let names_one = said.seen.seq > 0;
        if names_one && said.seen > self.issued && !planted!("rollback_unnoticed") {
            let story = format!("shown {:?}, issued {:?}: rolled back", said.seen, self.issued);
            return Err(refuse(Code::RolledBack, story));
        }
        Ok((owner, grant))
    }

    fn check_time(&self, said: &Request) -> Result<(), Box<Refused>> {
        //= REQ-15
        let life_ms = said.exp.since_ms(said.iat);
        let lives = (1..=limit::REQUEST_LIFE_MS_MAX).contains(&life_ms);
        if !lives && !planted!("life_unchecked") {
            return Err(refuse(Code::Malformed, format!("a life of {life_ms} ms")));
        }
        //= REQ-14
        if !is_timely(said.iat, said.exp, self.now) && !planted!("clock_unchecked") {
            let story = format!("signed at {}, our clock says {}", said.iat, self.now);
            return Err(refuse(Code::ClockSkew, story));
        }
        Ok(())
    }
}

/// The protocol version that this software speaks.
pub const PROTO: u32 = 1;

/// What a start's key means.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StartDecision {
    /// The key has a run: attach to it.
    Attach(crate::wire::name::RunId),
    /// The key is free, and a grant covers the work.
    Create,
    /// Refuse.
    Refuse(Box<Problem>),
}

/// What an executor remembers, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// How long keys are remembered after a run's end, in milliseconds.
    pub key_window_ms: i64,
    /// The incarnation's number.
    pub incarnation: u64,
    /// The incarnation's beginning.
    pub since: Timestamp,
}

/// The digest that an idempotency key is bound to.
///
/// # Errors
///
/// [`InvalidJson`] when the body has no canonical form; then it cannot have been received.
pub fn print_of(start: &Start) -> Result<(Digest, String), InvalidJson> {
    let bytes = canonical::to_vec(start)?;
    let print = Digest::of(tag::BODY, &[&bytes]);
    Ok((print, String::from_utf8_lossy(&bytes).into_owned()))
}

/// Decides what a start's key means, given what the store has under it.
#[must_use]
pub fn judge_start(
    start: &Start,
    print: &Digest,
    record: Option<KeyRecord>,
    grant: Option<&Grant>,
    memory: Memory,
    now: Timestamp,
) -> StartDecision {
    let refuse = |problem: Problem| StartDecision::Refuse(Box::new(problem));
    match record {
        Some(KeyRecord::Run { print: bound, .. })
            if bound == *print && planted!("no_start_is_admitted") =>
        {
            refuse(Problem::new(Code::NotGranted))
        }
        //= REQ-19
        Some(KeyRecord::Run { run, print: bound })
            if bound == *print || planted!("print_unchecked") =>
        {
            StartDecision::Attach(run)
        }
        //= REQ-20
        Some(KeyRecord::Run { .. }) => refuse(Problem::new(Code::KeyConflict)),
        //= REQ-32
        Some(KeyRecord::Blocked { .. }) if planted!("blocked_key_starts") => StartDecision::Create,
        Some(KeyRecord::Blocked { .. }) => refuse(Problem::new(Code::CancelledBeforeStart)),
        None => {
            //= REQ-21
            let unknown = crate::wire::stream::SideEffects::Unknown;
            let lost = memory.incarnation > 1 && start.invoked_at < memory.since;
            if lost && !planted!("lost_history_starts") {
                return refuse(Problem::new(Code::LostHistory).with_side_effects(unknown));
            }
            if now.since_ms(start.invoked_at) > memory.key_window_ms {
                return refuse(Problem::new(Code::KeyExpired).with_side_effects(unknown));
            }
            //= REQ-68
            if start.invoked_at.since_ms(now) > limit::CLOCK_SKEW_MS_MAX {
                let detail = "the start was invoked later than now";
                return refuse(Problem::new(Code::ClockSkew).with_detail(detail));
            }
            match uncovered(start, grant) {
                Some(problem) => refuse(problem),
                None if planted!("no_start_is_admitted") => refuse(Problem::new(Code::NotGranted)),
                None => StartDecision::Create,
            }
        }
    }
}

/// Why no grant covers a start.
fn uncovered(start: &Start, grant: Option<&Grant>) -> Option<Problem> {
    //= REQ-22
    let not = |what: &str| Some(Problem::new(Code::NotGranted).with_detail(what));
    let Some(grant) = grant else {
        return not("no grant for this tenant pair");
    };
    let ask = start.ask();
    if !grant.asks.contains(&ask) {
        return not("the grant does not cover this kind of work");
    }
    let agent = &start.agent_target.agent;
    // Approvals are decided by people: no agent of the gateway has a part in them.
    let by_agent = matches!(ask, Ask::Prompt | Ask::ToolCall);
    if by_agent && !grant.agents.contains(agent) && !planted!("agent_unchecked") {
        return not("the grant does not cover this agent");
    }
    if start.prompt.is_some() && !grant.modes.contains(&start.agent_target.mode) {
        return not("the grant does not cover this mode");
    }
    if start.tool_call.as_ref().is_some_and(|call| !grant.tools.contains(&call.tool)) {
        return not("the grant does not cover this tool");
    }
    None
}

/// The roots of an update that continue what is known; what is known already is skipped.
fn newer_roots<'a>(view: &PeerView, roots: &'a [Envelope]) -> &'a [Envelope] {
    let known = |root: &Envelope| {
        (1..=view.chain().version()).any(|v| view.chain().digest_of(v) == Some(root.digest()))
    };
    let skip = roots.iter().take_while(|root| known(root)).count();
    &roots[skip..]
}

fn refuse(code: Code, story: String) -> Box<Refused> {
    Box::new(Refused {
        problem: Problem::new(code),
        story,
        authenticated: None,
        learned: Learned::default(),
    })
}

fn malformed(fault: &MalformedOperation) -> Box<Refused> {
    let mut refused = refuse(fault.code(), fault.to_string());
    refused.problem = refused.problem.with_detail(fault.to_string());
    refused
}

/// Steps 3 and 4 of each envelope: its size and its kind, before anything of it is believed.
fn check_envelopes(operation: &Operation) -> Result<(), VerifyError> {
    let roots = operation.roots.iter().flatten().map(|root| (root, Kind::Root));
    let others = [(&operation.status, Kind::Status), (&operation.request, Kind::Request)];
    let all = || roots.clone().chain(others);
    for (envelope, kind) in all() {
        //= ENV-7
        let (bytes, max) = match kind {
            Kind::Request => (envelope.payload_len(), limit::REQUEST_BYTES_MAX),
            _ => (envelope.payload_len(), limit::DOCUMENT_BYTES_MAX),
        };
        if bytes > max && !planted!("payload_size_unchecked") {
            return Err(VerifyError::SentTooMuch { kind, max, bytes });
        }
    }
    //= ENV-8
    let other = all().find(|(envelope, kind)| envelope.kind() != *kind);
    match other.filter(|_| !planted!("kind_unchecked")) {
        Some((envelope, expected)) => {
            Err(VerifyError::SentAnotherKind { expected, found: envelope.kind() })
        }
        None => Ok(()),
    }
}

/// What a stranger that brings a chain of roots is told of it.
#[must_use]
pub fn told_of_root(fault: &RootError) -> Problem {
    bad_root(fault).problem
}

/// What a stranger is told of its status, where its chain ends with the root `have`.
#[must_use]
pub fn told_of_status(fault: &StatusError, have: u64) -> Problem {
    bad_status(fault, have, false).problem
}

/// What a stranger is told of what it signed.
#[must_use]
pub fn told_of_signed(fault: &VerifyError) -> Problem {
    unverified(fault).problem
}

//= PRB-4
fn unverified(fault: &VerifyError) -> Box<Refused> {
    let code = match fault {
        VerifyError::SignedMalformedPayload { .. } => Code::Malformed,
        VerifyError::SentTooMuch { .. } => Code::TooLarge,
        VerifyError::StatusStale { .. } | VerifyError::StatusMissing => Code::StatusStale,
        VerifyError::RootTooOld { .. } => Code::RootUnknown,
        _ => Code::VerificationFailed,
    };
    let mut refused = refuse(code, story(fault));
    if let VerifyError::RootTooOld { have, .. } = fault {
        refused.problem = refused.problem.with_have(*have);
    }
    refused
}

fn bad_root(fault: &RootError) -> Box<Refused> {
    let code = match fault {
        RootError::TooManySteps { .. } => Code::TooLarge,
        _ => Code::VerificationFailed,
    };
    refuse(code, story(fault))
}

/// `ahead`: the status claims to know of a newer root than is known here.
fn bad_status(fault: &StatusError, have: u64, ahead: bool) -> Box<Refused> {
    let code = match fault {
        StatusError::Expired { .. }
        | StatusError::WentBack { .. }
        | StatusError::IncarnationWentBack { .. }
        | StatusError::RootWentBack { .. } => Code::StatusStale,
        StatusError::RootUnknown { .. } => Code::RootUnknown,
        StatusError::Unverified(VerifyError::SignedMalformedPayload { .. }) => Code::Malformed,
        // A key that the role does not have here may stand in the newer root.
        StatusError::Unverified(VerifyError::SignedWithForeignKey { .. }) if ahead => {
            Code::RootUnknown
        }
        _ => Code::VerificationFailed,
    };
    let mut refused = refuse(code, story(fault));
    if code == Code::RootUnknown {
        refused.problem = refused.problem.with_have(have);
    }
    refused
}

/// A fault with its causes, in one line.
pub(super) fn story(fault: &dyn std::error::Error) -> String {
    let mut text = fault.to_string();
    let mut source = fault.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

impl Refused {
    fn with_learned(mut self: Box<Self>, learned: &Learned) -> Box<Self> {
        self.learned = learned.clone();
        self
    }

    fn authenticated_as(mut self: Box<Self>, peer: &GatewayId, request: Digest) -> Box<Self> {
        self.authenticated = Some((peer.clone(), request));
        self
    }
}

/// What a verified status tells others to have seen of its issuer.
#[must_use]
pub fn seen_of(status: &Status) -> Seen {
    Seen { n: status.incarnation.n, seq: u64::try_from(status.seq).unwrap_or(0) }
}
