//! One run between two gateways, recorded as it would cross: 40 frames in several batches.

use landbridge_proto::machine::admission::print_of;
use landbridge_proto::machine::budget::Spent;
use landbridge_proto::machine::chain::Chain;
use landbridge_proto::machine::contract::{ReceivedSeal, RunPhase, RunRow};
use landbridge_proto::machine::framing::Lines;
use landbridge_proto::machine::outgoing::seal_over;
use landbridge_proto::machine::transcript::Export;
use landbridge_proto::trust::signer::sign_typed;
use landbridge_proto::trust::verified::Verified;
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::kind::Role;
use landbridge_proto::wire::name::{
    AgentName, IdempotencyKey, Jti, Owner, RunId, SessionHandle, TenantId, TenantPair, Timestamp,
};
use landbridge_proto::wire::problem::{Code, Problem};
use landbridge_proto::wire::request::{
    AgentTarget, Body, CallerIdentity, Lost, Mode, Receipt, Request, Start,
};
use landbridge_proto::wire::sse::{Batch, Event as SseEvent, FrameLine};
use landbridge_proto::wire::stream::{
    Accept, By, Channel, Event, One, Outcome, Rest, Seen, SideEffects, Terminal,
};

use crate::gateway::{Gateway, HOUR_MS, NOW};

/// Frames in each batch.
pub(crate) const BATCHES: [usize; 6] = [1, 7, 2, 20, 9, 1];

pub(crate) fn tenants() -> TenantPair {
    TenantPair { dst: TenantId::new("ops").unwrap(), src: TenantId::new("acme").unwrap() }
}

pub(crate) fn start() -> Start {
    Start {
        agent_target: AgentTarget {
            agent: AgentName::new("triage").unwrap(),
            mode: Mode::Session,
            session: None,
        },
        approval_grant: None,
        approval_request: None,
        caller_identity: CallerIdentity {
            labels: [("env".to_owned(), "prod".to_owned())].into(),
            principal: "ci@acme".to_owned(),
            step: None,
            workflow: Some("nightly".to_owned()),
        },
        deadline: None,
        idempotency_key: IdempotencyKey::new("nightly-2027-01-15-summarise").unwrap(),
        invoked_at: NOW,
        limits: None,
        prompt: Some("Summarise the incident.".to_owned()),
        remote_run_id: None,
        tool_call: None,
    }
}

pub(crate) fn request_of(caller: &Gateway, executor: &Gateway, body: Body) -> Request {
    Request {
        aud: executor.id(),
        body,
        exp: NOW.plus_ms(60_000),
        iat: NOW,
        iss: caller.id(),
        jti: Jti::new("fqT0m3kGm0m0Yp0V3yB0qA").unwrap(),
        proto: vec![1],
        seen: Seen { n: 1, seq: NOW.0.unsigned_abs() },
        tenant: tenants(),
        traceparent: None,
    }
}

pub(crate) fn run_id() -> RunId {
    RunId::new("run-abcdefghijklmnopqrstuvwxyz").unwrap()
}

/// A run as both sides have it.
pub(crate) struct Run {
    pub(crate) caller: Gateway,
    pub(crate) executor: Gateway,
    pub(crate) request: Envelope,
    pub(crate) accept: Verified<Accept>,
    pub(crate) row: RunRow,
    pub(crate) lines: Vec<String>,
    /// The last frame of each batch, and its seal.
    pub(crate) seals: Vec<(u64, Envelope)>,
}

impl Run {
    pub(crate) fn new() -> Self {
        Self::between(Gateway::new(1), Gateway::new(21), 0)
    }

    /// The run; `rotated`: with this seal and after, the executor signs under a new root.
    pub(crate) fn between(caller: Gateway, executor: Gateway, rotated: usize) -> Self {
        let body = Body::Start(Box::new(start()));
        let said = request_of(&caller, &executor, body);
        let request = sign_typed(&caller.signer(Role::Request), &said).unwrap();
        let (print, _) = print_of(&start()).unwrap();
        let accept = Accept {
            aud: caller.id(),
            deadline: NOW.plus_ms(600_000),
            iss: executor.id(),
            key: start().idempotency_key,
            print,
            proto: 1,
            root_version: executor.chain.version(),
            run: run_id(),
            seen: Seen { n: 1, seq: NOW.0.unsigned_abs() },
            tenant: tenants(),
            v: One,
        };
        let accept = sign_typed(&executor.signer(Role::Stream), &accept).unwrap();
        let accept: Verified<Accept> = executor.view().verify(&accept, NOW).unwrap();
        let mut lines = Lines::after(Chain::start(accept.digest()));
        for event in events() {
            lines.push(&event).unwrap();
        }
        let row = row(&caller, &accept, &request, &lines);
        let mut run =
            Self { caller, executor, request, accept, row, lines: lines.lines, seals: Vec::new() };
        run.seal(rotated);
        run
    }

    fn seal(&mut self, rotated: usize) {
        let mut chain = Chain::start(self.accept.digest());
        let mut from = 0;
        for (at, count) in BATCHES.into_iter().enumerate() {
            let now = NOW.plus_ms(1000 * i64::try_from(at).unwrap() + 500);
            if rotated > 0 && at == rotated {
                self.executor = self.executor.rotated(Role::Stream, now);
            }
            chain = chain.extend(&self.lines[from..from + count]);
            from += count;
            let last = from == self.lines.len();
            let signer = self.executor.signer(Role::Stream);
            let version = self.executor.chain.version();
            let seal = seal_over(&signer, &self.row, chain, last, version, now).unwrap();
            self.seals.push((chain.seq(), seal));
        }
        assert_eq!(from, self.lines.len(), "the batches hold all frames");
    }

    /// The frames of one batch.
    pub(crate) fn batch(&self, at: usize) -> &[String] {
        let from: usize = BATCHES[..at].iter().sum();
        &self.lines[from..from + BATCHES[at]]
    }

    /// The events of the stream from the beginning.
    pub(crate) fn events(&self) -> Vec<SseEvent> {
        let mut events = vec![SseEvent::Accept(self.accept.envelope().clone())];
        for (at, (seq, seal)) in self.seals.iter().enumerate() {
            let frames = self.batch(at).iter().map(|line| FrameLine::new(line.as_bytes()).unwrap());
            let batch = Batch::new(*seq, frames.collect(), seal.clone()).unwrap();
            events.push(SseEvent::Frames(batch));
        }
        events
    }

    pub(crate) fn receipt(&self, seq: u64, lost: Option<Lost>) -> Envelope {
        let frames = &self.lines[..usize::try_from(seq).unwrap()];
        let chain = Chain::start(self.accept.digest()).extend(frames);
        let receipt = Receipt {
            accept: Some(self.accept.digest()),
            aud: self.executor.id(),
            head: Some(chain.head()),
            iss: self.caller.id(),
            key: start().idempotency_key,
            lost,
            root_version: self.caller.chain.version(),
            run: Some(run_id()),
            seq,
            t: NOW.plus_ms(HOUR_MS),
            v: One,
        };
        sign_typed(&self.caller.signer(Role::Request), &receipt).unwrap()
    }

    /// What the caller's store would hold.
    pub(crate) fn export(&self) -> Export {
        let seals = self.seals.iter().map(|(seq, seal)| ReceivedSeal {
            seq: *seq,
            seal: text(seal),
            at: NOW,
        });
        Export {
            executor_roots: self.executor.roots.iter().map(text).collect(),
            executor_statuses: vec![text(&self.executor.status(NOW.plus_ms(9000)))],
            caller_roots: self.caller.roots.iter().map(text).collect(),
            caller_statuses: vec![
                text(&self.caller.status(NOW)),
                text(&self.caller.status(NOW.plus_ms(1))),
            ],
            request: Some(text(&self.request)),
            accept: Some(text(self.accept.envelope())),
            frames: self.lines.clone(),
            seals: seals.collect(),
            receipt: Some(text(&self.receipt(40, None))),
        }
    }
}

pub(crate) fn text(envelope: &Envelope) -> String {
    String::from_utf8(envelope.to_bytes()).unwrap()
}

fn row(caller: &Gateway, accept: &Verified<Accept>, request: &Envelope, lines: &Lines) -> RunRow {
    RunRow {
        run: run_id(),
        owner: Owner { caller: caller.id(), tenant: tenants() },
        key: start().idempotency_key,
        print: accept.value().print,
        request: text(request),
        accept: text(accept.envelope()),
        accept_digest: accept.digest(),
        work: "{}".to_owned(),
        terms: "{}".to_owned(),
        created: NOW,
        deadline: Timestamp(NOW.0 + 600_000),
        phase: RunPhase::Settled,
        intent: Some("{}".to_owned()),
        stop: None,
        epoch: 1,
        revision: 1,
        seq: lines.chain.seq(),
        head: lines.chain.head(),
        bytes: lines.bytes,
        booked: Spent::default(),
        outcome: Some("succeeded".to_owned()),
        ended: Some(NOW),
        lingers: false,
    }
}

/// 40 events, of which the last ends the run.
fn events() -> Vec<Event> {
    let started = Event::Started {
        session: SessionHandle::new("s-4f").unwrap(),
        agent: AgentName::new("triage").unwrap(),
        software: "OpenClaw".to_owned(),
        remote_run_id: None,
    };
    let output = |n: usize| Event::Output {
        channel: if n.is_multiple_of(5) { Channel::Thinking } else { Channel::Answer },
        text: Some(format!("word {n}\u{e4}\n")),
        rest: Rest::default(),
        replace: n == 17,
    };
    let error = Event::Error(Problem::new(Code::ModelError).with_detail("retried"));
    let terminal = Event::Terminal(Terminal {
        outcome: Outcome::Succeeded,
        by: By::Executor,
        side_effects: SideEffects::Possible,
        result: Some("done".to_owned()),
        rest: Rest::default(),
        problem: None,
        usage: None,
    });
    let middle = (2..39).map(output).chain([error]);
    [started].into_iter().chain(middle).chain([terminal]).collect()
}
