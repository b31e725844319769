//! stub
use serde::{Deserialize, Serialize};
/// A SHA-256 digest.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Digest(pub [u8; 32]);
