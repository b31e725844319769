#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use super::catalog::InvalidCatalog;
use super::credential::InvalidCredential;
use super::decision::InvalidApproval;
use super::projection::InvalidProjection;
use super::*;
use crate::wire::digest::Digest;
use crate::wire::document::FormVersion;
use crate::wire::json::canonical;
use crate::wire::key::PublicKey;
use crate::wire::limit;
use crate::wire::name::{
    GatewayId, Jti, OperatorName, ScopeName, SubjectKind, TenantId, Timestamp,
};

const DAY_MS: i64 = 24 * 3_600_000;

fn name<T: TryFrom<String>>(text: &str) -> T
where
    T::Error: std::fmt::Debug,
{
    T::try_from(text.to_owned()).unwrap()
}

fn gateway(text: &str) -> GatewayId {
    crate::wire::document::gateway_id(&Digest::of(text.as_bytes(), &[]))
}

fn scope(text: &str) -> Scope {
    Scope {
        assurance: Assurance { methods: KeyMethod::ALL.into(), min_signers: 1 },
        deprecated: false,
        description: "what a holder may decide".to_owned(),
        name: name(text),
    }
}

fn catalog() -> raw::Catalog {
    raw::Catalog {
        expires: Timestamp(DAY_MS),
        iss: gateway("a"),
        issued: Timestamp(0),
        scopes: vec![scope("a"), scope("b")],
        tenant: name("acme"),
        v: FormVersion,
        version: 1,
    }
}

//= APR-1
#[test]
fn a_catalog_has_its_scopes_in_order_and_a_short_life() {
    let refused = |change: fn(&mut raw::Catalog)| {
        let mut catalog = catalog();
        change(&mut catalog);
        Catalog::try_from(catalog).unwrap_err()
    };
    let known = Catalog::try_from(catalog()).unwrap();
    assert_eq!(known.scope(&name("b")), Some(&scope("b")));
    assert_eq!(known.scope(&name("c")), None);
    assert_eq!(refused(|one| one.scopes.reverse()), InvalidCatalog::Unsorted);
    assert_eq!(refused(|one| one.scopes[1] = scope("a")), InvalidCatalog::Unsorted);
    assert_eq!(refused(|one| one.version = 0), InvalidCatalog::VersionZero);
    let life = InvalidCatalog::BadLife { max_ms: limit::CATALOG_LIFE_MS_MAX };
    assert_eq!(refused(|one| one.expires = Timestamp(0)), life);
    assert_eq!(refused(|one| one.expires = Timestamp(DAY_MS + 1)), life);
    assert_eq!(refused(|one| one.issued = Timestamp(-1)), life);
    let many = refused(|one| {
        let each = 0..=limit::SCOPES_MAX;
        one.scopes = each.map(|number| scope(&format!("s{number:03}"))).collect();
    });
    assert_eq!(many, InvalidCatalog::TooMany { max: limit::SCOPES_MAX });
    let bad = |change: fn(&mut Scope)| {
        let mut catalog = catalog();
        change(&mut catalog.scopes[0]);
        assert!(matches!(Catalog::try_from(catalog), Err(InvalidCatalog::BadScope { .. })));
    };
    bad(|scope| scope.description.clear());
    bad(|scope| scope.description = "x".repeat(limit::DESCRIPTION_BYTES_MAX + 1));
    bad(|scope| scope.assurance.methods.clear());
    bad(|scope| scope.assurance.min_signers = 0);
    bad(|scope| scope.assurance.min_signers = limit::QUORUM_MAX + 1);
}

#[test]
fn every_word_of_an_entry_is_pinned() {
    let pinned = scope("a").entry().unwrap();
    for change in [
        |scope: &mut Scope| scope.description.push('.'),
        |scope: &mut Scope| scope.deprecated = true,
        |scope: &mut Scope| scope.name = name("b"),
        |scope: &mut Scope| scope.assurance.min_signers = 2,
        |scope: &mut Scope| scope.assurance.methods = [KeyMethod::SshSk].into(),
    ] {
        let mut changed = scope("a");
        change(&mut changed);
        assert_ne!(changed.entry().unwrap(), pinned);
    }
}

fn projection() -> Projection {
    Projection {
        constraints: Constraints {
            max_ttl_ms: 1,
            methods: [KeyMethod::File].into(),
            min_signers: 1,
            observed: false,
            subject_kinds: [name("exec")].into(),
        },
        entry: scope("a").entry().unwrap(),
        exp: Timestamp(DAY_MS),
        local: name("ops"),
        local_scope: name("a"),
        nbf: Timestamp(0),
        remote: name("acme"),
        remote_scope: name("b"),
    }
}

/// Attack 88: scopes of a gateway's own operator surface, which would imply everything.
//= APR-5
#[test]
fn a_projection_is_bounded_and_never_of_what_is_reserved() {
    let refused = |change: fn(&mut Projection)| {
        let mut projection = projection();
        change(&mut projection);
        projection.check().unwrap_err()
    };
    assert_eq!(projection().check(), Ok(()));
    for reserved in ["operator.admin", "operator.", "operator", "operator.x.y"] {
        let mut ours = projection();
        ours.local_scope = name(reserved);
        assert_eq!(ours.check(), Err(InvalidProjection::ReservedScope), "{reserved}");
        let mut theirs = projection();
        theirs.remote_scope = name(reserved);
        assert_eq!(theirs.check(), Err(InvalidProjection::ReservedScope), "{reserved}");
    }
    let mut close = projection();
    close.remote_scope = name("operators");
    assert_eq!(close.check(), Ok(()));
    let life = InvalidProjection::BadLife { max_ms: limit::PROJECTION_LIFE_MS_MAX };
    assert_eq!(refused(|one| one.exp = one.nbf), life);
    assert_eq!(refused(|one| one.exp = Timestamp(limit::PROJECTION_LIFE_MS_MAX + 1)), life);
    let nothing = InvalidProjection::BadConstraints;
    assert_eq!(refused(|one| one.constraints.methods.clear()), nothing);
    assert_eq!(refused(|one| one.constraints.subject_kinds.clear()), nothing);
    assert_eq!(refused(|one| one.constraints.max_ttl_ms = 0), nothing);
    assert_eq!(refused(|one| one.constraints.min_signers = 0), nothing);
    // There is no wildcard: a name is nothing else than a name.
    for wildcard in ["*", "sre-*", "sre*", ".sre", "SRE", ""] {
        assert!(ScopeName::new(wildcard).is_err(), "{wildcard}");
        assert!(SubjectKind::new(wildcard).is_err(), "{wildcard}");
    }
}

fn key(seed: u8) -> OperatorKey {
    let secret = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
    let public = PublicKey::admit(secret.verifying_key().as_bytes()).unwrap();
    OperatorKey::ed25519(KeyMethod::File, &public, None).try_into().unwrap()
}

fn credential() -> raw::OperatorCredential {
    raw::OperatorCredential {
        expires: Timestamp(DAY_MS),
        iss: gateway("a"),
        issued: Timestamp(0),
        keys: vec![key(1)],
        scopes: [name("a")].into(),
        sub: OperatorName::new("alice").unwrap(),
        tenant: TenantId::new("acme").unwrap(),
        v: FormVersion,
    }
}

//= APR-11
#[test]
fn a_credential_lives_a_day_and_has_keys_and_scopes() {
    let refused = |change: fn(&mut raw::OperatorCredential)| {
        let mut credential = credential();
        change(&mut credential);
        OperatorCredential::try_from(credential).unwrap_err()
    };
    assert!(OperatorCredential::try_from(credential()).is_ok());
    let life = InvalidCredential::BadLife { max_ms: limit::CREDENTIAL_LIFE_MS_MAX };
    assert_eq!(refused(|one| one.expires = Timestamp(DAY_MS + 1)), life);
    assert_eq!(refused(|one| one.expires = one.issued), life);
    let keys = InvalidCredential::BadKeys { max: limit::OPERATOR_KEYS_MAX };
    assert_eq!(refused(|one| one.keys.clear()), keys);
    assert_eq!(refused(|one| one.keys.push(key(1))), keys);
    let scopes = InvalidCredential::BadScopes { max: limit::SCOPES_MAX };
    assert_eq!(refused(|one| one.scopes.clear()), scopes);
}

#[test]
fn the_members_of_a_key_are_those_of_its_kind() {
    let base = raw::OperatorKey::from(key(1));
    let with = |change: &dyn Fn(&mut raw::OperatorKey)| {
        let mut key = base.clone();
        change(&mut key);
        OperatorKey::try_from(key).is_ok()
    };
    let origins = || BTreeSet::from(["https://a.org".to_owned()]);
    assert!(with(&|_| {}));
    assert!(with(&|key| key.kind = KeyMethod::Ssh));
    assert!(!with(&|key| key.kind = KeyMethod::SshSk));
    assert!(!with(&|key| key.kind = KeyMethod::Webauthn));
    assert!(!with(&|key| key.application = Some("ssh:".to_owned())));
    assert!(!with(&|key| key.rp_id = Some("a.org".to_owned())));
    assert!(!with(&|key| key.origins = origins()));
    assert!(!with(&|key| key.alg = operator_key::OperatorAlgorithm::Es256));
    assert!(!with(&|key| key.kid = raw::OperatorKey::from(self::key(2)).kid));
    assert!(with(&|key| {
        (key.kind, key.application) = (KeyMethod::SshSk, Some("ssh:".to_owned()));
    }));
    assert!(with(&|key| {
        key.kind = KeyMethod::Webauthn;
        (key.rp_id, key.origins) = (Some("a.org".to_owned()), origins());
    }));
}

//= APR-18
#[test]
fn an_approval_lives_a_day_and_is_for_one_use() {
    let approval = raw::Approval {
        aud: gateway("b"),
        credential: Digest::of(b"c", &[]),
        decision: Vote::Deny,
        exp: Timestamp(DAY_MS),
        iat: Timestamp(0),
        iss: gateway("a"),
        jti: Jti::new("j".repeat(22)).unwrap(),
        max_uses: FormVersion,
        request: Digest::of(b"r", &[]),
        scope: name("a"),
        sub: name("alice"),
        subject: Digest::of(b"s", &[]),
        tenant: ApprovalTenants { deciding: name("acme"), relying: name("ops") },
        v: FormVersion,
    };
    assert!(Approval::try_from(approval.clone()).is_ok());
    let life = InvalidApproval::BadLife { max_ms: limit::APPROVAL_LIFE_MS_MAX };
    let long = raw::Approval { exp: Timestamp(DAY_MS + 1), ..approval.clone() };
    assert_eq!(Approval::try_from(long), Err(life));
    let text = String::from_utf8(canonical::to_vec(&approval).unwrap()).unwrap();
    let often = text.replace("\"max_uses\":1", "\"max_uses\":2");
    assert_ne!(text, often);
    assert!(canonical::from_slice::<Approval>(text.as_bytes()).is_ok());
    assert!(canonical::from_slice::<Approval>(often.as_bytes()).is_err());
    // Nothing but these two words is a decision; silence is none.
    for word in ["", "allow", "approved", "Approve", "timeout"] {
        let other = text.replace("\"decision\":\"deny\"", &format!("\"decision\":\"{word}\""));
        assert!(canonical::from_slice::<Approval>(other.as_bytes()).is_err(), "{word}");
    }
}
