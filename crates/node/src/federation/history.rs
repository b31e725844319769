//! What a peer shows us of ourselves, looked at before anything else is done for it.

use landbridge_planted::planted;
use landbridge_proto::machine::admission::{Admitted, Refused};
use landbridge_proto::machine::history::Recall;
use landbridge_proto::machine::operation::Operation;
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::name::{GatewayId, RunId};
use landbridge_proto::wire::problem::{Code, Problem};
use landbridge_proto::wire::request::{Body, Target};
use landbridge_proto::wire::stream::SideEffects;

use super::Federation;
use crate::core::unreadable;
use crate::rollback::RolledBack;

impl Federation {
    /// Lets a request through only while this bridge remembers everything that the peer was told.
    pub(super) async fn check_history(
        &self,
        opened: Result<Admitted, Box<Refused>>,
        body: &[u8],
    ) -> Result<Admitted, Box<Refused>> {
        let who = match &opened {
            Ok(admitted) => (admitted.owner().caller.clone(), admitted.request().digest()),
            Err(refused) => match &refused.authenticated {
                Some(who) => who.clone(),
                None => return opened,
            },
        };
        let found = self.look_at_held(&who.0, body).await;
        let admitted = opened?;
        let refuse = |problem: Problem, story: &str| {
            Box::new(Refused {
                problem,
                story: story.to_owned(),
                authenticated: Some((who.0.clone(), who.1)),
                learned: admitted.learned().clone(),
            })
        };
        let past = match found {
            Ok(past) => past,
            Err(problem) => return Err(refuse(problem, "what it holds cannot be judged")),
        };
        let trust = &self.core.trust;
        //= ID-25
        if trust.halted().is_cancelled() {
            return Err(refuse(RolledBack::problem(), "this bridge was rolled back"));
        }
        //= ID-41
        let seen = admitted.request().value().seen;
        if !trust.remembers(seen) && !planted!("seen_unchecked") {
            let story = format!("shown {seen:?}, which is not remembered");
            return Err(refuse(Problem::new(Code::RolledBack), &story));
        }
        //= REQ-64
        if named(&admitted).is_some_and(|run| past.contains(run)) {
            return Err(refuse(lost_history(), "a run of an earlier incarnation"));
        }
        Ok(admitted)
    }

    /// Judges what an authenticated peer holds; the runs of earlier incarnations are returned.
    async fn look_at_held(&self, peer: &GatewayId, body: &[u8]) -> Result<Vec<RunId>, Problem> {
        let mut past = Vec::new();
        for envelope in held(body) {
            match self.core.judge_held(peer, &envelope).map_err(|fault| unreadable(&fault))? {
                Recall::Remembered => {}
                Recall::Past(run) => past.push(run),
                Recall::Lost(shown) => {
                    let found = RolledBack::shown(peer, &shown, self.core.now());
                    if let Err(error) = self.core.trust.roll_back(&self.core, found).await {
                        tracing::error!(%error, "a rollback was not made durable");
                    }
                }
            }
        }
        Ok(past)
    }
}

/// What is asked about a run that may have happened, and of which nothing is known here.
pub(super) fn lost_history() -> Problem {
    Problem::new(Code::LostHistory).with_side_effects(SideEffects::Unknown)
}

fn held(body: &[u8]) -> Vec<Envelope> {
    Operation::parse(body).ok().and_then(|operation| operation.held).unwrap_or_default()
}

fn named(admitted: &Admitted) -> Option<&RunId> {
    let target = match &admitted.request().value().body {
        Body::Attach(attach) => &attach.target,
        Body::Cancel(cancel) => &cancel.target,
        Body::Inspect(target) => target,
        Body::Start(_) | Body::Catalog => return None,
    };
    match target {
        Target::Run(run) => Some(run),
        Target::Key(_) => None,
    }
}
