//! The gate before the store: one refusal for each check, in the order of the specification.
//!
//! Each refusal says its code, whether the sender is authenticated by then, and that nothing was learned
//! that did not verify; and the request that it was made from, unchanged, is admitted.

use std::collections::{BTreeMap, BTreeSet};

use landbridge_proto::machine::admission::{Admitted, Gate, Refused, seen_of};
use landbridge_proto::machine::operation::Operation;
use landbridge_proto::trust::federation::{FederationDraft, TrustedFederation};
use landbridge_proto::trust::peer::PeerView;
use landbridge_proto::trust::signer::sign_typed;
use landbridge_proto::wire::document::{
    Ask, Disclose, Disclosure, Grant, Mode, Peer, PeerStatus, Revocation, RevocationReason, raw,
};
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::kind::{Kind, Role};
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{
    AgentName, Alias, GatewayId, Owner, RunId, TenantId, TenantPair, Timestamp,
};
use landbridge_proto::wire::problem::Code;
use landbridge_proto::wire::request::{Body, Op, Request, Target};
use landbridge_proto::wire::stream::Seen;

use crate::gateway::{Gateway, NOW};
use crate::run::{request_of, start, tenants};

/// B, and what it knows of A.
pub(crate) struct World {
    a: Gateway,
    b: Gateway,
    federation: Option<TrustedFederation>,
    peers: BTreeMap<GatewayId, PeerView>,
}

pub(crate) fn grant() -> Grant {
    Grant {
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
    }
}

impl World {
    fn new() -> Self {
        Self::with(PeerStatus::Active, 1)
    }

    fn with(status: PeerStatus, min_root_version: u64) -> Self {
        let (a, b) = (Gateway::new(1), Gateway::new(21));
        let mut draft = FederationDraft::first(b.id());
        draft.put_peer(Peer {
            projections: Vec::new(),
            alias: Alias::new("a").unwrap(),
            endpoints: Vec::new(),
            genesis: a.chain.genesis_digest(),
            gid: a.id(),
            grants: vec![grant()],
            min_root_version,
            status,
        });
        let document = draft.finish(NOW).unwrap();
        let envelope = sign_typed(&b.signer(Role::Policy), &document).unwrap();
        let federation = TrustedFederation::open(&envelope, &b.chain, 1, NOW).unwrap();
        let peers = [(a.id(), a.view())].into();
        Self { a, b, federation: Some(federation), peers }
    }

    fn open_at(&self, now: Timestamp, bytes: &[u8]) -> Result<Admitted, Box<Refused>> {
        let own = self.b.id();
        let gate = Gate {
            own: &own,
            min_proto: 1,
            issued: Seen { n: 1, seq: NOW.0.unsigned_abs() },
            federation: self.federation.as_ref(),
            peers: &self.peers,
            quarantined: &BTreeSet::new(),
            keeps_keys: &|_| false,
            now,
        };
        gate.open(Op::Start, bytes)
    }

    fn open(&self, bytes: &[u8]) -> Result<Admitted, Box<Refused>> {
        self.open_at(NOW, bytes)
    }

    fn said(&self) -> Request {
        request_of(&self.a, &self.b, Body::Start(Box::new(start())))
    }

    fn request(&self, change: impl FnOnce(&mut Request)) -> Envelope {
        let mut said = self.said();
        change(&mut said);
        sign_typed(&self.a.signer(Role::Request), &said).unwrap()
    }

    fn operation(&self, change: impl FnOnce(&mut Request)) -> Vec<u8> {
        body(None, self.a.status(NOW), self.request(change))
    }

    /// Asserts a refusal of an authenticated request, before which nothing was new.
    #[track_caller]
    fn refuses(&self, code: Code, change: impl FnOnce(&mut Request)) {
        self.open(&self.operation(|_| ())).unwrap();
        let refused = self.open(&self.operation(change)).unwrap_err();
        assert_eq!(refused.problem.code(), Some(code), "{}", refused.story);
        let (peer, _) = refused.authenticated.as_ref().expect("authenticated");
        assert_eq!(*peer, self.a.id());
        learned_nothing(&refused);
    }

    /// Asserts a refusal before anybody is authenticated, and that nothing was learned.
    #[track_caller]
    fn turns_away(&self, code: Code, bytes: &[u8]) -> Box<Refused> {
        let refused = self.open(bytes).unwrap_err();
        assert_eq!(refused.problem.code(), Some(code), "{}", refused.story);
        assert!(refused.authenticated.is_none());
        learned_nothing(&refused);
        refused
    }
}

#[track_caller]
fn learned_nothing(refused: &Refused) {
    let learned = &refused.learned;
    assert!(learned.view.is_none() && learned.status.is_none() && learned.roots.is_empty());
}

fn body(roots: Option<Vec<Envelope>>, status: Envelope, request: Envelope) -> Vec<u8> {
    Operation { roots, status, request, held: None }.to_bytes()
}

/// The envelope with one bit of its last signature changed.
fn forged(envelope: &Envelope) -> Envelope {
    let text = String::from_utf8(envelope.to_bytes()).unwrap();
    let at = text.rfind("\"sig\":\"").unwrap() + 7;
    let (head, tail) = text.split_at(at);
    let first = if tail.starts_with('A') { "B" } else { "A" };
    Envelope::parse(format!("{head}{first}{}", &tail[1..]).as_bytes()).unwrap()
}

//= REQ-9
#[test]
fn an_honest_request_is_admitted_and_teaches_nothing_new() {
    let world = World::new();
    let admitted = world.open(&world.operation(|_| ())).unwrap();
    assert_eq!(admitted.owner().caller, world.a.id());
    assert_eq!(admitted.owner().tenant, tenants());
    assert_eq!(admitted.grant(), Some(&grant()));
    assert_eq!(admitted.request().value(), &world.said());
    assert!(admitted.learned().view.is_none() && admitted.learned().status.is_none());
}

//= REQ-10
#[test]
fn newer_roots_and_statuses_are_learned_also_when_a_later_check_fails() {
    let world = World::new();
    let newer = world.a.rotated(Role::Status, NOW.plus_ms(1));
    let status = newer.status(NOW.plus_ms(2));
    let roots = Some(newer.roots[1..].to_vec());
    let request = |aud: GatewayId| world.request(|said| said.aud = aud);
    let open =
        |request| world.open_at(NOW.plus_ms(3), &body(roots.clone(), status.clone(), request));

    let admitted = open(request(world.b.id())).unwrap();
    assert_eq!(admitted.learned().roots, newer.roots[1..]);
    assert_eq!(admitted.learned().status.as_ref(), Some(&status));
    assert_eq!(admitted.learned().view.as_ref().unwrap().chain().version(), 2);

    let refused = open(request(world.a.id())).unwrap_err();
    assert_eq!(refused.learned.roots, newer.roots[1..]);
    assert_eq!(refused.learned.status.as_ref(), Some(&status));

    // A status that does not verify is not learned; the roots before it are.
    let bytes = body(roots.clone(), forged(&status), request(world.b.id()));
    let refused = world.open_at(NOW.plus_ms(3), &bytes).unwrap_err();
    assert_eq!(refused.learned.roots, newer.roots[1..]);
    assert!(refused.learned.status.is_none());
}

//= REQ-1
#[test]
fn another_shape_of_the_body_is_malformed() {
    let world = World::new();
    let honest = String::from_utf8(world.operation(|_| ())).unwrap();
    world.open(honest.as_bytes()).unwrap();
    let (status, request) = honest.split_once(",\"request\":").unwrap();
    let others = [
        format!("{honest} "),
        honest.replacen(':', ": ", 1),
        honest.replacen('{', "{\"roots\":[],", 1),
        honest.replacen('{', "{\"token\":\"t\",", 1),
        format!("{{\"request\":{},{}}}", &request[..request.len() - 1], &status[1..]),
        format!("{}}}", status),
        String::new(),
    ];
    for other in others {
        world.turns_away(Code::Malformed, other.as_bytes());
    }
}

//= REQ-2
#[test]
fn a_body_beyond_the_limit_is_too_large() {
    let world = World::new();
    world.turns_away(Code::TooLarge, &vec![b' '; limit::OPERATION_BYTES_MAX + 1]);
    world.turns_away(Code::Malformed, &vec![b' '; limit::OPERATION_BYTES_MAX]);
}

//= ENV-7
#[test]
fn a_document_beyond_the_limit_is_too_large() {
    let world = World::new();
    let big = "x".repeat(limit::DOCUMENT_BYTES_MAX);
    let status = world.a.sign(Kind::Status, Role::Status, &big);
    world.turns_away(Code::TooLarge, &body(None, status, world.request(|_| ())));
    world.open(&world.operation(|_| ())).unwrap();
}

//= ENV-8
//= REQ-10
#[test]
fn an_envelope_of_another_kind_fails_before_anything_is_learned() {
    let world = World::new();
    let newer = world.a.rotated(Role::Stream, NOW);
    let roots = Some(newer.roots[1..].to_vec());
    let status = newer.status(NOW.plus_ms(1));
    let receipt = world.a.sign(Kind::Receipt, Role::Request, &world.said());
    world.turns_away(Code::VerificationFailed, &body(roots.clone(), status.clone(), receipt));
    let request = world.request(|_| ());
    let other = body(roots.clone(), request.clone(), request.clone());
    world.turns_away(Code::VerificationFailed, &other);
    let other = body(Some(vec![status.clone()]), status.clone(), request.clone());
    world.turns_away(Code::VerificationFailed, &other);
    world.open_at(NOW.plus_ms(2), &body(roots, status, request)).unwrap();
}

//= ID-27
//= PRB-4
#[test]
fn strangers_are_told_the_same_whatever_is_not_known_of_them() {
    let bytes = World::new().operation(|_| ());
    let mut stranger = World::new();
    stranger.federation = None;
    let one = stranger.turns_away(Code::VerificationFailed, &bytes);
    let mut unknown = World::new();
    unknown.peers.clear();
    assert_eq!(unknown.turns_away(Code::VerificationFailed, &bytes).problem, one.problem);
}

//= ID-5
//= ID-6
#[test]
fn a_chain_that_does_not_hold_is_not_walked() {
    let world = World::new();
    let second = world.a.rotated(Role::Root, NOW);
    let third = second.rotated(Role::Stream, NOW);
    let status = third.status(NOW);
    for roots in [
        vec![third.roots[2].clone()],
        vec![third.roots[2].clone(), third.roots[1].clone()],
        vec![forged(&third.roots[1]), third.roots[2].clone()],
        vec![Gateway::new(1).rotated(Role::Stream, NOW).roots[1].clone(), third.roots[2].clone()],
    ] {
        let bytes = body(Some(roots), status.clone(), world.request(|_| ()));
        world.turns_away(Code::VerificationFailed, &bytes);
    }
    let roots = Some(third.roots[1..].to_vec());
    world.open(&body(roots, third.status(NOW.plus_ms(1)), world.request(|_| ()))).unwrap();
}

//= ID-10
#[test]
fn more_roots_than_an_update_may_bring_are_too_large() {
    let world = World::new();
    let roots = |count| Some(vec![world.a.roots[0].clone(); count]);
    let bytes = |count| body(roots(count), world.a.status(NOW), world.request(|_| ()));
    world.open(&bytes(limit::ROOT_STEPS_MAX)).unwrap();
    world.turns_away(Code::TooLarge, &bytes(limit::ROOT_STEPS_MAX + 1));
}

//= ID-15
#[test]
fn a_status_of_a_root_that_is_not_known_asks_for_it() {
    let world = World::new();
    for role in [Role::Stream, Role::Status] {
        let newer = world.a.rotated(role, NOW);
        let bytes = body(None, newer.status(NOW.plus_ms(1)), world.request(|_| ()));
        let refused = world.turns_away(Code::RootUnknown, &bytes);
        assert_eq!(refused.problem.have, Some(1));
    }
}

//= ID-15
//= ID-30
#[test]
fn a_status_signed_by_another_gateway_is_refused() {
    let world = World::new();
    let other = Gateway::new(61);
    let raw = raw::Status { iss: world.a.id(), ..other.raw_status(NOW.plus_ms(1)) };
    let status = other.sign(Kind::Status, Role::Status, &raw);
    let bytes = body(None, status, world.request(|_| ()));
    world.turns_away(Code::VerificationFailed, &bytes);
    // And what the other one says of itself vouches for no request of A.
    let other = body(None, other.status(NOW.plus_ms(1)), world.request(|_| ()));
    world.turns_away(Code::VerificationFailed, &other);
    world.open(&body(None, world.a.status(NOW.plus_ms(1)), world.request(|_| ()))).unwrap();
}

//= ID-16
//= ID-21
#[test]
fn an_expired_status_is_stale() {
    let world = World::new();
    let status = world.a.status(NOW);
    let ends = world.a.raw_status(NOW).expires;
    let request = world.request(|said| {
        said.iat = ends;
        said.exp = ends.plus_ms(1000);
    });
    let bytes = body(None, status, request);
    world.open_at(ends.plus_ms(-1), &bytes).unwrap();
    let refused = world.open_at(ends, &bytes).unwrap_err();
    assert_eq!(refused.problem.code(), Some(Code::StatusStale));
    learned_nothing(&refused);
}

//= ID-17
#[test]
fn a_status_of_the_future_is_refused() {
    let world = World::new();
    let at = |ms| body(None, world.a.status(NOW.plus_ms(ms)), world.request(|_| ()));
    world.open(&at(limit::CLOCK_SKEW_MS_MAX)).unwrap();
    world.turns_away(Code::VerificationFailed, &at(limit::CLOCK_SKEW_MS_MAX + 1));
}

//= ID-18
//= ID-19
#[test]
fn an_older_status_is_stale_and_a_second_one_with_its_number_is_refused() {
    let world = World::new();
    let older = body(None, world.a.status(NOW.plus_ms(-1)), world.request(|_| ()));
    world.turns_away(Code::StatusStale, &older);
    let raw = raw::Status { refresh_ms: 1, ..world.a.raw_status(NOW) };
    let second = world.a.sign(Kind::Status, Role::Status, &raw);
    let bytes = body(None, second.clone(), world.request(|_| ()));
    let refused = world.open(&bytes).unwrap_err();
    assert_eq!(refused.problem.code(), Some(Code::VerificationFailed));
    assert!(refused.authenticated.is_none());
    // It is handed on: together with the first it speaks against its signer.
    assert_eq!(refused.learned.status.unwrap().digest(), second.digest());
    for ms in [0, 1] {
        let bytes = body(None, world.a.status(NOW.plus_ms(ms)), world.request(|_| ()));
        world.open(&bytes).unwrap();
    }
}

//= ID-31
#[test]
fn a_root_before_the_agreed_one_is_not_enough() {
    let world = World::with(PeerStatus::Active, 2);
    let refused = world.turns_away(Code::RootUnknown, &world.operation(|_| ()));
    assert_eq!(refused.problem.have, Some(1));
    let newer = world.a.rotated(Role::Stream, NOW);
    let roots = Some(newer.roots[1..].to_vec());
    let bytes = body(roots, newer.status(NOW.plus_ms(1)), world.request(|_| ()));
    world.open(&bytes).unwrap();
}

//= ENV-9
//= ENV-10
#[test]
fn a_request_by_another_role_or_with_a_forged_signature_is_refused() {
    let world = World::new();
    let status = world.a.status(NOW);
    let wrong = world.a.sign(Kind::Request, Role::Stream, &world.said());
    world.turns_away(Code::VerificationFailed, &body(None, status.clone(), wrong));
    let forged = forged(&world.request(|_| ()));
    world.turns_away(Code::VerificationFailed, &body(None, status.clone(), forged));
    world.open(&body(None, status, world.request(|_| ()))).unwrap();
}

//= ID-22
#[test]
fn a_key_that_the_stapled_status_revokes_signs_nothing() {
    let world = World::new();
    let kid = world.a.kid(Role::Request);
    let one = Revocation { kid, reason: RevocationReason::Compromised, since: NOW };
    let status = world.a.status_revoking(NOW.plus_ms(1), vec![one]);
    let silent = world.a.status(NOW.plus_ms(1));
    world.open(&body(None, silent, world.request(|_| ()))).unwrap();
    let bytes = body(None, status.clone(), world.request(|_| ()));
    let refused = world.open(&bytes).unwrap_err();
    assert_eq!(refused.problem.code(), Some(Code::VerificationFailed));
    assert!(refused.authenticated.is_none());
    assert_eq!(refused.learned.status, Some(status), "the revocation itself is kept");
}

//= ENV-19
#[test]
fn a_signed_payload_of_another_form_is_malformed() {
    let world = World::new();
    let with = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut value = serde_json::to_value(world.said()).unwrap();
        change(&mut value);
        let request = world.a.sign(Kind::Request, Role::Request, &value);
        body(None, world.a.status(NOW), request)
    };
    world.open(&with(&|_| ())).unwrap();
    for unknown in ["admin", "__proto__", "constructor", "jwk", "kid"] {
        world.turns_away(Code::Malformed, &with(&|said| said[unknown] = true.into()));
    }
    // What is malformed is not taken for absent, and nothing that decides may be absent.
    for needed in ["exp", "iat", "aud", "iss", "tenant", "jti", "proto"] {
        let absent =
            |said: &mut serde_json::Value| drop(said.as_object_mut().unwrap().remove(needed));
        world.turns_away(Code::Malformed, &with(&absent));
        world.turns_away(Code::Malformed, &with(&|said| said[needed] = "soon".into()));
        world.turns_away(Code::Malformed, &with(&|said| said[needed] = serde_json::Value::Null));
    }
    let aud = world.b.id().to_string();
    let others: [serde_json::Value; 4] = [
        serde_json::json!([aud]),
        format!("https://{aud}").into(),
        aud.to_uppercase().into(),
        "b".into(),
    ];
    for other in others {
        world.turns_away(Code::Malformed, &with(&|said| said["aud"] = other.clone()));
    }
}

//= REQ-8
#[test]
fn a_start_asks_for_one_thing_and_names_a_session_where_its_mode_has_one() {
    let world = World::new();
    let with = |change: fn(&mut serde_json::Value)| {
        let mut value = serde_json::to_value(world.said()).unwrap();
        change(&mut value["body"]);
        let request = world.a.sign(Kind::Request, Role::Request, &value);
        body(None, world.a.status(NOW), request)
    };
    world.open(&with(|_| ())).unwrap();
    let changes: [fn(&mut serde_json::Value); 4] = [
        |start| drop(start.as_object_mut().unwrap().remove("prompt")),
        |start| start["approvalGrant"] = "{}".into(),
        |start| start["agentTarget"]["mode"] = "turn".into(),
        |start| start["agentTarget"]["session"] = "s-1".into(),
    ];
    for change in changes {
        world.turns_away(Code::Malformed, &with(change));
    }
}

//= ENV-19
#[test]
fn what_a_start_claims_has_its_length() {
    let world = World::new();
    let with = |member: &'static str, length: usize| {
        let mut value = serde_json::to_value(world.said()).unwrap();
        value["body"]["remoteRunId"] = "x".into();
        *value["body"].pointer_mut(member).unwrap() = "x".repeat(length).into();
        let request = world.a.sign(Kind::Request, Role::Request, &value);
        body(None, world.a.status(NOW), request)
    };
    for member in ["/callerIdentity/principal", "/remoteRunId"] {
        world.open(&with(member, limit::CLAIM_BYTES_MAX)).unwrap();
        world.turns_away(Code::Malformed, &with(member, limit::CLAIM_BYTES_MAX + 1));
    }
}

//= REQ-40
#[test]
fn a_tool_call_is_one_object_of_arguments_in_a_session_of_its_own() {
    let world = World::new();
    let with = |args: serde_json::Value, change: fn(&mut serde_json::Value)| {
        let mut value = serde_json::to_value(world.said()).unwrap();
        let start = value["body"].as_object_mut().unwrap();
        drop(start.remove("prompt"));
        start.insert("toolCall".to_owned(), serde_json::json!({"args": args, "tool": "search"}));
        change(&mut value["body"]);
        let request = world.a.sign(Kind::Request, Role::Request, &value);
        body(None, world.a.status(NOW), request)
    };
    world.open(&with(r#"{"query": "x", "n": 0.5}"#.into(), |_| ())).unwrap();
    for bad in ["", "[]", "null", "{", r#"{"a":1,"a":2}"#, r#"{"a":{"b":1,"b":1}}"#, "{}{}"] {
        world.turns_away(Code::Malformed, &with(bad.into(), |_| ()));
    }
    world.turns_away(Code::Malformed, &with(serde_json::json!({}), |_| ()));
    let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(limit::TOOL_ARGS_BYTES_MAX));
    world.turns_away(Code::Malformed, &with(long.into(), |_| ()));
    let in_session = |start: &mut serde_json::Value| {
        start["agentTarget"]["mode"] = "turn".into();
        start["agentTarget"]["session"] = "s-1".into();
    };
    world.turns_away(Code::Malformed, &with("{}".into(), in_session));
}

//= REQ-11
//= PRB-4
#[test]
fn a_request_of_or_for_another_gateway_is_refused() {
    let world = World::new();
    let other = Gateway::new(61).id();
    let (iss, aud) = (other.clone(), other);
    world.turns_away(Code::VerificationFailed, &world.operation(|said| said.iss = iss));
    world.turns_away(Code::VerificationFailed, &world.operation(|said| said.aud = aud));
    // What A asked of B is no request of B: nobody can send it back.
    let back = world.operation(|said| std::mem::swap(&mut said.aud, &mut said.iss));
    world.turns_away(Code::VerificationFailed, &back);
    world.open(&world.operation(|_| ())).unwrap();
}

//= REQ-12
#[test]
fn an_operation_on_another_route_is_malformed() {
    let run = RunId::new("run-abcdefghijklmnopqrstuvwxyz").unwrap();
    World::new().refuses(Code::Malformed, |said| said.body = Body::Inspect(Target::Run(run)));
}

//= ID-61
#[test]
fn a_revoked_peer_is_told_so_once_it_is_certain_that_it_asks() {
    let world = World::with(PeerStatus::Revoked, 1);
    let refused = world.open(&world.operation(|_| ())).unwrap_err();
    assert_eq!(refused.problem.code(), Some(Code::PeerRevoked));
    assert!(refused.authenticated.is_some());
    learned_nothing(&refused);
    let mut forged = world.operation(|_| ());
    let at = forged.len() / 2;
    forged[at] ^= 1;
    assert!(world.open(&forged).unwrap_err().authenticated.is_none());
}

#[test]
fn a_suspended_peer_is_told_so() {
    let world = World::with(PeerStatus::Suspended, 1);
    let refused = world.open(&world.operation(|_| ())).unwrap_err();
    assert_eq!(refused.problem.code(), Some(Code::PeerSuspended));
    assert!(refused.authenticated.is_some());
    learned_nothing(&refused);
    // Its positive twin: the same peer, not suspended.
    let world = World::with(PeerStatus::Active, 1);
    assert!(world.open(&world.operation(|_| ())).is_ok());
}

//= REQ-13
#[test]
fn a_tenant_pair_that_is_not_listed_is_not_granted() {
    let tenant = |name| TenantId::new(name).unwrap();
    for (src, dst) in [("acme", "finance"), ("other", "ops"), ("ops", "acme"), ("acme", "ops2")] {
        let pair = TenantPair { dst: tenant(dst), src: tenant(src) };
        World::new().refuses(Code::NotGranted, |said| said.tenant = pair);
    }
}

//= REQ-13
#[test]
fn a_tenant_pair_whose_keys_are_kept_is_admitted_without_a_grant() {
    let world = World::new();
    let own = world.b.id();
    let tenant = |name| TenantId::new(name).unwrap();
    let pair = TenantPair { dst: tenant("finance"), src: tenant("acme") };
    let kept = Owner { caller: world.a.id(), tenant: pair.clone() };
    let gate = Gate {
        own: &own,
        min_proto: 1,
        issued: Seen { n: 1, seq: NOW.0.unsigned_abs() },
        federation: world.federation.as_ref(),
        peers: &world.peers,
        quarantined: &BTreeSet::new(),
        keeps_keys: &|owner| *owner == kept,
        now: NOW,
    };
    let operation = world.operation(|said| said.tenant = pair.clone());
    let admitted = gate.open(Op::Start, &operation).unwrap();
    assert_eq!((admitted.owner(), admitted.grant()), (&kept, None));
    let other = TenantPair { dst: tenant("finance"), src: tenant("other") };
    let operation = world.operation(|said| said.tenant = other.clone());
    let refused = gate.open(Op::Start, &operation).unwrap_err();
    assert_eq!(refused.problem.code(), Some(Code::NotGranted));
}

//= REQ-14
#[test]
fn a_request_outside_the_clocks_tolerance_is_skewed() {
    let world = World::new();
    let at = |iat: i64, exp: i64| {
        move |said: &mut Request| {
            said.iat = NOW.plus_ms(iat);
            said.exp = NOW.plus_ms(exp);
        }
    };
    let max = limit::CLOCK_SKEW_MS_MAX;
    world.open(&world.operation(at(max, max + 1))).unwrap();
    world.open(&world.operation(at(-max - 1, -max))).unwrap();
    world.refuses(Code::ClockSkew, at(max + 1, max + 2));
    world.refuses(Code::ClockSkew, at(-max - 2, -max - 1));
}

//= REQ-15
#[test]
fn a_request_lives_1_to_300000_ms() {
    let world = World::new();
    let life = |ms: i64| move |said: &mut Request| said.exp = said.iat.plus_ms(ms);
    world.open(&world.operation(life(1))).unwrap();
    world.open(&world.operation(life(limit::REQUEST_LIFE_MS_MAX))).unwrap();
    for ms in [0, -1, limit::REQUEST_LIFE_MS_MAX + 1] {
        world.refuses(Code::Malformed, life(ms));
    }
}

//= REQ-16
#[test]
fn a_request_in_no_spoken_version_is_unsupported() {
    let world = World::new();
    world.open(&world.operation(|said| said.proto = vec![1, 2])).unwrap();
    world.refuses(Code::ProtocolUnsupported, |said| said.proto = vec![2, 3]);
    let own = world.b.id();
    let gate = Gate {
        own: &own,
        min_proto: 2,
        issued: Seen { n: 1, seq: NOW.0.unsigned_abs() },
        federation: world.federation.as_ref(),
        peers: &world.peers,
        quarantined: &BTreeSet::new(),
        keeps_keys: &|_| false,
        now: NOW,
    };
    let refused = gate.open(Op::Start, &world.operation(|_| ())).unwrap_err();
    assert_eq!(refused.problem.code(), Some(Code::ProtocolUnsupported));
}

//= ID-41
#[test]
fn a_bridge_that_is_shown_more_than_it_remembers_was_rolled_back() {
    let known = Seen { n: 1, seq: NOW.0.unsigned_abs() };
    let world = World::new();
    world.open(&world.operation(|said| said.seen = known)).unwrap();
    for nothing in [Seen::default(), Seen { n: 9, seq: 0 }] {
        world.open(&world.operation(|said| said.seen = nothing)).unwrap();
    }
    for seen in [Seen { seq: known.seq + 1, ..known }, Seen { n: 2, seq: 1 }] {
        world.refuses(Code::RolledBack, |said| said.seen = seen);
    }
}

#[test]
fn what_a_status_lets_others_have_seen_is_its_incarnation_and_number() {
    let view = World::new().a.view();
    let status = view.status().unwrap().newest().value();
    assert_eq!(seen_of(status), Seen { n: 1, seq: NOW.0.unsigned_abs() });
}
