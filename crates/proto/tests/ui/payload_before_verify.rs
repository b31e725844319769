//! What nobody verified is not read.
use landbridge_proto::wire::envelope::Envelope;

fn peek(envelope: &Envelope) -> &[u8] {
    envelope.payload()
}

fn main() {
    let _ = peek;
}
