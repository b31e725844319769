//! Runs that are about approvals: what their starts look like, and what their frames show.

use landbridge_proto::machine::framing::Framing;
use landbridge_proto::machine::report::Report;
use landbridge_proto::trust::verified::VerifyError;
use landbridge_proto::wire::approval::{KeyMethod, Subject};
use landbridge_proto::wire::document::{Disclose, Disclosure, Mode};
use landbridge_proto::wire::kind::{Kind, Role};
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{AgentName, SessionHandle};
use landbridge_proto::wire::request::{ApprovalAsked, ApprovalGrant, Body, Request, Start};
use landbridge_proto::wire::stream::{ApprovalRequested, Event, SubjectShown};

use super::key::Key;
use super::scene::{AT, Scene, scope};
use crate::gateway::{Gateway, NOW};
use crate::run::{request_of, start};

/// What a receiver says of a start, as it comes.
fn read(start: Start) -> Result<(), VerifyError> {
    let (caller, executor) = (Gateway::new(1), Gateway::new(21));
    let said = request_of(&caller, &executor, Body::Start(Box::new(start)));
    let envelope = caller.sign(Kind::Request, Role::Request, &said);
    caller.view().verify::<Request>(&envelope, NOW).map(|_| ())
}

fn to_operators() -> Start {
    let mut start = start();
    start.prompt = None;
    start.agent_target.agent = AgentName::new("operators").unwrap();
    start
}

//= APR-32
#[test]
fn a_start_about_approvals_is_for_the_operators() {
    let scene = Scene::new(Key::new(KeyMethod::File, 201));
    let grant = || {
        let approval = scene.request.id.clone();
        Some(ApprovalGrant { approval, decision: Box::new(scene.decision()) })
    };
    let asked = |subject: &str| {
        let request = scene.request_envelope();
        Some(ApprovalAsked { request, subject: subject.to_owned() })
    };
    for about in [
        Start { approval_grant: grant(), ..to_operators() },
        Start { approval_request: asked(&scene.subject), ..to_operators() },
    ] {
        assert_eq!(read(about.clone()), Ok(()));
        let malformed = |start| {
            assert!(matches!(read(start), Err(VerifyError::SignedMalformedPayload { .. })));
        };
        let mut agent = about.clone();
        agent.agent_target.agent = AgentName::new("triage").unwrap();
        malformed(agent);
        let mut turn = about.clone();
        turn.agent_target.mode = Mode::Turn;
        turn.agent_target.session = Some(SessionHandle::new("s-1").unwrap());
        malformed(turn);
        malformed(Start { prompt: Some("and this".to_owned()), ..about.clone() });
        malformed(Start { approval_grant: grant(), approval_request: asked("x"), ..about });
    }
    let long = asked(&"x".repeat(limit::SUBJECT_BYTES_MAX + 1));
    assert!(read(Start { approval_request: long, ..to_operators() }).is_err());
}

//= APR-33
#[test]
fn a_question_shows_its_subject_whatever_the_grant_discloses() {
    let scene = Scene::new(Key::new(KeyMethod::File, 201));
    let none = Disclosure::None;
    let disclose = Disclose { output: none, tool_args: none, tool_results: none };
    let agent = AgentName::new("triage").unwrap();
    let framing = Framing { disclose: &disclose, agent: &agent, remote_run_id: None };
    let Subject { binding, digest, kind, media, size } = scene.request.subject.clone();
    let text = scene.subject.clone();
    let requested = Box::new(ApprovalRequested {
        approval: scene.request.id.clone(),
        call_id: None,
        expires: AT,
        kind,
        request: String::from_utf8(scene.request_envelope().to_bytes()).unwrap(),
        scopes: [scope("sre-lead")].into(),
        subject: SubjectShown { binding, digest, media, size, text },
    });
    let events = framing.events(Report::ApprovalRequested(requested.clone()));
    assert_eq!(events, [Event::ApprovalRequested(requested)]);
}
