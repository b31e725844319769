//! The federation port is no way to the local API, and credentials of HTTP weigh nothing on it.

use std::collections::BTreeMap;

use landbridge_proto::machine::operation::Operation;

use super::*;

const LOCAL: [&str; 7] = [
    "/v1/runs",
    "/v1/admin/bridge",
    "/federation/../v1/runs",
    "/federation/v1/../../v1/runs",
    "/federation/v1/%2e%2e/%2e%2e/v1/runs",
    "/federation/v1/runs/",
    "/federation//v1/runs",
];

//= PRB-10
#[tokio::test]
async fn the_local_api_is_not_on_the_federation_port() {
    let mut scene = Scene::set().await;
    let token = token(&scene.pair.b, &[]).await;
    let bearer = format!("Bearer {token}");
    let body = || landbridge_harness::bridge::start("on-the-wrong-port1", "say no").to_string();
    let before = scene.state().await;
    for path in LOCAL {
        let headers = [("authorization", bearer.as_str())];
        let reply = scene.forge.post(path, body().into_bytes(), &headers).await;
        assert_eq!(reply.refusal(), (404, "not_found", false), "{path}");
        let reply = scene.forge.get(path).await;
        assert_eq!(reply.refusal(), (404, "not_found", false), "{path}");
    }
    assert_eq!(scene.state().await, before);
    assert!(counted(&mut scene.pair.b).await["not_found"] >= 2 * LOCAL.len() as u64);
    // At home the token works.
    let own = [("authorization", bearer.as_str())];
    let home = scene.pair.b.api().send(http::Method::GET, "/v1/runs", &own, None).await.unwrap();
    assert_eq!(home.status, 200);
}

#[tokio::test]
async fn a_token_proves_nothing_to_the_federation_plane() {
    let scene = Scene::set().await;
    let token = token(&scene.pair.b, &[]).await;
    let stranger = Forge::stranger(&scene.pair.place.path().join("s"), &scene.pair.b).await;
    let operation = |forge: &Forge| Operation {
        roots: None,
        status: forge.status.clone(),
        request: forge.sign(&forge.start("with-a-token-00001")),
        held: None,
    };
    let headers =
        [("authorization", &*format!("Bearer {token}")), ("cookie", &*format!("t={token}"))];
    let before = (scene.state().await, refusals(&scene.pair.b, "verification_failed").await);
    let reply = scene.forge.post(RUNS, operation(&stranger).to_bytes(), &headers).await;
    scene.held(&reply, before, (401, "verification_failed", false)).await;
    // Nor does it harm who needs none.
    let reply = scene.forge.post(RUNS, operation(&scene.forge).to_bytes(), &headers).await;
    assert!(reply.is_whole_stream(), "{}", reply.text);
}

//= PRB-10
#[tokio::test]
async fn only_the_routes_in_their_one_spelling_are_answered() {
    let mut scene = Scene::set().await;
    let start = scene.forge.start("only-one-spelling1");
    let request = scene.forge.sign(&start);
    let operation =
        Operation { roots: None, status: scene.forge.status.clone(), request, held: None }
            .to_bytes();
    let before = scene.state().await;
    let post = async |path: &str, headers: &[(&str, &str)], body: &[u8]| {
        let reply = scene.forge.post(path, body.to_vec(), headers).await;
        (reply.status, reply.code)
    };
    let is = |status: u16, code: &str| (status, code.to_owned());
    assert_eq!(post("/federation/v1/runs?a=b", &[], &operation).await, is(404, "not_found"));
    assert_eq!(post("/federation/v1/RUNS", &[], &operation).await, is(404, "not_found"));
    assert_eq!(post("/federation/v1/status", &[], &operation).await, is(405, "method_not_allowed"));
    let text = [("content-type", "text/plain")];
    assert_eq!(post(RUNS, &text, &operation).await, is(415, "unsupported_encoding"));
    let spaced = [&operation[..], b"\n"].concat();
    assert_eq!(post(RUNS, &[], &spaced).await, is(400, "malformed"));
    assert_eq!(post(RUNS, &[], b"{}").await, is(400, "malformed"));
    assert_eq!(scene.forge.get(RUNS).await.refusal(), (405, "method_not_allowed", false));
    let large = vec![b' '; landbridge_proto::wire::limit::OPERATION_BYTES_MAX + 1];
    assert_eq!(post(RUNS, &[], &large).await, is(413, "too_large"));
    assert_eq!(scene.state().await, before);
    let mut counts = counted(&mut scene.pair.b).await;
    // A also asks, rightly, for what B has not kept of it.
    assert!(counts.remove("not_found") >= Some(2), "{counts:?}");
    let others = [("malformed", 2), ("method_not_allowed", 2), ("too_large", 1)];
    let others = others.into_iter().chain([("unsupported_encoding", 1)]);
    assert_eq!(counts, others.map(|(code, count)| (code.to_owned(), count)).collect());
    scene.forge.reconnect();
    scene.served(&start).await;
}

/// What a bridge counted of strangers' requests: written at its stop, and it serves again.
async fn counted(bridge: &mut Bridge) -> BTreeMap<String, u64> {
    bridge.stop().await.unwrap();
    bridge.serve().await.unwrap();
    let audit = bridge.audit().await.unwrap();
    let counted = audit.iter().rfind(|event| event["deed"] == "requests_refused");
    let counts = counted.expect("a record of the counts")["detail"].as_object().unwrap().iter();
    counts.map(|(code, count)| (code.clone(), count.as_str().unwrap().parse().unwrap())).collect()
}

/// A token of a bridge, with these verbs or with all.
pub(super) async fn token(bridge: &Bridge, verbs: &[&str]) -> String {
    let mut arguments = vec!["token", "create", "engine"];
    for verb in verbs {
        arguments.extend(["--verb", verb]);
    }
    let made = bridge.json(&arguments).await.unwrap();
    landbridge_harness::bridge::text(&made, "secret").unwrap()
}
