//! Questions for people, as clients see them and have a say in them.

use landbridge_planted::planted;
use landbridge_proto::machine::approval_record::{Asked, Record, Told};
use landbridge_proto::machine::contract::{
    ApprovalFilter, ApprovalRow, ApprovalSide, CountedRow, DocumentKind, EntryRow, Sees,
};
use landbridge_proto::trust::approval::said;
use landbridge_proto::wire::approval::{ApprovalRequest, Binding, Decision, SignedApproval};
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::name::{ApprovalId, GatewayId, TenantId};
use landbridge_proto::wire::problem::{Code, Problem};

use super::tokens::TokenScope;
use super::views::instant;
use super::{Bridge, Principal};
use crate::approvals::{self, Ask};
use crate::core::{bug, unreadable};
use crate::local::api::{ApprovalBrief, ApprovalPeer, ApprovalView, AskApproval, DecisionView};
use crate::local::auth::Verb;

/// How long anybody may decide unless it is said, in milliseconds.
const EXPIRES_IN_MS: i64 = 30 * 60_000;

impl Principal {
    /// Whether this question exists for the principal: what its token asked, and what concerns its tenants
    /// where it sees all of theirs or may decide.
    fn sees_approval(&self, row: &ApprovalRow) -> bool {
        let Self::Token(scope) = self else { return true };
        let TokenScope { id, tenants, sees, verbs, .. } = scope.as_ref();
        if row.token.as_deref() == Some(id.as_str()) {
            return true;
        }
        let decides = verbs.iter().any(|verb| verb == Verb::Decide.as_str());
        let wide = *sees == Sees::Tenants || decides;
        let own = tenants.contains(&row.tenant) || planted!("token_sees_others_approvals");
        wide && own
    }
}

impl Bridge {
    /// Questions, newest first.
    ///
    /// # Errors
    ///
    /// A problem when the store cannot be read.
    pub fn approvals(
        &self,
        who: &Principal,
        filter: ApprovalFilter,
    ) -> Result<Vec<ApprovalBrief>, Problem> {
        let limit = filter.limit as usize;
        // What a token sees is no plain filter, so more is read than is shown.
        let filter = match who {
            Principal::Admin => filter,
            Principal::Token(_) => ApprovalFilter { limit: READ_MAX, ..filter },
        };
        let rows =
            self.core.store.reads().approvals(&filter).map_err(|fault| unreadable(&fault))?;
        let seen = rows.into_iter().filter(|row| who.sees_approval(row)).take(limit);
        Ok(seen.filter_map(|row| self.brief_of(&row)).collect())
    }

    /// One question.
    ///
    /// # Errors
    ///
    /// `not_found` also for one of another tenant.
    pub fn approval(&self, who: &Principal, id: &ApprovalId) -> Result<ApprovalView, Problem> {
        self.approval_view(&self.approval_for(who, id)?)
    }

    /// Asks the operators of other gateways.
    ///
    /// # Errors
    ///
    /// `no_approval_route` where no projection makes anybody's decision count; nobody was asked then.
    pub async fn ask_approval(
        &self,
        who: &Principal,
        ask: AskApproval,
    ) -> Result<ApprovalView, Problem> {
        let (bridge, who) = (self.clone(), who.clone());
        self.finish(async move { bridge.ask_durably(&who, ask).await }).await
    }

    async fn ask_durably(
        &self,
        who: &Principal,
        ask: AskApproval,
    ) -> Result<ApprovalView, Problem> {
        self.check_history()?;
        self.check_may_ask()?;
        if self.core.draining.is_cancelled() {
            return Err(Problem::new(Code::Draining));
        }
        let tenant = tenant_of(who, ask.tenant)?;
        let token = who.token().map(str::to_owned);
        let principal = ask.principal.or_else(|| token.clone());
        let ask = Ask {
            subject: ask.subject,
            media: ask.media.unwrap_or_else(|| "text/plain".to_owned()),
            kind: ask.kind,
            binding: ask.binding.unwrap_or(Binding::Exact),
            scope: ask.scope,
            tenant,
            quorum: ask.quorum.unwrap_or(1),
            expires_in_ms: ask.expires_in_ms.unwrap_or(EXPIRES_IN_MS),
            principal: principal.unwrap_or_else(|| "admin".to_owned()),
            token,
        };
        let (row, entries) = ask.make(&self.core).await?;
        self.drive_all(entries);
        self.approval_view(&row)
    }

    /// Takes what an operator of ours decided.
    ///
    /// # Errors
    ///
    /// `approval_refused` with the reason, `already_resolved`, or `not_found`.
    pub async fn decide_approval(
        &self,
        who: &Principal,
        id: &ApprovalId,
        signed: SignedApproval,
    ) -> Result<ApprovalView, Problem> {
        let (bridge, who, id) = (self.clone(), who.clone(), id.clone());
        self.finish(async move {
            bridge.check_history()?;
            bridge.check_may_ask()?;
            let row = bridge.approval_for(&who, &id)?;
            let actor = who.token().unwrap_or("admin");
            let voted = approvals::vote(&bridge.core, row, &signed, actor).await?;
            bridge.drive_all(voted.entry);
            bridge.approval_view(&voted.row)
        })
        .await
    }

    /// The record of a question that this gateway asked, which anybody can judge offline.
    ///
    /// # Errors
    ///
    /// `not_found`, and `not_supported` for a question of another gateway, which has the record.
    //= APR-28
    pub fn approval_evidence(&self, who: &Principal, id: &ApprovalId) -> Result<String, Problem> {
        let row = self.approval_for(who, id)?;
        if row.side != ApprovalSide::Relying {
            let detail = "the gateway that asked has the record: it alone says whose word counts";
            return Err(Problem::new(Code::NotSupported).with_detail(detail));
        }
        let told = |gateway| -> Result<Told, Problem> {
            Ok(Told {
                roots: self.envelopes(gateway, DocumentKind::Root)?,
                statuses: self.envelopes(gateway, DocumentKind::Status)?,
            })
        };
        let mut asked = Vec::new();
        for one in &row.asked {
            let taken = row.decisions.iter().filter(|kept| kept.gateway == one.peer);
            let decisions = taken
                .filter_map(|kept| Some((kept.at, serde_json::from_str(&kept.decision).ok()?)));
            asked.push(Asked {
                told: told(&one.peer)?,
                request: Envelope::parse(one.request.as_bytes())
                    .map_err(|error| bug("a request cannot be read", &error))?,
                decisions: decisions.collect(),
            });
        }
        let record = Record {
            id: row.id.clone(),
            relying: Told {
                roots: self.core.identity.present().chain().to_vec(),
                ..told(self.core.own())?
            },
            federation: self.in_force(&row)?,
            subject: row.subject,
            asked,
        };
        record.write().map_err(|error| {
            tracing::error!(%id, %error, "an approval has no record");
            let detail = format!("the record cannot be made of what is kept: {error}");
            Problem::new(Code::Internal).with_detail(detail)
        })
    }

    fn envelopes(&self, gateway: &GatewayId, kind: DocumentKind) -> Result<Vec<Envelope>, Problem> {
        let rows = self.core.store.reads().documents(gateway, kind);
        let rows = rows.map_err(|fault| unreadable(&fault))?;
        Ok(rows.iter().filter_map(|row| Envelope::parse(row.envelope.as_bytes()).ok()).collect())
    }

    /// Our federation documents that were in force when decisions were taken, and the one before them.
    fn in_force(&self, row: &ApprovalRow) -> Result<Vec<Envelope>, Problem> {
        let rows = self.core.store.reads().documents(self.core.own(), DocumentKind::Federation);
        let rows = rows.map_err(|fault| unreadable(&fault))?;
        let until = row.decisions.last().map_or(row.created, |kept| kept.at);
        let first = row.decisions.first().map_or(row.created, |kept| kept.at);
        let before = rows.iter().filter(|row| row.at <= first).map(|row| row.version).max();
        let held = rows.iter().filter(|row| row.at <= until && Some(row.version) >= before);
        Ok(held.filter_map(|row| Envelope::parse(row.envelope.as_bytes()).ok()).collect())
    }

    fn drive_all(&self, entries: impl IntoIterator<Item = EntryRow>) {
        for entry in entries {
            self.calls.drive(&self.core, entry);
        }
    }

    pub(super) fn approval_for(
        &self,
        who: &Principal,
        id: &ApprovalId,
    ) -> Result<ApprovalRow, Problem> {
        let row = self.core.store.reads().approval(id).map_err(|fault| unreadable(&fault))?;
        row.filter(|row| who.sees_approval(row)).ok_or_else(unknown)
    }

    /// A question in a list; `None` for one that nobody was asked.
    fn brief_of(&self, row: &ApprovalRow) -> Option<ApprovalBrief> {
        let request = approvals::first_request(&self.core, row)?;
        Some(self.brief(row, &request))
    }

    fn brief(&self, row: &ApprovalRow, request: &ApprovalRequest) -> ApprovalBrief {
        let state = self.core.trust.state();
        let known = state.federation.as_ref();
        let peers = row.asked.iter().map(|asked| ApprovalPeer {
            alias: known.and_then(|known| known.peer(&asked.peer)).map(|peer| peer.alias.clone()),
            gateway: asked.peer.clone(),
        });
        ApprovalBrief {
            id: row.id.clone(),
            side: row.side,
            state: row.state,
            tenant: row.tenant.clone(),
            peers: peers.collect(),
            scope: request.scope.clone(),
            scopes: request.scopes.clone(),
            quorum: request.quorum,
            requester: request.requester.clone(),
            kind: request.subject.kind.clone(),
            binding: request.subject.binding,
            created: instant(row.created),
            expires: instant(row.expires),
            decided: row.decided.map(instant),
            run: row.run.clone(),
        }
    }

    fn approval_view(&self, row: &ApprovalRow) -> Result<ApprovalView, Problem> {
        let request = approvals::first_request(&self.core, row).ok_or_else(unknown)?;
        Ok(ApprovalView {
            brief: self.brief(row, &request),
            media: request.subject.media.clone(),
            subject: row.subject.clone(),
            digest: request.subject.digest,
            size: request.subject.size,
            decisions: row.decisions.iter().filter_map(decision).collect(),
            answer: row.answer.clone(),
            request: row.asked.first().map(|asked| asked.request.clone()).unwrap_or_default(),
        })
    }
}

fn unknown() -> Problem {
    Problem::new(Code::NotFound)
        .with_detail("no such approval; `landbridge approval list` shows what there is")
}

fn decision(kept: &CountedRow) -> Option<DecisionView> {
    let said = said(&serde_json::from_str::<Decision>(&kept.decision).ok()?).ok()?;
    Some(DecisionView {
        gateway: kept.gateway.clone(),
        sub: said.approval.sub.clone(),
        scope: said.approval.scope.clone(),
        method: said.method,
        vote: said.approval.decision,
        at: instant(kept.at),
    })
}

/// The tenant that is asked for: a token asks for its own only.
fn tenant_of(who: &Principal, named: Option<TenantId>) -> Result<TenantId, Problem> {
    let refuse = |what: String| Problem::new(Code::Malformed).with_detail(what);
    let own = match who {
        Principal::Admin => &[][..],
        Principal::Token(scope) => scope.tenants.as_slice(),
    };
    match (named, own) {
        (Some(named), own) if own.is_empty() || own.contains(&named) => Ok(named),
        (Some(named), _) => {
            let what = format!("the token is not for the tenant {named}");
            Err(Problem::new(Code::NotGranted).with_detail(what))
        }
        (None, [one]) => Ok(one.clone()),
        (None, []) => TenantId::new("default").map_err(|error| refuse(error.to_string())),
        (None, _) => Err(refuse("name the `tenant`: the token has several".to_owned())),
    }
}

/// Questions that are read to find those that a token sees.
const READ_MAX: u32 = 10_000;
