//! The local API's operations, in the order of `docs/local-api.md`.

#![allow(clippy::unwrap_used, reason = "tests")]

mod admin;
mod runs;

use serde_json::{Map, Value, json};

use super::description::{Operation, Plane, Schemas};
use crate::local::problem::ProblemView;

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
        runs::lists(&mut schemas),
        runs::runs(&mut schemas),
        runs::gateways(&mut schemas),
        runs::approvals(&mut schemas),
        admin::bridge(&mut schemas),
        admin::peers(&mut schemas),
        admin::evidence(&mut schemas),
        admin::introductions(&mut schemas),
        admin::trust(&mut schemas),
        admin::scopes(&mut schemas),
        admin::tokens(&mut schemas),
        admin::audit(&mut schemas),
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

    /// The manual is compared with the handlers elsewhere, so this compares the description with those too.
    #[test]
    fn what_is_described_is_what_the_manual_has() {
        let plane = plane();
        let mut described = BTreeSet::new();
        for (path, methods) in plane["paths"].as_object().unwrap() {
            let methods = methods.as_object().unwrap().keys();
            described.extend(methods.map(|method| format!("{method} {path}")));
        }
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
        assert_eq!(described, told);
    }
}
