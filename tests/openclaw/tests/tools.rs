//! Tools that are called directly: once, under the gateway's own policy, and honestly told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use landbridge_harness::plugin::{Tools, digest, payload};
use landbridge_openclaw_tests::bridge::text;
use landbridge_openclaw_tests::scenarios::Scenarios;
use landbridge_openclaw_tests::story::Story;
use landbridge_openclaw_tests::world::{Ask, World, until};
use serde_json::{Value, json};

/// Bridges, a gateway, and a gateway's plugin that counts.
struct Setting {
    world: Arc<World>,
    tools: Tools,
}

/// A call of a tool.
#[derive(Clone, Debug)]
struct Call {
    gateway: &'static str,
    agent: &'static str,
    tool: &'static str,
    args: String,
    key: String,
    deadline: &'static str,
}

fn call(tool: &'static str, args: &Value) -> Call {
    let key = Ask::new("").key;
    Call { gateway: "eu", agent: "auto", tool, args: args.to_string(), key, deadline: "5m" }
}

impl Call {
    fn arguments(&self) -> [&str; 14] {
        let Self { gateway, agent, tool, args, key, deadline } = self;
        #[rustfmt::skip]
        let arguments = ["run", "start", gateway, "--agent", agent, "--tool", tool, "--args", args,
            "--key", key, "--deadline", deadline, "--detach"];
        arguments
    }
}

impl Setting {
    async fn start(&self, call: &Call) -> Value {
        self.world.a.json(&call.arguments()).await
    }

    async fn run(&self, call: &Call) -> Story {
        let run = text(&self.start(call).await, "run");
        let story = self.world.a.follow(&run, 0).end().await;
        self.world.verify(&story).await;
        story
    }

    async fn grant(&self, agent: &str, tenant: &str, tools: &[&str], shown: &str) -> String {
        let mut arguments = vec!["grant", "add", "us", "--agent", agent, "--tenant", tenant];
        for kind in ["output", "tool-args", "tool-results"] {
            let flag = match kind {
                "output" => "--disclose-output",
                "tool-args" => "--disclose-tool-args",
                _ => "--disclose-tool-results",
            };
            arguments.extend([flag, shown]);
        }
        arguments.extend(["--ask", "prompt", "--ask", "tool-call"]);
        arguments.extend(tools.iter().flat_map(|tool| ["--tool", tool]));
        let output = self.world.b.output(&arguments).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        said
    }

    /// B has seen off so many calls that had their terminal: there is no end to wait for.
    async fn ceased(&self, count: usize) {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let output = self.world.b.output(&["audit", "show", "--deed", "run_ceased"]).await;
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let shown = String::from_utf8_lossy(&output.stdout).into_owned();
            if shown.matches("run_ceased").count() >= count {
                return;
            }
            assert!(Instant::now() < until, "B still asks the gateway to stop: {shown}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    fn counted(&self, marker: &str, begun: usize) {
        assert_eq!(self.tools.count("begun", marker), begun, "{marker}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_are_called_through_two_bridges() {
    let tools = Tools::new().expect("the plugin");
    let set = World::set_with(|config| {
        tools.load(config);
        config["agents"]["entries"]["main"] = json!({"tools": {"deny": ["tally_add"]}});
    });
    let Some(world) = set.await else { return };
    let setting = Arc::new(Setting { world, tools });
    let mut granted = TALLIES.to_vec();
    granted.extend(CLOSED);
    granted.extend(["no_such_tool", "web_fetch"]);
    let said = setting.grant("auto", "default:default", &granted, "full").await;
    for tool in CLOSED {
        assert!(said.contains(&format!("{tool} is granted and stays closed")), "{said}");
    }
    assert!(!said.contains("tally_add is granted"), "{said}");
    setting.grant("main", "default:default", &["tally_add"], "full").await;
    let mut scenarios = Scenarios::default();
    let share = || Arc::clone(&setting);
    scenarios.play("a tool that is granted", allowed(share())).await;
    scenarios.play("a tool that is not granted", not_granted(share())).await;
    scenarios.play("a tool that the gateway does not offer", not_offered(share())).await;
    scenarios.play("tools about other sessions", closed(share())).await;
    scenarios.play("bad arguments", bad_arguments(share())).await;
    scenarios.play("a tool that fails", failing(share())).await;
    scenarios.play("the same key", same_key(share())).await;
    scenarios.play("a cancel of a slow tool", cancelled(share())).await;
    scenarios.play("what is disclosed", disclosed(share())).await;
    scenarios.play("a tool beyond its deadline", expired(share())).await;
    scenarios.play("B is stopped in a call", stopped(share())).await;
    scenarios.play("B is killed in a call", killed(share())).await;
    scenarios.play("the gateway is killed in a call", gateway_killed(share())).await;
    scenarios.finish();
}

async fn allowed(setting: Arc<Setting>) {
    let call = call("tally_add", &json!({"marker": "m-ok", "ms": 1}));
    let story = setting.run(&call).await;
    assert_eq!((story.outcome(), story.side_effects()), ("succeeded", "possible"), "{story}");
    assert_eq!(story.terminal()["result"], "added m-ok");
    let started = story.payloads("started")[0];
    assert!(started["software"].as_str().unwrap().starts_with("openclaw 20"), "{started}");
    let (called, answered) = (story.payloads("toolCall"), story.payloads("toolResult"));
    assert_eq!((called.len(), answered.len(), story.lines().len()), (1, 1, 4), "{story}");
    assert_eq!((&called[0]["tool"], &called[0]["args"]), (&json!("tally_add"), &json!(call.args)));
    assert_eq!((&answered[0]["ok"], &answered[0]["result"]), (&json!(true), &json!("added m-ok")));
    assert_eq!(called[0]["callId"], answered[0]["callId"]);
    setting.counted("m-ok", 1);
    // A session of its own, and no word of the model.
    let again = setting.run(&Call { key: Ask::new("").key, ..call }).await;
    assert_ne!(story.session(), again.session());
    setting.counted("m-ok", 2);
    setting.world.asked("m-ok", 0);
}

async fn not_granted(setting: Arc<Setting>) {
    let args = json!({"marker": "m-not-granted"});
    for (agent, tool) in [("auto", "tally_other"), ("nobody", "tally_add")] {
        let story = setting.run(&Call { agent, ..call(tool, &args) }).await;
        assert_eq!((story.outcome(), story.code()), ("rejected", "not_granted"), "{story}");
        assert_eq!(story.side_effects(), "none", "{story}");
    }
    setting.counted("m-not-granted", 0);
}

async fn not_offered(setting: Arc<Setting>) {
    let args = json!({"marker": "m-not-offered"});
    // The gateway's policy denies it to this agent; nobody has the other.
    for (agent, tool) in [("main", "tally_add"), ("auto", "no_such_tool")] {
        let story = setting.run(&Call { agent, ..call(tool, &args) }).await;
        assert_eq!((story.outcome(), story.code()), ("failed", "tool_unavailable"), "{story}");
        assert_eq!(story.side_effects(), "none", "{story}");
    }
    setting.counted("m-not-offered", 0);
}

async fn closed(setting: Arc<Setting>) {
    let mut operator = setting.world.operator().await;
    for tool in CLOSED {
        let args = json!({"marker": "m-closed"});
        let story = setting.run(&call(tool, &args)).await;
        assert_eq!((story.outcome(), story.code()), ("failed", "tool_unavailable"), "{story}");
        assert_eq!(story.side_effects(), "none", "{story}");
        assert!(!story.has("toolCall"), "{story}");
    }
    setting.counted("m-closed", 0);
    // It is the bridge that refuses: the gateway would do it.
    for tool in ["sessions_list", "session_status", "sessions_tally"] {
        let params = json!({"name": tool, "agentId": "auto", "args": {"marker": "m-by-operator"}});
        let answer = operator.call("tools.invoke", &params).await.unwrap();
        let refused = &answer["payload"]["error"]["code"];
        assert_ne!(refused, "not_found", "{tool}: {answer}");
    }
    setting.counted("m-by-operator", 1);
    // Of the gateway's own tools a few are open; this one answers that it does not go there.
    let story = setting.run(&call("web_fetch", &json!({"url": "http://127.0.0.1:1/"}))).await;
    assert_eq!((story.outcome(), story.code()), ("failed", "tool_error"), "{story}");
}

async fn bad_arguments(setting: Arc<Setting>) {
    let world = &setting.world;
    for bad in ["", "[1]", "null", "{", r#"{"marker":"m-bad","marker":"m-worse"}"#] {
        let call = Call { args: bad.to_owned(), ..call("tally_add", &Value::Null) };
        assert_eq!(world.a.refused(&call.arguments()).await.0, 64, "{bad}");
    }
    let secret = text(&world.a.json(&["token", "create", "args"]).await, "secret");
    let start = |args: Value| {
        json!({"gateway": "eu", "agent": "auto", "idempotencyKey": Ask::new("").key,
            "toolCall": {"tool": "tally_add", "args": args}})
    };
    for bad in [json!([1]), json!("{}"), json!(null), json!({"a": "x".repeat(300_000)})] {
        let (status, said) = world.a.ask("/v1/runs", &secret, Some(&start(bad))).await;
        assert_eq!((status, &said["code"]), (400, &json!("malformed")), "{said}");
    }
    let (status, run) =
        world.a.ask("/v1/runs", &secret, Some(&start(json!({"marker": "m-good"})))).await;
    assert_eq!(status, 201, "{run}");
    let story = world.a.follow(&text(&run, "run"), 0).end().await;
    assert_eq!(story.terminal()["result"], "added m-good", "{story}");
    setting.counted("m-bad", 0);
    setting.counted("m-worse", 0);
}

async fn failing(setting: Arc<Setting>) {
    // The gateway hides what a tool threw, so nobody here can tell it either.
    let story = setting.run(&call("tally_fail", &json!({"marker": "m-fail"}))).await;
    assert_eq!((story.outcome(), story.code()), ("failed", "tool_error"), "{story}");
    assert_eq!(story.side_effects(), "possible", "{story}");
    assert_eq!(story.payloads("toolResult")[0]["ok"], false, "{story}");
    assert!(story.terminal()["problem"].to_string().contains("does not tell why"), "{story}");
    setting.counted("m-fail", 1);
    // What a tool says of its arguments it tells; then the result has it, and the problem has not.
    let story = setting.run(&call("tally_picky", &json!({"marker": "m-picky"}))).await;
    assert_eq!((story.outcome(), story.code()), ("failed", "tool_error"), "{story}");
    assert_eq!(story.payloads("toolResult")[0]["error"], "marker must not be m-picky", "{story}");
    assert!(!story.terminal().to_string().contains("m-picky"), "{story}");
    // A tool is taken back alone; the others stay.
    setting.world.b.json(&["grant", "remove", "us", "--tool", "tally_picky"]).await;
    let story = setting.run(&call("tally_picky", &json!({"marker": "m-taken"}))).await;
    assert_eq!((story.outcome(), story.code()), ("rejected", "not_granted"), "{story}");
    let story = setting.run(&call("tally_add", &json!({"marker": "m-left"}))).await;
    assert_eq!(story.outcome(), "succeeded", "{story}");
}

async fn same_key(setting: Arc<Setting>) {
    let world = &setting.world;
    let slow = call("tally_slow", &json!({"marker": "m-same", "ms": 3000}));
    let mut starts = Vec::new();
    for _ in 0..5 {
        let (setting, slow) = (Arc::clone(&setting), slow.clone());
        starts.push(tokio::spawn(async move { setting.start(&slow).await }));
    }
    let mut runs = Vec::new();
    for start in starts {
        runs.push(text(&start.await.unwrap(), "run"));
    }
    assert!(runs.iter().all(|run| *run == runs[0]), "{runs:?}");
    let story = world.a.follow(&runs[0], 0).end().await;
    assert_eq!(story.terminal()["result"], "slowly added m-same", "{story}");
    // Said otherwise it is the same; other arguments are another decision.
    let spelled = Call { args: r#"{ "ms":3000, "marker" : "m-same" }"#.to_owned(), ..slow.clone() };
    let again = setting.start(&spelled).await;
    assert_eq!((&again["run"], &again["attached"]), (&json!(runs[0]), &json!(true)));
    assert_eq!(world.a.follow(&runs[0], 0).end().await.lines(), story.lines());
    let other = Call { args: r#"{"marker":"m-other"}"#.to_owned(), ..slow.clone() };
    let refused = world.a.refused(&other.arguments()).await.1;
    assert_eq!(refused["error"]["code"], "key_conflict", "{refused}");
    world.verify(&story).await;
    world.b.restart().await;
    world.b.reaches_gateway().await;
    assert_eq!(setting.start(&slow).await["run"], json!(runs[0]));
    setting.counted("m-same", 1);
    setting.counted("m-other", 0);
}

async fn cancelled(setting: Arc<Setting>) {
    let world = &setting.world;
    let slow = call("tally_slow", &json!({"marker": "m-cancel", "ms": 5000}));
    let mut follow = world.a.follow(&text(&setting.start(&slow).await, "run"), 0);
    follow.until_event("toolCall").await;
    let run = follow.story().run().to_owned();
    assert_eq!(world.a.json(&["run", "cancel", &run]).await["state"], "requested");
    let said = follow.until_event("error").await;
    assert_eq!(said["code"], "not_supported", "{said}");
    assert_eq!(setting.tools.count("ended", "m-cancel"), 0, "it is said while the tool runs");
    // What happened is what is told, not what was wished.
    let story = follow.end().await;
    assert_eq!((story.outcome(), story.payloads("error").len()), ("succeeded", 1), "{story}");
    assert_eq!(story.terminal()["result"], "slowly added m-cancel", "{story}");
    assert_eq!(setting.tools.count("ended", "m-cancel"), 1);
    assert_eq!(world.a.json(&["run", "cancel", &run]).await["state"], "alreadyTerminal");
    world.verify(&story).await;
    // A failure after a cancel is a failure.
    let late = call("tally_fail", &json!({"marker": "m-late", "ms": 3000}));
    let mut follow = world.a.follow(&text(&setting.start(&late).await, "run"), 0);
    follow.until_event("toolCall").await;
    world.a.json(&["run", "cancel", follow.story().run()]).await;
    let story = follow.end().await;
    assert_eq!((story.outcome(), story.code()), ("failed", "tool_error"), "{story}");
}

async fn disclosed(setting: Arc<Setting>) {
    let world = &setting.world;
    for (tenant, shown) in [("acme", "digest"), ("bolt", "none")] {
        let pair = format!("{tenant}-eu:{tenant}");
        setting.grant(tenant, &pair, &["tally_add"], shown).await;
        let marker = format!("m-hidden-{tenant}");
        let (args, result) = (json!({"marker": marker}).to_string(), format!("added {marker}"));
        let call = Call { gateway: tenant, agent: tenant, ..call("tally_add", &json!(null)) };
        let story = setting.run(&Call { args: args.clone(), ..call }).await;
        assert_eq!(story.outcome(), "succeeded", "{story}");
        hides(&setting, &story, &[&marker, "added"]).await;
        let (called, answered) = (story.payloads("toolCall")[0], story.payloads("toolResult")[0]);
        let ended = story.terminal();
        for (frame, said) in [(called, &args), (answered, &result), (ended, &result)] {
            shows_digest(frame, said, shown);
        }
        setting.counted(&marker, 1);

        let marker = format!("m-hid-{tenant}");
        let args = json!({"marker": marker}).to_string();
        let prompt = format!("look\nmodel: tool tally_add {args}\nmodel: say whisper of {marker}");
        let story = world.run(&Ask { gateway: tenant, agent: tenant, ..Ask::new(&prompt) }).await;
        assert_eq!(story.outcome(), "succeeded", "{story}");
        hides(&setting, &story, &[&marker, "added", "whisper"]).await;
        let (called, answered) = (story.payloads("toolCall")[0], story.payloads("toolResult")[0]);
        assert_eq!((&called["tool"], &answered["ok"]), (&json!("tally_add"), &json!(true)));
        shows_digest(called, &args, shown);
        shows_digest(answered, &format!("added {marker}"), shown);
        let output = story.payloads("output");
        assert!(!output.is_empty() || shown == "none", "{story}");
        assert!(output.iter().all(|frame| frame["text"].is_null()), "{story}");
        if shown == "digest" {
            let last = output.last().unwrap();
            assert_eq!(story.terminal()["digest"].is_string(), last["digest"].is_string());
        }
        setting.counted(&marker, 1);
    }
}

/// A frame shows of a text what it may.
fn shows_digest(frame: &Value, said: &str, shown: &str) {
    for member in ["args", "result", "error", "text"] {
        assert!(frame[member].is_null(), "{member} of {frame}");
    }
    let (told, size) = (&frame["digest"], &frame["size"]);
    if shown == "digest" {
        assert_eq!((told, size), (&json!(digest(said)), &json!(said.len())), "{said:?}: {frame}");
    } else {
        assert!(told.is_null() && size.is_null(), "{frame}");
    }
}

/// None of the words is in a frame, nor in what A can export, but for A's own request.
async fn hides(setting: &Setting, story: &Story, words: &[&str]) {
    let exported = setting.world.a.output(&["run", "export", story.run()]).await;
    assert!(exported.status.success());
    let exported = String::from_utf8(exported.stdout).unwrap();
    let lines = exported.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let others: Vec<Value> = lines.filter(|line| line["type"] != "request").collect();
    assert!(others.iter().any(|line| line["type"] == "frame"), "{exported}");
    for word in words {
        assert!(!story.lines().iter().any(|line| line.contains(word)), "{word}: {story}");
        for line in &others {
            let inside = payload(line);
            assert!(!line.to_string().contains(word) && !inside.contains(word), "{word}: {line}");
        }
    }
}

async fn expired(setting: Arc<Setting>) {
    let mut slow = call("tally_slow", &json!({"marker": "m-expired", "ms": 60_000}));
    slow.deadline = "3s";
    let begun = Instant::now();
    let story = setting.run(&slow).await;
    assert_eq!((story.outcome(), story.code()), ("expired", "deadline_exceeded"), "{story}");
    assert_eq!(story.side_effects(), "unknown", "{story}");
    assert_eq!(story.payloads("error")[0]["code"], "not_supported", "{story}");
    assert!(begun.elapsed() < Duration::from_secs(50), "{:?}", begun.elapsed());
    assert_eq!(setting.tools.count("ended", "m-expired"), 0);
    setting.counted("m-expired", 1);
    setting.ceased(1).await;
}

async fn stopped(setting: Arc<Setting>) {
    let world = &setting.world;
    let slow = call("tally_slow", &json!({"marker": "m-stopped", "ms": 3000}));
    let mut follow = world.a.follow(&text(&setting.start(&slow).await, "run"), 0);
    follow.until_event("toolCall").await;
    // Nobody could learn later what the tool answered, so the bridge waits for it.
    world.b.stop().await;
    assert_eq!(setting.tools.count("ended", "m-stopped"), 1);
    world.b.serve().await;
    world.b.reaches_gateway().await;
    let story = follow.end().await;
    assert_eq!(story.terminal()["result"], "slowly added m-stopped", "{story}");
    world.verify(&story).await;
    setting.counted("m-stopped", 1);
}

async fn killed(setting: Arc<Setting>) {
    let world = &setting.world;
    let slow = call("tally_slow", &json!({"marker": "m-killed", "ms": 2500}));
    let mut follow = world.a.follow(&text(&setting.start(&slow).await, "run"), 0);
    follow.until_event("toolCall").await;
    world.b.kill().await;
    assert_eq!(setting.start(&slow).await["run"], follow.story().run());
    world.b.serve().await;
    world.b.reaches_gateway().await;
    let story = follow.end().await;
    assert_eq!((story.outcome(), story.code()), ("failed", "interrupted"), "{story}");
    assert_eq!(story.side_effects(), "unknown", "{story}");
    // The tool went on at the gateway, and is not called again by whoever asks again.
    until("the tool ends", || setting.tools.count("ended", "m-killed") == 1).await;
    let again = setting.start(&slow).await;
    assert_eq!((&again["run"], &again["attached"]), (&json!(story.run()), &json!(true)));
    assert_eq!(world.a.follow(story.run(), 0).end().await.lines(), story.lines());
    world.verify(&story).await;
    setting.counted("m-killed", 1);
}

async fn gateway_killed(setting: Arc<Setting>) {
    let world = &setting.world;
    let slow = call("tally_slow", &json!({"marker": "m-gone", "ms": 60_000}));
    let mut follow = world.a.follow(&text(&setting.start(&slow).await, "run"), 0);
    follow.until_event("toolCall").await;
    until("the tool begins", || setting.tools.count("begun", "m-gone") == 1).await;
    world.gateway.lock().await.restart().await.unwrap();
    let story = follow.end().await;
    assert_eq!((story.outcome(), story.code()), ("failed", "interrupted"), "{story}");
    assert_eq!(story.side_effects(), "unknown", "{story}");
    world.b.reaches_gateway().await;
    let next = setting.run(&call("tally_add", &json!({"marker": "m-next"}))).await;
    assert_eq!(next.terminal()["result"], "added m-next", "{next}");
    setting.counted("m-gone", 1);
}

const TALLIES: [&str; 4] = ["tally_add", "tally_slow", "tally_fail", "tally_picky"];
/// Granted here, and never called for a peer.
const CLOSED: [&str; 8] = [
    "sessions_list",
    "sessions_history",
    "sessions_search",
    "session_status",
    "agents_list",
    "memory_search",
    "exec",
    "sessions_tally",
];
