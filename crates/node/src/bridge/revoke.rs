//! Revoking a key of our own, and telling every peer at once.
//!
//! A status travels with whatever is sent next; but nothing may be sent for a long time. So each active
//! peer is asked something that starts nothing, only to hand it the new status. The questions are signed
//! before the key is withdrawn: a peer learns the status first, whatever it then thinks of the question.

use std::sync::Arc;
use std::time::Duration;

use landbridge_proto::trust::signer::Signer as _;
use landbridge_proto::wire::document::Revocation;
use landbridge_proto::wire::kind::Role;
use landbridge_proto::wire::name::{
    Alias, GatewayId, IdempotencyKey, KeyId, TenantId, TenantPair, Timestamp,
};
use landbridge_proto::wire::problem::{Code, Problem};
use landbridge_proto::wire::request::{Body, Op, Target};
use tokio::task::JoinSet;

use super::Bridge;
use super::views::instant;
use crate::core::Core;
use crate::local::standing::{PeerTold, RevokeKey, RevokedKey};
use crate::peers::{PeerError, Reply, Signed};
use crate::trust::{NotRevoked, TrustError};

/// How long a peer has to take the news before it is said that it did not.
const TOLD_WITHIN: Duration = Duration::from_secs(5);

impl Bridge {
    /// Revokes a key of our own for good: in our next status at once, and told to every active peer.
    ///
    /// # Errors
    ///
    /// A problem that says why nothing was revoked.
    pub async fn revoke_key(&self, asked: RevokeKey) -> Result<RevokedKey, Problem> {
        let bridge = self.clone();
        self.finish(async move { bridge.revoke_durably(asked).await }).await
    }

    async fn revoke_durably(&self, asked: RevokeKey) -> Result<RevokedKey, Problem> {
        let core = &self.core;
        let kid = self.key_called(&asked.key)?;
        let since = match asked.since.as_deref().map(str::parse::<jiff::Timestamp>) {
            None => core.now(),
            Some(Ok(since)) => Timestamp(since.as_millisecond()),
            Some(Err(error)) => {
                return Err(Problem::new(Code::Malformed).with_detail(format!("since: {error}")));
            }
        };
        let questions = self.questions();
        let one = Revocation { kid: kid.clone(), reason: asked.reason, since };
        core.trust.revoke_key(core, one).await.map_err(|error| not_revoked(&error))?;
        let told = tell(core, questions).await;
        Ok(RevokedKey { kid, reason: asked.reason, since: instant(since), told })
    }

    /// A key by its id, or the one that holds a role now.
    fn key_called(&self, text: &str) -> Result<KeyId, Problem> {
        let identity = self.core.identity.present();
        let root = identity.root().root();
        let role = Role::ALL.into_iter().find(|role| role.as_str() == text);
        if let Some(role) = role {
            let held = root.roles.get(&role).map(|holders| &holders.keyids);
            return match held.map(|kids| kids.iter().collect::<Vec<_>>()).as_deref() {
                Some([kid]) => Ok((*kid).clone()),
                Some([_, _, ..]) => {
                    let detail = format!("{role} has several keys; name one by its id");
                    Err(Problem::new(Code::Malformed).with_detail(detail))
                }
                _ => {
                    Err(Problem::new(Code::NotFound)
                        .with_detail(format!("no key has the role {role}")))
                }
            };
        }
        KeyId::new(text).map_err(|_| {
            let roles: Vec<_> = Role::ALL.iter().map(|role| role.as_str()).collect();
            let detail = format!("neither a key's id nor a role; roles: {}", roles.join(", "));
            Problem::new(Code::Malformed).with_detail(detail)
        })
    }

    /// A signed question for each active peer, which starts nothing.
    pub(super) fn questions(&self) -> Vec<(Alias, GatewayId, Result<Signed, PeerError>)> {
        let state = self.core.trust.state();
        let peers = state.federation.iter().flat_map(|document| &document.document().peers);
        let active = peers.filter(|peer| state.active(&peer.gid));
        active
            .map(|peer| (peer.alias.clone(), peer.gid.clone(), question(&self.core, &peer.gid)))
            .collect()
    }
}

fn question(core: &Core, peer: &GatewayId) -> Result<Signed, PeerError> {
    let tenant = TenantId::new("default")?;
    let pair = TenantPair { dst: tenant.clone(), src: tenant };
    let key = IdempotencyKey::new(format!("key-revoked-{}", core.new_jti()?))?;
    core.sign_request(peer, &pair, Body::Inspect(Target::Key(key)), None)
}

/// Hands our newest status to peers, each with its question.
pub(super) async fn tell(
    core: &Arc<Core>,
    questions: Vec<(Alias, GatewayId, Result<Signed, PeerError>)>,
) -> Vec<PeerTold> {
    let mut telling = JoinSet::new();
    for (alias, peer, signed) in questions {
        let core = Arc::clone(core);
        telling.spawn(async move {
            let sent = async {
                match core.send(&peer, Op::Inspect.path(), &signed?, None, Vec::new()).await {
                    // Whatever it thinks of the question, it read the status before.
                    Ok(Reply::Refused(_)) => Ok(()),
                    // It may have, and cannot say so under a signature that answers a revoked key; or
                    // somebody on the way says anything.
                    Ok(Reply::Open(_))
                    | Err(PeerError::Unsigned { .. } | PeerError::Unverified(_)) => {
                        core.keeps_our_status(&peer).await
                    }
                    Err(error) => Err(error),
                }
            };
            let detail = match tokio::time::timeout(TOLD_WITHIN, sent).await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.problem().detail.unwrap_or_default()),
                Err(_) => Some("no answer in time".to_owned()),
            };
            PeerTold { alias, told: detail.is_none(), detail }
        });
    }
    let mut told = telling.join_all().await;
    told.sort_by(|one, other| one.alias.cmp(&other.alias));
    told
}

fn not_revoked(error: &NotRevoked) -> Problem {
    let code = match error {
        NotRevoked::NotOurs { .. } => Code::NotFound,
        NotRevoked::RootKey { .. } => Code::NotSupported,
        NotRevoked::Already { .. } | NotRevoked::Future => Code::Malformed,
        NotRevoked::TooMany => Code::TooLarge,
        NotRevoked::Trust(TrustError::Step(crate::core::StepError::Full)) => Code::StoreUnavailable,
        NotRevoked::Trust(_) => Code::Internal,
    };
    let mut detail = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        detail = format!("{detail}: {cause}");
        source = cause.source();
    }
    Problem::new(code).with_detail(detail)
}

impl Bridge {
    /// Our own keys that sign nothing any more, by role.
    pub(super) fn withdrawn(&self) -> Vec<String> {
        let identity = self.core.identity.present();
        let withdrawn = identity.signers().filter(|signer| signer.is_revoked());
        withdrawn.map(|signer| format!("{} {}", signer.signed_by(), signer.kid())).collect()
    }
}
