//! A gateway's own federation document.

use landbridge_proto::trust::federation::{FederationError, TrustedFederation};
use landbridge_proto::wire::problem::Code;

use crate::folder::{Judged, Vector, chain_of, envelopes, judge_all};

fn judge(vector: &Vector) -> Judged {
    let now = vector.time("now");
    let own = chain_of(&envelopes(vector.raw("roots")), now);
    match TrustedFederation::open(&vector.get("federation"), &own, vector.get("used"), now) {
        Ok(_) => Judged::accepted(),
        Err(FederationError::Unverified(fault)) => fault.into(),
        // No code crosses: the document is the gateway's own.
        Err(fault) => Judged::refused(Code::VerificationFailed, &["payload"], &fault),
    }
}

#[test]
fn every_federation_document_is_judged_as_it_must() {
    judge_all("federations", 170, judge);
}
