//! Two honest gateways and a run between them: what everything that verifies is compared with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use landbridge_proto::machine::admission::{Admitted, Gate, Refused};
use landbridge_proto::machine::evidence::{Proof, evidence};
use landbridge_proto::machine::operation::Operation;
use landbridge_proto::machine::transcript::export;
use landbridge_proto::trust::federation::{FederationDraft, TrustedFederation};
use landbridge_proto::trust::peer::PeerView;
use landbridge_proto::trust::signer::sign_typed;
use landbridge_proto::wire::document::{
    Ask, Disclose, Disclosure, Federation, Grant, Mode, Peer, PeerStatus, raw,
};
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::kind::{Kind, Role};
use landbridge_proto::wire::name::{AgentName, Alias, GatewayId, TenantId};
use landbridge_proto::wire::request::Op;
use landbridge_proto::wire::sse::Event;
use landbridge_proto::wire::stream::Seen;

use crate::gateway::NOW;
use crate::run::Run;

/// What was really signed.
pub(crate) struct Honest {
    pub(crate) run: Run,
    /// The executor as the caller sees it, and the caller as the executor does.
    pub(crate) executor: PeerView,
    pub(crate) caller: PeerView,
    pub(crate) federation: TrustedFederation,
    pub(crate) federation_envelope: Envelope,
    pub(crate) operation: Vec<u8>,
    pub(crate) stream: Vec<u8>,
    pub(crate) transcript: Vec<u8>,
    /// Of a gateway that signed two statuses with one number.
    pub(crate) evidence: String,
    pub(crate) statuses: [Envelope; 2],
}

pub(crate) fn honest() -> &'static Honest {
    static HONEST: OnceLock<Honest> = OnceLock::new();
    HONEST.get_or_init(make)
}

fn make() -> Honest {
    let run = Run::new();
    let document = federation(&run);
    let federation_envelope = sign_typed(&run.executor.signer(Role::Policy), &document).unwrap();
    let federation =
        TrustedFederation::open(&federation_envelope, &run.executor.chain, 1, NOW).unwrap();
    let operation = Operation {
        roots: None,
        status: run.caller.status(NOW),
        request: run.request.clone(),
        held: None,
    };
    let (first, second) = (run.executor.status(NOW), {
        let raw = raw::Status { refresh_ms: 1, ..run.executor.raw_status(NOW) };
        run.executor.sign(Kind::Status, Role::Status, &raw)
    });
    let proof = Proof::Statuses { first: first.clone(), second: second.clone() };
    Honest {
        executor: run.executor.view(),
        caller: run.caller.view(),
        federation,
        federation_envelope,
        operation: operation.to_bytes(),
        stream: run.events().iter().flat_map(Event::to_bytes).collect(),
        transcript: file(&export(&run.export()).unwrap()),
        evidence: evidence(&run.executor.roots, &[], proof).unwrap(),
        statuses: [first, second],
        run,
    }
}

fn file(lines: &[String]) -> Vec<u8> {
    lines.iter().flat_map(|line| format!("{line}\n").into_bytes()).collect()
}

fn federation(run: &Run) -> Federation {
    let mut draft = FederationDraft::first(run.executor.id());
    draft.put_peer(Peer {
        alias: Alias::new("a").unwrap(),
        endpoints: Vec::new(),
        genesis: run.caller.chain.genesis_digest(),
        gid: run.caller.id(),
        grants: vec![Grant {
            agents: [AgentName::new("triage").unwrap()].into(),
            approval: None,
            asks: [Ask::Prompt].into(),
            bytes_max: None,
            concurrent_max: None,
            cost_micro_usd_per_day: None,
            deadline_ms_max: 600_000,
            disclose: Disclose {
                output: Disclosure::Full,
                tool_args: Disclosure::Full,
                tool_results: Disclosure::Full,
            },
            frames_max: None,
            local: TenantId::new("ops").unwrap(),
            modes: [Mode::Session].into(),
            remote: TenantId::new("acme").unwrap(),
            starts_per_second: None,
            tokens_per_day: None,
            tools: [].into(),
        }],
        min_root_version: 1,
        projections: Vec::new(),
        status: PeerStatus::Active,
    });
    draft.finish(NOW).unwrap()
}

/// Everything between the bytes of an operation and the store.
pub(crate) fn admit(route: Op, bytes: &[u8]) -> Result<Admitted, Box<Refused>> {
    let honest = honest();
    let own: GatewayId = honest.run.executor.id();
    let peers: BTreeMap<_, _> = [(honest.run.caller.id(), honest.caller.clone())].into();
    let gate = Gate {
        own: &own,
        min_proto: 1,
        issued: Seen { n: 1, seq: NOW.0.unsigned_abs() },
        federation: Some(&honest.federation),
        peers: &peers,
        quarantined: &BTreeSet::new(),
        keeps_keys: &|_| false,
        now: NOW,
    };
    gate.open(route, bytes)
}

#[cfg(test)]
mod tests {
    use landbridge_proto::machine::receive::Reception;
    use landbridge_proto::machine::{evidence, transcript};

    use super::*;

    #[test]
    fn what_is_honest_is_accepted_by_every_reader() {
        let honest = honest();
        let own = honest.run.executor.id();
        let verdict = transcript::verify(&honest.transcript, &own);
        assert_eq!(verdict.outcome, transcript::Outcome::Verified);
        let verdict = evidence::verify(honest.evidence.as_bytes(), &own);
        assert_eq!(verdict.outcome, evidence::Outcome::Proven);
        assert!(admit(Op::Start, &honest.operation).is_ok());
        let mut reception = Reception::start(&honest.run.accept);
        for (at, (_, seal)) in honest.run.seals.iter().enumerate() {
            let lines = honest.run.batch(at).to_vec();
            reception.take(&honest.executor, lines, seal, NOW.plus_ms(10_000)).unwrap();
        }
    }
}
