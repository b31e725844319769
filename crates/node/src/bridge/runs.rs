//! Runs that local clients ask of other gateways.

use std::collections::BTreeMap;
use std::sync::Arc;

use landbridge_planted::planted;
use landbridge_proto::machine::admission::print_of;
use landbridge_proto::machine::contract::{
    EntryFilter, EntryPhase, EntryPlace, EntryRow, Guard, Write,
};
use landbridge_proto::machine::step::Step;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{GatewayId, RunId};
use landbridge_proto::wire::problem::{Code, Problem};
use landbridge_proto::wire::request::{AgentTarget, CallerIdentity, Start, ToolCall};
use landbridge_proto::wire::tool_args::{InvalidToolArgs, ToolArgs};

use super::tokens::too_many_open;
use super::{Bridge, Frames, Principal};
use crate::config::Period;
use crate::core::{Route, StepError, bug, unreadable};
use crate::halt::Halted;
use crate::local::api::{CallTool, CancelView, RunView, StartRun};
use crate::pairing::There;
use crate::rollback::RolledBack;
use crate::room;
use crate::standing::Barred;

impl Bridge {
    /// Starts a run at another gateway, or attaches to the one that the key started before.
    ///
    /// # Errors
    ///
    /// A problem; then the key is as free as it was.
    pub async fn start_run(&self, who: &Principal, start: StartRun) -> Result<RunView, Problem> {
        let (bridge, who) = (self.clone(), who.clone());
        self.finish(async move { bridge.start_durably(&who, start).await }).await
    }

    async fn start_durably(&self, who: &Principal, asked: StartRun) -> Result<RunView, Problem> {
        self.check_history()?;
        let route = self.route_for(who, &asked.gateway)?;
        let peer = self.peer_of(&route)?;
        for _ in 0..3 {
            let known =
                self.core.store.reads().entry_of_key(&peer, &route.tenant, &asked.idempotency_key);
            if let Some(entry) = known.map_err(|fault| unreadable(&fault))? {
                return self.attach(who, &asked, &route, &entry);
            }
            self.check_accepted(&route, &peer).await?;
            if self.core.draining.is_cancelled() {
                return Err(Problem::new(Code::Draining));
            }
            self.check_may_ask()?;
            let entry = self.entry(who, &asked, &route, &peer)?;
            let guards = self.within_quota(who)?;
            match self.invoke(entry.clone(), guards).await {
                Ok(()) => {
                    self.calls.drive(&self.core, entry.clone());
                    return Ok(self.view_of(&(&entry).into(), false));
                }
                Err(StepError::Stale(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Problem::new(Code::Internal))
    }

    /// Refuses what the other side would only turn away: its person has not accepted the pairing. A peer
    /// that cannot be asked is asked by the run itself, for as long as that lasts.
    async fn check_accepted(&self, route: &Route, peer: &GatewayId) -> Result<(), Problem> {
        let Some(row) = self.core.unfinished_pairing(peer)? else { return Ok(()) };
        let refuse = |what: String| Err(Problem::new(Code::NotGranted).with_detail(what));
        match self.core.settle_pairing(&row).await {
            There::Accepted | There::Unknown(_) => Ok(()),
            There::Pending => refuse(format!(
                "the other side has not accepted the pairing with {} yet; nothing was started",
                route.peer
            )),
            There::Gone(_) => refuse(format!(
                "the other side does not know the pairing with {} any more; nothing was started",
                route.peer
            )),
        }
    }

    //= REQ-6
    async fn invoke(&self, entry: EntryRow, mut guards: Vec<Guard>) -> Result<(), StepError> {
        let guard = Guard::EntryKeyFree {
            peer: entry.peer.clone(),
            tenant: entry.tenant.clone(),
            key: entry.key.clone(),
        };
        let actor = entry.token.clone().unwrap_or_else(|| "admin".to_owned());
        let detail = [("gateway", entry.gateway.as_str()), ("peer", entry.peer.as_str())];
        let audit = self.core.audit(&actor, "run_invoked", entry.run.as_str(), detail);
        let clock = Write::Clock(self.core.now());
        let writes = vec![Write::CreateEntry(entry), audit, clock];
        guards.push(guard);
        self.core.commit(Step::new(guards, writes, ())).await
    }

    /// The same key again: the same run when the same is asked, else a conflict.
    fn attach(
        &self,
        who: &Principal,
        asked: &StartRun,
        route: &Route,
        entry: &EntryRow,
    ) -> Result<RunView, Problem> {
        let known: Start = serde_json::from_str(&entry.body)
            .map_err(|error| bug("a stored body cannot be read", &error))?;
        let by = entry.token.as_deref().unwrap_or("admin");
        let again = self.body(who, asked, route, Some((&known, by)))?;
        let (print, _) = print_of(&again).map_err(|error| bug("a body has no print", &error))?;
        // What the key's run is, or that it is there at all, is for those who see it.
        if print != entry.print || !who.sees(entry) {
            return Err(Problem::new(Code::KeyConflict).with_detail(
                "this idempotency key was used for something else; choose another one",
            ));
        }
        Ok(self.view_of(&entry.into(), true))
    }

    fn entry(
        &self,
        who: &Principal,
        asked: &StartRun,
        route: &Route,
        peer: &GatewayId,
    ) -> Result<EntryRow, Problem> {
        let start = self.body(who, asked, route, None)?;
        let (print, body) = print_of(&start).map_err(|error| bug("a body has no print", &error))?;
        let run = self.core.new_run_id().map_err(|error| bug("no run id", &error))?;
        let deadline = start.deadline.unwrap_or(start.invoked_at.plus_ms(limit::DEADLINE_MS));
        Ok(EntryRow {
            run,
            gateway: asked.gateway.clone(),
            peer: peer.clone(),
            tenant: route.tenant.clone(),
            key: asked.idempotency_key.clone(),
            print,
            body,
            traceparent: asked.traceparent.clone(),
            agent: start.agent_target.agent,
            token: who.token().map(str::to_owned),
            labels: asked.labels.clone(),
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

    /// What is asked of the executor. `known` is the body that the key is bound to, and who asked for
    /// it: its times are taken over, because a client that asks again asks for the same.
    fn body(
        &self,
        who: &Principal,
        asked: &StartRun,
        route: &Route,
        known: Option<(&Start, &str)>,
    ) -> Result<Start, Problem> {
        let known_by = known.map(|(_, by)| by);
        let refuse = |what: String| Problem::new(Code::Malformed).with_detail(what);
        let agent = asked.agent.clone().or_else(|| route.agent.clone()).ok_or_else(|| {
            refuse(format!("name an agent: the route {} has none of its own", asked.gateway))
        })?;
        let period = asked.deadline.as_deref().map(str::parse::<Period>).transpose();
        let period = period.map_err(|error| refuse(format!("deadline: {error}")))?;
        let settings = &self.core.settings;
        let most = route.deadline_ms_max.unwrap_or(settings.deadline_ms_max);
        let wanted = period.map_or(settings.deadline_ms, Period::as_ms);
        if period.is_some() && wanted > most {
            return Err(refuse(format!("deadline: this route allows at most {most} ms")));
        }
        let invoked_at = known.map_or_else(|| self.core.now(), |(known, _)| known.invoked_at);
        // Whoever asks again for a run by its key asks for the identity that it was given then.
        let principal = known_by.or_else(|| who.token()).unwrap_or("admin");
        let identity = asked.caller_identity.clone().unwrap_or_else(|| CallerIdentity {
            labels: BTreeMap::new(),
            principal: principal.to_owned(),
            step: None,
            workflow: None,
        });
        let tool_call = asked.tool_call.as_ref().map(tool_call).transpose();
        let start = Start {
            agent_target: AgentTarget { agent, mode: asked.mode, session: asked.session.clone() },
            approval_grant: None,
            approval_request: None,
            caller_identity: identity,
            deadline: Some(invoked_at.plus_ms(wanted.min(most))),
            idempotency_key: asked.idempotency_key.clone(),
            invoked_at,
            limits: asked.limits.clone(),
            prompt: asked.prompt.clone(),
            remote_run_id: asked.remote_run_id.clone(),
            tool_call: tool_call.map_err(|error| refuse(error.to_string()))?,
        };
        start.checked().map_err(|error| refuse(error.to_string()))
    }

    /// Refuses what a token may not start any more; what it still may is guarded at the commit too,
    /// because others may start runs with the same token at the same time.
    fn within_quota(&self, who: &Principal) -> Result<Vec<Guard>, Problem> {
        let Principal::Token(scope) = who else { return Ok(Vec::new()) };
        let max = scope.runs_open_max;
        let open = self.core.store.reads().open_entries_of(&scope.id);
        if open.map_err(|fault| unreadable(&fault))? >= max {
            return Err(too_many_open(scope));
        }
        self.tokens.take_start(scope, self.core.now())?;
        if planted!("token_quota_unguarded") {
            return Ok(Vec::new());
        }
        Ok(vec![Guard::TokenOpenBelow { token: scope.id.clone(), max }])
    }

    fn peer_of(&self, route: &Route) -> Result<GatewayId, Problem> {
        let state = self.core.trust.state();
        let peer = state.federation.as_ref().and_then(|known| known.peer_called(&route.peer));
        let peer = peer.ok_or_else(|| {
            Problem::new(Code::NotFound).with_detail(format!(
                "no peer is called {}; `landbridge peer list` shows what there is",
                route.peer
            ))
        })?;
        if !state.active(&peer.gid) {
            let (code, how) = match self.core.barred(&peer.gid) {
                Some(Barred::Revoked) => (Code::PeerRevoked, "revoked for good"),
                _ => (Code::PeerSuspended, "suspended or quarantined"),
            };
            let detail = format!("the peer {} is {how} here", route.peer);
            return Err(Problem::new(code).with_detail(detail));
        }
        Ok(peer.gid.clone())
    }

    /// One run.
    ///
    /// # Errors
    ///
    /// `not_found` also for a run of another token.
    pub async fn run(&self, who: &Principal, run: &RunId) -> Result<RunView, Problem> {
        Ok(self.view_of(&(&self.entry_for(who, run)?).into(), false))
    }

    /// Runs, newest first, and the place after which there are more.
    ///
    /// # Errors
    ///
    /// A problem when the journal cannot be read.
    pub async fn runs(
        &self,
        who: &Principal,
        filter: EntryFilter,
    ) -> Result<(Vec<RunView>, Option<EntryPlace>), Problem> {
        let limit = filter.limit as usize;
        // One more than the page: whether there is a next one.
        let filter = EntryFilter { limit: filter.limit.saturating_add(1), ..filter };
        let Some(filter) = who.narrow(filter) else { return Ok((Vec::new(), None)) };
        let entries = self.core.store.reads().entries(&filter);
        let mut entries = entries.map_err(|fault| unreadable(&fault))?;
        let more = entries.len() > limit;
        entries.truncate(limit);
        let next = entries
            .last()
            .filter(|_| more)
            .map(|entry| EntryPlace { created: entry.created, run: entry.run.clone() });
        Ok((entries.iter().map(|entry| self.view_of(entry, false)).collect(), next))
    }

    /// A run's frames after a cursor.
    ///
    /// # Errors
    ///
    /// `not_found`, or `cursor_ahead` for a cursor beyond what was received.
    pub async fn frames(
        &self,
        who: &Principal,
        run: &RunId,
        after: u64,
    ) -> Result<Frames, Problem> {
        let entry = self.entry_for(who, run)?;
        if after > entry.seq {
            return Err(Problem::new(Code::CursorAhead));
        }
        let lease = self.tokens.lease(who);
        Ok(Frames::new(Arc::clone(&self.core), entry.run, after, lease))
    }

    /// Asks the executor to stop a run. The run's frames say what comes of it.
    ///
    /// # Errors
    ///
    /// `not_found`.
    pub async fn cancel(&self, who: &Principal, run: &RunId) -> Result<CancelView, Problem> {
        let entry = self.entry_for(who, run)?;
        if entry.phase == EntryPhase::Settled {
            return Ok(CancelView { run: entry.run, state: "alreadyTerminal".to_owned() });
        }
        self.check_history()?;
        if self.core.halt.is_on() {
            return Err(Halted::problem());
        }
        // Once the run's driver has it, it is recorded before it is sent; wait for that.
        let wake = self.core.wakes.of(run);
        loop {
            let more = wake.notified();
            tokio::pin!(more);
            more.as_mut().enable();
            let entry = self.entry_for(who, run)?;
            if entry.phase == EntryPhase::Settled {
                return Ok(CancelView { run: entry.run, state: "alreadyTerminal".to_owned() });
            }
            if entry.cancel.is_some() {
                return Ok(CancelView { run: entry.run, state: "requested".to_owned() });
            }
            self.calls.cancel(run);
            let again = self.core.now().plus_ms(1_000);
            tokio::select! {
                () = more => {}
                () = self.core.trust.halted().cancelled() => return Err(RolledBack::problem()),
                () = self.core.clock.sleep_until(again) => {
                    if room::is_short(&self.core) {
                        return Err(StepError::Full.into());
                    }
                }
                () = self.core.draining.cancelled() => return Err(Problem::new(Code::Draining)),
            }
        }
    }

    /// A journal entry that this principal may see.
    pub(super) fn entry_for(&self, who: &Principal, run: &RunId) -> Result<EntryRow, Problem> {
        let entry = self.core.store.reads().entry(run).map_err(|fault| unreadable(&fault))?;
        entry.filter(|entry| who.sees(entry)).ok_or_else(|| {
            Problem::new(Code::NotFound)
                .with_detail("no such run; `landbridge run list` shows yours")
        })
    }
}

/// The call as it travels. Written anew from what was read, so a client that spells the same arguments
/// in another order asks for the same.
//= REQ-40
fn tool_call(asked: &CallTool) -> Result<ToolCall, InvalidToolArgs> {
    let args = serde_json::to_string(&asked.args)
        .map_err(|error| InvalidToolArgs::NotAnObject(error.to_string()))?;
    Ok(ToolCall { args: ToolArgs::new(args)?, tool: asked.tool.clone() })
}
