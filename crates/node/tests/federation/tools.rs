//! Tool calls: what a peer may ask, what it is shown, and what it is told when it wants them stopped.

use landbridge_node::bridge::Principal;
use landbridge_node::local::api::StartRun;
use landbridge_proto::machine::contract::{AuditEvent, KeyRecord, RunPhase, RunRow};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::{Disclose, Disclosure, Peer};
use landbridge_proto::wire::name::{Owner, RunId, ToolName};
use landbridge_proto::wire::request::{
    Ask, Body, Cancel, CancelResult, Mode, Start, Target, ToolCall,
};
use landbridge_proto::wire::sse::Event;
use landbridge_proto::wire::stream::Frame;
use landbridge_proto::wire::tool_args::ToolArgs;
use serde_json::{Value, json};

use crate::support::{World, grant, key, lines, pair, start};

const FULL: Disclose = Disclose {
    output: Disclosure::Full,
    tool_args: Disclosure::Full,
    tool_results: Disclosure::Full,
};

/// B lets A call `find`, and shows this much of it.
async fn world(disclose: Disclose) -> World {
    let world = World::new().await;
    let mut draft = world.b.draft();
    let peer = world.b.core.trust.state().federation.clone().unwrap();
    let peer = peer.peer(world.a.core.own()).unwrap();
    let mut granted = grant();
    granted.asks = [Ask::Prompt, Ask::ToolCall].into();
    granted.tools = [ToolName::new("find").unwrap()].into();
    granted.disclose = disclose;
    draft.put_peer(Peer { grants: vec![granted], ..peer.clone() });
    world.b.put(draft).await;
    world
}

fn call(name: &str, tool: &str, args: &str) -> Start {
    let (tool, args) = (ToolName::new(tool).unwrap(), ToolArgs::new(args).unwrap());
    Start { prompt: None, tool_call: Some(ToolCall { args, tool }), ..start(name, "") }
}

fn called(name: &str, tool: &str, args: &str) -> Body {
    Body::Start(Box::new(call(name, tool, args)))
}

fn frames(lines: &[String]) -> Vec<(String, Value)> {
    let read = |line: &String| {
        let frame = Frame::parse(line).unwrap();
        (frame.event.to_string(), serde_json::from_str(frame.payload.get()).unwrap())
    };
    lines.iter().map(read).collect()
}

fn row(world: &World, name: &str) -> RunRow {
    let owner = Owner { caller: world.a.core.own().clone(), tenant: pair() };
    let reads = world.b.core.store.reads();
    let Some(KeyRecord::Run { run, .. }) = reads.key(&owner, &key(name)).unwrap() else {
        panic!("no run for {name}")
    };
    reads.run(&run).unwrap().unwrap()
}

fn run_lines(world: &World, run: &RunId) -> Vec<String> {
    world.b.core.store.reads().frames(run, 0, 100, 1 << 20).unwrap()
}

//= REQ-41
//= REQ-22
#[tokio::test]
async fn a_granted_tool_is_called_with_the_very_arguments() {
    let world = world(FULL).await;
    let args = r#"{ "query": "x", "n": 0.50 }"#;
    let events = world.ask_for(called("tool", "find", args)).await.events().rest().await;
    let frames = frames(&lines(&events));
    let names: Vec<&str> = frames.iter().map(|(event, _)| event.as_str()).collect();
    assert_eq!(names, ["started", "toolCall", "toolResult", "terminal"]);
    assert_eq!((&frames[1].1["tool"], &frames[1].1["args"]), (&json!("find"), &json!(args)));
    assert_eq!(
        (&frames[3].1["outcome"], &frames[3].1["result"]),
        (&json!("succeeded"), &json!(args))
    );
    let created =
        |event: &AuditEvent| event.deed == "run_created" && event.detail["tool"] == "find";
    assert!(world.b.audit().iter().any(created), "who called what is on record");
    // Another tool, and the same tool where only prompts are granted, is not.
    let other = world.ask_for(called("other", "drop", "{}")).await;
    assert_eq!(other.code(&world).await, "not_granted");
    let plain = World::new().await;
    let refused = plain.ask_for(called("tool", "find", "{}")).await;
    assert_eq!(refused.code(&plain).await, "not_granted");
}

//= REQ-19
//= REQ-26
#[tokio::test]
async fn one_key_is_one_call_however_often_it_is_asked() {
    let world = world(FULL).await;
    let slow = r#"{"ms":5000}"#;
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams.push(world.ask_for(called("once", "find", slow)).await.events());
    }
    let mut told = Vec::new();
    for stream in streams {
        let reading = tokio::spawn(stream.rest());
        while !reading.is_finished() {
            world.clock.advance_ms(500);
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        told.push(lines(&reading.await.unwrap()));
    }
    assert!(told.iter().all(|lines| *lines == told[0] && lines.len() == 4), "{told:?}");
    let again = world.ask_for(called("once", "find", slow)).await.events().rest().await;
    assert_eq!(lines(&again), told[0]);
    assert_eq!(world.b.deeds("run_created"), 1);
    let other = world.ask_for(called("once", "find", r#"{"ms":5001}"#)).await;
    assert_eq!(other.code(&world).await, "key_conflict");
}

//= STR-32
#[tokio::test]
async fn the_result_is_shown_as_tool_results_are() {
    let args = r#"{"secret":"hush"}"#;
    let digest = json!(Digest::of(b"", &[args.as_bytes()]));
    for (output, tool_results, shown) in [
        (Disclosure::Full, Disclosure::Digest, Disclosure::Digest),
        (Disclosure::Full, Disclosure::None, Disclosure::None),
        (Disclosure::Digest, Disclosure::Full, Disclosure::Digest),
        (Disclosure::Full, Disclosure::Full, Disclosure::Full),
    ] {
        let disclose = Disclose { output, tool_results, tool_args: Disclosure::None };
        let world = world(disclose).await;
        let events = world.ask_for(called("shown", "find", args)).await.events().rest().await;
        let lines = lines(&events);
        let (_, ended) = frames(&lines).pop().unwrap();
        assert_eq!(ended["outcome"], "succeeded");
        assert_eq!(ended["result"] == args, shown == Disclosure::Full, "{ended}");
        assert_eq!(ended["digest"] == digest, shown == Disclosure::Digest, "{ended}");
        let readable = lines.iter().any(|line| line.contains("hush"));
        assert_eq!(readable, tool_results == Disclosure::Full, "{lines:?}");
    }
}

//= REQ-44
#[tokio::test]
async fn a_stop_that_no_gateway_heeds_is_said_once_and_changes_no_outcome() {
    let world = world(FULL).await;
    let mut stream = world.ask_for(called("stop", "find", r#"{"ms":60000}"#)).await.events();
    stream.accept().await;
    while run_lines(&world, &row(&world, "stop").run).len() < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    for _ in 0..3 {
        let cancel = Cancel { target: Target::Key(key("stop")), reason: None };
        let answer = world.ask_for(Body::Cancel(cancel)).await.envelope().await;
        let answer: landbridge_proto::wire::request::Answer = world.verified(&answer);
        assert_eq!(answer.result.cancel, Some(CancelResult::Requested));
    }
    let reading = tokio::spawn(stream.rest());
    while row(&world, "stop").phase != RunPhase::Settled {
        world.clock.advance_ms(1_000);
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    let events: Vec<Event> = reading.await.unwrap();
    let frames = frames(&lines(&events));
    let said: Vec<&Value> =
        frames.iter().filter(|(event, _)| event == "error").map(|(_, said)| said).collect();
    assert_eq!(said.len(), 1, "{frames:?}");
    assert_eq!(said[0]["code"], "not_supported");
    let (_, ended) = frames.last().unwrap();
    assert_eq!(
        (&ended["outcome"], &ended["sideEffects"]),
        (&json!("succeeded"), &json!("possible"))
    );
}

//= REQ-44
#[tokio::test]
async fn a_tool_that_never_answers_ends_with_its_deadline_as_unknown() {
    let world = world(FULL).await;
    let start = Start {
        deadline: Some(crate::support::NOW.plus_ms(3_000)),
        ..call("late", "find", r#"{"ms":600000}"#)
    };
    let stream = world.ask_for(Body::Start(Box::new(start))).await.events();
    let reading = tokio::spawn(stream.rest());
    while row(&world, "late").phase != RunPhase::Settled {
        world.clock.advance_ms(500);
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    let frames = frames(&lines(&reading.await.unwrap()));
    assert!(frames.iter().any(|(event, _)| event == "error"), "{frames:?}");
    let (_, ended) = frames.last().unwrap();
    assert_eq!((&ended["outcome"], &ended["sideEffects"]), (&json!("expired"), &json!("unknown")));
}

//= REQ-40
#[tokio::test]
async fn a_local_client_gives_arguments_as_an_object() {
    let world = world(FULL).await;
    let ask = |name: &str, args: Value| -> StartRun {
        let call = json!({"tool": "find", "args": args});
        let start = json!({"gateway": "eu", "toolCall": call, "idempotencyKey": key(name)});
        serde_json::from_value(start).unwrap()
    };
    let who = Principal::Admin;
    let first = world.a.bridge.start_run(&who, ask("mine", json!({"b": 1, "a": [2]}))).await;
    let run = first.unwrap().run;
    // Spelled in another order it is the same call; another value is another one.
    let again: StartRun = serde_json::from_str(&format!(
        r#"{{"toolCall":{{"args":{{"a":[2],"b":1}},"tool":"find"}},"idempotencyKey":"{}","gateway":"eu"}}"#,
        key("mine")
    ))
    .unwrap();
    assert_eq!(world.a.bridge.start_run(&who, again).await.unwrap().run, run);
    let other = world.a.bridge.start_run(&who, ask("mine", json!({"b": 2, "a": [2]}))).await;
    assert_eq!(other.unwrap_err().code_text(), "key_conflict");
    let long = ask("long", json!({"a": "x".repeat(300_000)}));
    assert_eq!(world.a.bridge.start_run(&who, long).await.unwrap_err().code_text(), "malformed");
    let mut turn = ask("turn", json!({}));
    (turn.mode, turn.session) = (Mode::Turn, Some("s-1".parse().unwrap()));
    assert_eq!(world.a.bridge.start_run(&who, turn).await.unwrap_err().code_text(), "malformed");
}
