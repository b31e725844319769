//! JSON with exactly one spelling: RFC 8785, restricted to integers and ASCII member names.
//!
//! Two parsers that disagree about a document are two documents. Duplicate members, `1e3`, `-0`,
//! escapes that need not be escapes and members that nobody knows have all been used to show one
//! thing to a verifier and another to the application. Rejecting each by a rule of its own would miss
//! the next one. Instead a text is accepted only when writing what was read gives the same bytes.

use std::str;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use landbridge_planted::planted;

use super::limit;

/// Why bytes are not JSON in its one allowed spelling, or a value cannot be written in it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidJson {
    /// Begins with a byte order mark.
    #[error("begins with a byte order mark")]
    ByteOrderMark,
    /// A byte sequence that is not UTF-8.
    #[error("not UTF-8 at byte {at}")]
    NotUtf8 {
        /// Offset of the first such byte.
        at: usize,
    },
    /// Nested more deeply than allowed.
    #[error("nested deeper than {max}")]
    TooDeep {
        /// The depth allowed.
        max: usize,
    },
    /// Not JSON at all.
    #[error("not JSON at line {line}, column {column}")]
    NotJson {
        /// Line of the fault, from 1.
        line: usize,
        /// Column of the fault, from 1.
        column: usize,
    },
    /// A number that is not an integer within ±(2^53-1).
    #[error("a number is not an integer within 2^53-1")]
    NotInteger,
    /// A member's name with a character outside ASCII.
    #[error("a member's name is not ASCII")]
    MemberNotAscii,
    /// JSON, and not the one spelling of its value.
    #[error("not in canonical form at byte {at}")]
    NotCanonical {
        /// Offset of the first byte that differs.
        at: usize,
    },
    /// JSON of another shape: a member missing, unknown or of a wrong type.
    #[error("of another shape: {reason}")]
    WrongShape {
        /// What the reader missed or did not know.
        reason: String,
    },
}

/// Reading and writing of the one spelling.
pub mod canonical {
    use super::*;

    /// Writes `value` in its one spelling.
    ///
    /// # Errors
    ///
    /// Returns why the value has none: a float, an integer out of range, a member's name outside
    /// ASCII, or too much nesting.
    pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, InvalidJson> {
        let value = serde_json::to_value(value)
            .map_err(|error| InvalidJson::WrongShape { reason: error.to_string() })?;
        let mut out = Vec::with_capacity(256);
        write_value(&mut out, &value, 0)?;
        Ok(out)
    }

    /// Reads a value from its one spelling.
    ///
    /// # Errors
    ///
    /// Returns the first fault found. Nesting is checked before anything is parsed, so that it costs
    /// nobody a stack.
    pub fn from_slice<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, InvalidJson> {
        let tree = tree(bytes)?;
        let mut again = Vec::with_capacity(bytes.len());
        write_value(&mut again, &tree, 0)?;
        same(bytes, &again)?;
        let value: T = serde_json::from_slice(bytes)
            .map_err(|error| InvalidJson::WrongShape { reason: error.to_string() })?;
        same(bytes, &to_vec(&value)?)?;
        if planted!("no_json_is_read") {
            return Err(InvalidJson::NotCanonical { at: 0 });
        }
        Ok(value)
    }
}

/// Refuses bytes that nest deeper than `max`, without parsing them.
//= ENV-18
pub(crate) fn check_depth(bytes: &[u8], max: usize) -> Result<(), InvalidJson> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for &byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                depth += 1;
                if depth > max {
                    return Err(InvalidJson::TooDeep { max });
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

fn tree(bytes: &[u8]) -> Result<Value, InvalidJson> {
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        return Err(InvalidJson::ByteOrderMark);
    }
    let text =
        str::from_utf8(bytes).map_err(|error| InvalidJson::NotUtf8 { at: error.valid_up_to() })?;
    if !planted!("depth_unchecked") {
        check_depth(bytes, limit::JSON_DEPTH_MAX)?;
    }
    serde_json::from_str(text)
        .map_err(|error| InvalidJson::NotJson { line: error.line(), column: error.column() })
}

//= ENV-16
fn same(given: &[u8], again: &[u8]) -> Result<(), InvalidJson> {
    if given == again || planted!("spelling_unchecked") {
        return Ok(());
    }
    let at = given.iter().zip(again).take_while(|(a, b)| a == b).count();
    Err(InvalidJson::NotCanonical { at })
}

fn write_value(out: &mut Vec<u8>, value: &Value, depth: usize) -> Result<(), InvalidJson> {
    if depth > limit::JSON_DEPTH_MAX {
        return Err(InvalidJson::TooDeep { max: limit::JSON_DEPTH_MAX });
    }
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => match number.as_i64() {
            Some(integer) if integer.unsigned_abs() <= limit::INTEGER_MAX.unsigned_abs() => {
                out.extend_from_slice(integer.to_string().as_bytes());
            }
            _ if planted!("integers_unchecked") => {
                out.extend_from_slice(number.to_string().as_bytes());
            }
            //= ENV-17
            _ => return Err(InvalidJson::NotInteger),
        },
        Value::String(text) => write_string(out, text),
        Value::Array(items) => {
            nest(depth)?;
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_value(out, item, depth + 1)?;
            }
            out.push(b']');
        }
        Value::Object(members) => {
            nest(depth)?;
            write_object(out, members, depth)?;
        }
    }
    Ok(())
}

fn nest(depth: usize) -> Result<(), InvalidJson> {
    if depth >= limit::JSON_DEPTH_MAX {
        return Err(InvalidJson::TooDeep { max: limit::JSON_DEPTH_MAX });
    }
    Ok(())
}

/// Sorts here rather than trusting the map: another crate's feature can make it keep insertion order.
fn write_object(
    out: &mut Vec<u8>,
    members: &Map<String, Value>,
    depth: usize,
) -> Result<(), InvalidJson> {
    let mut members: Vec<_> = members.iter().collect();
    members.sort_unstable_by_key(|(name, _)| name.as_str());
    out.push(b'{');
    for (at, (name, value)) in members.into_iter().enumerate() {
        if !name.is_ascii() {
            return Err(InvalidJson::MemberNotAscii);
        }
        if at > 0 {
            out.push(b',');
        }
        write_string(out, name);
        out.push(b':');
        write_value(out, value, depth + 1)?;
    }
    out.push(b'}');
    Ok(())
}

pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            0..=0x1f => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 0xf)]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        z: i64,
        a: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        m: Option<bool>,
    }

    #[test]
    fn members_are_sorted_and_escapes_are_the_shortest() {
        let sample = Sample { z: -5, a: "\u{1}\n\"\\/é\u{7f}😀".into(), m: None };
        let bytes = canonical::to_vec(&sample).unwrap();
        assert_eq!(
            str::from_utf8(&bytes).unwrap(),
            "{\"a\":\"\\u0001\\n\\\"\\\\/é\u{7f}😀\",\"z\":-5}"
        );
        assert_eq!(canonical::from_slice::<Sample>(&bytes).unwrap(), sample);
    }

    //= ENV-16
    #[test]
    fn every_other_spelling_is_refused() {
        assert!(canonical::from_slice::<Sample>(br#"{"a":"x","z":1000}"#).is_ok());
        assert!(canonical::from_slice::<Sample>(br#"{"a":"x","m":true,"z":0}"#).is_ok());
        let bad: &[&[u8]] = &[
            br#"{"z":1000,"a":"x"}"#,
            br#"{"a":"x","z":1e3}"#,
            br#"{"a":"x","z":-0}"#,
            br#"{"a":"x","z":1.0}"#,
            br#"{"a":"x","z":01}"#,
            br#"{"a":"x","z":"1"}"#,
            br#"{"a":"x","z":9007199254740992}"#,
            br#"{"a":"x","z":-9007199254740992}"#,
            br#"{"a":"x","z":18446744073709551615}"#,
            br#"{"a":"x","z":1e400}"#,
            br#"{"a":"x","z":NaN}"#,
            br#"{"a":"x","a":"y","z":1}"#,
            br#"{"a":"x","\u0061":"y","z":1}"#,
            br#"{"\u0061":"x","z":1}"#,
            br#"{"a":"\u0078","z":1}"#,
            br#"{"a":"\/","z":1}"#,
            br#"{"a":"\ud800","z":1}"#,
            br#"{"a":"\u000A","z":1}"#,
            br#"{"a":"x","b":1,"z":1}"#,
            br#"{"__proto__":1,"a":"x","z":1}"#,
            br#"{"a":"x","m":null,"z":1}"#,
            br#"{"a":"x"}"#,
            br#"{"a":"x","z":1} "#,
            br#" {"a":"x","z":1}"#,
            br#"{"a": "x","z":1}"#,
            b"{\"a\":\"x\",\"z\":1}\0",
            b"{\"a\":\"x\",\"z\":1}\n",
            b"\xEF\xBB\xBF{\"a\":\"x\",\"z\":1}",
            b"{\"a\":\"\xff\",\"z\":1}",
            b"{\"a\":\"\xc0\xaf\",\"z\":1}",
            b"{\"a\":\"\xed\xa0\x80\",\"z\":1}",
            b"",
            b"null",
        ];
        for bytes in bad {
            assert!(
                canonical::from_slice::<Sample>(bytes).is_err(),
                "{}",
                String::from_utf8_lossy(bytes)
            );
        }
    }

    //= ENV-16
    #[test]
    fn a_member_twice_is_refused_also_where_any_member_may_be() {
        assert!(canonical::from_slice::<Value>(br#"{"a":{"b":1,"c":1}}"#).is_ok());
        for bad in [
            br#"{"a":1,"a":1}"#.as_slice(),
            br#"{"a":1,"a":2}"#,
            br#"{"a":{"b":1,"b":1}}"#,
            br#"{"a":[{"b":1,"b":2}]}"#,
            br#"{"a":1,"\u0061":1}"#,
        ] {
            let found = canonical::from_slice::<Value>(bad);
            assert!(matches!(found, Err(InvalidJson::NotCanonical { .. })), "{found:?}");
        }
    }

    //= ENV-19
    #[test]
    fn a_member_that_a_form_forgives_is_refused_all_the_same() {
        /// As a reader that somebody forgot to make strict.
        #[derive(Debug, Deserialize, Serialize)]
        struct Forgiving {
            a: i64,
        }
        assert!(canonical::from_slice::<Forgiving>(br#"{"a":1}"#).is_ok());
        for bad in [
            br#"{"a":1,"b":1}"#.as_slice(),
            br#"{"__proto__":1,"a":1}"#,
            br#"{"a":1,"constructor":{}}"#,
            br#"{"a":1,"jwk":{"kty":"OKP"}}"#,
        ] {
            assert!(canonical::from_slice::<Forgiving>(bad).is_err());
        }
    }

    //= ENV-17
    #[test]
    fn integers_end_at_two_to_the_53() {
        assert!(canonical::from_slice::<Value>(b"9007199254740991").is_ok());
        assert!(canonical::from_slice::<Value>(b"-9007199254740991").is_ok());
        assert_eq!(
            canonical::from_slice::<Value>(b"9007199254740992"),
            Err(InvalidJson::NotInteger)
        );
        assert_eq!(canonical::to_vec(&(1_i64 << 53)), Err(InvalidJson::NotInteger));
        assert_eq!(canonical::to_vec(&0.5), Err(InvalidJson::NotInteger));
    }

    #[test]
    fn names_outside_ascii_are_refused() {
        assert_eq!(
            canonical::from_slice::<Value>("{\"é\":1}".as_bytes()),
            Err(InvalidJson::MemberNotAscii)
        );
    }

    //= ENV-18
    #[test]
    fn depth_is_exact_and_costs_no_stack() {
        let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
        let max = limit::JSON_DEPTH_MAX;
        assert!(canonical::from_slice::<Value>(&nested(max)).is_ok());
        for depth in [max + 1, 10_000, 1_000_000] {
            assert_eq!(
                canonical::from_slice::<Value>(&nested(depth)),
                Err(InvalidJson::TooDeep { max })
            );
            assert_eq!(
                canonical::from_slice::<Value>(&vec![b'['; depth]),
                Err(InvalidJson::TooDeep { max })
            );
        }
        let brackets_in_text = [b"\"".to_vec(), vec![b'['; 100], b"\\\"[\"".to_vec()].concat();
        assert!(canonical::from_slice::<Value>(&brackets_in_text).is_ok());
    }
}
