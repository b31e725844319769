//! The bridge as the local API sees it: one method for each thing that can be asked of it.
//!
//! Whatever changes something is finished even when its client goes away in the middle: a connection
//! that is lost must not leave durable state and drivers apart.

mod address;
mod admin;
mod admission;
mod approvals;
mod dispute;
mod evidence;
mod frames;
mod history;
mod invites;
mod pairing;
mod peer_test;
mod revoke;
mod routes;
mod runs;
mod scopes;
mod tokens;
mod transcript;
mod views;

use std::future::Future;
use std::sync::Arc;

use landbridge_planted::planted;
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::kind::Role;
use landbridge_proto::wire::name::Owner;
use landbridge_proto::wire::problem::{Code, Problem};

pub use self::frames::Frames;
pub use self::tokens::TokenScope;
use self::tokens::Tokens;
use crate::call::Calls;
use crate::core::{Core, bug, unreadable};
use crate::execute::Executions;
use crate::halt::Halted;
use crate::local::problem::LocalProblem;
use crate::rollback::{ADVICE, RolledBack};
use crate::room;
use crate::tally::Tally;

/// Who asks on the local plane.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Principal {
    /// The owner of the process, through the unix socket.
    Admin,
    /// A workflow engine, by its token.
    Token(Arc<TokenScope>),
}

/// A running bridge. Cheap to clone.
#[derive(Clone)]
pub struct Bridge {
    core: Arc<Core>,
    calls: Arc<Calls>,
    executions: Arc<Executions>,
    tokens: Arc<Tokens>,
}

impl Principal {
    /// The token's id; an administrator has none.
    fn token(&self) -> Option<&str> {
        match self {
            Self::Admin => None,
            Self::Token(scope) => Some(&scope.id),
        }
    }
}

impl Bridge {
    /// The face of a bridge's core and drivers.
    #[must_use]
    pub fn new(core: Arc<Core>, calls: Arc<Calls>, executions: Arc<Executions>) -> Self {
        Self { core, calls, executions, tokens: Arc::default() }
    }

    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    /// What is counted instead of being recorded one by one.
    pub(crate) fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.core.tally)
    }

    /// How many places for runs an owner holds here.
    pub(crate) fn open_places(&self, owner: &Owner) -> u64 {
        u64::try_from(self.executions.seats().held_by(owner)).unwrap_or(u64::MAX)
    }

    /// Finds the principal behind a bearer secret; `None` when there is none, or no more.
    ///
    /// # Errors
    ///
    /// A problem when the store cannot be read.
    pub fn principal_of(&self, secret: &str) -> Result<Option<Principal>, Problem> {
        let hash = Digest::of(TOKEN_TAG, &[secret.as_bytes()]);
        let row = self.core.store.reads().token_of_hash(&hash);
        let row = row.map_err(|fault| unreadable(&fault))?;
        let now = self.core.now();
        let good = row.filter(|token| {
            let revoked = token.revoked.is_some() && !planted!("revoked_token_taken");
            !revoked && token.expires.is_none_or(|expires| now < expires)
        });
        let settings = &self.core.settings;
        Ok(good.map(|token| {
            Principal::Token(Arc::new(TokenScope {
                runs_open_max: token.runs_open_max.unwrap_or(settings.token_runs_open_max),
                starts_per_minute_max: token
                    .starts_per_minute_max
                    .unwrap_or(settings.token_starts_per_minute_max),
                id: token.id,
                routes: token.routes,
                tenants: token.tenants,
                sees: token.sees,
                verbs: token.verbs,
                expires: token.expires,
            }))
        }))
    }

    /// Says whether new work is taken.
    ///
    /// # Errors
    ///
    /// The reason why not, in words that name no peer, run or person.
    pub fn ready(&self) -> Result<(), String> {
        if self.core.draining.is_cancelled() {
            return Err("the bridge is shutting down".to_owned());
        }
        let state = self.core.trust.state();
        if state.rolled_back.is_some() {
            return Err(ADVICE.to_owned());
        }
        if self.core.halt.is_on() {
            return Err(
                "the bridge is halted by its operator; it goes on after: landbridge resume"
                    .to_owned(),
            );
        }
        let (identity, now) = (self.core.identity.present(), self.core.now());
        for role in [Role::Stream, Role::Request, Role::Status] {
            if identity.is_withdrawn(role, now) {
                return Err(format!(
                    "our own key of the {role} is revoked; landbridge key rotate {role} --now"
                ));
            }
        }
        if state.status.is_none() || state.status_expires <= self.core.now() {
            return Err("the bridge has no fresh status of its own".to_owned());
        }
        if room::is_short(&self.core) {
            return Err(room::NO_ROOM.to_owned());
        }
        self.core.store.reads().clock().map(drop).map_err(|_| "the store cannot be read".to_owned())
    }

    /// Refuses while the bridge waits for a person to recover it.
    fn check_history(&self) -> Result<(), Problem> {
        //= ID-40
        if self.core.trust.halted().is_cancelled() { Err(RolledBack::problem()) } else { Ok(()) }
    }

    /// As [`Bridge::finish`], for what also this plane refuses.
    async fn finish_local<T, F>(&self, work: F) -> Result<T, LocalProblem>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, LocalProblem>> + Send + 'static,
    {
        match tokio::spawn(work).await {
            Ok(done) => done,
            Err(error) => Err(bug("a local request failed", &error).into()),
        }
    }

    /// Refuses new work while the operator's switch is thrown, or nothing can be signed for it.
    //= ID-64
    fn check_may_ask(&self) -> Result<(), Problem> {
        if self.core.halt.is_on() && !planted!("halt_ignored_by_caller") {
            return Err(Halted::problem());
        }
        if self.core.identity.present().is_withdrawn(Role::Request, self.core.now()) {
            return Err(Problem::new(Code::Halted).with_detail(KEYLESS));
        }
        Ok(())
    }

    /// Finishes `work` even when the client goes away.
    async fn finish<T, F>(&self, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Problem>> + Send + 'static,
    {
        match tokio::spawn(work).await {
            Ok(done) => done,
            Err(error) => Err(bug("a local request failed", &error)),
        }
    }
}

/// What a client is told whose work cannot be asked for under a signature.
const KEYLESS: &str = "this bridge's key for requests is revoked; its operator makes a new one: landbridge key rotate request --now";

/// Begins what a local token's stored hash is the digest of.
const TOKEN_TAG: &[u8] = b"landbridge-token-v1\n";
