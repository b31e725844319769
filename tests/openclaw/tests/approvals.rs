//! People of one gateway decide what happens at the other one: a run that waits at a real gateway for the
//! caller's operators, and a workflow of the caller that waits for the executor's.
//!
//! Each command writes a line into a file of its own, so that the file says how often it really ran.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use landbridge_openclaw_tests::bridge::{Bridge, text};
use landbridge_openclaw_tests::follow::Follow;
use landbridge_openclaw_tests::people::Person;
use landbridge_openclaw_tests::scenarios::Scenarios;
use landbridge_openclaw_tests::story::Story;
use landbridge_openclaw_tests::world::{Ask, World};
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// How long the gateway lets a question stand, in seconds.
const STANDS: u32 = 60;

/// The world, and its people.
struct Stage {
    world: Arc<World>,
    /// A's, with keys in files.
    alice: Person,
    bob: Person,
    /// A's, with a key of SSH.
    sam: Person,
    /// A's, of another tenant.
    eve: Person,
    /// B's, with a key in a file, and with a key of SSH.
    carol: Person,
    dave: Person,
}

#[tokio::test(flavor = "multi_thread")]
async fn people_of_one_gateway_decide_for_the_other() {
    let Some(stage) = Stage::set().await else { return };
    let mut scenarios = Scenarios::default();
    // It waits for as long as a question may stand, so it does that beside the others.
    let forgotten = stage.waits("expired").await;
    macro_rules! play {
        ($($scenario:ident)*) => {$(
            scenarios.play(stringify!($scenario), $scenario(Arc::clone(&stage))).await;
        )*};
    }
    play! {
        approved_with_a_file_by_two_commands
        approved_with_ssh
        denied
        the_same_person_again
        two_consoles_at_once
        somebody_at_the_gateway_is_first
        another_tenant
        a_decision_about_another_command
        the_bridge_is_killed_while_it_waits
        the_bridge_is_killed_after_the_commit
        a_workflow_is_approved
        a_workflow_is_denied
        a_workflow_waits_in_vain
    }
    scenarios.play("nobody_decides", nobody_decides(Arc::clone(&stage), forgotten)).await;
    scenarios.play("the_gateway_is_restarted", the_gateway_is_restarted(Arc::clone(&stage))).await;
    scenarios.play("records_are_good_without_bridges", records_are_good(stage)).await;
    scenarios.finish();
}

impl Stage {
    async fn set() -> Option<Arc<Self>> {
        let plugin = json!({"agents": ["auto", "acme"], "tools": ["exec"],
            "timeoutSeconds": STANDS});
        let world = World::set_for_approvals(&plugin).await?;
        let (a, b, place) = (&world.a, &world.b, world.path("people"));
        for (bridge, tenants) in [(a, &["default", "acme"][..]), (b, &["default"])] {
            for tenant in tenants {
                let head = format!("[[scopes]]\ntenant = \"{tenant}\"\nname = \"sre-lead\"\n");
                bridge.settings(&format!("\n{head}description = \"Leads an incident.\"\n"));
            }
            bridge.json(&["scope", "publish", "--yes"]).await;
        }
        let alice = Person::with_file(a, &place, "alice").await;
        let bob = Person::with_file(a, &place, "bob").await;
        let eve = Person::with_file(a, &place, "eve").await;
        let carol = Person::with_file(b, &place, "carol").await;
        let sam = Person::with_ssh(&place, "sam").await;
        let dave = Person::with_ssh(&place, "dave").await;
        for (person, bridge, tenant) in [
            (&alice, a, "default"),
            (&bob, a, "default"),
            (&sam, a, "default"),
            (&eve, a, "acme"),
            (&carol, b, "default"),
            (&dave, b, "default"),
        ] {
            person.enrol(bridge, tenant, "sre-lead").await;
        }
        let theirs = ["--remote-scope", "sre-lead", "--scope", "ops-lead"];
        for (relying, peer, deciding, us, kind) in
            [(b, "us", a, "eu", "exec"), (a, "eu", b, "us", "deploy")]
        {
            deciding.json(&["grant", "add", us, "--ask", "approval-request"]).await;
            let map = ["scope", "map", "add", peer, "--kind", kind];
            relying.json(&[&map[..], &theirs].concat()).await;
        }
        let waits = ["--approval-scope", "ops-lead"];
        let grant = ["grant", "add", "us", "--agent"];
        b.json(&[&grant[..], &["auto"], &waits].concat()).await;
        // Whose decision would count in this pair of tenants, nothing says.
        b.json(&[&grant[..], &["acme", "--tenant", "acme-eu:acme"], &waits].concat()).await;
        Some(Arc::new(Self { world, alice, bob, sam, eve, carol, dave }))
    }

    /// Starts a run that waits before its only command.
    async fn waits(&self, name: &str) -> Waits {
        let (file, ask) = self.asks(name);
        let mut follow = self.world.follow(&ask).await;
        let requested = follow.until_event("approvalRequested").await;
        assert_eq!(ran(&file), 0, "it waits");
        Waits { id: text(&requested, "approval"), follow, file }
    }

    fn asks(&self, name: &str) -> (PathBuf, Ask) {
        let file = self.world.path(&format!("ran-{name}"));
        let args = json!({"command": command(&file)});
        let ask = Ask::new(&format!("m-{name}\nmodel: tool exec {args}\nmodel: say done"));
        (file, ask)
    }

    /// Exports the record at the side that relied, which must say this verdict to who knows nothing else.
    async fn record(&self, relying: &Bridge, id: &str, verdict: i32) {
        let path = self.world.path(&format!("{verdict}-{id}.jsonl"));
        let path = path.to_str().unwrap();
        relying.json(&["approval", "export", id, "--output", path]).await;
        judged(relying, path, relying.id(), verdict).await;
    }

    fn line(&self) -> &landbridge_harness::proxy::Proxy {
        self.world.line.as_ref().unwrap()
    }
}

/// A run that waits.
struct Waits {
    id: String,
    follow: Follow,
    file: PathBuf,
}

impl Waits {
    /// Leads the run to its end: the command ran so often, and these decided so.
    async fn end(self, stage: &Stage, decision: &str, by: &str) -> Story {
        let story = self.follow.end().await;
        let all = story.payloads("approvalResolved");
        assert_eq!(all.len(), 1, "{story}");
        let resolved = (&all[0]["approval"], &all[0]["decision"], &all[0]["by"]);
        assert_eq!(resolved, (&json!(self.id), &json!(decision), &json!(by)), "{story}");
        assert_eq!(ran(&self.file), usize::from(decision == "approve"), "{story}");
        assert_eq!(story.outcome(), "succeeded", "{story}");
        stage.world.verify(&story).await;
        story
    }
}

fn command(file: &Path) -> String {
    format!("echo ran >> {}", file.display())
}

/// How often the command ran.
fn ran(file: &Path) -> usize {
    std::fs::read_to_string(file).unwrap_or_default().lines().count()
}

async fn judged(by: &Bridge, path: &str, pin: &str, verdict: i32) {
    let output = by.output(&["verify", path, "--pin", pin]).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(verdict), "{path}: {said}");
}

/// The open approvals, as a console lists them.
async fn open(at: &Bridge) -> Vec<Value> {
    at.json(&["approval", "list"]).await["approvals"].as_array().unwrap().clone()
}

async fn state(at: &Bridge, id: &str, wanted: &str) -> Value {
    let mut view = Value::Null;
    for _ in 0..1000 {
        view = at.json(&["approval", "show", id]).await;
        if view["state"] == wanted {
            return view;
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    panic!("not {wanted}: {view}");
}

fn database(of: &Bridge) -> Connection {
    Connection::open(of.home().join("state/landbridge.db")).unwrap()
}

async fn approved_with_a_file_by_two_commands(stage: Arc<Stage>) {
    let (a, b) = (&stage.world.a, &stage.world.b);
    let waits = stage.waits("file").await;
    // The first command.
    let listed = open(a).await;
    let one = listed.iter().find(|one| one["id"] == waits.id).unwrap();
    assert_eq!((&one["kind"], &one["binding"]), (&json!("exec"), &json!("exact")), "{one}");
    assert_eq!(
        (&one["run"], &one["side"]),
        (&json!(waits.follow.story().run()), &json!("deciding"))
    );
    // What a person reads: exactly what will run, and where.
    let view = a.json(&["approval", "show", &waits.id]).await;
    let subject: Value = serde_json::from_str(view["subject"].as_str().unwrap()).unwrap();
    assert_eq!((&subject["tool"], &subject["agent"]), (&json!("exec"), &json!("auto")));
    assert_eq!(subject["args"]["command"], command(&waits.file));
    assert!(subject["args"]["workdir"].as_str().unwrap().ends_with("workspace-auto"), "{subject}");
    let shown = a.printed(&["approval", "show", &waits.id]).await;
    let line = format!("│ {}", view["subject"].as_str().unwrap());
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
    // The second.
    let said = stage.alice.approve(a, &waits.id).await.taken();
    assert!(said.told.lines().any(|shown| shown == line), "{line}\n{}", said.told);
    let id = waits.id.clone();
    let story = waits.end(&stage, "approve", "peer").await;
    assert_eq!(story.payloads("toolResult")[0]["ok"], true, "{story}");
    let view = state(b, &id, "approved").await;
    assert_eq!(view["decisions"][0]["sub"], "alice", "{view}");
    state(a, &id, "approved").await;
    stage.record(b, &id, 0).await;
    // Whoever decides has no record, and another gateway's id convinces nobody.
    let (_, said) = a.refused(&["approval", "export", &id]).await;
    assert!(said.to_string().contains("is not here"), "{said}");
    let path = stage.world.path(&format!("0-{id}.jsonl"));
    judged(a, path.to_str().unwrap(), a.id(), 3).await;
}

async fn approved_with_ssh(stage: Arc<Stage>) {
    let waits = stage.waits("ssh").await;
    let id = waits.id.clone();
    let said = stage.sam.approve(&stage.world.a, &id).await.taken();
    assert_eq!(said.view["decisions"][0]["method"], "ssh", "{}", said.view);
    waits.end(&stage, "approve", "peer").await;
    state(&stage.world.b, &id, "approved").await;
    stage.record(&stage.world.b, &id, 0).await;
}

async fn denied(stage: Arc<Stage>) {
    for (name, person) in [("denied-by-file", &stage.bob), ("denied-by-ssh", &stage.sam)] {
        let waits = stage.waits(name).await;
        let id = waits.id.clone();
        let _ = person.deny(&stage.world.a, &id).await.taken();
        let story = waits.end(&stage, "deny", "peer").await;
        assert_eq!(story.payloads("toolResult")[0]["ok"], false, "{story}");
        state(&stage.world.b, &id, "denied").await;
        stage.record(&stage.world.b, &id, 5).await;
        // What comes after it changes nothing.
        stage.alice.approve(&stage.world.a, &id).await.not_taken(&["already_resolved"]);
    }
}

async fn the_same_person_again(stage: Arc<Stage>) {
    let a = &stage.world.a;
    let waits = stage.waits("again").await;
    let (id, file) = (waits.id.clone(), waits.file.clone());
    // On two consoles at once, and once more afterwards.
    let (one, other) = tokio::join!(stage.alice.approve(a, &id), stage.alice.approve(a, &id));
    let refused = [&one, &other].into_iter().filter(|said| said.exit != 0).collect::<Vec<_>>();
    assert!(refused.len() <= 1, "{one:?} {other:?}");
    for said in refused {
        said.not_taken(&["already_resolved", "has decided so already"]);
    }
    waits.end(&stage, "approve", "peer").await;
    state(a, &id, "approved").await;
    stage.alice.approve(a, &id).await.not_taken(&["already_resolved"]);
    let view = state(&stage.world.b, &id, "approved").await;
    assert_eq!((view["decisions"].as_array().unwrap().len(), ran(&file)), (1, 1), "{view}");
}

async fn two_consoles_at_once(stage: Arc<Stage>) {
    let (a, b) = (&stage.world.a, &stage.world.b);
    // Both say yes, and it happens once.
    let waits = stage.waits("both").await;
    let id = waits.id.clone();
    let (one, other) = tokio::join!(stage.alice.approve(a, &id), stage.sam.approve(a, &id));
    assert!(one.exit == 0 || other.exit == 0, "{one:?} {other:?}");
    for said in [one, other].iter().filter(|said| said.exit != 0) {
        said.not_taken(&["already_resolved"]);
    }
    waits.end(&stage, "approve", "peer").await;
    let view = state(b, &id, "approved").await;
    assert_eq!(view["decisions"].as_array().unwrap().len(), 1, "{view}");
    // One yes, one no: the first that B heard decides, and the record says whose that was.
    let mut waits = stage.waits("race").await;
    let id = waits.id.clone();
    let (yes, no) = tokio::join!(stage.alice.approve(a, &id), stage.bob.deny(a, &id));
    assert!(yes.exit == 0 || no.exit == 0, "{yes:?} {no:?}");
    let resolved = waits.follow.until_event("approvalResolved").await;
    let decision = text(&resolved, "decision");
    waits.end(&stage, &decision, "peer").await;
    let approved = decision == "approve";
    let view = state(b, &id, if approved { "approved" } else { "denied" }).await;
    let first = if approved { "alice" } else { "bob" };
    assert_eq!(view["decisions"].as_array().unwrap().len(), 1, "{view}");
    assert_eq!(view["decisions"][0]["sub"], first, "{view}");
    stage.record(b, &id, if approved { 0 } else { 5 }).await;
}

//= APR-27
async fn somebody_at_the_gateway_is_first(stage: Arc<Stage>) {
    let b = &stage.world.b;
    for (name, decision, taken) in
        [("gateway-yes", "allow-once", "approve"), ("gateway-no", "deny", "deny")]
    {
        let waits = stage.waits(name).await;
        let id = waits.id.clone();
        let read = "SELECT question FROM approvals WHERE id = ?1";
        let question: String = database(b).query_row(read, [&id], |row| row.get(0)).unwrap();
        let params = json!({"id": question, "kind": "plugin", "decision": decision});
        let mut operator = stage.world.operator().await;
        let answer = operator.call("approval.resolve", &params).await.unwrap();
        assert_eq!(answer["payload"]["applied"], true, "{answer}");
        waits.end(&stage, taken, "gateway").await;
        state(b, &id, "closed").await;
        state(&stage.world.a, &id, "closed").await;
        stage.alice.approve(&stage.world.a, &id).await.not_taken(&["already_resolved"]);
        // Nobody of ours is said to have approved it.
        stage.record(b, &id, 5).await;
    }
}

async fn another_tenant(stage: Arc<Stage>) {
    let a = &stage.world.a;
    let waits = stage.waits("tenant").await;
    stage.eve.approve(a, &waits.id).await.not_taken(&["is no operator's"]);
    assert_eq!(ran(&waits.file), 0);
    // In a pair of tenants for which nothing is mapped, nobody is asked and nothing happens.
    let (file, ask) = stage.asks("nobody");
    let ask = Ask { gateway: "acme", agent: "acme", ..ask };
    let story = stage.world.run(&ask).await;
    assert_eq!(story.payloads("error")[0]["code"], "no_approval_route", "{story}");
    assert!(!story.has("approvalRequested") && ran(&file) == 0, "{story}");
    let _ = stage.alice.approve(a, &waits.id).await.taken();
    waits.end(&stage, "approve", "peer").await;
}

/// What A delivered of a decision, by whom, as A sees it.
async fn delivered(a: &Bridge, id: &str, by: &str) -> Story {
    let label = format!("approval={id}");
    let listed = a.json(&["run", "list", "--label", &label]).await;
    for run in listed["runs"].as_array().unwrap() {
        let run = text(run, "run");
        let body: String = database(a)
            .query_row("SELECT body FROM entry_texts WHERE run = ?1", [&run], |row| row.get(0))
            .unwrap();
        if body.contains(&format!("\"principal\":\"{by}\"")) {
            return a.follow(&run, 0).end().await;
        }
    }
    panic!("{by} delivered nothing: {listed}");
}

/// Waits until a bridge has written down that it refused a decision, and why.
async fn refusal(at: &Bridge, id: &str, code: &str) {
    let show = ["audit", "show", "--limit", "1000", "--deed", "approval_refused", "--subject", id];
    let mut said = String::new();
    for _ in 0..300 {
        let output = at.output(&show).await;
        said = String::from_utf8_lossy(&output.stdout).replace('\\', "");
        if said.contains(&format!("\"code\":\"{code}\"")) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{id} is not refused with {code}: {said}");
}

/// A's journal is changed behind its back, so that A itself sends a good decision to where it does not belong.
//= APR-17
//= APR-31
async fn a_decision_about_another_command(stage: Arc<Stage>) {
    let (a, b) = (&stage.world.a, &stage.world.b);
    let (one, other) = (stage.waits("meant").await, stage.waits("other").await);
    stage.world.wire.close();
    for person in [&stage.alice, &stage.bob] {
        let _ = person.approve(a, &one.id).await.taken();
    }
    a.kill().await;
    let nothing = format!("apr-{}", "a".repeat(26));
    for (by, instead) in [("alice", &other.id), ("bob", &nothing)] {
        let change = "UPDATE entry_texts SET body = replace(body, ?1, ?2) \
            WHERE instr(body, ?1) AND instr(body, ?3)";
        let by = format!("\"principal\":\"{by}\"");
        let changed = database(a).execute(change, [&one.id, instead, &by]).unwrap();
        assert_eq!(changed, 1);
    }
    stage.world.wire.open();
    a.serve().await;
    // A does not believe what is answered, since it is not what it meant to ask; so B is asked.
    for (id, code) in [(&other.id, "approval_refused"), (&nothing, "approval_unknown")] {
        refusal(b, id, code).await;
    }
    for waits in [&one, &other] {
        let view = b.json(&["approval", "show", &waits.id]).await;
        assert_eq!((&view["state"], ran(&waits.file)), (&json!("open"), 0), "{view}");
    }
    // Sam's goes where it belongs, and nothing else happens.
    let _ = stage.sam.approve(a, &one.id).await.taken();
    one.end(&stage, "approve", "peer").await;
    let _ = stage.sam.deny(a, &other.id).await.taken();
    other.end(&stage, "deny", "peer").await;
}

async fn the_bridge_is_killed_while_it_waits(stage: Arc<Stage>) {
    let (a, b) = (&stage.world.a, &stage.world.b);
    // It is asked when it is back, or while it is away.
    for (name, meanwhile) in [("killed", false), ("killed-meanwhile", true)] {
        let waits = stage.waits(name).await;
        b.kill().await;
        if meanwhile {
            let _ = stage.sam.approve(a, &waits.id).await.taken();
        }
        b.serve().await;
        b.reaches_gateway().await;
        if !meanwhile {
            assert_eq!(ran(&waits.file), 0);
            let _ = stage.alice.approve(a, &waits.id).await.taken();
        }
        let story = waits.end(&stage, "approve", "peer").await;
        assert_eq!(story.payloads("approvalRequested").len(), 1, "{story}");
    }
}

//= APR-26
async fn the_bridge_is_killed_after_the_commit(stage: Arc<Stage>) {
    let (a, b) = (&stage.world.a, &stage.world.b);
    let waits = stage.waits("committed").await;
    let id = waits.id.clone();
    stage.line().close();
    let _ = stage.alice.approve(a, &id).await.taken();
    state(b, &id, "approved").await;
    assert_eq!(ran(&waits.file), 0, "the gateway does not know it yet");
    b.kill().await;
    stage.line().open();
    b.serve().await;
    let story = waits.end(&stage, "approve", "peer").await;
    assert_eq!(story.payloads("approvalRequested").len(), 1, "{story}");
    let delivery = delivered(a, &id, "alice").await;
    assert_eq!(delivery.outcome(), "succeeded", "{delivery}");
    stage.record(b, &id, 0).await;
}

//= APR-25
async fn nobody_decides(stage: Arc<Stage>, waits: Waits) {
    let id = waits.id.clone();
    let story = waits.end(&stage, "deny", "expiry").await;
    assert_eq!(story.payloads("toolResult")[0]["ok"], false, "{story}");
    state(&stage.world.b, &id, "expired").await;
    state(&stage.world.a, &id, "expired").await;
    stage.alice.approve(&stage.world.a, &id).await.not_taken(&["already_resolved"]);
    stage.record(&stage.world.b, &id, 5).await;
}

/// The gateway withdraws what it asked, and may go on with the run; then it asks anew.
async fn the_gateway_is_restarted(stage: Arc<Stage>) {
    let mut waits = stage.waits("restarted").await;
    stage.world.gateway.lock().await.restart().await.unwrap();
    let resolved = waits.follow.until_event("approvalResolved").await;
    let told = (&resolved["approval"], &resolved["decision"], &resolved["by"]);
    assert_eq!(told, (&json!(waits.id), &json!("deny"), &json!("closed")), "{resolved}");
    assert_eq!(ran(&waits.file), 0);
    state(&stage.world.b, &waits.id, "closed").await;
    stage.alice.approve(&stage.world.a, &waits.id).await.not_taken(&["already_resolved"]);
    let again = |story: &Story| story.payloads("approvalRequested").len() > 1;
    waits.follow.until(|story| again(story) || story.is_ended()).await;
    let anew = again(waits.follow.story());
    println!("  the gateway {} anew", if anew { "asks" } else { "does not ask" });
    if anew {
        let id = text(waits.follow.story().payloads("approvalRequested")[1], "approval");
        let _ = stage.alice.approve(&stage.world.a, &id).await.taken();
    }
    let story = waits.follow.end().await;
    assert_eq!(ran(&waits.file), usize::from(anew), "{story}");
    stage.world.verify(&story).await;
}

/// Asks B's operators at A, and waits there; returns the approval as B's operators see it.
async fn request(stage: &Arc<Stage>, name: &str, expires: &str) -> (Value, JoinHandle<Output>) {
    let (whom, what) = (name.to_owned(), format!("deploy {name} \u{202e}\n"));
    let (asking, expires) = (Arc::clone(stage), expires.to_owned());
    let waiting = tokio::spawn(async move {
        let mut ask = vec!["approval", "request", "--scope", "ops-lead", "--kind", "deploy"];
        ask.extend(["--text", &what, "--principal", &whom, "--expires-in", &expires, "--wait"]);
        asking.world.a.output(&ask).await
    });
    for _ in 0..1000 {
        let listed = open(&stage.world.b).await;
        if let Some(one) = listed.into_iter().find(|one| one["requester"]["principal"] == name) {
            return (one, waiting);
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    panic!("B's operators are not asked: {:?}", waiting.await);
}

/// What the command at A ended with.
async fn ended(waiting: JoinHandle<Output>, exit: i32, state: &str) -> Value {
    let output = waiting.await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(exit), "{said}");
    let view: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(view["state"], state, "{view}");
    view
}

//= APR-35
async fn a_workflow_is_approved(stage: Arc<Stage>) {
    let (a, b) = (&stage.world.a, &stage.world.b);
    for (name, person, method) in
        [("by-carol", &stage.carol, "file"), ("by-dave", &stage.dave, "ssh")]
    {
        let (one, waiting) = request(&stage, name, "5m").await;
        let id = text(&one, "id");
        assert_eq!((&one["kind"], &one["side"]), (&json!("deploy"), &json!("deciding")), "{one}");
        // Nobody of the side that asks may answer it.
        stage.alice.approve(a, &id).await.not_taken(&["is not decided here"]);
        let said = person.approve(b, &id).await.taken();
        let line = format!("│ deploy {name} ⟨U+202E⟩");
        assert!(said.told.lines().any(|shown| shown.starts_with(&line)), "{}", said.told);
        let view = ended(waiting, 0, "approved").await;
        assert_eq!(view["decisions"][0]["method"], method, "{view}");
        stage.record(a, &id, 0).await;
    }
}

async fn a_workflow_is_denied(stage: Arc<Stage>) {
    for (name, person) in [("no-carol", &stage.carol), ("no-dave", &stage.dave)] {
        let (one, waiting) = request(&stage, name, "5m").await;
        let id = text(&one, "id");
        let _ = person.deny(&stage.world.b, &id).await.taken();
        ended(waiting, 17, "denied").await;
        stage.carol.approve(&stage.world.b, &id).await.not_taken(&["already_resolved"]);
        stage.record(&stage.world.a, &id, 5).await;
    }
}

async fn a_workflow_waits_in_vain(stage: Arc<Stage>) {
    let (one, waiting) = request(&stage, "in-vain", "6s").await;
    let id = text(&one, "id");
    ended(waiting, 18, "expired").await;
    let late = stage.dave.approve(&stage.world.b, &id).await;
    late.not_taken(&["already_resolved", "approval_expired"]);
    stage.record(&stage.world.a, &id, 5).await;
}

/// Whoever has the file and knows the gateway's id needs nothing else.
async fn records_are_good(stage: Arc<Stage>) {
    let (a, b) = (&stage.world.a, &stage.world.b);
    a.kill().await;
    b.kill().await;
    let mut judged_so = [0, 0];
    for entry in std::fs::read_dir(stage.world.path("")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some((verdict, _)) = name.split_once("-apr-") else { continue };
        let first = std::fs::read_to_string(&path).unwrap();
        let first: Value = serde_json::from_str(first.lines().next().unwrap()).unwrap();
        let pin = text(&first, "relying");
        assert!([a.id(), b.id()].contains(&pin.as_str()));
        judged(a, path.to_str().unwrap(), &pin, verdict.parse().unwrap()).await;
        judged_so[usize::from(verdict == "5")] += 1;
    }
    assert!(judged_so[0] >= 5 && judged_so[1] >= 6, "{judged_so:?}");
}
