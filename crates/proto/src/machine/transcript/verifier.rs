//! Walks a transcript line by line; each line is held against those before it.
//!
//! What a line claims about its own signature (which root, which time) chooses the keys that must then
//! hold, as [`crate::trust::recorded`] says. The seals' comparison is the one that a caller makes while
//! it receives, so that the two cannot judge one stream differently.

use std::collections::BTreeMap;

use landbridge_planted::planted;

use super::{Outcome, Summary, Verdict};
use crate::machine::admission::print_of;
use crate::machine::chain::Chain;
use crate::machine::receive::{Mismatch, check_covers};
use crate::machine::recorded::{Gateway, RecordedFault, Revoked, recorded, same};
use crate::machine::verdict;
use crate::trust::recorded::Stated;
use crate::trust::verified::Verified;
use crate::wire::envelope::Envelope;
use crate::wire::name::GatewayId;
use crate::wire::problem::Code;
use crate::wire::request::{Body, Receipt, Request, Start};
use crate::wire::stream::{Accept, Frame, MalformedFrame, Outcome as RunOutcome, Seal};
use crate::wire::transcript::{Header, Line, LineFault, Side, TranscriptReader};

/// Why a line does not hold.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("a line that does not belong here")]
    Misplaced,
    #[error(transparent)]
    Line(#[from] LineFault),
    #[error("not a frame")]
    Frame(#[source] MalformedFrame),
    #[error("the executor is not the pinned gateway")]
    NotPinned(GatewayId),
    #[error(transparent)]
    Recorded(#[from] RecordedFault),
    #[error("the stream does not hold")]
    Stream(#[from] Mismatch),
    #[error("frames that no seal covers stand before the receipt")]
    UnsealedFrames,
}

/// The frames so far.
#[derive(Debug)]
struct Stream {
    accept: Verified<Accept>,
    chain: Chain,
    sealed: Chain,
    terminal: Option<String>,
}

#[derive(Debug, Default)]
struct Walk {
    reader: TranscriptReader,
    header: Option<Header>,
    executor: Option<Gateway>,
    caller: Option<Gateway>,
    request: Option<(Verified<Request>, Start)>,
    stream: Option<Stream>,
    receipt: bool,
    /// What a key that a status revokes has signed, in words, and the last frame of it.
    disputed: BTreeMap<String, u64>,
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
        Ok(()) => walk.end(),
        Err(fault) => fault.outcome(number),
    };
    walk.verdict(outcome)
}

impl Fault {
    fn outcome(self, line: u64) -> Outcome {
        let what = crate::machine::admission::story(&self);
        match self {
            Self::NotPinned(found) => Outcome::NotThePinnedSigner { found },
            Self::Misplaced | Self::Line(_) | Self::Frame(_) => Outcome::Unreadable { line, what },
            _ => Outcome::Tampered { line, what },
        }
    }
}

impl Walk {
    fn take(&mut self, line: &[u8], pin: &GatewayId) -> Result<(), Fault> {
        let line = self.reader.line(line).map_err(|error| error.fault)?;
        // The chain of the executor ends where another line begins; who it is comes before the rest.
        if !matches!(line, Line::Root { of: Side::Executor, .. }) {
            self.check_pin(pin)?;
        }
        match line {
            Line::Header(header) => self.header = Some(header),
            Line::Root { of, value } => self.root(of, &value)?,
            Line::Status { of: Side::Caller, value } => side(&mut self.caller)?.status(&value)?,
            Line::Status { of: Side::Executor, value } => {
                side(&mut self.executor)?.status(&value)?
            }
            Line::Request { value } => self.request(&value)?,
            Line::Accept { value } => self.accept(&value)?,
            Line::Frame { value } => self.frame(value.as_str())?,
            Line::Seal { value } => self.seal(&value)?,
            Line::Receipt { value } => self.receipt(&value)?,
        }
        Ok(())
    }

    fn root(&mut self, of: Side, envelope: &Envelope) -> Result<(), Fault> {
        let header = self.header.as_ref().ok_or(Fault::Misplaced)?;
        let (gateway, said, told) = match of {
            Side::Caller => (&mut self.caller, &header.caller, &mut self.summary.caller),
            Side::Executor => (&mut self.executor, &header.executor, &mut self.summary.executor),
        };
        match gateway {
            Some(gateway) => Ok(gateway.advance(envelope)?),
            None => {
                let new = Gateway::new(envelope)?;
                same(new.id() == *said, "root", "gateway")?;
                *told = Some(new.id());
                *gateway = Some(new);
                Ok(())
            }
        }
    }

    fn request(&mut self, envelope: &Envelope) -> Result<(), Fault> {
        let (executor, caller) = (side(&mut self.executor)?, side(&mut self.caller)?);
        let stated = |said: &Request| Stated { root_version: None, at: said.iat };
        let request = recorded::<Request>("request", caller, envelope, stated)?;
        let said = request.value();
        same(said.iss == caller.id(), "request", "iss")?;
        same(said.aud == executor.id(), "request", "aud")?;
        let Body::Start(start) = &said.body else {
            return Err(RecordedFault::Member("request", "op").into());
        };
        let start = (**start).clone();
        self.dispute("request", &request, 0);
        self.summary.tenant = Some(request.value().tenant.clone());
        self.request = Some((request, start));
        Ok(())
    }

    fn accept(&mut self, envelope: &Envelope) -> Result<(), Fault> {
        let (request, start) = self.request.as_ref().ok_or(Fault::Misplaced)?;
        let (executor, caller) = (side(&mut self.executor)?, side(&mut self.caller)?);
        let asked = request.value();
        // An accept states no time: it answers the request, under a root that was there by then.
        let issued = |version| {
            let mut roots = executor.chain().roots().map(Verified::value);
            roots.find(|root| root.version == version).map_or(asked.iat, |root| root.issued)
        };
        let stated = |said: &Accept| Stated {
            root_version: Some(said.root_version),
            at: asked.iat.max(issued(said.root_version)),
        };
        let accept = recorded::<Accept>("accept", executor, envelope, stated)?;
        let said = accept.value();
        same(said.iss == executor.id(), "accept", "iss")?;
        same(said.aud == caller.id(), "accept", "aud")?;
        same(said.tenant == asked.tenant, "accept", "tenant")?;
        same(said.key == start.idempotency_key, "accept", "key")?;
        let print = print_of(start).ok().map(|(print, _)| print);
        same(print == Some(said.print), "accept", "print")?;
        same(asked.proto.contains(&said.proto), "accept", "proto")?;
        let header = self.header.as_ref().and_then(|header| header.run.as_ref());
        same(header == Some(&said.run), "accept", "run")?;
        self.dispute("accept", &accept, 0);
        self.summary.run = Some(accept.value().run.clone());
        let chain = Chain::start(accept.digest());
        self.stream = Some(Stream { accept, chain, sealed: chain, terminal: None });
        Ok(())
    }

    fn frame(&mut self, line: &str) -> Result<(), Fault> {
        let stream = self.stream.as_mut().ok_or(Fault::Misplaced)?;
        let seq = stream.chain.seq() + 1;
        let frame = Frame::parse(line).map_err(Fault::Frame)?;
        if stream.terminal.is_some() {
            return Err(Mismatch::AfterTerminal { seq }.into());
        }
        if frame.seq != seq {
            return Err(Mismatch::OutOfOrder { expected: seq, found: frame.seq }.into());
        }
        if frame.is_terminal() {
            let terminal = frame.terminal().ok_or(Mismatch::BadTerminal { seq })?;
            stream.terminal = Some(terminal.outcome.as_str().to_owned());
        }
        stream.chain = stream.chain.push(line);
        Ok(())
    }

    fn seal(&mut self, envelope: &Envelope) -> Result<(), Fault> {
        let executor = side(&mut self.executor)?;
        let stream = self.stream.as_mut().ok_or(Fault::Misplaced)?;
        if stream.sealed == stream.chain {
            return Err(Fault::Misplaced);
        }
        let stated = |said: &Seal| Stated { root_version: Some(said.root_version), at: said.t };
        let seal = recorded::<Seal>("seal", executor, envelope, stated)?;
        let accept = &stream.accept;
        let ended = stream.terminal.is_some();
        check_covers(seal.value(), &accept.digest(), &accept.value().run, stream.chain, ended)?;
        stream.sealed = stream.chain;
        let said = seal.value();
        if self.summary.sealed_at.is_some_and(|before| said.t < before) {
            let warning =
                format!("the seal of frame {} is dated before the one before it", said.seq);
            self.summary.warnings.push(warning);
        }
        self.summary.sealed_at = Some(said.t);
        self.summary.frames = said.seq;
        if ended {
            self.summary.outcome.clone_from(&stream.terminal);
        }
        self.dispute("seal", &seal, seal.value().seq);
        Ok(())
    }

    fn receipt(&mut self, envelope: &Envelope) -> Result<(), Fault> {
        let (executor, caller) = (side(&mut self.executor)?, side(&mut self.caller)?);
        let stated = |said: &Receipt| Stated { root_version: Some(said.root_version), at: said.t };
        let receipt = recorded::<Receipt>("receipt", caller, envelope, stated)?;
        let said = receipt.value();
        same(said.iss == caller.id(), "receipt", "iss")?;
        same(said.aud == executor.id(), "receipt", "aud")?;
        if let Some((_, start)) = &self.request {
            same(said.key == start.idempotency_key, "receipt", "key")?;
        }
        let stream = self.stream.as_ref();
        if stream.is_some_and(|stream| stream.sealed != stream.chain) {
            return Err(Fault::UnsealedFrames);
        }
        let accept = stream.map(|stream| &stream.accept);
        same(said.accept == accept.map(Verified::digest), "receipt", "accept")?;
        same(said.run == accept.map(|accept| accept.value().run.clone()), "receipt", "run")?;
        same(self.header.as_ref().is_some_and(|header| header.run == said.run), "receipt", "run")?;
        same(said.seq == stream.map_or(0, |stream| stream.sealed.seq()), "receipt", "seq")?;
        same(said.head == stream.map(|stream| stream.sealed.head()), "receipt", "head")?;
        if let Some(lost) = &said.lost {
            same(stream.is_none_or(|stream| stream.terminal.is_none()), "receipt", "lost")?;
            let warning = format!("the caller ended the run itself: {}", lost.code);
            self.summary.warnings.push(warning);
            let ended = own_outcome(said.accept.is_some(), &lost.code);
            self.summary.outcome = Some(ended.as_str().to_owned());
        }
        self.dispute("receipt", &receipt, 0);
        self.receipt = true;
        Ok(())
    }

    /// Notes what was signed by a key that a status of the transcript revokes.
    //= STR-37
    fn dispute<T>(&mut self, what: &str, signed: &Verified<T>, seq: u64) {
        for (name, side) in [("executor", &self.executor), ("caller", &self.caller)] {
            let Some(side) = side else { continue };
            for kid in signed.signers() {
                if let Some(revoked) = side.revoked(kid).filter(|_| !planted!("dispute_untold")) {
                    let Revoked { issued, since } = revoked;
                    let text = format!(
                        "the {what} is signed by key {kid}, which the {name} revoked at {issued} with since {since}"
                    );
                    self.disputed.insert(text, seq);
                }
            }
        }
    }

    fn check_pin(&self, pin: &GatewayId) -> Result<(), Fault> {
        match &self.executor {
            Some(executor) if executor.id() != *pin => Err(Fault::NotPinned(executor.id())),
            _ => Ok(()),
        }
    }

    fn end(&mut self) -> Outcome {
        let stream = self.stream.as_ref();
        let ended = stream.is_some_and(|s| s.terminal.is_some() && s.sealed == s.chain);
        if stream.is_some_and(|stream| stream.sealed != stream.chain) {
            self.summary.warnings.push("no seal covers the last frames".to_owned());
        }
        if !self.receipt {
            self.summary.warnings.push("the caller's receipt is missing".to_owned());
        }
        match (ended, self.summary.frames) {
            (true, _) => Outcome::Verified,
            (false, seq) => Outcome::Unfinished { seq },
        }
    }

    fn verdict(mut self, outcome: Outcome) -> Verdict {
        for (text, seq) in self.disputed {
            let frames = if seq > 0 { format!(" (last at frame {seq})") } else { String::new() };
            self.summary.warnings.push(format!("{text}{frames}"));
        }
        Verdict { outcome, summary: self.summary }
    }
}

fn side(of: &mut Option<Gateway>) -> Result<&mut Gateway, Fault> {
    of.as_mut().ok_or(Fault::Misplaced)
}

/// How a run ended that its caller ended itself, with this code: what [`Caller`] makes of an executor's
/// verdict. A run that was accepted can only be lost.
///
/// [`Caller`]: crate::machine::caller::Caller
fn own_outcome(accepted: bool, code: &str) -> RunOutcome {
    let lost = [Code::RunLost, Code::LostHistory, Code::KeyExpired, Code::Equivocation];
    if accepted || lost.iter().any(|lost| lost.as_str() == code) {
        RunOutcome::Lost
    } else if code == Code::CancelledBeforeStart.as_str() {
        RunOutcome::Cancelled
    } else {
        RunOutcome::Rejected
    }
}
