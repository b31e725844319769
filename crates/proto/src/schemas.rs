//! The JSON Schemas of `spec/schemas/`, made from the types that read the wire. `BLESS=1` writes them anew.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::machine::operation::Operation;
use crate::trust::pairing::Invite;
use crate::wire::approval::{self, Decision};
use crate::wire::document::{Status, raw};
use crate::wire::envelope::Envelope;
use crate::wire::kind::{Kind, PayloadKind};
use crate::wire::limit;
use crate::wire::problem::Problem;
use crate::wire::request::{self, Answer, Receipt, Refusal, Start};
use crate::wire::schema::{envelope, id};
use crate::wire::stream::{Accept, Event, Seal};
use crate::wire::{approval_record, evidence, transcript};

/// Written by hand, about files that are not of the wire.
const BY_HAND: &str = "federation-block";

/// Every schema, with its name and title.
fn all() -> BTreeMap<&'static str, Value> {
    let payloads = [
        made::<raw::Root>(Kind::Root.as_str(), "Root"),
        made::<raw::Status>(Kind::Status.as_str(), "Status"),
        made::<raw::Federation>(Kind::Federation.as_str(), "Federation document"),
        made::<raw::Membership>(Kind::Membership.as_str(), "Membership"),
        made::<raw::PairingRequest>(Kind::Pairing.as_str(), "Pairing"),
        made::<raw::Admission>(Kind::Admission.as_str(), "Admission"),
        made::<request::Request>(Kind::Request.as_str(), "Request"),
        made::<Accept>(Kind::Accept.as_str(), "Accept"),
        made::<Seal>(Kind::Seal.as_str(), "Seal"),
        made::<Answer>(Kind::Answer.as_str(), "Answer"),
        made::<Refusal>(Kind::Problem.as_str(), "Signed problem"),
        made::<Receipt>(Kind::Receipt.as_str(), "Receipt"),
        made::<approval::raw::Catalog>(Kind::Catalog.as_str(), "Catalog"),
        made::<approval::raw::OperatorCredential>(
            Kind::OperatorCredential.as_str(),
            "Operator credential",
        ),
        made::<approval::raw::ApprovalRequest>(Kind::ApprovalRequest.as_str(), "Approval request"),
        made::<approval::raw::Approval>(Kind::Approval.as_str(), "Approval"),
    ];
    assert_eq!(payloads.len(), Kind::ALL.len(), "each kind has a schema");
    let others = [
        made::<Envelope>("envelope", "Envelope"),
        made::<Decision>("decision", "Decision"),
        made::<Operation>("operation", "Body of an operation"),
        made::<Start>("start", "Body of a start"),
        made::<Problem>("problem-object", "Problem"),
        made::<Frame>("frame", "Frame"),
        made::<StreamEvent>("stream-event", "Event of a stream"),
        made::<transcript::Line>("transcript-line", "Line of a transcript"),
        made::<evidence::Line>("evidence-line", "Line of evidence"),
        made::<approval_record::Line>("approval-record-line", "Line of an approval's record"),
        made::<Invite>("invite", "Document of an invite"),
    ];
    payloads.into_iter().chain(others).collect()
}

fn made<T: JsonSchema>(name: &'static str, title: &str) -> (&'static str, Value) {
    let generator = SchemaGenerator::new(SchemaSettings::draft2020_12());
    let mut schema = generator.into_root_schema_for::<T>();
    RecursiveTransform(exact).transform(&mut schema);
    schema.insert("$id".to_owned(), id(name).into());
    schema.insert("title".to_owned(), title.into());
    (name, schema.into())
}

/// Says of each schema what holds everywhere: no member beyond those named, no null, no integer beyond the limit.
fn exact(schema: &mut Schema) {
    let Some(members) = schema.as_object_mut() else { return };
    members.remove("default");
    members.remove("format");
    if let Some(Value::String(text)) = members.get_mut("description") {
        *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    if let Some(Value::Array(types)) = members.get_mut("type") {
        types.retain(|word| word != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            members.insert("type".to_owned(), one);
        }
    }
    if let Some(Value::Array(choices)) = members.get_mut("anyOf") {
        choices.retain(|choice| *choice != json!({"type": "null"}));
        if let [Value::Object(one)] = choices.as_slice() {
            let one = one.clone();
            members.remove("anyOf");
            for (name, value) in one {
                members.entry(name).or_insert(value);
            }
        }
    }
    if members.get("type") == Some(&json!("integer")) {
        members.entry("minimum").or_insert_with(|| (-limit::INTEGER_MAX).into());
        members.insert(
            "maximum".to_owned(),
            members.get("maximum").map_or_else(|| limit::INTEGER_MAX.into(), Value::clone),
        );
    }
    let is_object = members.get("type") == Some(&json!("object"));
    if is_object && members.contains_key("properties") && !members.contains_key("patternProperties")
    {
        members.entry("additionalProperties").or_insert_with(|| false.into());
    }
}

/// A frame: number, event and payload. An event that this version does not know has any payload.
struct Frame;

impl JsonSchema for Frame {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Frame".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let events = Event::json_schema(generator);
        let ext =
            json!({"type": "object", "description": "Members that this version does not know."});
        let mut rules = Vec::new();
        for event in events.get("oneOf").and_then(Value::as_array).unwrap() {
            let parts = &event["properties"];
            let word = parts["event"]["const"].as_str().unwrap();
            let name = format!("payload-{word}");
            let mut payload = parts["payload"].clone();
            let referred = payload["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/"));
            // A problem has no room for members of later versions; the payloads of events have.
            if let Some(own) = referred.filter(|name| *name != "Problem").map(str::to_owned) {
                let shared = generator.definitions()[&own].clone();
                if own != "Usage" {
                    generator.definitions_mut().remove(&own);
                }
                payload = shared;
            }
            if let Some(Value::Object(members)) = payload.get_mut("properties") {
                members.insert("ext".to_owned(), ext.clone());
            }
            if let Some(text) = event.get("description") {
                payload["description"] = text.clone();
            }
            rules.push(json!({
                "if": {"properties": {"event": {"const": word}}},
                "then": {"properties": {"payload": {"$ref": format!("#/$defs/{name}")}}},
            }));
            generator.definitions_mut().insert(name, payload);
        }
        json_schema!({
            "description": "One event of a run, as its line says it: members in the order `seq`, `event`, `payload`. An event of another name has any payload.",
            "type": "object",
            "required": ["seq", "event", "payload"],
            "properties": {
                "seq": {"description": "Its number, from 1.", "type": "integer", "minimum": 1},
                "event": {"description": "The event's name, known or not.", "type": "string"},
                "payload": {"description": "What is told.", "type": "object"},
            },
            "allOf": rules,
        })
    }
}

/// An event of a stream with each line of its `data` read as JSON.
struct StreamEvent;

impl JsonSchema for StreamEvent {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "StreamEvent".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        fn one<K: PayloadKind>(event: &str, generator: &mut SchemaGenerator) -> Schema {
            let data = envelope::<K>(generator);
            json_schema!({
                "type": "object",
                "required": ["event", "data"],
                "properties": {
                    "event": {"const": event},
                    "data": {"type": "array", "minItems": 1, "maxItems": 1, "items": data},
                },
            })
        }
        let seal = envelope::<Seal>(generator);
        let frames = json_schema!({
            "type": "object",
            "required": ["id", "event", "data"],
            "properties": {
                "id": {"type": "integer", "minimum": 1},
                "event": {"const": "frames"},
                "data": {
                    "description": "1 to 64 frames, and the seal behind them.",
                    "type": "array",
                    "minItems": 2,
                    "maxItems": limit::BATCH_FRAMES_MAX + 1,
                    "items": {"anyOf": [{"$ref": id("frame")}, seal]},
                    "contains": seal,
                    "maxContains": 1,
                },
            },
        });
        let choices = [
            one::<Accept>("accept", generator),
            one::<Status>("status", generator),
            frames,
            one::<Seal>("alive", generator),
            one::<Refusal>("problem", generator),
        ];
        json_schema!({
            "description": "One event of a stream: its fields `id` and `event`, and each line of its `data`, read as JSON.",
            "oneOf": choices,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use serde_json::Value;

    use super::{BY_HAND, all};

    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/schemas")
    }

    fn text(schema: &Value) -> String {
        serde_json::to_string_pretty(schema).unwrap() + "\n"
    }

    #[test]
    fn the_schemas_of_the_specification_are_those_of_the_types() {
        let file = |name: &str| folder().join(format!("{name}.schema.json"));
        let all = all();
        if std::env::var_os("BLESS").is_some() {
            for (name, schema) in &all {
                fs::write(file(name), text(schema)).unwrap();
            }
        }
        for (name, schema) in &all {
            let found = fs::read_to_string(file(name)).unwrap_or_default();
            assert_eq!(found, text(schema), "{name}: run this test with BLESS=1");
        }
        let entries = fs::read_dir(folder()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        for name in names {
            let Some(name) = name.strip_suffix(".schema.json") else { continue };
            assert!(
                name == BY_HAND || all.contains_key(name),
                "{name}: no type is behind this schema"
            );
        }
    }
}
