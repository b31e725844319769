//! What a bridge still writes when it stops.

use crate::support::*;

use landbridge_proto::wire::request::Op;

//= PRB-10
#[tokio::test]
async fn refusals_of_the_last_minute_are_written_at_the_stop() {
    let world = World::new().await;
    let reporting = tokio::spawn(world.b.plane.clone().report_strangers());
    for _ in 0..3 {
        world.post(Op::Start.path(), b"{}".to_vec()).await;
    }
    assert_eq!(world.b.deeds("requests_refused"), 0);
    world.b.core.stopping.cancel();
    reporting.await.unwrap();
    let audit = world.b.audit();
    let counted = audit.iter().find(|event| event.deed == "requests_refused").unwrap();
    assert_eq!(counted.detail["malformed"], "3");
}

//= PRB-10
#[tokio::test]
async fn a_stop_without_refusals_writes_nothing() {
    let world = World::new().await;
    world.b.core.stopping.cancel();
    world.b.plane.clone().report_strangers().await;
    assert_eq!(world.b.deeds("requests_refused"), 0);
}
