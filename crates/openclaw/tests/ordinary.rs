//! Runs on a gateway that is well: every scenario of the adapter's everyday.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use landbridge_harness::gateway::{Gateway, Installed};
use landbridge_harness::model::Model;
use landbridge_harness::proxy::Proxy;
use landbridge_node::adapter::{
    Adapter, Ending, Intent, Progress, Report, SideEffects, StopReason, Stopped, TroubleCode,
};
use landbridge_proto::wire::name::{AgentName, SessionHandle, TenantId};
use support::{Bridge, Scenarios, adopt, start, work};

struct World {
    model: Model,
    gateway: Gateway,
    bridge: Bridge,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_well() {
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
        text_comes_as_it_is_said
        a_long_text_is_cut_into_frames
        a_tool_call_succeeds
        tool_calls_fail
        text_before_a_tool_call_is_replaced_by_the_answer
        a_child_session_settles_first
        the_model_refuses
        an_unknown_agent
        text_commands_are_literal
        operator_commands_are_refused
        a_session_is_continued_by_its_owner_only
        a_cancelled_run_stops
        a_cancel_reaches_a_tool
        a_cancel_before_the_start_starts_nothing
        a_finished_run_is_not_running
        a_cut_connection_loses_nothing
        a_new_process_goes_on_where_the_old_one_was
        a_new_process_reads_a_run_that_ended_meanwhile
        what_was_never_started_is_not_found
        a_foreign_record_is_refused
        sixteen_runs_at_once
        two_bridges_side_by_side
        a_bridge_without_records_stops_what_it_finds
    }
    scenarios.finish();
}

async fn text_comes_as_it_is_said(world: Arc<World>) {
    let prompt =
        "m-text\nmodel: delay 120\nmodel: say one two three four five six\nmodel: usage 70 9";
    let story = world.bridge.run(&work(prompt)).await;
    let end = story.end();
    assert_eq!(end.ending, Ending::Succeeded);
    assert_eq!(end.result.as_deref(), Some("one two three four five six"));
    let outputs = story.all.iter().filter(|report| matches!(report, Report::Output { .. })).count();
    assert!(outputs >= 3, "streamed: {:#?}", story.all);
    assert!(matches!(story.all.first(), Some(Report::Started { .. })));
    let usage = end.usage.clone().unwrap();
    assert_eq!((usage.input, usage.output, usage.total), (70, 9, 79));
    assert_eq!(usage.cost_micro_usd, Some(88));
    assert_eq!(usage.model.as_deref(), Some("scripted"));
    assert_eq!(story.progress.phases, ["model"]);
    assert_eq!(world.model.executions("m-text"), 1);
}

async fn a_long_text_is_cut_into_frames(world: Arc<World>) {
    let long = "ä".repeat(50_000);
    let story = world.bridge.run(&work(&format!("m-long\nmodel: say {long}"))).await;
    assert_eq!(story.end().ending, Ending::Succeeded);
    let (told, said) = (story.answer(), long.as_str());
    assert!(
        told == said,
        "{} of {} bytes, ends {:?}",
        told.len(),
        said.len(),
        told.chars().rev().take(60).collect::<String>()
    );
}

async fn a_tool_call_succeeds(world: Arc<World>) {
    let prompt = "m-tool\nmodel: tool exec {\"command\":\"echo from-the-tool\"}\nmodel: say done";
    let story = world.bridge.run(&work(prompt)).await;
    let end = story.end();
    assert_eq!((end.ending, end.result.as_deref()), (Ending::Succeeded, Some("done")));
    assert_eq!(story.calls.len(), 1);
    let (call, tool, args) = &story.calls[0];
    assert_eq!((tool.as_str(), args.as_str()), ("exec", "{\"command\":\"echo from-the-tool\"}"));
    assert_eq!(story.results, [(call.clone(), true, "from-the-tool".to_owned())]);
    assert_eq!(story.progress.phases, ["model", "tool:exec", "model"]);
    assert_eq!(end.usage.as_ref().unwrap().input, 642);
    assert_eq!(end.side_effects, SideEffects::Possible);
    assert_eq!(world.model.executions("m-tool"), 1);
}

async fn tool_calls_fail(world: Arc<World>) {
    let prompt = "m-fail\nmodel: tool read {\"path\":\"nowhere.txt\"}\nmodel: tool exec {\"command\":\"exit 3\"}\n\
        model: tool nosuch {\"a\":1}\nmodel: say done";
    let story = world.bridge.run(&work(prompt)).await;
    assert_eq!(story.end().ending, Ending::Succeeded);
    let tools: Vec<_> = story.calls.iter().map(|(_, tool, _)| tool.as_str()).collect();
    assert_eq!(tools, ["read", "exec", "nosuch"]);
    assert_eq!(story.calls[2].2, "{\"a\":1}");
    assert!(
        story.results.len() == 3 && story.results.iter().all(|(_, ok, _)| !ok),
        "{:#?}",
        story.results
    );
    // The transcript hides the third call and what it cost; the final answer does not.
    assert_eq!(story.end().usage.as_ref().unwrap().input, 4 * 321);
}

async fn text_before_a_tool_call_is_replaced_by_the_answer(world: Arc<World>) {
    let prompt = "m-preface\nmodel: preface Let me look.\nmodel: tool exec {\"command\":\"true\"}\n\
        model: say It is true.";
    let story = world.bridge.run(&work(prompt)).await;
    assert_eq!(story.end().result.as_deref(), Some("It is true."));
    let told = |wanted: &str, replaces: bool| {
        story.all.iter().any(|report| {
            matches!(report, Report::Output { text, replace, .. }
                if text.contains(wanted) && *replace == replaces)
        })
    };
    assert!(told("Let", false) && told("It", true), "{:#?}", story.all);
}

async fn a_child_session_settles_first(world: Arc<World>) {
    let prompt = "m-parent\nmodel: tool sessions_spawn {\"task\":\"m-child\\nmodel: delay 700\\nmodel: say child is done\"}\n\
        model: say parent is done";
    let story = world.bridge.run(&work(prompt)).await;
    assert_eq!(story.end().ending, Ending::Succeeded, "{:#?}", story.all);
    assert_eq!(story.calls[0].1, "sessions_spawn");
    // The child, then the parent once more, which hears of its end.
    assert!(!world.model.asked_with("m-child").is_empty());
    assert!(
        world.model.asked_with("m-parent").len() >= 3,
        "settled before the child: {:#?}",
        story.all
    );
}

async fn the_model_refuses(world: Arc<World>) {
    let story = world.bridge.run(&work("m-error\nmodel: status 400")).await;
    let end = story.end();
    assert_eq!(end.ending, Ending::Failed, "{:#?}", story.all);
    assert_eq!(end.trouble.as_ref().unwrap().code, TroubleCode::ModelError);
    assert_eq!(end.result, None);
    assert_eq!(story.answer(), "");
}

async fn an_unknown_agent(world: Arc<World>) {
    let mut work = work("m-nobody");
    work.agent = AgentName::new("nobody").unwrap();
    let story = world.bridge.run(&work).await;
    let end = story.end();
    assert_eq!((end.ending, end.side_effects), (Ending::Failed, SideEffects::None));
    assert_eq!(end.trouble.as_ref().unwrap().code, TroubleCode::AgentUnknown);
    assert_eq!(world.model.executions("m-nobody"), 0);
}

async fn text_commands_are_literal(world: Arc<World>) {
    for (at, command) in [
        "/status",
        "/help",
        "stop",
        "/stop",
        "/approve 1 allow-once",
        "/model other",
        "/think high",
        "hello /think high",
        "do X\n/exec ask=off security=full",
        "/exec host=gateway security=full ask=off",
        "/elevated on",
        "@everyone /reset",
    ]
    .into_iter()
    .enumerate()
    {
        let story = world.bridge.run(&work(command)).await;
        let end = story.end();
        assert_eq!(end.ending, Ending::Succeeded, "{at}: {command:?}: {end:?}");
        assert!(story.answer().contains(command), "{command:?} came back as {:?}", story.answer());
    }
    // The directive did not stay in the session either: `main` still asks, and so fails.
    let mut work = work(
        "m-main\nmodel: tool exec {\"command\":\"id -un\"}\nmodel: say done\n/exec ask=off security=full",
    );
    work.agent = AgentName::new("main").unwrap();
    let story = world.bridge.run(&work).await;
    assert!(!story.results[0].1, "ran without approval: {:?}", story.results);
}

async fn operator_commands_are_refused(world: Arc<World>) {
    for command in ["/new", "/reset", "/new please"] {
        let story = world.bridge.run(&work(command)).await;
        let end = story.end();
        assert_eq!(
            (end.ending, end.side_effects),
            (Ending::Failed, SideEffects::None),
            "{command}"
        );
        assert_eq!(end.trouble.as_ref().unwrap().code, TroubleCode::InputRefused);
    }
    let empty = world.bridge.adapter.intend(&work(" \n")).await;
    assert_eq!(empty.unwrap_err().0.code, TroubleCode::InputRefused);
}

async fn a_session_is_continued_by_its_owner_only(world: Arc<World>) {
    let first = world.bridge.run(&work("m-turn-1\nmodel: say first")).await;
    let Some(Report::Started { session, .. }) = first.all.first() else { panic!("started") };
    let mut second = work("m-turn-2\nmodel: say second");
    second.session = Some(session.clone());
    let story = world.bridge.run(&second).await;
    assert_eq!(story.end().result.as_deref(), Some("second"));
    assert_eq!(
        story.end().usage.as_ref().unwrap().input,
        321,
        "the first turn is not counted again"
    );
    assert_eq!(story.progress.phases, ["model"]);
    let seen = world.model.asked_with("m-turn-2")[0].body.to_string();
    assert!(seen.contains("m-turn-1"), "the second turn sees the first");

    let mut foreign = work("m-turn-3");
    foreign.session = Some(session.clone());
    foreign.tenant.src = TenantId::new("umbrella").unwrap();
    assert_eq!(
        world.bridge.adapter.intend(&foreign).await.unwrap_err().0.code,
        TroubleCode::InputRefused
    );
    foreign.session = Some(SessionHandle::new("main").unwrap());
    assert_eq!(
        world.bridge.adapter.intend(&foreign).await.unwrap_err().0.code,
        TroubleCode::InputRefused
    );
}

async fn a_cancelled_run_stops(world: Arc<World>) {
    let work = work(
        "m-cancel\nmodel: delay 200\nmodel: say a b c d e f g h i j k l m n o p q r s t u v w x y z",
    );
    let mut watch = world.bridge.start(&work).await;
    watch.until(|story| story.answer().len() > 3).await;
    let stopped = world.bridge.adapter.stop(&work, &watch.intent, StopReason::Cancel).await;
    assert_eq!(stopped, Ok(Stopped::Stopping));
    let story = watch.end().await;
    assert_eq!(story.end().ending, Ending::Cancelled, "{:#?}", story.all);
    assert!(!story.answer().contains('z'));
    assert_eq!(story.end().side_effects, SideEffects::Possible);
}

async fn a_cancel_reaches_a_tool(world: Arc<World>) {
    let work = work(
        "m-sleep\nmodel: tool exec {\"command\":\"sleep 8; echo survived > m-sleep.txt\"}\nmodel: say done",
    );
    let mut watch = world.bridge.start(&work).await;
    watch.until(|story| !story.calls.is_empty()).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    world.bridge.adapter.stop(&work, &watch.intent, StopReason::Deadline).await.unwrap();
    let story = watch.end().await;
    assert_eq!(story.end().ending, Ending::Cancelled, "{:#?}", story.all);
    assert!(story.results.len() == 1 && !story.results[0].1, "{:#?}", story.results);
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert!(
        !world.gateway.folder().join("workspace-auto/m-sleep.txt").exists(),
        "the command went on"
    );
}

async fn a_cancel_before_the_start_starts_nothing(world: Arc<World>) {
    let work = work("m-early");
    let intent = world.bridge.adapter.intend(&work).await.unwrap();
    let stopped = world.bridge.adapter.stop(&work, &intent, StopReason::Cancel).await;
    assert_eq!(stopped, Ok(Stopped::NotRunning));
    let story = start(&world.bridge.adapter, &work, intent).end().await;
    assert_eq!(
        (story.end().ending, story.end().side_effects),
        (Ending::Cancelled, SideEffects::None)
    );
    assert_eq!(world.model.executions("m-early"), 0);
}

async fn a_finished_run_is_not_running(world: Arc<World>) {
    let work = work("m-over\nmodel: say over");
    let watch = world.bridge.start(&work).await;
    let intent = watch.intent.clone();
    assert_eq!(watch.end().await.end().ending, Ending::Succeeded);
    let stopped = world.bridge.adapter.stop(&work, &intent, StopReason::Cancel).await;
    assert_eq!(stopped, Ok(Stopped::NotRunning));
}

async fn a_cut_connection_loses_nothing(world: Arc<World>) {
    let proxy = Proxy::start(world.gateway.port()).await.unwrap();
    let bridge = Bridge::paired_at(&world.gateway, proxy.port()).await;
    let prompt = "m-cut\nmodel: delay 150\nmodel: tool exec {\"command\":\"sleep 2; echo hi\"}\n\
        model: say a b c d e f g h i j k l m n o p q r s t u v w x y z";
    let mut watch = bridge.start(&work(prompt)).await;
    watch.until(|story| !story.calls.is_empty()).await;
    proxy.cut();
    watch.until(|story| story.answer().len() > 5).await;
    proxy.close();
    tokio::time::sleep(Duration::from_millis(700)).await;
    proxy.open();
    let story = watch.end().await;
    assert_eq!(story.end().ending, Ending::Succeeded, "{:#?}", story.all);
    assert_eq!(story.answer(), "a b c d e f g h i j k l m n o p q r s t u v w x y z");
    assert_eq!(story.results.len(), 1);
    assert_eq!(story.progress.phases, ["model", "tool:exec", "model"]);
    assert_eq!(story.end().usage.as_ref().unwrap().input, 642);
    assert_eq!(world.model.executions("m-cut"), 1);
    assert_eq!(world.model.asked_with("m-cut").len(), 2);
}

async fn a_new_process_goes_on_where_the_old_one_was(world: Arc<World>) {
    let prompt = "m-adopt\nmodel: delay 150\nmodel: tool exec {\"command\":\"echo hi\"}\n\
        model: say a b c d e f g h i j k l m n o p q r s t u v w x y z";
    let work = work(prompt);
    let mut watch = world.bridge.start(&work).await;
    watch.until(|story| story.answer().len() > 5).await;
    let (intent, before) = watch.abandon().await;
    let adapter = world.bridge.restarted();
    let after = adopt(&adapter, &work, intent, before.progress.clone()).end().await;
    let whole = before.after(&after);
    whole.check();
    assert_eq!(whole.end().ending, Ending::Succeeded);
    assert_eq!(whole.answer(), "a b c d e f g h i j k l m n o p q r s t u v w x y z");
    assert_eq!(whole.progress.phases, ["model", "tool:exec", "model"]);
    assert!(after.calls.is_empty() && after.results.is_empty());
    assert_eq!(world.model.executions("m-adopt"), 1);
}

async fn a_new_process_reads_a_run_that_ended_meanwhile(world: Arc<World>) {
    let prompt = "m-meanwhile\nmodel: tool exec {\"command\":\"sleep 1\"}\nmodel: say it is over";
    let work = work(prompt);
    let mut watch = world.bridge.start(&work).await;
    watch.until(|story| story.progress.started).await;
    let (intent, before) = watch.abandon().await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let after =
        adopt(&world.bridge.restarted(), &work, intent, before.progress.clone()).end().await;
    let whole = before.after(&after);
    whole.check();
    assert_eq!(whole.end().result.as_deref(), Some("it is over"));
    assert_eq!(whole.calls.len(), 1);
    assert_eq!(world.model.executions("m-meanwhile"), 1);
}

async fn what_was_never_started_is_not_found(world: Arc<World>) {
    let work = work("m-never");
    let intent = world.bridge.adapter.intend(&work).await.unwrap();
    let story = adopt(&world.bridge.adapter, &work, intent, Progress::default()).end().await;
    let end = story.end();
    assert_eq!((end.ending, end.side_effects), (Ending::Failed, SideEffects::Unknown));
    assert_eq!(end.trouble.as_ref().unwrap().code, TroubleCode::Interrupted);
    assert_eq!(world.model.executions("m-never"), 0);
}

async fn a_foreign_record_is_refused(world: Arc<World>) {
    let (mine, other) = (work("m-mine\nmodel: hang"), work("m-other"));
    let mut watch = world.bridge.start(&mine).await;
    watch.until(|story| story.progress.started).await;
    let stolen = watch.intent.clone();
    let stopped = world.bridge.adapter.stop(&other, &stolen, StopReason::Cancel).await;
    assert_eq!(stopped, Ok(Stopped::NotRunning));
    let story = start(&world.bridge.adapter, &other, stolen).end().await;
    assert_eq!(story.end().side_effects, SideEffects::None);
    let story = start(&world.bridge.adapter, &other, Intent(serde_json::Value::Null)).end().await;
    assert_eq!(story.end().ending, Ending::Failed);
    world.bridge.adapter.stop(&mine, &watch.intent, StopReason::Cancel).await.unwrap();
    assert_eq!(watch.end().await.end().ending, Ending::Cancelled);
}

async fn sixteen_runs_at_once(world: Arc<World>) {
    let mut runs = Vec::new();
    for number in 0..16 {
        let world = Arc::clone(&world);
        runs.push(tokio::spawn(async move {
            let prompt = format!(
                "m-many-{number}.\nmodel: delay 30\nmodel: tool exec {{\"command\":\"echo {number}\"}}\nmodel: say I am number {number}"
            );
            let story = world.bridge.run(&work(&prompt)).await;
            assert_eq!(story.end().result, Some(format!("I am number {number}")));
            assert_eq!(story.results[0].2, number.to_string());
            assert_eq!(world.model.executions(&format!("m-many-{number}.")), 1);
        }));
    }
    for run in runs {
        run.await.unwrap();
    }
}

async fn two_bridges_side_by_side(world: Arc<World>) {
    let other = Bridge::paired(&world.gateway).await;
    assert_ne!(other.adapter.device(), world.bridge.adapter.device());
    // Long enough to be running still when a slow machine comes to stop it.
    let mine = work(&format!("m-left\nmodel: delay 150\nmodel: say {}", "l ".repeat(200)));
    let theirs = work("m-right\nmodel: delay 150\nmodel: say r r r r r r r r r r");
    let mut left = world.bridge.start(&mine).await;
    let mut right = other.start(&theirs).await;
    left.until(|story| story.answer().len() > 3).await;
    right.until(|story| story.answer().len() > 3).await;
    // The gateway lets only the device that started a run stop it, and so the other's is not touched.
    assert!(!matches!(
        other.adapter.stop(&mine, &left.intent, StopReason::Cancel).await,
        Ok(Stopped::Stopping)
    ));
    assert_eq!(
        world.bridge.adapter.stop(&mine, &left.intent, StopReason::Cancel).await,
        Ok(Stopped::Stopping)
    );
    assert_eq!(left.end().await.end().ending, Ending::Cancelled);
    let right = right.end().await;
    assert_eq!(right.end().result.as_deref(), Some("r r r r r r r r r r"));
    assert!(!right.answer().contains('l'));
}

async fn a_bridge_without_records_stops_what_it_finds(world: Arc<World>) {
    let other = Bridge::paired(&world.gateway).await;
    let speaks = work(&format!("m-lost\nmodel: delay 150\nmodel: say {}", "l ".repeat(300)));
    let sleeps = work(
        "m-lost-tool\nmodel: tool exec {\"command\":\"sleep 12; echo on > m-lost.txt\"}\nmodel: say done",
    );
    let theirs =
        work("m-stays\nmodel: delay 150\nmodel: say s s s s s s s s s s s s s s s s s s s s");
    let mut speaking = world.bridge.start(&speaks).await;
    let mut sleeping = world.bridge.start(&sleeps).await;
    let mut stays = other.start(&theirs).await;
    speaking.until(|story| story.answer().len() > 3).await;
    sleeping.until(|story| !story.calls.is_empty()).await;
    stays.until(|story| story.answer().len() > 3).await;
    let (speaking, said) = speaking.abandon().await;
    let (sleeping, slept) = sleeping.abandon().await;

    let adapter = world.bridge.restarted();
    let mut stopped = 0;
    for _ in 0..100 {
        // A link that is not up yet is asked again, as the bridge does.
        if let Ok(found) = adapter.stop_all().await {
            stopped += found;
        }
        if stopped >= 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(stopped >= 2, "{stopped}");
    for (work, intent, before) in [(&speaks, speaking, said), (&sleeps, sleeping, slept)] {
        let story = adopt(&adapter, work, intent, before.progress.clone()).end().await;
        assert_ne!(story.end().ending, Ending::Succeeded, "{:#?}", story.all);
    }
    // What another bridge's device started is not this one's to stop.
    assert_eq!(stays.end().await.end().ending, Ending::Succeeded);
    tokio::time::sleep(Duration::from_secs(13)).await;
    let left = world.gateway.folder().join("workspace-auto/m-lost.txt");
    assert!(!left.exists(), "the command went on");
    assert_eq!(adapter.stop_all().await, Ok(0), "nothing is left to stop");
}
