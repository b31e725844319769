//! The way through: a decision is split, committed, and released by its own receipt.

use landbridge_proto::machine::contract::Store;
use landbridge_proto::machine::step::{NotReleased, Step, commit};

fn decide<S: Store>(store: &mut S, step: Step<&'static str>) -> Result<(), NotReleased> {
    let (batch, held) = step.split();
    let Ok(mut receipts) = commit(store, vec![batch]) else { return Ok(()) };
    if let Some(receipt) = receipts.pop() {
        println!("{}", held.release(receipt)?);
    }
    Ok(())
}

fn main() {}
