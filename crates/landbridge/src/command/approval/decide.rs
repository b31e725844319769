//! `approval approve` and `approval deny`: an operator looks at a question and signs an answer.
//!
//! The order is what counts here: everything is shown, then asked, then signed. What is signed are the digests of
//! what was shown, so a bridge that was taken over can withhold a decision and cannot turn it into another one.

use std::path::Path;

use landbridge_node::clock::{Clock as _, SystemClock};
use landbridge_node::local::api::{ApprovalView, DecideApproval};
use landbridge_proto::machine::contract::{ApprovalSide, ApprovalState};
use landbridge_proto::trust::claimed::claimed;
use landbridge_proto::wire::approval::{
    Approval, KeyMethod, OperatorCredential, SignedApproval, Vote, raw,
};
use landbridge_proto::wire::base64;
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::FormVersion;
use landbridge_proto::wire::envelope::Envelope;
use landbridge_proto::wire::json::canonical;
use landbridge_proto::wire::name::{Jti, KeyId, OperatorName, ScopeName, TenantId};

use super::{get, stands};
use crate::approval::operator_key::OperatorKeyFile;
use crate::approval::question::{Question, left};
use crate::cli::ApprovalDecideArgs;
use crate::client::{Client, escaped};
use crate::command::change::confirm;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::out::{Look, Out, fields, instant};

/// Shows a question, asks, signs, and hands the decision in.
pub(super) async fn decide(
    client: &Client,
    vote: Vote,
    args: &ApprovalDecideArgs,
    out: &Out,
) -> Result<Exit, Failure> {
    let question = Question::read(get(client, &args.id).await?)?;
    check_ours(&question)?;
    let signed = match (&args.key, &args.assertion) {
        (Some(key), _) => with_key(client, vote, &question, key, args, out).await?,
        (None, Some(file)) => with_assertion(vote, &question, file, args, out)?,
        (None, None) => return Err(Failure::new(Exit::Usage, "nobody decides: name a key")),
    };
    let path = format!("/v1/approvals/{}/decisions", args.id);
    let view: ApprovalView = client.post(&path, &DecideApproval { approval: signed }).await?;
    told(vote, &view, out)?;
    Ok(Exit::Success)
}

/// Whether there is anything for operators of this gateway to decide.
fn check_ours(question: &Question) -> Result<(), Failure> {
    let (brief, request) = (&question.view().brief, question.request());
    let id = &brief.id;
    if brief.side == ApprovalSide::Relying {
        return Err(Failure::new(Exit::Failed, format!("{id} is not decided here"))
            .why("this gateway needs the answer, and the operators of the other one give it")
            .next(format!("there: landbridge approval approve {id} --key FILE")));
    }
    if brief.state != ApprovalState::Open {
        let (_, state) = stands(brief.state);
        return Err(Failure::new(
            Exit::Failed,
            format!("{id} cannot be decided any more: {state}"),
        )
        .next(format!("landbridge approval show {id}"))
        .code("already_resolved"));
    }
    if SystemClock.now() >= request.expires {
        let expires = instant(request.expires);
        return Err(Failure::new(Exit::Failed, format!("{id} expired at {expires}"))
            .next("ask the other side to start it again")
            .code("approval_expired"));
    }
    Ok(())
}

async fn with_key(
    client: &Client,
    vote: Vote,
    question: &Question,
    path: &Path,
    args: &ApprovalDecideArgs,
    out: &Out,
) -> Result<SignedApproval, Failure> {
    let key = OperatorKeyFile::read(path)?;
    let tenant = &question.request().tenant.deciding;
    let all: EnrolledList = client.get("/v1/operators").await?;
    let operator = whose(&all.operators, tenant, &key.kid(), args.operator.as_ref())?;
    let credential = credential(client, &operator, tenant).await?;
    let scope = credential.choose(question, args.scope.as_ref())?;
    credential.check_key(&key.kid(), key.method())?;

    show(question, out);
    let now = SystemClock.now();
    let exp = now.plus_ms(args.valid_for.as_ms()).min(question.request().expires);
    let word = doing(vote);
    out.say(
        Look::Bold,
        format!("{operator} {word} this as {scope}, good for one use, {}", left(now, exp)),
    );
    confirm(&format!("Sign this with {}?", path.display()), args.yes, out)?;
    // A person takes a while to read, and an approval begins when it is signed.
    let now = SystemClock.now();
    let exp = now.plus_ms(args.valid_for.as_ms()).min(question.request().expires);
    let request = question.request();
    let approval = Approval::try_from(raw::Approval {
        aud: request.iss.clone(),
        credential: credential.digest,
        decision: vote,
        exp,
        iat: now,
        iss: request.aud.clone(),
        jti: random_jti()?,
        max_uses: FormVersion,
        request: question.digest(),
        scope,
        sub: operator,
        // Of the bytes that were shown: `Question` makes sure that they are.
        subject: request.subject.digest,
        tenant: request.tenant.clone(),
        v: FormVersion,
    })
    .or_fail(Exit::Failed, || "there is no time left to decide")?;
    key.sign(&approval, &args.passphrase, out)
}

/// What a passkey signed: it must say what this command says, of what was shown.
fn with_assertion(
    vote: Vote,
    question: &Question,
    file: &Path,
    args: &ApprovalDecideArgs,
    out: &Out,
) -> Result<SignedApproval, Failure> {
    let name = file.display();
    let cannot = || format!("{name} holds no signed approval");
    let bytes = std::fs::read(file).or_fail(Exit::Usage, || format!("cannot read {name}"))?;
    let signed: SignedApproval = serde_json::from_slice(&bytes).or_fail(Exit::Usage, cannot)?;
    let approval = payload_of(&bytes).ok_or_else(|| Failure::new(Exit::Usage, cannot()))?;
    let request = question.request();
    let other = if approval.decision != vote {
        Some("decision")
    } else if approval.request != question.digest() {
        Some("question")
    } else if approval.subject != request.subject.digest {
        Some("subject")
    } else if args.operator.as_ref().is_some_and(|operator| *operator != approval.sub) {
        Some("operator")
    } else {
        None
    };
    if let Some(what) = other {
        return Err(Failure::new(Exit::Failed, format!("what {name} signs is of another {what}"))
            .why("nothing was decided"));
    }
    show(question, out);
    let line = format!("{} {} this as {}", approval.sub, doing(vote), approval.scope);
    out.say(Look::Bold, line);
    confirm("Hand this in?", args.yes, out)?;
    Ok(signed)
}

/// What a signed approval says. Whether anybody signed it, the bridge finds out.
fn payload_of(bytes: &[u8]) -> Option<Approval> {
    let raw: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    let payload = base64::decode(raw["payload"].as_str()?).ok()?;
    canonical::from_slice(&payload).ok()
}

/// Shows all of a question on standard error. No flag leaves any of it out.
//= APR-15
fn show(question: &Question, out: &Out) {
    let facts = fields(&question.facts(SystemClock.now()));
    out.say(Look::Plain, facts.trim_end());
    for line in question.subject() {
        out.say(Look::Plain, line);
    }
}

fn told(vote: Vote, view: &ApprovalView, out: &Out) -> Result<(), Failure> {
    out.data(view, |view| format!("{}  {}", view.brief.id, view.brief.state.as_str()))?;
    let (look, state) = stands(view.brief.state);
    let taken = match vote {
        Vote::Approve => "approved",
        Vote::Deny => "denied",
    };
    out.say(look, format!("{taken}, and {state}"));
    if view.brief.state == ApprovalState::Open {
        let approved = view.decisions.iter().filter(|one| one.vote == Vote::Approve).count();
        let line = format!(
            "{approved} of at least {} people approved here; the other gateway counts for itself",
            view.brief.quorum
        );
        out.say(Look::Dim, line);
    }
    Ok(())
}

const fn doing(vote: Vote) -> &'static str {
    match vote {
        Vote::Approve => "approves",
        Vote::Deny => "denies",
    }
}

/// `GET /v1/operators`, as far as it is needed here.
#[derive(Clone, Debug, serde::Deserialize)]
struct EnrolledList {
    operators: Vec<Enrolled>,
}

/// An operator as the bridge lists them. Other members are not needed here.
#[derive(Clone, Debug, serde::Deserialize)]
struct Enrolled {
    name: OperatorName,
    tenant: TenantId,
    keys: Vec<EnrolledKey>,
}

#[derive(Clone, Debug, serde::Deserialize)]
struct EnrolledKey {
    kid: KeyId,
}

/// The operator who decides: the one with the key, or the one of them who is named.
fn whose(
    all: &[Enrolled],
    tenant: &TenantId,
    kid: &KeyId,
    named: Option<&OperatorName>,
) -> Result<OperatorName, Failure> {
    let with_key =
        |one: &&Enrolled| one.tenant == *tenant && one.keys.iter().any(|key| key.kid == *kid);
    let holders: Vec<&OperatorName> = all.iter().filter(with_key).map(|one| &one.name).collect();
    match (holders.as_slice(), named) {
        (_, Some(named)) if holders.contains(&named) => Ok(named.clone()),
        (_, Some(named)) => Err(not_enrolled(format!("the key is not {named}'s"), tenant, kid)),
        ([one], None) => Ok((*one).clone()),
        ([], None) => Err(not_enrolled("the key is no operator's".to_owned(), tenant, kid)),
        (several, None) => {
            let names: Vec<&str> = several.iter().map(|name| name.as_str()).collect();
            Err(Failure::new(Exit::Usage, format!("the key is that of {}", names.join(" and of ")))
                .next("the same command with --as OPERATOR"))
        }
    }
}

fn not_enrolled(what: String, tenant: &TenantId, kid: &KeyId) -> Failure {
    Failure::new(Exit::Failed, what)
        .why(format!("nobody is enrolled so for tenant {tenant} with key {kid}"))
        .next("landbridge operator list; whoever has the policy key enrols people: landbridge operator enrol")
}

/// What our gateway says of an operator.
struct Credential {
    said: OperatorCredential,
    digest: Digest,
}

#[derive(serde::Deserialize)]
struct CredentialAnswer {
    credential: Envelope,
}

async fn credential(
    client: &Client,
    operator: &OperatorName,
    tenant: &TenantId,
) -> Result<Credential, Failure> {
    let (name, of) = (escaped(operator.as_str()), escaped(tenant.as_str()));
    let path = format!("/v1/operators/{name}/credential?tenant={of}");
    let answer: CredentialAnswer = client.get(&path).await?;
    let said = claimed(&answer.credential)
        .or_fail(Exit::Internal, || "the bridge's credential for the operator cannot be read")?;
    Ok(Credential { said, digest: answer.credential.digest() })
}

impl Credential {
    /// The scope under which it is decided: one that is asked and held.
    fn choose(
        &self,
        question: &Question,
        wanted: Option<&ScopeName>,
    ) -> Result<ScopeName, Failure> {
        let (sub, asked) = (&self.said.sub, &question.request().scopes);
        let held: Vec<&ScopeName> = asked.intersection(&self.said.scopes).collect();
        let names = |all: &[&ScopeName]| {
            all.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(", ")
        };
        let asked_names = names(&asked.iter().collect::<Vec<_>>());
        match (held.as_slice(), wanted) {
            (held, Some(wanted)) if held.contains(&wanted) => Ok(wanted.clone()),
            (_, Some(wanted)) if asked.contains(wanted) => {
                Err(Failure::new(Exit::Failed, format!("{sub} does not hold {wanted}")))
            }
            (_, Some(wanted)) => Err(Failure::new(Exit::Failed, format!("{wanted} was not asked"))
                .why(format!("one of these would do: {asked_names}"))),
            ([], None) => Err(Failure::new(Exit::Failed, format!("{sub} may not decide this"))
                .why(format!("one of these scopes is needed: {asked_names}"))
                .next("landbridge operator list says who holds one")),
            ([one], None) => Ok((*one).clone()),
            (several, None) => {
                Err(Failure::new(Exit::Usage, format!("{sub} could decide as any of several"))
                    .why(names(several))
                    .next("the same command with --scope SCOPE"))
            }
        }
    }

    fn check_key(&self, kid: &KeyId, method: KeyMethod) -> Result<(), Failure> {
        match self.said.keys.iter().find(|key| key.kid == *kid) {
            Some(key) if key.kind == method => Ok(()),
            Some(key) => {
                let (enrolled, found) = (key.kind.as_str(), method.as_str());
                Err(Failure::new(
                    Exit::Failed,
                    format!("the key is enrolled as {enrolled}, not {found}"),
                )
                .next("landbridge operator list"))
            }
            None => {
                Err(Failure::new(Exit::Failed, format!("the credential does not list key {kid}"))
                    .next("landbridge operator list"))
            }
        }
    }
}

fn random_jti() -> Result<Jti, Failure> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::new(Exit::Internal, "the system has no entropy").why(error))?;
    Jti::new(base64::encode_url(&bytes)).or_fail(Exit::Internal, || "cannot form an id")
}
