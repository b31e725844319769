//! What every part of a running bridge shares: identity, store, clock, adapter and trust.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use landbridge_proto::machine::contract::AuditEvent;
use landbridge_proto::machine::contract::Write;
use landbridge_proto::machine::step::{NotReleased, Step};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{
    AgentName, Alias, GatewayId, IdempotencyKey, InvalidName, Jti, Owner, RunId, TenantId,
    TenantPair, Timestamp,
};
use landbridge_proto::wire::problem::{Code, Problem};
use landbridge_store::{Fault, Handle};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use landbridge_planted::planted;

use crate::adapter::Adapter;
use crate::approvals::Approvals;
use crate::catalogs::difference::Scopes;
use crate::clock::{Clock, Entropy};
use crate::config::Effective;
use crate::contact::Contacts;
use crate::halt::Halt;
use crate::identity::current::CurrentIdentity;
use crate::net::client::Client;
use crate::room::{self, Unrecorded};
use crate::tally::Tally;
use crate::trust::Trust;

/// A route of the configuration: what a logical gateway id stands for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Route {
    /// The peer, as the federation document calls it.
    pub peer: Alias,
    /// The tenant pair that is asked for.
    pub tenant: TenantPair,
    /// The agent, unless the client names one.
    pub agent: Option<AgentName>,
    /// The longest deadline that a client may ask for, in milliseconds.
    pub deadline_ms_max: Option<i64>,
}

/// What the process was configured to do.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Logical gateway ids.
    pub routes: BTreeMap<Alias, Route>,
    /// Runs that are executed at the same time, whoever asked.
    pub executing_max: usize,
    /// Open runs of one peer and tenant pair, where the grant says nothing.
    pub executing_per_owner_max: u64,
    /// New runs of one peer and tenant pair in a minute, where the grant says nothing.
    pub starts_per_minute_max: u32,
    /// Open runs of one local token, where it says nothing itself.
    pub token_runs_open_max: u64,
    /// New runs of one local token in a minute, where it says nothing itself.
    pub token_starts_per_minute_max: u32,
    /// A run's deadline unless its client says otherwise, in milliseconds.
    pub deadline_ms: i64,
    /// The longest deadline, asked of us or by us, in milliseconds.
    pub deadline_ms_max: i64,
    /// How long a stopping bridge waits for its gateway to take work, in milliseconds.
    pub handover_ms_max: i64,
    /// How long settled runs of peers are kept, in milliseconds.
    pub frames_ms: i64,
    /// How long keys are remembered after a run's end, in milliseconds.
    pub key_window_ms: i64,
    /// How long settled journal entries are kept, in milliseconds.
    pub journal_ms: i64,
    /// How long statuses are kept, in milliseconds; the newest of a gateway always is.
    pub statuses_ms: i64,
    /// How long a stream may say nothing before it is left, in milliseconds.
    pub silence_ms: u64,
    /// How long a peer is waited for until it has told all that is new of it, in milliseconds.
    pub news_ms: u64,
    /// The first pause between two attempts, in milliseconds; it doubles with each failure.
    pub retry_ms_min: i64,
    /// The longest pause between two attempts, in milliseconds.
    pub retry_ms_max: i64,
    /// The settings as they were written, to be shown.
    pub effective: Vec<Effective>,
    /// Our scopes as they are configured; what is told of them was published.
    pub scopes: Scopes,
    /// How long a catalog of ours is good, in milliseconds.
    pub catalog_life_ms: i64,
    /// How long a credential of an operator of ours is good, in milliseconds.
    pub credential_life_ms: i64,
}

/// How long a stopping bridge waits for its gateway unless it is set, in milliseconds: longer than an
/// adapter waits for a gateway that is away, shorter than supervisors wait for a process.
const HANDOVER_MS_MAX: i64 = 12_000;

/// How long a catalog or a credential is good unless it is set, in milliseconds: half a day, so that a
/// person is away for one of them at most.
const LIFE_MS: i64 = limit::CATALOG_LIFE_MS_MAX / 2;

impl Default for Settings {
    fn default() -> Self {
        Self {
            routes: BTreeMap::new(),
            executing_max: 256,
            executing_per_owner_max: 64,
            starts_per_minute_max: 600,
            token_runs_open_max: 256,
            token_starts_per_minute_max: 600,
            deadline_ms: limit::DEADLINE_MS,
            deadline_ms_max: limit::DEADLINE_MS_MAX,
            handover_ms_max: HANDOVER_MS_MAX,
            frames_ms: limit::KEY_WINDOW_MS,
            key_window_ms: limit::KEY_WINDOW_MS,
            journal_ms: 30 * 24 * 3_600_000,
            statuses_ms: 40 * 24 * 3_600_000,
            silence_ms: limit::SILENCE_MS_MAX.unsigned_abs(),
            news_ms: 20_000,
            retry_ms_min: 100,
            retry_ms_max: 15_000,
            effective: Vec::new(),
            scopes: Scopes::new(),
            catalog_life_ms: LIFE_MS,
            credential_life_ms: LIFE_MS,
        }
    }
}

/// What every part of a running bridge shares.
pub struct Core {
    /// Who this bridge is, and what it signs with.
    pub identity: CurrentIdentity,
    /// Durable state.
    pub store: Handle,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Random bytes.
    pub entropy: Arc<dyn Entropy>,
    /// The gateway.
    pub adapter: Arc<dyn Adapter>,
    /// Requests to peers.
    pub client: Client,
    /// Whom we know, and what we say of ourselves.
    pub trust: Trust,
    /// Configuration.
    pub settings: Settings,
    /// This process's turn at driving runs: higher than any before it.
    pub epoch: u64,
    /// The kill switch.
    pub halt: Halt,
    /// No new work is taken; streams end.
    pub draining: CancellationToken,
    /// Drivers leave their runs as they are.
    pub stopping: CancellationToken,
    /// Who waits for more of which run.
    pub wakes: Wakes,
    /// Requests that were answered on a full disk.
    pub unrecorded: Unrecorded,
    /// What this side saw of each peer last.
    pub contacts: Contacts,
    /// What is counted instead of being recorded one by one.
    pub tally: Arc<Tally>,
    /// Questions for people.
    pub approvals: Approvals,
}

/// Begins what a run's id is the digest of.
const RUN_TAG: &[u8] = b"landbridge-run-v1\n";

/// Why a step did not happen.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The facts changed: read and decide again.
    #[error("the step was decided on old facts")]
    Stale(#[source] NotReleased),
    /// There is no room for it now: wait, read and decide again.
    #[error("there is no room to make the step durable")]
    Full,
    /// The store failed; the process is about to stop.
    #[error("the store failed")]
    Store(#[source] Fault),
}

impl Core {
    /// Makes a step durable and gives what it held back.
    ///
    /// # Errors
    ///
    /// [`StepError`]; then nothing was written.
    pub async fn commit<T>(&self, step: Step<T>) -> Result<T, StepError> {
        let (batch, held) = step.split();
        let receipt = self.store.commit(batch).await.map_err(StepError::Store)?;
        Ok(held.release(receipt)?)
    }

    /// The present.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Our gateway.
    #[must_use]
    pub fn own(&self) -> &GatewayId {
        self.identity.gateway()
    }

    /// A new random run id.
    ///
    /// # Errors
    ///
    /// [`InvalidName`] cannot happen: the alphabet is the name's own.
    pub fn new_run_id(&self) -> Result<RunId, InvalidName> {
        let mut bytes = [0_u8; 16];
        self.entropy.fill(&mut bytes);
        let text = data_encoding::BASE32_NOPAD.encode(&bytes).to_ascii_lowercase();
        RunId::new(format!("run-{text}"))
    }

    /// The id of the run that a peer's key and body make here.
    ///
    /// It follows from them alone, and so do the names under which the gateway knows the run: should
    /// this bridge forget a run that it executed, the same start leads to the same names, and the
    /// gateway tells that it knows them.
    ///
    /// # Errors
    ///
    /// [`InvalidName`] cannot happen: the alphabet is the name's own.
    //= REQ-63
    pub fn run_id_of(
        &self,
        owner: &Owner,
        key: &IdempotencyKey,
        print: &Digest,
    ) -> Result<RunId, InvalidName> {
        let pair = &owner.tenant;
        let names =
            [self.own().as_str(), owner.caller.as_str(), pair.src.as_str(), pair.dst.as_str()];
        let names = format!("{}\n{key}\n", names.join("\n"));
        let digest = Digest::of(RUN_TAG, &[names.as_bytes(), print.as_bytes()]);
        let (half, _) = digest.as_bytes().split_at(16);
        let text = data_encoding::BASE32_NOPAD.encode(half).to_ascii_lowercase();
        RunId::new(format!("run-{text}"))
    }

    /// A new random request id.
    ///
    /// # Errors
    ///
    /// [`InvalidName`] cannot happen: the alphabet is the name's own.
    pub fn new_jti(&self) -> Result<Jti, InvalidName> {
        let mut bytes = [0_u8; 16];
        self.entropy.fill(&mut bytes);
        if planted!("jti_of_the_second") {
            bytes = [0; 16];
            bytes[..8].copy_from_slice(&(self.now().0 / 1000).to_le_bytes());
        }
        Jti::new(data_encoding::BASE64URL_NOPAD.encode(&bytes))
    }

    /// A pause before attempt number `failures` + 1: doubling, bounded, and anywhere in its upper half.
    #[must_use]
    pub fn pause_ms(&self, failures: u32) -> i64 {
        let doubled = self.settings.retry_ms_min.saturating_mul(1 << failures.min(16));
        let full = doubled.clamp(1, self.settings.retry_ms_max);
        let mut byte = [0_u8; 1];
        self.entropy.fill(&mut byte);
        full / 2 + full * i64::from(byte[0]) / 510
    }

    /// An audit record.
    #[must_use]
    pub fn audit<const N: usize>(
        &self,
        actor: &str,
        deed: &str,
        subject: &str,
        detail: [(&str, &str); N],
    ) -> Write {
        let detail = detail.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Write::Audit(AuditEvent {
            at: self.now(),
            actor: actor.to_owned(),
            deed: deed.to_owned(),
            subject: subject.to_owned(),
            detail: BTreeMap::from(detail),
        })
    }

    /// The route of a logical gateway id: the configured one, or a peer's alias with both tenants
    /// called `default`.
    #[must_use]
    pub fn route(&self, gateway: &Alias) -> Option<Route> {
        if let Some(route) = self.settings.routes.get(gateway) {
            return Some(route.clone());
        }
        let state = self.trust.state();
        state.federation.as_ref()?.peer_called(gateway)?;
        let tenant = TenantId::new("default").ok()?;
        Some(Route {
            peer: gateway.clone(),
            tenant: TenantPair { dst: tenant.clone(), src: tenant },
            agent: None,
            deadline_ms_max: None,
        })
    }
}

impl From<NotReleased> for StepError {
    fn from(why: NotReleased) -> Self {
        match why {
            NotReleased::Full => Self::Full,
            NotReleased::Stale(_) | NotReleased::OtherBatch => Self::Stale(why),
        }
    }
}

impl From<StepError> for Problem {
    fn from(error: StepError) -> Self {
        match &error {
            // Said once, when the room ran out.
            StepError::Full => {}
            _ => tracing::warn!(error = ?error, "a step was not made"),
        }
        match error {
            StepError::Full => Self::new(Code::StoreUnavailable)
                .with_detail("there is no room to write; nothing was done")
                .with_retry_after_ms(room::RETRY_AFTER_MS),
            StepError::Stale(_) => Self::new(Code::Internal)
                .with_detail("something else changed at the same time; try again"),
            StepError::Store(_) => Self::new(Code::StoreUnavailable),
        }
    }
}

/// A problem for a store that cannot be read.
#[must_use]
pub fn unreadable(fault: &Fault) -> Problem {
    tracing::error!(error = %fault, "the store cannot be read");
    Problem::new(Code::StoreUnavailable)
}

/// A fault with its causes, in one line.
pub(crate) fn chained(fault: &dyn std::error::Error) -> String {
    let mut text = fault.to_string();
    let mut cause = fault.source();
    while let Some(fault) = cause {
        text.push_str(": ");
        text.push_str(&fault.to_string());
        cause = fault.source();
    }
    text
}

/// A problem for what cannot happen: the log has the story.
#[must_use]
pub fn bug(what: &str, error: &dyn std::fmt::Display) -> Problem {
    tracing::error!(%error, "{what}");
    Problem::new(Code::Internal).with_detail("an internal error; the bridge's log has its cause")
}

/// Who waits for more of which run. A waiter subscribes first and reads then, so none sleeps through.
///
/// A run for which nobody waits leaves no trace for long: only the waiters keep their entry alive.
#[derive(Debug, Default)]
pub struct Wakes(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    runs: BTreeMap<RunId, Weak<Notify>>,
    /// When there are so many entries, those for which nobody waits any more are dropped.
    sweep_at: usize,
}

impl Wakes {
    /// What is notified when there is more of a run.
    #[must_use]
    pub fn of(&self, run: &RunId) -> Arc<Notify> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(notify) = waiting.runs.get(run).and_then(Weak::upgrade) {
            return notify;
        }
        if waiting.runs.len() >= waiting.sweep_at {
            waiting.runs.retain(|_, notify| notify.strong_count() > 0);
            waiting.sweep_at = waiting.runs.len() * 2 + 64;
        }
        let notify = Arc::new(Notify::new());
        waiting.runs.insert(run.clone(), Arc::downgrade(&notify));
        notify
    }

    /// Wakes everybody who waits for a run.
    pub fn wake(&self, run: &RunId) {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(notify) = waiting.runs.get(run).and_then(Weak::upgrade) {
            notify.notify_waiters();
        }
    }

    /// Wakes everybody.
    pub fn wake_all(&self) {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.runs.values().filter_map(Weak::upgrade).for_each(|notify| notify.notify_waiters());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn run(n: usize) -> RunId {
        let last = char::from(b'a' + u8::try_from(n % 26).unwrap());
        let before = char::from(b'a' + u8::try_from(n / 26 % 26).unwrap());
        RunId::new(format!("run-{}{before}{last}", "a".repeat(24))).unwrap()
    }

    #[test]
    fn runs_for_which_nobody_waits_are_forgotten() {
        let wakes = Wakes::default();
        let kept = wakes.of(&run(0));
        for n in 1..600 {
            drop(wakes.of(&run(n)));
        }
        assert!(wakes.0.lock().unwrap().runs.len() < 200);
        assert!(Arc::ptr_eq(&kept, &wakes.of(&run(0))));
    }
}
