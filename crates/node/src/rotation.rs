//! Rotation: one more root of our own is put in force while the bridge works.
//!
//! The daemon holds no key that could make a root. It verifies one that it is given, keeps it, and goes by
//! it; the moment of the change is the root's file. Before it everything is as it was, after it every start
//! finds the new root. A successor key listed in it signs by the clock (`identity/online.rs`), so nobody
//! needs to be there when its time comes.

pub mod plan;

use std::collections::BTreeMap;

use landbridge_planted::planted;
use landbridge_proto::machine::contract::{DocumentKind, Write};
use landbridge_proto::machine::step::Step;
use landbridge_proto::trust::federation::{FederationError, TrustedFederation};
use landbridge_proto::trust::root::TrustedRoot;
use landbridge_proto::trust::signer::Signer as _;
use landbridge_proto::wire::document::Root;
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::kind::Role;
use landbridge_proto::wire::name::{KeyId, Timestamp};
use landbridge_store::Handle;
use metrics::gauge;

use crate::core::Core;
use crate::fail;
use crate::identity::online::{KEY_LIFE_MS, ONLINE, is_optional};
use crate::identity::{Identity, IdentityError};
use crate::net::tls;
use crate::observe;
use crate::trust::{self, TrustError};

/// Warned of from this long before something expires, in milliseconds: 30 days.
pub const WARN_MS: i64 = 30 * 24 * 3_600_000;
/// Between two warnings in the log, in milliseconds.
const WARN_EVERY_MS: i64 = 24 * 3_600_000;
/// What the store knows of the identity that was last in force.
const IN_FORCE: &str = "identity_in_force";

/// Why a root of our own was not put in force.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// It does not follow, is not signed as it must be, or the files here do not fit it.
    #[error("the root is refused")]
    Identity(#[from] IdentityError),
    /// It lists a key that has no file here, so nobody would sign with it.
    #[error("key {kid} of the {role} role has no file here")]
    KeyMissing {
        /// Its role.
        role: Role,
        /// The key.
        kid: KeyId,
    },
    /// No key of a role is valid now.
    #[error("no key of the {role} role is valid now")]
    NothingSigns {
        /// The role.
        role: Role,
    },
    /// An online key that lives too long, or longer than the root before said.
    #[error("key {kid} of the {role} role lives longer than it may")]
    TooLong {
        /// Its role.
        role: Role,
        /// The key.
        kid: KeyId,
    },
    /// An endpoint pins a TLS key that has no file here.
    #[error("the root pins a TLS key that has no file here")]
    TlsKeyMissing,
    /// It would put our own federation document out of force.
    #[error(
        "under this root our federation document does not verify; have the policy key sign it first"
    )]
    Federation(#[from] FederationError),
    /// The TLS library does not take the TLS identity.
    #[error("the TLS identity cannot be used")]
    Tls(#[from] tls::IdentityError),
    /// The store failed: of a bridge that runs, after the root was put in force.
    #[error("what depends on the root could not be read or written")]
    Status(#[from] TrustError),
}

impl RotationError {
    /// It with its causes, in one line.
    #[must_use]
    pub fn story(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        text
    }
}

/// Puts the next root of our own in force: verified, durable, then acted upon. The present root again
/// changes nothing. Says the version in force.
///
/// # Errors
///
/// [`RotationError`]; the present root stays, but for [`RotationError::Status`].
pub async fn put_root(core: &Core, envelope: &Envelope) -> Result<u64, RotationError> {
    let version = {
        let _changing = core.trust.hold().await;
        let present = core.identity.present();
        let now = core.now();
        let next = present.advanced(core.identity.home(), envelope, now)?;
        //= ID-48
        if !planted!("own_root_unchecked") {
            check(present.root().root(), &next, now)?;
        }
        if let Some(federation) = &core.trust.state().federation {
            let version = federation.document().version;
            TrustedFederation::open(federation.verified().envelope(), next.root(), version, now)?;
        }
        fail::point("rotation.verified");
        //= ID-49
        next.keep_root(core.identity.home())?;
        fail::point("rotation.root_durable");
        let version = next.root().version();
        // A key that was revoked stays so, also when it was read anew.
        //= ID-60
        let revoked = core.trust.revoked_keys();
        revoked.iter().for_each(|one| trust::withdraw(&next, &one.kid));
        core.identity.replace(next)?;
        version
    };
    note(core).await;
    fail::point("rotation.in_force");
    // Peers learn of the root by the next status that they see.
    core.trust.refresh_status(core).await?;
    fail::point("rotation.told");
    Ok(version)
}

/// As [`put_root`], on the files of a bridge that does not run. Its store is held meanwhile.
///
/// A federation document that holds no more, because the present root has expired, must hold under the next.
///
/// # Errors
///
/// [`RotationError`]; then nothing has changed.
pub fn put_root_offline(
    home: &std::path::Path,
    store: &Handle,
    envelope: &Envelope,
    now: Timestamp,
) -> Result<u64, RotationError> {
    let present = Identity::load(home)?;
    let next = present.advanced(home, envelope, now)?;
    check(present.root().root(), &next, now)?;
    let kept = store.reads().newest_document(present.gateway(), DocumentKind::Federation);
    if let Some(row) = kept.map_err(TrustError::Store)? {
        let federation = Envelope::parse(row.envelope.as_bytes()).map_err(|fault| {
            TrustError::Unreadable { kind: row.kind, gateway: row.gateway.clone(), fault }
        })?;
        TrustedFederation::open(&federation, next.root(), row.version, now)?;
    }
    fail::point("rotation.verified");
    next.keep_root(home)?;
    fail::point("rotation.root_durable");
    Ok(next.root().version())
}

/// Whether the daemon can go by an identity: it has what the root lists, and no key lives too long.
fn check(before: &Root, next: &Identity, now: Timestamp) -> Result<(), RotationError> {
    let root = next.root().root();
    for role in ONLINE {
        let held = |kid: &KeyId| next.keys(role).iter().any(|key| key.signer.kid() == kid);
        for kid in root.roles.get(&role).into_iter().flat_map(|holders| &holders.keyids) {
            let Some(key) = root.keys.get(kid) else { continue };
            let was_missing = is_optional(role) && before.keys.contains_key(kid);
            if !held(kid) && !was_missing {
                return Err(RotationError::KeyMissing { role, kid: kid.clone() });
            }
            //= ID-55
            let known = before.keys.get(kid);
            let prolonged = known.is_some_and(|known| key.nbf != known.nbf || key.exp > known.exp);
            if prolonged || key.exp.since_ms(key.nbf) > KEY_LIFE_MS {
                return Err(RotationError::TooLong { role, kid: kid.clone() });
            }
        }
        if next.signer(role, now).is_err() && !is_optional(role) {
            return Err(RotationError::NothingSigns { role });
        }
    }
    let ours = next.tls().spki();
    let pins = root.endpoints.iter().filter_map(|endpoint| endpoint.tls_spki);
    match pins.into_iter().all(|pin| pin.as_bytes() == ours.as_bytes()) {
        true => Ok(()),
        false => Err(RotationError::TlsKeyMissing),
    }
}

/// Records which root is in force and which keys sign, when that changed: by a root, or by the clock.
pub async fn note(core: &Core) {
    let identity = core.identity.present();
    let now = core.now();
    let signing = |role: Role| match identity.signer(role, now) {
        Ok(signer) => signer.kid().to_string(),
        Err(_) => "none".to_owned(),
    };
    let version = identity.root().version().to_string();
    let [stream, request, status, catalog, operator_ca] = ONLINE.map(signing);
    let tls = identity.tls().spki().to_string();
    let all = [version.as_str(), &stream, &request, &status, &catalog, &operator_ca, &tls];
    let text = all.join(" ");
    match core.store.reads().meta(IN_FORCE) {
        Ok(known) if known.as_deref() == Some(text.as_str()) => return,
        Ok(_) => {}
        Err(error) => return tracing::error!(%error, "what was in force before cannot be read"),
    }
    tracing::info!(root = version, stream, request, status, tls, "these keys are in use");
    let detail = [
        ("root", version.as_str()),
        ("stream", &stream),
        ("request", &request),
        ("status", &status),
        ("catalog", &catalog),
        ("operator-ca", &operator_ca),
        ("tls", &tls),
    ];
    let audit = core.audit("bridge", "keys_in_use", core.own().as_str(), detail);
    let put = Write::PutMeta { name: IN_FORCE.to_owned(), value: text };
    // What is not written now is noticed again at the next look.
    if let Err(error) = core.commit(Step::new(Vec::new(), vec![put, audit], ())).await {
        tracing::warn!(%error, "the keys in use were not recorded");
    }
    core.wakes.wake_all();
}

/// When each role runs out of keys, and when the root expires.
#[must_use]
pub fn ends(root: &TrustedRoot) -> BTreeMap<String, Timestamp> {
    let document = root.root();
    let last = |role: Role| {
        let holders = document.roles.get(&role)?;
        holders.keyids.iter().filter_map(|kid| document.keys.get(kid)).map(|key| key.exp).max()
    };
    let roles = Role::ALL;
    let mut ends: BTreeMap<_, _> =
        roles.into_iter().filter_map(|role| Some((format!("{role} key"), last(role)?))).collect();
    ends.insert("root".to_owned(), document.expires);
    ends
}

/// Says in time what will expire: in the metrics always, in the log once a day.
#[derive(Debug, Default)]
pub struct Expiry {
    warned: Option<Timestamp>,
}

impl Expiry {
    /// Looks once.
    //= ID-55
    pub fn look(&mut self, core: &Core) {
        let now = core.now();
        let identity = core.identity.present();
        let ends = ends(identity.root());
        for (what, end) in &ends {
            let seconds = u32::try_from(end.since_ms(now) / 1000).unwrap_or(0);
            gauge!(observe::KEY_SECONDS_LEFT, "what" => what.clone()).set(f64::from(seconds));
        }
        let soon: Vec<_> = ends.iter().filter(|(_, end)| end.since_ms(now) < WARN_MS).collect();
        let is_due = self.warned.is_none_or(|at| now.since_ms(at) >= WARN_EVERY_MS);
        if soon.is_empty() || !is_due {
            return;
        }
        self.warned = Some(now);
        for (what, end) in soon {
            let days = end.since_ms(now) / (24 * 3_600_000);
            tracing::warn!(
                what,
                days,
                "it expires soon, and nobody trusts this gateway then: landbridge key rotate"
            );
        }
    }
}
