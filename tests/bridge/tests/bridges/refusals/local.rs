//! The local API is for programs of this machine, with what their tokens say and nothing else.

use http::Method;
use landbridge_harness::bridge::{Api, free_address, start};
use landbridge_proto::machine::operation::Operation;

use super::plane::token;
use super::*;

/// Two bridges, A with its local API on loopback TCP too.
async fn with_loopback() -> (Scene, Api) {
    let address = free_address().unwrap();
    let listen = address.to_string();
    let pair = Pair::granted(&[("LANDBRIDGE_LOCAL_LISTEN", &listen)], &[], &[]).await.unwrap();
    let forge = Forge::of(&pair.a, &pair.b).await;
    (Scene { pair, forge }, Api::Loopback(address))
}

#[tokio::test]
async fn web_pages_foreign_hosts_and_nobody_are_refused() {
    let (scene, tcp) = with_loopback().await;
    let bearer = format!("Bearer {}", token(&scene.pair.a, &[]).await);
    let body = start("from-a-web-page-01", "say no");
    let post = async |api: &Api, headers: &[(&str, &str)]| {
        let answer = api.send(Method::POST, "/v1/runs", headers, Some(&body)).await.unwrap();
        (answer.status, answer.code())
    };
    let is = |status: u16, code: &str| (status, code.to_owned());
    let shown = ("authorization", bearer.as_str());
    let socket = scene.pair.a.api();
    assert_eq!(
        post(&tcp, &[shown, ("origin", "https://evil.example")]).await,
        is(403, "cross_origin")
    );
    assert_eq!(post(&socket, &[("origin", "null")]).await, is(403, "cross_origin"));
    assert_eq!(post(&tcp, &[shown, ("host", "evil.example")]).await, is(421, "wrong_host"));
    assert_eq!(post(&tcp, &[]).await, is(401, "unauthorized"));
    let forged = ("authorization", "Bearer lbt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!(post(&tcp, &[forged]).await, is(401, "unauthorized"));
    let runs = socket.get("/v1/runs").await.unwrap().json();
    assert_eq!(runs["runs"].as_array().map(Vec::len), Some(0));
    assert_eq!(scene.state().await.executions, 0);
    assert_eq!(post(&tcp, &[shown]).await.0, 201);
}

#[tokio::test]
async fn a_token_does_what_its_verbs_say_and_never_administers() {
    let (scene, tcp) = with_loopback().await;
    let [all, read, run] = [
        token(&scene.pair.a, &[]).await,
        token(&scene.pair.a, &["read"]).await,
        token(&scene.pair.a, &["run"]).await,
    ]
    .map(|secret| format!("Bearer {secret}"));
    let ask = async |bearer: &str, method: Method, path: &str, body: Option<&Value>| {
        let shown = [("authorization", bearer)];
        let answer = tcp.send(method, path, &shown, body).await.unwrap();
        (answer.status, answer.json())
    };
    let body = start("verb-by-verb-00001", "hang");
    let (status, problem) = ask(&read, Method::POST, "/v1/runs", Some(&body)).await;
    assert_eq!((status, problem["code"].as_str()), (403, Some("forbidden")));
    let (status, made) = ask(&run, Method::POST, "/v1/runs", Some(&body)).await;
    assert_eq!(status, 201, "{made}");
    let path = format!("/v1/runs/{}", made["run"].as_str().unwrap());
    assert_eq!(ask(&run, Method::GET, &path, None).await.0, 403);
    assert_eq!(ask(&run, Method::POST, &format!("{path}/cancel"), None).await.0, 403);
    // What belongs to another token does not exist, whatever one's verbs.
    for (method, path) in [(Method::GET, path.clone()), (Method::POST, format!("{path}/cancel"))] {
        let (status, problem) = ask(&all, method, &path, None).await;
        assert_eq!((status, problem["code"].as_str()), (404, Some("not_found")), "{path}");
    }
    let (_, listed) = ask(&all, Method::GET, "/v1/runs", None).await;
    assert_eq!(listed["runs"].as_array().map(Vec::len), Some(0));
    let (status, problem) = ask(&all, Method::POST, "/v1/runs", Some(&body)).await;
    assert_eq!((status, problem["code"].as_str()), (422, Some("key_conflict")));
    for path in ["/v1/admin/bridge", "/v1/admin/audit", "/v1/admin/tokens"] {
        let (status, problem) = ask(&all, Method::GET, path, None).await;
        assert_eq!((status, problem["code"].as_str()), (403, Some("forbidden")), "{path}");
        assert_eq!(scene.pair.a.api().get(path).await.unwrap().status, 200);
    }
    assert_eq!(scene.pair.a.api().get(&path).await.unwrap().status, 200, "the owner sees all");
}

#[tokio::test]
async fn a_federation_request_is_not_answered_on_the_local_plane() {
    let (mut scene, tcp) = with_loopback().await;
    let operation = Operation {
        roots: None,
        status: scene.forge.status.clone(),
        request: scene.forge.sign(&scene.forge.start("on-the-other-plane")),
        held: None,
    };
    let body: Value = serde_json::from_slice(&operation.to_bytes()).unwrap();
    let bearer = format!("Bearer {}", token(&scene.pair.a, &[]).await);
    for path in [RUNS, "/v1/runs"] {
        for api in [scene.pair.b.api(), scene.pair.a.api()] {
            let answer = api.post(path, &body).await.unwrap();
            assert_eq!((answer.status, &*answer.code()), (404, "not_found"), "{path}");
        }
        let shown = [("authorization", bearer.as_str())];
        let answer = tcp.send(Method::POST, path, &shown, Some(&body)).await.unwrap();
        assert_eq!((answer.status, &*answer.code()), (404, "not_found"), "{path}");
    }
    assert_eq!(scene.state().await.runs, 0);
    let reply = scene.forge.post(RUNS, operation.to_bytes(), &[]).await;
    assert!(reply.is_whole_stream(), "{}", reply.text);
    // Recorded at each side: one row, however many came.
    for (bridge, count) in [(&mut scene.pair.a, "4"), (&mut scene.pair.b, "2")] {
        bridge.stop().await.unwrap();
        bridge.serve().await.unwrap();
        let audit = bridge.audit().await.unwrap();
        let rows: Vec<_> =
            audit.iter().filter(|event| event["deed"] == "local_requests_refused").collect();
        assert_eq!((rows.len(), &rows[0]["detail"]["federation_request"]), (1, &count.into()));
    }
}
