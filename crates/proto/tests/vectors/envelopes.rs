//! Envelopes: form, signatures and payload, in this order.

use landbridge_proto::trust::root::TrustedRoot;
use landbridge_proto::trust::verified::verify;
use landbridge_proto::wire::approval::{Catalog, OperatorCredential};
use landbridge_proto::wire::document::{Federation, Status};
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::kind::{PayloadKind, SignedBy};
use landbridge_proto::wire::name::Timestamp;
use landbridge_proto::wire::request::{Answer, Receipt, Refusal, Request};
use landbridge_proto::wire::stream::{Accept, Seal};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::folder::{Judged, Vector, envelopes, judge_all, judged};

fn opened<T: PayloadKind + Serialize + DeserializeOwned>(
    envelope: &Envelope,
    chain: &TrustedRoot,
    now: Timestamp,
) -> Judged {
    let SignedBy::Role(role) = T::KIND.signed_by() else {
        panic!("{} is not signed by a role", T::KIND);
    };
    judged(verify::<T>(envelope, chain.keys(role).unwrap(), now))
}

fn judge(vector: &Vector) -> Judged {
    let roots = envelopes(vector.raw("roots"));
    let chain = TrustedRoot::introduced(&roots[0]).unwrap();
    let envelope = match Envelope::parse(vector.text("envelope").as_bytes()) {
        Ok(envelope) => envelope,
        Err(fault) => return fault.into(),
    };
    let now = vector.time("now");
    match vector.get::<String>("kind").as_str() {
        "status" => opened::<Status>(&envelope, &chain, now),
        "request" => opened::<Request>(&envelope, &chain, now),
        "receipt" => opened::<Receipt>(&envelope, &chain, now),
        "accept" => opened::<Accept>(&envelope, &chain, now),
        "seal" => opened::<Seal>(&envelope, &chain, now),
        "answer" => opened::<Answer>(&envelope, &chain, now),
        "problem" => opened::<Refusal>(&envelope, &chain, now),
        "catalog" => opened::<Catalog>(&envelope, &chain, now),
        "operator-credential" => opened::<OperatorCredential>(&envelope, &chain, now),
        "federation" => opened::<Federation>(&envelope, &chain, now),
        other => panic!("{other}"),
    }
}

#[test]
fn every_envelope_is_judged_as_it_must() {
    judge_all("envelopes", 310, judge);
}
