//! Streams as the executor sends them: from the log, under seals, and from wherever a caller is.

use landbridge_proto::machine::chain::Chain;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::sse::Event;
use landbridge_proto::wire::stream::{Accept, Seal};

use crate::support::{MINUTE_MS, World, attach, lines, started};

//= STR-7
//= STR-9
#[tokio::test]
async fn frames_are_durable_before_they_are_sent_and_each_batch_is_sealed() {
    let world = World::new().await;
    let prompt = "say one\nthink two\ntool t {} => three\nsleep 50\nsay four";
    let mut events = world.ask_for(started("sealed", prompt)).await.events();
    let accept = events.accept().await;
    let run = world.verified::<Accept>(&accept).run;
    let mut chain = Chain::start(accept.digest());
    let mut last = false;
    let mut sent = Vec::new();
    while !last {
        world.clock.advance_ms(10);
        let Some(event) = events.next().await else { panic!("no final seal") };
        let Event::Frames(batch) = event else { continue };
        // What is on its way is in the log, in the same bytes.
        let log = world.b.core.store.reads().frames(&run, chain.seq(), 1_000, 1 << 20).unwrap();
        for (at, line) in batch.frames().iter().enumerate() {
            assert_eq!(log[at], line.as_str());
            chain = chain.push(line.as_str());
            sent.push(line.as_str().to_owned());
        }
        let seal: Seal = world.verified(batch.seal());
        assert_eq!((seal.seq, seal.head), (chain.seq(), chain.head()));
        assert_eq!((batch.id(), seal.accept), (chain.seq(), accept.digest()));
        last = seal.last;
    }
    assert!(events.next().await.is_none(), "the stream ends after the terminal's seal");
    // Ever after the same bytes.
    let again = world.ask_for(attach(&run, 0)).await.events().rest().await;
    assert_eq!(lines(&again), sent);
}

//= STR-20
#[tokio::test]
async fn an_attach_gets_the_accept_then_what_comes_after_its_cursor() {
    let world = World::new().await;
    let mut events = world.ask_for(started("cursor", "say a\nsay b\nsay c\nhang")).await.events();
    let accept = events.accept().await;
    let run = world.verified::<Accept>(&accept).run;
    let log = loop {
        let log = world.b.core.store.reads().frames(&run, 0, 100, 1 << 20).unwrap();
        if log.len() >= 3 {
            break log;
        }
        tokio::task::yield_now().await;
    };
    world.clock.advance_ms(1_000);
    let mut again = world.ask_for(attach(&run, 1)).await.events();
    assert_eq!(again.accept().await, accept);
    let Some(Event::Frames(batch)) = again.next().await else { panic!("no frames") };
    assert_eq!(batch.frames()[0].as_str(), log[1]);
    let seal: Seal = world.verified(batch.seal());
    // Sealed anew: the time is now, the head covers all frames from the first on.
    assert_eq!(seal.t, world.b.core.now());
    let upto = usize::try_from(seal.seq).unwrap();
    assert_eq!(seal.head, Chain::start(accept.digest()).extend(&log[..upto]).head());
}

//= STR-21
#[tokio::test]
async fn a_cursor_beyond_the_log_is_refused_before_a_stream_opens() {
    let world = World::new().await;
    let events = world.ask_for(started("ahead", "say a")).await.events();
    let sent = lines(&events.rest().await);
    let run = {
        let reads = world.b.core.store.reads();
        let owner = landbridge_proto::wire::name::Owner {
            caller: world.a.core.own().clone(),
            tenant: crate::support::pair(),
        };
        match reads.key(&owner, &crate::support::key("ahead")).unwrap() {
            Some(landbridge_proto::machine::contract::KeyRecord::Run { run, .. }) => run,
            other => panic!("{other:?}"),
        }
    };
    let last = sent.len() as u64;
    let reply = world.ask_for(attach(&run, last + 1)).await;
    assert_eq!(reply.status, 409);
    assert_eq!(reply.code(&world).await, "cursor_ahead");
    let rest = world.ask_for(attach(&run, last)).await.events().rest().await;
    assert_eq!(lines(&rest), Vec::<String>::new());
    assert!(matches!(rest[0], Event::Accept(_)));
}

//= STR-16
#[tokio::test]
async fn a_quiet_stream_says_that_it_lives() {
    let world = World::new().await;
    let mut events = world.ask_for(started("quiet", "say a\nhang")).await.events();
    let accept = events.accept().await;
    let mut chain = Chain::start(accept.digest());
    while chain.seq() < 2 {
        if let Some(Event::Frames(batch)) = events.next().await {
            chain = batch.frames().iter().fold(chain, |chain, line| chain.push(line.as_str()));
        }
    }
    for _ in 0..3 {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        world.clock.advance_ms(limit::ALIVE_EVERY_MS);
        let Some(Event::Alive(seal)) = events.next().await else { panic!("not alive") };
        let seal: Seal = world.verified(&seal);
        assert_eq!((seal.seq, seal.head, seal.last), (chain.seq(), chain.head(), false));
        assert_eq!(seal.t, world.b.core.now());
    }
}

//= STR-18
#[tokio::test]
async fn a_caller_that_knows_an_older_status_is_sent_the_newest_one_before_a_seal() {
    let world = World::new().await;
    // The request of these tests has seen nothing.
    let mut events = world.ask_for(started("status", "say a\nhang")).await.events();
    events.accept().await;
    let Some(Event::Status(status)) = events.next().await else { panic!("no status") };
    assert_eq!(Some(status), world.b.core.trust.state().status);
    while !matches!(events.next().await, Some(Event::Frames(_))) {}
    // One that is issued meanwhile comes too.
    world.clock.advance_ms(31 * MINUTE_MS);
    world.b.core.trust.refresh_status(&world.b.core).await.unwrap();
    let issued = world.b.core.trust.state().status.clone();
    loop {
        match events.next().await {
            Some(Event::Status(status)) => break assert_eq!(Some(status), issued),
            Some(_) => {}
            None => panic!("no newer status"),
        }
    }
    // Who has seen the newest is not told it again.
    let mut request = world.request(started("status", "say a\nhang"));
    request.seen = world.b.core.trust.state().issued;
    let mut events = world.ask(&request).await.events();
    events.accept().await;
    assert!(matches!(events.next().await, Some(Event::Frames(_))));
}
