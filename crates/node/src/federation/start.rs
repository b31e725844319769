//! Starting: one key, one run, one transaction.

use http::Response;
use landbridge_planted::planted;
use landbridge_proto::machine::admission::{
    Admitted, Memory, PROTO, StartDecision, judge_start, print_of,
};
use landbridge_proto::machine::budget::{Budget, Spent};
use landbridge_proto::machine::chain::Chain;
use landbridge_proto::machine::contract::{Guard, RunPhase, RunRow, SessionRow, Write};
use landbridge_proto::machine::executor::Terms;
use landbridge_proto::machine::step::Step;
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::{Disclose, Disclosure, Grant};
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::Timestamp;
use landbridge_proto::wire::problem::{Code, Problem};
use landbridge_proto::wire::request::{AgentTarget, Start, ToolCall};
use landbridge_proto::wire::stream::{Accept, One};

use super::Federation;
use super::answer::NEW_RUN;
use crate::adapter::{Ask, Matter, Work};
use crate::approvals;
use crate::core::{StepError, bug, unreadable};
use crate::net::ResponseBody;

impl Federation {
    pub(super) async fn start(
        &self,
        admitted: &Admitted,
        start: &Start,
    ) -> Result<Response<ResponseBody>, Problem> {
        let (print, _) = print_of(start).map_err(|error| bug("a body has no print", &error))?;
        // Another start with the same key may commit first: then this one attaches to its run.
        for _ in 0..3 {
            self.check_jti(admitted)?;
            match self.judge(admitted, start, &print)? {
                StartDecision::Attach(run) => {
                    self.accept_jti(admitted, "run_attached").await?;
                    return self.stream(admitted, &run, 0).await;
                }
                StartDecision::Refuse(problem) => {
                    //= REQ-24
                    self.accept_jti(admitted, "start_refused").await?;
                    return Err(*problem);
                }
                StartDecision::Create => {
                    let question = start.approval_request.as_ref();
                    let question =
                        question.map(|asked| approvals::receive(&self.core, admitted, asked));
                    let question = match question.transpose() {
                        Ok(question) => question,
                        Err(problem) => {
                            self.accept_jti(admitted, "start_refused").await?;
                            return Err(problem);
                        }
                    };
                    let seat = self.room(admitted)?;
                    let beginning = self.beginning.read().await;
                    self.check_standing(admitted)?;
                    match self.create(admitted, start, print, question).await {
                        Err(StepError::Stale(_)) => {}
                        Err(error) => return Err(error.into()),
                        Ok(None) => return Err(Problem::new(Code::Internal)),
                        Ok(Some(row)) => {
                            let run = row.run.clone();
                            self.executions.drive(&self.core, row, seat);
                            drop(beginning);
                            return self.stream(admitted, &run, 0).await;
                        }
                    }
                }
            }
        }
        Err(Problem::new(Code::Internal))
    }

    fn judge(
        &self,
        admitted: &Admitted,
        start: &Start,
        print: &Digest,
    ) -> Result<StartDecision, Problem> {
        let record = self.core.store.reads().key(admitted.owner(), &start.idempotency_key);
        let incarnation = self.core.trust.state().incarnation;
        let memory = Memory {
            key_window_ms: self.core.settings.key_window_ms,
            incarnation: incarnation.n,
            since: incarnation.since,
        };
        let record = record.map_err(|fault| unreadable(&fault))?;
        let known = record.is_some();
        let now = self.core.now();
        let decision = judge_start(start, print, record, admitted.grant(), memory, now);
        if decision == StartDecision::Create && !known {
            let target = &start.agent_target;
            if let Some(session) = &target.session {
                let reads = self.core.store.reads();
                let known = reads.session_known(admitted.owner(), &target.agent, session);
                //= REQ-45
                let known = known.map_err(|fault| unreadable(&fault))?;
                if !known && !planted!("session_guessed") {
                    let detail =
                        "no such session of this agent is known for this caller and tenant pair";
                    let problem = Problem::new(Code::SessionUnknown).with_detail(detail);
                    return Ok(StartDecision::Refuse(Box::new(problem)));
                }
            }
        }
        Ok(decision)
    }

    /// Commits key, print, run, request id and audit record in one transaction.
    //= REQ-23
    async fn create(
        &self,
        admitted: &Admitted,
        start: &Start,
        print: Digest,
        question: Option<approvals::Received>,
    ) -> Result<Option<RunRow>, StepError> {
        let Some(row) = admitted.grant().and_then(|grant| self.row(admitted, start, grant, print))
        else {
            return Ok(None);
        };
        let key = start.idempotency_key.clone();
        //= REQ-67
        let free = Guard::KeyFree { owner: admitted.owner().clone(), key };
        let (unseen, writes) = self.remember(admitted, NEW_RUN);
        let audit = {
            let (caller, run) = (admitted.owner().caller.as_str(), row.run.as_str());
            let agent = ("agent", start.agent_target.agent.as_str());
            let principal = ("principal", start.caller_identity.principal.as_str());
            match &start.tool_call {
                Some(call) => {
                    let tool = ("tool", call.tool.as_str());
                    self.core.audit(caller, "run_created", run, [agent, principal, tool])
                }
                None => self.core.audit(caller, "run_created", run, [agent, principal]),
            }
        };
        let create = Write::CreateRun(row.clone());
        let (known, bind) = bind(&row, &start.agent_target).unzip();
        let asked = question.map(|question| question.with(&self.core, &row));
        let (fresh, asked) = asked.unzip();
        let step = Step::new(vec![unseen, free], writes, row)
            .guarded(known.filter(|_| !planted!("session_guessed")))
            .guarded(fresh)
            .with([create, audit].into_iter().chain(bind).chain(asked.into_iter().flatten()));
        let row = self.core.commit(step).await?;
        self.core.approvals.changed();
        Ok(Some(row))
    }

    fn row(
        &self,
        admitted: &Admitted,
        start: &Start,
        grant: &Grant,
        print: Digest,
    ) -> Option<RunRow> {
        let run = self.core.run_id_of(admitted.owner(), &start.idempotency_key, &print).ok()?;
        let now = self.core.now();
        let own_max = self.core.settings.deadline_ms_max;
        let deadline = deadline(start, grant.deadline_ms_max.min(own_max), now);
        let said = admitted.request().value();
        let identity = self.core.identity.present();
        let accept = Accept {
            aud: said.iss.clone(),
            deadline,
            iss: self.core.own().clone(),
            key: start.idempotency_key.clone(),
            print,
            proto: PROTO,
            root_version: identity.root().version(),
            run: run.clone(),
            seen: self.core.trust.state().seen(&said.iss),
            tenant: said.tenant.clone(),
            v: One,
        };
        //= REQ-29
        let accept = identity.sign(&accept, now).ok()?;
        let work = Work {
            run: run.clone(),
            caller: said.iss.clone(),
            tenant: said.tenant.clone(),
            agent: start.agent_target.agent.clone(),
            mode: start.agent_target.mode,
            session: start.agent_target.session.clone(),
            ask: ask_of(start)?,
            deadline,
        };
        //= REQ-62
        let asked = start.limits.clone().unwrap_or_default();
        let terms = Terms {
            agent: start.agent_target.agent.clone(),
            approval: grant.approval.clone(),
            disclose: disclose(start, grant),
            frames_max: least([grant.frames_max, asked.frames], limit::RUN_FRAMES_MAX),
            bytes_max: least([grant.bytes_max, asked.bytes], limit::RUN_BYTES_MAX),
            principal: start.caller_identity.principal.clone(),
            remote_run_id: start.remote_run_id.clone(),
            day_budget: Budget::of_day(grant),
            run_budget: Budget::of_run(start.limits.as_ref()),
        };
        let accept_digest = accept.digest();
        Some(RunRow {
            run,
            owner: admitted.owner().clone(),
            key: start.idempotency_key.clone(),
            print,
            request: text(&admitted.request().envelope().to_bytes()),
            accept: text(&accept.to_bytes()),
            accept_digest,
            work: serde_json::to_string(&work).ok()?,
            terms: serde_json::to_string(&terms).ok()?,
            created: now,
            deadline,
            phase: RunPhase::AwaitIntent,
            intent: None,
            stop: None,
            epoch: 0,
            revision: 0,
            seq: 0,
            head: Chain::start(accept_digest).head(),
            bytes: 0,
            booked: Spent::default(),
            outcome: None,
            ended: None,
            lingers: false,
        })
    }
}

/// A run that names a session is bound to it, behind those that were accepted before.
fn bind(row: &RunRow, target: &AgentTarget) -> Option<(Guard, Write)> {
    let (owner, agent) = (row.owner.clone(), target.agent.clone());
    let session = target.session.clone()?;
    let bound = SessionRow {
        run: row.run.clone(),
        owner: owner.clone(),
        agent: agent.clone(),
        session: session.clone(),
    };
    Some((Guard::SessionKnown { owner, agent, session }, Write::BindSession(bound)))
}

/// What the gateway, or this bridge, is to do.
fn ask_of(start: &Start) -> Option<Ask> {
    let call = |call: &ToolCall| Ask::ToolCall {
        tool: call.tool.clone(),
        args: call.args.as_str().to_owned(),
    };
    let grant = start.approval_grant.clone().map(Matter::Grant);
    let matter = grant.or_else(|| start.approval_request.clone().map(Matter::Question));
    let operators = matter.map(|matter| Ask::Operators(Box::new(matter)));
    let gateway =
        start.tool_call.as_ref().map(call).or_else(|| start.prompt.clone().map(Ask::Prompt));
    operators.or(gateway)
}

/// The result of a tool call is both what the run answers and what a tool answered: the peer sees of it
/// no more than either may show.
//= STR-32
fn disclose(start: &Start, grant: &Grant) -> Disclose {
    if start.approval_grant.is_some() || start.approval_request.is_some() {
        // The caller's own words, and its own operators' or ours: no agent's.
        let output = Disclosure::Full;
        return Disclose { output, tool_args: output, tool_results: output };
    }
    let mut disclose = grant.disclose;
    if start.tool_call.is_some() && !planted!("tool_result_as_output") {
        disclose.output = disclose.output.min(disclose.tool_results);
    }
    disclose
}

//= REQ-27
fn deadline(start: &Start, allowed_ms: i64, now: Timestamp) -> Timestamp {
    let most = limit::DEADLINE_MS_MAX.min(allowed_ms);
    let wanted = start.deadline.unwrap_or(now.plus_ms(limit::DEADLINE_MS.min(most)));
    wanted.min(now.plus_ms(most)).max(now)
}

/// The smallest of what is limited, and of what the contract limits anyway.
fn least<const N: usize>(limits: [Option<u64>; N], most: u64) -> u64 {
    // The first is the grant's.
    let heeded = if planted!("own_limits_ignored") { 1 } else { N };
    limits.into_iter().take(heeded).flatten().fold(most, u64::min)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
