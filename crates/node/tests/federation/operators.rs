//! Our operators: what is vouched for of them, and how their keys end.

use landbridge_node::operators::{self, NotIssued};
use landbridge_node::trust::{Trust, TrustError};
use landbridge_proto::machine::admission::Learned;
use landbridge_proto::trust::key::SecretKey;
use landbridge_proto::wire::approval::{KeyMethod, Operator, OperatorCredential, OperatorKey};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{KeyId, OperatorName, ScopeName, Timestamp};
use zeroize::Zeroizing;

use crate::support::{MINUTE_MS, World, tenant};

fn name() -> OperatorName {
    OperatorName::new("alice").unwrap()
}

fn key(seed: u8) -> OperatorKey {
    let public = SecretKey::from_seed(&Zeroizing::new([seed; 32])).public();
    OperatorKey::try_from(OperatorKey::ed25519(KeyMethod::Ssh, &public, None)).unwrap()
}

fn alice(keys: &[u8]) -> Operator {
    Operator {
        keys: keys.iter().map(|&seed| key(seed)).collect(),
        name: name(),
        scopes: [ScopeName::new("night-shift").unwrap()].into(),
        tenant: tenant("ops"),
    }
}

impl World {
    async fn enrol(&self, operator: Operator) -> Result<u64, TrustError> {
        let mut draft = self.b.draft();
        draft.put_operator(operator);
        self.b.try_put(draft).await
    }

    /// The keys that B's status revokes, as A learns it.
    async fn revoked(&self) -> Vec<KeyId> {
        let status = self.b.core.trust.state().status.clone();
        let view = self.a.core.peer_view(self.b.core.own()).ok();
        let learned = Learned { view, roots: Vec::new(), status };
        self.a.core.trust.learn(&self.a.core, &learned).await.unwrap();
        let view = self.a.core.peer_view(self.b.core.own()).unwrap();
        let told = view.status().unwrap().newest().value().revoked.clone();
        assert!(told.iter().all(|one| view.revocation(&one.kid).is_some()));
        told.into_iter().map(|one| one.kid).collect()
    }

    fn issued(&self) -> Result<OperatorCredential, NotIssued> {
        let issued = operators::credential(&self.b.core, &name(), &tenant("ops"))?;
        let verified: OperatorCredential = self.verified(&issued.envelope);
        assert_eq!(verified, issued.credential);
        Ok(verified)
    }
}

//= APR-10
#[tokio::test]
async fn a_credential_says_what_the_document_says_and_is_issued_to_nobody_else() {
    let world = World::new().await;
    let core = &world.b.core;
    assert!(matches!(world.issued(), Err(NotIssued::Unknown { .. })));
    world.enrol(alice(&[1, 2])).await.unwrap();
    let said = world.issued().unwrap();
    let wanted = &core.trust.state().federation.clone().unwrap();
    let wanted = &wanted.document().operators[0];
    assert_eq!((&said.keys, &said.scopes), (&wanted.keys, &wanted.scopes));
    assert_eq!((&said.iss, &said.sub, &said.tenant), (core.own(), &name(), &tenant("ops")));
    assert!(matches!(
        operators::credential(core, &name(), &tenant("other")),
        Err(NotIssued::Unknown { .. })
    ));
    let bob = OperatorName::new("bob").unwrap();
    assert!(operators::credential(core, &bob, &tenant("ops")).is_err());

    // Fewer keys stand there: fewer are vouched for, at once.
    world.enrol(alice(&[2])).await.unwrap();
    assert_eq!(world.issued().unwrap().keys, [key(2)]);
}

//= APR-10
#[tokio::test]
async fn a_credential_lives_as_long_as_is_set_and_comes_out_the_same_again() {
    let world = World::new().await;
    let core = &world.b.core;
    world.enrol(alice(&[1])).await.unwrap();
    let life_ms = core.settings.credential_life_ms;
    assert_eq!(life_ms, limit::CREDENTIAL_LIFE_MS_MAX / 2);
    let half_ms = life_ms / 2;
    for _ in 0..9 {
        let said = world.issued().unwrap();
        let left_ms = said.expires.since_ms(core.now());
        assert!((half_ms..=life_ms).contains(&left_ms), "{left_ms}");
        assert!(said.issued <= core.now() && said.expires.since_ms(said.issued) <= life_ms);
        assert_eq!(world.issued().unwrap(), said, "it is a function of what is known");
        world.clock.advance_ms(half_ms / 3);
        core.trust.refresh_status(core).await.unwrap();
        world.revoked().await;
    }
    // One that was handed out is found again, until the other half of its life is over.
    let digest_at = |digest: Digest| {
        operators::credential_of(core, &name(), &tenant("ops"), digest).unwrap().is_some()
    };
    let issued = operators::credential(core, &name(), &tenant("ops")).unwrap();
    let digest = issued.envelope.digest();
    assert!(digest_at(digest));
    let last = issued.credential.expires;
    world.clock.advance_ms(last.since_ms(core.now()) - 1);
    assert!(digest_at(digest));
    world.clock.advance_ms(1);
    assert!(!digest_at(digest));
}

//= APR-50
//= APR-51
#[tokio::test]
async fn a_key_that_is_taken_away_is_revoked_in_the_same_step_and_never_comes_back() {
    let world = World::new().await;
    let core = &world.b.core;
    world.enrol(alice(&[1, 2])).await.unwrap();
    assert_eq!(world.revoked().await, []);
    world.enrol(alice(&[2])).await.unwrap();
    assert_eq!(world.revoked().await, [key(1).kid.clone()]);
    let mut draft = world.b.draft();
    assert!(draft.remove_operator(&tenant("ops"), &name()));
    world.b.put(draft).await;
    let mut both = vec![key(1).kid.clone(), key(2).kid.clone()];
    both.sort();
    assert_eq!(world.revoked().await, both);
    assert_eq!(world.b.deeds("operator_key_revoked"), 2);
    assert!(matches!(world.issued(), Err(NotIssued::Unknown { .. })));

    // Peers remember it for good, so nobody is enrolled with it again, neither here nor after a restart.
    let again = |at: Timestamp| {
        let trust = Trust::load(&core.identity.present(), &core.store, at).unwrap();
        trust.revoked_keys().into_iter().map(|one| one.kid).collect::<Vec<_>>()
    };
    assert_eq!(again(core.now()), both);
    let refused = world.enrol(alice(&[1])).await.unwrap_err();
    assert!(matches!(refused, TrustError::RevokedOperatorKey { .. }), "{refused}");
    // The status tells it until nothing that the key could have signed is good any more.
    world.clock.advance_ms(80 * 60 * MINUTE_MS);
    core.trust.refresh_status(core).await.unwrap();
    assert_eq!(core.trust.revoked_keys(), []);
    assert!(world.enrol(alice(&[1])).await.is_err());
    assert!(world.enrol(alice(&[3])).await.is_ok());
}
