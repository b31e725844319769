//! Who asks, whom, and for what.

use super::*;

#[tokio::test]
async fn a_stranger_is_refused_and_a_peer_is_not() {
    let scene = Scene::set().await;
    let stranger = Forge::stranger(&scene.pair.place.path().join("s"), &scene.pair.b).await;
    let before = (scene.state().await, refusals(&scene.pair.b, "verification_failed").await);
    let reply = stranger.send(RUNS, &stranger.start("stranger-asks-0001")).await;
    scene.held(&reply, before, (401, "verification_failed", false)).await;
    // With the peer's name, the peer's status, and its own key.
    let mut request = scene.forge.start("stranger-asks-0001");
    let before = (scene.state().await, refusals(&scene.pair.b, "verification_failed").await);
    let reply = scene.forge.send_signed(RUNS, &stranger.sign(&request), &scene.forge.status).await;
    scene.held(&reply, before, (401, "verification_failed", false)).await;
    scene.served(&request).await;
    // The peer in the stranger's name.
    request["iss"] = stranger.gateway().into();
    scene.refused(RUNS, &request, 401, "verification_failed", false).await;
}

#[tokio::test]
async fn a_peer_without_a_grant_is_refused_until_it_has_one() {
    let pair = Pair::start(&[], &[]).await.unwrap();
    let forge = Forge::of(&pair.a, &pair.b).await;
    let scene = Scene { pair, forge };
    let start = scene.forge.start("no-grant-yet-00001");
    scene.refused(RUNS, &start, 403, "not_granted", true).await;
    scene.pair.grant(&[]).await.unwrap();
    scene.served(&start).await;
}

#[tokio::test]
async fn another_audience_tenant_agent_or_operation_is_refused() {
    let scene = Scene::set().await;
    let good = scene.forge.start("one-key-for-all-01");
    let bent = |pointer: &str, value: Value| {
        let mut request = good.clone();
        *request.pointer_mut(pointer).unwrap() = value;
        request
    };
    let other = bent("/aud", scene.pair.a.gateway().into());
    scene.refused(RUNS, &other, 401, "verification_failed", false).await;
    for tenant in ["/tenant/src", "/tenant/dst"] {
        scene.refused(RUNS, &bent(tenant, "acme".into()), 403, "not_granted", true).await;
    }
    let path = "/federation/v1/runs/cancel";
    scene.refused(path, &good, 400, "malformed", true).await;
    scene.refused(RUNS, &bent("/op", "attach".into()), 400, "malformed", false).await;
    scene.refused(RUNS, &bent("/proto", vec![2].into()), 400, "protocol_unsupported", true).await;
    scene
        .refused(
            RUNS,
            &bent("/seen", serde_json::json!({"n": 9, "seq": 1})),
            503,
            "rolled_back",
            true,
        )
        .await;
    // The last check: the key stays free, although the request itself is remembered.
    let agent = scene.forge.send(RUNS, &bent("/body/agentTarget/agent", "root".into())).await;
    assert_eq!(agent.refusal(), (403, "not_granted", true));
    assert_eq!((scene.state().await.runs, scene.state().await.executions), (0, 0));
    let mut good = scene.forge.start("one-key-for-all-01");
    scene.served(&good).await;
    good["jti"] = scene.forge.start("one-key-for-all-01")["jti"].clone();
    good["body"]["prompt"] = "say something else".into();
    let conflict = scene.forge.send(RUNS, &good).await;
    assert_eq!(conflict.refusal(), (422, "key_conflict", true));
    assert_eq!(scene.state().await.executions, 1);
}

#[tokio::test]
async fn changed_bytes_are_refused() {
    let scene = Scene::set().await;
    let start = scene.forge.start("changed-bytes-0001");
    let signed = scene.forge.sign(&start);
    let mut longer = start.clone();
    longer["body"]["prompt"] = "say another thing".into();
    // The signature of one request under another.
    let (one, other) = (json(&signed), json(&scene.forge.sign(&longer)));
    let mut mixed = one.clone();
    mixed["payload"] = other["payload"].clone();
    let before = (scene.state().await, refusals(&scene.pair.b, "verification_failed").await);
    let reply = scene.forge.send_signed(RUNS, &envelope(&mixed), &scene.forge.status).await;
    scene.held(&reply, before, (401, "verification_failed", false)).await;
    // A flipped bit in the signature.
    let mut flipped = one.clone();
    let sig = flipped["signatures"][0]["sig"].as_str().unwrap();
    let first = if sig.starts_with('A') { "B" } else { "A" };
    flipped["signatures"][0]["sig"] = format!("{first}{}", &sig[1..]).into();
    let before = (scene.state().await, refusals(&scene.pair.b, "verification_failed").await);
    let reply = scene.forge.send_signed(RUNS, &envelope(&flipped), &scene.forge.status).await;
    scene.held(&reply, before, (401, "verification_failed", false)).await;
    scene.served(&start).await;
}

#[tokio::test]
async fn a_status_that_expired_or_went_back_is_refused() {
    let scene = Scene::set().await;
    let start = scene.forge.start("stale-status-00001");
    let signed = scene.forge.sign(&start);
    let expired = scene.forge.restate(|status| {
        let since = status["incarnation"]["since"].as_i64().unwrap();
        assert!(since < status["issued"].as_i64().unwrap());
        status["issued"] = since.into();
        status["seq"] = since.into();
        (status["expires"], status["refresh_ms"]) = ((since + 1).into(), 1.into());
    });
    let back = scene.forge.restate(|status| {
        let since = status["incarnation"]["since"].clone();
        status["issued"] = since.clone();
        status["seq"] = since;
    });
    scene.served(&scene.forge.start("teaches-the-status")).await;
    for stale in [expired, back] {
        let before = (scene.state().await, refusals(&scene.pair.b, "status_stale").await);
        let reply = scene.forge.send_signed(RUNS, &signed, &stale).await;
        scene.held(&reply, before, (409, "status_stale", false)).await;
    }
    scene.served(&start).await;
}

fn json(envelope: &landbridge_proto::wire::envelope::Envelope) -> Value {
    serde_json::from_slice(&envelope.to_bytes()).unwrap()
}

fn envelope(value: &Value) -> landbridge_proto::wire::envelope::Envelope {
    let bytes = landbridge_proto::wire::json::canonical::to_vec(value).unwrap();
    landbridge_proto::wire::envelope::Envelope::parse(&bytes).unwrap()
}
