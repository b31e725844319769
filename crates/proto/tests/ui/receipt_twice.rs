//! One receipt releases one step.

use landbridge_proto::machine::step::{Receipt, Step};

fn again(receipt: Receipt) {
    let (_, one) = Step::new(Vec::new(), Vec::new(), 1).split();
    let (_, two) = Step::new(Vec::new(), Vec::new(), 2).split();
    let _ = one.release(receipt);
    let _ = two.release(receipt);
}

fn main() {}
