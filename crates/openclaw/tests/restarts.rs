//! A gateway that is killed under a run, and comes back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::time::{Duration, Instant};

use landbridge_harness::gateway::{Gateway, Installed};
use landbridge_harness::model::Model;
use landbridge_node::adapter::{Adapter, Ending, SideEffects, StopReason, Stopped, TroubleCode};
use support::{Bridge, Story, adopt, work};

/// From the gateway's return to the end of a run that it does not continue.
const MINUTE: Duration = Duration::from_secs(60);

fn is_honest(story: &Story) {
    let end = story.end();
    match end.ending {
        Ending::Succeeded => {
            assert!(story.errors.iter().any(|trouble| trouble.code == TroubleCode::Interrupted))
        }
        Ending::Failed => match end.trouble.as_ref().unwrap().code {
            TroubleCode::Interrupted => assert_ne!(end.side_effects, SideEffects::None),
            // It was not asked yet when it was killed, and did not come back soon enough.
            TroubleCode::GatewayUnavailable => assert_eq!(end.side_effects, SideEffects::None),
            code => panic!("{code:?}: {:#?}", story.all),
        },
        other => panic!("{other:?}: {:#?}", story.all),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_a_killed_gateway_are_continued_or_end_honestly() {
    let Some(installed) = Installed::from_env() else {
        return;
    };
    let model = Model::start().await.unwrap();
    let mut gateway = Gateway::start(&installed, &model.url()).await.unwrap();
    let bridge = Bridge::paired(&gateway).await;

    // One is in a tool, one in its text, one is done; a fourth is left by its bridge at the same time.
    let in_tool = work(
        "m-in-tool\nmodel: tool exec {\"command\":\"sleep 20\"}\nmodel: say the tool was interrupted",
    );
    let in_text =
        work("m-in-text\nmodel: delay 250\nmodel: say a b c d e f g h i j k l m n o p q r s t");
    let done = work("m-done\nmodel: say done");
    let left =
        work("m-left\nmodel: tool exec {\"command\":\"sleep 20\"}\nmodel: say left and found");
    let finished = bridge.start(&done).await;
    let finished_intent = finished.intent.clone();
    assert_eq!(finished.end().await.end().ending, Ending::Succeeded);
    let mut tool = bridge.start(&in_tool).await;
    let mut abandoned = bridge.start(&left).await;
    tool.until(|story| !story.calls.is_empty()).await;
    abandoned.until(|story| !story.calls.is_empty()).await;
    let mut text = bridge.start(&in_text).await;
    text.until(|story| story.answer().len() > 3).await;
    let (left_intent, before) = abandoned.abandon().await;
    let boot = landbridge_openclaw::status(&bridge.config).await.unwrap().boot;

    gateway.restart().await.unwrap();
    let back = Instant::now();
    let second = bridge.restarted();
    let found = adopt(&second, &left, left_intent, before.progress.clone());
    let again =
        adopt(&second, &done, finished_intent, landbridge_node::adapter::Progress::default());

    let tool = tool.end().await;
    println!("in a tool: {:?} after {:?}", tool.end().ending, back.elapsed());
    is_honest(&tool);
    assert!(tool.results.len() == 1 && !tool.results[0].1, "{:#?}", tool.results);
    let text = text.end().await;
    println!("in its text: {:?} after {:?}", text.end().ending, back.elapsed());
    is_honest(&text);
    let found = found.end().await;
    println!("left: {:?} after {:?}", found.end().ending, back.elapsed());
    is_honest(&found);
    let whole = before.after(&found);
    whole.check();
    assert_eq!(whole.calls.len(), 1);
    assert!(back.elapsed() < MINUTE + Duration::from_secs(30), "{:?}", back.elapsed());
    assert_eq!(again.end().await.end().result.as_deref(), Some("done"));

    assert_ne!(boot, landbridge_openclaw::status(&bridge.config).await.unwrap().boot);
    for marker in ["m-in-tool", "m-in-text", "m-done", "m-left"] {
        assert_eq!(model.executions(marker), 1, "{marker} was executed again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_stopped_across_a_restart_stays_stopped() {
    let Some(installed) = Installed::from_env() else {
        return;
    };
    let model = Model::start().await.unwrap();
    let mut gateway = Gateway::start(&installed, &model.url()).await.unwrap();
    let bridge = Bridge::paired(&gateway).await;
    let work = work(
        "m-stop\nmodel: delay 300\nmodel: say a b c d e f g h i j k l m n o p q r s t u v w x y z",
    );
    let mut watch = bridge.start(&work).await;
    watch.until(|story| story.answer().len() > 3).await;
    gateway.kill().await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    // The gateway is away: the bridge hears so, and asks again later.
    let away = bridge.adapter.stop(&work, &watch.intent, StopReason::Cancel).await;
    assert_eq!(away.unwrap_err().0.code, TroubleCode::GatewayUnavailable);
    assert_eq!(
        bridge.adapter.intend(&work).await.unwrap_err().0.code,
        TroubleCode::GatewayUnavailable
    );
    assert!(!bridge.adapter.describe().await.reachable);
    gateway.restart().await.unwrap();
    let story = watch.end().await;
    assert_eq!(story.end().ending, Ending::Cancelled, "{:#?}", story.all);
    assert!(!story.answer().contains('z'));
    assert_eq!(model.executions("m-stop"), 1);
    // A gateway that has just come back may still be putting the session away: it is asked again, as
    // the bridge does.
    let intent = support::intent_of(&bridge, &work).await;
    let within = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let stopped = bridge.adapter.stop(&work, &intent, StopReason::Cancel).await;
        if stopped == Ok(Stopped::NotRunning) {
            break;
        }
        assert!(tokio::time::Instant::now() < within, "{stopped:?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_killed_at_any_moment_starts_nothing_twice() {
    let Some(installed) = Installed::from_env() else { return };
    let model = Model::start().await.unwrap();
    let mut gateway = Gateway::start(&installed, &model.url()).await.unwrap();
    let bridge = Bridge::paired(&gateway).await;
    bridge.run(&work("m-warm")).await;
    // From the moment the call is made to the last words: queued, preparing, in a tool, in text.
    let mut runs = Vec::new();
    for number in 0..6_u64 {
        let prompt = format!(
            "m-kill-{number}.\nmodel: delay 100\nmodel: tool exec {{\"command\":\"sleep 0.4\"}}\n\
             model: say number {number} says a few words"
        );
        let work = work(&prompt);
        let watch = bridge.start(&work).await;
        runs.push((number, watch));
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    gateway.restart().await.unwrap();
    let back = Instant::now();
    for (number, watch) in runs {
        let story = watch.end().await;
        println!("  {number}: {:?} after {:?}", story.end().ending, back.elapsed());
        let finished_before = story.errors.is_empty() && story.end().ending == Ending::Succeeded;
        if !finished_before {
            is_honest(&story);
        }
        let executions = model.executions(&format!("m-kill-{number}."));
        assert!(executions <= 1);
        if story.end().side_effects == SideEffects::None {
            assert_eq!(executions, 0, "it says that nothing was started");
        }
    }
    assert!(back.elapsed() < MINUTE + Duration::from_secs(10), "{:?}", back.elapsed());
}
