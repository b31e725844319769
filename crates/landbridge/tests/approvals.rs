//! Approvals as an operator decides them, with keys of every kind that this machine has, against a bridge that only
//! says what it is told to say. What is handed in is judged as the deciding gateway judges it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use landbridge_proto::trust::approval::{Ballot, check_vote};
use landbridge_proto::trust::claimed::claimed;
use landbridge_proto::trust::key::SecretKey;
use landbridge_proto::trust::signer::{KeySigner, sign_typed};
use landbridge_proto::wire::approval::{
    ApprovalRequest, ApprovalTenants, Binding, KeyMethod, Operator, OperatorCredential,
    OperatorKey, Requester, SignedApproval, Subject, Vote, raw,
};
use landbridge_proto::wire::document::FormVersion;
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::key::PublicKey;
use landbridge_proto::wire::kind::{Role, SignedBy};
use landbridge_proto::wire::name::{
    ApprovalId, GatewayId, OperatorName, ScopeName, SubjectKind, TenantId, Timestamp,
};
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// What a terminal would obey, and what nobody would see.
const SUBJECT: &str = "{\"command\":\"rm -rf /srv\"}\r\u{1b}[2Kls \u{202e}\u{feff}\n";
const ID: &str = "apr-aaaaaaaaaaaaaaaaaaaaaaaaaa";

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp(i64::try_from(since.as_millis()).unwrap())
}

fn gateway(letter: &str) -> GatewayId {
    GatewayId::new(format!("gw1-{}", letter.repeat(52))).unwrap()
}

fn signed_by(role: Role) -> KeySigner {
    KeySigner::new(SecretKey::from_seed(&Zeroizing::new([7; 32])), SignedBy::Role(role))
}

fn text(envelope: &Envelope) -> String {
    String::from_utf8(envelope.to_bytes()).unwrap()
}

fn scopes(names: &[&str]) -> std::collections::BTreeSet<ScopeName> {
    names.iter().map(|name| ScopeName::new(*name).unwrap()).collect()
}

/// The question of gateway a to gateway b.
fn request(asked: &[&str]) -> Envelope {
    let kind = SubjectKind::new("exec").unwrap();
    let request = ApprovalRequest::try_from(raw::ApprovalRequest {
        aud: gateway("b"),
        expires: now().plus_ms(600_000),
        id: ApprovalId::new(ID).unwrap(),
        iss: gateway("a"),
        issued: now(),
        quorum: 1,
        requester: Requester { gateway: gateway("a"), principal: "ci\u{7}".into() },
        run: None,
        scope: ScopeName::new("lead").unwrap(),
        scopes: scopes(asked),
        subject: Subject::of(kind, "application/json", Binding::Exact, SUBJECT.as_bytes()),
        tenant: ApprovalTenants {
            deciding: TenantId::new("acme-eu").unwrap(),
            relying: TenantId::new("acme").unwrap(),
        },
        v: FormVersion,
    });
    sign_typed(&signed_by(Role::Request), &request.unwrap()).unwrap()
}

fn operator(key: &OperatorKey, held: &[&str]) -> Operator {
    Operator {
        keys: vec![key.clone()],
        name: OperatorName::new("alice").unwrap(),
        scopes: scopes(held),
        tenant: TenantId::new("acme-eu").unwrap(),
    }
}

fn credential(operator: &Operator) -> Envelope {
    let credential = OperatorCredential::try_from(raw::OperatorCredential {
        expires: now().plus_ms(3_600_000),
        iss: gateway("b"),
        issued: now(),
        keys: operator.keys.clone(),
        scopes: operator.scopes.clone(),
        sub: operator.name.clone(),
        tenant: operator.tenant.clone(),
        v: FormVersion,
    });
    sign_typed(&signed_by(Role::OperatorCa), &credential.unwrap()).unwrap()
}

fn view(request: &Envelope, side: &str, state: &str, subject: &str) -> Value {
    let said: ApprovalRequest = claimed(request).unwrap();
    json!({
        "id": ID, "side": side, "state": state, "tenant": "acme-eu",
        "peers": [{"gateway": gateway("a"), "alias": "us"}], "scope": said.scope,
        "scopes": said.scopes, "quorum": 1, "requester": said.requester, "kind": "exec",
        "binding": "exact", "created": "2030-01-01T00:00:00Z", "expires": "2030-01-01T00:10:00Z",
        "media": "application/json", "subject": subject, "digest": said.subject.digest,
        "size": said.subject.size, "decisions": [], "request": text(request),
    })
}

/// A bridge's socket that answers from a list, and remembers what it was given.
struct Bridge {
    dir: tempfile::TempDir,
    given: Arc<Mutex<Vec<(String, String)>>>,
}

impl Bridge {
    fn saying(answers: Vec<(String, Value)>) -> Self {
        let mode = std::fs::Permissions::from_mode(0o700);
        let dir = tempfile::Builder::new().permissions(mode).tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("landbridge.sock")).unwrap();
        let given = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&given);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &answers, &kept);
            }
        });
        Self { dir, given }
    }

    /// A bridge with one open question, and one operator with one key.
    fn asking(request: &Envelope, operator: &Operator) -> Self {
        let at = format!("/v1/approvals/{ID}");
        Self::saying(vec![
            (format!("GET {at}"), view(request, "deciding", "open", SUBJECT)),
            ("GET /v1/operators".into(), json!({"operators": [operator], "revoked": []})),
            (
                "GET /v1/operators/alice/credential?tenant=acme-eu".into(),
                json!({"credential": credential_of(operator), "expires": ""}),
            ),
            (format!("POST {at}/decisions"), view(request, "deciding", "approved", SUBJECT)),
        ])
    }

    fn run(&self, arguments: &[&str], agent: Option<&Path>) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_landbridge"));
        command.arg("--home").arg(self.dir.path()).args(arguments).stdin(Stdio::null());
        command.env_remove("LANDBRIDGE_HOME").env_remove("SSH_AUTH_SOCK");
        if let Some(agent) = agent {
            command.env("SSH_AUTH_SOCK", agent);
        }
        command.output().unwrap()
    }

    /// What was handed in; `None`: nothing was.
    fn decision(&self) -> Option<SignedApproval> {
        let given = self.given.lock().unwrap();
        let (_, body) = given.iter().find(|(what, _)| what.ends_with("/decisions"))?;
        let body: Value = serde_json::from_str(body).unwrap();
        Some(serde_json::from_value(body["approval"].clone()).unwrap())
    }
}

/// The credential that the bridge answers with has to be the one that a test judges by: it is made once.
fn credential_of(operator: &Operator) -> Envelope {
    static MADE: Mutex<Vec<(String, Envelope)>> = Mutex::new(Vec::new());
    let key = serde_json::to_string(operator).unwrap();
    let mut made = MADE.lock().unwrap();
    if let Some((_, envelope)) = made.iter().find(|(of, _)| *of == key) {
        return envelope.clone();
    }
    let envelope = credential(operator);
    made.push((key, envelope.clone()));
    envelope
}

fn answer(
    mut stream: UnixStream,
    answers: &[(String, Value)],
    given: &Mutex<Vec<(String, String)>>,
) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut line, mut length) = (String::new(), 0);
    reader.read_line(&mut line).unwrap();
    let what = line.rsplit_once(" HTTP").map_or("", |(what, _)| what).to_owned();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        if header.trim().is_empty() {
            break;
        }
        if let Some(value) = header.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    given.lock().unwrap().push((what.clone(), String::from_utf8(body).unwrap()));
    let found = answers.iter().find(|(to, _)| *to == what);
    let (status, body) = match found {
        Some((_, value)) => ("200 OK", value.to_string()),
        None => ("404 Not Found", json!({"code": "not_found", "title": what}).to_string()),
    };
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).unwrap();
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

/// Judges what was handed in as gateway b does before it lets it leave.
fn judged(bridge: &Bridge, request: &Envelope, operator: &Operator, vote: Vote, method: KeyMethod) {
    let signed = bridge.decision().expect("a decision was handed in");
    assert_eq!(signed.proof().method(), method);
    let said: ApprovalRequest = claimed(request).unwrap();
    let envelope = credential_of(operator);
    let credential: OperatorCredential = claimed(&envelope).unwrap();
    let ballot = Ballot {
        request: &said,
        digest: request.digest(),
        operator,
        credential: &credential,
        credential_digest: envelope.digest(),
        now: now(),
    };
    let approval = check_vote(&ballot, &signed).unwrap();
    assert_eq!((approval.decision, approval.sub.as_str()), (vote, "alice"));
    assert!(approval.exp <= said.expires && approval.exp.since_ms(approval.iat) <= 600_000);
}

/// An operator's key in a file, as `landbridge operator key new` makes it.
fn file_key(dir: &Path) -> (PathBuf, OperatorKey) {
    let file = dir.join("alice.key");
    let output = Command::new(env!("CARGO_BIN_EXE_landbridge"))
        .args(["operator", "key", "new"])
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let mode = std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let public = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let public = PublicKey::try_from(public).unwrap();
    let key = OperatorKey::ed25519(KeyMethod::File, &public, None);
    (file, OperatorKey::try_from(key).unwrap())
}

/// An SSH key of this machine's `ssh-keygen`; `None` where there is none.
fn ssh_key(dir: &Path) -> Option<(PathBuf, OperatorKey)> {
    let file = dir.join("id_ed25519");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "alice@eu", "-f"])
        .arg(&file)
        .status();
    if !made.ok()?.success() {
        return None;
    }
    let line = std::fs::read_to_string(dir.join("id_ed25519.pub")).unwrap();
    let blob = line.split(' ').nth(1).unwrap();
    let blob = landbridge_proto::wire::base64::decode(blob).unwrap();
    let public: [u8; 32] = blob[blob.len() - 32..].try_into().unwrap();
    let public = PublicKey::admit(&public).unwrap();
    let key = OperatorKey::ed25519(KeyMethod::Ssh, &public, None);
    Some((file, OperatorKey::try_from(key).unwrap()))
}

fn private_dir() -> tempfile::TempDir {
    let mode = std::fs::Permissions::from_mode(0o700);
    tempfile::Builder::new().permissions(mode).tempdir().unwrap()
}

//= APR-15
#[test]
fn an_operator_sees_all_of_it_and_signs_what_was_shown() {
    let keys = private_dir();
    let (file, key) = file_key(keys.path());
    let (request, alice) = (request(&["sre-lead"]), operator(&key, &["sre-lead", "duty"]));
    let bridge = Bridge::asking(&request, &alice);
    let file = file.to_str().unwrap();
    let output = bridge.run(&["approval", "approve", ID, "--key", file, "--yes"], None);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    judged(&bridge, &request, &alice, Vote::Approve, KeyMethod::File);

    let shown = stderr(&output);
    let first = "│ {\"command\":\"rm -rf /srv\"}⟨U+000D⟩⟨U+001B⟩[2Kls ⟨U+202E⟩⟨U+FEFF⟩\n│ \n";
    assert!(shown.contains(first), "{shown}");
    for said in ["us (gw1-aaa", "exact: the subject is all", "ci⟨U+0007⟩ of us", "alice approves"]
    {
        assert!(shown.contains(said), "{said} is missing in:\n{shown}");
    }
    assert!(shown.contains("approved, and it is approved"), "{shown}");
    assert_eq!(output.stdout, format!("{ID}  approved\n").as_bytes());

    let bridge = Bridge::asking(&request, &alice);
    let output = bridge.run(&["approval", "deny", ID, "--key", file, "--yes", "--json"], None);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    judged(&bridge, &request, &alice, Vote::Deny, KeyMethod::File);
    assert!(stderr(&output).contains(first), "also for scripts");
}

#[test]
fn ssh_keys_sign_from_their_file_and_from_an_agent() {
    let keys = private_dir();
    let Some((file, key)) = ssh_key(keys.path()) else { return };
    let (request, alice) = (request(&["sre-lead"]), operator(&key, &["sre-lead"]));
    let approve = |file: &Path, agent: Option<&Path>| {
        let bridge = Bridge::asking(&request, &alice);
        let file = file.to_str().unwrap();
        let output = bridge.run(&["approval", "approve", ID, "--key", file, "--yes"], agent);
        (bridge, output)
    };
    let (bridge, output) = approve(&file, None);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    judged(&bridge, &request, &alice, Vote::Approve, KeyMethod::Ssh);

    // Its private half only in the agent: the public file says which key is meant.
    let agent = Agent::with(&file, keys.path());
    let public = keys.path().join("elsewhere.pub");
    std::fs::rename(keys.path().join("id_ed25519.pub"), &public).unwrap();
    std::fs::remove_file(&file).unwrap();
    let (bridge, output) = approve(&public, Some(&agent.socket));
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    judged(&bridge, &request, &alice, Vote::Approve, KeyMethod::Ssh);

    // Without the agent nobody signs, and nothing is handed in.
    let (bridge, output) = approve(&public, None);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert!(stderr(&output).contains("ssh-add -l"), "{}", stderr(&output));
    assert!(bridge.decision().is_none());
}

/// A real agent that ends with the test.
struct Agent {
    process: Child,
    socket: PathBuf,
}

impl Agent {
    fn with(key: &Path, dir: &Path) -> Self {
        let socket = dir.join("agent.sock");
        let mut command = Command::new("ssh-agent");
        command.args(["-D", "-a"]).arg(&socket).stdout(Stdio::null());
        let process = command.spawn().unwrap();
        let agent = Self { process, socket };
        for _ in 0..200 {
            let added = Command::new("ssh-add")
                .arg("-q")
                .arg(key)
                .env("SSH_AUTH_SOCK", &agent.socket)
                .stderr(Stdio::null())
                .status()
                .unwrap();
            if added.success() {
                return agent;
            }
            std::thread::sleep(Duration::from_millis(50));
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

#[test]
fn nothing_is_handed_in_that_was_not_asked_for_or_is_not_the_operators() {
    let keys = private_dir();
    let (file, key) = file_key(keys.path());
    let file = file.to_str().unwrap();
    let question = request(&["sre-lead", "duty"]);
    let held: &[&str] = &["sre-lead", "duty", "other"];
    let refuse = |bridge: &Bridge, further: &[&str], expected: i32, word: &str| {
        let line = [&["approval", "approve", ID, "--key", file, "--yes"], further].concat();
        let output = bridge.run(&line, None);
        assert_eq!(code(&output), expected, "{word}: {}", stderr(&output));
        assert!(stderr(&output).contains(word), "{word}: {}", stderr(&output));
        assert!(bridge.decision().is_none(), "{word}");
    };
    let alice = operator(&key, held);
    refuse(&Bridge::asking(&question, &alice), &["--as", "bob"], 1, "the key is not bob's");
    refuse(&Bridge::asking(&question, &alice), &[], 64, "--scope SCOPE");
    refuse(&Bridge::asking(&question, &alice), &["--scope", "other"], 1, "other was not asked");
    let bob = operator(&key, &["other"]);
    refuse(&Bridge::asking(&question, &bob), &[], 1, "may not decide this");

    let other = SecretKey::from_seed(&Zeroizing::new([9; 32])).public();
    let other = OperatorKey::try_from(OperatorKey::ed25519(KeyMethod::File, &other, None)).unwrap();
    let stranger = operator(&other, held);
    refuse(&Bridge::asking(&question, &stranger), &[], 1, "the key is no operator's");
    let passed = OperatorKey::ed25519(
        KeyMethod::Ssh,
        &PublicKey::try_from(key.public.clone()).unwrap(),
        None,
    );
    let enrolled = operator(&OperatorKey::try_from(passed).unwrap(), &["duty"]);
    refuse(&Bridge::asking(&question, &enrolled), &[], 1, "enrolled as ssh, not file");

    let at = format!("GET /v1/approvals/{ID}");
    let said = |value| Bridge::saying(vec![(at.clone(), value)]);
    let changed = SUBJECT.replace("/srv", "/");
    refuse(&said(view(&question, "deciding", "open", &changed)), &[], 1, "asks about the subject");
    refuse(&said(view(&question, "relying", "open", SUBJECT)), &[], 1, "is not decided here");
    refuse(&said(view(&question, "deciding", "denied", SUBJECT)), &[], 1, "it is denied");
    refuse(&Bridge::saying(Vec::new()), &[], 16, "not_found");
}

#[test]
fn a_passkeys_answer_is_handed_in_when_it_says_what_the_command_says() {
    let keys = private_dir();
    let (file, key) = file_key(keys.path());
    let (request, alice) = (request(&["sre-lead"]), operator(&key, &["sre-lead"]));
    let first = Bridge::asking(&request, &alice);
    let line = ["approval", "approve", ID, "--key", file.to_str().unwrap(), "--yes"];
    assert_eq!(code(&first.run(&line, None)), 0);
    // Whatever signed it: the bridge finds out. A file key stands in for the browser's here.
    let signed = first.decision().unwrap();
    let assertion = keys.path().join("assertion.json");
    std::fs::write(&assertion, serde_json::to_string(&signed).unwrap()).unwrap();
    let assertion = assertion.to_str().unwrap();
    let hand_in = |verb: &str, further: &[&str]| {
        let bridge = Bridge::asking(&request, &alice);
        let line = [&["approval", verb, ID, "--assertion", assertion, "--yes"], further].concat();
        let output = bridge.run(&line, None);
        (bridge, output)
    };
    let (bridge, output) = hand_in("approve", &[]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stderr(&output).contains("⟨U+202E⟩"), "{}", stderr(&output));
    assert_eq!(bridge.decision(), Some(signed));
    for (verb, further) in [("deny", &[][..]), ("approve", &["--as", "bob"])] {
        let (bridge, output) = hand_in(verb, further);
        assert_eq!(code(&output), 1, "{}", stderr(&output));
        assert!(bridge.decision().is_none());
    }
}

#[test]
fn what_is_asked_of_others_is_sent_whole_and_waited_for() {
    let request = request(&["sre-lead"]);
    let at = format!("/v1/approvals/{ID}");
    let asked = |state| {
        Bridge::saying(vec![
            ("POST /v1/approvals".into(), view(&request, "relying", "open", SUBJECT)),
            (format!("GET {at}"), view(&request, "relying", state, SUBJECT)),
        ])
    };
    let file = private_dir();
    let subject = file.path().join("plan.json");
    std::fs::write(&subject, SUBJECT).unwrap();
    let line = ["approval", "request", "--scope", "lead", "--kind", "deploy", "--file"];
    let line = [&line[..], &[subject.to_str().unwrap(), "--quorum", "2"]].concat();
    let bridge = asked("open");
    let output = bridge.run(&line, None);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(output.stdout, format!("{ID}\n").as_bytes());
    let given: Value = serde_json::from_str(&bridge.given.lock().unwrap()[0].1).unwrap();
    let expected = json!({
        "subject": SUBJECT, "media": "application/json", "kind": "deploy", "scope": "lead",
        "quorum": 2, "expiresInMs": 3_600_000,
    });
    assert_eq!(given, expected);
    for (state, exit) in [("approved", 0), ("denied", 17), ("expired", 18), ("closed", 18)] {
        let output = asked(state).run(&[&line[..], &["--wait"]].concat(), None);
        assert_eq!(code(&output), exit, "{}", stderr(&output));
    }
    let output = asked("open").run(&[&line[..], &["--wait", "--timeout", "1s"]].concat(), None);
    assert_eq!(code(&output), 15, "{}", stderr(&output));
}

#[test]
fn lists_and_single_approvals_say_what_to_do_next() {
    let request = request(&["sre-lead"]);
    let one = view(&request, "deciding", "open", SUBJECT);
    let bridge = Bridge::saying(vec![
        ("GET /v1/approvals?limit=50&state=open".into(), json!({"approvals": [one]})),
        (format!("GET /v1/approvals/{ID}"), one.clone()),
    ]);
    let output = bridge.run(&["approval", "list"], None);
    let table = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(table.contains(ID) && table.contains("this gateway"), "{table}");
    assert!(stderr(&output).contains("landbridge approval approve"), "{}", stderr(&output));
    let output = bridge.run(&["approval", "show", ID], None);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(text.contains("⟨U+202E⟩") && !text.contains('\u{1b}'), "{text}");
    let output = bridge.run(&["approval", "show", ID, "--json"], None);
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["subject"], SUBJECT);
}

#[test]
fn the_record_of_an_approval_is_judged_as_one_and_not_as_a_transcript() {
    let dir = private_dir();
    let file = dir.path().join("approval.jsonl");
    let (relying, other) = (gateway("a"), gateway("b"));
    let header =
        format!("{{\"id\":\"{ID}\",\"relying\":\"{relying}\",\"type\":\"approval\",\"v\":1}}\n");
    let verify = |text: &str, pin: &GatewayId| {
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_landbridge"));
        command.args(["--json", "verify", file.to_str().unwrap(), "--pin", pin.as_str()]);
        command.output().unwrap()
    };
    // Nothing stands behind the header: it proves nothing, whoever is pinned.
    for pin in [&relying, &other] {
        let output = verify(&header, pin);
        assert_eq!(code(&output), 2, "{}", stderr(&output));
        let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(verdict["outcome"]["verdict"], "not_proven");
    }
    let spaced = verify(&header.replacen(':', ": ", 1), &relying);
    assert_eq!(code(&spaced), 4, "{}", stderr(&spaced));
}
