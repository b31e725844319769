//! Catalogs, and decisions of another gateway's operators.

use landbridge_proto::trust::approval::{
    Question, Standing, Tally, Uncounted, check_ask, check_catalog, judge,
};
use landbridge_proto::trust::peer::PeerView;
use landbridge_proto::trust::root::TrustedRoot;
use landbridge_proto::trust::verified::verify;
use landbridge_proto::wire::approval::{ApprovalRequest, Decision, Projection};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::kind::Role;
use landbridge_proto::wire::problem::Code;
use serde::Deserialize;

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

fn decision(vector: &Vector) -> Judged {
    let decision: Decision = vector.get("decision");
    match asked(vector, |question| judge(question, &decision)) {
        Ok(_) => Judged::accepted(),
        Err(fault) => Judged::refused(Code::ApprovalRefused, &[], &fault),
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

fn tally(vector: &Vector) -> Judged {
    let decisions: Vec<Decision> = vector.get("decisions");
    let tally = asked(vector, |question| {
        let mut tally = Tally::new(question.request);
        for judged in decisions.iter().filter_map(|one| judge(question, one).ok()) {
            tally.count(&judged);
        }
        tally
    });
    let verdict = match tally.standing() {
        Standing::Approved => "approved",
        Standing::Denied => "denied",
        Standing::Open { .. } => "undecided",
    };
    Judged::told(verdict, None, format!("{} of {} approved", tally.have(), tally.need()))
}

#[test]
fn every_catalog_is_judged_as_it_must() {
    judge_all("catalogs", 35, catalog);
}

#[test]
fn every_decision_is_judged_as_it_must() {
    judge_all("approvals", 190, decision);
}

#[test]
fn every_question_is_judged_as_it_must() {
    judge_all("asks", 50, ask);
}

#[test]
fn decisions_are_counted_as_they_must() {
    judge_all("tallies", 30, tally);
}
