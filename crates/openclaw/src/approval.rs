//! The gateway's questions: calls that wait until a person approves them.
//!
//! The gateway shows each question in a form of its own, without all that will be executed. Our plugin in
//! the gateway (`plugin/`) shows waiting calls whole, and puts the digest of each into its question: only
//! what has that digest is said to be everything. For the rest the bridge says what it sees.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use data_encoding::HEXLOWER;
use landbridge_node::adapter::{
    AdapterFault, ApprovalDecided, ApprovalNeeded, Binding, Report, ResolvedBy, Trouble,
    TroubleCode, Vote, Work,
};
use landbridge_planted::planted;
use landbridge_proto::wire::limit::SUBJECT_BYTES_MAX;
use landbridge_proto::wire::name::{RunId, SubjectKind, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::connection::Connection;
use crate::device::Authority;
use crate::fault::Fault;
use crate::run::Run;
use crate::wire::{flag, list, text, texts};

/// Which questions stop which run: a vote reaches no other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Open(Arc<Mutex<BTreeMap<String, RunId>>>);

impl Open {
    fn held(&self) -> MutexGuard<'_, BTreeMap<String, RunId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says why a vote of this run must not reach the question.
    fn admits(&self, question: &str, run: &RunId) -> Result<(), AdapterFault> {
        let (code, detail) = match self.held().get(question) {
            Some(owner) if owner == run || planted!("foreign_question_answered") => return Ok(()),
            Some(_) => (TroubleCode::ApprovalUnknown, "the run has no such question"),
            // A process that takes the run up sees it in a moment.
            None => (
                TroubleCode::GatewayUnavailable,
                "the gateway was not heard yet on what the run waits for",
            ),
        };
        Err(AdapterFault(Trouble { code, detail: detail.to_owned() }))
    }

    /// The run is led no more.
    pub(crate) fn forget(&self, run: &RunId) {
        self.held().retain(|_, other| other != run);
    }
}

/// The questions of one run.
#[derive(Debug)]
pub(crate) struct Questions {
    open: Open,
    run: RunId,
    /// Not reported yet, as the gateway shows them.
    new: Vec<Value>,
    needed: BTreeSet<String>,
    decided: BTreeSet<String>,
    /// Of another turn in the same session.
    others: BTreeSet<String>,
}

impl Questions {
    /// The questions of a run, none of which was reported by this process.
    pub(crate) fn new(open: Open, run: &RunId) -> Self {
        let (needed, decided, others) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        Self { open, run: run.clone(), new: Vec::new(), needed, decided, others }
    }

    /// Something waits for an answer, or for its being told.
    pub(crate) fn are_open(&self) -> bool {
        !self.new.is_empty() || self.needed.len() > self.decided.len()
    }

    /// What the subscription to a session shows as pending in it and below.
    pub(crate) fn on_subscribed(&mut self, answer: &Value) {
        for question in list(answer, "/approvalReplay/approvals") {
            self.on_shown(question);
        }
    }

    /// Looks for questions that were decided while nobody listened, in a session since a time.
    ///
    /// # Errors
    ///
    /// Returns why the gateway did not answer.
    pub(crate) async fn recall(
        &mut self,
        connection: &Connection,
        session: &str,
        since: Timestamp,
    ) -> Result<(), Fault> {
        let mut params = json!({"limit": HISTORY_PAGE});
        for _ in 0..HISTORY_PAGES {
            let page = connection.call("approval.history", &params).await?;
            let items = list(&page, "/items");
            let began =
                |item: &Value| item.get("createdAtMs").and_then(Value::as_i64).unwrap_or_default();
            let ours = |item: &&Value| text(item, "/source/sessionKey") == session;
            for item in items.iter().rev().filter(ours).filter(|item| began(item) >= since.0) {
                self.on_shown(item);
            }
            let cursor = text(&page, "/nextCursor");
            // The newest come first.
            if cursor.is_empty() || items.last().is_none_or(|item| began(item) < since.0) {
                return Ok(());
            }
            params["cursor"] = json!(cursor);
        }
        Ok(())
    }

    /// The event `session.approval`.
    pub(crate) fn on_event(&mut self, payload: &Value) {
        let Some(mut question) = payload.get("approval").cloned() else { return };
        question["sourceSessionKey"] = payload["sourceSessionKey"].clone();
        self.on_shown(&question);
    }

    fn on_shown(&mut self, question: &Value) {
        let id = text(question, "/id");
        let known = self.needed.contains(id)
            || self.others.contains(id)
            || self.new.iter().any(|new| text(new, "/id") == id);
        if !id.is_empty() && !known {
            self.new.push(question.clone());
        }
    }

    /// Reports what is new and what was decided; asks the gateway for what it lacks. Turns of a session
    /// come one after the other: before the run's own prompt is there, what is asked is not its.
    ///
    /// # Errors
    ///
    /// Returns why the gateway did not answer.
    pub(crate) async fn attend(
        &mut self,
        connection: &Connection,
        device: &str,
        session: &str,
        run: &Run,
    ) -> Result<Vec<Report>, Fault> {
        let mut reports = Vec::new();
        while let Some(question) = self.new.first() {
            let from = text(question, "/sourceSessionKey");
            let calls = calls(connection, if from.is_empty() { session } else { from }).await?;
            let question = self.new.remove(0);
            let Some(needed) = needed(&question, &calls, session, run) else {
                self.others.insert(text(&question, "/id").to_owned());
                continue;
            };
            self.open.held().insert(needed.question.clone(), self.run.clone());
            self.needed.insert(needed.question.clone());
            reports.push(Report::ApprovalNeeded(Box::new(needed)));
        }
        let waiting: Vec<String> = self.needed.difference(&self.decided).cloned().collect();
        for id in waiting {
            let decided = match connection.call("approval.get", &json!({"id": id})).await {
                Ok(answer) => decided(&id, answer.get("approval").unwrap_or(&Value::Null), device),
                Err(Fault::Refused { error, .. }) if is_unknown(&error) => Some(forgotten(&id)),
                Err(fault) => return Err(fault),
            };
            if let Some(decided) = decided {
                self.decided.insert(id);
                reports.push(Report::ApprovalDecided(decided));
            }
        }
        Ok(reports)
    }
}

/// Answers a question at the gateway. The first answer counts, whosever it was.
pub(crate) async fn resolve(
    connection: &Connection,
    open: &Open,
    device: &str,
    work: &Work,
    question: &str,
    vote: Vote,
) -> Result<ApprovalDecided, AdapterFault> {
    open.admits(question, &work.run)?;
    let decision = match vote {
        Vote::Approve => "allow-once",
        Vote::Deny => "deny",
    };
    let kind = if question.starts_with(PLUGIN_QUESTION) { "plugin" } else { "exec" };
    let params = json!({"id": question, "kind": kind, "decision": decision});
    let answer = match connection.call("approval.resolve", &params).await {
        Ok(answer) => answer,
        Err(Fault::Refused { error, .. }) if is_unknown(&error) => return Ok(forgotten(question)),
        Err(fault) => return Err(AdapterFault::from(&fault)),
    };
    let recorded = answer.get("approval").unwrap_or(&Value::Null);
    tracing::info!(run = %work.run, question, ?vote, applied = flag(&answer, "/applied"),
        status = text(recorded, "/status"), "answered a question of the gateway");
    decided(question, recorded, device).ok_or_else(|| {
        let detail = "the gateway took no answer to its question".to_owned();
        AdapterFault(Trouble { code: TroubleCode::GatewayError, detail })
    })
}

/// The channel that a run begins on. A gateway without our plugin does not know it and refuses the run,
/// which else would go on without the gate that its operator wanted.
pub(crate) fn channel(authority: Authority) -> Option<&'static str> {
    let can_ask = authority == Authority::RunsAndApprovals;
    (can_ask && !planted!("run_without_approval_route")).then_some(CHANNEL)
}

/// Why no run of this gateway can wait for an approval.
pub(crate) async fn missing(connection: &Connection, authority: Authority) -> Option<String> {
    if authority != Authority::RunsAndApprovals {
        return Some(NOT_PAIRED_FOR_IT.to_owned());
    }
    match connection.call(CALLS, &json!({"sessionKey": ""})).await {
        Ok(_) => None,
        Err(Fault::Refused { .. }) => Some(NO_PLUGIN.to_owned()),
        Err(fault) => Some(format!("the gateway was asked for its plugin: {fault}")),
    }
}

/// A failed call's text says that an approval was needed for which nobody could be asked.
pub(crate) fn had_no_route(result: &str) -> bool {
    NO_ROUTE.iter().any(|words| result.contains(words))
}

/// What a run is told whose call could not wait.
pub(crate) fn no_route() -> Trouble {
    Trouble {
        code: TroubleCode::NoApprovalRoute,
        detail: "a tool call needs an approval, and the gateway had nobody to ask".to_owned(),
    }
}

/// Waiting calls of a session, whole, as the plugin shows them.
async fn calls(connection: &Connection, session: &str) -> Result<Vec<String>, Fault> {
    match connection.call(CALLS, &json!({"sessionKey": session})).await {
        Ok(answer) => Ok(texts(&answer, "/subjects")),
        // Without the plugin the bridge says what it sees.
        Err(Fault::Refused { .. }) => Ok(Vec::new()),
        Err(fault) => Err(fault),
    }
}

/// What to report of a question; `None` when another run of the session asks it.
fn needed(question: &Value, calls: &[String], session: &str, run: &Run) -> Option<ApprovalNeeded> {
    let shown = question.get("presentation").unwrap_or(&Value::Null);
    let (call, binding) = found(shown, calls);
    let parsed: Value =
        call.and_then(|call| serde_json::from_str(call).ok()).unwrap_or(Value::Null);
    let asks = text(&parsed, "/run");
    let foreign = !asks.is_empty() && !run.runs().iter().any(|known| known == asks);
    // A child's run has a name of its own, and a session of its own.
    if foreign && text(&parsed, "/session") == session {
        return None;
    }
    let tool = if text(shown, "/kind") == EXEC { EXEC } else { text(shown, "/toolName") };
    let subject = call.cloned().unwrap_or_else(|| shown.to_string());
    let expires = question.get("expiresAtMs").and_then(Value::as_i64).unwrap_or_default();
    Some(ApprovalNeeded {
        question: text(question, "/id").to_owned(),
        call: run.name_of(asks, text(&parsed, "/call")),
        kind: kind_of(tool),
        media: "application/json".to_owned(),
        subject,
        binding,
        expires: Timestamp(expires),
    })
}

/// The call that a question is about, and whether it is known to be all of it.
fn found<'a>(shown: &Value, calls: &'a [String]) -> (Option<&'a String>, Binding) {
    let fits = |call: &&String| call.len() <= SUBJECT_BYTES_MAX;
    if text(shown, "/pluginId") == PLUGIN {
        let told = text(shown, "/description").strip_prefix("sha256:").unwrap_or_default();
        let told = told.split(' ').next().unwrap_or_default();
        let is_told = |call: &&String| {
            HEXLOWER.encode(&Sha256::digest(call.as_bytes())) == told
                || planted!("subject_digest_unchecked")
        };
        if let Some(call) = calls.iter().filter(fits).find(is_told) {
            return (Some(call), Binding::Exact);
        }
    }
    if text(shown, "/kind") == EXEC {
        // The gateway's own question names the command and not its folder.
        let command = text(shown, "/commandText");
        let runs_it = |call: &&String| {
            let call: Value = serde_json::from_str(call).unwrap_or_default();
            text(&call, "/tool") == EXEC && text(&call, "/args/command") == command
        };
        return (calls.iter().filter(fits).find(runs_it), Binding::Observed);
    }
    (None, Binding::Observed)
}

#[expect(clippy::expect_used, reason = "both words are of the form")]
fn kind_of(tool: &str) -> SubjectKind {
    let kind = if tool == EXEC { EXEC } else { "tool" };
    SubjectKind::new(kind).expect("a word of ours")
}

/// What the gateway recorded, whoever decided; `None` while the question is open.
//= APR-27
fn decided(question: &str, recorded: &Value, device: &str) -> Option<ApprovalDecided> {
    let resolver = (text(recorded, "/resolver/kind"), text(recorded, "/resolver/id"));
    let by = match text(recorded, "/status") {
        "allowed" | "denied" if resolver == ("device", device) => ResolvedBy::Peer,
        "allowed" | "denied" if text(recorded, "/reason") != "no-route" => ResolvedBy::Gateway,
        "expired" => ResolvedBy::Expiry,
        "denied" | "cancelled" => ResolvedBy::Closed,
        _ => return None,
    };
    let allowed = text(recorded, "/status") == "allowed";
    let resolver = match by {
        ResolvedBy::Peer => "the bridge",
        ResolvedBy::Gateway => "somebody at the gateway",
        _ => "the gateway",
    };
    let evidence = json!({
        "status": recorded["status"], "reason": recorded["reason"], "decision": recorded["decision"],
        "resolvedAtMs": recorded["resolvedAtMs"], "resolver": resolver,
    });
    Some(ApprovalDecided {
        question: question.to_owned(),
        vote: if allowed { Vote::Approve } else { Vote::Deny },
        by,
        evidence: evidence.to_string(),
    })
}

/// The gateway keeps its record of a question for thirty days.
fn forgotten(question: &str) -> ApprovalDecided {
    ApprovalDecided {
        question: question.to_owned(),
        vote: Vote::Deny,
        by: ResolvedBy::Closed,
        evidence: json!({"status": "unknown", "resolver": "the gateway"}).to_string(),
    }
}

fn is_unknown(error: &crate::wire::GatewayError) -> bool {
    text(&error.details, "/reason") == "APPROVAL_NOT_FOUND" || error.code == "APPROVAL_NOT_FOUND"
}

/// The channel that our plugin registers, for approvals and for nothing else.
const CHANNEL: &str = "landbridge";
const PLUGIN: &str = "landbridge-approvals";
const CALLS: &str = "landbridge.approvals.calls";
const PLUGIN_QUESTION: &str = "plugin:";
const EXEC: &str = "exec";
const HISTORY_PAGE: usize = 100;
const HISTORY_PAGES: usize = 20;
const NOT_PAIRED_FOR_IT: &str =
    "the bridge's device may not answer approvals; run `landbridge gateway connect --approvals`";
const NO_PLUGIN: &str = "the gateway does not have the plugin landbridge-approvals, and refuses all runs until it has it";
/// How the gateway says it, by its own question and by one of a plugin.
const NO_ROUTE: [&str; 5] = [
    "exec denied: Headless runs cannot wait",
    "Exec approval registration failed",
    "Plugin approval unavailable",
    "Plugin approval required (gateway unavailable)",
    "Plugin approval request rejected",
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use landbridge_node::adapter::Progress;

    const DEVICE: &str = "our-device";

    fn call(tool: &str, command: &str) -> String {
        json!({"v": 1, "tool": tool, "args": {"command": command, "workdir": "/w"}, "run": "fed-1", "call": "call_1"})
            .to_string()
    }

    fn shown(call: &str) -> Value {
        let digest = HEXLOWER.encode(&Sha256::digest(call.as_bytes()));
        json!({"kind": "plugin", "pluginId": PLUGIN, "toolName": "exec", "description": format!("sha256:{digest} {{}}")})
    }

    #[test]
    fn only_what_has_the_digest_is_said_to_be_everything() {
        let calls = [call("exec", "ls"), call("exec", "rm -r /")];
        let shown = shown(&calls[0]);
        assert_eq!(found(&shown, &calls), (Some(&calls[0]), Binding::Exact));
        assert_eq!(found(&shown, &calls[1..]), (None, Binding::Observed));
        let mut foreign = shown;
        foreign["pluginId"] = json!("other");
        assert_eq!(found(&foreign, &calls), (None, Binding::Observed));
    }

    #[test]
    fn the_gateways_own_question_is_observed() {
        let calls = [call("write", "ls"), call("exec", "ls")];
        let own =
            |command: &str| json!({"kind": "exec", "commandText": command, "host": "gateway"});
        assert_eq!(found(&own("ls"), &calls), (Some(&calls[1]), Binding::Observed));
        assert_eq!(found(&own("pwd"), &calls), (None, Binding::Observed));
        let run = Run::new("fed-1".to_owned(), Progress::default());
        let question = json!({"id": "q", "expiresAtMs": 7, "presentation": own("pwd")});
        let needed = needed(&question, &calls, "s", &run).unwrap();
        assert!(needed.subject.contains("\"commandText\":\"pwd\""), "{}", needed.subject);
        assert_eq!((needed.expires, needed.kind.as_str(), needed.call), (Timestamp(7), EXEC, None));
    }

    #[test]
    fn who_decided_is_what_the_gateway_recorded() {
        let record = |status: &str, reason: &str, kind: &str, id: &str| json!({"status": status, "reason": reason, "resolver": {"kind": kind, "id": id}});
        let told = |record: &Value| decided("q", record, DEVICE).map(|told| (told.vote, told.by));
        for (record, expected) in [
            (record("allowed", "user", "device", DEVICE), (Vote::Approve, ResolvedBy::Peer)),
            (record("denied", "user", "device", DEVICE), (Vote::Deny, ResolvedBy::Peer)),
            (record("allowed", "user", "device", "theirs"), (Vote::Approve, ResolvedBy::Gateway)),
            (record("denied", "user", "runtime", DEVICE), (Vote::Deny, ResolvedBy::Gateway)),
            (record("denied", "no-route", "system", ""), (Vote::Deny, ResolvedBy::Closed)),
            (record("expired", "timeout", "system", ""), (Vote::Deny, ResolvedBy::Expiry)),
            (
                record("cancelled", "gateway-restart", "system", ""),
                (Vote::Deny, ResolvedBy::Closed),
            ),
        ] {
            assert_eq!(told(&record), Some(expected), "{record}");
        }
        assert_eq!(told(&record("pending", "", "", "")), None);
        let theirs = decided("q", &record("allowed", "user", "device", "theirs"), DEVICE).unwrap();
        assert!(!theirs.evidence.contains("theirs"), "whose device it was is the gateway's affair");
    }

    #[test]
    fn a_vote_reaches_the_questions_of_its_run_alone() {
        let run = |letter: &str| RunId::new(format!("run-{}", letter.repeat(26))).unwrap();
        let (ours, theirs, open) = (run("a"), run("b"), Open::default());
        open.held().insert("q".to_owned(), ours.clone());
        let code = |question, run| open.admits(question, run).map_err(|fault| fault.0.code);
        assert_eq!(code("q", &ours), Ok(()));
        assert_eq!(code("q", &theirs), Err(TroubleCode::ApprovalUnknown));
        assert_eq!(code("r", &ours), Err(TroubleCode::GatewayUnavailable));
        open.forget(&ours);
        assert_eq!(code("q", &ours), Err(TroubleCode::GatewayUnavailable));
    }

    #[test]
    fn a_run_that_may_be_asked_for_begins_where_the_gateway_can_ask() {
        assert_eq!(channel(Authority::RunsAndApprovals), Some("landbridge"));
        assert_eq!(channel(Authority::Runs), None);
    }

    #[test]
    fn a_question_is_taken_once() {
        let run = RunId::new(format!("run-{}", "a".repeat(26))).unwrap();
        let mut questions = Questions::new(Open::default(), &run);
        questions.needed.insert("q".to_owned());
        assert!(questions.are_open());
        let replay =
            |id: &str| json!({"approvalReplay": {"approvals": [{"id": id, "status": "pending"}]}});
        questions.on_subscribed(&replay("q"));
        questions.on_subscribed(&replay(""));
        assert!(questions.new.is_empty());
        questions.on_event(
            &json!({"approval": {"id": "s", "status": "pending"}, "sourceSessionKey": "child"}),
        );
        questions.on_subscribed(&replay("s"));
        assert_eq!(questions.new.len(), 1);
        assert_eq!(text(&questions.new[0], "/sourceSessionKey"), "child");
    }

    #[test]
    fn another_turn_of_the_session_asks_for_itself() {
        let ours = call("exec", "ls");
        let mut theirs: Value = serde_json::from_str(&ours).unwrap();
        (theirs["run"], theirs["session"]) = (json!("fed-2"), json!("s"));
        let theirs = theirs.to_string();
        let run = Run::new("fed-1".to_owned(), Progress::default());
        let question = |call: &str| json!({"id": "q", "presentation": shown(call)});
        assert!(needed(&question(&ours), std::slice::from_ref(&ours), "s", &run).is_some());
        assert_eq!(needed(&question(&theirs), std::slice::from_ref(&theirs), "s", &run), None);
        // In a session below it is the run's own child.
        assert!(
            needed(&question(&theirs), std::slice::from_ref(&theirs), "parent", &run).is_some()
        );
    }
}
