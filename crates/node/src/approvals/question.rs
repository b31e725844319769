//! A question of another gateway to our operators, asked by a run of its own.
//!
//! The run waits until its row has ended and says each decision as it comes. It ends as the row ended; what
//! that is worth is for the gateway that asked to judge.

use std::sync::Arc;

use landbridge_proto::machine::admission::Admitted;
use landbridge_proto::machine::contract::{
    ApprovalFilter, ApprovalRow, ApprovalSide, ApprovalState, AskedRow, CountedRow, Guard, RunRow,
    Write,
};
use landbridge_proto::machine::step::Step;
use landbridge_proto::trust::approval::{check_ask, said};
use landbridge_proto::trust::recorded::{Stated, verify_stated};
use landbridge_proto::wire::approval::{ApprovalTenants, Catalog, Decision};
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::name::{RunId, TenantId};
use landbridge_proto::wire::problem::{Code, Problem};
use landbridge_proto::wire::request::ApprovalAsked;
use landbridge_proto::wire::stream::ApprovalResolved;
use landbridge_store::Fault;

use super::adapter::{Told, failed};
use super::{RETRY_MS, TRIES, replaced};
use crate::adapter::{
    AdapterFault, Ending, Report, Reports, ResolvedBy, SideEffects, StopReason, Stopped, Trouble,
    TroubleCode, Work,
};
use crate::core::{Core, StepError, unreadable};

/// A question that was verified, and its row, but for the run.
#[derive(Debug)]
pub(crate) struct Received(ApprovalRow);

/// Verifies a question to our operators before its run is created.
///
/// # Errors
///
/// A problem that says why nobody is asked.
pub(crate) fn receive(
    core: &Core,
    admitted: &Admitted,
    asked: &ApprovalAsked,
) -> Result<Received, Problem> {
    let refused = |what: String| Problem::new(Code::ApprovalRefused).with_detail(what);
    let owner = admitted.owner();
    let view = core.peer_view(&owner.caller).map_err(|error| refused(error.to_string()))?;
    let tenants = ApprovalTenants::caller_relies(&owner.tenant);
    let (bytes, now) = (asked.subject.as_bytes(), core.now());
    let verified = check_ask(&asked.request, &view, core.own(), &tenants, bytes, now);
    let verified = verified.map_err(|fault| refused(super::detail(&fault)))?;
    let request = verified.value();
    let catalog = own_catalog(core, &owner.tenant.dst).map_err(|fault| unreadable(&fault))?;
    let unknown = request
        .scopes
        .iter()
        .find(|scope| catalog.as_ref().is_none_or(|(_, catalog)| catalog.scope(scope).is_none()));
    if let Some(scope) = unknown {
        let tenant = &owner.tenant.dst;
        return Err(refused(format!("{tenant} has no scope {scope} here")));
    }
    if core.store.reads().approval(&request.id).map_err(|fault| unreadable(&fault))?.is_some() {
        return Err(refused(format!("{} was asked before", request.id)));
    }
    Ok(Received(ApprovalRow {
        id: request.id.clone(),
        side: ApprovalSide::Deciding,
        tenant: owner.tenant.dst.clone(),
        asked: vec![AskedRow {
            peer: owner.caller.clone(),
            request: String::from_utf8_lossy(&asked.request.to_bytes()).into_owned(),
            digest: verified.digest(),
            run: None,
        }],
        subject: asked.subject.clone(),
        run: None,
        question: None,
        token: None,
        created: now,
        expires: request.expires,
        state: ApprovalState::Open,
        decisions: Vec::new(),
        answer: None,
        decided: None,
        revision: 0,
    }))
}

impl Received {
    /// What belongs into the step that creates its run.
    pub(crate) fn with(self, core: &Core, run: &RunRow) -> (Guard, [Write; 2]) {
        let Self(row) = self;
        let row = ApprovalRow { run: Some(run.run.clone()), ..row };
        let said = [("run", run.run.as_str())];
        let audit = core.audit(run.owner.caller.as_str(), "approval_asked", row.id.as_str(), said);
        (Guard::ApprovalFree { id: row.id.clone() }, [Write::CreateApproval(row), audit])
    }
}

/// Our newest catalog of a tenant, read back.
pub(super) fn own_catalog(
    core: &Core,
    tenant: &TenantId,
) -> Result<Option<(Envelope, Catalog)>, Fault> {
    let row = core.store.reads().catalog(core.own(), tenant)?;
    let envelope = row.and_then(|row| Envelope::parse(row.envelope.as_bytes()).ok());
    Ok(envelope.and_then(|envelope| {
        let stated = |catalog: &Catalog| Stated { root_version: None, at: catalog.issued };
        let identity = core.identity.present();
        let verified = verify_stated::<Catalog>(identity.root(), &envelope, stated).ok()?;
        Some((envelope, verified.into_value()))
    }))
}

/// Says what is decided until the question has ended, and gives the run's end; `None`: nobody listens.
pub(super) async fn follow(
    core: &Arc<Core>,
    work: &Work,
    told: Told,
    reports: &Reports,
) -> Option<Report> {
    let mut changes = core.approvals.watch();
    let mut said = told.resolved;
    loop {
        changes.mark_unchanged();
        match row_of(core, &work.run) {
            Ok(Some(row)) => {
                for counted in row.decisions.iter().skip(said) {
                    let report = decision_report(&row, counted)?;
                    reports.send(report).await.ok()?;
                }
                said = said.max(row.decisions.len());
                if let Some(end) = end_of(&row) {
                    return Some(end);
                }
            }
            Ok(None) => {
                let detail = "the question is not known any more";
                return Some(failed(TroubleCode::Interrupted, detail));
            }
            Err(fault) => {
                tracing::error!(run = %work.run, %fault, "a question cannot be read");
                core.clock.sleep_until(core.now().plus_ms(RETRY_MS)).await;
                continue;
            }
        }
        tokio::select! {
            changed = changes.changed() => changed.ok()?,
            () = reports.closed() => return None,
            () = core.stopping.cancelled() => return None,
        }
    }
}

fn decision_report(row: &ApprovalRow, counted: &CountedRow) -> Option<Report> {
    let decision = serde_json::from_str::<Decision>(&counted.decision).ok()?;
    let said = said(&decision).ok()?;
    Some(Report::ApprovalResolved(ApprovalResolved {
        approval: row.id.clone(),
        by: ResolvedBy::Operator,
        decision: said.approval.decision,
        evidence: Some(counted.decision.clone()),
    }))
}

fn end_of(row: &ApprovalRow) -> Option<Report> {
    let ends = |ending| Report::Settled {
        ending,
        result: None,
        trouble: None,
        usage: None,
        side_effects: SideEffects::None,
    };
    match row.state {
        ApprovalState::Open => None,
        ApprovalState::Approved => Some(ends(Ending::Succeeded)),
        ApprovalState::Denied => {
            Some(failed(TroubleCode::ApprovalDenied, "an operator denied what was asked"))
        }
        ApprovalState::Expired => {
            Some(failed(TroubleCode::ApprovalExpired, "nobody decided in time"))
        }
        ApprovalState::Closed => Some(ends(Ending::Cancelled)),
    }
}

/// Withdraws a question that was not decided.
pub(super) async fn withdraw(
    core: &Arc<Core>,
    work: &Work,
    why: StopReason,
) -> Result<Stopped, AdapterFault> {
    let unavailable =
        |detail: String| AdapterFault(Trouble { code: TroubleCode::GatewayUnavailable, detail });
    for _ in 0..TRIES {
        let row = row_of(core, &work.run).map_err(|fault| unavailable(fault.to_string()))?;
        let Some(mut row) = row.filter(|row| row.state == ApprovalState::Open) else {
            return Ok(Stopped::Stopping);
        };
        row.state = ApprovalState::Closed;
        row.decided = Some(core.now());
        let said = [("why", why.as_str())];
        let audit = core.audit(work.caller.as_str(), "approval_withdrawn", row.id.as_str(), said);
        let (guard, put) = replaced(row);
        match core.commit(Step::new(vec![guard], vec![put, audit], ()).with_reserve()).await {
            Ok(()) => {
                core.approvals.changed();
                return Ok(Stopped::Stopping);
            }
            Err(StepError::Stale(_)) => {}
            Err(error) => return Err(unavailable(error.to_string())),
        }
    }
    Err(unavailable("the question changes too fast".to_owned()))
}

fn row_of(core: &Core, run: &RunId) -> Result<Option<ApprovalRow>, Fault> {
    let filter = ApprovalFilter { run: Some(run.clone()), limit: 1, ..ApprovalFilter::default() };
    Ok(core.store.reads().approvals(&filter)?.into_iter().next())
}
