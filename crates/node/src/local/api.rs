//! Local API v1: what workflow engines, the command line and the console say and hear.
//!
//! Members are camelCase, times are RFC 3339 in UTC, durations are texts such as `"10m"`. Errors are
//! `application/problem+json` with the codes of `spec/problems.md` and of this API.

mod admin;
mod approvals;
mod gateways;
mod runs;
mod scopes;
mod trust;

pub use self::admin::*;
pub use self::approvals::{
    ApprovalBrief, ApprovalList, ApprovalPeer, ApprovalView, AskApproval, DecideApproval,
    DecisionView,
};
pub use self::gateways::{ContactError, GatewayLimits, HealthView, RouteTest, RouteView};
pub use self::runs::{CallTool, CancelView, RunList, RunView, StartRun};
pub use self::scopes::{
    CatalogView, CredentialView, LearnCatalog, OperatorList, OperatorView, ProjectionState,
    ProjectionView, Publish, PublishTenant,
};
pub use self::trust::{FederationVersionView, MembershipShown, MembershipView, ShowMembership};

/// How a run may have ended; null while it goes on.
#[cfg(test)]
fn outcomes_or_null() -> Vec<Option<&'static str>> {
    use landbridge_proto::wire::stream::Outcome;
    Outcome::ALL.into_iter().map(Outcome::as_str).map(Some).chain([None]).collect()
}

/// How a duration is written, such as `10m`.
#[cfg(test)]
const DURATION: &str = "^[1-9][0-9]*(ms|s|m|h|d)$";

/// How a trace context is written (W3C).
#[cfg(test)]
const TRACEPARENT: &str = "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::fmt;

    use serde_json::json;

    use super::*;

    fn debug<T: serde::de::DeserializeOwned + fmt::Debug>(value: serde_json::Value) -> String {
        format!("{:?}", serde_json::from_value::<T>(value).unwrap())
    }

    #[test]
    fn prompts_and_secrets_are_not_in_the_debug_text() {
        let key = "0123456789abcdef";
        let start = json!({"gateway": "eu", "prompt": "hush", "idempotencyKey": key});
        let call = json!({"gateway": "eu", "toolCall": {"tool": "t", "args": {"a": "hush"}},
            "idempotencyKey": key});
        let token = json!({"id": "t1", "name": "ci", "routes": [], "verbs": [], "created": "",
            "tenants": [], "sees": "own", "runsOpen": 0, "runsOpenMax": 1, "startsPerMinuteMax": 1,
            "secret": "hush"});
        let texts = [
            debug::<StartRun>(start),
            debug::<StartRun>(call),
            debug::<Join>(json!({"invite": "hush", "alias": "eu"})),
            debug::<InviteView>(json!({"id": "", "invite": "hush", "expires": ""})),
            debug::<TokenView>(token),
        ];
        for text in texts {
            assert!(!text.contains("hush"), "{text}");
        }
    }
}
