//! A decision of an operator of ours: checked, made durable, and only then sent.
//!
//! Where a run that we called waits, the decision travels as a start of its own, whose journal entry is part
//! of the same step: a bridge that dies right after it delivers the decision when it comes back.

use std::collections::BTreeMap;

use landbridge_proto::machine::admission::print_of;
use landbridge_proto::machine::contract::{
    ApprovalRow, ApprovalSide, ApprovalState, CountedRow, EntryPhase, EntryRow, Guard, Write,
};
use landbridge_proto::machine::step::Step;
use landbridge_proto::trust::approval::{Ballot, Said, check_vote, said};
use landbridge_proto::wire::approval::{
    ApprovalRequest, Decision, OPERATORS_AGENT, Operator, SignedApproval, Vote,
};
use landbridge_proto::wire::document::Mode;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{AgentName, Alias, GatewayId, IdempotencyKey, TenantPair};
use landbridge_proto::wire::problem::{Code, Problem};
use landbridge_proto::wire::request::{AgentTarget, ApprovalGrant, CallerIdentity, Start};

use super::count::request_of;
use super::grant::is_same;
use super::question::own_catalog;
use super::{TRIES, replaced};
use crate::core::{Core, StepError, bug, unreadable};
use crate::operators;

/// A decision that was taken.
#[derive(Debug)]
pub(crate) struct Voted {
    /// The question as it stands now.
    pub row: ApprovalRow,
    /// The run that delivers it, where one does, to be driven.
    pub entry: Option<EntryRow>,
}

/// Takes an operator's decision.
///
/// # Errors
///
/// A problem that says why it is not taken; nothing is sent then.
pub(crate) async fn vote(
    core: &Core,
    row: ApprovalRow,
    signed: &SignedApproval,
    actor: &str,
) -> Result<Voted, Problem> {
    let mut row = row;
    for _ in 0..TRIES {
        let id = row.id.clone();
        match once(core, row, signed).await {
            Ok(voted) => return Ok(voted),
            Err(NotTaken::Changed) => {}
            Err(NotTaken::Problem(problem)) => {
                let detail = problem.detail.clone().unwrap_or_default();
                let said = [("by", actor), ("code", problem.code_text()), ("why", &detail)];
                let audit = core.audit("operator", "approval_refused", id.as_str(), said);
                core.commit(Step::new(Vec::new(), vec![audit], ())).await?;
                return Err(problem);
            }
        }
        let again = core.store.reads().approval(&id).map_err(|fault| unreadable(&fault))?;
        row = again.ok_or_else(|| Problem::new(Code::NotFound))?;
    }
    Err(Problem::new(Code::Internal).with_detail("the question changes too fast; try again"))
}

enum NotTaken {
    Changed,
    Problem(Problem),
}

impl From<Problem> for NotTaken {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

fn refused(what: impl Into<String>) -> Problem {
    Problem::new(Code::ApprovalRefused).with_detail(what)
}

async fn once(core: &Core, row: ApprovalRow, signed: &SignedApproval) -> Result<Voted, NotTaken> {
    if row.side != ApprovalSide::Deciding {
        return Err(refused("this gateway asked; its own operators have no part in it").into());
    }
    if row.decisions.iter().any(|kept| is_same(&kept.decision, signed.digest())) {
        return Ok(Voted { row, entry: None });
    }
    if row.state != ApprovalState::Open {
        let detail = format!("the question has ended: {}", row.state.as_str());
        return Err(Problem::new(Code::AlreadyResolved).with_detail(detail).into());
    }
    let ballot = checked(core, &row, signed)?;
    let before: Vec<Said> = row.decisions.iter().filter_map(kept).collect();
    let new = said(&ballot.decision).map_err(|fault| refused(super::detail(&fault)))?;
    let repeated = before.iter().any(|kept| {
        let (kept, new) = (&kept.approval, &new.approval);
        kept.sub == new.sub && kept.decision == new.decision
    });
    if repeated {
        return Err(refused(format!("{} has decided so already", new.approval.sub)).into());
    }
    let mut row = row;
    let decision =
        serde_json::to_string(&ballot.decision).map_err(|error| bug("a decision", &error))?;
    let gateway = core.own().clone();
    row.decisions.push(CountedRow { gateway, decision, at: core.now() });
    let run = row.run.as_ref().map(|run| core.store.reads().entry(run));
    let waiting = run.transpose().map_err(|fault| unreadable(&fault))?.flatten();
    let entry = match &waiting {
        Some(waiting) => Some(grant(core, waiting, &row, &ballot.decision, &new)?),
        None => {
            row.state = standing(&ballot.request, before.iter().chain([&new]));
            row.decided = (row.state != ApprovalState::Open).then(|| core.now());
            None
        }
    };
    commit(core, row, entry, &new).await
}

//= APR-34
async fn commit(
    core: &Core,
    row: ApprovalRow,
    entry: Option<EntryRow>,
    new: &Said,
) -> Result<Voted, NotTaken> {
    let vote = new.approval.decision.as_str();
    let detail = [
        ("key", new.kid.as_str()),
        ("method", new.method.as_str()),
        ("scope", new.approval.scope.as_str()),
        ("vote", vote),
    ];
    let audit = core.audit(new.approval.sub.as_str(), "approval_decided", row.id.as_str(), detail);
    let after = ApprovalRow { revision: row.revision + 1, ..row.clone() };
    let (guard, put) = replaced(row);
    let mut step = Step::new(vec![guard], vec![put, audit], ()).with_reserve();
    if let Some(entry) = &entry {
        let (peer, tenant) = (entry.peer.clone(), entry.tenant.clone());
        let free = Guard::EntryKeyFree { peer, tenant, key: entry.key.clone() };
        step = step.guarded([free]).with([Write::CreateEntry(entry.clone())]);
    }
    match core.commit(step).await {
        Ok(()) => {}
        Err(StepError::Stale(_)) => return Err(NotTaken::Changed),
        Err(error) => return Err(NotTaken::Problem(error.into())),
    }
    crate::fail::point("approval.taken");
    core.approvals.changed();
    Ok(Voted { row: after, entry })
}

struct Cast {
    request: ApprovalRequest,
    decision: Decision,
}

/// Checks the operator's signature and right, and puts everything together that the other side judges by.
fn checked(core: &Core, row: &ApprovalRow, signed: &SignedApproval) -> Result<Cast, Problem> {
    let asked = row.asked.first().ok_or_else(|| refused("nobody asked"))?;
    let state = core.trust.state();
    if let Some(barred) = core.barred(&asked.peer) {
        return Err(barred.problem());
    }
    let view = state.peers.get(&asked.peer).ok_or_else(|| refused("the peer is not known"))?;
    let request = request_of(view.chain(), asked);
    let request = request.ok_or_else(|| refused("what was asked cannot be read back"))?;
    let kid = signed.proof().kid();
    let document = state.federation.as_ref().map(|known| known.document());
    let operators = document.map(|document| document.operators.as_slice()).unwrap_or_default();
    let holds = |operator: &&Operator| {
        operator.tenant == row.tenant && operator.keys.iter().any(|key| key.kid == *kid)
    };
    //= APR-16
    let operator = operators.iter().find(holds);
    let operator = operator.ok_or_else(|| {
        refused(format!("no operator of tenant {} has the key {kid}", row.tenant))
    })?;
    let catalog = own_catalog(core, &row.tenant).map_err(|fault| unreadable(&fault))?;
    let (catalog, _) = catalog
        .ok_or_else(|| refused(format!("no scopes of tenant {} are published", row.tenant)))?;
    let newest = operators::credential(core, &operator.name, &operator.tenant);
    let newest = newest.map_err(|error| error.problem())?;
    let approval = signed.clone();
    let decision = Decision { approval, catalog, credential: newest.envelope };
    // What it names is known once its proof holds; it may be the credential before this one.
    let named = said(&decision).map_err(|fault| refused(super::detail(&fault)))?;
    let (name, digest) = (&operator.name, named.approval.credential);
    let issued = operators::credential_of(core, name, &operator.tenant, digest);
    let issued = issued.map_err(|error| error.problem())?.ok_or_else(|| {
        refused("it names a credential that is not good any more; sign again with the present one")
    })?;
    let ballot = Ballot {
        request: &request,
        digest: asked.digest,
        operator,
        credential: &issued.credential,
        credential_digest: issued.envelope.digest(),
        now: core.now(),
    };
    check_vote(&ballot, signed).map_err(|fault| refused(super::detail(&fault)))?;
    Ok(Cast { request, decision: Decision { credential: issued.envelope, ..decision } })
}

fn kept(counted: &CountedRow) -> Option<Said> {
    said(&serde_json::from_str::<Decision>(&counted.decision).ok()?).ok()
}

/// Where a question to our operators stands after these decisions: distinct people and keys are counted, and
/// one deny is enough.
fn standing<'a>(
    request: &ApprovalRequest,
    decisions: impl Iterator<Item = &'a Said>,
) -> ApprovalState {
    let (mut people, mut keys) =
        (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
    for said in decisions {
        if said.approval.decision == Vote::Deny {
            return ApprovalState::Denied;
        }
        let known = people.contains(&said.approval.sub) || keys.contains(&said.kid);
        if !known {
            people.insert(said.approval.sub.clone());
            keys.insert(said.kid.clone());
        }
    }
    let have = u32::try_from(people.len()).unwrap_or(u32::MAX);
    if have >= request.quorum { ApprovalState::Approved } else { ApprovalState::Open }
}

/// The journal entry of the start that delivers a decision about a run of the executor.
fn grant(
    core: &Core,
    waiting: &EntryRow,
    row: &ApprovalRow,
    decision: &Decision,
    new: &Said,
) -> Result<EntryRow, Problem> {
    let key = IdempotencyKey::new(format!("approval-{}", decision.approval.digest()));
    let key = key.map_err(|error| bug("a key of ours is wrong", &error))?;
    let grant = ApprovalGrant { approval: row.id.clone(), decision: Box::new(decision.clone()) };
    let start = about(core, new.approval.sub.as_str(), key, limit::DEADLINE_MS)?;
    let start = Start { approval_grant: Some(grant), ..start };
    let labels = BTreeMap::from([("approval".to_owned(), row.id.to_string())]);
    let to = To { gateway: &waiting.gateway, peer: &waiting.peer, tenant: &waiting.tenant };
    entry_of(core, &to, start, None, labels)
}

/// A start about approvals; it says nothing yet of which.
pub(super) fn about(
    core: &Core,
    principal: &str,
    key: IdempotencyKey,
    deadline_ms: i64,
) -> Result<Start, Problem> {
    let agent = AgentName::new(OPERATORS_AGENT).map_err(|error| bug("a name of ours", &error))?;
    let now = core.now();
    Ok(Start {
        agent_target: AgentTarget { agent, mode: Mode::Session, session: None },
        approval_grant: None,
        approval_request: None,
        caller_identity: CallerIdentity {
            labels: BTreeMap::new(),
            principal: principal.to_owned(),
            step: None,
            workflow: None,
        },
        deadline: Some(now.plus_ms(deadline_ms)),
        idempotency_key: key,
        invoked_at: now,
        limits: None,
        prompt: None,
        remote_run_id: None,
        tool_call: None,
    })
}

/// Whom a start goes to.
pub(super) struct To<'a> {
    pub gateway: &'a Alias,
    pub peer: &'a GatewayId,
    pub tenant: &'a TenantPair,
}

/// The journal entry of a start about approvals.
pub(super) fn entry_of(
    core: &Core,
    to: &To<'_>,
    start: Start,
    token: Option<String>,
    labels: BTreeMap<String, String>,
) -> Result<EntryRow, Problem> {
    let start = start.checked().map_err(|error| bug("a start of ours is wrong", &error))?;
    let (print, body) = print_of(&start).map_err(|error| bug("a body has no print", &error))?;
    let run = core.new_run_id().map_err(|error| bug("no run id", &error))?;
    let deadline = start.deadline.unwrap_or(start.invoked_at.plus_ms(limit::DEADLINE_MS));
    Ok(EntryRow {
        run,
        gateway: to.gateway.clone(),
        peer: to.peer.clone(),
        tenant: to.tenant.clone(),
        key: start.idempotency_key,
        print,
        body,
        traceparent: None,
        agent: start.agent_target.agent,
        token,
        labels,
        created: start.invoked_at,
        deadline,
        phase: EntryPhase::AwaitAccept,
        revision: 0,
        request: None,
        accept: None,
        remote: None,
        seq: 0,
        head: None,
        cancel: None,
        cancel_answer: None,
        session: None,
        outcome: None,
        receipt: None,
        ended: None,
    })
}
