//! A workflow of ours that needs a decision: every gateway whose operators' word could count is asked.

use std::collections::{BTreeMap, BTreeSet};

use landbridge_proto::machine::contract::{
    ApprovalRow, ApprovalSide, ApprovalState, AskedRow, EntryRow, Guard, Write,
};
use landbridge_proto::machine::step::Step;
use landbridge_proto::wire::approval::{
    ApprovalRequest, ApprovalTenants, Binding, Requester, Subject, raw,
};
use landbridge_proto::wire::document::{FormVersion, Peer};
use landbridge_proto::wire::name::{
    ApprovalId, IdempotencyKey, ScopeName, SubjectKind, TenantId, TenantPair, Timestamp,
};
use landbridge_proto::wire::problem::{Code, Problem};
use landbridge_proto::wire::request::{ApprovalAsked, Start};

use super::projected::{Need, scopes};
use super::vote::{To, about, entry_of};
use crate::core::{Core, bug, unreadable};

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// The bytes.
    pub subject: String,
    /// Their media type.
    pub media: String,
    /// What they are.
    pub kind: SubjectKind,
    /// How much of what will happen they are.
    pub binding: Binding,
    /// Our scope.
    pub scope: ScopeName,
    /// Our tenant.
    pub tenant: TenantId,
    /// People at least.
    pub quorum: u32,
    /// How long anybody may decide, in milliseconds.
    pub expires_in_ms: i64,
    /// On whose behalf.
    pub principal: String,
    /// Which local token asks.
    pub token: Option<String>,
}

/// How much longer than the question its runs may take, in milliseconds.
const RUN_SPARE_MS: i64 = 60_000;

impl Ask {
    /// Asks, durably, and gives the question and the runs that ask, to be driven.
    ///
    /// # Errors
    ///
    /// A problem; then nobody was asked.
    pub(crate) async fn make(self, core: &Core) -> Result<(ApprovalRow, Vec<EntryRow>), Problem> {
        let mut bytes = [0_u8; 20];
        core.entropy.fill(&mut bytes);
        let id = super::named(&bytes).map_err(|error| bug("no approval id", &error))?;
        let now = core.now();
        let expires = now.plus_ms(self.expires_in_ms);
        let (mut asked, mut entries) = (Vec::new(), Vec::new());
        for (peer, remote, would_do) in self.gateways(core)? {
            let tenant = TenantPair { dst: remote, src: self.tenant.clone() };
            let (row, entry) = self.one(core, &id, &peer, tenant, would_do, expires)?;
            asked.push(row);
            entries.push(entry);
        }
        if asked.is_empty() {
            //= APR-6
            let detail = format!(
                "no projection of an active peer makes anybody's decision count as {} for tenant {}",
                self.scope, self.tenant
            );
            return Err(Problem::new(Code::NoApprovalRoute).with_detail(detail));
        }
        let row = ApprovalRow {
            id: id.clone(),
            side: ApprovalSide::Relying,
            tenant: self.tenant,
            asked,
            //= APR-13
            subject: self.subject,
            run: None,
            question: None,
            token: self.token.clone(),
            created: now,
            expires,
            state: ApprovalState::Open,
            decisions: Vec::new(),
            answer: None,
            decided: None,
            revision: 0,
        };
        let actor = self.token.as_deref().unwrap_or("admin");
        let said = [("kind", self.kind.as_str()), ("scope", self.scope.as_str())];
        let audit = core.audit(actor, "approval_requested", id.as_str(), said);
        let mut guards = vec![Guard::ApprovalFree { id }];
        guards.extend(entries.iter().map(|entry| Guard::EntryKeyFree {
            peer: entry.peer.clone(),
            tenant: entry.tenant.clone(),
            key: entry.key.clone(),
        }));
        let mut writes = vec![Write::CreateApproval(row.clone()), audit, Write::Clock(now)];
        writes.extend(entries.iter().cloned().map(Write::CreateEntry));
        core.commit(Step::new(guards, writes, ())).await?;
        core.approvals.changed();
        Ok((row, entries))
    }

    /// The active peers whose operators could decide, with their tenants and scopes.
    fn gateways(&self, core: &Core) -> Result<Vec<(Peer, TenantId, BTreeSet<ScopeName>)>, Problem> {
        let state = core.trust.state();
        let Some(known) = &state.federation else { return Ok(Vec::new()) };
        let need = Need {
            local: &self.tenant,
            scope: &self.scope,
            kind: &self.kind,
            binding: self.binding,
        };
        let mut found = Vec::new();
        for peer in known.document().peers.iter().filter(|peer| state.active(&peer.gid)) {
            let remotes: BTreeSet<_> =
                peer.projections.iter().map(|one| one.remote.clone()).collect();
            for remote in remotes {
                let would_do = scopes(core, peer, &remote, &need);
                let would_do = would_do.map_err(|fault| unreadable(&fault))?;
                if !would_do.is_empty() {
                    found.push((peer.clone(), remote, would_do));
                }
            }
        }
        Ok(found)
    }

    fn one(
        &self,
        core: &Core,
        id: &ApprovalId,
        peer: &Peer,
        tenant: TenantPair,
        would_do: BTreeSet<ScopeName>,
        expires: Timestamp,
    ) -> Result<(AskedRow, EntryRow), Problem> {
        let now = core.now();
        let bytes = self.subject.as_bytes();
        let request = ApprovalRequest::try_from(raw::ApprovalRequest {
            aud: peer.gid.clone(),
            expires,
            id: id.clone(),
            iss: core.own().clone(),
            issued: now,
            quorum: self.quorum,
            requester: Requester { gateway: core.own().clone(), principal: self.principal.clone() },
            run: None,
            scope: self.scope.clone(),
            scopes: would_do,
            subject: Subject::of(self.kind.clone(), self.media.clone(), self.binding, bytes),
            tenant: ApprovalTenants::caller_relies(&tenant),
            v: FormVersion,
        });
        let malformed = |what: String| Problem::new(Code::Malformed).with_detail(what);
        let request = request.map_err(|error| malformed(error.to_string()))?;
        let signed = core.identity.present().sign(&request, now);
        let envelope = signed
            .map_err(|error| Problem::new(Code::Halted).with_detail(super::detail(&error)))?;
        let key = IdempotencyKey::new(format!("{id}-{}", tenant.dst));
        let key = key.map_err(|error| bug("a key of ours is wrong", &error))?;
        let text = String::from_utf8_lossy(&envelope.to_bytes()).into_owned();
        let digest = envelope.digest();
        let start = about(core, &self.principal, key, self.expires_in_ms + RUN_SPARE_MS)?;
        let asked = ApprovalAsked { request: envelope, subject: self.subject.clone() };
        let start = Start { approval_request: Some(asked), ..start };
        let labels = BTreeMap::from([("approval".to_owned(), id.to_string())]);
        let to = To { gateway: &peer.alias, peer: &peer.gid, tenant: &tenant };
        let entry = entry_of(core, &to, start, self.token.clone(), labels)?;
        let run = Some(entry.run.clone());
        Ok((AskedRow { peer: peer.gid.clone(), request: text, digest, run }, entry))
    }
}
