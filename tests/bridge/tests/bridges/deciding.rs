//! A run at B waits for A's operators, as two people do it: with the commands, an SSH key and an agent.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use landbridge_harness::bridge::{Bridge, Pair, text};
use serde_json::Value;

/// An SSH key of this machine; `None` where there is no OpenSSH.
fn ssh_key(dir: &Path) -> Option<PathBuf> {
    let file = dir.join("id_ed25519");
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", "ed25519", "-N", "", "-C", "alice", "-f"]).arg(&file);
    command.status().ok()?.success().then_some(file)
}

/// A real agent that ends with the test.
struct Agent {
    process: Child,
    socket: PathBuf,
}

impl Agent {
    async fn with(key: &Path, dir: &Path) -> Self {
        let socket = dir.join("agent.sock");
        let mut command = Command::new("ssh-agent");
        command.args(["-D", "-a"]).arg(&socket).stdout(Stdio::null());
        let agent = Self { process: command.spawn().unwrap(), socket };
        for _ in 0..200 {
            let mut add = Command::new("ssh-add");
            add.arg("-q").arg(key).env("SSH_AUTH_SOCK", &agent.socket).stderr(Stdio::null());
            if add.status().unwrap().success() {
                return agent;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the agent did not take the key");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn said(bridge: &Bridge, arguments: &[&str], agent: Option<&Agent>) -> (i32, String, String) {
    let mut command = bridge.command(arguments).unwrap();
    command.env_remove("SSH_AUTH_SOCK");
    if let Some(agent) = agent {
        command.env("SSH_AUTH_SOCK", &agent.socket);
    }
    let output = command.output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// The only open approval that A's operators are asked for.
async fn asked(a: &Bridge) -> String {
    for _ in 0..200 {
        let list = a.json(&["approval", "list", "--side", "deciding"]).await.unwrap();
        if let Some(one) = list["approvals"].as_array().and_then(|all| all.first()) {
            return text(one, "id").unwrap();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("nobody was asked");
}

/// A pair in which A's `sre-lead` fulfils B's `lead`, and alice at A holds it with this key.
async fn pair(key: &Path) -> Pair {
    let pair = Pair::start(&[], &[]).await.unwrap();
    pair.a.configure_scope("sre-lead", "Leads.").unwrap();
    let public = format!("{}.pub", key.display());
    for line in [
        &["scope", "publish", "--yes"][..],
        &["operator", "enrol", "alice", "--scope", "sre-lead", "--key", &public],
        &["grant", "add", "eu", "--ask", "approval-request"],
    ] {
        let (code, _, told) = said(&pair.a, line, None).await;
        assert_eq!(code, 0, "{line:?}: {told}");
    }
    let asks = ["--ask", "prompt", "--ask", "approval-grant", "--approval-scope", "lead"];
    pair.grant(&asks).await.unwrap();
    let map = ["scope", "map", "add", "us", "--remote-scope", "sre-lead", "--scope", "lead"];
    let (code, _, told) = said(&pair.b, &map, None).await;
    assert_eq!(code, 0, "{told}");
    pair
}

#[tokio::test]
async fn two_commands_lead_from_a_run_that_waits_to_its_end() {
    let keys = tempfile::tempdir().unwrap();
    let Some(key) = ssh_key(keys.path()) else { return };
    let pair = pair(&key).await;
    let script = "approval exec 120000 rm -rf /srv/x \u{202e}\nsay done\n";
    let run = pair.run("deciding-1-aaaaaaaaaa", script).await.unwrap();

    let id = asked(&pair.a).await;
    let agent = Agent::with(&key, keys.path()).await;
    let public = format!("{}.pub", key.display());
    std::fs::rename(&key, keys.path().join("taken-away")).unwrap();
    let line = ["approval", "approve", &id, "--key", &public, "--yes"];
    let (code, _, shown) = said(&pair.a, &line, Some(&agent)).await;
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("rm -rf /srv/x ⟨U+202E⟩"), "{shown}");
    assert!(shown.contains("alice approves this as sre-lead"), "{shown}");

    let (code, _, told) = said(&pair.a, &["run", "wait", &run, "--timeout", "60s"], None).await;
    assert_eq!(code, 0, "{told}");
    // The gateway that relied has the record, and anybody can judge it.
    let file = pair.b.home().join("approval.jsonl");
    let file = file.to_str().unwrap();
    let (code, _, told) = said(&pair.b, &["approval", "export", &id, "--output", file], None).await;
    assert_eq!(code, 0, "{told}");
    let verify = ["verify", file, "--json", "--pin"];
    let (code, verdict, told) =
        said(&pair.a, &[&verify[..], &[pair.b.gateway()]].concat(), None).await;
    assert_eq!(code, 0, "{told}");
    let verdict: Value = serde_json::from_str(&verdict).unwrap();
    assert_eq!(verdict["summary"]["decisions"][0]["sub"], "alice");
    assert_eq!(verdict["summary"]["decisions"][0]["method"], "ssh");
    let (code, ..) = said(&pair.a, &[&verify[..], &[pair.a.gateway()]].concat(), None).await;
    assert_eq!(code, 3, "A relied on nothing");
}

#[tokio::test]
async fn a_deny_ends_it_and_nothing_is_executed() {
    let keys = tempfile::tempdir().unwrap();
    let Some(key) = ssh_key(keys.path()) else { return };
    let pair = pair(&key).await;
    let run = pair.run("deciding-2-aaaaaaaaaa", "approval exec 120000 rm -rf /\n").await.unwrap();
    let id = asked(&pair.a).await;
    let key = key.to_str().unwrap();
    let (code, _, told) =
        said(&pair.a, &["approval", "deny", &id, "--key", key, "--yes"], None).await;
    assert_eq!(code, 0, "{told}");
    said(&pair.a, &["run", "wait", &run, "--timeout", "60s"], None).await;
    let shown = pair.b.json(&["approval", "show", &id]).await.unwrap();
    assert_eq!(shown["state"], "denied");
    // Decided: another word comes too late.
    let (code, _, told) =
        said(&pair.a, &["approval", "approve", &id, "--key", key, "--yes"], None).await;
    assert_eq!(code, 1, "{told}");
}
