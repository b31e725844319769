//! Walks evidence line by line; each line is held against those before it.

use std::collections::{BTreeMap, BTreeSet};

use landbridge_planted::planted;

use super::{Outcome, Proof, Signer, Summary, Verdict};
use crate::machine::chain::Chain;
use crate::machine::recorded::{Gateway, RecordedFault, recorded, same};
use crate::machine::verdict;
use crate::trust::recorded::Stated;
use crate::trust::verified::Verified;
use crate::wire::digest::{Digest, tag};
use crate::wire::document::Status;
use crate::wire::envelope::Envelope;
use crate::wire::evidence::{EvidenceReader, Header, Line};
use crate::wire::json::canonical;
use crate::wire::kind::Role;
use crate::wire::name::{GatewayId, IdempotencyKey, KeyId, Timestamp};
use crate::wire::request::Start;
use crate::wire::stream::{Accept, Seal};
use crate::wire::transcript::LineFault;

/// Why a line does not hold.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("a line that does not belong here")]
    Misplaced,
    #[error(transparent)]
    Line(#[from] LineFault),
    #[error("the gateway is not the pinned one")]
    NotPinned(GatewayId),
    #[error(transparent)]
    Recorded(#[from] RecordedFault),
    #[error("the body is not that of a start")]
    Body,
    #[error("the leaves do not lead to what the second seal covers")]
    Leaves,
    #[error("the two statements do not contradict each other")]
    NoContradiction,
    #[error("it ends before the contradiction")]
    Incomplete,
}

/// What both accepts speak of.
#[derive(Debug)]
struct Body {
    print: Digest,
    key: IdempotencyKey,
}

#[derive(Debug, Default)]
struct Walk {
    reader: EvidenceReader,
    header: Option<Header>,
    gateway: Option<Gateway>,
    body: Option<Body>,
    accept: Option<Verified<Accept>>,
    seal: Option<Verified<Seal>>,
    /// The head of the second seal's chain at the first seal's number.
    head: Option<Digest>,
    /// That chain, as far as its leaves were read.
    chain: Option<Chain>,
    status: Option<Verified<Status>>,
    /// Who signed the statements, by role.
    signers: BTreeMap<KeyId, Role>,
    proven: bool,
    summary: Summary,
}

pub(super) fn judge(bytes: &[u8], pin: &GatewayId) -> Verdict {
    let mut walk = Walk::default();
    let number = match verdict::walk(bytes, |line| walk.take(line, pin)) {
        Ok(number) => number,
        Err((number, fault)) => return walk.verdict(fault.outcome(number)),
    };
    let outcome = match walk.check_pin(pin) {
        Ok(()) if walk.header.is_none() => Fault::from(LineFault::NoHeader).outcome(1),
        Ok(()) if walk.proven && walk.reader.is_complete() => Outcome::Proven,
        Ok(()) => Fault::Incomplete.outcome(number),
        Err(fault) => fault.outcome(number),
    };
    walk.verdict(outcome)
}

/// The statements of a file, nothing of it verified; `None` when some are missing.
pub(super) fn proof_of(bytes: &[u8]) -> Result<Option<Proof>, LineFault> {
    let mut reader = EvidenceReader::new();
    let (mut body, mut head, mut leaves) = (None, None, Vec::new());
    let (mut accepts, mut seals, mut said) = (Vec::new(), Vec::new(), Vec::new());
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        match reader.line(line)? {
            Line::Evidence(_) | Line::Root { .. } | Line::Status { .. } => {}
            Line::Body { value } => body = Some(value),
            Line::Accept { value } => accepts.push(value),
            Line::Seal { value } => seals.push(value),
            Line::Head { value } => head = Some(value),
            Line::Leaf { value } => leaves.push(value),
            Line::Said { value } => said.push(value),
        }
    }
    let (mut accepts, mut seals, mut said) =
        (accepts.into_iter(), seals.into_iter(), said.into_iter());
    let statements = (accepts.next(), accepts.next(), seals.next(), seals.next());
    Ok(match (statements, body, head) {
        ((Some(accept), None, Some(first), Some(second)), None, Some(head)) => {
            Some(Proof::Seals { accept, first, head, leaves, second })
        }
        ((Some(first), Some(second), None, None), Some(body), None) => {
            Some(Proof::Accepts { body, first, second })
        }
        ((None, None, None, None), None, None) => {
            said.next().zip(said.next()).map(|(first, second)| Proof::Statuses { first, second })
        }
        _ => None,
    })
}

/// The statuses of a file that tell of the gateway's keys, nothing of it verified.
pub(super) fn statuses_of(bytes: &[u8]) -> Vec<Envelope> {
    let mut reader = EvidenceReader::new();
    let lines = bytes.split_inclusive(|&byte| byte == b'\n');
    let lines = lines.map_while(|line| reader.line(line).ok());
    lines
        .filter_map(|line| match line {
            Line::Status { value } => Some(value),
            _ => None,
        })
        .collect()
}

impl Fault {
    fn outcome(self, line: u64) -> Outcome {
        let what = crate::machine::admission::story(&self);
        match self {
            Self::NotPinned(found) => Outcome::NotThePinnedSigner { found },
            Self::Misplaced | Self::Line(_) => Outcome::Unreadable { line, what },
            _ => Outcome::NotProven { line, what },
        }
    }
}

impl Walk {
    fn take(&mut self, line: &[u8], pin: &GatewayId) -> Result<(), Fault> {
        let line = self.reader.line(line)?;
        // The chain of roots ends where another line begins; who it is comes before the rest.
        if !matches!(line, Line::Root { .. }) {
            self.check_pin(pin)?;
        }
        match line {
            Line::Evidence(header) => {
                self.summary.kind = Some(header.kind);
                self.header = Some(header);
                Ok(())
            }
            Line::Root { value } => self.root(&value),
            Line::Status { value } => {
                let gateway = self.gateway.as_mut().ok_or(Fault::Misplaced)?;
                Ok(gateway.status(&value)?)
            }
            Line::Body { value } => self.body(&value),
            Line::Accept { value } => self.accept(&value),
            Line::Seal { value } => self.seal(&value),
            Line::Head { value } => {
                let first = self.seal.as_ref().ok_or(Fault::Misplaced)?;
                self.head = Some(value);
                self.chain = Some(Chain::stored(first.value().seq, value));
                Ok(())
            }
            Line::Leaf { value } => {
                let chain = self.chain.ok_or(Fault::Misplaced)?;
                self.chain = Some(chain.push_leaf(value));
                Ok(())
            }
            Line::Said { value } => self.said(&value),
        }
    }

    fn root(&mut self, envelope: &Envelope) -> Result<(), Fault> {
        let header = self.header.as_ref().ok_or(Fault::Misplaced)?;
        if let Some(gateway) = &mut self.gateway {
            return Ok(gateway.advance(envelope)?);
        }
        let gateway = Gateway::new(envelope)?;
        same(gateway.id() == header.gateway, "root", "gateway")?;
        self.summary.gateway = Some(gateway.id());
        self.gateway = Some(gateway);
        Ok(())
    }

    fn body(&mut self, text: &str) -> Result<(), Fault> {
        let start: Start = canonical::from_slice(text.as_bytes()).map_err(|_| Fault::Body)?;
        self.summary.key = Some(start.idempotency_key.clone());
        let print = Digest::of(tag::BODY, &[text.as_bytes()]);
        self.body = Some(Body { print, key: start.idempotency_key });
        Ok(())
    }

    fn accept(&mut self, envelope: &Envelope) -> Result<(), Fault> {
        let gateway = self.gateway.as_ref().ok_or(Fault::Misplaced)?;
        //= STR-49
        let accept = recorded::<Accept>("accept", gateway, envelope, |said| Stated {
            root_version: Some(said.root_version),
            at: first_good(gateway, envelope, said.root_version),
        })?;
        let said = accept.value();
        same(said.iss == gateway.id(), "accept", "iss")?;
        if let Some(body) = &self.body {
            same(said.key == body.key, "accept", "key")?;
            same(said.print == body.print, "accept", "print")?;
        }
        note(&mut self.signers, &accept, Role::Stream);
        let Some(first) = &self.accept else {
            self.summary.caller = Some(said.aud.clone());
            self.summary.tenant = Some(said.tenant.clone());
            self.summary.key = Some(said.key.clone());
            self.summary.run = Some(said.run.clone());
            self.accept = Some(accept);
            return Ok(());
        };
        let before = first.value();
        //= STR-50
        same(said.aud == before.aud, "accept", "aud")?;
        same(said.tenant == before.tenant, "accept", "tenant")?;
        self.contradicts(first.digest() != accept.digest())
    }

    fn seal(&mut self, envelope: &Envelope) -> Result<(), Fault> {
        let gateway = self.gateway.as_ref().ok_or(Fault::Misplaced)?;
        let accept = self.accept.as_ref().ok_or(Fault::Misplaced)?;
        let stated = |said: &Seal| Stated { root_version: Some(said.root_version), at: said.t };
        //= STR-49
        let seal = recorded::<Seal>("seal", gateway, envelope, stated)?;
        let said = seal.value();
        same(said.accept == accept.digest(), "seal", "accept")?;
        same(said.run == accept.value().run, "seal", "run")?;
        note(&mut self.signers, &seal, Role::Stream);
        self.summary.signed.push(said.t);
        let Some((first, chain)) = self.seal.as_ref().zip(self.chain) else {
            self.summary.seq = Some(said.seq);
            self.seal = Some(seal);
            return Ok(());
        };
        //= STR-51
        let joined = chain.seq() == said.seq && chain.head() == said.head;
        if !joined && !planted!("evidence_leaves_unchecked") {
            return Err(Fault::Leaves);
        }
        let differs = self.head.is_some_and(|head| head != first.value().head);
        self.contradicts(differs)
    }

    fn said(&mut self, envelope: &Envelope) -> Result<(), Fault> {
        let gateway = self.gateway.as_ref().ok_or(Fault::Misplaced)?;
        let status = gateway.verified_status(envelope)?;
        let said = status.value();
        note(&mut self.signers, &status, Role::Status);
        self.summary.signed.push(said.issued);
        let Some(first) = &self.status else {
            self.summary.seq = Some(said.seq.unsigned_abs());
            self.status = Some(status);
            return Ok(());
        };
        let before = first.value();
        //= STR-50
        same(said.seq == before.seq, "status", "seq")?;
        let (one, other) = (
            role_of(gateway, before.root_version, Role::Status),
            role_of(gateway, said.root_version, Role::Status),
        );
        // A new status key begins its own numbers (ID-20).
        same(one.is_some() && one == other, "status", "role")?;
        self.contradicts(first.digest() != status.digest())
    }

    fn contradicts(&mut self, holds: bool) -> Result<(), Fault> {
        if !holds {
            return Err(Fault::NoContradiction);
        }
        self.proven = true;
        Ok(())
    }

    fn check_pin(&self, pin: &GatewayId) -> Result<(), Fault> {
        match &self.gateway {
            Some(gateway) if gateway.id() != *pin => Err(Fault::NotPinned(gateway.id())),
            _ => Ok(()),
        }
    }

    fn verdict(mut self, outcome: Outcome) -> Verdict {
        if let Some(gateway) = &self.gateway {
            //= STR-52
            for (kid, role) in &self.signers {
                let newest = role_of(gateway, gateway.chain().version(), *role);
                let retired = newest.is_none_or(|holders| !holders.contains(kid));
                let revoked = gateway.revoked(kid);
                let signer = Signer {
                    kid: kid.clone(),
                    retired,
                    revoked: revoked.map(|revoked| revoked.issued),
                    revoked_since: revoked.map(|revoked| revoked.since),
                };
                self.summary.warnings.extend(signer.warning());
                self.summary.signers.push(signer);
            }
        }
        Verdict { outcome, summary: self.summary }
    }
}

impl Signer {
    fn warning(&self) -> Option<String> {
        let kid = &self.kid;
        if let (Some(issued), Some(since)) = (self.revoked, self.revoked_since) {
            return Some(format!(
                "key {kid} is revoked since {since}, said at {issued}: whoever had it may have signed"
            ));
        }
        let retired = "is not in the newest root of the file: whoever had it may have signed later";
        self.retired.then(|| format!("key {kid} {retired}"))
    }
}

fn note<T>(signers: &mut BTreeMap<KeyId, Role>, signed: &Verified<T>, role: Role) {
    signers.extend(signed.signers().map(|kid| (kid.clone(), role)));
}

/// The keys of a role in one root of the chain.
fn role_of(gateway: &Gateway, version: u64, role: Role) -> Option<&BTreeSet<KeyId>> {
    let mut roots = gateway.chain().roots().map(Verified::value);
    let root = roots.find(|root| root.version == version)?;
    root.roles.get(&role).map(|holders| &holders.keyids)
}

/// The first moment at which the root that an accept names, and the keys that signed, were good: an
/// accept states no time of its own.
fn first_good(gateway: &Gateway, envelope: &Envelope, version: u64) -> Timestamp {
    let mut roots = gateway.chain().roots().map(Verified::value);
    let Some(root) = roots.find(|root| root.version == version) else {
        return Timestamp::default();
    };
    let signers = envelope.signatures().iter().filter_map(|one| root.keys.get(one.keyid()));
    signers.map(|key| key.nbf).fold(root.issued, Ord::max)
}
