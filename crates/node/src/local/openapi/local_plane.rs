//! The local API's operations, in the order of `docs/local-api.md`.

#![allow(clippy::unwrap_used, reason = "tests")]

use landbridge_proto::machine::contract::{ApprovalSide, ApprovalState};
use landbridge_proto::wire::name::{Alias, ApprovalId, GatewayId, OperatorName, RunId, TenantId};
use landbridge_proto::wire::stream::Outcome;
use serde_json::{Map, Value, json};

use super::description::{Operation, Plane, Schemas};
use crate::local::api::*;
use crate::local::problem::ProblemView;
use crate::local::standing::{PeerTest, RevokeKey, RevokedKey};
use crate::local::usage::UsageView;

/// What every request may be refused with, whoever asks.
const ANYBODY: &[&str] = &[
    "cross_origin",
    "forbidden",
    "internal",
    "unauthorized",
    "unsupported_encoding",
    "wrong_host",
];
/// And every request for a path below `/v1/`, which takes no stray query.
const STRICT: &[&str] = &["malformed", "store_unavailable"];
/// And every request that has a body, or says that it has none.
const BODIED: &[&str] = &["too_large", "unsupported_media_type"];
/// Where something of a path or a body may be unknown.
const NOT_FOUND: &[&str] = &["not_found"];
/// Where a peer is asked while the client waits.
const ASKS: &[&str] = &[
    "halted",
    "not_found",
    "peer_unreachable",
    "root_unknown",
    "status_stale",
    "verification_failed",
];
/// Where this gateway is asked to act at another.
const ACTS: &[&str] = &["draining", "halted", "rolled_back"];

const ADMIN: &str = "administrator";

pub(super) fn plane() -> Value {
    let mut schemas = Schemas::new();
    let operations = [
        runs(&mut schemas),
        gateways(&mut schemas),
        approvals(&mut schemas),
        bridge(&mut schemas),
        peers(&mut schemas),
        trust(&mut schemas),
        scopes(&mut schemas),
        tokens(&mut schemas),
        audit(&mut schemas),
        health(),
    ];
    let problem = schemas.given::<ProblemView>();
    let mut operations: Vec<Operation> = operations.into_iter().flatten().collect();
    for operation in &mut operations {
        *operation = with_usual(operation.clone());
    }
    let plane = Plane {
        name: "local",
        info: json!({
            "title": "Landbridge: the local API",
            "version": "1",
            "description": "What workflow engines, the command line and the console of one machine ask their bridge.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        }),
        servers: json!([
            {"url": "http://landbridge", "description": "The unix socket <home>/landbridge.sock."},
            {
                "url": "http://127.0.0.1:{port}", "description": "Loopback, when `local.listen` is set.",
                "variables": {"port": {"default": "8720"}},
            },
        ]),
        security: json!({"token": {"type": "http", "scheme": "bearer",
            "description": "`lbt_...`, of `landbridge token create`. On the socket the owner of the process needs none."}}),
        operations,
        schemas,
        further: Map::from_iter([("Frame".to_owned(), frame())]),
    };
    plane.description(&|codes| {
        json!({"application/problem+json": {"schema": {
            "allOf": [problem], "properties": {"code": {"enum": codes}},
        }}})
    })
}

fn with_usual(operation: Operation) -> Operation {
    let operation = operation.refuses(ANYBODY);
    if !operation.path.starts_with("/v1/") {
        return operation;
    }
    let bodied = operation.has_body() || operation.method != "get";
    operation.refuses(STRICT).refuses(if bodied { BODIED } else { &[] })
}

/// A frame line. Its payload is described by `spec/schemas/frame.schema.json`.
fn frame() -> Value {
    json!({
        "type": "object",
        "description": "One frame, as its line was sealed; the payload of each event is in spec/schemas/frame.schema.json.",
        "required": ["seq", "event", "payload"],
        "properties": {
            "seq": {"type": "integer", "minimum": 1, "description": "Its number, from 1."},
            "event": {"type": "string", "description": "The event's name, known or not."},
            "payload": {"type": "object", "description": "What is told."},
        },
    })
}

/// A run's frames, as events or as lines.
fn frames() -> [(&'static str, Value); 2] {
    let frame = json!({"$ref": "#/components/schemas/Frame"});
    let event = json!({
        "type": "object",
        "properties": {
            "id": {"type": "string", "description": "The frame's `seq`."},
            "event": {"type": "string", "description": "The frame's event, or `problem` where the stream is broken off."},
            "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": frame},
            "retry": {"type": "integer"},
        },
    });
    [
        ("application/x-ndjson", json!({"itemSchema": frame})),
        ("text/event-stream", json!({"itemSchema": event})),
    ]
}

fn text() -> Value {
    json!({"type": "string"})
}

fn whole(min: u64, max: u64) -> Value {
    json!({"type": "integer", "minimum": min, "maximum": max})
}

fn cursor(operation: Operation) -> Operation {
    let seq = || json!({"type": "integer", "minimum": 0});
    operation
        .query("after", seq(), "The last frame that the client has; 0 where it is absent.")
        .parameter("header", "Last-Event-ID", seq(), "The same, and it wins.")
}

fn runs(schemas: &mut Schemas) -> Vec<Operation> {
    let run = schemas.taken::<RunId>();
    let outcomes = Outcome::ALL.map(Outcome::as_str);
    let (view, page) = (schemas.given::<RunView>(), schemas.given::<RunList>());
    let [lines, events] = frames();
    let started = [("application/json", json!({"schema": view})), lines.clone(), events.clone()];
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
    let frames = Operation::new(
        "get",
        "/v1/runs/{run}/frames",
        "readFrames",
        "The run's frames, as a stream that ends after the terminal.",
    )
    .needs("read")
    .parameter("path", "run", run.clone(), "");
    let frames = cursor(frames)
        .gives(200, "The frames after the cursor.", &[lines, events])
        .refuses(NOT_FOUND)
        .refuses(&["cursor_ahead", "not_acceptable"])
        .refuses(ACTS);
    vec![
        cursor(start),
        list,
        Operation::new("get", "/v1/runs/{run}", "showRun", "One run.")
            .needs("read")
            .parameter("path", "run", run.clone(), "")
            .json(200, "The run.", view)
            .refuses(NOT_FOUND),
        frames,
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

fn gateways(schemas: &mut Schemas) -> Vec<Operation> {
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

fn approvals(schemas: &mut Schemas) -> Vec<Operation> {
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

fn bridge(schemas: &mut Schemas) -> Vec<Operation> {
    vec![
        Operation::new(
            "get",
            "/v1/admin/bridge",
            "showBridge",
            "Who the bridge is and how it does.",
        )
        .needs(ADMIN)
        .json(200, "The bridge.", schemas.given::<BridgeView>()),
        Operation::new(
            "get",
            "/v1/admin/settings",
            "listSettings",
            "The settings that the bridge goes by, each with where it was written.",
        )
        .needs(ADMIN)
        .json(200, "The settings.", schemas.given::<Vec<SettingView>>()),
        Operation::new(
            "get",
            "/v1/admin/usage",
            "showUsage",
            "What each grant's tenants used today.",
        )
        .needs(ADMIN)
        .json(200, "One for each grant.", schemas.given::<Vec<UsageView>>()),
        Operation::new(
            "post",
            "/v1/admin/keys/revoke",
            "revokeKey",
            "Revoke a key of this gateway, for good.",
        )
        .needs(ADMIN)
        .takes(schemas.taken::<RevokeKey>())
        .json(200, "It is revoked.", schemas.given::<RevokedKey>())
        .refuses(&["not_found", "not_supported"]),
        Operation::new(
            "put",
            "/v1/admin/root",
            "putRoot",
            "Put the next root of this gateway in force.",
        )
        .needs(ADMIN)
        .takes(schemas.taken::<PutRoot>())
        .json(200, "Its version.", schemas.given::<OwnRootView>())
        .refuses(&["verification_failed"]),
        Operation::new("post", "/v1/admin/backup", "backUp", "Copy the database into a directory.")
            .needs(ADMIN)
            .takes(schemas.taken::<BackupInto>())
            .json(201, "It is copied.", schemas.given::<BackupInto>())
            .refuses(&["input_refused"]),
    ]
}

fn peers(schemas: &mut Schemas) -> Vec<Operation> {
    let gateway = schemas.taken::<GatewayId>();
    vec![
        Operation::new(
            "get",
            "/v1/admin/peers",
            "listPeers",
            "Peers, and pairings that are not finished.",
        )
        .needs(ADMIN)
        .json(200, "The peers.", schemas.given::<Vec<PeerView>>()),
        Operation::new(
            "post",
            "/v1/admin/peers/{gateway}/address",
            "lookAtAddress",
            "Look for a peer at another address, and learn what it says of itself.",
        )
        .needs(ADMIN)
        .parameter("path", "gateway", gateway.clone(), "")
        .takes(schemas.taken::<LookAt>())
        .json(200, "It is there.", schemas.given::<FoundAt>())
        .refuses(ASKS)
        .refuses(&["another_gateway"]),
        Operation::new(
            "post",
            "/v1/admin/peers/{gateway}/resume",
            "resumePeer",
            "End a quarantine.",
        )
        .needs(ADMIN)
        .parameter("path", "gateway", gateway.clone(), "")
        .takes(schemas.taken::<Resume>())
        .json(200, "It is ended.", schemas.given::<Resumed>())
        .refuses(NOT_FOUND),
        Operation::new(
            "post",
            "/v1/admin/peers/{gateway}/test",
            "testPeer",
            "How far the way to a peer goes, step by step, to its signature.",
        )
        .needs(ADMIN)
        .parameter("path", "gateway", gateway.clone(), "")
        .json(200, "What was found.", schemas.given::<PeerTest>())
        .refuses(NOT_FOUND),
        Operation::new("get", "/v1/admin/evidence", "listEvidence", "Evidence against peers.")
            .needs(ADMIN)
            .json(200, "All of it.", schemas.given::<Vec<EvidenceView>>()),
        Operation::new(
            "get",
            "/v1/admin/evidence/{id}",
            "showEvidence",
            "One piece, with the frames that differ.",
        )
        .needs(ADMIN)
        .parameter("path", "id", text(), "")
        .json(200, "The piece.", schemas.given::<EvidenceDetail>())
        .refuses(NOT_FOUND),
        Operation::new(
            "get",
            "/v1/admin/evidence/{id}/file",
            "exportEvidence",
            "The portable proof.",
        )
        .needs(ADMIN)
        .parameter("path", "id", text(), "")
        .gives(
            200,
            "The proof, JSON lines.",
            &[("application/jsonl", json!({"itemSchema": {"type": "object"}}))],
        )
        .refuses(NOT_FOUND),
        Operation::new(
            "get",
            "/v1/admin/invites",
            "listInvites",
            "Invites, without their secrets.",
        )
        .needs(ADMIN)
        .json(200, "The invites.", schemas.given::<Vec<OpenInvite>>()),
        Operation::new("post", "/v1/admin/invites", "invite", "Make an invite; it is shown once.")
            .needs(ADMIN)
            .takes(schemas.taken::<NewInvite>())
            .json(201, "The invite.", schemas.given::<InviteView>())
            .refuses(&["alias_taken", "not_supported"]),
        Operation::new(
            "delete",
            "/v1/admin/invites/{id}",
            "withdrawInvite",
            "Withdraw an open invite.",
        )
        .needs(ADMIN)
        .parameter("path", "id", text(), "")
        .gives(204, "It is withdrawn.", &[])
        .refuses(NOT_FOUND),
        Operation::new(
            "post",
            "/v1/admin/joins",
            "join",
            "Join by an invite; a person then compares words.",
        )
        .needs(ADMIN)
        .takes(schemas.taken::<Join>())
        .json(201, "The pairing that waits.", schemas.given::<PairingView>())
        .refuses(ASKS)
        .refuses(&[
            "alias_taken",
            "already_paired",
            "invite_damaged",
            "invite_expired",
            "invite_own",
            "invite_refused",
        ]),
        Operation::new(
            "get",
            "/v1/admin/pairings",
            "listPairings",
            "Pairings that wait for a person of this side.",
        )
        .needs(ADMIN)
        .json(200, "The pairings.", schemas.given::<Vec<PairingView>>()),
        Operation::new(
            "delete",
            "/v1/admin/pairings/{gateway}",
            "declinePairing",
            "Decline a pairing that waits.",
        )
        .needs(ADMIN)
        .parameter("path", "gateway", gateway, "")
        .gives(204, "It is declined.", &[])
        .refuses(NOT_FOUND),
    ]
}

fn trust(schemas: &mut Schemas) -> Vec<Operation> {
    let view = schemas.given::<FederationView>();
    vec![
        Operation::new(
            "get",
            "/v1/admin/federation",
            "showFederation",
            "Our signed federation document.",
        )
        .needs(ADMIN)
        .json(200, "The document.", view.clone()),
        Operation::new(
            "put",
            "/v1/admin/federation",
            "putFederation",
            "Put the next federation document in force.",
        )
        .needs(ADMIN)
        .takes(schemas.taken::<PutFederation>())
        .json(200, "The document.", view.clone())
        .refuses(&["verification_failed"]),
        Operation::new(
            "get",
            "/v1/admin/federation/versions",
            "listFederationVersions",
            "Kept versions, the oldest first, with what each changed.",
        )
        .needs(ADMIN)
        .json(200, "The versions.", schemas.given::<Vec<FederationVersionView>>()),
        Operation::new(
            "get",
            "/v1/admin/federation/versions/{version}",
            "showFederationVersion",
            "One kept version, as it is stored.",
        )
        .needs(ADMIN)
        .parameter("path", "version", json!({"type": "integer", "minimum": 0}), "")
        .json(200, "The version.", view)
        .refuses(NOT_FOUND),
        Operation::new(
            "post",
            "/v1/admin/admissions",
            "showMembership",
            "Show a membership of ours at a gateway.",
        )
        .needs(ADMIN)
        .takes(schemas.taken::<ShowMembership>())
        .json(200, "What the gateway said.", schemas.given::<MembershipShown>())
        .refuses(ASKS),
        Operation::new(
            "get",
            "/v1/admin/memberships",
            "listMemberships",
            "Memberships that gateways showed here, and whether they count now.",
        )
        .needs(ADMIN)
        .json(200, "The memberships.", schemas.given::<Vec<MembershipView>>()),
    ]
}

fn scopes(schemas: &mut Schemas) -> Vec<Operation> {
    let tenant = schemas.taken::<TenantId>();
    let catalog = schemas.given::<CatalogView>();
    vec![
        Operation::new(
            "get",
            "/v1/scopes",
            "listScopes",
            "Our catalogs of scopes, as they are published.",
        )
        .needs(ADMIN)
        .json(200, "The catalogs.", schemas.given::<Vec<CatalogView>>()),
        Operation::new(
            "get",
            "/v1/scopes/{gateway}",
            "showScopes",
            "A peer's catalog, asked for anew.",
        )
        .needs(ADMIN)
        .parameter("path", "gateway", schemas.taken::<Alias>(), "")
        .query("tenant", tenant.clone(), "The peer's tenant.")
        .query("local", tenant.clone(), "Our tenant, on whose behalf it is asked for.")
        .json(200, "The catalog.", catalog.clone())
        .refuses(ASKS)
        .refuses(&["not_granted"]),
        Operation::new(
            "post",
            "/v1/admin/scopes/publish",
            "publishScopes",
            "Publish catalogs, each tenant's scopes whole.",
        )
        .needs(ADMIN)
        .takes(schemas.taken::<Publish>())
        .json(200, "The new catalogs.", schemas.given::<Vec<CatalogView>>())
        .refuses(&["halted"]),
        Operation::new(
            "post",
            "/v1/admin/scopes/learn",
            "learnScopes",
            "Take a peer's signed catalog that somebody brought.",
        )
        .needs(ADMIN)
        .takes(schemas.taken::<LearnCatalog>())
        .json(200, "What it says.", catalog)
        .refuses(ASKS),
        Operation::new(
            "get",
            "/v1/admin/projections",
            "listProjections",
            "Whose scopes fulfil ours.",
        )
        .needs(ADMIN)
        .json(200, "The projections.", schemas.given::<Vec<ProjectionView>>()),
        Operation::new(
            "get",
            "/v1/operators",
            "listOperators",
            "Our operators, and keys that were taken from operators.",
        )
        .needs(ADMIN)
        .json(200, "The operators.", schemas.given::<OperatorList>()),
        Operation::new(
            "get",
            "/v1/operators/{name}/credential",
            "showCredential",
            "What this gateway says of an operator to others, signed.",
        )
        .needs(ADMIN)
        .parameter("path", "name", schemas.taken::<OperatorName>(), "")
        .query("tenant", tenant, "`default` where it is absent.")
        .json(200, "The credential.", schemas.given::<CredentialView>())
        .refuses(&["halted", "not_found"]),
    ]
}

fn tokens(schemas: &mut Schemas) -> Vec<Operation> {
    vec![
        Operation::new("get", "/v1/admin/tokens", "listTokens", "Tokens, without their secrets.")
            .needs(ADMIN)
            .json(200, "The tokens.", schemas.given::<Vec<TokenView>>()),
        Operation::new(
            "post",
            "/v1/admin/tokens",
            "createToken",
            "Make a token; its secret is shown once.",
        )
        .needs(ADMIN)
        .takes(schemas.taken::<NewToken>())
        .json(201, "The token.", schemas.given::<TokenView>()),
        Operation::new(
            "post",
            "/v1/admin/tokens/{id}/revoke",
            "revokeToken",
            "Revoke a token, at once.",
        )
        .needs(ADMIN)
        .parameter("path", "id", text(), "")
        .json(200, "The token.", schemas.given::<TokenView>())
        .refuses(NOT_FOUND),
    ]
}

fn audit(schemas: &mut Schemas) -> Vec<Operation> {
    vec![
        Operation::new("get", "/v1/admin/audit", "readAudit", "Rows of the audit log, in order.")
            .needs(ADMIN)
            .query(
                "after",
                json!({"type": "integer", "minimum": 0}),
                "The last row that the client has.",
            )
            .query("limit", whole(1, 1000), "Rows at most, 50 where it is absent.")
            .json(200, "The rows.", schemas.given::<AuditList>()),
        Operation::new(
            "get",
            "/v1/admin/audit/heads",
            "listAuditHeads",
            "How long the peers' audit logs were, and their heads.",
        )
        .needs(ADMIN)
        .query(
            "all",
            json!({"type": "boolean"}),
            "As each kept status tells, and not the newest alone.",
        )
        .json(200, "The heads.", schemas.given::<Vec<AuditHeadView>>()),
    ]
}

fn health() -> Vec<Operation> {
    let plain = || [("text/plain", json!({"schema": {"type": "string"}}))];
    vec![
        Operation::new("get", "/livez", "live", "The process answers.").gives(200, "It does.", &plain()),
        Operation::new("get", "/readyz", "ready", "The bridge takes new work.")
            .gives(200, "It does.", &plain())
            .refuses(&["not_ready"]),
        Operation::new("get", "/metrics", "metrics", "Metrics, for Prometheus.")
            .needs("read")
            .gives(200, "The metrics.", &plain())
            .refuses(&["not_found", "store_unavailable"]),
        Operation::new("get", "/v1/openapi/{document}", "describe", "A description of a plane.")
            .parameter(
                "path",
                "document",
                json!({"enum": ["federation-3.1.json", "federation-3.2.json", "local-3.1.json", "local-3.2.json"]}),
                "",
            )
            .gives(200, "The description.", &[("application/vnd.oai.openapi+json", json!({"schema": {"type": "object"}}))])
            .refuses(NOT_FOUND),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::description::compare;
    use super::*;

    #[test]
    fn the_description_is_that_of_the_types() {
        compare("local", &plane());
    }

    /// What this description, the handlers and the manual say there is.
    #[test]
    fn every_route_is_described_here_and_in_the_manual() {
        let plane = plane();
        let mut described = BTreeSet::new();
        for (path, methods) in plane["paths"].as_object().unwrap() {
            described.extend(
                methods.as_object().unwrap().keys().map(|method| format!("{method} {path}")),
            );
        }
        assert_eq!(described, routed());
        let manual = include_str!("../../../../../docs/local-api.md");
        let told: BTreeSet<String> = manual
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
            .filter_map(|(told, _)| told.split_once(" /"))
            .map(|(method, rest)| {
                let path = rest.split('?').next().unwrap();
                format!("{} /{path}", method.to_ascii_lowercase())
            })
            .collect();
        assert_eq!(described, told, "docs/local-api.md");
    }

    /// The routes of the handlers' own source: a router cannot be asked for them.
    fn routed() -> BTreeSet<String> {
        let sources = [
            include_str!("../admin.rs"),
            include_str!("../approvals.rs"),
            include_str!("../evidence.rs"),
            include_str!("../openapi.rs"),
            include_str!("../runs.rs"),
            include_str!("../scopes.rs"),
            include_str!("../server.rs"),
            include_str!("../standing.rs"),
            include_str!("../trust.rs"),
        ];
        let mut routed = BTreeSet::new();
        for line in sources.iter().flat_map(|source| source.split(".route(\"").skip(1)) {
            let (path, rest) = line.split_once('"').unwrap();
            let handlers = rest.split(".route(").next().unwrap().split("\n").next().unwrap();
            for method in ["get", "post", "put", "delete"] {
                if handlers.contains(&format!(" {method}("))
                    || handlers.contains(&format!(".{method}("))
                {
                    routed.insert(format!("{method} {path}"));
                }
            }
        }
        routed
    }
}
