//! Starting: one key, one run, one transaction.

use http::Response;
use landbridge_proto::machine::admission::{
    Admitted, Memory, PROTO, StartDecision, judge_start, print_of,
};
use landbridge_proto::machine::chain::Chain;
use landbridge_proto::machine::contract::{Guard, RunPhase, RunRow, Write};
use landbridge_proto::machine::executor::Terms;
use landbridge_proto::machine::step::Step;
use landbridge_proto::trust::signer::sign_typed;
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::{Disclose, Grant};
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::Timestamp;
use landbridge_proto::wire::problem::{Code, Problem};
use landbridge_proto::wire::request::{Mode, Start, ToolCall};
use landbridge_proto::wire::stream::{Accept, One};

use super::Federation;
use crate::adapter::{Ask, Work};
use crate::core::{StepError, bug, unreadable};
use crate::net::ResponseBody;

/// How soon a peer that was over its share may ask again, in milliseconds.
const RETRY_AFTER_MS: u64 = 1_000;

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
                    self.check_load(admitted)?;
                    match self.create(admitted, start, print).await {
                        Err(StepError::Stale(_)) => {}
                        Err(error) => return Err(error.into()),
                        Ok(None) => return Err(Problem::new(Code::Internal)),
                        Ok(Some(row)) => {
                            let run = row.run.clone();
                            self.executions.drive(&self.core, row);
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
            if start.prompt.is_none() && start.tool_call.is_none() {
                let detail = "this executor runs prompts and tool calls; approvals are not offered";
                let problem = Problem::new(Code::NotSupported).with_detail(detail);
                return Ok(StartDecision::Refuse(Box::new(problem)));
            }
            if start.agent_target.mode != Mode::Session {
                let detail =
                    "this executor starts fresh sessions; turns and subagents are not offered";
                let problem = Problem::new(Code::NotSupported).with_detail(detail);
                return Ok(StartDecision::Refuse(Box::new(problem)));
            }
        }
        Ok(decision)
    }

    /// Refuses new work beyond what the grant and this bridge allow at once. The key stays free.
    fn check_load(&self, admitted: &Admitted) -> Result<(), Problem> {
        if self.core.draining.is_cancelled() {
            return Err(Problem::new(Code::Draining).with_retry_after_ms(RETRY_AFTER_MS));
        }
        if self.executions.count() >= self.core.settings.executing_max {
            return Err(Problem::new(Code::Overloaded).with_retry_after_ms(RETRY_AFTER_MS));
        }
        //= REQ-28
        let open = self.core.store.reads().open_runs_of(admitted.owner());
        let open = open.map_err(|fault| unreadable(&fault))?;
        let granted = admitted.grant().and_then(|grant| grant.concurrent_max);
        if open >= granted.unwrap_or(self.core.settings.executing_per_owner_max) {
            return Err(Problem::new(Code::RateLimited)
                .with_detail("as many runs as are allowed at the same time are open")
                .with_retry_after_ms(RETRY_AFTER_MS));
        }
        let owner = admitted.owner();
        let per_second = admitted.grant().and_then(|grant| grant.starts_per_second);
        let per_minute =
            per_second.and_then(|starts| u32::try_from(starts.saturating_mul(60)).ok());
        let per_minute = per_minute.unwrap_or(self.core.settings.starts_per_minute_max);
        self.rates.take(owner, per_minute, self.core.now()).map_err(|ms| {
            Problem::new(Code::RateLimited).with_detail("too many starts").with_retry_after_ms(ms)
        })
    }

    /// Commits key, print, run, request id and audit record in one transaction.
    //= REQ-23
    async fn create(
        &self,
        admitted: &Admitted,
        start: &Start,
        print: Digest,
    ) -> Result<Option<RunRow>, StepError> {
        let Some(row) = admitted.grant().and_then(|grant| self.row(admitted, start, grant, print))
        else {
            return Ok(None);
        };
        let key = start.idempotency_key.clone();
        let free = Guard::KeyFree { owner: admitted.owner().clone(), key };
        let (unseen, writes) = self.remember(admitted, "start_received");
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
        let step = Step::new(vec![unseen, free], writes.into(), row).with([create, audit]);
        self.core.commit(step).await.map(Some)
    }

    fn row(
        &self,
        admitted: &Admitted,
        start: &Start,
        grant: &Grant,
        print: Digest,
    ) -> Option<RunRow> {
        let run = self.core.new_run_id().ok()?;
        let now = self.core.now();
        let deadline = deadline(start, grant, now);
        let said = admitted.request().value();
        let accept = Accept {
            aud: said.iss.clone(),
            deadline,
            iss: self.core.own().clone(),
            key: start.idempotency_key.clone(),
            print,
            proto: PROTO,
            root_version: self.core.identity.root().version(),
            run: run.clone(),
            seen: self.core.trust.state().seen(&said.iss),
            tenant: said.tenant.clone(),
            v: One,
        };
        //= REQ-29
        let accept = sign_typed(self.core.identity.stream(), &accept).ok()?;
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
        let terms = Terms {
            agent: start.agent_target.agent.clone(),
            disclose: disclose(start, grant),
            frames_max: grant.frames_max.unwrap_or(limit::RUN_FRAMES_MAX),
            bytes_max: grant.bytes_max.unwrap_or(limit::RUN_BYTES_MAX),
            remote_run_id: start.remote_run_id.clone(),
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
            outcome: None,
            ended: None,
        })
    }
}

/// What the gateway is to do; `None` for what is not offered.
fn ask_of(start: &Start) -> Option<Ask> {
    let call = |call: &ToolCall| Ask::ToolCall {
        tool: call.tool.clone(),
        args: call.args.as_str().to_owned(),
    };
    start.tool_call.as_ref().map(call).or_else(|| start.prompt.clone().map(Ask::Prompt))
}

/// The result of a tool call is both what the run answers and what a tool answered: the peer sees of it
/// no more than either may show.
//= STR-32
fn disclose(start: &Start, grant: &Grant) -> Disclose {
    let mut disclose = grant.disclose;
    if start.tool_call.is_some() && cfg!(not(planted = "tool_result_as_output")) {
        disclose.output = disclose.output.min(disclose.tool_results);
    }
    disclose
}

//= REQ-27
fn deadline(start: &Start, grant: &Grant, now: Timestamp) -> Timestamp {
    let most = limit::DEADLINE_MS_MAX.min(grant.deadline_ms_max);
    let wanted = start.deadline.unwrap_or(now.plus_ms(limit::DEADLINE_MS.min(most)));
    wanted.min(now.plus_ms(most)).max(now)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
