#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;
use crate::trust::federation::FederationDraft;
use crate::trust::testing::{Holders, NOW, chain_of, kid, secret};
use crate::wire::approval::{ApprovalRule, Constraints, KeyMethod, OperatorKey};
use crate::wire::digest::Digest;
use crate::wire::document::{Ask, Disclose, Disclosure, Endpoint, Mode, PeerStatus, RootKey, raw};
use crate::wire::limit;
use crate::wire::name::{AgentName, SubjectKind};

fn peer(base: u8, alias: &str) -> Peer {
    let chain = chain_of(&Holders::new(base).first());
    Peer {
        alias: Alias::new(alias).unwrap(),
        endpoints: vec![Endpoint {
            tls_spki: None,
            url: "https://eu.example:7443".to_owned().try_into().unwrap(),
        }],
        genesis: chain.genesis_digest(),
        gid: chain.gateway().clone(),
        grants: vec![grant()],
        min_root_version: 1,
        projections: Vec::new(),
        status: PeerStatus::Active,
    }
}

fn grant() -> Grant {
    Grant {
        agents: [AgentName::new("helper").unwrap()].into(),
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
        local: TenantId::new("ops").unwrap(),
        modes: [Mode::Session].into(),
        remote: TenantId::new("acme").unwrap(),
        starts_per_second: None,
        tokens_per_day: None,
        tools: [].into(),
    }
}

fn root() -> FederationRoot {
    let key = RootKey::new(secret(90).public(), NOW, NOW.plus_ms(1000));
    FederationRoot {
        keys: [(kid(90), key)].into(),
        max_members: 4,
        members: [].into(),
        name: Alias::new("prod").unwrap(),
        tenants: [TenantId::new("acme").unwrap()].into(),
        threshold: 1,
    }
}

fn document(peers: &[Peer], roots: &[FederationRoot]) -> Federation {
    let own = chain_of(&Holders::new(10).first());
    let mut draft = FederationDraft::first(own.gateway().clone());
    peers.iter().for_each(|peer| draft.put_peer(peer.clone()));
    roots.iter().for_each(|root| draft.put_federation_root(root.clone()));
    draft.finish(NOW).unwrap()
}

fn said(difference: &Difference) -> Vec<String> {
    let line = |item: &Item| {
        let members = item.members.iter().map(|member| {
            format!("{} -[{}] +[{}]", member.name, member.lost.join(","), member.got.join(","))
        });
        let members: Vec<_> = members.collect();
        format!("{} {}: {}", item.subject, item.deed, members.join("; "))
    };
    difference.items().iter().map(line).collect()
}

#[test]
fn what_comes_goes_and_changes_is_told_apart() {
    let first = document(&[peer(30, "eu")], &[]);
    let all = Difference::between(None, &first);
    assert_eq!(all.summary(), "1 peer added, 1 grant added");
    assert!(Difference::between(Some(&first), &first).is_empty());
    assert_eq!(Difference::between(Some(&first), &first).summary(), "no change");

    let mut changed = peer(30, "europe");
    changed.grants[0].agents.insert(AgentName::new("sre").unwrap());
    changed.grants[0].disclose.tool_args = Disclosure::Full;
    changed.grants[0].concurrent_max = None;
    let mut newcomer = peer(50, "us");
    newcomer.grants[0].agents = [AgentName::new("other").unwrap()].into();
    let second = document(&[changed, newcomer], &[root()]);
    let difference = Difference::between(Some(&first), &second);
    let lines = said(&difference);
    assert!(lines.contains(&"peer europe changed: alias -[eu] +[europe]".to_owned()), "{lines:?}");
    let grant = "grant europe ops:acme changed: agents -[] +[sre]; concurrent_max -[4] +[]; \
                 disclose.tool_args -[digest] +[full]";
    assert!(lines.contains(&grant.to_owned()), "{lines:?}");
    let counts =
        "1 peer added, 1 peer changed, 1 grant added, 1 grant changed, 1 federation root added";
    assert_eq!(difference.summary(), counts);
    let back = Difference::between(Some(&second), &first);
    assert!(
        back.summary().contains("1 peer removed")
            && back.summary().contains("1 federation root removed")
    );
}

/// A change that the difference did not show would be signed unseen.
#[test]
fn every_member_of_the_document_shows_when_it_changes() {
    let base = raw::Federation::from(document(&[peer(30, "eu")], &[root()]));
    let proven = |raw: raw::Federation| Federation::try_from(raw).unwrap();
    let from = proven(base.clone());
    type Deed<'a> = (&'a str, Box<dyn Fn(&mut raw::Federation)>);
    let mut deeds: Vec<Deed<'_>> = Vec::new();
    macro_rules! deed {
        ($name:literal, $raw:ident, $change:expr) => {
            deeds.push((
                $name,
                Box::new(|$raw: &mut raw::Federation| {
                    $change;
                }),
            ));
        };
    }
    deed!("alias", raw, raw.peers[0].alias = Alias::new("x").unwrap());
    deed!("endpoints", raw, raw.peers[0].endpoints.clear());
    deed!("endpoints", raw, raw.peers[0].endpoints[0].tls_spki = Some(raw.peers[0].genesis));
    deed!("min_root_version", raw, raw.peers[0].min_root_version = 2);
    deed!("status", raw, raw.peers[0].status = PeerStatus::Suspended);
    deed!("agents", raw, raw.peers[0].grants[0].agents = [AgentName::new("z").unwrap()].into());
    deed!("asks", raw, { raw.peers[0].grants[0].asks.insert(Ask::ApprovalGrant) });
    deed!("bytes_max", raw, raw.peers[0].grants[0].bytes_max = Some(1));
    deed!("concurrent_max", raw, raw.peers[0].grants[0].concurrent_max = None);
    deed!("cost_micro_usd_per_day", raw, raw.peers[0].grants[0].cost_micro_usd_per_day = Some(1));
    deed!("deadline_ms_max", raw, raw.peers[0].grants[0].deadline_ms_max = 1);
    deed!("disclose.output", raw, raw.peers[0].grants[0].disclose.output = Disclosure::None);
    deed!(
        "disclose.tool_results",
        raw,
        raw.peers[0].grants[0].disclose.tool_results = Disclosure::Full
    );
    deed!("frames_max", raw, raw.peers[0].grants[0].frames_max = Some(1));
    deed!("local", raw, raw.peers[0].grants[0].local = TenantId::new("z").unwrap());
    deed!("modes", raw, { raw.peers[0].grants[0].modes.insert(Mode::Turn) });
    deed!("remote", raw, raw.peers[0].grants[0].remote = TenantId::new("z").unwrap());
    deed!("starts_per_second", raw, raw.peers[0].grants[0].starts_per_second = Some(1));
    deed!("tokens_per_day", raw, raw.peers[0].grants[0].tokens_per_day = Some(1));
    deed!("keys", raw, {
        let key = raw.roots[0].keys.values_mut().next().unwrap();
        key.exp = key.exp.plus_ms(1);
    });
    deed!("members", raw, raw.roots[0].members = [raw.peers[0].gid.clone()].into());
    deed!("max_members", raw, raw.roots[0].max_members = 5);
    deed!("tenants", raw, { raw.roots[0].tenants.insert(TenantId::new("z").unwrap()) });
    deed!("threshold", raw, {
        raw.roots[0].keys.insert(kid(91), RootKey::new(secret(91).public(), NOW, NOW.plus_ms(1)));
        raw.roots[0].threshold = 2;
    });
    for (name, deed) in deeds {
        let mut raw = base.clone();
        deed(&mut raw);
        let difference = Difference::between(Some(&from), &proven(raw));
        let shown = difference.items().iter().flat_map(|item| &item.members);
        assert!(shown.map(|member| &member.name).any(|shown| shown == name), "{name}");
    }
}

#[test]
fn another_gateway_under_an_old_name_is_no_change_of_the_old_one() {
    let first = document(&[peer(30, "eu")], &[]);
    let second = document(&[peer(50, "eu")], &[]);
    let summary = Difference::between(Some(&first), &second).summary();
    assert_eq!(summary, "1 peer added, 1 peer removed, 1 grant added, 1 grant removed");
}

fn projection() -> Projection {
    Projection {
        constraints: Constraints {
            max_ttl_ms: 600_000,
            methods: KeyMethod::ALL.into(),
            min_signers: 1,
            observed: false,
            subject_kinds: [SubjectKind::new("exec").unwrap()].into(),
        },
        entry: Digest::of(b"entry", &[]),
        exp: NOW.plus_ms(1),
        local: TenantId::new("ops").unwrap(),
        local_scope: ScopeName::new("prod-change").unwrap(),
        nbf: NOW,
        remote: TenantId::new("acme").unwrap(),
        remote_scope: ScopeName::new("sre-lead").unwrap(),
    }
}

fn operator() -> Operator {
    let key = OperatorKey::ed25519(KeyMethod::File, &secret(201).public(), None);
    Operator {
        keys: vec![key.try_into().unwrap()],
        name: OperatorName::new("alice").unwrap(),
        scopes: [ScopeName::new("sre-lead").unwrap()].into(),
        tenant: TenantId::new("ops").unwrap(),
    }
}

#[test]
fn projections_and_operators_are_told_in_words() {
    let first = document(&[peer(30, "eu")], &[]);
    let mut raw = raw::Federation::from(first.clone());
    raw.peers[0].projections = vec![projection()];
    raw.operators = vec![operator()];
    let second = Federation::try_from(raw.clone()).unwrap();
    let difference = Difference::between(Some(&first), &second);
    assert_eq!(difference.summary(), "1 projection added, 1 operator added");
    let words: Vec<_> = difference.items().iter().map(|item| item.subject.to_string()).collect();
    let projection = "projection of sre-lead in acme at eu to prod-change in ops";
    assert_eq!(words, [projection, "operator alice of ops"]);
    raw.peers[0].projections[0].constraints.observed = true;
    let third = Federation::try_from(raw).unwrap();
    let difference = Difference::between(Some(&second), &third);
    assert_eq!(
        said(&difference),
        [format!("{projection} changed: constraints.observed -[false] +[true]")]
    );
    let gone = Difference::between(Some(&third), &first);
    assert_eq!(gone.summary(), "1 projection removed, 1 operator removed");
    let json = serde_json::to_value(&gone).unwrap();
    assert_eq!(json[0]["what"], "projection");
    assert_eq!(json[1]["what"], "operator");
}

#[test]
fn every_member_about_approvals_shows_when_it_changes() {
    let mut base = raw::Federation::from(document(&[peer(30, "eu")], &[]));
    base.peers[0].projections = vec![projection()];
    base.operators = vec![operator()];
    let from = Federation::try_from(base.clone()).unwrap();
    macro_rules! deed {
        ($name:literal, $raw:ident, $change:expr) => {{
            let mut $raw = base.clone();
            $change;
            let to = Federation::try_from($raw).unwrap();
            let difference = Difference::between(Some(&from), &to);
            let shown = difference.items().iter().flat_map(|item| &item.members);
            assert!(shown.map(|member| &member.name).any(|shown| shown == $name), "{}", $name);
        }};
    }
    deed!("approval.quorum", raw, {
        let scope = ScopeName::new("a").unwrap();
        raw.peers[0].grants[0].approval = Some(ApprovalRule { quorum: 1, scope });
    });
    deed!("constraints.max_ttl_ms", raw, {
        raw.peers[0].projections[0].constraints.max_ttl_ms = 1;
    });
    deed!("constraints.methods", raw, {
        raw.peers[0].projections[0].constraints.methods = [KeyMethod::SshSk].into();
    });
    deed!("constraints.min_signers", raw, {
        raw.peers[0].projections[0].constraints.min_signers = 2;
    });
    deed!("constraints.observed", raw, {
        raw.peers[0].projections[0].constraints.observed = true;
    });
    deed!("constraints.subject_kinds", raw, {
        raw.peers[0].projections[0].constraints.subject_kinds =
            [SubjectKind::new("tool").unwrap()].into();
    });
    deed!("entry", raw, raw.peers[0].projections[0].entry = Digest::of(b"other", &[]));
    deed!("exp", raw, raw.peers[0].projections[0].exp = NOW.plus_ms(2));
    deed!("nbf", raw, raw.peers[0].projections[0].nbf = NOW.plus_ms(-1));
    deed!("remote_scope", raw, {
        raw.peers[0].projections[0].remote_scope = ScopeName::new("z").unwrap();
    });
    deed!("scopes", raw, raw.operators[0].scopes = [ScopeName::new("z").unwrap()].into());
    deed!("keys", raw, {
        let application = Some("ssh:".to_owned());
        let key = OperatorKey::ed25519(KeyMethod::SshSk, &secret(201).public(), application);
        raw.operators[0].keys = vec![key.try_into().unwrap()];
    });
}
