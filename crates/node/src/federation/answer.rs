//! Operations without a stream, and the records of what was refused.

use http::Response;
use landbridge_planted::planted;
use landbridge_proto::machine::admission::Admitted;
use landbridge_proto::machine::contract::{Guard, KeyRecord, RunPhase, RunRow, Write};
use landbridge_proto::machine::history::is_abandoned;
use landbridge_proto::machine::report::StopReason;
use landbridge_proto::machine::step::Step;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{GatewayId, RunId};
use landbridge_proto::wire::problem::{Code, Problem};
use landbridge_proto::wire::request::{Answer, Cancel, CancelResult, Findings, RunState, Target};
use landbridge_proto::wire::stream::{One, Outcome};

use super::history::lost_history;
use super::rate::Rate;
use super::{Federation, one_envelope};
use crate::core::{StepError, bug, unreadable};
use crate::net::ResponseBody;
use crate::room;

/// Records of refusals that one peer can cause in a minute.
const RECORDS_PER_MINUTE_MAX: u32 = 60;

/// Records of what was answered that one peer can cause in a minute, new runs apart: those have a rate of
/// their own.
const ANSWERS_PER_MINUTE_MAX: u32 = 600;

impl Federation {
    /// Stops a run, or blocks a key for good.
    pub(super) async fn cancel(
        &self,
        admitted: &Admitted,
        cancel: &Cancel,
    ) -> Result<Response<ResponseBody>, Problem> {
        let core = &self.core;
        for _ in 0..3 {
            self.check_jti(admitted)?;
            let (result, step) = match self.find(admitted, &cancel.target)? {
                //= REQ-70
                Found::Run(row) if row.phase == RunPhase::Settled => {
                    let result = Findings {
                        cancel: Some(CancelResult::AlreadyTerminal),
                        run: Some(row.run),
                        ..Findings::default()
                    };
                    (result, Step::new(Vec::new(), Vec::new(), None))
                }
                Found::Run(row) => {
                    let result = Findings {
                        cancel: Some(CancelResult::Requested),
                        run: Some(row.run.clone()),
                        ..Findings::default()
                    };
                    (result, Step::new(Vec::new(), Vec::new(), Some(row.run)))
                }
                Found::Blocked => (blocked(), Step::new(Vec::new(), Vec::new(), None)),
                Found::Nothing(Target::Run(_)) => return Err(Problem::new(Code::NotFound)),
                //= REQ-32
                //= REQ-67
                Found::Nothing(Target::Key(key)) => {
                    let owner = admitted.owner().clone();
                    let guard = Guard::KeyFree { owner: owner.clone(), key: key.clone() };
                    let block = Write::BlockKey { owner, key, at: core.now() };
                    (blocked(), Step::new(vec![guard], vec![block], None))
                }
            };
            // Blocking a key is an effect; what a stop does is made durable by the run's driver.
            let running =
                result.run.clone().filter(|_| result.cancel == Some(CancelResult::Requested));
            let (guard, writes) = self.remember(admitted, "run_cancel_received");
            match core.commit(step.guarded([guard]).with(writes)).await {
                //= REQ-34
                Ok(run) => {
                    if let Some(run) = run.filter(|_| !planted!("cancel_only_said")) {
                        self.stop(&run).await?;
                    }
                    return self.answered(admitted, result);
                }
                Err(StepError::Stale(_)) => {}
                Err(StepError::Full) if result.cancel != Some(CancelResult::Blocked) => {
                    self.remember_meanwhile(admitted, "run_cancel_received")?;
                    if let Some(run) = running {
                        self.stop(&run).await?;
                    }
                    return self.answered(admitted, result);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Problem::new(Code::Internal))
    }

    /// Has a stop recorded before anybody is told of it: a caller that was answered does not ask again.
    //= REQ-33
    async fn stop(&self, run: &RunId) -> Result<(), Problem> {
        if self.executions.stop(run, StopReason::Cancel).await {
            return Ok(());
        }
        // It may have been committed a moment ago: its driver begins before this lock is free.
        drop(self.beginning.write().await);
        if self.executions.stop(run, StopReason::Cancel).await {
            return Ok(());
        }
        let row = self.core.store.reads().run(run).map_err(|fault| unreadable(&fault))?;
        match row {
            // It ended while it was told.
            Some(row) if row.phase == RunPhase::Settled => Ok(()),
            _ if self.core.draining.is_cancelled() => Err(Problem::new(Code::Draining)),
            _ if room::is_short(&self.core) => Err(StepError::Full.into()),
            _ => Err(Problem::new(Code::Internal).with_detail("the run is not driven now")),
        }
    }

    /// Says where a run stands.
    pub(super) async fn inspect(
        &self,
        admitted: &Admitted,
        target: &Target,
    ) -> Result<Response<ResponseBody>, Problem> {
        self.accept_jti(admitted, "run_inspected").await?;
        let Found::Run(row) = self.find(admitted, target)? else {
            return Err(Problem::new(Code::NotFound));
        };
        let settled = row.phase == RunPhase::Settled;
        let result = Findings {
            accept: Some(row.accept_digest),
            deadline: Some(row.deadline),
            head: Some(row.head),
            outcome: row.outcome.as_deref().and_then(Outcome::of),
            run: Some(row.run),
            seq: Some(row.seq),
            state: Some(if settled { RunState::Terminal } else { RunState::Running }),
            ..Findings::default()
        };
        self.answered(admitted, result)
    }

    pub(super) fn answered(
        &self,
        admitted: &Admitted,
        result: Findings,
    ) -> Result<Response<ResponseBody>, Problem> {
        let (identity, now) = (self.core.identity.present(), self.core.now());
        let answer = Answer {
            aud: admitted.owner().caller.clone(),
            iss: self.core.own().clone(),
            request: admitted.request().digest(),
            result,
            root_version: identity.root().version(),
            t: now,
            v: One,
        };
        let envelope =
            identity.sign(&answer, now).map_err(|error| bug("an answer was not signed", &error))?;
        Ok(one_envelope(200, &envelope))
    }

    /// Finds what a target names, if it belongs to the asker.
    pub(super) fn find(&self, admitted: &Admitted, target: &Target) -> Result<Found, Problem> {
        let reads = self.core.store.reads();
        let owner = admitted.owner();
        let run = match target {
            Target::Run(run) => run.clone(),
            Target::Key(key) => match reads.key(owner, key).map_err(|fault| unreadable(&fault))? {
                Some(KeyRecord::Run { run, .. }) => run,
                Some(KeyRecord::Blocked { .. }) => return Ok(Found::Blocked),
                None => return Ok(Found::Nothing(target.clone())),
            },
        };
        //= PRB-8
        match reads.run(&run).map_err(|fault| unreadable(&fault))? {
            //= REQ-64
            Some(row) if row.owner == *owner && is_abandoned(&row) => Err(lost_history()),
            Some(row) if row.owner == *owner || planted!("owner_unchecked") => {
                Ok(Found::Run(Box::new(row)))
            }
            _ => Ok(Found::Nothing(target.clone())),
        }
    }

    /// Refuses a request that was received before.
    pub(super) fn check_jti(&self, admitted: &Admitted) -> Result<(), Problem> {
        //= REQ-17
        let said = admitted.request().value();
        let seen = self.core.store.reads().jti_seen(&said.iss, &said.jti);
        match seen.map_err(|fault| unreadable(&fault))? || self.core.unrecorded.knows(said) {
            true => Err(Problem::new(Code::Replayed)),
            false => Ok(()),
        }
    }

    /// The guard and the writes that belong to every request that is acted upon.
    //= REQ-18
    pub(super) fn remember(&self, admitted: &Admitted, deed: &str) -> (Guard, Vec<Write>) {
        let said = admitted.request().value();
        let (issuer, mut jti) = (said.iss.clone(), said.jti.clone());
        if planted!("jti_forgotten") {
            jti = self.core.new_jti().unwrap_or(jti);
        }
        let keep_until = said.exp.plus_ms(limit::CLOCK_SKEW_MS_MAX + 1);
        let guard = Guard::JtiUnseen { issuer: issuer.clone(), jti: jti.clone() };
        let pair = format!("{} to {}", said.tenant.src, said.tenant.dst);
        let audit = self.core.audit(said.iss.as_str(), deed, jti.as_str(), [("tenant", &pair)]);
        let has_share = deed == NEW_RUN || self.has_share(&issuer);
        let mut writes = vec![
            Write::Jti { issuer: issuer.clone(), jti, keep_until },
            Write::Clock(self.core.now()),
        ];
        if has_share || planted!("answers_unmetered") {
            writes.push(audit);
        } else {
            self.core.tally.answered(&issuer, deed);
        }
        (guard, writes)
    }

    /// Whether a peer has a record left of its share of the log: one that asks all day, rightly or
    /// wrongly, cannot fill it.
    //= PRB-10
    fn has_share(&self, peer: &GatewayId) -> bool {
        let rate = Rate::per_minute(ANSWERS_PER_MINUTE_MAX);
        self.answers.take(peer, rate, self.core.now()).is_ok()
    }

    /// Makes a request's id durable when nothing else of the request is.
    pub(super) async fn accept_jti(&self, admitted: &Admitted, deed: &str) -> Result<(), Problem> {
        self.check_jti(admitted)?;
        let (guard, writes) = self.remember(admitted, deed);
        match self.core.commit(Step::new(vec![guard], writes, ())).await {
            // The same request may have found no room a moment ago, and be answered already.
            Ok(()) if self.core.unrecorded.knows(admitted.request().value()) => {
                Err(Problem::new(Code::Replayed))
            }
            Err(StepError::Stale(_)) => Err(Problem::new(Code::Replayed)),
            Err(StepError::Full) => self.remember_meanwhile(admitted, deed),
            other => other.map_err(Problem::from),
        }
    }

    /// Remembers a request that has no effect but an answer, where nothing can be made durable.
    //= STR-39
    fn remember_meanwhile(&self, admitted: &Admitted, deed: &str) -> Result<(), Problem> {
        let said = admitted.request().value();
        let (guard, writes) = self.remember(admitted, deed);
        if !self.core.unrecorded.remember(said, guard, writes) {
            return match self.core.unrecorded.knows(said) {
                true => Err(Problem::new(Code::Replayed)),
                false => Err(StepError::Full.into()),
            };
        }
        // After it is remembered: one of two that come together sees the other.
        let seen = self.core.store.reads().jti_seen(&said.iss, &said.jti);
        match seen.map_err(|fault| unreadable(&fault))? {
            true => Err(Problem::new(Code::Replayed)),
            false => Ok(()),
        }
    }

    /// Records a refusal of an authenticated request, or counts it once the peer had its share of the
    /// log: a peer that asks wrongly all day cannot fill it.
    //= PRB-10
    pub(super) async fn audit_refusal(&self, peer: &GatewayId, problem: &Problem, story: &str) {
        let rate = Rate::per_minute(RECORDS_PER_MINUTE_MAX);
        let over = self.records.take(peer, rate, self.core.now()).is_err();
        if over && !planted!("refusals_fill_the_log") {
            self.core.tally.refused(problem);
            return;
        }
        let detail = [("code", problem.code_text()), ("story", story)];
        let audit =
            self.core.audit(peer.as_str(), "request_refused", self.core.own().as_str(), detail);
        match self.core.commit(Step::new(Vec::new(), vec![audit], ())).await {
            Ok(()) => {}
            Err(StepError::Full) => self.core.tally.refused(problem),
            Err(error) => tracing::error!(%error, "a refusal was not recorded"),
        }
    }
}

/// The deed of a start that made a run.
pub(super) const NEW_RUN: &str = "start_received";

/// What a target names.
pub(super) enum Found {
    /// A run of the asker.
    Run(Box<RunRow>),
    /// A key that was cancelled before its start.
    Blocked,
    /// Nothing that exists for the asker.
    Nothing(Target),
}

fn blocked() -> Findings {
    Findings { cancel: Some(CancelResult::Blocked), ..Findings::default() }
}
