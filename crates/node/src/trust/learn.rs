//! What peers teach of themselves: newer roots and statuses, kept before anything depends on them.
//!
//! A peer is not trusted with our disk. Whatever it signs, it teaches nothing new but so often, and what is
//! written down of it has a share; the bounds are far above what a gateway that means well has to say.

use std::collections::BTreeMap;

use landbridge_planted::planted;
use landbridge_proto::machine::admission::Learned;
use landbridge_proto::machine::contract::{DocumentKind, Write};
use landbridge_proto::machine::evidence::Proof;
use landbridge_proto::machine::step::Step;
use landbridge_proto::trust::peer::PeerView;
use landbridge_proto::trust::status::StatusError;
use landbridge_proto::trust::witness::{self, WentBack};
use landbridge_proto::wire::document::{PeerStatus, Status};
use landbridge_proto::wire::name::{GatewayId, Timestamp};
use tokio::sync::MutexGuard;

use super::{State, Trust, TrustError, revoke, save};
use crate::core::Core;
use crate::evidence::Found;
use crate::federation::rate::{Rate, Rates};
use crate::room;

/// Between two statuses of a peer that may use the store's reserve, in milliseconds.
const LEARN_FROM_RESERVE_MS: i64 = 10_000;
/// Statuses of one peer in an hour that tell something new: a root, a revocation, another life, or that it
/// lives where that is not known for much longer.
const NEWS_PER_HOUR_MAX: u32 = 120;
/// Those that only tell that it lives.
const SIGNS_OF_LIFE_PER_HOUR_MAX: u32 = 60;
/// Revocations of one peer in an hour that are recorded one by one, those of its own keys apart.
const REVOCATIONS_RECORDED_PER_HOUR_MAX: u32 = 256;

/// What peers had of their shares lately.
#[derive(Debug, Default)]
pub(super) struct Heard {
    news: Rates<GatewayId>,
    signs_of_life: Rates<GatewayId>,
    revocations: Rates<GatewayId>,
}

/// What a peer's documents come to.
struct Lesson {
    view: PeerView,
    writes: Vec<Write>,
    /// Why its status was not taken.
    refused: Option<StatusError>,
    /// It told something new, and too much of that lately.
    too_often: bool,
    went_back: Option<WentBack>,
    /// A key was disowned: what it opened ends.
    disowned: bool,
}

impl Trust {
    /// Keeps what an operation, a stream or a fetch taught about a peer.
    ///
    /// # Errors
    ///
    /// [`TrustError`]; roots that hold are kept also where the status is refused.
    pub async fn learn(&self, core: &Core, learned: &Learned) -> Result<(), TrustError> {
        let Some(view) = &learned.view else { return Ok(()) };
        let changing = self.changing.lock().await;
        let state = self.state();
        let gateway = view.gateway();
        let Some(known) = state.peers.get(gateway) else { return Ok(()) };
        let pinned = state.federation.as_ref().and_then(|document| document.peer(gateway));
        if pinned.is_some_and(|peer| peer.status == PeerStatus::Revoked) {
            return Ok(());
        }
        let lesson = self.judge(core, known, learned)?;
        let (refused, too_often) = (lesson.refused.clone(), lesson.too_often);
        self.keep(core, changing, gateway, lesson).await?;
        let refused = match refused {
            None if too_often => return Err(TrustError::TooOften { gateway: gateway.clone() }),
            None => return Ok(()),
            Some(fault @ StatusError::Equivocated { .. }) => {
                let first = known.status().map(|status| status.newest().envelope().clone());
                if let (Some(first), Some(second)) = (first, learned.status.clone()) {
                    let found = Found::new(Proof::Statuses { first, second }, None);
                    return self.quarantine(core, gateway, &found).await;
                }
                fault
            }
            Some(fault) => fault,
        };
        Err(TrustError::Status { gateway: gateway.clone(), fault: Box::new(refused) })
    }

    /// Applies the news to what is known now: another request may have taught more meanwhile.
    fn judge(
        &self,
        core: &Core,
        known: &PeerView,
        learned: &Learned,
    ) -> Result<Lesson, TrustError> {
        let now = core.now();
        let gateway = known.gateway();
        let refused_root =
            |fault| TrustError::Root { gateway: gateway.clone(), fault: Box::new(fault) };
        let view = known.with_roots(&learned.roots, now).map_err(refused_root)?;
        let mut writes = Vec::new();
        for root in view.chain().roots() {
            if root.value().version > known.chain().version() {
                let version = root.value().version;
                writes.push(save(gateway, DocumentKind::Root, version, root.envelope(), now));
            }
        }
        let mut lesson = Lesson {
            view,
            writes,
            refused: None,
            too_often: false,
            went_back: None,
            disowned: false,
        };
        let Some(status) = &learned.status else { return Ok(lesson) };
        let newer = match lesson.view.with_status(status, now) {
            Ok(newer) => newer,
            Err(StatusError::WentBack { .. }) => return Ok(lesson),
            Err(fault) => {
                //= ID-81
                if planted!("roots_lost_with_status") {
                    lesson.writes.clear();
                }
                lesson.refused = Some(fault);
                return Ok(lesson);
            }
        };
        self.take_status(core, known, newer, &mut lesson);
        Ok(lesson)
    }

    fn take_status(&self, core: &Core, known: &PeerView, view: PeerView, lesson: &mut Lesson) {
        let Some(status) = view.status() else { return };
        let gateway = known.gateway();
        let newest = status.newest();
        let before = known.status().map(|status| status.newest());
        if before.is_some_and(|before| before.digest() == newest.digest()) {
            return;
        }
        let now = core.now();
        let told = newest.value();
        let went_back = before.and_then(|before| witness::compare(before.value(), told));
        let is_news = went_back.is_some()
            || revoke::news(known, &view).next().is_some()
            || before.is_none_or(|before| tells_more(before.value(), told, now))
            || known.check_fresh(now).is_err();
        if !self.heard.has_share(gateway, is_news, now) {
            // What tells nothing new is known already, and that the peer lives is known for long enough.
            lesson.too_often = is_news;
            return;
        }
        let version = told.seq.unsigned_abs();
        lesson.writes.push(save(gateway, DocumentKind::Status, version, newest.envelope(), now));
        if let Some(went_back) = &went_back {
            let what = went_back.to_string();
            tracing::error!(peer = %gateway, what, "a peer's audit log is not what it was");
            metrics::counter!(crate::observe::PEER_AUDITS_WENT_BACK).increment(1);
            let detail = [("what", what.as_str())];
            let deed = "peer_audit_went_back";
            lesson.writes.push(core.audit("bridge", deed, gateway.as_str(), detail));
        }
        let records = self.revocations(core, known, &view);
        lesson.disowned = !records.is_empty();
        lesson.writes.extend(records);
        lesson.went_back = went_back;
        lesson.view = view;
    }

    /// The audit records of what a peer revoked now: one for each key of its own, and of other ids as many as
    /// it has a share for.
    fn revocations(&self, core: &Core, known: &PeerView, view: &PeerView) -> Vec<Write> {
        let gateway = known.gateway();
        let record = |deed, detail: [(&str, &str); 3]| {
            core.audit(gateway.as_str(), deed, gateway.as_str(), detail)
        };
        let (mut records, mut others) = (Vec::new(), 0_u32);
        for (kid, reason, since) in revoke::news(known, view) {
            if !view.chain().names(kid) && !self.heard.has_record(gateway, core.now()) {
                others += 1;
                continue;
            }
            let (reason, since) = (revoke::reason_word(reason), since.to_string());
            tracing::warn!(peer = %gateway, %kid, reason, since, "a peer revoked a key of its own");
            let detail = [("kid", kid.as_str()), ("reason", reason), ("since", since.as_str())];
            records.push(record("peer_key_revoked", detail));
        }
        if others > 0 {
            let count = others.to_string();
            let detail = [("count", count.as_str())];
            records.push(core.audit(
                gateway.as_str(),
                "peer_keys_revoked",
                gateway.as_str(),
                detail,
            ));
        }
        records
    }

    /// Makes a lesson durable, and puts it in force.
    async fn keep(
        &self,
        core: &Core,
        mut changing: MutexGuard<'_, BTreeMap<GatewayId, Timestamp>>,
        gateway: &GatewayId,
        lesson: Lesson,
    ) -> Result<(), TrustError> {
        if lesson.writes.is_empty() {
            return Ok(());
        }
        let now = core.now();
        let mut step = Step::new(Vec::new(), lesson.writes, ());
        // On a full disk a peer with a new status must be learned of before it can read what is here;
        // not at its own pace, though.
        let due = |at: &Timestamp| now.since_ms(*at) >= LEARN_FROM_RESERVE_MS;
        if room::is_short(core) && changing.get(gateway).is_none_or(due) {
            changing.insert(gateway.clone(), now);
            step = step.with_reserve();
        }
        //= ID-11
        if !planted!("learned_unkept") {
            core.commit(step).await?;
        }
        let mut next = State::clone(&self.state());
        next.peers.insert(gateway.clone(), lesson.view);
        if let Some(went_back) = lesson.went_back {
            next.went_back.insert(gateway.clone(), went_back);
        }
        self.replace(next);
        if lesson.disowned {
            // What was opened by such a key ends.
            core.wakes.wake_all();
        }
        Ok(())
    }
}

/// Whether a status tells more than that its gateway lives, or just that where it is not known for much
/// longer.
fn tells_more(before: &Status, told: &Status, now: Timestamp) -> bool {
    let life_ms = before.expires.since_ms(before.issued);
    (before.root_version, before.incarnation) != (told.root_version, told.incarnation)
        || before.expires.since_ms(now) < life_ms / 2
}

impl Heard {
    /// Whether a peer may teach one thing more.
    //= PRB-10
    fn has_share(&self, peer: &GatewayId, is_news: bool, now: Timestamp) -> bool {
        let (rates, max) = match is_news {
            true => (&self.news, NEWS_PER_HOUR_MAX),
            false => (&self.signs_of_life, SIGNS_OF_LIFE_PER_HOUR_MAX),
        };
        rates.take(peer, Rate::per_hour(max), now).is_ok() || planted!("statuses_unmetered")
    }

    /// Whether one more revocation of an id that is no key of its roots is recorded.
    //= PRB-10
    fn has_record(&self, peer: &GatewayId, now: Timestamp) -> bool {
        let rate = Rate::per_hour(REVOCATIONS_RECORDED_PER_HOUR_MAX);
        self.revocations.take(peer, rate, now).is_ok() || planted!("revocations_unmetered")
    }
}
