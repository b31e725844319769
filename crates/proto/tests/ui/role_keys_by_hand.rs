//! Keys come out of a verified document, not out of a message.
use landbridge_proto::trust::verified::RoleKeys;
use landbridge_proto::wire::kind::{Role, SignedBy};

fn main() {
    let _ = RoleKeys::new(SignedBy::Role(Role::Stream), 1, []);
}
