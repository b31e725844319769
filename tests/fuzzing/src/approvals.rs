//! What other gateways' operators decide, and the records of it.
//!
//! The honest ones are those of the vectors, which another program made.

use std::sync::OnceLock;

use landbridge_proto::machine::approval_record;
use landbridge_proto::trust::approval::{Question, check_catalog, judge, said};
use landbridge_proto::trust::peer::PeerView;
use landbridge_proto::trust::root::TrustedRoot;
use landbridge_proto::trust::verified::{Verified, verify};
use landbridge_proto::wire::approval::{ApprovalRequest, Decision, Projection};
use landbridge_proto::wire::approval_record::ApprovalReader;
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::kind::Role;
use landbridge_proto::wire::name::{GatewayId, TenantId, Timestamp};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const DECISION: &str = include_str!("../../../vectors/approvals/whole.json");
const CATALOG: &str = include_str!("../../../vectors/catalogs/whole.json");

/// A question of one gateway's, and what another one and its operator signed.
pub(crate) struct Honest {
    deciding: PeerView,
    request: Verified<ApprovalRequest>,
    projections: Vec<Projection>,
    now: Timestamp,
    pub(crate) decision: Decision,
    relying: Envelope,
    status: Envelope,
    catalogs: Catalogs,
}

struct Catalogs {
    deciding: PeerView,
    tenant: TenantId,
    now: Timestamp,
    catalog: Envelope,
}

pub(crate) fn honest() -> &'static Honest {
    static HONEST: OnceLock<Honest> = OnceLock::new();
    HONEST.get_or_init(make)
}

fn get<T: DeserializeOwned>(value: &Value, member: &str) -> T {
    serde_json::from_value(value[member].clone()).unwrap()
}

fn view(value: &Value) -> PeerView {
    let roots: Vec<Envelope> = get(value, "roots");
    let view = PeerView::new(TrustedRoot::introduced(&roots[0]).unwrap());
    view.with_status(&get(value, "status"), get(value, "now")).unwrap()
}

fn make() -> Honest {
    let (whole, other): (Value, Value) =
        (serde_json::from_str(DECISION).unwrap(), serde_json::from_str(CATALOG).unwrap());
    let now = get(&whole, "now");
    let relying = get::<Vec<Envelope>>(&whole, "relying").swap_remove(0);
    let root = TrustedRoot::introduced(&relying).unwrap();
    let request = verify(&get(&whole, "request"), root.keys(Role::Request).unwrap(), now).unwrap();
    Honest {
        deciding: view(&whole),
        request,
        projections: get(&whole, "projections"),
        now,
        decision: get(&whole, "decision"),
        relying,
        status: get(&whole, "status"),
        catalogs: Catalogs {
            deciding: view(&other),
            tenant: get(&other, "tenant"),
            now: get(&other, "now"),
            catalog: get(&other, "catalog"),
        },
    }
}

pub(crate) fn decision(bytes: &[u8]) {
    let Ok(read) = serde_json::from_slice::<Decision>(bytes) else { return };
    // What it says is looked at before it is judged, and after it was kept.
    let _ = said(&read);
    if counts(&read) {
        assert_eq!(read, honest().decision, "nobody else has the keys");
    }
}

fn counts(read: &Decision) -> bool {
    let honest = honest();
    let question = Question {
        request: honest.request.value(),
        digest: honest.request.digest(),
        deciding: &honest.deciding,
        projections: &honest.projections,
        kept: None,
        now: honest.now,
    };
    judge(&question, read).is_ok()
}

pub(crate) fn catalog(bytes: &[u8]) {
    let Ok(envelope) = Envelope::parse(bytes) else { return };
    if is_taken(&envelope) {
        assert_eq!(envelope, honest().catalogs.catalog, "nobody else has the keys");
    }
}

fn is_taken(envelope: &Envelope) -> bool {
    let Catalogs { deciding, tenant, now, .. } = &honest().catalogs;
    check_catalog(deciding, tenant, None, envelope, *now).is_ok()
}

pub(crate) fn record(bytes: &[u8]) {
    let mut reader = ApprovalReader::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Ok(read) = reader.line(line) else { break };
        assert_eq!(read.to_bytes().unwrap(), line, "one spelling");
    }
    // None of what is made up here is whole.
    let report = approval_record::verify(bytes, &id());
    assert_ne!(report.exit_code(), 0, "nothing was approved");
}

fn id() -> GatewayId {
    TrustedRoot::introduced(&honest().relying).unwrap().gateway().clone()
}

pub(crate) fn decisions() -> Vec<Vec<u8>> {
    vec![serde_json::to_vec(&honest().decision).unwrap()]
}

pub(crate) fn catalogs() -> Vec<Vec<u8>> {
    vec![honest().catalogs.catalog.to_bytes()]
}

/// The beginning of a record, and a record that is decided without a signature of anybody's.
pub(crate) fn records() -> Vec<Vec<u8>> {
    let honest = honest();
    let id = honest.request.value().id.clone();
    let line = |value: Value| format!("{value}\n");
    let begin = [
        line(json!({"id": id, "relying": id_text(), "type": "approval", "v": 1})),
        line(json!({"type": "root", "value": honest.relying})),
        line(json!({"type": "status", "value": honest.status})),
    ]
    .concat();
    let verdict = line(json!({"type": "verdict", "value": "approved"}));
    vec![begin.clone().into_bytes(), format!("{begin}{verdict}").into_bytes()]
}

fn id_text() -> String {
    id().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_honest_counts() {
        assert!(counts(&honest().decision));
        assert!(is_taken(&honest().catalogs.catalog));
        let mut reader = ApprovalReader::new();
        for line in records()[0].split_inclusive(|byte| *byte == b'\n') {
            reader.line(line).unwrap();
        }
    }
}
