//! Memberships: a federation root admits, a person grants, and what lapsed ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use landbridge_node::clock::Clock as _;
use landbridge_node::halt::Halted;
use landbridge_node::local::api::{MembershipShown, ShowMembership};
use landbridge_node::net::App;
use landbridge_proto::machine::contract::{DocumentKind, DocumentRow, Write};
use landbridge_proto::machine::operation::Operation;
use landbridge_proto::machine::step::Step;
use landbridge_proto::trust::federation::FederationDraft;
use landbridge_proto::trust::key::SecretKey;
use landbridge_proto::trust::signer::{KeySigner, sign_typed};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::{
    Admission, FederationRoot, FormVersion, Membership, Peer, PeerStatus, RootKey, gateway_id, raw,
};
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::kind::SignedBy;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{Alias, GatewayId, Timestamp};
use landbridge_proto::wire::problem::{Code, Problem};
use zeroize::Zeroizing;

use crate::support::{MINUTE_MS, NOW, Side, World, grant, started, tenant};

const PATH: &str = "/federation/v1/admission";

fn name(text: &str) -> Alias {
    Alias::new(text).unwrap()
}

fn guild_key(seed: u8) -> KeySigner {
    KeySigner::new(SecretKey::from_seed(&Zeroizing::new([seed; 32])), SignedBy::FederationRoot)
}

fn guild(max_members: u32) -> FederationRoot {
    let key = guild_key(90).public();
    FederationRoot {
        keys: [(key.kid(), RootKey::new(key, Timestamp(0), NOW.plus_ms(90 * 24 * 60 * MINUTE_MS)))]
            .into(),
        max_members,
        members: [].into(),
        name: name("guild"),
        tenants: [tenant("acme")].into(),
        threshold: 1,
    }
}

fn membership(of: &Side, issued: Timestamp, life_ms: i64) -> Envelope {
    let membership = Membership::try_from(raw::Membership {
        expires: issued.plus_ms(life_ms),
        federation: name("guild"),
        genesis: of.core.identity.present().root().genesis_digest(),
        issued,
        member: of.core.own().clone(),
        tenants: [tenant("acme")].into(),
        v: FormVersion,
    });
    sign_typed(&guild_key(90), &membership.unwrap()).unwrap()
}

/// Two strangers; B trusts the guild and can be reached.
async fn world(max_members: u32) -> World {
    let world = World::strangers().await;
    let plane = world.b.plane.clone();
    world.serve_app(App::new(move |request| {
        let plane = plane.clone();
        async move { plane.answer(request).await }
    }));
    let mut draft = FederationDraft::first(world.b.core.own().clone());
    draft.put_federation_root(guild(max_members));
    world.b.put(draft).await;
    world
}

/// A shows a membership at B for the first time.
async fn join(world: &World, membership: &Envelope) -> Result<MembershipShown, Problem> {
    let show = ShowMembership {
        membership: String::from_utf8(membership.to_bytes()).unwrap(),
        gateway: world.b.core.own().clone(),
        endpoint: world.b.core.identity.present().root().root().endpoints.first().cloned(),
        alias: Some(name("eu")),
    };
    world.a.bridge.show_membership(show).await
}

/// A shows a newer one to its peer.
async fn renew(world: &World, membership: &Envelope) -> Result<MembershipShown, Problem> {
    let show = ShowMembership {
        membership: String::from_utf8(membership.to_bytes()).unwrap(),
        gateway: world.b.core.own().clone(),
        endpoint: None,
        alias: None,
    };
    world.a.bridge.show_membership(show).await
}

fn peer(gid: GatewayId, genesis: Digest) -> Peer {
    Peer {
        alias: name("us"),
        endpoints: Vec::new(),
        genesis,
        gid,
        grants: Vec::new(),
        min_root_version: 1,
        projections: Vec::new(),
        status: PeerStatus::Active,
    }
}

/// B's person accepts A as a member and grants; A's person accepts B.
async fn accept(world: &World) {
    let (a, b) = (&world.a, &world.b);
    let mut draft = b.draft();
    let genesis = a.core.identity.present().root().genesis_digest();
    draft.put_peer(Peer { grants: vec![grant()], ..peer(a.core.own().clone(), genesis) });
    draft.admit(&name("guild"), a.core.own()).unwrap();
    b.put(draft).await;
    if a.core.trust.state().federation.is_none() {
        a.pin("eu", b, Vec::new()).await;
    }
}

//= ID-69
#[tokio::test]
async fn a_member_waits_for_a_person_and_gets_nothing_but_what_is_granted() {
    let world = world(4).await;
    let shown = join(&world, &membership(&world.a, NOW, 30 * MINUTE_MS)).await.unwrap();
    assert!(shown.waits);
    let waiting = world.b.bridge.pairings().await.unwrap();
    assert_eq!((waiting.len(), &waiting[0].gateway), (1, world.a.core.own()));
    assert_eq!(waiting[0].words, shown.words);
    // Shown again and again it changes nothing, and writes nothing.
    for _ in 0..3 {
        assert!(join(&world, &membership(&world.a, NOW, 30 * MINUTE_MS)).await.unwrap().waits);
    }
    assert_eq!(world.b.deeds("admission_received"), 1);
    // The root vouches; nobody here has said yes.
    let refused = world.ask_for(started("early", "hang")).await;
    assert_eq!(refused.unsigned().await, "verification_failed");

    // Accepted and without a grant, it may still ask nothing.
    let (a, b) = (&world.a, &world.b);
    let mut draft = b.draft();
    draft.put_peer(peer(a.core.own().clone(), a.core.identity.present().root().genesis_digest()));
    draft.admit(&name("guild"), a.core.own()).unwrap();
    b.put(draft).await;
    a.pin("eu", b, Vec::new()).await;
    assert_eq!(world.ask_for(started("bare", "hang")).await.code(&world).await, "not_granted");
    accept(&world).await;
    assert_eq!(world.ask_for(started("granted", "hang")).await.status, 200);
    assert!(world.b.bridge.pairings().await.unwrap().is_empty());
}

//= ID-70
//= ID-72
#[tokio::test]
async fn with_its_membership_a_member_ends_until_it_shows_a_newer_one() {
    let world = world(4).await;
    let first = membership(&world.a, NOW, 30 * MINUTE_MS);
    join(&world, &first).await.unwrap();
    accept(&world).await;
    let open = world.ask_for(started("open", "hang")).await;
    assert_eq!(open.status, 200);
    let mut events = open.events();
    events.accept().await;

    world.clock.advance_ms(30 * MINUTE_MS - 1);
    assert_eq!(world.ask_for(started("in-time", "hang")).await.status, 200);
    // At the very millisecond, before any round looked.
    world.clock.advance_ms(1);
    let late = world.ask_for(started("late", "hang")).await;
    assert_eq!(late.code(&world).await, "peer_suspended");
    // The round ends what is open, and writes it down once.
    let b = &world.b.core;
    assert!(b.trust.state().active(world.a.core.own()));
    b.trust.tend_memberships(b).await.unwrap();
    b.trust.tend_memberships(b).await.unwrap();
    assert!(!b.trust.state().active(world.a.core.own()));
    assert_eq!(world.b.deeds("membership_lapsed"), 1);
    assert!(b.peer_view(world.a.core.own()).is_err());
    events.rest().await;

    let now = world.clock.now();
    let second = membership(&world.a, now, 30 * MINUTE_MS);
    assert!(!renew(&world, &second).await.unwrap().waits, "no person is asked again");
    assert!(b.trust.state().active(world.a.core.own()));
    assert_eq!(world.ask_for(started("again", "hang")).await.status, 200);
    // What was shown before it does not come back, and B still knows after a restart.
    let older = membership(&world.a, now.plus_ms(-1), 60 * MINUTE_MS);
    assert_eq!(renew(&world, &older).await.unwrap_err().code(), Some(Code::VerificationFailed));
    let loaded = landbridge_node::trust::Trust::load(&b.identity.present(), &b.store, now).unwrap();
    assert!(loaded.state().active(world.a.core.own()));
    let lapsed = now.plus_ms(30 * MINUTE_MS);
    let loaded =
        landbridge_node::trust::Trust::load(&b.identity.present(), &b.store, lapsed).unwrap();
    assert!(!loaded.state().active(world.a.core.own()));
}

//= ID-70
#[tokio::test]
async fn without_its_root_nobody_is_a_member_any_more() {
    let world = world(4).await;
    let shown = membership(&world.a, NOW, 30 * MINUTE_MS);
    join(&world, &shown).await.unwrap();
    accept(&world).await;
    assert_eq!(world.ask_for(started("before", "hang")).await.status, 200);
    // Another key for the same name vouches for nothing that the old one signed.
    let mut draft = world.b.draft();
    let other = guild_key(91).public();
    let keys =
        [(other.kid(), RootKey::new(other, Timestamp(0), NOW.plus_ms(MINUTE_MS * 60)))].into();
    let members = [world.a.core.own().clone()].into();
    draft.put_federation_root(FederationRoot { keys, members, ..guild(4) });
    world.b.put(draft).await;
    assert!(!world.b.core.trust.state().active(world.a.core.own()));
    let refused = world.ask_for(started("other", "hang")).await;
    assert_eq!(refused.code(&world).await, "peer_suspended");
    let mut draft = world.b.draft();
    assert!(draft.remove_federation_root(&name("guild")));
    world.b.put(draft).await;
    let refused = world.ask_for(started("gone", "hang")).await;
    assert_eq!(refused.unsigned().await, "verification_failed");
    assert!(world.b.bridge.memberships().await.unwrap().is_empty());
}

//= ID-32
#[tokio::test]
async fn a_root_fills_its_places_and_no_more() {
    let world = world(1).await;
    let genesis = Digest::of(b"somebody else", &[]);
    let mut draft = world.b.draft();
    let somebody = Peer { alias: name("somebody"), ..peer(gateway_id(&genesis), genesis) };
    draft.put_peer(somebody.clone());
    draft.admit(&name("guild"), &somebody.gid).unwrap();
    world.b.put(draft).await;
    let shown = membership(&world.a, NOW, 30 * MINUTE_MS);
    assert!(join(&world, &shown).await.is_err());
    assert!(world.b.bridge.pairings().await.unwrap().is_empty());
    let mut draft = world.b.draft();
    draft.set_status(&somebody.gid, PeerStatus::Revoked).unwrap();
    world.b.put(draft).await;
    assert!(join(&world, &shown).await.unwrap().waits);
}

/// An admission of A to B, changed, and what it shows.
fn admission(
    world: &World,
    change: impl FnOnce(&mut raw::Admission),
    held: Vec<Envelope>,
) -> Vec<u8> {
    let a = &world.a.core;
    let now = world.clock.now();
    let mut raw = raw::Admission {
        aud: world.b.core.own().clone(),
        exp: now.plus_ms(MINUTE_MS),
        iat: now,
        iss: a.own().clone(),
        membership: held.first().map_or(Digest::of(b"none", &[]), Envelope::digest),
        v: FormVersion,
    };
    change(&mut raw);
    let request = a.identity.present().sign(&Admission::try_from(raw).unwrap(), a.now()).unwrap();
    let operation = Operation {
        roots: Some(a.identity.present().chain().to_vec()),
        status: a.trust.state().status.clone().unwrap(),
        request,
        held: Some(held),
    };
    operation.to_bytes()
}

//= ID-68
#[tokio::test]
async fn only_the_member_itself_shows_its_membership_to_us_and_now() {
    let world = world(4).await;
    let good = || membership(&world.a, NOW, 30 * MINUTE_MS);
    let nobody = crate::support::nobody;
    let tries: Vec<(&str, Vec<u8>)> = vec![
        ("another addressee", admission(&world, |raw| raw.aud = nobody(), vec![good()])),
        ("another sender", admission(&world, |raw| raw.iss = nobody(), vec![good()])),
        (
            "another membership",
            admission(&world, |raw| raw.membership = Digest::of(b"x", &[]), vec![good()]),
        ),
        (
            "too late",
            admission(
                &world,
                |raw| {
                    raw.iat = NOW.plus_ms(-4 * MINUTE_MS);
                    raw.exp = NOW.plus_ms(-2 * MINUTE_MS);
                },
                vec![good()],
            ),
        ),
        (
            "too early",
            admission(
                &world,
                |raw| {
                    raw.iat = NOW.plus_ms(2 * MINUTE_MS);
                    raw.exp = NOW.plus_ms(3 * MINUTE_MS);
                },
                vec![good()],
            ),
        ),
        ("somebody else's", admission(&world, |_| {}, vec![membership(&world.b, NOW, MINUTE_MS)])),
        ("expired", admission(&world, |_| {}, vec![membership(&world.a, NOW.plus_ms(-10), 10)])),
    ];
    for (what, bytes) in tries {
        assert_eq!(world.post(PATH, bytes).await.unsigned().await, "verification_failed", "{what}");
    }
    for held in [Vec::new(), vec![good(), good()]] {
        let bytes = admission(&world, |_| {}, held);
        assert_eq!(world.post(PATH, bytes).await.unsigned().await, "malformed");
    }
    assert!(world.b.bridge.pairings().await.unwrap().is_empty());
    assert!(world.b.bridge.memberships().await.unwrap().is_empty());
    assert_eq!(world.post(PATH, admission(&world, |_| {}, vec![good()])).await.status, 200);
    assert_eq!(world.b.bridge.memberships().await.unwrap().len(), 1);
    // A person's no is kept: the membership goes with the pairing.
    world.b.bridge.decline_pairing(world.a.core.own()).await.unwrap();
    assert!(world.b.bridge.memberships().await.unwrap().is_empty());
}

//= ID-69
#[tokio::test]
async fn a_revoked_peer_does_not_come_back_by_a_membership() {
    let world = world(4).await;
    let shown = membership(&world.a, NOW, 30 * MINUTE_MS);
    join(&world, &shown).await.unwrap();
    accept(&world).await;
    let mut draft = world.b.draft();
    draft.set_status(world.a.core.own(), PeerStatus::Revoked).unwrap();
    world.b.put(draft).await;
    let bytes = admission(&world, |_| {}, vec![shown.clone()]);
    assert_eq!(world.post(PATH, bytes).await.unsigned().await, "verification_failed");
    assert!(world.b.bridge.pairings().await.unwrap().is_empty());
}

//= ID-64
#[tokio::test]
async fn a_halted_bridge_neither_takes_nor_shows_a_membership() {
    let world = world(4).await;
    let shown = membership(&world.a, NOW, 30 * MINUTE_MS);
    world.b.core.halt.set(Some(Halted::default()));
    let rows = world.b.core.store.reads().audit_head().unwrap().0;
    let bytes = admission(&world, |_| {}, vec![shown.clone()]);
    assert_eq!(world.post(PATH, bytes).await.unsigned().await, "halted");
    assert!(world.b.bridge.pairings().await.unwrap().is_empty());
    assert_eq!(world.b.core.store.reads().audit_head().unwrap().0, rows);
    world.b.core.halt.set(None);

    world.a.core.halt.set(Some(Halted::default()));
    let refused = join(&world, &shown).await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::Halted));
    assert!(world.b.bridge.pairings().await.unwrap().is_empty(), "nothing was sent");
    world.a.core.halt.set(None);
    assert!(join(&world, &shown).await.unwrap().waits);
}

//= ID-61
#[tokio::test]
async fn a_peer_that_was_suspended_or_revoked_here_is_shown_nothing() {
    let world = world(4).await;
    join(&world, &membership(&world.a, NOW, 30 * MINUTE_MS)).await.unwrap();
    accept(&world).await;
    let newer = membership(&world.a, NOW.plus_ms(1), 30 * MINUTE_MS);
    world.clock.advance_ms(1);
    for (status, code) in
        [(PeerStatus::Suspended, Code::PeerSuspended), (PeerStatus::Revoked, Code::PeerRevoked)]
    {
        let mut draft = world.a.draft();
        draft.set_status(world.b.core.own(), status).unwrap();
        world.a.put(draft).await;
        assert_eq!(renew(&world, &newer).await.unwrap_err().code(), Some(code));
    }
    assert_eq!(world.b.deeds("membership_shown"), 0);
    assert_eq!(world.a.deeds("membership_sent"), 1);
}

//= ID-76
#[tokio::test]
async fn a_stranger_cannot_keep_who_shows_a_membership_busy_with_roots() {
    let world = World::strangers().await;
    let roots = Arc::new(world.b.endless_roots(400));
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    world.serve_app(App::new(move |request| {
        counter.fetch_add(1, Ordering::Relaxed);
        let version = request.uri().path().rsplit('/').next().and_then(|n| n.parse::<usize>().ok());
        let root = version.and_then(|version| roots.get(version - 1)).map(Envelope::to_bytes);
        let body = Full::new(Bytes::from(root.unwrap_or_default()));
        async { Response::new(body) }
    }));
    let refused = join(&world, &membership(&world.a, NOW, 30 * MINUTE_MS)).await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::TooLarge));
    assert!(asked.load(Ordering::Relaxed) <= limit::CHAIN_ROOTS_MAX + 1);
    // And roots of somebody else are not walked at all.
    asked.store(0, Ordering::Relaxed);
    let other = ShowMembership {
        membership: String::from_utf8(membership(&world.a, NOW, 1).to_bytes()).unwrap(),
        gateway: crate::support::nobody(),
        endpoint: world.b.core.identity.present().root().root().endpoints.first().cloned(),
        alias: Some(name("eu")),
    };
    let refused = world.a.bridge.show_membership(other).await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::VerificationFailed));
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

//= ID-68
#[tokio::test]
async fn what_is_kept_of_a_gateway_is_not_read_for_whoever_names_it() {
    let world = world(4).await;
    world.b.know(&world.a).await;
    let row = DocumentRow {
        gateway: world.a.core.own().clone(),
        kind: DocumentKind::Status,
        version: 1,
        envelope: "not to be read".to_owned(),
        at: NOW,
    };
    let write = vec![Write::SaveDocument(row)];
    world.b.core.commit(Step::new(Vec::new(), write, ())).await.unwrap();
    let shown = membership(&world.a, NOW, 30 * MINUTE_MS);
    let foreign = |raw: &mut raw::Admission| raw.aud = crate::support::nobody();
    let bytes = admission(&world, foreign, vec![shown.clone()]);
    assert_eq!(world.post(PATH, bytes).await.unsigned().await, "verification_failed");
    let bytes = admission(&world, |_| {}, vec![shown]);
    assert_eq!(world.post(PATH, bytes).await.unsigned().await, "internal", "now it is read");
}

/// As many roots of A as it may show, and one more.
//= ID-79
#[tokio::test]
async fn a_member_shows_a_long_chain_whole_up_to_its_limit() {
    for (count, taken) in [(limit::CHAIN_ROOTS_MAX, true), (limit::CHAIN_ROOTS_MAX + 1, false)] {
        let world = world(4).await;
        let roots = world.a.endless_roots(count - 1);
        let bytes = admission(&world, |_| {}, vec![membership(&world.a, NOW, 30 * MINUTE_MS)]);
        let operation = Operation { roots: Some(roots), ..Operation::parse(&bytes).unwrap() };
        let reply = world.post(PATH, operation.to_bytes()).await;
        match taken {
            true => assert_eq!(reply.status, 200),
            false => assert_eq!(reply.unsigned().await, "too_large"),
        }
        assert_eq!(world.b.bridge.pairings().await.unwrap().len(), usize::from(taken));
    }
}
