//! A thousand decisions, half of them adversarial, verified offline: good ones are accepted, and each bad one is
//! refused for what is wrong with it.

use std::collections::BTreeMap;

use landbridge_proto::machine::approval_record::{Outcome, verify};
use landbridge_proto::wire::approval::{Binding, KeyMethod, Vote};
use landbridge_proto::wire::approval_record::Standing;
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::PeerStatus;
use landbridge_proto::wire::kind::Role;
use landbridge_proto::wire::name::SubjectKind;

use super::key::Key;
use super::scene::{AT, MINUTE_MS, Scene, operator, scope, tenant, text};
use crate::gateway::{Gateway, HOUR_MS};

const GOOD: usize = 500;
const BAD: usize = 500;
const SEED: u64 = 0x6766_7061_7070_7631;

/// SplitMix64: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % sides as u64).unwrap()
    }

    /// A key of a kind, and of a person: no two people share a seed.
    fn key(&mut self, method: KeyMethod, person: u8) -> Key {
        let low = u8::try_from(self.roll(16)).unwrap();
        Key::new(method, 150 + 20 * person + low)
    }

    fn method(&mut self) -> KeyMethod {
        KeyMethod::ALL[self.roll(4)]
    }
}

const PEOPLE: [&str; 4] = ["alice", "bob", "carol", "dan"];

/// One thing that is wrong with a decision.
struct Fault {
    /// The reason that must be given, and something of its words.
    reason: &'static str,
    says: &'static str,
    /// The kind of key that it needs.
    method: Option<KeyMethod>,
    /// Only this decision is touched: good ones of others may stand before it.
    own: bool,
    change: fn(&mut Scene),
}

macro_rules! fault {
    ($reason:literal, $says:literal, $method:expr, $own:literal, $change:expr) => {
        Fault { reason: $reason, says: $says, method: $method, own: $own, change: $change }
    };
}

const FILE: Option<KeyMethod> = Some(KeyMethod::File);
const SSH: Option<KeyMethod> = Some(KeyMethod::Ssh);
const SSH_SK: Option<KeyMethod> = Some(KeyMethod::SshSk);
const PASSKEY: Option<KeyMethod> = Some(KeyMethod::Webauthn);

/// Every reason that a record can be refused for because of a decision.
const FAULTS: &[Fault] = &[
    fault!("catalog_unverified", "role catalog", None, true, |s| s.catalog_role = Role::Policy),
    fault!("catalog_of_another", "catalog of", None, true, |s| s.catalog.iss = s.relying.id()),
    fault!("catalog_of_another", "catalog of", None, true, |s| s.catalog.tenant = tenant("x")),
    fault!("unmapped", "no projection", None, false, |s| s.projections.clear()),
    fault!("unmapped", "no projection", None, false, |s| s.projections[0].local = tenant("x")),
    fault!("unmapped", "no projection", None, false, |s| {
        s.projections[0].local_scope = scope("prod-changes");
    }),
    fault!("catalog_expired", "the catalog is outside its life", None, true, |s| {
        s.catalog.version += 1;
        s.catalog.expires = AT;
    }),
    fault!("scope_gone", "no scope", None, true, |s| {
        s.catalog.version += 1;
        s.catalog.scopes.clear();
    }),
    fault!("entry_changed", "changed since", None, true, |s| {
        s.catalog.version += 1;
        s.catalog.scopes[0].description.push('!');
    }),
    fault!("projection_not_now", "projection is good", None, false, |s| s.projections[0].exp = AT),
    fault!("projection_not_now", "projection is good", None, false, |s| {
        s.projections[0].nbf = AT.plus_ms(2 * MINUTE_MS);
    }),
    fault!("kind_not_allowed", "kind of subject", None, false, |s| {
        s.request.subject.kind = SubjectKind::new("tool").unwrap();
    }),
    fault!("observed_not_allowed", "observed", None, false, |s| {
        s.request.subject.binding = Binding::Observed;
    }),
    fault!("method_not_allowed", "kind of key", FILE, false, |s| {
        s.projections[0].constraints.methods = [KeyMethod::SshSk, KeyMethod::Webauthn].into();
    }),
    fault!("lives_too_long", "allows", None, true, |s| s.approval.exp = AT.plus_ms(HOUR_MS)),
    fault!("method_not_assured", "not exercised", SSH, false, |s| {
        s.put_scope(|scope| scope.assurance.methods = [KeyMethod::Webauthn].into());
    }),
    fault!("credential_unverified", "role operator-ca", None, true, |s| {
        s.credential_role = Role::Request;
    }),
    fault!("credential_unverified", "canonical", None, true, |s| {
        s.credential.issued = AT.plus_ms(-24 * HOUR_MS);
    }),
    fault!("credential_not_now", "credential is good", None, true, |s| s.credential.expires = AT),
    fault!("credential_of_another", "iss", None, true, |s| s.credential.iss = s.relying.id()),
    fault!("credential_of_another", "tenant", None, true, |s| s.credential.tenant = tenant("x")),
    fault!("credential_of_another", "sub", None, true, |s| s.credential.sub = operator("zoe")),
    fault!("credential_of_another", "credential differs", None, true, |s| {
        s.unbound = true;
        s.approval.request = s.request_envelope().digest();
    }),
    fault!("scope_not_held", "does not hold", None, true, |s| {
        s.credential.scopes = [scope("x")].into();
    }),
    fault!("key_not_listed", "not the operator's", None, true, |s| {
        s.credential.keys = vec![Key::new(KeyMethod::File, 249).listed()];
    }),
    fault!("key_revoked", "revoked", None, true, |s| s.revoke(s.key.kid())),
    fault!("of_another", "iss", None, true, |s| s.approval.iss = s.relying.id()),
    fault!("of_another", "aud", None, true, |s| s.approval.aud = s.deciding.id()),
    fault!("of_another", "tenant", None, true, |s| s.approval.tenant.relying = tenant("x")),
    fault!("of_another", "request", None, true, |s| {
        s.unbound = true;
        s.approval.credential = s.credential_envelope().digest();
    }),
    fault!("other_subject", "another subject", None, true, |s| {
        s.approval.subject = Digest::of(b"other", &[]);
    }),
    fault!("scope_not_asked", "not asked", None, false, |s| {
        s.request.scopes = [scope("db-lead")].into();
    }),
    fault!("not_now", "approval is good", None, true, |s| s.approval.exp = AT),
    fault!("not_now", "approval is good", None, true, |s| {
        s.approval.iat = AT.plus_ms(8 * MINUTE_MS);
    }),
    fault!("before_question", "older than its question", None, false, |s| {
        s.request.issued = AT.plus_ms(MINUTE_MS);
    }),
    fault!("before_credential", "older than its credential", None, true, |s| {
        s.credential.issued = AT.plus_ms(MINUTE_MS);
    }),
    fault!("bad_proof", "signature does not hold", FILE, true, |s| s.key.forged = true),
    fault!("bad_proof", "signed as file", FILE, true, |s| {
        s.credential.keys = vec![Key::new(KeyMethod::Ssh, s.key.seed).listed()];
    }),
    fault!("bad_proof", "SSH signature: the signature", SSH, true, |s| s.key.forged = true),
    fault!("bad_proof", "namespace", SSH, true, |s| s.key.namespace = "git"),
    fault!("bad_proof", "namespace", SSH_SK, true, |s| s.key.namespace = ""),
    fault!("bad_proof", "sha512", SSH, true, |s| s.key.sha256 = true),
    fault!("bad_proof", "present at the security key", SSH_SK, true, |s| s.key.touched = false),
    fault!("bad_proof", "another application", SSH_SK, true, |s| s.key.application = "ssh:x"),
    fault!("bad_proof", "passkey: the signature", PASSKEY, true, |s| s.key.forged = true),
    fault!("bad_proof", "no assertion", PASSKEY, true, |s| s.key.client_type = "webauthn.create"),
    fault!("bad_proof", "another challenge", PASSKEY, true, |s| s.key.other_challenge = true),
    fault!("bad_proof", "another origin", PASSKEY, true, |s| {
        s.key.origin = "https://evil-ops.example.org";
    }),
    fault!("bad_proof", "frame", PASSKEY, true, |s| s.key.cross_origin = true),
    fault!("bad_proof", "relying party", PASSKEY, true, |s| s.key.rp_id = "evil.org"),
    fault!("bad_proof", "nobody was present", PASSKEY, true, |s| s.key.flags = 0x04),
    fault!("bad_proof", "not verified", PASSKEY, true, |s| s.key.flags = 0x01),
    fault!("malformed", "no approval", None, true, |s| s.approval.exp = AT.plus_ms(25 * HOUR_MS)),
    fault!("by_requester", "own request", None, true, |s| {
        s.request.requester.principal = s.approval.sub.to_string();
    }),
    fault!("too_late", "question was good", None, false, |s| s.request.expires = AT),
];

/// What is wrong with a record as a whole.
const WHOLE: [&str; 10] = [
    "catalog_went_back",
    "catalog_equivocated",
    "subject",
    "suspended",
    "one person twice",
    "one key twice",
    "too few",
    "deny as approve",
    "forged policy",
    "deny told as undecided",
];

/// The scene of one person, `AT`; `number` makes its approvals differ from those of other records.
fn scene(dice: &mut Dice, base: &Scene, person: usize, method: KeyMethod) -> Scene {
    let seed = u8::try_from(person).unwrap();
    let key = dice.key(method, seed);
    let number = u32::try_from(dice.roll(1 << 30)).unwrap();
    let mut scene = base.by(PEOPLE[person], key, number);
    scene.approval.iat = AT.plus_ms(-1 - i64::try_from(dice.roll(60_000)).unwrap());
    scene
}

fn good(dice: &mut Dice, base: &Scene) -> (Vec<Scene>, Standing) {
    let mut base = base.clone();
    let quorum = 1 + dice.roll(3);
    base.request.quorum = u32::try_from(quorum).unwrap();
    if dice.roll(4) == 0 {
        base.request.subject.binding = Binding::Observed;
        base.projections[0].constraints.observed = true;
    }
    if dice.roll(4) == 0 {
        base.projections[0].constraints.min_signers = base.request.quorum;
        base.request.quorum = 1;
    }
    let (end, people) = match dice.roll(10) {
        0 => (Standing::Denied, 1 + dice.roll(quorum)),
        1 if quorum > 1 => (Standing::Undecided, dice.roll(quorum)),
        _ => (Standing::Approved, quorum),
    };
    let mut all: Vec<_> = (0..people)
        .map(|person| {
            let method = dice.method();
            scene(dice, &base, person, method)
        })
        .collect();
    if end == Standing::Denied {
        all[people - 1].approval.decision = Vote::Deny;
    }
    if all.is_empty() {
        all.push(base);
        return (all, Standing::Undecided);
    }
    (all, end)
}

fn with_fault(dice: &mut Dice, base: &Scene, fault: &Fault) -> Vec<Scene> {
    let mut base = base.clone();
    let before = if fault.own { dice.roll(3) } else { 0 };
    base.request.quorum = u32::try_from(before + 1).unwrap();
    let method = match fault.method {
        Some(method) => method,
        None => dice.method(),
    };
    let mut bad = scene(dice, &base, before, method);
    (fault.change)(&mut bad);
    let mut all: Vec<_> = (0..before)
        .map(|person| {
            let method = dice.method();
            let mut one = scene(dice, &base, person, method);
            // The question and what its gateway says of keys are one for all.
            one.request = bad.request.clone();
            one.revoked = bad.revoked.clone();
            one
        })
        .collect();
    all.push(bad);
    all
}

/// A record with something wrong beyond one decision; the reason, and something of its words.
fn broken(dice: &mut Dice, base: &Scene, what: &str) -> (Vec<u8>, Option<&'static str>, String) {
    let mut base = base.clone();
    base.request.quorum = 2;
    let (first, second) = (dice.method(), dice.method());
    let mut alice = scene(dice, &base, 0, first);
    let mut bob = scene(dice, &base, 1, second);
    let mut reason = None;
    let mut says = "come to";
    let mut verdict = Standing::Approved;
    let mut all = match what {
        "catalog_went_back" => {
            (reason, says) = (Some("catalog_went_back"), "older than");
            bob.catalog.version -= 1;
            vec![alice.clone(), bob]
        }
        "catalog_equivocated" => {
            (reason, says) = (Some("catalog_equivocated"), "two catalogs");
            bob.catalog.expires = bob.catalog.expires.plus_ms(1);
            vec![alice.clone(), bob]
        }
        "one person twice" => {
            let key = dice.key(second, 1);
            vec![alice.clone(), alice.by("alice", key, 77)]
        }
        "one key twice" => vec![alice.clone(), alice.by("bob", alice.key.clone(), 77)],
        "too few" => vec![alice.clone()],
        "deny as approve" => {
            bob.approval.decision = Vote::Deny;
            vec![alice.clone(), bob]
        }
        "deny told as undecided" => {
            alice.approval.decision = Vote::Deny;
            verdict = Standing::Undecided;
            vec![alice.clone()]
        }
        _ => vec![alice.clone(), bob],
    };
    all.iter_mut().for_each(|one| one.now = AT);
    let mut record = Scene::record(&all.iter().collect::<Vec<_>>());
    match what {
        "subject" => {
            says = "subject is not";
            record.subject.push(' ');
        }
        "suspended" => {
            says = "no active peer";
            record.federation = vec![alice.federation(PeerStatus::Suspended)];
        }
        "forged policy" => {
            says = "federation document";
            let mut forged = alice.clone();
            forged.relying = Gateway::new(99);
            record.federation = vec![forged.federation(PeerStatus::Active)];
        }
        _ => {}
    }
    (text(&Scene::lines(&record, verdict)), reason, says.to_owned())
}

/// The acceptance of the whole: 1,000 records from one seed.
//= APR-37
//= APR-39
#[test]
fn a_thousand_decisions_half_of_them_adversarial_are_told_apart() {
    let mut dice = Dice(SEED);
    let base = Scene::new(Key::new(KeyMethod::File, 250));
    let pin = base.relying.id();
    let mut histogram = BTreeMap::<String, usize>::new();
    let mut decisions = 0;
    for number in 0..GOOD {
        let (all, standing) = good(&mut dice, &base);
        decisions += all.len();
        let mut record = Scene::record(&all.iter().collect::<Vec<_>>());
        if all[0].approval.sub == operator("alice") && all[0].key.seed == 250 {
            record.asked[0].decisions.clear();
        }
        let written = text(&Scene::lines(&record, standing));
        if number % 20 == 0 {
            assert_eq!(record.write().unwrap().as_bytes(), written);
        }
        let report = verify(&written, &pin);
        assert_eq!(report.outcome, standing.into(), "{:?}", report.summary);
        assert_eq!(report.summary.warnings, Vec::<String>::new());
        *histogram.entry(format!("good: {}", standing.as_str())).or_default() += 1;
    }
    for number in 0..BAD {
        let at = number % (FAULTS.len() + WHOLE.len());
        let (bytes, reason, says) = match FAULTS.get(at) {
            Some(fault) => {
                let all = with_fault(&mut dice, &base, fault);
                decisions += all.len();
                let mut record = Scene::record(&all.iter().collect::<Vec<_>>());
                // The status is the last person's: what is revoked is known to all.
                record.asked[0].told = all[all.len() - 1].told().1;
                let lines = Scene::lines(&record, Standing::Approved);
                (text(&lines), Some(fault.reason), fault.says.to_owned())
            }
            None => broken(&mut dice, &base, WHOLE[at - FAULTS.len()]),
        };
        let report = verify(&bytes, &pin);
        let Outcome::NotProven { what, reason: found, .. } = report.outcome else {
            panic!("{number} ({reason:?}, {says}): {:?}", report.outcome);
        };
        assert_eq!(found, reason, "{number}: {what}");
        assert!(what.contains(&says), "{number}: {what}, not {says}");
        let name =
            reason.map_or_else(|| format!("bad: the record: {says}"), |one| format!("bad: {one}"));
        *histogram.entry(name).or_default() += 1;
    }
    println!("{} records of {decisions} decisions and more", GOOD + BAD);
    for (name, count) in &histogram {
        println!("{count:5}  {name}");
    }
    assert_eq!(histogram.values().sum::<usize>(), 1_000);
}
