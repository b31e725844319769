//! Trust that ends while something is open: a peer, a key of either side, or everything at once.

use std::time::Duration;

use landbridge_node::bridge::Principal;
use landbridge_node::halt::Halted;
use landbridge_node::local::api::StartRun;
use landbridge_node::net::App;
use landbridge_node::net::limit_body::RequestBody;
use landbridge_node::trust::{NotRevoked, Trust, TrustError};
use landbridge_proto::machine::admission::Learned;
use landbridge_proto::machine::contract::{EntryPhase, EntryRow, PairingRow, RunPhase, Write};
use landbridge_proto::machine::step::Step;
use landbridge_proto::wire::document::{Peer, PeerStatus, Revocation, RevocationReason};
use landbridge_proto::wire::kind::Role;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{Alias, RunId, Timestamp};
use landbridge_proto::wire::problem::Problem;
use landbridge_proto::wire::request::{Attach, Body, Refusal, Target};
use landbridge_proto::wire::sse::Event;
use landbridge_proto::wire::stream::Accept;

use crate::support::{Events, Side, World, key, lines, start};

fn started(name: &str, prompt: &str) -> Body {
    Body::Start(Box::new(start(name, prompt)))
}

fn attach(run: &RunId, after: u64) -> Body {
    Body::Attach(Attach { after, target: Target::Run(run.clone()) })
}

fn settled(entry: &EntryRow) -> bool {
    entry.phase == EntryPhase::Settled
}

/// Everything up to the stream's end, which comes without the clock being moved.
async fn rest(open: Events) -> Vec<Event> {
    let rest = tokio::time::timeout(Duration::from_secs(10), open.rest()).await;
    rest.expect("the stream goes on")
}

impl World {
    /// The code of the problem that ended a stream, and that no frame came with it.
    fn ended_with(&self, told: &[Event]) -> String {
        let Some(Event::Problem(problem)) = told.last() else { panic!("{told:?}") };
        let refusal: Refusal = self.verified(problem);
        assert!(lines(told).iter().all(|line| !line.contains(r#""event":"terminal""#)), "{told:?}");
        refusal.problem.code_text().to_owned()
    }

    /// B's log of a run, once it has its terminal.
    async fn ended_at_b(&self, run: &RunId) -> (Option<String>, String) {
        for _ in 0..2_000 {
            let row = self.b.core.store.reads().run(run).unwrap().unwrap();
            if row.phase == RunPhase::Settled {
                let frames = self.b.core.store.reads().frames(run, 0, 1_000, 1 << 20).unwrap();
                return (row.outcome, frames.last().unwrap().clone());
            }
            self.clock.advance_ms(20);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("the run goes on");
    }

    /// Tells B what A says of itself now.
    async fn b_learns_of_a(&self) {
        let (a, b) = (&self.a.core, &self.b.core);
        let learned = Learned {
            view: Some(b.peer_view(a.own()).unwrap()),
            roots: Vec::new(),
            status: a.trust.state().status.clone(),
        };
        b.trust.learn(b, &learned).await.unwrap();
    }

    async fn start_refused(&self, name: &str) -> Problem {
        let start =
            serde_json::json!({"gateway": "eu", "prompt": "x", "idempotencyKey": key(name)});
        let start: StartRun = serde_json::from_value(start).unwrap();
        self.a.bridge.start_run(&Principal::Admin, start).await.unwrap_err()
    }
}

impl Side {
    async fn revoke(&self, kid: &landbridge_proto::wire::name::KeyId, since: Timestamp) {
        let reason = RevocationReason::Compromised;
        let one = Revocation { kid: kid.clone(), reason, since };
        self.core.trust.revoke_key(&self.core, one).await.unwrap();
    }
}

//= ID-61
//= ID-62
#[tokio::test]
async fn a_revoked_peer_is_cut_off_and_its_run_is_stopped() {
    let world = World::new().await;
    let mut open = world.ask_for(started("revoked", "say one\nhang")).await.events();
    let run = world.verified::<Accept>(&open.accept().await).run;
    world.b.put_peer(&world.a, PeerStatus::Revoked, Vec::new()).await;
    assert_eq!(world.ended_with(&rest(open).await), "peer_revoked");
    let (outcome, terminal) = world.ended_at_b(&run).await;
    assert_eq!(outcome.as_deref(), Some("cancelled"));
    assert!(terminal.contains("revoked the caller"), "{terminal}");
    for body in [attach(&run, 0), started("revoked", "say one\nhang"), started("new", "hang")] {
        assert_eq!(world.ask_for(body).await.code(&world).await, "peer_revoked");
    }
    assert_eq!(world.b.deeds("run_created"), 1);
    assert_eq!(world.b.deeds("peer_revoked"), 1);
}

//= ID-63
#[tokio::test]
async fn a_revocation_is_taken_back_by_a_pairing_and_by_nothing_else() {
    let world = World::new().await;
    world.b.put_peer(&world.a, PeerStatus::Revoked, Vec::new()).await;
    let state = world.b.core.trust.state();
    let known = state.federation.as_ref().unwrap().peer(world.a.core.own()).unwrap().clone();
    for status in [PeerStatus::Active, PeerStatus::Suspended] {
        let mut draft = world.b.draft();
        draft.put_peer(Peer { status, ..known.clone() });
        let refused = world.b.try_put(draft).await;
        assert!(matches!(refused, Err(TrustError::StaysRevoked { .. })), "{refused:?}");
    }
    let row = PairingRow {
        peer: world.a.core.own().clone(),
        alias: Alias::new("us").unwrap(),
        words: String::new(),
        genesis: known.genesis,
        joined: false,
        at: world.b.core.now(),
        invite: PairingRow::NO_INVITE,
        proof: PairingRow::NO_INVITE,
    };
    world.b.core.commit(Step::new(Vec::new(), vec![Write::PutPairing(row)], ())).await.unwrap();
    world.b.put_peer(&world.a, PeerStatus::Active, vec![crate::support::grant()]).await;
    assert!(world.b.core.store.reads().pairings().unwrap().is_empty());
    assert_eq!(world.ask_for(started("again", "hang")).await.status, 200);
}

#[tokio::test]
async fn a_caller_that_is_revoked_there_ends_what_it_asked_as_lost_and_the_rest_as_rejected() {
    let world = World::new().await;
    world.serve_b();
    let view = world.start_run("told", "say one\nhang").await;
    world.until(&view.run, |entry| entry.seq >= 2).await;
    let at = world.clock_now();
    world.b.put_peer(&world.a, PeerStatus::Revoked, Vec::new()).await;
    let entry = world.until(&view.run, settled).await;
    assert_eq!(entry.outcome.as_deref(), Some("lost"));
    assert!(entry.ended.unwrap().since_ms(at) <= 5_000, "{:?}", entry.ended);
    let view = world.start_run("too-late", "hang").await;
    let entry = world.until(&view.run, settled).await;
    assert_eq!(entry.outcome.as_deref(), Some("rejected"));
}

#[tokio::test]
async fn a_revoked_executor_is_left_at_once() {
    let world = World::new().await;
    world.serve_b();
    let view = world.start_run("left", "say one\nhang").await;
    world.until(&view.run, |entry| entry.seq >= 2).await;
    let at = world.clock_now();
    world.a.put_peer(&world.b, PeerStatus::Revoked, Vec::new()).await;
    let entry = world.until(&view.run, settled).await;
    assert_eq!(entry.outcome.as_deref(), Some("lost"));
    // It would have been heard of again within ten seconds.
    assert!(entry.ended.unwrap().since_ms(at) <= 5_000, "{:?}", entry.ended);
    assert_eq!(world.start_refused("never").await.code_text(), "peer_revoked");
}

//= ID-64
//= ID-65
#[tokio::test]
async fn a_halted_executor_stops_its_runs_and_answers_nothing_else() {
    let world = World::new().await;
    let mut open = world.ask_for(started("halted", "say one\nhang")).await.events();
    let run = world.verified::<Accept>(&open.accept().await).run;
    world.b.core.halt.set(Some(Halted::default()));
    assert_eq!(world.ended_with(&rest(open).await), "halted");
    let (outcome, terminal) = world.ended_at_b(&run).await;
    assert_eq!(outcome.as_deref(), Some("cancelled"));
    assert!(terminal.contains("halted"), "{terminal}");
    let rows = world.b.core.store.reads().audit_head().unwrap().0;
    for body in [attach(&run, 0), started("new", "hang")] {
        let problem = world.ask_for(body).await.signed(&world).await;
        assert_eq!((problem.code_text(), problem.is_verdict()), ("halted", false));
        assert!(problem.retry_after_ms.is_some());
    }
    // It answers without its store, and goes on telling who it is.
    assert_eq!(world.b.core.store.reads().audit_head().unwrap().0, rows);
    assert_eq!(world.get("/federation/v1/status").await.status, 200);
    world.b.core.halt.set(None);
    assert_eq!(world.ask_for(started("new", "hang")).await.status, 200);
    let told = world.ask_for(attach(&run, 0)).await.events().rest().await;
    assert!(lines(&told).last().unwrap().contains(r#""event":"terminal""#));
}

//= ID-64
#[tokio::test]
async fn a_halted_caller_asks_for_nothing_and_goes_on_afterwards() {
    let world = World::new().await;
    world.serve_b();
    let view = world.start_run("held", "say one\nsleep 3000\nsay two").await;
    world.until(&view.run, |entry| entry.seq >= 2).await;
    world.a.core.halt.set(Some(Halted::default()));
    assert_eq!(world.start_refused("new").await.code_text(), "halted");
    for _ in 0..300 {
        world.clock.advance_ms(20);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let entry = world.a.core.store.reads().entry(&view.run).unwrap().unwrap();
    assert_eq!((entry.phase, entry.seq), (EntryPhase::Streaming, 2));
    world.a.core.halt.set(None);
    let entry = world.until(&view.run, settled).await;
    assert_eq!(entry.outcome.as_deref(), Some("succeeded"));
}

//= ID-60
#[tokio::test]
async fn a_key_of_our_own_that_is_revoked_signs_nothing_also_after_a_restart() {
    let world = World::new().await;
    let core = &world.a.core;
    let kid = world.a.key(Role::Request);
    let before = core.trust.state().issued;
    world.a.revoke(&kid, core.now()).await;
    let state = core.trust.state();
    assert!(state.issued > before, "told at once");
    world.b_learns_of_a().await;
    let view = world.b.core.peer_view(core.own()).unwrap();
    assert_eq!(view.revocation(&kid).unwrap().reason, RevocationReason::Compromised);
    let signed =
        core.sign_request(world.b.core.own(), &crate::support::pair(), started("x", "x"), None);
    let refused = signed.unwrap_err().problem();
    assert_eq!(refused.code_text(), "halted");
    assert!(refused.detail.unwrap().contains("landbridge key rotate"));
    assert_eq!(world.start_refused("new").await.code_text(), "halted");
    assert_eq!(world.a.deeds("key_revoked"), 1);
    // Once is for good, and only what is ours.
    let again = |kid| Revocation { kid, reason: RevocationReason::Retired, since: Timestamp(0) };
    let refused = core.trust.revoke_key(core, again(kid.clone())).await;
    assert!(matches!(refused, Err(NotRevoked::Already { .. })), "{refused:?}");
    let theirs = world.b.key(Role::Stream);
    let refused = core.trust.revoke_key(core, again(theirs)).await;
    assert!(matches!(refused, Err(NotRevoked::NotOurs { .. })), "{refused:?}");
    let root = core.identity.present().root().root().roles[&Role::Root].clone();
    let refused = core.trust.revoke_key(core, again(root.keyids.first().unwrap().clone())).await;
    assert!(matches!(refused, Err(NotRevoked::RootKey { .. })), "{refused:?}");
    // The next process finds it again, and the next status still tells it.
    let identity = world.a.identity_again();
    let withdrawn = |role| identity.is_withdrawn(role, core.now());
    assert!(!withdrawn(Role::Request));
    let trust = Trust::load(&identity, &core.store, core.now()).unwrap();
    assert!(withdrawn(Role::Request) && !withdrawn(Role::Stream));
    assert_eq!(trust.revoked_keys().len(), 1);
    world.clock.advance_ms(limit::STATUS_LIFE_MS);
    core.trust.refresh_status(core).await.unwrap();
    assert_eq!(core.trust.revoked_keys().len(), 1);
}

//= ID-60
#[tokio::test]
async fn a_quiet_stream_ends_when_the_key_that_seals_it_is_revoked() {
    let world = World::new().await;
    let mut open = world.ask_for(started("sealed", "say one\nhang")).await.events();
    open.accept().await;
    world.b.revoke(&world.b.key(Role::Stream), Timestamp(0)).await;
    // The clock stands still: what would come after ten seconds does not come.
    let told = tokio::time::timeout(Duration::from_secs(5), open.until_broken()).await;
    let told = told.expect("the stream stays open");
    assert!(matches!(told.last(), Some(Event::Status(_))), "the news are told: {told:?}");
}

//= ID-64
#[tokio::test]
async fn who_is_told_to_wait_hears_its_client_meanwhile() {
    let world = World::new().await;
    world.serve_b();
    world.b.core.halt.set(Some(Halted::default()));
    let run = world.start_run("waiting", "hang").await.run;
    let told = || world.a.calls.connection(&run).unwrap_or_default();
    soon(|| told().contains("it says to come in")).await;
    world.a.calls.cancel(&run);
    // The clock stands still: nobody comes back at the time that it was told.
    let entry = || world.a.core.store.reads().entry(&run).unwrap().unwrap();
    soon(|| entry().cancel.is_some()).await;
}

async fn soon(mut is_so: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("not in time");
}

#[tokio::test]
async fn who_answers_anything_at_all_was_not_told_of_a_revocation() {
    let revoke = async |world: &World, role: &str| {
        let asked = serde_json::json!({"key": role, "reason": "compromised"});
        let revoked = world.a.bridge.revoke_key(serde_json::from_value(asked).unwrap()).await;
        revoked.unwrap().told.iter().map(|told| told.told).collect::<Vec<_>>()
    };
    // A peer that read it refuses the very question, and cannot sign that: it shows what it keeps.
    let world = World::new().await;
    world.serve_b();
    assert_eq!(revoke(&world, "request").await, [true]);
    assert_eq!(world.b.deeds("peer_key_revoked"), 1);
    let world = World::new().await;
    world.serve_app(App::new(|request: http::Request<RequestBody>| async move {
        let is_kept = request.uri().path().starts_with("/federation/v1/status/");
        let status = if is_kept { 404 } else { 400 };
        let body = http_body_util::Full::from("anything");
        http::Response::builder().status(status).body(body).unwrap()
    }));
    assert_eq!(revoke(&world, "request").await, [false]);
}

//= ID-66
#[tokio::test]
async fn what_a_revoked_key_opened_ends_when_its_revocation_arrives() {
    let world = World::new().await;
    let mut open = world.ask_for(started("opened", "say one\nhang")).await.events();
    let run = world.verified::<Accept>(&open.accept().await).run;
    world.a.revoke(&world.a.key(Role::Request), Timestamp(0)).await;
    world.b_learns_of_a().await;
    assert_eq!(world.ended_with(&rest(open).await), "verification_failed");
    assert_eq!(world.b.deeds("peer_key_revoked"), 1);
    // The run was asked for before that, and is led to its end.
    let row = world.b.core.store.reads().run(&run).unwrap().unwrap();
    assert_ne!(row.phase, RunPhase::Settled);
    assert!(row.stop.is_none());
}

//= ID-23
#[tokio::test]
async fn what_arrived_after_the_since_of_a_revocation_is_disputed_and_stands() {
    let world = World::new().await;
    world.serve_b();
    let done = world.start_run("done", "say one").await;
    world.until(&done.run, settled).await;
    let middle = world.clock_now();
    world.clock.advance_ms(1_000);
    let late = world.start_run("late", "say two").await;
    world.until(&late.run, settled).await;
    let open = world.start_run("open", "say three\nhang").await;
    world.until(&open.run, |entry| entry.seq >= 2).await;
    let shown = async |run: &RunId| world.a.bridge.run(&Principal::Admin, run).await.unwrap();
    assert!(shown(&late.run).await.disputed.is_none());
    let kid = world.b.key(Role::Stream);
    world.b.revoke(&kid, middle).await;
    // The open stream itself carries the news; nothing of it is released afterwards.
    for _ in 0..2_000 {
        if world.a.deeds("peer_key_revoked") == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let view = shown(&late.run).await;
    let dispute = view.disputed.unwrap();
    assert_eq!((&dispute.kid, dispute.from_frame), (&kid, 0));
    assert_eq!(view.outcome.as_deref(), Some("succeeded"), "it stands");
    assert!(shown(&done.run).await.disputed.is_none(), "it arrived before");
    let entry = world.a.core.store.reads().entry(&open.run).unwrap().unwrap();
    assert_eq!((entry.phase, entry.seq), (EntryPhase::Streaming, 2));
    // No terminal of it can come any more: its own end is the caller's.
    world.clock.advance_ms(limit::DEADLINE_MS + limit::LOST_GRACE_MS + 60_000);
    let entry = world.until(&open.run, settled).await;
    assert_eq!((entry.outcome.as_deref(), entry.seq), (Some("lost"), 3));
}

impl World {
    fn clock_now(&self) -> Timestamp {
        self.a.core.now()
    }
}
