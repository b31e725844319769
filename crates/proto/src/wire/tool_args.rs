//! The arguments of a direct tool call: one JSON object that every reader reads the same way.
//!
//! They are free-form, so they travel as a text inside a control document. Whoever judges that text (a
//! grant's owner, an auditor) and whoever executes it are different parsers: a member that stands there
//! twice, or a number that one of them cannot hold, would show them different calls. So a text that
//! leaves room for that is no arguments at all.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use landbridge_planted::planted;

use super::json::check_depth;
use super::limit;

/// JSON text of one object, without duplicate members.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ToolArgs(String);

/// Why a text is not the arguments of a tool call.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidToolArgs {
    /// More bytes, or deeper, than the contract allows.
    #[error(
        "tool arguments are at most {} bytes and {} deep",
        limit::TOOL_ARGS_BYTES_MAX,
        limit::JSON_DEPTH_MAX
    )]
    TooLarge,
    /// Not the JSON text of one object, or one that parsers could read differently.
    #[error("tool arguments are the JSON text of one object: {0}")]
    NotAnObject(String),
}

impl ToolArgs {
    /// Checks a text.
    ///
    /// # Errors
    ///
    /// Returns the first fault found.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidToolArgs> {
        let text = text.into();
        //= REQ-40
        if text.len() > limit::TOOL_ARGS_BYTES_MAX
            || check_depth(text.as_bytes(), limit::JSON_DEPTH_MAX).is_err()
        {
            return Err(InvalidToolArgs::TooLarge);
        }
        match serde_json::from_str(&text) {
            Ok(Strict::Object) => Ok(Self(text)),
            Ok(Strict::Other) => {
                Err(InvalidToolArgs::NotAnObject("it is something else".to_owned()))
            }
            Err(error) => Err(InvalidToolArgs::NotAnObject(error.to_string())),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ToolArgs {
    type Error = InvalidToolArgs;

    fn try_from(text: String) -> Result<Self, InvalidToolArgs> {
        Self::new(text)
    }
}

impl From<ToolArgs> for String {
    fn from(args: ToolArgs) -> Self {
        args.0
    }
}

/// A JSON value that was read to its end and keeps nothing but what it is.
enum Strict {
    Object,
    Other,
}

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Strict, E> {
        Ok(Strict::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Strict, E> {
        Ok(Strict::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Strict, E> {
        Ok(Strict::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Strict, E> {
        Ok(Strict::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Strict, E> {
        Ok(Strict::Other)
    }

    fn visit_unit<E>(self) -> Result<Strict, E> {
        Ok(Strict::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Strict, A::Error> {
        while items.next_element::<Strict>()?.is_some() {}
        Ok(Strict::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Strict, A::Error> {
        let mut names = BTreeSet::new();
        while let Some(name) = members.next_key::<String>()? {
            members.next_value::<Strict>()?;
            //= REQ-40
            if !planted!("duplicate_tool_args") && !names.insert(name) {
                return Err(A::Error::custom("a member stands there twice"));
            }
        }
        if planted!("no_arguments_are_read") {
            return Err(A::Error::custom("no arguments are good"));
        }
        Ok(Strict::Object)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    //= REQ-40
    #[test]
    fn arguments_are_one_object_that_every_parser_reads_alike() {
        for good in [
            "{}",
            r#" { "a" : [1, {"b": null}], "ä": -0.5e3, "c": "\u00e4\ud83e\udd9e" } "#,
            r#"{"id":123456789012345678901234567890}"#,
            r#"{"a":{"x":1},"b":{"x":1}}"#,
        ] {
            assert_eq!(ToolArgs::new(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "null",
            "[]",
            "[{}]",
            r#""{}""#,
            "3",
            "{} {}",
            "{}x",
            "{a:1}",
            r#"{"a":1,}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"b":[{"a":1,"a":1}]}"#,
            r#"{"a":1e400}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":NaN}"#,
            "\u{feff}{}",
        ] {
            assert!(ToolArgs::new(bad).is_err(), "{bad}");
            assert!(serde_json::from_value::<ToolArgs>(bad.into()).is_err(), "{bad}");
        }
    }

    //= REQ-40
    #[test]
    fn the_limits_are_exact() {
        let long = |bytes: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - 8));
        assert_eq!(long(100).len(), 100);
        assert!(ToolArgs::new(long(limit::TOOL_ARGS_BYTES_MAX)).is_ok());
        let larger = ToolArgs::new(long(limit::TOOL_ARGS_BYTES_MAX + 1));
        assert_eq!(larger, Err(InvalidToolArgs::TooLarge));
        let deep = |levels: usize| {
            let inner = levels - 1;
            format!(r#"{{"a":{}{}}}"#, "[".repeat(inner), "]".repeat(inner))
        };
        assert!(ToolArgs::new(deep(limit::JSON_DEPTH_MAX)).is_ok());
        assert_eq!(ToolArgs::new(deep(limit::JSON_DEPTH_MAX + 1)), Err(InvalidToolArgs::TooLarge));
    }
}
