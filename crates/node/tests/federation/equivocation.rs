//! A gateway that contradicts itself under its own signature, and a way that only makes it look so.
//!
//! The lying executor has B's stream key and B's certificate; what it says is made here by hand. The
//! lying way has neither: everything that it can do to bytes must end in another attempt.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request as HttpRequest, Response};
use http_body_util::{BodyExt as _, Full};
use landbridge_node::core::Settings;
use landbridge_node::net::limit_body::{self, RequestBody};
use landbridge_node::net::{App, ResponseBody};
use landbridge_proto::machine::admission::print_of;
use landbridge_proto::machine::chain::Chain;
use landbridge_proto::machine::contract::{EntryPhase, EntryRow};
use landbridge_proto::machine::evidence::{Contradiction, Outcome, verify};
use landbridge_proto::machine::operation::Operation;
use landbridge_proto::wire::document::{Status, raw};
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::name::RunId;
use landbridge_proto::wire::request::{Body, Op, Request};
use landbridge_proto::wire::sse::{Batch, Event, FrameLine};
use landbridge_proto::wire::stream::{Accept, One, Seal, Seen};

use crate::support::{World, pair};

/// What the run says, and what it says another time.
const TOLD: [&str; 3] = ["one", "two", "three"];
const OTHER: [&str; 3] = ["one", "two", "quite another thing"];

/// An executor that has B's stream key and says whatever it likes.
#[derive(Clone)]
struct Liar {
    world: Arc<landbridge_node::core::Core>,
    caller: landbridge_proto::wire::name::GatewayId,
}

impl Liar {
    fn accept(&self, request: &Request, run: char) -> Envelope {
        let Body::Start(start) = &request.body else { panic!("accepts answer starts") };
        let accept = Accept {
            aud: self.caller.clone(),
            deadline: crate::support::NOW.plus_ms(600_000),
            iss: self.world.own().clone(),
            key: start.idempotency_key.clone(),
            print: print_of(start).unwrap().0,
            proto: 1,
            root_version: 1,
            run: RunId::new(format!("run-{}{run}", "a".repeat(25))).unwrap(),
            seen: Seen::default(),
            tenant: pair(),
            v: One,
        };
        self.world.identity.present().sign(&accept, self.world.now()).unwrap()
    }

    fn seal(&self, accept: &Envelope, chain: Chain) -> Envelope {
        let seal = Seal {
            accept: accept.digest(),
            last: false,
            head: chain.head(),
            root_version: 1,
            run: RunId::new(format!("run-{}a", "a".repeat(25))).unwrap(),
            seq: chain.seq(),
            t: self.world.now(),
            v: One,
        };
        self.world.identity.present().sign(&seal, self.world.now()).unwrap()
    }

    /// Frames `from` and on of a history, in one sealed batch.
    fn frames(&self, accept: &Envelope, history: &[&str], from: usize) -> Event {
        let lines = lines(history);
        let chain = Chain::start(accept.digest()).extend(&lines);
        let frames = lines[from - 1..].iter().map(|line| FrameLine::new(line.as_bytes()).unwrap());
        Event::Frames(Batch::new(chain.seq(), frames.collect(), self.seal(accept, chain)).unwrap())
    }
}

fn lines(history: &[&str]) -> Vec<String> {
    let line = |(at, text): (usize, &&str)| {
        let payload = format!(r#"{{"channel":"answer","text":"{text}"}}"#);
        format!(r#"{{"seq":{},"event":"output","payload":{payload}}}"#, at + 1)
    };
    history.iter().enumerate().map(line).collect()
}

/// Serves what `tell` says to A's starts and attaches, which are numbered from 0.
fn lying<F>(world: &World, tell: F) -> Arc<Mutex<Vec<Request>>>
where
    F: Fn(&Liar, usize, &[Request]) -> Vec<Event> + Send + Sync + 'static,
{
    let liar = Liar { world: Arc::clone(&world.b.core), caller: world.a.core.own().clone() };
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (plane, seen, tell) = (world.b.plane.clone(), Arc::clone(&asked), Arc::new(tell));
    world.serve_app(App::new(move |request: HttpRequest<RequestBody>| {
        let (plane, seen, tell) = (plane.clone(), Arc::clone(&seen), Arc::clone(&tell));
        let liar = liar.clone();
        async move {
            let op = Op::ALL.into_iter().find(|op| op.path() == request.uri().path());
            if !matches!(op, Some(Op::Start | Op::Attach)) {
                return plane.answer(request).await;
            }
            let (_, bytes) = limit_body::collect(request, 1 << 21).await.unwrap();
            let request = Operation::parse(&bytes).unwrap().request;
            let view = liar.world.peer_view(&liar.caller).unwrap();
            let said = view.verify::<Request>(&request, liar.world.now()).unwrap().value().clone();
            let (at, all) = {
                let mut seen = seen.lock().unwrap();
                seen.push(said);
                (seen.len() - 1, seen.clone())
            };
            let events = tell(&liar, at, &all);
            let body: Vec<u8> = events.iter().flat_map(Event::to_bytes).collect();
            stream(body.into())
        }
    }));
    asked
}

fn stream(body: Bytes) -> Response<ResponseBody> {
    let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
    Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
}

async fn ended(world: &World, name: &str, prompt: &str) -> EntryRow {
    let view = world.start_run(name, prompt).await;
    world.until(&view.run, |entry| entry.phase == EntryPhase::Settled).await
}

/// A has quarantined B, and what it keeps convinces a stranger.
async fn convicted(world: &World, entry: &EntryRow, kind: Contradiction) -> String {
    let (a, b) = (&world.a.core, &world.b.core);
    assert_eq!(entry.outcome.as_deref(), Some("lost"));
    assert!(a.trust.state().quarantined.contains(b.own()));
    assert!(a.peer_view(b.own()).is_err(), "nothing is asked of it any more");
    let rows = a.store.reads().all_evidence().unwrap();
    let [row] = &rows[..] else { panic!("one contradiction, {} rows", rows.len()) };
    assert_eq!((row.kind, &row.peer), (kind, b.own()));
    let audit = world.a.audit();
    let noted = audit.iter().find(|event| event.deed == "peer_quarantined").unwrap();
    assert_eq!(noted.detail["evidence"], row.id, "the same batch says which");
    let peers = world.a.bridge.peers().await.unwrap();
    assert_eq!(
        (peers[0].state.as_str(), &peers[0].evidence[..]),
        ("quarantined", &[row.id.clone()][..])
    );
    let file = world.a.bridge.evidence_file(&row.id).await.unwrap();
    assert_eq!(verify(file.as_bytes(), b.own()).outcome, Outcome::Proven);
    assert_eq!(verify(file.as_bytes(), a.own()).exit_code(), 3);
    row.id.clone()
}

//= STR-24
//= STR-25
//= STR-47
#[tokio::test]
async fn two_sealed_histories_of_a_run_are_kept_as_a_proof_and_a_person_ends_the_quarantine() {
    let world = World::new().await;
    let asked = lying(&world, |liar, at, asked| {
        let accept = liar.accept(&asked[0], 'a');
        let history = if at == 0 { &TOLD } else { &OTHER };
        let from = match &asked[at].body {
            Body::Attach(attach) => usize::try_from(attach.after).unwrap() + 1,
            _ => 1,
        };
        let mut events = vec![Event::Accept(accept.clone())];
        if from <= history.len() {
            events.push(liar.frames(&accept, history, from));
        } else {
            // Behind both histories: one more frame, over the other history's head.
            events.push(liar.frames(&accept, &[&OTHER[..], &["four"]].concat(), 4));
        }
        events
    });
    let entry = ended(&world, "fork", "say anything").await;
    let id = convicted(&world, &entry, Contradiction::Seals).await;
    // The start, the attach that did not fit, and once from 0.
    let asked = asked.lock().unwrap().len();
    assert_eq!(asked, 3);
    let detail = world.a.bridge.evidence(&id).await.unwrap();
    assert_eq!((detail.kept, detail.other), (lines(&TOLD), lines(&OTHER)));
    assert_eq!(detail.evidence.run, Some(entry.run.clone()));
    let file = world.a.bridge.evidence_file(&id).await.unwrap();
    assert!(!file.contains("another thing"), "what was said is not handed on");
    // Neither asks nor is asked, until a person ends it; the reason is in the audit log.
    let refused = world.ask_back().await;
    assert_eq!(refused.as_deref(), Some("peer_suspended"));
    world.a.bridge.resume_peer(world.b.core.own(), "they mended it".to_owned()).await.unwrap();
    assert!(world.a.core.trust.state().active(world.b.core.own()));
    assert_eq!(world.a.deeds("quarantine_lifted"), 1);
    assert_ne!(world.ask_back().await.as_deref(), Some("peer_suspended"));
    assert_eq!(world.a.core.store.reads().all_evidence().unwrap().len(), 1, "what was found stays");
    let twice = world.a.bridge.resume_peer(world.b.core.own(), "again".to_owned()).await;
    assert!(twice.is_err(), "there is nothing to end");
}

//= STR-24
#[tokio::test]
async fn a_sealed_head_that_is_not_the_journals_is_enough() {
    let world = World::new().await;
    lying(&world, |liar, at, asked| {
        let accept = liar.accept(&asked[0], 'a');
        let mut events = vec![Event::Accept(accept.clone())];
        events.push(match at {
            0 => liar.frames(&accept, &TOLD, 1),
            _ => {
                let chain = Chain::start(accept.digest()).extend(&lines(&OTHER));
                Event::Alive(liar.seal(&accept, chain))
            }
        });
        events
    });
    let entry = ended(&world, "alive", "say anything").await;
    convicted(&world, &entry, Contradiction::Seals).await;
}

//= STR-24
#[tokio::test]
async fn two_accepts_for_one_key_are_kept_as_a_proof() {
    let world = World::new().await;
    lying(&world, |liar, at, asked| {
        let accept = liar.accept(&asked[0], if at == 0 { 'a' } else { 'b' });
        match at {
            0 => vec![Event::Accept(accept.clone()), liar.frames(&accept, &TOLD, 1)],
            _ => vec![Event::Accept(accept)],
        }
    });
    let entry = ended(&world, "accepts", "say anything").await;
    convicted(&world, &entry, Contradiction::Accepts).await;
}

//= ID-19
#[tokio::test]
async fn two_statuses_with_one_number_are_kept_as_a_proof() {
    let world = World::new().await;
    lying(&world, |liar, at, asked| {
        let accept = liar.accept(&asked[0], 'a');
        let first = liar.world.trust.state().status.clone().unwrap();
        let said = Status::try_from(raw::Status {
            audit: landbridge_proto::wire::document::AuditHead { head: accept.digest(), size: 7 },
            expires: liar.world.now().plus_ms(3_600_000),
            incarnation: liar.world.trust.state().incarnation,
            iss: liar.world.own().clone(),
            issued: crate::support::NOW,
            refresh_ms: 1_000,
            revoked: Vec::new(),
            root: liar.world.identity.present().root().digest(),
            root_version: 1,
            seq: crate::support::NOW.0,
            v: landbridge_proto::wire::document::FormVersion,
        });
        let second = liar.world.identity.present().sign(&said.unwrap(), liar.world.now()).unwrap();
        assert_ne!(first.digest(), second.digest());
        let mut events = vec![Event::Accept(accept.clone())];
        if at > 0 {
            events.push(Event::Status(second));
        }
        events.push(liar.frames(&accept, &TOLD, 1));
        events
    });
    let entry = ended(&world, "statuses", "say anything").await;
    convicted(&world, &entry, Contradiction::Statuses).await;
}

/// Serves B behind a way that bends each whole answer to a start or an attach, numbered from 0.
fn bent<F>(world: &World, bend: F) -> Arc<Mutex<Vec<Option<u64>>>>
where
    F: Fn(usize, Vec<Vec<u8>>) -> Vec<u8> + Send + Sync + 'static,
{
    let after = Arc::new(Mutex::new(Vec::new()));
    let (plane, seen, bend) = (world.b.plane.clone(), Arc::clone(&after), Arc::new(bend));
    let (b, a) = (Arc::clone(&world.b.core), world.a.core.own().clone());
    world.serve_app(App::new(move |request: HttpRequest<RequestBody>| {
        let (plane, seen, bend) = (plane.clone(), Arc::clone(&seen), Arc::clone(&bend));
        let (b, a) = (Arc::clone(&b), a.clone());
        async move {
            let op = Op::ALL.into_iter().find(|op| op.path() == request.uri().path());
            if !matches!(op, Some(Op::Start | Op::Attach)) {
                return plane.answer(request).await;
            }
            let (head, bytes) = limit_body::collect(request, 1 << 21).await.unwrap();
            let envelope = Operation::parse(&bytes).unwrap().request;
            let view = b.peer_view(&a).unwrap();
            let said = view.verify::<Request>(&envelope, b.now()).unwrap();
            let at = {
                let mut seen = seen.lock().unwrap();
                seen.push(match &said.value().body {
                    Body::Attach(attach) => Some(attach.after),
                    _ => None,
                });
                seen.len() - 1
            };
            let onward = HttpRequest::from_parts(head, RequestBody::full(bytes));
            let whole = plane.answer(onward).await.into_body().collect().await.unwrap().to_bytes();
            stream(bend(at, events(&whole)).into())
        }
    }));
    after
}

/// The events of a stream, each with its empty line.
fn events(stream: &[u8]) -> Vec<Vec<u8>> {
    let text = std::str::from_utf8(stream).unwrap();
    text.split_inclusive("\n\n").map(|event| event.as_bytes().to_vec()).collect()
}

async fn innocent(world: &World, entry: &EntryRow) {
    assert_eq!(entry.outcome.as_deref(), Some("succeeded"));
    assert!(world.a.core.trust.state().quarantined.is_empty());
    assert!(world.a.core.store.reads().all_evidence().unwrap().is_empty());
    let log = world.b.core.store.reads().frames(&entry.remote.clone().unwrap(), 0, 1_000, 1 << 20);
    let journal = world.a.core.store.reads().received(&entry.run, 0, 1_000, 1 << 20).unwrap();
    assert_eq!(journal, log.unwrap(), "exactly what was sealed");
    assert_eq!(world.b.deeds("run_created"), 1);
}

/// The accept and the first batch, so that the journal has something that can be contradicted.
fn beginning(events: &[Vec<u8>]) -> Vec<u8> {
    let frames = events.iter().position(|event| event.starts_with(b"id: ")).unwrap();
    events[..=frames].concat()
}

//= STR-13
//= STR-23
#[tokio::test]
async fn no_bit_that_is_changed_on_the_way_speaks_against_the_peer() {
    let hasty = Settings { retry_ms_max: 100, ..Settings::default() };
    let world = World::of(hasty, Settings::default()).await;
    const TRIES: usize = 120;
    let bent = bent(&world, |at, events| match at {
        0 => beginning(&events),
        1..=TRIES => {
            let mut bytes = events.concat();
            let place = at * 7_919 % bytes.len();
            bytes[place] ^= 1 << (at % 8);
            bytes
        }
        _ => events.concat(),
    });
    let view = world.start_run("bits", "say one\nsleep 30\nsay two\nsleep 30\nsay three").await;
    let settled = |entry: &EntryRow| entry.phase == EntryPhase::Settled;
    let entry = world.until(&view.run, settled).await;
    innocent(&world, &entry).await;
    let after = bent.lock().unwrap().clone();
    assert!(after.len() > 2 && after[1..].contains(&Some(0)), "read again from 0: {after:?}");
    println!("{} attempts, the journal is what was sealed", after.len());
}

//= STR-13
//= STR-23
#[tokio::test]
async fn frames_swapped_dropped_doubled_and_old_batches_are_the_ways_fault() {
    type Bend = fn(Vec<Vec<u8>>) -> Vec<u8>;
    let bends: [(&str, Bend); 5] = [
        ("swapped", |events| line_by_line(events, |lines| lines.swap(1, 2))),
        ("dropped", |events| line_by_line(events, |lines| drop(lines.remove(1)))),
        ("doubled", |events| line_by_line(events, |lines| lines.insert(1, lines[1].clone()))),
        ("replayed", |events| [events.concat(), events[events.len() - 1].clone()].concat()),
        ("reversed", |mut events| {
            events[1..].reverse();
            events.concat()
        }),
    ];
    for (name, bend) in bends {
        let world = World::new().await;
        let after = bent(&world, move |at, events| match at {
            0 => beginning(&events),
            1 | 2 => bend(events),
            _ => events.concat(),
        });
        let prompt = "say one\nsay two\nthink three\nsleep 30\nsay four\nsay five";
        let entry = ended(&world, name, prompt).await;
        innocent(&world, &entry).await;
        assert!(after.lock().unwrap().len() >= 2, "{name}");
    }
}

/// Bends the lines of the last batch of frames.
fn line_by_line(events: Vec<Vec<u8>>, bend: impl Fn(&mut Vec<String>)) -> Vec<u8> {
    let at = events.iter().rposition(|event| event.starts_with(b"id: ")).unwrap();
    let text = String::from_utf8(events[at].clone()).unwrap();
    let (head, frames): (Vec<String>, Vec<String>) = text
        .split_inclusive('\n')
        .map(str::to_owned)
        .partition(|line| !line.starts_with("data: {\"seq\""));
    let mut frames = frames;
    if frames.len() >= 3 {
        bend(&mut frames);
    } else {
        frames.reverse();
    }
    let batch = [&head[..2], &frames[..], &head[2..]].concat().concat();
    [events[..at].concat(), batch.into_bytes(), events[at + 1..].concat()].concat()
}

//= STR-23
#[tokio::test]
async fn a_batch_and_an_accept_of_another_run_are_the_ways_fault() {
    let world = World::new().await;
    let other: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let kept = Arc::clone(&other);
    let after = bent(&world, move |at, events| {
        let mut other = kept.lock().unwrap();
        match at {
            // A whole other run first, which ends as it should.
            0 => {
                other.clone_from(&events);
                events.concat()
            }
            1 => beginning(&events),
            2 => [&events[..1], &other[1..]].concat().concat(),
            3 => other.concat(),
            _ => events.concat(),
        }
    });
    ended(&world, "first", "say one\nsay two").await;
    let view = world.start_run("second", "say one\nsleep 30\nsay three").await;
    let entry = world.until(&view.run, |entry| entry.phase == EntryPhase::Settled).await;
    assert_eq!(entry.outcome.as_deref(), Some("succeeded"));
    assert!(world.a.core.trust.state().quarantined.is_empty());
    assert!(world.a.core.store.reads().all_evidence().unwrap().is_empty());
    assert!(after.lock().unwrap().len() >= 5);
}

impl World {
    /// Whether A takes a request of B; the code when it does not.
    async fn ask_back(&self) -> Option<String> {
        let (a, b) = (&self.a.core, &self.b.core);
        let run = b.new_run_id().unwrap();
        let target = landbridge_proto::wire::request::Target::Run(run);
        let signed = b.sign_request(a.own(), &pair(), Body::Inspect(target), None).unwrap();
        let status = b.trust.state().status.clone().unwrap();
        let bytes =
            Operation { roots: None, status, request: signed.envelope, held: None }.to_bytes();
        let request = HttpRequest::builder().method("POST").uri(Op::Inspect.path());
        let request = request.header("content-type", "application/json");
        let answer = self.a.plane.answer(request.body(RequestBody::full(bytes)).unwrap()).await;
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let envelope = Envelope::parse(&body).ok()?;
        // A verified refusal of A, as B reads it.
        let view = b.peer_view(a.own()).unwrap();
        let refusal =
            view.verify::<landbridge_proto::wire::request::Refusal>(&envelope, b.now()).ok()?;
        Some(refusal.value().problem.code_text().to_owned())
    }
}
