//! Bytes.
pub mod approval;
pub mod approval_record;
pub mod base64;
pub mod digest;
pub mod document;
pub mod envelope;
pub mod evidence;
pub mod json;
pub mod key;
pub mod kind;
pub mod limit;
pub mod name;
pub mod problem;
pub mod request;
#[cfg(any(test, feature = "schemas"))]
pub(crate) mod schema;
pub mod sse;
pub mod stream;
pub mod tool_args;
pub mod transcript;
