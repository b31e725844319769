//! Tool calls that wait for a person, on a gateway with the product's plugin.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use landbridge_harness::gateway::{Gateway, Installed};
use landbridge_harness::model::Model;
use landbridge_harness::operator::{Operator, Who};
use landbridge_harness::plugin::{Tools, load_approvals};
use landbridge_node::adapter::{
    Adapter, Ask, Binding, Ending, Report, ResolvedBy, SideEffects, StopReason, TroubleCode, Vote,
    Work,
};
use landbridge_openclaw::{Authority, Secret, pair};
use landbridge_proto::wire::name::{AgentName, ToolName};
use serde_json::{Value, json};
use support::{Bridge, Scenarios, Watch, adopt, work};

struct World {
    gateway: Gateway,
    bridge: Bridge,
    tools: Tools,
    _model: Model,
}

impl World {
    async fn new(installed: &Installed) -> Self {
        let model = Model::start().await.unwrap();
        let tools = Tools::new().unwrap();
        let gateway = Gateway::start_with(installed, &model.url(), |config| {
            tools.load(config);
            let settings = json!({"agents": ["auto"], "tools": ["exec", "write", "tally_add"],
                "timeoutSeconds": 20});
            load_approvals(config, &settings);
        })
        .await
        .unwrap();
        let bridge = Bridge::paired_for_approvals(&gateway).await;
        Self { gateway, bridge, tools, _model: model }
    }

    /// A file that only the gated command makes, and a prompt whose model calls for it.
    fn touches(&self, name: &str) -> (PathBuf, Work) {
        let file = self.gateway.folder().join(name);
        let args = json!({"command": format!("touch {}", file.display())});
        (file, work(&format!("{name}\nmodel: tool exec {args}\nmodel: say done")))
    }

    async fn operator(&self, seed: u8) -> Operator {
        let token = self.gateway.token();
        let who = Who { seed: [seed; 32], auth: "token", token, scopes: &["operator.admin"] };
        Operator::connect(self.gateway.port(), &who).await.unwrap()
    }

    async fn vote(&self, work: &Work, question: &str, vote: Vote) -> (Vote, ResolvedBy, Value) {
        let decided = self.bridge.adapter.resolve(work, question, vote).await.unwrap();
        assert_eq!(decided.question, question);
        (decided.vote, decided.by, serde_json::from_str(&decided.evidence).unwrap())
    }
}

async fn asked(watch: &mut Watch) -> String {
    watch.until(|story| !story.needed.is_empty()).await;
    watch.story.needed[0].question.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_wait_for_a_person() {
    let Some(installed) = Installed::from_env() else {
        return;
    };
    let world = Arc::new(World::new(&installed).await);
    let mut scenarios = Scenarios::default();
    macro_rules! play {
        ($($scenario:ident)*) => {$(
            scenarios.play(stringify!($scenario), $scenario(Arc::clone(&world))).await;
        )*};
    }
    play! {
        an_approved_call_is_done_and_was_shown_whole
        a_denied_call_is_not_done
        the_first_of_two_answers_counts
        an_operator_at_the_gateway_may_be_first
        a_question_is_answered_by_its_own_run_alone
        nobody_answers
        a_stopped_run_withdraws_its_question
        the_gateways_own_question_is_answered_too
        a_file_is_written_when_that_is_approved
        a_new_process_answers_what_the_old_one_was_asked
        a_new_process_hears_what_was_decided_meanwhile
        a_device_without_the_scope_says_that_nobody_can_be_asked
        a_direct_call_cannot_wait
        what_a_subagent_calls_waits_as_well
        a_device_that_is_paired_anew_takes_up_its_scope
    }
    drop(world);
    scenarios.finish();
}

async fn an_approved_call_is_done_and_was_shown_whole(world: Arc<World>) {
    assert_eq!(world.bridge.adapter.describe().await.approvals, None);
    let (file, work) = world.touches("approved");
    let mut watch = world.bridge.start(&work).await;
    let question = asked(&mut watch).await;
    let needed = watch.story.needed[0].clone();
    assert_eq!((needed.kind.as_str(), needed.binding), ("exec", Binding::Exact));
    assert_eq!(needed.call.as_ref(), Some(&watch.story.calls[0].0));
    let subject: Value = serde_json::from_str(&needed.subject).unwrap();
    assert_eq!(subject["args"]["command"], format!("touch {}", file.display()));
    let folder = world.gateway.folder().join("workspace-auto");
    assert_eq!(subject["args"]["workdir"].as_str(), folder.to_str());
    assert_eq!((&subject["tool"], &subject["agent"]), (&json!("exec"), &json!("auto")));
    assert!(subject["session"].as_str().unwrap().starts_with("agent:auto:fed-"));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!file.exists(), "it waits");
    let (vote, by, evidence) = world.vote(&work, &question, Vote::Approve).await;
    assert_eq!((vote, by), (Vote::Approve, ResolvedBy::Peer));
    assert_eq!(evidence["status"], "allowed");
    let story = watch.end().await;
    assert!(file.exists());
    assert_eq!(story.end().ending, Ending::Succeeded);
    assert_eq!((story.decided.len(), story.decided[0].by), (1, ResolvedBy::Peer));
    assert!(story.results[0].1 && story.errors.is_empty());
    let place = |wanted: fn(&Report) -> bool| story.all.iter().position(wanted).unwrap();
    let called = place(|report| matches!(report, Report::ToolCall { .. }));
    assert!(called < place(|report| matches!(report, Report::ApprovalNeeded(_))));
}

async fn a_denied_call_is_not_done(world: Arc<World>) {
    let (file, work) = world.touches("denied");
    let mut watch = world.bridge.start(&work).await;
    let question = asked(&mut watch).await;
    let (vote, by, _) = world.vote(&work, &question, Vote::Deny).await;
    assert_eq!((vote, by), (Vote::Deny, ResolvedBy::Peer));
    let story = watch.end().await;
    assert!(!file.exists() && !story.results[0].1, "{:#?}", story.all);
    assert_eq!(story.end().ending, Ending::Succeeded);
    assert_eq!(story.decided[0].vote, Vote::Deny);
    assert!(story.errors.is_empty(), "somebody was asked: {:?}", story.errors);
}

async fn the_first_of_two_answers_counts(world: Arc<World>) {
    let (file, work) = world.touches("twice");
    let mut watch = world.bridge.start(&work).await;
    let question = asked(&mut watch).await;
    let (one, other) = tokio::join!(
        world.vote(&work, &question, Vote::Approve),
        world.vote(&work, &question, Vote::Deny)
    );
    assert_eq!(one, other);
    watch.end().await;
    assert_eq!(file.exists(), one.0 == Vote::Approve);
}

//= APR-27
async fn an_operator_at_the_gateway_may_be_first(world: Arc<World>) {
    let mut operator = world.operator(8).await;
    for (name, decision, taken) in
        [("first-allow", "allow-once", Vote::Approve), ("first-deny", "deny", Vote::Deny)]
    {
        let (file, work) = world.touches(name);
        let mut watch = world.bridge.start(&work).await;
        let question = asked(&mut watch).await;
        let params = json!({"id": question, "kind": "plugin", "decision": decision});
        let answer = operator.call("approval.resolve", &params).await.unwrap();
        assert_eq!(answer["payload"]["applied"], true, "{answer}");
        let late = if taken == Vote::Approve { Vote::Deny } else { Vote::Approve };
        // The run may have ended by now, and then there is no such question any more.
        if let Ok(decided) = world.bridge.adapter.resolve(&work, &question, late).await {
            assert_eq!((decided.vote, decided.by), (taken, ResolvedBy::Gateway));
        }
        let story = watch.end().await;
        assert_eq!((story.decided[0].vote, story.decided[0].by), (taken, ResolvedBy::Gateway));
        assert_eq!(file.exists(), taken == Vote::Approve);
    }
}

async fn a_question_is_answered_by_its_own_run_alone(world: Arc<World>) {
    let (file, first) = world.touches("own");
    let mut watch = world.bridge.start(&first).await;
    let question = asked(&mut watch).await;
    let (_, stranger) = world.touches("stranger");
    let refused =
        world.bridge.adapter.resolve(&stranger, &question, Vote::Approve).await.unwrap_err();
    assert_eq!(refused.0.code, TroubleCode::ApprovalUnknown);
    assert!(!file.exists());
    world.vote(&first, &question, Vote::Deny).await;
    watch.end().await;
    assert!(!file.exists());
}

async fn nobody_answers(world: Arc<World>) {
    let (file, work) = world.touches("expired");
    let story = world.bridge.run(&work).await;
    assert_eq!(story.needed.len(), 1);
    assert_eq!((story.decided[0].vote, story.decided[0].by), (Vote::Deny, ResolvedBy::Expiry));
    assert!(!file.exists() && !story.results[0].1);
}

async fn a_stopped_run_withdraws_its_question(world: Arc<World>) {
    let (file, work) = world.touches("stopped");
    let mut watch = world.bridge.start(&work).await;
    asked(&mut watch).await;
    let intent = watch.intent.clone();
    world.bridge.adapter.stop(&work, &intent, StopReason::Cancel).await.unwrap();
    let story = watch.end().await;
    assert_eq!(story.end().ending, Ending::Cancelled);
    assert_eq!(story.decided[0].by, ResolvedBy::Closed);
    assert!(!file.exists());
}

/// `main` is not gated by the plugin; the gateway asks before its commands.
async fn the_gateways_own_question_is_answered_too(world: Arc<World>) {
    for (name, vote) in [("own-allow", Vote::Approve), ("own-deny", Vote::Deny)] {
        let (file, mut work) = world.touches(name);
        work.agent = AgentName::new("main").unwrap();
        let mut watch = world.bridge.start(&work).await;
        let question = asked(&mut watch).await;
        let needed = watch.story.needed[0].clone();
        assert_eq!((needed.kind.as_str(), needed.binding), ("exec", Binding::Observed));
        assert!(needed.subject.contains(file.to_str().unwrap()), "{}", needed.subject);
        assert!(!file.exists());
        assert_eq!(world.vote(&work, &question, vote).await.0, vote);
        let story = watch.end().await;
        assert_eq!(file.exists(), vote == Vote::Approve, "{:#?}", story.all);
    }
}

async fn a_file_is_written_when_that_is_approved(world: Arc<World>) {
    let args = json!({"path": "written.txt", "content": "ä \u{202e} \n"});
    let work = work(&format!("written\nmodel: tool write {args}\nmodel: say done"));
    let file = world.gateway.folder().join("workspace-auto/written.txt");
    let mut watch = world.bridge.start(&work).await;
    let question = asked(&mut watch).await;
    let needed = watch.story.needed[0].clone();
    assert_eq!((needed.kind.as_str(), needed.binding), ("tool", Binding::Exact));
    let subject: Value = serde_json::from_str(&needed.subject).unwrap();
    assert_eq!(subject["args"], args);
    assert!(!file.exists());
    world.vote(&work, &question, Vote::Approve).await;
    watch.end().await;
    assert_eq!(std::fs::read_to_string(file).unwrap(), "ä \u{202e} \n");
}

async fn a_new_process_answers_what_the_old_one_was_asked(world: Arc<World>) {
    let (file, work) = world.touches("adopted");
    let mut watch = world.bridge.start(&work).await;
    let question = asked(&mut watch).await;
    let (intent, before) = watch.abandon().await;
    let second = world.bridge.restarted();
    let mut watch = adopt(&second, &work, intent, before.progress.clone());
    assert_eq!(asked(&mut watch).await, question);
    let decided = second.resolve(&work, &question, Vote::Approve).await.unwrap();
    assert_eq!((decided.vote, decided.by), (Vote::Approve, ResolvedBy::Peer));
    let later = watch.end().await;
    assert_eq!(later.needed, before.needed, "the same question, and all of it");
    let story = before.after(&later);
    story.check();
    assert_eq!(story.decided.len(), 1);
    assert!(file.exists());
}

async fn a_new_process_hears_what_was_decided_meanwhile(world: Arc<World>) {
    let (file, work) = world.touches("meanwhile");
    let mut watch = world.bridge.start(&work).await;
    let question = asked(&mut watch).await;
    let (intent, before) = watch.abandon().await;
    let mut operator = world.operator(11).await;
    let params = json!({"id": question, "kind": "plugin", "decision": "deny"});
    operator.call("approval.resolve", &params).await.unwrap();
    let second = world.bridge.restarted();
    let story = adopt(&second, &work, intent, before.progress.clone()).end().await;
    assert_eq!(story.decided.len(), 1, "{:#?}", story.all);
    assert_eq!((story.decided[0].vote, story.decided[0].by), (Vote::Deny, ResolvedBy::Gateway));
    assert_eq!(story.decided[0].question, question);
    assert!(!file.exists());
}

async fn a_device_without_the_scope_says_that_nobody_can_be_asked(world: Arc<World>) {
    let bridge = Bridge::paired(&world.gateway).await;
    let why = bridge.adapter.describe().await.approvals.unwrap();
    assert!(why.contains("gateway connect --approvals"), "{why}");
    for agent in ["auto", "main"] {
        let (file, mut work) = world.touches(&format!("no-scope-{agent}"));
        work.agent = AgentName::new(agent).unwrap();
        let story = bridge.run(&work).await;
        let codes: Vec<_> = story.errors.iter().map(|trouble| trouble.code).collect();
        assert_eq!(codes, [TroubleCode::NoApprovalRoute], "{:#?}", story.all);
        assert!(!file.exists() && !story.results[0].1 && story.needed.is_empty());
        assert_eq!(story.end().ending, Ending::Succeeded);
    }
}

/// A tool that a peer calls without a run cannot wait.
async fn a_direct_call_cannot_wait(world: Arc<World>) {
    let mut call = work("");
    let tool = ToolName::new("tally_add").unwrap();
    call.ask = Ask::ToolCall { tool, args: json!({"marker": "direct"}).to_string() };
    let intent = world.bridge.adapter.intend(&call).await.unwrap();
    let story = support::start(&world.bridge.adapter, &call, intent).end().await;
    let trouble = story.end().trouble.clone().unwrap();
    assert_eq!(trouble.code, TroubleCode::NoApprovalRoute, "{trouble:?}");
    assert_eq!(story.end().side_effects, SideEffects::None);
    assert_eq!(world.tools.count("begun", "direct"), 0);
}

/// The gateway chooses the child's session, and its name does not say whose it is.
async fn what_a_subagent_calls_waits_as_well(world: Arc<World>) {
    let (file, child) = world.touches("child");
    let Ask::Prompt(task) = child.ask else { panic!("a prompt") };
    let args = json!({"task": task});
    let parent = work(&format!("parent\nmodel: tool sessions_spawn {args}\nmodel: say done"));
    let mut watch = world.bridge.start(&parent).await;
    watch.until(|story| !story.needed.is_empty() || story.end.is_some()).await;
    assert!(!file.exists());
    let needed = watch.story.needed[0].clone();
    assert_eq!(needed.binding, Binding::Exact);
    assert_eq!(needed.call.as_ref(), watch.story.calls.last().map(|(call, ..)| call));
    world.vote(&parent, &needed.question, Vote::Approve).await;
    let story = watch.end().await;
    assert!(file.exists(), "{:#?}", story.all);
}

async fn a_device_that_is_paired_anew_takes_up_its_scope(world: Arc<World>) {
    let bridge = Bridge::paired(&world.gateway).await;
    assert!(bridge.adapter.describe().await.approvals.is_some());
    let token = Secret::new(world.gateway.token().to_owned());
    pair(&bridge.config, token, Authority::RunsAndApprovals).await.unwrap();
    let begun = Instant::now();
    while bridge.adapter.describe().await.approvals.is_some() {
        assert!(begun.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_restarted_and_loses_its_plugin() {
    let Some(installed) = Installed::from_env() else {
        return;
    };
    let mut world = World::new(&installed).await;
    let (file, waiting) = world.touches("restarted");
    let mut watch = world.bridge.start(&waiting).await;
    asked(&mut watch).await;
    world.gateway.restart().await.unwrap();
    let story = watch.end().await;
    println!("ended {:?}, {:?}", story.end().ending, story.errors);
    assert_eq!((story.decided[0].vote, story.decided[0].by), (Vote::Deny, ResolvedBy::Closed));
    assert!(story.decided[0].evidence.contains("gateway-restart"), "{:?}", story.decided);
    assert!(!file.exists());

    world.gateway.reconfigure(|config| config["plugins"] = json!({"enabled": false})).unwrap();
    world.gateway.restart().await.unwrap();
    world.bridge.adapter.ready(Duration::from_secs(30)).await.unwrap();
    let why = world.bridge.adapter.describe().await.approvals.unwrap();
    assert!(why.contains("landbridge-approvals"), "{why}");
    let (file, work) = world.touches("no-plugin");
    let story = world.bridge.run(&work).await;
    let end = story.end();
    assert_eq!(end.trouble.as_ref().unwrap().code, TroubleCode::NoApprovalRoute);
    assert_eq!((end.ending, end.side_effects), (Ending::Failed, SideEffects::None));
    assert!(!file.exists(), "without its gate the command is not run");
}
