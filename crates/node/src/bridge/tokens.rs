//! Local tokens: what each may reach and see, how much of it, and until when.
//!
//! A token's scope only ever narrows: what it does not name is not there for it. Which runs exist for a
//! token is asked in one place, [`TokenScope::sees`], for everything that takes a run's name; lists
//! narrow the query to the same.

use std::sync::Arc;

use landbridge_planted::planted;
use landbridge_proto::machine::contract::{EntryFilter, EntryRow, Sees};
use landbridge_proto::wire::name::{Alias, TenantId, Timestamp};
use landbridge_proto::wire::problem::{Code, Problem};
use tokio::sync::watch;

use super::Principal;
use crate::core::{Core, Route, unreadable};
use crate::federation::rate::{Rate, Rates};
use crate::local::problem::{LocalCode, LocalProblem};

/// What a token may do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TokenScope {
    /// The token's public id.
    pub id: String,
    /// Logical gateways that it may use; empty: all.
    pub routes: Vec<Alias>,
    /// Our tenants whose routes it may use; empty: all.
    pub tenants: Vec<TenantId>,
    /// Which runs exist for it.
    pub sees: Sees,
    /// Verbs that it may use.
    pub verbs: Vec<String>,
    /// How many runs it may have open at once.
    pub runs_open_max: u64,
    /// How many runs it may start in a minute.
    pub starts_per_minute_max: u32,
    /// When it stops working.
    pub expires: Option<Timestamp>,
}

impl TokenScope {
    fn names(&self, gateway: &Alias, tenant: &TenantId) -> bool {
        (self.routes.is_empty() || self.routes.contains(gateway))
            && (self.tenants.is_empty() || self.tenants.contains(tenant))
    }

    /// Whether this run exists for the token.
    fn sees(&self, entry: &EntryRow) -> bool {
        (self.names(&entry.gateway, &entry.tenant.src) || planted!("token_sees_other_tenants"))
            && match self.sees {
                Sees::Own => entry.token.as_deref() == Some(self.id.as_str()),
                Sees::Tenants => true,
            }
    }
}

impl Principal {
    /// Whether this logical gateway, which stands for this route, may be used.
    pub(super) fn may_use(&self, gateway: &Alias, route: &Route) -> bool {
        match self {
            Self::Admin => true,
            Self::Token(scope) => scope.names(gateway, &route.tenant.src),
        }
    }

    /// Whether this run exists for the principal.
    pub(super) fn sees(&self, entry: &EntryRow) -> bool {
        match self {
            Self::Admin => true,
            Self::Token(scope) => scope.sees(entry),
        }
    }

    /// Narrows a list to what exists for the principal; `None`: nothing of it does.
    pub(super) fn narrow(&self, mut filter: EntryFilter) -> Option<EntryFilter> {
        let Self::Token(scope) = self else { return Some(filter) };
        if filter.gateways.is_empty() {
            filter.gateways.clone_from(&scope.routes);
        } else if !scope.routes.is_empty() {
            filter.gateways.retain(|gateway| scope.routes.contains(gateway));
            if filter.gateways.is_empty() {
                return None;
            }
        }
        filter.tenants.clone_from(&scope.tenants);
        filter.token = match scope.sees {
            Sees::Own => Some(scope.id.clone()),
            Sees::Tenants => None,
        };
        Some(filter)
    }
}

/// What all tokens share while the process runs.
#[derive(Debug)]
pub(super) struct Tokens {
    /// Raised with each change, for those who hold something open.
    changes: watch::Sender<u64>,
    /// New runs of each token lately.
    starts: Rates<String>,
}

impl Default for Tokens {
    fn default() -> Self {
        Self { changes: watch::Sender::new(0), starts: Rates::default() }
    }
}

impl Tokens {
    /// A token was written: whoever holds something open by it looks again.
    pub(super) fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Takes one start from a token's minute.
    ///
    /// # Errors
    ///
    /// `rate_limited`, with the time until there is one.
    pub(super) fn take_start(&self, scope: &TokenScope, now: Timestamp) -> Result<(), Problem> {
        let max = scope.starts_per_minute_max;
        self.starts.take(&scope.id, Rate::per_minute(max), now).map_err(|wait_ms| {
            Problem::new(Code::RateLimited)
                .with_detail(format!("the token {} may start {max} runs in a minute", scope.id))
                .with_retry_after_ms(wait_ms)
        })
    }

    /// A principal's right to keep something open.
    pub(super) fn lease(&self, who: &Principal) -> Option<Lease> {
        let Principal::Token(scope) = who else { return None };
        let mut changes = self.changes.subscribe();
        // The token may have been revoked since it was looked up: look once in any case.
        changes.mark_changed();
        Some(Lease { scope: Arc::clone(scope), changes })
    }
}

/// The refusal of one more run than a token may have open.
pub(super) fn too_many_open(scope: &TokenScope) -> Problem {
    let max = scope.runs_open_max;
    Problem::new(Code::RateLimited)
        .with_detail(format!(
            "the token {} has {max} open runs and may have no more; it may start another one \
             when one has ended",
            scope.id
        ))
        .with_retry_after_ms(OPEN_AGAIN_MS)
}

/// A token's right to keep a stream open: ends with its revocation or its time.
#[derive(Debug)]
pub(super) struct Lease {
    scope: Arc<TokenScope>,
    changes: watch::Receiver<u64>,
}

impl Lease {
    /// Checks that the token is still good.
    ///
    /// # Errors
    ///
    /// `unauthorized` when it is not.
    pub(super) fn check(&mut self, core: &Core) -> Result<(), LocalProblem> {
        let over = || {
            let detail = "the token was revoked or has expired; the run goes on";
            LocalProblem::new(LocalCode::Unauthorized, detail)
        };
        if self.scope.expires.is_some_and(|expires| core.now() >= expires) {
            return Err(over());
        }
        if planted!("revoked_token_keeps_streams") {
            return Ok(());
        }
        if self.changes.has_changed().unwrap_or(true) {
            self.changes.mark_unchanged();
            let row = core.store.reads().token(&self.scope.id);
            let row = row.map_err(|fault| unreadable(&fault))?;
            if row.is_none_or(|row| row.revoked.is_some()) {
                return Err(over());
            }
        }
        Ok(())
    }

    /// Returns when the token should be looked at again. Cancel-safe.
    pub(super) async fn changed(&mut self, core: &Core) {
        let expires = self.scope.expires;
        tokio::select! {
            _ = self.changes.changed() => self.changes.mark_changed(),
            () = async {
                match expires {
                    Some(expires) => core.clock.sleep_until(expires).await,
                    None => std::future::pending().await,
                }
            } => {}
        }
    }
}

/// When to try again after too many open runs: nobody knows when one ends.
const OPEN_AGAIN_MS: u64 = 5_000;
