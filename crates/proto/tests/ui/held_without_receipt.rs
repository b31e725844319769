//! What a step holds is not there before its commit.

use landbridge_proto::machine::step::Step;

fn main() {
    let (_, held) = Step::new(Vec::new(), Vec::new(), "start the work").split();
    println!("{}", held.then);
    let _ = held.release();
}
