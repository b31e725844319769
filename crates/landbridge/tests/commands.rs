//! The command line as a script sees it: exit codes, streams and help, of the real binary.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::path::Path;
use std::process::{Command, Output};

fn landbridge(home: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_landbridge"))
        .arg("--home")
        .arg(home)
        .args(arguments)
        .env_remove("LANDBRIDGE_HOME")
        .output()
        .unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn made() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let output = landbridge(&home, &["init", "--adapter", "scripted", "--json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    dir
}

#[test]
fn wrong_usage_is_64_and_help_is_data() {
    let home = Path::new("/nonexistent");
    assert_eq!(code(&landbridge(home, &["run", "nope"])), 64);
    assert_eq!(code(&landbridge(home, &["verify", "x.jsonl"])), 64);
    let help = landbridge(home, &["--help"]);
    assert_eq!(code(&help), 0);
    assert!(String::from_utf8(help.stdout).unwrap().contains("Exit codes:"));
    assert!(help.stderr.is_empty());
}

//= STR-48
#[test]
fn evidence_is_judged_offline_and_the_exit_code_is_the_verdict() {
    let home = Path::new("/nonexistent");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../spec/examples/evidence.jsonl");
    let text = std::fs::read_to_string(file).unwrap();
    let header: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let pin = header["gateway"].as_str().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let judge = |text: &str, pin: &str| {
        let place = dir.path().join("proof.jsonl");
        std::fs::write(&place, text).unwrap();
        let place = place.to_str().unwrap();
        landbridge(home, &["evidence", "verify", place, "--pin", pin, "--json"])
    };
    let proven = judge(&text, pin);
    assert_eq!(code(&proven), 0, "{}", stderr(&proven));
    let verdict: serde_json::Value = serde_json::from_slice(&proven.stdout).unwrap();
    assert_eq!(verdict["outcome"]["verdict"], "proven");
    let bytes = text.as_bytes();
    for at in (0..bytes.len()).step_by(211) {
        let mut changed = bytes.to_vec();
        changed[at] ^= 1;
        let judged = judge(&String::from_utf8_lossy(&changed), pin);
        assert!([2, 3, 4].contains(&code(&judged)), "byte {at}: {}", stderr(&judged));
    }
    let cut: Vec<&str> = text.split_inclusive('\n').take(4).collect();
    assert_eq!(code(&judge(&cut.concat(), pin)), 2);
    assert_eq!(code(&judge(&text, &format!("gw1-{}", "a".repeat(52)))), 3);
    assert_eq!(code(&judge("no evidence\n", pin)), 4);
    assert_eq!(code(&landbridge(home, &["evidence", "verify", file])), 64);
    assert_eq!(code(&landbridge(home, &["evidence", "verify", "/not/there", "--pin", pin])), 64);
}

#[test]
fn every_command_has_help() {
    let mut left = vec![Vec::new()];
    let mut commands = 0;
    while let Some(line) = left.pop() {
        let arguments: Vec<&str> = line.iter().map(String::as_str).chain(["--help"]).collect();
        let output = landbridge(Path::new("/nonexistent"), &arguments);
        assert_eq!(code(&output), 0, "{line:?}");
        let help = String::from_utf8(output.stdout).unwrap();
        let (about, usage) = help.split_once("Usage: ").unwrap_or_default();
        assert!(!about.trim().is_empty() && !usage.is_empty(), "{line:?} says {help}");
        commands += 1;
        // The commands below it, as its own help lists them.
        let listed = help.split_once("\nCommands:\n").map(|(_, rest)| rest).unwrap_or_default();
        let listed = listed.lines().take_while(|line| !line.is_empty());
        let names = listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
        for name in names.filter(|name| !name.is_empty() && *name != "help") {
            left.push([&line[..], &[name.to_owned()]].concat());
        }
    }
    assert!(commands > 70, "only {commands} commands were found");
}

#[test]
fn without_a_bridge_commands_end_with_69_and_say_what_to_do() {
    let dir = made();
    let home = dir.path().join("home");
    for arguments in [
        vec!["peer", "list"],
        vec!["run", "start", "eu", "--prompt", "hi"],
        vec!["grant", "list"],
        vec!["scope", "list"],
        vec!["operator", "list"],
        vec!["token", "list"],
        vec!["route", "list"],
        vec!["approval", "list"],
        vec!["audit", "show"],
        vec!["gateway", "status"],
    ] {
        let output = landbridge(&home, &arguments);
        assert_eq!(code(&output), 69, "{arguments:?}");
        let said = stderr(&output);
        assert!(said.contains("start it with `landbridge serve`"), "{said}");
        assert!(output.stdout.is_empty());
    }
    let output = landbridge(&home, &["peer", "list", "--json"]);
    let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["error"]["exit"], 69);
}

#[test]
fn limits_of_a_run_are_counts_and_money_from_the_smallest_on() {
    let dir = made();
    let home = dir.path().join("home");
    let start = |further: &[&str]| {
        let line = [&["run", "start", "eu", "--prompt", "hi"], further].concat();
        code(&landbridge(&home, &line))
    };
    // Taken, and then there is no bridge.
    assert_eq!(start(&["--tokens", "1000", "--cost", "0.25", "--frames", "9", "--bytes", "1"]), 69);
    for bad in [["--tokens", "0"], ["--cost", "0"], ["--cost", "none"], ["--frames", "-1"]] {
        assert_eq!(start(&bad), 64, "{bad:?}");
    }
}

#[test]
fn a_second_init_is_refused_and_a_first_one_prints_the_gateway() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let output = landbridge(&home, &["init", "--adapter", "scripted", "--json"]);
    let made: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(made["gateway"].as_str().unwrap().starts_with("gw1-"));
    let again = landbridge(&home, &["init", "--adapter", "scripted"]);
    assert_eq!(code(&again), 73, "{}", stderr(&again));
}

#[test]
fn what_is_no_transcript_is_unreadable_and_what_is_not_there_is_wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("run.jsonl");
    std::fs::write(&file, "{}\n").unwrap();
    let pin = format!("gw1-{}", "a".repeat(52));
    let verify = |file: &Path| {
        landbridge(dir.path(), &["verify", file.to_str().unwrap(), "--pin", &pin, "--json"])
    };
    let output = verify(&file);
    assert_eq!(code(&output), 4, "{}", stderr(&output));
    let verdict: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(verdict["outcome"]["verdict"], "unreadable");
    assert_eq!(code(&verify(&dir.path().join("none"))), 64);
}

#[test]
fn the_example_is_right_and_a_wrong_setting_is_78() {
    let dir = made();
    let home = dir.path().join("home");
    let example = landbridge(&home, &["config", "example"]);
    let file = dir.path().join("example.toml");
    std::fs::write(&file, &example.stdout).unwrap();
    let output = landbridge(&home, &["config", "check", file.to_str().unwrap()]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    std::fs::write(&file, "[federation]\nlisten = \"nowhere\"\nnovel = 1\n").unwrap();
    let output = landbridge(&home, &["config", "check", file.to_str().unwrap()]);
    assert_eq!(code(&output), 78);
    let said = stderr(&output);
    assert!(said.contains("novel") && said.contains("federation.listen"), "{said}");
}

#[test]
fn an_open_home_is_77() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = made();
    let home = dir.path().join("home");
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = landbridge(&home, &["serve"]);
    assert_eq!(code(&output), 77, "{}", stderr(&output));
    assert!(stderr(&output).contains("chmod 700"));
}

#[test]
fn no_colour_goes_into_a_pipe() {
    let dir = made();
    let home = dir.path().join("home");
    for arguments in [vec!["doctor"], vec!["peer", "list"], vec!["config", "check"]] {
        let output = landbridge(&home, &arguments);
        assert!(!output.stdout.contains(&0x1b) && !output.stderr.contains(&0x1b), "{arguments:?}");
    }
}

#[test]
fn completions_know_the_commands() {
    let output = landbridge(Path::new("/nonexistent"), &["completions", "bash"]);
    assert_eq!(code(&output), 0);
    assert!(String::from_utf8(output.stdout).unwrap().contains("gateway"));
}
