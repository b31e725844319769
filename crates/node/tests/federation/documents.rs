//! Documents that anybody may read.

use landbridge_proto::wire::envelope::Envelope;

use crate::support::World;

//= ID-13
#[tokio::test]
async fn roots_and_status_are_served_as_they_were_signed() {
    let world = World::new().await;
    let core = &world.b.core;
    let root = core.identity.present().chain()[0].to_bytes();
    for path in ["/federation/v1/root", "/federation/v1/root/1"] {
        let reply = world.get(path).await;
        assert_eq!(
            (reply.status, reply.media.as_str()),
            (200, "application/vnd.gfp.envelope+json")
        );
        assert_eq!(reply.bytes().await, root, "{path}");
    }
    let status = world.get("/federation/v1/status").await.envelope().await;
    assert_eq!(Some(status), core.trust.state().status);
    for path in ["0", "2", "01", "+1", "x", "", "1/", "18446744073709551616"] {
        let reply = world.get(&format!("/federation/v1/root/{path}")).await;
        assert_eq!(reply.unsigned().await, "not_found", "{path}");
    }
}

//= ID-11
#[tokio::test]
async fn what_an_operation_teaches_is_durable_before_it_is_acted_upon() {
    use landbridge_proto::machine::contract::DocumentKind;
    let world = World::new().await;
    world.clock.advance_ms(31 * crate::support::MINUTE_MS);
    world.a.core.trust.refresh_status(&world.a.core).await.unwrap();
    let newest = world.a.core.trust.state().status.clone().unwrap();
    let kept = || {
        let reads = world.b.core.store.reads();
        let row = reads.newest_document(world.a.core.own(), DocumentKind::Status).unwrap().unwrap();
        Envelope::parse(row.envelope.as_bytes()).unwrap()
    };
    assert_ne!(kept(), newest);
    // Even a request that is refused teaches what its stapled status says.
    let mut request = world.request(crate::support::attach(&world.b.core.new_run_id().unwrap(), 0));
    request.tenant.src = crate::support::tenant("other");
    assert_eq!(world.ask(&request).await.code(&world).await, "not_granted");
    assert_eq!(kept(), newest);
}
