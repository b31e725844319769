//! What acts on a decision takes one that was judged; nobody else makes it, and what an operator said is not lent before.

use landbridge_proto::trust::approval::{Judged, Tally};
use landbridge_proto::wire::approval::{Decision, SignedApproval, Vote};

fn act_on(tally: &mut Tally, decision: &Decision) {
    tally.count(decision);
}

fn read(signed: &SignedApproval) -> Vote {
    signed.approval().decision
}

fn make_up(other: Judged) -> Judged {
    Judged { needed: 1, ..other }
}

fn main() {}
