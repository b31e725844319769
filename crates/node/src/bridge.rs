//! The bridge as the local API sees it: one method for each thing that can be asked of it.

use landbridge_proto::machine::contract::{AuditRow, EntryFilter};
use landbridge_proto::wire::name::{Alias, GatewayId, RunId};
use landbridge_proto::wire::problem::Problem;

use crate::local::api::{
    BridgeView, CancelView, FederationView, InviteView, Join, NewInvite, NewToken, PairingView,
    PeerView, RouteTest, RouteView, RunList, RunView, StartRun, TokenView,
};

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
pub struct Bridge {}

/// Frames of a run after a cursor, in the journal's order; waits for more until the terminal.
pub struct Frames {}

impl Frames {
    /// The next frames (`seq`, exact line), or `None` after the terminal. Cancel-safe.
    ///
    /// # Errors
    ///
    /// Returns a problem when the journal cannot be read.
    pub async fn next(&mut self) -> Result<Option<Vec<(u64, String)>>, Problem> {
        unimplemented!()
    }
}

#[allow(missing_docs, clippy::missing_errors_doc)]
impl Bridge {
    /// Finds the principal behind a bearer secret; `None` when there is none.
    pub fn principal_of(&self, secret: &str) -> Result<Option<Principal>, Problem> {
        unimplemented!()
    }
    pub async fn start_run(&self, who: &Principal, start: StartRun) -> Result<RunView, Problem> {
        unimplemented!()
    }
    pub async fn run(&self, who: &Principal, run: &RunId) -> Result<RunView, Problem> {
        unimplemented!()
    }
    pub async fn runs(&self, who: &Principal, filter: EntryFilter) -> Result<RunList, Problem> {
        unimplemented!()
    }
    pub async fn frames(
        &self,
        who: &Principal,
        run: &RunId,
        after: u64,
    ) -> Result<Frames, Problem> {
        unimplemented!()
    }
    pub async fn cancel(&self, who: &Principal, run: &RunId) -> Result<CancelView, Problem> {
        unimplemented!()
    }
    /// The transcript, one canonical line each, without line feeds.
    pub async fn transcript(&self, who: &Principal, run: &RunId) -> Result<Vec<String>, Problem> {
        unimplemented!()
    }
    pub async fn routes(&self, who: &Principal) -> Result<Vec<RouteView>, Problem> {
        unimplemented!()
    }
    pub async fn test_route(&self, who: &Principal, gateway: &Alias) -> Result<RouteTest, Problem> {
        unimplemented!()
    }
    // Administrator only; the API layer has checked that.
    pub async fn view(&self) -> Result<BridgeView, Problem> {
        unimplemented!()
    }
    pub async fn peers(&self) -> Result<Vec<PeerView>, Problem> {
        unimplemented!()
    }
    pub async fn invite(&self, invite: NewInvite) -> Result<InviteView, Problem> {
        unimplemented!()
    }
    pub async fn join(&self, join: Join) -> Result<PairingView, Problem> {
        unimplemented!()
    }
    pub async fn pairings(&self) -> Result<Vec<PairingView>, Problem> {
        unimplemented!()
    }
    pub async fn decline_pairing(&self, peer: &GatewayId) -> Result<(), Problem> {
        unimplemented!()
    }
    pub async fn federation(&self) -> Result<FederationView, Problem> {
        unimplemented!()
    }
    /// Verifies and applies a new version of our federation document, signed by our policy key.
    pub async fn put_federation(&self, envelope: &str) -> Result<FederationView, Problem> {
        unimplemented!()
    }
    pub async fn create_token(&self, token: NewToken) -> Result<TokenView, Problem> {
        unimplemented!()
    }
    pub async fn tokens(&self) -> Result<Vec<TokenView>, Problem> {
        unimplemented!()
    }
    pub async fn revoke_token(&self, id: &str) -> Result<TokenView, Problem> {
        unimplemented!()
    }
    pub async fn audit(&self, after: u64, count: usize) -> Result<Vec<AuditRow>, Problem> {
        unimplemented!()
    }
    /// Ready to take new work: not draining, store writable, status fresh.
    pub fn ready(&self) -> Result<(), String> {
        unimplemented!()
    }
}
