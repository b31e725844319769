//! Documents that anybody may read: roots and the present status. They prove themselves.

use http::Response;
use landbridge_proto::wire::problem::{Code, Problem};

use super::{one_envelope, unsigned};
use crate::core::Core;
use crate::net::ResponseBody;

const ROOT: &str = "/federation/v1/root";
const STATUS: &str = "/federation/v1/status";

pub(super) fn is_document(path: &str) -> bool {
    path == ROOT || path == STATUS || path.starts_with("/federation/v1/root/")
}

//= ID-13
pub(super) fn get(core: &Core, path: &str) -> Response<ResponseBody> {
    let chain = core.identity.chain();
    let root = if path == ROOT {
        chain.last().cloned()
    } else if path == STATUS {
        core.trust.state().status.clone()
    } else {
        let version = path.strip_prefix("/federation/v1/root/").and_then(parse_version);
        version.and_then(|version| chain.get(version - 1).cloned())
    };
    match root {
        Some(envelope) => one_envelope(200, &envelope),
        None => unsigned(&Problem::new(Code::NotFound)),
    }
}

/// A version in its one spelling: no sign, no leading zero.
fn parse_version(text: &str) -> Option<usize> {
    let version: usize = text.parse().ok()?;
    (version > 0 && version.to_string() == text).then_some(version)
}
