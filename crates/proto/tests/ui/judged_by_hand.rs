//! What acts on a decision takes one that was judged; nobody else makes it.

use landbridge_proto::trust::approval::Tally;
use landbridge_proto::wire::approval::Decision;

fn act_on(tally: &mut Tally, decision: &Decision) {
    tally.count(decision);
}

fn main() {}
