//! Statuses: what is known of a gateway, its next status, and what counts after it.

use landbridge_proto::trust::peer::PeerView;
use landbridge_proto::trust::root::TrustedRoot;
use landbridge_proto::trust::status::{Revoked, TrustedStatus};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::RevocationReason;
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::name::{KeyId, Timestamp};
use landbridge_proto::wire::stream::Seal;
use serde::Deserialize;

use crate::folder::{Judged, Vector, envelopes, judge_all, judged};

/// What was learned earlier.
#[derive(Deserialize)]
struct Step {
    at: Timestamp,
    #[serde(default)]
    roots: Vec<Envelope>,
    status: Option<Envelope>,
}

/// What is shown afterwards.
#[derive(Deserialize)]
struct Then {
    at: Timestamp,
    kind: String,
    envelope: Envelope,
}

/// Revocations of ids that no root names.
#[derive(Deserialize)]
struct Remembered {
    count: u32,
    at: Timestamp,
}

/// The view of a gateway that told all these revocations as well.
fn with(remembered: &Remembered, view: &PeerView, received: Timestamp) -> PeerView {
    let (at, reason) = (remembered.at, RevocationReason::Retired);
    let told = (1..=remembered.count).map(|number| {
        let kid = KeyId::new(Digest::of(b"", &[number.to_string().as_bytes()]).to_string());
        (kid.unwrap(), Revoked { received: at, reason, since: at })
    });
    let newest = view.status().unwrap().newest().envelope();
    let status = TrustedStatus::restore(newest, received, told, view.chain()).unwrap();
    PeerView::restore(view.chain().clone(), Some(status))
}

fn judge(vector: &Vector) -> Judged {
    let (first, rest) = {
        let roots = envelopes(vector.raw("roots"));
        (roots[0].clone(), roots[1..].to_vec())
    };
    let now = vector.time("now");
    let chain = TrustedRoot::introduced(&first).unwrap().advance(&rest, now).unwrap();
    let mut view = PeerView::new(chain).at_least(vector.get("min_root_version"));
    for step in vector.get::<Vec<Step>>("before") {
        view = view.with_roots(&step.roots, step.at).unwrap();
        if let Some(status) = step.status {
            view = view.with_status(&status, step.at).unwrap();
        }
        if let Some(remembered) = vector.get::<Option<Remembered>>("remembered") {
            view = with(&remembered, &view, step.at);
        }
    }
    let view = match view.with_status(&vector.get("status"), now) {
        Ok(view) => view,
        Err(fault) => return fault.into(),
    };
    match vector.get::<Option<Then>>("then") {
        None => Judged::accepted(),
        Some(then) => {
            assert_eq!(then.kind, "seal");
            judged(view.verify::<Seal>(&then.envelope, then.at))
        }
    }
}

#[test]
fn every_status_is_judged_as_it_must() {
    judge_all("statuses", 115, judge);
}
