//! Walks: from the id of a gateway to its newest root.

use landbridge_proto::trust::root::{RootError, TrustedRoot};
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::name::{GatewayId, Timestamp};
use serde_json::Value;

use crate::folder::{Judged, Vector, envelopes, judge_all};

fn walked(
    gateway: &GatewayId,
    updates: &[Vec<Envelope>],
    now: Timestamp,
) -> Result<TrustedRoot, RootError> {
    let (first, rest) = updates[0].split_first().unwrap();
    let mut chain = TrustedRoot::genesis(first, gateway)?.advance(rest, now)?;
    for update in &updates[1..] {
        chain = chain.advance(update, now)?;
    }
    chain.check_current(now)?;
    Ok(chain)
}

fn judge(vector: &Vector) -> Judged {
    let updates: Vec<_> = vector.raw("updates").as_array().unwrap().iter().map(envelopes).collect();
    match walked(&vector.get("gateway"), &updates, vector.time("now")) {
        Ok(chain) => {
            assert_eq!(vector.raw("version"), &Value::from(chain.version()));
            Judged::accepted()
        }
        Err(fault) => fault.into(),
    }
}

#[test]
fn every_walk_ends_as_it_must() {
    judge_all("walks", 150, judge);
}
