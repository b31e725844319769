//! Runs on a gateway that is well: every scenario of the adapter's everyday.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use landbridge_harness::gateway::{Gateway, Installed};
use landbridge_harness::model::Model;
use landbridge_node::adapter::{Adapter, Ending, SideEffects, TroubleCode};
use support::{Bridge, work};

#[tokio::test(flavor = "multi_thread")]
async fn text_comes_as_it_is_said() {
    let Some(installed) = Installed::from_env() else { return };
    let model = Model::start().await.unwrap();
    let gateway = Gateway::start(&installed, &model.url()).await.unwrap();
    let bridge = Bridge::paired(&gateway).await;
    text(&bridge, &model).await;
}

async fn text(bridge: &Bridge, model: &Model) {
    let story = bridge.run(&work("m-text\nmodel: delay 120\nmodel: say one two three four five six\nmodel: usage 70 9")).await;
    eprintln!("{:#?}", story.all);
    let end = story.end();
    assert_eq!(end.ending, Ending::Succeeded);
    assert_eq!(end.result.as_deref(), Some("one two three four five six"));
    let _ = (model, SideEffects::None, TroubleCode::ModelError);
    let _ = bridge.adapter.describe().await;
}
