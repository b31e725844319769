//! Requests: what a receiver knows, and the body of an operation, up to what a start's key means.

use std::collections::{BTreeMap, BTreeSet};

use landbridge_proto::machine::admission::{Gate, Memory, StartDecision, judge_start, print_of};
use landbridge_proto::machine::contract::KeyRecord;
use landbridge_proto::trust::federation::TrustedFederation;
use landbridge_proto::trust::peer::PeerView;
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::Incarnation;
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::name::{
    GatewayId, IdempotencyKey, Owner, RunId, TenantPair, Timestamp,
};
use landbridge_proto::wire::request::{Body, Op};
use serde::Deserialize;

use crate::folder::{Judged, Vector, chain_of, envelopes, judge_all};

/// A peer as it is known.
#[derive(Deserialize)]
struct Known {
    gateway: GatewayId,
    roots: Vec<Envelope>,
    status: Envelope,
    at: Timestamp,
}

/// A key that is kept: bound to a run, or blocked.
#[derive(Deserialize)]
struct Kept {
    caller: GatewayId,
    tenant: TenantPair,
    key: IdempotencyKey,
    run: Option<RunId>,
    print: Option<Digest>,
    blocked: Option<Timestamp>,
}

impl Kept {
    fn owner(&self) -> Owner {
        Owner { caller: self.caller.clone(), tenant: self.tenant.clone() }
    }

    fn record(&self) -> KeyRecord {
        match (&self.run, self.print, self.blocked) {
            (Some(run), Some(print), None) => KeyRecord::Run { run: run.clone(), print },
            (None, None, Some(at)) => KeyRecord::Blocked { at },
            _ => panic!("a key is bound or blocked"),
        }
    }
}

fn judge(vector: &Vector) -> Judged {
    let now = vector.time("now");
    let own = chain_of(&envelopes(vector.raw("roots")), now);
    let federation = TrustedFederation::open(&vector.get("federation"), &own, 1, now).unwrap();
    let federation = federation.with_memberships(&envelopes(vector.raw("memberships")), now);
    let peers: BTreeMap<_, _> = vector
        .get::<Vec<Known>>("peers")
        .into_iter()
        .map(|known| {
            let view = PeerView::new(chain_of(&known.roots, known.at));
            (known.gateway, view.with_status(&known.status, known.at).unwrap())
        })
        .collect();
    let keys: Vec<Kept> = vector.get("keys");
    let gate = Gate {
        own: own.gateway(),
        min_proto: own.root().min_proto,
        issued: vector.get("issued"),
        federation: Some(&federation),
        peers: &peers,
        quarantined: &BTreeSet::new(),
        keeps_keys: &|owner| keys.iter().any(|kept| kept.owner() == *owner),
        now,
    };
    let route: Op = vector.get("route");
    let admitted = match gate.open(route, vector.text("body").as_bytes()) {
        Ok(admitted) => admitted,
        Err(refused) => {
            let phases: &[_] = match refused.authenticated {
                Some(_) => &["request"],
                None => {
                    &["body", "envelope", "signature", "json", "payload", "root", "status", "party"]
                }
            };
            return Judged::told("refused", refused.problem.code(), refused.story).in_phase(phases);
        }
    };
    let Body::Start(start) = &admitted.request().value().body else {
        return Judged::accepted();
    };
    let (print, _) = print_of(start).unwrap();
    let kept = keys
        .iter()
        .find(|kept| kept.owner() == *admitted.owner() && kept.key == start.idempotency_key);
    let Incarnation { n, since } = vector.get("incarnation");
    let memory = Memory { key_window_ms: vector.get("key_window_ms"), incarnation: n, since };
    let record = kept.map(Kept::record);
    match judge_start(start, &print, record, admitted.grant(), memory, now) {
        StartDecision::Create => Judged::accepted(),
        StartDecision::Attach(_) => Judged::told("known", None, String::new()),
        StartDecision::Refuse(problem) => {
            Judged::told("refused", problem.code(), String::new()).in_phase(&["key"])
        }
    }
}

#[test]
fn every_request_is_judged_as_it_must() {
    judge_all("requests", 270, judge);
}
