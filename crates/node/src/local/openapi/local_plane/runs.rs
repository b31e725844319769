//! What tokens may be allowed to ask: runs, gateways and approvals.

use landbridge_proto::machine::contract::{ApprovalSide, ApprovalState};
use landbridge_proto::wire::name::{Alias, ApprovalId, RunId};
use landbridge_proto::wire::stream::Outcome;
use serde_json::json;

use super::{ACTS, NOT_FOUND, cursor, frames, text, whole};
use crate::local::api::*;
use crate::local::openapi::description::{Operation, Schemas};

pub(super) fn lists(schemas: &mut Schemas) -> Vec<Operation> {
    let outcomes = Outcome::ALL.map(Outcome::as_str);
    let (view, page) = (schemas.given::<RunView>(), schemas.given::<RunList>());
    let [lines, events] = frames();
    let started = [("application/json", json!({"schema": view})), lines, events];
    let start = Operation::new(
        "post",
        "/v1/runs",
        "startRun",
        "Start a run at another gateway, or find the one that the key started.",
    )
    .needs("run")
    .takes(schemas.taken::<StartRun>())
    .gives(201, "Started: the run, or its frames when they were asked for.", &started)
    .gives(200, "The key had started it before.", &started)
    .header(201, "Location", "Where the run is.")
    .header(201, "Landbridge-Run", "The run.")
    .header(200, "Location", "Where the run is.")
    .header(200, "Landbridge-Run", "The run.")
    .refuses(ACTS)
    .refuses(&[
        "cursor_ahead",
        "key_conflict",
        "not_acceptable",
        "not_found",
        "not_granted",
        "peer_revoked",
        "peer_suspended",
        "rate_limited",
    ]);
    let list = Operation::new("get", "/v1/runs", "listRuns", "Runs, the newest first.")
        .needs("read")
        .query("gateway", schemas.taken::<Alias>(), "A logical gateway.")
        .query("state", json!({"enum": ["open", "settled"]}), "")
        .query("outcome", json!({"enum": outcomes}), "")
        .query(
            "label",
            json!({"type": "array", "items": {"type": "string"}}),
            "`name=value`; a run has all of them.",
        )
        .query(
            "since",
            json!({"type": "string", "format": "date-time"}),
            "Invoked at this time or later.",
        )
        .query(
            "until",
            json!({"type": "string", "format": "date-time"}),
            "Invoked before this time.",
        )
        .query("limit", whole(1, 200), "Runs in a page, 50 where it is absent.")
        .query("cursor", text(), "`next` of the page before, with the same filters.")
        .json(200, "A page.", page)
        .header(200, "Link", "The whole address of the next page, `rel=\"next\"`.");
    vec![cursor(start), list]
}

pub(super) fn runs(schemas: &mut Schemas) -> Vec<Operation> {
    let (run, view) = (schemas.taken::<RunId>(), schemas.given::<RunView>());
    let frames_of = Operation::new(
        "get",
        "/v1/runs/{run}/frames",
        "readFrames",
        "The run's frames, as a stream that ends after the terminal.",
    )
    .needs("read")
    .parameter("path", "run", run.clone(), "");
    let frames_of = cursor(frames_of)
        .gives(200, "The frames after the cursor.", &frames())
        .refuses(NOT_FOUND)
        .refuses(&["cursor_ahead", "not_acceptable"])
        .refuses(ACTS);
    vec![
        Operation::new("get", "/v1/runs/{run}", "showRun", "One run.")
            .needs("read")
            .parameter("path", "run", run.clone(), "")
            .json(200, "The run.", view)
            .refuses(NOT_FOUND),
        frames_of,
        Operation::new("post", "/v1/runs/{run}/cancel", "cancelRun", "Ask for the end of a run.")
            .needs("cancel")
            .parameter("path", "run", run.clone(), "")
            .json(202, "`requested`.", schemas.given::<CancelView>())
            .json(200, "`alreadyTerminal`.", schemas.given::<CancelView>())
            .refuses(NOT_FOUND)
            .refuses(ACTS),
        Operation::new(
            "get",
            "/v1/runs/{run}/transcript",
            "exportRun",
            "What was received of a run, for anybody to verify.",
        )
        .needs("read")
        .parameter("path", "run", run, "")
        .gives(
            200,
            "The transcript, JSON lines.",
            &[("application/jsonl", json!({"itemSchema": {"type": "object"}}))],
        )
        .refuses(NOT_FOUND),
    ]
}

pub(super) fn gateways(schemas: &mut Schemas) -> Vec<Operation> {
    let gateway = schemas.taken::<Alias>();
    let test = Operation::new(
        "post",
        "/v1/gateways/{gateway}/test",
        "testGateway",
        "A signed round trip that starts nothing.",
    )
    .needs("run")
    .parameter("path", "gateway", gateway.clone(), "")
    .json(200, "What came of it.", schemas.given::<RouteTest>())
    .refuses(NOT_FOUND);
    vec![
        Operation::new(
            "get",
            "/v1/gateways",
            "listGateways",
            "What may be reached, and how it does; nobody is asked for it.",
        )
        .needs("read")
        .json(200, "All of them.", schemas.given::<Vec<RouteView>>()),
        Operation::new("get", "/v1/gateways/{gateway}", "showGateway", "One gateway.")
            .needs("read")
            .parameter("path", "gateway", gateway, "")
            .query("probe", json!({"type": "boolean"}), "Make a round trip first; needs `run` too.")
            .json(200, "The gateway.", schemas.given::<RouteView>())
            .refuses(NOT_FOUND),
        test,
    ]
}

pub(super) fn approvals(schemas: &mut Schemas) -> Vec<Operation> {
    let id = schemas.taken::<ApprovalId>();
    let view = schemas.given::<ApprovalView>();
    vec![
        Operation::new(
            "get",
            "/v1/approvals",
            "listApprovals",
            "Questions for people, the newest first.",
        )
        .needs("read")
        .query("state", schemas.taken::<ApprovalState>(), "")
        .query("side", schemas.taken::<ApprovalSide>(), "")
        .query("limit", whole(1, 200), "Questions at most, 50 where it is absent.")
        .json(200, "The questions.", schemas.given::<ApprovalList>()),
        Operation::new(
            "post",
            "/v1/approvals",
            "askApproval",
            "Ask the operators of every gateway whose decision could count.",
        )
        .needs("run")
        .takes(schemas.taken::<AskApproval>())
        .json(201, "The question.", view.clone())
        .refuses(ACTS)
        .refuses(&["no_approval_route", "not_granted"]),
        Operation::new(
            "get",
            "/v1/approvals/{id}",
            "showApproval",
            "One question with its subject and its decisions.",
        )
        .needs("read")
        .parameter("path", "id", id.clone(), "")
        .json(200, "The question.", view.clone())
        .refuses(NOT_FOUND),
        Operation::new(
            "post",
            "/v1/approvals/{id}/decisions",
            "decideApproval",
            "Hand in what an operator of this gateway signed.",
        )
        .needs("decide")
        .parameter("path", "id", id.clone(), "")
        .takes(schemas.taken::<DecideApproval>())
        .json(200, "The question.", view)
        .refuses(NOT_FOUND)
        .refuses(ACTS)
        .refuses(&["already_resolved", "approval_refused"]),
        Operation::new(
            "get",
            "/v1/approvals/{id}/evidence",
            "exportApproval",
            "The record of a question that this gateway asked, for anybody to verify.",
        )
        .needs("read")
        .parameter("path", "id", id, "")
        .gives(
            200,
            "The record, JSON lines.",
            &[("text/plain", json!({"schema": {"type": "string"}}))],
        )
        .refuses(NOT_FOUND)
        .refuses(&["not_supported"]),
    ]
}
