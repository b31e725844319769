//! A secret key signs through a signer, which knows its role.
use landbridge_proto::trust::key::SecretKey;
use landbridge_proto::wire::kind::Kind;

fn sign(key: &SecretKey) {
    key.sign(Kind::Root, b"{}");
}

fn main() {
    let _ = sign;
}
