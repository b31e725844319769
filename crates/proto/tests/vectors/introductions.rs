//! Gateways that introduce themselves, by an invite or by a membership, and memberships alone.
//!
//! The steps stand here in the node's order; each of them is the one that the node takes.

use landbridge_proto::machine::contract::InviteRow;
use landbridge_proto::machine::operation::Operation;
use landbridge_proto::trust::federation::TrustedFederation;
use landbridge_proto::trust::membership::{
    MembershipError, TrustedMembership, check_admission, has_room,
};
use landbridge_proto::trust::pairing::{Invite, PairingRefusal};
use landbridge_proto::trust::peer::PeerView;
use landbridge_proto::trust::root::TrustedRoot;
use landbridge_proto::trust::verified::{Verified, VerifyError};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::{Admission, Membership, PairingRequest};
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::kind::PayloadKind;
use landbridge_proto::wire::name::{Alias, GatewayId, Timestamp};
use landbridge_proto::wire::problem::Code;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::folder::{Judged, Vector, chain_of, envelopes, judge_all};

/// An invite that was given out.
#[derive(Deserialize)]
struct Given {
    document: Invite,
    id: Digest,
    used_by: Option<GatewayId>,
    withdrawn: Option<Timestamp>,
}

impl Given {
    fn row(&self) -> InviteRow {
        InviteRow {
            id: self.document.id(),
            secret: String::new(),
            alias: Alias::new("joiner").unwrap(),
            created: Timestamp(0),
            expires: self.document.expires,
            used: self.used_by.is_some().then_some(Timestamp(1)),
            used_by: self.used_by.clone(),
            withdrawn: self.withdrawn,
        }
    }
}

/// Verifies who brings a body, and what it signed.
fn introduced<T>(body: &Operation, now: Timestamp) -> Result<(PeerView, Verified<T>), Judged>
where
    T: PayloadKind + Serialize + DeserializeOwned,
{
    let Some((first, later)) = body.roots.as_deref().and_then(<[_]>::split_first) else {
        let story = "who introduces itself brings its roots".to_owned();
        return Err(Judged::told("refused", Some(Code::Malformed), story).in_phase(&["body"]));
    };
    let chain = TrustedRoot::introduced(first)
        .and_then(|chain| chain.advance_whole(later, now))
        .map_err(|fault| Judged::from(fault).in_phase(&["envelope", "root"]))?;
    let view = PeerView::new(chain).with_status(&body.status, now).map_err(Judged::from)?;
    let request = view.verify::<T>(&body.request, now).map_err(Judged::from)?;
    Ok((view, request))
}

fn read(vector: &Vector) -> Result<Operation, Judged> {
    Operation::parse_introduction(vector.text("body").as_bytes())
        .map_err(|fault| Judged::refused(fault.code(), &["body", "envelope"], &fault))
}

fn pairing(vector: &Vector) -> Result<(), Judged> {
    let now = vector.time("now");
    let own = chain_of(&envelopes(vector.raw("roots")), now);
    let (view, request) = introduced::<PairingRequest>(&read(vector)?, now)?;
    let given: Vec<Given> = vector.get("invites");
    assert!(given.iter().all(|one| {
        let invite = &one.document;
        invite.id() == one.id && invite.inviter() == *own.gateway()
    }));
    let shown = given.iter().find(|one| one.id == request.value().invite);
    let refused = |story: String| {
        Err(Judged::told("refused", Some(Code::VerificationFailed), story).in_phase(&["pairing"]))
    };
    match shown.filter(|one| one.row().is_open()) {
        None => refused("no such invite is open".to_owned()),
        Some(shown) => shown.document.check_joiner(&request, view.gateway(), now).or_else(
            |fault| match fault {
                PairingRefusal::OutOfTime => {
                    let told = Judged::told("refused", Some(Code::ClockSkew), fault.to_string());
                    Err(told.in_phase(&["pairing"]))
                }
                fault => refused(fault.to_string()),
            },
        ),
    }
}

fn trusted(vector: &Vector) -> TrustedFederation {
    let now = vector.time("now");
    let own = chain_of(&envelopes(vector.raw("roots")), now);
    TrustedFederation::open(&vector.get("federation"), &own, 1, now).unwrap()
}

impl From<MembershipError> for Judged {
    fn from(fault: MembershipError) -> Self {
        // Whatever the reason, it does not count.
        let refused = |phases| Self::refused(Code::VerificationFailed, phases, &fault);
        match &fault {
            // Its life is judged with its form.
            MembershipError::Unverified(VerifyError::SignedMalformedPayload { .. }) => {
                refused(&["json", "payload", "membership"])
            }
            MembershipError::Unverified(VerifyError::SentAnotherKind { .. }) => {
                refused(&["envelope"])
            }
            MembershipError::Unverified(_) => refused(&["signature"]),
            _ => refused(&["membership"]),
        }
    }
}

fn counted(vector: &Vector, envelope: &Envelope) -> Result<TrustedMembership, MembershipError> {
    let federation = trusted(vector);
    let opened = TrustedMembership::open(envelope, &federation, vector.time("now"))?;
    let said = opened.value();
    has_room(&federation, &said.federation, &said.member, 0)?;
    Ok(opened)
}

fn admission(vector: &Vector) -> Result<(), Judged> {
    let now = vector.time("now");
    let own = chain_of(&envelopes(vector.raw("roots")), now);
    let body = read(vector)?;
    let [membership] = body.held.as_deref().unwrap_or_default() else {
        let story = "a member shows one membership".to_owned();
        return Err(Judged::told("refused", Some(Code::Malformed), story).in_phase(&["body"]));
    };
    let (view, request) = introduced::<Admission>(&body, now)?;
    let member = view.gateway();
    check_admission(request.value(), own.gateway(), member, &membership.digest(), now)
        .map_err(|fault| Judged::refused(Code::VerificationFailed, &["admission"], &fault))?;
    let opened = counted(vector, membership)?;
    let refused = |phase, story: &str| {
        Err(Judged::told("refused", Some(Code::VerificationFailed), story.to_owned())
            .in_phase(phase))
    };
    if opened.value().member != *member {
        return refused(&["admission"], "another gateway's");
    }
    let kept: Option<Envelope> = vector.get("kept");
    let kept = kept.map(|kept| TrustedMembership::open(&kept, &trusted(vector), now).unwrap());
    let issued = |one: &Membership| one.issued;
    if kept.is_some_and(|kept| issued(kept.value()) > issued(opened.value())) {
        return refused(&["membership"], "older than one before");
    }
    Ok(())
}

fn told(found: Result<(), Judged>) -> Judged {
    found.err().unwrap_or_else(Judged::accepted)
}

#[test]
fn every_pairing_is_judged_as_it_must() {
    judge_all("pairings", 100, |vector| told(pairing(vector)));
}

#[test]
fn every_admission_is_judged_as_it_must() {
    judge_all("admissions", 65, |vector| told(admission(vector)));
}

#[test]
fn every_membership_is_judged_as_it_must() {
    judge_all("memberships", 50, |vector| match counted(vector, &vector.get("membership")) {
        Ok(_) => Judged::accepted(),
        Err(fault) => fault.into(),
    });
}
