//! The parts of JSON Schema that derives cannot know: alphabets, texts that hold bytes, and rules between members.
//!
//! Only tests build it: `crate::schemas` writes what comes of it to `spec/schemas/`, and what depends on this crate
//! describes with it what it says of its own (the feature `schemas`).

#![allow(clippy::expect_used, reason = "tests")]

use std::borrow::Cow;
use std::fmt::Write as _;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::digest::Digest;
use super::document::{EndpointUrl, FormVersion, RoleHolders};
use super::envelope::Envelope;
use super::key::PublicKey;
use super::kind::{Kind, PayloadKind, Role};
use super::limit;
use super::name::ScopeName;
use super::problem::Code;
use super::sse::FrameLine;
use super::tool_args::ToolArgs;

/// A text without the control characters that JSON escapes.
pub(crate) const NO_CONTROLS: &str = r"^[^\u0000-\u001f]*$";
/// Standard base64 in its one spelling.
const BASE64: &str =
    "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$";
/// 64 bytes in it.
const SIGNATURE: &str = "^[A-Za-z0-9+/]{85}[AQgw]==$";
/// 32 bytes in base64url.
const BYTES_32: &str = "^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$";
/// An uncompressed point of P-256 in base64url.
const POINT: &str = "^B[A-P][A-Za-z0-9_-]{84}[AEIMQUYcgkosw048]$";
const URL: &str = concat!(
    r"^https://(?:",
    r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*",
    r"|\[[0-9a-f:.]+\])",
    r"(?::(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?$",
);
const OBJECT_TEXT: &str = r"^[ \t\n\r]*\{[\s\S]*\}[ \t\n\r]*$";

/// How a kind is called in `$id`.
pub(crate) fn id(name: &str) -> String {
    format!("urn:gfp:1:{name}")
}

/// A name: its pattern comes from the very rule that judges it.
pub(crate) fn name(
    doc: &[&str],
    min: usize,
    max: usize,
    allowed: impl Fn(usize, u8, &str) -> bool,
) -> Schema {
    let class_at = |at| class(&(0..128).filter(|&byte| allowed(at, byte, "")).collect::<Vec<_>>());
    let last = class_at(max - 1);
    let mut head: Vec<_> = (0..max).map(class_at).collect();
    let rest = head.iter().rev().take_while(|class| **class == last).count();
    head.truncate(max - rest);
    let many = match (min.saturating_sub(head.len()), rest) {
        (least, most) if least == most => format!("{{{most}}}"),
        (least, most) => format!("{{{least},{most}}}"),
    };
    let pattern = format!("^{}{last}{many}$", head.concat());
    let mut schema =
        json_schema!({"type": "string", "minLength": min, "maxLength": max, "pattern": pattern});
    schema.insert("description".to_owned(), description(doc).into());
    schema
}

/// The text of documentation as `stringify!` shows it: `doc = r" A text."`.
fn description(doc: &[&str]) -> String {
    let line = |attribute: &&str| {
        let (_, text) = attribute.split_once('"').expect("a text");
        text.trim_end_matches(['"', '#']).replace("\\'", "'").trim().to_owned()
    };
    doc.iter().map(line).collect::<Vec<_>>().join(" ")
}

/// A character class, ranges where three or more characters follow each other.
fn class(bytes: &[u8]) -> String {
    let escaped = |byte: u8| match byte {
        b'-' | b']' | b'[' | b'\\' | b'^' => format!("\\{}", char::from(byte)),
        byte => char::from(byte).to_string(),
    };
    if let [one] = bytes {
        return match one {
            b'-' => "-".to_owned(),
            &byte => escaped(byte),
        };
    }
    let mut out = String::from("[");
    for run in bytes.chunk_by(|one, next| one + 1 == *next) {
        match run {
            [first, _, .., last] => {
                let _ = write!(out, "{}-{}", escaped(*first), escaped(*last));
            }
            few => out.extend(few.iter().map(|&byte| escaped(byte))),
        }
    }
    out + "]"
}

/// A time of which a document must not say that it lies before 1970.
pub(crate) fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "minimum": 0})
}

/// A member that stands there only when it is true.
pub(crate) fn only_true(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"const": true})
}

pub(crate) fn anything(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object"})
}

pub(crate) fn base64(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": BASE64, "contentEncoding": "base64"})
}

pub(crate) fn signature(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": SIGNATURE, "contentEncoding": "base64"})
}

pub(crate) fn digest(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<Digest>()
}

/// A problem's code. The registry stands there as examples: a reader does not refuse what it does not know.
pub(crate) fn code(_: &mut SchemaGenerator) -> Schema {
    let registry: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    json_schema!({"type": "string", "examples": registry})
}

/// Who may sign what, with the roles that every gateway needs.
pub(crate) fn roles(generator: &mut SchemaGenerator) -> Schema {
    let holders = generator.subschema_for::<RoleHolders>();
    let roles = Role::ALL.map(|role| (role.as_str().to_owned(), holders.clone().into()));
    let optional = [Role::Catalog, Role::OperatorCa];
    let needed = Role::ALL.iter().filter(|role| !optional.contains(role));
    let needed: Vec<_> = needed.map(|role| role.as_str()).collect();
    json_schema!({
        "type": "object",
        "required": needed,
        "properties": serde_json::Map::from_iter(roles),
    })
}

/// A scope that may be projected.
pub(crate) fn unreserved_scope(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = generator.subschema_for::<ScopeName>();
    schema.insert("not".to_owned(), serde_json::json!({"pattern": r"^operator(?:\.|$)"}));
    schema
}

/// The payload of any envelope.
pub(crate) fn any_payload(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = base64(generator);
    let max = limit::REQUEST_BYTES_MAX.div_ceil(3) * 4;
    schema.insert("contentMediaType".to_owned(), "application/json".into());
    schema.insert("maxLength".to_owned(), max.into());
    schema
}

/// The payload of an envelope of one kind.
pub(crate) fn payload<K: PayloadKind>(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = any_payload(generator);
    schema.insert("maxLength".to_owned(), (K::BYTES_MAX.div_ceil(3) * 4).into());
    schema.insert("contentSchema".to_owned(), serde_json::json!({"$ref": id(K::KIND.as_str())}));
    schema
}

pub(crate) fn any_payload_type(_: &mut SchemaGenerator) -> Schema {
    // An approval is signed by a person: it has a container of its own.
    let kinds = Kind::ALL.iter().filter(|kind| **kind != Kind::Approval);
    let types: Vec<_> = kinds.map(|kind| kind.payload_type()).collect();
    json_schema!({"enum": types})
}

pub(crate) fn payload_type<K: PayloadKind>(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"const": K::KIND.payload_type()})
}

/// An envelope of one kind.
pub(crate) fn envelope<K: PayloadKind>(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = generator.subschema_for::<Envelope>();
    let payload = serde_json::json!({
        "contentSchema": {"$ref": id(K::KIND.as_str())},
        "maxLength": K::BYTES_MAX.div_ceil(3) * 4,
    });
    let properties = serde_json::json!({
        "payload": payload,
        "payloadType": {"const": K::KIND.payload_type()},
    });
    schema.insert("properties".to_owned(), properties);
    schema
}

pub(crate) fn envelopes<K: PayloadKind>(generator: &mut SchemaGenerator) -> Schema {
    let one = envelope::<K>(generator);
    json_schema!({"type": "array", "items": one})
}

pub(crate) fn any_envelopes(generator: &mut SchemaGenerator) -> Schema {
    let one = generator.subschema_for::<Envelope>();
    json_schema!({"type": "array", "items": one})
}

/// What an operation asks: a request, or the like of it.
pub(crate) fn any_request(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = generator.subschema_for::<Envelope>();
    let types = [Kind::Request, Kind::Pairing, Kind::Admission].map(Kind::payload_type);
    let properties = serde_json::json!({"payloadType": {"enum": types}});
    schema.insert("properties".to_owned(), properties);
    schema
}

/// An envelope as a text inside a frame.
pub(crate) fn envelope_text(_: &mut SchemaGenerator) -> Schema {
    text_of("envelope")
}

pub(crate) fn start_text(_: &mut SchemaGenerator) -> Schema {
    text_of("start")
}

fn text_of(name: &str) -> Schema {
    json_schema!({
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": {"$ref": id(name)},
    })
}

pub(crate) fn labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "minProperties": 1,
        "maxProperties": limit::LABELS_MAX,
        "propertyNames": {"pattern": "^[A-Za-z0-9._/-]+$", "maxLength": limit::LABEL_NAME_BYTES_MAX},
        "additionalProperties": {"type": "string", "maxLength": limit::LABEL_VALUE_BYTES_MAX},
    })
}

macro_rules! texts {
    ($($type:ident, $description:literal, $schema:tt;)*) => {$(
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let mut schema = json_schema!($schema);
                schema.insert("description".to_owned(), $description.into());
                schema
            }
        }
    )*};
}

texts! {
    Digest, "A SHA-256 digest: 32 bytes in base64url without padding.",
        {"type": "string", "pattern": BYTES_32, "minLength": 43, "maxLength": 43};
    PublicKey, "An Ed25519 public key: 32 bytes in base64url without padding.",
        {"type": "string", "pattern": BYTES_32, "minLength": 43, "maxLength": 43};
    EndpointUrl, "`https://host` or `https://host:port`, in lower case, and nothing after it.",
        {"type": "string", "pattern": URL, "maxLength": limit::URL_BYTES_MAX};
    FormVersion, "The form's version: 1.", {"type": "integer", "const": 1};
    FrameLine, "The exact bytes of one frame: one line without control characters.", {
        "type": "string",
        "minLength": 1,
        "maxLength": limit::FRAME_BYTES_MAX,
        "pattern": r"^[^\u0000-\u001f]+$",
        "contentMediaType": "application/json",
        "contentSchema": {"$ref": id("frame")},
    };
    ToolArgs, "The arguments of a tool call: the JSON text of one object, no member of which stands there twice.", {
        "type": "string",
        "maxLength": limit::TOOL_ARGS_BYTES_MAX,
        "pattern": OBJECT_TEXT,
        "contentMediaType": "application/json",
    };
}

/// Rules between the members of one object.
pub(crate) mod rule {
    use serde_json::{Value, json};

    use super::{BYTES_32, POINT};
    use crate::wire::approval::OPERATORS_AGENT;

    fn absent(name: &str) -> Value {
        json!({"not": {"required": [name]}})
    }

    fn is(name: &str, value: &str) -> Value {
        json!({"properties": {name: {"const": value}}, "required": [name]})
    }

    /// Exactly the first root has no predecessor.
    pub(crate) fn root() -> Value {
        json!([{
            "if": {"properties": {"version": {"const": 1}}},
            "then": absent("prev"),
            "else": {"required": ["prev"]},
        }])
    }

    /// Agents, modes and tools fit what may be asked.
    pub(crate) fn grant() -> Value {
        let asks = |words: &[&str]| json!({"properties": {"asks": {"contains": {"enum": words}}}});
        let some = |name: &str| json!({"properties": {name: {"minItems": 1}}});
        json!([
            {"if": asks(&["prompt", "toolCall"]), "then": some("agents")},
            {"if": asks(&["prompt"]), "then": some("modes")},
            {
                "if": asks(&["toolCall"]),
                "then": some("tools"),
                "else": {"properties": {"tools": {"maxItems": 0}}},
            },
        ])
    }

    /// The members of an operator's key are those of its kind.
    pub(crate) fn operator_key() -> Value {
        json!([
            {
                "if": is("kind", "ssh_sk"),
                "then": {"required": ["application"]},
                "else": absent("application"),
            },
            {
                "if": is("kind", "webauthn"),
                "then": {"required": ["origins", "rp_id"]},
                "else": {
                    "properties": {"alg": {"const": "ed25519"}},
                    "allOf": [absent("origins"), absent("rp_id")],
                },
            },
            {
                "if": is("alg", "es256"),
                "then": {"properties": {"pub": {"pattern": POINT}}},
                "else": {"properties": {"pub": {"pattern": BYTES_32}}},
            },
        ])
    }

    /// Exactly one thing is asked, of an agent and in a mode that go with it.
    pub(crate) fn start() -> Value {
        let asks = ["approvalGrant", "approvalRequest", "prompt", "toolCall"];
        let one_of: Vec<_> = asks.iter().map(|ask| json!({"required": [ask]})).collect();
        let fresh = json!({"mode": {"const": "session"}});
        let operators = json!({"agent": {"const": OPERATORS_AGENT}, "mode": {"const": "session"}});
        let target =
            |properties| json!({"properties": {"agentTarget": {"properties": properties}}});
        json!([
            {"oneOf": one_of},
            {"if": {"required": ["toolCall"]}, "then": target(fresh)},
            {
                "if": {"anyOf": [{"required": ["approvalGrant"]}, {"required": ["approvalRequest"]}]},
                "then": target(operators),
            },
        ])
    }

    /// An end other than success says why.
    pub(crate) fn terminal() -> Value {
        json!([{"if": is("outcome", "succeeded"), "else": {"required": ["problem"]}}])
    }

    /// A session is named exactly when the mode is not a fresh one.
    pub(crate) fn agent_target() -> Value {
        json!([{"if": is("mode", "session"), "then": absent("session"), "else": {"required": ["session"]}}])
    }
}
