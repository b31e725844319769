//! A verified value cannot be read from bytes.
use landbridge_proto::trust::verified::Verified;
use landbridge_proto::wire::document::Federation;

fn forge(bytes: &[u8]) -> Verified<Federation> {
    serde_json::from_slice(bytes).unwrap()
}

fn main() {
    let _ = forge;
}
