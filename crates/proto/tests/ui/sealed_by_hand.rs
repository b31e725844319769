//! An executor sends what is durable and sealed; neither can be claimed.

use landbridge_proto::machine::chain::Chain;
use landbridge_proto::machine::outgoing::{Durable, Sealed};
use landbridge_proto::wire::envelope::Envelope;

fn claim(lines: Vec<String>, chain: Chain, seal: Envelope) -> (Durable, Sealed) {
    let durable = Durable { lines: lines.clone(), chain, last: false };
    let sealed = Sealed { lines, seal, chain, last: false };
    (durable, sealed)
}

fn main() {}
