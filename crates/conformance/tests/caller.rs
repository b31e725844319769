//! The kit as executor against our own bridge as caller, and against what is planted in it.
//!
//! The bridge is a process, and is told what to do by its command line, as the kit's README says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod verdicts;

use std::path::Path;
use std::process::Stdio;

use landbridge_harness::bridge::{Bridge, free_address, program, text};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

/// A check that a plantable program can be without, and the case that must notice.
const FAULTS: &[(&str, &str)] = &[
    ("no_accept_is_taken", "succeeds"),
    ("released_unsealed", "seal-flipped-bit"),
    ("head_unchecked", "frame-changed"),
    ("order_unchecked", "frame-numbers"),
    ("final_unchecked", "seal-final-too-early"),
    ("seal_of_another_run", "seal-of-another-run"),
    ("seal_number_unchecked", "seal-number"),
    ("frames_after_terminal", "two-terminals"),
    ("frame_spelling_unchecked", "frame-white-space"),
    ("accept_unchecked", "accept-of-another-key"),
    ("second_accept_taken", "another-accept"),
    ("unsealed_accept_taken", "accept-by-former-key"),
    ("journal_not_compared", "another-history"),
    ("mismatch_is_evidence", "frame-changed"),
    ("forged_trusted", "accept-flipped-bit"),
    ("stranger_skipped", "seal-and-stranger"),
    ("kind_unchecked", "cancel-answer-of-another-kind"),
    ("signature_counted_twice", "seal-key-twice"),
    ("scalar_reduced", "seal-scalar"),
    ("integers_unchecked", "frame-fraction"),
    ("spelling_unchecked", "seal-spelling"),
    ("revoked_trusted", "seal-by-revoked-key"),
    ("retired_keys_trusted", "seal-by-former-key"),
    ("old_keys_unneeded", "root-not-signed-by-the-former"),
    ("new_keys_unneeded", "root-not-signed-by-its-own"),
    ("root_version_unchecked", "root-version"),
    ("root_prev_unchecked", "root-prev"),
    ("root_life_unchecked", "root-lives-too-long"),
    ("key_in_two_roles", "root-key-in-two-roles"),
    ("key_id_unchecked", "root-key-name"),
    ("roots_lost_with_status", "root-with-a-bad-status"),
    ("key_begin_unchecked", "key-not-yet"),
    ("key_end_unchecked", "key-no-more"),
    ("moved_peer_not_followed", "endpoint-moved"),
    ("stale_trusted", "status-expired"),
    ("status_seq_unchecked", "status-older"),
    ("status_of_the_future", "status-of-the-future"),
    ("status_issuer_unchecked", "status-of-another"),
    ("status_twice_unchecked", "another-status"),
    ("every_refusal_a_verdict", "refused-for-now"),
    ("no_refusal_is_a_verdict", "verdict"),
    ("redirect_followed", "redirected-to-itself"),
    ("key_renewed", "start-repeated"),
    ("jti_of_the_second", "start-repeated"),
    ("silence_waited_for", "silence"),
    ("any_byte_is_a_sign_of_life", "silence"),
];

/// Fewer would mean that a list of cases was lost.
const CASES_MIN: usize = 160;
#[tokio::test]
async fn our_bridge_passes_every_case_as_a_caller() {
    let told = tried(None, &[]).await;
    verdicts::all_pass(&told, CASES_MIN);
}

#[tokio::test]
#[ignore = "needs LANDBRIDGE_BIN to be a program that faults can be planted in: run cargo xtask conformance"]
async fn each_fault_planted_in_the_caller_is_found_by_its_case() {
    let tried = |fault, case| async move { tried(Some(fault), &["--only", case]).await };
    verdicts::each_is_found(FAULTS, tried).await;
}

/// What the kit tells of a new bridge that it invited.
async fn tried(fault: Option<&str>, further: &[&str]) -> Value {
    let place = tempfile::tempdir().unwrap();
    let mut bridge = Bridge::init(place.path().join("bridge"), &[]).await.unwrap();
    if let Some(fault) = fault {
        bridge.set("LANDBRIDGE_PLANTED", fault);
    }
    bridge.serve().await.unwrap();
    let home = place.path().join("kit");
    let listen = free_address().unwrap().to_string();
    let words = invited(&home, &listen, &bridge).await;
    bridge.json(&["peer", "accept", "kit", "--words", &words]).await.unwrap();
    let asked = r#"kit --agent "$KIT_AGENT" --prompt "$KIT_PROMPT" --key "$KIT_KEY""#;
    let own = format!("{} --home {}", program().unwrap().display(), bridge.home().display());
    let start = format!("exec {own} --json run start {asked}");
    let cancel = format!("exec {own} run cancel $({own} run start {asked} --detach)");
    let lift = format!("exec {own} peer resume kit --because conformance");
    let orders = ["--start", &start, "--cancel", &cancel, "--lift", &lift];
    let run = ["run", "--profile", "core-caller", "--listen", &listen, "--agent", "demo"];
    let output = kit(&home, &[&run, &orders[..], further].concat()).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let told = serde_json::from_slice(&output.stdout);
    let told: Value = told.unwrap_or_else(|_| panic!("{further:?}: {said}"));
    let failed = told["counts"]["fail"].is_u64();
    assert_eq!(output.status.code(), Some(i32::from(failed)), "{said}");
    told
}

/// Has the bridge join by the kit's invite, and returns the words that the kit tells.
async fn invited(home: &Path, listen: &str, bridge: &Bridge) -> String {
    let mut command = kit(home, &["invite", "--listen", listen]);
    let mut inviting = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(inviting.stdout.take().unwrap()).lines();
    let mut next = async |name| {
        let line = lines.next_line().await.unwrap().unwrap();
        text(&serde_json::from_str(&line).unwrap(), name).unwrap()
    };
    let invite = next("invite").await;
    bridge.json(&["peer", "join", &invite, "--alias", "kit"]).await.unwrap();
    let words = next("words").await;
    assert!(inviting.wait().await.unwrap().success());
    words
}

fn kit(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_landbridge-conformance"));
    command.arg("--json").arg("--home").arg(home).args(arguments).kill_on_drop(true);
    command
}
