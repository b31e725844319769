//! The twin: a verified value comes out of `verify`, and lends what it holds.
use landbridge_proto::trust::verified::{RoleKeys, Verified, VerifyError, verify};
use landbridge_proto::wire::document::Federation;
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::name::Timestamp;

fn open(envelope: &Envelope, keys: &RoleKeys) -> Result<Verified<Federation>, VerifyError> {
    verify::<Federation>(envelope, keys, Timestamp(0))
}

fn peers(document: &Verified<Federation>) -> usize {
    document.value().peers.len()
}

fn main() {
    let _ = (open, peers);
}
