//! What a peer teaches of itself, too much of it, and what contradicts itself.

use http::{Request as HttpRequest, Response};
use http_body_util::Full;
use landbridge_node::net::App;
use landbridge_node::net::limit_body::RequestBody;
use landbridge_node::trust::{Trust, TrustError};
use landbridge_proto::machine::admission::Learned;
use landbridge_proto::machine::contract::{DocumentKind, DocumentRow, Write};
use landbridge_proto::machine::operation::Operation;
use landbridge_proto::machine::step::Step;
use landbridge_proto::trust::witness::WentBack;
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::{AuditHead, Revocation, RevocationReason, Status, raw};
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::kind::Role;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{Alias, KeyId, Timestamp};
use landbridge_proto::wire::request::Op;

use crate::support::{Side, World, started};

impl Side {
    /// A status of this side as of now, changed.
    fn status(&self, change: impl FnOnce(&mut raw::Status)) -> Envelope {
        let core = &self.core;
        let identity = core.identity.present();
        let (root, now, state) = (identity.root(), core.now(), core.trust.state());
        let mut raw = raw::Status {
            audit: AuditHead { head: Digest::of(b"head\n", &[]), size: 9 },
            expires: now.plus_ms(limit::STATUS_LIFE_MS),
            incarnation: state.incarnation,
            iss: core.own().clone(),
            issued: now,
            refresh_ms: limit::STATUS_LIFE_MS / 2,
            revoked: Vec::new(),
            root: root.digest(),
            root_version: root.version(),
            seq: now.0,
            v: landbridge_proto::wire::document::FormVersion,
        };
        change(&mut raw);
        identity.sign(&Status::try_from(raw).unwrap(), now).unwrap()
    }

    /// How many documents of a kind it keeps of another side.
    fn kept(&self, other: &Self, kind: DocumentKind) -> usize {
        self.core.store.reads().documents(other.core.own(), kind).unwrap().len()
    }

    fn audit_rows(&self) -> u64 {
        self.core.store.reads().audit_head().unwrap().0
    }
}

impl World {
    async fn b_hears(&self, roots: Vec<Envelope>, status: Envelope) -> Result<(), TrustError> {
        let b = &self.b.core;
        let view = b.trust.state().peers[self.a.core.own()].clone();
        let learned = Learned { view: Some(view), roots, status: Some(status) };
        b.trust.learn(b, &learned).await
    }
}

fn revocation(kid: KeyId) -> Revocation {
    Revocation { kid, reason: RevocationReason::Retired, since: Timestamp(0) }
}

/// Ids that are no key of anybody's, other ones each time.
fn strange_ids(n: i64) -> Vec<Revocation> {
    let id = |i: i64| Digest::of(b"id\n", &[&n.to_be_bytes(), &i.to_be_bytes()]).to_string();
    let mut kids: Vec<_> = (0..256).map(|i| KeyId::new(id(i)).unwrap()).collect();
    kids.sort();
    kids.into_iter().map(revocation).collect()
}

//= ID-82
//= PRB-10
#[tokio::test]
async fn a_peer_that_revokes_all_day_fills_neither_disk_nor_memory() {
    let world = World::new().await;
    let (a, b) = (&world.a, &world.b);
    let rows = b.audit_rows();
    let mut refused = 0;
    for n in 0..1_000 {
        world.clock.advance_ms(100);
        let heard = world.b_hears(Vec::new(), a.status(|raw| raw.revoked = strange_ids(n))).await;
        refused += usize::from(heard.is_err());
    }
    assert!(refused > 950, "{refused}");
    assert!(b.kept(a, DocumentKind::Status) < 50);
    let recorded = b.audit_rows() - rows;
    assert!((257..500).contains(&recorded), "{recorded}");
    let view = || b.core.trust.state().peers[a.core.own()].clone();
    let known = view().status().unwrap().revocations().count();
    assert!(known <= limit::REVOCATIONS_KEPT_MAX + limit::REVOCATIONS_MAX, "{known}");
    // Another process is not filled by them either.
    let again = Trust::load(&b.core.identity.present(), &b.core.store, b.core.now()).unwrap();
    let again = again.state().peers[a.core.own()].status().unwrap().revocations().count();
    assert!(again <= limit::REVOCATIONS_KEPT_MAX + limit::REVOCATIONS_MAX, "{again}");
    // What it says an hour later counts, and a key of its own is recorded as such.
    world.clock.advance_ms(3_600_000);
    let kid = a.key(Role::Request);
    let own = a.status(|raw| raw.revoked = vec![revocation(kid.clone())]);
    world.b_hears(Vec::new(), own).await.unwrap();
    assert!(view().revocation(&kid).is_some());
    let last = b.core.store.reads().audit(b.audit_rows() - 1, 1).unwrap();
    assert!(last[0].event.contains(kid.as_str()), "{last:?}");
}

//= PRB-10
#[tokio::test]
async fn a_peer_that_only_says_that_it_lives_is_heard_now_and_then() {
    let world = World::new().await;
    let (a, b) = (&world.a, &world.b);
    for _ in 0..1_000 {
        world.clock.advance_ms(100);
        world.b_hears(Vec::new(), a.status(|_| {})).await.unwrap();
    }
    assert!(b.kept(a, DocumentKind::Status) < 100);
    // Once it matters that it lives, it is heard.
    world.clock.advance_ms(limit::STATUS_LIFE_MS);
    world.b_hears(Vec::new(), a.status(|_| {})).await.unwrap();
    let view = b.core.trust.state().peers[a.core.own()].clone();
    assert_eq!(view.check_fresh(b.core.now()), Ok(()));
}

//= ID-83
#[tokio::test]
async fn an_audit_log_that_went_back_is_noticed_by_those_who_kept_its_head() {
    let world = World::new().await;
    let (a, b) = (&world.a, &world.b);
    let head = |size, text: &[u8]| AuditHead { head: Digest::of(text, &[]), size };
    let tell = async |audit: AuditHead| {
        world.clock.advance_ms(1_000);
        world.b_hears(Vec::new(), a.status(|raw| raw.audit = audit)).await.unwrap();
        b.core.trust.state().went_back.get(a.core.own()).copied()
    };
    assert_eq!(tell(head(1_000, b"a\n")).await, None);
    assert_eq!(tell(head(1_000, b"a\n")).await, None, "nothing happened there");
    assert_eq!(tell(head(1_010, b"b\n")).await, None, "it grew");
    assert_eq!(b.deeds("peer_audit_went_back"), 0);
    let shorter = tell(head(1_009, b"c\n")).await;
    assert_eq!(shorter, Some(WentBack::Shorter { had: 1_010, has: 1_009 }));
    let rewritten = tell(head(1_009, b"d\n")).await;
    assert_eq!(rewritten, Some(WentBack::Rewritten { size: 1_009 }));
    assert_eq!(b.deeds("peer_audit_went_back"), 2);
    // It is an alarm, and no verdict: the peer is served as before, also after a restart.
    let (bytes, _) = world.operation(&world.request(started("as-before", "hang")));
    let status = a.status(|raw| raw.audit = head(1_009, b"d\n"));
    let bytes = Operation { status, ..Operation::parse(&bytes).unwrap() }.to_bytes();
    assert_eq!(world.post(Op::Start.path(), bytes).await.status, 200);
    let again = Trust::load(&b.core.identity.present(), &b.core.store, b.core.now()).unwrap();
    assert_eq!(again.state().went_back.get(a.core.own()), rewritten.as_ref());
    assert!(again.state().active(a.core.own()));
    let peers = b.bridge.peers().await.unwrap();
    assert!(peers[0].alarms[0].contains("audit log"), "{:?}", peers[0].alarms);
}

impl World {
    /// B's address, with so many roots of B and its present status under the last of them.
    fn serve_long_chain(&self, count: usize) {
        self.clock.advance_ms(1);
        let roots = self.b.endless_roots(count - 1);
        let last = self.b.status(|raw| {
            raw.root = roots[count - 1].digest();
            raw.root_version = u64::try_from(count).unwrap();
        });
        self.serve_app(App::new(move |request: HttpRequest<RequestBody>| {
            let version = request.uri().path().strip_prefix("/federation/v1/root/");
            let found = match version {
                Some(version) => roots.get(version.parse::<usize>().unwrap() - 1).cloned(),
                None if request.uri().path() == "/federation/v1/status" => Some(last.clone()),
                None => None,
            };
            let status = if found.is_some() { 200 } else { 404 };
            let body = found.map(|envelope| envelope.to_bytes()).unwrap_or_default();
            async move { Response::builder().status(status).body(Full::from(body)).unwrap() }
        }));
    }
}

//= ID-81
#[tokio::test]
async fn a_caller_that_missed_many_roots_has_them_all_after_one_refresh() {
    for count in [33, 34, 70] {
        let world = World::new().await;
        world.serve_long_chain(count);
        let (a, b) = (&world.a.core, world.b.core.own());
        a.refresh_peer(b).await.unwrap();
        let view = a.peer_view(b).unwrap();
        assert_eq!(view.chain().version(), u64::try_from(count).unwrap());
        assert_eq!(view.check_fresh(a.now()), Ok(()));
        assert_eq!(world.a.kept(&world.b, DocumentKind::Root), count);
    }
}

//= ID-81
#[tokio::test]
async fn roots_are_kept_also_where_the_status_that_came_with_them_is_refused() {
    let world = World::new().await;
    let roots = world.a.endless_roots(40);
    // It speaks of the last root, and only the first 32 of the others come.
    let status = world.a.status(|raw| {
        raw.root = roots[40].digest();
        raw.root_version = 41;
    });
    let some = roots[1..33].to_vec();
    let refused = world.b_hears(some, status.clone()).await;
    assert!(matches!(refused, Err(TrustError::Status { .. })), "{refused:?}");
    assert_eq!(world.b.kept(&world.a, DocumentKind::Root), 33);
    world.b_hears(roots[33..].to_vec(), status).await.unwrap();
    assert_eq!(world.b.kept(&world.a, DocumentKind::Root), 41);
}

//= ID-19
#[tokio::test]
async fn a_second_status_with_one_number_is_evidence_also_where_it_is_stapled() {
    let world = World::new().await;
    let (a, b) = (&world.a, &world.b);
    let (bytes, _) = world.operation(&world.request(started("honest", "hang")));
    world.clock.advance_ms(1);
    let say = |size| a.status(|raw| raw.audit.size = size);
    let (first, second) = (say(50), say(51));
    let stapled = |status| Operation { status, ..Operation::parse(&bytes).unwrap() }.to_bytes();
    assert_eq!(world.post(Op::Start.path(), stapled(first.clone())).await.status, 200);
    let refused = world.post(Op::Start.path(), stapled(second)).await;
    assert_eq!(refused.unsigned().await, "verification_failed");
    assert!(b.core.trust.state().quarantined.contains(a.core.own()));
    assert_eq!(b.deeds("peer_quarantined"), 1);
    let peers = b.bridge.peers().await.unwrap();
    assert_eq!(peers[0].evidence.len(), 1, "others can be shown it");
    let refused = world.ask_for(started("afterwards", "hang")).await;
    assert_ne!(refused.status, 200);
}

#[tokio::test]
async fn one_record_of_one_peer_that_cannot_be_read_stops_nobody_else() {
    let world = World::new().await;
    let (a, b) = (&world.a, &world.b);
    let third = world.third().await;
    b.know(&third).await;
    let mut draft = b.draft();
    let state = b.core.trust.state();
    let known = state.federation.as_ref().unwrap().peer(a.core.own()).unwrap().clone();
    draft.put_peer(landbridge_proto::wire::document::Peer {
        alias: Alias::new("third").unwrap(),
        genesis: third.core.identity.present().root().genesis_digest(),
        gid: third.core.own().clone(),
        grants: Vec::new(),
        ..known
    });
    b.put(draft).await;
    let row = DocumentRow {
        gateway: third.core.own().clone(),
        kind: DocumentKind::Status,
        version: 1,
        envelope: "{\"undefined\":1}".to_owned(),
        at: Timestamp(0),
    };
    let writes = vec![Write::SaveDocument(row)];
    b.core.commit(Step::new(Vec::new(), writes, ())).await.unwrap();
    let trust = Trust::load(&b.core.identity.present(), &b.core.store, b.core.now()).unwrap();
    let state = trust.state();
    assert!(state.active(a.core.own()) && state.peers.contains_key(a.core.own()));
    assert!(!state.active(third.core.own()) && !state.peers.contains_key(third.core.own()));
    assert!(state.unusable[third.core.own()].contains("cannot be read"), "{:?}", state.unusable);
}
