//! Documents that anybody may read: roots and the present status. They prove themselves.

use http::Response;
use landbridge_proto::machine::contract::DocumentKind;
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::name::GatewayId;

use super::one_envelope;
use crate::core::Core;
use crate::net::ResponseBody;

const ROOT: &str = "/federation/v1/root";
const STATUS: &str = "/federation/v1/status";
pub(crate) const KEPT_STATUS: &str = "/federation/v1/status/";

pub(super) fn is_document(path: &str) -> bool {
    path == ROOT
        || path == STATUS
        || path.starts_with("/federation/v1/root/")
        || path.starts_with(KEPT_STATUS)
}

/// A status of a peer as this gateway kept it: who lost its history sees here what it issued.
//= ID-46
fn kept_status(core: &Core, path: &str) -> Option<Envelope> {
    let (gateway, seq) = path.strip_prefix(KEPT_STATUS)?.split_once('/')?;
    let gateway = GatewayId::new(gateway).ok()?;
    let seq = u64::try_from(parse_version(seq)?).ok()?;
    core.trust.state().peers.get(&gateway)?;
    let kept = core.store.reads().document_upto(&gateway, DocumentKind::Status, seq).ok()??;
    Envelope::parse(kept.envelope.as_bytes()).ok()
}

/// A document; `None` when there is no such one.
//= ID-13
pub(super) fn get(core: &Core, path: &str) -> Option<Response<ResponseBody>> {
    let identity = core.identity.present();
    let chain = identity.chain();
    let root = if path == ROOT {
        chain.last().cloned()
    } else if path == STATUS {
        core.trust.state().status.clone()
    } else if path.starts_with(KEPT_STATUS) {
        kept_status(core, path)
    } else {
        let version = path.strip_prefix("/federation/v1/root/").and_then(parse_version);
        version.and_then(|version| chain.get(version - 1).cloned())
    };
    root.map(|envelope| one_envelope(200, &envelope))
}

/// A version in its one spelling: no sign, no leading zero.
fn parse_version(text: &str) -> Option<usize> {
    let version: usize = text.parse().ok()?;
    (version > 0 && version.to_string() == text).then_some(version)
}
