//! A receipt comes from a commit: nobody says by himself that something is durable.

use landbridge_proto::machine::step::{Outcome, Receipt, Step};

fn main() {
    let (_, held) = Step::new(Vec::new(), Vec::new(), "start the work").split();
    let receipt = Receipt { outcome: Outcome::Committed };
    let _ = held.release(receipt);
}
