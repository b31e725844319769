//! The schema of a request: its body's form depends on its operation.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use super::{Nothing, Op, RawRequest, RawTarget, Request, Start};

impl JsonSchema for Request {
    fn schema_name() -> Cow<'static, str> {
        "Request".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = RawRequest::json_schema(generator);
        let bodies = Op::ALL.map(|op| {
            let body = match op {
                Op::Start => generator.subschema_for::<Start>(),
                Op::Attach => target(generator, "attach", &["after"], &["reason"]),
                Op::Cancel => target(generator, "cancel", &[], &["after"]),
                Op::Inspect => target(generator, "inspect", &[], &["after", "reason"]),
                Op::Catalog => Nothing::json_schema(generator),
            };
            let op = serde_json::to_value(op).unwrap();
            json!({
                "if": {"properties": {"op": {"const": op}}, "required": ["op"]},
                "then": {"properties": {"body": body}},
            })
        });
        schema.insert("description".to_owned(), "A signed request.".into());
        schema.insert("allOf".to_owned(), bodies.to_vec().into());
        schema
    }
}

/// A body that names a run, and has some members more.
fn target(
    generator: &mut SchemaGenerator,
    name: &str,
    needed: &[&str],
    without: &[&str],
) -> Schema {
    let mut schema = RawTarget::json_schema(generator);
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut).unwrap();
    properties.retain(|member, _| !without.contains(&member.as_str()));
    schema.insert("description".to_owned(), format!("The body of `op: {name}`.").into());
    if !needed.is_empty() {
        schema.insert("required".to_owned(), needed.into());
    }
    let one = ["idempotencyKey", "run"].map(|member| json!({"required": [member]}));
    schema.insert("oneOf".to_owned(), one.to_vec().into());
    schema
}
