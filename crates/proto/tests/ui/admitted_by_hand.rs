//! A request is admitted by the gate, which made every check; not by whoever has its parts.

use landbridge_proto::machine::admission::{Admitted, Learned};
use landbridge_proto::trust::verified::Verified;
use landbridge_proto::wire::name::Owner;
use landbridge_proto::wire::request::Request;

fn admit(request: Verified<Request>, owner: Owner) -> Admitted {
    Admitted { request, owner, grant: None, learned: Learned::default() }
}

fn main() {}
