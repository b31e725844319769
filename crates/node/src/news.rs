//! What a peer says of itself, asked for anew: roots after the newest that we have, and its status.
//!
//! A peer may be slow, and means it when it is hostile. So all that one refresh waits for has one end, each
//! root is verified before the next is asked for, and no peer waits for another. What a refresh makes
//! durable is done by a task of its own: whoever asked may leave at any moment, because its run was
//! cancelled or the peer revoked, and leaves no half of a change behind.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use landbridge_proto::machine::admission::Learned;
use landbridge_proto::machine::history::Recall;
use landbridge_proto::trust::peer::PeerView;
use landbridge_proto::trust::root::{RootError, TrustedRoot};
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{GatewayId, Timestamp};
use tokio::time::{Instant, timeout_at};

use landbridge_planted::planted;

use crate::core::Core;
use crate::federation::documents::KEPT_STATUS;
use crate::net::client::{ClientError, Target};
use crate::net::tls::Trust;
use crate::peers::PeerError;
use crate::rollback::RolledBack;
use crate::standing::Barred;
use crate::trust::TrustError;

/// A status is not asked for more often than this, whatever its issuer says, in milliseconds.
const REFRESH_EVERY_MS: i64 = 5_000;

/// Why a chain of roots was not walked to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotWalked {
    /// A root was not handed over.
    #[error("a root did not arrive")]
    Fetch(#[source] PeerError),
    /// A root does not follow.
    #[error("its roots do not hold")]
    Root(#[source] Box<RootError>),
    /// There is not even a first one.
    #[error("it has no roots")]
    None,
    /// There are more than anybody issues.
    #[error("it has more than {} roots", limit::CHAIN_ROOTS_MAX)]
    TooMany,
}

/// The time that is left for several places that may each be slow: each gets its share.
#[derive(Clone, Copy, Debug)]
struct Shares {
    end: Instant,
    places: u32,
}

impl Shares {
    fn begin(places: usize, now: Instant, within: Duration) -> Self {
        let places = u32::try_from(places).unwrap_or(u32::MAX);
        Self { end: now + within, places }
    }

    /// Until when the next place is waited for.
    fn next(&mut self, now: Instant) -> Instant {
        let left = self.end.saturating_duration_since(now);
        let share = left / self.places.max(1);
        self.places = self.places.saturating_sub(1);
        now + share
    }
}

impl Core {
    fn shares(&self, places: usize) -> Shares {
        Shares::begin(places, Instant::now(), Duration::from_millis(self.settings.news_ms))
    }

    /// Makes sure that what we know of a peer is fresh enough to verify what it signs. Whoever waits for it
    /// may leave.
    ///
    /// # Errors
    ///
    /// [`PeerError`] when it is not, and the peer cannot be asked.
    pub async fn freshen(self: &Arc<Self>, peer: &GatewayId) -> Result<(), PeerError> {
        let is_fresh = self.peer_view(peer)?.check_fresh(self.now()).is_ok();
        if is_fresh && self.trust.to_compare(peer).is_none() {
            return Ok(());
        }
        let (core, peer) = (Arc::clone(self), peer.clone());
        apart(async move {
            core.compare_history(&peer).await;
            match core.peer_view(&peer)?.check_fresh(core.now()) {
                Ok(()) => Ok(()),
                Err(_) => core.refresh(&peer).await,
            }
        })
        .await
    }

    /// Asks a peer for roots after version `have`, unless somebody else did so meanwhile. Whoever waits for
    /// it may leave.
    ///
    /// # Errors
    ///
    /// [`PeerError`]; what was known stays.
    pub async fn renew(self: &Arc<Self>, peer: &GatewayId, have: u64) -> Result<(), PeerError> {
        let lock = self.trust.renewing(peer);
        let _one = lock.lock().await;
        if self.peer_view(peer)?.chain().version() > have {
            return Ok(());
        }
        self.refresh_peer(peer).await
    }

    /// Asks a peer for newer roots and its present status, and keeps what verifies. Whoever waits for it may
    /// leave.
    ///
    /// # Errors
    ///
    /// [`PeerError`]; what was known stays.
    pub async fn refresh_peer(self: &Arc<Self>, peer: &GatewayId) -> Result<(), PeerError> {
        let (core, peer) = (Arc::clone(self), peer.clone());
        apart(async move { core.refresh(&peer).await }).await
    }

    /// Asks those peers anew whose status says that it is time, all at once: none waits for another.
    pub async fn refresh_peers(self: &Arc<Self>) {
        //= ID-64
        if self.halt.is_on() {
            return;
        }
        let state = self.trust.state();
        let now = self.now();
        let is_due = |view: &PeerView| {
            view.status().is_none_or(|known| {
                let status = known.newest().value();
                now.since_ms(status.issued) >= status.refresh_ms.max(REFRESH_EVERY_MS)
            })
        };
        let due = state.peers.iter().filter(|(peer, view)| is_due(view) && state.active(peer));
        let asked = due.map(|(peer, _)| async move {
            if let Err(error) = self.refresh_peer(peer).await {
                tracing::debug!(%peer, %error, "a peer was not refreshed");
            }
        });
        join_all(asked).await;
    }

    /// Asks a peer, once in a process, which status of ours it kept from before this process: one that we
    /// do not remember proves that we were rolled back. A peer that does not answer is asked again.
    //= ID-47
    async fn compare_history(&self, peer: &GatewayId) {
        let Some(first) = self.trust.to_compare(peer) else { return };
        let path = format!("{KEPT_STATUS}{}/{}", self.own(), first.saturating_sub(1));
        let targets = self.targets(peer).unwrap_or_default();
        let mut shares = self.shares(targets.len());
        for target in targets {
            match self.fetch_by(peer, &target, &path, shares.next(Instant::now())).await {
                Ok(kept) => {
                    self.trust.compared(peer);
                    if let Some(kept) = kept {
                        self.look_at(peer, &kept).await;
                    }
                    return;
                }
                Err(error) => tracing::debug!(%peer, %error, "it does not say what it kept of us"),
            }
        }
    }

    /// Whether a peer keeps our newest status: it shows the very one.
    ///
    /// # Errors
    ///
    /// [`PeerError`] when it does not, or cannot be asked.
    pub(crate) async fn keeps_our_status(&self, peer: &GatewayId) -> Result<(), PeerError> {
        let state = self.trust.state();
        let ours = state.status.as_ref().ok_or(PeerError::NoStatus)?.digest();
        let path = format!("{KEPT_STATUS}{}/{}", self.own(), state.issued.seq);
        let mut last = PeerError::NoEndpoint;
        for target in self.targets(peer)? {
            match self.fetch(&target, &path).await {
                Ok(Some(kept)) if kept.digest() == ours => return Ok(()),
                Ok(_) if planted!("unsigned_answer_is_told") => return Ok(()),
                Ok(_) => last = PeerError::Refused("it does not keep our newest status".to_owned()),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn look_at(&self, peer: &GatewayId, kept: &Envelope) {
        match self.judge_held(peer, kept) {
            Ok(Recall::Lost(shown)) => {
                let found = RolledBack::shown(peer, &shown, self.now());
                if let Err(error) = self.trust.roll_back(self, found).await {
                    tracing::error!(%error, "a rollback was not made durable");
                }
            }
            Ok(_) => {}
            Err(fault) => tracing::error!(%fault, "what a peer kept of us cannot be judged"),
        }
    }

    async fn refresh(&self, peer: &GatewayId) -> Result<(), PeerError> {
        let refreshed = self.ask_for_news(peer).await;
        self.observe(peer, refreshed.as_ref().map(|()| true));
        refreshed
    }

    //= ID-80
    async fn ask_for_news(&self, peer: &GatewayId) -> Result<(), PeerError> {
        let targets = self.targets(peer)?;
        let mut shares = self.shares(targets.len());
        let mut last = PeerError::NoEndpoint;
        for target in targets {
            let by = shares.next(Instant::now());
            let mut asked = self.news_at(peer, &target, false, by).await;
            if let Err(PeerError::Client(ClientError::WrongKey)) = &asked {
                // Roots and statuses prove themselves, whoever hands them over; nothing is told there.
                //= ID-54
                let anybody = Target { trust: Trust::danger_trust_nobody_yet(), ..target };
                let found = self.news_at(peer, &anybody, true, by).await;
                if matches!(&found, Ok(()) | Err(PeerError::Trust(TrustError::Status { .. }))) {
                    asked = found;
                }
            }
            match asked {
                Ok(()) => return Ok(()),
                // What it signed is refused, and whoever hands it over has no part in that.
                Err(refused @ PeerError::Trust(TrustError::Status { .. })) => return Err(refused),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Asks at one place for roots and status, and keeps them: as many roots at a time as one update may
    /// bring, so that who was away for long comes nearer each time.
    //= ID-10
    //= ID-14
    async fn news_at(
        &self,
        peer: &GatewayId,
        target: &Target,
        needs_root: bool,
        by: Instant,
    ) -> Result<(), PeerError> {
        let mut needs_root = needs_root;
        loop {
            let view = self.peer_view(peer)?;
            let roots = self.newer_roots(target, &view, limit::ROOT_STEPS_MAX, by).await?;
            // Without a root that explains the other key, it is somebody else who answers there.
            if needs_root && roots.is_empty() {
                return Err(ClientError::WrongKey.into());
            }
            needs_root = false;
            let is_last = roots.len() < limit::ROOT_STEPS_MAX;
            let newer =
                view.with_roots(&roots, self.now()).map_err(|fault| refused(peer, fault))?;
            let status = match is_last {
                true => {
                    let status = self.fetch_by(peer, target, "/federation/v1/status", by).await?;
                    Some(status.ok_or(PeerError::NoStatus)?)
                }
                false => None,
            };
            let learned = Learned { view: Some(newer), roots, status };
            self.trust.learn(self, &learned).await?;
            if is_last {
                return Ok(());
            }
        }
    }

    /// Roots that follow what is known of a gateway, and its status; each root is verified before the next
    /// is asked for.
    ///
    /// # Errors
    ///
    /// [`PeerError`].
    pub(crate) async fn fetch_news(
        &self,
        target: &Target,
        view: &PeerView,
    ) -> Result<(Vec<Envelope>, Envelope), PeerError> {
        let by = self.shares(1).next(Instant::now());
        let roots = self.newer_roots(target, view, limit::CHAIN_ROOTS_MAX, by).await?;
        let status = timely(by, self.fetch(target, "/federation/v1/status")).await?;
        Ok((roots, status.ok_or(PeerError::NoStatus)?))
    }

    async fn newer_roots(
        &self,
        target: &Target,
        view: &PeerView,
        max: usize,
        by: Instant,
    ) -> Result<Vec<Envelope>, PeerError> {
        let peer = view.gateway();
        let mut roots = Vec::new();
        let mut known = view.clone();
        while roots.len() < max {
            let path = format!("/federation/v1/root/{}", known.chain().version() + 1);
            let Some(root) = self.fetch_by(peer, target, &path, by).await? else { break };
            let next = known.with_roots(std::slice::from_ref(&root), self.now());
            known = next.map_err(|fault| refused(peer, fault))?;
            roots.push(root);
        }
        Ok(roots)
    }

    /// Fetches one document, unless that takes too long or nothing is done with the peer any more.
    async fn fetch_by(
        &self,
        peer: &GatewayId,
        target: &Target,
        path: &str,
        by: Instant,
    ) -> Result<Option<Envelope>, PeerError> {
        let is_peer = self.trust.state().active(peer) && !planted!("slow_news_waited_for");
        tokio::select! {
            fetched = timely(by, self.fetch(target, path)) => fetched,
            //= ID-61
            barred = self.until_barred(peer), if is_peer => Err(match barred {
                Barred::Halted => PeerError::Halted,
                Barred::Revoked | Barred::Suspended => PeerError::NotActive,
            }),
        }
    }

    /// A stranger's roots from the first on, each verified before the next is asked for: its chain must not
    /// keep us busy. `first` judges the first one.
    //= ID-76
    pub(crate) async fn walk_chain(
        &self,
        target: &Target,
        first: impl Fn(&Envelope, Timestamp) -> Result<TrustedRoot, RootError> + Send,
    ) -> Result<TrustedRoot, NotWalked> {
        let refused = |fault| NotWalked::Root(Box::new(fault));
        let mut chain: Option<TrustedRoot> = None;
        loop {
            let have = chain.as_ref().map_or(0, TrustedRoot::version);
            let path = format!("/federation/v1/root/{}", have + 1);
            let root = self.fetch(target, &path).await.map_err(NotWalked::Fetch)?;
            let Some(root) = root else { break };
            let many = usize::try_from(have).is_ok_and(|have| have >= limit::CHAIN_ROOTS_MAX);
            if many && !planted!("endless_chain_walked") {
                return Err(NotWalked::TooMany);
            }
            let now = self.now();
            let next = match &chain {
                None => first(&root, now),
                Some(chain) => chain.advance(&[root], now),
            };
            chain = Some(next.map_err(refused)?);
        }
        chain.ok_or(NotWalked::None)
    }
}

fn refused(peer: &GatewayId, fault: RootError) -> PeerError {
    TrustError::Root { gateway: peer.clone(), fault: Box::new(fault) }.into()
}

async fn timely<T>(
    by: Instant,
    asked: impl Future<Output = Result<T, PeerError>>,
) -> Result<T, PeerError> {
    timeout_at(by, asked).await.unwrap_or(Err(PeerError::Slow))
}

/// Has something finished whoever still waits for it.
async fn apart<T: Send + 'static>(
    work: impl Future<Output = Result<T, PeerError>> + Send + 'static,
) -> Result<T, PeerError> {
    tokio::spawn(work).await.unwrap_or(Err(PeerError::BrokenOff))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_gets_its_share_of_the_time_and_the_last_one_all_that_is_left() {
        const WITHIN: Duration = Duration::from_secs(16);
        let now = Instant::now();
        let mut shares = Shares::begin(4, now, WITHIN);
        assert_eq!(shares.next(now), now + WITHIN / 4);
        assert_eq!(shares.next(now + WITHIN / 4), now + WITHIN / 2);
        // Who refused at once leaves its share to the others.
        let half = now + WITHIN / 4;
        assert_eq!(shares.next(half), half + WITHIN * 3 / 8);
        assert_eq!(shares.next(half), now + WITHIN);
    }
}
