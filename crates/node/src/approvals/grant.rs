//! A decision of the caller's operators about a run of ours: judged, counted, committed, and only then told
//! to the gateway.
//!
//! Everything up to the commit can be done again from the start, since nothing has happened. After it the
//! row says what was decided, and a process that comes later tells the gateway the same.

use std::sync::Arc;

use landbridge_planted::planted;
use landbridge_proto::machine::contract::{
    ApprovalRow, ApprovalSide, ApprovalState, CatalogRow, CountedRow, Guard, Write,
};
use landbridge_proto::machine::step::Step;
use landbridge_proto::trust::approval::{Counted, Judged, Standing};
use landbridge_proto::wire::approval::Decision;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::request::ApprovalGrant;
use landbridge_proto::wire::stream::ApprovalResolved;
use landbridge_store::Fault;

use super::adapter::{Told, failed};
use super::answer::{self, Resolved, resolve, vote_of};
use super::count::{Asked, NotJudged, tally};
use super::{RETRY_MS, TRIES, replaced};
use crate::adapter::{
    ApprovalDecided, Ending, Report, Reports, SideEffects, TroubleCode, Vote, Work,
};
use crate::core::{Core, StepError};
use crate::room;

/// What a decision came to, so far as this bridge is concerned.
enum Taken {
    /// It counted, and more people are needed. How many, where it counted just now.
    Counted(Option<(u32, u32)>),
    /// The question has ended as the decision says, and the gateway is to be told.
    Ended(Box<ApprovalRow>),
    /// It does not count.
    Refused(TroubleCode, String),
}

/// Why it is tried again.
enum Again {
    Changed,
    Full,
    Store(Fault),
}

impl From<Fault> for Again {
    fn from(fault: Fault) -> Self {
        Self::Store(fault)
    }
}

/// Takes a decision, and gives the end of the run that brought it; `None` when the bridge stops.
pub(super) async fn deliver(
    core: &Arc<Core>,
    work: &Work,
    grant: &ApprovalGrant,
    told: Told,
    reports: &Reports,
) -> Option<Report> {
    match take(core, work, grant).await? {
        Taken::Refused(code, detail) => Some(failed(code, detail)),
        Taken::Counted(standing) => Some(succeeded(standing.map_or_else(
            || "counted before".to_owned(),
            |(have, need)| format!("{have} of {need}"),
        ))),
        Taken::Ended(row) => {
            let vote = vote_of(&row);
            match resolve(core, &row, vote).await {
                Resolved::Answered(decided) => Some(end(&row, &decided, vote, told, reports).await),
                Resolved::Unknown(detail) => Some(failed(TroubleCode::ApprovalUnknown, detail)),
                Resolved::Nobody if core.stopping.is_cancelled() => None,
                Resolved::Nobody => {
                    let detail = "the run that waited has ended";
                    Some(failed(TroubleCode::AlreadyResolved, detail))
                }
            }
        }
    }
}

async fn end(
    row: &ApprovalRow,
    decided: &ApprovalDecided,
    vote: Vote,
    told: Told,
    reports: &Reports,
) -> Report {
    if told.resolved == 0 {
        let resolved = ApprovalResolved {
            approval: row.id.clone(),
            by: answer::by(row, decided),
            decision: decided.vote,
            evidence: Some(decided.evidence.clone()),
        };
        // Closed: nobody wants to know.
        let _ = reports.send(Report::ApprovalResolved(resolved)).await;
    }
    if decided.vote == vote {
        return succeeded(decided.evidence.clone());
    }
    failed(TroubleCode::AlreadyResolved, "somebody at the gateway decided otherwise before")
}

fn succeeded(result: String) -> Report {
    Report::Settled {
        ending: Ending::Succeeded,
        result: Some(result),
        trouble: None,
        usage: None,
        side_effects: SideEffects::Possible,
    }
}

/// Decides until the decision is durable; `None` when the bridge stops.
async fn take(core: &Arc<Core>, work: &Work, grant: &ApprovalGrant) -> Option<Taken> {
    let mut changed = 0;
    loop {
        match decide(core, work, grant).await {
            Ok(taken) => return Some(taken),
            Err(Again::Changed) if changed < TRIES => changed += 1,
            Err(Again::Changed) => {
                let detail = "the question changes too fast; nothing was decided";
                return Some(Taken::Refused(TroubleCode::GatewayError, detail.to_owned()));
            }
            Err(Again::Full) => room::wait(core).await,
            Err(Again::Store(fault)) => {
                tracing::error!(run = %work.run, %fault, "a decision cannot be taken yet");
                core.clock.sleep_until(core.now().plus_ms(RETRY_MS)).await;
            }
        }
        if core.stopping.is_cancelled() {
            return None;
        }
    }
}

async fn decide(core: &Arc<Core>, work: &Work, grant: &ApprovalGrant) -> Result<Taken, Again> {
    let Some(row) = waiting(core, work, grant)? else {
        //= APR-31
        let detail = "no run of this caller and tenant pair waits for such an approval".to_owned();
        return refuse(core, work, grant, TroubleCode::ApprovalUnknown, detail).await;
    };
    let decision = grant.decision.as_ref();
    let digest = decision.approval.digest();
    //= APR-24
    if row.decisions.iter().any(|kept| is_same(&kept.decision, digest)) {
        return Ok(match row.state {
            ApprovalState::Open => Taken::Counted(None),
            _ => Taken::Ended(Box::new(row)),
        });
    }
    let asked = match Asked::of(core, &row, &work.caller) {
        Ok(asked) => asked,
        Err(NotJudged::Store(fault)) => return Err(fault.into()),
        Err(why) => {
            let code = TroubleCode::ApprovalRefused;
            return refuse(core, work, grant, code, why.to_string()).await;
        }
    };
    let judged = asked.judge(decision);
    let over = core.now() >= row.expires;
    if row.state != ApprovalState::Open || over {
        let same = judged.is_ok_and(|judged| says(&row, judged.vote()));
        if same && !over {
            return Ok(Taken::Ended(Box::new(row)));
        }
        let detail = format!("the question has ended: {}", ended_word(&row));
        return refuse(core, work, grant, TroubleCode::AlreadyResolved, detail).await;
    }
    let judged = match judged {
        Ok(judged) => judged,
        Err(why) => {
            //= APR-53
            let detail = super::detail(&why);
            return refuse(core, work, grant, TroubleCode::ApprovalRefused, detail).await;
        }
    };
    if core.store.reads().jti_seen(judged.gateway(), judged.jti())?
        && !planted!("approval_used_twice")
    {
        let detail = "this approval was used before".to_owned();
        return refuse(core, work, grant, TroubleCode::ApprovalRefused, detail).await;
    }
    count(core, work, grant, row, &asked, &judged).await
}

async fn count(
    core: &Arc<Core>,
    work: &Work,
    grant: &ApprovalGrant,
    row: ApprovalRow,
    asked: &Asked,
    judged: &Judged,
) -> Result<Taken, Again> {
    let mut tally = match tally(core, &row, judged) {
        Ok(tally) => tally,
        Err(NotJudged::Store(fault)) => return Err(fault.into()),
        Err(why) => {
            let code = TroubleCode::ApprovalRefused;
            return refuse(core, work, grant, code, why.to_string()).await;
        }
    };
    if tally.count(judged) == Counted::AddsNothing {
        let detail = "this person or this key counted already".to_owned();
        return refuse(core, work, grant, TroubleCode::ApprovalRefused, detail).await;
    }
    let decision = serde_json::to_string(grant.decision.as_ref()).unwrap_or_default();
    let standing = tally.standing();
    let row = counted(core, row, judged, decision, standing);
    let after = row.clone();
    let step = step_of(core, row, asked, judged, standing);
    match core.commit(step).await {
        Ok(()) => {}
        Err(StepError::Full) => return Err(Again::Full),
        Err(StepError::Stale(_)) => return Err(Again::Changed),
        Err(StepError::Store(fault)) => return Err(Again::Store(fault)),
    }
    core.approvals.changed();
    if let Standing::Open { have, need } = standing {
        return Ok(Taken::Counted(Some((have, need))));
    }
    crate::fail::point("approval.committed");
    Ok(Taken::Ended(Box::new(ApprovalRow { revision: after.revision + 1, ..after })))
}

/// The row with one more decision.
pub(super) fn counted(
    core: &Core,
    mut row: ApprovalRow,
    judged: &Judged,
    decision: String,
    standing: Standing,
) -> ApprovalRow {
    let now = core.now();
    //= APR-28
    row.decisions.push(CountedRow { gateway: judged.gateway().clone(), decision, at: now });
    row.state = match standing {
        Standing::Open { .. } => ApprovalState::Open,
        Standing::Approved => ApprovalState::Approved,
        Standing::Denied => ApprovalState::Denied,
    };
    row.decided = (row.state != ApprovalState::Open).then_some(now);
    row
}

/// The step that uses an approval up: its id, the row, the catalog that came with it and the record of it
/// become durable together, before anything is done.
//= APR-26
fn step_of(
    core: &Core,
    row: ApprovalRow,
    asked: &Asked,
    judged: &Judged,
    standing: Standing,
) -> Step<()> {
    let Uses { unseen, kept, writes, catalog } = uses(core, &row, asked, judged, standing);
    let (same, put) = replaced(row);
    let step = Step::new(vec![same, kept], writes, ()).with_reserve();
    step.guarded(unseen).with([put]).with(catalog.map(Write::PutCatalog))
}

/// What becomes durable with a decision that counts, besides its row.
#[derive(Debug)]
pub(super) struct Uses {
    /// The approval was not used before.
    pub unseen: Option<Guard>,
    /// The catalog that is kept is the one that it was judged by.
    pub kept: Guard,
    /// It is used, and that is recorded.
    pub writes: Vec<Write>,
    /// The catalog that came with it, when it is newer.
    pub catalog: Option<CatalogRow>,
}

/// What belongs into such a step.
pub(super) fn uses(
    core: &Core,
    row: &ApprovalRow,
    asked: &Asked,
    judged: &Judged,
    standing: Standing,
) -> Uses {
    let (issuer, jti) = (judged.gateway().clone(), judged.jti().clone());
    let unseen = Guard::JtiUnseen { issuer: issuer.clone(), jti: jti.clone() };
    let keep_until = judged.exp().max(row.expires).plus_ms(limit::CLOCK_SKEW_MS_MAX);
    let id = row.id.to_string();
    let standing = match standing {
        Standing::Open { have, need } => format!("{have} of {need}"),
        Standing::Approved => "approved".to_owned(),
        Standing::Denied => "denied".to_owned(),
    };
    let digest = judged.digest().to_string();
    let said = [
        ("approval", digest.as_str()),
        ("gateway", issuer.as_str()),
        ("scope", judged.scope().as_str()),
        ("standing", standing.as_str()),
        ("vote", judged.vote().as_str()),
    ];
    let audit = core.audit(judged.sub().as_str(), "approval_counted", &id, said);
    let unseen = (!planted!("approval_used_twice")).then_some(unseen);
    let (kept, catalog) = keeps(core, asked, judged);
    Uses { unseen, kept, writes: vec![Write::Jti { issuer, jti, keep_until }, audit], catalog }
}

/// The catalog that came with a decision, when it is newer.
fn keeps(core: &Core, asked: &Asked, judged: &Judged) -> (Guard, Option<CatalogRow>) {
    let catalog = judged.catalog();
    let said = catalog.value();
    let (gateway, tenant) = (said.iss.clone(), said.tenant.clone());
    let version = asked.kept.as_ref().map(|kept| kept.version);
    let guard = Guard::CatalogAt { gateway: gateway.clone(), tenant: tenant.clone(), version };
    let newer = version.is_none_or(|version| said.version > version);
    let keep = newer.then(|| CatalogRow {
        gateway,
        tenant,
        version: said.version,
        envelope: String::from_utf8_lossy(&catalog.envelope().to_bytes()).into_owned(),
        at: core.now(),
    });
    (guard, keep)
}

/// The row that the grant is about, if it is about one of this very owner.
fn waiting(core: &Core, work: &Work, grant: &ApprovalGrant) -> Result<Option<ApprovalRow>, Fault> {
    let row = core.store.reads().approval(&grant.approval)?;
    let row = row.filter(|row| row.side == ApprovalSide::Relying && !row.asked.is_empty());
    let Some((row, run)) = row.and_then(|row| row.run.clone().map(|run| (row, run))) else {
        return Ok(None);
    };
    let run = core.store.reads().run(&run)?;
    let own = run.is_some_and(|run| {
        let owner = &run.owner;
        owner.caller == work.caller && owner.tenant == work.tenant
    });
    Ok((own || planted!("approval_of_another_owner")).then_some(row))
}

async fn refuse(
    core: &Core,
    work: &Work,
    grant: &ApprovalGrant,
    code: TroubleCode,
    detail: String,
) -> Result<Taken, Again> {
    let (run, word) = (work.run.as_str(), code.code());
    let said = [("code", word.as_str()), ("run", run), ("why", detail.as_str())];
    let actor = work.caller.as_str();
    let audit = core.audit(actor, "approval_refused", grant.approval.as_str(), said);
    match core.commit(Step::new(Vec::new(), vec![audit], ())).await {
        Ok(()) | Err(StepError::Stale(_)) => Ok(Taken::Refused(code, detail)),
        Err(StepError::Full) => Err(Again::Full),
        Err(StepError::Store(fault)) => Err(Again::Store(fault)),
    }
}

/// Whether a kept decision is this very one.
pub(super) fn is_same(kept: &str, digest: landbridge_proto::wire::digest::Digest) -> bool {
    let kept = serde_json::from_str::<Decision>(kept);
    kept.is_ok_and(|kept| kept.approval.digest() == digest)
}

/// Whether a question ended as a vote says.
fn says(row: &ApprovalRow, vote: Vote) -> bool {
    let ended = match (row.state, row.answer.as_deref().and_then(answer::read)) {
        (ApprovalState::Closed, Some(answer)) => answer.vote,
        _ => vote_of(row),
    };
    ended == vote
}

fn ended_word(row: &ApprovalRow) -> &'static str {
    match row.state {
        ApprovalState::Open => ApprovalState::Expired.as_str(),
        state => state.as_str(),
    }
}
