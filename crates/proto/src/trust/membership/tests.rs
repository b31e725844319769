#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;
use crate::trust::federation::FederationDraft;
use crate::trust::signer::sign_typed;
use crate::trust::testing::{
    DAY_MS, HOUR_MS, Holders, NOW, chain_of, kid, secret, sign_any, signer,
};
use crate::wire::document::federation::InvalidFederation;
use crate::wire::document::{
    Ask, Disclose, Disclosure, Federation, FederationRoot, FormVersion, Grant, Mode, Peer,
    PeerStatus, RootKey, raw,
};
use crate::wire::kind::Role;
use crate::wire::name::{AgentName, TenantPair};

const POLICY: u8 = 16;

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn name(text: &str) -> Alias {
    Alias::new(text).unwrap()
}

fn peer(base: u8) -> Peer {
    let chain = chain_of(&Holders::new(base).first());
    Peer {
        alias: name(&format!("peer-{base}")),
        endpoints: Vec::new(),
        genesis: chain.genesis_digest(),
        gid: chain.gateway().clone(),
        grants: Vec::new(),
        min_root_version: 1,
        projections: Vec::new(),
        status: PeerStatus::Active,
    }
}

fn root(members: &[u8]) -> FederationRoot {
    let key =
        |seed| RootKey::new(secret(seed).public(), NOW.plus_ms(-DAY_MS), NOW.plus_ms(30 * DAY_MS));
    FederationRoot {
        keys: [90, 91, 92].map(|seed| (kid(seed), key(seed))).into(),
        max_members: 2,
        members: members.iter().map(|&base| peer(base).gid).collect(),
        name: name("guild"),
        tenants: [tenant("acme"), tenant("ops")].into(),
        threshold: 2,
    }
}

fn draft(roots: &[FederationRoot], peers: &[Peer]) -> Result<Federation, InvalidFederation> {
    let own = chain_of(&Holders::new(10).first());
    let mut draft = FederationDraft::first(own.gateway().clone());
    peers.iter().for_each(|peer| draft.put_peer(peer.clone()));
    roots.iter().for_each(|root| draft.put_federation_root(root.clone()));
    draft.finish(NOW)
}

fn open(document: &Federation) -> TrustedFederation {
    let envelope = sign_typed(&signer(POLICY, Role::Policy), document).unwrap();
    let own = chain_of(&Holders::new(10).first());
    TrustedFederation::open(&envelope, &own, 1, NOW).unwrap()
}

fn federation() -> TrustedFederation {
    open(&draft(&[root(&[30])], &[peer(30)]).unwrap())
}

fn said() -> raw::Membership {
    raw::Membership {
        expires: NOW.plus_ms(7 * DAY_MS),
        federation: name("guild"),
        genesis: peer(30).genesis,
        issued: NOW,
        member: peer(30).gid,
        tenants: [tenant("acme")].into(),
        v: FormVersion,
    }
}

fn judged(
    change: impl FnOnce(&mut raw::Membership),
    seeds: &[u8],
    now: Timestamp,
) -> Result<TrustedMembership, MembershipError> {
    let mut raw = said();
    change(&mut raw);
    TrustedMembership::open(&sign_any(Kind::Membership, &raw, seeds), &federation(), now)
}

//= ID-32
#[test]
fn a_membership_counts_within_its_time() {
    let end = said().expires;
    assert!(judged(|_| {}, &[90, 91], NOW).is_ok());
    assert!(judged(|_| {}, &[90, 92], end.plus_ms(-1)).is_ok());
    let late = judged(|_| {}, &[90, 91], end).unwrap_err();
    assert_eq!(late, MembershipError::Expired { at: end });
    let skew = limit::CLOCK_SKEW_MS_MAX;
    assert!(judged(|_| {}, &[90, 91], NOW.plus_ms(-skew)).is_ok());
    let early = judged(|_| {}, &[90, 91], NOW.plus_ms(-skew - 1)).unwrap_err();
    assert_eq!(early, MembershipError::IssuedInFuture { at: NOW });
}

//= ID-32
#[test]
fn a_life_of_more_than_seven_days_or_none_is_refused() {
    for life_ms in [0, -1, 7 * DAY_MS + 1] {
        let found = judged(|raw| raw.expires = NOW.plus_ms(life_ms), &[90, 91], NOW);
        assert!(matches!(found, Err(MembershipError::Unverified(_))), "{life_ms}");
    }
}

//= ID-32
#[test]
fn only_a_threshold_of_distinct_keys_of_the_named_root_vouches() {
    let too_few = judged(|_| {}, &[90], NOW).unwrap_err();
    assert_eq!(
        too_few,
        MembershipError::Unverified(VerifyError::SignedByTooFew { have: 1, need: 2 })
    );
    // A stranger's signature is not made up for by enough good ones.
    assert!(judged(|_| {}, &[90, 91, 99], NOW).is_err());
    assert!(judged(|_| {}, &[90, 99], NOW).is_err());
    // One key cannot sign twice: an envelope holds each key once.
    let once = || sign_any(Kind::Membership, &said(), &[90]);
    assert!(once().join(once()).is_err());
    let other = judged(|raw| raw.federation = name("other"), &[90, 91], NOW).unwrap_err();
    assert_eq!(other, MembershipError::NoSuchRoot { name: name("other") });
}

//= ID-32
#[test]
fn another_kind_another_gateway_and_a_changed_byte_are_refused() {
    let as_status = sign_any(Kind::Federation, &said(), &[16]);
    assert!(TrustedMembership::open(&as_status, &federation(), NOW).is_err());
    let foreign = judged(|raw| raw.genesis = peer(50).genesis, &[90, 91], NOW);
    assert!(matches!(foreign, Err(MembershipError::Unverified(_))));
    let bytes = sign_any(Kind::Membership, &said(), &[90, 91]).to_bytes();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let opened = Envelope::parse(&changed)
            .map(|envelope| TrustedMembership::open(&envelope, &federation(), NOW).is_ok());
        assert_ne!(opened.ok(), Some(true), "byte {at}");
    }
}

//= ID-32
#[test]
fn a_tenant_that_the_root_may_not_speak_for_is_refused() {
    assert!(
        judged(|raw| raw.tenants = [tenant("acme"), tenant("ops")].into(), &[90, 91], NOW).is_ok()
    );
    let found = judged(|raw| raw.tenants = [tenant("acme"), tenant("root")].into(), &[90, 91], NOW);
    let refused = MembershipError::ForeignTenant { name: name("guild"), tenant: tenant("root") };
    assert_eq!(found.unwrap_err(), refused);
}

//= ID-32
#[test]
fn a_root_brings_no_more_members_than_it_may() {
    let known = federation();
    let guild = name("guild");
    assert_eq!(has_room(&known, &guild, &peer(50).gid, 0), Ok(()));
    let full = Err(MembershipError::TooManyMembers { name: guild.clone(), max: 2 });
    assert_eq!(has_room(&known, &guild, &peer(50).gid, 1), full);
    // Who has a place keeps it, however many wait.
    assert_eq!(has_room(&known, &guild, &peer(30).gid, 9), Ok(()));
    // A revoked member takes none.
    let revoked = Peer { status: PeerStatus::Revoked, ..peer(30) };
    let known = open(&draft(&[root(&[30, 50])], &[revoked, peer(50)]).unwrap());
    assert_eq!(has_room(&known, &guild, &peer(70).gid, 0), Ok(()));
    assert_eq!(has_room(&known, &guild, &peer(70).gid, 1), full);
}

//= ID-67
#[test]
fn a_document_with_members_that_do_not_fit_is_refused() {
    let peers = [peer(30), peer(50), peer(70)];
    assert!(draft(&[root(&[30, 50])], &peers).is_ok());
    let too_many = draft(&[root(&[30, 50, 70])], &peers).unwrap_err();
    assert_eq!(too_many, InvalidFederation::TooManyMembers { name: name("guild"), max: 2 });
    let no_peer = draft(&[root(&[90])], &peers).unwrap_err();
    assert!(matches!(no_peer, InvalidFederation::BadMember { .. }));
    let second = FederationRoot { name: name("other"), ..root(&[30]) };
    let twice = draft(&[root(&[30]), second], &peers).unwrap_err();
    assert!(matches!(twice, InvalidFederation::BadMember { .. }));
    let granted = |remote| Peer { grants: vec![grant(remote)], ..peer(30) };
    assert!(draft(&[root(&[30])], &[granted("acme")]).is_ok());
    let foreign = draft(&[root(&[30])], &[granted("elsewhere")]).unwrap_err();
    let tenant = tenant("elsewhere");
    assert_eq!(foreign, InvalidFederation::ForeignTenant { name: name("guild"), tenant });
}

fn grant(remote: &str) -> Grant {
    Grant {
        agents: [AgentName::new("helper").unwrap()].into(),
        approval: None,
        asks: [Ask::Prompt].into(),
        bytes_max: None,
        concurrent_max: None,
        cost_micro_usd_per_day: None,
        deadline_ms_max: HOUR_MS,
        disclose: Disclose {
            output: Disclosure::Full,
            tool_args: Disclosure::None,
            tool_results: Disclosure::None,
        },
        frames_max: None,
        local: tenant("here"),
        modes: [Mode::Session].into(),
        remote: tenant(remote),
        starts_per_second: None,
        tokens_per_day: None,
        tools: [].into(),
    }
}

//= ID-70
//= ID-71
#[test]
fn a_member_is_vouched_for_while_its_membership_counts_and_speaks_for_its_tenants_only() {
    let pair = |src: &str| TenantPair { src: tenant(src), dst: tenant("here") };
    let mut ops = grant("ops");
    ops.agents = [AgentName::new("other").unwrap()].into();
    let member = Peer { grants: vec![grant("acme"), ops], ..peer(30) };
    let known = open(&draft(&[root(&[30])], &[member.clone(), peer(50)]).unwrap());
    let gid = &member.gid;
    // Without one, nothing; and a peer that people paired needs none.
    assert!(!known.is_vouched_for(gid, NOW) && known.is_vouched_for(&peer(50).gid, NOW));
    assert!(known.grant(gid, &pair("acme")).is_none());

    let good = sign_any(Kind::Membership, &said(), &[90, 91]);
    let known = known.with_memberships([&good], NOW);
    assert!(known.is_vouched_for(gid, NOW));
    assert!(!known.is_vouched_for(gid, said().expires));
    assert!(known.grant(gid, &pair("acme")).is_some());
    assert!(known.grant(gid, &pair("ops")).is_none(), "granted, and not among its tenants");

    // One of another root, or of a gateway that people paired, changes nothing.
    let other = raw::Membership { member: peer(50).gid, genesis: peer(50).genesis, ..said() };
    let known = known.with_memberships([&sign_any(Kind::Membership, &other, &[90, 91])], NOW);
    assert!(known.membership(&peer(50).gid).is_none() && !known.is_vouched_for(gid, NOW));
}

#[test]
fn a_membership_ends_with_the_first_of_its_keys() {
    let mut short = root(&[30]);
    short.keys.get_mut(&kid(91)).unwrap().exp = NOW.plus_ms(HOUR_MS);
    let known = open(&draft(&[short], &[peer(30)]).unwrap());
    let until = |seeds: &[u8]| {
        let envelope = sign_any(Kind::Membership, &said(), seeds);
        TrustedMembership::open(&envelope, &known, NOW).unwrap().until()
    };
    assert_eq!(until(&[90, 91]), NOW.plus_ms(HOUR_MS));
    assert_eq!(until(&[90, 92]), said().expires);
}

#[test]
fn with_its_root_a_member_goes_and_a_revoked_one_stays_revoked() {
    let revoked = Peer { status: PeerStatus::Revoked, ..peer(50) };
    let known = open(&draft(&[root(&[30, 50])], &[peer(30), revoked, peer(70)]).unwrap());
    let mut next = known.draft();
    assert!(next.remove_federation_root(&name("guild")));
    assert!(!next.remove_federation_root(&name("guild")));
    let next = next.finish(NOW).unwrap();
    let left: Vec<_> = next.peers.iter().map(|peer| (peer.gid.clone(), peer.status)).collect();
    assert_eq!(left.len(), 2);
    assert!(left.contains(&(peer(50).gid, PeerStatus::Revoked)));
    assert!(left.contains(&(peer(70).gid, PeerStatus::Active)));
}
