#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;
use crate::trust::signer::sign_typed;
use crate::trust::testing::{
    HOUR_MS, Holders, NOW, chain_of, kid, secret, sign_any, sign_bytes, signer,
};
use crate::wire::approval::{Constraints, KeyMethod, OperatorKey};
use crate::wire::digest::Digest;
use crate::wire::document::grant::InvalidGrant;
use crate::wire::document::{Ask, Disclose, Disclosure, Membership, Mode, RootKey};
use crate::wire::json::canonical;
use crate::wire::kind::Kind;
use crate::wire::limit;
use crate::wire::name::{AgentName, SubjectKind, TenantId};

/// The seed of the policy key of the gateway with base 10.
const POLICY: u8 = 16;

fn own() -> TrustedRoot {
    chain_of(&Holders::new(10).first())
}

fn peer(base: u8) -> Peer {
    let chain = chain_of(&Holders::new(base).first());
    Peer {
        alias: Alias::new(format!("peer-{base}")).unwrap(),
        endpoints: Vec::new(),
        genesis: chain.genesis_digest(),
        gid: chain.gateway().clone(),
        grants: Vec::new(),
        min_root_version: 1,
        projections: Vec::new(),
        status: PeerStatus::Active,
    }
}

fn grant(local: &str, remote: &str, agent: &str) -> Grant {
    Grant {
        agents: [AgentName::new(agent).unwrap()].into(),
        approval: None,
        asks: [Ask::Prompt].into(),
        bytes_max: None,
        concurrent_max: Some(4),
        cost_micro_usd_per_day: None,
        deadline_ms_max: limit::DEADLINE_MS,
        disclose: Disclose {
            output: Disclosure::Full,
            tool_args: Disclosure::Digest,
            tool_results: Disclosure::None,
        },
        frames_max: None,
        local: TenantId::new(local).unwrap(),
        modes: [Mode::Session].into(),
        remote: TenantId::new(remote).unwrap(),
        starts_per_second: None,
        tokens_per_day: None,
        tools: [].into(),
    }
}

fn draft() -> FederationDraft {
    let mut draft = FederationDraft::first(own().gateway().clone());
    draft.put_peer(peer(30));
    draft.put_peer(peer(50));
    draft.put_grant(&peer(30).gid, grant("ops", "acme", "helper")).unwrap();
    draft
}

fn open(document: &Federation) -> TrustedFederation {
    let envelope = sign_typed(&signer(POLICY, Role::Policy), document).unwrap();
    TrustedFederation::open(&envelope, &own(), 1, NOW).unwrap()
}

fn pair(local: &str, remote: &str) -> TenantPair {
    TenantPair { src: TenantId::new(remote).unwrap(), dst: TenantId::new(local).unwrap() }
}

#[test]
fn a_grant_is_found_by_caller_and_exact_pair() {
    let federation = open(&draft().finish(NOW).unwrap());
    let caller = peer(30).gid;
    assert!(federation.grant(&caller, &pair("ops", "acme")).is_some());
    assert!(federation.grant(&caller, &pair("acme", "ops")).is_none());
    assert!(federation.grant(&caller, &pair("ops", "acme2")).is_none());
    assert!(federation.grant(&peer(50).gid, &pair("ops", "acme")).is_none());
    assert!(federation.grant(&peer(70).gid, &pair("ops", "acme")).is_none());
    assert_eq!(federation.peer_called(&Alias::new("peer-50").unwrap()).unwrap().gid, peer(50).gid);
}

#[test]
fn only_active_peers_have_grants() {
    let caller = peer(30).gid;
    for status in [PeerStatus::Suspended, PeerStatus::Revoked] {
        let mut next = draft();
        next.set_status(&caller, status).unwrap();
        let federation = open(&next.finish(NOW).unwrap());
        assert!(federation.grant(&caller, &pair("ops", "acme")).is_none());
        assert!(federation.active_peer(&caller).is_none());
        assert_eq!(federation.peer(&caller).unwrap().status, status);
    }
}

//= ID-28
#[test]
fn drafts_count_versions_and_keep_order() {
    let first = open(&draft().finish(NOW).unwrap());
    let mut next = first.draft();
    assert!(next.remove_grant(&peer(30).gid, &pair("ops", "acme")).unwrap());
    assert!(!next.remove_grant(&peer(30).gid, &pair("ops", "acme")).unwrap());
    next.put_grant(&peer(30).gid, grant("b", "a", "x")).unwrap();
    next.put_grant(&peer(30).gid, grant("a", "b", "y")).unwrap();
    let second = next.finish(NOW).unwrap();
    assert_eq!((first.document().version, second.version), (1, 2));
    assert!(next_err(&peer(70).gid).is_err());
    let envelope = sign_typed(&signer(POLICY, Role::Policy), first.document()).unwrap();
    let found = TrustedFederation::open(&envelope, &own(), 2, NOW).unwrap_err();
    assert_eq!(found, FederationError::WentBack { have: 2, found: 1 });
}

fn next_err(gateway: &GatewayId) -> Result<(), NoSuchPeer> {
    draft().set_status(gateway, PeerStatus::Active)
}

//= ID-27
#[test]
fn an_edited_document_is_refused() {
    let own = own();
    let bytes = sign_typed(&signer(POLICY, Role::Policy), &draft().finish(NOW).unwrap())
        .unwrap()
        .to_bytes();
    let judge = |bytes: &[u8]| {
        Envelope::parse(bytes).map(|one| TrustedFederation::open(&one, &own, 1, NOW).is_ok())
    };
    assert_eq!(judge(&bytes), Ok(true));
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(judge(&bad), Ok(true), "bit {bit}");
    }
}

//= ID-27
#[test]
fn only_the_own_policy_key_signs() {
    let document = draft().finish(NOW).unwrap();
    for seed in [10, 11, 12, 13, 14, 15, 36] {
        let envelope = sign_any(Kind::Federation, &document, &[seed]);
        assert!(TrustedFederation::open(&envelope, &own(), 1, NOW).is_err(), "{seed}");
    }
    let mut foreign = FederationDraft::first(peer(30).gid);
    foreign.put_peer(peer(50));
    let envelope = sign_any(Kind::Federation, &foreign.finish(NOW).unwrap(), &[POLICY]);
    let found = TrustedFederation::open(&envelope, &own(), 1, NOW).unwrap_err();
    assert_eq!(found, FederationError::Foreign { found: peer(30).gid });
    let own_key = sign_any(Kind::Federation, &document, &[POLICY]);
    assert!(TrustedFederation::open(&own_key, &own(), 1, NOW).is_ok());
}

fn refused(change: impl FnOnce(&mut FederationDraft)) -> InvalidFederation {
    let mut draft = draft();
    change(&mut draft);
    draft.finish(NOW).unwrap_err()
}

fn bad_grant(change: impl FnOnce(&mut Grant)) -> InvalidGrant {
    let mut bad = grant("ops", "other", "another");
    change(&mut bad);
    match refused(|draft| draft.put_grant(&peer(30).gid, bad).unwrap()) {
        InvalidFederation::BadGrant { fault, .. } => fault,
        other => unreachable!("{other:?}"),
    }
}

//= ID-29
#[test]
fn documents_that_do_not_fit_together_are_refused() {
    let shared =
        refused(|draft| draft.put_grant(&peer(50).gid, grant("ops", "acme", "helper")).unwrap());
    assert_eq!(shared, InvalidFederation::SharedAgent { agent: AgentName::new("helper").unwrap() });
    let shared =
        refused(|draft| draft.put_grant(&peer(30).gid, grant("ops", "zeta", "helper")).unwrap());
    assert!(matches!(shared, InvalidFederation::SharedAgent { .. }));
    let same_room =
        refused(|draft| draft.put_grant(&peer(50).gid, grant("ops", "acme", "Helper")).unwrap());
    assert!(matches!(same_room, InvalidFederation::SharedAgent { .. }));
    // Its positive twin: one tenant pair may write the name of its own agent in two ways.
    let mut own_room = draft();
    let mut both = grant("ops", "zeta", "sorter");
    both.agents.insert(AgentName::new("Sorter").unwrap());
    own_room.put_grant(&peer(30).gid, both).unwrap();
    own_room.finish(NOW).unwrap();
    let taken =
        refused(|draft| draft.put_peer(Peer { alias: Alias::new("peer-30").unwrap(), ..peer(70) }));
    assert!(matches!(taken, InvalidFederation::AliasTaken { .. }));
    let foreign = refused(|draft| draft.put_peer(Peer { genesis: peer(30).genesis, ..peer(70) }));
    assert!(matches!(foreign, InvalidFederation::ForeignGatewayId { .. }));
    assert_eq!(refused(|draft| draft.put_peer(peer(10))), InvalidFederation::PeersWithItself);
    assert_eq!(
        refused(|draft| draft.put_peer(Peer { min_root_version: 0, ..peer(70) })),
        InvalidFederation::RootVersionZero
    );
    assert_eq!(
        refused(|draft| draft.raw.peers.reverse()),
        InvalidFederation::Unsorted { what: "peers" }
    );
    assert_eq!(bad_grant(|grant| grant.agents.clear()), InvalidGrant::GrantsNothing);
    assert_eq!(bad_grant(|grant| grant.asks.clear()), InvalidGrant::GrantsNothing);
    assert_eq!(bad_grant(|grant| grant.modes.clear()), InvalidGrant::PromptWithoutMode);
    assert_eq!(
        bad_grant(|grant| grant.asks = [Ask::ToolCall].into()),
        InvalidGrant::ToolsMisplaced
    );
    assert_eq!(bad_grant(|grant| grant.concurrent_max = Some(0)), InvalidGrant::QuotaZero);
    assert!(matches!(
        bad_grant(|grant| grant.deadline_ms_max = limit::DEADLINE_MS_MAX + 1),
        InvalidGrant::BadDeadline { .. }
    ));
}

#[test]
fn a_revoked_peers_agents_are_free_again() {
    let mut next = draft();
    next.set_status(&peer(30).gid, PeerStatus::Revoked).unwrap();
    next.put_grant(&peer(50).gid, grant("ops", "acme", "helper")).unwrap();
    assert!(next.finish(NOW).is_ok());
}

#[test]
fn duplicate_members_of_a_signed_document_are_refused() {
    let text =
        String::from_utf8(canonical::to_vec(&draft().finish(NOW).unwrap()).unwrap()).unwrap();
    let twice =
        text.replacen("\"status\":\"active\"", "\"status\":\"active\",\"status\":\"active\"", 1);
    assert_ne!(text, twice);
    let envelope = sign_bytes(Kind::Federation, twice.as_bytes(), &[POLICY]);
    assert!(TrustedFederation::open(&envelope, &own(), 1, NOW).is_err());
}

#[test]
fn a_federation_root_vouches_for_memberships_alone() {
    let exp = NOW.plus_ms(HOUR_MS);
    let mut next = draft();
    next.put_federation_root(FederationRoot {
        keys: [(kid(90), RootKey::new(secret(90).public(), NOW, exp))].into(),
        max_members: 8,
        members: [].into(),
        name: Alias::new("guild").unwrap(),
        tenants: [TenantId::new("acme").unwrap()].into(),
        threshold: 1,
    });
    let federation = open(&next.finish(NOW).unwrap());
    let keys = federation.federation_keys(&Alias::new("guild").unwrap()).unwrap();
    assert!(federation.federation_keys(&Alias::new("other").unwrap()).is_none());
    let member = peer(70);
    let mut raw = raw::Membership {
        expires: exp,
        federation: Alias::new("guild").unwrap(),
        genesis: member.genesis,
        issued: NOW,
        member: member.gid,
        tenants: [TenantId::new("acme").unwrap()].into(),
        v: FormVersion,
    };
    let membership = sign_any(Kind::Membership, &raw, &[90]);
    assert!(verify::<Membership>(&membership, &keys, NOW).is_ok());
    assert!(verify::<Membership>(&sign_any(Kind::Membership, &raw, &[91]), &keys, NOW).is_err());
    let request = sign_any(Kind::Federation, &draft().finish(NOW).unwrap(), &[90]);
    assert!(matches!(
        verify::<Federation>(&request, &keys, NOW),
        Err(VerifyError::KeysOfAnotherRole { .. })
    ));
    raw.genesis = peer(30).genesis;
    assert!(verify::<Membership>(&sign_any(Kind::Membership, &raw, &[90]), &keys, NOW).is_err());
}

fn projection(local_scope: &str, remote_scope: &str) -> Projection {
    Projection {
        constraints: Constraints {
            max_ttl_ms: 600_000,
            methods: KeyMethod::ALL.into(),
            min_signers: 1,
            observed: false,
            subject_kinds: [SubjectKind::new("exec").unwrap()].into(),
        },
        entry: Digest::of(b"entry", &[]),
        exp: NOW.plus_ms(HOUR_MS),
        local: TenantId::new("ops").unwrap(),
        local_scope: ScopeName::new(local_scope).unwrap(),
        nbf: NOW,
        remote: TenantId::new("acme").unwrap(),
        remote_scope: ScopeName::new(remote_scope).unwrap(),
    }
}

fn operator(tenant: &str, name: &str, seeds: &[u8]) -> Operator {
    let key = |&seed: &u8| {
        OperatorKey::ed25519(KeyMethod::File, &secret(seed).public(), None).try_into().unwrap()
    };
    Operator {
        keys: seeds.iter().map(key).collect(),
        name: OperatorName::new(name).unwrap(),
        scopes: [ScopeName::new("sre-lead").unwrap()].into(),
        tenant: TenantId::new(tenant).unwrap(),
    }
}

//= APR-5
#[test]
fn projections_stand_in_order_each_once_and_fit_together() {
    let mut kept = draft();
    let gateway = peer(30).gid;
    for (ours, theirs) in [("b", "x"), ("a", "y"), ("a", "x")] {
        kept.put_projection(&gateway, projection(ours, theirs)).unwrap();
    }
    let mut longer = projection("a", "x");
    longer.exp = NOW.plus_ms(2 * HOUR_MS);
    kept.put_projection(&gateway, longer.clone()).unwrap();
    let federation = open(&kept.clone().finish(NOW).unwrap());
    let found = &federation.peer(&gateway).unwrap().projections;
    assert_eq!(found, &[longer.clone(), projection("a", "y"), projection("b", "x")]);
    assert!(kept.remove_projection(&gateway, longer.place()).unwrap());
    assert!(!kept.remove_projection(&gateway, longer.place()).unwrap());
    assert_eq!(kept.raw.peers.iter().map(|peer| peer.projections.len()).sum::<usize>(), 2);
    assert!(kept.put_projection(&peer(70).gid, projection("a", "b")).is_err());

    let bad = |change: &dyn Fn(&mut Projection)| {
        let mut bad = projection("a", "b");
        change(&mut bad);
        refused(|draft| draft.put_projection(&peer(30).gid, bad).unwrap())
    };
    let reserved = bad(&|one| one.remote_scope = ScopeName::new("operator.admin").unwrap());
    assert!(matches!(reserved, InvalidFederation::BadProjection { .. }));
    assert!(matches!(bad(&|one| one.exp = NOW), InvalidFederation::BadProjection { .. }));
    let twice = refused(|draft| {
        draft.raw.peers[0].projections = vec![projection("a", "b"), projection("a", "b")];
    });
    assert_eq!(twice, InvalidFederation::Unsorted { what: "projections" });
}

#[test]
fn operators_stand_in_order_and_no_key_is_of_two() {
    let mut kept = draft();
    kept.put_operator(operator("ops", "bob", &[201]));
    kept.put_operator(operator("ops", "alice", &[202, 203, 204]));
    kept.put_operator(operator("acme", "bob", &[201]));
    let document = kept.clone().finish(NOW).unwrap();
    let names: Vec<_> = document.operators.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["bob", "alice", "bob"]);
    kept.put_operator(operator("ops", "alice", &[205]));
    assert_eq!(kept.raw.operators.len(), 3);
    let (tenant, name) = (TenantId::new("ops").unwrap(), OperatorName::new("alice").unwrap());
    assert!(kept.remove_operator(&tenant, &name));
    assert!(!kept.remove_operator(&tenant, &name));
    let shared = refused(|draft| {
        draft.put_operator(operator("ops", "bob", &[201]));
        draft.put_operator(operator("acme", "alice", &[201]));
    });
    assert!(matches!(shared, InvalidFederation::SharedOperatorKey { .. }));
    let keyless = refused(|draft| draft.put_operator(operator("ops", "bob", &[])));
    assert!(matches!(keyless, InvalidFederation::BadOperator { .. }));
}
