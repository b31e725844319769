//! The bridge as the local API sees it: one method for each thing that can be asked of it.
//!
//! Whatever changes something is finished even when its client goes away in the middle: a connection
//! that is lost must not leave durable state and drivers apart.

mod admin;
mod frames;
mod pairing;
mod routes;
mod runs;
mod transcript;
mod views;

use std::future::Future;
use std::sync::Arc;

use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::name::Alias;
use landbridge_proto::wire::problem::Problem;

pub use self::frames::Frames;
use crate::call::Calls;
use crate::core::{Core, bug, unreadable};
use crate::execute::Executions;
use crate::room;

/// Who asks on the local plane.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Principal {
    /// The owner of the process, through the unix socket.
    Admin,
    /// A workflow engine, by its token.
    Token {
        /// The token's public id.
        id: String,
        /// Logical gateways that it may use; empty: all.
        routes: Vec<Alias>,
        /// Verbs that it may use.
        verbs: Vec<String>,
    },
}

/// A running bridge. Cheap to clone.
#[derive(Clone)]
pub struct Bridge {
    core: Arc<Core>,
    calls: Arc<Calls>,
    executions: Arc<Executions>,
}

impl Principal {
    /// The token's id; an administrator has none.
    fn token(&self) -> Option<&str> {
        match self {
            Self::Admin => None,
            Self::Token { id, .. } => Some(id),
        }
    }

    /// Whether this logical gateway may be used.
    fn may_use(&self, gateway: &Alias) -> bool {
        match self {
            Self::Admin => true,
            Self::Token { routes, .. } => routes.is_empty() || routes.contains(gateway),
        }
    }
}

impl Bridge {
    /// The face of a bridge's core and drivers.
    #[must_use]
    pub const fn new(core: Arc<Core>, calls: Arc<Calls>, executions: Arc<Executions>) -> Self {
        Self { core, calls, executions }
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
            token.revoked.is_none() && token.expires.is_none_or(|expires| now < expires)
        });
        Ok(good.map(|token| Principal::Token {
            id: token.id,
            routes: token.routes,
            verbs: token.verbs,
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
        if state.status.is_none() || state.status_expires <= self.core.now() {
            return Err("the bridge has no fresh status of its own".to_owned());
        }
        if room::is_short(&self.core) {
            return Err(room::NO_ROOM.to_owned());
        }
        self.core.store.reads().clock().map(drop).map_err(|_| "the store cannot be read".to_owned())
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

/// Begins what a local token's stored hash is the digest of.
const TOKEN_TAG: &[u8] = b"landbridge-token-v1\n";
