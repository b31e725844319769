//! Catalogs, and decisions of another gateway's operators.

use landbridge_proto::trust::approval::{
    Counted, Question, Standing, Tally, Uncounted, check_ask, check_catalog, judge,
};
use landbridge_proto::trust::peer::PeerView;
use landbridge_proto::trust::root::TrustedRoot;
use landbridge_proto::trust::verified::{VerifyError, verify};
use landbridge_proto::wire::approval::{ApprovalRequest, Decision, Projection};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::kind::Role;
use landbridge_proto::wire::problem::Code;
use serde::Deserialize;
use serde_json::Value;

use crate::folder::{Judged, Vector, chain_of, envelopes, judge_all};

/// The newest catalog that is kept.
#[derive(Deserialize)]
struct Kept {
    version: u64,
    digest: Digest,
}

fn kept(vector: &Vector) -> Option<(u64, Digest)> {
    vector.get::<Option<Kept>>("kept").map(|kept| (kept.version, kept.digest))
}

/// The deciding gateway, as it is known since `at`.
fn view(vector: &Vector, at: &str) -> PeerView {
    let roots = envelopes(vector.raw("roots"));
    let view = PeerView::new(TrustedRoot::introduced(&roots[0]).unwrap());
    view.with_status(&vector.get("status"), vector.time(at)).unwrap()
}

fn catalog(vector: &Vector) -> Judged {
    let (view, now) = (view(vector, "now"), vector.time("now"));
    let envelope = vector.get("catalog");
    match check_catalog(&view, &vector.get("tenant"), kept(vector), &envelope, now) {
        Ok(_) => Judged::accepted(),
        Err(Uncounted::CatalogUnverified(fault)) => fault.into(),
        Err(fault) => Judged::refused(Code::VerificationFailed, &["catalog"], &fault),
    }
}

/// Lends `then` the question of a vector.
fn asked<T>(vector: &Vector, then: impl FnOnce(&Question<'_>) -> T) -> T {
    let (view, now) = (view(vector, "at"), vector.time("now"));
    let relying = TrustedRoot::introduced(&envelopes(vector.raw("relying"))[0]).unwrap();
    let keys = relying.keys(Role::Request).unwrap();
    let request = verify::<ApprovalRequest>(&vector.get("request"), keys, now).unwrap();
    let projections: Vec<Projection> = vector.get("projections");
    let question = Question {
        request: request.value(),
        digest: request.digest(),
        deciding: &view,
        projections: &projections,
        kept: kept(vector),
        now,
    };
    then(&question)
}

/// A decision, where it has its form.
fn read(value: &Value) -> Result<Decision, Judged> {
    serde_json::from_value(value.clone())
        .map_err(|fault| Judged::refused(Code::Malformed, &["envelope"], &fault))
}

//= APR-52
//= APR-53
fn decision(vector: &Vector) -> Judged {
    let decision = match read(vector.raw("decision")) {
        Ok(decision) => decision,
        Err(judged) => return judged,
    };
    match asked(vector, |question| judge(question, &decision)) {
        Ok(_) => Judged::accepted(),
        Err(fault) => Judged::refused(fault.code(), phases(&fault), &fault),
    }
}

/// Where a fault is noticed, as far as it says. A life that is too long is one of form here.
fn phases(fault: &Uncounted) -> &'static [&'static str] {
    match fault {
        Uncounted::NotFresh(_) => &["status"],
        Uncounted::BadProof(_) => &["signature"],
        Uncounted::CatalogUnverified(fault) | Uncounted::CredentialUnverified(fault) => match fault
        {
            VerifyError::SignedMalformedPayload { .. } => &["json", "payload", "approval"],
            VerifyError::SentAnotherKind { .. } => &["envelope"],
            _ => &["signature"],
        },
        Uncounted::Malformed(_) => &["json", "payload", "approval"],
        Uncounted::CatalogOfAnother { .. }
        | Uncounted::CatalogWentBack { .. }
        | Uncounted::CatalogEquivocated { .. }
        | Uncounted::Unmapped { .. }
        | Uncounted::CatalogExpired { .. }
        | Uncounted::ScopeGone { .. }
        | Uncounted::EntryChanged { .. }
        | Uncounted::ProjectionNotNow { .. }
        | Uncounted::KindNotAllowed
        | Uncounted::ObservedNotAllowed
        | Uncounted::MethodNotAllowed
        | Uncounted::LivesTooLong { .. }
        | Uncounted::MethodNotAssured { .. } => &["projection"],
        _ => &["approval"],
    }
}

/// As the deciding gateway.
fn ask(vector: &Vector) -> Judged {
    let now = vector.time("now");
    let relying = PeerView::new(chain_of(&envelopes(vector.raw("relying")), now));
    let relying = relying.with_status(&vector.get("status"), now).unwrap();
    let (own, tenants) = (vector.get("gateway"), vector.get("tenant"));
    let subject = vector.text("subject");
    let request = vector.get("request");
    match check_ask(&request, &relying, &own, &tenants, subject.as_bytes(), now) {
        Ok(_) => Judged::accepted(),
        Err(fault) => Judged::refused(Code::ApprovalRefused, &[], &fault),
    }
}

/// As a relying gateway counts: each decision by the newest catalog that is kept, and those before by it again.
fn tally(vector: &Vector) -> Judged {
    let decisions: Vec<Value> = vector.get("decisions");
    let (tally, over) = asked(vector, |question| {
        let (mut tally, mut kept) = (Tally::new(question.request), question.kept);
        let mut before: Vec<Decision> = Vec::new();
        for new in decisions.iter().filter_map(|one| read(one).ok()) {
            let Ok(judged) = judge(&Question { kept, ..*question }, &new) else { continue };
            let mut next = Tally::new(question.request);
            for old in &before {
                let old = Decision { catalog: new.catalog.clone(), ..old.clone() };
                if let Ok(judged) = judge(&Question { kept: None, ..*question }, &old) {
                    next.count(&judged);
                }
            }
            if next.count(&judged) == Counted::AddsNothing {
                continue;
            }
            let catalog = judged.catalog();
            kept = Some((catalog.value().version, catalog.digest()));
            tally = next;
            before.push(new);
            if !matches!(tally.standing(), Standing::Open { .. }) {
                break;
            }
        }
        (tally, question.now >= question.request.expires)
    });
    let verdict = match tally.standing() {
        Standing::Approved => "approved",
        Standing::Denied => "denied",
        //= APR-25
        Standing::Open { .. } if over => "denied",
        Standing::Open { .. } => "undecided",
    };
    Judged::told(verdict, None, format!("{} of {} approved", tally.have(), tally.need()))
}

#[test]
fn every_catalog_is_judged_as_it_must() {
    judge_all("catalogs", 50, catalog);
}

#[test]
fn every_decision_is_judged_as_it_must() {
    judge_all("approvals", 289, decision);
}

#[test]
fn every_question_is_judged_as_it_must() {
    judge_all("asks", 70, ask);
}

#[test]
fn decisions_are_counted_as_they_must() {
    judge_all("tallies", 50, tally);
}
