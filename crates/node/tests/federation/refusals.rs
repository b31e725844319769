//! Requests that are refused: with which code, under which proof, and that nothing changed.

use http::Method;
use landbridge_node::core::Settings;
use landbridge_node::evidence::Found;
use landbridge_proto::machine::evidence::Proof;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{IdempotencyKey, RunId};
use landbridge_proto::wire::request::{Body, Cancel, Op, Target};

use crate::support::{MINUTE_MS, World, attach, key, nobody, start, started, tenant};

const JSON: (&str, &str) = ("content-type", "application/json");

//= REQ-3
#[tokio::test]
async fn only_json_as_it_is_gets_read() {
    let world = World::new().await;
    let (bytes, _) = world.operation(&world.request(started("json", "hang")));
    for media in ["text/plain", "application/json; charset=utf-8", "application/JSON", ""] {
        let headers = [("content-type", media)];
        let reply = world.send(Method::POST, Op::Start.path(), &headers, bytes.clone()).await;
        assert_eq!(reply.status, 415);
        assert_eq!(reply.unsigned().await, "unsupported_encoding", "{media}");
    }
    let reply = world.send(Method::POST, Op::Start.path(), &[], bytes).await;
    assert_eq!(reply.unsigned().await, "unsupported_encoding");
    assert_eq!(world.b.open_runs(), 0);
}

//= REQ-4
#[tokio::test]
async fn routes_are_compared_byte_for_byte() {
    let world = World::new().await;
    let (bytes, _) = world.operation(&world.request(started("path", "hang")));
    for path in [
        "/federation/../v1/chat/completions",
        "/federation/v1/../../v1/runs",
        "/federation/v1/%2e%2e/%2e%2e/v1/runs",
        "/federation/v1/runs/",
        "/federation/v1//runs",
        "/Federation/v1/runs",
        "/federation/v1/%72uns",
        "/federation/v1/runs?x=1",
        "/federation/v1/runs?",
        "/federation/v2/runs",
        "/federation/v1/runs/../runs",
        "/v1/runs",
        "/",
    ] {
        let reply = world.post(path, bytes.clone()).await;
        assert_eq!(reply.unsigned().await, "not_found", "{path}");
    }
    for (method, path) in [
        (Method::GET, "/federation/v1/runs"),
        (Method::PUT, "/federation/v1/runs/attach"),
        (Method::POST, "/federation/v1/root"),
        (Method::DELETE, "/federation/v1/status"),
        (Method::GET, "/federation/v1/pairing"),
    ] {
        let reply = world.send(method, path, &[JSON], bytes.clone()).await;
        assert_eq!(reply.status, 405);
        let takes = reply.headers.get("allow").and_then(|allow| allow.to_str().ok());
        let due = if path.ends_with("root") || path.ends_with("status") { "GET" } else { "POST" };
        assert_eq!(takes, Some(due), "{path}");
        assert_eq!(reply.unsigned().await, "method_not_allowed", "{path}");
    }
    assert_eq!(world.b.open_runs(), 0);
    assert_eq!(world.post(Op::Start.path(), bytes).await.status, 200, "its own route is open");
}

//= REQ-5
#[tokio::test]
async fn credentials_of_http_open_nothing_and_close_nothing() {
    let world = World::new().await;
    let shown = [JSON, ("authorization", "Bearer lbt_secret"), ("cookie", "session=admin")];
    let unsigned = br#"{"op":"start"}"#.to_vec();
    let reply = world.send(Method::POST, Op::Start.path(), &shown, unsigned).await;
    assert_eq!(reply.unsigned().await, "malformed");
    let (bytes, _) = world.operation(&world.request(started("cookie", "hang")));
    let reply = world.send(Method::POST, Op::Start.path(), &shown, bytes).await;
    assert_eq!(reply.status, 200);
    let runs = world.b.core.store.reads().open_runs().unwrap();
    assert_eq!(runs[0].owner.caller, *world.a.core.own());
}

//= PRB-2
//= REQ-10
#[tokio::test]
async fn strangers_and_forgers_get_unsigned_answers_and_change_nothing() {
    let world = World::new().await;
    let request = world.request(started("forged", "hang"));
    let (good, _) = world.operation(&request);
    let audited = world.b.audit().len();
    let mut broken = good.clone();
    // A character in the middle of the signature: any other one there is still base64.
    let at = broken.len() - 20;
    broken[at] = if broken[at] == b'A' { b'B' } else { b'A' };
    let mut other = request.clone();
    other.aud = nobody();
    let (foreign, _) = world.operation(&other);
    for (bytes, code) in [
        (b"{}".to_vec(), "malformed"),
        ([good.as_slice(), b" "].concat(), "malformed"),
        (broken, "verification_failed"),
        (foreign, "verification_failed"),
    ] {
        let reply = world.post(Op::Start.path(), bytes).await;
        let answered = reply.unsigned().await;
        assert_eq!(answered, code);
    }
    assert_eq!(world.b.open_runs(), 0);
    assert_eq!(
        world.b.audit().len(),
        audited,
        "strangers are counted, and not recorded one by one"
    );
}

//= PRB-1
#[tokio::test]
async fn refusals_of_authenticated_requests_are_signed_and_bound_to_them() {
    let world = World::new().await;
    let mut tenants = world.request(started("tenants", "hang"));
    tenants.tenant.src = tenant("stranger");
    let mut late = world.request(started("late", "hang"));
    late.iat = late.iat.plus_ms(-10 * MINUTE_MS);
    late.exp = late.iat.plus_ms(MINUTE_MS);
    let mut agent = start("agent", "hang");
    agent.agent_target.agent = "secret".parse().unwrap();
    let agent = world.request(Body::Start(Box::new(agent)));
    let absent = world.request(attach(&world.b.core.new_run_id().unwrap(), 0));
    let mut version = world.request(started("version", "hang"));
    version.proto = vec![2];
    for (request, code) in [
        (tenants, "not_granted"),
        (late, "clock_skew"),
        (agent, "not_granted"),
        (absent, "not_found"),
        (version, "protocol_unsupported"),
    ] {
        let refused = world.b.deeds("request_refused");
        // The proof is checked inside.
        assert_eq!(world.ask(&request).await.code(&world).await, code);
        //= PRB-10
        assert_eq!(world.b.deeds("request_refused"), refused + 1, "{code}");
    }
    assert_eq!(world.b.open_runs(), 0);
}

//= PRB-10
//= PRB-10
#[tokio::test]
async fn one_peer_cannot_fill_the_audit_log_with_what_it_may_ask() {
    let world = World::new().await;
    tokio::spawn(world.b.plane.clone().report_strangers());
    let start = world.ask_for(started("busy", "hang")).await;
    assert_eq!(start.status, 200);
    let run = world.b.core.store.reads().open_runs().unwrap()[0].run.clone();
    for _ in 0..700 {
        let inspect = Body::Inspect(Target::Run(run.clone()));
        assert_eq!(world.ask_for(inspect).await.status, 200, "it is answered all the same");
    }
    assert_eq!(world.b.deeds("run_inspected"), 600);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    world.clock.advance_ms(MINUTE_MS);
    while world.b.deeds("requests_answered") == 0 {
        tokio::task::yield_now().await;
    }
    let audit = world.b.audit();
    let counted = audit.iter().find(|event| event.deed == "requests_answered").unwrap();
    assert_eq!(counted.detail["run_inspected"], "100");
    assert_eq!(counted.actor, world.a.core.own().as_str());
    assert_eq!(world.b.deeds("requests_answered"), 1);
}

#[tokio::test]
async fn one_peer_cannot_fill_the_audit_log_with_refusals() {
    let world = World::new().await;
    tokio::spawn(world.b.plane.clone().report_strangers());
    for _ in 0..100 {
        let absent = attach(&world.b.core.new_run_id().unwrap(), 0);
        assert_eq!(world.ask_for(absent).await.code(&world).await, "not_found");
    }
    assert_eq!(world.b.deeds("request_refused"), 60);
    for _ in 0..50 {
        world.post(Op::Start.path(), b"{}".to_vec()).await;
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    world.clock.advance_ms(MINUTE_MS);
    while world.b.deeds("requests_refused") == 0 {
        tokio::task::yield_now().await;
    }
    let audit = world.b.audit();
    let counted = audit.iter().find(|event| event.deed == "requests_refused").unwrap();
    assert_eq!(counted.detail["not_found"], "40");
    assert_eq!(counted.detail["malformed"], "50");
    assert_eq!(world.b.deeds("requests_refused"), 1);
}

//= REQ-17
#[tokio::test]
async fn the_same_request_twice_is_a_replay_and_reaches_the_run_once() {
    let world = World::new().await;
    let request = world.request(started("replay", "hang"));
    assert_eq!(world.ask(&request).await.status, 200);
    let problem = world.ask(&request).await.signed(&world).await;
    assert_eq!(problem.code_text(), "replayed");
    assert!(problem.retryable);
    assert_eq!(world.b.open_runs(), 1);
    assert_eq!(world.b.deeds("run_created"), 1);
    // The same id around another question is a replay all the same.
    let run = world.b.core.store.reads().open_runs().unwrap()[0].run.clone();
    let mut other = world.request(attach(&run, 0));
    other.jti = request.jti;
    assert_eq!(world.ask(&other).await.code(&world).await, "replayed");
}

//= REQ-18
#[tokio::test]
async fn every_operation_leaves_its_jti_before_its_effect() {
    let world = World::new().await;
    let run: RunId = world.b.core.new_run_id().unwrap();
    let cancel = Cancel { target: Target::Key(key("blocked")), reason: None };
    for body in [
        started("jti", "hang"),
        attach(&run, 0),
        Body::Cancel(cancel),
        Body::Inspect(Target::Run(run)),
    ] {
        let request = world.request(body);
        let reads = world.b.core.store.reads();
        assert!(!reads.jti_seen(&request.iss, &request.jti).unwrap());
        world.ask(&request).await;
        assert!(reads.jti_seen(&request.iss, &request.jti).unwrap(), "{:?}", request.body.op());
    }
}

//= PRB-8
#[tokio::test]
async fn a_run_of_another_tenant_pair_looks_like_none() {
    let world = World::new().await;
    let mut draft = world.b.draft();
    let mut second = crate::support::grant();
    second.remote = tenant("umbrella");
    second.local = tenant("lab");
    second.agents = ["other".parse().unwrap()].into();
    draft.put_grant(world.a.core.own(), second).unwrap();
    world.b.put(draft).await;
    world.ask_for(started("mine", "hang")).await;
    let run = world.b.core.store.reads().open_runs().unwrap()[0].run.clone();
    let foreign = |body: Body| {
        let mut request = world.request(body);
        request.tenant.src = tenant("umbrella");
        request.tenant.dst = tenant("lab");
        request
    };
    let absent = world.b.core.new_run_id().unwrap();
    let mut told = Vec::new();
    for run in [&run, &absent] {
        for body in [
            attach(run, 0),
            Body::Inspect(Target::Run(run.clone())),
            Body::Cancel(Cancel { target: Target::Run(run.clone()), reason: None }),
        ] {
            let problem = world.ask(&foreign(body)).await.signed(&world).await;
            told.push(serde_json::to_string(&problem).unwrap());
        }
    }
    assert!(told[0].contains("not_found"), "{}", told[0]);
    assert!(told.iter().all(|one| *one == told[0]), "{told:?}");
    // The key names nothing either: here it is free, and cancelling blocks the other pair's own key.
    let inspect = Body::Inspect(Target::Key(key("mine")));
    assert_eq!(world.ask(&foreign(inspect)).await.code(&world).await, "not_found");
    assert_eq!(world.b.open_runs(), 1);
}

//= PRB-9
//= REQ-28
#[tokio::test]
async fn who_is_over_a_quota_is_told_when_to_come_back() {
    let settings = Settings { executing_per_owner_max: 1, ..Settings::default() };
    let world = World::with(settings).await;
    assert_eq!(world.ask_for(started("first", "hang")).await.status, 200);
    let reply = world.ask_for(started("second", "hang")).await;
    assert_eq!(reply.status, 429);
    let seconds: u64 = reply.headers["retry-after"].to_str().unwrap().parse().unwrap();
    let problem = reply.signed(&world).await;
    assert_eq!(problem.code_text(), "rate_limited");
    assert_eq!(seconds, problem.retry_after_ms.unwrap().div_ceil(1000));
    let owner = world.b.core.store.reads().open_runs().unwrap()[0].owner.clone();
    let bound = |key: &IdempotencyKey| world.b.core.store.reads().key(&owner, key).unwrap();
    assert!(bound(&key("first")).is_some());
    assert!(bound(&key("second")).is_none(), "the refused key stays free");

    let world = World::with(Settings { executing_max: 0, ..Settings::default() }).await;
    let reply = world.ask_for(started("any", "hang")).await;
    assert_eq!((reply.status, reply.headers.contains_key("retry-after")), (503, true));
    let problem = reply.signed(&world).await;
    assert_eq!(problem.code_text(), "overloaded");
    assert!(problem.retry_after_ms.is_some());
}

//= REQ-2
#[tokio::test]
async fn a_body_beyond_the_limit_is_not_read() {
    let world = World::new().await;
    let reply = world.post(Op::Start.path(), vec![b' '; limit::OPERATION_BYTES_MAX + 1]).await;
    assert_eq!(reply.unsigned().await, "too_large");
}

//= STR-25
#[tokio::test]
async fn a_quarantined_peer_is_refused_and_its_work_is_not_started() {
    let world = World::new().await;
    let trust = &world.b.core.trust;
    let status = trust.state().status.clone().unwrap();
    let proof = Proof::Statuses { first: status.clone(), second: status };
    let found = Found::new(proof, None);
    trust.quarantine(&world.b.core, world.a.core.own(), &found).await.unwrap();
    let kept = world.b.core.store.reads().all_evidence().unwrap();
    assert!(kept.is_empty(), "what convinces nobody is not called evidence");
    let reply = world.ask_for(started("quarantine", "hang")).await;
    assert_eq!(reply.code(&world).await, "peer_suspended");
    assert_eq!(world.b.open_runs(), 0);
}
