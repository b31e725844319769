//! The kit against our own bridge, a process beside the scripted gateway, and against what is planted in it.
//!
//! A kit that nothing fails proves nothing, so each fault of the table has to be found by its case.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod verdicts;

use std::path::PathBuf;

use landbridge_harness::bridge::{Bridge, program, text};
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
    ("small_order_commitment", "signature-small-order"),
    ("cofactored", "signature-cofactor"),
    ("commitment_as_a_point", "signature-two-spellings"),
    ("owner_unchecked", "run-of-another-caller"),
    ("invite_proof_unchecked", "pairing-proof"),
    ("invite_reused", "pairing-used-invite"),
    ("membership_expiry_unchecked", "membership-time"),
    ("membership_tenants_unchecked", "membership-tenants"),
    ("membership_count_unchecked", "membership-places"),
    ("membership_lapse_unnoticed", "member-lapsed"),
    ("membership_tenant_granted", "member-of-another-tenant"),
    ("admission_unbound", "admission-of-another"),
    ("start_rate_ignored", "quota-of-starts"),
    ("duplicate_tool_args", "tool-args-names"),
    ("session_guessed", "session-of-another-caller"),
    ("turns_at_once", "session-in-order"),
    ("catalog_ungranted", "grant-withdrawn"),
    ("ask_audience_unchecked", "question-to-another"),
    ("ask_life_unchecked", "question-expired"),
    ("ask_subject_unchecked", "question-of-other-bytes"),
    ("approval_agent_unchecked", "approval-target"),
    ("old_keys_unneeded", "root-of-the-new-key-alone"),
    ("new_keys_unneeded", "root-of-the-old-key-alone"),
    ("root_version_unchecked", "root-gap"),
    ("root_prev_unchecked", "root-other-predecessor"),
    ("walk_judges_expiry", "root-expired"),
    ("root_life_unchecked", "root-life"),
    ("root_threshold_unchecked", "root-threshold"),
    ("root_steps_unchecked", "root-steps"),
    ("key_in_two_roles", "root-key-in-two-roles"),
    ("key_id_unchecked", "root-key-misnamed"),
    ("key_order_unchecked", "root-key-points"),
    ("key_torsion_unchecked", "root-key-points"),
    ("retired_keys_trusted", "root-former-key"),
    ("revoked_askers_stream_goes_on", "root-key-revoked"),
    ("over_budget_goes_on", "limit-of-tokens"),
    ("discloses_all", "disclosed-as-digests"),
    ("slow_body_waited_for", "slow-request"),
    ("suspended_served", "suspended"),
    ("halt_ignored_by_executor", "halted"),
    ("stream_outlives_revocation", "revoked-peer"),
    ("status_twice_unchecked", "equivocation"),
    ("stapled_equivocation_unnoticed", "equivocation"),
    ("seen_unchecked", "restored-seen"),
    ("lost_history_starts", "restored-shown-a-status"),
];

/// All profiles but the core and the slowest one.
const OTHERS: [&str; 11] = [
    "owners",
    "pairing",
    "members",
    "quotas",
    "tools",
    "sessions",
    "approvals",
    "crashes",
    "rotation",
    "standing",
    "restores",
];
/// How the kit is told what there is.
const RUN: [&str; 23] = [
    "run",
    "--agent",
    "demo",
    "--prompt",
    "count 5 20",
    "--endless-prompt",
    "hang",
    "--other-agent",
    "other",
    "--tight",
    "tight:tight:tight",
    "--tool",
    "clock",
    "--slow-tool-args",
    r#"{"ms":5000}"#,
    "--waiting-prompt",
    "approval exec 60000 rm\nsay after",
    "--flood-prompt",
    "count 60000 0",
    "--usage-prompt",
    "usage 20 30\nsay more\nhang",
    "--scope",
    "sre-lead",
];
/// What an operator does for the kit; the script says how.
const DEEDS: [&str; 19] = [
    "activate",
    "admit",
    "approve",
    "deny",
    "drain",
    "federation",
    "grant",
    "halt",
    "invite",
    "keep",
    "lift",
    "recover",
    "restart",
    "restore",
    "resume",
    "revoke-other",
    "rotate",
    "suspend",
    "withdraw",
];
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ours/executor.sh");
/// Limits of the whole bridge that are not what is tried here.
const WIDE: [(&str, &str); 3] = [
    ("LANDBRIDGE_LIMITS_STARTS_PER_MINUTE_MAX", "100000"),
    ("LANDBRIDGE_LIMITS_RUNS_OPEN_MAX", "1000"),
    ("LANDBRIDGE_LIMITS_RUNS_OPEN_PER_PEER_MAX", "1000"),
];

/// Fewer would mean that a list of cases was lost: of the core, of the other profiles, and of the slowest one.
const CASES_MIN: [usize; 3] = [120, 121, 2];

#[tokio::test]
async fn our_bridge_passes_every_case_of_the_core() {
    passes(&[], CASES_MIN[0]).await;
}

#[tokio::test]
async fn our_bridge_passes_every_case_of_the_other_profiles() {
    let profiles: Vec<&str> = OTHERS.iter().flat_map(|name| ["--profile", *name]).collect();
    passes(&profiles, CASES_MIN[1]).await;
}

#[tokio::test]
async fn our_bridge_waits_for_nobody() {
    passes(&["--profile", "patience"], CASES_MIN[2]).await;
}

async fn passes(further: &[&str], cases_min: usize) {
    let told = tried(None, further).await;
    verdicts::all_pass(&told, cases_min);
}

#[tokio::test]
#[ignore = "needs LANDBRIDGE_BIN to be a program that faults can be planted in: run cargo xtask conformance"]
async fn each_planted_fault_is_found_by_its_case() {
    let tried = |fault, case| async move { tried(Some(fault), &["--only", case]).await };
    verdicts::each_is_found(FAULTS, tried).await;
}

/// What the kit tells of a new bridge that it was introduced to, with a second kit beside it.
async fn tried(fault: Option<&str>, further: &[&str]) -> Value {
    let place = tempfile::tempdir().unwrap();
    let bridge = Bridge::init(place.path().join("bridge"), &WIDE).await.unwrap();
    let operator = Operator { home: bridge.home().to_owned(), fault: fault.map(str::to_owned) };
    operator.does("serve").await;
    let homes = ["kit", "other"].map(|name| place.path().join(name));
    for (name, home) in ["kit", "other"].into_iter().zip(&homes) {
        let invite =
            text(&bridge.json(&["peer", "invite", name]).await.unwrap(), "invite").unwrap();
        let words = text(&kit(&operator, home, &["join", &invite]).await, "words").unwrap();
        bridge.json(&["peer", "accept", name, "--words", &words]).await.unwrap();
    }
    bridge.publish("sre-lead", "Leads an incident.").await.unwrap();
    bridge.enrol("carol", &["sre-lead"]).await.unwrap();
    operator.does("grant").await;
    bridge.json(&["grant", "add", "other", "--agent", "other"]).await.unwrap();
    let tight = ["grant", "add", "kit", "--agent", "tight", "--tenant", "tight:tight"];
    let limits = ["--concurrent", "1", "--starts-per-second", "1", "--disclose-output", "digest"];
    bridge.json(&[&tight[..], &limits].concat()).await.unwrap();

    let mut line: Vec<String> = RUN.into_iter().map(str::to_owned).collect();
    line.extend(["--other-home".to_owned(), homes[1].display().to_string()]);
    for deed in DEEDS {
        line.extend(["--hook".to_owned(), format!("{deed}={}", operator.line(deed))]);
    }
    line.extend(further.iter().map(|word| (*word).to_owned()));
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    kit(&operator, &homes[0], &line).await
}

/// Whoever does what an operator of the bridge would, and ends it at last.
struct Operator {
    home: PathBuf,
    fault: Option<String>,
}

impl Operator {
    /// The command of a deed.
    fn line(&self, deed: &str) -> String {
        let program = program().unwrap().display();
        format!("{SCRIPT} {program} {} {deed}", self.home.display())
    }

    async fn does(&self, deed: &str) {
        let mut command = Command::new("sh");
        let output = self.in_its_place(command.arg("-c").arg(self.line(deed))).output().await;
        let output = output.unwrap();
        assert!(output.status.success(), "{deed}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn in_its_place<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let fault = self.fault.iter().map(|fault| ("LANDBRIDGE_PLANTED", fault.as_str()));
        command.envs(WIDE.into_iter().chain(fault)).kill_on_drop(true)
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ended = std::process::Command::new("sh").arg("-c").arg(self.line("stop")).status();
    }
}

async fn kit(operator: &Operator, home: &PathBuf, arguments: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_landbridge-conformance"));
    command.arg("--json").arg("--home").arg(home).args(arguments);
    let output = operator.in_its_place(&mut command).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let told = serde_json::from_slice(&output.stdout);
    let told: Value = told.unwrap_or_else(|_| panic!("{arguments:?}: {said}"));
    let failed = told["counts"]["fail"].is_u64();
    assert_eq!(output.status.code(), Some(i32::from(failed)), "{said}");
    told
}
