//! A question as it was asked, and as an operator is shown it.
//!
//! What is shown comes from the approval request's own bytes and from the subject, never from what the bridge says
//! beside them: an operator signs the digests of both, so what was shown is what was signed, whoever handed it over.

use landbridge_node::local::api::ApprovalView;
use landbridge_proto::trust::claimed::claimed;
use landbridge_proto::wire::approval::{ApprovalRequest, Binding};
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::name::{GatewayId, ScopeName, Timestamp};

use super::visible;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::out::instant;

/// A question and the bytes that it is about.
#[derive(Debug)]
pub(crate) struct Question {
    view: ApprovalView,
    request: ApprovalRequest,
    digest: Digest,
}

impl Question {
    /// Reads a question, and makes sure that the bytes are those that it asks about.
    pub(crate) fn read(view: ApprovalView) -> Result<Self, Failure> {
        let id = view.brief.id.clone();
        let broken = || format!("what the bridge keeps as {id} does not fit together");
        let envelope = Envelope::parse(view.request.as_bytes()).or_fail(Exit::Failed, broken)?;
        let request: ApprovalRequest = claimed(&envelope).or_fail(Exit::Failed, broken)?;
        let why = if request.id != id {
            Some("the approval request is another one's".to_owned())
        } else if !request.subject.is_of(view.subject.as_bytes()) {
            let found =
                landbridge_proto::wire::approval::Subject::digest_of(view.subject.as_bytes());
            let (asked, shown) = (request.subject.digest, found);
            Some(format!("it asks about the subject {asked}, and the one that is here is {shown}"))
        } else {
            None
        };
        if let Some(why) = why {
            return Err(Failure::new(Exit::Failed, broken())
                .why(why)
                .why("nothing was decided")
                .next("landbridge doctor; do not approve it in any other way"));
        }
        Ok(Self { view, request, digest: envelope.digest() })
    }

    /// What was asked.
    pub(crate) const fn request(&self) -> &ApprovalRequest {
        &self.request
    }

    /// `D(approval-request)`.
    pub(crate) const fn digest(&self) -> Digest {
        self.digest
    }

    /// What the bridge says beside it: how it stands.
    pub(crate) const fn view(&self) -> &ApprovalView {
        &self.view
    }

    /// Everything about the question but its subject: a name and a value each.
    pub(crate) fn facts(&self, now: Timestamp) -> Vec<(&'static str, String)> {
        let request = &self.request;
        let tenants = &request.tenant;
        let requester = &request.requester;
        let scopes: Vec<&str> = request.scopes.iter().map(ScopeName::as_str).collect();
        let subject = &request.subject;
        vec![
            ("approval", request.id.to_string()),
            ("needed by", format!("{}, tenant {}", self.gateway(&request.iss), tenants.relying)),
            ("decided by", format!("{}, tenant {}", self.gateway(&request.aud), tenants.deciding)),
            (
                "requester",
                format!(
                    "{} of {}",
                    visible::one_line(&requester.principal),
                    self.gateway(&requester.gateway)
                ),
            ),
            ("scope", format!("{} there; here one of: {}", request.scope, scopes.join(", "))),
            ("people", people(request.quorum)),
            ("run", request.run.as_ref().map(ToString::to_string).unwrap_or_default()),
            ("asked", instant(request.issued)),
            ("expires", format!("{}, {}", instant(request.expires), left(now, request.expires))),
            ("kind", subject.kind.to_string()),
            ("binding", binding(subject.binding).to_owned()),
            ("digest", subject.digest.to_string()),
            ("subject", format!("{} bytes of {}", subject.size, visible::one_line(&subject.media))),
        ]
    }

    /// The whole subject, a margin before each line, so that none of it can be taken for something else.
    pub(crate) fn subject(&self) -> Vec<String> {
        visible::lines(&self.view.subject).into_iter().map(|line| format!("│ {line}")).collect()
    }

    /// A gateway by the name that it has here, and by its id.
    fn gateway(&self, id: &GatewayId) -> String {
        let peers = self.view.brief.peers.iter().filter(|peer| peer.gateway == *id);
        match peers.filter_map(|peer| peer.alias.as_ref()).next() {
            Some(alias) => format!("{alias} ({id})"),
            None if self.is_own(id) => format!("this gateway ({id})"),
            None => id.to_string(),
        }
    }

    /// Of the two gateways of a request the one that is no peer of the question.
    fn is_own(&self, id: &GatewayId) -> bool {
        let between = [&self.request.iss, &self.request.aud];
        between.contains(&id) && !self.view.brief.peers.iter().any(|peer| peer.gateway == *id)
    }
}

fn people(quorum: u32) -> String {
    match quorum {
        1 => "one must approve".to_owned(),
        more => format!("{more} must approve"),
    }
}

/// What approving these bytes means.
pub(crate) const fn binding(binding: Binding) -> &'static str {
    match binding {
        Binding::Exact => "exact: the subject is all that will be acted on",
        Binding::Observed => {
            "observed: the subject is what the other gateway sees of it; what is acted on may be more"
        }
    }
}

/// How long there is until then, in words.
pub(crate) fn left(now: Timestamp, until: Timestamp) -> String {
    let seconds = until.since_ms(now) / 1000;
    match seconds {
        ..=0 => "over".to_owned(),
        1..120 => format!("in {seconds} s"),
        120..7200 => format!("in {} min", seconds / 60),
        _ => format!("in {} h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use landbridge_proto::trust::key::SecretKey;
    use landbridge_proto::trust::signer::{KeySigner, sign_typed};
    use landbridge_proto::wire::approval::{ApprovalTenants, Requester, Subject, raw};
    use landbridge_proto::wire::document::FormVersion;
    use landbridge_proto::wire::kind::{Role, SignedBy};
    use landbridge_proto::wire::name::{ApprovalId, SubjectKind, TenantId};
    use zeroize::Zeroizing;

    use super::*;

    fn gateway(letter: &str) -> GatewayId {
        GatewayId::new(format!("gw1-{}", letter.repeat(52))).unwrap()
    }

    /// A question about `asked`, kept with the bytes `kept`.
    fn view(asked: &str, kept: &str) -> ApprovalView {
        let id = ApprovalId::new(format!("apr-{}", "a".repeat(26))).unwrap();
        let tenant = |text: &str| TenantId::new(text).unwrap();
        let scope = |text: &str| ScopeName::new(text).unwrap();
        let kind = SubjectKind::new("exec").unwrap();
        let subject = Subject::of(kind, "text/plain", Binding::Exact, asked.as_bytes());
        let request = ApprovalRequest::try_from(raw::ApprovalRequest {
            aud: gateway("b"),
            expires: Timestamp(2_000_000),
            id: id.clone(),
            iss: gateway("a"),
            issued: Timestamp(1_000_000),
            quorum: 2,
            requester: Requester { gateway: gateway("a"), principal: "ci\u{1b}[2K".into() },
            run: None,
            scope: scope("lead"),
            scopes: [scope("sre-lead"), scope("duty")].into(),
            subject,
            tenant: ApprovalTenants { deciding: tenant("acme-eu"), relying: tenant("acme") },
            v: FormVersion,
        })
        .unwrap();
        let seed = Zeroizing::new([7; 32]);
        let signer = KeySigner::new(SecretKey::from_seed(&seed), SignedBy::Role(Role::Request));
        let envelope = sign_typed(&signer, &request).unwrap();
        serde_json::from_value(serde_json::json!({
            "id": id, "side": "deciding", "state": "open", "tenant": "acme-eu",
            "peers": [{"gateway": gateway("a"), "alias": "us"}], "scope": "another",
            "scopes": ["another"], "quorum": 1,
            "requester": {"gateway": gateway("b"), "principal": "somebody else"},
            "kind": "other", "binding": "observed", "created": "", "expires": "", "media": "x/y",
            "subject": kept, "digest": Digest::from_bytes([0; 32]), "size": 0, "decisions": [],
            "request": String::from_utf8(envelope.to_bytes()).unwrap(),
        }))
        .unwrap()
    }

    #[test]
    fn what_is_shown_is_what_will_be_signed_and_not_what_the_bridge_says_beside_it() {
        let question = Question::read(view("rm -rf /\rls", "rm -rf /\rls")).unwrap();
        let facts = question.facts(Timestamp(1_400_000));
        let fact = |name| facts.iter().find(|(n, _)| *n == name).map(|(_, value)| value.clone());
        let (a, b) = (gateway("a"), gateway("b"));
        assert_eq!(fact("needed by"), Some(format!("us ({a}), tenant acme")));
        assert_eq!(fact("decided by"), Some(format!("this gateway ({b}), tenant acme-eu")));
        assert_eq!(fact("requester"), Some(format!("ci⟨U+001B⟩[2K of us ({a})")));
        assert_eq!(fact("scope").as_deref(), Some("lead there; here one of: duty, sre-lead"));
        assert_eq!(fact("people").as_deref(), Some("2 must approve"));
        assert_eq!(fact("kind").as_deref(), Some("exec"));
        assert!(fact("binding").unwrap().starts_with("exact: "));
        assert!(fact("expires").unwrap().ends_with("in 10 min"));
        assert_eq!(question.subject(), ["│ rm -rf /⟨U+000D⟩ls"]);
    }

    //= APR-15
    #[test]
    fn other_bytes_than_were_asked_about_are_never_shown_for_a_decision() {
        for kept in ["rm -rf /tmp", "rm -rf / ", ""] {
            let refused = Question::read(view("rm -rf /", kept)).unwrap_err();
            assert!(refused.to_string().contains("asks about the subject"), "{refused}");
        }
        let mut other = view("ls", "ls");
        other.brief.id = ApprovalId::new(format!("apr-{}", "b".repeat(26))).unwrap();
        assert!(Question::read(other).is_err());
        let mut other = view("ls", "ls");
        other.request.truncate(100);
        assert!(Question::read(other).is_err());
    }

    #[test]
    fn time_is_told_in_a_few_words() {
        let left = |ms: i64| left(Timestamp(1000), Timestamp(1000 + ms));
        let told = [left(-5), left(90_000), left(600_000), left(8 * 3_600_000)];
        assert_eq!(told, ["over", "in 90 s", "in 10 min", "in 8 h"]);
    }
}
