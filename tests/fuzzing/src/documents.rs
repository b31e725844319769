//! Envelopes, control documents, and what a peer asks with.

use landbridge_proto::machine::operation::Operation;
use landbridge_proto::trust::federation::TrustedFederation;
use landbridge_proto::trust::root::TrustedRoot;
use landbridge_proto::wire::approval::{ApprovalRequest, Catalog, OperatorCredential};
use landbridge_proto::wire::document::{
    Admission, Federation, Membership, PairingRequest, Root, Status,
};
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::json::canonical;
use landbridge_proto::wire::problem::Problem;
use landbridge_proto::wire::request::{Answer, Op, Receipt, Refusal, Request};
use landbridge_proto::wire::stream::{Accept, Seal};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::gateway::NOW;
use crate::honest::{admit, honest};

pub(crate) fn envelope(bytes: &[u8]) {
    let Ok(read) = Envelope::parse(bytes) else { return };
    assert_eq!(read.to_bytes(), bytes, "one spelling");
    assert_eq!(Envelope::parse(&read.to_bytes()).as_ref(), Ok(&read));
    assert_eq!(canonical::to_vec(&read).unwrap(), bytes, "serde writes the same");
    assert!((1..=16).contains(&read.signatures().len()));
}

pub(crate) fn json(bytes: &[u8]) {
    if let Ok(value) = canonical::from_slice::<serde_json::Value>(bytes) {
        assert_eq!(canonical::to_vec(&value).unwrap(), bytes);
    }
    // What a stranger answers without a signature is not canonical; what is made of it is stable.
    if let Ok(problem) = serde_json::from_slice::<Problem>(bytes) {
        let again = serde_json::to_vec(&problem).unwrap();
        assert_eq!(serde_json::from_slice::<Problem>(&again).unwrap(), problem);
        let _ = (problem.is_verdict(), problem.code(), problem.to_string());
    }
}

/// The kinds that `document` reads, each by the number that its first byte has.
pub(crate) const KINDS: [fn(&[u8]); 15] = [
    one::<Root>,
    one::<Status>,
    one::<Federation>,
    one::<Membership>,
    one::<PairingRequest>,
    one::<Request>,
    one::<Accept>,
    one::<Seal>,
    one::<Answer>,
    one::<Refusal>,
    one::<Receipt>,
    one::<Admission>,
    one::<ApprovalRequest>,
    one::<Catalog>,
    one::<OperatorCredential>,
];

fn one<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    if let Ok(value) = canonical::from_slice::<T>(bytes) {
        assert_eq!(canonical::to_vec(&value).unwrap(), bytes);
    }
}

pub(crate) fn document(bytes: &[u8]) {
    let Some((kind, payload)) = bytes.split_first() else { return };
    KINDS[usize::from(*kind) % KINDS.len()](payload);
}

pub(crate) fn signed(bytes: &[u8]) {
    let Ok(envelope) = Envelope::parse(bytes) else { return };
    let honest = honest();
    let (run, now) = (&honest.run, NOW.plus_ms(10_000));
    let (executor, caller) = (&honest.executor, &honest.caller);
    let is = |other: &Envelope| assert_eq!(envelope, *other, "nobody else has the keys");
    if executor.verify::<Accept>(&envelope, now).is_ok() {
        is(run.accept.envelope());
    }
    if executor.verify::<Seal>(&envelope, now).is_ok() {
        assert!(run.seals.iter().any(|(_, seal)| *seal == envelope), "nobody else has the keys");
    }
    if caller.verify::<Request>(&envelope, now).is_ok() {
        is(&run.request);
    }
    if caller.verify::<Receipt>(&envelope, now).is_ok() {
        is(&run.receipt(40, None));
    }
    if executor.with_status(&envelope, now).is_ok() {
        is(&honest.statuses[0]);
    }
    if TrustedRoot::genesis(&envelope, &run.executor.id()).is_ok() {
        is(&run.executor.roots[0]);
    }
    if TrustedFederation::open(&envelope, &run.executor.chain, 1, NOW).is_ok() {
        is(&honest.federation_envelope);
    }
    assert!(executor.verify::<Answer>(&envelope, now).is_err(), "none was signed");
    assert!(executor.verify::<Refusal>(&envelope, now).is_err(), "none was signed");
    assert!(caller.verify::<PairingRequest>(&envelope, now).is_err(), "none was signed");
    assert!(caller.verify::<Admission>(&envelope, now).is_err(), "none was signed");
}

pub(crate) fn operation(bytes: &[u8]) {
    let whole = Operation::parse_introduction(bytes);
    let Ok(read) = Operation::parse(bytes) else {
        assert!(whole.is_err() || whole.is_ok_and(|read| read.roots.is_some_and(|r| r.len() > 32)));
        return;
    };
    assert!(whole.is_ok(), "what is shorter is taken too");
    assert_eq!(read.to_bytes(), bytes, "one spelling");
    let _ = (read.claimed_sender(), read.claimed_root_version());
}

pub(crate) fn admission(bytes: &[u8]) {
    for route in Op::ALL {
        match admit(route, bytes) {
            Ok(admitted) => {
                let run = &honest().run;
                assert_eq!(*admitted.request().envelope(), run.request);
                assert_eq!((route, &admitted.owner().caller), (Op::Start, &run.caller.id()));
                assert!(admitted.grant().is_some());
            }
            Err(refused) => {
                let learned = refused.learned;
                assert!(learned.roots.is_empty() && learned.status.is_none(), "nothing is new");
            }
        }
    }
}
