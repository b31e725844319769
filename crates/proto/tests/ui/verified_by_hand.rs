//! A verified value cannot be put together from its parts.
use landbridge_proto::trust::verified::Verified;
use landbridge_proto::wire::document::Federation;
use landbridge_proto::wire::envelope::Envelope;

fn forge(value: Federation, envelope: Envelope) -> Verified<Federation> {
    Verified { value, digest: envelope.digest(), envelope }
}

fn main() {
    let _ = forge;
}
