//! Calling: what A makes of answers that are lost, cut, altered, silent or not about what it asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request as HttpRequest, Response};
use http_body_util::{BodyExt as _, Full};
use landbridge_node::core::Settings;
use landbridge_node::net::limit_body::{self, RequestBody};
use landbridge_node::net::stream::{StreamSettings, channel};
use landbridge_node::net::{App, ResponseBody};
use landbridge_node::peers::{PeerError, Reply};
use landbridge_proto::machine::admission::print_of;
use landbridge_proto::machine::contract::{EntryPhase, EntryRow};
use landbridge_proto::machine::operation::Operation;
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::name::RunId;
use landbridge_proto::wire::problem::{Code, Problem};
use landbridge_proto::wire::request::{
    Answer, Body, Findings, Op, Refusal, Request, RunState, Target,
};
use landbridge_proto::wire::stream::One;

use crate::support::{World, nobody, pair};

/// What becomes of one request on its way to B.
enum Deed {
    /// B acts, and its answer is lost.
    LoseAnswer,
    /// B never sees it; this is answered.
    Say(u16, &'static str, Vec<u8>),
    /// B never sees it; this refusal is signed by B for this very request, or for another one.
    Refuse(Code, Option<Digest>),
    /// Of B's whole answer only so many hundredths arrive.
    Cut(usize),
    /// B's answer, whole, with one word of it replaced.
    Alter(&'static str, &'static str),
    /// So many bytes of B's answer, and then nothing for ever.
    FallSilent(usize),
    /// So many bytes of B's answer, and then one more now and then, so that no event is ever whole.
    Trickle(usize),
}

/// What A sent, as B reads it, with A's journal at that moment.
struct Sent {
    op: Op,
    request: Request,
    journal: Option<EntryRow>,
}

/// Serves B behind a wire that does these deeds to A's first starts and attaches, one each.
fn wire(world: &World, deeds: Vec<Deed>) -> Arc<Mutex<Vec<Sent>>> {
    let deeds = Arc::new(Mutex::new(VecDeque::from(deeds)));
    let sent = Arc::new(Mutex::new(Vec::new()));
    let (a, b, plane) =
        (Arc::clone(&world.a.core), Arc::clone(&world.b.core), world.b.plane.clone());
    let seen = Arc::clone(&sent);
    world.serve_app(App::new(move |request: HttpRequest<RequestBody>| {
        let (a, b, plane) = (Arc::clone(&a), Arc::clone(&b), plane.clone());
        let (deeds, seen) = (Arc::clone(&deeds), Arc::clone(&seen));
        async move {
            let op = Op::ALL.into_iter().find(|op| op.path() == request.uri().path());
            let Some(op @ (Op::Start | Op::Attach)) = op else {
                return plane.answer(request).await;
            };
            let (head, bytes) = limit_body::collect(request, 1 << 21).await.unwrap();
            let envelope = Operation::parse(&bytes).unwrap().request;
            let view = b.peer_view(a.own()).unwrap();
            let said = view.verify::<Request>(&envelope, b.now()).unwrap().value().clone();
            let journal = match &said.body {
                Body::Start(start) => {
                    let reads = a.store.reads();
                    reads.entry_of_key(b.own(), &pair(), &start.idempotency_key).unwrap()
                }
                _ => None,
            };
            seen.lock().unwrap().push(Sent { op, request: said, journal });
            let deed = deeds.lock().unwrap().pop_front();
            let onward = HttpRequest::from_parts(head, RequestBody::full(bytes));
            let whole = async |response: Response<ResponseBody>| {
                response.into_body().collect().await.unwrap().to_bytes()
            };
            match deed {
                None => plane.answer(onward).await,
                Some(Deed::LoseAnswer) => {
                    drop(plane.answer(onward).await);
                    answer(500, "text/plain", Bytes::new())
                }
                Some(Deed::Say(status, media, body)) => answer(status, media, body.into()),
                Some(Deed::Refuse(code, other)) => {
                    let refusal = Refusal {
                        aud: a.own().clone(),
                        iss: b.own().clone(),
                        problem: Problem::new(code).with_retry_after_ms(1),
                        request: other.unwrap_or_else(|| envelope.digest()),
                        root_version: 1,
                        t: b.now(),
                        v: One,
                    };
                    let body = b.identity.present().sign(&refusal, b.now()).unwrap().to_bytes();
                    let status = refusal.problem.status;
                    answer(status, "application/vnd.gfp.envelope+json", body.into())
                }
                Some(Deed::Cut(at)) => {
                    let body = whole(plane.answer(onward).await).await;
                    answer(200, "text/event-stream", body.slice(..body.len() * at / 100))
                }
                Some(Deed::Alter(from, to)) => {
                    let body = whole(plane.answer(onward).await).await;
                    let text = String::from_utf8(body.to_vec()).unwrap();
                    assert!(text.contains(from), "{text}");
                    answer(200, "text/event-stream", text.replace(from, to).into())
                }
                Some(deed @ (Deed::FallSilent(at) | Deed::Trickle(at))) => {
                    let body = whole(plane.answer(onward).await).await;
                    drawn_out(body, at, matches!(deed, Deed::Trickle(_)))
                }
            }
        }
    }));
    sent
}

/// So many bytes of a body at once, and then none for ever, or one now and then.
fn drawn_out(body: Bytes, at: usize, trickles: bool) -> Response<ResponseBody> {
    let (mut writer, silent) = channel(StreamSettings::default());
    tokio::spawn(async move {
        writer.send(body.slice(..at)).await.unwrap();
        for byte in (at..body.len()).filter(|_| trickles) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            if writer.send(body.slice(byte..=byte)).await.is_err() {
                return;
            }
        }
        writer.gone().await;
    });
    let mut response = Response::new(silent.map_err(Into::into).boxed_unsync());
    let media = http::HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert("content-type", media);
    response
}

fn answer(status: u16, media: &'static str, body: Bytes) -> Response<ResponseBody> {
    let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
    Response::builder().status(status).header("content-type", media).body(body).unwrap()
}

/// Starts a run behind this wire and waits for its end.
async fn ended(world: &World, name: &str, prompt: &str) -> EntryRow {
    let view = world.start_run(name, prompt).await;
    world.until(&view.run, |entry| entry.phase == EntryPhase::Settled).await
}

fn received(world: &World, run: &RunId) -> Vec<String> {
    world.a.core.store.reads().received(run, 0, 1_000, 1 << 20).unwrap()
}

//= REQ-6
//= REQ-7
//= PRB-6
#[tokio::test]
async fn attempts_carry_the_body_that_was_durable_first_and_are_signed_anew() {
    let world = World::new().await;
    let unsigned = serde_json::to_vec(&Problem::new(Code::NotGranted)).unwrap();
    let sent = wire(
        &world,
        vec![
            // Not signed: anybody on the way could say so.
            Deed::Say(403, "application/problem+json", unsigned),
            Deed::Say(200, "text/html", b"<html>".to_vec()),
            // Signed, and about another request.
            Deed::Refuse(Code::NotGranted, Some(Digest::of(b"another", &[]))),
            // Signed and about this one, and no verdict.
            Deed::Refuse(Code::RateLimited, None),
            Deed::LoseAnswer,
        ],
    );
    let entry = ended(&world, "retry", "say done").await;
    assert_eq!(entry.outcome.as_deref(), Some("succeeded"));
    assert_eq!(world.b.deeds("run_created"), 1);
    let sent = sent.lock().unwrap();
    assert_eq!(sent.len(), 6);
    let mut jtis = std::collections::BTreeSet::new();
    for Sent { op, request, journal } in sent.iter() {
        let Body::Start(start) = &request.body else { panic!("{op:?}") };
        // The journal had the body when the attempt arrived, and these bytes are its bytes.
        let journal = journal.as_ref().expect("durable before the first attempt");
        let (print, body) = print_of(start).unwrap();
        assert_eq!((print, &body), (journal.print, &journal.body));
        assert_eq!(journal.body, entry.body);
        assert!(jtis.insert(request.jti.clone()), "a jti was used twice");
        assert!(request.iat >= entry.created && request.exp > request.iat);
    }
}

//= STR-38
#[tokio::test]
async fn a_verdict_on_a_start_ends_the_invocation_as_rejected_under_our_signature() {
    let world = World::new().await;
    let _sent = wire(&world, vec![Deed::Refuse(Code::NotGranted, None)]);
    let entry = ended(&world, "verdict", "say done").await;
    assert_eq!(entry.outcome.as_deref(), Some("rejected"));
    let receipt = entry.receipt.expect("a signed receipt");
    assert!(receipt.contains("application/vnd.gfp.receipt.v1+json"));
    let mut frames = world
        .a
        .bridge
        .frames(&landbridge_node::bridge::Principal::Admin, &entry.run, 0)
        .await
        .unwrap();
    let told = frames.next().await.unwrap();
    let terminal = told.and_then(|told| told.last().map(|(_, line)| line.clone()));
    let terminal = terminal.expect("a terminal frame");
    for part in [r#""by":"caller""#, r#""outcome":"rejected""#, r#""code":"not_granted""#] {
        assert!(terminal.contains(part), "{part}: {terminal}");
    }
    assert_eq!(world.b.open_runs(), 0);
}

//= REQ-65
#[tokio::test]
async fn a_key_that_was_used_in_a_past_that_is_forgotten_here_ends_as_lost() {
    let world = World::new().await;
    let _sent = wire(&world, vec![Deed::Refuse(Code::KeyConflict, None)]);
    let entry = ended(&world, "conflict", "say done").await;
    assert_eq!(entry.outcome.as_deref(), Some("lost"));
    let told = received(&world, &entry.run).join("\n");
    assert!(told.contains(r#""sideEffects":"unknown""#), "{told}");
}

//= ID-43
#[tokio::test]
async fn an_attach_shows_what_the_executor_sealed() {
    let world = World::new().await;
    let held = Arc::new(Mutex::new(Vec::new()));
    let (kept, plane) = (Arc::clone(&held), world.b.plane.clone());
    let deeds = Arc::new(Mutex::new(VecDeque::from([60_usize])));
    let _stop = world.serve_app(App::new(move |request: HttpRequest<RequestBody>| {
        let (kept, deeds, plane) = (Arc::clone(&kept), Arc::clone(&deeds), plane.clone());
        async move {
            let (head, body) = request.into_parts();
            let bytes = body.collect().await.unwrap().to_bytes();
            let asked = Operation::parse(&bytes).ok();
            let request = HttpRequest::from_parts(head, RequestBody::full(bytes));
            let response = plane.answer(request).await;
            // Documents are not what is cut.
            let Some(operation) = asked else { return response };
            kept.lock().unwrap().push(operation.held.unwrap_or_default());
            let cut = deeds.lock().unwrap().pop_front();
            let Some(hundredths) = cut else { return response };
            let (head, body) = response.into_parts();
            let whole = body.collect().await.unwrap().to_bytes();
            let part = whole.slice(..whole.len() * hundredths / 100);
            Response::from_parts(
                head,
                Full::new(part).map_err(|never| match never {}).boxed_unsync(),
            )
        }
    }));
    let entry = ended(&world, "shown", "say one\nsay two\nsay three").await;
    assert_eq!(entry.outcome.as_deref(), Some("succeeded"));
    let held = held.lock().unwrap();
    assert!(held[0].is_empty(), "a start has nothing to show");
    let kinds = |held: &[landbridge_proto::wire::envelope::Envelope]| {
        held.iter().map(|envelope| envelope.kind()).collect::<Vec<_>>()
    };
    use landbridge_proto::wire::kind::Kind;
    assert_eq!(kinds(&held[1])[0], Kind::Accept);
    assert!(kinds(&held[1]).len() == 1 || kinds(&held[1])[1] == Kind::Seal);
}

//= STR-22
#[tokio::test]
async fn a_closed_connection_is_no_end_and_no_frame_comes_twice() {
    let world = World::new().await;
    // Inside the accept, in the middle, and inside the last seal.
    let sent = wire(&world, vec![Deed::Cut(2), Deed::Cut(60), Deed::Cut(95)]);
    let entry = ended(&world, "cut", "say one\nsay two\nsay three").await;
    assert_eq!(entry.outcome.as_deref(), Some("succeeded"));
    assert_eq!(sent.lock().unwrap().len(), 4);
    let log = world.b.core.store.reads().frames(&entry.remote.unwrap(), 0, 100, 1 << 20).unwrap();
    assert_eq!(received(&world, &entry.run), log);
    assert_eq!(world.b.deeds("run_created"), 1);
}

//= STR-23
//= STR-13
#[tokio::test]
async fn altered_bytes_release_nothing_and_are_no_evidence_against_the_peer() {
    let world = World::new().await;
    let alter = || Deed::Alter("honest", "forged");
    let _sent = wire(&world, vec![alter(), alter(), alter()]);
    let entry = ended(&world, "alter", "say honest").await;
    assert_eq!(entry.outcome.as_deref(), Some("succeeded"));
    let text = received(&world, &entry.run).join("\n");
    assert!(text.contains("honest") && !text.contains("forged"), "{text}");
    assert!(world.a.core.trust.state().quarantined.is_empty());
    assert_eq!(world.a.deeds("peer_quarantined"), 0);
}

//= STR-17
#[tokio::test]
async fn a_silent_connection_is_left_and_the_run_goes_on_over_another_one() {
    let world = World::of(Settings { silence_ms: 50, ..Settings::default() }, Settings::default());
    let world = world.await;
    let sent = wire(&world, vec![Deed::FallSilent(40)]);
    let entry = ended(&world, "silent", "say done").await;
    assert_eq!(entry.outcome.as_deref(), Some("succeeded"));
    assert_eq!(sent.lock().unwrap().len(), 2);
}

//= STR-17
#[tokio::test]
async fn bytes_that_never_become_an_event_are_no_sign_of_life() {
    let world = World::of(Settings { silence_ms: 100, ..Settings::default() }, Settings::default());
    let world = world.await;
    let sent = wire(&world, vec![Deed::Trickle(40)]);
    let entry = ended(&world, "trickle", "say done").await;
    assert_eq!(entry.outcome.as_deref(), Some("succeeded"));
    assert_eq!(sent.lock().unwrap().len(), 2, "the first connection was left");
    assert!(world.a.core.trust.state().quarantined.is_empty());
}

//= REQ-31
#[tokio::test]
async fn an_answer_to_something_else_is_no_answer() {
    let world = World::new().await;
    let (a, b) = (&world.a.core, &world.b.core);
    let target = Body::Inspect(Target::Run(a.new_run_id().unwrap()));
    let signed = a.sign_request(b.own(), &pair(), target, None).unwrap();
    let right = Answer {
        aud: a.own().clone(),
        iss: b.own().clone(),
        request: signed.digest,
        result: Findings { state: Some(RunState::Running), ..Findings::default() },
        root_version: 1,
        t: b.now(),
        v: One,
    };
    let read = async |said: &Answer| {
        let body: Bytes = b.identity.present().sign(said, b.now()).unwrap().to_bytes().into();
        let stop = world.serve_app(App::new(move |_| {
            let body = body.clone();
            async move { answer(200, "application/vnd.gfp.envelope+json", body) }
        }));
        let reply = a.send(b.own(), Op::Inspect.path(), &signed, None, Vec::new()).await.unwrap();
        let Reply::Open(response) = reply else { panic!("refused") };
        let read = a.read_answer(b.own(), &signed, *response).await;
        stop.cancel();
        // A's kept connection leads to the app that just ended.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        read
    };
    assert!(read(&right).await.is_ok());
    for wrong in [
        Answer { request: Digest::of(b"another", &[]), ..right.clone() },
        Answer { aud: nobody(), ..right.clone() },
        Answer { iss: nobody(), ..right.clone() },
    ] {
        assert!(matches!(read(&wrong).await, Err(PeerError::ForeignAnswer)), "{wrong:?}");
    }
}
