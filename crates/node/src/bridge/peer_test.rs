//! Whether a peer answers: from its address to its signature, each step with what helps where it fails.
//!
//! It ends with a signed round trip that starts nothing, so what it finds is what a run would find.

use landbridge_proto::trust::verified::VerifyError;
use landbridge_proto::wire::limit;
use landbridge_proto::wire::name::{GatewayId, IdempotencyKey, TenantId, TenantPair, Timestamp};
use landbridge_proto::wire::problem::{Code, Problem};
use landbridge_proto::wire::request::{Body, Op, Target};

use super::Bridge;
use super::views::instant;
use crate::local::standing::{PeerTest, StepState, TestStep};
use crate::net::client::ClientError;
use crate::peers::{PeerError, Reply};
use crate::standing::Barred;
use crate::trust::TrustError;

/// Clocks that differ by more are worth a look, in milliseconds.
const SKEW_WARN_MS: i64 = 5_000;

/// The steps, in order.
const STEPS: [&str; 7] = ["standing", "address", "reach", "tls", "chain", "status", "answer"];

struct Steps(Vec<TestStep>);

impl Steps {
    fn ok(&mut self, step: &str, detail: impl Into<String>) {
        self.add(step, StepState::Ok, detail.into(), None);
    }

    fn fail(&mut self, step: &str, detail: impl Into<String>, remedy: impl Into<String>) {
        self.add(step, StepState::Fail, detail.into(), Some(remedy.into()));
    }

    fn warn(&mut self, step: &str, detail: impl Into<String>, remedy: impl Into<String>) {
        self.add(step, StepState::Warn, detail.into(), Some(remedy.into()));
    }

    fn add(&mut self, step: &str, state: StepState, detail: String, remedy: Option<String>) {
        self.0.push(TestStep { step: step.to_owned(), state, detail, remedy });
    }

    fn failed(&self) -> bool {
        self.0.iter().any(|step| step.state == StepState::Fail)
    }
}

impl Bridge {
    /// Tests a peer, step by step; what comes after a step that failed is not tried.
    ///
    /// # Errors
    ///
    /// `not_found` for a gateway that is no peer; what the test itself finds is in its answer.
    pub async fn test_peer(&self, peer: &GatewayId) -> Result<PeerTest, Problem> {
        {
            let state = self.core.trust.state();
            let known = state.federation.as_ref().and_then(|document| document.peer(peer));
            known.ok_or_else(|| Problem::new(Code::NotFound).with_detail("no such peer"))?;
        }
        let (bridge, peer) = (self.clone(), peer.clone());
        self.finish(async move {
            let mut steps = Steps(Vec::new());
            let mut found = (None, None);
            bridge.walk(&peer, &mut steps, &mut found).await;
            let ok = !steps.failed();
            for (at, step) in STEPS.into_iter().enumerate() {
                if steps.0.iter().all(|one| one.step != step) {
                    let skipped = TestStep {
                        step: step.to_owned(),
                        state: StepState::Skipped,
                        detail: "not tried".to_owned(),
                        remedy: None,
                    };
                    steps.0.insert(at.min(steps.0.len()), skipped);
                }
            }
            let (round_trip_ms, skew_ms) = found;
            Ok(PeerTest { gateway: peer, ok, steps: steps.0, round_trip_ms, skew_ms })
        })
        .await
    }

    async fn walk(
        &self,
        peer: &GatewayId,
        steps: &mut Steps,
        found: &mut (Option<u64>, Option<i64>),
    ) {
        let core = &self.core;
        match core.barred(peer) {
            None => steps.ok("standing", "pinned here, and active"),
            Some(Barred::Halted) => {
                return steps.fail("standing", "this bridge is halted", "landbridge resume");
            }
            Some(Barred::Revoked) => {
                let remedy = "a new pairing: landbridge peer invite ALIAS, or peer join";
                return steps.fail("standing", "revoked here, for good", remedy);
            }
            Some(Barred::Suspended) => {
                let remedy = "landbridge peer resume ALIAS --because TEXT";
                return steps.fail("standing", "suspended or quarantined here", remedy);
            }
        }
        let targets = match core.targets(peer) {
            Ok(targets) => targets,
            Err(error) => {
                let remedy = "ask its operator for an endpoint in its root";
                return steps.fail("address", error.to_string(), remedy);
            }
        };
        let names: Vec<_> = targets.iter().map(|target| target.endpoint.to_string()).collect();
        steps.ok("address", names.join(" "));
        let mut last = None;
        for target in &targets {
            match core.fetch(target, "/federation/v1/status").await {
                Ok(_) => {
                    last = None;
                    break;
                }
                Err(error) => last = Some(error),
            }
        }
        if !reached(steps, last.as_ref()) {
            return;
        }
        match core.refresh_peer(peer).await {
            Ok(()) => {}
            Err(PeerError::Trust(TrustError::Status { fault, .. })) => {
                steps.ok("chain", "its roots hold");
                let remedy = "its operator looks there: landbridge doctor; both set their clocks";
                return steps.fail("status", fault.to_string(), remedy);
            }
            Err(error) => {
                let remedy = "compare its roots with its operator: landbridge peer show ALIAS";
                return steps.fail("chain", chain_of(&error), remedy);
            }
        }
        self.documents(peer, steps);
        if !steps.failed() {
            self.ask(peer, steps, found).await;
        }
    }

    fn documents(&self, peer: &GatewayId, steps: &mut Steps) {
        let state = self.core.trust.state();
        let Some(view) = state.peers.get(peer) else { return };
        let root = view.chain().root();
        let detail = format!("root version {}, good until {}", root.version, instant(root.expires));
        steps.ok("chain", detail);
        match (view.check_fresh(self.core.now()), view.status()) {
            (Ok(()), Some(status)) => {
                let status = status.newest().value();
                let revoked = match status.revoked.len() {
                    0 => String::new(),
                    count => format!(", {count} keys revoked"),
                };
                let issued = instant(status.issued);
                let expires = instant(status.expires);
                steps.ok("status", format!("from {issued}, good until {expires}{revoked}"));
            }
            (Err(VerifyError::StatusMissing), _) | (Ok(()), None) => {
                let remedy = "its operator makes a new key: landbridge key rotate ROLE --now";
                steps.fail("status", "its status is signed by a key that it revoked", remedy);
            }
            (Err(fault), _) => {
                let remedy = "its operator looks there: landbridge doctor";
                steps.fail("status", fault.to_string(), remedy);
            }
        }
    }

    /// A signed round trip, which also shows the peer's clock.
    async fn ask(
        &self,
        peer: &GatewayId,
        steps: &mut Steps,
        found: &mut (Option<u64>, Option<i64>),
    ) {
        let core = &self.core;
        let mut have = None;
        for _ in 0..2 {
            let began = core.now();
            let asked = self
                .question(peer)
                .and_then(|(pair, body)| core.sign_request(peer, &pair, body, None));
            let signed = match asked {
                Ok(signed) => signed,
                Err(error) => {
                    return steps.fail(
                        "answer",
                        chain_of(&error),
                        "landbridge key rotate request --now",
                    );
                }
            };
            match core.send(peer, Op::Inspect.path(), &signed, have, Vec::new()).await {
                Ok(Reply::Refused(refusal)) => {
                    let ended = core.now();
                    found.0 = u64::try_from(ended.since_ms(began)).ok();
                    let said = refusal.into_value();
                    let skew = skew(began, ended, said.t);
                    found.1 = Some(skew);
                    answered(steps, &said.problem);
                    return clock(steps, skew);
                }
                Ok(Reply::Open(_)) => {
                    return steps.fail("answer", "it found what was never there", REPORT);
                }
                Err(PeerError::Unsigned { have: Some(known), .. }) => have = Some(known),
                Err(error) => return unsigned(steps, &error),
            }
        }
        steps.fail(
            "answer",
            "it does not take our newest root",
            "landbridge doctor, at both sides",
        );
    }

    /// After a key that was never used, for a tenant pair that is likely to be granted.
    fn question(&self, peer: &GatewayId) -> Result<(TenantPair, Body), PeerError> {
        let jti = self.core.new_jti()?;
        let key = IdempotencyKey::new(format!("peer-test-{jti}"))?;
        let state = self.core.trust.state();
        let known = state.federation.as_ref().and_then(|document| document.peer(peer));
        let mut routes = self.core.settings.routes.values();
        let routed = routes.find(|route| known.is_some_and(|known| known.alias == route.peer));
        let pair = match routed {
            Some(route) => route.tenant.clone(),
            None => {
                let tenant = TenantId::new("default")?;
                TenantPair { dst: tenant.clone(), src: tenant }
            }
        };
        Ok((pair, Body::Inspect(Target::Key(key))))
    }
}

/// Says how far the way to the peer goes; whether there was an answer.
fn reached(steps: &mut Steps, error: Option<&PeerError>) -> bool {
    let Some(error) = error else {
        steps.ok("reach", "it answers");
        steps.ok("tls", "TLS 1.3, under the pinned key");
        return true;
    };
    match error {
        PeerError::Client(ClientError::WrongKey) => {
            steps.ok("reach", "something answers");
            let remedy = "somebody stands between, or its TLS key changed: ask its operator, then its \
                 new root tells the new key";
            steps.fail("tls", chain_of(error), remedy);
        }
        PeerError::Client(ClientError::Handshake(_)) => {
            steps.ok("reach", "something answers");
            steps.fail("tls", chain_of(error), "is a Landbridge at that address? ask its operator");
        }
        PeerError::Client(ClientError::Forbidden(_)) => {
            let remedy = "federation.danger_allow_addresses, if that network is meant";
            steps.fail("reach", chain_of(error), remedy);
        }
        PeerError::Client(_) => {
            let remedy = "is it running, and its port open? its operator: landbridge doctor";
            steps.fail("reach", chain_of(error), remedy);
        }
        other => {
            steps.ok("reach", "something answers");
            steps.ok("tls", "TLS 1.3, under the pinned key");
            let remedy = "its operator looks there: landbridge doctor";
            steps.fail("chain", chain_of(other), remedy);
        }
    }
    false
}

/// What the peer's signed answer means.
fn answered(steps: &mut Steps, problem: &Problem) {
    let refused = format!("it refused, signed: {problem}");
    match problem.code() {
        Some(Code::NotFound) => steps.ok("answer", "it answered under its own signature"),
        Some(Code::NotGranted) => {
            let remedy = "ask its operator for: landbridge grant add PEER --agent AGENT";
            steps.warn(
                "answer",
                "it answered under its own signature, and grants us nothing",
                remedy,
            );
        }
        Some(Code::PeerRevoked) => {
            steps.fail(
                "answer",
                refused,
                "pair anew, once both operators agree: peer invite, peer join",
            );
        }
        Some(Code::PeerSuspended) => {
            steps.fail("answer", refused, "ask its operator; landbridge peer resume, there");
        }
        Some(Code::Halted | Code::RolledBack | Code::Draining) => {
            steps.fail("answer", refused, "its operator decides; come again later");
        }
        Some(Code::ClockSkew) => steps.fail("answer", refused, "set the clocks at both sides"),
        _ => steps.fail("answer", refused, "landbridge doctor, at both sides"),
    }
}

fn unsigned(steps: &mut Steps, error: &PeerError) {
    let remedy = match error {
        PeerError::Unsigned { status: 401, .. } => {
            "it does not take our signature: landbridge peer list and audit show, there"
        }
        PeerError::Unsigned { .. } => "its operator looks there: landbridge doctor",
        PeerError::Unverified(_) => {
            "its key is revoked or not in its root: landbridge peer show ALIAS"
        }
        _ => "landbridge doctor, at both sides",
    };
    steps.fail("answer", chain_of(error), remedy);
}

/// How far the peer's clock is ahead of ours, taking its answer for made in the middle.
fn skew(began: Timestamp, ended: Timestamp, said: Timestamp) -> i64 {
    said.since_ms(began.plus_ms(ended.since_ms(began) / 2))
}

fn clock(steps: &mut Steps, skew: i64) {
    let detail = format!("its clock is {skew} ms ahead of ours");
    let remedy = "set the clocks at both sides";
    match skew.abs() {
        ..=SKEW_WARN_MS => steps.ok("clock", detail),
        ms if ms <= limit::CLOCK_SKEW_MS_MAX => steps.warn("clock", detail, remedy),
        _ => steps.fail("clock", detail, remedy),
    }
}

fn chain_of(error: &PeerError) -> String {
    error.problem().detail.unwrap_or_default()
}

const REPORT: &str = "this is a fault of one of the programs; please report it";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_compared_with_the_middle_of_the_question() {
        let at = Timestamp;
        assert_eq!(skew(at(1_000), at(1_200), at(1_100)), 0);
        assert_eq!(skew(at(1_000), at(1_200), at(400)), -700);
        for (ms, state) in [(5_000, StepState::Ok), (5_001, StepState::Warn)] {
            let mut steps = Steps(Vec::new());
            clock(&mut steps, -ms);
            assert_eq!(steps.0[0].state, state);
        }
        let mut steps = Steps(Vec::new());
        clock(&mut steps, limit::CLOCK_SKEW_MS_MAX + 1);
        assert!(steps.failed());
    }
}
