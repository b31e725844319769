//! The kit against our own bridge, a process beside the scripted gateway, and against what is planted in it.
//!
//! A kit that nothing fails proves nothing, so each fault of the table has to be found by its case.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::PathBuf;

use landbridge_harness::bridge::{Bridge, text};
use serde_json::Value;
use tokio::process::Command;

/// A check that a plantable program can be without, and the case that must notice.
const FAULTS: &[(&str, &str)] = &[
    ("forged_trusted", "signature-flipped-bit"),
    ("stranger_skipped", "signer-beside"),
    ("kind_unchecked", "kind-other"),
    ("unsigned_accepted", "envelope-unsigned"),
    ("signature_counted_twice", "envelope-key-twice"),
    ("signature_count_unchecked", "envelope-many-signatures"),
    ("spelling_unchecked", "payload-white-space"),
    ("name_alphabet_unchecked", "names"),
    ("scalar_reduced", "signature-scalar"),
    ("payload_size_unchecked", "payload-too-large"),
    ("revoked_trusted", "revoked"),
    ("revocation_forgotten", "revoked"),
    ("status_seq_unchecked", "status-older"),
    ("status_expiry_unchecked", "status-expired"),
    ("own_limits_ignored", "limit-of-frames"),
    ("encoding_unchecked", "content-encoding"),
    ("cancel_only_said", "cancel"),
    ("status_of_the_future", "status-future"),
    ("issuer_unchecked", "issuer"),
    ("audience_unchecked", "audience"),
    ("route_unchecked", "operation-of-another-route"),
    ("clock_unchecked", "clock-ahead"),
    ("life_unchecked", "life"),
    ("version_unchecked", "protocol-versions"),
    ("print_unchecked", "key-conflict"),
    ("agent_unchecked", "not-granted"),
    ("blocked_key_starts", "cancel-before-start"),
    ("jti_forgotten", "replayed"),
    ("routes_folded", "route-unknown"),
];

/// Fewer would mean that a list of cases was lost.
const CASES_MIN: usize = 107;

#[tokio::test]
async fn our_bridge_passes_every_case() {
    let told = tried(None, &[]).await;
    let cases = told["cases"].as_array().unwrap();
    let others: Vec<&Value> = cases.iter().filter(|case| case["verdict"] != "pass").collect();
    assert!(others.is_empty(), "{others:#?}");
    assert!(cases.len() >= CASES_MIN, "{} cases", cases.len());
}

#[tokio::test]
#[ignore = "needs LANDBRIDGE_BIN to be a program that faults can be planted in: run cargo xtask conformance"]
async fn each_planted_fault_is_found_by_its_case() {
    let mut missed = Vec::new();
    for (fault, case) in FAULTS {
        let told = tried(Some(fault), &["--only", case]).await;
        let verdict = &told["cases"][0];
        let (told, clauses, why) = (&verdict["verdict"], &verdict["clauses"], &verdict["reason"]);
        println!("{fault}: {told} by {case}, {clauses}: {why}");
        if verdict["verdict"] != "fail" {
            missed.push(*fault);
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}

/// What the kit tells of a new bridge that it was introduced to.
async fn tried(fault: Option<&str>, further: &[&str]) -> Value {
    let place = tempfile::tempdir().unwrap();
    let mut bridge = Bridge::init(place.path().join("bridge"), &[]).await.unwrap();
    if let Some(fault) = fault {
        bridge.set("LANDBRIDGE_PLANTED", fault);
    }
    bridge.serve().await.unwrap();
    let home = place.path().join("kit");
    let invite = text(&bridge.json(&["peer", "invite", "kit"]).await.unwrap(), "invite").unwrap();
    let joined = kit(&home, &["join", &invite]).await;
    let words = text(&joined, "words").unwrap();
    bridge.json(&["peer", "accept", "kit", "--words", &words]).await.unwrap();
    bridge.json(&["grant", "add", "kit", "--agent", "demo"]).await.unwrap();
    let run = ["run", "--agent", "demo", "--prompt", "count 5 20", "--endless-prompt", "hang"];
    kit(&home, &[&run, further].concat()).await
}

async fn kit(home: &PathBuf, arguments: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_landbridge-conformance"));
    command.arg("--json").arg("--home").arg(home).args(arguments).kill_on_drop(true);
    let output = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let told = serde_json::from_slice(&output.stdout);
    let told: Value = told.unwrap_or_else(|_| panic!("{arguments:?}: {said}"));
    let failed = told["counts"]["fail"].is_u64();
    assert_eq!(output.status.code(), Some(i32::from(failed)), "{said}");
    told
}
