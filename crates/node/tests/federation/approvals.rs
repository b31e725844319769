//! Approvals, both directions: who is asked, whose word counts, and that nothing happens before it does.

use landbridge_node::bridge::Principal;
use landbridge_node::local::api::{ApprovalView, AskApproval};
use landbridge_node::operators::credential;
use landbridge_proto::machine::contract::{
    ApprovalFilter, ApprovalRow, ApprovalSide, ApprovalState, CatalogRow, EntryRow, Write,
};
use landbridge_proto::machine::step::Step;
use landbridge_proto::trust::approval::sign_file;
use landbridge_proto::trust::key::SecretKey;
use landbridge_proto::trust::signer::KeySigner;
use landbridge_proto::wire::approval::{
    Approval, ApprovalRule, ApprovalTenants, Assurance, Catalog, Constraints, KeyMethod, Operator,
    OperatorKey, Projection, Scope, SignedApproval, Vote, raw,
};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::{FormVersion, Grant, Peer};
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::kind::SignedBy;
use landbridge_proto::wire::name::{
    ApprovalId, OperatorName, RunId, ScopeName, SubjectKind, TenantPair,
};
use landbridge_proto::wire::problem::Code;
use landbridge_proto::wire::request::Ask;
use landbridge_proto::wire::stream::Frame;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::support::{NOW, Side, World, grant, pair, tenant};

const ALICE: u8 = 1;
const BOB: u8 = 2;
/// What waits, for a minute.
const WAITS: &str = "say before\napproval exec 60000 systemctl restart web\nsay after";

fn lead() -> ScopeName {
    ScopeName::new("sre-lead").unwrap()
}

fn scope(description: &str, min_signers: u32) -> Scope {
    Scope {
        assurance: Assurance { methods: KeyMethod::ALL.into(), min_signers },
        deprecated: false,
        description: description.to_owned(),
        name: lead(),
    }
}

fn signer(seed: u8) -> KeySigner {
    KeySigner::new(SecretKey::from_seed(&Zeroizing::new([seed; 32])), SignedBy::Operator)
}

fn operator(name: &str, of: &str, seeds: &[u8]) -> Operator {
    let key = |seed: &u8| {
        let secret = SecretKey::from_seed(&Zeroizing::new([*seed; 32]));
        OperatorKey::try_from(OperatorKey::ed25519(KeyMethod::File, &secret.public(), None))
            .unwrap()
    };
    Operator {
        keys: seeds.iter().map(key).collect(),
        name: OperatorName::new(name).unwrap(),
        scopes: [lead()].into(),
        tenant: tenant(of),
    }
}

fn projection(local: &str, remote: &str) -> Projection {
    Projection {
        constraints: Constraints {
            max_ttl_ms: 600_000,
            methods: KeyMethod::ALL.into(),
            min_signers: 1,
            observed: false,
            subject_kinds: [SubjectKind::new("exec").unwrap()].into(),
        },
        entry: scope("Leads an incident.", 1).entry().unwrap(),
        exp: NOW.plus_ms(24 * 3_600_000),
        local: tenant(local),
        local_scope: lead(),
        nbf: NOW,
        remote: tenant(remote),
        remote_scope: lead(),
    }
}

/// Publishes a catalog of one scope.
async fn publish(side: &Side, of: &str, version: u64, scope: Scope) {
    let now = side.core.now();
    let catalog = Catalog::try_from(raw::Catalog {
        expires: now.plus_ms(12 * 3_600_000),
        iss: side.core.own().clone(),
        issued: now,
        scopes: vec![scope],
        tenant: tenant(of),
        v: FormVersion,
        version,
    });
    let envelope = side.core.identity.present().sign(&catalog.unwrap(), now).unwrap();
    let envelope = String::from_utf8(envelope.to_bytes()).unwrap();
    let (gateway, tenant) = (side.core.own().clone(), tenant(of));
    let row = CatalogRow { gateway, tenant, version, envelope, at: now };
    side.core.commit(Step::new(Vec::new(), vec![Write::PutCatalog(row)], ())).await.unwrap();
}

fn approving(quorum: u32) -> Grant {
    Grant {
        approval: Some(ApprovalRule { quorum, scope: lead() }),
        asks: [Ask::Prompt, Ask::ApprovalGrant, Ask::ApprovalRequest].into(),
        ..grant()
    }
}

/// B relies on operators of A, as the grant and the projections say.
async fn world(granted: Grant, projections: Vec<Projection>) -> World {
    served(granted, projections).await.0
}

/// As [`world`], and what ends B's listener.
async fn served(
    granted: Grant,
    projections: Vec<Projection>,
) -> (World, tokio_util::sync::CancellationToken) {
    let world = World::new().await;
    let stop = serve(&world);
    for side in [&world.a, &world.b] {
        tokio::spawn(landbridge_node::approvals::watch(std::sync::Arc::clone(&side.core)));
    }
    publish(&world.a, "acme", 1, scope("Leads an incident.", 1)).await;
    let mut draft = world.a.draft();
    draft.put_operator(operator("alice", "acme", &[ALICE]));
    draft.put_operator(operator("bob", "acme", &[BOB, BOB + 10]));
    world.a.put(draft).await;
    rely(&world, granted, projections).await;
    (world, stop)
}

async fn rely(world: &World, granted: Grant, projections: Vec<Projection>) {
    let known = world.b.core.trust.state().federation.clone().unwrap();
    let peer = known.peer(world.a.core.own()).unwrap().clone();
    let mut draft = world.b.draft();
    draft.put_peer(Peer { grants: vec![granted], projections, ..peer });
    world.b.put(draft).await;
}

fn serve(world: &World) -> tokio_util::sync::CancellationToken {
    let plane = world.b.plane.clone();
    world.serve_app(landbridge_node::net::App::new(move |request| {
        let plane = plane.clone();
        async move { plane.answer(request).await }
    }))
}

async fn usual(quorum: u32) -> World {
    world(approving(quorum), vec![projection("ops", "acme")]).await
}

fn rows(side: &Side) -> Vec<ApprovalRow> {
    let filter = ApprovalFilter { limit: 100, ..ApprovalFilter::default() };
    side.core.store.reads().approvals(&filter).unwrap()
}

/// Waits, moving the clock a little, until something is as wanted.
async fn until<T>(world: &World, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..3_000 {
        if let Some(found) = look() {
            return found;
        }
        world.clock.advance_ms(3);
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    panic!("not reached: {what}; A {:?}; B {:?}", rows(&world.a), rows(&world.b))
}

async fn asked(world: &World, side: &Side) -> ApprovalId {
    until(world, "a question", || {
        rows(side).into_iter().find(|row| row.state == ApprovalState::Open).map(|row| row.id)
    })
    .await
}

async fn state(world: &World, side: &Side, id: &ApprovalId, wanted: ApprovalState) -> ApprovalRow {
    until(world, wanted.as_str(), || {
        let row = side.core.store.reads().approval(id).unwrap().unwrap();
        (row.state == wanted).then_some(row)
    })
    .await
}

/// What an operator signs, changed as a test likes.
fn signed_by(
    side: &Side,
    view: &ApprovalView,
    who: (&str, u8),
    vote: Vote,
    change: impl FnOnce(&mut raw::Approval),
) -> SignedApproval {
    let of = &view.brief.tenant;
    let name = OperatorName::new(who.0).unwrap();
    let envelope = Envelope::parse(view.request.as_bytes()).unwrap();
    let issued = credential(&side.core, &name, of).unwrap();
    let now = side.core.now();
    let theirs = view.brief.peers[0].gateway.clone();
    let relying = tenant(if of.as_str() == "acme" { "ops" } else { "acme" });
    let mut approval = raw::Approval {
        aud: theirs,
        credential: issued.envelope.digest(),
        decision: vote,
        exp: now.plus_ms(300_000),
        iat: now,
        iss: side.core.own().clone(),
        jti: side.core.new_jti().unwrap(),
        max_uses: FormVersion,
        request: envelope.digest(),
        scope: lead(),
        sub: name,
        subject: view.digest,
        tenant: ApprovalTenants { deciding: of.clone(), relying },
        v: FormVersion,
    };
    change(&mut approval);
    sign_file(&signer(who.1), &Approval::try_from(approval).unwrap()).unwrap()
}

async fn vote(
    side: &Side,
    id: &ApprovalId,
    who: (&str, u8),
    vote: Vote,
) -> Result<ApprovalView, String> {
    let view = side.bridge.approval(&Principal::Admin, id).unwrap();
    let signed = signed_by(side, &view, who, vote, |_| {});
    let taken = side.bridge.decide_approval(&Principal::Admin, id, signed).await;
    taken.map_err(|problem| problem.code_text().to_owned())
}

fn frames(world: &World, run: &RunId) -> Vec<(String, Value)> {
    let lines = world.a.core.store.reads().received(run, 0, 100, 1 << 20).unwrap();
    lines
        .iter()
        .map(|line| {
            let frame = Frame::parse(line).unwrap();
            (frame.event.clone(), serde_json::from_str(frame.payload.get()).unwrap())
        })
        .collect()
}

fn payload(frames: &[(String, Value)], event: &str) -> Value {
    let found: Vec<_> = frames.iter().filter(|(name, _)| name == event).collect();
    assert_eq!(found.len(), 1, "{event} in {frames:#?}");
    found[0].1.clone()
}

/// The run that delivered a decision, once it has ended.
async fn delivered(world: &World, n: usize) -> EntryRow {
    let runs = until(world, "a delivery", || {
        let filter = landbridge_proto::machine::contract::EntryFilter {
            settled: Some(true),
            limit: 100,
            ..Default::default()
        };
        let all = world.a.core.store.reads().entries(&filter).unwrap();
        let grants: Vec<_> =
            all.into_iter().filter(|entry| entry.agent.as_str() == "operators").collect();
        (grants.len() >= n).then_some(grants)
    })
    .await;
    world.a.core.store.reads().entry(&runs[0].run).unwrap().unwrap()
}

fn code_of(frames: &[(String, Value)]) -> String {
    payload(frames, "terminal")["problem"]["code"].as_str().unwrap_or_default().to_owned()
}

async fn ended(world: &World, run: &RunId) -> Vec<(String, Value)> {
    until(world, "an end", || {
        let entry = world.a.core.store.reads().entry(run).unwrap().unwrap();
        entry.outcome.is_some().then_some(())
    })
    .await;
    frames(world, run)
}

//= APR-13
//= APR-26
//= APR-27
//= APR-33
//= APR-34
#[tokio::test]
async fn what_an_operator_of_the_caller_approves_happens_and_nothing_before() {
    let world = usual(1).await;
    let run = world.start_run("approve", WAITS).await.run;
    let id = asked(&world, &world.a).await;
    assert_eq!(world.b.effects(), [""; 0]);
    let shown = payload(&frames(&world, &run), "approvalRequested");
    assert_eq!(shown["subject"]["text"], "systemctl restart web");
    assert_eq!((&shown["approval"], &shown["scopes"]), (&json!(id), &json!(["sre-lead"])));
    let row = &rows(&world.a)[0];
    assert_eq!((row.side, row.subject.as_str()), (ApprovalSide::Deciding, "systemctl restart web"));
    vote(&world.a, &id, ("alice", ALICE), Vote::Approve).await.unwrap();
    let frames = ended(&world, &run).await;
    let resolved = payload(&frames, "approvalResolved");
    assert_eq!((&resolved["by"], &resolved["decision"]), (&json!("peer"), &json!("approve")));
    assert_eq!(payload(&frames, "terminal")["outcome"], "succeeded");
    assert_eq!(world.b.effects().len(), 1);
    let delivery = delivered(&world, 1).await;
    assert_eq!(delivery.outcome.as_deref(), Some("succeeded"));
    let row = state(&world, &world.a, &id, ApprovalState::Approved).await;
    assert!(row.answer.unwrap().contains("approve by peer"));
    let row = state(&world, &world.b, &id, ApprovalState::Approved).await;
    assert_eq!(row.decisions.len(), 1);
    assert_eq!((world.b.deeds("approval_counted"), world.a.deeds("approval_decided")), (1, 1));
    // The record of it convinces a stranger who knows B alone.
    let record = world.b.bridge.approval_evidence(&Principal::Admin, &id).unwrap();
    let report =
        landbridge_proto::machine::approval_record::verify(record.as_bytes(), world.b.core.own());
    assert!(format!("{report:?}").contains("Approved"), "{report:?}");
}

//= APR-23
//= APR-24
#[tokio::test]
async fn one_deny_ends_it_and_what_comes_later_changes_nothing() {
    let world = usual(2).await;
    let run = world.start_run("deny", WAITS).await.run;
    let id = asked(&world, &world.a).await;
    vote(&world.a, &id, ("alice", ALICE), Vote::Deny).await.unwrap();
    let frames = ended(&world, &run).await;
    assert_eq!(payload(&frames, "approvalResolved")["decision"], "deny");
    assert_eq!(world.b.effects(), [""; 0]);
    state(&world, &world.a, &id, ApprovalState::Denied).await;
    assert_eq!(
        vote(&world.a, &id, ("bob", BOB), Vote::Approve).await.unwrap_err(),
        "already_resolved"
    );
}

//= APR-22
//= APR-9
#[tokio::test]
async fn two_people_are_two_people() {
    let world = usual(2).await;
    let run = world.start_run("two", WAITS).await.run;
    let id = asked(&world, &world.a).await;
    vote(&world.a, &id, ("bob", BOB), Vote::Approve).await.unwrap();
    delivered(&world, 1).await;
    // The same person with another key: refused here already.
    let again = vote(&world.a, &id, ("bob", BOB + 10), Vote::Approve).await;
    assert_eq!(again.unwrap_err(), "approval_refused");
    assert_eq!(rows(&world.b)[0].state, ApprovalState::Open);
    assert_eq!(world.b.effects(), [""; 0]);
    vote(&world.a, &id, ("alice", ALICE), Vote::Approve).await.unwrap();
    assert_eq!(payload(&ended(&world, &run).await, "terminal")["outcome"], "succeeded");
    assert_eq!(world.b.effects().len(), 1);
    assert_eq!(rows(&world.b)[0].decisions.len(), 2);
}

//= APR-25
//= APR-30
#[tokio::test]
async fn what_nobody_decides_is_denied_before_the_gateway_gives_up() {
    let world = usual(1).await;
    let run = world.start_run("expire", WAITS).await.run;
    let id = asked(&world, &world.a).await;
    let row = rows(&world.b).remove(0);
    assert!(row.expires.since_ms(NOW) <= 55_000 + 5_000, "{row:?}");
    world.clock.advance_ms(row.expires.since_ms(world.b.core.now()));
    let frames = ended(&world, &run).await;
    let resolved = payload(&frames, "approvalResolved");
    assert_eq!((&resolved["by"], &resolved["decision"]), (&json!("expiry"), &json!("deny")));
    assert_eq!(world.b.effects(), [""; 0]);
    state(&world, &world.b, &id, ApprovalState::Expired).await;
    assert_eq!(world.b.deeds("approval_expired"), 1);
    state(&world, &world.a, &id, ApprovalState::Expired).await;
    assert_eq!(
        vote(&world.a, &id, ("bob", BOB), Vote::Approve).await.unwrap_err(),
        "already_resolved"
    );
}

//= APR-29
#[tokio::test]
async fn a_run_does_not_wait_where_nobody_could_decide() {
    let other = |change: fn(&mut Projection)| {
        let mut one = projection("ops", "acme");
        change(&mut one);
        vec![one]
    };
    let kind = SubjectKind::new("deploy").unwrap();
    for (name, granted, projections) in [
        ("no rule", Grant { approval: None, ..approving(1) }, other(|_| {})),
        ("no projection", approving(1), Vec::new()),
        ("expired", approving(1), other(|one| one.exp = NOW.plus_ms(1))),
        ("not yet", approving(1), other(|one| one.nbf = NOW.plus_ms(3_600_000))),
        ("other tenant", approving(1), other(|one| one.remote = tenant("other"))),
        (
            "other scope",
            approving(1),
            other(|one| one.local_scope = ScopeName::new("dba").unwrap()),
        ),
    ] {
        let world = world(granted, projections).await;
        world.clock.advance_ms(5);
        let run = world.start_run("nobody", WAITS).await.run;
        let frames = ended(&world, &run).await;
        assert_eq!(payload(&frames, "error")["code"], "no_approval_route", "{name}");
        assert!(!frames.iter().any(|(event, _)| event.starts_with("approval")), "{name}");
        assert_eq!(world.b.effects(), [""; 0], "{name}");
        assert_eq!((rows(&world.a).len(), world.b.deeds("approval_no_route")), (0, 1), "{name}");
    }
    // Of another kind, and seen in part only.
    let mut one = projection("ops", "acme");
    one.constraints.subject_kinds = [kind].into();
    let one_world = world(approving(1), vec![one]).await;
    let run = one_world.start_run("kind", WAITS).await.run;
    assert_eq!(payload(&ended(&one_world, &run).await, "error")["code"], "no_approval_route");
    let other_world = usual(1).await;
    let observed = "approval-observed exec 60000 part of it";
    let run = other_world.start_run("observed", observed).await.run;
    assert_eq!(payload(&ended(&other_world, &run).await, "error")["code"], "no_approval_route");
}

//= APR-27
#[tokio::test]
async fn somebody_at_the_gateway_may_be_first() {
    let world = usual(1).await;
    let run = world.start_run("first", WAITS).await.run;
    let id = asked(&world, &world.a).await;
    let question = rows(&world.b)[0].question.clone().unwrap();
    world.b.says(&format!("{question} approve\n"));
    let frames = ended(&world, &run).await;
    let resolved = payload(&frames, "approvalResolved");
    assert_eq!((&resolved["by"], &resolved["decision"]), (&json!("gateway"), &json!("approve")));
    state(&world, &world.a, &id, ApprovalState::Closed).await;
    state(&world, &world.b, &id, ApprovalState::Closed).await;
    assert_eq!(
        vote(&world.a, &id, ("bob", BOB), Vote::Deny).await.unwrap_err(),
        "already_resolved"
    );
    assert_eq!(world.b.effects().len(), 1);
}

/// Hands a decision in past A's own checks, as a caller that is not to be trusted would, and gives the code
/// with which B ends the run.
async fn forced(
    world: &World,
    id: &ApprovalId,
    n: usize,
    who: (&str, u8),
    change: impl FnOnce(&mut raw::Approval),
) -> String {
    let view = world.a.bridge.approval(&Principal::Admin, id).unwrap();
    let signed = signed_by(&world.a, &view, who, Vote::Approve, change);
    let of = tenant("acme");
    let issued = credential(&world.a.core, &OperatorName::new(who.0).unwrap(), &of).unwrap();
    let kept = world.a.core.store.reads().catalog(world.a.core.own(), &of).unwrap().unwrap();
    let decision = landbridge_proto::wire::approval::Decision {
        approval: signed,
        catalog: Envelope::parse(kept.envelope.as_bytes()).unwrap(),
        credential: issued.envelope,
    };
    deliver(world, id, n, decision).await
}

/// A decision as it travels.
fn decision(
    world: &World,
    id: &ApprovalId,
    who: (&str, u8),
) -> landbridge_proto::wire::approval::Decision {
    let (core, of) = (&world.a.core, tenant("acme"));
    let view = world.a.bridge.approval(&Principal::Admin, id).unwrap();
    let kept = core.store.reads().catalog(core.own(), &of).unwrap().unwrap();
    landbridge_proto::wire::approval::Decision {
        approval: signed_by(&world.a, &view, who, Vote::Approve, |_| {}),
        catalog: Envelope::parse(kept.envelope.as_bytes()).unwrap(),
        credential: credential(core, &OperatorName::new(who.0).unwrap(), &of).unwrap().envelope,
    }
}

async fn deliver(
    world: &World,
    id: &ApprovalId,
    n: usize,
    decision: landbridge_proto::wire::approval::Decision,
) -> String {
    deliver_as(world, id, n, decision, pair()).await
}

async fn deliver_as(
    world: &World,
    id: &ApprovalId,
    n: usize,
    decision: landbridge_proto::wire::approval::Decision,
    tenant: TenantPair,
) -> String {
    use landbridge_proto::wire::request::{ApprovalGrant, Body};
    let mut start = crate::support::start(&format!("forced-{n}"), "");
    start.prompt = None;
    start.agent_target.agent = "operators".parse().unwrap();
    start.approval_grant =
        Some(ApprovalGrant { approval: id.clone(), decision: Box::new(decision) });
    start.invoked_at = world.a.core.now();
    let mut request = world.request(Body::Start(Box::new(start)));
    request.tenant = tenant;
    let reply = world.ask(&request).await;
    let mut events = reply.events();
    let mut all = Vec::new();
    loop {
        let next = tokio::time::timeout(std::time::Duration::from_secs(20), events.next()).await;
        match next.unwrap() {
            Some(event) => all.push(event),
            None => break,
        }
    }
    let lines = crate::support::lines(&all);
    let last = Frame::parse(lines.last().unwrap()).unwrap().terminal().unwrap();
    last.problem.map_or_else(|| last.outcome.as_str().to_owned(), |it| it.code_text().to_owned())
}

//= APR-31
//= APR-17
//= APR-16
#[tokio::test]
async fn what_does_not_count_is_refused_and_recorded_and_nothing_runs() {
    let world = usual(1).await;
    let run = world.start_run("refuse", WAITS).await.run;
    let id = asked(&world, &world.a).await;
    let alice = ("alice", ALICE);
    let refused = "approval_refused";
    assert_eq!(
        forced(&world, &id, 1, alice, |it| it.subject = Digest::of(b"", &[b"x"])).await,
        refused
    );
    assert_eq!(
        forced(&world, &id, 2, alice, |it| it.request = Digest::of(b"", &[b"x"])).await,
        refused
    );
    assert_eq!(forced(&world, &id, 3, alice, |it| it.tenant.relying = tenant("x")).await, refused);
    assert_eq!(forced(&world, &id, 4, alice, |it| it.exp = it.iat.plus_ms(600_001)).await, refused);
    assert_eq!(forced(&world, &id, 5, ("alice", 99), |_| {}).await, refused);
    assert_eq!(
        forced(&world, &id, 6, alice, |it| it.scope = ScopeName::new("dba").unwrap()).await,
        refused
    );
    let nothing: ApprovalId = format!("apr-{}", "a".repeat(26)).parse().unwrap();
    let view = world.a.bridge.approval(&Principal::Admin, &id).unwrap();
    let signed = signed_by(&world.a, &view, alice, Vote::Approve, |_| {});
    let kept =
        world.a.core.store.reads().catalog(world.a.core.own(), &tenant("acme")).unwrap().unwrap();
    let decision = landbridge_proto::wire::approval::Decision {
        approval: signed,
        catalog: Envelope::parse(kept.envelope.as_bytes()).unwrap(),
        credential: credential(
            &world.a.core,
            &OperatorName::new("alice").unwrap(),
            &tenant("acme"),
        )
        .unwrap()
        .envelope,
    };
    assert_eq!(deliver(&world, &nothing, 7, decision.clone()).await, "approval_unknown");
    assert_eq!(world.b.deeds("approval_refused"), 7);
    assert_eq!(world.b.effects(), [""; 0]);
    // What was right all along counts, and the same again finds what came of it.
    assert_eq!(deliver(&world, &id, 8, decision.clone()).await, "succeeded");
    assert_eq!(deliver(&world, &id, 9, decision).await, "succeeded");
    assert_eq!(payload(&ended(&world, &run).await, "terminal")["outcome"], "succeeded");
    assert_eq!((world.b.effects().len(), world.b.deeds("approval_counted")), (1, 1));
}

#[tokio::test]
async fn the_requester_decides_nothing_and_a_changed_scope_suspends() {
    let world = usual(1).await;
    let start = json!({"gateway": "eu", "prompt": WAITS, "idempotencyKey": "requester-0000000",
        "callerIdentity": {"principal": "alice"}});
    let start = serde_json::from_value(start).unwrap();
    let run = world.a.bridge.start_run(&Principal::Admin, start).await.unwrap().run;
    let id = asked(&world, &world.a).await;
    assert_eq!(
        vote(&world.a, &id, ("alice", ALICE), Vote::Approve).await.unwrap_err(),
        "approval_refused"
    );
    assert_eq!(forced(&world, &id, 1, ("alice", ALICE), |_| {}).await, "approval_refused");
    // Other words for the scope: nobody's decision counts until a person maps it again.
    publish(&world.a, "acme", 2, scope("Leads an incident, and may delete.", 1)).await;
    assert_eq!(forced(&world, &id, 2, ("bob", BOB), |_| {}).await, "approval_refused");
    assert_eq!(world.b.effects(), [""; 0]);
    let row = rows(&world.b).remove(0);
    world.clock.advance_ms(row.expires.since_ms(world.b.core.now()));
    ended(&world, &run).await;
    assert_eq!(world.b.effects(), [""; 0]);
}

/// A relies on operators of B: a workflow of A waits.
async fn other_way(quorum: u32) -> (World, ApprovalId) {
    let world = world(approving(1), Vec::new()).await;
    publish(&world.b, "ops", 1, scope("Leads an incident.", 1)).await;
    let mut draft = world.b.draft();
    draft.put_operator(operator("carol", "ops", &[31]));
    draft.put_operator(operator("dave", "ops", &[32]));
    world.b.put(draft).await;
    let mut draft = world.a.draft();
    draft.put_projection(world.b.core.own(), projection("acme", "ops")).unwrap();
    world.a.put(draft).await;
    let ask = json!({"subject": "deploy 7", "kind": "exec", "scope": "sre-lead", "tenant": "acme",
        "quorum": quorum, "expiresInMs": 60_000});
    let ask: AskApproval = serde_json::from_value(ask).unwrap();
    let view = world.a.bridge.ask_approval(&Principal::Admin, ask).await.unwrap();
    assert_eq!(view.brief.state, ApprovalState::Open);
    let id = asked(&world, &world.b).await;
    assert_eq!(id, view.brief.id);
    (world, id)
}

//= APR-35
#[tokio::test]
async fn a_workflow_waits_for_the_operators_of_another_gateway() {
    let (world, id) = other_way(2).await;
    vote(&world.b, &id, ("carol", 31), Vote::Approve).await.unwrap();
    assert_eq!(
        vote(&world.b, &id, ("carol", 31), Vote::Approve).await.unwrap_err(),
        "approval_refused"
    );
    vote(&world.b, &id, ("dave", 32), Vote::Approve).await.unwrap();
    let row = state(&world, &world.a, &id, ApprovalState::Approved).await;
    assert_eq!(row.decisions.len(), 2);
    let run = row.asked[0].run.clone().unwrap();
    assert_eq!(payload(&ended(&world, &run).await, "terminal")["outcome"], "succeeded");
    assert_eq!(world.a.deeds("approval_counted"), 2);
}

#[tokio::test]
async fn a_workflow_is_told_of_a_deny_and_of_nobody() {
    let (world, id) = other_way(2).await;
    vote(&world.b, &id, ("dave", 32), Vote::Deny).await.unwrap();
    let row = state(&world, &world.a, &id, ApprovalState::Denied).await;
    let run = row.asked[0].run.clone().unwrap();
    assert_eq!(code_of(&ended(&world, &run).await), Code::ApprovalDenied.as_str());

    let (world, id) = other_way(1).await;
    world.clock.advance_ms(60_000);
    let row = state(&world, &world.a, &id, ApprovalState::Expired).await;
    let run = row.asked[0].run.clone().unwrap();
    assert_eq!(code_of(&ended(&world, &run).await), Code::ApprovalExpired.as_str());
    assert_eq!(
        vote(&world.b, &id, ("dave", 32), Vote::Approve).await.unwrap_err(),
        "already_resolved"
    );
}

#[tokio::test]
async fn a_cancelled_question_is_withdrawn() {
    let (world, id) = other_way(1).await;
    let run = rows(&world.a)[0].asked[0].run.clone().unwrap();
    until(&world, "an accept", || world.a.core.store.reads().entry(&run).unwrap().unwrap().remote)
        .await;
    world.a.bridge.cancel(&Principal::Admin, &run).await.unwrap();
    state(&world, &world.b, &id, ApprovalState::Closed).await;
    state(&world, &world.a, &id, ApprovalState::Closed).await;
    assert_eq!(payload(&ended(&world, &run).await, "terminal")["outcome"], "cancelled");
}

//= APR-14
#[tokio::test]
async fn a_question_with_another_subject_or_scope_is_not_put_to_anybody() {
    let world = world(approving(1), Vec::new()).await;
    let mut draft = world.a.draft();
    draft.put_projection(world.b.core.own(), projection("acme", "ops")).unwrap();
    world.a.put(draft).await;
    // B has published no scopes for its tenant.
    let ask = json!({"subject": "x", "kind": "exec", "scope": "sre-lead", "tenant": "acme"});
    let ask: AskApproval = serde_json::from_value(ask).unwrap();
    let view = world.a.bridge.ask_approval(&Principal::Admin, ask).await.unwrap();
    let row = state(&world, &world.a, &view.brief.id, ApprovalState::Closed).await;
    let run = row.asked[0].run.clone().unwrap();
    assert_eq!(code_of(&ended(&world, &run).await), "approval_refused");
    assert_eq!(rows(&world.b), []);
}

//= APR-31
#[tokio::test]
async fn a_decision_reaches_no_run_of_another_tenant_pair() {
    let world = usual(1).await;
    let known = world.b.core.trust.state().federation.clone().unwrap();
    let peer = known.peer(world.a.core.own()).unwrap().clone();
    let other = Grant {
        agents: ["other".parse().unwrap()].into(),
        local: tenant("ops2"),
        remote: tenant("acme2"),
        ..approving(1)
    };
    let mut draft = world.b.draft();
    draft.put_peer(Peer { grants: vec![approving(1), other], ..peer });
    world.b.put(draft).await;
    world.start_run("other", WAITS).await;
    let id = asked(&world, &world.a).await;
    let decision = decision(&world, &id, ("alice", ALICE));
    let theirs = TenantPair { src: tenant("acme2"), dst: tenant("ops2") };
    assert_eq!(deliver_as(&world, &id, 1, decision, theirs).await, "approval_unknown");
    assert_eq!(world.b.effects(), [""; 0]);
    assert_eq!(rows(&world.b)[0].state, ApprovalState::Open);
}

//= APR-26
#[tokio::test]
async fn an_approval_is_used_once() {
    let world = usual(2).await;
    world.start_run("once", WAITS).await;
    let id = asked(&world, &world.a).await;
    let jti = world.a.core.new_jti().unwrap();
    let same = jti.clone();
    assert_eq!(forced(&world, &id, 1, ("alice", ALICE), |it| it.jti = same).await, "succeeded");
    // Another person's, who took the same id for it.
    let second = forced(&world, &id, 2, ("bob", BOB), |it| it.jti = jti).await;
    assert_eq!(second, "approval_refused");
    assert_eq!(world.b.effects(), [""; 0]);
    assert_eq!(forced(&world, &id, 3, ("bob", BOB), |_| {}).await, "succeeded");
    until(&world, "an effect", || (world.b.effects().len() == 1).then_some(())).await;
}

#[tokio::test]
async fn a_token_sees_the_approvals_of_its_tenants() {
    use landbridge_node::bridge::TokenScope;
    use landbridge_proto::machine::contract::Sees;
    let world = usual(1).await;
    world.start_run("token", WAITS).await;
    let id = asked(&world, &world.a).await;
    let token = |of: &str, verbs: &[&str], sees| {
        Principal::Token(std::sync::Arc::new(TokenScope {
            id: "t1".to_owned(),
            routes: Vec::new(),
            tenants: vec![tenant(of)],
            sees,
            verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
            runs_open_max: 1,
            starts_per_minute_max: 1,
            expires: None,
        }))
    };
    for (who, seen) in [
        (token("acme", &["read", "decide"], Sees::Own), true),
        (token("acme", &["read"], Sees::Tenants), true),
        (token("acme", &["read", "run"], Sees::Own), false),
        (token("other", &["read", "decide"], Sees::Tenants), false),
    ] {
        assert_eq!(world.a.bridge.approval(&who, &id).is_ok(), seen, "{who:?}");
        let filter = ApprovalFilter { limit: 10, ..ApprovalFilter::default() };
        let listed = world.a.bridge.approvals(&who, filter).unwrap();
        assert_eq!(listed.len(), usize::from(seen), "{who:?}");
    }
}

//= APR-26
//= APR-27
#[tokio::test]
async fn what_was_committed_reaches_the_gateway_after_a_restart_of_the_executor() {
    let (mut world, stop) = served(approving(1), vec![projection("ops", "acme")]).await;
    stop.cancel();
    world.b = world.b.again(&world, true).await;
    let stop = serve(&world);
    let run = world.start_run("restart", WAITS).await.run;
    let id = asked(&world, &world.a).await;
    vote(&world.a, &id, ("alice", ALICE), Vote::Approve).await.unwrap();
    let row = state(&world, &world.b, &id, ApprovalState::Approved).await;
    assert_eq!((row.answer, world.b.effects().len()), (None, 0));
    stop.cancel();
    world.b = world.b.again(&world, false).await;
    serve(&world);
    let frames = ended(&world, &run).await;
    assert_eq!(payload(&frames, "approvalResolved")["by"], "peer");
    assert_eq!(payload(&frames, "terminal")["outcome"], "succeeded");
    assert_eq!(delivered(&world, 1).await.outcome.as_deref(), Some("succeeded"));
    assert_eq!((world.b.effects().len(), world.b.deeds("approval_counted")), (1, 1));
    state(&world, &world.a, &id, ApprovalState::Approved).await;
}

//= APR-34
#[tokio::test]
async fn what_an_operator_decided_is_delivered_after_a_restart_of_the_caller() {
    let (mut world, stop) = served(approving(1), vec![projection("ops", "acme")]).await;
    let run = world.start_run("restart", WAITS).await.run;
    let id = asked(&world, &world.a).await;
    stop.cancel();
    vote(&world.a, &id, ("alice", ALICE), Vote::Approve).await.unwrap();
    world.a = world.a.again(&world, false).await;
    assert_eq!(rows(&world.a)[0].decisions.len(), 1);
    serve(&world);
    let frames = ended(&world, &run).await;
    assert_eq!(payload(&frames, "approvalResolved")["by"], "peer");
    assert_eq!(world.b.effects().len(), 1);
    state(&world, &world.a, &id, ApprovalState::Approved).await;
}

#[tokio::test]
async fn a_workflows_question_outlives_both_bridges() {
    let (mut world, id) = other_way(2).await;
    vote(&world.b, &id, ("carol", 31), Vote::Approve).await.unwrap();
    world.b = world.b.again(&world, false).await;
    world.a = world.a.again(&world, false).await;
    serve(&world);
    vote(&world.b, &id, ("dave", 32), Vote::Approve).await.unwrap();
    let row = state(&world, &world.a, &id, ApprovalState::Approved).await;
    assert_eq!(row.decisions.len(), 2);
    assert_eq!(world.a.deeds("approval_counted"), 2);
}
