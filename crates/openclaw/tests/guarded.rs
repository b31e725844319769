//! What the bridge may not do at its gateway, and what the gateway may not do to the bridge.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use landbridge_harness::gateway::{Gateway, Installed};
use landbridge_harness::model::Model;
use landbridge_harness::operator::{Operator, Who};
use landbridge_node::adapter::{Adapter, Ending, SideEffects, TroubleCode};
use landbridge_openclaw::{
    Authority, Fault, OpenClaw, OpenClawConfig, Pairing, Secret, pair, status,
};
use serde_json::json;
use support::{Bridge, Scenarios, work};

struct World {
    model: Model,
    gateway: Gateway,
    bridge: Bridge,
}

/// The bridge's own key and token, read as a thief of its files would.
fn stolen(directory: &Path) -> ([u8; 32], String) {
    let seed = std::fs::read(directory.join("device.key")).unwrap();
    let token = std::fs::read_to_string(directory.join("device.token")).unwrap();
    (BASE64URL_NOPAD.decode(&seed).unwrap().try_into().unwrap(), token)
}

fn token(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bridge_holds_little_and_trusts_little() {
    let Some(installed) = Installed::from_env() else {
        return;
    };
    let model = Model::start().await.unwrap();
    let gateway = Gateway::start(&installed, &model.url()).await.unwrap();
    let bridge = Bridge::paired(&gateway).await;
    let world = Arc::new(World { model, gateway, bridge });
    let mut scenarios = Scenarios::default();
    macro_rules! play {
        ($($scenario:ident)*) => {$(
            scenarios.play(stringify!($scenario), $scenario(Arc::clone(&world))).await;
        )*};
    }
    play! {
        the_shared_token_is_not_kept
        admin_methods_are_refused
        a_device_that_answers_approvals_is_refused_them_too
        more_scopes_are_refused
        a_wrong_shared_token_is_refused
        a_revoked_device_says_so
        a_run_of_a_revoked_device_ends_and_says_that_nobody_knows
        another_gateway_is_noticed
    }
    drop(world);
    scenarios.finish();
}

async fn the_shared_token_is_not_kept(world: Arc<World>) {
    let directory = world.bridge.state_dir();
    let mut files = 0;
    for file in std::fs::read_dir(&directory).unwrap() {
        let file = file.unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        assert!(!text.contains(world.gateway.token()), "{:?}", file.path());
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
        files += 1;
    }
    assert!(files >= 2);
    let status = status(&world.bridge.config).await.unwrap();
    assert_eq!(status.scopes, ["operator.write"]);
    assert_eq!(status.device, world.bridge.adapter.device());
    let described = world.bridge.adapter.describe().await;
    assert!(described.reachable && described.agents.contains(&"auto".to_owned()), "{described:?}");
}

/// Of no use to a bridge, and of much to a thief.
const ADMIN: [&str; 19] = [
    "config.patch",
    "config.set",
    "config.apply",
    "device.pair.list",
    "device.pair.approve",
    "device.token.rotate",
    "exec.approvals.get",
    "exec.approvals.set",
    "exec.approvals.node.set",
    "sessions.delete",
    "sessions.reset",
    "agents.create",
    "agents.delete",
    "secrets.resolve",
    "update.run",
    "cron.add",
    "chat.inject",
    "terminal.open",
    "device.token.revoke",
];

async fn admin_methods_are_refused(world: Arc<World>) {
    let (seed, device_token) = stolen(&world.bridge.state_dir());
    let who = Who { seed, auth: "deviceToken", token: &device_token, scopes: &["operator.write"] };
    let mut thief = Operator::connect(world.gateway.port(), &who).await.unwrap();
    are_forbidden(&mut thief, &[&ADMIN[..], &["approval.resolve", "approval.get"]].concat()).await;
}

async fn a_device_that_answers_approvals_is_refused_them_too(world: Arc<World>) {
    let bridge = Bridge::paired_for_approvals(&world.gateway).await;
    let (seed, device_token) = stolen(&bridge.state_dir());
    let scopes = &["operator.approvals", "operator.write"];
    let who = Who { seed, auth: "deviceToken", token: &device_token, scopes };
    let mut thief = Operator::connect(world.gateway.port(), &who).await.unwrap();
    are_forbidden(&mut thief, &ADMIN).await;
    for more in [&["operator.admin"][..], &["operator.approvals", "operator.pairing"]] {
        let who = Who { seed, auth: "deviceToken", token: &device_token, scopes: more };
        assert!(Operator::connect(world.gateway.port(), &who).await.is_err(), "{more:?}");
    }
    assert_eq!(thief.call("approval.history", &json!({})).await.unwrap()["ok"], true);
}

async fn are_forbidden(thief: &mut Operator, methods: &[&str]) {
    for method in methods {
        let answer = thief.call(method, &json!({})).await.unwrap();
        let error = &answer["error"];
        assert_eq!(answer["ok"], false, "{method}");
        assert_eq!(
            (error["code"].as_str(), error["details"]["code"].as_str()),
            (Some("FORBIDDEN"), Some("MISSING_SCOPE")),
            "{method}: {error}"
        );
        println!("  {method}: FORBIDDEN, needs {}", error["details"]["missingScope"]);
    }
    // The same device, asked for what it may do, is served.
    assert_eq!(thief.call("agents.list", &json!({})).await.unwrap()["ok"], true);
}

async fn more_scopes_are_refused(world: Arc<World>) {
    let (seed, device_token) = stolen(&world.bridge.state_dir());
    for scopes in
        [&["operator.admin"][..], &["operator.write", "operator.approvals"], &["operator.pairing"]]
    {
        let who = Who { seed, auth: "deviceToken", token: &device_token, scopes };
        let refused = Operator::connect(world.gateway.port(), &who).await.unwrap_err().to_string();
        assert!(
            refused.contains("SCOPE") || refused.contains("PAIRING_REQUIRED"),
            "{scopes:?}: {refused}"
        );
    }
    let who = Who {
        seed: [7; 32],
        auth: "deviceToken",
        token: &device_token,
        scopes: &["operator.write"],
    };
    let refused = Operator::connect(world.gateway.port(), &who).await.unwrap_err().to_string();
    assert!(
        refused.contains("AUTH_DEVICE_TOKEN_MISMATCH") || refused.contains("unauthorized"),
        "{refused}"
    );
}

async fn a_wrong_shared_token_is_refused(world: Arc<World>) {
    let home = tempfile::tempdir().unwrap();
    let config = OpenClawConfig::new(world.gateway.url(), home.path().join("gateway"));
    assert!(matches!(status(&config).await, Err(Fault::NotPaired)));
    let refused = pair(&config, token("wrong"), Authority::Runs).await.unwrap_err();
    assert!(matches!(refused, Fault::Unauthorized { .. }), "{refused:?}");
    assert!(!refused.to_string().contains("wrong"), "{refused}");
    assert!(!home.path().join("gateway/device.token").exists());
    let adapter = OpenClaw::open(&config).unwrap();
    assert!(adapter.ready(Duration::from_secs(1)).await.is_err());
    let fault = adapter.intend(&work("m-refused")).await.unwrap_err();
    assert_eq!(fault.0.code, TroubleCode::GatewayUnavailable);
    let described = adapter.describe().await;
    assert!(!described.reachable && described.detail.unwrap().contains("gateway connect"));
    assert_eq!(world.model.executions("m-refused"), 0);
}

/// An operator takes a device's pairing away.
async fn remove(world: &World, device: &str, seed: u8) {
    let who = Who {
        seed: [seed; 32],
        auth: "token",
        token: world.gateway.token(),
        scopes: &["operator.admin", "operator.pairing"],
    };
    let mut admin = Operator::connect(world.gateway.port(), &who).await.unwrap();
    let removed = admin.call("device.pair.remove", &json!({"deviceId": device})).await.unwrap();
    assert_eq!(removed["ok"], true, "{removed}");
}

async fn a_revoked_device_says_so(world: Arc<World>) {
    let bridge = Bridge::paired(&world.gateway).await;
    remove(&world, bridge.adapter.device(), 9).await;
    let fault = status(&bridge.config).await.unwrap_err();
    println!("  {fault}");
    assert!(
        matches!(
            fault,
            Fault::Unauthorized { .. } | Fault::NotPaired | Fault::PairingPending { .. }
        ),
        "{fault:?}"
    );
    assert!(fault.needs_a_person());
}

async fn a_run_of_a_revoked_device_ends_and_says_that_nobody_knows(world: Arc<World>) {
    let mut bridge = Bridge::paired(&world.gateway).await;
    bridge.config.refused_max = Duration::from_secs(4);
    let adapter = bridge.restarted();
    adapter.ready(Duration::from_secs(20)).await.unwrap();
    let work = work("m-revoked-in-flight\nmodel: hang");
    let chosen = adapter.intend(&work).await.unwrap();
    let mut watch = support::start(&adapter, &work, chosen.clone());
    watch.until(|story| story.progress.started).await;
    remove(&world, adapter.device(), 10).await;
    let story = watch.end().await;
    let end = story.end();
    assert_eq!((end.ending, end.side_effects), (Ending::Failed, SideEffects::Unknown));
    assert_eq!(end.trouble.as_ref().unwrap().code, TroubleCode::GatewayUnavailable);
    // The next process finds the same gateway, and gives up likewise.
    let adapter = bridge.restarted();
    let story = support::adopt(&adapter, &work, chosen, story.progress.clone()).end().await;
    assert_eq!(story.end().side_effects, SideEffects::Unknown);
}

async fn another_gateway_is_noticed(world: Arc<World>) {
    let bridge = Bridge::paired(&world.gateway).await;
    let identity = bridge.state_dir().join("gateway.id");
    std::fs::write(&identity, "0".repeat(64)).unwrap();
    assert!(matches!(status(&bridge.config).await, Err(Fault::OtherGateway)));
    let adapter = bridge.restarted();
    assert!(
        adapter
            .ready(Duration::from_secs(2))
            .await
            .is_err_and(|fault| matches!(*fault, Fault::OtherGateway))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_asks_its_operator_first() {
    let Some(installed) = Installed::from_env() else {
        return;
    };
    let model = Model::start().await.unwrap();
    let gateway = Gateway::start_with(&installed, &model.url(), |config| {
        config["gateway"]["nodes"] = json!({"pairing": {"autoApproveLocal": false}});
    })
    .await
    .unwrap();
    let home = tempfile::tempdir().unwrap();
    let config = OpenClawConfig::new(gateway.url(), home.path().join("gateway"));
    let pairing = pair(&config, token(gateway.token()), Authority::Runs).await.unwrap();
    let Pairing::Pending { request, next, device } = pairing else { panic!("{pairing:?}") };
    assert!(next.contains(&request) && next.starts_with("openclaw devices approve"));
    assert!(!home.path().join("gateway/device.token").exists());
    // Asking again is the same request, as long as nobody has answered.
    let again = pair(&config, token(gateway.token()), Authority::Runs).await.unwrap();
    assert!(matches!(again, Pairing::Pending { .. }), "{again:?}");
    let Pairing::Pending { request, .. } = again else { panic!("pending") };
    gateway.cli(&["devices", "approve", &request, "--json"]).await.unwrap();
    let pairing = pair(&config, token(gateway.token()), Authority::Runs).await.unwrap();
    let Pairing::Paired { device: paired, scopes, .. } = pairing else { panic!("{pairing:?}") };
    assert_eq!((paired, scopes), (device, vec!["operator.write".to_owned()]));
    let adapter = Arc::new(OpenClaw::open(&config).unwrap());
    adapter.ready(Duration::from_secs(10)).await.unwrap();
    let work = work("m-approved\nmodel: say approved");
    let intent = adapter.intend(&work).await.unwrap();
    let story = support::start(&adapter, &work, intent).end().await;
    assert_eq!(story.end().ending, Ending::Succeeded);
}
