//! Walks a record line by line; each line is held against those before it.

use landbridge_planted::planted;

use super::{Approved, Decided, Outcome, Report, Summary};
use crate::machine::recorded::{Gateway, RecordedFault, recorded, same};
use crate::machine::verdict;
use crate::trust::approval::Standing as Count;
use crate::trust::approval::{Counted, Judged, Question, Tally, Uncounted, judge_recorded};
use crate::trust::peer::PeerView;
use crate::trust::recorded::Stated;
use crate::trust::root::TrustedRoot;
use crate::trust::status::{Revoked, StatusError, TrustedStatus};
use crate::trust::verified::Verified;
use crate::wire::approval::{ApprovalRequest, Decision};
use crate::wire::approval_record::{ApprovalReader, Header, Line, Standing};
use crate::wire::digest::Digest;
use crate::wire::document::{Federation, Peer, PeerStatus, Status};
use crate::wire::envelope::Envelope;
use crate::wire::limit;
use crate::wire::name::{GatewayId, Timestamp};
use crate::wire::transcript::LineFault;

/// Why a line does not hold.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("a line that does not belong here")]
    Misplaced,
    #[error(transparent)]
    Line(#[from] LineFault),
    #[error("the relying gateway is not the pinned one")]
    NotPinned(GatewayId),
    #[error(transparent)]
    Recorded(#[from] RecordedFault),
    #[error("the subject is not what the approval request names")]
    Subject,
    #[error("no federation document of the file was in force when the decision was taken")]
    NoPolicy,
    #[error("{0} was no active peer when the decision was taken")]
    NoPeer(GatewayId),
    #[error("no root of the deciding gateway was good when the decision was taken")]
    NoRoot,
    #[error("the decision does not count")]
    Uncounted(#[from] Uncounted),
    #[error("the decisions come to {found}, and the file says {said}")]
    Verdict { found: &'static str, said: &'static str },
    #[error("it ends before the verdict")]
    Incomplete,
}

/// One gateway that was asked.
#[derive(Debug)]
struct Asked {
    gateway: GatewayId,
    view: Option<Gateway>,
    statuses: Vec<Verified<Status>>,
    request: Option<Verified<ApprovalRequest>>,
    /// The newest catalog so far.
    kept: Option<(u64, Digest)>,
}

#[derive(Debug, Default)]
struct Walk {
    reader: ApprovalReader,
    header: Option<Header>,
    relying: Option<Gateway>,
    federation: Vec<Verified<Federation>>,
    subject: Option<String>,
    asked: Option<Asked>,
    /// The first question: what all must agree with.
    first: Option<Verified<ApprovalRequest>>,
    judged: Vec<(Timestamp, Judged)>,
    said: Option<Standing>,
    summary: Summary,
}

pub(super) fn judge(bytes: &[u8], pin: &GatewayId) -> Report {
    let (mut walk, end) = walk(bytes, pin);
    let outcome = match end {
        Err((number, fault)) => fault.outcome(number),
        Ok(_) if walk.header.is_none() => Fault::from(LineFault::NoHeader).outcome(1),
        Ok(number) => {
            let found = walk.count();
            match walk.said {
                None => Fault::Incomplete.outcome(number),
                Some(said) if said != found && !planted!("record_verdict_believed") => {
                    let (found, said) = (found.as_str(), said.as_str());
                    Fault::Verdict { found, said }.outcome(number)
                }
                Some(said) => said.into(),
            }
        }
    };
    Report { outcome, summary: walk.summary }
}

/// What the decisions of a record come to that has no verdict yet.
pub(super) fn standing(bytes: &[u8], pin: &GatewayId) -> Result<Standing, String> {
    let (mut walk, end) = walk(bytes, pin);
    match end {
        Ok(_) => Ok(walk.count()),
        Err((number, fault)) => Err(fault.outcome(number).to_string()),
    }
}

fn walk(bytes: &[u8], pin: &GatewayId) -> (Walk, Result<u64, (u64, Fault)>) {
    let mut walk = Walk::default();
    let end = verdict::walk(bytes, |line| walk.take(line, pin));
    let end = end.and_then(|number| match walk.check_pin(pin) {
        Ok(()) => Ok(number),
        Err(fault) => Err((number, fault)),
    });
    (walk, end)
}

impl Fault {
    fn outcome(self, line: u64) -> Outcome {
        let what = crate::machine::admission::story(&self);
        match self {
            Self::NotPinned(found) => Outcome::NotThePinnedSigner { found },
            Self::Misplaced | Self::Line(_) => Outcome::Unreadable { line, what },
            Self::Uncounted(fault) => {
                Outcome::NotProven { line, what, reason: Some(fault.as_str()) }
            }
            _ => Outcome::NotProven { line, what, reason: None },
        }
    }
}

impl Walk {
    fn take(&mut self, line: &[u8], pin: &GatewayId) -> Result<(), Fault> {
        let line = self.reader.line(line)?;
        if !matches!(line, Line::Root { .. }) {
            self.check_pin(pin)?;
        }
        match line {
            Line::Approval(header) => {
                self.summary.id = Some(header.id.clone());
                self.header = Some(header);
                Ok(())
            }
            Line::Root { value } => self.root(&value),
            Line::Status { value } => self.status(&value),
            Line::Federation { value } => self.federation(&value),
            Line::Subject { value } => {
                self.subject = Some(value);
                Ok(())
            }
            Line::Asked { gateway } => {
                let (statuses, request) = (Vec::new(), None);
                self.asked = Some(Asked { gateway, view: None, statuses, request, kept: None });
                Ok(())
            }
            Line::Request { value } => self.request(&value),
            Line::Decision { at, value } => self.decision(at, &value),
            Line::Verdict { value } => {
                self.said = Some(value);
                Ok(())
            }
        }
    }

    fn root(&mut self, envelope: &Envelope) -> Result<(), Fault> {
        let header = self.header.as_ref().ok_or(Fault::Misplaced)?;
        let (gateway, said) = match &mut self.asked {
            Some(asked) => (&mut asked.view, &asked.gateway),
            None => (&mut self.relying, &header.relying),
        };
        if let Some(gateway) = gateway {
            return Ok(gateway.advance(envelope)?);
        }
        let new = Gateway::new(envelope)?;
        same(new.id() == *said, "root", "gateway")?;
        if self.asked.is_none() {
            self.summary.relying = Some(new.id());
            self.relying = Some(new);
        } else if let Some(asked) = &mut self.asked {
            asked.view = Some(new);
        }
        Ok(())
    }

    fn status(&mut self, envelope: &Envelope) -> Result<(), Fault> {
        let Some(asked) = &mut self.asked else {
            let relying = self.relying.as_mut().ok_or(Fault::Misplaced)?;
            return Ok(relying.status(envelope)?);
        };
        let view = asked.view.as_mut().ok_or(Fault::Misplaced)?;
        view.status(envelope)?;
        asked.statuses.push(view.verified_status(envelope)?);
        Ok(())
    }

    //= APR-38
    fn federation(&mut self, envelope: &Envelope) -> Result<(), Fault> {
        let relying = self.relying.as_ref().ok_or(Fault::Misplaced)?;
        let stated = |said: &Federation| Stated { root_version: None, at: said.issued };
        let document = recorded::<Federation>("federation document", relying, envelope, stated)?;
        let said = document.value();
        same(said.iss == relying.id(), "federation document", "iss")?;
        let before = self.federation.last().map_or(0, |before| before.value().version);
        same(said.version > before, "federation document", "version")?;
        self.dispute(&document, "federation document", document.value().issued);
        self.federation.push(document);
        Ok(())
    }

    fn request(&mut self, envelope: &Envelope) -> Result<(), Fault> {
        let header = self.header.as_ref().ok_or(Fault::Misplaced)?;
        let relying = self.relying.as_ref().ok_or(Fault::Misplaced)?;
        let asked = self.asked.as_ref().ok_or(Fault::Misplaced)?;
        let stated = |said: &ApprovalRequest| Stated { root_version: None, at: said.issued };
        let request = recorded::<ApprovalRequest>("approval request", relying, envelope, stated)?;
        let said = request.value();
        let what = "approval request";
        same(said.iss == relying.id(), what, "iss")?;
        same(said.aud == asked.gateway, what, "aud")?;
        same(said.id == header.id, what, "id")?;
        if let Some(first) = self.first.as_ref().map(Verified::value) {
            same(said.subject == first.subject, what, "subject")?;
            same(said.quorum == first.quorum, what, "quorum")?;
            same(said.scope == first.scope, what, "scope")?;
            same(said.requester == first.requester, what, "requester")?;
            same(said.tenant.relying == first.tenant.relying, what, "tenant")?;
        }
        let bytes = self.subject.as_deref().unwrap_or_default().as_bytes();
        if !said.subject.is_of(bytes) && !planted!("record_subject_unchecked") {
            return Err(Fault::Subject);
        }
        self.dispute(&request, what, request.value().issued);
        self.tell(request.value());
        self.first.get_or_insert_with(|| request.clone());
        if let Some(asked) = &mut self.asked {
            asked.request = Some(request);
        }
        Ok(())
    }

    fn tell(&mut self, said: &ApprovalRequest) {
        let subject = &said.subject;
        self.summary.run.clone_from(&said.run);
        self.summary.scope = Some(said.scope.clone());
        self.summary.requester = Some(said.requester.clone());
        self.summary.need = said.quorum;
        self.summary.subject = Some(Approved {
            kind: subject.kind.clone(),
            binding: subject.binding,
            media: subject.media.clone(),
            digest: subject.digest,
            size: subject.size,
        });
    }

    //= APR-39
    fn decision(&mut self, at: Timestamp, decision: &Decision) -> Result<(), Fault> {
        let asked = self.asked.as_ref().ok_or(Fault::Misplaced)?;
        let request = asked.request.as_ref().ok_or(Fault::Misplaced)?;
        let peer = self.peer(&asked.gateway, at)?;
        let mut fault = Fault::NoRoot;
        let mut found = None;
        for view in asked.views(at, peer.min_root_version)? {
            let question = Question {
                request: request.value(),
                digest: request.digest(),
                deciding: &view,
                projections: &peer.projections,
                kept: asked.kept,
                now: at,
            };
            match judge_recorded(&question, decision) {
                Ok(judged) => {
                    found = Some((judged, view.check_fresh(at).is_ok()));
                    break;
                }
                // The newest root's fault says most.
                Err(found) if matches!(fault, Fault::NoRoot) => fault = found.into(),
                Err(_) => {}
            }
        }
        let (judged, fresh) = found.ok_or(fault)?;
        if !fresh {
            let sub = judged.sub();
            let text = format!("no status of the file was fresh when {sub}'s decision was taken");
            self.summary.warnings.push(text);
        }
        let later = asked.view.as_ref().and_then(|view| view.revoked(judged.kid()));
        if let Some(revoked) = later.filter(|revoked| revoked.since <= judged.iat()) {
            let (kid, since, issued) = (judged.kid(), revoked.since, revoked.issued);
            let text = format!(
                "{}'s key {kid} was revoked at {issued} with since {since}, before it signed",
                judged.sub()
            );
            self.summary.warnings.push(text);
        }
        let catalog = judged.catalog();
        let kept = (catalog.value().version, catalog.digest());
        if let Some(asked) = &mut self.asked {
            asked.kept = Some(kept);
        }
        self.judged.push((at, judged));
        Ok(())
    }

    /// The peer as the document in force says: the newest that had been issued.
    fn peer(&self, gateway: &GatewayId, at: Timestamp) -> Result<&Peer, Fault> {
        let mut documents = self.federation.iter().rev().map(Verified::value);
        let document = documents.find(|document| document.issued <= at).ok_or(Fault::NoPolicy)?;
        let peer = document.peers.iter().find(|peer| peer.gid == *gateway);
        let active = peer
            .filter(|peer| peer.status == PeerStatus::Active || planted!("record_peer_unchecked"));
        active.ok_or_else(|| Fault::NoPeer(gateway.clone()))
    }

    /// Counts what was judged, in the order of time.
    fn count(&mut self) -> Standing {
        let Some(first) = self.first.as_ref() else { return Standing::Undecided };
        let mut tally = Tally::new(first.value());
        self.judged.sort_by_key(|(at, _)| *at);
        for (at, judged) in &self.judged {
            let counted = tally.count(judged) == Counted::Added;
            self.summary.decisions.push(Decided {
                gateway: judged.gateway().clone(),
                sub: judged.sub().clone(),
                scope: judged.scope().clone(),
                vote: judged.vote(),
                method: judged.method(),
                kid: judged.kid().clone(),
                signed: judged.iat(),
                at: *at,
                counted,
            });
        }
        (self.summary.have, self.summary.need) = (tally.have(), tally.need());
        match tally.standing() {
            Count::Open { .. } => Standing::Undecided,
            Count::Approved => Standing::Approved,
            Count::Denied => Standing::Denied,
        }
    }

    /// Tells when something of the relying gateway is signed by a key that it revoked with effect before.
    fn dispute<T>(&mut self, signed: &Verified<T>, what: &str, at: Timestamp) {
        let Some(relying) = &self.relying else { return };
        let revoked = signed.signers().filter_map(|kid| Some((kid, relying.revoked(kid)?)));
        let late = revoked.filter(|(_, revoked)| revoked.since <= at);
        let texts = late.map(|(kid, revoked)| {
            let (issued, since) = (revoked.issued, revoked.since);
            format!("the {what} is signed by key {kid}, revoked at {issued} with since {since}")
        });
        self.summary.warnings.extend(texts.collect::<Vec<_>>());
    }

    fn check_pin(&self, pin: &GatewayId) -> Result<(), Fault> {
        match &self.relying {
            Some(relying) if relying.id() != *pin => Err(Fault::NotPinned(relying.id())),
            _ => Ok(()),
        }
    }
}

impl Asked {
    /// The gateway as it could be known at `at`: one view for each root that was good then, newest first, with
    /// what statuses had said by then.
    fn views(&self, at: Timestamp, root_version_min: u64) -> Result<Vec<PeerView>, Fault> {
        let chain = self.view.as_ref().ok_or(Fault::Misplaced)?.chain();
        let roots: Vec<Envelope> = chain.roots().map(|root| root.envelope().clone()).collect();
        let mut views = Vec::new();
        let documents: Vec<_> = chain.roots().map(Verified::value).enumerate().collect();
        for (index, root) in documents.into_iter().rev() {
            let begun = at.plus_ms(limit::CLOCK_SKEW_MS_MAX) >= root.issued;
            if !begun || at >= root.expires || root.version < root_version_min {
                continue;
            }
            let part = TrustedRoot::restore(&roots[..=index], chain.gateway());
            let part = part.map_err(RecordedFault::from)?;
            // A root that the newest status does not know of any more would not know what was revoked.
            match self.status_at(at, &part) {
                Some(Ok(status)) => views.push(PeerView::restore(part, Some(status))),
                None => views.push(PeerView::new(part)),
                Some(Err(_)) => {}
            }
        }
        Ok(views)
    }

    /// The newest status that had been issued by `at`, with all revocations that had been told by then.
    fn status_at(
        &self,
        at: Timestamp,
        chain: &TrustedRoot,
    ) -> Option<Result<TrustedStatus, StatusError>> {
        let told: Vec<_> = self.statuses.iter().filter(|one| one.value().issued <= at).collect();
        let newest = told.last()?;
        let revoked = told.iter().flat_map(|status| {
            let received = status.value().issued;
            status.value().revoked.iter().map(move |one| {
                (one.kid.clone(), Revoked { received, reason: one.reason, since: one.since })
            })
        });
        let received = newest.value().issued;
        Some(TrustedStatus::restore(newest.envelope(), received, revoked, chain))
    }
}
