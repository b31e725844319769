//! The gateway's frames, as far as the bridge reads them.
//!
//! The reader is tolerant on purpose: the gateway belongs to somebody else, gains members with every
//! release, and is trusted with no decision. What is missing or of another shape reads as absent; only
//! what the bridge relies on is asked for by name, in one place.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A frame from the gateway.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum Incoming {
    /// An answer to a request; the method `agent` has two of them.
    Res(Answer),
    /// Something that happened.
    Event(Event),
    /// A frame that this version does not know.
    #[serde(other)]
    Other,
}

/// An answer to a request.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Answer {
    /// The request's id.
    pub id: String,
    /// The gateway did what was asked.
    #[serde(default)]
    pub ok: bool,
    /// What it says.
    #[serde(default)]
    pub payload: Value,
    /// Why it did not.
    #[serde(default)]
    pub error: Option<GatewayError>,
}

/// Why the gateway did not do what was asked. Its text is for the log, never for a peer.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct GatewayError {
    /// The gateway's code, such as `FORBIDDEN`.
    #[serde(default)]
    pub code: String,
    /// The gateway's sentence.
    #[serde(default)]
    pub message: String,
    /// More, by code.
    #[serde(default)]
    pub details: Value,
}

impl GatewayError {
    /// The finer code inside the details, or an empty text.
    #[must_use]
    pub fn detail_code(&self) -> &str {
        text(&self.details, "/code")
    }
}

/// Something that happened at the gateway.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Event {
    /// Its name.
    pub event: String,
    /// What it says.
    #[serde(default)]
    pub payload: Value,
    /// The connection's own count, without gaps unless a frame was dropped.
    #[serde(default)]
    pub seq: Option<u64>,
}

/// A request to the gateway.
#[derive(Debug, Serialize)]
pub(crate) struct Request<'a, P> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    method: &'a str,
    params: &'a P,
}

impl<'a, P: Serialize> Request<'a, P> {
    pub(crate) const fn new(id: &'a str, method: &'a str, params: &'a P) -> Self {
        Self { kind: "req", id, method, params }
    }
}

/// What the gateway says of itself when it lets the bridge in.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Hello {
    /// The protocol that was agreed.
    pub protocol: u64,
    /// The gateway's version.
    pub version: String,
    /// Changes with every start of the gateway.
    pub boot: String,
    /// The scopes of this connection.
    pub scopes: Vec<String>,
    /// Milliseconds between two ticks.
    pub tick_interval_ms: u64,
    /// The largest frame the gateway takes.
    pub payload_bytes_max: u64,
}

impl Hello {
    /// Reads the payload of the answer to `connect`.
    pub(crate) fn read(payload: &Value) -> Self {
        let number = |pointer: &str| payload.pointer(pointer).and_then(Value::as_u64);
        Self {
            protocol: number("/protocol").unwrap_or_default(),
            version: text(payload, "/server/version").to_owned(),
            boot: text(payload, "/server/bootId").to_owned(),
            scopes: texts(payload, "/auth/scopes"),
            tick_interval_ms: number("/policy/tickIntervalMs").unwrap_or(30_000),
            payload_bytes_max: number("/policy/maxPayload").unwrap_or(25 * 1024 * 1024),
        }
    }
}

/// The text at a JSON pointer, or an empty one.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The texts of the list at a JSON pointer.
pub(crate) fn texts(value: &Value, pointer: &str) -> Vec<String> {
    list(value, pointer).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The list at a JSON pointer, or an empty one.
pub(crate) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The flag at a JSON pointer, down when absent.
pub(crate) fn flag(value: &Value, pointer: &str) -> bool {
    value.pointer(pointer).and_then(Value::as_bool).unwrap_or_default()
}

/// The whole number at a JSON pointer; the gateway writes some as floats.
pub(crate) fn number(value: &Value, pointer: &str) -> Option<u64> {
    let value = value.pointer(pointer)?;
    value.as_u64().or_else(|| {
        let float = value.as_f64().filter(|float| float.is_finite() && *float >= 0.0)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked; the cast saturates"
        )]
        Some(float as u64)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    #[test]
    fn unknown_frames_and_members_are_tolerated() {
        let frame: Incoming = serde_json::from_str(r#"{"type":"hint","x":1}"#).unwrap();
        assert!(matches!(frame, Incoming::Other));
        let frame: Incoming = serde_json::from_str(
            r#"{"type":"res","id":"1","ok":false,"new":[1],"error":{"code":"X","retryable":true}}"#,
        )
        .unwrap();
        let Incoming::Res(answer) = frame else { panic!("an answer") };
        assert_eq!(answer.error.unwrap().code, "X");
    }

    #[test]
    fn wrong_shapes_read_as_absent() {
        let value = serde_json::json!({"a": 3, "b": [1, "two"], "c": 2.0, "d": -1});
        assert_eq!(text(&value, "/a"), "");
        assert_eq!(texts(&value, "/b"), ["two"]);
        assert_eq!(number(&value, "/c"), Some(2));
        assert_eq!(number(&value, "/d"), None);
    }
}
