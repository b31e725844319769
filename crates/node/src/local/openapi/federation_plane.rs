//! The federation plane's operations. The bodies are those of `spec/schemas/`.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use landbridge_proto::wire::limit;
use landbridge_proto::wire::request::Op;
use serde_json::{Map, Value, json};

use super::description::{Operation, Plane, Schemas};
use crate::federation::{ENVELOPE, admission, pairing};

/// What an operation is refused with before it is known who asks: unsigned, but for `malformed` and `too_large`, which may be signed.
const STRANGER: &[&str] = &[
    "halted",
    "internal",
    "malformed",
    "method_not_allowed",
    "overloaded",
    "request_timeout",
    "root_unknown",
    "status_stale",
    "too_large",
    "unsupported_encoding",
    "verification_failed",
];
/// And afterwards: signed.
const PEER: &[&str] = &[
    "clock_skew",
    "draining",
    "not_granted",
    "peer_revoked",
    "peer_suspended",
    "protocol_unsupported",
    "rate_limited",
    "replayed",
    "rolled_back",
    "store_unavailable",
];

pub(super) fn plane() -> Value {
    let mut operations: Vec<Operation> = Op::ALL.into_iter().map(operation).collect();
    operations.push(
        introduction(pairing::PATH, "pair", "Join by an invite (Pairing).")
            .refuses(&["clock_skew", "replayed"]),
    );
    operations.push(introduction(admission::PATH, "admit", "Show a membership (Admission)."));
    operations.extend(documents());
    let plane = Plane {
        name: "federation",
        info: json!({
            "title": "Gateway Federation Protocol",
            "version": "1",
            "description": "What gateways ask each other. Proof is in the envelopes; no header carries a credential.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        }),
        servers: json!([{
            "url": "https://{endpoint}", "description": "An endpoint of the gateway's root.",
            "variables": {"endpoint": {"default": "gateway.example:8443"}},
        }]),
        security: Value::Null,
        operations,
        schemas: Schemas::new(),
        further: schemas(),
    };
    plane.description(&|codes| {
        let object = reference("problem-object");
        json!({
            "application/problem+json": {"schema": {"allOf": [object], "properties": {"code": {"enum": codes}}}},
            ENVELOPE: {"schema": {"$ref": "#/components/schemas/envelope"}},
        })
    })
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn envelope() -> Value {
    json!({"schema": reference("envelope")})
}

fn operation(op: Op) -> Operation {
    let (id, about): (_, &str) = match op {
        Op::Start => ("start", "Start a run, or find the one that the key started."),
        Op::Attach => ("attach", "The frames of a run, after a cursor."),
        Op::Cancel => ("cancel", "Ask for the end of a run, or block a key."),
        Op::Inspect => ("inspect", "Where a run stands."),
        Op::Catalog => ("catalog", "The scopes of a tenant."),
    };
    let operation = Operation::new("post", op.path(), id, about)
        .takes(reference("operation"))
        .refuses(STRANGER)
        .refuses(PEER);
    let stream = [("text/event-stream", json!({"itemSchema": reference("stream-event")}))];
    let answer = |operation: Operation| {
        operation.gives(200, "An envelope of the kind `answer`.", &[(ENVELOPE, envelope())])
    };
    match op {
        Op::Start => operation.gives(200, "The run's stream.", &stream).refuses(&[
            "cancelled_before_start",
            "gateway_unavailable",
            "input_refused",
            "key_conflict",
            "key_expired",
            "lost_history",
            "not_supported",
            "session_unknown",
        ]),
        Op::Attach => operation.gives(200, "The run's stream.", &stream).refuses(&[
            "cursor_ahead",
            "cursor_gone",
            "lost_history",
            "not_found",
        ]),
        Op::Cancel => answer(operation).refuses(&["lost_history", "not_found"]),
        Op::Inspect => answer(operation).refuses(&["lost_history", "not_found"]),
        Op::Catalog => operation
            .gives(200, "An envelope of the kind `catalog`.", &[(ENVELOPE, envelope())])
            .refuses(&["not_found"]),
    }
}

fn introduction(path: &'static str, id: &'static str, about: &'static str) -> Operation {
    Operation::new("post", path, id, about)
        .takes(reference("operation"))
        .gives(200, "An envelope of the kind `answer`.", &[(ENVELOPE, envelope())])
        .refuses(&[
            "halted",
            "internal",
            "malformed",
            "method_not_allowed",
            "request_timeout",
            "root_unknown",
            "status_stale",
            "store_unavailable",
            "too_large",
            "unsupported_encoding",
            "verification_failed",
        ])
}

fn documents() -> [Operation; 4] {
    let version = || json!({"type": "integer", "minimum": 1, "maximum": limit::INTEGER_MAX});
    let document = |path, id, about| {
        Operation::new("get", path, id, about)
            .gives(200, "The document.", &[(ENVELOPE, envelope())])
            .refuses(&["internal", "not_found", "overloaded"])
    };
    [
        document("/federation/v1/root", "newestRoot", "The newest root."),
        document("/federation/v1/root/{version}", "root", "One root of the chain.").parameter(
            "path",
            "version",
            version(),
            "From 1.",
        ),
        document("/federation/v1/status", "status", "The present status."),
        document(
            "/federation/v1/status/{gateway}/{seq}",
            "keptStatus",
            "The newest status of a peer up to a number, as it was kept here.",
        )
        .parameter(
            "path",
            "gateway",
            json!({"type": "string", "pattern": "^gw1-[a-z2-7]{52}$"}),
            "",
        )
        .parameter("path", "seq", version(), ""),
    ]
}

/// The schemas of the specification that this plane's bodies refer to, as components of one description.
fn schemas() -> Map<String, Value> {
    let mut all = Map::new();
    for name in ["envelope", "operation", "problem-object", "stream-event", "frame"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("../../spec/schemas/{name}.schema.json"));
        let mut schema: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let members = schema.as_object_mut().unwrap();
        members.remove("$schema");
        members.remove("$id");
        let parts = members.remove("$defs");
        relocate(&mut schema, name);
        all.insert(name.to_owned(), schema);
        for (part, mut schema) in parts
            .as_ref()
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(part, schema)| (part, schema.clone()))
        {
            relocate(&mut schema, name);
            all.insert(format!("{name}.{part}"), schema);
        }
    }
    all
}

/// Makes references those of one description. What a text holds is left to `spec/schemas/`.
fn relocate(schema: &mut Value, of: &str) {
    match schema {
        Value::Object(members) => {
            members.remove("contentSchema");
            if let Some(Value::String(target)) = members.get_mut("$ref") {
                let place = match target.strip_prefix("#/$defs/") {
                    Some(part) => format!("{of}.{part}"),
                    None => target.strip_prefix("urn:gfp:1:").unwrap().to_owned(),
                };
                *target = format!("#/components/schemas/{place}");
            }
            members.values_mut().for_each(|value| relocate(value, of));
        }
        Value::Array(values) => values.iter_mut().for_each(|value| relocate(value, of)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::description::compare;
    use super::*;

    #[test]
    fn the_description_is_that_of_the_schemas() {
        compare("federation", &plane());
    }
}
