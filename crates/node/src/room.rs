//! A full disk: what the bridge says of it, and what it remembers until it can be written.
//!
//! Reading goes on when writing cannot, and reading has a trace of its own: the request's id, which
//! keeps it from being used twice, and its audit record. Both wait here. A crash loses them, so the
//! process after such a time takes no request that was signed before its start.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use landbridge_proto::machine::contract::{Guard, Room, Write};
use landbridge_proto::machine::step::Step;
use landbridge_proto::wire::name::{GatewayId, Jti, Timestamp};
use landbridge_proto::wire::request::Request;
use metrics::gauge;
use tokio::task::JoinSet;

use crate::core::{Core, StepError};
use crate::observe;

/// When to ask again after a refusal for want of room, in milliseconds: by then it was looked for.
pub const RETRY_AFTER_MS: u64 = 5_000;
/// Why the bridge takes no new work, for operators.
pub const NO_ROOM: &str = "the disk is full or has no place for the store's reserve: make room";
/// Requests that are remembered at most.
const UNRECORDED_MAX: usize = 10_000;
/// Records that share a commit when there is room again.
const AT_ONCE: usize = 256;

/// Requests that were answered and could not be recorded yet.
#[derive(Debug, Default)]
pub struct Unrecorded {
    /// Requests signed earlier are taken for used: the process before may have answered them.
    since: Option<Timestamp>,
    requests: Mutex<Requests>,
}

#[derive(Debug, Default)]
struct Requests {
    known: BTreeMap<(GatewayId, Jti), Record>,
    /// Records that had to be forgotten.
    missed: u64,
}

/// What is to be written of a request.
#[derive(Clone, Debug)]
struct Record {
    keep_until: Timestamp,
    guard: Guard,
    writes: Vec<Write>,
}

impl Unrecorded {
    /// Nothing yet. `used` says whether the process before may have had no room to its end.
    #[must_use]
    pub fn new(used: bool, now: Timestamp) -> Self {
        Self { since: used.then_some(now), requests: Mutex::default() }
    }

    /// Whether a request may have been answered before without a durable trace.
    //= STR-40
    #[must_use]
    pub fn knows(&self, request: &Request) -> bool {
        self.since.is_some_and(|since| request.iat < since)
            || self.lock().known.contains_key(&(request.iss.clone(), request.jti.clone()))
    }

    /// Remembers a request until it can be recorded; `false` when it was remembered before, or when
    /// there is no place for it.
    //= STR-39
    #[must_use]
    pub fn remember(&self, request: &Request, guard: Guard, writes: Vec<Write>) -> bool {
        let keep_until = request.exp.plus_ms(landbridge_proto::wire::limit::CLOCK_SKEW_MS_MAX + 1);
        let id = (request.iss.clone(), request.jti.clone());
        let mut requests = self.lock();
        if requests.known.len() >= UNRECORDED_MAX {
            let before = requests.known.len();
            requests.known.retain(|_, record| record.keep_until > request.iat);
            let forgotten = before - requests.known.len();
            requests.missed += forgotten as u64;
        }
        if requests.known.len() >= UNRECORDED_MAX || requests.known.contains_key(&id) {
            return false;
        }
        requests.known.insert(id, Record { keep_until, guard, writes });
        true
    }

    /// Some of what waits.
    fn some(&self) -> Vec<((GatewayId, Jti), Record)> {
        let requests = self.lock();
        let some = requests.known.iter().take(AT_ONCE);
        some.map(|(id, record)| (id.clone(), record.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says when room runs out and when there is some again, once each, and then writes what waited.
pub async fn watch(core: Arc<Core>) {
    let mut room = core.store.room();
    let (mut told, mut short_since) = (Room::Enough, None);
    loop {
        let now = *room.borrow_and_update();
        gauge!(observe::STORE_FULL).set(if now == Room::Short { 1.0 } else { 0.0 });
        if now != std::mem::replace(&mut told, now) {
            match now {
                Room::Short => {
                    tracing::error!("{NO_ROOM}; new work is refused, reading and ending go on");
                }
                Room::Enough => tracing::info!("there is room again: work goes on"),
            }
        }
        match (now, short_since) {
            (Room::Short, None) => short_since = Some(core.now()),
            (Room::Enough, Some(since)) if record(&core, since).await => short_since = None,
            _ => {}
        }
        tokio::select! {
            changed = room.changed() => if changed.is_err() { return },
            () = core.stopping.cancelled() => return,
        }
    }
}

/// Writes what waited; `false` when the room ran out again meanwhile.
async fn record(core: &Arc<Core>, since: Timestamp) -> bool {
    let missed = core.unrecorded.lock().missed.to_string();
    let detail = [("since", &*since.to_string()), ("unrecorded", &missed)];
    let audit = core.audit("bridge", "store_was_full", core.own().as_str(), detail);
    if core.commit(Step::new(Vec::new(), vec![audit], ())).await.is_err() {
        return false;
    }
    core.unrecorded.lock().missed = 0;
    loop {
        let some = core.unrecorded.some();
        if some.is_empty() {
            return true;
        }
        let mut commits = JoinSet::new();
        for (id, record) in some {
            let core = Arc::clone(core);
            commits.spawn(async move {
                let step = Step::new(vec![record.guard], record.writes, ());
                match core.commit(step).await {
                    // Stale: it is recorded already.
                    Ok(()) | Err(StepError::Stale(_)) => {
                        core.unrecorded.lock().known.remove(&id);
                        true
                    }
                    Err(_) => false,
                }
            });
        }
        while let Some(done) = commits.join_next().await {
            if !done.unwrap_or(false) {
                return false;
            }
        }
    }
}

/// Waits until there is room, or until it is time to try once more with the reserve.
pub async fn wait(core: &Core) {
    let mut room = core.store.room();
    let again = core.now().plus_ms(1_000);
    tokio::select! {
        _ = room.wait_for(|room| *room == Room::Enough) => {}
        () = core.clock.sleep_until(again) => {}
    }
}

/// Whether ordinary work cannot be made durable now.
#[must_use]
pub fn is_short(core: &Core) -> bool {
    *core.store.room().borrow() == Room::Short
}
